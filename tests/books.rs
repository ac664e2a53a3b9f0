//! What stands in the ledger after a call, however it ended: amounts, texts, and that nothing was sent unbooked.

mod common;

use std::path::{Path, PathBuf};

use common::binary::{CANARY, Done, KEY, Llmx};
use common::bodies::{CHAT_USAGE, DONE, ONE, TEXT, event, named};
use common::server::{Script, Server};
use llmx::domain::money::Usd;
use serde_json::{Value, json};

/// A ledger in a folder of its own, which outlives the runs that write it.
#[derive(Debug)]
struct Books {
    folder: tempfile::TempDir,
}

impl Books {
    fn new() -> Books {
        Books { folder: tempfile::tempdir().expect("a folder") }
    }

    /// The folder that llmx makes.
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn path(&self) -> PathBuf {
        self.data().join("ledger.db")
    }

    fn llmx(&self, args: &[&str]) -> Llmx {
        self.used_by(Llmx::new(args))
    }

    fn used_by(&self, llmx: Llmx) -> Llmx {
        llmx.env("LLMX_DB", self.path())
    }

    /// A call to `openai/gpt-4o-mini` at this server.
    fn ask(&self, server: &Server, args: &[&str]) -> Llmx {
        self.used_by(mini(server, args))
    }

    /// Every call, newest first, without its texts.
    fn calls(&self) -> Vec<Value> {
        let listed = self.llmx(&["logs", "-j", "-n", "100000"]).run().exits(0).json();
        listed["calls"].as_array().expect("a list").clone()
    }

    /// The one call, whole.
    #[track_caller]
    fn call(&self) -> Value {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        let id = calls[0]["id"].as_str().expect("an id");
        self.llmx(&["logs", "show", id, "-j"]).run().exits(0).json()
    }

    #[track_caller]
    fn are_whole(&self) {
        self.llmx(&["ledger", "check"]).run().exits(0).prints("the ledger is whole, and its sums agree\n");
    }

    fn read(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).expect("a ledger")
    }
}

/// A call to `openai/gpt-4o-mini` at this server, in one attempt. 2026-11-22: $0.15 for input, $0.075 for a cache read and $0.6 for output,
/// each for a million tokens: 150,000, 75,000 and 600,000 picodollars a token (openai.com/api/pricing).
fn mini(server: &Server, args: &[&str]) -> Llmx {
    Llmx::chat(&["-m", "openai/gpt-4o-mini", "--retries", "0"])
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", format!("{}/v1", server.url()))
        .args(args)
}

/// A chunk of Chat Completions from the model that is asked for.
fn chunk(delta: &Value, finish: Option<&str>) -> String {
    event(&json!({"id": "c1", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
}

fn says(text: &str) -> String {
    chunk(&json!({"content": text}), None)
}

fn stops() -> String {
    chunk(&json!({}), Some("stop"))
}

/// A whole stream with a usage of 7 and 5 tokens: 7 × 150,000 + 5 × 600,000 = 4,050,000 picodollars.
fn whole(text: &str) -> String {
    format!("{}{}{CHAT_USAGE}{DONE}", says(text), stops())
}

const WHOLE_USD: &str = "0.00000405";
#[cfg(unix)]
const WHOLE_PICOS: i64 = 4_050_000;

/// Runs one call; gives its end and its row. What the server saw is what stands in the books, and the books are whole.
#[track_caller]
fn booked(books: &Books, server: &Server, llmx: Llmx) -> (Done, Value) {
    let done = llmx.run();
    let call = sound(books, server);
    (done, call)
}

/// The one call of sound books, which the server saw.
#[track_caller]
fn sound(books: &Books, server: &Server) -> Value {
    assert_eq!(server.requests().len(), 1, "{:?}", server.requests());
    books.are_whole();
    books.call()
}

#[track_caller]
fn picos(amount: &Value) -> i64 {
    amount.as_str().and_then(Usd::parse).unwrap_or_else(|| panic!("no amount: {amount}")).picos
}

/// An estimate for the text that came, with the ceiling as its bound. Input is a quarter of the request's bytes and output
/// a quarter of the answer's, both rounded up; the ceiling takes every byte of the request for a token, 64 + 16 for what
/// surrounds it, and the model's own cap of 16,384.
#[track_caller]
fn is_estimated(call: &Value, server: &Server, answer: &str) {
    let sent = i64::try_from(server.request().body.len()).expect("short");
    let came = i64::try_from(answer.len()).expect("short");
    let cost = &call["cost"];
    assert_eq!(cost["basis"], "estimated", "{call}");
    assert_eq!(picos(&cost["usd"]), (sent + 3) / 4 * 150_000 + (came + 3) / 4 * 600_000, "{cost}");
    assert_eq!(picos(&cost["at_most_usd"]), (sent + 64 + 16) * 150_000 + 16_384 * 600_000, "{cost}");
    assert_eq!(cost["at_most_usd"], call["ceiling_usd"]);
}

#[track_caller]
fn is_nothing(call: &Value, class: &str) {
    assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("nothing"), &json!("0")), "{call}");
    assert_eq!((&call["cost"]["at_most_usd"], &call["error"]["class"]), (&Value::Null, &json!(class)), "{call}");
}

/// Every file and folder below this one, itself among them.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(below(&path)) } else { found.push(path) }
    }
    found
}

/// No file of the ledger holds this text.
#[track_caller]
fn nowhere(books: &Books, text: &str) {
    let files = below(&books.data()).into_iter().filter(|path| path.is_file());
    let mut count = 0;
    for path in files {
        let bytes = std::fs::read(&path).expect("read");
        assert!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()), "{text} is in {}", path.display());
        count += 1;
    }
    assert!(count > 0, "no file was looked at");
}

mod amounts {
    use super::{
        Books, CANARY, DONE, KEY, Llmx, ONE, Script, Server, TEXT, Value, WHOLE_USD, booked, event, is_estimated,
        is_nothing, json, mini, named, nowhere, picos, says, sound, stops, whole,
    };

