//! Comparisons made by hand, here and for the faces that show them.

use serde_json::Value;

use super::{Check, Comparison, Lane, Require, Run, Score, Spend, tokens_per_second, verdict};
use crate::domain::answer::Answer;
use crate::domain::bill::{Basis, Bill, Outcome};
use crate::domain::chat::ChatEvent;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::report::{CallReport, Stop, Timing};
use crate::domain::usage::{Meter, Usage};

/// An answer that came: milliseconds to the first token and to the end, USD.
#[must_use]
pub fn answered(text: &str, first_ms: u64, total_ms: u64, usd: &str) -> CallReport {
    let mut answer = Answer::default();
    answer.add(ChatEvent::Text(text.to_owned()));
    let usage = Usage { raw: Value::Null, ..Usage::default() };
    let name = ModelName { provider: "sim".into(), region: None, model: "echo".into() };
    let bill = Bill::of(Basis::Table, Some(Usd::parse(usd).expect("an amount")));
    let timing = Timing { first_token_ms: Some(first_ms), total_ms, elapsed_ms: total_ms, attempts: 1 };
    CallReport { id: "0190-a".into(), answer, timing, ..CallReport::of(name, Outcome::Reported(usage), bill) }
}

/// The same with counted tokens.
#[must_use]
pub fn counted(mut report: CallReport, input: u64, output: u64) -> CallReport {
    if let Outcome::Reported(usage) = &mut report.outcome {
        usage.set(Meter::Input, input);
        usage.set(Meter::Output, output);
    }
    report
}

/// The same without a price.
#[must_use]
pub fn unpriced(text: &str, first_ms: u64, total_ms: u64) -> CallReport {
    CallReport { bill: Bill::of(Basis::Unpriced, None), ..answered(text, first_ms, total_ms, "0") }
}

/// The same with an estimate and its bound.
#[must_use]
pub fn estimated(text: &str, first_ms: u64, total_ms: u64, usd: &str, at_most: &str) -> CallReport {
    let mut report = answered(text, first_ms, total_ms, usd);
    report.bill.basis = Basis::Estimated;
    report.bill.at_most = Usd::parse(at_most);
    report
}

/// A lane called `provider/model`.
#[must_use]
pub fn lane(label: &str, results: Vec<Result<CallReport, Failure>>) -> Lane {
    let (provider, model) = label.split_once('/').expect("provider/model");
    let name = ModelName { provider: provider.into(), region: None, model: model.into() };
    let runs = results.into_iter().map(|mut result| {
        if let Ok(report) = &mut result {
            report.name = name.clone();
        }
        Run { case: None, result, checks: Vec::new() }
    });
    Lane { runs: runs.collect(), label: label.into(), name: name.clone() }
}

#[must_use]
pub fn comparison(lanes: Vec<Lane>) -> Comparison {
    let totals = lanes.iter().flat_map(|lane| &lane.runs).filter_map(Run::report).map(|report| report.timing.total_ms);
    let wall_ms = totals.max().unwrap_or(0);
    Comparison { group: "g1".into(), prompt: "Which index?".into(), cases: Vec::new(), lanes, wall_ms, judged: None }
}

fn fails(class: ErrorClass) -> Result<CallReport, Failure> {
    Err(Failure::new(class, "no"))
}

fn good() -> Result<CallReport, Failure> {
    Ok(answered("yes", 1, 2, "0.1"))
}

#[test]
fn the_shell_is_told_whether_all_some_or_none_answered() {
    let of = |results: Vec<Result<CallReport, Failure>>| {
        comparison(results.into_iter().enumerate().map(|(at, result)| lane(&format!("p/{at}"), vec![result])).collect())
    };
    let cases = [
        (of(vec![good(), good()]), Require::All, 0),
        (of(vec![good(), fails(ErrorClass::Auth)]), Require::All, 9),
        (of(vec![good(), fails(ErrorClass::Auth)]), Require::Any, 0),
        (of(vec![good(), good(), fails(ErrorClass::Auth)]), Require::AtLeast(2), 0),
        (of(vec![good(), fails(ErrorClass::Auth)]), Require::AtLeast(2), 9),
        (of(vec![fails(ErrorClass::Auth), fails(ErrorClass::Auth)]), Require::All, 3),
        (of(vec![fails(ErrorClass::Auth), fails(ErrorClass::Auth)]), Require::Any, 3),
        (of(vec![fails(ErrorClass::Permission), fails(ErrorClass::Region)]), Require::All, 4),
        (of(vec![fails(ErrorClass::Auth), fails(ErrorClass::Quota)]), Require::All, 9),
        (of(Vec::new()), Require::AtLeast(0), 9),
    ];
    for (at, (comparison, require, code)) in cases.into_iter().enumerate() {
        assert_eq!(verdict(&comparison, require), code, "case {at}");
    }
}

