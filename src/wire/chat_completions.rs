//! OpenAI Chat Completions, and all who imitate it.
//!
//! Shape: <https://platform.openai.com/docs/api-reference/chat/create> (read 2026-11-22). Departures are [`Quirks`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::contract::{DecodeError, Decoder, EncodeError, Encoded, Target};
use super::quirks::{DocumentForm, EffortForm, Quirks, ReasoningBack, SchemaForm, SeedForm};
use super::{errors, json as js, mishap, usage};
use crate::domain::chat::{
    ChatEvent, ChatRequest, Effort, Finish, FinishReason, Media, Message, Part, Reasoning, Role, Settings, ToolCall,
    ToolChoice,
};
use crate::domain::model::Thinking;

/// The body of `POST /chat/completions`.
///
/// # Errors
/// A document or image that the row cannot carry, or a document that is only a URL.
pub fn encode(request: &ChatRequest, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let quirks = target.quirks;
    let mut ignored = Vec::new();
    let mut messages = Vec::new();
    let schema_in_words = !target.facts.schema || matches!(quirks.schema, SchemaForm::JsonObject | SchemaForm::Prompt);
    if let Some(system) = js::system(request, schema_in_words) {
        let role = if quirks.developer_role { "developer" } else { "system" };
        messages.push(json!({"role": role, "content": system}));
    }
    for message in &request.messages {
        match message.role {
            Role::User => user(message, quirks, &mut messages)?,
            Role::Assistant => messages.push(assistant(message, quirks)),
        }
    }
    let mut body = json!({"model": target.model, "messages": messages});
    if target.stream {
        body["stream"] = true.into();
        if quirks.stream_options {
            body["stream_options"] = json!({"include_usage": true});
        }
    }
    settings(&mut body, &request.settings, target, &mut ignored);
    tools(&mut body, request);
    for (key, value) in &request.settings.extra {
        js::lay(&mut body, key, value.clone());
    }
    Ok(Encoded { body, headers: Vec::new(), method: "", ignored })
}

/// A user's message; results of tools become messages of their own, before it.
fn user(message: &Message, quirks: &Quirks, messages: &mut Vec<Value>) -> Result<(), EncodeError> {
    let mut content = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text(text) => content.push(json!({"type": "text", "text": text})),
            Part::Image(image) if quirks.images => {
                content.push(json!({"type": "image_url", "image_url": {"url": js::url_of(image)}}));
            }
            Part::Image(_) => return Err(EncodeError("this provider takes no images".into())),
            Part::Document(document) => content.push(file(document, quirks)?),
            Part::Audio(audio) => content.push(sound(audio)?),
            Part::ToolResult(result) => {
                messages.push(json!({"role": "tool", "tool_call_id": result.id, "content": result.content}));
            }
            Part::Reasoning(_) | Part::ToolCall(_) => {}
        }
    }
    messages.extend(js::content(content).map(|content| json!({"role": "user", "content": content})));
    Ok(())
}

fn file(document: &Media, quirks: &Quirks) -> Result<Value, EncodeError> {
    match quirks.documents {
        DocumentForm::File => {}
        DocumentForm::DocumentUrl => {
            let mut part = json!({"type": "document_url", "document_url": js::url_of(document)});
            if let Some(name) = &document.name {
                part["document_name"] = name.clone().into();
            }
            return Ok(part);
        }
        DocumentForm::None => {
            return Err(EncodeError(format!("this provider takes no documents ({})", document.mime)));
        }
    }
    let Some(data) = js::base64_of(document) else {
        return Err(EncodeError("Chat Completions takes documents as files, not as URLs".into()));
    };
    let name = document.name.as_deref().unwrap_or("document.pdf");
    let data = format!("data:{};base64,{data}", document.mime);
    Ok(json!({"type": "file", "file": {"filename": name, "file_data": data}}))
}

fn sound(audio: &Media) -> Result<Value, EncodeError> {
    let format = match audio.mime.as_str() {
        "audio/wav" | "audio/x-wav" => "wav",
        "audio/mpeg" | "audio/mp3" => "mp3",
        other => return Err(EncodeError(format!("Chat Completions takes wav and mp3, not {other}"))),
    };
    let Some(data) = js::base64_of(audio) else {
        return Err(EncodeError("Chat Completions takes audio as files, not as URLs".into()));
    };
    Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
}

