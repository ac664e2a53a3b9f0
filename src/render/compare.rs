//! A comparison as it is shown: side by side or one after the other, then the table; and the same as files.

pub mod columns;
pub mod csv;
pub mod estimate;
pub mod html;
pub mod json;
pub mod junit;
pub(super) mod lay;
pub mod live;
pub mod markdown;
mod matrix;
pub mod stack;
pub mod table;
mod tell;
#[cfg(test)]
mod tests;

use super::terminal::Screen;
use crate::domain::comparison::{Comparison, Lane, words};
use crate::domain::untrusted::visible;

/// Below this many columns answers stand one after the other.
const BESIDE_MIN: usize = 76;

/// How a comparison is to be shown.
#[derive(Debug, Clone, Copy)]
pub struct View {
    pub screen: Screen,
    /// `--sort`: the order of the table's rows; without it, the order in which the models were named.
    pub sort: Option<Sort>,
    /// `--diff`: words that only one answer has are marked.
    pub diff: bool,
    /// The exit code that the shell will see.
    pub exit: u8,
}

/// What the rows of the table are sorted by, the least first. Rows without the value come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Cost,
    Time,
    First,
}

/// `--cols`, `--stack`, `--table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Columns,
    Stack,
    /// No answers, only the table.
    Table,
}

impl Layout {
    /// The layout that this screen gets where none was asked for: columns where a person sees at least 76 of them.
    #[must_use]
    pub fn for_screen(screen: &Screen) -> Layout {
        let beside = screen.terminal && !screen.dumb && screen.width.is_some_and(|width| width >= BESIDE_MIN);
        if beside { Layout::Columns } else { Layout::Stack }
    }
}

/// The answers in this layout, then the table. Nothing in it steers a terminal but our own colours, and those only where
/// the screen has colour.
#[must_use]
pub fn page(comparison: &Comparison, view: &View, layout: Layout) -> String {
    let answers = match layout {
        Layout::Columns if comparison.cases.is_empty() => columns::columns(comparison, view),
        // The answers to many prompts beside one another would be read by nobody.
        Layout::Table | Layout::Columns => String::new(),
        Layout::Stack => stack::stack(comparison, view),
    };
    let gap = if answers.is_empty() { "" } else { "\n" };
    format!("{answers}{gap}{}", table::table(comparison, view))
}

/// An answer that is shown: whose, its text without controls, and the ranges that are marked in it.
struct Shown<'a> {
    lane: &'a Lane,
    text: String,
    /// What must be said of an answer that is no whole text.
    remark: Option<String>,
    marks: Option<Vec<std::ops::Range<usize>>>,
}

/// One answer per lane that has one.
fn shown(comparison: &Comparison, diff: bool) -> Vec<Shown<'_>> {
    let answers = comparison.lanes.iter().filter_map(|lane| {
        let run = lane.shown()?;
        let text = visible(&run.text()).into_owned();
        let remark = tell::remark(run, &text);
        Some(Shown { lane, text, remark, marks: None })
    });
    let mut answers: Vec<Shown<'_>> = answers.collect();
    // Of a single answer every word is its own.
    if diff && answers.len() > 1 {
        let texts: Vec<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        let marks = words::only_here(&texts);
        for (answer, marks) in answers.iter_mut().zip(marks) {
            answer.marks = Some(marks);
        }
    }
    answers
}

/// Positions of the lanes in the order of the rows.
fn order(comparison: &Comparison, sort: Option<Sort>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..comparison.lanes.len()).collect();
    let key = |at: &usize| -> Option<i64> {
        let lane = &comparison.lanes[*at];
        let whole = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
        match sort? {
            Sort::Cost => lane.cost().map(|cost| cost.median.picos),
            Sort::Time => lane.total().map(|total| whole(total.median)),
            Sort::First => lane.first().map(|first| whole(first.median)),
        }
    };
    order.sort_by_key(|at| key(at).map_or((true, 0), |value| (false, value)));
    order
}
