//! `llmx usage import`: what other tools wrote, read by the built binary into books of its own.

mod common;

use std::path::{Path, PathBuf};

use common::binary::{Done, Llmx};
use llmx::domain::bill::Quote;
use llmx::domain::budget::Claim;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Settlement};
use llmx::domain::spend::Question;
use llmx::domain::spend::filter::Filter;
use llmx::domain::spend::period::Period;
use llmx::domain::window::Zone;
use llmx::ledger::{Admission, Ledger, Patience};
use rusqlite::Connection;
use serde_json::{Value, json};

const PARENT: &str = "rollout-2026-11-19T08-00-00-01a1f2d1-d400-7000-8000-000000000001.jsonl";
const FORK: &str = "rollout-2026-11-19T12-00-00-01a1f3ad-8e00-7000-8000-000000000002.jsonl";

/// Every fixture that is a file, and what of it is new in empty books.
const ALL: &[(&str, u64)] = &[
    ("claude_code.jsonl", 3),
    ("claude_code_resumed.jsonl", 2),
    (PARENT, 2),
    (FORK, 3),
    ("litellm.json", 5),
    ("litellm.csv", 5),
    ("openai_usage.json", 3),
    ("openai_usage.csv", 1),
    ("openai_costs.json", 2),
    ("openai_costs.csv", 1),
    ("anthropic_usage.json", 2),
    ("anthropic_usage.csv", 1),
    ("anthropic_cost.json", 2),
    ("anthropic_cost.csv", 2),
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)
}

struct Books {
    folder: tempfile::TempDir,
}

impl Books {
    fn new() -> Books {
        Books { folder: tempfile::tempdir().expect("a folder") }
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn llmx(&self, args: &[&str]) -> Llmx {
        Llmx::new(args).env("LLMX_DB", self.db())
    }

    fn import(&self, args: &[&str]) -> Llmx {
        self.llmx(&["usage", "import"]).args(args)
    }

    /// The counts of a file's only source.
    fn file(&self, name: &str, more: &[&str]) -> Value {
        let path = fixture(name);
        let args = [&[path.to_str().expect("text"), "-j"], more].concat();
        let said = self.import(&args).run().exits(0).json();
        assert_eq!(said["sources"].as_array().map(Vec::len), Some(1), "{said}");
        said["sources"][0].clone()
    }

    fn written(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    }

    /// The meters and counts of each call, oldest first.
    fn lines(&self) -> Vec<String> {
        self.query(
            "SELECT (SELECT group_concat(meter || ' ' || quantity, ', ') FROM line l WHERE l.call = c.seq ORDER BY l.n)
             FROM call c ORDER BY c.opened_ms, c.seq",
        )
    }

    fn query(&self, sql: &str) -> Vec<String> {
        let db = Connection::open(self.db()).expect("opens");
        let mut find = db.prepare(sql).expect("SQL");
        let rows = find.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        rows.map(|row| row.expect("a text")).collect()
    }

    /// Every row of every source table.
    fn dump(&self) -> Vec<String> {
        let db = Connection::open(self.db()).expect("opens");
        let mut dump = Vec::new();
        for table in ["call", "settlement", "line", "price", "correction", "imported"] {
            let mut find = db.prepare(&format!("SELECT * FROM {table}")).expect("SQL");
            let columns = find.column_count();
            let rows = find.query_map([], |row| {
                let values = (0..columns).map(|at| Ok(format!("{:?}", row.get_ref(at)?)));
                values.collect::<rusqlite::Result<Vec<String>>>()
            });
            dump.extend(rows.expect("rows").map(|row| format!("{table} {}", row.expect("a row").join(" "))));
        }
        dump
    }

    #[track_caller]
    fn are_whole(&self) {
        self.llmx(&["ledger", "check"]).run().exits(0);
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.db(), Patience::default()).expect("opens")
    }

    /// A call that llmx made itself.
    fn own(&self, model: &str, response_id: &str, at_ms: i64) {
        let mut ledger = self.ledger();
        let (provider, model) = model.split_once('/').expect("provider/model");
        let call = NewCall {
            id: format!("own-{response_id}"),
            command: "chat".into(),
            provider: provider.into(),
            model: model.into(),
            parameters: json!({}),
            ..NewCall::default()
        };
        let quote = Quote::default();
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        let Admission::Granted(reservation) = ledger.admit(&call, &claim, at_ms).expect("admitted") else {
            panic!("no budget is in force");
        };
        let settlement = Settlement {
            basis: "reported".into(),
            total: Usd::parse("0.5"),
            response_id: Some(response_id.into()),
            ..Settlement::default()
        };
        ledger.settle(reservation, &settlement, at_ms).expect("settled");
    }
}

/// 2026-09-28T00:00:00Z.
const DAY_MS: i64 = 1_790_553_600_000;

