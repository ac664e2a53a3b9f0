//! Arguments that several subcommands share: what is asked, and how a call is made.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::command::who::WhoArgs;
use crate::domain::money::Usd;

/// What is asked.
#[derive(Debug, Clone, Default, Args)]
pub struct InputArgs {
    /// The prompt; `-` marks where standard input goes (without it, piped input is added below the prompt)
    #[arg(value_name = "PROMPT")]
    pub prompt: Vec<String>,
    /// The system prompt, or @FILE
    #[arg(short, long, value_name = "TEXT|@FILE")]
    pub system: Option<String>,
    /// A text file to add to the prompt; repeat for more
    #[arg(short, long, value_name = "PATH|URL|-")]
    pub file: Vec<String>,
    /// An image, PDF or sound to send along; repeat for more
    #[arg(short, long, value_name = "PATH|URL|-")]
    pub attach: Vec<String>,
    /// The answer must be JSON that fits this JSON Schema: a file, the schema itself, or "name, age int, note: a hint"
    #[arg(long, value_name = "FILE|DSL|JSON")]
    pub schema: Option<String>,
    /// How freely words are chosen: 0 is the least; the model says what the most is
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// The most tokens of the answer
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// Begin from this seed, so that the answer may come again, where the provider takes one
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub seed: Option<i64>,
    /// How hard a reasoning model thinks
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub effort: Option<EffortArg>,
    /// A provider's own parameter, laid into the request at a dotted path; repeat for more
    ///
    /// The value is read as JSON where it is JSON. `-P cache=5m` or `cache=1h` marks the prompt for the provider's cache.
    #[arg(short = 'P', long = "param", value_name = "KEY=VALUE")]
    pub param: Vec<String>,
    /// Show the model's thinking on stderr
    #[arg(long)]
    pub show_reasoning: bool,
}

/// How a call is made, and what it may cost.
#[derive(Debug, Clone, Default, Args)]
pub struct CallArgs {
    /// Ask for the whole answer at once
    #[arg(short = 'S', long, overrides_with = "stream")]
    pub no_stream: bool,
    /// Stream the answer (the default)
    #[arg(long, overrides_with = "no_stream", hide = true)]
    pub stream: bool,
    /// The credential profile (AWS)
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// A PEM file of further root certificates
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The most seconds that the whole call may take
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// The most seconds until the first token
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub first_token_timeout: Option<u64>,
    /// Further requests after one that failed and may succeed a little later (default 2)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=10))]
    pub retries: Option<u32>,
    /// The most that the whole command may cost, in USD: what could cost more is not sent, or with a lower output cap
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub max_cost: Option<Usd>,
    /// Refuse a call for which too little is left, instead of asking for a shorter answer
    #[arg(long)]
    pub no_clip: bool,
    /// Book the call without its prompt and answer
    #[arg(long)]
    pub no_store: bool,

    #[command(flatten)]
    pub who: WhoArgs,
}

/// An amount in USD, with or without the sign.
pub(super) fn usd(text: &str) -> Result<Usd, String> {
    Usd::parse(text.trim_start_matches('$'))
        .filter(|amount| amount.picos >= 0 && !text.trim_start_matches('$').is_empty())
        .ok_or_else(|| "give an amount in USD, such as 0.05".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EffortArg {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}
