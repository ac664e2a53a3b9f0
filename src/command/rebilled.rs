//! Booked calls billed once more: what each consumed, and how its price is looked up.

use std::collections::BTreeMap;

use crate::call::priced_as;
use crate::domain::bill::{Basis, Bill, Outcome};
use crate::domain::model::ModelName;
use crate::domain::record::{Record, Settlement};
use crate::domain::repricing::Counts;
use crate::domain::usage::{Meter, Usage};
use crate::pricing::{Called, Context, Moment, Prices};
use crate::provider::catalog::{Catalog, Row, Transport};

/// The rows of the catalog that were asked for, each read once.
#[derive(Debug)]
pub struct Rows<'a> {
    catalog: &'a Catalog,
    known: BTreeMap<String, Option<Row>>,
}

impl<'a> Rows<'a> {
    #[must_use]
    pub fn of(catalog: &'a Catalog) -> Rows<'a> {
        Rows { catalog, known: BTreeMap::new() }
    }

    pub fn row(&mut self, provider: &str) -> Option<&Row> {
        let known = self.known.entry(provider.to_owned());
        known.or_insert_with(|| self.catalog.row(provider).ok()).as_ref()
    }
}

/// Whether no call of this provider costs money.
#[must_use]
pub fn is_simulated(row: &Row) -> bool {
    row.transport == Transport::Sim
}

/// A settled call as it is billed: what it consumed, and what decides its price beside that.
#[derive(Debug, Clone)]
pub struct Consumed {
    /// The model at the place where it ran.
    pub name: ModelName,
    pub context: Context,
    /// The model that the response names.
    pub served: Option<String>,
    pub at: Moment,
    pub outcome: Outcome,
    /// Where what it consumed was taken from.
    pub counts: Counts,
}

impl Consumed {
    /// `row`: that of the call's provider, where the catalog still has it. `None` while the call is open.
    #[must_use]
    pub fn of(record: &Record, row: Option<&Row>) -> Option<Consumed> {
        let settlement = &record.settled.as_ref()?.settlement;
        let call = &record.call;
        let asked = ModelName { provider: call.provider.clone(), region: None, model: call.model.clone() };
        let (name, context) = priced_as(&asked, call.region.as_deref(), call.tier.as_deref(), &call.parameters);
        let (outcome, counts) = match settlement.basis == Basis::Nothing.as_str() {
            true => (Outcome::NeverSent, Counts::None),
            false => {
                let (mut usage, counts) = consumed(settlement, row, &call.model);
                if let (Some(usage), Some(false)) = (&mut usage, call.parameters["sum"]["long"].as_bool()) {
                    // Which calls of an imported sum were long is not known.
                    usage.attributes.insert("prompt_total".into(), "summed".into());
                }
                (self::outcome(settlement, usage), counts)
            }
        };
        let (served, at) = (settlement.model_served.clone(), Moment::from_ms(record.opened_ms));
        Some(Consumed { name, context, served, at, outcome, counts })
    }

    /// What was counted; `None`: nothing that can be priced.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.outcome.usage().filter(|usage| usage.quantities.values().any(|count| *count > 0))
    }

    /// The same with its usage changed.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Usage)) -> Consumed {
        let mut other = self.clone();
        match &mut other.outcome {
            Outcome::Reported(usage) | Outcome::Unconfirmed { seen: Some(usage) } => change(usage),
            Outcome::Unconfirmed { seen: None } | Outcome::NeverSent => {}
        }
        other
    }

    /// Its bill at these prices.
    #[must_use]
    pub fn bill(&self, prices: &Prices) -> Bill {
        let called = Called {
            name: &self.name,
            served: self.served.as_deref(),
            at: self.at,
            context: &self.context,
            quote: None,
            request_bytes: None,
            answer_bytes: 0,
            simulated: false,
        };
        prices.bill(&called, &self.outcome)
    }
}

fn outcome(settlement: &Settlement, usage: Option<Usage>) -> Outcome {
    match usage {
        Some(usage) if matches!(settlement.usage_source.as_deref(), Some("reported" | "imported")) => {
            // A charge that was stated has the basis `reported`: here there was none that counts.
            Outcome::Reported(Usage { charge: None, ..usage })
        }
        seen => Outcome::Unconfirmed { seen },
    }
}

/// What the call consumed. The books do not name the dialect of the raw usage: the reading that gives the counts of the
/// booked lines is right. Where none does, the lines stand for themselves, since the object may be only the last of several
/// that were counted; where there are no lines, or only some of them, the only reading that the provider's dialects give.
fn consumed(settlement: &Settlement, row: Option<&Row>, model: &str) -> (Option<Usage>, Counts) {
    let tier = settlement.tier.clone();
    let lines = lines(settlement);
    // An estimate was made from more than the counts that came.
    let estimated = settlement.basis == Basis::Estimated.as_str();
    let mut readings = Vec::new();
    if let (Some(row), Some(raw), false) = (row, &settlement.usage_raw, estimated) {
        let ways = row.api.iter().flat_map(|dialect| [(*dialect, true), (*dialect, false)]);
        for (dialect, streamed) in ways {
            let read = dialect.usage(raw, &row.quirks, model, streamed);
            let usable = read.filter(|usage| !usage.rejected && usage.quantities.values().any(|count| *count > 0));
            readings.extend(usable.filter(|usage| readings.iter().all(|other| !same_counts(usage, other))));
        }
    }
    let booked = readings.iter().position(|usage| counted(usage) == lines);
    let only = (readings.len() == 1).then_some(0);
    // The lines of a call that stayed unpriced although some had a price lack the meters that had none.
    let partial =
        settlement.basis == Basis::Unpriced.as_str() && settlement.lines.iter().any(|line| line.rate.is_some());
    let are_whole = !lines.is_empty() && !partial;
    match (booked.or(only.filter(|_| !are_whole)), are_whole) {
        (Some(found), _) => (Some(Usage { service_tier: tier, ..readings.swap_remove(found) }), Counts::Raw),
        (None, true) => {
            // What else the object says decides the price all the same.
            let attributes = only.map(|found| readings.swap_remove(found).attributes).unwrap_or_default();
            (Some(Usage { quantities: lines, service_tier: tier, attributes, ..Usage::default() }), Counts::Lines)
        }
        (None, false) => (None, Counts::None),
    }
}

fn same_counts(one: &Usage, other: &Usage) -> bool {
    counted(one) == counted(other)
}

/// The counts that make lines.
#[must_use]
pub fn counted(usage: &Usage) -> BTreeMap<Meter, u64> {
    usage.quantities.iter().filter(|(_, count)| **count > 0).map(|(meter, count)| (*meter, *count)).collect()
}

/// The counts of the booked lines, those of inner calls with the call's own.
#[must_use]
pub fn lines(settlement: &Settlement) -> BTreeMap<Meter, u64> {
    let mut counts = BTreeMap::new();
    for line in settlement.lines.iter().filter(|line| line.quantity > 0) {
        if let Some(meter) = Meter::of(&line.meter) {
            let count: &mut u64 = counts.entry(meter).or_default();
            *count = count.saturating_add(line.quantity);
        }
    }
    counts
}
