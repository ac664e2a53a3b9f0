//! Sums of calls by account and period, so that a budget is judged as fast in a full ledger as in an empty one.
//!
//! They are derived: every writer keeps those of all accounts right, since another process may enforce a budget that this
//! one does not know, and they can be made anew from the sources.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::error::LedgerError;
use super::terms;
use crate::domain::budget::{Account, Budget, Excess, OnUnknownPrice, Standing};
use crate::domain::money::Usd;
use crate::domain::record::NewCall;
use crate::domain::window::{Span, Window, Zone};

/// An account that a budget has met.
#[derive(Debug, Clone)]
pub(super) struct Met {
    pub(super) id: i64,
    pub(super) account: Account,
    /// Earlier calls are not in its sums.
    since_ms: i64,
}

/// What this process has read of the tables of accounts and budgets. Accounts are only ever added; a row that a transaction
/// of its own adds is read again once it is committed.
#[derive(Debug, Default)]
pub(super) struct Known {
    accounts: Vec<Met>,
    budgets: Vec<Budget>,
    budgets_seq: i64,
}

impl Known {
    /// Reads what others have added.
    pub(super) fn refresh(&mut self, db: &Connection) -> Result<()> {
        let last = self.accounts.last().map_or(0, |met| met.id);
        self.accounts.extend(met_after(db, last)?);
        let seq = db.prepare_cached("SELECT coalesce(max(seq), 0) FROM budget")?.query_row([], |row| row.get(0))?;
        if seq != self.budgets_seq {
            self.budgets = live_budgets(db)?;
            self.budgets_seq = seq;
        }
        Ok(())
    }

    pub(super) fn accounts(&self) -> &[Met] {
        &self.accounts
    }

    /// Those of the table `budget` that are in force.
    pub(super) fn budgets(&self) -> &[Budget] {
        &self.budgets
    }
}

pub(super) fn live_budgets(db: &Connection) -> Result<Vec<Budget>> {
    let mut find = db.prepare_cached(
        "SELECT terms FROM budget b WHERE removed = 0 AND seq = (SELECT max(seq) FROM budget l WHERE l.name = b.name)
         ORDER BY name",
    )?;
    let rows = find.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|text| terms::budget(&text?)).collect()
}

/// Every account, for a writer that has not read them before.
pub(super) fn all(db: &Connection) -> Result<Vec<Met>> {
    met_after(db, 0)
}

fn met_after(db: &Connection, id: i64) -> Result<Vec<Met>> {
    let mut find = db.prepare_cached("SELECT id, key, since_ms FROM account WHERE id > ?1 ORDER BY id")?;
    let rows = find.query_map([id], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (id, key, since_ms) = row?;
        Ok(Met { id, account: terms::account(&key)?, since_ms })
    })
    .collect()
}

/// The latest instant at which llmx opened a call. What was imported was opened by others, and no budget counts it.
pub(super) fn last_opened(db: &Connection) -> Result<Option<i64>> {
    db.prepare_cached("SELECT max(opened_ms) FROM call WHERE source IS NULL")?.query_row([], |row| row.get(0))
}

/// Adds an account that no budget had before and fills it from the sources.
///
/// It begins with the period of the latest call in the books: no later call is opened before that one, whatever the clock
/// says, so that none needs an earlier period.
pub(super) fn meet(db: &Connection, account: &Account) -> Result<Met> {
    let since_ms = last_opened(db)?.map_or(i64::MIN, |last| match account.window {
        Window::Rolling { ms } => slot(account, last.saturating_sub(ms)),
        Window::Hour | Window::Day | Window::Week | Window::Month { .. } | Window::Total => slot(account, last),
    });
    db.prepare_cached("INSERT INTO account (key, since_ms) VALUES (?1, ?2)")?
        .execute(params![terms::key(account)?, since_ms])?;
    let met = Met { id: db.last_insert_rowid(), account: account.clone(), since_ms };
    fill(db, &met)?;
    Ok(met)
}

/// What one call adds to the sums of its accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    calls: i64,
    open: i64,
    held: i64,
    total: i64,
    at_most: i64,
    unknown_open: i64,
    unknown_settled: i64,
}

