//! The providers as data: reading `catalog.toml` and laying the user's rows over it.

use std::collections::BTreeMap;

use memchr::memmem;
use serde::Deserialize;
use toml::{Table, Value};

use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::wire::contract::Dialect;
use crate::wire::quirks::Quirks;

const BUNDLED: &str = include_str!("catalog.toml");

/// Every provider that is known here: the bundled rows with the user's laid over them. A row is read when it is asked
/// for, so that a broken one stops only its own calls.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The bundled rows in their order, each by its id as the text that it is.
    bundled: Vec<(&'static str, &'static str)>,
    /// The user's rows, whole or in part.
    own: Table,
}

/// One provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its id: the part of a model's name before the slash.
    #[serde(skip)]
    pub id: String,
    /// The user's config holds this row or a part of it.
    #[serde(skip)]
    pub own: bool,
    /// Its name for people.
    pub name: String,
    #[serde(default)]
    pub transport: Transport,
    /// Where its API is, without the path; `{variables}` are filled from `vars`. None: the user must say.
    pub base_url: Option<String>,
    /// Base URLs of regions that do not follow the pattern (Vertex: `global`).
    #[serde(default)]
    pub hosts: BTreeMap<String, String>,
    /// The variables by which the provider's own SDK moves the base URL.
    #[serde(default)]
    pub base_url_env: Vec<String>,
    /// The dialects that it speaks; the first is the default.
    pub api: Vec<Dialect>,
    /// Paths that depart from the dialect's, with `{model}`, `{method}` and `vars` in them.
    #[serde(default)]
    pub paths: BTreeMap<Dialect, String>,
    /// Another set of paths that holds when a variable is set (Azure: deployment URLs with an api-version).
    pub when: Option<When>,
    #[serde(default)]
    pub auth: Auth,
    /// Variables with an API key, as the provider's own SDK names them; the first that is set is used.
    #[serde(default)]
    pub key: Vec<String>,
    /// The header that carries the key. Default: `authorization`, as a bearer.
    pub key_header: Option<String>,
    /// Variables with a bearer token, asked after `key`.
    #[serde(default)]
    pub token: Vec<String>,
    /// A file that holds the key (only in the user's config: a mounted secret).
    pub key_file: Option<String>,
    /// Values for `{variables}`: the environment variables that hold them, in order. `region` also comes from
    /// `--region` and from the model's name.
    #[serde(default)]
    pub vars: BTreeMap<String, Vec<String>>,
    /// Fixed headers beside those of the dialect; `vars` are filled in. Never a credential.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Plain `http://` to a host that is not this machine is accepted although a key is sent.
    #[serde(default)]
    pub allow_http: bool,
    #[serde(default)]
    pub quirks: Quirks,
    /// Other spellings of the id (LiteLLM's `vertex_ai`).
    #[serde(default)]
    pub aliases: Vec<String>,
    /// A few of its models, for suggestions and for names by fragment.
    #[serde(default)]
    pub models: Vec<String>,
    /// The page on which a key is made, where one is known.
    pub key_page: Option<String>,
    /// The page that says all this.
    pub docs: Option<String>,
    /// The day on which it was read.
    pub read: Option<toml::value::Datetime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    #[default]
    Http,
    /// The AWS SDK.
    Bedrock,
    /// The simulator inside llmx.
    Sim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// A key or token is needed.
    #[default]
    Key,
    /// One is sent where it is set (a server of one's own).
    Optional,
    /// Google's Application Default Credentials.
    Google,
    /// The AWS SDK finds its own.
    Aws,
    None,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The name in `vars` that must have a value.
    pub var: String,
    pub paths: BTreeMap<Dialect, String>,
}

impl Catalog {
    /// The bundled catalog with `own`, the `[provider.…]` tables of the user's config, laid over it field by field.
    ///
    /// # Errors
    /// None: what cannot be read is an error of the row that is asked for.
    pub fn with(own: &Table) -> Result<Catalog, Failure> {
        Ok(Catalog { bundled: cut(BUNDLED), own: own.clone() })
    }

