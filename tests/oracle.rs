//! Bills worked out elsewhere, run through `llmx models bill` as a user would: each amount to the picodollar, or an
//! argued exception in `oracle_exceptions.toml`.

#![expect(clippy::print_stderr, reason = "a skipped test must say so, and so must the figures")]

use std::path::PathBuf;

use llmx::domain::money::Usd;
use serde_json::{Value, json};
use toml::Table;

/// The least share of exact amounts among cases that are not of low confidence, in percent.
const EXACT_MIN: usize = 99;

/// The file that `LLMX_ORACLE` names, else the one beside the project.
fn cases() -> Option<Vec<Value>> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/prices/oracle.json");
    let path = std::env::var_os("LLMX_ORACLE").map_or(beside, PathBuf::from);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: no cases at {}", path.display());
        return None;
    };
    let whole: Value = serde_json::from_str(&text).expect("cases are JSON");
    whole["cases"].as_array().cloned()
}

fn bills(cases: &[Value]) -> Vec<Value> {
    let lines: Vec<String> = cases
        .iter()
        .map(|case| {
            let keys = ["provider", "api", "model", "request_date", "context", "usage"];
            let asked: serde_json::Map<String, Value> =
                keys.iter().map(|key| ((*key).to_owned(), case[*key].clone())).collect();
            Value::Object(asked).to_string()
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let output = assert_cmd::Command::cargo_bin("llmx")
        .expect("the binary")
        .args(["models", "bill"])
        .env("XDG_CONFIG_HOME", folder.path())
        .write_stdin(lines.join("\n"))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

/// What was wanted and what came, where they differ.
fn difference(case: &Value, bill: &Value) -> Option<String> {
    // More digits than a picodollar are rounded half to even, as a bill is.
    let wanted = case["expected"]["usd"].as_str().map(|usd| Usd::parse(usd).expect("an amount"));
    let got = bill["usd"].as_str().map(|usd| Usd::parse(usd).expect("an amount"));
    let near = match (wanted, got) {
        (Some(wanted), Some(got)) => wanted.picos.abs_diff(got.picos) <= 1,
        (wanted, got) => wanted == got,
    };
    (!near).then(|| format!("wanted {} got {} {}", case["expected"]["usd"], bill["usd"], bill["notes"]))
}

#[test]
fn every_case_is_exact_or_argued() {
    let Some(cases) = cases() else { return };
    let argued: Table = include_str!("oracle_exceptions.toml").parse().expect("the exceptions read");
    let bills = bills(&cases);
    assert_eq!(bills.len(), cases.len(), "a bill for each case");
    let (mut counted, mut exact, mut wrong) = (0, 0, Vec::new());
    for (case, bill) in cases.iter().zip(&bills) {
        let id = case["id"].as_str().expect("an id");
        let sure = case["confidence"] != "low";
        counted += usize::from(sure);
        match difference(case, bill) {
            None => {
                exact += usize::from(sure);
                assert!(!argued.contains_key(id), "{id} is exact now: take it out of the exceptions");
            }
            Some(_) if argued.contains_key(id) => {}
            Some(difference) => wrong.push(format!("{id} {} {}: {difference}", case["provider"], case["model"])),
        }
    }
    eprintln!("{exact} of {counted} cases that are not of low confidence are exact; {} in all", cases.len());
    assert_eq!(wrong, [] as [String; 0]);
    assert!(exact * 100 >= counted * EXACT_MIN, "{exact} of {counted}");
}

#[test]
fn a_stated_charge_is_never_lost_and_an_unknown_model_never_zero() {
    let case = |model: &str, usage: Value| {
        json!({"provider": "openrouter", "api": "chat", "model": model, "request_date": "2026-11-22T10:00:00Z",
            "context": {"stream": true, "unheard_of": 5}, "usage": usage})
    };
    let counts = json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12});
    let mut charged = counts.clone();
    charged["cost"] = json!(0.25);
    let bills = bills(&[case("nobody/nothing", charged), case("nobody/nothing", counts)]);
    assert_eq!((&bills[0]["usd"], &bills[0]["basis"]), (&json!("0.25"), &json!("reported")));
    assert_eq!((&bills[1]["usd"], &bills[1]["basis"]), (&Value::Null, &json!("unpriced")));
}
