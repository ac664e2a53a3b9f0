//! Session logs of Codex: one JSON object a line, in which counts of tokens grow over the session.
//!
//! Shape (github.com/openai/codex, `codex-rs/protocol/src/protocol.rs`, and issues of ccusage and tokscale, read 2026-11-22):
//! `{timestamp, type, payload}`; `session_meta` names `id`, `cwd`, `model_provider` and, in a fork, `forked_from_id`; a spawned
//! agent's names `source.subagent.thread_spawn.parent_thread_id`, and only newer ones the other (codeburn #1383, the same day);
//! `turn_context` names the model of what follows; `event_msg` with `payload.type` `token_count` carries
//! `info.total_token_usage` (of the session so far) and `info.last_token_usage`, both with cached and written tokens inside the
//! input and reasoning inside the output. The same total is written again and again: only its growth is usage.
//!
//! A fork, and a spawned agent may, begin with the whole history of the parent, whose `session_meta` may come second and whose
//! times may be written anew. Such counts bear the parent's id here, so that they are the parent's own rows, whichever file is read first.

use std::borrow::Cow;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::row::{COUNT_MAX, Row, Take, hand, instant, no_json, set_some, take_out};
use super::stream;
use crate::domain::failure::Failure;
use crate::domain::usage::{Meter, Usage};

pub const SOURCE: &str = "codex";

#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    forked_from_id: Option<String>,
    #[serde(default)]
    parent_thread_id: Option<String>,
    /// A word, or of a spawned agent an object.
    #[serde(default)]
    source: Value,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default)]
    model_provider: Option<String>,
}

impl Meta {
    /// Whose history the session may begin with.
    fn parent(&self) -> Option<&str> {
        let spawned = self.source.pointer("/subagent/thread_spawn/parent_thread_id").and_then(Value::as_str);
        self.forked_from_id.as_deref().or(self.parent_thread_id.as_deref()).or(spawned)
    }
}

#[derive(Debug, Deserialize)]
struct Turn {
    #[serde(default)]
    turn_id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    cwd: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    info: Option<Info>,
    /// Of `task_started`, in seconds since 1970.
    #[serde(default)]
    started_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    total_token_usage: Option<Counts>,
    #[serde(default)]
    last_token_usage: Option<Counts>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Counts {
    #[serde(deserialize_with = "counted")]
    input_tokens: u64,
    #[serde(deserialize_with = "counted")]
    cached_input_tokens: u64,
    #[serde(deserialize_with = "counted")]
    cache_write_input_tokens: u64,
    #[serde(deserialize_with = "counted")]
    output_tokens: u64,
    #[serde(deserialize_with = "counted")]
    reasoning_output_tokens: u64,
}

fn counted<'de, D: Deserializer<'de>>(json: D) -> Result<u64, D::Error> {
    let count = u64::deserialize(json)?;
    if count <= COUNT_MAX { Ok(count) } else { Err(D::Error::custom(format!("{count} is no count"))) }
}

impl Counts {
    /// What came since `before`; `None` where the counter began anew.
    fn since(self, before: Counts) -> Option<Counts> {
        Some(Counts {
            input_tokens: self.input_tokens.checked_sub(before.input_tokens)?,
            cached_input_tokens: self.cached_input_tokens.checked_sub(before.cached_input_tokens)?,
            cache_write_input_tokens: self.cache_write_input_tokens.checked_sub(before.cache_write_input_tokens)?,
            output_tokens: self.output_tokens.checked_sub(before.output_tokens)?,
            reasoning_output_tokens: self.reasoning_output_tokens.checked_sub(before.reasoning_output_tokens)?,
        })
    }

