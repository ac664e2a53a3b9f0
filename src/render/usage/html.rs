//! A report as one web page that can be mailed: charts, the tables behind them, and what is to be known beside every sum.
//!
//! It loads nothing. Lengths are shares of a width, so that text keeps its size on a narrow screen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::civil::{Date, Weekday};

use super::plot::{self, Area, Axis};
use super::tell::{self, Names, grouped};
use crate::domain::record::{Record, Settlement};
use crate::domain::spend::currency::Currency;
use crate::domain::spend::forecast::Ahead;
use crate::domain::spend::period::week;
use crate::domain::spend::report::{Month, Report, Row, What, regrouped, times};
use crate::domain::spend::{Dimension, Key, Tally};
use crate::domain::untrusted::one_line;
use crate::domain::window::Zone;
use crate::render::logs::short;
use crate::render::page::{Page, escaped, heading};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page shows beside the report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// Picodollars of each day of the month that is going on, in ascending order. Empty: they are taken from the report, where
    /// its days begin no later than the month.
    pub month_days: &'a [(Date, i128)],
    /// Where the month may end: today and every day to come, in order. Empty: there is no forecast.
    pub ahead: &'a [Ahead],
    /// The projects of the same calls, by cost. Empty: nobody asked.
    pub projects: &'a [Row],
    /// The dearest calls, the dearest first.
    pub dearest: &'a [Record],
}

/// The page.
#[must_use]
pub fn page(report: &Report, beside: &Beside<'_>) -> String {
    let mut body = format!(
        "<a class=\"skip\" href=\"#figures\">Skip to the figures</a>\n{}{}<main>\n",
        plot::PATTERNS,
        head(report)
    );
    if report.is_empty() {
        let said: String =
            tell::nothing(report).iter().map(|line| format!("<p>{}</p>\n", escaped(&one_line(line)))).collect();
        body.push_str(&format!("<section id=\"figures\" tabindex=\"-1\">\n<h2>Nothing here</h2>\n{said}</section>\n"));
    } else {
        body.push_str(&spend_by_time(report));
        body.push_str(&shares(report, beside));
        body.push_str(&month(report, beside));
        body.push_str(&dearest(report, beside.dearest));
        body.push_str(&models(report));
        body.push_str(&figures(report));
    }
    body.push_str("</main>\n");
    body.push_str(&foot(report));
    let title = format!("Spend {}, {}", tell::sum(&report.total, &report.currency), report.period.label());
    Page { title: &title, style: STYLE, script: SCRIPT, body: &body }.html()
}

/// A name from outside, whatever its direction.
fn name(text: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(text))
}

fn head(report: &Report) -> String {
    let mut parts = tell::head(report).into_iter();
    let spend = parts.next().unwrap_or_default();
    let (over, sum) = spend.split_once(' ').unwrap_or(("Spend", &spend));
    let said: String = parts.map(|part| format!("<li>{}</li>\n", name(&part))).collect();
    format!(
        "<header>\n<p class=\"over\">{}</p>\n<h1>{}</h1>\n<ul class=\"lead\">\n{said}</ul>\n{}</header>\n",
        escaped(over),
        escaped(sum),
        facts(report)
    )
}

/// What stands beside the sum: a word, a figure, what it means, and whether it needs a look.
struct Fact {
    word: &'static str,
    figure: String,
    meaning: String,
    look: bool,
}

fn facts(report: &Report) -> String {
    let (total, currency) = (&report.total, &report.currency);
    let fact = |word, figure: String, meaning: String, look| Fact { word, figure, meaning, look };
    let amount = |picos| tell::amount(picos, currency);
    let mut facts = vec![fact("Requests", grouped(total.calls), String::new(), false)];
    if total.prompt() > 0 || total.output > 0 {
        let cached = total.cached_percent().map(|percent| format!("{percent}% served by a cache"));
        facts.push(fact("Prompt tokens", grouped(total.prompt()), cached.unwrap_or_default(), false));
        let thought = format!("{} of them thinking", grouped(total.reasoning));
        let thought = if total.reasoning > 0 { thought } else { String::new() };
        facts.push(fact("Output tokens", grouped(total.output), thought, false));
    }
    let unpriced = match total.unpriced {
        0 => "every amount is known",
        _ => "in no sum: each is “at least”",
    };
    facts.push(fact("Unpriced", grouped(total.unpriced), unpriced.to_owned(), total.unpriced > 0));
    facts.push(fact("Failed, not billed", grouped(total.failed_free), String::new(), false));
    let billed = total.failed.saturating_sub(total.failed_free);
    facts.push(fact("Failed, billed", grouped(billed), String::new(), billed > 0));
    if total.uncertain > 0 {
        let most = format!("the sum is at most {}", amount(total.at_most));
        let most = if total.unpriced == 0 { most } else { "their amounts are not certain".to_owned() };
        facts.push(fact("Estimated", grouped(total.uncertain), most, false));
    }
    if total.open > 0 {
        let unknown = match total.open_unknown {
            0 => String::new(),
            unknown => format!(", {} without a ceiling", grouped(unknown)),
        };
        let held = format!("held at most {}, in no sum{unknown}", amount(total.held));
        facts.push(fact("Open", grouped(total.open), held, true));
    }
    if total.simulated > 0 {
        let part = format!("{} of the sum: no money was spent", amount(total.simulated_picos));
        facts.push(fact("Simulated", grouped(total.simulated), part, false));
    }
    if report.imported.calls > 0 {
        let part = format!("{} of the sum, from elsewhere", tell::sum(&report.imported, currency));
        facts.push(fact("Imported", grouped(report.imported.calls), part, false));
    }
    let cards = facts.into_iter().map(|Fact { word, figure, meaning, look }| {
        let meaning = if meaning.is_empty() { meaning } else { format!("<small>{}</small>", escaped(&meaning)) };
        let class = if look { " class=\"look\"" } else { "" };
        format!("<div{class}><dt>{word}</dt><dd>{figure}{meaning}</dd></div>\n")
    });
    format!("<dl class=\"facts\">\n{}</dl>\n", cards.collect::<String>())
}

