//! Words and figures of a report: counts, amounts, shares, the names of groups, the head and what is said below.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::record::Price;
use crate::domain::spend::currency::Currency;
use crate::domain::spend::period::{Period, week};
use crate::domain::spend::report::{Absent, Before, Month, Report, Row, What, iso_week};
use crate::domain::spend::{Dimension, Key, Tally, percent};
use crate::domain::untrusted::one_line;

/// Stands where there is no figure.
pub(super) const NONE: &str = "–";

/// How counts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    /// Every digit: `67,465,896`.
    All,
    /// Three of them: `67.5M`.
    Three,
}

impl Digits {
    pub(super) fn count(self, number: u64) -> String {
        match self {
            Digits::All => grouped(number),
            Digits::Three => short(number),
        }
    }

    /// Requests are counted one by one for longer than tokens.
    pub(super) fn calls(self, number: u64) -> String {
        match self {
            Digits::Three if number < 100_000 => number.to_string(),
            _ => self.count(number),
        }
    }
}

/// `67,465,896`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `950`, `37.8K`, `284K`, `4.6M`: half up, and never four digits.
fn short(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    let mut unit: u128 = 1;
    for letter in ["K", "M", "B", "T"] {
        unit *= 1000;
        let tenths = (u128::from(number) * 10 + unit / 2) / unit;
        if tenths < 1000 {
            return format!("{}.{}{letter}", tenths / 10, tenths % 10);
        }
        let whole = (u128::from(number) + unit / 2) / unit;
        if whole < 1000 {
            return format!("{whole}{letter}");
        }
    }
    grouped(number)
}

/// Amounts of one column: all with the same digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Money<'a> {
    currency: &'a Currency,
    places: u32,
}

/// Places beyond which an amount beside whole dollars only says that it is less.
const PLACES: u32 = 6;

impl<'a> Money<'a> {
    /// At least so many decimal places, and more where the smallest amount would show fewer than two digits of its own.
    pub(super) fn of(currency: &'a Currency, least: u32, amounts: impl Iterator<Item = i128>) -> Money<'a> {
        let amounts: Vec<i128> = amounts.map(i128::saturating_abs).filter(|picos| *picos > 0).collect();
        let smallest = amounts.iter().min();
        let tells = |places: &u32| {
            smallest.is_none_or(|picos| {
                currency.shown(*picos, *places).replace('.', "").parse::<u128>().is_ok_and(|digits| digits >= 10)
            })
        };
        let most = if amounts.iter().any(|picos| *picos >= DOLLAR) { PLACES } else { 12 };
        Money { currency, places: (least..=most).find(tells).unwrap_or(most) }
    }

    /// `57.73`, and `<0.000001` of what would round to nothing and is not.
    pub(super) fn shown(&self, picos: i128) -> String {
        let shown = self.currency.shown(picos, self.places);
        let is_lost = picos > 0 && shown.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        if !is_lost {
            return shown;
        }
        let zeros = shown.strip_suffix('0').unwrap_or_default();
        format!("<{zeros}1")
    }
}

const DOLLAR: i128 = 1_000_000_000_000;

/// One amount with its currency, in cents or as many digits as it needs.
pub(super) fn amount(picos: i128, currency: &Currency) -> String {
    currency.told(picos, Money::of(currency, 2, [picos].into_iter()).places)
}

/// A forecast: cents would say more than is known.
pub(super) fn roughly(picos: i128, currency: &Currency) -> String {
    if picos >= 100 * DOLLAR { currency.told(picos, 0) } else { amount(picos, currency) }
}

/// A sum with what bounds it: `at least $1.20, at most $1.45`.
pub(super) fn sum(tally: &Tally, currency: &Currency) -> String {
    let told = amount(tally.picos, currency);
    match (tally.unpriced, tally.at_most > tally.picos) {
        (0, false) => told,
        (0, true) => format!("at least {told}, at most {}", amount(tally.at_most, currency)),
        (_, _) => format!("at least {told}"),
    }
}

/// Whether nothing is known of the amount.
pub(super) fn is_unknown(tally: &Tally) -> bool {
    tally.calls > 0 && tally.unpriced >= tally.calls && tally.picos == 0
}

/// What sums are of the whole: `43%`. Where nothing is known of their amount, nobody can say.
pub(super) fn share(tally: &Tally, whole: i128) -> String {
    if tally.is_empty() || is_unknown(tally) {
        return NONE.to_owned();
    }
    let whole = u128::try_from(whole).ok();
    let share = u128::try_from(tally.picos).ok().zip(whole).and_then(|(part, whole)| percent(part, whole));
    share.map_or(NONE.to_owned(), |share| format!("{share}%"))
}

/// An amount for each of `count`, rounded half up.
pub(super) fn each(picos: i128, count: u64) -> Option<i128> {
    let count = i128::from(count);
    picos.checked_add(count / 2)?.checked_div(count)
}

/// Picodollars for a million tokens. `None` also where calls have no amount: their tokens are among the others.
pub(super) fn per_million(row: &Row) -> Option<i128> {
    if row.tally.unpriced > 0 {
        return None;
    }
    each(row.tally.picos.checked_mul(1_000_000)?, row.tokens())
}

/// `+144%`; `None` of nothing.
pub(super) fn change(now: i128, before: i128) -> Option<String> {
    let twice = now.checked_sub(before)?.checked_mul(200)?;
    let half_up = twice.checked_add(before)?.checked_div_euclid(before.checked_mul(2)?)?;
    Some(format!("{half_up:+}%"))
}

/// A change of a group: also of one that is new, and of one that is no more.
pub(super) fn changed(row: &Row, before: i128) -> String {
    match (row.tally.is_empty(), before) {
        (true, _) => "gone".to_owned(),
        (false, 0) => "new".to_owned(),
        (false, _) => change(row.tally.picos, before).unwrap_or_else(|| NONE.to_owned()),
    }
}

/// Where rates come from: `list 2026-11-20`.
pub(super) fn source(price: Option<&Price>) -> String {
    let Some(price) = price else { return NONE.to_owned() };
    let table = if price.table == "bundled" { "list" } else { &price.table };
    one_line(&format!("{table} {}", price.checked.as_deref().unwrap_or(&price.version)))
}

/// The names of rows, each in one way of writing for all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    period: &'a Period,
    /// The days lie in several years.
    years: bool,
}