    fn usage(self) -> Usage {
        let mut usage = Usage::default();
        let mut input = self.input_tokens;
        let cached = take_out(&mut input, self.cached_input_tokens);
        let written = take_out(&mut input, self.cache_write_input_tokens);
        usage.set(Meter::Input, input);
        set_some(&mut usage, Meter::CacheRead, cached);
        set_some(&mut usage, Meter::CacheWrite5m, written);
        usage.set(Meter::Output, self.output_tokens);
        usage.reasoning = Some(self.reasoning_output_tokens.min(self.output_tokens));
        usage
    }
}

/// What the lines so far have said.
#[derive(Debug, Default)]
struct Session {
    id: String,
    forked: bool,
    /// When the session began.
    began_ms: i64,
    /// Whose counts the lines are now: the parent's, while a fork repeats them.
    owner: String,
    provider: Option<String>,
    folder: Option<String>,
    model: Option<String>,
    total: Option<Counts>,
    /// How often the counter has begun anew: the same totals may come again then.
    rounds: u32,
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn read(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    let mut session = Session { id: named_in(path), ..Session::default() };
    session.owner.clone_from(&session.id);
    stream::lines(path, |number, line| {
        let found = line.map_or_else(|| Err("the line is too long".into()), |line| session.line(line));
        hand(found, number, take)
    })
}

/// The session's id in the name of its file, `rollout-2026-11-20T10-00-00-<uuid>.jsonl`.
fn named_in(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let at = stem.len().saturating_sub(36);
    stem.get(at..).filter(|id| id.matches('-').count() == 4).map_or(stem.clone(), str::to_owned)
}

impl Session {
    /// The call that a line tells of.
    fn line(&mut self, line: &[u8]) -> Result<Option<Row>, String> {
        let broken = |error: serde_json::Error| no_json(&error);
        let line: Line<'_> = serde_json::from_slice(line).map_err(broken)?;
        let (Some(kind), Some(payload)) = (line.kind.as_deref(), line.payload.map(RawValue::get)) else {
            return Ok(None);
        };
        let at_ms = line.timestamp.as_deref().and_then(instant);
        match kind {
            "session_meta" => self.meta(serde_json::from_str(payload).map_err(broken)?, at_ms),
            "turn_context" => self.turn(serde_json::from_str(payload).map_err(broken)?),
            "event_msg" => {
                let event: Event<'_> = serde_json::from_str(payload).map_err(broken)?;
                match event.kind.as_deref() {
                    Some("task_started") if event.started_at.is_some_and(|at| at >= self.began_ms / 1000) => self.own(),
                    Some("token_count") => {
                        let Some(info) = event.info else {
                            return Ok(None);
                        };
                        let at_ms = at_ms.ok_or("the count has no timestamp")?;
                        return Ok(self.count(&info, at_ms));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn meta(&mut self, meta: Meta, at_ms: Option<i64>) {
        let parent = meta.parent().map(str::to_owned);
        let Some(id) = meta.id else {
            return;
        };
        if self.began_ms != 0 {
            self.owner = id;
            return;
        }
        self.began_ms = born_ms(&id).or(at_ms).unwrap_or(1);
        self.forked = parent.is_some();
        self.owner = parent.unwrap_or_else(|| id.clone());
        self.id = id;
        self.provider = meta.model_provider;
        self.folder = meta.cwd;
    }

    fn turn(&mut self, turn: Turn) {
        // A turn of the parent was begun before the fork was.
        if turn.turn_id.as_deref().and_then(born_ms).is_some_and(|born| born >= self.began_ms) {
            self.own();
        }
        self.model = turn.model.or(self.model.take());
        self.folder = turn.cwd.or(self.folder.take());
    }

    /// From here on the lines are the session's own.
    fn own(&mut self) {
        self.owner.clone_from(&self.id);
    }

    fn count(&mut self, info: &Info, at_ms: i64) -> Option<Row> {
        let total = info.total_token_usage.or(info.last_token_usage)?;
        let before = self.total.replace(total);
        if before == Some(total) {
            return None;
        }
        let last = info.last_token_usage;
        let grown = match before {
            // What a fork had used before its first line is its parent's.
            None if self.forked => last.unwrap_or(total),
            before => total.since(before.unwrap_or_default()).unwrap_or_else(|| {
                self.rounds += 1;
                last.unwrap_or(total)
            }),
        };
        if grown == Counts::default() {
            return None;
        }
        let Counts { input_tokens, cached_input_tokens, cache_write_input_tokens, output_tokens, .. } = total;
        let round = if self.rounds == 0 { String::new() } else { format!("@{}", self.rounds) };
        Some(Row {
            source: SOURCE,
            key: format!(
                "{}:{input_tokens}/{cached_input_tokens}/{cache_write_input_tokens}/{output_tokens}/{}{round}",
                self.owner, total.reasoning_output_tokens
            ),
            opened_ms: at_ms,
            // Codex asks OpenAI unless its configuration names another.
            provider: Some(self.provider.clone().unwrap_or_else(|| "openai".into())),
            model: self.model.clone().unwrap_or_default(),
            usage: grown.usage(),
            requests: 1,
            folder: self.folder.clone(),
            session: Some(self.owner.clone()),
            ..Row::default()
        })
    }
}

/// When an id was drawn that tells it (a UUID of version 7).
fn born_ms(id: &str) -> Option<i64> {
    let id = uuid::Uuid::parse_str(id).ok()?;
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    i64::try_from(seconds).ok()?.checked_mul(1000)?.checked_add(i64::from(nanos / 1_000_000))
}
