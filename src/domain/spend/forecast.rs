//! Where a period will end: what is spent, what comes on days like those of the last weeks, and a band that 80 % end in.
//!
//! A coming day is expected to cost what its weekday cost in the last eight weeks: a mean in which the latest week counts
//! eightfold and the oldest once, and no day more than three times the median. On made-up pasts (steady, growing, drifting,
//! with a step, with outliers, with idle days) this erred least of eleven ways; a median or a trimmed mean is too low
//! wherever single days are dear.
//!
//! The band comes from the user's own past: the same forecast, made on earlier days for as many days, and how far off it was.
//! Where the past is too short for that it comes from how far single days are from their weekday's mean. All in whole
//! picodollars: an estimate is no booked amount, but it needs no float either.

use jiff::civil::Date;

use super::period::{Period, day, number};
use crate::domain::window::Span;

/// With fewer whole days than this there is no forecast.
pub const DAYS_MIN: usize = 14;

/// So many weeks say what a weekday costs.
pub const WEEKS: usize = 8;

/// The share of ends that should lie in the band, in percent.
pub const BAND_PERCENT: u32 = 80;

/// Own errors are told from so many earlier forecasts, and from six times the days that each is about: forecasts of
/// overlapping days err together.
const ORIGINS_MIN: usize = 20;
const ORIGINS_PER_DAY: usize = 6;

/// With at least so many the wider of both bands is taken.
const ORIGINS_SOME: usize = 10;

/// 1.4 standard deviations to each side: the 90 % quantile of Student's t with seven degrees of freedom is 1.415, and seven
/// are what two weeks leave beside seven means.
const DEVIATIONS_PERCENT: u128 = 140;

const MILLION: i128 = 1_000_000;

/// What was spent on each day of the past, on the calendar of one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// The number of the first day with a call (see [`number`]).
    pub first: i64,
    /// Picodollars of each day from the first on; the last is what today has cost so far.
    pub days: Vec<i128>,
    /// Picodollars that days of today's weekday cost after this time of day, the latest first. Empty: today counts as a whole
    /// day to come.
    pub late: Vec<i128>,
}

/// There are fewer than [`DAYS_MIN`] whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooShort {
    pub days: usize,
}

/// Where a period will end, in picodollars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    pub so_far: i128,
    pub expected: i128,
    pub low: i128,
    pub high: i128,
    /// Today and every day to come that is in the period. Empty: it is over.
    pub days: Vec<Ahead>,
    pub band: Band,
}

/// What the period will have cost by the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    pub day: Date,
    pub low: i128,
    pub expected: i128,
    pub high: i128,
}

/// What the band was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Band {
    /// The errors of so many earlier forecasts.
    Own { origins: usize },
    /// How far single days are from their weekday's mean, over so many days: there are too few earlier forecasts.
    Residuals { days: usize },
    /// The period is over: nothing is to come.
    Over,
}

/// A forecast that could have been made on an earlier day, and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// At the end of this day.
    pub made: Date,
    /// The period's days up to then, and all of them.
    pub elapsed: i64,
    pub length: i64,
    pub expected: i128,
    pub low: i128,
    pub high: i128,
    /// What the run rate said: so far / elapsed × length.
    pub naive: i128,
    pub came: i128,
}

/// How far forecasts were off, in thousandths of what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errors {
    pub trials: usize,
    pub mean: u64,
    pub median: u64,
    pub naive_mean: u64,
    pub naive_median: u64,
    /// In thousandths: what came lay in the band.
    pub covered: u64,
}

/// When a limit is reached, by the end of which day; `None`: not within the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// By the upper end of the band, by the forecast, by the lower end.
    pub early: Option<Date>,
    pub expected: Option<Date>,
    pub late: Option<Date>,
}

