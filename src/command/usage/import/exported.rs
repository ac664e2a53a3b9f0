//! What `llmx usage export` wrote of other books: its calls, as CSV or as JSON lines, so that two machines' books become one.
//!
//! A call keeps its id, and is known by it wherever it is read; its amount is taken to the picodollar and not priced again. The
//! rates are in no export of calls: what the table made there is booked here as `reported`. Sums that were imported there are
//! not read, since nothing in an export tells whether the same sums stand here: their own files do.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::row::{Booked, Found, Take, instant, no_json, number_of};
use super::{anthropic, claude_code, codex, litellm, llm, openai, stream};
use crate::command::labels;
use crate::domain::bill::Basis;
use crate::domain::failure::Failure;
use crate::domain::money::Usd;
use crate::domain::record::{NewCall, Price, RecordLine, Settlement, lines_of};
use crate::domain::usage::Usage;
use crate::ledger::ToImport;
use crate::render::usage::rows::{SCHEMA, as_given, meters};

/// What calls are marked with that llmx made elsewhere. What it had imported there keeps the name of its source.
pub const SOURCE: &str = "llmx-export";

const CALLS: [&str; 4] = [claude_code::SOURCE, codex::SOURCE, litellm::SOURCE, llm::SOURCE];
const SUMS: [&str; 4] = [openai::USAGE, openai::COST, anthropic::USAGE, anthropic::COST];

/// What llmx calls its own calls in the column `source`.
const OWN: &str = "llmx";

const BASES: [Basis; 8] = [
    Basis::Table,
    Basis::Reported,
    Basis::Estimated,
    Basis::Ceiling,
    Basis::Simulated,
    Basis::Free,
    Basis::Unpriced,
    Basis::Nothing,
];

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn json(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    stream::lines(path, |number, line| {
        let Some(line) = line else {
            return take(Found::Broken(number, "the line is too long".into()));
        };
        let row = serde_json::from_slice::<Value>(line).map_err(|error| no_json(&error)).and_then(|row| {
            let cell = |column: &str| match &row[column] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            booked(&cell)
        });
        handed(row, number, take)
    })
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn csv(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    stream::records(path, |line, record| {
        let row = record.and_then(|record| booked(&|column| record.get(column).map(|text| as_given(text).to_owned())));
        handed(row, line, take)
    })
}

fn handed(row: Result<Booked, String>, number: u64, take: Take<'_>) -> Result<(), Failure> {
    take(match row {
        Ok(booked) => Found::Booked(Box::new(booked)),
        Err(why) => Found::Broken(number, why),
    })
}

/// A row by its columns; `None`: nothing stands there.
struct Cells<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Cells<'_> {
    fn text(&self, column: &str) -> Option<String> {
        (self.0)(column).filter(|text| !text.is_empty())
    }

    fn needed(&self, column: &str) -> Result<String, String> {
        self.text(column).ok_or_else(|| format!("the row has no {column}"))
    }

    fn count(&self, column: &str) -> Result<Option<u64>, String> {
        self.text(column).map(|text| number_of(&text).map_err(|why| format!("{column}: {why}"))).transpose()
    }

    fn instant(&self, column: &str) -> Result<Option<i64>, String> {
        let read = |text: String| instant(&text).ok_or_else(|| format!("{column}: {text:?} is no instant"));
        self.text(column).map(read).transpose()
    }

    fn usd(&self, column: &str) -> Result<Option<Usd>, String> {
        let read = |text: String| {
            Usd::parse(&text).filter(|usd| usd.picos >= 0).ok_or_else(|| format!("{column}: {text:?} is no amount"))
        };
        self.text(column).map(read).transpose()
    }

    fn json(&self, column: &str) -> Result<Value, String> {
        let read = |text: String| serde_json::from_str(&text).map_err(|_| format!("{column}: {text:?} is no JSON"));
        self.text(column).map_or(Ok(Value::Null), read)
    }

    /// Who spends, as a label may be.
    fn label(&self, column: &str) -> Option<String> {
        self.text(column).and_then(|text| labels::found(&text))
    }
}

