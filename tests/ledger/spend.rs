//! Reports are right: random books and random questions, answered from the sums by day, from the calls, by a plain fold over
//! the records, and by a program written apart (`spend_oracle.py`).
//!
//! `LLMX_SPEND_SEEDS=500` tries more of them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::civil::{Date, date};
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Price, Record, RecordLine, Resolution, Settlement};
use llmx::domain::spend::filter::{Clause, Filter, NumberField, Sign, TextField};
use llmx::domain::spend::period::Period;
use llmx::domain::spend::{Dimension, Key, Question, Spend, Tally};
use llmx::domain::window::Zone;
use llmx::ledger::{Ledger, LogFilter};
use serde_json::{Value, json};

use crate::child::{NOON, open, reserve};

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "America/New_York",
];

/// Instants around which days are odd: ends of years, clocks that change, a day that Apia left out, the first of all days.
const INSTANTS: [&str; 12] = [
    "1970-01-01T00:00:00Z",
    "2011-12-30T10:00:00Z", // Apia goes from the 29th to the 31st
    "2018-02-18T02:00:00Z", // Sao Paulo: 23:00 comes twice
    "2018-11-04T03:00:00Z", // and midnight not at all
    "2024-02-29T12:00:00Z",
    "2024-03-30T22:00:00Z", // Beirut: no midnight
    "2025-12-31T23:30:00Z",
    "2026-03-29T01:00:00Z", // Berlin
    "2026-04-04T15:00:00Z", // Lord Howe: half an hour comes twice
    "2026-10-03T15:30:00Z",
    "2026-10-25T01:00:00Z",
    "2026-11-22T18:15:00Z", // midnight in Kathmandu
];

/// Names that a careless query would trip over.
const NAMES: [&str; 9] = ["", "pay", "PAY", "o'brien", "50%", "a\"b", "søk-日本", "x_y\\z", "tag:pay"];
const KEYS: [&str; 5] = ["cost-center", "a\"b", "ü k", "$.x", "[0]"];
const METERS: [&str; 13] = [
    "input",
    "input_audio",
    "input_image",
    "cache_read",
    "cache_read_audio",
    "cache_write",
    "cache_write_1h",
    "output",
    "output_audio",
    "output_image",
    "reasoning",
    "web_search",
    "search_unit",
];
const BASES: [&str; 7] = ["table", "reported", "estimated", "ceiling", "unpriced", "simulated", "nothing"];

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("53 bits") % sides.max(1)
    }

    fn of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.roll(things.len())]
    }

    fn some<'a>(&mut self, names: &[&'a str]) -> Option<&'a str> {
        (self.roll(4) > 0).then(|| *self.of(names))
    }

    fn number(&mut self, most: usize) -> i64 {
        i64::try_from(self.roll(most)).expect("small")
    }

    fn instant(&mut self) -> i64 {
        let around: jiff::Timestamp = self.of(&INSTANTS).parse().expect("an instant");
        let hours = 3_600_000 * (self.number(60) - 30);
        around.as_millisecond() + hours + *self.of(&[0, -1, 1, 900_000])
    }

    fn zone(&mut self) -> Zone {
        let name: &str = self.of::<&str>(&ZONES);
        Zone::named(name).expect("a zone")
    }
}

