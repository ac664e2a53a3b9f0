//! `llmx usage forecast`: where a month, a week or any other period will end, and which budgets it passes on its way.

use clap::Args;
use jiff::civil::Date;

use super::asked::AskedArgs;
use crate::command::GlobalArgs;
use crate::command::budget::{in_force, width};
use crate::command::desk;
use crate::command::logs::{note, print};
use crate::command::outside::now_ms;
use crate::domain::budget::{Budget, Scope, Standing};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::record::NewCall;
use crate::domain::spend::filter::{Clause, Filter, TextField};
use crate::domain::spend::forecast::{DAYS_MIN, Errors, Past, TooShort, Trial, WEEKS, run_rate};
use crate::domain::spend::period::{Period, day, number};
use crate::domain::spend::{Dimension, Key, Question, Tally};
use crate::domain::window::{Window, Zone};
use crate::ledger::Ledger;
use crate::render::usage::forecast::{self, Foretold, Tried};

pub const AFTER_HELP: &str = "\
Examples:
  llmx usage forecast                            this month
  llmx usage forecast week --where project=pay
  llmx usage forecast 2026-12 -z Europe/Berlin   a month to come
  llmx usage forecast --backtest                 how far off it would have been so far

A coming day is expected to cost what its weekday cost in the last eight weeks,
the latest week counting most. The band holds four ends of five: it comes from
how far the same forecast was off on earlier days. Without 14 whole days of
calls there is no forecast: exit 1.";