impl<'a> Names<'a> {
    pub(super) fn of(report: &'a Report) -> Names<'a> {
        let period = &report.period;
        let last = period.after.yesterday().unwrap_or(period.after);
        Names { period, years: period.first.year() != last.year() }
    }

    pub(super) fn row(&self, row: &Row, dimension: &Dimension) -> String {
        match &row.what {
            What::Group(key) => self.key(key, dimension),
            What::Others(1) => "1 other".to_owned(),
            What::Others(count) => format!("{count} others"),
        }
    }

    pub(super) fn key(&self, key: &Key, dimension: &Dimension) -> String {
        let day = if self.years { "%a %e %b %Y" } else { "%a %e %b" };
        match (key, dimension) {
            (Key::Date(date), Dimension::Week) => iso_week(*date),
            (Key::Date(date), Dimension::Month) => date.strftime("%b %Y").to_string(),
            (Key::Date(date), _) => date.strftime(day).to_string(),
            (Key::Hour(at_ms), _) => self.hour(*at_ms, day),
            (Key::Text(text), Dimension::Meter) if text.is_empty() => "(in no meter)".to_owned(),
            (Key::Text(text), _) if text.is_empty() => "(none)".to_owned(),
            (Key::Text(text), _) => one_line(text),
        }
    }

    /// `Sun 25 Oct 02:00`, with the distance from UTC where the clock shows the hour twice.
    fn hour(&self, at_ms: i64, day: &str) -> String {
        const HOUR_MS: i64 = 3_600_000;
        let stamp = |at_ms: i64| self.period.zone.stamp(at_ms);
        let (stamp_here, clock) = (stamp(at_ms), |stamp: &str| stamp.get(..16).unwrap_or_default().to_owned());
        let twice = [at_ms - HOUR_MS, at_ms + HOUR_MS].iter().any(|other| clock(&stamp(*other)) == clock(&stamp_here));
        let Some(date) = self.period.zone.date(at_ms) else { return stamp_here };
        let offset = if twice { stamp_here.get(19..).unwrap_or_default() } else { "" };
        format!("{} {}{offset}", date.strftime(day), stamp_here.get(11..16).unwrap_or_default())
    }
}

/// The models of each row of times, without their providers where that is enough to tell them apart.
pub(super) fn models(report: &Report, dimension: &Dimension, rows: &[Row]) -> Vec<Vec<String>> {
    let time = |key: &Key| match (key, dimension) {
        (Key::Date(date), Dimension::Day) => Some(Key::Date(*date)),
        (Key::Date(date), Dimension::Week) => Some(Key::Date(week(*date))),
        (Key::Date(date), Dimension::Month) => Some(Key::Date(date.first_of_month())),
        _ => None,
    };
    let all: BTreeSet<(Key, &str)> = report
        .days
        .iter()
        .filter_map(|group| match group.keys.as_slice() {
            [day, Key::Text(model)] => Some((time(day)?, model.as_str())),
            _ => None,
        })
        .collect();
    let bare = |model: &'_ str| model.split_once('/').map_or(model.to_owned(), |(_, bare)| bare.to_owned());
    let whole: BTreeSet<&str> = all.iter().map(|(_, model)| *model).collect();
    let alike = whole.iter().map(|model| bare(model)).collect::<BTreeSet<_>>().len() < whole.len();
    let named = |model: &str| one_line(&if alike { model.to_owned() } else { bare(model) });
    let of = |key: Option<&Key>| {
        let mut names: Vec<String> =
            all.iter().filter(|(time, _)| key.is_none_or(|key| key == time)).map(|(_, model)| named(model)).collect();
        names.sort();
        names.dedup();
        names
    };
    let times = rows.iter().map(|row| if row.key().is_some() { of(row.key()) } else { Vec::new() });
    times.chain([of(None)]).collect()
}

/// The head of a report, in parts that may stand on one line.
pub(super) fn head(report: &Report) -> Vec<String> {
    let goes_on = report.month.is_some()
        && report
            .period
            .zone
            .date(report.made_ms)
            .is_some_and(|today| today.tomorrow().is_ok_and(|tomorrow| tomorrow < report.period.after));
    let so_far = if goes_on { " so far" } else { "" };
    let mut parts = vec![
        format!("Spend {}", sum(&report.total, &report.currency)),
        format!("{}{so_far} ({})", report.period.label(), report.period.zone.name()),
    ];
    parts.extend(report.before.as_ref().and_then(|before| versus(report, before)));
    if !report.filter.is_empty() {
        parts.push(one_line(&format!("where {}", report.filter)));
    }
    if let Some(foreign) = &report.currency.foreign {
        parts.push(format!("{} at {} for $1", foreign.code, foreign.rate));
    }
    parts
}

/// `+144% vs prior 7 days`.
fn versus(report: &Report, before: &Before) -> Option<String> {
    let label = before.label(&report.period);
    match (before.total.is_empty(), report.is_empty()) {
        (true, true) => None,
        (true, false) => Some(format!("nothing in {label}")),
        (false, _) => match change(report.total.picos, before.total.picos) {
            Some(change) => Some(format!("{change} vs {label}")),
            None => Some(format!("{} in {label}", sum(&before.total, &report.currency))),
        },
    }
}

/// A line of items, and whether it tells of a budget that is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) items: Vec<String>,
    pub(super) between: &'static str,
    pub(super) breached: bool,
}