impl Sums {
    fn open(ceiling: Option<i64>) -> Sums {
        Sums {
            calls: 1,
            open: 1,
            held: ceiling.unwrap_or_default(),
            unknown_open: i64::from(ceiling.is_none()),
            ..Sums::default()
        }
    }

    /// A settlement that does not say its amount, or its most, leaves the call at its ceiling.
    fn settled(ceiling: Option<i64>, total: Option<i64>, at_most: Option<i64>) -> Sums {
        let most = at_most.or(ceiling.map(|ceiling| ceiling.max(total.unwrap_or_default())));
        Sums {
            calls: 1,
            total: total.or(most).unwrap_or_default(),
            at_most: most.or(total).unwrap_or_default(),
            unknown_settled: i64::from(most.is_none()),
            ..Sums::default()
        }
    }

    /// Amounts and counts are never below zero: what is too large to be added up stays above every limit.
    fn plus(self, other: Sums) -> Sums {
        Sums {
            calls: self.calls.saturating_add(other.calls),
            open: self.open.saturating_add(other.open),
            held: self.held.saturating_add(other.held),
            total: self.total.saturating_add(other.total),
            at_most: self.at_most.saturating_add(other.at_most),
            unknown_open: self.unknown_open.saturating_add(other.unknown_open),
            unknown_settled: self.unknown_settled.saturating_add(other.unknown_settled),
        }
    }

    /// The sums once a call adds `now` in place of `before`. `None`: one of them is at the largest number, so that nobody
    /// knows what would be left of it.
    fn instead(self, before: Sums, now: Sums) -> Option<Sums> {
        let with = |sum: i64, before: i64, now: i64| match now.saturating_sub(before) {
            less if less < 0 && sum == i64::MAX => None,
            more => Some(sum.saturating_add(more)),
        };
        Some(Sums {
            calls: with(self.calls, before.calls, now.calls)?,
            open: with(self.open, before.open, now.open)?,
            held: with(self.held, before.held, now.held)?,
            total: with(self.total, before.total, now.total)?,
            at_most: with(self.at_most, before.at_most, now.at_most)?,
            unknown_open: with(self.unknown_open, before.unknown_open, now.unknown_open)?,
            unknown_settled: with(self.unknown_settled, before.unknown_settled, now.unknown_settled)?,
        })
    }

    fn of_slot(row: &Row<'_>) -> Result<Sums> {
        Ok(Sums {
            calls: row.get("calls")?,
            open: row.get("open")?,
            held: row.get("held_picos")?,
            total: row.get("total_picos")?,
            at_most: row.get("at_most_picos")?,
            unknown_open: row.get("unknown_open")?,
            unknown_settled: row.get("unknown_settled")?,
        })
    }

    pub(super) fn standing(self, budget: &Budget, span: Span) -> Standing {
        let assumed = match budget.on_unknown_price {
            OnUnknownPrice::Assume(amount) => amount.picos.max(0),
            OnUnknownPrice::Deny | OnUnknownPrice::Allow => 0,
        };
        let settled = if budget.hard { self.at_most } else { self.total };
        let with = |known: i64, unknown: i64| known.saturating_add(assumed.saturating_mul(unknown));
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Standing {
            budget: budget.clone(),
            span,
            spent: Usd::from_picos(with(settled, self.unknown_settled)),
            held: Usd::from_picos(with(self.held, self.unknown_open)),
            calls: count(self.calls),
            open: count(self.open),
            unknown: count(self.unknown_open.saturating_add(self.unknown_settled)),
        }
    }
}

/// What the sources say of calls. `at_most` is NULL where nobody knows the most.
macro_rules! shares {
    () => {
        "SELECT c.seq, c.opened_ms, c.provider, c.model, c.region, c.project, c.user, c.team, c.session, c.tags,
            s.call IS NULL AS open, c.ceiling_picos,
            iif(k.call IS NULL, s.total_picos, k.total_picos) AS total_picos,
            iif(k.call IS NULL, coalesce(s.at_most_picos, iif(s.cost_basis = 'estimated', NULL, s.total_picos)),
                iif(k.cost_basis = 'estimated', NULL, k.total_picos)) AS at_most_picos
         FROM call c
         LEFT JOIN settlement s ON s.call = c.seq
         LEFT JOIN correction k
            ON k.call = c.seq AND k.n = (SELECT max(l.n) FROM correction l WHERE l.call = c.seq)"
    };
}

