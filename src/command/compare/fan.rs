//! The fan-out: every model is asked at once, within the limits that were given; the runs of a model follow each other.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at};

use crate::call::{Caller, Stopping, Target};
use crate::command::calling::Calling;
use crate::command::compare::lanes::Contender;
use crate::command::compare::live::{Job, Watcher};
use crate::domain::bill::Outcome;
use crate::domain::chat::ChatRequest;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::report::{CallReport, Stop};

/// Between two frames of the live screen.
const FRAME: Duration = Duration::from_millis(66);
/// Answers that are all here sooner are not shown while they come.
const BEFORE_FIRST_FRAME: Duration = Duration::from_millis(120);

/// What is to be asked, of whom and how many at a time.
#[derive(Debug)]
pub struct Plan<'a> {
    pub calling: &'a Calling,
    pub contenders: &'a [Contender],
    /// One per case.
    pub requests: &'a [ChatRequest],
    /// On whose behalf a call is made, where that is not the command's own.
    pub callers: &'a HashMap<Job, Caller>,
    /// Calls in the order in which they are to begin; those of one lane never overlap.
    pub jobs: Vec<Job>,
    pub group: &'a str,
    pub concurrency: Option<usize>,
    pub per_provider: Option<usize>,
    pub all_or_nothing: bool,
}

/// What became of one call: a failure where nothing was sent.
#[derive(Debug)]
pub struct Done {
    pub job: Job,
    pub result: Result<CallReport, Failure>,
}

/// What became of all.
#[derive(Debug)]
pub struct Fanned {
    /// In the order in which they ended.
    pub done: Vec<Done>,
    /// Milliseconds from the first call's start to the last one's end.
    pub wall_ms: u64,
    /// The user ended it before its end.
    pub stopped: Option<Stop>,
}

/// Every case, `rounds` times, of every lane. Where there are several rounds each has an order of its own, and none begins
/// with the model that the one before began with. `seed` decides.
#[must_use]
pub fn jobs(lanes: usize, cases: usize, rounds: usize, seed: u64) -> Vec<Job> {
    let several = cases * rounds > 1;
    let mut seed = seed | 1;
    let mut jobs = Vec::with_capacity(lanes * cases * rounds);
    let mut first = None;
    for round in 0..rounds {
        for case in 0..cases {
            let mut order: Vec<usize> = (0..lanes).collect();
            if several {
                for at in (1..lanes).rev() {
                    order.swap(at, below(at + 1, &mut seed));
                }
                if lanes > 1 && order.first().copied() == first {
                    order.swap(0, 1 + below(lanes - 1, &mut seed));
                }
            }
            first = order.first().copied();
            jobs.extend(order.into_iter().map(|lane| Job { lane, case, round }));
        }
    }
    jobs
}

/// A number below `count` (xorshift64, G. Marsaglia 2003: enough to be fair between models).
fn below(count: usize, seed: &mut u64) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    usize::try_from(*seed % count.max(1) as u64).unwrap_or(0)
}

