//! The user's `config.toml` and a project's `.llmx.toml`.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Table;

use crate::domain::failure::{ErrorClass, Failure};
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
    /// A PEM file of further root certificates. User's file only.
    pub ca_bundle: Option<PathBuf>,
    /// What is kept of a call beside its figures.
    pub store: Store,
    /// How long the steps of a call may take. User's file only.
    pub limits: LimitsTable,
    /// Provider rows, whole or in part. User's file only.
    pub provider: Table,
}

/// `store`: whether prompts and answers are kept. What was called, counted and charged always is.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    #[default]
    All,
    Metadata,
}

/// `[limits]`, each in milliseconds: on one machine a second is long, over a mobile network five are short.
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
    /// No byte at all in an answer that has begun. Default 60,000.
    pub idle_ms: Option<NonZeroU64>,
    /// Bytes, but nothing that means anything. Default 300,000.
    pub content_ms: Option<NonZeroU64>,
    /// Waiting for others that write the ledger. Default 30,000.
    pub ledger_ms: Option<NonZeroU64>,
}

/// What a project's file may set: it comes with a repository that may be hostile, so it chooses names, never addresses,
/// credentials or places.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Project {
    model: Option<String>,
    alias: BTreeMap<String, String>,
    /// A project may keep less than the user would, never more.
    store: Store,
}

/// Keys that only the user's own file may have.
const USER_ONLY: &[&str] = &["provider", "ca_bundle", "limits"];

impl Config {
    /// Reads the user's file (`named`, else `$XDG_CONFIG_HOME/llmx/config.toml`, else `~/.config/llmx/config.toml`) and the
    /// nearest `.llmx.toml` above `folder`. A file that is not there says nothing, unless it was named.
    ///
    /// # Errors
    /// `config` with file, line and column; a value is never repeated, since it may be a secret.
    pub fn read(named: Option<&Path>, folder: &Path, env: Env<'_>) -> Result<Config, Failure> {
        let mut config: Config = match (named, user_file(env)) {
            (Some(path), _) => parse(path, &text(path)?.ok_or_else(|| missing(path))?)?,
            (None, Some(path)) => text(&path)?.map_or_else(|| Ok(Config::default()), |text| parse(&path, &text))?,
            (None, None) => Config::default(),
        };
        for folder in folder.ancestors() {
            let path = folder.join(".llmx.toml");
            if let Some(text) = text(&path)? {
                let project = project(&path, &text)?;
                config.model = project.model.or(config.model);
                config.alias.extend(project.alias);
                if project.store == Store::Metadata {
                    config.store = Store::Metadata;
                }
                break;
            }
        }
        Ok(config)
    }
}

impl Config {
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

fn project(path: &Path, text: &str) -> Result<Project, Failure> {
    if let Ok(table) = text.parse::<Table>()
        && let Some(key) = USER_ONLY.iter().find(|key| table.contains_key(**key))
    {
        let line = text.lines().position(|line| line.contains(key)).map_or(1, |line| line + 1);
        return Err(Failure::new(
            ErrorClass::Config,
            format!("{}:{line}: a project may not set \"{key}\"; nothing was sent", path.display()),
        )
        .advise("put it into your own config.toml, if you trust it"));
    }
    parse(path, text)
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
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
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

    use super::Config;
    use crate::domain::failure::ErrorClass;

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
}
