//! Exact decimals for prices and factors, and the one rounding between a price and an amount.

use std::cmp::Ordering;
use std::fmt;

use crate::domain::money::Usd;

/// Most places after the point that a table may write: USD per 1M tokens with nine places are whole femtodollars
/// (1e-15 USD) a token.
pub const PLACES_MAX: u32 = 9;

/// `digits × 10^-places`, never negative and without trailing zeros. Every factor is a finite decimal, so that a rate
/// after all its factors is one, too: nothing is rounded before an amount is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    digits: i128,
    places: u32,
}

impl Decimal {
    pub const ZERO: Decimal = Decimal { digits: 0, places: 0 };
    pub const ONE: Decimal = Decimal { digits: 1, places: 0 };

    /// A whole number.
    #[must_use]
    pub fn whole(number: u32) -> Decimal {
        Decimal { digits: i128::from(number), places: 0 }.short()
    }

    /// Reads plain decimals as TOML writes them (`0.3`, `1_000`).
    ///
    /// # Errors
    /// What is wrong with it: a sign, an exponent, more than [`PLACES_MAX`] places, or no number at all.
    pub fn parse(text: &str) -> Result<Decimal, &'static str> {
        let text: String = text.chars().filter(|character| *character != '_').collect();
        if text.starts_with('-') {
            return Err("it is negative");
        }
        let text = text.strip_prefix('+').unwrap_or(&text);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("it is no plain decimal");
        }
        let fraction = fraction.trim_end_matches('0');
        let places = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        if places > PLACES_MAX {
            return Err("it has more than 9 decimals");
        }
        let digits: i128 = [whole, fraction].concat().parse().map_err(|_| "it is too large")?;
        Ok(Decimal { digits, places }.short())
    }

    #[must_use]
    pub fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// The exact product, or `None` where it does not fit.
    #[must_use]
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        let digits = self.digits.checked_mul(other.digits)?;
        Some(Decimal { digits, places: self.places.checked_add(other.places)? }.short())
    }

    /// `quantity` units at this price in USD per `10^per` units, rounded half to even to a picodollar. `None` where it
    /// does not fit.
    #[must_use]
    pub fn amount(self, quantity: u64, per: u32) -> Option<Usd> {
        let product = self.digits.checked_mul(i128::from(quantity))?;
        let down = self.places.checked_add(per)?;
        let picos = match down.checked_sub(12) {
            None | Some(0) => product.checked_mul(10_i128.checked_pow(12 - down)?)?,
            Some(cut) => half_even(product, 10_i128.checked_pow(cut)?),
        };
        i64::try_from(picos).ok().map(Usd::from_picos)
    }

    /// As [`Decimal::amount`], rounded down.
    #[must_use]
    pub fn at_least(self, quantity: u64, per: u32) -> Option<Usd> {
        let product = self.digits.checked_mul(i128::from(quantity))?;
        let down = self.places.checked_add(per)?;
        let picos = match down.checked_sub(12) {
            None | Some(0) => product.checked_mul(10_i128.checked_pow(12 - down)?)?,
            Some(cut) => product / 10_i128.checked_pow(cut)?,
        };
        i64::try_from(picos).ok().map(Usd::from_picos)
    }

    /// Without trailing zeros.
    fn short(mut self) -> Decimal {
        while self.places > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.places -= 1;
        }
        self
    }

    /// The digits of both numbers at as many places, or `None` where they do not fit.
    fn aligned(self, other: Decimal) -> Option<(i128, i128)> {
        let places = self.places.max(other.places);
        let at = |number: Decimal| number.digits.checked_mul(10_i128.checked_pow(places - number.places)?);
        Some((at(self)?, at(other)?))
    }
}

