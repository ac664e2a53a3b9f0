//! A comparison as a Markdown page: the table, then each answer as a quotation, so that it cannot break out of it.

use super::{View, matrix, order, shown, table, tell};
use crate::domain::comparison::{Comparison, Lane};
use crate::domain::untrusted::{one_line, visible};

/// The page. Of `view` only the order, the marks and the exit code count.
#[must_use]
pub fn text(comparison: &Comparison, view: &View) -> String {
    let mut text = "# Comparison\n\n".to_owned();
    if !comparison.prompt.is_empty() {
        text.push_str(&format!("{}\n", quoted(&visible(&comparison.prompt))));
    }
    let rows = if comparison.cases.is_empty() { figures(comparison, view) } else { cases(comparison) };
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text.push('\n');
    for failure in table::failures(comparison).into_iter().chain(table::failed_checks(comparison)) {
        let lines: Vec<String> = failure.lines().map(plain).collect();
        text.push_str(&format!("- {}\n", lines.join("<br>")));
    }
    if let Some(judged) = &comparison.judged {
        text.push_str(&format!("\nJudged by {}: {}\n\n", plain(&judged.model), plain(&judged.criteria)));
        for (lane, score) in comparison.lanes.iter().zip(&judged.scores) {
            let (wins, ties, losses) = (score.wins, score.ties, score.losses);
            text.push_str(&format!("- {}: {wins} wins, {ties} ties, {losses} losses\n", plain(&lane.label)));
        }
        text.push_str(&format!("- {}\n", tell::judging(judged.cost)));
    }
    text.push_str(&format!("\n{}\n", tell::verdict(comparison, view.exit)));
    if comparison.cases.is_empty() {
        for answer in shown(comparison, view.diff) {
            text.push_str(&format!("\n## {}\n\n{}", plain(&answer.lane.label), quoted(&answer.text)));
            text.push_str(&answer.remark.map(|remark| format!("\n{}\n", plain(&remark))).unwrap_or_default());
        }
    }
    text
}

fn figures(comparison: &Comparison, view: &View) -> Vec<Vec<String>> {
    let head = ["model", "status", "first", "total", "tok/s", "cost", ""].map(str::to_owned).to_vec();
    let rule = ["---", "---", "--:", "--:", "--:", "--:", "---"].map(str::to_owned).to_vec();
    let (fastest, cheapest) = (comparison.fastest(), comparison.cheapest());
    let row = |at: usize| {
        let lane: &Lane = &comparison.lanes[at];
        let or_none = |text: Option<String>| text.unwrap_or_else(|| tell::NONE.to_owned());
        let marks: Vec<&str> = [(fastest[at], "fastest"), (cheapest[at], "cheapest")]
            .into_iter()
            .filter_map(|(holds, word)| holds.then_some(word))
            .collect();
        vec![
            plain(&lane.label),
            plain(&tell::status(lane)),
            or_none(lane.first().map(|first| tell::seconds(first.median))),
            or_none(lane.total().map(|total| tell::seconds(total.median))),
            or_none(lane.speed().map(|speed| speed.median.to_string())),
            plain(&tell::cost(lane)),
            marks.join(" "),
        ]
    };
    [head, rule].into_iter().chain(order(comparison, view.sort).into_iter().map(row)).collect()
}

fn cases(comparison: &Comparison) -> Vec<Vec<String>> {
    let head = std::iter::once("prompt".to_owned()).chain(comparison.lanes.iter().map(|lane| plain(&lane.label)));
    let rule = vec!["---".to_owned(); comparison.lanes.len() + 1];
    let rows = comparison.cases.iter().enumerate().map(|(case, prompt)| {
        let cells = comparison.lanes.iter().map(|lane| plain(&matrix::cell(lane, case)));
        std::iter::once(plain(prompt)).chain(cells).collect()
    });
    [head.collect(), rule].into_iter().chain(rows).collect()
}

/// A text as a block quotation.
fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}").trim_end().to_owned() + "\n").collect()
}

/// A text on one line in which nothing means anything to Markdown or HTML.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for character in one_line(text).chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '$' | '~' => out.extend(['\\', character]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            other => out.push(other),
        }
    }
    out
}
