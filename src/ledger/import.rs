//! Rows that other programs wrote: each is booked once, whatever is read again, and marked with where it came from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::Ledger;
use super::books::{self, Added};
use super::error::LedgerError;
use super::owner::Owner;
use crate::domain::money::Usd;
use crate::domain::record::{NewCall, Settlement};

/// One row of a source, priced and ready to be booked.
#[derive(Debug, Clone, PartialEq)]
pub struct ToImport {
    /// What it was read from: `claude-code`, `litellm`, …
    pub source: &'static str,
    /// The source's own id of the row, else what makes it one.
    pub key: String,
    pub opened_ms: i64,
    /// The end of the call, or of the time that a sum is about.
    pub finished_ms: i64,
    /// So many requests: more than one only in a sum.
    pub requests: u64,
    /// It adds up calls of the time from `opened_ms` to `finished_ms`.
    pub sum: Option<Sum>,
    pub call: NewCall,
    pub settlement: Settlement,
}

/// What a sum is about. The books keep it among the call's parameters, under `sum`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    /// The model, or [`ALL_MODELS`].
    pub model: String,
    /// How its export is cut: two sums of one source and shape are about different calls.
    pub shape: String,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    New,
    /// It was imported before.
    There,
    /// The call stands in the books by its id or the provider's: made by llmx, or imported from elsewhere.
    Own,
    /// A sum over calls that stand in the books already, or a call within a sum that does.
    Overlaps,
}

/// What was imported of a sum, over all its readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many readings have added to it.
    pub readings: u64,
    pub requests: u64,
    /// By the meters' keys.
    pub quantities: BTreeMap<String, u64>,
    pub reasoning: u64,
    /// What it is booked at; `None`: a part of it is unpriced.
    pub total: Option<Usd>,
}

/// What the books hold beside the source that is read: the provider's ids of calls, and the times that sums are about.
#[derive(Debug, Default)]
pub struct Elsewhere {
    /// Digests of the provider's ids.
    ids: HashSet<u128>,
    /// The same of calls that were read from other books: there they stood side by side, whatever their ids are.
    exported: HashSet<u128>,
    /// By provider.
    sums: HashMap<String, Vec<Covered>>,
    /// Keys that were met, where nothing is written.
    tried: HashSet<u128>,
}

#[derive(Debug)]
struct Covered {
    source: String,
    sum: Sum,
    from_ms: i64,
    to_ms: i64,
}

/// A model's name in a sum that is about all of a provider's.
pub const ALL_MODELS: &str = "all models";

impl Ledger {
    /// Reads what the books hold, for [`Ledger::import`].
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn elsewhere(&self) -> std::result::Result<Elsewhere, LedgerError> {
        self.read(|db| {
            let mut elsewhere = Elsewhere::default();
            let mut find = db.prepare(
                "SELECT s.request_id, s.response_id,
                    EXISTS (SELECT 1 FROM imported i WHERE i.source = c.source AND i.key = c.id)
                 FROM settlement s JOIN call c ON c.seq = s.call
                 WHERE s.request_id IS NOT NULL OR s.response_id IS NOT NULL",
            )?;
            let mut rows = find.query([])?;
            while let Some(row) = rows.next()? {
                let known = if row.get(2)? { &mut elsewhere.exported } else { &mut elsewhere.ids };
                for column in 0..2 {
                    if let Some(id) = row.get_ref(column)?.as_str_or_null()? {
                        known.insert(digest(&[id]));
                    }
                }
            }
            let mut find = db.prepare(
                "SELECT c.source, c.provider, json_extract(c.parameters, '$.sum.model') AS model,
                    json_extract(c.parameters, '$.sum.shape') AS shape, c.opened_ms, s.finished_ms
                 FROM call c JOIN settlement s ON s.call = c.seq
                 WHERE c.source IS NOT NULL AND c.parameters LIKE '{\"sum\":%'",
            )?;
            let mut rows = find.query([])?;
            while let Some(row) = rows.next()? {
                let sum = Sum { model: row.get("model")?, shape: row.get("shape")? };
                let (from_ms, to_ms) = (row.get("opened_ms")?, row.get("finished_ms")?);
                let covered = Covered { source: row.get("source")?, sum, from_ms, to_ms };
                elsewhere.cover(&row.get::<_, String>("provider")?, covered);
            }
            Ok(elsewhere)
        })
    }

