//! Cohere v2 chat.
//!
//! Shape: <https://docs.cohere.com/reference/chat>, <https://docs.cohere.com/reference/chat-stream>,
//! <https://docs.cohere.com/docs/reasoning>, <https://docs.cohere.com/docs/structured-outputs> (read 2026-11-22).

use serde_json::{Value, json};

use super::contract::{ApiError, DecodeError, Decoder, EncodeError, Encoded, Target};
use super::quirks::Quirks;
use super::usage::Counts;
use super::{errors, json as js, mishap};
use crate::domain::chat::{
    ChatEvent, ChatRequest, Effort, Finish, FinishReason, Message, Part, Reasoning, Role, Settings, ToolCall,
    ToolChoice,
};
use crate::domain::failure::ErrorClass;
use crate::domain::model::Thinking;
use crate::domain::usage::{Meter, Usage};

/// The body of `POST /v2/chat`.
///
/// # Errors
/// A document or a sound: the API has no form for them.
pub fn encode(request: &ChatRequest, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let mut ignored = Vec::new();
    let mut messages = Vec::new();
    if let Some(system) = js::system(request, !target.facts.schema) {
        messages.push(json!({"role": "system", "content": system}));
    }
    for message in &request.messages {
        match message.role {
            Role::User => user(message, &mut messages)?,
            Role::Assistant => messages.push(assistant(message)),
        }
    }
    let mut body = json!({"model": target.model, "messages": messages, "stream": target.stream});
    settings(&mut body, &request.settings, target, &mut ignored);
    tools(&mut body, request);
    for (key, value) in &request.settings.extra {
        js::lay(&mut body, key, value.clone());
    }
    Ok(Encoded { body, headers: Vec::new(), method: "", ignored })
}

/// A user's message; results of tools become messages of their own, before it.
fn user(message: &Message, messages: &mut Vec<Value>) -> Result<(), EncodeError> {
    let mut content = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text(text) => content.push(json!({"type": "text", "text": text})),
            Part::Image(image) => {
                content.push(json!({"type": "image_url", "image_url": {"url": js::url_of(image)}}));
            }
            Part::Document(document) => {
                return Err(EncodeError(format!(
                    "Cohere takes text and images, not documents ({}): put the document's text into the prompt",
                    document.mime
                )));
            }
            Part::Audio(audio) => {
                return Err(EncodeError(format!("Cohere takes text and images, not audio ({})", audio.mime)));
            }
            Part::ToolResult(result) => {
                messages.push(json!({"role": "tool", "tool_call_id": result.id, "content": result.content}));
            }
            Part::Reasoning(_) | Part::ToolCall(_) => {}
        }
    }
    messages.extend(js::content(content).map(|content| json!({"role": "user", "content": content})));
    Ok(())
}

/// An earlier answer. Its plan and its thinking go back: the model is trained to see both.
fn assistant(message: &Message) -> Value {
    let mut turn = json!({"role": "assistant"});
    let (mut text, mut thoughts, mut calls) = (String::new(), Vec::new(), Vec::new());
    for part in &message.parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Reasoning(block) => {
                if let Some(plan) = block.opaque.as_ref().and_then(|opaque| opaque[PLAN].as_str()) {
                    turn[PLAN] = plan.into();
                }
                if !block.text.is_empty() {
                    thoughts.push(json!({"type": "thinking", "thinking": block.text}));
                }
            }
            Part::ToolCall(call) => {
                let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
                calls.push(json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": arguments}}));
            }
            Part::Image(_) | Part::Document(_) | Part::Audio(_) | Part::ToolResult(_) => {}
        }
    }
    if !thoughts.is_empty() {
        if !text.is_empty() {
            thoughts.push(json!({"type": "text", "text": text}));
        }
        turn["content"] = thoughts.into();
    } else if !text.is_empty() || calls.is_empty() {
        turn["content"] = text.into();
    }
    if !calls.is_empty() {
        turn["tool_calls"] = calls.into();
    }
    turn
}

