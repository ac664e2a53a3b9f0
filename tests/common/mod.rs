//! What the tests of the dialects share: bodies read through the same door as in the program, and recorded exchanges.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use llmx::domain::answer::Answer;
use llmx::domain::chat::ChatEvent;
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

/// Where the recorded exchanges are, if they are here: `LLMX_EXCHANGES`, else beside the project.
pub fn recorded() -> Option<PathBuf> {
    let named = std::env::var_os("LLMX_EXCHANGES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/exchanges/recorded"));
    folder.is_dir().then_some(folder)
}

/// Every recorded exchange of these APIs, or `None` (and a message) where there are no recordings.
pub fn exchanges(apis: &[&str]) -> Option<Vec<Value>> {
    let Some(folder) = recorded() else {
        eprintln!("skipped: no recorded exchanges here");
        return None;
    };
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let exchanges = files.iter().map(|file| {
        let text = std::fs::read_to_string(file).expect("readable");
        serde_json::from_str::<Value>(&text).expect("JSON")
    });
    let ours: Vec<Value> = exchanges.filter(|exchange| apis.iter().any(|api| exchange["api"] == *api)).collect();
    assert!(!ours.is_empty(), "no exchange of {apis:?} in {}", folder.display());
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

/// The path of every field in a request body: `.messages[].content[].type`. What the user names itself (the arguments
/// of a call, a schema's own words) is below these `opaque` ends of a path and is not a field of the API.
pub fn fields(value: &Value, opaque: &[&str]) -> std::collections::BTreeSet<String> {
    fn walk(value: &Value, path: &str, opaque: &[&str], found: &mut std::collections::BTreeSet<String>) {
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
    let mut found = std::collections::BTreeSet::new();
    walk(value, "", opaque, &mut found);
    found
}