fn seeds(fewest: u64) -> std::ops::RangeInclusive<u64> {
    1..=std::env::var("LLMX_SPEND_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(fewest)
}

fn dice(seed: u64) -> Dice {
    Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
}

fn random_call(dice: &mut Dice, id: usize) -> NewCall {
    let text = |name: Option<&str>| name.map(str::to_owned);
    NewCall {
        id: format!("{id:05}"),
        group: text(dice.some(&["g1", "g2"])),
        command: (*dice.of(&["chat", "compare", "test-access"])).to_owned(),
        provider: (*dice.of(&["openai", "bedrock", "x"])).to_owned(),
        model: (*dice.of(&["gpt-x", "anthropic.claude-v1:0", "a/b", "50%"])).to_owned(),
        region: text(dice.some(&["us-east-1", "eu-west-1", ""])),
        credential: text(dice.some(&["OPENAI_API_KEY", "keyring"])),
        project: text(dice.some(&NAMES)),
        user: text(dice.some(&NAMES)),
        team: text(dice.some(&NAMES)),
        tags: (0..dice.roll(3)).map(|_| ((*dice.of(&KEYS)).to_owned(), (*dice.of(&NAMES)).to_owned())).collect(),
        session: text(dice.some(&["s1", "s2", "s3"])),
        parameters: json!({}),
        ceiling: (dice.roll(3) > 0).then(|| Usd::from_picos(dice.number(1_000_000))),
        route: text(dice.some(&["cheap"])),
        ..NewCall::default()
    }
}

fn random_settlement(dice: &mut Dice) -> Settlement {
    let basis = *dice.of(&BASES);
    let priced = !matches!(basis, "unpriced" | "nothing");
    let count = if basis == "nothing" { 0 } else { dice.roll(6) };
    let lines: Vec<RecordLine> = (0..count)
        .map(|_| RecordLine {
            meter: (*dice.of(&METERS)).to_owned(),
            quantity: u64::try_from(dice.number(50_000)).expect("natural"),
            per: 1_000_000,
            rate: priced.then(|| "1".to_owned()),
            amount: (priced && (basis == "table" || dice.roll(5) > 0)).then(|| Usd::from_picos(dice.number(90_000))),
            model: None,
        })
        .collect();
    let sum: i64 = lines.iter().filter_map(|line| line.amount).map(|amount| amount.picos).sum();
    let total = match basis {
        "table" => (!lines.is_empty()).then_some(sum),
        "unpriced" => None,
        "nothing" => Some(0),
        _ => Some(if dice.roll(2) == 0 { sum } else { dice.number(200_000) }),
    };
    let price = Price {
        table: "bundled".into(),
        version: (*dice.of(&["2026-11-20", "2026-11-21"])).into(),
        sha256: "00ff".into(),
        entry: (*dice.of(&["openai/gpt-x", "x/y"])).into(),
        ..Price::default()
    };
    Settlement {
        first_token_ms: (dice.roll(3) > 0).then(|| u64::try_from(dice.number(3_000)).expect("natural")),
        stopped: dice.some(&["interrupt"]).filter(|_| basis == "estimated").map(str::to_owned),
        error_class: (basis == "nothing" || dice.roll(6) == 0)
            .then(|| (*dice.of(&["rate-limit", "timeout"])).to_owned()),
        reasoning: (dice.roll(2) == 0).then(|| u64::try_from(dice.number(500)).expect("natural")),
        basis: basis.into(),
        total: total.map(Usd::from_picos),
        at_most: total.filter(|_| basis == "estimated").map(|total| Usd::from_picos(total + dice.number(100_000))),
        price: (priced && dice.roll(4) > 0).then_some(price),
        lines,
        ..Settlement::default()
    }
}

fn raw(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).expect("a connection of our own")
}

/// Rows that another tool's sums became, and a correction that leaves an amount unknown: booked past the ledger.
fn booked_by_others(dice: &mut Dice, path: &Path, id: usize) {
    let db = raw(path);
    let call = random_call(dice, id);
    let (opened_ms, settlement) = (dice.instant(), random_settlement(dice));
    let requests = 1 + dice.number(40);
    let tags = serde_json::to_string(&call.tags).expect("JSON");
    db.execute(
        "INSERT INTO call (id, opened_ms, command, provider, model, region, project, user, team, tags, parameters, host, boot,
            pid_space, pid, process_start, source, requests)
         VALUES (?1, ?2, 'import', ?3, ?4, ?5, ?6, ?7, ?8, ?9, '{}', '', '', '', 0, '', ?10, ?11)",
        rusqlite::params![
            call.id,
            opened_ms,
            call.provider,
            call.model,
            call.region,
            call.project,
            call.user,
            call.team,
            tags,
            dice.of(&["ccusage", "litellm"]),
            requests
        ],
    )
    .expect("added");
    let seq = db.last_insert_rowid();
    db.execute(
        "INSERT INTO settlement (call, finished_ms, cost_basis, total_picos, notes, error_class) VALUES (?1, ?2, 'reported',
            ?3, '[]', ?4)",
        rusqlite::params![seq, opened_ms, settlement.total.map(|total| total.picos), settlement.error_class],
    )
    .expect("added");
    for (n, line) in (1_i64..).zip(&settlement.lines) {
        db.execute(
            "INSERT INTO line (call, n, meter, quantity, per) VALUES (?1, ?2, ?3, ?4, 1)",
            rusqlite::params![seq, n, line.meter, line.quantity.cast_signed()],
        )
        .expect("added");
    }
    if dice.roll(3) == 0 {
        db.execute("INSERT INTO correction VALUES (?1, 1, 0, 'unpriced', NULL, 'nobody knows')", [seq]).expect("added");
    }
}

