//! After the call: its usage times its rates, a line for each meter.

use std::collections::BTreeMap;

use super::moment::Moment;
use super::price::{Context, Price, Priced};
use super::quote::BYTES_PER_TOKEN;
use super::resolve::{pins, same};
use super::{Prices, quote};
use crate::domain::bill::{Basis, Bill, Line, Outcome, Quote};
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::usage::{Meter, Usage};

/// A finished call, as far as its price depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// The model that was sent.
    pub name: &'a ModelName,
    /// The model that the response names.
    pub served: Option<&'a str>,
    /// When the call began.
    pub at: Moment,
    pub context: &'a Context,
    /// What was said before the call.
    pub quote: Option<&'a Quote>,
    /// Bytes of the request, and of the text, thinking and tool calls that came: the measure of a call whose final usage
    /// never came.
    pub request_bytes: Option<u64>,
    pub answer_bytes: u64,
    pub simulated: bool,
}

/// The bill of a call where no table is at hand. `simulated`: it was the simulator's, which is free unless it was given
/// prices.
#[must_use]
pub fn bill(outcome: &Outcome, simulated: bool) -> Bill {
    match (outcome, charged(outcome)) {
        (Outcome::NeverSent, _) => Bill::of(Basis::Nothing, Some(Usd::default())),
        (_, Some(total)) if simulated => Bill::of(Basis::Simulated, Some(total)),
        (_, None) if simulated => Bill::of(Basis::Free, Some(Usd::default())),
        (Outcome::Reported(_), Some(total)) => Bill::of(Basis::Reported, Some(total)),
        (Outcome::Reported(_) | Outcome::Unconfirmed { .. }, _) => Bill::of(Basis::Unpriced, None),
    }
}

/// What the response says that the call cost, all payees together.
fn charged(outcome: &Outcome) -> Option<Usd> {
    let charge = outcome.usage().and_then(|usage| usage.charge.as_ref())?;
    charge.usd.checked_add(charge.upstream.unwrap_or_default())
}

impl Prices {
    /// The bill of a call. What the response states is booked, with the table's amount beside it; a call whose final
    /// usage never came has an estimate and a bound; a price that is not known is no amount, never zero.
    #[must_use]
    pub fn bill(&self, call: &Called<'_>, outcome: &Outcome) -> Bill {
        let plain = bill(outcome, call.simulated);
        if call.simulated {
            return plain;
        }
        match outcome {
            Outcome::NeverSent => plain,
            // An object without a count is no usage.
            Outcome::Reported(usage) if usage.quantities.is_empty() && usage.charge.is_none() => {
                self.unconfirmed(call, None)
            }
            Outcome::Reported(usage) => self.reported(call, usage, plain),
            Outcome::Unconfirmed { seen } => self.unconfirmed(call, seen.as_ref()),
        }
    }

    /// What a call is taken to have consumed whose final usage never came: what was seen, and where nothing was counted,
    /// bytes ÷ 4. How well that does on recorded answers is printed by `cargo bench --bench estimate`.
    #[must_use]
    pub fn estimate(call: &Called<'_>, outcome: &Outcome) -> Usage {
        estimated(call, outcome.usage())
    }

    fn reported(&self, call: &Called<'_>, usage: &Usage, plain: Bill) -> Bill {
        let mut bill = self.by_table(call, usage);
        if plain.basis != Basis::Reported {
            return bill;
        }
        bill.table = bill.total.filter(|_| bill.basis == Basis::Table && !usage.incomplete);
        bill.basis = Basis::Reported;
        bill.total = plain.total;
        if let Some(upstream) = usage.charge.as_ref().and_then(|charge| charge.upstream) {
            let router = usage.charge.as_ref().map(|charge| charge.usd).unwrap_or_default();
            bill.notes.push(format!(
                "two payees: ${router} to the router and ${upstream} to the owner of the key's provider"
            ));
        }
        if let (Some(total), Some(table)) = (bill.total, bill.table)
            && total != table
        {
            bill.notes.push(format!("the response states ${total}, the table says ${table}"));
        }
        bill
    }

