//! Converse's answers, whole and streamed, as events.

use std::collections::BTreeMap;

use aws_sdk_bedrockruntime::operation::converse::ConverseOutput as Whole;
use aws_sdk_bedrockruntime::types::{
    CitationGeneratedContent, ContentBlock, ContentBlockDelta, ContentBlockStart, ConverseOutput, ConverseStreamOutput,
    ReasoningContentBlock, ReasoningContentBlockDelta, StopReason, ToolUseType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::chat::{CacheLifetime, ChatEvent, Finish, FinishReason, Reasoning, ToolCall};
use crate::domain::usage::Meter;
use crate::wire::converse_usage::converse;

/// Reads one answer. What the SDK's types leave out (usage fields, the order and the numbers of a tool's arguments)
/// comes from the bytes as received.
#[derive(Debug, Default)]
pub struct Reader {
    /// Blocks that have begun, by their index.
    open: BTreeMap<i32, Block>,
    /// A prompt cache was asked for.
    cache: Option<CacheLifetime>,
    /// This model's stream counts cached tokens inside its input, whatever the total says.
    whole_input: bool,
    stopped: bool,
    metered: bool,
    /// Bytes of text so far.
    pub text: usize,
}

#[derive(Debug)]
enum Block {
    Tool(ToolCall),
    /// A tool that the service runs itself: its input and its result are not ours to answer.
    ServerTool,
    Thought(Reasoning, Vec<u8>),
}

impl Reader {
    #[must_use]
    pub fn new(cache: Option<CacheLifetime>, whole_input: bool) -> Reader {
        Reader { cache, whole_input, ..Reader::default() }
    }

    /// The model has stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// An answer that was not streamed; `body` is its JSON as received.
    pub fn whole(&mut self, answer: Whole, body: &[u8], out: &mut Vec<ChatEvent>) {
        let raw: Value = serde_json::from_slice(body).unwrap_or_default();
        started(&raw, out);
        let inputs = serde_json::from_slice::<Inputs<'_>>(body).unwrap_or_default();
        if let Some(ConverseOutput::Message(message)) = answer.output {
            for (index, block) in message.content.into_iter().enumerate() {
                whole_block(block, inputs.of(index), out);
            }
        }
        self.stop(&answer.stop_reason, out);
        self.meter(&raw, out);
        self.end(out);
    }

    /// One event of a stream; `metadata` is the payload of its `metadata` event as received.
    pub fn event(&mut self, event: ConverseStreamOutput, metadata: Option<Value>, out: &mut Vec<ChatEvent>) {
        match event {
            ConverseStreamOutput::MessageStart(_) => {}
            ConverseStreamOutput::ContentBlockStart(start) => match start.start {
                Some(ContentBlockStart::ToolUse(tool)) => {
                    let block = if tool.r#type == Some(ToolUseType::ServerToolUse) {
                        out.push(ChatEvent::ServerTool(tool.name));
                        Block::ServerTool
                    } else {
                        out.push(ChatEvent::Growing(tool.name.len()));
                        Block::Tool(ToolCall { id: tool.tool_use_id, name: tool.name, ..ToolCall::default() })
                    };
                    self.open.insert(start.content_block_index, block);
                }
                Some(ContentBlockStart::ToolResult(_)) => {
                    self.open.insert(start.content_block_index, Block::ServerTool);
                }
                Some(ContentBlockStart::Image(_)) => out.push(not_shown("an image")),
                Some(_) => out.push(newer("a block")),
                None => {}
            },
            ConverseStreamOutput::ContentBlockDelta(delta) => {
                if let Some(piece) = delta.delta {
                    self.piece(delta.content_block_index, piece, out);
                }
            }
            ConverseStreamOutput::ContentBlockStop(stop) => {
                if let Some(block) = self.open.remove(&stop.content_block_index) {
                    close(block, out);
                }
            }
            ConverseStreamOutput::MessageStop(stop) => self.stop(&stop.stop_reason, out),
            ConverseStreamOutput::Metadata(_) => {
                let raw = metadata.unwrap_or_default();
                started(&raw, out);
                self.meter(&raw, out);
            }
            // Its name is said by the one who watches the bytes.
            _ => {}
        }
    }

    fn piece(&mut self, index: i32, piece: ContentBlockDelta, out: &mut Vec<ChatEvent>) {
        match piece {
            ContentBlockDelta::Text(text) => {
                self.text += text.len();
                if !text.is_empty() {
                    out.push(ChatEvent::Text(text));
                }
            }
            ContentBlockDelta::ToolUse(input) => {
                out.extend((!input.input.is_empty()).then_some(ChatEvent::Growing(input.input.len())));
                match self.open.get_mut(&index) {
                    Some(Block::Tool(call)) => call.arguments.push_str(&input.input),
                    Some(Block::ServerTool | Block::Thought(..)) | None => {}
                }
            }
            ContentBlockDelta::ReasoningContent(piece) => {
                let block = self.open.entry(index).or_insert_with(|| Block::Thought(Reasoning::default(), Vec::new()));
                let Block::Thought(thought, hidden) = block else { return };
                match piece {
                    ReasoningContentBlockDelta::Text(text) => {
                        self.text += text.len();
                        thought.text.push_str(&text);
                        if !text.is_empty() {
                            out.push(ChatEvent::Reasoning(text));
                        }
                    }
                    ReasoningContentBlockDelta::Signature(piece) => {
                        thought.signature.get_or_insert_default().push_str(&piece);
                        out.push(ChatEvent::Growing(0));
                    }
                    ReasoningContentBlockDelta::RedactedContent(blob) => {
                        hidden.extend_from_slice(blob.as_ref());
                        out.push(ChatEvent::Growing(0));
                    }
                    _ => out.push(newer("a piece of thinking")),
                }
            }
            ContentBlockDelta::Image(_) | ContentBlockDelta::ToolResult(_) | ContentBlockDelta::Citation(_) => {}
            _ => out.push(newer("a piece")),
        }
    }

    fn stop(&mut self, reason: &StopReason, out: &mut Vec<ChatEvent>) {
        for block in std::mem::take(&mut self.open).into_values() {
            close(block, out);
        }
        self.stopped = true;
        let finish = finish(reason.as_str());
        if let Some(detail) = &finish.detail {
            out.push(ChatEvent::Note(detail.clone()));
        }
        out.push(ChatEvent::Finished(finish));
    }

    /// Usage and what else decides the price, from the answer or its `metadata` event.
    fn meter(&mut self, raw: &Value, out: &mut Vec<ChatEvent>) {
        if raw["usage"].is_object() {
            self.metered = true;
            let tier = raw["serviceTier"]["type"].as_str().map(str::to_owned);
            let mut usage = converse(&raw["usage"], self.whole_input);
            usage.service_tier = tier;
            let cached = [Meter::CacheRead, Meter::CacheWrite5m, Meter::CacheWrite1h];
            if self.cache.is_some() && cached.iter().all(|meter| usage.get(*meter).unwrap_or(0) == 0) {
                out.push(ChatEvent::Note(
                    "nothing was cached: the prompt is shorter than the model's minimum, or the model has no cache"
                        .into(),
                ));
            }
            out.push(ChatEvent::Usage(usage));
        }
        if raw["performanceConfig"]["latency"] == "optimized" {
            out.push(ChatEvent::Note("served with optimized latency, which has prices of its own".into()));
        }
        if raw["trace"]["guardrail"].is_object() {
            out.push(ChatEvent::Note("a guardrail was at work: its units are charged beside the tokens".into()));
        }
    }

    /// The answer has ended well.
    pub fn end(&mut self, out: &mut Vec<ChatEvent>) {
        if !self.metered {
            self.metered = true;
            out.push(ChatEvent::Note("the answer is complete, but its usage never came".into()));
        }
    }
}

