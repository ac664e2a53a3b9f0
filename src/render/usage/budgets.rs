//! Where every budget stands, how fast it is being spent, and when it will be reached.

use std::cmp::Reverse;

use jiff::civil::Date;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::forecast::{foreseen, wrapped};
use super::rounded::{at_least, counted, exact, usd};
use crate::domain::budget::{OnUnknownPrice, Standing};
use crate::domain::spend::forecast::{BAND_PERCENT, Forecast, run_rate, used_up_at};
use crate::domain::untrusted::{json_line, one_line};
use crate::domain::window::Window;
use crate::render::budget;
use crate::render::logs::columns;

/// A budget, what stands in it, and what comes.
#[derive(Debug, Clone)]
pub struct Outlook {
    standing: Standing,
    /// What the window will have cost at its end at this pace, in picodollars; `None`: it has no end to reckon with.
    pace: Option<i128>,
    /// When the limit is used up at this pace; `None`: not in this window.
    at_pace_ms: Option<i64>,
    /// `None`: the window has no coming days, or the books too few.
    ahead: Option<Forecast>,
}

impl Outlook {
    #[must_use]
    pub fn new(standing: Standing, ahead: Option<Forecast>, now_ms: i64) -> Outlook {
        let (spent, used) = (i128::from(standing.spent.picos), i128::from(standing.used().picos));
        let pace = run_rate(spent, standing.span, now_ms);
        let at_pace_ms = used_up_at(spent, used, standing.budget.limit.picos.into(), standing.span, now_ms);
        Outlook { standing, pace, at_pace_ms, ahead }
    }

    /// What sorts the most urgent first: passed, then by the day on which it will be, then by what is used.
    #[must_use]
    pub fn urgency(&self) -> (bool, i64, Reverse<u64>, String) {
        let zone = &self.standing.budget.account.zone;
        let by_forecast = self.reached().and_then(|day| zone.beginning(day));
        let first = [by_forecast, self.at_pace_ms].into_iter().flatten().min();
        let percent = self.standing.percent().unwrap_or(u64::MAX);
        (!self.is_passed(), first.unwrap_or(i64::MAX), Reverse(percent), self.standing.budget.name.clone())
    }

    fn is_passed(&self) -> bool {
        self.standing.free().picos == 0
    }

    /// The day on which the forecast has it reached.
    fn reached(&self) -> Option<Date> {
        let (used, limit) = (self.standing.used().picos, self.standing.budget.limit.picos);
        self.ahead.as_ref()?.crossing(used.into(), limit.into()).expected
    }

    fn at_pace(&self) -> String {
        match (self.is_passed(), self.at_pace_ms, self.pace) {
            (true, ..) => "passed".to_owned(),
            (false, Some(at_ms), _) => self.short(at_ms),
            (false, None, Some(_)) => "no".to_owned(),
            (false, None, None) => "–".to_owned(),
        }
    }

    fn foretold(&self) -> String {
        match (self.is_passed(), self.reached(), &self.ahead) {
            (true, ..) => "passed".to_owned(),
            (false, Some(day), _) => day.strftime("%-d %b").to_string(),
            (false, None, Some(_)) => "no".to_owned(),
            (false, None, None) => "–".to_owned(),
        }
    }

    /// By the forecast, or where there is none at the pace.
    fn when(&self) -> String {
        if self.ahead.is_some() { self.foretold() } else { self.at_pace() }
    }

    /// A day, or within a window of hours a time, on the clock of the budget's zone.
    fn short(&self, at_ms: i64) -> String {
        let account = &self.standing.budget.account;
        match account.window {
            Window::Hour | Window::Day => {
                let (_, minute) = account.zone.clock(at_ms).unwrap_or_default();
                format!("{:02}:{:02}", minute / 60, minute % 60)
            }
            Window::Week | Window::Month { .. } | Window::Rolling { .. } | Window::Total => {
                account.zone.date(at_ms).map_or("–".to_owned(), |day| day.strftime("%-d %b").to_string())
            }
        }
    }

    fn row(&self) -> [String; COLUMNS] {
        let Outlook { standing, pace, .. } = self;
        let budget = &standing.budget;
        let unpriced = if matches!(budget.on_unknown_price, OnUnknownPrice::Assume(_)) { 0 } else { standing.unknown };
        let left = match standing.over().picos {
            0 => usd(standing.free().picos.into()),
            over => format!("over by {}", usd(over.into())),
        };
        let resets = match (standing.span.to_ms, budget.account.window) {
            (Some(to_ms), _) => self.short(to_ms),
            (None, Window::Rolling { .. }) => "rolling".to_owned(),
            (None, _) => "never".to_owned(),
        };
        [
            one_line(&budget.name),
            standing.limit(),
            at_least(standing.spent.picos.into(), unpriced),
            usd(standing.held.picos.into()),
            left,
            standing.percent().map_or("–".to_owned(), |percent| format!("{percent}%")),
            pace.map_or("–".to_owned(), usd),
            self.at_pace(),
            self.foretold(),
            self.when(),
            resets,
            if budget.hard { "hard" } else { "soft" }.to_owned(),
            one_line(&budget.account.scope.words()),
        ]
    }
}