#[test]
fn reading_any_file_twice_changes_nothing() {
    for (name, new) in ALL {
        let books = Books::new();
        let first = books.file(name, &[]);
        assert_eq!(first["new"], *new, "{name}: {first}");
        let before = books.dump();
        let again = books.file(name, &[]);
        assert_eq!((&again["new"], &again["already_there"]), (&json!(0), &first["new"]), "{name}: {again}");
        assert_eq!(books.dump(), before, "{name}");
        books.are_whole();
    }
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    for (name, new) in ALL {
        let books = Books::new();
        let tried = books.file(name, &["--dry-run"]);
        assert_eq!(tried["new"], *new, "{name}");
        assert_eq!(books.dump(), [] as [String; 0]);
        assert_eq!(books.file(name, &[]), tried, "{name}");
    }
}

#[test]
fn each_row_is_marked_with_its_source_and_stands_in_no_account() {
    let books = Books::new();
    books.llmx(&["budget", "set", "all", "100/total", "--soft", "--on-unknown-price", "allow"]).run().exits(0);
    books.own("openai/gpt-4o", "chatcmpl-of-our-own-000001", 1_763_000_000_000);
    for (name, _) in ALL {
        books.file(name, &["--overlaps"]);
    }
    let marks = "SELECT DISTINCT command || '/' || coalesce(credential, 'none') FROM call WHERE source IS NOT NULL";
    assert_eq!(books.query(marks), ["import/none"]);
    let sources = "SELECT DISTINCT source FROM call WHERE source IS NOT NULL ORDER BY source";
    assert_eq!(
        books.query(sources),
        ["anthropic-cost", "anthropic-usage", "claude-code", "codex", "litellm", "openai-cost", "openai-usage"]
    );
    assert_eq!(books.query("SELECT 'x' FROM open_call"), [] as [String; 0]);
    assert_eq!(
        books.query("SELECT c.id FROM account_call a JOIN call c ON c.seq = a.call"),
        ["own-chatcmpl-of-our-own-000001"]
    );
    assert_eq!(books.query("SELECT 'x' FROM prompt UNION ALL SELECT 'x' FROM answer"), [] as [String; 0]);
    books.are_whole();
}

#[test]
fn sums_by_day_follow_an_import() {
    let books = Books::new();
    let period = Period::parse("2026", DAY_MS, &Zone::utc()).expect("a period");
    let question = Question { period, by: Vec::new(), filter: Filter::parse("").expect("a filter") };
    let spent = || {
        let mut ledger = books.ledger();
        let tally = ledger.spend(&question).expect("sums").total;
        (tally.calls, tally.picos, tally.cache_read, tally.unpriced)
    };
    books.ledger().keep_days(&Zone::utc()).expect("kept");
    books.file("openai_usage.json", &[]);
    books.file("openai_usage_later.json", &[]);
    books.file("anthropic_cost.json", &[]);
    books.file("anthropic_cost_later.json", &[]);
    books.file("claude_code.jsonl", &[]);
    // 37 + 3 requests, two lines of a bill, three calls.
    let (calls, picos, cached, unpriced) = spent();
    assert_eq!((calls, cached, unpriced), (45, 800 + 100 + 800 + 1000, 1));
    let booked = "SELECT sum(iif(k.call IS NULL, s.total_picos, k.total_picos)) || ''
                  FROM settlement s LEFT JOIN correction k ON k.call = s.call";
    assert_eq!(books.query(booked), [picos.to_string()]);
    books.are_whole();
}

#[test]
fn an_answer_of_claude_code_counts_once_at_its_last_usage() {
    let books = Books::new();
    let said = books.file("claude_code.jsonl", &[]);
    let counts = ["read", "new", "future", "broken", "unpriced"].map(|name| said[name].as_u64());
    assert_eq!(counts, [4, 3, 1, 1, 1].map(Some), "{said}");
    // claude-sonnet-5-5: 100 × 2 + 1000 × 0.1 + 200 × 2.5 + 300 × 4 + 250 × 10 per million = 0.0045.
    // claude-haiku-4-5: 40 × 1 + 60 × 5 per million = 0.00034.
    assert_eq!(said["usd"], "0.00484");
    assert_eq!(books.lines()[0], "input 100, cache_read 1000, cache_write 200, cache_write_1h 300, output 250");
    let about = books.query(
        "SELECT c.provider || ' ' || c.project || ' ' || c.session || ' ' || c.tags || ' ' || s.request_id || ' ' || s.response_id
         FROM call c JOIN settlement s ON s.call = c.seq ORDER BY c.opened_ms LIMIT 2",
    );
    assert_eq!(
        about,
        [
            "anthropic shop 5f0c1d2e-0000-4000-8000-00000000000a {} req_011AAAAAAAAAAAAAAAAAAA msg_01AAAAAAAAAAAAAAAAAAAAAA",
            "anthropic shop 5f0c1d2e-0000-4000-8000-00000000000a {\"sidechain\":\"true\"} req_011BBBBBBBBBBBBBBBBBBB \
             msg_01BBBBBBBBBBBBBBBBBBBBBB",
        ]
    );
    // The resumed session repeats one of the answers.
    let resumed = books.file("claude_code_resumed.jsonl", &[]);
    assert_eq!((&resumed["new"], &resumed["already_there"]), (&json!(1), &json!(1)), "{resumed}");
}

