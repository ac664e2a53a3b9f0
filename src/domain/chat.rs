//! A conversation, the settings of one turn, and the events in which an answer arrives.

use serde_json::Value;

use super::usage::Usage;

/// What is asked of a model: the conversation so far and how the next turn is to be made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// The system prompt; each dialect puts it where its API wants it.
    pub system: Option<String>,
    /// Oldest first. The last one is normally the user's.
    pub messages: Vec<Message>,
    /// Functions that the model may ask for.
    pub tools: Vec<Tool>,
    /// Whether it must; `None` leaves the API's default.
    pub tool_choice: Option<ToolChoice>,
    pub settings: Settings,
}

impl ChatRequest {
    /// Images, documents and sounds, in their order.
    pub fn attachments(&self) -> impl Iterator<Item = &Part> {
        let parts = self.messages.iter().flat_map(|message| &message.parts);
        parts.filter(|part| matches!(part, Part::Image(_) | Part::Document(_) | Part::Audio(_)))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub role: Role,
    /// In the order in which they were said.
    pub parts: Vec<Part>,
}

/// Who speaks. Tool results are parts of a user message; a dialect with a role of its own for them splits them off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    User,
    Assistant,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    Image(Media),
    /// A document such as a PDF.
    Document(Media),
    Audio(Media),
    Reasoning(Reasoning),
    ToolCall(ToolCall),
    ToolResult(ToolResult),
}

impl Part {
    /// Bytes of text in it: what is said, thought, called for or answered; an attachment has none.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        let bytes = match self {
            Part::Text(text) => text.len(),
            Part::Reasoning(block) => block.text.len(),
            Part::ToolCall(call) => call.name.len() + call.arguments.len(),
            Part::ToolResult(result) => result.content.len(),
            Part::Image(_) | Part::Document(_) | Part::Audio(_) => 0,
        };
        bytes as u64
    }
}

/// An attachment: its bytes, or a URL that the provider itself fetches.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// `image/png`, `application/pdf`, …
    pub mime: String,
    pub source: MediaSource,
    /// The file's name, where it is known; some APIs want one for documents.
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MediaSource {
    Bytes(Vec<u8>),
    Url(String),
}

/// Thinking that a model showed, with what its provider wants back unchanged on the next turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reasoning {
    pub text: String,
    /// Anthropic and Bedrock `signature`, Gemini `thoughtSignature`, Responses `encrypted_content`.
    pub signature: Option<String>,
    /// Encrypted thinking without text: Anthropic `redacted_thinking.data`, Bedrock `redactedContent` (base64).
    pub redacted: Option<String>,
    /// Responses: the id of the reasoning item.
    pub id: Option<String>,
    /// Anything else that must go back as it came (OpenRouter `reasoning_details`).
    pub opaque: Option<Value>,
}

/// A function that the model asks to have called.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolCall {
    /// Empty where the API gives none (Ollama, Gemini).
    pub id: String,
    pub name: String,
    /// The arguments exactly as they came, normally a JSON object; see [`ToolCall::parsed`].
    pub arguments: String,
    /// Gemini 3: the `thoughtSignature` that must return with the call.
    pub signature: Option<String>,
}

impl ToolCall {
    /// The arguments as JSON, or `None` where the model wrote something else.
    #[must_use]
    pub fn parsed(&self) -> Option<Value> {
        serde_json::from_str(&self.arguments).ok()
    }
}

/// What a tool call gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolResult {
    /// The id of the call that it answers.
    pub id: String,
    /// The tool's name; Gemini matches results by it.
    pub name: String,
    pub content: String,
    /// The tool failed; `content` says how.
    pub is_error: bool,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// JSON Schema of the arguments.
    pub parameters: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    None,
    /// Some tool must be called.
    Any,
    Named(String),
}

/// The settings of one turn. `None` is not sent: the provider's own default holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u32>,
    pub seed: Option<i64>,
    pub stop: Vec<String>,
    pub effort: Option<Effort>,
    /// The user wants to see the thinking: it is asked for where an API leaves it out otherwise.
    pub show_reasoning: bool,
    /// The answer must be JSON that fits this schema.
    pub schema: Option<Schema>,
    /// Keep the prompt in the provider's cache: a cache point after the system prompt and after the last message.
    pub cache: Option<CacheLifetime>,
    /// `-P key=value`: laid into the request body at the dotted path `key`, whatever it is.
    pub extra: Vec<(String, Value)>,
}

/// How hard a reasoning model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// The word that OpenAI, Anthropic and Bedrock share.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::Xhigh => "xhigh",
            Effort::Max => "max",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// A name that APIs want beside the schema.
    pub name: String,
    pub schema: Value,
}

/// How long a provider keeps a cached prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheLifetime {
    FiveMinutes,
    OneHour,
}

/// One step of an answer as it arrives, the same for every provider.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatEvent {
    /// The provider's id of the answer and the model that really serves it, as soon as either is known.
    Started { id: Option<String>, model: Option<String> },
    /// A piece of the answer's text.
    Text(String),
    /// A piece of the thinking, to be shown.
    Reasoning(String),
    /// A block of thinking is whole: it replaces the pieces since the last block and is what goes back on the next turn.
    ReasoningDone(Reasoning),
    /// A piece of a refusal: the model's own words for why it will not answer.
    Refusal(String),
    /// A tool call with its arguments complete.
    ToolCall(ToolCall),
    /// So many bytes of text came of what is only handed over whole: the name and the arguments of a tool call, a plan, sealed
    /// thinking (which holds no text). The answer has begun and grows.
    Growing(usize),
    /// A tool that the provider itself ran (web search, code execution): its kind, as the provider names it.
    ServerTool(String),
    /// The call's usage so far; a later one replaces an earlier one.
    Usage(Usage),
    /// A setting that this provider or model does not honour: said, never dropped in silence.
    Ignored(String),
    /// Something that the user should know of the answer, in a sentence.
    Note(String),
    /// So many frames were passed over, all told: pings, comments, empty events, events of a kind that is not known.
    Skipped(u64),
    /// The model stopped, and why. Usage may still follow.
    Finished(Finish),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    pub reason: FinishReason,
    /// The provider's own word (`end_turn`, `STOP`, …).
    pub raw: String,
    /// More of the provider's words: the stop sequence that was hit, why it was incomplete, the block reason.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    /// The output cap or the context window was reached.
    Length,
    ToolCalls,
    /// A filter or a guardrail of the provider cut or blocked the answer.
    ContentFilter,
    /// The model declined.
    Refusal,
    StopSequence,
    /// A word that no page documents: the raw one is beside it.
    Other,
}

impl FinishReason {
    /// The word in llmx's JSON (`stop_reason`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::ContentFilter => "content_filter",
            FinishReason::Refusal => "refusal",
            FinishReason::StopSequence => "stop_sequence",
            FinishReason::Other => "other",
        }
    }
}
