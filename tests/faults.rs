//! What can go wrong between the request and the end of the answer: exit code, output, error and requests, for each fault.

mod common;

use std::time::Duration;

use common::binary::{Done, KEY, Llmx};
use common::bodies::{self, CHAT_USAGE, DONE, ONE, Spoken, TEXT, chat_stream, chunk, says};
use common::server::{Script, Server};
use serde_json::{Value, json};

/// What became of one call with `-j`.
#[derive(Debug)]
struct Outcome {
    server: Server,
    object: Value,
    done: Done,
}

impl Outcome {
    /// Whether the failure says that trying again may help.
    #[track_caller]
    fn may_be_repeated(&self, may: bool) -> &Outcome {
        assert_eq!(self.object["error"]["retryable"], may, "{}", self.object);
        self
    }

    /// The failure's class, its exit code in both places, and whether it may have cost money.
    #[track_caller]
    fn fails(&self, class: &str, code: i32, may_be_billed: bool) -> &Outcome {
        assert_eq!(self.done.code, code, "{:?}", self.done);
        assert_eq!(self.object["error"]["class"], class, "{}", self.object);
        assert_eq!(self.object["error"]["may_be_billed"], may_be_billed, "{}", self.object);
        assert_eq!(self.object["error"]["exit_code"], code, "{}", self.object);
        self.adds_up()
    }

    #[track_caller]
    fn answers(&self, text: &str) -> &Outcome {
        assert_eq!(self.done.code, 0, "{:?}", self.done);
        assert_eq!((&self.object["error"], &self.object["text"]), (&Value::Null, &json!(text)), "{}", self.object);
        self.adds_up()
    }

    #[track_caller]
    fn text(&self, text: &str) -> &Outcome {
        assert_eq!(self.object["text"], text, "{}", self.object);
        self
    }

    /// Both the message and standard error hold each of these.
    #[track_caller]
    fn says(&self, words: &[&str]) -> &Outcome {
        for word in words {
            assert!(self.done.err.contains(word), "no \"{word}\" in {}", self.done.err);
        }
        self
    }

    #[track_caller]
    fn reports(&self, output: u64) -> &Outcome {
        assert_eq!(
            (&self.object["usage"]["output"], &self.object["usage"]["source"]),
            (&json!(output), &json!("reported"))
        );
        self
    }

    /// The usage is not taken for whole.
    #[track_caller]
    fn is_unconfirmed(&self) -> &Outcome {
        let usage = &self.object["usage"];
        assert!(usage.is_null() || usage["source"] == "partial", "{usage}");
        self
    }

    /// What the server saw is what was tried, and what was tried stands in the books.
    #[track_caller]
    fn adds_up(&self) -> &Outcome {
        let tried = self.object["timing"]["attempts"].as_u64().expect("a number");
        let seen = [self.server.requests().len(), self.server.connections(), self.done.booked()];
        assert_eq!(seen.map(|number| number as u64), [tried; 3], "requests, connections, rows: {}", self.object);
        self
    }
}

/// Asks a server in this dialect; the key holds the canary.
fn ask_in(spoken: &Spoken, server: &Server) -> Llmx {
    Llmx::chat(&["-m", "openai/m-1", "--api", spoken.api, "--base-url", &server.url(), "--max-tokens", "99", "x"])
        .env("OPENAI_API_KEY", KEY)
}

fn outcome(server: Server, llmx: Llmx) -> Outcome {
    let done = llmx.args(&["-j"]).run();
    Outcome { object: done.json(), server, done }
}

/// One call in Chat Completions, asked for as a stream.
fn chat(script: Script) -> Outcome {
    with_limits("", script)
}

/// One call in Chat Completions with these `[limits]`.
fn with_limits(limits: &str, script: Script) -> Outcome {
    let server = Server::new(script);
    let llmx = Llmx::openai(&server, &["x"]).config(&format!("[limits]\n{limits}\n"));
    outcome(server, llmx)
}

/// The same fault in every dialect.
fn in_every_dialect(script: impl Fn(&Spoken) -> Script, check: impl Fn(&Spoken, &Outcome)) {
    for spoken in bodies::all() {
        let server = Server::new(script(&spoken));
        let llmx = ask_in(&spoken, &server);
        check(&spoken, &outcome(server, llmx));
    }
}

/// The stream of a dialect, as it stands open.
fn open(spoken: &Spoken, body: impl AsRef<[u8]>) -> Script {
    Script::chunked(200, spoken.content_type).piece(body)
}

mod connect {
    use super::{Done, Duration, KEY, Llmx, Script, Server, chat_stream, json, with_limits};

    #[test]
    fn a_refused_connection_names_host_and_port_and_cost_nothing() {
        let closed = Server::new(Script::bare());
        let (url, authority) = (closed.url(), closed.authority());
        drop(closed);
        // The port stays closed: nothing else was given it in the meantime.
        let done = Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", &url, "-j", "x"]).env("OPENAI_API_KEY", KEY).run();
        costs_nothing(&done, "network", true);
        done.says(&[&authority, "refused", "try:"]);
    }

    #[test]
    fn a_name_that_nobody_has_is_told_with_where_the_base_url_came_from() {
        let llmx = Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", "https://x.invalid", "-v", "-j", "x"]);
        let done = llmx.env("OPENAI_API_KEY", KEY).run().says(&["x.invalid", "no such host", "--base-url"]);
        costs_nothing(&done, "network", true);
    }

    #[test]
    fn a_plain_port_is_told_to_speak_no_tls() {
        let server = Server::new(Script::bare());
        let url = server.url().replace("http:", "https:");
        let done = Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", &url, "-j", "x"]).env("OPENAI_API_KEY", KEY).run();
        costs_nothing(&done, "network", false);
        done.says(&["does not speak TLS"]);
        assert_eq!((server.requests().len(), server.connections()), (0, 1));
    }

    #[test]
    fn a_tls_handshake_that_stalls_ends_at_its_own_limit() {
        let server = Server::new(Script::mute());
        let url = server.url().replace("http:", "https:");
        let done = Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", &url, "-j", "x"])
            .env("OPENAI_API_KEY", KEY)
            .config("[limits]\ntls_ms = 100\n")
            .run();
        costs_nothing(&done, "timeout", true);
        done.says(&["connected, but no TLS handshake within 0.1 s (limits.tls_ms)"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_call_that_is_stopped_before_anything_left_says_so_and_cost_nothing() {
        let server = Server::new(Script::mute());
        let url = server.url().replace("http:", "https:");
        let llmx = Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", &url, "-j", "x"]).env("OPENAI_API_KEY", KEY);
        let running = llmx.spawn();
        server.await_connection();
        running.signal(rustix::process::Signal::INT);
        let done = running.done().exits(130).says(&["stopped; nothing was sent"]);
        assert!(!done.err.contains("billed"), "{}", done.err);
        assert_eq!((&done.json()["cost"]["basis"], &done.json()["cost"]["usd"]), (&json!("nothing"), &json!("0")));
    }

    /// Linux answers no further caller once the queue of a listener is full.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_that_is_never_made_ends_at_the_connect_limit() {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let here: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
        listener.bind(&here.into()).expect("a port");
        listener.listen(0).expect("listens");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("bound");
        let waiting: Vec<_> = (0..4)
            .filter_map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok())
            .collect();
        assert!(waiting.len() < 4, "the queue is never full");
        let llmx = Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", &format!("http://{address}"), "-j", "x"]);
        let done = llmx.env("OPENAI_API_KEY", KEY).config("[limits]\nconnect_ms = 100\n").run();
        costs_nothing(&done, "timeout", true);
        done.says(&["no connection within 0.1 s (limits.connect_ms)"]);
    }

    /// The failure ended the run, and nobody can charge for it.
    #[track_caller]
    fn costs_nothing(done: &Done, class: &str, may_be_repeated: bool) {
        let object = done.json();
        let error = &object["error"];
        assert_eq!((done.code, &error["class"], &error["may_be_billed"]), (6, &json!(class), &json!(false)), "{error}");
        assert_eq!(error["retryable"], may_be_repeated, "{error}");
        assert_eq!(object["cost"]["usd"], "0", "{object}");
        assert_eq!(object["timing"]["attempts"], done.booked(), "one attempt is one row");
    }

    #[test]
    fn plain_http_beyond_this_machine_never_carries_a_key() {
        for base in ["http://192.0.2.1", "192.0.2.1:8080", "http://x.invalid/v1", "http://127.0.0.1.x.invalid"] {
            let llmx = Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", base, "x"]).env("OPENAI_API_KEY", KEY);
            llmx.run().exits(2).prints("").says(&["plain http", "https://"]);
        }
    }

    #[test]
    fn this_machine_is_never_called_through_a_proxy() {
        for name in ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
            let sink = Server::new(Script::json(200, "{}"));
            let server = Server::new(Script::stream(chat_stream("fine")));
            Llmx::openai(&server, &["x"]).env(name, sink.url()).run().exits(0).prints("fine\n");
            assert_eq!((sink.connections(), server.requests().len()), (0, 1), "{name}");
        }
    }

