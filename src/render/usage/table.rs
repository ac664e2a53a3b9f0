//! A report as a table that fits its screen: what has no room leaves in a fixed order, and no figure is ever cut.

use unicode_segmentation::UnicodeSegmentation as _;

use super::sheet::{self, Cells, Column, Leaves, Set, Sheet};
use super::{View, tell};
use crate::domain::spend::Dimension;
use crate::domain::spend::report::Report;
use crate::render::compare::lay::{columns, filled, folded, painted, to_the_right};
use crate::render::face::Face;

/// Bars are as long as this, where there is room.
const BAR: usize = 30;
const BAR_NARROW: usize = 24;
/// A shorter bar tells nothing.
const BAR_MIN: usize = 8;
/// A list of names that has less room tells nothing.
const NAMES_MIN: usize = 20;
/// Names are shortened to this before a column leaves, and to the second before the rows are taken apart.
const LABEL: usize = 28;
const LABEL_MIN: usize = 12;

/// The whole report: its head, the groups, the models, what must be known beside the sums.
#[must_use]
pub fn page(report: &Report, view: &View) -> String {
    let width = view.screen.width;
    let mut text = packed(&tell::head(report), "   ", width);
    text.push('\n');
    if report.is_empty() && report.rows.iter().all(|row| row.before.is_none_or(|before| before == 0)) {
        let lines = tell::nothing(report);
        text.extend(lines.iter().flat_map(|line| folded(line, width)).map(|line| format!("{line}\n")));
    } else {
        text.push_str(&laid(|set| sheet::groups(report, set), view));
        if report.by.first() != Some(&Dimension::Model) && !report.models.is_empty() {
            text.push('\n');
            text.push_str(&laid(|set| sheet::models(report, set), view));
        }
    }
    text.push('\n');
    for said in tell::below(report) {
        let line = packed(&said.items, said.between, width);
        let face = if said.breached { Face::REMOVED } else { Face::PLAIN };
        text.extend(line.lines().map(|line| format!("{}\n", coloured(line, face, view))));
    }
    text
}

fn coloured(text: &str, face: Face, view: &View) -> String {
    if face == Face::PLAIN { text.to_owned() } else { painted(text, face, view.screen.colour) }
}

/// Items on as few lines as they fit on.
fn packed(items: &[String], between: &str, width: Option<usize>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if width.is_none_or(|width| columns(line) + columns(between) + columns(item) <= width) => {
                line.push_str(between);
                line.push_str(item);
            }
            _ => lines.push(item.clone()),
        }
    }
    lines.iter().flat_map(|line| folded(line, width)).map(|line| format!("{line}\n")).collect()
}

/// The most telling form of a sheet that fits.
fn laid(of: impl Fn(Set) -> Sheet, view: &View) -> String {
    let Some(width) = view.screen.width else {
        return beside(&of(Set::Full), view, usize::MAX, Leaves::AtOnce);
    };
    for set in Set::for_width(Some(width)) {
        let sheet = of(*set);
        for least in [Leaves::AtOnce, Leaves::Second, Leaves::Third] {
            if room(&sheet, usize::MAX, least) <= width {
                return beside(&sheet, view, usize::MAX, least);
            }
        }
    }
    let sheet = of(Set::Narrow);
    for label in [LABEL, LABEL_MIN] {
        for least in EVERY {
            if room(&sheet, label, least) <= width {
                return beside(&sheet, view, label, least);
            }
        }
    }
    apart(&sheet, width)
}

/// Whether a column is there at all, beside those that take what room is left.
fn stays(column: &Column, least: Leaves) -> bool {
    column.leaves >= least.max(Leaves::First)
}

/// From every column to the few that never leave.
const EVERY: [Leaves; 7] =
    [Leaves::AtOnce, Leaves::Second, Leaves::Third, Leaves::Fourth, Leaves::Fifth, Leaves::Sixth, Leaves::Never];

/// Columns of the screen that the names and every column need that does not leave before `least`.
fn room(sheet: &Sheet, label: usize, least: Leaves) -> usize {
    let fixed = sheet.columns.iter().filter(|column| stays(column, least)).map(wide);
    names(sheet, label) + fixed.sum::<usize>()
}

