//! What every dialect offers: a request becomes a body, frames become events, an error body becomes a class.

use serde::Deserialize;
use serde_json::Value;

use super::quirks::Quirks;
use crate::domain::chat::ChatEvent;
use crate::domain::failure::ErrorClass;
use crate::domain::model::ModelFacts;

/// The languages, a closed set: a new one stops the build wherever it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Gemini `generateContent` and `streamGenerateContent`.
    GenerateContent,
    /// Amazon Bedrock Converse; spoken by the AWS SDK in `provider`, not here.
    Converse,
    /// Cohere v2 chat.
    Cohere,
    /// Ollama's native chat.
    Ollama,
}

impl Dialect {
    pub const ALL: [Dialect; 7] = [
        Dialect::Chat,
        Dialect::Responses,
        Dialect::Messages,
        Dialect::GenerateContent,
        Dialect::Converse,
        Dialect::Cohere,
        Dialect::Ollama,
    ];

    /// Its name for `--api` and in the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::Chat => "chat",
            Dialect::Responses => "responses",
            Dialect::Messages => "messages",
            Dialect::GenerateContent => "generate-content",
            Dialect::Converse => "converse",
            Dialect::Cohere => "cohere",
            Dialect::Ollama => "ollama",
        }
    }

    /// The path after the base URL, with `{model}` and `{method}` where the API has them in it.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Dialect::Chat => "/chat/completions",
            Dialect::Responses => "/responses",
            Dialect::Messages => "/v1/messages",
            Dialect::GenerateContent => "/v1beta/models/{model}:{method}",
            Dialect::Converse => "/model/{model}/{method}",
            Dialect::Cohere => "/v2/chat",
            Dialect::Ollama => "/api/chat",
        }
    }
}

/// To whom a request is said: what an encoder must know beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The provider's own id of the model.
    pub model: &'a str,
    pub quirks: &'a Quirks,
    pub facts: &'a ModelFacts,
    /// Ask for a stream.
    pub stream: bool,
}

/// A request in a dialect.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded {
    pub body: Value,
    /// Headers that the API wants beside the body (`anthropic-version`); never a credential.
    pub headers: Vec<(&'static str, String)>,
    /// What `{method}` in the path stands for; empty where the path has none.
    pub method: &'static str,
    /// Settings that will not be honoured, each a sentence for the user.
    pub ignored: Vec<String>,
}

/// The API has no form for what the request holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(pub String);

/// Reads one answer: each frame of a stream (one SSE event, one JSON line, one element of an array), or the one JSON
/// body of an answer that is not streamed, which many servers send although a stream was asked for.
pub trait Decoder: Send {
    /// Takes one frame and appends what it says. `event` is the SSE event's name, empty where there was none.
    ///
    /// # Errors
    /// [`DecodeError`]: the frame is an error of the provider, or is not of this dialect. Events that were appended
    /// before it stay good.
    fn frame(&mut self, event: &str, data: &str, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError>;

    /// The body has ended cleanly. Appends what was still held back.
    ///
    /// # Errors
    /// [`DecodeError::Cut`] where the dialect's own end never came: a stream without its end is never a success.
    fn end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError>;

    /// Frames so far of a kind that says nothing here: pings, and what is newer than this.
    fn skipped(&self) -> u64;

    /// The dialect's own end was seen: nothing that matters follows (a late usage frame may).
    fn is_finished(&self) -> bool;
}

/// Why an answer could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The provider reports an error inside its answer.
    #[error("{}", .0.message)]
    Api(ApiError),
    /// Not what the dialect promises.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
    /// It stopped before its end.
    #[error("{0}")]
    Cut(String),
}

/// A provider's error, in its own words and in our class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub class: ErrorClass,
    /// The provider's words.
    pub message: String,
    /// The provider's error type (`invalid_request_error`, `RESOURCE_EXHAUSTED`).
    pub kind: Option<String>,
    /// The provider's error code (`model_not_found`, `1300`).
    pub code: Option<String>,
    /// How long the body asks to wait (Gemini `RetryInfo`), in milliseconds.
    pub retry_after_ms: Option<u64>,
}
