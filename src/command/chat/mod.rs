//! `llmx chat`: one prompt, one model, one answer.

pub mod args;
mod screen;

use serde_json::json;

use std::time::Duration;

use crate::call::{Call, News, Target};
use crate::command::calling::{self, Calling};
use crate::command::desk::Desk;
use crate::command::outside::env;
use crate::command::route::{choose, escalates, first, known};
use crate::command::{colour, input, signals};
use crate::domain::chat::{ChatEvent, ChatRequest};
use crate::domain::failure::{ErrorClass, Failure, Replace};
use crate::domain::model::ModelName;
use crate::domain::report::{CallReport, Earlier, Stop};
use crate::domain::route::check::Checks;
use crate::domain::untrusted::{json_line, one_line};
use crate::provider::{Choice, Provider};
use crate::render::route as face;
use crate::render::terminal::{Terminal, Written};
use crate::render::{call, draft};
pub use args::{ApiArg, ChatArgs};
use screen::{Screen, unwritten};

/// Asks, shows, and gives the exit code.
///
/// # Errors
/// A [`Failure`] where nothing was sent: no model, no credential, nothing to ask. With `--json` it is printed as well.
pub fn run(args: &ChatArgs) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ErrorClass::Network, format!("the runtime does not start: {error}")))?;
    let mut terminal = Terminal::new(colour(args.global.color), args.global.quiet, env);
    let done = runtime.block_on(chat(args, &mut terminal));
    if let Err(failure) = &done
        && (args.json || args.jsonl)
    {
        let object = json!({"schema": 1, "error": call::error(failure)});
        let _ = terminal.show(&json_line(&object));
    }
    done
}

async fn chat(args: &ChatArgs, terminal: &mut Terminal) -> Result<u8, Failure> {
    let desk = Desk::open(&args.global, args.call.ca_file.clone())?;
    let wanted = wanted(args, &desk)?;
    let request = input::request(&args.input, &desk).await?;
    if args.dry_run
        && let Wanted::Model(_, provider) = &wanted
    {
        return dry_run(args, provider, &request, terminal);
    }
    let mut calling = Calling::open(&desk, "chat", &args.call, &args.global, terminal)?;
    let mut plan = plan(args, &desk, wanted, &request, &calling, terminal)?;
    if args.dry_run {
        return dry_run(args, &plan.models[0].1, &request, terminal);
    }
    calling.caller.route = plan.route.take();
    for (_, provider) in &plan.models {
        calling::announce(&args.global, provider, terminal);
    }
    plan.models.extend(stand_ins(args, &desk, terminal));
    let targets: Vec<Target<'_>> = plan.models.iter().map(|(name, provider)| Target { name, provider }).collect();
    terminal.status(&format!("waiting for {}", targets[0].name));
    let mut screen = Screen::new(args, terminal);
    let report = match &plan.check {
        None => {
            let call = calling.call(&targets, &request, None);
            call.run(&mut |news| screen.show(news), Box::pin(signals::stopped())).await?
        }
        Some(check) => cascade(&calling, &targets, &request, check, &mut screen).await?,
    };
    Ok(screen.finish(&report, &request))
}

/// What `-m` means.
enum Wanted {
    Model(ModelName, Box<Provider>),
    Route(String),
}

/// Who is asked: the first, and where that fails the others in their order.
struct Plan {
    /// Never empty.
    models: Vec<(ModelName, Provider)>,
    /// The route that chose them.
    route: Option<String>,
    /// Of a cascade: the next model is also asked where an answer does not stand these.
    check: Option<Checks>,
}

fn wanted(args: &ChatArgs, desk: &Desk) -> Result<Wanted, Failure> {
    if let Some(route) = desk.route(args.model.as_deref()) {
        return Ok(Wanted::Route(route));
    }
    let name = desk.model(args.model.as_deref())?;
    let provider = desk.provider(&name, &args.choice())?;
    Ok(Wanted::Model(name, Box::new(provider)))
}

