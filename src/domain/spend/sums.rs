//! How a sum was made: every line of every bill as quantity × rate, and beside them what no line carries.

use std::collections::BTreeMap;

use super::ratio::divided;
use crate::domain::record::{Price, Record, RecordLine, Settlement};
use crate::domain::usage::Meter;

/// A sum taken apart. `lines` + `beside` + `rounding` are `picos`, to the picodollar.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// By model, then price, then meter.
    pub lines: Vec<Line>,
    pub beside: Vec<(Beside, Counted)>,
    /// What the lines amount to on the bills, each rounded, less what they are in sum.
    pub rounding: i128,
    /// The calls that have a line that was rounded.
    pub rounded: u64,
    pub picos: i128,
    pub calls: u64,
    /// Of the sum: estimates and ceilings, and the most that they can be.
    pub estimated: Counted,
    pub estimated_at_most: i128,
    /// Of the estimated: so many have no bound.
    pub boundless: u64,
    /// Of the sum: the simulator's.
    pub simulated: Counted,
    /// At no cost: written down as free, and nothing owed.
    pub free: u64,
    pub nothing: u64,
    /// Without a known amount, in no sum, with what was counted of them.
    pub unpriced: u64,
    pub unpriced_units: BTreeMap<String, u64>,
    /// Not ended, in no sum, and the ceilings that are known.
    pub open: u64,
    pub held: i128,
}

/// Calls, and what they amount to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub calls: u64,
    pub picos: i128,
}

/// Lines that have everything in common but the call.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub key: LineKey,
    pub quantity: i128,
    /// Quantity × rate, rounded half to even; where there is no rate, the amounts of the bills.
    pub picos: i128,
    pub calls: u64,
    pub sample: Sample,
}

/// What lines have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineKey {
    /// `provider/model`; of an inner call its own.
    pub model: String,
    /// The entry that the rates came from: table, version, digest, entry, row, day of the check.
    pub price: Option<[String; 6]>,
    /// Place of the meter among all meters, and its key.
    pub meter: (usize, String),
    pub per: u32,
    /// USD for `per` units after every factor; `None`: the amount is not quantity × rate.
    pub rate: Option<String>,
}

/// A call that the lines are of, as far as its price depends on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    pub provider: String,
    pub model: String,
    pub region: Option<String>,
    pub tier: Option<String>,
    pub tier_served: Option<String>,
    pub model_served: Option<String>,
    pub parameters: serde_json::Value,
    pub opened_ms: i64,
    pub prompt: u64,
}

/// Why an amount is on no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// The response stated the charge: what it is more or less than the lines.
    Reported,
    /// The last correction is the truth.
    Corrected,
    /// Settled by hand.
    ByHand,
    /// Estimated from what was seen, beyond the lines.
    Estimated,
    /// Booked at the most that it can have cost.
    Ceiling,
    Simulated,
    /// The bill has an amount and says no more.
    Other,
}

impl Beside {
    /// Its word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Beside::Reported => "reported",
            Beside::Corrected => "corrected",
            Beside::ByHand => "settled-by-hand",
            Beside::Estimated => "estimated",
            Beside::Ceiling => "ceiling",
            Beside::Simulated => "simulated",
            Beside::Other => "other",
        }
    }
}

impl Counted {
    fn add(&mut self, calls: u64, picos: i128) {
        self.calls = self.calls.saturating_add(calls);
        self.picos += picos;
    }
}

/// Lines and amounts that grow.
#[derive(Debug, Clone, Default)]
pub struct Summing {
    sums: Sums,
    /// The lines, and what they amount to on their bills.
    lines: BTreeMap<LineKey, (Line, i128)>,
    beside: BTreeMap<Beside, Counted>,
}

