//! Rows and sentences on a screen of any width: what does not fit goes on below, and no number is cut.

use unicode_width::UnicodeWidthStr as _;

use crate::render::logs::columns;

/// Rows as columns; where the widest is too wide, each row stacked.
pub(super) fn rows<const N: usize>(rows: &[[String; N]], right: &[usize], width: Option<usize>) -> String {
    fitting(rows, right, width).unwrap_or_else(|| rows.iter().map(|row| stacked(row, width.unwrap_or(0))).collect())
}

/// Rows as columns, a line for each; `None` where one is too wide.
pub(super) fn fitting<const N: usize>(rows: &[[String; N]], right: &[usize], width: Option<usize>) -> Option<String> {
    let table = columns(rows, right);
    let widest = table.lines().map(|line| line.width()).max().unwrap_or(0);
    width.is_none_or(|width| widest <= width).then_some(table)
}

/// The first cell, and the others below it, as many in a line as fit.
pub(super) fn stacked(row: &[String], width: usize) -> String {
    let Some((first, others)) = row.split_first() else {
        return String::new();
    };
    let indent = first.len() - first.trim_start().len() + 4;
    let mut text = wrapped(first, indent, width);
    let mut line = " ".repeat(indent);
    for cell in others.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()) {
        let is_empty = line.trim().is_empty();
        if !is_empty && line.width() + 2 + cell.width() > width {
            text.push_str(&wrapped(&line, indent, width));
            line = " ".repeat(indent);
        }
        line.push_str(if line.trim().is_empty() { "" } else { "  " });
        line.push_str(cell);
    }
    if !line.trim().is_empty() {
        text.push_str(&wrapped(&line, indent, width));
    }
    text
}

/// A text in lines that fit, those after the first with so many blanks before them. A word that is wider than the screen
/// stays whole.
pub(super) fn wrapped(text: &str, indent: usize, width: usize) -> String {
    if text.width() <= width {
        return format!("{text}\n");
    }
    let blanks = text.len() - text.trim_start().len();
    let mut done = String::new();
    let mut line = " ".repeat(blanks);
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && line.width() + 1 + word.width() > width {
            done.push_str(&format!("{line}\n"));
            line = " ".repeat(indent);
            is_empty = true;
        }
        line.push_str(if is_empty { "" } else { " " });
        line.push_str(word);
        is_empty = false;
    }
    done + &format!("{line}\n")
}

/// [`wrapped`] where there is a width at all.
pub(super) fn sentence(text: &str, indent: usize, width: Option<usize>) -> String {
    wrapped(text, indent, width.unwrap_or(usize::MAX))
}

/// `4,287,892`, `-1,200`.
pub(super) fn grouped(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Picodollars as an exact decimal without trailing zeros: `12.5`, `-0.000000000001`.
pub(super) fn exact(picos: i128) -> String {
    let text = fixed(picos, 12);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Picodollars as a decimal with so many places, at most twelve; what is beyond them must be zero.
pub(super) fn fixed(picos: i128, places: usize) -> String {
    let sign = if picos < 0 { "-" } else { "" };
    let digits = format!("{:013}", picos.unsigned_abs());
    let (whole, fraction) = digits.split_at(digits.len() - 12);
    let fraction = fraction.get(..places.min(12)).unwrap_or_default();
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// `1 call`, `12 calls`.
pub(super) fn calls(number: u64) -> String {
    if number == 1 { "1 call".to_owned() } else { format!("{} calls", grouped(number.into())) }
}

#[cfg(test)]
mod tests {
    use super::{exact, fixed, grouped, rows, wrapped};

    #[test]
    fn amounts_keep_every_digit() {
        assert_eq!(exact(12_500_000_000_000), "12.5");
        assert_eq!(exact(-1), "-0.000000000001");
        assert_eq!(exact(0), "0");
        assert_eq!(exact(20_000_000_000_000), "20");
        assert_eq!(fixed(9_800_000_000_000, 2), "9.80");
        assert_eq!(grouped(-4_287_892), "-4,287,892");
    }

    #[test]
    fn what_does_not_fit_goes_on_below_and_whole() {
        let table = [["  a long name".to_owned(), "1,000,000".to_owned(), "$12.5".to_owned()]];
        assert_eq!(rows(&table, &[1, 2], None), "  a long name  1,000,000  $12.5\n");
        assert_eq!(rows(&table, &[1, 2], Some(24)), "  a long name\n      1,000,000  $12.5\n");
        assert_eq!(rows(&table, &[1, 2], Some(16)), "  a long name\n      1,000,000\n      $12.5\n");
        assert_eq!(wrapped("  one two three", 4, 9), "  one two\n    three\n");
    }
}
