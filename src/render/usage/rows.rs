//! The raw rows of the books for other programs: what the columns mean, and the cells of each call and of each line of its bill.
//!
//! The columns are a promise. One may be added; where one goes, or comes to mean something else, [`SCHEMA`] grows.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::domain::money::Usd;
use crate::domain::record::{NewCall, Price, Record, RecordLine, Settlement};
use crate::domain::spend::currency::Currency;
use crate::domain::untrusted;
use crate::domain::usage::Meter;
use crate::domain::window::Zone;

/// The version of both tables.
pub const SCHEMA: i64 = 1;

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A whole number.
    Count,
    /// US dollars with twelve decimal places.
    Usd,
    /// UTC, to the millisecond.
    Instant,
    Day,
    Flag,
    Json,
}

/// One cell. Unknown is never zero.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    Unknown,
    Text(Cow<'a, str>),
    Count(i64),
    /// Picodollars.
    Usd(i128),
    /// Milliseconds since 1970.
    Instant(i64),
    Day(Date),
    Flag(bool),
    Json(Value),
}

/// A column, and how its cells are made.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub meaning: &'static str,
    made: Made,
}

#[derive(Debug, Clone, Copy)]
enum Made {
    Row(for<'a> fn(&'a Row<'a>) -> Cell<'a>),
    /// How much of it the lines of the bill count.
    Meter(Meter),
}

/// What a row is about: a call, or a line of its bill.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    record: &'a Record,
    /// On whose calendar its day is.
    zone: &'a Zone,
    line: Line<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Line<'a> {
    /// The row is about the call.
    None,
    /// From 1.
    Of(i64, &'a RecordLine),
    /// What the call is booked at beyond its lines, in picodollars.
    Rest(i64, i128),
}

/// A table of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Calls,
    Lines,
}

impl Table {
    #[must_use]
    pub fn columns(self) -> &'static [Column] {
        match self {
            Table::Calls => CALLS,
            Table::Lines => LINES,
        }
    }

    /// The rows of a call: itself, or the lines of its bill with the rest that no line carries.
    #[must_use]
    pub fn rows<'a>(self, record: &'a Record, zone: &'a Zone) -> Vec<Row<'a>> {
        let row = |line| Row { record, zone, line };
        match self {
            Table::Calls => vec![row(Line::None)],
            Table::Lines => {
                let lines = (1..).zip(lines(record)).map(|(number, line)| row(Line::Of(number, line)));
                let mut rows: Vec<Row<'a>> = lines.collect();
                let amounts = lines_sum(record);
                let rest = record.total().map(|total| i128::from(total.picos) - amounts).filter(|rest| *rest != 0);
                let last = i64::try_from(rows.len()).unwrap_or(i64::MAX).saturating_add(1);
                rows.extend(rest.map(|rest| row(Line::Rest(last, rest))));
                rows
            }
        }
    }
}

impl<'a> Row<'a> {
    /// One for each column of its table, in their order.
    pub fn cells(&'a self, table: Table) -> impl Iterator<Item = Cell<'a>> {
        table.columns().iter().map(|column| match column.made {
            Made::Row(of) => of(self),
            Made::Meter(meter) => self.metered(meter),
        })
    }

    fn call(&self) -> &NewCall {
        &self.record.call
    }

    fn settlement(&self) -> Option<&Settlement> {
        self.record.settled.as_ref().map(|settled| &settled.settlement)
    }

    fn price(&self) -> Option<&Price> {
        self.settlement().and_then(|settlement| settlement.price.as_ref())
    }

    fn metered(&self, meter: Meter) -> Cell<'a> {
        let of_it = lines(self.record).filter(|line| line.meter == meter.key());
        number(of_it.map(|line| line.quantity).reduce(u64::saturating_add))
    }

    /// From its beginning to its end; sums that were read from elsewhere have none.
    fn total_ms(&self) -> Option<i64> {
        let settled = self.record.settled.as_ref()?;
        let took = settled.finished_ms.saturating_sub(self.record.opened_ms);
        (self.record.source.is_none() || took > 0).then_some(took)
    }

