//! `llmx models --usable` and `--remote`: what works here as far as it was tested, and what a provider itself lists.

use serde_json::json;

use super::{ListArgs, now, print};
use crate::command::colour;
use crate::command::config;
use crate::command::desk::{self, Desk};
use crate::command::outside::{env, now_ms};
use crate::command::test_access::kept::{Kept, STALE_MS};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::usage::Meter;
use crate::pricing::{Context, Priced, Prices};
use crate::provider::{Choice, Provider, listing};
use crate::render::access::{UsableLine, ago, listed, usable_table};
use crate::render::terminal::Terminal;

/// Whether a name holds all of the words.
fn fits(name: &str, args: &ListArgs) -> bool {
    let lower = name.to_lowercase();
    args.text.iter().all(|text| lower.contains(&text.to_lowercase()))
}

/// # Errors
/// `config` for a configuration or a table that cannot be read.
pub fn usable(args: &ListArgs) -> Result<u8, Failure> {
    let kept =
        desk::ledger_path(&args.global).map(|ledger| Kept::read(&crate::command::test_access::kept::beside(&ledger)));
    let kept = kept.unwrap_or_default();
    let prices = config::prices(&env)?;
    let now = now_ms();
    let working: Vec<_> = kept.working().into_iter().filter(|entry| fits(&entry.name, args)).collect();
    let mut terminal = Terminal::new(colour(args.global.color), args.global.quiet, env);
    let mut note = |text: &str| {
        if !args.global.quiet {
            let _ = terminal.note(&format!("llmx: {text}\n"));
        }
    };
    let Some(oldest) = working.iter().map(|entry| entry.at_ms).min() else {
        note("nothing was found to work here yet: run `llmx test-access`");
        return print(
            &args.global,
            &if args.json { format!("{}\n", json!({"schema": 1, "models": []})) } else { String::new() },
            0,
        );
    };
    let latest = working.iter().map(|entry| entry.at_ms).max().unwrap_or(oldest);
    let stale = now.saturating_sub(oldest) > STALE_MS;
    note(&match (oldest == latest, stale) {
        (true, false) => format!("as of {}", ago(now - latest)),
        (false, false) => format!("as of {} to {}", ago(now - oldest), ago(now - latest)),
        (_, true) => format!("as of {}: stale, run `llmx test-access` again", ago(now - oldest)),
    });
    let lines: Vec<UsableLine> = working
        .iter()
        .map(|entry| {
            let name = ModelName {
                provider: entry.provider.clone(),
                region: entry.region.clone(),
                model: entry.model.clone(),
            };
            let price = rates(&prices, &name);
            UsableLine {
                name: entry.name.clone(),
                region: entry.region.clone(),
                profile: entry.profile.clone(),
                first_token_ms: entry.first_token_ms,
                price,
                age_ms: now.saturating_sub(entry.at_ms),
            }
        })
        .collect();
    let text = if args.json {
        let models: Vec<_> = lines
            .iter()
            .map(|line| {
                json!({"model": line.name, "region": line.region, "profile": line.profile,
                    "first_token_ms": line.first_token_ms, "input": line.price.as_ref().map(|price| &price.0),
                    "output": line.price.as_ref().map(|price| &price.1), "age_s": line.age_ms / 1000})
            })
            .collect();
        format!(
            "{}\n",
            json!({"schema": 1, "stale": stale, "age_s": now.saturating_sub(oldest) / 1000, "models": models})
        )
    } else {
        usable_table(&lines)
    };
    print(&args.global, &text, 0)
}

/// USD per 1M tokens of input and of output, where they are known.
fn rates(prices: &Prices, name: &ModelName) -> Option<(String, String)> {
    let Priced::Sheet(price) = prices.price(name, now(), &Context::new()) else { return None };
    let rate = |meter| price.rate(&price.rates, meter).ok().map(|rate| rate.usd.to_string());
    rate(Meter::Input).zip(rate(Meter::Output))
}

/// # Errors
/// Why the listing could not be had.
pub fn remote(args: &ListArgs, provider: &str) -> Result<u8, Failure> {
    let desk = Desk::open(&args.global, None)?;
    let (id, region) = match provider.split_once('@') {
        Some((id, region)) => (id, Some(region.to_owned())),
        None => (provider, None),
    };
    let row = desk.catalog.row(id)?;
    let model = row.models.first().cloned().unwrap_or_else(|| "list".into());
    // The row's own dialect, whatever its first model prefers.
    let choice = Choice { api: row.api.first().copied(), region: region.clone(), ..Choice::default() };
    let name = ModelName { provider: row.id.clone(), region, model };
    let opened = desk.provider(&name, &choice)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ErrorClass::Network, format!("the runtime does not start: {error}")))?;
    let found = runtime.block_on(ask(&opened, &desk))?;
    let mut models = found.models;
    models.retain(|model| fits(&model.id, args));
    models.sort_by(|one, two| one.id.cmp(&two.id));
    let text = if args.json {
        let objects: Vec<_> = models
            .iter()
            .map(|model| json!({"model": format!("{}/{}", row.id, model.id), "name": model.name, "context": model.context}))
            .collect();
        format!("{}\n", json!({"schema": 1, "provider": row.id, "whole": !found.is_part, "models": objects}))
    } else {
        let rows = models.iter().map(|model| {
            let context = model.context.map(|context| context.to_string()).unwrap_or_default();
            [format!("{}/{}", row.id, model.id), context, model.name.clone().unwrap_or_default()]
        });
        listed(&rows.collect::<Vec<_>>())
    };
    if found.is_part && !args.global.quiet {
        let mut terminal = Terminal::new(colour(args.global.color), args.global.quiet, env);
        let _ = terminal.note("llmx: the provider has more than it gave on its first page\n");
    }
    print(&args.global, &text, 0)
}

async fn ask(provider: &Provider, desk: &Desk) -> Result<listing::Listing, Failure> {
    listing::list(provider, &desk.limits).await
}
