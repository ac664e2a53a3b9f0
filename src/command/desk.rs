//! Opens what commands need, each when it is asked for; nothing here is changed afterwards.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::Caller;
use crate::command::GlobalArgs;
use crate::command::config::{Config, LimitsTable};
#[cfg(feature = "otel")]
use crate::command::otel;
use crate::command::outside::{env, folder, now_ms};
use crate::command::test_access::kept;
use crate::command::trace;
use crate::command::who::{Who, WhoArgs, who};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::route;
use crate::domain::window::Zone;
use crate::ledger::{Ledger, Patience};
use crate::provider::catalog::{Auth, Catalog, Row};
use crate::provider::net::Net;
use crate::provider::{Choice, Limits, Provider, key, models};
use crate::render::terminal::{Colour, Terminal};

/// The configuration, the catalog and the way out to the network.
#[derive(Debug)]
pub struct Desk {
    pub config: Config,
    pub catalog: Catalog,
    pub net: Arc<Net>,
    pub limits: Limits,
    /// Where the result of the last test of access is kept.
    pub access: Option<PathBuf>,
}

/// What the configuration files say here.
///
/// # Errors
/// `config` for a file that cannot be read.
pub fn config(global: &GlobalArgs) -> Result<Config, Failure> {
    Config::read(global.config.as_deref(), &folder(), &env)
}

/// The books: at `--db` or `LLMX_DB`, else `ledger.db` in llmx's folder of the user's data. A wait for others is said on
/// standard error, and lasts as long as `limits` says.
///
/// # Errors
/// `ledger` where they cannot be opened; `config` where no place for them is known.
pub fn ledger(global: &GlobalArgs, limits: &LimitsTable) -> Result<Ledger, Failure> {
    let path = ledger_path(global).ok_or_else(|| {
        Failure::new(ErrorClass::Config, format!("no place for the ledger is known: {NO_PLACE}"))
            .advise("give one with --db FILE or LLMX_DB")
    })?;
    let note = |said: &str| {
        let _ = Terminal::new(Colour::Auto, false, env).note(&format!("llmx: {said}\n"));
    };
    let limit = given(limits.ledger_ms, Patience::default().limit);
    Ok(Ledger::open(&path, Patience { limit, note: Arc::new(note), clock: Some(Instant::now), ..Patience::default() })?)
}

/// Why no place for the books is known.
pub const NO_PLACE: &str = if cfg!(windows) {
    "neither LOCALAPPDATA nor XDG_DATA_HOME is set"
} else {
    "neither HOME nor XDG_DATA_HOME is set"
};

/// Where the books are, or would be.
#[must_use]
pub fn ledger_path(global: &GlobalArgs) -> Option<PathBuf> {
    global.db.clone().or_else(|| env("LLMX_DB").map(PathBuf::from)).or_else(ledger_file)
}

/// A relative `XDG_DATA_HOME` counts as unset (XDG Base Directory Specification 0.8, read 2026-11-22).
fn ledger_file() -> Option<PathBuf> {
    let data = env("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || {
        if cfg!(windows) {
            env("LOCALAPPDATA").map(PathBuf::from)
        } else {
            env("HOME").map(|home| PathBuf::from(home).join(".local/share"))
        }
    };
    Some(data.or_else(home)?.join("llmx/ledger.db"))
}

/// The zone whose days a report is about: the flag, `LLMX_ZONE`, this machine's. A machine that does not name its zone counts
/// in UTC.
///
/// # Errors
/// `config` for a zone that nobody knows.
pub fn zone(flag: Option<&str>) -> Result<Zone, Failure> {
    match flag.map(str::to_owned).or_else(|| env("LLMX_ZONE")) {
        Some(name) if name != "local" => Zone::named(&name).ok_or_else(|| {
            Failure::new(ErrorClass::Config, format!("no time zone is called \"{name}\""))
                .advise("write it as the IANA database does: Europe/Berlin, America/New_York, UTC")
        }),
        _ => Ok(jiff::tz::TimeZone::system().iana_name().and_then(Zone::named).unwrap_or_default()),
    }
}

/// On whose behalf a subcommand calls.
///
/// # Errors
/// `config` for a name or tag that cannot be one.
pub fn caller(command: &'static str, config: &Config, args: &WhoArgs) -> Result<Caller, Failure> {
    let Who { project, user, team, session, tags } = who(args, config, &folder(), &env)?;
    #[cfg(feature = "otel")]
    let witness = otel::witness(config);
    #[cfg(not(feature = "otel"))]
    let witness = None;
    Ok(Caller { command, project, user, team, session, tags, route: None, keeps_texts: true, witness })
}

