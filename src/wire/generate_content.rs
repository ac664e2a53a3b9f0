//! Gemini `generateContent` and `streamGenerateContent`, as the Gemini API and Vertex AI speak it.
//!
//! Shape: <https://ai.google.dev/api/generate-content> and
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference> (read 2026-11-22).

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::contract::{DecodeError, Decoder, EncodeError, Encoded, Target};
use super::quirks::Quirks;
use super::usage::{Counts, Reports};
use super::{errors, json as js, mishap};
use crate::domain::chat::{
    ChatEvent, ChatRequest, Effort, Finish, FinishReason, Media, Message, Part, Reasoning, Role, Settings, ToolCall,
    ToolChoice, ToolResult,
};
use crate::domain::model::Thinking;
use crate::domain::usage::{Meter, Usage};

/// The body of `POST …/models/{model}:generateContent`; a stream asks for server-sent events, else it is a JSON array.
///
/// # Errors
/// Never: the API has a form for every part, and judges the media types itself.
pub fn encode(request: &ChatRequest, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let mut ignored = Vec::new();
    let mut body = json!({"contents": contents(request, target)});
    if let Some(system) = js::system(request, !target.facts.schema).filter(|_| target.facts.system) {
        body["systemInstruction"] = json!({"parts": [{"text": system}]});
    }
    tools(&mut body, request);
    settings(&mut body, &request.settings, target, &mut ignored);
    for (key, value) in &request.settings.extra {
        js::lay(&mut body, key, value.clone());
    }
    let method = if target.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    Ok(Encoded { body, headers: Vec::new(), method, ignored })
}

/// The conversation. Neighbours of one role become one turn: the API wants all results of parallel calls in the turn
/// after the calls. A model without a system prompt reads it at the head of the first turn.
fn contents(request: &ChatRequest, target: &Target<'_>) -> Vec<Value> {
    let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
    let mut add = |role, parts: Vec<Value>| match turns.last_mut() {
        _ if parts.is_empty() => {}
        Some((last, turn)) if *last == role => turn.extend(parts),
        _ => turns.push((role, parts)),
    };
    if let Some(system) = js::system(request, !target.facts.schema).filter(|_| !target.facts.system) {
        add("user", vec![json!({"text": system})]);
    }
    for (index, message) in request.messages.iter().enumerate() {
        match message.role {
            Role::User => add("user", user(message, &request.messages[..index])),
            Role::Assistant => add("model", model(message, target)),
        }
    }
    turns.into_iter().map(|(role, parts)| json!({"role": role, "parts": parts})).collect()
}

/// A user's parts: results of tools first, since they answer the turn before.
fn user(message: &Message, before: &[Message]) -> Vec<Value> {
    let results = message.parts.iter().filter_map(|part| match part {
        Part::ToolResult(result) => Some(function_response(result, before)),
        _ => None,
    });
    let rest = message.parts.iter().filter_map(|part| match part {
        Part::Text(text) => text_part(text),
        Part::Image(file) | Part::Document(file) | Part::Audio(file) => Some(media(file)),
        Part::ToolResult(_) | Part::Reasoning(_) | Part::ToolCall(_) => None,
    });
    results.chain(rest).collect()
}

/// An empty text is refused by Vertex AI ("must have a text parameter").
fn text_part(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"text": text}))
}

fn media(file: &Media) -> Value {
    match js::base64_of(file) {
        Some(data) => json!({"inlineData": {"mimeType": file.mime, "data": data}}),
        None => json!({"fileData": {"mimeType": file.mime, "fileUri": js::url_of(file)}}),
    }
}

/// Results are matched by the function's name; where a result does not carry it, the call with its id does. The keys
/// `output` and `error` are the ones that the API documents for `FunctionResponse.response`.
fn function_response(result: &ToolResult, before: &[Message]) -> Value {
    let mut name = result.name.as_str();
    if name.is_empty() {
        let calls = before.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        });
        name = calls.rev().find(|call| call.id == result.id).map_or("", |call| call.name.as_str());
    }
    let key = if result.is_error { "error" } else { "output" };
    let mut response = json!({"name": name, "response": {key: result.content}});
    if !result.id.is_empty() {
        response["id"] = result.id.clone().into();
    }
    json!({"functionResponse": response})
}

