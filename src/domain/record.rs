//! One call as the books hold it: what is known before it is sent, what became of it, and both together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::bill::{Line, Outcome, PriceSource};
use super::chat::{ChatRequest, Media, MediaSource, Part, Role, Settings};
use super::money::Usd;
use super::report::CallReport;
use super::usage::{Meter, Usage};

/// What is written down before the first byte leaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NewCall {
    /// Our id: a UUID that sorts by time.
    pub id: String,
    /// The id that calls made together share (`compare`).
    pub group: Option<String>,
    /// Our id of the first attempt, where this one repeats or replaces it.
    pub retry_of: Option<String>,
    /// The subcommand that made the call.
    pub command: String,
    /// The provider's id in the catalog.
    pub provider: String,
    /// The model that was asked for, as the provider names it.
    pub model: String,
    pub region: Option<String>,
    /// The service tier that was asked for.
    pub tier: Option<String>,
    /// Where the credential came from: its name, never its text.
    pub credential: Option<String>,
    pub project: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub session: Option<String>,
    /// The settings that were sent, as [`parameters`] makes them.
    pub parameters: Value,
    /// The most that the call can cost; `None`: unpriced or not boundable.
    #[serde(with = "picos")]
    pub ceiling: Option<Usd>,
    /// The output cap that was asked for, where a budget lowered it.
    pub clipped_from: Option<u64>,
    /// The route that chose the model.
    #[serde(default)]
    pub route: Option<String>,
    /// The conversation, as [`prompt`] makes it; `None`: it is not kept.
    pub prompt: Option<Value>,
}

impl NewCall {
    /// The same call, its conversation left out.
    #[must_use]
    pub fn without_prompt(&self) -> NewCall {
        NewCall {
            id: self.id.clone(),
            group: self.group.clone(),
            retry_of: self.retry_of.clone(),
            command: self.command.clone(),
            provider: self.provider.clone(),
            model: self.model.clone(),
            region: self.region.clone(),
            tier: self.tier.clone(),
            credential: self.credential.clone(),
            project: self.project.clone(),
            user: self.user.clone(),
            team: self.team.clone(),
            tags: self.tags.clone(),
            session: self.session.clone(),
            parameters: self.parameters.clone(),
            ceiling: self.ceiling,
            clipped_from: self.clipped_from,
            route: self.route.clone(),
            prompt: None,
        }
    }
}

/// What became of a call. Words are those of llmx's JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settlement {
    /// Milliseconds from the beginning of the call to its first token.
    pub first_token_ms: Option<u64>,
    pub model_served: Option<String>,
    /// The provider's ids of the request and of the response.
    pub request_id: Option<String>,
    pub response_id: Option<String>,
    /// The tier that was served.
    pub tier: Option<String>,
    pub stop_reason: Option<String>,
    /// Who ended it before its end: `interrupt`, `closedpipe`, …
    pub stopped: Option<String>,
    pub error_class: Option<String>,
    pub error: Option<String>,
    /// HTTP status of a failure.
    pub status: Option<u16>,
    /// The provider's usage object as it came.
    pub usage_raw: Option<Value>,
    /// `reported` or `partial`; `None`: there was none.
    pub usage_source: Option<String>,
    /// How much of the output was thinking.
    pub reasoning: Option<u64>,
    /// How the amount came about.
    pub basis: String,
    /// `None`: unpriced, never zero.
    #[serde(with = "picos")]
    pub total: Option<Usd>,
    /// The most that it can have cost, where the total is not certain.
    #[serde(with = "picos")]
    pub at_most: Option<Usd>,
    /// What the price table says beside a charge that the provider stated.
    #[serde(with = "picos")]
    pub table: Option<Usd>,
    pub price: Option<Price>,
    pub lines: Vec<RecordLine>,
    pub notes: Vec<String>,
    /// Why it was settled by hand, where it was.
    pub because: Option<String>,
    /// The answer, as [`answer`] makes it; `None`: it is not kept.
    pub answer: Option<Value>,
}

/// The entry that the rates came from, as [`PriceSource`] has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    pub table: String,
    pub version: String,
    pub sha256: String,
    pub entry: String,
    pub row_from: Option<String>,
    pub checked: Option<String>,
}

/// One line: a quantity, and where it has a price its rate and amount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordLine {
    /// The meter's key.
    pub meter: String,
    pub quantity: u64,
    /// So many units have the price `rate`: 1,000,000 tokens, or 1,000 uses.
    pub per: u32,
    /// The exact decimal in USD.
    pub rate: Option<String>,
    #[serde(with = "picos")]
    pub amount: Option<Usd>,
    /// The model of an inner call, where it is not the call's.
    pub model: Option<String>,
}

