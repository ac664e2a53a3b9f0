//! A matrix of prompts × models that knows what the ledger already holds of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ring::digest::{Context, SHA256, digest};
use serde_json::{Value, json};

use crate::domain::chat::{ChatRequest, Media, MediaSource, Message, Part, Role, Settings, Tool, ToolChoice};
use crate::domain::failure::ErrorClass;
use crate::domain::model::ModelName;
use crate::domain::record::Record;
use crate::domain::report::{CallReport, Earlier};

/// The tag with which the calls of a cell are booked.
pub const TAG: &str = "cell";

/// One call of a matrix: a model, a prompt, and which time it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The model's position.
    pub lane: usize,
    /// The prompt's position.
    pub case: usize,
    /// From 0.
    pub run: usize,
    /// SHA-256 in hex of everything that decides the answer, and of the run.
    key: String,
}

impl Cell {
    /// The value of [`TAG`]: the beginning of the key.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.key[..16]
    }
}

/// The cells in the order in which they are asked: each prompt of every model before the next. `lanes`: the models, each
/// with the API and the address that it is asked at, in words. Prompts that are the same to the byte are cells of their
/// own.
#[must_use]
pub fn cells(lanes: &[(ModelName, String)], requests: &[&ChatRequest], runs: usize) -> Vec<Cell> {
    let mut times: HashMap<String, usize> = HashMap::new();
    let prompts: Vec<(String, usize)> = requests
        .iter()
        .map(|request| {
            let digest = sha256(&canonical(request).to_string());
            let before = times.entry(digest.clone()).or_default();
            *before += 1;
            (digest, *before - 1)
        })
        .collect();
    let mut cells = Vec::with_capacity(lanes.len() * requests.len() * runs);
    for run in 0..runs {
        for (case, (prompt, before)) in prompts.iter().enumerate() {
            for (lane, (name, place)) in lanes.iter().enumerate() {
                let key = sha256(&json!([name.to_string(), place, prompt, before * runs + run]).to_string());
                cells.push(Cell { lane, case, run, key });
            }
        }
    }
    cells
}

/// The id of the group in which the matrix is booked: the same cells in any order have the same.
#[must_use]
pub fn group(cells: &[Cell]) -> String {
    let mut keys: Vec<&str> = cells.iter().map(|cell| cell.key.as_str()).collect();
    keys.sort_unstable();
    let mut sum = Context::new(&SHA256);
    keys.into_iter().for_each(|key| sum.update(key.as_bytes()));
    format!("matrix-{}", &hex(sum.finish().as_ref())[..16])
}

/// What is already there of each cell, in the cells' order. `None`: it must be sent, since it never was, is open, was
/// stopped, failed in a way that another day may mend, or its answer is not kept. `records`: those of the group, oldest
/// first.
#[must_use]
pub fn finished(cells: &[Cell], lanes: &[(ModelName, String)], records: &[Record]) -> Vec<Option<CallReport>> {
    let mut booked: HashMap<&str, Vec<&Record>> = HashMap::new();
    for record in records {
        if let Some(tag) = record.call.tags.get(TAG) {
            booked.entry(tag).or_default().push(record);
        }
    }
    cells
        .iter()
        .map(|cell| {
            let attempts = booked.get(cell.tag())?;
            let last = attempts.iter().rposition(|record| stands(record))?;
            let mut report = told(attempts[last], &attempts[..last])?;
            report.name = lanes.get(cell.lane)?.0.clone();
            Some(report)
        })
        .collect()
}

/// Asking again would give nothing new: there is an answer, or the request itself is at fault.
fn stands(record: &Record) -> bool {
    let Some(settled) = &record.settled else { return false };
    if settled.settlement.stopped.is_some() {
        return false;
    }
    let Some(class) = &settled.settlement.error_class else { return record.keeps_answer() };
    match ErrorClass::ALL.into_iter().find(|known| known.as_str() == class) {
        Some(ErrorClass::ContextLength | ErrorClass::ContentFilter | ErrorClass::InvalidRequest) => true,
        // What the user mends, or what passes.
        None
        | Some(
            ErrorClass::Auth
            | ErrorClass::Permission
            | ErrorClass::NotFound
            | ErrorClass::Region
            | ErrorClass::RateLimit
            | ErrorClass::Quota
            | ErrorClass::Overloaded
            | ErrorClass::Timeout
            | ErrorClass::Network
            | ErrorClass::Protocol
            | ErrorClass::Budget
            | ErrorClass::Ledger
            | ErrorClass::Config,
        ) => false,
    }
}