#[test]
fn a_byte_order_mark_and_an_instant_in_other_letters_cost_no_row() {
    for name in ["claude_code_resumed.jsonl", PARENT, "litellm.json", "litellm.csv", "openai_usage.json"] {
        let books = Books::new();
        let marked = format!("\u{feff}{}", std::fs::read_to_string(fixture(name)).expect("text"));
        let path = books.written(name, &marked);
        let said = books.import(&[&path, "-j"]).run().exits(0).json();
        let plain = Books::new().file(name, &[]);
        assert_eq!(
            (&said["total"]["new"], &said["total"]["broken"]),
            (&plain["new"], &plain["broken"]),
            "{name}: {said}"
        );
    }
    let books = Books::new();
    let row = |id: &str, start: &str| json!({"request_id": id, "call_type": "acompletion", "spend": 0.25, "model": "gpt-4o", "startTime": start});
    let rows = json!([row("a", "2026-09-28 um 12 Uhr é"), row("b", "2026-09-28T12:00:00Z")]);
    let said = books.import(&[&books.written("logs.json", &rows.to_string()), "-j"]).run().exits(0).json();
    assert_eq!((&said["total"]["new"], &said["total"]["broken"]), (&json!(1), &json!(1)), "{said}");
}

#[test]
fn an_answer_that_may_not_have_ended_is_left_for_the_next_import() {
    let now = jiff::Timestamp::now().to_string();
    let line = |stop: Value| {
        json!({"type": "assistant", "sessionId": "s", "timestamp": now, "requestId": "req_1", "message": {"id": "msg_1",
            "model": "claude-sonnet-5-5", "stop_reason": stop, "usage": {"input_tokens": 1, "output_tokens": 1}}})
    };
    let books = Books::new();
    let path = books.written("log.jsonl", &format!("{}\n", line(Value::Null)));
    let said = books.import(&[&path, "-j"]).run().exits(0).json();
    assert_eq!((&said["total"]["new"], &said["total"]["unfinished"]), (&json!(0), &json!(1)), "{said}");
    let path = books.written("log.jsonl", &format!("{}\n{}\n", line(Value::Null), line(json!("end_turn"))));
    let said = books.import(&[&path, "-j"]).run().exits(0).json();
    assert_eq!(said["total"]["new"], 1, "{said}");
}

#[test]
fn codex_counts_what_a_total_grew_by_and_a_fork_only_what_is_its_own() {
    for order in [[PARENT, FORK], [FORK, PARENT]] {
        let books = Books::new();
        for name in order {
            books.file(name, &[]);
        }
        let mut lines = books.lines();
        lines.sort();
        let grown =
            ["input 400, output 50", "input 700, cache_read 1800, output 150", "input 800, cache_read 200, output 100"];
        assert_eq!(lines, grown);
        let sessions = "SELECT DISTINCT session FROM call ORDER BY session";
        assert_eq!(
            books.query(sessions),
            ["01a1f2d1-d400-7000-8000-000000000001", "01a1f3ad-8e00-7000-8000-000000000002"]
        );
        // gpt-5.4: (800 + 700 + 400) × 2.5 + (200 + 1800) × 0.25 + 300 × 15 per million.
        assert_eq!(books.query("SELECT sum(total_picos) || '' FROM settlement"), ["9750000000"]);
        assert_eq!(books.query("SELECT sum(reasoning) || '' FROM settlement"), ["90"]);
    }
}

#[test]
fn what_a_spawned_agent_of_codex_repeats_of_its_parent_is_the_parents() {
    let (parent, child) = ("01a1f2d1-d400-7000-8000-000000000001", "01a1f3ad-8e00-7000-8000-000000000003");
    let spawned = json!({"subagent": {"thread_spawn": {"parent_thread_id": parent, "depth": 1}}});
    let meta = |id: &str, source: Value| json!({"type": "session_meta", "payload": {"id": id, "cwd": "/shop", "source": source}});
    let turn = json!({"type": "turn_context", "payload": {"model": "gpt-5.4"}});
    // The child was born at 12:00.
    let begun = json!({"type": "event_msg", "payload": {"type": "task_started", "started_at": 1_795_089_700}});
    let count = |time: &str, total: u64, last: u64| {
        let counts = |input: u64| json!({"input_tokens": input, "output_tokens": 0});
        json!({"timestamp": format!("2026-11-19T{time}:00Z"), "type": "event_msg", "payload": {"type": "token_count",
            "info": {"total_token_usage": counts(total), "last_token_usage": counts(last)}}})
    };
    let history = [count("08:01", 100, 100), count("08:02", 300, 200)];
    let first = [&[meta(parent, json!("cli")), turn.clone()], &history[..]].concat();
    let own = [begun, turn.clone(), count("12:01", 450, 150)];
    for copied in [vec![turn.clone()], vec![meta(parent, json!("cli")), turn.clone()]] {
        let second = [vec![meta(child, spawned.clone())], copied, history.to_vec(), own.to_vec()].concat();
        for order in [[&first, &second], [&second, &first]] {
            let books = Books::new();
            for lines in order {
                let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                books.import(&[&books.written("rollout.jsonl", &text)]).run().exits(0);
            }
            assert_eq!(
                books.query("SELECT group_concat(quantity) FROM line WHERE meter = 'input' ORDER BY 1"),
                ["100,200,150"]
            );
            let sessions = "SELECT DISTINCT session FROM call ORDER BY session";
            assert_eq!(books.query(sessions), [parent, child]);
        }
    }
}

