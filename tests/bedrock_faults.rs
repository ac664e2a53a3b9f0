//! What can go wrong at Amazon Bedrock, as the built binary does it: exit code, output, requests and what is booked.

#![cfg(feature = "bedrock")]

mod common;

use common::binary::{Done, KEY, Llmx};
use common::event_stream::{event, exception, frame, hello, start, whole_hello};
use common::server::{Script, Server, http_date};
use serde_json::{Value, json};

/// $0.06 for a million tokens of input and $0.24 of output. The prompt is at most 171 tokens: 91 bytes, 64 around the
/// request and 16 around its message. 171 × $0.00000006 + 64 × $0.00000024.
const CEILING: &str = "0.00002562";
/// 3 × $0.00000006 + 2 × $0.00000024.
const HELLO: &str = "0.00000066";

/// A call to Nova Lite at this address, without anything of AWS but made-up keys.
fn nova(url: &str, args: &[&str]) -> Llmx {
    without_keys(url, args).env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", KEY)
}

fn without_keys(url: &str, args: &[&str]) -> Llmx {
    Llmx::chat(&["-m", "bedrock/amazon.nova-lite-v1:0", "--max-tokens", "64", "hi"])
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", url)
        .args(args)
}

/// What became of one call with `-j`.
#[derive(Debug)]
struct Outcome {
    server: Server,
    object: Value,
    rows: Vec<Value>,
    done: Done,
}

/// The scripts in their order, the last one to all that follow.
fn played(scripts: Vec<Script>) -> Outcome {
    with(scripts, |llmx| llmx)
}

fn with(scripts: Vec<Script>, change: impl Fn(Llmx) -> Llmx) -> Outcome {
    let server = Server::of(scripts);
    let done = change(nova(&server.url(), &["-j"])).run();
    Outcome { object: done.json(), rows: done.rows(), server, done }
}

impl Outcome {
    /// The class of the failure and its exit code in all places.
    #[track_caller]
    fn fails(&self, class: &str, code: i32) -> &Outcome {
        assert_eq!(self.done.code, code, "{:?}", self.done);
        let error = &self.object["error"];
        assert_eq!((&error["class"], &error["exit_code"]), (&json!(class), &json!(code)), "{error}");
        let row = self.rows.last().expect("a row");
        assert_eq!(row["error"]["class"], class, "{row}");
        self.adds_up()
    }

    #[track_caller]
    fn answers(&self, text: &str) -> &Outcome {
        assert_eq!(self.done.code, 0, "{:?}", self.done);
        assert_eq!(self.object["error"], Value::Null, "{}", self.object);
        self.text(text).adds_up()
    }

    #[track_caller]
    fn text(&self, text: &str) -> &Outcome {
        assert_eq!(self.object["text"], text, "{}", self.object);
        self
    }

    /// Standard error holds each of these.
    #[track_caller]
    fn says(&self, words: &[&str]) -> &Outcome {
        for word in words {
            assert!(self.done.err.contains(word), "no \"{word}\" in {}", self.done.err);
        }
        self
    }

    /// So many requests came, each is a row, and each row after the first points at it.
    #[track_caller]
    fn asks(&self, times: usize) -> &Outcome {
        assert_eq!(self.server.requests().len(), times, "{}", self.object);
        self.adds_up()
    }

    #[track_caller]
    fn adds_up(&self) -> &Outcome {
        let seen = self.server.requests().len();
        assert_eq!(
            (self.rows.len(), &self.object["timing"]["attempts"]),
            (seen, &json!(seen)),
            "{seen} requests: {:?}",
            self.rows
        );
        for row in self.rows.iter().skip(1) {
            assert_eq!(row["retry_of"], self.rows[0]["id"], "{row}");
        }
        self
    }

    /// Basis, amount and the most of each row, the first one first.
    fn books(&self) -> Vec<(&str, &str, &str)> {
        self.rows
            .iter()
            .map(|row| {
                let cost = &row["cost"];
                let text = |key: &str| cost[key].as_str().unwrap_or("null");
                (text("basis"), text("usd"), text("at_most_usd"))
            })
            .collect()
    }

