//! A comparison as JUnit XML, as build servers read it: a suite per model, a case per prompt and per assertion.

use super::tell;
use crate::domain::comparison::{Comparison, Lane, Run};
use crate::domain::untrusted::one_line;

/// The report. Well-formed whatever the answers hold: what XML 1.0 does not allow is left out.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let suites: Vec<Suite> = comparison.lanes.iter().map(|lane| suite(comparison, lane)).collect();
    let sum = |of: fn(&Suite) -> usize| suites.iter().map(of).sum::<usize>();
    let (tests, failures, errors) = (sum(|suite| suite.tests), sum(|suite| suite.failures), sum(|suite| suite.errors));
    let time = seconds(comparison.wall_ms);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"llmx compare\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{time}\">\n"
    );
    for suite in &suites {
        text.push_str(&suite.xml);
    }
    text.push_str("</testsuites>\n");
    text
}

struct Suite {
    xml: String,
    tests: usize,
    failures: usize,
    errors: usize,
}

fn suite(comparison: &Comparison, lane: &Lane) -> Suite {
    let mut inner = String::new();
    let (mut tests, mut failures, mut errors) = (0, 0, 0);
    for (at, run) in lane.runs.iter().enumerate() {
        let millis = run.report().map_or(0, |report| report.timing.total_ms);
        let name = called(comparison, lane, at, run);
        let mut case = |name: &str, time: u64, inside: String| {
            tests += 1;
            inner.push_str(&format!(
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"{}",
                escaped(&lane.label),
                escaped(name),
                seconds(time),
                if inside.is_empty() { "/>\n".to_owned() } else { format!(">\n{inside}    </testcase>\n") }
            ));
        };
        let fault = match run.failure() {
            Some(failure) => {
                errors += 1;
                let told = escaped(&tell::failure(&lane.label, failure));
                let (class, message) = (failure.class, escaped(&failure.message));
                format!("      <error type=\"{class}\" message=\"{message}\">{told}</error>\n")
            }
            None if run.answered().is_none() => {
                errors += 1;
                "      <error type=\"stopped\" message=\"stopped\"/>\n".to_owned()
            }
            None => String::new(),
        };
        case(&name, millis, fault);
        for check in &run.checks {
            let broken = if check.passed {
                String::new()
            } else {
                failures += 1;
                let because = escaped(&check.because);
                format!("      <failure type=\"assertion\" message=\"{because}\">{}</failure>\n", escaped(&run.text()))
            };
            case(&format!("{name}: {}", check.what), 0, broken);
        }
    }
    let label = escaped(&lane.label);
    let time = seconds(lane.runs.iter().filter_map(Run::report).map(|report| report.timing.total_ms).sum());
    let xml = format!(
        "  <testsuite name=\"{label}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{time}\">\n{inner}  </testsuite>\n"
    );
    Suite { xml, tests, failures, errors }
}

/// `answers`, `run 2`, or the prompt of the case.
fn called(comparison: &Comparison, lane: &Lane, at: usize, run: &Run) -> String {
    match run.case.and_then(|case| Some((case, comparison.cases.get(case)?))) {
        Some((case, prompt)) => format!("{} {}", case + 1, one_line(prompt)),
        None if lane.runs.len() > 1 => format!("run {}", at + 1),
        None => "answers".to_owned(),
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// As text or in an attribute, without characters that XML 1.0 forbids even as references.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{FFFE}' | '\u{FFFF}' => {}
            control if control.is_control() => {}
            other => out.push(other),
        }
    }
    out
}