#[test]
fn a_counter_of_codex_that_began_anew_may_come_to_the_same_totals() {
    let books = Books::new();
    let count = |minute: u32, total: u64, last: u64| {
        let counts = |input: u64| json!({"input_tokens": input, "output_tokens": 0});
        json!({"timestamp": format!("2026-11-19T08:{minute:02}:00Z"), "type": "event_msg", "payload": {"type": "token_count",
            "info": {"total_token_usage": counts(total), "last_token_usage": counts(last)}}})
    };
    let lines = [
        json!({"timestamp": "2026-11-19T08:00:00Z", "type": "session_meta", "payload": {"id": "one", "cwd": "/shop"}}),
        json!({"timestamp": "2026-11-19T08:00:00Z", "type": "turn_context", "payload": {"model": "gpt-5.4"}}),
        count(1, 100, 100),
        count(2, 300, 200),
        count(3, 100, 100),
        count(4, 300, 200),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let path = books.written("rollout.jsonl", &text);
    for new in [4, 0] {
        let said = books.import(&[&path, "-j"]).run().exits(0).json();
        assert_eq!(said["total"]["new"], new, "{said}");
    }
    assert_eq!(books.query("SELECT sum(quantity) || '' FROM line WHERE meter = 'input'"), ["600"]);
}

#[test]
fn litellm_states_its_spend_and_its_zero_for_an_unknown_price_is_not_free() {
    for name in ["litellm.json", "litellm.csv"] {
        let books = Books::new();
        let said = books.file(name, &[]);
        assert_eq!(
            (&said["broken"], &said["unpriced"], &said["usd"]),
            (&json!(1), &json!(1), &json!("0.000462")),
            "{said}"
        );
        let booked = books.query(
            "SELECT c.provider || '/' || c.model || ' ' || s.cost_basis || ' ' || coalesce(s.total_picos, 'unknown') || ' '
                || coalesce(s.table_picos, '-') || ' ' || coalesce(s.error_class, '-')
             FROM call c JOIN settlement s ON s.call = c.seq ORDER BY s.response_id",
        );
        assert_eq!(
            booked,
            [
                // 1000 × 0.15 + 500 × 0.6 per million.
                "openai/gpt-4o-mini reported 450000000 450000000 -",
                "vllm/house-model-2 unpriced unknown - -",
                "openai/gpt-4o-mini reported 0 153000000 -",
                "openai/gpt-4o-mini nothing 0 - rate-limit",
                // 100 × 3 + 1000 × 0.3 + 200 × 3.75 + 300 × 6 + 100 × 15 per million.
                "anthropic/claude-sonnet-4-5 reported 12000000 4650000000 -",
            ],
            "{name}"
        );
        let who = "SELECT c.user || ' ' || c.team || ' ' || c.tags FROM call c ORDER BY c.seq LIMIT 1";
        assert_eq!(
            books.query(who),
            [r#"u-7 payments {"batchjob":"true","cost-center":"42","litellm-key":"ci"}"#],
            "{name}"
        );
        let all = books.dump().join("\n");
        assert!(!all.contains("CANARY") && !all.contains(&"a".repeat(64)), "a key was booked: {all}");
    }
}

#[test]
fn a_sum_stands_for_its_requests_and_is_not_taken_for_one_long_call() {
    let books = Books::new();
    let said = books.file("openai_usage.json", &[]);
    assert_eq!((&said["requests"], &said["broken"]), (&json!(37), &json!(1)), "{said}");
    // gpt-4o-mini: 200 × 0.15 + 800 × 0.075 + 500 × 0.6 = 390 µ$; as a batch half, but for what the cache served. gpt-5.4:
    // 900,000 tokens are 30 calls, none of them known to be long: 900000 × 2.5 + 1000 × 15 per million = 2.265.
    let amounts =
        "SELECT s.total_picos || ' ' || c.requests || ' ' || c.project FROM call c JOIN settlement s ON s.call = c.seq
                   ORDER BY c.seq";
    assert_eq!(books.query(amounts), ["390000000 5 proj_abc", "2265000000000 30 proj_abc", "225000000 2 proj_abc"]);
    // The dashboard's table of the same day is the same row.
    let table = books.file("openai_usage.csv", &[]);
    assert_eq!((&table["new"], &table["already_there"]), (&json!(0), &json!(1)), "{table}");
}

#[test]
fn what_a_sum_has_grown_by_is_booked_beside_it() {
    let books = Books::new();
    books.file("openai_usage.json", &[]);
    let later = books.file("openai_usage_later.json", &[]);
    assert_eq!((&later["new"], &later["grown"], &later["requests"]), (&json!(1), &json!(1), &json!(3)), "{later}");
    let grown = books.query(
        "SELECT group_concat(l.meter || ' ' || l.quantity, ', ') FROM line l
         WHERE l.call = (SELECT max(seq) FROM call) ORDER BY l.n",
    );
    assert_eq!(grown, ["input 500, cache_read 100, output 200"]);
    let before = books.dump();
    assert_eq!(books.file("openai_usage_later.json", &[])["already_there"], 1);
    // The earlier export is a smaller reading of the same sum.
    let earlier = books.file("openai_usage.json", &[]);
    assert_eq!((&earlier["shrunk"], &earlier["new"]), (&json!(1), &json!(0)), "{earlier}");
    assert_eq!(books.dump(), before);
    books.are_whole();
}

#[test]
fn an_amount_that_was_stated_anew_is_corrected() {
    let books = Books::new();
    // 123.78912 cents and 1000 cents.
    assert_eq!(books.file("anthropic_cost.json", &[])["usd"], "11.2378912");
    let later = books.file("anthropic_cost_later.json", &[]);
    let counts = ["new", "already_there", "corrected"].map(|name| later[name].as_u64());
    assert_eq!((counts, &later["usd"]), ([0, 1, 1].map(Some), &json!("0.0621088")), "{later}");
    assert_eq!(books.query("SELECT total_picos || '' FROM correction"), ["1300000000000"]);
    let before = books.dump();
    assert_eq!(books.file("anthropic_cost_later.json", &[])["already_there"], 2);
    assert_eq!(books.dump(), before);
    books.are_whole();
}

#[test]
fn usage_and_cost_of_the_same_days_are_booked_once() {
    for (first, second) in [
        ("openai_usage.json", "openai_costs.json"),
        ("openai_costs.csv", "openai_usage.csv"),
        ("anthropic_usage.json", "anthropic_cost.json"),
        ("anthropic_cost.csv", "anthropic_usage.csv"),
        // The Console's names are another cut of the same calls.
        ("anthropic_usage.json", "anthropic_usage.csv"),
    ] {
        let books = Books::new();
        books.file(first, &[]);
        let before = books.dump();
        let left = books.file(second, &[]);
        assert_eq!(left["new"], 0, "{second} after {first}: {left}");
        assert!(left["overlapping"].as_u64() > Some(0), "{second} after {first}: {left}");
        assert_eq!(books.dump(), before);
        assert!(books.file(second, &["--overlaps"])["new"].as_u64() > Some(0));
        books.are_whole();
    }
    // In one run, counts are read before money.
    let books = Books::new();
    let files = ["openai_costs.json", "openai_usage.json"].map(fixture);
    let said = books.import(&[]).args(&files.each_ref().map(|path| path.to_str().expect("text"))).run().exits(0);
    assert!(
        said.text().contains("openai-usage  4 rows") || said.text().contains("3 new (37 requests)"),
        "{}",
        said.text()
    );
    assert!(said.text().contains("each call is counted once"), "{}", said.text());
}

#[test]
fn anthropic_usage_is_disjoint_and_prices_searches_and_batches() {
    let books = Books::new();
    let said = books.file("anthropic_usage.json", &[]);
    // 1500 × 3 + 200 × 0.3 + 500 × 3.75 + 1000 × 6 + 500 × 15 per million + 10 searches at $0.01 = 0.119935;
    // the batch: (100 × 3 + 50 × 15) / 2 per million = 0.000525.
    assert_eq!(said["usd"], "0.12046", "{said}");
    let table = Books::new();
    let said = table.file("anthropic_usage.csv", &[]);
    assert_eq!((&said["usd"], &said["broken"]), (&json!("0.119935"), &json!(1)), "{said}");
}

#[test]
fn a_call_that_llmx_made_is_known_by_the_providers_id() {
    let books = Books::new();
    books.own("anthropic/claude-sonnet-5-5", "msg_01AAAAAAAAAAAAAAAAAAAAAA", 1_763_000_000_000);
    let said = books.file("claude_code.jsonl", &[]);
    assert_eq!((&said["new"], &said["same_as_own"]), (&json!(2), &json!(1)), "{said}");
    let before = books.dump();
    books.file("claude_code.jsonl", &[]);
    assert_eq!(books.dump(), before);
}

#[test]
fn a_sum_over_calls_that_llmx_made_is_left_out_and_so_is_a_call_within_a_sum() {
    let books = Books::new();
    books.own("openai/gpt-4o-mini", "chatcmpl-of-our-own-000001", DAY_MS + 3_600_000);
    let said = books.file("openai_usage.json", &[]);
    // That day's sum of that model, with its date, and no other.
    assert_eq!((&said["new"], &said["overlapping"]), (&json!(2), &json!(1)), "{said}");

    let books = Books::new();
    books.file("anthropic_usage.json", &[]);
    let line = json!({"type": "assistant", "sessionId": "s", "timestamp": "2026-11-10T10:00:00Z", "requestId": "req_1",
        "message": {"id": "msg_1", "model": "claude-sonnet-4-5-20250929", "stop_reason": "end_turn",
            "usage": {"input_tokens": 1, "output_tokens": 1}}});
    let path = books.written("log.jsonl", &line.to_string());
    let said = books.import(&[&path, "-j"]).run().exits(0).json();
    assert_eq!((&said["total"]["new"], &said["total"]["overlapping"]), (&json!(0), &json!(1)), "{said}");
}

/// The log of llm at three of its versions: without counts, with them, and with turns.
fn llm_log(path: &Path) {
    let db = Connection::open(path).expect("opens");
    db.execute_batch(
        r#"CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, response TEXT, response_json TEXT,
            conversation_id TEXT, duration_ms INTEGER, datetime_utc TEXT, input_tokens INTEGER, output_tokens INTEGER,
            token_details TEXT, resolved_model TEXT);
        CREATE TABLE turns (id TEXT PRIMARY KEY, conversation_id TEXT, model TEXT, resolved_model TEXT, input_tokens INTEGER,
            output_tokens INTEGER, token_details TEXT, duration_ms INTEGER, datetime_utc TEXT);
        INSERT INTO responses VALUES
            ('01old', 'gpt-4o-mini', 'secret words', NULL, 'more of them',
                '{"id": "chatcmpl-llm-000000000001", "model": "gpt-4o-mini-2024-07-18", "usage": {"prompt_tokens": 1000,
                  "completion_tokens": 500, "total_tokens": 1500}}', 'c1', 1200, '2026-10-01T10:00:00.123456', NULL, NULL, NULL,
                NULL),
            ('01counted', 'anthropic/claude-sonnet-4-5', 'x', NULL, 'y', '{"id": "msg_llm_000000000000000001"}', 'c1', 900,
                '2026-10-02T10:00:00', 100, 50, '{"cache_read_input_tokens": 1000, "cache_creation_input_tokens": 200}', NULL),
            ('01nothing', 'gpt-4o-mini', 'x', NULL, 'y', NULL, 'c2', 900, '2026-10-03T10:00:00', NULL, NULL, NULL, NULL),
            ('01both', 'gpt-4o-mini', 'x', NULL, 'y', NULL, 'c2', 900, '2026-10-04T10:00:00', 10, 10, NULL, NULL),
            ('01when', 'gpt-4o-mini', 'x', NULL, 'y', NULL, 'c2', 900, 'some day', 10, 10, NULL, NULL);
        INSERT INTO turns VALUES
            ('01both', 'c2', 'gpt-4o-mini', 'gpt-4o-mini-2024-07-18', 10, 10, NULL, 900, '2026-10-04T10:00:00+00:00'),
            ('01turn', 'c3', 'gemini/gemini-2.5-flash', NULL, 1000, 80, '{"cachedContentTokenCount": 600,
                "thoughtsTokenCount": 300}', 700, '2026-10-05T10:00:00+00:00');"#,
    )
    .expect("made");
}

