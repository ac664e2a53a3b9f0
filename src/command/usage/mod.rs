//! `llmx usage`: what was spent, by whom and on what, and what comes of it.

mod absent;
pub mod asked;
pub mod budgets;
pub mod explain;
pub mod export;
pub mod face;
pub mod forecast;
pub mod import;
mod page;
pub mod report;
pub mod savings;
pub mod statusline;
pub mod sums;
pub mod waste;
pub mod watch;
pub mod what_if;

use clap::{Args, Subcommand};

use crate::domain::failure::{ErrorClass, Failure};

#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct UsageArgs {
    #[command(subcommand)]
    work: Option<UsageCommand>,
    #[command(flatten)]
    report: report::ReportArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum UsageCommand {
    /// Split a change into its causes, and into the projects, users and tags that carry it
    Explain(explain::ExplainArgs),
    /// Say where the month will end, with a band
    #[command(after_help = forecast::AFTER_HELP)]
    Forecast(forecast::ForecastArgs),
    /// Say what the calls of a period would have cost on another model
    #[command(after_help = what_if::AFTER_HELP)]
    WhatIf(what_if::WhatIfArgs),
    /// Say what caching, batches and routes saved
    #[command(after_help = savings::AFTER_HELP)]
    Savings(savings::SavingsArgs),
    /// Say what was paid for nothing
    #[command(after_help = waste::AFTER_HELP)]
    Waste(waste::WasteArgs),
    /// Say where every budget stands, and when it will be reached
    #[command(after_help = budgets::AFTER_HELP)]
    Budgets(budgets::BudgetsArgs),
    /// Print one short line for a prompt or a status bar
    #[command(after_help = statusline::AFTER_HELP)]
    Statusline(statusline::StatuslineArgs),
    /// Write the raw rows for other programs
    Export(export::ExportArgs),
    /// Read what other tools have spent into the books
    Import(import::ImportArgs),
}

/// # Errors
/// `ledger` where the books cannot be read, `config` for a flag that cannot be.
pub fn run(args: &UsageArgs) -> Result<u8, Failure> {
    match &args.work {
        None => match args.report.asked.period.as_deref().filter(|period| UsageCommand::has_subcommand(period)) {
            Some(work) => Err(behind_a_flag(work)),
            None => report::run(&args.report),
        },
        Some(UsageCommand::Explain(args)) => explain::run(args),
        Some(UsageCommand::Forecast(args)) => forecast::run(args),
        Some(UsageCommand::WhatIf(args)) => what_if::run(args),
        Some(UsageCommand::Savings(args)) => savings::run(args),
        Some(UsageCommand::Waste(args)) => waste::run(args),
        Some(UsageCommand::Budgets(args)) => budgets::run(args),
        Some(UsageCommand::Statusline(args)) => statusline::run(args),
        Some(UsageCommand::Export(args)) => export::run(args),
        Some(UsageCommand::Import(args)) => import::run(args),
    }
}

/// `usage --db FILE explain …`: a flag of the report stands before it, so that it was read as a period.
fn behind_a_flag(work: &str) -> Failure {
    Failure::new(ErrorClass::Config, format!("{work} stands behind a flag of `llmx usage`"))
        .advise(format!("write it first and the flags after it: llmx usage {work} …"))
}
