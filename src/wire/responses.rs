//! OpenAI Responses, and all who imitate it.
//!
//! Shape: <https://platform.openai.com/docs/api-reference/responses> and its streaming events, by the types of
//! openai-python and <https://api-docs.deepseek.com/guides/responses_api> (read 2026-11-22). Departures are [`Quirks`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::contract::{ApiError, DecodeError, Decoder, EncodeError, Encoded, Target};
use super::quirks::{DocumentForm, Quirks, SchemaForm};
use super::{errors, json as js, usage};
use crate::domain::chat::{
    ChatEvent, ChatRequest, Finish, FinishReason, Media, Message, Part, Reasoning, Role, Schema, Settings, Tool,
    ToolCall, ToolChoice,
};
use crate::domain::failure::ErrorClass;
use crate::domain::model::Thinking;
use crate::domain::usage::{Meter, Usage};

/// The body of `POST /responses`.
///
/// # Errors
/// An attachment that the API or the row cannot carry: nothing may be sent without it.
pub fn encode(request: &ChatRequest, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let mut ignored = Vec::new();
    let mut input = Vec::new();
    for message in &request.messages {
        match message.role {
            Role::User => user(message, target.quirks, &mut input)?,
            Role::Assistant => assistant(message, target, &mut input),
        }
    }
    let mut body = json!({"model": target.model});
    if let Some(instructions) = js::system(request, !takes_schema(target)) {
        body["instructions"] = instructions.into();
    }
    body["input"] = input.into();
    if target.stream {
        body["stream"] = true.into();
    }
    if target.quirks.store_false {
        body["store"] = false.into();
    }
    // Only a model that thinks has thinking to seal.
    if target.quirks.encrypted_reasoning && thinks(target) {
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    settings(&mut body, &request.settings, target, &mut ignored);
    tools(&mut body, request);
    for (key, value) in &request.settings.extra {
        js::lay(&mut body, key, value.clone());
    }
    Ok(Encoded { body, headers: Vec::new(), method: "", ignored })
}

fn thinks(target: &Target<'_>) -> bool {
    target.facts.thinking != Thinking::None
}

fn takes_schema(target: &Target<'_>) -> bool {
    target.facts.schema && target.quirks.schema == SchemaForm::JsonSchema
}

/// A user's message; results of tools are items of their own, before it.
fn user(message: &Message, quirks: &Quirks, input: &mut Vec<Value>) -> Result<(), EncodeError> {
    let mut content = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text(text) => content.push(json!({"type": "input_text", "text": text})),
            Part::Image(image) if quirks.images => {
                content.push(json!({"type": "input_image", "image_url": js::url_of(image)}));
            }
            Part::Image(_) => return Err(EncodeError("this provider takes no images".into())),
            Part::Document(document) => content.push(file(document, quirks)?),
            Part::Audio(_) => return Err(EncodeError("Responses takes no audio".into())),
            Part::ToolResult(result) => {
                input.push(json!({"type": "function_call_output", "call_id": result.id, "output": result.content}));
            }
            Part::Reasoning(_) | Part::ToolCall(_) => {}
        }
    }
    match content.as_slice() {
        [] => {}
        [only] if only["type"] == "input_text" => input.push(json!({"role": "user", "content": only["text"]})),
        _ => input.push(json!({"role": "user", "content": content})),
    }
    Ok(())
}

fn file(document: &Media, quirks: &Quirks) -> Result<Value, EncodeError> {
    if quirks.documents == DocumentForm::None {
        return Err(EncodeError(format!("this provider takes no documents ({})", document.mime)));
    }
    if js::base64_of(document).is_none() {
        return Ok(json!({"type": "input_file", "file_url": js::url_of(document)}));
    }
    let name = document.name.as_deref().unwrap_or("document.pdf");
    Ok(json!({"type": "input_file", "filename": name, "file_data": js::url_of(document)}))
}