impl Settlement {
    /// What the books keep of a finished call. `keep_answer`: its text as well.
    #[must_use]
    pub fn of(report: &CallReport, keep_answer: bool) -> Settlement {
        let (bill, came, failure) = (&report.bill, &report.answer, report.failure.as_ref());
        let usage = report.outcome.usage().or(came.usage.as_ref());
        let source = match (&report.outcome, usage) {
            (_, None) => None,
            (Outcome::Reported(_), Some(_)) => Some("reported"),
            (Outcome::Unconfirmed { .. } | Outcome::NeverSent, Some(_)) => Some("partial"),
        };
        let warnings = usage.iter().flat_map(|usage| usage.notes());
        Settlement {
            first_token_ms: report.timing.first_token_ms,
            model_served: came.model_served.clone(),
            request_id: report.request_id.clone(),
            response_id: came.id.clone(),
            tier: usage.and_then(|usage| usage.service_tier.clone()),
            stop_reason: came.finish.as_ref().map(|finish| finish.reason.as_str().to_owned()),
            stopped: report.stopped.map(|stop| format!("{stop:?}").to_lowercase()),
            error_class: failure.map(|failure| failure.class.as_str().to_owned()),
            error: failure.map(|failure| failure.message.clone()),
            status: failure.and_then(|failure| failure.status),
            usage_raw: usage.map(|usage| usage.raw.clone()).filter(|raw| !raw.is_null()),
            usage_source: source.map(str::to_owned),
            reasoning: usage.and_then(|usage| usage.reasoning),
            basis: bill.basis.as_str().to_owned(),
            total: bill.total,
            at_most: bill.at_most,
            table: bill.table,
            price: bill.price.as_ref().map(Price::of),
            lines: lines(&bill.lines, usage),
            notes: bill.notes.iter().chain(&came.notes).chain(warnings).cloned().collect(),
            because: None,
            answer: keep_answer.then(|| answer(came)),
        }
    }

    /// Changes every text that came from outside.
    pub fn change_texts(&mut self, change: &dyn Fn(&str) -> String) {
        let texts = [
            &mut self.model_served,
            &mut self.request_id,
            &mut self.response_id,
            &mut self.tier,
            &mut self.stop_reason,
            &mut self.error,
        ];
        let models = self.lines.iter_mut().filter_map(|line| line.model.as_mut());
        for text in texts.into_iter().flatten().chain(models).chain(&mut self.notes) {
            *text = change(text);
        }
        for value in [&mut self.usage_raw, &mut self.answer].into_iter().flatten() {
            change_value(value, change);
        }
    }

    /// A call that never reached a model: nothing is owed.
    #[must_use]
    pub fn nothing(because: &str) -> Settlement {
        Settlement {
            basis: "nothing".into(),
            total: Some(Usd::default()),
            because: Some(because.into()),
            ..Settlement::default()
        }
    }
}