    #[test]
    fn a_proxy_that_refuses_sees_neither_key_nor_prompt() {
        // The client hands on no other status of a proxy than 407: a policy and a proxy without room look the same.
        for (status, may_be_repeated, words) in
            [(403, true, "refuses"), (407, false, "wants a user and a password"), (502, true, "refuses")]
        {
            let sink = Server::new(Script::head(status, &[("content-length", "0")]));
            let proxy = format!("http://user:pw-CANARY@{}", sink.authority());
            let done = Llmx::chat(&["-m", "openai/gpt-4o", "-j", "x"])
                .env("OPENAI_API_KEY", KEY)
                .env("HTTPS_PROXY", proxy)
                .run();
            costs_nothing(&done, "network", may_be_repeated);
            done.says(&[words, &format!("the proxy {}", sink.authority()), "HTTPS_PROXY"]);
            for request in sink.requests() {
                assert_eq!((request.method.as_str(), request.path.as_str()), ("CONNECT", "api.openai.com:443"));
                assert!(request.body.is_empty() && request.header("authorization").is_none());
            }
        }
    }

    #[test]
    fn a_proxy_that_is_not_there_is_named_without_its_password() {
        let closed = Server::new(Script::bare());
        let authority = closed.authority();
        drop(closed);
        let llmx = Llmx::chat(&["-m", "openai/gpt-4o", "-j", "x"]).env("OPENAI_API_KEY", KEY);
        let done = llmx.env("ALL_PROXY", format!("http://user:pw-CANARY@{authority}")).run();
        costs_nothing(&done, "network", true);
        done.says(&[&format!("the proxy {authority} (ALL_PROXY)"), "refused"]);
    }

    #[test]
    fn a_request_carries_our_id_and_its_exact_length() {
        let server = Server::new(Script::stream(chat_stream("fine")));
        let prompt = "x".repeat(300_000);
        let done = Llmx::openai(&server, &["-j"]).stdin(prompt.clone()).run().exits(0);
        let request = server.request();
        assert_eq!(request.header("x-client-request-id"), done.json()["id"].as_str());
        assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
        assert_eq!((request.header("transfer-encoding"), request.prompt()), (None, prompt));
    }

    #[test]
    fn a_connection_that_ends_before_the_head_may_have_been_billed() {
        for script in [Script::bare(), Script::bare().reset(), Script::bare().raw("HTTP/1.1 20").reset()] {
            let outcome = with_limits("", script);
            outcome.fails("network", 6, true).may_be_repeated(false).says(&["may have been billed"]).text("");
        }
    }

    #[test]
    fn a_head_that_never_comes_ends_at_the_head_limit() {
        let outcome = with_limits("head_ms = 100", Script::bare().silence());
        outcome.fails("timeout", 6, true).may_be_repeated(false).says(&["no answer within 0.1 s (limits.head_ms)"]);
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_has_one_deadline() {
        let slow = Script::bare().raw("HTTP/1.1 200 OK\r\nx: ").drip("y", Duration::from_millis(20));
        with_limits("head_ms = 200", slow).fails("timeout", 6, true).says(&["no answer within 0.2 s"]);
    }

    #[test]
    fn a_flood_of_headers_is_refused() {
        let flood = Script::bare().raw("HTTP/1.1 200 OK\r\n").forever("x-flood: 0123456789\r\n".repeat(1000));
        let outcome = with_limits("", flood);
        outcome.fails("protocol", 6, true).says(&["message head is too large"]);
        assert!(outcome.server.written() < 8 << 20, "{} bytes were taken", outcome.server.written());
    }

    #[test]
    fn interim_answers_for_ever_end_at_the_head_limit() {
        let interim = Script::bare().drip("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", Duration::from_millis(10));
        with_limits("head_ms = 200", interim).fails("timeout", 6, true);
    }

    #[test]
    fn trailers_for_ever_are_refused() {
        let trailers =
            Script::events().piece(super::says("fine")).raw("0\r\n").forever("x: 0123456789\r\n".repeat(1000));
        with_limits("", trailers).fails("network", 6, true).text("fine");
    }

    #[test]
    fn a_connection_that_breaks_while_the_request_is_written_cost_nothing() {
        // Where it is reset at once, nothing may have been written yet.
        for (script, words) in [
            (Script::deaf().reset(), "network"),
            (Script::deaf().takes(1 << 10).reset(), "cut while sending"),
            (Script::deaf().takes(1 << 20), "cut while sending"),
        ] {
            let server = Server::new(script);
            let done = Llmx::openai(&server, &["-j"]).stdin("x".repeat(8 << 20)).run();
            costs_nothing(&done, "network", true);
            assert_eq!(done.json()["timing"]["attempts"], server.connections());
            done.says(&[words]);
        }
    }

    #[test]
    fn a_request_that_nobody_takes_ends_at_the_head_limit_and_cost_nothing() {
        let server = Server::new(Script::mute_and_deaf());
        let llmx = Llmx::openai(&server, &["-j"]).stdin("x".repeat(8 << 20));
        let done = llmx.config("[limits]\nhead_ms = 200\n").run();
        costs_nothing(&done, "timeout", true);
        done.says(&["the request was not taken within 0.2 s (limits.head_ms)"]);
    }

    #[test]
    fn what_is_not_http_is_told() {
        with_limits("", Script::bare().raw("SSH-2.0-OpenSSH_9.9\r\n")).fails("protocol", 6, true);
    }
}

mod statuses {
    use super::{
        Duration, KEY, Llmx, Outcome, Script, Server, Value, ask_in, bodies, chat, json, outcome, with_limits,
    };

    fn error(kind: &str, code: Option<&str>, message: &str) -> String {
        json!({"error": {"message": message, "type": kind, "code": code}}).to_string()
    }

    #[test]
    fn a_status_has_its_class_and_cost_nothing() {
        for (status, kind, code, message, class, exit) in [
            (424, "x", None, "dependency", "invalid-request", 1),
            (402, "x", None, "This request exceeds your in-flight budget", "rate-limit", 5),
            (498, "x", None, "Flex tier capacity exceeded", "rate-limit", 5),
            (400, "invalid_request_error", None, "bad field", "invalid-request", 1),
            (413, "invalid_request_error", None, "too big", "invalid-request", 1),
            (415, "x", None, "media", "invalid-request", 1),
            (422, "x", None, "unprocessable", "invalid-request", 1),
            (400, "x", Some("context_length_exceeded"), "too long", "context-length", 1),
            (400, "x", None, "This model's maximum context length is 8192 tokens", "context-length", 1),
            (400, "x", Some("content_filter"), "filtered", "content-filter", 7),
            (401, "x", Some("invalid_api_key"), "Incorrect API key provided", "auth", 3),
            (403, "x", None, "no", "permission", 4),
            (404, "x", Some("model_not_found"), "no such model", "not-found", 4),
            (402, "x", None, "pay first", "quota", 5),
            (429, "x", Some("insufficient_quota"), "You exceeded your current quota", "quota", 5),
            (429, "x", None, "limit of requests per day", "quota", 5),
            (429, "x", None, "slow down", "rate-limit", 5),
            (408, "x", None, "slow", "timeout", 6),
            (409, "x", None, "conflict", "overloaded", 6),
            (500, "x", None, "oops", "overloaded", 6),
            (502, "x", None, "oops", "overloaded", 6),
            (503, "x", None, "oops", "overloaded", 6),
            (529, "x", None, "oops", "overloaded", 6),
        ] {
            let outcome = chat(Script::json(status, error(kind, code, message)));
            outcome.fails(class, exit, false).says(&[message, "try:"]).text("");
            outcome.may_be_repeated(matches!(class, "rate-limit" | "overloaded" | "timeout"));
            assert_eq!((&outcome.object["error"]["status"], &outcome.object["usage"]), (&json!(status), &Value::Null));
        }
    }

    #[test]
    fn a_gateway_that_gave_up_waiting_may_have_been_billed() {
        for status in [504, 524] {
            chat(Script::json(status, error("x", None, "slow")))
                .fails("timeout", 6, true)
                .may_be_repeated(false)
                .says(&["may have been billed"]);
        }
    }

    #[test]
    fn a_provider_that_says_whether_to_try_again_is_obeyed() {
        for (status, word, class, exit, may_be_repeated) in [
            (500, "false", "overloaded", 6, false),
            (429, "false", "rate-limit", 5, false),
            (408, "false", "timeout", 6, false),
            (400, "true", "invalid-request", 1, true),
            (429, "true", "rate-limit", 5, true),
            (400, "perhaps", "invalid-request", 1, false),
        ] {
            let outcome = chat(Script::head(status, &[("x-should-retry", word), ("content-length", "0")]));
            outcome.fails(class, exit, false).may_be_repeated(may_be_repeated);
        }
        let outcome = chat(Script::head(504, &[("x-should-retry", "true"), ("content-length", "0")]));
        outcome.fails("timeout", 6, true).may_be_repeated(false);
    }

    #[test]
    fn a_date_until_which_to_wait_is_held_against_the_answers_own() {
        for (until, millis) in [
            ("Wed, 21 Oct 2015 07:28:30 GMT", json!(30_000)),
            ("Wednesday, 21-Oct-15 07:28:30 GMT", json!(30_000)),
            ("Wed Oct 21 07:28:30 2015", json!(30_000)),
            ("Wed, 21 Oct 2015 07:27:30 GMT", Value::Null),
            ("Wed, 21 Oct 2015", Value::Null),
        ] {
            let headers = [("retry-after", until), ("date", "Wed, 21 Oct 2015 07:28:00 GMT"), ("content-length", "0")];
            let outcome = chat(Script::head(429, &headers));
            outcome.fails("rate-limit", 5, false);
            assert_eq!(outcome.object["error"]["retry_after_ms"], millis, "{until}");
        }
    }

