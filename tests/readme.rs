//! README.md, held to the program: every command in it is run as it stands there, its two screens are made anew, and each flag,
//! exit code, setting and link in it exists.

#![cfg(unix)]
#![expect(clippy::print_stderr, reason = "a skipped command must say so")]

mod common;
#[path = "readme/page.rs"]
mod page;
#[path = "readme/peer.rs"]
mod peer;

use std::path::{Path, PathBuf};

use common::binary::{Done, FAST, Llmx};
use page::{Shown, Step, blocks, commands, readme, steps};
use peer::Peer;
use regex::Regex;

/// Commands that no test runs, by how they begin, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo run ", "run by .ci/run, which reads it from here"),
    ("cargo test ", "these are the tests; .ci/run reads the first of them from here"),
    ("cargo bench ", "minutes, and figures of the machine"),
    ("cargo install ", "builds the whole tree again"),
    ("cargo +nightly ", "needs another toolchain, and runs until it finds something"),
    ("cargo deny ", "needs its database of advisories"),
    ("aws sso login", "opens a browser"),
    ("ollama pull ", "loads gigabytes"),
    ("llmx test-access -m openai/gpt-4o-mini,group:cheap --watch 5m", "runs until it is stopped"),
    ("llmx usage import llm ", "needs a logs.db of llm; tests/usage_import.rs makes one"),
    ("llmx man | man -l -", "a pager, and man-db is not everywhere"),
];

/// Flags of other programs that the README names.
const OTHERS: &[&str] = &[
    "--bench",
    "--example",
    "--features",
    "--list-models",
    "--locked",
    "--no-dedupe",
    "--no-default-features",
    "--path",
    "--prefix",
    "--release",
    "--target",
    "--test",
];

/// The calls behind the screen of `usage`. The simulator has a price where it is given one.
const SPENT: &[&str] = &[
    "-m sim/lorem?tokens=400&usd_in=3&usd_out=1500 --project checkout",
    "-m sim/lorem?tokens=400&usd_in=3&usd_out=1500 --project checkout",
    "-m sim/lorem?tokens=900&usd_in=1&usd_out=250 --project checkout",
    "-m sim/lorem?tokens=900&usd_in=1&usd_out=250 --project search",
    "-m sim/lorem?tokens=900&usd_in=1&usd_out=250 --project search",
    "-m sim/error?class=rate-limit --project search --retries 0",
];

/// Files that are the reader's own, from the fixtures of `usage import`.
const IMPORTED: &[(&str, &str)] = &[
    ("~/.claude/projects/shop/session.jsonl", "claude_code.jsonl"),
    ("~/.codex/sessions/rollout-2026-11-19T08-00-00-01a1f2d1-d400-7000-8000-000000000001.jsonl", CODEX),
    ("~/desk/spend_logs.csv", "litellm.csv"),
    ("~/desk/usage.json", "openai_usage.json"),
    ("~/desk/costs.csv", "openai_costs.csv"),
    ("~/desk/exports/usage.json", "anthropic_usage.json"),
];
const CODEX: &str = "rollout-2026-11-19T08-00-00-01a1f2d1-d400-7000-8000-000000000001.jsonl";
const PROFILES: &str = "[dev]\naws_access_key_id = AKIDDEV\naws_secret_access_key = CANARY-of-dev\n\
    [prod]\naws_access_key_id = AKIDPROD\naws_secret_access_key = CANARY-of-prod\n";
const USAGE: &str = "{\"provider\": \"openai\", \"api\": \"chat\", \"model\": \"gpt-4o-mini\", \
    \"request_date\": \"2026-11-22T10:00:00Z\", \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 5, \"total_tokens\": 12}}";

/// A home as the reader's: a folder under git, and providers that answer.
struct Home {
    folder: tempfile::TempDir,
    peer: Peer,
}