/// Books of so many steps, each of which leaves them agreed.
fn random_books(dice: &mut Dice, path: &Path, steps: usize) -> Ledger {
    let mut ledger = open(path);
    let mut instants: Vec<i64> = (0..steps).map(|_| dice.instant()).collect();
    instants.sort_unstable();
    for (id, now_ms) in instants.into_iter().enumerate() {
        match dice.roll(100) {
            0..75 => {
                let reservation = reserve(&mut ledger, &random_call(dice, id), now_ms).expect("reserved");
                if dice.roll(8) > 0 {
                    let end_ms = now_ms + dice.number(5_000);
                    ledger.settle(reservation, &random_settlement(dice), end_ms).expect("settled");
                }
            }
            75..85 => {
                let known = format!("{:05}", dice.roll(id.max(1)));
                let resolution = match dice.roll(3) {
                    0 => Resolution::Nothing,
                    1 => Resolution::Ceiling,
                    _ => Resolution::Amount(Usd::from_picos(dice.number(300_000))),
                };
                // Some are not there, run still, or have no ceiling.
                let _ = ledger.resolve(&known, resolution, "proof", now_ms);
            }
            85..92 => ledger.keep_days(&dice.zone()).expect("kept"),
            92..97 => {
                booked_by_others(dice, path, id);
                ledger.rebuild().expect("made anew");
            }
            _ => ledger.rebuild().expect("made anew"),
        }
        if dice.roll(steps / 5) == 0 {
            assert_eq!(ledger.check().expect("reads"), Vec::<String>::new(), "after step {id}");
        }
    }
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    ledger
}

fn random_dimension(dice: &mut Dice) -> Dimension {
    if dice.roll(5) == 0 { Dimension::Tag((*dice.of(&KEYS)).to_owned()) } else { dice.of(&Dimension::NAMED).clone() }
}

fn random_clause(dice: &mut Dice) -> Clause {
    if dice.roll(4) == 0 {
        let fields = [
            NumberField::Cost,
            NumberField::Input,
            NumberField::CacheRead,
            NumberField::CacheWrite,
            NumberField::Output,
            NumberField::Reasoning,
            NumberField::First,
            NumberField::Total,
        ];
        let signs = [Sign::Less, Sign::AtMost, Sign::Equal, Sign::Unequal, Sign::AtLeast, Sign::More];
        let value = *dice.of(&[0, 1, 250, 1_000, 20_000, 90_000]);
        return Clause::Number { field: *dice.of(&fields), sign: *dice.of(&signs), value };
    }
    let (field, values): (TextField, &[&str]) = match dice.roll(16) {
        0 => (TextField::Provider, &["openai", "x", "OPEN"]),
        1 => (TextField::Model, &["gpt-x", "openai/gpt-x", "b", "50%", "X/"]),
        2 => (TextField::Region, &["us-east-1", "", "WEST"]),
        3 => (TextField::Project, &NAMES),
        4 => (TextField::User, &NAMES),
        5 => (TextField::Team, &NAMES),
        6 => (TextField::Session, &["s1", "s", ""]),
        7 => (TextField::Command, &["chat", "import", "c"]),
        8 => (TextField::Credential, &["keyring", "key", ""]),
        9 => (TextField::Status, &["ok", "open", "rate-limit", "interrupt", "T"]),
        10 => (TextField::Source, &["llmx", "ccusage", "l"]),
        11 => (TextField::Basis, &["table", "estimated", "nothing", "", "ED"]),
        12 => (TextField::Route, &["cheap", ""]),
        13 => (TextField::Id, &["00003", "1"]),
        14 => (TextField::Group, &["g1", "", "G"]),
        _ => (TextField::Tag((*dice.of(&KEYS)).to_owned()), &NAMES),
    };
    let values = (0..=dice.roll(2)).map(|_| (*dice.of(values)).to_owned()).collect();
    Clause::Text { field, part: dice.roll(2) == 0, not: dice.roll(3) == 0, values }
}

fn random_question(dice: &mut Dice) -> Question {
    let zone = dice.zone();
    let (first, after) = *dice.of(&[
        (date(1970, 1, 1), date(2030, 1, 1)),
        (date(1969, 1, 1), date(2027, 1, 1)),
        (date(2026, 1, 1), date(2027, 1, 1)),
        (date(2025, 12, 31), date(2026, 1, 1)),
        (date(2011, 12, 30), date(2011, 12, 31)),
        (date(2011, 12, 29), date(2012, 1, 1)),
        (date(2018, 2, 17), date(2018, 2, 18)),
        (date(2024, 3, 31), date(2024, 4, 1)),
        (date(2026, 3, 29), date(2026, 10, 26)),
    ]);
    Question {
        period: Period::of(first, after, &zone).expect("days"),
        by: (0..*dice.of(&[0, 1, 1, 1, 2, 2, 2, 3])).map(|_| random_dimension(dice)).collect(),
        filter: Filter { clauses: (0..*dice.of(&[0, 0, 1, 1, 2, 3])).map(|_| random_clause(dice)).collect() },
    }
}

/// The same books without any sum by day.
fn without_days(ledger: &Ledger, to: &Path) -> Ledger {
    ledger.backup(to).expect("copied");
    let db = raw(to);
    db.execute_batch("DELETE FROM day; DELETE FROM day_waiting; DELETE FROM zone;").expect("removed");
    drop(db);
    open(to)
}

/// Every record as the books hold it, and the prices in the order in which they were met.
struct Naive {
    records: Vec<Record>,
    prices: Vec<Price>,
}

/// The sums of each group, and the price that was last met.
type Groups = BTreeMap<Vec<Key>, (Tally, Option<Price>)>;

