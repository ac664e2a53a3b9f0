//! One prompt before several models: what each answered, which came first, what it cost, and what the shell is told.

pub mod assertion;
pub mod estimate;
pub mod spread;
pub mod words;

use self::spread::Spread;
use super::bill::{Basis, Bill};
use super::failure::Failure;
use super::model::ModelName;
use super::money::Usd;
use super::report::CallReport;
use super::usage::Meter;

/// Runs of a model below which nothing is said to be fastest, and no percentile is given.
pub const RUNS_TO_TELL: usize = 5;

/// One prompt (or one matrix of prompts) before several models.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The group of its calls in the ledger.
    pub group: String,
    /// What every model was asked; empty for a matrix.
    pub prompt: String,
    /// The prompts of a matrix; a run names its own by position. Empty where there is one prompt.
    pub cases: Vec<String>,
    /// One per model, in the order in which they were named.
    pub lanes: Vec<Lane>,
    /// Milliseconds from the first call's start to the last one's end.
    pub wall_ms: u64,
    pub judged: Option<Judgement>,
}

/// One model and what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    pub name: ModelName,
    /// What the model is called on the screen; unlike that of any other lane.
    pub label: String,
    pub runs: Vec<Run>,
}

/// One call of a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The prompt's position in a matrix.
    pub case: Option<usize>,
    /// A failure here: the call never began. One inside the report: it began and failed.
    pub result: Result<CallReport, Failure>,
    pub checks: Vec<Check>,
}

/// One assertion, held against one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The assertion as it was written.
    pub what: String,
    pub passed: bool,
    /// What was found, in a few words.
    pub because: String,
}

/// What a model that saw no names made of the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub criteria: String,
    pub model: String,
    /// One per lane, in the lanes' order.
    pub scores: Vec<Score>,
    /// What judging cost, apart from the calls that were judged. `None`: unpriced.
    pub cost: Option<Usd>,
    /// What the reader should know: an answer that was not judged, a verdict that was not understood.
    pub notes: Vec<String>,
}

/// How often an answer was preferred. A pair is judged in both orders, and each order counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    pub wins: u32,
    pub ties: u32,
    pub losses: u32,
}

impl Score {
    /// Half points: two for a win, one for a tie.
    #[must_use]
    pub fn halves(self) -> u64 {
        u64::from(self.wins) * 2 + u64::from(self.ties)
    }
}

/// How many models must answer for the comparison to be a success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Require {
    #[default]
    All,
    Any,
    AtLeast(usize),
}

impl Run {
    #[must_use]
    pub fn report(&self) -> Option<&CallReport> {
        self.result.as_ref().ok()
    }

    /// Why there is no answer, or not a whole one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &self.result {
            Ok(report) => report.failure.as_ref(),
            Err(failure) => Some(failure),
        }
    }

    /// The report of an answer that came to its end.
    #[must_use]
    pub fn answered(&self) -> Option<&CallReport> {
        self.report().filter(|report| report.failure.is_none() && report.stopped.is_none())
    }

    /// What came, also before a failure: the text, or the words of a refusal.
    #[must_use]
    pub fn text(&self) -> String {
        let Some(report) = self.report() else { return String::new() };
        let text = report.answer.text();
        if text.is_empty() { report.answer.refusal.clone() } else { text }
    }
}

impl Lane {
    /// Answers that came to their end.
    pub fn answers(&self) -> impl Iterator<Item = &CallReport> {
        self.runs.iter().filter_map(Run::answered)
    }

