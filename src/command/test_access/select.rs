//! What is tested: which models, with which credentials, in which regions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args::TestAccessArgs;
use crate::command::desk::{Desk, has_credential};
use crate::command::outside::env;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::ledger::{Ledger, LogFilter};
use crate::provider::catalog::{Auth, Row, Transport};
use crate::provider::{Choice, access};

/// One model with one credential in one place.
#[derive(Debug, Clone)]
pub struct Cell {
    pub row: Row,
    /// With its region where one was asked for.
    pub name: ModelName,
    pub profile: Option<String>,
}

/// Calls of so many days say which models are used, and of so many calls.
const RECENT_DAYS: i64 = 30;
const RECENT_CALLS: u32 = 1000;

/// The models of recent calls, without those of earlier tests.
///
/// # Errors
/// `ledger` where it cannot be read.
pub fn recent(ledger: &Ledger, now_ms: i64) -> Result<Vec<ModelName>, Failure> {
    let since_ms = Some(now_ms.saturating_sub(RECENT_DAYS * 86_400_000));
    let calls = ledger.logs(&LogFilter { since_ms, limit: RECENT_CALLS, ..LogFilter::default() })?;
    let used = calls.into_iter().map(|record| record.call).filter(|call| call.command != "test-access");
    Ok(used.map(|call| ModelName { provider: call.provider, region: call.region, model: call.model }).collect())
}

/// The cells of a test, in order and each once.
///
/// # Errors
/// `not-found` for a provider or model that nobody knows, `config` where there is nothing to test.
pub fn cells(desk: &Desk, args: &TestAccessArgs, recent: &[ModelName]) -> Result<Vec<Cell>, Failure> {
    let names = if args.models.is_empty() { found(desk, args, recent)? } else { named(desk, args)? };
    let mut cells = Vec::new();
    let mut seen = BTreeSet::new();
    for name in names {
        let row = desk.catalog.row(&name.provider)?;
        for name in in_regions(&row, name, &args.regions) {
            for profile in profiles(&row, &args.profile) {
                if seen.insert((name.to_string(), profile.clone())) {
                    cells.push(Cell { row: row.clone(), name: name.clone(), profile });
                }
            }
        }
    }
    if cells.is_empty() {
        return Err(nothing(args));
    }
    Ok(cells)
}

fn named(desk: &Desk, args: &TestAccessArgs) -> Result<Vec<ModelName>, Failure> {
    let names = desk.config.named(&args.models)?;
    let names: Vec<ModelName> = names.iter().map(|name| desk.model(Some(name))).collect::<Result<_, _>>()?;
    let wanted = providers(desk, args)?;
    let fits = |name: &ModelName| wanted.is_empty() || wanted.contains(&name.provider);
    Ok(names.into_iter().filter(fits).collect())
}

/// The ids of `--provider`.
fn providers(desk: &Desk, args: &TestAccessArgs) -> Result<Vec<String>, Failure> {
    args.provider.iter().map(|id| desk.catalog.row(id.trim()).map(|row| row.id)).collect()
}

/// The models of configuration and recent calls; for a provider of which neither names one, the first that is known.
fn found(desk: &Desk, args: &TestAccessArgs, recent: &[ModelName]) -> Result<Vec<ModelName>, Failure> {
    let wanted = providers(desk, args)?;
    let mut mine = of_config(desk);
    mine.extend(recent.iter().filter_map(|name| of_recent(desk, args, name)));
    let here = |row: &Row| {
        if wanted.is_empty() {
            row.transport != Transport::Sim && has_credential(row)
        } else {
            wanted.contains(&row.id)
        }
    };
    let fits = |name: &ModelName| {
        let lower = name.to_string().to_lowercase();
        args.pattern.is_empty() || args.pattern.iter().any(|pattern| lower.contains(&pattern.to_lowercase()))
    };
    let mut names: Vec<ModelName> = mine
        .iter()
        .filter(|name| (wanted.is_empty() || wanted.contains(&name.provider)) && fits(name))
        .cloned()
        .collect();
    let widely = args.all || !args.pattern.is_empty();
    for row in desk.catalog.rows().filter(here) {
        let known =
            row.models.iter().map(|model| ModelName { provider: row.id.clone(), region: None, model: model.clone() });
        if widely {
            names.extend(known.filter(fits));
        } else if !mine.iter().any(|name| name.provider == row.id) {
            names.extend(known.take(1));
        }
    }
    // A pattern that is a model's whole name needs no list to be found in.
    if names.is_empty() {
        names.extend(args.pattern.iter().filter_map(|pattern| desk.model(Some(pattern)).ok()));
    }
    Ok(names)
}

