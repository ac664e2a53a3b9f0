//! Where a provider departs from the API that it imitates: named, typed, and the original by default.

use serde::Deserialize;

/// The departures of one catalog row. Each field says what the original does; its default is the original.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Chat: takes `stream_options.include_usage` (else a strict server refuses the request).
    pub stream_options: bool,
    /// Chat: the output cap is called `max_completion_tokens` for every model, not only for those whose facts say so.
    pub max_completion_tokens: bool,
    /// Chat: the system prompt is sent with the role `developer`.
    pub developer_role: bool,
    /// Chat: JSON-schema output. `json-object`: only `{"type": "json_object"}`; the schema then goes into the prompt.
    pub schema: SchemaForm,
    /// Chat: how thinking is asked for.
    pub effort: EffortForm,
    /// Chat: takes `seed`; `random_seed` is Mistral's name for it.
    pub seed: SeedForm,
    /// Chat: takes `stop`.
    pub stop: bool,
    /// Chat: the field in which thinking of an earlier turn goes back. Default: it is not sent back.
    pub reasoning_back: ReasoningBack,
    /// Chat: how PDF and other documents are sent.
    pub documents: DocumentForm,
    /// Chat: images are accepted.
    pub images: bool,
    /// The number under `usage.cost` is USD and to be booked (OpenRouter, Perplexity, LiteLLM).
    pub reports_cost: bool,
    /// The response header that states the whole charge in USD, where the usage does not. LiteLLM's
    /// `x-litellm-response-cost` stands on answers that are not streamed, and is left out where it knows no price (seen of
    /// 1.106.2 on 2026-11-23).
    pub charge_header: Option<String>,
    /// `usage.cost_in_usd_ticks` (1e-10 USD) is to be booked (xAI).
    pub reports_ticks: bool,
    /// Reasoning stands outside the completion count although the total does not show it (Perplexity deep research).
    pub reasoning_apart: bool,
    /// Whether the output cap holds thinking, too, is not confirmed, and thinking is counted beside the output (xAI).
    pub thinking_outside_cap: bool,
    /// Counts of uses and search context size in usage are to be priced (Perplexity).
    pub search_usage: bool,
    /// Converse: streams of models whose id holds this text report the whole prompt as input, cached tokens included.
    pub whole_input_streamed: Option<String>,
    /// The model's id is in the path, not in the body (Claude on Vertex).
    pub model_in_body: bool,
    /// Messages: `anthropic_version` goes into the body with this value (Claude on Vertex), not into a header.
    pub version_in_body: Option<String>,
    /// What `{method}` in the path stands for: `[whole, streamed]`, where the row departs from the dialect.
    pub methods: Option<[String; 2]>,
    /// Responses: asks for `reasoning.encrypted_content`, so that thinking can go back although nothing is stored.
    pub encrypted_reasoning: bool,
    /// Responses: `store: false` is sent, so that the provider keeps no copy.
    pub store_false: bool,
}

impl Default for Quirks {
    fn default() -> Quirks {
        Quirks {
            stream_options: true,
            max_completion_tokens: false,
            developer_role: false,
            schema: SchemaForm::JsonSchema,
            effort: EffortForm::ReasoningEffort,
            seed: SeedForm::Seed,
            stop: true,
            reasoning_back: ReasoningBack::Dropped,
            documents: DocumentForm::File,
            images: true,
            reports_cost: false,
            charge_header: None,
            reports_ticks: false,
            reasoning_apart: false,
            thinking_outside_cap: false,
            search_usage: false,
            whole_input_streamed: None,
            model_in_body: true,
            version_in_body: None,
            methods: None,
            encrypted_reasoning: false,
            store_false: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaForm {
    /// `response_format = {type: "json_schema", json_schema: {name, schema, strict}}`.
    JsonSchema,
    /// `response_format = {type: "json_object"}`: the schema goes into the prompt.
    JsonObject,
    /// `response_format = {type: "json_object", schema}` (Together, Fireworks in their older form).
    JsonObjectSchema,
    /// No structured output: the schema goes into the prompt.
    Prompt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffortForm {
    /// `reasoning_effort: "low"`.
    ReasoningEffort,
    /// `reasoning: {effort: "low"}` (OpenRouter, Vercel).
    Reasoning,
    /// `thinking: {type: "enabled" | "disabled"}` (Moonshot, MiniMax).
    ThinkingType,
    /// Both: `thinking: {type}` as the switch, and where it is on, `reasoning_effort` (DeepSeek, Z.ai, Volcengine).
    ThinkingAndEffort,
    /// `enable_thinking: true | false` (Alibaba, SiliconFlow).
    EnableThinking,
    /// `chat_template_kwargs: {enable_thinking}` (vLLM, SGLang).
    TemplateKwargs,
    /// Cannot be set.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentForm {
    /// `{type: "file", file: {filename, file_data}}`.
    File,
    /// `{type: "document_url", document_url}` with a data URL or a plain one (Mistral).
    DocumentUrl,
    /// Not at all.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeedForm {
    Seed,
    RandomSeed,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasoningBack {
    Dropped,
    /// As `reasoning_content` of the assistant's message.
    ReasoningContent,
    /// As `reasoning_details` as they came, else `reasoning` (OpenRouter).
    ReasoningDetails,
    /// As a `thinking` part in the content (Mistral).
    ThinkingPart,
}
