//! Parts of whole amounts, exact until they are rounded once.

/// `one × two ÷ divisor`, exact until it is rounded half to even; of nothing nothing. Beyond what fits, the largest that does.
#[must_use]
pub fn divided(one: i128, two: i128, divisor: i128) -> i128 {
    if divisor == 0 {
        return 0;
    }
    let negative = (one < 0) ^ (two < 0) ^ (divisor < 0);
    let (high, low) = product(one.unsigned_abs(), two.unsigned_abs());
    let divisor = divisor.unsigned_abs();
    let (quotient, rest) = match high {
        0 => (low / divisor, low % divisor),
        _ if high >= divisor => (u128::MAX >> 1, 0),
        _ => long_division(high, low, divisor),
    };
    let up = match rest.cmp(&(divisor - rest)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => quotient & 1,
        std::cmp::Ordering::Greater => 1,
    };
    let rounded = i128::try_from(quotient.saturating_add(up)).unwrap_or(i128::MAX);
    if negative { -rounded } else { rounded }
}

/// The product of two numbers, its upper and its lower half.
fn product(one: u128, two: u128) -> (u128, u128) {
    const HALF: u128 = u64::MAX as u128;
    if let Some(small) = one.checked_mul(two) {
        return (0, small);
    }
    let (a, b, c, d) = (one >> 64, one & HALF, two >> 64, two & HALF);
    let middle = ((b * d) >> 64) + ((a * d) & HALF) + ((b * c) & HALF);
    (a * c + ((a * d) >> 64) + ((b * c) >> 64) + (middle >> 64), (middle << 64) | ((b * d) & HALF))
}

/// Quotient and rest of a number in two halves; `high` is less than the divisor, and that less than half of what fits.
fn long_division(high: u128, low: u128, divisor: u128) -> (u128, u128) {
    let (mut rest, mut quotient) = (high, 0_u128);
    for bit in (0..128).rev() {
        rest = (rest << 1) | ((low >> bit) & 1);
        quotient <<= 1;
        if rest >= divisor {
            rest -= divisor;
            quotient |= 1;
        }
    }
    (quotient, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

    use super::divided;

    #[test]
    fn halves_go_to_the_even_one_and_nothing_is_divided_by_nothing() {
        for (one, two, divisor, wanted) in [(5, 1, 2, 2), (7, 1, 2, 4), (-5, 1, 2, -2), (5, -3, 2, -8), (9, 9, 0, 0)] {
            assert_eq!(divided(one, two, divisor), wanted, "{one} × {two} ÷ {divisor}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_product_is_divided_exactly_however_large(one in any::<i64>(), two in any::<i64>(), divisor in 1_i64..) {
            let (large, factor) = (i128::from(one) << 60, 1_i128 << 60);
            let plain = divided(i128::from(one), i128::from(two), i128::from(divisor));
            prop_assert_eq!(divided(large, i128::from(two), i128::from(divisor) * factor), plain);
            prop_assert_eq!(divided(large, i128::from(two) << 60, i128::from(divisor) << 60), divided(large, i128::from(two), i128::from(divisor)));
            prop_assert!((plain * i128::from(divisor) - i128::from(one) * i128::from(two)).abs() * 2 <= i128::from(divisor));
        }
    }
}
