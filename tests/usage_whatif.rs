//! `llmx usage what-if`, `savings` and `waste`, as a user runs them on ledgers that were booked through the library.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use common::binary::{Done, Llmx};
use llmx::domain::bill::{Outcome, Quote};
use llmx::domain::budget::Claim;
use llmx::domain::model::ModelName;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Settlement};
use llmx::domain::report::CallReport;
use llmx::domain::usage::{Meter, Usage};
use llmx::ledger::{Admission, Ledger, Patience};
use llmx::pricing::{Called, Context, Moment, Prices};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use serde_json::{Value, json};

/// 2026-11-16T12:00:00Z, a Monday.
const NOON: i64 = 1_794_830_400_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A ledger in a folder of its own.
struct Books {
    folder: tempfile::TempDir,
    ledger: Ledger,
    prices: Prices,
}

/// A call to be booked.
#[derive(Clone)]
struct Made {
    call: NewCall,
    at_ms: i64,
    usage: Vec<(Meter, u64)>,
    tier: Option<&'static str>,
    settlement: Settlement,
    open: bool,
}

/// A call to `provider/model` that consumed this.
fn made(id: &str, model: &str, usage: &[(Meter, u64)]) -> Made {
    let (provider, model) = model.split_once('/').expect("provider/model");
    let call = NewCall {
        id: id.into(),
        command: "chat".into(),
        provider: provider.into(),
        model: model.into(),
        parameters: json!({}),
        prompt: Some(json!({"messages": [{"parts": [{"text": id}]}]})),
        ..NewCall::default()
    };
    let settlement = Settlement { stop_reason: Some("stop".into()), ..Settlement::default() };
    Made { call, at_ms: NOON, usage: usage.to_vec(), tier: None, settlement, open: false }
}

impl Made {
    fn after(mut self, ms: i64) -> Made {
        self.at_ms = NOON + ms;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut NewCall, &mut Settlement)) -> Made {
        change(&mut self.call, &mut self.settlement);
        self
    }

    fn tier(mut self, tier: &'static str) -> Made {
        self.tier = Some(tier);
        self
    }

    fn failed(self) -> Made {
        self.with(|_, settlement| settlement.error_class = Some("protocol".into()))
    }

    fn in_session(self, session: &str) -> Made {
        self.with(|call, _| call.session = Some(session.into()))
    }

    fn asking(self, text: &str) -> Made {
        self.with(|call, _| call.prompt = Some(json!({"messages": [{"parts": [{"text": text}]}]})))
    }
}