impl Home {
    fn new() -> Home {
        let home = Home { folder: tempfile::tempdir().expect("a folder"), peer: Peer::new() };
        std::fs::create_dir_all(home.desk()).expect("made");
        let (bin, binary) = (home.path("bin"), env!("CARGO_BIN_EXE_llmx"));
        std::fs::create_dir_all(&bin).expect("made");
        std::os::unix::fs::symlink(binary, bin.join("llmx")).expect("linked");
        home.write("~/.config/llmx/config.toml", FAST);
        home.run("git init -q && echo '// a change' > main.rs && git add -N main.rs").exits(0);
        // What is the reader's own.
        home.write("~/desk/notes.txt", "Ask for the bill.");
        home.write("~/desk/usage.jsonl", USAGE);
        home.write("~/.aws/credentials", PROFILES);
        for (name, fixture) in IMPORTED {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(fixture);
            home.write(name, std::fs::read_to_string(path).expect("a fixture").trim_end());
        }
        home
    }

    /// What was spent before llmx was here, on each of the last thirty days: a forecast needs fourteen.
    fn remember(&self) {
        let head = "request_id,spend,total_tokens,prompt_tokens,completion_tokens,startTime,endTime,model,custom_llm_provider,status";
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let day = |ago: i64| today.checked_sub(jiff::Span::new().days(ago)).expect("a day");
        let rows = (1..=30).map(|ago| {
            let at = format!("{} 09:00:00.000", day(ago));
            format!("chatcmpl-before-{ago:020},0.5,1500,1000,500,{at},{at},gpt-4o-mini,openai,success")
        });
        let log = [head.to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join("\n");
        self.write("~/desk/before.csv", &log);
        self.run("llmx usage import before.csv && rm before.csv").exits(0);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn desk(&self) -> PathBuf {
        self.path("desk")
    }

    /// Adds to a file of the home.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name.trim_start_matches("~/"));
        std::fs::create_dir_all(path.parent().expect("below the home")).expect("made");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{before}{text}\n")).expect("written");
    }

    fn run(&self, command: &str) -> Done {
        self.runs(command, &[])
    }

    fn runs(&self, command: &str, more: &[(&str, &str)]) -> Done {
        let found = std::env::var("PATH").unwrap_or_default();
        let mut shell = Llmx::shell("exec bash -o pipefail -c \"$COMMAND\"")
            .env("COMMAND", command)
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path(".config"))
            .env("PATH", format!("{}:{found}", self.path("bin").display()))
            // Whatever is not asked on this machine must fail.
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .within(&self.desk());
        for (name, value) in self.peer.environment() {
            shell = shell.env(name, value);
        }
        for (name, value) in more {
            shell = shell.env(name, value);
        }
        shell.run()
    }

    /// The command with what stands for a call's id: the latest call, or one that was left open.
    fn filled(&self, text: &str) -> String {
        let word = Regex::new(r"\b(ID|GROUP|CALL)\b").expect("a pattern");
        let Some(found) = word.find(text) else { return text.to_owned() };
        let id = match found.as_str() {
            "CALL" => self.left_open(),
            "GROUP" => self.listed(|call| call["group"].as_str().map(str::to_owned)),
            _ => self.listed(|call| call["id"].as_str().map(str::to_owned)),
        };
        word.replace_all(text, id).into_owned()
    }

    fn listed(&self, of: impl Fn(&serde_json::Value) -> Option<String>) -> String {
        let calls = self.run("llmx logs -j -n 1000").exits(0).json();
        calls["calls"].as_array().expect("calls").iter().find_map(of).expect("such a call was made before")
    }

