//! Calls that nobody settled, and settling them by hand. Time alone frees nothing.

use rusqlite::Connection;

use super::books;
use super::error::LedgerError;
use super::owner::Owner;
use super::{Ledger, query};
use crate::domain::money::Usd;
use crate::domain::record::{OpenCall, OwnerState, Resolution, Settlement};

impl Ledger {
    /// Calls without a settlement, oldest first, and whether the processes that opened them live.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn open_calls(&self) -> Result<Vec<OpenCall>, LedgerError> {
        let found = self.read(|db| open_calls(db, None))?;
        Ok(found.into_iter().map(|(_, call, owner)| self.judged(call, &owner)).collect())
    }

    /// Books what became known of a call. An open one is settled, unless its process still runs; a settled one gets a
    /// correction. `id` may be a part of it that no other call has.
    ///
    /// # Errors
    /// Where the call is not found or still runs, has no ceiling to be booked at, or the ledger cannot be written.
    pub fn resolve(
        &mut self,
        id: &str,
        resolution: Resolution,
        because: &str,
        now_ms: i64,
    ) -> Result<String, LedgerError> {
        let (seq, id) = self.find(id)?;
        let open = self.read(|db| open_calls(db, Some(seq)))?.into_iter().next();
        if let Some((_, call, owner)) = &open
            && owner.state(&self.owner, &self.leases()) == OwnerState::Running
        {
            return Err(LedgerError::Running { id, pid: call.pid });
        }
        let (basis, total) = match resolution {
            Resolution::Nothing => ("nothing", Usd::default()),
            Resolution::Amount(amount) if amount.picos < 0 => return Err(LedgerError::Negative),
            Resolution::Amount(amount) => ("reported", amount),
            Resolution::Ceiling => {
                let ceiling = self.read(|db| query::ceiling(db, seq))?;
                ("ceiling", ceiling.ok_or_else(|| LedgerError::NoCeiling { id: id.clone() })?)
            }
        };
        let settlement = Settlement {
            basis: basis.to_owned(),
            total: Some(total),
            because: Some(because.to_owned()),
            ..Settlement::default()
        };
        self.write(|books| {
            if books::is_settled(books, seq)? {
                return books::add_correction(books, seq, now_ms, basis, Some(total), because);
            }
            let opened_ms = open.as_ref().map_or(now_ms, |(_, call, _)| call.opened_ms);
            books::add_settlement(books, seq, &settlement, opened_ms, now_ms.max(opened_ms)).map(|_| ())
        })?;
        Ok(id)
    }

    pub(super) fn judged(&self, call: OpenCall, owner: &Owner) -> OpenCall {
        OpenCall { state: owner.state(&self.owner, &self.leases()), ..call }
    }
}

/// Every open call, or the one that is asked for.
pub(super) fn open_calls(db: &Connection, only: Option<i64>) -> rusqlite::Result<Vec<(i64, OpenCall, Owner)>> {
    let mut find = db.prepare_cached(
        "SELECT c.seq, c.id, c.opened_ms, c.command, c.provider, c.model, c.ceiling_picos, c.pid, c.host, c.boot,
            c.pid_space, c.process_start
         FROM open_call o JOIN call c ON c.seq = o.call WHERE ?1 IS NULL OR o.call = ?1 ORDER BY c.opened_ms, c.seq",
    )?;
    let rows = find.query_map([only], |row| {
        let call = OpenCall {
            id: row.get(1)?,
            opened_ms: row.get(2)?,
            command: row.get(3)?,
            provider: row.get(4)?,
            model: row.get(5)?,
            ceiling: row.get::<_, Option<i64>>(6)?.map(Usd::from_picos),
            pid: row.get(7)?,
            state: OwnerState::Elsewhere,
        };
        let owner = Owner {
            host: row.get(8)?,
            boot: row.get(9)?,
            pid_space: row.get(10)?,
            pid: row.get(7)?,
            start: row.get(11)?,
        };
        Ok((row.get(0)?, call, owner))
    })?;
    rows.collect()
}
