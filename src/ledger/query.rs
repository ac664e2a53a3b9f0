//! The reading hand: calls as they stand in the books.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde_json::Value;

use super::Ledger;
use super::error::LedgerError;
use crate::domain::money::Usd;
use crate::domain::record::{Correction, NewCall, Price, Record, RecordLine, Settled, Settlement};

/// Which calls are wanted, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// In the conversation, the answer or the error; upper and lower case are the same in ASCII.
    pub text: Option<String>,
    pub since_ms: Option<i64>,
    /// A part of `provider/model`, as it was asked for or served.
    pub model: Option<String>,
    /// Only calls that ended in an error.
    pub failed: bool,
    /// Only calls whose booked amount compares so; an unpriced one never does.
    pub cost: Option<(Comparison, Usd)>,
    /// The most calls.
    pub limit: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Comparison {
    fn sql(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::Equal => "=",
            Comparison::AtLeast => ">=",
            Comparison::More => ">",
        }
    }
}

/// Longest beginning of a message that a list shows, in characters.
const SAID_MAX: u32 = 200;

impl Ledger {
    /// Calls that fit the filter, newest first, with their lines and without their texts.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn logs(&self, filter: &LogFilter) -> Result<Vec<Record>, LedgerError> {
        let (conditions, values) = conditions(filter);
        let sql = format!("{COLUMNS} WHERE {conditions} ORDER BY c.opened_ms DESC, c.seq DESC LIMIT {}", filter.limit);
        self.read(|db| {
            let mut find = db.prepare(&sql)?;
            let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
            let rows = find.query_map(values.as_slice(), |row| Ok((row.get(0)?, record(row)?)))?;
            rows.map(|row| row.and_then(|(seq, record)| with_children(db, seq, record))).collect()
        })
    }

    /// One call whole, with its texts. `id` may be a part of it that no other call has.
    ///
    /// # Errors
    /// Where no call or several have it, or the ledger cannot be read.
    pub fn record(&self, id: &str) -> Result<Record, LedgerError> {
        let (seq, _) = self.find(id)?;
        self.read(|db| {
            let found = db.prepare(&format!("{COLUMNS} WHERE c.seq = ?1"))?.query_row([seq], record)?;
            let mut found = with_children(db, seq, found)?;
            found.call.prompt = text(db, "SELECT json FROM prompt WHERE call = ?1", seq)?;
            if let Some(settled) = &mut found.settled {
                settled.settlement.answer = text(db, "SELECT json FROM answer WHERE call = ?1", seq)?;
            }
            Ok(found)
        })
    }

    /// The newest call of a subcommand, with its conversation where that is kept.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn last(&self, command: &str) -> Result<Option<Record>, LedgerError> {
        let sql = "SELECT id FROM call WHERE command = ?1 ORDER BY opened_ms DESC, seq DESC LIMIT 1";
        let newest: Option<String> =
            self.read(|db| db.prepare(sql)?.query_row([command], |row| row.get(0)).optional())?;
        newest.map(|id| self.record(&id)).transpose()
    }

    /// The calls that were made together, oldest first, whole, and the id that they share. `id` may be a part of it that no
    /// other group has; empty where none has it.
    ///
    /// # Errors
    /// Where several groups have it, or the ledger cannot be read.
    pub fn group(&self, id: &str) -> Result<(String, Vec<Record>), LedgerError> {
        let sql = "SELECT DISTINCT group_id FROM call WHERE group_id IS NOT NULL
            AND (group_id LIKE ?1 || '%' ESCAPE '\\' OR group_id LIKE '%' || ?1 ESCAPE '\\') LIMIT 100";
        let groups = self.read(|db| {
            let mut find = db.prepare(sql)?;
            let rows = find.query_map([like(id)], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        })?;
        let group = match <[_; 1]>::try_from(groups) {
            Ok([group]) => group,
            Err(none) if none.is_empty() => return Ok((id.to_owned(), Vec::new())),
            Err(found) => return Err(LedgerError::Ambiguous { id: id.to_owned(), count: found.len() }),
        };
        let ids = self.read(|db| {
            let mut find = db.prepare("SELECT id FROM call WHERE group_id = ?1 ORDER BY opened_ms, seq")?;
            let rows = find.query_map([&group], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        })?;
        let records = ids.iter().map(|id| self.record(id)).collect::<Result<Vec<Record>, LedgerError>>()?;
        Ok((group, records))
    }

    /// The calls of exactly this group, oldest first, with their answers and without their prompts.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn made_together(&self, group: &str) -> Result<Vec<Record>, LedgerError> {
        let sql = format!("{COLUMNS} WHERE c.group_id = ?1 ORDER BY c.opened_ms, c.seq");
        self.read(|db| {
            let mut find = db.prepare(&sql)?;
            let rows = find.query_map([group], |row| Ok((row.get::<_, i64>(0)?, record(row)?)))?;
            rows.map(|row| {
                let (seq, found) = row?;
                let mut found = with_children(db, seq, found)?;
                if let Some(settled) = &mut found.settled {
                    settled.settlement.answer = text(db, "SELECT json FROM answer WHERE call = ?1", seq)?;
                }
                Ok(found)
            })
            .collect()
        })
    }

    /// The row number and whole id of the one call whose id is, begins or ends so.
    pub(super) fn find(&self, id: &str) -> Result<(i64, String), LedgerError> {
        let pattern = like(id);
        let found = self.read(|db| {
            if let Some(seq) = super::books::find(db, id)? {
                return Ok(vec![(seq, id.to_owned())]);
            }
            let mut find = db.prepare(
                "SELECT seq, id FROM call WHERE id LIKE ?1 || '%' ESCAPE '\\' OR id LIKE '%' || ?1 ESCAPE '\\' LIMIT 100",
            )?;
            let rows = find.query_map([&pattern], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(i64, String)>>>()
        })?;
        match <[_; 1]>::try_from(found) {
            Ok([one]) => Ok(one),
            Err(found) if found.is_empty() => Err(LedgerError::NoCall { id: id.to_owned() }),
            Err(found) => Err(LedgerError::Ambiguous { id: id.to_owned(), count: found.len() }),
        }
    }
}

/// The most that a call can have cost: the bound of its settlement, else its ceiling.
pub(super) fn ceiling(db: &Connection, seq: i64) -> rusqlite::Result<Option<Usd>> {
    let sql = "SELECT coalesce(s.at_most_picos, c.ceiling_picos)
               FROM call c LEFT JOIN settlement s ON s.call = c.seq WHERE c.seq = ?1";
    Ok(db.prepare_cached(sql)?.query_row([seq], |row| row.get::<_, Option<i64>>(0))?.map(Usd::from_picos))
}

/// The `WHERE` of a filter, and the values of its parameters in order.
fn conditions(filter: &LogFilter) -> (String, Vec<Box<dyn ToSql>>) {
    let mut conditions = vec!["true".to_owned()];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut add = |condition: &str, value: Option<Box<dyn ToSql>>| {
        values.extend(value);
        conditions.push(condition.replace('?', &format!("?{}", values.len())));
    };
    if let Some(since) = filter.since_ms {
        add("c.opened_ms >= ?", Some(Box::new(since)));
    }
    if let Some(model) = &filter.model {
        add(
            "(c.provider || '/' || c.model LIKE '%' || ? || '%' ESCAPE '\\'
              OR s.model_served LIKE '%' || ? || '%' ESCAPE '\\')",
            Some(Box::new(like(model))),
        );
    }
    if filter.failed {
        add("s.error_class IS NOT NULL", None);
    }
    if let Some((comparison, amount)) = filter.cost {
        let booked = super::books::BOOKED;
        let condition = format!("(SELECT total_picos FROM ({booked}) WHERE call = c.seq) {} ?", comparison.sql());
        add(&condition, Some(Box::new(amount.picos)));
    }
    if let Some(text) = &filter.text {
        // Texts are kept as JSON: a quote or a line break in them is escaped.
        let json = Value::from(text.as_str()).to_string();
        let escaped = like(json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(&json));
        add(
            "(EXISTS (SELECT 1 FROM prompt t WHERE t.call = c.seq AND t.json LIKE '%' || ? || '%' ESCAPE '\\')
              OR EXISTS (SELECT 1 FROM answer t WHERE t.call = c.seq AND t.json LIKE '%' || ? || '%' ESCAPE '\\')
              OR s.error LIKE '%' || ? || '%' ESCAPE '\\')",
            Some(Box::new(escaped)),
        );
    }
    (conditions.join(" AND "), values)
}

