//! How long a provider's headers ask to wait, in each form in which they say it.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use reqwest::header::HeaderMap;

use crate::wire::errors::millis;

/// Nobody waits longer than a year: such a number is no time to wait.
const WAIT_MAX_MS: u64 = 366 * 86_400_000;

/// How long to wait, in milliseconds. A date is held against the answer's own `Date`, since this machine's clock may be
/// wrong, and else against `now_ms` (UTC milliseconds since 1970). `None` for what has passed, is none or cannot be.
#[must_use]
pub fn asked_ms(headers: &HeaderMap, now_ms: i64) -> Option<u64> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    // `retry-after-ms` is Azure's and OpenAI's, `x-amz-retry-after` is AWS's; both are in milliseconds.
    let exact = ["retry-after-ms", "x-amz-retry-after"].into_iter().find_map(|name| thousandths(text(name)?));
    let asked = exact.or_else(|| {
        let asked = text("retry-after")?;
        millis(asked).or_else(|| {
            let now_ms = text("date").and_then(date_ms).unwrap_or(now_ms);
            u64::try_from(date_ms(asked)?.checked_sub(now_ms)?).ok().filter(|wait| *wait > 0)
        })
    });
    asked.filter(|wait| *wait <= WAIT_MAX_MS)
}

/// Whole milliseconds; a fraction of one is rounded up.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let rest = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    (!whole.is_empty() && digits(whole) && digits(fraction)).then(|| whole.parse::<u64>().ok())??.checked_add(rest)
}

/// The instant of an HTTP date in UTC milliseconds since 1970: IMF-fixdate, and the two forms that RFC 9110 (5.6.7) has
/// every recipient take.
fn date_ms(text: &str) -> Option<i64> {
    const FORMS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = FORMS.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{asked_ms, date_ms};

    fn asked(headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        // 1994-11-06 08:49:37 UTC, as in RFC 9110.
        asked_ms(&map, 784_111_777_000)
    }

    #[test]
    fn a_date_is_read_in_the_three_forms_of_the_standard() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(date_ms(text), Some(784_111_777_000), "{text}");
        }
        for text in [
            "",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(date_ms(text), None, "{text}");
        }
    }

    #[test]
    fn the_time_to_wait_is_read_in_each_form() {
        for (name, value, wait) in [
            ("retry-after", "2", Some(2000)),
            ("retry-after", " 2 ", Some(2000)),
            ("retry-after", "0", Some(0)),
            ("retry-after", "1.5", Some(1500)),
            ("retry-after", "0.0001", Some(1)),
            ("retry-after", "3600", Some(3_600_000)),
            ("retry-after-ms", "250", Some(250)),
            ("retry-after-ms", "249.5", Some(250)),
            ("x-amz-retry-after", "300", Some(300)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("retry-after", "Sunday, 06-Nov-94 08:50:37 GMT", Some(60_000)),
            ("retry-after", "Sun Nov  6 08:49:38 1994", Some(1000)),
            // Past, now, negative, garbage, beyond any waiting.
            ("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT", None),
            ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("retry-after", "-5", None),
            ("retry-after", "+5", None),
            ("retry-after", "", None),
            ("retry-after", ".", None),
            ("retry-after", "1.+5", None),
            ("retry-after", "1.5.2", None),
            ("retry-after", "1e9", None),
            ("retry-after", "soon", None),
            ("retry-after", "40000000", None),
            ("retry-after", "18446744073709551615", None),
            ("retry-after", "99999999999999999999", None),
            ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT", None),
            ("retry-after-ms", "-1", None),
            ("retry-after-ms", "soon", None),
        ] {
            assert_eq!(asked(&[(name, value)]), wait, "{name}: {value}");
        }
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn the_more_exact_header_counts_where_it_can_be_read() {
        assert_eq!(asked(&[("retry-after", "9"), ("retry-after-ms", "250")]), Some(250));
        assert_eq!(asked(&[("retry-after", "9"), ("retry-after-ms", "x"), ("x-amz-retry-after", "7")]), Some(7));
        assert_eq!(asked(&[("retry-after", "9"), ("retry-after-ms", "x")]), Some(9000));
    }

    #[test]
    fn a_date_is_held_against_the_servers_own_clock() {
        let date = ("retry-after", "Sun, 06 Nov 1994 10:00:30 GMT");
        assert_eq!(asked(&[date, ("date", "Sun, 06 Nov 1994 10:00:00 GMT")]), Some(30_000));
        assert_eq!(asked(&[date, ("date", "nonsense")]), Some(4_253_000));
        assert_eq!(asked(&[date, ("date", "Sun, 06 Nov 1994 10:01:00 GMT")]), None);
    }
}
