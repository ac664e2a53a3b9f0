//! Every recorded exchange in one of our dialects decodes to what it must, whole and in fragments.
//!
//! Reads `../shared/exchanges/recorded` where it is there and says so where it is not. `LLMX_EXCHANGES` names another
//! folder, `LLMX_EXCHANGES_API` only one API. Exceptions stand, each with its reason, in `recorded_exceptions.toml`.

#![expect(clippy::print_stderr, reason = "the figures and the differences are what this test is run for")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llmx::domain::answer::Answer;
use llmx::domain::usage::Meter;
use llmx::wire::body::Body;
use llmx::wire::contract::{ApiError, DecodeError, Dialect};
use llmx::wire::quirks::Quirks;
use serde_json::Value;

use common::answer_differences;

/// What of the exchanges may differ, in hundredths of a percent: at least 99.5 % are equal.
const ALLOWED_PER_10_000: usize = 50;

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("LLMX_EXCHANGES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/exchanges/recorded"));
    folder.is_dir().then_some(folder)
}

fn dialect(api: &str) -> Option<Dialect> {
    Some(match api {
        "openai-chat" | "azure-chat" | "azure-inference-chat" | "mistral" => Dialect::Chat,
        "openai-responses" | "azure-responses" => Dialect::Responses,
        "anthropic-messages" => Dialect::Messages,
        "gemini-generate" | "gemini-stream" | "vertex-generate" | "vertex-stream" => Dialect::GenerateContent,
        "cohere-v2" => Dialect::Cohere,
        "ollama-chat" => Dialect::Ollama,
        // Converse goes through the SDK (tests/bedrock.rs); the others are not spoken.
        _ => return None,
    })
}

/// What a body decodes to.
struct Decoded {
    answer: Answer,
    error: Option<ApiError>,
    /// Neither an answer nor an error of the provider: cut or unreadable.
    broken: Option<String>,
}

fn decode(dialect: Dialect, status: u16, body: &[u8], sizes: &mut dyn FnMut() -> usize) -> Decoded {
    let mut answer = Answer::default();
    if status >= 400 {
        let error = dialect.error(status, &String::from_utf8_lossy(body));
        return Decoded { answer, error: Some(error), broken: None };
    }
    let mut reader = Body::new(dialect, &Quirks::default());
    let mut events = Vec::new();
    let mut rest = body;
    let mut result = Ok(());
    while !rest.is_empty() && result.is_ok() {
        let (piece, after) = rest.split_at(sizes().clamp(1, rest.len()));
        rest = after;
        result = reader.push(piece, &mut events);
    }
    let result = result.and_then(|()| reader.end(&mut events));
    for event in events {
        answer.add(event);
    }
    match result {
        Ok(()) => Decoded { answer, error: None, broken: None },
        Err(DecodeError::Api(error)) => Decoded { answer, error: Some(error), broken: None },
        Err(other) => Decoded { answer, error: None, broken: Some(other.to_string()) },
    }
}

