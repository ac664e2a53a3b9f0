//! What an import has done, as a page and as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::domain::untrusted::one_line;

#[derive(Debug, Clone, Default)]
pub struct Report {
    pub dry: bool,
    pub sources: BTreeMap<&'static str, Counts>,
    /// The first of the lines that could not be read.
    pub problems: Vec<Problem>,
    /// New rows without a price, by model.
    pub unpriced: BTreeMap<String, u64>,
    /// Files in folders whose format is not known.
    pub skipped: u64,
}

/// Rows of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub files: u64,
    /// All that were understood: the sum of what follows, down to `growing`.
    pub read: u64,
    pub new: u64,
    pub there: u64,
    /// Calls that stand in the books by the provider's id.
    pub own: u64,
    /// Sums over calls that stand in the books, and calls within sums that do.
    pub overlaps: u64,
    /// Amounts that were corrected.
    pub restated: u64,
    /// Sums that are smaller than they were: kept as booked.
    pub shrunk: u64,
    pub future: u64,
    /// Calls that may not have ended.
    pub growing: u64,
    /// Lines that could not be read.
    pub broken: u64,
    /// Of the new: what sums have grown by.
    pub grown: u64,
    /// Of the new: without a known price.
    pub unpriced: u64,
    /// Requests that the new stand for.
    pub requests: u64,
    /// Amounts of the new, and what corrections have added.
    pub picos: i128,
}

#[derive(Debug, Clone)]
pub struct Problem {
    pub file: PathBuf,
    /// The line, or the row, counted from 1.
    pub at: u64,
    pub why: String,
}

const PICOS_PER_USD: u128 = 1_000_000_000_000;

/// The exact decimal.
fn usd(picos: i128) -> String {
    let sign = if picos < 0 { "-" } else { "" };
    let (whole, fraction) = (picos.unsigned_abs() / PICOS_PER_USD, picos.unsigned_abs() % PICOS_PER_USD);
    let digits = format!("{fraction:012}");
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{digits}") }
}

impl Counts {
    /// What is said of a source, in the order in which it is shown; zeros are not.
    fn said(&self) -> Vec<(u64, &'static str)> {
        [
            (self.there, "already there"),
            (self.own, "in the books already, by the provider's id or llmx's own"),
            (self.overlaps, "left out: they lie over what the books already hold of the same provider, model and time"),
            (self.restated, "corrected: a later export states another amount"),
            (self.shrunk, "smaller than when they were read before: kept as booked"),
            (self.future, "in the future: not booked"),
            (self.growing, "may not have ended: left for the next import"),
            (self.broken, "broken: not read"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .collect()
    }

    fn object(&self, source: Option<&str>) -> Value {
        json!({"source": source, "files": self.files, "read": self.read, "new": self.new, "already_there": self.there,
            "same_as_own": self.own, "overlapping": self.overlaps, "corrected": self.restated, "shrunk": self.shrunk,
            "future": self.future, "unfinished": self.growing, "broken": self.broken, "grown": self.grown,
            "unpriced": self.unpriced, "requests": self.requests, "usd": usd(self.picos)})
    }

    fn plus(self, other: Counts) -> Counts {
        Counts {
            files: self.files + other.files,
            read: self.read + other.read,
            new: self.new + other.new,
            there: self.there + other.there,
            own: self.own + other.own,
            overlaps: self.overlaps + other.overlaps,
            restated: self.restated + other.restated,
            shrunk: self.shrunk + other.shrunk,
            future: self.future + other.future,
            growing: self.growing + other.growing,
            broken: self.broken + other.broken,
            grown: self.grown + other.grown,
            unpriced: self.unpriced + other.unpriced,
            requests: self.requests + other.requests,
            picos: self.picos + other.picos,
        }
    }
}

/// One line of JSON.
#[must_use]
pub fn object(report: &Report) -> Value {
    let total = report.sources.values().fold(Counts::default(), |sum, counts| sum.plus(*counts));
    let sources: Vec<Value> = report.sources.iter().map(|(source, counts)| counts.object(Some(source))).collect();
    let problems = report.problems.iter().map(|one| json!({"file": one.file, "at": one.at, "why": one.why}));
    json!({"schema": 1, "dry_run": report.dry, "sources": sources, "total": total.object(None),
        "unpriced_models": report.unpriced, "unknown_files": report.skipped, "problems": problems.collect::<Vec<_>>()})
}

/// For people.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    let mut say = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    let width = report.sources.keys().map(|source| source.len()).max().unwrap_or_default();
    for (source, counts) in &report.sources {
        let verb = if report.dry { "would be new" } else { "new" };
        let at_least = if counts.unpriced > 0 { "at least " } else { "" };
        let requests = match counts.requests == counts.new {
            true => String::new(),
            false => format!(" ({} requests)", counts.requests),
        };
        // What other books had imported has the name of its source, and no file of its own.
        let files = if counts.files == 0 { String::new() } else { format!(" in {}", files(counts.files)) };
        say(&format!(
            "{source:width$}  {} read{files}: {} {verb}{requests}, {at_least}${}",
            rows(counts.read + counts.broken),
            counts.new,
            usd(counts.picos)
        ));
        for (count, what) in counts.said() {
            say(&format!("{:width$}  {count:>8} {what}", ""));
        }
        if counts.unpriced > 0 {
            say(&format!("{:width$}  {:>8} of the new have no known price", "", counts.unpriced));
        }
        if counts.grown > 0 {
            say(&format!(
                "{:width$}  {:>8} of the new are what sums have grown by since they were read",
                "", counts.grown
            ));
        }
    }
    for (model, count) in &report.unpriced {
        say(&format!("no price is known for {} ({})", one_line(model), rows(*count)));
    }
    for problem in &report.problems {
        say(&format!("{}:{}: {}", problem.file.display(), problem.at, one_line(&problem.why)));
    }
    let broken: u64 = report.sources.values().map(|counts| counts.broken).sum();
    if broken > report.problems.len() as u64 {
        say(&format!("… and {} more", broken - report.problems.len() as u64));
    }
    if report.skipped > 0 {
        say(&format!("{} of no known format left out", files(report.skipped)));
    }
    if report.sources.values().any(|counts| counts.overlaps > 0) {
        say(
            "Usage and cost exports, session logs and own calls are views of the same calls: each call is counted once. \
             --overlaps books what was left out all the same.",
        );
    }
    if report.dry {
        say("Nothing was written (--dry-run).");
    }
    out
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}
