//! A comparison as JSON: the objects of its calls, and what follows from them.

use serde_json::{Value, json};

use crate::domain::comparison::spread::Spread;
use crate::domain::comparison::{Comparison, Judgement, Lane, Run, Spend};
use crate::domain::money::Usd;
use crate::render::call;

/// The documented object of a comparison (`schema` 1): every call as `chat -j` prints it, with its lane, run, case and
/// checks, then the summary. Money is a decimal text; what is unknown is null, never 0.
#[must_use]
pub fn object(comparison: &Comparison, exit: u8) -> Value {
    let calls: Vec<Value> = comparison
        .lanes
        .iter()
        .flat_map(|lane| lane.runs.iter().enumerate().map(|(at, run)| one(comparison, lane, at, run)))
        .collect();
    json!({
        "schema": 1,
        "group": comparison.group,
        "prompt": comparison.prompt,
        "cases": (!comparison.cases.is_empty()).then_some(&comparison.cases),
        "calls": calls,
        "summary": summary(comparison, exit),
    })
}

fn one(comparison: &Comparison, lane: &Lane, at: usize, run: &Run) -> Value {
    let mut object = match &run.result {
        Ok(report) => call::object(report),
        Err(failure) => json!({
            "schema": 1,
            "id": null,
            "group": null,
            "session": null,
            "provider": lane.name.provider,
            "region": lane.name.region,
            "model": lane.name.model,
            "text": "",
            "usage": null,
            "cost": null,
            "timing": null,
            "error": call::error(failure),
        }),
    };
    object["group"] = comparison.group.clone().into();
    object["label"] = lane.label.clone().into();
    object["run"] = (at + 1).into();
    object["case"] = run.case.into();
    let checks = run.checks.iter();
    object["checks"] =
        checks.map(|check| json!({"assert": check.what, "passed": check.passed, "because": check.because})).collect();
    object
}

fn summary(comparison: &Comparison, exit: u8) -> Value {
    let (fastest, cheapest) = (comparison.fastest(), comparison.cheapest());
    let models: Vec<Value> = comparison
        .lanes
        .iter()
        .enumerate()
        .map(|(at, lane)| {
            json!({
                "label": lane.label,
                "runs": lane.runs.len(),
                "answered": lane.answers().count(),
                "first_token_ms": spread(lane.first(), |value| value.into()),
                "total_ms": spread(lane.total(), |value| value.into()),
                "tokens_per_second": spread(lane.speed(), |value| value.into()),
                "usd_per_answer": spread(lane.cost(), |usd: Usd| usd.to_string().into()),
                "cost": spend(&lane.spend()),
                "fastest": fastest[at],
                "cheapest": cheapest[at],
            })
        })
        .collect();
    json!({
        "answered": comparison.answered(),
        "models": comparison.lanes.len(),
        "wall_ms": comparison.wall_ms,
        "cost": spend(&comparison.spend()),
        "by_model": models,
        "judge": comparison.judged.as_ref().map(|judged| judge(comparison, judged)),
        "exit_code": exit,
    })
}

fn spread<T: Copy>(spread: Option<Spread<T>>, value: impl Fn(T) -> Value) -> Value {
    spread.map_or(Value::Null, |spread| {
        json!({"count": spread.count, "median": value(spread.median), "p10": spread.p10.map(&value),
            "p90": spread.p90.map(&value)})
    })
}

fn spend(spend: &Spend) -> Value {
    let known = spend.unpriced < spend.calls || spend.calls == 0;
    json!({"usd": known.then(|| spend.total.to_string()), "at_most_usd": spend.at_most.map(|most| most.to_string()),
        "calls": spend.calls, "unpriced": spend.unpriced, "estimated": spend.estimated, "simulated": spend.simulated})
}

fn judge(comparison: &Comparison, judged: &Judgement) -> Value {
    let lanes = comparison.lanes.iter().zip(&judged.scores);
    let scores: Vec<Value> = lanes
        .map(|(lane, score)| {
            json!({"label": lane.label, "wins": score.wins, "ties": score.ties, "losses": score.losses})
        })
        .collect();
    json!({"model": judged.model, "criteria": judged.criteria, "scores": scores,
        "usd": judged.cost.map(|usd| usd.to_string()), "notes": judged.notes})
}
