//! `access.json` beside the ledger: what the last tests showed, each with its instant.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::access::{AccessClass, AccessReport, Probed};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::render::access::ago;

const SCHEMA: u32 = 1;
/// Longest file that is read, in bytes, and most entries that are kept.
const SIZE_MAX: u64 = 4 << 20;
const ENTRIES_MAX: usize = 2000;
/// A result that is older is said to be stale, in milliseconds.
pub const STALE_MS: i64 = 7 * 86_400_000;

#[derive(Debug, Serialize, Deserialize)]
struct File {
    schema: u32,
    #[serde(default)]
    entries: Vec<Entry>,
}

/// What was shown of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// As `-m` takes it: with its region only where one was asked for.
    pub name: String,
    pub provider: String,
    pub model: String,
    /// Where it was asked.
    pub region: Option<String>,
    pub profile: Option<String>,
    /// The key of an [`AccessClass`].
    pub class: String,
    /// UTC milliseconds since 1970.
    pub at_ms: i64,
    pub first_token_ms: Option<u64>,
    /// Names that work in its place.
    #[serde(default)]
    pub works: Vec<String>,
}

impl Entry {
    fn of(probed: &Probed, at_ms: i64) -> Entry {
        Entry {
            name: probed.name.clone(),
            provider: probed.provider.clone(),
            model: probed.model.clone(),
            region: probed.region.clone(),
            profile: probed.profile.clone(),
            class: probed.access.class.key(),
            at_ms,
            first_token_ms: probed.first_token_ms,
            works: probed.works.clone(),
        }
    }

    /// Whether it works; `None` where that may be otherwise by now, or is not known to this build.
    #[must_use]
    pub fn works(&self) -> Option<bool> {
        AccessClass::of_key(&self.class).and_then(AccessClass::works)
    }
}

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    pub entries: Vec<Entry>,
}

/// Where the results are kept, beside the ledger.
#[must_use]
pub fn beside(ledger: &Path) -> PathBuf {
    ledger.with_file_name("access.json")
}

impl Kept {
    /// What is kept at `path`. No file, a damaged one and one of a newer llmx say nothing: it is only a memory.
    #[must_use]
    pub fn read(path: &Path) -> Kept {
        Kept { entries: file(path).filter(|file| file.schema == SCHEMA).map(|file| file.entries).unwrap_or_default() }
    }

    /// Whether a model can be used with the credential that is found by default, and how many milliseconds ago that was
    /// seen. `None`: nobody has asked, or it may be otherwise by now.
    #[must_use]
    pub fn usable(&self, name: &ModelName, now_ms: i64) -> Option<(bool, i64)> {
        let whole = name.to_string();
        let there = |entry: &&Entry| {
            let in_region = name.region.is_some()
                && entry.region == name.region
                && entry.provider == name.provider
                && entry.model == name.model;
            entry.profile.is_none() && (entry.name == whole || in_region)
        };
        let latest = self.entries.iter().filter(there).max_by_key(|entry| entry.at_ms)?;
        Some((latest.works()?, now_ms.saturating_sub(latest.at_ms)))
    }

    /// Those that work, the latest first.
    #[must_use]
    pub fn working(&self) -> Vec<&Entry> {
        let mut working: Vec<&Entry> = self.entries.iter().filter(|entry| entry.works() == Some(true)).collect();
        working.sort_by(|one, two| two.at_ms.cmp(&one.at_ms).then_with(|| one.name.cmp(&two.name)));
        working
    }

    fn take(&mut self, report: &AccessReport) {
        // The models that were asked for stand after those that were found beside them: theirs is the last word.
        for probed in report.search.iter().chain(&report.probes) {
            // What was not asked has shown nothing.
            if matches!(probed.access.class, AccessClass::NotAsked | AccessClass::Budget | AccessClass::Unpriced) {
                continue;
            }
            self.entries.retain(|entry| entry.name != probed.name || entry.profile != probed.profile);
            self.entries.push(Entry::of(probed, report.at_ms));
        }
        self.entries.sort_by_key(|entry| std::cmp::Reverse(entry.at_ms));
        self.entries.truncate(ENTRIES_MAX);
    }
}

fn file(path: &Path) -> Option<File> {
    let about = std::fs::metadata(path).ok().filter(|about| about.len() <= SIZE_MAX)?;
    let text = about.is_file().then(|| std::fs::read_to_string(path).ok()).flatten()?;
    serde_json::from_str(&text).ok()
}