/// An assistant's turn: thinking, text and calls as items, in the order in which they came.
fn assistant(message: &Message, target: &Target<'_>, input: &mut Vec<Value>) {
    let mut text = String::new();
    let say = |text: &mut String, input: &mut Vec<Value>| {
        if !text.is_empty() {
            let content = json!([{"type": "output_text", "text": std::mem::take(text)}]);
            input.push(json!({"type": "message", "role": "assistant", "content": content}));
        }
    };
    for part in &message.parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Reasoning(block) => {
                if let Some(item) = reasoning(block).filter(|_| thinks(target)) {
                    say(&mut text, input);
                    input.push(item);
                }
            }
            Part::ToolCall(call) => {
                say(&mut text, input);
                input.push(json!({"type": "function_call", "call_id": call.id, "name": call.name,
                    "arguments": call.arguments}));
            }
            Part::Image(_) | Part::Document(_) | Part::Audio(_) | Part::ToolResult(_) => {}
        }
    }
    say(&mut text, input);
}

/// The item that takes a block of thinking back, or `None` for one that did not come from this API or that the server
/// could not read again: a bare summary means nothing to a server that stored nothing.
fn reasoning(block: &Reasoning) -> Option<Value> {
    // Only this API gives its blocks an id; another's signature would be refused.
    let id = block.id.as_ref()?;
    let mut item = Map::new();
    item.insert("type".into(), "reasoning".into());
    if let Some(Value::Object(rest)) = &block.opaque {
        item.extend(rest.clone());
    }
    let summary = if block.text.is_empty() || item.contains_key("content") {
        json!([])
    } else {
        json!([{"type": "summary_text", "text": block.text}])
    };
    item.entry("summary").or_insert(summary);
    match &block.signature {
        // Without its id: an id binds the item to the one that followed it, by an id that messages do not keep
        // ("provided without its required following item").
        Some(sealed) => item.insert("encrypted_content".into(), sealed.clone().into()),
        None if item.contains_key("content") => item.insert("id".into(), id.clone().into()),
        None => return None,
    };
    Some(item.into())
}

fn settings(body: &mut Value, settings: &Settings, target: &Target<'_>, ignored: &mut Vec<String>) {
    let facts = target.facts;
    let mut refused = |what: &str| ignored.push(format!("{} does not take {what}", target.model));
    if let Some(temperature) = settings.temperature {
        if facts.takes_temperature(settings.effort) {
            body["temperature"] = json!(temperature)
        } else {
            refused("temperature")
        }
    }
    if let Some(top_p) = settings.top_p {
        if facts.takes_temperature(settings.effort) { body["top_p"] = json!(top_p) } else { refused("top_p") }
    }
    if let Some(cap) = settings.max_tokens {
        body["max_output_tokens"] = cap.into();
    }
    if settings.seed.is_some() {
        refused("a seed in the Responses API");
    }
    if !settings.stop.is_empty() {
        refused("stop sequences in the Responses API");
    }
    if let Some(level) = settings.effort {
        if thinks(target) { body["reasoning"] = json!({"effort": level.as_str()}) } else { refused("an effort") }
    }
    // Only for one who wants to see the thinking: OpenAI refuses the whole call of an organization that is not verified
    // when a summary is asked for (continuedev/continue#9607, read 2026-11-22).
    if settings.show_reasoning && thinks(target) {
        js::lay(body, "reasoning.summary", "auto".into());
    }
    if let Some(schema) = &settings.schema {
        match target.quirks.schema {
            SchemaForm::JsonSchema if facts.schema => body["text"] = json!({"format": schema_format(schema)}),
            SchemaForm::JsonObject | SchemaForm::JsonObjectSchema => {
                body["text"] = json!({"format": {"type": "json_object"}});
            }
            SchemaForm::JsonSchema | SchemaForm::Prompt => {}
        }
    }
    if settings.cache.is_some() {
        refused("cache points (it caches by itself, or not at all)");
    }
}

fn schema_format(schema: &Schema) -> Value {
    let mut format = json!({"type": "json_schema", "name": schema.name, "schema": schema.schema});
    if js::is_strict(&schema.schema) {
        format["strict"] = true.into();
    }
    format
}