/// So many models have a colour of their own; the others share the last one.
const SERIES: usize = 6;

/// More bars than this are drawn by week, and then by month.
const BARS_MAX: usize = 62;

/// The bars of a stacked chart.
struct Stack {
    by: Dimension,
    /// Whose the parts are, the dearest first.
    series: Vec<String>,
    bars: Vec<Bar>,
}

struct Bar {
    key: Key,
    tally: Tally,
    /// Picodollars, one for each series.
    parts: Vec<i128>,
}

fn stack(report: &Report) -> Stack {
    let mut models = regrouped(&report.days, &[1]);
    models.sort_by_key(|model| std::cmp::Reverse(model.tally.picos));
    let place: BTreeMap<&Key, usize> =
        models.iter().enumerate().filter_map(|(at, model)| Some((model.keys.first()?, at.min(SERIES)))).collect();
    let names = Names::of(report);
    let mut series: Vec<String> = models
        .iter()
        .take(SERIES)
        .filter_map(|model| model.keys.first().map(|key| names.key(key, &Dimension::Model)))
        .collect();
    if let Some(others) = models.len().checked_sub(SERIES).filter(|others| *others > 0) {
        series.push(if others == 1 { "1 other".to_owned() } else { format!("{others} others") });
    }

    let by = granularity(report);
    let mut sums: BTreeMap<Key, Bar> = spanned(report, &by)
        .into_iter()
        .map(|key| (key.clone(), Bar { key, tally: Tally::default(), parts: vec![0; series.len()] }))
        .collect();
    for group in &report.days {
        let [Key::Date(day), model] = group.keys.as_slice() else { continue };
        let bar = sums.get_mut(&Key::Date(begun(*day, &by)));
        let (Some(bar), Some(place)) = (bar, place.get(model)) else { continue };
        bar.tally = bar.tally.plus(group.tally);
        if let Some(part) = bar.parts.get_mut(*place) {
            *part = part.saturating_add(group.tally.picos);
        }
    }
    Stack { by, series, bars: sums.into_values().collect() }
}

fn granularity(report: &Report) -> Dimension {
    let few = |by: &Dimension| spanned(report, by).len() <= BARS_MAX;
    [Dimension::Day, Dimension::Week].into_iter().find(few).unwrap_or(Dimension::Month)
}

/// The days, weeks or months of the period; of many only those from the first with a call to the last.
fn spanned(report: &Report, by: &Dimension) -> Vec<Key> {
    let mut keys = times(by, &report.period, report.made_ms);
    if keys.len() > BARS_MAX {
        let known = |group: Option<&crate::domain::spend::Group>| match group?.keys.first()? {
            Key::Date(day) => Some(Key::Date(begun(*day, by))),
            Key::Hour(_) | Key::Text(_) => None,
        };
        let ends = known(report.days.first()).zip(known(report.days.last()));
        keys.retain(|key| ends.as_ref().is_some_and(|(first, last)| first <= key && key <= last));
    }
    keys
}

fn begun(day: Date, by: &Dimension) -> Date {
    match by {
        Dimension::Week => week(day),
        Dimension::Month => day.first_of_month(),
        _ => day,
    }
}

