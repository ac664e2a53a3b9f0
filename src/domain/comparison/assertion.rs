//! `--assert`: what an answer must say, fit, cost or take.

use std::fmt;

use regex::Regex;
use serde_json::Value;

use super::{Check, most};
use crate::domain::chat::Schema;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::money::Usd;
use crate::domain::report::CallReport;

/// One thing that every answer must fulfil, and how the user wrote it.
#[derive(Debug, Clone)]
pub struct Assertion {
    written: String,
    demand: Demand,
}

#[derive(Debug, Clone)]
enum Demand {
    Contains(String),
    Regex(Regex),
    Json,
    Schema(Schema),
    CostBelow(Usd),
    /// Milliseconds.
    FirstBelow(u64),
}

impl Assertion {
    /// Reads `contains:TEXT`, `regex:PATTERN`, `json`, `schema:FILE`, `cost<USD` or `first<TIME`; `schema` reads what is
    /// written behind `schema:`.
    ///
    /// # Errors
    /// `config` where it is none of these, or the pattern, the schema, the amount or the time cannot be read.
    pub fn parse(text: &str, schema: impl FnOnce(&str) -> Result<Schema, Failure>) -> Result<Assertion, Failure> {
        let wrong = |reason: String| {
            Failure::new(ErrorClass::Config, format!("--assert {text}: {reason}"))
                .advise("write contains:TEXT, regex:PATTERN, json, schema:FILE, cost<0.01 (USD) or first<1s (or 800ms)")
        };
        let demand = if let Some(part) = text.strip_prefix("contains:") {
            if part.is_empty() {
                return Err(wrong("every answer contains nothing".into()));
            }
            Demand::Contains(part.to_owned())
        } else if let Some(pattern) = text.strip_prefix("regex:") {
            Demand::Regex(Regex::new(pattern).map_err(|error| wrong(error.to_string()))?)
        } else if text == "json" {
            Demand::Json
        } else if let Some(file) = text.strip_prefix("schema:") {
            Demand::Schema(schema(file)?)
        } else if let Some(amount) = text.strip_prefix("cost<") {
            let amount = amount.trim().trim_start_matches('$');
            let usd = Usd::parse(amount).filter(|usd| usd.picos > 0);
            Demand::CostBelow(usd.ok_or_else(|| wrong(format!("{amount} is no amount above 0")))?)
        } else if let Some(time) = text.strip_prefix("first<") {
            let millis = millis(time.trim()).filter(|millis| *millis > 0);
            Demand::FirstBelow(millis.ok_or_else(|| wrong(format!("{time} is no time as 1s, 1.5s or 800ms")))?)
        } else {
            return Err(wrong("nothing that can be asserted".into()));
        };
        Ok(Assertion { written: text.to_owned(), demand })
    }

    /// Holds an answer against it; `fits` holds a text against a schema. An amount or a time that is not known fulfils
    /// nothing, and an estimated amount counts with the most that it can be.
    #[must_use]
    pub fn check(&self, report: &CallReport, fits: impl FnOnce(&Schema, &str) -> Result<(), String>) -> Check {
        let text = || report.answer.text();
        let found = match &self.demand {
            Demand::Contains(part) => held(text().contains(part.as_str()), "it is there", "it is not there"),
            Demand::Regex(pattern) => held(pattern.is_match(&text()), "it matches", "it does not match"),
            Demand::Json => match serde_json::from_str::<Value>(text().trim()) {
                Ok(_) => Ok("it is JSON".to_owned()),
                Err(error) => Err(format!("the answer is no JSON: {error}")),
            },
            Demand::Schema(schema) => fits(schema, &text()).map(|()| "it fits".to_owned()),
            Demand::CostBelow(limit) => match most(&report.bill) {
                None => Err("the call is unpriced".to_owned()),
                Some(amount) if report.bill.at_most.is_some() => within(amount < *limit, format!("at most ${amount}")),
                Some(amount) => within(amount < *limit, format!("${amount}")),
            },
            Demand::FirstBelow(limit) => match report.timing.first_token_ms {
                None => Err("no first token came".to_owned()),
                Some(first) => within(first < *limit, format!("{first} ms")),
            },
        };
        let passed = found.is_ok();
        Check { what: self.written.clone(), passed, because: found.unwrap_or_else(|reason| reason) }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.written)
    }
}

