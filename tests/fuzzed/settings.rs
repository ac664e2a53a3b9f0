//! The configuration files: a project sets only what it may, and no error repeats a value.

use std::path::Path;

use llmx::command::config::{Config, LimitsTable, Retry};
use llmx::domain::budget::{OnUnknownPrice, Origin};
use llmx::domain::failure::{ErrorClass, Failure};
use llmx::domain::route::Route;
use llmx::domain::window::Window;
use toml::{Table, Value};

/// Stands for a key that was written into the wrong place.
const SECRET: &str = "sk-CANARY";

pub fn config(bytes: &[u8]) {
    let text = super::text(bytes);
    let folder = tempfile::tempdir().expect("a folder");
    let user = as_user(folder.path(), &text);
    assert_eq!(user, as_user(folder.path(), &text));
    match &user {
        Ok(config) => assert_whole(config),
        Err(failure) => assert_placed(failure, "config.toml"),
    }
    let project = as_project(folder.path(), &text);
    match &project {
        Ok(config) => {
            assert_whole(config);
            assert_harmless(config);
            assert!(user.is_ok(), "what a project may set, a user may: {user:?}");
        }
        Err(failure) => assert_placed(failure, ".llmx.toml"),
    }
    if let Some(secret) = with_secrets(&text) {
        for read in [as_user(folder.path(), &secret), as_project(folder.path(), &secret)] {
            let told = read.err().map(|failure| format!("{failure:?}")).unwrap_or_default();
            assert!(!told.contains("CANARY"), "{told}");
        }
    }
}

fn as_user(folder: &Path, text: &str) -> Result<Config, Failure> {
    let (path, inner) = (folder.join("config.toml"), folder.join("inner"));
    std::fs::create_dir_all(&inner).expect("made");
    std::fs::write(inner.join(".llmx.toml"), "").expect("written");
    std::fs::write(&path, text).expect("written");
    Config::read(Some(&path), &inner, &|_| None)
}

fn as_project(folder: &Path, text: &str) -> Result<Config, Failure> {
    let (path, inner) = (folder.join("config.toml"), folder.join("inner"));
    std::fs::create_dir_all(&inner).expect("made");
    std::fs::write(&path, "").expect("written");
    std::fs::write(inner.join(".llmx.toml"), text).expect("written");
    Config::read(Some(&path), &inner, &|_| None)
}

fn assert_placed(failure: &Failure, file: &str) {
    assert_eq!(failure.class, ErrorClass::Config);
    assert!(failure.message.contains(&format!("{file}:")), "{failure:?}");
}

fn assert_whole(config: &Config) {
    assert!(config.retry.retries <= 10, "{:?}", config.retry);
    for budget in &config.budgets {
        assert!(budget.limit.picos >= 0, "{budget:?}");
        assert!(matches!(budget.origin, Origin::File(_)), "{budget:?}");
        assert_eq!(Window::parse(&budget.account.window.to_string()), Some(budget.account.window));
    }
    for route in config.route.values() {
        match route {
            Route::Rules(rules) => assert!(!rules.is_empty() && rules.iter().all(|rule| !rule.models.is_empty())),
            Route::Cascade(cascade) => assert!(!cascade.models.is_empty() && !cascade.check.is_empty()),
        }
    }
}

/// Panics where the file of a repository has set what only its user may.
fn assert_harmless(config: &Config) {
    assert_eq!((&config.provider, &config.ca_bundle), (&Table::new(), &None));
    assert_eq!(config.limits, LimitsTable::default());
    assert_eq!((&config.user, config.min_output), (&None, None));
    assert_eq!(config.retry, Retry { retries: config.retry.retries, ..Retry::default() });
    assert_eq!(config.fallback.on, []);
    for budget in &config.budgets {
        assert!(!budget.allow_unbounded && budget.on_unknown_price != OnUnknownPrice::Allow, "{budget:?}");
        assert!(budget.account.scope.project.is_some(), "it counts only the calls of its project: {budget:?}");
    }
    let commands = config.route.values().filter_map(|route| match route {
        Route::Cascade(cascade) => Some(&cascade.check.command),
        Route::Rules(_) => None,
    });
    assert!(commands.into_iter().all(Vec::is_empty), "a project runs no program");
}

/// The same file with every text in it replaced by a secret; its keys stay.
fn with_secrets(text: &str) -> Option<String> {
    fn hide(value: &mut Value) {
        match value {
            Value::String(text) => SECRET.clone_into(text),
            Value::Array(items) => items.iter_mut().for_each(hide),
            Value::Table(table) => table.iter_mut().for_each(|(_, value)| hide(value)),
            _ => {}
        }
    }
    let mut table = Value::Table(text.parse().ok().filter(|_| !text.contains("CANARY"))?);
    hide(&mut table);
    toml::to_string(&table).ok()
}