/// A prompt router says which model it chose.
fn started(raw: &Value, out: &mut Vec<ChatEvent>) {
    if let Some(model) = raw["trace"]["promptRouter"]["invokedModelId"].as_str() {
        out.push(ChatEvent::Started { id: None, model: Some(model.to_owned()) });
    }
}

fn whole_block(block: ContentBlock, input: Option<&RawValue>, out: &mut Vec<ChatEvent>) {
    match block {
        ContentBlock::Text(text) if text.is_empty() => {}
        ContentBlock::Text(text) => out.push(ChatEvent::Text(text)),
        ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(thought)) => {
            if !thought.text.is_empty() {
                out.push(ChatEvent::Reasoning(thought.text.clone()));
            }
            let done = Reasoning { text: thought.text, signature: thought.signature, ..Reasoning::default() };
            close(Block::Thought(done, Vec::new()), out);
        }
        ContentBlock::ReasoningContent(ReasoningContentBlock::RedactedContent(blob)) => {
            close(Block::Thought(Reasoning::default(), blob.into_inner()), out);
        }
        ContentBlock::ToolUse(tool) if tool.r#type == Some(ToolUseType::ServerToolUse) => {
            out.push(ChatEvent::ServerTool(tool.name));
        }
        ContentBlock::ToolUse(tool) => out.push(ChatEvent::ToolCall(ToolCall {
            id: tool.tool_use_id,
            name: tool.name,
            arguments: input.map_or_else(|| "{}".to_owned(), |input| input.get().to_owned()),
            signature: None,
        })),
        ContentBlock::CitationsContent(cited) => {
            for piece in cited.content.into_iter().flatten() {
                if let CitationGeneratedContent::Text(text) = piece {
                    out.push(ChatEvent::Text(text));
                }
            }
        }
        // The result of a tool that the service ran.
        ContentBlock::ToolResult(_) | ContentBlock::SearchResult(_) | ContentBlock::CachePoint(_) => {}
        ContentBlock::Image(_) => out.push(not_shown("an image")),
        ContentBlock::Audio(_) => out.push(not_shown("audio")),
        ContentBlock::Video(_) => out.push(not_shown("a video")),
        ContentBlock::Document(_) => out.push(not_shown("a document")),
        _ => out.push(newer("a block")),
    }
}