fn settings(body: &mut Value, settings: &Settings, target: &Target<'_>, ignored: &mut Vec<String>) {
    let facts = target.facts;
    let mut refused = |what: &str| ignored.push(format!("{} does not take {what}", target.model));
    if let Some(temperature) = settings.temperature {
        if facts.temperature { body["temperature"] = json!(temperature) } else { refused("temperature") }
    }
    if let Some(top_p) = settings.top_p {
        if facts.temperature { body["p"] = json!(top_p) } else { refused("top_p") }
    }
    if let Some(cap) = settings.max_tokens {
        body["max_tokens"] = cap.into();
    }
    if let Some(seed) = settings.seed {
        if facts.seed { body["seed"] = seed.into() } else { refused("a seed") }
    }
    if !settings.stop.is_empty() {
        if facts.stop { body["stop_sequences"] = json!(settings.stop) } else { refused("stop sequences") }
    }
    if let Some(level) = settings.effort {
        if facts.thinking == Thinking::None { refused("an effort") } else { body["thinking"] = thinking(level) }
    }
    if let Some(schema) = settings.schema.as_ref().filter(|_| facts.schema) {
        body["response_format"] = json!({"type": "json_object", "schema": schema.schema});
    }
    if settings.cache.is_some() {
        refused("cache points (it caches by itself)");
    }
}

/// The API knows no levels: thinking is on or off, and may be bounded. The top levels are not bounded.
fn thinking(level: Effort) -> Value {
    let budget = match level {
        Effort::None => return json!({"type": "disabled"}),
        Effort::Minimal => 512,
        Effort::Low => 1_024,
        Effort::Medium => 8_192,
        Effort::High => 24_576,
        Effort::Xhigh | Effort::Max => return json!({"type": "enabled"}),
    };
    json!({"type": "enabled", "token_budget": budget})
}

fn tools(body: &mut Value, request: &ChatRequest) {
    // The API can demand some tool, not a certain one: it is the certain one where there is no other.
    let only = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        _ => None,
    };
    let offered: Vec<Value> =
        request.tools.iter().filter(|tool| only.is_none_or(|name| tool.name == *name)).map(js::function).collect();
    if offered.is_empty() {
        return;
    }
    body["tools"] = offered.into();
    match request.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        Some(ToolChoice::None) => body["tool_choice"] = "NONE".into(),
        Some(ToolChoice::Any | ToolChoice::Named(_)) => body["tool_choice"] = "REQUIRED".into(),
    }
}

/// What the model means to do with its tools, in a field of its own beside the text.
const PLAN: &str = "tool_plan";

/// Reads the events of a stream, or the one message of an answer that is not streamed.
#[derive(Debug, Default)]
pub struct Cohere {
    /// Tool calls in the making, by their index.
    calls: Vec<(Option<u64>, ToolCall)>,
    plan: String,
    /// Thinking since the last text.
    thought: String,
    finished: bool,
    whole: bool,
    started: bool,
    skipped: u64,
}

impl Cohere {
    #[must_use]
    pub fn new(_quirks: &Quirks) -> Cohere {
        Cohere::default()
    }

    /// One content block or a piece of one, text or thinking.
    fn content(&mut self, block: &Value, out: &mut Vec<ChatEvent>) {
        if let Some(thought) = filled(&block["thinking"]) {
            self.thought.push_str(thought);
            out.push(ChatEvent::Reasoning(thought.to_owned()));
        }
        if let Some(text) = filled(&block["text"]) {
            self.thought.clear();
            out.push(ChatEvent::Text(text.to_owned()));
        }
    }

    /// The plan is whole: it is said, and kept to go back with the next turn.
    fn close_plan(&mut self, out: &mut Vec<ChatEvent>) {
        if self.plan.is_empty() {
            return;
        }
        let plan = std::mem::take(&mut self.plan);
        out.push(ChatEvent::Note(format!("the model's plan: {plan}")));
        out.push(ChatEvent::ReasoningDone(Reasoning {
            text: std::mem::take(&mut self.thought),
            opaque: Some(json!({PLAN: plan})),
            ..Reasoning::default()
        }));
    }

    /// Takes a further piece of the arguments: of the call with its index, else of the last one.
    fn grow(&mut self, index: Option<u64>, piece: &Value, out: &mut Vec<ChatEvent>) {
        let place = self.calls.iter().rposition(|(at, _)| *at == index).or(self.calls.len().checked_sub(1));
        if let (Some(place), Some(arguments)) = (place, filled(&piece["function"]["arguments"])) {
            self.calls[place].1.arguments.push_str(arguments);
            out.push(ChatEvent::Growing(arguments.len()));
        }
    }