#[derive(Debug, Clone, Args)]
pub struct ForecastArgs {
    /// month, week or year (the whole one around today), 2026-12, A..B, or any other period
    #[arg(value_name = "PERIOD", default_value = "month")]
    period: String,
    /// Only calls that fit: 'model~sonnet project=pay cost>0.1'; every clause must hold
    #[arg(long = "where", value_name = "FILTER")]
    filter: Option<String>,
    /// The zone whose days are meant: Europe/Berlin, UTC (else LLMX_ZONE, else this machine's)
    #[arg(short, long, value_name = "ZONE")]
    zone: Option<String>,
    /// Also make every forecast that could have been made so far, and say how far off it was, beside the run rate
    #[arg(long)]
    backtest: bool,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// # Errors
/// `invalid-request` where the books hold fewer than 14 days; `config` for a period, filter or zone that is none; `ledger`
/// where they cannot be read.
pub fn run(args: &ForecastArgs) -> Result<u8, Failure> {
    let asked = AskedArgs { period: Some(args.period.clone()), filter: args.filter.clone(), zone: args.zone.clone() };
    let (period, filter, now_ms) = (whole(&asked)?, asked.filter()?, now_ms());
    let config = desk::config(&args.global)?;
    let mut books = desk::ledger(&args.global, &config.limits)?;
    for warning in books.warnings() {
        note(warning, &args.global);
    }
    let history = History::read(&mut books, &Calls { filter, scope: Scope::default() }, &period.zone, now_ms)?;
    let forecast = history.past.forecast(&period).map_err(|short| too_short(short, &history, &period.zone))?;
    let tally = history.tally(number(period.first), number(period.after));
    let trials = history.past.trials(&period);
    let mut foretold = Foretold {
        now_ms,
        run_rate: run_rate(forecast.so_far, period.span(), now_ms),
        begun: day(history.past.first).filter(|first| *first > period.first),
        tally,
        unpriced_before: history.lately().unpriced,
        forecast,
        budgets: Vec::new(),
        naive_is_better: Errors::of(&trials).is_some_and(|errors| errors.naive_is_better()),
        filter: args.filter.clone(),
        period,
    };
    if args.filter.is_none() {
        for standing in monthly(&in_force(&config, &books)?, &mut books, now_ms)? {
            if let Some(ahead) = ahead(&mut books, &standing, now_ms)? {
                foretold.budgets.push((standing, ahead));
            }
        }
    }
    let tried = args.backtest.then(|| tried(&trials));
    let text = if args.json {
        forecast::json(&foretold, tried.as_ref())
    } else {
        forecast::page(&foretold, tried.as_ref(), width(&args.global))
    };
    print(&text, &args.global)
}

/// The period that is meant: `week`, `month` and `year` are whole here.
fn whole(asked: &AskedArgs) -> Result<Period, Failure> {
    let period = asked.period(asked.period.as_deref().unwrap_or("month"))?;
    let zone = &period.zone;
    let whole = match asked.period.as_deref() {
        Some("month") => Period::month(period.first, zone),
        Some("week") => day(number(period.first) + 7).and_then(|after| Period::of(period.first, after, zone)),
        Some("year") => {
            Date::new(period.first.year() + 1, 1, 1).ok().and_then(|after| Period::of(period.first, after, zone))
        }
        _ => None,
    };
    Ok(whole.unwrap_or(period))
}

fn too_short(short: TooShort, history: &History, zone: &Zone) -> Failure {
    let TooShort { days } = short;
    let message = match history.past.days.len() {
        0 => format!("a forecast needs {DAYS_MIN} whole days of calls, and the books have no such call"),
        _ => {
            let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
            let since = day(history.past.first)
                .map_or(String::new(), |first| first.strftime(" since %a %-d %b %Y").to_string());
            format!(
                "a forecast needs {DAYS_MIN} whole days of calls, and the books have {days}{since} ({})",
                zone.name()
            )
        }
    };
    let missing = i64::try_from(DAYS_MIN.saturating_sub(days)).unwrap_or_default();
    let today = history.past.first + i64::try_from(history.past.days.len()).unwrap_or_default() - 1;
    let when = day(today + missing).filter(|_| !history.past.days.is_empty());
    Failure::new(ErrorClass::InvalidRequest, message).advise(when.map_or_else(
        || "`llmx usage import` reads what other tools have spent".to_owned(),
        |when| {
            format!(
                "there will be one on {}; `llmx usage import` reads what other tools have spent",
                when.strftime("%a %-d %b")
            )
        },
    ))
}

/// The budgets over calendar months, and where they stand.
fn monthly(budgets: &[Budget], books: &mut Ledger, now_ms: i64) -> Result<Vec<Standing>, Failure> {
    let monthly = |budget: &&Budget| matches!(budget.account.window, Window::Month { .. });
    let budgets: Vec<Budget> = budgets.iter().filter(monthly).cloned().collect();
    Ok(books.standings(&budgets, now_ms)?)
}

fn tried(trials: &[Trial]) -> Tried {
    let quarter = |trial: &Trial| (trial.elapsed * 4 - 1) / trial.length;
    Tried {
        quarters: [0, 1, 2, 3].map(|wanted| Errors::of(trials.iter().filter(|trial| quarter(trial) == wanted))),
        all: Errors::of(trials),
        span: trials.first().zip(trials.last()).map(|(first, last)| (first.made, last.made)),
    }
}

/// Which calls: those of a filter that a scope covers.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    pub(super) filter: Filter,
    pub(super) scope: Scope,
}

impl Calls {
    /// The calls that a budget counts.
    fn of(standing: &Standing, books: &Ledger) -> Result<Calls, Failure> {
        let scope = standing.budget.account.scope.clone();
        let mut clauses: Vec<Clause> = Vec::new();
        let mut is = |field: TextField, value: &str| {
            clauses.push(Clause::Text { field, part: false, not: false, values: vec![value.to_owned()] });
        };
        let parts = [
            (TextField::Project, &scope.project),
            (TextField::User, &scope.user),
            (TextField::Team, &scope.team),
            (TextField::Session, &scope.session),
        ];
        for (field, value) in parts {
            value.iter().for_each(|value| is(field.clone(), value));
        }
        scope.tags.iter().for_each(|(key, value)| is(TextField::Tag(key.clone()), value));
        // What was imported counts towards no budget, and only the calls themselves tell it from the rest.
        if books.has_imported()? {
            is(TextField::Source, "llmx");
        }
        let scope = Scope { provider: scope.provider, model: scope.model, ..Scope::default() };
        Ok(Calls { filter: Filter { clauses }, scope })
    }

