//! `llmx doctor` as the built binary does it: what it finds, what it keeps to itself, and that it changes nothing.

#![cfg(unix)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use common::binary::{Done, KEY, Llmx};
use serde_json::Value;

/// A home that outlives the runs.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().expect("a folder"))
    }

    /// One that has made a call.
    fn used() -> Home {
        let home = Home::new();
        home.llmx(&["chat", "-m", "sim/echo", "hello"]).run().exits(0);
        home
    }

    fn llmx(&self, args: &[&str]) -> Llmx {
        Llmx::new(args)
            .env("HOME", self.0.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("LANG", "C.UTF-8")
            .within(self.0.path())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn ledger(&self) -> PathBuf {
        self.path(".local/share/llmx/ledger.db")
    }

    fn config(&self, text: &str) {
        std::fs::create_dir_all(self.path("config/llmx")).expect("made");
        std::fs::write(self.path("config/llmx/config.toml"), text).expect("written");
    }

    #[track_caller]
    fn doctor(&self, code: i32, args: &[&str]) -> Found {
        Found::of(self.llmx(&[&["doctor", "-j"], args].concat()).run().exits(code))
    }
}

/// What was found, by topic.
struct Found(Value);

impl Found {
    fn of(done: Done) -> Found {
        Found(done.json())
    }

    #[track_caller]
    fn has(&self, topic: &str, state: &str, words: &str) -> &Value {
        let findings = self.0["findings"].as_array().expect("a list");
        findings
            .iter()
            .find(|finding| {
                finding["topic"] == topic
                    && finding["state"] == state
                    && finding["said"].as_str().is_some_and(|said| said.contains(words))
            })
            .unwrap_or_else(|| panic!("no {state} of {topic} with \"{words}\": {:#}", self.0))
    }

    /// Every problem and every warning says what to do.
    #[track_caller]
    fn counts(&self, problems: usize) -> &Found {
        assert_eq!(
            (self.0["schema"].as_u64(), self.0["problems"].as_u64()),
            (Some(1), Some(problems as u64)),
            "{:#}",
            self.0
        );
        assert_eq!(self.0["ok"], problems == 0);
        for finding in self.0["findings"].as_array().expect("a list") {
            assert_eq!(finding["state"] != "ok", finding["try"].is_string(), "{finding}");
        }
        self
    }
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

/// Every file below a folder, with its length and rights; without SQLite's index of a log, which every reader has.
fn everything(folder: &Path) -> Vec<(PathBuf, u64, u32)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let about = entry.metadata().expect("there");
        if about.is_dir() {
            all.extend(everything(&entry.path()));
        }
        let is_index = ["-shm", "-wal"].iter().any(|end| entry.path().to_string_lossy().ends_with(end))
            && about.len() % 32_768 == 0;
        if !is_index {
            all.push((entry.path(), about.len(), about.permissions().mode()));
        }
    }
    all.sort();
    all
}

#[test]
fn in_a_fresh_home_nothing_is_wrong_and_nothing_is_made() {
    let home = Home::new();
    let found = home.doctor(0, &[]);
    found.counts(0).has("ledger", "ok", "none yet at ~/.local/share/llmx/ledger.db");
    found.has("version", "ok", env!("CARGO_PKG_VERSION"));
    found.has("config", "ok", "none at ~/config/llmx/config.toml");
    found.has("provider", "warning", "no credential");
    found.has("prices", "ok", "bundled 20");
    found.has("roots", "ok", "built-in");
    found.has("proxy", "ok", "none is set");
    found.has("settings", "ok", "none");
    found.has("terminal", "ok", "standard output is no terminal, without colour");
    assert_eq!(everything(home.0.path()), []);
    let text = home.llmx(&["doctor"]).run().exits(0);
    let last = text.text().lines().last().unwrap_or_default().to_owned();
    assert_eq!(last, "no problem, 1 warning", "{}", text.text());
}

#[test]
fn a_ledger_is_looked_at_and_left_as_it_is() {
    let home = Home::used();
    let before = everything(home.0.path());
    let found = home.doctor(0, &[]);
    found.counts(0).has("ledger", "ok", "1 call(s); read, not checked");
    found.has("clock", "ok", "the latest call is of");
    assert_eq!(everything(home.0.path()), before);
    home.doctor(0, &["--full"]).has("ledger", "ok", "whole, and its sums agree");
    home.llmx(&["ledger", "backup", "copy.db"]).run().exits(0);
    home.doctor(0, &[]).has("backup", "ok", "none beside");
    let beside = home.ledger().with_file_name("copy.db");
    home.llmx(&["ledger", "backup", &beside.display().to_string()]).run().exits(0);
    home.doctor(0, &[]).has("backup", "ok", "~/.local/share/llmx/copy.db of 20");
}