/// `number ÷ divisor` for numbers that are not negative.
fn half_even(number: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (number / divisor, number % divisor);
    match rest.cmp(&(divisor - rest)) {
        Ordering::Less => quotient,
        Ordering::Greater => quotient + 1,
        Ordering::Equal => quotient + (quotient & 1),
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        match self.aligned(*other) {
            Some((one, two)) => one.cmp(&two),
            // What cannot be brought to as many places differs by more than 20 powers of ten: by its whole part.
            None => (self.digits / 10_i128.pow(self.places.min(38)))
                .cmp(&(other.digits / 10_i128.pow(other.places.min(38)))),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.places == 0 {
            return write!(out, "{}", self.digits);
        }
        let places = usize::try_from(self.places).unwrap_or(0);
        let digits = format!("{:0>width$}", self.digits, width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        write!(out, "{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::ProptestConfig;
    use proptest::{prop_assert_eq, proptest};

    use super::Decimal;
    use crate::domain::money::Usd;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn a_decimal_keeps_its_digits_and_loses_only_trailing_zeros() {
        for (text, short) in [("0.3", "0.3"), ("272_000", "272000"), ("1.10", "1.1"), ("0.000000001", "0.000000001")] {
            assert_eq!(decimal(text).to_string(), short);
        }
        for wrong in ["", ".", "-1", "1e-3", "0.0000000001", "nan", "inf", "1.2.3", "0x10"] {
            assert!(Decimal::parse(wrong).is_err(), "{wrong}");
        }
        // Ten places of which the last is zero are nine.
        assert_eq!(decimal("0.1234567890").to_string(), "0.123456789");
    }

    #[test]
    fn an_amount_is_rounded_half_to_even_once() {
        // 1 token at 0.0000005 USD per 1M is half a picodollar; 3 tokens are one and a half.
        assert_eq!(decimal("0.0000005").amount(1, 6), Some(Usd::from_picos(0)));
        assert_eq!(decimal("0.0000005").amount(3, 6), Some(Usd::from_picos(2)));
        assert_eq!(decimal("0.0000005").amount(5, 6), Some(Usd::from_picos(2)));
        assert_eq!(decimal("10").amount(3, 3), Usd::parse("0.03"));
        assert_eq!(decimal("3").amount(1, 6), Some(Usd::from_picos(3_000_000)));
        assert_eq!(decimal("10000").amount(u64::MAX, 6), None);
    }

    #[test]
    fn factors_multiply_exactly() {
        let rate = decimal("0.2").checked_mul(decimal("1.1")).and_then(|rate| rate.checked_mul(decimal("0.5")));
        assert_eq!(rate.map(|rate| rate.to_string()).as_deref(), Some("0.11"));
        assert!(decimal("0.3") < decimal("1") && decimal("2.5") > decimal("2.49"));
    }

    /// A natural number as decimal digits, the lowest first: school arithmetic that shares nothing with `Decimal`.
    fn school(one: &[u8], two: &[u8]) -> Vec<u8> {
        let mut sum = vec![0_u32; one.len() + two.len()];
        for (i, a) in one.iter().enumerate() {
            for (j, b) in two.iter().enumerate() {
                sum[i + j] += u32::from(*a) * u32::from(*b);
            }
        }
        let mut carry = 0;
        let mut digits = Vec::new();
        for place in sum {
            let value = place + carry;
            digits.push(u8::try_from(value % 10).expect("a digit"));
            carry = value / 10;
        }
        digits
    }

    fn digits(number: u64) -> Vec<u8> {
        number.to_string().bytes().rev().map(|byte| byte - b'0').collect()
    }

    /// `product ÷ 10^cut`, half to even, as text.
    fn rounded(product: &[u8], cut: usize) -> String {
        let dropped: Vec<u8> = product.iter().take(cut).copied().collect();
        let mut kept: Vec<u8> = product.iter().skip(cut).copied().collect();
        let highest = dropped.last().copied().unwrap_or(0);
        let exactly_half = highest == 5 && dropped.iter().rev().skip(1).all(|digit| *digit == 0);
        let odd = kept.first().is_some_and(|digit| digit % 2 == 1);
        if highest > 5 || (highest == 5 && !exactly_half) || (exactly_half && odd) {
            kept.push(0);
            for digit in &mut kept {
                if *digit == 9 {
                    *digit = 0;
                } else {
                    *digit += 1;
                    break;
                }
            }
        }
        let text: String = kept.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
        let text = text.trim_start_matches('0');
        if text.is_empty() { "0".into() } else { text.into() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn every_amount_is_what_school_arithmetic_makes_of_it(
            quantity in 0_u64..2_000_000_000,
            price in 0_u64..10_000_000_000_000,
            factor in 1_u64..1_000,
        ) {
            // price has nine places, the factor two; per 1M tokens: 9 + 2 + 6 places above a picodollar's 12.
            let rate = decimal(&format!("{}.{:09}", price / 1_000_000_000, price % 1_000_000_000));
            let factor_text = decimal(&format!("{}.{:02}", factor / 100, factor % 100));
            let product = school(&school(&digits(price), &digits(factor)), &digits(quantity));
            let wanted = rounded(&product, 5);
            let got = rate.checked_mul(factor_text).and_then(|rate| rate.amount(quantity, 6));
            match wanted.parse::<i64>() {
                Ok(picos) => prop_assert_eq!(got, Some(Usd::from_picos(picos))),
                Err(_) => prop_assert_eq!(got, None),
            }
        }
    }
}
