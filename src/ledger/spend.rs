//! The questions of reports: what was spent in a period, in groups, from the sums by day where they can tell and else from the
//! calls themselves.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::days::{self, Calendar, Kept, Place};
use super::error::LedgerError;
use super::quick::Quick;
use super::scan::{self, Call, Certainty, Counts, Line, Lines};
use super::{Ledger, query};
use crate::domain::record::{Price, Record};
use crate::domain::spend::filter::{Clause, Filter, NumberField, TextField};
use crate::domain::spend::period::{day, number, week};
use crate::domain::spend::{Dimension, Group, Key, Question, Spend, Tally};
use crate::domain::window::Zone;

/// With fewer calls than this, sums by day are not kept: adding the calls up is as quick, and no call has to be booked twice.
const WORTH_KEEPING: i64 = 5_000;

/// The facet of what was read from elsewhere, and the source of all else.
const SOURCE: &str = "source";
const OWN: &str = "llmx";

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
            let mut whole = view.prepare(&format!("{} WHERE c.seq = ?1", query::COLUMNS))?;
            let mut columns = Columns::default();
            let tests = tests(&question.filter, &mut columns);
            let mut lines = Lines::of(&view)?;
            let sql =
                scan::sql(&view, &columns.0, "c.opened_ms >= ?1 AND c.opened_ms < ?2 ORDER BY c.opened_ms, c.seq")?;
            let mut find = view.prepare(&sql)?;
            let mut rows = find.query(bounds(question))?;
            while let Some(row) = rows.next()? {
                let call = Call::of(row)?;
                if fits(&tests, row, &call, &mut lines)?.is_none() {
                    continue;
                }
                let found = whole.query_row([call.seq], query::record)?;
                if see(query::with_lines(&view, call.seq, found)?).is_break() {
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
            let mut others = question.clone();
            let values = vec![OWN.to_owned()];
            others.filter.clauses.push(Clause::Text { field: TextField::Source, part: false, not: true, values });
            if facet(&others).is_some() && days::kept(&view, &question.period.zone)?.is_some() {
                return Ok(answer(&view, &others)?.total);
            }
            let mut adding = Adding::of(question);
            let theirs = "c.seq IN (SELECT call FROM imported) AND +c.opened_ms >= ?1 AND +c.opened_ms < ?2";
            from_calls(&view, question, theirs, &mut adding)?;
            Ok(adding.total)
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
    let mut adding = Adding::of(question);
    if let Some((facet, zone)) = facet(question).zip(days::kept(db, &question.period.zone)?)
        && from_days(db, question, zone, &facet, &mut adding)?
    {
        // By the numbers of the calls rather than by their instants: they are few.
        let others = format!(
            "c.seq IN (SELECT call FROM open_call UNION ALL {}) AND +c.opened_ms >= ?1 AND +c.opened_ms < ?2",
            days::WAITING
        );
        from_calls(db, question, &others, &mut adding)?;
        return adding.spend(db);
    }
    let mut adding = Adding::of(question);
    from_calls(db, question, "c.opened_ms >= ?1 AND c.opened_ms < ?2", &mut adding)?;
    adding.spend(db)
}

/// From the first instant of a question up to, and without, the first after it.
pub(super) fn bounds(question: &Question) -> [i64; 2] {
    let span = question.period.span();
    [span.from_ms, span.to_ms.unwrap_or(i64::MAX)]
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
        Dimension::Project
        | Dimension::User
        | Dimension::Team
        | Dimension::Command
        | Dimension::Source
        | Dimension::Tag(_) => dimension.to_string(),
        Dimension::Hour | Dimension::Session | Dimension::Credential | Dimension::Status | Dimension::Meter => {
            return None;
        }
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
        TextField::Source => SOURCE.to_owned(),
        TextField::Tag(key) => format!("tag:{key}"),
        TextField::Session
        | TextField::Credential
        | TextField::Status
        | TextField::Route
        | TextField::Id
        | TextField::Group => return None,
    })
}

/// Sums that grow. A group's key is a number for each dimension: of a text, of a day, or an instant.
struct Adding<'q> {
    question: &'q Question,
    times: Vec<Time>,
    texts: Vec<String>,
    numbers: HashMap<String, i64>,
    /// Each with its place in `sums`.
    groups: Quick<Vec<i64>, usize>,
    /// With the number of the price that was last met.
    sums: Vec<(Tally, i64)>,
    total: Tally,
}

