//! The writing hand: rows of a call and of what became of it, always inside the caller's transaction.

use rusqlite::{Connection, OptionalExtension as _, Result, named_params, params};
use serde_json::Value;

use super::accounts::{self, Met};
use super::days;
use super::owner::Owner;
use crate::domain::money::Usd;
use crate::domain::record::{NewCall, Price, RecordLine, Settlement};

/// Whether a row was added or stood there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    Now,
    Before,
}

/// The largest count that is booked: beyond it no sum of counts is safe.
const QUANTITY_MAX: u64 = 1 << 53;

pub(super) fn schema(db: &Connection) -> Result<i64> {
    db.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))
}

/// The row number of the call with this id.
pub(super) fn find(db: &Connection, id: &str) -> Result<Option<i64>> {
    db.prepare_cached("SELECT seq FROM call WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()
}

pub(super) fn is_settled(db: &Connection, seq: i64) -> Result<bool> {
    db.prepare_cached("SELECT 1 FROM settlement WHERE call = ?1")?.exists([seq])
}

/// Opens a call, in `accounts` as well, which are all that are; gives its row number.
pub(super) fn add_call(
    db: &Connection,
    accounts: &[Met],
    call: &NewCall,
    opened_ms: i64,
    owner: &Owner,
) -> Result<i64> {
    let seq = insert_call(db, call, opened_ms, owner, None)?;
    db.prepare_cached("INSERT INTO open_call (call) VALUES (?1)")?.execute([seq])?;
    add_text(db, "INSERT INTO prompt (call, json) VALUES (?1, ?2)", seq, call.prompt.as_ref())?;
    accounts::add_call(db, accounts, seq, call, opened_ms)?;
    Ok(seq)
}

/// Adds a call that was read from `source` and stands for so many requests. No account counts it; it must be settled in the
/// same transaction.
pub(super) fn add_imported(
    db: &Connection,
    call: &NewCall,
    opened_ms: i64,
    owner: &Owner,
    (source, requests): (&str, u64),
) -> Result<i64> {
    insert_call(db, call, opened_ms, owner, Some((source, requests)))
}

fn insert_call(
    db: &Connection,
    call: &NewCall,
    opened_ms: i64,
    owner: &Owner,
    imported: Option<(&str, u64)>,
) -> Result<i64> {
    db.prepare_cached(
        "INSERT INTO call (id, group_id, retry_of, opened_ms, command, provider, model, region, tier, credential, project,
            user, team, tags, session, parameters, ceiling_picos, clipped_from, route, source, requests, host, boot,
            pid_space, pid, process_start)
         VALUES (:id, :group_id, :retry_of, :opened_ms, :command, :provider, :model, :region, :tier, :credential, :project,
            :user, :team, :tags, :session, :parameters, :ceiling, :clipped_from, :route, :source, :requests, :host, :boot,
            :pid_space, :pid, :start)",
    )?
    .execute(named_params! {
        ":id": call.id, ":group_id": call.group, ":retry_of": call.retry_of, ":opened_ms": opened_ms,
        ":command": call.command, ":provider": call.provider, ":model": call.model, ":region": call.region,
        ":tier": call.tier, ":credential": call.credential, ":project": call.project, ":user": call.user,
        ":team": call.team, ":clipped_from": call.clipped_from.map(count), ":tags": json(&call.tags),
        ":session": call.session, ":route": call.route, ":parameters": call.parameters.to_string(),
        ":ceiling": call.ceiling.map(|ceiling| ceiling.picos), ":source": imported.map(|(source, _)| source),
        ":requests": imported.map_or(1, |(_, requests)| count(requests)), ":host": owner.host, ":boot": owner.boot,
        ":pid_space": owner.pid_space, ":pid": owner.pid, ":start": owner.start,
    })?;
    Ok(db.last_insert_rowid())
}