/// Changes every text in a value, names of fields among them.
fn change_value(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| change_value(item, change)),
        Value::Object(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(name, mut value)| {
                    change_value(&mut value, change);
                    (change(&name), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Price {
    #[must_use]
    pub fn of(source: &PriceSource) -> Price {
        Price {
            table: source.table.clone(),
            version: source.version.clone(),
            sha256: source.sha256.clone(),
            entry: source.entry.clone(),
            row_from: source.row_from.clone(),
            checked: source.checked.clone(),
        }
    }
}

/// The lines of the bill; where it has none, what was counted, without a price.
fn lines(bill: &[Line], usage: Option<&Usage>) -> Vec<RecordLine> {
    if bill.is_empty() {
        return usage.filter(|usage| !usage.rejected).map(lines_of).unwrap_or_default();
    }
    bill.iter()
        .map(|line| RecordLine {
            meter: line.meter.key().to_owned(),
            quantity: line.quantity,
            per: per(line.meter),
            rate: Some(line.rate.clone()),
            amount: Some(line.usd),
            model: line.model.clone(),
        })
        .collect()
}

/// A line for every meter that was counted, without a rate.
#[must_use]
pub fn lines_of(usage: &Usage) -> Vec<RecordLine> {
    let line = |(meter, quantity): (&Meter, &u64)| RecordLine {
        meter: meter.key().to_owned(),
        quantity: *quantity,
        per: per(*meter),
        ..RecordLine::default()
    };
    usage.quantities.iter().map(line).collect()
}

fn per(meter: Meter) -> u32 {
    match meter {
        Meter::WebSearch
        | Meter::WebSearchLow
        | Meter::WebSearchMedium
        | Meter::WebSearchHigh
        | Meter::SearchUnit
        | Meter::Classification => 1_000,
        Meter::Input
        | Meter::CacheRead
        | Meter::CacheWrite5m
        | Meter::CacheWrite1h
        | Meter::Output
        | Meter::AudioIn
        | Meter::AudioOut
        | Meter::CacheReadAudio
        | Meter::ImageIn
        | Meter::ImageOut
        | Meter::ReasoningOut
        | Meter::Citation => 1_000_000,
    }
}

/// A call as it stands in the books.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub opened_ms: i64,
    /// [`NewCall::prompt`] is there only where it was asked for.
    pub call: NewCall,
    /// `None`: open, and counted at its ceiling.
    pub settled: Option<Settled>,
    /// Later proofs, oldest first: the last one is the truth.
    pub corrections: Vec<Correction>,
    /// How the last message of the conversation begins, where it is kept.
    pub said: Option<String>,
    /// `None`: llmx made the call. Else what it was imported from.
    pub source: Option<String>,
    /// So many requests: more than one only where sums were imported.
    pub requests: u64,
}

impl Record {
    /// What the call is booked at: the last correction, else the settlement, else unknown.
    #[must_use]
    pub fn total(&self) -> Option<Usd> {
        match (self.corrections.last(), &self.settled) {
            (Some(correction), _) => correction.total,
            (None, Some(settled)) => settled.settlement.total,
            (None, None) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    pub finished_ms: i64,
    /// [`Settlement::answer`] is there only where it was asked for.
    pub settlement: Settlement,
}

/// What was found out about a settled call afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    pub made_ms: i64,
    pub basis: String,
    pub total: Option<Usd>,
    pub because: String,
}

/// A call without a settlement, and who opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCall {
    pub id: String,
    pub opened_ms: i64,
    pub command: String,
    pub provider: String,
    pub model: String,
    pub ceiling: Option<Usd>,
    pub pid: u32,
    pub state: OwnerState,
}

/// Whether the process that opened a call can still settle it. It only informs: nothing is freed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    Running,
    Dead,
    /// On another host, or not to be judged from here.
    Elsewhere,
}

impl OwnerState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OwnerState::Running => "running",
            OwnerState::Dead => "dead",
            OwnerState::Elsewhere => "elsewhere",
        }
    }
}

/// What an open or uncertain call is booked at by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It is known to have cost nothing.
    Nothing,
    /// The most that it can have cost.
    Ceiling,
    /// A bill or the provider's own record says so.
    Amount(Usd),
}

/// The settings of a turn as they were asked for. A value whose key names a secret is not kept.
#[must_use]
pub fn parameters(settings: &Settings) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(key.to_owned(), value);
        }
    };
    put("temperature", settings.temperature.map(Value::from));
    put("top_p", settings.top_p.map(Value::from));
    put("max_tokens", settings.max_tokens.map(Value::from));
    put("seed", settings.seed.map(Value::from));
    put("stop", (!settings.stop.is_empty()).then(|| json!(settings.stop)));
    put("effort", settings.effort.map(|effort| effort.as_str().into()));
    put("schema", settings.schema.as_ref().map(|schema| schema.schema.clone()));
    put("cache", settings.cache.map(|lifetime| format!("{lifetime:?}").into()));
    for (key, value) in &settings.extra {
        let mut value = value.clone();
        if names_a_secret(key) {
            value = REDACTED.into();
        }
        redact(&mut value);
        put(key, Some(value));
    }
    Value::Object(map)
}

const REDACTED: &str = "[redacted]";

fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if names_a_secret(key) {
                    *value = REDACTED.into();
                }
                redact(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    // `max_tokens` and `prompt_cache_key` are no secrets.
    let last = key.rsplit('.').next().unwrap_or(&key);
    ["api_key", "apikey", "secret", "password", "passwd", "authorization", "credential", "private_key"]
        .iter()
        .any(|word| last.contains(word))
        || last == "token"
        || last.ends_with("_token")
}

/// Most bytes of a conversation or of an answer that are kept: a ledger is no archive, and a copy costs memory.
const TEXT_KEPT_MAX: u64 = 8 << 20;

/// What stands for a text that is too long to be kept.
fn left_out(bytes: u64) -> Value {
    json!({"left_out_bytes": bytes})
}

/// The conversation as JSON. Of an attachment the bytes are left out: kind, name and length stand for them.
#[must_use]
pub fn prompt(request: &ChatRequest) -> Value {
    let texts = request.messages.iter().flat_map(|message| &message.parts).map(Part::text_bytes).sum::<u64>();
    let bytes = texts + request.system.as_deref().map_or(0, str::len) as u64;
    if bytes > TEXT_KEPT_MAX {
        return left_out(bytes);
    }
    let messages: Vec<Value> = request
        .messages
        .iter()
        .map(|message| {
            let role = match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            json!({"role": role, "parts": message.parts.iter().map(part).collect::<Vec<_>>()})
        })
        .collect();
    let tools: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    json!({"system": request.system, "messages": messages, "tools": tools})
}

