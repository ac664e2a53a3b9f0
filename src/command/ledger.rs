//! `llmx ledger`: looking after the books.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::command::logs::{note, opened, print};
use crate::command::outside::now_ms;
use crate::command::{GlobalArgs, reprice};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::instant::age;
use crate::domain::money::Usd;
use crate::domain::record::Resolution;
use crate::render::ledger;

#[derive(Debug, Clone, Args)]
pub struct LedgerArgs {
    #[command(subcommand)]
    work: LedgerCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum LedgerCommand {
    /// Prove that the file is whole and that every sum agrees with its calls; exit 1 where not
    Check {
        /// First make the sums anew from the calls
        #[arg(long)]
        rebuild: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Write a whole copy into a new file, also while calls are made
    Backup {
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Remove old prompts and answers for good; what was called and charged stays
    Purge {
        /// Say that prompts and answers are meant
        #[arg(long, required = true)]
        texts: bool,
        /// Of calls that are older: 90d, 12h, 2w
        #[arg(long, value_name = "AGE", required = true)]
        older_than: String,
        #[command(flatten)]
        common: Common,
    },
    /// List calls without a settlement: each counts at its ceiling
    Open {
        #[command(flatten)]
        common: Common,
    },
    /// Settle a call that was left open, or correct one, by hand
    Resolve(ResolveArgs),
    /// Say what the calls would cost at other prices; booked amounts stay as they are
    #[command(after_help = reprice::AFTER_HELP)]
    Reprice(reprice::RepriceArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ResolveArgs {
    /// The id, or an end or beginning of it that no other call has
    call: String,
    /// nothing, ceiling, or the amount in USD
    #[arg(long = "as", value_name = "nothing|ceiling|AMOUNT")]
    resolution: String,
    /// The proof; it is kept with the amount
    #[arg(long, value_name = "TEXT")]
    because: String,
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
/// `ledger` where the books cannot be read or written, `config` for a flag that cannot be.
pub fn run(args: &LedgerArgs) -> Result<u8, Failure> {
    match &args.work {
        LedgerCommand::Check { rebuild, common } => check(*rebuild, common),
        LedgerCommand::Backup { file, common } => {
            opened(&common.global)?.backup(file)?;
            done(common, &format!("copied to {}", file.display()), &json!({"file": file}))
        }
        LedgerCommand::Purge { texts: _, older_than, common } => purge(older_than, common),
        LedgerCommand::Open { common } => open(common),
        LedgerCommand::Resolve(args) => resolve(args),
        LedgerCommand::Reprice(args) => reprice::run(args),
    }
}

/// Settles a call by hand.
///
/// # Errors
/// `config` for an amount that is none, `ledger` where the call cannot be settled.
pub(super) fn resolve(args: &ResolveArgs) -> Result<u8, Failure> {
    let resolution = read(&args.resolution)?;
    let id = opened(&args.common.global)?.resolve(&args.call, resolution, &args.because, now_ms())?;
    done(&args.common, &format!("{id} is settled"), &json!({"id": id}))
}

fn check(rebuild: bool, common: &Common) -> Result<u8, Failure> {
    let mut books = opened(&common.global)?;
    if rebuild {
        books.rebuild()?;
    }
    let found = books.check()?;
    let written = if common.json {
        print(&format!("{}\n", json!({"schema": 1, "ok": found.is_empty(), "found": found})), &common.global)?
    } else if found.is_empty() {
        print("the ledger is whole, and its sums agree\n", &common.global)?
    } else {
        print(&(found.join("\n") + "\n"), &common.global)?
    };
    Ok(if written == 0 { u8::from(!found.is_empty()) } else { written })
}

fn purge(older_than: &str, common: &Common) -> Result<u8, Failure> {
    let age = age(older_than).ok_or_else(|| {
        Failure::new(ErrorClass::Config, format!("--older-than {older_than}: no age")).advise("write 90d, 12h or 2w")
    })?;
    let purged = opened(&common.global)?.purge_texts(now_ms().saturating_sub(age))?;
    if !purged.overwritten {
        note(
            "others have the ledger open, so its log may still hold the words: purge again when they have ended",
            &common.global,
        );
    }
    done(
        common,
        &format!("removed {} prompts and {} answers; the amounts stay", purged.prompts, purged.answers),
        &json!({"prompts": purged.prompts, "answers": purged.answers, "overwritten": purged.overwritten}),
    )
}

fn open(common: &Common) -> Result<u8, Failure> {
    let calls = opened(&common.global)?.open_calls()?;
    if common.json {
        return print(&format!("{}\n", ledger::object(&calls)), &common.global);
    }
    if calls.is_empty() {
        note("no call is open", &common.global);
        return Ok(0);
    }
    print(&ledger::open_calls(&calls, now_ms()), &common.global)
}

/// Says what was done, as a sentence or as JSON.
fn done(common: &Common, sentence: &str, object: &serde_json::Value) -> Result<u8, Failure> {
    let text = if common.json { object.to_string() } else { sentence.to_owned() };
    print(&format!("{text}\n"), &common.global)
}

fn read(text: &str) -> Result<Resolution, Failure> {
    match text {
        "nothing" => Ok(Resolution::Nothing),
        "ceiling" => Ok(Resolution::Ceiling),
        amount => {
            let amount = Usd::parse(amount.trim_start_matches('$')).filter(|amount| amount.picos >= 0);
            amount.map(Resolution::Amount).ok_or_else(|| {
                Failure::new(ErrorClass::Config, format!("--as {text}: no amount"))
                    .advise("write nothing, ceiling, or an amount in USD such as 0.12")
            })
        }
    }
}
