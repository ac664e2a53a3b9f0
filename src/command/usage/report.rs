//! The report of `llmx usage` itself: what was spent in a period, in groups.

use clap::Args;
use serde_json::json;

use super::asked::AskedArgs;
use crate::command::GlobalArgs;
use crate::command::logs::{opened, print};
use crate::domain::failure::Failure;
use crate::domain::spend::Dimension;

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    asked: AskedArgs,
    /// Show how the sum was made: every line as quantity × rate; of one call or group with its ID
    #[arg(long, value_name = "ID", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    explain: Option<String>,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

pub fn run(args: &ReportArgs) -> Result<u8, Failure> {
    if let Some(which) = &args.explain {
        return super::sums::run(&args.asked, which, args.json, &args.global);
    }
    let question = args.asked.question("7d", &[Dimension::Day, Dimension::Model])?;
    let spend = opened(&args.global)?.spend(&question)?;
    print(&format!("{}\n", json!({"calls": spend.total.calls, "picos": spend.total.picos.to_string()})), &args.global)
}
