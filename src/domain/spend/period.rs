//! The days that a report is about, on the calendar of a named zone.

use jiff::civil::{Date, Weekday};
use jiff::{Span as Calendar, ToSpan as _};

use crate::domain::window::{Span, Zone};

/// Whole days of a zone, from the first up to, and without, another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    pub first: Date,
    /// The day after the last.
    pub after: Date,
    pub zone: Zone,
}

/// What a period may be written as, for help and errors.
pub const FORMS: &str = "today, yesterday, 7d, week, last-week, month, last-month, year, 2026-11-22, 2026-11, 2026, \
                         2026-11-01..2026-11-15, 2026-11-01.. or all";

/// The longest period, in days: longer than any ledger.
const DAYS_MAX: i64 = 366 * 200;

impl Period {
    /// Reads one of [`FORMS`], seen from `now_ms`. Both ends of `A..B` are in it; where `B` is left out, today is the last.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(text: &str, now_ms: i64, zone: &Zone) -> Result<Period, String> {
        let today = zone.date(now_ms).ok_or("the clock shows a day beyond the calendar")?;
        let (first, last) = match text.split_once("..") {
            Some(("", "")) => return Err(format!("{text}: a period has a beginning or an end")),
            Some((from, "")) => (one(from, today)?.0, today),
            Some(("", to)) => (Date::new(1970, 1, 1).map_err(|error| error.to_string())?, one(to, today)?.1),
            Some((from, to)) => (one(from, today)?.0, one(to, today)?.1),
            None => one(text, today)?,
        };
        if last < first {
            return Err(format!("{text}: it ends ({last}) before it begins ({first})"));
        }
        let period = last.tomorrow().ok().and_then(|after| Period::of(first, after, zone));
        period.filter(|period| period.count() <= DAYS_MAX).ok_or_else(|| format!("{text}: beyond the calendar"))
    }

    /// The days from `first` up to, and without, `after`. `None`: no instant of the zone begins them.
    #[must_use]
    pub fn of(first: Date, after: Date, zone: &Zone) -> Option<Period> {
        zone.beginning(first).zip(zone.beginning(after))?;
        Some(Period { first, after, zone: zone.clone() })
    }

    /// The calendar month around a day.
    #[must_use]
    pub fn month(around: Date, zone: &Zone) -> Option<Period> {
        Period::of(around.first_of_month(), next_month(around)?, zone)
    }

    /// From its first instant up to, and without, the first after it.
    #[must_use]
    pub fn span(&self) -> Span {
        Span { from_ms: self.zone.beginning(self.first).unwrap_or(i64::MIN), to_ms: self.zone.beginning(self.after) }
    }

    /// How many days it has.
    #[must_use]
    pub fn count(&self) -> i64 {
        number(self.after) - number(self.first)
    }

    /// Every day of it.
    pub fn days(&self) -> impl Iterator<Item = Date> + use<> {
        let after = self.after;
        self.first.series(1.day()).take_while(move |day| *day < after)
    }

    /// As many days, just before it; of a whole month the month before.
    #[must_use]
    pub fn previous(&self) -> Option<Period> {
        let whole_months = self.first.day() == 1 && self.after.day() == 1;
        if whole_months {
            let months = self.first.until((jiff::Unit::Month, self.after)).ok()?.get_months();
            return Period::of(shifted(self.first, (-months).months())?, self.first, &self.zone);
        }
        Period::of(shifted(self.first, (-self.count()).days())?, self.first, &self.zone)
    }

    /// The same days of the month before; a day that it has not is left out.
    #[must_use]
    pub fn month_before(&self) -> Option<Period> {
        let back = |day: Date| shifted(day, (-1).months());
        let first = back(self.first)?;
        // The last day rather than the one after it: 31 March has no like in February, 1 April has.
        let last = back(self.after.yesterday().ok()?)?;
        Period::of(first, last.tomorrow().ok()?, &self.zone)
    }

    /// `Mon 16 – Sun 22 Nov 2026`, as short as the days allow.
    #[must_use]
    pub fn label(&self) -> String {
        let last = self.after.yesterday().unwrap_or(self.after);
        let whole = |day: Date| day.strftime("%a %-d %b %Y").to_string();
        if self.first == last {
            return whole(last);
        }
        if self.first.day() == 1 && Some(self.after) == next_month(self.first) {
            return self.first.strftime("%B %Y").to_string();
        }
        let from = match (self.first.year() == last.year(), self.first.month() == last.month()) {
            (true, true) => self.first.strftime("%a %-d").to_string(),
            (true, false) => self.first.strftime("%a %-d %b").to_string(),
            (false, _) => whole(self.first),
        };
        format!("{from} – {}", whole(last))
    }
}