fn tools(body: &mut Value, request: &ChatRequest) {
    if request.tools.is_empty() {
        return;
    }
    body["tools"] = request.tools.iter().map(tool).collect();
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => body["tool_choice"] = "auto".into(),
        Some(ToolChoice::None) => body["tool_choice"] = "none".into(),
        Some(ToolChoice::Any) => body["tool_choice"] = "required".into(),
        Some(ToolChoice::Named(name)) => body["tool_choice"] = json!({"type": "function", "name": name}),
    }
}

fn tool(tool: &Tool) -> Value {
    let mut form = json!({"type": "function", "name": tool.name});
    if let Some(description) = &tool.description {
        form["description"] = description.clone().into();
    }
    form["parameters"] = tool.parameters.clone();
    // Always said: where it is left out, this API makes the schema strict if it can, and optional arguments required
    // (<https://docs.apiyi.com/en/api-capabilities/openai/function-calling>, read 2026-11-22).
    form["strict"] = js::is_strict(&tool.parameters).into();
    form
}

/// Reads the events of a stream, or the one response of an answer that is not streamed: the last event of a stream
/// holds the same object.
#[derive(Debug)]
pub struct Responses {
    quirks: Quirks,
    /// What [`ChatEvent::Started`] said last.
    started: (Option<String>, Option<String>),
    /// The items of the answer, in the order in which they were opened.
    items: Vec<Item>,
    /// The item whose thinking was shown last, while nothing else has been shown since.
    thinking: Option<usize>,
    refused: bool,
    called: bool,
    /// Web searches that are billed.
    searches: u64,
    finished: bool,
    skipped: u64,
}

/// One item of `output`, as far as it has come.
#[derive(Debug, Default)]
struct Item {
    /// `output_index`, where the server gives one.
    index: Option<u64>,
    kind: String,
    /// What its deltas have brought: text, thinking, or arguments.
    came: String,
    refusal: String,
    call: ToolCall,
    done: bool,
}

/// One event. Each field is read only where its event is known, so that an unknown one can hold anything.
#[derive(serde::Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    output_index: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

/// The text that a value is; anything else (null, a number, an object) is none.
fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = raw?.get();
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    // Without an escape the text is borrowed as it stands.
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).ok().map(Cow::Owned)
}

fn value(raw: Option<&RawValue>) -> Result<Value, DecodeError> {
    raw.map_or(Ok(Value::Null), |raw| js::parse(raw.get()))
}

impl Responses {
    #[must_use]
    pub fn new(quirks: &Quirks) -> Responses {
        Responses {
            quirks: quirks.clone(),
            started: (None, None),
            items: Vec::new(),
            thinking: None,
            refused: false,
            called: false,
            searches: 0,
            finished: false,
            skipped: 0,
        }
    }