impl Naive {
    fn of(ledger: &Ledger, path: &Path) -> Naive {
        let records = ledger.logs(&LogFilter { limit: u32::MAX, ..LogFilter::default() }).expect("reads");
        let db = raw(path);
        let mut find = db.prepare("SELECT price_table, version, sha256, entry FROM price ORDER BY id").expect("reads");
        let prices = find.query_map([], |row| {
            let [table, version, sha256, entry] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            Ok(Price { table, version, sha256, entry, row_from: None, checked: None })
        });
        let prices = prices.expect("reads").collect::<Result<_, _>>().expect("rows");
        Naive { records, prices }
    }

    fn spend(&self, question: &Question) -> (Groups, Tally) {
        let (mut groups, mut total) = (BTreeMap::<Vec<Key>, (Tally, Option<usize>)>::new(), Tally::default());
        for record in self.records.iter().filter(|record| asked(question, record)) {
            let whole = tally(record);
            total = total.plus(whole);
            let price = record.settled.as_ref().and_then(|settled| settled.settlement.price.as_ref());
            let price = price.and_then(|price| self.prices.iter().position(|known| known == price));
            for (meter, tally) in parts(question, record, whole) {
                let keys = question.by.iter().map(|dimension| key(question, dimension, record, &meter)).collect();
                let (sums, last) = groups.entry(keys).or_default();
                (*sums, *last) = (sums.plus(tally), price.max(*last));
            }
        }
        let priced = |(keys, (tally, price)): (Vec<Key>, (Tally, Option<usize>))| {
            (keys, (tally, price.map(|place| self.prices[place].clone())))
        };
        (groups.into_iter().map(priced).collect(), total)
    }
}

fn civil(question: &Question, at_ms: i64) -> jiff::Zoned {
    let zone = jiff::tz::TimeZone::get(question.period.zone.name()).expect("a zone");
    jiff::Timestamp::from_millisecond(at_ms).expect("an instant").to_zoned(zone)
}

fn basis(record: &Record) -> &str {
    let settled = record.settled.as_ref().map_or("", |settled| &settled.settlement.basis);
    record.corrections.last().map_or(settled, |correction| &correction.basis)
}

fn counted(record: &Record, meters: &[&str]) -> Option<u64> {
    let lines = &record.settled.as_ref()?.settlement.lines;
    let lines: Vec<_> = lines.iter().filter(|line| meters.contains(&line.meter.as_str())).collect();
    (!lines.is_empty()).then(|| lines.iter().map(|line| line.quantity).sum())
}

const INPUT: [&str; 3] = ["input", "input_audio", "input_image"];
const CACHE_READ: [&str; 2] = ["cache_read", "cache_read_audio"];
const CACHE_WRITE: [&str; 2] = ["cache_write", "cache_write_1h"];
const OUTPUT: [&str; 4] = ["output", "output_audio", "output_image", "reasoning"];

fn tally(record: &Record) -> Tally {
    let Some(settled) = &record.settled else {
        let held = record.call.ceiling.map_or(0, |ceiling| ceiling.picos.into());
        return Tally { open: 1, open_unknown: u64::from(record.call.ceiling.is_none()), held, ..Tally::default() };
    };
    let (end, basis, requests) = (&settled.settlement, basis(record), record.requests);
    let of = |yes: bool| if yes { requests } else { 0 };
    let picos = record.total().map_or(0, |total| total.picos.into());
    let corrected = !record.corrections.is_empty();
    Tally {
        calls: requests,
        failed: of(end.error_class.is_some()),
        failed_free: of(end.error_class.is_some() && basis == "nothing"),
        unpriced: of(record.total().is_none()),
        uncertain: of(basis == "estimated" || basis == "ceiling"),
        simulated: of(basis == "simulated"),
        picos,
        at_most: end.at_most.filter(|_| !corrected).map_or(picos, |most| most.picos.into()),
        simulated_picos: if basis == "simulated" { picos } else { 0 },
        input: counted(record, &INPUT).unwrap_or(0),
        cache_read: counted(record, &CACHE_READ).unwrap_or(0),
        cache_write: counted(record, &CACHE_WRITE).unwrap_or(0),
        output: counted(record, &OUTPUT).unwrap_or(0),
        reasoning: end.reasoning.unwrap_or(0),
        ..Tally::default()
    }
}

