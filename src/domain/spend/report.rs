//! The report of what was spent, as a value: what the table, the files and the page all show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use super::currency::Currency;
use super::period::{Period, next_month, number, week};
use super::{Dimension, Group, Key, Tally};
use crate::domain::money::Usd;
use crate::domain::record::Price;
use crate::domain::window::Zone;

/// What was spent in a period, in groups, and what is needed to read it rightly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// When it was made.
    pub made_ms: i64,
    pub period: Period,
    /// As it was written; empty: every call.
    pub filter: String,
    /// One or two.
    pub by: Vec<Dimension>,
    /// In the order in which they are shown. Of a grouping by time those without calls are among them.
    pub rows: Vec<Row>,
    pub total: Tally,
    /// The models of all rows, with the price that they were last billed at, by cost.
    pub models: Vec<Row>,
    /// Sums by day and model of the same calls, in ascending order; only those that have calls.
    pub days: Vec<Group>,
    /// Of `total`: what was read from elsewhere (`usage import`).
    pub imported: Tally,
    pub before: Option<Before>,
    /// The month that is going on; `None` where the period has ended before today.
    pub month: Option<Month>,
    pub currency: Currency,
    /// When the first and the last call of the ledger were opened, whatever the question.
    pub known: Option<(i64, i64)>,
    /// Why nothing fits the filter, where that can be said.
    pub absent: Option<Absent>,
    /// Calls without a known amount that only a comparison of cost left out.
    pub left_out: u64,
}

/// What a filter wants to be there, and no call of the period has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    pub dimension: Dimension,
    pub value: String,
    /// What its calls have instead, by cost.
    pub there: Vec<String>,
}

/// A group, or several that are shown as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub what: What,
    pub tally: Tally,
    pub price: Option<Arc<Price>>,
    /// The groups of the second dimension.
    pub inner: Vec<Row>,
    /// What the same group came to before; `None`: it was not asked, or there was none.
    pub before: Option<i128>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Group(Key),
    /// So many groups that have no row of their own.
    Others(usize),
}

/// The period that this one is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    pub period: Period,
    pub total: Tally,
    /// It was asked for: each group says what it came to before.
    pub asked: bool,
}

/// The calendar month up to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Month {
    /// The whole month.
    pub period: Period,
    /// Of the calls that the filter lets through.
    pub tally: Tally,
    /// Picodollars by its end if the rest goes on like the part that has passed; `None` in the first day of it.
    pub pace: Option<i128>,
    pub budget: Option<Monthly>,
}

/// The tightest budget of a month over just the calls that the report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monthly {
    pub name: String,
    pub limit: Usd,
    /// On whose calendar its months are.
    pub zone: Zone,
}

/// What rows are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The most first, as with calls and tokens.
    Cost,
    Name,
    Calls,
    Tokens,
    /// The oldest first.
    Time,
}

/// A list longer than this leaves out the empty groups at its ends.
const ENDS_KEPT: usize = 62;

/// Groups as rows: the first dimension with the second within it, ordered, empty times filled in, and at most `top` in
/// each list, with the others as one row.
#[must_use]
pub fn rows(
    groups: &[Group],
    by: &[Dimension],
    frame: &Frame<'_>,
    order: Option<Order>,
    top: Option<usize>,
) -> Vec<Row> {
    let Some((first, rest)) = by.split_first() else {
        return Vec::new();
    };
    let mut rows: Vec<Row> = Vec::new();
    // Groups come sorted by their keys, so those of one row follow one another.
    for part in groups.chunk_by(|one, other| one.keys.first() == other.keys.first()) {
        let Some(key) = part.first().and_then(|group| group.keys.first()) else { continue };
        let within = |group: &Group| Group {
            keys: group.keys.iter().skip(1).cloned().collect(),
            tally: group.tally,
            price: group.price.clone(),
        };
        let inner: Vec<Group> = part.iter().map(within).collect();
        let mut row = sum(What::Group(key.clone()), part.iter().map(|group| (group.tally, group.price.clone())));
        row.inner = self::rows(&inner, rest, &Frame { fills: false, before: None, ..*frame }, order, top);
        rows.push(row);
    }
    if first.is_time() {
        rows = if frame.fills { filled(rows, first, frame) } else { rows };
    } else if let Some(before) = frame.before {
        compared(&mut rows, before);
    }
    let order = order.filter(|order| *order != Order::Time || first.is_time());
    let order = order.unwrap_or(if first.is_time() { Order::Time } else { Order::Cost });
    sorted(&mut rows, order);
    cut(rows, order, top)
}

