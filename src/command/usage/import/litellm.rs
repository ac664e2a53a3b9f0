//! Spend logs of LiteLLM's proxy: rows of its table `LiteLLM_SpendLogs`, as JSON of `/spend/logs` or as CSV.
//!
//! Columns (`schema.prisma` and `SpendLogsPayload` of BerriAI/litellm, issues #8784, #15056 and #35913, read 2026-11-22):
//! `request_id` is the id of the response; `spend` is USD as a float, and 0 also for a model without a price; `metadata`,
//! `request_tags` are JSON, in CSV and in some versions JSON in a text; the provider's own usage is in
//! `metadata.usage_object`, earlier `metadata.additional_usage_values`. Whether `prompt_tokens` contains Anthropic's cache
//! counts has changed between versions: where they fit into it, they lie inside.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::row::{Found, Row, Take, count, instant_of, set_some, take_out, text};
use super::stream::{self, Record};
use crate::command::labels;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::money::Usd;
use crate::domain::untrusted::one_line;
use crate::domain::usage::{Charge, Meter, Usage};

pub const SOURCE: &str = "litellm";

/// LiteLLM's names of providers where they are not those of the catalog (docs.litellm.ai/docs/providers, read 2026-11-22).
const PROVIDERS: &[(&str, &str)] = &[
    ("azure_ai", "azure-ai"),
    ("azure_text", "azure"),
    ("bedrock_converse", "bedrock"),
    ("codestral", "mistral"),
    ("cohere_chat", "cohere"),
    ("dashscope", "alibaba"),
    ("fireworks_ai", "fireworks"),
    ("gigachat", "gigachat"),
    ("github_copilot", "github"),
    ("hosted_vllm", "vllm"),
    ("lm_studio", "lmstudio"),
    ("nvidia_nim", "nvidia"),
    ("ollama_chat", "ollama"),
    ("text-completion-openai", "openai"),
    ("together_ai", "together"),
    ("vertex_ai", "vertex"),
    ("vertex_ai_beta", "vertex"),
    ("vercel_ai_gateway", "vercel"),
    ("volcengine", "volcengine"),
];

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn json(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    stream::elements(path, |number, element| {
        take(match element.and_then(|element| row(&element)) {
            Ok(row) => Found::Row(Box::new(row)),
            Err(why) => Found::Broken(number, why),
        })
    })
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn csv(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    stream::records(path, |line, record| {
        take(match record.and_then(|record| row(&object(&record))) {
            Ok(row) => Found::Row(Box::new(row)),
            Err(why) => Found::Broken(line, why),
        })
    })
}

/// The columns that are read; a table's are in small letters.
const COLUMNS: &[&str] = &[
    "request_id",
    "spend",
    "prompt_tokens",
    "completion_tokens",
    "model",
    "custom_llm_provider",
    "startTime",
    "endTime",
    "api_key",
    "user",
    "team_id",
    "end_user",
    "session_id",
    "request_tags",
    "metadata",
    "status",
    "cache_hit",
];

/// A table's row as the JSON has it.
fn object(record: &Record<'_>) -> Value {
    let field = |column: &&str| {
        let value = record.get(&column.to_ascii_lowercase())?;
        Some(((*column).to_owned(), Value::from(value)))
    };
    Value::Object(COLUMNS.iter().filter_map(field).collect::<Map<String, Value>>())
}

fn row(from: &Value) -> Result<Row, String> {
    let id = text(&from["request_id"]).ok_or("the row has no request_id: a summary, not a log")?;
    let opened_ms = instant_of(&from["startTime"]).ok_or("the row has no startTime that can be read")?;
    let metadata = inner(&from["metadata"]);
    let (provider, model) = model(from);
    let mut usage = usage(from, &metadata)?;
    let counted = usage.quantities.values().any(|count| *count > 0);
    let mut notes = Vec::new();
    let cached = matches!(&from["cache_hit"], Value::Bool(true))
        || text(&from["cache_hit"]).is_some_and(|hit| hit.eq_ignore_ascii_case("true"));
    let error = error(from, &metadata);
    match spend(&from["spend"])? {
        Some(usd) if usd == Usd::default() && counted && !cached => {
            notes.push("litellm recorded $0, as it does for a price that it does not know".to_owned());
        }
        Some(usd) => usage.charge = Some(Charge { usd, upstream: None }),
        None => {}
    }
    if cached {
        notes.push("answered from litellm's own cache".to_owned());
    }
    let named = |names: &[&str]| names.iter().find_map(|name| text(&metadata[*name]));
    Ok(Row {
        source: SOURCE,
        key: id.clone(),
        opened_ms,
        finished_ms: instant_of(&from["endTime"]),
        provider,
        model,
        response_id: Some(id),
        usage,
        requests: 1,
        project: named(&["user_api_key_project_alias", "user_api_key_project_id"]),
        user: text(&from["end_user"])
            .or_else(|| text(&from["user"]))
            .or_else(|| named(&["user_api_key_user_email", "user_api_key_user_id"])),
        team: named(&["user_api_key_team_alias"]).or_else(|| text(&from["team_id"])),
        session: text(&from["session_id"]),
        tags: tags(from, &metadata),
        error,
        notes,
        ..Row::default()
    })
}

/// JSON, or JSON in a text.
fn inner(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        other => other.clone(),
    }
}

