//! Amounts of money: whole picodollars, never a float.

use std::fmt;

/// An amount in picodollars (1e-12 USD), so that 1 USD per 1M tokens is 1,000,000 picodollars a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd {
    pub picos: i64,
}

const PICOS_PER_USD: i64 = 1_000_000_000_000;

impl Usd {
    #[must_use]
    pub fn from_picos(picos: i64) -> Usd {
        Usd { picos }
    }

    /// Reads a decimal as JSON writes one (`0.00123`, `1.5e-3`). `None` where it is no number, does not fit, or has
    /// digits beyond a picodollar that are not zero and cannot be rounded half to even.
    #[must_use]
    pub fn parse(text: &str) -> Option<Usd> {
        Usd::parse_scaled(text, 12)
    }

    /// As [`Usd::parse`], for a number in units of `10^(scale - 12)` USD: xAI's ticks (1e-10 USD) have scale 2.
    #[must_use]
    pub fn parse_scaled(text: &str, scale: i32) -> Option<Usd> {
        let text = text.trim();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() || whole.len() + fraction.len() > 60 {
            return None;
        }
        if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let all: String = [whole, fraction].concat();
        // The value is all × 10^shift picodollars.
        let shift = exponent.checked_add(scale)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let picos = shifted(all.trim_start_matches('0'), shift)?;
        Some(Usd { picos: if negative { -picos } else { picos } })
    }

    #[must_use]
    pub fn checked_add(self, other: Usd) -> Option<Usd> {
        self.picos.checked_add(other.picos).map(Usd::from_picos)
    }
}

/// `digits × 10^shift`, rounded half to even, or `None` where it does not fit.
fn shifted(digits: &str, shift: i32) -> Option<i64> {
    if digits.is_empty() {
        return Some(0);
    }
    if shift >= 0 {
        let zeros = usize::try_from(shift).ok().filter(|zeros| *zeros <= 19)?;
        return format!("{digits}{}", "0".repeat(zeros)).parse().ok();
    }
    let cut = usize::try_from(-i64::from(shift)).ok()?;
    if cut > digits.len() {
        return Some(0);
    }
    let (kept, dropped) = digits.split_at(digits.len() - cut);
    let kept: i64 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    let half = format!("5{}", "0".repeat(cut - 1));
    match dropped.cmp(half.as_str()) {
        std::cmp::Ordering::Less => Some(kept),
        std::cmp::Ordering::Greater => kept.checked_add(1),
        std::cmp::Ordering::Equal => kept.checked_add(kept & 1),
    }
}

impl fmt::Display for Usd {
    /// The exact decimal, without trailing zeros: `0.00089`, `12`, `-0.5`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.picos < 0 { "-" } else { "" };
        let picos = self.picos.unsigned_abs();
        let (whole, fraction) = (picos / PICOS_PER_USD.unsigned_abs(), picos % PICOS_PER_USD.unsigned_abs());
        if fraction == 0 {
            return write!(out, "{sign}{whole}");
        }
        let digits = format!("{fraction:012}");
        write!(out, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::Usd;

    #[test]
    fn decimals_are_read_from_their_text_and_written_back() {
        for (text, picos) in [
            ("0.00123", 1_230_000_000),
            ("1.5e-3", 1_500_000_000),
            ("12", 12_000_000_000_000),
            ("0.000000000001", 1),
            ("0.0000000000005", 0),
            ("0.0000000000015", 2),
            ("-0.5", -500_000_000_000),
            ("0", 0),
            ("1e-30", 0),
        ] {
            assert_eq!(Usd::parse(text), Some(Usd::from_picos(picos)), "{text}");
        }
        assert_eq!(Usd::from_picos(1_230_000_000).to_string(), "0.00123");
        assert_eq!(Usd::from_picos(-12_000_000_000_000).to_string(), "-12");
        assert_eq!(Usd::parse_scaled("232856000", 2), Usd::parse("0.0232856"));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "NaN", "1e99", "9999999999999", "1.2.3", "0x1", "1e999999999999"] {
            assert_eq!(Usd::parse(text), None, "{text}");
        }
    }
}
