//! The text of the table: an entry's fields, in the order and the style in which a person would write them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml::Value;

use super::figures::{Rates, Sheet, Usd};

/// An entry of the table, its fields already written, and what others may inherit from it.
#[derive(Clone, Default)]
pub struct Model {
    pub fields: Vec<(String, String)>,
    /// The current row with the provider's ratios applied; `None` for a hand-written entry.
    pub sheet: Option<Sheet>,
    pub modes: BTreeMap<String, Sheet>,
    pub fees: BTreeMap<String, Usd>,
    pub has_dates: bool,
}

impl Model {
    pub fn set(&mut self, key: &str, value: String) {
        match self.fields.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.fields.push((key.to_owned(), value)),
        }
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

pub fn price(rows: &[(Option<String>, Sheet)], ratio: &Rates) -> String {
    if let [(None, sheet)] = rows {
        return format!("{{ {} }}", sheet.text(ratio));
    }
    let mut text = "[\n".to_owned();
    for (from, sheet) in rows {
        let from = from.as_ref().map(|from| format!("from = {from}, ")).unwrap_or_default();
        let _ = writeln!(text, "  {{ {from}{} }},", sheet.text(ratio));
    }
    text + "]"
}

/// A rule's `about` as comment lines.
pub fn about(rules: &Value) -> String {
    let about = rules.get("about").and_then(Value::as_str).unwrap_or_default();
    about.lines().map(|line| format!("# {line}\n")).collect()
}

/// Fields as a reader wants them: what it is called, what it costs, what else is known.
pub fn ordered(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    const ORDER: [&str; 18] = [
        "dated",
        "except",
        "alias",
        "kind",
        "free",
        "unpriced",
        "like",
        "scale",
        "profiles",
        "price",
        "mode",
        "times",
        "fees",
        "context",
        "max_output",
        "note",
        "source",
        "checked",
    ];
    let place = |name: &str| {
        let name = name.split('.').next().unwrap_or(name);
        ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
    };
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.sort_by_key(|(name, _)| place(name));
    fields
}

/// A hand-written value in the style of the table: `price` one row per line, the rest on one.
pub fn field(name: &str, value: &Value) -> String {
    match value {
        Value::Array(rows) if rows.iter().any(Value::is_table) && (name == "price" || name == "window") => {
            let rows = rows.iter().map(|row| format!("  {},\n", field("", row))).collect::<String>();
            format!("[\n{rows}]")
        }
        Value::Array(items) if items.len() > 8 => {
            let lines = items
                .chunks(8)
                .map(|line| format!("  {},\n", line.iter().map(|item| field("", item)).collect::<Vec<_>>().join(", ")));
            format!("[\n{}]", lines.collect::<String>())
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| field("", item)).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => {
            let inside = table.iter().map(|(name, value)| format!("{} = {}", bare(name), field(name, value)));
            format!("{{ {} }}", inside.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => quoted(text),
        Value::Integer(number) => u64::try_from(*number).map_or(number.to_string(), grouped),
        Value::Float(number) => number.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Datetime(datetime) => datetime.to_string(),
    }
}

pub fn bare(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.bytes().all(plain) { name.to_owned() } else { quoted(name) }
}

pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let first = match digits.len() % 3 {
        0 => 3,
        rest => rest,
    };
    let (first, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|chunk| String::from_utf8_lossy(chunk).into_owned());
    std::iter::once(first.to_owned()).chain(groups).collect::<Vec<_>>().join("_")
}