impl Desk {
    /// Reads the configuration and the catalog. No socket, no certificate and no SDK is touched.
    ///
    /// # Errors
    /// `config` for a file that cannot be read.
    pub fn open(global: &GlobalArgs, ca_file: Option<PathBuf>) -> Result<Desk, Failure> {
        trace::begin(global);
        let config = config(global)?;
        let catalog = Catalog::with(&config.provider)?;
        let limits = limits(&config.limits);
        let roots = ca_file.or_else(|| config.ca_bundle.clone()).or_else(|| env("SSL_CERT_FILE").map(PathBuf::from));
        let access = ledger_path(global).map(|ledger| kept::beside(&ledger));
        Ok(Desk { catalog, net: Arc::new(Net::new(roots, &limits, &env)), config, limits, access })
    }

    /// The model that is meant: by the flag, by `LLMX_MODEL`, by the project's or the user's file.
    ///
    /// # Errors
    /// `config` where none is named anywhere: says which providers have credentials here; `config` for a route;
    /// `not-found` for an unknown one.
    pub fn model(&self, flag: Option<&str>) -> Result<ModelName, Failure> {
        if let Some(route) = self.route(flag) {
            return Err(no_model_but(&route));
        }
        match self.wanted(flag) {
            Some(wanted) => self
                .catalog
                .model(&wanted)
                .map_err(|failure| kept::advise(failure, &wanted, self.access.as_deref(), now_ms())),
            None => Err(self.no_model()),
        }
    }

    /// The route that is named in place of a model, where it is one.
    #[must_use]
    pub fn route(&self, flag: Option<&str>) -> Option<String> {
        route::named(&self.wanted(flag)?).map(str::to_owned)
    }

    /// What is named as the model, aliases resolved.
    fn wanted(&self, flag: Option<&str>) -> Option<String> {
        let named = flag.map(str::to_owned).or_else(|| env("LLMX_MODEL")).or_else(|| self.config.model.clone())?;
        Some(self.config.alias.get(&named).cloned().unwrap_or(named))
    }

    /// The provider of a model, ready to be asked.
    ///
    /// # Errors
    /// See [`Provider::open`].
    pub fn provider(&self, name: &ModelName, choice: &Choice) -> Result<Provider, Failure> {
        let row = self.catalog.row(&name.provider)?;
        let (mut facts, api) = models::facts(&row, name);
        facts.attachment_tokens = self.config.limits.attachment_tokens.map(NonZeroU64::get);
        Provider::open(&row, name, facts, api, choice, &self.net, &env)
    }

    fn no_model(&self) -> Failure {
        let usable: Vec<Row> = self.catalog.rows().filter(has_credential).collect();
        let failure = Failure::new(
            ErrorClass::Config,
            "no model is named: use -m provider/model, LLMX_MODEL, or model = \"…\" in config.toml",
        );
        match usable.iter().find(|row| !row.models.is_empty()).or(usable.first()) {
            None => failure.advise("-m sim/echo needs no key; `llmx providers` lists what can be used with one"),
            Some(first) => {
                let names: Vec<&str> = usable.iter().map(|row| row.id.as_str()).collect();
                let model = first.models.first().map_or("MODEL", String::as_str);
                failure.advise(format!("-m {}/{model}   (credentials here: {})", first.id, names.join(", ")))
            }
        }
    }
}

fn no_model_but(route: &str) -> Failure {
    Failure::new(
        ErrorClass::Config,
        format!("route/{route} is a route, and here a model must be named: which it leads to depends on the prompt"),
    )
    .advise(format!("name one of its models: `llmx route explain -m route/{route} PROMPT` lists them"))
}

/// The defaults with what the user's file sets laid over them.
fn limits(table: &LimitsTable) -> Limits {
    let default = Limits::default();
    Limits {
        connect: given(table.connect_ms, default.connect),
        tls: given(table.tls_ms, default.tls),
        head: given(table.head_ms, default.head),
        whole: given(table.whole_ms, default.whole),
        idle: given(table.idle_ms, default.idle),
        content: given(table.content_ms, default.content),
        first_token: table.first_token_ms.map(|millis| Duration::from_millis(millis.get())),
    }
}

fn given(millis: Option<NonZeroU64>, default: Duration) -> Duration {
    millis.map_or(default, |millis| Duration::from_millis(millis.get()))
}

/// Whether a credential for the provider stands in the environment. Clouds' own chains are not walked: that may take
/// seconds, so only their variables are looked at.
#[must_use]
pub fn has_credential(row: &Row) -> bool {
    match row.auth {
        Auth::Key | Auth::Optional => matches!(key::find(row, &env), Ok(Some(_))),
        Auth::Aws => {
            ["AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"].iter().any(|name| env(name).is_some())
        }
        Auth::Google => env("GOOGLE_APPLICATION_CREDENTIALS").is_some(),
        Auth::None => false,
    }
}