/// The provider in the catalog's words, and the model without it.
fn model(from: &Value) -> (Option<String>, String) {
    let model = text(&from["model"]).unwrap_or_default();
    let theirs = text(&from["custom_llm_provider"]);
    let prefix = model.split_once('/').map(|(prefix, _)| prefix.to_owned());
    let theirs = theirs.or_else(|| prefix.clone().filter(|prefix| ours(prefix) != *prefix || is_plain(prefix)));
    let bare = match (&theirs, &prefix) {
        (Some(theirs), Some(prefix)) if theirs == prefix => model[prefix.len() + 1..].to_owned(),
        _ => model,
    };
    (theirs.map(|theirs| ours(&theirs).to_owned()), bare)
}

fn ours(theirs: &str) -> &str {
    PROVIDERS.iter().find(|(name, _)| *name == theirs).map_or(theirs, |(_, ours)| ours)
}

fn is_plain(prefix: &str) -> bool {
    !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn spend(value: &Value) -> Result<Option<Usd>, String> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        other => return Err(format!("spend: {other} is no amount")),
    };
    Usd::parse(&number).filter(|usd| usd.picos >= 0).map(Some).ok_or_else(|| format!("spend: {number} is no amount"))
}

fn usage(from: &Value, metadata: &Value) -> Result<Usage, String> {
    let mut input = count(&from["prompt_tokens"])?.unwrap_or_default();
    let output = count(&from["completion_tokens"])?.unwrap_or_default();
    let own = [&metadata["usage_object"], &metadata["additional_usage_values"]].into_iter().find(|own| own.is_object());
    let own = own.unwrap_or(&Value::Null);
    let first = |paths: &[&str]| {
        let found = paths.iter().find_map(|path| own.pointer(path).filter(|value| !value.is_null()));
        found.map_or(Ok(0), |value| count(value).map(Option::unwrap_or_default))
    };
    let read = first(&["/cache_read_input_tokens", "/prompt_tokens_details/cached_tokens"])?;
    let mut written = first(&["/cache_creation_input_tokens", "/prompt_tokens_details/cache_creation_tokens"])?;
    let hour = first(&["/prompt_tokens_details/cache_creation_token_details/ephemeral_1h_input_tokens"])?;
    let audio_in = first(&["/prompt_tokens_details/audio_tokens"])?;
    let audio_out = first(&["/completion_tokens_details/audio_tokens"])?;
    let reasoning = first(&["/completion_tokens_details/reasoning_tokens"])?;
    if read.saturating_add(written) <= input {
        input -= read + written;
    }
    let mut usage = Usage::default();
    let mut text_out = output;
    let audio_in = take_out(&mut input, audio_in);
    let audio_out = take_out(&mut text_out, audio_out);
    let hour = take_out(&mut written, hour);
    usage.set(Meter::Input, input);
    usage.set(Meter::Output, text_out);
    for (meter, quantity) in [
        (Meter::CacheRead, read),
        (Meter::CacheWrite5m, written),
        (Meter::CacheWrite1h, hour),
        (Meter::AudioIn, audio_in),
        (Meter::AudioOut, audio_out),
    ] {
        set_some(&mut usage, meter, quantity);
    }
    usage.reasoning = (reasoning > 0).then_some(reasoning.min(output));
    usage.service_tier = text(&own["service_tier"]);
    Ok(usage)
}

/// Classes by the status of the provider's answer.
const CLASSES: &[(u16, ErrorClass)] = &[
    (400, ErrorClass::InvalidRequest),
    (401, ErrorClass::Auth),
    (402, ErrorClass::Quota),
    (403, ErrorClass::Permission),
    (404, ErrorClass::NotFound),
    (408, ErrorClass::Timeout),
    (422, ErrorClass::InvalidRequest),
    (429, ErrorClass::RateLimit),
    (504, ErrorClass::Timeout),
];

fn error(from: &Value, metadata: &Value) -> Option<Failure> {
    let status = text(&from["status"]).or_else(|| text(&metadata["status"]))?;
    if !status.eq_ignore_ascii_case("failure") {
        return None;
    }
    let said = &metadata["error_information"];
    let code: Option<u16> = match &said["error_code"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|code| u16::try_from(code).ok()),
    };
    let known = CLASSES.iter().find(|(known, _)| Some(*known) == code).map(|(_, class)| *class);
    let class = known.unwrap_or(if code.is_some_and(|code| code >= 500) {
        ErrorClass::Overloaded
    } else {
        ErrorClass::Protocol
    });
    let message = text(&said["error_class"]).unwrap_or_else(|| "failed, says litellm".into());
    Some(Failure { status: code, ..Failure::new(class, one_line(&message)) })
}

/// `key:value` and `key=value` as they are, any other word as a key that is true; and the name of LiteLLM's key.
fn tags(from: &Value, metadata: &Value) -> BTreeMap<String, String> {
    let listed = inner(&from["request_tags"]);
    let words = listed.as_array().into_iter().flatten().filter_map(Value::as_str);
    let pair = |word: &str| {
        let (key, value) = word.split_once([':', '=']).unwrap_or((word, "true"));
        Some((labels::key("request_tags", key).ok()?, labels::found(value.trim())?))
    };
    let mut tags: BTreeMap<String, String> = words.filter_map(pair).take(TAGS_MAX).collect();
    tags.extend(text(&metadata["user_api_key_alias"]).and_then(|alias| {
        let alias = labels::found(&alias)?;
        Some(("litellm-key".to_owned(), alias))
    }));
    tags
}

/// As many as a call of llmx may have, one place left for the key's name.
const TAGS_MAX: usize = 31;