    #[test]
    fn an_answer_with_usage_costs_what_the_table_says() {
        let usage = event(&json!({"id": "c1", "model": "gpt-4o-mini-2024-07-18", "choices": [],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200,
                "prompt_tokens_details": {"cached_tokens": 400}}}));
        let server = Server::new(Script::stream(format!("{}{}{usage}{DONE}", says(TEXT), stops())));
        let books = Books::new();
        let (done, call) = booked(&books, &server, books.ask(&server, &["Tell me", "of lakes"]));
        done.exits(0);
        // 600 × $0.15 + 400 × $0.075 + 200 × $0.6 = $240, for a million.
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("table"), &json!("0.00024")), "{call}");
        assert_eq!(call["cost"]["at_most_usd"], Value::Null);
        assert_eq!(call["cost"]["price"]["entry"], "openai/gpt-4o-mini");
        assert_eq!((&call["usage"]["input"], &call["usage"]["cache_read"]), (&json!(600), &json!(400)));
        assert_eq!((&call["usage"]["output"], &call["usage"]["source"]), (&json!(200), &json!("reported")));
        assert_eq!(
            (&call["command"], &call["open"], &call["stop_reason"]),
            (&json!("chat"), &json!(false), &json!("stop"))
        );
        assert_eq!(call["prompt"]["messages"][0]["parts"][0]["text"], "Tell me of lakes");
        assert_eq!(call["answer"]["parts"][0]["text"], TEXT);
        assert!(picos(&call["ceiling_usd"]) >= picos(&call["cost"]["usd"]), "{call}");
    }

    #[test]
    fn a_cache_of_anthropic_is_billed_by_its_own_rates() {
        let usage = json!({"input_tokens": 100, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 500,
            "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 0}, "output_tokens": 1});
        let stream: String = [
            json!({"type": "message_start", "message": {"id": "m1", "type": "message", "role": "assistant",
                "model": "claude-sonnet-4-5-20250929", "content": [], "stop_reason": null, "usage": usage}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}}),
            json!({"type": "message_stop"}),
        ]
        .iter()
        .map(named)
        .collect();
        let server = Server::new(Script::stream(stream));
        let books = Books::new();
        let llmx = Llmx::chat(&["-m", "anthropic/claude-sonnet-4-5", "--base-url", &server.url(), "x"]);
        let (done, call) = booked(&books, &server, books.used_by(llmx.env("ANTHROPIC_API_KEY", KEY)));
        done.exits(0).prints(&format!("{TEXT}\n"));
        // Input $3, a read a tenth and a write of five minutes 1.25 times that, output $15:
        // 100 × 3 + 2000 × 0.3 + 500 × 3.75 + 40 × 15 = 300 + 600 + 1875 + 600 = 3375, for a million.
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("table"), &json!("0.003375")), "{call}");
    }

    #[test]
    fn thinking_and_cache_of_gemini_are_billed_by_their_own_rates() {
        let part = |text: &str, finish: Value| {
            event(&json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0,
                "finishReason": finish}], "modelVersion": "gemini-2.5-flash", "responseId": "g1",
                "usageMetadata": {"promptTokenCount": 1000, "cachedContentTokenCount": 800, "candidatesTokenCount": 20,
                    "thoughtsTokenCount": 30, "totalTokenCount": 1050}}))
        };
        let server = Server::new(Script::stream(part(TEXT, Value::Null) + &part("", json!("STOP"))));
        let books = Books::new();
        let llmx = Llmx::chat(&["-m", "gemini/gemini-2.5-flash", "--base-url", &server.url(), "x"]);
        let (done, call) = booked(&books, &server, books.used_by(llmx.env("GEMINI_API_KEY", KEY)));
        done.exits(0);
        // 200 × $0.3 + 800 × $0.03 + (20 + 30) × $2.5 = 60 + 24 + 125 = 209, for a million.
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("table"), &json!("0.000209")), "{call}");
        assert_eq!(call["usage"]["reasoning"], 30);
    }

    #[test]
    fn a_charge_that_the_response_states_is_booked_with_the_tables_beside_it() {
        let chunk = |delta: Value, finish: Value, usage: Value| {
            event(&json!({"id": "o1", "model": "openai/gpt-4o-mini", "choices": [{"index": 0, "delta": delta,
                "finish_reason": finish}], "usage": usage}))
        };
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, "cost": 0.00123});
        let stream =
            chunk(json!({"content": TEXT}), Value::Null, Value::Null) + &chunk(json!({}), json!("stop"), usage);
        let server = Server::new(Script::stream(stream + DONE));
        let books = Books::new();
        let llmx = Llmx::chat(&["-m", "openrouter/openai/gpt-4o-mini", "--base-url", &server.url(), "x"]);
        let (done, call) = booked(&books, &server, books.used_by(llmx.env("OPENROUTER_API_KEY", KEY)));
        done.exits(0);
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("reported"), &json!("0.00123")), "{call}");
        // 100 × $0.15 + 10 × $0.6 = 21, for a million.
        assert_eq!(call["cost"]["table_usd"], "0.000021");
    }

    #[test]
    fn a_charge_in_the_head_is_booked_where_the_row_says_so_and_none_is_no_zero() {
        let answer = json!({"id": "c1", "model": "house-model", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": TEXT}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}})
        .to_string();
        let named = "x-litellm-response-cost";
        for (model, header, basis, usd) in [
            ("litellm-proxy/house-model", named, "reported", json!("0.0000135")),
            ("litellm-proxy/house-model", "x-other-cost", "unpriced", Value::Null),
            ("together/house-model", named, "unpriced", Value::Null),
        ] {
            let length = answer.len().to_string();
            let headers = [("content-type", "application/json"), ("content-length", &*length), (header, "1.35e-05")];
            let (server, books) = (Server::new(Script::head(200, &headers).raw(&answer)), Books::new());
            let llmx = Llmx::chat(&["-m", model, "--base-url", &server.url(), "-S", "x"]).env("TOGETHER_API_KEY", KEY);
            let (done, call) = booked(&books, &server, books.used_by(llmx.env("LITELLM_PROXY_API_KEY", KEY)));
            done.exits(0);
            assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!(basis), &usd), "{model} {header}");
        }
    }

    #[test]
    fn a_refusal_costs_nothing_and_says_why() {
        for (status, class, code) in [(401, "auth", 3), (500, "overloaded", 6), (429, "rate-limit", 5)] {
            let server = Server::new(Script::json(status, r#"{"error": {"message": "no"}}"#));
            let books = Books::new();
            let (done, call) = booked(&books, &server, books.ask(&server, &["x"]));
            done.exits(code);
            is_nothing(&call, class);
            assert_eq!(call["error"]["status"], status);
        }
    }

    #[test]
    fn a_refused_connection_costs_nothing() {
        let server = Server::new(Script::bare());
        let books = Books::new();
        let llmx = books.ask(&server, &["x"]);
        drop(server);
        llmx.run().exits(6);
        books.are_whole();
        is_nothing(&books.call(), "network");
    }

    #[test]
    fn a_stream_that_breaks_is_estimated_from_what_came() {
        for script in [Script::events().piece(says(ONE)).reset(), Script::events().piece(says(ONE)).end()] {
            let server = Server::new(script);
            let books = Books::new();
            let (done, call) = booked(&books, &server, books.ask(&server, &["x"]));
            done.exits(6);
            is_estimated(&call, &server, ONE);
            assert_eq!(call["answer"]["parts"][0]["text"], ONE);
        }
    }

    #[test]
    fn a_usage_that_never_came_is_estimated() {
        let zeros = event(&json!({"id": "c1", "choices": [],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}));
        let negative = zeros.replace("\"prompt_tokens\":0", "\"prompt_tokens\":-5");
        for usage in [String::new(), zeros, negative] {
            let server = Server::new(Script::stream(format!("{}{}{usage}{DONE}", says(TEXT), stops())));
            let books = Books::new();
            let (done, call) = booked(&books, &server, books.ask(&server, &["x"]));
            done.exits(0);
            is_estimated(&call, &server, TEXT);
        }
    }

    /// A whole stream whose usage comes in these reports, one in each event.
    fn counted(reports: &[Value]) -> Script {
        let reports: String =
            reports.iter().map(|usage| event(&json!({"id": "c1", "choices": [], "usage": usage}))).collect();
        Script::stream(format!("{}{}{reports}{DONE}", says(TEXT), stops()))
    }

    #[test]
    fn a_usage_that_counts_only_half_is_an_estimate_and_never_free() {
        // The answer's 24 bytes are taken for 6 tokens where fewer were counted.
        for (usage, input, missing) in [
            (json!({"prompt_tokens": 7}), Some(7), "output"),
            (json!({"prompt_tokens": 7, "completion_tokens": null, "total_tokens": 12}), Some(7), "output"),
            (json!({"completion_tokens": 5}), None, "prompt"),
            (json!({"prompt_tokens": 4_294_967_296_u64, "completion_tokens": 5}), None, "/prompt_tokens is no count"),
        ] {
            let (server, books) = (Server::new(counted(std::slice::from_ref(&usage))), Books::new());
            let (done, call) = booked(&books, &server, books.ask(&server, &["x"]));
            let cost = &call["cost"];
            let sent = i64::try_from(server.request().body.len()).expect("short");
            assert_eq!(cost["basis"], "estimated", "{call}");
            assert_eq!(picos(&cost["usd"]), input.unwrap_or((sent + 3) / 4) * 150_000 + 6 * 600_000, "{usage}: {cost}");
            assert_eq!(cost["at_most_usd"], call["ceiling_usd"], "{call}");
            assert_eq!((&call["usage"]["source"], &call["usage"]["raw"]), (&json!("partial"), &usage), "{call}");
            let (usd, most) = (cost["usd"].as_str().expect("known"), cost["at_most_usd"].as_str().expect("known"));
            let booked = format!("booked is about ${usd}, at most ${most}\n");
            let done = done.exits(0).says(&["llmx: the provider's usage is not taken: usage", missing, &booked]);
            assert_eq!(done.err.lines().count(), 1, "{}", done.err);
            assert!(call["notes"].to_string().contains(missing), "{call}");
        }
    }

    #[test]
    fn a_usage_that_never_came_is_told_with_what_is_booked_instead() {
        let (server, books) = (Server::new(counted(&[])), Books::new());
        let (done, call) = booked(&books, &server, books.ask(&server, &["x"]));
        let [usd, most] = ["usd", "at_most_usd"].map(|key| call["cost"][key].as_str().expect("known").to_owned());
        let told = format!("llmx: the provider reported no usage; booked is about ${usd}, at most ${most}\n");
        assert_eq!(done.exits(0).err, told);
    }

    #[test]
    fn a_free_model_is_free_whatever_it_counts() {
        let answer = json!({"id": "c1", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": TEXT}}], "usage": {"completion_tokens": 5}});
        let (server, books) = (Server::new(Script::json(200, answer.to_string())), Books::new());
        let llmx = Llmx::chat(&["-m", "zai/glm-4.7-flash", "--base-url", &server.url(), "x"]);
        let (done, call) = booked(&books, &server, books.used_by(llmx.env("ZAI_API_KEY", KEY)));
        assert_eq!((&call["cost"]["basis"], &call["usage"]["source"]), (&json!("free"), &json!("partial")), "{call}");
        done.exits(0).says(&["the count of the prompt is missing; the model is free\n"]);
    }

    #[test]
    fn what_a_later_report_leaves_out_stands_and_what_it_shrinks_is_told() {
        let first = json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12});
        let half = json!({"prompt_tokens": null, "completion_tokens": 9, "total_tokens": null});
        let none = json!({"prompt_tokens": null, "completion_tokens": null, "total_tokens": null});
        let large = json!({"prompt_tokens": 70, "completion_tokens": 50, "total_tokens": 120});
        // 7 × 150,000 and 600,000 for each token of output.
        for (reports, picos, told) in [
            ([&first, &half], 6_450_000, None),
            ([&first, &none], 4_050_000, None),
            ([&large, &first], 4_050_000, Some("completion_tokens shrank from 50 to 5; 1 more with -v")),
        ] {
            let (server, books) = (Server::new(counted(&reports.map(Value::clone))), Books::new());
            let (done, call) = booked(&books, &server, books.ask(&server, &["x"]));
            assert_eq!(
                (&call["cost"]["basis"], &call["cost"]["at_most_usd"]),
                (&json!("table"), &Value::Null),
                "{call}"
            );
            assert_eq!((super::picos(&call["cost"]["usd"]), &call["usage"]["source"]), (picos, &json!("reported")));
            let told = told.map(|told| format!("llmx: usage: {told}\n")).unwrap_or_default();
            assert_eq!(done.exits(0).err, told);
        }
    }

    #[test]
    fn counts_that_shrink_are_told_at_anthropic_as_well() {
        let start = json!({"type": "message_start", "message": {"id": "m1", "type": "message", "role": "assistant",
            "model": "claude-sonnet-4-5", "content": [],
            "usage": {"input_tokens": 100, "cache_read_input_tokens": 2000, "output_tokens": 1}}});
        let rest = [
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": TEXT}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                "usage": {"input_tokens": 3, "cache_read_input_tokens": 0, "output_tokens": 10}}),
            json!({"type": "message_stop"}),
        ];
        let body: String = std::iter::once(&start).chain(&rest).map(named).collect();
        let (server, books) = (Server::new(Script::stream(body)), Books::new());
        let llmx = Llmx::chat(&["-m", "anthropic/claude-sonnet-4-5", "--base-url", &server.url(), "x"]);
        let (done, call) = booked(&books, &server, books.used_by(llmx.env("ANTHROPIC_API_KEY", KEY)));
        // 2026-11-22: 3 × $3 + 10 × $15 = $159, for a million (claude.com/pricing).
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("table"), &json!("0.000159")), "{call}");
        done.exits(0).says(&["cache_read_input_tokens shrank from 2000 to 0; 1 more with -v"]);
    }

    #[test]
    fn a_stated_charge_that_is_no_amount_is_told_and_the_tables_is_booked() {
        for charge in [json!(1_000_000_000_000_u64), json!(-1)] {
            let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, "cost": charge});
            let (server, books) = (Server::new(counted(&[usage])), Books::new());
            let llmx = Llmx::chat(&["-m", "openrouter/openai/gpt-4o-mini", "--base-url", &server.url(), "x"]);
            let (done, call) = booked(&books, &server, books.used_by(llmx.env("OPENROUTER_API_KEY", KEY)));
            // 100 × $0.15 + 10 × $0.6 = 21, for a million.
            let cost = &call["cost"];
            assert_eq!((&cost["basis"], &cost["usd"]), (&json!("table"), &json!("0.000021")), "{call}");
            let told = format!("llmx: usage: the stated charge is no amount and is not booked: {charge}\n");
            assert_eq!(done.exits(0).err, told);
        }
    }

    #[test]
    fn a_charge_in_the_head_that_is_no_amount_is_told_as_well() {
        let answer = json!({"id": "c1", "model": "house-model", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": TEXT}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}})
        .to_string();
        let length = answer.len().to_string();
        let told = |charge: &str| format!("llmx: usage: the stated charge is no amount and is not booked: {charge}\n");
        for (charge, told) in [("-1", told("-1")), ("1000000000000", told("1000000000000")), ("None", String::new())] {
            let headers = [
                ("content-type", "application/json"),
                ("content-length", &*length),
                ("x-litellm-response-cost", charge),
            ];
            let (server, books) = (Server::new(Script::head(200, &headers).raw(&answer)), Books::new());
            let llmx = Llmx::chat(&["-m", "litellm-proxy/house-model", "--base-url", &server.url(), "-S", "x"]);
            let (done, call) = booked(&books, &server, books.used_by(llmx.env("LITELLM_PROXY_API_KEY", KEY)));
            assert_eq!((call["cost"]["basis"].as_str(), done.exits(0).err), (Some("unpriced"), told), "{call}");
        }
    }

    #[test]
    fn an_error_that_nobody_can_place_stands_at_its_ceiling_and_a_refusal_at_nothing() {
        for (error, class, code, is_refusal) in [
            (
                json!({"error": {"message": "Internal error encountered.", "type": "internal_error"}}),
                "protocol",
                6,
                false,
            ),
            (json!({"error": {"message": "it broke", "code": "upstream_crashed"}}), "protocol", 6, false),
            (json!({"error": {"message": "bad field", "type": "invalid_request_error"}}), "invalid-request", 1, true),
            (json!({"error": {"message": "slow down", "type": "rate_limit_exceeded"}}), "rate-limit", 5, true),
        ] {
            for script in [Script::json(200, error.to_string()), Script::stream(event(&error))] {
                let (server, books) = (Server::new(script), Books::new());
                let (done, call) = booked(&books, &server, books.ask(&server, &["x"]));
                done.exits(code);
                if is_refusal {
                    is_nothing(&call, class);
                    continue;
                }
                let cost = &call["cost"];
                assert_eq!((&cost["basis"], &call["error"]["class"]), (&json!("ceiling"), &json!(class)), "{call}");
                assert_eq!([&cost["usd"], &cost["at_most_usd"]], [&call["ceiling_usd"]; 2], "{call}");
                assert!(picos(&cost["usd"]) > 0, "{call}");
            }
        }
    }

    #[test]
    fn an_early_count_is_better_than_an_estimate() {
        let begun: String = [
            json!({"type": "message_start", "message": {"id": "m1", "type": "message", "role": "assistant",
                "model": "claude-sonnet-4-5", "content": [], "usage": {"input_tokens": 7, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ONE}}),
        ]
        .iter()
        .map(named)
        .collect();
        let server = Server::new(Script::events().piece(begun).reset());
        let books = Books::new();
        let llmx = Llmx::chat(&["-m", "anthropic/claude-sonnet-4-5", "--base-url", &server.url(), "x"]);
        let (done, call) = booked(&books, &server, books.used_by(llmx.env("ANTHROPIC_API_KEY", KEY)));
        done.exits(6);
        // 7 × $3, and for 13 bytes of text 4 × $15: 81, for a million.
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("estimated"), &json!("0.000081")), "{call}");
        assert_eq!(call["cost"]["at_most_usd"], call["ceiling_usd"]);
    }

    #[test]
    fn an_answer_that_never_began_stands_at_its_ceiling() {
        let books = Books::new();
        let server = Server::new(Script::bare().silence());
        let (done, call) = booked(&books, &server, books.ask(&server, &["--timeout", "1", "x"]));
        done.exits(6);
        assert_eq!(call["cost"]["basis"], "ceiling", "{call}");
        assert_eq!((&call["cost"]["usd"], &call["cost"]["at_most_usd"]), (&call["ceiling_usd"], &call["ceiling_usd"]));
        assert!(picos(&call["ceiling_usd"]) > 0 && call["error"]["class"] == "timeout", "{call}");
    }

    #[cfg(unix)]
    #[test]
    fn a_call_that_is_interrupted_is_estimated() {
        let server = Server::new(Script::events().piece(says(ONE)).silence());
        let books = Books::new();
        let mut running = books.ask(&server, &["x"]).spawn();
        running.await_out(ONE.trim_end());
        running.signal(rustix::process::Signal::INT);
        running.done().exits(130);
        let call = sound(&books, &server);
        is_estimated(&call, &server, ONE);
        assert_eq!(call["stopped"], "interrupt");
    }

    #[cfg(unix)]
    #[test]
    fn a_usage_that_comes_with_the_interrupt_is_what_is_booked() {
        use rustix::process::Signal;
        let rest = whole("more");
        let server = Server::new(Script::events().piece(says(ONE)).gate("rest").piece(&rest).end());
        let books = Books::new();
        let mut running = books.ask(&server, &["x"]).spawn();
        running.await_out(ONE.trim_end());
        // When it goes on, the signal and the rest of the answer are both there.
        let before = server.written();
        running.signal(Signal::STOP);
        running.signal(Signal::INT);
        server.open("rest");
        while server.written() < before + rest.len() {
            std::thread::yield_now();
        }
        running.signal(Signal::CONT);
        let done = running.done();
        let call = sound(&books, &server);
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("table"), &json!(WHOLE_USD)), "{call}");
        // Either may be seen first. What came after the signal is counted, not shown; after an answer that was whole it
        // stops nothing more than what was left to do.
        let text = &call["answer"]["parts"][0]["text"];
        if call["stopped"].is_null() {
            assert_eq!(text, &json!(format!("{ONE}more")));
            assert!([0, 130].contains(&done.code), "{}", done.code);
        } else {
            assert_eq!((&call["stopped"], text), (&json!("interrupt"), &json!(ONE)));
            done.exits(130);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_reader_that_goes_away_leaves_an_estimate() {
        let words = Script::events().drip(says("word "), std::time::Duration::from_millis(5));
        let server = Server::new(words);
        let books = Books::new();
        let llmx = Llmx::shell("\"$LLMX\" chat -m openai/gpt-4o-mini x | head -c 3")
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", format!("{}/v1", server.url()));
        let (done, call) = booked(&books, &server, books.used_by(llmx));
        done.exits(0).prints("wor");
        assert_eq!((&call["stopped"], &call["cost"]["basis"]), (&json!("closedpipe"), &json!("estimated")), "{call}");
        assert!(picos(&call["cost"]["usd"]) > 0 && call["cost"]["at_most_usd"] == call["ceiling_usd"], "{call}");
    }

    #[test]
    fn a_model_without_a_price_has_no_amount_rather_than_zero() {
        let server = Server::new(Script::stream(whole(TEXT).replace("gpt-4o-mini-2024-07-18", "m-1")));
        let books = Books::new();
        let llmx = Llmx::chat(&["-m", "openai/m-1", "--api", "chat", "--base-url", &server.url(), "x"]);
        let (done, call) = booked(&books, &server, books.used_by(llmx.env("OPENAI_API_KEY", KEY)));
        done.exits(0);
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("unpriced"), &Value::Null), "{call}");
        assert_eq!((&call["ceiling_usd"], &call["usage"]["input"]), (&Value::Null, &json!(7)));
        let empty: i64 = books
            .read()
            .query_row(
                "SELECT count(*) FROM settlement WHERE total_picos IS NULL AND at_most_picos IS NULL",
                [],
                |row| row.get(0),
            )
            .expect("counted");
        assert_eq!(empty, 1);
    }

    #[test]
    fn a_model_without_a_price_has_no_amount_when_it_breaks_either() {
        let begun = says(ONE).replace("gpt-4o-mini-2024-07-18", "m-1");
        let server = Server::new(Script::events().piece(begun).reset());
        let books = Books::new();
        let llmx = Llmx::chat(&["-m", "openai/m-1", "--api", "chat", "--base-url", &server.url(), "x"]);
        let (done, call) = booked(&books, &server, books.used_by(llmx.env("OPENAI_API_KEY", KEY)));
        done.exits(6);
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("unpriced"), &Value::Null), "{call}");
    }

    #[test]
    fn the_simulator_is_free_unless_it_is_given_prices() {
        let books = Books::new();
        books.llmx(&["chat", "-m", "sim/echo", "hello"]).run().exits(0).prints("hello\n");
        let call = books.call();
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("free"), &json!("0")), "{call}");
        let books = Books::new();
        books.llmx(&["chat", "-m", "sim/lorem?tokens=100&usd_out=5", "hello"]).run().exits(0);
        let call = books.call();
        // 100 × $5, for a million.
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!("simulated"), &json!("0.0005")), "{call}");
    }

    #[test]
    fn nothing_is_booked_where_nothing_could_be_sent() {
        let books = Books::new();
        books.llmx(&["chat", "-m", "openai/gpt-4o-mini", "x"]).run().exits(3);
        let server = Server::new(Script::stream(whole(TEXT)));
        books.ask(&server, &["--dry-run", "x"]).run().exits(0);
        assert!(!books.path().exists() || books.calls().is_empty());
        assert_eq!(server.connections(), 0);
    }

    #[test]
    fn texts_are_left_out_on_demand_and_amounts_never() {
        type Choose = fn(Llmx) -> Llmx;
        let ways: [(&str, Choose); 4] = [
            ("--no-store", |llmx| llmx.args(&["--no-store"])),
            ("LLMX_STORE", |llmx| llmx.env("LLMX_STORE", "metadata")),
            ("config.toml", |llmx| llmx.config("store = \"metadata\"\n")),
            (".llmx.toml", |llmx| llmx.file(".llmx.toml", "store = \"metadata\"\n")),
        ];
        for (way, choose) in ways {
            let server = Server::new(Script::stream(whole("UNKEPTANSWER")));
            let books = Books::new();
            let (done, call) =
                booked(&books, &server, choose(books.ask(&server, &["-s", "UNKEPTSYSTEM", "UNKEPTPROMPT"])));
            done.exits(0).prints("UNKEPTANSWER\n");
            assert_eq!((&call["prompt"], &call["answer"]), (&Value::Null, &Value::Null), "{way}");
            assert_eq!((&call["cost"]["usd"], &call["usage"]["output"]), (&json!(WHOLE_USD), &json!(5)), "{way}");
            nowhere(&books, "UNKEPT");
        }
    }

    #[test]
    fn keys_are_in_no_file_of_the_ledger() {
        let echo = json!({"error": {"message": format!("your key {KEY} is wrong"), "code": KEY, "type": KEY}});
        let plain = says("fine ");
        let scripts = [
            Script::json(401, echo.to_string()),
            Script::json(500, echo.to_string()),
            Script::events().piece(format!("{plain}{}", event(&echo))).end(),
            Script::events().piece(format!("{plain}data: {{\"a\": {KEY}\n\n")).end(),
            Script::stream(whole(TEXT)),
        ];
        for script in scripts {
            let server = Server::new(script);
            let books = Books::new();
            let inner = format!("extra={{\"password\":\"{KEY}\",\"deep\":[{{\"access_token\":\"{KEY}\"}}]}}");
            let key = format!("api_key={KEY}");
            books.used_by(mini(&server, &["-P", &key, "-P", &inner, "x"])).run();
            let call = sound(&books, &server);
            assert_eq!(call["parameters"]["api_key"], "[redacted]", "{call}");
            assert_eq!(call["credential"], "OPENAI_API_KEY", "{call}");
            nowhere(&books, CANARY);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_a_good_answer_repeats_is_in_no_file_of_the_ledger() {
        // In the text over two chunks.
        let (one, two) = KEY.split_at(7);
        let usage = event(&json!({"id": KEY, "model": KEY, "service_tier": KEY, "choices": [],
            "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "note": KEY, KEY: 1}}));
        let finish = event(&json!({"id": KEY, "model": KEY, "choices": [{"index": 0, "delta": {},
            "finish_reason": KEY}]}));
        let text =
            format!("{}{}", says(&format!("it was {one}")), says(two)).replace("\"c1\"", &json!(KEY).to_string());
        let server = Server::new(Script::stream(format!("{text}{finish}{usage}{DONE}")));
        let books = Books::new();
        let llmx = Llmx::shell("exec \"$LLMX\" chat -m openai/gpt-4o-mini x >/dev/null")
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", format!("{}/v1", server.url()));
        let (_, call) = booked(&books, &server, books.used_by(llmx));
        assert_eq!(call["answer"]["parts"][0]["text"], "it was [redacted]", "{call}");
        assert_eq!((&call["response_id"], &call["usage"]["raw"]["note"]), (&json!("[redacted]"), &json!("[redacted]")));
        nowhere(&books, CANARY);
    }
}

#[cfg(unix)]
mod kills {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{Books, Script, Server, TEXT, WHOLE_PICOS, whole};

    /// Runs between two looks at the books, and how many at a time.
    const ROUND: u64 = 50;
    const LANES: u64 = 4;

    /// A row of the books, as far as it tells what is owed.
    #[derive(Debug)]
    struct Row {
        ceiling: Option<i64>,
        basis: Option<String>,
        total: Option<i64>,
        at_most: Option<i64>,
    }

    /// `LLMX_KILLS` sets how often: 200 where it is not set.
    #[test]
    fn what_was_sent_is_in_the_books_whenever_llmx_is_killed() {
        let kills: u64 = std::env::var("LLMX_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
        let server = Server::new(Script::events().byte_by_byte(whole(TEXT)).end());
        let books = Books::new();
        let began = Instant::now();
        books.ask(&server, &["call first."]).run().exits(0);
        // With others beside it a run takes longer: some are killed before they begin, some are not in time.
        let longest = began.elapsed() * 2;
        let acknowledged = Mutex::new(vec!["call first.".to_owned()]);
        for round in 0..kills.div_ceil(ROUND) {
            thread::scope(|scope| {
                for lane in 0..LANES {
                    let (books, server, acknowledged) = (&books, &server, &acknowledged);
                    scope.spawn(move || {
                        for number in (lane..ROUND).step_by(LANES as usize) {
                            let number = round * ROUND + number;
                            let said = format!("call {number}.");
                            let running = books.ask(server, &[&said]).spawn();
                            thread::sleep(instant(number, longest));
                            running.signal(rustix::process::Signal::KILL);
                            let done = running.done();
                            assert!(matches!(done.code, 0 | -9), "{done:?}");
                            if done.code == 0 {
                                acknowledged.lock().expect("no panic").push(said);
                            }
                        }
                    });
                }
            });
            books.are_whole();
        }
        let rows = rows(&books);
        let mut sent = BTreeMap::<String, u32>::new();
        for request in server.requests() {
            *sent.entry(request.prompt()).or_default() += 1;
        }
        for (said, count) in &sent {
            assert_eq!(*count, 1, "{said} was sent twice");
            let row = rows.get(said).unwrap_or_else(|| panic!("{said} was sent and is not in the books"));
            let counted = if row.basis.is_some() { row.at_most.max(row.total) } else { row.ceiling };
            assert!(counted >= Some(WHOLE_PICOS), "{said} is booked below what was reported: {row:?}");
            if row.basis.as_deref() == Some("table") {
                assert_eq!(row.total, Some(WHOLE_PICOS), "{said}");
            }
        }
        for said in acknowledged.lock().expect("no panic").iter() {
            assert_eq!(rows[said].basis.as_deref(), Some("table"), "{said} ended well: {:?}", rows[said]);
        }
        let open = rows.values().filter(|row| row.basis.is_none()).count();
        assert!(open > 0 && sent.len() > open, "no kill met a call: {} sent, {open} open", sent.len());
        let corrections: i64 =
            books.read().query_row("SELECT count(*) FROM correction", [], |row| row.get(0)).expect("counted");
        assert_eq!(corrections, 0, "a call was settled twice");
    }

    /// Spread over the whole run, in an order without a pattern.
    fn instant(number: u64, longest: Duration) -> Duration {
        let share = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44;
        let micros = (u64::try_from(longest.as_micros()).expect("short") * share) >> 20;
        Duration::from_micros(micros)
    }

    /// The calls by what they asked.
    fn rows(books: &Books) -> BTreeMap<String, Row> {
        let db = books.read();
        let mut find = db
            .prepare(
                "SELECT p.json ->> '$.messages[0].parts[0].text', c.ceiling_picos, s.cost_basis, s.total_picos,
                    s.at_most_picos
                 FROM call c JOIN prompt p ON p.call = c.seq LEFT JOIN settlement s ON s.call = c.seq",
            )
            .expect("prepared");
        let rows = find
            .query_map([], |row| {
                let amounts =
                    Row { ceiling: row.get(1)?, basis: row.get(2)?, total: row.get(3)?, at_most: row.get(4)? };
                Ok((row.get::<_, String>(0)?, amounts))
            })
            .expect("asked");
        let mut found = BTreeMap::new();
        for row in rows {
            let (said, row) = row.expect("a row");
            assert!(found.insert(said.clone(), row).is_none(), "{said} is booked twice");
        }
        found
    }
}

mod places {
    use super::{Books, Done, Llmx, PathBuf, Script, Server, TEXT, Value, WHOLE_USD, below, json, mini, whole};
    #[cfg(unix)]
    use super::{KEY, Path};

    const PATIENT: &str = "[limits]\nledger_ms = 50\n";

    fn fine() -> Server {
        Server::new(Script::stream(whole(TEXT)))
    }

    /// Nothing was sent and nothing shown, and each of these words is said.
    #[track_caller]
    fn is_refused(llmx: Llmx, server: &Server, words: &[&str]) -> Done {
        let done = llmx.run().exits(1).prints("").says(words);
        assert_eq!(server.connections(), 0, "it was sent: {done:?}");
        done
    }

    /// Books with one call in them.
    fn begun() -> Books {
        let books = Books::new();
        books.llmx(&["chat", "-m", "sim/echo", "x"]).run().exits(0);
        books
    }

    #[test]
    fn a_place_that_cannot_be_written_keeps_the_call_from_being_sent() {
        let server = fine();
        let books = Books::new();
        let file = books.folder.path().join("file");
        std::fs::write(&file, "x").expect("written");
        let below = file.join("ledger.db");
        is_refused(mini(&server, &["--db", below.to_str().expect("UTF-8"), "x"]), &server, &["--db", "LLMX_DB"]);
        if cfg!(target_os = "linux") {
            // Not even root writes here.
            is_refused(mini(&server, &["--db", "/proc/llmx/ledger.db", "x"]), &server, &["/proc/llmx", "--db"]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_without_the_right_to_write_keeps_the_call_from_being_sent() {
        use std::os::unix::fs::PermissionsExt as _;
        let server = fine();
        let books = Books::new();
        std::fs::create_dir(books.data()).expect("made");
        std::fs::set_permissions(books.data(), std::fs::Permissions::from_mode(0o500)).expect("set");
        // Root may write all the same, and then there is nothing to see.
        if std::fs::write(books.data().join("probe"), "x").is_err() {
            is_refused(books.ask(&server, &["x"]), &server, &["--db", "LLMX_DB"]);
        }
        std::fs::set_permissions(books.data(), std::fs::Permissions::from_mode(0o700)).expect("set");
    }

    #[test]
    fn a_ledger_that_stays_locked_keeps_the_call_from_being_sent() {
        let (server, books) = (fine(), begun());
        let other = books.read();
        other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
        is_refused(books.ask(&server, &["x"]).config(PATIENT), &server, &["locked by another program"]);
        let done = books.ask(&server, &["-j", "x"]).config(PATIENT).run().exits(1);
        assert_eq!(done.json()["error"]["class"], "ledger");
        assert_eq!(server.connections(), 0);
        drop(other);
        books.ask(&server, &["x"]).run().exits(0);
        assert_eq!(books.calls().len(), 2);
    }

    #[test]
    fn a_ledger_that_was_busy_for_a_while_is_waited_for() {
        let (server, books) = (fine(), begun());
        let other = books.read();
        other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
        let running = books.ask(&server, &["x"]).spawn();
        // Its lease is the last that it takes before it asks for the lock.
        while !books.data().join("ledger.spill").exists() || spills(&books).is_empty() {
            std::thread::yield_now();
        }
        drop(other);
        running.done().exits(0).prints(&format!("{TEXT}\n"));
        assert_eq!((books.calls().len(), server.requests().len()), (2, 1));
    }

    #[test]
    fn a_file_that_is_no_ledger_keeps_the_call_from_being_sent_and_stays_as_it_is() {
        let noise: Vec<u8> = (0..9_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let contents = [noise, b"SQLite format 3\0 and then nothing that fits".repeat(200), b"my notes".to_vec()];
        for content in contents {
            let (server, books) = (fine(), Books::new());
            std::fs::create_dir(books.data()).expect("made");
            std::fs::write(books.path(), &content).expect("written");
            is_refused(books.ask(&server, &["x"]), &server, &[books.path().to_str().expect("UTF-8")]);
            assert!(std::fs::read(books.path()).expect("read") == content, "it was touched");
        }
    }

    #[test]
    fn a_database_of_another_program_is_not_touched() {
        let (server, books) = (fine(), Books::new());
        std::fs::create_dir(books.data()).expect("made");
        books.read().execute_batch("CREATE TABLE theirs (x)").expect("made");
        let before = std::fs::read(books.path()).expect("read");
        is_refused(books.ask(&server, &["x"]), &server, &["is not a ledger of llmx"]);
        assert!(std::fs::read(books.path()).expect("read") == before, "it was touched");
    }

    #[test]
    fn a_newer_schema_keeps_the_call_from_being_sent_and_stays_as_it_is() {
        let (server, books) = (fine(), begun());
        books.read().execute_batch("PRAGMA user_version = 99").expect("set");
        is_refused(books.ask(&server, &["x"]), &server, &["schema 99", "newer llmx"]);
        let calls: i64 = books.read().query_row("SELECT count(*) FROM call", [], |row| row.get(0)).expect("counted");
        assert_eq!(calls, 1);
    }

    /// The call in a shell where no file may grow beyond this many bytes.
    #[cfg(target_os = "linux")]
    fn within(books: &Books, server: &Server, bytes: u64) -> Llmx {
        // A shell counts in blocks of 512 bytes. Unless it is ignored, a signal tells of the limit.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$LLMX\" chat -m openai/gpt-4o-mini x", bytes / 512);
        let llmx =
            Llmx::shell(&script).env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", format!("{}/v1", server.url()));
        books.used_by(llmx)
    }

    #[cfg(target_os = "linux")]
    fn log_bytes(books: &Books) -> u64 {
        books.path().with_extension("db-wal").metadata().expect("a log").len()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_before_the_call_keeps_it_from_being_sent_and_breaks_nothing() {
        let (server, books) = (fine(), Books::new());
        is_refused(within(&books, &server, 4096), &server, &["free space"]);
        books.ask(&server, &["x"]).run().exits(0);
        is_refused(within(&books, &server, log_bytes(&books)), &Server::new(Script::bare()), &["free space"]);
        books.ask(&server, &["x"]).run().exits(0);
        books.are_whole();
        assert_eq!((books.calls().len(), server.requests().len()), (2, 2));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_after_the_call_costs_the_user_neither_answer_nor_amount() {
        let books = begun();
        // Too long for what is left, and for the spill.
        let long = "word ".repeat(80_000);
        let server = Server::new(Script::stream(whole(&long)));
        let done = within(&books, &server, log_bytes(&books) + (160 << 10)).run().exits(1);
        let done = done.prints(&format!("{long}\n")).says(&["free space", "kept in", "booked when llmx next starts"]);
        assert!(!done.err.contains("panicked"));
        let late = books.llmx(&["logs", "-j"]).run().exits(0).says(&["booked 1 call(s)"]).json();
        assert_eq!((&late["calls"][0]["cost"]["usd"], &late["calls"][0]["open"]), (&json!(WHOLE_USD), &json!(false)));
        books.are_whole();
        assert!(spills(&books).is_empty(), "{:?}", spills(&books));
    }

    fn spills(books: &Books) -> Vec<PathBuf> {
        below(&books.data().join("ledger.spill")).into_iter().filter(|path| path.is_file()).collect()
    }

    /// A call whose answer waits until the ledger was done something to.
    #[track_caller]
    fn meanwhile<T>(books: &Books, work: impl FnOnce() -> T) -> (Done, T) {
        let server = Server::new(Script::bare().gate("answer").raw(answer()));
        let running = books.ask(&server, &["x"]).config(PATIENT).spawn();
        server.await_request();
        let kept = work();
        server.open("answer");
        (running.done(), kept)
    }

    /// The head and the whole body.
    fn answer() -> String {
        let body = whole(TEXT);
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n{body}")
    }

    /// The call that was kept beside the ledger is booked by the next start, once.
    #[track_caller]
    fn is_booked_late(books: &Books, calls: usize) {
        let first = books.llmx(&["logs", "-j"]).run().exits(0).says(&["booked 1 call(s)"]).json();
        let again = books.llmx(&["logs", "-j"]).run().exits(0).stays_quiet().json();
        assert_eq!(first, again);
        let listed = first["calls"].as_array().expect("a list");
        assert_eq!(listed.len(), calls, "{first}");
        let late = &listed[0];
        assert_eq!((&late["cost"]["basis"], &late["cost"]["usd"]), (&json!("table"), &json!(WHOLE_USD)), "{late}");
        assert_eq!((&late["open"], &late["error"]), (&json!(false), &Value::Null));
        books.are_whole();
    }

    #[test]
    fn a_ledger_that_is_locked_when_the_answer_ends_is_told_later() {
        let books = begun();
        let (done, other) = meanwhile(&books, || {
            let other = books.read();
            other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
            other
        });
        done.exits(1).prints(&format!("{TEXT}\n")).says(&["locked by another program", "kept in"]);
        drop(other);
        is_booked_late(&books, 2);
    }

    #[test]
    fn a_ledger_that_is_deleted_while_llmx_runs_loses_no_call() {
        let books = begun();
        let (done, ()) = meanwhile(&books, || std::fs::remove_file(books.path()).expect("removed"));
        done.exits(1).prints(&format!("{TEXT}\n")).says(&["deleted or replaced", "kept in"]);
        is_booked_late(&books, 1);
    }

    #[test]
    fn a_ledger_that_is_replaced_while_llmx_runs_loses_no_call() {
        let (books, other) = (begun(), begun());
        let (done, ()) = meanwhile(&books, || std::fs::rename(other.path(), books.path()).expect("moved"));
        done.exits(1).prints(&format!("{TEXT}\n")).says(&["deleted or replaced", "kept in"]);
        let late = books.llmx(&["logs", "-j", "-m", "gpt-4o-mini"]).run();
        assert!(late.code == 0 || late.err.contains("damaged"), "{late:?}");
    }

    #[test]
    fn a_folder_that_is_deleted_while_llmx_runs_loses_no_call() {
        let books = begun();
        let (done, ()) = meanwhile(&books, || std::fs::remove_dir_all(books.data()).expect("removed"));
        done.exits(1).prints(&format!("{TEXT}\n")).says(&["deleted or replaced", "kept in"]);
        is_booked_late(&books, 1);
    }

    #[test]
    fn thirty_first_runs_at_once_all_succeed_and_are_all_booked() {
        let (server, books) = (fine(), Books::new());
        for run in 1..=2 {
            let running: Vec<_> =
                (0..30).map(|number| books.ask(&server, &[&format!("call {number}")]).spawn()).collect();
            for one in running {
                one.done().exits(0).prints(&format!("{TEXT}\n")).stays_quiet();
            }
            let calls = books.calls();
            assert_eq!((calls.len(), server.requests().len()), (30 * run, 30 * run));
            assert!(calls.iter().all(|call| call["cost"]["usd"] == WHOLE_USD), "{calls:?}");
            books.are_whole();
            assert!(spills(&books).is_empty(), "{:?}", spills(&books));
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_written_is_its_owners_alone_whatever_the_umask() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        let books = Books::new();
        let server = Server::new(Script::bare().gate("answer").raw(answer()));
        let llmx = Llmx::shell("umask 000; exec \"$LLMX\" chat -m openai/gpt-4o-mini x")
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", format!("{}/v1", server.url()));
        let running = books.used_by(llmx).spawn();
        server.await_request();
        let during = below(&books.data());
        let loose = |paths: &[PathBuf]| -> Vec<String> {
            let wanted = |path: &PathBuf| if path.is_dir() { 0o700 } else { 0o600 };
            let wrong = paths.iter().filter(|path| mode(path) != wanted(path));
            wrong.map(|path| format!("{} is {:o}", path.display(), mode(path))).collect()
        };
        assert_eq!(loose(&during), Vec::<String>::new());
        // The folder, the ledger, its log and index, the folder of leases and the lease.
        assert_eq!(during.len(), 6, "{during:?}");
        std::fs::remove_file(books.path()).expect("removed");
        server.open("answer");
        running.done().exits(1);
        assert_eq!(spills(&books).len(), 1);
        assert_eq!(loose(&below(&books.data())), Vec::<String>::new());
        let copy = books.folder.path().join("copy.db");
        let script = format!("umask 000; exec \"$LLMX\" ledger backup {}", copy.display());
        books.used_by(Llmx::shell(&script)).run().exits(0);
        assert_eq!(mode(&copy), 0o600);
    }
}