    /// The ids in the catalog's order, then the user's new ones.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let new = self.own.keys().map(String::as_str).filter(|id| self.bundled(id).is_none());
        self.bundled.iter().map(|(id, _)| *id).chain(new)
    }

    /// The row of a provider, by its id or an alias.
    ///
    /// # Errors
    /// `not-found` with the nearest ids; `config` where a row of the user's cannot be read.
    pub fn row(&self, id: &str) -> Result<Row, Failure> {
        let Some(id) = self.id(id) else {
            return Err(self.unknown(id));
        };
        let unreadable = |error: toml::de::Error| {
            Failure::new(ErrorClass::Config, format!("provider {id}: {}", without_value(error.message())))
                .advise(format!("mend [provider.{id}] in config.toml"))
        };
        let mut row: Row = self.table(id).and_then(Value::try_into).map_err(unreadable)?;
        id.clone_into(&mut row.id);
        row.own = self.own.contains_key(id);
        Ok(row)
    }

    /// The id that a name means: itself, or that of the row which has it as an alias.
    fn id<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if self.own.contains_key(name) || self.bundled(name).is_some() {
            return Some(name);
        }
        // Only a row that holds the word at all is worth reading.
        let holds = |id: &str| self.own.contains_key(id) || self.bundled(id).is_some_and(|text| text.contains(name));
        let has_alias = |id: &str| {
            let row = self.table(id).ok();
            let aliases = row.as_ref().and_then(|row| row.get("aliases")?.as_array());
            aliases.is_some_and(|aliases| aliases.iter().any(|alias| alias.as_str() == Some(name)))
        };
        self.ids().find(|id| holds(id) && has_alias(id))
    }

    fn bundled(&self, id: &str) -> Option<&'static str> {
        self.bundled.iter().find(|(known, _)| *known == id).map(|(_, text)| *text)
    }

    /// The fields of a row, the user's laid over the bundled ones.
    fn table(&self, id: &str) -> Result<Value, toml::de::Error> {
        let mut bundled: Table = toml::from_str(self.bundled(id).unwrap_or_default())?;
        Ok(match (bundled.remove(id), self.own.get(id)) {
            (Some(Value::Table(mut row)), Some(Value::Table(theirs))) => {
                row.extend(theirs.clone());
                Value::Table(row)
            }
            (row, theirs) => theirs.cloned().or(row).unwrap_or_else(|| Value::Table(Table::new())),
        })
    }

    /// Every row that can be read.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.ids().filter_map(|id| self.row(id).ok())
    }

    fn unknown(&self, id: &str) -> Failure {
        let failure = Failure::new(ErrorClass::NotFound, format!("no provider is called \"{id}\""));
        match nearest(id, self.ids()).as_slice() {
            [] => failure.advise(format!(
                "the nearest names are {}; `llmx providers` lists all, and [provider.NAME] in config.toml adds one",
                nearest_of_all(id, self.ids()).join(", ")
            )),
            near => failure.advise(format!("did you mean {}? `llmx providers` lists all", near.join(", "))),
        }
    }

    /// The model that a name means: `provider/model`, `provider@region/model`, LiteLLM's spellings, or a fragment that
    /// only one known model has (`sonnet@eu-west-1`).
    ///
    /// # Errors
    /// `not-found` with the nearest names, or with the candidates where a fragment fits several.
    pub fn model(&self, text: &str) -> Result<ModelName, Failure> {
        let text = text.trim();
        let Some((provider, rest)) = text.split_once('/') else {
            return self.fragment(text);
        };
        let (provider, mut region) = match provider.split_once('@') {
            Some((provider, region)) => (provider, Some(region.to_owned())),
            None => (provider, None),
        };
        let row = match self.row(provider) {
            Ok(row) => row,
            // `meta-llama/llama-4` is no provider: it may be a fragment of a router's id.
            Err(unknown) => return self.fragment(text).map_err(|_| unknown),
        };
        let mut model = rest;
        if row.transport == Transport::Bedrock {
            for route in ["converse/", "converse_like/", "invoke/"] {
                model = model.strip_prefix(route).unwrap_or(model);
            }
            if let Some((head, tail)) = model.split_once('/')
                && region.is_none()
                && is_aws_region(head)
            {
                region = Some(head.to_owned());
                model = tail;
            }
        }
        if let Some((head, tail)) = model.rsplit_once('@')
            && region.is_none()
            && looks_like_region(tail)
        {
            region = Some(tail.to_owned());
            model = head;
        }
        if model.is_empty() {
            return Err(Failure::new(ErrorClass::NotFound, format!("\"{text}\" names no model"))
                .advise(format!("say which one: {}/MODEL", row.id)));
        }
        Ok(ModelName { provider: row.id, region, model: model.to_owned() })
    }

    fn fragment(&self, text: &str) -> Result<ModelName, Failure> {
        let (wanted, region) = match text.rsplit_once('@') {
            Some((head, tail)) if looks_like_region(tail) => (head, Some(tail.to_owned())),
            _ => (text, None),
        };
        let lower = wanted.to_ascii_lowercase();
        let known: Vec<(String, String)> = self
            .rows()
            .flat_map(|row| row.models.iter().map(|model| (row.id.clone(), model.clone())).collect::<Vec<_>>())
            .collect();
        let exact: Vec<_> = known.iter().filter(|(_, model)| model.eq_ignore_ascii_case(wanted)).collect();
        let part: Vec<_> = known.iter().filter(|(_, model)| model.to_ascii_lowercase().contains(&lower)).collect();
        let fits = if exact.len() == 1 { exact } else { part };
        if fits.len() != 1
            && let Some(failure) = self.half_named(wanted)
        {
            return Err(failure);
        }
        match fits.as_slice() {
            [(provider, model)] => Ok(ModelName { provider: provider.clone(), region, model: model.clone() }),
            [] => {
                let names: Vec<String> = known.iter().map(|(provider, model)| format!("{provider}/{model}")).collect();
                let near = nearest(wanted, names.iter().map(String::as_str));
                let failure = Failure::new(
                    ErrorClass::NotFound,
                    format!("\"{wanted}\" is no provider/model, no alias and no part of a known model's name"),
                );
                Err(match near.as_slice() {
                    [] => failure.advise(
                        "name it as provider/model, for example sim/echo; `llmx providers` lists the providers",
                    ),
                    near => failure.advise(format!("did you mean {}?", near.join(", "))),
                })
            }
            several => {
                let names: Vec<String> =
                    several.iter().take(6).map(|(provider, model)| format!("{provider}/{model}")).collect();
                Err(Failure::new(ErrorClass::NotFound, format!("\"{wanted}\" fits {} models", several.len()))
                    .advise(format!("say which: {}{}", names.join(", "), if several.len() > 6 { ", …" } else { "" })))
            }
        }
    }

    /// A provider's name alone, or `provider:model` as other tools write it.
    fn half_named(&self, wanted: &str) -> Option<Failure> {
        let failure = |message: String| Failure::new(ErrorClass::NotFound, message);
        if let Some((provider, model)) = wanted.split_once(':').filter(|(_, model)| !model.is_empty()) {
            let id = self.row(provider).ok()?.id;
            return Some(failure(format!("\"{wanted}\" names no model")).advise(format!("write it as {id}/{model}")));
        }
        let row = self.row(wanted).ok()?;
        let named = |model: &String| format!("{}/{model}", row.id);
        let models: Vec<String> = match row.models.as_slice() {
            [] => vec![format!("{}/MODEL", row.id)],
            models => models.iter().take(4).map(named).collect(),
        };
        let failure = failure(format!("\"{wanted}\" is a provider, and a model of it must be named"));
        Some(failure.advise(format!("say which, such as {}", models.join(", "))))
    }
}

