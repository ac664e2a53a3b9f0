//! One price file: an index of its sections, and its entries, each read when it is asked for.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

use toml::de::{DeTable, DeValue};

use super::entry::{Calendar, Entry, Number, Reader, Rules};
use super::place::{File, TableError, Which};

/// The schema that is understood; a file with a higher number is refused.
const SCHEMA: &str = "1";

/// The sorts of sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Provider,
    Model,
    Profiles,
    Calendar,
    Deployment,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Provider, Kind::Model, Kind::Profiles, Kind::Calendar, Kind::Deployment];

    fn word(self) -> &'static str {
        match self {
            Kind::Provider => "provider",
            Kind::Model => "model",
            Kind::Profiles => "profiles",
            Kind::Calendar => "calendar",
            Kind::Deployment => "deployment",
        }
    }
}

/// A header at the start of a line and what stands under it.
#[derive(Debug)]
struct Section {
    kind: Kind,
    key: Range<usize>,
    body: Range<usize>,
}

/// A price file.
#[derive(Debug)]
pub struct Table {
    file: File,
    sections: Vec<Section>,
    sha256: OnceLock<String>,
    version: OnceLock<String>,
    models: Memo<Option<Entry>>,
    aliases: Memo<Option<Entry>>,
    rules: Memo<Option<Rules>>,
    deployments: Memo<Option<String>>,
}

/// What was read before: a report prices many calls of few models.
#[derive(Debug)]
struct Memo<T>(Mutex<HashMap<String, T>>);

impl<T> Default for Memo<T> {
    fn default() -> Memo<T> {
        Memo(Mutex::default())
    }
}

impl<T: Clone> Memo<T> {
    fn get(&self, key: &str, read: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known().get(key) {
            return Ok(value.clone());
        }
        let value = read()?;
        known().insert(key.to_owned(), value.clone());
        Ok(value)
    }
}

