//! Which calls were made twice: attempts that another one replaced, and requests that are the same as an earlier one.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};

use super::error::LedgerError;
use super::{Ledger, spend};
use crate::domain::record::Record;
use crate::domain::spend::Question;

/// What stands beside a call in the books.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// The last attempt that was made in its place.
    pub replaced_by: Option<String>,
    /// The earlier call that asked the same model the same.
    pub same_as: Option<String>,
    /// Its conversation is kept, so that it could be compared.
    pub has_text: bool,
}

/// How long after a call another attempt of it may begin.
const ATTEMPTS_MS: i64 = 86_400_000;

impl Ledger {
    /// As [`Ledger::walk`], with what stands beside each call. A request is the same again where provider, model, region,
    /// parameters and conversation are equal, the earlier call answered, at most `within_ms` lie between the two, and they were
    /// not made together (one group, or one another's attempts), nor by `test-access`, which asks the same each time. Texts are compared here and given to nobody; of attachments
    /// the books have only kind, name and length. What is kept while walking grows with the calls of `within_ms`.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn walk_again(
        &self,
        question: &Question,
        within_ms: i64,
        mut see: impl FnMut(Record, Beside) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        let attempts = self.read(|db| attempts(db, question))?;
        let mut requests = Requests::default();
        let mut failed = None;
        self.walk(question, |record| {
            let chain = record.call.retry_of.as_ref().unwrap_or(&record.call.id);
            let replaced_by = attempts.get(chain).filter(|last| **last != record.call.id).cloned();
            let met = self.read(|db| requests.meet(db, &record, replaced_by.is_some(), within_ms));
            let (same_as, has_text) = match met {
                Ok(met) => met,
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            };
            see(record, Beside { replaced_by, same_as, has_text })
        })?;
        failed.map_or(Ok(()), Err)
    }
}

/// The last attempt of each call that has several, by the id of the first.
fn attempts(db: &Connection, question: &Question) -> rusqlite::Result<HashMap<String, String>> {
    let [from_ms, to_ms] = spend::bounds(question);
    let mut find = db.prepare(
        "SELECT retry_of, id FROM call WHERE opened_ms >= ?1 AND opened_ms < ?2 AND retry_of IS NOT NULL
         ORDER BY opened_ms, seq",
    )?;
    let rows = find.query_map((from_ms, to_ms.saturating_add(ATTEMPTS_MS)), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// SHA-256.
type Digest = [u8; 32];

/// The requests of the last hours.
#[derive(Default)]
struct Requests {
    /// By what is known without reading a text. A text is read only where two are alike in that.
    met: HashMap<Digest, Vec<Request>>,
    /// When each was met, oldest first.
    order: VecDeque<(i64, Digest)>,
}

struct Request {
    opened_ms: i64,
    /// The first that asked this.
    id: String,
    group: Option<String>,
    chain: String,
    seq: i64,
    text: Option<Digest>,
}

impl Requests {
    /// The earlier call that is the same, and whether the text is kept at all.
    fn meet(
        &mut self,
        db: &Connection,
        record: &Record,
        replaced: bool,
        within_ms: i64,
    ) -> rusqlite::Result<(Option<String>, bool)> {
        let call = &record.call;
        let sql = "SELECT c.seq, octet_length(p.json), substr(p.json, 1, 20) LIKE '{\"left_out_bytes\":%'
                   FROM call c JOIN prompt p ON p.call = c.seq WHERE c.id = ?1";
        let kept = db
            .prepare_cached(sql)?
            .query_row([&call.id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?)));
        let Some((seq, length, false)) = kept.optional()? else {
            return Ok((None, false));
        };
        self.forget(record.opened_ms.saturating_sub(within_ms));
        let answered = record
            .settled
            .as_ref()
            .is_some_and(|settled| settled.settlement.error_class.is_none() && settled.settlement.stopped.is_none());
        if !answered || replaced || call.command == "test-access" {
            return Ok((None, true));
        }
        let key = alike(record, length);
        let chain = call.retry_of.clone().unwrap_or_else(|| call.id.clone());
        let earlier = self.met.entry(key).or_default();
        let mut text = None;
        if !earlier.is_empty() {
            let own = self::text(db, seq)?;
            for request in earlier.iter_mut() {
                let same = match request.text {
                    Some(text) => text,
                    None => *request.text.insert(self::text(db, request.seq)?),
                };
                let together = (call.group.is_some() && call.group == request.group) || request.chain == chain;
                if same == own && !together {
                    // The next one is compared with the last of its kind.
                    request.opened_ms = record.opened_ms;
                    self.order.push_back((record.opened_ms, key));
                    return Ok((Some(request.id.clone()), true));
                }
            }
            text = Some(own);
        }
        let (id, group) = (call.id.clone(), call.group.clone());
        earlier.push(Request { opened_ms: record.opened_ms, id, group, chain, seq, text });
        self.order.push_back((record.opened_ms, key));
        Ok((None, true))
    }

    /// Forgets what was met before an instant.
    fn forget(&mut self, before_ms: i64) {
        while let Some((met_ms, key)) = self.order.front().copied().filter(|(met_ms, _)| *met_ms < before_ms) {
            self.order.pop_front();
            if let Some(alike) = self.met.get_mut(&key) {
                alike.retain(|request| request.opened_ms > met_ms);
                if alike.is_empty() {
                    self.met.remove(&key);
                }
            }
        }
    }
}

/// All that makes two requests of one conversation the same, and the bytes of it.
fn alike(record: &Record, length: i64) -> Digest {
    let call = &record.call;
    let (region, parameters) = (call.region.as_deref().unwrap_or_default(), call.parameters.to_string());
    let length = length.to_string();
    digest([&call.provider, &call.model, region, &parameters, &length].map(str::as_bytes))
}

fn text(db: &Connection, seq: i64) -> rusqlite::Result<Digest> {
    db.prepare_cached("SELECT json FROM prompt WHERE call = ?1")?.query_row([seq], |row| match row.get_ref(0)? {
        ValueRef::Text(text) => Ok(digest([text])),
        _ => Ok(Digest::default()),
    })
}

fn digest<const N: usize>(parts: [&[u8]; N]) -> Digest {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut digest = Digest::default();
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
