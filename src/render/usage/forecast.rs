//! Where a period will end: the sums, the band, the budgets on the way, how far off earlier forecasts were.

use jiff::civil::Date;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::rounded::{at_least, counted, exact, percent, usd};
use crate::domain::budget::Standing;
use crate::domain::spend::Tally;
use crate::domain::spend::forecast::{Ahead, BAND_PERCENT, Band, Errors, Forecast};
use crate::domain::spend::period::Period;
use crate::domain::untrusted::{json_line, one_line};
use crate::render::budget;
use crate::render::logs::columns;

/// A forecast with what stands beside it.
#[derive(Debug, Clone)]
pub struct Foretold {
    pub period: Period,
    pub now_ms: i64,
    /// As it was written.
    pub filter: Option<String>,
    pub forecast: Forecast,
    /// What the run rate says, in picodollars; `None`: the period has not begun.
    pub run_rate: Option<i128>,
    /// The first day with a call, where it lies in the period.
    pub begun: Option<Date>,
    /// Of the period so far.
    pub tally: Tally,
    /// Calls without an amount in the weeks that the forecast was made from.
    pub unpriced_before: u64,
    /// The monthly budgets, and where the calls that they count will end.
    pub budgets: Vec<(Standing, Forecast)>,
    /// The run rate was closer so far.
    pub naive_is_better: bool,
}

/// How far off earlier forecasts were.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Of those made in each quarter of their period.
    pub quarters: [Option<Errors>; 4],
    pub all: Option<Errors>,
    /// The days on which the first and the last was made.
    pub span: Option<(Date, Date)>,
}

/// The forecast as text. `width`: of the screen, if there is one.
#[must_use]
pub fn page(foretold: &Foretold, tried: Option<&Tried>, width: Option<usize>) -> String {
    let Foretold { period, forecast, tally, .. } = foretold;
    let (label, zone) = (period.label(), period.zone.name());
    let filter = foretold.filter.as_ref().map(|filter| format!(", {}", one_line(filter))).unwrap_or_default();
    let unpriced = tally.unpriced + foretold.unpriced_before;
    let mut text = match forecast.band {
        Band::Over => {
            format!("Spent {}   {label} ({zone}{filter}), which is over\n", at_least(forecast.so_far, tally.unpriced))
        }
        Band::Own { .. } | Band::Residuals { .. } => format!(
            "Forecast {}   {label} ({zone}{filter})\n{BAND_PERCENT}% band {} – {}\n",
            at_least(forecast.expected, unpriced),
            usd(forecast.low),
            usd(forecast.high)
        ),
    };
    if forecast.band != Band::Over {
        text.push('\n');
        text.push_str(&columns(&sums(foretold), &[1]));
    }
    let said = sentences(foretold);
    if !said.is_empty() {
        text.push('\n');
    }
    said.iter().for_each(|sentence| text.push_str(&wrapped(sentence, width)));
    if let Some(tried) = tried {
        text.push('\n');
        text.push_str(&trials(tried, width));
    }
    text
}

fn sums(foretold: &Foretold) -> Vec<[String; 3]> {
    let Foretold { period, forecast, tally, .. } = foretold;
    let zone = &period.zone;
    let whole = forecast.days.len();
    let days = match (zone.date(foretold.now_ms), forecast.days.first()) {
        (Some(today), Some(first)) if first.day == today => match whole - 1 {
            0 => "the rest of today".to_owned(),
            later => format!("the rest of today, {}", counted(later.try_into().unwrap_or_default(), "day", "days")),
        },
        _ => counted(whole.try_into().unwrap_or_default(), "day", "days"),
    };
    let told = zone.told(foretold.now_ms);
    let clock = told.strip_suffix(zone.name()).unwrap_or(&told).trim_end();
    let mut rows = vec![
        ["so far".to_owned(), at_least(forecast.so_far, tally.unpriced), format!("up to {clock}")],
        ["to come".to_owned(), usd(forecast.expected.saturating_sub(forecast.so_far)), days],
    ];
    rows.extend(
        foretold.run_rate.map(|rate| ["run rate".to_owned(), usd(rate), "so far / elapsed × length".to_owned()]),
    );
    rows
}

