//! The walls of the house: imports go down only, and each outside thing has one room that may name it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level rooms from the roof down. Rooms on one floor never meet, except `main` and its `lib`.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["command"],
    &["call"],
    &["provider"],
    &["wire", "pricing", "ledger", "render"],
    &["domain"],
];

/// What only some rooms may name: the text, the rooms (as path prefixes under `src`), and the reason.
const ONLY: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["ledger"], "the ledger alone knows how it is stored"),
    ("reqwest", &["provider"], "sockets belong to the provider floor"),
    ("use aws_", &["provider/bedrock"], "the AWS SDK is one transport among others"),
    ("clap", &["cli.rs", "main.rs", "command"], "flags are types of the command line alone"),
    ("std::env::", &["command/outside.rs", "ledger/owner.rs"], "the environment is read at one place and handed in"),
    ("io::stdout", &["render/terminal.rs"], "output is made, then written in one place"),
    ("io::stderr", &["render/terminal.rs"], "output is made, then written in one place"),
    ("SystemTime::now", &["provider", "command"], "pure rooms are told the time"),
    ("Instant::now", &["provider", "command", "call", "render/terminal.rs"], "pure rooms are told the time"),
    ("std::fs", &["provider", "command", "ledger"], "pure rooms open nothing"),
    ("tracing::", &["provider", "command", "call"], "pure rooms tell nobody what they do"),
    ("tracing_subscriber", &["command/trace.rs"], "one place listens"),
    ("opentelemetry_proto", &["command/otel"], "a collector is one reader among others"),
    ("tokio", &["provider", "command", "call"], "pure rooms wait for nothing"),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder of sources")
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    found.sort();
    found
}

/// Every source file under `src`: its path there, and its code without comments and without its test module.
fn code() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&root)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("under src").to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&path).expect("readable");
            let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            (name, lines.collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

fn room(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The rooms that a piece of code imports from: what follows `crate::` or `llmx::`.
fn imports(code: &str) -> Vec<&str> {
    ["crate::", "llmx::"]
        .iter()
        .flat_map(|root| code.split(root).skip(1))
        .map(|rest| {
            rest.split(|character: char| !character.is_alphanumeric() && character != '_').next().unwrap_or_default()
        })
        .filter(|room| floor(room).is_some())
        .collect()
}

#[test]
fn imports_go_down_only() {
    for (path, code) in code().iter().filter(|(path, _)| *path != "lib.rs") {
        let here = room(path);
        let own = floor(here)
            .unwrap_or_else(|| panic!("src/{path} stands on no floor: add it to FLOORS and to the map in lib.rs"));
        for import in imports(code) {
            let other = floor(import).expect("a room");
            assert!(
                import == here || other > own,
                "src/{path} imports `{import}`, which is not below it: move the code to the floor where it belongs"
            );
        }
    }
}

#[test]
fn each_outside_thing_has_its_room() {
    for (path, code) in code() {
        for (name, rooms, reason) in ONLY {
            let named = code.contains(name) && !rooms.iter().any(|room| path.starts_with(room));
            assert!(!named, "src/{path} names `{name}`: {reason}");
        }
    }
}

#[test]
fn the_wire_names_no_provider() {
    let catalog: toml::Table = toml::from_str(include_str!("../src/provider/catalog.toml")).expect("the catalog reads");
    // A dialect may bear the name of the provider that made it.
    let dialects = llmx::wire::contract::Dialect::ALL.map(llmx::wire::contract::Dialect::as_str);
    for (path, code) in code().iter().filter(|(path, _)| path.starts_with("wire/")) {
        for id in catalog.keys().filter(|id| !dialects.contains(&id.as_str())) {
            assert!(
                !code.contains(&format!("\"{id}\"")),
                "src/{path} names the provider {id}: make it a quirk of its row"
            );
        }
    }
}

#[test]
fn the_ledger_changes_no_source() {
    const SOURCES: &[&str] = &[
        "call",
        "settlement",
        "line",
        "price",
        "correction",
        "repricing_run",
        "repricing_line",
        "budget",
        "refusal",
        "alert",
    ];
    for (path, code) in code().iter().filter(|(path, _)| path.starts_with("ledger/")) {
        for (table, change) in SOURCES.iter().flat_map(|table| [(table, "UPDATE "), (table, "DELETE FROM ")]) {
            let changed = code.split(change).skip(1).any(|rest| {
                rest.split(|character: char| !character.is_alphanumeric() && character != '_').next() == Some(table)
            });
            assert!(!changed, "src/{path} changes `{table}`: the ledger is append-only, add a row instead");
        }
    }
}

#[test]
fn every_file_says_what_it_is_in_its_first_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&root) {
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("//! "), "{} does not open with a sentence for the map", path.display());
    }
}
