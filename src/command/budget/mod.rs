//! `llmx budget`: limits on what may be spent: set them, see where they stand, ask them in a script.

pub mod terms;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::command::config::Config;
use crate::command::desk;
use crate::command::ledger::{ResolveArgs, resolve};
use crate::command::logs::{note, print};
use crate::command::outside::{env, now_ms};
use crate::command::{GlobalArgs, labels};
use crate::domain::budget::{Budget, Origin, Standing};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::record::OpenCall;
use crate::domain::untrusted::json_line;
use crate::ledger::{Ledger, LedgerError};
use crate::provider::catalog::Catalog;
use crate::render::budget;
use crate::render::terminal::Terminal;
use terms::Terms;

pub const AFTER_HELP: &str = "\
Examples:
  llmx budget set eng-a 50/day --project api        calls that do not fit are not sent
  llmx budget set all 500/month@15 --zone Europe/Berlin --warn 80,100
  llmx budget set opus 20/7d --model 'anthropic/claude-opus-*' --soft
  llmx budget status                                what is spent, held and free
  llmx budget check -q || echo \"over\"               exit 8 when a hard one is used up

A limit is AMOUNT/PERIOD in USD. Periods: hour, day, week, month, month@DAY,
the last 7d or 12h, total.

The same in config.toml or .llmx.toml:
  [budget.eng-a]
  limit = \"50/day\"
  project = \"api\"";

