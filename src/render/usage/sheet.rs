//! The figures of a report in columns, before anybody knows how wide the screen is.

use crate::domain::spend::report::{Report, Row, What, times};
use crate::domain::spend::{Dimension, Key, Tally};

use super::tell::{self, Digits, Money, NONE, Names};

/// Rows of figures: the name, then a cell in each column; the last row may be the sum of the others.
pub(super) struct Sheet {
    /// Stands above the names.
    pub(super) head: String,
    pub(super) labels: Vec<Label>,
    pub(super) columns: Vec<Column>,
    /// The last row is the sum.
    pub(super) summed: bool,
}

pub(super) struct Label {
    pub(super) indent: usize,
    pub(super) text: String,
}

pub(super) struct Column {
    pub(super) head: &'static str,
    /// Columns of the screen that it has at the least, with the space before it.
    pub(super) room: usize,
    pub(super) leaves: Leaves,
    pub(super) cells: Cells,
}

pub(super) enum Cells {
    /// Figures: they end at the right, and are never cut.
    Figures(Vec<String>),
    /// Words: they begin at the left.
    Words(Vec<String>),
    /// Amounts as bars, the largest the longest.
    Bars(Vec<i128>),
    /// Names of which some may be left out.
    Names(Vec<Vec<String>>),
}

/// When a column goes where there is no room for all: the first go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leaves {
    /// It takes what room the others leave.
    AtOnce,
    First,
    Second,
    Third,
    Fourth,
    Fifth,
    Sixth,
    Never,
}

/// Which figures there are, and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// Every meter, every digit.
    Full,
    /// Every meter.
    Wide,
    Narrow,
}

impl Set {
    /// The most telling first: those of which one may fit.
    pub(super) fn for_width(width: Option<usize>) -> &'static [Set] {
        match width {
            None | Some(160..) => &[Set::Full, Set::Wide, Set::Narrow],
            Some(120..) => &[Set::Wide, Set::Narrow],
            Some(_) => &[Set::Narrow],
        }
    }

    fn digits(self) -> Digits {
        if self == Set::Full { Digits::All } else { Digits::Three }
    }
}

/// Stands in place of an amount that nobody knows.
const UNKNOWN: &str = "unknown";

/// One row of the sheet before it is written.
struct Item<'a> {
    row: &'a Row,
    /// The places of the dimension in the list.
    depth: usize,
}

/// The groups of a report, each row of the second dimension below its own of the first.
pub(super) fn groups(report: &Report, set: Set) -> Sheet {
    let timed = report.by.first().is_some_and(Dimension::is_time);
    let items: Vec<Item<'_>> = report
        .rows
        .iter()
        .flat_map(|row| {
            let inner = row.inner.iter().map(|row| Item { row, depth: 1 });
            std::iter::once(Item { row, depth: 0 }).chain(inner)
        })
        .collect();
    let total = Row {
        what: What::Others(0),
        tally: report.total,
        price: None,
        inner: Vec::new(),
        before: report.before.as_ref().filter(|before| before.asked && !timed).map(|before| before.total.picos),
    };
    let names = Names::of(report);
    let label = |item: &Item<'_>| Label {
        indent: 2 * item.depth,
        text: report.by.get(item.depth).map(|dimension| names.row(item.row, dimension)).unwrap_or_default(),
    };
    let mut labels: Vec<Label> = items.iter().map(label).collect();
    labels.push(Label { indent: 0, text: "Total".to_owned() });
    let rows: Vec<&Row> = items.iter().map(|item| item.row).chain([&total]).collect();
    let head = if timed { String::new() } else { report.by.first().map(heading).unwrap_or_default() };
    let columns =
        if report.by.contains(&Dimension::Meter) { metered(report, &rows) } else { called(report, set, &rows, timed) };
    Sheet { head, labels, columns, summed: true }
}

/// `By model`, `By tag:team`.
fn heading(dimension: &Dimension) -> String {
    crate::domain::untrusted::one_line(&format!("By {dimension}"))
}

/// The models of a report with the price that they were billed at.
pub(super) fn models(report: &Report, set: Set) -> Sheet {
    let names = Names::of(report);
    let rows: Vec<&Row> = report.models.iter().collect();
    let label = |row: &&Row| Label { indent: 0, text: names.row(row, &Dimension::Model) };
    let labels = rows.iter().map(label).collect();
    let wide = set != Set::Narrow;
    let mut columns = vec![
        figures("reqs", if wide { 9 } else { 7 }, Leaves::Never, &rows, |row| reqs(row, set)),
        costs(report, &rows, UNKNOWN),
    ];
    columns.extend(before(report, &rows));
    columns.push(figures("share", 7, Leaves::Sixth, &rows, |row| share(report, row)));
    if wide {
        columns.push(millions(report, &rows));
        columns.push(sources(&rows));
    }
    Sheet { head: heading(&Dimension::Model), labels, columns, summed: false }
}

