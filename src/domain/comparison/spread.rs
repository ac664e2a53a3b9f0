//! Several measurements of one thing: how many, the middle, and how far they lie apart.

use super::RUNS_TO_TELL;

/// Median and percentiles by nearest rank: each is a value that was measured, none is made up between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread<T> {
    pub count: usize,
    pub median: T,
    /// `None` where there are too few measurements to speak of a tenth.
    pub p10: Option<T>,
    pub p90: Option<T>,
}

impl<T: Ord + Copy> Spread<T> {
    /// The spread of these values, or `None` where there are none.
    #[must_use]
    pub fn of(mut values: Vec<T>) -> Option<Spread<T>> {
        values.sort_unstable();
        let enough = values.len() >= RUNS_TO_TELL;
        Some(Spread {
            count: values.len(),
            median: rank(&values, 50)?,
            p10: rank(&values, 10).filter(|_| enough),
            p90: rank(&values, 90).filter(|_| enough),
        })
    }
}

/// The smallest of the sorted values that `percent` of all do not exceed.
fn rank<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn each_figure_is_one_that_was_measured() {
        let spread = Spread::of((1..=10).rev().map(|value| value * 7).collect::<Vec<u64>>()).expect("ten values");
        assert_eq!((spread.count, spread.median, spread.p10, spread.p90), (10, 35, Some(7), Some(63)));
        let odd = Spread::of(vec![9u64, 1, 5, 3, 7]).expect("five values");
        assert_eq!((odd.median, odd.p10, odd.p90), (5, Some(1), Some(9)));
    }

    #[test]
    fn four_runs_have_a_middle_and_no_tenth() {
        let few = Spread::of(vec![4u64, 1, 3, 2]).expect("four values");
        assert_eq!((few.median, few.p10, few.p90), (2, None, None));
        assert_eq!(Spread::of(vec![8u64]).expect("one").median, 8);
        assert_eq!(Spread::<u64>::of(Vec::new()), None);
    }
}
