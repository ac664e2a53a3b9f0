//! What stands under a header of a price file, read strictly: every number with its place, every key known.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, value::Datetime};

use super::decimal::Decimal;
use super::moment::Moment;
use super::place::{File, Place, TableError};
use crate::domain::usage::Meter;

/// Dearest price that is believed, in USD per 1M tokens.
const PRICE_MAX: u32 = 10_000;
/// Largest factor that is believed.
const FACTOR_MAX: u32 = 1_000;

/// Meters that count tokens: their keys may stand in a sheet.
pub const TOKENS: [Meter; 12] = [
    Meter::Input,
    Meter::CacheRead,
    Meter::CacheWrite5m,
    Meter::CacheWrite1h,
    Meter::Output,
    Meter::AudioIn,
    Meter::AudioOut,
    Meter::CacheReadAudio,
    Meter::ImageIn,
    Meter::ImageOut,
    Meter::ReasoningOut,
    Meter::Citation,
];

/// A number and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    pub value: Decimal,
    pub place: Place,
}

/// USD per 1M tokens by meter.
pub type Rates = BTreeMap<Meter, Number>;

/// `[model."provider/model"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    /// Where its header stands.
    pub place: Place,
    /// Oldest first.
    pub price: Vec<Sheet>,
    pub mode: BTreeMap<String, Mode>,
    pub times: BTreeMap<String, Number>,
    pub ratio: Rates,
    /// USD per 1,000 uses.
    pub fees: BTreeMap<String, Number>,
    pub like: Option<String>,
    pub scale: Option<Number>,
    pub alias: Vec<String>,
    pub dated: bool,
    pub except: Vec<String>,
    pub profiles: Option<String>,
    pub kind: Option<String>,
    pub source: Option<String>,
    pub checked: Option<String>,
    pub note: Option<String>,
    pub free: bool,
    pub unpriced: Option<String>,
    /// Why the most that a call can cost is not known before it.
    pub unbounded: Option<String>,
    /// Tokens of the context window.
    pub context: Option<u64>,
    /// The most tokens of one answer.
    pub max_output: Option<u64>,
}

/// One complete list of rates, from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub from: Option<Moment>,
    pub rates: Rates,
    /// By rising threshold.
    pub tiers: Vec<Tier>,
    pub windows: Vec<Window>,
    pub note: Option<String>,
}

/// Rates for the whole request where its prompt total reaches a threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    pub from: Threshold,
    pub rates: Rates,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    Above(u64),
    AtLeast(u64),
}

impl Threshold {
    #[must_use]
    pub fn holds(self, prompt_total: u64) -> bool {
        prompt_total >= self.least()
    }

    /// The smallest prompt total that it holds for.
    #[must_use]
    pub fn least(self) -> u64 {
        match self {
            Threshold::Above(limit) => limit.saturating_add(1),
            Threshold::AtLeast(limit) => limit,
        }
    }
}

/// Rates that replace those of the sheet at some times. Every condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// 0 is Monday.
    pub days: Option<BTreeSet<usize>>,
    /// The name of a calendar.
    pub holidays: Option<String>,
    /// Minutes of the day in UTC, from inclusive, to exclusive.
    pub hours: Option<Vec<(u32, u32)>>,
    pub rates: Rates,
}

/// What a service tier or a way of processing does to the rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    Factor(Number),
    /// Sheets of its own, tiers included.
    Sheets(Vec<Sheet>),
}

/// `[provider.X]`: rules written once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    pub ratio: Rates,
    pub mode: BTreeMap<String, Mode>,
    pub times: BTreeMap<String, Number>,
    pub fees: BTreeMap<String, Number>,
    pub source: Option<String>,
    /// The day on which its entries were checked, where they do not say one.
    pub checked: Option<String>,
    pub note: Option<String>,
    /// A negotiated factor on every token price.
    pub discount: Option<Number>,
    /// Another provider whose entries serve, too.
    pub like: Option<String>,
    pub unbounded: Option<String>,
}

/// Days off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    /// `2026-10-01`.
    pub dates: BTreeSet<String>,
    pub years: BTreeSet<i64>,
}

type Read<T> = Result<T, TableError>;
type Value<'a> = Spanned<DeValue<'a>>;

/// Reads one entry out of a table's text.
pub(super) struct Reader<'t> {
    pub file: &'t File,
    /// Where the pieces of what was parsed stand in the file: offset there, offset here.
    pub starts: Vec<(usize, usize)>,
}