    /// The groups of a time in a period.
    fn by(&self, time: Dimension, period: Period, books: &mut Ledger) -> Result<Vec<(Key, Tally)>, Failure> {
        let mut by = vec![time];
        if self.scope != Scope::default() {
            by.extend([Dimension::Model, Dimension::Region]);
        }
        let spend = books.spend(&Question { period, by, filter: self.filter.clone() })?;
        let covered = spend.groups.into_iter().filter(|group| self.covers(group.keys.get(1..).unwrap_or_default()));
        Ok(covered.filter_map(|group| Some((group.keys.into_iter().next()?, group.tally))).collect())
    }

    fn covers(&self, model_and_region: &[Key]) -> bool {
        let [Key::Text(model), Key::Text(region)] = model_and_region else {
            return true;
        };
        let (provider, model) = model.split_once('/').unwrap_or(("", model));
        self.scope.covers(&NewCall {
            provider: provider.to_owned(),
            model: model.to_owned(),
            region: Some(region.clone()).filter(|region| !region.is_empty()),
            ..NewCall::default()
        })
    }
}

/// What the books say of calls, day by day, up to now.
pub(super) struct History {
    pub(super) past: Past,
    days: Vec<Tally>,
}

impl History {
    pub(super) fn read(books: &mut Ledger, calls: &Calls, zone: &Zone, now_ms: i64) -> Result<History, Failure> {
        let beyond = || Failure::new(ErrorClass::Config, "the clock shows a day beyond the calendar");
        let all = Period::parse("all", now_ms, zone).map_err(|wrong| Failure::new(ErrorClass::Config, wrong))?;
        let today = number(zone.date(now_ms).ok_or_else(beyond)?);
        let groups = calls.by(Dimension::Day, all, books)?;
        let begun = groups.iter().find(|(_, tally)| tally.calls > 0);
        let Some(first) = begun.and_then(|(key, _)| date(key)).filter(|first| *first <= today) else {
            return Ok(History { past: Past::default(), days: Vec::new() });
        };
        let mut days = vec![Tally::default(); usize::try_from(today - first + 1).unwrap_or_default()];
        for (key, tally) in &groups {
            let place = date(key).and_then(|day| usize::try_from(day - first).ok());
            if let Some(day) = place.and_then(|place| days.get_mut(place)) {
                *day = day.plus(*tally);
            }
        }
        let mut late = Vec::new();
        for back in (1..).map(|week| today - 7 * week).take(WEEKS).take_while(|day| *day >= first) {
            late.extend(after_this_hour(books, calls, zone, back, now_ms)?);
        }
        let past = Past { first, days: days.iter().map(|day| day.picos).collect(), late };
        Ok(History { past, days })
    }

    /// The sums of the days with these numbers, without the last.
    fn tally(&self, first: i64, after: i64) -> Tally {
        let [from, to] = [first, after].map(|day| usize::try_from(day - self.past.first).unwrap_or_default());
        let days = self.days.get(from..to.min(self.days.len())).unwrap_or_default();
        days.iter().fold(Tally::default(), |sum, day| sum.plus(*day))
    }

    /// The sums of the weeks that say what a weekday costs.
    fn lately(&self) -> Tally {
        let first = self.days.len().saturating_sub(WEEKS * 7 + 1);
        self.days.iter().skip(first).fold(Tally::default(), |sum, day| sum.plus(*day))
    }
}

fn date(key: &Key) -> Option<i64> {
    match key {
        Key::Date(date) => Some(number(*date)),
        Key::Hour(_) | Key::Text(_) => None,
    }
}

/// What a day cost after the time of day that it is now; of the hour in which that lies, the part that is left.
fn after_this_hour(
    books: &mut Ledger,
    calls: &Calls,
    zone: &Zone,
    on: i64,
    now_ms: i64,
) -> Result<Option<i128>, Failure> {
    let ends = day(on).zip(day(on + 1)).and_then(|(first, after)| Period::of(first, after, zone));
    let Some((period, (_, now))) = ends.zip(zone.clock(now_ms)) else {
        return Ok(None);
    };
    let mut late = 0_i128;
    for (key, tally) in calls.by(Dimension::Hour, period, books)? {
        let Key::Hour(from_ms) = key else { continue };
        let begins = zone.clock(from_ms).map_or(0, |(_, minute)| minute);
        let left = (begins + 60).saturating_sub(now).min(60);
        late = late.saturating_add(tally.picos.saturating_mul(left.into()) / 60);
    }
    Ok(Some(late))
}