impl Table {
    /// Indexes a text without reading it. Headers must start their lines; [`Table::problems`] finds those that do not.
    #[must_use]
    pub fn new(which: Which, name: &str, text: impl Into<Cow<'static, str>>) -> Table {
        let text = text.into();
        let sections = index(&text);
        Table {
            file: File { which, name: name.to_owned(), text },
            sections,
            sha256: OnceLock::new(),
            version: OnceLock::new(),
            models: Memo::default(),
            aliases: Memo::default(),
            rules: Memo::default(),
            deployments: Memo::default(),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    #[must_use]
    pub fn which(&self) -> Which {
        self.file.which
    }

    /// The same, where the hash of the text is known beforehand: working it out would take longer than all the rest.
    #[must_use]
    pub fn hashed(which: Which, name: &str, text: &'static str, sha256: &str) -> Table {
        Table { sha256: OnceLock::from(sha256.to_owned()), ..Table::new(which, name, text) }
    }

    /// SHA-256 of the text, in hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| {
            let digest = ring::digest::digest(&ring::digest::SHA256, self.file.text.as_bytes());
            digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    /// The version that the file gives itself, or its day.
    #[must_use]
    pub fn version(&self) -> String {
        let read = || {
            let head = self.file.text.get(..self.head()).unwrap_or_default();
            let table = DeTable::parse(head).ok()?;
            table.get_ref().get("version").and_then(|version| version.get_ref().as_str().map(str::to_owned))
        };
        self.version.get_or_init(|| read().unwrap_or_default()).clone()
    }

    /// Line and column of an offset, from 1.
    #[must_use]
    pub fn line(&self, at: usize) -> (usize, usize) {
        self.file.line(at)
    }

    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> TableError {
        self.file.error(at, message)
    }

    /// The keys of all models, in the file's order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        let mut seen = BTreeSet::new();
        self.keys(Kind::Model).filter(move |key| seen.insert(*key))
    }

    /// The entry of exactly this key.
    ///
    /// # Errors
    /// Where the entry cannot be read.
    pub fn model(&self, key: &str) -> Result<Option<Entry>, TableError> {
        self.models.get(key, || self.read(Kind::Model, key, |reader, at, value| reader.entry(key, at, value)))
    }

    /// The entry of this provider that has `name` among its aliases.
    ///
    /// # Errors
    /// Where an entry that holds the name cannot be read.
    pub fn alias(&self, provider: &str, name: &str) -> Result<Option<Entry>, TableError> {
        self.aliases.get(&format!("{provider}/{name}"), || self.aliased(provider, name))
    }

    fn aliased(&self, provider: &str, name: &str) -> Result<Option<Entry>, TableError> {
        let mut tried = BTreeSet::new();
        for quoted in [format!("\"{name}\""), format!("'{name}'")] {
            for at in memchr::memmem::find_iter(self.file.text.as_bytes(), quoted.as_bytes()) {
                let Some(key) = self.model_at(at).filter(|key| of_provider(key, provider) && tried.insert(*key)) else {
                    continue;
                };
                if let Some(entry) = self.model(key)?.filter(|entry| entry.alias.iter().any(|alias| alias == name)) {
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }

    /// The rules of a provider.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn rules(&self, provider: &str) -> Result<Option<Rules>, TableError> {
        self.rules.get(provider, || self.read(Kind::Provider, provider, |reader, at, value| reader.rules(at, value)))
    }

    /// Bedrock prefixes and their factors.
    ///
    /// # Errors
    /// Where the set cannot be read.
    pub fn profiles(&self, name: &str) -> Result<Option<BTreeMap<String, Number>>, TableError> {
        self.read(Kind::Profiles, name, |reader, at, value| reader.factors(at, value))
    }

    /// Days off.
    ///
    /// # Errors
    /// Where the calendar cannot be read.
    pub fn calendar(&self, name: &str) -> Result<Option<Calendar>, TableError> {
        self.read(Kind::Calendar, name, |reader, at, value| reader.calendar(at, value))
    }

    /// The `provider/model` that a deployment or an inference profile stands for.
    ///
    /// # Errors
    /// Where the mapping cannot be read.
    pub fn deployment(&self, key: &str) -> Result<Option<String>, TableError> {
        self.deployments.get(key, || self.read(Kind::Deployment, key, |reader, at, value| reader.deployment(at, value)))
    }

    /// Reads the whole file: everything that keeps it from being used, in its order.
    #[must_use]
    pub fn problems(&self) -> Vec<TableError> {
        let whole = match DeTable::parse(&self.file.text) {
            Ok(whole) => whole,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                return vec![self.error(at, error.message())];
            }
        };
        let mut problems = Vec::new();
        for (key, value) in whole.get_ref() {
            let at = key.span().start;
            match key.get_ref().as_ref() {
                "schema" => {
                    let known = value.get_ref().as_integer().is_some_and(|number| number.as_str() == SCHEMA);
                    if !known {
                        problems.push(self.error(at, format!("this program reads schema {SCHEMA}: update it")));
                    }
                }
                "version" if value.get_ref().is_str() => {}
                "version" => problems.push(self.error(at, "version must be a text")),
                word => match Kind::ALL.into_iter().find(|kind| kind.word() == word) {
                    Some(kind) => self.sections_of(kind, value.get_ref(), at, &mut problems),
                    None => problems.push(self.error(at, format!("unknown key \"{word}\""))),
                },
            }
        }
        problems
    }

    fn sections_of(&self, kind: Kind, value: &DeValue<'_>, at: usize, problems: &mut Vec<TableError>) {
        let Some(entries) = value.as_table() else {
            problems.push(self.error(at, format!("{} must be a table", kind.word())));
            return;
        };
        for key in entries.keys() {
            let (at, key) = (key.span().start, key.get_ref().as_ref());
            if !self.keys(kind).any(|known| known == key) {
                problems
                    .push(self.error(at, format!("write it as [{}.\"{key}\"] at the start of a line", kind.word())));
                continue;
            }
            let read = match kind {
                Kind::Provider => self.rules(key).map(|_| ()),
                Kind::Model => self.model(key).map(|_| ()),
                Kind::Profiles => self.profiles(key).map(|_| ()),
                Kind::Calendar => self.calendar(key).map(|_| ()),
                Kind::Deployment => self.deployment(key).map(|_| ()),
            };
            problems.extend(read.err());
        }
    }

    fn keys(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let sections = self.sections.iter().filter(move |section| section.kind == kind);
        sections.filter_map(|section| self.file.text.get(section.key.clone()))
    }

    /// The model in whose section an offset lies.
    fn model_at(&self, at: usize) -> Option<&str> {
        let after = self.sections.partition_point(|section| section.body.start <= at);
        let section = self.sections.get(after.checked_sub(1)?)?;
        (section.kind == Kind::Model).then(|| self.file.text.get(section.key.clone())).flatten()
    }

    /// Where the first section begins.
    fn head(&self) -> usize {
        self.sections.first().map_or(self.file.text.len(), |section| section.body.start)
    }

    /// Parses the sections of one key, and nothing else of the file.
    fn read<T>(
        &self,
        kind: Kind,
        key: &str,
        take: impl FnOnce(&Reader<'_>, usize, &DeValue<'_>) -> Result<T, TableError>,
    ) -> Result<Option<T>, TableError> {
        let mut text = String::new();
        let mut starts = Vec::new();
        for section in &self.sections {
            if section.kind == kind && self.file.text.get(section.key.clone()) == Some(key) {
                starts.push((text.len(), section.body.start));
                text.push_str(self.file.text.get(section.body.clone()).unwrap_or_default());
            }
        }
        let Some((_, first)) = starts.first().copied() else {
            return Ok(None);
        };
        let reader = Reader { file: &self.file, starts };
        let parsed = DeTable::parse(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.error(reader.place(at).at, error.message())
        })?;
        let kinds = parsed.get_ref().get(kind.word()).and_then(|kinds| kinds.get_ref().as_table());
        match kinds.and_then(|kinds| kinds.get(key)) {
            Some(value) => take(&reader, first, value.get_ref()).map(Some),
            None => Ok(None),
        }
    }
}

fn of_provider(key: &str, provider: &str) -> bool {
    key.strip_prefix(provider).is_some_and(|rest| rest.starts_with('/'))
}

/// Every header at the start of a line, with what follows it up to the next one.
fn index(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    // Only lines that begin with a bracket are looked at: most lines of a table do not.
    let first = text.starts_with('[').then_some(0);
    let starts = first.into_iter().chain(memchr::memmem::find_iter(text.as_bytes(), "\n[").map(|at| at + 1));
    for line in starts {
        if let Some((kind, key)) = text.get(line..).and_then(|rest| header(rest, line)) {
            if let Some(last) = sections.last_mut() {
                last.body.end = line;
            }
            sections.push(Section { kind, key, body: line..text.len() });
        }
    }
    sections
}

/// The sort and the key of a header, where `line` is one: `[model."a/b"]`, `[[model."a/b".price]]`, `[provider.a]`.
fn header(line: &str, offset: usize) -> Option<(Kind, Range<usize>)> {
    let inner = line.strip_prefix("[[").or_else(|| line.strip_prefix('['))?;
    let after = |kind: &Kind| inner.strip_prefix(kind.word())?.strip_prefix('.');
    let (kind, rest) = Kind::ALL.into_iter().find_map(|kind| Some((kind, after(&kind)?)))?;
    let start = offset + (line.len() - rest.len());
    let quote = rest.bytes().next().filter(|first| matches!(first, b'"' | b'\''));
    let (start, length) = match quote {
        Some(quote) => (start + 1, memchr::memchr2(quote, b'\n', rest.get(1..)?.as_bytes())?),
        None => (start, rest.find(|end: char| !(end.is_ascii_alphanumeric() || end == '-' || end == '_'))?),
    };
    Some((kind, start..start + length))
}

#[cfg(test)]
mod tests {
    use super::{Table, Which};

