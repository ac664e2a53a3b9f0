//! A conversation as the JSON body of Converse and ConverseStream.
//!
//! The body is written here, not by the SDK's types: their maps have no order, so that the schemas of tools would come in
//! another order in every process and no prompt cache would ever hold, and their numbers are 32-bit floats.
//!
//! docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and API_runtime_ConverseStream.html, read
//! 2026-11-22.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::domain::chat::{
    CacheLifetime, ChatRequest, Effort, Media, MediaSource, Message, Part, Reasoning, Role, ToolCall, ToolChoice,
    ToolResult,
};
use crate::domain::model::{ModelFacts, Thinking};
use crate::wire::contract::{EncodeError, Encoded};
use crate::wire::json::{self as js, lay};
use crate::wire::thinking::{BUDGET_MIN, budget, wanted_budget};

/// The cap where neither the user nor the model's facts have one. Unset would mean the model's maximum, and AWS takes
/// that off the tokens-per-minute quota at once.
const CAP_UNKNOWN: u32 = 4096;
/// Fields of the request itself; every other `-P key` belongs to the model.
const OWN_FIELDS: &[&str] = &["serviceTier", "performanceConfig", "guardrailConfig", "requestMetadata", "outputConfig"];

/// The body of `POST /model/{model}/converse` or, with `stream`, `…/converse-stream`.
///
/// # Errors
/// [`EncodeError`] for an attachment that the API has no form for.
pub fn encode(request: &ChatRequest, facts: &ModelFacts, stream: bool) -> Result<Encoded, EncodeError> {
    let mut ignored = Vec::new();
    let mut body = Map::new();
    let point = request.settings.cache.map(cache_point);
    let system =
        js::system(request, !facts.schema).filter(|text| !text.trim().is_empty()).map(|text| json!({"text": text}));
    // A model without a system prompt reads it at the beginning of what the user says.
    let (system, first) = if facts.system { (system, None) } else { (None, system) };
    if let Some(system) = system {
        body.insert("system".into(), [system].into_iter().chain(point.clone()).collect());
    }
    body.insert("messages".into(), messages(&request.messages, first, point)?.into());
    if let Some(tools) = tools(request, &mut ignored) {
        body.insert("toolConfig".into(), tools);
    }
    let mut body = Value::Object(body);
    let cap = cap(request, facts, &mut ignored);
    body["inferenceConfig"] = json!({"maxTokens": cap});
    let thinks = effort(request, facts, cap, &mut body, &mut ignored);
    sampling(request, facts, thinks, &mut body["inferenceConfig"], &mut ignored);
    if let Some(schema) = request.settings.schema.as_ref().filter(|_| facts.schema) {
        let name: String = schema.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let structure = json!({"jsonSchema": {"schema": schema.schema.to_string(), "name": name}});
        lay(&mut body, "outputConfig.textFormat", json!({"type": "json_schema", "structure": structure}));
    }
    for (key, value) in &request.settings.extra {
        extra(&mut body, key, value.clone());
    }
    // Not a member of the plain call, which has nothing to show early.
    if !stream
        && let Some(guardrail) = body.get_mut("guardrailConfig").and_then(Value::as_object_mut)
        && guardrail.remove("streamProcessingMode").is_some()
    {
        ignored.push("guardrailConfig.streamProcessingMode: the answer is not streamed".into());
    }
    Ok(Encoded { body, headers: Vec::new(), method: if stream { "converse-stream" } else { "converse" }, ignored })
}

fn cache_point(lifetime: CacheLifetime) -> Value {
    match lifetime {
        // The default, and not every model knows the field.
        CacheLifetime::FiveMinutes => json!({"cachePoint": {"type": "default"}}),
        CacheLifetime::OneHour => json!({"cachePoint": {"type": "default", "ttl": "1h"}}),
    }
}

