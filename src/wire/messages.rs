//! Anthropic Messages, and all who imitate it.
//!
//! Shape: <https://platform.claude.com/docs/en/api/messages/create> and
//! <https://platform.claude.com/docs/en/build-with-claude/streaming> (read 2026-11-22). Departures are [`Quirks`].

use serde::de::{self, Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::contract::{DecodeError, Decoder, EncodeError, Encoded, Target};
use super::quirks::Quirks;
use super::thinking::{BUDGET_MIN, budget, wanted_budget};
use super::usage::{Counts, Reports};
use super::{errors, json as js, mishap};
use crate::domain::chat::{
    CacheLifetime, ChatEvent, ChatRequest, Effort, Finish, FinishReason, Media, MediaSource, Message, Part, Reasoning,
    Role, Settings, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::domain::model::{ModelFacts, Thinking};
use crate::domain::usage::{Iteration, Meter, Usage};

/// The version of the API that every request names.
const VERSION: &str = "2023-06-01";

/// The output cap where neither the user nor the model's facts give one: the API has no default.
const MAX_TOKENS: u32 = 4096;

/// The body of `POST /v1/messages`.
///
/// # Errors
/// An attachment for which the API has no form.
pub fn encode(request: &ChatRequest, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let (settings, quirks) = (&request.settings, target.quirks);
    let point = settings.cache.map(cache_point);
    let mut ignored = Vec::new();
    let mut body = json!({});
    let mut headers = Vec::new();
    if quirks.model_in_body {
        body["model"] = target.model.into();
    }
    match &quirks.version_in_body {
        Some(version) => body["anthropic_version"] = version.clone().into(),
        None => headers.push(("anthropic-version", VERSION.to_owned())),
    }
    let cap = output_cap(settings, target.facts, &mut ignored);
    body["max_tokens"] = cap.into();
    if let Some(system) = js::system(request, !target.facts.schema) {
        body["system"] = match &point {
            Some(point) => json!([{"type": "text", "text": system, "cache_control": point}]),
            None => system.into(),
        };
    }
    body["messages"] = messages(&request.messages, point.as_ref())?;
    if target.stream {
        body["stream"] = true.into();
    }
    tools(&mut body, request);
    let thinks = think(&mut body, request, target, cap, &mut ignored);
    sampling(&mut body, settings, target, thinks, &mut ignored);
    if let Some(schema) = settings.schema.as_ref().filter(|_| target.facts.schema) {
        let format = json!({"type": "json_schema", "schema": closed(&schema.schema)});
        js::lay(&mut body, "output_config.format", format);
    }
    for (key, value) in &settings.extra {
        js::lay(&mut body, key, value.clone());
    }
    Ok(Encoded { body, headers, method: "", ignored })
}

/// What marks the end of a prefix to keep (prompt caching guide, read 2026-11-22); five minutes is the API's default.
fn cache_point(lifetime: CacheLifetime) -> Value {
    match lifetime {
        CacheLifetime::FiveMinutes => json!({"type": "ephemeral"}),
        CacheLifetime::OneHour => json!({"type": "ephemeral", "ttl": "1h"}),
    }
}

/// `max_tokens`, which this API demands.
fn output_cap(settings: &Settings, facts: &ModelFacts, ignored: &mut Vec<String>) -> u32 {
    let known = settings.max_tokens.or(facts.max_output);
    if known.is_none() && !settings.extra.iter().any(|(key, _)| key == "max_tokens") {
        ignored
            .push(format!("this API needs an output cap and none is known: {MAX_TOKENS} tokens; --max-tokens sets it"));
    }
    known.unwrap_or(MAX_TOKENS)
}

/// The conversation; a message without any content is refused by the API and left out. `point` goes after the last
/// part of the user's last message.
fn messages(conversation: &[Message], point: Option<&Value>) -> Result<Value, EncodeError> {
    let mut ids = ToolIds::default();
    let mut messages = Vec::new();
    let mut last_of_user = None;
    for message in conversation {
        let content = match message.role {
            Role::User => user(message, &mut ids)?,
            Role::Assistant => assistant(message, &mut ids),
        };
        if content.is_empty() {
            continue;
        }
        let role = match message.role {
            Role::User => {
                last_of_user = Some(messages.len());
                "user"
            }
            Role::Assistant => "assistant",
        };
        messages.push(json!({"role": role, "content": content}));
    }
    if let (Some(point), Some(at)) = (point, last_of_user)
        && let Some(block) = messages[at]["content"].as_array_mut().and_then(|content| content.last_mut())
    {
        block["cache_control"] = point.clone();
    }
    Ok(messages.into())
}

/// A user's content; the API wants the results of tools before all else.
fn user(message: &Message, ids: &mut ToolIds) -> Result<Vec<Value>, EncodeError> {
    let mut results = Vec::new();
    let mut content = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text(text) if text.is_empty() => {}
            Part::Text(text) => content.push(json!({"type": "text", "text": text})),
            Part::Image(media) => content.push(image(media)?),
            Part::Document(media) => content.push(document(media)?),
            Part::Audio(_) => return Err(EncodeError("the Messages API takes no audio".into())),
            Part::ToolResult(result) => results.push(tool_result(result, ids)),
            Part::Reasoning(_) | Part::ToolCall(_) => {}
        }
    }
    results.append(&mut content);
    Ok(results)
}

