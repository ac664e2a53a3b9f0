//! `llmx usage waste`: what was paid for nothing, and which calls to look at.

use std::collections::HashMap;
use std::ops::ControlFlow;

use clap::Args;

use super::asked::AskedArgs;
use crate::command::desk::Desk;
use crate::command::logs::{opened, print};
use crate::command::outside::{env, now_ms};
use crate::command::rebilled::{Consumed, Rows, is_simulated};
use crate::command::{GlobalArgs, colour, config};
use crate::domain::bill::Basis;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::instant::age;
use crate::domain::record::{Record, Settlement};
use crate::domain::spend::heading::Heading;
use crate::domain::spend::waste::{Item, Kind, Part, Waste};
use crate::domain::usage::{Meter, Usage};
use crate::ledger::Beside;
use crate::pricing::Prices;
use crate::render::terminal::Terminal;
use crate::render::usage::waste as face;

pub const AFTER_HELP: &str = "\
A call is in one part at most: the first of these that fits claims it.
  held       it has not ended and holds its ceiling: not spent, not in the sum;
             see `llmx ledger open`
  replaced   it was billed, and a retry, a fallback or the next model of a
             cascade was asked in its place
  failed     it was billed and failed, and nothing was asked in its place
  again      the same model was asked the same, with the same settings, at most
             --within before, and had answered; calls of one comparison and the
             probes of test-access are meant. Only where conversations are kept
  rebuilt    in a session: nothing came from the cache although the call before
             it had filled it, and at least four fifths of that prompt were
             written anew. Either the cache had expired, at most twelve of its
             lifetimes before, or the prompt's beginning had changed. Lost is
             what a read would have cost less; the rest of the call is not
  cut        the answer ended at the output cap: perhaps of use, not in the sum
  stopped    the user or the reader went away: perhaps of use, not in the sum

JSON (schema 1; amounts are decimal strings in USD, null is unknown):
  made_ms, period {from, to, zone, label}, filter, within_ms, calls,
  booked_usd, unpriced, simulated, without_text, lost_usd
  parts          [{kind, lost, calls, usd, unknown, uncertain, top [{id,
                 opened, opened_ms, model, project, usd, why}]}]";

/// A cache that expired longer ago, in lifetimes, was not rebuilt but built.
const LIFETIMES: i64 = 12;
const FIVE_MINUTES_MS: i64 = 5 * 60_000;
const HOUR_MS: i64 = 60 * 60_000;