    /// What is imported of the sum with this key, over all its readings; `None`: nothing.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn imported_sum(&self, source: &str, key: &str) -> std::result::Result<Option<Standing>, LedgerError> {
        self.read(|db| standing(db, source, key))
    }

    /// Books rows in one transaction, each once. With `overlaps`, sums are booked beside the calls that they may be about.
    /// `dry`: nothing is written, and the fates are those that the rows would have.
    ///
    /// # Errors
    /// Where the ledger cannot be written: then none of the rows is.
    pub fn import(
        &mut self,
        rows: &[ToImport],
        elsewhere: &mut Elsewhere,
        overlaps: bool,
        dry: bool,
    ) -> std::result::Result<Vec<Fate>, LedgerError> {
        if rows.iter().any(|row| row.settlement.total.is_some_and(|total| total.picos < 0)) {
            return Err(LedgerError::Negative);
        }
        if dry {
            return self.read(|db| {
                rows.iter()
                    .map(|row| {
                        let fate = fate(db, row, elsewhere, overlaps)?;
                        let first = elsewhere.tried.insert(digest(&[row.source, &row.key]));
                        let fate = if first { fate } else { Fate::There };
                        if fate == Fate::New {
                            elsewhere.remember(row);
                        }
                        Ok(fate)
                    })
                    .collect()
            });
        }
        let owner = self.owner.clone();
        self.write(|books| {
            rows.iter()
                .map(|row| {
                    let fate = fate(books, row, elsewhere, overlaps)?;
                    if fate == Fate::New {
                        add(books, row, &owner)?;
                        elsewhere.remember(row);
                    }
                    Ok(fate)
                })
                .collect()
        })
    }

    /// Books that a row which states its amount itself was stated anew.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn restate_imported(
        &mut self,
        source: &str,
        key: &str,
        total: Usd,
        now_ms: i64,
    ) -> std::result::Result<(), LedgerError> {
        if total.picos < 0 {
            return Err(LedgerError::Negative);
        }
        self.write(|books| {
            let Some(call) = call_of(books, source, key)? else {
                return Ok(());
            };
            books::add_correction(books, call, now_ms, "reported", Some(total), "a later export states another amount")
        })
    }
}

impl Elsewhere {
    fn cover(&mut self, provider: &str, covered: Covered) {
        self.sums.entry(provider.to_owned()).or_default().push(covered);
    }

    fn remember(&mut self, row: &ToImport) {
        let known = if is_exported(row) { &mut self.exported } else { &mut self.ids };
        known.extend(ids(row).map(|id| digest(&[id])));
        if let Some(sum) = &row.sum {
            let (source, sum) = (row.source.to_owned(), sum.clone());
            let covered = Covered { source, sum, from_ms: row.opened_ms, to_ms: row.finished_ms };
            self.cover(&row.call.provider, covered);
        }
    }

    /// Whether a sum of another source, or of another cut of this one, is about the time of this row.
    fn covers(&self, row: &ToImport) -> bool {
        let to_ms = if row.sum.is_some() { row.finished_ms } else { row.opened_ms + 1 };
        self.sums.get(&row.call.provider).into_iter().flatten().any(|covered| {
            let elsewhere =
                covered.source != row.source || row.sum.as_ref().map(|sum| &sum.shape) != Some(&covered.sum.shape);
            elsewhere
                && covered.from_ms < to_ms
                && row.opened_ms < covered.to_ms
                && about_one_model(&covered.sum.model, model(row))
        })
    }
}

/// It was read from other books, in which it had this id.
fn is_exported(row: &ToImport) -> bool {
    row.key == row.call.id
}

/// The model that a row is about.
fn model(row: &ToImport) -> &str {
    row.sum.as_ref().map_or(&row.call.model, |sum| &sum.model)
}

/// Shorter ids are not one call's alone: some local servers count up, or draw three digits.
const ID_BYTES_MIN: usize = 16;

fn ids(row: &ToImport) -> impl Iterator<Item = &str> {
    let ids = [&row.settlement.request_id, &row.settlement.response_id];
    ids.into_iter().flatten().map(String::as_str).filter(|id| id.len() >= ID_BYTES_MIN)
}