impl<'q> Adding<'q> {
    fn of(question: &'q Question) -> Adding<'q> {
        Adding {
            question,
            times: question.by.iter().map(|_| Time::default()).collect(),
            texts: Vec::new(),
            numbers: HashMap::new(),
            groups: Quick::default(),
            sums: Vec::new(),
            total: Tally::default(),
        }
    }

    fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = i64::try_from(self.texts.len()).unwrap_or(i64::MAX);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// The number of what a day counts to in the dimension at this place.
    fn time(&mut self, place: usize, day: i64) -> i64 {
        match (self.question.by.get(place), self.times.get_mut(place)) {
            (Some(dimension), Some(time)) => time.of(dimension, day),
            _ => day,
        }
    }

    fn add(&mut self, key: &[i64], tally: Tally, price: i64) {
        let known = self.groups.get(key).and_then(|place| self.sums.get_mut(*place));
        let Some((sums, last)) = known else {
            self.groups.insert(key.to_vec(), self.sums.len());
            return self.sums.push((tally, price));
        };
        *sums = sums.plus(tally);
        *last = price.max(*last);
    }

    fn spend(mut self, db: &Connection) -> rusqlite::Result<Spend> {
        let mut prices: HashMap<i64, Arc<Price>> = HashMap::new();
        let mut groups = Vec::with_capacity(self.groups.len());
        for (key, place) in std::mem::take(&mut self.groups) {
            let (tally, price) = self.sums.get(place).copied().unwrap_or_default();
            if price != 0 && !prices.contains_key(&price) {
                let sql = "SELECT price_table, version, sha256, entry, row_from, checked FROM price WHERE id = ?1";
                let found = db.prepare_cached(sql)?.query_row([price], query::price)?;
                prices.extend(found.map(|found| (price, Arc::new(found))));
            }
            let keys =
                self.question.by.iter().zip(key).map(|(dimension, number)| self.key(dimension, number)).collect();
            groups.push(Group { keys, tally, price: prices.get(&price).cloned() });
        }
        groups.sort_unstable_by(|one, other| one.keys.cmp(&other.keys));
        Ok(Spend { groups, total: self.total })
    }

    fn key(&self, dimension: &Dimension, number: i64) -> Key {
        match dimension {
            Dimension::Hour => Key::Hour(number),
            Dimension::Day | Dimension::Week | Dimension::Month => {
                day(number).map_or_else(|| Key::Text(String::new()), Key::Date)
            }
            _ => {
                let text = usize::try_from(number).ok().and_then(|place| self.texts.get(place));
                Key::Text(text.cloned().unwrap_or_default())
            }
        }
    }
}

/// What the day that was last met counts to: the next one is the same as a rule.
#[derive(Default)]
struct Time {
    last: Option<(i64, i64)>,
}

impl Time {
    fn of(&mut self, dimension: &Dimension, number_of_day: i64) -> i64 {
        match self.last {
            Some((last, time)) if last == number_of_day => return time,
            _ => {}
        }
        let time = day(number_of_day).map_or(number_of_day, |date| match dimension {
            Dimension::Week => number(week(date)),
            Dimension::Month => number(date.first_of_month()),
            _ => number_of_day,
        });
        self.last = Some((number_of_day, time));
        time
    }
}

/// Adds up the days of a zone.
/// False where a sum is too large to be one: then only the calls can tell.
fn from_days(
    db: &Connection,
    question: &Question,
    zone: i64,
    facet: &str,
    adding: &mut Adding<'_>,
) -> rusqlite::Result<bool> {
    let none = if facet == SOURCE { OWN } else { "" };
    let places = days::places(db)?;
    let mut sheet = Sheet { db, question, none, places, judged: Quick::default(), values: Quick::default() };
    if facet.is_empty() {
        return days::each(db, zone, 0, &question.period, |kept| sheet.add(kept, adding));
    }
    // What has no value of the facet is what all calls are more than those that have one.
    let mut others = Quick::default();
    let mut whole = true;
    if sheet.lets(none) {
        whole = days::each(db, zone, 0, &question.period, |kept| {
            others.insert((kept.day, kept.place), kept);
            Ok(())
        })?;
    }
    if let Some(facet) = days::text_number(db, facet)? {
        whole &= days::each(db, zone, facet, &question.period, |kept| {
            if let Some(rest) = others.get_mut(&(kept.day, kept.place)) {
                rest.sums = rest.sums.minus(kept.sums);
            }
            sheet.add(kept, adding)
        })?;
    }
    others.into_values().filter(|rest| rest.sums.calls != 0).try_for_each(|rest| sheet.add(rest, adding))?;
    Ok(whole)
}

/// Sums by day as a question sees them.
struct Sheet<'a> {
    db: &'a Connection,
    question: &'a Question,
    /// The text of those that have no value of the facet.
    none: &'static str,
    places: Quick<i64, Place>,
    /// `None`: the filter does not let it through.
    judged: Quick<i64, Option<Judged>>,
    values: Quick<i64, Option<i64>>,
}

