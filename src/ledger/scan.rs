//! Calls one after another, as sums are made of them: what each is booked at, and what its lines counted.

use std::collections::BTreeMap;

use rusqlite::{CachedStatement, Connection, Result, Row};

use crate::domain::spend::Tally;

/// A call and what it is booked at: its last correction, else its settlement, else nothing yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) seq: i64,
    pub(super) opened_ms: i64,
    requests: i64,
    ceiling: Option<i64>,
    pub(super) open: bool,
    certainty: Certainty,
    pub(super) total: Option<i64>,
    at_most: Option<i64>,
    failed: bool,
    pub(super) reasoning: Option<i64>,
    /// 0: none.
    pub(super) price: i64,
    pub(super) first_token_ms: Option<i64>,
    pub(super) finished_ms: Option<i64>,
}

/// What a basis says of the amounts that have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    Certain,
    Uncertain,
    Nothing,
    Simulated,
}

impl Certainty {
    pub(super) fn of(basis: &str) -> Certainty {
        match basis {
            "nothing" => Certainty::Nothing,
            "simulated" => Certainty::Simulated,
            "estimated" | "ceiling" => Certainty::Uncertain,
            _ => Certainty::Certain,
        }
    }
}

/// The columns before those texts that are asked for.
const NUMBERS: &str = "c.seq, c.opened_ms, c.requests, c.ceiling_picos, s.call IS NULL,
    coalesce(k.cost_basis, s.cost_basis, ''), iif(k.call IS NULL, s.total_picos, k.total_picos),
    iif(k.call IS NULL, coalesce(s.at_most_picos, s.total_picos), k.total_picos), s.error_class IS NOT NULL, s.reasoning,
    coalesce(s.price, 0), s.first_token_ms, s.finished_ms";

/// Where the first text stands.
const TEXTS_FROM: usize = 13;

/// The calls that fit a condition, with texts of theirs: a condition and texts are of `c` (call), `s` (settlement) and `k`
/// (its last correction).
pub(super) fn sql(db: &Connection, texts: &[&str], condition: &str) -> Result<String> {
    let texts: String = texts.iter().map(|text| format!(", {text}")).collect();
    // Most books have no correction, and looking for one takes as long as finding a settlement.
    let last = match db.prepare_cached("SELECT 1 FROM correction")?.exists([])? {
        true => "k.call = s.call AND k.n = (SELECT max(n) FROM correction l WHERE l.call = s.call)",
        false => "false",
    };
    Ok(format!(
        "SELECT {NUMBERS}{texts} FROM call c LEFT JOIN settlement s ON s.call = c.seq LEFT JOIN correction k ON {last}
         WHERE {condition}"
    ))
}

/// The tags of a call, from its column.
pub(super) fn tags(json: &str) -> BTreeMap<String, String> {
    serde_json::from_str(json).unwrap_or_default()
}

/// The text that was asked for at this place; empty: none.
pub(super) fn text<'r>(row: &'r Row<'_>, place: usize) -> Result<&'r str> {
    Ok(row.get_ref(TEXTS_FROM + place)?.as_str_or_null()?.unwrap_or_default())
}

impl Call {
    pub(super) fn of(row: &Row<'_>) -> Result<Call> {
        Ok(Call {
            seq: row.get(0)?,
            opened_ms: row.get(1)?,
            requests: row.get(2)?,
            ceiling: row.get(3)?,
            open: row.get(4)?,
            certainty: Certainty::of(row.get_ref(5)?.as_str()?),
            total: row.get(6)?,
            at_most: row.get(7)?,
            failed: row.get(8)?,
            reasoning: row.get(9)?,
            price: row.get(10)?,
            first_token_ms: row.get(11)?,
            finished_ms: row.get(12)?,
        })
    }

    /// What a settled call adds to the sums.
    pub(super) fn sums(&self, counts: &Counts) -> Sums {
        Sums {
            calls: self.requests,
            failed: if self.failed { self.requests } else { 0 },
            unpriced: if self.total.is_none() { self.requests } else { 0 },
            picos: self.total.unwrap_or_default(),
            at_most: self.at_most.unwrap_or_default(),
            input: counts.input.unwrap_or_default(),
            cache_read: counts.cache_read.unwrap_or_default(),
            cache_write: counts.cache_write.unwrap_or_default(),
            output: counts.output.unwrap_or_default(),
            reasoning: self.reasoning.unwrap_or_default(),
        }
    }

