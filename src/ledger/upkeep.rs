//! Looking after the books: the check that they agree, copies, removing old texts, and prices tried afterwards.

use std::path::Path;

use rusqlite::{Connection, params};

use super::error::LedgerError;
use super::{Ledger, accounts, books, connect, days, files};
use crate::domain::money::Usd;
use crate::domain::repricing::KeptRun;

/// How many texts a purge removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    pub prompts: u64,
    pub answers: u64,
    /// False: others had the ledger open, so that its log may still hold what was removed.
    pub overwritten: bool,
}

/// A run of calls at other prices. Booked amounts stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repricing {
    /// The price table, its version and the SHA-256 of its text.
    pub table: String,
    pub version: String,
    pub sha256: String,
    pub because: String,
    pub calls: Vec<Repriced>,
}

/// One call at other prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repriced {
    /// Our id of the call.
    pub id: String,
    /// `None`: unpriced there.
    pub total: Option<Usd>,
    /// The entry of the table.
    pub entry: Option<String>,
}

impl Ledger {
    /// Everything that is wrong with the books, in sentences; none where all is well.
    ///
    /// # Errors
    /// Where the ledger cannot be read at all.
    pub fn check(&self) -> Result<Vec<String>, LedgerError> {
        self.read(|db| {
            // One reader's view throughout: others may write meanwhile.
            let view = db.unchecked_transaction()?;
            let mut found = findings(&view)?;
            found.extend(self.left.iter().cloned());
            Ok(found)
        })
    }

    /// Makes the derived tables anew from the sources.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn rebuild(&mut self) -> Result<(), LedgerError> {
        self.write(|books| books::derive(books))
    }

    /// Writes a whole copy into a new file that only its owner may read, while others go on writing.
    ///
    /// # Errors
    /// Where the file is there already or cannot be written.
    pub fn backup(&self, to: &Path) -> Result<(), LedgerError> {
        let to = files::resolved(to)?;
        connect::copy_into(&self.db, &self.path, &to)
    }

    /// Removes what was said in calls opened before `before_ms`, for good: the bytes are overwritten. Amounts stay.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn purge_texts(&mut self, before_ms: i64) -> Result<Purged, LedgerError> {
        self.read(|db| db.query_row("PRAGMA secure_delete = ON", [], |_| Ok(())))?;
        let (prompts, answers) = self.write(|books| {
            let remove = |table: &str| {
                let old = "SELECT seq FROM call WHERE opened_ms < ?1";
                books.execute(&format!("DELETE FROM {table} WHERE call IN ({old})"), [before_ms])
            };
            Ok((remove("prompt")? as u64, remove("answer")? as u64))
        })?;
        // The old pages are in the log as well, and in pages that were free before.
        let busy: bool = self.read(|db| {
            db.execute_batch("VACUUM")?;
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        })?;
        Ok(Purged { prompts, answers, overwritten: !busy })
    }

    /// Keeps a run of calls at other prices beside the booked amounts; gives its number.
    ///
    /// # Errors
    /// Where a call is not known or not settled, or the ledger cannot be written: then nothing of the run is kept.
    pub fn keep_repricing(&mut self, run: &Repricing, now_ms: i64) -> Result<i64, LedgerError> {
        let mut calls = Vec::with_capacity(run.calls.len());
        for call in &run.calls {
            let found = self.read(|db| books::find(db, &call.id))?;
            calls.push((found.ok_or_else(|| LedgerError::NoCall { id: call.id.clone() })?, call));
        }
        self.write(|books| {
            books.execute(
                "INSERT INTO repricing_run (made_ms, price_table, version, sha256, because) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![now_ms, run.table, run.version, run.sha256, run.because],
            )?;
            let number = books.last_insert_rowid();
            let mut add = books
                .prepare("INSERT INTO repricing_line (run, call, total_picos, entry) VALUES (?1, ?2, ?3, ?4)")?;
            for (seq, call) in &calls {
                add.execute(params![number, seq, call.total.map(|total| total.picos), call.entry])?;
            }
            Ok(number)
        })
    }

    /// The runs that were kept, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn repricings(&self) -> Result<Vec<KeptRun>, LedgerError> {
        self.read(|db| {
            let mut find = db.prepare(
                // In two parts: a sum beyond the largest number is an error of SQLite's.
                "SELECT r.id, r.made_ms, r.price_table, r.version, r.sha256, r.because, count(l.call), count(l.total_picos),
                    coalesce(sum(l.total_picos >> 32), 0), coalesce(sum(l.total_picos & 4294967295), 0)
                 FROM repricing_run r LEFT JOIN repricing_line l ON l.run = r.id GROUP BY r.id ORDER BY r.id",
            )?;
            let rows = find.query_map([], |row| {
                Ok(KeptRun {
                    number: row.get(0)?,
                    made_ms: row.get(1)?,
                    table: row.get(2)?,
                    version: row.get(3)?,
                    sha256: row.get(4)?,
                    because: row.get(5)?,
                    calls: row.get(6)?,
                    priced: row.get(7)?,
                    total: Usd::from_picos(whole(row.get(8)?, row.get(9)?)),
                })
            })?;
            rows.collect()
        })
    }

    /// The calls of a run that was kept, in the order in which they were made.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn repricing(&self, number: i64) -> Result<Vec<Repriced>, LedgerError> {
        self.read(|db| {
            let mut find = db.prepare(
                "SELECT c.id, r.total_picos, r.entry FROM repricing_line r JOIN call c ON c.seq = r.call
                 WHERE r.run = ?1 ORDER BY c.opened_ms, c.seq",
            )?;
            let rows = find.query_map([number], |row| {
                let total = row.get::<_, Option<i64>>(1)?.map(Usd::from_picos);
                Ok(Repriced { id: row.get(0)?, total, entry: row.get(2)? })
            })?;
            rows.collect()
        })
    }
}

