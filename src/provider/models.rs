//! What is known of models beside their API: the table of patterns in `models.toml`.

use serde::Deserialize;
use toml::Table;

use super::catalog::Row;
use crate::domain::model::{ModelFacts, ModelName};
use crate::wire::contract::Dialect;

const BUNDLED: &str = include_str!("models.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Patterns of the provider's model id, `*` for any text; case does not matter.
    r#match: Vec<String>,
    /// Only at these providers; empty: everywhere.
    #[serde(default)]
    provider: Vec<String>,
    /// The dialect in which this model is best asked, where the provider speaks it.
    api: Option<Dialect>,
    /// Fields of [`ModelFacts`].
    #[serde(default)]
    facts: Table,
    /// Where this stands.
    #[serde(rename = "source")]
    _source: String,
}

/// The facts of a model and the dialect that it wants: every entry that matches is laid over the ones before it.
#[must_use]
pub fn facts(row: &Row, name: &ModelName) -> (ModelFacts, Option<Dialect>) {
    let mut table = Table::new();
    let mut api = None;
    let model = name.model.to_ascii_lowercase();
    for entry in bundled() {
        let here = entry.provider.is_empty() || entry.provider.contains(&row.id);
        if here && entry.r#match.iter().any(|pattern| matches(pattern, &model)) {
            table.extend(entry.facts);
            api = entry.api.filter(|api| row.api.contains(api)).or(api);
        }
    }
    (table.try_into().unwrap_or_default(), api)
}

fn bundled() -> Vec<Entry> {
    // A test reads every entry; a table that cannot be read leaves the defaults, which honour everything.
    toml::from_str::<File>(BUNDLED).map(|file| file.model).unwrap_or_default()
}

/// Whether `text` fits `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::{BUNDLED, File, matches};
    use crate::domain::model::ModelFacts;

    #[test]
    fn every_entry_reads_and_its_facts_are_known_fields() {
        let file: File = toml::from_str(BUNDLED).expect("models.toml reads");
        for entry in file.model {
            let facts: Result<ModelFacts, _> = entry.facts.clone().try_into();
            assert!(facts.is_ok(), "{:?}: {facts:?}", entry.r#match);
            assert!(entry.r#match.iter().all(|pattern| *pattern == pattern.to_ascii_lowercase()));
        }
        let none: ModelFacts = Table::new().try_into().expect("the default");
        assert_eq!(none, ModelFacts::default());
    }

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("*claude-opus-4-7*", "us.anthropic.claude-opus-4-7-v1:0"));
        assert!(matches("o3*", "o3-mini") && matches("gpt-5", "gpt-5"));
        assert!(!matches("o3*", "gpt-o3") && !matches("gpt-5", "gpt-5.2"));
    }
}