#[derive(Debug, Clone, Args)]
pub struct BudgetArgs {
    #[command(subcommand)]
    work: BudgetCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum BudgetCommand {
    /// Put a budget in force, or replace the one of that name
    Set(Box<SetArgs>),
    /// List the budgets in force here: those that were set, and those of the configuration files
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Say what of each budget is spent, held by open calls and free
    Status {
        /// Only the budgets of this name
        #[arg(value_name = "BUDGET")]
        name: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// For scripts: exit 8 when a hard budget is used up
    Check {
        /// Only the budgets of this name
        #[arg(value_name = "BUDGET")]
        name: Option<String>,
        /// Exit 8 for a soft budget, too
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Show the arithmetic of the last refusal
    Explain {
        #[command(flatten)]
        common: Common,
    },
    /// Take a budget out of force; what it counted stays in the books
    Rm {
        #[arg(value_name = "BUDGET")]
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Settle a call that was left open, or correct one, by hand (as `llmx ledger resolve`)
    Resolve(ResolveArgs),
}

#[derive(Debug, Clone, Args)]
struct SetArgs {
    #[arg(value_name = "BUDGET")]
    name: String,
    /// An amount in USD and a period: 50/day, 50/month@15, 20/7d, 100/total
    #[arg(allow_hyphen_values = true)]
    limit: String,
    /// Count only calls of this project
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Count only calls of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Count only calls of this team
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Count only calls with this tag; repeat for more
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    /// Count only calls to such models: provider/model, or a model's id; * stands for any characters
    #[arg(long, value_name = "PATTERN")]
    model: Option<String>,
    /// Count only calls to this provider
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Count only calls of this session
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// The time zone of its days, weeks and months (else UTC, as bills have it)
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Send a call that does not fit, and say so (else it is refused)
    #[arg(long)]
    soft: bool,
    /// Percents of the limit at which to warn once in a period, or none (else 50,80,100)
    #[arg(long, value_name = "PERCENTS", allow_hyphen_values = true)]
    warn: Option<String>,
    /// What becomes of a call whose price nobody knows: deny, allow (it counts nothing), assume:AMOUNT
    #[arg(long, value_name = "POLICY")]
    on_unknown_price: Option<String>,
    /// Send a call of which nobody can say how much it may cost
    #[arg(long)]
    allow_unbounded: bool,
    /// Refuse a call that would fit only with a shorter answer (else it is sent with a lower cap)
    #[arg(long)]
    no_clip: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Args)]
struct Common {
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `ledger` where the books cannot be read or written, `config` for a flag or a file that cannot be.
pub fn run(args: &BudgetArgs) -> Result<u8, Failure> {
    match &args.work {
        BudgetCommand::Set(args) => set(args),
        BudgetCommand::List { common } => list(common),
        BudgetCommand::Status { name, common } => status(name.as_deref(), common),
        BudgetCommand::Check { name, strict, common } => check(name.as_deref(), *strict, common),
        BudgetCommand::Explain { common } => explain(common),
        BudgetCommand::Rm { name, common } => remove(name, common),
        BudgetCommand::Resolve(args) => resolve(args),
    }
}

fn set(args: &SetArgs) -> Result<u8, Failure> {
    let (config, mut books) = opened(&args.common.global)?;
    let wanted = wanted(args, &config)?;
    let was = books.budgets()?.into_iter().find(|budget| budget.name == wanted.name);
    books.set_budget(&wanted, now_ms())?;
    for file in origins(&config, &wanted.name) {
        note(&format!("a budget of the same name in {file} holds as well"), &args.common.global);
    }
    let object = json!({"schema": 1, "set": budget::terms(&wanted), "was": was.as_ref().map(budget::terms)});
    let is = budget::words(&wanted);
    let sentence = match was.as_ref().map(budget::words) {
        None => format!("{} is {is}", wanted.name),
        Some(was) => format!("{} is {is}\nit was {was}", wanted.name),
    };
    told(&args.common, &sentence, &object)
}

/// The budget that the flags say.
fn wanted(args: &SetArgs, config: &Config) -> Result<Budget, Failure> {
    let label = |flag: &str, text: &Option<String>| text.as_deref().map(|text| labels::label(flag, text)).transpose();
    let tags = args.tag.iter().map(|pair| labels::tag("--tag", pair)).collect::<Result<_, _>>()?;
    // One that nobody has would count nothing, and so hold nothing back.
    let provider = match &args.provider {
        Some(name) => Some(Catalog::with(&config.provider)?.row(name)?.id),
        None => None,
    };
    let mut terms = Terms {
        project: label("--project", &args.project)?,
        user: label("--user", &args.user)?,
        team: label("--team", &args.team)?,
        tags: labels::bounded(tags)?,
        model: label("--model", &args.model)?,
        provider,
        session: label("--session", &args.session)?,
        soft: args.soft,
        allow_unbounded: args.allow_unbounded,
        clip: !args.no_clip,
        ..Terms::of(terms::limit(&args.limit)?)
    };
    if let Some(zone) = &args.zone {
        terms.zone = terms::zone(zone)?;
    }
    if let Some(warn) = &args.warn {
        terms.warn = terms::warn(warn)?;
    }
    if let Some(policy) = &args.on_unknown_price {
        terms.on_unknown_price = terms::on_unknown_price(policy)?;
    }
    Ok(terms.budget(terms::name(&args.name)?, Origin::Ledger))
}

fn list(common: &Common) -> Result<u8, Failure> {
    let (config, books) = opened(&common.global)?;
    let budgets = in_force(&config, &books)?;
    if common.json {
        let budgets: Vec<Value> = budgets.iter().map(budget::terms).collect();
        return print(&json_line(&json!({"schema": 1, "budgets": budgets})), &common.global);
    }
    if budgets.is_empty() {
        note(NONE, &common.global);
        return Ok(0);
    }
    print(&budget::list(&budgets, width(&common.global)), &common.global)
}

pub(super) const NONE: &str = "no budget is set: `llmx budget set NAME 50/day` sets one";

fn status(name: Option<&str>, common: &Common) -> Result<u8, Failure> {
    let (config, mut books) = opened(&common.global)?;
    let now_ms = now_ms();
    let standings = standings(name, &config, &mut books, now_ms)?;
    let mut open: Vec<OpenCall> = Vec::new();
    for standing in &standings {
        let held = books.open_of(standing)?;
        open.extend(held.into_iter().filter(|call| open.iter().all(|known| known.id != call.id)).collect::<Vec<_>>());
    }
    let accounts = standings.into_iter().map(|standing| {
        let passed = standing.over().picos > 0;
        let excesses = if passed { books.excesses_of(&standing)? } else { Vec::new() };
        Ok(budget::Account { standing, excesses })
    });
    let accounts = accounts.collect::<Result<Vec<_>, LedgerError>>()?;
    if common.json {
        return print(&json_line(&budget::status_object(&accounts, &open)), &common.global);
    }
    if accounts.is_empty() {
        note(NONE, &common.global);
        return Ok(0);
    }
    print(&budget::status(&accounts, &open, now_ms, width(&common.global)), &common.global)
}

fn check(name: Option<&str>, strict: bool, common: &Common) -> Result<u8, Failure> {
    let (config, mut books) = opened(&common.global)?;
    let standings = standings(name, &config, &mut books, now_ms())?;
    let stops = |standing: &Standing| standing.free().picos == 0 && (strict || standing.budget.hard);
    let ok = !standings.iter().any(stops);
    let written = if common.json {
        let budgets: Vec<Value> = standings.iter().map(budget::object).collect();
        print(&json_line(&json!({"schema": 1, "ok": ok, "budgets": budgets})), &common.global)?
    } else if common.global.quiet {
        0
    } else if standings.is_empty() {
        note(NONE, &common.global);
        0
    } else {
        print(&budget::checked(&standings), &common.global)?
    };
    Ok(if ok { written } else { ErrorClass::Budget.exit_code() })
}

fn explain(common: &Common) -> Result<u8, Failure> {
    let (_, books) = opened(&common.global)?;
    let last = books.last_refusals(1)?.into_iter().next();
    match (last, common.json) {
        (Some(last), true) => print(&json_line(&budget::explained_object(&last)), &common.global),
        (Some(last), false) => print(&budget::explained(&last), &common.global),
        (None, true) => print(&json_line(&json!({"schema": 1, "budget": null})), &common.global),
        (None, false) => {
            note("no budget has refused a call", &common.global);
            Ok(0)
        }
    }
}

fn remove(name: &str, common: &Common) -> Result<u8, Failure> {
    let (config, mut books) = opened(&common.global)?;
    let files = origins(&config, name);
    if books.remove_budget(name, now_ms())? {
        for file in files {
            note(&format!("a budget of the same name in {file} still holds"), &common.global);
        }
        return told(common, &format!("{name} is out of force"), &json!({"schema": 1, "removed": name}));
    }
    match files.first() {
        Some(file) => Err(Failure::new(ErrorClass::Config, format!("the budget {name} is written down in {file}"))
            .advise(format!("take [budget.{name}] out of that file"))),
        None => Err(unknown(name, &in_force(&config, &books)?)),
    }
}

/// Says what was done, as a sentence or as JSON.
fn told(common: &Common, sentence: &str, object: &Value) -> Result<u8, Failure> {
    let text = if common.json { json_line(object) } else { format!("{sentence}\n") };
    print(&text, &common.global)
}

/// What the files say, and the books.
fn opened(global: &GlobalArgs) -> Result<(Config, Ledger), Failure> {
    let config = desk::config(global)?;
    let books = desk::ledger(global, &config.limits)?;
    for warning in books.warnings() {
        note(warning, global);
    }
    Ok((config, books))
}

/// Those that were set, then those of the files. Two of one name hold both.
pub(super) fn in_force(config: &Config, books: &Ledger) -> Result<Vec<Budget>, Failure> {
    let mut budgets = books.budgets()?;
    budgets.extend(config.budgets.iter().cloned());
    Ok(budgets)
}

fn standings(name: Option<&str>, config: &Config, books: &mut Ledger, now_ms: i64) -> Result<Vec<Standing>, Failure> {
    let mut budgets = in_force(config, books)?;
    if let Some(name) = name {
        if !budgets.iter().any(|budget| budget.name == name) {
            return Err(unknown(name, &budgets));
        }
        budgets.retain(|budget| budget.name == name);
    }
    Ok(books.standings(&budgets, now_ms)?)
}

fn unknown(name: &str, budgets: &[Budget]) -> Failure {
    let mut names: Vec<&str> = budgets.iter().map(|budget| budget.name.as_str()).collect();
    names.dedup();
    let failure = Failure::new(ErrorClass::Config, format!("no budget in force here is named {name}"));
    match names.as_slice() {
        [] => failure.advise("llmx budget set NAME 50/day"),
        names => failure.advise(format!("one of {}", names.join(", "))),
    }
}

/// The files in which a budget of this name is written down.
fn origins(config: &Config, name: &str) -> Vec<String> {
    let named = config.budgets.iter().filter(|budget| budget.name == name);
    named.map(|budget| budget.origin.to_string()).collect()
}

pub(super) fn width(global: &GlobalArgs) -> Option<usize> {
    Terminal::new(super::colour(global.color), global.quiet, env).out.width
}