/// The turns, users' and assistants' in alternation: neighbours of one role are one turn, as the API demands.
fn messages(messages: &[Message], first: Option<Value>, point: Option<Value>) -> Result<Vec<Value>, EncodeError> {
    let mut names = Vec::new();
    let mut turns: Vec<(Role, Vec<Value>)> = first.into_iter().map(|text| (Role::User, vec![text])).collect();
    for message in messages {
        let mut blocks = Vec::new();
        for part in &message.parts {
            block(part, &mut names, &mut blocks)?;
        }
        match turns.last_mut() {
            Some((role, turn)) if *role == message.role => turn.extend(blocks),
            _ => turns.push((message.role, blocks)),
        }
    }
    if let (Some((_, turn)), Some(point)) = (turns.last_mut(), point)
        && !turn.is_empty()
    {
        turn.push(point);
    }
    let role = |role| match role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    Ok(turns.into_iter().map(|(who, content)| json!({"role": role(who), "content": content})).collect())
}

fn block(part: &Part, names: &mut Vec<String>, blocks: &mut Vec<Value>) -> Result<(), EncodeError> {
    match part {
        // The API refuses a blank text.
        Part::Text(text) if text.trim().is_empty() => {}
        Part::Text(text) => blocks.push(json!({"text": text})),
        Part::Image(media) => {
            let format = format(media, "image", IMAGES)?;
            blocks.push(json!({"image": {"format": format, "source": source(media)?}}));
        }
        Part::Document(media) => {
            let format = format(media, "document", DOCUMENTS)?;
            let name = document_name(media, names);
            blocks.push(json!({"document": {"format": format, "name": name, "source": source(media)?}}));
        }
        Part::Audio(media) => {
            let format = format(media, "audio", AUDIO)?;
            blocks.push(json!({"audio": {"format": format, "source": source(media)?}}));
        }
        Part::Reasoning(thought) => reasoning(thought, blocks),
        Part::ToolCall(call) => blocks.push(tool_use(call)),
        Part::ToolResult(result) => blocks.push(tool_result(result)),
    }
    Ok(())
}

const IMAGES: &[(&str, &str)] =
    &[("image/png", "png"), ("image/jpeg", "jpeg"), ("image/gif", "gif"), ("image/webp", "webp")];
const DOCUMENTS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
];
const AUDIO: &[(&str, &str)] = &[
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/ogg", "ogg"),
    ("audio/opus", "opus"),
    ("audio/mp4", "mp4"),
    ("audio/webm", "webm"),
];

