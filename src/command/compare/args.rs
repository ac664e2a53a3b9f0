//! The arguments of `llmx compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::command::GlobalArgs;
use crate::command::args::{CallArgs, InputArgs};
use crate::domain::comparison::Require;
use crate::render::compare::{Layout, Sort};

#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub input: InputArgs,

    /// Models to compare, as chat takes them (provider@region/model compares regions), or group:NAME; repeat for more
    #[arg(short, long, value_name = "MODEL[,…]", value_delimiter = ',')]
    pub model: Vec<String>,
    /// Ask what the last chat asked
    #[arg(long, conflicts_with_all = ["prompt", "system", "file", "attach"])]
    pub last: bool,
    /// Ask many prompts: JSON lines, CSV or YAML, whose fields stand in the prompt as {{field}}
    ///
    /// What the ledger already holds of them is not asked again.
    #[arg(long, value_name = "FILE", conflicts_with = "last")]
    pub prompts: Option<String>,
    /// Only tell what it would consume and cost; nothing is sent
    #[arg(long)]
    pub estimate: bool,
    /// A model that says which answers are better; it sees no names, and every pair in both orders
    #[arg(long, value_name = "MODEL", requires = "criteria")]
    pub judge: Option<String>,
    /// What the judge goes by
    #[arg(long, value_name = "TEXT", requires = "judge", value_parser = criteria)]
    pub criteria: Option<String>,
    /// Ask every model so often; tells the median, and from five runs on the spread
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// The most calls at one time (default: one of each model)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub concurrency: Option<u32>,
    /// The most calls to one provider at one time
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub per_provider: Option<u32>,
    /// Send nothing at all where one of the models cannot be asked or a budget refuses one of the calls
    #[arg(long, conflicts_with_all = ["concurrency", "per_provider", "prompts"])]
    pub all_or_nothing: bool,
    /// How many models must answer for the exit code 0
    #[arg(long, value_name = "all|any|NUMBER", default_value = "all", value_parser = require)]
    pub require: Require,
    /// What every answer must fulfil: contains:TEXT, regex:PATTERN, json, schema:FILE, cost<USD, first<TIME; repeat for more
    #[arg(long, value_name = "ASSERTION")]
    pub assert: Vec<String>,
    /// Answers side by side (the default on a terminal of at least 76 columns)
    #[arg(long, group = "layout")]
    pub cols: bool,
    /// Answers one after the other (the default elsewhere)
    #[arg(long, group = "layout")]
    pub stack: bool,
    /// Only the table
    #[arg(long, group = "layout")]
    pub table: bool,
    /// Print one JSON object
    #[arg(short, long, group = "layout")]
    pub json: bool,
    /// Mark the words that only one answer has
    #[arg(long, value_name = "words", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "words")]
    pub diff: Option<Diff>,
    /// The order of the table's rows, the least first
    #[arg(long, value_name = "BY", value_enum)]
    pub sort: Option<SortArg>,
    /// Also write a file, in the format of its name: .md, .html, .json, .csv, .junit or .xml; repeat for more
    #[arg(short, long, value_name = "FILE")]
    pub output: Vec<PathBuf>,

    #[command(flatten)]
    pub call: CallArgs,
    #[command(flatten)]
    pub global: GlobalArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Diff {
    Words,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SortArg {
    Cost,
    Time,
    First,
}

impl CompareArgs {
    /// The layout that was asked for.
    #[must_use]
    pub fn layout(&self) -> Option<Layout> {
        let layouts = [(self.cols, Layout::Columns), (self.stack, Layout::Stack), (self.table, Layout::Table)];
        layouts.into_iter().find_map(|(wanted, layout)| wanted.then_some(layout))
    }

    #[must_use]
    pub fn sort(&self) -> Option<Sort> {
        self.sort.map(|sort| match sort {
            SortArg::Cost => Sort::Cost,
            SortArg::Time => Sort::Time,
            SortArg::First => Sort::First,
        })
    }
}

fn criteria(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say what makes an answer better".to_owned()) } else { Ok(text.to_owned()) }
}

fn require(text: &str) -> Result<Require, String> {
    match text {
        "all" => Ok(Require::All),
        "any" => Ok(Require::Any),
        number => match number.parse() {
            Ok(count) if count > 0 => Ok(Require::AtLeast(count)),
            _ => Err("say all, any, or a number from 1 on".to_owned()),
        },
    }
}
