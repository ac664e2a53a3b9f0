//! The periods over which calls are added up: calendar periods in a named zone, the last so many days, or all time.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::instant;

/// A time zone of the IANA database, from the copy that is a part of llmx: the same answer on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    #[must_use]
    pub fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// `Europe/Berlin`, `UTC`. `None` where the database has no such name.
    #[must_use]
    pub fn named(name: &str) -> Option<Zone> {
        // As many machines without a place of their own name it.
        if ["utc", "etc/utc"].iter().any(|utc| name.eq_ignore_ascii_case(utc)) {
            return Some(Zone::utc());
        }
        TimeZone::get(name).ok().map(Zone)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// What its clock shows at an instant, with its name: `2026-11-23 00:00 Europe/Berlin`.
    #[must_use]
    pub fn told(&self, at_ms: i64) -> String {
        match Timestamp::from_millisecond(at_ms) {
            Ok(at) => format!("{} {}", at.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M"), self.name()),
            Err(_) => instant::utc(at_ms),
        }
    }

    /// What its clock shows at an instant, with its distance from UTC: `2026-10-25T02:00:00+01:00`.
    #[must_use]
    pub fn stamp(&self, at_ms: i64) -> String {
        match Timestamp::from_millisecond(at_ms) {
            Ok(at) => at.to_zoned(self.0.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            Err(_) => instant::utc(at_ms),
        }
    }

    /// The day on its calendar at an instant; `None` beyond the calendar's years. Where a clock goes back over midnight (St
    /// John's did, until 2011), the day that has begun goes on.
    #[must_use]
    pub fn date(&self, at_ms: i64) -> Option<Date> {
        let shown = Timestamp::from_millisecond(at_ms).ok()?.to_zoned(self.0.clone()).date();
        match shown.tomorrow().ok() {
            Some(next) if self.beginning(next).is_some_and(|begins_ms| begins_ms <= at_ms) => Some(next),
            _ => Some(shown),
        }
    }

    /// The first instant of a day: midnight, or later where its clock skips midnight. `None` beyond the calendar's years.
    #[must_use]
    pub fn beginning(&self, day: Date) -> Option<i64> {
        Some(day.to_zoned(self.0.clone()).ok()?.start_of_day().ok()?.timestamp().as_millisecond())
    }

    /// The instant at which the hour on its clock began. An hour that comes twice is two.
    #[must_use]
    pub fn hour(&self, at_ms: i64) -> i64 {
        hour(at_ms, &self.0).map_or(at_ms, |(from_ms, _)| from_ms)
    }

    /// What its clock shows at an instant: the day of the week, 0 for Monday, and the minute of the day.
    #[must_use]
    pub fn clock(&self, at_ms: i64) -> Option<(usize, u32)> {
        let shown = Timestamp::from_millisecond(at_ms).ok()?.to_zoned(self.0.clone());
        let day = usize::try_from(shown.weekday().to_monday_zero_offset()).ok()?;
        Some((day, u32::try_from(i32::from(shown.hour()) * 60 + i32::from(shown.minute())).ok()?))
    }
}

impl Default for Zone {
    /// UTC, so that a budget's day is the bill's day.
    fn default() -> Zone {
        Zone::utc()
    }
}

/// A period over which calls are added up. Nothing resets it: the next period is a new question to the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Hour,
    Day,
    /// From Monday to Sunday (ISO 8601).
    Week,
    /// From the anchor day of a month to the day before it in the next; in a month that is too short, from its last day.
    Month {
        anchor: i8,
    },
    /// The last so many milliseconds.
    Rolling {
        ms: i64,
    },
    Total,
}

/// From an instant up to, and without, another; UTC milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from_ms: i64,
    /// `None`: it does not end (all time), or its beginning moves with the clock (rolling).
    pub to_ms: Option<i64>,
}

impl Window {
    /// Reads `hour`, `day`, `week`, `month`, `month@15` (from the 15th), `total`, and `12h` or `30d` (rolling).
    #[must_use]
    pub fn parse(text: &str) -> Option<Window> {
        Some(match text {
            "hour" => Window::Hour,
            "day" => Window::Day,
            "week" => Window::Week,
            "month" => Window::Month { anchor: 1 },
            "total" => Window::Total,
            _ => match text.strip_prefix("month@") {
                Some(day) => Window::Month { anchor: day.parse().ok().filter(|day| (1..=31).contains(day))? },
                None => Window::Rolling { ms: instant::age(text).filter(|ms| *ms >= 60_000)? },
            },
        })
    }

