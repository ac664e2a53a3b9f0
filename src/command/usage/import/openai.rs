//! Usage and cost exports of OpenAI: sums by minute, hour or day, in UTC.
//!
//! Shape (developers.openai.com/api/docs/api-reference/usage and …/costs, read 2026-11-22): `data` is a list of buckets
//! `{start_time, end_time, results}` with times in seconds. Usage: `input_tokens` contains cached and written, audio and image
//! tokens; `project_id`, `user_id`, `api_key_id`, `model`, `batch`, `service_tier` are there where they were grouped by. Costs:
//! `amount.{value, currency}`, `line_item`. The dashboard's CSV has the same names as columns (`amount_value`,
//! `amount_currency`), some with names beside ids, and rows without counts for empty days (headers seen in public tools that
//! read them, 2026-11-22).

use std::path::Path;

use serde_json::Value;

use super::row::{Found, Kind, Row, Take, count, hand, instant_of, set_some, take_out, text};
use super::stream::{self, Record};
use crate::domain::failure::Failure;
use crate::domain::money::Usd;
use crate::domain::usage::{Charge, Meter, Usage};

pub const USAGE: &str = "openai-usage";
pub const COST: &str = "openai-cost";

/// Whose exports these are, in the catalog.
const PROVIDER: &str = "openai";

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn usage_json(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    buckets(path, usage, take)
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn cost_json(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    buckets(path, cost, take)
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn usage_csv(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    table(path, usage, take)
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn cost_csv(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    table(path, cost, take)
}

/// What a result is, in a time from and to; `None`: nothing was used.
type ReadResult = fn(&dyn Fn(&str) -> Value, i64, i64) -> Result<Option<Row>, String>;

fn buckets(path: &Path, read: ReadResult, take: Take<'_>) -> Result<(), Failure> {
    stream::elements(path, |number, bucket| {
        let bucket = match bucket {
            Ok(bucket) => bucket,
            Err(why) => return take(Found::Broken(number, why)),
        };
        let times = (instant_of(&bucket["start_time"]), instant_of(&bucket["end_time"]));
        let (Some(from), Some(to), Some(results)) = (times.0, times.1, bucket["results"].as_array()) else {
            return take(Found::Broken(number, "no bucket with start_time, end_time and results".into()));
        };
        for result in results {
            let field = |name: &str| match name.split_once('.') {
                Some((outer, inner)) => result[outer][inner].clone(),
                None => result[name].clone(),
            };
            hand(read(&field, from, to), number, take)?;
        }
        Ok(())
    })
}

fn table(path: &Path, read: ReadResult, take: Take<'_>) -> Result<(), Failure> {
    stream::records(path, |line, record| {
        let found = record.and_then(|record: Record<'_>| {
            let field = |name: &str| record.get(&name.replace('.', "_")).map_or(Value::Null, Value::from);
            let times = (instant_of(&field("start_time")), instant_of(&field("end_time")));
            let (Some(from), Some(to)) = times else {
                return Err("the row has no start_time and end_time".to_owned());
            };
            read(&field, from, to)
        });
        hand(found, line, take)
    })
}

/// What is grouped by, as far as it is.
fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn usage(field: &dyn Fn(&str) -> Value, from: i64, to: i64) -> Result<Option<Row>, String> {
    let number = |name: &str| count(&field(name)).map_err(|why| format!("{name}: {why}"));
    let some = |name: &str| number(name).map(Option::unwrap_or_default);
    let (input, output) = (number("input_tokens")?, number("output_tokens")?);
    let requests = number("num_model_requests")?;
    if [input, output, requests].into_iter().flatten().all(|count| count == 0) {
        return Ok(None);
    }
    let mut rest = input.unwrap_or_default();
    let mut text_out = output.unwrap_or_default();
    let mut cached = take_out(&mut rest, some("input_cached_tokens")?);
    let written = take_out(&mut rest, some("input_cache_write_tokens")?);
    let audio_cached = take_out(&mut cached, some("input_cached_audio_tokens")?);
    let audio = take_out(&mut rest, some("input_audio_tokens")?.saturating_sub(audio_cached));
    let audio_out = take_out(&mut text_out, some("output_audio_tokens")?);
    let image_out = take_out(&mut text_out, some("output_image_tokens")?);
    let mut usage = Usage::default();
    usage.set(Meter::Input, rest);
    usage.set(Meter::Output, text_out);
    for (meter, quantity) in [
        (Meter::CacheRead, cached),
        (Meter::CacheWrite5m, written),
        (Meter::CacheReadAudio, audio_cached),
        (Meter::AudioIn, audio),
        (Meter::AudioOut, audio_out),
        (Meter::ImageOut, image_out),
    ] {
        set_some(&mut usage, meter, quantity);
    }
    let batch = word(&field("batch")).to_ascii_lowercase();
    usage.service_tier = if batch == "true" { Some("batch".into()) } else { text(&field("service_tier")) };
    let model = text(&field("model")).unwrap_or_default();
    let by = ["project_id", "user_id", "api_key_id", "service_tier", "api_source"].map(|name| word(&field(name)));
    Ok(Some(Row {
        key: format!("{from}|{to}|{model}|{batch}|{}", by.join("|")),
        model,
        usage,
        requests: requests.unwrap_or(1),
        user: text(&field("user_email")).or_else(|| text(&field("user_id"))),
        ..about(USAGE, Kind::Usage, field, from, to)
    }))
}

fn cost(field: &dyn Fn(&str) -> Value, from: i64, to: i64) -> Result<Option<Row>, String> {
    let value = word(&field("amount.value"));
    if value.is_empty() {
        return Ok(None);
    }
    let currency = word(&field("amount.currency"));
    if !currency.is_empty() && !currency.eq_ignore_ascii_case("usd") {
        return Err(format!("an amount in {currency} is not converted"));
    }
    let usd = Usd::parse(&value).ok_or_else(|| format!("{value:?} is no amount"))?;
    if usd.picos < 0 {
        return Err(format!("a credit of {usd} USD is not booked"));
    }
    let item = word(&field("line_item"));
    let by = ["project_id", "user_id", "api_key_id", "api_source"].map(|name| word(&field(name)));
    Ok(Some(Row {
        key: format!("{from}|{to}|{item}|{}", by.join("|")),
        // "gpt-x, input" and "gpt-x, input_tokens": the model comes first.
        model: item.rsplit_once(", ").map_or(item.clone(), |(model, _)| model.to_owned()),
        usage: Usage { charge: Some(Charge { usd, upstream: None }), ..Usage::default() },
        requests: 1,
        notes: if item.is_empty() { Vec::new() } else { vec![format!("line item: {item}")] },
        ..about(COST, Kind::Cost, field, from, to)
    }))
}

/// What both kinds have in common.
fn about(source: &'static str, kind: Kind, field: &dyn Fn(&str) -> Value, from: i64, to: i64) -> Row {
    let key = text(&field("api_key_id")).map(|id| ("api-key-id".to_owned(), id));
    Row {
        source,
        kind,
        opened_ms: from,
        finished_ms: Some(to),
        provider: Some(PROVIDER.into()),
        project: text(&field("project_name")).or_else(|| text(&field("project_id"))),
        tags: key.into_iter().collect(),
        ..Row::default()
    }
}