/// Whether a credential may be here: in the environment, or in the files of a cloud's own command line.
fn is_here(row: &Row, args: &TestAccessArgs) -> bool {
    let file = |moved: &str, below: &str| {
        let home = || env("HOME").or_else(|| env("USERPROFILE")).map(|home| Path::new(&home).join(below));
        env(moved).map(PathBuf::from).or_else(home).is_some_and(|path| path.is_file())
    };
    has_credential(row)
        || match row.auth {
            Auth::Aws => {
                !args.profile.is_empty()
                    || file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")
                    || file("AWS_CONFIG_FILE", ".aws/config")
            }
            Auth::Google => {
                file("GOOGLE_APPLICATION_CREDENTIALS", ".config/gcloud/application_default_credentials.json")
            }
            Auth::Key | Auth::Optional | Auth::None => false,
        }
}

fn of_config(desk: &Desk) -> Vec<ModelName> {
    let config = &desk.config;
    let groups = config.group.values().flatten();
    let named = config.model.iter().chain(config.alias.values()).chain(&config.fallback.models).chain(groups);
    let mut names: Vec<ModelName> = Vec::new();
    for name in named.filter_map(|name| desk.model(Some(name)).ok()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A model of the books: without the region in which it was called where it can be opened without one.
fn of_recent(desk: &Desk, args: &TestAccessArgs, name: &ModelName) -> Option<ModelName> {
    let row = desk.catalog.row(&name.provider).ok().filter(|row| row.transport != Transport::Sim)?;
    let needs_key = !matches!(row.auth, Auth::None | Auth::Optional);
    if needs_key && !is_here(&row, args) {
        return None;
    }
    let bare = ModelName { region: None, ..name.clone() };
    let opened = desk.provider(&bare, &Choice { draft: true, ..Choice::default() });
    let needs_region = opened.is_err_and(|failure| matches!(failure.class, ErrorClass::Region | ErrorClass::Config));
    Some(if needs_region { name.clone() } else { bare })
}

/// Flags that say nothing of some of the models: one sentence each.
pub fn not_honoured(args: &TestAccessArgs, cells: &[Cell]) -> Vec<String> {
    let of = |flag: &str, why: &str, concerns: fn(&Row) -> bool| {
        let others: BTreeSet<&str> =
            cells.iter().filter(|cell| !concerns(&cell.row)).map(|cell| cell.row.id.as_str()).collect();
        let others: Vec<&str> = others.into_iter().collect();
        (!others.is_empty()).then(|| format!("{flag} changes nothing for {}: {why}", others.join(", ")))
    };
    let regions = (!args.regions.is_empty()).then(|| of("--regions", "no regions are known there", has_regions));
    let profiles =
        (!args.profile.is_empty()).then(|| of("--profile", "profiles are those of AWS", |row| row.auth == Auth::Aws));
    regions.into_iter().chain(profiles).flatten().collect()
}

fn has_regions(row: &Row) -> bool {
    matches!(row.auth, Auth::Aws | Auth::Google) || row.vars.contains_key("region") || !row.hosts.is_empty()
}

fn in_regions(row: &Row, name: ModelName, wanted: &[String]) -> Vec<ModelName> {
    if wanted.is_empty() || !has_regions(row) {
        return vec![name];
    }
    let all = wanted.iter().any(|region| region.trim() == "all");
    let regions =
        if all { access::regions(row) } else { wanted.iter().map(|region| region.trim().to_owned()).collect() };
    if regions.is_empty() {
        return vec![name];
    }
    regions.into_iter().map(|region| ModelName { region: Some(region), ..name.clone() }).collect()
}

fn profiles(row: &Row, wanted: &[String]) -> Vec<Option<String>> {
    if wanted.is_empty() || row.auth != Auth::Aws {
        return vec![None];
    }
    wanted.iter().map(|profile| Some(profile.trim().to_owned())).collect()
}

fn nothing(args: &TestAccessArgs) -> Failure {
    if !args.models.is_empty() {
        return Failure::new(ErrorClass::Config, "there is nothing to test: --models and --provider leave no model")
            .advise("name models of these providers, or leave one of the two flags out");
    }
    if args.pattern.is_empty() {
        return Failure::new(ErrorClass::Config, "there is nothing to test: no provider has a credential here")
            .advise("`llmx providers` says which variable each wants; or name a model: --models openai/gpt-4o-mini");
    }
    let wanted = args.pattern.join(", ");
    Failure::new(ErrorClass::NotFound, format!("no model of a provider with a credential here fits {wanted}"))
        .advise("name it whole with --models provider/model, or a provider with --provider")
}