fn booked(cell: &dyn Fn(&str) -> Option<String>) -> Result<Booked, String> {
    let cells = Cells(cell);
    let schema = cells.needed("schema")?;
    if schema != SCHEMA.to_string() {
        return Err(format!("schema {schema} is not the one that this llmx reads ({SCHEMA})"));
    }
    let written = cells.needed("source")?;
    let requests = cells.count("requests")?.unwrap_or(1);
    if SUMS.contains(&written.as_str()) || requests > 1 {
        return Err(format!("a sum that was imported there: import the file of {written} itself"));
    }
    let known = CALLS.into_iter().find(|source| *source == written);
    let id = labels::label("id", &cells.needed("id")?).map_err(|failure| failure.message)?;
    let opened_ms = cells.instant("opened")?.ok_or("the row has no opened")?;
    let finished_ms = cells.instant("finished")?;
    // The last but one of the columns: a row that was cut short has none.
    let corrected = cells.needed("corrected")? == "true";
    let settlement = if finished_ms.is_some() { settlement(&cells)? } else { Settlement::default() };
    let call = NewCall {
        id: id.clone(),
        group: cells.text("group"),
        retry_of: cells.text("retry_of"),
        command: cells.needed("command")?,
        provider: cells.needed("provider")?,
        model: cells.needed("model")?,
        region: cells.text("region"),
        tier: cells.text("tier"),
        credential: cells.text("credential"),
        project: cells.label("project"),
        user: cells.label("user"),
        team: cells.label("team"),
        tags: tags(&cells.json("tags")?),
        session: cells.label("session"),
        parameters: json!({}),
        ceiling: cells.usd("ceiling_usd")?,
        route: cells.text("route"),
        ..NewCall::default()
    };
    let source = if written == OWN { SOURCE } else { known.unwrap_or(SOURCE) };
    let finished = finished_ms.unwrap_or(opened_ms).max(opened_ms);
    let call = ToImport { source, key: id, opened_ms, finished_ms: finished, requests: 1, sum: None, call, settlement };
    Ok(Booked { call, open: finished_ms.is_none(), corrected })
}

fn settlement(cells: &Cells<'_>) -> Result<Settlement, String> {
    let basis = cells.needed("basis")?;
    let basis =
        BASES.into_iter().find(|known| known.as_str() == basis).ok_or_else(|| format!("basis: {basis:?} is none"))?;
    let (total, at_most) = (cells.usd("cost_usd")?, cells.usd("at_most_usd")?);
    let picos = cells.text("cost_picos").and_then(|picos| picos.parse::<i64>().ok());
    if picos != total.map(|total| total.picos) {
        return Err("cost_usd and cost_picos are not the same amount".to_owned());
    }
    if (basis == Basis::Unpriced) != total.is_none() {
        return Err(format!("an amount that does not go with the basis {}", basis.as_str()));
    }
    if total.zip(at_most).is_some_and(|(total, at_most)| at_most < total) {
        return Err("at_most_usd is below cost_usd".to_owned());
    }
    let mut usage = Usage::default();
    for (column, meter) in meters() {
        if let Some(quantity) = cells.count(column)? {
            usage.set(meter, quantity);
        }
    }
    let priced_there = basis == Basis::Table;
    let lines: Vec<RecordLine> = lines_of(&usage);
    let notes = cells.json("notes")?;
    let notes = notes.as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(Settlement {
        first_token_ms: cells.count("first_token_ms")?,
        model_served: cells.text("model_served"),
        request_id: cells.text("request_id"),
        response_id: cells.text("response_id"),
        tier: cells.text("tier_served"),
        stop_reason: cells.text("stop_reason"),
        stopped: cells.text("stopped"),
        error_class: cells.text("error_class"),
        status: cells.count("http_status")?.and_then(|status| u16::try_from(status).ok()),
        usage_source: (!lines.is_empty()).then(|| "imported".to_owned()),
        reasoning: cells.count("reasoning")?,
        basis: if priced_there { Basis::Reported } else { basis }.as_str().to_owned(),
        total,
        at_most: at_most.filter(|at_most| Some(*at_most) != total),
        table: if priced_there { total } else { cells.usd("table_usd")? },
        price: price(cells),
        lines,
        notes: notes.map(str::to_owned).collect(),
        ..Settlement::default()
    })
}

fn price(cells: &Cells<'_>) -> Option<Price> {
    Some(Price {
        table: cells.text("price_table")?,
        version: cells.text("price_version")?,
        sha256: String::new(),
        entry: cells.text("price_entry")?,
        row_from: cells.text("price_row_from"),
        checked: cells.text("price_checked"),
    })
}

/// Those that a call may have: no amount is left out for the sake of a tag.
fn tags(written: &Value) -> BTreeMap<String, String> {
    let pairs = written.as_object().into_iter().flatten();
    let pairs =
        pairs.filter_map(|(key, value)| Some((labels::key("tags", key).ok()?, labels::found(value.as_str()?)?)));
    pairs.take(labels::TAGS_MAX).collect()
}
