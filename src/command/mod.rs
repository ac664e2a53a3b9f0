//! One file per subcommand: arguments in, report out, an exit code at the end.

pub mod args;
pub mod bare;
pub mod budget;
pub mod calling;
pub mod chat;
pub mod compare;
pub mod completions;
pub mod config;
pub mod desk;
pub mod doctor;
pub mod input;
pub mod labels;
pub mod later;
pub mod ledger;
pub mod logs;
pub mod man;
pub mod misuse;
pub mod models;
#[cfg(feature = "otel")]
pub mod otel;
pub mod outside;
pub mod providers;
pub mod rebilled;
pub mod reprice;
pub mod route;
pub mod schema;
pub mod signals;
pub mod test_access;
pub mod trace;
pub mod usage;
pub mod who;
pub mod written;

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use crate::command::later::Later;
use crate::command::outside::env;
use crate::domain::failure::{ErrorClass, Failure};
use crate::render::call;
use crate::render::terminal::{self, Terminal};

/// What `--help` says after the options.
pub const AFTER_HELP: &str = "\
Examples:
  llmx chat -m sim/echo \"hello\"       try it: no key, no cost, nothing is sent
  llmx chat -m openai/gpt-4o-mini \"Why is the sky blue?\"
  git diff | llmx chat -m anthropic/claude-sonnet-4-5 \"Review this change\"
  llmx chat -m bedrock@eu-west-1/eu.anthropic.claude-sonnet-4-6 -a scan.pdf \"Sum it up\" -j

Exit codes:
  0 ok
  1 invalid request, other
  2 wrong usage or settings
  3 no or rejected credential
  4 no access, no such model
  5 rate limit or quota
  6 network, timeout, unreadable or cut answer, provider down
  7 refused by the model or a filter
  8 stopped by a budget
  9 some models failed
  10 the answer does not fit the schema, nothing to extract
  129, 130, 143 signals; 141 the reader went away";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// None was named.
    #[command(skip)]
    Bare(Later<chat::ChatArgs>),
    /// Send a prompt to a model and stream its answer
    #[command(after_help = AFTER_HELP)]
    Chat(Later<chat::ChatArgs>),
    /// Send one prompt to several models at once, and show their answers side by side with seconds and cost
    #[command(after_help = compare::AFTER_HELP)]
    Compare(Later<compare::CompareArgs>),
    /// List the providers and which of them have a credential here
    Providers(Later<providers::ProvidersArgs>),
    /// Say which credentials, models and regions work here, and what mends those that do not
    #[command(after_help = test_access::AFTER_HELP)]
    TestAccess(Later<test_access::TestAccessArgs>),
    /// List models with their prices, show where a price comes from, check a table, bill usage
    Models(Later<models::ModelsArgs>),
    /// List the routes, or show where a request would go and what it is expected to cost; nothing is sent
    Route(Later<route::RouteArgs>),
    /// List the calls that were made, or show one with its bill
    Logs(Later<logs::LogsArgs>),
    /// Limit what may be spent, and see where the limits stand
    #[command(after_help = budget::AFTER_HELP)]
    Budget(Later<budget::BudgetArgs>),
    /// Say what was spent, by whom and on what, in a table or a file
    #[command(after_help = usage::report::AFTER_HELP)]
    Usage(Later<usage::UsageArgs>),
    /// Look after the ledger: check it, copy it, settle what was left open
    Ledger(Later<ledger::LedgerArgs>),
    /// Print the script by which a shell completes llmx's commands, flags, models and names
    #[command(after_help = completions::AFTER_HELP)]
    Completions(Later<completions::CompletionsArgs>),
    /// Print the manual page, or write those of all commands into a folder
    #[command(after_help = man::AFTER_HELP)]
    Man(Later<man::ManArgs>),
    /// What the scripts of `llmx completions` ask
    #[command(name = "__complete", hide = true)]
    Complete(Later<completions::CompleteArgs>),
    /// Say what stands in the way here, in a form that can be pasted into a report; nothing is sent, nothing changed
    Doctor(Later<doctor::DoctorArgs>),
}

/// What every subcommand understands.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// Say nothing but the answer and errors
    #[arg(short, long)]
    pub quiet: bool,
    /// Say more on stderr: where things come from, the provider's own words, the request id; -vv: every step of every call
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Colour and Markdown: auto looks at each stream
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// The user's configuration file
    #[arg(long, value_name = "FILE", env = "LLMX_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The ledger (else LLMX_DB, else llmx/ledger.db in your data folder)
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
}

impl GlobalArgs {
    /// `-v`, once or more.
    #[must_use]
    pub fn is_verbose(&self) -> bool {
        self.verbose > 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

/// Runs what was asked for; gives the exit code of the process. `tree`: the whole command line, for what tells of it.
#[must_use]
pub fn run(command: Command, tree: fn() -> clap::Command) -> u8 {
    terminal::tell_panics();
    let done = match command {
        Command::Bare(args) => bare::run(&args, tree),
        Command::Chat(args) => chat::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Providers(args) => providers::run(&args),
        Command::TestAccess(args) => test_access::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Route(args) => route::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Budget(args) => budget::run(&args),
        Command::Usage(args) => usage::run(&args),
        Command::Ledger(args) => ledger::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args, tree()),
        Command::Complete(args) => completions::complete(&args, tree()),
        Command::Doctor(args) => doctor::run(&args),
    };
    let code = done.unwrap_or_else(|failure| fail(&failure));
    #[cfg(feature = "otel")]
    otel::export();
    code
}

/// Answers a command line that is none, or asks for help or the version; gives the exit code.
pub fn misused(error: &clap::Error, tree: fn() -> clap::Command) -> u8 {
    match misuse::failure(error, outside::words(), tree()) {
        Some(failure) => fail(&failure),
        None => {
            // A reader that has gone away has what it wanted.
            let _ = error.print();
            u8::try_from(error.exit_code()).unwrap_or(ErrorClass::Config.exit_code())
        }
    }
}

/// Says why nothing was done; gives the exit code of the class.
fn fail(failure: &Failure) -> u8 {
    let mut terminal = Terminal::new(terminal::Colour::Auto, false, env);
    let _ = terminal.note(&format!("{}\n", call::failure(None, failure)));
    failure.class.exit_code()
}

/// `--color` as the face knows it.
fn colour(flag: Colour) -> terminal::Colour {
    match flag {
        Colour::Auto => terminal::Colour::Auto,
        Colour::Always => terminal::Colour::Always,
        Colour::Never => terminal::Colour::Never,
    }
}