fn format(media: &Media, what: &str, formats: &[(&str, &'static str)]) -> Result<&'static str, EncodeError> {
    let mime = media.mime.split(';').next().unwrap_or_default().trim();
    formats.iter().find(|(known, _)| mime.eq_ignore_ascii_case(known)).map(|(_, format)| *format).ok_or_else(|| {
        let known: Vec<&str> = formats.iter().map(|(_, format)| *format).collect();
        EncodeError(format!("Bedrock takes no {what} of the type {mime}, only {}", known.join(", ")))
    })
}

fn source(media: &Media) -> Result<Value, EncodeError> {
    match &media.source {
        MediaSource::Bytes(bytes) => Ok(json!({"bytes": STANDARD.encode(bytes)})),
        MediaSource::Url(url) if url.starts_with("s3://") => Ok(json!({"s3Location": {"uri": url}})),
        MediaSource::Url(_) => Err(EncodeError("Bedrock fetches no URL but s3://: attach the file itself".into())),
    }
}

/// A name that the API takes (letters, digits, single spaces, hyphens, brackets) and that no other document has.
fn document_name(media: &Media, names: &mut Vec<String>) -> String {
    let given = media.name.as_deref().unwrap_or("document");
    let stem = given.rsplit_once('.').map_or(given, |(stem, _)| stem);
    let kept: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-()[]".contains(c) { c } else { ' ' }).collect();
    let mut name: String = kept.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(180).collect();
    if name.is_empty() {
        name = "document".into();
    }
    let plain = name.clone();
    let mut number = 2;
    while names.contains(&name) {
        name = format!("{plain} {number}");
        number += 1;
    }
    names.push(name.clone());
    name
}

/// Thinking goes back only as it came: signed, or encrypted. Without either it is another model's, and is refused.
fn reasoning(thought: &Reasoning, blocks: &mut Vec<Value>) {
    if let Some(signature) = &thought.signature {
        let text = json!({"text": thought.text, "signature": signature});
        blocks.push(json!({"reasoningContent": {"reasoningText": text}}));
    }
    if let Some(redacted) = &thought.redacted {
        blocks.push(json!({"reasoningContent": {"redactedContent": redacted}}));
    }
}

fn tool_use(call: &ToolCall) -> Value {
    let input = match call.parsed() {
        Some(Value::Object(input)) => Value::Object(input),
        // The API takes objects only; what the model wrote instead stays readable for it.
        _ if call.arguments.trim().is_empty() => json!({}),
        _ => json!({"arguments": call.arguments}),
    };
    json!({"toolUse": {"toolUseId": tool_id(&call.id, &call.name), "name": call.name, "input": input}})
}

fn tool_result(result: &ToolResult) -> Value {
    let text = if result.content.trim().is_empty() { "(no output)" } else { result.content.as_str() };
    let mut block = json!({"toolUseId": tool_id(&result.id, &result.name), "content": [{"text": text}]});
    if result.is_error {
        block["status"] = "error".into();
    }
    json!({"toolResult": block})
}

/// An id in the API's letters; calls of APIs without ids are told apart by their tool's name.
fn tool_id(id: &str, name: &str) -> String {
    let id = if id.is_empty() { name } else { id };
    id.chars().take(64).map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

fn tools(request: &ChatRequest, ignored: &mut Vec<String>) -> Option<Value> {
    let mentioned = mentioned_tools(&request.messages);
    if request.tools.is_empty() && mentioned.is_empty()
        || request.tool_choice == Some(ToolChoice::None) && mentioned.is_empty()
    {
        return None;
    }
    let spec = |tool| {
        let mut spec = js::tool(tool, "inputSchema");
        spec["inputSchema"] = json!({"json": spec["inputSchema"].take()});
        // The API refuses a blank description.
        if let Some(map) = spec.as_object_mut().filter(|map| map.get("description").is_some_and(|text| text == "")) {
            map.remove("description");
        }
        json!({"toolSpec": spec})
    };
    let mut specs: Vec<Value> = request.tools.iter().map(spec).collect();
    // A conversation with tool blocks is refused without the tools, although nobody may call them any more.
    for name in mentioned.into_iter().filter(|name| !request.tools.iter().any(|tool| tool.name == *name)) {
        specs.push(json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}}));
    }
    let mut config = json!({"tools": specs});
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => config["toolChoice"] = json!({"auto": {}}),
        Some(ToolChoice::Any) => config["toolChoice"] = json!({"any": {}}),
        Some(ToolChoice::Named(name)) => config["toolChoice"] = json!({"tool": {"name": name}}),
        Some(ToolChoice::None) => {
            ignored.push("Converse cannot forbid tools in a conversation that holds tool calls".into());
        }
    }
    Some(config)
}