    fn event(&mut self, kind: &str, frame: &Frame<'_>, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let index = frame.output_index.and_then(|index| index.get().parse().ok());
        let delta = || text(frame.delta).unwrap_or_default();
        match kind {
            "response.created" | "response.queued" | "response.in_progress" => {
                self.start(&value(frame.response)?, out);
            }
            "response.output_item.added" => {
                let item = value(frame.item)?;
                let at = self.open(index, &item, out);
                let call = &self.items[at].call;
                grow(call.name.len() + call.arguments.len(), out);
            }
            "response.output_text.delta" => self.text(index, &delta(), out),
            "response.refusal.delta" => self.refusal(index, &delta(), out),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.thought(index, &delta(), out);
            }
            "response.function_call_arguments.delta" => self.arguments(index, "function_call", &delta(), None, out),
            "response.custom_tool_call_input.delta" => self.arguments(index, "custom_tool_call", &delta(), None, out),
            "response.function_call_arguments.done" => {
                self.arguments(index, "function_call", "", text(frame.arguments), out);
            }
            "response.custom_tool_call_input.done" => {
                self.arguments(index, "custom_tool_call", "", text(frame.input), out);
            }
            "response.output_item.done" => {
                let item = value(frame.item)?;
                let at = match self.find(index, word(&item["type"])) {
                    Some(at) => at,
                    None => self.open(index, &item, out),
                };
                self.close(at, &item, out);
            }
            // Everything else repeats what came, or tells how far a tool of the provider is.
            _ => {}
        }
        Ok(())
    }

    /// Says who answers, again where the final response names another model than the first event.
    fn start(&mut self, response: &Value, out: &mut Vec<ChatEvent>) {
        let filled = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let (id, model) = (filled(&response["id"]), filled(&response["model"]));
        let now = (id.or(self.started.0.clone()), model.or(self.started.1.clone()));
        if now != self.started {
            self.started.clone_from(&now);
            out.push(ChatEvent::Started { id: now.0, model: now.1 });
        }
    }

    /// The open item at this place. Some servers give every item the same index, so the kind and the youth count too.
    fn find(&self, index: Option<u64>, kind: &str) -> Option<usize> {
        self.items.iter().rposition(|item| !item.done && item.kind == kind && (index.is_none() || item.index == index))
    }

    /// The open item at this place, made where the server never announced it.
    fn place(&mut self, index: Option<u64>, kind: &str) -> usize {
        self.find(index, kind).unwrap_or_else(|| {
            self.items.push(Item { index, kind: kind.to_owned(), ..Item::default() });
            self.items.len() - 1
        })
    }

    fn open(&mut self, index: Option<u64>, item: &Value, out: &mut Vec<ChatEvent>) -> usize {
        let kind = word(&item["type"]);
        match kind {
            "message" | "reasoning" | "function_call" | "custom_tool_call" | "" => {}
            tool => out.push(ChatEvent::ServerTool(tool.to_owned())),
        }
        self.items.push(Item { index, kind: kind.to_owned(), call: call(item), ..Item::default() });
        self.items.len() - 1
    }

    fn text(&mut self, index: Option<u64>, piece: &str, out: &mut Vec<ChatEvent>) {
        if piece.is_empty() {
            return;
        }
        let at = self.place(index, "message");
        self.items[at].came.push_str(piece);
        self.thinking = None;
        out.push(ChatEvent::Text(piece.to_owned()));
    }

    fn refusal(&mut self, index: Option<u64>, piece: &str, out: &mut Vec<ChatEvent>) {
        if piece.is_empty() {
            return;
        }
        let at = self.place(index, "message");
        self.items[at].refusal.push_str(piece);
        self.refused = true;
        out.push(ChatEvent::Refusal(piece.to_owned()));
    }

    fn thought(&mut self, index: Option<u64>, piece: &str, out: &mut Vec<ChatEvent>) {
        if piece.is_empty() {
            return;
        }
        let at = self.place(index, "reasoning");
        self.items[at].came.push_str(piece);
        self.thinking = Some(at);
        out.push(ChatEvent::Reasoning(piece.to_owned()));
    }

    fn arguments(
        &mut self,
        index: Option<u64>,
        kind: &str,
        piece: &str,
        whole: Option<Cow<'_, str>>,
        out: &mut Vec<ChatEvent>,
    ) {
        let at = self.place(index, kind);
        let item = &mut self.items[at];
        let before = item.came.len().max(item.call.arguments.len());
        item.came.push_str(piece);
        if let Some(whole) = whole.filter(|whole| !whole.is_empty()) {
            item.call.arguments = whole.into_owned();
        }
        grow(item.came.len().max(item.call.arguments.len()).saturating_sub(before), out);
    }

    /// Takes an item whole: says what its deltas have not said.
    fn close(&mut self, at: usize, item: &Value, out: &mut Vec<ChatEvent>) {
        self.items[at].done = true;
        match self.items[at].kind.as_str() {
            "message" => self.close_message(at, item, out),
            "reasoning" => self.close_reasoning(at, item, out),
            "function_call" | "custom_tool_call" => {
                let now = call(item);
                let call = &mut self.items[at].call;
                for (held, now) in
                    [(&mut call.id, now.id), (&mut call.name, now.name), (&mut call.arguments, now.arguments)]
                {
                    if !now.is_empty() {
                        *held = now;
                    }
                }
                self.hand_over_call(at, out);
            }
            "web_search_call" if is_billed_search(item) => self.searches += 1,
            "image_generation_call" => {
                out.push(ChatEvent::Note("the answer holds an image, which is not shown".into()));
            }
            _ => {}
        }
    }

    fn close_message(&mut self, at: usize, item: &Value, out: &mut Vec<ChatEvent>) {
        let parts = || item["content"].as_array().into_iter().flatten();
        let text: String = match &item["content"] {
            Value::String(text) => text.clone(),
            _ => parts().filter_map(|part| part["text"].as_str()).collect(),
        };
        let refusal: String = parts().filter_map(|part| part["refusal"].as_str()).collect();
        let held = &self.items[at];
        let (text, refusal) = (unsaid(&text, &held.came), unsaid(&refusal, &held.refusal));
        if !text.is_empty() {
            self.thinking = None;
            out.push(ChatEvent::Text(text.to_owned()));
        }
        if !refusal.is_empty() {
            self.refused = true;
            out.push(ChatEvent::Refusal(refusal.to_owned()));
        }
    }

    fn close_reasoning(&mut self, at: usize, item: &Value, out: &mut Vec<ChatEvent>) {
        let texts = |key: &str| item[key].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
        let mut text: String = texts("summary").chain(texts("content")).collect();
        if text.is_empty() {
            text.clone_from(&self.items[at].came);
        }
        let filled = |key: &str| item[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let signature = filled("encrypted_content");
        if text.is_empty() && signature.is_none() {
            return;
        }
        // What was shown and then left behind by other output cannot be replaced any more: it must not stand twice.
        let left_behind = !self.items[at].came.is_empty() && self.thinking != Some(at);
        self.thinking = None;
        let mut rest = item.as_object().cloned().unwrap_or_default();
        rest.retain(|key, value| {
            !matches!(key.as_str(), "type" | "id" | "status" | "encrypted_content") && !value.is_null()
        });
        // An empty list says nothing; `summary` is put back where the item is sent again.
        rest.retain(|_, value| value.as_array().is_none_or(|parts| !parts.is_empty()));
        out.push(ChatEvent::ReasoningDone(Reasoning {
            text: if left_behind { String::new() } else { text },
            signature,
            id: filled("id"),
            opaque: (!rest.is_empty()).then(|| rest.into()),
            ..Reasoning::default()
        }));
    }

    fn hand_over_call(&mut self, at: usize, out: &mut Vec<ChatEvent>) {
        let item = &mut self.items[at];
        item.done = true;
        let mut call = std::mem::take(&mut item.call);
        if call.arguments.is_empty() {
            call.arguments = std::mem::take(&mut item.came);
        }
        self.thinking = None;
        self.called = true;
        out.push(ChatEvent::ToolCall(call));
    }

    /// Takes the final response, of which a stream has said most before: says the rest, the usage and the end.
    fn finish(&mut self, response: &Value, state: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        self.finished = true;
        self.start(response, out);
        let status = response["status"].as_str().filter(|status| !status.is_empty()).unwrap_or(state);
        let failed = status == "failed" || !word(&response["error"]["message"]).is_empty();
        self.rest(response, out);
        if !failed {
            self.unfinished_calls(false, out);
        }
        if let Some(usage) = self.usage(response) {
            out.push(ChatEvent::Usage(usage));
        }
        if matches!(status, "queued" | "in_progress") {
            out.push(ChatEvent::Note(format!("the answer is not made yet: the response is {status}")));
        }
        // The end is told even of a failure: its word is the provider's, and so is the error that follows.
        let detail = response["incomplete_details"]["reason"].as_str().map(str::to_owned);
        let reason = self.reason(status, detail.as_deref());
        out.push(ChatEvent::Finished(Finish { reason, raw: status.to_owned(), detail }));
        if failed { Err(DecodeError::Api(failure(response))) } else { Ok(()) }
    }

    /// The items of the final response that the stream did not bring to their end. The n-th of a kind here is the n-th
    /// of that kind in the stream: some servers give an item another id in every event, or leave some out at the end.
    fn rest(&mut self, response: &Value, out: &mut Vec<ChatEvent>) {
        let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, item) in self.items.iter().enumerate().rev() {
            seen.entry(item.kind.clone()).or_default().push(at);
        }
        for item in response["output"].as_array().into_iter().flatten() {
            let at = match seen.get_mut(word(&item["type"])).and_then(Vec::pop) {
                Some(at) => at,
                None => self.open(None, item, out),
            };
            if !self.items[at].done {
                self.close(at, item, out);
            }
        }
    }

    /// Calls that no event brought to their end: all of them, or only those whose arguments are known to be whole.
    fn unfinished_calls(&mut self, only_whole: bool, out: &mut Vec<ChatEvent>) {
        for at in 0..self.items.len() {
            let item = &self.items[at];
            if !matches!(item.kind.as_str(), "function_call" | "custom_tool_call") || item.done {
                continue;
            }
            let is_whole = !item.call.arguments.is_empty();
            if !item.call.name.is_empty() && (is_whole || !only_whole) {
                self.hand_over_call(at, out);
            }
        }
    }

    fn usage(&self, response: &Value) -> Option<Usage> {
        let raw = &response["usage"];
        if raw.as_object().is_none_or(Map::is_empty) {
            return None;
        }
        let mut usage = usage::openai(raw, &self.quirks);
        usage.service_tier = response["service_tier"].as_str().map(str::to_owned);
        // OpenAI counts them here as well, xAI in its usage. The larger count is taken: none that is billed may be missing.
        let counted = [
            &response["tool_usage"]["web_search"]["num_requests"],
            &raw["server_side_tool_usage_details"]["web_search_calls"],
        ];
        let mut searches = self.searches;
        for stated in counted.into_iter().filter(|stated| stated.is_number()) {
            match usage::number(stated) {
                Some(count) => searches = searches.max(count),
                None => {
                    usage.rejected = true;
                    usage.warnings.insert(0, format!("usage: the searches are no count: {}", usage::stated(stated)));
                }
            }
        }
        if searches > 0 {
            usage.set(Meter::WebSearch, searches);
        }
        for kind in BILLED_BY_USE {
            let uses = self.items.iter().filter(|item| item.kind == *kind).count();
            if uses > 0 {
                usage.remarks.push(format!("{kind} ({uses}) may be billed beside the tokens and is not counted"));
            }
        }
        Some(usage)
    }

    fn reason(&self, status: &str, detail: Option<&str>) -> FinishReason {
        match (status, detail) {
            ("completed", _) if self.refused => FinishReason::Refusal,
            ("completed", _) if self.called => FinishReason::ToolCalls,
            ("completed", _) => FinishReason::Stop,
            ("incomplete", Some("max_output_tokens" | "max_tokens" | "length")) => FinishReason::Length,
            ("incomplete", Some("content_filter")) => FinishReason::ContentFilter,
            _ => FinishReason::Other,
        }
    }

    /// A frame that is no event of this API: a whole response, an error in a form of its own, or nothing to us.
    fn untyped(&mut self, event: &str, data: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let value: Value = js::parse(data)?;
        let object = value["object"].as_str();
        if object == Some("response") || object.is_none() && value["output"].is_array() {
            return self.finish(&value, "completed", out);
        }
        let says = |keys: &[&str]| keys.iter().any(|key| !value[*key].is_null());
        if says(&["error"]) || !is_foreign(event) && says(&["message", "detail", "Message", "errors"]) {
            return Err(refusal(&value));
        }
        match object {
            Some(other) => Err(DecodeError::Malformed(format!("it is a {other:?}, not a response"))),
            None => {
                self.skipped += 1;
                Ok(())
            }
        }
    }
}