fn called(report: &Report, set: Set, rows: &[&Row], timed: bool) -> Vec<Column> {
    let digits = set.digits();
    let is_model = report.by.first() == Some(&Dimension::Model);
    let tokens = |head, room, leaves, of: fn(&Tally) -> u64| {
        figures(head, room, leaves, rows, |row| called_at_all(row).then(|| digits.count(of(&row.tally))))
    };
    let cached = |head, room| {
        figures(head, room, Leaves::Third, rows, |row| {
            called_at_all(row)
                .then(|| row.tally.cached_percent().map_or(NONE.to_owned(), |percent| format!("{percent}%")))
        })
    };
    let mut columns = vec![figures("reqs", 6, Leaves::Never, rows, |row| reqs(row, set))];
    match set {
        Set::Narrow => {
            columns.push(tokens("input", 8, Leaves::Fourth, Tally::prompt));
            columns.push(tokens("output", 8, Leaves::Fourth, |tally| tally.output));
            columns.push(cached("cache%", 7));
        }
        Set::Full | Set::Wide => {
            let room = |full, wide| if set == Set::Full { full } else { wide };
            columns.push(tokens("fresh in", room(11, 9), Leaves::Fourth, |tally| tally.input));
            columns.push(tokens("cache rd", room(12, 9), Leaves::Fourth, |tally| tally.cache_read));
            columns.push(tokens("cache wr", room(11, 9), Leaves::Fourth, |tally| tally.cache_write));
            columns.push(tokens("output", room(10, 8), Leaves::Fourth, |tally| tally.output));
            columns.push(cached("hit", 5));
            columns.push(per_request(report, rows));
        }
    }
    columns.push(costs(report, rows, UNKNOWN));
    columns.extend(before(report, rows));
    columns.extend(troubles(report, rows, set));
    if !timed {
        columns.push(figures("share", 7, Leaves::Third, rows, |row| share(report, row)));
    }
    if is_model && set == Set::Full {
        columns.push(millions(report, rows));
    }
    if is_model && set != Set::Narrow {
        columns.push(sources(rows));
    }
    columns.push(trend(report, rows).unwrap_or_else(|| bars(rows)));
    if timed && report.by.len() == 1 && report.by.first() != Some(&Dimension::Hour) && set == Set::Full {
        let named = report.by.first().map(|dimension| tell::models(report, dimension, &report.rows));
        let cells = Cells::Names(named.unwrap_or_default());
        columns.push(Column { head: "models", room: 2, leaves: Leaves::AtOnce, cells });
    }
    columns
}

/// A call is in as many rows as it has meters, so only amounts and units add up.
fn metered(report: &Report, rows: &[&Row]) -> Vec<Column> {
    let of_meter = |row: &&Row| row.inner.is_empty() || report.by.first() == Some(&Dimension::Meter);
    let units = |row: &Row| (row.tally.units > 0 && of_meter(&row)).then(|| tell::grouped(row.tally.units));
    // What a meter's part of a known amount is, nobody says.
    let mut columns = vec![figures("units", 9, Leaves::Fourth, rows, units), costs(report, rows, NONE)];
    columns.extend(before(report, rows));
    columns.push(figures("share", 7, Leaves::Third, rows, |row| share(report, row)));
    columns.push(trend(report, rows).unwrap_or_else(|| bars(rows)));
    columns
}

fn figures(
    head: &'static str,
    room: usize,
    leaves: Leaves,
    rows: &[&Row],
    cell: impl Fn(&Row) -> Option<String>,
) -> Column {
    let cells = rows.iter().map(|row| cell(row).unwrap_or_default()).collect();
    Column { head, room, leaves, cells: Cells::Figures(cells) }
}

/// Whether there is anything to say of it but that nothing was called.
fn called_at_all(row: &Row) -> bool {
    row.tally.calls > 0
}

fn reqs(row: &Row, set: Set) -> Option<String> {
    match (row.tally.is_empty(), row.tally.calls) {
        (true, _) => Some(NONE.to_owned()),
        (false, calls) => Some(set.digits().calls(calls)),
    }
}

fn share(report: &Report, row: &Row) -> Option<String> {
    (!row.tally.is_empty()).then(|| tell::share(&row.tally, report.total.picos))
}

/// Amounts, each marked where it is not the whole truth.
fn costs(report: &Report, rows: &[&Row], unknown: &str) -> Column {
    let money = Money::of(&report.currency, 2, rows.iter().map(|row| row.tally.picos));
    // A meter that has no amount of its own takes nothing from calls that all have theirs.
    let mark = |row: &Row| match (row.tally.unpriced.min(report.total.unpriced), row.tally.uncertain) {
        (0, 0) => "",
        (0, _) => "~",
        (_, _) => "+",
    };
    let marked = rows.iter().any(|row| !mark(row).is_empty());
    figures("cost", 9, Leaves::Never, rows, |row| {
        let shown = match (row.tally.is_empty(), tell::is_unknown(&row.tally)) {
            (true, _) => return None,
            (false, true) => return Some(unknown.to_owned()),
            (false, false) => money.shown(row.tally.picos),
        };
        Some(format!("{shown}{}", if marked && mark(row).is_empty() { " " } else { mark(row) }))
    })
}

