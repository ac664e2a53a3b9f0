//! `llmx logs`: the calls that were made, and one of them with its bill.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::command::compare::reopen;
use crate::command::desk::{self, config};
use crate::command::outside::{env, now_ms};
use crate::command::{GlobalArgs, colour};
use crate::domain::comparison::{Comparison, Require, verdict};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::instant::since;
use crate::domain::money::Usd;
use crate::domain::report::Stop;
use crate::domain::untrusted::json_line;
use crate::ledger::{self, Ledger, LogFilter};
use crate::render::compare::{self, Layout, View};
use crate::render::terminal::{Terminal, Written};
use crate::render::{budget, logs};

#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LogsArgs {
    #[command(subcommand)]
    show: Option<LogsCommand>,
    /// Only calls that have this in their prompt, answer or error
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// The most calls, newest first
    #[arg(short, long, value_name = "NUMBER", default_value_t = 20)]
    number: u32,
    /// Only calls since a day (2026-11-01, UTC) or an age (12h, 7d, 2w)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only calls to models that have this in their name
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// Only calls that failed
    #[arg(long)]
    failed: bool,
    /// The calls that a budget refused, in place of those that were made: nothing of them was sent
    #[arg(long, conflicts_with_all = ["text", "since", "model", "failed", "cost"])]
    refused: bool,
    /// Only calls whose cost in USD compares so: '>0.1', '<=2'
    #[arg(long, value_name = "COMPARISON")]
    cost: Option<String>,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum LogsCommand {
    /// Show one call: its bill with the arithmetic, and what was said
    Show {
        /// The id, or an end or beginning of it that no other call has
        #[arg(value_name = "CALL|GROUP")]
        id: String,
        /// Only the bill: every line as quantity × rate = amount, and where the rates come from
        #[arg(long, conflicts_with = "json")]
        explain: bool,
        /// Print JSON
        #[arg(short, long)]
        json: bool,
        #[command(flatten)]
        global: GlobalArgs,
    },
}

/// # Errors
/// `ledger` where the books cannot be read, `config` for a flag that cannot be.
pub fn run(args: &LogsArgs) -> Result<u8, Failure> {
    match &args.show {
        Some(LogsCommand::Show { id, explain, json, global }) => {
            let books = opened(global)?;
            let (group, records) = books.group(id)?;
            if !records.is_empty() {
                return show_group(reopen::comparison(&group, records), *json, global);
            }
            let record = books.record(id)?;
            let text = match (*json, *explain) {
                (true, _) => format!("{}\n", logs::object(&record)),
                (false, true) => logs::explained(&record),
                (false, false) => logs::page(&record),
            };
            print(&text, global)
        }
        None if args.refused => {
            let records = opened(&args.global)?.last_refusals(args.number)?;
            let text = if args.json {
                let refused: Vec<_> = records.iter().map(budget::explained_object).collect();
                json_line(&json!({"schema": 1, "refused": refused}))
            } else if records.is_empty() {
                note("no call was refused", &args.global);
                String::new()
            } else {
                budget::refusals(&records)
            };
            print(&text, &args.global)
        }
        None => {
            let filter = filter(args)?;
            let records = opened(&args.global)?.logs(&filter)?;
            let text = if args.json {
                let calls: Vec<_> = records.iter().map(logs::object).collect();
                format!("{}\n", json!({"schema": 1, "calls": calls}))
            } else if records.is_empty() {
                note(nothing(args), &args.global);
                String::new()
            } else {
                logs::table(&records)
            };
            print(&text, &args.global)
        }
    }
}

/// A comparison as it was shown when it was made.
fn show_group(comparison: Comparison, json: bool, global: &GlobalArgs) -> Result<u8, Failure> {
    let terminal = Terminal::new(colour(global.color), global.quiet, env);
    let view = View { screen: terminal.out, sort: None, diff: false, exit: 0 };
    let text = if json {
        json_line(&compare::json::object(&comparison, verdict(&comparison, Require::All)))
    } else {
        compare::page(&comparison, &view, Layout::for_screen(&view.screen))
    };
    print(&text, global)
}

/// The ledger, with what it has to say on standard error.
pub(super) fn opened(global: &GlobalArgs) -> Result<Ledger, Failure> {
    let books = desk::ledger(global, &config(global)?.limits)?;
    for warning in books.warnings() {
        note(warning, global);
    }
    Ok(books)
}

pub(super) fn note(text: &str, global: &GlobalArgs) {
    if !global.quiet {
        let _ = Terminal::new(colour(global.color), global.quiet, env).note(&format!("llmx: {text}\n"));
    }
}

pub(super) fn print(text: &str, global: &GlobalArgs) -> Result<u8, Failure> {
    match Terminal::new(colour(global.color), global.quiet, env).answer(text) {
        Ok(Written::All) => Ok(0),
        Ok(Written::Closed) => Ok(Stop::ClosedPipe.exit_code()),
        Err(error) => Err(Failure::new(ErrorClass::InvalidRequest, error.to_string())),
    }
}

/// Why there is nothing to list.
fn nothing(args: &LogsArgs) -> &'static str {
    let LogsArgs { text, since, model, failed, cost, .. } = args;
    let asks_for_all = text.is_none() && since.is_none() && model.is_none() && !failed && cost.is_none();
    match asks_for_all {
        true => "no call was made yet: `llmx chat -m sim/echo hello` makes one, without a key",
        false => "no call in the ledger fits",
    }
}

fn filter(args: &LogsArgs) -> Result<LogFilter, Failure> {
    let wrong = |what: String, advice: &str| Failure::new(ErrorClass::Config, what).advise(advice);
    let since_ms = args
        .since
        .as_deref()
        .map(|text| {
            since(text, now_ms())
                .ok_or_else(|| wrong(format!("--since {text}: no day and no age"), "write 2026-11-01, 12h, 7d or 2w"))
        })
        .transpose()?;
    let cost = args
        .cost
        .as_deref()
        .map(|text| {
            comparison(text)
                .ok_or_else(|| wrong(format!("--cost {text}: no comparison with an amount"), "write '>0.1' or '<=2'"))
        })
        .transpose()?;
    Ok(LogFilter {
        text: args.text.clone(),
        since_ms,
        model: args.model.clone(),
        failed: args.failed,
        cost,
        limit: args.number,
    })
}

fn comparison(text: &str) -> Option<(ledger::Comparison, Usd)> {
    // The longer signs first: `>=` begins with `>`.
    let signs = [
        (">=", ledger::Comparison::AtLeast),
        ("<=", ledger::Comparison::AtMost),
        (">", ledger::Comparison::More),
        ("<", ledger::Comparison::Less),
        ("=", ledger::Comparison::Equal),
    ];
    let (sign, comparison) = signs.into_iter().find(|(sign, _)| text.trim().starts_with(sign))?;
    let amount = text.trim().strip_prefix(sign)?.trim().trim_start_matches('$');
    Some((comparison, Usd::parse(amount)?))
}

#[cfg(test)]
mod tests {
    use super::comparison;
    use crate::domain::money::Usd;
    use crate::ledger::Comparison;

    #[test]
    fn a_cost_is_compared_exactly() {
        let tenth = Usd::from_picos(100_000_000_000);
        assert_eq!(comparison(">0.1"), Some((Comparison::More, tenth)));
        assert_eq!(comparison(" <= $0.1"), Some((Comparison::AtMost, tenth)));
        assert_eq!(comparison("=0"), Some((Comparison::Equal, Usd::default())));
        for wrong in ["0.1", ">", "> x", "~1", ""] {
            assert_eq!(comparison(wrong), None, "{wrong}");
        }
    }
}