/// Whether an event has a name that this API does not use: a router's `ping`, whose data need not even be JSON.
fn is_foreign(event: &str) -> bool {
    !matches!(event, "" | "message" | "error") && !event.starts_with("response.")
}

/// Tools of the provider that have a price of their own, beside the tokens of the model
/// (<https://ngrok.com/docs/ai-gateway/concepts/hosted-tools>, read 2026-11-22) and no meter yet.
const BILLED_BY_USE: &[&str] = &["file_search_call", "code_interpreter_call", "image_generation_call"];

/// Of the actions of a web search only the search itself costs: opening a page and finding in it do not (OpenAI's guide,
/// quoted at <https://community.openai.com/t/1365861>, read 2026-11-22). Older items name no action.
fn is_billed_search(item: &Value) -> bool {
    item["action"]["type"].as_str().is_none_or(|action| action == "search")
}

fn grow(bytes: usize, out: &mut Vec<ChatEvent>) {
    out.extend((bytes > 0).then_some(ChatEvent::Growing(bytes)));
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The call in a `function_call` or a `custom_tool_call`; empty in any other item.
fn call(item: &Value) -> ToolCall {
    let arguments = match &item["arguments"] {
        Value::String(arguments) => arguments.clone(),
        Value::Null => word(&item["input"]).to_owned(),
        // Some servers send the object itself.
        other => other.to_string(),
    };
    let id = if item["call_id"].is_string() { &item["call_id"] } else { &item["id"] };
    ToolCall { id: word(id).to_owned(), name: word(&item["name"]).to_owned(), arguments, signature: None }
}

/// What of a whole text has not been said yet. Where the two do not fit together, what was said stands.
fn unsaid<'a>(whole: &'a str, said: &str) -> &'a str {
    whole.strip_prefix(said).unwrap_or_default()
}