fn plan(
    args: &ChatArgs,
    desk: &Desk,
    wanted: Wanted,
    request: &ChatRequest,
    calling: &Calling,
    terminal: &mut Terminal,
) -> Result<Plan, Failure> {
    let route = match wanted {
        Wanted::Model(name, provider) => return Ok(Plan { models: vec![(name, *provider)], route: None, check: None }),
        Wanted::Route(route) => route,
    };
    let choice = args.choice();
    let (_, decision) = known(desk, calling, |known| choose(desk, &route, request, &choice, known))?;
    first(&route, &decision)?;
    if !args.global.quiet {
        let _ = terminal.note(&format!("llmx: {}\n", face::sentence(&route, &decision)));
    }
    let opened = decision.order.iter().map(|candidate| {
        let provider = desk.provider(&candidate.name, &choice)?;
        Ok((candidate.name.clone(), provider))
    });
    // The first one must open; another that does not is not asked.
    let mut models = Vec::new();
    for model in opened {
        match model {
            Ok(model) => models.push(model),
            Err(failure) if models.is_empty() => return Err(failure),
            Err(_) => {}
        }
    }
    Ok(Plan { models, route: Some(route), check: decision.check })
}

/// The first model's answer is held back until it stands the checks; where it does not, the next model is asked.
async fn cascade(
    calling: &Calling,
    targets: &[Target<'_>],
    request: &ChatRequest,
    check: &Checks,
    screen: &mut Screen<'_>,
) -> Result<CallReport, Failure> {
    let (stop, stopped) = tokio::sync::watch::channel(None);
    let listening = signals::stopped();
    tokio::pin!(listening);
    let asking = async {
        let mut earlier = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            let is_last = at + 1 == targets.len();
            let call = Call { earlier: earlier.clone(), ..calling.call(std::slice::from_ref(target), request, None) };
            let stopping = Box::pin(signals::told(stopped.clone()));
            let mut report = match is_last {
                true => return call.run(&mut |news| screen.show(news), stopping).await,
                false => {
                    let mut aside = |news: News<'_>| matches!(news, News::Events(_)) || screen.show(news);
                    call.run(&mut aside, stopping).await?
                }
            };
            let failed = report.failure.clone().filter(|failure| failure.replace == Replace::Always);
            let why = match &failed {
                Some(failure) => Some(failure.message.clone()),
                None => escalates(&report, request.settings.schema.as_ref(), check).await,
            };
            let Some(why) = why else {
                screen.show(News::Events(&[ChatEvent::Text(report.answer.text())]));
                return Ok(report);
            };
            let failure = failed.unwrap_or_else(|| Failure::new(ErrorClass::Protocol, why));
            screen.show(News::Instead { failure: &failure, from: target.name, to: targets[at + 1].name });
            earlier = std::mem::take(&mut report.earlier);
            earlier.push(Earlier::of(CallReport { failure: Some(failure), ..report }, Duration::ZERO));
        }
        Err(Failure::new(ErrorClass::Config, "a cascade without models"))
    };
    tokio::pin!(asking);
    loop {
        tokio::select! {
            biased;
            report = &mut asking => return report,
            signal = &mut listening, if stop.borrow().is_none() => { let _ = stop.send(Some(signal)); }
        }
    }
}

/// The models that may be asked instead. One that cannot be asked from here is left out, and that is said.
fn stand_ins(args: &ChatArgs, desk: &Desk, terminal: &mut Terminal) -> Vec<(ModelName, Provider)> {
    let choice = Choice { profile: args.call.profile.clone(), whole: args.call.no_stream, ..Choice::default() };
    let wanted = if args.fallback.is_empty() { &desk.config.fallback.models } else { &args.fallback };
    let mut found = Vec::new();
    for wanted in wanted {
        let opened = desk.model(Some(wanted)).and_then(|name| Ok((desk.provider(&name, &choice)?, name)));
        match opened {
            Ok((provider, name)) => found.push((name, provider)),
            Err(failure) => {
                let why = one_line(&failure.message);
                let _ = terminal.note(&format!("llmx: the fallback {wanted} is left out: {why}\n"));
            }
        }
    }
    found
}

/// What the arguments choose beside the model.
fn dry_run(
    args: &ChatArgs,
    provider: &Provider,
    request: &ChatRequest,
    terminal: &mut Terminal,
) -> Result<u8, Failure> {
    let planned = provider.draft(request)?;
    for ignored in &planned.ignored {
        let _ = terminal.note(&format!("llmx: {ignored}\n"));
    }
    let text = if args.json || args.jsonl {
        let object = json!({"schema": 1, "dry_run": true, "url": planned.url, "api": planned.dialect.as_str(),
            "region": planned.region, "headers": planned.headers.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>(),
            "body": planned.body, "ignored": planned.ignored});
        json_line(&object)
    } else {
        draft::text(&planned.url, &planned.headers, &planned.body)
    };
    Ok(match terminal.answer(&text) {
        Ok(Written::All) => 0,
        Ok(Written::Closed) => Stop::ClosedPipe.exit_code(),
        Err(error) => unwritten(&error, terminal),
    })
}
