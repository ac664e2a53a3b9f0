//! `llmx usage what-if`: the calls of a period at the prices of other models.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use clap::{Args, ValueEnum};

use super::asked::AskedArgs;
use crate::command::desk::Desk;
use crate::command::logs::{opened, print};
use crate::command::outside::{env, now_ms};
use crate::command::rebilled::{Consumed, Rows, is_simulated};
use crate::command::{GlobalArgs, colour, config};
use crate::domain::bill::{Basis, Bill};
use crate::domain::failure::Failure;
use crate::domain::model::{ModelFacts, ModelName, Thinking};
use crate::domain::record::{Price, Record};
use crate::domain::spend::heading::Heading;
use crate::domain::spend::what_if::{Pair, Taken, Terms, There, WhatIf};
use crate::domain::usage::{Meter, Usage};
use crate::pricing::{Context, Moment, Priced, Prices};
use crate::provider::models;
use crate::provider::tokenizers::{Growth, growth};
use crate::render::terminal::Terminal;
use crate::render::usage::what_if as face;

pub const AFTER_HELP: &str = "\
Each call is billed again with its own counts of tokens, its tier and, at its
own provider, its region:
  llmx usage what-if month -m openai/gpt-5.4-mini --where project=pay
  llmx usage what-if 2026-10 -m sonnet --batch

What it cannot know: another model cuts the same text into other tokens, writes
longer or shorter answers, and may not be good enough. Cached tokens are priced
at the other model's cache rates, where it has none as plain input.

--cache prices each call of a session as if it had read from a cache what the
call before it, at most five minutes earlier, had sent, and had written the rest
to it: at best, and only where calls have a session.

JSON (schema 1; amounts are decimal strings in USD, null is unknown):
  made_ms, period {from, to, zone, label}, filter, prices (today, then), batch,
  cache, same_tokens
  tables         [{table, version, sha256}], the first before the others
  calls          {priced, failed, imported, summed, in_session, estimated,
                 stated} and left out: {open, free_failures, simulated,
                 no_usage, no_usage_usd}
  models         [{model, price, calls, now_usd, there_usd, change_usd,
                 unpriced_there, unpriced_there_now_usd, unpriced_now,
                 unpriced_now_there_usd, unpriced_both, context, too_long,
                 output_max, too_wordy, refused, reasons, no_tier, no_batch,
                 cached, own_tokens, more_tokens, more_tokens_factor,
                 more_tokens_source, projects [{project, …amounts as above}]}]
                 amounts are of the calls that have both";

/// Reasons that are told apart.
const REASONS_MAX: usize = 8;

/// How long a cache keeps what was read or written last, unless more is paid: five minutes at Anthropic
/// (platform.claude.com/docs/en/build-with-claude/prompt-caching) and, at the least, at OpenAI
/// (developers.openai.com/api/docs/guides/prompt-caching), both read 2026-11-22.
const KEPT_MS: i64 = 5 * 60_000;
/// The fewest tokens that either of the two caches for its usual models, same pages.
const CACHED_MIN: u64 = 1_024;

