//! What calls would cost on other models, as tables and as JSON.

use serde_json::{Value, json};

use super::beside::{calls, count, exact, heading, laid, money, object, sentences, signed, table, with};
use crate::domain::spend::what_if::{Pair, Taken, There, WhatIf};
use crate::domain::untrusted::one_line;
use crate::render::logs;

/// The report for people; of each model at most `top` projects.
#[must_use]
pub fn page(report: &WhatIf, top: usize, width: Option<usize>) -> String {
    let mut text = sentences(&[format!("What if: {}", heading(&report.heading))], width);
    text.push_str(&sentences(&taken(&report.calls), width));
    text.push('\n');
    let head = |what: &str| [what, "calls", "now", "there", "change", ""].map(str::to_owned);
    let models = report.models.iter().map(|there| row(&there.model, &there.all));
    text.push_str(&table(&std::iter::once(head("model")).chain(models).collect::<Vec<_>>(), &RIGHT, width));
    for there in &report.models {
        text.push('\n');
        text.push_str(&sentences(&told(there, report), width));
        if there.projects.len() > 1 {
            let rows =
                there.projects.iter().take(top).map(|(project, pair)| {
                    row(if project.is_empty() { "(no project)" } else { project.as_str() }, pair)
                });
            text.push_str(&table(&std::iter::once(head("  project")).chain(rows).collect::<Vec<_>>(), &RIGHT, width));
            let others = there.projects.len().saturating_sub(top);
            if others > 0 {
                text.push_str(&format!("and {others} more\n"));
            }
        }
    }
    text.push('\n');
    text.push_str(&sentences(&warnings(report), width));
    text
}

const RIGHT: [usize; 5] = [1, 2, 3, 4, 5];

fn row(what: &str, pair: &Pair) -> [String; 6] {
    let change = match (pair.calls, pair.now) {
        (0, _) | (_, 0) => String::new(),
        (_, now) => format!("{}%", with_sign((pair.change() * 100 + now.signum() * now.abs() / 2).div_euclid(now))),
    };
    let amount = |picos: i128| if pair.calls == 0 { "unknown".to_owned() } else { money(picos) };
    let changed = if pair.calls == 0 { "unknown".to_owned() } else { signed(pair.change()) };
    [one_line(what), count(pair.calls), amount(pair.now), amount(pair.there), changed, change]
}

fn with_sign(number: i128) -> String {
    if number > 0 { format!("+{number}") } else { number.to_string() }
}

/// Which calls are compared, and which are not.
fn taken(taken: &Taken) -> Vec<String> {
    let mut said = vec![format!("{} of the period are priced there.", calls(taken.calls))];
    let mut add = |number: u64, what: &str| {
        if number > 0 {
            said.push(format!("{}: {what}.", calls(number)));
        }
    };
    add(taken.failed, "failed, and consumed something all the same");
    add(taken.imported, "imported (`usage import`)");
    add(taken.summed, "imported as sums of several requests: no prompt of them is taken to be long");
    add(taken.estimated, "the final usage never came, so that now and there are estimates");
    add(taken.stated, "the amount now was stated by the response or a person, not made from a table");
    add(taken.free_failures, "left out, failed and cost nothing");
    add(taken.open, "left out, not ended");
    add(taken.simulated, "left out, simulated");
    if taken.no_usage > 0 {
        let booked = money(taken.no_usage_picos);
        said.push(format!("{}: left out, no usage is kept (booked at {booked}).", calls(taken.no_usage)));
    }
    said
}

/// What the reader should know of one model.
fn told(there: &There, report: &WhatIf) -> Vec<String> {
    let mut said = vec![format!("{}:", one_line(&there.model))];
    if let Some(price) = &there.price {
        let checked = price.checked.as_ref().map(|day| format!(", checked {day}")).unwrap_or_default();
        let of = format!("{} {}", price.table, price.version);
        said.push(one_line(&format!("  price {}{checked}, in {}", price.entry, of.trim_end())));
    }
    let mut add = |number: u64, what: String| {
        if number > 0 {
            said.push(format!("  {}: {what}", calls(number)));
        }
    };
    let all = &there.all;
    add(all.only_now, format!("no price there, {} now; not in the sums", money(all.only_now_picos)));
    add(all.only_there, format!("unpriced now, {} there; not in the sums", money(all.only_there_picos)));
    add(all.neither, "no price now and none there".to_owned());
    for (reason, number) in &there.reasons {
        add(*number, format!("no price there: {}", one_line(reason)));
    }
    if let Some(window) = there.window {
        add(there.too_long, format!("prompt and output cap do not fit its context window of {} tokens", count(window)));
    }
    if let Some(most) = there.output_max {
        add(there.too_wordy, format!("the answer was longer than the {} tokens that it writes at most", count(most)));
    }
    for (setting, number) in &there.refused {
        add(*number, format!("set {setting}, which it does not take"));
    }
    add(there.no_tier, "of a service tier that it does not have: at standard prices".to_owned());
    add(there.no_batch, "the table has no batch mode for it: not at batch prices".to_owned());
    add(there.cached, "in a session, as if cached at best".to_owned());
    if there.window.is_none() {
        said.push("  its context window is not known: what does not fit is not counted".to_owned());
    }
    let tokens = &there.tokens;
    if tokens.known > 0 {
        let factor = format!("{}.{:02}", tokens.hundredths / 100, tokens.hundredths % 100);
        let scaled = if report.terms.scaled { "counted so here" } else { "--same-tokens no counts them so" };
        said.push(format!(
            "  {}: the same text has at most {factor} × as many tokens there ({}); {scaled}",
            calls(tokens.known),
            tokens.source
        ));
    }
    said
}

