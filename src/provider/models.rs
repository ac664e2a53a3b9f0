//! What is known of models beside their API: the table of patterns in `models.toml`.

use serde::Deserialize;
use toml::Table;

use super::catalog::Row;
use crate::domain::model::{ModelFacts, ModelName};
use crate::wire::contract::Dialect;

const BUNDLED: &str = include_str!("models.toml");

#[derive(Debug, Deserialize, PartialEq)]
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
    for entry in entries().filter(|entry| patterns(entry).any(|pattern| matches(pattern, &model))) {
        // A test reads every entry; one that cannot be read leaves the defaults, which honour everything.
        let Ok(entry) = toml::from_str::<Entry>(entry) else { continue };
        if entry.provider.is_empty() || entry.provider.contains(&row.id) {
            table.extend(entry.facts);
            api = entry.api.filter(|api| row.api.contains(api)).or(api);
        }
    }
    (table.try_into().unwrap_or_default(), api)
}

/// The entries as the texts that they are: only those that match are read, since reading them all would take longer than
/// all the rest of a start.
fn entries() -> impl Iterator<Item = &'static str> {
    BUNDLED.split("[[model]]\n").skip(1)
}

/// The patterns of an entry, off its first line: `match = ["…", "…"]`.
fn patterns(entry: &str) -> impl Iterator<Item = &str> {
    entry.lines().next().unwrap_or_default().split('"').skip(1).step_by(2)
}