#[derive(Debug, Clone, Args)]
pub struct WhatIfArgs {
    #[command(flatten)]
    asked: AskedArgs,
    /// The other model, as chat takes it: provider/model[@region], an alias, a unique part; repeat or list with commas
    #[arg(short, long, value_name = "MODEL", value_delimiter = ',', required = true)]
    model: Vec<String>,
    /// At the prices of each call's own instant, not at today's
    #[arg(long)]
    then: bool,
    /// In the model's batch mode, where the table has one
    #[arg(long)]
    batch: bool,
    /// As if each call of a session had read from a cache what the one before it had sent
    #[arg(long)]
    cache: bool,
    /// Whether both models make as many tokens of a text; no: scaled where a page says by how much they differ
    #[arg(long, value_name = "YES|NO", value_enum, default_value_t = SameTokens::Yes)]
    same_tokens: SameTokens,
    /// The most projects that are shown for each model
    #[arg(short, long, value_name = "TOP", default_value_t = 5)]
    number: usize,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SameTokens {
    Yes,
    No,
}

/// # Errors
/// `config` for a flag that cannot be, `not-found` for a model that nobody knows, `ledger` where the books cannot be read.
pub fn run(args: &WhatIfArgs) -> Result<u8, Failure> {
    let desk = Desk::open(&args.global, None)?;
    let names: Vec<ModelName> = args.model.iter().map(|name| desk.model(Some(name))).collect::<Result<_, Failure>>()?;
    let question = args.asked.question("7d", &[])?;
    let prices = config::prices(&env)?;
    let made_ms = now_ms();
    let terms =
        Terms { then: args.then, batch: args.batch, cache: args.cache, scaled: args.same_tokens == SameTokens::No };

    let mut rows = Rows::of(&desk.catalog);
    let mut others = Vec::new();
    for name in names {
        let facts = desk.catalog.row(&name.provider).map(|row| models::facts(&row, &name).0)?;
        others.push(Other::new(name, facts, &prices, made_ms));
    }
    let mut taken = Taken::default();
    let mut sessions = Sessions::default();
    opened(&args.global)?.walk(&question, |record| {
        let row = rows.row(&record.call.provider);
        let simulated = row.is_some_and(is_simulated);
        if let Some(call) = take(&record, Consumed::of(&record, row), simulated, &mut taken) {
            let sent_before = if terms.cache { sessions.meet(&record, call.usage()) } else { None };
            for other in &mut others {
                other.add(&record, &call, sent_before, terms, made_ms, &prices);
            }
        }
        ControlFlow::Continue(())
    })?;

    let tables = prices.tables().map(|table| [table.name().to_owned(), table.version(), table.sha256().to_owned()]);
    let report = WhatIf {
        heading: Heading { made_ms, period: question.period, filter: args.asked.filter.clone().unwrap_or_default() },
        terms,
        tables: tables.collect(),
        calls: taken,
        models: others.into_iter().map(Other::done).collect(),
    };
    let screen = Terminal::new(colour(args.global.color), args.global.quiet, env).out;
    let text = match args.json {
        true => face::json(&report),
        false => face::page(&report, args.number, screen.width),
    };
    print(&text, &args.global)
}

/// The call as it can be priced elsewhere, or counted among those that are left out.
fn take(record: &Record, call: Option<Consumed>, simulated: bool, taken: &mut Taken) -> Option<Consumed> {
    let requests = record.requests;
    let (Some(call), Some(settled)) = (call, &record.settled) else {
        taken.open += requests;
        return None;
    };
    let settlement = &settled.settlement;
    let basis = record.corrections.last().map_or(&settlement.basis, |correction| &correction.basis);
    let is = |wanted: Basis| basis == wanted.as_str();
    let failed = settlement.error_class.is_some();
    if simulated || is(Basis::Simulated) {
        taken.simulated += requests;
        return None;
    }
    if call.usage().is_none() {
        match failed && is(Basis::Nothing) {
            true => taken.free_failures += requests,
            false => {
                taken.no_usage += requests;
                taken.no_usage_picos += record.total().map_or(0, |total| total.picos.into());
            }
        }
        return None;
    }
    let of = |wanted: bool| if wanted { requests } else { 0 };
    taken.calls += requests;
    taken.failed += of(failed);
    taken.imported += of(record.source.is_some());
    taken.summed += of(requests > 1);
    taken.in_session += of(record.call.session.is_some());
    taken.estimated += of(is(Basis::Estimated) || is(Basis::Ceiling));
    taken.stated += of(is(Basis::Reported) || !record.corrections.is_empty() || settlement.because.is_some());
    Some(call)
}

/// Another model, and what the calls come to there.
struct Other {
    name: ModelName,
    facts: ModelFacts,
    there: There,
    projects: BTreeMap<String, Pair>,
    /// What is known of other models' tokens beside its own.
    growths: HashMap<String, Option<Growth>>,
}

impl Other {
    fn new(name: ModelName, facts: ModelFacts, prices: &Prices, now_ms: i64) -> Other {
        let by_table = match prices.price(&name, Moment::from_ms(now_ms), &Context::new()) {
            Priced::Sheet(price) => price.max_output,
            Priced::Free(_) | Priced::Unpriced(_) => None,
        };
        let there = There {
            model: name.to_string(),
            window: prices.context_window(&name),
            output_max: facts.max_output.map(u64::from).or(by_table),
            ..There::default()
        };
        Other { name, facts, there, projects: BTreeMap::new(), growths: HashMap::new() }
    }

    fn done(self) -> There {
        let mut projects: Vec<(String, Pair)> = self.projects.into_iter().collect();
        projects.sort_by_key(|(_, pair)| std::cmp::Reverse((pair.now + pair.only_now_picos, pair.there)));
        There { projects, ..self.there }
    }

