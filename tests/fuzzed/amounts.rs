//! Amounts and the terms of a budget, as they are written and read again.

use llmx::command::budget::terms;
use llmx::domain::budget::OnUnknownPrice;
use llmx::domain::instant;
use llmx::domain::money::Usd;
use llmx::pricing::decimal::Decimal;

pub fn usd(bytes: &[u8]) {
    let text = super::text(bytes);
    let read = Usd::parse(&text);
    if let Some(usd) = read {
        assert_eq!(Usd::parse(&usd.to_string()), Some(usd), "{usd}");
    }
    if let Some(wanted) = worked_out(&text) {
        let fits = wanted.abs() <= i128::from(i64::MAX);
        assert_eq!(read.map(|usd| i128::from(usd.picos)), Some(wanted).filter(|_| fits), "{text}");
    }
    if let Ok(decimal) = Decimal::parse(&text) {
        assert_eq!(Decimal::parse(&decimal.to_string()), Ok(decimal));
        // A price of one unit of money for each million, of a million: the amount itself.
        if let (Some(amount), Some(usd)) = (decimal.amount(1_000_000, 6), Usd::parse(&decimal.to_string())) {
            assert_eq!(amount, usd, "{decimal}");
        }
    }
    if let Some(day) = instant::day(&text) {
        let date = instant::utc(day);
        assert_eq!(date.get(..10).and_then(instant::day), Some(day), "{text}");
    }
    assert!(instant::age(&text).is_none_or(|age| age >= 0), "{text}");
}

/// The picodollars of a plain decimal of at most 18 places, by whole numbers that are wide enough.
fn worked_out(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.')?;
    let digits = [whole, fraction].concat();
    let plain = !whole.is_empty() && fraction.len() <= 18 && whole.len() <= 18;
    if !plain || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scaled = digits.parse::<i128>().ok()? * 10_i128.pow(18 - u32::try_from(fraction.len()).ok()?);
    let (picos, rest) = (scaled / 1_000_000, scaled % 1_000_000);
    let up = rest > 500_000 || rest == 500_000 && picos % 2 == 1;
    Some(sign * (picos + i128::from(up)))
}

/// Each line as every term of a budget.
pub fn terms(bytes: &[u8]) {
    for line in super::text(bytes).lines() {
        let limit = terms::limit(line);
        if let Ok(limit) = &limit {
            assert!(limit.amount.picos >= 0, "{line}");
            let written = format!("{}/{}", limit.amount, limit.window);
            assert_eq!(terms::limit(&written).as_ref(), Ok(limit), "{line}");
        }
        let in_file = format!("limit = {}", toml::Value::from(line));
        let in_file = toml::from_str::<terms::Terms>(&in_file).map(|terms| terms.limit);
        assert_eq!(in_file.ok(), limit.ok(), "a file and a flag say the same: {line}");

        if let Ok(percents) = terms::warn(line) {
            assert!(percents.is_sorted() && percents.iter().all(|percent| *percent > 0), "{line}");
            let words: Vec<String> = percents.iter().map(u32::to_string).collect();
            let written = if words.is_empty() { "none".to_owned() } else { words.join(",") };
            assert_eq!(terms::warn(&written), Ok(percents), "{line}");
        }
        if let Ok(name) = terms::name(line) {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            assert!(name == line && plain && !name.starts_with('.'), "{line}");
        }
        if let Ok(zone) = terms::zone(line) {
            assert_eq!(terms::zone(zone.name()), Ok(zone), "{line}");
        }
        if let Ok(OnUnknownPrice::Assume(usd)) = terms::on_unknown_price(line) {
            assert!(usd.picos >= 0, "{line}");
            assert_eq!(terms::on_unknown_price(&format!("assume:{usd}")), Ok(OnUnknownPrice::Assume(usd)), "{line}");
        }
    }
}