    /// Every row is settled with nothing.
    #[track_caller]
    fn cost_nothing(&self) -> &Outcome {
        for (basis, usd, _) in self.books() {
            assert_eq!((basis, usd), ("nothing", "0"), "{:?}", self.rows);
        }
        self.may_be_billed(false)
    }

    /// Every row stands at its ceiling: nothing was heard of it.
    #[track_caller]
    fn stands_at_its_ceiling(&self) -> &Outcome {
        for booked in self.books() {
            assert_eq!(booked, ("ceiling", CEILING, CEILING), "{:?}", self.rows);
        }
        self.may_be_billed(true)
    }

    /// The one row holds the best guess of what came, and the ceiling as the most.
    #[track_caller]
    fn is_guessed(&self) -> &Outcome {
        let books = self.books();
        let [(basis, usd, most)] = books[..] else { panic!("{books:?}") };
        assert_eq!((basis, most), ("estimated", CEILING), "{:?}", self.rows);
        assert!(usd > "0" && usd < CEILING, "{usd}");
        self.may_be_billed(true)
    }

    #[track_caller]
    fn may_be_billed(&self, may: bool) -> &Outcome {
        assert_eq!(self.object["error"]["may_be_billed"], may, "{}", self.object);
        self
    }
}

fn refusal(status: u16, code: &str, body: &Value) -> Script {
    refusal_at(status, code, body, &[])
}

fn refusal_at(status: u16, code: &str, body: &Value, more: &[(&str, &str)]) -> Script {
    let body = body.to_string();
    let length = body.len().to_string();
    let headers = [("x-amzn-errortype", code), ("content-type", "application/json"), ("content-length", &length)];
    Script::head(status, &[&headers, more].concat()).raw(body)
}

fn message(words: &str) -> Value {
    json!({"message": words})
}

/// A whole event stream.
fn stream(body: impl AsRef<[u8]>) -> Script {
    Script::chunked(200, "application/vnd.amazon.eventstream").piece(body).end()
}

/// One after which nothing comes, and the connection stays open.
fn open_stream(body: impl AsRef<[u8]>) -> Script {
    Script::chunked(200, "application/vnd.amazon.eventstream").piece(body).silence()
}

/// The frames up to the end of the text.
fn begun() -> Vec<u8> {
    hello()[..3].concat()
}

// ---- refusals ----

#[test]
fn what_passes_is_asked_three_times_and_each_is_one_request_and_one_row_of_nothing() {
    for (status, code, words, class, exit) in [
        (429, "ThrottlingException", "Too many requests, please wait before trying again.", "rate-limit", 5),
        (429, "ModelNotReadyException", "Model is not ready for inference.", "overloaded", 6),
        (503, "ServiceUnavailableException", "Bedrock is unable to process your request.", "overloaded", 6),
        (500, "InternalServerException", "The system encountered an unexpected error.", "overloaded", 6),
    ] {
        let outcome = played(vec![refusal(status, code, &message(words))]);
        outcome.fails(class, exit).asks(3).cost_nothing().text("").says(&[words]);
    }
    // The wait that the service asks for is waited, or is too long to be.
    let throttled = |header, wait| refusal_at(429, "ThrottlingException", &message("slow"), &[(header, wait)]);
    played(vec![throttled("x-amz-retry-after", "5"), stream(hello().concat())]).asks(2).answers("Hello");
    played(vec![throttled("retry-after", "61")]).asks(1).fails("rate-limit", 5).cost_nothing();
    // Once there is room, the answer is booked at its own price beside the refusals.
    let refused = refusal(429, "ThrottlingException", &message("slow"));
    let outcome = played(vec![refused.clone(), refused, stream(hello().concat())]);
    outcome.asks(3).answers("Hello");
    assert_eq!(outcome.books(), [("nothing", "0", "null"), ("nothing", "0", "null"), ("table", HELLO, "null")]);
}

