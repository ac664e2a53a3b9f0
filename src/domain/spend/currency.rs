//! Another currency than the books' own: amounts times a rate, exactly, and rounded only where they are shown.

/// What amounts are shown in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Currency {
    /// `None`: US dollars, as the books have them.
    pub foreign: Option<Foreign>,
}

/// A currency and what one US dollar is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Three capital letters (ISO 4217).
    pub code: String,
    /// The decimal as it was given.
    pub rate: String,
    /// The rate is `digits / 10^scale`.
    digits: i128,
    scale: u32,
}

/// Decimal places of a picodollar.
const PICO_PLACES: u32 = 12;

impl Currency {
    /// Reads `EUR@0.92`: one US dollar is 0.92 euros.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(text: &str) -> Result<Currency, String> {
        let (code, rate) = text.split_once('@').ok_or_else(|| format!("{text}: a rate is missing"))?;
        if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("{text}: a currency has three capital letters"));
        }
        let (whole, fraction) = rate.split_once('.').unwrap_or((rate, ""));
        let all = [whole, fraction].concat();
        if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) || all.len() > 15 {
            return Err(format!("{text}: the rate is no decimal of at most 15 digits"));
        }
        let digits = all.parse().map_err(|_| format!("{text}: the rate is no decimal"))?;
        if digits == 0 {
            return Err(format!("{text}: nothing is worth nothing"));
        }
        let scale = u32::try_from(fraction.len()).unwrap_or_default();
        Ok(Currency { foreign: Some(Foreign { code: code.to_owned(), rate: rate.to_owned(), digits, scale }) })
    }

    #[must_use]
    pub fn code(&self) -> &str {
        self.foreign.as_ref().map_or("USD", |foreign| &foreign.code)
    }

    /// An amount of picodollars with so many decimal places, rounded half to even, without a sign of the currency.
    #[must_use]
    pub fn shown(&self, picos: i128, places: u32) -> String {
        let (digits, scale) = self.foreign.as_ref().map_or((1, 0), |foreign| (foreign.digits, foreign.scale));
        let exact = picos.unsigned_abs().saturating_mul(digits.unsigned_abs());
        let cut = PICO_PLACES.saturating_add(scale);
        let units = match cut.checked_sub(places) {
            Some(cut) => half_even(exact, 10_u128.saturating_pow(cut)),
            None => exact.saturating_mul(10_u128.saturating_pow(places.saturating_sub(cut))),
        };
        let sign = if picos < 0 && units > 0 { "-" } else { "" };
        let one = 10_u128.saturating_pow(places);
        let (whole, rest) = (units / one, units % one);
        match usize::try_from(places) {
            Ok(0) | Err(_) => format!("{sign}{whole}"),
            Ok(places) => format!("{sign}{whole}.{rest:0places$}"),
        }
    }

    /// An amount with its currency: `$57.73`, `53.11 EUR`.
    #[must_use]
    pub fn told(&self, picos: i128, places: u32) -> String {
        let shown = self.shown(picos, places);
        match (&self.foreign, shown.strip_prefix('-')) {
            (Some(foreign), _) => format!("{shown} {}", foreign.code),
            (None, Some(amount)) => format!("-${amount}"),
            (None, None) => format!("${shown}"),
        }
    }

    /// The exact decimal of an amount, without trailing zeros.
    #[must_use]
    pub fn exact(&self, picos: i128) -> String {
        let scale = self.foreign.as_ref().map_or(0, |foreign| foreign.scale);
        let shown = self.shown(picos, PICO_PLACES.saturating_add(scale));
        shown.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// Divides, rounding half to even.
fn half_even(number: u128, by: u128) -> u128 {
    let (quotient, rest) = (number / by, number % by);
    let up = match rest.cmp(&(by - rest)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient % 2 == 1,
    };
    quotient + u128::from(up)
}

#[cfg(test)]
mod tests {
    use super::Currency;

    #[test]
    fn dollars_are_rounded_half_to_even_where_they_are_shown() {
        let usd = Currency::default();
        for (picos, places, shown) in [
            (57_730_000_000_000, 2, "57.73"),
            (125_000_000_000, 2, "0.12"),
            (135_000_000_000, 2, "0.14"),
            (135_000_000_001, 2, "0.14"),
            (1, 12, "0.000000000001"),
            (-1_500_000_000_000, 0, "-2"),
            (-1, 2, "0.00"),
            (1, 14, "0.00000000000100"),
        ] {
            assert_eq!(usd.shown(picos, places), shown);
        }
        assert_eq!(usd.told(-1_500_000_000_000, 2), "-$1.50");
        assert_eq!((usd.exact(1_500_000_000_000), usd.exact(0)), ("1.5".to_owned(), "0".to_owned()));
    }

    #[test]
    fn another_currency_is_the_exact_product() {
        let euro = Currency::parse("EUR@0.92").expect("a rate");
        assert_eq!(euro.told(57_730_000_000_000, 2), "53.11 EUR");
        assert_eq!(euro.exact(57_730_000_000_000), "53.1116");
        // 0.125 × 0.92 = 0.115: half to even.
        assert_eq!(euro.shown(125_000_000_000, 2), "0.12");
        assert_eq!(Currency::parse("JPY@154").expect("a rate").told(1_000_000_000_000, 0), "154 JPY");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for wrong in
            ["EUR", "EUR@", "EUR@0", "EUR@0.000", "EUR@-1", "EUR@1e3", "eur@1", "EURO@1", "@1", "EUR@1.2.3", "EUR@.5"]
        {
            assert!(Currency::parse(wrong).is_err(), "{wrong}");
        }
    }
}