    /// Adds a call. `sent_before`: tokens that the call before it in its session had sent.
    fn add(
        &mut self,
        record: &Record,
        call: &Consumed,
        sent_before: Option<u64>,
        terms: Terms,
        now_ms: i64,
        prices: &Prices,
    ) {
        let requests = record.requests;
        let mut there = self.placed(record, call);
        if !terms.then {
            there.at = Moment::from_ms(now_ms);
        }
        if requests > 1 {
            there = there.with(|usage| _ = usage.attributes.insert("prompt_total".into(), "summed".into()));
        }
        let prompt = call.usage().and_then(Usage::prompt_total).unwrap_or_default();
        if let Some(sent) = sent_before.filter(|_| prompt >= CACHED_MIN) {
            there = there.with(|usage| cached(usage, if sent < CACHED_MIN { 0 } else { sent }));
            self.there.cached += requests;
        }
        there = self.told(record, there, terms, requests);
        if requests == 1 {
            self.limits(record, &there, requests);
        }
        let bill = self.bill(there, call.name.model == self.name.model, terms, requests, prices);
        if bill.total.is_none() {
            let reason = bill.notes.last().cloned().unwrap_or_default();
            let known = self.there.reasons.len() < REASONS_MAX || self.there.reasons.contains_key(&reason);
            let reason = if known { reason } else { "other reasons".to_owned() };
            *self.there.reasons.entry(reason).or_default() += requests;
        }
        self.there.price = bill.price.as_ref().map(Price::of).or(self.there.price.take());
        self.there.all.add(requests, record.total(), bill.total);
        let project = record.call.project.clone().unwrap_or_default();
        self.projects.entry(project).or_default().add(requests, record.total(), bill.total);
    }

    /// The call as if it had been made to this model. What a provider alone has words for stays with the provider.
    fn placed(&self, record: &Record, call: &Consumed) -> Consumed {
        let is_host = call.name.provider == self.name.provider;
        let mut there = call.clone();
        if is_host && call.name.model == self.name.model {
            there.name.region = self.name.region.clone().or(there.name.region);
        } else {
            there.name = self.name.clone();
            there.name.region = there.name.region.or(record.call.region.clone().filter(|_| is_host));
            there.served = None;
            there = there.with(|usage| usage.iterations.iter_mut().for_each(|inner| inner.model = None));
        }
        if !is_host {
            there.context.retain(|name, _| name == "service_tier");
            there = there.with(|usage| usage.attributes.retain(|name, _| name == "prompt_total"));
        }
        match &there.name.region {
            Some(region) => _ = there.context.insert("location".into(), region.clone()),
            None => _ = there.context.remove("location"),
        }
        there
    }

    /// Says how the model's tokens compare, and scales the counts where that is asked for.
    fn told(&mut self, record: &Record, there: Consumed, terms: Terms, requests: u64) -> Consumed {
        let model = &record.call.model;
        if *model == self.name.model {
            self.there.tokens.own += requests;
            return there;
        }
        let known = self.growths.entry(model.clone()).or_insert_with(|| growth(model, &self.name.model));
        let Some(Growth { hundredths, source }) = *known else { return there };
        let tokens = &mut self.there.tokens;
        (tokens.hundredths, tokens.source) = (hundredths, source);
        tokens.known += requests;
        if terms.scaled { there.with(|usage| scale(usage, hundredths)) } else { there }
    }

    /// Counts what the model would not have done: too long a prompt, too long an answer, a setting that it does not take.
    fn limits(&mut self, record: &Record, there: &Consumed, requests: u64) {
        let Some(usage) = there.usage() else { return };
        let prompt = usage.prompt_total().unwrap_or_default();
        let output = usage.get(Meter::Output).unwrap_or_default();
        let parameters = &record.call.parameters;
        let cap = parameters["max_tokens"].as_u64().or(record.call.clipped_from).unwrap_or(output);
        let over = |most: Option<u64>, needed: u64| if most.is_some_and(|most| needed > most) { requests } else { 0 };
        self.there.too_long += over(self.there.window, prompt.saturating_add(cap));
        self.there.too_wordy += over(self.there.output_max, output);
        let facts = &self.facts;
        let asked = |name: &str| !parameters[name].is_null();
        let quiet = parameters["effort"] == "none";
        let takes_temperature = facts.temperature || (facts.temperature_at_none && quiet);
        for (name, refused) in [
            ("temperature", asked("temperature") && !takes_temperature),
            ("top_p", asked("top_p") && !takes_temperature),
            ("seed", asked("seed") && !facts.seed),
            ("stop", asked("stop") && !facts.stop),
            ("schema", asked("schema") && !facts.schema),
            ("effort", asked("effort") && !quiet && facts.thinking == Thinking::None),
        ] {
            if refused {
                *self.there.refused.entry(name).or_default() += requests;
            }
        }
    }