#[test]
fn the_log_of_llm_is_read_at_every_version_and_left_as_it_is() {
    let books = Books::new();
    let path = books.folder.path().join("logs.db");
    llm_log(&path);
    let bytes = std::fs::read(&path).expect("readable");
    let name = path.to_str().expect("text");
    let said = books.import(&[name, "-j"]).run().exits(0).json();
    let counts = ["read", "new", "unpriced", "broken"].map(|name| said["total"][name].as_u64());
    assert_eq!(counts, [5, 5, 1, 1].map(Some), "{said}");
    let booked = books.query(
        "SELECT c.provider || '/' || c.model || ' ' || c.session || ' ' || coalesce(s.total_picos, 'unknown') || ' '
            || coalesce(s.reasoning, '-')
         FROM call c JOIN settlement s ON s.call = c.seq ORDER BY c.opened_ms",
    );
    assert_eq!(
        booked,
        [
            "openai/gpt-4o-mini c1 450000000 -",
            // 100 × 3 + 1000 × 0.3 + 200 × 3.75 + 50 × 15 per million.
            "anthropic/claude-sonnet-4-5 c1 2100000000 -",
            "openai/gpt-4o-mini c2 unknown -",
            "openai/gpt-4o-mini c2 7500000 -",
            // 400 × 0.3 + 600 × 0.03 + 380 × 2.5 per million.
            "gemini/gemini-2.5-flash c3 1088000000 300",
        ]
    );
    let before = books.dump();
    assert!(!before.join("\n").contains("secret words"));
    let again = books.import(&["llm", name, "-j"]).run().exits(0).json();
    assert_eq!((&again["total"]["new"], &again["total"]["already_there"]), (&json!(0), &json!(5)));
    assert_eq!(books.dump(), before);
    assert_eq!(std::fs::read(&path).expect("readable"), bytes);
}

