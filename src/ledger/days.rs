//! Sums by day, kept for the zones in which reports were asked for: a year is added up from its days, not from its calls.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension as _, Result, Row, named_params, params};

use super::books;
use crate::domain::spend::Tally;
use crate::domain::spend::period::{Period, number};
use crate::domain::window::Zone;

/// So many zones are kept; another takes the place of the one that was met first.
const ZONES_MAX: usize = 4;

/// One settled call: where it counts, and what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fact {
    opened_ms: i64,
    place: Place,
    /// What it has of each facet beside ''.
    facets: Vec<(String, String)>,
    sums: Sums,
}

/// What the calls of a row have in common, beside zone, facet, value and day. An empty text stands for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) region: String,
    pub(super) basis: String,
    /// 0: none.
    pub(super) price: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    calls: i64,
    failed: i64,
    unpriced: i64,
    picos: i64,
    at_most: i64,
    input: i64,
    cache_read: i64,
    cache_write: i64,
    output: i64,
    reasoning: i64,
}

/// A row of the table: the facet's value, the day, and what they have in common.
pub(super) type Spot = (String, i64, Place);

impl Sums {
    fn of(row: &Row<'_>) -> Result<Sums> {
        Ok(Sums {
            calls: row.get("calls")?,
            failed: row.get("failed")?,
            unpriced: row.get("unpriced")?,
            picos: row.get("picos")?,
            at_most: row.get("at_most_picos")?,
            input: row.get("input")?,
            cache_read: row.get("cache_read")?,
            cache_write: row.get("cache_write")?,
            output: row.get("output")?,
            reasoning: row.get("reasoning")?,
        })
    }

    fn with(self, other: Sums, both: impl Fn(i64, i64) -> i64) -> Sums {
        Sums {
            calls: both(self.calls, other.calls),
            failed: both(self.failed, other.failed),
            unpriced: both(self.unpriced, other.unpriced),
            picos: both(self.picos, other.picos),
            at_most: both(self.at_most, other.at_most),
            input: both(self.input, other.input),
            cache_read: both(self.cache_read, other.cache_read),
            cache_write: both(self.cache_write, other.cache_write),
            output: both(self.output, other.output),
            reasoning: both(self.reasoning, other.reasoning),
        }
    }

    pub(super) fn plus(self, other: Sums) -> Sums {
        self.with(other, i64::saturating_add)
    }

    pub(super) fn minus(self, other: Sums) -> Sums {
        self.with(other, i64::saturating_sub)
    }

    pub(super) fn is_none(self) -> bool {
        self.calls == 0
    }

    /// The same as a report has it.
    pub(super) fn tally(self, basis: &str) -> Tally {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let of = |wanted: bool, number: i64| if wanted { count(number) } else { 0 };
        let simulated = basis == "simulated";
        Tally {
            calls: count(self.calls),
            failed: count(self.failed),
            failed_free: of(basis == "nothing", self.failed),
            unpriced: count(self.unpriced),
            uncertain: of(matches!(basis, "estimated" | "ceiling"), self.calls),
            simulated: of(simulated, self.calls),
            picos: self.picos.into(),
            at_most: self.at_most.into(),
            simulated_picos: if simulated { self.picos.into() } else { 0 },
            input: count(self.input),
            cache_read: count(self.cache_read),
            cache_write: count(self.cache_write),
            output: count(self.output),
            reasoning: count(self.reasoning),
            ..Tally::default()
        }
    }
}

