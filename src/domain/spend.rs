//! What was spent: the questions that reports ask of the books, and the sums that answer them.

pub mod causes;
pub mod currency;
pub mod filter;
pub mod forecast;
pub mod heading;
pub mod period;
pub mod ratio;
pub mod report;
pub mod savings;
pub mod sums;
pub mod waste;
pub mod what_if;

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use super::record::Price;
use filter::Filter;
use period::Period;

/// What a report asks: the calls that were opened in a period, those that a filter lets through, in groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub period: Period,
    /// None: one group of all calls.
    pub by: Vec<Dimension>,
    pub filter: Filter,
}

/// What calls are grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// The hour on the zone's clock; an hour that comes twice is two.
    Hour,
    Day,
    /// From Monday to Sunday (ISO 8601).
    Week,
    Month,
    Provider,
    /// `provider/model`, as it was asked for.
    Model,
    Region,
    Project,
    User,
    Team,
    /// The value of the tag with this key.
    Tag(String),
    Session,
    /// The subcommand that made the call.
    Command,
    /// Where the credential came from: its name.
    Credential,
    /// `ok`, `open`, the class of the error, or who stopped it.
    Status,
    /// The meters of the bill: a call is in as many groups as it has lines.
    Meter,
    /// `llmx`, or what the call was imported from.
    Source,
}

impl Dimension {
    /// Those that have no parameter, in the order in which help lists them.
    pub const NAMED: [Dimension; 16] = [
        Dimension::Hour,
        Dimension::Day,
        Dimension::Week,
        Dimension::Month,
        Dimension::Provider,
        Dimension::Model,
        Dimension::Region,
        Dimension::Project,
        Dimension::User,
        Dimension::Team,
        Dimension::Session,
        Dimension::Command,
        Dimension::Credential,
        Dimension::Status,
        Dimension::Meter,
        Dimension::Source,
    ];

    /// Reads a name as [`Dimension`] writes it: `day`, `model`, `tag:cost-center`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Dimension> {
        match text.strip_prefix("tag:") {
            Some(key) => (!key.is_empty()).then(|| Dimension::Tag(key.to_owned())),
            None => Dimension::NAMED.into_iter().find(|dimension| dimension.to_string() == text),
        }
    }

    /// Whether its groups follow one another in time.
    #[must_use]
    pub fn is_time(&self) -> bool {
        matches!(self, Dimension::Hour | Dimension::Day | Dimension::Week | Dimension::Month)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Dimension::Hour => "hour",
            Dimension::Day => "day",
            Dimension::Week => "week",
            Dimension::Month => "month",
            Dimension::Provider => "provider",
            Dimension::Model => "model",
            Dimension::Region => "region",
            Dimension::Project => "project",
            Dimension::User => "user",
            Dimension::Team => "team",
            Dimension::Tag(key) => return write!(out, "tag:{key}"),
            Dimension::Session => "session",
            Dimension::Command => "command",
            Dimension::Credential => "credential",
            Dimension::Status => "status",
            Dimension::Meter => "meter",
            Dimension::Source => "source",
        })
    }
}

/// What the calls of a group have in common in one dimension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The instant at which the hour begins.
    Hour(i64),
    /// The day, the Monday of the week, or the first day of the month.
    Date(Date),
    /// Empty: the calls that have none.
    Text(String),
}

/// What the books add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spend {
    /// In ascending order of their keys. Only groups that have calls: days without any are not among them.
    pub groups: Vec<Group>,
    /// Of all calls that the filter lets through, whatever the groups.
    pub total: Tally,
}

/// The calls that have the same keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// One for each dimension that was asked for, in that order.
    pub keys: Vec<Key>,
    pub tally: Tally,
    /// The entry of a price table that their rates came from, the one that was last met where there are several.
    pub price: Option<Arc<Price>>,
}

/// Sums over calls. Amounts are whole picodollars; an unknown amount is in none of them, but counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that ended: a call is one, an imported row may stand for many.
    pub calls: u64,
    /// Of these: ended in an error.
    pub failed: u64,
    /// Of the failed: nothing is owed for them.
    pub failed_free: u64,
    /// Of `calls`: without a known amount.
    pub unpriced: u64,
    /// Of `calls`: the amount is an estimate or a ceiling.
    pub uncertain: u64,
    /// Of `calls`: the simulator's; no money was spent.
    pub simulated: u64,
    pub picos: i128,
    /// As `picos`, with the bound where an amount is not certain.
    pub at_most: i128,
    /// The simulator's part of `picos`.
    pub simulated_picos: i128,
    /// Calls that have not ended, in none of the sums above.
    pub open: u64,
    /// Of the open: without a ceiling.
    pub open_unknown: u64,
    /// The ceilings of the open.
    pub held: i128,
    /// Prompt tokens that no cache served or kept.
    pub input: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    /// Thinking included.
    pub output: u64,
    /// The part of `output` that was thinking.
    pub reasoning: u64,
    /// In a group of a meter: how much of it was counted.
    pub units: u64,
}

impl Tally {
    /// What the two add up to.
    #[must_use]
    pub fn plus(self, other: Tally) -> Tally {
        Tally {
            calls: self.calls.saturating_add(other.calls),
            failed: self.failed.saturating_add(other.failed),
            failed_free: self.failed_free.saturating_add(other.failed_free),
            unpriced: self.unpriced.saturating_add(other.unpriced),
            uncertain: self.uncertain.saturating_add(other.uncertain),
            simulated: self.simulated.saturating_add(other.simulated),
            picos: self.picos.saturating_add(other.picos),
            at_most: self.at_most.saturating_add(other.at_most),
            simulated_picos: self.simulated_picos.saturating_add(other.simulated_picos),
            open: self.open.saturating_add(other.open),
            open_unknown: self.open_unknown.saturating_add(other.open_unknown),
            held: self.held.saturating_add(other.held),
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            units: self.units.saturating_add(other.units),
        }
    }

    /// Prompt tokens, cached or not.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// The share of prompt tokens that a cache served, in percent rounded half up; `None`: there was no prompt.
    #[must_use]
    pub fn cached_percent(&self) -> Option<u64> {
        percent(u128::from(self.cache_read), u128::from(self.prompt()))
    }
}

/// `part` of `whole` in percent, rounded half up; `None` of nothing.
#[must_use]
pub fn percent(part: u128, whole: u128) -> Option<u64> {
    let percent = part.checked_mul(200)?.checked_add(whole)?.checked_div(whole.checked_mul(2)?)?;
    u64::try_from(percent).ok()
}

#[cfg(test)]
mod tests {
    use super::{Dimension, percent};

    #[test]
    fn every_dimension_is_written_as_it_is_read() {
        for dimension in Dimension::NAMED.into_iter().chain([Dimension::Tag("cost:center".into())]) {
            assert_eq!(Dimension::parse(&dimension.to_string()), Some(dimension));
        }
        for wrong in ["", "days", "tag:", "Model"] {
            assert_eq!(Dimension::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_share_is_rounded_half_up() {
        assert_eq!(percent(1, 200), Some(1));
        assert_eq!(percent(1, 201), Some(0));
        assert_eq!(percent(7, 7), Some(100));
        assert_eq!(percent(0, 0), None);
    }
}
