//! What was saved and lost by caching, tiers and routes, as tables and as JSON.

use serde_json::{Value, json};

use super::beside::{calls, count, exact, heading, laid, money, object, sentences, signed, table, with};
use crate::domain::spend::percent;
use crate::domain::spend::savings::{Caching, Route, Savings, Tier};
use crate::domain::untrusted::one_line;

/// The report for people.
#[must_use]
pub fn page(report: &Savings, width: Option<usize>) -> String {
    let mut text = sentences(&[format!("Savings: {}", heading(&report.heading))], width);
    let total = report.total();
    let word = if total < 0 { "lost" } else { "saved" };
    let mut said = vec![format!("{} {word} in all, over {}", signed(total), calls(report.calls))];
    for (number, what) in [(report.open, "not ended"), (report.simulated, "simulated")] {
        if number > 0 {
            said.push(format!("{}: left out, {what}", calls(number)));
        }
    }
    text.push_str(&sentences(&said, width));

    let caching = &report.caching;
    text.push_str(&format!("\nCaching  {}\n", signed(caching.net())));
    text.push_str(&sentences(&cache_words(caching), width));
    if !report.cached_models.is_empty() {
        let head =
            ["model", "saved", "by reads", "for writes", "hits", "reads per write", "pays from", ""].map(str::to_owned);
        let rows = report.cached_models.iter().map(|(model, caching)| cached(model, caching));
        text.push_str(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), &[1, 2, 3, 4, 5, 6], width));
    }

    let tiers: i128 = report.tiers.iter().map(|(_, tier)| tier.saved).sum();
    text.push_str(&format!("\nService tiers  {}\n", signed(tiers)));
    if report.tiers.is_empty() {
        text.push_str("no call was served as batch, flex, priority or the like\n");
    } else {
        let head = ["tier", "saved", "at standard prices", "calls", "unknown", ""].map(str::to_owned);
        let rows = report.tiers.iter().map(|(name, tier)| tier_row(name, tier));
        text.push_str(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), &[1, 2, 3, 4], width));
    }

    let routes: i128 = report.routes.iter().filter_map(|(_, route)| route.saved()).sum();
    text.push_str(&format!("\nRoutes  {}\n", signed(routes)));
    if report.routes.is_empty() {
        text.push_str("no route chose the model of a call\n");
    } else {
        let head = ["route", "saved", "booked", "on the dearest", "calls", "unknown", ""].map(str::to_owned);
        let rows = report.routes.iter().map(|(name, route)| route_row(name, route));
        text.push_str(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), &[1, 2, 3, 4, 5], width));
        text.push_str(&sentences(
            &["Against the dearest model that the same route used in the period, with the same counts of tokens: what it \
               would have answered is not known."
                .to_owned()],
            width,
        ));
    }
    text.push('\n');
    text.push_str(&sentences(
        &["Each part is what its absence alone would have cost more; a minus is a loss.".to_owned()],
        width,
    ));
    text
}

fn cache_words(caching: &Caching) -> Vec<String> {
    if caching.prompt == 0 || caching.read + caching.written == 0 {
        return vec!["no prompt was read from a cache or written to one".to_owned()];
    }
    let mut said = vec![format!(
        "{} of {} prompt tokens came from a cache ({}); {} were written to one",
        count(caching.read),
        count(caching.prompt),
        hits(caching),
        count(caching.written)
    )];
    let mut add = |number: u64, what: &str| {
        if number > 0 {
            said.push(format!("{}: {what}", calls(number)));
        }
    };
    add(caching.by_row, "nothing was billed at the plain input rate, which is taken from the price row of its instant");
    add(caching.stated, "the charge was stated by the response: saved is what the table beside it says");
    add(caching.unknown, "not in the sum, since unpriced or the price row of its instant is another one now");
    said
}

fn hits(caching: &Caching) -> String {
    percent(caching.read.into(), caching.prompt.into()).map_or("–".to_owned(), |percent| format!("{percent}%"))
}

fn hundredths(number: impl Into<i128>) -> String {
    let number = number.into();
    format!("{}.{:02}", number / 100, number % 100)
}

fn reads_per_write(caching: &Caching) -> Option<String> {
    caching.reads_per_write().and_then(|reads| i128::try_from(reads).ok()).map(hundredths)
}

fn cached(model: &str, caching: &Caching) -> [String; 8] {
    let saved = if caching.calls == 0 { "unknown".to_owned() } else { signed(caching.net()) };
    [
        one_line(model),
        saved,
        signed(caching.read_saved),
        signed(-caching.write_paid),
        hits(caching),
        reads_per_write(caching).unwrap_or_else(|| "–".to_owned()),
        caching.break_even().map_or("–".to_owned(), hundredths),
        if caching.net() < 0 { "lost money".to_owned() } else { String::new() },
    ]
}

fn tier_row(name: &str, tier: &Tier) -> [String; 6] {
    let word = if tier.saved < 0 { "cost more" } else { "" };
    let standard = money(tier.standard);
    [one_line(name), signed(tier.saved), standard, count(tier.calls), count(tier.unknown), word.to_owned()]
}

fn route_row(name: &str, route: &Route) -> [String; 7] {
    let dearest = route.dearest();
    let word = match dearest {
        Some((model, _)) => one_line(model),
        None => "used one model only".to_owned(),
    };
    [
        one_line(name),
        route.saved().map_or("–".to_owned(), signed),
        money(route.booked),
        dearest.map_or("–".to_owned(), |(_, picos)| money(*picos)),
        count(route.calls),
        count(route.unknown),
        word,
    ]
}

/// The report as JSON.
#[must_use]
pub fn json(report: &Savings) -> String {
    let models: Vec<Value> = report
        .cached_models
        .iter()
        .map(|(model, caching)| with(json!({"model": model}), cache_object(caching)))
        .collect();
    let tiers: Vec<Value> = report
        .tiers
        .iter()
        .map(|(name, tier)| {
            json!({"tier": name, "saved_usd": exact(tier.saved), "standard_usd": exact(tier.standard),
                "calls": tier.calls, "unknown": tier.unknown})
        })
        .collect();
    let routes: Vec<Value> = report
        .routes
        .iter()
        .map(|(name, route)| {
            let models: Vec<Value> =
                route.models.iter().map(|(model, picos)| json!({"model": model, "usd": exact(*picos)})).collect();
            json!({"route": name, "saved_usd": route.saved().map(exact), "booked_usd": exact(route.booked),
                "dearest": route.dearest().map(|(model, _)| model), "calls": route.calls, "unknown": route.unknown,
                "models": models})
        })
        .collect();
    let parts = json!({
        "calls": report.calls,
        "open": report.open,
        "simulated": report.simulated,
        "saved_usd": exact(report.total()),
        "caching": with(cache_object(&report.caching), json!({"models": models})),
        "tiers": tiers,
        "routes": routes,
    });
    laid(object(&report.heading), parts)
}

fn cache_object(caching: &Caching) -> Value {
    json!({"saved_usd": exact(caching.net()), "read_saved_usd": exact(caching.read_saved),
        "write_paid_usd": exact(caching.write_paid), "calls": caching.calls, "by_row": caching.by_row,
        "stated": caching.stated, "unknown": caching.unknown, "prompt_tokens": caching.prompt,
        "read_tokens": caching.read, "written_tokens": caching.written,
        "hit_percent": percent(caching.read.into(), caching.prompt.into()),
        "reads_per_write": reads_per_write(caching), "break_even": caching.break_even().map(hundredths)})
}