#[test]
fn a_tools_own_log_is_found_where_it_keeps_it() {
    let books = Books::new();
    let copy = |from: &str, to: &str| {
        let to = books.folder.path().join(to);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        std::fs::copy(fixture(from), to).expect("copied");
    };
    copy("claude_code.jsonl", "claude/projects/-home-ann-work-shop/5f0c.jsonl");
    copy("claude_code_resumed.jsonl", "claude/projects/-home-ann-work-shop/5f0c/subagents/agent-1.jsonl");
    copy(PARENT, &format!("codex/sessions/2026/11/19/{PARENT}"));
    copy(FORK, &format!("codex/archived_sessions/{FORK}"));
    llm_log(&books.folder.path().join("logs.db"));
    let at = |name: &str| books.folder.path().join(name);
    for (format, variable, folder, new) in [
        ("claude-code", "CLAUDE_CONFIG_DIR", at("claude"), 4),
        ("codex", "CODEX_HOME", at("codex"), 3),
        ("llm", "LLM_USER_PATH", at(""), 5),
    ] {
        let said = books.import(&[format, "-j"]).env(variable, folder).run().exits(0).json();
        assert_eq!(said["total"]["new"], new, "{said}");
        books.import(&[format]).run().exits(2).says(&["there is no log of", format]);
    }
    books.import(&["litellm"]).run().exits(2).says(&["keeps no log on this machine", "llmx usage import litellm FILE"]);
}

