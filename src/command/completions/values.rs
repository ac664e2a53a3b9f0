//! The values that an argument may have, as far as this machine knows them: nothing is asked of a network, and nothing is
//! written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Arg, ValueHint};

use super::place::Place;
use crate::command::config::{Config, prices};
use crate::command::desk;
use crate::command::outside::{env, now_ms};
use crate::command::test_access::kept::{self, Kept, STALE_MS};
use crate::command::{Colour, GlobalArgs};
use crate::domain::untrusted::one_line;
use crate::ledger::{Name, Named, names};
use crate::provider::access::{all_regions, regions};
use crate::provider::catalog::Catalog;
use crate::render::access::ago;

/// A word that may stand there, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub text: String,
    /// May be empty.
    pub about: String,
}

impl Candidate {
    #[must_use]
    pub fn new(text: impl Into<String>, about: impl Into<String>) -> Candidate {
        Candidate { text: text.into(), about: about.into() }
    }

    /// More is to follow it, so that no space does.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.text.ends_with(['/', ':', '@', '=', ','])
    }

    /// Whether it can be shown as it is; a name from outside may hold what steers a terminal.
    fn is_plain(&self) -> bool {
        !self.text.is_empty() && one_line(&self.text) == self.text
    }
}

/// What may stand at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    Words(Vec<Candidate>),
    /// The shell knows them best. So many bytes of the value stand before the path.
    Files(usize),
    Folders(usize),
}

/// A sort of values that are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Model,
    Provider,
    Region,
    /// Of AWS.
    Profile,
    Zone,
    InBooks(Named),
    Files,
    Folders,
}

/// What a value's name says of it. A command that calls its value so has it completed.
const SORTS: &[(&str, Sort)] = &[
    ("MODEL", Sort::Model),
    ("PROVIDER", Sort::Provider),
    ("REGION", Sort::Region),
    ("PROFILE", Sort::Profile),
    ("ZONE", Sort::Zone),
    ("BUDGET", Sort::InBooks(Named::Budget)),
    ("CALL", Sort::InBooks(Named::Call)),
    ("GROUP", Sort::InBooks(Named::Group)),
    ("SESSION", Sort::InBooks(Named::Session)),
    ("PROJECT", Sort::InBooks(Named::Project)),
    ("USER", Sort::InBooks(Named::User)),
    ("TEAM", Sort::InBooks(Named::Team)),
    ("TAG", Sort::InBooks(Named::Tag)),
    ("FILE", Sort::Files),
    ("@FILE", Sort::Files),
    ("PATH", Sort::Files),
    ("DIR", Sort::Folders),
];

/// What may stand for a value that begins with `begun`.
#[must_use]
pub fn values(arg: &Arg, begun: &str, place: &Place<'_>) -> Offer {
    let names: Vec<&str> = pieces(arg).collect();
    let mut sorts: Vec<(&str, Sort)> = names.iter().filter_map(|name| sort(name)).collect();
    if sorts.is_empty() {
        // `--project NAME`: then the flag says what it is.
        sorts.extend(sort(&arg.get_id().as_str().to_uppercase()));
    }
    if let Some(offer) = paths(arg, begun, &sorts) {
        return offer;
    }
    let possible = arg.get_possible_values();
    let mut words: Vec<Candidate> = possible
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| Candidate::new(value.get_name(), value.get_help().map(ToString::to_string).unwrap_or_default()))
        .collect();
    // `all|any|NUMBER`: what stands in small letters is written as it stands.
    let literal = |name: &&&str| name.chars().all(|letter| letter.is_ascii_lowercase());
    words.extend(names.iter().filter(literal).map(|name| Candidate::new(*name, "")));
    if !sorts.is_empty() {
        let known = Known::of(place);
        words.extend(known.iter().flat_map(|known| sorts.iter().flat_map(|(_, sort)| known.words(*sort, arg, begun))));
    }
    let mut seen = BTreeSet::new();
    words.retain(|word| word.text.starts_with(begun) && word.is_plain() && seen.insert(word.text.clone()));
    Offer::Words(words)
}

/// The words of `last|LANG`, `MODEL[,…]` and the like.
fn pieces(arg: &Arg) -> impl Iterator<Item = &str> {
    let names = arg.get_value_names().unwrap_or_default().iter();
    names.flat_map(|name| name.split(['|', '[', ']', ',', '…'])).filter(|piece| !piece.is_empty())
}

fn sort(name: &str) -> Option<(&'static str, Sort)> {
    SORTS.iter().copied().find(|(known, _)| *known == name)
}

