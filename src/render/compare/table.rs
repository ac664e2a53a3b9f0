//! The figures of a comparison: one row per model, what failed and what to do about it, the sum.

use super::{View, lay, matrix, order, tell};
use crate::domain::comparison::spread::Spread;
use crate::domain::comparison::{Comparison, Lane, RUNS_TO_TELL, Run, Score};
use crate::domain::failure::Failure;
use crate::domain::report::CallReport;
use crate::domain::untrusted::one_line;
use crate::domain::usage::Meter;

/// Spaces between two columns.
const GAP: usize = 2;

/// The table, the failures with their `try:` lines, what the judge said, and the last line. No number is cut at any
/// width: what has no room beside goes below.
#[must_use]
pub fn table(comparison: &Comparison, view: &View) -> String {
    let width = view.screen.width;
    let mut text =
        if comparison.cases.is_empty() { figures(comparison, view) } else { matrix::matrix(comparison, width) };
    let mut say = |lines: Vec<String>| {
        if !lines.is_empty() {
            text.push('\n');
        }
        for line in lines.iter().flat_map(|line| line.lines()).flat_map(|line| lay::folded(line, width)) {
            text.push_str(&line);
            text.push('\n');
        }
    };
    say(failures(comparison));
    say(failed_checks(comparison));
    say(few_runs(comparison));
    say(judgement(comparison, width));
    say(vec![tell::verdict(comparison, view.exit)]);
    text
}

/// The least important go first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leaves {
    First,
    Second,
    Never,
}

/// One column of figures.
struct Column {
    head: &'static str,
    right: bool,
    /// When it goes where the screen has no room for all.
    leaves: Leaves,
    cells: Vec<String>,
}

fn figures(comparison: &Comparison, view: &View) -> String {
    let lanes: Vec<&Lane> = order(comparison, view.sort).into_iter().map(|at| &comparison.lanes[at]).collect();
    let labels: Vec<String> = lanes.iter().map(|lane| one_line(&lane.label)).collect();
    let marks = |short: bool| -> Vec<String> {
        let (fastest, cheapest) = (comparison.fastest(), comparison.cheapest());
        let words = if short { ["fast", "cheap"] } else { ["fastest", "cheapest"] };
        let mark = |at: usize| {
            let both = [(fastest[at], words[0]), (cheapest[at], words[1])];
            let said: Vec<&str> = both.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
            said.join(if short { "," } else { " " })
        };
        order(comparison, view.sort).into_iter().map(mark).collect()
    };
    let columns = columns(comparison, &lanes);
    let statuses: Vec<String> = lanes.iter().map(|lane| tell::status(lane)).collect();
    let fits =
        |text: &String| view.screen.width.is_none_or(|width| text.lines().all(|line| lay::columns(line) <= width));

    let all = beside(&labels, Some(&statuses), &columns, &marks(false));
    if fits(&all) {
        return all;
    }
    for least in [Leaves::Second, Leaves::Never] {
        let kept: Vec<Column> = copied(columns.iter().filter(|column| column.leaves >= least));
        let narrow = narrow(&labels, &lanes, &statuses, &kept, &marks(true));
        if fits(&narrow) {
            return narrow;
        }
    }
    let kept: Vec<&Column> = columns.iter().filter(|column| column.leaves > Leaves::First).collect();
    below(&labels, &statuses, &kept, &marks(false), view.screen.width)
}

fn copied<'a>(columns: impl Iterator<Item = &'a Column>) -> Vec<Column> {
    columns.map(|column| Column { cells: column.cells.clone(), ..*column }).collect()
}