/// A reader's complaint about a setting without the value that it found there, which may be a secret.
#[must_use]
pub fn without_value(complaint: &str) -> String {
    let quotes_it = ["unknown variant", "invalid type", "invalid value", "invalid length"];
    match complaint.find("expected") {
        Some(at) if quotes_it.iter().any(|start| complaint.starts_with(start)) => {
            format!("wrong value, {}", &complaint[at..])
        }
        _ => complaint.to_owned(),
    }
}

/// The rows of a catalog, cut before each `[id]` and not read: a call needs one of a hundred, and reading them all would
/// take longer than all the rest of a start. `[id.…]` belongs to the row before it.
fn cut(catalog: &str) -> Vec<(&str, &str)> {
    let heads = memmem::find_iter(catalog.as_bytes(), "\n[").map(|at| at + 1);
    let starts: Vec<(usize, &str)> = heads
        .filter_map(|at| Some((at, catalog[at + 1..].split_once(']')?.0)))
        .filter(|(_, id)| !id.contains('.'))
        .collect();
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([catalog.len()]);
    starts.iter().zip(ends).map(|((start, id), end)| (*id, &catalog[*start..end])).collect()
}

impl Row {
    /// The known models of this provider that are nearest to a name, and are not that name.
    #[must_use]
    pub fn near(&self, model: &str) -> Vec<String> {
        nearest(model, self.models.iter().map(String::as_str).filter(|known| *known != model))
            .into_iter()
            .map(|near| format!("{}/{near}", self.id))
            .collect()
    }
}

