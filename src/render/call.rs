//! One call as text: its JSON object, its events as JSON lines, the lines for a failure and for its usage.

use std::time::Duration;

use serde_json::{Value, json};

use super::budget;
use crate::domain::bill::{Basis, Bill, Line, Outcome, PriceSource};
use crate::domain::chat::{ChatEvent, FinishReason};
use crate::domain::failure::{ErrorClass, Failure, Repeat};
use crate::domain::money::Usd;
use crate::domain::report::{CallReport, Earlier};
use crate::domain::untrusted::one_line;
use crate::domain::usage::{Meter, Usage};

/// The documented JSON object of one call (`schema` 1). Money is a decimal text; what is unknown is null, never 0.
#[must_use]
pub fn object(report: &CallReport) -> Value {
    let answer = &report.answer;
    let calls: Vec<Value> = answer
        .tool_calls()
        .map(|call| {
            let arguments = call.parsed().unwrap_or_else(|| call.arguments.clone().into());
            json!({"id": call.id, "name": call.name, "arguments": arguments})
        })
        .collect();
    json!({
        "schema": 1,
        "id": (!report.refused).then_some(&report.id),
        "group": report.group,
        "session": report.session,
        "provider": report.name.provider,
        "region": report.region,
        "model": report.name.model,
        "model_served": answer.model_served,
        "response_id": answer.id,
        "request_id": report.request_id,
        "text": answer.text(),
        "reasoning": answer.reasoning(),
        "refusal": (!answer.refusal.is_empty()).then_some(&answer.refusal),
        "tool_calls": calls,
        "server_tools": answer.server_tools,
        "stop_reason": answer.finish.as_ref().map(|finish| finish.reason.as_str()),
        "stop_reason_raw": answer.finish.as_ref().map(|finish| &finish.raw).filter(|raw| !raw.is_empty()),
        "stop_detail": answer.finish.as_ref().and_then(|finish| finish.detail.as_ref()),
        "stopped": stopped(report),
        "clipped_from": report.clipped_from,
        "usage": usage(report),
        "cost": {
            "usd": usd(report.bill.total),
            "at_most_usd": usd(report.bill.at_most),
            "basis": report.bill.basis.as_str(),
            "table_usd": usd(report.bill.table),
            "price": report.bill.price.as_ref().map(price),
            "lines": report.bill.lines.iter().map(line).collect::<Vec<_>>(),
            "notes": report.bill.notes,
        },
        "timing": {
            "first_token_ms": report.timing.first_token_ms,
            "total_ms": report.timing.total_ms,
            "elapsed_ms": report.timing.elapsed_ms,
            "attempts": report.timing.attempts,
        },
        "earlier": report.earlier.iter().map(earlier).collect::<Vec<_>>(),
        "alerts": report.all_alerts().map(budget::alerted).collect::<Vec<_>>(),
        "ignored": answer.ignored,
        "notes": notes(report),
        "error": report.failure.as_ref().map(error),
    })
}

/// Who ended the answer before its end: a signal, a closed pipe, or the cap that a budget left.
fn stopped(report: &CallReport) -> Option<String> {
    let cut = report.answer.finish.as_ref().is_some_and(|finish| finish.reason == FinishReason::Length);
    let by_budget = (report.clipped_from.is_some() && cut).then(|| "budget".to_owned());
    report.stopped.map(|stop| format!("{stop:?}").to_lowercase()).or(by_budget)
}

/// An attempt that failed and was followed by another.
fn earlier(attempt: &Earlier) -> Value {
    json!({
        "id": attempt.id,
        "provider": attempt.name.provider,
        "model": attempt.name.model,
        "cost": {"usd": usd(attempt.bill.total), "at_most_usd": usd(attempt.bill.at_most), "basis": attempt.bill.basis.as_str()},
        "timing": {"total_ms": attempt.total_ms, "waited_ms": attempt.waited_ms},
        "error": error(&attempt.failure),
    })
}

/// What is said once, where calls that are made together have no retry left.
pub const NO_MORE_RETRIES: &str = "too many calls of this command failed: what fails now is not asked again";

/// A failure in a few words: its class and status.
#[must_use]
pub fn short(failure: &Failure) -> String {
    match failure.status {
        Some(status) => format!("{} (HTTP {status})", failure.class),
        None => one_line(&failure.to_string()),
    }
}

/// `0.4 s`, `12 s`.
#[must_use]
pub fn seconds(wait: Duration) -> String {
    let tenths = wait.as_millis().div_ceil(100);
    if tenths >= 100 { format!("{} s", tenths / 10) } else { format!("{}.{} s", tenths / 10, tenths % 10) }
}

/// An amount as the decimal text of the JSON.
fn usd(amount: Option<Usd>) -> Option<String> {
    amount.map(|amount| amount.to_string())
}

