//! What became of a call, and what it costs.

use super::money::Usd;
use super::usage::Usage;

/// What is known of a call's consumption once it is over.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The provider reported the final usage.
    Reported(Usage),
    /// The call may have been charged and the final usage never came; `seen` is what did.
    Unconfirmed { seen: Option<Usage> },
    /// Nothing reached a model, or the provider refused before it did anything.
    NeverSent,
}

impl Outcome {
    /// The usage, as far as it is known.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        match self {
            Outcome::Reported(usage) => Some(usage),
            Outcome::Unconfirmed { seen } => seen.as_ref(),
            Outcome::NeverSent => None,
        }
    }
}

/// How an amount came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The response states the charge itself.
    Reported,
    /// The simulator was given prices: no money was spent.
    Simulated,
    /// Written down as free.
    Free,
    /// No price is known. Unknown is not zero: there is no amount.
    Unpriced,
    /// Nothing was sent, or the provider refused: nothing is owed.
    Nothing,
}

impl Basis {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Reported => "reported",
            Basis::Simulated => "simulated",
            Basis::Free => "free",
            Basis::Unpriced => "unpriced",
            Basis::Nothing => "nothing",
        }
    }
}

/// The price of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    pub basis: Basis,
    /// `None`: unpriced, never zero.
    pub total: Option<Usd>,
}