const COLUMNS: usize = 13;

const HEAD: [&str; COLUMNS] = [
    "budget", "limit", "spent", "held", "left", "used", "pace", "at pace", "forecast", "reached", "resets", "kind",
    "counts",
];

/// A table with the columns that the screen has room for, and below it what the amounts leave open. No number is cut: where not
/// even the fewest columns fit, each budget is a block.
#[must_use]
pub fn page(outlooks: &[Outlook], width: Option<usize>) -> String {
    let rows: Vec<[String; COLUMNS]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(outlooks.iter().map(Outlook::row)).collect();
    let mut text = table(&rows, width);
    let notes: Vec<String> = outlooks.iter().flat_map(notes).collect();
    if !notes.is_empty() {
        text.push('\n');
    }
    notes.iter().for_each(|note| text.push_str(&wrapped(note, width)));
    text
}

fn table(rows: &[[String; COLUMNS]], width: Option<usize>) -> String {
    let fits = |text: &String| width.is_none_or(|width| text.lines().all(|line| line.width() <= width));
    // From the most columns to the fewest.
    let tables = [
        picked(rows, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12], &[2, 3, 4, 5, 6]),
        picked(rows, [0, 1, 2, 3, 4, 5, 6, 9, 10], &[2, 3, 4, 5, 6]),
        picked(rows, [0, 1, 2, 4, 5, 6, 9, 10], &[2, 3, 4, 5]),
        picked(rows, [0, 1, 2, 4, 5, 9], &[2, 3, 4]),
        picked(rows, [0, 1, 4, 5, 9], &[2, 3]),
    ];
    tables.into_iter().find(fits).unwrap_or_else(|| blocks(rows))
}

fn picked<const N: usize>(rows: &[[String; COLUMNS]], wanted: [usize; N], right: &[usize]) -> String {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| wanted.map(|column| row.get(column).cloned().unwrap_or_default())).collect();
    columns(&rows, right)
}

fn blocks(rows: &[[String; COLUMNS]]) -> String {
    let names = HEAD.iter().map(|name| name.width()).max().unwrap_or(0);
    let blocks = rows.iter().skip(1).map(|row| {
        let lines = HEAD.iter().zip(row).filter(|(name, _)| **name != "reached");
        lines.map(|(name, cell)| format!("{name:names$}  {cell}\n")).collect::<String>()
    });
    blocks.collect::<Vec<_>>().join("\n")
}

/// What a budget's amounts leave open.
fn notes(outlook: &Outlook) -> Vec<String> {
    let Outlook { standing, ahead, .. } = outlook;
    let name = one_line(&standing.budget.name);
    let mut notes = Vec::new();
    if let Some(ahead) = ahead.as_ref().filter(|_| !outlook.is_passed()) {
        let (used, limit) = (i128::from(standing.used().picos), i128::from(standing.budget.limit.picos));
        let crossing = ahead.crossing(used, limit);
        let day =
            |day: Option<Date>| day.map_or("not before it resets".to_owned(), |day| day.strftime("%-d %b").to_string());
        if crossing.early.is_some() {
            notes.push(format!("{name}: reached, {BAND_PERCENT} %: {} – {}", day(crossing.early), day(crossing.late)));
        }
    }
    if standing.unknown > 0 {
        let calls = counted(standing.unknown, "call", "calls");
        notes.push(match standing.budget.on_unknown_price {
            OnUnknownPrice::Assume(each) => format!("{name}: {calls} without a price, each counted at ${each}"),
            OnUnknownPrice::Deny | OnUnknownPrice::Allow => {
                format!("{name}: {calls} without a price, in none of the sums")
            }
        });
    }
    if standing.open > 0 {
        let calls = counted(standing.open, "open call", "open calls");
        notes.push(format!("{name}: {} held by {calls}", usd(standing.held.picos.into())));
    }
    notes
}

