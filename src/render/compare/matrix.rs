//! Many prompts before many models: a row per prompt, a column per model.

use unicode_segmentation::UnicodeSegmentation as _;

use super::{lay, table, tell};
use crate::domain::comparison::{Comparison, Lane, Run};
use crate::domain::untrusted::one_line;

/// Widest beginning of a prompt, in columns; it ends with a whole word.
const PROMPT_MAX: usize = 40;

/// Each cell says whether the answers passed and what they cost; the last row counts.
pub(super) fn matrix(comparison: &Comparison, width: Option<usize>) -> String {
    let mut rows: Vec<Vec<String>> = vec![std::iter::once(String::new()).chain(labels(comparison)).collect()];
    for (case, prompt) in comparison.cases.iter().enumerate() {
        let head = format!("{} {}", case + 1, beginning(prompt));
        rows.push(std::iter::once(head).chain(comparison.lanes.iter().map(|lane| cell(lane, case))).collect());
    }
    rows.push(std::iter::once("passed".to_owned()).chain(comparison.lanes.iter().map(total)).collect());
    let beside = aligned(&rows);
    if width.is_none_or(|width| beside.lines().all(|line| lay::columns(line) <= width)) {
        return beside;
    }
    // No room: the models of each prompt below it.
    let width = width.unwrap_or(usize::MAX);
    let mut text = String::new();
    for row in &rows[1..] {
        for line in lay::folded(&row[0], Some(width)) {
            text.push_str(&format!("{line}\n"));
        }
        for (label, cell) in rows[0][1..].iter().zip(&row[1..]) {
            let one = format!("  {label}  {cell}");
            if lay::columns(&one) <= width {
                text.push_str(&format!("{one}\n"));
            } else {
                for line in lay::folded(label, Some(width)) {
                    text.push_str(&format!("{line}\n"));
                }
                text.push_str(&table::packed(std::slice::from_ref(cell), width));
            }
        }
    }
    text
}

fn labels(comparison: &Comparison) -> impl Iterator<Item = String> {
    comparison.lanes.iter().map(|lane| one_line(&lane.label))
}

fn of(lane: &Lane, case: usize) -> Vec<&Run> {
    lane.runs.iter().filter(|run| run.case == Some(case)).collect()
}

/// Whether a run answered and fulfilled what was asserted.
pub(super) fn passed(run: &Run) -> bool {
    run.answered().is_some() && run.checks.iter().all(|check| check.passed)
}

pub(super) fn cell(lane: &Lane, case: usize) -> String {
    let runs = of(lane, case);
    let cost = runs.iter().filter_map(|run| run.report()).map(|report| &report.bill);
    let cost = match crate::domain::comparison::Spend::of(cost) {
        spend if spend.calls == 0 => String::new(),
        spend => format!(" {}", tell::spend(&spend)),
    };
    let count = runs.iter().filter(|run| passed(run)).count();
    match runs.as_slice() {
        [] => tell::NONE.to_owned(),
        [run] if passed(run) => format!("pass{cost}"),
        [run] if run.answered().is_some() => format!("fail{cost}"),
        [run] => format!("{}{cost}", tell::state(run, lane)),
        runs => format!("pass {count}/{}{cost}", runs.len()),
    }
}

fn total(lane: &Lane) -> String {
    let passed = lane.runs.iter().filter(|run| passed(run)).count();
    format!("{passed}/{} {}", lane.runs.len(), tell::spend(&lane.spend()))
}

/// As many whole words as have room, so that no number is cut.
fn beginning(prompt: &str) -> String {
    let prompt = one_line(prompt);
    let prompt = prompt.trim();
    if lay::columns(prompt) <= PROMPT_MAX {
        return prompt.to_owned();
    }
    let mut used = 1;
    let fits = |word: &&str| {
        used += lay::columns(word);
        used <= PROMPT_MAX
    };
    format!("{}…", prompt.split_word_bounds().take_while(fits).collect::<String>().trim_end())
}

fn aligned(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..count).map(|at| rows.iter().map(|row| lay::columns(&row[at])).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| lay::filled(cell, *width)).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
