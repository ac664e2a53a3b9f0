//! A comparison out of the books: `llmx logs show GROUP`.

use serde_json::Value;

use crate::domain::answer::Answer;
use crate::domain::bill::{Basis, Bill, Line, Outcome, PriceSource};
use crate::domain::chat::{ChatEvent, Finish, FinishReason, ToolCall};
use crate::domain::comparison::{Comparison, Lane, Run};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::record::{Price, Record, Settled, Settlement};
use crate::domain::report::{CallReport, Earlier, Stop, Timing};
use crate::domain::usage::{Meter, Usage};

/// The end of an id, by which it can be told from others on one screen.
#[must_use]
pub fn short(id: &str) -> &str {
    id.len().checked_sub(8).and_then(|from| id.get(from..)).unwrap_or(id)
}

/// The comparison that these calls were made for. `records`: a whole group, oldest first, with their texts.
#[must_use]
pub fn comparison(group: &str, records: Vec<Record>) -> Comparison {
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
    // Attempts of one call, in order, under the id of its first.
    let mut calls: Vec<(String, Vec<Record>)> = Vec::new();
    for record in records {
        let first = record.call.retry_of.clone().unwrap_or_else(|| record.call.id.clone());
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
        let run = Run { case, result: call(group, attempts), checks: Vec::new() };
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
fn call(group: &str, mut attempts: Vec<Record>) -> Result<CallReport, Failure> {
    let opened_ms = attempts.first().map_or(0, |first| first.opened_ms);
    let elapsed_ms = whole(last_ms(&attempts).saturating_sub(opened_ms));
    let count = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
    let last = attempts.pop().and_then(|last| report(group, last));
    let mut last = last.ok_or_else(|| {
        Failure::new(ErrorClass::Ledger, "it was never settled, and counts at its ceiling")
            .advise("`llmx ledger open` tells whether it is still running")
    })?;
    last.timing = Timing { elapsed_ms, attempts: count, ..last.timing };
    let earlier = attempts.into_iter().filter_map(|attempt| report(group, attempt));
    last.earlier = earlier.map(|report| Earlier::of(report, std::time::Duration::ZERO)).collect();
    Ok(last)
}

fn report(group: &str, record: Record) -> Option<CallReport> {
    let (total, name) = (record.total(), name(&record));
    let Settled { finished_ms, settlement } = record.settled?;
    let total_ms = whole(finished_ms.saturating_sub(record.opened_ms));
    let bill = Bill { total, ..bill(&settlement) };
    let failure = settlement.error_class.as_deref().map(|class| failure(class, &settlement, &bill));
    Some(CallReport {
        id: record.call.id,
        group: Some(group.to_owned()),
        region: record.call.region,
        name,
        outcome: outcome(&settlement),
        timing: Timing { first_token_ms: settlement.first_token_ms, total_ms, elapsed_ms: total_ms, attempts: 1 },
        request_id: settlement.request_id.clone(),
        stopped: settlement.stopped.as_deref().and_then(stop),
        clipped_from: record.call.clipped_from,
        answer: answer(settlement),
        bill,
        failure,
        earlier: Vec::new(),
        alerts: Vec::new(),
        unbooked: None,
    })
}

fn failure(class: &str, settlement: &Settlement, bill: &Bill) -> Failure {
    let known = ErrorClass::ALL.into_iter().find(|known| known.as_str() == class);
    let message = settlement.error.clone().unwrap_or_default();
    let mut failure = Failure::new(known.unwrap_or(ErrorClass::Protocol), message);
    failure.status = settlement.status;
    failure.may_be_billed = matches!(bill.basis, Basis::Estimated | Basis::Ceiling);
    failure
}

fn stop(word: &str) -> Option<Stop> {
    let all = [Stop::Interrupt, Stop::Terminate, Stop::Hangup, Stop::ClosedPipe];
    all.into_iter().find(|stop| format!("{stop:?}").to_lowercase() == word)
}

fn outcome(settlement: &Settlement) -> Outcome {
    let mut usage = Usage {
        raw: settlement.usage_raw.clone().unwrap_or_default(),
        reasoning: settlement.reasoning,
        service_tier: settlement.tier.clone(),
        ..Usage::default()
    };
    for line in settlement.lines.iter().filter(|line| line.model.is_none()) {
        if let Some(meter) = Meter::of(&line.meter) {
            let before = usage.get(meter).unwrap_or(0);
            usage.set(meter, before.saturating_add(line.quantity));
        }
    }
    let seen = (!usage.quantities.is_empty()).then(|| usage.clone());
    match (settlement.usage_source.as_deref(), settlement.basis.as_str()) {
        (Some("reported"), _) => Outcome::Reported(usage),
        (None, "nothing") => Outcome::NeverSent,
        _ => Outcome::Unconfirmed { seen },
    }
}

fn bill(settlement: &Settlement) -> Bill {
    const ALL: [Basis; 8] = [
        Basis::Table,
        Basis::Reported,
        Basis::Estimated,
        Basis::Ceiling,
        Basis::Simulated,
        Basis::Free,
        Basis::Unpriced,
        Basis::Nothing,
    ];
    let basis = ALL.into_iter().find(|basis| basis.as_str() == settlement.basis).unwrap_or(Basis::Unpriced);
    let lines = settlement.lines.iter().filter_map(|line| {
        Some(Line {
            meter: Meter::of(&line.meter)?,
            quantity: line.quantity,
            rate: line.rate.clone()?,
            usd: line.amount?,
            model: line.model.clone(),
        })
    });
    Bill {
        basis,
        total: settlement.total,
        at_most: settlement.at_most,
        table: settlement.table,
        lines: lines.collect(),
        price: settlement.price.as_ref().map(price),
        notes: settlement.notes.clone(),
    }
}

fn price(price: &Price) -> PriceSource {
    PriceSource {
        table: price.table.clone(),
        version: price.version.clone(),
        sha256: price.sha256.clone(),
        entry: price.entry.clone(),
        row_from: price.row_from.clone(),
        checked: price.checked.clone(),
    }
}

/// What was kept of an answer.
fn answer(settlement: Settlement) -> Answer {
    let mut answer = Answer::default();
    let kept = settlement.answer.unwrap_or_default();
    for part in kept["parts"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if part["text"].is_string() {
            answer.add(ChatEvent::Text(text(&part["text"])));
        } else if part["reasoning"].is_object() {
            answer.add(ChatEvent::Reasoning(text(&part["reasoning"]["text"])));
        } else if part["tool_call"].is_object() {
            let call = &part["tool_call"];
            let (id, name, arguments) = (text(&call["id"]), text(&call["name"]), text(&call["arguments"]));
            answer.add(ChatEvent::ToolCall(ToolCall { id, name, arguments, ..ToolCall::default() }));
        }
    }
    answer.refusal = kept["refusal"].as_str().unwrap_or_default().to_owned();
    answer.model_served = settlement.model_served;
    answer.id = settlement.response_id;
    answer.finish = settlement.stop_reason.as_deref().and_then(finish);
    answer
}

fn finish(word: &str) -> Option<Finish> {
    const ALL: [FinishReason; 7] = [
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::ToolCalls,
        FinishReason::ContentFilter,
        FinishReason::Refusal,
        FinishReason::StopSequence,
        FinishReason::Other,
    ];
    let reason = ALL.into_iter().find(|reason| reason.as_str() == word)?;
    Some(Finish { reason, raw: String::new(), detail: None })
}
