//! The life of one call, in the order in which it happens. Nothing else in the program talks to a provider.
//!
//! A call is one or more attempts ([`attempt`]), each with a row of its own in the books; [`tries`] decides what follows one
//! that failed.

mod ask;
mod attempt;
mod meter;
mod restraint;
mod trace;
mod tries;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use crate::domain::bill::{Basis, Bill, Outcome, Quote};
use crate::domain::budget::{Budget, Purse};
use crate::domain::chat::{ChatEvent, ChatRequest};
use crate::domain::failure::{ErrorClass, Failure, Replace};
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::report::{CallReport, Earlier, Stop};
use crate::ledger::Ledger;
use crate::pricing::Prices;
use crate::provider::{Limits, Provider};
pub use ask::{Plan, ask, plan, priced_as, requested_tier};
use attempt::Attempt;
pub use restraint::Restraint;
pub use tries::Persistence;
use tries::{Failed, Next, Other, Tries};

/// What is told while a call is made.
#[derive(Debug)]
pub enum News<'a> {
    /// The answer grows.
    Events(&'a [ChatEvent]),
    /// A budget lowered the output cap, in tokens.
    Clipped { from: u64, to: u64 },
    /// The call does not fit a soft budget and is sent all the same; `said`: that, in a sentence.
    Passed { budget: &'a Budget, said: &'a str },
    /// The same model is asked again after a wait.
    Again { failure: &'a Failure, wait: Duration, attempt: u32 },
    /// Another model is asked.
    Instead { failure: &'a Failure, from: &'a ModelName, to: &'a ModelName },
    /// The same model would be asked again if the calls that are made together had a retry left.
    NoMoreRetries,
}

/// Shows what has happened; false when nobody reads any more.
pub type Show<'a> = dyn FnMut(News<'_>) -> bool + 'a;

/// Tells when the user stops the call.
pub type Stopping<'a> = Pin<Box<dyn Future<Output = Stop> + 'a>>;

/// One prompt, asked of a model and, where that fails, of those that stand in for it.
pub struct Call<'a> {
    /// The wanted model first; never empty.
    pub targets: &'a [Target<'a>],
    pub request: &'a ChatRequest,
    pub limits: Limits,
    /// The most that the whole call may take, with retries and waits.
    pub total: Option<Duration>,
    pub persistence: Persistence,
    pub guard: Guard<'a>,
    /// The id that calls made together share.
    pub group: Option<String>,
    /// What was tried before this call, and did not do.
    pub earlier: Vec<Earlier>,
    pub prices: &'a Prices,
    pub ledger: &'a Mutex<Ledger>,
    pub caller: &'a Caller,
    /// UTC milliseconds since 1970.
    pub now: &'a (dyn Fn() -> i64 + Sync),
}

/// A model, ready to be asked.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub name: &'a ModelName,
    pub provider: &'a Provider,
}

/// What keeps a call from costing more than it may.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guard<'a> {
    /// Budgets of configuration files; those of the ledger hold beside them.
    pub budgets: &'a [Budget],
    /// `--max-cost`, shared by all calls of a command.
    pub purse: Option<&'a Mutex<Purse>>,
    /// What the calls of a command hold back together; `None`: nothing.
    pub restraint: Option<&'a Mutex<Restraint>>,
    /// The lowest output cap that a budget may clip to, in tokens; `None`: it may not clip.
    pub floor: Option<u64>,
}

/// On whose behalf a call is made, as it stands in the books.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The subcommand.
    pub command: &'static str,
    pub project: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub session: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// The route that chose the model.
    pub route: Option<String>,
    /// Whether prompt and answer are kept; what was called, counted and charged always is.
    pub keeps_texts: bool,
    /// Told of every attempt once it is settled.
    pub witness: Option<Arc<dyn Witness>>,
}

/// Somebody beside the books who wants to know of calls.
pub trait Witness: fmt::Debug + Send + Sync {
    /// An attempt is over and settled. `retry_of`: our id of the first one, where this is not it; `opened_ms`: UTC
    /// milliseconds since 1970.
    fn settled(&self, call: &Call<'_>, report: &CallReport, retry_of: Option<&str>, opened_ms: i64);
}

impl Call<'_> {
    /// The most that one attempt at the wanted model can cost. Nothing is sent, and nothing booked.
    ///
    /// # Errors
    /// `config` where the request has no form in the API.
    pub fn quote(&self) -> Result<Quote, Failure> {
        let target = self.targets.first().ok_or_else(|| Failure::new(ErrorClass::Config, "no model is named"))?;
        Attempt { call: self, target, id: String::new(), retry_of: None, deadline: None }.quote()
    }