/// Why a response failed.
fn failure(response: &Value) -> ApiError {
    let stated = errors::from_value(None, &json!({"error": response["error"]}));
    stated.filter(|error| !error.message.is_empty()).unwrap_or_else(|| ApiError {
        class: ErrorClass::Overloaded,
        message: "the response failed, and does not say why".into(),
        kind: None,
        code: None,
        retry_after_ms: None,
    })
}

/// The provider's error inside a 200.
fn refusal(value: &Value) -> DecodeError {
    match errors::from_value(None, value) {
        Some(error) => DecodeError::Api(error),
        None => DecodeError::Malformed("an error event without words".into()),
    }
}

impl Decoder for Responses {
    fn frame(&mut self, event: &str, data: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        if self.finished {
            return Ok(());
        }
        let frame: Frame<'_> = match js::parse(data) {
            Ok(frame) => frame,
            Err(_) if event == "error" => return Err(refusal(&data.into())),
            Err(_) if is_foreign(event) => {
                self.skipped += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let kind = text(frame.kind).unwrap_or(Cow::Borrowed(event));
        match kind.as_ref() {
            "response.completed" => self.finish(&value(frame.response)?, "completed", out),
            "response.incomplete" => self.finish(&value(frame.response)?, "incomplete", out),
            "response.failed" => self.finish(&value(frame.response)?, "failed", out),
            "error" | "response.error" => Err(refusal(&js::parse(data)?)),
            ours if ours.starts_with("response.") => self.event(ours, &frame, out),
            _ if event == "error" => Err(refusal(&js::parse(data)?)),
            _ => self.untyped(event, data, out),
        }
    }

    fn end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        if self.finished {
            return Ok(());
        }
        self.unfinished_calls(true, out);
        if self.items.is_empty() && self.started == (None, None) {
            return Err(DecodeError::Cut("the answer holds no response".into()));
        }
        Err(DecodeError::Cut("the stream ended before the response was complete".into()))
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn is_finished(&self) -> bool {
        self.finished
    }
}