#[test]
fn a_folder_is_walked_and_a_file_of_no_known_format_is_told() {
    let books = Books::new();
    let other = books.written("in/other.json", "{\"some\": \"thing\"}");
    books.written("in/deep/a.csv", "usage_date_utc,model,cost_usd\n2026-11-10,Claude Sonnet 4.5,0.25\n");
    books.written("in/notes.txt", "not looked at");
    let folder = books.folder.path().join("in");
    let said = books.import(&[folder.to_str().expect("text"), "-j"]).run().exits(0).json();
    assert_eq!((&said["total"]["usd"], &said["unknown_files"]), (&json!("0.25"), &json!(1)), "{said}");
    books.import(&[&other]).run().exits(2).says(&[
        "no format that is known here",
        r#"it begins with "{\"some\": \"thing\"}""#,
        "claude-code, codex, llm, litellm",
    ]);
    let path = fixture("litellm.csv");
    books
        .import(&["codex", path.to_str().expect("text")])
        .run()
        .exits(2)
        .says(&["no codex file: it looks like litellm"]);
    books.import(&["/no/such/file.csv"]).run().exits(2).says(&["/no/such/file.csv cannot be read"]);
}

#[test]
fn a_page_names_what_was_read_and_what_was_not() {
    let books = Books::new();
    let path = fixture("claude_code.jsonl");
    let done: Done = books.import(&[path.to_str().expect("text")]).run().exits(0);
    let page = done.text().replace(path.to_str().expect("text"), "FILE");
    assert_eq!(
        page,
        "claude-code  5 rows read in 1 file: 3 new, at least $0.00484\n\
         \x20                   1 in the future: not booked\n\
         \x20                   1 broken: not read\n\
         \x20                   1 of the new have no known price\n\
         no price is known for unknown/house-model-1 (1 row)\n\
         FILE:5: no JSON: EOF while parsing a string\n"
    );
}

#[test]
fn an_imported_sum_is_priced_again_as_it_was() {
    let books = Books::new();
    for name in ["openai_usage.json", "anthropic_usage.json", "claude_code.jsonl", PARENT] {
        books.file(name, &[]);
    }
    let said = books.llmx(&["ledger", "reprice", "-j"]).run().exits(0).json();
    assert_eq!(said["total"]["change_usd"], "0", "{}", said["by_cause"]);
}