/// What the sources say of settled calls.
macro_rules! facts {
    () => {
        concat!(
            "SELECT c.opened_ms, c.provider, c.model, coalesce(c.region, '') AS region, c.project, c.user, c.team,
                c.command, c.tags, b.cost_basis, b.price, c.requests AS calls, iif(b.failed, c.requests, 0) AS failed,
                iif(b.total_picos IS NULL, c.requests, 0) AS unpriced, coalesce(b.total_picos, 0) AS picos,
                coalesce(b.at_most_picos, 0) AS at_most_picos,
                (SELECT coalesce(sum(quantity), 0) FROM line l
                 WHERE l.call = b.call AND meter IN ('input', 'input_audio', 'input_image')) AS input,
                (SELECT coalesce(sum(quantity), 0) FROM line l
                 WHERE l.call = b.call AND meter IN ('cache_read', 'cache_read_audio')) AS cache_read,
                (SELECT coalesce(sum(quantity), 0) FROM line l
                 WHERE l.call = b.call AND meter IN ('cache_write', 'cache_write_1h')) AS cache_write,
                (SELECT coalesce(sum(quantity), 0) FROM line l
                 WHERE l.call = b.call AND meter IN ('output', 'output_audio', 'output_image', 'reasoning')) AS output,
                b.reasoning
             FROM (",
            books::booked!(),
            ") b JOIN call c ON c.seq = b.call"
        )
    };
}

fn fact(row: &Row<'_>) -> Result<Fact> {
    let place = Place {
        provider: row.get("provider")?,
        model: row.get("model")?,
        region: row.get("region")?,
        basis: row.get("cost_basis")?,
        price: row.get("price")?,
    };
    let mut facets = vec![("command".to_owned(), row.get("command")?)];
    for facet in ["project", "user", "team"] {
        facets.extend(row.get::<_, Option<String>>(facet)?.map(|value| (facet.to_owned(), value)));
    }
    let tags: String = row.get("tags")?;
    if tags != "{}" {
        let tags: BTreeMap<String, String> = serde_json::from_str(&tags).unwrap_or_default();
        facets.extend(tags.into_iter().map(|(key, value)| (format!("tag:{key}"), value)));
    }
    facets.retain(|(_, value)| !value.is_empty());
    Ok(Fact { opened_ms: row.get("opened_ms")?, place, facets, sums: Sums::of(row)? })
}

/// What the sources say of a settled call; `None` where nobody will ask for it by day.
pub(super) fn fact_of(db: &Connection, seq: i64) -> Result<Option<Fact>> {
    if !db.prepare_cached("SELECT 1 FROM zone")?.exists([])? {
        return Ok(None);
    }
    db.prepare_cached(concat!(facts!(), " WHERE b.call = ?1"))?.query_row([seq], fact).optional()
}

/// Follows the sources after they changed for a call that was booked as `before`.
pub(super) fn restate(db: &Connection, seq: i64, before: Option<&Fact>) -> Result<()> {
    let Some(now) = fact_of(db, seq)? else {
        return Ok(());
    };
    for (id, zone) in zones(db)? {
        if let Some(before) = before {
            for (facet, (value, day, place)) in spots(before, &zone) {
                take_out(db, id, facet, value, day, place, before.sums)?;
            }
        }
        for (facet, (value, day, place)) in spots(&now, &zone) {
            add(db, id, facet, value, day, place, now.sums)?;
        }
    }
    Ok(())
}

/// Where a call counts: its facets, and its place in each.
fn spots<'a>(fact: &'a Fact, zone: &Zone) -> Vec<(&'a str, (&'a str, i64, &'a Place))> {
    let day = day_of(zone, fact.opened_ms);
    let facets = fact.facets.iter().map(|(facet, value)| (facet.as_str(), (value.as_str(), day, &fact.place)));
    std::iter::once(("", ("", day, &fact.place))).chain(facets).collect()
}

/// Days beyond the calendar count together.
fn day_of(zone: &Zone, at_ms: i64) -> i64 {
    zone.date(at_ms).map_or(i64::MAX, number)
}

fn add(db: &Connection, zone: i64, facet: &str, value: &str, day: i64, place: &Place, sums: Sums) -> Result<()> {
    // What is too large for a sum stays at the largest: an overflow would become a float, which the table does not take.
    db.prepare_cached(
        "INSERT INTO day VALUES (:zone, :facet, :day, :value, :provider, :model, :region, :basis, :price, :calls, :failed,
            :unpriced, :picos, :at_most, :input, :cache_read, :cache_write, :output, :reasoning)
         ON CONFLICT DO UPDATE SET calls = calls + :calls, failed = failed + :failed, unpriced = unpriced + :unpriced,
            picos = CAST(picos + :picos AS INTEGER), at_most_picos = CAST(at_most_picos + :at_most AS INTEGER),
            input = CAST(input + :input AS INTEGER), cache_read = CAST(cache_read + :cache_read AS INTEGER),
            cache_write = CAST(cache_write + :cache_write AS INTEGER), output = CAST(output + :output AS INTEGER),
            reasoning = CAST(reasoning + :reasoning AS INTEGER)",
    )?
    .execute(named_params! {
        ":zone": zone, ":facet": facet, ":day": day, ":value": value, ":provider": place.provider,
        ":model": place.model, ":region": place.region, ":basis": place.basis, ":price": place.price,
        ":calls": sums.calls, ":failed": sums.failed, ":unpriced": sums.unpriced, ":picos": sums.picos,
        ":at_most": sums.at_most, ":input": sums.input, ":cache_read": sums.cache_read,
        ":cache_write": sums.cache_write, ":output": sums.output, ":reasoning": sums.reasoning,
    })
    .map(|_| ())
}

