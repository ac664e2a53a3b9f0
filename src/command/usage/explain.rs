//! `llmx usage explain`: why a period cost more or less than another.

use std::ops::ControlFlow;

use clap::Args;

use super::asked::AskedArgs;
use crate::command::logs::{opened, print};
use crate::command::outside::{env, now_ms};
use crate::command::{GlobalArgs, colour};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::spend::Question;
use crate::domain::spend::causes::{Side, split};
use crate::domain::spend::period::Period;
use crate::domain::untrusted::json_line;
use crate::ledger::Ledger;
use crate::render::terminal::Terminal;
use crate::render::usage::causes::{self, Changed, Told};

pub const AFTER_HELP: &str = "\
Examples:
  llmx usage explain                                  the last 7 days against the 7 before
  llmx usage explain 2026-11 vs 2026-10               a month against another
  llmx usage explain 2026-11-16..2026-11-22 --where 'project=pay'

The parts are exact and add up to the difference; -j has them to the
picodollar. Each project is split for itself:
  calls           more or fewer of them, at what a call cost before
  model-mix       what other models (or regions) took over
  input-size, output-size, reasoning   tokens a call, at the rates of before
  cache-hits      prompt tokens that a cache served or kept, or no longer
  tools-and-fees  searches and what else is charged by use
  price           the same tokens at other rates
  failures        attempts that failed and were billed, models that stood in,
                  answers that were lost
  other-charges   what no line carries: providers' own charges, corrections,
                  ceilings
  unknown-price   calls without a known price that took the place of others

JSON (schema 1): zone, now and before {from, to, days, usd, usd_per_day, calls,
failed, failed_usd, unpriced, open, input, cache_read, cache_write, output,
reasoning, fees}, difference_usd, cause (the largest part in its direction),
said, parts {cause: usd}, projects [{project, parts}], rates [{model, meter,
before_usd_per_million, now_usd_per_million, usd}], carried_by {project, user,
team, model, tag:KEY: [{value, usd, now_usd, before_usd, now_calls,
before_calls}]}";

#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ExplainArgs {
    #[command(flatten)]
    asked: AskedArgs,
    /// The period it is held against: `vs 2026-10` (else as many days just before)
    #[arg(value_name = "vs PERIOD", num_args = 0..=2)]
    against: Vec<String>,
    /// So many projects, users, teams, models and values of each tag; the others together
    #[arg(short, long, value_name = "NUMBER")]
    number: Option<usize>,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `ledger` where the books cannot be read, `config` for periods, a filter or a zone that cannot be.
pub fn run(args: &ExplainArgs) -> Result<u8, Failure> {
    let now = args.asked.question("7d", &[])?;
    let before = Question { period: against(args, &now.period)?, ..now.clone() };
    if now.period.first < before.period.after && before.period.first < now.period.after {
        let said =
            format!("the periods overlap: {} and {} have days in common", now.period.label(), before.period.label());
        return Err(
            Failure::new(ErrorClass::Config, said).advise("a call cannot be both before and now: choose periods apart")
        );
    }
    let books = opened(&args.global)?;
    let (side_before, side_now) = (side(&books, &before)?, side(&books, &now)?);
    let changed = Changed {
        split: split(&side_before, &side_now),
        before: told(&before.period, &side_before),
        now: told(&now.period, &side_now),
        zone: now.period.zone.name().to_owned(),
        unfinished: unfinished(&now.period),
    };
    let text = if args.json {
        json_line(&causes::object(&changed))
    } else {
        let screen = Terminal::new(colour(args.global.color), args.global.quiet, env).out;
        causes::page(&changed, args.number, screen.width)
    };
    print(&text, &args.global)
}

/// The period before: `vs` and a period, or as many days just before.
fn against(args: &ExplainArgs, now: &Period) -> Result<Period, Failure> {
    let words: Vec<&str> = args.against.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => now.previous().ok_or_else(|| {
            Failure::new(ErrorClass::Config, "there is no period before it").advise("name one: vs 2026-10")
        }),
        ["vs", period] => args.asked.period(period),
        ["vs"] => Err(Failure::new(ErrorClass::Config, "vs: a period is missing behind it").advise("vs 2026-10")),
        [other, ..] => Err(Failure::new(ErrorClass::Config, format!("{other}: not understood here"))
            .advise("write two periods with vs between them: 2026-11 vs 2026-10")),
    }
}

fn side(books: &Ledger, question: &Question) -> Result<Side, Failure> {
    let mut side = Side::default();
    books.walk(question, |record| {
        side.add(&record);
        ControlFlow::Continue(())
    })?;
    Ok(side)
}

fn told(period: &Period, side: &Side) -> Told {
    Told {
        label: period.label(),
        first: period.first.to_string(),
        last: period.after.yesterday().unwrap_or(period.after).to_string(),
        days: period.count(),
        sums: side.sums.clone(),
    }
}

/// The last day of a period that is not over.
fn unfinished(period: &Period) -> Option<String> {
    let ends_ms = period.span().to_ms?;
    let last = period.after.yesterday().ok()?;
    (now_ms() < ends_ms).then(|| last.strftime("%a %-d %b %Y").to_string())
}
