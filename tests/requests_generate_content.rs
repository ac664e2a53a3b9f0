//! Every field that llmx sends to generateContent is one that recorded clients send, too, or that a page documents.
//!
//! Reads `../shared/exchanges/recorded` where it is there and says so where it is not; `LLMX_EXCHANGES` names another
//! folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use llmx::domain::chat::{
    ChatRequest, Effort, Media, MediaSource, Message, Part, Reasoning, Role, Schema, Settings, Tool, ToolCall,
    ToolChoice, ToolResult,
};
use llmx::domain::model::{ModelFacts, Thinking};
use llmx::wire::contract::{Dialect, Target};
use llmx::wire::quirks::Quirks;
use serde_json::{Value, json};

/// Fields that no recorded request holds, each with the page that documents it (read 2026-11-22).
const DOCUMENTED: [(&str, &str); 2] = [
    ("/generationConfig/seed", "https://ai.google.dev/api/generate-content#GenerationConfig"),
    ("/contents/parts/functionResponse/response/output", "https://ai.google.dev/api/caching#FunctionResponse"),
];

/// What a function or a schema holds is the user's, not the API's.
const OPAQUE: [&str; 3] = ["args", "parametersJsonSchema", "responseJsonSchema"];

#[test]
#[allow(clippy::print_stderr, reason = "says why nothing was checked")]
fn every_field_that_is_sent_is_one_that_the_api_is_seen_to_take() {
    let named = std::env::var_os("LLMX_EXCHANGES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/exchanges/recorded"));
    if !folder.is_dir() {
        eprintln!("skipped: no recorded exchanges here");
        return;
    }
    let mut seen = BTreeSet::new();
    let mut requests = 0;
    for provider in std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if !provider.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&provider).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let exchange: Value = std::fs::read_to_string(&file)
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default();
            let ours = matches!(
                exchange["api"].as_str(),
                Some("gemini-generate" | "gemini-stream" | "vertex-generate" | "vertex-stream")
            );
            // Only what was accepted shows what the API takes.
            if ours && exchange["response"]["status"] == 200 {
                requests += 1;
                fields(&exchange["request"]["body"], String::new(), &mut seen);
            }
        }
    }
    assert!(requests > 100, "only {requests} requests were read");
    let mut sent = BTreeSet::new();
    for (thinking, choice) in [
        (Thinking::Level, ToolChoice::Named("weather".into())),
        (Thinking::Budget, ToolChoice::Any),
        (Thinking::None, ToolChoice::None),
    ] {
        let facts = ModelFacts { thinking, ..ModelFacts::default() };
        let target = Target { model: "m", quirks: &Quirks::default(), facts: &facts, stream: true };
        let encoded = Dialect::GenerateContent.encode(&everything(choice), &target).expect("encodes");
        fields(&encoded.body, String::new(), &mut sent);
    }
    assert!(sent.len() > 30, "the request holds too little: {sent:?}");
    let unknown: Vec<_> = sent
        .iter()
        .filter(|field| !seen.contains(*field) && !DOCUMENTED.iter().any(|(known, _)| known == field))
        .collect();
    assert!(unknown.is_empty(), "no recorded request holds {unknown:?}");
    let stale: Vec<_> =
        DOCUMENTED.iter().filter(|(known, _)| seen.contains(*known) || !sent.contains(*known)).collect();
    assert!(stale.is_empty(), "these need no page any more: {stale:?}");
}

/// The path of each field, an array's elements taken together.
fn fields(value: &Value, path: String, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = format!("{path}/{key}");
                if !OPAQUE.contains(&key.as_str()) {
                    fields(inner, path.clone(), found);
                }
                found.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, path.clone(), found)),
        _ => {}
    }
}

/// A request in which every field is used that llmx knows.
fn everything(choice: ToolChoice) -> ChatRequest {
    let media = |source| Media { mime: "image/png".into(), source, name: Some("a.png".into()) };
    let result = |is_error| {
        Part::ToolResult(ToolResult { id: "c".into(), name: "weather".into(), content: "x".into(), is_error })
    };
    let schema = json!({"type": "object", "properties": {}});
    ChatRequest {
        system: Some("Be brief.".into()),
        messages: vec![
            Message {
                role: Role::User,
                parts: vec![
                    Part::Text("Hi".into()),
                    Part::Image(media(MediaSource::Bytes(vec![1]))),
                    Part::Document(media(MediaSource::Url("https://example.com/a.pdf".into()))),
                ],
            },
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Reasoning(Reasoning {
                        text: "Hm.".into(),
                        signature: Some("cw==".into()),
                        ..Reasoning::default()
                    }),
                    Part::Text("I ask.".into()),
                    Part::Reasoning(Reasoning { signature: Some("cw==".into()), ..Reasoning::default() }),
                    Part::ToolCall(ToolCall {
                        id: "c".into(),
                        name: "weather".into(),
                        arguments: "{}".into(),
                        signature: Some("cw==".into()),
                    }),
                ],
            },
            Message { role: Role::User, parts: vec![result(false), result(true)] },
        ],
        tools: vec![Tool { name: "weather".into(), description: Some("d".into()), parameters: schema.clone() }],
        tool_choice: Some(choice),
        settings: Settings {
            temperature: Some(0.5),
            top_p: Some(0.9),
            max_tokens: Some(300),
            seed: Some(7),
            stop: vec!["END".into()],
            effort: Some(Effort::Low),
            schema: Some(Schema { name: "s".into(), schema }),
            ..Settings::default()
        },
    }
}
