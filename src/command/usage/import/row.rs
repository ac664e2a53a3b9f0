//! One row of a source as its reader understands it, and how sources write instants and counts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::failure::Failure;
use crate::domain::usage::{Meter, Usage};
use crate::ledger::ToImport;
use crate::pricing::Moment;

/// What a row is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// One call.
    #[default]
    Call,
    /// Calls of a time, added up.
    Usage,
    /// The money of a time, as the provider bills it.
    Cost,
}

/// A row before it has a price.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// What the books name as its origin.
    pub source: &'static str,
    pub kind: Kind,
    /// The source's own id of the row, else what makes it one.
    pub key: String,
    pub opened_ms: i64,
    /// The end of the call, or of the time that a sum is about (exclusive).
    pub finished_ms: Option<i64>,
    /// The id in the catalog; `None`: the source does not say it.
    pub provider: Option<String>,
    pub model: String,
    /// The model that answered, where the source names both.
    pub model_served: Option<String>,
    pub region: Option<String>,
    pub request_id: Option<String>,
    pub response_id: Option<String>,
    /// Disjoint meters. `charge`: what the source states; `raw`: only what the provider itself sent.
    pub usage: Usage,
    pub requests: u64,
    pub project: Option<String>,
    /// The folder in which the tool ran.
    pub folder: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub session: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub error: Option<Failure>,
    pub notes: Vec<String>,
    /// How its export is cut, beside its time and model: of two cuts of the same calls one is booked.
    pub cut: &'static str,
    /// The call may not have ended when its line was written.
    pub growing: bool,
}

/// A call of other books, with its price.
#[derive(Debug, Clone, PartialEq)]
pub struct Booked {
    pub call: ToImport,
    /// It has not ended.
    pub open: bool,
    /// A later proof took the place of what was booked first.
    pub corrected: bool,
}

/// What a reader finds in a file.
#[derive(Debug)]
pub enum Found {
    Row(Box<Row>),
    /// A call of other books, with its price.
    Booked(Box<Booked>),
    /// A line or row (counted from 1) that cannot be read, and why.
    Broken(u64, String),
}

/// Where a reader hands over what it finds.
pub type Take<'a> = &'a mut dyn FnMut(Found) -> Result<(), Failure>;

/// Hands over what became of the line or row with this number; `None`: nothing was used there.
///
/// # Errors
/// What `take` returns.
pub fn hand(found: Result<Option<Row>, String>, number: u64, take: Take<'_>) -> Result<(), Failure> {
    match found {
        Ok(None) => Ok(()),
        Ok(Some(row)) => take(Found::Row(Box::new(row))),
        Err(why) => take(Found::Broken(number, why)),
    }
}

/// 10000-01-01 00:00 UTC: no source dates anything so late.
pub const YEAR_10000_MS: i64 = 253_402_300_800_000;

/// An instant in UTC milliseconds before the year 10000: RFC 3339, the same with a blank or without its zone (then UTC), a
/// date, or seconds since 1970 (beyond the year 5138: milliseconds).
#[must_use]
pub fn instant(text: &str) -> Option<i64> {
    any_instant(text).filter(|ms| *ms < YEAR_10000_MS)
}

fn any_instant(text: &str) -> Option<i64> {
    let text = text.trim();
    let whole = text.split('.').next().unwrap_or(text);
    if !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = whole.parse().ok()?;
        return if number < 100_000_000_000 { number.checked_mul(1000) } else { Some(number) };
    }
    let text = text.strip_suffix("UTC").map_or(text, str::trim_end);
    // PostgreSQL writes `+00`.
    let zone = text.len().checked_sub(3).and_then(|at| text.get(at..));
    let short = text.len() > 13 && zone.is_some_and(|zone| zone.starts_with(['+', '-']));
    let text = if short { format!("{text}:00") } else { text.to_owned() };
    Moment::parse(&text).map(|moment| moment.ms)
}

/// The instant in a JSON text or number.
#[must_use]
pub fn instant_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => instant(text),
        Value::Number(number) => instant(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A text that is not empty.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A count: missing and null are `Ok(None)`.
///
/// # Errors
/// What stands there instead.
pub fn count(value: &Value) -> Result<Option<u64>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => number_of(&number.to_string()).map(Some),
        Value::String(text) => number_of(text).map(Some),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(format!("{value} is no count")),
    }
}

/// More than anything counts: beyond, JSON written by others is not exact any more.
pub const COUNT_MAX: u64 = 1 << 53;

/// A count as tables write it (`12`, `12.0`, `1,204`), at most [`COUNT_MAX`].
///
/// # Errors
/// What stands there instead.
pub fn number_of(text: &str) -> Result<u64, String> {
    let plain = text.trim().replace(',', "");
    let whole = plain.split_once('.').map_or(plain.as_str(), |(whole, rest)| {
        if rest.bytes().all(|byte| byte == b'0') { whole } else { plain.as_str() }
    });
    let count = whole.parse().ok().filter(|count| *count <= COUNT_MAX);
    count.ok_or_else(|| format!("{text:?} is no count"))
}

/// Why a line is no JSON. Its number is said beside it, and is not the parser's, which counts in the line.
#[must_use]
pub fn no_json(error: &serde_json::Error) -> String {
    let said = error.to_string();
    format!("no JSON: {}", said.split(" at line ").next().unwrap_or(&said))
}

/// Takes `part` out of `whole`, as far as it is there; gives the part.
pub fn take_out(whole: &mut u64, part: u64) -> u64 {
    let part = part.min(*whole);
    *whole -= part;
    part
}

/// Sets a meter where something was counted.
pub fn set_some(usage: &mut Usage, meter: Meter, quantity: u64) {
    if quantity > 0 {
        usage.set(meter, quantity);
    }
}

#[cfg(test)]
mod tests {
    use super::{instant, number_of};

    #[test]
    fn instants_are_read_as_each_source_writes_them() {
        let noon = 1_790_596_800_000;
        for text in [
            "2026-09-28T12:00:00Z",
            "2026-09-28T12:00:00.000Z",
            "2026-09-28T12:00:00",
            "2026-09-28 12:00:00.000",
            "2026-09-28 12:00:00+00",
            "2026-09-28T14:00:00+02:00",
            "2026-09-28 12:00:00 UTC",
            "1790596800",
            "1790596800.25",
            "1790596800000",
        ] {
            assert_eq!(instant(text), Some(noon), "{text}");
        }
        assert_eq!(instant("2026-09-28"), Some(noon - 43_200_000));
        for wrong in [
            "",
            "yesterday",
            "12:00",
            "-5",
            "2026-13-01",
            "2026-09-28 in the morning é",
            "昨日昨日昨日昨日昨",
            "9999999999999999",
        ] {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_count_is_whole_and_never_guessed() {
        assert_eq!(number_of("1,204"), Ok(1204));
        assert_eq!(number_of("12.0"), Ok(12));
        for wrong in ["", "-1", "1.5", "many", "18446744073709551615"] {
            assert!(number_of(wrong).is_err(), "{wrong}");
        }
    }
}
