//! `llmx logs` and `llmx ledger`, driven as a user drives them.

use std::path::Path;

use assert_cmd::Command;
use llmx::domain::record::{NewCall, Settlement};
use serde_json::Value;

use llmx::domain::window::Zone;

use crate::child::{NOON, call, make, open, process, reserve};

fn llmx(db: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("llmx").expect("built");
    command.args(arguments).env_clear().env("LLMX_DB", db).env("HOME", db.parent().expect("a folder"));
    command
}

fn told(db: &Path, arguments: &[&str]) -> String {
    let output = llmx(db, arguments).assert().success().get_output().stdout.clone();
    String::from_utf8(output).expect("text")
}

#[test]
fn logs_lists_the_calls_and_shows_one_with_its_bill() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = open(&path);
    make(&mut ledger, "01935000-0000-7000-8000-00000000aaaa", NOON);
    let other = NewCall { model: "gpt-y".into(), ..call("01935000-0000-7000-8000-00000000bbbb") };
    let reservation = reserve(&mut ledger, &other, NOON + 1).expect("reserved");
    let failed = Settlement { error_class: Some("overloaded".into()), ..Settlement::nothing("refused") };
    ledger.settle(reservation, &failed, NOON + 2).expect("settled");
    drop(ledger);
    let list = told(&path, &["logs"]);
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[1].starts_with("2026-11-22 00:00:00  0000bbbb  openai/gpt-y"), "{list}");
    assert!(lines[2].contains("$0.00083") && lines[2].ends_with("Why is the sky blue?"), "{list}");
    assert_eq!(told(&path, &["logs", "--failed"]).lines().count(), 2);
    assert_eq!(told(&path, &["logs", "-m", "gpt-x", "-n", "5", "--since", "2026-11-22"]).lines().count(), 2);
    assert_eq!(told(&path, &["logs", "sky", "--cost", ">0.0008"]).lines().count(), 2);
    assert_eq!(told(&path, &["logs", "no such words"]), "");
    let page = told(&path, &["logs", "show", "aaaa"]);
    assert!(page.contains("× $10 / 1,000,000  = $0.0008"), "{page}");
    assert!(page.contains("Rayleigh scattering."), "{page}");
    let object: Value = serde_json::from_str(&told(&path, &["logs", "show", "aaaa", "-j"])).expect("JSON");
    assert_eq!((object["cost"]["usd"].as_str(), object["usage"]["output"].as_u64()), (Some("0.00083"), Some(80)));
    assert_eq!(object["cost"]["lines"][1]["usd"], "0.0008");
    let objects: Value = serde_json::from_str(&told(&path, &["logs", "-j"])).expect("JSON");
    assert_eq!(objects["calls"].as_array().map(Vec::len), Some(2));
    llmx(&path, &["logs", "show", "zzzz"]).assert().code(1);
    llmx(&path, &["logs", "--cost", "cheap"]).assert().code(2);
    llmx(&path, &["logs", "--since", "yesterday"]).assert().code(2);
}

#[test]
fn an_open_call_is_listed_and_settled_by_hand() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    // The process ends at once, before it settles anything.
    let mut left = process("reserve", &path, "left", 1);
    assert!(!left.output().expect("it ran").status.success());
    assert!(told(&path, &["ledger", "open"]).contains("dead"));
    let told_open: Value = serde_json::from_str(&told(&path, &["ledger", "open", "-j"])).expect("JSON");
    assert_eq!(told_open["open"][0]["ceiling_usd"], "0.000005");
    llmx(&path, &["ledger", "resolve", "left", "--as", "much", "--because", "x"]).assert().code(2);
    let because = ["ledger", "resolve", "left", "--as", "$0.002", "--because", "invoice 12"];
    assert!(told(&path, &because).contains("left.0 is settled"));
    assert_eq!(told(&path, &["ledger", "open"]), "");
    assert!(told(&path, &["logs", "show", "left"]).contains("settled because: invoice 12"));
    assert!(told(&path, &["ledger", "check"]).contains("agree"));
}

#[test]
fn the_books_are_checked_copied_and_purged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = open(&path);
    make(&mut ledger, "a", NOON);
    ledger.keep_days(&Zone::utc()).expect("kept");
    drop(ledger);
    let copy = folder.path().join("copy.db");
    told(&path, &["ledger", "backup", copy.to_str().expect("text")]);
    assert!(told(&copy, &["logs", "show", "a"]).contains("Rayleigh"));
    llmx(&path, &["ledger", "backup", copy.to_str().expect("text")]).assert().code(1);
    llmx(&path, &["ledger", "purge", "--texts"]).assert().code(2);
    // The call was opened at a fixed day that may lie in the future: nothing is older than ten thousand weeks.
    assert!(told(&path, &["ledger", "purge", "--texts", "--older-than", "10000w"]).contains("removed 0 prompts"));
    let raw = rusqlite::Connection::open(&path).expect("a connection of our own");
    raw.execute_batch("UPDATE day SET calls = 9").expect("spoilt");
    llmx(&path, &["ledger", "check"]).assert().code(1);
    assert!(told(&path, &["ledger", "check", "--rebuild"]).contains("agree"));
}

#[test]
fn without_a_flag_the_ledger_lies_in_the_users_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str, value: &Path| {
        let mut command = Command::cargo_bin("llmx").expect("built");
        command.args(["logs"]).env_clear().env("HOME", folder.path()).env(name, value).env("LLMX_DB", "");
        command.assert().success();
    };
    run("XDG_DATA_HOME", &folder.path().join("data"));
    assert!(folder.path().join("data/llmx/ledger.db").is_file());
    run("XDG_DATA_HOME", Path::new("relative"));
    assert!(folder.path().join(".local/share/llmx/ledger.db").is_file());
}