impl Summing {
    pub fn add(&mut self, record: &Record) {
        let Some(settled) = &record.settled else {
            self.sums.open = self.sums.open.saturating_add(1);
            self.sums.held += record.call.ceiling.map_or(0, |ceiling| i128::from(ceiling.picos));
            return;
        };
        let (settlement, requests) = (&settled.settlement, record.requests);
        self.sums.calls = self.sums.calls.saturating_add(requests);
        let Some(total) = record.total().map(|total| i128::from(total.picos)) else {
            self.sums.unpriced = self.sums.unpriced.saturating_add(requests);
            for line in &settlement.lines {
                let units = self.sums.unpriced_units.entry(line.meter.clone()).or_default();
                *units = units.saturating_add(line.quantity);
            }
            return;
        };
        self.sums.picos += total;
        self.remark(record, settlement, total);
        let mut rounded = false;
        let mut carried = 0;
        for line in &settlement.lines {
            let Some(amount) = line.amount.map(|amount| i128::from(amount.picos)) else { continue };
            carried += amount;
            rounded |= self.line(record, settlement, line, amount);
        }
        self.sums.rounded = self.sums.rounded.saturating_add(if rounded { requests } else { 0 });
        if total != carried {
            self.beside.entry(beside(record, settlement)).or_default().add(requests, total - carried);
        }
    }

    /// What is to be said of a call's amount.
    fn remark(&mut self, record: &Record, settlement: &Settlement, total: i128) {
        let (sums, requests) = (&mut self.sums, record.requests);
        let basis = record.corrections.last().map_or(&settlement.basis, |correction| &correction.basis);
        match basis.as_str() {
            "estimated" | "ceiling" => {
                sums.estimated.add(requests, total);
                let most = if record.corrections.is_empty() { settlement.at_most } else { None };
                sums.estimated_at_most += most.map_or(total, |most| i128::from(most.picos));
                sums.boundless = sums.boundless.saturating_add(if most.is_none() { requests } else { 0 });
            }
            "simulated" => sums.simulated.add(requests, total),
            "free" => sums.free = sums.free.saturating_add(requests),
            "nothing" => sums.nothing = sums.nothing.saturating_add(requests),
            _ => {}
        }
    }

    /// Adds a line; says whether its amount was rounded.
    fn line(&mut self, record: &Record, settlement: &Settlement, line: &RecordLine, amount: i128) -> bool {
        let exact = line.rate.as_deref().and_then(|rate| product(line.quantity.into(), rate, line.per));
        // An amount that is not what its rate makes of it stands for itself.
        let exact = exact.filter(|(picos, _)| (picos - amount).abs() <= 1);
        let call = &record.call;
        let place = Meter::of(&line.meter).and_then(|meter| Meter::ALL.iter().position(|one| *one == meter));
        let key = LineKey {
            model: format!("{}/{}", call.provider, line.model.as_ref().unwrap_or(&call.model)),
            price: settlement.price.as_ref().map(parts),
            meter: (place.unwrap_or(Meter::ALL.len()), line.meter.clone()),
            per: line.per,
            rate: line.rate.clone().filter(|_| exact.is_some()),
        };
        let (sum, booked) = self.lines.entry(key).or_insert_with_key(|key| {
            let sample = sample(record, settlement, line);
            (Line { key: key.clone(), quantity: 0, picos: 0, calls: 0, sample }, 0)
        });
        sum.quantity += i128::from(line.quantity);
        sum.calls = sum.calls.saturating_add(record.requests);
        *booked += amount;
        exact.is_some_and(|(_, whole)| !whole)
    }

    /// The sum as it is now.
    #[must_use]
    pub fn sums(self) -> Sums {
        let mut sums = self.sums;
        for (mut line, booked) in self.lines.into_values() {
            let rate = line.key.rate.as_deref();
            line.picos = rate.and_then(|rate| product(line.quantity, rate, line.key.per)).map_or(booked, |made| made.0);
            sums.rounding += booked - line.picos;
            sums.lines.push(line);
        }
        sums.beside = self.beside.into_iter().collect();
        sums
    }
}