/// How wide the names are where none is wider than `most`.
fn names(sheet: &Sheet, most: usize) -> usize {
    let labels = sheet.labels.iter().map(|label| label.indent + columns(&label.text));
    labels.chain([columns(&sheet.head)]).max().unwrap_or(0).min(most)
}

/// A column with the space before it.
fn wide(column: &Column) -> usize {
    let widest = |cells: &[String]| cells.iter().map(|cell| columns(cell)).max().unwrap_or(0);
    match &column.cells {
        Cells::Figures(cells) => column.room.max(widest(cells) + 2).max(columns(column.head) + 1),
        Cells::Words(cells) => column.room + widest(cells).max(columns(column.head)),
        Cells::Bars(_) | Cells::Names(_) => 0,
    }
}

/// Every row on a line.
fn beside(sheet: &Sheet, view: &View, label: usize, least: Leaves) -> String {
    let label = names(sheet, label);
    let mut left = view.screen.width.map(|width| width.saturating_sub(room(sheet, label, least)));
    let drawn = view.screen.terminal || view.drawn;
    let mut kept: Vec<(&Column, usize)> = Vec::new();
    for column in &sheet.columns {
        let taken = match &column.cells {
            Cells::Figures(_) | Cells::Words(_) if stays(column, least) => wide(column),
            Cells::Figures(_) | Cells::Words(_) => continue,
            Cells::Bars(amounts) => {
                let most = if view.screen.width.is_some_and(|width| width < 120) { BAR_NARROW } else { BAR };
                let bar = most.min(left.unwrap_or(usize::MAX).saturating_sub(column.room));
                if !drawn || bar < BAR_MIN || amounts.iter().all(|amount| *amount <= 0) {
                    continue;
                }
                left = left.map(|left| left.saturating_sub(column.room + bar));
                column.room + bar
            }
            Cells::Names(lists) => {
                let natural = lists.iter().map(|names| columns(&names.join(", "))).max().unwrap_or(0);
                let names = natural.min(left.unwrap_or(usize::MAX).saturating_sub(column.room));
                if names < NAMES_MIN.min(natural) || names == 0 {
                    continue;
                }
                left = left.map(|left| left.saturating_sub(column.room + names));
                column.room + names
            }
        };
        kept.push((column, taken));
    }
    let whole = view.screen.width.unwrap_or_else(|| label + kept.iter().map(|(_, width)| width).sum::<usize>());
    let mut text = String::new();
    let mut put = |line: &str| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    let mut head = filled(&sheet.head, label);
    for (column, width) in &kept {
        head.push_str(&match &column.cells {
            Cells::Figures(_) => to_the_right(column.head, *width),
            _ => filled(&format!("{}{}", " ".repeat(column.room), column.head), *width),
        });
    }
    put(&head);
    for (at, name) in sheet.labels.iter().enumerate() {
        if sheet.summed && at + 1 == sheet.labels.len() && drawn {
            put(&"─".repeat(whole));
        }
        let name = format!("{}{}", " ".repeat(name.indent), name.text);
        let mut line = filled(&shortened(&name, label), label);
        for (column, width) in &kept {
            line.push_str(&cell(column, at, *width, view));
        }
        put(&line);
    }
    text
}

fn cell(column: &Column, at: usize, width: usize, view: &View) -> String {
    let gap = " ".repeat(column.room);
    let inner = width.saturating_sub(column.room);
    match &column.cells {
        Cells::Figures(cells) => to_the_right(&cells[at], width),
        Cells::Words(cells) => filled(&format!("{gap}{}", cells[at]), width),
        Cells::Bars(amounts) => {
            let most = amounts.iter().copied().max().unwrap_or_default();
            let bar = bar(amounts[at], most, inner);
            let after = " ".repeat(inner.saturating_sub(columns(&bar)));
            let bar = if bar.is_empty() { bar } else { painted(&bar, Face::CODE, view.screen.colour) };
            format!("{gap}{bar}{after}")
        }
        Cells::Names(lists) => filled(&format!("{gap}{}", fitted(&lists[at], inner)), width),
    }
}

