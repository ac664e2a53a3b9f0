//! `llmx test-access`: which credentials, models and regions work, and what mends those that do not.

pub mod args;
mod fix;
pub mod kept;
mod probe;
mod search;
mod select;
mod together;

use std::cell::RefCell;
use std::path::Path;

use tokio::sync::watch;
use tokio::time::sleep;

pub use args::TestAccessArgs;
use probe::{Bench, Opened};
use together::Gate;

use crate::command::calling::Calling;
use crate::command::desk::{self, Desk};
use crate::command::outside::{env, now_ms};
use crate::command::{colour, signals, written};
use crate::domain::access::{AccessReport, Depth, exit_code};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::money::Usd;
use crate::domain::report::Stop;
use crate::domain::untrusted::json_line;
use crate::render::access as face;
use crate::render::terminal::{Terminal, Written};

/// What `--help` says after the options.
pub const AFTER_HELP: &str = "\
Examples:
  llmx test-access                                     what is configured, was used lately, or has a credential
  llmx test-access sonnet --regions eu-west-1,us-east-1
  llmx test-access --provider bedrock --all --profile dev,prod --fix
  llmx test-access --depth keys                        sends nothing
  llmx test-access -m openai/gpt-4o-mini --watch 5m -j

Exit codes: 0 all work; 9 some do not; the failure's own where all fail with
the same (3 credential, 4 access, 5 quota, 6 network, 8 budget); --fail-on
all|none changes when. The result is kept beside the ledger in access.json.";

/// # Errors
/// `config` where there is nothing to test or a file cannot be read, `ledger` where the books cannot be opened.
pub fn run(args: &TestAccessArgs) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ErrorClass::Network, format!("the runtime does not start: {error}")))?;
    let mut terminal = Terminal::new(colour(args.global.color), args.global.quiet, env);
    let done = runtime.block_on(test(args, &mut terminal));
    if let Err(failure) = &done
        && args.json
    {
        let object = serde_json::json!({"schema": 1, "error": crate::render::call::error(failure)});
        let _ = terminal.show(&json_line(&object));
    }
    done
}

async fn test(args: &TestAccessArgs, terminal: &mut Terminal) -> Result<u8, Failure> {
    // Before anything is paid for.
    if let Some(path) = &args.output {
        kind(path)?;
        written::check(path)?;
    }
    let desk = Desk::open(&args.global, args.ca_file.clone())?;
    let stopping = signals::stopped();
    tokio::pin!(stopping);
    let (stop, stopped) = watch::channel(None);
    loop {
        let report = {
            let round = round(&desk, args, terminal, &stopped);
            tokio::pin!(round);
            tokio::select! {
                biased;
                by = &mut stopping => {
                    let _ = stop.send(Some(by));
                    // What was sent is settled, and what is known is shown.
                    round.await?
                }
                report = &mut round => report?,
            }
        };
        let by = *stopped.borrow();
        let code = show(&report, args, terminal)?;
        if let Some(by) = by {
            return Ok(by.exit_code());
        }
        let Some(pause) = args.watch.filter(|_| code != Stop::ClosedPipe.exit_code()) else { return Ok(code) };
        tokio::select! {
            by = &mut stopping => return Ok(by.exit_code()),
            () = sleep(pause) => {}
        }
    }
}

/// One test of everything: selects, says what it can cost, asks, searches, keeps.
async fn round(
    desk: &Desk,
    args: &TestAccessArgs,
    terminal: &mut Terminal,
    stop: &watch::Receiver<Option<Stop>>,
) -> Result<AccessReport, Failure> {
    let depth = args.depth();
    let calling = match depth {
        Depth::Invoke => Some(Calling::open(desk, "test-access", &args.call(), &args.global, terminal)?),
        Depth::Keys | Depth::List => None,
    };
    let recent = recent(desk, args, calling.as_ref())?;
    let cells = select::cells(desk, args, &recent)?;
    let at_ms = now_ms();
    let terminal = RefCell::new(terminal);
    let bench = Bench {
        desk,
        args,
        calling: calling.as_ref(),
        terminal: &terminal,
        gate: Gate::new(args.concurrency, args.max_cost),
        stop: stop.clone(),
        group: uuid::Uuid::now_v7().to_string(),
        passed: RefCell::default(),
    };
    let opened: Vec<Opened> = cells.iter().map(|cell| bench.open(cell.clone())).collect();
    warn(&bench, select::not_honoured(args, &cells).into_iter().chain(opened.iter().flat_map(Opened::warnings)));
    let most = announce(&bench, &opened, "");
    let mut probes = match depth {
        Depth::Keys => opened.iter().map(probe::here).collect(),
        Depth::List => bench.list(opened).await,
        Depth::Invoke => bench.ask(opened).await,
    };
    let (search, more) = match depth {
        Depth::Invoke if !args.no_search => search::search(&bench, &cells, &mut probes).await,
        Depth::Keys | Depth::List | Depth::Invoke => (Vec::new(), Usd::default()),
    };
    let most = Usd::from_picos(most.picos.saturating_add(more.picos));
    if args.fix {
        for (cell, probed) in cells.iter().zip(&mut probes) {
            probed.fix = fix::fix(cell, probed);
        }
    }
    let costs = || probes.iter().chain(&search).map(|probed| probed.cost);
    let spent = costs().flatten().fold(0_i64, |sum, cost| sum.saturating_add(cost.picos));
    let unknown = costs().filter(Option::is_none).count();
    let report = AccessReport { at_ms, depth, most, spent: Usd::from_picos(spent), unknown, probes, search };
    if let (Depth::Invoke, Some(path)) = (depth, &desk.access)
        && let Err(failure) = kept::keep(path, &report)
    {
        let _ = terminal.borrow_mut().note(&format!("llmx: {}\n", failure.message));
    }
    Ok(report)
}