impl Past {
    /// Where a period will end, seen from now.
    ///
    /// # Errors
    /// [`TooShort`] where there are too few whole days.
    pub fn forecast(&self, period: &Period) -> Result<Forecast, TooShort> {
        let days = Days::of(self)?;
        let today = self.first.saturating_add(signed(days.count()));
        let (first, after) = (number(period.first), number(period.after));
        let so_far = self.spent(first, after);
        // Days from today on; today is 0.
        let [from, to] = [first.max(today), after].map(|day| usize::try_from(day - today).unwrap_or_default());
        let (rest, share) = days.rest_of_today(&self.late);
        let mut forecast =
            Forecast { so_far, expected: so_far, low: so_far, high: so_far, days: Vec::new(), band: Band::Over };
        let mut to_come: i128 = 0;
        for ahead in from..to {
            to_come =
                to_come.saturating_add(if ahead == 0 { rest } else { days.expected(days.count(), ahead, ahead + 1) });
            let first_share = if from == 0 { share } else { MILLION };
            let (low, high, band) = days.band(days.count(), Stretch { from, to: ahead + 1, first_share }, to_come);
            forecast.expected = so_far.saturating_add(to_come);
            // No less can have been spent by a later day.
            forecast.low = forecast.low.max(so_far.saturating_add(low)).min(forecast.expected);
            forecast.high = forecast.high.max(so_far.saturating_add(high)).max(forecast.expected);
            forecast.band = band;
            let (low, expected, high) = (forecast.low, forecast.expected, forecast.high);
            let date = day(today.saturating_add(signed(ahead)));
            forecast.days.extend(date.map(|day| Ahead { day, low, expected, high }));
        }
        Ok(forecast)
    }

    /// Every forecast of a whole period like this one that could have been made in the past: at the end of each of its days
    /// but the last, from what was known then.
    #[must_use]
    pub fn trials(&self, like: &Period) -> Vec<Trial> {
        let Ok(days) = Days::of(self) else {
            return Vec::new();
        };
        let today = self.first.saturating_add(signed(days.count()));
        let mut trials = Vec::new();
        let mut period = Some(like.clone());
        while let Some(past) = period.filter(|period| number(period.first) >= self.first) {
            let (first, after) = (number(past.first), number(past.after));
            let came = self.spent(first, after);
            for elapsed in 1..after - first {
                let known = usize::try_from(first + elapsed - self.first).unwrap_or_default();
                if after > today || known < DAYS_MIN {
                    continue;
                }
                let so_far = self.spent(first, first + elapsed);
                let to = usize::try_from(after - first - elapsed).unwrap_or_default();
                let to_come = days.expected(known, 0, to);
                let (low, high, _) = days.band(known, Stretch { from: 0, to, first_share: MILLION }, to_come);
                trials.extend(day(first + elapsed - 1).map(|made| Trial {
                    made,
                    elapsed,
                    length: after - first,
                    expected: so_far + to_come,
                    low: so_far + low.min(to_come),
                    high: so_far + high.max(to_come),
                    naive: so_far.saturating_mul((after - first).into()) / i128::from(elapsed),
                    came,
                }));
            }
            period = past.previous();
        }
        trials.sort_by_key(|trial| trial.made);
        trials
    }

    /// What the days with these numbers cost, without the last.
    fn spent(&self, first: i64, after: i64) -> i128 {
        let [from, to] = [first, after].map(|day| usize::try_from(day.saturating_sub(self.first)).unwrap_or_default());
        let days = self.days.get(from..to.min(self.days.len())).unwrap_or_default();
        days.iter().fold(0, |sum, day| sum.saturating_add(*day))
    }
}

/// Days from today on, without the last; of the first one only a share, in millionths, is to come.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: usize,
    to: usize,
    first_share: i128,
}

/// The whole days of a past, and what each weekday cost as it was known at the beginning of each day.
struct Days<'a> {
    costs: &'a [i128],
    /// Of the first day; Monday is 0.
    weekday: usize,
    /// What the days before each day cost together.
    before: Vec<i128>,
    /// What each weekday costs, judged from the days before each day.
    typical: Vec<[i128; 7]>,
}

