//! `llmx ledger reprice`: what the booked calls would cost at other prices, kept beside the booked amounts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::call::priced_as;
use crate::command::desk::{Desk, env, now_ms};
use crate::command::logs::{note, opened, print};
use crate::command::{GlobalArgs, config};
use crate::domain::bill::{Basis, Bill, Outcome};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::instant::{since, utc};
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::record::{Price, Record, Settlement};
use crate::domain::repricing::{Cause, Counts, Difference, RepricingReport, Sum};
use crate::domain::usage::{Meter, Usage};
use crate::ledger::{LogFilter, Repriced, Repricing};
use crate::pricing::{Called, Moment, Prices};
use crate::provider::catalog::{Catalog, Row, Transport};
use crate::render::repricing;

pub const AFTER_HELP: &str = "\
Each call is billed again from the usage that was kept, for the instant at which it was made, the model that was asked
and that answered, its tier and its region. The run is kept in the ledger beside the booked amounts, never over them.
--table FILE stands in for your own pricing.toml and is laid over the bundled table in the same way.

JSON (schema 1; amounts are decimal strings in USD, null is unknown):
  run            the number of the kept run; null where there was no call
  since, since_ms
  tables         [{table, version, sha256}], the first before the others
  total          {calls, booked_usd, booked_missing, there_usd, there_missing, change_usd}: amounts are of the calls that
                 have one, *_missing counts those that have none, change_usd is of the calls that have both
  by_cause       [{cause, …as total}]  cause: price-changed, now-priced, now-unpriced, recounted (the usage is read
                 differently now), estimated (the final usage never came), stated (by the response or a person: no table
                 changes it), no-usage (nothing was kept that can be priced), unpriced (then and now), same
  by_model       [{model, …as total}]
  open           calls without a settlement: left out
  calls          [{id, opened, opened_ms, model, model_served, booked_usd, booked_basis, booked_price, there_usd,
                 there_basis, there_price, change_usd, cause, counts (raw, lines, none), notes}], oldest first
--list: {schema, runs: [{run, made, made_ms, table, version, sha256, because, calls, priced, usd}]}";

#[derive(Debug, Clone, Args)]
pub struct RepriceArgs {
    /// Only calls since a day (2026-11-01, UTC) or an age (12h, 7d, 2w)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// A pricing.toml in place of your own
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// List the runs that were kept
    #[arg(long, conflicts_with_all = ["since", "table"])]
    list: bool,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `ledger` where the books cannot be read or written, `config` for a flag or a table that cannot be.
pub fn run(args: &RepriceArgs) -> Result<u8, Failure> {
    if args.list {
        return list(args);
    }
    let since_ms = args.since.as_deref().map(instant).transpose()?;
    let prices = prices(args.table.as_deref())?;
    let catalog = Desk::open(&args.global, None)?.catalog;
    let mut books = opened(&args.global)?;
    let mut records = books.logs(&LogFilter { since_ms, limit: u32::MAX, ..LogFilter::default() })?;
    records.reverse();
    let mut rows = Rows { catalog: &catalog, known: BTreeMap::new() };
    let calls: Vec<Difference> =
        records.iter().filter_map(|record| difference(record, rows.row(&record.call.provider), &prices)).collect();
    let open = (records.len() - calls.len()) as u64;
    let mut report = report(calls, since_ms, open, &prices)?;
    if report.calls.is_empty() {
        note("no settled call is so: nothing to reprice", &args.global);
    } else {
        report.run = Some(books.keep_repricing(&kept(&report), now_ms())?);
    }
    let text = if args.json { format!("{}\n", repricing::object(&report)) } else { repricing::page(&report) };
    print(&text, &args.global)
}

fn list(args: &RepriceArgs) -> Result<u8, Failure> {
    let runs = opened(&args.global)?.repricings()?;
    if args.json {
        return print(&format!("{}\n", repricing::runs_object(&runs)), &args.global);
    }
    if runs.is_empty() {
        note("no run is kept", &args.global);
        return Ok(0);
    }
    print(&repricing::runs(&runs), &args.global)
}

fn instant(text: &str) -> Result<i64, Failure> {
    since(text, now_ms()).ok_or_else(|| {
        Failure::new(ErrorClass::Config, format!("--since {text}: no day and no age"))
            .advise("write 2026-11-01, 12h, 7d or 2w")
    })
}

fn prices(table: Option<&Path>) -> Result<Prices, Failure> {
    let Some(path) = table else {
        return config::prices(&env);
    };
    let name = path.display().to_string();
    let text = config::text(path)?
        .ok_or_else(|| Failure::new(ErrorClass::Config, format!("{name}: no such file")).advise("check --table"))?;
    Prices::with(&name, text)
        .map_err(|error| Failure::new(ErrorClass::Config, error.to_string()).advise("mend the file; nothing was kept"))
}

/// The rows of the catalog that were asked for, each read once.
struct Rows<'a> {
    catalog: &'a Catalog,
    known: BTreeMap<String, Option<Row>>,
}