/// Lays the result of a test over what is kept: in one step, readable by its owner only.
///
/// # Errors
/// `config` where the file cannot be written; one of a newer llmx is left as it is.
pub fn keep(path: &Path, report: &AccessReport) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(ErrorClass::Config, format!("{} is not kept: {why}", path.display()));
    if file(path).is_some_and(|file| file.schema > SCHEMA) {
        return Err(failed("a newer llmx has written it".into()));
    }
    let mut kept = Kept::read(path);
    kept.take(report);
    let text = serde_json::to_string(&File { schema: SCHEMA, entries: kept.entries })
        .map_err(|error| failed(error.to_string()))?;
    let new = path.with_file_name(format!("access.json.{}", std::process::id()));
    let written = write(&new, &text).and_then(|()| std::fs::rename(&new, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&new);
        failed(error.to_string())
    })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    // Left there by a process of the same number that was killed.
    let _ = std::fs::remove_file(path);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A failure to find a model, with those like it that are known to work.
#[must_use]
pub fn advise(failure: Failure, wanted: &str, path: Option<&Path>, now_ms: i64) -> Failure {
    if failure.class != ErrorClass::NotFound {
        return failure;
    }
    let kept = path.map(Kept::read).unwrap_or_default();
    let words: Vec<String> = wanted
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| word.len() >= 3)
        .map(str::to_lowercase)
        .collect();
    let like = |entry: &&&Entry| words.iter().any(|word| entry.name.to_lowercase().contains(word));
    let working = kept.working();
    let near: Vec<&&Entry> = working.iter().filter(like).take(3).collect();
    let Some(first) = near.first() else { return failure };
    let names: Vec<&str> = near.iter().map(|entry| entry.name.as_str()).collect();
    let told = format!("{} worked {}", names.join(", "), ago(now_ms.saturating_sub(first.at_ms)));
    let advice = failure.advice.as_ref().map_or_else(|| told.clone(), |advice| format!("{advice}; {told}"));
    failure.advise(advice)
}

#[cfg(test)]
mod tests {
    use super::{Entry, Kept, advise};
    use crate::domain::access::AccessClass;
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::domain::model::ModelName;

    const HOUR: i64 = 3_600_000;

    fn entry(name: &str, region: &str, class: AccessClass, at_ms: i64) -> Entry {
        let (provider, model) = name.split_once('/').expect("both");
        Entry {
            name: name.into(),
            provider: provider.split('@').next().unwrap_or_default().into(),
            model: model.into(),
            region: Some(region.into()),
            profile: None,
            class: class.key(),
            at_ms,
            first_token_ms: None,
            works: Vec::new(),
        }
    }

    fn name(provider: &str, region: Option<&str>, model: &str) -> ModelName {
        ModelName { provider: provider.into(), region: region.map(str::to_owned), model: model.into() }
    }

    #[test]
    fn what_is_kept_is_told_with_its_age_and_what_may_have_changed_is_not() {
        let kept = Kept {
            entries: vec![
                entry("bedrock/a", "eu-west-1", AccessClass::Ok, 0),
                entry("bedrock@us-east-1/a", "us-east-1", AccessClass::NotEnabled, HOUR),
                entry("bedrock/b", "eu-west-1", AccessClass::RateLimited, 0),
            ],
        };
        let usable = |region, model| kept.usable(&name("bedrock", region, model), 3 * HOUR);
        assert_eq!(usable(None, "a"), Some((true, 3 * HOUR)));
        assert_eq!(usable(Some("eu-west-1"), "a"), Some((true, 3 * HOUR)));
        assert_eq!(usable(Some("us-east-1"), "a"), Some((false, 2 * HOUR)));
        assert_eq!(usable(Some("us-west-2"), "a"), None);
        assert_eq!(usable(None, "b"), None, "a limit passes");
        assert_eq!(usable(None, "c"), None);
    }

    #[test]
    fn a_missing_model_is_told_with_those_like_it_that_worked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.json");
        let entries = vec![entry("bedrock/eu.anthropic.claude-sonnet-5", "eu-west-1", AccessClass::Ok, 0)];
        let text = serde_json::to_string(&super::File { schema: 1, entries }).expect("JSON");
        std::fs::write(&path, text).expect("written");
        let missing = || Failure::new(ErrorClass::NotFound, "no such model").advise("look again");
        let told = advise(missing(), "sonnet-9", Some(&path), 3 * HOUR);
        assert_eq!(told.advice.as_deref(), Some("look again; bedrock/eu.anthropic.claude-sonnet-5 worked 3 h ago"));
        assert_eq!(advise(missing(), "mistral-large", Some(&path), HOUR), missing());
        std::fs::write(&path, "{\"schema\": 2, \"entries\": []}").expect("written");
        assert_eq!(Kept::read(&path), Kept::default());
        std::fs::write(&path, "{").expect("written");
        assert_eq!(Kept::read(&path), Kept::default());
    }
}
