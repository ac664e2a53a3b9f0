//! A report as a Markdown page.

use super::sheet::{self, Cells, Set, Sheet};
use super::tell;
use crate::domain::spend::Dimension;
use crate::domain::spend::report::Report;

/// The page: a heading, the groups, the models, what must be known beside the sums.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut parts = tell::head(report).into_iter().map(|part| plain(&part));
    let mut text = format!("# {}\n\n", parts.next().unwrap_or_default());
    text.extend(parts.map(|part| format!("- {part}\n")));
    if report.is_empty() {
        text.push('\n');
        text.extend(tell::nothing(report).iter().map(|line| format!("{}\n", plain(line))));
    } else {
        text.push_str(&format!("\n{}", table(&sheet::groups(report, Set::Full))));
        if report.by.first() != Some(&Dimension::Model) && !report.models.is_empty() {
            text.push_str(&format!("\n{}", table(&sheet::models(report, Set::Full))));
        }
    }
    text.push('\n');
    for said in tell::below(report) {
        text.extend(said.items.iter().map(|item| format!("- {}\n", plain(item))));
    }
    text
}

fn table(sheet: &Sheet) -> String {
    // A bar says nothing that the figures do not, and a screen reader would spell it.
    let columns: Vec<_> = sheet.columns.iter().filter(|column| !matches!(column.cells, Cells::Bars(_))).collect();
    let mut text = line(std::iter::once(plain(&sheet.head)).chain(columns.iter().map(|column| plain(column.head))));
    let rule = columns.iter().map(|column| if matches!(column.cells, Cells::Figures(_)) { "--:" } else { "---" });
    text.push_str(&line(std::iter::once("---").chain(rule).map(str::to_owned)));
    for (at, label) in sheet.labels.iter().enumerate() {
        let bold = sheet.summed && at + 1 == sheet.labels.len();
        let dress = |text: String| if bold && !text.is_empty() { format!("**{text}**") } else { text };
        let name = format!("{}{}", "&nbsp;".repeat(label.indent), plain(&label.text));
        let cells = columns.iter().map(|column| match &column.cells {
            Cells::Figures(cells) => dress(plain(cells[at].trim())),
            Cells::Words(cells) => plain(&cells[at]),
            Cells::Names(lists) => plain(&lists[at].join(", ")),
            Cells::Bars(_) => String::new(),
        });
        text.push_str(&line(std::iter::once(dress(name)).chain(cells)));
    }
    text
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// A text in which nothing means anything to Markdown or HTML.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for character in crate::domain::untrusted::one_line(text).chars() {
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
