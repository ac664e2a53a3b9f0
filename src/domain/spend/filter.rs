//! The filter of reports: `model~sonnet project=pay,web cost>0.1` becomes typed clauses, all of which must hold.
//!
//! A clause is a field, a sign and a value. `=` and `!=` compare whole texts, `~` and `!~` look for a part (upper and lower
//! case are the same in ASCII); several values between commas mean any of them. Numbers take `<`, `<=`, `>` and `>=` too. A
//! value with a blank, a comma or a quote stands in quotes, `"…"` or `'…'`; `""` is the calls that have none.

use crate::domain::money::Usd;
use crate::domain::spend::Dimension;

/// Clauses that must all hold; none: every call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub clauses: Vec<Clause>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// The text of the field is (or has) one of the values; `not` turns it around.
    Text { field: TextField, part: bool, not: bool, values: Vec<String> },
    /// The number of the field compares so. A call where it is unknown fits no comparison.
    Number { field: NumberField, sign: Sign, value: i64 },
}

/// What a clause may ask of a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextField {
    Provider,
    /// `provider/model`, or the model's id alone.
    Model,
    Region,
    Project,
    User,
    Team,
    Tag(String),
    Session,
    Command,
    Credential,
    Status,
    Source,
    /// How the amount came about: `table`, `reported`, `estimated`, `unpriced`, …
    Basis,
    Route,
    /// Our id of the call, and that of its group.
    Id,
    Group,
}

impl TextField {
    /// The dimension that groups by the same text.
    #[must_use]
    pub fn dimension(&self) -> Option<Dimension> {
        Some(match self {
            TextField::Provider => Dimension::Provider,
            TextField::Model => Dimension::Model,
            TextField::Region => Dimension::Region,
            TextField::Project => Dimension::Project,
            TextField::User => Dimension::User,
            TextField::Team => Dimension::Team,
            TextField::Tag(key) => Dimension::Tag(key.clone()),
            TextField::Session => Dimension::Session,
            TextField::Command => Dimension::Command,
            TextField::Credential => Dimension::Credential,
            TextField::Status => Dimension::Status,
            TextField::Source => Dimension::Source,
            TextField::Basis | TextField::Route | TextField::Id | TextField::Group => return None,
        })
    }
}

/// What a clause may ask of a number, in the unit of its value in [`Clause::Number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberField {
    /// Picodollars.
    Cost,
    /// Tokens.
    Input,
    CacheRead,
    CacheWrite,
    Output,
    Reasoning,
    /// Milliseconds to the first token, and to the end.
    First,
    Total,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Less,
    AtMost,
    Equal,
    Unequal,
    AtLeast,
    More,
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Where it begins to be none, in characters from 1.
    pub at: usize,
    pub message: String,
    pub advice: String,
}

const TEXTS: [(&str, TextField); 15] = [
    ("provider", TextField::Provider),
    ("model", TextField::Model),
    ("region", TextField::Region),
    ("project", TextField::Project),
    ("user", TextField::User),
    ("team", TextField::Team),
    ("session", TextField::Session),
    ("command", TextField::Command),
    ("credential", TextField::Credential),
    ("status", TextField::Status),
    ("source", TextField::Source),
    ("basis", TextField::Basis),
    ("route", TextField::Route),
    ("id", TextField::Id),
    ("group", TextField::Group),
];

const NUMBERS: [(&str, NumberField); 8] = [
    ("cost", NumberField::Cost),
    ("input", NumberField::Input),
    ("cache_read", NumberField::CacheRead),
    ("cache_write", NumberField::CacheWrite),
    ("output", NumberField::Output),
    ("reasoning", NumberField::Reasoning),
    ("first", NumberField::First),
    ("total", NumberField::Total),
];

/// The longer signs first: `>=` begins with `>`.
const SIGNS: [&str; 8] = ["!=", "!~", ">=", "<=", "=", "~", ">", "<"];

/// The most clauses, and values of a clause.
const MANY: usize = 100;

impl Filter {
    /// The filter without its comparisons of cost, which a call without a known amount fits none of; `None`: it has none.
    #[must_use]
    pub fn without_cost(&self) -> Option<Filter> {
        let compares_cost = |clause: &&Clause| matches!(clause, Clause::Number { field: NumberField::Cost, .. });
        let clauses: Vec<Clause> = self.clauses.iter().filter(|clause| !compares_cost(clause)).cloned().collect();
        (clauses.len() < self.clauses.len()).then_some(Filter { clauses })
    }

