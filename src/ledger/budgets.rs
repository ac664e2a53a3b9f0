//! The budgets that lie in the ledger, and what is asked of the books about any.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::accounts::{self, scoped};
use super::error::LedgerError;
use super::{Ledger, admit, resolve, terms};
use crate::domain::budget::{Budget, Excess, OnUnknownPrice, Origin, Refusal, Standing};
use crate::domain::money::Usd;
use crate::domain::record::{NewCall, OpenCall};
use crate::domain::scope::RefusalRecord;

impl Ledger {
    /// The budgets that are in force because they were set here, by name.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn budgets(&self) -> Result<Vec<Budget>, LedgerError> {
        self.read(accounts::live_budgets)
    }

    /// Puts a budget in force for every process that uses this ledger. One of the same name is replaced.
    ///
    /// # Errors
    /// Where an amount is below zero or the ledger cannot be written.
    pub fn set_budget(&mut self, budget: &Budget, now_ms: i64) -> Result<(), LedgerError> {
        let assumed = match budget.on_unknown_price {
            OnUnknownPrice::Assume(amount) => amount,
            OnUnknownPrice::Deny | OnUnknownPrice::Allow => Usd::default(),
        };
        if budget.limit.picos < 0 || assumed.picos < 0 {
            return Err(LedgerError::Negative);
        }
        let budget = Budget { origin: Origin::Ledger, ..budget.clone() };
        self.write(|books| add(books, &budget, false, now_ms))
    }

    /// Takes a budget out of force; false where there is none of that name. Its rows stay.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn remove_budget(&mut self, name: &str, now_ms: i64) -> Result<bool, LedgerError> {
        self.write(|books| {
            let live = accounts::live_budgets(books)?.into_iter().find(|budget| budget.name == name);
            let Some(live) = live else {
                return Ok(false);
            };
            add(books, &live, true, now_ms).map(|()| true)
        })
    }

    /// What the books say of budgets in the period around `now_ms`, in their order, all at one instant. Nothing is written.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn standings(&mut self, budgets: &[Budget], now_ms: i64) -> Result<Vec<Standing>, LedgerError> {
        self.read(|db| {
            let view = db.unchecked_transaction()?;
            let accounts = accounts::all(&view)?;
            let at_ms = accounts::last_opened(&view)?.map_or(now_ms, |last| last.max(now_ms));
            budgets.iter().map(|budget| admit::standing(&view, &accounts, budget, at_ms)).collect()
        })
    }

    /// The open calls that are held in a budget's period, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn open_of(&self, standing: &Standing) -> Result<Vec<OpenCall>, LedgerError> {
        let found = self.read(|db| {
            let mut held = resolve::open_calls(db, None)?;
            let mut find = db.prepare_cached(
                "SELECT provider, model, region, project, user, team, session, tags FROM call WHERE seq = ?1",
            )?;
            let mut covered = Vec::with_capacity(held.len());
            for (seq, call, _) in &held {
                let within = call.opened_ms >= standing.span.from_ms
                    && standing.span.to_ms.is_none_or(|to_ms| call.opened_ms < to_ms);
                let scope = &standing.budget.account.scope;
                covered.push(within && scope.covers(&find.query_row([seq], scoped)?));
            }
            let mut covered = covered.into_iter();
            held.retain(|_| covered.next().unwrap_or_default());
            Ok(held)
        })?;
        Ok(found.into_iter().map(|(_, call, owner)| self.judged(call, &owner)).collect())
    }

    /// The calls of a budget's period that count more than was held for them, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn excesses_of(&self, standing: &Standing) -> Result<Vec<Excess>, LedgerError> {
        let (account, span, hard) = (&standing.budget.account, standing.span, standing.budget.hard);
        self.read(|db| accounts::excesses(db, account, span, hard))
    }

    /// The last so many calls that a budget did not admit, newest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn last_refusals(&self, limit: u32) -> Result<Vec<RefusalRecord>, LedgerError> {
        self.read(|db| {
            let mut find = db.prepare_cached("SELECT * FROM refusal ORDER BY seq DESC LIMIT ?1")?;
            let mut rows = find.query([limit])?;
            let mut records = Vec::new();
            while let Some(row) = rows.next()? {
                let call = NewCall {
                    id: row.get("id")?,
                    command: row.get("command")?,
                    ceiling: row.get::<_, Option<i64>>("needed_picos")?.map(Usd::from_picos),
                    ..scoped(row)?
                };
                let refusal = Refusal {
                    by: terms::refusing(&row.get::<_, String>("refused")?)?,
                    needed: call.ceiling,
                    reasons: serde_json::from_str(&row.get::<_, String>("reasons")?).unwrap_or_default(),
                    cap_that_fits: row.get::<_, Option<i64>>("cap_that_fits")?.and_then(|cap| u64::try_from(cap).ok()),
                };
                records.push(RefusalRecord { at_ms: row.get("at_ms")?, call, refusal });
            }
            Ok(records)
        })
    }
}

/// Adds a row, unless the last one of that name says the same.
fn add(books: &Connection, budget: &Budget, removed: bool, now_ms: i64) -> rusqlite::Result<()> {
    let terms = terms::terms(budget)?;
    let last: Option<(bool, String)> = books
        .prepare_cached("SELECT removed, terms FROM budget WHERE name = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([&budget.name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if last.is_some_and(|(before, text)| before == removed && text == terms) {
        return Ok(());
    }
    books
        .prepare_cached("INSERT INTO budget (name, set_ms, removed, terms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![budget.name, now_ms, removed, terms])?;
    Ok(())
}
