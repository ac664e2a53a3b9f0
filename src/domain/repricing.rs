//! Booked calls at other prices: what each would cost there, why it differs, and the sums. Booked amounts stay.

use std::collections::BTreeMap;

use super::money::Usd;
use super::record::Price;

/// A run of calls at other prices that was kept, without its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRun {
    pub number: i64,
    pub made_ms: i64,
    pub table: String,
    pub version: String,
    pub sha256: String,
    pub because: String,
    pub calls: u32,
    /// How many of them have an amount, and its sum.
    pub priced: u32,
    pub total: Usd,
}

/// Why a call has the amount that it has at the other prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    PriceChanged,
    NowPriced,
    NowUnpriced,
    /// The raw usage is read differently than when the call was booked.
    Recounted,
    /// Its final usage never came: an estimate before and after.
    Estimated,
    /// By the response, by a person or by the simulator: no table changes it.
    Stated,
    /// Nothing is kept that could be priced.
    NoUsage,
    /// No price before and none there.
    Unpriced,
    Same,
}

impl Cause {
    /// Its word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::PriceChanged => "price-changed",
            Cause::NowPriced => "now-priced",
            Cause::NowUnpriced => "now-unpriced",
            Cause::Recounted => "recounted",
            Cause::Estimated => "estimated",
            Cause::Stated => "stated",
            Cause::NoUsage => "no-usage",
            Cause::Unpriced => "unpriced",
            Cause::Same => "same",
        }
    }

    /// The same for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Cause::PriceChanged => "the price changed",
            Cause::NowPriced => "was unpriced, has a price now",
            Cause::NowUnpriced => "was priced, has no price now",
            Cause::Recounted => "its usage is read differently now",
            Cause::Estimated => "estimated then and now",
            Cause::Stated => "stated, not made from a table",
            Cause::NoUsage => "no usage was kept",
            Cause::Unpriced => "unpriced then and now",
            Cause::Same => "the same",
        }
    }
}

/// Where the counts of a call were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// From the provider's usage object.
    Raw,
    /// From the lines of the bill.
    Lines,
    None,
}

impl Counts {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Counts::Raw => "raw",
            Counts::Lines => "lines",
            Counts::None => "none",
        }
    }
}

/// A booked call beside what it would cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub id: String,
    pub opened_ms: i64,
    /// `provider/model` as it was asked for, with its region.
    pub model: String,
    pub model_served: Option<String>,
    /// As it is booked; `None`: unpriced.
    pub before: Option<Usd>,
    pub before_basis: String,
    pub before_price: Option<Price>,
    /// At the other prices; `None`: unpriced there, or not to be computed.
    pub after: Option<Usd>,
    pub after_basis: String,
    pub after_price: Option<Price>,
    pub cause: Cause,
    pub counts: Counts,
    /// What the reader of the new amount should know.
    pub notes: Vec<String>,
}

impl Difference {
    /// By how much it would be dearer; `None` where an amount is missing or the difference cannot be counted.
    #[must_use]
    pub fn change(&self) -> Option<Usd> {
        self.after?.picos.checked_sub(self.before?.picos).map(Usd::from_picos)
    }
}

/// Several calls together. `after - before` is `change` and what the calls add that have only one of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub calls: u64,
    /// Of the calls that have an amount in the books, and how many have none.
    pub before: Usd,
    pub before_missing: u64,
    /// The same at the other prices.
    pub after: Usd,
    pub after_missing: u64,
    /// Of the calls that have both.
    pub change: Usd,
}

impl Sum {
    /// `None` where the amounts are too large to be added.
    #[must_use]
    pub fn of<'a>(calls: impl IntoIterator<Item = &'a Difference>) -> Option<Sum> {
        calls.into_iter().try_fold(Sum::default(), |sum, call| {
            Some(Sum {
                calls: sum.calls + 1,
                before: sum.before.checked_add(call.before.unwrap_or_default())?,
                before_missing: sum.before_missing + u64::from(call.before.is_none()),
                after: sum.after.checked_add(call.after.unwrap_or_default())?,
                after_missing: sum.after_missing + u64::from(call.after.is_none()),
                change: sum.change.checked_add(call.change().unwrap_or_default())?,
            })
        })
    }

    /// The sums of the groups that `key` makes, in the order of the keys. `None` as for [`Sum::of`].
    #[must_use]
    pub fn by<K: Ord>(calls: &[Difference], key: impl Fn(&Difference) -> K) -> Option<Vec<(K, Sum)>> {
        let mut groups: BTreeMap<K, Vec<&Difference>> = BTreeMap::new();
        for call in calls {
            groups.entry(key(call)).or_default().push(call);
        }
        groups.into_iter().map(|(key, calls)| Some((key, Sum::of(calls)?))).collect()
    }
}

/// A run with everything that is shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepricingReport {
    /// Its number in the books; `None`: there was nothing to keep.
    pub run: Option<i64>,
    /// Only calls opened from here on.
    pub since_ms: Option<i64>,
    /// The tables, the first before the others: name, version and SHA-256.
    pub tables: Vec<[String; 3]>,
    /// Oldest first.
    pub calls: Vec<Difference>,
    /// Calls that nobody has settled: they have no amount yet.
    pub open: u64,
    pub total: Sum,
    pub by_cause: Vec<(Cause, Sum)>,
    pub by_model: Vec<(String, Sum)>,
}