fn columns(comparison: &Comparison, lanes: &[&Lane]) -> Vec<Column> {
    let repeated = comparison.repeated();
    let column = |head, leaves, cell: &dyn Fn(&Lane) -> Option<String>| Column {
        head,
        right: true,
        leaves,
        cells: lanes.iter().map(|lane| cell(lane).unwrap_or_else(|| tell::NONE.to_owned())).collect(),
    };
    let middle = |spread: Option<Spread<u64>>| spread.map(|spread| spread.median);
    let cached = |lane: &Lane| count(lane, |run| run.outcome.usage()?.get(Meter::CacheRead)).filter(|count| *count > 0);
    let thought = |lane: &Lane| count(lane, |run| run.outcome.usage()?.reasoning).filter(|count| *count > 0);
    let any_cached = lanes.iter().any(|lane| cached(lane).is_some());
    let any_thought = lanes.iter().any(|lane| thought(lane).is_some());
    let with = |count: u64, part: Option<u64>| match part {
        Some(part) => format!("{count} ({part})"),
        None => count.to_string(),
    };
    let output = |lane: &Lane| count(lane, |run| run.outcome.usage()?.get(Meter::Output));
    let mut columns = vec![column("first", Leaves::Never, &|lane| middle(lane.first()).map(tell::seconds))];
    if repeated {
        columns.push(column("p10–p90", Leaves::First, &|lane| tell::range(&lane.first()?)));
    }
    columns.push(column("total", Leaves::Never, &|lane| ended(lane).map(tell::seconds)));
    if repeated {
        columns.push(column("p10–p90", Leaves::Second, &|lane| tell::range(&lane.total()?)));
    }
    columns.push(column("tok/s", Leaves::Never, &|lane| middle(lane.speed()).map(|speed| speed.to_string())));
    columns.push(column(if any_cached { "in (cached)" } else { "in" }, Leaves::First, &|lane| {
        Some(with(count(lane, |run| run.outcome.usage()?.prompt_total())?, cached(lane)))
    }));
    columns.push(column(if any_thought { "out (reasoning)" } else { "out" }, Leaves::Never, &|lane| {
        Some(with(output(lane)?, thought(lane)))
    }));
    columns.push(column("cost", Leaves::Never, &|lane| Some(tell::cost(lane))));
    if lanes.iter().flat_map(|lane| &lane.runs).any(|run| !run.checks.is_empty()) {
        columns.push(column("checks", Leaves::Second, &|lane| {
            let checks = || lane.runs.iter().flat_map(|run| &run.checks);
            let passed = checks().filter(|check| check.passed).count();
            (checks().count() > 0).then(|| format!("{passed}/{}", checks().count()))
        }));
    }
    columns
}

/// The middle of a count over the answers; of a single call also where it failed.
fn count(lane: &Lane, of: impl Fn(&CallReport) -> Option<u64>) -> Option<u64> {
    let reports = lane.runs.iter().filter_map(Run::report);
    let counted = reports.filter_map(of).collect();
    Spread::of(counted).map(|spread| spread.median)
}

/// When it ended, also where it failed.
fn ended(lane: &Lane) -> Option<u64> {
    let answered = lane.total().map(|total| total.median);
    answered.or_else(|| lane.runs.iter().find_map(Run::report).map(|report| report.timing.total_ms))
}

/// Rows with everything beside; `statuses` in a column of their own.
fn beside(labels: &[String], statuses: Option<&[String]>, columns: &[Column], marks: &[String]) -> String {
    let mut all = vec![Column { head: "", right: false, leaves: Leaves::Never, cells: labels.to_vec() }];
    all.extend(statuses.map(|cells| Column {
        head: "status",
        right: false,
        leaves: Leaves::Never,
        cells: cells.to_vec(),
    }));
    all.extend(copied(columns.iter()));
    all.push(Column { head: "", right: false, leaves: Leaves::Never, cells: marks.to_vec() });
    let widths: Vec<usize> = all.iter().map(wide).collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let cells = all.iter().zip(&widths).map(|(column, width)| placed(&cell(column), column, *width));
        format!("{}\n", cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end())
    };
    let mut text = line(&|column| column.head.to_owned());
    for row in 0..labels.len() {
        text.push_str(&line(&|column| column.cells[row].clone()));
    }
    text
}

/// Rows without a status: the words of what failed stand in place of the figures.
fn narrow(labels: &[String], lanes: &[&Lane], statuses: &[String], columns: &[Column], marks: &[String]) -> String {
    let answered = |row: usize| lanes[row].answers().next().is_some();
    let rows: Vec<usize> = (0..labels.len()).filter(|row| answered(*row)).collect();
    let figures: Vec<Column> = columns
        .iter()
        .map(|column| Column { cells: rows.iter().map(|row| column.cells[*row].clone()).collect(), ..*column })
        .collect();
    let label = labels.iter().map(|label| lay::columns(label)).max().unwrap_or(0);
    let named = |row: usize| lay::filled(&labels[row], label);
    let picked = |of: &dyn Fn(usize) -> String| -> Vec<String> { rows.iter().map(|row| of(*row)).collect() };
    // A partly failed model says so where its marks would be.
    let last = |row: usize| if lanes[row].whole() { marks[row].clone() } else { statuses[row].clone() };
    let mut lines = beside(&picked(&named), None, &figures, &picked(&last));
    if rows.is_empty() {
        lines.clear();
    }
    let mut shown = lines.lines();
    let mut text = shown.next().map(|head| format!("{head}\n")).unwrap_or_default();
    for (row, status) in statuses.iter().enumerate() {
        if answered(row) {
            text.push_str(shown.next().unwrap_or_default());
        } else {
            let amount = columns.iter().filter(|column| column.head == "cost").map(|column| &column.cells[row]);
            let spent: String = amount.filter(|cell| *cell != tell::NONE).map(|cell| format!(", {cell}")).collect();
            text.push_str(&format!("{}{}{}{spent}", named(row), " ".repeat(GAP), status));
        }
        text.push('\n');
    }
    text
}

