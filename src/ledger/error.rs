//! Why the books could not be opened, read or written, and what to do about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::domain::failure::{ErrorClass, Failure};

/// What is wrong with the ledger. Where it stands in the way of a reservation, nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{}: {source}; choose a place that you may write with --db or LLMX_DB", path.display())]
    Place { path: PathBuf, source: std::io::Error },
    #[error("{} is a symbolic link or no plain file: give the file itself with --db or LLMX_DB", path.display())]
    NotAFile { path: PathBuf },
    #[error("{} belongs to another user: choose a place of your own with --db or LLMX_DB", path.display())]
    NotYours { path: PathBuf },
    #[error("{} is not a ledger of llmx: move it away, or choose another place with --db or LLMX_DB", path.display())]
    NotALedger { path: PathBuf },
    #[error("{} has schema {found}, and this build knows {known}: use a newer llmx; the file was not touched", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{} is of an older llmx: any command that books or lists calls brings it up to date", path.display())]
    Older { path: PathBuf },
    #[error(
        "this build has SQLite {found}, and 3.51.3 is the first that two processes may share: build it with the bundled one"
    )]
    OldSqlite { found: &'static str },
    #[error("{} is locked by another program, and the wait was in vain: end that one, and try again", path.display())]
    Busy { path: PathBuf },
    #[error("there is no room to write {}: free some space, and try again", path.display())]
    Full { path: PathBuf },
    #[error("{} cannot be written: allow it, or choose another place with --db or LLMX_DB", path.display())]
    ReadOnly { path: PathBuf },
    #[error("{} is damaged: keep it, and take a backup made by `llmx ledger backup`, or begin anew with --db", path.display())]
    Damaged { path: PathBuf },
    #[error("{} was deleted or replaced while llmx ran: start again", path.display())]
    Replaced { path: PathBuf },
    #[error("{} could not be read or written ({source}): look at the disk and its free space", path.display())]
    Disk { path: PathBuf, source: rusqlite::Error },
    #[error("{}: {source}; `llmx ledger check` looks closer", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("a write to the ledger failed before, so its connection is not used again: start again")]
    Broken,
    #[error("an amount below zero was not booked: the call stays open at its ceiling; please report it")]
    Negative,
    #[error("{cause}; the call was kept in {} and is booked when llmx next starts", spill.display())]
    Spilled { spill: PathBuf, cause: Box<LedgerError> },
    #[error("{cause}; the call stays open at its ceiling: `llmx ledger resolve` settles it by hand")]
    Unsettled { cause: Box<LedgerError> },
    #[error("no call has the id {id}: `llmx logs` lists them")]
    NoCall { id: String },
    #[error("{count} calls match {id}: give more of the id")]
    Ambiguous { id: String, count: usize },
    #[error("the call {id} is still being made by process {pid}: wait for it, or end it first")]
    Running { id: String, pid: u32 },
    #[error("the call {id} has no ceiling: resolve it with an amount")]
    NoCeiling { id: String },
    #[error("{} is already there: give the name of a new file", path.display())]
    Exists { path: PathBuf },
    #[error(
        "the budget {budget} is not enforced on a network file system, whose locks cannot be trusted: give a local file with \
         --db, or make the budget soft"
    )]
    Unenforceable { budget: String },
    #[error(
        "the amounts of open calls are too large to be added up: `llmx ledger resolve` settles what is known of them"
    )]
    TooLarge,
    #[error("a budget in the ledger cannot be read by this build ({text}): use a newer llmx")]
    Unreadable { text: String },
}

impl LedgerError {
    /// What SQLite said of the file at `path`.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> LedgerError {
        let path = path.to_owned();
        let source = match source {
            rusqlite::Error::ToSqlConversionFailure(inner) => match inner.downcast::<LedgerError>() {
                Ok(ours) => return *ours,
                Err(other) => rusqlite::Error::ToSqlConversionFailure(other),
            },
            other => other,
        };
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                LedgerError::Busy { path }
            }
            Some(ErrorCode::DiskFull) => LedgerError::Full { path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                LedgerError::ReadOnly { path }
            }
            Some(ErrorCode::NotADatabase) => LedgerError::NotALedger { path },
            Some(ErrorCode::SystemIoFailure) => LedgerError::Disk { path, source },
            Some(ErrorCode::DatabaseCorrupt) => LedgerError::Damaged { path },
            _ => LedgerError::Sqlite { path, source },
        }
    }

    /// Through a transaction, which is rolled back by it; [`LedgerError::of`] takes it out again.
    pub(super) fn within_sqlite(self) -> rusqlite::Error {
        rusqlite::Error::ToSqlConversionFailure(Box::new(self))
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Failure {
        Failure::new(ErrorClass::Ledger, error.to_string())
    }
}