fn share(row: &Row<'_>) -> Result<Sums> {
    let ceiling = row.get("ceiling_picos")?;
    Ok(if row.get("open")? {
        Sums::open(ceiling)
    } else {
        Sums::settled(ceiling, row.get("total_picos")?, row.get("at_most_picos")?)
    })
}

/// As much of a call as a scope looks at.
pub(super) fn scoped(row: &Row<'_>) -> Result<NewCall> {
    let tags: String = row.get("tags")?;
    Ok(NewCall {
        provider: row.get("provider")?,
        model: row.get("model")?,
        region: row.get("region")?,
        project: row.get("project")?,
        user: row.get("user")?,
        team: row.get("team")?,
        session: row.get("session")?,
        tags: if tags == "{}" { BTreeMap::new() } else { serde_json::from_str(&tags).unwrap_or_default() },
        ..NewCall::default()
    })
}

/// Adds a call that is opened now to every account that covers it.
pub(super) fn add_call(db: &Connection, accounts: &[Met], seq: i64, call: &NewCall, opened_ms: i64) -> Result<()> {
    let share = Sums::open(call.ceiling.map(|ceiling| ceiling.picos));
    for met in accounts.iter().filter(|met| opened_ms >= met.since_ms && met.account.scope.covers(call)) {
        let slot_ms = slot(&met.account, opened_ms);
        db.prepare_cached("INSERT INTO account_call (call, account, slot_ms) VALUES (?1, ?2, ?3)")?
            .execute([seq, met.id, slot_ms])?;
        let added = db
            .prepare_cached(
                "INSERT INTO account_slot VALUES (?1, ?2, 1, 1, ?3, 0, 0, ?4, 0)
                 ON CONFLICT DO UPDATE SET calls = calls + 1, open = open + 1, held_picos = held_picos + ?3,
                    unknown_open = unknown_open + ?4
                 WHERE held_picos <= 9223372036854775807 - ?3",
            )?
            .execute([met.id, slot_ms, share.held, share.unknown_open])?;
        if added == 0 {
            return Err(LedgerError::TooLarge.within_sqlite());
        }
    }
    Ok(())
}

/// What a call adds to its accounts, to be taken out by [`restate`] once the sources say something else. `None`: it has
/// no account.
pub(super) fn share_of(db: &Connection, seq: i64) -> Result<Option<Sums>> {
    if !db.prepare_cached("SELECT 1 FROM account_call WHERE call = ?1")?.exists([seq])? {
        return Ok(None);
    }
    db.prepare_cached(concat!(shares!(), " WHERE c.seq = ?1"))?.query_row([seq], share).optional()
}

/// Follows the sources after they changed for a call that added `before`.
pub(super) fn restate(db: &Connection, seq: i64, before: Option<Sums>) -> Result<()> {
    let (Some(before), Some(now)) = (before, share_of(db, seq)?) else {
        return Ok(());
    };
    let mut find = db.prepare_cached(
        "SELECT s.* FROM account_call a JOIN account_slot s ON s.account = a.account AND s.from_ms = a.slot_ms
         WHERE a.call = ?1",
    )?;
    let rows = find.query_map([seq], |row| Ok((row.get(0)?, row.get(1)?, Sums::of_slot(row)?)))?;
    let slots: Vec<(i64, i64, Sums)> = rows.collect::<Result<_>>()?;
    for (account, from_ms, sums) in slots {
        // The sources hold the call as it is now.
        let sums = match sums.instead(before, now) {
            Some(sums) => sums,
            None => in_slot(db, account, from_ms)?,
        };
        let Sums { calls, open, held, total, at_most, unknown_open, unknown_settled } = sums;
        db.prepare_cached(
            "UPDATE account_slot SET calls = ?3, open = ?4, held_picos = ?5, total_picos = ?6, at_most_picos = ?7,
                unknown_open = ?8, unknown_settled = ?9
             WHERE account = ?1 AND from_ms = ?2",
        )?
        .execute([account, from_ms, calls, open, held, total, at_most, unknown_open, unknown_settled])?;
    }
    Ok(())
}