fn sentences(foretold: &Foretold) -> Vec<String> {
    let Foretold { forecast, tally, .. } = foretold;
    let mut said: Vec<String> = foretold.budgets.iter().map(|(standing, ahead)| passing(standing, ahead)).collect();
    said.extend(match forecast.band {
        Band::Own { origins } => Some(format!(
            "The band is how far {origins} earlier forecasts of as many days were off."
        )),
        Band::Residuals { days } => Some(format!(
            "The band is how far the last {days} days were from their weekdays' means: there are too few earlier forecasts of as \
             many days to judge by."
        )),
        Band::Over => None,
    });
    if foretold.naive_is_better {
        said.push("On this past the run rate was closer than this forecast (--backtest shows by how much).".to_owned());
    }
    if let Some(begun) = foretold.begun.filter(|_| forecast.so_far > 0) {
        let date = begun.strftime("%a %-d %b");
        said.push(format!("The books begin on {date}: the run rate takes the days before it for days without calls."));
    }
    if tally.unpriced > 0 {
        let calls = counted(tally.unpriced, "call of the period has", "calls of the period have");
        said.push(format!("At least: {calls} no price and no part in the sums."));
    }
    let before = foretold.unpriced_before;
    if before > 0 && forecast.band != Band::Over {
        let calls = counted(before, "call", "calls");
        said.push(format!("At least: {calls} of the last weeks, from which the rest is foretold, had no price."));
    }
    if tally.open > 0 {
        let unknown = if tally.open_unknown > 0 {
            format!(", {} without a known most", tally.open_unknown)
        } else {
            String::new()
        };
        let calls =
            counted(tally.open, "call is open and not in the sums: it", "calls are open and not in the sums: they");
        said.push(format!("{calls} may cost up to {}{unknown}.", usd(tally.held)));
    }
    if tally.simulated > 0 {
        said.push(format!("{} of the sums is the simulator's: no money.", usd(tally.simulated_picos)));
    }
    said
}

/// `passes eng-a ($150/month) on about Thu 27 Nov (80 %: 25 Nov – not this month)`.
fn passing(standing: &Standing, ahead: &Forecast) -> String {
    let (used, limit) = (i128::from(standing.used().picos), i128::from(standing.budget.limit.picos));
    let name = format!("{} ({})", one_line(&standing.budget.name), standing.limit());
    let crossing = ahead.crossing(used, limit);
    let end = |end: i128| usd(end.saturating_sub(ahead.so_far).saturating_add(used));
    let ends =
        format!("{} by its end ({BAND_PERCENT} %: {} – {})", end(ahead.expected), end(ahead.low), end(ahead.high));
    let by = |day: Option<Date>| day.map_or("not this month".to_owned(), |day| day.strftime("%-d %b").to_string());
    match (used >= limit, crossing.expected) {
        (true, _) => format!("has passed {name}: {} used; {ends}", usd(used)),
        (false, Some(day)) => format!(
            "passes {name} on about {} ({BAND_PERCENT} %: {} – {})",
            day.strftime("%a %-d %b"),
            by(crossing.early),
            by(crossing.late)
        ),
        (false, None) if crossing.early.is_some() => {
            format!("stays under {name}: {ends}, but may pass it on {} already", by(crossing.early))
        }
        (false, None) => format!("stays under {name}: {ends}"),
    }
}

fn trials(tried: &Tried, width: Option<usize>) -> String {
    let (Some(all), Some((from, to))) = (tried.all, tried.span) else {
        return wrapped(
            "Backtest: the books hold no earlier period like this one that is whole and was begun after 14 days of calls.",
            width,
        );
    };
    let day = |day: Date| day.strftime("%-d %b %Y");
    let mut text = wrapped(
        &format!("Backtest: {} forecasts, made at the end of the days from {} to {}", all.trials, day(from), day(to)),
        width,
    );
    let head = ["made in quarter", "trials", "off by", "run rate", "in band"].map(str::to_owned);
    let row = |name: &str, errors: &Errors| {
        let pair = |mean, median| format!("{} ({})", percent(mean), percent(median));
        [
            name.to_owned(),
            errors.trials.to_string(),
            pair(errors.mean, errors.median),
            pair(errors.naive_mean, errors.naive_median),
            percent(errors.covered),
        ]
    };
    let quarters = ["1st", "2nd", "3rd", "4th"].into_iter().zip(&tried.quarters);
    let rows = quarters.filter_map(|(name, errors)| Some(row(name, errors.as_ref()?)));
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).chain([row("all", &all)]).collect();
    text.push_str(&columns(&rows, &[1, 2, 3, 4]));
    text.push_str(&wrapped("off by: mean (median) of the distance to what came, in percent of it", width));
    let verdict = if all.naive_is_better() {
        "On this past the run rate was closer."
    } else {
        "On this past the forecast was as close as the run rate, or closer."
    };
    text.push_str(&wrapped(verdict, width));
    text
}

