//! Answers one after the other: for a pipe, and for a screen with no room beside.

use super::{Shown, View, lay, shown, tell};
use crate::domain::comparison::Comparison;
use crate::domain::untrusted::{one_line, visible};
use crate::render::face::Face;

/// Every answer under a line that names its model. Into a pipe the text goes as it came: nothing is laid out or wrapped, and
/// only what could steer a terminal is made visible (the exact bytes are in the JSON).
#[must_use]
pub fn stack(comparison: &Comparison, view: &View) -> String {
    if comparison.cases.is_empty() {
        let answers = shown(comparison, view.diff);
        return answers.iter().map(|answer| one(answer, &answer.lane.label, view)).collect::<Vec<_>>().join("\n");
    }
    let mut parts = Vec::new();
    for (case, prompt) in comparison.cases.iter().enumerate() {
        for lane in &comparison.lanes {
            for run in lane.runs.iter().filter(|run| run.case == Some(case) && run.report().is_some()) {
                let text = visible(&run.text()).into_owned();
                let remark = tell::remark(run, &text);
                let head = format!("{} · {} {}", lane.label, case + 1, prompt);
                parts.push(one(&Shown { lane, text, remark, marks: None }, &head, view));
            }
        }
    }
    parts.join("\n")
}

fn one(answer: &Shown<'_>, head: &str, view: &View) -> String {
    let screen = view.screen;
    let width = screen.width.filter(|_| screen.terminal);
    let mut text = String::new();
    for line in lay::folded(&format!("== {}", one_line(head)), width) {
        text.push_str(&lay::painted(&line, Face::BOLD, screen.colour));
        text.push('\n');
    }
    if screen.terminal || screen.colour {
        for line in lay::lines(&answer.text, answer.marks.as_deref(), width, screen.colour) {
            text.push_str(&line);
            text.push('\n');
        }
    } else {
        let said = answer.marks.as_ref().map(|marks| lay::marked(&answer.text, marks, false));
        text.push_str(said.as_deref().unwrap_or(&answer.text));
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    if let Some(remark) = &answer.remark {
        for line in lay::folded(remark, width) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}
