//! Counting what comes: events become an answer, and the answer an outcome.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::{News, Show, trace};
use crate::domain::answer::Answer;
use crate::domain::bill::Outcome;
use crate::domain::chat::ChatEvent;
use crate::domain::failure::Failure;
use crate::domain::report::Stop;
use crate::domain::usage::Usage;
use crate::provider::Arriving;

/// Most events that are shown at once: an answer that comes faster than it can be read is still seen to grow.
pub(super) const AT_ONCE: usize = 64;

/// What has come so far, and when it began to.
pub(super) struct Meter {
    pub began: Instant,
    pub first_token: Option<Duration>,
    pub answer: Answer,
}

impl Meter {
    pub fn begin() -> Meter {
        Meter { began: Instant::now(), first_token: None, answer: Answer::default() }
    }

    /// Shows the events and keeps them; false when nobody reads any more.
    pub fn take(&mut self, events: &mut Vec<ChatEvent>, show: &mut Show<'_>) -> bool {
        if self.first_token.is_none() && events.iter().any(is_content) {
            let after = self.began.elapsed();
            trace::first_token(after);
            self.first_token = Some(after);
        }
        let read = show(News::Events(events));
        for event in events.drain(..) {
            self.answer.add(event);
        }
        read
    }

    /// Keeps and shows what llmx itself has to say of the call.
    pub fn remark(&mut self, sentence: String, show: &mut Show<'_>) {
        self.take(&mut vec![ChatEvent::Note(sentence)], show);
    }

    /// The provider bills on after we stop reading: waits a moment for the final usage, and shows nothing more.
    /// `events`: what had been read and not been shown yet when the stop came.
    pub async fn drain(&mut self, arriving: &mut Arriving, mut events: Vec<ChatEvent>, limit: Duration) {
        let _ = timeout(limit, async { while let Ok(true) = arriving.next(&mut events).await {} }).await;
        for event in events {
            // Text that came after the stop was not shown: only what counts is kept.
            if matches!(event, ChatEvent::Usage(_) | ChatEvent::Finished(_)) {
                self.answer.add(event);
            }
        }
    }
}

/// Waits for what comes next, and takes with it what is already here: one read of the socket becomes one write to the
/// screen, not one for each token. Nothing more is waited for.
pub(super) async fn together(arriving: &mut Arriving, events: &mut Vec<ChatEvent>) -> Result<bool, Failure> {
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

fn is_content(event: &ChatEvent) -> bool {
    matches!(
        event,
        ChatEvent::Text(_)
            | ChatEvent::Reasoning(_)
            | ChatEvent::ToolCall(_)
            | ChatEvent::Growing(_)
            | ChatEvent::Refusal(_)
    )
}

/// What can be said of the consumption. `left`: something of the request had been handed to the network.
pub(super) fn outcome(answer: &Answer, failure: Option<&Failure>, stopped: Option<Stop>, left: bool) -> Outcome {
    let usable = answer.usage.clone().filter(|usage| usage.is_final() && !counts_nothing(usage, answer));
    match (failure, stopped) {
        (None, None) => match usable {
            Some(usage) => Outcome::Reported(usage),
            None => Outcome::Unconfirmed { seen: answer.usage.clone() },
        },
        (Some(failure), _) if !failure.may_be_billed => Outcome::NeverSent,
        (None, Some(_)) if !left => Outcome::NeverSent,
        // A stopped call whose last word came in the drain is as good as a whole one.
        (_, _) if answer.finish.is_some() && usable.is_some() => usable.map_or(Outcome::NeverSent, Outcome::Reported),
        (_, _) => Outcome::Unconfirmed { seen: answer.usage.clone() },
    }
}

/// Only zeros, beside something that was generated: a provider that does not count, not an answer that was free.
fn counts_nothing(usage: &Usage, answer: &Answer) -> bool {
    answer.has_content() && !usage.quantities.is_empty() && usage.quantities.values().all(|quantity| *quantity == 0)
}
