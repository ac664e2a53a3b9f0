//! `llmx chat`: one prompt, one model, one answer.

pub mod args;
mod screen;

use serde_json::json;

use crate::call::Target;
use crate::command::calling::{self, Calling};
use crate::command::desk::{Desk, env};
use crate::command::{colour, input, signals};
use crate::domain::chat::ChatRequest;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::report::Stop;
use crate::domain::untrusted::{json_line, one_line};
use crate::provider::{Choice, Provider};
use crate::render::terminal::{Terminal, Written};
use crate::render::{call, draft};
use crate::wire::contract::Dialect;
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
    let name = desk.model(args.model.as_deref())?;
    let provider = desk.provider(&name, &choice(args))?;
    let request = input::request(&args.input, &desk).await?;
    if args.dry_run {
        return dry_run(args, &provider, &request, terminal);
    }
    let calling = Calling::open(&desk, "chat", &args.call, &args.global, terminal)?;
    calling::announce(&args.global, &provider, terminal);
    let stand_ins = stand_ins(args, &desk, terminal);
    let targets: Vec<Target<'_>> = std::iter::once((&name, &provider))
        .chain(stand_ins.iter().map(|(name, provider)| (name, provider)))
        .map(|(name, provider)| Target { name, provider })
        .collect();
    terminal.status(&format!("waiting for {name}"));
    let mut screen = Screen::new(args, terminal);
    let call = calling.call(&targets, &request, None);
    let report = call.run(&mut |news| screen.show(news), Box::pin(signals::stopped())).await?;
    Ok(screen.finish(&report, &request))
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

fn choice(args: &ChatArgs) -> Choice {
    Choice {
        base_url: args.base_url.clone().filter(|url| !url.trim().is_empty()),
        api: args.api.and_then(dialect),
        region: args.region.clone().filter(|region| !region.trim().is_empty()),
        profile: args.call.profile.clone(),
        whole: args.call.no_stream,
        draft: args.dry_run,
    }
}

fn dialect(api: ApiArg) -> Option<Dialect> {
    Some(match api {
        ApiArg::Auto => return None,
        ApiArg::Chat => Dialect::Chat,
        ApiArg::Responses => Dialect::Responses,
        ApiArg::Messages => Dialect::Messages,
        ApiArg::GenerateContent => Dialect::GenerateContent,
        ApiArg::Converse => Dialect::Converse,
        ApiArg::Cohere => Dialect::Cohere,
        ApiArg::Ollama => Dialect::Ollama,
    })
}

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
