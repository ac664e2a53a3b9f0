//! One attempt: draft, quote, reserve, send, meter, bill, settle. One row of the books.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::ask::{Plan, lowest_cap, plan, requested_tier};
use super::meter::{Meter, outcome, together};
use super::{Call, News, Show, Stopping, Target, trace, words};
use crate::domain::answer::Answer;
use crate::domain::bill::{Basis, Bill, Outcome, Quote};
use crate::domain::budget::{Alert, Claim};
use crate::domain::chat::{ChatEvent, ChatRequest};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::record::{self, NewCall, Settlement};
use crate::domain::report::{CallReport, Stop, Timing};
use crate::ledger::{Admission, Ledger, Reservation};
use crate::pricing::{Called, Context, Moment};
use crate::provider::departure::Departure;
use crate::provider::key::Redactor;
use crate::provider::{Draft, Errand, Provider};

/// How long the final usage is waited for after the user stopped the call, and after the reader went away.
const DRAIN_SIGNAL: Duration = Duration::from_millis(200);
const DRAIN_PIPE: Duration = Duration::from_secs(1);

/// Bytes of an answer after which it is priced again, where a purse may run out.
const PURSE_STEP: u64 = 512;

/// One request to one model.
pub(super) struct Attempt<'a, 'b> {
    pub call: &'b Call<'a>,
    pub target: &'b Target<'a>,
    /// Our id of it.
    pub id: String,
    /// Our id of the first attempt, where this is not it.
    pub retry_of: Option<String>,
    /// When the whole call must be over.
    pub deadline: Option<Instant>,
}

/// The request as it is sent, and how it is priced.
struct Prepared {
    request: ChatRequest,
    place: ModelName,
    context: Context,
    request_bytes: u64,
    quote: Quote,
    opened_ms: i64,
}

impl Attempt<'_, '_> {
    /// Quotes, reserves, sends, shows the answer as it comes, bills and settles. A failure after the reservation is a part
    /// of the report, since what came before it stands.
    ///
    /// # Errors
    /// A [`Failure`] where nothing was sent: the request has no form in the API, a budget refuses it, or it cannot be
    /// booked.
    pub async fn run(&self, show: &mut Show<'_>, stopping: &mut Stopping<'_>) -> Result<CallReport, Failure> {
        let provider = self.target.provider;
        let (mut prepared, draft) = self.prepare()?;
        let reservation = self.reserve(&prepared, &draft)?;
        trace::reserved(&reservation);
        let clipped_from = reservation.cap().and(draft.output_max.or(prepared.quote.output_cap));
        if let (Some(cap), Some(from)) = (reservation.cap(), clipped_from) {
            prepared.request.settings.max_tokens = u32::try_from(cap).ok();
            prepared.quote.lower(cap, reservation.ceiling());
            show(News::Clipped { from, to: cap });
        }

        // Calls that are made together are all reserved before any of them is sent, and none waits on its clock for the others.
        tokio::task::yield_now().await;
        let mut meter = Meter::begin();
        if let Some(warning) = reservation.warning() {
            meter.remark(warning.to_owned(), show);
        }
        for passed in reservation.passed() {
            let said = passed.passed_by(reservation.ceiling());
            show(News::Passed { budget: &passed.standing.budget, said: &said });
            meter.answer.add(ChatEvent::Note(said));
        }
        let mut head = None;
        let held = reservation.ceiling();
        let departure = Departure::default();
        let errand = Errand { id: &self.id, departure: &departure };
        let (mut failure, stopped) = self.meter(&prepared, errand, &mut meter, &mut head, show, stopping).await;
        trace::finished(&meter.answer, failure.as_ref(), stopped, meter.began.elapsed());
        let Head { request_id, redactor } = head.unwrap_or_default();
        if let Some(usage) = &mut meter.answer.usage {
            usage.change_notes(&|note| redactor.text(note));
        }
        let outcome = outcome(&meter.answer, failure.as_ref(), stopped, departure.left());
        if let Some(failure) = &mut failure {
            words::say_how_far(failure, &self.called(&meter.answer, &prepared, None, None), &meter.answer, &outcome);
            words::name_larger(failure, self.target, self.call.prices);
        }
        let bill = self.bill(&meter.answer, &outcome, &prepared);
        if let Some(breach) = bill.breach(&prepared.quote) {
            meter.remark(breach, show);
        }
        let total_ms = millis(meter.began.elapsed());
        let timing =
            Timing { first_token_ms: meter.first_token.map(millis), total_ms, elapsed_ms: total_ms, attempts: 1 };
        let mut report = CallReport {
            id: self.id.clone(),
            group: self.call.group.clone(),
            session: self.call.caller.session.clone(),
            region: provider.region().map(str::to_owned),
            request_id: request_id.or_else(|| failure.as_ref().and_then(|failure| failure.request_id.clone())),
            timing,
            answer: meter.answer,
            failure,
            stopped,
            clipped_from,
            ..CallReport::of(self.target.name.clone(), outcome, bill)
        };
        match self.settle(reservation, &report, &redactor) {
            Ok(alerts) => report.alerts = alerts,
            Err(failure) => report.unbooked = Some(failure),
        }
        trace::settled(&report);
        if let Some(witness) = &self.call.caller.witness {
            witness.settled(self.call, &report, self.retry_of.as_deref(), prepared.opened_ms);
        }
        self.pay(held, &report.bill);
        Ok(report)
    }