/// The call itself, or what each of its meters has of it; what no line carries under none.
fn parts(question: &Question, record: &Record, whole: Tally) -> Vec<(String, Tally)> {
    if !question.by.contains(&Dimension::Meter) {
        return vec![(String::new(), whole)];
    }
    let lines: &[RecordLine] = record.settled.as_ref().map_or(&[], |settled| &settled.settlement.lines);
    let mut meters = BTreeMap::<String, Tally>::new();
    let Tally { calls, failed, failed_free, uncertain, simulated, .. } = whole;
    let mut rest = Tally { input: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0, ..whole };
    for line in lines {
        let first = Tally { calls, failed, failed_free, uncertain, simulated, ..Tally::default() };
        let part = meters.entry(line.meter.clone()).or_insert(first);
        let picos: i128 = line.amount.map_or(0, |amount| amount.picos.into());
        part.units += line.quantity;
        if line.amount.is_none() {
            part.unpriced = calls;
        }
        (part.picos, part.at_most) = (part.picos + picos, part.at_most + picos);
        (rest.picos, rest.at_most) = (rest.picos - picos, rest.at_most - picos);
        if simulated > 0 {
            (part.simulated_picos, rest.simulated_picos) = (part.simulated_picos + picos, rest.simulated_picos - picos);
        }
    }
    if lines.is_empty() || (rest.picos, rest.at_most) != (0, 0) {
        meters.insert(String::new(), rest);
    }
    meters.into_iter().collect()
}

fn text(record: &Record, field: &TextField) -> Vec<String> {
    let call = &record.call;
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![match field {
        TextField::Provider => call.provider.clone(),
        TextField::Model => return vec![call.model.clone(), format!("{}/{}", call.provider, call.model)],
        TextField::Region => some(&call.region),
        TextField::Project => some(&call.project),
        TextField::User => some(&call.user),
        TextField::Team => some(&call.team),
        TextField::Tag(key) => call.tags.get(key).cloned().unwrap_or_default(),
        TextField::Session => some(&call.session),
        TextField::Command => call.command.clone(),
        TextField::Credential => some(&call.credential),
        TextField::Status => match &record.settled {
            None => "open".to_owned(),
            Some(end) => {
                let end = &end.settlement;
                end.error_class.clone().or_else(|| end.stopped.clone()).unwrap_or_else(|| "ok".into())
            }
        },
        TextField::Source => record.source.clone().unwrap_or_else(|| "llmx".into()),
        TextField::Basis => basis(record).to_owned(),
        TextField::Route => some(&call.route),
        TextField::Id => call.id.clone(),
        TextField::Group => some(&call.group),
    }]
}

fn number(record: &Record, field: NumberField) -> Option<i64> {
    let settled = record.settled.as_ref()?;
    match field {
        NumberField::Cost => record.total().map(|total| total.picos),
        NumberField::Input => counted(record, &INPUT).map(u64::cast_signed),
        NumberField::CacheRead => counted(record, &CACHE_READ).map(u64::cast_signed),
        NumberField::CacheWrite => counted(record, &CACHE_WRITE).map(u64::cast_signed),
        NumberField::Output => counted(record, &OUTPUT).map(u64::cast_signed),
        NumberField::Reasoning => settled.settlement.reasoning.map(u64::cast_signed),
        NumberField::First => settled.settlement.first_token_ms.map(u64::cast_signed),
        NumberField::Total => Some(settled.finished_ms - record.opened_ms),
    }
}

fn asked(question: &Question, record: &Record) -> bool {
    let day = civil(question, record.opened_ms).date();
    let lets = |clause: &Clause| match clause {
        Clause::Text { field, part, not, values } => {
            let texts = text(record, field);
            let one = |text: &String, value: &String| match part {
                true => text.to_ascii_lowercase().contains(&value.to_ascii_lowercase()),
                false => text == value,
            };
            texts.iter().any(|text| values.iter().any(|value| one(text, value))) != *not
        }
        Clause::Number { field, sign, value } => number(record, *field).is_some_and(|number| match sign {
            Sign::Less => number < *value,
            Sign::AtMost => number <= *value,
            Sign::Equal => number == *value,
            Sign::Unequal => number != *value,
            Sign::AtLeast => number >= *value,
            Sign::More => number > *value,
        }),
    };
    (question.period.first..question.period.after).contains(&day) && question.filter.clauses.iter().all(lets)
}