/// What a place adds to the key of a group, one number for each dimension, and how its sums are to be read.
#[derive(Clone)]
struct Judged {
    key: Vec<i64>,
    certainty: Certainty,
    price: i64,
}

impl Sheet<'_> {
    fn add(&mut self, kept: Kept, adding: &mut Adding<'_>) -> rusqlite::Result<()> {
        if !self.judged.contains_key(&kept.place) {
            let judged = self.places.get(&kept.place).and_then(|place| judged(self.question, place, adding));
            self.judged.insert(kept.place, judged);
        }
        let value = match self.values.get(&kept.value) {
            Some(value) => *value,
            None => {
                let text = match days::text_of(self.db, kept.value)? {
                    text if text.is_empty() => self.none.to_owned(),
                    text => text,
                };
                let value = self.lets(&text).then(|| adding.number(&text));
                self.values.insert(kept.value, value);
                value
            }
        };
        let (Some(Some(judged)), Some(value)) = (self.judged.get_mut(&kept.place), value) else {
            return Ok(());
        };
        for (at, (part, dimension)) in judged.key.iter_mut().zip(&self.question.by).enumerate() {
            if dimension.is_time() {
                *part = adding.time(at, kept.day);
            } else if !matches!(dimension, Dimension::Provider | Dimension::Model | Dimension::Region) {
                *part = value;
            }
        }
        let tally = kept.sums.tally(judged.certainty);
        adding.total = adding.total.plus(tally);
        adding.add(&judged.key, tally, judged.price);
        Ok(())
    }

    /// Whether the filter lets a value of the facet through.
    fn lets(&self, text: &str) -> bool {
        self.question.filter.clauses.iter().filter(|clause| !is_of_place(clause)).all(|clause| clause.fits(&[text]))
    }
}

fn is_of_place(clause: &Clause) -> bool {
    of_clause(clause).is_some_and(|facet| facet.is_empty())
}

fn judged(question: &Question, place: &Place, adding: &mut Adding<'_>) -> Option<Judged> {
    let model = format!("{}/{}", place.provider, place.model);
    let fits = |clause: &Clause| match clause {
        Clause::Text { field: TextField::Provider, .. } => clause.fits(&[&place.provider]),
        Clause::Text { field: TextField::Model, .. } => clause.fits(&[&place.model, &model]),
        Clause::Text { field: TextField::Region, .. } => clause.fits(&[&place.region]),
        Clause::Text { field: TextField::Basis, .. } => clause.fits(&[&place.basis]),
        Clause::Text { .. } | Clause::Number { .. } => true,
    };
    if !question.filter.clauses.iter().all(fits) {
        return None;
    }
    let key = question.by.iter().map(|dimension| match dimension {
        Dimension::Provider => adding.number(&place.provider),
        Dimension::Model => adding.number(&model),
        Dimension::Region => adding.number(&place.region),
        _ => 0,
    });
    Some(Judged { key: key.collect(), certainty: place.certainty, price: place.price })
}