/// Which table and entry the rates came from, and the day on which they were checked.
fn price(source: &PriceSource) -> String {
    let day = source.row_from.as_deref().or(source.checked.as_deref()).unwrap_or_default();
    format!("{} {} {day}", source.table, source.entry).trim_end().to_owned()
}

fn line(line: &Line) -> Value {
    json!({"meter": line.meter.key(), "quantity": line.quantity, "rate": line.rate, "usd": line.usd.to_string(),
        "model": line.model})
}

fn usage(report: &CallReport) -> Value {
    let Some(usage) = report.outcome.usage().or(report.answer.usage.as_ref()) else {
        return Value::Null;
    };
    let source = match &report.outcome {
        Outcome::Reported(_) => "reported",
        Outcome::Unconfirmed { .. } | Outcome::NeverSent => "partial",
    };
    let mut object = json!({
        "input": usage.get(Meter::Input),
        "cache_read": usage.get(Meter::CacheRead),
        "cache_write_5m": usage.get(Meter::CacheWrite5m),
        "cache_write_1h": usage.get(Meter::CacheWrite1h),
        "output": usage.get(Meter::Output),
        "reasoning": usage.reasoning,
        "source": source,
    });
    // Meters that most calls do not have are added where something was counted.
    for (meter, quantity) in &usage.quantities {
        let key = match meter {
            Meter::Input | Meter::CacheRead | Meter::CacheWrite5m | Meter::CacheWrite1h | Meter::Output => continue,
            Meter::ReasoningOut => "reasoning_apart",
            other => other.key(),
        };
        object[key] = (*quantity).into();
    }
    object["service_tier"] = usage.service_tier.clone().into();
    object["raw"] = usage.raw.clone();
    object
}

/// Notes on the answer and on its counts.
fn notes(report: &CallReport) -> Vec<&String> {
    report.answer.notes.iter().chain(report.answer.usage.iter().flat_map(Usage::notes)).collect()
}

/// The error object of the JSON.
#[must_use]
pub fn error(failure: &Failure) -> Value {
    let mut object = json!({
        "class": failure.class.as_str(),
        "message": failure.message,
        "provider_message": failure.provider_message,
        "provider_type": failure.provider_type,
        "status": failure.status,
        "request_id": failure.request_id,
        "retryable": failure.repeat != Repeat::Never,
        "retry_after_ms": failure.retry_after_ms,
        "may_be_billed": failure.may_be_billed,
        "try": failure.advice,
        "exit_code": failure.class.exit_code(),
    });
    if let (Some(refusal), Value::Object(map)) = (&failure.refusal, &mut object) {
        map.extend(budget::refused(refusal));
        map.insert("request_sent".into(), failure.sent_before.into());
    }
    object
}

/// One event as a JSON line, or `None` for what only the final object tells.
#[must_use]
pub fn event(event: &ChatEvent) -> Option<Value> {
    Some(match event {
        ChatEvent::Started { id, model } => json!({"event": "started", "response_id": id, "model_served": model}),
        ChatEvent::Text(text) => json!({"event": "text", "text": text}),
        ChatEvent::Reasoning(text) => json!({"event": "reasoning", "text": text}),
        ChatEvent::Refusal(text) => json!({"event": "refusal", "text": text}),
        ChatEvent::ToolCall(call) => {
            let arguments = call.parsed().unwrap_or_else(|| call.arguments.clone().into());
            json!({"event": "tool_call", "id": call.id, "name": call.name, "arguments": arguments})
        }
        ChatEvent::ServerTool(kind) => json!({"event": "server_tool", "kind": kind}),
        ChatEvent::Ignored(what) => json!({"event": "ignored", "what": what}),
        ChatEvent::Note(note) => json!({"event": "note", "note": note}),
        ChatEvent::Finished(finish) => {
            json!({"event": "finished", "stop_reason": finish.reason.as_str(), "stop_reason_raw": finish.raw})
        }
        ChatEvent::Usage(usage) => json!({"event": "usage", "raw": usage.raw}),
        ChatEvent::ReasoningDone(_) | ChatEvent::Growing(_) | ChatEvent::Skipped(_) => return None,
    })
}

/// The line of what happened and the `try:` line. `subject`: the model that was asked, with its region.
#[must_use]
pub fn failure(subject: Option<&str>, failure: &Failure) -> String {
    let subject = subject.map(|subject| format!("{}: ", one_line(subject))).unwrap_or_default();
    let class = match failure.class {
        ErrorClass::Config => String::new(),
        // The message begins with the budget.
        ErrorClass::Budget if failure.refusal.is_some() => String::new(),
        class => format!("{class}: "),
    };
    let billed = if failure.may_be_billed { " (it may have been billed)" } else { "" };
    let mut text = format!("llmx: {subject}{class}{}{billed}", one_line(&failure.message));
    if let Some(refusal) = &failure.refusal {
        for further in refusal.by.iter().skip(1) {
            text.push_str(&format!("\nllmx: {}", one_line(&further.words(usd(refusal.needed)))));
        }
    }
    if let Some(advice) = &failure.advice {
        text.push_str(&format!("\ntry: {}", one_line(advice)));
    }
    text
}