fn key(question: &Question, dimension: &Dimension, record: &Record, meter: &str) -> Key {
    let shown = civil(question, record.opened_ms);
    let days = |days: i8| jiff::Span::new().days(days);
    let field = match dimension {
        Dimension::Hour => {
            let into = shown.time().minute() as i64 * 60_000
                + shown.time().second() as i64 * 1_000
                + i64::from(shown.time().millisecond());
            return Key::Hour(record.opened_ms - into);
        }
        Dimension::Day => return Key::Date(shown.date()),
        Dimension::Week => {
            let back = shown.date().weekday().to_monday_zero_offset();
            return Key::Date(shown.date().checked_sub(days(back)).expect("a Monday"));
        }
        Dimension::Month => return Key::Date(shown.date().first_of_month()),
        Dimension::Model => return Key::Text(format!("{}/{}", record.call.provider, record.call.model)),
        Dimension::Meter => return Key::Text(meter.to_owned()),
        Dimension::Provider => TextField::Provider,
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
    Key::Text(text(record, &field).remove(0))
}

/// The groups of an answer, which come in the order of their keys and but once.
fn groups(spend: &Spend) -> Groups {
    assert!(spend.groups.is_sorted_by(|one, next| one.keys < next.keys), "{:?}", spend.groups);
    spend.groups.iter().map(|group| (group.keys.clone(), (group.tally, group.price.as_deref().cloned()))).collect()
}

fn summed(spend: &Spend) -> Tally {
    spend.groups.iter().fold(Tally::default(), |sum, group| sum.plus(group.tally))
}

fn money(tally: Tally) -> [i128; 4] {
    [tally.picos, tally.at_most, tally.simulated_picos, tally.held]
}

#[test]
fn random_questions_have_one_answer_with_and_without_days_and_in_a_plain_fold() {
    for seed in seeds(8) {
        let mut dice = dice(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        // Every fourth has enough calls to make those that wait join the sums.
        let mut ledger = random_books(&mut dice, &path, if seed % 4 == 0 { 450 } else { 60 });
        let mut bare = without_days(&ledger, &folder.path().join("bare.db"));
        let naive = Naive::of(&ledger, &path);
        let mut asked = Vec::new();
        for _ in 0..40 {
            let question = random_question(&mut dice);
            if dice.roll(3) == 0 {
                ledger.keep_days(&question.period.zone).expect("kept");
            }
            let spend = ledger.spend(&question).expect("adds up");
            let (expected, total) = naive.spend(&question);
            assert_eq!(groups(&spend), expected, "seed {seed}: {question:?}");
            assert_eq!(spend.total, total, "seed {seed}: {question:?}");
            assert_eq!(bare.spend(&question).expect("adds up"), spend, "seed {seed}: {question:?}");
            if question.by.contains(&Dimension::Meter) {
                assert_eq!(money(summed(&spend)), money(spend.total), "seed {seed}: {question:?}");
            } else {
                assert_eq!(summed(&spend), spend.total, "seed {seed}: {question:?}");
            }
            let mut walked = Tally::default();
            ledger
                .walk(&question, |record| {
                    walked = walked.plus(tally(&record));
                    ControlFlow::Continue(())
                })
                .expect("reads");
            assert_eq!(walked, spend.total, "seed {seed}: {question:?}");
            asked.push((question, spend));
        }
        let zones: i64 = raw(&path).query_row("SELECT count(*) FROM zone", [], |row| row.get(0)).expect("a count");
        assert!(zones <= 4, "seed {seed}: {zones} zones are kept");
        assert_eq!(ledger.check().expect("reads"), Vec::<String>::new(), "seed {seed}");
        apart(&path, &asked, seed);
    }
}

/// Asks the program that was written apart, where there is a Python.
fn apart(path: &Path, asked: &[(Question, Spend)], seed: u64) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ledger/spend_oracle.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut running) = python.spawn() else {
        return;
    };
    let questions: Vec<Value> = asked.iter().map(|(question, _)| told(question)).collect();
    let mut input = running.stdin.take().expect("piped");
    input.write_all(Value::from(questions).to_string().as_bytes()).expect("it reads");
    drop(input);
    let output = running.wait_with_output().expect("it ends");
    // One without zones or SQLite cannot judge, and says so by this status.
    if output.status.code() == Some(77) {
        return;
    }
    assert!(output.status.success(), "the oracle failed");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answers.len(), asked.len());
    for ((question, spend), answer) in asked.iter().zip(answers) {
        assert_eq!(shown(spend), answer, "seed {seed}: {question:?}");
    }
}

fn told(question: &Question) -> Value {
    let clauses = question.filter.clauses.iter().map(|clause| match clause {
        Clause::Text { field, part, not, values } => {
            let name = match field {
                TextField::Tag(key) => format!("tag:{key}"),
                field => format!("{field:?}").to_lowercase(),
            };
            json!({"text": name, "part": part, "not": not, "values": values})
        }
        Clause::Number { field, sign, value } => {
            json!({"number": format!("{field:?}").to_lowercase(), "sign": format!("{sign:?}").to_lowercase(), "value": value})
        }
    });
    json!({
        "zone": question.period.zone.name(),
        "first": question.period.first.to_string(),
        "after": question.period.after.to_string(),
        "by": question.by.iter().map(Dimension::to_string).collect::<Vec<_>>(),
        "clauses": clauses.collect::<Vec<_>>(),
    })
}

/// An answer as the oracle gives it.
fn shown(spend: &Spend) -> Value {
    let key = |key: &Key| match key {
        Key::Hour(at_ms) => json!(at_ms),
        Key::Date(date) => json!(date.to_string()),
        Key::Text(text) => json!(text),
    };
    let groups = spend
        .groups
        .iter()
        .map(|group| json!({"keys": group.keys.iter().map(key).collect::<Vec<_>>(), "tally": listed(group.tally)}));
    json!({"groups": groups.collect::<Vec<_>>(), "total": listed(spend.total)})
}