fn image(media: &Media) -> Result<Value, EncodeError> {
    let source = match js::base64_of(media) {
        Some(data) if IMAGES.contains(&media.mime.as_str()) => {
            json!({"type": "base64", "media_type": media.mime, "data": data})
        }
        Some(_) => {
            return Err(EncodeError(format!(
                "the Messages API takes JPEG, PNG, GIF and WebP images, not {}",
                media.mime
            )));
        }
        None => json!({"type": "url", "url": js::url_of(media)}),
    };
    Ok(json!({"type": "image", "source": source}))
}

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// PDF as it is or by its URL; any text as plain text.
fn document(media: &Media) -> Result<Value, EncodeError> {
    let is_text = media.mime.starts_with("text/");
    let source = match &media.source {
        MediaSource::Bytes(bytes) if is_text => {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return Err(EncodeError("the Messages API takes text documents in UTF-8 only".into()));
            };
            json!({"type": "text", "media_type": "text/plain", "data": text})
        }
        MediaSource::Bytes(_) if media.mime == PDF => {
            json!({"type": "base64", "media_type": PDF, "data": js::base64_of(media)})
        }
        MediaSource::Url(url) if !is_text => json!({"type": "url", "url": url}),
        MediaSource::Bytes(_) => {
            return Err(EncodeError(format!("the Messages API takes PDF and text documents, not {}", media.mime)));
        }
        MediaSource::Url(_) => {
            return Err(EncodeError("the Messages API takes only PDF documents by their URL".into()));
        }
    };
    let mut block = json!({"type": "document", "source": source});
    if let Some(name) = media.name.as_deref().filter(|name| !name.is_empty()) {
        block["title"] = name.into();
    }
    Ok(block)
}

const PDF: &str = "application/pdf";

fn tool_result(result: &ToolResult, ids: &mut ToolIds) -> Value {
    let mut block = json!({"type": "tool_result", "tool_use_id": ids.of_result(&result.id)});
    if !result.content.is_empty() {
        block["content"] = result.content.clone().into();
    }
    if result.is_error {
        block["is_error"] = true.into();
    }
    block
}

fn assistant(message: &Message, ids: &mut ToolIds) -> Vec<Value> {
    message
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) if text.is_empty() => None,
            Part::Text(text) => Some(json!({"type": "text", "text": text})),
            Part::Reasoning(block) => thought(block),
            Part::ToolCall(call) => {
                Some(json!({"type": "tool_use", "id": ids.of_call(&call.id), "name": call.name, "input": input(call)}))
            }
            Part::Image(_) | Part::Document(_) | Part::Audio(_) | Part::ToolResult(_) => None,
        })
        .collect()
}

/// Thinking goes back only as this API signed it; that of another (the Responses API gives its items an id) stays away.
fn thought(block: &Reasoning) -> Option<Value> {
    if let Some(data) = &block.redacted {
        return Some(json!({"type": "redacted_thinking", "data": data}));
    }
    let signature = block.signature.as_deref().filter(|_| block.id.is_none())?;
    Some(json!({"type": "thinking", "thinking": block.text, "signature": signature}))
}

/// The arguments as the object that the API demands. What is no object goes back under the key that Anthropic shows for
/// it: <https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming> (read 2026-11-22).
fn input(call: &ToolCall) -> Value {
    match call.parsed() {
        Some(Value::Object(arguments)) => Value::Object(arguments),
        _ if call.arguments.trim().is_empty() => json!({}),
        _ => json!({"INVALID_JSON": call.arguments}),
    }
}

