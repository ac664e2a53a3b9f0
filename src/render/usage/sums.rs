//! How a sum was made: each line as quantity × rate, under the price that it came from, and the rest beside it.

use serde_json::{Value, json};

use super::lay::{calls, exact, fitting, grouped, rows, sentence, stacked};
use crate::domain::instant::utc;
use crate::domain::spend::sums::{Beside, Line, LineKey, Sums};
use crate::domain::untrusted::one_line;

/// A sum and what it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// `334 calls, Mon 16 – Sun 22 Nov 2026 (UTC)`, `call 0193…`.
    pub title: String,
    pub sums: Sums,
    /// Of each line of the sums, how its rate was made, where that can be told.
    pub made: Vec<Option<Made>>,
}

/// How a rate was made from a number of the price table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// USD as the table has it, and the file and line where it stands.
    pub base: String,
    pub from: String,
    /// Rules and what they multiply by.
    pub factors: Vec<(String, String)>,
    /// `above 200000 prompt tokens`, a fallback.
    pub notes: Vec<String>,
    /// The page that the price was read on.
    pub page: Option<String>,
}

/// Digits of a table's SHA-256 that are shown.
const DIGEST_SHOWN: usize = 12;

/// The sums one after another, and where they are several what they come to.
#[must_use]
pub fn page(all: &[Explained], width: Option<usize>) -> String {
    let mut text: String = all.iter().map(|one| one_page(one, width)).collect::<Vec<_>>().join("\n");
    if all.len() > 1 {
        let picos = all.iter().map(|one| one.sums.picos).sum();
        let unpriced = all.iter().map(|one| one.sums.unpriced).sum();
        text.push_str(&format!("\nall {} together = {}\n", all.len(), told(picos, unpriced)));
    }
    if all.iter().flat_map(|one| one.made.iter().zip(&one.sums.lines)).any(|(made, line)| is_alone(made.as_ref(), line))
    {
        let note = "A rate without its base is the one that was booked, after every factor: the tables here do not make it \
                    any more, or the books do not tell in which mode it was served.";
        text.push_str(&format!("\n{}", sentence(note, 0, width)));
    }
    text
}

fn is_alone(made: Option<&Made>, line: &Line) -> bool {
    made.is_none() && line.key.rate.is_some()
}

fn one_page(explained: &Explained, width: Option<usize>) -> String {
    let sums = &explained.sums;
    let whole = told(sums.picos, sums.unpriced);
    let mut text = sentence(&format!("{whole} = {}", one_line(&explained.title)), 4, width);
    let table: Vec<[String; 4]> = sums.lines.iter().map(row).collect();
    let shown: Vec<String> = match fitting(&table, &[1], width) {
        Some(text) => text.lines().map(|line| format!("{line}\n")).collect(),
        None => table.iter().map(|row| stacked(row, width.unwrap_or(0))).collect(),
    };
    let mut last: Option<&LineKey> = None;
    for ((line, made), shown) in sums.lines.iter().zip(&explained.made).zip(shown) {
        let key = &line.key;
        if last.is_none_or(|last| last.model != key.model || last.price != key.price) {
            text.push_str(&heading(key, made.as_ref(), width));
        }
        last = Some(key);
        text.push_str(&shown);
        text.extend(
            made.as_ref().and_then(|made| how(line, made)).map(|how| sentence(&format!("    {how}"), 6, width)),
        );
    }
    let mut beside: Vec<[String; 3]> = Vec::new();
    for (why, counted) in &sums.beside {
        let amount = format!("= ${}", exact(counted.picos));
        beside.push([format!("  {}", sentence_of(*why)), calls(counted.calls), amount]);
    }
    if sums.rounding != 0 {
        let label = "  rounding of each line to a picodollar".to_owned();
        beside.push([label, calls(sums.rounded), format!("= ${}", exact(sums.rounding))]);
    }
    if !beside.is_empty() {
        text.push_str(&format!("\non no line\n{}", rows(&beside, &[1], width)));
    }
    text.push_str(&format!("\ntotal = {whole}\n"));
    for remark in remarks(sums) {
        text.push_str(&sentence(&remark, 4, width));
    }
    text
}

/// A sum, which is less than what was spent where calls have no amount.
fn told(picos: i128, unpriced: u64) -> String {
    format!("{}${}", if unpriced > 0 { "at least " } else { "" }, exact(picos))
}

fn heading(key: &LineKey, made: Option<&Made>, width: Option<usize>) -> String {
    let mut text = format!("\n{}", sentence(&one_line(&key.model), 2, width));
    let Some([entry, from, checked, table, version, digest]) = &key.price else {
        return text + "  no price is named on the bills\n";
    };
    let or = |text: &str, before: &str| if text.is_empty() { String::new() } else { format!(", {before} {text}") };
    let digest = digest.get(..DIGEST_SHOWN).unwrap_or(digest);
    let digest = if digest.is_empty() { String::new() } else { format!(" (sha256 {digest})") };
    let table = format!("{table} {version}");
    let page = made.and_then(|made| made.page.as_ref()).map(|page| format!(", read at {page}")).unwrap_or_default();
    let said = format!(
        "  price: {entry}{}{}, in {}{digest}{page}",
        or(from, "row from"),
        or(checked, "checked"),
        table.trim_end()
    );
    text.push_str(&sentence(&one_line(&said), 4, width));
    text
}

fn row(line: &Line) -> [String; 4] {
    let key = &line.key;
    let rate = match &key.rate {
        None => "as booked".to_owned(),
        Some(rate) => format!("× ${} / {}", one_line(rate), grouped(key.per.into())),
    };
    [format!("  {}", one_line(&key.meter.1)), grouped(line.quantity), rate, format!("= ${}", exact(line.picos))]
}

