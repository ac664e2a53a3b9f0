//! Sums by day, kept for the zones in which reports were asked for: a year is added up from its days, not from its calls.
//!
//! A call that was settled waits, and joins the sums together with others: whoever settles a call has no zone to think of.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Result, Row, params};

use super::quick::Quick;
use super::scan::{self, Call, Certainty, Lines, Sums};
use crate::domain::spend::period::{Period, number};
use crate::domain::window::Zone;

/// So many zones are kept; another takes the place of the one that was met first.
const ZONES_MAX: usize = 4;

/// So many calls wait before they join the sums: a report adds them up itself until then.
const WAITING_MAX: i64 = 256;

/// So many sums are held in memory before they are written: about 5 MiB.
const SPOTS_MAX: usize = 1 << 15;

/// So many texts are remembered with their numbers.
const TEXTS_MAX: usize = 1 << 14;

/// The calls that are in no sum yet.
pub(super) const WAITING: &str = "SELECT call FROM day_waiting";

/// What a settled call adds to the sums, and where.
#[derive(Debug, Default)]
pub(super) struct Fact(Quick<Spot, Sums>);

/// The key of the table: numbers of `zone`, `day_text` (0: the empty text), days since 1970-01-01, and `day_place`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Spot {
    zone: i64,
    facet: i64,
    day: i64,
    value: i64,
    place: i64,
}

/// What a settled call added to the sums; `None` where it is in none.
pub(super) fn fact_of(db: &Connection, seq: i64) -> Result<Option<Fact>> {
    let zones = zones(db)?;
    if zones.is_empty() || db.prepare_cached("SELECT 1 FROM day_waiting WHERE call = ?1")?.exists([seq])? {
        return Ok(None);
    }
    let mut adding = Adding::of(db, &zones, Table::Kept)?;
    let mut find = db.prepare_cached(&scan::sql(db, &TEXTS, "c.seq = ?1")?)?;
    find.query_row([seq], |row| adding.add(row)).optional()?;
    Ok(Some(Fact(adding.spots)))
}