/// Makes the calls until all have ended or the user stops them: then those that wait are not begun, and what came of the
/// others is kept.
pub async fn fan(plan: &Plan<'_>, watcher: &RefCell<Watcher<'_>>, stopped: impl Future<Output = Stop>) -> Fanned {
    let began = Instant::now();
    let mut stopped = pin!(stopped);
    let (stop, stopping) = watch::channel(None);
    let mut waiting: VecDeque<Job> = plan.jobs.iter().copied().collect();
    let mut busy: Vec<usize> = Vec::new();
    let mut running = FuturesUnordered::new();
    let mut fanned = Fanned { done: Vec::new(), wall_ms: 0, stopped: None };
    // The first call that could not be made, where then none may be.
    let mut refused: Option<(usize, Failure)> = None;
    if plan.all_or_nothing {
        let closed = |(lane, contender): (usize, &Contender)| Some((lane, contender.opened.as_ref().err()?.clone()));
        refused = plan.contenders.iter().enumerate().find_map(closed);
    }
    let mut frames = interval_at(began + BEFORE_FIRST_FRAME, FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if let Some((lane, failure)) = &refused {
            for job in waiting.drain(..) {
                let own = plan.contenders[job.lane].opened.as_ref().err().cloned();
                let because = || with(failure, &plan.contenders[*lane].label);
                let mine = if job.lane == *lane { failure.clone() } else { own.unwrap_or_else(because) };
                fanned.done.push(Done { job, result: Err(mine) });
            }
        }
        while let Some(at) = waiting.iter().position(|job| plan.may_begin(job, &busy))
            && let Some(job) = waiting.remove(at)
        {
            busy.push(job.lane);
            running.push(plan.call(job, stopping.clone(), watcher));
        }
        tokio::select! {
            by = &mut stopped, if fanned.stopped.is_none() => {
                fanned.stopped = Some(by);
                waiting.clear();
                stop.send_replace(Some(by));
            }
            done = running.next() => {
                let Some(mut done) = done else { break };
                busy.retain(|lane| *lane != done.job.lane);
                match (&done.result, &refused) {
                    // A model without quota was asked before: others are being answered.
                    (Err(failure), None)
                        if plan.all_or_nothing && done.job.round == 0 && failure.class != ErrorClass::Quota =>
                    {
                        refused = Some((done.job.lane, failure.clone()));
                        // They are reserved and not sent: the reservations are settled at nothing.
                        stop.send_replace(Some(Stop::Interrupt));
                    }
                    (Ok(report), Some((lane, failure))) if fanned.stopped.is_none() && left_nothing(report) => {
                        done.result = Err(with(failure, &plan.contenders[*lane].label));
                    }
                    _ => {}
                }
                watcher.borrow_mut().ended(done.job, &done.result);
                fanned.done.push(done);
            }
            _ = frames.tick() => watcher.borrow_mut().draw(),
        }
    }
    drop(running);
    fanned.wall_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    fanned
}

/// What a call waits for that may be stopped together with others.
#[must_use]
pub fn told(mut stopping: watch::Receiver<Option<Stop>>) -> Stopping<'static> {
    Box::pin(async move {
        match stopping.wait_for(Option::is_some).await.map(|stop| *stop) {
            Ok(Some(stop)) => stop,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    })
}

/// Why a call was not sent whose fellow could not be made.
fn with(failure: &Failure, label: &str) -> Failure {
    let message = format!("not sent, since {label} could not be asked (--all-or-nothing)");
    Failure::new(failure.class, message)
}

fn left_nothing(report: &CallReport) -> bool {
    report.stopped.is_some() && report.outcome == Outcome::NeverSent
}

impl Plan<'_> {
    /// Whether a call can begin beside those of the lanes that are busy.
    fn may_begin(&self, job: &Job, busy: &[usize]) -> bool {
        let provider = |lane: usize| &self.contenders[lane].name.provider;
        let same = busy.iter().filter(|lane| provider(**lane) == provider(job.lane)).count();
        !busy.contains(&job.lane)
            && self.concurrency.is_none_or(|most| busy.len() < most)
            && self.per_provider.is_none_or(|most| same < most)
    }

    async fn call(&self, job: Job, stopping: watch::Receiver<Option<Stop>>, watcher: &RefCell<Watcher<'_>>) -> Done {
        let contender = &self.contenders[job.lane];
        let provider = match &contender.opened {
            Ok(provider) => provider,
            Err(failure) => return Done { job, result: Err(failure.clone()) },
        };
        watcher.borrow_mut().began(job);
        let targets = [Target { name: &contender.name, provider }];
        let mut call = self.calling.call(&targets, &self.requests[job.case], Some(self.group));
        call.caller = self.callers.get(&job).unwrap_or(call.caller);
        let mut show = |news: crate::call::News<'_>| {
            watcher.borrow_mut().news(job.lane, &news);
            true
        };
        let result = call.run(&mut show, told(stopping)).await;
        Done { job, result }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Job, jobs};

    #[test]
    fn one_round_keeps_the_order_and_each_of_several_has_its_own() {
        let order = |jobs: &[Job]| jobs.iter().map(|job| job.lane).collect::<Vec<_>>();
        assert_eq!(order(&jobs(4, 1, 1, 7)), [0, 1, 2, 3]);
        for seed in 0..200 {
            let all = jobs(3, 1, 9, seed);
            let rounds: Vec<Vec<usize>> = all.chunks(3).map(order).collect();
            assert!(rounds.iter().all(|round| round.iter().copied().collect::<BTreeSet<_>>().len() == 3));
            assert!(rounds.windows(2).all(|pair| pair[0][0] != pair[1][0]), "{rounds:?}");
        }
        assert_eq!(order(&jobs(1, 1, 3, 5)), [0, 0, 0]);
        assert_eq!(jobs(2, 3, 2, 5).len(), 12);
    }
}
