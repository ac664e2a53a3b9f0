//! Ollama's native chat.
//!
//! Shape: <https://github.com/ollama/ollama/blob/main/docs/openapi.yaml> and `docs/api.md` beside it (read 2026-11-22).

use serde_json::{Map, Value, json};

use super::contract::{DecodeError, Decoder, EncodeError, Encoded, Target};
use super::quirks::Quirks;
use super::usage::Counts;
use super::{errors, json as js, mishap};
use crate::domain::chat::{
    ChatEvent, ChatRequest, Effort, Finish, FinishReason, Media, Message, Part, Role, Settings, ToolCall, ToolChoice,
    ToolResult,
};
use crate::domain::model::Thinking;
use crate::domain::usage::{Meter, Usage};

/// The body of `POST /api/chat`.
///
/// # Errors
/// A document or a sound; an image that is only a URL; arguments of an earlier tool call that are no object.
pub fn encode(request: &ChatRequest, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let mut ignored = Vec::new();
    let mut messages = Vec::new();
    if let Some(system) = js::system(request, !target.facts.schema) {
        messages.push(json!({"role": "system", "content": system}));
    }
    for message in &request.messages {
        match message.role {
            Role::User => user(message, request, &mut messages)?,
            Role::Assistant => messages.push(assistant(message)?),
        }
    }
    // The API streams unless it is told not to.
    let mut body = json!({"model": target.model, "messages": messages, "stream": target.stream});
    tools(&mut body, request, &mut ignored);
    settings(&mut body, &request.settings, target, &mut ignored);
    for (key, value) in &request.settings.extra {
        js::lay(&mut body, key, value.clone());
    }
    Ok(Encoded { body, headers: Vec::new(), method: "", ignored })
}

/// A user's message; results of tools become messages of their own, before it.
fn user(message: &Message, request: &ChatRequest, messages: &mut Vec<Value>) -> Result<(), EncodeError> {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for part in &message.parts {
        match part {
            Part::Text(text) => texts.push(text.as_str()),
            Part::Image(image) => images.push(picture(image)?),
            Part::Document(media) | Part::Audio(media) => {
                return Err(EncodeError(format!("Ollama takes text and images, not {}", media.mime)));
            }
            Part::ToolResult(result) => messages
                .push(json!({"role": "tool", "tool_name": tool_name(result, request), "content": result.content})),
            Part::Reasoning(_) | Part::ToolCall(_) => {}
        }
    }
    if texts.is_empty() && images.is_empty() {
        return Ok(());
    }
    let mut turn = json!({"role": "user", "content": texts.join("\n\n")});
    if !images.is_empty() {
        turn["images"] = images.into();
    }
    messages.push(turn);
    Ok(())
}

/// Base64 without the prefix of a `data:` URL.
fn picture(image: &Media) -> Result<Value, EncodeError> {
    let data = js::base64_of(image);
    data.map(Value::from)
        .ok_or_else(|| EncodeError("Ollama fetches no images from URLs: attach the image as a file".into()))
}

/// Results are matched by the tool's name; where the result does not know it, the call with its id does.
fn tool_name<'a>(result: &'a ToolResult, request: &'a ChatRequest) -> &'a str {
    if !result.name.is_empty() {
        return &result.name;
    }
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    let mut calls = parts.filter_map(|part| match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    });
    calls.find(|call| call.id == result.id).map_or("", |call| &call.name)
}

fn assistant(message: &Message) -> Result<Value, EncodeError> {
    let (mut text, mut thought, mut calls) = (String::new(), String::new(), Vec::new());
    for part in &message.parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Reasoning(block) => thought.push_str(&block.text),
            Part::ToolCall(call) => {
                calls.push(json!({"type": "function", "function": {"name": call.name, "arguments": arguments(call)?}}))
            }
            Part::Image(_) | Part::Document(_) | Part::Audio(_) | Part::ToolResult(_) => {}
        }
    }
    let mut turn = json!({"role": "assistant", "content": text});
    if !thought.is_empty() {
        turn["thinking"] = thought.into();
    }
    if !calls.is_empty() {
        turn["tool_calls"] = calls.into();
    }
    Ok(turn)
}

