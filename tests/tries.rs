//! What follows an attempt that failed: waits, other models and deadlines, with a clock that the test moves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmx::call::{Call, Caller, Guard, News, Persistence, Target};
use llmx::domain::bill::Quote;
use llmx::domain::budget::Claim;
use llmx::domain::chat::{ChatEvent, ChatRequest, Message, Part, Role};
use llmx::domain::failure::{ErrorClass, Failure};
use llmx::domain::model::{ModelFacts, ModelName};
use llmx::domain::record::{NewCall, Record};
use llmx::domain::report::{CallReport, Stop};
use llmx::ledger::{Ledger, LogFilter, Patience};
use llmx::pricing::Prices;
use llmx::provider::catalog::Catalog;
use llmx::provider::net::Net;
use llmx::provider::{Choice, Limits, Provider};
use tokio::time::Instant;

const NOON: i64 = 1_795_000_000_000;

/// What became of one call.
struct Story {
    report: Result<CallReport, Failure>,
    /// What was said on the way, in short.
    news: Vec<String>,
    /// How long it took on the test's clock.
    took: Duration,
    /// Oldest first.
    rows: Vec<Record>,
}

impl Story {
    fn report(&self) -> &CallReport {
        self.report.as_ref().expect("sent")
    }
}

/// How a call is to be made.
#[derive(Default)]
struct Plan<'a> {
    models: &'a [&'a str],
    persistence: Persistence,
    total: Option<Duration>,
    limits: Limits,
    stop_after: Option<Duration>,
    /// The latest call in the books was opened so many milliseconds after this one begins.
    clock_behind_ms: Option<i64>,
}

