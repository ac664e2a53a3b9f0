//! Reading usage objects: what every dialect does alike, and the OpenAI family's shape.

use serde_json::Value;

use super::quirks::Quirks;
use crate::domain::money::Usd;
use crate::domain::usage::{Charge, Meter, Usage};

/// Reads counts out of a usage object and remembers which of its numbers nobody asked for.
#[derive(Debug)]
pub struct Counts<'a> {
    raw: &'a Value,
    /// Paths that were read or are known to be parts of something else.
    known: Vec<&'static str>,
    usage: Usage,
}

impl<'a> Counts<'a> {
    #[must_use]
    pub fn new(raw: &'a Value) -> Counts<'a> {
        Counts { raw, known: Vec::new(), usage: Usage { raw: raw.clone(), ..Usage::default() } }
    }

    /// The count at a JSON pointer (`/prompt_tokens_details/cached_tokens`), or `None` where it is missing or null.
    /// A negative number, a fraction, a text or a number beyond 2^53 is no count: it makes the usage unusable.
    pub fn count(&mut self, pointer: &'static str) -> Option<u64> {
        self.known.push(pointer);
        let value = self.raw.pointer(pointer).filter(|value| !value.is_null())?;
        match value.as_u64().filter(|count| *count <= 1 << 53) {
            Some(count) => Some(count),
            // A whole number that was written as a float (`12.0`).
            None => match value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..9e15).contains(number)) {
                Some(number) if value.is_number() => format!("{number:.0}").parse().ok(),
                _ => {
                    self.usage.rejected = true;
                    self.usage.warnings.push(format!("usage field {pointer} is no count: {value}"));
                    None
                }
            },
        }
    }

    /// The first of several places that holds a count.
    pub fn first(&mut self, pointers: &[&'static str]) -> Option<u64> {
        let mut found = None;
        for pointer in pointers {
            let count = self.count(pointer);
            found = found.or(count);
        }
        found
    }

    /// Marks numbers that are parts of other counts, or no counts of tokens: they are not "unread".
    pub fn part(&mut self, pointers: &[&'static str]) {
        self.known.extend(pointers);
    }

    pub fn set(&mut self, meter: Meter, quantity: Option<u64>) {
        if let Some(quantity) = quantity {
            self.usage.set(meter, quantity);
        }
    }

    /// Sets a meter only when something was counted: for meters that most calls do not have.
    pub fn set_some(&mut self, meter: Meter, quantity: Option<u64>) {
        self.set(meter, quantity.filter(|quantity| *quantity > 0));
    }

    pub fn warn(&mut self, warning: impl Into<String>) {
        self.usage.warnings.push(warning.into());
    }

    pub fn usage(&mut self) -> &mut Usage {
        &mut self.usage
    }

    /// `part`, or all of `whole` where the part claims to be larger (said as a warning).
    pub fn within(&mut self, part: u64, whole: u64, what: &str) -> u64 {
        if part > whole {
            self.warn(format!("usage: {what} ({part}) is larger than what it is a part of ({whole})"));
        }
        part.min(whole)
    }

    /// Ends the reading: every other number that is not zero is named, so that a new field of a provider is seen.
    #[must_use]
    pub fn finish(mut self) -> Usage {
        let mut unread = Vec::new();
        numbers(self.raw, &mut String::new(), &mut |path, number| {
            let known = self.known.iter().any(|known| path == *known || path.starts_with(&format!("{known}/")));
            if !known && number.as_f64() != Some(0.0) {
                unread.push(path.to_owned());
            }
        });
        for path in unread {
            self.warn(format!("unread usage field {path}"));
        }
        self.usage
    }
}

fn numbers(value: &Value, path: &mut String, each: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Number(_) => each(path, value),
        Value::Object(map) => {
            for (key, inner) in map {
                let length = path.len();
                path.push('/');
                path.push_str(key);
                numbers(inner, path, each);
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                let length = path.len();
                path.push('/');
                path.push_str(&index.to_string());
                numbers(inner, path, each);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// The usage object of OpenAI and all who imitate it, Chat Completions and Responses alike.
///
/// Rules: `reference` usage semantics, sections 2 and 3: cached and written tokens lie inside the prompt; reasoning lies
/// inside the completion unless the total says otherwise (xAI's shape); a Perplexity row says so by a quirk.
#[must_use]
pub fn openai(raw: &Value, quirks: &Quirks) -> Usage {
    let mut counts = Counts::new(raw);
    let prompt = counts.first(&["/prompt_tokens", "/input_tokens"]);
    let completion = counts.first(&["/completion_tokens", "/output_tokens"]);
    let total = counts.count("/total_tokens");
    let hit = counts.count("/prompt_cache_hit_tokens");
    let miss = counts.count("/prompt_cache_miss_tokens");
    let cached = counts
        .first(&[
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
            "/prompt_token_details/cached_tokens",
            "/cached_tokens",
            "/num_cached_tokens",
            "/cache_read_input_tokens",
        ])
        .or(hit);
    let written = counts.first(&[
        "/prompt_tokens_details/cache_write_tokens",
        "/input_tokens_details/cache_write_tokens",
        "/prompt_tokens_details/cache_creation_tokens",
        "/cache_creation_input_tokens",
    ]);
    let audio_in = counts.first(&["/prompt_tokens_details/audio_tokens", "/input_tokens_details/audio_tokens"]);
    let audio_out = counts.first(&["/completion_tokens_details/audio_tokens", "/output_tokens_details/audio_tokens"]);
    let reasoning = counts.first(&[
        "/completion_tokens_details/reasoning_tokens",
        "/output_tokens_details/reasoning_tokens",
        "/reasoning_tokens",
    ]);
    counts.part(OPENAI_PARTS);

    if let Some(prompt) = prompt {
        let cached = cached.map(|cached| counts.within(cached, prompt, "cached tokens"));
        let rest = prompt - cached.unwrap_or(0);
        let written = written.map(|written| counts.within(written, rest, "cache writes"));
        let rest = rest - written.unwrap_or(0);
        let audio = audio_in.map(|audio| counts.within(audio, rest, "audio tokens"));
        counts.set(Meter::Input, Some(rest - audio.unwrap_or(0)));
        counts.set(Meter::CacheRead, cached);
        counts.set_some(Meter::CacheWrite5m, written);
        counts.set_some(Meter::AudioIn, audio);
        if let (Some(hit), Some(miss)) = (hit, miss)
            && hit.saturating_add(miss) != prompt
        {
            counts.warn(format!("usage: prompt {prompt} is not cache hit {hit} + miss {miss}"));
            counts.set(Meter::Input, Some(miss));
            counts.set(Meter::CacheRead, Some(hit));
        }
    }
    if let Some(completion) = completion {
        let outside = total.is_some_and(|total| is_outside(total, prompt, completion, reasoning));
        if quirks.reasoning_apart {
            counts.set_some(Meter::ReasoningOut, reasoning);
        }
        let thought = if outside { reasoning.unwrap_or(0) } else { 0 };
        let audio = audio_out.map(|audio| counts.within(audio, completion, "audio tokens"));
        counts.set(Meter::Output, Some(completion - audio.unwrap_or(0) + thought));
        counts.set_some(Meter::AudioOut, audio);
        if let (Some(prompt), Some(total)) = (prompt, total)
            && !outside
            && total != prompt.saturating_add(completion)
        {
            counts.warn(format!("usage: total {total} is not prompt {prompt} + completion {completion}"));
        }
        if let Some(reasoning) = reasoning.filter(|_| !quirks.reasoning_apart) {
            let output = completion + thought;
            let part = counts.within(reasoning, output, "reasoning tokens");
            counts.usage().reasoning = Some(part);
        }
    }
    if quirks.search_usage {
        searches(&mut counts);
    }
    counts.usage().charge = charge(raw, quirks);
    counts.finish()
}

/// Whether the total says that reasoning stands beside the completion, not inside it.
fn is_outside(total: u64, prompt: Option<u64>, completion: u64, reasoning: Option<u64>) -> bool {
    let Some(reasoning) = reasoning.filter(|reasoning| *reasoning > 0) else {
        return false;
    };
    let inside = prompt.unwrap_or(0).saturating_add(completion);
    total != inside && total == inside.saturating_add(reasoning)
}

/// Numbers that are no meters of their own: parts of counts, prices, rates, times.
const OPENAI_PARTS: &[&str] = &[
    "/prompt_tokens_details/text_tokens",
    "/prompt_tokens_details/image_tokens",
    "/prompt_tokens_details/video_tokens",
    "/prompt_tokens_details/cached_tokens_details",
    "/input_tokens_details/text_tokens",
    "/input_tokens_details/image_tokens",
    "/completion_tokens_details/accepted_prediction_tokens",
    "/completion_tokens_details/rejected_prediction_tokens",
    "/completion_tokens_details/text_tokens",
    "/completion_tokens_details/image_tokens",
    "/output_tokens_details/text_tokens",
    "/prompt_tokens_details/cache_creation",
    "/cost",
    "/cost_details",
    "/cost_in_usd_ticks",
    "/num_sources_used",
    "/context_details",
    "/num_server_side_tools_used",
    "/server_side_tool_usage_details/web_search_calls",
    "/pydantic_ai_gateway",
    "/citation_tokens",
    "/num_search_queries",
    "/queue_time",
    "/prompt_time",
    "/completion_time",
    "/total_time",
];

/// Perplexity: citations and searches beside the tokens, and a request fee by the size of the search context.
fn searches(counts: &mut Counts<'_>) {
    let citation = counts.count("/citation_tokens");
    counts.set_some(Meter::Citation, citation);
    let queries = counts.count("/num_search_queries");
    counts.set_some(Meter::WebSearch, queries);
    if queries.is_none() {
        let size = match counts.raw["search_context_size"].as_str() {
            Some("low") => Meter::WebSearchLow,
            Some("medium") => Meter::WebSearchMedium,
            Some("high") => Meter::WebSearchHigh,
            _ => return,
        };
        counts.set(size, Some(1));
    }
}

/// What the response says that it cost, where the row says that its word is to be booked. Read from the number's text.
pub(super) fn charge(raw: &Value, quirks: &Quirks) -> Option<Charge> {
    let decimal = |value: &Value| value.is_number().then(|| value.to_string());
    if quirks.reports_ticks {
        let usd = Usd::parse_scaled(&decimal(&raw["cost_in_usd_ticks"])?, 2).filter(|usd| usd.picos >= 0)?;
        return Some(Charge { usd, upstream: None });
    }
    if !quirks.reports_cost {
        return None;
    }
    let stated = decimal(&raw["cost"]).or_else(|| decimal(&raw["cost"]["total_cost"]))?;
    let usd = Usd::parse(&stated).filter(|usd| usd.picos >= 0)?;
    // With the user's own key the router's fee and the upstream's charge go to two payees; else one repeats the other.
    let own_key = raw["is_byok"].as_bool() == Some(true);
    let upstream = own_key
        .then(|| decimal(&raw["cost_details"]["upstream_inference_cost"]).and_then(|text| Usd::parse(&text)))
        .flatten()
        .filter(|usd| usd.picos >= 0);
    // The router's fee alone is not what the call cost.
    (!own_key || upstream.is_some()).then_some(Charge { usd, upstream })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::openai;
    use crate::domain::money::Usd;
    use crate::domain::usage::{Meter, Usage};
    use crate::wire::quirks::Quirks;

    fn meters(usage: &Usage) -> Vec<(&'static str, u64)> {
        usage.quantities.iter().filter(|(_, count)| **count > 0).map(|(meter, count)| (meter.key(), *count)).collect()
    }

    fn read(raw: &Value) -> Usage {
        openai(raw, &Quirks::default())
    }

    #[test]
    fn cached_and_written_tokens_lie_inside_the_prompt() {
        let usage = read(&json!({"prompt_tokens": 5000, "completion_tokens": 800, "total_tokens": 5800,
            "prompt_tokens_details": {"cached_tokens": 3000, "cache_write_tokens": 1500, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 600, "audio_tokens": 0}}));
        assert_eq!(meters(&usage), [("input", 500), ("cache_read", 3000), ("cache_write", 1500), ("output", 800)]);
        assert_eq!((usage.reasoning, usage.prompt_total()), (Some(600), Some(5000)));
        assert_eq!(usage.warnings, [] as [String; 0]);
    }

    #[test]
    fn audio_has_meters_of_its_own() {
        let usage = read(&json!({"prompt_tokens": 120, "completion_tokens": 90, "total_tokens": 210,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 100},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 70}}));
        assert_eq!(meters(&usage), [("input", 20), ("output", 20), ("input_audio", 100), ("output_audio", 70)]);
    }

    #[test]
    fn reasoning_outside_the_completion_shows_in_the_total_and_is_added() {
        let raw = json!({"prompt_tokens": 10120, "completion_tokens": 1499, "total_tokens": 14428,
            "prompt_tokens_details": {"cached_tokens": 128}, "completion_tokens_details": {"reasoning_tokens": 2809},
            "cost_in_usd_ticks": 232_856_000});
        let usage = openai(&raw, &Quirks { reports_ticks: true, ..Quirks::default() });
        assert_eq!(meters(&usage), [("input", 9992), ("cache_read", 128), ("output", 4308)]);
        assert_eq!(usage.charge.map(|charge| charge.usd), Usd::parse("0.0232856"));
    }

    #[test]
    fn deepseek_mistral_and_perplexity_count_in_their_own_fields() {
        let usage =
            read(&json!({"prompt_tokens": 900, "prompt_cache_hit_tokens": 640, "prompt_cache_miss_tokens": 260,
            "completion_tokens": 300, "total_tokens": 1200, "completion_tokens_details": {"reasoning_tokens": 180}}));
        assert_eq!(meters(&usage), [("input", 260), ("cache_read", 640), ("output", 300)]);

        let usage = read(
            &json!({"prompt_tokens": 500, "num_cached_tokens": 384, "completion_tokens": 40, "total_tokens": 540}),
        );
        assert_eq!(meters(&usage), [("input", 116), ("cache_read", 384), ("output", 40)]);

        let quirks = Quirks { reasoning_apart: true, search_usage: true, ..Quirks::default() };
        let usage = openai(
            &json!({"prompt_tokens": 30, "completion_tokens": 400, "total_tokens": 430,
            "reasoning_tokens": 9000, "citation_tokens": 12000, "num_search_queries": 18}),
            &quirks,
        );
        assert_eq!(
            meters(&usage),
            [("input", 30), ("output", 400), ("reasoning", 9000), ("citation", 12000), ("web_search", 18)]
        );

        let usage = openai(
            &json!({"prompt_tokens": 20, "completion_tokens": 100, "total_tokens": 120,
            "search_context_size": "medium"}),
            &quirks,
        );
        assert_eq!(meters(&usage), [("input", 20), ("output", 100), ("web_search:medium", 1)]);
    }

    #[test]
    fn a_stated_charge_is_booked_only_where_the_row_says_so() {
        let raw = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.00006,
            "is_byok": true, "cost_details": {"upstream_inference_cost": 0.00123}});
        assert_eq!(read(&raw).charge, None);
        let charge = openai(&raw, &Quirks { reports_cost: true, ..Quirks::default() }).charge.expect("stated");
        assert_eq!((Some(charge.usd), charge.upstream), (Usd::parse("0.00006"), Usd::parse("0.00123")));
        let mut silent = raw.clone();
        silent["cost_details"] = Value::Null;
        assert_eq!(openai(&silent, &Quirks { reports_cost: true, ..Quirks::default() }).charge, None);
    }

    #[test]
    fn what_is_no_count_makes_the_usage_unusable_and_is_never_guessed() {
        for bad in [json!(-5), json!(11.5), json!("7"), json!(1e30), json!(true)] {
            let usage = read(&json!({"prompt_tokens": bad, "completion_tokens": 3}));
            assert!(usage.rejected, "{bad}");
            assert_eq!(usage.get(Meter::Input), None);
        }
    }

    #[test]
    fn a_part_larger_than_its_whole_is_clamped_and_a_new_field_is_named() {
        let usage = read(&json!({"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11,
            "prompt_tokens_details": {"cached_tokens": 40}, "brand_new_tokens": 3}));
        assert_eq!(meters(&usage), [("cache_read", 10), ("output", 1)]);
        assert_eq!(usage.warnings.len(), 2);
        assert!(usage.warnings[1].contains("/brand_new_tokens"));
    }
}