fn spend_by_time(report: &Report) -> String {
    let Stack { by, series, bars } = stack(report);
    let names = Names::of(report);
    let currency = &report.currency;
    let top = bars.iter().map(|bar| bar.parts.iter().map(|part| (*part).max(0)).sum()).max().unwrap_or_default();
    let axis = Axis::of(top, currency);
    let told = |bar: &Bar| if bar.tally.is_empty() { "nothing".to_owned() } else { amount_of(&bar.tally, currency) };
    let columns: Vec<plot::Column> = bars
        .iter()
        .map(|bar| {
            let when = names.key(&bar.key, &by);
            let when = when.split_whitespace().collect::<Vec<_>>().join(" ");
            let shown = plot::Told {
                value: value(&bar.tally, currency),
                tip: format!("{when}: {}, {}", told(bar), requests(bar.tally.calls)),
                parts: bar
                    .parts
                    .iter()
                    .zip(&series)
                    .filter(|(part, _)| **part > 0)
                    .map(|(part, name)| format!("{name} {}", tell::amount(*part, currency)))
                    .collect(),
            };
            plot::Column { label: label(&bar.key, &by), parts: &bar.parts, told: shown }
        })
        .collect();
    let dearest = bars.iter().max_by_key(|bar| bar.tally.picos).filter(|bar| bar.tally.picos > 0);
    let most = dearest.map(|bar| {
        let when = names.key(&bar.key, &by).split_whitespace().collect::<Vec<_>>().join(" ");
        format!(" The most in one {by}: {} ({when}).", told(bar))
    });
    let marks = [
        (report.total.unpriced > 0, " + at least: unpriced calls are in no bar."),
        (report.total.uncertain > 0, " ~ estimated."),
    ];
    let marks: String = marks.into_iter().filter(|(is, _)| *is).map(|(_, said)| said).collect();
    let about = format!("Each bar is a {by}, stacked by model.{}{marks}", most.unwrap_or_default());
    let chart = plot::bars("time", &format!("Spend by {by}, stacked by model"), &about, &axis, &columns);
    format!(
        "<section aria-labelledby=\"h-time\">\n<h2 id=\"h-time\">Spend by {by}</h2>\n<p class=\"about\">{}</p>\n<div class=\"sheet\">\n{}{chart}{}</div>\n</section>\n",
        escaped(&about),
        keys(&series),
        behind(&stacked_table(&names, &by, &series, &bars, currency))
    )
}

/// The amount above a bar, with the marks that [`tell`] uses.
fn value(tally: &Tally, currency: &Currency) -> String {
    if tally.is_empty() || tell::is_unknown(tally) {
        return String::new();
    }
    let (least, about) = (if tally.unpriced > 0 { "+" } else { "" }, if tally.uncertain > 0 { "~" } else { "" });
    format!("{}{about}{least}", tell::amount(tally.picos, currency))
}

/// What a bar is called below the axis.
fn label(key: &Key, by: &Dimension) -> plot::Label {
    let Key::Date(day) = key else { return plot::Label::default() };
    let shown = |format: &str| day.strftime(format).to_string();
    match by {
        Dimension::Month => {
            plot::Label { first: shown("%b"), second: shown("%Y"), alone: shown("%b %Y"), anchor: day.month() == 1 }
        }
        Dimension::Week => {
            plot::Label { first: shown("%-d"), second: shown("%b"), alone: shown("%-d %b"), anchor: day.day() <= 7 }
        }
        _ => plot::Label {
            first: shown("%-d"),
            second: shown("%a"),
            alone: shown("%-d %b"),
            anchor: day.weekday() == Weekday::Monday,
        },
    }
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{} requests", grouped(count)) }
}

fn keys(series: &[String]) -> String {
    let items =
        series.iter().enumerate().map(|(at, series)| format!("<li>{}{}</li>\n", plot::swatch(at), name(series)));
    format!("<ul class=\"keys\" aria-label=\"Models\">\n{}</ul>\n", items.collect::<String>())
}

/// The figures of a chart, for those who do not see it.
fn behind(table: &str) -> String {
    format!("<details><summary>The same as a table</summary>\n{table}</details>\n")
}

