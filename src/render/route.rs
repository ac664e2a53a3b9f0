//! Routes, and where a request would go, as text and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::logs::columns;
use crate::domain::money::Usd;
use crate::domain::route::features::Features;
use crate::domain::route::{Candidate, Decision, Expected, OutputFrom, Place, Rejected, Route, Rule};
use crate::domain::untrusted::one_line;

/// One line per rule.
#[must_use]
pub fn table(routes: &BTreeMap<String, Route>) -> String {
    let head = ["route", "rule", "when", "models"].map(str::to_owned);
    let rows = routes.iter().flat_map(|(name, route)| match route {
        Route::Rules(rules) => (1..).zip(rules).map(|(number, rule)| row(name, number, rule)).collect(),
        Route::Cascade(cascade) => vec![[
            one_line(name),
            "cascade".to_owned(),
            one_line(&format!("next on: {}", cascade.check.words().join(", "))),
            one_line(&cascade.models.join(", then ")),
        ]],
    });
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), &[])
}

fn row(route: &str, number: usize, rule: &Rule) -> [String; 4] {
    let when = rule.when.words();
    let when = if when.is_empty() { "always".to_owned() } else { when.join(", ") };
    let models = [format!("{} of {}", rule.pick.as_str(), rule.models.join(", "))].into_iter().chain(limits(rule));
    let place = words(&Place { number, name: rule.name.clone() });
    [one_line(route), one_line(&place), one_line(&when), one_line(&models.collect::<Vec<_>>().join("; "))]
}

/// What a rule asks of its models.
fn limits(rule: &Rule) -> Vec<String> {
    let price = rule.price_max.map(|limit| format!("at most ${limit}"));
    let latency = rule.latency_max_ms.map(|limit| format!("first token in {limit} ms"));
    price.into_iter().chain(latency).chain(rule.usable.then(|| "usable".to_owned())).collect()
}

fn words(place: &Place) -> String {
    match &place.name {
        Some(name) => format!("{} {name}", place.number),
        None => place.number.to_string(),
    }
}

/// Why a request goes where it goes, in a line.
#[must_use]
pub fn sentence(route: &str, decision: &Decision) -> String {
    let Some(candidate) = decision.order.first() else { return format!("route/{route}: no model qualifies") };
    let rule = decision.rule.as_ref().map_or_else(|| "cascade".to_owned(), |place| format!("rule {}", words(place)));
    let expected = match &candidate.expected {
        Expected::Free => "free".to_owned(),
        Expected::Usd(usd) => format!("expected ${usd}"),
        Expected::Unpriced(_) => "no price is known".to_owned(),
    };
    let others = match decision.order.len() - 1 {
        0 => String::new(),
        others => format!(", {others} behind it"),
    };
    one_line(&format!("route/{route}, {rule}: {} ({expected}{others})", candidate.name))
}

/// The routes as JSON (`schema` 1).
#[must_use]
pub fn list(routes: &BTreeMap<String, Route>) -> Value {
    let routes: Vec<Value> = routes
        .iter()
        .map(|(name, route)| match route {
            Route::Rules(rules) => {
                let rules: Vec<Value> = rules
                    .iter()
                    .map(|rule| {
                        json!({"name": rule.name, "when": rule.when.words(), "models": rule.models,
                            "pick": rule.pick.as_str(), "price_max_usd": usd(rule.price_max),
                            "latency_max_ms": rule.latency_max_ms, "usable": rule.usable})
                    })
                    .collect();
                json!({"name": name, "rules": rules})
            }
            Route::Cascade(cascade) => {
                json!({"name": name, "cascade": {"models": cascade.models, "check": cascade.check.words()}})
            }
        })
        .collect();
    json!({"schema": 1, "routes": routes})
}

/// The rule that decided, the models in their order with what they are expected to cost, and those that are left out.
#[must_use]
pub fn explained(route: &str, features: &Features, decision: &Decision) -> String {
    let mut lines = vec![format!("route/{route}: {}", verdict(decision)), known(features).join(", "), String::new()];
    for (place, why) in &decision.passed {
        lines.push(format!("rule {} is passed over: {why}", words(place)));
    }
    if !decision.passed.is_empty() {
        lines.push(String::new());
    }
    let mut text: String = lines.iter().map(|line| format!("{}\n", one_line(line))).collect();
    if !decision.order.is_empty() {
        let head = ["", "model", "expected", "at most", "output", "first token", ""].map(str::to_owned);
        let rows = (1..).zip(&decision.order).map(|(number, one)| cells(number, one));
        text.push_str(&columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), &[0, 2, 3, 5]));
        text.push('\n');
    }
    let mut lines: Vec<String> = decision.rejected.iter().map(left_out).collect();
    if let Some(check) = &decision.check {
        lines.push(format!("the next model is asked where this does not hold: {}", check.words().join(", ")));
        if decision.order.len() > 1 {
            let most =
                decision.ceiling_of_all().map_or("an amount that nobody can say".to_owned(), |most| format!("${most}"));
            lines.push(format!("all of them together cost at most {most}: each is reserved and booked by itself"));
        }
    }
    lines.extend(decision.notes.iter().map(|note| format!("note: {note}")));
    lines.push("nothing was sent".to_owned());
    text.extend(lines.iter().map(|line| format!("{}\n", one_line(line))));
    text
}

