//! `llmx usage savings`: what caching, service tiers and routes saved, losses among them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use clap::Args;

use super::asked::AskedArgs;
use crate::command::desk::Desk;
use crate::command::logs::{opened, print};
use crate::command::outside::{env, now_ms};
use crate::command::rebilled::{Consumed, Rows, is_simulated};
use crate::command::{GlobalArgs, colour, config};
use crate::domain::bill::Basis;
use crate::domain::failure::Failure;
use crate::domain::model::ModelName;
use crate::domain::record::{Record, RecordLine, Settlement};
use crate::domain::spend::heading::Heading;
use crate::domain::spend::savings::{Caching, Route, Savings, Tier, amount};
use crate::domain::usage::{Meter, Usage};
use crate::pricing::{Prices, mode_word};
use crate::render::terminal::Terminal;
use crate::render::usage::savings as face;

pub const AFTER_HELP: &str = "\
Each part is what its absence alone would have cost more, all else as it was. A
loss is a saving below zero.
  caching   tokens read from a cache against the plain input rate, less what
            writing them cost more than it; at the rates of the call's own
            lines, and where it has no plain line at the price row of its
            instant
  tiers     calls that were served as batch, flex or priority against the same
            calls at standard prices
  routes    calls whose model a route chose against the dearest model that the
            same route used in the period, with the same counts of tokens;
            attempts that another one replaced count as paid, and are not made
            on the other model

JSON (schema 1; amounts are decimal strings in USD, null is unknown):
  made_ms, period {from, to, zone, label}, filter, calls, open, simulated,
  saved_usd
  caching        {saved_usd, read_saved_usd, write_paid_usd, calls, by_row,
                 stated, unknown, prompt_tokens, read_tokens, written_tokens,
                 hit_percent, reads_per_write, break_even}, and models [{model,
                 …the same}]
  tiers          [{tier, saved_usd, standard_usd, calls, unknown}]
  routes         [{route, saved_usd, booked_usd, dearest, calls, unknown,
                 models [{model, usd}]}]";

/// Models of a route that calls are priced on: a route with more is compared with these, the ones that were met first.
const ROUTE_MODELS_MAX: usize = 12;

#[derive(Debug, Clone, Args)]
pub struct SavingsArgs {
    #[command(flatten)]
    asked: AskedArgs,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `config` for a flag that cannot be, `ledger` where the books cannot be read.
pub fn run(args: &SavingsArgs) -> Result<u8, Failure> {
    let desk = Desk::open(&args.global, None)?;
    let question = args.asked.question("7d", &[])?;
    let prices = config::prices(&env)?;
    let books = opened(&args.global)?;
    let mut rows = Rows::of(&desk.catalog);
    let mut found = Found::default();
    books.walk(&question, |record| {
        let row = rows.row(&record.call.provider);
        let simulated = row.is_some_and(is_simulated);
        match (Consumed::of(&record, row), &record.settled) {
            (_, Some(_)) if simulated => found.simulated += record.requests,
            (Some(call), Some(settled)) => found.add(&record, &settled.settlement, &call, &prices),
            (_, _) => found.open += record.requests,
        }
        ControlFlow::Continue(())
    })?;
    // What a route's calls come to on its other models can be told only when all of these are known.
    let mut routes = found.routed();
    if routes.values().any(|routed| routed.models.len() > 1) {
        books.walk(&question, |record| {
            let row = rows.row(&record.call.provider);
            if let (Some(route), Some(call)) = (&record.call.route, Consumed::of(&record, row))
                && let Some(routed) = routes.get_mut(route)
            {
                routed.add(&record, &call, found.is_replaced(&record), &prices);
            }
            ControlFlow::Continue(())
        })?;
    }

    let filter = args.asked.filter.clone().unwrap_or_default();
    let report = found.report(Heading { made_ms: now_ms(), period: question.period, filter }, routes);
    let screen = Terminal::new(colour(args.global.color), args.global.quiet, env).out;
    let text = match args.json {
        true => face::json(&report),
        false => face::page(&report, screen.width),
    };
    print(&text, &args.global)
}

/// What the calls add up to.
#[derive(Default)]
struct Found {
    calls: u64,
    open: u64,
    simulated: u64,
    models: BTreeMap<String, Caching>,
    tiers: BTreeMap<String, Tier>,
    /// The models that each route used.
    routes: BTreeMap<String, BTreeSet<ModelName>>,
    /// The last attempt of each call of a route that has several, by the id of the first.
    attempts: HashMap<String, String>,
}

impl Found {
    fn add(&mut self, record: &Record, settlement: &Settlement, call: &Consumed, prices: &Prices) {
        self.calls += record.requests;
        let model = format!("{}/{}", record.call.provider, record.call.model);
        let caching = caching(record, settlement, call, prices);
        self.models.entry(model).or_default().add(&caching);
        if let Some((word, tier)) = tier(record, settlement, call, prices) {
            let sum = self.tiers.entry(word).or_default();
            sum.calls += tier.calls;
            sum.unknown += tier.unknown;
            sum.standard += tier.standard;
            sum.saved += tier.saved;
        }
        if let Some(route) = &record.call.route {
            let models = self.routes.entry(route.clone()).or_default();
            if models.len() < ROUTE_MODELS_MAX && call.usage().is_some() {
                models.insert(call.name.clone());
            }
            if let Some(first) = &record.call.retry_of {
                self.attempts.insert(first.clone(), record.call.id.clone());
            }
        }
    }