impl Reader<'_> {
    /// The place in the file of an offset in what was parsed.
    pub fn place(&self, at: usize) -> Place {
        let piece = self.starts.iter().rev().find(|(start, _)| *start <= at);
        Place { table: self.file.which, at: piece.map_or(at, |(start, there)| there + (at - start)) }
    }

    fn wrong<T>(&self, at: usize, message: impl Into<String>) -> Read<T> {
        Err(self.file.error(self.place(at).at, message))
    }

    fn unknown<T>(&self, key: &Spanned<std::borrow::Cow<'_, str>>) -> Read<T> {
        self.wrong(key.span().start, format!("unknown key \"{}\"", key.get_ref()))
    }

    fn fields<'v, 'a>(&self, at: usize, value: &'v DeValue<'a>) -> Read<&'v DeTable<'a>> {
        match value.as_table() {
            Some(table) => Ok(table),
            None => Err(self.file.error(at, "it must be a table")),
        }
    }

    fn inner<'v, 'a>(&self, value: &'v Value<'a>) -> Read<&'v DeTable<'a>> {
        self.fields(self.place(value.span().start).at, value.get_ref())
    }

    pub fn entry(&self, key: &str, at: usize, value: &DeValue<'_>) -> Read<Entry> {
        let mut entry = Entry {
            key: key.to_owned(),
            place: Place { table: self.file.which, at },
            price: Vec::new(),
            mode: BTreeMap::new(),
            times: BTreeMap::new(),
            ratio: Rates::new(),
            fees: BTreeMap::new(),
            like: None,
            scale: None,
            alias: Vec::new(),
            dated: false,
            except: Vec::new(),
            profiles: None,
            kind: None,
            source: None,
            checked: None,
            note: None,
            free: false,
            unpriced: None,
            unbounded: None,
            context: None,
            max_output: None,
        };
        for (key, value) in self.fields(at, value)? {
            match key.get_ref().as_ref() {
                "price" => entry.price = self.sheets(value)?,
                "mode" => entry.mode = self.modes(value)?,
                "times" => entry.times = self.numbers(value, FACTOR_MAX)?,
                "ratio" => entry.ratio = self.rates(value, FACTOR_MAX)?,
                "fees" => entry.fees = self.numbers(value, PRICE_MAX)?,
                "like" => entry.like = Some(self.text(value)?),
                "scale" => entry.scale = Some(self.number(value, FACTOR_MAX)?),
                "alias" => entry.alias = self.texts(value)?,
                "dated" => entry.dated = self.flag(value)?,
                "except" => entry.except = self.texts(value)?,
                "profiles" => entry.profiles = Some(self.text(value)?),
                "kind" => entry.kind = Some(self.text(value)?),
                "source" => entry.source = Some(self.text(value)?),
                "checked" => entry.checked = Some(self.day(value)?),
                "note" => entry.note = Some(self.text(value)?),
                "free" => entry.free = self.flag(value)?,
                "unpriced" => entry.unpriced = Some(self.text(value)?),
                "unbounded" => entry.unbounded = Some(self.text(value)?),
                "context" => entry.context = Some(self.count(value)?),
                "max_output" => entry.max_output = Some(self.count(value)?),
                _ => return self.unknown(key),
            }
        }
        if entry.price.is_empty() && entry.like.is_none() && !entry.free && entry.unpriced.is_none() {
            return Err(self.file.error(at, "it has neither price, like, free nor unpriced"));
        }
        Ok(entry)
    }

    pub fn rules(&self, at: usize, value: &DeValue<'_>) -> Read<Rules> {
        let mut rules = Rules::default();
        for (key, value) in self.fields(at, value)? {
            match key.get_ref().as_ref() {
                "ratio" => rules.ratio = self.rates(value, FACTOR_MAX)?,
                "mode" => rules.mode = self.modes(value)?,
                "times" => rules.times = self.numbers(value, FACTOR_MAX)?,
                "fees" => rules.fees = self.numbers(value, PRICE_MAX)?,
                "source" => rules.source = Some(self.text(value)?),
                "checked" => rules.checked = Some(self.day(value)?),
                "note" => rules.note = Some(self.text(value)?),
                "discount" => rules.discount = Some(self.number(value, FACTOR_MAX)?),
                "like" => rules.like = Some(self.text(value)?),
                "unbounded" => rules.unbounded = Some(self.text(value)?),
                _ => return self.unknown(key),
            }
        }
        Ok(rules)
    }

    pub fn factors(&self, at: usize, value: &DeValue<'_>) -> Read<BTreeMap<String, Number>> {
        let fields = self.fields(at, value)?;
        fields.iter().map(|(key, value)| Ok((key.get_ref().to_string(), self.number(value, FACTOR_MAX)?))).collect()
    }

    pub fn calendar(&self, at: usize, value: &DeValue<'_>) -> Read<Calendar> {
        let mut calendar = Calendar::default();
        for (key, value) in self.fields(at, value)? {
            let Ok(year) = key.get_ref().parse::<i64>() else {
                return self.unknown(key);
            };
            calendar.years.insert(year);
            calendar.dates.extend(self.texts(value)?);
        }
        Ok(calendar)
    }

    pub fn deployment(&self, at: usize, value: &DeValue<'_>) -> Read<String> {
        let mut model = None;
        for (key, value) in self.fields(at, value)? {
            match key.get_ref().as_ref() {
                "model" => model = Some(self.text(value)?),
                "note" => {
                    self.text(value)?;
                }
                _ => return self.unknown(key),
            }
        }
        model
            .filter(|model| model.contains('/'))
            .ok_or_else(|| self.file.error(at, "it needs model = \"provider/model\""))
    }

    /// One sheet, or a list of them, newest last.
    fn sheets(&self, value: &Value<'_>) -> Read<Vec<Sheet>> {
        let DeValue::Array(rows) = value.get_ref() else {
            return Ok(vec![self.sheet(value)?]);
        };
        let mut sheets: Vec<Sheet> = Vec::new();
        for row in rows {
            let sheet = self.sheet(row)?;
            if sheets.last().is_some_and(|last| sheet.from.is_none() || last.from >= sheet.from) {
                return self.wrong(row.span().start, "this row must begin after the one before it (from)");
            }
            sheets.push(sheet);
        }
        if sheets.is_empty() {
            return self.wrong(value.span().start, "a list of rows needs a row");
        }
        Ok(sheets)
    }

    fn sheet(&self, value: &Value<'_>) -> Read<Sheet> {
        let mut sheet = Sheet { from: None, rates: Rates::new(), tiers: Vec::new(), windows: Vec::new(), note: None };
        for (key, inner) in self.inner(value)? {
            match key.get_ref().as_ref() {
                "from" => sheet.from = Some(self.moment(inner)?),
                "tier" => sheet.tiers = self.tiers(inner)?,
                "window" => {
                    sheet.windows = self.list(inner)?.iter().map(|one| self.window(one)).collect::<Read<_>>()?
                }
                "note" => sheet.note = Some(self.text(inner)?),
                _ => self.rate(key, inner, &mut sheet.rates)?,
            }
        }
        self.complete(value, &sheet.rates)?;
        if !sheet.tiers.is_empty() && !sheet.windows.is_empty() {
            return self.wrong(value.span().start, "a row has tiers or windows, not both");
        }
        Ok(sheet)
    }

    fn tiers(&self, value: &Value<'_>) -> Read<Vec<Tier>> {
        let mut tiers: Vec<Tier> = Vec::new();
        for one in self.list(value)? {
            let (mut from, mut rates) = (None, Rates::new());
            for (key, inner) in self.inner(one)? {
                match key.get_ref().as_ref() {
                    "above" if from.is_none() => from = Some(Threshold::Above(self.count(inner)?)),
                    "at_least" if from.is_none() => from = Some(Threshold::AtLeast(self.count(inner)?)),
                    _ => self.rate(key, inner, &mut rates)?,
                }
            }
            self.complete(one, &rates)?;
            let Some(from) = from else {
                return self.wrong(one.span().start, "a tier needs above or at_least");
            };
            if tiers.last().is_some_and(|last| last.from.least() >= from.least()) {
                return self.wrong(one.span().start, "this tier must begin above the one before it");
            }
            tiers.push(Tier { from, rates });
        }
        Ok(tiers)
    }

    fn window(&self, value: &Value<'_>) -> Read<Window> {
        let mut window = Window { days: None, holidays: None, hours: None, rates: Rates::new() };
        for (key, inner) in self.inner(value)? {
            match key.get_ref().as_ref() {
                "days" => {
                    let days = self.list(inner)?.iter().map(|day| self.weekday(day)).collect::<Read<_>>()?;
                    window.days = Some(days);
                }
                "holidays" => window.holidays = Some(self.text(inner)?),
                "hours" => {
                    let hours = self.list(inner)?.iter().map(|span| self.hours(span)).collect::<Read<_>>()?;
                    window.hours = Some(hours);
                }
                _ => self.rate(key, inner, &mut window.rates)?,
            }
        }
        Ok(window)
    }

    fn weekday(&self, value: &Value<'_>) -> Read<usize> {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let text = self.text(value)?;
        match days.iter().position(|day| *day == text) {
            Some(day) => Ok(day),
            None => self.wrong(value.span().start, "a day is mon, tue, wed, thu, fri, sat or sun"),
        }
    }

    fn hours(&self, value: &Value<'_>) -> Read<(u32, u32)> {
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2)?;
            let (hour, minute) = (hour.parse::<u32>().ok()?, minute.parse::<u32>().ok()?);
            (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
        };
        let text = self.text(value)?;
        let span = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        match span.filter(|(from, to)| from < to) {
            Some(span) => Ok(span),
            None => self.wrong(value.span().start, "hours are \"HH:MM-HH:MM\" in UTC, up to 24:00"),
        }
    }

    fn modes(&self, value: &Value<'_>) -> Read<BTreeMap<String, Mode>> {
        let mut modes = BTreeMap::new();
        for (key, inner) in self.inner(value)? {
            let mode = match inner.get_ref() {
                DeValue::Table(_) | DeValue::Array(_) => Mode::Sheets(self.sheets(inner)?),
                _ => Mode::Factor(self.number(inner, FACTOR_MAX)?),
            };
            modes.insert(key.get_ref().to_string(), mode);
        }
        Ok(modes)
    }

    fn rates(&self, value: &Value<'_>, most: u32) -> Read<Rates> {
        let mut rates = Rates::new();
        for (key, inner) in self.inner(value)? {
            match meter(key.get_ref()) {
                Some(meter) => rates.insert(meter, self.number(inner, most)?),
                None => return self.unknown(key),
            };
        }
        Ok(rates)
    }

    fn rate(&self, key: &Spanned<std::borrow::Cow<'_, str>>, value: &Value<'_>, rates: &mut Rates) -> Read<()> {
        let Some(meter) = meter(key.get_ref()) else {
            return self.unknown(key);
        };
        rates.insert(meter, self.number(value, PRICE_MAX)?);
        Ok(())
    }

    fn complete(&self, value: &Value<'_>, rates: &Rates) -> Read<()> {
        if rates.contains_key(&Meter::Input) {
            return Ok(());
        }
        self.wrong(value.span().start, "a sheet needs input")
    }

    fn numbers(&self, value: &Value<'_>, most: u32) -> Read<BTreeMap<String, Number>> {
        let fields = self.inner(value)?;
        fields.iter().map(|(key, inner)| Ok((key.get_ref().to_string(), self.number(inner, most)?))).collect()
    }

    /// The digits of the file's text: a float is never made of them.
    fn number(&self, value: &Value<'_>, most: u32) -> Read<Number> {
        let at = value.span().start;
        let text = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => return self.wrong(at, "it must be a plain decimal"),
        };
        let number = match Decimal::parse(text) {
            Ok(number) => number,
            Err(reason) => return self.wrong(at, reason),
        };
        if number > Decimal::whole(most) {
            let reason = match most {
                PRICE_MAX => "a price above 10,000 USD per 1M tokens (or 1,000 uses) is not believed",
                _ => "a factor above 1,000 is not believed",
            };
            return self.wrong(at, reason);
        }
        Ok(Number { value: number, place: self.place(at) })
    }

    fn count(&self, value: &Value<'_>) -> Read<u64> {
        let count = value.get_ref().as_integer().filter(|number| number.radix() == 10);
        match count.and_then(|number| number.as_str().replace('_', "").parse().ok()) {
            Some(count) => Ok(count),
            None => self.wrong(value.span().start, "it must be a whole number of tokens"),
        }
    }

    fn text(&self, value: &Value<'_>) -> Read<String> {
        match value.get_ref().as_str() {
            Some(text) => Ok(text.to_owned()),
            None => self.wrong(value.span().start, "it must be a text"),
        }
    }

    fn texts(&self, value: &Value<'_>) -> Read<Vec<String>> {
        self.list(value)?.iter().map(|text| self.text(text)).collect()
    }

    fn list<'v, 'a>(&self, value: &'v Value<'a>) -> Read<Vec<&'v Value<'a>>> {
        match value.get_ref().as_array() {
            Some(list) => Ok(list.iter().collect()),
            None => self.wrong(value.span().start, "it must be a list"),
        }
    }

    fn flag(&self, value: &Value<'_>) -> Read<bool> {
        match value.get_ref().as_bool() {
            Some(flag) => Ok(flag),
            None => self.wrong(value.span().start, "it must be true or false"),
        }
    }

    fn datetime<'v>(&self, value: &'v Value<'_>) -> Read<&'v Datetime> {
        match value.get_ref().as_datetime() {
            Some(datetime) => Ok(datetime),
            None => {
                self.wrong(value.span().start, "it must be an instant (2026-08-21T00:00:00Z) or a day (2026-08-21)")
            }
        }
    }

    fn moment(&self, value: &Value<'_>) -> Read<Moment> {
        match Moment::of(self.datetime(value)?) {
            Some(moment) => Ok(moment),
            None => self.wrong(value.span().start, "an instant needs a date"),
        }
    }

    fn day(&self, value: &Value<'_>) -> Read<String> {
        Ok(self.moment(value)?.date())
    }
}

fn meter(key: &str) -> Option<Meter> {
    TOKENS.into_iter().find(|meter| meter.key() == key)
}