/// Which models were used lately, as far as books are there: a test of keys makes none.
fn recent(
    desk: &Desk,
    args: &TestAccessArgs,
    calling: Option<&Calling>,
) -> Result<Vec<crate::domain::model::ModelName>, Failure> {
    if !args.models.is_empty() {
        return Ok(Vec::new());
    }
    match calling {
        Some(calling) => {
            let ledger = calling.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            select::recent(&ledger, now_ms())
        }
        None => match desk::ledger_path(&args.global).filter(|path| path.exists()) {
            Some(_) => select::recent(&desk::ledger(&args.global, &desk.config.limits)?, now_ms()),
            None => Ok(Vec::new()),
        },
    }
}

/// What must be known before anything is sent, each sentence once.
fn warn(bench: &Bench<'_>, warnings: impl Iterator<Item = String>) {
    let mut said: Vec<String> = Vec::new();
    for warning in warnings {
        if !said.contains(&warning) {
            said.push(warning);
        }
    }
    if !bench.args.global.quiet {
        for warning in said {
            let _ = bench.terminal.borrow_mut().note(&format!("llmx: {warning}\n"));
        }
    }
}

/// Says how many probes follow and the most that they can cost, and gives that.
fn announce(bench: &Bench<'_>, opened: &[Opened], why: &str) -> Usd {
    let sum = opened.iter().filter_map(Opened::ceiling).fold(0_i64, |sum, cost| sum.saturating_add(cost.picos));
    let most = Usd::from_picos(sum);
    if bench.calling.is_some() && !bench.args.global.quiet {
        let unknown = opened.iter().filter(|one| one.is_unknown()).count();
        let text = face::announcement(why, opened.len(), most, bench.args.max_cost, unknown, bench.args.unpriced);
        let _ = bench.terminal.borrow_mut().note(&text);
    }
    most
}

/// Shows the report and writes its file; gives the exit code.
fn show(report: &AccessReport, args: &TestAccessArgs, terminal: &mut Terminal) -> Result<u8, Failure> {
    let classes: Vec<_> = report.probes.iter().map(|probed| probed.access.class).collect();
    let code = exit_code(&classes, args.fail_on());
    let kept = args.output.as_deref().map_or(Ok(()), |path| write(path, report, code));
    if let Err(failure) = &kept {
        let _ = terminal.note(&format!("{}\n", crate::render::call::failure(None, failure)));
    }
    let shown = if args.json {
        terminal.show(&json_line(&face::object(report, code)))
    } else {
        let style =
            face::Style { colour: terminal.out.colour, whole: args.global.is_verbose(), again: args.watch.is_some() };
        let text = face::table(report, style);
        terminal.show(&text)
    };
    match shown {
        // What was asked for is not there.
        Ok(Written::All) if code == 0 && kept.is_err() => Ok(1),
        Ok(Written::All) => Ok(code),
        Ok(Written::Closed) => Ok(Stop::ClosedPipe.exit_code()),
        Err(error) => Err(Failure::new(ErrorClass::InvalidRequest, error.to_string())),
    }
}

/// The kinds of file that a test can be written to.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Json,
    Junit,
}

fn kind(path: &Path) -> Result<Kind, Failure> {
    match path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("json") => Ok(Kind::Json),
        Some("junit" | "xml") => Ok(Kind::Junit),
        _ => Err(Failure::new(ErrorClass::Config, format!("{}: the kind of file is not known", path.display()))
            .advise("name it .json, .junit or .xml")),
    }
}

fn write(path: &Path, report: &AccessReport, code: u8) -> Result<(), Failure> {
    let text = match kind(path)? {
        Kind::Json => json_line(&face::object(report, code)),
        Kind::Junit => face::junit(report),
    };
    written::write(path, &text)
}
