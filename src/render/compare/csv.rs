//! A comparison as CSV (RFC 4180): one row per call, numbers as numbers, texts that no spreadsheet takes for a formula.

use super::tell;
use crate::domain::comparison::{Comparison, Lane, Run, tokens_per_second};
use crate::domain::usage::Meter;

const HEAD: [&str; 21] = [
    "group",
    "label",
    "provider",
    "region",
    "model",
    "case",
    "run",
    "status",
    "error",
    "first_token_ms",
    "total_ms",
    "tokens_per_second",
    "input",
    "cache_read",
    "output",
    "reasoning",
    "usd",
    "at_most_usd",
    "basis",
    "checks_failed",
    "text",
];

/// One row per call, with a head. What is unknown is empty.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let mut text = line(&HEAD.map(str::to_owned));
    for lane in &comparison.lanes {
        for (at, run) in lane.runs.iter().enumerate() {
            text.push_str(&line(&row(comparison, lane, at, run)));
        }
    }
    text
}

fn row(comparison: &Comparison, lane: &Lane, at: usize, run: &Run) -> [String; 21] {
    let report = run.report();
    let usage = report.and_then(|report| report.outcome.usage());
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let region = report.and_then(|report| report.region.as_deref()).or(lane.name.region.as_deref());
    let bill = report.map(|report| &report.bill);
    let failed: Vec<&str> = run.checks.iter().filter(|check| !check.passed).map(|check| check.what.as_str()).collect();
    [
        harmless(&comparison.group),
        harmless(&lane.label),
        harmless(&lane.name.provider),
        harmless(region.unwrap_or_default()),
        harmless(&lane.name.model),
        run.case.map(|case| (case + 1).to_string()).unwrap_or_default(),
        (at + 1).to_string(),
        harmless(&tell::state(run, lane)),
        run.failure().map(|failure| failure.class.to_string()).unwrap_or_default(),
        number(report.and_then(|report| report.timing.first_token_ms)),
        number(report.map(|report| report.timing.total_ms)),
        number(report.and_then(tokens_per_second)),
        number(usage.and_then(|usage| usage.prompt_total())),
        number(usage.and_then(|usage| usage.get(Meter::CacheRead))),
        number(usage.and_then(|usage| usage.get(Meter::Output))),
        number(usage.and_then(|usage| usage.reasoning)),
        bill.and_then(|bill| bill.total).map(|usd| usd.to_string()).unwrap_or_default(),
        bill.and_then(|bill| bill.at_most).map(|usd| usd.to_string()).unwrap_or_default(),
        bill.map(|bill| bill.basis.as_str().to_owned()).unwrap_or_default(),
        harmless(&failed.join("; ")),
        harmless(&run.text()),
    ]
}

/// A text that a spreadsheet would run begins with an apostrophe instead.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\0']) { format!("'{text}") } else { text.to_owned() }
}

fn line(cells: &[String; 21]) -> String {
    let cells = cells.iter().map(|cell| {
        if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    });
    format!("{}\r\n", cells.collect::<Vec<_>>().join(","))
}
