//! Recorded exchanges through the built binary: what the provider once answered comes out of `llmx chat -j` as it must.
//!
//! Reads `../shared/exchanges/recorded`, or the folder that `LLMX_EXCHANGES` names, and says so where there is none. Every
//! 8th exchange of each provider, API and kind is taken; `LLMX_REPLAY_EVERY=1` takes them all. Those that decode to something
//! else on purpose stand in `recorded_exceptions.toml`.

#![expect(clippy::print_stderr, reason = "the figures and the differences are what this test is run for")]

mod common;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::binary::{KEY, Llmx};
use common::server::{Script, Server};
use common::{exchanges, named};
use serde_json::{Map, Value, json};

/// The APIs that were recorded, and how llmx calls what they speak.
const APIS: &[(&str, &str)] = &[
    ("openai-chat", "chat"),
    ("azure-chat", "chat"),
    ("azure-inference-chat", "chat"),
    ("mistral", "chat"),
    ("openai-responses", "responses"),
    ("azure-responses", "responses"),
    ("anthropic-messages", "messages"),
    ("gemini-generate", "generate-content"),
    ("gemini-stream", "generate-content"),
    ("vertex-generate", "generate-content"),
    ("vertex-stream", "generate-content"),
    ("cohere-v2", "cohere"),
    ("ollama-chat", "ollama"),
    #[cfg(feature = "bedrock")]
    ("bedrock-converse", "converse"),
    #[cfg(feature = "bedrock")]
    ("bedrock-converse-stream", "converse"),
];

/// Every how many exchanges of a kind one is played.
const EVERY: usize = 8;

#[test]
fn recorded_exchanges_come_out_of_the_binary_as_they_must() {
    let apis: Vec<&str> = APIS.iter().map(|(api, _)| *api).collect();
    let Some(exchanges) = exchanges(named(), &apis) else { return };
    let every = std::env::var("LLMX_REPLAY_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(EVERY);
    let excepted: BTreeMap<String, String> =
        toml::from_str(include_str!("recorded_exceptions.toml")).expect("a table of id to reason");
    let mut sample = sample(&exchanges, every);
    sample.retain(|exchange| exchange["id"].as_str().is_some_and(|id| !excepted.contains_key(id)));
    let threads = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let share = sample.iter().skip(worker).step_by(threads);
                scope.spawn(move || share.flat_map(|exchange| play(exchange)).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    eprintln!("{} of {} recorded exchanges played, {} differences", sample.len(), exchanges.len(), wrong.len());
    assert!(sample.len() >= 100, "too few to say anything");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every n-th of each provider, API and kind, in the order of their ids.
fn sample(exchanges: &[Value], every: usize) -> Vec<&Value> {
    let mut kinds: BTreeMap<[String; 3], Vec<&Value>> = BTreeMap::new();
    for exchange in exchanges {
        let kind = ["provider", "api", "streaming"].map(|key| exchange[key].to_string());
        kinds.entry(kind).or_default().push(exchange);
    }
    kinds.into_values().flat_map(|of_one_kind| of_one_kind.into_iter().step_by(every.max(1))).collect()
}

/// Plays one exchange; gives what differs.
fn play(exchange: &Value) -> Vec<String> {
    let id = exchange["id"].as_str().unwrap_or_default();
    let api = APIS.iter().find(|(api, _)| exchange["api"] == *api).map_or("", |(_, ours)| ours);
    let server = Server::new(script(&exchange["response"]));
    // A provider of the user's own: no quirk of a known one helps.
    let config = format!(
        "[provider.replay]\nname = \"Replay\"\nbase_url = \"{}\"\napi = [\"{api}\"]\nkey = [\"REPLAY_KEY\"]\n",
        server.url()
    );
    let mut llmx = if api == "converse" {
        Llmx::chat(&["-m", "bedrock@us-east-1/some-model", "--retries", "0", "-j", "hello"])
            .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url())
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", KEY)
            .env("AWS_EC2_METADATA_DISABLED", "true")
    } else {
        Llmx::chat(&["-m", "replay/some-model", "--retries", "0", "-j", "hello"]).config(&config).env("REPLAY_KEY", KEY)
    };
    if exchange["streaming"] != true {
        llmx = llmx.args(&["-S"]);
    }
    let done = llmx.run();
    let mut differences = differences(exchange, &done.json());
    if (done.code == 0) != done.json()["error"].is_null() && !matches!(done.code, 7) {
        differences.push(format!("exit code {}", done.code));
    }
    if server.requests().len() != 1 {
        differences.push(format!("{} requests", server.requests().len()));
    }
    differences.into_iter().map(|difference| format!("{id}: {difference}")).collect()
}

/// The recorded response: a stream in chunks of uneven sizes, everything else whole.
fn script(response: &Value) -> Script {
    let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0);
    let content_type = response["headers"]["content-type"].as_str().unwrap_or("application/json");
    let frames = response["body_base64"].as_str().map(|text| STANDARD.decode(text).expect("base64"));
    let body = frames.as_deref().unwrap_or(response["body_text"].as_str().unwrap_or_default().as_bytes());
    if !content_type.contains("stream") && !content_type.contains("ndjson") {
        return Script::whole(status, content_type, body);
    }
    let mut script = Script::chunked(status, content_type);
    let (mut rest, mut size) = (body, 1);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        (rest, size) = (after, size * 7 % 997);
        script = script.piece(piece);
    }
    script.end()
}

