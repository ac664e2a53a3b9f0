//! What the tests of the dialects share: bodies read through the same door as in the program, and recorded exchanges.

#![allow(dead_code, reason = "each test uses its own part of this")]
#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

pub mod binary;
pub mod bodies;
pub mod event_stream;
pub mod server;
#[cfg(unix)]
pub mod sitting;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use llmx::domain::answer::Answer;
use llmx::domain::chat::{
    ChatEvent, ChatRequest, Effort, Media, MediaSource, Message, Part, Reasoning, Role, Schema, Settings, Tool,
    ToolCall, ToolChoice, ToolResult,
};
use llmx::domain::usage::Usage;
use llmx::wire::body::Body;
use llmx::wire::contract::{DecodeError, Dialect};
use llmx::wire::quirks::Quirks;
use serde_json::Value;

/// The events of a body that comes in pieces of `size` bytes, and how it ended.
pub fn events(
    dialect: Dialect,
    quirks: &Quirks,
    body: &[u8],
    size: usize,
) -> (Vec<ChatEvent>, Result<(), DecodeError>) {
    let mut reader = Body::new(dialect, quirks);
    let mut events = Vec::new();
    for piece in body.chunks(size) {
        if let Err(error) = reader.push(piece, &mut events) {
            return (events, Err(error));
        }
    }
    let end = reader.end(&mut events);
    (events, end)
}

/// The answer in a body that comes in one piece, and how it ended.
pub fn read(dialect: Dialect, quirks: &Quirks, body: &str) -> (Answer, Result<(), DecodeError>) {
    let (events, end) = events(dialect, quirks, body.as_bytes(), usize::MAX);
    let mut answer = Answer::default();
    for event in events {
        answer.add(event);
    }
    (answer, end)
}

/// The answer in a body that must be whole.
pub fn answer(dialect: Dialect, quirks: &Quirks, body: &str) -> Answer {
    let (answer, end) = read(dialect, quirks, body);
    assert_eq!(end, Ok(()), "{answer:?}");
    answer
}

/// The meters that counted something, by their keys.
pub fn meters(usage: Option<&Usage>) -> Vec<(&'static str, u64)> {
    let quantities = usage.map(|usage| &usage.quantities).into_iter().flatten();
    quantities.filter(|(_, count)| **count > 0).map(|(meter, count)| (meter.key(), *count)).collect()
}

/// Tool calls as id, name and arguments.
pub fn calls(answer: &Answer) -> Vec<(&str, &str, &str)> {
    answer.tool_calls().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str())).collect()
}

/// The recorded exchanges beside the project, if they are here.
pub fn beside() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/exchanges/recorded");
    folder.is_dir().then_some(folder)
}

/// The recorded exchanges that `LLMX_EXCHANGES` names, else those beside the project.
pub fn named() -> Option<PathBuf> {
    std::env::var_os("LLMX_EXCHANGES").map(PathBuf::from).filter(|folder| folder.is_dir()).or_else(beside)
}