fn held(held: bool, yes: &str, no: &str) -> Result<String, String> {
    within(held, if held { yes } else { no }.to_owned())
}

fn within(within: bool, found: String) -> Result<String, String> {
    if within { Ok(found) } else { Err(found) }
}

/// `1s`, `1.25s`, `800ms` in whole milliseconds.
fn millis(text: &str) -> Option<u64> {
    if let Some(whole) = text.strip_suffix("ms") {
        return whole.parse().ok();
    }
    let (whole, fraction) = {
        let seconds = text.strip_suffix('s')?;
        seconds.split_once('.').unwrap_or((seconds, "0"))
    };
    if fraction.is_empty() || fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1000)?.checked_add(format!("{fraction:0<3}").parse().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{answered, estimated, unpriced};
    use super::{Assertion, millis};
    use crate::domain::chat::Schema;
    use crate::domain::comparison::Check;
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::domain::report::CallReport;

    fn no_schema(_: &str) -> Result<Schema, Failure> {
        Err(Failure::new(ErrorClass::Config, "no such file"))
    }

    fn check(assertion: &str, report: &CallReport) -> Check {
        let assertion = Assertion::parse(assertion, no_schema).expect("reads");
        assertion.check(report, |_, _| Err("unused".into()))
    }

    #[test]
    fn an_answer_passes_what_it_fulfils_and_nothing_else() {
        // 610 ms to the first token, $0.00133.
        let report = answered("[1, 2]\n", 610, 2840, "0.00133");
        let cases = [
            ("contains:1, 2", true),
            ("contains:1,2", false),
            (r"regex:^\[\d", true),
            ("regex:^x", false),
            ("json", true),
            ("cost<0.00134", true),
            ("cost<$0.00133", false),
            ("first<611ms", true),
            ("first<0.61s", false),
            ("first<1s", true),
        ];
        for (assertion, passed) in cases {
            let check = check(assertion, &report);
            assert_eq!((check.what.as_str(), check.passed), (assertion, passed), "{}", check.because);
        }
        assert!(!check("json", &answered("Sure: [1]", 1, 2, "1")).passed);
    }

    #[test]
    fn an_unknown_amount_passes_no_limit_and_an_estimate_counts_at_its_bound() {
        assert_eq!(check("cost<100", &unpriced("x", 1, 2)).because, "the call is unpriced");
        let bounded = estimated("x", 1, 2, "0.001", "0.5");
        assert!(!check("cost<0.4", &bounded).passed && check("cost<0.6", &bounded).passed);
        let mut silent = answered("", 1, 2, "1");
        silent.timing.first_token_ms = None;
        assert!(!check("first<100s", &silent).passed);
    }

    #[test]
    fn a_schema_is_held_by_whoever_can() {
        let schema = |file: &str| Ok(Schema { name: file.to_owned(), schema: json!({}) });
        let assertion = Assertion::parse("schema:age.json", schema).expect("reads");
        let check = assertion.check(&answered("{}", 1, 2, "1"), |schema, text| Err(format!("{}: {text}", schema.name)));
        assert_eq!((check.passed, check.because.as_str()), (false, "age.json: {}"));
        assert!(Assertion::parse("schema:none", no_schema).is_err());
    }

    #[test]
    fn what_cannot_be_asserted_is_refused_with_advice() {
        for wrong in
            ["", "contains:", "regex:(", "cost<", "cost<-1", "cost<0", "first<", "first<1", "first<1.s", "speed>1"]
        {
            let failure = Assertion::parse(wrong, no_schema).expect_err(wrong);
            assert_eq!(failure.class, ErrorClass::Config, "{wrong}");
            assert!(failure.advice.is_some(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_to_the_millisecond() {
        for (text, expected) in [
            ("1s", Some(1000)),
            ("1.25s", Some(1250)),
            ("0.005s", Some(5)),
            ("800ms", Some(800)),
            ("1.0005s", None),
            ("s", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }
}
