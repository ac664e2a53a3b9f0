//! How good the estimate of a call is whose final usage never came: `cargo bench --bench estimate`.
//!
//! For every recorded answer with usage the tokens that would have been estimated from the bytes that went and came are
//! set beside those that the provider counted. Prints the quantiles of estimate ÷ count; nothing is asserted. Reads
//! `../shared/exchanges/recorded` (or `LLMX_EXCHANGES`) and says so where it is not there.

#![expect(clippy::float_arithmetic, clippy::print_stdout, reason = "ratios for a person to read")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::figure::{Figure, Unit};
use common::table::{Row, Table};
use llmx::domain::answer::Answer;
use llmx::domain::bill::Outcome;
use llmx::domain::model::ModelName;
use llmx::domain::usage::Meter;
use llmx::pricing::{Called, Context, Moment, Prices};
use llmx::wire::body::Body;
use llmx::wire::contract::Dialect;
use llmx::wire::quirks::Quirks;
use serde_json::Value;

fn main() {
    let named = std::env::var_os("LLMX_EXCHANGES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/exchanges/recorded"));
    if !common::asked() {
        return;
    }
    let mut table = Table::begin("estimate").expect("written");
    if !folder.is_dir() {
        println!("no recorded exchanges at {}", folder.display());
        table.add(Row::new(
            "estimate of a call's tokens",
            Err("did not run: no recorded exchanges (LLMX_EXCHANGES)".into()),
        ));
        return table.finish().expect("written");
    }
    let mut ratios: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for file in files(&folder) {
        let text = fs::read_to_string(file).expect("readable");
        let exchange: Value = serde_json::from_str(&text).expect("JSON");
        let Some((dialect, input, output)) = compared(&exchange) else { continue };
        ratios.entry((dialect, "input")).or_default().extend(input);
        ratios.entry((dialect, "output")).or_default().extend(output);
    }
    println!("estimate ÷ count            n     p10     p50     p90");
    for ((dialect, what), mut ratios) in ratios {
        ratios.sort_by(f64::total_cmp);
        let at = |percent: usize| ratios[(ratios.len() - 1) * percent / 100];
        println!("{dialect:<17}{what:<7}{:>6}{:>8.2}{:>8.2}{:>8.2}", ratios.len(), at(10), at(50), at(90));
        let [low, middle, high] = [at(10), at(50), at(90)].map(times);
        let path = format!(
            "estimate of {what}, {dialect}, {} answers: p50 (p10 {low}, p90 {high}) of the count",
            ratios.len()
        );
        table
            .add(Row::new(&path, Ok(middle)).beside("the provider's count", Ok(Figure { value: 1_000_000, ..middle })));
    }
    table.finish().expect("written");
}

fn times(ratio: f64) -> Figure {
    Figure { value: (ratio * 1e6) as u64, unit: Unit::Times }
}

/// The dialect, and estimate ÷ count of the prompt and of the answer, where both are known.
fn compared(exchange: &Value) -> Option<(&'static str, Option<f64>, Option<f64>)> {
    let dialect = match exchange["api"].as_str()? {
        "openai-chat" | "azure-chat" | "azure-inference-chat" | "mistral" => Dialect::Chat,
        "openai-responses" | "azure-responses" => Dialect::Responses,
        "anthropic-messages" => Dialect::Messages,
        "gemini-generate" | "gemini-stream" | "vertex-generate" | "vertex-stream" => Dialect::GenerateContent,
        "cohere-v2" => Dialect::Cohere,
        "ollama-chat" => Dialect::Ollama,
        _ => return None,
    };
    let mut events = Vec::new();
    let mut body = Body::new(dialect, &Quirks::default());
    body.push(exchange["response"]["body_text"].as_str()?.as_bytes(), &mut events).ok()?;
    body.end(&mut events).ok()?;
    let mut answer = Answer::default();
    for event in events {
        answer.add(event);
    }
    let counted = answer.usage.clone().filter(|usage| !usage.rejected)?;
    let name = ModelName { provider: "ollama".into(), region: None, model: "free".into() };
    let called = Called {
        name: &name,
        served: None,
        at: Moment::from_ms(0),
        context: &Context::new(),
        quote: None,
        request_bytes: Some(exchange["request"]["body"].to_string().len() as u64),
        answer_bytes: answer.bytes(),
        simulated: false,
    };
    let guess = Prices::estimate(&called, &Outcome::Unconfirmed { seen: None });
    let ratio = |guess: Option<u64>, count: Option<u64>| {
        let (guess, count) = (guess?, count.filter(|count| *count > 0)?);
        Some(guess as f64 / count as f64)
    };
    let input = ratio(guess.prompt_total(), counted.prompt_total());
    Some((dialect.as_str(), input, ratio(guess.get(Meter::Output), counted.get(Meter::Output))))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect()
}