/// The answer as JSON, with everything that must go back to the provider on the next turn.
#[must_use]
pub fn answer(answer: &Answer) -> Value {
    if answer.bytes() > TEXT_KEPT_MAX {
        return left_out(answer.bytes());
    }
    let refusal = (!answer.refusal.is_empty()).then_some(&answer.refusal);
    json!({"parts": answer.parts.iter().map(part).collect::<Vec<_>>(), "refusal": refusal})
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"text": text}),
        Part::Image(file) => json!({"image": media(file)}),
        Part::Document(file) => json!({"document": media(file)}),
        Part::Audio(file) => json!({"audio": media(file)}),
        Part::Reasoning(block) => json!({"reasoning": {"text": block.text, "signature": block.signature,
            "redacted": block.redacted, "id": block.id, "opaque": block.opaque}}),
        Part::ToolCall(call) => json!({"tool_call": {"id": call.id, "name": call.name, "arguments": call.arguments,
            "signature": call.signature}}),
        Part::ToolResult(result) => json!({"tool_result": {"id": result.id, "name": result.name,
            "content": result.content, "is_error": result.is_error}}),
    }
}

fn media(media: &Media) -> Value {
    match &media.source {
        MediaSource::Bytes(bytes) => json!({"mime": media.mime, "name": media.name, "bytes": bytes.len()}),
        MediaSource::Url(url) => json!({"mime": media.mime, "name": media.name, "url": url}),
    }
}

/// An amount as whole picodollars.
mod picos {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::domain::money::Usd;

    #[expect(clippy::ref_option, reason = "the shape that serde calls")]
    pub fn serialize<S: Serializer>(amount: &Option<Usd>, out: S) -> Result<S::Ok, S::Error> {
        amount.map(|amount| amount.picos).serialize(out)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Usd>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(Usd::from_picos))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Settlement, parameters, prompt};
    use crate::domain::bill::{Basis, Bill, Outcome};
    use crate::domain::chat::{ChatRequest, Media, MediaSource, Message, Part, Role, Settings};
    use crate::domain::model::ModelName;
    use crate::domain::report::CallReport;
    use crate::domain::usage::{Meter, Usage};

    #[test]
    fn only_what_was_set_is_a_parameter_and_a_secret_is_none() {
        let settings = Settings {
            max_tokens: Some(64),
            extra: vec![
                ("prompt_cache_key".into(), json!("kept")),
                ("proxy.api_key".into(), json!("sk-CANARY")),
                ("mcp".into(), json!([{"Authorization": "Bearer sk-CANARY", "max_tokens": 3}])),
            ],
            ..Settings::default()
        };
        let kept = parameters(&settings);
        assert_eq!(kept["max_tokens"], 64);
        assert_eq!(kept["prompt_cache_key"], "kept");
        assert_eq!(kept["mcp"][0]["max_tokens"], 3);
        assert!(!kept.to_string().contains("CANARY") && kept.get("temperature").is_none(), "{kept}");
    }

    #[test]
    fn an_attachment_is_kept_by_its_name_and_length() {
        let image =
            Media { mime: "image/png".into(), source: MediaSource::Bytes(vec![7; 9]), name: Some("a.png".into()) };
        let request = ChatRequest {
            messages: vec![Message { role: Role::User, parts: vec![Part::Text("see".into()), Part::Image(image)] }],
            ..ChatRequest::default()
        };
        let kept = prompt(&request);
        assert_eq!(kept["messages"][0]["parts"][0], json!({"text": "see"}));
        assert_eq!(
            kept["messages"][0]["parts"][1],
            json!({"image": {"mime": "image/png", "name": "a.png", "bytes": 9}})
        );
    }

    #[test]
    fn an_unpriced_call_keeps_its_counts() {
        let mut usage = Usage::default();
        usage.set(Meter::Input, 30);
        usage.set(Meter::WebSearch, 2);
        let name = ModelName { provider: "openai".into(), region: None, model: "m".into() };
        let report = CallReport::of(name, Outcome::Reported(usage), Bill::of(Basis::Unpriced, None));
        let settlement = Settlement::of(&report, false);
        assert_eq!((settlement.total, settlement.basis.as_str()), (None, "unpriced"));
        let counted: Vec<_> =
            settlement.lines.iter().map(|line| (line.meter.as_str(), line.quantity, line.per, line.amount)).collect();
        assert_eq!(counted, [("input", 30, 1_000_000, None), ("web_search", 2, 1_000, None)]);
    }
}
