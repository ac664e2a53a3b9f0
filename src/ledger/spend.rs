//! The questions of reports: what was spent in a period, in groups, from the sums by day where they can tell and else from the
//! calls themselves.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use rusqlite::types::ToSql;
use rusqlite::{Connection, Row};

use super::error::LedgerError;
use super::{Ledger, days, query};
use crate::domain::record::{Price, Record};
use crate::domain::spend::filter::{Clause, Filter, NumberField, Sign, TextField};
use crate::domain::spend::period::{day, week};
use crate::domain::spend::{Dimension, Group, Key, Question, Spend, Tally};
use crate::domain::window::{Span, Zone};

/// With fewer calls than this, sums by day are not kept: adding the calls up is as quick, and no call has to be booked twice.
const WORTH_KEEPING: i64 = 5_000;

impl Ledger {
    /// Adds up what a question asks for. The first question in a zone may make the sums of its days, once.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn spend(&mut self, question: &Question) -> Result<Spend, LedgerError> {
        Ok(self.spends(std::slice::from_ref(question))?.pop().unwrap_or_default())
    }

    /// As [`Ledger::spend`] for several questions, all answered from the same state of the books.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn spends(&mut self, questions: &[Question]) -> Result<Vec<Spend>, LedgerError> {
        for question in questions.iter().filter(|question| facet(question).is_some()) {
            let zone = &question.period.zone;
            let (kept, last) = self.read(|db| {
                let last: i64 = db.query_row("SELECT coalesce(max(seq), 0) FROM call", [], |row| row.get(0))?;
                Ok((days::kept(db, zone)?, last))
            })?;
            if kept.is_none() && last >= WORTH_KEEPING {
                // Where the file cannot be written, the calls tell as well.
                let _ = self.keep_days(zone);
            }
        }
        self.read(|db| {
            let view = db.unchecked_transaction()?;
            questions.iter().map(|question| answer(&view, question)).collect()
        })
    }

    /// Keeps sums by day on the calendar of a zone from now on.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn keep_days(&mut self, zone: &Zone) -> Result<(), LedgerError> {
        self.write(|books| days::meet(books, zone))
    }

    /// Shows every call that a question is about, oldest first, with its lines and without its texts, until `see` has seen
    /// enough. Open ones are among them.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn walk(&self, question: &Question, mut see: impl FnMut(Record) -> ControlFlow<()>) -> Result<(), LedgerError> {
        self.read(|db| {
            let view = db.unchecked_transaction()?;
            let (condition, values) = condition(&question.filter);
            let (from_ms, to_ms) = bounds(question.period.span());
            let sql = format!(
                "{} JOIN ({CALLS} WHERE c.opened_ms >= {from_ms} AND c.opened_ms < {to_ms}) v ON v.seq = c.seq
                 WHERE {condition} ORDER BY c.opened_ms, c.seq",
                query::COLUMNS
            );
            let mut find = view.prepare(&sql)?;
            let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
            let mut rows = find.query(values.as_slice())?;
            while let Some(row) = rows.next()? {
                let found = query::with_lines(&view, row.get(0)?, query::record(row)?)?;
                if see(found).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Of the calls that a question is about, what those come to that were read from elsewhere (`usage import`).
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn imported(&self, question: &Question) -> Result<Tally, LedgerError> {
        self.read(|db| {
            let view = db.unchecked_transaction()?;
            let mut sums = Adding::default();
            from_calls(&view, question, "seq IN (SELECT call FROM imported)", &mut sums)?;
            Ok(sums.total)
        })
    }

    /// The instants at which the first and the last call were opened; `None`: there is none.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn opened_between(&self) -> Result<Option<(i64, i64)>, LedgerError> {
        self.read(|db| {
            let ends = |row: &Row<'_>| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?));
            db.query_row("SELECT (SELECT min(opened_ms) FROM call), (SELECT max(opened_ms) FROM call)", [], ends)
        })
    }
}

fn answer(db: &Connection, question: &Question) -> rusqlite::Result<Spend> {
    let mut sums = Adding::default();
    let kept = days::kept(db, &question.period.zone)?;
    match facet(question).zip(kept) {
        Some((facet, zone)) => from_days(db, question, zone, &facet, &mut sums)?,
        None => from_calls(db, question, "NOT open", &mut sums)?,
    }
    from_calls(db, question, "seq IN (SELECT call FROM open_call)", &mut sums)?;
    sums.spend(db)
}

/// The facet of the sums by day that can answer a question. `None`: only the calls can.
fn facet(question: &Question) -> Option<String> {
    let asked = question.by.iter().map(of_dimension).chain(question.filter.clauses.iter().map(of_clause));
    let mut facet = String::new();
    for needed in asked {
        let needed = needed?;
        if !needed.is_empty() && !facet.is_empty() && needed != facet {
            return None;
        }
        facet = if needed.is_empty() { facet } else { needed };
    }
    Some(facet)
}

fn of_dimension(dimension: &Dimension) -> Option<String> {
    Some(match dimension {
        Dimension::Day | Dimension::Week | Dimension::Month => String::new(),
        Dimension::Provider | Dimension::Model | Dimension::Region => String::new(),
        Dimension::Project | Dimension::User | Dimension::Team | Dimension::Command | Dimension::Tag(_) => {
            dimension.to_string()
        }
        Dimension::Hour
        | Dimension::Session
        | Dimension::Credential
        | Dimension::Status
        | Dimension::Meter
        | Dimension::Source => return None,
    })
}

fn of_clause(clause: &Clause) -> Option<String> {
    let Clause::Text { field, .. } = clause else {
        return None;
    };
    Some(match field {
        TextField::Provider | TextField::Model | TextField::Region | TextField::Basis => String::new(),
        TextField::Project => "project".to_owned(),
        TextField::User => "user".to_owned(),
        TextField::Team => "team".to_owned(),
        TextField::Command => "command".to_owned(),
        TextField::Tag(key) => format!("tag:{key}"),
        TextField::Session
        | TextField::Credential
        | TextField::Status
        | TextField::Source
        | TextField::Route
        | TextField::Id
        | TextField::Group => return None,
    })
}

/// Sums that grow, each group with the price that was last met.
#[derive(Default)]
struct Adding {
    groups: HashMap<Vec<Key>, (Tally, i64)>,
    total: Tally,
}

impl Adding {
    fn add(&mut self, keys: Vec<Key>, tally: Tally, price: i64) {
        let (sums, last) = self.groups.entry(keys).or_default();
        *sums = sums.plus(tally);
        *last = price.max(*last);
    }

    fn spend(self, db: &Connection) -> rusqlite::Result<Spend> {
        let mut prices: HashMap<i64, Price> = HashMap::new();
        let mut groups = Vec::with_capacity(self.groups.len());
        for (keys, (tally, price)) in self.groups {
            if price != 0 && !prices.contains_key(&price) {
                let sql = "SELECT price_table, version, sha256, entry, row_from, checked FROM price WHERE id = ?1";
                let found = db.prepare_cached(sql)?.query_row([price], query::price)?;
                prices.extend(found.map(|found| (price, found)));
            }
            groups.push(Group { keys, tally, price: prices.get(&price).cloned() });
        }
        groups.sort_unstable_by(|one, other| one.keys.cmp(&other.keys));
        Ok(Spend { groups, total: self.total })
    }
}

/// Adds up the days of a zone.
fn from_days(db: &Connection, question: &Question, zone: i64, facet: &str, sums: &mut Adding) -> rusqlite::Result<()> {
    let mut rows = days::rows_of(db, zone, facet, &question.period)?;
    if !facet.is_empty() {
        // What has no value of the facet is what all calls are more than those that have one.
        let mut others = days::rows_of(db, zone, "", &question.period)?;
        for ((_, number, place), part) in &rows {
            if let Some(rest) = others.get_mut(&(String::new(), *number, place.clone())) {
                *rest = rest.minus(*part);
            }
        }
        rows.extend(others.into_iter().filter(|(_, sums)| !sums.is_none()));
    }
    for ((value, number, place), found) in &rows {
        let texts = |field: &TextField| match field {
            TextField::Provider => vec![place.provider.clone()],
            TextField::Model => vec![place.model.clone(), format!("{}/{}", place.provider, place.model)],
            TextField::Region => vec![place.region.clone()],
            TextField::Basis => vec![place.basis.clone()],
            _ => vec![value.clone()],
        };
        if !question.filter.clauses.iter().all(|clause| clause.fits(&texts)) {
            continue;
        }
        let tally = found.tally(&place.basis);
        sums.total = sums.total.plus(tally);
        let date = day(*number);
        let keys = question.by.iter().map(|dimension| match dimension {
            Dimension::Day => date.map(Key::Date),
            Dimension::Week => date.map(|date| Key::Date(week(date))),
            Dimension::Month => date.map(|date| Key::Date(date.first_of_month())),
            Dimension::Provider => Some(Key::Text(place.provider.clone())),
            Dimension::Model => Some(Key::Text(format!("{}/{}", place.provider, place.model))),
            Dimension::Region => Some(Key::Text(place.region.clone())),
            _ => Some(Key::Text(value.clone())),
        });
        sums.add(keys.map(|key| key.unwrap_or_else(|| Key::Text(String::new()))).collect(), tally, place.price);
    }
    Ok(())
}

/// Calls with everything that a report may ask of them. An empty text stands for none.
const CALLS: &str = concat!(
    "SELECT c.seq, c.id AS id, c.opened_ms AS opened_ms, c.provider AS provider, c.model AS model,
        coalesce(c.region, '') AS region, coalesce(c.project, '') AS project, coalesce(c.user, '') AS user,
        coalesce(c.team, '') AS team, coalesce(c.session, '') AS session, c.command AS command,
        coalesce(c.credential, '') AS credential, c.tags AS tags, coalesce(c.source, 'llmx') AS source,
        coalesce(c.route, '') AS route, coalesce(c.group_id, '') AS group_id, c.requests AS requests,
        c.ceiling_picos AS ceiling_picos, b.call IS NULL AS open,
        CASE WHEN b.call IS NULL THEN 'open' ELSE coalesce(b.error_class, b.stopped, 'ok') END AS status,
        coalesce(b.cost_basis, '') AS cost_basis, b.total_picos AS total_picos, b.at_most_picos AS at_most_picos,
        b.failed AS failed, b.reasoning AS reasoning, coalesce(b.price, 0) AS price,
        b.first_token_ms - c.opened_ms AS first_ms, b.finished_ms - c.opened_ms AS total_ms
     FROM call c LEFT JOIN (",
    super::books::booked!(),
    ") b ON b.call = c.seq"
);

/// Adds up calls one by one.
fn from_calls(db: &Connection, question: &Question, which: &str, sums: &mut Adding) -> rusqlite::Result<()> {
    let (condition, values) = condition(&question.filter);
    let (from_ms, to_ms) = bounds(question.period.span());
    let sql = format!(
        "SELECT * FROM ({CALLS}) v WHERE opened_ms >= {from_ms} AND opened_ms < {to_ms} AND {which} AND {condition}"
    );
    let mut find = db.prepare(&sql)?;
    let mut lines = db.prepare_cached("SELECT meter, quantity, picos FROM line WHERE call = ?1")?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let mut rows = find.query(values.as_slice())?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get("seq")?;
        let lines = lines.query_map([seq], |line| Ok((line.get(0)?, line.get(1)?, line.get(2)?)))?;
        let lines: Vec<Metered> = lines.collect::<rusqlite::Result<_>>()?;
        let tally = tally(row, &lines)?;
        sums.total = sums.total.plus(tally);
        let keys = keys(row, question)?;
        let price = row.get("price")?;
        match question.by.iter().position(|dimension| *dimension == Dimension::Meter) {
            Some(place) => {
                for (meter, tally) in by_meter(tally, &lines) {
                    let mut keys = keys.clone();
                    keys.insert(place, Key::Text(meter));
                    sums.add(keys, tally, price);
                }
            }
            None => sums.add(keys, tally, price),
        }
    }
    Ok(())
}

/// A meter, how much was counted, and its amount.
type Metered = (String, i64, Option<i64>);

/// The keys of a call in every dimension but the meter's.
fn keys(row: &Row<'_>, question: &Question) -> rusqlite::Result<Vec<Key>> {
    let opened_ms: i64 = row.get("opened_ms")?;
    let zone = &question.period.zone;
    let date = || zone.date(opened_ms);
    let dimensions = question.by.iter().filter(|dimension| **dimension != Dimension::Meter);
    dimensions
        .map(|dimension| {
            let date = match dimension {
                Dimension::Hour => return Ok(Key::Hour(zone.hour(opened_ms))),
                Dimension::Day => date(),
                Dimension::Week => date().map(week),
                Dimension::Month => date().map(|date| date.first_of_month()),
                Dimension::Model => {
                    let (provider, model): (String, String) = (row.get("provider")?, row.get("model")?);
                    return Ok(Key::Text(format!("{provider}/{model}")));
                }
                Dimension::Tag(key) => {
                    let tags: BTreeMap<String, String> =
                        serde_json::from_str(&row.get::<_, String>("tags")?).unwrap_or_default();
                    return Ok(Key::Text(tags.get(key).cloned().unwrap_or_default()));
                }
                _ => return row.get(dimension.to_string().as_str()).map(Key::Text),
            };
            Ok(date.map_or(Key::Text(String::new()), Key::Date))
        })
        .collect()
}

fn tally(row: &Row<'_>, lines: &[Metered]) -> rusqlite::Result<Tally> {
    if row.get("open")? {
        let ceiling: Option<i64> = row.get("ceiling_picos")?;
        let held = ceiling.unwrap_or_default().into();
        return Ok(Tally { open: 1, open_unknown: u64::from(ceiling.is_none()), held, ..Tally::default() });
    }
    let requests = count(row.get("requests")?);
    let total: Option<i64> = row.get("total_picos")?;
    let basis: String = row.get("cost_basis")?;
    let failed: bool = row.get("failed")?;
    let of = |wanted: bool| if wanted { requests } else { 0 };
    let picos = i128::from(total.unwrap_or_default());
    let simulated = basis == "simulated";
    let sum = |meters: &[&str]| -> u64 {
        lines
            .iter()
            .filter(|(meter, ..)| meters.contains(&meter.as_str()))
            .map(|(_, quantity, _)| count(*quantity))
            .sum()
    };
    Ok(Tally {
        calls: requests,
        failed: of(failed),
        failed_free: of(failed && basis == "nothing"),
        unpriced: of(total.is_none()),
        uncertain: of(matches!(basis.as_str(), "estimated" | "ceiling")),
        simulated: of(simulated),
        picos,
        at_most: row.get::<_, Option<i64>>("at_most_picos")?.unwrap_or_default().into(),
        simulated_picos: if simulated { picos } else { 0 },
        input: sum(&["input", "input_audio", "input_image"]),
        cache_read: sum(&["cache_read", "cache_read_audio"]),
        cache_write: sum(&["cache_write", "cache_write_1h"]),
        output: sum(&["output", "output_audio", "output_image", "reasoning"]),
        reasoning: count(row.get::<_, Option<i64>>("reasoning")?.unwrap_or_default()),
        ..Tally::default()
    })
}

/// A call's sums, one for each of its meters. What no line carries (a charge that the provider stated, a correction, a call
/// without lines) stands under an empty name, so that the groups add up to the call.
fn by_meter(tally: Tally, lines: &[Metered]) -> BTreeMap<String, Tally> {
    let mut meters: BTreeMap<String, Tally> = BTreeMap::new();
    let mut rest = Tally { input: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0, ..tally };
    for (meter, quantity, amount) in lines {
        let part = meters.entry(meter.clone()).or_insert(Tally { calls: tally.calls, ..Tally::default() });
        let (units, picos) = (count(*quantity), i128::from(amount.unwrap_or_default()));
        part.units = part.units.saturating_add(units);
        part.picos += picos;
        part.at_most += picos;
        part.unpriced = if amount.is_none() { tally.calls } else { part.unpriced };
        rest.picos -= picos;
        rest.at_most -= picos;
    }
    if lines.is_empty() || rest.picos != 0 || rest.at_most != 0 || rest.open != 0 {
        meters.insert(String::new(), rest);
    }
    meters
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

pub(super) fn bounds(span: Span) -> (i64, i64) {
    (span.from_ms, span.to_ms.unwrap_or(i64::MAX))
}

/// The condition of a filter over the columns of [`CALLS`], and the values of its parameters in order.
fn condition(filter: &Filter) -> (String, Vec<Box<dyn ToSql>>) {
    let mut conditions = vec!["true".to_owned()];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    for clause in &filter.clauses {
        match clause {
            Clause::Text { field, part, not, values: wanted } => {
                let texts = texts(field, &mut values);
                let mut any = Vec::new();
                for value in wanted {
                    values.push(Box::new(value.clone()));
                    let place = values.len();
                    any.extend(texts.iter().map(|text| match part {
                        true => format!("instr(lower({text}), lower(?{place})) > 0"),
                        false => format!("{text} = ?{place}"),
                    }));
                }
                conditions.push(format!("{}({})", if *not { "NOT " } else { "" }, any.join(" OR ")));
            }
            Clause::Number { field, sign, value } => {
                values.push(Box::new(*value));
                conditions.push(format!("{} {} ?{}", number_of(*field), sql(*sign), values.len()));
            }
        }
    }
    (conditions.join(" AND "), values)
}

/// What a clause on a text compares, as SQL: never anything that a user wrote.
fn texts(field: &TextField, values: &mut Vec<Box<dyn ToSql>>) -> Vec<String> {
    let column = match field {
        TextField::Provider => "v.provider",
        TextField::Model => return vec!["v.model".to_owned(), "(v.provider || '/' || v.model)".to_owned()],
        TextField::Region => "v.region",
        TextField::Project => "v.project",
        TextField::User => "v.user",
        TextField::Team => "v.team",
        TextField::Session => "v.session",
        TextField::Command => "v.command",
        TextField::Credential => "v.credential",
        TextField::Status => "v.status",
        TextField::Source => "v.source",
        TextField::Basis => "v.cost_basis",
        TextField::Route => "v.route",
        TextField::Id => "v.id",
        TextField::Group => "v.group_id",
        TextField::Tag(key) => {
            values.push(Box::new(key.clone()));
            return vec![format!("coalesce((SELECT value FROM json_each(v.tags) WHERE key = ?{}), '')", values.len())];
        }
    };
    vec![column.to_owned()]
}

fn number_of(field: NumberField) -> &'static str {
    match field {
        NumberField::Cost => "v.total_picos",
        NumberField::Input => {
            "(SELECT sum(quantity) FROM line l WHERE l.call = v.seq AND meter IN ('input', 'input_audio', 'input_image'))"
        }
        NumberField::CacheRead => {
            "(SELECT sum(quantity) FROM line l WHERE l.call = v.seq AND meter IN ('cache_read', 'cache_read_audio'))"
        }
        NumberField::CacheWrite => {
            "(SELECT sum(quantity) FROM line l WHERE l.call = v.seq AND meter IN ('cache_write', 'cache_write_1h'))"
        }
        NumberField::Output => {
            "(SELECT sum(quantity) FROM line l WHERE l.call = v.seq
              AND meter IN ('output', 'output_audio', 'output_image', 'reasoning'))"
        }
        NumberField::Reasoning => "v.reasoning",
        NumberField::First => "v.first_ms",
        NumberField::Total => "v.total_ms",
    }
}

fn sql(sign: Sign) -> &'static str {
    match sign {
        Sign::Less => "<",
        Sign::AtMost => "<=",
        Sign::Equal => "=",
        Sign::Unequal => "<>",
        Sign::AtLeast => ">=",
        Sign::More => ">",
    }
}