fn take_out(db: &Connection, zone: i64, facet: &str, value: &str, day: i64, place: &Place, sums: Sums) -> Result<()> {
    add(db, zone, facet, value, day, place, Sums::default().minus(sums))?;
    db.prepare_cached(
        "DELETE FROM day WHERE zone = ?1 AND facet = ?2 AND day = ?3 AND value = ?4 AND provider = ?5 AND model = ?6
            AND region = ?7 AND cost_basis = ?8 AND price = ?9 AND calls = 0",
    )?
    .execute(params![zone, facet, day, value, place.provider, place.model, place.region, place.basis, place.price])
    .map(|_| ())
}

/// The zones that are kept. One that the time zone database no longer has is left as it is.
fn zones(db: &Connection) -> Result<Vec<(i64, Zone)>> {
    let mut find = db.prepare_cached("SELECT id, name FROM zone ORDER BY id")?;
    let rows = find.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let rows = rows.collect::<Result<Vec<(i64, String)>>>()?;
    Ok(rows.into_iter().filter_map(|(id, name)| Some((id, Zone::named(&name)?))).collect())
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
    let before = zones(db)?;
    for (id, _) in before.iter().take((before.len() + 1).saturating_sub(ZONES_MAX)) {
        db.execute("DELETE FROM day WHERE zone = ?1", [id])?;
        db.execute("DELETE FROM zone WHERE id = ?1", [id])?;
    }
    db.execute("INSERT INTO zone (id, name) SELECT coalesce(max(id), 0) + 1, ?1 FROM zone", [zone.name()])?;
    kept(db, zone)?.map_or(Ok(()), |id| fill(db, id, zone))
}

/// Makes the sums of every zone anew from the sources.
pub(super) fn derive(db: &Connection) -> Result<()> {
    db.execute("DELETE FROM day", [])?;
    zones(db)?.into_iter().try_for_each(|(id, zone)| fill(db, id, &zone))
}

fn fill(db: &Connection, id: i64, zone: &Zone) -> Result<()> {
    for (facet, rows) in derived(db, zone)? {
        for ((value, day, place), sums) in &rows {
            add(db, id, &facet, value, *day, place, *sums)?;
        }
    }
    Ok(())
}

/// The rows of every facet as the sources have them, in the order of the table.
type Derived = BTreeMap<String, BTreeMap<Spot, Sums>>;

fn derived(db: &Connection, zone: &Zone) -> Result<Derived> {
    let mut found: HashMap<(String, Spot), Sums> = HashMap::new();
    let mut find = db.prepare(facts!())?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        let fact = fact(row)?;
        for (facet, (value, day, place)) in spots(&fact, zone) {
            let sums = found.entry((facet.to_owned(), (value.to_owned(), day, place.clone()))).or_default();
            *sums = sums.plus(fact.sums);
        }
    }
    let mut derived = Derived::new();
    for ((facet, spot), sums) in found {
        derived.entry(facet).or_default().insert(spot, sums);
    }
    Ok(derived)
}

/// The zones and facets whose sums are not those of the sources.
pub(super) fn differing(db: &Connection) -> Result<Vec<String>> {
    let mut differing = Vec::new();
    for (id, zone) in zones(db)? {
        let mut derived = derived(db, &zone)?;
        let mut find = db.prepare("SELECT DISTINCT facet FROM day WHERE zone = ?1")?;
        let facets: Vec<String> = find.query_map([id], |row| row.get(0))?.collect::<Result<_>>()?;
        let say = |facet: &str| match facet {
            "" => zone.name().to_owned(),
            facet => format!("{} by {facet}", zone.name()),
        };
        for facet in facets {
            if derived.remove(&facet).unwrap_or_default() != rows(db, id, &facet, i64::MIN, i64::MAX)? {
                differing.push(say(&facet));
            }
        }
        differing.extend(derived.keys().map(|facet| say(facet)));
    }
    Ok(differing)
}

/// The rows of a facet in a period.
pub(super) fn rows_of(db: &Connection, zone: i64, facet: &str, period: &Period) -> Result<BTreeMap<Spot, Sums>> {
    rows(db, zone, facet, number(period.first), number(period.after) - 1)
}

fn rows(db: &Connection, zone: i64, facet: &str, first: i64, last: i64) -> Result<BTreeMap<Spot, Sums>> {
    let mut find = db.prepare_cached("SELECT * FROM day WHERE zone = ?1 AND facet = ?2 AND day BETWEEN ?3 AND ?4")?;
    let rows = find.query_map(params![zone, facet, first, last], |row| {
        let place = Place {
            provider: row.get("provider")?,
            model: row.get("model")?,
            region: row.get("region")?,
            basis: row.get("cost_basis")?,
            price: row.get("price")?,
        };
        Ok(((row.get("value")?, row.get("day")?, place), Sums::of(row)?))
    })?;
    rows.collect()
}