fn assistant(message: &Message, quirks: &Quirks) -> Value {
    let mut text = String::new();
    let mut thoughts: Vec<&Reasoning> = Vec::new();
    let mut calls = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Reasoning(block) => thoughts.push(block),
            Part::ToolCall(call) => calls.push(json!({"id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments}})),
            Part::Image(_) | Part::Document(_) | Part::Audio(_) | Part::ToolResult(_) => {}
        }
    }
    let mut turn = json!({"role": "assistant"});
    turn["content"] = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.clone().into() };
    if !calls.is_empty() {
        turn["tool_calls"] = calls.into();
    }
    let thought: String = thoughts.iter().map(|block| block.text.as_str()).collect();
    match quirks.reasoning_back {
        ReasoningBack::Dropped => {}
        ReasoningBack::ReasoningContent if !thought.is_empty() => turn["reasoning_content"] = thought.into(),
        ReasoningBack::ReasoningDetails => {
            let opaque = thoughts.iter().filter_map(|block| block.opaque.as_ref()?.as_array());
            let details: Vec<Value> = opaque.flatten().cloned().collect();
            if !details.is_empty() {
                turn["reasoning_details"] = details.into();
            } else if !thought.is_empty() {
                turn["reasoning"] = thought.into();
            }
        }
        ReasoningBack::ThinkingPart if !thought.is_empty() => {
            turn["content"] = json!([
                {"type": "thinking", "thinking": [{"type": "text", "text": thought}]},
                {"type": "text", "text": text},
            ]);
        }
        ReasoningBack::ReasoningContent | ReasoningBack::ThinkingPart => {}
    }
    turn
}

fn settings(body: &mut Value, settings: &Settings, target: &Target<'_>, ignored: &mut Vec<String>) {
    let (quirks, facts) = (target.quirks, target.facts);
    let mut refused = |what: &str| ignored.push(format!("{} does not take {what}", target.model));
    if let Some(temperature) = settings.temperature {
        if facts.takes_temperature(settings.effort) {
            body["temperature"] = json!(temperature);
        } else {
            refused("temperature");
        }
    }
    if let Some(top_p) = settings.top_p {
        if facts.takes_temperature(settings.effort) { body["top_p"] = json!(top_p) } else { refused("top_p") }
    }
    if let Some(cap) = settings.max_tokens {
        let new_name = quirks.max_completion_tokens || facts.max_completion_tokens;
        body[if new_name { "max_completion_tokens" } else { "max_tokens" }] = cap.into();
    }
    if let Some(seed) = settings.seed {
        match quirks.seed {
            SeedForm::Seed if facts.seed => body["seed"] = seed.into(),
            SeedForm::RandomSeed if facts.seed => body["random_seed"] = seed.into(),
            SeedForm::Seed | SeedForm::RandomSeed | SeedForm::None => refused("a seed"),
        }
    }
    if !settings.stop.is_empty() {
        if quirks.stop && facts.stop { body["stop"] = json!(settings.stop) } else { refused("stop sequences") }
    }
    if let Some(level) = settings.effort {
        let form = if facts.thinking == Thinking::None { EffortForm::None } else { quirks.effort };
        let fields = effort(level, form);
        if fields.is_empty() {
            refused("an effort");
        }
        for (key, value) in fields {
            js::lay(body, key, value);
        }
    }
    if let Some(schema) = &settings.schema {
        match quirks.schema {
            SchemaForm::JsonSchema if !facts.schema => {}
            SchemaForm::JsonSchema => {
                let mut form = json!({"name": schema.name, "schema": schema.schema});
                if js::is_strict(&schema.schema) {
                    form["strict"] = true.into();
                }
                body["response_format"] = json!({"type": "json_schema", "json_schema": form});
            }
            SchemaForm::JsonObject => body["response_format"] = json!({"type": "json_object"}),
            SchemaForm::JsonObjectSchema => {
                body["response_format"] = json!({"type": "json_object", "schema": schema.schema});
            }
            SchemaForm::Prompt => {}
        }
    }
    if settings.cache.is_some() {
        refused("cache points (it caches by itself, or not at all)");
    }
}