fn differences(exchange: &Value, got: &Decoded) -> Vec<String> {
    let want = &exchange["expect"];
    let mut differences = Vec::new();
    let mut differ = |what: &str, want: String, got: String| {
        if want != got {
            let clip = |text: &str| text.chars().take(300).collect::<String>();
            differences.push(format!("{what}: want {} got {}", clip(&want), clip(&got)));
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(error) = want["error"].as_object() {
        let words = error.get("message").map(&text).unwrap_or_default();
        match (&got.error, &got.broken) {
            (Some(got), _) => differ("error message", words, got.message.clone()),
            (None, Some(_)) if error.get("type") == Some(&"protocol".into()) => {}
            (None, broken) => differ("error", words, format!("{broken:?}")),
        }
    } else {
        if let Some(error) = &got.error {
            differ("error", "none".into(), format!("{error:?}"));
        }
        match (&got.broken, want["complete"].as_bool().unwrap_or(true)) {
            (Some(broken), true) => differ("end", "complete".into(), broken.clone()),
            (None, false) => differ("end", "cut short".into(), "complete".into()),
            _ => {}
        }
    }
    if exchange["response"]["status"].as_u64() >= Some(400) {
        return differences;
    }
    differences.extend(answer_differences(want, &got.answer));
    differences
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .flat_map(|entry| {
            let path = entry.expect("an entry").path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

fn exceptions() -> BTreeMap<String, String> {
    toml::from_str(include_str!("recorded_exceptions.toml")).expect("a table of id to reason")
}

#[test]
fn recorded_exchanges_decode_to_what_they_must_however_they_are_cut() {
    let Some(folder) = folder() else {
        eprintln!("skipped: no recorded exchanges here");
        return;
    };
    let only = std::env::var("LLMX_EXCHANGES_API").ok();
    let files = files(&folder);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let checked: Vec<(String, Vec<String>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let (files, only) = (&files, only.as_deref());
                scope.spawn(move || {
                    files.iter().skip(worker).step_by(threads).filter_map(|file| check(file, only)).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    let excepted = exceptions();
    let wrong: Vec<_> = checked.iter().filter(|(_, differences)| !differences.is_empty()).collect();
    let unexplained: Vec<_> = wrong.iter().filter(|(id, _)| !excepted.contains_key(id)).collect();
    for (id, differences) in &unexplained {
        eprintln!("{id}\n    {}", differences.join("\n    "));
    }
    let equal = checked.len() - wrong.len();
    eprintln!("{equal} of {} exchanges equal, {} excepted with a reason", checked.len(), excepted.len());
    assert!(!checked.is_empty(), "no exchange was checked");
    assert!(unexplained.is_empty(), "{} exchanges differ", unexplained.len());
    assert!(wrong.len() * 10_000 <= checked.len() * ALLOWED_PER_10_000 || only.is_some(), "too many exceptions");
}

/// The differences of one exchange, or `None` where its API is not one of ours.
fn check(file: &Path, only: Option<&str>) -> Option<(String, Vec<String>)> {
    let exchange: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("readable")).expect("JSON");
    let api = exchange["api"].as_str()?;
    if only.is_some_and(|only| only != api) {
        return None;
    }
    let dialect = dialect(api)?;
    let status = u16::try_from(exchange["response"]["status"].as_u64()?).ok()?;
    let body = exchange["response"]["body_text"].as_str()?.as_bytes();
    let whole = decode(dialect, status, body, &mut || usize::MAX);
    let mut differences = differences(&exchange, &whole);
    let mut seed = body.len() as u64 | 1;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        1 + (seed % 97) as usize
    };
    let mut again = |name: &str, sizes: &mut dyn FnMut() -> usize| {
        let cut = decode(dialect, status, body, sizes);
        if (&cut.answer, &cut.error, &cut.broken) != (&whole.answer, &whole.error, &whole.broken) {
            differences.push(format!("differs in {name} fragments"));
        }
    };
    again("1-byte", &mut || 1);
    again("7-byte", &mut || 7);
    again("random", &mut random);
    Some((exchange["id"].as_str()?.to_owned(), differences))
}

/// Where the disjoint meters do not add up to the totals of the independent reading, and why that is right.
fn may_differ(api: &str, usage: &Value) -> bool {
    // Cohere bills `billed_units`; `tokens` counts the template, too.
    api == "cohere-v2"
        // The top level repeats the last call inside the answer only: we sum them all.
        || usage["iterations"].as_array().is_some_and(|calls| calls.len() > 1)
}

#[test]
fn the_meters_of_every_recorded_usage_add_up_to_its_totals() {
    let Some(folder) = folder() else {
        eprintln!("skipped: no recorded exchanges here");
        return;
    };
    let (mut compared, mut wrong, mut warned) = (0, Vec::new(), BTreeMap::<String, usize>::new());
    for file in files(&folder) {
        let exchange: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("readable")).expect("JSON");
        let (api, norm) = (exchange["api"].as_str().unwrap_or_default(), &exchange["expect"]["usage_norm"]);
        let (Some(dialect), Some(body)) = (dialect(api), exchange["response"]["body_text"].as_str()) else { continue };
        let Some(usage) = decode(dialect, 200, body.as_bytes(), &mut || usize::MAX).answer.usage else { continue };
        for warning in &usage.warnings {
            *warned.entry(warning.chars().filter(|character| !character.is_ascii_digit()).collect()).or_default() += 1;
        }
        if norm.is_null() || usage.rejected || may_differ(api, &usage.raw) {
            continue;
        }
        let output: u64 =
            [Meter::Output, Meter::AudioOut, Meter::ImageOut].iter().filter_map(|meter| usage.get(*meter)).sum();
        let sums = (usage.prompt_total().unwrap_or(0), output);
        let totals = (norm["input"].as_u64().unwrap_or(0), norm["output"].as_u64().unwrap_or(0));
        compared += 1;
        if sums != totals && usage.warnings.is_empty() {
            wrong.push(format!("{}: {sums:?} against {totals:?} in {}", exchange["id"], usage.raw));
        }
    }
    for (warning, times) in warned {
        eprintln!("{times} × {warning}");
    }
    eprintln!("{compared} usages compared");
    assert!(compared > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}