    fn close_call(&mut self, index: Option<u64>, out: &mut Vec<ChatEvent>) {
        if let Some(place) = self.calls.iter().position(|(at, _)| *at == index) {
            out.push(ChatEvent::ToolCall(self.calls.remove(place).1));
        }
    }

    /// The one message of an answer that is not streamed.
    fn message(&mut self, answer: &Value, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        self.whole = true;
        let message = &answer["message"];
        match &message["content"] {
            Value::Array(blocks) => blocks.iter().for_each(|block| self.content(block, out)),
            text => self.content(&json!({"text": text}), out),
        }
        if let Some(plan) = message[PLAN].as_str() {
            self.plan.push_str(plan);
        }
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        self.calls.extend(calls.map(|call| (None, call_of(call))));
        self.finish(answer, out)
    }

    /// The end of the message: calls that were left open, usage, and why it ended.
    fn finish(&mut self, end: &Value, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        self.close_plan(out);
        out.extend(self.calls.drain(..).map(|(_, call)| ChatEvent::ToolCall(call)));
        if end["usage"].as_object().is_some_and(|usage| !usage.is_empty()) {
            out.push(ChatEvent::Usage(usage(&end["usage"])));
        }
        let Some(raw) = end["finish_reason"].as_str() else {
            return Ok(());
        };
        self.finished = true;
        let detail = end["error"].as_str().map(str::to_owned);
        out.push(ChatEvent::Finished(Finish { reason: reason(raw), raw: raw.to_owned(), detail: detail.clone() }));
        let class = match raw {
            "ERROR" => ErrorClass::Overloaded,
            "TIMEOUT" => ErrorClass::Timeout,
            _ => return Ok(()),
        };
        let message = detail.unwrap_or_else(|| format!("the generation failed (finish_reason {raw})"));
        Err(DecodeError::Api(ApiError { class, message, kind: Some(raw.to_owned()), code: None, retry_after_ms: None }))
    }
}