fn paths(arg: &Arg, begun: &str, sorts: &[(&'static str, Sort)]) -> Option<Offer> {
    for (name, sort) in sorts {
        let before = if name.starts_with('@') { "@" } else { "" };
        match sort {
            Sort::Files if begun.starts_with(before) => return Some(Offer::Files(before.len())),
            Sort::Folders => return Some(Offer::Folders(0)),
            _ => {}
        }
    }
    match arg.get_value_hint() {
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::ExecutablePath => Some(Offer::Files(0)),
        ValueHint::DirPath => Some(Offer::Folders(0)),
        _ => None,
    }
}

/// What this machine knows.
struct Known {
    config: Config,
    catalog: Catalog,
    ledger: Option<PathBuf>,
    /// The provider of the model that the line names, or the one that it names itself.
    provider: Option<String>,
    now_ms: i64,
}

impl Known {
    fn of(place: &Place<'_>) -> Option<Known> {
        let given = |ids: &[&str]| {
            let options = place.given.iter().rev();
            options.filter(|(arg, _)| ids.contains(&arg.get_id().as_str())).find_map(|(_, value)| *value)
        };
        let path = |id| given(&[id]).map(PathBuf::from);
        let global =
            GlobalArgs { quiet: true, verbose: 0, color: Colour::Never, config: path("config"), db: path("db") };
        // A file that cannot be read is told of by the command itself.
        let config = desk::config(&global).unwrap_or_default();
        let catalog = Catalog::with(&config.provider).ok()?;
        let provider = given(&["provider", "model", "models"])
            .map(|name| name.split(['/', '@', ',']).next().unwrap_or_default().to_owned());
        Some(Known { config, catalog, ledger: desk::ledger_path(&global), provider, now_ms: now_ms() })
    }

    fn words(&self, sort: Sort, arg: &Arg, begun: &str) -> Vec<Candidate> {
        match sort {
            Sort::Model => self.models(arg, begun),
            Sort::Provider => self.catalog.ids().map(|id| Candidate::new(id, "")).collect(),
            Sort::Region => self.regions(),
            Sort::Profile => profiles(),
            Sort::Zone => jiff::tz::db().available().map(|name| Candidate::new(name.as_str(), "")).collect(),
            Sort::InBooks(named) => self.in_books(named),
            Sort::Files | Sort::Folders => Vec::new(),
        }
    }

    /// First what was found to work, then the user's own names, then providers, and after a provider its models.
    fn models(&self, arg: &Arg, begun: &str) -> Vec<Candidate> {
        let mut words = self.usable();
        words.extend(self.config.alias.iter().map(|(name, model)| Candidate::new(name, format!("alias of {model}"))));
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        if help.contains("route/") {
            words.extend(self.config.route.keys().map(|name| Candidate::new(format!("route/{name}"), "route")));
        }
        if help.contains("group:") {
            let groups = self.config.group.iter();
            words.extend(groups.map(|(name, models)| Candidate::new(format!("group:{name}"), models.join(", "))));
        }
        match (begun.split_once('/'), begun.split_once('@')) {
            (Some((head, _)), _) => words.extend(self.models_of(head)),
            (None, Some((id, _))) => {
                let regions = self.catalog.row(id).map(|row| regions(&row)).unwrap_or_default();
                words.extend(regions.iter().map(|region| Candidate::new(format!("{id}@{region}/"), "")));
            }
            (None, None) => words.extend(self.catalog.ids().map(|id| Candidate::new(format!("{id}/"), ""))),
        }
        words
    }

    /// What the last test of access found to work with the credential that is found by default, the latest first.
    fn usable(&self) -> Vec<Candidate> {
        let kept = self.ledger.as_deref().map(|ledger| Kept::read(&kept::beside(ledger))).unwrap_or_default();
        let working = kept.working().into_iter().filter(|entry| entry.profile.is_none());
        working
            .map(|entry| {
                let age = self.now_ms.saturating_sub(entry.at_ms);
                let stale = if age > STALE_MS { ": stale, test-access asks again" } else { "" };
                Candidate::new(&entry.name, format!("worked {}{stale}", ago(age)))
            })
            .collect()
    }

    /// `head`: a provider, perhaps in a region. Its models in the catalog and in the tables of prices.
    fn models_of(&self, head: &str) -> Vec<Candidate> {
        let Ok(row) = self.catalog.row(head.split('@').next().unwrap_or_default()) else { return Vec::new() };
        let mut models: Vec<String> = row.models.clone();
        if let Ok(prices) = prices(&env) {
            let priced = prices.tables().flat_map(|table| table.models());
            models.extend(priced.filter_map(|key| key.strip_prefix(&row.id)?.strip_prefix('/')).map(str::to_owned));
        }
        models.iter().map(|model| Candidate::new(format!("{head}/{model}"), "")).collect()
    }

    fn regions(&self) -> Vec<Candidate> {
        let row = self.provider.as_deref().and_then(|id| self.catalog.row(id).ok());
        let known = row.map(|row| regions(&row)).filter(|regions| !regions.is_empty()).unwrap_or_else(all_regions);
        known.into_iter().map(|region| Candidate::new(region, "")).collect()
    }

    fn in_books(&self, named: Named) -> Vec<Candidate> {
        let told = |name: Name| {
            let seen = name.at_ms.map(|at_ms| ago(self.now_ms.saturating_sub(at_ms)));
            let about = [name.about].into_iter().chain(seen).filter(|about| !about.is_empty());
            Candidate::new(name.text, about.collect::<Vec<_>>().join(", "))
        };
        let mut words: Vec<Candidate> =
            self.ledger.as_deref().map(|path| names(path, named)).unwrap_or_default().into_iter().map(told).collect();
        if named == Named::Budget {
            let files = self.config.budgets.iter();
            words.extend(files.map(|budget| Candidate::new(&budget.name, budget.origin.to_string())));
        }
        words
    }
}

/// The sections of AWS's own files (docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html, read 2026-11-22).
fn profiles() -> Vec<Candidate> {
    let file = |variable: &str, name: &str| {
        let named = env(variable).map(PathBuf::from);
        let text = named
            .or_else(|| Some(Path::new(&env("HOME")?).join(".aws").join(name)))
            .filter(|path| path.is_file())
            .and_then(|path| std::fs::read_to_string(path).ok());
        text.unwrap_or_default()
    };
    let texts = [file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials")];
    let sections = texts.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let section = line.trim().strip_prefix('[')?.split(']').next()?.trim();
        match section.split_once(char::is_whitespace) {
            Some(("profile", name)) => Some(name.trim()),
            Some(_) => None,
            None => Some(section),
        }
    });
    sections.map(|name| Candidate::new(name, "")).collect()
}
