//! One short line for a prompt or a status bar, made from a format with placeholders in braces.

use crate::domain::budget::Standing;
use crate::domain::spend::Tally;
use crate::render::face::{Face, RESET, change};

use super::rounded::{at_least, usd};

/// What a line says where no format is given; the second where no budget is in force.
pub const DEFAULT: &str = "{today} today · {month} month · {budget} {budget_percent}";
pub const DEFAULT_WITHOUT: &str = "{today} today · {month} month";

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Today,
    Yesterday,
    Week,
    Month,
    Pace,
    Project,
    Session,
    Calls,
    Failed,
    Unpriced,
    Budget,
    BudgetLeft,
    BudgetPercent,
    LastCost,
    LastModel,
}

const FIELDS: [(&str, Field); 15] = [
    ("today", Field::Today),
    ("yesterday", Field::Yesterday),
    ("week", Field::Week),
    ("month", Field::Month),
    ("pace", Field::Pace),
    ("project", Field::Project),
    ("session", Field::Session),
    ("calls", Field::Calls),
    ("failed", Field::Failed),
    ("unpriced", Field::Unpriced),
    ("budget", Field::Budget),
    ("budget_left", Field::BudgetLeft),
    ("budget_percent", Field::BudgetPercent),
    ("last_cost", Field::LastCost),
    ("last_model", Field::LastModel),
];

/// A format that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `of`: the budget that is meant (`{budget_left:eng-a}`).
    Field {
        field: Field,
        of: Option<String>,
    },
}

/// Why a text is no format, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    pub advice: String,
}

impl Format {
    /// Reads a format: `{name}` is a placeholder, `{{` and `}}` are braces.
    ///
    /// # Errors
    /// [`Wrong`] for a placeholder that does not exist, or a brace without its other.
    pub fn parse(text: &str) -> Result<Format, Wrong> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(character) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                plain.push(character);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or_else(|| Wrong {
                    message: format!("a brace is opened and not closed in {text:?}"),
                    advice: "write {today}, and {{ for a brace".to_owned(),
                })?;
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(field(name)?);
                rest = after;
            } else {
                plain.push(character);
                rest = rest.get(character.len_utf8()..).unwrap_or_default();
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Format { pieces })
    }

    /// Whether one of these is in it.
    #[must_use]
    pub fn asks(&self, wanted: &[Field]) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Field { field, .. } if wanted.contains(field)))
    }

    /// The names of the budgets that it asks for.
    pub fn budgets(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field { of, .. } => of.as_deref(),
            Piece::Text(_) => None,
        })
    }
}

fn field(name: &str) -> Result<Piece, Wrong> {
    let (bare, of) = match name.split_once(':') {
        Some((bare, of)) => (bare, Some(of.to_owned())),
        None => (name, None),
    };
    let found = FIELDS.iter().find(|(known, _)| *known == bare).map(|(_, field)| *field);
    let of_budget = matches!(found, Some(Field::Budget | Field::BudgetLeft | Field::BudgetPercent));
    match found {
        Some(field) if of.is_none() || of_budget => Ok(Piece::Field { field, of }),
        Some(_) => Err(Wrong {
            message: format!("{{{name}}}: only a placeholder of a budget takes a name"),
            advice: format!("write {{{bare}}}, or {{budget_percent:NAME}}"),
        }),
        None => {
            let nearest = FIELDS.iter().min_by_key(|(known, _)| strsim::damerau_levenshtein(known, bare));
            let nearest =
                nearest.filter(|(known, _)| strsim::damerau_levenshtein(known, bare) <= known.len().div_ceil(3));
            let all = || FIELDS.map(|(known, _)| format!("{{{known}}}")).join(" ");
            Err(Wrong {
                message: format!("{{{name}}} is no placeholder"),
                advice: nearest.map_or_else(|| format!("there are {}", all()), |(known, _)| format!("{{{known}}}")),
            })
        }
    }
}

/// What the placeholders stand for. What was not asked for stays empty.
#[derive(Debug, Clone, Default)]
pub struct Values {
    pub today: Tally,
    pub yesterday: Tally,
    pub week: Tally,
    pub month: Tally,
    /// What the month will have cost at this pace, in picodollars.
    pub pace: Option<i128>,
    /// Of this month; `None`: there is none.
    pub project: Option<Tally>,
    pub session: Option<Tally>,
    /// The one of which most is used first.
    pub budgets: Vec<Standing>,
    pub last: Option<Last>,
}

/// The call that was opened last.
#[derive(Debug, Clone)]
pub struct Last {
    pub model: String,
    pub settled: bool,
    /// Picodollars; `None`: unpriced.
    pub cost: Option<i64>,
}

/// The line, without its end. A value that does not exist is `–`; a sum from which calls are missing ends in `+`. `colour`: a
/// budget at which a warning is due is yellow, one that is used up is red.
#[must_use]
pub fn line(format: &Format, values: &Values, colour: bool) -> String {
    let mut text = String::new();
    for piece in &format.pieces {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            Piece::Field { field, of } => {
                let budget = values
                    .budgets
                    .iter()
                    .find(|standing| of.as_ref().is_none_or(|wanted| standing.budget.name == *wanted));
                let of_budget = matches!(field, Field::Budget | Field::BudgetLeft | Field::BudgetPercent);
                let face = budget.filter(|_| colour && of_budget).map_or(Face::PLAIN, face);
                change(Face::PLAIN, face, &mut text);
                text.push_str(&value(*field, values, budget));
                text.push_str(if face == Face::PLAIN { "" } else { RESET });
            }
        }
    }
    text
}