#[test]
fn what_waiting_does_not_mend_is_asked_once_and_costs_nothing() {
    for (status, code, words, class, exit, mends) in [
        (400, "ServiceQuotaExceededException", "no", "quota", 5, "Service Quotas"),
        (429, "ThrottlingException", "Too many tokens per day, please wait.", "quota", 5, "daily"),
        (403, "ExpiredTokenException", "The security token included in the request is expired", "auth", 3, "sso login"),
        (403, "UnrecognizedClientException", "The security token is invalid.", "auth", 3, "AWS_ACCESS_KEY_ID"),
        (403, "InvalidSignatureException", "The request signature does not match", "auth", 3, "secret key"),
        (403, "AccessDeniedException", "Please make sure your API Key is valid.", "auth", 3, "make a new one"),
        (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
            "permission",
            4,
            "model access",
        ),
        (
            403,
            "AccessDeniedException",
            "User: x is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:::foundation-model/y",
            "permission",
            4,
            "global.",
        ),
        (403, "AccessDeniedException", "INVALID_PAYMENT_INSTRUMENT", "permission", 4, "payment"),
        (403, "MPAgreementBeingCreated", "wait", "permission", 4, "15 minutes"),
        (
            404,
            "ResourceNotFoundException",
            "This model version has reached the end of its life.",
            "not-found",
            4,
            "retired",
        ),
        (400, "ValidationException", "The provided model identifier is invalid.", "not-found", 4, "misspelt"),
        (400, "ValidationException", "Input is too long for requested model.", "context-length", 1, "send less"),
        (400, "ValidationException", "bad field", "invalid-request", 1, "--dry-run"),
    ] {
        let outcome = played(vec![refusal(status, code, &message(words))]);
        outcome.fails(class, exit).asks(1).cost_nothing().text("").says(&[words, mends]);
    }
}

#[test]
fn a_model_that_took_too_long_stands_at_its_ceiling_and_is_not_asked_again() {
    let slow = refusal(408, "ModelTimeoutException", &message("The request took too long to process."));
    let outcome = played(vec![slow]);
    outcome.fails("timeout", 6).asks(1).stands_at_its_ceiling().says(&["stream the answer and lower --max-tokens"]);
}

#[test]
fn a_model_that_failed_by_itself_is_judged_by_its_own_status() {
    for (original, class, exit, times) in [(500, "overloaded", 6, 3), (400, "invalid-request", 1, 1)] {
        let body = json!({"message": "it fell over", "originalStatusCode": original, "resourceName": "m"});
        let outcome = played(vec![refusal(424, "ModelErrorException", &body)]);
        outcome.fails(class, exit).asks(times).cost_nothing().says(&["it fell over"]);
    }
}

#[test]
fn an_error_under_a_status_keeps_its_words_although_a_stream_was_asked_for() {
    for (status, class, exit, times, may_be_billed) in
        [(502, "network", 6, 3, false), (504, "network", 6, 1, true), (403, "permission", 4, 1, false)]
    {
        let page = "<html><title>Corporate proxy</title></html>";
        let outcome = played(vec![Script::whole(status, "text/html", page)]);
        outcome.fails(class, exit).asks(times).may_be_billed(may_be_billed).says(&["Corporate proxy"]);
        assert!(!outcome.done.err.to_lowercase().contains("checksum"), "{}", outcome.done.err);
        if may_be_billed {
            outcome.stands_at_its_ceiling()
        } else {
            outcome.cost_nothing()
        };
    }
    let page = Script::whole(200, "text/html", "<html><title>Sign in</title></html>");
    played(vec![page]).fails("protocol", 6).asks(1).stands_at_its_ceiling();
}