/// The fields that say how hard to think, each a dotted path; none where it cannot be said.
fn effort(level: Effort, form: EffortForm) -> Vec<(&'static str, Value)> {
    let on = level != Effort::None;
    let switch = || if on { "enabled" } else { "disabled" }.into();
    match form {
        EffortForm::ReasoningEffort => vec![("reasoning_effort", level.as_str().into())],
        EffortForm::Reasoning => vec![("reasoning.effort", level.as_str().into())],
        EffortForm::ThinkingType => vec![("thinking.type", switch())],
        EffortForm::ThinkingAndEffort if on => {
            vec![("thinking.type", switch()), ("reasoning_effort", level.as_str().into())]
        }
        EffortForm::ThinkingAndEffort => vec![("thinking.type", switch())],
        EffortForm::EnableThinking => vec![("enable_thinking", on.into())],
        EffortForm::TemplateKwargs => vec![("chat_template_kwargs.enable_thinking", on.into())],
        EffortForm::None => Vec::new(),
    }
}

fn tools(body: &mut Value, request: &ChatRequest) {
    if request.tools.is_empty() {
        return;
    }
    body["tools"] = request.tools.iter().map(js::function).collect();
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => body["tool_choice"] = "auto".into(),
        Some(ToolChoice::None) => body["tool_choice"] = "none".into(),
        Some(ToolChoice::Any) => body["tool_choice"] = "required".into(),
        Some(ToolChoice::Named(name)) => {
            body["tool_choice"] = json!({"type": "function", "function": {"name": name}});
        }
    }
}

/// Reads the chunks of a stream, or the one completion of an answer that is not streamed: both have the same frame,
/// with `delta` in the one and `message` in the other.
#[derive(Debug)]
pub struct ChatCompletions {
    quirks: Quirks,
    started: bool,
    /// Tool calls in the making, by their index.
    calls: Vec<(u64, ToolCall)>,
    /// OpenRouter's reasoning blocks as they came, to go back unchanged.
    details: Vec<Value>,
    thought: String,
    finished: bool,
    whole: bool,
    choices_seen: bool,
    reports: usage::Reports,
    skipped: u64,
}

#[derive(serde::Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Lenient<'a>,
    #[serde(borrow, default)]
    model: Lenient<'a>,
    #[serde(borrow, default)]
    object: Lenient<'a>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<XGroq<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    service_tier: Lenient<'a>,
}

#[derive(serde::Deserialize)]
struct XGroq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Choice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Turn<'a>>,
    #[serde(borrow)]
    message: Option<Turn<'a>>,
    #[serde(borrow, default)]
    finish_reason: Lenient<'a>,
    /// Moonshot puts usage here.
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Turn<'a> {
    #[serde(borrow, default)]
    content: Content<'a>,
    #[serde(borrow, default)]
    reasoning_content: Lenient<'a>,
    #[serde(borrow, default)]
    reasoning: Lenient<'a>,
    reasoning_details: Option<Vec<Value>>,
    #[serde(borrow, default)]
    refusal: Lenient<'a>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
    #[serde(borrow)]
    audio: Option<Audio<'a>>,
}

#[derive(serde::Deserialize)]
struct Call<'a> {
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Lenient<'a>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
    #[serde(borrow)]
    custom: Option<Custom<'a>>,
}

#[derive(serde::Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Lenient<'a>,
    /// A text of JSON; some servers send the object itself.
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Custom<'a> {
    #[serde(borrow, default)]
    name: Lenient<'a>,
    #[serde(borrow, default)]
    input: Lenient<'a>,
}

#[derive(serde::Deserialize)]
struct Audio<'a> {
    #[serde(borrow, default)]
    transcript: Lenient<'a>,
}

/// A text where there is one; anything else (null, a number, an object) is none.
#[derive(Default)]
struct Lenient<'a>(Option<Cow<'a, str>>);

