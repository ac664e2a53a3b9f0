//! What every report on calls says first: of which days, of which calls, seen when.

use super::period::Period;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// When the report was made.
    pub made_ms: i64,
    pub period: Period,
    /// As it was written; empty: every call.
    pub filter: String,
}