    fn status(&self) -> Cow<'_, str> {
        match self.settlement() {
            None => "open".into(),
            Some(settlement) => {
                let ended = settlement.error_class.as_deref().or(settlement.stopped.as_deref());
                ended.unwrap_or("ok").into()
            }
        }
    }

    fn basis(&self) -> Option<&str> {
        let corrected = self.record.corrections.last().map(|correction| correction.basis.as_str());
        corrected.or(self.settlement().map(|settlement| settlement.basis.as_str()))
    }

    /// The most that an ended call can have cost.
    fn at_most(&self) -> Option<Usd> {
        match self.record.corrections.last() {
            Some(correction) => correction.total,
            None => self.settlement().and_then(|settlement| settlement.at_most.or(settlement.total)),
        }
    }
}

fn lines(record: &Record) -> impl Iterator<Item = &RecordLine> {
    record.settled.iter().flat_map(|settled| &settled.settlement.lines)
}

fn lines_sum(record: &Record) -> i128 {
    lines(record).filter_map(|line| line.amount).map(|amount| i128::from(amount.picos)).sum()
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(text.into())
}

fn some(found: Option<&str>) -> Cell<'_> {
    found.map_or(Cell::Unknown, text)
}

fn number<'a>(found: Option<u64>) -> Cell<'a> {
    found.and_then(|number| i64::try_from(number).ok()).map_or(Cell::Unknown, Cell::Count)
}

fn usd<'a>(found: Option<Usd>) -> Cell<'a> {
    found.map_or(Cell::Unknown, |amount| Cell::Usd(amount.picos.into()))
}

const fn column(
    name: &'static str,
    kind: Kind,
    meaning: &'static str,
    of: for<'a> fn(&'a Row<'a>) -> Cell<'a>,
) -> Column {
    Column { name, kind, meaning, made: Made::Row(of) }
}

const fn meter(name: &'static str, of: Meter, meaning: &'static str) -> Column {
    Column { name, kind: Kind::Count, meaning, made: Made::Meter(of) }
}

