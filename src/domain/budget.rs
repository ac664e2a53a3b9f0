//! A limit on what may be spent, which calls count towards it, and what the books say of it.

use std::collections::BTreeMap;
use std::fmt;

use super::bill::Quote;
use super::money::Usd;
use super::window::{Span, Window, Zone};

/// A promise: a call that could break it is not sent (hard), or is told of (soft).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    pub name: String,
    pub limit: Usd,
    pub account: Account,
    /// A call that does not fit is refused; else it is sent and told of.
    pub hard: bool,
    /// Percents of the limit at which to warn, once in each period.
    pub warn: Vec<u32>,
    pub on_unknown_price: OnUnknownPrice,
    /// Calls are admitted whose most nobody can say (an answer without a cap, tools of the provider).
    pub allow_unbounded: bool,
    /// A call that asks for a longer answer than what is left pays for is sent with a lower cap.
    pub clip: bool,
    pub origin: Origin,
}

/// Which calls are added up together, and over which periods. Budgets may share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub scope: Scope,
    pub window: Window,
    pub zone: Zone,
}

/// The calls that count: those for which every part that is set fits. Nothing set: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    pub project: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// `provider/model`, or a model's id alone; `*` stands for any characters.
    pub model: Option<String>,
    pub provider: Option<String>,
    pub session: Option<String>,
}

/// What becomes of a call whose price nobody knows, under a hard budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnknownPrice {
    #[default]
    Deny,
    /// It is sent and counts nothing; the number of such calls stands beside every sum.
    Allow,
    /// Each counts this much.
    Assume(Usd),
}

/// Where a budget is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `llmx budget set`.
    #[default]
    Ledger,
    /// A configuration file.
    File(String),
    /// `--max-cost`: for one command.
    Command,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Ledger => out.write_str("the ledger"),
            Origin::File(path) => out.write_str(path),
            Origin::Command => out.write_str("the command line"),
        }
    }
}

impl Scope {
    /// Its parts as words: `project=api model=bedrock/*`, or `every call`.
    #[must_use]
    pub fn words(&self) -> String {
        let parts = [
            ("project", &self.project),
            ("user", &self.user),
            ("team", &self.team),
            ("provider", &self.provider),
            ("model", &self.model),
            ("session", &self.session),
        ];
        let mut words: Vec<String> =
            parts.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?))).collect();
        words.extend(self.tags.iter().map(|(key, value)| format!("tag:{key}={value}")));
        if words.is_empty() { "every call".to_owned() } else { words.join(" ") }
    }
}

/// What a call asks of the budgets before it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Every budget that is in force here beside those in the ledger; those that do not cover the call are passed over.
    pub budgets: &'a [Budget],
    pub quote: &'a Quote,
    /// The output cap that the request sends, in tokens.
    pub cap: Option<u64>,
    /// The lowest output cap that is worth sending, in tokens; `None`: the call may not be clipped.
    pub floor: Option<u64>,
    /// What the command may still spend (`--max-cost`), beside the budgets.
    pub purse: Option<Purse>,
}

/// What one command may spend, and what of it is spent and held by calls that are being made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purse {
    pub limit: Usd,
    pub spent: Usd,
    pub held: Usd,
}

/// A budget and what the books say of it in one period. `limit = spent + held + free (+ over)`, to the picodollar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub budget: Budget,
    pub span: Span,
    /// Of settled calls: for a hard budget the most that each can have cost, for a soft one its amount.
    pub spent: Usd,
    /// Of open calls: their ceilings.
    pub held: Usd,
    /// Calls of the period, and how many of them are open.
    pub calls: u64,
    pub open: u64,
    /// Calls whose amount, or whose most, nobody knows. With [`OnUnknownPrice::Assume`] they are in the sums.
    pub unknown: u64,
}

impl Standing {
    /// What may still be spent; nothing where the limit is passed.
    #[must_use]
    pub fn free(&self) -> Usd {
        Usd::from_picos(self.left().max(0))
    }

    /// By how much the limit is passed.
    #[must_use]
    pub fn over(&self) -> Usd {
        Usd::from_picos((-self.left()).max(0))
    }

    /// Settled and held.
    #[must_use]
    pub fn used(&self) -> Usd {
        Usd::from_picos(self.spent.picos.saturating_add(self.held.picos))
    }

    /// Whole percents of the limit that are used; `None`: the limit is nothing.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        percent(self.used(), self.budget.limit)
    }

    fn left(&self) -> i64 {
        self.budget.limit.picos.saturating_sub(self.used().picos)
    }
}

/// Whole percents, rounded down: 100 means that the whole is reached.
#[must_use]
pub fn percent(part: Usd, whole: Usd) -> Option<u64> {
    let hundredfold = i128::from(part.picos.max(0)) * 100;
    hundredfold.checked_div(i128::from(whole.picos)).and_then(|percent| u64::try_from(percent).ok())
}

/// A call that counts more than was held for it when a budget admitted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// Our id of the call.
    pub id: String,
    /// What was held for it.
    pub ceiling: Usd,
    /// What it counts now.
    pub counts: Usd,
    /// A correction made it so; else the bound of the call did not hold.
    pub corrected: bool,
}

/// A call that was not sent because a budget did not admit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Every budget that refused, the tightest first; never empty.
    pub by: Vec<Refused>,
    /// The most that the call could have cost; `None`: nobody can say.
    pub needed: Option<Usd>,
    /// How that was made: bounds and rates in words.
    pub reasons: Vec<String>,
    /// An output cap with which it would have fitted.
    pub cap_that_fits: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub standing: Standing,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    DoesNotFit,
    /// The price is not known.
    Unpriced,
    /// The price is known, and nobody can say how much the call may consume.
    Unbounded,
}

impl Why {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Why::DoesNotFit => "does-not-fit",
            Why::Unpriced => "unpriced",
            Why::Unbounded => "unbounded",
        }
    }
}

/// A budget has reached a percent of its limit, said once in each period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// One of [`Budget::warn`].
    pub percent: u32,
    pub standing: Standing,
}

#[cfg(test)]
mod tests {
    use super::percent;
    use crate::domain::money::Usd;

    #[test]
    fn percents_are_rounded_down() {
        let usd = |text| Usd::parse(text).expect("an amount");
        assert_eq!(percent(usd("49.999999"), usd("50")), Some(99));
        assert_eq!(percent(usd("9000000"), usd("0.01")), Some(90_000_000_000));
        assert_eq!(percent(usd("1"), usd("0")), None);
    }
}
