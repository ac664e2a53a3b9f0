//! Which model is meant, and what is known of it before it is asked.

use std::fmt;

use serde::Deserialize;

use super::chat::{ChatRequest, Effort, Part};

/// A model at a provider, perhaps in a region: `openai/gpt-5.2`, `bedrock@eu-west-1/eu.anthropic.claude-sonnet-4-6`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName {
    /// The provider's id in the catalog.
    pub provider: String,
    pub region: Option<String>,
    /// The provider's own id of the model, deployment or profile.
    pub model: String,
}

impl fmt::Display for ModelName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) => write!(out, "{}@{region}/{}", self.provider, self.model),
            None => write!(out, "{}/{}", self.provider, self.model),
        }
    }
}

/// What a model takes and refuses, where it differs from its API. The default is a model that honours everything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelFacts {
    /// It takes `temperature` and `top_p`.
    pub temperature: bool,
    /// It takes them only beside the effort `none` (GPT-5.1 to 5.6); `temperature` is then false.
    pub temperature_at_none: bool,
    pub seed: bool,
    pub stop: bool,
    pub system: bool,
    /// JSON-schema output.
    pub schema: bool,
    pub thinking: Thinking,
    /// The most tokens of one answer; `None`: not known.
    pub max_output: Option<u32>,
    /// The API wants the cap as `max_completion_tokens` (OpenAI's reasoning models).
    pub max_completion_tokens: bool,
    /// The API refuses to stream this model.
    pub streams: bool,
    /// The most tokens of one image, where the model's maker says so.
    pub image_tokens: Option<u64>,
    /// The most tokens of anything else that is attached, and of an image of which the maker does not say it: the user's
    /// word (`limits.attachment_tokens`).
    pub attachment_tokens: Option<u64>,
}

impl Default for ModelFacts {
    fn default() -> ModelFacts {
        ModelFacts {
            temperature: true,
            temperature_at_none: false,
            seed: true,
            stop: true,
            system: true,
            schema: true,
            thinking: Thinking::Effort,
            max_output: None,
            max_completion_tokens: false,
            streams: true,
            image_tokens: None,
            attachment_tokens: None,
        }
    }
}

impl ModelFacts {
    /// Whether `temperature` and `top_p` may go beside this effort (`None`: not asked for).
    #[must_use]
    pub fn takes_temperature(&self, effort: Option<Effort>) -> bool {
        self.temperature || (self.temperature_at_none && effort == Some(Effort::None))
    }

    /// The most tokens that everything attached to a request can be; `None`: of something in it nobody knows.
    #[must_use]
    pub fn attached(&self, request: &ChatRequest) -> Option<u64> {
        let most = request.attachments().map(|part| match part {
            Part::Image(_) => self.image_tokens.or(self.attachment_tokens),
            _ => self.attachment_tokens,
        });
        most.into_iter().try_fold(0_u64, |sum, most| Some(sum.saturating_add(most?)))
    }
}

/// How a model is told how hard to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thinking {
    /// It cannot be told: it does not think, or always does.
    None,
    /// By the word of the API (`reasoning_effort`, `reasoning.effort`, `output_config.effort`, `think`).
    #[default]
    Effort,
    /// By a number of tokens: Claude to 4.5 (`thinking.budget_tokens`), Gemini 2.5 (`thinkingBudget`).
    Budget,
    /// Claude from 4.6: `thinking.type = adaptive` with an effort.
    Adaptive,
    /// Gemini from 3: `thinkingLevel`.
    Level,
    /// Amazon Nova 2: `reasoningConfig.maxReasoningEffort`.
    Nova,
}