/// Sums over fewer dimensions: those of `keys`, by their places, in that order.
#[must_use]
pub fn regrouped(groups: &[Group], places: &[usize]) -> Vec<Group> {
    let mut sums: BTreeMap<Vec<&Key>, (Tally, Option<Arc<Price>>)> = BTreeMap::new();
    for group in groups {
        let keys: Vec<&Key> = places.iter().filter_map(|place| group.keys.get(*place)).collect();
        let (tally, price) = sums.entry(keys).or_default();
        *tally = tally.plus(group.tally);
        *price = group.price.clone().or(price.take());
    }
    let group =
        |(keys, (tally, price)): (Vec<&Key>, _)| Group { keys: keys.into_iter().cloned().collect(), tally, price };
    sums.into_iter().map(group).collect()
}

/// What a list of times is filled from.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub period: &'a Period,
    pub now_ms: i64,
    /// Times without calls get a row.
    pub fills: bool,
    /// The groups of the period before, where each is to say what it came to: one that is no more gets a row.
    pub before: Option<&'a [Group]>,
}

fn sum(what: What, parts: impl Iterator<Item = (Tally, Option<Arc<Price>>)>) -> Row {
    let mut row = Row { what, tally: Tally::default(), price: None, inner: Vec::new(), before: None };
    for (tally, price) in parts {
        row.tally = row.tally.plus(tally);
        row.price = price.or(row.price);
    }
    row
}

/// Says of each group what it came to before.
fn compared(rows: &mut Vec<Row>, before: &[Group]) {
    let mut sums: BTreeMap<Key, i128> = BTreeMap::new();
    for group in before {
        if let Some(key) = group.keys.first() {
            *sums.entry(key.clone()).or_default() += group.tally.picos;
        }
    }
    for row in rows.iter_mut() {
        row.before = Some(row.key().and_then(|key| sums.remove(key)).unwrap_or_default());
    }
    rows.extend(sums.into_iter().map(|(key, picos)| {
        let gone = sum(What::Group(key), std::iter::empty());
        Row { before: Some(picos), ..gone }
    }));
}

/// Every time of the period up to now, with the row that it has.
fn filled(mut rows: Vec<Row>, dimension: &Dimension, frame: &Frame<'_>) -> Vec<Row> {
    let known: BTreeSet<Key> = rows.iter().filter_map(|row| row.key().cloned()).collect();
    let mut keys = times(dimension, frame.period, frame.now_ms);
    if keys.len() > ENDS_KEPT {
        let (first, last) = (known.first(), known.last());
        keys.retain(|key| first.is_some_and(|first| key >= first) && last.is_some_and(|last| key <= last));
    }
    keys.retain(|key| !known.contains(key));
    rows.extend(keys.into_iter().map(|key| sum(What::Group(key), std::iter::empty())));
    sorted(&mut rows, Order::Time);
    rows
}

/// The keys of the times of a period that have begun.
#[must_use]
pub fn times(dimension: &Dimension, period: &Period, now_ms: i64) -> Vec<Key> {
    let today = period.zone.date(now_ms).unwrap_or(period.first);
    let days = period.days().take_while(|day| *day <= today);
    let mut keys: Vec<Key> = match dimension {
        Dimension::Hour => {
            days.flat_map(|day| hours(day, &period.zone)).filter(|hour| *hour <= now_ms).map(Key::Hour).collect()
        }
        Dimension::Week => days.map(|day| Key::Date(week(day))).collect(),
        Dimension::Month => days.map(|day| Key::Date(day.first_of_month())).collect(),
        _ => days.map(Key::Date).collect(),
    };
    keys.dedup();
    keys
}

/// The beginnings of the hours of a day, as [`Zone::hour`] names them.
fn hours(day: Date, zone: &Zone) -> Vec<i64> {
    const QUARTER_MS: i64 = 900_000;
    let ends = zone.beginning(day).zip(day.tomorrow().ok().and_then(|next| zone.beginning(next)));
    let Some((from_ms, to_ms)) = ends else { return Vec::new() };
    let count = (to_ms - from_ms) / QUARTER_MS;
    let mut hours: Vec<i64> = (0..count).map(|quarter| zone.hour(from_ms + quarter * QUARTER_MS)).collect();
    hours.dedup();
    hours
}

fn sorted(rows: &mut [Row], order: Order) {
    match order {
        Order::Cost => {
            rows.sort_by(|one, other| other.tally.picos.cmp(&one.tally.picos).then_with(|| by_key(one, other)))
        }
        Order::Calls => {
            rows.sort_by(|one, other| other.tally.calls.cmp(&one.tally.calls).then_with(|| by_key(one, other)))
        }
        Order::Tokens => rows.sort_by(|one, other| other.tokens().cmp(&one.tokens()).then_with(|| by_key(one, other))),
        Order::Name | Order::Time => rows.sort_by(by_key),
    }
}

