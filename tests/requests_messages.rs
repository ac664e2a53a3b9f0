//! Every field that llmx sends to the Messages API stands in a request that the API has accepted.
//!
//! Reads the recorded requests where they are and says so where they are not, as `recorded.rs` does.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use llmx::domain::chat::{
    CacheLifetime, ChatRequest, Effort, Media, MediaSource, Message, Part, Reasoning, Role, Schema, Settings, Tool,
    ToolCall, ToolChoice, ToolResult,
};
use llmx::domain::model::{ModelFacts, Thinking};
use llmx::wire::contract::{Dialect, Target};
use llmx::wire::quirks::Quirks;
use serde_json::{Value, json};

/// Documented, and in no recorded request (platform.claude.com, pages read 2026-11-22).
const DOCUMENTED: [&str; 6] = [
    // Extended thinking: what was redacted goes back unchanged.
    "/messages[]/content[]/type=redacted_thinking",
    "/messages[]/content[]/data",
    // PDF support and citations: a document may be plain text and have a title.
    "/messages[]/content[]/source/type=text",
    "/messages[]/content[]/source/media_type=text/plain",
    "/messages[]/content[]/title",
    // Prompt caching: one hour wherever a cache point stands (recorded in `system` and `tools` only).
    "/messages[]/content[]/cache_control/ttl=1h",
];

/// The places in a body, lists as `[]`, with the value where it names a kind. What the user wrote is not looked into.
fn places(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = format!("{path}/{key}");
                match (key.as_str(), inner) {
                    ("input_schema" | "input" | "schema", _) => drop(found.insert(path)),
                    ("type" | "media_type" | "role" | "effort" | "ttl", Value::String(word)) => {
                        found.insert(format!("{path}={word}"));
                    }
                    _ => places(inner, &path, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|inner| places(inner, &format!("{path}[]"), found)),
        _ => drop(found.insert(path.to_owned())),
    }
}

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("LLMX_EXCHANGES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/exchanges/recorded"));
    folder.is_dir().then_some(folder)
}

/// The places in all recorded requests of this API that were not refused.
fn accepted(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            accepted(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let exchange: Value =
                serde_json::from_str(&std::fs::read_to_string(path).expect("readable")).expect("JSON");
            if exchange["api"] == "anthropic-messages" && exchange["response"]["status"] == 200 {
                places(&exchange["request"]["body"], "", found);
            }
        }
    }
}

fn sent(request: &ChatRequest, facts: &ModelFacts, quirks: &Quirks) -> Value {
    let target = Target { model: "claude-test", quirks, facts, stream: true };
    Dialect::Messages.encode(request, &target).expect("encodable").body
}

/// Requests that together hold all that llmx can send.
fn all_that_is_sent() -> Vec<Value> {
    let media =
        |mime: &str| Media { mime: mime.into(), source: MediaSource::Bytes(b"x".to_vec()), name: Some("x".into()) };
    let url = |mime: &str| Media { source: MediaSource::Url("https://example.com/x".into()), ..media(mime) };
    let rich = ChatRequest {
        system: Some("Be brief.".into()),
        messages: vec![
            Message {
                role: Role::User,
                parts: vec![
                    Part::Text("Hi".into()),
                    Part::Image(media("image/png")),
                    Part::Image(url("image/png")),
                    Part::Document(media("application/pdf")),
                    Part::Document(url("application/pdf")),
                    Part::Document(media("text/plain")),
                ],
            },
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Reasoning(Reasoning { signature: Some("s".into()), ..Reasoning::default() }),
                    Part::Reasoning(Reasoning { redacted: Some("r".into()), ..Reasoning::default() }),
                    Part::ToolCall(ToolCall { id: "a".into(), name: "t".into(), ..ToolCall::default() }),
                ],
            },
            Message {
                role: Role::User,
                parts: vec![
                    Part::ToolResult(ToolResult {
                        id: "a".into(),
                        name: "t".into(),
                        content: "c".into(),
                        is_error: true,
                    }),
                    Part::Text("Go on".into()),
                ],
            },
        ],
        tools: vec![Tool { name: "t".into(), description: Some("d".into()), parameters: json!({"type": "object"}) }],
        tool_choice: None,
        settings: Settings {
            temperature: Some(1.0),
            top_p: Some(0.9),
            max_tokens: Some(2000),
            stop: vec!["###".into()],
            schema: Some(Schema { name: "s".into(), schema: json!({"type": "object"}) }),
            ..Settings::default()
        },
    };
    let mut bodies = Vec::new();
    for (thinking, effort) in [
        (Thinking::Budget, Effort::Low),
        (Thinking::Adaptive, Effort::High),
        (Thinking::Adaptive, Effort::Medium),
        (Thinking::Adaptive, Effort::None),
        (Thinking::Effort, Effort::Medium),
    ] {
        let settings = Settings { effort: Some(effort), ..rich.settings.clone() };
        let facts = ModelFacts { thinking, ..ModelFacts::default() };
        bodies.push(sent(&ChatRequest { settings, ..rich.clone() }, &facts, &Quirks::default()));
    }
    let plain = ModelFacts::default();
    for cache in [CacheLifetime::FiveMinutes, CacheLifetime::OneHour] {
        let settings = Settings { cache: Some(cache), ..rich.settings.clone() };
        bodies.push(sent(&ChatRequest { settings, ..rich.clone() }, &plain, &Quirks::default()));
    }
    for choice in [ToolChoice::Auto, ToolChoice::None, ToolChoice::Any, ToolChoice::Named("t".into())] {
        let request = ChatRequest { tool_choice: Some(choice), ..rich.clone() };
        bodies.push(sent(&request, &plain, &Quirks::default()));
    }
    let in_path =
        Quirks { model_in_body: false, version_in_body: Some("vertex-2023-10-16".into()), ..Quirks::default() };
    bodies.push(sent(&rich, &plain, &in_path));
    bodies
}

#[test]
fn every_field_that_is_sent_was_accepted_before_or_is_documented() {
    let Some(folder) = folder() else {
        eprintln!("skipped: no recorded exchanges here");
        return;
    };
    let mut known = BTreeSet::new();
    accepted(&folder, &mut known);
    assert!(!known.is_empty(), "no request was read");
    let mut ours = BTreeSet::new();
    all_that_is_sent().iter().for_each(|body| places(body, "", &mut ours));
    let unknown: Vec<_> =
        ours.iter().filter(|place| !known.contains(*place) && !DOCUMENTED.contains(&place.as_str())).collect();
    assert!(unknown.is_empty(), "{} of {} places are new to the API: {unknown:#?}", unknown.len(), ours.len());
    let idle: Vec<_> = DOCUMENTED.iter().filter(|place| !ours.contains(**place) || known.contains(**place)).collect();
    assert!(idle.is_empty(), "no longer needed: {idle:?}");
}
