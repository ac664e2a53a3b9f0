//! The arguments of `llmx test-access`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::command::GlobalArgs;
use crate::command::args::{CallArgs, usd};
use crate::command::who::WhoArgs;
use crate::domain::access::{Depth, FailOn};
use crate::domain::instant;
use crate::domain::money::Usd;

#[derive(Debug, Clone, Args)]
pub struct TestAccessArgs {
    #[command(flatten)]
    pub global: GlobalArgs,
    /// Only models whose names hold one of these; also models that a provider with a credential here is known for
    #[arg(value_name = "PATTERN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub pattern: Vec<String>,
    /// Every known model of every provider with a credential here
    #[arg(long)]
    pub all: bool,
    /// Only these providers, also without a credential; repeat or separate by commas
    #[arg(long, value_name = "PROVIDER", value_delimiter = ',')]
    pub provider: Vec<String>,
    /// Exactly these models: provider[@region]/model, an alias, a fragment or group:NAME
    #[arg(short = 'm', long = "models", visible_alias = "model", value_name = "MODEL", value_delimiter = ',')]
    pub models: Vec<String>,
    /// Each model in each of these regions; `all`: those that are known of its cloud
    #[arg(long, visible_alias = "region", value_name = "REGION|all", value_delimiter = ',', value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub regions: Vec<String>,
    /// Each model with each of these credential profiles (AWS)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub profile: Vec<String>,
    /// How far: what is here (nothing is sent), what the provider lists (free), or one token of each model
    #[arg(long, value_name = "DEPTH", value_enum, default_value_t = DepthArg::Invoke)]
    pub depth: DepthArg,
    /// The most that the whole test may cost, in USD
    #[arg(long, value_name = "USD", value_parser = usd, default_value = "0.05")]
    pub max_cost: Usd,
    /// Also ask models whose price is not known: what they cost counts nowhere in --max-cost
    #[arg(long)]
    pub unpriced: bool,
    /// The most probes at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000), default_value_t = 64)]
    pub concurrency: u16,
    /// Do not ask other regions and ids where a model is not to be had
    #[arg(long)]
    pub no_search: bool,
    /// Test again and again, with this long between: 30s, 5m, 1h
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub watch: Option<Duration>,
    /// Print what to do: the IAM statement, the page, the command, the line of configuration. Changes nothing
    #[arg(long)]
    pub fix: bool,
    /// Fail where any model fails, only where all do, or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = FailOnArg::Any)]
    pub fail_on: FailOnArg,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
    /// Also write the result to a file: .json, .junit or .xml
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The most seconds that one probe may take
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 30)]
    pub timeout: u64,
    /// Further requests after one that failed and may succeed a little later
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=10), default_value_t = 0)]
    pub retries: u32,
    /// A PEM file of further root certificates
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub who: WhoArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DepthArg {
    Keys,
    List,
    Invoke,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOnArg {
    Any,
    All,
    None,
}

impl TestAccessArgs {
    #[must_use]
    pub fn depth(&self) -> Depth {
        match self.depth {
            DepthArg::Keys => Depth::Keys,
            DepthArg::List => Depth::List,
            DepthArg::Invoke => Depth::Invoke,
        }
    }

    #[must_use]
    pub fn fail_on(&self) -> FailOn {
        match self.fail_on {
            FailOnArg::Any => FailOn::Any,
            FailOnArg::All => FailOn::All,
            FailOnArg::None => FailOn::None,
        }
    }

    /// How the probes are called: once each, within what the test may cost, and without their texts in the books.
    #[must_use]
    pub fn call(&self) -> CallArgs {
        let mut who = self.who.clone();
        who.tag.push("probe=1".into());
        CallArgs {
            ca_file: self.ca_file.clone(),
            timeout: Some(self.timeout),
            retries: Some(self.retries),
            max_cost: Some(self.max_cost),
            no_clip: true,
            no_store: true,
            who,
            ..CallArgs::default()
        }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    let millis = instant::age(text).and_then(|millis| u64::try_from(millis).ok()).filter(|millis| *millis > 0);
    millis.map(Duration::from_millis).ok_or_else(|| "give a time such as 30s, 5m or 1h".to_owned())
}
