//! The list of providers as a table.

use unicode_width::UnicodeWidthStr as _;

/// One provider, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub id: String,
    pub name: String,
    pub api: Vec<&'static str>,
    /// Where a credential was found.
    pub credential: Option<String>,
    /// The variable that would hold one.
    pub wants: Option<String>,
    pub docs: Option<String>,
}

/// Columns at their natural width: id, name, dialects, credential.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let rows: Vec<[String; 4]> = std::iter::once(["provider", "name", "speaks", "credential"].map(str::to_owned))
        .chain(lines.iter().map(|line| {
            let credential = match (&line.credential, &line.wants) {
                (Some(found), _) => format!("found: {found}"),
                (None, Some(wanted)) => format!("none: {wanted}"),
                (None, None) => "not needed".into(),
            };
            [line.id.clone(), line.name.clone(), line.api.join(" "), credential]
        }))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 2 - cell.width()));
        }
        text.push_str(&row[3]);
        text.push('\n');
    }
    text
}
