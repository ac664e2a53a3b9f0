//! How many tokens of thinking an effort stands for, where a Claude model wants a number.

use crate::domain::chat::Effort;

/// The smallest thinking budget that Claude takes (extended thinking guide, read 2026-11-22).
pub const BUDGET_MIN: u32 = 1024;

/// The tokens that an effort asks for. Ours: the API knows no such words.
#[must_use]
pub fn wanted_budget(effort: Effort) -> u32 {
    match effort {
        Effort::None => 0,
        Effort::Minimal => 1024,
        Effort::Low => 2048,
        Effort::Medium => 8192,
        Effort::High => 16_384,
        Effort::Xhigh => 32_768,
        Effort::Max => 65_536,
    }
}

/// The budget of an effort below the output cap, which holds thinking and answer: a quarter is left for the answer.
/// `None` where the cap is too low for any.
#[must_use]
pub fn budget(effort: Effort, cap: u32) -> Option<u32> {
    let most = (cap - cap / 4).max(BUDGET_MIN);
    (cap > BUDGET_MIN).then(|| wanted_budget(effort).clamp(BUDGET_MIN, most))
}

#[cfg(test)]
mod tests {
    use super::budget;
    use crate::domain::chat::Effort;

    #[test]
    fn a_budget_stays_below_the_cap_and_above_what_the_api_takes() {
        assert_eq!(budget(Effort::High, 64_000), Some(16_384));
        assert_eq!(budget(Effort::High, 4096), Some(3072));
        assert_eq!(budget(Effort::Max, 1025), Some(1024));
        assert_eq!(budget(Effort::Low, 1024), None);
    }
}