    fn is_replaced(&self, record: &Record) -> bool {
        let first = record.call.retry_of.as_ref().unwrap_or(&record.call.id);
        self.attempts.get(first).is_some_and(|last| *last != record.call.id)
    }

    fn routed(&self) -> BTreeMap<String, Routed> {
        let routed = |models: &BTreeSet<ModelName>| Routed {
            models: models.iter().map(|name| (name.clone(), 0)).collect(),
            ..Routed::default()
        };
        self.routes.iter().map(|(route, models)| (route.clone(), routed(models))).collect()
    }

    fn report(self, heading: Heading, routes: BTreeMap<String, Routed>) -> Savings {
        let mut caching = Caching::default();
        self.models.values().for_each(|model| caching.add(model));
        // The rates of different models are no rate of them all.
        (caching.read_gain, caching.write_premium) = (None, None);
        let mut cached_models: Vec<(String, Caching)> =
            self.models.into_iter().filter(|(_, model)| model.read + model.written > 0).collect();
        cached_models.sort_by_key(|(_, model)| std::cmp::Reverse(model.net()));
        let mut tiers: Vec<(String, Tier)> = self.tiers.into_iter().collect();
        tiers.sort_by_key(|(_, tier)| std::cmp::Reverse(tier.saved));
        let routes = routes.into_iter().map(|(name, routed)| (name, routed.route())).collect();
        let Found { calls, open, simulated, .. } = Found { models: BTreeMap::new(), tiers: BTreeMap::new(), ..self };
        Savings { heading, calls, open, simulated, caching, cached_models, tiers, routes }
    }
}

/// Meters of cached tokens, and the meter that the same tokens would have been counted by.
const CACHED: [(Meter, Meter); 4] = [
    (Meter::CacheRead, Meter::Input),
    (Meter::CacheReadAudio, Meter::AudioIn),
    (Meter::CacheWrite5m, Meter::Input),
    (Meter::CacheWrite1h, Meter::Input),
];

fn is_read(meter: Meter) -> bool {
    matches!(meter, Meter::CacheRead | Meter::CacheReadAudio)
}

/// What the caches did for one call.
fn caching(record: &Record, settlement: &Settlement, call: &Consumed, prices: &Prices) -> Caching {
    let mut found = Caching::default();
    let lines = settlement.lines.iter().filter(|line| line.quantity > 0);
    let metered: Vec<(&RecordLine, Meter)> =
        lines.filter_map(|line| Meter::of(&line.meter).map(|meter| (line, meter))).collect();
    for (line, meter) in &metered {
        found.prompt += if meter.is_prompt() { line.quantity } else { 0 };
        if CACHED.iter().any(|(cached, _)| cached == meter) {
            let place = if is_read(*meter) { &mut found.read } else { &mut found.written };
            *place += line.quantity;
        }
    }
    if found.read + found.written == 0 {
        return found;
    }
    let mut by_row = false;
    for (line, meter) in &metered {
        let Some((_, plain)) = CACHED.iter().find(|(cached, _)| cached == meter) else { continue };
        let own = metered.iter().find(|(other, meter)| meter == plain && other.model == line.model);
        let rate = match own.and_then(|(other, _)| other.rate.clone()) {
            Some(rate) => Some(rate),
            None => {
                by_row = true;
                row_rate(settlement, call, *plain, prices)
            }
        };
        let plainly = rate.as_deref().and_then(|rate| amount(rate, line.quantity, line.per));
        let (Some(plainly), Some(booked), Some(rate)) = (plainly, line.amount, rate) else {
            let Caching { prompt, read, written, .. } = found;
            return Caching { prompt, read, written, unknown: record.requests, ..Caching::default() };
        };
        let saved = plainly - i128::from(booked.picos);
        let each = |rate: &str| amount(rate, 1_000_000, line.per);
        let gain = each(&rate).zip(line.rate.as_deref().and_then(each)).map(|(plain, cached)| plain - cached);
        if is_read(*meter) {
            found.read_saved += saved;
            found.read_gain = gain;
        } else {
            found.write_paid -= saved;
            found.write_premium = gain.map(|gain| -gain);
        }
    }
    found.calls = record.requests;
    found.by_row = if by_row { record.requests } else { 0 };
    found.stated = if settlement.basis == Basis::Reported.as_str() { record.requests } else { 0 };
    found
}

/// The plain rate of the call's instant; `None` where its price row no longer gives what was booked.
fn row_rate(settlement: &Settlement, call: &Consumed, plain: Meter, prices: &Prices) -> Option<String> {
    is_as_booked(settlement, call, prices)?;
    // One more token at the plain rate, and one cached token less: the prompt, and so its tier, stays as long as it was.
    let other = call.with(|usage| {
        let cached = CACHED
            .iter()
            .find(|(cached, instead)| *instead == plain && usage.get(*cached).is_some_and(|count| count > 0));
        if let Some((cached, _)) = cached {
            let count = usage.get(*cached).unwrap_or_default();
            usage.set(*cached, count - 1);
            usage.set(plain, 1);
        }
    });
    let bill = other.bill(prices);
    bill.lines.into_iter().find(|line| line.meter == plain && line.model.is_none()).map(|line| line.rate)
}

/// What the lines amount to, where the tables still say the same.
fn is_as_booked(settlement: &Settlement, call: &Consumed, prices: &Prices) -> Option<i128> {
    let booked = settlement.lines.iter().try_fold(0_i128, |sum, line| Some(sum + i128::from(line.amount?.picos)))?;
    let bill = call.bill(prices);
    let lines: i128 = bill.lines.iter().map(|line| i128::from(line.usd.picos)).sum();
    let is_whole = matches!(bill.basis, Basis::Table | Basis::Estimated) && !bill.lines.is_empty();
    (is_whole && lines == booked).then_some(booked)
}

/// The tier that served a call, where it is none of the standard ones, and what the call comes to without it.
fn tier(record: &Record, settlement: &Settlement, call: &Consumed, prices: &Prices) -> Option<(String, Tier)> {
    let usage = call.usage()?;
    let served = usage.service_tier.as_ref().or_else(|| call.context.get("service_tier"));
    let word = served.and_then(|word| mode_word(word))?;
    let mut standard = call.with(|usage| usage.service_tier = None);
    standard.context.remove("service_tier");
    let amounts = is_as_booked(settlement, call, prices).zip(standard.bill(prices).total);
    let tier = match amounts {
        None => Tier { unknown: record.requests, ..Tier::default() },
        Some((booked, standard)) => {
            let standard = i128::from(standard.picos);
            Tier { calls: record.requests, unknown: 0, standard, saved: standard - booked }
        }
    };
    Some((word, tier))
}

/// A route's calls on each model that it used.
#[derive(Default)]
struct Routed {
    models: Vec<(ModelName, i128)>,
    calls: u64,
    unknown: u64,
    booked: i128,
}

impl Routed {
    fn add(&mut self, record: &Record, call: &Consumed, replaced: bool, prices: &Prices) {
        let Some(usage) = call.usage() else { return };
        let on = |name: &ModelName| -> Option<i128> {
            if replaced {
                return Some(0);
            }
            if *name == call.name {
                return record.total().map(|total| total.picos.into());
            }
            elsewhere(call, usage, name).bill(prices).total.map(|total| total.picos.into())
        };
        let amounts: Option<Vec<i128>> = self.models.iter().map(|(name, _)| on(name)).collect();
        let (Some(amounts), Some(booked)) = (amounts, record.total()) else {
            self.unknown += record.requests;
            return;
        };
        self.calls += record.requests;
        self.booked += i128::from(booked.picos);
        for ((_, sum), amount) in self.models.iter_mut().zip(amounts) {
            *sum += amount;
        }
    }

    fn route(self) -> Route {
        let models = self.models.into_iter().map(|(name, picos)| (name.to_string(), picos)).collect();
        Route { calls: self.calls, unknown: self.unknown, booked: self.booked, models }
    }
}

/// The call as if it had been made to another model, at standard prices.
fn elsewhere(call: &Consumed, usage: &Usage, name: &ModelName) -> Consumed {
    let mut there = call.with(|other| {
        *other = Usage { quantities: usage.quantities.clone(), ..Usage::default() };
    });
    (there.name, there.served) = (name.clone(), None);
    there.context.clear();
    if let Some(region) = &name.region {
        there.context.insert("location".into(), region.clone());
    }
    there
}