fn per_request(report: &Report, rows: &[&Row]) -> Column {
    let each = |row: &Row| tell::each(row.tally.picos, row.tally.calls.saturating_sub(row.tally.unpriced));
    let money = Money::of(&report.currency, 3, rows.iter().filter_map(|row| each(row)));
    let head = if report.currency.foreign.is_some() { "per req" } else { "$/req" };
    figures(head, 7, Leaves::First, rows, |row| each(row).map(|each| money.shown(each)))
}

fn millions(report: &Report, rows: &[&Row]) -> Column {
    let money = Money::of(&report.currency, 3, rows.iter().filter_map(|row| tell::per_million(row)));
    let head = if report.currency.foreign.is_some() { "per 1M tok" } else { "$/1M tok" };
    figures(head, 11, Leaves::First, rows, |row| tell::per_million(row).map(|each| money.shown(each)))
}

fn sources(rows: &[&Row]) -> Column {
    let source = |row: &&Row| if row.key().is_some() { tell::source(row.price.as_deref()) } else { String::new() };
    Column {
        head: "price source",
        room: 3,
        leaves: Leaves::First,
        cells: Cells::Words(rows.iter().map(source).collect()),
    }
}

/// What each came to before, and by how much that differs.
fn before(report: &Report, rows: &[&Row]) -> Vec<Column> {
    if rows.iter().all(|row| row.before.is_none()) {
        return Vec::new();
    }
    let money = Money::of(&report.currency, 2, rows.iter().filter_map(|row| row.before));
    vec![
        figures("before", 9, Leaves::Fifth, rows, |row| row.before.map(|picos| money.shown(picos))),
        figures("change", 8, Leaves::Sixth, rows, |row| row.before.map(|picos| tell::changed(row, picos))),
    ]
}

/// How many calls have no amount, and how many failed, where that bears on the sums.
fn troubles(report: &Report, rows: &[&Row], set: Set) -> Vec<Column> {
    let count = |head, room, of: fn(&Tally) -> u64| {
        figures(head, room, Leaves::Sixth, rows, |row| {
            Some(of(&row.tally)).filter(|count| *count > 0).map(|count| set.digits().calls(count))
        })
    };
    let mut columns = Vec::new();
    if report.total.unpriced > 0 {
        columns.push(count("unpriced", 10, |tally| tally.unpriced));
    }
    if report.total.failed > report.total.failed_free {
        columns.push(count("failed", 8, |tally| tally.failed));
    }
    columns
}

fn bars(rows: &[&Row]) -> Column {
    // The sum has none: it would be longer than every other.
    let amounts = rows.split_last().map(|(_, rows)| rows).unwrap_or_default().iter().map(|row| row.tally.picos);
    Column { head: "", room: 2, leaves: Leaves::AtOnce, cells: Cells::Bars(amounts.chain([0]).collect()) }
}

/// How each group went over the times of the second dimension: a column for each of them, as high as its part of the group's
/// highest.
fn trend(report: &Report, rows: &[&Row]) -> Option<Column> {
    /// A year of weeks; more would be wider than a screen.
    const MOST: usize = 53;
    let [first, second] = report.by.as_slice() else { return None };
    if first.is_time() || !second.is_time() {
        return None;
    }
    let times: Vec<Key> = times(second, &report.period, report.made_ms);
    if !(2..=MOST).contains(&times.len()) {
        return None;
    }
    let line = |row: &&Row| {
        let amount =
            |time: &Key| row.inner.iter().find(|inner| inner.key() == Some(time)).map_or(0, |row| row.tally.picos);
        let whole = !row.inner.is_empty() && row.inner.iter().all(|inner| inner.key().is_some());
        if whole { sparkline(&times.iter().map(amount).collect::<Vec<_>>()) } else { String::new() }
    };
    let cells = Cells::Words(rows.iter().map(line).collect());
    Some(Column { head: "trend", room: 2, leaves: Leaves::Second, cells })
}

fn sparkline(amounts: &[i128]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = amounts.iter().copied().max().unwrap_or_default();
    let level = |amount: &i128| {
        let eighths = amount.checked_mul(8).and_then(|eight| (eight - 1).checked_div(most)).unwrap_or_default();
        let place = usize::try_from(eighths).unwrap_or_default().min(7);
        if *amount > 0 { LEVELS[place] } else { ' ' }
    };
    amounts.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn a_sparkline_has_a_column_for_every_time_and_none_for_nothing() {
        assert_eq!(sparkline(&[0, 1, 50, 100]), " ▁▄█");
        assert_eq!(sparkline(&[0, 0]), "  ");
        assert_eq!(sparkline(&[7]), "█");
    }
}
