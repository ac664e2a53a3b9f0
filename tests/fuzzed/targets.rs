//! What is fuzzed: everything that reads text which somebody else wrote. `cargo fuzz` and the tests call the same functions,
//! and each of them holds promises, not only that nothing panics.

mod amounts;
mod answers;
mod filters;
mod frames;
mod imports;
mod periods;
mod prices;
mod routes;
mod settings;
mod usage;

use llmx::wire::contract::Dialect;

/// A function that takes any bytes and panics where a promise does not hold.
pub struct Target {
    /// Of the target of `cargo fuzz`, and of the folder of its corpus.
    pub name: &'static str,
    pub run: fn(&[u8]),
}

/// A new target is a row here, and its name in `fuzz/Cargo.toml`.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", run: frames::frames },
    Target { name: "chat", run: |bytes| answers::answer(Dialect::Chat, bytes) },
    Target { name: "responses", run: |bytes| answers::answer(Dialect::Responses, bytes) },
    Target { name: "messages", run: |bytes| answers::answer(Dialect::Messages, bytes) },
    Target { name: "generate_content", run: |bytes| answers::answer(Dialect::GenerateContent, bytes) },
    Target { name: "cohere", run: |bytes| answers::answer(Dialect::Cohere, bytes) },
    Target { name: "ollama", run: |bytes| answers::answer(Dialect::Ollama, bytes) },
    Target { name: "errors", run: answers::error },
    Target { name: "usage", run: usage::usage },
    Target { name: "usd", run: amounts::usd },
    Target { name: "terms", run: amounts::terms },
    Target { name: "window", run: periods::window },
    Target { name: "pricing", run: prices::table },
    Target { name: "config", run: settings::config },
    Target { name: "routes", run: routes::route },
    Target { name: "filter", run: filters::filter },
    Target { name: "import", run: imports::text },
    Target { name: "llm_log", run: imports::llm_log },
];

/// Runs the target of this name.
///
/// # Panics
/// Where there is none, and where a promise does not hold.
#[allow(dead_code, reason = "the tests go through the rows themselves")]
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("fuzz/Cargo.toml names a target of TARGETS").run)(bytes);
}

/// Bytes as a text, as a file that is read.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