const CALLS: &[Column] = &[
    column("schema", Kind::Count, "the version of these columns", |_| Cell::Count(SCHEMA)),
    column("id", Kind::Text, "llmx's id of the call, which is one attempt: a UUID that sorts by time", |row| {
        text(&row.call().id)
    }),
    column("group", Kind::Text, "the id that calls made together share", |row| some(row.call().group.as_deref())),
    column("retry_of", Kind::Text, "the id of the first attempt, where this one repeats or replaces it", |row| {
        some(row.call().retry_of.as_deref())
    }),
    column("opened", Kind::Instant, "when it was written down, just before it was sent", |row| {
        Cell::Instant(row.record.opened_ms)
    }),
    column("finished", Kind::Instant, "when it ended; unknown: it is open", |row| {
        row.record.settled.as_ref().map_or(Cell::Unknown, |settled| Cell::Instant(settled.finished_ms))
    }),
    column("day", Kind::Day, "the day of `opened` on the calendar of `zone`", |row| {
        row.zone.date(row.record.opened_ms).map_or(Cell::Unknown, Cell::Day)
    }),
    column("zone", Kind::Text, "the time zone that was asked for", |row| text(row.zone.name())),
    column("command", Kind::Text, "the subcommand that made the call", |row| text(&row.call().command)),
    column("source", Kind::Text, "llmx, or what the row was imported from", |row| {
        text(row.record.source.as_deref().unwrap_or("llmx"))
    }),
    column("provider", Kind::Text, "the provider's id in llmx's catalog", |row| text(&row.call().provider)),
    column("model", Kind::Text, "the model that was asked for, as the provider names it", |row| {
        text(&row.call().model)
    }),
    column("model_served", Kind::Text, "the model that the answer names", |row| {
        some(row.settlement().and_then(|settlement| settlement.model_served.as_deref()))
    }),
    column("region", Kind::Text, "the region that was called", |row| some(row.call().region.as_deref())),
    column("tier", Kind::Text, "the service tier that was asked for", |row| some(row.call().tier.as_deref())),
    column("tier_served", Kind::Text, "the service tier that the answer names", |row| {
        some(row.settlement().and_then(|settlement| settlement.tier.as_deref()))
    }),
    column("credential", Kind::Text, "where the credential came from: its name, never its text", |row| {
        some(row.call().credential.as_deref())
    }),
    column("project", Kind::Text, "the project", |row| some(row.call().project.as_deref())),
    column("user", Kind::Text, "the user", |row| some(row.call().user.as_deref())),
    column("team", Kind::Text, "the team", |row| some(row.call().team.as_deref())),
    column("session", Kind::Text, "the session", |row| some(row.call().session.as_deref())),
    column("tags", Kind::Json, "the tags, as an object of texts", |row| Cell::Json(json!(row.call().tags))),
    column("route", Kind::Text, "the route that chose the model", |row| some(row.call().route.as_deref())),
    column("status", Kind::Text, "ok, open, the class of the error, or who stopped it", |row| Cell::Text(row.status())),
    column("error_class", Kind::Text, "the class of the error", |row| {
        some(row.settlement().and_then(|settlement| settlement.error_class.as_deref()))
    }),
    column("http_status", Kind::Count, "the HTTP status of a failure", |row| {
        number(row.settlement().and_then(|settlement| settlement.status).map(u64::from))
    }),
    column("stop_reason", Kind::Text, "why the model stopped", |row| {
        some(row.settlement().and_then(|settlement| settlement.stop_reason.as_deref()))
    }),
    column("stopped", Kind::Text, "who ended it before its end: interrupt, closedpipe, …", |row| {
        some(row.settlement().and_then(|settlement| settlement.stopped.as_deref()))
    }),
    column("request_id", Kind::Text, "the provider's id of the request", |row| {
        some(row.settlement().and_then(|settlement| settlement.request_id.as_deref()))
    }),
    column("response_id", Kind::Text, "the provider's id of the response", |row| {
        some(row.settlement().and_then(|settlement| settlement.response_id.as_deref()))
    }),
    column("requests", Kind::Count, "requests: 1, or more where a sum of many was imported", |row| {
        number(Some(row.record.requests))
    }),
    column("first_token_ms", Kind::Count, "milliseconds from `opened` to the first token", |row| {
        number(row.settlement().and_then(|settlement| settlement.first_token_ms))
    }),
    column("total_ms", Kind::Count, "milliseconds from `opened` to `finished`", |row| {
        row.total_ms().map_or(Cell::Unknown, Cell::Count)
    }),
    meter("input", Meter::Input, "prompt tokens at the plain rate: no cache, no audio, no image"),
    meter("cache_read", Meter::CacheRead, "prompt tokens that a cache served"),
    meter("cache_write_5m", Meter::CacheWrite5m, "prompt tokens written to a cache with the default lifetime"),
    meter("cache_write_1h", Meter::CacheWrite1h, "prompt tokens written to a cache for an hour"),
    meter("output", Meter::Output, "generated text tokens, thinking included"),
    column("reasoning", Kind::Count, "tokens of thinking: a part of the generated ones, not to be added", |row| {
        number(row.settlement().and_then(|settlement| settlement.reasoning))
    }),
    meter("input_audio", Meter::AudioIn, "audio tokens of the prompt"),
    meter("cache_read_audio", Meter::CacheReadAudio, "audio tokens of the prompt that a cache served"),
    meter("output_audio", Meter::AudioOut, "generated audio tokens"),
    meter("input_image", Meter::ImageIn, "image tokens of the prompt"),
    meter("output_image", Meter::ImageOut, "generated image tokens"),
    meter("reasoning_apart", Meter::ReasoningOut, "tokens of thinking with a rate of their own, not in `output`"),
    meter("citation", Meter::Citation, "citation tokens"),
    meter("web_search", Meter::WebSearch, "searches"),
    meter("web_search_low", Meter::WebSearchLow, "requests with a small search context"),
    meter("web_search_medium", Meter::WebSearchMedium, "requests with a medium search context"),
    meter("web_search_high", Meter::WebSearchHigh, "requests with a large search context"),
    meter("search_unit", Meter::SearchUnit, "search units"),
    meter("classification", Meter::Classification, "classifications"),
    column("cost_usd", Kind::Usd, "what it is booked at; unknown: unpriced or open", |row| usd(row.record.total())),
    column("at_most_usd", Kind::Usd, "the same, with the bound where the amount is not certain", |row| {
        usd(row.at_most())
    }),
    column("cost_picos", Kind::Count, "`cost_usd` in whole picodollars (1e-12 USD)", |row| {
        row.record.total().map_or(Cell::Unknown, |total| Cell::Count(total.picos))
    }),
    column("basis", Kind::Text, "table, reported, estimated, ceiling, simulated, free, unpriced or nothing", |row| {
        some(row.basis())
    }),
    column("table_usd", Kind::Usd, "what the price table says, where the provider stated another charge", |row| {
        usd(row.settlement().and_then(|settlement| settlement.table))
    }),
    column("price_table", Kind::Text, "the price table of the rates: bundled, or a file", |row| {
        some(row.price().map(|price| price.table.as_str()))
    }),
    column("price_version", Kind::Text, "the version of that table", |row| {
        some(row.price().map(|price| price.version.as_str()))
    }),
    column("price_entry", Kind::Text, "the entry in it", |row| some(row.price().map(|price| price.entry.as_str()))),
    column("price_row_from", Kind::Text, "since when its row holds, where it is dated", |row| {
        some(row.price().and_then(|price| price.row_from.as_deref()))
    }),
    column("price_checked", Kind::Text, "the day on which the price was checked", |row| {
        some(row.price().and_then(|price| price.checked.as_deref()))
    }),
    column("ceiling_usd", Kind::Usd, "the most that it could cost, as it was said before it was sent", |row| {
        usd(row.call().ceiling)
    }),
    column("corrected", Kind::Flag, "a later proof took the place of what was booked first", |row| {
        Cell::Flag(!row.record.corrections.is_empty())
    }),
    column("notes", Kind::Json, "what the reader of the bill should know, as a list of texts", |row| {
        row.settlement().map_or(Cell::Unknown, |settlement| Cell::Json(json!(settlement.notes)))
    }),
];