/// The model's parts. Thought signatures return where they stood: a part with an empty text that only carried the
/// signature of the text before it gives it to that text, since the pieces of a stream have become one.
fn model(message: &Message, target: &Target<'_>) -> Vec<Value> {
    let mut parts: Vec<Value> = Vec::new();
    let mut called = false;
    for part in &message.parts {
        match part {
            Part::Text(text) => parts.extend(text_part(text)),
            Part::Image(file) | Part::Document(file) | Part::Audio(file) => parts.push(media(file)),
            Part::Reasoning(block) => thought(block, &mut parts),
            Part::ToolCall(call) => {
                parts.push(function_call(call, !called && wants_signatures(target)));
                called = true;
            }
            Part::ToolResult(_) => {}
        }
    }
    parts
}

/// Models that are told a thinking level (from Gemini 3 on) answer 400 to a step whose first call has no signature.
fn wants_signatures(target: &Target<'_>) -> bool {
    target.facts.thinking == Thinking::Level
}

/// Thinking goes back only with its signature: the text alone is a summary for people. Other APIs sign, too; theirs
/// come with an id or encrypted.
fn thought(block: &Reasoning, parts: &mut Vec<Value>) {
    let Some(signature) = block.signature.as_ref().filter(|_| block.id.is_none() && block.redacted.is_none()) else {
        return;
    };
    if !block.text.is_empty() {
        parts.push(json!({"text": block.text, "thought": true, "thoughtSignature": signature}));
        return;
    }
    match parts.last_mut() {
        Some(Value::Object(last)) if last.contains_key("text") && !last.contains_key("thoughtSignature") => {
            last.insert("thoughtSignature".into(), signature.clone().into());
        }
        _ => parts.push(json!({"text": "", "thoughtSignature": signature})),
    }
}

/// `skip_thought_signature_validator` in base64, since the field is of bytes: Google's word for a call that another model
/// made (FAQ of <https://ai.google.dev/gemini-api/docs/thought-signatures>). Gemini 3 was seen to take it in this form
/// (recorded requests, 2026-11-22).
const SKIP_VALIDATION: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

fn function_call(call: &ToolCall, must_be_signed: bool) -> Value {
    // `args` is a protobuf Struct: anything but an object is refused.
    let arguments = match call.parsed() {
        Some(Value::Object(arguments)) => Value::Object(arguments),
        _ if call.arguments.trim().is_empty() => json!({}),
        _ => json!({"arguments": call.arguments}),
    };
    let mut function = json!({"name": call.name, "args": arguments});
    if !call.id.is_empty() {
        function["id"] = call.id.clone().into();
    }
    let mut part = json!({"functionCall": function});
    match &call.signature {
        Some(signature) => part["thoughtSignature"] = signature.clone().into(),
        None if must_be_signed => part["thoughtSignature"] = SKIP_VALIDATION.into(),
        None => {}
    }
    part
}