fn verdict(decision: &Decision) -> String {
    match (&decision.rule, &decision.check) {
        (_, _) if decision.order.is_empty() => "no model qualifies".to_owned(),
        (Some(place), _) => format!("rule {}", words(place)),
        (None, _) => "a cascade".to_owned(),
    }
}

/// What the rules were held against.
fn known(features: &Features) -> Vec<String> {
    let mut words = vec![format!("about {} input tokens", features.input_tokens)];
    words.extend(features.output_cap.map(|cap| format!("at most {cap} of output")));
    words.push(features.language.as_str().to_owned());
    words.extend((features.attachments > 0).then(|| format!("attachments: {}", features.attachments)));
    let flags = [(features.code, "code"), (features.schema, "schema"), (features.tools, "tools")];
    words.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, what)| what.to_owned()));
    words.extend(features.tags.iter().map(|(key, value)| format!("tag {key}={value}")));
    words.extend(features.budget_left.map(|left| format!("{left} % of the budget is left")));
    words
}

fn cells(number: usize, one: &Candidate) -> [String; 7] {
    let dollars = |usd: Option<Usd>| usd.map_or("–".to_owned(), |usd| format!("${usd}"));
    let expected = match &one.expected {
        Expected::Free => "free".to_owned(),
        Expected::Usd(usd) => format!("${usd}"),
        Expected::Unpriced(_) => "unpriced".to_owned(),
    };
    let from = match one.output_from {
        OutputFrom::Cap => "the cap".to_owned(),
        OutputFrom::Median { calls: 1 } => "1 answer seen".to_owned(),
        OutputFrom::Median { calls } => format!("median of {calls} answers"),
        OutputFrom::Default => "nothing seen".to_owned(),
    };
    [
        number.to_string(),
        one.name.to_string(),
        expected,
        dollars(one.ceiling),
        format!("{} ({from})", one.output_tokens),
        one.latency_ms.map_or("–".to_owned(), |ms| format!("{ms} ms")),
        one.unusable.clone().unwrap_or_default(),
    ]
    .map(|cell| one_line(&cell))
}

fn left_out(rejected: &Rejected) -> String {
    let rule = rejected.rule.map(|number| format!(" (rule {number})")).unwrap_or_default();
    format!("not {}{rule}: {}", rejected.candidate.name, rejected.why)
}

/// A decision as JSON (`schema` 1). Amounts are decimal texts; what is unknown is null, never 0.
#[must_use]
pub fn object(route: &str, features: &Features, decision: &Decision) -> Value {
    let place = |place: &Place| json!({"number": place.number, "name": place.name});
    let passed: Vec<Value> = decision
        .passed
        .iter()
        .map(|(rule, why)| json!({"number": rule.number, "name": rule.name, "why": why}))
        .collect();
    let rejected: Vec<Value> = decision
        .rejected
        .iter()
        .map(|one| {
            let mut object = candidate(&one.candidate);
            (object["rule"], object["why"]) = (one.rule.into(), one.why.clone().into());
            object
        })
        .collect();
    json!({
        "schema": 1,
        "route": route,
        "rule": decision.rule.as_ref().map(place),
        "request": {"input_tokens": features.input_tokens, "output_cap": features.output_cap,
            "context_tokens": features.context_tokens(), "attachments": features.attachments, "code": features.code,
            "schema": features.schema, "tools": features.tools, "language": features.language.as_str(),
            "tags": features.tags, "template": features.template, "budget_left_percent": features.budget_left},
        "order": decision.order.iter().map(candidate).collect::<Vec<_>>(),
        "rejected": rejected,
        "passed": passed,
        "check": decision.check.as_ref().map(|check| check.words()),
        "at_most_all_usd": decision.check.as_ref().and_then(|_| usd(decision.ceiling_of_all())),
        "notes": decision.notes,
    })
}

fn candidate(one: &Candidate) -> Value {
    let unpriced = match &one.expected {
        Expected::Unpriced(reason) => Some(reason),
        Expected::Free | Expected::Usd(_) => None,
    };
    let from = match one.output_from {
        OutputFrom::Cap => json!({"from": "cap"}),
        OutputFrom::Median { calls } => json!({"from": "ledger", "answers": calls}),
        OutputFrom::Default => json!({"from": "default"}),
    };
    json!({"model": one.name.to_string(), "expected_usd": usd(one.expected.amount()),
        "free": one.expected == Expected::Free, "unpriced": unpriced, "output_tokens": one.output_tokens,
        "output_tokens_from": from, "at_most_usd": usd(one.ceiling), "context": one.context,
        "first_token_ms": one.latency_ms, "unusable": one.unusable})
}

fn usd(amount: Option<Usd>) -> Option<String> {
    amount.map(|amount| amount.to_string())
}