fn filled(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn call_of(call: &Value) -> ToolCall {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let function = &call["function"];
    ToolCall {
        id: word(&call["id"]),
        name: word(&function["name"]),
        arguments: word(&function["arguments"]),
        signature: None,
    }
}

fn reason(raw: &str) -> FinishReason {
    match raw {
        "COMPLETE" => FinishReason::Stop,
        "STOP_SEQUENCE" => FinishReason::StopSequence,
        "MAX_TOKENS" => FinishReason::Length,
        "TOOL_CALL" => FinishReason::ToolCalls,
        _ => FinishReason::Other,
    }
}

/// Billed units that are no tokens.
const BY_USE: [&str; 2] = ["search_units", "classifications"];

/// What is billed stands under `billed_units`; `tokens` counts the prompt's template, too, and is not billed.
pub(super) fn usage(raw: &Value) -> Usage {
    let mut counts = Counts::new(raw);
    counts.part(&["/tokens", "/cached_tokens"]);
    let billed = raw["billed_units"].is_object();
    let (input, output) = if billed {
        (counts.count("/billed_units/input_tokens"), counts.count("/billed_units/output_tokens"))
    } else {
        (counts.count("/tokens/input_tokens"), counts.count("/tokens/output_tokens"))
    };
    // What is billed by searches or classifications alone has no tokens at all.
    if input.is_some() || output.is_some() || !BY_USE.iter().any(|units| raw["billed_units"][*units].is_number()) {
        counts.needs("prompt", input);
        counts.needs("output", output);
    }
    if !billed {
        counts.warn("usage: no billed units came; it counts all tokens, which may be more than is billed");
    }
    counts.set(Meter::Input, input);
    counts.set(Meter::Output, output);
    let image = counts.count("/billed_units/image_tokens");
    counts.set_some(Meter::ImageIn, image);
    let searches = counts.count("/billed_units/search_units");
    counts.set_some(Meter::SearchUnit, searches);
    let classifications = counts.count("/billed_units/classifications");
    counts.set_some(Meter::Classification, classifications);
    if let (Some(reasoning), Some(output)) = (counts.count("/tokens/reasoning_tokens"), output) {
        counts.usage().reasoning = Some(counts.within(reasoning, output, "reasoning tokens"));
    }
    counts.finish()
}

impl Decoder for Cohere {
    fn frame(&mut self, event: &str, data: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let frame: Value = js::parse(data)?;
        let kind = frame["type"].as_str().unwrap_or(event);
        let index = frame["index"].as_u64();
        let piece = &frame["delta"]["message"];
        if !self.started && (kind == "message-start" || frame["message"].is_object()) {
            self.started = true;
            out.push(ChatEvent::Started { id: filled(&frame["id"]).map(str::to_owned), model: None });
        }
        match kind {
            "message-start" | "content-end" | "citation-start" | "citation-end" => {}
            "debug" => self.skipped += 1,
            "content-start" | "content-delta" => self.content(&piece["content"], out),
            "tool-plan-delta" => {
                if let Some(plan) = filled(&piece[PLAN]) {
                    self.plan.push_str(plan);
                    out.push(ChatEvent::Growing(plan.len()));
                }
            }
            "tool-call-start" => {
                self.close_plan(out);
                let call = call_of(&piece["tool_calls"]);
                out.push(ChatEvent::Growing(call.name.len() + call.arguments.len()));
                self.calls.push((index, call));
            }
            "tool-call-delta" => self.grow(index, &piece["tool_calls"], out),
            "tool-call-end" => self.close_call(index, out),
            "message-end" => return self.finish(&frame["delta"], out),
            _ if frame["message"].is_object() => {
                let before = out.len();
                self.message(&frame, out)?;
                if mishap::is_said(&frame["error"])
                    && let Some(error) = errors::from_value(None, &frame)
                {
                    mishap::settle(out, before);
                    return Err(DecodeError::Api(error));
                }
            }
            _ if kind.is_empty() || kind.contains("error") || !frame["error"].is_null() => {
                if let Some(error) = errors::from_value(None, &frame) {
                    return Err(DecodeError::Api(error));
                }
                if !kind.is_empty() {
                    return Err(DecodeError::Malformed("an error event without words".into()));
                }
            }
            // An event that no page names yet.
            _ => self.skipped += 1,
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        self.close_plan(out);
        if self.finished || self.whole {
            return Ok(());
        }
        if !self.started {
            return Err(DecodeError::Cut("the answer holds no message".into()));
        }
        Err(DecodeError::Cut("the stream ended without message-end".into()))
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn is_finished(&self) -> bool {
        self.finished
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{encode, usage};
    use crate::domain::chat::{
        CacheLifetime, ChatRequest, Effort, Media, MediaSource, Message, Part, Reasoning, Role, Schema, Settings, Tool,
        ToolCall, ToolChoice, ToolResult,
    };
    use crate::domain::model::{ModelFacts, Thinking};
    use crate::domain::usage::{Meter, Usage};
    use crate::wire::contract::{EncodeError, Encoded, Target};
    use crate::wire::quirks::Quirks;

    fn encoded(request: &ChatRequest, facts: &ModelFacts) -> Result<Encoded, EncodeError> {
        encode(request, &Target { model: "command-a-03-2025", quirks: &Quirks::default(), facts, stream: true })
    }

    fn body(request: &ChatRequest) -> Value {
        encoded(request, &ModelFacts::default()).expect("can be said").body
    }

    fn says(role: Role, parts: Vec<Part>) -> Message {
        Message { role, parts }
    }

    fn tool(name: &str) -> Tool {
        Tool {
            name: name.into(),
            description: Some("Depth of a lake".into()),
            parameters: json!({"type": "object", "properties": {"lake": {"type": "string"}}, "required": ["lake"]}),
        }
    }

    fn media(mime: &str, source: MediaSource) -> Media {
        Media { mime: mime.into(), source, name: None }
    }

    fn conversation() -> ChatRequest {
        let plan = Reasoning { opaque: Some(json!({"tool_plan": "I look it up."})), ..Reasoning::default() };
        let call = ToolCall {
            id: "d0".into(),
            name: "depth".into(),
            arguments: "{\"lake\":\"Como\"}".into(),
            ..ToolCall::default()
        };
        let result = ToolResult { id: "d0".into(), name: "depth".into(), content: "425".into(), is_error: false };
        let thought = Reasoning { text: "425 it is.".into(), ..Reasoning::default() };
        ChatRequest {
            system: Some("Be brief.".into()),
            messages: vec![
                says(
                    Role::User,
                    vec![
                        Part::Text("Which lake, how deep?".into()),
                        Part::Image(media("image/png", MediaSource::Bytes(vec![1, 2, 3]))),
                    ],
                ),
                says(Role::Assistant, vec![Part::Reasoning(plan), Part::ToolCall(call)]),
                says(Role::User, vec![Part::ToolResult(result)]),
                says(Role::Assistant, vec![Part::Reasoning(thought), Part::Text("Como, 425 m.".into())]),
                says(Role::User, vec![Part::Text("As JSON.".into())]),
            ],
            tools: vec![tool("depth")],
            tool_choice: Some(ToolChoice::None),
            settings: Settings {
                temperature: Some(0.5),
                top_p: Some(0.75),
                max_tokens: Some(100),
                seed: Some(7),
                stop: vec!["END".into()],
                effort: Some(Effort::Low),
                show_reasoning: false,
                schema: Some(Schema { name: "lake".into(), schema: json!({"type": "object"}) }),
                cache: None,
                extra: vec![("safety_mode".into(), json!("OFF")), ("thinking.token_budget".into(), json!(99))],
            },
        }
    }

    #[test]
    fn a_conversation_is_said_in_the_documented_shape() {
        assert_eq!(
            body(&conversation()),
            json!({
                "model": "command-a-03-2025",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": [
                        {"type": "text", "text": "Which lake, how deep?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQID"}}]},
                    {"role": "assistant", "tool_plan": "I look it up.", "tool_calls": [{"id": "d0", "type": "function",
                        "function": {"name": "depth", "arguments": "{\"lake\":\"Como\"}"}}]},
                    {"role": "tool", "tool_call_id": "d0", "content": "425"},
                    {"role": "assistant", "content": [
                        {"type": "thinking", "thinking": "425 it is."}, {"type": "text", "text": "Como, 425 m."}]},
                    {"role": "user", "content": "As JSON."}
                ],
                "stream": true,
                "temperature": 0.5,
                "p": 0.75,
                "max_tokens": 100,
                "seed": 7,
                "stop_sequences": ["END"],
                "thinking": {"type": "enabled", "token_budget": 99},
                "response_format": {"type": "json_object", "schema": {"type": "object"}},
                "tools": [{"type": "function", "function": {"name": "depth", "description": "Depth of a lake",
                    "parameters": {"type": "object", "properties": {"lake": {"type": "string"}}, "required": ["lake"]}}}],
                "tool_choice": "NONE",
                "safety_mode": "OFF"
            })
        );
    }

    #[test]
    fn a_certain_tool_is_demanded_by_offering_no_other() {
        let mut request = conversation();
        request.tools.push(tool("height"));
        request.tool_choice = Some(ToolChoice::Named("height".into()));
        let said = body(&request);
        assert_eq!((&said["tools"][0]["function"]["name"], &said["tools"][1]), (&json!("height"), &Value::Null));
        assert_eq!(said["tool_choice"], "REQUIRED");
        request.tool_choice = Some(ToolChoice::Any);
        assert_eq!(body(&request)["tool_choice"], "REQUIRED");
        request.tool_choice = Some(ToolChoice::Auto);
        assert_eq!(body(&request)["tool_choice"], Value::Null);
    }

    #[test]
    fn thinking_is_switched_and_bounded_and_the_top_is_free() {
        let thinking = |effort| {
            let settings = Settings { effort: Some(effort), ..Settings::default() };
            body(&ChatRequest { settings, ..ChatRequest::default() })["thinking"].clone()
        };
        assert_eq!(thinking(Effort::None), json!({"type": "disabled"}));
        assert_eq!(thinking(Effort::High), json!({"type": "enabled", "token_budget": 24_576}));
        assert_eq!(thinking(Effort::Max), json!({"type": "enabled"}));
    }

    #[test]
    fn what_a_model_does_not_take_is_said_and_not_sent() {
        let facts = ModelFacts {
            temperature: false,
            seed: false,
            stop: false,
            schema: false,
            thinking: Thinking::None,
            ..ModelFacts::default()
        };
        let mut request = conversation();
        request.settings.extra.clear();
        request.settings.cache = Some(CacheLifetime::FiveMinutes);
        let said = encoded(&request, &facts).expect("can be said");
        for key in ["temperature", "p", "seed", "stop_sequences", "thinking", "response_format"] {
            assert_eq!(said.body[key], Value::Null, "{key}");
        }
        assert_eq!(said.ignored.len(), 6, "{:?}", said.ignored);
        let system = said.body["messages"][0]["content"].as_str().expect("a system prompt");
        assert!(system.starts_with("Be brief.") && system.contains("{\"type\":\"object\"}"), "{system}");
    }

    #[test]
    fn documents_and_sounds_are_refused_before_anything_is_sent() {
        for part in [
            Part::Document(media("application/pdf", MediaSource::Bytes(vec![0]))),
            Part::Audio(media("audio/wav", MediaSource::Bytes(vec![0]))),
        ] {
            let request =
                ChatRequest { messages: vec![says(Role::User, vec![part.clone()])], ..ChatRequest::default() };
            let refused = encoded(&request, &ModelFacts::default()).expect_err("there is no form for it");
            assert!(refused.to_string().starts_with("Cohere takes text and images"), "{refused}");
        }
    }

    fn meters(usage: &Usage) -> Vec<(Meter, u64)> {
        usage.quantities.iter().map(|(meter, count)| (*meter, *count)).collect()
    }

    #[test]
    fn what_is_billed_counts_and_not_the_tokens_beside_it() {
        let read = usage(&json!({"billed_units": {"input_tokens": 40, "output_tokens": 90},
            "tokens": {"input_tokens": 530, "output_tokens": 120, "reasoning_tokens": 60}, "cached_tokens": 480}));
        assert_eq!(meters(&read), [(Meter::Input, 40), (Meter::Output, 90)]);
        assert_eq!((read.reasoning, read.warnings), (Some(60), vec![]));
    }

    #[test]
    fn searches_and_classifications_are_meters_of_their_own() {
        let read = usage(&json!({"billed_units": {"input_tokens": 4.0, "output_tokens": 9, "search_units": 2,
            "classifications": 3, "image_tokens": 5}}));
        assert_eq!(
            meters(&read),
            [
                (Meter::Input, 4),
                (Meter::Output, 9),
                (Meter::ImageIn, 5),
                (Meter::SearchUnit, 2),
                (Meter::Classification, 3)
            ]
        );
    }

    #[test]
    fn billed_tokens_are_both_there_or_the_usage_is_not_final_unless_only_uses_are_billed() {
        for (billed, missing) in [
            (json!({"input_tokens": 7}), vec!["output"]),
            (json!({"output_tokens": 5, "search_units": 1}), vec!["prompt"]),
            (json!({}), vec!["prompt", "output"]),
            (json!({"search_units": 2}), vec![]),
        ] {
            let read = usage(&json!({"billed_units": billed, "tokens": {"input_tokens": 70, "output_tokens": 9}}));
            let said: Vec<String> =
                missing.iter().map(|count| format!("usage: the count of the {count} is missing")).collect();
            assert_eq!((read.is_final(), read.warnings), (missing.is_empty(), said), "{billed}");
        }
    }

    #[test]
    fn tokens_alone_are_counted_with_a_warning() {
        let read = usage(&json!({"tokens": {"input_tokens": 530, "output_tokens": 120}}));
        assert_eq!(meters(&read), [(Meter::Input, 530), (Meter::Output, 120)]);
        assert_eq!(read.warnings.len(), 1);
    }

    #[test]
    fn a_count_that_is_none_is_rejected_and_a_new_field_is_named() {
        for bad in [json!(-4), json!(2_147_483_649_u64)] {
            assert!(usage(&json!({"billed_units": {"input_tokens": bad, "output_tokens": 9}})).rejected, "{bad}");
        }
        let read = usage(&json!({"billed_units": {"input_tokens": 4, "output_tokens": 9, "brand_new": 1}}));
        assert_eq!(read.warnings, ["unread usage field /billed_units/brand_new"]);
    }
}