    /// Reads a filter; an empty text lets every call through.
    ///
    /// # Errors
    /// [`Wrong`], with the place.
    pub fn parse(text: &str) -> Result<Filter, Wrong> {
        let mut reader = Reader { whole: text, rest: text };
        let mut filter = Filter::default();
        loop {
            reader.skip_blanks();
            if reader.rest.is_empty() {
                return Ok(filter);
            }
            if filter.clauses.len() == MANY {
                return Err(reader.wrong("too many clauses", format!("write at most {MANY}")));
            }
            filter.clauses.push(reader.clause()?);
        }
    }
}

impl Clause {
    /// Whether it lets through what has these texts: all those that its field may be compared by. A clause on a number lets
    /// nothing through.
    #[must_use]
    pub fn fits(&self, texts: &[&str]) -> bool {
        let Clause::Text { part, not, values, .. } = self else {
            return false;
        };
        let any = texts.iter().any(|text| match part {
            true => values.iter().any(|value| has_part(text, value)),
            false => values.iter().any(|value| value == text),
        });
        any != *not
    }
}

/// Whether a part is in a text, ASCII letters in any case.
fn has_part(text: &str, part: &str) -> bool {
    part.is_empty() || text.as_bytes().windows(part.len()).any(|bytes| bytes.eq_ignore_ascii_case(part.as_bytes()))
}

impl Sign {
    #[must_use]
    pub fn holds(self, number: i64, value: i64) -> bool {
        match self {
            Sign::Less => number < value,
            Sign::AtMost => number <= value,
            Sign::Equal => number == value,
            Sign::Unequal => number != value,
            Sign::AtLeast => number >= value,
            Sign::More => number > value,
        }
    }
}

/// Every field by its name, as help lists them.
#[must_use]
pub fn fields() -> Vec<&'static str> {
    TEXTS.iter().map(|(name, _)| *name).chain(["tag:KEY"]).chain(NUMBERS.iter().map(|(name, _)| *name)).collect()
}

/// What is read, and what is left of it.
#[derive(Clone, Copy)]
struct Reader<'a> {
    whole: &'a str,
    rest: &'a str,
}

/// What stands before a sign.
enum Field {
    Text(TextField),
    Number(NumberField),
}