/// Settles a call, once: a settlement that is there stays as it is.
pub(super) fn add_settlement(
    db: &Connection,
    seq: i64,
    settlement: &Settlement,
    opened_ms: i64,
    finished_ms: i64,
) -> Result<Added> {
    let price = settlement.price.as_ref().map(|price| price_id(db, price)).transpose()?;
    let first = settlement.first_token_ms.and_then(|after| opened_ms.checked_add_unsigned(after));
    let (lines, notes) = bounded(settlement);
    let before = accounts::share_of(db, seq)?;
    let added = db
        .prepare_cached(
            "INSERT INTO settlement (call, finished_ms, first_token_ms, model_served, request_id, response_id, tier,
                stop_reason, stopped, error_class, error, status, usage_raw, usage_source, reasoning, cost_basis,
                total_picos, at_most_picos, table_picos, price, notes, because)
             VALUES (:call, :finished_ms, :first_token_ms, :model_served, :request_id, :response_id, :tier,
                :stop_reason, :stopped, :error_class, :error, :status, :usage_raw, :usage_source, :reasoning, :cost_basis,
                :total, :at_most, :table, :price, :notes, :because)
             ON CONFLICT (call) DO NOTHING",
        )?
        .execute(named_params! {
            ":call": seq, ":finished_ms": finished_ms, ":first_token_ms": first,
            ":model_served": settlement.model_served, ":request_id": settlement.request_id,
            ":response_id": settlement.response_id, ":tier": settlement.tier, ":stop_reason": settlement.stop_reason,
            ":stopped": settlement.stopped, ":error_class": settlement.error_class, ":error": settlement.error,
            ":status": settlement.status, ":usage_raw": settlement.usage_raw.as_ref().map(Value::to_string),
            ":usage_source": settlement.usage_source, ":reasoning": settlement.reasoning.map(count),
            ":cost_basis": settlement.basis, ":total": picos(settlement.total), ":at_most": picos(settlement.at_most),
            ":table": picos(settlement.table), ":price": price, ":notes": json(&notes), ":because": settlement.because,
        })?;
    if added == 0 {
        return Ok(Added::Before);
    }
    for (n, line) in (1_i64..).zip(&lines) {
        db.prepare_cached(
            "INSERT INTO line (call, n, meter, quantity, per, rate, picos, model) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            seq,
            n,
            line.meter,
            count(line.quantity),
            line.per,
            line.rate,
            picos(line.amount),
            line.model
        ])?;
    }
    add_text(db, "INSERT INTO answer (call, json) VALUES (?1, ?2)", seq, settlement.answer.as_ref())?;
    db.prepare_cached("DELETE FROM open_call WHERE call = ?1")?.execute([seq])?;
    days::restate(db, seq, None)?;
    accounts::restate(db, seq, before)?;
    Ok(Added::Now)
}

/// Adds later proof about a settled call.
pub(super) fn add_correction(
    db: &Connection,
    seq: i64,
    made_ms: i64,
    basis: &str,
    total: Option<Usd>,
    because: &str,
) -> Result<()> {
    let (before, day) = (accounts::share_of(db, seq)?, days::fact_of(db, seq)?);
    db.prepare_cached(
        "INSERT INTO correction (call, n, made_ms, cost_basis, total_picos, because)
         SELECT ?1, coalesce(max(n), 0) + 1, ?2, ?3, ?4, ?5 FROM correction WHERE call = ?1",
    )?
    .execute(params![seq, made_ms, basis, picos(total), because])?;
    days::restate(db, seq, day.as_ref())?;
    accounts::restate(db, seq, before)
}

/// Makes the derived tables anew from the sources.
pub(super) fn derive(db: &Connection) -> Result<()> {
    db.execute_batch(
        "DELETE FROM open_call;
         INSERT INTO open_call SELECT seq FROM call WHERE NOT EXISTS (SELECT 1 FROM settlement s WHERE s.call = seq);",
    )?;
    days::derive(db)?;
    accounts::derive(db)
}

/// What each settled call is booked at: its last correction, else its settlement.
pub(super) const BOOKED: &str = "SELECT s.call, iif(c.call IS NULL, s.total_picos, c.total_picos) AS total_picos
     FROM settlement s
     LEFT JOIN correction c ON c.call = s.call AND c.n = (SELECT max(l.n) FROM correction l WHERE l.call = s.call)";

fn price_id(db: &Connection, price: &Price) -> Result<i64> {
    let (row_from, checked) = (price.row_from.as_deref().unwrap_or(""), price.checked.as_deref().unwrap_or(""));
    let values = params![price.table, price.version, price.sha256, price.entry, row_from, checked];
    let mut find = db.prepare_cached(
        "SELECT id FROM price WHERE price_table = ?1 AND version = ?2 AND sha256 = ?3 AND entry = ?4 AND row_from = ?5
            AND checked = ?6",
    )?;
    if let Some(id) = find.query_row(values, |row| row.get(0)).optional()? {
        return Ok(id);
    }
    db.prepare_cached(
        "INSERT INTO price (price_table, version, sha256, entry, row_from, checked) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(values)?;
    Ok(db.last_insert_rowid())
}

fn add_text(db: &Connection, insert: &str, seq: i64, text: Option<&Value>) -> Result<()> {
    if let Some(text) = text {
        db.prepare_cached(insert)?.execute(params![seq, text.to_string()])?;
    }
    Ok(())
}

/// Lines whose counts can be added up, and notes that say where one could not.
fn bounded(settlement: &Settlement) -> (Vec<RecordLine>, Vec<String>) {
    let (mut lines, mut notes) = (settlement.lines.clone(), settlement.notes.clone());
    for line in lines.iter_mut().filter(|line| line.quantity > QUANTITY_MAX) {
        notes.push(format!("{}: a count of {} was booked as {QUANTITY_MAX}", line.meter, line.quantity));
        line.quantity = QUANTITY_MAX;
    }
    (lines, notes)
}

pub(super) fn count(quantity: u64) -> i64 {
    i64::try_from(quantity.min(QUANTITY_MAX)).unwrap_or(i64::MAX)
}

fn picos(amount: Option<Usd>) -> Option<i64> {
    amount.map(|amount| amount.picos)
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    // Maps and lists of texts always become JSON.
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}
