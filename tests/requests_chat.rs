//! Requests in Chat Completions: known fields only, and what others were recorded to send comes out as they sent it.

#![expect(clippy::print_stderr, reason = "the figures are for whoever runs the test with --nocapture")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{beside, exchanges, fields, named, rich_conversation};
use llmx::domain::chat::{
    ChatRequest, Effort, Media, MediaSource, Message, Part, Reasoning, Role, Schema, Settings, Tool, ToolCall,
    ToolChoice, ToolResult,
};
use llmx::domain::model::ModelFacts;
use llmx::wire::contract::{Dialect, Target};
use llmx::wire::quirks::{EffortForm, Quirks, ReasoningBack, SeedForm};
use serde_json::{Map, Value, json};

const APIS: &[&str] = &["openai-chat", "azure-chat", "azure-inference-chat", "mistral"];

/// Below these stands what the user names.
const OPAQUE: &[&str] = &[".parameters", ".schema"];

/// Documented at docs.vllm.ai, "Reasoning Outputs" (read 2026-11-22), and in no recorded request.
const DOCUMENTED: [&str; 2] = [".chat_template_kwargs", ".chat_template_kwargs.enable_thinking"];

/// Of the requests that can be read, at least so many of a hundred must come out equal.
const EQUAL_PERCENT: usize = 90;

#[test]
fn every_field_that_is_sent_was_recorded_or_is_documented() {
    let Some(exchanges) = exchanges(beside(), APIS) else { return };
    let recorded: BTreeSet<String> =
        exchanges.iter().flat_map(|exchange| fields(&exchange["request"]["body"], OPAQUE)).collect();
    let rich = rich_conversation();
    let mut sent = BTreeSet::new();
    for (quirks, facts) in rows() {
        let target = Target { model: "gpt-5.2", quirks: &quirks, facts: &facts, stream: true };
        let said = Dialect::Chat.encode(&rich, &target).expect("can be said");
        sent.extend(fields(&said.body, OPAQUE));
    }
    let unknown: Vec<_> =
        sent.iter().filter(|path| !recorded.contains(*path) && !DOCUMENTED.contains(&path.as_str())).collect();
    assert!(unknown.is_empty(), "sent, but neither recorded nor documented: {unknown:?}");
    eprintln!("{} fields sent, {} of them recorded", sent.len(), sent.intersection(&recorded).count());
    let stale: Vec<_> = DOCUMENTED.iter().filter(|path| !sent.contains(**path)).collect();
    assert!(stale.is_empty(), "allowed, but no longer sent: {stale:?}");
}

/// Rows that between them send every field of the dialect.
fn rows() -> Vec<(Quirks, ModelFacts)> {
    let back = [ReasoningBack::ReasoningContent, ReasoningBack::ReasoningDetails, ReasoningBack::ThinkingPart];
    let efforts = [
        EffortForm::ReasoningEffort,
        EffortForm::Reasoning,
        EffortForm::ThinkingType,
        EffortForm::EnableThinking,
        EffortForm::TemplateKwargs,
    ];
    let facts = ModelFacts::default();
    let mut rows = vec![
        (Quirks { seed: SeedForm::RandomSeed, ..Quirks::default() }, facts.clone()),
        (Quirks { max_completion_tokens: true, ..Quirks::default() }, facts.clone()),
    ];
    rows.extend(back.map(|reasoning_back| (Quirks { reasoning_back, ..Quirks::default() }, facts.clone())));
    rows.extend(efforts.map(|effort| (Quirks { effort, ..Quirks::default() }, facts.clone())));
    rows
}

#[test]
fn recorded_requests_come_out_as_others_sent_them() {
    let Some(exchanges) = exchanges(named(), APIS) else { return };
    let mut passed_over: BTreeMap<String, usize> = BTreeMap::new();
    let (mut equal, mut compared) = (0, 0);
    for exchange in &exchanges {
        let body = &exchange["request"]["body"];
        let reading = match read(body) {
            Ok(reading) => reading,
            Err(reason) => {
                *passed_over.entry(reason).or_default() += 1;
                continue;
            }
        };
        compared += 1;
        let differences = differences(body, &reading);
        if differences.is_empty() {
            equal += 1;
        } else {
            eprintln!("{}\n    {}", exchange["id"], differences.join("\n    "));
        }
    }
    let passed: usize = passed_over.values().sum();
    for (reason, count) in &passed_over {
        eprintln!("{count:5} passed over: {reason}");
    }
    eprintln!("{equal} of {compared} requests equal, {passed} passed over");
    assert!(compared * 2 >= exchanges.len(), "most requests must be readable");
    assert!(equal * 100 >= compared * EQUAL_PERCENT, "{} requests differ", compared - equal);
}