impl Days<'_> {
    fn of(past: &Past) -> Result<Days<'_>, TooShort> {
        let costs = past.days.split_last().map_or(&[][..], |(_, whole)| whole);
        if costs.len() < DAYS_MIN {
            return Err(TooShort { days: costs.len() });
        }
        // Day 0, 1 January 1970, was a Thursday.
        let weekday = usize::try_from((past.first + 3).rem_euclid(7)).unwrap_or_default();
        let mut before = vec![0_i128];
        before.extend(costs.iter().scan(0_i128, |sum, cost| {
            *sum = sum.saturating_add(*cost);
            Some(*sum)
        }));
        let mut days = Days { costs, weekday, before, typical: Vec::new() };
        days.typical =
            (0..=costs.len()).map(|known| std::array::from_fn(|weekday| days.mean_of(known, weekday))).collect();
        Ok(days)
    }

    fn count(&self) -> usize {
        self.costs.len()
    }

    fn weekday(&self, day: usize) -> usize {
        (self.weekday + day) % 7
    }

    /// What a weekday cost in the last weeks before a day.
    fn mean_of(&self, known: usize, weekday: usize) -> i128 {
        let last = (1..=7.min(known)).map(|back| known - back).find(|day| self.weekday(*day) == weekday);
        let latest = last.into_iter().flat_map(|last| (0..=last).rev().step_by(7)).take(WEEKS);
        mean(&latest.filter_map(|day| self.costs.get(day).copied()).collect::<Vec<_>>())
    }

    /// What the days `from..to` after the first `known` ones are expected to cost.
    fn expected(&self, known: usize, from: usize, to: usize) -> i128 {
        let Some(typical) = self.typical.get(known) else {
            return 0;
        };
        let cost = |ahead: usize| typical.get(self.weekday(known + ahead)).copied().unwrap_or_default();
        let weeks = i128::try_from((to - from) / 7).unwrap_or_default();
        let week = typical.iter().fold(0_i128, |sum, cost| sum.saturating_add(*cost));
        let rest = (to - (to - from) % 7..to).map(cost);
        rest.fold(week.saturating_mul(weeks), i128::saturating_add)
    }

    /// What is to come today, and its share of a whole day in millionths.
    fn rest_of_today(&self, late: &[i128]) -> (i128, i128) {
        let whole = self.expected(self.count(), 0, 1);
        if late.is_empty() {
            return (whole, MILLION);
        }
        let rest = mean(late);
        (rest, rest.saturating_mul(MILLION).checked_div(whole).map_or(MILLION, |share| share.clamp(0, MILLION)))
    }

    /// The ends of the band around what is to come in a stretch after the first `known` days, and what they come from.
    fn band(&self, known: usize, stretch: Stretch, to_come: i128) -> (i128, i128, Band) {
        let length = stretch.to - stretch.from;
        // Of a few days it matters which weekdays they are.
        let alike = if length < 7 { self.ratios(known, stretch, 7) } else { Vec::new() };
        let (ratios, enough) = if alike.len() >= ORIGINS_MIN {
            (alike, ORIGINS_MIN)
        } else {
            (self.ratios(known, stretch, 1), ORIGINS_MIN.max(ORIGINS_PER_DAY * length))
        };
        let origins = ratios.len();
        let own = |(low, high)| {
            let of = |ratio: i128| to_come.saturating_mul(ratio) / MILLION;
            (of(low), of(high))
        };
        if origins >= enough {
            let (low, high) = own(quantiles(&ratios));
            return (low, high, Band::Own { origins });
        }
        let (off, days) = self.deviation(known, stretch);
        let (mut low, mut high) = (to_come.saturating_sub(off).max(0), to_come.saturating_add(off));
        if origins >= ORIGINS_SOME {
            let (own_low, own_high) = own(quantiles(&ratios));
            (low, high) = (low.min(own_low), high.max(own_high));
        }
        (low, high, Band::Residuals { days })
    }

    /// What came in such a stretch for each that was expected, in millionths, in ascending order: of every forecast that
    /// could be made and judged before the day `known`, so many days apart.
    fn ratios(&self, known: usize, stretch: Stretch, apart: usize) -> Vec<i128> {
        let first = DAYS_MIN + known.saturating_sub(DAYS_MIN) % apart;
        let mut ratios: Vec<i128> = (first..(known + 1).saturating_sub(stretch.to))
            .step_by(apart)
            .filter_map(|origin| {
                let expected = self.expected(origin, stretch.from, stretch.to);
                let sum = |end: usize| self.before.get(origin + end).copied().unwrap_or_default();
                let came = sum(stretch.to).saturating_sub(sum(stretch.from));
                (expected > 0).then(|| came.saturating_mul(MILLION) / expected)
            })
            .collect();
        ratios.sort_unstable();
        ratios
    }

    /// By how much what comes in a stretch may differ from what is expected, judged from how far the single days of the last
    /// weeks were from their weekdays' means; and how many days that were. Days are taken to differ independently, and each
    /// mean to be as uncertain as its few weeks leave it.
    fn deviation(&self, known: usize, stretch: Stretch) -> (i128, usize) {
        // Nanodollars: the squares of large amounts must fit.
        const NANO: i128 = 1_000;
        let first = known.saturating_sub(WEEKS * 7);
        let typical = self.typical.get(known).copied().unwrap_or_default();
        let squares = (first..known).map(|day| {
            let usual = typical.get(self.weekday(day)).copied().unwrap_or_default();
            let off = self.costs.get(day).copied().unwrap_or_default().saturating_sub(usual) / NANO;
            off.unsigned_abs().saturating_mul(off.unsigned_abs())
        });
        let days = known - first;
        let free = u128::try_from(days.saturating_sub(7).max(1)).unwrap_or(1);
        let variance = squares.fold(0_u128, u128::saturating_add) / free;
        let later = i128::try_from(stretch.to - stretch.from - 1).unwrap_or_default().saturating_mul(MILLION);
        let length = later.saturating_add(stretch.first_share).unsigned_abs();
        // length × variance + length² × variance / (7 × weeks), where the days of `days` are 7 × weeks.
        let million = MILLION.unsigned_abs();
        let of_days = variance.saturating_mul(length) / million;
        let of_means = of_days.saturating_mul(length) / million / u128::try_from(days.max(1)).unwrap_or(1);
        let deviation = of_days.saturating_add(of_means).isqrt().saturating_mul(DEVIATIONS_PERCENT) / 100;
        (i128::try_from(deviation).unwrap_or(i128::MAX).saturating_mul(NANO), days)
    }
}