fn warnings(report: &WhatIf) -> Vec<String> {
    let terms = &report.terms;
    let tables: Vec<String> =
        report.tables.iter().map(|[table, version, _]| one_line(format!("{table} {version}").trim_end())).collect();
    let prices = if terms.then { "the prices of each call's own instant" } else { "today's prices" };
    let mut said = vec![format!("At {prices} ({}); the tier is that of the call.", tables.join(" + "))];
    if terms.batch {
        said.push("In batch mode: answers come within hours, not at once.".to_owned());
    }
    if terms.cache && report.calls.in_session == 0 {
        said.push("No call of the period has a session: --cache changes nothing.".to_owned());
    }
    said.push(
        "Tokens are those that were counted: another tokenizer makes more or fewer of the same text, by how much is known \
         only where it is said above."
            .to_owned(),
    );
    said.push("Quality is not modelled, nor that another model answers at greater or lesser length.".to_owned());
    said
}

/// The report as JSON.
#[must_use]
pub fn json(report: &WhatIf) -> String {
    let (terms, calls) = (&report.terms, &report.calls);
    let tables: Vec<Value> = report
        .tables
        .iter()
        .map(|[table, version, sha256]| json!({"table": table, "version": version, "sha256": sha256}))
        .collect();
    let parts = json!({
        "prices": if terms.then { "then" } else { "today" },
        "batch": terms.batch,
        "cache": terms.cache,
        "same_tokens": !terms.scaled,
        "tables": tables,
        "calls": {"priced": calls.calls, "failed": calls.failed, "imported": calls.imported, "summed": calls.summed,
            "in_session": calls.in_session, "estimated": calls.estimated, "stated": calls.stated, "open": calls.open,
            "free_failures": calls.free_failures, "simulated": calls.simulated, "no_usage": calls.no_usage,
            "no_usage_usd": exact(calls.no_usage_picos)},
        "models": report.models.iter().map(model).collect::<Vec<_>>(),
    });
    laid(object(&report.heading), parts)
}

fn model(there: &There) -> Value {
    let tokens = &there.tokens;
    let known = tokens.known > 0;
    let projects: Vec<Value> = there
        .projects
        .iter()
        .map(|(project, pair)| {
            let project = (!project.is_empty()).then_some(project);
            with(json!({"project": project}), amounts(pair))
        })
        .collect();
    let told = json!({
        "context": there.window,
        "too_long": there.window.map(|_| there.too_long),
        "output_max": there.output_max,
        "too_wordy": there.output_max.map(|_| there.too_wordy),
        "refused": there.refused,
        "reasons": there.reasons,
        "no_tier": there.no_tier,
        "no_batch": there.no_batch,
        "cached": there.cached,
        "own_tokens": tokens.own,
        "more_tokens": tokens.known,
        "more_tokens_factor": known.then(|| format!("{}.{:02}", tokens.hundredths / 100, tokens.hundredths % 100)),
        "more_tokens_source": known.then_some(tokens.source),
        "projects": projects,
    });
    let head = json!({"model": there.model, "price": there.price.as_ref().map(logs::price)});
    with(with(head, amounts(&there.all)), told)
}

fn amounts(pair: &Pair) -> Value {
    json!({"calls": pair.calls, "now_usd": exact(pair.now), "there_usd": exact(pair.there),
        "change_usd": exact(pair.change()), "unpriced_there": pair.only_now,
        "unpriced_there_now_usd": exact(pair.only_now_picos), "unpriced_now": pair.only_there,
        "unpriced_now_there_usd": exact(pair.only_there_picos), "unpriced_both": pair.neither})
}
