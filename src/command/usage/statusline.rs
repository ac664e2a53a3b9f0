//! `llmx usage statusline`: one short line for prompts and status bars, which must never wait and never fail.

use std::time::Duration;

use clap::Args;

use crate::command::config::Config;
use crate::command::desk;
use crate::command::logs::print;
use crate::command::outside::{env, now_ms};
use crate::command::who::WhoArgs;
use crate::command::{Colour, GlobalArgs, colour};
use crate::domain::budget::Budget;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::report::Stop;
use crate::domain::spend::filter::{Clause, Filter, TextField};
use crate::domain::spend::forecast::run_rate;
use crate::domain::spend::period::{Period, number, week};
use crate::domain::spend::{Dimension, Key, Question, Tally};
use crate::domain::window::Zone;
use crate::ledger::{Ledger, LedgerError, LogFilter, Patience};
use crate::render::terminal::{Terminal, Written};
use crate::render::usage::statusline::{DEFAULT, DEFAULT_WITHOUT, Field, Format, Last, Values, line};

pub const AFTER_HELP: &str = "\
Placeholders; {{ is a brace, – stands where there is no such thing, and +
behind a sum from which calls without a price are missing:
  {today} {yesterday} {week} {month}        what was spent; a week begins Monday
  {pace}                                    the month at this pace
  {project} {session}                       this month: this project, last session
  {calls} {failed} {unpriced}               calls of today
  {budget} {budget_left} {budget_percent}   the most used, or {budget_left:NAME}
  {last_cost} {last_model}                  the last call

Examples:
  PS1='$(llmx usage statusline) \\$ '                      bash, in single quotes
  RPROMPT='${$(llmx usage statusline)//\\%/%%}'           zsh, with setopt prompt_subst
  set -g status-right '#(llmx usage statusline)'         tmux

It reads no standard input, uses no network, makes no ledger and waits for
nobody. The line ends in a newline, which $(…) takes off. In trouble the line
is three words after `llmx:`, or empty with -q; -v says all on standard error.
The exit code is 0 all the same: only a format or a flag that cannot be read is
an error (2). No colour but with --color always.";

/// Longer than any other process holds the lock in passing, shorter than a person notices.
const PATIENCE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Args)]
pub struct StatuslineArgs {
    /// What the line says: '{today} today · {month} month'
    format: Option<String>,
    /// The zone whose days are meant: Europe/Berlin, UTC (else LLMX_ZONE, else this machine's)
    #[arg(short, long, value_name = "ZONE")]
    zone: Option<String>,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `config` for a format that cannot be read, and nothing else.
pub fn run(args: &StatuslineArgs) -> Result<u8, Failure> {
    let given = args.format.as_deref().map(format).transpose()?;
    match made(args, given) {
        Ok(line) => show(&format!("{line}\n"), args),
        Err(trouble) => {
            if args.global.is_verbose() {
                let _ = Terminal::new(colour(args.global.color), false, env).note(&format!("llmx: {}\n", trouble.said));
            }
            if args.global.quiet { Ok(0) } else { show(&format!("llmx: {}\n", trouble.short), args) }
        }
    }
}

fn format(text: &str) -> Result<Format, Failure> {
    Format::parse(text).map_err(|wrong| Failure::new(ErrorClass::Config, wrong.message).advise(wrong.advice))
}

/// Why there is no line: in three words, and whole.
struct Trouble {
    short: &'static str,
    said: String,
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Trouble {
        let short = match &error {
            LedgerError::Busy { .. } => "ledger is locked",
            LedgerError::Older { .. } | LedgerError::Newer { .. } => "ledger version differs",
            _ => "ledger is unreadable",
        };
        Trouble { short, said: error.to_string() }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble { short: "settings are wrong", said: failure.message }
    }
}

/// The line of the given format, or of the one that shows the tightest budget where there is one.
fn made(args: &StatuslineArgs, given: Option<Format>) -> Result<String, Trouble> {
    let zone = desk::zone(args.zone.as_deref())?;
    let now_ms = now_ms();
    let colour = matches!(args.global.color, Colour::Always);
    let patience = Patience { limit: PATIENCE, ..Patience::default() };
    let books = match desk::ledger_path(&args.global) {
        Some(path) => Ledger::peek(&path, patience)?,
        None => None,
    };
    let default = given.is_none();
    let format = given.map_or_else(|| format(DEFAULT), Ok)?;
    let Some(books) = books else {
        let format = if default { self::format(DEFAULT_WITHOUT)? } else { format };
        return Ok(line(&format, &Values::default(), colour));
    };
    let values = Reading { args, format: &format, zone: &zone, now_ms, books }.values()?;
    let format = if default && values.budgets.is_empty() { self::format(DEFAULT_WITHOUT)? } else { format };
    Ok(line(&format, &values, colour))
}

/// What a line is made from.
struct Reading<'a> {
    args: &'a StatuslineArgs,
    format: &'a Format,
    zone: &'a Zone,
    now_ms: i64,
    books: Ledger,
}

