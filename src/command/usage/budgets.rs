//! `llmx usage budgets`: where every budget stands, and when it will be reached.

use clap::Args;

use super::forecast::ahead;
use crate::command::GlobalArgs;
use crate::command::budget::{NONE, in_force, width};
use crate::command::desk;
use crate::command::logs::{note, print};
use crate::command::outside::now_ms;
use crate::domain::failure::Failure;
use crate::render::usage::budgets::{self, Outlook};

pub const AFTER_HELP: &str = "\
pace      what the window will have cost if it goes on as it did: what is spent,
          over the part of the window that is past
reached   when the limit is used up: at the pace, and by `llmx usage forecast`

A budget counts in a zone of its own, UTC where none is set. The most urgent
come first. The exit code is 0 whatever stands here: `llmx budget check` is for
scripts (8: used up).";

#[derive(Debug, Clone, Args)]
pub struct BudgetsArgs {
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `ledger` where the books cannot be read, `config` for a file that cannot be.
pub fn run(args: &BudgetsArgs) -> Result<u8, Failure> {
    let config = desk::config(&args.global)?;
    let mut books = desk::ledger(&args.global, &config.limits)?;
    for warning in books.warnings() {
        note(warning, &args.global);
    }
    let now_ms = now_ms();
    let budgets = in_force(&config, &books)?;
    let mut outlooks = Vec::with_capacity(budgets.len());
    for standing in books.standings(&budgets, now_ms)? {
        let ahead = ahead(&mut books, &standing, now_ms)?;
        outlooks.push(Outlook::new(standing, ahead, now_ms));
    }
    outlooks.sort_by_key(Outlook::urgency);
    if args.json {
        return print(&budgets::json(&outlooks, now_ms), &args.global);
    }
    if outlooks.is_empty() {
        note(NONE, &args.global);
        return Ok(0);
    }
    print(&budgets::page(&outlooks, width(&args.global)), &args.global)
}