fn by_key(one: &Row, other: &Row) -> std::cmp::Ordering {
    one.key().cmp(&other.key())
}

/// The first `top`, and the others as one row. Of times the dearest are kept, in the order of time.
fn cut(mut rows: Vec<Row>, order: Order, top: Option<usize>) -> Vec<Row> {
    let Some(top) = top.filter(|top| *top < rows.len()) else {
        return rows;
    };
    if order == Order::Time {
        sorted(&mut rows, Order::Cost);
    }
    let others = rows.split_off(top);
    sorted(&mut rows, order);
    let mut rest = sum(What::Others(others.len()), others.iter().map(|row| (row.tally, None)));
    rest.before = others.iter().filter_map(|row| row.before).reduce(i128::saturating_add);
    rows.push(rest);
    rows
}

impl Row {
    /// `None`: it stands for several groups.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        match &self.what {
            What::Group(key) => Some(key),
            What::Others(_) => None,
        }
    }

    /// Every token, of the prompt and of the answer.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tally.prompt().saturating_add(self.tally.output)
    }
}

impl Tally {
    /// Nothing happened: no call, not even an open one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls == 0 && self.open == 0 && self.units == 0 && self.at_most == 0
    }
}

impl Report {
    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total.is_empty()
    }

    /// The sums of each day, of all models, in ascending order; only days that have calls.
    #[must_use]
    pub fn by_day(&self) -> Vec<(Date, Tally)> {
        let day = |group: &Group| match group.keys.first() {
            Some(Key::Date(day)) => Some(*day),
            _ => None,
        };
        let days = self.days.chunk_by(|one, other| one.keys.first() == other.keys.first());
        days.filter_map(|part| {
            let tally = part.iter().fold(Tally::default(), |sums, group| sums.plus(group.tally));
            Some((part.first().and_then(day)?, tally))
        })
        .collect()
    }
}

impl Month {
    /// The month that is going on, from what it came to so far.
    #[must_use]
    pub fn of(period: Period, tally: Tally, now_ms: i64, budget: Option<Monthly>) -> Month {
        const DAY_MS: i64 = 86_400_000;
        let span = period.span();
        let elapsed = now_ms.saturating_sub(span.from_ms);
        let whole = span.to_ms.map(|to_ms| to_ms.saturating_sub(span.from_ms));
        let pace = whole
            .filter(|_| elapsed >= DAY_MS)
            .and_then(|whole| tally.picos.checked_mul(i128::from(whole))?.checked_div(i128::from(elapsed)));
        Month { period, tally, pace, budget }
    }

    /// Its last day.
    #[must_use]
    pub fn last_day(&self) -> Date {
        self.period.after.yesterday().unwrap_or(self.period.after)
    }
}

impl Before {
    /// `prior 7 days`, `October 2026`.
    #[must_use]
    pub fn label(&self, of: &Period) -> String {
        let count = self.period.count();
        let whole_month = self.period.first.day() == 1 && next_month(self.period.first) == Some(self.period.after);
        match (self.period.after == of.first, whole_month, count) {
            (true, false, 1) => "the day before".to_owned(),
            (true, false, _) => format!("prior {count} days"),
            (_, _, _) => self.period.label(),
        }
    }
}

impl Key {
    /// As machines read it: `2026-11-22`, `2026-W47`, `2026-11`, an hour with its offset, or the text itself.
    #[must_use]
    pub fn written(&self, dimension: &Dimension, zone: &Zone) -> String {
        match (self, dimension) {
            (Key::Hour(at_ms), _) => zone.stamp(*at_ms),
            (Key::Date(day), Dimension::Week) => iso_week(*day),
            (Key::Date(day), Dimension::Month) => day.strftime("%Y-%m").to_string(),
            (Key::Date(day), _) => day.to_string(),
            (Key::Text(text), _) => text.clone(),
        }
    }
}

/// `2026-W47` (ISO 8601).
#[must_use]
pub fn iso_week(day: Date) -> String {
    let week = day.iso_week_date();
    format!("{}-W{:02}", week.year(), week.week())
}

/// How many days lie between two, the first counted.
#[must_use]
pub fn between(from: Date, to: Date) -> i64 {
    number(to) - number(from)
}

#[cfg(test)]
mod tests {
    use super::{Frame, Order, Row, What, regrouped, rows, times};
    use crate::domain::spend::period::Period;
    use crate::domain::spend::{Dimension, Group, Key, Tally};
    use crate::domain::window::Zone;

    /// In 2096.
    const LATER: i64 = 4_000_000_000_000;