/// Rows of an export of calls.
fn rows_of(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn two_machines_books_become_one_and_nothing_is_counted_twice() {
    let there = Books::new();
    // Local servers give every answer one id.
    there.own("openai/gpt-4o", "chatcmpl-always-the-same-id", DAY_MS);
    for model in ["sim/lorem?tokens=40&usd_in=3&usd_out=15", "sim/echo", "sim/error?class=rate-limit"] {
        there.llmx(&["chat", "-m", model, "--project", "=1+1", "--tag", "env=prod", "--retries", "0", "hi"]).run();
    }
    for name in ["claude_code.jsonl", "litellm.json", "llm.db"] {
        if name == "llm.db" {
            llm_log(&there.folder.path().join(name));
            let path = there.folder.path().join(name);
            there.import(&[path.to_str().expect("text")]).run().exits(0);
        } else {
            there.file(name, &[]);
        }
    }
    let exported = |books: &Books, format: &str| {
        books.llmx(&["usage", "export", "all", "--format", format]).run().exits(0).text().to_owned()
    };
    let mut sent = rows_of(&exported(&there, "jsonl"));
    for format in ["jsonl", "csv"] {
        let here = Books::new();
        let path = here.written(&format!("there.{format}"), &exported(&there, format));
        let said = here.import(&[&path, "-j"]).run().exits(0).json();
        assert_eq!((&said["total"]["new"], &said["total"]["broken"]), (&json!(sent.len()), &json!(0)), "{said}");
        // What came is what was sent, but for whose it is and how its amount came about here.
        let mut came = rows_of(&exported(&here, "jsonl"));
        for row in came.iter_mut().chain(&mut sent) {
            if row["source"] == "llmx" {
                row["source"] = json!("llmx-export");
            }
            // An imported row that took no time has no duration.
            if row["total_ms"] == 0 {
                row["total_ms"] = Value::Null;
            }
            if row["basis"] == "table" {
                row["basis"] = json!("reported");
                row["table_usd"] = row["cost_usd"].clone();
            }
        }
        assert_eq!(came, sent, "{format}");
        here.are_whole();
        let before = here.dump();
        let again = here.import(&[&path, "-j"]).run().exits(0).json();
        assert_eq!(again["total"]["already_there"], json!(sent.len()), "{again}");
        // Back where they came from, they are known by their ids.
        let back = there.written(&format!("back.{format}"), &exported(&here, format));
        let said = there.import(&[&back, "-j"]).run().exits(0).json();
        assert_eq!((&said["total"]["new"], &said["total"]["same_as_own"]), (&json!(0), &json!(sent.len())), "{said}");
        // And the log of another tool that stands in both is one log.
        let said = here.file("claude_code.jsonl", &[]);
        assert_eq!((&said["new"], &said["same_as_own"]), (&json!(0), &json!(3)), "{said}");
        assert_eq!(here.dump(), before);
    }
}

#[test]
fn a_call_of_other_books_is_corrected_where_it_was_there_and_left_out_while_it_is_open() {
    let there = Books::new();
    there.own("openai/gpt-4o", "chatcmpl-of-our-own-000001", DAY_MS);
    let row = there.llmx(&["usage", "export", "all", "--format", "jsonl"]).run().exits(0).lines().remove(0);
    let with = |changes: Value| {
        let mut row = row.clone();
        row["id"] = json!("01a1f2d1-d400-7000-8000-0000000000aa");
        for (name, value) in changes.as_object().expect("changes") {
            row[name] = value.clone();
        }
        row
    };
    let here = Books::new();
    let read = |row: Value| here.import(&[&here.written("row.jsonl", &format!("{row}\n")), "-j"]).run().exits(0).json();
    let none = json!({"finished": null, "cost_usd": null, "cost_picos": null, "at_most_usd": null, "basis": null});
    assert_eq!(read(with(none))["total"]["unfinished"], 1);
    let tagged = json!({"tags": {"env": "prod", "no key": "x", "empty": ""}});
    assert_eq!(read(with(tagged))["total"]["usd"], "0.5");
    assert_eq!(here.query("SELECT tags FROM call"), ["{\"env\":\"prod\"}"]);
    let dearer =
        json!({"cost_usd": "0.75", "cost_picos": 750_000_000_000_i64, "at_most_usd": "0.75", "corrected": true});
    for corrected in [1, 0] {
        let said = read(with(dearer.clone()));
        assert_eq!(said["total"]["corrected"], corrected, "{said}");
    }
    // An older export takes nothing back.
    assert_eq!(read(with(json!({})))["total"]["already_there"], 1);
    assert_eq!(here.query("SELECT total_picos || '' FROM correction"), ["750000000000"]);
    here.are_whole();
    for (wrong, why) in [
        (json!({"cost_picos": 1}), "cost_usd and cost_picos"),
        (json!({"cost_usd": "-0.5", "cost_picos": -500_000_000_000_i64}), "no amount"),
        (json!({"cost_usd": null, "cost_picos": null}), "basis reported"),
        (json!({"at_most_usd": "0.1"}), "below"),
        (json!({"schema": 2}), "schema 2"),
        (json!({"source": "openai-usage"}), "openai-usage itself"),
        (json!({"id": "two\nlines"}), "no name"),
        (json!({"corrected": null}), "no corrected"),
    ] {
        let said = read(with(wrong));
        let problem = said["problems"][0]["why"].as_str().unwrap_or_default().to_owned();
        assert!(said["total"]["broken"] == 1 && problem.contains(why), "{why}: {said}");
    }
}

#[test]
fn what_llmx_exports_and_does_not_read_says_what_to_export() {
    let books = Books::new();
    books.own("openai/gpt-4o", "chatcmpl-of-our-own-000001", DAY_MS);
    let lines = books.llmx(&["usage", "export", "all", "--lines"]).run().exits(0);
    books.import(&[&books.written("lines.csv", lines.text())]).run().exits(2).says(&["without --lines"]);
    books.import(&[&books.written("calls.parquet", "PAR1...")]).run().exits(2).says(&[".jsonl"]);
}