    /// What it adds to a report.
    pub(super) fn tally(&self, counts: &Counts) -> Tally {
        if self.open {
            let held = self.ceiling.unwrap_or_default().into();
            return Tally { open: 1, open_unknown: u64::from(self.ceiling.is_none()), held, ..Tally::default() };
        }
        self.sums(counts).tally(self.certainty)
    }

    /// The basis of what the row's call is booked at; empty of an open one.
    pub(super) fn basis<'r>(row: &'r Row<'_>) -> Result<&'r str> {
        row.get_ref(5)?.as_str().map_err(Into::into)
    }
}

/// What settled calls add up to. A sum that is too large stays at the largest number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) calls: i64,
    pub(super) failed: i64,
    pub(super) unpriced: i64,
    pub(super) picos: i64,
    pub(super) at_most: i64,
    pub(super) input: i64,
    pub(super) cache_read: i64,
    pub(super) cache_write: i64,
    pub(super) output: i64,
    pub(super) reasoning: i64,
}

impl Sums {
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

    /// One of them is too large to be a sum.
    pub(super) fn is_beyond(self) -> bool {
        let Sums { picos, at_most, input, cache_read, cache_write, output, reasoning, .. } = self;
        [picos, at_most, input, cache_read, cache_write, output, reasoning].contains(&i64::MAX)
    }

    /// The same as a report has it, where the amounts are so certain.
    pub(super) fn tally(self, certainty: Certainty) -> Tally {
        let of = |wanted: bool, number: i64| if wanted { natural(number) } else { 0 };
        let simulated = certainty == Certainty::Simulated;
        Tally {
            calls: natural(self.calls),
            failed: natural(self.failed),
            failed_free: of(certainty == Certainty::Nothing, self.failed),
            unpriced: natural(self.unpriced),
            uncertain: of(certainty == Certainty::Uncertain, self.calls),
            simulated: of(simulated, self.calls),
            picos: self.picos.into(),
            at_most: self.at_most.into(),
            simulated_picos: if simulated { self.picos.into() } else { 0 },
            input: natural(self.input),
            cache_read: natural(self.cache_read),
            cache_write: natural(self.cache_write),
            output: natural(self.output),
            reasoning: natural(self.reasoning),
            ..Tally::default()
        }
    }
}

pub(super) fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Tokens of a call. `None`: no line counts them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) input: Option<i64>,
    pub(super) cache_read: Option<i64>,
    pub(super) cache_write: Option<i64>,
    pub(super) output: Option<i64>,
}

/// A line of a bill.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Its place in [`Lines::meters`].
    pub(super) meter: usize,
    pub(super) quantity: i64,
    pub(super) picos: Option<i64>,
}

/// Reads the lines of one call after another.
pub(super) struct Lines<'db> {
    find: CachedStatement<'db>,
    /// Every meter that was met.
    pub(super) meters: Vec<String>,
    found: Vec<Line>,
}

impl<'db> Lines<'db> {
    pub(super) fn of(db: &'db Connection) -> Result<Lines<'db>> {
        let find = db.prepare_cached("SELECT meter, quantity, picos FROM line WHERE call = ?1 ORDER BY n")?;
        Ok(Lines { find, meters: Vec::new(), found: Vec::new() })
    }

    /// What the lines of a call count; [`Lines::found`] has them then.
    pub(super) fn read(&mut self, call: &Call) -> Result<Counts> {
        let mut counts = Counts::default();
        self.found.clear();
        if call.open {
            return Ok(counts);
        }
        let mut rows = self.find.query([call.seq])?;
        while let Some(row) = rows.next()? {
            let (name, quantity) = (row.get_ref(0)?.as_str()?, row.get(1)?);
            let sum = match name {
                "input" | "input_audio" | "input_image" => Some(&mut counts.input),
                "cache_read" | "cache_read_audio" => Some(&mut counts.cache_read),
                "cache_write" | "cache_write_1h" => Some(&mut counts.cache_write),
                "output" | "output_audio" | "output_image" | "reasoning" => Some(&mut counts.output),
                _ => None,
            };
            if let Some(sum) = sum {
                *sum = Some(sum.unwrap_or_default().saturating_add(quantity));
            }
            let meter = self.meters.iter().position(|meter| meter == name).unwrap_or_else(|| {
                self.meters.push(name.to_owned());
                self.meters.len() - 1
            });
            self.found.push(Line { meter, quantity, picos: row.get(2)? });
        }
        Ok(counts)
    }

    pub(super) fn found(&self) -> &[Line] {
        &self.found
    }
}