#[test]
fn an_assertion_counts_once_enough_have_answered_and_a_stop_before_all() {
    let failing = Check { what: "json".into(), passed: false, because: "prose".into() };
    let mut two = comparison(vec![lane("p/a", vec![good()]), lane("p/b", vec![good()])]);
    two.lanes[0].runs[0].checks.push(failing);
    assert_eq!(verdict(&two, Require::All), 10);
    two.lanes[1].runs[0].result = fails(ErrorClass::Timeout);
    assert_eq!((verdict(&two, Require::All), verdict(&two, Require::Any)), (9, 10));
    let mut stopped = answered("ye", 1, 2, "0.1");
    stopped.stopped = Some(Stop::Interrupt);
    two.lanes[1].runs[0].result = Ok(stopped);
    assert_eq!(verdict(&two, Require::All), 130);
    let mut unbooked = answered("yes", 1, 2, "0.1");
    unbooked.unbooked = Some(Failure::new(ErrorClass::Ledger, "full"));
    assert_eq!(verdict(&comparison(vec![lane("p/a", vec![Ok(unbooked)])]), Require::All), 1);
}

#[test]
fn a_model_with_one_failed_run_has_not_answered() {
    let half =
        comparison(vec![lane("p/a", vec![good(), fails(ErrorClass::Timeout)]), lane("p/b", vec![good(), good()])]);
    assert_eq!((half.answered(), verdict(&half, Require::All), verdict(&half, Require::AtLeast(1))), (1, 9, 0));
}

#[test]
fn the_fastest_and_the_cheapest_are_marked_where_that_can_be_told() {
    let of = |reports: Vec<CallReport>| {
        comparison(reports.into_iter().enumerate().map(|(at, one)| lane(&format!("p/{at}"), vec![Ok(one)])).collect())
    };
    let plain = of(vec![answered("a", 1, 20, "0.1"), answered("b", 1, 10, "0.2"), answered("c", 1, 10, "0.3")]);
    assert_eq!((plain.fastest(), plain.cheapest()), (vec![false, true, true], vec![true, false, false]));
    let alone = of(vec![answered("a", 1, 20, "0.1")]);
    assert_eq!((alone.fastest(), alone.cheapest()), (vec![false], vec![false]));
    let alike = of(vec![answered("a", 1, 20, "0.1"), answered("b", 1, 20, "0.1")]);
    assert_eq!((alike.fastest(), alike.cheapest()), (vec![false; 2], vec![false; 2]));
    // Unknown is not free: it could be the cheapest, or not.
    let unknown = of(vec![answered("a", 1, 20, "0.1"), unpriced("b", 1, 30)]);
    assert_eq!((unknown.fastest(), unknown.cheapest()), (vec![true, false], vec![false, false]));
    let unsure = of(vec![estimated("a", 1, 2, "0.1", "0.3"), answered("b", 1, 2, "0.2")]);
    assert_eq!(unsure.cheapest(), [false, false]);
    let sure = of(vec![estimated("a", 1, 2, "0.1", "0.15"), answered("b", 1, 2, "0.2")]);
    assert_eq!(sure.cheapest(), [true, false]);
}

#[test]
fn nobody_is_fastest_by_a_few_runs_or_by_a_hair() {
    let runs = |times: &[u64]| times.iter().map(|total| Ok(answered("x", 1, *total, "0.1"))).collect::<Vec<_>>();
    let few = comparison(vec![lane("p/a", runs(&[1, 1, 1, 1])), lane("p/b", runs(&[9, 9, 9, 9]))]);
    assert_eq!(few.fastest(), [false, false]);
    let clear = comparison(vec![lane("p/a", runs(&[5, 6, 5, 6, 7])), lane("p/b", runs(&[8, 9, 9, 9, 9]))]);
    assert_eq!(clear.fastest(), [true, false]);
    let mixed = comparison(vec![lane("p/a", runs(&[5, 6, 7, 6, 7])), lane("p/b", runs(&[5, 9, 9, 9, 9]))]);
    assert_eq!(mixed.fastest(), [false, false]);
}

#[test]
fn tokens_a_second_leave_out_the_wait_and_thinking_that_nobody_saw() {
    // 80 tokens in 2.23 s.
    assert_eq!(tokens_per_second(&counted(answered("x", 610, 2840, "0"), 42, 80)), Some(36));
    assert_eq!(tokens_per_second(&counted(answered("x", 100, 100, "0"), 42, 80)), None);
    assert_eq!(tokens_per_second(&answered("x", 1, 2, "0")), None);
    let mut hidden = counted(answered("x", 1000, 2000, "0"), 42, 80);
    if let Outcome::Reported(usage) = &mut hidden.outcome {
        usage.reasoning = Some(60);
    }
    assert_eq!(tokens_per_second(&hidden), Some(20));
    hidden.answer.add(ChatEvent::Reasoning("hm".into()));
    assert_eq!(tokens_per_second(&hidden), Some(80));
}

#[test]
fn a_sum_says_what_it_does_not_know() {
    let bills = [answered("", 1, 2, "0.1").bill, estimated("", 1, 2, "0.2", "0.5").bill];
    let sum = Spend::of(bills.iter());
    assert_eq!((sum.total.to_string(), sum.at_most.map(|most| most.to_string())), ("0.3".into(), Some("0.6".into())));
    let unknown = Spend::of(bills.iter().chain([&unpriced("", 1, 2).bill]));
    assert_eq!((unknown.calls, unknown.unpriced, unknown.estimated, unknown.at_most), (3, 1, 1, None));
}

#[test]
fn a_tie_is_half_a_win() {
    assert_eq!(Score { wins: 2, ties: 1, losses: 3 }.halves(), 5);
}
