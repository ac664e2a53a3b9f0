//! `llmx route`: the routes of the configuration, and where a request would go without sending it.

pub mod choose;
pub mod escalate;

use std::sync::PoisonError;

use clap::{Args, Subcommand};

use crate::command::calling::Calling;
use crate::command::chat::args::ChatArgs;
use crate::command::desk::{self, Desk};
use crate::command::logs::note;
use crate::command::outside::{env, now_ms};
use crate::command::test_access::kept::{Kept, STALE_MS};
use crate::command::{GlobalArgs, colour, input};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::record::NewCall;
use crate::domain::report::Stop;
use crate::domain::untrusted::json_line;
use crate::render::route as face;
use crate::render::terminal::{Terminal, Written};
pub use choose::{Known, choose, first};
pub use escalate::escalates;

#[derive(Debug, Clone, Args)]
pub struct RouteArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Show which rule decides, which models are left, and what each is expected to cost; nothing is sent
    #[command(after_help = EXPLAIN_HELP)]
    Explain(Box<ExplainArgs>),
    /// List the routes with their rules
    List(ListArgs),
}

const EXPLAIN_HELP: &str = "\
It takes the arguments of `llmx chat`, needs no credential and sends nothing:
  llmx route explain -m route/auto \"Why is the sky blue?\"
  git diff | llmx route explain --max-tokens 800 \"Review this change\" -j

Without -m: the default model where that is a route, else the only route there is.";

#[derive(Debug, Clone, Args)]
struct ExplainArgs {
    #[command(flatten)]
    chat: ChatArgs,
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `config` for a configuration that cannot be read or a prompt that is not there, `not-found` for a route or a model that
/// nobody knows.
pub fn run(args: &RouteArgs) -> Result<u8, Failure> {
    match &args.action {
        Action::Explain(args) => explain(args),
        Action::List(args) => list(args),
    }
}

fn list(args: &ListArgs) -> Result<u8, Failure> {
    let routes = desk::config(&args.global)?.route;
    if routes.is_empty() && !args.json {
        note(&format!("there is no route: {HOW}"), &args.global);
        return Ok(0);
    }
    let text = if args.json { json_line(&face::list(&routes)) } else { face::table(&routes) };
    print(&text, &args.global, 0)
}

fn explain(args: &ExplainArgs) -> Result<u8, Failure> {
    let chat = &args.chat;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ErrorClass::Network, format!("the runtime does not start: {error}")))?;
    let desk = Desk::open(&chat.global, chat.call.ca_file.clone())?;
    let name = meant(&desk, chat.model.as_deref())?;
    let request = runtime.block_on(input::request(&chat.input, &desk))?;
    let mut terminal = Terminal::new(colour(chat.global.color), chat.global.quiet, env);
    let calling = Calling::open(&desk, "route", &chat.call, &chat.global, &mut terminal)?;
    let (features, decision) = known(&desk, &calling, |known| choose(&desk, &name, &request, &chat.choice(), known))?;
    let json = chat.json || chat.jsonl;
    let text = if json {
        json_line(&face::object(&name, &features, &decision))
    } else {
        face::explained(&name, &features, &decision)
    };
    let code = first(&name, &decision).err().map_or(0, |failure| failure.class.exit_code());
    print(&text, &chat.global, code)
}

/// Runs `work` with what prices, books and budgets know.
///
/// # Errors
/// `ledger` where the books cannot be read, and those of `work`.
pub fn known<T>(
    desk: &Desk,
    calling: &Calling,
    work: impl FnOnce(&Known<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut ledger = calling.ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let now_ms = now_ms();
    let mut budgets = ledger.budgets()?;
    budgets.extend(desk.config.budgets.iter().cloned());
    let caller = &calling.caller;
    let anything = NewCall {
        project: caller.project.clone(),
        user: caller.user.clone(),
        team: caller.team.clone(),
        session: caller.session.clone(),
        tags: caller.tags.clone(),
        ..NewCall::default()
    };
    // Whatever the model will be: a budget for some models alone cannot be asked before one is chosen.
    budgets.retain(|budget| {
        let scope = &budget.account.scope;
        scope.model.is_none() && scope.provider.is_none() && scope.covers(&anything)
    });
    let standings = ledger.standings(&budgets, now_ms)?;
    let kept = desk.access.as_deref().map(Kept::read);
    // What was seen too long ago may be otherwise by now.
    let tested = |name: &ModelName| {
        let (works, age_ms) = kept.as_ref()?.usable(name, now_ms)?;
        (age_ms < STALE_MS).then_some(works)
    };
    work(&Known {
        prices: &calling.prices,
        ledger: &ledger,
        project: caller.project.as_deref(),
        tags: &caller.tags,
        template: None,
        standings: &standings,
        tested: Some(&tested),
        now_ms,
    })
}

/// The route that is meant: by the flag, by the default model, else the only one.
fn meant(desk: &Desk, flag: Option<&str>) -> Result<String, Failure> {
    if let Some(flag) = flag {
        return desk.route(Some(flag)).ok_or_else(|| no_route(&format!("\"{flag}\" is no route")));
    }
    let mut names = desk.config.route.keys();
    match (desk.route(None), names.next(), names.next()) {
        (Some(default), _, _) => Ok(default),
        (None, Some(only), None) => Ok(only.clone()),
        (None, None, _) => Err(no_route("there is no route")),
        (None, Some(_), Some(_)) => {
            let names: Vec<&str> = desk.config.route.keys().map(String::as_str).collect();
            Err(no_route("there are several routes").advise(format!("say which: -m route/{}", names.join(", route/"))))
        }
    }
}

const HOW: &str = "a route is written into config.toml as [[route.NAME.rule]] and asked as -m route/NAME";

fn no_route(message: &str) -> Failure {
    Failure::new(ErrorClass::Config, message).advise(HOW)
}

fn print(text: &str, global: &GlobalArgs, code: u8) -> Result<u8, Failure> {
    let mut terminal = Terminal::new(colour(global.color), global.quiet, env);
    match terminal.answer(text) {
        Ok(Written::All) => Ok(code),
        Ok(Written::Closed) => Ok(Stop::ClosedPipe.exit_code()),
        Err(error) => Err(Failure::new(ErrorClass::InvalidRequest, error.to_string())),
    }
}