fn value(field: Field, values: &Values, budget: Option<&Standing>) -> String {
    let sum = |tally: &Tally| at_least(tally.picos, tally.unpriced);
    let none = || "–".to_owned();
    match field {
        Field::Today => sum(&values.today),
        Field::Yesterday => sum(&values.yesterday),
        Field::Week => sum(&values.week),
        Field::Month => sum(&values.month),
        Field::Pace => values.pace.map_or_else(none, |pace| at_least(pace, values.month.unpriced)),
        Field::Project => values.project.as_ref().map_or_else(none, sum),
        Field::Session => values.session.as_ref().map_or_else(none, sum),
        Field::Calls => values.today.calls.to_string(),
        Field::Failed => values.today.failed.to_string(),
        Field::Unpriced => values.today.unpriced.to_string(),
        Field::Budget => budget.map_or_else(none, |standing| plain(&standing.budget.name)),
        Field::BudgetLeft => budget.map_or_else(none, |standing| usd(standing.free().picos.into())),
        Field::BudgetPercent => budget.and_then(Standing::percent).map_or_else(none, |percent| format!("{percent}%")),
        Field::LastCost => values.last.as_ref().map_or_else(none, |last| match (last.settled, last.cost) {
            (false, _) => "open".to_owned(),
            (true, None) => "unpriced".to_owned(),
            (true, Some(picos)) => usd(picos.into()),
        }),
        Field::LastModel => values.last.as_ref().map_or_else(none, |last| plain(&last.model)),
    }
}

fn face(standing: &Standing) -> Face {
    let warns =
        standing.budget.warn.iter().any(|percent| standing.percent().is_some_and(|used| used >= (*percent).into()));
    match (standing.free().picos, warns) {
        (0, _) => Face::REMOVED,
        (_, true) => Face::NUMBER,
        (_, false) => Face::PLAIN,
    }
}

/// A name with nothing in it that a shell's prompt or a status bar would carry out.
fn plain(name: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_./:@+ ".contains(character);
    name.chars().map(|character| if is_plain(character) { character } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT, DEFAULT_WITHOUT, Field, Format, Last, Values, line};
    use crate::domain::money::Usd;
    use crate::domain::refusal::tests::standing;
    use crate::domain::spend::Tally;

    fn values() -> Values {
        Values {
            today: Tally { picos: 3_210_000_000_000, calls: 12, failed: 1, ..Tally::default() },
            month: Tally { picos: 90_880_000_000_000, unpriced: 4, ..Tally::default() },
            pace: Some(123_930_000_000_000),
            budgets: vec![standing()],
            last: Some(Last { model: "openai/gpt-x".into(), settled: true, cost: Some(4_200_000_000) }),
            ..Values::default()
        }
    }

    #[track_caller]
    fn shows(format: &str, text: &str) {
        assert_eq!(line(&Format::parse(format).expect(format), &values(), false), text);
    }

    #[test]
    fn a_line_is_its_format_with_the_values_in_it() {
        shows(DEFAULT, "$3.21 today · $90.88+ month · eng-a 99%");
        shows(DEFAULT_WITHOUT, "$3.21 today · $90.88+ month");
        shows("{calls}/{failed}/{unpriced} {{{yesterday}}} →{pace}", "12/1/0 {$0} →$123.93+");
        shows("{last_cost} {last_model} {project} {session}", "$0.0042 openai/gpt-x – –");
        shows("{budget_left} {budget_left:eng-a} {budget:none}", "$0.17 $0.17 –");
        shows("", "");
    }

    #[test]
    fn a_placeholder_that_does_not_exist_says_which_is_meant() {
        let wrong = |text: &str| Format::parse(text).expect_err(text);
        assert_eq!(wrong("{tody}").advice, "{today}");
        assert_eq!(wrong("{budgetleft}").advice, "{budget_left}");
        assert!(wrong("{xyzzy}").advice.contains("{last_model}"));
        assert!(wrong("a {today").message.contains("not closed"));
        assert!(wrong("{today:eng-a}").advice.contains("{today}"));
        assert!(wrong("{}").message.contains("no placeholder"));
    }

    #[test]
    fn only_what_is_asked_for_has_to_be_found_out() {
        let format = Format::parse("{today} {budget:a} {budget_left:b}").expect("a format");
        assert!(format.asks(&[Field::Today]) && !format.asks(&[Field::Month, Field::LastCost]));
        assert_eq!(format.budgets().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_budget_is_coloured_only_where_colour_is_asked_for() {
        let format = Format::parse("{today} {budget}").expect("a format");
        assert_eq!(line(&format, &values(), true), "$3.21 \u{1b}[33meng-a\u{1b}[0m");
        let mut over = values();
        over.budgets[0].spent = Usd::parse("60").expect("an amount");
        assert_eq!(line(&format, &over, true), "$3.21 \u{1b}[91meng-a\u{1b}[0m");
    }

    #[test]
    fn a_name_is_nothing_that_a_prompt_carries_out() {
        let mut hostile = values();
        hostile.last = Some(Last { model: "x/$(rm -r ~)`id`#[bg=red]%{\u{1b}[2J".into(), settled: false, cost: None });
        let shown = line(&Format::parse("{last_model} {last_cost}").expect("a format"), &hostile, true);
        assert_eq!(shown, "x/??rm -r ???id???bg?red?????2J open");
    }
}
