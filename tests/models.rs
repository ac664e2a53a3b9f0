//! `llmx models` as a user meets it.

use assert_cmd::Command;
use serde_json::Value;

/// The binary with a configuration folder of its own, which may hold a price table.
fn llmx(own: Option<&str>) -> (Command, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    if let Some(own) = own {
        std::fs::create_dir_all(folder.path().join("llmx")).expect("made");
        std::fs::write(folder.path().join("llmx/pricing.toml"), own).expect("written");
    }
    let mut command = Command::cargo_bin("llmx").expect("the binary");
    command.env("XDG_CONFIG_HOME", folder.path()).env_remove("LLMX_CONFIG").current_dir(folder.path());
    (command, folder)
}

/// Exit code, stdout, stderr.
fn run(own: Option<&str>, args: &[&str], stdin: &str) -> (i32, String, String) {
    let (mut command, _folder) = llmx(own);
    let output = command.args(args).write_stdin(stdin).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

const OWN: &str = "[model.\"ollama/mine\"]\nfree = true\n\n[model.\"vllm/big\"]\n\
    price = { input = 0.5, output = 2, tier = [{ above = 1000, input = 1, output = 4 }] }\nchecked = 2026-11-22\n\
    source = \"https://example.org/prices\"\n[model.\"vllm/big\".mode]\nbatch = 0.5\n";

#[test]
fn a_list_is_searched_by_all_words_and_holds_the_users_own_models() {
    let (code, out, _) = run(Some(OWN), &["models", "vllm", "BIG"], "");
    assert_eq!(code, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["vllm/big", "0.5", "2", "-", "2026-11-22"]);

    let (_, out, _) = run(Some(OWN), &["models", "ollama/mine", "-j"], "");
    let list: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&list["schema"], &list["models"][0]["free"]), (&Value::from(1), &Value::from(true)));
    assert_eq!(list["models"][0]["input"], Value::Null);
}

#[test]
fn a_shown_price_names_the_file_and_line_of_every_number() {
    let (code, out, _) = run(Some(OWN), &["models", "show", "vllm/big", "--with", "processing=batch"], "");
    assert_eq!(code, 0, "{out}");
    // 0.5 × 0.5, from line 5; the tier's from the same line; the factor from the last.
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    let row =
        |what: &str| rows.iter().find(|row| row.first() == Some(&what)).unwrap_or_else(|| panic!("{what}\n{out}"));
    assert_eq!(row("input")[1], "0.25");
    assert!(row("input")[2].ends_with("pricing.toml:5"), "{out}");
    assert_eq!(row("mode.batch")[1], "0.5");
    assert!(row("mode.batch")[2].ends_with("pricing.toml:9"), "{out}");
    assert!(out.contains("prompts of 1001 tokens and more") && out.contains("https://example.org/prices"));

    let (code, out, _) = run(Some(OWN), &["models", "show", "vllm/unknown"], "");
    assert_eq!(code, 4);
    assert!(out.contains("unpriced: no price is known for vllm/unknown"), "{out}");
}

#[test]
fn a_broken_table_stops_with_its_place_and_check_says_all_of_it() {
    let broken = "[model.\"a/b\"]\nprise = 1\n[model.\"a/c\"]\nprice = { input = 1e5 }\n";
    let (code, _, err) = run(Some(broken), &["models"], "");
    assert_eq!(code, 2);
    assert!(err.contains("pricing.toml:2:1: unknown key \"prise\""), "{err}");

    let (mut command, folder) = llmx(None);
    let path = folder.path().join("theirs.toml");
    std::fs::write(&path, broken).expect("written");
    let output = command.args(["models", "check"]).arg(&path).output().expect("it runs");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1));
    assert!(out.contains("theirs.toml:2:1: ") && out.contains("theirs.toml:4:19: "), "{out}");

    let (code, out, _) = run(Some(OWN), &["models", "check"], "");
    assert_eq!(code, 0, "{out}");
    let undated = OWN.replace("checked = 2026-11-22\n", "");
    let (code, out, _) = run(Some(&undated), &["models", "check"], "");
    assert_eq!(code, 1);
    assert!(out.contains("pricing.toml:4:1: vllm/big does not say when it was checked: error"), "{out}");
}

#[test]
fn a_bad_line_is_an_error_object_and_the_others_are_billed() {
    let good = r#"{"provider": "vllm", "api": "chat", "model": "big", "request_date": "2026-11-22T10:00:00Z",
        "id": 7, "usage": {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}}"#
        .replace('\n', " ");
    let stdin = format!(
        "{good}\nno json\n\n{}\n{}\n{}\n",
        good.replace("2026-11-22T10:00:00Z", "soon"),
        good.replace("\"chat\"", "\"telepathy\""),
        good.replace("1000,", "1001,").replace("1010", "1011"),
    );
    let (code, out, _) = run(Some(OWN), &["models", "bill"], &stdin);
    assert_eq!(code, 1);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 5);
    // 1000 × 0.5 + 10 × 2 = 520; 1001 × 1 + 10 × 4 = 1041
    assert_eq!((&lines[0]["usd"], &lines[0]["basis"]), (&Value::from("0.00052"), &Value::from("table")));
    assert_eq!(lines[0]["lines"][1]["usd_per_mtok"], "2");
    assert!(lines[0]["price"]["table"].as_str().expect("a name").ends_with("pricing.toml"));
    for (at, number) in [(1, 2), (2, 4), (3, 5)] {
        assert!(lines[at]["error"].is_string() && lines[at]["line"] == number, "{}", lines[at]);
    }
    assert_eq!(lines[4]["usd"], "0.001041");
}

#[test]
fn a_word_that_no_model_has_is_said() {
    let (code, out, err) = run(None, &["models", "zzz", "9"], "");
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("no model in the price table has \"zzz 9\" in its name"), "{err}");
}