fn parts(price: &Price) -> [String; 6] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        price.entry.clone(),
        text(&price.row_from),
        text(&price.checked),
        price.table.clone(),
        price.version.clone(),
        price.sha256.clone(),
    ]
}

fn sample(record: &Record, settlement: &Settlement, line: &RecordLine) -> Sample {
    let call = &record.call;
    let is_prompt = |line: &&RecordLine| Meter::of(&line.meter).is_some_and(Meter::is_prompt);
    let same_call = |one: &&RecordLine| one.model == line.model;
    let prompt = settlement.lines.iter().filter(is_prompt).filter(same_call).map(|line| line.quantity);
    Sample {
        provider: call.provider.clone(),
        model: line.model.as_ref().unwrap_or(&call.model).clone(),
        region: call.region.clone(),
        tier: call.tier.clone(),
        tier_served: settlement.tier.clone(),
        model_served: if line.model.is_none() { settlement.model_served.clone() } else { None },
        parameters: call.parameters.clone(),
        opened_ms: record.opened_ms,
        prompt: prompt.fold(0, u64::saturating_add),
    }
}

fn beside(record: &Record, settlement: &Settlement) -> Beside {
    if !record.corrections.is_empty() {
        return Beside::Corrected;
    }
    match settlement.basis.as_str() {
        "reported" if settlement.because.is_none() => Beside::Reported,
        "simulated" => Beside::Simulated,
        _ if settlement.because.is_some() => Beside::ByHand,
        "estimated" => Beside::Estimated,
        "ceiling" => Beside::Ceiling,
        _ => Beside::Other,
    }
}

