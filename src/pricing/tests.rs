//! Bills worked out by hand, each with its sum in a comment, over a small table of its own.

use std::collections::BTreeMap;

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::place::Which;
use super::quote::Ask;
use super::table::Table;
use super::{Called, Context, Moment, Price, Priced, Prices};
use crate::domain::bill::{Basis, Bill, Outcome, Quote};
use crate::domain::chat::CacheLifetime;
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::usage::{Charge, Iteration, Meter, Usage};

/// Rates in the form of real ones, of makers that do not exist: what is tested is the rules, not the list prices.
const TABLE: &str = r#"
schema = 1
version = "t1"
[provider.open]
mode = { batch = 0.5, flex = 0.5 }
fees = { web_search = 10 }
[provider.anth]
ratio = { cache_read = 0.1, cache_write = 1.25, cache_write_1h = 2 }
mode = { batch = 0.5 }
times = { "inference_geo:us" = 1.1 }
fees = { web_search = 10 }
[provider.rock]
mode = { batch = 0.5, priority = 1.75 }
[provider.rock-door]
like = "rock"
[provider.vert]
times = { "location:global" = 1, "location:*" = 1.1 }
mode = { priority = 1.8 }
[provider.router]
unbounded = "the router picks the seller"

[model."open/sol"]
dated = true
except = ["2024-05-13"]
alias = ["sun", "sol-latest"]
price = { input = 2, output = 10, cache_read = 0.2, cache_write = 2.5, tier = [{ above = 272_000, input = 4, output = 15, cache_read = 0.4, cache_write = 5 }] }
mode = { priority = 2 }
times = { "data_residency:eu" = 1.1 }
max_output = 1_000
[model."open/five"]
price = { input = 2.5, output = 15, cache_read = 0.25, tier = [{ above = 272_000, input = 5, output = 22.5, cache_read = 0.5 }] }
[model."open/five".mode]
batch = { input = 1.25, output = 7.5, cache_read = 0.13, tier = [{ above = 272_000, input = 2.5, output = 11.25, cache_read = 0.25 }] }
[model."open/audio"]
price = { input = 2.5, output = 10, input_audio = 32, output_audio = 64 }
[model."open/plain"]
price = { input = 1, output = 2 }
[model."open/dated-2"]
price = [
  { from = 2025-01-01T00:00:00Z, input = 10, output = 40 },
  { from = 2025-06-10T00:00:00Z, input = 2, output = 8 },
]
[model."open/modal"]
price = { input = 1, output = 4, input_audio = 3, tier = [{ above = 100, input = 2, output = 8 }] }

[model."anth/opus"]
dated = true
price = { input = 4, output = 20, cache_read = 0.2 }
times = { "speed:fast" = 2 }
checked = 2026-11-22
[model."anth/haiku"]
price = { input = 0.1, output = 0.5, tier = [{ above = 100_000, input = 0.5, output = 2.5 }] }
times = { "inference_geo:us" = 1 }

[profiles.geo]
global = 1
us = 1.1
none = 1.1
us-gov = 1.2
[model."rock/anthropic.opus-v1:0"]
like = "anth/opus"
profiles = "geo"
[model."rock/sa.nova"]
price = { input = 1.05, output = 4.2 }
[model."rock/us.nova"]
alias = ["nova"]
price = { input = 0.8, output = 3.2 }
[model."rock/us-gov-west-1/nova"]
price = { input = 0.96, output = 3.84 }

[model."azu/us/sol"]
like = "open/sol"
scale = 1.1
[model."azu/sol"]
like = "open/sol"
[model."azu/ptu"]
unpriced = "provisioned throughput is billed by the hour"
[model."vert/flash"]
price = { input = 1.5, output = 9 }

[calendar.cn]
2026 = ["2026-10-01"]
[[model."deep/flash".price]]
from = 2026-08-16T16:00:00Z
input = 0.30
output = 1.20
cache_read = 0.006
window = [
  { days = ["sat", "sun"], input = 0.15, output = 0.60, cache_read = 0.003 },
  { holidays = "cn", input = 0.15, output = 0.60, cache_read = 0.003 },
  { hours = ["00:00-01:00", "04:00-06:00", "10:00-24:00"], input = 0.15, output = 0.60, cache_read = 0.003 },
]
[model."x/grok"]
price = { input = 1.25, output = 2.5, cache_read = 0.2, tier = [{ at_least = 200_000, input = 2.5, output = 5, cache_read = 0.4 }] }
[model."perp/sonar"]
price = { input = 3, output = 15 }
fees = { "web_search:low" = 6, "web_search:medium" = 10 }
[model."perp/deep"]
price = { input = 2, output = 8, reasoning = 3, citation = 2 }
fees = { web_search = 5 }
[model."router/m"]
price = { input = 1, output = 5 }
[model."router/m:free"]
free = true
"#;

