//! The user's `config.toml` and a project's `.llmx.toml`.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Table;
use toml::de::{DeTable, DeValue};

use crate::command::budget::terms;
use crate::command::labels;
use crate::domain::budget::{Budget, Origin};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::route::Route;
use crate::pricing::Prices;
use crate::provider::Env;
use crate::provider::catalog::without_value;

/// Longest file that is read, in bytes.
const SIZE_MAX: u64 = 1 << 20;

/// What the configuration files say. The project's values are laid over the user's.
#[derive(Debug, Clone, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The model where no `-m` is given.
    pub model: Option<String>,
    /// Short names for models.
    pub alias: BTreeMap<String, String>,
    /// Models that are compared together, as `-m group:NAME`.
    pub group: BTreeMap<String, Vec<String>>,
    /// A PEM file of further root certificates. User's file only.
    pub ca_bundle: Option<PathBuf>,
    /// What is kept of a call beside its figures.
    pub store: Store,
    /// How long the steps of a call may take. User's file only.
    pub limits: LimitsTable,
    /// Routes by their names: `auto` is the model `route/auto`.
    pub route: BTreeMap<String, Route>,
    /// Provider rows, whole or in part. User's file only.
    pub provider: Table,
    /// Who is spending, where neither a flag nor the environment says so.
    #[serde(deserialize_with = "terms::label_of")]
    pub project: Option<String>,
    #[serde(deserialize_with = "terms::label_of")]
    pub user: Option<String>,
    #[serde(deserialize_with = "terms::label_of")]
    pub team: Option<String>,
    #[serde(deserialize_with = "terms::label_of")]
    pub session: Option<String>,
    #[serde(deserialize_with = "terms::tags_of")]
    pub tags: BTreeMap<String, String>,
    /// Every budget of the files; two of one name hold both. A project's covers that project's calls.
    #[serde(rename = "budget", deserialize_with = "terms::budgets_of")]
    pub budgets: Vec<Budget>,
    /// The lowest output cap, in tokens, to which a budget may lower a call. Default 256. User's file only.
    pub min_output: Option<NonZeroU64>,
    /// What is done about failures that pass. User's file only, but for `retries`.
    pub retry: Retry,
    /// Who is asked where the model cannot answer.
    pub fallback: Fallback,
    /// Where spans and metrics go. User's file only.
    pub otel: Otel,
}

/// `[otel]`: an OpenTelemetry collector. Read by builds with the feature `otel`.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Otel {
    /// Its address over HTTP, without `/v1/traces`.
    pub endpoint: Option<String>,
    /// Prompts and answers go along.
    pub content: bool,
}

/// `[retry]`: how a call that failed is sent again.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// How often after the first time; at most 10.
    #[serde(deserialize_with = "retries_of")]
    pub retries: u32,
    /// The first wait, in milliseconds; each further one is longer. What the provider asks for goes before it.
    pub backoff_ms: u64,
    /// The longest wait that is waited, in milliseconds; a provider that asks for a longer one is not asked again.
    pub wait_max_ms: u64,
    /// After so many milliseconds since the first attempt no further one begins.
    pub deadline_ms: u64,
    /// Also where the first attempt may have been billed.
    pub ambiguous: bool,
    /// Also where a part of the answer has been shown.
    pub after_content: bool,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            retries: 2,
            backoff_ms: 500,
            wait_max_ms: 60_000,
            deadline_ms: 120_000,
            ambiguous: false,
            after_content: false,
        }
    }
}

/// `[fallback]`: the models that are asked, in their order, where the one before cannot answer.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Fallback {
    /// Names as `-m` takes them.
    pub models: Vec<String>,
    /// Failures after which another model is asked only where this says so. User's file only.
    pub on: Vec<FallbackOn>,
}

#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum FallbackOn {
    /// A filter refused.
    ContentFilter,
    /// The first model may have been at work, and may be billed.
    Ambiguous,
}

/// `store`: whether prompts and answers are kept. What was called, counted and charged always is.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    #[default]
    All,
    Metadata,
}