/// The same as JSON, in one line.
#[must_use]
pub fn json(outlooks: &[Outlook], now_ms: i64) -> String {
    let budgets: Vec<Value> = outlooks
        .iter()
        .map(|outlook| {
            let mut object = budget::object(&outlook.standing);
            object["pace"] = outlook.pace.map(exact).into();
            object["used_up_at_pace_ms"] = outlook.at_pace_ms.into();
            object["forecast"] = outlook.ahead.as_ref().map(|ahead| foreseen(&outlook.standing, ahead)).into();
            object
        })
        .collect();
    json_line(&json!({"schema": 1, "currency": "USD", "now_ms": now_ms, "budgets": budgets}))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{Outlook, page};
    use crate::domain::budget::Standing;
    use crate::domain::money::Usd;
    use crate::domain::refusal::tests::{NOW, standing};
    use crate::domain::spend::forecast::{Ahead, Band, Forecast};
    use crate::domain::window::Window;

    const USD: i128 = 1_000_000_000_000;

    fn of(name: &str, limit: &str, spent: &str, window: &str) -> Standing {
        let mut standing = standing();
        let usd = |text: &str| Usd::parse(text).expect("an amount");
        standing.budget.name = name.into();
        (standing.budget.limit, standing.spent, standing.held) = (usd(limit), usd(spent), Usd::default());
        standing.budget.account.window = Window::parse(window).expect("a window");
        standing.span = standing.budget.account.window.span(NOW, &standing.budget.account.zone);
        (standing.open, standing.unknown) = (0, 0);
        standing
    }

    fn outlooks() -> Vec<Outlook> {
        let days: Vec<Ahead> = (22..=30)
            .map(|number| {
                let expected = 90 * USD + (i128::from(number) - 21) * 4 * USD;
                Ahead { day: date(2026, 11, number), low: expected - USD, expected, high: expected + 2 * USD }
            })
            .collect();
        let (low, expected, high) = (125 * USD, 126 * USD, 128 * USD);
        let month = Forecast { so_far: 90 * USD, expected, low, high, days, band: Band::Residuals { days: 56 } };
        let mut unpriced = of("unpriced", "1000", "3.21", "month");
        (unpriced.unknown, unpriced.open, unpriced.held) = (4, 3, Usd::parse("0.52").expect("an amount"));
        let mut outlooks = vec![
            Outlook::new(unpriced, Some(month.clone()), NOW),
            Outlook::new(of("eng-a", "110", "90", "month"), Some(month), NOW),
            Outlook::new(of("over", "50", "50.83", "day"), None, NOW),
            Outlook::new(of("hourly", "2", "1.9", "hour"), None, NOW),
            Outlook::new(of("rolling", "100", "10", "30d"), None, NOW),
        ];
        outlooks.sort_by_key(Outlook::urgency);
        outlooks
    }

    #[test]
    fn the_most_urgent_comes_first_with_the_columns_that_fit() {
        insta::assert_snapshot!(page(&outlooks(), None), @"
        budget    limit         spent   held           left  used     pace  at pace  forecast  resets   kind  counts
        over      $50/day      $50.83     $0  over by $0.83  101%   $58.65  passed   passed    00:00    hard  project=api
        hourly    $2/hour       $1.90     $0          $0.10   95%    $2.38  20:50    –         21:00    hard  project=api
        eng-a     $110/month   $90.00     $0         $20.00   81%  $123.48  27 Nov   26 Nov    1 Dec    hard  project=api
        rolling   $100/30d     $10.00     $0         $90.00   10%        –  –        –         rolling  hard  project=api
        unpriced  $1000/month  $3.21+  $0.52        $996.27    0%    $4.40  no       no        1 Dec    hard  project=api

        eng-a: reached, 80 %: 26 Nov – 27 Nov
        unpriced: 4 calls without a price, in none of the sums
        unpriced: $0.52 held by 3 open calls
        ");
        insta::assert_snapshot!(page(&outlooks(), Some(80)), @"
        budget    limit         spent           left  used     pace  reached  resets
        over      $50/day      $50.83  over by $0.83  101%   $58.65  passed   00:00
        hourly    $2/hour       $1.90          $0.10   95%    $2.38  20:50    21:00
        eng-a     $110/month   $90.00         $20.00   81%  $123.48  26 Nov   1 Dec
        rolling   $100/30d     $10.00         $90.00   10%        –  –        rolling
        unpriced  $1000/month  $3.21+        $996.27    0%    $4.40  no       1 Dec

        eng-a: reached, 80 %: 26 Nov – 27 Nov
        unpriced: 4 calls without a price, in none of the sums
        unpriced: $0.52 held by 3 open calls
        ");
        insta::assert_snapshot!(page(&outlooks(), Some(60)), @"
        budget    limit         spent           left  used  reached
        over      $50/day      $50.83  over by $0.83  101%  passed
        hourly    $2/hour       $1.90          $0.10   95%  20:50
        eng-a     $110/month   $90.00         $20.00   81%  26 Nov
        rolling   $100/30d     $10.00         $90.00   10%  –
        unpriced  $1000/month  $3.21+        $996.27    0%  no

        eng-a: reached, 80 %: 26 Nov – 27 Nov
        unpriced: 4 calls without a price, in none of the sums
        unpriced: $0.52 held by 3 open calls
        ");
    }

    #[test]
    fn where_no_table_fits_each_budget_is_a_block() {
        let narrow = page(&outlooks(), Some(30));
        assert!(narrow.starts_with("budget    over\nlimit     $50/day\nspent     $50.83\n"), "{narrow}");
        assert!(narrow.contains("\n\nbudget    hourly\n"), "{narrow}");
    }
}
