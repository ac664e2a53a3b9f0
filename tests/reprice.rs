//! `llmx ledger reprice` and `llmx logs show --explain`, as a user runs them on calls that were made over loopback.

mod common;

use std::path::{Path, PathBuf};

use common::binary::{Done, KEY, Llmx};
use common::server::{Script, Server};
use llmx::domain::bill::Quote;
use llmx::domain::budget::Claim;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, RecordLine, Settlement};
use llmx::ledger::{Admission, Ledger, Patience};
use serde_json::{Value, json};

/// A ledger, and the tables that are laid beside it.
struct Books {
    folder: tempfile::TempDir,
}

impl Books {
    fn new() -> Books {
        Books { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn llmx(&self, args: &[&str]) -> Llmx {
        Llmx::new(args).env("LLMX_DB", self.path())
    }

    /// A chat in Chat Completions that is answered with these events.
    fn chat(&self, model: &str, events: &[Value], args: &[&str]) -> Done {
        let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let server = Server::new(Script::stream(format!("{body}data: [DONE]\n\n")));
        self.llmx(&["chat", "-m", model, "--api", "chat", "--max-tokens", "500", "Why?"])
            .args(args)
            .env("OPENAI_API_KEY", KEY)
            .env("OPENROUTER_API_KEY", KEY)
            .env("LLMX_BASE_URL", format!("{}/v1", server.url()))
            .run()
    }

    fn reprice(&self, table: &Path, args: &[&str]) -> Llmx {
        self.llmx(&["ledger", "reprice", "--table", table.to_str().expect("text")]).args(args)
    }

    fn repriced(&self, table: &Path) -> Value {
        self.reprice(table, &["-j"]).run().exits(0).stays_quiet().json()
    }

    fn table(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("other.toml");
        std::fs::write(&path, text).expect("written");
        path
    }

    fn logs(&self) -> Value {
        self.llmx(&["logs", "-j"]).run().exits(0).json()
    }

    /// Books a call by hand, as an earlier build may have done.
    fn book(&self, id: &str, model: &str, settlement: &Settlement) {
        let mut ledger = Ledger::open(&self.path(), Patience::default()).expect("opens");
        let (provider, model) = model.split_once('/').expect("provider/model");
        let call = NewCall {
            id: id.into(),
            command: "chat".into(),
            provider: provider.into(),
            model: model.into(),
            parameters: json!({}),
            ..NewCall::default()
        };
        let quote = Quote { ceiling: call.ceiling, ..Quote::default() };
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        let Admission::Granted(reservation) = ledger.admit(&call, &claim, NOON).expect("admitted") else {
            panic!("no budget is in force");
        };
        ledger.settle(reservation, settlement, NOON + 1000).expect("settled");
    }
}

/// 2026-11-22T00:00:00Z.
const NOON: i64 = 1_795_305_600_000;

/// An answer of `model` with 600 plain and 400 cached prompt tokens and 200 generated ones.
fn answer(model: &str, more: &Value) -> Vec<Value> {
    let mut usage = json!({"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 400}});
    for (key, value) in more.as_object().into_iter().flatten() {
        usage[key] = value.clone();
    }
    vec![
        json!({"id": "c1", "model": model, "choices": [{"index": 0, "delta": {"content": "Because."}}]}),
        json!({"id": "c1", "model": model, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        json!({"id": "c1", "model": model, "choices": [], "usage": usage}),
    ]
}

const MINI: &str = "openai/gpt-4o-mini";
const SERVED: &str = "gpt-4o-mini-2024-07-18";

/// The bundled price of 2024 to 2026 with twice the output rate: $0.15, $0.075 cached, $1.2.
const DOUBLED: &str = "version = \"dear\"\n[model.\"openai/gpt-4o-mini\"]\ndated = true\n\
    price = { input = 0.15, output = 1.2, cache_read = 0.075 }\nchecked = 2026-11-22\n\
    source = \"https://example.org/prices\"\n";

#[test]
fn a_doubled_rate_changes_what_calls_would_cost_and_nothing_that_is_booked() {
    let books = Books::new();
    for _ in 0..2 {
        books.chat(MINI, &answer(SERVED, &json!({})), &[]).exits(0);
    }
    let before = books.logs();
    // 600 × 0.15 + 400 × 0.075 + 200 × 0.6 = 240 millionths
    assert_eq!(before["calls"][0]["cost"]["usd"], "0.00024");
    let table = books.table(DOUBLED);
    let run = books.repriced(&table);
    // 200 × 0.6 more for each call
    assert_eq!(
        run["total"],
        json!({"calls": 2, "booked_usd": "0.00048", "booked_missing": 0, "there_usd": "0.00072", "there_missing": 0,
            "change_usd": "0.00024"})
    );
    assert_eq!((&run["schema"], &run["run"], &run["open"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(run["by_cause"].as_array().map(Vec::len), Some(1));
    assert_eq!((&run["by_cause"][0]["cause"], &run["by_cause"][0]["calls"]), (&json!("price-changed"), &json!(2)));
    assert_eq!((&run["by_model"][0]["model"], &run["by_model"][0]["change_usd"]), (&json!(MINI), &json!("0.00024")));
    let call = &run["calls"][0];
    assert_eq!((&call["booked_usd"], &call["there_usd"]), (&json!("0.00024"), &json!("0.00036")));
    assert_eq!((&call["counts"], &call["model_served"]), (&json!("raw"), &json!(SERVED)));
    assert_eq!((&call["booked_price"]["table"], &call["there_price"]["entry"]), (&json!("bundled"), &json!(MINI)));
    assert_eq!(run["tables"][0]["version"], "dear");
    assert_eq!(run["tables"][1]["table"], "bundled");

    assert_eq!(books.logs(), before);
    books.llmx(&["ledger", "check"]).run().exits(0);
    let kept = books.llmx(&["ledger", "reprice", "--list", "-j"]).run().exits(0).json();
    assert_eq!((&kept["runs"][0]["run"], &kept["runs"][0]["usd"]), (&json!(1), &json!("0.00072")));
    assert_eq!(kept["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!((&kept["runs"][0]["because"], &kept["runs"][0]["calls"]), (&json!("all calls"), &json!(2)));
}

#[test]
fn a_person_reads_the_difference_by_cause_and_by_model() {
    let books = Books::new();
    books.chat(MINI, &answer(SERVED, &json!({})), &[]).exits(0);
    books.chat("openai/unheard-of", &answer("unheard-of", &json!({})), &[]).exits(0);
    let table = books.table(DOUBLED);
    let done = books.reprice(&table, &[]).run().exits(0).stays_quiet();
    let rows: Vec<String> =
        done.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in [
        "why calls booked there change",
        "the price changed 1 $0.00024 $0.00036 +$0.00012",
        "unpriced then and now 1 unknown unknown $0",
        "openai/gpt-4o-mini 1 $0.00024 $0.00036 +$0.00012",
        "total 2 $0.00024 and 1 unknown $0.00036 and 1 unknown +$0.00012",
        "kept as run 1; the booked amounts stay as they are",
    ] {
        assert!(rows.iter().any(|line| line == row), "no \"{row}\" in\n{}", done.text());
    }
    let list = books.llmx(&["ledger", "reprice", "--list"]).run().exits(0);
    assert!(list.text().contains("other.toml dear + bundled"), "{}", list.text());
}

#[test]
fn todays_own_table_is_used_where_none_is_named() {
    let books = Books::new();
    books.chat(MINI, &answer(SERVED, &json!({})), &[]).exits(0);
    let same = books.llmx(&["ledger", "reprice", "-j"]).run().exits(0).json();
    assert_eq!((&same["by_cause"][0]["cause"], &same["total"]["change_usd"]), (&json!("same"), &json!("0")));
    let own = books.llmx(&["ledger", "reprice", "-j"]).file("config/llmx/pricing.toml", DOUBLED).run().exits(0).json();
    assert_eq!((&own["run"], &own["total"]["change_usd"]), (&json!(2), &json!("0.00012")));
}

#[test]
fn an_unpriced_call_gets_a_price_and_a_priced_one_can_lose_it() {
    let books = Books::new();
    books.chat("openai/unheard-of", &answer("unheard-of", &json!({})), &[]).exits(0);
    books.chat(MINI, &answer(SERVED, &json!({})), &[]).exits(0);
    let table = books.table(
        "[model.\"openai/unheard-of\"]\nprice = { input = 1, output = 10, cache_read = 0.5 }\nchecked = 2026-11-22\n\
         source = \"https://example.org/prices\"\n[model.\"openai/gpt-4o-mini\"]\ndated = true\nunpriced = \"withdrawn\"\n",
    );
    let run = books.repriced(&table);
    let [first, second] = [0, 1].map(|at| &run["calls"][at]);
    // 600 × 1 + 400 × 0.5 + 200 × 10 = 2800 millionths
    assert_eq!((&first["booked_usd"], &first["there_usd"]), (&Value::Null, &json!("0.0028")));
    assert_eq!((&first["cause"], &first["change_usd"]), (&json!("now-priced"), &Value::Null));
    assert_eq!((&second["there_usd"], &second["cause"]), (&Value::Null, &json!("now-unpriced")));
    assert_eq!(second["notes"], json!(["withdrawn"]));
    assert_eq!(
        run["total"],
        json!({"calls": 2, "booked_usd": "0.00024", "booked_missing": 1, "there_usd": "0.0028", "there_missing": 1,
            "change_usd": "0"})
    );
}

#[test]
fn tier_and_region_are_those_of_the_call() {
    let books = Books::new();
    let priority: Vec<Value> = answer(SERVED, &json!({}))
        .into_iter()
        .map(|mut event| {
            event["service_tier"] = "priority".into();
            event
        })
        .collect();
    books.chat(MINI, &priority, &["-P", "service_tier=priority"]).exits(0);
    // 600 × 0.25 + 400 × 0.125 + 200 × 1 = 400 millionths
    assert_eq!(books.logs()["calls"][0]["cost"]["usd"], "0.0004");
    let same = books.llmx(&["ledger", "reprice", "-j"]).run().exits(0).json();
    assert_eq!((&same["calls"][0]["there_usd"], &same["calls"][0]["cause"]), (&json!("0.0004"), &json!("same")));

    let tripled = DOUBLED.to_owned() + "mode.priority = { input = 0.25, output = 3, cache_read = 0.125 }\n";
    let run = books.repriced(&books.table(&tripled));
    assert_eq!(run["calls"][0]["change_usd"], "0.0004");

    let call =
        |price: &str| format!("[model.\"openai/{price}\nchecked = 2026-11-22\nsource = \"https://example.org\"\n");
    let regional = call("gpt-4o-mini\"]\ndated = true\nprice = { input = 0, output = 0, cache_read = 0 }")
        + &call("eu/gpt-4o-mini\"]\nprice = { input = 1, output = 1, cache_read = 1 }");
    books.chat("openai@eu/gpt-4o-mini", &answer("gpt-4o-mini", &json!({})), &[]).exits(0);
    let run = books.repriced(&books.table(&regional));
    assert_eq!(run["calls"][1]["model"], "openai@eu/gpt-4o-mini");
    assert_eq!(run["calls"][1]["there_usd"], "0.0012");
}

#[test]
fn a_charge_that_the_response_stated_stays() {
    let books = Books::new();
    books.chat("openrouter/some/model", &answer("some/model", &json!({"cost": 0.125})), &[]).exits(0);
    let run = books.repriced(&books.table(DOUBLED));
    let call = &run["calls"][0];
    assert_eq!(
        (&call["cause"], &call["there_usd"], &call["there_basis"]),
        (&json!("stated"), &json!("0.125"), &json!("reported"))
    );
}

#[test]
fn an_estimate_is_explained_with_its_bounds_and_stays_an_estimate() {
    let books = Books::new();
    let unfinished = &answer(SERVED, &json!({}))[..2];
    books.chat(MINI, unfinished, &[]);
    let call = books.logs()["calls"][0].clone();
    assert_eq!(call["cost"]["basis"], "estimated", "{call}");
    let word = |key: &str| call["cost"][key].as_str().expect(key).to_owned();
    let id = call["id"].as_str().expect("an id");
    let page = books.llmx(&["logs", "show", id, "--explain"]).run().exits(0);
    let bounds = format!("at least ${}, at most ${}", word("usd"), word("at_most_usd"));
    assert!(page.text().contains(&bounds), "no {bounds} in\n{}", page.text());
    let run = books.repriced(&books.table(DOUBLED));
    assert_eq!((&run["calls"][0]["cause"], &run["calls"][0]["counts"]), (&json!("estimated"), &json!("lines")));
    assert_eq!(run["calls"][0]["there_basis"], "estimated");
    // "Because." is 8 bytes, taken for 2 tokens: 2 × 0.6 millionths more.
    assert_eq!(run["calls"][0]["change_usd"], "0.0000012");
}

#[test]
fn an_explained_bill_adds_up_and_names_its_price() {
    let books = Books::new();
    books.chat(MINI, &answer(SERVED, &json!({})), &[]).exits(0);
    let call = books.logs()["calls"][0].clone();
    let id = call["id"].as_str().expect("an id");
    let page = books.llmx(&["logs", "show", id, "--explain"]).run().exits(0).stays_quiet();
    let rows: Vec<String> =
        page.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in [
        "input 600 × $0.15 / 1,000,000 = $0.00009",
        "cache_read 400 × $0.075 / 1,000,000 = $0.00003",
        "output 200 × $0.6 / 1,000,000 = $0.00012",
        "total $0.00024",
        "bill table",
    ] {
        assert!(rows.iter().any(|line| line == row), "no \"{row}\" in\n{}", page.text());
    }
    let price = rows.iter().find_map(|line| line.strip_prefix("price ")).expect("where the rates come from");
    let word = |key: &str| call["cost"]["price"][key].as_str().expect(key);
    assert!(price.starts_with("openai/gpt-4o-mini"), "{price}");
    for part in ["table", "version", "checked"] {
        assert!(price.contains(word(part)), "no {part} in {price}");
    }
    assert!(price.contains(&word("sha256")[..12]), "{price}");
    assert!(!page.text().contains("Why?"), "{}", page.text());
}

#[test]
fn what_has_no_raw_usage_is_priced_by_its_lines_and_what_has_nothing_is_said() {
    let books = Books::new();
    let line =
        |meter: &str, quantity| RecordLine { meter: meter.into(), quantity, per: 1_000_000, ..RecordLine::default() };
    let unpriced = Settlement {
        basis: "unpriced".into(),
        usage_source: Some("reported".into()),
        lines: vec![line("input", 30), line("output", 80)],
        ..Settlement::default()
    };
    books.book("a", "gone/m", &unpriced);
    books.book("b", "gone/m", &Settlement { lines: Vec::new(), ..unpriced.clone() });
    // A meter without a price has left no line here: the lines are not the whole call.
    let priced = RecordLine { rate: Some("1".into()), amount: Some(Usd::from_picos(30_000_000)), ..line("input", 30) };
    books.book("c", "gone/m", &Settlement { lines: vec![priced], ..unpriced.clone() });
    books.book("d", "gone/m", &Settlement::nothing("refused"));
    let table = books.table(
        "[model.\"gone/m\"]\nprice = { input = 1, output = 10 }\nchecked = 2026-11-22\nsource = \"https://example.org\"\n",
    );
    let run = books.repriced(&table);
    let said: Vec<[&str; 3]> = run["calls"]
        .as_array()
        .expect("calls")
        .iter()
        .map(|call| ["cause", "counts", "there_usd"].map(|key| call[key].as_str().unwrap_or("unknown")))
        .collect();
    assert_eq!(
        said,
        [
            ["now-priced", "lines", "0.00083"],
            ["no-usage", "none", "unknown"],
            ["no-usage", "none", "unknown"],
            ["stated", "none", "0"]
        ]
    );
    let kept = books.llmx(&["ledger", "reprice", "--list", "-j"]).run().exits(0).json();
    assert_eq!((&kept["runs"][0]["calls"], &kept["runs"][0]["usd"]), (&json!(2), &json!("0.00083")));
}

#[test]
fn the_dialect_of_a_kept_usage_is_the_one_that_gives_the_booked_counts() {
    let books = Books::new();
    let line =
        |meter: &str, quantity| RecordLine { meter: meter.into(), quantity, per: 1_000_000, ..RecordLine::default() };
    // The provider speaks Chat Completions first, in which cached tokens are a part of the prompt, and Messages, in which
    // they stand beside the input.
    let settlement = Settlement {
        basis: "unpriced".into(),
        usage_source: Some("reported".into()),
        usage_raw: Some(json!({"input_tokens": 100, "cache_read_input_tokens": 1000, "output_tokens": 10})),
        lines: vec![line("input", 100), line("cache_read", 1000), line("output", 10)],
        ..Settlement::default()
    };
    books.book("a", "minimax/no-such-model", &settlement);
    let table = books.table(
        "[model.\"minimax/no-such-model\"]\nprice = { input = 1, output = 10, cache_read = 0.1 }\nchecked = 2026-11-22\n\
         source = \"https://example.org\"\n",
    );
    let run = books.repriced(&table);
    // 100 × 1 + 1000 × 0.1 + 10 × 10 = 300 millionths
    assert_eq!((&run["calls"][0]["counts"], &run["calls"][0]["there_usd"]), (&json!("raw"), &json!("0.0003")));
}

#[test]
fn counts_that_are_read_differently_now_are_no_change_of_price() {
    let books = Books::new();
    // A build that did not know this object took it for no usage at all.
    let settlement = Settlement {
        basis: "table".into(),
        total: Some(Usd::default()),
        usage_source: Some("reported".into()),
        usage_raw: Some(json!({"prompt_tokens": 40, "completion_tokens": 0, "total_tokens": 40})),
        ..Settlement::default()
    };
    books.book("a", "openai/no-such-model", &settlement);
    let table = books.table(
        "[model.\"openai/no-such-model\"]\nprice = { input = 1, output = 10 }\nchecked = 2026-11-22\n\
         source = \"https://example.org\"\n",
    );
    let run = books.repriced(&table);
    assert_eq!((&run["calls"][0]["cause"], &run["calls"][0]["change_usd"]), (&json!("recounted"), &json!("0.00004")));
}

#[test]
fn booked_lines_outweigh_a_raw_object_that_is_only_the_last_of_several() {
    let books = Books::new();
    let line = |meter: &str, quantity, rate: &str, picos| RecordLine {
        meter: meter.into(),
        quantity,
        per: 1_000_000,
        rate: Some(rate.into()),
        amount: Some(Usd::from_picos(picos)),
        model: None,
    };
    // Gemini counts the prompt in an early chunk; the last one may say only what was written.
    let settlement = Settlement {
        basis: "table".into(),
        total: Some(Usd::from_picos(830_000_000)),
        usage_source: Some("reported".into()),
        usage_raw: Some(json!({"candidatesTokenCount": 80, "totalTokenCount": 110})),
        lines: vec![line("input", 30, "1", 30_000_000), line("output", 80, "10", 800_000_000)],
        ..Settlement::default()
    };
    books.book("a", "gemini/no-such-model", &settlement);
    let table = books.table(
        "[model.\"gemini/no-such-model\"]\nprice = { input = 1, output = 10 }\nchecked = 2026-11-22\n\
         source = \"https://example.org\"\n",
    );
    let call = &books.repriced(&table)["calls"][0];
    assert_eq!((&call["cause"], &call["counts"]), (&json!("same"), &json!("lines")));
    assert_eq!(call["there_usd"], "0.00083");
}

#[test]
fn only_calls_since_a_day_are_repriced_and_none_is_no_run() {
    let books = Books::new();
    books.llmx(&["ledger", "reprice"]).run().exits(0).says(&["nothing to reprice"]);
    books.book("a", MINI, &Settlement::nothing("refused"));
    let run = |since: &str| books.llmx(&["ledger", "reprice", "--since", since, "-j"]).run().exits(0).json();
    assert_eq!((&run("2026-11-23")["run"], &run("2026-11-23")["calls"]), (&Value::Null, &json!([])));
    let found = run("2026-11-22");
    assert_eq!((&found["run"], &found["since"]), (&json!(1), &json!("2026-11-22 00:00:00Z")));
    books.llmx(&["ledger", "reprice", "--since", "soon"]).run().exits(2).says(&["--since soon"]);
    books.reprice(Path::new("no-such.toml"), &[]).run().exits(2).says(&["no-such.toml"]);
    let broken = books.table("[model.\"a/b\"]\nprise = 1\n");
    books.reprice(&broken, &[]).run().exits(2).says(&["other.toml:2:1", "prise"]);
}