/// The sums of a slot as the sources have them.
fn in_slot(db: &Connection, account: i64, from_ms: i64) -> Result<Sums> {
    let mut find = db.prepare_cached(concat!(
        shares!(),
        " WHERE c.seq IN (SELECT call FROM account_call WHERE account = ?1 AND slot_ms = ?2)"
    ))?;
    find.query_map([account, from_ms], share)?.try_fold(Sums::default(), |sums, part| Ok(sums.plus(part?)))
}

/// The sums of the period around `at_ms`. An account that no call has met yet is counted from the sources.
pub(super) fn sums(db: &Connection, accounts: &[Met], account: &Account, at_ms: i64) -> Result<Sums> {
    let span = account.window.span(at_ms, &account.zone);
    match accounts.iter().find(|met| met.account == *account) {
        Some(met) => match account.window {
            Window::Rolling { ms } => rolling(db, met.id, ms, span.from_ms),
            Window::Hour | Window::Day | Window::Week | Window::Month { .. } | Window::Total => {
                let mut find = db.prepare_cached("SELECT * FROM account_slot WHERE account = ?1 AND from_ms = ?2")?;
                Ok(find.query_row([met.id, span.from_ms], Sums::of_slot).optional()?.unwrap_or_default())
            }
        },
        None => counted(db, account, span),
    }
}

/// Whole slots from their sums, and the one that the beginning of the window cuts from the sources.
fn rolling(db: &Connection, id: i64, ms: i64, from_ms: i64) -> Result<Sums> {
    let size = slot_ms(ms);
    let cut_ms = floor(from_ms, size);
    let whole_ms = if cut_ms == from_ms { cut_ms } else { cut_ms.saturating_add(size) };
    let mut whole = db.prepare_cached("SELECT * FROM account_slot WHERE account = ?1 AND from_ms >= ?2")?;
    let mut cut = db.prepare_cached(concat!(
        shares!(),
        " WHERE c.opened_ms >= ?1 AND c.opened_ms < ?2
            AND EXISTS (SELECT 1 FROM account_call a WHERE a.call = c.seq AND a.account = ?3)"
    ))?;
    let parts = whole.query_map([id, whole_ms], Sums::of_slot)?;
    parts
        .chain(cut.query_map([from_ms, whole_ms, id], share)?)
        .try_fold(Sums::default(), |sums, part| Ok(sums.plus(part?)))
}