    /// The period to which a call belongs that was opened at `at_ms`. A rolling one ends with that instant.
    #[must_use]
    pub fn span(self, at_ms: i64, zone: &Zone) -> Span {
        let calendar = match self {
            Window::Total => None,
            Window::Rolling { ms } => return Span { from_ms: at_ms.saturating_sub(ms), to_ms: None },
            Window::Hour => hour(at_ms, &zone.0),
            Window::Day => days(at_ms, &zone.0, |date| Some((date, date.tomorrow().ok()?))),
            Window::Week => days(at_ms, &zone.0, |date| {
                let back = date.weekday().since(Weekday::Monday);
                let first = date.checked_sub(jiff::Span::new().days(i64::from(back))).ok()?;
                Some((first, first.checked_add(jiff::Span::new().days(7)).ok()?))
            }),
            Window::Month { anchor } => days(at_ms, &zone.0, |date| month(date, anchor)),
        };
        // Beyond the calendar's years everything counts together, which errs on the safe side.
        calendar
            .map_or(Span { from_ms: i64::MIN, to_ms: None }, |(from_ms, to_ms)| Span { from_ms, to_ms: Some(to_ms) })
    }
}

impl fmt::Display for Window {
    /// As [`Window::parse`] reads it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Hour => out.write_str("hour"),
            Window::Day => out.write_str("day"),
            Window::Week => out.write_str("week"),
            Window::Month { anchor: 1 } => out.write_str("month"),
            Window::Month { anchor } => write!(out, "month@{anchor}"),
            Window::Rolling { ms } => {
                const UNITS: [(i64, char); 4] = [(86_400_000, 'd'), (3_600_000, 'h'), (60_000, 'm'), (1_000, 's')];
                let (unit, letter) = UNITS.into_iter().find(|(unit, _)| ms % unit == 0).unwrap_or((1_000, 's'));
                write!(out, "{}{letter}", ms / unit)
            }
            Window::Total => out.write_str("total"),
        }
    }
}

/// The hour of the clock on the wall. An hour that comes twice is two of them.
fn hour(at_ms: i64, zone: &TimeZone) -> Option<(i64, i64)> {
    const HOUR_MS: i64 = 3_600_000;
    let offset_ms = i64::from(zone.to_offset(Timestamp::from_millisecond(at_ms).ok()?).seconds()) * 1000;
    let from_ms = (at_ms + offset_ms).div_euclid(HOUR_MS) * HOUR_MS - offset_ms;
    Some((from_ms, from_ms + HOUR_MS))
}

/// Whole days of a zone, which have 23 or 25 hours where its clock changes.
fn days(at_ms: i64, zone: &TimeZone, period: impl Fn(Date) -> Option<(Date, Date)>) -> Option<(i64, i64)> {
    let zone = Zone(zone.clone());
    let (first, after) = period(zone.date(at_ms)?)?;
    Some((zone.beginning(first)?, zone.beginning(after)?))
}

fn month(date: Date, anchor: i8) -> Option<(Date, Date)> {
    let anchored = |first: Date| first.with().day(anchor.min(first.days_in_month())).build().ok();
    let this = date.first_of_month();
    let next = this.checked_add(jiff::Span::new().months(1)).ok()?;
    if date >= anchored(this)? {
        return Some((anchored(this)?, anchored(next)?));
    }
    let before = this.checked_sub(jiff::Span::new().months(1)).ok()?;
    Some((anchored(before)?, anchored(this)?))
}

#[cfg(test)]
mod tests {
    use super::{Window, Zone};
    use crate::domain::instant::utc;

    /// The period around an instant, as UTC texts.
    fn span(window: &str, zone: &str, at: &str) -> (String, String) {
        let at_ms = at.parse::<jiff::Timestamp>().expect("an instant").as_millisecond();
        let zone = Zone::named(zone).expect("a zone");
        let span = Window::parse(window).expect("a window").span(at_ms, &zone);
        assert!(span.from_ms <= at_ms && span.to_ms.is_some_and(|to| at_ms < to), "{window} {at}: {span:?}");
        (utc(span.from_ms), utc(span.to_ms.expect("it ends")))
    }