    /// Whether every run came to its end.
    #[must_use]
    pub fn whole(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| run.answered().is_some())
    }

    /// The run whose answer is shown: the first that came to its end, else the first of which anything came.
    #[must_use]
    pub fn shown(&self) -> Option<&Run> {
        let whole = self.runs.iter().find(|run| run.answered().is_some());
        whole.or_else(|| self.runs.iter().find(|run| !run.text().is_empty()))
    }

    /// The first failure among its runs.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.runs.iter().find_map(Run::failure)
    }

    /// Milliseconds to the first token.
    #[must_use]
    pub fn first(&self) -> Option<Spread<u64>> {
        Spread::of(self.answers().filter_map(|report| report.timing.first_token_ms).collect())
    }

    /// Milliseconds to the end.
    #[must_use]
    pub fn total(&self) -> Option<Spread<u64>> {
        Spread::of(self.answers().map(|report| report.timing.total_ms).collect())
    }

    /// Output tokens a second.
    #[must_use]
    pub fn speed(&self) -> Option<Spread<u64>> {
        Spread::of(self.answers().filter_map(tokens_per_second).collect())
    }

    /// The amounts of the answers that have one.
    #[must_use]
    pub fn cost(&self) -> Option<Spread<Usd>> {
        Spread::of(self.answers().filter_map(|report| report.bill.total).collect())
    }

    /// What its calls cost together, the failed ones too.
    #[must_use]
    pub fn spend(&self) -> Spend {
        Spend::of(self.runs.iter().filter_map(Run::report).flat_map(CallReport::bills))
    }
}

impl Comparison {
    /// Models of which every run came to its end.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.whole()).count()
    }

    /// Whether each model was asked the same more than once.
    #[must_use]
    pub fn repeated(&self) -> bool {
        self.cases.is_empty() && self.lanes.iter().any(|lane| lane.runs.len() > 1)
    }

    /// What all calls cost together, the judge's apart.
    #[must_use]
    pub fn spend(&self) -> Spend {
        let runs = self.lanes.iter().flat_map(|lane| &lane.runs);
        Spend::of(runs.filter_map(Run::report).flat_map(CallReport::bills))
    }

    /// Lanes with the shortest time to the end, by position. Of several runs the median counts, and only where it lies
    /// below the spread of every slower lane; below [`RUNS_TO_TELL`] runs, or where all are alike, nobody is fastest.
    #[must_use]
    pub fn fastest(&self) -> Vec<bool> {
        self.least(|lane| {
            let total = lane.total()?;
            Some((total.median, total.p10.unwrap_or(total.median)))
        })
    }

    /// Lanes with the smallest amount, by position. Nobody where an answer has no amount, since unknown is not free, or
    /// where an estimate could still be undercut.
    #[must_use]
    pub fn cheapest(&self) -> Vec<bool> {
        let none = vec![false; self.lanes.len()];
        if self.lanes.iter().flat_map(Lane::answers).any(|report| report.bill.total.is_none()) {
            return none;
        }
        let most = |lane: &Lane| Spread::of(lane.answers().filter_map(|report| most(&report.bill)).collect());
        let winners = self.least(|lane| {
            let cost = lane.cost()?;
            Some((cost.median, cost.p10.unwrap_or(cost.median)))
        });
        let sure = winners.iter().zip(&self.lanes).filter(|(won, _)| **won).all(|(_, winner)| {
            let bound = most(winner).map(|bound| bound.median);
            let others = winners.iter().zip(&self.lanes).filter(|(won, _)| !**won);
            others.filter_map(|(_, lane)| lane.cost()).all(|cost| bound.is_some_and(|bound| bound <= cost.median))
        });
        if sure { winners } else { none }
    }

    /// `value` gives a lane's median and the lower end of its spread.
    fn least<T: Ord + Copy>(&self, value: impl Fn(&Lane) -> Option<(T, T)>) -> Vec<bool> {
        let values: Vec<Option<(T, T)>> = self.lanes.iter().map(value).collect();
        let none = vec![false; values.len()];
        let few = |lane: &Lane| (1..RUNS_TO_TELL).contains(&lane.answers().count());
        if values.iter().flatten().count() < 2 || (self.repeated() && self.lanes.iter().any(few)) {
            return none;
        }
        let Some(least) = values.iter().flatten().map(|(median, _)| *median).min() else { return none };
        let clear = values.iter().flatten().filter(|(median, _)| *median != least).all(|(_, low)| least < *low);
        let all = values.iter().flatten().all(|(median, _)| *median == least);
        if all || (self.repeated() && !clear) {
            return none;
        }
        values.iter().map(|value| value.is_some_and(|(median, _)| median == least)).collect()
    }
}