    pub fn quote(&self) -> Result<Quote, Failure> {
        self.prepare().map(|(prepared, _)| prepared.quote)
    }

    fn prepare(&self) -> Result<(Prepared, Draft), Failure> {
        let call = self.call;
        let opened_ms = (call.now)();
        let plan = plan(self.target, call.request, call.prices, opened_ms)?;
        trace::planned(self.target, &plan);
        let Plan { draft, place, context, request_bytes, quote } = plan;
        Ok((Prepared { request: call.request.clone(), place, context, request_bytes, quote, opened_ms }, draft))
    }

    /// Books the call at the most that it can cost, before a byte of it leaves, if every budget admits it.
    fn reserve(&self, prepared: &Prepared, draft: &Draft) -> Result<Reservation, Failure> {
        let call = self.call;
        let new = NewCall {
            id: self.id.clone(),
            group: call.group.clone(),
            retry_of: self.retry_of.clone(),
            command: call.caller.command.to_owned(),
            provider: prepared.place.provider.clone(),
            model: prepared.place.model.clone(),
            region: prepared.place.region.clone(),
            tier: requested_tier(draft),
            credential: self.target.provider.credential(),
            project: call.caller.project.clone(),
            user: call.caller.user.clone(),
            team: call.caller.team.clone(),
            session: call.caller.session.clone(),
            tags: call.caller.tags.clone(),
            parameters: record::parameters(&call.request.settings),
            ceiling: prepared.quote.ceiling,
            route: call.caller.route.clone(),
            prompt: call.caller.keeps_texts.then(|| record::prompt(call.request)),
            ..NewCall::default()
        };
        let mut ledger = self.ledger();
        // Under the ledger's lock: calls of this command that are made at once share the purse.
        let mut purse = call.guard.purse.map(|purse| purse.lock().unwrap_or_else(PoisonError::into_inner));
        let claim = Claim {
            budgets: call.guard.budgets,
            quote: &prepared.quote,
            cap: draft.output_max,
            floor: call.guard.floor.and_then(|floor| lowest_cap(self.target, call.request, floor)),
            purse: purse.as_deref().copied(),
        };
        match ledger.admit(&new, &claim, prepared.opened_ms)? {
            Admission::Granted(reservation) => {
                if let Some(purse) = &mut purse {
                    purse.held = sum(purse.held, reservation.ceiling());
                }
                Ok(reservation)
            }
            Admission::Refused(refusal) => {
                trace::refused(&refusal);
                Err(refusal.failure(prepared.opened_ms))
            }
        }
    }

    fn bill(&self, answer: &Answer, outcome: &Outcome, prepared: &Prepared) -> Bill {
        let served = answer.model_served.as_deref();
        self.call.prices.bill(&self.called(answer, prepared, served, Some(&prepared.quote)), outcome)
    }

