//! What `-vv` and `LLMX_LOG` tell of a call, as the built binary does it: every step, and no secret.

mod common;

use common::binary::{Done, KEY, Llmx};
use common::bodies::{chat_stream, says};
use common::server::{Script, Server};
use serde_json::{Value, json};

/// Stands in every prompt here, and in no line that is traced.
const PROMPT: &str = "kingfisher";
/// Stands in every answer here, and in no line that is traced.
const ANSWER: &str = "waterfall";

fn answering() -> Script {
    Script::stream(chat_stream(ANSWER))
}

/// A refusal that says everything again that it was sent.
fn echoing(status: u16) -> Script {
    let words = format!("{PROMPT}: your key {KEY} is wrong");
    let body = json!({"error": {"message": words, "type": PROMPT, "code": PROMPT, "param": KEY}}).to_string();
    let length = body.len().to_string();
    let headers = [
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
        ("x-request-id", KEY),
        ("x-ratelimit-remaining-tokens", "17"),
        ("x-ratelimit-echo", KEY),
        ("set-cookie", KEY),
    ];
    Script::head(status, &headers).raw(body)
}

/// The lines that were traced: `    12 ms INFO  …`.
fn traced(done: &Done) -> Vec<&str> {
    let is_traced = |line: &&str| {
        line.trim_start().split_once(" ms ").is_some_and(|(ms, _)| ms.bytes().all(|byte| byte.is_ascii_digit()))
    };
    done.err.lines().filter(is_traced).collect()
}

