//! `llmx compare`: one prompt, several models, their answers side by side.

pub mod args;
mod fan;
mod files;
mod lanes;
mod last;
mod live;
pub mod reopen;

use std::cell::RefCell;
use std::sync::PoisonError;

use serde_json::json;

use crate::command::calling::{self, Calling};
use crate::command::desk::{Desk, env};
use crate::command::{colour, input, schema, signals};
use crate::domain::chat::{ChatRequest, Message, Part, Schema};
use crate::domain::comparison::assertion::Assertion;
use crate::domain::comparison::{Comparison, Lane, Run, verdict};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::report::Stop;
use crate::domain::untrusted::json_line;
use crate::render::compare::{self, Layout, View};
use crate::render::extract::{self, Which};
use crate::render::terminal::{Terminal, Written};
use crate::render::{call, compare::json as object};
pub use args::CompareArgs;
use fan::{Fanned, Plan};
use lanes::Contender;
use live::Watcher;

/// What `compare --help` says after the options.
pub const AFTER_HELP: &str = "\
Examples:
  llmx compare -m sim/echo,sim/lorem \"hello\"                          try it: no key, no cost, nothing is sent
  llmx compare -m openai/gpt-4o-mini -m anthropic/claude-haiku-4-5 \"Why is the sky blue?\"
  llmx compare -m bedrock@eu-west-1/MODEL,bedrock@us-east-1/MODEL \"hi\" --runs 5 --sort first
  llmx compare -m group:cheap --last --assert json --assert 'cost<0.01' -o report.html -o report.junit

  In config.toml:  [group]
                   cheap = [\"openai/gpt-4o-mini\", \"groq/llama-3.1-8b-instant\"]

Exit codes:
  0 every model answered (--require any, or a number: so many)
  9 some failed, or they failed for reasons that have different codes
  10 an answer does not fulfil an assertion
  Where all failed for one reason, its code as for chat; 2 wrong usage or settings; 129, 130, 143 signals";

/// Asks all, shows, and gives the exit code.
///
/// # Errors
/// A [`Failure`] where nothing was sent: no model, nothing to ask, a ledger that cannot be opened. With `--json` it is
/// printed as well.
pub fn run(args: &CompareArgs) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ErrorClass::Network, format!("the runtime does not start: {error}")))?;
    let mut terminal = Terminal::new(colour(args.global.color), args.global.quiet, env);
    let done = runtime.block_on(compared(args, &mut terminal));
    if let Err(failure) = &done
        && args.json
    {
        let object = json!({"schema": 1, "error": call::error(failure)});
        let _ = terminal.show(&json_line(&object));
    }
    done
}

async fn compared(args: &CompareArgs, terminal: &mut Terminal) -> Result<u8, Failure> {
    let desk = Desk::open(&args.global, args.call.ca_file.clone())?;
    let (contenders, mut notes) = lanes::contenders(args, &desk)?;
    let assertions = assertions(args)?;
    files::check(&args.output)?;
    let asked = if args.last { None } else { Some(input::request(&args.input, &desk).await?) };
    let calling = Calling::open(&desk, "compare", &args.call, &args.global, terminal)?;
    let request = match asked {
        Some(request) => request,
        None => {
            let ledger = calling.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            last::request(&ledger, input::settings(&args.input)?)?
        }
    };
    for provider in contenders.iter().filter_map(|contender| contender.opened.as_ref().ok()) {
        calling::announce(&args.global, provider, terminal);
    }

    let group = uuid::Uuid::now_v7().to_string();
    let requests = [request];
    let count = |limit: Option<u32>| limit.and_then(|limit| usize::try_from(limit).ok());
    let seed = u64::try_from(uuid::Uuid::now_v7().as_u128() & u128::from(u64::MAX)).unwrap_or(1);
    let plan = Plan {
        calling: &calling,
        contenders: &contenders,
        requests: &requests,
        jobs: fan::jobs(contenders.len(), requests.len(), count(Some(args.runs)).unwrap_or(1), seed),
        group: &group,
        concurrency: count(args.concurrency),
        per_provider: count(args.per_provider),
        all_or_nothing: args.all_or_nothing,
    };
    let watcher = Watcher::new(terminal, &calling, &contenders, &requests, plan.jobs.len(), !args.json);
    let watcher = RefCell::new(watcher);
    let fanned = fan::fan(&plan, &watcher, signals::stopped()).await;
    notes.extend(watcher.into_inner().close());

    let stopped = fanned.stopped;
    let comparison = comparison(&contenders, &requests, fanned, group, &assertions);
    let exit = stopped.map_or_else(|| verdict(&comparison, args.require), Stop::exit_code);
    let shown = show(args, &comparison, exit, &notes, terminal);
    let written = files::write(&args.output, &comparison, &view(args, exit));
    for failure in written.iter().chain(shown.as_ref().err()) {
        let _ = terminal.note(&format!("{}\n", call::failure(None, failure)));
    }
    Ok(match shown {
        Ok(Written::Closed) => Stop::ClosedPipe.exit_code(),
        Ok(Written::All) if written.is_empty() => exit,
        // What was asked for is not there.
        _ if exit == 0 => 1,
        _ => exit,
    })
}