    /// A call whose process was killed.
    fn left_open(&self) -> String {
        let script = "llmx chat -m 'sim/lorem?tokens=9&tps=1&usd_out=1' hi | { read -rn 1 _; kill -9 $(pgrep -P $$ llmx); }; true";
        self.run(script);
        let open = self.run("llmx ledger open -j").exits(0).json();
        open.to_string()
            .split("\"id\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("it is open")
            .to_owned()
    }
}

/// Whether it calls Amazon Bedrock.
fn asks_bedrock(command: &str) -> bool {
    Regex::new(r"(-m |,)bedrock[@/]|--provider bedrock|--remote bedrock").expect("a pattern").is_match(command)
}

#[test]
fn every_command_runs_as_it_stands_there() {
    let home = Home::new();
    home.remember();
    let mut unused: Vec<&str> = NOT_RUN.iter().map(|(begins, _)| *begins).collect();
    let mut wrong = Vec::new();
    for step in steps(&readme()) {
        let shown = match step {
            Step::Write { file, text } => {
                home.write(&file, &text);
                continue;
            }
            Step::Run(shown) => shown,
        };
        if let Some((begins, _)) = NOT_RUN.iter().find(|(begins, _)| shown.text.starts_with(begins)) {
            unused.retain(|unused| unused != begins);
        } else if asks_bedrock(&shown.text) && !cfg!(feature = "bedrock") {
            eprintln!("not run, built without Bedrock: README.md:{}: {}", shown.line, shown.text);
        } else {
            let done = home.run(&home.filled(&shown.text));
            if done.code != shown.code {
                let Shown { line, text, code } = &shown;
                let said = String::from_utf8_lossy(&done.out);
                wrong.push(format!("README.md:{line}: {text}\nexit {}, not {code}\n{said}{}", done.code, done.err));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(unused.is_empty(), "no longer in the README: {unused:?}");
}

#[test]
fn commands_stand_where_they_are_run() {
    for block in blocks(&readme()) {
        if block.kind == "console" {
            assert!(!commands(&block).is_empty(), "README.md:{}: a block of commands without one", block.line);
            continue;
        }
        let command = block.lines.iter().find(|line| line.starts_with("llmx ") || line.starts_with("$ "));
        assert_eq!(command, None, "README.md:{}: in a block that no test runs", block.line);
    }
}

/// What differs from run to run becomes the same: seconds, speeds, and the day.
fn steady(text: &str) -> String {
    let dates = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) +\d+ \w{3}( \d{4})?";
    let changes = [
        (dates, "DAY"),
        (r"\d+\.\d+s\b", "0.00s"),
        (r"(tok/s +)\d+", "${1}0"),
        (r"(at this pace).*", "$1"),
        (r"( {2}0\.00s +0\.00s +)\d+", "${1}0"),
        (r"(?m) +$", ""),
        (r" {2,}", "  "),
    ];
    let mut text = text.to_owned();
    for (pattern, with) in changes {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, with).into_owned();
    }
    text
}

#[test]
fn the_two_screens_are_what_the_program_shows() {
    let mut page = readme();
    let update = std::env::var_os("README_UPDATE").is_some();
    for screen in ["compare", "usage"] {
        let marker = format!("<!-- screen of {screen}");
        let home = Home::new();
        if screen == "usage" {
            home.run("llmx budget set all 150/month").exits(0);
            for call in SPENT {
                let args = call.split(' ').map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
                home.run(&format!("llmx chat {args} 'What would a newcomer ask?'"));
            }
        }
        let at = page.lines().position(|line| line.starts_with(&marker)).expect("its place is marked") + 1;
        let block = blocks(&page).into_iter().find(|block| block.line > at).expect("a block follows");
        let command = commands(&block).into_iter().next().expect("a command");
        let done = home.runs(&command.text, &[("COLUMNS", "100"), ("LLMX_ZONE", "UTC")]).exits(command.code);
        let head = command.text.lines().count();
        let shown = block.lines[head..].join("\n");
        // What the command says of itself goes where a person sees it: below the answers.
        let made = format!("{}{}", done.text(), done.err);
        let made = made.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        if update {
            let before = page.lines().take(block.line - 1 + head).chain(made.lines());
            let after = page.lines().skip(block.line - 1 + block.lines.len());
            page = before.chain(after).collect::<Vec<_>>().join("\n") + "\n";
        } else {
            let (made, shown) = (steady(&made), steady(&shown));
            assert_eq!(made, shown, "{screen}; README_UPDATE=1 writes it anew");
        }
    }
    if update {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), page).expect("written");
    }
}

/// The commands below one, by its own help.
fn below(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.strip_prefix("  ").filter(|name| !name.starts_with(' ')));
    names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// The help of a command and of all below it.
fn help(command: &[String]) -> String {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let done = Llmx::new(&words).args(&["--help"]).run().exits(0);
    let more = below(done.text()).into_iter().map(|name| help(&[command, &[name]].concat()));
    format!("{}\n{}", done.text(), more.collect::<String>())
}

/// The numbers before a word, in the order in which the page has them.
fn counted(pattern: &str) -> Vec<usize> {
    let page = readme();
    let pattern = Regex::new(pattern).expect("a pattern");
    let found = pattern.captures_iter(&page).flat_map(|found| found.iter().skip(1).flatten().collect::<Vec<_>>());
    found.map(|number| number.as_str().parse().expect("a number")).collect()
}

