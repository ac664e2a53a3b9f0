//! What keeps a call from costing more than it may, and what follows one that failed, as the built binary does it.

mod common;

use common::binary::{Done, KEY, Llmx};
use common::bodies::{DONE, chat_stream, event, says};
use common::server::{Request, Script, Server};
use llmx::domain::money::Usd;
use serde_json::{Value, json};

/// A ledger that outlives the runs.
struct Books {
    folder: tempfile::TempDir,
}

impl Books {
    fn new() -> Books {
        Books { folder: tempfile::tempdir().expect("a folder") }
    }

    fn llmx(&self, args: &[&str]) -> Llmx {
        Llmx::new(args).env("LLMX_DB", self.folder.path().join("ledger.db"))
    }

    /// A call to gpt-4o-mini at this server; what stands in for it is `other`. 2026-11-22: $0.15 for input and $0.6 for
    /// output, each for a million tokens (openai.com/api/pricing).
    fn ask(&self, server: &Server, other: &Server, args: &[&str]) -> Llmx {
        self.llmx(&["chat", "-m", "openai/gpt-4o-mini", "Why?"])
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", format!("{}/v1", server.url()))
            .env("GROQ_API_KEY", KEY)
            .env("LLMX_GROQ_BASE_URL", other.url())
            .args(args)
    }

    /// Every call, oldest first.
    fn calls(&self) -> Vec<Value> {
        let listed = self.llmx(&["logs", "-j", "-n", "100000"]).run().exits(0).json();
        let mut calls = listed["calls"].as_array().expect("a list").clone();
        calls.reverse();
        calls
    }

    #[track_caller]
    fn are_whole(&self) {
        self.llmx(&["ledger", "check"]).run().exits(0);
    }
}

/// A whole answer of Chat Completions that counts so many tokens.
fn counted(text: &str, input: u64, output: u64) -> Script {
    let usage = event(&json!({"choices": [], "usage": {"prompt_tokens": input, "completion_tokens": output,
        "total_tokens": input + output}}));
    let stop = event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    Script::stream(format!("{}{stop}{usage}{DONE}", says(text)))
}