    /// Makes attempts until one answers or nothing more is worth trying. The report is of the last one, with those before
    /// it in short.
    ///
    /// # Errors
    /// A [`Failure`] where nothing at all was sent: the request has no form in the API, a budget refuses it, or it cannot
    /// be booked. Where that meets a later attempt, it is the report's.
    pub async fn run(&self, show: &mut Show<'_>, mut stopping: Stopping<'_>) -> Result<CallReport, Failure> {
        let began = Instant::now();
        let deadline = self.total.map(|total| began + total);
        let mut tries = Tries::default();
        let mut earlier = self.earlier.clone();
        let none = || Failure::new(ErrorClass::Config, "no model is named");
        let (mut target, mut others) = self.targets.split_first().ok_or_else(none)?;
        loop {
            if let Some(failure) = self.is_off(target) {
                if let Some((other, rest)) = others.split_first() {
                    show(News::Instead { failure: &failure, from: target.name, to: other.name });
                    (target, others) = (other, rest);
                    continue;
                }
                return self.unsent(failure, target.name, earlier, began);
            }
            let retry_of = earlier.first().map(|first| first.id.clone());
            let id = uuid::Uuid::now_v7().to_string();
            let span = trace::span(&id, target.name, earlier.len() + 1);
            let attempt = Attempt { call: self, target, id, retry_of, deadline };
            let mut report = match attempt.run(show, &mut stopping).instrument(span.clone()).await {
                Err(failure) => return self.unsent(failure, target.name, earlier, began),
                Ok(report) => report,
            };
            self.ended(target, &report);
            let next = match (&report.failure, report.stopped) {
                (Some(failure), None) if report.unbooked.is_none() => {
                    // A prompt that is too long passes by the models that take no longer one.
                    if failure.replace == Replace::Larger
                        && let Some(at) = others.iter().position(|other| self.is_larger(other.name, target.name))
                    {
                        others = &others[at..];
                    }
                    let other =
                        others.first().map(|other| Other { is_larger: self.is_larger(other.name, target.name) });
                    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                    let shown = report.answer.has_content();
                    let (elapsed, chance) = (began.elapsed(), chance());
                    let mut failed = Failed { failure, shown, may_repeat: true, other, elapsed, left, chance };
                    let before = tries;
                    let mut next = tries.after(&failed, &self.persistence);
                    if matches!(next, Next::Again { .. }) && !self.may_repeat(failure) {
                        show(News::NoMoreRetries);
                        (failed.may_repeat, tries) = (false, before);
                        next = tries.after(&failed, &self.persistence);
                    }
                    next
                }
                _ => Next::Stop,
            };
            if let Some(failure) = &report.failure {
                trace::next(&span, next, failure, others.first().map(|other| other.name));
            }
            match (next, &report.failure) {
                (Next::Again { wait }, Some(failure)) => {
                    let attempt = u32::try_from(earlier.len()).unwrap_or(u32::MAX).saturating_add(2);
                    show(News::Again { failure, wait, attempt });
                    tokio::select! {
                        biased;
                        stop = &mut stopping => {
                            report.stopped = Some(stop);
                            return Ok(told(report, earlier, began));
                        }
                        () = sleep(wait) => {}
                    }
                    earlier.push(Earlier::of(report, wait));
                }
                (Next::Instead, Some(failure)) => {
                    let Some((other, rest)) = others.split_first() else { return Ok(told(report, earlier, began)) };
                    show(News::Instead { failure, from: target.name, to: other.name });
                    (target, others) = (other, rest);
                    earlier.push(Earlier::of(report, Duration::ZERO));
                }
                (_, _) => return Ok(told(report, earlier, began)),
            }
        }
    }

    /// What cannot be sent: a failure, or a report where attempts before it were.
    fn unsent(
        &self,
        failure: Failure,
        name: &ModelName,
        earlier: Vec<Earlier>,
        began: Instant,
    ) -> Result<CallReport, Failure> {
        if earlier.is_empty() {
            return Err(failure);
        }
        let nothing = Bill::of(Basis::Nothing, Some(Usd::default()));
        let made = u32::try_from(earlier.len()).unwrap_or(u32::MAX);
        let report = CallReport {
            group: self.group.clone(),
            session: self.caller.session.clone(),
            failure: Some(after(failure, &earlier)),
            refused: true,
            ..CallReport::of(name.clone(), Outcome::NeverSent, nothing)
        };
        let mut report = told(report, earlier, began);
        report.timing.attempts = made;
        Ok(report)
    }

