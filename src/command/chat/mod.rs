//! `llmx chat`: one prompt, one model, one answer.

pub mod args;
mod screen;

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use crate::call::{Call, Caller};
use crate::command::desk::{self, Desk, env};
use crate::command::{colour, config, input, signals};
use crate::domain::chat::ChatRequest;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::report::Stop;
use crate::domain::untrusted::json_line;
use crate::provider::{Choice, Provider};
use crate::render::terminal::{Terminal, Written};
use crate::render::{call, draft};
use crate::wire::contract::Dialect;
pub use args::{ApiArg, ChatArgs, EffortArg};
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
    let desk = Desk::open(&args.global, args.ca_file.clone())?;
    let name = desk.model(args.model.as_deref())?;
    let provider = desk.provider(&name, &choice(args))?;
    let request = input::request(args, &desk).await?;
    if args.dry_run {
        return dry_run(args, &provider, &request, terminal);
    }
    let prices = config::prices(&env)?;
    let ledger = desk::ledger(&args.global, &desk.config.limits)?;
    for warning in ledger.warnings() {
        let _ = terminal.note(&format!("llmx: {warning}\n"));
    }
    let ledger = Mutex::new(ledger);
    let caller = Caller { keeps_texts: desk.config.keeps_texts(args.no_store, &env), ..desk::caller("chat") };
    announce(args, &provider, terminal);
    terminal.status(&format!("waiting for {name}"));
    let total = args.timeout.map(Duration::from_secs);
    let call = Call {
        name: &name,
        provider: &provider,
        request: &request,
        limits: desk.limits,
        total,
        prices: &prices,
        ledger: &ledger,
        caller: &caller,
        now: &desk::now_ms,
    };
    let mut screen = Screen::new(args, terminal);
    let report = call.run(&mut |events| screen.show(events), Box::pin(signals::stopped())).await?;
    Ok(screen.finish(&report, &request, &name))
}

/// What the arguments choose beside the model.
pub fn choice(args: &ChatArgs) -> Choice {
    Choice {
        base_url: args.base_url.clone().filter(|url| !url.trim().is_empty()),
        api: args.api.and_then(dialect),
        region: args.region.clone().filter(|region| !region.trim().is_empty()),
        profile: args.profile.clone(),
        whole: args.no_stream,
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

/// What must be known before anything is sent, and with `-v` where everything comes from.
fn announce(args: &ChatArgs, provider: &Provider, terminal: &mut Terminal) {
    for warning in provider.warnings() {
        let _ = terminal.note(&format!("llmx: {warning}\n"));
    }
    if args.global.verbose {
        for origin in provider.origins() {
            let _ = terminal.note(&format!("llmx: {origin}\n"));
        }
    }
}