    #[test]
    fn a_status_alone_is_enough_in_every_dialect() {
        for spoken in bodies::all() {
            for (status, class, exit) in
                [(401, "auth", 3), (404, "not-found", 4), (429, "rate-limit", 5), (503, "overloaded", 6)]
            {
                let server = Server::new(Script::whole(status, "text/plain", ""));
                let llmx = ask_in(&spoken, &server);
                outcome(server, llmx).fails(class, exit, false).says(&[&status.to_string()]);
            }
        }
    }

    #[test]
    fn of_an_html_page_only_the_title_is_shown() {
        let page = "<html><head><title>502 Bad Gateway</title></head><body><p>cloud\u{1b}[2Jfront</p></body></html>";
        let outcome = chat(Script::whole(502, "text/html", page));
        outcome.fails("overloaded", 6, false).says(&["502 Bad Gateway"]);
        assert!(!outcome.done.err.contains("front") && !outcome.done.err.contains("<p>"), "{}", outcome.done.err);
    }

    #[test]
    fn a_rejected_key_names_where_it_was_found_and_which_it_is() {
        // printf 'llmx-key-fpsk-CANARY-4f1d0c9b' | sha256sum
        chat(Script::json(401, "{}")).fails("auth", 3, false).says(&["OPENAI_API_KEY (fingerprint d31aa216)"]);
    }

    #[test]
    fn a_model_that_is_not_there_is_never_proposed_in_its_own_place() {
        let gone = error("x", Some("model_not_found"), "no such model");
        for (model, words) in
            [("gpt-4o-mimi", "did you mean openai/gpt-4o-mini"), ("gpt-4o-mini", "the name is a known one")]
        {
            let server = Server::new(Script::json(404, &gone));
            let llmx = Llmx::chat(&["-m", &format!("openai/{model}"), "--base-url", &server.url(), "x"]);
            let outcome = outcome(server, llmx.env("OPENAI_API_KEY", KEY));
            outcome.fails("not-found", 4, false).says(&[words]);
            let advice = outcome.object["error"]["try"].as_str().expect("advice");
            assert!(!advice.contains(&format!("openai/{model}")), "{advice}");
        }
    }