impl<'a> Lenient<'a> {
    fn filled(self) -> Option<Cow<'a, str>> {
        self.0.filter(|text| !text.is_empty())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Lenient<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(source)?.get();
        if !raw.starts_with('"') {
            return Ok(Lenient(None));
        }
        // Without an escape the text is borrowed as it stands.
        let inner = &raw[1..raw.len() - 1];
        if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
            return Ok(Lenient(Some(Cow::Borrowed(inner))));
        }
        serde_json::from_str(raw).map(|text| Lenient(Some(Cow::Owned(text)))).map_err(de::Error::custom)
    }
}

/// `content`: a text, or parts of text and thinking (Mistral, Databricks).
#[derive(Default)]
enum Content<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    Parts(Vec<Value>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Content<'de>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a text, a list of parts, or null")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Content<'de>, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content<'de>, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Content<'de>, E> {
                Ok(Content::None)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content<'de>, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = items.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Content<'de>, A::Error> {
                // An answer in JSON mode as an object instead of its text: nothing that promises a form.
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Content::None)
            }
        }
        source.deserialize_any(Reader)
    }
}

impl ChatCompletions {
    #[must_use]
    pub fn new(quirks: &Quirks) -> ChatCompletions {
        ChatCompletions {
            quirks: quirks.clone(),
            started: false,
            calls: Vec::new(),
            details: Vec::new(),
            thought: String::new(),
            finished: false,
            whole: false,
            choices_seen: false,
            reports: usage::openai_reports(),
            skipped: 0,
        }
    }

    fn turn(&mut self, turn: Turn<'_>, out: &mut Vec<ChatEvent>) {
        let shown = turn.reasoning_content.filled().or_else(|| turn.reasoning.filled());
        if let Some(thought) = shown {
            self.thought.push_str(&thought);
            out.push(ChatEvent::Reasoning(thought.into_owned()));
        } else {
            for detail in turn.reasoning_details.iter().flatten() {
                if let Some(text) = detail["text"].as_str().or_else(|| detail["summary"].as_str()) {
                    self.thought.push_str(text);
                    out.push(ChatEvent::Reasoning(text.to_owned()));
                }
            }
        }
        let mut growth = None;
        for detail in turn.reasoning_details.into_iter().flatten() {
            // Sealed thinking holds no text, and comes all the same.
            growth = growth.or(detail["data"].as_str().filter(|data| !data.is_empty()).map(|_| 0));
            self.detail(detail);
        }
        match turn.content {
            Content::None => {}
            Content::Text(text) if text.is_empty() => {}
            Content::Text(text) => {
                self.close_reasoning(out);
                out.push(ChatEvent::Text(text.into_owned()));
            }
            Content::Parts(parts) => self.parts(&parts, out),
        }
        if let Some(refusal) = turn.refusal.filled() {
            out.push(ChatEvent::Refusal(refusal.into_owned()));
        }
        if let Some(transcript) = turn.audio.and_then(|audio| audio.transcript.filled()) {
            out.push(ChatEvent::Note(format!("the answer is audio, which is not played; it says: {transcript}")));
        }
        let before = self.held();
        for call in turn.tool_calls.into_iter().flatten() {
            self.call(call);
        }
        if let Some(function) = turn.function_call {
            let call = self.slot(Some(0), "");
            grow(call, &function);
        }
        let grown = self.held().saturating_sub(before);
        if grown > 0 {
            growth = Some(grown);
        }
        // In a whole answer the calls follow at once.
        out.extend(growth.filter(|_| !self.whole).map(ChatEvent::Growing));
    }

    /// Bytes of the tool calls in the making.
    fn held(&self) -> usize {
        self.calls.iter().map(|(_, call)| call.name.len() + call.arguments.len()).sum()
    }

    /// A reasoning block comes in pieces with one index: they become one block again.
    fn detail(&mut self, piece: Value) {
        let same = |last: &Value| {
            last["type"] == piece["type"] && last["index"] == piece["index"] && !piece["index"].is_null()
        };
        let Some(last) = self.details.last_mut().filter(|last| same(last)) else {
            self.details.push(piece);
            return;
        };
        for key in ["text", "summary", "data"] {
            if let (Some(so_far), Some(more)) = (last[key].as_str(), piece[key].as_str()) {
                last[key] = format!("{so_far}{more}").into();
            }
        }
        for key in ["text", "summary", "data", "signature", "id", "format"] {
            if last[key].is_null() && !piece[key].is_null() {
                last[key] = piece[key].clone();
            }
        }
    }