/// One of them is about all models, or one name begins with the other: a date follows it.
fn about_one_model(one: &str, two: &str) -> bool {
    one == ALL_MODELS || two == ALL_MODELS || one.starts_with(two) || two.starts_with(one)
}

/// Two runs of the standard hash: ids are compared among themselves, by one process.
fn digest(parts: &[&str]) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, parts).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

fn fate(db: &Connection, row: &ToImport, elsewhere: &Elsewhere, overlaps: bool) -> Result<Fate> {
    if call_of(db, row.source, &row.key)?.is_some() {
        return Ok(Fate::There);
    }
    let exported = is_exported(row);
    let met = |id: &str| {
        let id = digest(&[id]);
        elsewhere.ids.contains(&id) || (!exported && elsewhere.exported.contains(&id))
    };
    if ids(row).any(met) || (exported && books::find(db, &row.call.id)?.is_some()) {
        return Ok(Fate::Own);
    }
    if !overlaps && (elsewhere.covers(row) || (row.sum.is_some() && stands_over_calls(db, row)?)) {
        return Ok(Fate::Overlaps);
    }
    Ok(Fate::New)
}

fn call_of(db: &Connection, source: &str, key: &str) -> Result<Option<i64>> {
    db.prepare_cached("SELECT call FROM imported WHERE source = ?1 AND key = ?2")?
        .query_row([source, key], |row| row.get(0))
        .optional()
}

/// Whether calls of the sum's provider and model were booked from elsewhere in its time.
fn stands_over_calls(db: &Connection, row: &ToImport) -> Result<bool> {
    let mut find = db.prepare_cached(
        "SELECT DISTINCT model FROM call
         WHERE opened_ms >= ?1 AND opened_ms < ?2 AND provider = ?3 AND source IS NOT ?4",
    )?;
    let mut models = find.query(params![row.opened_ms, row.finished_ms, row.call.provider, row.source])?;
    while let Some(found) = models.next()? {
        if about_one_model(found.get_ref(0)?.as_str()?, model(row)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn add(books: &Connection, row: &ToImport, owner: &Owner) -> Result<()> {
    let seq = books::add_imported(books, &row.call, row.opened_ms, owner, (row.source, row.requests.max(1)))?;
    let finished_ms = row.finished_ms.max(row.opened_ms);
    let added = books::add_settlement(books, seq, &row.settlement, row.opened_ms, finished_ms)?;
    debug_assert_eq!(added, Added::Now, "a call that was just added has no settlement");
    books
        .prepare_cached("INSERT INTO imported (source, key, call) VALUES (?1, ?2, ?3)")?
        .execute(params![row.source, row.key, seq])
        .map(|_| ())
}

/// The key of the reading of a sum that comes after so many.
#[must_use]
pub fn reading(key: &str, readings: u64) -> String {
    if readings == 0 { key.to_owned() } else { format!("{key}+{readings}") }
}

fn standing(db: &Connection, source: &str, key: &str) -> Result<Option<Standing>> {
    let mut standing = Standing { total: Some(Usd::default()), ..Standing::default() };
    let booked = books::BOOKED;
    let mut find = db.prepare_cached(&format!(
        "SELECT c.requests, b.total_picos, coalesce(s.reasoning, 0) FROM ({booked}) b JOIN call c ON c.seq = b.call
         JOIN settlement s ON s.call = b.call WHERE b.call = ?1"
    ))?;
    let mut lines = db.prepare_cached("SELECT meter, quantity FROM line WHERE call = ?1")?;
    while let Some(call) = call_of(db, source, &reading(key, standing.readings))? {
        let (requests, total, reasoning) =
            find.query_row([call], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?)))?;
        standing.readings += 1;
        standing.requests = standing.requests.saturating_add(count(requests));
        standing.reasoning = standing.reasoning.saturating_add(count(reasoning));
        let total = total.map(Usd::from_picos);
        standing.total = standing.total.and_then(|sum| sum.checked_add(total?));
        for line in lines.query_map([call], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))? {
            let (meter, quantity) = line?;
            let sum = standing.quantities.entry(meter).or_default();
            *sum = sum.saturating_add(count(quantity));
        }
    }
    Ok((standing.readings > 0).then_some(standing))
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