/// Days since 1970-01-01.
#[must_use]
pub fn number(day: Date) -> i64 {
    (day - Date::constant(1970, 1, 1)).get_days().into()
}

/// The day with this [`number`].
#[must_use]
pub fn day(number: i64) -> Option<Date> {
    shifted(Date::constant(1970, 1, 1), Calendar::new().try_days(number).ok()?)
}

/// The Monday of the day's week.
#[must_use]
pub fn week(day: Date) -> Date {
    let back = day.weekday().since(Weekday::Monday);
    shifted(day, Calendar::new().days(i64::from(-back))).unwrap_or(day)
}

/// The first day of the next month.
#[must_use]
pub fn next_month(day: Date) -> Option<Date> {
    shifted(day.first_of_month(), 1.month())
}

fn shifted(day: Date, by: Calendar) -> Option<Date> {
    day.checked_add(by).ok()
}

/// The first and the last day of a period that is written as one word.
fn one(text: &str, today: Date) -> Result<(Date, Date), String> {
    let wrong = || format!("{text}: no period; write {FORMS}");
    let back = |days: i64| shifted(today, Calendar::new().try_days(-days).ok()?);
    let found = match text {
        "today" => Some((today, today)),
        "yesterday" => back(1).map(|day| (day, day)),
        "week" => Some((week(today), today)),
        "last-week" => shifted(week(today), (-7).days()).zip(week(today).yesterday().ok()),
        "month" => Some((today.first_of_month(), today)),
        "last-month" => today.first_of_month().yesterday().ok().map(|last| (last.first_of_month(), last)),
        "year" => Some((today.first_of_year(), today)),
        "all" => Some((Date::constant(1970, 1, 1), today)),
        _ => written(text, &back, today),
    };
    found.ok_or_else(wrong)
}

