//! Calls as the books hold them: a table, one call with its bill, and their JSON.

use serde_json::{Map, Value, json};
use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

use crate::domain::instant::utc;
use crate::domain::money::Usd;
use crate::domain::record::{Price, Record, RecordLine, Settlement};
use crate::domain::untrusted::{one_line, visible};

/// Widest beginning of a prompt in the table, in columns.
const SAID_MAX: usize = 60;

/// One line per call, columns at their natural width.
#[must_use]
pub fn table(records: &[Record]) -> String {
    let head = ["opened (UTC)", "id", "model", "in", "out", "cost", "took", "end", "prompt"].map(str::to_owned);
    let rows: Vec<[String; 9]> = std::iter::once(head).chain(records.iter().map(row)).collect();
    columns(&rows, &[3, 4, 6])
}

/// Rows as text; the columns in `right` end at their right, and nothing is cut.
pub(super) fn columns<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let widths: Vec<usize> =
        (0..N).map(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width - cell.width());
            let (before, after) = if right.contains(&column) { (gap.as_str(), "") } else { ("", gap.as_str()) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(record: &Record) -> [String; 9] {
    let settlement = record.settled.as_ref().map(|settled| &settled.settlement);
    let tokens = |meters: &[&str]| {
        let lines = settlement.iter().flat_map(|settlement| &settlement.lines);
        let counted = lines.filter(|line| meters.contains(&line.meter.as_str())).map(|line| line.quantity);
        counted.reduce(u64::saturating_add).map_or("–".to_owned(), |sum| sum.to_string())
    };
    let took =
        record.settled.as_ref().map_or("–".to_owned(), |settled| seconds(settled.finished_ms - record.opened_ms));
    [
        utc(record.opened_ms).trim_end_matches('Z').to_owned(),
        short(&record.call.id).to_owned(),
        model(record),
        tokens(&PROMPT),
        tokens(&["output", "output_audio", "output_image", "reasoning"]),
        cost(record),
        took,
        end(settlement),
        record.said.as_deref().map(beginning).unwrap_or_default(),
    ]
}

const PROMPT: [&str; 7] =
    ["input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "cache_read_audio", "input_image"];

/// The end of an id: its beginning is the time, which calls of one minute share.
pub(super) fn short(id: &str) -> &str {
    id.char_indices().rev().nth(7).map_or(id, |(start, _)| &id[start..])
}

fn model(record: &Record) -> String {
    let region = record.call.region.as_ref().map(|region| format!("@{region}")).unwrap_or_default();
    one_line(&format!("{}{region}/{}", record.call.provider, record.call.model))
}

fn cost(record: &Record) -> String {
    let Some(settled) = &record.settled else {
        return record.call.ceiling.map_or("open".to_owned(), |ceiling| format!("open, at most ${ceiling}"));
    };
    if let Some(correction) = record.corrections.last() {
        return correction.total.map_or("unpriced".to_owned(), |total| format!("${total} corrected"));
    }
    let settlement = &settled.settlement;
    match (settlement.total, settlement.at_most) {
        (None, None) => "unpriced".to_owned(),
        (None, Some(bound)) => format!("unknown, at most ${bound}"),
        (Some(total), Some(bound)) => format!("${total} {}, at most ${bound}", settlement.basis),
        (Some(total), None) => match settlement.basis.as_str() {
            "table" | "reported" | "nothing" | "free" => format!("${total}"),
            basis => format!("${total} {basis}"),
        },
    }
}

fn end(settlement: Option<&Settlement>) -> String {
    let Some(settlement) = settlement else {
        return "open".to_owned();
    };
    let words = [&settlement.error_class, &settlement.stopped, &settlement.stop_reason];
    words.into_iter().flatten().next().map_or("–".to_owned(), |word| one_line(word))
}

fn seconds(millis: i64) -> String {
    format!("{}.{:02}s", millis / 1000, millis % 1000 / 10)
}

/// As much of a text as fits into the column.
fn beginning(text: &str) -> String {
    let text = one_line(text);
    if text.width() <= SAID_MAX {
        return text;
    }
    let mut width = 0;
    let fits = text.chars().take_while(|character| {
        width += character.width().unwrap_or(0);
        width < SAID_MAX
    });
    format!("{}…", fits.collect::<String>())
}

/// One call whole: who, when, the bill with its arithmetic, what was said.
#[must_use]
pub fn page(record: &Record) -> String {
    let call = &record.call;
    let mut said: Vec<(&str, String)> = vec![("call", one_line(&call.id)), ("model", model(record))];
    let mut add = |name: &'static str, value: Option<String>| said.extend(value.map(|value| (name, one_line(&value))));
    let settlement = record.settled.as_ref().map(|settled| &settled.settlement);
    add("served", settlement.and_then(|settlement| settlement.model_served.clone()));
    add("group", call.group.clone());
    add("retry of", call.retry_of.clone());
    add("command", Some(call.command.clone()));
    add("route", call.route.clone());
    add("opened", Some(utc(record.opened_ms)));
    if let Some(settled) = &record.settled {
        let first = settled.settlement.first_token_ms.and_then(|first| i64::try_from(first).ok());
        add("first token", first.map(|first| format!("after {}", seconds(first))));
        let took = seconds(settled.finished_ms - record.opened_ms);
        add("finished", Some(format!("{}, after {took}", utc(settled.finished_ms))));
    }
    let tiers = [call.tier.clone(), settlement.and_then(|settlement| settlement.tier.clone())];
    add("tier", tiers[1].clone().or_else(|| tiers[0].clone()));
    add("credential", call.credential.clone());
    add("project", call.project.clone());
    add("user", call.user.clone());
    add("team", call.team.clone());
    add("session", call.session.clone());
    let tags: Vec<String> = call.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    add("tags", (!tags.is_empty()).then(|| tags.join(" ")));
    let parameters = call.parameters.as_object().filter(|map| !map.is_empty());
    add("parameters", parameters.map(|_| call.parameters.to_string()));
    if let Some(settlement) = settlement {
        add("request", settlement.request_id.clone());
        add("end", Some(end(Some(settlement))));
        let status = settlement.status.map(|status| format!("HTTP {status}: ")).unwrap_or_default();
        add("error", settlement.error.as_ref().map(|error| format!("{status}{error}")));
        let usage = settlement.usage_raw.as_ref();
        let source = settlement.usage_source.as_deref().unwrap_or("unknown");
        add("usage", usage.map(|usage| format!("{source}: {usage}")));
    }
    let mut text = String::new();
    for (name, value) in said {
        text.push_str(&format!("{name:<12}{value}\n"));
    }
    text.push('\n');
    text.push_str(&bill(record));
    if let Some(prompt) = &call.prompt {
        text.push_str(&spoken(prompt));
    }
    if let Some(answer) = settlement.and_then(|settlement| settlement.answer.as_ref()) {
        text.push_str(&turn("answer", answer));
    }
    text
}

/// The bill alone: what it is of, and how its total was made.
#[must_use]
pub fn explained(record: &Record) -> String {
    let opened = utc(record.opened_ms);
    let named = [("call", one_line(&record.call.id)), ("model", model(record)), ("opened", opened)];
    let served = record.settled.as_ref().and_then(|settled| settled.settlement.model_served.as_ref());
    let served = served.map(|served| ("served", one_line(served)));
    let head: String = named.into_iter().chain(served).map(|(name, value)| format!("{name:<12}{value}\n")).collect();
    head + &bill(record)
}

/// Digits of a table's SHA-256 that are shown.
const DIGEST_SHOWN: usize = 12;

/// The lines of the bill, each as quantity × rate = amount, and what came of them.
fn bill(record: &Record) -> String {
    let Some(settled) = &record.settled else {
        let held = record.call.ceiling.map_or("its ceiling is not known".into(), |most| format!("held at ${most}"));
        return format!("bill        open: {held}\n");
    };
    let settlement = &settled.settlement;
    let mut text = format!("bill        {}\n", one_line(&settlement.basis));
    if let Some(price) = &settlement.price {
        text.push_str(&format!("price       {}\n", one_line(&source(price))));
    }
    let mut rows: Vec<[String; 4]> = settlement.lines.iter().map(line).collect();
    let total = |name: &str, amount: Option<Usd>| {
        let amount = amount.map_or("unpriced".to_owned(), |amount| format!("${amount}"));
        [format!("  {name}"), String::new(), String::new(), amount]
    };
    // A total that is not the sum of its lines stands beside that sum.
    let sum = sum(&settlement.lines).filter(|sum| ![settlement.total, settlement.table].contains(&Some(*sum)));
    rows.extend(sum.map(|sum| total("sum of the lines", Some(sum))));
    rows.push(total("total", settlement.total));
    rows.extend(settlement.at_most.map(|most| total("at most", Some(most))));
    rows.extend(settlement.table.map(|table| total("by the table", Some(table))));
    rows.extend(record.call.ceiling.map(|ceiling| total("ceiling before", Some(ceiling))));
    text.push_str(&columns(&rows, &[1]));
    let bounds = bounds(settlement);
    let because = settlement.because.iter().map(|because| format!("settled because: {because}"));
    let corrections = record.corrections.iter().map(|correction| {
        let total = correction.total.map_or("unpriced".to_owned(), |total| format!("${total}"));
        format!("corrected {} to {total} ({}): {}", utc(correction.made_ms), correction.basis, correction.because)
    });
    for note in bounds.into_iter().chain(because).chain(corrections).chain(settlement.notes.iter().cloned()) {
        text.push_str(&format!("  {}\n", one_line(&note)));
    }
    text
}

/// The entry, its row and the table that the rates came from.
fn source(price: &Price) -> String {
    let from = price.row_from.as_ref().map(|from| format!(", row from {from}")).unwrap_or_default();
    let checked = price.checked.as_ref().map(|day| format!(", checked {day}")).unwrap_or_default();
    let digest = price.sha256.get(..DIGEST_SHOWN).unwrap_or(&price.sha256);
    let table = format!("{} {}", price.table, price.version);
    format!("{}{from}{checked}, in {} (sha256 {digest})", price.entry, table.trim_end())
}

/// What the priced lines amount to; `None` where there are none.
fn sum(lines: &[RecordLine]) -> Option<Usd> {
    lines
        .iter()
        .filter_map(|line| line.amount)
        .try_fold(None, |sum: Option<Usd>, amount| sum.unwrap_or_default().checked_add(amount).map(Some))?
}

/// Between which amounts the truth lies, where it is not known.
fn bounds(settlement: &Settlement) -> Option<String> {
    match (settlement.basis.as_str(), settlement.total, settlement.at_most) {
        ("estimated", Some(total), None) => {
            Some(format!("at least ${total}; the most that it can have cost is not known"))
        }
        (_, Some(total), Some(most)) if total != most => Some(format!("at least ${total}, at most ${most}")),
        (_, _, most) => most.map(|most| format!("at most ${most}")),
    }
}

fn line(line: &RecordLine) -> [String; 4] {
    let inner = line.model.as_ref().map(|model| format!(" ({})", one_line(model))).unwrap_or_default();
    let per = if line.per == 1_000 { "1,000" } else { "1,000,000" };
    let (rate, amount) = match (&line.rate, line.amount) {
        (Some(rate), Some(amount)) => (format!("× ${} / {per}", one_line(rate)), format!("= ${amount}")),
        (_, _) => (String::new(), "no price".to_owned()),
    };
    [format!("  {}{inner}", one_line(&line.meter)), line.quantity.to_string(), rate, amount]
}

/// The conversation, speaker by speaker.
fn spoken(prompt: &Value) -> String {
    let mut text = String::new();
    if let Some(system) = prompt["system"].as_str() {
        text.push_str(&format!("\n[system]\n{}\n", visible(system)));
    }
    for message in prompt["messages"].as_array().into_iter().flatten() {
        text.push_str(&turn(message["role"].as_str().unwrap_or("message"), message));
    }
    text
}

fn turn(speaker: &str, said: &Value) -> String {
    let mut text = format!("\n[{}]\n", one_line(speaker));
    for part in said["parts"].as_array().into_iter().flatten() {
        match part["text"].as_str() {
            Some(words) => text.push_str(&visible(words)),
            None => text.push_str(&visible(&part.to_string())),
        }
        text.push('\n');
    }
    if let Some(refusal) = said["refusal"].as_str() {
        text.push_str(&format!("{}\n", visible(refusal)));
    }
    text
}

/// One call as JSON, in the words of the JSON of one call (`schema` 1). Texts are there where they were read.
#[must_use]
pub fn object(record: &Record) -> Value {
    let call = &record.call;
    let mut object = json!({
        "schema": 1,
        "id": call.id,
        "group": call.group,
        "retry_of": call.retry_of,
        "session": call.session,
        "command": call.command,
        "route": call.route,
        "opened": utc(record.opened_ms),
        "opened_ms": record.opened_ms,
        "provider": call.provider,
        "region": call.region,
        "model": call.model,
        "credential": call.credential,
        "project": call.project,
        "user": call.user,
        "team": call.team,
        "tags": call.tags,
        "parameters": call.parameters,
        "tier_asked": call.tier,
        "ceiling_usd": usd(call.ceiling),
        "clipped_from": call.clipped_from,
        "open": record.settled.is_none(),
        "prompt": call.prompt,
    });
    if let (Some(settled), Some(map)) = (&record.settled, object.as_object_mut()) {
        add_settlement(map, record, settled.finished_ms, &settled.settlement);
    }
    object
}

fn add_settlement(map: &mut Map<String, Value>, record: &Record, finished_ms: i64, settlement: &Settlement) {
    let mut usage = Map::new();
    for line in settlement.lines.iter().filter(|line| line.model.is_none()) {
        usage.insert(line.meter.clone(), line.quantity.into());
    }
    usage.insert("reasoning".into(), settlement.reasoning.into());
    usage.insert("source".into(), settlement.usage_source.clone().into());
    usage.insert("raw".into(), settlement.usage_raw.clone().unwrap_or_default());
    let lines: Vec<Value> = settlement
        .lines
        .iter()
        .map(|line| {
            json!({"meter": line.meter, "quantity": line.quantity, "per": line.per, "rate_usd": line.rate,
                "usd": usd(line.amount), "model": line.model})
        })
        .collect();
    let price = settlement.price.as_ref().map(price);
    let corrections: Vec<Value> = record
        .corrections
        .iter()
        .map(|correction| {
            json!({"made": utc(correction.made_ms), "basis": correction.basis, "usd": usd(correction.total),
                "because": correction.because})
        })
        .collect();
    let error = settlement.error_class.as_ref().map(|class| {
        json!({"class": class, "message": settlement.error, "status": settlement.status,
            "request_id": settlement.request_id})
    });
    let basis = record.corrections.last().map_or(&settlement.basis, |correction| &correction.basis);
    let parts = json!({
        "model_served": settlement.model_served,
        "request_id": settlement.request_id,
        "response_id": settlement.response_id,
        "tier": settlement.tier,
        "stop_reason": settlement.stop_reason,
        "stopped": settlement.stopped,
        "usage": usage,
        "cost": {"usd": usd(record.total()), "at_most_usd": usd(settlement.at_most), "table_usd": usd(settlement.table),
            "basis": basis, "price": price, "lines": lines, "corrections": corrections,
            "because": settlement.because},
        "timing": {"first_token_ms": settlement.first_token_ms, "total_ms": finished_ms - record.opened_ms},
        "notes": settlement.notes,
        "answer": settlement.answer,
        "error": error,
    });
    if let Value::Object(parts) = parts {
        map.extend(parts);
    }
}

pub(super) fn price(price: &Price) -> Value {
    json!({"table": price.table, "version": price.version, "sha256": price.sha256, "entry": price.entry,
        "row_from": price.row_from, "checked": price.checked})
}

pub(super) fn usd(amount: Option<Usd>) -> Option<String> {
    amount.map(|amount| amount.to_string())
}

#[cfg(test)]
mod tests {
    use super::{beginning, page, short, table};
    use crate::domain::money::Usd;
    use crate::domain::record::{NewCall, Record, RecordLine, Settled, Settlement};

    fn record() -> Record {
        let call = NewCall {
            id: "01935000-0000-7000-8000-00000000abcd".into(),
            command: "chat".into(),
            provider: "openai".into(),
            model: "gpt-x".into(),
            ceiling: Some(Usd::from_picos(9_000_000_000)),
            ..NewCall::default()
        };
        let line = |meter: &str, quantity, rate: &str, picos| RecordLine {
            meter: meter.into(),
            quantity,
            per: 1_000_000,
            rate: Some(rate.into()),
            amount: Some(Usd::from_picos(picos)),
            model: None,
        };
        let settlement = Settlement {
            stop_reason: Some("stop".into()),
            basis: "table".into(),
            total: Some(Usd::from_picos(830_000_000)),
            lines: vec![line("input", 30, "1", 30_000_000), line("output", 80, "10", 800_000_000)],
            ..Settlement::default()
        };
        let settled = Some(Settled { finished_ms: 1_795_305_602_840, settlement });
        Record {
            opened_ms: 1_795_305_600_000,
            call,
            settled,
            corrections: Vec::new(),
            said: Some("Why\n\u{1b}[2J?".into()),
            source: None,
            requests: 1,
        }
    }

    #[test]
    fn a_list_tells_each_call_in_a_line() {
        assert_eq!(
            table(&[record(), Record { settled: None, said: None, ..record() }]),
            "\
opened (UTC)         id        model         in  out  cost                   took  end   prompt
2026-11-22 00:00:00  0000abcd  openai/gpt-x  30   80  $0.00083              2.84s  stop  Why ␛[2J?
2026-11-22 00:00:00  0000abcd  openai/gpt-x   –    –  open, at most $0.009      –  open
"
        );
    }

    #[test]
    fn a_bill_shows_its_arithmetic() {
        let page = page(&record());
        let bill = page.split_once("bill").expect("a bill").1;
        assert_eq!(
            bill,
            "        table
  input           30  × $1 / 1,000,000   = $0.00003
  output          80  × $10 / 1,000,000  = $0.0008
  total                                  $0.00083
  ceiling before                         $0.009
"
        );
    }

    #[test]
    fn long_words_are_shortened_by_their_width() {
        assert_eq!(beginning("short"), "short");
        assert_eq!(beginning(&"日本".repeat(40)), format!("{}…", "日本".repeat(14) + "日"));
        assert_eq!(short("12345"), "12345");
    }
}