    /// An estimate of what was seen, never above the bound.
    fn unconfirmed(&self, call: &Called<'_>, seen: Option<&Usage>) -> Bill {
        let ceiling = call.quote.and_then(|quote| quote.ceiling);
        let counted = seen.is_some_and(|usage| usage.quantities.values().any(|count| *count > 0));
        if !counted && call.answer_bytes == 0 {
            return match (ceiling, self.by_table(call, &Usage::default())) {
                (_, free) if free.basis == Basis::Free => free,
                (Some(ceiling), mut bill) => {
                    bill.basis = Basis::Ceiling;
                    (bill.total, bill.at_most) = (Some(ceiling), Some(ceiling));
                    bill.notes.push("nothing was heard of its usage: booked at the most that it can have cost".into());
                    bill
                }
                (None, mut bill) => {
                    (bill.basis, bill.total) = (Basis::Unpriced, None);
                    bill.notes
                        .push("nothing was heard of its usage, and the most that it can cost is not known".into());
                    bill
                }
            };
        }
        let guess = estimated(call, seen);
        let mut bill = self.by_table(call, &guess);
        if bill.basis == Basis::Table {
            bill.basis = Basis::Estimated;
            bill.total = bill.total.max(seen.and_then(|usage| usage.charge.as_ref()).map(|charge| charge.usd));
            bill.at_most = ceiling.max(bill.total.filter(|_| ceiling.is_some()));
            bill.notes.push("the final usage never came: estimated from what was seen".into());
        }
        bill
    }

    /// Usage × table.
    fn by_table(&self, call: &Called<'_>, usage: &Usage) -> Bill {
        let context = context_of(call.context, usage);
        let mut notes = Vec::new();
        let price = match self.served(call, &context, &mut notes) {
            Priced::Sheet(price) => price,
            Priced::Free(source) => {
                let mut bill = Bill::of(Basis::Free, Some(Usd::default()));
                (bill.price, bill.notes) = (Some(*source), notes);
                return bill;
            }
            Priced::Unpriced(reason) => return unpriced(reason, notes),
        };
        notes.extend(price.notes.clone());
        let mut lines = Vec::new();
        let mut missing = None;
        for part in parts(usage) {
            let inner = part.model.filter(|model| !same(model, &call.name.model));
            let priced = inner.map(|model| (model, self.price(&named(call.name, model), call.at, &context)));
            let done = match &priced {
                None => self::lines(&price, &part, None, usage, &mut lines, &mut notes),
                Some((model, Priced::Sheet(price))) => {
                    self::lines(price, &part, Some(model), usage, &mut lines, &mut notes)
                }
                Some((_, Priced::Free(_))) => Ok(()),
                Some((_, Priced::Unpriced(reason))) => Err(format!("a call inside it: {reason}")),
            };
            missing = missing.or(done.err());
        }
        let total = lines.iter().try_fold(Usd::default(), |sum, line| sum.checked_add(line.usd));
        let (basis, total) = match (&missing, total) {
            (None, Some(total)) => (Basis::Table, Some(total)),
            _ => (Basis::Unpriced, None),
        };
        notes.extend(missing);
        let mut seen = std::collections::BTreeSet::new();
        notes.retain(|note| seen.insert(note.clone()));
        Bill { basis, total, at_most: None, table: None, lines, price: Some(price.source), notes }
    }

    /// The price of the model that answered: of the name that was sent, unless the response names another model or the
    /// sent name has no price of its own (a router's alias, a deployment).
    fn served(&self, call: &Called<'_>, context: &Context, notes: &mut Vec<String>) -> Priced {
        let sent = self.price(call.name, call.at, context);
        let Some(served) = call.served.filter(|served| !served.is_empty() && !same(served, &call.name.model)) else {
            return sent;
        };
        let other = named(call.name, served);
        let key = |name| self.find(name).map(|found| found.entry.key).ok();
        let (asked, answered) = (key(call.name), key(&other));
        match (&asked, &answered) {
            // An alias of one entry, or a deployment that the user has mapped to it.
            (Some(asked), Some(answered)) if asked == answered || same(asked, served) => sent,
            (_, Some(_)) => {
                notes.push(format!("asked was {}, the response names {served}: priced as {served}", call.name.model));
                self.price(&other, call.at, context)
            }
            (Some(asked), None) if same(asked, served) => sent,
            (Some(_), None) if pins(served, &call.name.model) => {
                notes.push(format!("the response names {served}: priced as {}", call.name.model));
                sent
            }
            (Some(_), None) => Priced::Unpriced(format!(
                "asked was {}, the response names {served}, for which no price is known",
                call.name.model
            )),
            (None, None) => sent,
        }
    }
}

