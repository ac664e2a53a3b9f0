//! Filters of reports: what is read is what was written, each clause and its opposite share all calls, and an error has its
//! place.

use llmx::domain::money::Usd;
use llmx::domain::spend::filter::{Clause, Filter, NumberField, Sign, TextField, Wrong};

/// So many characters of an error are its own words; the others are the filter's.
const WORDS_MAX: usize = 300;

/// What stands before a filter in the same line.
const BEFORE: &str = "id!=\"ö\"  ";

/// Each line as a filter.
pub fn filter(bytes: &[u8]) {
    super::text(bytes).lines().for_each(line);
}

fn line(text: &str) {
    let moved = Filter::parse(&format!("{BEFORE}{text}"));
    match Filter::parse(text) {
        Ok(filter) => {
            let written: Vec<String> = filter.clauses.iter().map(|clause| written(clause, false)).collect();
            assert_eq!(Filter::parse(&written.join("\t ")).as_ref(), Ok(&filter), "{text}");
            if let Ok(moved) = moved {
                assert_eq!(moved.clauses.get(1..), Some(filter.clauses.as_slice()), "{text}");
            }
            filter.clauses.iter().for_each(assert_shared);
        }
        Err(wrong) => {
            assert_placed(text, &wrong);
            let moved = moved.expect_err("no filter, and none behind another clause");
            if moved.message != "too many clauses" {
                let at = wrong.at + BEFORE.chars().count();
                assert_eq!(moved, Wrong { at, ..wrong }, "{text}");
            }
        }
    }
}

fn assert_placed(text: &str, wrong: &Wrong) {
    assert!((1..=text.chars().count() + 1).contains(&wrong.at), "{wrong:?}");
    for said in [&wrong.message, &wrong.advice] {
        assert!(!said.is_empty() && !said.contains(char::is_control), "{wrong:?}");
        assert!(said.chars().count() <= text.chars().count() + WORDS_MAX, "{wrong:?}");
    }
}

/// Panics where a call is let through by a clause and by its opposite, or by neither.
fn assert_shared(clause: &Clause) {
    let opposite = Filter::parse(&written(clause, true)).expect("the opposite of a clause is one");
    let [opposite] = opposite.clauses.as_slice() else { panic!("one clause has one opposite: {opposite:?}") };
    match (clause, opposite) {
        (Clause::Text { not, values, .. }, _) => {
            let texts = values.iter().map(String::as_str).chain(["", "anthropic/claude-sonnet-4-5"]);
            for text in texts {
                assert!(clause.fits(&[text]) != opposite.fits(&[text]), "{clause:?} on {text:?}");
            }
            assert!(values.iter().all(|value| clause.fits(&[value]) != *not), "a value is itself: {clause:?}");
        }
        (&Clause::Number { sign, value, .. }, &Clause::Number { sign: other, value: same, .. }) => {
            assert_eq!(value, same);
            for number in [i64::MIN, value.saturating_sub(1), value, value.saturating_add(1), i64::MAX] {
                assert!(sign.holds(number, value) != other.holds(number, value), "{clause:?} on {number}");
            }
        }
        (Clause::Number { .. }, Clause::Text { .. }) => panic!("{clause:?} became {opposite:?}"),
    }
}

/// The clause as a person would write it, or its opposite.
fn written(clause: &Clause, opposite: bool) -> String {
    match clause {
        Clause::Text { field, part, not, values } => {
            let sign = match (part, *not != opposite) {
                (false, false) => "=",
                (false, true) => "!=",
                (true, false) => "~",
                (true, true) => "!~",
            };
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            format!("{}{sign}{}", text_field(field), values.join(","))
        }
        Clause::Number { field, sign, value } => {
            let sign = match (sign, opposite) {
                (Sign::Less, false) | (Sign::AtLeast, true) => "<",
                (Sign::AtMost, false) | (Sign::More, true) => "<=",
                (Sign::Equal, false) | (Sign::Unequal, true) => "=",
                (Sign::Unequal, false) | (Sign::Equal, true) => "!=",
                (Sign::AtLeast, false) | (Sign::Less, true) => ">=",
                (Sign::More, false) | (Sign::AtMost, true) => ">",
            };
            let (name, value) = match field {
                NumberField::Cost => ("cost", Usd::from_picos(*value).to_string()),
                NumberField::Input => ("input", value.to_string()),
                NumberField::CacheRead => ("cache_read", value.to_string()),
                NumberField::CacheWrite => ("cache_write", value.to_string()),
                NumberField::Output => ("output", value.to_string()),
                NumberField::Reasoning => ("reasoning", value.to_string()),
                NumberField::First => ("first", format!("{value}ms")),
                NumberField::Total => ("total", format!("{value}ms")),
            };
            format!("{name}{sign}{value}")
        }
    }
}

/// Between quotes that it does not hold: what was read holds one sort at most.
fn quoted(value: &str) -> String {
    let quote = if value.contains('"') { '\'' } else { '"' };
    format!("{quote}{value}{quote}")
}

fn text_field(field: &TextField) -> String {
    let name = match field {
        TextField::Provider => "provider",
        TextField::Model => "model",
        TextField::Region => "region",
        TextField::Project => "project",
        TextField::User => "user",
        TextField::Team => "team",
        TextField::Tag(key) => return format!("tag:{}", quoted(key)),
        TextField::Session => "session",
        TextField::Command => "command",
        TextField::Credential => "credential",
        TextField::Status => "status",
        TextField::Source => "source",
        TextField::Basis => "basis",
        TextField::Route => "route",
        TextField::Id => "id",
        TextField::Group => "group",
    };
    name.to_owned()
}