    fn parts(&mut self, parts: &[Value], out: &mut Vec<ChatEvent>) {
        for part in parts {
            match part["type"].as_str() {
                Some("text" | "output_text") | None => {
                    if let Some(text) = part["text"].as_str().filter(|text| !text.is_empty()) {
                        self.close_reasoning(out);
                        out.push(ChatEvent::Text(text.to_owned()));
                    }
                }
                Some("thinking" | "reasoning") => {
                    for text in texts(&part["thinking"]).chain(texts(&part["summary"])).chain(texts(&part["text"])) {
                        self.thought.push_str(text);
                        out.push(ChatEvent::Reasoning(text.to_owned()));
                    }
                }
                Some("refusal") => {
                    if let Some(text) = part["refusal"].as_str() {
                        out.push(ChatEvent::Refusal(text.to_owned()));
                    }
                }
                // References and images: no text of the answer.
                Some(_) => {}
            }
        }
    }

    fn call(&mut self, call: Call<'_>) {
        let id = call.id.filled().unwrap_or_default();
        let slot = self.slot(call.index, &id);
        if let Some(function) = call.function {
            grow(slot, &function);
        }
        if let Some(custom) = call.custom {
            if let Some(name) = custom.name.filled() {
                slot.name = name.into_owned();
            }
            slot.arguments.push_str(&custom.input.filled().unwrap_or_default());
        }
    }

    /// The call in the making that a piece belongs to: the one with its index; without an index (some servers), the
    /// last one, unless a new id begins a new call. Some servers repeat index 0 with each new id: the id decides.
    fn slot(&mut self, index: Option<u64>, id: &str) -> &mut ToolCall {
        let place = match index {
            Some(index) => self
                .calls
                .iter()
                .rposition(|(at, call)| *at == index && (id.is_empty() || call.id.is_empty() || call.id == id)),
            None if id.is_empty() && !self.calls.is_empty() && !self.whole => Some(self.calls.len() - 1),
            None => self.calls.iter().position(|(_, call)| !id.is_empty() && call.id == id),
        };
        let place = place.unwrap_or_else(|| {
            let next = self.calls.len();
            self.calls.push((index.unwrap_or(next as u64), ToolCall::default()));
            next
        });
        let call = &mut self.calls[place].1;
        if !id.is_empty() {
            id.clone_into(&mut call.id);
        }
        call
    }

    /// Thinking is over: hands it over whole where the provider wants it back as it came.
    fn close_reasoning(&mut self, out: &mut Vec<ChatEvent>) {
        if self.details.is_empty() {
            self.thought.clear();
            return;
        }
        out.push(ChatEvent::ReasoningDone(Reasoning {
            text: std::mem::take(&mut self.thought),
            opaque: Some(std::mem::take(&mut self.details).into()),
            ..Reasoning::default()
        }));
    }

    fn hand_over_calls(&mut self, out: &mut Vec<ChatEvent>) {
        self.close_reasoning(out);
        out.extend(self.calls.drain(..).map(|(_, call)| ChatEvent::ToolCall(call)));
    }

    fn usage(
        &mut self,
        raw: Option<&RawValue>,
        tier: Option<&str>,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), DecodeError> {
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
            return Ok(());
        };
        if !self.reports.add(js::parse(raw.get())?) {
            return Ok(());
        }
        let mut usage = usage::openai(self.reports.all(), &self.quirks);
        usage.warnings.extend(self.reports.shrunk());
        usage.service_tier = tier.map(str::to_owned);
        out.push(ChatEvent::Usage(usage));
        Ok(())
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let alone = value.as_str();
    let listed = value.as_array().into_iter().flatten().filter_map(|item| item["text"].as_str());
    alone.into_iter().chain(listed)
}

