//! A report as CSV (RFC 4180): one row per group, numbers as numbers, texts that no spreadsheet takes for a formula.

use crate::domain::spend::report::{Report, Row, What};
use crate::domain::spend::{Dimension, Tally};

use super::tell;

/// One row per group of the last dimension, with a head. What is unknown is empty. The rows add up to the whole, so no sum of
/// them is among them.
#[must_use]
pub fn text(report: &Report) -> String {
    let metered = report.by.contains(&Dimension::Meter);
    let mut head: Vec<String> = report.by.iter().map(|dimension| harmless(&dimension.to_string())).collect();
    let counts: &[&str] = if metered { &["units"] } else { &COUNTS };
    head.extend(counts.iter().chain(&AMOUNTS).map(|name| (*name).to_owned()));
    head.extend(report.currency.foreign.as_ref().map(|foreign| foreign.code.to_ascii_lowercase()));
    let mut text = line(&head);
    for row in &report.rows {
        if row.inner.is_empty() {
            text.push_str(&line(&cells(report, &[row], metered)));
        }
        for inner in &row.inner {
            text.push_str(&line(&cells(report, &[row, inner], metered)));
        }
    }
    text
}

const COUNTS: [&str; 12] = [
    "calls",
    "failed",
    "failed_not_billed",
    "unpriced",
    "estimated",
    "simulated",
    "open",
    "input",
    "cache_read",
    "cache_write",
    "output",
    "reasoning",
];

const AMOUNTS: [&str; 5] = ["usd", "at_most_usd", "held_usd", "price_table", "price_checked"];

fn cells(report: &Report, path: &[&Row], metered: bool) -> Vec<String> {
    let name = |at: usize, dimension: &Dimension| match path.get(at).map(|row| &row.what) {
        Some(What::Group(key)) => key.written(dimension, &report.period.zone),
        Some(What::Others(1)) => "1 other".to_owned(),
        Some(What::Others(count)) => format!("{count} others"),
        None => String::new(),
    };
    let mut cells: Vec<String> =
        report.by.iter().enumerate().map(|(at, dimension)| harmless(&name(at, dimension))).collect();
    let Some(row) = path.last() else { return cells };
    let tally = &row.tally;
    if metered {
        cells.push(tally.units.to_string());
    } else {
        cells.extend(counts(tally).map(|count| count.to_string()));
    }
    let exact = |picos: i128| crate::domain::spend::currency::Currency::default().exact(picos);
    let known = !tell::is_unknown(tally);
    let price = row.price.as_ref();
    cells.push(if known { exact(tally.picos) } else { String::new() });
    cells.push(if tally.unpriced == 0 { exact(tally.at_most) } else { String::new() });
    cells.push(exact(tally.held));
    cells.push(harmless(price.map(|price| price.table.as_str()).unwrap_or_default()));
    cells.push(harmless(price.and_then(|price| price.checked.as_deref()).unwrap_or_default()));
    if report.currency.foreign.is_some() {
        cells.push(if known { report.currency.exact(tally.picos) } else { String::new() });
    }
    cells
}

fn counts(tally: &Tally) -> [u64; 12] {
    [
        tally.calls,
        tally.failed,
        tally.failed_free,
        tally.unpriced,
        tally.uncertain,
        tally.simulated,
        tally.open,
        tally.input,
        tally.cache_read,
        tally.cache_write,
        tally.output,
        tally.reasoning,
    ]
}

/// A text that a spreadsheet would run begins with an apostrophe instead.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0']) { format!("'{text}") } else { text.to_owned() }
}

fn line(cells: &[String]) -> String {
    let cells = cells.iter().map(|cell| {
        if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    });
    format!("{}\r\n", cells.collect::<Vec<_>>().join(","))
}
