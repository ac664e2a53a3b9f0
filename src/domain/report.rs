//! One call as it is told afterwards: on the screen, in JSON, in the books.

use std::time::Duration;

use super::answer::Answer;
use super::bill::{Bill, Outcome};
use super::budget::Alert;
use super::failure::{ErrorClass, Failure};
use super::model::ModelName;

/// Everything that is known of a finished call, good or not.
#[derive(Debug, Clone, PartialEq)]
pub struct CallReport {
    /// Our id of the call: a UUID that sorts by time.
    pub id: String,
    /// The id that calls made together share.
    pub group: Option<String>,
    /// The session that it is booked to.
    pub session: Option<String>,
    pub name: ModelName,
    /// The region that was called, where the provider has regions.
    pub region: Option<String>,
    /// What came, also before a failure.
    pub answer: Answer,
    pub outcome: Outcome,
    pub bill: Bill,
    pub timing: Timing,
    pub request_id: Option<String>,
    pub failure: Option<Failure>,
    /// The user or the reader stopped it.
    pub stopped: Option<Stop>,
    /// The last attempt was refused before it was sent: only those before it were made, and stand in the books.
    pub refused: bool,
    /// The output cap that was asked for, in tokens, where a budget lowered it.
    pub clipped_from: Option<u64>,
    /// Attempts before this one, oldest first.
    pub earlier: Vec<Earlier>,
    /// Budgets that reached a percent at which they warn, with the last attempt.
    pub alerts: Vec<Alert>,
    /// The call was made and its settlement could not be booked.
    pub unbooked: Option<Failure>,
}

impl CallReport {
    /// The report of one attempt of which nothing more is known.
    #[must_use]
    pub fn of(name: ModelName, outcome: Outcome, bill: Bill) -> CallReport {
        CallReport {
            id: String::new(),
            group: None,
            session: None,
            name,
            region: None,
            answer: Answer::default(),
            outcome,
            bill,
            timing: Timing::default(),
            request_id: None,
            failure: None,
            stopped: None,
            refused: false,
            clipped_from: None,
            earlier: Vec::new(),
            alerts: Vec::new(),
            unbooked: None,
        }
    }

    /// What every attempt that was made cost, oldest first.
    pub fn bills(&self) -> impl Iterator<Item = &Bill> {
        let last = (!self.refused).then_some(&self.bill);
        self.earlier.iter().map(|earlier| &earlier.bill).chain(last)
    }

    /// The budgets that reached a percent at which they warn, with any of its attempts.
    pub fn all_alerts(&self) -> impl Iterator<Item = &Alert> {
        self.earlier.iter().flat_map(|earlier| &earlier.alerts).chain(&self.alerts)
    }
}

/// Milliseconds since the call began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// The first text, thinking or tool call.
    pub first_token_ms: Option<u64>,
    /// The last attempt.
    pub total_ms: u64,
    /// The whole call, with earlier attempts and waits.
    pub elapsed_ms: u64,
    pub attempts: u32,
}

/// An attempt that failed and was followed by another.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    pub id: String,
    pub name: ModelName,
    pub failure: Failure,
    pub bill: Bill,
    pub total_ms: u64,
    /// How long was waited after it.
    pub waited_ms: u64,
    /// Budgets that reached a percent at which they warn, with it.
    pub alerts: Vec<Alert>,
}

impl Earlier {
    /// What is kept of an attempt that failed.
    #[must_use]
    pub fn of(report: CallReport, waited: Duration) -> Earlier {
        let failure = report.failure.unwrap_or_else(|| Failure::new(ErrorClass::Protocol, "it did not fail"));
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        Earlier {
            id: report.id,
            name: report.name,
            failure,
            bill: report.bill,
            total_ms: report.timing.total_ms,
            waited_ms,
            alerts: report.alerts,
        }
    }
}

/// Who ended a call before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    Terminate,
    Hangup,
    /// The reader of the output went away.
    ClosedPipe,
}

impl Stop {
    /// The exit code that the shell knows.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Stop::Hangup => 129,
            Stop::Interrupt => 130,
            Stop::ClosedPipe => 141,
            Stop::Terminate => 143,
        }
    }
}