/// A text that `LIKE … ESCAPE '\'` takes literally.
fn like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

pub(super) const COLUMNS: &str =
    "SELECT c.seq, c.id, c.group_id, c.retry_of, c.opened_ms, c.command, c.provider, c.model, c.region,
    c.tier AS tier_asked, c.credential, c.project, c.user, c.team, c.tags, c.session, c.parameters, c.ceiling_picos,
    c.clipped_from, c.route, c.source, c.requests,
    s.finished_ms, s.first_token_ms, s.model_served, s.request_id, s.response_id, s.tier, s.stop_reason, s.stopped,
    s.error_class, s.error, s.status, s.usage_raw, s.usage_source, s.reasoning, s.cost_basis, s.total_picos,
    s.at_most_picos, s.table_picos, s.notes, s.because,
    p.price_table, p.version, p.sha256, p.entry, p.row_from, p.checked
    FROM call c LEFT JOIN settlement s ON s.call = c.seq LEFT JOIN price p ON p.id = s.price";

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let opened_ms: i64 = row.get("opened_ms")?;
    let call = NewCall {
        id: row.get("id")?,
        group: row.get("group_id")?,
        retry_of: row.get("retry_of")?,
        command: row.get("command")?,
        provider: row.get("provider")?,
        model: row.get("model")?,
        region: row.get("region")?,
        tier: row.get("tier_asked")?,
        credential: row.get("credential")?,
        project: row.get("project")?,
        user: row.get("user")?,
        team: row.get("team")?,
        tags: parsed(row, "tags")?.unwrap_or_default(),
        session: row.get("session")?,
        parameters: parsed(row, "parameters")?.unwrap_or_default(),
        ceiling: amount(row, "ceiling_picos")?,
        clipped_from: quantity(row, "clipped_from")?,
        route: row.get("route")?,
        prompt: None,
    };
    let finished: Option<i64> = row.get("finished_ms")?;
    let settled = finished.map(|finished_ms| settled(row, opened_ms, finished_ms)).transpose()?;
    let (source, requests) = (row.get("source")?, quantity(row, "requests")?.unwrap_or(1));
    Ok(Record { opened_ms, call, settled, corrections: Vec::new(), said: None, source, requests })
}