/// `quantity` units at a decimal in USD for `per` of them, rounded half to even to a picodollar, and whether nothing had to be
/// rounded. `None`: no decimal, or too large.
fn product(quantity: i128, rate: &str, per: u32) -> Option<(i128, bool)> {
    let (whole, fraction) = rate.split_once('.').unwrap_or((rate, ""));
    let digits: i128 = [whole, fraction].concat().parse().ok().filter(|digits| *digits >= 0)?;
    let places = u32::try_from(fraction.len()).ok()?;
    let ten = |power: u32| 10_i128.checked_pow(power);
    let (digits, divisor) = match places.checked_sub(12) {
        None | Some(0) => (digits.checked_mul(ten(12 - places)?)?, i128::from(per)),
        Some(cut) => (digits, ten(cut)?.checked_mul(per.into())?),
    };
    let is_whole = digits.checked_mul(quantity).is_some_and(|product| divisor != 0 && product % divisor == 0);
    Some((divided(quantity, digits, divisor), is_whole))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

    use super::{Beside, Summing, product};
    use crate::domain::money::Usd;
    use crate::domain::record::{Correction, NewCall, Price, Record, RecordLine, Settled, Settlement};

    fn line(meter: &str, quantity: u64, per: u32, rate: &str) -> RecordLine {
        let (picos, _) = product(quantity.into(), rate, per).expect("a rate");
        let amount = Some(Usd::from_picos(i64::try_from(picos).expect("small")));
        RecordLine { meter: meter.into(), quantity, per, rate: Some(rate.into()), amount, model: None }
    }

    fn record(basis: &str, total: Option<i64>, lines: Vec<RecordLine>) -> Record {
        let price = Price { table: "bundled".into(), entry: "p/m".into(), ..Price::default() };
        let settlement = Settlement {
            basis: basis.into(),
            total: total.map(Usd::from_picos),
            price: Some(price),
            lines,
            ..Settlement::default()
        };
        Record {
            opened_ms: 0,
            call: NewCall { provider: "p".into(), model: "m".into(), ..NewCall::default() },
            settled: Some(Settled { finished_ms: 1, settlement }),
            corrections: Vec::new(),
            said: None,
            source: None,
            requests: 1,
        }
    }

    #[test]
    fn a_sum_is_its_lines_what_none_carries_and_what_rounding_left() {
        // 3 units at half a picodollar each are 1.5, rounded to 2; twice that is 3, and 4 was booked.
        let half = line("output", 3, 1_000_000, "0.0000005");
        assert_eq!(half.amount, Some(Usd::from_picos(2)));
        let mut corrected = record("table", Some(2), vec![half.clone()]);
        let proof = Correction {
            made_ms: 2,
            basis: "reported".into(),
            total: Some(Usd::from_picos(9)),
            because: "invoice".into(),
        };
        corrected.corrections.push(proof);
        let mut summing = Summing::default();
        summing.add(&record("table", Some(2), vec![half]));
        summing.add(&corrected);
        summing.add(&record("reported", Some(11), vec![line("input", 1, 1_000_000, "3")]));
        summing.add(&record("unpriced", None, vec![line("input", 70, 1_000_000, "3")]));
        summing.add(&record("nothing", Some(0), Vec::new()));
        summing.add(&Record { settled: None, ..record("", None, Vec::new()) });
        let sums = summing.sums();
        assert_eq!(sums.picos, 2 + 9 + 11);
        let lines: Vec<(&str, i128, i128)> =
            sums.lines.iter().map(|line| (line.key.meter.1.as_str(), line.quantity, line.picos)).collect();
        assert_eq!(lines, [("input", 1, 3_000_000), ("output", 6, 3)]);
        let beside: Vec<(Beside, i128)> = sums.beside.iter().map(|(why, counted)| (*why, counted.picos)).collect();
        assert_eq!(beside, [(Beside::Reported, 11 - 3_000_000), (Beside::Corrected, 7)]);
        assert_eq!((sums.rounding, sums.rounded), (1, 2));
        assert_eq!((sums.unpriced, sums.unpriced_units["input"], sums.nothing, sums.open), (1, 70, 1, 1));
    }

    #[test]
    fn an_amount_that_no_rate_makes_stands_for_itself() {
        let mut odd = line("input", 10, 1_000_000, "3");
        odd.amount = Some(Usd::from_picos(7));
        let mut summing = Summing::default();
        summing.add(&record("table", Some(7), vec![odd]));
        let sums = summing.sums();
        assert_eq!((sums.lines[0].key.rate.as_deref(), sums.lines[0].picos, sums.rounding), (None, 7, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn every_sum_adds_up(calls in proptest::collection::vec((0_u64..9_000_000, 0_u64..999_999, 0_u8..6, any::<i32>()), 0..40)) {
            let mut summing = Summing::default();
            let mut wanted = 0_i128;
            for (quantity, digits, basis, extra) in calls {
                let rate = format!("{}.{:013}", digits % 40, digits);
                let lines = vec![line("input", quantity, 1_000_000, &rate), line("web_search", quantity % 4, 1_000, "10")];
                let sum: i64 = lines.iter().filter_map(|line| line.amount).map(|amount| amount.picos).sum();
                let (basis, total) = match basis {
                    0 => ("unpriced", None),
                    1 => ("reported", Some(sum + i64::from(extra))),
                    2 => ("ceiling", Some(i64::from(extra).abs())),
                    3 => ("simulated", Some(i64::from(extra).abs())),
                    _ => ("table", Some(sum)),
                };
                wanted += i128::from(total.unwrap_or_default());
                summing.add(&record(basis, total, lines));
            }
            let sums = summing.sums();
            let lines: i128 = sums.lines.iter().map(|line| line.picos).sum();
            let beside: i128 = sums.beside.iter().map(|(_, counted)| counted.picos).sum();
            prop_assert_eq!(sums.picos, wanted);
            prop_assert_eq!(lines + beside + sums.rounding, wanted);
            prop_assert!(sums.rounding == 0 || sums.rounded > 0);
        }
    }
}