/// A sentence in lines that are no wider than the screen, where its words allow.
pub(super) fn wrapped(sentence: &str, width: Option<usize>) -> String {
    let mut text = String::new();
    let mut used = 0;
    for word in sentence.split(' ') {
        let wide = word.width();
        if used > 0 && width.is_some_and(|width| used + 1 + wide > width) {
            text.push('\n');
            used = 0;
        }
        if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += wide;
    }
    text.push('\n');
    text
}

/// The same as JSON, in one line.
#[must_use]
pub fn json(foretold: &Foretold, tried: Option<&Tried>) -> String {
    let Foretold { period, forecast, tally, .. } = foretold;
    let last = period.after.yesterday().unwrap_or(period.after);
    let basis = match forecast.band {
        Band::Own { origins } => json!({"from": "own-errors", "origins": origins}),
        Band::Residuals { days } => json!({"from": "residuals", "days": days}),
        Band::Over => Value::Null,
    };
    let budgets: Vec<Value> = foretold
        .budgets
        .iter()
        .map(|(standing, ahead)| {
            let mut object = budget::object(standing);
            object["forecast"] = foreseen(standing, ahead);
            object
        })
        .collect();
    json_line(&json!({
        "schema": 1,
        "currency": "USD",
        "period": {"first": period.first.to_string(), "last": last.to_string(), "zone": period.zone.name()},
        "where": foretold.filter,
        "now_ms": foretold.now_ms,
        "so_far": exact(forecast.so_far),
        "expected": exact(forecast.expected),
        "low": exact(forecast.low),
        "high": exact(forecast.high),
        "band_percent": BAND_PERCENT,
        "band": basis,
        "run_rate": foretold.run_rate.map(exact),
        "run_rate_was_closer": foretold.naive_is_better,
        "days": forecast.days.iter().map(of_day).collect::<Vec<_>>(),
        "calls": tally.calls,
        "unpriced": tally.unpriced,
        "unpriced_before": foretold.unpriced_before,
        "open": tally.open,
        "held": exact(tally.held),
        "simulated": exact(tally.simulated_picos),
        "budgets": budgets,
        "backtest": tried.map(tested),
    }))
}

fn of_day(ahead: &Ahead) -> Value {
    let Ahead { day, low, expected, high } = ahead;
    json!({"day": day.to_string(), "low": exact(*low), "expected": exact(*expected), "high": exact(*high)})
}

/// When a budget will be reached, and where its window will end, as JSON.
pub(super) fn foreseen(standing: &Standing, ahead: &Forecast) -> Value {
    let used = i128::from(standing.used().picos);
    let crossing = ahead.crossing(used, standing.budget.limit.picos.into());
    let end = |end: i128| exact(end.saturating_sub(ahead.so_far).saturating_add(used));
    let on = |day: Option<Date>| day.map(|day| day.to_string());
    json!({
        "expected": end(ahead.expected), "low": end(ahead.low), "high": end(ahead.high),
        "reached_on": on(crossing.expected), "reached_early": on(crossing.early), "reached_late": on(crossing.late),
    })
}

