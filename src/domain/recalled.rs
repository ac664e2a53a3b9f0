//! A call of the books as the report that it once was.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answer::Answer;
use super::bill::{Basis, Bill, Line, Outcome, PriceSource};
use super::chat::{Finish, FinishReason, Part, Reasoning, ToolCall};
use super::failure::{ErrorClass, Failure};
use super::model::ModelName;
use super::money::Usd;
use super::record::{Price, Record, RecordLine, Settled, Settlement};
use super::report::{CallReport, Stop, Timing};
use super::usage::{Meter, Usage};

impl Record {
    /// What the faces show of a settled call, as far as the books hold it: text, thinking and tool calls where they are
    /// kept, the usage where it was reported, the amount as it is booked today, the times, and the class and the words of
    /// a failure. `None`: it is open.
    #[must_use]
    pub fn report(&self) -> Option<CallReport> {
        let Settled { finished_ms, settlement } = self.settled.as_ref()?;
        let total_ms = u64::try_from(finished_ms - self.opened_ms).unwrap_or(0);
        Some(CallReport {
            id: self.call.id.clone(),
            group: self.call.group.clone(),
            session: self.call.session.clone(),
            name: ModelName {
                provider: self.call.provider.clone(),
                region: self.call.region.clone(),
                model: self.call.model.clone(),
            },
            region: self.call.region.clone(),
            answer: answer(settlement),
            outcome: outcome(settlement),
            bill: self.bill(settlement),
            timing: Timing { first_token_ms: settlement.first_token_ms, total_ms, elapsed_ms: total_ms, attempts: 1 },
            request_id: settlement.request_id.clone(),
            failure: settlement.error_class.as_deref().map(|class| failure(class, settlement)),
            stopped: settlement.stopped.as_deref().and_then(stop),
            refused: false,
            clipped_from: self.call.clipped_from,
            earlier: Vec::new(),
            alerts: Vec::new(),
            unbooked: None,
        })
    }

    /// The text of the answer is in the books; one that was too long to be kept is not.
    #[must_use]
    pub fn keeps_answer(&self) -> bool {
        let answer = self.settled.as_ref().and_then(|settled| settled.settlement.answer.as_ref());
        answer.is_some_and(|answer| answer["parts"].is_array())
    }

    fn bill(&self, settlement: &Settlement) -> Bill {
        let corrected = self.corrections.last();
        let basis = corrected.map_or(settlement.basis.as_str(), |correction| correction.basis.as_str());
        Bill {
            basis: Basis::of(basis).unwrap_or(Basis::Unpriced),
            total: self.total(),
            at_most: settlement.at_most.filter(|_| corrected.is_none()),
            table: settlement.table,
            lines: settlement.lines.iter().filter_map(line).collect(),
            price: settlement.price.as_ref().map(source),
            notes: settlement.notes.clone(),
        }
    }
}

impl Basis {
    /// The basis with this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Basis> {
        let all = [
            Basis::Table,
            Basis::Reported,
            Basis::Estimated,
            Basis::Ceiling,
            Basis::Simulated,
            Basis::Free,
            Basis::Unpriced,
            Basis::Nothing,
        ];
        all.into_iter().find(|basis| basis.as_str() == word)
    }
}

fn answer(settlement: &Settlement) -> Answer {
    let kept = settlement.answer.as_ref();
    let parts = kept.and_then(|kept| kept["parts"].as_array());
    let mut answer = Answer::default();
    answer.id = settlement.response_id.clone();
    answer.model_served = settlement.model_served.clone();
    answer.parts = parts.into_iter().flatten().filter_map(part).collect();
    answer.refusal = kept.and_then(|kept| kept["refusal"].as_str()).unwrap_or_default().to_owned();
    answer.finish =
        settlement.stop_reason.as_deref().map(|word| Finish { reason: finish(word), raw: String::new(), detail: None });
    answer
}

/// A part of an answer; of attachments only the description is kept.
fn part(kept: &Value) -> Option<Part> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(said) = text(&kept["text"]) {
        return Some(Part::Text(said));
    }
    if let Value::Object(block) = &kept["reasoning"] {
        let field = |name: &str| block.get(name).and_then(text);
        return Some(Part::Reasoning(Reasoning {
            text: field("text").unwrap_or_default(),
            signature: field("signature"),
            redacted: field("redacted"),
            id: field("id"),
            opaque: block.get("opaque").filter(|opaque| !opaque.is_null()).cloned(),
        }));
    }
    let call = kept["tool_call"].as_object()?;
    let field = |name: &str| call.get(name).and_then(text);
    Some(Part::ToolCall(ToolCall {
        id: field("id").unwrap_or_default(),
        name: field("name").unwrap_or_default(),
        arguments: field("arguments").unwrap_or_default(),
        signature: field("signature"),
    }))
}

/// The counts of a reported usage are those of its lines. Those of an estimate were never seen.
fn outcome(settlement: &Settlement) -> Outcome {
    let reported = settlement.usage_source.as_deref() == Some("reported");
    if !reported && settlement.usage_source.is_none() && settlement.basis == Basis::Nothing.as_str() {
        return Outcome::NeverSent;
    }
    let mut quantities = BTreeMap::new();
    for line in settlement.lines.iter().filter(|_| reported) {
        if let Some(meter) = Meter::of(&line.meter) {
            let sum: &mut u64 = quantities.entry(meter).or_default();
            *sum = sum.saturating_add(line.quantity);
        }
    }
    let usage = Usage {
        quantities,
        reasoning: settlement.reasoning,
        raw: settlement.usage_raw.clone().unwrap_or_default(),
        service_tier: settlement.tier.clone(),
        ..Usage::default()
    };
    match settlement.usage_source {
        Some(_) if reported => Outcome::Reported(usage),
        Some(_) => Outcome::Unconfirmed { seen: Some(usage) },
        None => Outcome::Unconfirmed { seen: None },
    }
}