/// A mean of costs, the latest first, in which the latest of eight counts eightfold and none more than three medians.
fn mean(latest: &[i128]) -> i128 {
    let mut sorted = latest.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    let median = match (sorted.get(middle), sorted.len()) {
        (None, _) => return 0,
        (Some(upper), count) if count % 2 == 1 => *upper,
        (Some(upper), _) => sorted.get(middle - 1).map_or(*upper, |lower| lower.midpoint(*upper)),
    };
    let most = if sorted.len() >= 4 && median > 0 { median.saturating_mul(3) } else { i128::MAX };
    let weights = (1..=signed(WEEKS)).rev().map(i128::from);
    let (sum, weight) = latest.iter().zip(weights).fold((0_i128, 0), |(sum, weight), (cost, counts)| {
        (sum.saturating_add(cost.min(&most).saturating_mul(counts)), weight + counts)
    });
    (sum / weight.max(1)).max(0)
}

/// The 10 % and the 90 % quantile of numbers in ascending order, each the next one outwards.
fn quantiles(sorted: &[i128]) -> (i128, i128) {
    let tenth = (sorted.len() + 1) / 10;
    let place = tenth.saturating_sub(1);
    let end = |place: usize| sorted.get(place).copied().unwrap_or_default();
    (end(place), end(sorted.len().saturating_sub(place + 1)))
}

