//! What is shown while the answers come, and what is kept to be said afterwards.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::call::{self, News, Target};
use crate::command::calling::Calling;
use crate::command::compare::lanes::Contender;
use crate::command::outside::{env, now_ms};
use crate::domain::bill::Outcome;
use crate::domain::budget::Budget;
use crate::domain::chat::{ChatEvent, ChatRequest};
use crate::domain::failure::Failure;
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::report::CallReport;
use crate::domain::usage::{Meter, Usage};
use crate::pricing::{Called, Context, Moment, Prices};
use crate::provider::Provider;
use crate::render::call as told_call;
use crate::render::compare::live::{Frame, LiveLane, LiveState, Phase, frame, repaint};
use crate::render::terminal::Terminal;

/// One call to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Job {
    /// The position of the model, of the prompt, and how often this was asked before.
    pub lane: usize,
    pub case: usize,
    pub round: usize,
}

/// Watches the calls of one comparison.
pub struct Watcher<'a> {
    terminal: &'a mut Terminal,
    prices: &'a Prices,
    requests: &'a [ChatRequest],
    contenders: &'a [Contender],
    /// Draws while the answers come; else there is a line that says how far it is.
    draws: bool,
    quiet: bool,
    /// No wider, where the user says so.
    columns: Option<usize>,
    state: LiveState,
    counts: Vec<Count>,
    began: Instant,
    before: Option<Frame>,
    ended: usize,
    all: usize,
    spent: Usd,
    several: bool,
    notes: Vec<String>,
    /// The soft budgets of which it was said that a call does not fit them.
    passed: Vec<Budget>,
    /// The lanes of which it was said that a budget leaves them out.
    dropped: BTreeSet<usize>,
    /// It was said that no retry is left.
    exhausted: bool,
}

/// What has come of one call, for its head.
#[derive(Debug, Default)]
struct Count {
    bytes: u64,
    seen: Option<Usage>,
    served: Option<String>,
    priced: Option<Priced>,
    is_new: bool,
}

/// How a call is priced.
#[derive(Debug)]
struct Priced {
    place: ModelName,
    context: Context,
    request_bytes: u64,
    at: Moment,
    is_simulated: bool,
}