/// A recorded request in our words, and the row whose API it speaks.
struct Reading {
    request: ChatRequest,
    quirks: Quirks,
    facts: ModelFacts,
    stream: bool,
}

/// Reads what the dialect can say; else why it cannot.
fn read(body: &Value) -> Result<Reading, String> {
    let mut quirks = Quirks::default();
    let mut facts = ModelFacts::default();
    let mut request = ChatRequest::default();
    for (at, message) in array(&body["messages"], "messages")?.iter().enumerate() {
        let message = object(message, "a message")?;
        match message.get("role").and_then(Value::as_str) {
            Some("system" | "developer") if at == 0 => {
                quirks.developer_role = message["role"] == "developer";
                request.system = Some(lone_text(message, &["role", "content"])?);
            }
            Some("system" | "developer") => return Err("a system message that is not the first".into()),
            Some("user") => request.messages.push(user(message)?),
            Some("assistant") => request.messages.push(assistant(message, &mut quirks)?),
            Some("tool") => result(message, &mut request)?,
            role => return Err(format!("role {role:?}")),
        }
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        request.tools.push(self::tool(tool)?);
    }
    request.tool_choice = tool_choice(&body["tool_choice"])?.filter(|_| !request.tools.is_empty());
    request.settings = settings(body, &mut quirks, &mut facts)?;
    Ok(Reading { request, quirks, facts, stream: body["stream"] == true })
}

fn array<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{what} is no list"))
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} is no object"))
}

/// Only fields that the dialect has a word for, or that say nothing.
fn only(map: &Map<String, Value>, known: &[&str], what: &str) -> Result<(), String> {
    match map.iter().find(|(key, value)| !known.contains(&key.as_str()) && !value.is_null()) {
        Some((key, _)) => Err(format!("{what} with {key:?}")),
        None => Ok(()),
    }
}

fn word(value: &Value, what: &str) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{what} is no text"))
}

/// A text, or a list of one text.
fn lone_text(message: &Map<String, Value>, known: &[&str]) -> Result<String, String> {
    only(message, known, "a message")?;
    match message.get("content") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => match parts.as_slice() {
            [Value::Object(part)] if part.get("type") == Some(&json!("text")) => {
                only(part, &["type", "text"], "a text part")?;
                word(&part["text"], "a text part")
            }
            _ => Err("a content of several parts where we have one text".into()),
        },
        _ => Err("a message without content".into()),
    }
}

fn user(message: &Map<String, Value>) -> Result<Message, String> {
    let parts = match message.get("content") {
        Some(Value::Array(parts)) if parts.len() != 1 || parts[0]["type"] != "text" => {
            only(message, &["role", "content"], "a message")?;
            parts.iter().map(user_part).collect::<Result<Vec<_>, _>>()?
        }
        _ => vec![Part::Text(lone_text(message, &["role", "content"])?)],
    };
    Ok(Message { role: Role::User, parts })
}

fn user_part(part: &Value) -> Result<Part, String> {
    let kind = part["type"].as_str().unwrap_or("no type");
    only(object(part, "a part")?, &["type", kind], &format!("a {kind} part"))?;
    let inner = &part[kind];
    Ok(match kind {
        "text" => Part::Text(word(inner, "a text part")?),
        "image_url" => {
            only(object(inner, "image_url")?, &["url"], "image_url")?;
            Part::Image(media(&word(&inner["url"], "image_url.url")?))
        }
        "file" => {
            only(object(inner, "file")?, &["filename", "file_data"], "file")?;
            let document = media(&word(&inner["file_data"], "file_data")?);
            Part::Document(Media { name: inner["filename"].as_str().map(str::to_owned), ..document })
        }
        "input_audio" => {
            let mime = if inner["format"] == "wav" { "audio/wav" } else { "audio/mpeg" };
            Part::Audio(media(&format!("data:{mime};base64,{}", word(&inner["data"], "audio data")?)))
        }
        kind => return Err(format!("a {kind} part")),
    })
}

/// A `data:` URL is bytes, unless the recorder has put other words into it.
fn media(url: &str) -> Media {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match data.and_then(|(mime, data)| Some((mime, STANDARD.decode(data).ok()?))) {
        Some((mime, bytes)) => Media { mime: mime.into(), source: MediaSource::Bytes(bytes), name: None },
        None => Media { mime: String::new(), source: MediaSource::Url(url.into()), name: None },
    }
}

const ASSISTANT: &[&str] =
    &["role", "content", "tool_calls", "reasoning_content", "reasoning", "reasoning_details", "refusal"];

