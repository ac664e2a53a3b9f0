//! One call as it is told afterwards: on the screen, in JSON, in the books.

use super::answer::Answer;
use super::bill::{Bill, Outcome};
use super::failure::Failure;
use super::model::ModelName;

/// Everything that is known of a finished call, good or not.
#[derive(Debug, Clone, PartialEq)]
pub struct CallReport {
    /// Our id of the call: a UUID that sorts by time.
    pub id: String,
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
    /// The call was made and its settlement could not be booked.
    pub unbooked: Option<Failure>,
}

/// Milliseconds since the call began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// The first text, thinking or tool call.
    pub first_token_ms: Option<u64>,
    pub total_ms: u64,
    pub attempts: u32,
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