    #[test]
    fn a_request_that_is_refused_is_told_with_its_size() {
        for (status, kind) in [(400, "x"), (413, "x"), (422, "x"), (400, "context_length_exceeded")] {
            let server = Server::new(Script::json(status, error("x", Some(kind), "no")));
            let llmx = Llmx::openai(&server, &[]).stdin("y".repeat(20_000));
            outcome(server, llmx).says(&["(20 KB were sent)"]);
        }
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_with_models_that_would_take_it() {
        for (words, least, most_named) in [
            ("This model's maximum context length is 128000 tokens.", 128_000, 3),
            ("maximum context length is 128000 tokens, you sent 900,000", 900_000, 3),
            ("maximum context length is 128000 tokens, you sent 99000000 tokens", 99_000_000, 0),
        ] {
            let outcome = chat(Script::json(400, error("x", None, words)));
            outcome.fails("context-length", 1, false).says(&["larger context window"]);
            let advice = outcome.object["error"]["try"].as_str().expect("advice");
            let windows: Vec<u64> = advice
                .split("openai/")
                .skip(1)
                .map(|named| named.split(['(', ' ']).nth(2).and_then(|window| window.parse().ok()).expect("a window"))
                .collect();
            assert_eq!(windows.len(), most_named, "{advice}");
            assert!(windows.iter().all(|window| *window > least) && !advice.contains("openai/gpt-4o "), "{advice}");
        }
    }

    #[test]
    fn a_wait_that_is_too_long_is_told_with_the_time_at_which_it_ends() {
        let wait = |seconds: &str| Script::head(429, &[("retry-after", seconds), ("content-length", "0")]);
        chat(wait("3600")).fails("rate-limit", 5, false).says(&["try: call again at 2", "Z (in 1 h 0 min)"]);
        chat(wait("2")).fails("rate-limit", 5, false).says(&["try: call again in 2 s"]);
        chat(wait("-2")).fails("rate-limit", 5, false).says(&["try: wait a moment"]);
    }

    #[test]
    fn the_time_that_the_provider_asks_to_wait_is_reported() {
        for (name, value, millis) in [
            ("retry-after", "2", json!(2000)),
            ("retry-after", "1.5", json!(1500)),
            ("retry-after-ms", "250", json!(250)),
            ("x-amz-retry-after", "300", json!(300)),
            ("retry-after", "-5", Value::Null),
            ("retry-after", "soon", Value::Null),
            ("retry-after", "99999999999999999999", Value::Null),
        ] {
            let outcome = chat(Script::head(429, &[(name, value), ("content-length", "0")]));
            outcome.fails("rate-limit", 5, false);
            assert_eq!(outcome.object["error"]["retry_after_ms"], millis, "{name}: {value}");
            assert_eq!(outcome.object["error"]["retryable"], true);
        }
        let body = json!({"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]}});
        assert_eq!(chat(Script::json(429, body.to_string())).object["error"]["retry_after_ms"], 34_500);
    }

    #[test]
    fn a_request_id_is_kept() {
        for name in ["x-request-id", "request-id"] {
            let outcome = chat(Script::head(500, &[(name, "req-7"), ("content-length", "0")]));
            outcome.fails("overloaded", 6, false);
            assert_eq!(outcome.object["error"]["request_id"], "req-7");
        }
    }

    #[test]
    fn a_redirect_is_never_followed() {
        for status in [300, 301, 302, 303, 307, 308] {
            let other = Server::new(Script::json(200, "{}"));
            let location = format!("{}/v1/chat/completions?key={KEY}", other.url());
            let outcome = chat(Script::head(status, &[("location", &location), ("content-length", "0")]));
            outcome.fails("protocol", 6, false).may_be_repeated(false).says(&[&other.authority(), "--base-url"]);
            assert_eq!(other.connections(), 0, "{status}");
        }
        for location in ["/v1/elsewhere", "//x.invalid/", &format!("https://x.invalid/{KEY}"), "\u{9b}31m", ""] {
            let outcome = chat(Script::head(302, &[("location", location), ("content-length", "0")]));
            outcome.fails("protocol", 6, false);
            assert!(!outcome.done.err.contains('\u{9b}'), "{:?}", outcome.done.err);
        }
        chat(Script::head(302, &[("content-length", "0")])).fails("protocol", 6, false);
    }

    #[test]
    fn an_echoed_key_is_taken_out_of_whatever_comes() {
        // A key at every place where words are cut to a length must not be cut itself.
        let long = |before: usize| format!("{}{KEY}{}", "x".repeat(before), "y".repeat(9000));
        let mut bodies = vec![
            json!({"error": {"message": format!("bad key {KEY}"), "type": KEY, "code": KEY}}).to_string(),
            format!("<html><title>{KEY}</title>"),
            format!("plain {KEY}"),
            json!({"detail": [{"loc": ["header"], "input": KEY}]}).to_string(),
            format!("{{\"error\":{{\"message\":\"sk-\\u0043ANARY-4f1d0c9b\"}}}}"),
        ];
        for before in [490, 495, 2040, 8180, 8185, (64 << 10) - 30, (64 << 10) - 5] {
            bodies.push(long(before));
            bodies.push(json!({"error": {"message": long(before)}}).to_string());
        }
        for body in &bodies {
            for content_type in ["application/json", "text/html"] {
                let server = Server::new(Script::whole(401, content_type, body));
                // The run itself searches its output for the canary.
                let llmx = Llmx::openai(&server, &["-v", "x"]);
                outcome(server, llmx).fails("auth", 3, false);
            }
        }
        let outcome = chat(Script::json(401, &bodies[0]));
        outcome.says(&["bad key [redacted]"]);
        let echo = Script::head(400, &[("x-request-id", KEY), ("content-type", KEY), ("content-length", "0")]);
        chat(echo).fails("invalid-request", 1, false);
        let echo = Script::head(200, &[("content-encoding", KEY), ("content-length", "0")]);
        chat(echo).fails("protocol", 6, true);
    }

    #[test]
    fn a_token_of_google_that_is_echoed_is_taken_out_as_well() {
        let server = Server::new(Script::json(401, json!({"error": {"message": format!("bad {KEY}")}}).to_string()));
        let llmx = Llmx::chat(&["-m", "vertex/gemini-2.5-pro", "--region", "us-central1", "x"])
            .args(&["--base-url", &server.url(), "-v"])
            .env("GOOGLE_CLOUD_PROJECT", "p")
            .env("GOOGLE_OAUTH_ACCESS_TOKEN", KEY)
            .env("CLOUDSDK_AUTH_ACCESS_TOKEN", KEY);
        let outcome = outcome(server, llmx);
        outcome.fails("auth", 3, false).says(&["bad [redacted]"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_error_body_without_end_is_read_for_64_kib_in_little_memory() {
        let server = Server::new(Script::chunked(500, "application/json").forever("x".repeat(60_000)));
        let done = limited(&server).run().exits(6);
        assert_eq!(done.json()["error"]["class"], "overloaded");
        assert!(server.written() < 16 << 20, "{} bytes were taken", server.written());
        assert_eq!(done.json()["timing"]["attempts"], server.requests().len());
    }

    /// In an address space in which a body of 256 MiB would not fit.
    #[cfg(target_os = "linux")]
    pub fn limited(server: &Server) -> Llmx {
        Llmx::shell("ulimit -v 250000; exec \"$LLMX\" chat -m openai/gpt-4o -j x")
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", server.url())
    }

    #[test]
    fn an_error_body_that_drips_has_one_deadline() {
        let drip = Script::chunked(503, "text/plain").piece("no room").drip(".", Duration::from_millis(20));
        with_limits("idle_ms = 200", drip).fails("overloaded", 6, false).says(&["no room"]);
        let outcome: Outcome =
            with_limits("idle_ms = 100", Script::chunked(503, "text/plain").piece("no room").silence());
        outcome.fails("overloaded", 6, false).says(&["no room"]);
    }
}

mod bodies_of_200 {
    use super::{ONE, Script, Server, TEXT, Value, ask_in, bodies, chat, in_every_dialect, json, outcome};

    #[test]
    fn an_error_in_place_of_the_answer_has_its_own_class() {
        for (body, class, exit, may_be_billed) in [
            (json!({"error": {"message": "bad key", "type": "x", "code": "invalid_api_key"}}), "auth", 3, false),
            (json!({"error": {"message": "slow", "type": "rate_limit_exceeded"}}), "rate-limit", 5, false),
            (json!({"error": {"message": "slow", "code": 429}}), "rate-limit", 5, false),
            (json!({"error": {"message": "none", "code": "insufficient_quota"}}), "quota", 5, false),
            (json!({"error": {"message": "no room", "type": "server_error"}}), "overloaded", 6, true),
            (json!({"error": {"message": "no room", "code": 502}}), "overloaded", 6, true),
            (json!({"error": {"message": "bad field", "type": "invalid_request_error"}}), "invalid-request", 1, false),
            (json!({"error": "validation error: messages is empty"}), "invalid-request", 1, false),
            (json!({"error": {"message": "filtered", "code": "content_filter"}}), "content-filter", 7, false),
            (json!({"error": "the prompt is too long"}), "context-length", 1, false),
            // Whose kind nobody can tell is no refusal: the model may have been at work.
            (json!({"error": "just words"}), "protocol", 6, true),
            (
                json!({"error": {"message": "Internal error encountered.", "type": "internal_error"}}),
                "protocol",
                6,
                true,
            ),
            (json!({"error": {"message": "it broke", "code": "upstream_crashed"}}), "protocol", 6, true),
            (json!({"error": {"message": "it broke", "code": 1300}}), "protocol", 6, true),
        ] {
            let outcome = chat(Script::json(200, body.to_string()));
            outcome.fails(class, exit, may_be_billed).text("");
            outcome.may_be_repeated(matches!(class, "rate-limit" | "overloaded"));
            let basis = if may_be_billed { "ceiling" } else { "nothing" };
            assert_eq!(outcome.object["cost"]["basis"], basis, "{}", outcome.object);
        }
    }

    #[test]
    fn an_answer_beside_an_error_is_shown_and_booked_by_its_count() {
        for spoken in bodies::all() {
            let mut body: Value = serde_json::from_str(&spoken.whole).expect("JSON");
            // Responses knows only codes of its own.
            body["error"] = if spoken.api == "responses" {
                json!({"code": "rate_limit_exceeded", "message": "slow down"})
            } else {
                json!({"code": 429, "message": "slow down"})
            };
            let server = Server::new(Script::json(200, body.to_string()));
            let llmx = ask_in(&spoken, &server).args(&["-S"]);
            let outcome = outcome(server, llmx);
            outcome.fails("rate-limit", 5, true).may_be_repeated(false).text(TEXT).reports(5).says(&["slow down"]);
        }
        // Without a finish reason, and with the error in the choice.
        for place in ["/choices/0", ""] {
            let mut body = json!({"id": "c1", "object": "chat.completion", "model": "m-1",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 500, "total_tokens": 507}});
            body.pointer_mut(place).expect("a place")["error"] = json!({"code": 502, "message": "no room"});
            chat(Script::json(200, body.to_string())).fails("overloaded", 6, true).text(TEXT).reports(500);
            body["usage"] = Value::Null;
            chat(Script::json(200, body.to_string())).fails("overloaded", 6, true).text(TEXT).is_unconfirmed();
        }
    }

    #[test]
    fn an_error_of_nothing_is_none() {
        for nothing in [json!({}), json!(""), Value::Null] {
            for spoken in bodies::all().into_iter().filter(|spoken| spoken.api != "ollama") {
                let mut body: Value = serde_json::from_str(&spoken.whole).expect("JSON");
                body["error"] = nothing.clone();
                let server = Server::new(Script::json(200, body.to_string()));
                let llmx = ask_in(&spoken, &server);
                outcome(server, llmx).answers(TEXT).reports(5);
            }
        }
    }

    #[test]
    fn an_error_of_a_kind_that_nobody_knows_may_have_been_billed_in_every_dialect() {
        let error = |words: &str| json!({"error": {"message": words, "code": "worker_died"}}).to_string();
        let crashed = "an error was encountered while running the model: unexpected EOF";
        in_every_dialect(
            |_| Script::json(200, error(crashed)),
            |_, outcome| _ = outcome.fails("protocol", 6, true).may_be_repeated(false).says(&[crashed]).text(""),
        );
        let first = |spoken: &super::Spoken| match spoken.api {
            "ollama" => format!("{}\n", json!({"error": crashed})),
            "cohere" => bodies::named(&json!({"type": "error", "message": crashed})),
            _ => format!("event: error\ndata: {}\n\n", error(crashed)),
        };
        in_every_dialect(
            |spoken| super::open(spoken, first(spoken)).end(),
            |spoken, outcome| {
                outcome.fails("protocol", 6, true).may_be_repeated(false).text("");
                assert_eq!(outcome.object["cost"]["basis"], "unpriced", "{}: {}", spoken.api, outcome.object);
            },
        );
    }

    #[test]
    fn a_portal_is_told_and_not_printed() {
        let page = "\n<!DOCTYPE html><title>Log in</title><p>long page";
        in_every_dialect(
            |_| Script::whole(200, "text/html", page),
            |_, outcome| {
                outcome.fails("protocol", 6, true).says(&["HTML", "portal", "127.0.0.1"]).text("");
                assert!(!outcome.done.err.contains("long page"));
            },
        );
    }

    #[test]
    fn an_empty_answer_is_no_answer() {
        in_every_dialect(
            |_| Script::json(200, ""),
            |_, outcome| _ = outcome.fails("protocol", 6, true).says(&["empty"]),
        );
        in_every_dialect(|_| Script::head(204, &[]), |_, outcome| _ = outcome.fails("protocol", 6, true));
        in_every_dialect(|_| Script::json(200, " \r\n "), |_, outcome| _ = outcome.fails("protocol", 6, true));
        in_every_dialect(|_| Script::json(200, "{}"), |_, outcome| _ = outcome.fails("protocol", 6, true));
        in_every_dialect(|_| Script::json(200, "[]"), |_, outcome| _ = outcome.fails("protocol", 6, true));
        in_every_dialect(|_| Script::json(200, "null"), |_, outcome| _ = outcome.fails("protocol", 6, true));
        in_every_dialect(|_| Script::json(200, "\"hello\""), |_, outcome| _ = outcome.fails("protocol", 6, true));
    }

    #[test]
    fn json_that_stops_too_early_tells_after_how_many_bytes() {
        in_every_dialect(
            |spoken| Script::json(200, &spoken.whole[..spoken.whole.len().min(100)]),
            |_, outcome| _ = outcome.fails("protocol", 6, true).says(&["bytes"]),
        );
    }

    #[test]
    fn a_body_that_is_shorter_than_its_length_is_cut() {
        for reset in [false, true] {
            in_every_dialect(
                |spoken| {
                    let length = (spoken.whole.len() + 50).to_string();
                    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
                    let script = Script::head(200, &headers).raw(&spoken.whole[..spoken.whole.len() - 20]);
                    if reset { script.reset() } else { script }
                },
                |_, outcome| _ = outcome.fails("network", 6, true).is_unconfirmed(),
            );
        }
    }

    #[test]
    fn an_encoding_that_nobody_asked_for_is_refused_and_nothing_inflated() {
        for encoding in ["gzip", "br", "zstd", "x-made-up"] {
            let headers = [("content-encoding", encoding), ("content-type", "application/json")];
            let outcome = chat(Script::head(200, &headers).forever([0x1f, 0x8b, 8, 0].repeat(10_000)));
            outcome.fails("protocol", 6, true).says(&[encoding]);
            assert!(outcome.server.written() < 16 << 20);
        }
        let identity = Script::head(200, &[("content-encoding", "identity")]).raw(bodies::chat().whole);
        chat(identity).answers(TEXT);
    }

    #[test]
    fn a_whole_answer_to_a_streamed_request_is_read_all_the_same() {
        in_every_dialect(|spoken| Script::json(200, &spoken.whole), |_, outcome| _ = outcome.answers(TEXT).reports(5));
    }

    #[test]
    fn a_streamed_answer_to_a_whole_request_is_read_all_the_same() {
        for spoken in bodies::all() {
            let server = Server::new(Script::whole(200, spoken.content_type, spoken.stream()));
            let llmx = ask_in(&spoken, &server).args(&["-S"]);
            outcome(server, llmx).answers(TEXT).reports(5);
        }
    }

    #[test]
    fn a_wrong_content_type_does_not_matter() {
        for content_type in ["text/plain", "application/octet-stream", "", "\u{9b}31m"] {
            let server = Server::new(Script::whole(200, content_type, bodies::chat().stream()));
            let llmx = ask_in(&bodies::chat(), &server);
            outcome(server, llmx).answers(TEXT);
        }
    }

    #[test]
    fn unknown_fields_and_nulls_do_not_matter() {
        let body = json!({"id": null, "object": "chat.completion", "model": null, "future": {"a": [1]}, "system_fingerprint": null,
            "choices": [{"index": 0, "logprobs": null, "future": 1, "finish_reason": "stop",
                "message": {"role": "assistant", "content": ONE, "refusal": null, "tool_calls": null, "function_call": null,
                    "annotations": [], "audio": null, "reasoning_content": null, "future": {}}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "prompt_tokens_details": null,
                "completion_tokens_details": null}});
        chat(Script::json(200, body.to_string())).answers(ONE).reports(5);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced_and_that_is_said() {
        for spoken in bodies::all() {
            for body in [spoken.stream(), spoken.whole.clone()] {
                let mut bytes = body.into_bytes();
                let at = bytes.windows(4).position(|four| four == b"Como").expect("in the text");
                bytes[at] = 0xFF;
                let server = Server::new(Script::whole(200, spoken.content_type, bytes));
                let llmx = ask_in(&spoken, &server);
                let outcome = outcome(server, llmx);
                assert_eq!(outcome.done.code, 0, "{}: {:?}", spoken.api, outcome.done);
                assert!(
                    outcome.object["text"].as_str().is_some_and(|text| text.starts_with("Lake \u{FFFD}omo")),
                    "{}",
                    outcome.object
                );
                assert!(outcome.object["notes"].to_string().contains("UTF-8"), "{}", outcome.object);
            }
        }
    }
}

mod streams {
    use super::{
        CHAT_USAGE, DONE, Duration, KEY, Llmx, ONE, Script, Server, TEXT, Value, ask_in, bodies, chat, chunk,
        in_every_dialect, json, open, outcome, says, with_limits,
    };

    #[test]
    fn a_stream_that_breaks_keeps_its_text_and_may_have_been_billed() {
        for end in [|script: Script| script, Script::reset] {
            in_every_dialect(
                |spoken| end(open(spoken, spoken.begun())),
                |_, outcome| {
                    _ = outcome.fails("network", 6, true).text(ONE).is_unconfirmed().says(&["may have been billed"])
                },
            );
        }
        // A chunk that says more than it holds.
        chat(Script::events().raw(format!("ffff\r\n{}", says(ONE)))).fails("network", 6, true).text(ONE);
    }

    #[test]
    fn text_that_came_stays_on_standard_output_with_a_newline_and_the_reason_beside_it() {
        let server = Server::new(Script::events().piece(says("Lake Como")).reset());
        let done = Llmx::openai(&server, &["x"]).run().exits(6).prints("Lake Como\n");
        done.says(&["llmx: openai/gpt-4o: network: ", ", after about 3 tokens (it may have been billed)", "\ntry: "]);
    }

    #[test]
    fn an_answer_that_breaks_off_tells_how_much_of_it_came() {
        // 13 bytes of text; of a tool call, its name and six bytes of arguments: 11 bytes.
        in_every_dialect(|spoken| open(spoken, spoken.begun()), |_, outcome| _ = outcome.says(&[", after about "]));
        let spoken = bodies::chat();
        let called = Script::events().piece(format!("{}{}", spoken.calling, spoken.argument)).reset();
        chat(called).fails("network", 6, true).says(&["after about 3 tokens"]);
        assert!(!chat(Script::events().reset()).done.err.contains("after about"));
    }

    #[test]
    fn what_was_passed_over_is_counted_for_v() {
        in_every_dialect(
            |spoken| open(spoken, spoken.stream()).end(),
            |_, outcome| assert!(!outcome.done.err.contains("passed over"), "{}", outcome.done.err),
        );
        for spoken in bodies::all().into_iter().filter(|spoken| spoken.api != "ollama") {
            let stream = spoken.idle.repeat(3) + &spoken.stream();
            let server = Server::new(open(&spoken, stream).end());
            let llmx = ask_in(&spoken, &server).args(&["-v"]);
            outcome(server, llmx).answers(TEXT).says(&["passed over: 3 (pings, comments, unknown events)"]);
        }
        // Also of an answer that breaks off.
        let odd = "event: ping\ndata: {\"type\":\"ping\"}\n\nevent: ping\n\n: note\n";
        let server = Server::new(Script::stream(format!("{odd}{}", bodies::chat().begun())));
        let llmx = Llmx::openai(&server, &["-v", "x"]);
        outcome(server, llmx).fails("protocol", 6, true).says(&["passed over: 3 (pings, comments, unknown events)"]);
    }

    #[test]
    fn a_clean_end_without_a_finish_is_no_success() {
        in_every_dialect(
            |spoken| open(spoken, spoken.begun()).end(),
            |_, outcome| _ = outcome.fails("protocol", 6, true).text(ONE).is_unconfirmed().says(&["ended"]),
        );
    }

    #[test]
    fn the_mark_of_the_end_without_a_finish_reason_is_an_end_and_is_noted() {
        let outcome = chat(Script::stream(format!("{}{CHAT_USAGE}{DONE}", says(ONE))));
        outcome.answers(ONE).reports(5).says(&["without a finish reason"]);
        chat(Script::stream(format!("{}{DONE}", says(ONE)))).fails("protocol", 6, true).text(ONE);
    }

    #[test]
    fn a_cut_after_the_finish_reason_is_an_answer_whose_usage_never_came() {
        let finished = format!("{}{}", says(ONE), chunk(&json!({}), Some("stop")));
        for script in [
            Script::events().piece(&finished),
            Script::events().piece(&finished).reset(),
            Script::stream(&finished),
            Script::stream(format!("{finished}{DONE}")),
        ] {
            let outcome = chat(script);
            outcome.answers(ONE).says(&["no usage"]);
            assert_eq!(outcome.object["usage"], Value::Null);
        }
    }

    #[test]
    fn silence_in_the_middle_ends_at_the_idle_limit() {
        in_every_dialect_within(
            "idle_ms = 100",
            |spoken| open(spoken, spoken.begun()).silence(),
            |outcome| {
                outcome.fails("timeout", 6, true).text(ONE).says(&["no byte within 0.1 s (limits.idle_ms)"]);
            },
        );
    }

    #[test]
    fn a_body_that_never_begins_ends_at_the_idle_limit() {
        with_limits("idle_ms = 100", Script::events().silence()).fails("timeout", 6, true).text("").says(&["no byte"]);
    }

    #[test]
    fn pings_for_ever_end_at_the_content_limit() {
        let limits = "idle_ms = 5000\ncontent_ms = 200";
        in_every_dialect_within(
            limits,
            |spoken| open(spoken, spoken.begun()).drip(&spoken.idle, Duration::from_millis(20)),
            |outcome| {
                _ = outcome
                    .fails("timeout", 6, true)
                    .text(ONE)
                    .says(&["nothing but empty data within 0.2 s (limits.content_ms)"])
            },
        );
    }

    #[test]
    fn a_flood_of_pings_ends_at_the_content_limit() {
        let limits = "idle_ms = 5000\ncontent_ms = 200";
        let flood = |spoken: &super::Spoken| open(spoken, spoken.begun()).forever(spoken.idle.repeat(1000));
        in_every_dialect_within(limits, flood, |outcome| _ = outcome.fails("timeout", 6, true).text(ONE));
    }

    #[test]
    fn a_drip_of_real_text_ends_at_the_timeout() {
        let drip = Script::events().drip(says("on "), Duration::from_millis(10));
        let server = Server::new(drip);
        let llmx = Llmx::openai(&server, &["--timeout", "3", "x"]);
        let outcome = outcome(server, llmx);
        outcome.fails("timeout", 6, true).says(&["--timeout"]);
        assert!(outcome.object["text"].as_str().is_some_and(|text| text.starts_with("on on ")));
    }

    fn in_every_dialect_within(
        limits: &str,
        script: impl Fn(&super::Spoken) -> Script,
        check: impl Fn(&super::Outcome),
    ) {
        for spoken in bodies::all() {
            let server = Server::new(script(&spoken));
            let llmx = ask_in(&spoken, &server).config(&format!("[limits]\n{limits}\n"));
            check(&outcome(server, llmx));
        }
    }

    #[test]
    fn an_error_after_some_text_has_its_class_and_may_have_been_billed() {
        in_every_dialect(
            |spoken| open(spoken, format!("{}{}", spoken.begun(), spoken.error)).end(),
            |_, outcome| _ = outcome.fails("overloaded", 6, true).may_be_repeated(false).text(ONE).says(&["no room"]),
        );
        in_every_dialect(
            |spoken| open(spoken, format!("{}{}", spoken.begun(), spoken.refusal)).end(),
            |_, outcome| _ = outcome.fails("rate-limit", 5, true).may_be_repeated(false).text(ONE).says(&["slow down"]),
        );
    }

    #[test]
    fn pieces_of_a_tool_call_are_content_after_which_nothing_is_repeated() {
        in_every_dialect(
            |spoken| {
                let pieces = [&spoken.opening, &spoken.calling, &spoken.argument, &spoken.argument, &spoken.refusal];
                open(spoken, pieces.map(String::as_str).concat()).end()
            },
            |_, outcome| {
                outcome.fails("rate-limit", 5, true).may_be_repeated(false).is_unconfirmed().says(&["slow down"]);
                assert!(outcome.object["timing"]["first_token_ms"].is_u64(), "{}", outcome.object);
            },
        );
        in_every_dialect(
            |spoken| open(spoken, format!("{}{}{}", spoken.opening, spoken.calling, spoken.error)).end(),
            |_, outcome| _ = outcome.fails("overloaded", 6, true).may_be_repeated(false),
        );
    }

    #[test]
    fn a_drip_of_tool_arguments_is_an_answer_that_grows() {
        for spoken in bodies::all().into_iter().filter(|spoken| !spoken.argument.is_empty()) {
            let begun = open(&spoken, format!("{}{}", spoken.opening, spoken.calling));
            let server = Server::new(begun.drip(&spoken.argument, Duration::from_millis(20)));
            let limits = "[limits]\nidle_ms = 5000\ncontent_ms = 1000\nfirst_token_ms = 1000\n";
            let llmx = ask_in(&spoken, &server).args(&["--timeout", "2"]).config(limits);
            outcome(server, llmx).fails("timeout", 6, true).says(&["--timeout"]);
        }
    }

    #[test]
    fn pieces_of_a_tool_call_are_no_event_and_no_call() {
        let spoken = bodies::chat();
        let pieces = [&spoken.opening, &spoken.calling, &spoken.argument, &spoken.error];
        let server = Server::new(Script::stream(pieces.map(String::as_str).concat()));
        let lines = Llmx::openai(&server, &["--jsonl", "x"]).run().exits(6).lines();
        let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
        assert_eq!(events, ["started"], "{lines:?}");
        assert_eq!(lines.last().map(|last| &last["tool_calls"]), Some(&json!([])), "{lines:?}");
    }

    #[test]
    fn sealed_thinking_is_content_as_well() {
        let sealed = json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "c2VhbGVk", "index": 0}]});
        let stream = format!("{}{}", chunk(&sealed, None), bodies::chat().refusal);
        chat(Script::stream(stream)).fails("rate-limit", 5, true).may_be_repeated(false);
    }

    #[test]
    fn what_comes_beside_an_error_in_a_stream_is_shown_and_nothing_is_repeated() {
        let error = json!({"code": 429, "message": "slow down"});
        for spoken in bodies::all() {
            // The other dialects have events of their own for an error.
            if !matches!(spoken.api, "chat" | "generate-content" | "ollama") {
                continue;
            }
            let (before, object) = spoken.two.split_at(spoken.two.find('{').expect("an object"));
            let mut frame: Value = serde_json::from_str(object.trim()).expect("JSON");
            frame["error"] = error.clone();
            if spoken.api == "generate-content" {
                frame["usageMetadata"] = Value::Null;
            }
            let stream = format!("{}{before}{frame}\n\n", spoken.opening);
            let server = Server::new(open(&spoken, stream).end());
            let llmx = ask_in(&spoken, &server);
            let outcome = outcome(server, llmx);
            outcome.fails("rate-limit", 5, true).may_be_repeated(false).text(super::bodies::TWO).is_unconfirmed();
        }
        let inner = json!({"id": "c1", "choices": [{"index": 0, "delta": {"content": ONE}, "finish_reason": "error",
            "error": {"code": 502, "message": "no room"}}]});
        let outcome = chat(Script::stream(bodies::event(&inner)));
        outcome.fails("overloaded", 6, true).may_be_repeated(false).text(ONE).is_unconfirmed();
    }

    #[test]
    fn an_error_beside_which_nothing_came_is_an_error_as_the_first_event() {
        let nothing = json!({"id": "c1", "model": "m-1", "error": {"code": 429, "message": "slow down"},
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}});
        chat(Script::stream(bodies::event(&nothing))).fails("rate-limit", 5, false).may_be_repeated(true).text("");
        let failed = json!({"type": "response.failed", "response": {"id": "r1", "object": "response",
            "status": "failed", "model": "m-1", "output": [], "usage": null,
            "error": {"code": "rate_limit_exceeded", "message": "slow down"}}});
        let server = Server::new(Script::stream(bodies::named(&failed)));
        let llmx = Llmx::openai(&server, &["--api", "responses", "x"]);
        outcome(server, llmx).fails("rate-limit", 5, false).may_be_repeated(true).text("");
    }

    #[test]
    fn an_error_as_the_first_event_cost_nothing_where_it_is_a_refusal() {
        in_every_dialect(
            |spoken| open(spoken, &spoken.refusal).end(),
            |_, outcome| _ = outcome.fails("rate-limit", 5, false).may_be_repeated(true).text(""),
        );
        in_every_dialect(
            |spoken| open(spoken, &spoken.error).end(),
            |_, outcome| _ = outcome.fails("overloaded", 6, true).may_be_repeated(true).text(""),
        );
    }

    #[test]
    fn an_error_event_of_chat_completions_is_read_in_each_form() {
        for form in [
            "event: error\ndata: {\"error\":{\"message\":\"no room\",\"code\":503}}\n\n",
            "data: {\"error\":{\"message\":\"no room\",\"code\":503}}\n\n",
            "error: {\"error\":{\"message\":\"no room\",\"code\":503}}\n\ndata: {\"error\":{\"message\":\"no room\",\"code\":503}}\n\n",
            "event: error\ndata: {\"message\":\"no room\",\"type\":\"server_error\"}\n\n",
        ] {
            chat(Script::stream(format!("{}{form}", says(ONE)))).fails("overloaded", 6, true).text(ONE);
        }
    }

    #[test]
    fn an_event_that_is_no_json_is_told_with_its_number() {
        in_every_dialect(
            |spoken| {
                let broken = if spoken.api == "ollama" { "{\"a\":nope}\n" } else { "data: {\"a\":\n\n" };
                open(spoken, format!("{}{broken}{}", spoken.begun(), spoken.finish)).end()
            },
            |_, outcome| _ = outcome.fails("protocol", 6, true).text(ONE).says(&["in frame "]),
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_line_without_end_is_refused_after_a_mebibyte() {
        use super::statuses::limited;
        for start in ["data: ", ": ", "event: ", "x"] {
            let server = Server::new(Script::events().piece(start).forever("y".repeat(60_000)));
            let object = limited(&server).run().exits(6).json();
            assert_eq!(
                (&object["error"]["class"], &object["error"]["may_be_billed"]),
                (&json!("protocol"), &json!(true))
            );
            assert!(server.written() < 16 << 20, "{} bytes were taken", server.written());
        }
        // An event of many lines that never ends, and a JSON value that never does.
        for piece in ["data: y\n".repeat(8000), "[".repeat(60_000), "{\"a\":".repeat(10_000)] {
            let server = Server::new(Script::events().forever(piece));
            let object = limited(&server).run().exits(6).json();
            assert_eq!(object["error"]["class"], "protocol", "{object}");
        }
    }

    #[test]
    fn a_valid_stream_without_end_is_cut_at_64_mib() {
        let server = Server::new(Script::events().forever(says(&"x".repeat(900_000))));
        let done = Llmx::openai(&server, &["x"]).run().exits(6).says(&["64 MiB"]);
        assert!((60 << 20..70 << 20).contains(&done.out.len()), "{}", done.out.len());
        server.await_disconnect();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_held_back_or_kept_has_an_end_as_well() {
        let argument = json!({"tool_calls": [{"index": 0, "function": {"arguments": "y".repeat(500_000)}}]});
        let server = Server::new(Script::events().piece(says(ONE)).forever(chunk(&argument, None)));
        let done = Llmx::shell("ulimit -v 500000; exec \"$LLMX\" chat -m openai/gpt-4o -j x")
            .env("OPENAI_BASE_URL", server.url());
        let object = done.run().exits(6).json();
        assert_eq!((&object["error"]["class"], &object["text"]), (&json!("protocol"), &json!(ONE)), "{object}");
        let call = json!({"candidates": [{"content": {"role": "model",
            "parts": [{"functionCall": {"name": "f", "args": {"a": "y".repeat(500_000)}}}]}}]});
        let server = Server::new(Script::events().forever(format!("data: {call}\n\n")));
        let done = Llmx::shell("ulimit -v 500000; exec \"$LLMX\" chat -m openai/m --api generate-content -x x")
            .env("OPENAI_BASE_URL", server.url());
        assert!(done.run().exits(6).err.contains("64 MiB"));
    }

    #[test]
    fn json_of_any_depth_is_refused_and_not_followed() {
        for body in ["[".repeat(100_000), "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000)] {
            chat(Script::json(200, &body)).fails("protocol", 6, true);
            chat(Script::json(500, &body)).fails("overloaded", 6, false);
            chat(Script::stream(format!("data: {body}\n\n"))).fails("protocol", 6, true);
        }
    }

    #[test]
    fn finish_reasons_have_their_exit_codes() {
        for (reason, code, word) in [
            ("stop", 0, ""),
            ("length", 0, "--max-tokens"),
            ("content_filter", 7, "filter"),
            ("tool_calls", 0, ""),
            ("something_new", 0, ""),
        ] {
            let stream = format!("{}{}{CHAT_USAGE}{DONE}", says(ONE), chunk(&json!({}), Some(reason)));
            let outcome = chat(Script::stream(stream));
            assert_eq!(outcome.done.code, code, "{reason}: {:?}", outcome.done);
            outcome.says(&[word]).text(ONE).reports(5).adds_up();
            assert_eq!(outcome.object["stop_reason_raw"], reason);
            assert_eq!(outcome.done.err.lines().count(), usize::from(!word.is_empty()), "{}", outcome.done.err);
        }
    }

    #[test]
    fn a_refusal_is_shown_and_exits_7() {
        let refusal = chunk(&json!({"refusal": "I cannot."}), None);
        let outcome = chat(Script::stream(format!("{refusal}{}{CHAT_USAGE}{DONE}", chunk(&json!({}), Some("stop")))));
        assert_eq!((outcome.done.code, &outcome.object["refusal"]), (7, &json!("I cannot.")));
        outcome.says(&["I cannot."]).reports(5);
    }

    #[test]
    fn an_answer_without_a_choice_is_none_and_an_empty_choice_is_one() {
        chat(Script::stream(format!("{CHAT_USAGE}{DONE}"))).fails("protocol", 6, true);
        chat(Script::stream(DONE)).fails("protocol", 6, true);
        let empty = Script::stream(format!("{}{CHAT_USAGE}{DONE}", chunk(&json!({}), Some("stop"))));
        let outcome = chat(empty);
        outcome.answers("").reports(5).says(&["the answer is empty"]);
        assert!(outcome.object["notes"].to_string().contains("the answer is empty"), "{}", outcome.object);
    }

    #[test]
    fn an_answer_of_nothing_but_tool_calls_is_one() {
        let call = json!({"tool_calls": [{"index": 0, "id": "c7", "type": "function",
            "function": {"name": "depth", "arguments": "{\"lake\":\"Como\"}"}}]});
        let outcome = chat(Script::stream(format!(
            "{}{}{CHAT_USAGE}{DONE}",
            chunk(&call, None),
            chunk(&json!({}), Some("tool_calls"))
        )));
        outcome.answers("");
        assert_eq!(outcome.object["tool_calls"], json!([{"id": "c7", "name": "depth", "arguments": {"lake": "Como"}}]));
    }

    #[test]
    fn an_error_event_that_echoes_the_key_is_cleaned() {
        let echo = format!("data: {}\n\n", json!({"error": {"message": format!("bad {KEY}"), "type": KEY}}));
        chat(Script::stream(format!("{}{echo}", says(ONE)))).says(&["bad [redacted]"]).text(ONE);
    }

    #[test]
    fn a_whole_stream_is_one_request() {
        in_every_dialect(
            |spoken| open(spoken, spoken.stream()).end(),
            |_, outcome| _ = outcome.answers(TEXT).reports(5),
        );
    }
}

mod forms {
    use super::{
        CHAT_USAGE, DONE, ONE, Script, Server, TEXT, ask_in, bodies, chat, chunk, in_every_dialect, json, open,
        outcome, says,
    };

    #[test]
    fn a_stream_that_comes_byte_by_byte_is_the_same_stream() {
        in_every_dialect(
            |spoken| Script::chunked(200, spoken.content_type).byte_by_byte(spoken.stream()).end(),
            |_, outcome| _ = outcome.answers(TEXT).reports(5),
        );
        let wide = "naïve 日本語 👩‍👩‍👧 ❤\u{fe0f}";
        let stream = format!("{}{}{CHAT_USAGE}{DONE}", says(wide), chunk(&json!({}), Some("stop")));
        chat(Script::events().byte_by_byte(stream).end()).answers(wide);
    }

    #[test]
    fn a_stream_without_chunks_or_with_a_length_is_the_same_stream() {
        in_every_dialect(
            |spoken| Script::head(200, &[("content-type", spoken.content_type)]).raw(spoken.stream()),
            |_, outcome| _ = outcome.answers(TEXT).reports(5),
        );
        in_every_dialect(
            |spoken| Script::whole(200, spoken.content_type, spoken.stream()),
            |_, outcome| _ = outcome.answers(TEXT).reports(5),
        );
    }

    #[test]
    fn every_form_of_line_is_read() {
        type Rewrite = fn(&str) -> String;
        let rewrite: [(&str, Rewrite); 12] = [
            ("BOM", |body| format!("\u{FEFF}{body}")),
            ("CRLF", |body| body.replace('\n', "\r\n")),
            ("lone CR", |body| body.replace('\n', "\r")),
            ("mixed", |body| body.replacen('\n', "\r\n", 1)),
            ("no space", |body| body.replace("data: ", "data:").replace("event: ", "event:")),
            ("comments", |body| body.replace("data: ", ": note\ndata: ")),
            ("id, retry, unknown", |body| body.replace("data: ", "id: 7\nretry: 5\nfoo: bar\nfoo\ndata: ")),
            ("empty events", |body| format!("data\n\ndata:\n\n\n\nevent: ping\n\n{body}")),
            ("a ping with JSON", |body| format!("event: ping\ndata: {{\"type\": \"ping\"}}\n\n{body}")),
            ("no last blank line", |body| body.trim_end().to_owned()),
            ("one last LF", |body| format!("{}\n", body.trim_end())),
            ("blank lines at the start", |body| format!("\n\n\r\n{body}")),
        ];
        for spoken in bodies::all().into_iter().filter(|spoken| spoken.api != "ollama") {
            for (name, rewrite) in &rewrite {
                let stream = spoken.stream();
                let stream = stream.strip_suffix(DONE).unwrap_or(&stream);
                let server = Server::new(open(&spoken, rewrite(stream)).end());
                let llmx = ask_in(&spoken, &server);
                let outcome = outcome(server, llmx);
                assert_eq!(outcome.done.code, 0, "{}, {name}: {:?}", spoken.api, outcome.done);
                outcome.answers(TEXT).reports(5);
            }
        }
    }

    #[test]
    fn a_carriage_return_at_the_border_of_a_chunk_ends_one_line_only() {
        let stream = bodies::chat().stream().replace('\n', "\r\n");
        let script = stream.split_inclusive('\r').fold(Script::events(), |script, piece| script.piece(piece));
        chat(script.end()).answers(TEXT).reports(5);
    }

    #[test]
    fn data_on_several_lines_is_one_event() {
        let split = bodies::chat().stream().replace(",\"choices\"", ",\ndata: \"choices\"");
        chat(Script::stream(split)).answers(TEXT).reports(5);
    }

    #[test]
    fn the_mark_of_the_end_may_be_missing_or_come_before_the_usage() {
        let finish = chunk(&json!({}), Some("stop"));
        chat(Script::stream(format!("{}{finish}{CHAT_USAGE}", says(ONE)))).answers(ONE).reports(5);
        chat(Script::stream(format!("{}{finish}{DONE}{CHAT_USAGE}", says(ONE)))).answers(ONE).reports(5);
    }

    #[test]
    fn a_connection_that_stays_open_after_the_end_is_left_within_a_second() {
        let script = Script::events().piece(bodies::chat().stream()).silence();
        let outcome = chat(script);
        outcome.answers(TEXT).reports(5);
        assert!(outcome.object["timing"]["total_ms"].as_u64() < Some(3000), "{}", outcome.object);
    }

    #[test]
    fn json_lines_may_have_blank_lines_crlf_and_no_last_end() {
        let spoken = bodies::all().into_iter().find(|spoken| spoken.api == "ollama").expect("is one of them");
        let stream = spoken.stream();
        for body in [
            stream.replace('\n', "\n\n"),
            stream.replace('\n', "\r\n"),
            stream.trim_end().to_owned(),
            format!("\u{FEFF}{stream}"),
            format!("[{}]", stream.trim_end().replace('\n', ",\n")),
        ] {
            let server = Server::new(Script::whole(200, spoken.content_type, &body));
            let llmx = ask_in(&spoken, &server);
            outcome(server, llmx).answers(TEXT).reports(5);
        }
    }

    #[test]
    fn an_array_of_json_in_place_of_events_is_read() {
        let spoken = bodies::all().into_iter().find(|spoken| spoken.api == "generate-content").expect("is one of them");
        let elements: Vec<_> =
            spoken.stream().split("\n\n").filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect();
        let server = Server::new(Script::json(200, format!("[{}\n]", elements.join(",\r\n"))));
        let llmx = ask_in(&spoken, &server);
        outcome(server, llmx).answers(TEXT).reports(5);
    }
}

mod usage {
    use super::{
        DONE, Llmx, ONE, Outcome, Script, Server, Spoken, TEXT, Value, chat, chunk, in_every_dialect, json, says,
    };

    fn reported(usage: &Value) -> Outcome {
        let last = format!("data: {}\n\n", json!({"id": "c1", "choices": [], "usage": usage}));
        chat(Script::stream(format!("{}{}{last}{DONE}", says(ONE), chunk(&json!({}), Some("stop")))))
    }

    #[test]
    fn usage_that_cannot_be_is_rejected_and_kept_as_it_came() {
        let numbers = ["-5", "11.5", "4294967296", "1e30", "9223372036854775808", "1000000000000000000000000000000"];
        for number in numbers {
            let number: Value = serde_json::from_str(number).expect("a number");
            let usage = json!({"prompt_tokens": number, "completion_tokens": 5, "total_tokens": 12});
            let outcome = reported(&usage);
            outcome.answers(ONE).is_unconfirmed().says(&["usage is not taken"]);
            assert_eq!(outcome.object["usage"]["raw"]["prompt_tokens"].to_string(), number.to_string());
            assert!(outcome.object["notes"].as_array().is_some_and(|notes| !notes.is_empty()), "{}", outcome.object);
        }
    }

    #[test]
    fn nothing_counted_beside_an_answer_is_no_count() {
        let zeros = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
        reported(&zeros).answers(ONE).is_unconfirmed().says(&["usage is not taken"]);
        reported(&Value::Null).answers(ONE).is_unconfirmed().says(&["no usage"]);
        reported(&json!({})).answers(ONE).is_unconfirmed();
    }

    #[test]
    fn a_count_that_stands_in_quotes_or_lies_beyond_its_whole_is_told() {
        let quoted = json!({"prompt_tokens": "7", "completion_tokens": 5, "total_tokens": 12});
        reported(&quoted).answers(ONE).is_unconfirmed().says(&["usage is not taken"]);
        let beyond = json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 70}});
        let outcome = reported(&beyond);
        outcome.answers(ONE);
        assert_eq!(outcome.object["usage"]["raw"], beyond);
        assert!(outcome.object["notes"].to_string().contains("cached token"), "{}", outcome.object);
    }

    #[test]
    fn half_a_usage_is_no_usage_in_any_dialect() {
        // The counts of the prompt and of the output, as each dialect names them.
        let named = |api: &str| match api {
            "chat" => ("\"prompt_tokens\":7", "\"completion_tokens\":5"),
            "responses" | "messages" | "cohere" => ("\"input_tokens\":7", "\"output_tokens\":5"),
            "generate-content" => ("\"promptTokenCount\":7", "\"candidatesTokenCount\":5"),
            "ollama" => ("\"prompt_eval_count\":7", "\"eval_count\":5"),
            other => panic!("no dialect {other}"),
        };
        for (of, missing) in [(0, "prompt"), (1, "output")] {
            let without = |spoken: &Spoken, body: &str| {
                let (prompt, output) = named(spoken.api);
                let count = [prompt, output][of];
                assert!(body.contains(count), "{}: {body}", spoken.api);
                // Only a whole name: `eval_count` is also the end of another.
                body.replace(count, &count.replace(['7', '5'], "null"))
            };
            let says = format!("the provider's usage is not taken: usage: the count of the {missing} is missing");
            in_every_dialect(
                |spoken| Script::json(200, without(spoken, &spoken.whole)),
                |_, outcome| _ = outcome.answers(TEXT).is_unconfirmed().says(&[&says]),
            );
            in_every_dialect(
                |spoken| super::open(spoken, without(spoken, &spoken.stream())).end(),
                |spoken, outcome| {
                    // The start of a message counts what it has written of it.
                    let early = "the provider's usage is not taken: the final usage never came";
                    let says = if spoken.api == "messages" && missing == "output" { early } else { &says };
                    outcome.answers(TEXT).is_unconfirmed().says(&[says]);
                },
            );
        }
    }

    #[test]
    fn what_is_odd_about_a_usage_is_one_line_unless_quiet_and_every_line_with_v() {
        let odd = json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 13, "brand_new_tokens": 3});
        let run = |args: &[&str]| {
            let last = format!("data: {}\n\n", json!({"id": "c1", "choices": [], "usage": odd}));
            let server =
                Server::new(Script::stream(format!("{}{}{last}{DONE}", says(ONE), chunk(&json!({}), Some("stop")))));
            Llmx::openai(&server, &["x"]).args(args).run().exits(0).err
        };
        assert_eq!(run(&[]), "llmx: usage: total 13 is not prompt 7 + completion 5; 1 more with -v\n");
        assert_eq!(run(&["-q"]), "");
        let verbose = run(&["-v"]);
        for told in [
            "\nllmx: usage: total 13 is not prompt 7 + completion 5\n",
            "\nllmx: unread usage field /brand_new_tokens\n",
        ] {
            assert!(verbose.contains(told) && !verbose.contains("with -v"), "{verbose}");
        }
    }

