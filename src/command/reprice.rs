//! `llmx ledger reprice`: what the booked calls would cost at other prices, kept beside the booked amounts.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::command::desk::Desk;
use crate::command::logs::{note, opened, print};
use crate::command::outside::{env, now_ms};
use crate::command::rebilled::{Consumed, Rows, counted, is_simulated, lines};
use crate::command::{GlobalArgs, config};
use crate::domain::bill::{Basis, Bill, Outcome};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::instant::{since, utc};
use crate::domain::money::Usd;
use crate::domain::record::{Price, Record, Settlement};
use crate::domain::repricing::{Cause, Counts, Difference, RepricingReport, Sum};
use crate::ledger::{LogFilter, Repriced, Repricing};
use crate::pricing::Prices;
use crate::provider::catalog::Row;
use crate::render::repricing;

pub const AFTER_HELP: &str = "\
Each call is billed again from the usage that was kept, for the instant at
which it was made, the model that was asked and that answered, its tier and its
region. The run is kept in the ledger beside the booked amounts, never over
them. --table FILE stands in for your own pricing.toml and is laid over the
bundled table in the same way.

JSON (schema 1; amounts are decimal strings in USD, null is unknown):
  run            the number of the kept run; null where there was no call
  since, since_ms
  tables         [{table, version, sha256}], the first before the others
  total          {calls, booked_usd, booked_missing, there_usd, there_missing,
                 change_usd}: amounts are of the calls that have one, *_missing
                 counts those that have none, change_usd is of the calls that
                 have both
  by_cause       [{cause, …as total}]  cause: price-changed, now-priced,
                 now-unpriced, recounted (the usage is read differently now),
                 estimated (the final usage never came), stated (by the
                 response or a person: no table changes it), no-usage (nothing
                 was kept that can be priced), unpriced (then and now), same
  by_model       [{model, …as total}]
  open           calls without a settlement: left out
  calls          [{id, opened, opened_ms, model, model_served, booked_usd,
                 booked_basis, booked_price, there_usd, there_basis,
                 there_price, change_usd, cause, counts (raw, lines, none),
                 notes}], oldest first
--list: {schema, runs: [{run, made, made_ms, table, version, sha256, because,
calls, priced, usd}]}";

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
    let mut rows = Rows::of(&catalog);
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

/// A settled call beside its new bill; `None` while it is open.
fn difference(record: &Record, row: Option<&Row>, prices: &Prices) -> Option<Difference> {
    let settlement = &record.settled.as_ref()?.settlement;
    let (call, before) = (&record.call, record.total());
    let consumed = Consumed::of(record, row)?;
    let basis = record.corrections.last().map_or(&settlement.basis, |correction| &correction.basis);
    let mut difference = Difference {
        id: call.id.clone(),
        opened_ms: record.opened_ms,
        model: consumed.name.to_string(),
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
    if row.is_some_and(is_simulated) || is_stated(record, settlement) {
        return Some(difference);
    }
    if settlement.basis == Basis::Nothing.as_str() {
        return Some(Difference { cause: Cause::Same, ..difference });
    }
    let bill = consumed.bill(prices);
    difference.cause = cause(before, settlement, &consumed.outcome, &bill);
    difference.after = bill.total;
    difference.after_basis = bill.basis.as_str().to_owned();
    difference.after_price = bill.price.as_ref().map(Price::of);
    difference.counts = consumed.counts;
    difference.notes = bill.notes;
    Some(difference)
}

/// Whether the amount came from elsewhere than a table: the response or a person said it.
fn is_stated(record: &Record, settlement: &Settlement) -> bool {
    let bases = [Basis::Reported, Basis::Simulated].map(Basis::as_str);
    !record.corrections.is_empty() || settlement.because.is_some() || bases.contains(&settlement.basis.as_str())
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
