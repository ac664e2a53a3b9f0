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

/// A row for each. `width`: columns of the screen; where all do not fit, what a provider speaks is left out, then its name.
#[must_use]
pub fn table(lines: &[Line], width: Option<usize>) -> String {
    let head = ["provider", "name", "speaks", "credential"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(lines.iter().map(cells)).collect();
    let widths: [usize; 4] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or(0));
    let fits = |columns: &[usize]| {
        let natural: usize = columns.iter().map(|&column| widths[column] + 2).sum();
        width.is_none_or(|width| natural <= width + 2)
    };
    let choices: [&[usize]; 3] = [&[0, 1, 2, 3], &[0, 1, 3], &[0, 3]];
    let columns = choices.into_iter().find(|columns| fits(columns)).unwrap_or(choices[2]);
    let mut text = String::new();
    for row in &rows {
        let (last, others) = columns.split_last().unwrap_or((&3, &[]));
        for &column in others {
            text.push_str(&row[column]);
            text.extend(std::iter::repeat_n(' ', widths[column] + 2 - row[column].width()));
        }
        text.push_str(&row[*last]);
        text.push('\n');
    }
    text
}

fn cells(line: &Line) -> [String; 4] {
    let credential = match (&line.credential, &line.wants) {
        (Some(found), _) => format!("found: {found}"),
        (None, Some(wanted)) => format!("none: {wanted}"),
        (None, None) => "not needed".into(),
    };
    [line.id.clone(), line.name.clone(), line.api.join(" "), credential]
}

/// What a person wants to know below so long a list.
#[must_use]
pub fn summary(lines: &[Line]) -> String {
    let wants = lines.iter().filter(|line| line.credential.is_some() || line.wants.is_some()).count();
    let here: Vec<&str> = lines.iter().filter(|line| line.credential.is_some()).map(|line| line.id.as_str()).collect();
    match here.as_slice() {
        [] => format!(
            "\nnone of {wants} has a credential here; set the variable of one that you use. sim/echo needs none\n"
        ),
        here => format!("\n{} of {wants} have a credential here: {}\n", here.len(), here.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, summary, table};

    fn line(id: &str, credential: Option<&str>) -> Line {
        let (credential, wants) = (credential.map(str::to_owned), Some("ACME_KEY".to_owned()));
        Line { id: id.into(), name: "Acme".into(), api: vec!["chat"], credential, wants, docs: None }
    }

    #[test]
    fn a_narrow_screen_keeps_the_names_and_the_credentials() {
        let lines = [line("acme", None), line("emca", Some("EMCA_KEY"))];
        let first = |width| table(&lines, width).lines().take(2).map(str::to_owned).collect::<Vec<_>>();
        let whole = ["provider  name  speaks  credential", "acme      Acme  chat    none: ACME_KEY"];
        assert_eq!(first(None), whole);
        // 8 + 2 + 4 + 2 + 6 + 2 + 15 columns.
        assert_eq!(first(Some(39)), whole);
        assert_eq!(first(Some(38)), ["provider  name  credential", "acme      Acme  none: ACME_KEY"]);
        for narrow in [30, 5] {
            assert_eq!(first(Some(narrow)), ["provider  credential", "acme      none: ACME_KEY"]);
        }
    }

    #[test]
    fn below_the_list_stands_what_is_here() {
        let lines = [line("acme", None), line("emca", Some("EMCA_KEY"))];
        assert_eq!(summary(&lines), "\n1 of 2 have a credential here: emca\n");
        assert!(summary(&lines[..1]).starts_with("\nnone of 1 has a credential here"));
    }
}
