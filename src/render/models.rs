//! Models and their prices as text and JSON.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::domain::bill::{Bill, Line as BillLine, PriceSource};
use crate::domain::untrusted::one_line;
use crate::domain::usage::{Meter, Usage};

/// One model, as it is listed. Rates are USD per 1M tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    pub model: String,
    pub input: Option<String>,
    pub output: Option<String>,
    pub cache_read: Option<String>,
    /// Tokens of the context window.
    pub context: Option<u64>,
    /// The day on which the price was checked.
    pub checked: Option<String>,
    pub free: bool,
    /// Why there is no price.
    pub unpriced: Option<String>,
}

/// The list as a table.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let head = ["model", "in", "out", "cached", "context", "checked"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(lines.iter().map(cells)).collect();
    columns(&rows, 1..5)
}

fn cells(line: &Line) -> [String; 6] {
    let rate = |rate: &Option<String>| match (rate, line.free) {
        (Some(rate), _) => rate.clone(),
        (None, true) => "free".into(),
        (None, false) => "-".into(),
    };
    let last = match &line.unpriced {
        Some(reason) => format!("unpriced: {reason}"),
        None => line.checked.clone().unwrap_or_default(),
    };
    [
        line.model.clone(),
        rate(&line.input),
        rate(&line.output),
        rate(&line.cache_read),
        line.context.map(|context| context.to_string()).unwrap_or_default(),
        last,
    ]
    .map(|cell| one_line(&cell))
}

/// The list as JSON (`schema` 1).
#[must_use]
pub fn list(lines: &[Line]) -> Value {
    let models: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({"model": line.model, "input": line.input, "output": line.output, "cache_read": line.cache_read,
                "context": line.context, "checked": line.checked, "free": line.free, "unpriced": line.unpriced})
        })
        .collect();
    json!({"schema": 1, "unit": "USD per 1M tokens", "models": models})
}

/// One number of a resolved price, or a fact beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// `input`, `output`, `fee web_search`, `mode.batch`.
    pub what: String,
    pub value: String,
    /// The file and line of the number that it was made from.
    pub from: String,
    pub note: Option<String>,
}

/// Details under a heading: the base sheet, a tier, the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub title: String,
    pub details: Vec<Detail>,
}

/// A resolved price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub model: String,
    pub source: Option<PriceSource>,
    pub page: Option<String>,
    pub groups: Vec<Group>,
    pub notes: Vec<String>,
    pub free: bool,
    pub unpriced: Option<String>,
}

/// A resolved price as text.
#[must_use]
pub fn sheet(sheet: &Sheet) -> String {
    let mut text = format!("{}\n", sheet.model);
    let mut say = |line: String| text.push_str(&format!("{}\n", one_line(&line)));
    if let Some(reason) = &sheet.unpriced {
        say(format!("unpriced: {reason}"));
    }
    if sheet.free {
        say("free".into());
    }
    if let Some(source) = &sheet.source {
        let from = source.row_from.as_ref().map(|from| format!(", from {from}")).unwrap_or_default();
        let checked = source.checked.as_ref().map(|day| format!(", checked {day}")).unwrap_or_default();
        say(format!("entry {} of {} {}{from}{checked}", source.entry, source.table, source.version));
    }
    if let Some(page) = &sheet.page {
        say(page.clone());
    }
    for group in &sheet.groups {
        text.push_str(&format!("\n{}\n", group.title));
        let rows: Vec<[String; 4]> = group
            .details
            .iter()
            .map(|detail| {
                let note = detail.note.clone().unwrap_or_default();
                [format!("  {}", detail.what), detail.value.clone(), detail.from.clone(), note]
                    .map(|cell| one_line(&cell))
            })
            .collect();
        text.push_str(&columns(&rows, 1..2));
    }
    if !sheet.notes.is_empty() {
        text.push('\n');
    }
    for note in &sheet.notes {
        text.push_str(&format!("note: {}\n", one_line(note)));
    }
    text
}

/// A resolved price as JSON (`schema` 1).
#[must_use]
pub fn sheet_object(sheet: &Sheet) -> Value {
    let groups: Vec<Value> = sheet
        .groups
        .iter()
        .map(|group| {
            let details: Vec<Value> = group
                .details
                .iter()
                .map(|one| json!({"what": one.what, "value": one.value, "from": one.from, "note": one.note}))
                .collect();
            json!({"title": group.title, "details": details})
        })
        .collect();
    json!({"schema": 1, "model": sheet.model, "free": sheet.free, "unpriced": sheet.unpriced,
        "price": sheet.source.as_ref().map(price), "source": sheet.page, "groups": groups, "notes": sheet.notes})
}

/// A bill as the JSON object of `models bill`. Amounts are decimal texts; what is unknown is null, never 0.
#[must_use]
pub fn bill(bill: &Bill, usage: Option<&Usage>) -> Value {
    let charge = usage.and_then(|usage| usage.charge.as_ref());
    let payees = charge.and_then(|charge| {
        let upstream = charge.upstream?;
        Some(json!([{"payee": "router", "usd": charge.usd.to_string()},
            {"payee": "upstream", "usd": upstream.to_string()}]))
    });
    let mut object = json!({
        "usd": bill.total.map(|total| total.to_string()),
        "at_most_usd": bill.at_most.map(|most| most.to_string()),
        "table_usd": bill.table.map(|table| table.to_string()),
        "basis": bill.basis.as_str(),
        "lines": bill.lines.iter().map(line).collect::<Vec<_>>(),
        "price": bill.price.as_ref().map(price),
        "notes": bill.notes.iter().chain(usage.iter().flat_map(|usage| usage.notes())).collect::<Vec<_>>(),
    });
    if let Some(payees) = payees {
        object["payees"] = payees;
    }
    object
}

fn line(line: &BillLine) -> Value {
    let per = match line.meter {
        Meter::WebSearch
        | Meter::WebSearchLow
        | Meter::WebSearchMedium
        | Meter::WebSearchHigh
        | Meter::SearchUnit
        | Meter::Classification => "usd_per_1k",
        _ => "usd_per_mtok",
    };
    let mut object = json!({"meter": line.meter.key(), "quantity": line.quantity, "usd": line.usd.to_string()});
    object[per] = line.rate.clone().into();
    if let Some(model) = &line.model {
        object["model"] = model.clone().into();
    }
    object
}

fn price(source: &PriceSource) -> Value {
    json!({"table": source.table, "version": source.version, "sha256": source.sha256, "entry": source.entry,
        "row_from": source.row_from, "checked": source.checked})
}

/// Cells at their natural width, those in `right` to the right.
pub(super) fn columns<const N: usize>(rows: &[[String; N]], right: std::ops::Range<usize>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let space = " ".repeat(widths[column] - cell.width());
            let (before, after) = if right.contains(&column) { (space, String::new()) } else { (String::new(), space) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