/// `[limits]`: those of time in milliseconds, since on one machine a second is long and over a mobile network five are
/// short.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsTable {
    /// Name look-up and TCP. Default 5,000.
    pub connect_ms: Option<NonZeroU64>,
    /// The TLS handshake. Default 10,000.
    pub tls_ms: Option<NonZeroU64>,
    /// The head of a streamed answer. Default 120,000.
    pub head_ms: Option<NonZeroU64>,
    /// The head of an answer that is asked for at once (`--no-stream`). Default 600,000.
    pub whole_ms: Option<NonZeroU64>,
    /// The first text, thinking or tool call of an answer, counted from the sending.
    pub first_token_ms: Option<NonZeroU64>,
    /// No byte at all in an answer that has begun. Default 60,000.
    pub idle_ms: Option<NonZeroU64>,
    /// Bytes, but nothing that means anything. Default 300,000.
    pub content_ms: Option<NonZeroU64>,
    /// Waiting for others that write the ledger. Default 30,000.
    pub ledger_ms: Option<NonZeroU64>,
    /// The most tokens that one attachment can be, where the model's maker does not say so. Hard budgets and `--max-cost`
    /// set them aside; without it they refuse such a call.
    pub attachment_tokens: Option<NonZeroU64>,
}

/// What a project's file may set: it comes with a repository that may be hostile, so it chooses names, never addresses,
/// credentials or places.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Project {
    model: Option<String>,
    alias: BTreeMap<String, String>,
    group: BTreeMap<String, Vec<String>>,
    route: BTreeMap<String, Route>,
    /// A project may keep less than the user would, never more.
    store: Store,
    #[serde(deserialize_with = "terms::label_of")]
    project: Option<String>,
    #[serde(deserialize_with = "terms::label_of")]
    team: Option<String>,
    #[serde(deserialize_with = "terms::label_of")]
    session: Option<String>,
    #[serde(deserialize_with = "terms::tags_of")]
    tags: BTreeMap<String, String>,
    /// Beside those of the user, never in their place.
    #[serde(rename = "budget", deserialize_with = "terms::budgets_of")]
    budgets: Vec<Budget>,
    retry: ProjectRetry,
    fallback: Fallback,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProjectRetry {
    #[serde(deserialize_with = "some_retries_of")]
    retries: Option<u32>,
}

/// What only the user's own file may say: the way to a key, where `*` is any name, and a value where not all are meant.
const USER_ONLY: &[(&[&str], Option<&str>)] = &[
    (&["provider"], None),
    (&["ca_bundle"], None),
    (&["limits"], None),
    (&["otel"], None),
    (&["user"], None),
    (&["min_output"], None),
    (&["retry", "backoff_ms"], None),
    (&["retry", "wait_max_ms"], None),
    (&["retry", "deadline_ms"], None),
    (&["retry", "ambiguous"], None),
    (&["retry", "after_content"], None),
    (&["fallback", "on"], None),
    (&["route", "*", "cascade", "check", "command"], None),
    (&["budget", "*", "allow_unbounded"], None),
    (&["budget", "*", "on_unknown_price"], Some("allow")),
];

/// Most attempts after the first that a file may ask for.
const RETRIES_MAX: u32 = 10;

fn retries_of<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let expected = || serde::de::Error::custom(format!("wrong value, expected a number from 0 to {RETRIES_MAX}"));
    Some(u32::deserialize(from)?).filter(|retries| *retries <= RETRIES_MAX).ok_or_else(expected)
}

fn some_retries_of<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    retries_of(from).map(Some)
}

impl Config {
    /// Reads the user's file (`named`, else `$XDG_CONFIG_HOME/llmx/config.toml`, else `~/.config/llmx/config.toml`) and the
    /// nearest `.llmx.toml` above `folder`. A file that is not there says nothing, unless it was named.
    ///
    /// # Errors
    /// `config` with file, line and column; a value is never repeated, since it may be a secret.
    pub fn read(named: Option<&Path>, folder: &Path, env: Env<'_>) -> Result<Config, Failure> {
        let own = named.map(Path::to_owned).or_else(|| user_file(env));
        let mut config: Config = match (named, user_file(env)) {
            (Some(path), _) => user(path, &text(path)?.ok_or_else(|| missing(path))?)?,
            (None, Some(path)) => text(&path)?.map_or_else(|| Ok(Config::default()), |text| user(&path, &text))?,
            (None, None) => Config::default(),
        };
        // Beside the user's own file, never in whatever folder llmx is started.
        if let Some(own) = own.as_deref().and_then(|path| std::path::absolute(path).ok())
            && let Some(own) = own.parent()
        {
            config.route.values_mut().for_each(|route| route.anchor(own));
        }
        for folder in folder.ancestors() {
            let path = folder.join(".llmx.toml");
            if let Some(text) = text(&path)? {
                let project = project(&path, &text)?;
                config.lay_over(project, &path);
                break;
            }
        }
        Ok(config)
    }