#[test]
fn a_model_that_refuses_streams_is_asked_again_for_the_whole_answer_in_a_row_of_its_own() {
    let refused = refusal(400, "ValidationException", &message("The model is unsupported for streaming."));
    let outcome = played(vec![refused, Script::json(200, whole_hello().to_string())]);
    outcome.asks(2).answers("Hello").says(&["cannot be streamed"]);
    let ends = ["/converse-stream", "/converse"];
    for (request, end) in outcome.server.requests().iter().zip(ends) {
        assert!(request.path.ends_with(end), "{}", request.path);
    }
    assert_eq!(outcome.books(), [("nothing", "0", "null"), ("table", HELLO, "null")]);
}

#[test]
fn nova_2_at_its_highest_effort_takes_no_cap_and_is_refused_where_a_limit_holds() {
    let ask = |args: &[&str]| {
        let server = Server::new(stream(hello().concat()));
        let model = ["-m", "bedrock/us.amazon.nova-2-lite-v1:0", "--max-tokens", "64", "-j", "hi"];
        let llmx = Llmx::chat(&model).env("AWS_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
        let llmx = llmx.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", KEY);
        (llmx.env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url()).args(args).run(), server)
    };
    let by_hand = "reasoningConfig={\"type\":\"enabled\",\"maxReasoningEffort\":\"high\"}";
    for args in [["--effort", "high"], ["--effort", "max"], ["-P", by_hand]] {
        let (done, server) = ask(&[&args[..], &["--max-cost", "5"]].concat());
        let done = done.exits(8).says(&["no output cap is taken", "give a lower --effort"]);
        assert_eq!((&done.json()["error"]["why"], server.connections(), done.booked()), (&json!("unbounded"), 0, 0));
        // Where no limit holds it is sent, without a cap where the effort is ours to write.
        let (done, server) = ask(&args);
        done.exits(0);
        let cap = &server.request().json()["inferenceConfig"]["maxTokens"];
        assert_eq!(cap.is_null(), args[0] == "--effort", "{cap}");
    }
    let (done, server) = ask(&["--effort", "medium", "--max-cost", "5"]);
    done.exits(0);
    assert_eq!(server.request().json()["inferenceConfig"]["maxTokens"], 64);
}

// ---- credentials and the clock ----

#[test]
fn a_credential_that_is_not_to_be_had_sends_nothing_and_is_one_line_with_the_command() {
    let login = "[profile corp]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = r\n\
                 [sso-session corp]\nsso_start_url = https://corp.awsapps.invalid/start\nsso_region = us-east-1\n";
    let expired = json!({"accessToken": "old", "expiresAt": "2024-01-01T00:00:00Z", "region": "us-east-1",
        "startUrl": "https://corp.awsapps.invalid/start"});
    // The cache's name is the SHA-1 of the session's name.
    let cached = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    for (profile, config, says) in [
        ("corp", login, "aws sso login --profile corp"),
        ("nowhere", login, "aws configure list-profiles"),
        ("corp", "[profile corp]\nsso_session = gone\nsso_account_id = 1\nsso_role_name = r\n", "corp"),
    ] {
        let server = Server::new(stream(hello().concat()));
        let llmx = without_keys(&server.url(), &["-j", "--profile", profile]);
        let done = llmx.file(".aws/config", config).file(cached, expired.to_string()).run().exits(3);
        let error = &done.json()["error"];
        assert_eq!((&error["class"], &error["may_be_billed"]), (&json!("auth"), &json!(false)), "{error}");
        let words = error["message"].as_str().expect("words");
        assert!(!words.contains('{') && !words.contains('\n'), "one line of words: {words}");
        let done = done.says(&[says]);
        // The attempt was begun and nothing of it left: its row says so.
        assert_eq!((server.requests().len(), server.connections()), (0, 0));
        let rows = done.rows();
        assert_eq!(
            (rows.len(), &rows[0]["cost"]["basis"], &rows[0]["cost"]["usd"]),
            (1, &json!("nothing"), &json!("0"))
        );
    }
}

