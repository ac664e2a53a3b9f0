//! The log of `llm`, an SQLite file that the ledger's floor reads: a response becomes a row.
//!
//! What its plugins keep as `token_details` is the rest of each provider's usage object (plugin sources of llm, llm-anthropic
//! and llm-gemini, read 2026-11-22): OpenAI's details lie inside the counts, Anthropic's cache counts beside the input,
//! Gemini's cached tokens inside the input and its thoughts, where they are named, beside the output.

use std::path::Path;

use serde_json::Value;

use super::row::{COUNT_MAX, Found, Row, Take, YEAR_10000_MS, count, instant, set_some, take_out};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::usage::{Meter, Usage};
use crate::ledger::{ForeignError, LlmLog, LlmRow};

pub const SOURCE: &str = "llm";

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn read(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    let mut number = 0;
    LlmLog::open(path)
        .map_err(failure)?
        .each(|found| {
            number += 1;
            match row(found) {
                Ok(row) => take(Found::Row(Box::new(row))),
                Err(why) => take(Found::Broken(number, why)),
            }
            .map_err(Stopped)
        })
        .map_err(|stopped| stopped.0)
}

struct Stopped(Failure);

impl From<ForeignError> for Stopped {
    fn from(error: ForeignError) -> Stopped {
        Stopped(failure(error))
    }
}

fn failure(error: ForeignError) -> Failure {
    Failure::new(ErrorClass::Config, error.to_string())
}

fn row(from: LlmRow) -> Result<Row, String> {
    let opened_ms = instant(&from.at).ok_or_else(|| format!("{:?} is no instant", from.at))?;
    let usage = usage(&from)?;
    let (provider, model) = match from.model.split_once('/') {
        // Plugins put the name of their provider before the model's.
        Some((provider, model)) => (Some(provider.to_owned()), model.to_owned()),
        None => (None, from.model.clone()),
    };
    let served = from.resolved_model.or(from.response_model);
    Ok(Row {
        source: SOURCE,
        key: from.id,
        opened_ms,
        finished_ms: from
            .duration_ms
            .and_then(|duration| opened_ms.checked_add(duration))
            .filter(|ms| *ms < YEAR_10000_MS),
        provider,
        model,
        model_served: served.filter(|served| *served != from.model),
        response_id: from.response_id,
        usage,
        requests: 1,
        session: from.conversation,
        ..Row::default()
    })
}

/// The counts of a response; none at all where an older version kept none.
fn usage(from: &LlmRow) -> Result<Usage, String> {
    let parsed = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let whole: Value = parsed(&from.usage).unwrap_or_default();
    let details: Value = parsed(&from.token_details).unwrap_or_default();
    let first = |paths: &[&str]| -> Result<Option<u64>, String> {
        for place in [&details, &whole] {
            for path in paths {
                if let Some(found) = place.pointer(path).map(count).transpose()?.flatten() {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    };
    let own = |count: Option<u64>, name: &str| match count.filter(|count| *count > COUNT_MAX) {
        Some(count) => Err(format!("{name}: {count} is no count")),
        None => Ok(count),
    };
    let input =
        own(from.input_tokens, "input_tokens")?.or(first(&["/prompt_tokens", "/input_tokens", "/promptTokenCount"])?);
    let output = own(from.output_tokens, "output_tokens")?.or(first(&[
        "/completion_tokens",
        "/output_tokens",
        "/candidatesTokenCount",
    ])?);
    let mut usage = Usage::default();
    if let Some(mut input) = input {
        let inside = first(&[
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
            "/cachedContentTokenCount",
        ])?;
        let inside = take_out(&mut input, inside.unwrap_or_default());
        let beside = first(&["/cache_read_input_tokens"])?.unwrap_or_default();
        let hour = first(&["/cache_creation/ephemeral_1h_input_tokens"])?.unwrap_or_default();
        let mut written = first(&["/cache_creation_input_tokens"])?.unwrap_or_default();
        let hour = take_out(&mut written, hour);
        usage.set(Meter::Input, input);
        set_some(&mut usage, Meter::CacheRead, inside + beside);
        set_some(&mut usage, Meter::CacheWrite5m, written);
        set_some(&mut usage, Meter::CacheWrite1h, hour);
    }
    if let Some(output) = output {
        let thoughts = first(&["/thoughtsTokenCount"])?;
        let inside = first(&[
            "/completion_tokens_details/reasoning_tokens",
            "/output_tokens_details/reasoning_tokens",
            "/output_tokens_details/thinking_tokens",
        ])?;
        usage.set(Meter::Output, output + thoughts.unwrap_or_default());
        usage.reasoning = thoughts.or(inside);
    }
    Ok(usage)
}
