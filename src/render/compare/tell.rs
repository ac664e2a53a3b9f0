//! The words of a comparison: states, times, amounts, as they stand in cells and sentences.

use crate::domain::bill::{Basis, Bill};
use crate::domain::comparison::spread::Spread;
use crate::domain::comparison::{Comparison, Lane, Run, Spend};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::money::Usd;
use crate::domain::untrusted::one_line;

/// Stands where there is no value.
pub(super) const NONE: &str = "–";

pub(super) fn seconds(millis: u64) -> String {
    format!("{}.{:02}s", millis / 1000, millis % 1000 / 10)
}

/// `0.50–0.80s`, where there are enough runs to say so.
pub(super) fn range(spread: &Spread<u64>) -> Option<String> {
    let (low, high) = spread.p10.zip(spread.p90)?;
    Some(format!("{}–{}", seconds(low).trim_end_matches('s'), seconds(high)))
}

/// What became of a lane, in a few words.
pub(super) fn status(lane: &Lane) -> String {
    let answered = lane.answers().count();
    match (lane.runs.as_slice(), lane.failure()) {
        ([], _) => "not called".to_owned(),
        ([run], _) => state(run, lane),
        (runs, None) if answered == runs.len() => format!("ok {answered}/{}", runs.len()),
        (runs, None) => format!("{answered}/{} ok, stopped", runs.len()),
        (runs, Some(failure)) => format!("{answered}/{} ok, {}", runs.len(), class(failure, region(lane))),
    }
}

/// What became of one run.
pub(super) fn state(run: &Run, lane: &Lane) -> String {
    match (run.failure(), run.report().and_then(|report| report.stopped)) {
        (Some(failure), _) => {
            let called = run.report().and_then(|report| report.region.as_deref());
            class(failure, called.or_else(|| region(lane)))
        }
        (None, Some(_)) => "stopped".to_owned(),
        (None, None) => "ok".to_owned(),
    }
}

fn region(lane: &Lane) -> Option<&str> {
    let called = lane.runs.iter().filter_map(Run::report).find_map(|report| report.region.as_deref());
    called.or(lane.name.region.as_deref())
}

/// The class of a failure in words, with the region where it is about one.
fn class(failure: &Failure, region: Option<&str>) -> String {
    let place = region.map(|region| format!(" in {}", one_line(region))).unwrap_or_default();
    match failure.class {
        ErrorClass::Auth => "no or rejected key".to_owned(),
        ErrorClass::Permission => format!("no access{place}"),
        ErrorClass::NotFound => format!("no such model{place}"),
        ErrorClass::Region => format!("not served{place}"),
        ErrorClass::RateLimit => "rate limited".to_owned(),
        ErrorClass::Quota => "quota used up".to_owned(),
        ErrorClass::ContextLength => "prompt too long".to_owned(),
        ErrorClass::ContentFilter => "filtered".to_owned(),
        ErrorClass::InvalidRequest => "request refused".to_owned(),
        ErrorClass::Overloaded => "overloaded".to_owned(),
        ErrorClass::Timeout => "timed out".to_owned(),
        ErrorClass::Network => "network error".to_owned(),
        ErrorClass::Protocol => "broken answer".to_owned(),
        ErrorClass::Budget => "over budget".to_owned(),
        ErrorClass::Ledger => "not booked".to_owned(),
        ErrorClass::Config => "not called".to_owned(),
    }
}

/// What must be said of an answer that is no whole text.
pub(super) fn remark(run: &Run, text: &str) -> Option<String> {
    let report = run.report()?;
    if let Some(failure) = run.failure() {
        return Some(format!("(ended early: {})", failure.class));
    }
    if report.stopped.is_some() {
        return Some("(stopped)".to_owned());
    }
    let calls: Vec<String> = report.answer.tool_calls().map(|call| one_line(&call.name)).collect();
    match (text.trim().is_empty(), calls.is_empty()) {
        (_, false) => Some(format!("(calls {})", calls.join(", "))),
        (true, true) => Some("(no text)".to_owned()),
        (false, true) => None,
    }
}

/// A failure as it stands below the table, one line and its `try:`.
pub(super) fn failure(label: &str, failure: &Failure) -> String {
    let billed = if failure.may_be_billed { " (it may have been billed)" } else { "" };
    let mut text = format!("{}: {}: {}{billed}", one_line(label), failure.class, one_line(&failure.message));
    if let Some(advice) = &failure.advice {
        text.push_str(&format!("\ntry: {}", one_line(advice)));
    }
    text
}

/// The amount of one call in a cell. The bound of an estimate stands with the sum.
pub(super) fn amount(bill: &Bill) -> String {
    match (bill.basis, bill.total) {
        (Basis::Nothing, _) => NONE.to_owned(),
        (Basis::Unpriced, _) | (_, None) => "unpriced".to_owned(),
        (Basis::Free, _) => "free".to_owned(),
        (Basis::Table | Basis::Reported, Some(total)) => format!("${total}"),
        (Basis::Estimated, Some(total)) => format!("about ${total}"),
        (Basis::Ceiling, Some(total)) => format!("at most ${total}"),
        (Basis::Simulated, Some(total)) => format!("${total} (simulated)"),
    }
}

/// The amount of a lane: of its call, or the middle one of its answers.
pub(super) fn cost(lane: &Lane) -> String {
    if let [run] = lane.runs.as_slice() {
        return run.report().map_or(NONE.to_owned(), |report| amount(&report.bill));
    }
    let spend = lane.spend();
    match lane.cost() {
        None if spend.calls == 0 => NONE.to_owned(),
        None => "unpriced".to_owned(),
        Some(cost) => {
            let about = if spend.estimated > 0 { "about " } else { "" };
            let simulated = if spend.simulated > 0 { " (simulated)" } else { "" };
            format!("{about}${}{simulated}", cost.median)
        }
    }
}

/// A sum with what is not known of it: `$0.002`, `about $0.002, at most $0.01`, `at least $0.002, 1 unpriced`.
pub(super) fn spend(spend: &Spend) -> String {
    if spend.calls == 0 {
        return "nothing".to_owned();
    }
    if spend.unpriced == spend.calls {
        return format!("an unknown amount, {} unpriced", spend.unpriced);
    }
    let mut text = String::new();
    if spend.unpriced > 0 {
        text.push_str("at least ");
    }
    if spend.estimated > 0 {
        text.push_str("about ");
    }
    text.push_str(&format!("${}", spend.total));
    if let Some(most) = spend.at_most.filter(|most| *most != spend.total) {
        text.push_str(&format!(", at most ${most}"));
    }
    if spend.unpriced > 0 {
        text.push_str(&format!(", {} unpriced", spend.unpriced));
    }
    if spend.simulated > 0 {
        text.push_str(" (simulated)");
    }
    text
}

/// The last line: how many answered, how long it took, what it cost.
pub(super) fn verdict(comparison: &Comparison, exit: u8) -> String {
    let spent = spend(&comparison.spend());
    let (answered, all) = (comparison.answered(), comparison.lanes.len());
    let exit = if exit == 0 { String::new() } else { format!("    exit {exit}") };
    format!("{answered} of {all} answered in {} for {spent}{exit}", seconds(comparison.wall_ms))
}

/// What a judge cost, said apart from the calls that were judged.
pub(super) fn judging(cost: Option<Usd>) -> String {
    cost.map_or("judging is unpriced".to_owned(), |usd| format!("judging cost ${usd}, not counted above"))
}
