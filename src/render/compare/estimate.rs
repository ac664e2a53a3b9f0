//! `compare --estimate` as a table and as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::domain::comparison::estimate::{CallEstimate, Estimate, Total};
use crate::domain::money::Usd;
use crate::domain::untrusted::one_line;

/// A line for each model, the sum where there are several, and what is to be known of the numbers.
#[must_use]
pub fn table(estimate: &Estimate) -> String {
    let head = ["model", "calls", "in ~", "in at most", "out ~", "out at most", "usd ~", "usd at most", "fits"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(estimate.lanes.iter().map(|lane| cells(&one_line(&lane.label), &estimate.of_lane(lane))));
    if estimate.lanes.len() > 1 {
        rows.push(cells("all", &estimate.of_all()));
    }
    let widths: [usize; 9] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or_default());
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = " ".repeat(width - cell.width());
            let placed = if column == 0 { format!("{cell}{gap}") } else { format!("  {gap}{cell}") };
            line.push_str(&placed);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("\nNothing was sent. ~ is an estimate: a token for every 4 bytes, and an answer as long as its cap, else 500 tokens.\n");
    for note in notes(estimate) {
        text.push_str(&note);
        text.push('\n');
    }
    text
}

fn cells(label: &str, total: &Total) -> [String; 9] {
    let unknown = || "?".to_owned();
    let priced = total.unpriced < total.calls || total.calls == 0;
    let more = if total.unpriced > 0 { "+" } else { "" };
    let fits = match total {
        Total { calls: 0, .. } => "-".to_owned(),
        Total { too_long: 1.., .. } => format!("no ({} of {})", total.too_long, total.calls),
        Total { window_unknown: 1.., .. } => unknown(),
        Total { .. } => "yes".to_owned(),
    };
    [
        label.to_owned(),
        total.calls.to_string(),
        total.input_tokens.to_string(),
        total.input_bound.to_string(),
        total.output_tokens.to_string(),
        total.output_bound.map_or_else(unknown, |bound| bound.to_string()),
        if priced { format!("{}{more}", total.expected) } else { unknown() },
        total.ceiling.map_or_else(unknown, |ceiling| ceiling.to_string()),
        fits,
    ]
}

/// What the numbers leave out, each sentence once.
fn notes(estimate: &Estimate) -> Vec<String> {
    let mut notes = Vec::new();
    let all = estimate.of_all();
    if all.unpriced > 0 {
        notes.push(format!("{} of {} calls are unpriced: the sum is without them.", all.unpriced, all.calls));
    }
    for lane in &estimate.lanes {
        let reasons = lane.calls.iter().flat_map(|call| match call {
            Ok(call) => call.reasons.clone(),
            Err(failure) => vec![format!("cannot be asked: {failure}")],
        });
        let reasons: BTreeSet<String> = reasons.collect();
        notes.extend(reasons.iter().map(|reason| one_line(&format!("{}: {reason}", lane.label))));
    }
    notes
}

/// The same as an object (`schema` 1). Money is a decimal text; what is unknown is null.
#[must_use]
pub fn object(estimate: &Estimate) -> Value {
    let lanes: Vec<Value> = estimate
        .lanes
        .iter()
        .map(|lane| {
            let calls: Vec<Value> = lane
                .calls
                .iter()
                .map(|planned| match planned {
                    Ok(planned) => call(planned),
                    Err(failure) => json!({"error": {"class": failure.class.as_str(), "message": failure.message}}),
                })
                .collect();
            json!({"model": lane.label, "total": total(&estimate.of_lane(lane)), "calls": calls})
        })
        .collect();
    json!({"schema": 1, "estimate": true, "prompts": estimate.prompts, "runs": estimate.runs, "models": lanes,
        "total": total(&estimate.of_all())})
}

fn call(call: &CallEstimate) -> Value {
    json!({
        "input": {"expected": call.input_tokens, "at_most": call.input_bound},
        "output": {"expected": call.output_tokens, "at_most": call.output_bound},
        "cost": {"usd": usd(call.expected), "at_most_usd": usd(call.ceiling)},
        "context_window": call.window,
        "fits": call.fits(),
        "reasons": call.reasons,
    })
}

fn total(total: &Total) -> Value {
    json!({
        "calls": total.calls,
        "input": {"expected": total.input_tokens, "at_most": total.input_bound},
        "output": {"expected": total.output_tokens, "at_most": total.output_bound},
        "cost": {"usd": total.expected.to_string(), "at_most_usd": usd(total.ceiling), "unpriced": total.unpriced},
        "too_long": total.too_long,
        "window_unknown": total.window_unknown,
        "refused": total.refused,
    })
}

fn usd(amount: Option<Usd>) -> Option<String> {
    amount.map(|amount| amount.to_string())
}

#[cfg(test)]
mod tests {
    use super::{object, table};
    use crate::domain::comparison::estimate::tests::estimate;

    #[test]
    fn the_table_says_what_is_estimated_what_is_bounded_and_what_is_unknown() {
        insta::assert_snapshot!(table(&estimate()), @"
        model    calls   in ~  in at most  out ~  out at most  usd ~  usd at most         fits
        p/known      6  30000      150000   3000        24576   0.33         0.96  no (3 of 6)
        p/new        3    300        1500   1500            ?      ?            ?            ?
        all          9  30300      151500   4500            ?  0.33+            ?  no (3 of 9)

        Nothing was sent. ~ is an estimate: a token for every 4 bytes, and an answer as long as its cap, else 500 tokens.
        3 of 9 calls are unpriced: the sum is without them.
        p/new: cannot be asked: invalid-request: it takes no images
        p/new: no price is known for p/new
        ");
    }

    #[test]
    fn the_object_holds_no_number_for_what_is_unknown() {
        let object = object(&estimate());
        assert_eq!(object["models"][1]["calls"][0]["cost"]["usd"], serde_json::Value::Null);
        assert_eq!(object["models"][1]["calls"][1]["error"]["class"], "invalid-request");
        assert_eq!(object["models"][0]["total"]["cost"]["at_most_usd"], "0.96");
        assert_eq!(
            (&object["total"]["cost"]["usd"], &object["total"]["cost"]["unpriced"]),
            (&"0.33".into(), &3.into())
        );
        assert!(object["total"]["cost"]["at_most_usd"].is_null());
    }
}
