//! What `-vv` is told of a call. Names, counts and amounts only: never a prompt, an answer or a provider's own words.

use std::time::Duration;

use tracing::{Span, debug, info, info_span};

use super::ask::Plan;
use super::tries::Next;
use super::{ModelName, Target};
use crate::domain::answer::Answer;
use crate::domain::budget::Refusal;
use crate::domain::failure::Failure;
use crate::domain::money::Usd;
use crate::domain::report::{CallReport, Stop};
use crate::ledger::Reservation;

/// One attempt: a row of the books. `attempt` counts from 1 over all models of the call.
pub fn span(id: &str, name: &ModelName, attempt: usize) -> Span {
    info_span!("call", id, provider = name.provider, model = name.model, attempt)
}

pub fn planned(target: &Target<'_>, plan: &Plan) {
    debug!(from = target.provider.credential().as_deref().unwrap_or("none"), region = plan.draft.region, "credential");
    let Plan { quote, request_bytes, draft, .. } = plan;
    debug!(
        at_most_usd = %amount(quote.ceiling),
        priced = quote.priced,
        request_bytes,
        output_cap = draft.output_max,
        output_bound = quote.output_bound,
        "quote"
    );
}

pub fn reserved(reservation: &Reservation) {
    for standing in reservation.admitted() {
        let budget = &standing.budget;
        debug!(name = budget.name, limit_usd = %budget.limit, left_usd = %standing.free(), hard = budget.hard, "budget admits");
    }
    debug!(at_most_usd = %amount(reservation.ceiling()), clipped_to = reservation.cap(), "reserved");
}

pub fn refused(refusal: &Refusal) {
    for refused in &refusal.by {
        let standing = &refused.standing;
        info!(
            name = standing.budget.name,
            limit_usd = %standing.budget.limit,
            left_usd = %standing.free(),
            needed_usd = %amount(refusal.needed),
            why = refused.why.as_str(),
            "budget refuses"
        );
    }
}

pub fn first_token(after: Duration) {
    debug!(after_ms = millis(after), "first token");
}

pub fn finished(answer: &Answer, failure: Option<&Failure>, stopped: Option<Stop>, took: Duration) {
    debug!(
        class = failure.map(|failure| failure.class.as_str()),
        status = failure.and_then(|failure| failure.status),
        stopped = stopped.map(|stop| format!("{stop:?}").to_lowercase()),
        reason = answer.finish.as_ref().map(|finish| format!("{:?}", finish.reason).to_lowercase()),
        answer_bytes = answer.bytes(),
        after_ms = millis(took),
        "finish"
    );
}

pub fn settled(report: &CallReport) {
    let bill = &report.bill;
    info!(
        usd = %amount(bill.total),
        at_most_usd = bill.at_most.map(|most| most.to_string()),
        basis = bill.basis.as_str(),
        booked = report.unbooked.is_none(),
        total_ms = report.timing.total_ms,
        "settle"
    );
}

/// What follows an attempt that failed, and why.
pub fn next(span: &Span, next: Next, failure: &Failure, to: Option<&ModelName>) {
    let class = failure.class.as_str();
    let (status, asked_ms, may_be_billed) = (failure.status, failure.retry_after_ms, failure.may_be_billed);
    match next {
        Next::Again { wait } => {
            info!(parent: span, class, status, asked_ms, may_be_billed, wait_ms = millis(wait), "again");
        }
        Next::Instead => {
            info!(parent: span, class, status, asked_ms, may_be_billed, to = to.map(ToString::to_string), "another model");
        }
        Next::Stop => debug!(parent: span, class, status, asked_ms, may_be_billed, "no further attempt"),
    }
}

fn amount(amount: Option<Usd>) -> String {
    amount.map_or_else(|| "unknown".to_owned(), |amount| amount.to_string())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