/// Lets a call wait after it was settled, or corrected where it was in the sums as `before`.
pub(super) fn restate(db: &Connection, seq: i64, before: Option<&Fact>) -> Result<()> {
    if !db.prepare_cached("SELECT 1 FROM zone")?.exists([])? {
        return Ok(());
    }
    if let Some(Fact(spots)) = before {
        let forgotten = forget_the_largest(db, spots)?;
        let kept = spots.iter().filter(|(spot, _)| !forgotten.contains(&spot.zone));
        let out: Quick<Spot, Sums> = kept.map(|(spot, sums)| (*spot, Sums::default().minus(*sums))).collect();
        write(db, Table::Kept, &out)?;
    }
    db.prepare_cached("INSERT INTO day_waiting (call) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([seq])?;
    let waiting: i64 = db.prepare_cached("SELECT count(*) FROM day_waiting")?.query_row([], |row| row.get(0))?;
    if waiting >= WAITING_MAX { join(db) } else { Ok(()) }
}

/// Adds every call that waits to the sums.
fn join(db: &Connection) -> Result<()> {
    for (id, name) in names(db)? {
        // Sums that nobody here can add to would be wrong for whoever knows the zone.
        if Zone::named(&name).is_none() {
            forget(db, id)?;
        }
    }
    fill(db, &zones(db)?, Table::Kept, &format!("c.seq IN ({WAITING})"))?;
    db.execute("DELETE FROM day_waiting", []).map(|_| ())
}

/// Forgets the zones in which one of these sums is at the largest number: nobody knows what is left of it once a part is
/// taken out. The next report adds them up anew. Gives their numbers.
fn forget_the_largest(db: &Connection, spots: &Quick<Spot, Sums>) -> Result<Vec<i64>> {
    let mut forgotten = Vec::new();
    let mut find = db.prepare_cached(
        "SELECT 1 FROM day WHERE zone = ?1 AND facet = ?2 AND day = ?3 AND value = ?4 AND place = ?5
            AND max(picos, at_most_picos, input, cache_read, cache_write, output, reasoning) = 9223372036854775807",
    )?;
    for Spot { zone, facet, day, value, place } in spots.keys() {
        if find.exists([zone, facet, day, value, place])? {
            forget(db, *zone)?;
            forgotten.push(*zone);
        }
    }
    Ok(forgotten)
}

fn forget(db: &Connection, zone: i64) -> Result<()> {
    db.execute("DELETE FROM day WHERE zone = ?1", [zone])?;
    db.execute("DELETE FROM zone WHERE id = ?1", [zone]).map(|_| ())
}

/// The zones that are kept, by their names.
fn names(db: &Connection) -> Result<Vec<(i64, String)>> {
    let mut find = db.prepare_cached("SELECT id, name FROM zone ORDER BY id")?;
    let rows = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// The zones that are kept, without those that the time zone database no longer has.
fn zones(db: &Connection) -> Result<Vec<(i64, Zone)>> {
    Ok(names(db)?.into_iter().filter_map(|(id, name)| Some((id, Zone::named(&name)?))).collect())
}

/// The number of a zone that is kept.
pub(super) fn kept(db: &Connection, zone: &Zone) -> Result<Option<i64>> {
    db.prepare_cached("SELECT id FROM zone WHERE name = ?1")?.query_row([zone.name()], |row| row.get(0)).optional()
}

/// Begins to keep a zone: every call is added up once.
pub(super) fn meet(db: &Connection, zone: &Zone) -> Result<()> {
    if kept(db, zone)?.is_some() {
        return Ok(());
    }
    join(db)?;
    let before = names(db)?;
    for (id, _) in before.iter().take((before.len() + 1).saturating_sub(ZONES_MAX)) {
        forget(db, *id)?;
    }
    db.execute("INSERT INTO zone (id, name) SELECT coalesce(max(id), 0) + 1, ?1 FROM zone", [zone.name()])?;
    kept(db, zone)?.map_or(Ok(()), |id| fill(db, &[(id, zone.clone())], Table::Kept, "true"))
}

/// Makes the sums of every zone anew from the sources.
pub(super) fn derive(db: &Connection) -> Result<()> {
    db.execute_batch("DELETE FROM day; DELETE FROM day_place; DELETE FROM day_text; DELETE FROM day_waiting;")?;
    fill(db, &zones(db)?, Table::Kept, "true")
}

/// The zones and facets whose sums are not those of the sources.
pub(super) fn differing(db: &Connection) -> Result<Vec<String>> {
    let zones = zones(db)?;
    db.execute_batch(&format!(
        "CREATE TEMP TABLE {} (zone, facet, day, value, place, calls, failed, unpriced, picos, at_most_picos, input,
            cache_read, cache_write, output, reasoning, PRIMARY KEY (zone, facet, day, value, place)) WITHOUT ROWID",
        Table::Check.name()
    ))?;
    let found =
        fill(db, &zones, Table::Check, &format!("c.seq NOT IN ({WAITING})")).and_then(|()| compared(db, &zones));
    db.execute_batch(&format!("DROP TABLE {}", Table::Check.name()))?;
    found
}

fn compared(db: &Connection, zones: &[(i64, Zone)]) -> Result<Vec<String>> {
    let (kept, check) = (Table::Kept.name(), Table::Check.name());
    let known: Vec<String> = zones.iter().map(|(id, _)| id.to_string()).collect();
    // Those of a zone that is not known here are not judged.
    let mut find = db.prepare(&format!(
        "SELECT DISTINCT zone, coalesce((SELECT text FROM day_text WHERE id = facet), '') FROM (
            SELECT * FROM (SELECT * FROM {kept} EXCEPT SELECT * FROM {check})
            UNION ALL SELECT * FROM (SELECT * FROM {check} EXCEPT SELECT * FROM {kept}))
         WHERE zone IN ({}) OR zone NOT IN (SELECT id FROM zone) ORDER BY 1, 2",
        known.join(", ")
    ))?;
    let rows = find.query_map([], |row| {
        let (id, facet): (i64, String) = (row.get(0)?, row.get(1)?);
        let zone = zones.iter().find(|(known, _)| *known == id);
        let zone = zone.map_or_else(|| format!("zone {id}"), |(_, zone)| zone.name().to_owned());
        Ok(if facet.is_empty() { zone } else { format!("{zone} by {facet}") })
    })?;
    rows.collect()
}

