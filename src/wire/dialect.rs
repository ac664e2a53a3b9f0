//! Which file speaks which language: the one place that knows all dialects.

use serde_json::Value;

use super::contract::{ApiError, Decoder, Dialect, EncodeError, Encoded, Target};
use super::quirks::Quirks;
use super::{chat_completions, cohere, converse_usage, errors, generate_content, messages, ollama, responses, usage};
use crate::domain::chat::ChatRequest;
use crate::domain::usage::Usage;

impl Dialect {
    /// The body of a request, and what of it the target does not honour.
    ///
    /// # Errors
    /// [`EncodeError`] where the API has no form for something that the request holds (a PDF for an API without
    /// documents): nothing must be sent then.
    pub fn encode(self, request: &ChatRequest, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        match self {
            Dialect::Chat => chat_completions::encode(request, target),
            Dialect::Responses => responses::encode(request, target),
            Dialect::Messages => messages::encode(request, target),
            Dialect::GenerateContent => generate_content::encode(request, target),
            Dialect::Converse => Err(EncodeError("Converse is encoded by the AWS SDK".into())),
            Dialect::Cohere => cohere::encode(request, target),
            Dialect::Ollama => ollama::encode(request, target),
        }
    }

    /// A decoder for one answer, streamed or whole.
    #[must_use]
    pub fn decoder(self, quirks: &Quirks) -> Box<dyn Decoder> {
        match self {
            Dialect::Chat | Dialect::Converse => Box::new(chat_completions::ChatCompletions::new(quirks)),
            Dialect::Responses => Box::new(responses::Responses::new(quirks)),
            Dialect::Messages => Box::new(messages::Messages::new(quirks)),
            Dialect::GenerateContent => Box::new(generate_content::GenerateContent::new(quirks)),
            Dialect::Cohere => Box::new(cohere::Cohere::new(quirks)),
            Dialect::Ollama => Box::new(ollama::Ollama::new(quirks)),
        }
    }

    /// What a body under an HTTP error status says. Any text is read: HTML and nothing at all are errors, too.
    #[must_use]
    pub fn error(self, status: u16, body: &str) -> ApiError {
        errors::from_body(status, body)
    }

    /// A usage object as an API reports it, in disjoint meters: what its decoder makes of it at the end of an answer.
    /// `model` and `streamed`: of the call, for rows on which they matter. `None` where the object holds no usage at all.
    #[must_use]
    pub fn usage(self, raw: &Value, quirks: &Quirks, model: &str, streamed: bool) -> Option<Usage> {
        if raw.as_object().is_none_or(serde_json::Map::is_empty) {
            return None;
        }
        match self {
            // Cohere's own object says itself what it is, also where the API is called "chat".
            Dialect::Chat if raw["billed_units"].is_object() => Some(cohere::usage(raw)),
            Dialect::Chat if raw["x_groq"]["usage"].is_object() => Some(usage::openai(&raw["x_groq"]["usage"], quirks)),
            Dialect::Chat | Dialect::Responses => Some(usage::openai(raw, quirks)),
            Dialect::Messages => Some(messages::usage_of(raw, quirks)),
            Dialect::GenerateContent => Some(generate_content::normalised(raw)),
            Dialect::Converse => {
                let whole =
                    quirks.whole_input_streamed.as_ref().is_some_and(|part| streamed && model.contains(part.as_str()));
                Some(converse_usage::converse(raw, whole))
            }
            Dialect::Cohere => Some(cohere::usage(raw)),
            Dialect::Ollama => ollama::usage(raw),
        }
    }
}
