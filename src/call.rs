//! The life of one call, in the order in which it happens. Nothing else in the program talks to a provider.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use crate::domain::answer::Answer;
use crate::domain::bill::{Bill, Outcome, Quote};
use crate::domain::chat::{ChatEvent, ChatRequest, Part};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::record::{self, NewCall, Settlement};
use crate::domain::report::{CallReport, Stop, Timing};
use crate::domain::usage::Usage;
use crate::ledger::{Ledger, Reservation};
use crate::pricing::{Ask, Called, Context, Moment, Prices};
use crate::provider::departure::Departure;
use crate::provider::key::Redactor;
use crate::provider::{Arriving, Draft, Errand, Limits, Provider};

/// How long the final usage is waited for after the user stopped the call, and after the reader went away.
const DRAIN_SIGNAL: Duration = Duration::from_millis(200);
const DRAIN_PIPE: Duration = Duration::from_secs(1);

/// Most events that are shown at once: an answer that comes faster than it can be read is still seen to grow.
const AT_ONCE: usize = 64;

/// Shows what has arrived; false when nobody reads any more.
pub type Show<'a> = dyn FnMut(&[ChatEvent]) -> bool + 'a;

/// Tells when the user stops the call.
pub type Stopping<'a> = Pin<Box<dyn Future<Output = Stop> + 'a>>;

/// One call to one model.
pub struct Call<'a> {
    pub name: &'a ModelName,
    pub provider: &'a Provider,
    pub request: &'a ChatRequest,
    pub limits: Limits,
    /// The most that the whole call may take.
    pub total: Option<Duration>,
    pub prices: &'a Prices,
    pub ledger: &'a Mutex<Ledger>,
    pub caller: &'a Caller,
    /// UTC milliseconds since 1970.
    pub now: &'a (dyn Fn() -> i64 + Sync),
}

/// On whose behalf a call is made, as it stands in the books.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The subcommand.
    pub command: &'static str,
    pub project: Option<String>,
    pub user: Option<String>,
    /// Whether prompt and answer are kept; what was called, counted and charged always is.
    pub keeps_texts: bool,
}