#[test]
fn a_clock_one_hour_off_is_one_refused_attempt_and_one_that_is_signed_by_the_services_time() {
    let words = "Signature expired: 20261122T100000Z is now earlier than 20261122T105500Z";
    let refused =
        || refusal_at(403, "InvalidSignatureException", &message(words), &[("date", http_date(3600).as_str())]);
    let outcome = played(vec![refused(), stream(hello().concat())]);
    outcome.asks(2).answers("Hello").says(&["this machine's clock is off by 60 min"]);
    assert_eq!(outcome.books(), [("nothing", "0", "null"), ("table", HELLO, "null")]);
    let signed = outcome.server.requests();
    let hours: Vec<_> =
        signed.iter().filter_map(|request| Some(request.header("x-amz-date")?.get(..11)?.to_owned())).collect();
    assert!(hours.len() == 2 && hours[0] != hours[1], "{hours:?}");

    let outcome = played(vec![refused()]);
    outcome.fails("auth", 3).asks(2).cost_nothing().says(&["set this machine's clock", "off by 60 min"]);
    assert_eq!(outcome.object["error"]["retryable"], false, "tried once more, not for ever");
    // It is another request and no retry; who wants this machine's own time is obeyed.
    let none = with(vec![refused(), stream(hello().concat())], |llmx| llmx.args(&["--retries", "0"]));
    none.asks(2).answers("Hello");
    let own = with(vec![refused()], |llmx| llmx.env("AWS_DISABLE_CLOCK_SKEW_CORRECTION", "true"));
    own.fails("auth", 3).asks(1).cost_nothing().says(&["off by 60 min"]);
    // The clock is right: the key is wrong.
    let right = refusal_at(403, "InvalidSignatureException", &message("no match"), &[("date", http_date(0).as_str())]);
    played(vec![right]).fails("auth", 3).asks(1).cost_nothing();
}

// ---- inside the stream ----

/// Exceptions by name and payload, with their class and exit code, and where they come alone: how many requests are made,
/// and whether each may have been billed.
fn exceptions() -> Vec<(&'static str, Value, &'static str, i32, usize, bool)> {
    let model = |status: u16| json!({"message": "m", "originalStatusCode": status, "originalMessage": "model's words"});
    vec![
        ("throttlingException", message("Too many tokens, please wait"), "rate-limit", 5, 2, false),
        ("validationException", message("Input is too long for requested model."), "context-length", 1, 1, false),
        ("validationException", message("something else"), "invalid-request", 1, 1, false),
        ("serviceUnavailableException", message("Bedrock is unable"), "overloaded", 6, 2, true),
        ("internalServerException", message("unexpected"), "overloaded", 6, 2, true),
        ("modelStreamErrorException", model(500), "overloaded", 6, 2, true),
        ("modelStreamErrorException", model(400), "invalid-request", 1, 1, true),
        ("brandNewException", message("who knows"), "protocol", 6, 1, true),
    ]
}

#[test]
fn an_exception_after_text_keeps_the_text_and_is_never_asked_again() {
    for (name, payload, class, exit, _, _) in exceptions() {
        let broken = || stream([begun(), exception(name, &payload)].concat());
        let outcome = played(vec![broken()]);
        let words = payload["originalMessage"].as_str().or(payload["message"].as_str()).expect("words");
        outcome.fails(class, exit).asks(1).text("Hello").is_guessed().says(&[words]);
        let server = Server::new(broken());
        nova(&server.url(), &[]).run().exits(exit).prints("Hello\n").says(&[words, "may have been billed"]);
    }
}

#[test]
fn an_exception_as_the_only_frame_is_a_refusal_or_stands_at_its_ceiling() {
    for (name, payload, class, exit, times, billed) in exceptions() {
        let outcome = played(vec![stream(exception(name, &payload))]);
        outcome.fails(class, exit).asks(times).text("");
        if billed {
            outcome.stands_at_its_ceiling()
        } else {
            outcome.cost_nothing()
        };
    }
}

