//! What `llmx doctor` found, as text and as JSON.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::domain::untrusted::one_line;

/// How it is with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    /// It works, and perhaps not as it is meant.
    Warning,
    /// It does not work, or what should be private is not.
    Problem,
}

impl State {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub topic: &'static str,
    pub state: State,
    pub said: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    #[must_use]
    pub fn ok(topic: &'static str, said: impl Into<String>) -> Finding {
        Finding { topic, state: State::Ok, said: said.into(), advice: None }
    }

    #[must_use]
    pub fn warning(topic: &'static str, said: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { state: State::Warning, advice: Some(advice.into()), ..Finding::ok(topic, said) }
    }

    #[must_use]
    pub fn problem(topic: &'static str, said: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { state: State::Problem, advice: Some(advice.into()), ..Finding::ok(topic, said) }
    }
}

/// How many findings are so.
#[must_use]
pub fn count(findings: &[Finding], state: State) -> usize {
    findings.iter().filter(|finding| finding.state == state).count()
}

/// A line for each finding, below it what to do, and a line with their number.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.topic.width()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { topic, state, said, advice } in findings {
        text.push_str(&format!("{:<7}  {topic:<width$}  {}\n", state.as_str(), one_line(said)));
        if let Some(advice) = advice {
            text.push_str(&format!("{:<7}  {:<width$}  try: {}\n", "", "", one_line(advice)));
        }
    }
    let counted = |state, one: &str| match count(findings, state) {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    text.push_str(&format!("{}, {}\n", counted(State::Problem, "problem"), counted(State::Warning, "warning")));
    text
}

/// The same as JSON.
#[must_use]
pub fn object(findings: &[Finding]) -> Value {
    let (problems, warnings) = (count(findings, State::Problem), count(findings, State::Warning));
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({"topic": finding.topic, "state": finding.state.as_str(), "said": finding.said, "try": finding.advice})
        })
        .collect();
    json!({"schema": 1, "ok": problems == 0, "problems": problems, "warnings": warnings, "findings": findings})
}

#[cfg(test)]
mod tests {
    use super::{Finding, object, text};

    #[test]
    fn what_is_to_do_stands_below_what_was_found() {
        let findings = [
            Finding::ok("version", "llmx 1"),
            Finding::problem("ledger", "others may read it\nand more", "chmod 600 it"),
        ];
        assert_eq!(
            text(&findings),
            "ok       version  llmx 1\nproblem  ledger   others may read it and more\n                  try: chmod 600 it\n1 problem, no warning\n"
        );
        let object = object(&findings);
        assert_eq!(
            (object["ok"].as_bool(), object["findings"][1]["try"].as_str()),
            (Some(false), Some("chmod 600 it"))
        );
    }
}
