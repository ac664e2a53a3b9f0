//! What a call costs. There is no price table yet: a charge that the response states is booked, all else is unpriced.

use crate::domain::bill::{Basis, Bill, Outcome};
use crate::domain::money::Usd;

/// The bill of a call. `simulated`: it was the simulator's, which is free unless it was given prices.
#[must_use]
pub fn bill(outcome: &Outcome, simulated: bool) -> Bill {
    let charge = outcome.usage().and_then(|usage| usage.charge.as_ref());
    let total = charge.and_then(|charge| charge.usd.checked_add(charge.upstream.unwrap_or_default()));
    match (outcome, total) {
        (Outcome::NeverSent, _) => Bill::of(Basis::Nothing, Some(Usd::default())),
        (_, Some(total)) if simulated => Bill::of(Basis::Simulated, Some(total)),
        (_, None) if simulated => Bill::of(Basis::Free, Some(Usd::default())),
        (Outcome::Reported(_), Some(total)) => Bill::of(Basis::Reported, Some(total)),
        (Outcome::Reported(_) | Outcome::Unconfirmed { .. }, _) => Bill::of(Basis::Unpriced, None),
    }
}

#[cfg(test)]
mod tests {
    use super::bill;
    use crate::domain::bill::{Basis, Outcome};
    use crate::domain::money::Usd;
    use crate::domain::usage::{Charge, Usage};

    #[test]
    fn a_call_without_a_price_is_unpriced_and_never_zero() {
        let bill = bill(&Outcome::Reported(Usage::default()), false);
        assert_eq!((bill.basis, bill.total), (Basis::Unpriced, None));
    }

    #[test]
    fn a_router_with_the_users_own_key_has_two_payees() {
        let charge = Charge { usd: Usd::from_picos(60_000_000), upstream: Some(Usd::from_picos(1_230_000_000)) };
        let usage = Usage { charge: Some(charge), ..Usage::default() };
        let bill = bill(&Outcome::Reported(usage), false);
        assert_eq!((bill.basis, bill.total), (Basis::Reported, Some(Usd::from_picos(1_290_000_000))));
    }

    #[test]
    fn a_charge_that_was_seen_before_the_call_was_cut_is_not_the_final_one() {
        let charge = Charge { usd: Usd::from_picos(1), upstream: None };
        let seen = Some(Usage { charge: Some(charge), ..Usage::default() });
        assert_eq!(bill(&Outcome::Unconfirmed { seen }, false).basis, Basis::Unpriced);
    }
}
