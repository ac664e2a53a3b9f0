//! Tables: gathered to their end, columns aligned by what is seen; a cell too wide is wrapped, never cut.

use super::inline::Inline;
use super::wrap::{Wrap, columns};
use crate::render::face::Face;

const BETWEEN: &str = " │ ";
const BETWEEN_COLUMNS: usize = 3;

/// A head of more cells is not a table: an empty row would cost as much as a full one.
const COLUMNS_MAX: usize = 64;

/// A column is not made narrower than its longest number, nor than this where its words are longer.
const WORD_COLUMNS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Centre,
    Right,
}

/// The rows of one table; the first is its head.
#[derive(Debug)]
pub(super) struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table, if `delimiters` is the line under a head of as many cells.
    pub(super) fn open(head: &str, delimiters: &str) -> Option<Table> {
        let head = cells(head);
        let sides: Vec<Side> = cells(delimiters).iter().map(|cell| side(cell)).collect::<Option<_>>()?;
        (sides.len() == head.len() && sides.len() <= COLUMNS_MAX).then(|| Table { sides, rows: vec![head] })
    }

    /// One more row; missing cells are empty. Cells beyond the head stay in the last: an answer is not shortened.
    pub(super) fn push(&mut self, line: &str) {
        let mut row = cells(line);
        let beyond = row.split_off(row.len().min(self.sides.len()));
        if let Some(last) = row.last_mut() {
            for cell in beyond {
                last.push_str(" | ");
                last.push_str(&cell);
            }
        }
        row.resize(self.sides.len(), String::new());
        self.rows.push(row);
    }

    pub(super) fn show(self, out: &mut Wrap) {
        let colour = out.colour();
        match self.widths(out.room()) {
            Some(widths) => self.grid(&widths, colour, out),
            None => self.records(out),
        }
    }

    /// The width of each column, or none if no grid fits.
    fn widths(&self, room: Option<usize>) -> Option<Vec<usize>> {
        let shown: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| laid_out(cell, None, false).join(" ")).collect())
            .collect();
        let widest = |column: usize, measure: fn(&str) -> usize| {
            shown.iter().map(|row| row.get(column).map_or(0, |cell| measure(cell))).max().unwrap_or(0).max(1)
        };
        let natural: Vec<usize> = (0..self.sides.len()).map(|column| widest(column, columns)).collect();
        let Some(room) = room else { return Some(natural) };
        let room = room.checked_sub(BETWEEN_COLUMNS * (self.sides.len().max(1) - 1))?;
        if natural.iter().sum::<usize>() <= room {
            return Some(natural);
        }
        let least: Vec<usize> = (0..self.sides.len()).map(|column| widest(column, least_columns)).collect();
        share(&natural, &least, room)
    }

    fn grid(&self, widths: &[usize], colour: bool, out: &mut Wrap) {
        for (index, row) in self.rows.iter().enumerate() {
            let cells: Vec<Vec<String>> = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| laid_out(&styled(cell, index == 0), Some(*width), colour))
                .collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(1).max(1);
            for line in 0..height {
                let mut shown = String::new();
                for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
                    if column > 0 {
                        shown.push_str(BETWEEN);
                    }
                    let text = cell.get(line).map_or("", String::as_str);
                    let side = self.sides.get(column).copied().unwrap_or(Side::Left);
                    pad(&mut shown, text, *width, side);
                }
                out.verbatim(&[(Face::PLAIN, shown.trim_end())]);
            }
            if index == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
                out.verbatim(&[(Face::PLAIN, &rule.join("─┼─"))]);
            }
        }
    }

    /// Too narrow for columns: each row as lines of `head: cell`.
    fn records(&self, out: &mut Wrap) {
        let Some((head, rows)) = self.rows.split_first() else { return };
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                let rule = "─".repeat(out.room().unwrap_or(WORD_COLUMNS).min(WORD_COLUMNS));
                out.verbatim(&[(Face::PLAIN, &rule)]);
            }
            for (name, cell) in head.iter().zip(row) {
                inline(&format!("{name}: {cell}"), out);
                out.end_line();
            }
        }
        if rows.is_empty() {
            inline(&head.join(" · "), out);
            out.end_line();
        }
    }
}

