//! What every subcommand that calls models needs around a call: prices, books, limits and what guards them.

use std::sync::Mutex;
use std::time::Duration;

use crate::call::{Call, Caller, Guard, Persistence, Restraint, Target};
use crate::command::GlobalArgs;
use crate::command::args::CallArgs;
use crate::command::config::{self, Config, FallbackOn};
use crate::command::desk::{self, Desk};
use crate::command::outside::{env, now_ms};
use crate::domain::budget::Purse;
use crate::domain::chat::ChatRequest;
use crate::domain::failure::Failure;
use crate::ledger::Ledger;
use crate::pricing::Prices;
use crate::provider::{Limits, Provider};
use crate::render::terminal::Terminal;

/// Everything around the calls of one command. Opened before the first of them, and not changed by them.
#[derive(Debug)]
pub struct Calling {
    pub prices: Prices,
    pub ledger: Mutex<Ledger>,
    pub caller: Caller,
    limits: Limits,
    total: Option<Duration>,
    persistence: Persistence,
    budgets: Vec<crate::domain::budget::Budget>,
    purse: Option<Mutex<Purse>>,
    restraint: Mutex<Restraint>,
    floor: Option<u64>,
}

impl Calling {
    /// Opens prices and books; says what the user should know of them.
    ///
    /// # Errors
    /// `config` for a price file or a name that cannot be read, `ledger` where the books cannot be opened.
    pub fn open(
        desk: &Desk,
        command: &'static str,
        args: &CallArgs,
        global: &GlobalArgs,
        terminal: &mut Terminal,
    ) -> Result<Calling, Failure> {
        let prices = config::prices(&env)?;
        let ledger = desk::ledger(global, &desk.config.limits)?;
        for warning in ledger.warnings() {
            let _ = terminal.note(&format!("llmx: {warning}\n"));
        }
        let keeps_texts = desk.config.keeps_texts(args.no_store, &env);
        let caller = Caller { keeps_texts, ..desk::caller(command, &desk.config, &args.who)? };
        let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        Ok(Calling {
            prices,
            ledger: Mutex::new(ledger),
            caller,
            limits: Limits {
                first_token: seconds(args.first_token_timeout).or(desk.limits.first_token),
                ..desk.limits
            },
            total: seconds(args.timeout),
            persistence: persistence(args, &desk.config),
            budgets: desk.config.budgets.clone(),
            purse: args.max_cost.map(|limit| Mutex::new(Purse { limit, ..Purse::default() })),
            restraint: Mutex::default(),
            floor: (!args.no_clip).then(|| desk.config.min_output()),
        })
    }

    /// For many calls at once: their retries are counted together.
    #[must_use]
    pub fn counting_retries(self) -> Calling {
        Calling { restraint: Mutex::new(Restraint::counting()), ..self }
    }

    /// A call of these models, the wanted one first.
    #[must_use]
    pub fn call<'a>(&'a self, targets: &'a [Target<'a>], request: &'a ChatRequest, group: Option<&str>) -> Call<'a> {
        Call {
            targets,
            request,
            limits: self.limits,
            total: self.total,
            persistence: self.persistence,
            guard: Guard {
                budgets: &self.budgets,
                purse: self.purse.as_ref(),
                restraint: Some(&self.restraint),
                floor: self.floor,
            },
            group: group.map(str::to_owned),
            earlier: Vec::new(),
            prices: &self.prices,
            ledger: &self.ledger,
            caller: &self.caller,
            now: &now_ms,
        }
    }
}

/// What must be known before anything is sent, and with `-v` where everything comes from.
pub fn announce(global: &GlobalArgs, provider: &Provider, terminal: &mut Terminal) {
    for warning in provider.warnings() {
        let _ = terminal.note(&format!("llmx: {warning}\n"));
    }
    if global.is_verbose() {
        for origin in provider.origins() {
            let _ = terminal.note(&format!("llmx: {origin}\n"));
        }
    }
}

fn persistence(args: &CallArgs, config: &Config) -> Persistence {
    let retry = &config.retry;
    Persistence {
        retries: args.retries.unwrap_or(retry.retries),
        backoff: Duration::from_millis(retry.backoff_ms),
        wait_max: Duration::from_millis(retry.wait_max_ms),
        deadline: Duration::from_millis(retry.deadline_ms),
        ambiguous: retry.ambiguous || config.fallback.on.contains(&FallbackOn::Ambiguous),
        after_content: retry.after_content,
        replaces_filtered: config.fallback.on.contains(&FallbackOn::ContentFilter),
    }
}