impl<'a> Watcher<'a> {
    /// `draws`: a person looks, and nothing else is to stand on standard output before the end; `quiet`: no remarks either.
    #[must_use]
    pub fn new(
        terminal: &'a mut Terminal,
        calling: &'a Calling,
        contenders: &'a [Contender],
        requests: &'a [ChatRequest],
        all: usize,
        (draws, quiet): (bool, bool),
    ) -> Watcher<'a> {
        let lane = |contender: &Contender| LiveLane {
            label: contender.label.clone(),
            phase: Phase::Queued,
            text: String::new(),
            begun_ms: 0,
            tokens: None,
            spent: None,
        };
        let state = LiveState { lanes: contenders.iter().map(lane).collect(), colour: terminal.out.colour };
        let columns = env("COLUMNS").and_then(|columns| columns.trim().parse().ok()).filter(|count| *count > 0);
        let watcher = Watcher {
            draws: draws && terminal.draws(),
            quiet,
            terminal,
            prices: &calling.prices,
            requests,
            contenders,
            columns,
            state,
            counts: contenders.iter().map(|_| Count::default()).collect(),
            began: Instant::now(),
            before: None,
            ended: 0,
            all,
            spent: Usd::default(),
            several: all > contenders.len(),
            notes: Vec::new(),
            passed: Vec::new(),
            dropped: BTreeSet::new(),
            exhausted: false,
        };
        watcher.with_status()
    }

    fn with_status(mut self) -> Watcher<'a> {
        self.status();
        self
    }

    fn status(&mut self) {
        if !self.draws {
            let spent = if self.spent == Usd::default() { String::new() } else { format!(", ${}", self.spent) };
            self.terminal.status(&format!("{} of {} answers{spent}", self.ended, self.all));
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A call begins.
    pub fn began(&mut self, job: Job) {
        let now_ms = self.now_ms();
        if !self.draws {
            return;
        }
        let contender = &self.contenders[job.lane];
        let lane = &mut self.state.lanes[job.lane];
        if self.several {
            let before = job.round * self.requests.len() + job.case;
            lane.label = format!("{} · {}", contender.label, before + 1);
        }
        lane.phase = Phase::Waiting;
        lane.text.clear();
        lane.begun_ms = now_ms;
        (lane.tokens, lane.spent) = (None, None);
        let priced = contender
            .opened
            .as_ref()
            .ok()
            .and_then(|provider| priced(contender, provider, &self.requests[job.case], self.prices));
        self.counts[job.lane] = Count { priced, ..Count::default() };
    }

    /// Something has happened to a call.
    pub fn news(&mut self, lane: usize, news: &News<'_>) {
        let now_ms = self.now_ms();
        match news {
            News::Events(events) => events.iter().for_each(|event| self.event(lane, event)),
            News::Clipped { from, to } => {
                self.note(
                    lane,
                    &format!("a budget leaves room for {to} tokens of an answer: the cap was lowered from {from}"),
                );
            }
            News::Passed { budget, said } => {
                // Every call of a comparison may pass it: one sentence is enough.
                if !self.passed.contains(budget) {
                    self.passed.push((*budget).clone());
                    self.say(format!("{}: {said}", self.contenders[lane].label));
                }
            }
            News::NoMoreRetries => {
                if !std::mem::replace(&mut self.exhausted, true) {
                    self.say(told_call::NO_MORE_RETRIES.to_owned());
                }
            }
            News::Again { failure, wait, .. } => {
                let again_ms = now_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
                self.again(lane, why(failure), again_ms);
            }
            News::Instead { failure, to, .. } => self.again(lane, format!("{}, asking {to}", why(failure)), now_ms),
        }
    }

    fn again(&mut self, lane: usize, why: String, again_ms: u64) {
        let live = &mut self.state.lanes[lane];
        live.phase = Phase::Retrying { why, again_ms };
        live.text.clear();
        (live.tokens, live.spent) = (None, None);
        let priced = self.counts[lane].priced.take();
        self.counts[lane] = Count { priced, ..Count::default() };
    }

    fn event(&mut self, lane: usize, event: &ChatEvent) {
        if let ChatEvent::Ignored(said) | ChatEvent::Note(said) = event {
            return self.note(lane, said);
        }
        if !self.draws {
            return;
        }
        let (live, count) = (&mut self.state.lanes[lane], &mut self.counts[lane]);
        match event {
            ChatEvent::Text(piece) | ChatEvent::Refusal(piece) => {
                live.phase = Phase::Answering;
                live.text.push_str(piece);
                count.bytes += piece.len() as u64;
            }
            ChatEvent::Reasoning(piece) => {
                live.phase = Phase::Thinking;
                count.bytes += piece.len() as u64;
            }
            ChatEvent::ToolCall(call) => {
                live.phase = Phase::Answering;
                count.bytes += call.arguments.len() as u64;
            }
            ChatEvent::Usage(usage) => count.seen = Some(usage.clone()),
            ChatEvent::Started { model, .. } => count.served.clone_from(model),
            ChatEvent::ReasoningDone(_)
            | ChatEvent::Growing(_)
            | ChatEvent::Skipped(_)
            | ChatEvent::ServerTool(_)
            | ChatEvent::Ignored(_)
            | ChatEvent::Note(_)
            | ChatEvent::Finished(_) => return,
        }
        count.is_new = true;
    }

    /// Says something at once, or afterwards where the screen is taken.
    fn say(&mut self, said: String) {
        if self.before.is_some() {
            self.notes.push(said);
        } else if !self.quiet {
            let _ = self.terminal.note(&format!("llmx: {said}\n"));
            self.status();
        }
    }

    fn note(&mut self, lane: usize, said: &str) {
        let note = format!("{}: {said}", self.contenders[lane].label);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// A call has ended.
    pub fn ended(&mut self, job: Job, result: &Result<CallReport, Failure>) {
        self.ended += 1;
        if let Err(failure) = result
            && let Some(refusal) = failure.refusal.as_ref().filter(|_| self.dropped.insert(job.lane))
        {
            let why: Vec<String> =
                refusal.by.iter().map(|by| by.words(refusal.needed.map(|needed| needed.to_string()))).collect();
            self.say(format!("{} is not asked: {}", self.contenders[job.lane].label, why.join("; ")));
        }
        let amount = result.as_ref().ok().and_then(|report| report.bill.total);
        self.spent = self.spent.checked_add(amount.unwrap_or_default()).unwrap_or(self.spent);
        self.status();
        if !self.draws {
            return;
        }
        let ended_ms = self.now_ms();
        let live = &mut self.state.lanes[job.lane];
        let failure = match result {
            Ok(report) => {
                live.tokens = report.outcome.usage().and_then(|usage| usage.get(Meter::Output)).or(live.tokens);
                live.spent = report.bill.total;
                report.failure.as_ref()
            }
            Err(failure) => Some(failure),
        };
        let stopped = result.as_ref().is_ok_and(|report| report.stopped.is_some());
        live.phase = match failure {
            Some(failure) => Phase::Failed { ended_ms, why: failure.class.to_string() },
            None if stopped => Phase::Failed { ended_ms, why: "stopped".into() },
            None => Phase::Done { ended_ms },
        };
        self.counts[job.lane].is_new = false;
    }

    /// Brings the screen up to date.
    pub fn draw(&mut self) {
        if !self.draws {
            return;
        }
        let Some((columns, rows)) = self.terminal.size() else { return };
        let columns = self.columns.map_or(columns, |most| columns.min(most));
        let now_ms = self.now_ms();
        for (live, count) in self.state.lanes.iter_mut().zip(&mut self.counts) {
            if matches!(live.phase, Phase::Retrying { again_ms, .. } if again_ms <= now_ms) {
                live.phase = Phase::Waiting;
            }
            count.tell(live, self.prices);
        }
        let now = frame(&self.state, columns, rows, now_ms);
        let opened = self.before.is_some() || self.terminal.open_second().is_ok();
        if opened {
            let _ = self.terminal.show(&repaint(self.before.as_ref(), &now));
            self.before = Some(now);
        }
    }

    /// Gives the terminal back, and what is to be said.
    #[must_use]
    pub fn close(self) -> Vec<String> {
        self.terminal.close_second();
        self.terminal.clear_status();
        self.notes
    }
}

impl Count {
    /// Tokens and amount so far, as they would be booked if the answer broke off here.
    fn tell(&mut self, live: &mut LiveLane, prices: &Prices) {
        if !std::mem::take(&mut self.is_new) {
            return;
        }
        let Some(priced) = &self.priced else { return };
        let called = Called {
            name: &priced.place,
            served: self.served.as_deref(),
            at: priced.at,
            context: &priced.context,
            quote: None,
            request_bytes: Some(priced.request_bytes),
            answer_bytes: self.bytes,
            simulated: priced.is_simulated,
        };
        let outcome = Outcome::Unconfirmed { seen: self.seen.clone() };
        live.tokens = Prices::estimate(&called, &outcome).get(Meter::Output).filter(|tokens| *tokens > 0);
        live.spent = prices.bill(&called, &outcome).total.filter(|_| !priced.is_simulated);
    }
}

fn priced(contender: &Contender, provider: &Provider, request: &ChatRequest, prices: &Prices) -> Option<Priced> {
    let now_ms = now_ms();
    let plan = call::plan(&Target { name: &contender.name, provider }, request, prices, now_ms).ok()?;
    Some(Priced {
        place: plan.place,
        context: plan.context,
        request_bytes: plan.request_bytes,
        at: Moment::from_ms(now_ms),
        is_simulated: matches!(provider, Provider::Sim(_)),
    })
}

/// `429`, or the class where no status came.
fn why(failure: &Failure) -> String {
    failure.status.map_or_else(|| failure.class.to_string(), |status| status.to_string())
}

/// Sentences of a finished call for standard error: with `-v` what it consumed, always what could not be booked.
#[must_use]
pub fn told(label: &str, report: &CallReport, verbose: bool) -> Vec<String> {
    let mut told = Vec::new();
    if verbose {
        told.push(format!("llmx: {}", told_call::summary(report, label)));
        let details = report.failure.as_ref().and_then(told_call::failure_details);
        told.extend(details.map(|details| format!("llmx: {details}")));
    }
    told.extend(report.unbooked.as_ref().map(|failure| told_call::failure(Some(label), failure)));
    told
}