fn refused(status: u16) -> Script {
    Script::json(status, r#"{"error": {"message": "no"}}"#)
}

fn never() -> Server {
    Server::new(refused(500))
}

mod repeating {
    use super::{Books, Script, Server, counted, json, never, refused};

    #[test]
    fn a_provider_that_fails_once_is_asked_again_and_both_attempts_are_booked() {
        for status in [429, 500, 502, 503, 529, 409, 408] {
            let (server, books) = (Server::of(vec![refused(status), counted("fine", 7, 5)]), Books::new());
            let object = books.ask(&server, &never(), &["-j"]).run().exits(0).json();
            assert_eq!((&object["text"], &object["timing"]["attempts"]), (&json!("fine"), &json!(2)), "{status}");
            assert_eq!(object["earlier"][0]["error"]["status"], status);
            let calls = books.calls();
            assert_eq!((calls.len(), server.requests().len()), (2, 2), "{status}");
            assert_eq!((&calls[0]["cost"]["basis"], &calls[0]["cost"]["usd"]), (&json!("nothing"), &json!("0")));
            assert_eq!(calls[1]["retry_of"], calls[0]["id"], "{status}");
            books.are_whole();
        }
    }

    #[test]
    fn retries_are_as_many_as_were_asked_for_and_two_by_default() {
        for (args, requests) in
            [(&[][..], 3), (&["--retries", "0"][..], 1), (&["--retries", "1"][..], 2), (&["--retries", "5"][..], 6)]
        {
            let (server, books) = (Server::new(refused(503)), Books::new());
            let done = books.ask(&server, &never(), args).run().exits(6);
            assert_eq!((server.requests().len(), books.calls().len()), (requests, requests), "{args:?}");
            assert_eq!(done.err.matches("; again in").count(), requests - 1, "{}", done.err);
        }
    }

    #[test]
    fn what_waiting_does_not_mend_is_asked_once() {
        for (status, body, code) in [
            (400, r#"{"error": {"message": "no"}}"#, 1),
            (401, r#"{"error": {"message": "no"}}"#, 3),
            (403, r#"{"error": {"message": "no"}}"#, 4),
            (404, r#"{"error": {"message": "no"}}"#, 4),
            (429, r#"{"error": {"message": "no", "code": "insufficient_quota"}}"#, 5),
            (429, r#"{"error": {"message": "Rate limit reached: 200000 tokens per day"}}"#, 5),
            (504, r#"{"error": {"message": "no"}}"#, 6),
        ] {
            let (server, books) = (Server::new(Script::json(status, body)), Books::new());
            books.ask(&server, &never(), &[]).run().exits(code);
            assert_eq!((server.requests().len(), books.calls().len()), (1, 1), "{status} {body}");
        }
    }

    #[test]
    fn a_servers_wait_is_waited_and_one_that_is_too_long_ends_the_call() {
        let wait = |millis: &str| Script::head(429, &[("retry-after-ms", millis), ("content-length", "0")]);
        let (server, books) = (Server::of(vec![wait("15"), counted("fine", 7, 5)]), Books::new());
        let object = books.ask(&server, &never(), &["-j"]).run().exits(0).json();
        let waited = object["earlier"][0]["timing"]["waited_ms"].as_u64().expect("a number");
        assert!((15..=17).contains(&waited), "{waited}");
        let (server, books) = (Server::new(wait("3600000")), Books::new());
        books.ask(&server, &never(), &[]).run().exits(5);
        assert_eq!(server.requests().len(), 1);
    }

    #[test]
    fn nothing_is_asked_again_once_a_piece_of_a_tool_call_or_a_text_beside_an_error_came() {
        let spoken = crate::common::bodies::chat();
        let pieces = [&spoken.calling, &spoken.argument, &spoken.refusal].map(String::as_str).concat();
        let pieces = pieces.replace("m-1", "gpt-4o-mini");
        let beside = json!({"error": {"code": 429, "message": "slow down"},
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "It is."}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 500, "total_tokens": 507}});
        // 7 × $0.15 and 500 × $0.6 for a million.
        for (script, basis, usd) in [
            (Script::stream(pieces), "estimated", None),
            (Script::json(200, beside.to_string()), "table", Some(json!("0.00030105"))),
        ] {
            let (server, books) = (Server::of(vec![script, counted("fine", 7, 5)]), Books::new());
            books.ask(&server, &never(), &[]).run().exits(5);
            let calls = books.calls();
            assert_eq!((server.requests().len(), calls.len(), &calls[0]["cost"]["basis"]), (1, 1, &json!(basis)));
            if let Some(usd) = usd {
                assert_eq!(calls[0]["cost"]["usd"], usd);
            }
            books.are_whole();
        }
    }

    #[test]
    fn a_gateway_that_gave_up_waiting_is_not_asked_again_even_where_ambiguous_failures_are() {
        let ambiguous = "[fallback]\non = [\"ambiguous\"]\n";
        for (script, requests) in [(refused(504), 1), (refused(524), 1), (Script::bare(), 2)] {
            let (server, books) = (Server::new(script), Books::new());
            books.ask(&server, &never(), &[]).config(ambiguous).run().exits(6);
            assert_eq!((server.requests().len(), books.calls().len()), (requests, requests));
        }
    }

    #[test]
    fn nothing_is_asked_again_once_a_token_was_shown() {
        let begun = Script::events().piece(super::says("It ")).reset();
        let (server, books) = (Server::of(vec![begun, counted("fine", 7, 5)]), Books::new());
        books.ask(&server, &never(), &[]).run().exits(6).prints("It \n");
        assert_eq!((server.requests().len(), books.calls().len()), (1, 1));
    }
}

mod standing_in {
    use super::{Books, Script, Server, chat_stream, counted, json, refused};

    #[test]
    fn another_model_is_asked_where_the_first_cannot_answer_and_that_is_said() {
        for (status, requests) in [(403, 1), (404, 1), (402, 1), (503, 3), (429, 3), (504, 1)] {
            let (server, other) = (Server::new(refused(status)), Server::new(chat_stream_script()));
            let books = Books::new();
            let done = books.ask(&server, &other, &["--fallback", "groq/llama-3.3-70b-versatile"]).run().exits(0);
            done.prints("Hello\n").says(&["openai/gpt-4o-mini", "asking groq/llama-3.3-70b-versatile instead"]);
            assert_eq!((server.requests().len(), other.requests().len()), (requests, 1), "{status}");
            let calls = books.calls();
            assert_eq!(calls.len(), requests + 1, "{status}");
            assert_eq!(calls[requests]["provider"], "groq");
            assert_eq!(calls[requests]["retry_of"], calls[0]["id"]);
        }
    }

    fn chat_stream_script() -> Script {
        Script::stream(chat_stream("Hello"))
    }

    #[test]
    fn what_would_fail_there_as_well_is_not_asked_again() {
        for status in [400, 401] {
            let (server, other) = (Server::new(refused(status)), Server::new(chat_stream_script()));
            let books = Books::new();
            books.ask(&server, &other, &["--fallback", "groq/llama-3.3-70b-versatile"]).run();
            assert_eq!((server.requests().len(), other.requests().len()), (1, 0), "{status}");
        }
    }

    #[test]
    fn a_wait_that_is_too_long_is_not_waited_where_another_model_can_answer() {
        let limited = Script::head(429, &[("retry-after", "3600"), ("content-length", "0")]);
        let (server, other) = (Server::new(limited), Server::new(chat_stream_script()));
        let books = Books::new();
        books.ask(&server, &other, &["--fallback", "groq/llama-3.3-70b-versatile"]).run().exits(0).prints("Hello\n");
        assert_eq!(server.requests().len(), 1);
    }

    #[test]
    fn a_prompt_that_is_too_long_goes_only_to_a_model_with_a_larger_window() {
        let long = Script::json(400, r#"{"error": {"message": "no", "code": "context_length_exceeded"}}"#);
        // 2026-11-22: 128,000 tokens for gpt-4o-mini, 1,047,576 for gpt-4.1-mini, 131,072 for Llama 3.3 at Groq.
        for (other, asked) in
            [("openai/gpt-4.1-mini", true), ("openai/gpt-4o", false), ("openai/gpt-4o,openai/gpt-4.1-mini", true)]
        {
            let server = Server::of(vec![long.clone(), counted("fine", 7, 5)]);
            let books = Books::new();
            let done = books.ask(&server, &super::never(), &["--fallback", other]).run();
            assert_eq!(
                (done.code == 0, server.requests().len()),
                (asked, 1 + usize::from(asked)),
                "{other}: {}",
                done.err
            );
        }
    }

    #[test]
    fn a_filter_that_refused_is_gone_around_only_where_the_user_asks() {
        let filtered = Script::json(400, r#"{"error": {"message": "no", "code": "content_filter"}}"#);
        for (on, code) in [("", 7), ("on = [\"content-filter\"]", 0)] {
            let (server, other) = (Server::new(filtered.clone()), Server::new(chat_stream_script()));
            let config = format!("[fallback]\nmodels = [\"groq/llama-3.3-70b-versatile\"]\n{on}\n");
            Books::new().ask(&server, &other, &[]).config(&config).run().exits(code);
        }
    }

    #[test]
    fn a_stand_in_that_cannot_be_asked_from_here_is_left_out_and_that_is_said() {
        let (server, other) = (Server::new(refused(503)), super::never());
        let done =
            Books::new().ask(&server, &other, &["--fallback", "mistral/mistral-large-latest", "-j"]).run().exits(6);
        assert_eq!(done.json()["timing"]["attempts"], json!(3));
        done.says(&["the fallback mistral/mistral-large-latest is left out"]);
    }
}

/// A budget that has room for one attempt, and none for what would follow it.
mod no_room_for_more {
    use super::{Books, KEY, Script, Server, Usd, counted, json, never, refused};

    /// The most that the call to gpt-4o-mini can cost.
    fn ceiling() -> Usd {
        let (server, books) = (Server::new(counted("fine", 7, 5)), Books::new());
        books.ask(&server, &never(), &["--max-tokens", "20"]).run().exits(0);
        books.calls()[0]["ceiling_usd"].as_str().and_then(Usd::parse).expect("an amount")
    }

    #[test]
    fn a_stand_in_that_is_refused_denies_nothing_of_what_was_sent() {
        let most = ceiling();
        for (status, basis, billed) in [(504, "ceiling", true), (404, "nothing", false)] {
            let (server, other, books) =
                (Server::new(refused(status)), Server::new(counted("fine", 7, 5)), Books::new());
            // The one that failed with 404 cost nothing: the other one is dearer than the whole budget.
            books.llmx(&["budget", "set", "b", &format!("{most}/day"), "--no-clip", "--warn", "none"]).run().exits(0);
            let args = ["--max-tokens", "20", "--fallback", "groq/llama-3.3-70b-versatile", "-j"];
            let done = books.ask(&server, &other, &args).run().exits(8);
            let object = done.json();
            let calls = books.calls();
            assert_eq!((server.requests().len(), other.connections(), calls.len()), (1, 0, 1), "{status}");
            assert_eq!(
                (&object["id"], &object["text"], &object["model"]),
                (&json!(null), &json!(""), &json!("llama-3.3-70b-versatile"))
            );
            assert_eq!(object["timing"]["attempts"], 1);
            let earlier = &object["earlier"][0];
            assert_eq!((&earlier["id"], &earlier["error"]["status"]), (&calls[0]["id"], &json!(status)), "{object}");
            assert_eq!((&earlier["cost"]["basis"], &calls[0]["cost"]["basis"]), (&json!(basis), &json!(basis)));
            assert_eq!(earlier["cost"]["at_most_usd"], calls[0]["cost"]["at_most_usd"], "{status}");
            let error = &object["error"];
            assert_eq!(
                (&error["type"], &error["budget"], &error["class"]),
                (&json!("budget"), &json!("b"), &json!("budget"))
            );
            assert_eq!((&error["request_sent"], &error["may_be_billed"]), (&json!(true), &json!(billed)), "{error}");
            done.says(&["groq/llama-3.3-70b-versatile: budget b", "nothing more was sent; the first attempt failed: "]);
            books.are_whole();
        }
    }

    #[test]
    fn a_run_of_a_comparison_keeps_the_amount_of_the_attempt_that_was_made() {
        let most = ceiling();
        let (server, books) = (Server::new(Script::bare().reset()), Books::new());
        books.llmx(&["budget", "set", "b", &format!("{most}/day"), "--no-clip", "--warn", "none"]).run().exits(0);
        let llmx = books
            .llmx(&["compare", "-m", "openai/gpt-4o-mini", "--max-tokens", "20", "-j", "Why?"])
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", format!("{}/v1", server.url()))
            .file("config/llmx/config.toml", "[retry]\nambiguous = true\nbackoff_ms = 1\n");
        let object = llmx.run().exits(8).json();
        let calls = books.calls();
        assert_eq!((server.requests().len(), calls.len()), (1, 1));
        assert_eq!(object["calls"][0]["earlier"][0]["id"], calls[0]["id"], "{object}");
        assert_eq!(object["summary"]["cost"]["at_most_usd"], calls[0]["cost"]["at_most_usd"]);
        assert_eq!(object["summary"]["cost"]["calls"], 1);
    }
}

/// A percent of a budget that is reached is told, whichever attempt reached it.
mod alerts {
    use super::{Books, Server, counted, json, refused};

    #[test]
    fn an_attempt_that_is_followed_by_another_tells_what_it_reached() {
        for args in [&[][..], &["-j"][..]] {
            let (server, other, books) = (Server::new(refused(504)), Server::new(counted("fine", 7, 5)), Books::new());
            books
                .llmx(&["budget", "set", "b", "0.0000001/day", "--soft", "--warn", "50", "--provider", "openai"])
                .run()
                .exits(0);
            let llmx =
                books.ask(&server, &other, &["--max-tokens", "20", "--fallback", "groq/llama-3.3-70b-versatile"]);
            let done = llmx.args(args).run().exits(0);
            assert_eq!(done.err.matches("budget b: 50 % of $0.0000001/day used").count(), 1, "{}", done.err);
            if !args.is_empty() {
                let object = done.json();
                assert_eq!(
                    (&object["alerts"][0]["percent_reached"], object["alerts"].as_array().map(Vec::len)),
                    (&json!(50), Some(1))
                );
            }
        }
    }
}

mod max_cost {
    use super::{Books, Server, counted, event, json, never, says};
    use crate::common::server::Script;

    #[test]
    fn a_call_that_may_cost_more_is_sent_with_a_lower_cap_and_that_is_said() {
        let (server, books) = (Server::new(counted("fine", 7, 5)), Books::new());
        // Without a cap the model's own holds: 16,384 tokens, $0.0098.
        let done = books.ask(&server, &never(), &["--max-cost", "0.001"]).run().exits(0);
        done.says(&["a budget leaves room for an answer of", "lowered from 16384"]);
        let body = server.request().json();
        let cap = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()).expect("a cap");
        // $0.001 pays for 1,666 tokens of output at most.
        assert!((256..=1666).contains(&cap), "{cap}");
        assert_eq!(books.calls()[0]["clipped_from"], 16_384);
    }

    #[test]
    fn what_leaves_too_little_room_is_refused_and_nothing_is_sent() {
        for args in [&["--max-cost", "0.0001"][..], &["--max-cost", "0.001", "--no-clip"][..], &["--max-cost", "0"][..]]
        {
            let (server, books) = (Server::new(counted("fine", 7, 5)), Books::new());
            let done = books.ask(&server, &never(), args).run().exits(8).prints("");
            done.says(&["--max-cost", "nothing was sent", "try:"]);
            assert_eq!((server.connections(), books.calls().len()), (0, 0), "{args:?}");
            let refused = books.llmx(&["logs", "--refused", "-j"]).run().exits(0).json();
            assert_eq!(refused["refused"].as_array().map(Vec::len), Some(1), "{refused}");
        }
    }

    #[test]
    fn an_answer_that_passes_it_all_the_same_is_stopped_and_booked() {
        let word = |model: &str| {
            event(
                &json!({"id": "c1", "model": model, "choices": [{"index": 0, "delta": {"content": "a word too much "}}]}),
            )
        };
        // The second server says that another model answers, which has no price.
        for (model, basis) in [("gpt-4o-mini-2024-07-18", "estimated"), ("m-1", "unpriced")] {
            let (server, books) = (Server::new(Script::events().forever(word(model))), Books::new());
            let done = books.ask(&server, &never(), &["--max-cost", "0.0005", "-j"]).run().exits(8);
            let error = &done.json()["error"];
            assert_eq!((&error["class"], &error["may_be_billed"]), (&json!("budget"), &json!(true)), "{error}");
            assert!(error["message"].as_str().is_some_and(|message| message.contains("--max-cost")), "{error}");
            server.await_disconnect();
            assert_eq!(books.calls()[0]["cost"]["basis"], basis);
            books.are_whole();
        }
    }

    #[test]
    fn a_price_that_nobody_knows_is_refused() {
        let (server, books) = (Server::new(counted("fine", 7, 5)), Books::new());
        let args = ["chat", "-m", "openai/gpt-99-never", "--max-cost", "5", "-j", "hi"];
        let llmx = books.llmx(&args).env("OPENAI_API_KEY", super::KEY).env("OPENAI_BASE_URL", server.url());
        let object = llmx.run().exits(8).json();
        assert_eq!(object["error"]["request_sent"], false, "{object}");
        assert_eq!(server.connections(), 0);
    }

    #[test]
    fn an_answer_that_ends_at_a_lowered_cap_says_that_a_budget_stopped_it() {
        let stop = event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}));
        let server = Server::new(Script::stream(format!("{}{stop}{}", says("It "), super::DONE)));
        let object = Books::new().ask(&server, &never(), &["--max-cost", "0.001", "-j"]).run().exits(0).json();
        assert_eq!((&object["stopped"], &object["stop_reason"]), (&json!("budget"), &json!("length")));
    }
}

/// A provider that charges for more than it was asked for.
mod bound {
    use super::{Books, DONE, Script, Server, event, json, never};

    /// An answer of gpt-4o-mini that counts so many tokens of output, and 7 of input.
    fn long(output: u64) -> Script {
        let answer = event(&json!({"model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "delta": {"content": "fine"}, "finish_reason": "stop"}]}));
        let usage = json!({"prompt_tokens": 7, "completion_tokens": output, "total_tokens": 7 + output});
        Script::stream(format!("{answer}{}{DONE}", event(&json!({"choices": [], "usage": usage}))))
    }

    #[test]
    fn an_answer_beyond_its_cap_is_booked_as_it_is_and_told() {
        let (server, books) = (Server::new(long(50_000)), Books::new());
        books.llmx(&["budget", "set", "small", "0.02/day"]).run().exits(0);
        let done = books.ask(&server, &never(), &["--max-tokens", "10", "-j"]).run().exits(0);
        let object = done.json();
        // 7 × $0.15 and 50,000 × $0.6 for a million; what was held has room for ten tokens of output.
        assert_eq!(object["cost"]["usd"], "0.03000105");
        let told = object["notes"][0].as_str().expect("a note");
        assert!(told.starts_with("bound violated: it cost $0.03000105 where at most $0.0"), "{told}");
        assert!(told.ends_with("was held; 50000 tokens of output came where 10 were asked for"), "{told}");
        done.says(&["llmx: bound violated: it cost $0.03000105"]);

        let shown = books.llmx(&["logs", "show", object["id"].as_str().expect("an id")]).run().exits(0);
        assert!(shown.text().contains("  bound violated: it cost $0.03000105"), "{}", shown.text());
        let status = books.llmx(&["budget", "status", "-j"]).run().exits(0).json();
        let excess = &status["budgets"][0]["excesses"][0];
        assert_eq!((&excess["call"], &excess["counts_usd"]), (&object["id"], &json!("0.03000105")), "{status}");
        let status = books.llmx(&["budget", "status"]).run().exits(0);
        assert!(status.text().contains(" was held (bound violated)\n"), "{}", status.text());
        let refused = books.ask(&server, &never(), &[]).run().exits(8);
        refused.says(&["over by $0.01000105", "nothing was sent"]);
        books.are_whole();
    }

    #[test]
    fn a_lowered_cap_is_the_bound_that_is_held_against_the_answer() {
        let (server, books) = (Server::new(long(1_700)), Books::new());
        books.llmx(&["budget", "set", "small", "0.001/day"]).run().exits(0);
        let done = books.ask(&server, &never(), &["-j"]).run().exits(0);
        let told = done.json()["notes"][0].as_str().expect("a note").to_owned();
        let body = server.request().json();
        let cap = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()).expect("a cap");
        assert!(told.ends_with(&format!("1700 tokens of output came where {cap} were asked for")), "{told}");
    }

    #[test]
    fn what_was_held_and_what_it_cost_may_be_the_same() {
        let (server, books) = (Server::new(long(10)), Books::new());
        let object = books.ask(&server, &never(), &["--max-tokens", "10", "-j"]).run().exits(0).json();
        assert_eq!(object["notes"], json!([]), "{object}");
    }
}

/// What `-P` lays over a request is in what is quoted, or the request is not sent.
mod laid_over {
    use super::{Books, Server, Value, counted, json, never};

    fn run(args: &[&str], code: i32) -> (Vec<Value>, Vec<Value>, String) {
        let (server, books) = (Server::new(counted("fine", 7, 5)), Books::new());
        let done = books.ask(&server, &never(), args).run().exits(code);
        let sent: Vec<Value> = server.requests().iter().map(super::Request::json).collect();
        let calls = books.calls();
        assert_eq!(sent.len(), calls.len(), "{args:?}");
        books.are_whole();
        (sent, calls, done.err)
    }

    #[test]
    fn a_cap_that_is_forced_is_quoted_and_is_never_said_to_be_lowered() {
        // $0.001 pays for 1,666 tokens of output at most, and the model's own cap is 16,384.
        for forced in [
            "max_tokens=100000",
            "max_completion_tokens=10000",
            "max_completion_tokens=\"100000\"",
            "max_tokens=100000.0",
            "max_tokens=-1",
            "max_tokens=null",
        ] {
            let (sent, _, err) = run(&["--max-cost", "0.001", "--max-tokens", "10", "-P", forced], 8);
            assert!(sent.is_empty() && !err.contains("lowered"), "{forced}: {err}");
        }
        let (sent, calls, _) = run(&["--max-cost", "0.001", "-P", "max_tokens=1000"], 0);
        assert_eq!((&sent[0]["max_tokens"], &calls[0]["clipped_from"]), (&json!(1000), &Value::Null));
    }

    #[test]
    fn a_cap_is_lowered_below_other_settings_and_for_as_many_answers_as_are_asked_for() {
        let (sent, _, _) = run(&["--max-cost", "0.001", "-P", "top_k=3"], 0);
        assert!(sent[0]["max_tokens"].as_u64().is_some_and(|cap| cap <= 1666), "{sent:?}");
        let (sent, calls, _) = run(&["--max-cost", "0.001", "--max-tokens", "1000", "-P", "n=5"], 0);
        assert!(sent[0]["max_tokens"].as_u64().is_some_and(|cap| cap <= 333), "{sent:?}");
        assert_eq!(calls[0]["clipped_from"], 1000);
    }

    #[test]
    fn what_no_cap_and_no_bytes_bound_is_refused_and_the_reason_is_said() {
        for (laid, reason) in [
            ("tools=[{\"type\":\"web_search\"}]", "tools of the provider"),
            ("n=\"5\"", "how many answers"),
            ("n=50.0", "how many answers"),
            (
                "messages.0.content=[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x.invalid/y\"}}]",
                "-P messages",
            ),
            ("previous_response_id=resp_1", "previous_response_id"),
            ("models=[\"openai/gpt-5.5-pro\"]", "another model"),
            ("prediction={\"type\":\"content\",\"content\":\"x\"}", "prediction"),
        ] {
            let args = ["--max-cost", "1", "--max-tokens", "10", "-P", laid];
            let (sent, _, err) = run(&args, 8);
            assert!(sent.is_empty() && err.contains(reason) && err.contains("leave that out"), "{laid}: {err}");
        }
    }

    #[test]
    fn a_tier_is_priced_as_it_is_asked_for_and_one_that_nobody_knows_is_refused() {
        // In the bundled table priority is dearer: $1 for a million tokens of output, against $0.6.
        run(&["--max-cost", "0.0008", "--no-clip", "--max-tokens", "1000"], 0);
        run(&["--max-cost", "0.0008", "--no-clip", "--max-tokens", "1000", "-P", "service_tier=priority"], 8);
        for unknown in ["service_tier=fastest", "service_tier=3"] {
            run(&["--max-cost", "1", "-P", unknown], 8);
        }
    }

    #[test]
    fn a_model_named_in_other_letters_does_not_get_around_its_budget() {
        let (server, books) = (Server::new(counted("fine", 7, 5)), Books::new());
        books.llmx(&["budget", "set", "mini", "0.00001/day", "--model", "openai/gpt-4o-mini"]).run().exits(0);
        let llmx = books.llmx(&["chat", "-m", "openai/GPT-4o-mini", "hi"]).env("OPENAI_API_KEY", super::KEY);
        llmx.env("OPENAI_BASE_URL", server.url()).run().exits(8).says(&["budget mini"]);
        assert_eq!(server.connections(), 0);
        // What stood in the books before the budget counts as well.
        let books = Books::new();
        let llmx = books.llmx(&["chat", "-m", "openai/GPT-4o-mini", "hi"]).env("OPENAI_API_KEY", super::KEY);
        llmx.env("OPENAI_BASE_URL", server.url()).run().exits(0);
        books.llmx(&["budget", "set", "mini", "1/day", "--model", "OpenAI/*mini"]).run().exits(0);
        let listed = books.llmx(&["budget", "status", "-j"]).run().exits(0).json();
        assert_eq!(listed["budgets"][0]["calls"], 1, "{listed}");
        books.are_whole();
    }

    #[test]
    fn another_model_than_the_one_that_is_booked_cannot_be_asked_for() {
        let (_, _, err) = run(&["-P", "model=gpt-5.5-pro"], 2);
        assert!(err.contains("-m"), "{err}");
    }

    #[test]
    fn a_thinking_budget_of_the_users_own_stays_below_a_lowered_cap() {
        // $15 for a million tokens of output in the bundled table: $0.02 pays for 1,333 at most.
        for (budget, code) in [(1100, 6), (5000, 8)] {
            let (server, books) = (never(), Books::new());
            let thinking = format!("thinking={{\"type\":\"enabled\",\"budget_tokens\":{budget}}}");
            let args = [
                "chat",
                "-m",
                "anthropic/claude-sonnet-4-5",
                "--retries",
                "0",
                "--max-cost",
                "0.02",
                "-P",
                &thinking,
                "hi",
            ];
            let llmx = books.llmx(&args).env("ANTHROPIC_API_KEY", super::KEY).env("ANTHROPIC_BASE_URL", server.url());
            llmx.run().exits(code);
            let caps: Vec<_> = server.requests().iter().map(|request| request.json()["max_tokens"].as_u64()).collect();
            assert!(caps.iter().all(|cap| cap.is_some_and(|cap| cap > budget && cap <= 1333)), "{caps:?}");
            assert_eq!(caps.len(), usize::from(code == 6));
        }
    }
}

mod cap {
    use super::{Books, Done, Server, Usd, counted, never};

    /// Three prices of an answer, in output tokens. At $0.6 a million and 7 tokens of prompt at $0.15.
    const OUTPUTS: [u64; 3] = [40, 200, 400];

    fn charge(output: u64) -> i64 {
        7 * 150_000 + i64::try_from(output).expect("small") * 600_000
    }

    /// Uneven, and the same in every run.
    fn uneven(seed: u64) -> u64 {
        (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) >> 7
    }

    /// Processes at once, some of them killed at random points, against servers that count what they charge. The limit
    /// pays for a part of them. `LLMX_CAP_ROUNDS` raises the number of rounds.
    #[test]
    fn what_two_hundred_processes_are_charged_never_passes_the_limit() {
        let rounds = std::env::var("LLMX_CAP_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2_u64);
        for round in 0..rounds {
            let servers = OUTPUTS.map(|output| Server::new(counted("fine", 7, output)));
            let books = Books::new();
            let limit = 4_000_000_000 + i64::try_from(uneven(round) % 4_000_000_000).expect("small");
            let amount = format!("{}/day", Usd::from_picos(limit));
            books.llmx(&["budget", "set", "cap", &amount]).run().exits(0);
            let running: Vec<_> = (0..200)
                .map(|number| {
                    let seed = uneven(round * 1000 + number);
                    let server = &servers[usize::try_from(seed % 3).expect("small")];
                    // Two budgets, the other one asked first in every second process.
                    let tight = format!("[budget.tight]\nlimit = \"{amount}\"\n");
                    let llmx =
                        books.ask(server, &never_asked(), &["--max-tokens", "400", "--no-clip", "--retries", "0"]);
                    let llmx = if number % 2 == 0 { llmx.config(&tight) } else { llmx };
                    (seed, llmx.spawn())
                })
                .collect();
            let mut ended: Vec<Done> = Vec::new();
            for (seed, running) in running {
                if seed % 5 == 0 { running.kill() } else { ended.push(running.done()) }
            }
            for done in &ended {
                assert!([0, 8].contains(&done.code), "{done:?}");
            }
            let charged: i64 = servers
                .iter()
                .zip(OUTPUTS)
                .map(|(server, output)| i64::try_from(server.requests().len()).expect("few") * charge(output))
                .sum();
            assert!(charged <= limit, "charged {charged} of {limit}");
            let answered = ended.iter().filter(|done| done.code == 0).count();
            assert!(answered > 0 && ended.iter().any(|done| done.code == 8), "{answered} of {}", ended.len());
            books.are_whole();
        }
    }

    fn never_asked() -> Server {
        never()
    }
}
