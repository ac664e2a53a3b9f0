//! Answers side by side, as many as have room, the others in further bands below.

use super::{Shown, View, lay, shown};
use crate::domain::comparison::Comparison;
use crate::domain::untrusted::one_line;
use crate::render::face::Face;

/// A column is never narrower.
const COLUMN_MIN: usize = 36;

/// What stands between two columns.
const BETWEEN: &str = " │ ";
const BETWEEN_COLUMNS: usize = 3;

/// Where nothing says how wide the screen is and columns were asked for all the same.
const UNKNOWN_WIDTH: usize = 120;

/// How many columns have room in `width`: none under 36 characters, and at least one.
pub(super) fn beside(width: usize) -> usize {
    ((width + BETWEEN_COLUMNS) / (COLUMN_MIN + BETWEEN_COLUMNS)).max(1)
}

/// How wide each of `count` columns is.
pub(super) fn column(width: usize, count: usize) -> usize {
    (width.saturating_sub(BETWEEN_COLUMNS * (count - 1)) / count).max(1)
}

/// Every answer that came, in bands of columns.
#[must_use]
pub fn columns(comparison: &Comparison, view: &View) -> String {
    let width = view.screen.width.unwrap_or(UNKNOWN_WIDTH);
    let answers = shown(comparison, view.diff);
    let bands = answers.chunks(beside(width)).map(|answers| band(answers, width, view.screen.colour));
    bands.collect::<Vec<_>>().join("\n")
}

fn band(answers: &[Shown<'_>], width: usize, colour: bool) -> String {
    let column = column(width, answers.len());
    let cells: Vec<Vec<String>> = answers.iter().map(|answer| cell(answer, column, colour)).collect();
    let heads: Vec<Vec<String>> = answers
        .iter()
        .map(|answer| {
            let label = lay::folded(&one_line(&answer.lane.label), Some(column));
            label.iter().map(|line| lay::painted(line, Face::BOLD, colour)).collect()
        })
        .collect();
    let mut text = rows(&heads, column);
    text.push_str(&rule(column, answers.len(), width));
    text.push('\n');
    text.push_str(&rows(&cells, column));
    text
}

fn cell(answer: &Shown<'_>, column: usize, colour: bool) -> Vec<String> {
    let mut lines = lay::lines(&answer.text, answer.marks.as_deref(), Some(column), colour);
    if let Some(remark) = &answer.remark {
        let remark = lay::folded(remark, Some(column));
        lines.extend(remark.iter().map(|line| lay::painted(line, Face::DIM, colour)));
    }
    lines
}

/// The line below the heads.
pub(super) fn rule(column: usize, count: usize, width: usize) -> String {
    if count == 1 {
        return "─".repeat(width);
    }
    let part = "─".repeat(column + 1);
    let inner = "─".repeat(column + 2);
    let mut parts = vec![part.as_str()];
    parts.extend(std::iter::repeat_n(inner.as_str(), count - 2));
    parts.push(&part);
    parts.join("┼")
}

/// Columns of lines as lines of columns.
pub(super) fn rows(cells: &[Vec<String>], column: usize) -> String {
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for row in 0..height {
        let line: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(at, cell)| {
                let part = cell.get(row).map_or("", String::as_str);
                if at + 1 == cells.len() { part.to_owned() } else { lay::filled(part, column) }
            })
            .collect();
        text.push_str(line.join(BETWEEN).trim_end());
        text.push('\n');
    }
    text
}
