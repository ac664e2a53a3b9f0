//! Instants as people write them: UTC milliseconds since 1970 to a date and back, and ages.

const DAY_MS: i64 = 86_400_000;

/// `2026-11-22 13:49:05Z`.
#[must_use]
pub fn utc(millis: i64) -> String {
    let (days, rest) = (millis.div_euclid(DAY_MS), millis.rem_euclid(DAY_MS) / 1000);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The beginning of a day such as `2026-11-22`, in UTC.
#[must_use]
pub fn day(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let days = days(i64::from(year), i64::from(month), i64::from(day));
    // A date that does not exist becomes another one on its way.
    (year < 10_000 && civil(days) == (i64::from(year), i64::from(month), i64::from(day))).then(|| days * DAY_MS)
}

/// How long `30s`, `15m`, `12h`, `7d` or `2w` is, in milliseconds.
#[must_use]
pub fn age(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => DAY_MS,
        'w' => 7 * DAY_MS,
        _ => return None,
    };
    let number = text.get(..text.len() - 1)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number.parse::<i64>().ok()).flatten()?.checked_mul(unit)
}

/// The instant that `--since` and its kin mean: an age before `now_ms`, or the beginning of a day.
#[must_use]
pub fn since(text: &str, now_ms: i64) -> Option<i64> {
    age(text).map(|age| now_ms.saturating_sub(age)).or_else(|| day(text))
}

/// Days since 1970 of a date, counted in years that begin in March, so that the leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{age, civil, day, days, since, utc};

    #[test]
    fn every_day_of_eight_centuries_comes_back() {
        for number in -146_097..146_097 {
            let (year, month, day) = civil(number);
            assert_eq!(days(year, month, day), number, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn instants_are_written_and_read() {
        assert_eq!(utc(0), "1970-01-01 00:00:00Z");
        assert_eq!(utc(1_795_305_600_000 + 3_599_999), "2026-11-22 00:59:59Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(day("2026-11-22"), Some(1_795_305_600_000));
        for wrong in ["2026-02-29", "2026-13-01", "2026-11", "22.11.2026", "2026-11-22x", ""] {
            assert_eq!(day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ages_count_back_from_now() {
        assert_eq!(age("7d"), Some(604_800_000));
        assert_eq!(age("2w"), age("14d"));
        for wrong in ["7", "d", "-1d", "1.5h", "7 d", "9999999999999999999d", "9223372036854775807w", "7é"] {
            assert_eq!(age(wrong), None, "{wrong}");
        }
        assert_eq!(since("1h", 7_200_000), Some(3_600_000));
        assert_eq!(since("1970-01-02", 0), Some(86_400_000));
    }
}