const LINES: &[Column] = &[
    column("schema", Kind::Count, "the version of these columns", |_| Cell::Count(SCHEMA)),
    column("call", Kind::Text, "the id of the call", |row| text(&row.call().id)),
    column("line", Kind::Count, "the number of the line in the call's bill, from 1", |row| match row.line {
        Line::None => Cell::Unknown,
        Line::Of(number, _) | Line::Rest(number, _) => Cell::Count(number),
    }),
    column("opened", Kind::Instant, "when the call was written down", |row| Cell::Instant(row.record.opened_ms)),
    column("day", Kind::Day, "the day of `opened` on the calendar of `zone`", |row| {
        row.zone.date(row.record.opened_ms).map_or(Cell::Unknown, Cell::Day)
    }),
    column("zone", Kind::Text, "the time zone that was asked for", |row| text(row.zone.name())),
    column("provider", Kind::Text, "the provider's id in llmx's catalog", |row| text(&row.call().provider)),
    column("model", Kind::Text, "the model of the line: the call's, or that of an inner call", |row| match row.line {
        Line::Of(_, RecordLine { model: Some(model), .. }) => text(model),
        Line::Of(..) | Line::Rest(..) | Line::None => text(&row.call().model),
    }),
    column(
        "meter",
        Kind::Text,
        "what was counted; unknown: the part of the amount that no line carries, such as a charge that the provider stated",
        |row| match row.line {
            Line::Of(_, line) => text(&line.meter),
            Line::Rest(..) | Line::None => Cell::Unknown,
        },
    ),
    column("quantity", Kind::Count, "how much: tokens, searches, …", |row| match row.line {
        Line::Of(_, line) => number(Some(line.quantity)),
        Line::Rest(..) | Line::None => Cell::Unknown,
    }),
    column("per", Kind::Count, "so many units have the price `rate`", |row| match row.line {
        Line::Of(_, line) => Cell::Count(line.per.into()),
        Line::Rest(..) | Line::None => Cell::Unknown,
    }),
    column("rate", Kind::Text, "USD for `per` units, the exact decimal after every factor", |row| match row.line {
        Line::Of(_, line) => some(line.rate.as_deref()),
        Line::Rest(..) | Line::None => Cell::Unknown,
    }),
    column("cost_usd", Kind::Usd, "the amount of the line; unknown: unpriced", |row| {
        row.amount().map_or(Cell::Unknown, Cell::Usd)
    }),
    column("cost_picos", Kind::Count, "`cost_usd` in whole picodollars (1e-12 USD)", |row| {
        row.amount().and_then(|picos| i64::try_from(picos).ok()).map_or(Cell::Unknown, Cell::Count)
    }),
];