fn stacked_table(names: &Names<'_>, by: &Dimension, series: &[String], bars: &[Bar], currency: &Currency) -> String {
    let scroll = scroll("h-time");
    let mut text = format!(
        "{scroll}<table>\n<caption>Spend by {by} and model, in {}.</caption>\n<thead><tr><th scope=\"col\">{by}</th>",
        currency.code()
    );
    for name in series.iter().map(String::as_str).chain(["all", "requests"]) {
        let _ = write!(text, "<th scope=\"col\" class=\"number\">{}</th>", self::name(name));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for bar in bars {
        let _ = write!(text, "<tr><th scope=\"row\" class=\"when\">{}</th>", escaped(&names.key(&bar.key, by)));
        for part in &bar.parts {
            let said = if *part == 0 { tell::NONE.to_owned() } else { tell::amount(*part, currency) };
            let _ = write!(text, "<td class=\"number\">{}</td>", escaped(&said));
        }
        let all = if bar.tally.is_empty() { tell::NONE.to_owned() } else { amount_of(&bar.tally, currency) };
        let _ = writeln!(
            text,
            "<td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            escaped(&all),
            grouped(bar.tally.calls)
        );
    }
    text.push_str("</tbody>\n</table></div>\n");
    text
}

/// Begins a box for a table: wide ones scroll within it, by keys as well.
fn scroll(heading: &str) -> String {
    format!("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{heading}\">")
}

fn amount_of(tally: &Tally, currency: &Currency) -> String {
    if tell::is_unknown(tally) { "unknown".to_owned() } else { tell::sum(tally, currency) }
}

/// Who had how much: models, projects, and whatever else the report is grouped by.
fn shares(report: &Report, beside: &Beside<'_>) -> String {
    let mut panels = vec![share(report, &Dimension::Model, &report.models)];
    let mut shown = vec![Dimension::Model];
    if !beside.projects.is_empty() {
        panels.push(share(report, &Dimension::Project, beside.projects));
        shown.push(Dimension::Project);
    }
    for (at, dimension) in report.by.iter().enumerate() {
        if !dimension.is_time() && !shown.contains(dimension) {
            panels.push(share(report, dimension, &merged(&report.rows, at)));
        }
    }
    format!("<div class=\"pair\">\n{}</div>\n", panels.concat())
}

/// The rows of the first or the second dimension, each group once, by cost.
fn merged(rows: &[Row], place: usize) -> Vec<Row> {
    let inner: Vec<&Row> = match place {
        0 => rows.iter().collect(),
        _ => rows.iter().flat_map(|row| &row.inner).collect(),
    };
    let mut sums: Vec<Row> = Vec::new();
    for row in inner {
        let others = |what: &What| matches!(what, What::Others(_));
        let same = |sum: &&mut Row| sum.what == row.what || others(&sum.what) && others(&row.what);
        match sums.iter_mut().find(same) {
            Some(sum) => sum.tally = sum.tally.plus(row.tally),
            None => sums.push(Row { inner: Vec::new(), before: None, ..row.clone() }),
        }
    }
    sums.sort_by(|one, other| {
        let last = |row: &Row| matches!(row.what, What::Others(_));
        last(one).cmp(&last(other)).then_with(|| other.tally.picos.cmp(&one.tally.picos))
    });
    sums
}

/// A share is one row of a panel; more than these are one row.
const SHARES: usize = 10;

fn share(report: &Report, dimension: &Dimension, rows: &[Row]) -> String {
    let names = Names::of(report);
    let whole = report.total.picos;
    let cut = if rows.len() > SHARES + 1 { SHARES } else { rows.len() };
    let (first, rest) = rows.split_at(cut.min(rows.len()));
    // Of models the colour is that of the bars above.
    let fill = |at: usize, row: &Row| match (dimension, &row.what) {
        (Dimension::Model, What::Group(_)) => at.min(SERIES),
        (Dimension::Model, What::Others(_)) => SERIES,
        (_, _) => 0,
    };
    let mut lines: Vec<(String, Tally, usize)> =
        first.iter().enumerate().map(|(at, row)| (names.row(row, dimension), row.tally, fill(at, row))).collect();
    if !rest.is_empty() {
        let sum = rest.iter().fold(Tally::default(), |sum, row| sum.plus(row.tally));
        let others: usize = rest.iter().map(|row| if let What::Others(count) = row.what { count } else { 1 }).sum();
        lines.push((format!("{others} others"), sum, if *dimension == Dimension::Model { SERIES } else { 0 }));
    }
    let scroll = scroll(&format!("h-{}", slug(dimension)));
    let mut text = format!(
        "<section aria-labelledby=\"h-{0}\">\n<h2 id=\"h-{0}\">Share by {1}</h2>\n{scroll}<table class=\"share\">\n<caption>Of {2}.</caption>\n<thead><tr><th scope=\"col\">{1}</th><th scope=\"col\" class=\"number\">cost</th><th scope=\"col\" class=\"number\">share</th></tr></thead>\n<tbody>\n",
        slug(dimension),
        escaped(&one_line(&dimension.to_string())),
        escaped(&tell::sum(&report.total, &report.currency))
    );
    for (line, tally, fill) in &lines {
        let swatch = if *dimension == Dimension::Model { plot::swatch(*fill) } else { String::new() };
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\"{}><span class=\"name\">{swatch}{}</span>{}{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            if swatch.is_empty() { " class=\"plain\"" } else { "" },
            name(line),
            marks(tally, &report.currency),
            plot::length(tally.picos, whole, *fill),
            escaped(&cost(tally, &report.currency)),
            escaped(&tell::share(tally, whole))
        );
    }
    text.push_str("</tbody>\n</table></div>\n</section>\n");
    text
}

/// A name for an id, from what only a user may have chosen.
fn slug(dimension: &Dimension) -> String {
    match dimension {
        Dimension::Tag(_) => "tag".to_owned(),
        other => other.to_string(),
    }
}

fn cost(tally: &Tally, currency: &Currency) -> String {
    if tally.is_empty() {
        tell::NONE.to_owned()
    } else if tell::is_unknown(tally) {
        "unknown".to_owned()
    } else {
        tell::amount(tally.picos, currency)
    }
}

/// What is to be known beside one sum.
fn marks(tally: &Tally, currency: &Currency) -> String {
    let mut marks = Vec::new();
    if tally.unpriced > 0 {
        let least = if tell::is_unknown(tally) { "" } else { "at least: " };
        marks.push(format!("{least}{} unpriced", grouped(tally.unpriced)));
    }
    if tally.uncertain > 0 {
        let most = if tally.unpriced == 0 {
            format!(", at most {}", tell::amount(tally.at_most, currency))
        } else {
            String::new()
        };
        marks.push(format!("{} estimated{most}", grouped(tally.uncertain)));
    }
    if tally.failed > 0 {
        let billed = match tally.failed - tally.failed_free.min(tally.failed) {
            0 => ", not billed".to_owned(),
            billed if billed == tally.failed => ", billed".to_owned(),
            billed => format!(", {} billed", grouped(billed)),
        };
        marks.push(format!("{} failed{billed}", grouped(tally.failed)));
    }
    if tally.open > 0 {
        marks.push(format!("{} open, held {}", grouped(tally.open), tell::amount(tally.held, currency)));
    }
    if tally.simulated > 0 {
        marks.push(format!("{} simulated", grouped(tally.simulated)));
    }
    marks.iter().map(|mark| format!("<small>{}</small>", escaped(mark))).collect()
}

