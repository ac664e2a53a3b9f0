//! The usage object of Amazon Bedrock's Converse, put into disjoint meters.

use serde_json::Value;

use super::usage::Counts;
use crate::domain::usage::{Meter, Usage};

/// The meters of a `TokenUsage` object: cache reads and writes stand beside the input. They lie inside it where the total
/// says so, or where `whole_input` is known of the model's stream and the counts allow it.
///
/// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html, read 2026-11-22.
#[must_use]
pub fn converse(raw: &Value, whole_input: bool) -> Usage {
    let mut counts = Counts::new(raw);
    let input = counts.count("/inputTokens");
    let output = counts.count("/outputTokens");
    let total = counts.count("/totalTokens");
    // Older traffic carries each count under both names.
    let read = counts.first(&["/cacheReadInputTokens", "/cacheReadInputTokenCount"]);
    let written = counts.first(&["/cacheWriteInputTokens", "/cacheWriteInputTokenCount"]);
    counts.part(&["/cacheDetails"]);
    counts.needs("prompt", input);
    counts.needs("output", output);
    let cached = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
    if let Some(input) = input {
        let plain = input.saturating_add(output.unwrap_or(0));
        let beside = plain.saturating_add(cached);
        let inside = cached > 0 && input >= cached && (whole_input || total == Some(plain));
        if let Some(total) = total.filter(|total| *total != beside && *total != plain) {
            counts.warn(format!("usage: total {total} is not input {input} + output + cache ({beside})"));
        }
        counts.set(Meter::Input, Some(if inside { input - cached } else { input }));
    }
    counts.set(Meter::CacheRead, read);
    if let Some(written) = written {
        let hour = for_an_hour(raw, &mut counts);
        let hour = counts.within(hour, written, "cache writes for one hour");
        counts.set_some(Meter::CacheWrite1h, Some(hour));
        counts.set_some(Meter::CacheWrite5m, Some(written - hour));
    }
    counts.set(Meter::Output, output);
    counts.finish()
}

/// Tokens that were written for one hour.
fn for_an_hour(raw: &Value, counts: &mut Counts<'_>) -> u64 {
    let mut hour = 0_u64;
    for detail in raw["cacheDetails"].as_array().into_iter().flatten() {
        match (detail["ttl"].as_str(), detail["inputTokens"].as_u64()) {
            (Some("1h"), Some(tokens)) => hour = hour.saturating_add(tokens),
            (Some("5m"), Some(_)) => {}
            _ => counts.warn(format!("usage: a cache lifetime that is not known counts as 5 minutes: {detail}")),
        }
    }
    hour
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::converse;

    fn meters(raw: &Value, whole_input: bool) -> Vec<(&'static str, u64)> {
        let usage = converse(raw, whole_input);
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
        assert_eq!(meters(&raw, false), wanted);
        // An input smaller than the cache counts cannot hold them.
        assert_eq!(meters(&raw, true), wanted);
    }

    #[test]
    fn an_input_that_holds_the_cache_counts_shows_in_the_total_or_is_known_of_the_stream() {
        let wanted = [("input", 100), ("cache_read", 1000), ("cache_write", 300), ("output", 50)];
        let mut raw = json!({"inputTokens": 1400, "outputTokens": 50, "totalTokens": 1450,
            "cacheReadInputTokens": 1000, "cacheWriteInputTokens": 300});
        assert_eq!(meters(&raw, false), wanted);
        raw["totalTokens"] = json!(2750);
        assert_eq!(meters(&raw, true), wanted);
        assert_eq!(meters(&raw, false)[0], ("input", 1400));
    }

    #[test]
    fn a_total_that_fits_no_reading_and_a_new_count_are_said() {
        let usage = converse(&json!({"inputTokens": 10, "outputTokens": 5, "totalTokens": 99}), false);
        assert_eq!(usage.warnings.len(), 1);
        let usage = converse(&json!({"inputTokens": 1, "outputTokens": 1, "totalTokens": 2, "newTokens": 7}), false);
        assert_eq!(usage.warnings, ["unread usage field /newTokens"]);
        for bad in [json!(-1), json!(2_147_483_649_u64)] {
            assert!(converse(&json!({"inputTokens": bad, "outputTokens": 1}), false).rejected, "{bad}");
        }
    }

    #[test]
    fn a_count_that_is_missing_is_said_and_no_final_usage() {
        for (raw, missing) in [
            (json!({"inputTokens": 7}), "output"),
            (json!({"inputTokens": 7, "outputTokens": null, "totalTokens": 12}), "output"),
            (json!({"outputTokens": 5, "cacheReadInputTokens": 900}), "prompt"),
        ] {
            let usage = converse(&raw, false);
            assert!(!usage.is_final(), "{raw}");
            assert_eq!(usage.warnings[0], format!("usage: the count of the {missing} is missing"), "{raw}");
        }
    }
}
