//! Session logs of Claude Code: one JSON object a line, of which those of the assistant carry usage.
//!
//! Shape (code.claude.com/docs on sessions, and issues of ccusage, read 2026-11-22): `type`, `timestamp`, `sessionId`, `cwd`,
//! `isSidechain`, `requestId`, `message.{id, model, stop_reason, usage}`; usage is the Messages API's, its cache writes split
//! by lifetime. A streamed answer is written as several lines with one `message.id` and `requestId`, each with the usage so
//! far; a resumed or forked session repeats lines of another file.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::row::{Found, Row, Take, instant, no_json};
use super::stream;
use crate::domain::failure::Failure;
use crate::domain::usage::{Meter, Usage};
use crate::wire::contract::Dialect;
use crate::wire::quirks::Quirks;

pub const SOURCE: &str = "claude-code";

/// What the ids of answers begin with where they come through a cloud; all others are Anthropic's own.
const CLOUDS: &[(&str, &str)] = &[("msg_bdrk_", "bedrock"), ("msg_vrtx_", "vertex")];

/// A model of Anthropic's begins so; what else answers stands behind somebody's own address.
const OWN_MODELS: &str = "claude";

/// A message that Claude Code wrote itself.
const SYNTHETIC: &str = "<synthetic>";

/// So many answers are kept back for their later lines. They follow one another closely, also where agents run side by side.
const OPEN_MAX: usize = 512;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cwd: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    uuid: Option<Cow<'a, str>>,
    #[serde(default)]
    is_sidechain: bool,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<Value>,
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn read(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    let mut open: VecDeque<Row> = VecDeque::new();
    stream::lines(path, |number, line| {
        let row = match line.map(row) {
            None => return take(Found::Broken(number, "the line is too long".into())),
            Some(Err(why)) => return take(Found::Broken(number, why)),
            Some(Ok(None)) => return Ok(()),
            Some(Ok(Some(row))) => row,
        };
        if let Some(earlier) = open.iter_mut().find(|earlier| earlier.key == row.key) {
            // The usage of a stream grows: a line that says less is an earlier one, repeated.
            if row.usage.get(Meter::Output) >= earlier.usage.get(Meter::Output) {
                *earlier = Row { opened_ms: earlier.opened_ms, growing: row.growing && earlier.growing, ..row };
            }
            return Ok(());
        }
        open.push_back(row);
        match open.len() > OPEN_MAX {
            true => open.pop_front().map_or(Ok(()), |row| take(Found::Row(Box::new(row)))),
            false => Ok(()),
        }
    })?;
    open.into_iter().try_for_each(|row| take(Found::Row(Box::new(row))))
}

/// The call in a line, where it is about one.
fn row(line: &[u8]) -> Result<Option<Row>, String> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| no_json(&error))?;
    // What a person says may be text; only an object can carry usage.
    let Some(raw) = line.message.map(RawValue::get).filter(|raw| raw.starts_with('{') && raw.contains("\"usage\""))
    else {
        return Ok(None);
    };
    let message: Message<'_> = serde_json::from_str(raw).map_err(|error| no_json(&error))?;
    let Some(raw) = message.usage.filter(Value::is_object) else {
        return Ok(None);
    };
    let model = message.model.unwrap_or_default();
    if model == SYNTHETIC {
        return Ok(None);
    }
    let stamp = line.timestamp.ok_or("the line has no timestamp")?;
    let opened_ms = instant(&stamp).ok_or_else(|| format!("{stamp:?} is no instant"))?;
    let usage = Dialect::Messages.usage(&raw, &Quirks::default(), &model, true).unwrap_or_default();
    if usage.rejected {
        return Err(usage.warnings.join("; "));
    }
    let id = message.id.as_deref().filter(|id| !id.is_empty());
    let request = line.request_id.as_deref().filter(|id| !id.is_empty());
    let key = match (id, request) {
        (Some(id), Some(request)) => format!("{id}:{request}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => line.uuid.as_deref().map_or_else(|| line_key(&stamp, &model, &usage), str::to_owned),
    };
    Ok(Some(Row {
        source: SOURCE,
        key,
        opened_ms,
        provider: provider(id.unwrap_or_default(), &model),
        model: model.into_owned(),
        request_id: request.map(str::to_owned),
        response_id: id.map(str::to_owned),
        usage,
        requests: 1,
        folder: line.cwd.map(Cow::into_owned),
        session: line.session_id.map(Cow::into_owned),
        tags: line.is_sidechain.then(|| ("sidechain".to_owned(), "true".to_owned())).into_iter().collect(),
        growing: message.stop_reason.is_none(),
        ..Row::default()
    }))
}

fn provider(id: &str, model: &str) -> Option<String> {
    let cloud = CLOUDS.iter().find(|(beginning, _)| id.starts_with(beginning)).map(|(_, cloud)| *cloud);
    cloud.or(model.starts_with(OWN_MODELS).then_some("anthropic")).map(str::to_owned)
}

/// What makes a line one that has no id at all.
fn line_key(stamp: &str, model: &str, usage: &Usage) -> String {
    let counts: Vec<String> = usage.quantities.values().map(u64::to_string).collect();
    format!("{stamp}|{model}|{}", counts.join("|"))
}
