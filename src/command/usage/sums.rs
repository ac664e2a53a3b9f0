//! `llmx usage --explain`: how a sum was made.

use std::ops::ControlFlow;

use serde_json::json;

use super::asked::AskedArgs;
use crate::call::priced_as;
use crate::command::logs::{opened, print};
use crate::command::outside::env;
use crate::command::{GlobalArgs, colour, config};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::record::Record;
use crate::domain::spend::sums::{Line, Sample, Summing, Sums};
use crate::domain::untrusted::json_line;
use crate::domain::usage::Meter;
use crate::ledger::Ledger;
use crate::pricing::{Moment, Price, Priced, Prices};
use crate::render::terminal::Terminal;
use crate::render::usage::sums::{self, Explained, Made};

/// Explains the sum of a period, or of the calls that `which` names; an empty `which` is the period.
///
/// # Errors
/// `ledger` where the books cannot be read or have no such call, `config` for a flag that cannot be.
pub fn run(asked: &AskedArgs, which: &str, json: bool, global: &GlobalArgs) -> Result<u8, Failure> {
    let prices = config::prices(&env)?;
    let books = opened(global)?;
    if which.is_empty() {
        let question = asked.question("7d", &[])?;
        let mut summing = Summing::default();
        books.walk(&question, |record| {
            summing.add(&record);
            ControlFlow::Continue(())
        })?;
        let sums = summing.sums();
        let (label, zone) = (question.period.label(), question.period.zone.name().to_owned());
        let explained = explained(sums::title_of_period(&sums, &label, &zone), sums, &prices);
        let mut object = sums::object(&explained);
        let last = question.period.after.yesterday().unwrap_or(question.period.after);
        object["period"] = json!({"from": question.period.first.to_string(), "to": last.to_string(), "zone": zone});
        return show(&[explained], object, json, global);
    }
    if asked.period.is_some() || asked.filter.is_some() {
        return Err(Failure::new(
            ErrorClass::Config,
            "--explain=ID names its calls: there is no period or filter beside it",
        )
        .advise("leave out the period and --where, or write --explain alone"));
    }
    let (group, records) = named(&books, which)?;
    let all: Vec<Explained> = records
        .iter()
        .map(|record| {
            let mut summing = Summing::default();
            summing.add(record);
            let model = format!("{}/{}", record.call.provider, record.call.model);
            explained(sums::title_of_call(&record.call.id, &model, record.opened_ms), summing.sums(), &prices)
        })
        .collect();
    let mut all_together = Summing::default();
    records.iter().for_each(|record| all_together.add(record));
    let mut object = sums::object(&explained(group.clone().unwrap_or_default(), all_together.sums(), &prices));
    object["group"] = group.into();
    object["each"] = all.iter().map(sums::object).collect();
    show(&all, object, json, global)
}

/// The calls of a group, or the one call, that an id or a part of it names.
fn named(books: &Ledger, which: &str) -> Result<(Option<String>, Vec<Record>), Failure> {
    let (group, records) = books.group(which)?;
    if records.is_empty() {
        return Ok((None, vec![books.record(which)?]));
    }
    Ok((Some(group), records))
}

fn show(all: &[Explained], mut object: serde_json::Value, json: bool, global: &GlobalArgs) -> Result<u8, Failure> {
    let text = if json {
        object["schema"] = 1.into();
        json_line(&object)
    } else {
        sums::page(all, Terminal::new(colour(global.color), global.quiet, env).out.width)
    };
    print(&text, global)
}

fn explained(title: String, sums: Sums, prices: &Prices) -> Explained {
    let made = sums.lines.iter().map(|line| made(line, prices)).collect();
    Explained { title, sums, made }
}

/// How the table makes a line's rate: only where the table that the bill names is the one at hand, and makes just this rate.
fn made(line: &Line, prices: &Prices) -> Option<Made> {
    let (sample, rate) = (&line.sample, line.key.rate.as_deref()?);
    let [entry, from, _, _, _, digest] = line.key.price.as_ref()?;
    let names = [Some(&sample.model), sample.model_served.as_ref()].into_iter().flatten();
    let tiers = [sample.tier_served.as_deref(), sample.tier.as_deref(), None];
    names.flat_map(|model| tiers.map(|tier| (model, tier))).find_map(|(model, tier)| {
        let price = priced(sample, model, tier, prices)?;
        let source = &price.source;
        // Of another entry (an inner call's) the bill keeps no digest of its own: the rate must agree all the same.
        let is_it = source.sha256 == *digest
            && (source.entry != *entry || source.row_from.as_deref().unwrap_or_default() == from);
        rate_made(&price, line, prices).filter(|(usd, _)| is_it && usd == rate).map(|(_, made)| made)
    })
}

fn priced(sample: &Sample, model: &str, tier: Option<&str>, prices: &Prices) -> Option<Box<Price>> {
    let asked = ModelName { provider: sample.provider.clone(), region: None, model: model.to_owned() };
    let (name, context) = priced_as(&asked, sample.region.as_deref(), tier, &sample.parameters);
    match prices.price(&name, Moment::from_ms(sample.opened_ms), &context) {
        Priced::Sheet(price) => Some(price),
        Priced::Free(_) | Priced::Unpriced(_) => None,
    }
}

/// The rate of a line's meter after every factor, and how it was made.
fn rate_made(price: &Price, line: &Line, prices: &Prices) -> Option<(String, Made)> {
    let meter = Meter::of(&line.key.meter.1)?;
    let plain = |base: String, from: String| Made {
        base,
        from,
        factors: Vec::new(),
        notes: Vec::new(),
        page: price.page.clone(),
    };
    if let Some(fee) = price.fees.get(meter.key()) {
        return Some((fee.value.to_string(), plain(fee.value.to_string(), prices.at(fee.place))));
    }
    let rates = price.tier(line.sample.prompt);
    let rate = price.rate(&rates, meter).ok()?;
    let own = rates.get(&meter).or_else(|| rates.get(&Meter::Input))?;
    let mut made = plain(own.value.to_string(), prices.at(own.place));
    if !rates.contains_key(&meter)
        && let Some(ratio) = price.ratio.get(&meter)
    {
        made.factors.push((format!("ratio.{} of input", meter.key()), ratio.value.to_string()));
    }
    // A fallback's base is that of the other meter.
    if rate.note.is_some() {
        made = plain(rate.origin.value.to_string(), prices.at(rate.origin.place));
    }
    made.factors.extend(price.factors.iter().map(|(rule, factor)| (rule.clone(), factor.value.to_string())));
    made.notes.extend(rate.note);
    if rates != price.rates {
        made.notes.push("the rates of a long prompt".to_owned());
    }
    Some((rate.usd.to_string(), made))
}