/// Where the window of a budget will end; `None` for one that does not end by the calendar, and where there are too few days.
pub(super) fn ahead(
    books: &mut Ledger,
    standing: &Standing,
    now_ms: i64,
) -> Result<Option<crate::domain::spend::forecast::Forecast>, Failure> {
    let account = &standing.budget.account;
    let zone = &account.zone;
    let today = zone.date(now_ms);
    let period = match (account.window, standing.span.to_ms) {
        (Window::Week | Window::Month { .. }, Some(to_ms)) => {
            zone.date(standing.span.from_ms).zip(zone.date(to_ms)).and_then(|(from, to)| Period::of(from, to, zone))
        }
        // All time: whether the limit is reached within a year.
        (Window::Total, _) => today.and_then(|today| Period::of(today, day(number(today) + TOTAL_DAYS)?, zone)),
        _ => None,
    };
    let Some(period) = period else {
        return Ok(None);
    };
    let calls = Calls::of(standing, books)?;
    Ok(History::read(books, &calls, zone, now_ms)?.past.forecast(&period).ok())
}

/// A budget over all time is looked ahead for so many days.
const TOTAL_DAYS: i64 = 366;

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{Calls, History, number};
    use crate::domain::bill::Quote;
    use crate::domain::budget::Claim;
    use crate::domain::money::Usd;
    use crate::domain::record::{NewCall, Settlement};
    use crate::domain::window::Zone;
    use crate::ledger::{Admission, Ledger, Patience};

    const HOUR_MS: i64 = 3_600_000;

    /// Books a call of one picodollar.
    fn spend(ledger: &mut Ledger, at_ms: i64) {
        let call = NewCall { id: at_ms.to_string(), ceiling: Some(Usd::default()), ..NewCall::default() };
        let quote = Quote { ceiling: call.ceiling, ..Quote::default() };
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        let Admission::Granted(reservation) = ledger.admit(&call, &claim, at_ms).expect("admitted") else {
            panic!("no budget is in force");
        };
        let settlement = Settlement { basis: "table".into(), total: Some(Usd::from_picos(1)), ..Settlement::default() };
        ledger.settle(reservation, &settlement, at_ms).expect("settled");
    }

    #[test]
    fn a_day_of_23_or_25_hours_is_cut_at_the_same_time_of_its_clock() {
        let folder = tempfile::tempdir().expect("a folder");
        for (changed, hours, late) in [(date(2026, 3, 29), 23, 6), (date(2026, 10, 25), 25, 6)] {
            let mut ledger =
                Ledger::open(&folder.path().join(format!("{changed}.db")), Patience::default()).expect("opens");
            let berlin = Zone::named("Europe/Berlin").expect("a zone");
            let begins = berlin.beginning(changed).expect("it begins");
            // One call an hour on the day on which the clock changes, half past; a week later it is 18 o'clock.
            (0..hours).for_each(|hour| spend(&mut ledger, begins + hour * HOUR_MS + HOUR_MS / 2));
            let week_later =
                date(changed.year(), changed.month(), changed.day()).checked_add(jiff::Span::new().days(7));
            let then = berlin.beginning(week_later.expect("a day")).expect("it begins") + 18 * HOUR_MS;
            let history = History::read(&mut ledger, &Calls::default(), &berlin, then).expect("reads");
            assert_eq!(history.past.first, number(changed));
            assert_eq!(history.past.days, [i128::from(hours), 0, 0, 0, 0, 0, 0, 0], "{changed}");
            assert_eq!(history.past.late, [late], "{changed}");
            // In UTC a part of it is the day before.
            let utc = History::read(&mut ledger, &Calls::default(), &Zone::utc(), then).expect("reads");
            assert_eq!(utc.past.first, number(changed) - 1);
            assert_eq!(utc.past.days.iter().sum::<i128>(), i128::from(hours));
        }
    }
}