/// Ids of calls as this API takes them: `[a-zA-Z0-9_-]+` (its 400 names the pattern: HKUDS/nanobot#4356, read
/// 2026-11-22). Other APIs put dots and colons into theirs, or give none: then calls and results are paired by order.
#[derive(Default)]
struct ToolIds {
    calls: usize,
    results: usize,
}

impl ToolIds {
    fn of_call(&mut self, id: &str) -> String {
        tool_id(id, &mut self.calls)
    }

    fn of_result(&mut self, id: &str) -> String {
        tool_id(id, &mut self.results)
    }
}

fn tool_id(id: &str, without: &mut usize) -> String {
    if id.is_empty() {
        *without += 1;
        return format!("call_{without}");
    }
    id.chars().map(|char| if char.is_ascii_alphanumeric() || char == '-' { char } else { '_' }).collect()
}

fn tools(body: &mut Value, request: &ChatRequest) {
    if request.tools.is_empty() {
        return;
    }
    body["tools"] = request.tools.iter().map(tool).collect();
    let choice = match &request.tool_choice {
        None => return,
        Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::None) => json!({"type": "none"}),
        Some(ToolChoice::Any) => json!({"type": "any"}),
        Some(ToolChoice::Named(name)) => json!({"type": "tool", "name": name}),
    };
    body["tool_choice"] = choice;
}

fn tool(tool: &Tool) -> Value {
    let mut form = json!({"name": tool.name});
    if let Some(description) = &tool.description {
        form["description"] = description.clone().into();
    }
    form["input_schema"] = match &tool.parameters {
        Value::Object(schema) if !schema.is_empty() => tool.parameters.clone(),
        // A tool without arguments: the API demands the type all the same.
        _ => json!({"type": "object"}),
    };
    form
}

/// Asks for thinking in the model's own way. Gives whether that switches it on, which other settings must know.
fn think(body: &mut Value, request: &ChatRequest, target: &Target<'_>, cap: u32, ignored: &mut Vec<String>) -> bool {
    let shown = request.settings.show_reasoning && target.facts.thinking == Thinking::Adaptive;
    let Some(effort) = request.settings.effort else {
        if shown {
            body["thinking"] = json!({"type": "adaptive", "display": "summarized"});
        }
        return shown;
    };
    let model = target.model;
    let forced = !request.tools.is_empty()
        && matches!(request.tool_choice, Some(ToolChoice::Any | ToolChoice::Named(_)))
        && effort != Effort::None;
    match target.facts.thinking {
        // A 400 otherwise (extended thinking guide, "Feature compatibility", read 2026-11-22).
        Thinking::Budget | Thinking::Adaptive if forced => {
            ignored.push(format!("{model} does not think where a tool is forced"));
            if target.facts.thinking == Thinking::Adaptive {
                effort_word(body, effort, ignored);
            }
            false
        }
        Thinking::Budget if effort == Effort::None => false,
        Thinking::Budget => match budget(effort, cap) {
            Some(tokens) => {
                if tokens < wanted_budget(effort) {
                    let (wanted, word) = (wanted_budget(effort), effort.as_str());
                    ignored.push(format!(
                        "effort {word} ({wanted} tokens of thinking) does not fit an output cap of {cap}: {tokens}"
                    ));
                }
                body["thinking"] = json!({"type": "enabled", "budget_tokens": tokens});
                true
            }
            None => {
                ignored
                    .push(format!("{model} does not think with an output cap of {cap}: it needs above {BUDGET_MIN}"));
                false
            }
        },
        Thinking::Adaptive if effort == Effort::None => {
            // `disabled` is refused by the newest (Opus 4.7, the 5 series), and the 4.6 ones do not think unasked.
            ignored.push(format!("{model} decides by itself whether it thinks: the effort none is not sent"));
            false
        }
        Thinking::Adaptive => {
            body["thinking"] = json!({"type": "adaptive"});
            // Newer models leave the words of their thinking out unless they are asked for.
            if shown {
                body["thinking"]["display"] = "summarized".into();
            }
            effort_word(body, effort, ignored);
            true
        }
        Thinking::Effort if effort != Effort::None => {
            effort_word(body, effort, ignored);
            false
        }
        Thinking::Effort | Thinking::None | Thinking::Level | Thinking::Nova => {
            ignored.push(format!("{model} does not take effort {}", effort.as_str()));
            false
        }
    }
}

