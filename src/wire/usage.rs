//! Reading usage objects: what every dialect does alike, and the OpenAI family's shape.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::json as js;
use super::quirks::Quirks;
use crate::domain::money::Usd;
use crate::domain::usage::{Charge, Meter, Usage};

/// Most of anything that one call can have counted: 2^31. What says more is no count.
const COUNT_MAX: u64 = 1 << 31;

/// Objects that gateways lay into any usage object and that count nothing: the estimates of Pydantic's.
const FOREIGN: &[&str] = &["/pydantic_ai_gateway"];

/// How the names of times and rates end: numbers that count nothing.
const MEASURES: &[&str] = &["_ms", "_time", "_time_sec", "_per_sec", "_per_second"];

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
    /// A negative number, a fraction, a text or a number beyond 2^31 is no count: it makes the usage unusable.
    pub fn count(&mut self, pointer: &'static str) -> Option<u64> {
        self.known.push(pointer);
        let value = self.raw.pointer(pointer).filter(|value| !value.is_null())?;
        let count = number(value);
        if count.is_none() {
            self.usage.rejected = true;
            self.usage.warnings.push(format!("usage field {pointer} is no count: {}", stated(value)));
        }
        count
    }

    /// Says of a count without which the usage is no final one that it is missing. `what`: "prompt" or "output".
    pub fn needs(&mut self, what: &str, count: Option<u64>) {
        // Of a count that was rejected it is said why.
        if count.is_none() && !self.usage.rejected {
            self.usage.incomplete = true;
            self.usage.warnings.push(format!("usage: the count of the {what} is missing"));
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

    /// Says what is worth no alarm.
    pub fn remark(&mut self, remark: impl Into<String>) {
        self.usage.remarks.push(remark.into());
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

    /// Takes what the response says that it cost, where the row says that its word is to be booked.
    pub fn charge(&mut self, quirks: &Quirks) {
        match charge(self.raw, quirks) {
            Ok(charge) => self.usage.charge = charge,
            Err(value) => {
                self.warn(format!("usage: the stated charge is no amount and is not booked: {}", stated(value)))
            }
        }
    }

    /// Ends the reading: every other number that is not zero is named, so that a new field of a provider is seen.
    #[must_use]
    pub fn finish(mut self) -> Usage {
        let mut unread = Vec::new();
        numbers(self.raw, &mut String::new(), &mut |path, number| {
            let lies_in = |known: &&str| path == *known || path.starts_with(&format!("{known}/"));
            let known = self.known.iter().chain(FOREIGN).any(lies_in) || MEASURES.iter().any(|end| path.ends_with(end));
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

/// What stands in place of a number, where it fits into a sentence. No part of it is shown: half a credential that a
/// server echoes would not be known as one.
pub(super) fn stated(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 40 { text } else { format!("{} bytes", text.len()) }
}

/// A count, or `None` for what is none.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value.as_u64() {
        Some(count) => Some(count).filter(|count| *count <= COUNT_MAX),
        // A whole number that was written as a float (`12.0`).
        None => {
            let whole =
                value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=2_147_483_648.0).contains(number));
            format!("{:.0}", whole?).parse().ok()
        }
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

/// The usage reports of one answer: each is the usage so far. The last one wins, and what it leaves out or gives as null
/// stands as reported before; nothing is ever added up.
#[derive(Debug)]
pub struct Reports {
    /// The names of the counts that may not shrink unsaid.
    counts: &'static [&'static str],
    /// The name of the total, which is held against no counts but those of its own report.
    total: &'static str,
    last: Value,
    /// The reports laid over one another.
    all: Value,
    /// The largest value of each count so far.
    most: BTreeMap<&'static str, u64>,
}

impl Reports {
    #[must_use]
    pub fn of(counts: &'static [&'static str], total: &'static str) -> Reports {
        Reports { counts, total, last: Value::Null, all: Value::Null, most: BTreeMap::new() }
    }

    /// Takes a report; false where it is none.
    pub fn add(&mut self, raw: Value) -> bool {
        if raw.as_object().is_none_or(Map::is_empty) {
            return false;
        }
        for name in self.counts {
            if let Some(count) = raw[*name].as_u64() {
                let most = self.most.entry(name).or_default();
                *most = count.max(*most);
            }
        }
        let counts_anew = self.counts.iter().any(|name| !raw[*name].is_null());
        if let Some(total) = self.all.get_mut(self.total).filter(|_| counts_anew) {
            *total = Value::Null;
        }
        js::overlay(&mut self.all, &raw);
        self.last = raw;
        true
    }

    /// The last report alone; null where none came.
    #[must_use]
    pub fn last(&self) -> &Value {
        &self.last
    }

    /// All reports as one.
    #[must_use]
    pub fn all(&self) -> &Value {
        &self.all
    }

    /// Counts that are smaller now than in an earlier report, in sentences.
    pub fn shrunk(&self) -> impl Iterator<Item = String> {
        self.most.iter().filter_map(|(name, most)| {
            let now = self.all[*name].as_u64().filter(|now| now < most)?;
            Some(format!("usage: {name} shrank from {most} to {now}"))
        })
    }

    /// Counts that earlier reports gave and the last one leaves out, in sentences.
    pub fn left_out(&self) -> impl Iterator<Item = String> {
        let gone = self.most.iter().filter(|(name, most)| **most > 0 && self.last[**name].is_null());
        gone.map(|(name, _)| {
            format!("usage: the last report leaves out {name}; {} of an earlier one stands", self.all[*name])
        })
    }
}

/// Reports of the OpenAI family.
#[must_use]
pub fn openai_reports() -> Reports {
    Reports::of(&["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"], "total_tokens")
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
    counts.needs("prompt", prompt);
    counts.needs("output", completion);

    if let Some(prompt) = prompt {
        // Azure's Grok names more cached tokens than prompt, of which its details account for every token without them
        // (Azure AI Inference, grok-4-1-fast, seen 2026-11-23).
        let accounted = counts.raw["prompt_tokens_details"]["text_tokens"].as_u64() == Some(prompt);
        let cached = cached.map(|cached| match accounted && cached > prompt {
            true => {
                counts.remark(format!("usage: more cached tokens ({cached}) than the whole prompt ({prompt})"));
                prompt
            }
            false => counts.within(cached, prompt, "cached tokens"),
        });
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
            // Where the total vouches for the output, no amount depends on how much of it was thinking.
            let vouched = prompt.is_some_and(|prompt| total == Some(prompt.saturating_add(output)));
            let part = match vouched && reasoning > output {
                true => {
                    counts.remark(format!("usage: more reasoning tokens ({reasoning}) than output ({output})"));
                    output
                }
                false => counts.within(reasoning, output, "reasoning tokens"),
            };
            counts.usage().reasoning = Some(part);
        }
    }
    if quirks.search_usage {
        searches(&mut counts);
    }
    counts.charge(quirks);
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
    // OpenRouter's tools: what they cost is in its charge.
    "/server_tool_use_details",
    "/citation_tokens",
    "/num_search_queries",
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

/// What the response says that it cost, read from the number's text; `None` where it says nothing.
///
/// # Errors
/// What is stated is no amount: below zero, no number, or beyond what can be booked.
fn charge<'a>(raw: &'a Value, quirks: &Quirks) -> Result<Option<Charge>, &'a Value> {
    if quirks.reports_ticks {
        let usd = amount(&raw["cost_in_usd_ticks"], 2)?;
        return Ok(usd.map(|usd| Charge { usd, upstream: None }));
    }
    if !quirks.reports_cost {
        return Ok(None);
    }
    let stated = &raw["cost"];
    let Some(usd) = amount(if stated.is_object() { &stated["total_cost"] } else { stated }, 12)? else {
        return Ok(None);
    };
    // With the user's own key the router's fee and the upstream's charge go to two payees; else one repeats the other.
    let own_key = raw["is_byok"].as_bool() == Some(true);
    let upstream = if own_key { amount(&raw["cost_details"]["upstream_inference_cost"], 12)? } else { None };
    // The router's fee alone is not what the call cost.
    Ok((!own_key || upstream.is_some()).then_some(Charge { usd, upstream }))
}

