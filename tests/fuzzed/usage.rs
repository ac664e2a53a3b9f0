//! Usage objects: disjoint counts that cannot overflow, and bills that are sums.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use llmx::domain::bill::{Basis, Bill, Outcome};
use llmx::domain::model::ModelName;
use llmx::domain::money::Usd;
use llmx::domain::usage::{Meter, Usage};
use llmx::pricing::{Called, Context, Moment, Prices};
use llmx::wire::contract::Dialect;
use llmx::wire::quirks::Quirks;
use serde_json::Value;

use super::answers::reporting;

/// More than any sum of a few counts, each of which is at most 2^53.
const COUNT_MAX: u64 = 1 << 56;

pub fn usage(bytes: &[u8]) {
    let Ok(raw) = serde_json::from_slice::<Value>(bytes) else { return };
    let ticks = Quirks { reports_ticks: true, ..Quirks::default() };
    for dialect in Dialect::ALL {
        for quirks in [Quirks::default(), reporting(), ticks.clone()] {
            let read = dialect.usage(&raw, &quirks, "model", true);
            assert_eq!(read, dialect.usage(&raw, &quirks, "model", true));
            let Some(usage) = read else { continue };
            assert_sound(&usage);
            if quirks.reports_cost {
                assert_billed(&usage);
            }
            let openai = matches!(dialect, Dialect::Chat | Dialect::Responses);
            if openai && !quirks.reasoning_apart && raw["billed_units"].is_null() && raw["x_groq"].is_null() {
                assert_adds_up(&raw, &usage);
            }
        }
    }
}

/// Panics where the counts could not be billed.
pub fn assert_sound(usage: &Usage) {
    assert!(usage.quantities.values().all(|count| *count <= COUNT_MAX), "{usage:?}");
    if let Some(charge) = &usage.charge {
        assert!(charge.usd.picos >= 0 && charge.upstream.unwrap_or_default().picos >= 0, "{charge:?}");
    }
    if let Some(thought) = usage.reasoning.filter(|_| !usage.rejected) {
        let out = [Meter::Output, Meter::AudioOut, Meter::ImageOut];
        let out: u64 = out.into_iter().filter_map(|meter| usage.get(meter)).sum();
        assert!(thought <= out, "thinking is a part of the output: {usage:?}");
    }
    if !usage.iterations.is_empty() {
        let mut sum: BTreeMap<Meter, u64> = BTreeMap::new();
        for (meter, count) in usage.iterations.iter().flat_map(|one| &one.quantities) {
            *sum.entry(*meter).or_default() += count;
        }
        assert_eq!(sum, usage.quantities, "the calls inside a call are all of it");
    }
}

/// Where nothing was warned of, the disjoint meters are the totals that were reported.
fn assert_adds_up(raw: &Value, usage: &Usage) {
    if !usage.warnings.is_empty() || usage.rejected {
        return;
    }
    let count =
        |first: &str, second: &str| raw.get(first).filter(|value| !value.is_null()).or(raw.get(second))?.as_u64();
    let prompt = count("prompt_tokens", "input_tokens");
    if let Some(prompt) = prompt {
        assert_eq!(usage.prompt_total(), Some(prompt), "{usage:?}");
    }
    let completion = count("completion_tokens", "output_tokens");
    if let (Some(prompt), Some(_), Some(total)) = (prompt, completion, raw["total_tokens"].as_u64()) {
        let out = usage.get(Meter::Output).unwrap_or(0) + usage.get(Meter::AudioOut).unwrap_or(0);
        assert_eq!(prompt + out, total, "{usage:?}");
    }
}

/// Panics where a bill of the bundled table is negative or no sum of its lines.
fn assert_billed(usage: &Usage) {
    static PRICES: OnceLock<Prices> = OnceLock::new();
    let prices = PRICES.get_or_init(Prices::bundled);
    let context = Context::new();
    let name = ModelName { provider: "anthropic".into(), region: None, model: "claude-sonnet-4-5".into() };
    let called = Called {
        name: &name,
        served: None,
        // 2026-11-22 00:00 UTC.
        at: Moment::from_ms(1_795_305_600_000),
        context: &context,
        quote: None,
        request_bytes: Some(100),
        answer_bytes: 100,
        simulated: false,
    };
    assert_sum(&prices.bill(&called, &Outcome::Reported(usage.clone())));
    assert_sum(&prices.bill(&called, &Outcome::Unconfirmed { seen: Some(usage.clone()) }));
}

/// Panics where a bill is negative or no sum of its lines.
pub fn assert_sum(bill: &Bill) {
    assert!(bill.total.is_none_or(|total| total.picos >= 0), "{bill:?}");
    assert!(bill.lines.iter().all(|line| line.usd.picos >= 0), "{bill:?}");
    if bill.basis == Basis::Table {
        let sum = bill.lines.iter().try_fold(Usd::default(), |sum, line| sum.checked_add(line.usd));
        assert_eq!(bill.total, sum, "{bill:?}");
    }
    assert_eq!(bill.basis == Basis::Unpriced, bill.total.is_none(), "{bill:?}");
}