fn counted(db: &Connection, account: &Account, span: Span) -> Result<Sums> {
    let mut sums = Sums::default();
    let mut find =
        db.prepare_cached(concat!(shares!(), " WHERE c.source IS NULL AND c.opened_ms >= ?1 AND c.opened_ms < ?2"))?;
    let mut rows = find.query([span.from_ms, span.to_ms.unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        if account.scope.covers(&scoped(row)?) {
            sums = sums.plus(share(row)?);
        }
    }
    Ok(sums)
}

/// The calls of a period that count more than their ceilings; `hard`: as a hard budget counts them.
pub(super) fn excesses(db: &Connection, account: &Account, span: Span, hard: bool) -> Result<Vec<Excess>> {
    let mut found = Vec::new();
    let mut find = db.prepare_cached(concat!(
        shares!(),
        " WHERE c.source IS NULL AND c.opened_ms >= ?1 AND c.opened_ms < ?2 AND s.call IS NOT NULL
            AND max(coalesce(k.total_picos, s.total_picos, 0), coalesce(k.total_picos, s.at_most_picos, 0)) > c.ceiling_picos
          ORDER BY c.seq"
    ))?;
    let mut of = db
        .prepare_cached("SELECT id, EXISTS (SELECT 1 FROM correction k WHERE k.call = seq) FROM call WHERE seq = ?1")?;
    let mut rows = find.query([span.from_ms, span.to_ms.unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let (share, ceiling) = (share(row)?, row.get("ceiling_picos")?);
        let counts = if hard { share.at_most } else { share.total };
        if counts > ceiling && account.scope.covers(&scoped(row)?) {
            let (id, corrected) = of.query_row([row.get::<_, i64>("seq")?], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (ceiling, counts) = (Usd::from_picos(ceiling), Usd::from_picos(counts));
            found.push(Excess { id, ceiling, counts, corrected });
        }
    }
    Ok(found)
}

/// Makes the sums of every account anew from the sources.
pub(super) fn derive(db: &Connection) -> Result<()> {
    db.execute_batch("DELETE FROM account_call; DELETE FROM account_slot;")?;
    all(db)?.iter().try_for_each(|met| fill(db, met))
}

fn fill(db: &Connection, met: &Met) -> Result<()> {
    let (calls, slots) = derived(db, met)?;
    let mut add = db.prepare_cached("INSERT INTO account_call (call, account, slot_ms) VALUES (?1, ?2, ?3)")?;
    for (call, slot_ms) in calls {
        add.execute([call, met.id, slot_ms])?;
    }
    let mut add = db.prepare_cached("INSERT INTO account_slot VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    for (slot_ms, sums) in slots {
        let Sums { calls, open, held, total, at_most, unknown_open, unknown_settled } = sums;
        add.execute([met.id, slot_ms, calls, open, held, total, at_most, unknown_open, unknown_settled])?;
    }
    Ok(())
}

/// The calls of an account with their slots, and the sums of these, as the sources have them.
type Derived = (BTreeMap<i64, i64>, BTreeMap<i64, Sums>);

fn derived(db: &Connection, met: &Met) -> Result<Derived> {
    let (mut calls, mut slots) = Derived::default();
    let mut find = db.prepare_cached(concat!(shares!(), " WHERE c.source IS NULL AND c.opened_ms >= ?1"))?;
    let mut rows = find.query([met.since_ms])?;
    while let Some(row) = rows.next()? {
        if met.account.scope.covers(&scoped(row)?) {
            let slot_ms = slot(&met.account, row.get("opened_ms")?);
            calls.insert(row.get("seq")?, slot_ms);
            let sums: &mut Sums = slots.entry(slot_ms).or_default();
            *sums = sums.plus(share(row)?);
        }
    }
    Ok((calls, slots))
}

/// The accounts whose sums are not those of the sources, by their keys.
pub(super) fn differing(db: &Connection) -> Result<Vec<String>> {
    let mut differing = Vec::new();
    for met in all(db)? {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let calls: BTreeMap<i64, i64> = db
            .prepare("SELECT call, slot_ms FROM account_call WHERE account = ?1")?
            .query_map([met.id], pair)?
            .collect::<Result<_>>()?;
        let slots: BTreeMap<i64, Sums> = db
            .prepare("SELECT * FROM account_slot WHERE account = ?1")?
            .query_map([met.id], |row| Ok((row.get("from_ms")?, Sums::of_slot(row)?)))?
            .collect::<Result<_>>()?;
        if (calls, slots) != derived(db, &met)? {
            differing.push(terms::key(&met.account)?);
        }
    }
    Ok(differing)
}

/// The beginning of the slot to which a call belongs that was opened at `at_ms`.
fn slot(account: &Account, at_ms: i64) -> i64 {
    let Account { window, zone, .. } = account;
    match window {
        Window::Rolling { ms } => floor(at_ms, slot_ms(*ms)),
        Window::Hour | Window::Day | Window::Week | Window::Month { .. } | Window::Total => {
            period(*window, zone, at_ms)
        }
    }
}

/// The beginning of the period to which an alert belongs: a rolling window has one in each stretch of its length.
pub(super) fn period(window: Window, zone: &Zone, at_ms: i64) -> i64 {
    match window {
        Window::Rolling { ms } => floor(at_ms, ms.max(1)),
        Window::Hour | Window::Day | Window::Week | Window::Month { .. } | Window::Total => {
            window.span(at_ms, zone).from_ms
        }
    }
}

/// As many parts of a rolling window have sums. Fewer would leave more calls in the part that is counted one by one, more
/// would be more rows to add up.
const SLOTS: i64 = 512;
const SLOT_MS_MIN: i64 = 60_000;

fn slot_ms(window_ms: i64) -> i64 {
    (window_ms / SLOTS).max(SLOT_MS_MIN)
}

fn floor(at_ms: i64, size: i64) -> i64 {
    at_ms.div_euclid(size).saturating_mul(size)
}