impl Call<'_> {
    /// Quotes, reserves, sends, shows the answer as it comes, bills and settles. A failure after the reservation is a part
    /// of the report, since what came before it stands.
    ///
    /// # Errors
    /// A [`Failure`] where nothing was sent: the request has no form in the API, or it cannot be booked.
    pub async fn run(&self, show: &mut Show<'_>, mut stopping: Stopping<'_>) -> Result<CallReport, Failure> {
        let draft = self.provider.draft(self.request)?;
        let opened_ms = (self.now)();
        let tier = requested_tier(&draft);
        let (place, context) = priced_as(self.name, draft.region.as_deref(), tier.as_deref(), &draft.body);
        let ask = ask(self.request, &draft);
        let quote = self.prices.quote(&place, Moment::from_ms(opened_ms), &context, &ask);
        let id = uuid::Uuid::now_v7().to_string();
        let reservation = self.reserve(&id, &place, tier, &quote, opened_ms)?;

        let began = Instant::now();
        let deadline = self.total.map(|total| began + total);
        let mut meter = Meter { began, first_token: None, answer: Answer::default() };
        meter.answer.notes.extend(reservation.warning().map(str::to_owned));
        let mut head = None;
        let (failure, stopped) = self.meter(&id, &mut meter, &mut head, deadline, show, &mut stopping).await;
        let outcome = outcome(&meter.answer, failure.as_ref(), stopped, head.is_some());
        let bill = self.bill(&meter.answer, &outcome, &quote, (&place, &context), ask.request_bytes, opened_ms);
        let total_ms = millis(began.elapsed());
        let Head { request_id, redactor } = head.unwrap_or_default();
        let mut report = CallReport {
            id,
            name: self.name.clone(),
            region: self.provider.region().map(str::to_owned),
            request_id: request_id.or_else(|| failure.as_ref().and_then(|failure| failure.request_id.clone())),
            timing: Timing { first_token_ms: meter.first_token.map(millis), total_ms, attempts: 1 },
            answer: meter.answer,
            outcome,
            bill,
            failure,
            stopped,
            unbooked: None,
        };
        report.unbooked = self.settle(reservation, &report, &redactor).err();
        Ok(report)
    }

    /// Books the call at the most that it can cost, before a byte of it leaves.
    fn reserve(
        &self,
        id: &str,
        place: &ModelName,
        tier: Option<String>,
        quote: &Quote,
        now_ms: i64,
    ) -> Result<Reservation, Failure> {
        let call = NewCall {
            id: id.to_owned(),
            command: self.caller.command.to_owned(),
            provider: place.provider.clone(),
            model: place.model.clone(),
            region: place.region.clone(),
            tier,
            credential: self.provider.credential(),
            project: self.caller.project.clone(),
            user: self.caller.user.clone(),
            parameters: record::parameters(&self.request.settings),
            ceiling: quote.ceiling,
            prompt: self.caller.keeps_texts.then(|| record::prompt(self.request)),
            ..NewCall::default()
        };
        Ok(self.ledger.lock().unwrap_or_else(PoisonError::into_inner).reserve(&call, now_ms)?)
    }

    fn bill(
        &self,
        answer: &Answer,
        outcome: &Outcome,
        quote: &Quote,
        (place, context): (&ModelName, &Context),
        request_bytes: u64,
        opened_ms: i64,
    ) -> Bill {
        let called = Called {
            name: place,
            served: answer.model_served.as_deref(),
            at: Moment::from_ms(opened_ms),
            context,
            quote: Some(quote),
            request_bytes: Some(request_bytes),
            answer_bytes: answer.bytes(),
            simulated: matches!(self.provider, Provider::Sim(_)),
        };
        self.prices.bill(&called, outcome)
    }

    /// Books what became of the call. Where that fails the answer stands all the same. A server may say the key that it
    /// was sent in anything: the books do not keep it.
    fn settle(&self, reservation: Reservation, report: &CallReport, redactor: &Redactor) -> Result<(), Failure> {
        let mut settlement = Settlement::of(report, self.caller.keeps_texts);
        if redactor.knows_a_key() {
            settlement.change_texts(&|text| redactor.text(text));
        }
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.settle(reservation, &settlement, (self.now)())?;
        Ok(())
    }

    /// Sends, shows and counts, until the end of the answer, a failure, a stop or the deadline.
    async fn meter(
        &self,
        id: &str,
        meter: &mut Meter,
        head: &mut Option<Head>,
        deadline: Option<Instant>,
        show: &mut Show<'_>,
        stopping: &mut Stopping<'_>,
    ) -> (Option<Failure>, Option<Stop>) {
        let errand = Errand { id, departure: &Departure::default() };
        let mut arriving = tokio::select! {
            biased;
            stop = &mut *stopping => return (None, Some(stop)),
            () = until(deadline) => return (Some(self.out_of_time()), None),
            sent = self.provider.send(self.request, &self.limits, errand) => match sent {
                Ok(arriving) => arriving,
                Err(failure) => return (Some(failure), None),
            },
        };
        *head = Some(Head { request_id: arriving.request_id().map(str::to_owned), redactor: arriving.redactor() });
        let mut events = Vec::new();
        loop {
            let next = tokio::select! {
                biased;
                stop = &mut *stopping => {
                    meter.drain(&mut arriving, events, DRAIN_SIGNAL).await;
                    return (None, Some(stop));
                }
                () = until(deadline) => return (Some(self.out_of_time()), None),
                next = together(&mut arriving, &mut events) => next,
            };
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
        }
    }

    /// The request may be written and the model at work, whether or not a byte has come back.
    fn out_of_time(&self) -> Failure {
        let seconds = self.total.unwrap_or_default().as_secs();
        Failure::new(ErrorClass::Timeout, format!("the call took longer than its {seconds} s (--timeout)"))
            .advise("raise --timeout, or ask for less")
            .maybe_billed()
    }
}

/// Waits for what comes next, and takes with it what is already here: one read of the socket becomes one write to the
/// screen, not one for each token. Nothing more is waited for.
async fn together(arriving: &mut Arriving, events: &mut Vec<ChatEvent>) -> Result<bool, Failure> {
    let mut next = arriving.next(events).await;
    while let Ok(true) = next
        && events.len() < AT_ONCE
    {
        next = tokio::select! {
            biased;
            next = arriving.next(events) => next,
            // By then the connection has handed over what it holds.
            () = yield_now() => break,
        };
    }
    next
}

