//! `llmx compare`: one prompt, several models, their answers side by side.

pub mod args;
pub mod estimate;
mod fan;
mod files;
pub mod judge;
mod lanes;
mod last;
mod live;
pub mod prompts;
pub mod reopen;
pub mod resume;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::pin::{Pin, pin};
use std::sync::PoisonError;

use serde_json::json;
use tokio::sync::watch;

use crate::call::{Caller, Target};
use crate::command::calling::{self, Calling};
use crate::command::desk::{self, Desk};
use crate::command::outside::{env, now_ms};
use crate::command::{colour, config, input, schema, signals};
use crate::domain::chat::{ChatRequest, Message, Part, Schema};
use crate::domain::comparison::assertion::Assertion;
use crate::domain::comparison::{Comparison, Judgement, Lane, Require, Run, verdict};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::report::{CallReport, Stop};
use crate::domain::untrusted::json_line;
use crate::provider::Provider;
use crate::render::compare::{self, Layout, View};
use crate::render::extract::{self, Which};
use crate::render::terminal::{Terminal, Written};
use crate::render::{budget, call, compare::json as object};
pub use args::CompareArgs;
use fan::{Done, Fanned, Plan};
use lanes::Contender;
use live::{Job, Watcher};

/// What `compare --help` says after the options.
pub const AFTER_HELP: &str = "\
Examples:
  llmx compare -m sim/echo,sim/lorem \"hello\"                          try it: no key, no cost, nothing is sent
  llmx compare -m openai/gpt-4o-mini -m anthropic/claude-haiku-4-5 \"Why is the sky blue?\"
  llmx compare -m bedrock@eu-west-1/MODEL,bedrock@us-east-1/MODEL \"hi\" --runs 5 --sort first
  llmx compare -m group:cheap --prompts cities.csv \"Where is {{city}}?\" --max-cost 2 --estimate
  llmx compare -m A,B,C --judge openai/gpt-4.1 --criteria \"correct first, then short\" \"…\"
  llmx compare -m group:cheap --last --assert json --assert 'cost<0.01' -o report.html -o report.junit

  In config.toml:  [group]
                   cheap = [\"openai/gpt-4o-mini\", \"groq/llama-3.1-8b-instant\"]

Exit codes:
  0 every model answered (--require any, or a number: so many)
  9 some failed, or they failed for reasons that have different codes
  10 an answer does not fulfil an assertion
  Where all failed for one reason, its code as for chat; 2 wrong usage or
  settings; 129, 130, 143 signals";

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
    if let Require::AtLeast(count) = args.require
        && count > contenders.len()
    {
        let said = format!("--require {count}: no more than {} can answer; nothing was sent", contenders.len());
        return Err(Failure::new(ErrorClass::Config, said).advise("name more models, or require fewer"));
    }
    files::check(&args.output)?;
    let asked = Asked::read(args, &desk).await?;
    notes.extend(asked.sameness());
    if args.estimate {
        let left_out = [
            (args.judge.is_some(), "what --judge costs is not part of the estimate"),
            (!args.output.is_empty(), "an estimate is not written with -o: nothing was answered"),
        ];
        notes.extend(left_out.into_iter().filter(|(asked, _)| *asked).map(|(_, said)| said.to_owned()));
        tell(&notes, args, terminal);
        return estimated(args, &contenders, &asked, terminal);
    }
    let judging = args.judge.as_deref().map(|judge| judging(judge, args, &desk)).transpose()?;
    let calling = Calling::open(&desk, "compare", &args.call, &args.global, terminal)?.counting_retries();
    let opened = contenders.iter().filter_map(|contender| contender.opened.as_ref().ok());
    for provider in opened.chain(judging.iter().map(|(_, provider)| provider)) {
        calling::announce(&args.global, provider, terminal);
    }

    let rounds = usize::try_from(args.runs).unwrap_or(1);
    let seed = u64::try_from(uuid::Uuid::now_v7().as_u128() & u128::from(u64::MAX)).unwrap_or(1);
    let mut jobs = fan::jobs(contenders.len(), asked.requests.len(), rounds, seed);
    let mut known = Known::default();
    if asked.is_matrix {
        known = Known::read(&calling, &contenders, &asked, rounds)?;
        jobs.retain(|job| !known.done.contains_key(job));
        if !known.done.is_empty() {
            let (held, all) = (known.done.len(), known.done.len() + jobs.len());
            notes.push(format!("{held} of {all} calls stand in the ledger already and were not made again"));
        }
    }
    let group = known.group.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let count = |limit: Option<u32>| limit.and_then(|limit| usize::try_from(limit).ok());
    let plan = Plan {
        calling: &calling,
        contenders: &contenders,
        requests: &asked.requests,
        callers: &known.callers,
        jobs,
        group: &group,
        concurrency: count(args.concurrency),
        per_provider: count(args.per_provider),
        all_or_nothing: args.all_or_nothing,
    };
    let faces = (!args.json && !asked.is_matrix, args.global.quiet);
    let watcher = RefCell::new(Watcher::new(terminal, &calling, &contenders, &asked.requests, plan.jobs.len(), faces));
    let mut signal = pin!(signals::stopped());
    let fanned = fan::fan(&plan, &watcher, signal.as_mut()).await;
    notes.extend(watcher.into_inner().close());

    let mut stopped = fanned.stopped;
    let mut comparison = comparison(&contenders, &asked, fanned, known.done, group);
    if let (Some((name, provider)), None) = (&judging, stopped) {
        terminal.status("waiting for the judge");
        let criteria = args.criteria.as_deref().unwrap_or_default();
        let at_once = count(args.concurrency).unwrap_or(JUDGED_AT_ONCE);
        let judged =
            judged(&calling, Target { name, provider }, &comparison, (criteria, at_once), signal, &mut stopped);
        match judged.await {
            Ok(judgement) => comparison.judged = Some(judgement),
            Err(failure) => notes.push(failure.message),
        }
        terminal.clear_status();
    }
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

/// Calls of a judge at one time, where no limit is given.
const JUDGED_AT_ONCE: usize = 4;

/// What every model is asked, and what must hold of the answers: both by prompt.
struct Asked {
    requests: Vec<ChatRequest>,
    assertions: Vec<Vec<Assertion>>,
    is_matrix: bool,
}

impl Asked {
    async fn read(args: &CompareArgs, desk: &Desk) -> Result<Asked, Failure> {
        let all = assertions(args)?;
        let Some(file) = &args.prompts else {
            let request = if args.last {
                last::request(&desk::ledger(&args.global, &desk.config.limits)?, input::settings(&args.input)?)?
            } else {
                input::request(&args.input, desk).await?
            };
            return Ok(Asked { requests: vec![request], assertions: vec![all], is_matrix: false });
        };
        let (base, template) = prompts::template(input::template(&args.input, desk).await?);
        let cases = prompts::read(file, &prompts::load(file)?, &base, template.as_deref())?;
        let mut asked = Asked { requests: Vec::new(), assertions: Vec::new(), is_matrix: true };
        for case in cases {
            let mut own = all.clone();
            for text in &case.asserts {
                own.push(Assertion::parse(text, schema::read).map_err(|failure| case.at_fault(file, failure))?);
            }
            asked.requests.push(case.request);
            asked.assertions.push(own);
        }
        Ok(asked)
    }

    /// That a file asks the same again and again: a template without a variable is more likely than that wish.
    fn sameness(&self) -> Option<String> {
        let (first, others) = self.requests.split_first()?;
        let same = !others.is_empty() && others.iter().all(|other| other == first);
        same.then(|| {
            format!("all {} prompts are the same: {{{{field}}}} stands for a field of the file", self.requests.len())
        })
    }
}

/// What the ledger already holds of a matrix.
#[derive(Default)]
struct Known {
    group: Option<String>,
    done: HashMap<Job, CallReport>,
    /// With the tag of its cell.
    callers: HashMap<Job, Caller>,
}

impl Known {
    fn read(calling: &Calling, contenders: &[Contender], asked: &Asked, rounds: usize) -> Result<Known, Failure> {
        let requests: Vec<&ChatRequest> = asked.requests.iter().collect();
        let place = |contender: &Contender| {
            let draft = contender.opened.as_ref().ok()?.draft(requests.first()?).ok()?;
            Some(format!("{} {}", draft.dialect.as_str(), draft.url))
        };
        let lanes: Vec<(ModelName, String)> =
            contenders.iter().map(|one| (one.name.clone(), place(one).unwrap_or_default())).collect();
        let cells = resume::cells(&lanes, &requests, rounds);
        let group = resume::group(&cells);
        let records = calling.ledger.lock().unwrap_or_else(PoisonError::into_inner).made_together(&group)?;
        let finished = resume::finished(&cells, &lanes, &records);
        let mut known = Known { group: Some(group), ..Known::default() };
        for (cell, finished) in cells.iter().zip(finished) {
            let job = Job { lane: cell.lane, case: cell.case, round: cell.run };
            match finished {
                Some(report) => _ = known.done.insert(job, report),
                None => {
                    let mut caller = calling.caller.clone();
                    caller.tags.insert(resume::TAG.to_owned(), cell.tag().to_owned());
                    known.callers.insert(job, caller);
                }
            }
        }
        Ok(known)
    }
}

/// `--estimate`: nothing is sent.
fn estimated(
    args: &CompareArgs,
    contenders: &[Contender],
    asked: &Asked,
    terminal: &mut Terminal,
) -> Result<u8, Failure> {
    let mut targets = Vec::new();
    for contender in contenders {
        match &contender.opened {
            Ok(provider) => targets.push((contender.label.clone(), Target { name: &contender.name, provider })),
            Err(failure) => {
                let _ = terminal.note(&format!("{}\n", call::failure(Some(&contender.label), failure)));
            }
        }
    }
    let requests: Vec<&ChatRequest> = asked.requests.iter().collect();
    let rounds = usize::try_from(args.runs).unwrap_or(1);
    let estimate = estimate::estimate(&targets, &requests, rounds, &config::prices(&env)?, now_ms());
    let text =
        if args.json { json_line(&compare::estimate::object(&estimate)) } else { compare::estimate::table(&estimate) };
    match terminal.show(&text) {
        Ok(Written::All) => {
            let first = contenders.iter().find_map(|contender| contender.opened.as_ref().err());
            Ok(if targets.is_empty() { first.map_or(0, |failure| failure.class.exit_code()) } else { 0 })
        }
        Ok(Written::Closed) => Ok(Stop::ClosedPipe.exit_code()),
        Err(error) => Err(Failure::new(ErrorClass::InvalidRequest, error.to_string())),
    }
}

/// The judge, opened before anything is sent: without it the answers are worth less.
fn judging(judge: &str, args: &CompareArgs, desk: &Desk) -> Result<(ModelName, Provider), Failure> {
    let name = desk.model(Some(judge))?;
    let provider = desk.provider(&name, &lanes::choice(args))?;
    Ok((name, provider))
}

/// Has the answers judged; a signal ends that.
async fn judged(
    calling: &Calling,
    target: Target<'_>,
    comparison: &Comparison,
    (criteria, at_once): (&str, usize),
    mut signal: Pin<&mut impl Future<Output = Stop>>,
    stopped: &mut Option<Stop>,
) -> Result<Judgement, Failure> {
    let (stop, stopping) = watch::channel(None);
    let told = || fan::told(stopping.clone());
    let mut judging = pin!(judge::judge(calling, target, comparison, criteria, at_once, &told));
    loop {
        tokio::select! {
            judged = &mut judging => return judged,
            by = &mut signal, if stopped.is_none() => {
                *stopped = Some(by);
                stop.send_replace(Some(by));
            }
        }
    }
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

/// The calls, sorted to their models; those that the ledger held already stand among them.
fn comparison(
    contenders: &[Contender],
    asked: &Asked,
    fanned: Fanned,
    known: HashMap<Job, CallReport>,
    group: String,
) -> Comparison {
    let mut done = fanned.done;
    done.extend(known.into_iter().map(|(job, report)| Done { job, result: Ok(report) }));
    done.sort_by_key(|done| (done.job.round, done.job.case));
    let mut runs: Vec<Vec<Run>> = contenders.iter().map(|_| Vec::new()).collect();
    for Done { job, result } in done {
        let mut run = Run { case: asked.is_matrix.then_some(job.case), result, checks: Vec::new() };
        if let Some(report) = run.answered() {
            run.checks = asked.assertions[job.case].iter().map(|assertion| assertion.check(report, fits)).collect();
        }
        runs[job.lane].push(run);
    }
    let mut prompts: Vec<String> = asked.requests.iter().map(prompt).collect();
    let lanes = contenders.iter().zip(runs);
    Comparison {
        group,
        prompt: if asked.is_matrix { String::new() } else { prompts.pop().unwrap_or_default() },
        cases: prompts,
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

fn tell(notes: &[String], args: &CompareArgs, terminal: &mut Terminal) {
    for note in notes.iter().filter(|_| !args.global.quiet) {
        let _ = terminal.note(&format!("llmx: {note}\n"));
    }
}

/// The answers and the table on standard output, the rest on standard error.
fn show(
    args: &CompareArgs,
    comparison: &Comparison,
    exit: u8,
    notes: &[String],
    terminal: &mut Terminal,
) -> Result<Written, Failure> {
    tell(notes, args, terminal);
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
            .flat_map(|report| live::told(&lane.label, report, args.global.is_verbose()))
        {
            let _ = terminal.note(&format!("{line}\n"));
        }
    }
    let alerts = comparison.lanes.iter().flat_map(|lane| &lane.runs).filter_map(Run::report);
    let alerts: BTreeSet<String> = alerts.flat_map(CallReport::all_alerts).map(budget::alert).collect();
    for alert in alerts.iter().filter(|_| !args.global.quiet) {
        let _ = terminal.note(&format!("llmx: {alert}\n"));
    }
    let sent = comparison.lanes.iter().flat_map(|lane| &lane.runs).any(|run| run.report().is_some());
    if sent && !args.global.quiet && (terminal.err.terminal || args.global.is_verbose()) {
        let _ = terminal.note(&format!("llmx logs show {}\n", reopen::short(&comparison.group)));
    }
    Ok(written)
}