impl Row<'_> {
    /// Of a line, in picodollars.
    fn amount(&self) -> Option<i128> {
        match self.line {
            Line::None => None,
            Line::Of(_, line) => line.amount.map(|amount| amount.picos.into()),
            Line::Rest(_, rest) => Some(rest),
        }
    }
}

/// Both tables in words: every column with its type and its meaning.
#[must_use]
pub fn schema() -> String {
    let list = |table: Table| {
        let columns = table.columns();
        let name = columns.iter().map(|column| column.name.len()).max().unwrap_or_default();
        columns
            .iter()
            .map(|column| format!("{:name$}  {:7}  {}\n", column.name, column.kind.name(), column.meaning))
            .collect::<String>()
    };
    format!(
        "Schema {SCHEMA}\n\n\
         Calls, one row each, oldest first:\n\n{}\n\
         Lines of bills (--lines), one row each; those of a call add up to its cost:\n\n{}\n\
         {TYPES}",
        list(Table::Calls),
        list(Table::Lines)
    )
}

const TYPES: &str = "\
Types:

type     CSV                        JSONL           Parquet
text     text                       string          string
count    digits                     number          int64
usd      exact decimal              decimal string  decimal(38,12)
instant  2026-11-22T13:49:05.123Z   string          timestamp(ms, UTC)
day      2026-11-22                 string          date
flag     true, false                boolean         boolean
json     JSON                       the value       string

What is unknown is empty in CSV and null in the others, and never 0. In CSV a text that a spreadsheet would take for a formula
(its first character is = + - @, a tab or a line break, or stands behind apostrophes) gets an apostrophe before it: whoever
reads it back takes one away. Columns may be added; where one goes or changes its meaning, the schema's number grows.
Prompts, answers and the words of errors are never exported.
";

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Count => "count",
            Kind::Usd => "usd",
            Kind::Instant => "instant",
            Kind::Day => "day",
            Kind::Flag => "flag",
            Kind::Json => "json",
        }
    }
}

/// The columns of calls that count a meter.
pub fn meters() -> impl Iterator<Item = (&'static str, Meter)> {
    CALLS.iter().filter_map(|column| match column.made {
        Made::Meter(meter) => Some((column.name, meter)),
        Made::Row(_) => None,
    })
}

/// The first line of a CSV (RFC 4180).
#[must_use]
pub fn csv_head(table: Table) -> String {
    let names: Vec<&str> = table.columns().iter().map(|column| column.name).collect();
    format!("{}\r\n", names.join(","))
}

/// A row as a line of CSV: numbers as numbers, texts that no spreadsheet takes for a formula.
pub fn csv_line<'a>(cells: impl Iterator<Item = Cell<'a>>, out: &mut String) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        let said = match &cell {
            Cell::Text(text) => harmless(text),
            Cell::Json(value) => Cow::Owned(value.to_string()),
            plain => Cow::Owned(written(plain)),
        };
        if said.contains([',', '"', '\n', '\r']) {
            out.push('"');
            out.push_str(&said.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&said);
        }
    }
    out.push_str("\r\n");
}

