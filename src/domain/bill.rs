//! What became of a call, and what it costs.

use super::money::Usd;
use super::usage::{Meter, Usage};

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
    /// Reported usage at the rates of the price table.
    Table,
    /// The response states the charge itself.
    Reported,
    /// The final usage never came: an estimate from what was seen, with a bound beside it.
    Estimated,
    /// Nothing was seen: the most that it can have cost.
    Ceiling,
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
            Basis::Table => "table",
            Basis::Reported => "reported",
            Basis::Estimated => "estimated",
            Basis::Ceiling => "ceiling",
            Basis::Simulated => "simulated",
            Basis::Free => "free",
            Basis::Unpriced => "unpriced",
            Basis::Nothing => "nothing",
        }
    }
}

/// The price of one call, and how it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    pub basis: Basis,
    /// `None`: unpriced, never zero.
    pub total: Option<Usd>,
    /// The most that it can have cost, where the total is not certain.
    pub at_most: Option<Usd>,
    /// What the table says where the provider's own charge was booked: the difference is drift.
    pub table: Option<Usd>,
    /// One per meter (and per inner model); their sum is the table's amount.
    pub lines: Vec<Line>,
    /// The entry that the rates came from.
    pub price: Option<PriceSource>,
    /// What the reader of the bill should know: a fallback, an unread field, a served model that differs.
    pub notes: Vec<String>,
}

impl Bill {
    /// A bill without lines.
    #[must_use]
    pub fn of(basis: Basis, total: Option<Usd>) -> Bill {
        Bill { basis, total, at_most: None, table: None, lines: Vec::new(), price: None, notes: Vec::new() }
    }

    /// That the call cost more than its quote said it could, and what broke the bound: only a provider can bring that
    /// about, by giving more than it was asked for or by charging for what the price table does not know. `None`: the bound
    /// held, or there was none.
    #[must_use]
    pub fn breach(&self, quote: &Quote) -> Option<String> {
        let (total, ceiling) = (self.total?, quote.ceiling?);
        if total <= ceiling {
            return None;
        }
        let sum = |of: fn(Meter) -> bool| -> u64 {
            let counted = self.lines.iter().filter(|line| of(line.meter)).map(|line| line.quantity);
            counted.fold(0, u64::saturating_add)
        };
        let (prompt, answer) = (sum(Meter::is_prompt), sum(Meter::is_answer));
        let apart = self.lines.iter().find(|line| !line.meter.is_prompt() && !line.meter.is_answer());
        let why = match (quote.output_bound, apart) {
            (Some(bound), _) if answer > bound => {
                format!("{answer} tokens of output came where {bound} were asked for")
            }
            _ if prompt > quote.input_bound => {
                format!("{prompt} tokens of input were counted where {} are possible", quote.input_bound)
            }
            (_, Some(line)) => format!("{} × {} was not foreseen", line.quantity, line.meter.key()),
            (_, None) if self.basis == Basis::Reported => {
                "the provider's own charge is above the price table".to_owned()
            }
            (_, None) => "its rates are dearer than those of the model that was asked".to_owned(),
        };
        Some(format!("bound violated: it cost ${total} where at most ${ceiling} was held; {why}"))
    }
}

/// One line of a bill: quantity × rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub meter: Meter,
    pub quantity: u64,
    /// The exact rate after every factor, as a decimal: USD per 1,000,000 tokens, or per 1,000 uses for a fee.
    pub rate: String,
    /// Rounded half to even, once.
    pub usd: Usd,
    /// The model that the rate belongs to, where it is not the call's (an inner call).
    pub model: Option<String>,
}

/// Where rates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceSource {
    /// `bundled`, or the user's file.
    pub table: String,
    /// The table's version and the SHA-256 of its text, in hex.
    pub version: String,
    pub sha256: String,
    /// `provider/model` of the entry.
    pub entry: String,
    /// The instant from which the row holds (RFC 3339), where it is dated.
    pub row_from: Option<String>,
    /// The day on which the price was checked.
    pub checked: Option<String>,
}

/// The most that a request can cost, said before it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quote {
    /// `None`: unpriced or not boundable; `reasons` says why.
    pub ceiling: Option<Usd>,
    /// Upper bounds in tokens that the ceiling was made from.
    pub input_bound: u64,
    pub output_bound: Option<u64>,
    /// The cap of each answer that the bound was made from, in tokens: the one that is sent, else the model's own.
    pub output_cap: Option<u64>,
    /// What each token of the output cap adds to the ceiling, rounded down to a picodollar.
    pub output_token: Option<Usd>,
    /// A price is known; else `ceiling` is none because there is none.
    pub priced: bool,
    /// Why there is no ceiling; where there is one, the parts that it was made from: bounds, rates and where they stand.
    pub reasons: Vec<String>,
}

impl Quote {
    /// Follows a lower output cap, in tokens, and the ceiling that it leaves.
    pub fn lower(&mut self, cap: u64, ceiling: Option<Usd>) {
        let times = self.output_bound.zip(self.output_cap).and_then(|(bound, cap)| bound.checked_div(cap)).unwrap_or(1);
        (self.output_cap, self.output_bound) = (Some(cap), Some(cap.saturating_mul(times.max(1))));
        self.ceiling = ceiling;
    }

    /// The highest output cap, in tokens, with which a call that asks for `cap` costs at most `room`, and its ceiling.
    /// `None` where not even its prompt fits, or where the ceiling is not known.
    #[must_use]
    pub fn fitting(&self, cap: u64, room: Usd) -> Option<(u64, Usd)> {
        let (ceiling, token) = (self.ceiling?.picos, self.output_token?.picos);
        let over = ceiling.saturating_sub(room.picos);
        if over <= 0 {
            return Some((cap, Usd::from_picos(ceiling)));
        }
        // One picodollar more: both ceilings are rounded.
        let fewer =
            u64::try_from(over).ok()?.checked_add(1)?.div_ceil(u64::try_from(token).ok().filter(|token| *token > 0)?);
        let lowered = cap.checked_sub(fewer)?;
        let saved = token.checked_mul(i64::try_from(fewer).ok()?)?.checked_sub(1)?;
        Some((lowered, Usd::from_picos(ceiling.checked_sub(saved).filter(|ceiling| *ceiling >= 0)?)))
    }
}