    #[test]
    fn a_charge_that_nobody_said_to_expect_is_no_charge() {
        let usage = json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "cost": 123.5});
        let outcome = reported(&usage);
        outcome.answers(ONE).reports(5);
        assert_ne!(outcome.object["cost"]["basis"], "reported", "{}", outcome.object);
    }

    #[test]
    fn usage_in_every_chunk_counts_once() {
        let chunk_with = |content: &str, output: u64, finish: Option<&str>| {
            let delta = json!({"content": content});
            format!(
                "data: {}\n\n",
                json!({"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
                "usage": {"prompt_tokens": 7, "completion_tokens": output, "total_tokens": 7 + output}})
            )
        };
        let stream = format!(
            "{}{}{}{DONE}",
            chunk_with("a", 1, None),
            chunk_with("b", 3, None),
            chunk_with("", 5, Some("stop"))
        );
        chat(Script::stream(stream)).answers("ab").reports(5);
    }
}

mod escapes {
    use super::{KEY, Llmx, Script, Server, chat_stream, json};

    /// Sequences by which a terminal is steered: title, clipboard, link, erase, reset, colours, C1, replies, overrides.
    pub const HOSTILE: &str = "a\u{1b}]0;title\u{7}b\u{1b}]52;c;aGk=\u{7}c\u{1b}]8;;http://x\u{1b}\\d\u{1b}[2J\u{1b}c\u{1b}[31me\u{9b}31m\
        \u{1b}[6n\u{1b}P+q\u{1b}\\\u{202e}f\u{e0041}\u{8}\u{7f}g\rh";