    fn lay_over(&mut self, project: Project, path: &Path) {
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder_name = || labels::found(&folder.file_name()?.to_string_lossy());
        self.model = project.model.or(self.model.take());
        self.alias.extend(project.alias);
        self.group.extend(project.group);
        self.route.extend(project.route);
        if project.store == Store::Metadata {
            self.store = Store::Metadata;
        }
        // A project with a file of its own has a name: else its budgets would count the calls of every other one.
        let named = project.project.or_else(|| self.project.take());
        let named = named.or_else(|| labels::git_root(folder)).or_else(folder_name);
        let budgets = project.budgets.into_iter().map(|mut budget| {
            budget.origin = Origin::File(path.display().to_string());
            let scope = &mut budget.account.scope;
            scope.project = scope.project.take().or_else(|| named.clone());
            budget
        });
        self.budgets.extend(budgets);
        self.project = named;
        self.team = project.team.or(self.team.take());
        self.session = project.session.or(self.session.take());
        self.tags.extend(project.tags);
        self.retry.retries = project.retry.retries.unwrap_or(self.retry.retries);
        if !project.fallback.models.is_empty() {
            self.fallback.models = project.fallback.models;
        }
    }

    /// The lowest output cap, in tokens, to which a budget may lower a call.
    #[must_use]
    pub fn min_output(&self) -> u64 {
        self.min_output.map_or(256, NonZeroU64::get)
    }
}

impl Config {
    /// Models as `-m` has them, groups replaced by their models; blank names count as none.
    ///
    /// # Errors
    /// `config` for a group that is not known.
    pub fn named(&self, flags: &[String]) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        for flag in flags.iter().map(|flag| flag.trim()).filter(|flag| !flag.is_empty()) {
            match flag.strip_prefix("group:") {
                None => names.push(flag.to_owned()),
                Some(name) => names.extend(self.group.get(name).ok_or_else(|| self.no_group(name))?.iter().cloned()),
            }
        }
        Ok(names)
    }

    fn no_group(&self, name: &str) -> Failure {
        let known: Vec<&str> = self.group.keys().map(String::as_str).collect();
        let advice = match known.as_slice() {
            [] => format!("write it into config.toml: [group] {name} = [\"provider/model\", …]"),
            known => format!("the groups here are {}", known.join(", ")),
        };
        Failure::new(ErrorClass::Config, format!("there is no group \"{name}\"; nothing was sent")).advise(advice)
    }

    /// Whether prompt and answer of a call are kept: not with `--no-store`, `LLMX_STORE=metadata` or `store = "metadata"`.
    #[must_use]
    pub fn keeps_texts(&self, no_store: bool, env: Env<'_>) -> bool {
        !no_store && self.store == Store::All && env("LLMX_STORE").is_none_or(|store| store.trim() != "metadata")
    }
}

/// Where the user's file is looked for.
#[must_use]
pub fn user_file(env: Env<'_>) -> Option<PathBuf> {
    user_folder(env).map(|folder| folder.join("config.toml"))
}

/// The project's file: the nearest above `folder`.
pub(super) fn project_file(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join(".llmx.toml")).find(|path| path.exists())
}

/// Where the user's files are looked for.
fn user_folder(env: Env<'_>) -> Option<PathBuf> {
    if let Some(folder) = env("XDG_CONFIG_HOME") {
        return Some(PathBuf::from(folder).join("llmx"));
    }
    let home = if cfg!(windows) { env("APPDATA") } else { env("HOME").map(|home| format!("{home}/.config")) };
    home.map(|home| PathBuf::from(home).join("llmx"))
}

/// The prices: the bundled table, and the user's own `pricing.toml` over it where there is one.
///
/// # Errors
/// `config` with file, line and column.
pub fn prices(env: Env<'_>) -> Result<Prices, Failure> {
    let path = user_folder(env).map(|folder| folder.join("pricing.toml"));
    match path.map(|path| text(&path).map(|text| (path, text))).transpose()? {
        Some((path, Some(text))) => Prices::with(&path.display().to_string(), text).map_err(|error| {
            Failure::new(ErrorClass::Config, error.to_string()).advise("mend the file; nothing was sent")
        }),
        _ => Ok(Prices::bundled()),
    }
}

