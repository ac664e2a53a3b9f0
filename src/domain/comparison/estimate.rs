//! What a comparison would consume and cost, before anything is sent.

use crate::domain::failure::Failure;
use crate::domain::money::Usd;

/// A comparison that was not made.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// One per model, in the order in which they were named.
    pub lanes: Vec<LaneEstimate>,
    pub prompts: usize,
    /// How often each model would be asked each prompt.
    pub runs: usize,
}

/// What one model would be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneEstimate {
    pub label: String,
    /// One per prompt; a failure: the model cannot be asked it.
    pub calls: Vec<Result<CallEstimate, Failure>>,
}

/// One call. Tokens and amounts that are expected are estimates; the others are bounds that hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallEstimate {
    pub input_tokens: u64,
    pub input_bound: u64,
    pub output_tokens: u64,
    /// `None`: nothing bounds it.
    pub output_bound: Option<u64>,
    /// `None`: unpriced, never zero.
    pub expected: Option<Usd>,
    /// The most that it can cost; `None`: unpriced or not boundable.
    pub ceiling: Option<Usd>,
    /// Tokens of the model's context window, where they are known.
    pub window: Option<u64>,
    /// Why there is no amount or no bound.
    pub reasons: Vec<String>,
}

/// Several calls added up; beyond what fits a sum stays at the largest number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Total {
    pub calls: u64,
    pub input_tokens: u64,
    pub input_bound: u64,
    pub output_tokens: u64,
    pub output_bound: Option<u64>,
    /// The amounts that are known; `unpriced` says how many are not in it.
    pub expected: Usd,
    pub ceiling: Option<Usd>,
    pub unpriced: u64,
    /// Calls whose prompt and expected answer exceed the model's context window, and those of which that is not known.
    pub too_long: u64,
    pub window_unknown: u64,
    /// Calls that cannot be made.
    pub refused: u64,
}

impl CallEstimate {
    /// Whether prompt and expected answer fit the context window; `None`: it is not known.
    #[must_use]
    pub fn fits(&self) -> Option<bool> {
        Some(self.input_tokens.saturating_add(self.output_tokens) <= self.window?)
    }
}

impl Estimate {
    /// All calls of one lane.
    #[must_use]
    pub fn of_lane(&self, lane: &LaneEstimate) -> Total {
        self.total([lane].into_iter())
    }

    /// All calls.
    #[must_use]
    pub fn of_all(&self) -> Total {
        self.total(self.lanes.iter())
    }

    fn total<'a>(&self, lanes: impl Iterator<Item = &'a LaneEstimate>) -> Total {
        let runs = self.runs as u64;
        let mut total = Total { output_bound: Some(0), ceiling: Some(Usd::default()), ..Total::default() };
        for call in lanes.flat_map(|lane| &lane.calls) {
            let Ok(call) = call else {
                total.refused = total.refused.saturating_add(runs);
                continue;
            };
            let add = |sum: u64, one: u64| sum.saturating_add(one.saturating_mul(runs));
            total.calls = add(total.calls, 1);
            total.input_tokens = add(total.input_tokens, call.input_tokens);
            total.input_bound = add(total.input_bound, call.input_bound);
            total.output_tokens = add(total.output_tokens, call.output_tokens);
            total.output_bound = total.output_bound.zip(call.output_bound).map(|(sum, one)| add(sum, one));
            total.expected = grown(total.expected, call.expected.unwrap_or_default(), runs);
            total.ceiling = total.ceiling.zip(call.ceiling).map(|(sum, one)| grown(sum, one, runs));
            total.unpriced = add(total.unpriced, u64::from(call.expected.is_none()));
            total.too_long = add(total.too_long, u64::from(call.fits() == Some(false)));
            total.window_unknown = add(total.window_unknown, u64::from(call.fits().is_none()));
        }
        total
    }
}

fn grown(sum: Usd, one: Usd, times: u64) -> Usd {
    let times = i64::try_from(times).unwrap_or(i64::MAX);
    Usd::from_picos(sum.picos.saturating_add(one.picos.saturating_mul(times)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{CallEstimate, Estimate, LaneEstimate};
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::domain::money::Usd;

    #[must_use]
    pub fn call(input: u64, usd: Option<&str>, ceiling: Option<&str>) -> CallEstimate {
        let amount = |text: Option<&str>| text.map(|text| Usd::parse(text).expect("an amount"));
        CallEstimate {
            input_tokens: input,
            input_bound: input * 5,
            output_tokens: 500,
            output_bound: Some(4_096),
            expected: amount(usd),
            ceiling: amount(ceiling),
            window: Some(10_000),
            reasons: Vec::new(),
        }
    }

    #[must_use]
    pub fn estimate() -> Estimate {
        let unpriced = CallEstimate {
            output_bound: None,
            window: None,
            reasons: vec!["no price is known for p/new".into()],
            ..call(100, None, None)
        };
        let lanes = vec![
            LaneEstimate {
                label: "p/known".into(),
                calls: vec![Ok(call(100, Some("0.01"), Some("0.02"))), Ok(call(9_900, Some("0.1"), Some("0.3")))],
            },
            LaneEstimate {
                label: "p/new".into(),
                calls: vec![Ok(unpriced), Err(Failure::new(ErrorClass::InvalidRequest, "it takes no images"))],
            },
        ];
        Estimate { lanes, prompts: 2, runs: 3 }
    }

    #[test]
    fn a_sum_counts_every_run_and_says_what_it_does_not_know() {
        let estimate = estimate();
        let known = estimate.of_lane(&estimate.lanes[0]);
        assert_eq!((known.calls, known.input_tokens, known.output_bound), (6, 30_000, Some(24_576)));
        assert_eq!((known.expected, known.ceiling), (Usd::parse("0.33").expect("usd"), Usd::parse("0.96")));
        // 9,900 and 500 tokens do not fit 10,000.
        assert_eq!((known.too_long, known.window_unknown), (3, 0));
        let all = estimate.of_all();
        assert_eq!((all.calls, all.refused, all.unpriced, all.window_unknown), (9, 3, 3, 3));
        assert_eq!((all.expected, all.ceiling, all.output_bound), (Usd::parse("0.33").expect("usd"), None, None));
    }
}