/// `7d`, `2w`, `2026-11-22`, `2026-11` or `2026`.
fn written(text: &str, back: &impl Fn(i64) -> Option<Date>, today: Date) -> Option<(Date, Date)> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
    if let Some(count) =
        text.strip_suffix('d').and_then(digits).or_else(|| digits(text.strip_suffix('w')?)?.checked_mul(7))
    {
        return Some((back(count.checked_sub(1).filter(|count| *count >= 0)?)?, today));
    }
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let numbers = parts.iter().map(|part| digits(part)).collect::<Option<Vec<i64>>>()?;
    let date = |month: i64, day: i64| {
        Date::new(i16::try_from(numbers.first().copied()?).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?)
            .ok()
    };
    match (lengths.as_slice(), numbers.as_slice()) {
        ([4], _) => Some((date(1, 1)?, date(12, 31)?)),
        ([4, 2], [_, month]) => date(*month, 1).map(|first| (first, first.last_of_month())),
        ([4, 2, 2], [_, month, day]) => date(*month, *day).map(|day| (day, day)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{Period, day, number};
    use crate::domain::window::Zone;

    /// 2026-11-22T12:00:00Z, a Sunday.
    const NOW: i64 = 1_795_348_800_000;

    fn period(text: &str) -> Period {
        Period::parse(text, NOW, &Zone::utc()).expect(text)
    }

    #[test]
    fn a_period_is_what_people_call_it() {
        for (text, first, last) in [
            ("today", "2026-11-22", "2026-11-22"),
            ("yesterday", "2026-11-21", "2026-11-21"),
            ("7d", "2026-11-16", "2026-11-22"),
            ("2w", "2026-11-09", "2026-11-22"),
            ("week", "2026-11-16", "2026-11-22"),
            ("last-week", "2026-11-09", "2026-11-15"),
            ("month", "2026-11-01", "2026-11-22"),
            ("last-month", "2026-10-01", "2026-10-31"),
            ("year", "2026-01-01", "2026-11-22"),
            ("2026-02", "2026-02-01", "2026-02-28"),
            ("2025", "2025-01-01", "2025-12-31"),
            ("2026-11-03", "2026-11-03", "2026-11-03"),
            ("2026-11-01..2026-11-15", "2026-11-01", "2026-11-15"),
            ("2026-10..2026-11-15", "2026-10-01", "2026-11-15"),
            ("2026-11-20..", "2026-11-20", "2026-11-22"),
            ("last-week..yesterday", "2026-11-09", "2026-11-21"),
        ] {
            let period = period(text);
            let last_day = period.after.yesterday().expect("a day");
            assert_eq!((period.first.to_string(), last_day.to_string()), (first.to_owned(), last.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_period_says_what_is() {
        for wrong in [
            "",
            "..",
            "0d",
            "-1d",
            "7",
            "2026-13",
            "2026-02-30",
            "26-11",
            "tomorrow",
            "2026-11-1",
            "99999999d",
            "9999",
            "2026-11-22..2026-11-01",
        ] {
            assert!(Period::parse(wrong, NOW, &Zone::utc()).is_err(), "{wrong}");
        }
        let said = Period::parse("fortnight", NOW, &Zone::utc()).expect_err("no period");
        assert!(said.contains("2026-11-01..2026-11-15"), "{said}");
    }

    #[test]
    fn a_day_of_a_zone_begins_with_its_clock() {
        let berlin = Zone::named("Europe/Berlin").expect("a zone");
        let span = Period::parse("2026-10-25", NOW, &berlin).expect("a day").span();
        assert_eq!(span.to_ms.expect("it ends") - span.from_ms, 25 * 3_600_000);
        // Half an hour before midnight in London it is the next day in Berlin.
        let late = NOW + 11 * 3_600_000 + 1_800_000;
        assert_eq!(Period::parse("today", late, &berlin).expect("a day").first, date(2026, 11, 23));
    }

    #[test]
    fn the_period_before_is_as_long_and_a_month_has_a_month_before() {
        assert_eq!(period("7d").previous().expect("days"), period("2026-11-09..2026-11-15"));
        assert_eq!(period("2026-03").previous().expect("a month"), period("2026-02"));
        assert_eq!(period("2026").previous().expect("a year"), period("2025"));
        assert_eq!(period("2026-11-01..2026-11-10").month_before().expect("days"), period("2026-10-01..2026-10-10"));
        assert_eq!(period("2026-03-30..2026-03-31").month_before().expect("days"), period("2026-02-28"));
    }

    #[test]
    fn a_label_is_as_short_as_its_days_allow() {
        for (text, label) in [
            ("today", "Sun 22 Nov 2026"),
            ("7d", "Mon 16 – Sun 22 Nov 2026"),
            ("2026-10-30..2026-11-02", "Fri 30 Oct – Mon 2 Nov 2026"),
            ("2025-12-31..2026-01-01", "Wed 31 Dec 2025 – Thu 1 Jan 2026"),
            ("2026-10", "October 2026"),
        ] {
            assert_eq!(period(text).label(), label);
        }
    }

    #[test]
    fn a_day_and_its_number_are_one() {
        for (date, count) in [(date(1970, 1, 1), 0), (date(1969, 12, 31), -1), (date(2026, 11, 22), 20_779)] {
            assert_eq!((number(date), day(count)), (count, Some(date)));
        }
        assert_eq!(period("2026-11").days().count(), 30);
    }
}
