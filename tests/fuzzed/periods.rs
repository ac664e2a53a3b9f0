//! Budget periods: written as they are read, and every instant lies in its own.

use llmx::domain::window::{Window, Zone};

/// From the year 2015 on: zones changed their clocks at one minute past midnight before.
const FROM_MS: i64 = 1_420_070_400_000;
/// Three centuries.
const YEARS_MS: i64 = 300 * 365 * 86_400_000;

/// A period, a zone and an instant in milliseconds, on a line each.
pub fn window(bytes: &[u8]) {
    let text = super::text(bytes);
    let mut lines = text.lines();
    let (window, zone, at) = (lines.next(), lines.next(), lines.next());
    let Some(window) = window.and_then(Window::parse) else { return };
    assert_eq!(Window::parse(&window.to_string()), Some(window));

    let Some(zone) = zone.and_then(Zone::named) else { return };
    assert_eq!(Zone::named(zone.name()).as_ref(), Some(&zone));

    let Some(at) = at.and_then(|at| at.parse::<i64>().ok()) else { return };
    // Any instant has an answer, also beyond the calendar's years.
    assert!(window.span(at, &zone).from_ms <= at);
    assert!(!zone.told(at).is_empty());
    if let Some((day, minute)) = zone.clock(at) {
        assert!(day < 7 && minute < 24 * 60, "{day} {minute}");
    }
    let at = FROM_MS + at.rem_euclid(YEARS_MS);
    let span = window.span(at, &zone);
    assert!(span.from_ms <= at && span.to_ms.is_none_or(|to| at < to), "{window} in {} at {at}: {span:?}", zone.name());
    let Some(to) = span.to_ms else { return };
    if !matches!(window, Window::Hour) {
        assert_eq!(window.span(span.from_ms, &zone), span, "{window} in {}: its first instant", zone.name());
        assert_eq!(window.span(to - 1, &zone), span, "{window} in {}: its last instant", zone.name());
        assert_eq!(window.span(to, &zone).from_ms, to, "{window} in {}: the next one", zone.name());
    }
}
