//! What a call consumed: disjoint meters, so that a bill is a sum.

use std::collections::BTreeMap;

use serde_json::Value;

use super::money::Usd;

/// A count that can have a price of its own. No two meters overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meter {
    /// Prompt tokens at the plain rate: not cached, not audio, not image.
    Input,
    /// Prompt tokens served from a cache.
    CacheRead,
    /// Written to a cache with the provider's default lifetime.
    CacheWrite5m,
    /// Written to a cache with the one-hour lifetime.
    CacheWrite1h,
    /// Generated text tokens, thinking included.
    Output,
    AudioIn,
    AudioOut,
    /// Cached audio tokens (Gemini).
    CacheReadAudio,
    ImageIn,
    ImageOut,
    /// Thinking outside the output count with a rate of its own (Perplexity deep research).
    ReasoningOut,
    /// Perplexity citation tokens.
    Citation,
    /// A count of searches, not of tokens.
    WebSearch,
    /// Perplexity: one request at this search context size.
    WebSearchLow,
    WebSearchMedium,
    WebSearchHigh,
    /// Cohere: search units.
    SearchUnit,
    /// Cohere: classifications.
    Classification,
}

impl Meter {
    pub const ALL: [Meter; 18] = [
        Meter::Input,
        Meter::CacheRead,
        Meter::CacheWrite5m,
        Meter::CacheWrite1h,
        Meter::Output,
        Meter::AudioIn,
        Meter::AudioOut,
        Meter::CacheReadAudio,
        Meter::ImageIn,
        Meter::ImageOut,
        Meter::ReasoningOut,
        Meter::Citation,
        Meter::WebSearch,
        Meter::WebSearchLow,
        Meter::WebSearchMedium,
        Meter::WebSearchHigh,
        Meter::SearchUnit,
        Meter::Classification,
    ];

    /// The meter with this key.
    #[must_use]
    pub fn of(key: &str) -> Option<Meter> {
        Meter::ALL.into_iter().find(|meter| meter.key() == key)
    }

    /// Whether it counts prompt tokens. Their sum is the prompt total, which decides a price tier.
    #[must_use]
    pub fn is_prompt(self) -> bool {
        matches!(
            self,
            Meter::Input
                | Meter::CacheRead
                | Meter::CacheWrite5m
                | Meter::CacheWrite1h
                | Meter::AudioIn
                | Meter::CacheReadAudio
                | Meter::ImageIn
        )
    }

    /// Whether it counts tokens that were generated.
    #[must_use]
    pub fn is_answer(self) -> bool {
        matches!(self, Meter::Output | Meter::AudioOut | Meter::ImageOut | Meter::ReasoningOut)
    }

    /// Its key in `pricing.toml` (fees without the `fees.` before them).
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Meter::Input => "input",
            Meter::CacheRead => "cache_read",
            Meter::CacheWrite5m => "cache_write",
            Meter::CacheWrite1h => "cache_write_1h",
            Meter::Output => "output",
            Meter::AudioIn => "input_audio",
            Meter::AudioOut => "output_audio",
            Meter::CacheReadAudio => "cache_read_audio",
            Meter::ImageIn => "input_image",
            Meter::ImageOut => "output_image",
            Meter::ReasoningOut => "reasoning",
            Meter::Citation => "citation",
            Meter::WebSearch => "web_search",
            Meter::WebSearchLow => "web_search:low",
            Meter::WebSearchMedium => "web_search:medium",
            Meter::WebSearchHigh => "web_search:high",
            Meter::SearchUnit => "search_unit",
            Meter::Classification => "classification",
        }
    }
}

/// The usage of one call, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// Only meters that the provider reported: a missing one is unknown or not applicable, not zero.
    pub quantities: BTreeMap<Meter, u64>,
    /// How much of `Output` was thinking: a remark, never added.
    pub reasoning: Option<u64>,
    /// The usage object as received; for a stream that splits it, its events laid over one another.
    pub raw: Value,
    /// What the provider says that the call cost.
    pub charge: Option<Charge>,
    /// The tier that was served, where the usage object names it.
    pub service_tier: Option<String>,
    /// What else the usage object says that decides the price, as words (`speed`, `inference_geo`).
    pub attributes: BTreeMap<String, String>,
    /// Counts that contradict each other or were not understood, in sentences. Where the usage is no basis for a bill, the
    /// first says why.
    pub warnings: Vec<String>,
    /// What is worth a look and no alarm, in sentences: shapes that a provider is known for.
    pub remarks: Vec<String>,
    /// Calls inside the call with a price of their own (Anthropic `iterations`): their sum is `quantities`.
    pub iterations: Vec<Iteration>,
    /// A count was unusable, or the last one never came: not a basis for a bill.
    pub rejected: bool,
    /// The count of the prompt or that of the output is missing; a warning says which.
    pub incomplete: bool,
}

/// One model call inside an Anthropic answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Iteration {
    /// `None`: the model of the call.
    pub model: Option<String>,
    pub quantities: BTreeMap<Meter, u64>,
}

/// A price that the response itself states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub usd: Usd,
    /// OpenRouter with the user's own key: what the upstream charges beside the router's fee.
    pub upstream: Option<Usd>,
}

impl Usage {
    /// Sets a meter; a zero is kept, since a reported zero is known.
    pub fn set(&mut self, meter: Meter, quantity: u64) {
        self.quantities.insert(meter, quantity);
    }

    #[must_use]
    pub fn get(&self, meter: Meter) -> Option<u64> {
        self.quantities.get(&meter).copied()
    }

    /// Whether it is a basis for a bill: what was not counted is not zero, and only a stated charge does without counts.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !self.rejected && (self.charge.is_some() || !self.incomplete && !self.quantities.is_empty())
    }

    /// Everything that is to be said of the counts, the gravest first.
    pub fn notes(&self) -> impl Iterator<Item = &String> {
        self.warnings.iter().chain(&self.remarks)
    }

    /// Changes everything that is to be said of the counts: it may repeat what a server put into its field names.
    pub fn change_notes(&mut self, change: &dyn Fn(&str) -> String) {
        for note in self.warnings.iter_mut().chain(&mut self.remarks) {
            *note = change(note);
        }
    }

    /// Sum of the input-side meters, or `None` where none was reported.
    #[must_use]
    pub fn prompt_total(&self) -> Option<u64> {
        self.quantities
            .iter()
            .filter(|(meter, _)| meter.is_prompt())
            .map(|(_, quantity)| *quantity)
            .reduce(u64::saturating_add)
    }
}