fn close(block: Block, out: &mut Vec<ChatEvent>) {
    match block {
        Block::Tool(call) => out.push(ChatEvent::ToolCall(call)),
        Block::ServerTool => {}
        Block::Thought(thought, hidden) => {
            let redacted = (!hidden.is_empty()).then(|| STANDARD.encode(hidden));
            // Without a signature it cannot go back, so that there is nothing to keep beside what was shown.
            if thought.signature.is_some() || redacted.is_some() {
                out.push(ChatEvent::ReasoningDone(Reasoning { redacted, ..thought }));
            }
        }
    }
}

fn not_shown(what: &str) -> ChatEvent {
    ChatEvent::Note(format!("the answer holds {what}, which is not shown"))
}

/// Something that the service knows and this SDK does not.
pub fn newer(what: &str) -> ChatEvent {
    ChatEvent::Note(format!("the answer holds {what} of a kind that is newer than this llmx; it is left out"))
}

/// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_MessageStopEvent.html, read 2026-11-22.
fn finish(raw: &str) -> Finish {
    let (reason, detail) = match raw {
        "end_turn" => (FinishReason::Stop, None),
        "stop_sequence" => (FinishReason::StopSequence, None),
        "tool_use" => (FinishReason::ToolCalls, None),
        "max_tokens" => (FinishReason::Length, None),
        "model_context_window_exceeded" => (FinishReason::Length, Some("the context window is full")),
        "guardrail_intervened" => {
            (FinishReason::ContentFilter, Some("the guardrail stepped in; the tokens are billed"))
        }
        "content_filtered" => (FinishReason::ContentFilter, None),
        "malformed_model_output" => {
            (FinishReason::Other, Some("the model's output was malformed: its own error, which is billed"))
        }
        "malformed_tool_use" => {
            (FinishReason::Other, Some("the model's tool call was malformed: its own error, which is billed"))
        }
        _ => (FinishReason::Other, None),
    };
    Finish { reason, raw: raw.to_owned(), detail: detail.map(str::to_owned) }
}

/// The arguments of an answer's tool calls in the bytes as received.
#[derive(Default, Deserialize)]
struct Inputs<'a> {
    #[serde(borrow)]
    output: Option<InputsOutput<'a>>,
}

#[derive(Deserialize)]
struct InputsOutput<'a> {
    #[serde(borrow)]
    message: Option<InputsMessage<'a>>,
}

#[derive(Deserialize)]
struct InputsMessage<'a> {
    #[serde(borrow, default)]
    content: Vec<InputsBlock<'a>>,
}

#[derive(Deserialize)]
struct InputsBlock<'a> {
    #[serde(borrow, rename = "toolUse")]
    tool_use: Option<InputsTool<'a>>,
}

#[derive(Deserialize)]
struct InputsTool<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

impl Inputs<'_> {
    fn of(&self, index: usize) -> Option<&RawValue> {
        self.output.as_ref()?.message.as_ref()?.content.get(index)?.tool_use.as_ref()?.input
    }
}
