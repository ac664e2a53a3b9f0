//! What is remembered: every call before it is sent, what became of it, and the questions asked of both. Append-only.

mod accounts;
mod admit;
mod again;
mod books;
mod budgets;
mod connect;
mod days;
mod error;
mod files;
mod foreign;
mod glimpse;
mod import;
mod lease;
mod look;
mod names;
mod owner;
mod query;
mod quick;
mod resolve;
mod scan;
mod seen;
mod spend;
mod spill;
mod terms;
mod upkeep;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::domain::budget::Alert;
use crate::domain::record::Settlement;
use accounts::Known;
pub use admit::{Admission, Reservation};
pub use again::Beside;
use books::Added;
pub use connect::{Note, Patience};
pub use error::LedgerError;
use files::Place;
pub use foreign::{ForeignError, LlmLog, LlmRow};
pub use glimpse::Glimpse;
pub use import::{ALL_MODELS, Elsewhere, Fate, Standing, Sum, ToImport, reading};
use lease::Lease;
pub use names::{Name, Named, names};
use owner::Owner;
pub use query::{Comparison, LogFilter};
pub use seen::Seen;
pub use upkeep::{Purged, Repriced, Repricing};

/// The books, open for reading and writing.
#[derive(Debug)]
pub struct Ledger {
    db: Connection,
    path: PathBuf,
    place: Option<Place>,
    owner: Owner,
    /// Taken with the first reservation.
    lease: Option<Lease>,
    warnings: Vec<String>,
    /// On a network file system, whose locks cannot be trusted.
    remote: bool,
    known: Known,
    patience: Patience,
    /// A write failed: what the connection would say or do next cannot be trusted.
    broken: bool,
    /// What lies beside it and could not be booked, in sentences.
    left: Vec<String>,
}

/// Frames of the write-ahead log that are worth a checkpoint: the next process to start alone reads them all, about 5 µs
/// each, and a call writes a dozen. A checkpoint takes about 2 ms, after the answer.
const FRAMES_MAX: i64 = 64;

/// Closing a file drops the locks that this process holds on it, so that files are made one at a time.
static OPENING: Mutex<()> = Mutex::new(());

impl Ledger {
    /// Opens the ledger at `path`, or makes it with its folder. Settlements that earlier processes could not book are booked
    /// first.
    ///
    /// # Errors
    /// A [`LedgerError`]: nothing may be sent then.
    pub fn open(path: &Path, patience: Patience) -> Result<Ledger, LedgerError> {
        let _one_at_a_time = OPENING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            files::make_folder(folder)?;
        }
        let path = files::resolved(path)?;
        let (db, warnings) = connect::open(&path, patience.clone())?;
        let mut ledger = Ledger::over(db, path, patience);
        ledger.warnings = warnings;
        ledger.take_in();
        Ok(ledger)
    }

    fn over(db: Connection, path: PathBuf, patience: Patience) -> Ledger {
        Ledger {
            db,
            place: Place::of(&path),
            owner: Owner::current(),
            lease: None,
            warnings: Vec::new(),
            remote: files::is_remote(&path),
            known: Known::default(),
            patience,
            broken: false,
            left: Vec::new(),
            path,
        }
    }

    /// The file, with its folder's links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the user should know of the ledger itself: where it lies, what was booked late and what could not be.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Books what became of the call, and gives the budgets that reached a percent at which they warn. Where the ledger
    /// cannot take it, it is kept beside it and booked at the next start.
    ///
    /// # Errors
    /// [`LedgerError::Spilled`] where it is kept, any other where the call stays open at its ceiling.
    pub fn settle(
        &mut self,
        reservation: Reservation,
        settlement: &Settlement,
        now_ms: i64,
    ) -> Result<Vec<Alert>, LedgerError> {
        if [settlement.total, settlement.at_most].into_iter().flatten().any(|amount| amount.picos < 0) {
            return Err(LedgerError::Negative);
        }
        let finished_ms = now_ms.max(reservation.opened_ms);
        let Reservation { seq, opened_ms, ref watched, .. } = reservation;
        let booked = self.write(|books| {
            if books::add_settlement(books, seq, settlement, opened_ms, finished_ms)? == Added::Before {
                let because = "the call ended after it had been settled by hand";
                books::add_correction(books, seq, finished_ms, &settlement.basis, settlement.total, because)?;
            }
            admit::alerts(books, watched, seq, opened_ms, finished_ms)
        });
        booked.map_err(|cause| self.spill(&reservation, settlement, finished_ms, cause))
    }

    /// One transaction that has the write lock from its beginning. After an error that is not a mere wait, the connection is
    /// not used again.
    fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, LedgerError> {
        if self.broken {
            return Err(LedgerError::Broken);
        }
        if Place::of(&self.path) != self.place {
            return Err(LedgerError::Replaced { path: self.path.clone() });
        }
        match transact(&mut self.db, &self.patience, work) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(found)) => Err(LedgerError::Newer { path: self.path.clone(), found, known: connect::newest() }),
            Err(error) => {
                let error = LedgerError::of(&self.path, error);
                self.broken = !matches!(
                    error,
                    LedgerError::Busy { .. }
                        | LedgerError::Unenforceable { .. }
                        | LedgerError::TooLarge
                        | LedgerError::Unreadable { .. }
                );
                Err(error)
            }
        }
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LedgerError> {
        work(&self.db).map_err(|error| LedgerError::of(&self.path, error))
    }

    fn take_lease(&mut self) -> Result<(), LedgerError> {
        if self.lease.is_none() {
            let folder = self.leases();
            files::make_folder(&folder)?;
            let lease = Lease::take(&folder, &self.owner.mark());
            self.lease = Some(lease.map_err(|source| match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => LedgerError::Full { path: folder },
                _ => LedgerError::Place { path: folder, source },
            })?);
        }
        Ok(())
    }

    /// The folder of leases, `ledger.spill` beside `ledger.db`.
    fn leases(&self) -> PathBuf {
        self.path.with_extension("spill")
    }
}

/// The value of `work`, committed, or the number of a schema that another build has brought meanwhile.
fn transact<T>(
    db: &mut Connection,
    patience: &Patience,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Result<T, i64>> {
    let books = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Without the wait for others.
    let began = patience.clock.map(|now| (now, now()));
    let found = books::schema(&books)?;
    if found != connect::newest() {
        return Ok(Err(found));
    }
    let value = work(&books)?;
    books.commit()?;
    if let Some((now, began)) = began {
        patience.wrote(now().duration_since(began));
    }
    Ok(Ok(value))
}

impl Drop for Ledger {
    /// Checkpoints a long log, unless others are at work: it never waits, and it fails to the next one to close.
    fn drop(&mut self) {
        if self.broken {
            return;
        }
        let frames = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
        let waiting = self.db.query_row("PRAGMA wal_checkpoint(NOOP)", [], frames);
        if waiting.is_ok_and(|frames| frames >= FRAMES_MAX) && self.db.busy_timeout(Duration::ZERO).is_ok() {
            let _ = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }
}
