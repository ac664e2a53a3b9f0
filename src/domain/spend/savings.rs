//! What caching, service tiers and routes saved in a period, as a value. A loss is a saving below zero.

use super::heading::Heading;

/// Each part is what its absence alone would have cost more, given the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Savings {
    pub heading: Heading,
    /// Requests that ended and are no simulation.
    pub calls: u64,
    pub open: u64,
    pub simulated: u64,
    pub caching: Caching,
    /// By model, the most saved first.
    pub cached_models: Vec<(String, Caching)>,
    /// By service tier, the most saved first.
    pub tiers: Vec<(String, Tier)>,
    /// By route, in the order of their names.
    pub routes: Vec<(String, Route)>,
}

impl Savings {
    /// Picodollars, all parts together.
    #[must_use]
    pub fn total(&self) -> i128 {
        let tiers: i128 = self.tiers.iter().map(|(_, tier)| tier.saved).sum();
        let routes: i128 = self.routes.iter().filter_map(|(_, route)| route.saved()).sum();
        self.caching.net() + tiers + routes
    }
}

/// Tokens of prompts that were read from caches or written to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caching {
    /// Calls with such tokens whose amounts are in the sums, in requests.
    pub calls: u64,
    /// Of these: the plain rate is that of the price row, since nothing of the call was billed at it.
    pub by_row: u64,
    /// Of these: the charge was stated by the response, and what was saved is by the table beside it.
    pub stated: u64,
    /// Calls with such tokens that are in no sum: unpriced, or the plain rate of their instant is not known any more.
    pub unknown: u64,
    /// Prompt tokens of all calls, and how many of them were read and written.
    pub prompt: u64,
    pub read: u64,
    pub written: u64,
    /// Picodollars: reads against the plain rate, and what writes cost more than it.
    pub read_saved: i128,
    pub write_paid: i128,
    /// What a read saves and a write costs more, for each million tokens in picodollars, as the last calls had it.
    pub read_gain: Option<i128>,
    pub write_premium: Option<i128>,
}

impl Caching {
    /// Saved, less what the writes cost more.
    #[must_use]
    pub fn net(&self) -> i128 {
        self.read_saved - self.write_paid
    }

    /// How often a written token must be read to earn its premium, in hundredths, rounded up. `None`: reads gain nothing, or a
    /// rate is not known.
    #[must_use]
    pub fn break_even(&self) -> Option<i128> {
        let (gain, premium) = (self.read_gain?, self.write_premium?);
        (gain > 0).then(|| (premium.max(0) * 100 + gain - 1) / gain)
    }

    /// How often a written token was read, in hundredths, rounded down; `None`: none was written.
    #[must_use]
    pub fn reads_per_write(&self) -> Option<u128> {
        (u128::from(self.read) * 100).checked_div(u128::from(self.written))
    }

    pub fn add(&mut self, other: &Caching) {
        self.calls += other.calls;
        self.by_row += other.by_row;
        self.stated += other.stated;
        self.unknown += other.unknown;
        self.prompt = self.prompt.saturating_add(other.prompt);
        self.read = self.read.saturating_add(other.read);
        self.written = self.written.saturating_add(other.written);
        self.read_saved += other.read_saved;
        self.write_paid += other.write_paid;
        self.read_gain = other.read_gain.or(self.read_gain);
        self.write_premium = other.write_premium.or(self.write_premium);
    }
}

/// Calls that were served in one tier, beside the standard one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tier {
    /// Those in the sums, in requests.
    pub calls: u64,
    /// Those in no sum: unpriced, or the prices of their instant are not known any more.
    pub unknown: u64,
    /// Picodollars.
    pub standard: i128,
    pub saved: i128,
}

/// The calls of one route, beside the dearest of the models that it used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Those in the sums, in requests; attempts that another one replaced are among them.
    pub calls: u64,
    /// Those in no sum: without an amount, or without a price on one of the models.
    pub unknown: u64,
    /// Picodollars, as they are booked.
    pub booked: i128,
    /// What the same calls come to on each model that the route used, in the order of their names.
    pub models: Vec<(String, i128)>,
}

impl Route {
    /// The model on which the calls would have cost the most. `None`: the route used one model only.
    #[must_use]
    pub fn dearest(&self) -> Option<&(String, i128)> {
        self.models.iter().max_by_key(|(_, picos)| *picos).filter(|_| self.models.len() > 1)
    }

    /// Picodollars.
    #[must_use]
    pub fn saved(&self) -> Option<i128> {
        self.dearest().map(|(_, picos)| picos - self.booked)
    }
}

/// `quantity` units at an exact decimal rate in USD for each `per` of them, rounded half to even to a picodollar. `None`
/// where the rate is no plain decimal or the amount is too large.
#[must_use]
pub fn amount(rate: &str, quantity: u64, per: u32) -> Option<i128> {
    let (whole, fraction) = rate.split_once('.').unwrap_or((rate, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = digits.parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    // digits × quantity × 10^12 ÷ (10^places × per), with the powers of ten cut against each other.
    let up = 10_i128.checked_pow(12_u32.saturating_sub(places))?;
    let down = 10_i128.checked_pow(places.saturating_sub(12))?.checked_mul(i128::from(per))?;
    let exact = digits.checked_mul(i128::from(quantity))?.checked_mul(up)?;
    let (quotient, rest) = (exact.checked_div(down)?, exact.checked_rem(down)?);
    let up = match rest.cmp(&(down - rest)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Greater => 1,
        std::cmp::Ordering::Equal => quotient & 1,
    };
    Some(quotient + up)
}

#[cfg(test)]
mod tests {
    use super::{Caching, amount};

    #[test]
    fn an_amount_is_rounded_half_to_even_once() {
        assert_eq!(amount("3", 1, 1_000_000), Some(3_000_000));
        assert_eq!(amount("0.0000005", 1, 1_000_000), Some(0));
        assert_eq!(amount("0.0000005", 3, 1_000_000), Some(2));
        assert_eq!(amount("10", 3, 1_000), Some(30_000_000_000));
        assert_eq!(amount("0.00000000000015", 1_000_000, 1_000_000), Some(0));
        assert_eq!(amount("0.00000000000055", 1_000_000, 1_000_000), Some(1));
        for wrong in ["", ".", "-1", "1e3", "a"] {
            assert_eq!(amount(wrong, 1, 1_000), None, "{wrong}");
        }
    }

    #[test]
    fn a_write_pays_after_as_many_reads_as_its_premium_is_worth() {
        // Anthropic: a read saves 0.9 of the plain rate; a write costs 0.25 more for five minutes, 1 more for an hour.
        let at = |premium| Caching { read_gain: Some(900), write_premium: Some(premium), ..Caching::default() };
        assert_eq!((at(250).break_even(), at(1000).break_even(), at(0).break_even()), (Some(28), Some(112), Some(0)));
        let useless = Caching { read_gain: Some(0), write_premium: Some(1), ..Caching::default() };
        assert_eq!((useless.break_even(), Caching::default().break_even()), (None, None));
    }
}