#[test]
fn the_number_of_manual_pages_is_that_of_the_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("UTF-8");
    Llmx::new(&["man", "--dir", dir]).run().exits(0);
    let pages = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(counted(r"(\d+) manual\s+pages"), [pages]);
}

/// Other systems compile other crates in.
#[cfg(target_os = "linux")]
#[test]
fn the_numbers_of_crates_are_those_of_the_tree() {
    let crates = |more: &[&str]| {
        let done = std::process::Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--offline", "-e", "normal", "--prefix", "none", "--no-dedupe"])
            .args(more)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let names: std::collections::BTreeSet<_> = done.stdout.split(|&byte| byte == b'\n').collect();
        // An empty last line, and llmx itself.
        names.len() - 2
    };
    assert_eq!(counted(r"(\d+) crates instead of (\d+)"), [crates(&["--no-default-features"]), crates(&[])]);
}

#[test]
fn every_flag_that_is_named_exists() {
    let help = help(&[]);
    let known = |flag: &str| Regex::new(&format!(r"{flag}\b")).expect("a pattern").is_match(&help);
    let page = readme();
    let named = page::flags(&page);
    assert!(named.len() > 100, "the flags were not found");
    let unknown: Vec<_> = named.iter().filter(|(_, flag)| !OTHERS.contains(&flag.as_str()) && !known(flag)).collect();
    assert!(unknown.is_empty(), "in no help: {unknown:?}");
    let stale: Vec<_> = OTHERS.iter().filter(|other| named.iter().all(|(_, flag)| flag != *other)).collect();
    assert!(stale.is_empty(), "no longer named: {stale:?}");
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let done = Llmx::new(&["--help"]).run().exits(0);
    let told = done.text().split("Exit codes:").nth(1).expect("exit codes").to_owned();
    // Two columns: a code begins a line, or stands behind two spaces.
    let pair = Regex::new(r"(?:^|\s{2,})(\d[\d, ]*) (\D.*?)(?:\s{2,}|$)").expect("a pattern");
    let mut codes: Vec<(String, String)> = Vec::new();
    for line in told.lines() {
        let mut from = 0;
        while let Some(found) = pair.captures_at(line, from) {
            codes.push((found[1].trim().to_owned(), found[2].trim().to_owned()));
            from = found.get(2).expect("matched").end();
        }
    }
    codes.sort_by_key(|(code, _)| code.split(',').next().and_then(|code| code.parse::<u8>().ok()));
    let rows = page::table(&readme(), "## Exit codes");
    let rows: Vec<(String, String)> = rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(rows, codes);
}

#[test]
fn every_link_leads_somewhere() {
    let page = readme();
    let anchors = page::anchors(&page);
    let links = page::links(&page);
    assert!(links.len() > 20, "the links were not found");
    for link in links {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(anchors.iter().any(|known| known == anchor), "no heading for #{anchor}"),
            None if link.contains("://") => {}
            None => {
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&link).exists(), "no file {link}");
            }
        }
    }
}

#[test]
fn every_piece_of_configuration_is_one_that_the_program_reads() {
    let mut count = 0;
    for block in blocks(&readme()).into_iter().filter(|block| block.kind == "toml") {
        count += 1;
        let prices = block.lines.first().is_some_and(|line| line.contains("pricing.toml"));
        let (file, args) = if prices { ("pricing", ["models", "check"]) } else { ("config", ["-m", "sim/echo"]) };
        let run = Llmx::new(&args).args(if prices { &[] } else { &["hello"] });
        let done = run.file(&format!("config/llmx/{file}.toml"), block.lines.join("\n")).run();
        assert_eq!(done.code, 0, "README.md:{}: {}{}", block.line, String::from_utf8_lossy(&done.out), done.err);
    }
    assert!(count >= 8, "the blocks were not found");
}

#[test]
fn every_variable_of_ours_is_in_the_readme() {
    let name = Regex::new(r#""(LLMX_[A-Z_]+)""#).expect("a pattern");
    let page = readme();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(&path).expect("readable");
                for found in name.captures_iter(&source) {
                    assert!(page.contains(&format!("`{}`", &found[1])), "{} is not in README.md", &found[1]);
                }
            }
        }
    }
}