/// What `-v` adds to a failure: the provider's own words, status and ids.
#[must_use]
pub fn failure_details(failure: &Failure) -> Option<String> {
    let mut said = Vec::new();
    if let Some(status) = failure.status {
        said.push(format!("HTTP {status}"));
    }
    if let Some(kind) = &failure.provider_type {
        said.push(format!("type {}", one_line(kind)));
    }
    if let Some(id) = &failure.request_id {
        said.push(format!("request {}", one_line(id)));
    }
    if let Some(millis) = failure.retry_after_ms {
        said.push(format!("asks to wait {}.{:03} s", millis / 1000, millis % 1000));
    }
    if let Some(words) = &failure.provider_message {
        let words: String = words.chars().take(2048).collect();
        said.push(format!("in its words: {}", one_line(&words)));
    }
    (!said.is_empty()).then(|| said.join(" · "))
}

/// What must be said of the usage of a call that ended well, in one line: that none came or none is taken, and what is
/// booked instead, or what is odd about it. `all`: its oddities are told elsewhere.
#[must_use]
pub fn usage_note(report: &CallReport, all: bool) -> Option<String> {
    let booked = || match (report.bill.basis, report.bill.total) {
        (Basis::Unpriced, _) | (_, None) => "what this call cost is not known".to_owned(),
        (Basis::Free, Some(_)) => "the model is free".to_owned(),
        (_, Some(_)) => format!("booked is {}", amount(&report.bill)),
    };
    let Some(usage) = &report.answer.usage else {
        return Some(format!("the provider reported no usage; {}", booked()));
    };
    let told = match usage.warnings.as_slice() {
        [] => None,
        [first, more @ ..] if !all && !more.is_empty() => Some(format!("{first}; {} more with -v", more.len())),
        [first, ..] => Some(first.clone()),
    };
    match &report.outcome {
        Outcome::Reported(_) | Outcome::NeverSent => told.filter(|_| !all),
        Outcome::Unconfirmed { .. } => {
            let why = told.filter(|_| !usage.is_final()).unwrap_or("it counts nothing beside an answer".into());
            Some(format!("the provider's usage is not taken: {why}; {}", booked()))
        }
    }
}

/// What a call consumed, in one line for a person: tokens, amount, times, region.
#[must_use]
pub fn usage_line(report: &CallReport) -> String {
    let mut said = consumed(report);
    said.extend(report.region.as_deref().map(one_line));
    said.join(" · ")
}

/// The same for `-v`, with the model before it and the provider's id of the request behind.
#[must_use]
pub fn summary(report: &CallReport, subject: &str) -> String {
    let mut said = vec![one_line(subject)];
    said.extend(consumed(report));
    said.extend(report.request_id.as_deref().map(|id| format!("request {}", one_line(id))));
    said.join(" · ")
}

fn consumed(report: &CallReport) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(usage) = report.outcome.usage() {
        let some = |count: Option<u64>, what: &str| {
            count.filter(|count| *count > 0).map(|count| format!(" ({count} {what})")).unwrap_or_default()
        };
        if let Some(prompt) = usage.prompt_total() {
            said.push(format!("{prompt} in{}", some(usage.get(Meter::CacheRead), "cached")));
        }
        if let Some(output) = usage.get(Meter::Output) {
            said.push(format!("{output} out{}", some(usage.reasoning, "reasoning")));
        }
    }
    said.push(amount(&report.bill));
    let seconds = |millis: u64| format!("{}.{:02}s", millis / 1000, millis % 1000 / 10);
    said.extend(report.timing.first_token_ms.map(|first| format!("{} first", seconds(first))));
    said.push(seconds(report.timing.total_ms));
    said
}

/// The amount, exact, with what must be said beside it.
fn amount(bill: &Bill) -> String {
    match (bill.basis, bill.total, bill.at_most) {
        (Basis::Unpriced, ..) | (_, None, _) => "unpriced".to_owned(),
        (Basis::Free, ..) => "free".to_owned(),
        (Basis::Table | Basis::Reported, Some(total), _) => format!("${total}"),
        (Basis::Estimated | Basis::Ceiling, Some(total), Some(most)) => format!("about ${total}, at most ${most}"),
        (basis, Some(total), _) => format!("${total} ({})", basis.as_str()),
    }
}