fn user(path: &Path, text: &str) -> Result<Config, Failure> {
    let mut config: Config = parse(path, text)?;
    for budget in &mut config.budgets {
        budget.origin = Origin::File(path.display().to_string());
    }
    Ok(config)
}

fn project(path: &Path, text: &str) -> Result<Project, Failure> {
    // What is no TOML is told with its place by the parser proper.
    if let Ok(table) = DeTable::parse(text)
        && let Some((start, key)) = USER_ONLY.iter().find_map(|(keys, value)| forbidden(table.get_ref(), keys, *value))
    {
        let (line, column) = place(text, start);
        return Err(Failure::new(
            ErrorClass::Config,
            format!("{}:{line}:{column}: a project may not set \"{key}\"; nothing was sent", path.display()),
        )
        .advise("put it into your own config.toml, if you trust it"));
    }
    parse(path, text)
}

/// Where in the file a key stands that a project may not have, and its whole name.
fn forbidden(table: &DeTable<'_>, keys: &[&str], value: Option<&str>) -> Option<(usize, String)> {
    let (first, rest) = keys.split_first()?;
    table.iter().filter(|(key, _)| *first == "*" || key.get_ref().as_ref() == *first).find_map(|(key, held)| {
        let name = key.get_ref();
        match held.get_ref() {
            _ if rest.is_empty() => {
                let meant = value.is_none_or(|value| held.get_ref().as_str().is_some_and(|held| held.trim() == value));
                meant.then(|| (key.span().start, name.to_string()))
            }
            DeValue::Table(inner) => {
                forbidden(inner, rest, value).map(|(start, inner)| (start, format!("{name}.{inner}")))
            }
            _ => None,
        }
    })
}