/// The month up to now against its budget, and where it may end.
fn month(report: &Report, beside: &Beside<'_>) -> String {
    let Some(month) = &report.month else { return String::new() };
    let currency = &report.currency;
    let mut said = tell::to_date(month, currency).items;
    if let Some(last) = beside.ahead.last() {
        // It knows more than the pace.
        said.truncate(1);
        said.push(forecast(last, currency));
    }
    let title = month.period.first.strftime("%B %Y").to_string();
    let mut text = format!(
        "<section aria-labelledby=\"h-month\">\n<h2 id=\"h-month\">{title} to date</h2>\n<p class=\"about\">{}</p>\n",
        escaped(&one_line(&said.join(" · ")))
    );
    if let Some(days) = month_days(report, month, beside) {
        text.push_str(&month_chart(report, month, &days, beside.ahead));
    }
    text.push_str("</section>\n");
    text
}

/// `forecast $124 by 30 Nov ($110 to $140)`.
fn forecast(last: &Ahead, currency: &Currency) -> String {
    let told = |picos| tell::roughly(picos, currency);
    let day = last.day.strftime("%-d %b");
    format!("forecast {} by {day} ({} to {})", told(last.expected), told(last.low), told(last.high))
}

/// What each day of the month cost up to today; `None`: nobody knows all of them.
fn month_days(report: &Report, month: &Month, beside: &Beside<'_>) -> Option<Vec<(Date, i128)>> {
    let today = month.period.zone.date(report.made_ms)?;
    let known: BTreeMap<Date, i128> = match beside.month_days {
        [] if report.period.first <= month.period.first && report.period.after > today => {
            report.by_day().into_iter().map(|(day, tally)| (day, tally.picos)).collect()
        }
        [] => return None,
        days => days.iter().copied().collect(),
    };
    let days = month.period.days().take_while(|day| *day <= today);
    Some(days.map(|day| (day, known.get(&day).copied().unwrap_or_default())).collect())
}

fn month_chart(report: &Report, month: &Month, days: &[(Date, i128)], ahead: &[Ahead]) -> String {
    let currency = &report.currency;
    let span = month.period.span();
    let length = month.period.count();
    let whole = span.to_ms.unwrap_or(span.from_ms).saturating_sub(span.from_ms);
    let now = plot::thousandths(i128::from(report.made_ms.saturating_sub(span.from_ms)), i128::from(whole));
    let end_of = |day: Date| {
        let past = crate::domain::spend::report::between(month.period.first, day) + 1;
        plot::thousandths(i128::from(past), i128::from(length))
    };
    let mut sum = 0_i128;
    let mut spent = vec![(0, 0)];
    for (at, (day, picos)) in days.iter().enumerate() {
        sum = sum.saturating_add(*picos);
        let x = if at + 1 == days.len() { now } else { end_of(*day) };
        spent.push((x, sum));
    }
    let limit = month.budget.as_ref().map(|budget| i128::from(budget.limit.picos));
    let pace = month.pace.filter(|_| ahead.is_empty());
    let top = [Some(sum), limit, pace, ahead.last().map(|last| last.high)].into_iter().flatten().max();
    let axis = Axis::of(top.unwrap_or_default(), currency);
    let mut area = Area::of(&axis);
    let mut about = format!("{} in {} days.", tell::amount(sum, currency), days.len());
    if let Some(last) = ahead.last() {
        let from = (now, sum);
        let at = |of: fn(&Ahead) -> i128| {
            let days = ahead.iter().map(move |ahead| (end_of(ahead.day), of(ahead)));
            std::iter::once(from).chain(days).collect::<Vec<_>>()
        };
        area.band(&at(|ahead| ahead.low), &at(|ahead| ahead.high));
        area.line("likely", &at(|ahead| ahead.expected));
        let _ = write!(about, " The {}: four ends of five lie in the band.", forecast(last, currency));
    } else if let Some(pace) = pace.filter(|_| sum > 0) {
        area.line("likely", &[(now, sum), (1000, pace)]);
        let _ = write!(
            about,
            " At this pace {} by {}.",
            tell::roughly(pace, currency),
            month.last_day().strftime("%-d %b")
        );
    }
    area.under(&spent);
    area.line("spent", &spent);
    if let Some((budget, limit)) = month.budget.as_ref().zip(limit) {
        let told = format!("budget {} {}", one_line(&budget.name), currency.told(limit, 2));
        area.limit(limit, &told);
        let over = if sum > limit { "The budget is used up" } else { "The budget" };
        let _ = write!(about, " {over}: {told}.");
    }
    area.now(now);
    let ticks: Vec<(i64, String)> = month
        .period
        .days()
        .filter(|day| day.day() % 7 == 1 && day.day() < 28 || *day == month.last_day())
        .map(|day| (end_of(day), day.strftime("%-d %b").to_string()))
        .collect();
    let chart = area.chart("month", "Spend of the month, added up day by day", &about, &ticks);
    let mut keys = "<li><svg class=\"swatch\" aria-hidden=\"true\" viewBox=\"0 0 14 14\"><path class=\"spent\" d=\"M0 7H14\"/></svg>spent</li>\n".to_owned();
    if !ahead.is_empty() {
        keys.push_str("<li><svg class=\"swatch\" aria-hidden=\"true\" viewBox=\"0 0 14 14\"><rect class=\"reach\" width=\"14\" height=\"14\"/><path class=\"likely\" d=\"M0 7H14\"/></svg>forecast, with the band of 80%</li>\n");
    } else if pace.is_some() && sum > 0 {
        keys.push_str("<li><svg class=\"swatch\" aria-hidden=\"true\" viewBox=\"0 0 14 14\"><path class=\"likely\" d=\"M0 7H14\"/></svg>at this pace</li>\n");
    }
    if limit.is_some() {
        keys.push_str("<li><svg class=\"swatch\" aria-hidden=\"true\" viewBox=\"0 0 14 14\"><path class=\"limit\" d=\"M0 7H14\"/></svg>budget</li>\n");
    }
    format!(
        "<div class=\"sheet\">\n<ul class=\"keys\" aria-label=\"Lines\">\n{keys}</ul>\n{chart}{}</div>\n",
        behind(&month_table(days, ahead, currency))
    )
}