    fn table(text: &'static str) -> Table {
        Table::new(Which::User, "own.toml", text)
    }

    fn problem(text: &'static str) -> String {
        table(text).problems().first().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn an_entry_is_found_by_its_header_wherever_its_parts_stand() {
        let table = table(
            "version = \"v1\"\n[[model.\"a/x\".price]]\ninput = 5\n[model.'a/y']\nfree = true\n\
             [[model.\"a/x\".price]]\nfrom = 2026-08-21T00:00:00Z\ninput = 4\n[model.\"a/x\"]\nalias = [\"z\"]\n",
        );
        assert_eq!(table.problems(), []);
        assert_eq!(table.models().collect::<Vec<_>>(), ["a/x", "a/y"]);
        assert_eq!(table.version(), "v1");
        let entry = table.model("a/x").expect("reads").expect("there");
        assert_eq!(entry.price.len(), 2);
        let at = entry.price[1].rates.values().next().expect("a rate").place.at;
        assert_eq!(table.line(at), (8, 9));
        assert_eq!(table.alias("a", "z").expect("reads").map(|entry| entry.key).as_deref(), Some("a/x"));
        assert!(table.alias("b", "z").expect("reads").is_none());
        assert!(table.model("a/nothing").expect("reads").is_none());
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_and_column() {
        for (text, wanted) in [
            ("[model.\"a/x\"]\nprise = 1\n", "own.toml:2:1: unknown key \"prise\""),
            ("[model.\"a/x\"]\nprice = { input = 0.0000000001 }\n", "own.toml:2:19: it has more than 9 decimals"),
            ("[model.\"a/x\"]\nprice = { input = -1 }\n", "own.toml:2:19: it is negative"),
            ("[model.\"a/x\"]\nprice = { input = 10_001 }\n", "own.toml:2:19: a price above 10,000 USD per 1M"),
            ("[model.\"a/x\"]\nprice = { output = 1 }\n", "own.toml:2:9: a sheet needs input"),
            (
                "[model.\"a/x\"]\nprice = { input = 1, tier = [{ above = 5, output = 1 }] }\n",
                "own.toml:2:30: a sheet needs input",
            ),
            ("[model.\"a/x\"]\nprice = [{ input = 1 }, { input = 2 }]\n", "own.toml:2:25: this row must begin"),
            (
                "[model.\"a/x\"]\nprice = [{ from = 2026-02-01T00:00:00Z, input = 1 }, { from = 2026-01-01T00:00:00Z, input = 2 }]\n",
                "own.toml:2:54: this row must begin",
            ),
            ("[model.\"a/x\"]\nprice = { input = 1e1 }\n", "own.toml:2:19: it is no plain decimal"),
            ("[modell.\"a/x\"]\nfree = true\n", "own.toml:1:2: unknown key \"modell\""),
            ("  [model.\"a/x\"]\nfree = true\n", "own.toml:1:10: write it as [model.\"a/x\"]"),
            ("schema = 2\n", "own.toml:1:1: this program reads schema 1"),
            ("[model.\"a/x\"]\nfree = true\n[model.\"a/x\"]\nfree = true\n", "own.toml:3:"),
            ("[model.\"a/x\"]\nnote = 5\n", "own.toml:2:8: it must be a text"),
            ("[model.\"a/x\"]\nnote = \"x\"\n", "own.toml:1:1: it has neither price, like, free nor unpriced"),
            (
                "[model.\"a/x\"]\nprice = { input = 1, window = [{ hours = [\"9-10\"], input = 1 }] }\n",
                "own.toml:2:43: hours are",
            ),
        ] {
            let got = problem(text);
            assert!(got.starts_with(wanted), "{text}\n  {got}");
        }
    }
}
