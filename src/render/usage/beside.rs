//! What the reports beside the spend report share: their heading, amounts, and tables that fit.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::domain::spend::currency::Currency;
use crate::domain::spend::heading::Heading;
use crate::domain::untrusted::{json_line, one_line};
use crate::render::logs::columns;

/// `Mon 16 – Sun 22 Nov 2026, Europe/Berlin, model~sonnet`.
pub(super) fn heading(heading: &Heading) -> String {
    let mut text = format!("{}, {}", heading.period.label(), heading.period.zone.name());
    if !heading.filter.is_empty() {
        text.push_str(&format!(", {}", one_line(&heading.filter)));
    }
    text
}

/// The same in JSON, laid under a report.
pub(super) fn object(heading: &Heading) -> Value {
    let period = &heading.period;
    json!({
        "schema": 1,
        "made_ms": heading.made_ms,
        "period": {"from": period.first.to_string(), "to": period.after.yesterday().ok().map(|day| day.to_string()),
            "zone": period.zone.name(), "label": period.label()},
        "filter": heading.filter,
    })
}

/// The fields of one object after those of another.
pub(super) fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// The same as a line of JSON.
pub(super) fn laid(object: Value, more: Value) -> String {
    json_line(&with(object, more))
}

/// An amount as people read it: to the cent from a hundred dollars on, else to a ten-thousandth or a millionth.
pub(super) fn money(picos: i128) -> String {
    const DOLLAR: i128 = 1_000_000_000_000;
    let places = match picos.abs() {
        amount if amount >= 100 * DOLLAR => 2,
        amount if amount >= DOLLAR || amount == 0 => 4,
        _ => 6,
    };
    // An amount that is not zero is never shown as one.
    let places = if picos != 0 && picos.abs() < DOLLAR / 1_000_000 { 12 } else { places };
    Currency::default().told(picos, places)
}

/// As [`money`], with a plus where it is one.
pub(super) fn signed(picos: i128) -> String {
    if picos > 0 { format!("+{}", money(picos)) } else { money(picos) }
}

/// An amount in JSON.
pub(super) fn exact(picos: i128) -> String {
    Currency::default().exact(picos)
}

/// `1,234`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 call`, `2,000 calls`.
pub(super) fn calls(number: u64) -> String {
    format!("{} call{}", count(number), if number == 1 { "" } else { "s" })
}

/// A table, or where it is wider than the screen a block for each row: no number is ever cut or wrapped.
pub(super) fn table<const N: usize>(rows: &[[String; N]], right: &[usize], width: Option<usize>) -> String {
    let text = columns(rows, right);
    let widest = text.lines().map(|line| line.width()).max().unwrap_or(0);
    let (Some(width), Some((head, rows))) = (width, rows.split_first()) else {
        return text;
    };
    if widest <= width {
        return text;
    }
    let names = head.iter().map(|name| name.trim().width()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let mut cells = head.iter().zip(row);
        if let Some((_, first)) = cells.next() {
            text.push_str(&format!("{first}\n"));
        }
        for (name, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
            let name = name.trim();
            text.push_str(&format!("    {name}{}  {cell}\n", " ".repeat(names - name.width())));
        }
    }
    text
}

/// Sentences, each wrapped between words, the further lines of each moved in.
pub(super) fn sentences(sentences: &[String], width: Option<usize>) -> String {
    let mut text = String::new();
    for sentence in sentences {
        let mut column = 0;
        for word in sentence.split(' ') {
            let fits = width.is_none_or(|width| column + 1 + word.width() <= width);
            match (column, fits) {
                (0, _) => {}
                (_, true) => {
                    text.push(' ');
                    column += 1;
                }
                (_, false) => {
                    text.push_str("\n  ");
                    column = 2;
                }
            }
            text.push_str(word);
            column += word.width();
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{count, money, sentences, signed, table};

    #[test]
    fn an_amount_that_is_not_zero_never_looks_like_zero() {
        for (picos, text) in [
            (0, "$0.0000"),
            (1, "$0.000000000001"),
            (240_000_000, "$0.000240"),
            (-1_500_000_000_000, "-$1.5000"),
            (123_456_000_000_000, "$123.46"),
        ] {
            assert_eq!(money(picos), text);
        }
        assert_eq!((signed(1_000_000_000_000).as_str(), count(1_234_567).as_str()), ("+$1.0000", "1,234,567"));
    }

    #[test]
    fn a_table_that_is_too_wide_becomes_blocks_and_loses_no_figure() {
        let rows = [["model", "now", "there"], ["a/long-name", "$1.23", "$4.56"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows, &[1, 2], Some(40)).lines().count(), 2);
        assert_eq!(table(&rows, &[1, 2], Some(20)), "a/long-name\n    now    $1.23\n    there  $4.56\n");
    }

    #[test]
    fn a_sentence_breaks_between_words() {
        assert_eq!(sentences(&["one two three".into()], Some(9)), "one two\n  three\n");
        assert_eq!(sentences(&["one two".into()], None), "one two\n");
    }
}
