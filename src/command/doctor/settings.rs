//! Which settings hold and where they come from, and which providers can be asked: names, never values that are secret.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::{Table, Value};

use super::files::owned;
use crate::command::GlobalArgs;
use crate::command::config::{self, Config};
use crate::command::desk::has_credential;
use crate::command::outside::env;
use crate::domain::model::ModelName;
use crate::provider::catalog::{Auth, Catalog, Row};
use crate::provider::net::Net;
use crate::provider::{Choice, Limits, Provider, key, models};
use crate::render::doctor::Finding;

/// Variables of our own, and the setting that each is.
const VARIABLES: &[(&str, &str)] = &[
    ("LLMX_MODEL", "model"),
    ("LLMX_STORE", "store"),
    ("LLMX_PROJECT", "project"),
    ("LLMX_USER", "user"),
    ("LLMX_TEAM", "team"),
    ("LLMX_SESSION", "session"),
    ("LLMX_TAGS", "tags"),
    ("LLMX_LOG", "log"),
    ("LLMX_DB", "db"),
];

/// Every setting that something sets, with all that set it: the first one holds.
pub fn in_force(global: &GlobalArgs, folder: &Path) -> Vec<Finding> {
    let mut set: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut note = |key: String, origin: &str| set.entry(key).or_default().push(origin.to_owned());
    if global.db.is_some() {
        note("db".into(), "--db");
    }
    for (variable, key) in VARIABLES.iter().filter(|(variable, _)| env(variable).is_some()) {
        note((*key).to_owned(), variable);
    }
    let own = global.config.clone().or_else(|| config::user_file(&env));
    for (path, name) in [(config::project_file(folder), ".llmx.toml"), (own, "config.toml")] {
        // A file that cannot be read is a finding already.
        let text = path.and_then(|path| config::text(&path).ok().flatten());
        let table = text.and_then(|text| text.parse::<Table>().ok()).unwrap_or_default();
        keys(&table).into_iter().for_each(|key| note(key, name));
    }
    if set.is_empty() {
        return vec![Finding::ok("settings", "none: every one has its default")];
    }
    let told = |(key, origins): (String, Vec<String>)| {
        let over = origins.get(1..).filter(|over| !over.is_empty());
        let over = over.map(|over| format!(", over that of {}", over.join(" and "))).unwrap_or_default();
        Finding::ok("settings", format!("{key} from {}{over}", origins.first().map_or("", String::as_str)))
    };
    set.into_iter().map(told).collect()
}

/// The names of settings: of tables, those one below.
fn keys(table: &Table) -> Vec<String> {
    let named = |(key, value): (&String, &Value)| match value {
        Value::Table(inner) if !inner.is_empty() => inner.keys().map(|below| format!("{key}.{below}")).collect(),
        _ => vec![key.clone()],
    };
    table.iter().flat_map(named).collect()
}

/// Every provider with a credential here: where it comes from, and where it would be sent.
pub fn providers(config: &Config) -> Vec<Finding> {
    let Ok(catalog) = Catalog::with(&config.provider) else { return Vec::new() };
    let bundled = Catalog::with(&Table::new());
    let address = |id: &str| bundled.as_ref().ok().and_then(|bundled| bundled.row(id).ok()?.base_url);
    let net = Arc::new(Net::new(None, &Limits::default(), &env));
    let mut findings = Vec::new();
    for id in catalog.ids() {
        match catalog.row(id) {
            Err(failure) => {
                let advice = failure.advice.clone().unwrap_or_else(|| "mend the row in config.toml".into());
                findings.push(Finding::problem("provider", format!("{id}: {}", failure.message), advice));
            }
            Ok(row) => findings.extend(provider(&row, address(id), &net)),
        }
    }
    if findings.is_empty() {
        let advice = "export a provider's key; `llmx providers` lists the variables, -m sim/echo needs none";
        return vec![Finding::warning("provider", "no credential was found in the environment", advice)];
    }
    findings
}

/// `address`: the one in the bundled catalog.
fn provider(row: &Row, address: Option<String>, net: &Arc<Net>) -> Vec<Finding> {
    let found = match key::find(row, &env) {
        Err(failure) => {
            let advice = "check the file that key_file names in config.toml";
            return vec![Finding::problem("provider", format!("{}: {}", row.id, failure.message), advice)];
        }
        Ok(found) => found,
    };
    if found.is_none() && !has_credential(row) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if let Some(key) = &found {
        let text = key.secret.expose();
        if text.starts_with(['"', '\'']) || text.chars().any(|character| !character.is_ascii_graphic()) {
            let said = format!(
                "{}: the key in {} holds quotes, spaces or characters that no header can carry",
                row.id, key.origin
            );
            findings.push(Finding::problem("provider", said, "take away what was pasted around the key"));
        }
        if row.key_file.as_deref() == Some(&key.origin) {
            findings.push(owned("provider", Path::new(&key.origin), 0o077, "holds a key, and may be read by others"));
        }
    }
    findings.push(sent_to(row, address, net));
    findings
}

fn sent_to(row: &Row, address: Option<String>, net: &Arc<Net>) -> Finding {
    let model = row.models.first().cloned().unwrap_or_else(|| "model".into());
    let name = ModelName { provider: row.id.clone(), region: None, model };
    let (facts, api) = models::facts(row, &name);
    match Provider::open(row, &name, facts, api, &Choice::default(), net, &env) {
        Err(failure) if row.auth == Auth::Key => {
            let advice = failure.advice.clone().unwrap_or_else(|| "`llmx test-access` looks closer".into());
            Finding::warning("provider", format!("{}: {}", row.id, failure.message), advice)
        }
        // Of a cloud only a part of its settings is in the environment.
        Err(failure) => Finding::ok("provider", format!("{}: {}", row.id, failure.message)),
        Ok(provider) => {
            let instead = address.filter(|address| row.own && row.base_url.as_ref() != Some(address));
            let instead = instead.map(|address| format!(" (the catalog has {address})")).unwrap_or_default();
            let origins = format!("{}: {}{instead}", row.id, provider.origins().join(", "));
            match provider.warnings().as_slice() {
                [] => Finding::ok("provider", origins),
                warnings => {
                    let said = format!("{origins}; {}", warnings.join("; "));
                    Finding::warning("provider", said, "if you did not mean that, unset what moves it")
                }
            }
        }
    }
}