/// A row as a line of JSON: every column, what is unknown as null.
pub fn json_line<'a>(table: Table, cells: impl Iterator<Item = Cell<'a>>, out: &mut String) {
    for (at, (column, cell)) in table.columns().iter().zip(cells).enumerate() {
        out.push_str(if at == 0 { "{\"" } else { ",\"" });
        out.push_str(column.name);
        out.push_str("\":");
        match cell {
            Cell::Unknown => out.push_str("null"),
            Cell::Count(number) => out.push_str(&number.to_string()),
            Cell::Flag(flag) => out.push_str(if flag { "true" } else { "false" }),
            Cell::Json(value) => out.push_str(untrusted::json_line(&value).trim_end()),
            Cell::Text(text) if is_plain(&text) => {
                out.push('"');
                out.push_str(&text);
                out.push('"');
            }
            Cell::Text(text) => out.push_str(untrusted::json_line(&Value::String(text.into_owned())).trim_end()),
            plain @ (Cell::Usd(_) | Cell::Instant(_) | Cell::Day(_)) => {
                out.push('"');
                out.push_str(&written(&plain));
                out.push('"');
            }
        }
    }
    out.push_str("}\n");
}

/// In JSON it stands as it is: most names and ids.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

/// A cell as text; what is unknown is empty.
#[must_use]
pub fn written(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Unknown => String::new(),
        Cell::Text(text) => text.to_string(),
        Cell::Count(number) => number.to_string(),
        Cell::Usd(picos) => Currency::default().exact(*picos),
        Cell::Instant(at_ms) => instant(*at_ms),
        Cell::Day(day) => day.to_string(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Json(value) => value.to_string(),
    }
}

/// RFC 3339 in UTC, to the millisecond; empty beyond the calendar's years.
fn instant(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map(|at| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()).unwrap_or_default()
}

/// A text that a spreadsheet would run begins with an apostrophe instead. One that already has apostrophes there gets another
/// one, so that [`as_given`] is its inverse.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    if runs(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text that [`harmless`] was given.
#[must_use]
pub fn as_given(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| runs(rest)).unwrap_or(text)
}

fn runs(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0'])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{Cell, Table, as_given, csv_line, harmless, instant, meters, schema};
    use crate::domain::usage::Meter;

    proptest! {
        #[test]
        fn no_text_is_a_formula_and_each_is_read_back_as_it_was(text in "['=+@\t\r\n\0a, \"-]{0,6}") {
            let mut line = String::new();
            csv_line([Cell::Text(text.as_str().into())].into_iter(), &mut line);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let cell = reader.records().next().map(|row| row.expect("CSV")[0].to_owned()).unwrap_or_default();
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0']));
            prop_assert_eq!(as_given(&cell), text);
        }
    }

    #[test]
    fn honest_texts_stay_as_they_are() {
        for text in ["", "pay", "it's", "'tis", "a=b", "gpt-5", "3-4"] {
            assert_eq!((harmless(text).as_ref(), as_given(text)), (text, text));
        }
    }

    #[test]
    fn a_negative_amount_is_a_number() {
        let mut line = String::new();
        csv_line([Cell::Usd(-1), Cell::Count(-1), Cell::Unknown].into_iter(), &mut line);
        assert_eq!(line, "-0.000000000001,-1,\r\n");
    }

    #[test]
    fn every_meter_has_a_column_and_no_name_stands_twice() {
        for table in [Table::Calls, Table::Lines] {
            let names: BTreeSet<&str> = table.columns().iter().map(|column| column.name).collect();
            assert_eq!(names.len(), table.columns().len());
        }
        assert_eq!(meters().map(|(_, meter)| meter).collect::<BTreeSet<_>>(), Meter::ALL.into_iter().collect());
    }

    #[test]
    fn an_instant_has_its_milliseconds() {
        assert_eq!(instant(1_795_355_345_007), "2026-11-22T13:49:05.007Z");
        assert_eq!(instant(i64::MAX), "");
    }

    #[test]
    fn the_columns_are_a_promise() {
        insta::assert_snapshot!(schema());
    }
}