fn mentioned_tools(messages: &[Message]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for part in messages.iter().flat_map(|message| &message.parts) {
        let name = match part {
            Part::ToolCall(call) => call.name.as_str(),
            Part::ToolResult(result) => result.name.as_str(),
            _ => continue,
        };
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn cap(request: &ChatRequest, facts: &ModelFacts, ignored: &mut Vec<String>) -> u32 {
    request.settings.max_tokens.or(facts.max_output).unwrap_or_else(|| {
        ignored.push(format!(
            "no output cap is given and the model's own is not known here: {CAP_UNKNOWN} tokens are asked for (--max-tokens)"
        ));
        CAP_UNKNOWN
    })
}

/// Puts the wish for thinking where the model wants it; true where it thinks.
fn effort(request: &ChatRequest, facts: &ModelFacts, cap: u32, body: &mut Value, ignored: &mut Vec<String>) -> bool {
    let forced = matches!(request.tool_choice, Some(ToolChoice::Any | ToolChoice::Named(_)));
    let shown = request.settings.show_reasoning && facts.thinking == Thinking::Adaptive && !forced;
    let Some(effort) = request.settings.effort else {
        if shown {
            lay(body, "additionalModelRequestFields.thinking", json!({"type": "adaptive", "display": "summarized"}));
        }
        return shown;
    };
    match facts.thinking {
        Thinking::None | Thinking::Level if effort == Effort::None => false,
        Thinking::None | Thinking::Level => {
            ignored.push(format!("effort {}: this model cannot be told how hard to think", effort.as_str()));
            false
        }
        // Off unless asked for; some refuse the word "disabled".
        Thinking::Budget | Thinking::Adaptive | Thinking::Nova if effort == Effort::None => false,
        Thinking::Budget | Thinking::Adaptive if forced => {
            ignored.push(format!("effort {}: Claude does not think where a tool is forced", effort.as_str()));
            false
        }
        Thinking::Budget => match budget(effort, cap) {
            Some(tokens) => {
                let wanted = wanted_budget(effort);
                if tokens < wanted {
                    let word = effort.as_str();
                    ignored.push(format!(
                        "effort {word} ({wanted} tokens of thinking) does not fit an output cap of {cap}: {tokens}"
                    ));
                }
                lay(body, "additionalModelRequestFields.thinking", json!({"type": "enabled", "budget_tokens": tokens}));
                true
            }
            None => {
                ignored.push(format!(
                    "effort {}: thinking does not fit an output cap of {cap}, it needs above {BUDGET_MIN}",
                    effort.as_str()
                ));
                false
            }
        },
        Thinking::Adaptive => {
            let word =
                within(effort, &[Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh, Effort::Max], ignored);
            let mut thinking = json!({"type": "adaptive"});
            if shown {
                thinking["display"] = "summarized".into();
            }
            lay(body, "additionalModelRequestFields.thinking", thinking);
            lay(body, "outputConfig.effort", word.into());
            true
        }
        Thinking::Nova => {
            let word = within(effort, &[Effort::Low, Effort::Medium, Effort::High], ignored);
            let config = json!({"type": "enabled", "maxReasoningEffort": word});
            lay(body, "additionalModelRequestFields.reasoningConfig", config);
            true
        }
        Thinking::Effort => {
            lay(body, "additionalModelRequestFields.reasoning_effort", effort.as_str().into());
            false
        }
    }
}

/// The nearest of the words that a model knows; another than the one asked for is said.
fn within(effort: Effort, known: &[Effort], ignored: &mut Vec<String>) -> &'static str {
    if known.contains(&effort) {
        return effort.as_str();
    }
    let nearest = if effort == Effort::Minimal { known.first() } else { known.last() };
    let word = nearest.map_or("high", |effort| effort.as_str());
    ignored.push(format!("effort {}: this model knows {word} at the nearest", effort.as_str()));
    word
}

fn sampling(request: &ChatRequest, facts: &ModelFacts, thinks: bool, config: &mut Value, ignored: &mut Vec<String>) {
    let settings = &request.settings;
    // Nova at its highest effort refuses the cap as well as the sampling.
    let unbounded = thinks
        && facts.thinking == Thinking::Nova
        && matches!(settings.effort, Some(Effort::High | Effort::Xhigh | Effort::Max));
    if unbounded && let Some(config) = config.as_object_mut() {
        config.remove("maxTokens");
        ignored.push("the output cap: Nova refuses one at the effort high, so the answer is not bounded".into());
    }
    let refused =
        match (facts.takes_temperature(settings.effort), thinks && facts.thinking != Thinking::Nova || unbounded) {
            (false, _) => Some("this model refuses it"),
            (true, true) => Some("it is refused while the model thinks"),
            (true, false) => None,
        };
    for (name, key, value) in [("temperature", "temperature", settings.temperature), ("top_p", "topP", settings.top_p)]
    {
        match (value, refused) {
            (None, _) => {}
            (Some(_), Some(why)) => ignored.push(format!("{name}: {why}")),
            (Some(value), None) => config[key] = value.into(),
        }
    }
    if !settings.stop.is_empty() {
        if facts.stop {
            config["stopSequences"] = settings.stop.clone().into();
        } else {
            ignored.push("stop sequences: this model refuses them".into());
        }
    }
    if settings.seed.is_some() {
        ignored.push("seed: Converse has none".into());
    }
}

/// Lays a `-P key=value` where it belongs: a field of the request, or one of the model's own.
fn extra(body: &mut Value, key: &str, value: Value) {
    match (key, &value) {
        ("service_tier" | "serviceTier", Value::String(_)) => lay(body, "serviceTier.type", value),
        ("guardrail", Value::String(text)) => {
            // An ARN has colons of its own: the version is after the last one.
            let (id, version) = text.rsplit_once(':').unwrap_or((text, "DRAFT"));
            lay(body, "guardrailConfig.guardrailIdentifier", id.into());
            lay(body, "guardrailConfig.guardrailVersion", version.into());
        }
        _ if OWN_FIELDS.contains(&key.split('.').next().unwrap_or(key)) => lay(body, key, value),
        _ => {
            let key = key.strip_prefix("additionalModelRequestFields.").unwrap_or(key);
            lay(body, &format!("additionalModelRequestFields.{key}"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::encode;
    use crate::domain::chat::{
        CacheLifetime, ChatRequest, Effort, Media, MediaSource, Message, Part, Reasoning, Role, Schema, Settings, Tool,
        ToolCall, ToolChoice, ToolResult,
    };
    use crate::domain::model::{ModelFacts, Thinking};

    fn user(text: &str) -> Message {
        Message { role: Role::User, parts: vec![Part::Text(text.into())] }
    }

    fn asked(settings: Settings) -> ChatRequest {
        ChatRequest { messages: vec![user("hi")], settings, ..ChatRequest::default() }
    }

    fn body(request: &ChatRequest, facts: &ModelFacts) -> Value {
        encode(request, facts, true).expect("has a form").body
    }

    #[test]
    fn a_plain_request_always_has_an_output_cap() {
        let encoded = encode(&asked(Settings::default()), &ModelFacts::default(), true).expect("has a form");
        let wanted = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}],
            "inferenceConfig": {"maxTokens": 4096}});
        assert_eq!(encoded.body, wanted);
        assert_eq!(encoded.ignored.len(), 1);
        let facts = ModelFacts { max_output: Some(64_000), ..ModelFacts::default() };
        assert_eq!(body(&asked(Settings::default()), &facts)["inferenceConfig"]["maxTokens"], 64_000);
        let settings = Settings { max_tokens: Some(7), ..Settings::default() };
        assert_eq!(body(&asked(settings), &facts)["inferenceConfig"]["maxTokens"], 7);
    }

    #[test]
    fn a_model_without_a_system_prompt_reads_it_at_the_beginning() {
        let request = ChatRequest { system: Some("be brief".into()), ..asked(Settings::default()) };
        let facts = ModelFacts { system: false, ..ModelFacts::default() };
        let body = body(&request, &facts);
        assert_eq!(body["system"], Value::Null);
        assert_eq!(body["messages"], json!([{"role": "user", "content": [{"text": "be brief"}, {"text": "hi"}]}]));
    }

    #[test]
    fn a_conversation_with_tools_keeps_its_order_and_its_signatures() {
        let thought = Reasoning { text: "hm".into(), signature: Some("sig".into()), ..Reasoning::default() };
        let hidden = Reasoning { redacted: Some("AAEC".into()), ..Reasoning::default() };
        let call = ToolCall {
            id: "t.1".into(),
            name: "now".into(),
            arguments: "{\"zone\":\"UTC\"}".into(),
            ..ToolCall::default()
        };
        let result = ToolResult { id: "t.1".into(), name: "now".into(), content: "12:00".into(), is_error: true };
        let request = ChatRequest {
            system: Some("be brief".into()),
            messages: vec![
                user("time?"),
                Message {
                    role: Role::Assistant,
                    parts: vec![Part::Reasoning(thought), Part::Reasoning(hidden), Part::ToolCall(call)],
                },
                Message { role: Role::User, parts: vec![Part::ToolResult(result)] },
                user("well?"),
            ],
            ..ChatRequest::default()
        };
        let body = body(&request, &ModelFacts::default());
        assert_eq!(
            body["messages"],
            json!([
                {"role": "user", "content": [{"text": "time?"}]},
                {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
                    {"reasoningContent": {"redactedContent": "AAEC"}},
                    {"toolUse": {"toolUseId": "t_1", "name": "now", "input": {"zone": "UTC"}}},
                ]},
                {"role": "user", "content": [
                    {"toolResult": {"toolUseId": "t_1", "content": [{"text": "12:00"}], "status": "error"}},
                    {"text": "well?"},
                ]},
            ])
        );
        // Without it the API refuses a conversation that holds tool blocks.
        assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], "now");
        assert_eq!(body["system"], json!([{"text": "be brief"}]));
    }

    #[test]
    fn attachments_take_the_forms_of_the_api_and_documents_unique_names() {
        let pdf = || Media {
            mime: "application/pdf".into(),
            source: MediaSource::Bytes(vec![1, 2, 3]),
            name: Some("Q3_report (final).v2.pdf".into()),
        };
        let image =
            Media { mime: "image/png".into(), source: MediaSource::Url("s3://bucket/key.png".into()), name: None };
        let parts = vec![Part::Document(pdf()), Part::Document(pdf()), Part::Image(image)];
        let request = ChatRequest { messages: vec![Message { role: Role::User, parts }], ..ChatRequest::default() };
        let content = &body(&request, &ModelFacts::default())["messages"][0]["content"];
        assert_eq!(content[0]["document"]["name"], "Q3 report (final) v2");
        assert_eq!(content[1]["document"]["name"], "Q3 report (final) v2 2");
        assert_eq!(content[0]["document"]["source"], json!({"bytes": "AQID"}));
        assert_eq!(
            content[2]["image"],
            json!({"format": "png", "source": {"s3Location": {"uri": "s3://bucket/key.png"}}})
        );
        for (mime, source) in [
            ("image/tiff", MediaSource::Bytes(vec![1])),
            ("image/png", MediaSource::Url("https://example.org/x.png".into())),
        ] {
            let media = Media { mime: mime.into(), source, name: None };
            let parts = vec![Part::Image(media)];
            let request = ChatRequest { messages: vec![Message { role: Role::User, parts }], ..ChatRequest::default() };
            assert!(encode(&request, &ModelFacts::default(), true).is_err(), "{mime}");
        }
    }

    #[test]
    fn thinking_is_asked_for_as_the_model_wants_it() {
        let wish = |effort| Settings {
            effort: Some(effort),
            max_tokens: Some(20_000),
            temperature: Some(0.7),
            ..Settings::default()
        };
        let facts = |thinking| ModelFacts { thinking, ..ModelFacts::default() };
        let made = |effort, thinking| encode(&asked(wish(effort)), &facts(thinking), true).expect("has a form");

        let budget = made(Effort::Medium, Thinking::Budget);
        let fields = &budget.body["additionalModelRequestFields"];
        assert_eq!(*fields, json!({"thinking": {"type": "enabled", "budget_tokens": 8192}}));
        assert_eq!(budget.body["inferenceConfig"], json!({"maxTokens": 20_000}));
        assert_eq!(budget.ignored.len(), 1, "the temperature: {:?}", budget.ignored);

        let adaptive = made(Effort::Minimal, Thinking::Adaptive);
        assert_eq!(adaptive.body["additionalModelRequestFields"], json!({"thinking": {"type": "adaptive"}}));
        assert_eq!(adaptive.body["outputConfig"], json!({"effort": "low"}));

        let nova = made(Effort::Max, Thinking::Nova);
        let fields = &nova.body["additionalModelRequestFields"];
        assert_eq!(*fields, json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}));
        assert_eq!(nova.body["inferenceConfig"], json!({}));
        assert_eq!(nova.ignored.len(), 3, "effort, cap and temperature: {:?}", nova.ignored);

        let none = made(Effort::High, Thinking::None);
        assert_eq!(none.body["additionalModelRequestFields"], Value::Null);
        assert_eq!(none.body["inferenceConfig"]["temperature"], json!(0.7));
        assert_eq!(none.ignored.len(), 1);
        for thinking in [Thinking::Budget, Thinking::Adaptive, Thinking::Nova] {
            assert_eq!(made(Effort::None, thinking).body["additionalModelRequestFields"], Value::Null);
        }
    }

    #[test]
    fn extras_find_their_place() {
        let extra = |pairs: &[(&str, Value)]| Settings {
            extra: pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
            max_tokens: Some(1),
            ..Settings::default()
        };
        let settings = extra(&[
            ("service_tier", json!("flex")),
            ("performanceConfig.latency", json!("optimized")),
            ("guardrail", json!("arn:aws:bedrock:us-east-1:123456789012:guardrail/abc:7")),
            ("guardrailConfig.streamProcessingMode", json!("async")),
            ("requestMetadata.team", json!("blue")),
            ("inferenceConfig.topK", json!(5)),
            ("additionalModelRequestFields.top_k", json!(9)),
        ]);
        let streamed = encode(&asked(settings.clone()), &ModelFacts::default(), true).expect("has a form").body;
        assert_eq!(streamed["serviceTier"], json!({"type": "flex"}));
        assert_eq!(streamed["performanceConfig"], json!({"latency": "optimized"}));
        assert_eq!(
            streamed["guardrailConfig"],
            json!({"guardrailIdentifier": "arn:aws:bedrock:us-east-1:123456789012:guardrail/abc",
                "guardrailVersion": "7", "streamProcessingMode": "async"})
        );
        assert_eq!(streamed["requestMetadata"], json!({"team": "blue"}));
        assert_eq!(streamed["additionalModelRequestFields"], json!({"inferenceConfig": {"topK": 5}, "top_k": 9}));
        let whole = encode(&asked(settings), &ModelFacts::default(), false).expect("has a form");
        assert_eq!(whole.body["guardrailConfig"]["streamProcessingMode"], Value::Null);
        assert_eq!(whole.ignored.len(), 1);
    }

    #[test]
    fn cache_points_follow_the_system_prompt_and_the_last_message() {
        for (lifetime, point) in [
            (CacheLifetime::FiveMinutes, json!({"cachePoint": {"type": "default"}})),
            (CacheLifetime::OneHour, json!({"cachePoint": {"type": "default", "ttl": "1h"}})),
        ] {
            let settings = Settings { cache: Some(lifetime), ..Settings::default() };
            let request = ChatRequest { system: Some("long".into()), ..asked(settings) };
            let body = body(&request, &ModelFacts::default());
            assert_eq!(body["system"], json!([{"text": "long"}, point]));
            assert_eq!(body["messages"][0]["content"], json!([{"text": "hi"}, point]));
        }
    }

    #[test]
    fn a_schema_is_a_field_where_the_model_has_one_and_words_where_not() {
        let schema = Schema { name: "my answer".into(), schema: json!({"type": "object"}) };
        let request = asked(Settings { schema: Some(schema), ..Settings::default() });
        let format = &body(&request, &ModelFacts::default())["outputConfig"]["textFormat"];
        let wanted = json!({"type": "json_schema",
            "structure": {"jsonSchema": {"schema": "{\"type\":\"object\"}", "name": "my_answer"}}});
        assert_eq!(*format, wanted);
        let facts = ModelFacts { schema: false, ..ModelFacts::default() };
        let body = body(&request, &facts);
        assert_eq!(body["outputConfig"], Value::Null);
        assert!(body["system"][0]["text"].as_str().is_some_and(|words| words.contains("{\"type\":\"object\"}")));
    }

    #[test]
    fn tools_and_their_choice_are_said_and_what_cannot_be_forbidden_is_owned() {
        let tool = Tool { name: "now".into(), description: Some("time".into()), parameters: json!({"type": "object"}) };
        let mut request = ChatRequest { tools: vec![tool], ..asked(Settings::default()) };
        for (choice, wanted) in [
            (ToolChoice::Auto, json!({"auto": {}})),
            (ToolChoice::Any, json!({"any": {}})),
            (ToolChoice::Named("now".into()), json!({"tool": {"name": "now"}})),
        ] {
            request.tool_choice = Some(choice);
            let config = &body(&request, &ModelFacts::default())["toolConfig"];
            assert_eq!(config["toolChoice"], wanted);
            assert_eq!(config["tools"][0]["toolSpec"]["inputSchema"], json!({"json": {"type": "object"}}));
        }
        request.tool_choice = Some(ToolChoice::None);
        assert_eq!(body(&request, &ModelFacts::default())["toolConfig"], Value::Null);
    }
}