fn listed(tally: Tally) -> Value {
    let small = |number: i128| i64::try_from(number).expect("small");
    json!({
        "calls": tally.calls, "failed": tally.failed, "failed_free": tally.failed_free, "unpriced": tally.unpriced,
        "uncertain": tally.uncertain, "simulated": tally.simulated, "picos": small(tally.picos),
        "at_most": small(tally.at_most), "simulated_picos": small(tally.simulated_picos), "open": tally.open,
        "open_unknown": tally.open_unknown, "held": small(tally.held), "input": tally.input,
        "cache_read": tally.cache_read, "cache_write": tally.cache_write, "output": tally.output,
        "reasoning": tally.reasoning, "units": tally.units,
    })
}

fn all(zone: &Zone, by: &[Dimension]) -> Question {
    let period = Period::of(date(1970, 1, 1), date(2030, 1, 1), zone).expect("days");
    Question { period, by: by.to_vec(), filter: Filter::default() }
}

/// Books of a few hundred calls, with sums by day in UTC.
fn kept_books(path: &Path) -> Ledger {
    let mut dice = dice(7);
    let mut ledger = random_books(&mut dice, path, 60);
    ledger.keep_days(&Zone::utc()).expect("kept");
    ledger
}

#[test]
fn whatever_is_spoilt_in_the_sums_by_day_is_found_and_mended() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = kept_books(&path);
    let one = "(zone, facet, day, value, place) = (SELECT zone, facet, day, value, place FROM day LIMIT 1)";
    for spoil in [
        format!("UPDATE day SET picos = picos + 1 WHERE {one}"),
        format!("UPDATE day SET reasoning = reasoning - 1 WHERE {one}"),
        format!("UPDATE day SET day = day + 1000 WHERE {one}"),
        format!("DELETE FROM day WHERE {one}"),
        "INSERT INTO day SELECT zone, facet, day + 5000, value, place, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM day LIMIT 1"
            .into(),
        "INSERT INTO day SELECT 99, facet, day, value, place, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM day LIMIT 1".into(),
        "UPDATE day_text SET text = text || 'x' WHERE text = 'gpt-x'".into(),
        "UPDATE day_place SET price = price + 9".into(),
        "INSERT INTO day_waiting SELECT call FROM settlement LIMIT 1".into(),
    ] {
        assert_eq!(raw(&path).execute(&spoil, []).expect(&spoil).min(1), 1, "{spoil}");
        let found = ledger.check().expect("reads").join("\n");
        assert!(found.contains("sums by day"), "{spoil}: {found}");
        raw(&path).execute("DELETE FROM day WHERE zone = 99", []).expect("removed");
        ledger.rebuild().expect("made anew");
        assert_eq!(ledger.check().expect("reads"), Vec::<String>::new(), "{spoil}");
    }
}

#[test]
fn a_zone_that_nobody_knows_breaks_nothing_and_is_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = kept_books(&path);
    let db = raw(&path);
    db.execute_batch("INSERT INTO zone (id, name) VALUES (70, 'Mars/Olympus')").expect("added");
    db.execute_batch(
        "INSERT INTO day SELECT 70, facet, day, value, place, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM day GROUP BY facet, day, value,
            place",
    )
    .expect("added");
    let mut dice = dice(11);
    for id in 1_000..1_300 {
        let reservation = reserve(&mut ledger, &random_call(&mut dice, id), NOON).expect("reserved");
        ledger.settle(reservation, &random_settlement(&mut dice), NOON).expect("settled");
        if id == 1_001 {
            assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
        }
    }
    let rows: i64 = db.query_row("SELECT count(*) FROM day WHERE zone = 70", [], |row| row.get(0)).expect("a count");
    assert_eq!(rows, 0, "its sums would be wrong for whoever knows it");
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
}

#[test]
fn at_most_four_zones_are_kept_and_the_first_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = kept_books(&path);
    raw(&path).execute_batch("DELETE FROM day; DELETE FROM zone;").expect("removed");
    for name in ZONES {
        ledger.keep_days(&Zone::named(name).expect("a zone")).expect("kept");
    }
    let db = raw(&path);
    let mut find = db.prepare("SELECT name FROM zone ORDER BY id").expect("reads");
    let kept: Vec<String> =
        find.query_map([], |row| row.get(0)).expect("reads").collect::<Result<_, _>>().expect("rows");
    assert_eq!(kept, ZONES[4..]);
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
}

