//! What was measured, in whole numbers: floats are not needed to say how much more one is than another.

use std::fmt;
use std::time::Duration;

/// A number and what it counts.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    pub value: u64,
    pub unit: Unit,
}

#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// Of nanoseconds.
    Millis,
    /// Of bytes.
    MiB,
    /// Of bytes.
    MB,
    /// Of things.
    Count,
    /// Of millionths: a part of something, or a multiple.
    Times,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Millis => "ms",
            Unit::MiB => "MiB",
            Unit::MB => "MB",
            Unit::Count => "",
            Unit::Times => "×",
        }
    }

    /// With two decimals, and without the unit.
    pub fn show(self, value: u64) -> String {
        let one = match self {
            Unit::Millis | Unit::MB | Unit::Times => 1_000_000,
            Unit::MiB => 1 << 20,
            Unit::Count => return value.to_string(),
        };
        decimal(millionths(value, one))
    }
}

impl Figure {
    pub fn time(time: Duration) -> Figure {
        Figure { value: nanos(time), unit: Unit::Millis }
    }

    pub fn millis(millis: u64) -> Figure {
        Figure { value: millis * 1_000_000, unit: Unit::Millis }
    }

    pub fn mib(mib: u64) -> Figure {
        Figure { value: mib << 20, unit: Unit::MiB }
    }

    pub fn count(value: u64) -> Figure {
        Figure { value, unit: Unit::Count }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Count => write!(f, "{}", self.value),
            Unit::Times => f.write_str(&times(self.value)),
            unit => write!(f, "{} {}", unit.show(self.value), unit.name()),
        }
    }
}

/// A ratio in millionths: `0.58×`, and below a hundredth `1/417`.
pub fn times(millionths: u64) -> String {
    match millionths {
        1..10_000 => format!("1/{}", (1_000_000 + millionths / 2) / millionths),
        _ => format!("{}×", decimal(millionths)),
    }
}

/// Millionths with two decimals.
fn decimal(millionths: u64) -> String {
    let hundredths = (millionths + 5_000) / 10_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// How many millionths of `of` the value is.
pub fn millionths(value: u64, of: u64) -> u64 {
    let of = u128::from(of.max(1));
    u64::try_from((u128::from(value) * 1_000_000 + of / 2) / of).unwrap_or(u64::MAX)
}

/// Least, middle and most.
pub fn spread(values: &[u64]) -> [u64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    [at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1))]
}

/// The value that so many percent of the others do not reach.
pub fn quantile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}

/// Median and tail, in milliseconds.
pub fn p50_p99(times: &[Duration]) -> String {
    let millis = |percent| Unit::Millis.show(nanos(quantile(times, percent)));
    format!("{} / {}", millis(50), millis(99))
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