/// What of a call decides its price beside what it consumes: the model at the place where it runs, and the tier and the
/// speed that are asked for. `settings`: the body of the request, or the parameters that the books keep of it.
#[must_use]
pub fn priced_as(name: &ModelName, region: Option<&str>, tier: Option<&str>, settings: &Value) -> (ModelName, Context) {
    let region = region.or(name.region.as_deref());
    let said = [
        ("location", region),
        ("service_tier", tier),
        ("speed", settings["speed"].as_str()),
        ("inference_geo", settings["inference_geo"].as_str()),
    ];
    let context = said.into_iter().filter_map(|(key, word)| Some((key.to_owned(), word?.to_owned()))).collect();
    (ModelName { region: region.map(str::to_owned), ..name.clone() }, context)
}

fn requested_tier(draft: &Draft) -> Option<String> {
    let tier = &draft.body["service_tier"];
    let tier = tier.as_str().or_else(|| draft.body["serviceTier"]["type"].as_str());
    tier.map(str::to_owned)
}

/// What the request can consume at the most.
fn ask(request: &ChatRequest, draft: &Draft) -> Ask {
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    let attachments =
        parts().filter(|part| matches!(part, Part::Image(_) | Part::Document(_) | Part::Audio(_))).count();
    Ask {
        request_bytes: draft.body.to_string().len() as u64,
        messages: request.messages.len() as u64,
        tools: request.tools.len() as u64,
        output_max: draft.output_max,
        cache: request.settings.cache,
        attachments: attachments as u64,
        ..Ask::default()
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What is known once an answer begins.
#[derive(Default)]
struct Head {
    request_id: Option<String>,
    redactor: Redactor,
}

/// What has come so far, and when it began to.
struct Meter {
    began: Instant,
    first_token: Option<Duration>,
    answer: Answer,
}

impl Meter {
    /// Shows the events and keeps them; false when nobody reads any more.
    fn take(&mut self, events: &mut Vec<ChatEvent>, show: &mut Show<'_>) -> bool {
        if self.first_token.is_none() && events.iter().any(is_content) {
            self.first_token = Some(self.began.elapsed());
        }
        let read = show(events);
        for event in events.drain(..) {
            self.answer.add(event);
        }
        read
    }

    /// The provider bills on after we stop reading: waits a moment for the final usage, and shows nothing more.
    /// `events`: what had been read and not been shown yet when the stop came.
    async fn drain(&mut self, arriving: &mut Arriving, mut events: Vec<ChatEvent>, limit: Duration) {
        let _ = timeout(limit, async { while let Ok(true) = arriving.next(&mut events).await {} }).await;
        for event in events {
            // Text that came after the stop was not shown: only what counts is kept.
            if matches!(event, ChatEvent::Usage(_) | ChatEvent::Finished(_)) {
                self.answer.add(event);
            }
        }
    }
}

fn is_content(event: &ChatEvent) -> bool {
    matches!(event, ChatEvent::Text(_) | ChatEvent::Reasoning(_) | ChatEvent::ToolCall(_) | ChatEvent::Refusal(_))
}

/// What can be said of the consumption. `answered`: the head of an answer had come.
fn outcome(answer: &Answer, failure: Option<&Failure>, stopped: Option<Stop>, answered: bool) -> Outcome {
    let usable = answer.usage.clone().filter(|usage| !usage.rejected && !counts_nothing(usage, answer));
    match (failure, stopped) {
        (None, None) => match usable {
            Some(usage) => Outcome::Reported(usage),
            None => Outcome::Unconfirmed { seen: answer.usage.clone() },
        },
        (Some(failure), _) if !failure.may_be_billed => Outcome::NeverSent,
        (None, Some(_)) if !answered => Outcome::Unconfirmed { seen: None },
        // A stopped call whose last word came in the drain is as good as a whole one.
        (None, Some(_)) if answer.finish.is_some() && usable.is_some() => {
            usable.map_or(Outcome::NeverSent, Outcome::Reported)
        }
        (_, _) => Outcome::Unconfirmed { seen: answer.usage.clone() },
    }
}

/// Only zeros, beside something that was generated: a provider that does not count, not an answer that was free.
fn counts_nothing(usage: &Usage, answer: &Answer) -> bool {
    answer.has_content() && !usage.quantities.is_empty() && usage.quantities.values().all(|quantity| *quantity == 0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use super::{AT_ONCE, Call, Caller};
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
            name: &name,
            provider: &provider,
            request: &request,
            limits: Limits::default(),
            total: None,
            prices: &Prices::bundled(),
            ledger: &Mutex::new(ledger),
            caller: &Caller::default(),
            now: &|| 1_795_000_000_000,
        };
        let mut shown = Vec::new();
        let report = call
            .run(
                &mut |events| {
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