fn grow(call: &mut ToolCall, function: &Function<'_>) {
    if let Some(name) = function.name.0.as_deref().filter(|name| !name.is_empty()) {
        // A name comes once; a server that repeats it with each piece must not double it.
        name.clone_into(&mut call.name);
    }
    let Some(arguments) = function.arguments.map(RawValue::get) else {
        return;
    };
    match serde_json::from_str::<String>(arguments) {
        Ok(text) => call.arguments.push_str(&text),
        Err(_) if arguments == "null" => {}
        Err(_) => call.arguments.push_str(arguments),
    }
}

impl Decoder for ChatCompletions {
    fn frame(&mut self, event: &str, data: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let chunk: Chunk<'_> = js::parse(data)?;
        let before = out.len();
        let error = mishap::said(chunk.error.or_else(|| chunk.x_groq.as_ref().and_then(|groq| groq.error)));
        let mut failed = (error.is_some() || event == "error").then_some(data);
        if !self.started && (chunk.id.0.is_some() || chunk.model.0.is_some()) {
            let (id, model) = (chunk.id.filled(), chunk.model.filled());
            self.started = model.is_some();
            out.push(ChatEvent::Started { id: id.map(Cow::into_owned), model: model.map(Cow::into_owned) });
        }
        let is_completion = chunk.object.0.as_deref() == Some("chat.completion");
        let has_choices = chunk.choices.is_some();
        let says_nothing = !has_choices && chunk.usage.is_none() && chunk.x_groq.is_none() && failed.is_none();
        self.skipped += u64::from(says_nothing);
        let mut inner_usage = None;
        for choice in chunk.choices.into_iter().flatten() {
            self.choices_seen = true;
            if choice.index.unwrap_or(0) != 0 {
                continue;
            }
            failed = failed.or(mishap::said(choice.error).map(RawValue::get));
            inner_usage = choice.usage.or(inner_usage);
            // Some servers send both, a delta in what is whole and the message so far in a stream: the object says which.
            let whole = choice.message.is_some() && (choice.delta.is_none() || is_completion);
            self.whole |= whole;
            // A null finish reason is none; an empty one is one only where the answer is whole (Snowflake).
            let reason = choice.finish_reason.0.filter(|reason| !reason.is_empty() || whole);
            if let Some(turn) = if whole { choice.message } else { choice.delta } {
                self.turn(turn, out);
            }
            if let Some(reason) = reason
                && !self.finished
            {
                if failed.is_none() {
                    self.hand_over_calls(out);
                }
                self.finished = true;
                out.push(ChatEvent::Finished(finish(&reason)));
            }
        }
        if self.whole {
            self.hand_over_calls(out);
        }
        let groq_usage = chunk.x_groq.and_then(|groq| groq.usage);
        self.usage(chunk.usage.or(groq_usage).or(inner_usage), chunk.service_tier.0.as_deref(), out)?;
        if failed.is_none() && !has_choices && !self.choices_seen && self.looks_like_an_error(data) {
            failed = Some(data);
        }
        match failed {
            Some(error) => Err(self.refusal(error, before, out)),
            None => Ok(()),
        }
    }

    fn end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        self.close_reasoning(out);
        if self.finished || self.whole {
            self.hand_over_calls(out);
            return Ok(());
        }
        if !self.choices_seen {
            return Err(DecodeError::Cut("the answer holds no choice".into()));
        }
        // A call whose arguments are whole was meant; half of one is nothing that can be called.
        self.calls.retain(|(_, call)| call.parsed().is_some());
        self.hand_over_calls(out);
        Err(DecodeError::Cut("the stream ended without a finish reason".into()))
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn is_finished(&self) -> bool {
        self.finished
    }
}

impl ChatCompletions {
    /// The provider's error inside a 200. What came before it stays, and so does what came beside it: `out` from `before` on.
    fn refusal(&mut self, data: &str, before: usize, out: &mut Vec<ChatEvent>) -> DecodeError {
        // Half of a call is nothing that can be called.
        self.calls.clear();
        self.close_reasoning(out);
        mishap::settle(out, before);
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        match errors::from_value(None, &value) {
            Some(error) => DecodeError::Api(error),
            None => DecodeError::Malformed("an error event without words".into()),
        }
    }