#[test]
fn a_day_that_a_clock_goes_back_into_ends_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    // St John's went back from 00:01 to 23:01 on 7 November 2010: at 02:31 UTC, the day that had begun at 02:30 went on.
    let zone = Zone::named("America/St_Johns").expect("a zone");
    for (id, at) in ["2010-11-07T02:29:59Z", "2010-11-07T02:30:30Z", "2010-11-07T02:31:30Z"].iter().enumerate() {
        let at_ms = at.parse::<jiff::Timestamp>().expect("an instant").as_millisecond();
        let call = NewCall { id: id.to_string(), command: "chat".into(), parameters: json!({}), ..NewCall::default() };
        let reservation = reserve(&mut ledger, &call, at_ms).expect("reserved");
        ledger.settle(reservation, &Settlement::nothing("nothing"), at_ms).expect("settled");
    }
    let days = |ledger: &mut Ledger| -> Vec<(Date, u64)> {
        let spend = ledger.spend(&all(&zone, &[Dimension::Day])).expect("adds up");
        let day = |keys: &[Key]| match keys {
            [Key::Date(date)] => *date,
            other => panic!("{other:?}"),
        };
        spend.groups.iter().map(|group| (day(&group.keys), group.tally.calls)).collect()
    };
    let expected = [(date(2010, 11, 6), 1), (date(2010, 11, 7), 2)];
    assert_eq!(days(&mut ledger), expected);
    ledger.keep_days(&zone).expect("kept");
    assert_eq!(days(&mut ledger), expected);
    for (first, calls) in expected {
        let period = Period::of(first, first.tomorrow().expect("a day"), &zone).expect("a day");
        let question = Question { period, by: Vec::new(), filter: Filter::default() };
        assert_eq!(ledger.spend(&question).expect("adds up").total.calls, calls);
    }
}

#[test]
fn instants_beyond_the_calendar_and_amounts_beyond_all_sums_break_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    ledger.keep_days(&Zone::utc()).expect("kept");
    let dear = Settlement { basis: "reported".into(), total: Some(Usd::from_picos(i64::MAX)), ..Settlement::default() };
    for (id, at_ms) in [i64::MIN, -1, 0, NOON, NOON, i64::MAX].into_iter().enumerate() {
        let call = NewCall { id: id.to_string(), command: "chat".into(), parameters: json!({}), ..NewCall::default() };
        let reservation = reserve(&mut ledger, &call, at_ms).expect("reserved");
        ledger.settle(reservation, &dear, at_ms).expect("settled");
    }
    ledger.keep_days(&Zone::named("Asia/Kathmandu").expect("a zone")).expect("kept");
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    let spend = ledger.spend(&all(&Zone::utc(), &[Dimension::Day])).expect("adds up");
    assert_eq!(spend.total.calls, 3, "those before 1970 and beyond the calendar are in no period");
}

#[test]
fn what_is_taken_out_of_a_sum_beyond_the_largest_number_leaves_the_truth() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    let dear = Settlement { basis: "reported".into(), total: Some(Usd::from_picos(i64::MAX)), ..Settlement::default() };
    for id in ["a", "b"] {
        let call = NewCall { id: id.into(), command: "chat".into(), parameters: json!({}), ..NewCall::default() };
        let reservation = reserve(&mut ledger, &call, NOON).expect("reserved");
        ledger.settle(reservation, &dear, NOON).expect("settled");
    }
    let whole = |ledger: &mut Ledger| ledger.spend(&all(&Zone::utc(), &[Dimension::Day])).expect("adds up").total.picos;
    ledger.keep_days(&Zone::utc()).expect("kept");
    assert_eq!(whole(&mut ledger), 2 * i128::from(i64::MAX), "where a sum by day is too large, the calls tell");
    let cheap = Resolution::Amount(Usd::from_picos(7));
    ledger.resolve("a", cheap, "the bill", NOON).expect("corrected");
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    assert_eq!(whole(&mut ledger), i128::from(i64::MAX) + 7);
    ledger.resolve("b", cheap, "the bill", NOON).expect("corrected");
    ledger.keep_days(&Zone::utc()).expect("kept anew");
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    assert_eq!(whole(&mut ledger), 14);
}

#[test]
fn a_correction_moves_a_call_that_is_in_the_sums() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = kept_books(&path);
    let settled = ledger.logs(&LogFilter { limit: 100, ..LogFilter::default() }).expect("reads");
    for (n, record) in settled.iter().filter(|record| record.settled.is_some()).enumerate() {
        let amount = Usd::from_picos(i64::try_from(n).expect("small"));
        ledger.resolve(&record.call.id, Resolution::Amount(amount), "the bill", NOON).expect("corrected");
        if n % 10 == 0 {
            assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
        }
    }
    // All are known by a bill now, and wait: no row of the sums has another basis, or is empty.
    let others: i64 = raw(&path)
        .query_row("SELECT count(*) FROM day WHERE calls <= 0 OR zone = 1", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(others, 0);
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    let answer = ledger.spend(&all(&Zone::utc(), &[Dimension::Model])).expect("adds up");
    let bare = without_days(&ledger, &folder.path().join("bare.db")).spend(&all(&Zone::utc(), &[Dimension::Model]));
    assert_eq!(answer, bare.expect("adds up"));
}