fn month_table(days: &[(Date, i128)], ahead: &[Ahead], currency: &Currency) -> String {
    let scroll = scroll("h-month");
    let mut text = format!(
        "{scroll}<table>\n<caption>The month added up, in {}.</caption>\n<thead><tr><th scope=\"col\">day</th><th scope=\"col\" class=\"number\">spent</th><th scope=\"col\" class=\"number\">so far</th><th scope=\"col\" class=\"number\">forecast</th><th scope=\"col\" class=\"number\">from</th><th scope=\"col\" class=\"number\">to</th></tr></thead>\n<tbody>\n",
        currency.code()
    );
    let mut row = |day: Date, cells: [Option<i128>; 5]| {
        let _ = write!(text, "<tr><th scope=\"row\" class=\"when\">{}</th>", day.strftime("%a %-d %b"));
        for cell in cells {
            let said = cell.map_or(tell::NONE.to_owned(), |picos| tell::amount(picos, currency));
            let _ = write!(text, "<td class=\"number\">{}</td>", escaped(&said));
        }
        text.push_str("</tr>\n");
    };
    let mut sum = 0_i128;
    let last = days.last().map(|(day, _)| *day);
    let likely = |day: Date| ahead.iter().find(|ahead| ahead.day == day);
    for (day, picos) in days {
        sum = sum.saturating_add(*picos);
        let likely = likely(*day).filter(|_| Some(*day) == last);
        row(
            *day,
            [Some(*picos), Some(sum), likely.map(|it| it.expected), likely.map(|it| it.low), likely.map(|it| it.high)],
        );
    }
    for likely in ahead.iter().filter(|ahead| last.is_none_or(|last| ahead.day > last)) {
        row(likely.day, [None, None, Some(likely.expected), Some(likely.low), Some(likely.high)]);
    }
    text.push_str("</tbody>\n</table></div>\n");
    text
}

/// A cell that a heading sorts by its number.
fn figure(said: &str, below: &str, value: Option<i128>) -> String {
    let value = value.map(|value| value.to_string()).unwrap_or_default();
    format!("<td class=\"number\" data-value=\"{value}\">{}{below}</td>", escaped(said))
}

fn count(number: u64) -> String {
    figure(&grouped(number), "", Some(number.into()))
}

