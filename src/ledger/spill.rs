//! Settlements that the ledger could not take: kept as lines beside it, booked at the next start.

use serde::{Deserialize, Serialize};

use super::accounts;
use super::books::{self, Added};
use super::error::LedgerError;
use super::lease;
use super::owner::Owner;
use super::{Ledger, Reservation, connect};
use crate::domain::record::{NewCall, Settlement};

/// Longest text that is kept beside a spilled call, in bytes of JSON: its amount must find room, its words may.
const TEXT_MAX: usize = 16 << 10;

/// One line of a spill: everything that the two rows need.
#[derive(Debug, Serialize, Deserialize)]
struct Spilled {
    opened_ms: i64,
    finished_ms: i64,
    host: String,
    boot: String,
    pid_space: String,
    pid: u32,
    start: String,
    call: NewCall,
    settlement: Settlement,
}

/// The call without a text that would not find room.
pub(super) fn small(call: &NewCall) -> NewCall {
    let fits = call.prompt.as_ref().is_none_or(|prompt| prompt.to_string().len() <= TEXT_MAX);
    if fits { call.clone() } else { call.without_prompt() }
}

impl Ledger {
    /// Keeps the call and its settlement in the lease's file; says where, or that it could not.
    pub(super) fn spill(
        &mut self,
        reservation: &Reservation,
        settlement: &Settlement,
        finished_ms: i64,
        cause: LedgerError,
    ) -> LedgerError {
        let mut settlement = settlement.clone();
        settlement.answer = settlement.answer.filter(|answer| answer.to_string().len() <= TEXT_MAX);
        let spilled = Spilled {
            opened_ms: reservation.opened_ms,
            finished_ms,
            host: self.owner.host.clone(),
            boot: self.owner.boot.clone(),
            pid_space: self.owner.pid_space.clone(),
            pid: self.owner.pid,
            start: self.owner.start.clone(),
            call: (*reservation.call).clone(),
            settlement,
        };
        if self.lease.as_ref().is_some_and(|lease| !lease.stands()) {
            self.lease = None;
            // Without a new one the call is told as not kept.
            let _ = self.take_lease();
        }
        let line = serde_json::to_string(&spilled).ok();
        let kept = line.zip(self.lease.as_mut()).and_then(|(line, lease)| lease.write(&line).ok());
        match kept {
            Some(spill) => LedgerError::Spilled { spill: spill.to_owned(), cause: Box::new(cause) },
            None => LedgerError::Unsettled { cause: Box::new(cause) },
        }
    }

    /// Books what dead processes left, each file in one transaction, and removes it. One that cannot be booked stays and is
    /// said; it keeps nothing else from being booked.
    pub(super) fn take_in(&mut self) {
        for (path, _locked, text) in lease::left_behind(&self.leases()) {
            // A line without an end was never acknowledged: its call stays open.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let lines: Result<Vec<Spilled>, _> = whole.lines().map(serde_json::from_str).collect();
            let booked = match &lines {
                Ok(lines) => {
                    self.write(|books| lines.iter().map(|line| line.book(books)).sum::<rusqlite::Result<u32>>())
                }
                Err(error) => {
                    self.left.push(format!("{} cannot be read ({error}): it was left there", path.display()));
                    continue;
                }
            };
            match booked {
                Ok(late) => {
                    let _ = std::fs::remove_file(&path);
                    if late > 0 {
                        self.warnings.push(format!("booked {late} call(s) that an earlier llmx could not"));
                    }
                }
                Err(error) => {
                    self.left.push(format!("{} could not be booked ({error}): it was left there", path.display()));
                    self.begin_again();
                }
            }
        }
        self.warnings.extend(self.left.iter().cloned());
    }

    /// A connection that failed a write is not used again; nothing of its own was lost with it yet.
    fn begin_again(&mut self) {
        if self.broken
            && let Ok(db) = connect::again(&self.path, self.patience.clone())
        {
            (self.db, self.broken) = (db, false);
        }
    }
}

impl Spilled {
    /// Adds what is missing of the call; 1 where its settlement was.
    fn book(&self, books: &rusqlite::Connection) -> rusqlite::Result<u32> {
        let owner = Owner {
            host: self.host.clone(),
            boot: self.boot.clone(),
            pid_space: self.pid_space.clone(),
            pid: self.pid,
            start: self.start.clone(),
        };
        let seq = match books::find(books, &self.call.id)? {
            Some(seq) => seq,
            None => books::add_call(books, &accounts::all(books)?, &self.call, self.opened_ms, &owner)?,
        };
        let added = books::add_settlement(books, seq, &self.settlement, self.opened_ms, self.finished_ms)?;
        Ok(u32::from(added == Added::Now))
    }
}