/// `output_config.effort`: low, medium, high, xhigh, max (effort guide, read 2026-11-22).
fn effort_word(body: &mut Value, effort: Effort, ignored: &mut Vec<String>) {
    let word = match effort {
        Effort::None | Effort::Minimal => {
            ignored.push("the Messages API has no effort below low: low".into());
            Effort::Low
        }
        other => other,
    };
    js::lay(body, "output_config.effort", word.as_str().into());
}

fn sampling(body: &mut Value, settings: &Settings, target: &Target<'_>, thinks: bool, ignored: &mut Vec<String>) {
    let facts = target.facts;
    let mut refused = |what: &str| ignored.push(format!("{} does not take {what}", target.model));
    // With thinking on: no temperature, and top_p from 0.95 to 1 (extended thinking guide, read 2026-11-22).
    match settings.temperature {
        None => {}
        Some(_) if !facts.temperature => refused("temperature"),
        Some(_) if thinks => refused("temperature while it thinks"),
        Some(temperature) => body["temperature"] = json!(temperature),
    }
    match settings.top_p {
        None => {}
        Some(_) if !facts.temperature => refused("top_p"),
        Some(top_p) if thinks && !(0.95..=1.0).contains(&top_p) => refused("a top_p below 0.95 while it thinks"),
        Some(top_p) => body["top_p"] = json!(top_p),
    }
    if settings.seed.is_some() {
        refused("a seed");
    }
    if !settings.stop.is_empty() {
        if facts.stop { body["stop_sequences"] = json!(settings.stop) } else { refused("stop sequences") }
    }
}

/// `schema` with every object closed that does not say whether it is: the API answers an open one with a 400
/// (BerriAI/litellm#35808, read 2026-11-22), and what fits the closed schema fits the open one.
fn closed(schema: &Value) -> Value {
    let Value::Object(map) = schema else {
        return schema.clone();
    };
    let mut closed_map = map.clone();
    for (key, value) in &mut closed_map {
        match (key.as_str(), &mut *value) {
            ("properties" | "$defs" | "definitions", Value::Object(named)) => {
                named.values_mut().for_each(|inner| *inner = closed(inner));
            }
            ("anyOf" | "allOf" | "oneOf" | "prefixItems", Value::Array(list)) => {
                list.iter_mut().for_each(|inner| *inner = closed(inner));
            }
            ("items" | "not" | "if" | "then" | "else", inner) => *inner = closed(inner),
            _ => {}
        }
    }
    let types = &map.get("type").cloned().unwrap_or_default();
    if types == "object" || types.as_array().is_some_and(|types| types.iter().any(|word| word == "object")) {
        closed_map.entry("additionalProperties").or_insert(false.into());
    }
    Value::Object(closed_map)
}

/// Reads the events of a stream, or the one message of an answer that is not streamed.
#[derive(Debug)]
pub struct Messages {
    quirks: Quirks,
    /// `message_start`, or a whole message, was read.
    started: bool,
    /// Content blocks in the making, by their index.
    open: Vec<(u64, Block)>,
    /// The usage objects so far.
    usage: Reports,
    /// The output count is the last one, not that of the start.
    usage_is_final: bool,
    finished: bool,
    /// `message_stop`, or a whole message, was read.
    ended: bool,
    skipped: u64,
}

/// What a content block becomes when it is whole.
#[derive(Debug)]
enum Block {
    Thinking(Reasoning),
    /// `from_start` are the arguments that came with the block's start: they hold where no piece follows.
    ToolCall {
        call: ToolCall,
        from_start: String,
    },
    /// Text is handed over as it comes; what a server's own tool was given and gave is not shown.
    Other,
}

#[derive(serde::Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct MessageStart<'a> {
    #[serde(borrow)]
    message: Whole<'a>,
}

/// A message: whole, or as it starts.
#[derive(serde::Deserialize)]
struct Whole<'a> {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<BlockStart<'a>>>,
    #[serde(default, deserialize_with = "text")]
    stop_reason: Option<String>,
    #[serde(default, deserialize_with = "text")]
    stop_sequence: Option<String>,
    stop_details: Option<Value>,
    usage: Option<Value>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct ContentBlockStart<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    content_block: BlockStart<'a>,
}

/// A content block: whole, or as it starts.
#[derive(serde::Deserialize)]
struct BlockStart<'a> {
    #[serde(default, rename = "type", deserialize_with = "text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    text: Option<String>,
    #[serde(default, deserialize_with = "text")]
    thinking: Option<String>,
    #[serde(default, deserialize_with = "text")]
    signature: Option<String>,
    #[serde(default, deserialize_with = "text")]
    data: Option<String>,
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    to: Option<Value>,
}

