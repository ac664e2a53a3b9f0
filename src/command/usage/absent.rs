//! Why nothing fits a filter: a value that no call of the period has, and what they have in its place.

use crate::domain::spend::filter::{Clause, Filter};
use crate::domain::spend::period::Period;
use crate::domain::spend::report::Absent;
use crate::domain::spend::{Dimension, Group, Key, Question};
use crate::ledger::{Ledger, LedgerError};

/// The first value of the filter that the period does not have; `None` where each value is there, or nothing is.
///
/// # Errors
/// [`LedgerError`] where the books cannot be read.
pub fn absent(books: &mut Ledger, period: &Period, filter: &Filter) -> Result<Option<Absent>, LedgerError> {
    for clause in &filter.clauses {
        let Clause::Text { field, part: false, not: false, values } = clause else { continue };
        let (Some(dimension), [value]) = (field.dimension(), &values[..]) else { continue };
        let question = Question { period: period.clone(), by: vec![dimension.clone()], filter: Filter::default() };
        let mut groups = books.spend(&question)?.groups;
        groups.sort_by_key(|group| std::cmp::Reverse(group.tally.picos));
        let there: Vec<String> = groups.iter().filter_map(text).filter(|text| !text.is_empty()).collect();
        let is_there = |known: &String| known == value || (dimension == Dimension::Model && is_id_of(value, known));
        if !there.is_empty() && !value.is_empty() && !there.iter().any(is_there) {
            return Ok(Some(Absent { dimension, value: value.clone(), there }));
        }
    }
    Ok(None)
}

fn text(group: &Group) -> Option<String> {
    match group.keys.first() {
        Some(Key::Text(text)) => Some(text.clone()),
        Some(Key::Hour(_) | Key::Date(_)) | None => None,
    }
}

fn is_id_of(id: &str, model: &str) -> bool {
    model.split_once('/').is_some_and(|(_, known)| known == id)
}