/// `--assert`, and `--schema` as one more.
fn assertions(args: &CompareArgs) -> Result<Vec<Assertion>, Failure> {
    let mut assertions = Vec::new();
    for text in &args.assert {
        assertions.push(Assertion::parse(text, schema::read)?);
    }
    if let Some(wanted) = &args.input.schema {
        assertions.push(Assertion::parse(&format!("schema:{wanted}"), schema::read)?);
    }
    Ok(assertions)
}

/// Holds an answer against a schema. A model that was asked in words often fences its JSON.
fn fits(wanted: &Schema, text: &str) -> Result<(), String> {
    schema::check(wanted, text).or_else(|misfit| match extract::code_block(text, &Which::First) {
        Some(block) => schema::check(wanted, &block),
        None => Err(misfit),
    })
}

/// The calls, sorted to their models.
fn comparison(
    contenders: &[Contender],
    requests: &[ChatRequest],
    fanned: Fanned,
    group: String,
    assertions: &[Assertion],
) -> Comparison {
    let mut done = fanned.done;
    done.sort_by_key(|done| (done.job.round, done.job.case));
    let mut runs: Vec<Vec<Run>> = contenders.iter().map(|_| Vec::new()).collect();
    for one in done {
        let mut run = Run { case: None, result: one.result, checks: Vec::new() };
        if let Some(report) = run.answered() {
            run.checks = assertions.iter().map(|assertion| assertion.check(report, fits)).collect();
        }
        runs[one.job.lane].push(run);
    }
    let lanes = contenders.iter().zip(runs);
    Comparison {
        group,
        prompt: requests.first().map(prompt).unwrap_or_default(),
        cases: Vec::new(),
        lanes: lanes
            .map(|(contender, runs)| Lane { name: contender.name.clone(), label: contender.label.clone(), runs })
            .collect(),
        wall_ms: fanned.wall_ms,
        judged: None,
    }
}

/// What was asked, as text.
fn prompt(request: &ChatRequest) -> String {
    let texts = request.messages.iter().flat_map(|message: &Message| &message.parts).filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

/// The screen is measured again: it may have another size than when the calls began.
fn view(args: &CompareArgs, exit: u8) -> View {
    let screen = Terminal::new(colour(args.global.color), args.global.quiet, env).out;
    View { screen, sort: args.sort(), diff: args.diff.is_some(), exit }
}

/// The answers and the table on standard output, the rest on standard error.
fn show(
    args: &CompareArgs,
    comparison: &Comparison,
    exit: u8,
    notes: &[String],
    terminal: &mut Terminal,
) -> Result<Written, Failure> {
    if !args.global.quiet {
        for note in notes {
            let _ = terminal.note(&format!("llmx: {note}\n"));
        }
    }
    let view = view(args, exit);
    let text = if args.json {
        json_line(&object::object(comparison, exit))
    } else {
        compare::page(comparison, &view, args.layout().unwrap_or_else(|| Layout::for_screen(&view.screen)))
    };
    let written = terminal.show(&text).map_err(|error| Failure::new(ErrorClass::InvalidRequest, error.to_string()))?;
    for lane in &comparison.lanes {
        for line in lane
            .runs
            .iter()
            .filter_map(Run::report)
            .flat_map(|report| live::told(&lane.label, report, args.global.verbose))
        {
            let _ = terminal.note(&format!("{line}\n"));
        }
    }
    let sent = comparison.lanes.iter().flat_map(|lane| &lane.runs).any(|run| run.report().is_some());
    if sent && !args.global.quiet && (terminal.err.terminal || args.global.verbose) {
        let _ = terminal.note(&format!("llmx logs show {}\n", reopen::short(&comparison.group)));
    }
    Ok(written)
}
