//! A comparison out of the books: `llmx logs show GROUP`.

use std::time::Duration;

use serde_json::Value;

use crate::command::compare::{judge, resume};
use crate::domain::comparison::{Comparison, Lane, Run};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::record::Record;
use crate::domain::report::{CallReport, Earlier, Timing};

/// The end of an id, by which it can be told from others on one screen.
#[must_use]
pub fn short(id: &str) -> &str {
    id.len().checked_sub(8).and_then(|from| id.get(from..)).unwrap_or(id)
}

/// The comparison that these calls were made for. `records`: a whole group, oldest first, with their texts.
#[must_use]
pub fn comparison(group: &str, mut records: Vec<Record>) -> Comparison {
    records.retain(|record| !record.call.tags.contains_key(judge::TAG));
    let wall_ms = whole(last_ms(&records).saturating_sub(records.iter().map(|one| one.opened_ms).min().unwrap_or(0)));
    let prompts: Vec<String> = records.iter().filter_map(|record| asked(record.call.prompt.as_ref()?)).collect();
    let mut cases: Vec<String> = Vec::new();
    for prompt in &prompts {
        if !cases.contains(prompt) {
            cases.push(prompt.clone());
        }
    }
    if cases.len() < 2 {
        cases.clear();
    }
    // Attempts of one call, in order, under the id of its first; in a matrix, under its cell: a later one stands for those
    // that failed before.
    let mut calls: Vec<(String, Vec<Record>)> = Vec::new();
    for record in records {
        let cell = record.call.tags.get(resume::TAG).or(record.call.retry_of.as_ref());
        let first = cell.unwrap_or(&record.call.id).clone();
        match calls.iter_mut().find(|(id, _)| *id == first) {
            Some((_, attempts)) => attempts.push(record),
            None => calls.push((first, vec![record])),
        }
    }
    let mut lanes: Vec<Lane> = Vec::new();
    for (_, attempts) in calls {
        let Some(name) = attempts.first().map(name) else { continue };
        let prompt = attempts.first().and_then(|first| asked(first.call.prompt.as_ref()?));
        let case = prompt.and_then(|prompt| cases.iter().position(|case| *case == prompt));
        let run = Run { case, result: call(&attempts), checks: Vec::new() };
        match lanes.iter_mut().find(|lane| lane.name == name) {
            Some(lane) => lane.runs.push(run),
            None => lanes.push(Lane { label: name.to_string(), name, runs: vec![run] }),
        }
    }
    let prompt = if cases.is_empty() { prompts.into_iter().next().unwrap_or_default() } else { String::new() };
    Comparison { group: group.to_owned(), prompt, cases, lanes, wall_ms, judged: None }
}

fn name(record: &Record) -> ModelName {
    let call = &record.call;
    ModelName { provider: call.provider.clone(), region: call.region.clone(), model: call.model.clone() }
}

fn last_ms(records: &[Record]) -> i64 {
    let ended = |record: &Record| record.settled.as_ref().map_or(record.opened_ms, |settled| settled.finished_ms);
    records.iter().map(ended).max().unwrap_or(0)
}

fn whole(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0)
}

/// The text of a conversation that was kept.
fn asked(prompt: &Value) -> Option<String> {
    let messages = prompt["messages"].as_array()?;
    let parts = messages.iter().filter_map(|message| message["parts"].as_array()).flatten();
    Some(parts.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n\n"))
}

/// One call: its last attempt, and those before it in short.
fn call(attempts: &[Record]) -> Result<CallReport, Failure> {
    let open = || {
        Failure::new(ErrorClass::Ledger, "it was never settled, and counts at its ceiling")
            .advise("`llmx ledger open` tells whether it is still running")
    };
    let (last, before) = attempts.split_last().ok_or_else(open)?;
    let mut report = last.report().ok_or_else(open)?;
    let opened_ms = attempts.first().map_or(0, |first| first.opened_ms);
    report.timing = Timing {
        elapsed_ms: whole(last_ms(attempts).saturating_sub(opened_ms)),
        attempts: u32::try_from(attempts.len()).unwrap_or(u32::MAX),
        ..report.timing
    };
    let earlier = before.iter().filter_map(Record::report);
    report.earlier = earlier.map(|report| Earlier::of(report, Duration::ZERO)).collect();
    Ok(report)
}