/// The groups that were asked for, whole.
fn figures(report: &Report) -> String {
    let names = Names::of(report);
    let metered = report.by.contains(&Dimension::Meter);
    let compared = report.before.as_ref().is_some_and(|before| before.asked) && report.by.len() == 1;
    let by: Vec<String> = report.by.iter().map(|dimension| one_line(&dimension.to_string())).collect();
    let scroll = scroll("h-figures");
    let mut text = format!(
        "<section class=\"long\" aria-labelledby=\"h-figures\">\n<h2 id=\"h-figures\">By {}</h2>\n{scroll}<table class=\"sortable\" id=\"figures\" tabindex=\"-1\">\n<caption>{} A heading sorts the rows.</caption>\n<thead><tr>",
        escaped(&by.join(" and ")),
        if metered {
            "A call is in as many rows as its bill has lines."
        } else {
            "Requests that ended; an unknown amount is in no sum, but counted beside it."
        }
    );
    text.extend(by.iter().map(|name| heading(name, false)));
    let counts: &[&str] =
        if metered { &["units"] } else { &["requests", "input", "cache read", "cache write", "output", "cached"] };
    text.extend(counts.iter().chain(&["cost", "share"]).map(|name| heading(name, true)));
    if compared {
        text.push_str(&heading("before", true));
        text.push_str(&heading("change", true));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    let cells = |tally: &Tally| {
        let mut cells = String::new();
        if metered {
            cells.push_str(&count(tally.units));
        } else {
            for number in [tally.calls, tally.input, tally.cache_read, tally.cache_write, tally.output] {
                cells.push_str(&if tally.is_empty() { figure(tell::NONE, "", Some(0)) } else { count(number) });
            }
            let cached = tally.cached_percent();
            let said = cached.map_or(tell::NONE.to_owned(), |percent| format!("{percent}%"));
            cells.push_str(&figure(&said, "", cached.map(i128::from)));
        }
        let known = (!tell::is_unknown(tally)).then_some(tally.picos);
        // A meter without an amount of its own takes nothing from calls that all have theirs.
        let told = Tally { unpriced: tally.unpriced.min(report.total.unpriced), ..*tally };
        cells.push_str(&figure(&cost(tally, &report.currency), &marks(&told, &report.currency), known));
        cells.push_str(&figure(&tell::share(tally, report.total.picos), "", known));
        cells
    };
    let mut place = 0;
    let mut row = |path: &[&Row]| {
        text.push_str("<tr>");
        for (at, (row, dimension)) in path.iter().zip(&report.by).enumerate() {
            let tag = if at == 0 { "th scope=\"row\"" } else { "td" };
            // Times sort as they follow one another.
            let value = match &row.what {
                What::Group(Key::Date(day)) => {
                    format!(" data-value=\"{}\"", crate::domain::spend::period::number(*day))
                }
                What::Group(Key::Hour(at_ms)) => format!(" data-value=\"{at_ms}\""),
                What::Others(_) if dimension.is_time() => " data-value=\"\"".to_owned(),
                What::Group(Key::Text(_)) | What::Others(_) => String::new(),
            };
            let end = if at == 0 { "th" } else { "td" };
            let class = if dimension.is_time() { " class=\"when\"" } else { "" };
            let _ = write!(text, "<{tag}{class}{value}>{}</{end}>", name(&names.row(row, dimension)));
        }
        if let Some(last) = path.last() {
            text.push_str(&cells(&last.tally));
            if compared {
                let before = last.before;
                let said = before.map_or(tell::NONE.to_owned(), |before| tell::amount(before, &report.currency));
                text.push_str(&figure(&said, "", before));
                let change = before.map_or(tell::NONE.to_owned(), |before| tell::changed(last, before));
                text.push_str(&figure(&change, "", before.map(|before| last.tally.picos.saturating_sub(before))));
            }
        }
        text.push_str("</tr>\n");
        place += 1;
    };
    for outer in &report.rows {
        if outer.inner.is_empty() && report.by.len() == 1 {
            row(&[outer]);
        }
        for inner in &outer.inner {
            row(&[outer, inner]);
        }
    }
    let blank = "<td></td>".repeat(report.by.len().saturating_sub(1));
    let after = if compared { "<td></td><td></td>" } else { "" };
    let total = if metered {
        cells(&Tally { units: 0, ..report.total }).replacen("data-value=\"0\">0<", "data-value=\"\"><", 1)
    } else {
        cells(&report.total)
    };
    let _ = write!(
        text,
        "</tbody>\n<tfoot><tr><th scope=\"row\">Total</th>{blank}{total}{after}</tr></tfoot>\n</table></div>\n</section>\n"
    );
    text
}

/// The models with their prices, and how old these are.
fn models(report: &Report) -> String {
    let names = Names::of(report);
    let scroll = scroll("h-prices");
    let mut text = format!(
        "<section class=\"long\" aria-labelledby=\"h-prices\">\n<h2 id=\"h-prices\">Models and their prices</h2>\n{scroll}<table class=\"sortable\">\n<caption>The price source is that of the last bill: the table, and the day on which the price was checked. A heading sorts the rows.</caption>\n<thead><tr>"
    );
    text.push_str(&heading("model", false));
    text.extend(["requests", "cost", "share", "per 1M tokens"].map(|name| heading(name, true)));
    text.extend(["price source", "price entry"].map(|name| heading(name, false)));
    text.push_str("</tr></thead>\n<tbody>\n");
    for row in &report.models {
        let known = (!tell::is_unknown(&row.tally)).then_some(row.tally.picos);
        let each = known.and_then(|_| tell::per_million(row));
        let each_told = each.map_or(tell::NONE.to_owned(), |picos| tell::amount(picos, &report.currency));
        let entry = row.price.as_ref().map_or(tell::NONE.to_owned(), |price| {
            let from = price.row_from.as_ref().map(|from| format!(", from {from}")).unwrap_or_default();
            one_line(&format!("{}{from}", price.entry))
        });
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th>{}{}{}{}<td class=\"when\">{}</td><td>{}</td></tr>",
            name(&names.row(row, &Dimension::Model)),
            count(row.tally.calls),
            figure(&cost(&row.tally, &report.currency), &marks(&row.tally, &report.currency), known),
            figure(&tell::share(&row.tally, report.total.picos), "", known),
            figure(&each_told, "", each),
            escaped(&tell::source(row.price.as_deref())),
            name(&entry)
        );
    }
    text.push_str("</tbody>\n</table></div>\n</section>\n");
    text
}