/// Where sums are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Kept,
    /// A table of this connection alone. Texts that the kept one does not know get no number.
    Check,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Kept => "main.day",
            Table::Check => "temp.day_check",
        }
    }
}

/// Adds the settled calls that fit a condition to the sums of zones.
fn fill(db: &Connection, zones: &[(i64, Zone)], table: Table, condition: &str) -> Result<()> {
    let mut adding = Adding::of(db, zones, table)?;
    let mut find = db.prepare(&scan::sql(db, &TEXTS, &format!("{condition} ORDER BY c.seq"))?)?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        adding.add(row)?;
        if adding.spots.len() >= SPOTS_MAX {
            write(db, table, &adding.spots)?;
            adding.spots.clear();
        }
    }
    write(db, table, &adding.spots)
}

/// Adds to the rows of a table, in its order. A row without any call is removed.
fn write(db: &Connection, table: Table, spots: &Quick<Spot, Sums>) -> Result<()> {
    let mut sorted: Vec<(&Spot, &Sums)> = spots.iter().collect();
    sorted.sort_unstable_by_key(|(spot, _)| **spot);
    // What is too large for a sum stays at the largest: an overflow would become a float, which the table does not take.
    let mut add = db.prepare_cached(&format!(
        "INSERT INTO {} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT DO UPDATE SET calls = calls + ?6, failed = failed + ?7, unpriced = unpriced + ?8,
            picos = CAST(picos + ?9 AS INTEGER), at_most_picos = CAST(at_most_picos + ?10 AS INTEGER),
            input = CAST(input + ?11 AS INTEGER), cache_read = CAST(cache_read + ?12 AS INTEGER),
            cache_write = CAST(cache_write + ?13 AS INTEGER), output = CAST(output + ?14 AS INTEGER),
            reasoning = CAST(reasoning + ?15 AS INTEGER)",
        table.name()
    ))?;
    for (spot, sums) in sorted {
        let Spot { zone, facet, day, value, place } = spot;
        add.execute(params![
            zone,
            facet,
            day,
            value,
            place,
            sums.calls,
            sums.failed,
            sums.unpriced,
            sums.picos,
            sums.at_most,
            sums.input,
            sums.cache_read,
            sums.cache_write,
            sums.output,
            sums.reasoning
        ])?;
        if sums.calls < 0 {
            let sql = "DELETE FROM day WHERE zone = ?1 AND facet = ?2 AND day = ?3 AND value = ?4 AND place = ?5 AND calls = 0";
            db.prepare_cached(sql)?.execute([zone, facet, day, value, place])?;
        }
    }
    Ok(())
}

/// The texts of a call that say where it counts, in the order in which [`Adding::add`] reads them.
const TEXTS: [&str; 9] =
    ["c.provider", "c.model", "c.region", "c.command", "c.project", "c.user", "c.team", "c.source", "c.tags"];

/// The facets that are no tags, in the order of their texts. Of the sources only those of imported calls have sums.
const NAMED: [&str; 5] = ["command", "project", "user", "team", "source"];

/// Sums that grow.
struct Adding<'db> {
    calendars: Vec<(i64, Calendar)>,
    numbers: Numbers<'db>,
    lines: Lines<'db>,
    /// Those of [`NAMED`].
    named: [i64; 5],
    tags: HashMap<String, Vec<(i64, i64)>>,
    /// Facets and values of the call that is added.
    facets: Vec<(i64, i64)>,
    spots: Quick<Spot, Sums>,
}