/// Whether `text` fits `pattern`, in which `*` stands for any text.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
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

    use super::{BUNDLED, Entry, entries, facts, matches, patterns};
    use crate::domain::model::{ModelFacts, Thinking};
    use crate::provider::catalog::Catalog;
    use crate::wire::contract::Dialect;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        model: Vec<Entry>,
    }

    /// The facts of `provider/model` and the dialect that it wants.
    fn of(name: &str) -> (ModelFacts, Option<Dialect>) {
        let catalog = Catalog::with(&Table::new()).expect("the bundled catalog reads");
        let name = catalog.model(name).expect(name);
        facts(&catalog.row(&name.provider).expect("its row"), &name)
    }

    #[test]
    fn the_entries_are_cut_where_toml_begins_them_and_open_with_their_patterns() {
        let file: File = toml::from_str(BUNDLED).expect("models.toml reads");
        assert_eq!(entries().count(), file.model.len());
        for (text, whole) in entries().zip(&file.model) {
            let entry: Entry = toml::from_str(text).expect(text);
            assert_eq!(&entry, whole);
            assert_eq!(patterns(text).collect::<Vec<_>>(), entry.r#match);
        }
    }

    #[test]
    fn every_entry_reads_and_its_facts_are_known_fields() {
        let file: File = toml::from_str(BUNDLED).expect("models.toml reads");
        for entry in file.model {
            let facts: Result<ModelFacts, _> = entry.facts.clone().try_into();
            assert!(facts.is_ok(), "{:?}: {facts:?}", entry.r#match);
            assert!(entry.r#match.iter().all(|pattern| *pattern == pattern.to_ascii_lowercase()));
            assert!(!entry.facts.is_empty() || entry.api.is_some(), "{:?} says nothing", entry.r#match);
        }
        let none: ModelFacts = Table::new().try_into().expect("the default");
        assert_eq!(none, ModelFacts::default());
    }

    #[test]
    fn every_provider_in_an_entry_is_a_row_that_speaks_the_dialect_it_is_given() {
        let catalog = Catalog::with(&Table::new()).expect("the bundled catalog reads");
        for entry in toml::from_str::<File>(BUNDLED).expect("models.toml reads").model {
            for id in &entry.provider {
                let row = catalog.row(id).expect(id);
                assert_eq!(&row.id, id, "an alias matches nothing");
                assert!(entry.api.is_none_or(|api| row.api.contains(&api)), "{id}: {:?}", entry.r#match);
            }
        }
    }

    #[test]
    fn every_claude_is_told_to_think_in_its_own_style_under_every_name() {
        use Thinking::{Adaptive, Budget, None};
        for (name, thinking, temperature, max_output) in [
            ("anthropic/claude-opus-5-5", Adaptive, false, Some(128_000)),
            ("anthropic/claude-sonnet-5", Adaptive, false, Some(128_000)),
            ("anthropic/claude-haiku-5-5", Adaptive, false, Some(128_000)),
            ("anthropic/claude-fable-5", Adaptive, false, Some(128_000)),
            ("anthropic/claude-opus-4-8", Adaptive, false, Some(128_000)),
            ("anthropic/claude-opus-4-7", Adaptive, false, Some(128_000)),
            ("anthropic/claude-opus-4-6", Adaptive, true, Some(128_000)),
            ("anthropic/claude-sonnet-4-6", Adaptive, true, Some(128_000)),
            ("bedrock/us.anthropic.claude-sonnet-4-6", Adaptive, true, Some(64_000)),
            ("openrouter/anthropic/claude-sonnet-4.6", Adaptive, true, Some(128_000)),
            ("bedrock/anthropic.claude-opus-4-6-v1", Adaptive, true, Some(128_000)),
            ("bedrock/global.anthropic.claude-opus-4-7", Adaptive, false, Some(128_000)),
            ("anthropic/claude-sonnet-4-5", Budget, true, Some(64_000)),
            ("anthropic/claude-haiku-4-5-20251001", Budget, true, Some(64_000)),
            ("anthropic/claude-opus-4-5-20251101", Budget, true, Some(64_000)),
            ("anthropic/claude-opus-4-1-20250805", Budget, true, Some(32_000)),
            ("anthropic/claude-opus-4-20250514", Budget, true, Some(32_000)),
            ("anthropic/claude-sonnet-4-0", Budget, true, Some(64_000)),
            ("bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0", Budget, true, Some(64_000)),
            ("vertex/claude-sonnet-4@20250514", Budget, true, Some(64_000)),
            ("vertex/claude-sonnet-4-5@20250929", Budget, true, Some(64_000)),
            ("openrouter/anthropic/claude-haiku-4.5", Budget, true, Some(64_000)),
            ("openrouter/anthropic/claude-3.7-sonnet:thinking", Budget, true, Some(64_000)),
            ("heroku/claude-3-7-sonnet", Budget, true, Some(64_000)),
            ("digitalocean/anthropic-claude-4.6-sonnet", Adaptive, true, Some(128_000)),
            ("digitalocean/anthropic-claude-4.5-sonnet", Budget, true, Some(64_000)),
            ("digitalocean/anthropic-claude-4.1-opus", Budget, true, Some(32_000)),
            (
                "bedrock/arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-3-7-sonnet-20250219-v1:0",
                Budget,
                true,
                Some(64_000),
            ),
            ("anthropic/claude-3-5-haiku-latest", None, true, Some(8_192)),
            ("anthropic/claude-3-5-sonnet-20241022", None, true, Some(8_192)),
            ("bedrock/us.anthropic.claude-3-5-sonnet-20240620-v1:0", None, true, Some(4_096)),
            ("anthropic/claude-3-haiku-20240307", None, true, Some(4_096)),
            ("anthropic/claude-3-opus-20240229", None, true, Some(4_096)),
            ("bedrock/anthropic.claude-v2:1", None, true, Some(8_191)),
            ("bedrock/anthropic.claude-instant-v1", None, true, Some(8_191)),
            // Not known yet: as the newest.
            ("anthropic/claude-opus-7", Adaptive, false, Option::None),
        ] {
            let (facts, _) = of(name);
            assert_eq!(
                (facts.thinking, facts.temperature, facts.max_output),
                (thinking, temperature, max_output),
                "{name}"
            );
        }
    }

    #[test]
    fn openais_reasoning_models_refuse_what_they_refuse() {
        // temperature, beside `none`, stop, max_completion_tokens
        for (name, expected, max_output) in [
            ("openai/o3-mini", (false, false, false, true), Some(100_000)),
            ("openai/o4-mini", (false, false, false, true), Some(100_000)),
            ("openai/gpt-5", (false, false, false, true), Some(128_000)),
            ("openai/gpt-5-nano", (false, false, false, true), Some(128_000)),
            ("openai/gpt-5-pro", (false, false, false, true), Some(272_000)),
            ("openai/gpt-5.2", (false, true, false, true), Some(128_000)),
            ("openai/gpt-5.4-mini", (false, true, false, true), Some(128_000)),
            ("openai/gpt-5.6-sol", (false, true, false, true), Some(128_000)),
            ("openai/gpt-6-sol", (false, false, false, true), Some(128_000)),
            ("azure/gpt-5.2_2025-12-11", (false, true, false, true), Some(128_000)),
            ("bedrock-mantle/openai.gpt-5.6-luna", (false, true, false, true), Some(128_000)),
            ("openrouter/openai/gpt-5.2", (false, true, false, false), Some(128_000)),
            ("openrouter/openai/o4-mini", (false, false, false, false), Some(100_000)),
            ("openai/gpt-5-chat-latest", (true, false, true, true), Some(16_384)),
            ("openai/gpt-4o-mini", (true, false, true, false), Some(16_384)),
            ("openai/gpt-4.1-nano", (true, false, true, false), Some(32_768)),
            ("openai/gpt-3.5-turbo", (true, false, true, false), Some(4_096)),
            ("groq/openai/gpt-oss-120b", (true, false, true, false), Some(65_536)),
        ] {
            let (facts, _) = of(name);
            let got = (facts.temperature, facts.temperature_at_none, facts.stop, facts.max_completion_tokens);
            assert_eq!((got, facts.max_output), (expected, max_output), "{name}");
        }
        assert!(!of("openai/o1-mini").0.system);
        assert_eq!(of("openai/gpt-4o").0.thinking, Thinking::None);
        assert_eq!(of("openai/gpt-5").0.thinking, Thinking::Effort);
    }

    #[test]
    fn a_model_is_asked_in_the_dialect_in_which_it_is_served() {
        for (name, api) in [
            ("openai/gpt-4o", None),
            ("openai/gpt-5.2", None),
            ("openai/gpt-5.2-pro", Some(Dialect::Responses)),
            ("openai/o3-pro", Some(Dialect::Responses)),
            ("openai/gpt-5.3-codex", Some(Dialect::Responses)),
            ("openai/codex-mini-latest", Some(Dialect::Responses)),
            ("openai/o3-deep-research", Some(Dialect::Responses)),
            ("openai/computer-use-preview", Some(Dialect::Responses)),
            ("openai/gpt-5.6", Some(Dialect::Responses)),
            ("openai/gpt-6-sol", Some(Dialect::Responses)),
            // A router decides for itself.
            ("openrouter/openai/gpt-5.2-pro", None),
            ("vertex/claude-sonnet-4-5@20250929", Some(Dialect::Messages)),
            ("vertex/gemini-2.5-pro", None),
            ("azure-ai/claude-opus-4-6", Some(Dialect::Messages)),
            ("opencode-zen/claude-opus-4-8", Some(Dialect::Messages)),
            ("opencode-zen/gemini-3.1-pro", Some(Dialect::GenerateContent)),
            ("pydantic-gateway/gemini-2.5-flash", Some(Dialect::GenerateContent)),
            ("anthropic/claude-opus-5", None),
            ("xai/grok-4.20-multi-agent-0309", Some(Dialect::Responses)),
        ] {
            assert_eq!(of(name).1, api, "{name}");
        }
    }

    #[test]
    fn other_families_think_and_stop_as_their_makers_say() {
        use Thinking::{Budget, Effort, Level, None, Nova};
        for (name, thinking) in [
            ("gemini/gemini-3.5-flash", Level),
            ("gemini/gemini-3-pro-preview", Level),
            ("gemini/gemini-flash-latest", Level),
            ("vertex/gemini-2.5-flash", Budget),
            ("gemini/gemini-2.5-flash-lite", Budget),
            ("gemini/gemini-2.5-flash-image", None),
            ("gemini/gemini-2.0-flash-001", None),
            ("bedrock/us.amazon.nova-2-lite-v1:0", Nova),
            ("bedrock/amazon.nova-lite-v1:0", None),
            ("bedrock/us.deepseek.r1-v1:0", None),
            ("bedrock/us.meta.llama4-maverick-17b-instruct-v1:0", None),
            ("bedrock/openai.gpt-oss-120b-1:0", Effort),
            ("xai/grok-4-0709", None),
            ("xai/grok-4-1-fast-non-reasoning", None),
            ("xai/grok-4.3", Effort),
            ("xai/grok-4.5", Effort),
            ("xai/grok-3-mini", Effort),
            ("mistral/mistral-small-latest", Effort),
            ("mistral/mistral-small-2603", Effort),
            ("mistral/mistral-small-2506", None),
            ("mistral/magistral-medium-latest", None),
            ("cohere/command-a-reasoning-08-2025", Effort),
            ("cohere/command-a-03-2025", None),
            ("ollama/qwen3:4b", Effort),
            ("ollama/gpt-oss:120b", Effort),
            ("ollama/llama3.1", None),
            ("ollama/gemma3:1b", None),
        ] {
            assert_eq!(of(name).0.thinking, thinking, "{name}");
        }
        assert!(!of("xai/grok-4.3").0.stop && !of("xai/grok-3-mini").0.stop && !of("openrouter/x-ai/grok-4").0.stop);
        assert!(of("xai/grok-3").0.stop && of("azure/grok-4-1-fast-non-reasoning").0.stop);
        assert_eq!(of("vertex/gemini-2.5-flash").0.max_output, Some(65_535));
        assert_eq!(of("gemini/gemini-2.5-flash").0.max_output, Some(65_536));
        let flash = of("deepseek/deepseek-v4-flash").0;
        assert!(!flash.temperature && flash.temperature_at_none);
        assert!(of("deepseek/deepseek-chat").0.temperature);
    }

    #[test]
    fn bedrocks_old_models_take_no_system_prompt_and_some_no_stream() {
        let facts = |model: &str| of(&format!("bedrock/{model}")).0;
        for (model, system, streams, max_output) in [
            ("amazon.titan-text-lite-v1", false, true, Some(4_096)),
            ("amazon.titan-text-express-v1", false, true, Some(8_192)),
            ("amazon.titan-tg1-large", false, true, None),
            ("ai21.j2-mid-v1", false, false, Some(8_191)),
            ("ai21.jamba-1-5-mini-v1:0", true, true, Some(4_096)),
            ("amazon.nova-micro-v1:0", true, true, Some(10_000)),
            ("us.amazon.nova-2-lite-v1:0", true, true, Some(64_000)),
        ] {
            let facts = facts(model);
            assert_eq!((facts.system, facts.streams, facts.max_output), (system, streams, max_output), "{model}");
        }
    }

    #[test]
    fn an_image_has_a_maximum_only_where_its_maker_gives_one() {
        for (name, tokens) in [
            ("openai/gpt-4o", Some(1_445)),
            ("openai/gpt-4o-2024-11-20", Some(1_445)),
            ("openai/gpt-4o-mini-2024-07-18", Some(48_169)),
            ("azure/gpt-4o-mini", Some(48_169)),
            ("openai/gpt-4.1", Some(1_445)),
            ("openai/gpt-4.1-mini", Some(2_642)),
            ("openai/gpt-4.1-nano", Some(3_779)),
            ("openai/o3", Some(1_275)),
            ("openai/o4-mini", Some(2_642)),
            ("openai/gpt-5", Some(1_190)),
            ("openai/gpt-5-mini", Some(2_642)),
            ("openai/gpt-5-nano-2025-08-07", Some(3_779)),
            ("openai/gpt-5.2", None),
            ("openai/gpt-5.4-mini", None),
            ("openai/gpt-6-sol", None),
            ("openrouter/openai/gpt-4o", None),
            ("anthropic/claude-sonnet-4-5", Some(4_784)),
            ("bedrock/us.anthropic.claude-opus-4-7", Some(4_784)),
            ("vertex/claude-3-5-haiku@20241022", Some(4_784)),
            ("anthropic/claude-opus-7", None),
            ("gemini/gemini-3-pro-preview", Some(2_240)),
            ("vertex/gemini-3.5-flash", Some(2_240)),
            ("gemini/gemini-3.1-flash-lite-image", None),
            ("gemini/gemini-2.5-flash", None),
            ("bedrock/amazon.nova-lite-v1:0", None),
            ("bedrock/us.amazon.nova-2-lite-v1:0", None),
        ] {
            let facts = of(name).0;
            assert_eq!((facts.image_tokens, facts.attachment_tokens), (tokens, None), "{name}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("*claude-opus-4-7*", "us.anthropic.claude-opus-4-7-v1:0"));
        assert!(matches("o3*", "o3-mini") && matches("gpt-5", "gpt-5"));
        assert!(!matches("o3*", "gpt-o3") && !matches("gpt-5", "gpt-5.2"));
    }
}