async fn call(plan: Plan<'_>) -> Story {
    let row = Catalog::with(&toml::Table::new()).and_then(|catalog| catalog.row("sim")).expect("its row");
    let opened: Vec<(ModelName, Provider)> = plan
        .models
        .iter()
        .map(|model| {
            let name = ModelName { provider: "sim".into(), region: None, model: (*model).to_owned() };
            let net = Arc::new(Net::default());
            let provider =
                Provider::open(&row, &name, ModelFacts::default(), None, &Choice::default(), &net, &|_| None);
            (name, provider.expect("opens"))
        })
        .collect();
    let targets: Vec<Target<'_>> = opened.iter().map(|(name, provider)| Target { name, provider }).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Mutex::new(Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens"));
    let message = Message { role: Role::User, parts: vec![Part::Text("say it".into())] };
    let request = ChatRequest { messages: vec![message], ..ChatRequest::default() };
    if let Some(ahead_ms) = plan.clock_behind_ms {
        let (quote, call) = (Quote::default(), NewCall { id: "later".into(), ..NewCall::default() });
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        ledger.lock().expect("whole").admit(&call, &claim, NOON + ahead_ms).expect("booked");
    }
    let began = Instant::now();
    let now = move || NOON + i64::try_from(began.elapsed().as_millis()).expect("short");
    let mut news = Vec::new();
    let report = Call {
        targets: &targets,
        request: &request,
        limits: plan.limits,
        total: plan.total,
        persistence: plan.persistence,
        guard: Guard::default(),
        group: None,
        earlier: Vec::new(),
        prices: &Prices::bundled(),
        ledger: &ledger,
        caller: &Caller::default(),
        now: &now,
    }
    .run(
        &mut |heard| {
            match heard {
                News::Events(events) => news.extend(events.iter().filter_map(|event| match event {
                    ChatEvent::Note(note) => Some(note.clone()),
                    _ => None,
                })),
                News::Again { attempt, .. } => news.push(format!("again {attempt}")),
                News::Instead { to, .. } => news.push(format!("instead {to}")),
                News::Clipped { to, .. } => news.push(format!("clipped {to}")),
                News::Passed { said, .. } => news.push(said.to_owned()),
                News::NoMoreRetries => news.push("no more".to_owned()),
            }
            true
        },
        match plan.stop_after {
            None => Box::pin(std::future::pending()),
            Some(after) => Box::pin(async move {
                tokio::time::sleep(after).await;
                Stop::Interrupt
            }),
        },
    )
    .await;
    let took = began.elapsed();
    let mut rows =
        ledger.into_inner().expect("whole").logs(&LogFilter { limit: 100, ..LogFilter::default() }).expect("read");
    rows.reverse();
    Story { report, news, took, rows }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_stays_overloaded_is_asked_three_times_and_each_is_a_row_that_points_at_the_first() {
    let story = call(Plan { models: &["error?class=overloaded"], ..Plan::default() }).await;
    let report = story.report();
    assert_eq!(report.failure.as_ref().map(|failure| failure.class), Some(ErrorClass::Overloaded));
    assert_eq!((report.timing.attempts, report.earlier.len()), (3, 2));
    assert_eq!(story.news, ["again 2", "again 3"]);
    // At most 0.5 s and 1 s of waits, and none after the last attempt.
    let waited: u64 = report.earlier.iter().map(|earlier| earlier.waited_ms).sum();
    assert!(waited <= 1500 && story.took.as_millis() <= u128::from(waited) + 5, "{waited} {:?}", story.took);
    let first = &story.rows[0].call;
    assert_eq!(story.rows.len(), 3);
    assert_eq!(first.retry_of, None);
    for row in &story.rows[1..] {
        assert_eq!(row.call.retry_of.as_ref(), Some(&first.id));
    }
    for row in &story.rows {
        let settled = row.settled.as_ref().expect("settled");
        assert_eq!(
            (settled.settlement.basis.as_str(), settled.settlement.error_class.as_deref()),
            ("nothing", Some("overloaded"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_waiting_does_not_mend_is_one_attempt() {
    for class in ["auth", "permission", "invalid-request", "context-length", "quota", "content-filter", "protocol"] {
        let model = format!("error?class={class}");
        let story = call(Plan { models: &[&model], ..Plan::default() }).await;
        assert_eq!((story.rows.len(), story.took), (1, Duration::ZERO), "{class}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_model_is_asked_where_the_first_may_not_be_and_both_are_booked() {
    for (class, rows) in [("permission", 2), ("quota", 2), ("overloaded", 4), ("auth", 1), ("invalid-request", 1)] {
        let model = format!("error?class={class}");
        let story = call(Plan { models: &[&model, "echo"], ..Plan::default() }).await;
        assert_eq!(story.rows.len(), rows, "{class}");
        let answered = story.report().failure.is_none();
        assert_eq!(answered, rows > 1, "{class}");
        if answered {
            assert_eq!((story.report().name.model.as_str(), story.report().answer.text().as_str()), ("echo", "say it"));
            assert!(story.news.contains(&"instead sim/echo".to_owned()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_repeated_once_a_token_was_shown() {
    let story = call(Plan { models: &["error?class=overloaded&after=3", "echo"], ..Plan::default() }).await;
    assert_eq!((story.rows.len(), story.news.len()), (1, 0));
    assert_eq!(story.report().answer.text().split_whitespace().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_whole_calls_deadline_holds_over_all_attempts_and_no_wait_goes_beyond_it() {
    let persistence = Persistence { retries: 20, backoff: Duration::from_secs(4), ..Persistence::default() };
    let total = Some(Duration::from_secs(9));
    let story =
        call(Plan { models: &["error?class=overloaded&ttft=1000"], persistence, total, ..Plan::default() }).await;
    assert!(story.took <= Duration::from_secs(9), "{:?}", story.took);
    let slow = Plan { models: &["lorem?ttft=20000"], total, ..Plan::default() };
    let story = call(slow).await;
    assert_eq!((story.took, story.rows.len()), (Duration::from_secs(9), 1));
    let failure = story.report().failure.as_ref().expect("late");
    assert!(failure.class == ErrorClass::Timeout && failure.message.contains("--timeout"), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_token_has_a_limit_of_its_own_that_the_rest_of_the_answer_has_not() {
    let limits = Limits { first_token: Some(Duration::from_secs(2)), ..Limits::default() };
    let late = call(Plan { models: &["lorem?ttft=3000"], limits, ..Plan::default() }).await;
    let failure = late.report().failure.as_ref().expect("late");
    assert!(failure.class == ErrorClass::Timeout && failure.message.contains("first_token"), "{failure:?}");
    assert_eq!(late.took, Duration::from_secs(2));
    let long = call(Plan { models: &["lorem?ttft=1000&tokens=30&tps=10"], limits, ..Plan::default() }).await;
    assert_eq!(long.report().failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_wait_ends_the_call_at_once() {
    let persistence = Persistence { backoff: Duration::from_secs(8), ..Persistence::default() };
    let stop_after = Some(Duration::from_millis(1));
    let story = call(Plan { models: &["error?class=overloaded"], persistence, stop_after, ..Plan::default() }).await;
    // Chance may make a wait shorter than a millisecond; then it ends by itself.
    if story.report().stopped.is_some() {
        assert!(story.took <= Duration::from_millis(2) && story.rows.len() <= 3, "{:?}", story.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_went_back_is_said_before_the_answer_and_booked() {
    let story = call(Plan { models: &["echo"], clock_behind_ms: Some(7_200_000), ..Plan::default() }).await;
    let told = ["the clock is 7200 s behind the latest call in the ledger: that one's time is booked"];
    assert_eq!(story.news, told);
    assert_eq!(story.report().answer.notes, told);
    let settled = story.rows[1].settled.as_ref().expect("settled");
    assert_eq!(
        (story.rows[1].opened_ms, settled.settlement.notes.as_slice()),
        (NOON + 7_200_000, &told.map(str::to_owned)[..])
    );
    let right = call(Plan { models: &["echo"], clock_behind_ms: Some(59_000), ..Plan::default() }).await;
    assert_eq!(right.news, Vec::<String>::new(), "two processes that started together");
}