#[test]
fn rights_that_are_too_wide_are_a_problem_with_the_command_that_mends_them() {
    let home = Home::used();
    home.config("model = \"sim/echo\"\n");
    allow(&home.ledger(), 0o644);
    allow(home.ledger().parent().expect("a folder"), 0o777);
    allow(&home.path("config/llmx/config.toml"), 0o666);
    let found = home.doctor(1, &[]);
    let ledger = found.counts(3).has("ledger", "problem", "ledger.db, 0644: it may be read or written by others");
    assert_eq!(ledger["try"], "chmod 600 ~/.local/share/llmx/ledger.db");
    assert_eq!(found.has("ledger", "problem", "llmx, 0777")["try"], "chmod 700 ~/.local/share/llmx");
    assert_eq!(found.has("config", "problem", "0666")["try"], "chmod 600 ~/config/llmx/config.toml");
    assert_eq!(home.ledger().metadata().expect("there").permissions().mode() & 0o777, 0o644, "it only looks");
    let text = home.llmx(&["doctor"]).run().exits(1);
    assert!(text.text().contains("try: chmod 600 ~/config/llmx/config.toml\n"), "{}", text.text());
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_problem_and_the_rest_is_told() {
    let home = Home::new();
    for (text, words) in [("model = \n", "config.toml:1:"), ("keey = \"sk-CANARY\"\n", "keey")] {
        home.config(text);
        let found = home.doctor(1, &[]);
        found.counts(1).has("config", "problem", words);
        found.has("prices", "ok", "bundled");
    }
    std::fs::remove_file(home.path("config/llmx/config.toml")).expect("removed");
    std::fs::create_dir(home.path("config/llmx/config.toml")).expect("made");
    home.doctor(1, &[]).has("config", "problem", "~/config/llmx/config.toml");
    home.doctor(1, &["--config", "nowhere.toml"]).has("config", "problem", "nowhere.toml: no such file");
}

#[test]
fn a_ledger_of_a_newer_llmx_is_told_and_not_touched() {
    let home = Home::used();
    let books = rusqlite::Connection::open(home.ledger()).expect("opens");
    books.execute_batch("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE);").expect("set");
    drop(books);
    let before = everything(home.0.path());
    home.doctor(1, &["--full"]).counts(1).has("ledger", "problem", "schema 99 of a newer llmx");
    assert_eq!(everything(home.0.path()), before);
}

#[test]
fn what_is_no_ledger_is_told() {
    let home = Home::new();
    for content in
        ["", "this is no ledger, and it is long enough to be taken for a header of SQLite's own sort, or not"]
    {
        std::fs::write(home.path("x.db"), content).expect("written");
        allow(&home.path("x.db"), 0o600);
        let found = home.llmx(&["doctor", "-j", "--db", "x.db"]).run();
        let code = if content.is_empty() { 0 } else { 1 };
        Found::of(found.exits(code)).has("ledger", if code == 0 { "ok" } else { "problem" }, "x.db");
    }
    home.doctor(1, &["--db", "."]).has("ledger", "problem", "no plain file");
}

#[test]
fn settlements_that_wait_are_told_and_go_on_waiting() {
    let home = Home::used();
    let spill = home.ledger().with_extension("spill");
    std::fs::create_dir_all(&spill).expect("made");
    std::fs::write(spill.join("1-2-3-0"), "{}\n").expect("written");
    let found = home.doctor(0, &[]);
    found.has("ledger", "warning", "wait beside it to be booked: 1 file(s)");
    assert!(spill.join("1-2-3-0").exists());
}

#[test]
fn a_call_that_was_left_open_is_told() {
    let home = Home::new();
    let mut hanging = home.llmx(&["chat", "-m", "sim/lorem?tokens=100&tps=1", "x"]).spawn();
    hanging.await_out("orem");
    hanging.kill();
    home.doctor(0, &[]).counts(0).has("ledger", "warning", "1 call(s) without a settlement");
}

#[test]
fn a_clock_behind_the_ledger_is_a_problem() {
    let home = Home::used();
    let books = rusqlite::Connection::open(home.ledger()).expect("opens");
    let names: Vec<String> = books
        .prepare("SELECT name FROM pragma_table_info('call')")
        .and_then(|mut names| names.query_map([], |row| row.get(0))?.collect())
        .expect("names");
    let later = names.iter().map(|name| match name.as_str() {
        "seq" => "seq + 1",
        "id" => "'later'",
        "opened_ms" => "opened_ms + 3600000",
        other => other,
    });
    let later = format!("INSERT INTO call SELECT {} FROM call", later.collect::<Vec<_>>().join(", "));
    assert_eq!(books.execute(&later, []).expect("added"), 1);
    drop(books);
    home.doctor(1, &[]).has("clock", "problem", "s behind the latest call in the ledger");
}

#[test]
fn settings_are_told_with_all_that_set_them_and_without_their_values() {
    let home = Home::new();
    home.config("model = \"sim/lorem\"\nuser = \"CANARY\"\n[retry]\nretries = 1\n[alias]\nfast = \"sim/echo\"\n");
    std::fs::write(home.path(".llmx.toml"), "model = \"sim/echo\"\n").expect("written");
    let done = home.llmx(&["doctor", "-j"]).env("LLMX_MODEL", "sim/error").env("LLMX_TAGS", "a=CANARY").run().exits(0);
    let found = Found::of(done);
    found.has("settings", "ok", "model from LLMX_MODEL, over that of .llmx.toml and config.toml");
    found.has("settings", "ok", "retry.retries from config.toml");
    found.has("settings", "ok", "alias.fast from config.toml");
    found.has("settings", "ok", "user from config.toml");
    found.has("settings", "ok", "tags from LLMX_TAGS");
    found.has("project", "ok", "~/.llmx.toml");
}

#[test]
fn providers_are_told_with_the_name_of_the_variable_and_where_the_key_would_go() {
    let home = Home::new();
    home.config("[provider.groq]\nbase_url = \"https://gw.example/groq\"\n");
    let found = home
        .llmx(&["doctor", "-j"])
        .env("OPENAI_API_KEY", KEY)
        .env("GROQ_API_KEY", KEY)
        .env("DEEPSEEK_API_KEY", KEY)
        .env("LLMX_DEEPSEEK_BASE_URL", "https://elsewhere.example/v1")
        .env("MISTRAL_API_KEY", format!("\"{KEY}\""))
        .run()
        .exits(1);
    let found = Found::of(found);
    found.has(
        "provider",
        "ok",
        "openai: base URL https://api.openai.com/v1 from the catalog, credential from OPENAI_API_KEY",
    );
    found.has("provider", "ok", "groq: base URL https://gw.example/groq from config.toml, credential from GROQ_API_KEY (the catalog has https://api.groq.com");
    found.has(
        "provider",
        "warning",
        "DeepSeek is called at elsewhere.example (from LLMX_DEEPSEEK_BASE_URL), with its key",
    );
    found.counts(1).has("provider", "problem", "mistral: the key in MISTRAL_API_KEY holds quotes");
}

#[test]
fn a_report_can_be_shown_to_anybody() {
    let home = Home::used();
    let done = home
        .llmx(&["doctor"])
        .env("USER", "anneliese")
        .env("LLMX_DB", home.path("anneliese/ledger.db"))
        .env("OPENAI_API_KEY", KEY)
        .env("HTTPS_PROXY", "http://anneliese:CANARY@proxy.example:3128")
        .env("AWS_CA_BUNDLE", "/etc/anneliese.pem")
        .run()
        .exits(0);
    let text = done.text();
    assert!(text.contains("HTTPS_PROXY is proxy.example:3128\n") && text.contains("~/USER/ledger.db"), "{text}");
    assert!(text.contains("AWS_CA_BUNDLE is set, which llmx does not read"), "{text}");
    for hidden in ["anneliese", &home.0.path().display().to_string()] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
}

#[test]
fn roots_that_cannot_be_read_are_a_problem() {
    let home = Home::new();
    std::fs::write(home.path("roots.pem"), "nothing").expect("written");
    for (file, words) in [("roots.pem", "it holds no certificate"), ("nowhere.pem", "nowhere.pem")] {
        let done = home.llmx(&["doctor", "-j"]).env("SSL_CERT_FILE", home.path(file)).run().exits(1);
        Found::of(done).has("roots", "problem", words);
    }
}

#[test]
fn another_llmx_on_the_path_is_told() {
    let home = Home::new();
    std::fs::create_dir(home.path("bin")).expect("made");
    std::fs::write(home.path("bin/llmx"), "#!/bin/sh\n").expect("written");
    let done = home.llmx(&["doctor", "-j"]).env("PATH", home.path("bin")).run().exits(0);
    Found::of(done).has("program", "warning", "on PATH, the first one first: ~/bin/llmx");
}