fn settled(row: &Row<'_>, opened_ms: i64, finished_ms: i64) -> rusqlite::Result<Settled> {
    let first: Option<i64> = row.get("first_token_ms")?;
    let settlement = Settlement {
        first_token_ms: first.and_then(|first| u64::try_from(first - opened_ms).ok()),
        model_served: row.get("model_served")?,
        request_id: row.get("request_id")?,
        response_id: row.get("response_id")?,
        tier: row.get("tier")?,
        stop_reason: row.get("stop_reason")?,
        stopped: row.get("stopped")?,
        error_class: row.get("error_class")?,
        error: row.get("error")?,
        status: row.get("status")?,
        usage_raw: parsed(row, "usage_raw")?,
        usage_source: row.get("usage_source")?,
        reasoning: quantity(row, "reasoning")?,
        basis: row.get("cost_basis")?,
        total: amount(row, "total_picos")?,
        at_most: amount(row, "at_most_picos")?,
        table: amount(row, "table_picos")?,
        price: price(row)?,
        lines: Vec::new(),
        notes: parsed(row, "notes")?.unwrap_or_default(),
        because: row.get("because")?,
        answer: None,
    };
    Ok(Settled { finished_ms, settlement })
}

pub(super) fn price(row: &Row<'_>) -> rusqlite::Result<Option<Price>> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let Some(table) = row.get::<_, Option<String>>("price_table")? else {
        return Ok(None);
    };
    Ok(Some(Price {
        table,
        version: row.get("version")?,
        sha256: row.get("sha256")?,
        entry: row.get("entry")?,
        row_from: some(row.get("row_from")?),
        checked: some(row.get("checked")?),
    }))
}

/// The record with its lines, its corrections and the beginning of what was said last.
fn with_children(db: &Connection, seq: i64, record: Record) -> rusqlite::Result<Record> {
    let mut record = with_lines(db, seq, record)?;
    let said = db
        .prepare_cached(
            "SELECT substr(json_extract(json, '$.messages[#-1].parts[0].text'), 1, ?2) FROM prompt WHERE call = ?1",
        )?
        .query_row((seq, SAID_MAX), |row| row.get::<_, Option<String>>(0))
        .optional()?;
    record.said = said.flatten();
    Ok(record)
}

/// The record with its lines and its corrections.
pub(super) fn with_lines(db: &Connection, seq: i64, mut record: Record) -> rusqlite::Result<Record> {
    if let Some(settled) = &mut record.settled {
        let mut find =
            db.prepare_cached("SELECT meter, quantity, per, rate, picos, model FROM line WHERE call = ?1 ORDER BY n")?;
        let lines = find.query_map([seq], |row| {
            Ok(RecordLine {
                meter: row.get("meter")?,
                quantity: quantity(row, "quantity")?.unwrap_or_default(),
                per: row.get("per")?,
                rate: row.get("rate")?,
                amount: amount(row, "picos")?,
                model: row.get("model")?,
            })
        })?;
        settled.settlement.lines = lines.collect::<rusqlite::Result<_>>()?;
    }
    let mut find = db.prepare_cached(
        "SELECT made_ms, cost_basis, total_picos, because FROM correction WHERE call = ?1 ORDER BY n",
    )?;
    let corrections = find.query_map([seq], |row| {
        Ok(Correction {
            made_ms: row.get("made_ms")?,
            basis: row.get("cost_basis")?,
            total: amount(row, "total_picos")?,
            because: row.get("because")?,
        })
    })?;
    record.corrections = corrections.collect::<rusqlite::Result<_>>()?;
    Ok(record)
}

fn text(db: &Connection, sql: &str, seq: i64) -> rusqlite::Result<Option<Value>> {
    let text: Option<String> = db.prepare_cached(sql)?.query_row([seq], |row| row.get(0)).optional()?;
    Ok(text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

fn amount(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Usd>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Usd::from_picos))
}

fn quantity(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(|quantity| u64::try_from(quantity).ok()))
}

/// A column of JSON; what is no JSON is left out.
fn parsed<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    Ok(row.get::<_, Option<String>>(column)?.and_then(|text| serde_json::from_str(&text).ok()))
}