#[test]
fn an_error_frame_gives_the_code_and_the_words_of_its_headers() {
    let error =
        frame(&[(":message-type", "error"), (":error-code", "InternalError"), (":error-message", "it fell over")], b"");
    let after_text = played(vec![stream([begun(), error.clone()].concat())]);
    after_text.fails("protocol", 6).asks(1).text("Hello").is_guessed().says(&["it fell over"]);
    assert_eq!(after_text.object["error"]["provider_type"], "InternalError");
    let alone = played(vec![stream([start(), error].concat())]);
    alone.fails("protocol", 6).asks(1).text("").stands_at_its_ceiling().says(&["it fell over"]);
}

#[test]
fn a_frame_that_was_damaged_or_cut_short_is_an_unreadable_answer() {
    let (frames, body) = (hello(), hello().concat());
    let third = frames[..3].concat().len();
    // The checksum of the prelude and that of the message, in the frame after the text.
    for at in [third + 8, third + frames[3].len() - 1] {
        let mut flipped = body.clone();
        flipped[at] ^= 1;
        let outcome = played(vec![stream(flipped)]);
        outcome.fails("protocol", 6).asks(1).text("Hello").is_guessed();
    }
    let outcome = played(vec![stream(&body[..third + frames[3].len() - 9])]);
    outcome.fails("protocol", 6).asks(1).text("Hello").is_guessed();
    // As the first thing that comes.
    let mut first = body.clone();
    first[8] ^= 1;
    played(vec![stream(first)]).fails("protocol", 6).asks(1).text("").stands_at_its_ceiling();
    played(vec![stream(&body[..frames[0].len() - 9])]).fails("protocol", 6).asks(1).text("").stands_at_its_ceiling();
}

#[test]
fn a_stream_that_ends_before_its_stop_is_no_success() {
    let outcome = played(vec![stream(begun())]);
    outcome.fails("protocol", 6).asks(1).text("Hello").is_guessed().says(&["before the model had stopped"]);
    played(vec![stream("")]).fails("protocol", 6).asks(1).text("").stands_at_its_ceiling();
    let cut = Script::chunked(200, "application/vnd.amazon.eventstream").piece(begun()).reset();
    played(vec![cut]).fails("network", 6).asks(1).text("Hello").is_guessed();
}

#[test]
fn an_answer_whose_usage_never_came_is_whole_and_is_booked_at_a_guess() {
    let frames = hello();
    let outcome = played(vec![stream(frames[..5].concat())]);
    outcome.answers("Hello").asks(1).says(&["usage never came"]);
    let books = outcome.books();
    let [(basis, usd, most)] = books[..] else { panic!("{books:?}") };
    assert_eq!((basis, most), ("estimated", CEILING), "{:?}", outcome.rows);
    assert!(usd > "0" && usd < most, "{usd}");
}

#[test]
fn what_is_newer_than_this_llmx_and_what_comes_in_single_bytes_is_read_to_its_end() {
    let mut frames = hello();
    frames.insert(2, event("futureEvent", &json!({"x": 1})));
    let newer = played(vec![stream(frames.concat())]);
    newer.answers("Hello").asks(1).says(&["futureEvent"]);
    let pieces = Script::chunked(200, "application/vnd.amazon.eventstream").byte_by_byte(hello().concat()).end();
    let slow = played(vec![pieces]);
    slow.answers("Hello").asks(1);
    for outcome in [newer, slow] {
        assert_eq!(outcome.books(), [("table", HELLO, "null")]);
    }
}

#[test]
fn a_stall_ends_at_the_limits_and_stands_at_its_ceiling() {
    let limits = |llmx: Llmx| llmx.config("[limits]\nhead_ms = 100\nidle_ms = 100\n");
    let silent = with(vec![Script::bare().silence()], limits);
    silent.fails("timeout", 6).asks(1).stands_at_its_ceiling().says(&["no answer within 0.1 s"]);
    let stalled = with(vec![open_stream(begun())], |llmx| llmx.config("[limits]\nidle_ms = 100\n"));
    stalled.fails("timeout", 6).asks(1).text("Hello").is_guessed().says(&["no byte within 0.1 s"]);
}
