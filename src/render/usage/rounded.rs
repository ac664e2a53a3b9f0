//! Amounts as people read them: rounded to the cent, and estimates that say no more than they know.

use crate::domain::money::Usd;

const CENT: i128 = 10_000_000_000;

/// `$90.88`, rounded half up to the cent; below ten cents to two digits that are not zero: `$0.0042`.
pub(super) fn usd(picos: i128) -> String {
    let sign = if picos < 0 { "-" } else { "" };
    let picos = picos.unsigned_abs();
    let mut unit = CENT.unsigned_abs();
    while picos > 0 && picos < unit * 10 && unit > 1 {
        unit /= 10;
    }
    let rounded = (picos + unit / 2) / unit * unit;
    let (whole, rest) = (rounded / (CENT.unsigned_abs() * 100), rounded % (CENT.unsigned_abs() * 100));
    let digits = format!("{rest:012}");
    let fraction = match digits.trim_end_matches('0') {
        short if short.len() <= 2 => digits.get(..2).unwrap_or_default(),
        long => long,
    };
    match rounded {
        0 => "$0".to_owned(),
        _ => format!("{sign}${whole}.{fraction}"),
    }
}

/// The same with a `+` where calls are missing from the sum: it is at least so much.
pub(super) fn at_least(picos: i128, unpriced: u64) -> String {
    format!("{}{}", usd(picos), if unpriced > 0 { "+" } else { "" })
}

/// The exact decimal for JSON; what is beyond the largest amount stays there.
pub(super) fn exact(picos: i128) -> String {
    let most = if picos < 0 { i64::MIN } else { i64::MAX };
    Usd::from_picos(i64::try_from(picos).unwrap_or(most)).to_string()
}

/// Thousandths as percent: `12.3%`.
pub(super) fn percent(thousandths: u64) -> String {
    format!("{}.{}%", thousandths / 10, thousandths % 10)
}

/// `1 call`, `3 calls`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::{at_least, exact, usd};

    #[test]
    fn an_amount_is_rounded_to_what_people_read() {
        for (picos, text) in [
            (0, "$0"),
            (90_884_999_999_999, "$90.88"),
            (90_885_000_000_000, "$90.89"),
            (1_000_000_000_000_000, "$1000.00"),
            (3_210_000_000_000, "$3.21"),
            (500_000_000_000, "$0.50"),
            (100_000_000_000, "$0.10"),
            (99_600_000_000, "$0.10"),
            (42_000_000_000, "$0.042"),
            (4_249_000_000, "$0.0042"),
            (7, "$0.000000000007"),
            (-1_500_000_000_000, "-$1.50"),
        ] {
            assert_eq!(usd(picos), text, "{picos}");
        }
        assert_eq!((at_least(5, 0), at_least(0, 2)), ("$0.000000000005".to_owned(), "$0+".to_owned()));
        assert_eq!(exact(i128::MAX), "9223372.036854775807");
    }
}
