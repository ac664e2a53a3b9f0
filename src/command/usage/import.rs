//! `llmx usage import`: what other tools have spent, read into the books, each call once.

mod anthropic;
pub mod book;
mod claude_code;
mod codex;
pub mod detect;
mod exported;
mod litellm;
mod llm;
mod openai;
pub mod report;
pub mod row;
mod stream;

use std::path::{Path, PathBuf};

use clap::Args;

use book::{Booker, How};
use detect::Format;

use crate::command::logs::{note, opened, print};
use crate::command::outside::{env, now_ms};
use crate::command::{GlobalArgs, config};
use crate::domain::failure::{ErrorClass, Failure};

pub const AFTER_HELP: &str = "\
Formats, found out from what stands in a file:
  claude-code  session logs of Claude Code: without FILE those of this machine
               (CLAUDE_CONFIG_DIR, ~/.claude)
  codex        session logs of Codex: without FILE those of this machine
               (CODEX_HOME, ~/.codex)
  llm          logs.db of llm: without FILE the one that `llm logs path` names
  litellm      spend logs of LiteLLM, as CSV or as the JSON of /spend/logs
  openai       usage and cost exports: the JSON of
               /v1/organization/usage/completions and /costs, and the
               dashboard's CSV
  anthropic    usage and cost exports: the JSON of usage_report/messages and
               cost_report, and the Console's CSV
  llmx         calls of other books, as `llmx usage export -o FILE.jsonl` (or
               .csv) wrote them there, with their ids and amounts

A row is booked once, however often it is read. A call that llmx made itself is
known by the provider's id, and in an export of llmx by its own. Sums (exports
by day or hour) are left out where the books hold calls of the same provider,
model and time, and the other way round; --overlaps books them all the same.
What a sum has grown by since it was read before is booked beside it. Of an
export of llmx, sums are not read: their own files are. No budget counts
imported rows; reports do, and name their source.

JSON (schema 1; amounts are decimal strings in USD):
  dry_run
  sources          [{source, files, read, new, already_there, same_as_own,
                   overlapping, corrected, shrunk, future, unfinished, broken,
                   grown, unpriced, requests, usd}]  read is the sum of new …
                   unfinished; grown and unpriced are parts of new; usd is of
                   the new that have a price, and of corrections
  total            the same of all sources
  unpriced_models  {provider/model: rows}
  unknown_files    files in folders that have none of the formats
  problems         [{file, at, why}]  the first lines or rows that could not be
                   read";

#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ImportArgs {
    /// A format, then files and folders; without a format it is found out, without a file the tool's own log is read
    #[arg(value_name = "FORMAT|FILE|DIR", required = true)]
    what: Vec<PathBuf>,
    /// Say what would be booked, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Also book sums over calls that stand in the books, and calls within sums that do
    #[arg(long)]
    overlaps: bool,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `config` for a file that is not there or has no known format, `ledger` where the books cannot be written: what was booked
/// until then stays, and is not booked again.
pub fn run(args: &ImportArgs) -> Result<u8, Failure> {
    let (files, skipped) = files(args)?;
    let prices = config::prices(&env)?;
    let mut books = opened(&args.global)?;
    let how = How { now_ms: now_ms(), dry: args.dry_run, overlaps: args.overlaps };
    let mut booker = Booker::new(&mut books, &prices, how)?;
    for (path, format) in &files {
        if args.global.is_verbose() {
            note(&format!("{}: {}", path.display(), format.name()), &args.global);
        }
        read(&mut booker, path, *format)?;
    }
    let mut report = booker.end()?;
    report.skipped = skipped;
    let text = if args.json { format!("{}\n", report::object(&report)) } else { report::page(&report) };
    print(&text, &args.global)
}

/// The files with their formats, calls before sums and counts before money; and how many in folders have no known format.
fn files(args: &ImportArgs) -> Result<(Vec<(PathBuf, Format)>, u64), Failure> {
    let first = args.what.first().and_then(|first| first.to_str());
    let asked = first.filter(|first| detect::NAMES.contains(first));
    let mut paths = args.what.iter().skip(usize::from(asked.is_some())).cloned().collect::<Vec<PathBuf>>();
    if let (Some(asked), true) = (asked, paths.is_empty()) {
        paths = own(asked)?;
    }
    let mut found = Vec::new();
    let mut skipped = 0;
    for path in &paths {
        let folder = path.is_dir();
        for file in detect::files(path)? {
            match detect::format(&file, asked) {
                Ok(format) => found.push((file, format)),
                Err(_) if folder => skipped += 1,
                Err(failure) => return Err(failure),
            }
        }
    }
    if found.is_empty() {
        let all = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(Failure::new(ErrorClass::Config, format!("{all}: no file that can be imported"))
            .advise(format!("formats: {}; `llmx usage import --help` says more", detect::NAMES.join(", "))));
    }
    found.sort_by_key(|(_, format)| *format);
    Ok((found, skipped))
}

/// Where a tool keeps its log on this machine.
fn own(asked: &str) -> Result<Vec<PathBuf>, Failure> {
    let places = Format::places(asked, &env);
    let there: Vec<PathBuf> = places.iter().filter(|place| place.exists()).cloned().collect();
    if !there.is_empty() {
        return Ok(there);
    }
    let said = match places.as_slice() {
        [] => format!("{asked} keeps no log on this machine"),
        places => {
            let all = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" or ");
            format!("there is no log of {asked} at {all}")
        }
    };
    Err(Failure::new(ErrorClass::Config, said).advise(format!("llmx usage import {asked} FILE")))
}

fn read(booker: &mut Booker<'_>, path: &Path, format: Format) -> Result<(), Failure> {
    let (source, reader) = reader(format);
    booker.begin(source);
    reader(path, &mut |found| booker.take(path, source, found))
}

/// Reads a file of one format, and hands over what it finds.
pub type Reader = fn(&Path, row::Take<'_>) -> Result<(), Failure>;

/// What reads a format, and what the books name as the origin of its rows.
#[must_use]
pub fn reader(format: Format) -> (&'static str, Reader) {
    match format {
        Format::LlmxJson => (exported::SOURCE, exported::json),
        Format::LlmxCsv => (exported::SOURCE, exported::csv),
        Format::ClaudeCode => (claude_code::SOURCE, claude_code::read),
        Format::Codex => (codex::SOURCE, codex::read),
        Format::Llm => (llm::SOURCE, llm::read),
        Format::LiteLlmJson => (litellm::SOURCE, litellm::json),
        Format::LiteLlmCsv => (litellm::SOURCE, litellm::csv),
        Format::OpenAiUsageJson => (openai::USAGE, openai::usage_json),
        Format::OpenAiUsageCsv => (openai::USAGE, openai::usage_csv),
        Format::OpenAiCostJson => (openai::COST, openai::cost_json),
        Format::OpenAiCostCsv => (openai::COST, openai::cost_csv),
        Format::AnthropicUsageJson => (anthropic::USAGE, anthropic::usage_json),
        Format::AnthropicUsageCsv => (anthropic::USAGE, anthropic::usage_csv),
        Format::AnthropicCostJson => (anthropic::COST, anthropic::cost_json),
        Format::AnthropicCostCsv => (anthropic::COST, anthropic::cost_csv),
    }
}