    /// `quote`: what was said before the call, and bounds what is not known after it.
    fn called<'c>(
        &self,
        answer: &Answer,
        prepared: &'c Prepared,
        served: Option<&'c str>,
        quote: Option<&'c Quote>,
    ) -> Called<'c> {
        Called {
            name: &prepared.place,
            served,
            at: Moment::from_ms(prepared.opened_ms),
            context: &prepared.context,
            quote,
            request_bytes: Some(prepared.request_bytes),
            answer_bytes: answer.bytes(),
            simulated: matches!(self.target.provider, Provider::Sim(_)),
        }
    }

    /// Books what became of the call. Where that fails the answer stands all the same. A server may say the key that it
    /// was sent in anything: the books do not keep it.
    fn settle(
        &self,
        reservation: Reservation,
        report: &CallReport,
        redactor: &Redactor,
    ) -> Result<Vec<Alert>, Failure> {
        let mut settlement = Settlement::of(report, self.call.caller.keeps_texts);
        if redactor.knows_a_key() {
            settlement.change_texts(&|text| redactor.text(text));
        }
        Ok(self.ledger().settle(reservation, &settlement, (self.call.now)())?)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.call.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the call out of what the purse holds, and into what is spent.
    fn pay(&self, held: Option<Usd>, bill: &Bill) {
        if let Some(purse) = self.call.guard.purse {
            let mut purse = purse.lock().unwrap_or_else(PoisonError::into_inner);
            purse.held = Usd::from_picos(purse.held.picos - held.unwrap_or_default().picos);
            // A charge that nobody knows, or whose most nobody knows, is taken to be all that was held.
            let sure = bill.total.filter(|_| bill.basis != Basis::Estimated);
            purse.spent = sum(purse.spent, bill.at_most.or(sure).or(held.max(bill.total)));
        }
    }

    /// Sends, shows and counts, until the end of the answer, a failure, a stop or a limit.
    async fn meter(
        &self,
        prepared: &Prepared,
        errand: Errand<'_>,
        meter: &mut Meter,
        head: &mut Option<Head>,
        show: &mut Show<'_>,
        stopping: &mut Stopping<'_>,
    ) -> (Option<Failure>, Option<Stop>) {
        let first = self.call.limits.first_token.map(|limit| meter.began + limit);
        let mut arriving = tokio::select! {
            biased;
            stop = &mut *stopping => return (None, Some(stop)),
            () = until(self.deadline) => return (Some(self.out_of_time(errand)), None),
            () = until(first) => return (Some(self.no_token(errand)), None),
            sent = self.target.provider.send(&prepared.request, &self.call.limits, errand) => match sent {
                Ok(arriving) => arriving,
                Err(failure) => return (Some(failure), None),
            },
        };
        *head = Some(Head { request_id: arriving.request_id().map(str::to_owned), redactor: arriving.redactor() });
        let mut events = Vec::new();
        let mut priced_at = 0;
        loop {
            let first = first.filter(|_| meter.first_token.is_none());
            let next = tokio::select! {
                biased;
                stop = &mut *stopping => {
                    meter.drain(&mut arriving, events, DRAIN_SIGNAL).await;
                    return (None, Some(stop));
                }
                () = until(self.deadline) => return (Some(self.out_of_time(errand)), None),
                () = until(first) => return (Some(self.no_token(errand)), None),
                next = together(&mut arriving, &mut events) => next,
            };
            let counted = events.iter().any(|event| matches!(event, ChatEvent::Usage(_)));
            let read = meter.take(&mut events, show);
            match next {
                Err(failure) => return (Some(failure), None),
                Ok(_) if !read => {
                    meter.drain(&mut arriving, events, DRAIN_PIPE).await;
                    return (None, Some(Stop::ClosedPipe));
                }
                Ok(true) => {}
                Ok(false) => return (None, None),
            }
            if self.call.guard.purse.is_some() && (counted || meter.answer.bytes() >= priced_at + PURSE_STEP) {
                priced_at = meter.answer.bytes();
                if let Some(failure) = self.purse_is_empty(&meter.answer, prepared) {
                    meter.drain(&mut arriving, events, DRAIN_SIGNAL).await;
                    return (Some(failure), None);
                }
            }
        }
    }

    /// The most that the command may spend is passed by what has come so far: only where a provider gives more than the
    /// cap that it was sent, since the reservation fitted.
    fn purse_is_empty(&self, answer: &Answer, prepared: &Prepared) -> Option<Failure> {
        let purse = *self.call.guard.purse?.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = Outcome::Unconfirmed { seen: answer.usage.clone() };
        // A model that the response names and nobody can price must not keep the purse open: the asked one's rates hold.
        let so_far = [answer.model_served.as_deref(), None]
            .into_iter()
            .find_map(|served| self.call.prices.bill(&self.called(answer, prepared, served, None), &seen).total)?;
        let spent = sum(purse.spent, Some(so_far));
        (spent > purse.limit).then(|| {
            let message = format!("stopped at about ${spent}: --max-cost ${} is passed", purse.limit);
            Failure::new(ErrorClass::Budget, message).advise("raise --max-cost, or ask for less").maybe_billed()
        })
    }

    fn out_of_time(&self, errand: Errand<'_>) -> Failure {
        let seconds = self.call.total.unwrap_or_default().as_secs();
        let failure =
            Failure::new(ErrorClass::Timeout, format!("the call took longer than its {seconds} s (--timeout)"))
                .advise("raise --timeout, or ask for less");
        late(failure, errand)
    }

    fn no_token(&self, errand: Errand<'_>) -> Failure {
        let limit = self.call.limits.first_token.unwrap_or_default();
        let message = format!("no token within {} ms (limits.first_token_ms)", limit.as_millis());
        let advice = "raise --first-token-timeout or limits.first_token_ms, or use a faster model";
        late(Failure::new(ErrorClass::Timeout, message).advise(advice), errand)
    }
}

/// Before anything of it had left, a request cost nothing.
fn late(failure: Failure, errand: Errand<'_>) -> Failure {
    if errand.departure.left() { failure.maybe_billed() } else { failure }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn sum(one: Usd, two: Option<Usd>) -> Usd {
    Usd::from_picos(one.picos.saturating_add(two.unwrap_or_default().picos))
}

/// What is known once an answer begins.
#[derive(Default)]
struct Head {
    request_id: Option<String>,
    redactor: Redactor,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