#[track_caller]
fn holds(done: &Done, steps: &[&str]) {
    let lines = traced(done);
    for step in steps {
        assert!(lines.iter().any(|line| line.contains(step)), "no \"{step}\" in {lines:#?}");
    }
    for line in lines {
        for secret in ["CANARY", PROMPT, ANSWER, "uthorization", "ookie", "earer"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

fn ask(server: &Server, args: &[&str]) -> Llmx {
    Llmx::openai(server, &[PROMPT]).args(args)
}

#[test]
fn every_step_of_a_call_is_told_and_no_secret_is() {
    let server = Server::new(answering());
    let done = ask(&server, &["-vv"]).run().exits(0).prints(&format!("{ANSWER}\n"));
    let base = format!("base={}/v1 proxy=none", server.url());
    holds(
        &done,
        &[
            "DEBUG call{id=",
            "provider=openai model=gpt-4o attempt=1} credential from=OPENAI_API_KEY",
            "quote at_most_usd=0.",
            "reserved at_most_usd=0.",
            &format!("connect {base}"),
            "answer begins status=200",
            "first token after_ms=",
            "finish reason=stop answer_bytes=9",
            "INFO  call{id=",
            "settle usd=unknown basis=unpriced booked=true",
        ],
    );
}

#[test]
fn a_refusal_that_echoes_its_request_is_told_without_it() {
    let server = Server::new(echoing(401));
    let done = ask(&server, &["-vv"]).run().exits(3);
    holds(
        &done,
        &[
            "answer begins status=401 request_id=[redacted]",
            "header name=x-ratelimit-remaining-tokens value=17",
            "header name=x-ratelimit-echo value=[redacted]",
            "finish class=auth status=401",
            "settle usd=0 basis=nothing",
            "no further attempt class=auth status=401",
        ],
    );
}

#[test]
fn a_retry_and_a_stand_in_are_told_with_their_reasons() {
    let wait = Script::head(429, &[("retry-after-ms", "7"), ("content-length", "0")]);
    let (server, other) = (Server::of(vec![wait, echoing(404)]), Server::new(answering()));
    let done = ask(&server, &["-vv", "--fallback", "groq/llama-3.3-70b-versatile"])
        .env("GROQ_API_KEY", KEY)
        .env("LLMX_GROQ_BASE_URL", other.url())
        .run()
        .exits(0);
    holds(
        &done,
        &[
            "header name=retry-after-ms value=7",
            "attempt=1} again class=rate-limit status=429 asked_ms=7 may_be_billed=false wait_ms=7",
            "attempt=2} another model class=not-found status=404 may_be_billed=false to=groq/llama-3.3-70b-versatile",
            "provider=groq model=llama-3.3-70b-versatile attempt=3} settle",
        ],
    );
}

#[test]
fn a_stream_that_is_cut_is_told_without_what_came() {
    let server = Server::new(Script::events().piece(says(ANSWER)).reset());
    let done = ask(&server, &["-vv"]).run().exits(6);
    holds(&done, &["first token", "finish class=network answer_bytes=9", "settle", "no further attempt"]);
}

#[test]
fn the_spans_bear_the_ids_of_the_ledger() {
    let server = Server::of(vec![echoing(503), answering()]);
    let folder = tempfile::tempdir().expect("a folder");
    let books = |llmx: Llmx| llmx.env("LLMX_DB", folder.path().join("ledger.db"));
    let done = books(ask(&server, &["-vv"])).run().exits(0);
    let logs: Value = books(Llmx::new(&["logs", "-j"])).run().exits(0).json();
    let mut booked: Vec<&str> =
        logs["calls"].as_array().expect("a list").iter().filter_map(|call| call["id"].as_str()).collect();
    booked.reverse();
    let mut told: Vec<&str> = traced(&done)
        .iter()
        .filter_map(|line| line.split_once("call{id=")?.1.split_once(' '))
        .map(|(id, _)| id)
        .collect();
    told.dedup();
    assert_eq!((told.len(), &told), (2, &booked));
}

#[test]
fn budgets_that_admit_are_told_with_what_is_left_and_one_that_refuses_too() {
    let server = Server::new(answering());
    let budget = "[budget.day]\nlimit = \"2/day\"\n";
    let done = ask(&server, &["-vv"]).config(budget).run().exits(0);
    holds(&done, &["budget admits name=day limit_usd=2 left_usd=2 hard=true"]);
    let done = ask(&server, &["-vv", "--no-clip"]).config("[budget.day]\nlimit = \"0.000001/day\"\n").run().exits(8);
    holds(&done, &["budget refuses name=day limit_usd=0.000001 left_usd=0.000001"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn once_verbose_tells_what_was_done_and_twice_how() {
    let server = Server::new(answering());
    let done = ask(&server, &["-v"]).run().exits(0).says(&["credential from OPENAI_API_KEY"]);
    let lines = traced(&done);
    assert!(lines.len() == 1 && lines[0].contains("INFO") && lines[0].contains("settle"), "{lines:#?}");
    assert_eq!(traced(&ask(&server, &[]).run().exits(0)), [""; 0]);
}

#[test]
fn quiet_silences_what_nobody_asked_for_and_not_the_trace() {
    let wait = || Script::head(429, &[("retry-after-ms", "1"), ("content-length", "0")]);
    let server = Server::of(vec![wait(), answering(), wait(), answering()]);
    let quiet = ask(&server, &["-q", "-vv"]).run().exits(0).prints(&format!("{ANSWER}\n"));
    assert!(!quiet.err.contains("again in"), "{}", quiet.err);
    holds(&quiet, &["again class=rate-limit", "settle"]);
    let loud = ask(&server, &["-vv"]).run().exits(0).prints(&format!("{ANSWER}\n"));
    assert!(loud.err.contains("again in"), "{}", loud.err);
}

#[test]
fn directives_choose_what_is_told_with_or_without_the_flag() {
    let server = Server::new(answering());
    let done = ask(&server, &[]).env("LLMX_LOG", "debug").run().exits(0).prints(&format!("{ANSWER}\n"));
    holds(&done, &["connect base=", "settle"]);
    let done = ask(&server, &["-vv"]).env("LLMX_LOG", "llmx::provider=debug").run().exits(0);
    let lines = traced(&done);
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("connect") || line.contains("answer begins")));
    let done = ask(&server, &[]).env("LLMX_LOG", "loud").run().exits(0).says(&["LLMX_LOG: loud is no level"]);
    assert_eq!(traced(&done), [""; 0]);
}

#[test]
fn a_proxy_is_told_without_its_password() {
    let proxy = Server::new(answering());
    let address = proxy.url().replace("http://", "http://me:CANARY@");
    let done = Llmx::chat(&["-m", "openai/gpt-4o", "-vv", PROMPT])
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", "http://models.example/v1")
        .env("http_proxy", address)
        .config("[provider.openai]\nallow_http = true\n")
        .run()
        .exits(0);
    holds(&done, &[&format!("connect base=http://models.example/v1 proxy={}", proxy.url())]);
}

/// The SDK tells much of itself: at `debug` its words are shown, cut short and without what they were called with.
#[cfg(feature = "bedrock")]
#[test]
fn what_libraries_tell_passes_the_same_censor() {
    let server = Server::new(Script::json(403, json!({"message": format!("{PROMPT} {KEY}")}).to_string()));
    let done = Llmx::chat(&["-m", "bedrock@us-east-1/amazon.nova-lite-v1:0", PROMPT])
        .env("AWS_ACCESS_KEY_ID", "AKIACANARYCANARY0000")
        .env("AWS_SECRET_ACCESS_KEY", KEY)
        .env("AWS_SESSION_TOKEN", KEY)
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url())
        .env("LLMX_LOG", "trace")
        .run();
    let lines = traced(&done);
    assert!(lines.iter().any(|line| line.contains("aws_")), "{lines:#?}");
    holds(&done, &["connect base=", "answer begins status=403"]);
}