fn assistant(message: &Map<String, Value>, quirks: &mut Quirks) -> Result<Message, String> {
    // Mistral's mark of a text to go on from; false is its default.
    let message: Map<String, Value> =
        message.iter().filter(|(key, value)| *key != "prefix" || **value != false).map(owned).collect();
    only(&message, ASSISTANT, "an answer")?;
    let mut parts = Vec::new();
    let details = message.get("reasoning_details").filter(|details| details.is_array()).cloned();
    let content = message.get("reasoning_content").filter(|content| content.is_string());
    let shown = content.or(message.get("reasoning")).and_then(Value::as_str).unwrap_or_default();
    if details.is_some() || !shown.is_empty() {
        quirks.reasoning_back =
            if content.is_some() { ReasoningBack::ReasoningContent } else { ReasoningBack::ReasoningDetails };
        parts.push(Part::Reasoning(Reasoning { text: shown.into(), opaque: details, ..Reasoning::default() }));
    }
    let no_text =
        message.get("content").is_none_or(|content| content.is_null() || *content == "" || *content == json!([]));
    if !no_text {
        parts.push(Part::Text(lone_text(&message, ASSISTANT)?));
    }
    for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let function = &call["function"];
        only(object(call, "a call")?, &["id", "type", "index", "function"], "a call")?;
        parts.push(Part::ToolCall(ToolCall {
            id: word(&call["id"], "a call's id")?,
            name: word(&function["name"], "a call's name")?,
            arguments: word(&function["arguments"], "a call's arguments")?,
            signature: None,
        }));
    }
    Ok(Message { role: Role::Assistant, parts })
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// Results that follow one another are one message of ours.
fn result(message: &Map<String, Value>, request: &mut ChatRequest) -> Result<(), String> {
    let content = lone_text(message, &["role", "content", "tool_call_id", "name"])?;
    let id = word(message.get("tool_call_id").unwrap_or(&Value::Null), "tool_call_id")?;
    let result = Part::ToolResult(ToolResult { id, content, ..ToolResult::default() });
    match request.messages.last_mut() {
        Some(last) if matches!(last.parts.last(), Some(Part::ToolResult(_))) => last.parts.push(result),
        _ => request.messages.push(Message { role: Role::User, parts: vec![result] }),
    }
    Ok(())
}

fn tool(tool: &Value) -> Result<Tool, String> {
    let function = object(&tool["function"], "a tool's function")?;
    only(object(tool, "a tool")?, &["type", "function"], "a tool")?;
    only(function, &["name", "description", "parameters", "strict"], "a function")?;
    if tool["type"] != "function" || !function.get("parameters").is_some_and(Value::is_object) {
        return Err("a tool without type or parameters".into());
    }
    Ok(Tool {
        name: word(&function["name"], "a tool's name")?,
        description: function.get("description").and_then(Value::as_str).map(str::to_owned),
        parameters: function["parameters"].clone(),
    })
}

fn tool_choice(choice: &Value) -> Result<Option<ToolChoice>, String> {
    Ok(Some(match choice {
        Value::Null => return Ok(None),
        Value::String(word) => match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Any,
            word => return Err(format!("tool_choice {word:?}")),
        },
        choice => ToolChoice::Named(word(&choice["function"]["name"], "the tool to choose")?),
    }))
}