    #[test]
    fn a_pipe_gets_every_byte_of_the_answer() {
        let server = Server::new(Script::stream(chat_stream(HOSTILE)));
        Llmx::openai(&server, &["x"]).run().exits(0).prints(&format!("{HOSTILE}\n")).stays_quiet();
        let object = Llmx::openai(&server, &["-j", "x"]).run().exits(0).json();
        assert_eq!(object["text"], HOSTILE);
    }

    #[test]
    fn with_forced_colour_escapes_are_shown_in_a_pipe_as_well() {
        let server = Server::new(Script::stream(chat_stream(HOSTILE)));
        let raw = Llmx::openai(&server, &["--color", "always", "--raw", "x"]).run().exits(0);
        assert!(!raw.text().contains(['\u{1b}', '\u{9b}', '\u{202e}', '\r', '\u{8}']), "{raw:?}");
        let object = Llmx::openai(&server, &["--color", "always", "-j", "x"]).run().exits(0);
        assert_eq!(object.json()["text"], HOSTILE);
        assert!(!object.text().contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7f}', '\u{e0041}']), "{object:?}");
        let lines = Llmx::openai(&server, &["--color", "always", "--jsonl", "x"]).run().exits(0);
        assert!(!lines.text().contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7f}', '\u{e0041}']), "{lines:?}");
    }