/// The report of a call, with the attempts of the same call before it.
fn told(last: &Record, before: &[&Record]) -> Option<CallReport> {
    let mut report = last.report()?;
    let first = last.call.retry_of.as_ref();
    let chain: Vec<&Record> = before
        .iter()
        .copied()
        .filter(|record| {
            first.is_some_and(|first| record.call.id == *first || record.call.retry_of.as_ref() == Some(first))
        })
        .collect();
    if let Some(begun) = chain.first() {
        let since = last.settled.as_ref().map_or(0, |settled| settled.finished_ms - begun.opened_ms);
        report.timing.elapsed_ms = u64::try_from(since).unwrap_or(report.timing.total_ms);
    }
    let followers = chain.iter().skip(1).copied().chain([last]);
    report.earlier = chain
        .iter()
        .zip(followers)
        .filter_map(|(record, next)| {
            let ended = record.settled.as_ref()?.finished_ms;
            let waited = Duration::from_millis(u64::try_from(next.opened_ms - ended).unwrap_or(0));
            Some(Earlier::of(record.report()?, waited))
        })
        .collect();
    report.timing.attempts = u32::try_from(report.earlier.len()).unwrap_or(u32::MAX).saturating_add(1);
    Some(report)
}

/// The whole request as JSON that is the same for the same request: fields in one order, bytes by their SHA-256.
fn canonical(request: &ChatRequest) -> Value {
    // Named one by one, so that a new field cannot be forgotten here.
    let ChatRequest { system, messages, tools, tool_choice, settings } = request;
    let Settings { temperature, top_p, max_tokens, seed, stop, effort, show_reasoning, schema, cache, extra } =
        settings;
    let choice = tool_choice.as_ref().map(|choice| match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Any => json!("any"),
        ToolChoice::Named(name) => json!({ "named": name }),
    });
    json!({
        "system": system,
        "messages": messages.iter().map(message).collect::<Vec<_>>(),
        "tools": tools.iter().map(tool).collect::<Vec<_>>(),
        "tool_choice": choice,
        "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "seed": seed, "stop": stop,
        "effort": effort.map(|effort| effort.as_str()),
        "show_reasoning": show_reasoning,
        "schema": schema.as_ref().map(|schema| json!([schema.name, sorted(&schema.schema)])),
        "cache": cache.map(|lifetime| format!("{lifetime:?}")),
        "extra": extra.iter().map(|(path, value)| json!([path, sorted(value)])).collect::<Vec<_>>(),
    })
}

fn message(message: &Message) -> Value {
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    json!([role, message.parts.iter().map(part).collect::<Vec<_>>()])
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({ "text": text }),
        Part::Image(media) => json!({ "image": attached(media) }),
        Part::Document(media) => json!({ "document": attached(media) }),
        Part::Audio(media) => json!({ "audio": attached(media) }),
        Part::Reasoning(block) => json!({ "reasoning": [block.text, block.signature, block.redacted, block.id,
            block.opaque.as_ref().map(sorted)] }),
        Part::ToolCall(call) => json!({ "call": [call.id, call.name, call.arguments, call.signature] }),
        Part::ToolResult(result) => json!({ "result": [result.id, result.name, result.content, result.is_error] }),
    }
}

fn attached(media: &Media) -> Value {
    let source = match &media.source {
        MediaSource::Bytes(bytes) => hex(digest(&SHA256, bytes).as_ref()),
        MediaSource::Url(url) => url.clone(),
    };
    json!([media.mime, media.name, source])
}

fn tool(tool: &Tool) -> Value {
    json!([tool.name, tool.description, sorted(&tool.parameters)])
}