impl<'a> Reader<'a> {
    fn wrong(&self, message: impl Into<String>, advice: impl Into<String>) -> Wrong {
        let before = self.whole.len() - self.rest.len();
        let at = self.whole.get(..before).unwrap_or_default().chars().count() + 1;
        Wrong { at, message: message.into(), advice: advice.into() }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// As many characters as fit, which are then behind it.
    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !fits(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn clause(&mut self) -> Result<Clause, Wrong> {
        let begin = *self;
        let field = self.field()?;
        let sign_at = *self;
        let Some(sign) = SIGNS.into_iter().find(|sign| self.rest.starts_with(sign)) else {
            let advice = "write it as FIELD=VALUE, with one of = != ~ !~ < <= > >=";
            return Err(self.wrong("a sign is missing here", advice));
        };
        self.skip(sign.len());
        match field {
            Field::Text(field) => {
                let (part, not) = match sign {
                    "=" => (false, false),
                    "!=" => (false, true),
                    "~" => (true, false),
                    "!~" => (true, true),
                    _ => {
                        let name = begin.rest.strip_suffix(sign_at.rest).unwrap_or_default();
                        return Err(sign_at.wrong(
                            format!("\"{name}\" is a text and has no {sign}"),
                            "a text takes =, != (the whole) and ~, !~ (a part)",
                        ));
                    }
                };
                Ok(Clause::Text { field, part, not, values: self.values()? })
            }
            Field::Number(field) => {
                let sign = match sign {
                    "=" => Sign::Equal,
                    "!=" => Sign::Unequal,
                    "<" => Sign::Less,
                    "<=" => Sign::AtMost,
                    ">" => Sign::More,
                    ">=" => Sign::AtLeast,
                    _ => return Err(sign_at.wrong("a number has no part", "it takes =, !=, <, <=, > and >=")),
                };
                let value_at = *self;
                let value = self.value()?;
                let value = number(field, &value)
                    .ok_or_else(|| value_at.wrong(format!("\"{value}\" is not {}", wanted(field)), example(field)))?;
                Ok(Clause::Number { field, sign, value })
            }
        }
    }

    fn field(&mut self) -> Result<Field, Wrong> {
        let begin = *self;
        let name = self.take(|character| character.is_ascii_alphanumeric() || character == '_' || character == '-');
        if name == "tag" && self.rest.starts_with(':') {
            self.skip(1);
            let key_at = *self;
            let key = match self.quoted()? {
                Some(key) => key,
                None => self.take(|character| !character.is_whitespace() && !"=!~<>\"',".contains(character)),
            };
            return match key.is_empty() {
                true => Err(key_at.wrong("the key of the tag is missing", "write tag:KEY=VALUE")),
                false => Ok(Field::Text(TextField::Tag(key_at.plain(key)?))),
            };
        }
        if let Some((_, field)) = TEXTS.iter().find(|(known, _)| *known == name) {
            return Ok(Field::Text(field.clone()));
        }
        if let Some((_, field)) = NUMBERS.iter().find(|(known, _)| *known == name) {
            return Ok(Field::Number(*field));
        }
        if name.is_empty() {
            return Err(begin.wrong("a field is missing here", format!("the fields are {}", fields().join(", "))));
        }
        if ["and", "or", "not"].contains(&name.to_ascii_lowercase().as_str()) {
            return Err(begin.wrong(
                format!("there is no {name}: every clause must hold"),
                "leave it out; project=a,b means either, project!=a none",
            ));
        }
        let nearest = fields().into_iter().min_by_key(|known| strsim::damerau_levenshtein(known, &name.to_lowercase()));
        let near =
            nearest.filter(|known| strsim::damerau_levenshtein(known, &name.to_lowercase()) <= name.len().div_ceil(3));
        let advice = match near {
            Some(known) => format!("did you mean {known}?"),
            None => format!("the fields are {}", fields().join(", ")),
        };
        Err(begin.wrong(format!("no field is called \"{name}\""), advice))
    }

    fn values(&mut self) -> Result<Vec<String>, Wrong> {
        let mut values = vec![self.value()?];
        while self.rest.starts_with(',') {
            if values.len() == MANY {
                return Err(self.wrong("too many values", format!("write at most {MANY}")));
            }
            self.skip(1);
            values.push(self.value()?);
        }
        Ok(values)
    }

    /// A word, or what stands between quotes.
    fn value(&mut self) -> Result<String, Wrong> {
        let begin = *self;
        let value = match self.quoted()? {
            Some(inner) => inner,
            None => self.take(|character| !character.is_whitespace() && !"\"',".contains(character)),
        };
        if value.is_empty() && begin.rest.len() == self.rest.len() {
            return Err(begin.wrong("a value is missing here", "write \"\" for the calls that have none"));
        }
        if !self.rest.is_empty() && !self.rest.starts_with([',']) && !self.rest.starts_with(char::is_whitespace) {
            return Err(self.wrong("a blank or a comma is missing here", "put the whole value into quotes"));
        }
        begin.plain(value)
    }

    /// What stands between quotes, where they begin here.
    fn quoted(&mut self) -> Result<Option<&'a str>, Wrong> {
        let begin = *self;
        let Some(quote) = self.rest.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else {
            return Ok(None);
        };
        self.skip(1);
        let inner = self.take(|character| character != quote);
        if self.rest.is_empty() {
            return Err(begin.wrong("this quote is not closed", format!("end the value with {quote}")));
        }
        self.skip(1);
        Ok(Some(inner))
    }

    /// A text that begins here, as the ledger may have it.
    fn plain(&self, text: &str) -> Result<String, Wrong> {
        match text.contains(char::is_control) {
            true => Err(self.wrong("a control character is in the value", "no name in the ledger has one")),
            false => Ok(text.to_owned()),
        }
    }
}

/// A value in the unit of its field.
fn number(field: NumberField, text: &str) -> Option<i64> {
    match field {
        NumberField::Cost => Usd::parse(text.strip_prefix('$').unwrap_or(text)).map(|amount| amount.picos),
        NumberField::Input
        | NumberField::CacheRead
        | NumberField::CacheWrite
        | NumberField::Output
        | NumberField::Reasoning => scaled(text, &[("k", 3), ("K", 3), ("M", 6), ("", 0)]),
        NumberField::First | NumberField::Total => scaled(text, &[("ms", 0), ("s", 3), ("", 3)]),
    }
}

/// A decimal whose unit is one of `units`: `1.5s` is 1500 where `("s", 3)` is among them. What is finer is rounded.
fn scaled(text: &str, units: &[(&str, i32)]) -> Option<i64> {
    let (digits, scale) = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale)))?;
    let plain = digits.starts_with(|first: char| first.is_ascii_digit()) && !digits.contains(['e', 'E']);
    plain.then(|| Usd::parse_scaled(digits, scale)).flatten().map(|amount| amount.picos)
}

fn wanted(field: NumberField) -> &'static str {
    match field {
        NumberField::Cost => "an amount in USD",
        NumberField::Input
        | NumberField::CacheRead
        | NumberField::CacheWrite
        | NumberField::Output
        | NumberField::Reasoning => "a number of tokens",
        NumberField::First | NumberField::Total => "a time",
    }
}