/// A sum from those of the upper and the lower 32 bits; what is too large stays at the largest number.
fn whole(upper: i64, lower: i64) -> i64 {
    let sum = (i128::from(upper) << 32) + i128::from(lower);
    i64::try_from(sum).unwrap_or(i64::MAX)
}

/// Rules that hold for every row, each as a query for what breaks it and the sentence for a hit.
const RULES: &[(&str, &str)] = &[
    (
        "SELECT c.id FROM settlement s JOIN call c ON c.seq = s.call
         WHERE s.total_picos < 0 OR s.at_most_picos < 0 OR s.at_most_picos < s.total_picos",
        "an amount is below zero, or above its own bound",
    ),
    ("SELECT call FROM settlement GROUP BY call HAVING count(*) > 1", "a call is settled more than once"),
    ("SELECT call FROM settlement WHERE call NOT IN (SELECT seq FROM call)", "a settlement has no call"),
    ("SELECT id FROM call GROUP BY id HAVING count(*) > 1", "two calls have one id"),
    (
        "SELECT c.id FROM settlement s JOIN call c ON c.seq = s.call WHERE s.finished_ms < c.opened_ms",
        "a call ended before it began",
    ),
    (
        "SELECT c.id FROM settlement s JOIN call c ON c.seq = s.call WHERE s.cost_basis = 'table'
         AND s.total_picos IS NOT (SELECT sum(picos) FROM line l WHERE l.call = s.call)",
        "a total is not the sum of its lines",
    ),
    (
        "SELECT call FROM (SELECT call FROM open_call EXCEPT SELECT seq FROM call WHERE seq NOT IN (SELECT call FROM settlement))
         UNION ALL
         SELECT call FROM (SELECT seq AS call FROM call WHERE seq NOT IN (SELECT call FROM settlement)
             EXCEPT SELECT call FROM open_call)",
        "the list of open calls is not that of the sources: `llmx ledger check --rebuild` makes it anew",
    ),
];

pub(super) fn findings(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut say = |sentence: &str, hits: Vec<String>| {
        if !hits.is_empty() {
            let first: Vec<&str> = hits.iter().take(3).map(String::as_str).collect();
            let more = if hits.len() > 3 { ", …" } else { "" };
            found.push(format!("{sentence} ({}: {}{more})", hits.len(), first.join(", ")));
        }
    };
    let whole: Vec<String> = texts(db, "PRAGMA integrity_check(10)")?;
    say("the file is damaged", whole.into_iter().filter(|said| said != "ok").collect());
    say("a row points at nothing", texts(db, "SELECT \"table\" FROM pragma_foreign_key_check")?);
    for (rule, sentence) in RULES {
        say(sentence, texts(db, rule)?);
    }
    say(
        "the sums by day are not those of the sources: `llmx ledger check --rebuild` makes them anew",
        days::differing(db)?,
    );
    say(
        "the sums that budgets are judged by are not those of the sources: `llmx ledger check --rebuild` makes them anew",
        accounts::differing(db)?,
    );
    Ok(found)
}

/// The first column of every row, as text.
fn texts(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut find = db.prepare(sql)?;
    let rows = find.query_map([], |row| {
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            other => other.as_str_or_null()?.unwrap_or_default().to_owned(),
        })
    })?;
    rows.collect()
}