    #[test]
    fn a_day_has_23_or_25_hours_where_the_clock_changes() {
        for (at, from, to) in [
            // Berlin goes to summer time on 29 March 2026 at 01:00 UTC, and back on 25 October at 01:00 UTC.
            ("2026-03-29T10:00:00Z", "2026-03-28 23:00:00Z", "2026-03-29 22:00:00Z"),
            ("2026-10-25T10:00:00Z", "2026-10-24 22:00:00Z", "2026-10-25 23:00:00Z"),
            ("2026-11-22T22:59:59Z", "2026-11-21 23:00:00Z", "2026-11-22 23:00:00Z"),
            ("2026-11-22T23:00:00Z", "2026-11-22 23:00:00Z", "2026-11-23 23:00:00Z"),
        ] {
            assert_eq!(span("day", "Europe/Berlin", at), (from.to_owned(), to.to_owned()), "{at}");
        }
        // In Beirut midnight itself was skipped on 31 March 2024: the day begins at one o'clock.
        let (from, to) = span("day", "Asia/Beirut", "2024-03-31T12:00:00Z");
        assert_eq!((from.as_str(), to.as_str()), ("2024-03-30 22:00:00Z", "2024-03-31 21:00:00Z"));
    }

    #[test]
    fn an_hour_that_comes_twice_is_two_hours() {
        let first = span("hour", "Europe/Berlin", "2026-10-25T00:30:00Z");
        let second = span("hour", "Europe/Berlin", "2026-10-25T01:30:00Z");
        assert_eq!(first, ("2026-10-25 00:00:00Z".to_owned(), "2026-10-25 01:00:00Z".to_owned()));
        assert_eq!(second, ("2026-10-25 01:00:00Z".to_owned(), "2026-10-25 02:00:00Z".to_owned()));
        // Nepal is 5:45 ahead.
        assert_eq!(span("hour", "Asia/Kathmandu", "2026-11-22T00:20:00Z").0, "2026-11-22 00:15:00Z");
    }

    #[test]
    fn a_week_begins_on_monday_and_a_month_on_its_anchor_day() {
        assert_eq!(span("week", "UTC", "2026-11-22T23:59:59Z").0, "2026-11-16 00:00:00Z");
        assert_eq!(span("week", "UTC", "2026-11-23T00:00:00Z").0, "2026-11-23 00:00:00Z");
        for (window, at, from, to) in [
            ("month", "2026-02-28T23:00:00Z", "2026-02-01 00:00:00Z", "2026-03-01 00:00:00Z"),
            ("month@15", "2026-03-14T00:00:00Z", "2026-02-15 00:00:00Z", "2026-03-15 00:00:00Z"),
            ("month@31", "2024-02-28T12:00:00Z", "2024-01-31 00:00:00Z", "2024-02-29 00:00:00Z"),
            ("month@31", "2024-02-29T12:00:00Z", "2024-02-29 00:00:00Z", "2024-03-31 00:00:00Z"),
            ("month@31", "2026-12-31T12:00:00Z", "2026-12-31 00:00:00Z", "2027-01-31 00:00:00Z"),
        ] {
            assert_eq!(span(window, "UTC", at), (from.to_owned(), to.to_owned()), "{window} {at}");
        }
    }

    #[test]
    fn every_window_is_written_as_it_is_read() {
        for text in ["hour", "day", "week", "month", "month@31", "total", "30d", "12h", "90m"] {
            assert_eq!(Window::parse(text).expect(text).to_string(), text);
        }
        for wrong in ["", "days", "month@0", "month@32", "10s", "-1d", "1y", "month@x"] {
            assert_eq!(Window::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Window::parse("7d").expect("rolling").span(1_000, &Zone::utc()).from_ms, 1_000 - 604_800_000);
        assert_eq!(Window::Total.span(1_000, &Zone::utc()).from_ms, i64::MIN);
    }

    #[test]
    fn a_zone_is_known_by_its_name() {
        assert_eq!(Zone::named("Europe/Berlin").expect("a zone").name(), "Europe/Berlin");
        assert_eq!(Zone::named("utc").expect("a zone").name(), "UTC");
        assert!(Zone::named("Mars/Olympus").is_none());
    }
}