/// The context with what the usage object says of it: what was served, not what was wished.
fn context_of(context: &Context, usage: &Usage) -> Context {
    let mut all = context.clone();
    all.extend(usage.attributes.clone());
    all.extend(usage.service_tier.clone().map(|tier| ("service_tier".to_owned(), tier)));
    all
}

fn named(name: &ModelName, model: &str) -> ModelName {
    ModelName { model: model.to_owned(), ..name.clone() }
}

fn unpriced(reason: String, mut notes: Vec<String>) -> Bill {
    notes.push(reason);
    let mut bill = Bill::of(Basis::Unpriced, None);
    bill.notes = notes;
    bill
}

/// One model call: its tier is decided by its own prompt total.
struct Part<'a> {
    model: Option<&'a str>,
    quantities: &'a BTreeMap<Meter, u64>,
}

fn parts(usage: &Usage) -> Vec<Part<'_>> {
    if usage.iterations.is_empty() {
        return vec![Part { model: None, quantities: &usage.quantities }];
    }
    usage.iterations.iter().map(|one| Part { model: one.model.as_deref(), quantities: &one.quantities }).collect()
}

/// Appends the lines of one model call.
///
/// # Errors
/// The first meter that has no price; the lines of the others are made all the same.
fn lines(
    price: &Price,
    part: &Part<'_>,
    model: Option<&str>,
    usage: &Usage,
    lines: &mut Vec<Line>,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let prompt = part.quantities.iter().filter(|(meter, _)| meter.is_prompt());
    let mut prompt_total = prompt.map(|(_, count)| *count).fold(0, u64::saturating_add);
    let reaches_tier = price.tiers.first().is_some_and(|tier| tier.from.holds(prompt_total));
    if reaches_tier && usage.attributes.get("prompt_total").is_some_and(|word| word == "summed") {
        notes.push(format!("{prompt_total} prompt tokens are a sum over several calls: priced as if none was long"));
        prompt_total = 0;
    }
    let rates = price.tier(prompt_total);
    let mut missing = None;
    for (meter, quantity) in part.quantities.iter().filter(|(_, quantity)| **quantity > 0) {
        match line(price, &rates, *meter, *quantity, notes) {
            Ok((rate, usd)) => {
                lines.push(Line { meter: *meter, quantity: *quantity, rate, usd, model: model.map(str::to_owned) })
            }
            Err(reason) => missing = missing.or(Some(reason)),
        }
    }
    missing.map_or(Ok(()), Err)
}

/// The rate and the amount of a meter.
fn line(
    price: &Price,
    rates: &super::entry::Rates,
    meter: Meter,
    quantity: u64,
    notes: &mut Vec<String>,
) -> Result<(String, Usd), String> {
    let too_large = || format!("{quantity} of {} is more than can be counted", meter.key());
    if quote::counts_tokens(meter) {
        let rate = price.rate(rates, meter)?;
        notes.extend(rate.note);
        return Ok((rate.usd.to_string(), rate.usd.amount(quantity, 6).ok_or_else(too_large)?));
    }
    let fee =
        price.fees.get(meter.key()).ok_or_else(|| format!("{} has no fee for {}", price.source.entry, meter.key()))?;
    Ok((fee.value.to_string(), fee.value.amount(quantity, 3).ok_or_else(too_large)?))
}

/// What was probably consumed: the counts that were seen, and for what was not, the bytes that went and came.
fn estimated(call: &Called<'_>, seen: Option<&Usage>) -> Usage {
    let mut usage = seen.cloned().unwrap_or_default();
    if usage.prompt_total().is_none_or(|total| total == 0)
        && let Some(bytes) = call.request_bytes
    {
        usage.set(Meter::Input, bytes.div_ceil(BYTES_PER_TOKEN));
    }
    let came = call.answer_bytes.div_ceil(BYTES_PER_TOKEN);
    if usage.iterations.is_empty() && usage.get(Meter::Output).unwrap_or(0) < came {
        usage.set(Meter::Output, came);
    }
    usage
}