fn example(field: NumberField) -> &'static str {
    match field {
        NumberField::Cost => "write cost>0.1",
        NumberField::Input
        | NumberField::CacheRead
        | NumberField::CacheWrite
        | NumberField::Output
        | NumberField::Reasoning => "write input>1000 or input>20K",
        NumberField::First | NumberField::Total => "write first>1s or total>=500ms",
    }
}

#[cfg(test)]
mod tests {
    use super::{Clause, Filter, NumberField, Sign, TextField};

    fn text(field: TextField, part: bool, not: bool, values: &[&str]) -> Clause {
        Clause::Text { field, part, not, values: values.iter().map(|value| (*value).to_owned()).collect() }
    }

    #[test]
    fn clauses_are_read_one_after_the_other() {
        let filter = Filter::parse("  model~sonnet project=pay,\"a b\" user!='o,\"k' tag:cost-center!~x cost>0.1 ")
            .expect("reads");
        assert_eq!(
            filter.clauses,
            [
                text(TextField::Model, true, false, &["sonnet"]),
                text(TextField::Project, false, false, &["pay", "a b"]),
                text(TextField::User, false, true, &["o,\"k"]),
                text(TextField::Tag("cost-center".into()), true, true, &["x"]),
                Clause::Number { field: NumberField::Cost, sign: Sign::More, value: 100_000_000_000 },
            ]
        );
        assert_eq!(
            Filter::parse("tag:\"a =b\"=c").expect("reads").clauses,
            [text(TextField::Tag("a =b".into()), false, false, &["c"])]
        );
        assert_eq!(Filter::parse(" ").expect("reads"), Filter::default());
        assert_eq!(Filter::parse("team=\"\"").expect("reads").clauses, [text(TextField::Team, false, false, &[""])]);
        assert_eq!(
            Filter::parse("model=bedrock/anthropic.claude-sonnet-4-6-v1:0").expect("reads").clauses,
            [text(TextField::Model, false, false, &["bedrock/anthropic.claude-sonnet-4-6-v1:0"])]
        );
    }

    #[test]
    fn numbers_have_the_units_that_people_write() {
        for (written, field, sign, value) in [
            ("cost>=$1.5", NumberField::Cost, Sign::AtLeast, 1_500_000_000_000),
            ("cost!=0", NumberField::Cost, Sign::Unequal, 0),
            ("input>20K", NumberField::Input, Sign::More, 20_000),
            ("output<1.5M", NumberField::Output, Sign::Less, 1_500_000),
            ("first<=500ms", NumberField::First, Sign::AtMost, 500),
            ("total=2.5", NumberField::Total, Sign::Equal, 2_500),
        ] {
            assert_eq!(
                Filter::parse(written).expect(written).clauses,
                [Clause::Number { field, sign, value }],
                "{written}"
            );
        }
    }

    #[test]
    fn what_is_no_filter_is_said_with_its_place() {
        for (written, at, said) in [
            ("modle=x", 1, "did you mean model?"),
            ("project=pay nonsense", 13, "the fields are provider"),
            ("project", 8, "FIELD=VALUE"),
            ("project=", 9, "\"\""),
            ("project=pay,", 13, "\"\""),
            ("project='pay", 9, "end the value with '"),
            ("project=\"a\"b", 12, "quotes"),
            ("project>3", 8, "a text takes"),
            ("cost~3", 5, "takes ="),
            ("cost>lots", 6, "cost>0.1"),
            ("cost>1e99", 6, "cost>0.1"),
            ("input>-3", 7, "20K"),
            ("tag:=x", 5, "tag:KEY=VALUE"),
            ("tag:\"a b=x", 5, "end the value with"),
            ("tag:\u{1b}[2J=x", 5, "no name"),
            ("user='ö' =x", 10, "the fields are"),
            ("model=x'; DROP TABLE call; --", 8, "quotes"),
            ("project=pay OR 1=1", 13, "either"),
            ("xx=1", 1, "the fields are"),
        ] {
            let wrong = Filter::parse(written).expect_err(written);
            assert!(wrong.at == at && (wrong.advice.contains(said)), "{written}: {wrong:?}");
        }
    }

    #[test]
    fn an_injection_is_but_a_text() {
        let filter = Filter::parse("project=\"x' OR 1=1; DROP TABLE call; --\"").expect("reads");
        assert_eq!(filter.clauses, [text(TextField::Project, false, false, &["x' OR 1=1; DROP TABLE call; --"])]);
    }
}