    /// A body without choices that says something is wrong in a form of its own (`{"message": …}`, `{"detail": …}`).
    fn looks_like_an_error(&self, data: &str) -> bool {
        serde_json::from_str::<Value>(data)
            .is_ok_and(|value| ["message", "detail", "Message", "errors"].iter().any(|key| !value[*key].is_null()))
    }
}

fn finish(raw: &str) -> Finish {
    let reason = match raw {
        "stop" | "eos" | "end_turn" | "" | "completed" | "COMPLETE" => FinishReason::Stop,
        "length" | "max_tokens" | "model_length" | "max_output_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "safety" | "SAFETY" | "sensitive" => FinishReason::ContentFilter,
        "refusal" => FinishReason::Refusal,
        "stop_sequence" => FinishReason::StopSequence,
        _ => FinishReason::Other,
    };
    Finish { reason, raw: raw.to_owned(), detail: None }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::encode;
    use crate::domain::chat::{ChatRequest, Effort, Media, MediaSource, Message, Part, Role, Settings};
    use crate::domain::model::{ModelFacts, Thinking};
    use crate::wire::contract::{Encoded, Target};
    use crate::wire::quirks::{DocumentForm, EffortForm, Quirks};

    fn encoded(parts: Vec<Part>, settings: Settings, quirks: &Quirks, facts: &ModelFacts) -> Encoded {
        let request =
            ChatRequest { messages: vec![Message { role: Role::User, parts }], settings, ..ChatRequest::default() };
        let target = Target { model: "m", quirks, facts, stream: false };
        encode(&request, &target).expect("the row has a form for it")
    }

    fn asked(effort: Effort, quirks: &Quirks, facts: &ModelFacts) -> Encoded {
        let settings = Settings { effort: Some(effort), temperature: Some(0.5), ..Settings::default() };
        encoded(vec![Part::Text("Hi".into())], settings, quirks, facts)
    }

    #[test]
    fn where_switch_and_effort_are_two_fields_both_are_said() {
        let quirks = Quirks { effort: EffortForm::ThinkingAndEffort, ..Quirks::default() };
        let body = asked(Effort::Low, &quirks, &ModelFacts::default()).body;
        assert_eq!((&body["thinking"], &body["reasoning_effort"]), (&json!({"type": "enabled"}), &json!("low")));
        let body = asked(Effort::None, &quirks, &ModelFacts::default()).body;
        assert_eq!((&body["thinking"], &body["reasoning_effort"]), (&json!({"type": "disabled"}), &Value::Null));
    }

    #[test]
    fn a_model_that_cannot_be_told_how_hard_to_think_is_not_told_and_the_user_is() {
        let facts = ModelFacts { thinking: Thinking::None, ..ModelFacts::default() };
        let encoded = asked(Effort::High, &Quirks::default(), &facts);
        assert_eq!(encoded.body["reasoning_effort"], Value::Null);
        assert_eq!(encoded.ignored, ["m does not take an effort"]);
    }

    #[test]
    fn temperature_goes_beside_the_effort_none_where_only_that_is_allowed() {
        let facts = ModelFacts { temperature: false, temperature_at_none: true, ..ModelFacts::default() };
        assert_eq!(asked(Effort::None, &Quirks::default(), &facts).body["temperature"], json!(0.5));
        let thinking = asked(Effort::Low, &Quirks::default(), &facts);
        assert_eq!(thinking.body["temperature"], Value::Null);
        assert_eq!(thinking.ignored, ["m does not take temperature"]);
    }

    #[test]
    fn a_document_goes_as_a_url_where_that_is_the_form() {
        let document = Media {
            mime: "application/pdf".into(),
            source: MediaSource::Bytes(b"%PDF".to_vec()),
            name: Some("a.pdf".into()),
        };
        let quirks = Quirks { documents: DocumentForm::DocumentUrl, ..Quirks::default() };
        let body = encoded(vec![Part::Document(document)], Settings::default(), &quirks, &ModelFacts::default()).body;
        let part = json!({
            "type": "document_url", "document_url": "data:application/pdf;base64,JVBERg==", "document_name": "a.pdf",
        });
        assert_eq!(body["messages"][0]["content"], json!([part]));
    }
}