/// `parametersJsonSchema`, not `parameters`: the latter is a subset of OpenAPI 3.0 that refuses `$ref`, `$defs` and
/// other keywords of JSON Schema, the two exclude each other, and both APIs take the former
/// (<https://ai.google.dev/api/caching#FunctionDeclaration>, Vertex AI `FunctionDeclaration`; read 2026-11-22).
fn tools(body: &mut Value, request: &ChatRequest) {
    if request.tools.is_empty() {
        return;
    }
    let declarations: Vec<Value> = request.tools.iter().map(|tool| js::tool(tool, "parametersJsonSchema")).collect();
    body["tools"] = json!([{"functionDeclarations": declarations}]);
    let config = match &request.tool_choice {
        None => return,
        Some(ToolChoice::Auto) => json!({"mode": "AUTO"}),
        Some(ToolChoice::None) => json!({"mode": "NONE"}),
        Some(ToolChoice::Any) => json!({"mode": "ANY"}),
        Some(ToolChoice::Named(name)) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    body["toolConfig"] = json!({"functionCallingConfig": config});
}

fn settings(body: &mut Value, settings: &Settings, target: &Target<'_>, ignored: &mut Vec<String>) {
    let facts = target.facts;
    let mut config = Value::Null;
    let mut refused = |what: &str| ignored.push(format!("{} does not take {what}", target.model));
    if let Some(temperature) = settings.temperature {
        if facts.temperature { config["temperature"] = json!(temperature) } else { refused("temperature") }
    }
    if let Some(top_p) = settings.top_p {
        if facts.temperature { config["topP"] = json!(top_p) } else { refused("top_p") }
    }
    if let Some(cap) = settings.max_tokens {
        config["maxOutputTokens"] = cap.into();
    }
    if let Some(seed) = settings.seed {
        if facts.seed { config["seed"] = seed.into() } else { refused("a seed") }
    }
    if !settings.stop.is_empty() {
        if facts.stop { config["stopSequences"] = json!(settings.stop) } else { refused("stop sequences") }
    }
    // `responseJsonSchema`, not `responseSchema`, for the reason given at `tools`.
    if let Some(schema) = settings.schema.as_ref().filter(|_| facts.schema) {
        config["responseMimeType"] = "application/json".into();
        config["responseJsonSchema"] = schema.schema.clone();
    }
    if let Some(effort) = settings.effort {
        match thinking(effort, facts.thinking) {
            Some(thinking) => config["thinkingConfig"] = thinking,
            None => refused(&format!("the effort {}", effort.as_str())),
        }
        if config["thinkingConfig"].is_object() && matches!(effort, Effort::Xhigh | Effort::Max) {
            refused(&format!("the effort {}: high is sent", effort.as_str()));
        }
    }
    let thinks = matches!(facts.thinking, Thinking::Level | Thinking::Budget);
    if settings.show_reasoning && thinks && config["thinkingConfig"].is_null() {
        config["thinkingConfig"] = json!({"includeThoughts": true});
    }
    if settings.cache.is_some() {
        refused("cache points (it caches by itself, or not at all)");
    }
    if config.is_object() {
        body["generationConfig"] = config;
    }
}

/// Google's own reading of efforts, as levels and as budgets of 1K, 8K and 24K tokens
/// (<https://ai.google.dev/gemini-api/docs/openai>, seen in quotations 2026-11-22). A level cannot be "none", and the
/// highest is "high".
fn thinking(effort: Effort, form: Thinking) -> Option<Value> {
    let (level, budget) = match effort {
        Effort::None => ("", 0),
        Effort::Minimal => ("minimal", 1_024),
        Effort::Low => ("low", 1_024),
        Effort::Medium => ("medium", 8_192),
        Effort::High | Effort::Xhigh | Effort::Max => ("high", 24_576),
    };
    match form {
        // Asking a model for its thoughts that is told not to think is an error.
        Thinking::Budget if effort == Effort::None => Some(json!({"thinkingBudget": budget})),
        Thinking::Budget => Some(json!({"thinkingBudget": budget, "includeThoughts": true})),
        Thinking::Level | Thinking::Effort if effort == Effort::None => None,
        Thinking::Level | Thinking::Effort => Some(json!({"thinkingLevel": level, "includeThoughts": true})),
        Thinking::None | Thinking::Adaptive | Thinking::Nova => None,
    }
}

/// Reads the chunks of a stream, or the one response of an answer that is not streamed: both have the same frame.
#[derive(Debug)]
pub struct GenerateContent {
    started: bool,
    model: Option<String>,
    /// Thinking shown since the last block.
    thought: String,
    called: bool,
    candidate_seen: bool,
    /// The finish reason that was handed over; the first models repeated one in each chunk.
    finish: Option<Finish>,
    counts: Reports,
    said: Said,
    /// The search queries that are not empty; chunks may repeat them.
    searches: BTreeSet<String>,
    skipped: u64,
}

/// What of an answer has come so far, in the order in which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Nothing,
    Thought,
    Answer,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<Value>,
    model_version: Option<String>,
    response_id: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    index: Option<u64>,
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
    grounding_metadata: Option<Grounding>,
}