/// `$5.5 = $5 × 1.1 (profiles.claude-geo.us)`; nothing where the rate stands in the table as it is.
fn how(line: &Line, made: &Made) -> Option<String> {
    let rate = line.key.rate.as_ref()?;
    let factors: String = made.factors.iter().map(|(rule, factor)| format!(" × {factor} ({rule})")).collect();
    let base = if factors.is_empty() { String::new() } else { format!(" = ${}{factors}", made.base) };
    let notes: String = made.notes.iter().map(|note| format!(", {note}")).collect();
    let told = format!("{base}{notes}");
    (!told.is_empty()).then(|| one_line(&format!("${rate}{told}")))
}

fn sentence_of(why: Beside) -> &'static str {
    match why {
        Beside::Reported => "providers' own charges, beyond their lines",
        Beside::Corrected => "corrections by hand, beyond the lines",
        Beside::ByHand => "settled by hand",
        Beside::Estimated => "estimates beyond the lines",
        Beside::Ceiling => "nothing was heard: booked at the ceiling",
        Beside::Simulated => "the simulator's: no money was spent",
        Beside::Other => "amounts without lines",
    }
}

/// What is to be known of the sum, a sentence each.
fn remarks(sums: &Sums) -> Vec<String> {
    let mut said = Vec::new();
    if sums.estimated.calls > 0 {
        let without = match sums.boundless {
            0 => String::new(),
            some => format!("; of {} no bound is known", calls(some)),
        };
        said.push(format!(
            "of this, {} estimated or at the ceiling: ${}, at most ${}{without}",
            calls(sums.estimated.calls),
            exact(sums.estimated.picos),
            exact(sums.estimated_at_most)
        ));
    }
    if sums.simulated.calls > 0 {
        let (number, picos) = (calls(sums.simulated.calls), exact(sums.simulated.picos));
        said.push(format!("of this, {number} simulated: ${picos} that nobody owes"));
    }
    for (number, what) in [(sums.free, "free"), (sums.nothing, "for which nothing is owed")] {
        if number > 0 {
            said.push(format!("{} {what}: $0", calls(number)));
        }
    }
    if sums.unpriced > 0 {
        let units: Vec<String> = sums
            .unpriced_units
            .iter()
            .map(|(meter, units)| format!("{} {}", grouped((*units).into()), one_line(meter)))
            .collect();
        let units = if units.is_empty() { String::new() } else { format!(" ({})", units.join(", ")) };
        said.push(format!("{} unpriced{units}: in no sum, so this is at least what was spent", calls(sums.unpriced)));
    }
    if sums.open > 0 {
        said.push(format!("{} open: in no sum, held at ${} at the most", calls(sums.open), exact(sums.held)));
    }
    said
}

/// The same as JSON.
#[must_use]
pub fn object(explained: &Explained) -> Value {
    let sums = &explained.sums;
    let usd = |picos: i128| exact(picos);
    let lines: Vec<Value> =
        sums.lines.iter().zip(&explained.made).map(|(line, made)| line_object(line, made.as_ref())).collect();
    let beside: Vec<Value> = sums
        .beside
        .iter()
        .map(|(why, counted)| json!({"what": why.as_str(), "calls": counted.calls, "usd": usd(counted.picos)}))
        .collect();
    json!({
        "of": explained.title,
        "calls": sums.calls,
        "usd": usd(sums.picos),
        "lines": lines,
        "beside": beside,
        "rounding": {"calls": sums.rounded, "usd": usd(sums.rounding)},
        "estimated": {"calls": sums.estimated.calls, "usd": usd(sums.estimated.picos),
            "at_most_usd": usd(sums.estimated_at_most), "without_bound": sums.boundless},
        "simulated": {"calls": sums.simulated.calls, "usd": usd(sums.simulated.picos)},
        "free": sums.free,
        "nothing_owed": sums.nothing,
        "unpriced": {"calls": sums.unpriced, "units": sums.unpriced_units},
        "open": {"calls": sums.open, "ceiling_usd": usd(sums.held)},
    })
}

fn line_object(line: &Line, made: Option<&Made>) -> Value {
    let key = &line.key;
    let some = |text: &String| if text.is_empty() { Value::Null } else { text.as_str().into() };
    let price = key.price.as_ref().map(|[entry, from, checked, table, version, digest]| {
        json!({"entry": entry, "row_from": some(from), "checked": some(checked), "table": table, "version": version,
            "sha256": digest})
    });
    let made = made.map(|made| {
        let factors: Vec<Value> =
            made.factors.iter().map(|(rule, factor)| json!({"rule": rule, "factor": factor})).collect();
        json!({"base_usd": made.base, "from": made.from, "factors": factors, "notes": made.notes, "page": made.page})
    });
    json!({"model": key.model, "meter": key.meter.1, "quantity": line.quantity.to_string(), "per": key.per,
        "rate_usd": key.rate, "made": made, "usd": exact(line.picos), "calls": line.calls, "price": price})
}

/// `334 calls, Mon 16 – Sun 22 Nov 2026 (UTC)`.
#[must_use]
pub fn title_of_period(sums: &Sums, label: &str, zone: &str) -> String {
    format!("{}, {label} ({zone})", calls(sums.calls))
}

/// `call 0193…, openai/gpt-x, 2026-11-22 12:00:00Z`.
#[must_use]
pub fn title_of_call(id: &str, model: &str, opened_ms: i64) -> String {
    format!("call {id}, {model}, {}", utc(opened_ms))
}