impl Books {
    fn new() -> Books {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens");
        Books { folder, ledger, prices: Prices::bundled() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// Books a call as llmx would have, at the bundled prices; gives what it is booked at.
    fn book(&mut self, made: &Made) -> Option<Usd> {
        let call = &made.call;
        let quote = Quote { ceiling: call.ceiling, priced: true, ..Quote::default() };
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        let Admission::Granted(reserved) = self.ledger.admit(call, &claim, made.at_ms).expect("admitted") else {
            panic!("no budget is in force");
        };
        if made.open {
            return None;
        }
        let name =
            ModelName { provider: call.provider.clone(), region: call.region.clone(), model: call.model.clone() };
        let outcome = match made.usage.is_empty() {
            true => Outcome::NeverSent,
            false => Outcome::Reported(Usage {
                quantities: made.usage.iter().copied().filter(|(_, count)| *count > 0).collect(),
                service_tier: made.tier.map(str::to_owned),
                ..Usage::default()
            }),
        };
        let called = Called {
            name: &name,
            served: None,
            at: Moment::from_ms(made.at_ms),
            context: &Context::new(),
            quote: None,
            request_bytes: None,
            answer_bytes: 0,
            simulated: false,
        };
        let bill = self.prices.bill(&called, &outcome);
        let of = Settlement::of(&CallReport::of(name, outcome, bill), false);
        let own = &made.settlement;
        let settlement = Settlement {
            stop_reason: own.stop_reason.clone(),
            stopped: own.stopped.clone(),
            error_class: own.error_class.clone(),
            ..of
        };
        self.ledger.settle(reserved, &settlement, made.at_ms + 1000).expect("settled");
        settlement.total
    }

    fn llmx(&self, args: &[&str]) -> Llmx {
        Llmx::new(&["usage"]).args(args).env("LLMX_DB", self.path()).env("LLMX_ZONE", "UTC")
    }

    fn json(&self, args: &[&str]) -> Value {
        self.llmx(args).args(&["-j"]).run().exits(0).stays_quiet().json()
    }

    fn page(&self, args: &[&str]) -> Done {
        self.llmx(args).run().exits(0).stays_quiet()
    }

    fn savings(&self) -> Value {
        self.json(&["savings", "2026-11"])
    }

    /// What was lost, part by part, with every call of each.
    fn waste(&self) -> BTreeMap<String, Value> {
        let said = self.json(&["waste", "2026-11", "-n", "1000"]);
        let parts = said["parts"].as_array().expect("parts").clone();
        parts.into_iter().map(|part| (part["kind"].as_str().expect("a kind").to_owned(), part)).collect()
    }
}

#[track_caller]
fn picos(amount: &Value) -> i64 {
    amount.as_str().and_then(Usd::parse).unwrap_or_else(|| panic!("no amount: {amount}")).picos
}

/// Lines as words with one space between.
fn lines(done: &Done) -> Vec<String> {
    done.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[track_caller]
fn shows(done: &Done, wanted: &str) {
    assert!(lines(done).join(" ").contains(wanted), "no \"{wanted}\" in\n{}", done.text());
}

const MINI: &str = "openai/gpt-4o-mini";
const SONNET: &str = "anthropic/claude-sonnet-4-5";
const OPUS: &str = "anthropic/claude-opus-5-5";
const GPT: &str = "openai/gpt-5.4";
const GEMINI: &str = "gemini/gemini-2.5-pro";

#[test]
fn calls_are_priced_on_another_model_and_compared_where_both_amounts_are_known() {
    let mut books = Books::new();
    // gpt-4o-mini at 0.15, 0.075 and 0.6: 600 × 0.15 + 400 × 0.075 + 200 × 0.6 = 240 millionths.
    let usage = [(Meter::Input, 600), (Meter::CacheRead, 400), (Meter::Output, 200)];
    books.book(&made("a", MINI, &usage).with(|call, _| call.project = Some("pay".into())));
    books.book(&made("b", MINI, &usage).after(HOUR));
    books.book(&made("c", "openai/unheard-of", &usage));
    books.book(&made("d", MINI, &[]).failed());
    books.book(&Made { open: true, ..made("e", MINI, &[]) });
    let said = books.json(&["what-if", "2026-11", "-m", "anthropic/claude-sonnet-4-5,openai/nothing-at-all"]);
    assert_eq!((&said["schema"], &said["prices"]), (&json!(1), &json!("today")));
    let calls = &said["calls"];
    assert_eq!((&calls["priced"], &calls["free_failures"], &calls["open"]), (&json!(3), &json!(1), &json!(1)));
    // claude-sonnet-4-5 at 3, 0.3 and 15: 600 × 3 + 400 × 0.3 + 200 × 15 = 4,920 millionths.
    let there = &said["models"][0];
    assert_eq!((&there["model"], &there["calls"]), (&json!(SONNET), &json!(2)));
    assert_eq!((&there["now_usd"], &there["there_usd"]), (&json!("0.00048"), &json!("0.00984")));
    assert_eq!((&there["change_usd"], &there["unpriced_now"]), (&json!("0.00936"), &json!(1)));
    assert_eq!(there["unpriced_now_there_usd"], "0.00492");
    let pay = there["projects"].as_array().expect("projects").iter().find(|row| row["project"] == "pay");
    assert_eq!(pay.map(|row| &row["there_usd"]), Some(&json!("0.00492")));
    let nothing = &said["models"][1];
    assert_eq!((&nothing["calls"], &nothing["unpriced_there"]), (&json!(0), &json!(2)));
    assert_eq!((&nothing["unpriced_both"], &nothing["context"]), (&json!(1), &Value::Null));
    assert_eq!(nothing["reasons"], json!({"no price is known for openai/nothing-at-all": 3}));

    let page = books.page(&["what-if", "2026-11", "-m", SONNET]);
    for wanted in [
        "What if: November 2026, UTC",
        "3 calls of the period are priced there.",
        "1 call: left out, failed and cost nothing.",
        "1 call: left out, not ended.",
        "anthropic/claude-sonnet-4-5 2 $0.000480 $0.009840 +$0.009360 +1950%",
        "1 call: unpriced now, $0.004920 there; not in the sums",
        "another tokenizer makes more or fewer",
        "Quality is not modelled",
        "At today's prices (bundled",
    ] {
        shows(&page, wanted);
    }
}

#[test]
fn what_the_other_model_would_not_have_done_is_counted() {
    let mut books = Books::new();
    let set = |made: Made, parameters: Value| made.with(|call, _| call.parameters = parameters);
    // gpt-4o-mini holds 128,000 tokens and writes 16,384 at the most.
    books.book(&set(made("a", SONNET, &[(Meter::Input, 120_000), (Meter::Output, 10)]), json!({"max_tokens": 8_000})));
    books.book(&set(made("b", SONNET, &[(Meter::Input, 120_000), (Meter::Output, 10)]), json!({"max_tokens": 8_001})));
    books.book(&made("c", SONNET, &[(Meter::Input, 100), (Meter::Output, 20_000)]));
    books.book(&set(made("d", SONNET, &[(Meter::Input, 1)]), json!({"temperature": 0.5, "seed": 1, "effort": "low"})));
    let said = books.json(&["what-if", "2026-11", "-m", &format!("{MINI},openai/gpt-5.4")]);
    let mini = &said["models"][0];
    assert_eq!((&mini["context"], &mini["too_long"]), (&json!(128_000), &json!(1)));
    assert_eq!((&mini["output_max"], &mini["too_wordy"]), (&json!(16_384), &json!(1)));
    assert_eq!(mini["refused"], json!({"effort": 1}));
    assert_eq!(said["models"][1]["refused"], json!({"temperature": 1}));
    shows(&books.page(&["what-if", "2026-11", "-m", MINI]), "1 call: set effort, which it does not take");
}

#[test]
fn batch_and_tiers_are_the_other_models_own_or_said_to_be_missing() {
    let mut books = Books::new();
    let usage = [(Meter::Input, 1000), (Meter::Output, 100)];
    books.book(&made("a", GPT, &usage).tier("priority"));
    // gpt-5.4 in batch: 1000 × 1.25 + 100 × 7.5 = 2,000 millionths.
    let batch = books.json(&["what-if", "2026-11", "-m", GPT, "--batch"]);
    assert_eq!((&batch["models"][0]["there_usd"], &batch["models"][0]["no_batch"]), (&json!("0.002"), &json!(0)));
    // deepseek has neither: its standard prices, said twice.
    let none = books.json(&["what-if", "2026-11", "-m", "deepseek/deepseek-chat", "--batch"]);
    let there = &none["models"][0];
    assert_eq!((&there["calls"], &there["no_batch"], &there["no_tier"]), (&json!(1), &json!(1), &json!(1)));
}

#[test]
fn a_one_hour_write_is_priced_as_the_longest_that_the_other_model_knows() {
    let mut books = Books::new();
    books.book(&made("a", SONNET, &[(Meter::CacheWrite1h, 1000), (Meter::Output, 10)]));
    // gpt-4o-mini charges no writes: 1000 × 0.15 + 10 × 0.6 = 156 millionths.
    let said = books.json(&["what-if", "2026-11", "-m", MINI]);
    assert_eq!(said["models"][0]["there_usd"], "0.000156");
}

#[test]
fn tokens_are_scaled_only_where_a_page_says_by_how_much_and_only_when_asked() {
    let mut books = Books::new();
    books.book(&made("a", SONNET, &[(Meter::Input, 1001), (Meter::Output, 100)]));
    let there = |args: &[&str]| books.json(args)["models"][0].clone();
    let plain = there(&["what-if", "2026-11", "-m", OPUS]);
    // claude-opus-5-5 at 4 and 20: 1001 × 4 + 100 × 20 = 6,004 millionths.
    assert_eq!((&plain["there_usd"], &plain["more_tokens"]), (&json!("0.006004"), &json!(1)));
    let scaled = there(&["what-if", "2026-11", "-m", OPUS, "--same-tokens", "no"]);
    // 1001 × 1.35 is 1351.35, so 1352: 1352 × 4 + 135 × 20 = 8,108 millionths.
    assert_eq!((&scaled["there_usd"], &scaled["more_tokens_factor"]), (&json!("0.008108"), &json!("1.35")));
    let other = there(&["what-if", "2026-11", "-m", MINI, "--same-tokens", "no"]);
    assert_eq!((&other["more_tokens"], &other["more_tokens_source"]), (&json!(0), &Value::Null));
    shows(&books.page(&["what-if", "2026-11", "-m", OPUS]), "platform.claude.com/docs/en/about-claude/pricing");
}

#[test]
fn a_session_is_priced_as_if_each_call_read_what_the_one_before_it_had_sent() {
    let mut books = Books::new();
    let at = |id: &str, ms: i64, tokens: u64| made(id, MINI, &[(Meter::Input, tokens)]).in_session("s").after(ms);
    books.book(&at("a", 0, 2000));
    books.book(&at("b", 4 * MINUTE, 3000));
    // More than five minutes later nothing is there any more.
    books.book(&at("c", 10 * MINUTE, 4000));
    books.book(&made("d", MINI, &[(Meter::Input, 5000)]));
    let there = |args: &[&str]| books.json(args)["models"][0].clone();
    let cached = there(&["what-if", "2026-11", "-m", SONNET, "--cache"]);
    // 2000 × 3.75, then 2000 × 0.3 + 1000 × 3.75, then 4000 × 3.75; the call without a session stays at 5000 × 3.
    let millionths = 7_500 + 600 + 3_750 + 15_000 + 15_000;
    assert_eq!((picos(&cached["there_usd"]), &cached["cached"]), (millionths * 1_000_000, &json!(3)));
    let plain = there(&["what-if", "2026-11", "-m", SONNET]);
    assert_eq!((picos(&plain["there_usd"]), &plain["cached"]), (14_000 * 3_000_000, &json!(0)));
}

#[test]
fn a_narrow_screen_loses_no_figure() {
    let mut books = Books::new();
    let usage = [(Meter::Input, 600), (Meter::CacheRead, 400), (Meter::CacheWrite5m, 100), (Meter::Output, 200)];
    books.book(&made("a", SONNET, &usage).with(|call, _| call.project = Some("pay".into())));
    books.book(&made("b", SONNET, &usage).failed());
    for args in [
        &["what-if", "2026-11", "-m", "openai/gpt-4o-mini,openai/gpt-5.4"][..],
        &["savings", "2026-11"],
        &["waste", "2026-11"],
    ] {
        let figures = |done: &Done| -> BTreeSet<String> {
            let words = done.text().split_whitespace().filter(|word| word.contains('$'));
            words.map(str::to_owned).collect()
        };
        let whole = figures(&books.page(args));
        assert!(whole.len() > 2, "{whole:?}");
        for width in ["40", "60", "80", "120", "200"] {
            let narrow = books.llmx(args).env("COLUMNS", width).run().exits(0);
            assert_eq!(figures(&narrow), whole, "{width}\n{}", narrow.text());
        }
    }
}

#[test]
fn wrong_flags_are_told() {
    let books = Books::new();
    books.llmx(&["what-if", "2026-11"]).run().exits(2).says(&["--model"]);
    books.llmx(&["what-if", "2026-11", "-m", "no-such-model-anywhere"]).run().exits(4);
    books.llmx(&["what-if", "2026-11", "-m", MINI, "--where", "modle=x"]).run().exits(2).says(&["--where"]);
    books.llmx(&["waste", "2026-11", "--within", "soon"]).run().exits(2).says(&["--within soon"]);
    books.llmx(&["savings", "someday"]).run().exits(2);
}

#[test]
fn caching_is_measured_at_the_rates_of_the_calls_own_lines() {
    let mut books = Books::new();
    // claude-sonnet-4-5: 3 plain, 0.3 read, 3.75 and 6 written.
    books.book(&made("a", SONNET, &[(Meter::Input, 100), (Meter::CacheWrite5m, 1000), (Meter::Output, 10)]));
    books.book(&made("b", SONNET, &[(Meter::Input, 100), (Meter::CacheRead, 1000), (Meter::Output, 10)]));
    // Nothing of it was billed at the plain rate.
    books.book(&made("c", SONNET, &[(Meter::CacheRead, 1000), (Meter::CacheWrite1h, 200)]));
    books.book(&made("d", "openai/unheard-of", &[(Meter::CacheRead, 1000)]));
    let said = books.savings();
    let caching = &said["caching"];
    // 2 × 1000 × 2.7 − 1000 × 0.75 − 200 × 3 = 5,400 − 1,350 millionths.
    assert_eq!((&caching["read_saved_usd"], &caching["write_paid_usd"]), (&json!("0.0054"), &json!("0.00135")));
    assert_eq!((&caching["saved_usd"], &said["saved_usd"]), (&json!("0.00405"), &json!("0.00405")));
    assert_eq!((&caching["calls"], &caching["by_row"], &caching["unknown"]), (&json!(3), &json!(1), &json!(1)));
    // 3000 of 4400 prompt tokens.
    assert_eq!((&caching["read_tokens"], &caching["hit_percent"]), (&json!(3000), &json!(68)));
    let model = caching["models"].as_array().expect("models").iter().find(|row| row["model"] == SONNET);
    // The last write was for an hour: 3 ÷ 2.7 reads; 2000 read of 1200 written.
    let model = model.expect("a row");
    assert_eq!((&model["break_even"], &model["reads_per_write"]), (&json!("1.12"), &json!("1.66")));
}

#[test]
fn a_cache_that_cost_more_than_it_saved_is_shown_as_a_loss() {
    let mut books = Books::new();
    books.book(&made("a", SONNET, &[(Meter::Input, 100), (Meter::CacheWrite1h, 1000)]));
    let said = books.savings();
    assert_eq!((&said["saved_usd"], &said["caching"]["saved_usd"]), (&json!("-0.003"), &json!("-0.003")));
    let page = books.page(&["savings", "2026-11"]);
    shows(&page, "-$0.003000 lost in all, over 1 call");
    shows(&page, "lost money");
}

#[test]
fn a_tier_is_held_against_standard_prices_and_a_fast_one_costs_more() {
    let mut books = Books::new();
    let usage = [(Meter::Input, 1000), (Meter::Output, 100)];
    // gpt-5.4: 4,000 millionths at standard prices, half in flex, twice in priority.
    books.book(&made("a", GPT, &usage).tier("flex"));
    books.book(&made("b", GPT, &usage).tier("priority"));
    books.book(&made("c", GPT, &usage).tier("default"));
    let said = books.savings();
    assert_eq!(
        said["tiers"],
        json!([
            {"tier": "flex", "saved_usd": "0.002", "standard_usd": "0.004", "calls": 1, "unknown": 0},
            {"tier": "priority", "saved_usd": "-0.004", "standard_usd": "0.004", "calls": 1, "unknown": 0},
        ])
    );
    assert_eq!(said["saved_usd"], "-0.002");
    shows(&books.page(&["savings", "2026-11"]), "priority -$0.004000 $0.004000 1 0 cost more");
}

#[test]
fn a_route_is_held_against_the_dearest_model_that_it_used() {
    let mut books = Books::new();
    let usage = [(Meter::Input, 1000), (Meter::Output, 100)];
    let routed = |id: &str, model: &str| made(id, model, &usage).with(|call, _| call.route = Some("auto".into()));
    // 210 millionths on gpt-4o-mini, 4,500 on claude-sonnet-4-5.
    books.book(&routed("a", MINI));
    books.book(&routed("b", MINI));
    books.book(&routed("c", SONNET));
    // A cascade: the first answer did not do. It was paid for, and would not have been needed.
    books.book(&routed("d", MINI));
    books.book(&routed("e", SONNET).with(|call, _| call.retry_of = Some("d".into())));
    books.book(&made("f", SONNET, &usage));
    let said = books.savings();
    let route = &said["routes"][0];
    // 3 × 210 + 2 × 4,500 booked against 4 × 4,500.
    assert_eq!((&route["route"], &route["dearest"], &route["calls"]), (&json!("auto"), &json!(SONNET), &json!(5)));
    assert_eq!((&route["booked_usd"], &route["saved_usd"]), (&json!("0.00963"), &json!("0.00837")));
    assert_eq!(said["saved_usd"], "0.00837");
    shows(&books.page(&["savings", "2026-11"]), "what it would have answered is not known");

    let mut alone = Books::new();
    alone.book(&routed("a", MINI));
    assert_eq!(alone.savings()["routes"][0]["saved_usd"], Value::Null);
}

#[test]
fn each_way_of_losing_money_has_its_part_and_a_call_is_in_one() {
    let mut books = Books::new();
    let usage = [(Meter::Input, 1000), (Meter::Output, 100)];
    // 210 millionths each.
    let one = |id: &str| made(id, MINI, &usage);
    books.book(&one("fine"));
    books.book(&Made { open: true, ..one("held").with(|call, _| call.ceiling = Some(Usd::from_picos(7_000_000))) });
    books.book(&one("replaced").failed());
    books.book(&one("instead").with(|call, _| call.retry_of = Some("replaced".into())));
    books.book(&one("failed").failed());
    books.book(&made("free", MINI, &[]).failed());
    books.book(&one("first").asking("again?"));
    books.book(&one("second").asking("again?").after(HOUR));
    books.book(&one("third").asking("again?").after(24 * HOUR));
    books.book(&one("late").asking("again?").after(49 * HOUR));
    books.book(&one("other").asking("again?").with(|call, _| call.parameters = json!({"seed": 1})));
    books.book(&one("cut").with(|_, settlement| settlement.stop_reason = Some("length".into())));
    books.book(&one("stopped").with(|_, settlement| settlement.stopped = Some("interrupt".into())));
    books.book(&one("textless").with(|call, _| call.prompt = None));
    let parts = books.waste();
    let ids = |kind: &str| -> Vec<String> {
        let top = parts[kind]["top"].as_array().expect("a list");
        let mut ids: Vec<String> = top.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids("held"), ["held"]);
    assert_eq!(ids("replaced"), ["replaced"]);
    assert_eq!(ids("failed"), ["failed"]);
    assert_eq!(ids("again"), ["second", "third"]);
    assert_eq!(ids("cut"), ["cut"]);
    assert_eq!(ids("stopped"), ["stopped"]);
    assert_eq!(ids("rebuilt"), [""; 0]);
    assert_eq!((&parts["held"]["usd"], &parts["held"]["lost"]), (&json!("0.000007"), &json!(false)));
    assert_eq!((&parts["again"]["usd"], &parts["again"]["lost"]), (&json!("0.00042"), &json!(true)));
    let said = books.json(&["waste", "2026-11"]);
    // Of thirteen that ended one cost nothing; lost are replaced, failed, second and third.
    assert_eq!((&said["calls"], &said["lost_usd"]), (&json!(13), &json!("0.00084")));
    assert_eq!((&said["booked_usd"], &said["without_text"]), (&json!("0.00252"), &json!(1)));
    let page = books.page(&["waste", "2026-11"]);
    for wanted in [
        "$0.000840 of $0.002520 (33%) was paid for nothing, in 13 calls",
        "the same request again within 24 h 2 $0.000420",
        "1 call: the conversation is not kept",
        "protocol; instead in its place",
    ] {
        shows(&page, wanted);
    }
    let near = books.json(&["waste", "2026-11", "--within", "30m"]);
    assert_eq!(near["parts"][3]["calls"], 0);
}

#[test]
fn where_a_call_has_no_price_what_was_wasted_is_at_least_so_much() {
    let mut books = Books::new();
    books.book(&made("lost", "anthropic/claude-sonnet-4-6", &[(Meter::Input, 100_000)]).failed());
    let page = books.page(&["waste", "2026-11"]);
    assert!(page.text().contains("$0.300000 of $0.300000 (100%) was paid for nothing"), "{}", page.text());
    books.book(&made("unknown", "openai/nobody-knows", &[(Meter::Input, 100_000)]).after(HOUR));
    assert_eq!(books.json(&["waste", "2026-11"])["unpriced"], 1);
    let page = books.page(&["waste", "2026-11"]);
    assert!(page.text().contains("at least $0.300000 of at least $0.300000 was paid for nothing"), "{}", page.text());
    assert!(page.text().contains("1 call: in no sum, since unpriced"), "{}", page.text());
}

#[test]
fn calls_that_were_meant_to_be_the_same_are_no_waste() {
    let mut books = Books::new();
    let one = |id: &str| made(id, MINI, &[(Meter::Input, 1000)]).asking("same");
    let group = |id: &str| one(id).with(|call, _| call.group = Some("g".into()));
    books.book(&group("a"));
    books.book(&group("b"));
    books.book(&one("c").after(-HOUR).with(|call, _| call.command = "test-access".into()));
    books.book(&one("d").after(-HOUR).with(|call, _| call.command = "test-access".into()));
    assert_eq!(books.waste()["again"]["calls"], 0);
    // An answer that never came is asked for again, and rightly.
    let mut again = Books::new();
    again.book(&one("a").failed());
    again.book(&one("b").after(MINUTE));
    assert_eq!(again.waste()["again"]["calls"], 0);
}

#[test]
fn a_cache_that_was_filled_anew_costs_what_a_read_would_have_saved() {
    let mut books = Books::new();
    let at = |id: &str, minutes: i64, usage: &[(Meter, u64)]| {
        made(id, SONNET, usage).in_session("s").after(minutes * MINUTE)
    };
    books.book(&at("a", 0, &[(Meter::Input, 10), (Meter::CacheWrite5m, 10_000)]));
    books.book(&at("b", 3, &[(Meter::Input, 10), (Meter::CacheRead, 10_000), (Meter::CacheWrite5m, 500)]));
    // Expired: 10,510 tokens had been held, 10,600 are written.
    books.book(&at("c", 13, &[(Meter::CacheWrite5m, 10_600)]));
    // Too long ago to be called a rebuild.
    books.book(&at("d", 100, &[(Meter::CacheWrite5m, 11_000)]));
    // Within its life: the prompt's beginning had changed.
    books.book(&at("e", 101, &[(Meter::CacheWrite5m, 11_000)]));
    // Another prompt, much shorter than what was held.
    books.book(&at("f", 102, &[(Meter::CacheWrite5m, 2_000)]));
    let parts = books.waste();
    let rebuilt = &parts["rebuilt"];
    let items = rebuilt["top"].as_array().expect("a list");
    let said: BTreeMap<&str, &str> =
        items.iter().map(|item| (item["id"].as_str().expect("id"), item["why"].as_str().expect("why"))).collect();
    assert_eq!(
        said,
        BTreeMap::from([
            ("c", "expired: 10 min after the call before it"),
            ("e", "changed: 1 min after the call before it")
        ])
    );
    // A write costs 3.75, a read 0.3: 10,510 × 3.45 and 11,000 × 3.45 millionths.
    assert_eq!(picos(&rebuilt["usd"]), 21_510 * 3_450_000);
}

/// What a random call is made of.
#[derive(Debug, Clone)]
struct Drawn {
    model: &'static str,
    counts: [u64; 5],
    tier: Option<&'static str>,
    flags: u32,
    minutes: i64,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let count = |most: u64| select(vec![0, 1, 7, most / 100, most / 3, most]);
    let counts = (count(300_000), count(300_000), count(150_000), count(90_000), count(60_000));
    let tiers = select(vec![None, Some("default"), Some("flex"), Some("priority")]);
    (select(vec![MINI, SONNET, OPUS, GPT, GEMINI]), counts, tiers, any::<u32>(), 0_i64..600).prop_map(
        |(model, counts, tier, flags, minutes)| {
            let (input, read, write, hour, output) = counts;
            // Only Anthropic writes caches for an hour.
            let hour = if model.starts_with("anthropic") { hour } else { 0 };
            let tier = tier.filter(|_| model == GPT);
            Drawn { model, counts: [input, read, write, hour, output], tier, flags, minutes }
        },
    )
}

impl Drawn {
    fn made(&self, number: usize) -> Made {
        let meters = [Meter::Input, Meter::CacheRead, Meter::CacheWrite5m, Meter::CacheWrite1h, Meter::Output];
        let usage: Vec<(Meter, u64)> = meters.into_iter().zip(self.counts).collect();
        let mut made = made(&format!("call-{number}"), self.model, &usage).after(self.minutes * MINUTE);
        made.tier = self.tier;
        let has = |bit: u32| self.flags & (1 << bit) != 0;
        made.call.project = has(0).then(|| "pay".to_owned());
        made.call.session = has(1).then(|| format!("s{}", self.flags >> 30));
        made.call.route = has(2).then(|| "auto".to_owned());
        made.call.ceiling = Some(Usd::from_picos(9));
        made.open = self.flags & 0xF00 == 0;
        if has(3) {
            made = made.asking("the same");
        }
        if self.flags & 0x3000 == 0 {
            made = made.failed();
        }
        if self.flags & 0xC000 == 0 {
            made.settlement.stopped = Some("interrupt".into());
        }
        if has(16) {
            made.settlement.stop_reason = Some("length".into());
        }
        if number > 0 && self.flags & 0xE0000 == 0 {
            made.call.retry_of = Some(format!("call-{}", number - 1));
        }
        made
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_model_at_the_same_prices_costs_what_is_booked(calls in proptest::collection::vec(drawn(), 1..25)) {
        let mut books = Books::new();
        let mut booked: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
        for (number, drawn) in calls.iter().enumerate() {
            let total = books.book(&drawn.made(number));
            if let Some(total) = total.filter(|_| drawn.counts.iter().any(|count| *count > 0)) {
                let sum = booked.entry(drawn.model).or_default();
                *sum = (sum.0 + total.picos, sum.1 + 1);
            }
        }
        for (model, (total, number)) in booked {
            let only = format!("model={model}");
            for then in [&["--then"][..], &[]] {
                let said = books.json(&[&["what-if", "2026-11", "-m", model, "--where", &only], then].concat());
                let there = &said["models"][0];
                prop_assert_eq!(&there["calls"], &json!(number), "{}", said);
                prop_assert_eq!((picos(&there["now_usd"]), picos(&there["there_usd"])), (total, total), "{}", said);
            }
        }
    }

    #[test]
    fn savings_by_caching_are_what_plain_prompts_would_have_cost_more(
        calls in proptest::collection::vec((0_u64..50_000, 0_u64..50_000, 0_u64..50_000, 0_u64..40_000), 1..20)
    ) {
        let (mut books, mut plain) = (Books::new(), Books::new());
        let mut wanted = 0;
        for (number, (input, read, write, hour)) in calls.iter().enumerate() {
            let usage =
                [(Meter::Input, *input), (Meter::CacheRead, *read), (Meter::CacheWrite5m, *write), (Meter::CacheWrite1h, *hour)];
            books.book(&made(&number.to_string(), SONNET, &usage));
            plain.book(&made(&number.to_string(), SONNET, &[(Meter::Input, input + read + write + hour)]));
            // 3 plain, 0.3 read, 3.75 written for five minutes, 6 for an hour, in picodollars a token.
            let [read, write, hour] = [read, write, hour].map(|count| i64::try_from(*count).expect("small"));
            wanted += read * 2_700_000 - write * 750_000 - hour * 3_000_000;
        }
        let said = books.savings();
        prop_assert_eq!(picos(&said["caching"]["saved_usd"]), wanted, "{}", said);
        prop_assert_eq!(&said["caching"]["unknown"], &json!(0));
        prop_assert_eq!(&plain.savings()["saved_usd"], &json!("0"));
    }

    #[test]
    fn a_call_is_wasted_once_and_never_for_more_than_it_cost(calls in proptest::collection::vec(drawn(), 1..40)) {
        let mut books = Books::new();
        let mut booked: BTreeMap<String, i64> = BTreeMap::new();
        for (number, drawn) in calls.iter().enumerate() {
            let made = drawn.made(number);
            let total = books.book(&made);
            booked.insert(made.call.id.clone(), total.map_or(9, |total| total.picos));
        }
        let said = books.json(&["waste", "2026-11", "-n", "1000"]);
        let mut seen = BTreeSet::new();
        let mut lost = 0;
        for part in said["parts"].as_array().expect("parts") {
            let mut sum = 0;
            for item in part["top"].as_array().expect("a list") {
                let id = item["id"].as_str().expect("an id").to_owned();
                let amount = if item["usd"].is_null() { 0 } else { picos(&item["usd"]) };
                prop_assert!(amount >= 0 && amount <= booked[&id].max(0), "{}", item);
                prop_assert!(seen.insert(id), "twice: {}", item);
                sum += amount;
            }
            prop_assert_eq!(picos(&part["usd"]), sum);
            prop_assert_eq!(&part["calls"], &json!(part["top"].as_array().map(Vec::len)));
            lost += if part["lost"] == true { sum } else { 0 };
        }
        prop_assert_eq!(picos(&said["lost_usd"]), lost);
        prop_assert!(lost <= picos(&said["booked_usd"]));
    }
}