    #[test]
    fn standard_error_is_clean_wherever_the_words_come_from() {
        let body = json!({"error": {"message": HOSTILE, "type": HOSTILE, "code": HOSTILE}}).to_string();
        let page = format!("<title>{HOSTILE}</title>");
        for script in [
            Script::json(400, &body),
            Script::whole(400, "text/html", &page),
            Script::whole(400, "text/plain", HOSTILE),
            Script::json(200, &body),
            Script::head(302, &[("location", "http://x.invalid/\u{9b}31m\u{202e}"), ("content-length", "0")]),
            Script::head(400, &[("x-request-id", "\u{9b}31m"), ("content-length", "0")]),
            Script::head(200, &[("content-encoding", "\u{9b}31m"), ("content-length", "0")]),
            Script::stream(super::says("fine") + &format!("data: {body}\n\n")),
            Script::stream(super::chunk(&json!({"refusal": HOSTILE}), None) + &super::chunk(&json!({}), Some("stop"))),
            Script::stream(super::chunk(&json!({}), Some(HOSTILE))),
            Script::stream(chat_stream("x").replace("m-1", "m\\u001b[31m\\u009b")),
        ] {
            let server = Server::new(script);
            let model = format!("openai/{}", "m\u{1b}[31m\u{9b}31m");
            let done = Llmx::chat(&["-m", &model, "-v", "x"])
                .env("OPENAI_API_KEY", KEY)
                .env("OPENAI_BASE_URL", server.url())
                .run();
            let steers = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
            assert!(!done.err.contains(steers), "{:?}", done.err);
            assert!(done.err.contains('␛'), "{}", done.err);
        }
    }
}