fn differences(exchange: &Value, got: &Value) -> Vec<String> {
    let want = &exchange["expect"];
    let mut differences = Vec::new();
    let mut differ = |what: &str, want: &Value, got: &Value| {
        let neither = is_nothing(want) && is_nothing(got);
        if !neither && !same(want, got) {
            let clip = |value: &Value| value.to_string().chars().take(300).collect::<String>();
            differences.push(format!("{what}: want {} got {}", clip(want), clip(got)));
        }
    };
    let (error, status) = (&got["error"], &exchange["response"]["status"]);
    match want["error"].as_object() {
        Some(wanted) if wanted.get("type") == Some(&"protocol".into()) => {
            differ("class", &"protocol".into(), &error["class"])
        }
        Some(wanted) => {
            let words = wanted.get("message").unwrap_or(&Value::Null);
            differ("error message", words, &error["provider_message"]);
        }
        None if want["complete"] == false => differ("class", &"protocol".into(), &error["class"]),
        None => differ("error", &Value::Null, error),
    }
    if status.as_u64() >= Some(400) {
        differ("status", status, &error["status"]);
        return differences;
    }
    let calls: Vec<Value> = array(&want["tool_calls"])
        .map(|call| {
            let arguments = if call["arguments"].is_null() { &call["arguments_raw"] } else { &call["arguments"] };
            json!([call["name"], something(arguments)])
        })
        .collect();
    let made: Vec<Value> =
        array(&got["tool_calls"]).map(|call| json!([call["name"], something(&call["arguments"])])).collect();
    differ("text", &want["text"], &got["text"]);
    differ("reasoning", &want["reasoning_text"], &got["reasoning"]);
    differ("refusal", &want["refusal"], &got["refusal"]);
    differ("tool calls", &Value::Array(calls), &Value::Array(made));
    differ("stop reason", &want["stop_reason"], &got["stop_reason_raw"]);
    if !want["model"].is_null() {
        differ("model", &want["model"], &got["model_served"]);
    }
    differ("usage", &want["usage"], &got["usage"]["raw"]);
    differences
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Arguments, where "none" has several spellings.
fn something(arguments: &Value) -> Value {
    if is_nothing(arguments) || arguments == "null" { Value::Null } else { arguments.clone() }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map == &Map::new(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Equal as JSON, numbers by their value: the expectation was written by another program.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}