#[derive(serde::Deserialize)]
struct ContentBlockDelta {
    #[serde(default)]
    index: u64,
    delta: Delta,
}

#[derive(serde::Deserialize)]
struct Delta {
    #[serde(default, rename = "type", deserialize_with = "text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    text: Option<String>,
    #[serde(default, deserialize_with = "text")]
    thinking: Option<String>,
    #[serde(default, deserialize_with = "text")]
    signature: Option<String>,
    #[serde(default, deserialize_with = "text")]
    partial_json: Option<String>,
}

#[derive(serde::Deserialize)]
struct ContentBlockStop {
    #[serde(default)]
    index: u64,
}

#[derive(serde::Deserialize)]
struct MessageDelta {
    delta: Option<Stop>,
    usage: Option<Value>,
}

#[derive(serde::Deserialize)]
struct Stop {
    #[serde(default, deserialize_with = "text")]
    stop_reason: Option<String>,
    #[serde(default, deserialize_with = "text")]
    stop_sequence: Option<String>,
    stop_details: Option<Value>,
}

/// A text where there is one; anything else (null, a number, an object) is none.
fn text<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    let raw = <&'de RawValue>::deserialize(source)?.get();
    if raw.starts_with('"') { serde_json::from_str(raw).map_err(de::Error::custom) } else { Ok(None) }
}