#[derive(serde::Deserialize)]
struct Content {
    parts: Option<Vec<Piece>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Piece {
    text: Option<String>,
    thought: Option<bool>,
    thought_signature: Option<String>,
    function_call: Option<FunctionCall>,
    executable_code: Option<Value>,
    code_execution_result: Option<Value>,
    /// Gemini 3: a call of a tool that runs at the provider (`GOOGLE_SEARCH_WEB`).
    tool_call: Option<ServerCall>,
    inline_data: Option<InlineData>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCall {
    id: Option<String>,
    name: Option<String>,
    args: Option<Box<RawValue>>,
    /// Vertex AI, where `streamFunctionCallArguments` was asked for: pieces by JSON path.
    partial_args: Option<Value>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerCall {
    tool_type: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct InlineData {
    mime_type: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grounding {
    web_search_queries: Option<Vec<String>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
    block_reason_message: Option<String>,
}

impl GenerateContent {
    #[must_use]
    pub fn new(_quirks: &Quirks) -> GenerateContent {
        GenerateContent {
            started: false,
            model: None,
            thought: String::new(),
            called: false,
            candidate_seen: false,
            finish: None,
            counts: Reports::of(&COUNTS, TOTAL),
            said: Said::Nothing,
            searches: BTreeSet::new(),
            skipped: 0,
        }
    }

    fn start(&mut self, id: Option<String>, model: Option<String>, out: &mut Vec<ChatEvent>) {
        if self.started || id.is_none() && model.is_none() {
            return;
        }
        self.started = model.is_some();
        self.model.clone_from(&model);
        out.push(ChatEvent::Started { id, model });
    }

    fn candidate(&mut self, candidate: Candidate, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        self.candidate_seen = true;
        for piece in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
            self.piece(piece, out)?;
        }
        let queries = candidate.grounding_metadata.and_then(|grounding| grounding.web_search_queries);
        self.searches.extend(queries.into_iter().flatten().filter(|query| !query.is_empty()));
        if let Some(raw) = candidate.finish_reason {
            self.finished(raw, candidate.finish_message, out);
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        if let Some(call) = piece.function_call {
            return self.call(call, piece.thought_signature, out);
        }
        if piece.executable_code.is_some() {
            out.push(ChatEvent::ServerTool("executableCode".into()));
        }
        if piece.code_execution_result.is_some() {
            out.push(ChatEvent::ServerTool("codeExecutionResult".into()));
        }
        if let Some(kind) = piece.tool_call.and_then(|call| call.tool_type) {
            out.push(ChatEvent::ServerTool(kind));
        }
        if let Some(data) = piece.inline_data {
            let mime = data.mime_type.unwrap_or_else(|| "unknown type".into());
            out.push(ChatEvent::Note(format!("the answer holds data ({mime}) that is not shown")));
        }
        // The signature of a part that does not go back (code, a tool of the provider) goes nowhere either.
        let Some(text) = piece.text else { return Ok(()) };
        if piece.thought == Some(true) {
            if !text.is_empty() {
                self.thought.push_str(&text);
                self.said = self.said.max(Said::Thought);
                out.push(ChatEvent::Reasoning(text));
            }
        } else if !text.is_empty() {
            self.thought.clear();
            self.said = Said::Answer;
            out.push(ChatEvent::Text(text));
        }
        if let Some(signature) = piece.thought_signature.filter(|signature| !signature.is_empty()) {
            out.push(ChatEvent::ReasoningDone(Reasoning {
                text: std::mem::take(&mut self.thought),
                signature: Some(signature),
                ..Reasoning::default()
            }));
        }
        Ok(())
    }

    fn call(
        &mut self,
        call: FunctionCall,
        signature: Option<String>,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), DecodeError> {
        if call.partial_args.is_some() {
            return Err(DecodeError::Malformed(
                "function arguments in pieces (partialArgs), which are not read".into(),
            ));
        }
        self.called = true;
        self.said = Said::Answer;
        self.thought.clear();
        let arguments = call.args.map(|args| args.get().to_owned()).filter(|args| args != "null");
        out.push(ChatEvent::ToolCall(ToolCall {
            id: call.id.unwrap_or_default(),
            name: call.name.unwrap_or_default(),
            arguments: arguments.unwrap_or_else(|| "{}".into()),
            signature: signature.filter(|signature| !signature.is_empty()),
        }));
        Ok(())
    }

    fn finished(&mut self, raw: String, message: Option<String>, out: &mut Vec<ChatEvent>) {
        let reason = match reason(&raw) {
            FinishReason::Stop if self.called => FinishReason::ToolCalls,
            reason => reason,
        };
        // Beside STOP the message says nothing ("Model generated function call(s).").
        let detail = message.filter(|_| !matches!(reason, FinishReason::Stop | FinishReason::ToolCalls));
        if reason == FinishReason::Other {
            out.push(ChatEvent::Note(match &detail {
                Some(detail) => format!("the model stopped with {raw}: {detail}"),
                None => format!("the model stopped with {raw}"),
            }));
        }
        let finish = Finish { reason, raw, detail };
        if self.finish.as_ref() != Some(&finish) {
            self.finish = Some(finish.clone());
            out.push(ChatEvent::Finished(finish));
        }
    }

    /// A prompt that was blocked has no candidate and so no finish reason: the raw word stays empty.
    fn blocked(&mut self, feedback: PromptFeedback, out: &mut Vec<ChatEvent>) {
        let Some(reason) = feedback.block_reason else { return };
        if let Some(words) = feedback.block_reason_message {
            out.push(ChatEvent::Note(format!("the prompt was blocked: {words}")));
        }
        let finish = Finish { reason: FinishReason::ContentFilter, raw: String::new(), detail: Some(reason) };
        self.finish = Some(finish.clone());
        out.push(ChatEvent::Finished(finish));
    }

    /// The usage so far, or `None` where nothing was reported.
    fn usage(&self) -> Option<Usage> {
        let (last, all) = (self.counts.last(), self.counts.all());
        if last.is_null() {
            return None;
        }
        let mut usage = normalised(all);
        // A count of zero is left out: of an answer of nothing (a blocked prompt, a cap that was reached in thinking), and
        // beside tools of the provider even of a call, where the total is the sum of the other counts (seen 2026-11-23).
        let thoughts = !all["thoughtsTokenCount"].is_null();
        let is_counted = match self.said {
            Said::Nothing => true,
            Said::Thought => usage.get(Meter::Output).is_some(),
            Said::Answer => {
                let is_sum = last[TOTAL].is_u64() && contradiction(last).is_none();
                !all["candidatesTokenCount"].is_null() || thoughts && is_sum
            }
        };
        if !is_counted {
            usage.incomplete = true;
            usage.warnings.insert(0, "usage: the count of the output is missing (candidatesTokenCount)".into());
        }
        usage.warnings.extend(contradiction(last));
        usage.warnings.extend(self.counts.left_out());
        usage.warnings.extend(self.counts.shrunk());
        usage.raw = last.clone();
        Some(usage)
    }

    /// How many searches are to be paid: one for a grounded prompt up to Gemini 2.x; from 3 on each query, of which
    /// Google counts the unique ones that are not empty (its page on grounding, as quoted at
    /// <https://discuss.ai.google.dev/t/168136>, read 2026-11-22).
    fn paid_searches(&self) -> Option<u64> {
        let queries = self.searches.len() as u64;
        let by_prompt = self.model.as_deref().and_then(generation).is_some_and(|generation| generation < 3);
        (queries > 0).then_some(if by_prompt { 1 } else { queries })
    }
}

/// The first number in a model's name: `gemini-2.5-flash` is of generation 2.
fn generation(model: &str) -> Option<u32> {
    let word = model.split(['-', '/']).find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    word.split('.').next()?.parse().ok()
}

impl Decoder for GenerateContent {
    fn frame(&mut self, event: &str, data: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        // An error may stand in an array of its own.
        if data.trim_start().starts_with('[') || event == "error" {
            return Err(refusal(data));
        }
        let response: Response<'_> = js::parse(data)?;
        let (before, failed) = (out.len(), mishap::said(response.error).is_some());
        let says_nothing = response.candidates.is_none() && response.prompt_feedback.is_none();
        if !failed && says_nothing && response.usage_metadata.is_none() && response.response_id.is_none() {
            // A gateway's error in a form of its own (`{"message": …}`, `{"detail": …}`).
            return match errors::from_value(None, &js::parse::<Value>(data)?) {
                Some(error) => Err(DecodeError::Api(error)),
                None => {
                    self.skipped += 1;
                    Ok(())
                }
            };
        }
        self.start(response.response_id, response.model_version, out);
        let (searches, said) = (self.paid_searches(), self.said);
        for candidate in response.candidates.into_iter().flatten() {
            if candidate.index.unwrap_or(0) == 0 {
                self.candidate(candidate, out)?;
            }
        }
        if let Some(feedback) = response.prompt_feedback {
            self.blocked(feedback, out);
        }
        let reported = response.usage_metadata.is_some_and(|raw| self.counts.add(raw));
        let paid = self.paid_searches();
        if (reported || paid != searches || said != self.said)
            && let Some(mut usage) = self.usage()
        {
            if let Some(paid) = paid {
                usage.set(Meter::WebSearch, paid);
            }
            out.push(ChatEvent::Usage(usage));
        }
        if failed {
            mishap::settle(out, before);
            return Err(refusal(data));
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        match (&self.finish, self.candidate_seen) {
            (Some(_), _) => Ok(()),
            (None, true) => Err(DecodeError::Cut("the answer ended without a finish reason".into())),
            (None, false) => Err(DecodeError::Cut("the answer holds no candidate".into())),
        }
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn is_finished(&self) -> bool {
        self.finish.is_some()
    }
}

fn refusal(data: &str) -> DecodeError {
    let value: Value = serde_json::from_str(data).unwrap_or_default();
    match errors::from_value(None, &value) {
        Some(error) => DecodeError::Api(error),
        None => DecodeError::Malformed("an error without words".into()),
    }
}

/// <https://ai.google.dev/api/generate-content#FinishReason>; the whole list stands at
/// <https://googleapis.github.io/dotnet-genai/api/Google.GenAI.Types.FinishReason.html> (read 2026-11-22).
fn reason(raw: &str) -> FinishReason {
    match raw {
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => FinishReason::ContentFilter,
        // MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, LANGUAGE, OTHER, …: said in a note.
        _ => FinishReason::Other,
    }
}

/// The counts that a report may hold, each a total of its own.
const COUNTS: [&str; 6] = [
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    TOTAL,
    "cachedContentTokenCount",
];
const TOTAL: &str = "totalTokenCount";

/// The disjoint meters of one `usageMetadata` object. Cached tokens lie inside the prompt, the prompts of the
/// provider's tools and the thinking outside; the details by modality only split off what has a rate of its own.
pub(super) fn normalised(raw: &Value) -> Usage {
    let mut counts = Counts::new(raw);
    let prompt = counts.count("/promptTokenCount");
    let cached = counts.count("/cachedContentTokenCount");
    let tools = counts.count("/toolUsePromptTokenCount");
    let candidates = counts.count("/candidatesTokenCount");
    let thoughts = counts.count("/thoughtsTokenCount");
    let _ = counts.count("/totalTokenCount");
    counts.needs("prompt", prompt);
    counts.part(&[
        "/promptTokensDetails",
        "/cacheTokensDetails",
        "/toolUsePromptTokensDetails",
        "/candidatesTokensDetails",
    ]);

    if let Some(prompt) = prompt {
        let cached = cached.map(|cached| counts.within(cached, prompt, "cached tokens"));
        let cached_all = cached.unwrap_or(0);
        let cached_audio = counts.within(of(raw, "cacheTokensDetails", "AUDIO"), cached_all, "cached audio tokens");
        let audio = of(raw, "promptTokensDetails", "AUDIO").saturating_sub(cached_audio);
        let audio = counts.within(audio, prompt - cached_all, "audio tokens");
        counts.set(Meter::Input, (prompt - cached_all - audio).checked_add(tools.unwrap_or(0)));
        counts.set(Meter::CacheRead, cached.map(|cached| cached - cached_audio));
        counts.set_some(Meter::CacheReadAudio, Some(cached_audio));
        counts.set_some(Meter::AudioIn, Some(audio));
    } else {
        counts.set(Meter::Input, tools);
    }
    if candidates.is_some() || thoughts.is_some() {
        let all = candidates.unwrap_or(0);
        let image = counts.within(of(raw, "candidatesTokensDetails", "IMAGE"), all, "image tokens");
        let audio = counts.within(of(raw, "candidatesTokensDetails", "AUDIO"), all - image, "audio tokens");
        counts.set(Meter::Output, (all - image - audio).checked_add(thoughts.unwrap_or(0)));
        counts.set_some(Meter::ImageOut, Some(image));
        counts.set_some(Meter::AudioOut, Some(audio));
    }
    counts.usage().reasoning = thoughts;
    // Vertex AI names the traffic, the Gemini API the tier.
    let tier = raw["trafficType"].as_str().or_else(|| raw["serviceTier"].as_str());
    counts.usage().service_tier = tier.map(str::to_owned);
    counts.finish()
}

/// The tokens of one modality in a list of details; an entry without a count holds none.
fn of(raw: &Value, details: &str, modality: &str) -> u64 {
    let entries = raw[details].as_array().into_iter().flatten();
    let counts = entries.filter(|entry| entry["modality"] == modality).filter_map(|entry| entry["tokenCount"].as_u64());
    counts.fold(0, u64::saturating_add)
}

/// Says where a report's total is not the sum of its counts.
fn contradiction(raw: &Value) -> Option<String> {
    let total = raw[TOTAL].as_u64()?;
    // Cached tokens lie inside the prompt.
    let parts = COUNTS[..4].iter().filter_map(|field| raw[*field].as_u64());
    let sum = parts.fold(0, u64::saturating_add);
    (total != sum).then(|| format!("usage: total {total} is not prompt + candidates + thoughts + tool use ({sum})"))
}

#[cfg(test)]
mod tests;