/// A stated amount in units of `10^(scale - 12)` USD; `None` where none is stated.
fn amount(stated: &Value, scale: i32) -> Result<Option<Usd>, &Value> {
    if stated.is_null() {
        return Ok(None);
    }
    let text = Some(stated).filter(|stated| stated.is_number()).map(Value::to_string);
    let usd = text.and_then(|text| Usd::parse_scaled(&text, scale));
    usd.filter(|usd| usd.picos >= 0).map(Some).ok_or(stated)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{openai, openai_reports};
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
        for bad in [
            json!(-5),
            json!(11.5),
            json!("7"),
            json!(2_147_483_649_u64),
            json!(4_294_967_296.0),
            json!(u64::MAX),
            json!(1e30),
            json!(true),
        ] {
            let usage = read(&json!({"prompt_tokens": bad, "completion_tokens": 3}));
            assert!(usage.rejected && !usage.is_final(), "{bad}");
            assert_eq!((usage.get(Meter::Input), usage.warnings.len()), (None, 1), "{:?}", usage.warnings);
        }
        for good in [json!(0), json!(12.0), json!(2_147_483_648_u64)] {
            assert!(read(&json!({"prompt_tokens": good, "completion_tokens": 3})).is_final(), "{good}");
        }
    }

    #[test]
    fn a_count_that_is_missing_is_said_and_no_final_usage() {
        for (raw, missing) in [
            (json!({"prompt_tokens": 7}), "output"),
            (json!({"prompt_tokens": 7, "completion_tokens": null, "total_tokens": 12}), "output"),
            (json!({"completion_tokens": 5}), "prompt"),
            (json!({"input_tokens": 7, "total_tokens": 12}), "output"),
        ] {
            let usage = read(&raw);
            assert!(!usage.is_final() && !usage.rejected, "{raw}");
            assert_eq!(usage.warnings, [format!("usage: the count of the {missing} is missing")], "{raw}");
        }
        // A stated charge is the bill, whatever was counted.
        let quirks = Quirks { reports_cost: true, ..Quirks::default() };
        assert!(openai(&json!({"prompt_tokens": 7, "cost": 0.002}), &quirks).is_final());
    }

    #[test]
    fn a_charge_that_is_no_amount_is_not_booked_and_said() {
        let quirks = Quirks { reports_cost: true, ..Quirks::default() };
        for bad in [json!(1_000_000_000_000_u64), json!(-1), json!("0.01"), json!({"total_cost": -0.5})] {
            let usage = openai(&json!({"prompt_tokens": 7, "completion_tokens": 5, "cost": bad}), &quirks);
            assert_eq!((usage.charge.as_ref(), usage.is_final(), usage.warnings.len()), (None, true, 1), "{bad}");
            assert!(usage.warnings[0].contains("the stated charge is no amount"), "{:?}", usage.warnings);
        }
        let ticks = Quirks { reports_ticks: true, ..Quirks::default() };
        let usage = openai(&json!({"prompt_tokens": 7, "completion_tokens": 5, "cost_in_usd_ticks": -3}), &ticks);
        assert_eq!((usage.charge, usage.warnings.len()), (None, 1));
        for none in [json!(null), json!({})] {
            let usage = openai(&json!({"prompt_tokens": 7, "completion_tokens": 5, "cost": none}), &quirks);
            assert_eq!((usage.charge, usage.warnings), (None, vec![]), "{none}");
        }
    }

    #[test]
    fn a_later_report_lies_over_the_earlier_ones_and_a_null_takes_nothing_back() {
        let laid = |reports: &[Value]| {
            let mut all = openai_reports();
            for report in reports {
                assert!(all.add(report.clone()));
            }
            let usage = read(all.all());
            (meters(&usage), usage.warnings.into_iter().chain(all.shrunk()).collect::<Vec<_>>())
        };
        let first = json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12});
        let half = json!({"prompt_tokens": null, "completion_tokens": 9, "total_tokens": null});
        let none = json!({"prompt_tokens": null, "completion_tokens": null, "total_tokens": null});
        assert_eq!(laid(&[first.clone(), half]), (vec![("input", 7), ("output", 9)], vec![]));
        assert_eq!(laid(&[first.clone(), none]), (vec![("input", 7), ("output", 5)], vec![]));
        let large = json!({"prompt_tokens": 70, "completion_tokens": 50, "total_tokens": 120});
        let shrank = ["completion_tokens shrank from 50 to 5", "prompt_tokens shrank from 70 to 7"];
        assert_eq!(
            laid(&[large, first]),
            (vec![("input", 7), ("output", 5)], shrank.map(|what| format!("usage: {what}")).to_vec())
        );
        // A total that vouches for thinking outside the output still does where nothing is counted anew.
        let outside = json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 32,
            "completion_tokens_details": {"reasoning_tokens": 20}});
        let silent = json!({"prompt_tokens": null, "total_tokens": null});
        assert_eq!(laid(&[outside, silent]), (vec![("input", 7), ("output", 25)], vec![]));
        assert!(!openai_reports().add(json!({})));
    }

    #[test]
    fn times_and_rates_are_no_counts_and_known_contradictions_are_no_alarm() {
        let usage = read(&json!({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "total_time": 0.5,
            "tokens_per_second": 69.8, "avg_tok_per_sec": 3.5, "total_time_sec": 1.25,
            "latency": {"first_ms": 9}, "pydantic_ai_gateway": {"cost_estimate": 0.1}}));
        assert_eq!(usage.warnings, [] as [String; 0]);
        let grok = read(&json!({"prompt_tokens": 23, "completion_tokens": 4, "total_tokens": 27,
            "prompt_tokens_details": {"cached_tokens": 158, "text_tokens": 23}}));
        assert_eq!((meters(&grok), grok.warnings), (vec![("cache_read", 23), ("output", 4)], vec![]));
        assert_eq!(grok.remarks.len(), 1);
        let thought = json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
            "completion_tokens_details": {"reasoning_tokens": 6}});
        assert_eq!((read(&thought).warnings.len(), read(&thought).remarks.len()), (0, 1));
        let mut unvouched = thought;
        unvouched["total_tokens"] = Value::Null;
        assert_eq!(read(&unvouched).warnings.len(), 1);
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