    fn restraint(&self) -> Option<MutexGuard<'_, Restraint>> {
        self.guard.restraint.map(|restraint| restraint.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_off(&self, target: &Target<'_>) -> Option<Failure> {
        self.restraint()?.is_off(target.name, target.provider.credential().as_deref())
    }

    fn may_repeat(&self, failure: &Failure) -> bool {
        self.restraint().is_none_or(|mut restraint| restraint.may_repeat(failure))
    }

    fn ended(&self, target: &Target<'_>, report: &CallReport) {
        if let Some(mut restraint) = self.restraint().filter(|_| report.stopped.is_none()) {
            restraint.ended(target.name, target.provider.credential().as_deref(), report.failure.as_ref());
        }
    }

    /// Whether the one is known to take a longer prompt than the other.
    fn is_larger(&self, one: &ModelName, other: &ModelName) -> bool {
        match (self.prices.context_window(one), self.prices.context_window(other)) {
            (Some(one), Some(other)) => one > other,
            (_, _) => false,
        }
    }
}

/// A refusal of a later attempt names what made it necessary, and what that may have cost.
fn after(mut failure: Failure, earlier: &[Earlier]) -> Failure {
    if let Some(first) = earlier.first() {
        let said = failure.message.replace("nothing was sent", "nothing more was sent");
        failure.message = format!("{said}; the first attempt failed: {}", first.failure);
        failure.sent_before = true;
        failure.may_be_billed = earlier.iter().any(|attempt| attempt.bill.basis != Basis::Nothing);
    }
    failure
}

/// The last attempt's report, as that of the whole call.
fn told(mut report: CallReport, earlier: Vec<Earlier>, began: Instant) -> CallReport {
    report.timing.attempts = u32::try_from(earlier.len()).unwrap_or(u32::MAX).saturating_add(1);
    report.timing.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    report.earlier = earlier;
    report
}

/// The random end of an id.
fn chance() -> u16 {
    u16::try_from(uuid::Uuid::now_v7().as_u128() & 0xFFFF).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use super::meter::AT_ONCE;
    use super::{Call, Caller, Guard, News, Persistence, Target};
    use crate::domain::chat::{ChatEvent, ChatRequest};
    use crate::domain::model::{ModelFacts, ModelName};
    use crate::ledger::{Ledger, Patience};
    use crate::pricing::Prices;
    use crate::provider::catalog::Catalog;
    use crate::provider::net::Net;
    use crate::provider::{Choice, Limits, Provider};

    /// The port of a server that gives one caller `words` tokens, all of them in one packet.
    fn hasty(words: usize) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let chunk = |data: &str| format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
        let word = chunk(r#"{"choices":[{"delta":{"content":"word "}}]}"#);
        let last = chunk(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = format!("{head}{}{last}0\r\n\r\n", word.repeat(words));
        std::thread::spawn(move || {
            let (mut caller, _) = listener.accept().expect("a caller");
            let _ = caller.read(&mut [0; 4096]);
            let _ = caller.write_all(answer.as_bytes());
        });
        port
    }

    #[tokio::test]
    async fn tokens_that_come_together_are_shown_together() {
        let name = ModelName { provider: "openai".into(), region: None, model: "x".into() };
        let row = Catalog::with(&toml::Table::new()).and_then(|catalog| catalog.row("openai")).expect("its row");
        let choice = Choice { base_url: Some(format!("http://127.0.0.1:{}", hasty(40))), ..Choice::default() };
        let net = Arc::new(Net::default());
        let provider =
            Provider::open(&row, &name, ModelFacts::default(), None, &choice, &net, &|_| None).expect("opens");
        let request = ChatRequest::default();
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens");
        let call = Call {
            targets: &[Target { name: &name, provider: &provider }],
            request: &request,
            limits: Limits::default(),
            total: None,
            persistence: Persistence::default(),
            guard: Guard::default(),
            group: None,
            earlier: Vec::new(),
            prices: &Prices::bundled(),
            ledger: &Mutex::new(ledger),
            caller: &Caller::default(),
            now: &|| 1_795_000_000_000,
        };
        let mut shown = Vec::new();
        let report = call
            .run(
                &mut |news| {
                    let News::Events(events) = news else { return true };
                    shown.push(events.iter().filter(|event| matches!(event, ChatEvent::Text(_))).count());
                    true
                },
                Box::pin(std::future::pending()),
            )
            .await
            .expect("booked");
        assert_eq!((report.failure, report.answer.text()), (None, "word ".repeat(40)));
        // One packet, which the client may read in two pieces; not forty.
        assert!(shown.len() <= 4 && shown.iter().all(|texts| *texts <= AT_ONCE), "{shown:?}");
    }
}
