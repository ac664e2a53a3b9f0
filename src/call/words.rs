//! What only the whole call knows of a failure: how much of the answer had come, and which models would take the prompt.

use super::Target;
use crate::domain::answer::Answer;
use crate::domain::bill::Outcome;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::usage::Meter;
use crate::pricing::{Called, Prices};

/// Of an answer that broke off, how much had come.
pub(super) fn say_how_far(failure: &mut Failure, called: &Called<'_>, answer: &Answer, outcome: &Outcome) {
    use ErrorClass::{Network, Protocol, Timeout};
    if !answer.has_content() || !matches!(failure.class, Network | Protocol | Timeout) {
        return;
    }
    let tokens = Prices::estimate(called, outcome).get(Meter::Output).unwrap_or(0);
    if tokens > 0 {
        let s = if tokens == 1 { "" } else { "s" };
        failure.message.push_str(&format!(", after about {tokens} token{s}"));
    }
}

/// To a prompt that is too long, models of the same provider that would take it: up to three with a larger window than
/// this one's, and than any count that the provider names.
pub(super) fn name_larger(failure: &mut Failure, target: &Target<'_>, prices: &Prices) {
    let Some(advice) = failure.advice.as_mut().filter(|_| failure.class == ErrorClass::ContextLength) else {
        return;
    };
    let name = target.name;
    let stated = failure.provider_message.as_deref().and_then(largest_count);
    let Some(least) = prices.context_window(name).max(stated) else { return };
    let larger = target.provider.siblings().iter().filter_map(|model| {
        let other = ModelName { provider: name.provider.clone(), region: None, model: model.clone() };
        let window = prices.context_window(&other).filter(|window| *window > least)?;
        Some(format!("{other} ({window} tokens)"))
    });
    let larger: Vec<String> = larger.take(3).collect();
    if !larger.is_empty() {
        advice.push_str(&format!(": {}", larger.join(", ")));
    }
}

/// The largest number in a text that can be a count of tokens; thousands may be apart: `1,048,576`.
fn largest_count(text: &str) -> Option<u64> {
    let is_apart = |character: char| !(character.is_ascii_digit() || character == ',' || character == '_');
    let numbers = text.split(is_apart).filter_map(|word| word.replace([',', '_'], "").parse().ok());
    numbers.filter(|number| (1_000..100_000_000).contains(number)).max()
}
