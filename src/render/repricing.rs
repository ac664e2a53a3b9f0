//! Booked calls beside what they would cost at other prices, as tables and as JSON.

use serde_json::{Value, json};

use super::logs::{columns, price, usd};
use crate::domain::instant::utc;
use crate::domain::money::Usd;
use crate::domain::repricing::{Difference, KeptRun, RepricingReport, Sum};
use crate::domain::untrusted::one_line;

/// Digits of a table's SHA-256 that are shown.
const DIGEST_SHOWN: usize = 12;

/// The run: by cause, by model, in all.
#[must_use]
pub fn page(report: &RepricingReport) -> String {
    let mut text = String::new();
    for [table, version, sha256] in &report.tables {
        text.push_str(&format!("at the prices of {}\n", named(table, version, sha256)));
    }
    text.push_str(&report.since_ms.map(|since| format!("calls since {}\n", utc(since))).unwrap_or_default());
    let causes = report.by_cause.iter().map(|(cause, sum)| row(cause.sentence(), sum));
    let models = report.by_model.iter().map(|(model, sum)| row(model, sum));
    let head = |what: &str| [what, "calls", "booked", "there", "change"].map(str::to_owned);
    let blank = || ["", "", "", "", ""].map(str::to_owned);
    let mut rows = vec![blank(), head("why")];
    rows.extend(causes);
    rows.extend([blank(), head("model")]);
    rows.extend(models);
    rows.extend([blank(), row("total", &report.total)]);
    text.push_str(&columns(&rows, &[1, 2, 3, 4]));
    text.push('\n');
    if report.open > 0 {
        text.push_str(&format!("{} open calls are left out: see `llmx ledger open`\n", report.open));
    }
    if let Some(run) = report.run {
        text.push_str(&format!("kept as run {run}; the booked amounts stay as they are\n"));
    }
    text
}

fn named(table: &str, version: &str, sha256: &str) -> String {
    let version = if version.is_empty() { String::new() } else { format!(" {version}") };
    one_line(&format!("{table}{version} (sha256 {})", sha256.get(..DIGEST_SHOWN).unwrap_or(sha256)))
}

fn row(what: &str, sum: &Sum) -> [String; 5] {
    let amount = |amount: Usd, missing: u64| match (sum.calls - missing, missing) {
        (0, _) => "unknown".to_owned(),
        (_, 0) => format!("${amount}"),
        (_, missing) => format!("${amount} and {missing} unknown"),
    };
    let sign = ["-", "", "+"][usize::from(sum.change.picos >= 0) + usize::from(sum.change.picos > 0)];
    let change = format!("{sign}${}", Usd::from_picos(sum.change.picos.saturating_abs()));
    [
        one_line(what),
        sum.calls.to_string(),
        amount(sum.before, sum.before_missing),
        amount(sum.after, sum.after_missing),
        change,
    ]
}

/// The same as JSON, with every call.
#[must_use]
pub fn object(report: &RepricingReport) -> Value {
    let tables: Vec<Value> = report
        .tables
        .iter()
        .map(|[table, version, sha256]| json!({"table": table, "version": version, "sha256": sha256}))
        .collect();
    let with = |name: &str, value: &str, sum: &Sum| {
        let mut object = sums(sum);
        object[name] = value.into();
        object
    };
    let causes: Vec<Value> = report.by_cause.iter().map(|(cause, sum)| with("cause", cause.as_str(), sum)).collect();
    let models: Vec<Value> = report.by_model.iter().map(|(model, sum)| with("model", model, sum)).collect();
    json!({
        "schema": 1,
        "run": report.run,
        "since": report.since_ms.map(utc),
        "since_ms": report.since_ms,
        "tables": tables,
        "total": sums(&report.total),
        "by_cause": causes,
        "by_model": models,
        "open": report.open,
        "calls": report.calls.iter().map(call).collect::<Vec<_>>(),
    })
}

fn sums(sum: &Sum) -> Value {
    json!({"calls": sum.calls, "booked_usd": sum.before.to_string(), "booked_missing": sum.before_missing,
        "there_usd": sum.after.to_string(), "there_missing": sum.after_missing, "change_usd": sum.change.to_string()})
}

fn call(call: &Difference) -> Value {
    json!({
        "id": call.id,
        "opened": utc(call.opened_ms),
        "opened_ms": call.opened_ms,
        "model": call.model,
        "model_served": call.model_served,
        "booked_usd": usd(call.before),
        "booked_basis": call.before_basis,
        "booked_price": call.before_price.as_ref().map(price),
        "there_usd": usd(call.after),
        "there_basis": call.after_basis,
        "there_price": call.after_price.as_ref().map(price),
        "change_usd": usd(call.change()),
        "cause": call.cause.as_str(),
        "counts": call.counts.as_str(),
        "notes": call.notes,
    })
}

/// One line per kept run.
#[must_use]
pub fn runs(runs: &[KeptRun]) -> String {
    let head = ["run", "made (UTC)", "calls", "priced", "total", "of", "tables"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head)
        .chain(runs.iter().map(|run| {
            let tables: Vec<String> = run
                .table
                .split(" + ")
                .zip(run.version.split(" + "))
                .map(|(table, version)| one_line(format!("{table} {version}").trim_end()))
                .collect();
            [
                run.number.to_string(),
                utc(run.made_ms).trim_end_matches('Z').to_owned(),
                run.calls.to_string(),
                run.priced.to_string(),
                format!("${}", run.total),
                one_line(&run.because),
                tables.join(" + "),
            ]
        }))
        .collect();
    columns(&rows, &[0, 2, 3, 4])
}

/// The same as JSON.
#[must_use]
pub fn runs_object(runs: &[KeptRun]) -> Value {
    let runs: Vec<Value> = runs
        .iter()
        .map(|run| {
            json!({"run": run.number, "made": utc(run.made_ms), "made_ms": run.made_ms, "table": run.table,
                "version": run.version, "sha256": run.sha256, "because": run.because, "calls": run.calls,
                "priced": run.priced, "usd": run.total.to_string()})
        })
        .collect();
    json!({"schema": 1, "runs": runs})
}