/// A bar of at most `width`, in eighths of a block; any amount at all is seen.
fn bar(amount: i128, most: i128, width: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = i128::try_from(width * 8).ok().and_then(|whole| amount.checked_mul(whole)?.checked_div(most));
    let Some(eighths) = eighths.and_then(|eighths| usize::try_from(eighths).ok()).filter(|_| amount > 0) else {
        return String::new();
    };
    let eighths = eighths.max(1);
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

/// As many names as have room, and how many more there are.
fn fitted(names: &[String], width: usize) -> String {
    let all = names.join(", ");
    if columns(&all) <= width {
        return all;
    }
    let some = (0..names.len()).rev().map(|kept| {
        let more = format!("+{}", names.len() - kept);
        let kept = names.get(..kept).unwrap_or_default().iter().cloned().chain([more]);
        kept.collect::<Vec<_>>().join(", ")
    });
    some.into_iter().find(|text| columns(text) <= width).unwrap_or_default()
}

/// A name without its middle where it is too wide: what tells names apart stands at their ends.
fn shortened(name: &str, width: usize) -> String {
    if columns(name) <= width {
        return name.to_owned();
    }
    let room = width.saturating_sub(1);
    let take = |clusters: &mut dyn Iterator<Item = &str>, room: usize| {
        let mut used = 0;
        let mut taken = Vec::new();
        for cluster in clusters {
            used += columns(cluster);
            if used > room {
                break;
            }
            taken.push(cluster.to_owned());
        }
        taken
    };
    let before = take(&mut name.graphemes(true), room - room / 2);
    let mut after = take(&mut name.graphemes(true).rev(), room / 2);
    after.reverse();
    format!("{}…{}", before.concat(), after.concat())
}

/// Every figure on a line, for a screen that is too narrow for rows.
fn apart(sheet: &Sheet, width: usize) -> String {
    let mut text = String::new();
    let figures: Vec<(&str, &Vec<String>)> = sheet
        .columns
        .iter()
        .filter_map(|column| match &column.cells {
            Cells::Figures(cells) => Some((column.head, cells)),
            _ => None,
        })
        .collect();
    for (at, label) in sheet.labels.iter().enumerate() {
        let name = format!("{}{}", " ".repeat(label.indent), label.text);
        text.extend(folded(&name, Some(width)).iter().map(|line| format!("{line}\n")));
        let told: Vec<(&str, &str)> = figures
            .iter()
            .map(|(head, cells)| (*head, cells[at].trim_end()))
            .filter(|(_, cell)| !cell.is_empty() && *cell != tell::NONE)
            .collect();
        let heads = told.iter().map(|(head, _)| columns(head)).max().unwrap_or(0);
        let cells = told.iter().map(|(_, cell)| columns(cell)).max().unwrap_or(0);
        text.extend(
            told.iter().map(|(head, cell)| format!("  {} {}\n", filled(head, heads), to_the_right(cell, cells))),
        );
        if told.is_empty() {
            text.push_str(&format!("  {}\n", tell::NONE));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{bar, fitted, shortened};

    #[test]
    fn a_bar_is_as_long_as_its_amount_and_never_nothing() {
        assert_eq!(bar(1957, 1957, 24), "█".repeat(24));
        assert_eq!(bar(1936, 1957, 24), format!("{}▋", "█".repeat(23)));
        assert_eq!(bar(1, 1_000_000, 24), "▏");
        assert_eq!(bar(0, 1957, 24), "");
    }

    #[test]
    fn a_name_keeps_its_ends() {
        assert_eq!(shortened("anthropic/claude-sonnet-4-5", 13), "anthro…et-4-5");
        assert_eq!(shortened("日本語テキスト", 7), "日…ト");
        assert_eq!(shortened("short", 12), "short");
    }

    #[test]
    fn names_that_have_no_room_are_counted() {
        let names = ["one", "two", "three"].map(str::to_owned);
        assert_eq!(fitted(&names, 15), "one, two, three");
        assert_eq!(fitted(&names, 14), "one, two, +1");
        assert_eq!(fitted(&names, 3), "+3");
    }
}
