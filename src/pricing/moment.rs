//! Instants in UTC, as far as prices need them: a row's start, a weekday, an hour, a date in a calendar.

use std::fmt;

use toml::value::{Date, Datetime, Offset};

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    pub ms: i64,
}

impl Moment {
    #[must_use]
    pub fn from_ms(ms: i64) -> Moment {
        Moment { ms }
    }

    /// Reads RFC 3339 (`2026-11-18T14:23:05Z`, with an offset, or a date alone, which is its midnight in UTC).
    #[must_use]
    pub fn parse(text: &str) -> Option<Moment> {
        let text = text.trim();
        // RFC 3339 also allows `-00:00` for "UTC, place unknown".
        let text = text.strip_suffix("-00:00").map_or_else(|| text.to_owned(), |head| format!("{head}Z"));
        Moment::of(&text.parse().ok()?)
    }

    /// An instant of a TOML file; without an offset it is UTC.
    #[must_use]
    pub fn of(datetime: &Datetime) -> Option<Moment> {
        let days = days_since_epoch(datetime.date?);
        let offset = match datetime.offset {
            None | Some(Offset::Z) => 0,
            Some(Offset::Custom { minutes }) => i64::from(minutes),
        };
        let ms = datetime.time.map_or(0, |time| {
            let (hour, minute) = (i64::from(time.hour), i64::from(time.minute));
            let second = i64::from(time.second.unwrap_or(0));
            ((hour * 60 + minute) * 60 + second) * 1000 + i64::from(time.nanosecond.unwrap_or(0) / 1_000_000)
        });
        Some(Moment { ms: days * DAY_MS + ms - offset * 60_000 })
    }

    /// 0 is Monday.
    #[must_use]
    pub fn weekday(self) -> usize {
        // 1970-01-01 was a Thursday.
        usize::try_from((self.days() + 3).rem_euclid(7)).unwrap_or(0)
    }

    /// Minutes since midnight.
    #[must_use]
    pub fn minute_of_day(self) -> u32 {
        u32::try_from(self.ms.rem_euclid(DAY_MS) / 60_000).unwrap_or(0)
    }

    /// `2026-11-18`.
    #[must_use]
    pub fn date(self) -> String {
        let (year, month, day) = civil(self.days());
        format!("{year:04}-{month:02}-{day:02}")
    }

    #[must_use]
    pub fn year(self) -> i64 {
        civil(self.days()).0
    }

    fn days(self) -> i64 {
        self.ms.div_euclid(DAY_MS)
    }
}

impl fmt::Display for Moment {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.ms.rem_euclid(DAY_MS) / 1000;
        write!(out, "{}T{:02}:{:02}:{:02}Z", self.date(), seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, by eras of 400 years that begin in March, so that the leap
/// day is a year's last.
fn days_since_epoch(date: Date) -> i64 {
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let year = i64::from(date.year) - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day: the inverse of [`days_since_epoch`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * of_era + of_era / 4 - of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let month_of_year = (month + 2) % 12 + 1;
    (era * 400 + of_era + i64::from(month_of_year <= 2), month_of_year, of_year - (153 * month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::Moment;

    #[test]
    fn an_instant_knows_its_weekday_and_its_date_in_utc() {
        let moment = Moment::parse("2026-11-18T14:23:05+00:00").expect("an instant");
        assert_eq!((moment.to_string().as_str(), moment.weekday()), ("2026-11-18T14:23:05Z", 2));
        assert_eq!(moment.minute_of_day(), 14 * 60 + 23);
        let east = Moment::parse("2026-10-01T07:15:00+08:00").expect("an instant");
        assert_eq!(east.to_string(), "2026-09-30T23:15:00Z");
        assert_eq!(Moment::parse("1970-01-01T00:00:00Z").map(|moment| (moment.ms, moment.weekday())), Some((0, 3)));
        assert_eq!(Moment::parse("2024-02-29").map(|moment| moment.date()).as_deref(), Some("2024-02-29"));
        assert_eq!(Moment::parse("2026-11-18T14:23:05.250Z").map(|moment| moment.ms % 1000), Some(250));
        for wrong in ["", "yesterday", "2026-13-01", "14:00:00"] {
            assert_eq!(Moment::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_second_of_many_years_reads_back(seconds in -2_000_000_000_i64..20_000_000_000) {
            let moment = Moment::from_ms(seconds * 1000);
            prop_assert_eq!(Moment::parse(&moment.to_string()), Some(moment));
        }
    }
}