/// The exit code of a comparison.
///
/// A stop by the user has its own code. Where nothing answered, it is the code of the failures' class, or 9 where the
/// classes differ in theirs; 9 where fewer models answered than `require` asks; 10 where an assertion failed; 1 where a
/// call could not be booked; else 0. Models count: of a model with several runs every one must have answered.
#[must_use]
pub fn verdict(comparison: &Comparison, require: Require) -> u8 {
    const SOME_FAILED: u8 = 9;
    const ASSERTION_FAILED: u8 = 10;
    const UNBOOKED: u8 = 1;
    let runs = || comparison.lanes.iter().flat_map(|lane| &lane.runs);
    if let Some(stop) = runs().filter_map(Run::report).find_map(|report| report.stopped) {
        return stop.exit_code();
    }
    if runs().all(|run| run.answered().is_none()) {
        let mut codes = runs().filter_map(Run::failure).map(|failure| failure.class.exit_code());
        let first = codes.next().unwrap_or(SOME_FAILED);
        return if codes.all(|code| code == first) { first } else { SOME_FAILED };
    }
    let required = match require {
        Require::All => comparison.lanes.len(),
        Require::Any => 1,
        Require::AtLeast(count) => count,
    };
    if comparison.answered() < required {
        SOME_FAILED
    } else if runs().flat_map(|run| &run.checks).any(|check| !check.passed) {
        ASSERTION_FAILED
    } else if runs().filter_map(Run::report).any(|report| report.unbooked.is_some()) {
        UNBOOKED
    } else {
        0
    }
}

/// Output tokens a second from the first token to the end, rounded. Thinking that was counted and not shown came before
/// the first token and is left out. `None` where either time or the count is missing, or both times are one.
#[must_use]
pub fn tokens_per_second(report: &CallReport) -> Option<u64> {
    let usage = report.outcome.usage()?;
    let hidden = if report.answer.reasoning().is_some() { 0 } else { usage.reasoning.unwrap_or(0) };
    let tokens = usage.get(Meter::Output)?.saturating_sub(hidden);
    let millis = report.timing.total_ms.checked_sub(report.timing.first_token_ms?).filter(|millis| *millis > 0)?;
    Some((tokens.saturating_mul(2000).saturating_add(millis)) / millis.saturating_mul(2))
}

/// The most that a bill can come to.
fn most(bill: &Bill) -> Option<Usd> {
    bill.at_most.or(bill.total)
}

/// Amounts of several calls added up, with what is not known of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spend {
    pub calls: usize,
    /// The amounts that are known or estimated.
    pub total: Usd,
    /// The most that it can come to; `None` where a call has neither an amount nor a bound.
    pub at_most: Option<Usd>,
    pub unpriced: usize,
    pub estimated: usize,
    pub simulated: usize,
}

impl Spend {
    /// The sum of these bills; beyond what fits it stays at the largest amount.
    pub fn of<'a>(bills: impl Iterator<Item = &'a Bill>) -> Spend {
        let add = |a: Usd, b: Usd| Usd::from_picos(a.picos.saturating_add(b.picos));
        let nothing = Spend { at_most: Some(Usd::default()), ..Spend::default() };
        bills.fold(nothing, |sum, bill| Spend {
            calls: sum.calls + 1,
            total: bill.total.map_or(sum.total, |total| add(sum.total, total)),
            at_most: sum.at_most.zip(most(bill)).map(|(sum, most)| add(sum, most)),
            unpriced: sum.unpriced + usize::from(bill.total.is_none()),
            estimated: sum.estimated + usize::from(matches!(bill.basis, Basis::Estimated | Basis::Ceiling)),
            simulated: sum.simulated + usize::from(bill.basis == Basis::Simulated),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