impl Errors {
    /// Of trials in which something was spent; `None`: there is none.
    #[must_use]
    pub fn of<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Option<Errors> {
        let trials: Vec<&Trial> = trials.into_iter().filter(|trial| trial.came > 0).collect();
        let off = |said: fn(&Trial) -> i128| -> Vec<u64> {
            let mut off: Vec<u64> = trials
                .iter()
                .map(|trial| {
                    let off = (said(trial) - trial.came).saturating_abs().saturating_mul(1_000) / trial.came;
                    u64::try_from(off).unwrap_or(u64::MAX)
                })
                .collect();
            off.sort_unstable();
            off
        };
        let (ours, naive) = (off(|trial| trial.expected), off(|trial| trial.naive));
        let count = u64::try_from(trials.len()).ok().filter(|count| *count > 0)?;
        let mean = |off: &[u64]| off.iter().fold(0_u64, |sum, off| sum.saturating_add(*off)) / count;
        let median = |off: &[u64]| off.get(off.len() / 2).copied().unwrap_or_default();
        let covered = trials.iter().filter(|trial| (trial.low..=trial.high).contains(&trial.came)).count();
        Some(Errors {
            trials: trials.len(),
            mean: mean(&ours),
            median: median(&ours),
            naive_mean: mean(&naive),
            naive_median: median(&naive),
            covered: u64::try_from(covered).unwrap_or_default() * 1_000 / count,
        })
    }

    /// The run rate was closer on the mean.
    #[must_use]
    pub fn naive_is_better(&self) -> bool {
        self.naive_mean < self.mean
    }
}

impl Forecast {
    /// When a limit is reached of which `used` is used up now, by what the period's days add to it.
    #[must_use]
    pub fn crossing(&self, used: i128, limit: i128) -> Crossing {
        let left = limit.saturating_sub(used);
        let by = |end: fn(&Ahead) -> i128| {
            self.days.iter().find(|ahead| end(ahead).saturating_sub(self.so_far) >= left).map(|ahead| ahead.day)
        };
        Crossing { early: by(|ahead| ahead.high), expected: by(|ahead| ahead.expected), late: by(|ahead| ahead.low) }
    }
}

/// What a span will have cost at its end if it goes on as it did: so far / elapsed × length. `None`: it has not begun, or it
/// does not end.
#[must_use]
pub fn run_rate(so_far: i128, span: Span, now_ms: i64) -> Option<i128> {
    let length = i128::from(span.to_ms?) - i128::from(span.from_ms);
    let elapsed = (i128::from(now_ms) - i128::from(span.from_ms)).min(length);
    (elapsed > 0).then(|| so_far.saturating_mul(length) / elapsed)
}