/// The texts of a call that a question needs, each once.
#[derive(Default)]
struct Columns(Vec<&'static str>);

impl Columns {
    fn place(&mut self, column: &'static str) -> usize {
        self.0.iter().position(|known| *known == column).unwrap_or_else(|| {
            self.0.push(column);
            self.0.len() - 1
        })
    }

    fn source(&mut self, field: &TextField) -> Source {
        let column = match field {
            TextField::Model => {
                return Source::Model { provider: self.place("c.provider"), model: self.place("c.model") };
            }
            TextField::Tag(key) => return Source::Tag { tags: self.place("c.tags"), key: key.clone() },
            TextField::Provider => "c.provider",
            TextField::Region => "c.region",
            TextField::Project => "c.project",
            TextField::User => "c.user",
            TextField::Team => "c.team",
            TextField::Session => "c.session",
            TextField::Command => "c.command",
            TextField::Credential => "c.credential",
            TextField::Status => "iif(s.call IS NULL, 'open', coalesce(s.error_class, s.stopped, 'ok'))",
            TextField::Source => "coalesce(c.source, 'llmx')",
            TextField::Basis => "coalesce(k.cost_basis, s.cost_basis)",
            TextField::Route => "c.route",
            TextField::Id => "c.id",
            TextField::Group => "c.group_id",
        };
        Source::Text(self.place(column))
    }
}

/// Where a text of a call is found.
enum Source {
    Text(usize),
    Model { provider: usize, model: usize },
    Tag { tags: usize, key: String },
}

/// A clause, and where its text is found.
enum Test<'q> {
    Text(&'q Clause, Source),
    Number(&'q Clause),
}

fn tests<'q>(filter: &'q Filter, columns: &mut Columns) -> Vec<Test<'q>> {
    let test = |clause: &'q Clause| match clause {
        Clause::Text { field, .. } => Test::Text(clause, columns.source(field)),
        Clause::Number { .. } => Test::Number(clause),
    };
    filter.clauses.iter().map(test).collect()
}