    /// The bill there: of a mode that the model does not have at standard prices, and that is counted.
    fn bill(&mut self, call: Consumed, own: bool, terms: Terms, requests: u64, prices: &Prices) -> Bill {
        let plain = |call: &Consumed| {
            let mut plain = call.with(|usage| usage.service_tier = None);
            plain.context.remove("service_tier");
            plain
        };
        let call = if own { call } else { with_writes(call, prices) };
        if terms.batch {
            let mut batch = plain(&call);
            batch.context.insert("processing".into(), "batch".into());
            let bill = batch.bill(prices);
            if bill.total.is_some() {
                return bill;
            }
        }
        let bill = call.bill(prices);
        let standard = plain(&call);
        let has_tier = standard.context != call.context || standard.outcome != call.outcome;
        let bill = match bill.total.is_none() && has_tier {
            true => {
                let standard = standard.bill(prices);
                self.there.no_tier += if standard.total.is_some() { requests } else { 0 };
                standard
            }
            false => bill,
        };
        self.there.no_batch += if terms.batch && bill.total.is_some() { requests } else { 0 };
        bill
    }
}

/// One-hour cache writes where the model has no rate for them: as writes that last as long as it keeps any.
fn with_writes(call: Consumed, prices: &Prices) -> Consumed {
    let written = call.usage().and_then(|usage| usage.get(Meter::CacheWrite1h)).filter(|written| *written > 0);
    let Some(written) = written else { return call };
    let has_rate = match prices.price(&call.name, call.at, &call.context) {
        Priced::Sheet(price) => price.rate(&price.rates, Meter::CacheWrite1h).is_ok(),
        Priced::Free(_) | Priced::Unpriced(_) => true,
    };
    if has_rate {
        return call;
    }
    call.with(|usage| {
        let moved = |quantities: &mut BTreeMap<Meter, u64>, written: u64| {
            quantities.remove(&Meter::CacheWrite1h);
            *quantities.entry(Meter::CacheWrite5m).or_default() += written;
        };
        moved(&mut usage.quantities, written);
        for inner in &mut usage.iterations {
            if let Some(written) = inner.quantities.get(&Meter::CacheWrite1h).copied() {
                moved(&mut inner.quantities, written);
            }
        }
    })
}

/// As many more tokens, rounded up. Uses that are no tokens stay.
fn scale(usage: &mut Usage, hundredths: u64) {
    let text = [
        Meter::Input,
        Meter::CacheRead,
        Meter::CacheWrite5m,
        Meter::CacheWrite1h,
        Meter::Output,
        Meter::ReasoningOut,
        Meter::Citation,
    ];
    let all = std::iter::once(&mut usage.quantities).chain(usage.iterations.iter_mut().map(|one| &mut one.quantities));
    for (meter, count) in all.flat_map(BTreeMap::iter_mut) {
        if text.contains(meter) {
            *count = count.saturating_mul(hundredths).div_ceil(100);
        }
    }
}

/// The prompt as if `sent` tokens of it were read from a cache, and the rest written to it.
fn cached(usage: &mut Usage, sent: u64) {
    if !usage.iterations.is_empty() {
        return;
    }
    const PROMPT: [Meter; 4] = [Meter::Input, Meter::CacheRead, Meter::CacheWrite5m, Meter::CacheWrite1h];
    let all = PROMPT.iter().filter_map(|meter| usage.get(*meter)).fold(0, u64::saturating_add);
    let read = usage.get(Meter::CacheRead).unwrap_or_default().max(sent.min(all));
    usage.quantities.retain(|meter, _| !PROMPT.contains(meter));
    usage.set(Meter::CacheRead, read);
    usage.set(Meter::CacheWrite5m, all.saturating_sub(read));
}

/// The last prompts of sessions that a cache may still hold.
#[derive(Default)]
struct Sessions {
    /// By session, provider and model: when, and how many tokens.
    last: HashMap<(String, String, String), (i64, u64)>,
    /// When they were last cleared of old ones.
    cleared_ms: i64,
}

impl Sessions {
    /// The tokens that the call before this one in its session had sent: 0 for the first. `None`: it has no session.
    fn meet(&mut self, record: &Record, usage: Option<&Usage>) -> Option<u64> {
        let call = &record.call;
        if record.opened_ms - self.cleared_ms > KEPT_MS {
            self.last.retain(|_, (opened_ms, _)| record.opened_ms - *opened_ms <= KEPT_MS);
            self.cleared_ms = record.opened_ms;
        }
        let key = (call.session.clone()?, call.provider.clone(), call.model.clone());
        let prompt = usage.and_then(Usage::prompt_total).unwrap_or_default();
        let before = self.last.insert(key, (record.opened_ms, prompt));
        Some(before.filter(|(opened_ms, _)| record.opened_ms - opened_ms <= KEPT_MS).map_or(0, |(_, prompt)| prompt))
    }
}