impl Rows<'_> {
    fn row(&mut self, provider: &str) -> Option<&Row> {
        let known = self.known.entry(provider.to_owned());
        known.or_insert_with(|| self.catalog.row(provider).ok()).as_ref()
    }
}

/// A settled call beside its new bill; `None` while it is open.
fn difference(record: &Record, row: Option<&Row>, prices: &Prices) -> Option<Difference> {
    let settlement = &record.settled.as_ref()?.settlement;
    let (call, before) = (&record.call, record.total());
    let asked = ModelName { provider: call.provider.clone(), region: None, model: call.model.clone() };
    let (name, context) = priced_as(&asked, call.region.as_deref(), call.tier.as_deref(), &call.parameters);
    let basis = record.corrections.last().map_or(&settlement.basis, |correction| &correction.basis);
    let mut difference = Difference {
        id: call.id.clone(),
        opened_ms: record.opened_ms,
        model: name.to_string(),
        model_served: settlement.model_served.clone(),
        before,
        before_basis: basis.clone(),
        before_price: settlement.price.clone(),
        after: before,
        after_basis: basis.clone(),
        after_price: None,
        cause: Cause::Stated,
        counts: Counts::None,
        notes: Vec::new(),
    };
    let simulated = row.is_some_and(|row| row.transport == Transport::Sim);
    if simulated || is_stated(record, settlement) {
        return Some(difference);
    }
    if settlement.basis == Basis::Nothing.as_str() {
        return Some(Difference { cause: Cause::Same, ..difference });
    }
    let (mut usage, counts) = consumed(settlement, row, &call.model);
    if let (Some(usage), Some(false)) = (&mut usage, call.parameters["sum"]["long"].as_bool()) {
        // Which calls of an imported sum were long is not known.
        usage.attributes.insert("prompt_total".into(), "summed".into());
    }
    let outcome = outcome(settlement, usage);
    let called = Called {
        name: &name,
        served: settlement.model_served.as_deref(),
        at: Moment::from_ms(record.opened_ms),
        context: &context,
        quote: None,
        request_bytes: None,
        answer_bytes: 0,
        simulated: false,
    };
    let bill = prices.bill(&called, &outcome);
    difference.cause = cause(before, settlement, &outcome, &bill);
    difference.after = bill.total;
    difference.after_basis = bill.basis.as_str().to_owned();
    difference.after_price = bill.price.as_ref().map(Price::of);
    difference.counts = counts;
    difference.notes = bill.notes;
    Some(difference)
}