    fn period(text: &str, zone: &str) -> Period {
        Period::parse(text, 0, &Zone::named(zone).expect("a zone")).expect("a period")
    }

    fn group(keys: &[&str], picos: i128) -> Group {
        let key = |text: &&str| text.parse().map_or_else(|_| Key::Text((*text).to_owned()), Key::Date);
        let tally = Tally { calls: 1, picos, at_most: picos, ..Tally::default() };
        Group { keys: keys.iter().map(key).collect(), tally, price: None }
    }

    fn shown(rows: &[Row]) -> Vec<(String, i128)> {
        let what = |row: &Row| match &row.what {
            What::Group(Key::Date(day)) => day.to_string(),
            What::Group(Key::Text(text)) => text.clone(),
            What::Group(Key::Hour(at)) => at.to_string(),
            What::Others(count) => format!("{count} others"),
        };
        rows.iter().map(|row| (what(row), row.tally.picos)).collect()
    }

    fn pairs(expected: &[(&str, i128)]) -> Vec<(String, i128)> {
        expected.iter().map(|(what, picos)| ((*what).to_owned(), *picos)).collect()
    }

    #[test]
    fn days_without_calls_are_among_the_days_up_to_now() {
        let period = period("2026-11-16..2026-11-22", "UTC");
        let groups = [group(&["2026-11-17", "a"], 3), group(&["2026-11-17", "b"], 4), group(&["2026-11-19", "a"], 5)];
        let now_ms = period.span().from_ms + 4 * 86_400_000;
        let frame = Frame { period: &period, now_ms, fills: true, before: None };
        let found = rows(&groups, &[Dimension::Day, Dimension::Model], &frame, None, None);
        let expected = [("2026-11-16", 0), ("2026-11-17", 7), ("2026-11-18", 0), ("2026-11-19", 5), ("2026-11-20", 0)];
        assert_eq!(shown(&found), pairs(&expected));
        assert_eq!(shown(&found[1].inner), pairs(&[("b", 4), ("a", 3)]));
    }

    #[test]
    fn what_is_beyond_the_top_is_summed_and_no_amount_is_lost() {
        let period = period("2026-11-16", "UTC");
        let frame = Frame { period: &period, now_ms: LATER, fills: true, before: None };
        let groups = ["a", "b", "c", "d"].map(|name| group(&[name], i128::from(name.as_bytes()[0])));
        let by = [Dimension::Project];
        let top = |order, top| shown(&rows(&groups, &by, &frame, order, top));
        assert_eq!(top(None, Some(1)), pairs(&[("d", 100), ("3 others", 97 + 98 + 99)]));
        assert_eq!(top(Some(Order::Name), Some(3)), pairs(&[("a", 97), ("b", 98), ("c", 99), ("1 others", 100)]));
        assert_eq!(top(None, Some(4)).len(), 4);
    }

    #[test]
    fn a_group_that_is_no_more_is_compared_too() {
        let period = period("2026-11-16", "UTC");
        let before = [group(&["gone"], 7), group(&["kept"], 2)];
        let frame = Frame { period: &period, now_ms: LATER, fills: true, before: Some(&before) };
        let found = rows(&[group(&["kept"], 5), group(&["new"], 1)], &[Dimension::Project], &frame, None, None);
        let compared: Vec<_> = found.iter().map(|row| (row.tally.picos, row.before)).collect();
        assert_eq!(compared, [(5, Some(2)), (1, Some(0)), (0, Some(7))]);
    }

    #[test]
    fn a_day_has_the_hours_of_its_zone() {
        for (day, zone, count) in [
            ("2026-10-25", "Europe/Berlin", 25),
            ("2026-03-29", "Europe/Berlin", 23),
            ("2026-11-22", "Asia/Kathmandu", 24),
        ] {
            let period = period(day, zone);
            let hours = times(&Dimension::Hour, &period, LATER);
            assert_eq!(hours.len(), count, "{day} {zone}");
            let of_zone = |key: &Key| matches!(key, Key::Hour(at) if period.zone.hour(*at) == *at);
            assert!(hours.iter().all(of_zone));
        }
        assert_eq!(times(&Dimension::Week, &period("2026-11", "UTC"), LATER).len(), 6);
    }

    #[test]
    fn sums_over_fewer_dimensions_are_the_same_sums() {
        let groups = [group(&["2026-11-17", "a"], 3), group(&["2026-11-17", "b"], 4), group(&["2026-11-19", "a"], 5)];
        let by_model = regrouped(&groups, &[1]);
        assert_eq!(by_model.iter().map(|group| group.tally.picos).collect::<Vec<_>>(), [8, 4]);
        assert_eq!(by_model[0].keys, [Key::Text("a".to_owned())]);
    }
}
