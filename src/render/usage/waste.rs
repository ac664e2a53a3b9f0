//! What was paid for nothing, as tables and as JSON.

use serde_json::{Value, json};

use super::beside::{calls, count, exact, heading, laid, money, object, sentences, table};
use crate::domain::instant::utc;
use crate::domain::spend::percent;
use crate::domain::spend::waste::{Item, Kind, Part, Waste};
use crate::domain::untrusted::one_line;
use crate::render::logs::short;

/// The report for people.
#[must_use]
pub fn page(report: &Waste, width: Option<usize>) -> String {
    let lost = report.lost();
    // Of two sums that may be more, nobody knows the share.
    let all = u128::try_from(report.picos).ok().filter(|_| report.unpriced == 0);
    let share = u128::try_from(lost).ok().zip(all);
    let share = share.and_then(|(lost, all)| percent(lost, all)).map_or(String::new(), |share| format!(" ({share}%)"));
    let told = |picos: i128| match report.unpriced {
        0 => money(picos),
        _ => format!("at least {}", money(picos)),
    };
    let mut said = vec![
        format!("Waste: {}", heading(&report.heading)),
        format!("{} of {}{share} was paid for nothing, in {}", told(lost), told(report.picos), calls(report.calls)),
    ];
    if report.unpriced > 0 {
        said.push(format!("{}: in no sum, since unpriced", calls(report.unpriced)));
    }
    if report.simulated > 0 {
        said.push(format!("{}: left out, simulated", calls(report.simulated)));
    }
    if report.without_text > 0 {
        let number = calls(report.without_text);
        said.push(format!(
            "{number}: the conversation is not kept, so that nobody can say whether it was the same again"
        ));
    }
    let mut text = sentences(&said, width);
    for (title, wanted) in [("Lost", true), ("Perhaps, and not in the sum", false)] {
        text.push_str(&format!("\n{title}\n"));
        let parts = || report.parts.iter().filter(|(kind, _)| kind.is_lost() == wanted);
        let head = ["why", "calls", "amount", ""].map(str::to_owned);
        let rows = parts().map(|(kind, part)| row(*kind, part, report.within_ms));
        text.push_str(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), &[1, 2], width));
        let items = parts().flat_map(|(kind, part)| part.top.iter().map(|item| top(*kind, item)));
        let items: Vec<[String; 7]> = items.collect();
        if !items.is_empty() {
            text.push_str("\nlook at (`llmx logs show ID`)\n");
            let head = ["id", "why", "amount", "opened (UTC)", "model", "project", "how"].map(str::to_owned);
            text.push_str(&table(&std::iter::once(head).chain(items).collect::<Vec<_>>(), &[2], width));
        }
    }
    text
}

fn row(kind: Kind, part: &Part, within_ms: i64) -> [String; 4] {
    let mut more = Vec::new();
    if part.unknown > 0 {
        more.push(format!("{} without a known amount", count(part.unknown)));
    }
    if part.uncertain > 0 && kind != Kind::Held {
        more.push(format!("{} estimated", count(part.uncertain)));
    }
    [told(kind, within_ms), count(part.calls), money(part.picos), more.join(", ")]
}

fn told(kind: Kind, within_ms: i64) -> String {
    match kind {
        Kind::Held => "open, and held at their ceiling (not spent)".to_owned(),
        Kind::Replaced => "billed, and another attempt took their place".to_owned(),
        Kind::Failed => "billed, and failed".to_owned(),
        Kind::Again => format!("the same request again within {}", length(within_ms)),
        Kind::Rebuilt => "cache filled anew (what a read would have cost less)".to_owned(),
        Kind::Cut => "answer cut at the output cap".to_owned(),
        Kind::Stopped => "stopped by the user or the reader".to_owned(),
    }
}

/// `24 h`, `30 min`.
fn length(ms: i64) -> String {
    match ms / 60_000 {
        minutes if minutes % 60 == 0 => format!("{} h", minutes / 60),
        minutes => format!("{minutes} min"),
    }
}

fn top(kind: Kind, item: &Item) -> [String; 7] {
    [
        short(&item.id).to_owned(),
        kind.as_str().to_owned(),
        item.picos.map_or("unknown".to_owned(), money),
        utc(item.opened_ms).trim_end_matches('Z').to_owned(),
        one_line(&item.model),
        item.project.as_deref().map(one_line).unwrap_or_default(),
        one_line(&item.why),
    ]
}

/// The report as JSON.
#[must_use]
pub fn json(report: &Waste) -> String {
    let parts: Vec<Value> = report
        .parts
        .iter()
        .map(|(kind, part)| {
            let top: Vec<Value> = part
                .top
                .iter()
                .map(|item| {
                    json!({"id": item.id, "opened": utc(item.opened_ms), "opened_ms": item.opened_ms,
                        "model": item.model, "project": item.project, "usd": item.picos.map(exact), "why": item.why})
                })
                .collect();
            json!({"kind": kind.as_str(), "lost": kind.is_lost(), "calls": part.calls, "usd": exact(part.picos),
                "unknown": part.unknown, "uncertain": part.uncertain, "top": top})
        })
        .collect();
    let told = json!({"within_ms": report.within_ms, "calls": report.calls, "booked_usd": exact(report.picos),
        "unpriced": report.unpriced, "simulated": report.simulated, "without_text": report.without_text, "lost_usd": exact(report.lost()),
        "parts": parts});
    laid(object(&report.heading), told)
}