impl Decoder for Messages {
    fn frame(&mut self, event: &str, data: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let typed: Typed<'_> = match js::parse(data) {
            Ok(typed) => typed,
            // An event that is not ours may hold anything.
            Err(_) if !event.is_empty() && !EVENTS.contains(&event) => {
                self.skipped += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let kind = typed.kind.map_or(event, |kind| kind.get().trim_matches('"'));
        match kind {
            _ if event == "error" => return Err(refusal(data)),
            "message_start" => {
                let start: MessageStart<'_> = js::parse(data)?;
                self.start(start.message, out);
            }
            "content_block_start" => {
                let start: ContentBlockStart<'_> = js::parse(data)?;
                self.open_block(start.index, start.content_block, out);
                out.extend(self.open.last().and_then(|(_, block)| held(block)).map(ChatEvent::Growing));
            }
            "content_block_delta" => {
                let piece: ContentBlockDelta = js::parse(data)?;
                self.grow_block(piece.index, piece.delta, out)?;
            }
            "content_block_stop" => {
                let stop: ContentBlockStop = js::parse(data)?;
                self.close_block(stop.index, out);
            }
            "message_delta" => {
                let last: MessageDelta = js::parse(data)?;
                self.take_usage(last.usage, true, out);
                if let Some(stop) = last.delta {
                    self.finish(stop, out);
                }
            }
            "message_stop" => {
                self.close_all(out);
                self.ended = true;
            }
            "message" => self.whole(data, out)?,
            "error" => return Err(refusal(data)),
            // Without an event's name it is a body: one that is no message, and speaks, is an error in another shape.
            _ if event.is_empty() && !self.started => {
                let value: Value = js::parse(data)?;
                if value["content"].is_array() {
                    self.whole(data, out)?;
                } else if let Some(error) = errors::from_value(None, &value) {
                    return Err(DecodeError::Api(error));
                }
            }
            // `ping`, Vertex's `vertex_event` (which repeats the usage), and what is still to be invented.
            _ => self.skipped += 1,
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        if !self.finished && !self.ended {
            let what =
                if self.started { "the stream ended without a stop reason" } else { "the answer holds no message" };
            return Err(DecodeError::Cut(what.into()));
        }
        self.close_all(out);
        // Of a count that never came at all it is said that it is missing.
        if !self.usage_is_final && !self.usage.all()["output_tokens"].is_null() {
            let mut usage = self.usage();
            usage.rejected = true;
            usage.warnings.insert(0, "the final usage never came: the output count is that of the start".into());
            out.push(ChatEvent::Usage(usage));
        }
        Ok(())
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn is_finished(&self) -> bool {
        self.finished || self.ended
    }
}

/// The events of this API: what one of them holds must be readable.
const EVENTS: [&str; 8] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "error",
    "message",
];

/// The provider's error inside a 200.
fn refusal(data: &str) -> DecodeError {
    let value: Value = serde_json::from_str(data).unwrap_or_default();
    match errors::from_value(None, &value) {
        Some(error) => DecodeError::Api(error),
        None => DecodeError::Malformed("an error event without words".into()),
    }
}

impl Messages {
    #[must_use]
    pub fn new(quirks: &Quirks) -> Messages {
        Messages {
            quirks: quirks.clone(),
            started: false,
            open: Vec::new(),
            // What the API does not have (a total) is no name that any count has.
            usage: Reports::of(&COUNTS, "total_tokens"),
            usage_is_final: false,
            finished: false,
            ended: false,
            skipped: 0,
        }
    }

    fn start(&mut self, message: Whole<'_>, out: &mut Vec<ChatEvent>) {
        self.started = true;
        out.push(ChatEvent::Started { id: message.id, model: message.model });
        self.take_usage(message.usage, false, out);
    }

    fn whole(&mut self, data: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let message: Whole<'_> = js::parse(data)?;
        let (before, failed) = (out.len(), mishap::said(message.error).is_some());
        self.started = true;
        self.ended = true;
        out.push(ChatEvent::Started { id: message.id, model: message.model });
        for (index, block) in (0..).zip(message.content.into_iter().flatten()) {
            self.open_block(index, block, out);
            self.close_block(index, out);
        }
        self.take_usage(message.usage, true, out);
        let Whole { stop_reason, stop_sequence, stop_details, .. } = message;
        self.finish(Stop { stop_reason, stop_sequence, stop_details }, out);
        if failed {
            mishap::settle(out, before);
            return Err(refusal(data));
        }
        Ok(())
    }

    fn open_block(&mut self, index: u64, start: BlockStart<'_>, out: &mut Vec<ChatEvent>) {
        self.close_block(index, out);
        let kind = start.kind.unwrap_or_default();
        let block = match kind.as_str() {
            "text" => {
                show(start.text, ChatEvent::Text, out);
                Block::Other
            }
            "thinking" => {
                let text = start.thinking.unwrap_or_default();
                let signature = start.signature.filter(|signature| !signature.is_empty());
                show(Some(text.clone()), ChatEvent::Reasoning, out);
                Block::Thinking(Reasoning { text, signature, ..Reasoning::default() })
            }
            "redacted_thinking" => Block::Thinking(Reasoning { redacted: start.data, ..Reasoning::default() }),
            "tool_use" => Block::ToolCall {
                call: ToolCall {
                    id: start.id.unwrap_or_default(),
                    name: start.name.unwrap_or_default(),
                    ..ToolCall::default()
                },
                from_start: start.input.map(|input| input.get().to_owned()).unwrap_or_default(),
            },
            "server_tool_use" | "mcp_tool_use" => {
                out.push(ChatEvent::ServerTool(start.name.unwrap_or(kind)));
                Block::Other
            }
            "compaction" => {
                out.push(ChatEvent::ServerTool(kind));
                Block::Other
            }
            result if result.ends_with("_tool_result") => {
                out.push(ChatEvent::ServerTool(kind));
                Block::Other
            }
            "fallback" => {
                // Another model took over: beta of July 2026, `from.model` and `to.model`.
                let model = start.to.as_ref().and_then(|to| to["model"].as_str()).map(str::to_owned);
                if let Some(model) = &model {
                    out.push(ChatEvent::Note(format!("the model declined, and the provider let {model} answer")));
                }
                out.push(ChatEvent::Started { id: None, model });
                Block::Other
            }
            _ => {
                out.push(ChatEvent::Note(format!("a part of the answer is not shown: its kind is new ({kind})")));
                Block::Other
            }
        };
        self.open.push((index, block));
    }

    fn grow_block(&mut self, index: u64, delta: Delta, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let block = self.open.iter_mut().find(|(at, _)| *at == index).map(|(_, block)| block);
        match (delta.kind.as_deref(), block) {
            (Some("text_delta"), _) => show(delta.text, ChatEvent::Text, out),
            (Some("thinking_delta"), Some(Block::Thinking(block))) => {
                block.text.push_str(delta.thinking.as_deref().unwrap_or_default());
                show(delta.thinking, ChatEvent::Reasoning, out);
            }
            (Some("signature_delta"), Some(Block::Thinking(block))) => {
                let piece = delta.signature.unwrap_or_default();
                block.signature.get_or_insert_default().push_str(&piece);
                out.extend((!piece.is_empty()).then_some(ChatEvent::Growing(0)));
            }
            // What a server's own tool is given is made by the model as well, though nobody sees it.
            (Some("input_json_delta"), Some(block @ (Block::ToolCall { .. } | Block::Other))) => {
                let piece = delta.partial_json.unwrap_or_default();
                out.extend((!piece.is_empty()).then_some(ChatEvent::Growing(piece.len())));
                if let Block::ToolCall { call, .. } = block {
                    call.arguments.push_str(&piece);
                }
            }
            (Some(kind @ ("thinking_delta" | "signature_delta" | "input_json_delta")), None) => {
                return Err(DecodeError::Malformed(format!("a {kind} for a block that never started")));
            }
            // Citations, the arguments of a server's own tool, and what is still to be invented.
            (_, _) => {}
        }
        Ok(())
    }

    fn close_block(&mut self, index: u64, out: &mut Vec<ChatEvent>) {
        while let Some(at) = self.open.iter().position(|(open, _)| *open == index) {
            hand_over(self.open.remove(at).1, out);
        }
    }

    /// The end of the message closes what a server forgot to close.
    fn close_all(&mut self, out: &mut Vec<ChatEvent>) {
        self.open.drain(..).for_each(|(_, block)| hand_over(block, out));
    }

    /// Usage is cumulative: the later object lies over the earlier one, field by field.
    fn take_usage(&mut self, raw: Option<Value>, last: bool, out: &mut Vec<ChatEvent>) {
        let Some(raw) = raw else { return };
        let counts_output = !raw["output_tokens"].is_null();
        if self.usage.add(raw) {
            self.usage_is_final |= last && counts_output;
            out.push(ChatEvent::Usage(self.usage()));
        }
    }

    fn usage(&self) -> Usage {
        let mut usage = usage_of(self.usage.all(), &self.quirks);
        usage.warnings.extend(self.usage.shrunk());
        usage
    }

    fn finish(&mut self, stop: Stop, out: &mut Vec<ChatEvent>) {
        let Some(raw) = stop.stop_reason.filter(|_| !self.finished) else {
            return;
        };
        self.close_all(out);
        self.finished = true;
        if raw == "pause_turn" {
            out.push(ChatEvent::Note("the provider paused its own tools: the answer is not complete".into()));
        }
        let details = stop.stop_details.unwrap_or_default();
        let why = details["explanation"].as_str().or_else(|| details["category"].as_str());
        let detail = stop.stop_sequence.or_else(|| why.map(str::to_owned));
        out.push(ChatEvent::Finished(Finish { reason: reason(&raw), raw, detail }));
    }
}

/// The stop reasons: <https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons> (read 2026-11-22).
fn reason(raw: &str) -> FinishReason {
    match raw {
        "end_turn" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "stop_sequence" => FinishReason::StopSequence,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::Refusal,
        _ => FinishReason::Other,
    }
}

fn show(piece: Option<String>, event: fn(String) -> ChatEvent, out: &mut Vec<ChatEvent>) {
    out.extend(piece.filter(|piece| !piece.is_empty()).map(event));
}

/// Bytes of text in a block that has just begun and is handed over whole; `None` where it holds nothing yet.
fn held(block: &Block) -> Option<usize> {
    match block {
        Block::ToolCall { call, .. } => Some(call.name.len()),
        Block::Thinking(block) => block.redacted.as_ref().map(|_| 0),
        Block::Other => None,
    }
}

fn hand_over(block: Block, out: &mut Vec<ChatEvent>) {
    match block {
        Block::Thinking(block) => out.push(ChatEvent::ReasoningDone(block)),
        Block::ToolCall { mut call, from_start } => {
            if call.arguments.is_empty() {
                call.arguments = from_start;
            }
            out.push(ChatEvent::ToolCall(call));
        }
        Block::Other => {}
    }
}

/// The counts of the usage object that a later event may not lower unsaid.
const COUNTS: [&str; 4] = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"];

/// The usage object of the Messages API, those of a stream laid over one another. All counts are disjoint.
///
/// Rules: `reference` usage semantics, sections 2, 3 and 7.
pub(super) fn usage_of(raw: &Value, quirks: &Quirks) -> Usage {
    let mut counts = Counts::new(raw);
    let calls = raw["iterations"].as_array().filter(|entries| !entries.is_empty());
    tokens(&mut counts, calls.is_none());
    let searches = counts.count("/server_tool_use/web_search_requests");
    counts.set_some(Meter::WebSearch, searches);
    let thought = counts.count("/output_tokens_details/thinking_tokens");
    // Fetches are free of charge.
    let fetches = counts.count("/server_tool_use/web_fetch_requests");
    counts.part(&["/iterations", "/cost", "/cost_details"]);
    counts.charge(quirks);
    let mut usage = counts.finish();
    if let Some(entries) = calls {
        iterations(&mut usage, entries);
    }
    if let Some(thought) = thought {
        let output = usage.get(Meter::Output).unwrap_or(0);
        if thought > output {
            usage.warnings.push(format!("usage: thinking ({thought}) is larger than the output ({output})"));
        }
        usage.reasoning = Some(thought.min(output));
    }
    usage.service_tier = raw["service_tier"].as_str().map(str::to_owned);
    for name in ["speed", "inference_geo"] {
        if let Some(word) = raw[name].as_str() {
            usage.attributes.insert(name.to_owned(), word.to_owned());
        }
    }
    // With tools of the provider the counts are a sum over several model calls, of which only iterations tell the sizes.
    let ran_tools = searches.is_some_and(|count| count > 0) || fetches.is_some_and(|count| count > 0);
    if ran_tools && usage.iterations.is_empty() {
        usage.attributes.insert("prompt_total".into(), "summed".into());
    }
    usage
}

/// The counts of one model call, or of all of an answer. `whole`: its prompt's and its output's must be among them.
fn tokens(counts: &mut Counts<'_>, whole: bool) {
    let input = counts.count("/input_tokens");
    let read = counts.count("/cache_read_input_tokens");
    let written = counts.count("/cache_creation_input_tokens");
    let short = counts.count("/cache_creation/ephemeral_5m_input_tokens");
    let long = counts.count("/cache_creation/ephemeral_1h_input_tokens");
    let output = counts.count("/output_tokens");
    if whole {
        counts.needs("prompt", input);
        counts.needs("output", output);
    }
    counts.set(Meter::Input, input);
    counts.set(Meter::CacheRead, read);
    match (written, short.or(long).map(|_| short.unwrap_or(0).saturating_add(long.unwrap_or(0)))) {
        (None, _) => {
            counts.set(Meter::CacheWrite5m, short);
            counts.set(Meter::CacheWrite1h, long);
        }
        (Some(written), None) => {
            if written > 0 {
                counts.remark(format!("usage: the lifetime of {written} cached tokens is not reported: five minutes"));
            }
            counts.set(Meter::CacheWrite5m, Some(written));
        }
        (Some(written), Some(split)) => {
            if split != written {
                counts.warn(format!("usage: cache writes ({written}) are not the sum of their lifetimes ({split})"));
            }
            let long = long.map(|long| long.min(written));
            counts.set(Meter::CacheWrite5m, Some(written - long.unwrap_or(0)));
            counts.set(Meter::CacheWrite1h, long);
        }
    }
    counts.set(Meter::Output, output);
}

/// Several model calls inside one (compaction, an advisor, a fallback), each with a price of its own: the top level
/// repeats only some of them, so their sum takes its place.
fn iterations(usage: &mut Usage, entries: &[Value]) {
    let top = std::mem::take(&mut usage.quantities);
    let mut warnings = Vec::new();
    for (number, entry) in (1..).zip(entries) {
        let mut counts = Counts::new(entry);
        tokens(&mut counts, true);
        let one = counts.finish();
        usage.rejected |= one.rejected;
        usage.incomplete |= one.incomplete;
        usage.remarks.extend(one.remarks.iter().map(|remark| format!("iteration {number}: {remark}")));
        warnings.extend(one.warnings.iter().map(|warning| format!("iteration {number}: {warning}")));
        for (meter, quantity) in &one.quantities {
            let sum = usage.get(*meter).unwrap_or(0).saturating_add(*quantity);
            usage.set(*meter, sum);
        }
        let model = entry["model"].as_str().map(str::to_owned);
        usage.iterations.push(Iteration { model, quantities: one.quantities });
    }
    // They come first: one of them may say why the usage is not taken.
    warnings.append(&mut usage.warnings);
    usage.warnings = warnings;
    for (meter, quantity) in top {
        match usage.get(meter) {
            // Counted for the call alone, as searches are: the first iteration bears it.
            None => {
                usage.set(meter, quantity);
                usage.iterations.iter_mut().take(1).for_each(|first| {
                    first.quantities.insert(meter, quantity);
                });
            }
            Some(sum) if sum < quantity => {
                let meter = meter.key();
                usage
                    .warnings
                    .push(format!("usage: the iterations hold less {meter} ({sum}) than the call ({quantity})"));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