/// What the lines of a call count, where every clause lets it through. Its texts are asked first: most calls go by them.
fn fits(tests: &[Test<'_>], row: &Row<'_>, call: &Call, lines: &mut Lines<'_>) -> rusqlite::Result<Option<Counts>> {
    for test in tests {
        let lets = match test {
            Test::Text(clause, Source::Text(place)) => clause.fits(&[scan::text(row, *place)?]),
            Test::Text(clause, Source::Model { provider, model }) => {
                let (provider, model) = (scan::text(row, *provider)?, scan::text(row, *model)?);
                clause.fits(&[model, &format!("{provider}/{model}")])
            }
            Test::Text(clause, Source::Tag { tags, key }) => {
                let tags = scan::tags(scan::text(row, *tags)?);
                clause.fits(&[tags.get(key).map_or("", String::as_str)])
            }
            Test::Number(_) => true,
        };
        if !lets {
            return Ok(None);
        }
    }
    let counts = lines.read(call)?;
    let lets = tests.iter().all(|test| match test {
        Test::Number(Clause::Number { field, sign, value }) => {
            counted(*field, call, &counts).is_some_and(|number| sign.holds(number, *value))
        }
        Test::Number(Clause::Text { .. }) | Test::Text(..) => true,
    });
    Ok(lets.then_some(counts))
}

/// The number of a field in its unit; `None`: nobody knows.
fn counted(field: NumberField, call: &Call, counts: &Counts) -> Option<i64> {
    match field {
        NumberField::Cost => call.total,
        NumberField::Input => counts.input,
        NumberField::CacheRead => counts.cache_read,
        NumberField::CacheWrite => counts.cache_write,
        NumberField::Output => counts.output,
        NumberField::Reasoning => call.reasoning,
        NumberField::First => call.first_token_ms?.checked_sub(call.opened_ms),
        NumberField::Total => call.finished_ms?.checked_sub(call.opened_ms),
    }
}

/// Where a part of a group's key comes from.
enum Part {
    Hour,
    Date,
    Text(Source),
    Meter,
}

fn part(dimension: &Dimension, columns: &mut Columns) -> Part {
    let field = match dimension {
        Dimension::Hour => return Part::Hour,
        Dimension::Day | Dimension::Week | Dimension::Month => return Part::Date,
        Dimension::Meter => return Part::Meter,
        Dimension::Provider => TextField::Provider,
        Dimension::Model => TextField::Model,
        Dimension::Region => TextField::Region,
        Dimension::Project => TextField::Project,
        Dimension::User => TextField::User,
        Dimension::Team => TextField::Team,
        Dimension::Tag(key) => TextField::Tag(key.clone()),
        Dimension::Session => TextField::Session,
        Dimension::Command => TextField::Command,
        Dimension::Credential => TextField::Credential,
        Dimension::Status => TextField::Status,
        Dimension::Source => TextField::Source,
    };
    Part::Text(columns.source(&field))
}

/// Adds up calls one by one: those of the period that fit a condition on the instants `?1` and `?2`.
fn from_calls(db: &Connection, question: &Question, condition: &str, adding: &mut Adding<'_>) -> rusqlite::Result<()> {
    let mut columns = Columns::default();
    let tests = tests(&question.filter, &mut columns);
    let parts: Vec<Part> = question.by.iter().map(|dimension| part(dimension, &mut columns)).collect();
    let by_meter = question.by.contains(&Dimension::Meter);
    let (zone, mut calendar) = (&question.period.zone, Calendar::of(&question.period.zone));
    let mut lines = Lines::of(db)?;
    let mut find = db.prepare(&scan::sql(db, &columns.0, condition)?)?;
    let mut rows = find.query(bounds(question))?;
    let mut key = vec![0; parts.len()];
    let mut model_id = String::new();
    while let Some(row) = rows.next()? {
        let call = Call::of(row)?;
        let Some(counts) = fits(&tests, row, &call, &mut lines)? else {
            continue;
        };
        for (at, (number, part)) in key.iter_mut().zip(&parts).enumerate() {
            *number = match part {
                Part::Hour => zone.hour(call.opened_ms),
                Part::Date => adding.time(at, calendar.day(call.opened_ms)),
                Part::Text(Source::Text(place)) => adding.number(scan::text(row, *place)?),
                Part::Text(Source::Model { provider, model }) => {
                    model_id.clear();
                    model_id.extend([scan::text(row, *provider)?, "/", scan::text(row, *model)?]);
                    adding.number(&model_id)
                }
                Part::Text(Source::Tag { tags, key }) => {
                    let tags = scan::tags(scan::text(row, *tags)?);
                    adding.number(tags.get(key).map_or("", String::as_str))
                }
                Part::Meter => 0,
            };
        }
        let tally = call.tally(&counts);
        adding.total = adding.total.plus(tally);
        if !by_meter {
            adding.add(&key, tally, call.price);
            continue;
        }
        for (meter, tally) in metered(tally, lines.found()) {
            let meter = adding.number(meter.and_then(|meter| lines.meters.get(meter)).map_or("", String::as_str));
            for (number, part) in key.iter_mut().zip(&parts) {
                *number = if matches!(part, Part::Meter) { meter } else { *number };
            }
            adding.add(&key, tally, call.price);
        }
    }
    Ok(())
}

/// A call's sums, one for each of its meters. What no line carries (a charge that the provider stated, a correction, a call
/// without lines) stands under none, so that the groups add up to the call.
fn metered(tally: Tally, lines: &[Line]) -> Vec<(Option<usize>, Tally)> {
    let Tally { calls, failed, failed_free, uncertain, simulated, .. } = tally;
    let mut meters: Vec<(Option<usize>, Tally)> = Vec::with_capacity(lines.len() + 1);
    let mut rest = Tally { input: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0, ..tally };
    for line in lines {
        let place = meters.iter().position(|(meter, _)| *meter == Some(line.meter)).unwrap_or_else(|| {
            let part = Tally { calls, failed, failed_free, uncertain, simulated, ..Tally::default() };
            meters.push((Some(line.meter), part));
            meters.len() - 1
        });
        let picos = i128::from(line.picos.unwrap_or_default());
        let simulated_picos = if simulated > 0 { picos } else { 0 };
        if let Some((_, part)) = meters.get_mut(place) {
            part.units = part.units.saturating_add(scan::natural(line.quantity));
            part.picos += picos;
            part.at_most += picos;
            part.simulated_picos += simulated_picos;
            part.unpriced = if line.picos.is_none() { calls } else { part.unpriced };
        }
        rest.picos -= picos;
        rest.at_most -= picos;
        rest.simulated_picos -= simulated_picos;
    }
    if lines.is_empty() || rest.picos != 0 || rest.at_most != 0 {
        meters.push((None, rest));
    }
    meters
}