/// At most three of `names` that a person may have meant by `text`.
fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let text = text.to_ascii_lowercase();
    let mut scored: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let lower = name.to_ascii_lowercase();
            // A name after its provider counts as well as the whole one.
            let bare = lower.rsplit_once('/').map_or(lower.as_str(), |(_, bare)| bare);
            let distance = strsim::damerau_levenshtein(&text, &lower).min(strsim::damerau_levenshtein(&text, bare));
            let close = distance <= 1 + text.len() / 4 || (text.len() >= 3 && bare.starts_with(&text));
            close.then_some((distance, name))
        })
        .collect();
    scored.sort_unstable();
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// The three names that differ least, however far they are.
fn nearest_of_all<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(usize, &str)> = names.map(|name| (strsim::damerau_levenshtein(text, name), name)).collect();
    scored.sort_unstable();
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// `us-east-1`, `us-gov-west-1`: a region of AWS by its form.
#[must_use]
pub fn is_aws_region(text: &str) -> bool {
    let mut steps = text.split('-');
    let letters = |step: Option<&str>| {
        step.is_some_and(|step| step.len() >= 2 && step.bytes().all(|byte| byte.is_ascii_lowercase()))
    };
    letters(steps.next())
        && letters(steps.next())
        && text
            .rsplit('-')
            .next()
            .is_some_and(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A region of any cloud after an `@`: `eu-west-1`, `europe-west4`, `global`, `eastus2`; not a version (`@20250514`).
fn looks_like_region(text: &str) -> bool {
    let region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(region)
        && !matches!(text, "latest" | "default")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use toml::Table;

    use super::{Auth, BUNDLED, Catalog, Row};
    use crate::domain::failure::ErrorClass;

    fn catalog() -> Catalog {
        Catalog::with(&Table::new()).expect("the bundled catalog reads")
    }

    #[test]
    fn the_rows_are_cut_where_toml_begins_them() {
        let catalog = catalog();
        let whole: Table = toml::from_str(BUNDLED).expect("the file reads as one");
        assert_eq!(catalog.ids().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
        for (id, row) in &whole {
            assert_eq!(catalog.table(id).as_ref(), Ok(row), "{id}");
        }
    }

    #[test]
    fn every_bundled_row_reads_names_its_docs_and_the_day() {
        let catalog = catalog();
        for id in catalog.ids() {
            let row = catalog.row(id).expect(id);
            assert!(!row.api.is_empty(), "{id} speaks nothing");
            assert!(row.docs.is_some() && row.read.is_some(), "{id} names no docs or day");
        }
    }

    #[test]
    fn every_base_url_is_https_or_loopback_and_joins_its_paths_with_one_slash() {
        for row in catalog().rows() {
            let urls = row.base_url.iter().chain(row.hosts.values());
            for url in urls {
                assert!(url.starts_with("https://") || url.starts_with("http://localhost"), "{}: {url}", row.id);
                assert!(!url.ends_with('/'), "{}: {url}", row.id);
            }
            let when = row.when.iter().flat_map(|when| when.paths.iter());
            for (dialect, path) in row.paths.iter().chain(when) {
                assert!(path.starts_with('/'), "{}: {path}", row.id);
                assert!(
                    row.api.contains(dialect),
                    "{} has a path for {}, which it does not speak",
                    row.id,
                    dialect.as_str()
                );
            }
        }
    }

    #[test]
    fn every_place_in_a_url_has_variables_that_fill_it() {
        for row in catalog().rows() {
            let when = row.when.iter().flat_map(|when| when.paths.values());
            let texts = row.base_url.iter().chain(row.paths.values()).chain(when);
            for place in texts.flat_map(|text| text.split('{').skip(1).filter_map(|rest| rest.split('}').next())) {
                let known = matches!(place, "model" | "method") || row.vars.contains_key(place);
                assert!(known, "{}: nothing fills {{{place}}}", row.id);
            }
            assert!(row.when.iter().all(|when| row.vars.contains_key(&when.var)), "{}", row.id);
        }
    }

    #[test]
    fn every_variable_looks_like_one_and_a_row_that_needs_a_key_names_it() {
        let plain = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_uppercase())
                && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        };
        for row in catalog().rows() {
            let names = row.key.iter().chain(&row.token).chain(&row.base_url_env).chain(row.vars.values().flatten());
            assert!(names.clone().all(|name| plain(name)), "{}: {:?}", row.id, names.collect::<Vec<_>>());
            assert!(row.auth != Auth::Key || !row.key.is_empty(), "{} names no key", row.id);
            assert!(row.key_file.is_none(), "{}: a file is the user's", row.id);
        }
    }

    /// So `-m gpt-4o` means OpenAI although clouds and routers serve it, too.
    #[test]
    fn a_makers_own_id_of_a_model_is_no_other_rows() {
        let catalog = catalog();
        for maker in ["openai", "anthropic", "gemini", "xai", "mistral", "deepseek", "cohere", "moonshot", "zai"] {
            for model in catalog.row(maker).expect(maker).models {
                let name = catalog.model(&model).map(|name| name.to_string());
                assert_eq!(name, Ok(format!("{maker}/{model}")));
            }
        }
    }

    #[test]
    fn ids_and_aliases_are_each_said_once() {
        let mut seen = BTreeSet::new();
        let rows: Vec<Row> = catalog().rows().collect();
        for name in rows.iter().flat_map(|row| std::iter::once(&row.id).chain(&row.aliases)) {
            assert!(seen.insert(name.clone()), "{name} stands for two providers");
        }
        assert!(rows.len() >= 50, "{}", rows.len());
    }

    #[test]
    fn every_provider_of_the_recorded_exchanges_and_every_prefix_of_litellm_resolves() {
        let recorded = "anthropic azure bedrock bedrock-mantle cerebras cohere crusoe deepseek doubleword gemini gpustack \
            groq heroku huggingface litellm-proxy llamacpp mistral mistralrs ollama openai openrouter perplexity portkey \
            pydantic-gateway snowflake together venice vertex vllm writer xai zai";
        let litellm = "vertex_ai azure_ai together_ai fireworks_ai hosted_vllm lm_studio ollama_chat cohere_chat deepinfra \
            bedrock_converse bedrock_mantle nvidia_nim litellm_proxy meta_llama dashscope volcengine friendliai veniceai \
            featherless_ai ai21_chat amazon_nova docker_model_runner vercel_ai_gateway xiaomi_mimo";
        for id in recorded.split_whitespace().chain(litellm.split_whitespace()) {
            let row = catalog().row(id);
            assert!(row.is_ok(), "{id}: {row:?}");
        }
    }

    #[test]
    fn a_complaint_does_not_repeat_the_value() {
        for hostile in [
            "auth = \"sk-CANARY\"",
            "allow_http = \"sk-CANARY\"",
            "read = \"sk-CANARY\"",
            "api = \"sk-CANARY\"",
            "key = \"sk-CANARY\"",
            "quirks = \"sk-CANARY\"",
            "vars = { a = \"sk-CANARY\" }",
            "api = [\"sk-CANARY\"]",
        ] {
            let own: Table = format!("[openai]\n{hostile}\n").parse().expect("TOML");
            let failure = Catalog::with(&own).expect("reads").row("openai").expect_err(hostile);
            assert!(!failure.message.contains("CANARY") && failure.message.contains("expected"), "{}", failure.message);
        }
    }

    #[test]
    fn a_name_is_read_in_every_spelling_that_users_bring() {
        for (text, means) in [
            ("openai/gpt-5.2", "openai/gpt-5.2"),
            ("bedrock/us-east-1/anthropic.claude-v2", "bedrock@us-east-1/anthropic.claude-v2"),
            ("bedrock/converse/us.amazon.nova-lite-v1:0", "bedrock/us.amazon.nova-lite-v1:0"),
            ("bedrock@eu-west-1/eu.amazon.nova-lite-v1:0", "bedrock@eu-west-1/eu.amazon.nova-lite-v1:0"),
            ("vertex_ai/claude-sonnet-4@20250514", "vertex/claude-sonnet-4@20250514"),
            ("vertex/gemini-2.5-pro@europe-west4", "vertex@europe-west4/gemini-2.5-pro"),
            ("gemini/gemini-2.5-pro", "gemini/gemini-2.5-pro"),
            ("openrouter/meta-llama/llama-3.3-70b:free", "openrouter/meta-llama/llama-3.3-70b:free"),
            (
                "bedrock/arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x",
                "bedrock/arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x",
            ),
        ] {
            assert_eq!(catalog().model(text).expect(text).to_string(), means);
        }
    }

    #[test]
    fn a_typo_gets_the_nearest_names() {
        let failure = catalog().model("opanai/gpt-5").expect_err("no such provider");
        assert_eq!(failure.class, ErrorClass::NotFound);
        assert!(failure.advice.expect("advice").contains("openai"));
    }

    #[test]
    fn a_users_row_is_laid_over_the_bundled_one_field_by_field() {
        let own: Table = toml::from_str(
            "[openai]\nbase_url = \"https://gateway.example/v1\"\n[mine]\nname = \"Mine\"\napi = [\"chat\"]\nauth = \"none\"\n",
        )
        .expect("toml");
        let catalog = Catalog::with(&own).expect("reads");
        let row = catalog.row("openai").expect("openai");
        assert_eq!(row.base_url.as_deref(), Some("https://gateway.example/v1"));
        assert!(row.own && !row.key.is_empty());
        assert_eq!(catalog.row("mine").expect("mine").name, "Mine");
        assert_eq!(catalog.ids().last(), Some("mine"));
    }

    #[test]
    fn a_users_row_with_a_wrong_field_says_which() {
        let own: Table = toml::from_str("[mine]\nname = \"Mine\"\napi = [\"chat\"]\nbaseurl = \"x\"\n").expect("toml");
        let failure = Catalog::with(&own).expect("reads").row("mine").expect_err("unknown field");
        assert!(failure.message.contains("baseurl"), "{}", failure.message);
    }
}