impl Reading<'_> {
    /// Only what the format asks for is looked up.
    fn values(mut self) -> Result<Values, Trouble> {
        let mut values = self.days()?;
        let configured = self.format.asks(&[Field::Budget, Field::BudgetLeft, Field::BudgetPercent, Field::Project]);
        let config = if configured { desk::config(&self.args.global)? } else { Config::default() };
        if self.format.asks(&[Field::Budget, Field::BudgetLeft, Field::BudgetPercent]) {
            let mut budgets: Vec<Budget> = self.books.budgets()?;
            budgets.extend(config.budgets.iter().cloned());
            values.budgets = self.books.standings(&budgets, self.now_ms)?;
            values.budgets.sort_by_key(|standing| std::cmp::Reverse(standing.percent().unwrap_or(u64::MAX)));
        }
        if self.format.asks(&[Field::Project]) {
            let project = desk::caller("usage", &config, &WhoArgs::default())?.project;
            values.project = project.map(|project| self.month_of(TextField::Project, project)).transpose()?;
        }
        if self.format.asks(&[Field::LastCost, Field::LastModel, Field::Session]) {
            let last = self.books.logs(&LogFilter { limit: 1, ..LogFilter::default() })?.into_iter().next();
            if self.format.asks(&[Field::Session]) {
                let session = last.as_ref().and_then(|last| last.call.session.clone());
                values.session = session.map(|session| self.month_of(TextField::Session, session)).transpose()?;
            }
            values.last = last.map(|last| Last {
                model: format!("{}/{}", last.call.provider, last.call.model),
                settled: last.settled.is_some(),
                cost: last.total().map(|total| total.picos),
            });
        }
        Ok(values)
    }

    /// The sums of the days: one question to the books.
    fn days(&mut self) -> Result<Values, Trouble> {
        let mut values = Values::default();
        let wanted = [
            Field::Today,
            Field::Yesterday,
            Field::Week,
            Field::Month,
            Field::Pace,
            Field::Calls,
            Field::Failed,
            Field::Unpriced,
        ];
        let Some((today, month)) = self.zone.date(self.now_ms).zip(self.month()) else {
            return Ok(values);
        };
        if !self.format.asks(&wanted) {
            return Ok(values);
        }
        let yesterday = today.yesterday().unwrap_or(today);
        let mut first = yesterday;
        if self.format.asks(&[Field::Week]) {
            first = first.min(week(today));
        }
        if self.format.asks(&[Field::Month, Field::Pace]) {
            first = first.min(month.first);
        }
        let Some(period) = today.tomorrow().ok().and_then(|after| Period::of(first, after, self.zone)) else {
            return Ok(values);
        };
        let spend = self.books.spend(&Question { period, by: vec![Dimension::Day], filter: Filter::default() })?;
        for group in &spend.groups {
            let Some(Key::Date(day)) = group.keys.first() else { continue };
            let sums = [
                (*day == today, &mut values.today),
                (*day == yesterday, &mut values.yesterday),
                (number(*day) >= number(week(today)), &mut values.week),
                (*day >= month.first, &mut values.month),
            ];
            sums.into_iter().filter(|(counts, _)| *counts).for_each(|(_, sum)| *sum = sum.plus(group.tally));
        }
        values.pace = run_rate(values.month.picos, month.span(), self.now_ms);
        Ok(values)
    }

    /// What the calls with this text cost this month.
    fn month_of(&mut self, field: TextField, text: String) -> Result<Tally, Trouble> {
        let Some(period) = self.month() else {
            return Ok(Tally::default());
        };
        let clauses = vec![Clause::Text { field, part: false, not: false, values: vec![text] }];
        Ok(self.books.spend(&Question { period, by: Vec::new(), filter: Filter { clauses } })?.total)
    }

    fn month(&self) -> Option<Period> {
        Period::month(self.zone.date(self.now_ms)?, self.zone)
    }
}

/// Our own escapes are shown as they are, wherever the line goes: they were asked for.
fn show(text: &str, args: &StatuslineArgs) -> Result<u8, Failure> {
    if !matches!(args.global.color, Colour::Always) {
        return print(text, &args.global);
    }
    match Terminal::new(colour(args.global.color), args.global.quiet, env).show(text) {
        Ok(Written::Closed) => Ok(Stop::ClosedPipe.exit_code()),
        Ok(Written::All) | Err(_) => Ok(0),
    }
}