/// Rows one below the other: the label, then each figure with its name.
fn below(
    labels: &[String],
    statuses: &[String],
    columns: &[&Column],
    marks: &[String],
    width: Option<usize>,
) -> String {
    let mut text = String::new();
    for (row, label) in labels.iter().enumerate() {
        for line in lay::folded(label, width) {
            text.push_str(&format!("{line}\n"));
        }
        let mut items = vec![statuses[row].clone()];
        let told = columns.iter().filter(|column| column.cells[row] != tell::NONE);
        items.extend(told.map(|column| format!("{} {}", column.head, column.cells[row])));
        items.push(marks[row].clone());
        items.retain(|item| !item.is_empty());
        text.push_str(&packed(&items, width.unwrap_or(usize::MAX)));
    }
    text
}

/// Items two spaces apart, as many on a line as have room; one that is wider than a line breaks at its spaces only.
pub(super) fn packed(items: &[String], width: usize) -> String {
    let words = items.iter().flat_map(|item| {
        if lay::columns(item) + GAP > width { item.split(' ').map(str::to_owned).collect() } else { vec![item.clone()] }
    });
    let mut text = String::new();
    let mut used = 0;
    for item in words {
        let wide = lay::columns(&item) + GAP;
        if used > 0 && used + wide > width {
            text.push('\n');
            used = 0;
        }
        // What has no room indented stands at the edge.
        let indent = if wide > width { "" } else { "  " };
        text.push_str(&format!("{indent}{item}"));
        used += wide;
    }
    text.push('\n');
    text
}

fn wide(column: &Column) -> usize {
    let cells = column.cells.iter().map(|cell| lay::columns(cell)).max().unwrap_or(0);
    cells.max(lay::columns(column.head))
}

fn placed(cell: &str, column: &Column, width: usize) -> String {
    if column.right { lay::to_the_right(cell, width) } else { lay::filled(cell, width) }
}

/// What failed and what to do, each once per model.
pub(super) fn failures(comparison: &Comparison) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for lane in &comparison.lanes {
        let unbooked = lane.runs.iter().filter_map(Run::report).filter_map(|report| report.unbooked.as_ref());
        let failures: Vec<&Failure> = lane.runs.iter().filter_map(Run::failure).chain(unbooked).collect();
        for line in failures.iter().map(|failure| tell::failure(&lane.label, failure)) {
            if !said.contains(&line) {
                said.push(line);
            }
        }
    }
    said
}

pub(super) fn failed_checks(comparison: &Comparison) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for lane in &comparison.lanes {
        for run in &lane.runs {
            let case = run.case.map(|case| format!(" (prompt {})", case + 1)).unwrap_or_default();
            for check in run.checks.iter().filter(|check| !check.passed) {
                let line = format!("{}{case}: not {}: {}", lane.label, check.what, check.because);
                if !said.contains(&one_line(&line)) {
                    said.push(one_line(&line));
                }
            }
        }
    }
    said
}

fn few_runs(comparison: &Comparison) -> Vec<String> {
    let least = comparison.lanes.iter().map(|lane| lane.answers().count()).filter(|count| *count > 0).min();
    match least {
        Some(count) if comparison.repeated() && count < RUNS_TO_TELL => {
            vec![format!("Medians of few runs ({count}): from {RUNS_TO_TELL} on, p10–p90 and a fastest can be told.")]
        }
        Some(_) if comparison.repeated() => vec!["Times and amounts are medians of the answers.".to_owned()],
        _ => Vec::new(),
    }
}

fn judgement(comparison: &Comparison, width: Option<usize>) -> Vec<String> {
    let Some(judged) = &comparison.judged else { return Vec::new() };
    let mut ranked: Vec<usize> = (0..comparison.lanes.len().min(judged.scores.len())).collect();
    ranked.sort_by_key(|at| std::cmp::Reverse(judged.scores[*at].halves()));
    let lanes: Vec<&Lane> = ranked.iter().map(|at| &comparison.lanes[*at]).collect();
    let labels: Vec<String> = lanes.iter().map(|lane| one_line(&lane.label)).collect();
    let column = |head, of: fn(&Score) -> u32| Column {
        head,
        right: true,
        leaves: Leaves::Never,
        cells: ranked.iter().map(|at| of(&judged.scores[*at]).to_string()).collect(),
    };
    let columns = [column("wins", |s| s.wins), column("ties", |s| s.ties), column("losses", |s| s.losses)];
    let none = vec![String::new(); labels.len()];
    let beside = beside(&labels, None, &columns, &none);
    let fits = width.is_none_or(|width| beside.lines().all(|line| lay::columns(line) <= width));
    let scores = if fits { beside } else { below(&labels, &none, &columns.iter().collect::<Vec<_>>(), &none, width) };
    let mut said = vec![
        one_line(&format!("Judged by {} without names, each pair in both orders: {}", judged.model, judged.criteria)),
        scores.trim_end_matches('\n').to_owned(),
    ];
    said.extend(judged.notes.iter().map(|note| one_line(note)));
    said.push(tell::judging(judged.cost));
    said
}