/// Whether the amount came from elsewhere than a table: the response or a person said it.
fn is_stated(record: &Record, settlement: &Settlement) -> bool {
    let bases = [Basis::Reported, Basis::Simulated].map(Basis::as_str);
    !record.corrections.is_empty() || settlement.because.is_some() || bases.contains(&settlement.basis.as_str())
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
/// booked lines is right, else the only one that the provider's dialects give; else the lines stand for themselves.
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
    if let Some(found) = booked.or(only) {
        let usage = readings.swap_remove(found);
        return (Some(Usage { service_tier: tier, ..usage }), Counts::Raw);
    }
    // The lines of a call that stayed unpriced although some had a price lack the meters that had none.
    let partial =
        settlement.basis == Basis::Unpriced.as_str() && settlement.lines.iter().any(|line| line.rate.is_some());
    if lines.is_empty() || partial {
        return (None, Counts::None);
    }
    (Some(Usage { quantities: lines, service_tier: tier, ..Usage::default() }), Counts::Lines)
}

fn same_counts(one: &Usage, other: &Usage) -> bool {
    counted(one) == counted(other)
}

/// The counts that make lines.
fn counted(usage: &Usage) -> BTreeMap<Meter, u64> {
    usage.quantities.iter().filter(|(_, count)| **count > 0).map(|(meter, count)| (*meter, *count)).collect()
}

/// The counts of the booked lines, those of inner calls with the call's own.
fn lines(settlement: &Settlement) -> BTreeMap<Meter, u64> {
    let mut counts = BTreeMap::new();
    for line in settlement.lines.iter().filter(|line| line.quantity > 0) {
        if let Some(meter) = Meter::of(&line.meter) {
            let count: &mut u64 = counts.entry(meter).or_default();
            *count = count.saturating_add(line.quantity);
        }
    }
    counts
}

fn cause(before: Option<Usd>, settlement: &Settlement, outcome: &Outcome, bill: &Bill) -> Cause {
    let Some(usage) = outcome.usage() else {
        // A model that is free is priced without a count.
        return match (bill.total, before) {
            (None, _) => Cause::NoUsage,
            (Some(_), None) => Cause::NowPriced,
            (after, before) if after == before => Cause::Same,
            (_, _) => Cause::PriceChanged,
        };
    };
    match (before, bill.total) {
        (None, None) => Cause::Unpriced,
        (Some(_), None) => Cause::NowUnpriced,
        (_, _) if bill.basis == Basis::Estimated => Cause::Estimated,
        (None, Some(_)) => Cause::NowPriced,
        (Some(before), Some(after)) if before == after => Cause::Same,
        _ if settlement.basis == Basis::Table.as_str() && counted(usage) != lines(settlement) => Cause::Recounted,
        _ => Cause::PriceChanged,
    }
}

fn report(
    calls: Vec<Difference>,
    since_ms: Option<i64>,
    open: u64,
    prices: &Prices,
) -> Result<RepricingReport, Failure> {
    let too_large =
        || Failure::new(ErrorClass::Ledger, "the amounts are too large to be added").advise("narrow it with --since");
    let tables = prices.tables().map(|table| [table.name().to_owned(), table.version(), table.sha256().to_owned()]);
    Ok(RepricingReport {
        run: None,
        since_ms,
        tables: tables.collect(),
        open,
        total: Sum::of(&calls).ok_or_else(too_large)?,
        by_cause: Sum::by(&calls, |call| call.cause).ok_or_else(too_large)?,
        by_model: Sum::by(&calls, |call| call.model.clone()).ok_or_else(too_large)?,
        calls,
    })
}

/// The run as the books keep it: without the calls that could not be computed.
fn kept(report: &RepricingReport) -> Repricing {
    let all = |part: usize| report.tables.iter().map(|table| table[part].as_str()).collect::<Vec<_>>().join(" + ");
    let calls = report.calls.iter().filter(|call| call.cause != Cause::NoUsage).map(|call| Repriced {
        id: call.id.clone(),
        total: call.after,
        entry: call.after_price.as_ref().map(|price| price.entry.clone()),
    });
    Repricing {
        table: all(0),
        version: all(1),
        sha256: all(2),
        because: report.since_ms.map_or("all calls".to_owned(), |since| format!("calls since {}", utc(since))),
        calls: calls.collect(),
    }
}