/// What is to be known beside the sums, a line each.
pub(super) fn below(report: &Report) -> Vec<Said> {
    let plain = |items: Vec<String>| Said { items, between: "   ", breached: false };
    let mut lines: Vec<Said> = report.month.iter().map(|month| to_date(month, &report.currency)).collect();
    lines.push(plain(counts(report)));
    let (total, currency) = (&report.total, &report.currency);
    if total.open > 0 {
        let unknown = match total.open_unknown {
            0 => String::new(),
            unknown => format!(" ({unknown} without a ceiling)"),
        };
        let held = amount(total.held, currency);
        lines.push(plain(vec![format!("Open: {}{unknown}, held at most {held}, in no sum above", calls(total.open))]));
    }
    if total.simulated > 0 {
        let part = amount(total.simulated_picos, currency);
        lines
            .push(plain(vec![format!("Simulated: {}, {part} of the sum: no money was spent", calls(total.simulated))]));
    }
    if report.imported.calls > 0 {
        let part = sum(&report.imported, currency);
        lines
            .push(plain(vec![format!("Imported: {} from elsewhere, {part} of the sum", calls(report.imported.calls))]));
    }
    lines.extend(left_out(report).map(|said| plain(vec![said])));
    lines
}

fn left_out(report: &Report) -> Option<String> {
    let calls = calls(report.left_out);
    (report.left_out > 0).then(|| format!("Left out by the comparison of cost: {calls} whose amount nobody knows"))
}