impl<'db> Adding<'db> {
    fn of(db: &'db Connection, zones: &[(i64, Zone)], table: Table) -> Result<Adding<'db>> {
        let mut numbers = Numbers::of(db, table == Table::Kept)?;
        let mut named = [0; 5];
        for (number, facet) in named.iter_mut().zip(NAMED) {
            *number = numbers.text(facet)?;
        }
        Ok(Adding {
            calendars: zones.iter().map(|(id, zone)| (*id, Calendar::of(zone))).collect(),
            numbers,
            lines: Lines::of(db)?,
            named,
            tags: HashMap::new(),
            facets: Vec::new(),
            spots: Quick::default(),
        })
    }

    /// Adds a call, if it is settled: once under the empty facet, and once in each other that it has a value of.
    fn add(&mut self, row: &Row<'_>) -> Result<()> {
        let call = Call::of(row)?;
        if call.open {
            return Ok(());
        }
        let counts = self.lines.read(&call)?;
        let sums = call.sums(&counts);
        let mut place = [0, 0, 0, self.numbers.text(Call::basis(row)?)?, call.price];
        for (at, text) in place.iter_mut().take(3).enumerate() {
            *text = self.numbers.text(scan::text(row, at)?)?;
        }
        let place = self.numbers.place(place)?;
        self.facets.clear();
        self.facets.push((0, 0));
        for (at, facet) in self.named.into_iter().enumerate() {
            let value = self.numbers.text(scan::text(row, 3 + at)?)?;
            if value != 0 {
                self.facets.push((facet, value));
            }
        }
        self.add_tags(scan::text(row, 8)?)?;
        for (zone, calendar) in &mut self.calendars {
            let day = calendar.day(call.opened_ms);
            for (facet, value) in &self.facets {
                let spot = Spot { zone: *zone, facet: *facet, day, value: *value, place };
                let sum = self.spots.entry(spot).or_default();
                *sum = sum.plus(sums);
            }
        }
        Ok(())
    }

    fn add_tags(&mut self, json: &str) -> Result<()> {
        if json == "{}" {
            return Ok(());
        }
        if let Some(known) = self.tags.get(json) {
            self.facets.extend(known);
            return Ok(());
        }
        let before = self.facets.len();
        for (key, value) in scan::tags(json) {
            if !value.is_empty() {
                let facet = (self.numbers.text(&format!("tag:{key}"))?, self.numbers.text(&value)?);
                self.facets.push(facet);
            }
        }
        if self.tags.len() >= TEXTS_MAX {
            self.tags.clear();
        }
        self.tags.insert(json.to_owned(), self.facets.get(before..).unwrap_or_default().to_vec());
        Ok(())
    }
}

/// The numbers of a zone's days. Calls come in the order of time for the most part, so that the last day is the next one's as a rule.
pub(super) struct Calendar {
    zone: Zone,
    last: Option<(std::ops::Range<i64>, i64)>,
}

impl Calendar {
    pub(super) fn of(zone: &Zone) -> Calendar {
        Calendar { zone: zone.clone(), last: None }
    }

    /// Days beyond the calendar count together.
    pub(super) fn day(&mut self, at_ms: i64) -> i64 {
        if let Some((span, day)) = &self.last
            && span.contains(&at_ms)
        {
            return *day;
        }
        let Some(date) = self.zone.date(at_ms) else {
            return i64::MAX;
        };
        let day = number(date);
        let ends = self.zone.beginning(date).zip(date.tomorrow().ok().and_then(|next| self.zone.beginning(next)));
        self.last = ends.map(|(from_ms, to_ms)| (from_ms..to_ms, day));
        day
    }
}

/// The numbers of texts and of places.
struct Numbers<'db> {
    find_text: CachedStatement<'db>,
    find_place: CachedStatement<'db>,
    add_text: CachedStatement<'db>,
    add_place: CachedStatement<'db>,
    texts: HashMap<String, i64>,
    /// Provider, model, region, basis and price.
    places: Quick<[i64; 5], i64>,
    adding: bool,
}

/// What is not to be numbered.
const UNKNOWN: i64 = -1;

