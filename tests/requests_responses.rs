//! Every field that the Responses dialect sends stands in real requests to that API, at the same place.
//!
//! Reads `../shared/exchanges/recorded` where it is there and says so where it is not. `LLMX_EXCHANGES` names another
//! folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use llmx::domain::chat::{Message, Part, Reasoning, Role};
use llmx::domain::model::ModelFacts;
use llmx::wire::contract::{Dialect, Target};
use llmx::wire::quirks::Quirks;
use serde_json::{Value, json};

#[path = "fixtures/responses/rich.rs"]
mod rich;

/// Objects whose fields are the user's own.
const FREE: &[&str] = &["parameters", "schema"];

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("LLMX_EXCHANGES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/exchanges/recorded"));
    folder.is_dir().then_some(folder)
}

/// The path of every field, an element of a list being named by its `type`, else its `role`:
/// `/input[user]/content[input_text]/text`.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = format!("{path}/{key}");
                found.insert(path.clone());
                if !FREE.contains(&key.as_str()) {
                    fields(inner, &path, found);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let name = item["type"].as_str().or_else(|| item["role"].as_str()).unwrap_or_default();
                fields(item, &format!("{path}[{name}]"), found);
            }
        }
        _ => {}
    }
}

fn recorded(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            recorded(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).expect("readable");
            let exchange: Value = serde_json::from_str(&text).expect("JSON");
            let status = exchange["response"]["status"].as_u64();
            if matches!(exchange["api"].as_str(), Some("openai-responses" | "azure-responses")) && status == Some(200) {
                fields(&exchange["request"]["body"], "", found);
            }
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that checks nothing must say so")]
fn every_field_that_is_sent_is_one_that_servers_took() {
    let Some(folder) = folder() else {
        eprintln!("skipped: no recorded exchanges here");
        return;
    };
    let mut taken = BTreeSet::new();
    recorded(&folder, &mut taken);
    assert!(taken.len() > 50, "only {} fields were recorded", taken.len());

    let mut request = rich::rich();
    let open = Reasoning {
        text: "Think.".into(),
        id: Some("rs_2".into()),
        opaque: Some(json!({"content": [{"type": "reasoning_text", "text": "Think."}]})),
        ..Reasoning::default()
    };
    request.messages.push(Message { role: Role::Assistant, parts: vec![Part::Reasoning(open)] });
    let (quirks, facts) = (Quirks { encrypted_reasoning: true, ..Quirks::default() }, ModelFacts::default());
    let target = Target { model: "gpt-test", quirks: &quirks, facts: &facts, stream: true };
    let mut sent = BTreeSet::new();
    fields(&Dialect::Responses.encode(&request, &target).expect("it has a form").body, "", &mut sent);
    let unheard: Vec<_> = sent.difference(&taken).collect();
    assert!(unheard.is_empty(), "no recorded request has {unheard:?}");
}