/// The common settings; others are no subject of this comparison.
fn settings(body: &Value, quirks: &mut Quirks, facts: &mut ModelFacts) -> Result<Settings, String> {
    let cap = |key: &str| body[key].as_u64().and_then(|cap| u32::try_from(cap).ok());
    facts.max_completion_tokens = cap("max_completion_tokens").is_some();
    if body["random_seed"].is_number() {
        quirks.seed = SeedForm::RandomSeed;
    }
    let effort = match (&body["reasoning_effort"], &body["reasoning"]["effort"]) {
        (Value::String(word), _) => Some(effort(word)?),
        (_, Value::String(word)) => {
            quirks.effort = EffortForm::Reasoning;
            Some(effort(word)?)
        }
        _ => None,
    };
    let form = &body["response_format"]["json_schema"];
    let schema = match form["schema"].is_object() {
        true => Some(Schema { name: word(&form["name"], "a schema's name")?, schema: form["schema"].clone() }),
        false => None,
    };
    if ["temperature", "top_p"].iter().any(|key| !body[*key].is_null() && !body[*key].is_number()) {
        return Err("a temperature that is no number".into());
    }
    let stop = match &body["stop"] {
        Value::String(word) => vec![word.clone()],
        Value::Array(words) => words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    Ok(Settings {
        show_reasoning: false,
        temperature: body["temperature"].as_f64(),
        top_p: body["top_p"].as_f64(),
        max_tokens: cap("max_tokens").or(cap("max_completion_tokens")),
        seed: body["seed"].as_i64().or(body["random_seed"].as_i64()),
        stop,
        effort,
        schema,
        cache: None,
        extra: Vec::new(),
    })
}

fn effort(word: &str) -> Result<Effort, String> {
    let all = [Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh, Effort::Max];
    all.into_iter().find(|effort| effort.as_str() == word).ok_or_else(|| format!("effort {word:?}"))
}

fn differences(recorded: &Value, reading: &Reading) -> Vec<String> {
    let Reading { request, quirks, facts, stream } = reading;
    let target = Target { model: recorded["model"].as_str().unwrap_or_default(), quirks, facts, stream: *stream };
    let said = match Dialect::Chat.encode(request, &target) {
        Ok(said) => said.body,
        Err(refused) => return vec![refused.to_string()],
    };
    let (want, got) = (normal(recorded), normal(&said));
    let both = want.keys().chain(got.keys()).collect::<BTreeSet<_>>();
    both.into_iter()
        .filter(|key| !same(&want.get(*key).cloned().unwrap_or_default(), &got.get(*key).cloned().unwrap_or_default()))
        .map(|key| {
            let clip = |value: Option<&Value>| {
                value.map(Value::to_string).unwrap_or_default().chars().take(900).collect::<String>()
            };
            format!("{key}: recorded {} sent {}", clip(want.get(key)), clip(got.get(key)))
        })
        .collect()
}

/// What is compared, in one form:
/// - a list of one text is that text, and an answer without a text beside its calls has no content;
/// - null says the same as nothing, and `stream: false`, too;
/// - a stop sequence may stand alone; `tool_choice: any` is Mistral's word for `required`, and the choice says nothing
///   where there are no tools;
/// - `strict`, which llmx promises by its own rule, the place of a call in its list, a result's tool name (no field of
///   the original) and Mistral's `prefix: false` are left out;
/// - thinking that stands under two names is sent under one;
/// - of a schema only its name and itself are compared, and no other form of output.
fn normal(body: &Value) -> BTreeMap<String, Value> {
    let mut kept = BTreeMap::new();
    let messages = body["messages"].as_array().into_iter().flatten().map(message);
    kept.insert("messages".into(), messages.collect());
    let tools: Vec<Value> = body["tools"].as_array().into_iter().flatten().map(without_strict).collect();
    for key in
        ["temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "random_seed", "reasoning_effort"]
    {
        kept.insert(key.into(), body[key].clone());
    }
    kept.insert("reasoning.effort".into(), body["reasoning"]["effort"].clone());
    kept.insert("stream".into(), (body["stream"] == true).into());
    kept.insert(
        "stop".into(),
        match &body["stop"] {
            Value::String(word) => json!([word]),
            Value::Array(words) if words.is_empty() => Value::Null,
            other => other.clone(),
        },
    );
    let choice = if body["tool_choice"] == "any" { json!("required") } else { body["tool_choice"].clone() };
    kept.insert("tool_choice".into(), if tools.is_empty() { Value::Null } else { choice });
    kept.insert("tools".into(), tools.into());
    let form = &body["response_format"]["json_schema"];
    kept.insert("schema".into(), json!([form["name"], form["schema"]]));
    kept
}

fn message(message: &Value) -> Value {
    let mut message = message.clone();
    let Some(map) = message.as_object_mut() else { return message };
    let dropped = ["name", "prefix", "annotations", "refusal"];
    map.retain(|key, value| !value.is_null() && !dropped.contains(&key.as_str()));
    for part in map.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(part) = part.as_object_mut() {
            part.retain(|_, value| !value.is_null());
        }
    }
    if let Some(Value::Array(parts)) = map.get("content") {
        let lone = match parts.as_slice() {
            [] => Some(json!("")),
            [part] if part["type"] == "text" => Some(part["text"].clone()),
            _ => None,
        };
        if let Some(text) = lone {
            map.insert("content".into(), text);
        }
    }
    if map.get("tool_calls") == Some(&json!([])) {
        map.remove("tool_calls");
    }
    if map.get("content") == Some(&json!("")) && map.contains_key("tool_calls") {
        map.remove("content");
    }
    if map.get("reasoning") == map.get("reasoning_content") {
        map.remove("reasoning");
    }
    for key in ["reasoning_content", "reasoning"] {
        if map.get(key) == Some(&json!("")) {
            map.remove(key);
        }
    }
    for call in map.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(call) = call.as_object_mut() {
            call.remove("index");
        }
    }
    message
}

fn without_strict(tool: &Value) -> Value {
    let mut tool = tool.clone();
    if let Some(function) = tool["function"].as_object_mut() {
        function.retain(|key, value| key != "strict" && !value.is_null());
    }
    tool
}

/// Equal as JSON, numbers by their value.
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