impl<'db> Numbers<'db> {
    fn of(db: &'db Connection, adding: bool) -> Result<Numbers<'db>> {
        Ok(Numbers {
            find_text: db.prepare_cached("SELECT id FROM day_text WHERE text = ?1")?,
            find_place: db.prepare_cached(
                "SELECT id FROM day_place
                 WHERE provider = ?1 AND model = ?2 AND region = ?3 AND cost_basis = ?4 AND price = ?5",
            )?,
            add_text: db.prepare_cached("INSERT INTO day_text (text) VALUES (?1) RETURNING id")?,
            add_place: db.prepare_cached(
                "INSERT INTO day_place (provider, model, region, cost_basis, price) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
            )?,
            texts: HashMap::new(),
            places: Quick::default(),
            adding,
        })
    }

    fn text(&mut self, text: &str) -> Result<i64> {
        if text.is_empty() {
            return Ok(0);
        }
        if let Some(id) = self.texts.get(text) {
            return Ok(*id);
        }
        let id = match self.find_text.query_row([text], |row| row.get(0)).optional()? {
            Some(id) => id,
            None if self.adding => self.add_text.query_row([text], |row| row.get(0))?,
            None => UNKNOWN,
        };
        if self.texts.len() >= TEXTS_MAX {
            self.texts.clear();
        }
        self.texts.insert(text.to_owned(), id);
        Ok(id)
    }

    fn place(&mut self, place: [i64; 5]) -> Result<i64> {
        if let Some(id) = self.places.get(&place) {
            return Ok(*id);
        }
        let id = match self.find_place.query_row(place, |row| row.get(0)).optional()? {
            Some(id) => id,
            None if self.adding => self.add_place.query_row(place, |row| row.get(0))?,
            None => UNKNOWN,
        };
        if self.places.len() >= TEXTS_MAX {
            self.places.clear();
        }
        self.places.insert(place, id);
        Ok(id)
    }
}

/// What the calls of a sum have in common beside zone, day, facet and value.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) region: String,
    pub(super) basis: String,
    pub(super) certainty: Certainty,
    /// 0: none.
    pub(super) price: i64,
}

/// Every place by its number.
pub(super) fn places(db: &Connection) -> Result<Quick<i64, Place>> {
    let mut find = db.prepare_cached(
        "SELECT p.id, a.text, b.text, c.text, d.text, p.price FROM day_place p
         LEFT JOIN day_text a ON a.id = p.provider LEFT JOIN day_text b ON b.id = p.model
         LEFT JOIN day_text c ON c.id = p.region LEFT JOIN day_text d ON d.id = p.cost_basis",
    )?;
    let rows = find.query_map([], |row| {
        let text = |at: usize| -> Result<String> { Ok(row.get::<_, Option<String>>(at)?.unwrap_or_default()) };
        let basis = text(4)?;
        let certainty = Certainty::of(&basis);
        let (provider, model, region) = (text(1)?, text(2)?, text(3)?);
        Ok((row.get(0)?, Place { provider, model, region, basis, certainty, price: row.get(5)? }))
    })?;
    rows.collect()
}

/// The number of a text, if a sum has it, and the text of a number.
pub(super) fn text_number(db: &Connection, text: &str) -> Result<Option<i64>> {
    if text.is_empty() {
        return Ok(Some(0));
    }
    db.prepare_cached("SELECT id FROM day_text WHERE text = ?1")?.query_row([text], |row| row.get(0)).optional()
}

pub(super) fn text_of(db: &Connection, number: i64) -> Result<String> {
    let text = db.prepare_cached("SELECT text FROM day_text WHERE id = ?1")?.query_row([number], |row| row.get(0));
    Ok(text.optional()?.unwrap_or_default())
}

/// One row of the sums of a facet: the day, the number of the value, that of the place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) day: i64,
    pub(super) value: i64,
    pub(super) place: i64,
    pub(super) sums: Sums,
}

/// Shows the sums of a facet in a period, day by day. False where one of them is at the largest number: the calls come to
/// more, and the sums to nothing that can be added up.
pub(super) fn each(
    db: &Connection,
    zone: i64,
    facet: i64,
    period: &Period,
    mut see: impl FnMut(Kept) -> Result<()>,
) -> Result<bool> {
    let mut find = db.prepare_cached(
        "SELECT day, value, place, calls, failed, unpriced, picos, at_most_picos, input, cache_read, cache_write, output,
            reasoning
         FROM day WHERE zone = ?1 AND facet = ?2 AND day >= ?3 AND day < ?4",
    )?;
    let mut rows = find.query([zone, facet, number(period.first), number(period.after)])?;
    while let Some(row) = rows.next()? {
        let kept = Kept {
            day: row.get(0)?,
            value: row.get(1)?,
            place: row.get(2)?,
            sums: Sums {
                calls: row.get(3)?,
                failed: row.get(4)?,
                unpriced: row.get(5)?,
                picos: row.get(6)?,
                at_most: row.get(7)?,
                input: row.get(8)?,
                cache_read: row.get(9)?,
                cache_write: row.get(10)?,
                output: row.get(11)?,
                reasoning: row.get(12)?,
            },
        };
        if kept.sums.is_beyond() {
            return Ok(false);
        }
        see(kept)?;
    }
    Ok(true)
}