fn failure(class: &str, settlement: &Settlement) -> Failure {
    let known = ErrorClass::ALL.into_iter().find(|known| known.as_str() == class);
    let message = settlement.error.clone().unwrap_or_else(|| class.to_owned());
    Failure {
        status: settlement.status,
        request_id: settlement.request_id.clone(),
        may_be_billed: settlement.total != Some(Usd::default()),
        ..Failure::new(known.unwrap_or(ErrorClass::Protocol), message)
    }
}

fn line(line: &RecordLine) -> Option<Line> {
    Some(Line {
        meter: Meter::of(&line.meter)?,
        quantity: line.quantity,
        rate: line.rate.clone()?,
        usd: line.amount?,
        model: line.model.clone(),
    })
}

fn source(price: &Price) -> PriceSource {
    PriceSource {
        table: price.table.clone(),
        version: price.version.clone(),
        sha256: price.sha256.clone(),
        entry: price.entry.clone(),
        row_from: price.row_from.clone(),
        checked: price.checked.clone(),
    }
}

fn finish(word: &str) -> FinishReason {
    let known = [
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::ToolCalls,
        FinishReason::ContentFilter,
        FinishReason::Refusal,
        FinishReason::StopSequence,
    ];
    known.into_iter().find(|reason| reason.as_str() == word).unwrap_or(FinishReason::Other)
}

fn stop(word: &str) -> Option<Stop> {
    let all = [Stop::Interrupt, Stop::Terminate, Stop::Hangup, Stop::ClosedPipe];
    all.into_iter().find(|stop| format!("{stop:?}").to_lowercase() == word)
}

#[cfg(test)]
mod tests {
    use crate::domain::bill::{Basis, Bill, Line, Outcome};
    use crate::domain::chat::{ChatEvent, Finish, FinishReason, Reasoning, ToolCall};
    use crate::domain::comparison::tests::{answered, counted};
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::domain::money::Usd;
    use crate::domain::record::{NewCall, Record, Settled, Settlement};
    use crate::domain::report::{CallReport, Stop};
    use crate::domain::usage::Meter;

    /// A report as the books hold it.
    fn booked(report: &CallReport) -> Record {
        let call = NewCall {
            id: report.id.clone(),
            provider: report.name.provider.clone(),
            model: report.name.model.clone(),
            ..NewCall::default()
        };
        let finished_ms = 1_000 + i64::try_from(report.timing.total_ms).expect("small");
        let settled = Some(Settled { finished_ms, settlement: Settlement::of(report, true) });
        Record { opened_ms: 1_000, call, settled, corrections: Vec::new(), said: None, source: None, requests: 1 }
    }

    #[test]
    fn a_report_that_went_through_the_books_is_the_same() {
        let mut report = counted(answered("Rome", 610, 2840, "0.0013"), 42, 80);
        for event in [
            ChatEvent::ReasoningDone(Reasoning {
                text: "hm".into(),
                signature: Some("s".into()),
                ..Reasoning::default()
            }),
            ChatEvent::ToolCall(ToolCall {
                id: "t1".into(),
                name: "f".into(),
                arguments: "{}".into(),
                signature: None,
            }),
            ChatEvent::Refusal("no".into()),
            ChatEvent::Finished(Finish { reason: FinishReason::Length, raw: String::new(), detail: None }),
        ] {
            report.answer.add(event);
        }
        report.bill.lines = [(Meter::Input, 42), (Meter::Output, 80)]
            .map(|(meter, quantity)| Line { meter, quantity, rate: "1".into(), usd: Usd::from_picos(7), model: None })
            .into();
        assert_eq!(booked(&report).report(), Some(report));
    }

    #[test]
    fn a_failure_and_a_stop_are_recalled_and_an_estimate_is_no_count() {
        let mut cut = answered("Ro", 1, 2, "0.1");
        cut.outcome = Outcome::Unconfirmed { seen: None };
        cut.bill = Bill { at_most: Usd::parse("0.5"), ..Bill::of(Basis::Estimated, Usd::parse("0.1")) };
        cut.failure =
            Some(Failure { status: Some(529), ..Failure::new(ErrorClass::Overloaded, "no room") }.maybe_billed());
        cut.stopped = Some(Stop::ClosedPipe);
        let told = booked(&cut).report().expect("settled");
        assert_eq!((told.outcome, told.stopped, told.answer.text()), (cut.outcome, cut.stopped, "Ro".into()));
        let failure = told.failure.expect("failed");
        assert_eq!((failure.class, failure.status, failure.may_be_billed), (ErrorClass::Overloaded, Some(529), true));
        assert_eq!(told.bill.at_most, Usd::parse("0.5"));
    }

    #[test]
    fn an_answer_that_was_not_kept_is_not_mistaken_for_an_empty_one() {
        let mut record = booked(&answered("", 1, 2, "0.1"));
        assert!(record.keeps_answer());
        let settlement = &mut record.settled.as_mut().expect("settled").settlement;
        settlement.answer = Some(serde_json::json!({"left_out_bytes": 9_000_000}));
        assert!(!record.keeps_answer());
    }
}