/// The value with the fields of its objects in the order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields: BTreeMap<&String, Value> = map.iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(fields.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn sha256(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Cell, TAG, cells, finished, group};
    use crate::domain::bill::Quote;
    use crate::domain::budget::Claim;
    use crate::domain::chat::{ChatRequest, Message, Part, Role, Settings};
    use crate::domain::comparison::tests::{answered, counted};
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::domain::model::ModelName;
    use crate::domain::record::{NewCall, Settlement};
    use crate::domain::report::{CallReport, Stop};
    use crate::ledger::{Admission, Ledger, Patience, Reservation};

    fn lanes(models: &[&str]) -> Vec<(ModelName, String)> {
        models
            .iter()
            .map(|model| {
                let name = ModelName { provider: "sim".into(), region: None, model: (*model).into() };
                (name, "auto".to_owned())
            })
            .collect()
    }

    fn asking(prompt: &str) -> ChatRequest {
        ChatRequest {
            messages: vec![Message { role: Role::User, parts: vec![Part::Text(prompt.into())] }],
            ..ChatRequest::default()
        }
    }

    fn matrix(models: &[&str], prompts: &[&str], runs: usize) -> Vec<Cell> {
        let requests: Vec<ChatRequest> = prompts.iter().map(|prompt| asking(prompt)).collect();
        cells(&lanes(models), &requests.iter().collect::<Vec<_>>(), runs)
    }

    fn opened(id: &str, cell: &Cell, group: &str, retry_of: Option<&str>) -> NewCall {
        NewCall {
            id: id.into(),
            group: Some(group.into()),
            retry_of: retry_of.map(str::to_owned),
            command: "compare".into(),
            provider: "sim".into(),
            model: "echo".into(),
            tags: [(TAG.to_owned(), cell.tag().to_owned())].into(),
            parameters: json!({}),
            ..NewCall::default()
        }
    }

    fn reserve(ledger: &mut Ledger, call: &NewCall, at_ms: i64) -> Reservation {
        let quote = Quote::default();
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        match ledger.admit(call, &claim, at_ms).expect("booked") {
            Admission::Granted(reservation) => reservation,
            Admission::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    /// Books one finished attempt at `at_ms`, which took a second.
    fn book(ledger: &mut Ledger, call: &NewCall, report: &CallReport, keep: bool, at_ms: i64) {
        let reservation = reserve(ledger, call, at_ms);
        ledger.settle(reservation, &Settlement::of(report, keep), at_ms + 1_000).expect("settled");
    }

    fn failed(class: ErrorClass) -> CallReport {
        CallReport { failure: Some(Failure::new(class, "no")), ..answered("", 1, 2, "0") }
    }

    #[test]
    fn a_key_is_of_all_that_decides_the_answer() {
        let keys = |lanes: &[(ModelName, String)], request: &ChatRequest| cells(lanes, &[request], 2);
        let plain = keys(&lanes(&["a"]), &asking("x"));
        assert_eq!(plain, keys(&lanes(&["a"]), &asking("x")));
        assert_ne!(plain[0].key, plain[1].key);
        let mut elsewhere = lanes(&["a"]);
        elsewhere[0].1 = "https://other".into();
        let mut in_region = lanes(&["a"]);
        in_region[0].0.region = Some("eu".into());
        let warm = ChatRequest { settings: Settings { temperature: Some(0.5), ..Settings::default() }, ..asking("x") };
        let ruled = ChatRequest { system: Some("s".into()), ..asking("x") };
        for other in [
            keys(&lanes(&["b"]), &asking("x")),
            keys(&elsewhere, &asking("x")),
            keys(&in_region, &asking("x")),
            keys(&lanes(&["a"]), &asking("y")),
            keys(&lanes(&["a"]), &warm),
            keys(&lanes(&["a"]), &ruled),
        ] {
            assert!(!other.iter().any(|cell| plain.iter().any(|plain| plain.key == cell.key)));
        }
        let with = |value| {
            let extra = vec![("o".to_owned(), value)];
            ChatRequest { settings: Settings { extra, ..Settings::default() }, ..asking("x") }
        };
        let (one, other) = (with(json!({"a": 1, "b": 2})), with(json!({"b": 2, "a": 1})));
        assert_eq!(keys(&lanes(&["a"]), &one), keys(&lanes(&["a"]), &other));
    }

    #[test]
    fn prompts_that_are_the_same_are_cells_of_their_own_and_their_order_makes_no_other_group() {
        let twice = matrix(&["a", "b"], &["x", "x"], 2);
        let mut tags: Vec<&str> = twice.iter().map(Cell::tag).collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 8);
        assert_eq!(group(&matrix(&["a", "b"], &["x", "y"], 1)), group(&matrix(&["b", "a"], &["y", "x"], 1)));
        assert_ne!(group(&matrix(&["a", "b"], &["x", "y"], 1)), group(&matrix(&["a", "b"], &["x"], 1)));
    }

    #[test]
    fn a_matrix_that_was_killed_half_way_sends_only_what_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let prompts: Vec<String> = (0..200).map(|number| format!("prompt {number}")).collect();
        let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
        let models = ["a", "b", "c", "d", "e"];
        let all = matrix(&models, &prompts, 1);
        let group = group(&all);
        {
            let mut ledger = Ledger::open(&path, Patience::default()).expect("opens");
            for (at, cell) in all.iter().take(503).enumerate() {
                let call = opened(&format!("call-{at}"), cell, &group, None);
                let at_ms = i64::try_from(at).expect("small");
                if at < 500 {
                    let report = counted(answered(&format!("answer {at}"), 1, 2, "0.001"), 3, 4);
                    book(&mut ledger, &call, &report, true, at_ms);
                } else {
                    // Three were on their way when the process died.
                    let _ = reserve(&mut ledger, &call, at_ms);
                }
            }
        }
        let ledger = Ledger::open(&path, Patience::default()).expect("opens again");
        // The same command again, its models in another order.
        let models = ["e", "d", "c", "b", "a"];
        let again = matrix(&models, &prompts, 1);
        let records = ledger.made_together(&super::group(&again)).expect("reads");
        let there = finished(&again, &lanes(&models), &records);
        assert_eq!(there.iter().flatten().count(), 500);
        for (cell, report) in again.iter().zip(&there) {
            let at = cell.case * 5 + (4 - cell.lane);
            let text = report.as_ref().map(|report| report.answer.text());
            assert_eq!(text, (at < 500).then(|| format!("answer {at}")));
            assert!(report.as_ref().is_none_or(|report| report.name.model == models[cell.lane]));
        }
    }

    #[test]
    fn what_may_go_better_another_time_or_was_not_kept_is_sent_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens");
        let good = || answered("yes", 1, 2, "0.1");
        let stopped = CallReport { stopped: Some(Stop::Interrupt), ..good() };
        let cases = [
            (good(), true, true),
            (good(), false, false),
            (stopped, true, false),
            (failed(ErrorClass::RateLimit), true, false),
            (failed(ErrorClass::Auth), true, false),
            (failed(ErrorClass::Timeout), true, false),
            (failed(ErrorClass::InvalidRequest), true, true),
            (failed(ErrorClass::ContentFilter), false, true),
        ];
        let names: Vec<String> = (0..cases.len()).map(|number| number.to_string()).collect();
        let all = matrix(&["a"], &names.iter().map(String::as_str).collect::<Vec<_>>(), 1);
        for (at, (report, keep, _)) in cases.iter().enumerate() {
            book(&mut ledger, &opened(&format!("c{at}"), &all[at], "g", None), report, *keep, 10_000);
        }
        let there = finished(&all, &lanes(&["a"]), &ledger.made_together("g").expect("reads"));
        let kept: Vec<bool> = there.iter().map(Option::is_some).collect();
        assert_eq!(kept, cases.each_ref().map(|(_, _, kept)| *kept));
    }

    #[test]
    fn an_answer_after_retries_comes_with_them_and_without_an_older_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens");
        let all = matrix(&["a"], &["x"], 1);
        let busy = failed(ErrorClass::Overloaded);
        book(&mut ledger, &opened("old", &all[0], "g", None), &failed(ErrorClass::Auth), true, 10_000);
        book(&mut ledger, &opened("one", &all[0], "g", None), &busy, true, 20_000);
        book(&mut ledger, &opened("two", &all[0], "g", Some("one")), &busy, true, 23_000);
        book(&mut ledger, &opened("three", &all[0], "g", Some("one")), &answered("yes", 1, 2, "0.1"), true, 25_000);
        // Another process asked as well and was stopped: the answer stands.
        let _ = reserve(&mut ledger, &opened("late", &all[0], "g", None), 30_000);
        let there = finished(&all, &lanes(&["a"]), &ledger.made_together("g").expect("reads"));
        let report = there[0].as_ref().expect("answered");
        let earlier: Vec<(&str, u64)> =
            report.earlier.iter().map(|earlier| (earlier.id.as_str(), earlier.waited_ms)).collect();
        assert_eq!((report.id.as_str(), earlier), ("three", vec![("one", 2_000), ("two", 1_000)]));
        assert_eq!((report.timing.attempts, report.timing.elapsed_ms), (3, 6_000));
    }
}