/// The instant within a span at which a limit is used up if it goes on as it did: `spent` since the span began, `used` of the
/// limit with what is held. `None`: not within the span, or it does not end.
#[must_use]
pub fn used_up_at(spent: i128, used: i128, limit: i128, span: Span, now_ms: i64) -> Option<i64> {
    let left = limit.saturating_sub(used);
    if left <= 0 {
        return Some(now_ms);
    }
    let elapsed = i128::from(now_ms) - i128::from(span.from_ms);
    let wait = left.saturating_mul(elapsed).checked_div(spent).filter(|wait| spent > 0 && *wait >= 0)?;
    let at_ms = i64::try_from(i128::from(now_ms).saturating_add(wait)).ok()?;
    span.to_ms.is_some_and(|to_ms| at_ms < to_ms).then_some(at_ms)
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Date, date};
    use proptest::prelude::{Strategy, any};
    use proptest::{collection, prop_assert, prop_assert_eq, proptest};

    use super::{Band, DAYS_MIN, Errors, Past, TooShort, mean, run_rate, used_up_at};
    use crate::domain::spend::period::{Period, number};
    use crate::domain::window::{Span, Zone};

    const USD: i128 = 1_000_000_000_000;

    /// What a day costs where the weekend is quiet, from Monday on, in cents.
    const WEEK: [i128; 7] = [300, 400, 500, 400, 300, 60, 40];

    /// Numbers that look like chance and are the same on every machine (SplitMix64).
    struct Chance(u64);

    impl Chance {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ mixed >> 31
        }

        /// Between 0.3 and 2, in thousandths, the dear ones rarer: the mean is about 1.
        fn factor(&mut self) -> i128 {
            let share = i128::from(self.next() % 1_001);
            300 + share * share * 17 / 10_000 + i128::from(self.next() % 267)
        }
    }

    /// So many whole days that end the day before `today`, each as its weekday times what chance says, and a today of
    /// which nothing is spent yet.
    fn noisy(today: Date, days: usize, seed: u64) -> Past {
        let mut chance = Chance(seed);
        let mut past = weekly(today, days);
        for cost in &mut past.days {
            *cost = *cost * chance.factor() / 1_000;
        }
        past
    }

    fn weekly(today: Date, days: usize) -> Past {
        let first = number(today) - i64::try_from(days).expect("few");
        let cost = |day: i64| WEEK[usize::try_from((day + 3).rem_euclid(7)).expect("a weekday")] * USD / 100;
        let mut costs: Vec<i128> = (first..number(today)).map(cost).collect();
        costs.push(0);
        Past { first, days: costs, late: Vec::new() }
    }

    fn month(around: Date) -> Period {
        Period::month(around, &Zone::utc()).expect("a month")
    }

    /// What the period costs where every week is the same.
    fn of_weeks(period: &Period) -> i128 {
        let weekday = |day: Date| usize::try_from(day.weekday().to_monday_zero_offset()).expect("a weekday");
        period.days().map(|day| WEEK[weekday(day)] * USD / 100).sum()
    }

    #[test]
    fn fewer_than_two_weeks_are_no_forecast_and_two_are() {
        let today = date(2026, 11, 22);
        let short = weekly(today, DAYS_MIN - 1).forecast(&month(today));
        assert_eq!(short, Err(TooShort { days: 13 }));
        assert_eq!(Past::default().forecast(&month(today)), Err(TooShort { days: 0 }));
        let forecast = weekly(today, DAYS_MIN).forecast(&month(today)).expect("enough");
        assert_eq!(forecast.band, Band::Residuals { days: 14 });
    }

    #[test]
    fn a_past_of_equal_weeks_is_foretold_exactly() {
        for (today, days) in [(date(2026, 11, 1), 60), (date(2026, 11, 18), 17), (date(2026, 11, 30), 400)] {
            let past = weekly(today, days);
            let known = past.spent(number(month(today).first), number(today));
            let forecast = past.forecast(&month(today)).expect("enough");
            let to_come: i128 = of_weeks(&Period::of(today, month(today).after, &Zone::utc()).expect("days"));
            assert_eq!((forecast.so_far, forecast.expected), (known, known + to_come), "{today}");
            assert_eq!((forecast.low, forecast.high), (forecast.expected, forecast.expected), "{today}");
            assert_eq!(forecast.days.len(), usize::try_from(number(month(today).after) - number(today)).expect("few"));
        }
    }

    #[test]
    fn of_today_only_what_usually_comes_after_this_hour_is_to_come() {
        let today = date(2026, 11, 18);
        let mut past = weekly(today, 56);
        *past.days.last_mut().expect("today") = 9 * USD;
        past.late = vec![USD; 8];
        let forecast = past.forecast(&Period::of(today, date(2026, 11, 20), &Zone::utc()).expect("two days"));
        let forecast = forecast.expect("enough");
        assert_eq!((forecast.so_far, forecast.expected), (9 * USD, 9 * USD + USD + 4 * USD));
        past.late = vec![0; 8];
        let late = past.forecast(&Period::of(today, date(2026, 11, 19), &Zone::utc()).expect("a day")).expect("enough");
        assert_eq!((late.expected, late.low, late.high), (9 * USD, 9 * USD, 9 * USD), "the day is over");
    }

    #[test]
    fn a_period_that_is_over_is_what_it_was_and_one_to_come_is_all_forecast() {
        let today = date(2026, 11, 18);
        let past = weekly(today, 100);
        let over = past.forecast(&month(date(2026, 10, 5))).expect("enough");
        assert_eq!(
            (over.so_far, over.expected, over.band),
            (of_weeks(&month(date(2026, 10, 5))), over.so_far, Band::Over)
        );
        assert!(over.days.is_empty());
        let next = past.forecast(&month(date(2026, 12, 5))).expect("enough");
        assert_eq!((next.so_far, next.expected), (0, of_weeks(&month(date(2026, 12, 5)))));
        assert_eq!(next.days.first().map(|ahead| ahead.day), Some(date(2026, 12, 1)));
    }

    #[test]
    fn one_dear_day_does_not_become_a_habit() {
        let usual = [USD; 8];
        assert_eq!(mean(&usual), USD);
        let mut dear = usual;
        dear[0] = 100 * USD;
        // (8 × 3 + 28) / 36 of a dollar.
        assert_eq!(mean(&dear), USD * 52 / 36);
        assert_eq!(mean(&[]), 0);
        assert_eq!(mean(&[2 * USD, USD]), (8 * 2 + 7) * USD / 15, "the latest counts most");
    }

    #[test]
    fn the_band_holds_about_four_ends_of_five() {
        // Made on the 1st, 10th, 20th and 28th of a month, with seven weeks and with a year behind it.
        for (days, made) in [(50, 1), (50, 10), (50, 20), (50, 28), (365, 1), (365, 10), (365, 20), (365, 28)] {
            let runs = 100;
            let held = (0..runs).filter(|seed| {
                let after = date(2026, 12, 1);
                let whole = noisy(after, days + 31 - made, *seed);
                let made = usize::try_from(number(date(2026, 11, i8::try_from(made).expect("a day")))).expect("later");
                let known = made - usize::try_from(whole.first).expect("later");
                let mut past = Past { days: whole.days[..known].to_vec(), ..whole.clone() };
                past.days.push(0);
                let forecast = past.forecast(&month(date(2026, 11, 5))).expect("enough");
                let came = whole.spent(number(date(2026, 11, 1)), number(after));
                (forecast.low..=forecast.high).contains(&came)
            });
            let percent = held.count() * 100 / usize::try_from(runs).expect("few");
            assert!((70..=95).contains(&percent), "{days} days, made on the {made}: {percent} %");
        }
    }

    #[test]
    fn in_the_middle_of_a_week_it_beats_the_run_rate() {
        let today = date(2026, 11, 23);
        let week = Period::parse("2026-11-16..2026-11-22", 1_795_348_800_000, &Zone::utc()).expect("a week");
        for seed in 0..20 {
            let trials = noisy(today, 200, seed).trials(&week);
            let midweek = Errors::of(trials.iter().filter(|trial| trial.elapsed == 3)).expect("trials");
            assert!(midweek.trials >= 20 && midweek.mean * 2 < midweek.naive_mean, "{seed}: {midweek:?}");
            assert!(!midweek.naive_is_better());
        }
    }

    #[test]
    fn where_the_run_rate_was_closer_that_is_told() {
        // Every day is the same until a step two weeks before the end of each month, which no weekday explains.
        let today = date(2026, 11, 1);
        let mut past = weekly(today, 300);
        let mut level = USD;
        for (place, cost) in past.days.iter_mut().enumerate() {
            level = if place % 30 == 0 { level * 3 / 2 } else { level };
            *cost = level;
        }
        let errors = Errors::of(&past.trials(&month(date(2026, 10, 1)))).expect("trials");
        assert!(errors.naive_is_better(), "{errors:?}");
    }

    #[test]
    fn a_trial_knows_only_what_was_known() {
        let today = date(2026, 11, 1);
        let past = noisy(today, 120, 7);
        let trials = past.trials(&month(date(2026, 10, 1)));
        let made = date(2026, 10, 12);
        let trial = trials.iter().find(|trial| trial.made == made).expect("a trial");
        let known = usize::try_from(number(made) + 1 - past.first).expect("later");
        let mut then = Past { days: past.days[..known].to_vec(), ..past.clone() };
        then.days.push(0);
        let forecast = then.forecast(&month(made)).expect("enough");
        assert_eq!((trial.expected, trial.low, trial.high), (forecast.expected, forecast.low, forecast.high));
        assert_eq!(trial.came, past.spent(number(date(2026, 10, 1)), number(today)));
        assert_eq!((trial.elapsed, trial.length), (12, 31));
        // 120 days before 1 November begin on 4 July: July is not whole, August is the first.
        assert_eq!(trials.first().map(|trial| trial.made), Some(date(2026, 8, 1)));
        assert_eq!(trials.len(), 30 + 29 + 30);
    }

    #[test]
    fn a_limit_is_reached_on_the_day_that_adds_what_is_left() {
        let today = date(2026, 11, 18);
        let forecast = weekly(today, 56).forecast(&month(today)).expect("enough");
        // Wednesday 5, Thursday 4, Friday 3 dollars.
        let crossing = forecast.crossing(88 * USD, 97 * USD);
        assert_eq!(crossing.expected, Some(date(2026, 11, 19)));
        assert_eq!((crossing.early, crossing.late), (crossing.expected, crossing.expected));
        assert_eq!(forecast.crossing(0, 1_000 * USD).expected, None);
        let noisy = noisy(today, 56, 3).forecast(&month(today)).expect("enough").crossing(0, 20 * USD);
        assert!(noisy.early <= noisy.expected && noisy.late.is_none_or(|late| Some(late) >= noisy.expected));
    }

    #[test]
    fn the_run_rate_is_so_far_by_the_part_that_is_over() {
        let span = Span { from_ms: 1_000, to_ms: Some(5_000) };
        assert_eq!(run_rate(30, span, 2_000), Some(120));
        assert_eq!(run_rate(30, span, 9_000), Some(30), "it is over");
        assert_eq!(run_rate(30, span, 1_000), None);
        assert_eq!(run_rate(30, Span { to_ms: None, ..span }, 2_000), None);
    }

    #[test]
    fn a_limit_is_used_up_when_the_pace_has_spent_what_is_left() {
        let span = Span { from_ms: 0, to_ms: Some(1_000) };
        // A hundred in the first 200 ms; 50 are held.
        assert_eq!(used_up_at(100, 150, 300, span, 200), Some(500));
        assert_eq!(used_up_at(100, 150, 551, span, 200), None, "after the window");
        assert_eq!(used_up_at(0, 0, 1, span, 200), None);
        assert_eq!(used_up_at(0, 7, 7, span, 200), Some(200), "it is used up");
        assert_eq!(used_up_at(100, 150, 300, Span { to_ms: None, ..span }, 200), None);
    }

    /// Days of up to a thousand dollars, some of them idle.
    fn costs() -> impl Strategy<Value = Vec<i128>> {
        collection::vec(
            (0..1_000_i128, any::<bool>()).prop_map(|(usd, idle)| if idle { 0 } else { usd * USD }),
            15..200,
        )
    }

    proptest! {
        #[test]
        fn no_forecast_is_below_what_is_spent_or_outside_its_band(
            days in costs(), late in collection::vec(0..1_000_i128, 0..8), first in 0..40_000_i64, length in 1..90_i64,
        ) {
            let past = Past { first, days, late: late.into_iter().map(|usd| usd * USD).collect() };
            let today = first + i64::try_from(past.days.len()).expect("few") - 1;
            let day = |number| crate::domain::spend::period::day(number).expect("a day");
            let period = Period::of(day(today - length / 2), day(today + length), &Zone::utc()).expect("days");
            let forecast = past.forecast(&period).expect("enough");
            prop_assert_eq!(&forecast, &past.forecast(&period).expect("enough"));
            prop_assert!(forecast.so_far <= forecast.low);
            prop_assert!(forecast.low <= forecast.expected && forecast.expected <= forecast.high);
            for pair in forecast.days.windows(2) {
                prop_assert!(pair[0].low <= pair[1].low && pair[0].expected <= pair[1].expected);
                prop_assert!(pair[0].high <= pair[1].high && pair[0].day < pair[1].day);
            }
            let last = forecast.days.last().expect("today at least");
            prop_assert_eq!((last.low, last.expected, last.high), (forecast.low, forecast.expected, forecast.high));
        }

        #[test]
        fn amounts_of_any_size_are_no_trouble(days in collection::vec(any::<i64>(), 15..120)) {
            let past = Past { first: 20_000, days: days.into_iter().map(i128::from).collect(), late: Vec::new() };
            let today = 20_000 + i64::try_from(past.days.len()).expect("few");
            let day = |number| crate::domain::spend::period::day(number).expect("a day");
            let period = Period::of(day(today - 20), day(today + 40), &Zone::utc()).expect("days");
            prop_assert!(past.forecast(&period).is_ok());
            let _ = Errors::of(&past.trials(&Period::of(day(today - 20), day(today - 10), &Zone::utc()).expect("days")));
        }
    }
}