fn arguments(call: &ToolCall) -> Result<Value, EncodeError> {
    if call.arguments.trim().is_empty() {
        return Ok(json!({}));
    }
    call.parsed().filter(Value::is_object).ok_or_else(|| {
        EncodeError(format!(
            "Ollama takes a JSON object as arguments, and those of the earlier call of {} are none",
            call.name
        ))
    })
}

fn tools(body: &mut Value, request: &ChatRequest, ignored: &mut Vec<String>) {
    // The API has no word for the choice: "none" is said by offering none, the others cannot be said.
    match &request.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        Some(ToolChoice::None) => return,
        Some(ToolChoice::Any | ToolChoice::Named(_)) if request.tools.is_empty() => {}
        Some(ToolChoice::Any | ToolChoice::Named(_)) => {
            ignored.push("Ollama cannot be told that a tool must be called: the model decides".into());
        }
    }
    if request.tools.is_empty() {
        return;
    }
    body["tools"] = request.tools.iter().map(js::function).collect();
}

fn settings(body: &mut Value, settings: &Settings, target: &Target<'_>, ignored: &mut Vec<String>) {
    let facts = target.facts;
    let mut options = Map::new();
    let mut refused = |what: &str| ignored.push(format!("{} does not take {what}", target.model));
    let mut set = |key: &str, value: Value| drop(options.insert(key.into(), value));
    if let Some(temperature) = settings.temperature {
        if facts.temperature { set("temperature", json!(temperature)) } else { refused("temperature") }
    }
    if let Some(top_p) = settings.top_p {
        if facts.temperature { set("top_p", json!(top_p)) } else { refused("top_p") }
    }
    if let Some(cap) = settings.max_tokens {
        set("num_predict", cap.into());
    }
    if let Some(seed) = settings.seed {
        if facts.seed { set("seed", seed.into()) } else { refused("a seed") }
    }
    if !settings.stop.is_empty() {
        if facts.stop { set("stop", json!(settings.stop)) } else { refused("stop sequences") }
    }
    if settings.cache.is_some() {
        refused("cache points (it caches by itself)");
    }
    if let Some(level) = settings.effort {
        match facts.thinking {
            Thinking::None => refused("an effort"),
            Thinking::Effort => body["think"] = think(level, ignored),
            Thinking::Budget | Thinking::Adaptive | Thinking::Level | Thinking::Nova => {
                body["think"] = (level != Effort::None).into();
            }
        }
    }
    if let Some(schema) = settings.schema.as_ref().filter(|_| facts.schema) {
        body["format"] = schema.schema.clone();
    }
    if !options.is_empty() {
        body["options"] = options.into();
    }
}

/// The API knows three levels; a model that knows none takes each of them for "yes".
fn think(level: Effort, ignored: &mut Vec<String>) -> Value {
    let word = match level {
        Effort::None => return false.into(),
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Xhigh | Effort::Max => "high",
    };
    if word != level.as_str() {
        ignored.push(format!("Ollama knows no effort \"{}\": \"{word}\" is asked for", level.as_str()));
    }
    word.into()
}

/// Reads the lines of a stream, or the one object of an answer that is not streamed: it is the last line with
/// everything in it.
#[derive(Debug, Default)]
pub struct Ollama {
    started: bool,
    called: bool,
    finished: bool,
    skipped: u64,
}

impl Ollama {
    #[must_use]
    pub fn new(_quirks: &Quirks) -> Ollama {
        Ollama::default()
    }