/// Line and column, from 1, of a byte of a text.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte.min(text.len())).unwrap_or_default();
    (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

fn missing(path: &Path) -> Failure {
    Failure::new(ErrorClass::Config, format!("{}: no such file", path.display()))
        .advise("check --config or LLMX_CONFIG")
}

pub(super) fn text(path: &Path) -> Result<Option<String>, Failure> {
    let failure = |reason: String| Failure::new(ErrorClass::Config, format!("{}: {reason}", path.display()));
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure(error.to_string())),
        Ok(about) if about.len() > SIZE_MAX => return Err(failure("it is larger than 1 MiB".into())),
        Ok(_) => {}
    }
    std::fs::read_to_string(path).map(Some).map_err(|error| failure(error.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, Failure> {
    toml::from_str(text).map_err(|error| {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        Failure::new(
            ErrorClass::Config,
            format!("{}:{line}:{column}: {}", path.display(), without_value(error.message())),
        )
        .advise("mend the file; nothing was sent")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Config, FallbackOn};
    use crate::domain::failure::ErrorClass;
    use crate::domain::route::Route;

    #[test]
    fn a_group_stands_for_its_models() {
        let mut config = Config::default();
        config.group.insert("cheap".into(), vec!["sim/echo".into(), "sim/lorem".into()]);
        let flags = ["sim/error", " group:cheap", ""].map(str::to_owned);
        assert_eq!(config.named(&flags).expect("known"), ["sim/error", "sim/echo", "sim/lorem"]);
        let failure = config.named(&["group:dear".to_owned()]).expect_err("unknown");
        assert_eq!((failure.class.exit_code(), failure.advice.as_deref()), (2, Some("the groups here are cheap")));
    }

    fn read(user: &str, project: Option<&str>) -> Result<Config, crate::domain::failure::Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("repository/src");
        fs::create_dir_all(&inner).expect("made");
        let path = folder.path().join("config.toml");
        fs::write(&path, user).expect("written");
        if let Some(project) = project {
            fs::write(folder.path().join("repository/.llmx.toml"), project).expect("written");
        }
        Config::read(Some(&path), &inner, &|_| None)
    }

    #[test]
    fn a_project_chooses_the_model_and_the_user_everything() {
        let user = "model = \"openai/a\"\n[alias]\nfast = \"groq/b\"\n[provider.openai]\nallow_http = true\n";
        let config = read(user, Some("model = \"sim/echo\"\n[alias]\nslow = \"sim/lorem\"\n")).expect("reads");
        assert_eq!(config.model.as_deref(), Some("sim/echo"));
        assert_eq!(config.alias.len(), 2);
        assert!(config.provider.contains_key("openai"));
    }

    #[test]
    fn a_hostile_project_cannot_move_keys_or_hosts() {
        for hostile in
            ["[provider.openai]\nbase_url = \"https://evil.example\"\n", "model = \"x/y\"\nca_bundle = \"evil.pem\"\n"]
        {
            let failure = read("", Some(hostile)).expect_err("refused");
            assert_eq!(failure.class, ErrorClass::Config);
            assert!(failure.message.contains(".llmx.toml:"), "{}", failure.message);
        }
    }

    #[test]
    fn a_project_routes_between_models_and_runs_no_program() {
        let user = "[route.auto.cascade]\nmodels = [\"a/b\"]\ncheck = { command = [\"./check.sh\"] }\n";
        let project = "[[route.mine.rule]]\nmodels = [\"sim/echo\"]\n";
        let config = read(user, Some(project)).expect("reads");
        assert_eq!(config.route.keys().collect::<Vec<_>>(), ["auto", "mine"]);
        let Route::Cascade(cascade) = &config.route["auto"] else { panic!("{:?}", config.route) };
        let program = std::path::Path::new(&cascade.check.command[0]);
        assert!(
            program.is_absolute() && program.parent().is_some_and(|folder| !folder.ends_with("src")),
            "{program:?}"
        );
        let failure = read("", Some(&format!("# command\n\n{user}"))).expect_err("refused");
        assert_eq!(failure.class, ErrorClass::Config);
        assert!(
            failure.message.contains(".llmx.toml:5:11: ") && failure.message.contains("check.command"),
            "{failure:?}"
        );
    }

    #[test]
    fn a_wrong_line_is_named_and_its_value_is_not() {
        let failure = read("model = \"a/b\"\nkeey = \"sk-CANARY\"\n", None).expect_err("unknown key");
        assert!(failure.message.contains("config.toml:2:1") && failure.message.contains("keey"), "{}", failure.message);
        assert!(!failure.message.contains("CANARY"));
        for wrong in [
            "model = [\"sk-CANARY\"]",
            "alias = \"sk-CANARY\"",
            "[limits]\nidle_ms = \"sk-CANARY\"",
            "model = sk-CANARY",
        ] {
            let failure = read(wrong, None).expect_err(wrong);
            assert!(!failure.message.contains("CANARY"), "{}", failure.message);
        }
    }

    #[test]
    fn budgets_of_both_files_hold_together() {
        let user = "[budget.all]\nlimit = \"100/month@15\"\nzone = \"Europe/Berlin\"\n[budget.eng]\nlimit = \"$50/day\"\nproject = \"api\"\n\
            tags = {env = \"ci\"}\nsoft = true\nwarn = [90, 50]\non_unknown_price = \"assume:0.50\"\nallow_unbounded = true\nclip = false\n";
        let project = "project = \"shop\"\nteam = \"pay\"\ntags = {area = \"eu\"}\n[budget.eng]\nlimit = \"5/day\"\n";
        let config = read(user, Some(project)).expect("reads");
        let told: Vec<String> = config
            .budgets
            .iter()
            .map(|budget| {
                let account = &budget.account;
                format!("{} {}/{} {}", budget.name, budget.limit, account.window, account.scope.words())
            })
            .collect();
        assert_eq!(
            told,
            ["all 100/month@15 every call", "eng 50/day project=api tag:env=ci", "eng 5/day project=shop"]
        );
        let [all, soft, ours] = config.budgets.as_slice() else { panic!("{told:?}") };
        assert_eq!((all.account.zone.name(), all.warn.as_slice()), ("Europe/Berlin", [50, 80, 100].as_slice()));
        assert!(all.hard && all.clip && !soft.hard && !soft.clip && soft.allow_unbounded && ours.hard);
        assert_eq!(soft.warn, [50, 90]);
        assert!(soft.origin.to_string().ends_with("config.toml") && ours.origin.to_string().ends_with(".llmx.toml"));
        assert_eq!((config.team.as_deref(), config.tags["area"].as_str()), (Some("pay"), "eu"));
        // Without a name and without a repository the folder's own name.
        let unnamed = read("", Some("[budget.eng]\nlimit = \"5/day\"\n")).expect("reads");
        assert_eq!(unnamed.budgets[0].account.scope.project.as_deref(), Some("repository"));
        assert_eq!(unnamed.project.as_deref(), Some("repository"));
    }

    #[test]
    fn a_project_may_only_tighten() {
        for (hostile, place) in [
            (
                "[budget.a]\nlimit = \"5/day\"\nallow_unbounded = true\n",
                ":3:1: a project may not set \"budget.a.allow_unbounded\"",
            ),
            ("budget.a = {limit = \"5/day\", on_unknown_price = \"allow\"}\n", ":1:30: a project may not set"),
            ("[retry]\nretries = 1\nambiguous = true\n", ":3:1: a project may not set \"retry.ambiguous\""),
            ("[fallback]\nmodels = [\"a/b\"]\non = [\"ambiguous\"]\n", ":3:1: a project may not set \"fallback.on\""),
            ("min_output = 1\n", ":1:1: a project may not set \"min_output\""),
            ("# user\nuser = \"eve\"\n", ":2:1: a project may not set \"user\""),
            ("[limits]\ntls_ms = 1\n", ":1:2: a project may not set \"limits\""),
            ("limits.attachment_tokens = 1\n", ":1:1: a project may not set \"limits\""),
            ("\"provider\".x.base_url = \"https://evil.example\"\n", ":1:1: a project may not set \"provider\""),
            ("[retry]\nretries = 4000000000\n", ":2:11: wrong value, expected a number from 0 to 10"),
        ] {
            let failure = read("", Some(hostile)).expect_err(hostile);
            assert!(failure.message.contains(&format!(".llmx.toml{place}")), "{}", failure.message);
        }
        let config = read(
            "[retry]\nambiguous = true",
            Some("[retry]\nretries = 0\n[budget.a]\nlimit = \"1\"\non_unknown_price = \"assume:1\""),
        );
        let config = config.expect("reads");
        assert!(config.retry.ambiguous && config.retry.retries == 0 && config.retry.backoff_ms == 500);
    }

    #[test]
    fn a_wrong_budget_is_named_with_its_place() {
        for (wrong, told) in [
            ("[budget.a]\nlimit = \"CANARY/day\"", ":2:9: wrong value, expected an amount in USD"),
            ("[budget.a]\nlimit = \"5/CANARY\"", ":2:9: wrong value, expected hour, day"),
            ("[budget.a]\nsoft = true", ":1:1: missing field `limit`"),
            ("[budget.\"../a\"]\nlimit = \"5\"", ":1:9: a budget's name is a letter"),
            ("[budget.a]\nlimit = \"5\"\nzone = \"CANARY\"", ":3:8: wrong value, expected a name of the IANA"),
            ("[budget.a]\nlimit = \"5\"\nwarn = [0]", ":3:8: wrong value, expected whole percents"),
            ("[budget.a]\nlimit = \"5\"\nhard = true", ":3:1: unknown field `hard`"),
            ("[budget.a]\nlimit = \"5\"\ntags = {\"\" = \"x\"}", ":3:8: wrong value, expected 1 to 64 letters"),
            ("team = \"a\\u001bCANARY\"", ":1:8: wrong value, expected one line of"),
        ] {
            let failure = read(wrong, None).expect_err(wrong);
            assert!(failure.message.contains(&format!("config.toml{told}")), "{}", failure.message);
            assert!(!failure.message.contains("CANARY"), "{}", failure.message);
        }
    }

    #[test]
    fn retries_and_fallbacks_are_read() {
        let text = "min_output = 64\n[retry]\nretries = 3\nwait_max_ms = 1\n[fallback]\nmodels = [\"openai/gpt-4o\"]\non = [\"content-filter\", \"ambiguous\"]\n[limits]\nfirst_token_ms = 9\nattachment_tokens = 20000\n";
        let config = read(text, None).expect("reads");
        assert_eq!((config.min_output(), config.retry.retries, config.retry.wait_max_ms), (64, 3, 1));
        assert_eq!(config.fallback.on, [FallbackOn::ContentFilter, FallbackOn::Ambiguous]);
        let limits = [config.limits.first_token_ms, config.limits.attachment_tokens];
        assert_eq!(limits.map(|limit| limit.map(std::num::NonZeroU64::get)), [Some(9), Some(20_000)]);
        let default = read("", None).expect("reads");
        assert_eq!((default.min_output(), default.retry.retries, default.retry.deadline_ms), (256, 2, 120_000));
    }
}
