//! What the calls of a period would cost on other models, as a value.

use std::collections::BTreeMap;

use super::heading::Heading;
use crate::domain::money::Usd;
use crate::domain::record::Price;

/// The calls of a period at the prices of other models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatIf {
    pub heading: Heading,
    pub terms: Terms,
    /// The tables that the prices are from, the first before the others: name, version and SHA-256.
    pub tables: Vec<[String; 3]>,
    pub calls: Taken,
    pub models: Vec<There>,
}

/// How the calls are priced elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// At the prices of each call's own instant; else at those of today.
    pub then: bool,
    /// In the model's batch mode.
    pub batch: bool,
    /// As if each call of a session read from a cache what the one before it had sent.
    pub cache: bool,
    /// Tokens are scaled where it is known how two tokenizers differ.
    pub scaled: bool,
}

/// Which calls of the period are in the sums, in requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Ended, and with something that can be priced: the calls of every model's [`There::all`].
    pub calls: u64,
    /// Of these: failed, and consumed something all the same.
    pub failed: u64,
    /// Of these: read from elsewhere (`usage import`).
    pub imported: u64,
    /// Of the imported: sums of several requests, whose prompts are not known one by one.
    pub summed: u64,
    /// Of these: in a session.
    pub in_session: u64,
    /// Of these: the amount is an estimate, or was stated and not made from a table.
    pub estimated: u64,
    pub stated: u64,
    /// Left out: not ended.
    pub open: u64,
    /// Left out: nothing is owed for them, whatever the model.
    pub free_failures: u64,
    /// Left out: the simulator's.
    pub simulated: u64,
    /// Left out: nothing is kept that could be priced, and what they are booked at.
    pub no_usage: u64,
    pub no_usage_picos: i128,
}

/// All calls on one other model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct There {
    /// `provider/model`, with its region.
    pub model: String,
    /// The entry of the table that priced the last call.
    pub price: Option<Price>,
    pub all: Pair,
    /// By project, the most spent now first; empty: none.
    pub projects: Vec<(String, Pair)>,
    /// Tokens of its context window; `None`: not known.
    pub window: Option<u64>,
    /// Calls whose prompt and output cap (where none was asked for: whose answer) are more than the window holds.
    pub too_long: u64,
    /// The most tokens that it writes; `None`: not known.
    pub output_max: Option<u64>,
    /// Calls whose answer was longer.
    pub too_wordy: u64,
    /// Calls that set what the model does not take, by setting.
    pub refused: BTreeMap<&'static str, u64>,
    /// Why calls have no price there.
    pub reasons: BTreeMap<String, u64>,
    /// Calls of a service tier that the model does not have: at standard prices.
    pub no_tier: u64,
    /// Calls for which the table has no batch mode: at standard prices.
    pub no_batch: u64,
    /// Calls whose prompt is taken to be read from a cache in part (`--cache`).
    pub cached: u64,
    pub tokens: Tokens,
}

/// How the model's tokens compare with those that were counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Calls that were made to this very model: the counts are its own.
    pub own: u64,
    /// Calls whose text becomes more tokens there by a known factor, in hundredths, and the page that says it.
    pub known: u64,
    pub hundredths: u64,
    pub source: &'static str,
}

/// What calls come to now and there. Only those that have both amounts are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair {
    pub calls: u64,
    /// Picodollars, as they are booked.
    pub now: i128,
    pub there: i128,
    /// Without a price there, and what they are booked at.
    pub only_now: u64,
    pub only_now_picos: i128,
    /// Unpriced in the books, and what they would come to.
    pub only_there: u64,
    pub only_there_picos: i128,
    pub neither: u64,
}

impl Pair {
    /// Adds a call that stands for so many requests.
    pub fn add(&mut self, requests: u64, now: Option<Usd>, there: Option<Usd>) {
        let picos = |amount: Usd| i128::from(amount.picos);
        match (now.map(picos), there.map(picos)) {
            (Some(now), Some(there)) => {
                self.calls += requests;
                self.now += now;
                self.there += there;
            }
            (Some(now), None) => {
                self.only_now += requests;
                self.only_now_picos += now;
            }
            (None, Some(there)) => {
                self.only_there += requests;
                self.only_there_picos += there;
            }
            (None, None) => self.neither += requests,
        }
    }

    /// By how much it would be dearer there, in picodollars.
    #[must_use]
    pub fn change(&self) -> i128 {
        self.there - self.now
    }

    /// Every call that was added.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.calls + self.only_now + self.only_there + self.neither
    }
}
