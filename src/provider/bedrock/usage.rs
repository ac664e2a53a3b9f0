//! The usage object of Converse, read as received and put into disjoint meters.

use serde_json::Value;

use crate::domain::usage::{Meter, Usage};
use crate::wire::usage::Counts;

/// The meters of a `TokenUsage` object. Cache reads and writes stand beside the input; where the total says that they
/// lie inside it (seen on streams of `openai.*`), they are taken out. `tier`: the one that served the call.
///
/// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html, read 2026-11-22.
#[must_use]
pub fn converse(raw: &Value, tier: Option<String>) -> Usage {
    let mut counts = Counts::new(raw);
    let input = counts.count("/inputTokens");
    let output = counts.count("/outputTokens");
    let total = counts.count("/totalTokens");
    // Older traffic carries each count under both names.
    let read = counts.first(&["/cacheReadInputTokens", "/cacheReadInputTokenCount"]);
    let written = counts.first(&["/cacheWriteInputTokens", "/cacheWriteInputTokenCount"]);
    counts.part(&["/cacheDetails"]);
    let cached = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
    if let Some(input) = input {
        let plain = input.saturating_add(output.unwrap_or(0));
        let beside = plain.saturating_add(cached);
        let inside = cached > 0 && total == Some(plain) && input >= cached;
        if let Some(total) = total.filter(|total| *total != beside && !inside) {
            counts.warn(format!("usage: total {total} is not input {input} + output + cache ({beside})"));
        }
        counts.set(Meter::Input, Some(if inside { input - cached } else { input }));
    }
    counts.set(Meter::CacheRead, read);
    if let Some(written) = written {
        let (hour, unknown) = lifetimes(raw, &mut counts);
        let hour = counts.within(hour, written, "cache writes for one hour");
        if unknown {
            counts.warn("usage: a cache lifetime that is not known counts as 5 minutes");
        }
        counts.set_some(Meter::CacheWrite1h, Some(hour));
        counts.set_some(Meter::CacheWrite5m, Some(written - hour));
    }
    counts.set(Meter::Output, output);
    counts.usage().service_tier = tier;
    counts.finish()
}

/// Tokens written for one hour, and whether a lifetime was none that we know.
fn lifetimes(raw: &Value, counts: &mut Counts<'_>) -> (u64, bool) {
    let mut hour = 0_u64;
    let mut unknown = false;
    for detail in raw["cacheDetails"].as_array().into_iter().flatten() {
        let Some(tokens) = detail["inputTokens"].as_u64() else {
            counts.warn(format!("usage: cacheDetails holds no count: {detail}"));
            continue;
        };
        match detail["ttl"].as_str() {
            Some("1h") => hour = hour.saturating_add(tokens),
            Some("5m") => {}
            _ => unknown = true,
        }
    }
    (hour, unknown)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::converse;

    fn meters(raw: &Value) -> Vec<(&'static str, u64)> {
        let usage = converse(raw, None);
        assert_eq!(usage.warnings, [] as [String; 0], "{raw}");
        usage.quantities.iter().filter(|(_, count)| **count > 0).map(|(meter, count)| (meter.key(), *count)).collect()
    }

    #[test]
    fn cache_counts_stand_beside_the_input_and_lifetimes_are_told_apart() {
        let raw = json!({"inputTokens": 100, "outputTokens": 50, "totalTokens": 1450, "cacheReadInputTokens": 1000,
            "cacheReadInputTokenCount": 1000, "cacheWriteInputTokens": 300,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 100}]});
        let wanted =
            [("input", 100), ("cache_read", 1000), ("cache_write", 100), ("cache_write_1h", 200), ("output", 50)];
        assert_eq!(meters(&raw), wanted);
        assert_eq!(converse(&raw, None).prompt_total(), Some(1400));
    }

    #[test]
    fn an_input_that_holds_the_cache_counts_shows_in_the_total() {
        let raw = json!({"inputTokens": 1400, "outputTokens": 50, "totalTokens": 1450, "cacheReadInputTokens": 1000,
            "cacheWriteInputTokens": 300});
        assert_eq!(meters(&raw), [("input", 100), ("cache_read", 1000), ("cache_write", 300), ("output", 50)]);
    }

    #[test]
    fn a_total_that_fits_neither_reading_and_a_new_count_are_said() {
        let usage = converse(&json!({"inputTokens": 10, "outputTokens": 5, "totalTokens": 99}), None);
        assert_eq!(usage.warnings.len(), 1);
        let usage = converse(&json!({"inputTokens": 1, "outputTokens": 1, "totalTokens": 2, "newTokens": 7}), None);
        assert_eq!(usage.warnings, ["unread usage field /newTokens"]);
        assert!(converse(&json!({"inputTokens": -1, "outputTokens": 1}), None).rejected);
    }
}