const NOON: &str = "2026-11-18T12:00:00Z";

fn prices() -> Prices {
    Prices::of(TABLE, None)
}

fn name(text: &str) -> ModelName {
    let (provider, model) = text.split_once('/').expect("provider/model");
    let (provider, region) =
        provider.split_once('@').map_or((provider, None), |(one, two)| (one, Some(two.to_owned())));
    ModelName { provider: provider.to_owned(), region, model: model.to_owned() }
}

fn usage(quantities: &[(Meter, u64)]) -> Usage {
    Usage { quantities: quantities.iter().copied().collect(), ..Usage::default() }
}

fn words(pairs: &[(&str, &str)]) -> Context {
    pairs.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect()
}

fn called<'a>(name: &'a ModelName, at: &str, context: &'a Context) -> Called<'a> {
    Called {
        name,
        served: None,
        at: Moment::parse(at).expect("an instant"),
        context,
        quote: None,
        request_bytes: None,
        answer_bytes: 0,
        simulated: false,
    }
}

fn bill_of(prices: &Prices, model: &str, at: &str, context: &[(&str, &str)], usage: Usage) -> Bill {
    let (name, context) = (name(model), words(context));
    prices.bill(&called(&name, at, &context), &Outcome::Reported(usage))
}

/// The total of a reported usage at noon of a working day, as text; `None` is unpriced.
fn total(model: &str, context: &[(&str, &str)], quantities: &[(Meter, u64)]) -> Option<String> {
    bill_of(&prices(), model, NOON, context, usage(quantities)).total.map(|total| total.to_string())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

const M: u64 = 1_000_000;

#[test]
fn cached_and_written_tokens_have_their_own_rates() {
    // 500 × 2 + 3000 × 0.2 + 1500 × 2.5 + 800 × 10 = 1000 + 600 + 3750 + 8000 = 13,350 per 1M
    let quantities = [(Meter::Input, 500), (Meter::CacheRead, 3000), (Meter::CacheWrite5m, 1500), (Meter::Output, 800)];
    assert_eq!(total("open/sol", &[], &quantities), some("0.01335"));
}

#[test]
fn a_claude_through_a_geography_costs_the_factor_of_its_profile() {
    // rates 4 / 0.2 / 20: 100 × 4 + 1000 × 0.2 + 50 × 20 = 1600 per 1M = 0.0016; × 1.1, × 1, × 1.2
    let quantities = [(Meter::Input, 100), (Meter::CacheRead, 1000), (Meter::Output, 50)];
    for (model, usd) in [
        ("rock/us.anthropic.opus-v1:0", "0.00176"),
        ("rock/global.anthropic.opus-v1:0", "0.0016"),
        ("rock/us-gov.anthropic.opus-v1:0", "0.00192"),
        ("rock/anthropic.opus-v1:0", "0.00176"),
        ("rock/arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.opus-v1:0", "0.00176"),
        ("rock-door/us.anthropic.opus-v1:0", "0.00176"),
    ] {
        assert_eq!(total(model, &[], &quantities), some(usd), "{model}");
    }
    // Not in the set: a price in a map is no proof that the profile exists.
    assert_eq!(total("rock/mars.anthropic.opus-v1:0", &[], &quantities), None);
}

#[test]
fn nova_has_a_list_price_per_geography_and_region() {
    let quantities = [(Meter::Input, M), (Meter::Output, M)];
    assert_eq!(total("rock/sa.nova", &[], &quantities), some("5.25"));
    assert_eq!(total("rock/us.nova", &[], &quantities), some("4"));
    assert_eq!(total("rock/nova", &[], &quantities), some("4"));
    assert_eq!(total("rock@us-gov-west-1/nova", &[], &quantities), some("4.8"));
    assert_eq!(total("rock/eu.nova", &[], &quantities), None);
}

#[test]
fn a_long_prompt_puts_the_whole_request_on_the_dear_sheet_from_the_first_token_above() {
    // 272,000 × 2 + 1000 × 10 = 554,000 → 0.554; one more: 272,001 × 4 + 1000 × 15 = 1,103,004 → 1.103004
    let at = |input| total("open/sol", &[], &[(Meter::Input, input), (Meter::Output, 1000)]);
    assert_eq!(at(272_000), some("0.554"));
    assert_eq!(at(272_001), some("1.103004"));
    // Cached and written tokens count: 1 × 4 + 272,000 × 0.4 + 1000 × 15 = 123,804
    let quantities = [(Meter::Input, 1), (Meter::CacheRead, 272_000), (Meter::Output, 1000)];
    assert_eq!(total("open/sol", &[], &quantities), some("0.123804"));
    // "At least": 199,999 × 1.25 = 249,998.75; 200,000 × 2.5 = 500,000
    assert_eq!(total("x/grok", &[], &[(Meter::Input, 199_999)]), some("0.24999875"));
    assert_eq!(total("x/grok", &[], &[(Meter::Input, 200_000)]), some("0.5"));
}

#[test]
fn a_tier_keeps_the_modalities_and_takes_ratios_from_its_own_input() {
    // above 100: 90 × 2 + 20 × 3 (audio carries over) = 240
    assert_eq!(total("open/modal", &[], &[(Meter::Input, 90), (Meter::AudioIn, 20)]), some("0.00024"));
    // 100,001 read at 0.5 × 0.1 = 0.05: 5000.05
    assert_eq!(total("anth/haiku", &[], &[(Meter::CacheRead, 100_001)]), some("0.00500005"));
}

#[test]
fn what_was_served_decides_the_mode() {
    let quantities = [(Meter::Input, M)];
    for (context, usd) in [
        (&[][..], "4"),
        (&[("service_tier", "default")], "4"),
        (&[("service_tier", "flex")], "2"),
        (&[("service_tier", "priority")], "8"),
        (&[("processing", "batch")], "2"),
        (&[("processing", "batch"), ("service_tier", "batch")], "2"),
        (&[("data_residency", "eu"), ("service_tier", "priority")], "8.8"),
        (&[("data_residency", "mars")], "4"),
    ] {
        assert_eq!(total("open/sol", context, &quantities), some(usd), "{context:?}");
    }
    // A mode without an entry is not known, and neither are two at once.
    assert_eq!(total("open/sol", &[("service_tier", "scale")], &quantities), None);
    assert_eq!(total("open/sol", &[("processing", "batch"), ("service_tier", "priority")], &quantities), None);
    // The response's word stands over the wish.
    let served = Usage { service_tier: Some("default".into()), ..usage(&quantities) };
    let bill = bill_of(&prices(), "open/sol", NOON, &[("service_tier", "priority")], served);
    assert_eq!(bill.total, Usd::parse("4"));
    // Vertex: 1 × 1.5 × 1.8 × 1.1 = 2.97
    let context = [("service_tier", "ON_DEMAND_PRIORITY"), ("location", "europe-west4")];
    assert_eq!(total("vert/flash", &context, &quantities), some("2.97"));
    assert_eq!(total("vert@us-central1/flash", &[], &quantities), some("1.65"));
    assert_eq!(total("vert@global/flash", &[], &quantities), some("1.5"));
    let bill =
        bill_of(&prices(), "vert/flash", NOON, &[("service_tier", "PROVISIONED_THROUGHPUT")], usage(&quantities));
    assert_eq!((bill.total, bill.notes.len()), (None, 1));
}

#[test]
fn a_modes_own_sheet_replaces_the_tiers_too() {
    let batch = [("processing", "batch")];
    // 1000 × 1.25 + 1000 × 0.13 = 1380 (the list rounds 0.125 up)
    let quantities = [(Meter::Input, 1000), (Meter::CacheRead, 1000)];
    assert_eq!(total("open/five", &batch, &quantities), some("0.00138"));
    // 300,000 × 2.5 + 100 × 11.25 = 751,125
    assert_eq!(total("open/five", &batch, &[(Meter::Input, 300_000), (Meter::Output, 100)]), some("0.751125"));
}

#[test]
fn anthropics_words_stand_in_its_usage() {
    // 1M × 4 × 1.1 × 2
    let mut fast = usage(&[(Meter::Input, M)]);
    fast.attributes = BTreeMap::from([("speed".into(), "fast".into()), ("inference_geo".into(), "us".into())]);
    fast.service_tier = Some("standard".into());
    assert_eq!(bill_of(&prices(), "anth/opus", NOON, &[], fast.clone()).total, Usd::parse("8.8"));
    // No factor and no mode for its speed is known of the small one.
    assert_eq!(bill_of(&prices(), "anth/haiku", NOON, &[], fast).total, None);
    // A factor of 1 switches the provider's rule off: 1M is above its step, 0.5
    let mut us = usage(&[(Meter::Input, M)]);
    us.attributes = BTreeMap::from([("inference_geo".into(), "us".into())]);
    assert_eq!(bill_of(&prices(), "anth/haiku", NOON, &[], us).total, Usd::parse("0.5"));
}

#[test]
fn an_hours_cache_write_is_never_guessed() {
    // by ratio: 1000 × 8 = 8000; 200 × 5 + 300 × 8 = 3400
    assert_eq!(total("anth/opus", &[], &[(Meter::CacheWrite1h, 1000)]), some("0.008"));
    assert_eq!(total("anth/opus", &[], &[(Meter::CacheWrite5m, 200), (Meter::CacheWrite1h, 300)]), some("0.0034"));
    let bill = bill_of(&prices(), "open/plain", NOON, &[], usage(&[(Meter::Input, 5), (Meter::CacheWrite1h, 1)]));
    assert_eq!((bill.basis, bill.total), (Basis::Unpriced, None));
    assert_eq!(bill.notes, ["open/plain has no price for cache_write_1h"]);
}

#[test]
fn a_rate_that_is_missing_falls_back_and_says_so() {
    // 3 × 1 (cache read as input)
    let bill = bill_of(&prices(), "open/plain", NOON, &[], usage(&[(Meter::CacheRead, 3 * M)]));
    assert_eq!(bill.total, Usd::parse("3"));
    assert_eq!(bill.notes, ["cache_read has no rate of its own: billed as input"]);
    // Generated audio and images are dear: no fallback.
    assert_eq!(total("open/plain", &[], &[(Meter::AudioOut, 1)]), None);
    assert_eq!(total("open/plain", &[], &[(Meter::ImageOut, 1)]), None);
    // 20 × 2.5 + 100 × 32 + 20 × 10 + 70 × 64 = 50 + 3200 + 200 + 4480 = 7930
    let audio = [(Meter::Input, 20), (Meter::AudioIn, 100), (Meter::Output, 20), (Meter::AudioOut, 70)];
    assert_eq!(total("open/audio", &[], &audio), some("0.00793"));
}

#[test]
fn uses_have_fees_that_no_factor_touches() {
    // 1000 × 4 / 2 + 3 × 10 / 1000 = 0.002 + 0.03
    let quantities = [(Meter::Input, 1000), (Meter::WebSearch, 3)];
    assert_eq!(total("anth/opus", &[("processing", "batch")], &quantities), some("0.032"));
    // 20 × 3 + 100 × 15 = 1560 → 0.00156, + 10 / 1000
    let small = [(Meter::Input, 20), (Meter::Output, 100), (Meter::WebSearchMedium, 1)];
    assert_eq!(total("perp/sonar", &[], &small), some("0.01156"));
    // 30 × 2 + 400 × 8 + 9000 × 3 + 12000 × 2 = 54,260 → 0.05426, + 18 × 5 / 1000 = 0.09
    let deep = [
        (Meter::Input, 30),
        (Meter::Output, 400),
        (Meter::ReasoningOut, 9000),
        (Meter::Citation, 12_000),
        (Meter::WebSearch, 18),
    ];
    assert_eq!(total("perp/deep", &[], &deep), some("0.14426"));
    assert_eq!(total("perp/sonar", &[], &[(Meter::WebSearchHigh, 1)]), None);
}

#[test]
fn the_row_is_that_of_the_instant_at_which_the_call_began() {
    let at = |instant| bill_of(&prices(), "open/dated-2", instant, &[], usage(&[(Meter::Input, M)]));
    assert_eq!(at("2025-06-09T23:59:59.999Z").total, Usd::parse("10"));
    assert_eq!(at("2025-06-10T00:00:00Z").total, Usd::parse("2"));
    assert_eq!(at("2025-06-10T00:00:00+02:00").total, Usd::parse("10"));
    assert_eq!(at("2024-12-31T23:59:59Z").basis, Basis::Unpriced);
    let row = at("2026-01-01T00:00:00Z").price.and_then(|price| price.row_from);
    assert_eq!(row.as_deref(), Some("2025-06-10T00:00:00Z"));
}

#[test]
fn an_hour_of_the_day_a_weekend_and_a_holiday_change_the_price() {
    for (instant, usd) in [
        ("2026-11-18T02:30:00Z", "0.306"), // Wednesday, peak: 0.3 + 0.006
        ("2026-11-18T00:59:59Z", "0.153"), // off-peak: 0.15 + 0.003
        ("2026-11-18T01:00:00Z", "0.306"),
        ("2026-11-18T04:00:00Z", "0.153"),
        ("2026-11-18T09:59:59Z", "0.306"),
        ("2026-11-18T10:00:00Z", "0.153"),
        ("2026-11-21T02:30:00Z", "0.153"),      // Saturday
        ("2026-11-22T07:00:00Z", "0.153"),      // Sunday
        ("2026-10-01T07:15:00Z", "0.153"),      // a holiday on a Thursday
        ("2026-09-30T23:15:00-08:00", "0.153"), // the same instant
        ("2026-10-02T07:15:00Z", "0.306"),
    ] {
        let bill = bill_of(&prices(), "deep/flash", instant, &[], usage(&[(Meter::Input, M), (Meter::CacheRead, M)]));
        assert_eq!(bill.total, Usd::parse(usd), "{instant}");
        assert_eq!(bill.notes, [] as [&str; 0]);
    }
    // A year without a calendar is said.
    let bill = bill_of(&prices(), "deep/flash", "2027-01-04T02:00:00Z", &[], usage(&[(Meter::Input, M)]));
    assert_eq!((bill.total, bill.notes.len()), (Usd::parse("0.3"), 1));
}

#[test]
fn names_lead_to_entries_by_key_alias_and_date_and_by_nothing_else() {
    let quantities = [(Meter::Input, M)];
    for model in ["open/sol", "open/sun", "open/sol-2026-03-01", "open/sun-20260301", "open/sol@20260301", "azu/sol"] {
        assert_eq!(total(model, &[], &quantities), some("4"), "{model}");
    }
    assert_eq!(total("azu/us/sol", &[], &quantities), some("4.4"));
    for model in ["open/sol-2024-05-13", "open/sol-mini", "open/so", "open/plain-2026-03-01", "azu/ptu", "nobody/x"] {
        let bill = bill_of(&prices(), model, NOON, &[], usage(&quantities));
        assert_eq!((bill.basis, bill.total, bill.notes.len()), (Basis::Unpriced, None, 1), "{model}");
    }
    let bill = bill_of(&prices(), "router/m:free", NOON, &[], usage(&quantities));
    assert_eq!((bill.basis, bill.total), (Basis::Free, Some(Usd::default())));
}

#[test]
fn the_users_file_replaces_entries_whole_and_maps_deployments() {
    let own = "[model.\"open/sol\"]\nprice = { input = 1 }\n\
        [model.\"open/mine\"]\nlike = \"bundled:open/sol\"\nscale = 0.9\n\
        [provider.anth]\ndiscount = 0.85\n\
        [deployment.\"azu/prod\"]\nmodel = \"azu/us/sol\"\n\
        [deployment.\"rock/arn:aws:bedrock:eu-west-1:1:application-inference-profile/a\"]\n\
        model = \"rock/us.anthropic.opus-v1:0\"\n[model.\"home/llama\"]\nfree = true\n";
    let prices = Prices::of(TABLE, Some(own));
    let total = |model, quantities: &[(Meter, u64)]| bill_of(&prices, model, NOON, &[], usage(quantities)).total;
    let input = [(Meter::Input, 100_000)];
    assert_eq!(total("open/sol", &input), Usd::parse("0.1"));
    assert_eq!(total("open/sol", &[(Meter::Output, 1)]), None, "no field is merged");
    assert_eq!(total("open/mine", &input), Usd::parse("0.18"));
    // A bundled entry does not follow a user's one.
    assert_eq!(total("azu/sol", &input), Usd::parse("0.2"));
    // The discount is laid over the bundled rules: 0.4 × 0.85, and 100,000 written at 1.25 × 4 × 0.85
    assert_eq!(total("anth/opus", &input), Usd::parse("0.34"));
    assert_eq!(total("anth/opus", &[(Meter::CacheWrite5m, 100_000)]), Usd::parse("0.425"));
    assert_eq!(total("azu/prod", &input), Usd::parse("0.22"));
    let profile = "rock/arn:aws:bedrock:eu-west-1:1:application-inference-profile/a";
    assert_eq!(total(profile, &input), Usd::parse("0.44"));
    assert_eq!(total("home/llama", &input), Some(Usd::default()));
}

#[test]
fn the_model_that_answered_is_priced_and_a_difference_is_said() {
    let prices = prices();
    let bill = |model: &str, served: &str| {
        let (name, context) = (name(model), Context::new());
        let called = Called { served: Some(served), ..called(&name, NOON, &context) };
        prices.bill(&called, &Outcome::Reported(usage(&[(Meter::Input, M)])))
    };
    for (model, served, usd, notes) in [
        ("open/sol", "sol-2026-03-01", Some("4"), 0),
        ("open/sol-latest", "sol", Some("4"), 0),
        // A fallback on the server.
        ("open/sol", "plain", Some("1"), 1),
        // A deployment without a mapping.
        ("azu/my-deployment", "sol", Some("4"), 1),
        // The data zone's price is not lost.
        ("azu/us/sol", "sol-2026-03-01", Some("4.4"), 0),
        ("rock/us.anthropic.opus-v1:0", "opus", Some("4.4"), 0),
        ("open/sol", "sol-turbo", Some("4"), 1),
        ("open/sol", "someone-else", None, 1),
        ("nobody/x", "y", None, 1),
    ] {
        let bill = bill(model, served);
        assert_eq!(bill.total, usd.and_then(Usd::parse), "{model} {served}");
        assert_eq!(bill.notes.len(), notes, "{model} {served} {:?}", bill.notes);
    }
}

#[test]
fn each_iteration_has_its_own_model_and_tier() {
    // 90,000 × 0.1 + 90,000 × 0.1 + 100 × 0.5 = 18,050 (together they would be above the step); the adviser:
    // 1000 × 4 + 10 × 20 = 4200
    let one = |model: Option<&str>, input, output| Iteration {
        model: model.map(str::to_owned),
        quantities: BTreeMap::from([(Meter::Input, input), (Meter::Output, output)]),
    };
    let mut sum = usage(&[(Meter::Input, 181_000), (Meter::Output, 110)]);
    sum.iterations = vec![one(None, 90_000, 0), one(Some("haiku"), 90_000, 100), one(Some("opus"), 1000, 10)];
    let bill = bill_of(&prices(), "anth/haiku", NOON, &[], sum.clone());
    assert_eq!(bill.total, Usd::parse("0.02225"));
    assert_eq!(bill.lines.len(), 5);
    assert_eq!(bill.lines.last().and_then(|line| line.model.as_deref()), Some("opus"));
    sum.iterations.push(one(Some("unheard-of"), 1, 1));
    assert_eq!(bill_of(&prices(), "anth/haiku", NOON, &[], sum).basis, Basis::Unpriced);
}

#[test]
fn a_sum_over_several_calls_is_not_taken_for_a_long_prompt() {
    // 150,000 × 0.1 + 2 × 10 / 1000
    let mut summed = usage(&[(Meter::Input, 150_000), (Meter::WebSearch, 2)]);
    summed.attributes = BTreeMap::from([("prompt_total".into(), "summed".into())]);
    let bill = bill_of(&prices(), "anth/haiku", NOON, &[], summed);
    assert_eq!((bill.total, bill.notes.len()), (Usd::parse("0.035"), 1));
}

#[test]
fn a_charge_that_the_response_states_is_booked_with_the_table_beside_it() {
    let charged = |usd: &str, upstream: Option<&str>| {
        let mut usage = usage(&[(Meter::Input, M), (Meter::Output, M)]);
        let upstream = upstream.and_then(Usd::parse);
        usage.charge = Some(Charge { usd: Usd::parse(usd).expect("an amount"), upstream });
        usage
    };
    // table: 1 + 5
    let bill = bill_of(&prices(), "router/m", NOON, &[], charged("6.5", None));
    assert_eq!((bill.basis, bill.total, bill.table), (Basis::Reported, Usd::parse("6.5"), Usd::parse("6")));
    assert_eq!(bill.notes, ["the response states $6.5, the table says $6"]);
    // the user's own key: 0.00006 to the router, 0.00123 to the upstream
    let bill = bill_of(&prices(), "router/m", NOON, &[], charged("0.00006", Some("0.00123")));
    assert_eq!(bill.total, Usd::parse("0.00129"));
    assert!(bill.notes[0].contains("$0.00006") && bill.notes[0].contains("$0.00123"), "{:?}", bill.notes);
    let bill = bill_of(&prices(), "router/unheard-of", NOON, &[], charged("6.5", None));
    assert_eq!((bill.basis, bill.total, bill.table), (Basis::Reported, Usd::parse("6.5"), None));
}

#[test]
fn a_call_without_its_final_usage_has_an_estimate_and_a_bound_and_is_never_zero() {
    let (prices, name, context) = (prices(), name("open/sol"), Context::new());
    let quote = Quote { ceiling: Usd::parse("0.5"), priced: true, ..Quote::default() };
    let called = Called { quote: Some(&quote), request_bytes: Some(4000), ..called(&name, NOON, &context) };
    let bill = |answer_bytes, seen| prices.bill(&Called { answer_bytes, ..called }, &Outcome::Unconfirmed { seen });
    // nothing was seen
    let nothing = bill(0, None);
    assert_eq!((nothing.basis, nothing.total, nothing.at_most), (Basis::Ceiling, quote.ceiling, quote.ceiling));
    // 800 bytes came: 1000 tokens × 2 + 200 × 10 = 4000
    let some = bill(800, None);
    assert_eq!((some.basis, some.total, some.at_most), (Basis::Estimated, Usd::parse("0.004"), quote.ceiling));
    // the start of a stream told the input: 3000 × 2 + 200 × 10 = 8000, though it counts one token of output
    let seen = bill(800, Some(usage(&[(Meter::Input, 3000), (Meter::Output, 1)])));
    assert_eq!((seen.basis, seen.total), (Basis::Estimated, Usd::parse("0.008")));
    // without a quote there is no bound, and no amount where nothing was seen
    let unbound = Called { quote: None, ..called };
    let none = prices.bill(&unbound, &Outcome::Unconfirmed { seen: None });
    assert_eq!((none.basis, none.total), (Basis::Unpriced, None));
    let empty = prices.bill(&unbound, &Outcome::Reported(Usage::default()));
    assert_eq!((empty.basis, empty.total), (Basis::Unpriced, None));
    let never = prices.bill(&called, &Outcome::NeverSent);
    assert_eq!((never.basis, never.total), (Basis::Nothing, Some(Usd::default())));
}

fn quoted(model: &str, context: &[(&str, &str)], ask: &Ask) -> Quote {
    prices().quote(&name(model), Moment::parse(NOON).expect("an instant"), &words(context), ask)
}

#[test]
fn a_quote_takes_the_dearest_that_the_bytes_can_reach() {
    // bound: 9,920 bytes + 64 + 16 = 10,000
    let ask = Ask { request_bytes: 9_920, messages: 1, output_max: Some(1000), ..Ask::default() };
    // 10,000 × 2.5 (a write that the sheet names may come unasked) + 1000 × 10 = 35,000
    assert_eq!(quoted("open/sol", &[], &ask).ceiling, Usd::parse("0.035"));
    assert_eq!(quoted("open/sol", &[("service_tier", "priority")], &ask).ceiling, Usd::parse("0.07"));
    // three answers: + 2000 × 10
    let three = Ask { answers: 3, ..ask.clone() };
    assert_eq!(quoted("open/sol", &[], &three).ceiling, Usd::parse("0.055"));
    // no cap is sent: the model's own of 1,000
    assert_eq!(quoted("open/sol", &[], &Ask { output_max: None, ..ask.clone() }).ceiling, Usd::parse("0.035"));
    // 10,000 × 4 + 1000 × 20; a write for five minutes 5, for an hour 8
    assert_eq!(quoted("anth/opus", &[], &ask).ceiling, Usd::parse("0.06"));
    let five = Ask { cache: Some(CacheLifetime::FiveMinutes), ..ask.clone() };
    assert_eq!(quoted("anth/opus", &[], &five).ceiling, Usd::parse("0.07"));
    let hour = Ask { cache: Some(CacheLifetime::OneHour), ..ask.clone() };
    assert_eq!(quoted("anth/opus", &[], &hour).ceiling, Usd::parse("0.1"));
    // the bytes could be 272,001 tokens: 272,001 × 5 + 1000 × 15
    let long = Ask { request_bytes: 272_001 - 80, ..ask };
    assert_eq!(quoted("open/sol", &[], &long).ceiling, Usd::parse("1.375005"));
}

#[test]
fn what_cannot_be_bounded_has_no_ceiling_and_a_reason() {
    let ask = Ask { request_bytes: 100, output_max: Some(10), ..Ask::default() };
    for (model, ask) in [
        ("perp/deep", ask.clone()),
        ("perp/sonar", ask.clone()),
        ("router/m", ask.clone()),
        ("nobody/x", ask.clone()),
        ("azu/ptu", ask.clone()),
        ("open/plain", Ask { output_max: None, ..ask.clone() }),
        ("open/plain", Ask { unbounded: vec!["it searches".into()], ..ask.clone() }),
        ("open/plain", Ask { attachments: 1, ..ask.clone() }),
        ("open/plain", Ask { cache: Some(CacheLifetime::OneHour), ..ask.clone() }),
    ] {
        let quote = quoted(model, &[], &ask);
        assert_eq!((quote.ceiling, quote.reasons.len()), (None, 1), "{model} {:?}", quote.reasons);
    }
    assert_eq!(quoted("router/m:free", &[], &ask).ceiling, Some(Usd::default()));
}

#[test]
fn an_attachment_counts_by_its_tokens_in_place_of_its_bytes() {
    let plain = Ask { request_bytes: 9_920, messages: 1, output_max: Some(1000), ..Ask::default() };
    // 10,000 of text, 3,000 for the attachments and 2 × 16 around them; with the write that may come unasked:
    // 13,032 × 2.5 + 1000 × 10
    let attached = Ask { attachments: 2, attachment_tokens: Some(3_000), ..plain.clone() };
    let quote = quoted("open/sol", &[], &attached);
    assert_eq!((quote.input_bound, quote.ceiling), (13_032, Usd::parse("0.04258")));
    assert!(quote.reasons[0].contains("9920 bytes, 3032 for 2 attachments and 80 around them"), "{:?}", quote.reasons);
    // Of the bytes, 9,000 are theirs: 1,000 + 3,032 in the prompt.
    let inline = Ask { attached_bytes: 9_000, ..attached.clone() };
    let quote = quoted("open/sol", &[], &inline);
    assert_eq!((quote.input_bound, quote.ceiling), (4_032, Usd::parse("0.02008")));
    // An estimate takes four bytes for a token.
    assert_eq!([&plain, &attached, &inline].map(Ask::prompt_bytes), [9_920, 21_920, 12_920]);
}

fn price_of(model: &str) -> Price {
    match prices().price(&name(model), Moment::parse(NOON).expect("an instant"), &Context::new()) {
        Priced::Sheet(price) => *price,
        other => panic!("{model}: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_bill_is_the_sum_of_its_lines_and_stays_within_its_quote(
        bytes in 0_u64..400_000, parts in prop::array::uniform4(0_u64..100), output in 0_u64..5000,
    ) {
        let ask = Ask { request_bytes: bytes, messages: 1, output_max: Some(output), ..Ask::default() };
        let whole: u64 = parts.iter().sum::<u64>().max(1);
        // Every byte is a token at most, in whatever meter it falls.
        let of = |part: u64| bytes * part / whole;
        let quantities =
            [(Meter::Input, of(parts[0])), (Meter::CacheRead, of(parts[1])), (Meter::CacheWrite5m, of(parts[2])), (Meter::Output, output)];
        let bill = bill_of(&prices(), "open/sol", NOON, &[], usage(&quantities));
        let sum = bill.lines.iter().map(|line| line.usd.picos).sum::<i64>();
        prop_assert_eq!(bill.total, Some(Usd::from_picos(sum)));
        prop_assert!(bill.total <= quoted("open/sol", &[], &ask).ceiling);
    }

    #[test]
    fn a_quantity_that_cannot_be_counted_is_unpriced_and_never_wraps(quantity in any::<u64>()) {
        let bill = bill_of(&prices(), "anth/opus", NOON, &[], usage(&[(Meter::Output, quantity)]));
        match i64::try_from(u128::from(quantity) * 20_000_000) {
            Ok(picos) => prop_assert_eq!(bill.total, Some(Usd::from_picos(picos))),
            Err(_) => prop_assert_eq!(bill.total, None),
        }
    }

    #[test]
    fn no_text_makes_the_reader_of_tables_fall_over(text in ".{0,200}", lines in prop::collection::vec("(\\[|price|=|\\{|\\}|input|\"|model\\.|a/b|1|\\.|,| |\n){0,40}", 0..4)) {
        for text in [text, lines.join("\n")] {
            let table = Table::new(Which::User, "own.toml", text);
            let _ = (table.problems(), table.version(), table.models().count());
        }
    }
}

#[test]
fn rates_say_where_they_come_from() {
    let price = price_of("rock/us.anthropic.opus-v1:0");
    let rate = price.rate(&price.rates, Meter::CacheWrite1h).expect("a rate");
    assert_eq!(rate.usd.to_string(), "8.8");
    let line = TABLE.lines().position(|line| line.starts_with("ratio = { cache_read")).expect("the line") + 1;
    assert_eq!(prices().at(rate.origin.place), format!("bundled:{line}"));
    assert_eq!(price.source.entry, "rock/anthropic.opus-v1:0");
    assert_eq!(price.source.checked.as_deref(), Some("2026-11-22"));
    assert_eq!(price.source.sha256.len(), 64);
    assert_eq!(price.factors.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["profiles.geo.us"]);
}

#[test]
fn every_bundled_entry_reads_resolves_and_says_where_it_is_from() {
    let prices = Prices::bundled();
    let today = Moment::parse("2026-11-22").expect("a day");
    let findings = prices.check(prices.table(Which::Bundled), today);
    assert_eq!(findings, []);
}

#[test]
fn a_router_that_picks_the_seller_has_no_ceiling() {
    let ask = Ask { request_bytes: 100, output_max: Some(10), ..Ask::default() };
    let prices = Prices::bundled();
    let routed = prices
        .tables()
        .flat_map(|table| table.models())
        .find(|key| key.starts_with("openrouter/") && !key.ends_with(":free") && *key != "openrouter/openrouter/free");
    let name = name(routed.expect("a routed model"));
    let quote = prices.quote(&name, Moment::parse(NOON).expect("an instant"), &Context::new(), &ask);
    assert_eq!((quote.ceiling, quote.reasons.len()), (None, 1), "{name}");
}

#[test]
fn a_check_finds_what_leads_nowhere_and_what_nobody_can_look_up() {
    let own = "[provider.p]\nsource = \"https://p.example\"\n\
        [model.\"p/a\"]\nlike = \"p/b\"\n[model.\"p/b\"]\nlike = \"p/a\"\n\
        [model.\"p/c\"]\nprice = { input = 1 }\n\
        [model.\"q/d\"]\nprice = { input = 1 }\nchecked = 2026-11-22\n\
        [model.\"p/e\"]\nprice = { input = 1 }\nchecked = 2026-01-01\n\
        [model.\"p/f\"]\nprice = { input = 1 }\nchecked = 2026-11-22\n\
        [model.\"p/g\"]\nprice = [{ input = 1 }, { from = 2026-01-01, input = 2 }]\nchecked = 2026-11-22\nmode = { batch = { input = 1 } }\n";
    let prices = Prices::of("", Some(own));
    let found: Vec<String> = prices
        .check(prices.table(Which::User), Moment::parse("2026-11-22").expect("a day"))
        .iter()
        .map(|finding| finding.at.to_string())
        .collect();
    let about = |word: &str| found.iter().filter(|one| one.contains(word)).count();
    assert_eq!(found.len(), 6, "{found:#?}");
    assert_eq!((about("is like itself"), about("does not say when"), about("has no source")), (2, 1, 1));
    assert_eq!((about("325 days ago"), about("for which row")), (1, 1));
}

#[test]
fn the_stated_hash_of_the_bundled_table_is_its_own() {
    let worked_out = Table::new(Which::Bundled, "bundled", super::BUNDLED);
    assert_eq!(Prices::bundled().bundled.sha256(), worked_out.sha256(), "write the right one into src/pricing/mod.rs");
}