/// Every exchange of these APIs in the folder, or `None` (and a message) where there is none.
pub fn exchanges(folder: Option<PathBuf>, apis: &[&str]) -> Option<Vec<Value>> {
    let mut files = Vec::new();
    if let Some(folder) = folder {
        collect(&folder, &mut files);
    }
    files.sort();
    let exchanges = files.iter().map(|file| {
        let text = std::fs::read_to_string(file).expect("readable");
        serde_json::from_str::<Value>(&text).expect("JSON")
    });
    let ours: Vec<Value> = exchanges.filter(|exchange| apis.iter().any(|api| exchange["api"] == *api)).collect();
    if ours.is_empty() {
        eprintln!("skipped: no recorded exchanges of {apis:?} here");
        return None;
    }
    Some(ours)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

/// Equal as JSON, numbers by their value: the expectation was written by another program.
pub fn same(left: &Value, right: &Value) -> bool {
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

/// Where an answer differs from what the exchange expects of it.
pub fn answer_differences(want: &Value, got: &Answer) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, want: String, got: String| {
        if want != got {
            let clip = |text: &str| text.chars().take(300).collect::<String>();
            differences.push(format!("{what}: want {} got {}", clip(&want), clip(&got)));
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    differ("text", text(&want["text"]), got.text());
    differ("reasoning", text(&want["reasoning_text"]), got.reasoning().unwrap_or_default());
    differ("refusal", text(&want["refusal"]), got.refusal.clone());
    let wanted: Vec<(String, Value)> = want["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| {
            let parsed = &call["arguments"];
            let raw = call["arguments_raw"].as_str().and_then(|raw| serde_json::from_str(raw).ok());
            (text(&call["name"]), if parsed.is_null() { raw.unwrap_or_default() } else { parsed.clone() })
        })
        .collect();
    let made: Vec<(String, Value)> =
        got.tool_calls().map(|call| (call.name.clone(), call.parsed().unwrap_or_default())).collect();
    let empty = |value: &Value| matches!(value, Value::Null) || value == "" || value == &serde_json::json!({});
    let equal = wanted.len() == made.len()
        && wanted.iter().zip(&made).all(|((name, arguments), (got_name, got))| {
            name == got_name && (same(arguments, got) || empty(arguments) && empty(got))
        });
    if !equal {
        differ("tool calls", format!("{wanted:?}"), format!("{made:?}"));
    }
    let stop = got.finish.as_ref().map(|finish| finish.raw.clone());
    differ("stop reason", text(&want["stop_reason"]), stop.unwrap_or_default());
    if let Some(model) = want["model"].as_str() {
        differ("model", model.to_owned(), got.model_served.clone().unwrap_or_default());
    }
    let raw = got.usage.as_ref().map(|usage| usage.raw.clone()).unwrap_or_default();
    let neither = empty(&want["usage"]) && empty(&raw);
    if !neither && !same(&want["usage"], &raw) {
        differ("usage", want["usage"].to_string(), raw.to_string());
    }
    differences
}

/// The path of every field in a request body: `.messages[].content[].type`. What the user names itself (the arguments
/// of a call, a schema's own words) is below these `opaque` ends of a path and is not a field of the API.
pub fn fields(value: &Value, opaque: &[&str]) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, opaque: &[&str], found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let path = format!("{path}.{key}");
                    found.insert(path.clone());
                    if !opaque.iter().any(|end| path.ends_with(end)) {
                        walk(inner, &path, opaque, found);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}[]"), opaque, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    walk(value, "", opaque, &mut found);
    found
}

/// A conversation that uses everything the three chat APIs can carry: images, thinking, tools, every common setting.
pub fn rich_conversation() -> ChatRequest {
    let thought = Reasoning { text: "I look it up.".into(), ..Reasoning::default() };
    let call = ToolCall {
        id: "d0".into(),
        name: "depth".into(),
        arguments: "{\"lake\":\"Como\"}".into(),
        ..ToolCall::default()
    };
    let result = ToolResult { id: "d0".into(), name: "depth".into(), content: "425".into(), is_error: false };
    let image = Media { mime: "image/png".into(), source: MediaSource::Bytes(vec![1, 2, 3]), name: None };
    let says = |role, parts| Message { role, parts };
    ChatRequest {
        system: Some("Be brief.".into()),
        messages: vec![
            says(Role::User, vec![Part::Text("How deep?".into()), Part::Image(image)]),
            says(Role::Assistant, vec![Part::Reasoning(thought), Part::ToolCall(call)]),
            says(Role::User, vec![Part::ToolResult(result)]),
            says(Role::Assistant, vec![Part::Text("425 m.".into())]),
            says(Role::User, vec![Part::Text("As JSON.".into())]),
        ],
        tools: vec![Tool {
            name: "depth".into(),
            description: Some("Depth of a lake".into()),
            parameters: serde_json::json!({"type": "object", "properties": {"lake": {"type": "string"}}}),
        }],
        tool_choice: Some(ToolChoice::Any),
        settings: Settings {
            show_reasoning: false,
            temperature: Some(0.5),
            top_p: Some(0.75),
            max_tokens: Some(100),
            seed: Some(7),
            stop: vec!["END".into()],
            effort: Some(Effort::Low),
            schema: Some(Schema {
                name: "lake".into(),
                schema: serde_json::json!({"type": "object", "properties": {}, "required": [],
                    "additionalProperties": false}),
            }),
            cache: None,
            extra: Vec::new(),
        },
    }
}