fn dearest(report: &Report, calls: &[Record]) -> String {
    if calls.is_empty() {
        return String::new();
    }
    let zone = &report.period.zone;
    let scroll = scroll("h-dearest");
    let mut text = format!(
        "<section class=\"long\" aria-labelledby=\"h-dearest\">\n<h2 id=\"h-dearest\">The dearest calls</h2>\n{scroll}<table class=\"sortable\">\n<caption>Each is one attempt. Its bill: llmx logs show ID --explain (the end of an id is enough). A heading sorts the rows.</caption>\n<thead><tr>"
    );
    text.push_str(&heading("cost", true));
    text.extend(["opened", "model", "project", "user"].map(|name| heading(name, false)));
    text.extend(["prompt", "output"].map(|name| heading(name, true)));
    text.extend(["end", "id"].map(|name| heading(name, false)));
    text.push_str("</tr></thead>\n<tbody>\n");
    for record in calls {
        let (said, below, value) = booked(record, &report.currency);
        let below = if below.is_empty() { below } else { format!("<small>{}</small>", escaped(&below)) };
        let settlement = record.settled.as_ref().map(|settled| &settled.settlement);
        let text_of = |found: Option<&String>| found.map_or(tell::NONE.to_owned(), |text| name(&one_line(text)));
        let region = record.call.region.as_ref().map(|region| format!("@{region}")).unwrap_or_default();
        let tokens = |meters: &[&str]| {
            let lines = settlement.iter().flat_map(|settlement| &settlement.lines);
            let counted = lines.filter(|line| meters.contains(&line.meter.as_str())).map(|line| line.quantity);
            let sum = counted.reduce(u64::saturating_add);
            figure(&sum.map_or(tell::NONE.to_owned(), grouped), "", sum.map(i128::from))
        };
        let _ = writeln!(
            text,
            "<tr>{}<td class=\"when\" data-value=\"{}\">{}</td><td>{}</td><td>{}</td><td>{}</td>{}{}<td>{}</td><td class=\"id when\">{}</td></tr>",
            figure(&said, &below, value),
            record.opened_ms,
            escaped(&clock(record.opened_ms, zone)),
            name(&one_line(&format!("{}{region}/{}", record.call.provider, record.call.model))),
            text_of(record.call.project.as_ref()),
            text_of(record.call.user.as_ref()),
            tokens(&PROMPT),
            tokens(&OUTPUT),
            escaped(&ended(settlement)),
            name(&one_line(short(&record.call.id)))
        );
    }
    text.push_str("</tbody>\n</table></div>\n</section>\n");
    text
}

const PROMPT: [&str; 7] =
    ["input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "cache_read_audio", "input_image"];
const OUTPUT: [&str; 4] = ["output", "output_audio", "output_image", "reasoning"];

/// What a call is booked at, how that came about, and the number.
fn booked(record: &Record, currency: &Currency) -> (String, String, Option<i128>) {
    let told = |picos: i64| tell::amount(picos.into(), currency);
    let Some(settled) = &record.settled else {
        let held = record.call.ceiling.map(|ceiling| format!("held at most {}", told(ceiling.picos)));
        return ("open".to_owned(), held.unwrap_or_default(), None);
    };
    let total = record.total();
    let said = total.map_or("unknown".to_owned(), |total| told(total.picos));
    let below = match (record.corrections.last(), settled.settlement.at_most) {
        (Some(_), _) => "corrected".to_owned(),
        (None, Some(most)) => format!("{}, at most {}", one_line(&settled.settlement.basis), told(most.picos)),
        (None, None) if settled.settlement.basis == "table" => String::new(),
        (None, None) => one_line(&settled.settlement.basis),
    };
    (said, below, total.map(|total| total.picos.into()))
}

fn ended(settlement: Option<&Settlement>) -> String {
    let Some(settlement) = settlement else { return "open".to_owned() };
    let words = [&settlement.error_class, &settlement.stopped, &settlement.stop_reason];
    words.into_iter().flatten().next().map_or(tell::NONE.to_owned(), |word| one_line(word))
}

/// `2026-11-22 13:49:05` on the zone's clock.
fn clock(at_ms: i64, zone: &Zone) -> String {
    zone.stamp(at_ms).get(..19).unwrap_or_default().replace('T', " ")
}

fn foot(report: &Report) -> String {
    let zone = report.period.zone.name();
    let filter = match report.filter.as_str() {
        "" => String::new(),
        filter => format!("<p>Only calls that fit {}.</p>\n", name(&one_line(filter))),
    };
    let currency = match &report.currency.foreign {
        None => "Amounts are US dollars, added up exactly and rounded where they are shown.".to_owned(),
        Some(foreign) => format!(
            "Amounts are added up in US dollars, exactly, and shown in {} at {} for $1.",
            foreign.code, foreign.rate
        ),
    };
    format!(
        "<footer>\n<p>Made by llmx {} on {}. Days are those of {}.</p>\n{filter}<p>{}</p>\n<p>How a sum was made: llmx usage --explain. This page loads nothing and sends nothing.</p>\n</footer>\n",
        env!("CARGO_PKG_VERSION"),
        escaped(&report.period.zone.told(report.made_ms)),
        escaped(zone),
        escaped(&currency)
    )
}