    fn message(&mut self, message: &Value, out: &mut Vec<ChatEvent>) {
        let filled = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        out.extend(filled(&message["thinking"]).map(ChatEvent::Reasoning));
        out.extend(filled(&message["content"]).map(ChatEvent::Text));
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.called = true;
            out.push(ChatEvent::ToolCall(call_of(call)));
        }
        if let Some(images) = message["images"].as_array().filter(|images| !images.is_empty()) {
            out.push(ChatEvent::Note(format!("the answer holds {} images, which are not shown", images.len())));
        }
    }

    fn finish(&mut self, line: &Value, out: &mut Vec<ChatEvent>) {
        self.finished = true;
        out.extend(usage(line).map(ChatEvent::Usage));
        let raw = line["done_reason"].as_str().unwrap_or_default();
        let reason = match raw {
            // The API says "stop" after tool calls, too.
            "stop" | "" if self.called => FinishReason::ToolCalls,
            "stop" | "" => FinishReason::Stop,
            "length" => FinishReason::Length,
            // "load" and "unload": nothing was asked, the model was only moved.
            _ => FinishReason::Other,
        };
        out.push(ChatEvent::Finished(Finish { reason, raw: raw.to_owned(), detail: None }));
    }
}

/// A call comes whole. Its arguments are an object; an id came only with later versions.
fn call_of(call: &Value) -> ToolCall {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let function = &call["function"];
    let arguments = match &function["arguments"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    ToolCall { id: word(&call["id"]), name: word(&function["name"]), arguments, signature: None }
}

/// The counts among the numbers of the last line, or `None` where it has no count: a missing one is not zero.
pub(super) fn usage(line: &Value) -> Option<Usage> {
    let numbers: Map<String, Value> = line
        .as_object()?
        .iter()
        .filter(|(key, value)| value.is_number() || key.ends_with("_count") && !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !numbers.keys().any(|key| key.ends_with("_count")) {
        return None;
    }
    let raw = Value::Object(numbers);
    let mut counts = Counts::new(&raw);
    // Nanoseconds.
    counts.part(&["/total_duration", "/load_duration", "/prompt_eval_duration", "/eval_duration"]);
    let input = counts.count("/prompt_eval_count");
    counts.set(Meter::Input, input);
    let output = counts.count("/eval_count");
    counts.needs("prompt", input);
    counts.needs("output", output);
    counts.set(Meter::Output, output);
    Some(counts.finish())
}

impl Decoder for Ollama {
    fn frame(&mut self, event: &str, data: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let line: Value = js::parse(data)?;
        let before = out.len();
        if !self.started
            && let Some(model) = line["model"].as_str()
        {
            self.started = true;
            out.push(ChatEvent::Started { id: None, model: Some(model.to_owned()) });
        }
        if line["message"].is_null() && line["done"].is_null() && line["error"].is_null() {
            self.skipped += 1;
        }
        self.message(&line["message"], out);
        if line["done"] == true && !self.finished {
            self.finish(&line, out);
        }
        if event == "error" || !line["error"].is_null() {
            mishap::settle(out, before);
            return Err(match errors::from_value(None, &line) {
                Some(error) => DecodeError::Api(error),
                None => DecodeError::Malformed("an error without words".into()),
            });
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        if self.finished {
            return Ok(());
        }
        Err(DecodeError::Cut("the answer ended without its last line (\"done\": true)".into()))
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
    use crate::domain::usage::Meter;
    use crate::wire::contract::{EncodeError, Encoded, Target};
    use crate::wire::quirks::Quirks;

    fn encoded(request: &ChatRequest, facts: &ModelFacts) -> Result<Encoded, EncodeError> {
        encode(request, &Target { model: "qwen3:4b", quirks: &Quirks::default(), facts, stream: false })
    }

    fn says(role: Role, parts: Vec<Part>) -> Message {
        Message { role, parts }
    }

    fn media(mime: &str, source: MediaSource) -> Media {
        Media { mime: mime.into(), source, name: None }
    }

    fn call(arguments: &str) -> ToolCall {
        ToolCall { id: "d0".into(), name: "depth".into(), arguments: arguments.into(), ..ToolCall::default() }
    }

    fn conversation() -> ChatRequest {
        let thought = Reasoning { text: "I look it up.".into(), ..Reasoning::default() };
        let named = ToolResult { id: "d0".into(), name: "depth".into(), content: "425".into(), is_error: false };
        let unnamed = ToolResult { name: String::new(), content: "425 m".into(), ..named.clone() };
        ChatRequest {
            system: Some("Be brief.".into()),
            messages: vec![
                says(
                    Role::User,
                    vec![
                        Part::Text("Which lake?".into()),
                        Part::Text("How deep?".into()),
                        Part::Image(media("image/png", MediaSource::Bytes(vec![1, 2, 3]))),
                    ],
                ),
                says(Role::Assistant, vec![Part::Reasoning(thought), Part::ToolCall(call("{\"lake\":\"Como\"}"))]),
                says(Role::User, vec![Part::ToolResult(named), Part::ToolResult(unnamed)]),
                says(Role::Assistant, vec![Part::Text("425 m.".into())]),
                says(Role::User, vec![Part::Text("As JSON.".into())]),
            ],
            tools: vec![Tool {
                name: "depth".into(),
                description: Some("Depth of a lake".into()),
                parameters: json!({"type": "object", "properties": {"lake": {"type": "string"}}}),
            }],
            tool_choice: Some(ToolChoice::Auto),
            settings: Settings {
                temperature: Some(0.5),
                top_p: Some(0.75),
                max_tokens: Some(100),
                seed: Some(7),
                stop: vec!["END".into()],
                effort: Some(Effort::Medium),
                show_reasoning: false,
                schema: Some(Schema { name: "lake".into(), schema: json!({"type": "object"}) }),
                cache: None,
                extra: vec![("keep_alive".into(), json!("5m")), ("options.num_ctx".into(), json!(8192))],
            },
        }
    }

    #[test]
    fn a_conversation_is_said_in_the_documented_shape() {
        let said = encoded(&conversation(), &ModelFacts::default()).expect("can be said");
        assert_eq!(said.ignored, [] as [String; 0]);
        assert_eq!(
            said.body,
            json!({
                "model": "qwen3:4b",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Which lake?\n\nHow deep?", "images": ["AQID"]},
                    {"role": "assistant", "content": "", "thinking": "I look it up.", "tool_calls": [
                        {"type": "function", "function": {"name": "depth", "arguments": {"lake": "Como"}}}]},
                    {"role": "tool", "tool_name": "depth", "content": "425"},
                    {"role": "tool", "tool_name": "depth", "content": "425 m"},
                    {"role": "assistant", "content": "425 m."},
                    {"role": "user", "content": "As JSON."}
                ],
                "stream": false,
                "tools": [{"type": "function", "function": {"name": "depth", "description": "Depth of a lake",
                    "parameters": {"type": "object", "properties": {"lake": {"type": "string"}}}}}],
                "think": "medium",
                "format": {"type": "object"},
                "options": {"temperature": 0.5, "top_p": 0.75, "num_predict": 100, "seed": 7, "stop": ["END"],
                    "num_ctx": 8192},
                "keep_alive": "5m"
            })
        );
    }

    #[test]
    fn an_effort_is_one_of_three_words_or_no_and_another_one_is_said() {
        let think = |effort, thinking| {
            let settings = Settings { effort: Some(effort), ..Settings::default() };
            let facts = ModelFacts { thinking, ..ModelFacts::default() };
            let said = encoded(&ChatRequest { settings, ..ChatRequest::default() }, &facts).expect("can be said");
            (said.body["think"].clone(), said.ignored.len())
        };
        assert_eq!(think(Effort::None, Thinking::Effort), (json!(false), 0));
        assert_eq!(think(Effort::High, Thinking::Effort), (json!("high"), 0));
        assert_eq!(think(Effort::Minimal, Thinking::Effort), (json!("low"), 1));
        assert_eq!(think(Effort::Max, Thinking::Effort), (json!("high"), 1));
        assert_eq!(think(Effort::Low, Thinking::Budget), (json!(true), 0));
        assert_eq!(think(Effort::Low, Thinking::None), (Value::Null, 1));
    }

    #[test]
    fn tools_are_left_out_where_none_may_be_called_and_a_demand_is_said_to_be_ignored() {
        let chosen = |choice| {
            let request = ChatRequest { tool_choice: Some(choice), ..conversation() };
            let said = encoded(&request, &ModelFacts::default()).expect("can be said");
            (said.body["tools"].is_array(), said.ignored.len())
        };
        assert_eq!(chosen(ToolChoice::None), (false, 0));
        assert_eq!(chosen(ToolChoice::Any), (true, 1));
        assert_eq!(chosen(ToolChoice::Named("depth".into())), (true, 1));
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
        request.settings.cache = Some(CacheLifetime::OneHour);
        let said = encoded(&request, &facts).expect("can be said");
        assert_eq!(said.body["options"], json!({"num_predict": 100}));
        assert_eq!((&said.body["think"], &said.body["format"]), (&Value::Null, &Value::Null));
        assert_eq!(said.ignored.len(), 6, "{:?}", said.ignored);
        assert!(said.body["messages"][0]["content"].as_str().is_some_and(|system| system.contains("JSON Schema")));
    }

    #[test]
    fn what_the_api_cannot_carry_is_refused_with_what_to_do() {
        let refused = |part| {
            let request = ChatRequest { messages: vec![part], ..ChatRequest::default() };
            encoded(&request, &ModelFacts::default()).expect_err("there is no form for it").to_string()
        };
        let user = |part| refused(says(Role::User, vec![part]));
        let url = MediaSource::Url("https://example.org/lake.png".into());
        assert!(user(Part::Image(media("image/png", url))).contains("attach the image as a file"));
        assert!(
            user(Part::Document(media("application/pdf", MediaSource::Bytes(vec![0])))).contains("application/pdf")
        );
        assert!(user(Part::Audio(media("audio/wav", MediaSource::Bytes(vec![0])))).contains("audio/wav"));
        let broken = refused(says(Role::Assistant, vec![Part::ToolCall(call("{\"lake\":"))]));
        assert!(broken.contains("depth"), "{broken}");
    }

    #[test]
    fn arguments_that_never_came_are_an_empty_object() {
        let request = ChatRequest {
            messages: vec![says(Role::Assistant, vec![Part::ToolCall(call(" "))])],
            ..ChatRequest::default()
        };
        let said = encoded(&request, &ModelFacts::default()).expect("can be said").body;
        assert_eq!(said["messages"][0]["tool_calls"][0]["function"]["arguments"], json!({}));
    }

    #[test]
    fn a_count_that_is_missing_is_not_zero_and_times_are_no_counts() {
        let read =
            usage(&json!({"model": "m", "done": true, "eval_count": 12, "total_duration": 5, "load_duration": 1}))
                .expect("a count");
        assert_eq!((read.get(Meter::Input), read.get(Meter::Output)), (None, Some(12)));
        assert_eq!((read.is_final(), read.warnings), (false, vec!["usage: the count of the prompt is missing".into()]));
        assert_eq!(read.raw, json!({"eval_count": 12, "total_duration": 5, "load_duration": 1}));
        assert_eq!(usage(&json!({"done": true, "done_reason": "load", "total_duration": 5})), None);
        for bad in [json!(-1), json!(2_147_483_649_u64)] {
            assert!(usage(&json!({"prompt_eval_count": 7, "eval_count": bad})).expect("a count").rejected, "{bad}");
        }
        let cut = usage(&json!({"prompt_eval_count": 7})).expect("a count");
        assert_eq!((cut.is_final(), cut.warnings), (false, vec!["usage: the count of the output is missing".into()]));
        let new = usage(&json!({"prompt_eval_count": 7, "eval_count": 1, "brand_new_count": 4})).expect("a count");
        assert_eq!(new.warnings, ["unread usage field /brand_new_count"]);
    }
}