/// Room shared out: every column its least, then what is left to the narrowest that still wants it.
fn share(natural: &[usize], least: &[usize], room: usize) -> Option<Vec<usize>> {
    let mut widths: Vec<usize> = least.iter().zip(natural).map(|(least, natural)| *least.min(natural)).collect();
    let mut left = room.checked_sub(widths.iter().sum())?;
    while left > 0 {
        let wanting = widths.iter().zip(natural).filter(|(width, natural)| width < natural).map(|(width, _)| *width);
        let Some(narrowest) = wanting.min() else { break };
        for (width, natural) in widths.iter_mut().zip(natural) {
            if left > 0 && *width == narrowest && *width < *natural {
                *width += 1;
                left -= 1;
            }
        }
    }
    Some(widths)
}

/// What a cell cannot do without: its longest word, at most [`WORD_COLUMNS`] unless it is a number.
fn least_columns(cell: &str) -> usize {
    cell.split_whitespace()
        .map(|word| {
            let whole = columns(word);
            if is_number(word) { whole } else { whole.min(WORD_COLUMNS) }
        })
        .max()
        .unwrap_or(1)
}

fn is_number(word: &str) -> bool {
    word.contains(|character: char| character.is_ascii_digit())
        && word.chars().filter(|character| character.is_alphabetic()).count() <= 3
}

/// The lines of a cell at a width.
fn laid_out(cell: &str, width: Option<usize>, colour: bool) -> Vec<String> {
    let mut wrap = Wrap::new_cell(width, colour);
    inline(cell, &mut wrap);
    wrap.end_line();
    wrap.take().lines().map(str::to_owned).collect()
}

fn inline(text: &str, out: &mut Wrap) {
    let mut inline = Inline::default();
    for character in text.chars() {
        inline.feed(character, out);
    }
    inline.end(out);
}

fn styled(cell: &str, head: bool) -> String {
    if head && !cell.is_empty() && !cell.contains('*') { format!("**{cell}**") } else { cell.to_owned() }
}

fn pad(line: &mut String, text: &str, width: usize, side: Side) {
    let spare = width.saturating_sub(seen_columns(text));
    let before = match side {
        Side::Left => 0,
        Side::Centre => spare / 2,
        Side::Right => spare,
    };
    line.extend(std::iter::repeat_n(' ', before));
    line.push_str(text);
    line.extend(std::iter::repeat_n(' ', spare - before));
}

/// Columns of `text`, our own sequences aside. The text's own controls are gone: every escape is ours and ends in `m`.
fn seen_columns(text: &str) -> usize {
    let mut seen = 0;
    for (index, part) in text.split('\u{1b}').enumerate() {
        seen += if index == 0 { columns(part) } else { part.split_once('m').map_or(0, |(_, rest)| columns(rest)) };
    }
    seen
}

/// The cells of a row: cut at each `|` that is not escaped.
fn cells(line: &str) -> Vec<String> {
    let mut row = vec![String::new()];
    let mut escaped = false;
    let line = line.trim();
    for character in line.strip_prefix('|').unwrap_or(line).chars() {
        match (escaped, character) {
            (false, '|') => row.push(String::new()),
            (true, '|') => {
                if let Some(cell) = row.last_mut() {
                    cell.pop();
                    cell.push('|');
                }
            }
            (_, other) => {
                if let Some(cell) = row.last_mut() {
                    cell.push(if other == '\t' { ' ' } else { other });
                }
            }
        }
        escaped = character == '\\' && !escaped;
    }
    if row.len() > 1 && row.last().is_some_and(|cell| cell.trim().is_empty()) {
        row.pop();
    }
    for cell in &mut row {
        *cell = line_breaks(cell.trim());
    }
    row
}

/// `<br>` is how a cell says a new line.
fn line_breaks(cell: &str) -> String {
    cell.replace("<br>", "\n").replace("<br/>", "\n").replace("<br />", "\n")
}

fn side(cell: &str) -> Option<Side> {
    let starts = cell.starts_with(':');
    let ends = cell.len() > 1 && cell.ends_with(':');
    let rule = cell.trim_matches(':');
    if rule.is_empty() || !rule.bytes().all(|byte| byte == b'-') {
        return None;
    }
    Some(match (starts, ends) {
        (true, true) => Side::Centre,
        (false, true) => Side::Right,
        _ => Side::Left,
    })
}
