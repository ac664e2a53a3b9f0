//! What an answer must stand before a cascade takes it: only what can be checked, never how good it is.

use serde::Deserialize;

use super::super::chat::FinishReason;
use super::super::report::CallReport;
use super::when::Pattern;

/// The checks of a cascade. Each that is set must hold, or the next model is asked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// The answer fits the request's own schema; a request without one is not checked so.
    pub schema: bool,
    /// The answer matches.
    pub regex: Option<Pattern>,
    /// The model did not refuse, and no filter stopped the answer.
    pub refusal: bool,
    /// The answer was not cut at its limit.
    pub length: bool,
    /// A program that reads the answer on its standard input and ends with 0. Its name and its arguments, without a shell.
    pub command: Vec<String>,
}

impl Checks {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Checks::default()
    }

    /// The first check that an answer does not stand, in words, of those that need nothing but the answer: refusal,
    /// length, regex. A call that failed or was stopped has no answer to check: what follows it is no escalation.
    #[must_use]
    pub fn fails(&self, report: &CallReport) -> Option<String> {
        if report.failure.is_some() || report.stopped.is_some() {
            return None;
        }
        let answer = &report.answer;
        let finish = answer.finish.as_ref().map(|finish| finish.reason);
        let refused =
            !answer.refusal.is_empty() || matches!(finish, Some(FinishReason::Refusal | FinishReason::ContentFilter));
        if self.refusal && refused {
            return Some("the model refused or a filter stopped it".into());
        }
        if self.length && finish == Some(FinishReason::Length) {
            return Some("the answer was cut at its limit".into());
        }
        let misses = |pattern: &&Pattern| !pattern.0.is_match(&answer.text());
        self.regex.as_ref().filter(misses).map(|pattern| format!("the answer does not match {pattern}"))
    }

    /// The checks that are set, in words.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let flags = [(self.schema, "schema"), (self.refusal, "refusal"), (self.length, "length")];
        let mut words: Vec<String> =
            flags.into_iter().filter(|(set, _)| *set).map(|(_, what)| what.to_owned()).collect();
        words.extend(self.regex.as_ref().map(|pattern| format!("regex {pattern}")));
        if !self.command.is_empty() {
            words.push(format!("command {}", self.command.join(" ")));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::Checks;
    use crate::domain::answer::Answer;
    use crate::domain::bill::{Basis, Bill, Outcome};
    use crate::domain::chat::{ChatEvent, Finish, FinishReason};
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::domain::model::ModelName;
    use crate::domain::report::{CallReport, Stop};

    fn report(text: &str, reason: FinishReason) -> CallReport {
        let mut answer = Answer::default();
        answer.add(ChatEvent::Text(text.into()));
        answer.add(ChatEvent::Finished(Finish { reason, raw: String::new(), detail: None }));
        let name = ModelName { provider: "sim".into(), region: None, model: "echo".into() };
        CallReport { answer, ..CallReport::of(name, Outcome::NeverSent, Bill::of(Basis::Free, None)) }
    }

    fn checks(text: &str) -> Checks {
        toml::from_str(text).expect("reads")
    }

    #[test]
    fn only_a_check_that_is_set_escalates() {
        for (check, text, reason, escalates) in [
            ("regex = \"^yes\"", "yes, it is", FinishReason::Stop, false),
            ("regex = \"^yes\"", "perhaps", FinishReason::Stop, true),
            ("length = true", "cut", FinishReason::Length, true),
            ("length = true", "whole", FinishReason::Stop, false),
            ("refusal = true", "", FinishReason::Refusal, true),
            ("refusal = true", "", FinishReason::ContentFilter, true),
            ("refusal = true", "cut", FinishReason::Length, false),
            ("length = true", "", FinishReason::Refusal, false),
        ] {
            assert_eq!(checks(check).fails(&report(text, reason)).is_some(), escalates, "{check} {text} {reason:?}");
        }
        let mut refused = report("", FinishReason::Stop);
        refused.answer.refusal = "I will not".into();
        assert!(checks("refusal = true").fails(&refused).is_some());
    }

    #[test]
    fn a_call_without_an_answer_is_no_escalation() {
        let all = checks("regex = \"x\"\nlength = true\nrefusal = true");
        let stopped = CallReport { stopped: Some(Stop::Interrupt), ..report("", FinishReason::Length) };
        let failed = CallReport {
            failure: Some(Failure::new(ErrorClass::RateLimit, "slow down")),
            ..report("", FinishReason::Length)
        };
        assert_eq!((all.fails(&stopped), all.fails(&failed)), (None, None));
    }
}