fn tested(tried: &Tried) -> Value {
    let errors = |errors: &Errors| {
        json!({"trials": errors.trials,
            "mean_percent": percent(errors.mean).trim_end_matches('%'),
            "median_percent": percent(errors.median).trim_end_matches('%'),
            "run_rate_mean_percent": percent(errors.naive_mean).trim_end_matches('%'),
            "run_rate_median_percent": percent(errors.naive_median).trim_end_matches('%'),
            "in_band_percent": percent(errors.covered).trim_end_matches('%')})
    };
    json!({
        "first": tried.span.map(|(first, _)| first.to_string()),
        "last": tried.span.map(|(_, last)| last.to_string()),
        "quarters": tried.quarters.iter().map(|quarter| quarter.as_ref().map(errors)).collect::<Vec<_>>(),
        "all": tried.all.as_ref().map(errors),
        "run_rate_was_closer": tried.all.is_some_and(|errors| errors.naive_is_better()),
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{Foretold, Tried, page, wrapped};
    use crate::domain::money::Usd;
    use crate::domain::refusal::tests::{NOW, standing};
    use crate::domain::spend::Tally;
    use crate::domain::spend::forecast::{Ahead, Band, Errors, Forecast};
    use crate::domain::spend::period::Period;
    use crate::domain::window::{Window, Zone};

    const USD: i128 = 1_000_000_000_000;

    /// Seen from the 22nd, a Sunday: $4 a day, and a band that grows by half a dollar a day to each side.
    fn month() -> Forecast {
        let so_far = 90_880_000_000_000;
        let days: Vec<Ahead> = (22..=30)
            .map(|number| {
                let past = i128::from(number) - 21;
                let (expected, wide) = (so_far + past * 4 * USD, past * USD / 2);
                Ahead { day: date(2026, 11, number), low: expected - wide, expected, high: expected + wide }
            })
            .collect();
        let last = days.last().copied().expect("nine days");
        Forecast {
            so_far,
            expected: last.expected,
            low: last.low,
            high: last.high,
            days,
            band: Band::Own { origins: 162 },
        }
    }

    fn foretold() -> Foretold {
        let budget = |name: &str, limit: &str| {
            let mut standing = standing();
            (standing.budget.name, standing.budget.limit) = (name.into(), Usd::parse(limit).expect("an amount"));
            standing.budget.account.window = Window::Month { anchor: 1 };
            (standing.spent, standing.held) = (Usd::parse("90.88").expect("an amount"), Usd::default());
            (standing, month())
        };
        Foretold {
            period: Period::month(date(2026, 11, 22), &Zone::utc()).expect("a month"),
            now_ms: NOW,
            filter: Some("project=pay".into()),
            forecast: month(),
            run_rate: Some(123_930_000_000_000),
            begun: None,
            tally: Tally { unpriced: 1, open: 2, held: USD, open_unknown: 1, ..Tally::default() },
            unpriced_before: 4,
            budgets: vec![budget("eng-a", "110"), budget("tight", "90"), budget("close", "130"), budget("all", "500")],
            naive_is_better: true,
        }
    }

    #[test]
    fn a_page_says_what_comes_when_a_budget_is_passed_and_what_is_missing() {
        let errors = Errors { trials: 10, mean: 72, median: 61, naive_mean: 268, naive_median: 225, covered: 800 };
        let tried = Tried {
            quarters: [Some(errors), None, None, Some(errors)],
            all: Some(Errors { trials: 20, ..errors }),
            span: Some((date(2026, 7, 8), date(2026, 10, 30))),
        };
        insta::assert_snapshot!(page(&foretold(), Some(&tried), None), @"
        Forecast $126.88+   November 2026 (UTC, project=pay)
        80% band $122.38 – $131.38

        so far    $90.88+  up to 2026-11-22 20:48
        to come    $36.00  the rest of today, 8 days
        run rate  $123.93  so far / elapsed × length

        passes eng-a ($110/month) on about Thu 26 Nov (80 %: 26 Nov – 27 Nov)
        has passed tight ($90/month): $90.88 used; $126.88 by its end (80 %: $122.38 – $131.38)
        stays under close ($130/month): $126.88 by its end (80 %: $122.38 – $131.38), but may pass it on 30 Nov already
        stays under all ($500/month): $126.88 by its end (80 %: $122.38 – $131.38)
        The band is how far 162 earlier forecasts of as many days were off.
        On this past the run rate was closer than this forecast (--backtest shows by how much).
        At least: 1 call of the period has no price and no part in the sums.
        At least: 4 calls of the last weeks, from which the rest is foretold, had no price.
        2 calls are open and not in the sums: they may cost up to $1.00, 1 without a known most.

        Backtest: 20 forecasts, made at the end of the days from 8 Jul 2026 to 30 Oct 2026
        made in quarter  trials       off by       run rate  in band
        1st                  10  7.2% (6.1%)  26.8% (22.5%)    80.0%
        4th                  10  7.2% (6.1%)  26.8% (22.5%)    80.0%
        all                  20  7.2% (6.1%)  26.8% (22.5%)    80.0%
        off by: mean (median) of the distance to what came, in percent of it
        On this past the forecast was as close as the run rate, or closer.
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let narrow = page(&foretold(), None, Some(60));
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
        assert_eq!(wrapped("one two three", Some(7)), "one two\nthree\n");
        assert_eq!(wrapped("a-word-that-is-wider", Some(5)), "a-word-that-is-wider\n");
    }

    #[test]
    fn a_period_that_is_over_is_told_as_spent() {
        let mut over = foretold();
        over.forecast = Forecast { band: Band::Over, days: Vec::new(), ..month() };
        over.budgets.clear();
        let page = page(&over, None, None);
        assert!(page.starts_with("Spent $90.88+   November 2026 (UTC, project=pay), which is over\n"), "{page}");
        assert!(!page.contains("band"), "{page}");
    }
}