pub(super) fn calls(number: u64) -> String {
    if number == 1 { "1 call".to_owned() } else { format!("{} calls", grouped(number)) }
}

pub(super) fn to_date(month: &Month, currency: &Currency) -> Said {
    let spent = sum(&month.tally, currency);
    let limit = month.budget.as_ref().map(|budget| i128::from(budget.limit.picos));
    let breached = limit.is_some_and(|limit| month.tally.picos > limit);
    let of = month.budget.as_ref().map(|budget| {
        let limit = i128::from(budget.limit.picos);
        let used = share(&month.tally, limit);
        let over = if breached { format!(", over budget {}", one_line(&budget.name)) } else { String::new() };
        let months = if budget.zone == month.period.zone {
            String::new()
        } else {
            format!(" (budget {}: months of {})", one_line(&budget.name), budget.zone.name())
        };
        format!(" of {} ({used}){over}{months}", currency.told(limit, 2))
    });
    let mut items = vec![format!("Month to date {spent}{}", of.unwrap_or_default())];
    if let Some(pace) = month.pace.filter(|_| month.tally.picos > 0) {
        items.push(format!("at this pace {} by {}", roughly(pace, currency), month.last_day().strftime("%-d %b")));
    }
    Said { items, between: "  ·  ", breached }
}

fn counts(report: &Report) -> Vec<String> {
    let total = &report.total;
    let mut items = Vec::new();
    let mark = |count: u64, mark: &str| if count > 0 { format!(" ({mark})") } else { String::new() };
    items.push(format!("Unpriced: {}{}", grouped(total.unpriced), mark(total.unpriced, "+ at least")));
    items.push(format!("Failed, not billed: {}", grouped(total.failed_free)));
    if total.failed > total.failed_free {
        items.push(format!("Failed, billed: {}", grouped(total.failed - total.failed_free)));
    }
    if total.uncertain > 0 {
        let most = amount(total.at_most, &report.currency);
        let bound = if total.unpriced == 0 && total.at_most > total.picos {
            format!("~ at most {most}")
        } else {
            "~".to_owned()
        };
        items.push(format!("Estimated: {} ({bound})", grouped(total.uncertain)));
    }
    items.push("How each sum was made: --explain".to_owned());
    items
}

/// What a report says that has nothing in it, and what to do.
pub(super) fn nothing(report: &Report) -> Vec<String> {
    let zone = &report.period.zone;
    let day =
        |at_ms: i64| zone.date(at_ms).or_else(|| Timestamp::from_millisecond(at_ms).ok().map(|_| report.period.first));
    match report.known.and_then(|(first, last)| day(first).zip(day(last))) {
        None => vec![
            "The ledger is empty.".to_owned(),
            "try: llmx chat -m sim/echo \"hello\"   (no key, no cost, nothing is sent)".to_owned(),
        ],
        Some((first, last)) => {
            if let Some(absent) = &report.absent {
                return missing(absent);
            }
            let within = first < report.period.after && last >= report.period.first;
            let no = match (report.filter.is_empty(), within) {
                (false, _) => "No call of these days fits the filter.",
                (true, _) => "No call was made in these days.",
            };
            let days = if first == last { first.to_string() } else { format!("{first}..{last}") };
            let advice = format!("try: llmx usage {days}   (the days that have calls)");
            [Some(no.to_owned()), left_out(report), Some(advice)].into_iter().flatten().collect()
        }
    }
}

/// So many values are named.
const NAMED_MAX: usize = 6;

fn missing(Absent { dimension, value, there }: &Absent) -> Vec<String> {
    let distance = |known: &&String| strsim::damerau_levenshtein(known, value);
    let near = there.iter().min_by_key(distance).filter(|known| distance(known) <= value.chars().count().div_ceil(3));
    let meant = near.map(|known| format!("did you mean {}? ", one_line(known))).unwrap_or_default();
    let more = there.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named: Vec<String> = there.iter().take(NAMED_MAX).map(|known| one_line(known)).collect();
    vec![
        format!("No call of these days has {dimension} {}.", one_line(value)),
        format!("try: {meant}their {dimension} is {}{more}", named.join(", ")),
    ]
}
