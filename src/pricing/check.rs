//! What a person should mend in a table that can be read.

use super::Prices;
use super::entry::{Entry, Mode};
use super::moment::Moment;
use super::place::{TableError, Which};
use super::price::{Context, Priced, provider};
use super::table::Table;
use crate::domain::model::ModelName;

/// Days after which a price wants to be looked at again.
const AGE_MAX: i64 = 60;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A price is wrong or cannot be used.
    Error,
    Warning,
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub weight: Weight,
    pub at: TableError,
}

impl Prices {
    /// Everything that is wrong with a table of these: what keeps it from being read, entries that lead nowhere, prices
    /// without a source or a day, and prices that were not looked at for long.
    #[must_use]
    pub fn check(&self, table: &Table, today: Moment) -> Vec<Finding> {
        let error = |at| Finding { weight: Weight::Error, at };
        let mut findings: Vec<Finding> = table.problems().into_iter().map(error).collect();
        for key in table.models() {
            let Ok(Some(entry)) = table.model(key) else { continue };
            let about = |message: String| table.error(entry.place.at, message);
            findings.extend(self.unresolved(&entry, today).map(|reason| error(about(reason))));
            findings.extend(self.unsourced(&entry).map(|reason| error(about(reason))));
            findings.extend(undated_mode(&entry).map(|reason| error(about(reason))));
            findings.extend(old(&entry, today).map(|reason| Finding { weight: Weight::Warning, at: about(reason) }));
        }
        findings
    }

    /// Why an entry that should have a price has none.
    fn unresolved(&self, entry: &Entry, today: Moment) -> Option<String> {
        if entry.unpriced.is_some() || entry.free {
            return None;
        }
        let model = entry.key.split_once('/').map(|(_, model)| model);
        let Some(model) = model.filter(|model| !model.is_empty()) else {
            return Some(format!("\"{}\" is no provider/model", entry.key));
        };
        // A set without bare ids is asked by one of its prefixes.
        let ask = |model: String| {
            let name = ModelName { provider: provider(&entry.key).to_owned(), region: None, model };
            self.price(&name, today, &Context::new())
        };
        let mut reason = match ask(model.to_owned()) {
            Priced::Unpriced(reason) => reason,
            Priced::Sheet(_) | Priced::Free(_) => return None,
        };
        if let Some(set) = &entry.profiles {
            let prefixes = self.tables().find_map(|table| table.profiles(set).ok().flatten());
            for prefix in prefixes.unwrap_or_default().into_keys().filter(|prefix| prefix != "none") {
                match ask(format!("{prefix}.{model}")) {
                    Priced::Unpriced(other) => reason = other,
                    Priced::Sheet(_) | Priced::Free(_) => return None,
                }
            }
        }
        // A price that only begins later is announced, not wrong.
        let announced = entry.price.first().and_then(|sheet| sheet.from).is_some_and(|from| from > today);
        (!announced).then_some(reason)
    }

    /// A price that nobody can look up again.
    fn unsourced(&self, entry: &Entry) -> Option<String> {
        // What is free on a person's own machine needs no page.
        let own = entry.place.table == Which::User;
        if entry.price.is_empty() && (own || !entry.free) {
            return None;
        }
        let rules = self.rules(provider(&entry.key)).ok().flatten().unwrap_or_default();
        if entry.checked.is_none() && rules.checked.is_none() {
            return Some(format!("{} does not say when it was checked", entry.key));
        }
        let sourced = entry.free || entry.source.is_some() || rules.source.is_some();
        (!sourced).then(|| format!("{} has no source", entry.key))
    }
}

/// A mode's sheet beside several rows must say from when it holds.
fn undated_mode(entry: &Entry) -> Option<String> {
    let several = entry.price.len() > 1;
    let undated = entry.mode.iter().find(|(_, mode)| match mode {
        Mode::Factor(_) => false,
        Mode::Sheets(sheets) => several && sheets.len() == 1 && sheets.iter().any(|sheet| sheet.from.is_none()),
    });
    undated.map(|(name, _)| format!("{}: the sheet of mode {name} does not say for which row (from)", entry.key))
}

fn old(entry: &Entry, today: Moment) -> Option<String> {
    let checked = entry.checked.as_deref()?;
    let age = (today.ms - Moment::parse(checked)?.ms) / 86_400_000;
    (age > AGE_MAX).then(|| format!("{} was checked {age} days ago, on {checked}", entry.key))
}