#[derive(Debug, Clone, Args)]
pub struct WasteArgs {
    #[command(flatten)]
    asked: AskedArgs,
    /// How long after a call the same request counts as the same again: 30m, 24h, 7d
    #[arg(long, value_name = "AGE", default_value = "24h")]
    within: String,
    /// The most calls that are shown of each part
    #[arg(short, long, value_name = "TOP", default_value_t = 3)]
    number: usize,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `config` for a flag that cannot be, `ledger` where the books cannot be read.
pub fn run(args: &WasteArgs) -> Result<u8, Failure> {
    let desk = Desk::open(&args.global, None)?;
    let question = args.asked.question("7d", &[])?;
    let prices = config::prices(&env)?;
    let within_ms = age(&args.within).filter(|within| *within > 0).ok_or_else(|| {
        Failure::new(ErrorClass::Config, format!("--within {}: no length of time", args.within))
            .advise("write 30m, 24h or 7d")
    })?;
    let filter = args.asked.filter.clone().unwrap_or_default();
    let mut waste = Waste {
        heading: Heading { made_ms: now_ms(), period: question.period.clone(), filter },
        within_ms,
        calls: 0,
        picos: 0,
        unpriced: 0,
        simulated: 0,
        without_text: 0,
        parts: Kind::ALL.map(|kind| (kind, Part::default())),
    };
    let mut rows = Rows::of(&desk.catalog);
    let mut caches = Caches::default();
    opened(&args.global)?.walk_again(&question, within_ms, |record, beside| {
        let row = rows.row(&record.call.provider);
        if row.is_some_and(is_simulated) {
            waste.simulated += record.requests;
            return ControlFlow::Continue(());
        }
        if record.settled.is_some() {
            waste.calls += record.requests;
            waste.picos += record.total().map_or(0, |total| i128::from(total.picos));
            waste.unpriced += if record.total().is_none() { record.requests } else { 0 };
            waste.without_text += if beside.has_text { 0 } else { record.requests };
        }
        let call = Consumed::of(&record, row);
        let rebuilt = caches.meet(&record, call.as_ref());
        if let Some((kind, picos, why)) = claim(&record, &beside, call.as_ref(), rebuilt, &prices) {
            add(&mut waste, &record, kind, picos, why, args.number);
        }
        ControlFlow::Continue(())
    })?;

    let screen = Terminal::new(colour(args.global.color), args.global.quiet, env).out;
    let text = match args.json {
        true => face::json(&waste),
        false => face::page(&waste, screen.width),
    };
    print(&text, &args.global)
}

fn add(waste: &mut Waste, record: &Record, wanted: Kind, picos: Option<i128>, why: String, most: usize) {
    let call = &record.call;
    let basis = record.settled.as_ref().map_or("", |settled| settled.settlement.basis.as_str());
    let uncertain =
        record.corrections.is_empty() && [Basis::Estimated, Basis::Ceiling].iter().any(|one| one.as_str() == basis);
    let item = Item {
        id: call.id.clone(),
        opened_ms: record.opened_ms,
        model: format!("{}/{}", call.provider, call.model),
        project: call.project.clone(),
        picos,
        why,
    };
    if let Some((_, part)) = waste.parts.iter_mut().find(|(kind, _)| *kind == wanted) {
        part.add(item, uncertain, most);
    }
}

/// Why a call is looked at, and what was lost with it in picodollars.
fn claim(
    record: &Record,
    beside: &Beside,
    call: Option<&Consumed>,
    rebuilt: Option<Rebuilt>,
    prices: &Prices,
) -> Option<(Kind, Option<i128>, String)> {
    let total = record.total().map(|total| i128::from(total.picos));
    let (Some(settled), Some(call)) = (&record.settled, call) else {
        let ceiling = record.call.ceiling.map(|ceiling| i128::from(ceiling.picos));
        return Some((Kind::Held, ceiling, "has not ended".into()));
    };
    let settlement = &settled.settlement;
    // What is known to have cost nothing is no waste.
    if total == Some(0) {
        return None;
    }
    let failed = settlement.error_class.as_deref();
    if let Some(other) = &beside.replaced_by {
        return Some((Kind::Replaced, total, format!("{}; {other} in its place", failed.unwrap_or("answered"))));
    }
    if let Some(class) = failed {
        return Some((Kind::Failed, total, class.to_owned()));
    }
    if let Some(first) = &beside.same_as {
        return Some((Kind::Again, total, format!("as {first}")));
    }
    if let Some(rebuilt) = rebuilt
        && let Some(lost) = lost(settlement, call, rebuilt.tokens, prices)
    {
        return Some((Kind::Rebuilt, Some(lost), rebuilt.told()));
    }
    if let Some(stopped) = &settlement.stopped {
        return Some((Kind::Stopped, total, stopped.clone()));
    }
    (settlement.stop_reason.as_deref() == Some("length")).then(|| (Kind::Cut, total, "length".into()))
}

/// What so many tokens that were written would have cost less as a read. `None`: the tables no longer say what was booked.
fn lost(settlement: &Settlement, call: &Consumed, tokens: u64, prices: &Prices) -> Option<i128> {
    let as_is = call.bill(prices);
    let sum = |lines: i128, line: i64| lines + i128::from(line);
    let booked = settlement.lines.iter().try_fold(0, |lines, line| Some(sum(lines, line.amount?.picos)))?;
    let now = as_is.lines.iter().fold(0, |lines, line| sum(lines, line.usd.picos));
    let other = call.with(|usage| {
        let mut left = tokens;
        for meter in WRITES {
            let written = usage.get(meter).unwrap_or_default();
            let moved = written.min(left);
            usage.set(meter, written - moved);
            left -= moved;
        }
        let read = usage.get(Meter::CacheRead).unwrap_or_default();
        usage.set(Meter::CacheRead, read + tokens - left);
    });
    let read = other.bill(prices).total?;
    (as_is.total.is_some() && booked == now).then(|| now - i128::from(read.picos)).filter(|lost| *lost > 0)
}

const WRITES: [Meter; 2] = [Meter::CacheWrite1h, Meter::CacheWrite5m];

/// A cache that was filled anew.
#[derive(Debug, Clone, Copy)]
struct Rebuilt {
    /// The tokens that it had held.
    tokens: u64,
    since_ms: i64,
    lifetime_ms: i64,
}

impl Rebuilt {
    fn told(self) -> String {
        let minutes = self.since_ms / 60_000;
        match self.since_ms > self.lifetime_ms {
            true => format!("expired: {minutes} min after the call before it"),
            false => format!("changed: {minutes} min after the call before it"),
        }
    }
}

/// What each session had sent last to each model, as far as a cache may have held it.
#[derive(Default)]
struct Caches {
    last: HashMap<(String, String, String), Filled>,
    cleared_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Filled {
    at_ms: i64,
    prompt: u64,
    lifetime_ms: i64,
    /// Something was read from the cache or written to it.
    is_cached: bool,
}

impl Caches {
    /// Takes note of a call; `Some` where it filled anew what the call before it had filled.
    fn meet(&mut self, record: &Record, call: Option<&Consumed>) -> Option<Rebuilt> {
        let (made, at_ms) = (&record.call, record.opened_ms);
        if at_ms - self.cleared_ms > HOUR_MS {
            self.last.retain(|_, filled| at_ms - filled.at_ms <= LIFETIMES * filled.lifetime_ms);
            self.cleared_ms = at_ms;
        }
        let usage = call.and_then(Consumed::usage).filter(|_| record.requests == 1)?;
        let key = (made.session.clone()?, made.provider.clone(), made.model.clone());
        let count = |meters: &[Meter]| meters.iter().filter_map(|meter| usage.get(*meter)).fold(0, u64::saturating_add);
        let (read, written) = (count(&[Meter::CacheRead, Meter::CacheReadAudio]), count(&WRITES));
        let before = self.last.get(&key).copied();
        let for_an_hour = usage.get(Meter::CacheWrite1h).is_some_and(|written| written > 0);
        let kept_ms = before.filter(|_| written == 0).map(|before| before.lifetime_ms);
        let lifetime_ms = kept_ms.unwrap_or(if for_an_hour { HOUR_MS } else { FIVE_MINUTES_MS });
        let prompt = Usage::prompt_total(usage).unwrap_or_default();
        self.last.insert(key, Filled { at_ms, prompt, lifetime_ms, is_cached: read + written > 0 });
        let before = before.filter(|before| before.is_cached && read == 0)?;
        let since_ms = at_ms - before.at_ms;
        let is_rebuilt = written.saturating_mul(5) >= before.prompt.saturating_mul(4)
            && before.prompt > 0
            && since_ms <= LIFETIMES * before.lifetime_ms;
        let tokens = written.min(before.prompt);
        is_rebuilt.then_some(Rebuilt { tokens, since_ms, lifetime_ms: before.lifetime_ms })
    }
}
