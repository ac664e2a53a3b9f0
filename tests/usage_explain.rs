//! `llmx usage --explain` and `llmx usage explain`: every sum is its lines, and every change is its causes.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use llmx::domain::bill::{Outcome, Quote};
use llmx::domain::budget::Claim;
use llmx::domain::model::ModelName;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Price, RecordLine, Settlement};
use llmx::domain::spend::Question;
use llmx::domain::spend::filter::Filter;
use llmx::domain::spend::period::Period;
use llmx::domain::usage::{Meter, Usage};
use llmx::domain::window::Zone;
use llmx::ledger::{Admission, Ledger, Patience};
use llmx::pricing::{Called, Context, Moment, Prices};
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

/// 2026-11-02T12:00:00Z and 2026-11-09T12:00:00Z, both Mondays.
const BEFORE: i64 = 1_793_620_800_000;
const NOW: i64 = BEFORE + 7 * DAY;
const DAY: i64 = 86_400_000;
const PERIODS: [&str; 3] = ["2026-11-09..2026-11-15", "vs", "2026-11-02..2026-11-08"];

struct Books {
    folder: tempfile::TempDir,
    ledger: Ledger,
    made: usize,
}

impl Books {
    fn new() -> Books {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens");
        Books { folder, ledger, made: 0 }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn book(&mut self, call: NewCall, settlement: &Settlement, at_ms: i64) -> String {
        self.made += 1;
        let id = format!("call-{:06}", self.made);
        let call = NewCall { id: id.clone(), command: "chat".into(), ..call };
        let quote = Quote::default();
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        let Admission::Granted(reserved) = self.ledger.admit(&call, &claim, at_ms).expect("admitted") else {
            panic!("no budget is in force")
        };
        self.ledger.settle(reserved, settlement, at_ms + 1_000).expect("settled");
        id
    }
}

fn llmx(db: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("llmx").expect("built");
    command.args(arguments).env_clear().env("LLMX_DB", db).env("LLMX_ZONE", "UTC");
    command.env("HOME", db.parent().expect("a folder"));
    command
}

fn told(db: &Path, arguments: &[&str], columns: Option<usize>) -> String {
    let mut command = llmx(db, arguments);
    if let Some(columns) = columns {
        command.env("COLUMNS", columns.to_string());
    }
    String::from_utf8(command.assert().success().get_output().stdout.clone()).expect("text")
}

fn object(db: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&told(db, arguments, None)).expect("JSON")
}

fn picos(value: &Value) -> i64 {
    Usd::parse(value.as_str().expect("an amount")).expect("a decimal").picos
}

fn call(model: &str, project: &str) -> NewCall {
    NewCall {
        provider: "openai".into(),
        model: model.into(),
        project: Some(project.into()),
        user: Some("ada".into()),
        tags: [("env".to_owned(), if project == "pay" { "prod" } else { "test" }.to_owned())].into(),
        ..NewCall::default()
    }
}

/// Tokens in and out at dollars per million.
fn bill(input: u64, output: u64, dollars: [u64; 2]) -> Settlement {
    let line = |meter: &str, quantity: u64, dollars: u64| RecordLine {
        meter: meter.into(),
        quantity,
        per: 1_000_000,
        rate: Some(dollars.to_string()),
        amount: Some(Usd::from_picos(i64::try_from(quantity * dollars * 1_000_000).expect("small"))),
        model: None,
    };
    let lines = vec![line("input", input, dollars[0]), line("output", output, dollars[1])];
    let total = lines.iter().filter_map(|line| line.amount).map(|amount| amount.picos).sum();
    let price = Price { table: "bundled".into(), version: "1".into(), entry: "openai/one".into(), ..Price::default() };
    Settlement {
        basis: "table".into(),
        total: Some(Usd::from_picos(total)),
        price: Some(price),
        lines,
        ..Settlement::default()
    }
}

/// Twenty calls of two projects, as they were before and, changed, as they are now; the ledger's time never goes back.
fn twenty(change: impl Fn(&mut Books, usize, NewCall, Settlement, i64)) -> Books {
    let mut books = Books::new();
    let by_day = || (0..7_u64).flat_map(|day| (0..20_u64).filter(move |n| n % 7 == day).map(move |n| (day, n)));
    for (week, (day, n)) in by_day().map(|one| (BEFORE, one)).chain(by_day().map(|one| (NOW, one))) {
        let number = usize::try_from(n).expect("small");
        let at_ms = week + i64::try_from(day).expect("small") * DAY;
        let project = if n % 4 == 0 { "pay" } else { "web" };
        let (model, rates) = if n % 3 == 0 { ("one", [3, 15]) } else { ("two", [1, 4]) };
        let settlement = bill(1_000 + 317 * n, 100 + 41 * n, rates);
        if week == BEFORE {
            books.book(call(model, project), &settlement, at_ms);
        } else {
            change(&mut books, number, call(model, project), settlement, at_ms);
        }
    }
    books
}

/// The JSON of a change whose parts, and whose carriers, add up.
fn explained(books: &Books, arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["usage", "explain"].into_iter().chain(arguments.iter().copied()).chain(["-j"]).collect();
    let object = object(&books.path(), &all);
    let difference = picos(&object["difference_usd"]);
    assert_eq!(difference, picos(&object["now"]["usd"]) - picos(&object["before"]["usd"]));
    let parts = object["parts"].as_object().expect("parts");
    assert_eq!(parts.len(), 11);
    assert_eq!(parts.values().map(picos).sum::<i64>(), difference, "{object:#}");
    let projects = object["projects"].as_array().expect("projects");
    let of_projects = projects.iter().flat_map(|project| project["parts"].as_object().expect("parts").values());
    assert_eq!(of_projects.map(picos).sum::<i64>(), difference, "{object:#}");
    for (name, values) in object["carried_by"].as_object().expect("carriers") {
        let values = values.as_array().expect("values");
        assert_eq!(values.iter().map(|value| picos(&value["usd"])).sum::<i64>(), difference, "{name}: {object:#}");
    }
    object
}

/// Of the whole difference the cause makes all but a few picodollars.
fn is_the_cause(books: &Books, cause: &str) -> Value {
    let object = explained(books, &PERIODS);
    let (part, all) = (picos(&object["parts"][cause]), picos(&object["difference_usd"]));
    assert_eq!(object["cause"], cause, "{object:#}");
    assert!((part - all).abs() < 1_000, "{object:#}");
    object
}

#[test]
fn more_calls_of_a_project_are_named_in_the_first_sentence() {
    let books = twenty(|books, _, call, settlement, at_ms| {
        let again = if call.project.as_deref() == Some("pay") { 3 } else { 1 };
        for _ in 0..again {
            books.book(call.clone(), &settlement, at_ms);
        }
    });
    let object = is_the_cause(&books, "calls");
    assert_eq!(object["carried_by"]["project"][0]["value"], "pay");
    assert_eq!(picos(&object["carried_by"]["project"][1]["usd"]), 0);
    let text = told(&books.path(), &[&["usage", "explain"], &PERIODS[..]].concat(), None);
    let first = text.lines().next().expect("a sentence");
    assert!(first.starts_with("Spend rose by $") && first.contains("mostly more calls (+$"), "{text}");
    assert!(first.ends_with("of project pay."), "{text}");
    assert!(text.contains("20 → 30 calls"), "{text}");
}

#[test]
fn another_model_a_price_change_and_failures_are_told_apart() {
    let moved = twenty(|books, n, call, settlement, at_ms| {
        let [input, output] = [0, 1].map(|line| settlement.lines[line].quantity);
        match n % 5 {
            0 => books.book(NewCall { model: "dear".into(), ..call }, &bill(input, output, [15, 75]), at_ms),
            _ => books.book(call, &settlement, at_ms),
        };
    });
    is_the_cause(&moved, "model-mix");

    let dearer = twenty(|books, _, call, settlement, at_ms| {
        let [input, output] = [0, 1].map(|line| settlement.lines[line].quantity);
        let rates = if call.model == "one" { [6, 30] } else { [2, 8] };
        books.book(call, &bill(input, output, rates), at_ms);
    });
    let object = is_the_cause(&dearer, "price");
    assert!(object["said"].as_str().expect("said").contains("(+100 %), mostly higher prices"), "{object:#}");
    assert!(object["rates"].as_array().expect("rates").iter().any(|rate| {
        rate["meter"] == "output" && rate["before_usd_per_million"] == "15" && rate["now_usd_per_million"] == "30"
    }));

    let failing = twenty(|books, n, call, settlement, at_ms| {
        let failed = Settlement { error_class: Some("overloaded".into()), ..Settlement::nothing("") };
        books.book(call, if n % 6 == 0 { &failed } else { &settlement }, at_ms);
    });
    let object = is_the_cause(&failing, "failures");
    assert!(object["said"].as_str().expect("said").contains("mostly answers lost to failures"), "{object:#}");

    let retried = twenty(|books, n, call, settlement, at_ms| {
        let failed = Settlement { error_class: Some("protocol".into()), ..settlement.clone() };
        let first = (n % 6 == 0).then(|| books.book(call.clone(), &failed, at_ms));
        books.book(NewCall { retry_of: first, ..call }, &settlement, at_ms + 1);
    });
    is_the_cause(&retried, "failures");
}

#[test]
fn longer_prompts_and_thinking_are_told_apart_with_their_figures() {
    let longer = twenty(|books, _, call, settlement, at_ms| {
        let rates = if call.model == "one" { [3, 15] } else { [1, 4] };
        let [input, output] = [0, 1].map(|line| settlement.lines[line].quantity);
        books.book(call, &bill(input * 2, output, rates), at_ms);
    });
    is_the_cause(&longer, "input-size");
    let thinking = twenty(|books, _, call, settlement, at_ms| {
        let rates = if call.model == "one" { [3, 15] } else { [1, 4] };
        let [input, output] = [0, 1].map(|line| settlement.lines[line].quantity);
        books.book(call, &Settlement { reasoning: Some(500), ..bill(input, output + 500, rates) }, at_ms);
    });
    is_the_cause(&thinking, "reasoning");
    let text = told(&thinking.path(), &[&["usage", "explain"], &PERIODS[..]].concat(), None);
    assert!(text.contains("0 → 500 tokens a call"), "{text}");
}

#[test]
fn calls_without_a_price_are_counted_and_make_the_sum_a_least() {
    let books = twenty(|books, n, call, settlement, at_ms| {
        let unknown = Settlement { basis: "unpriced".into(), total: None, price: None, ..settlement.clone() };
        let unknown = Settlement {
            lines: unknown.lines.iter().map(|line| RecordLine { rate: None, amount: None, ..line.clone() }).collect(),
            ..unknown
        };
        books.book(call, if n % 5 == 0 { &unknown } else { &settlement }, at_ms);
    });
    let object = is_the_cause(&books, "unknown-price");
    assert_eq!(object["now"]["unpriced"], 4);
    let page = told(&books.path(), &["usage", "2026-11", "--explain"], None);
    let whole = page.split(" = ").next().unwrap_or_default().to_owned();
    assert!(whole.starts_with("at least $") && page.contains(&format!("\ntotal = {whole}\n")), "{page}");
    let text = told(&books.path(), &[&["usage", "explain"], &PERIODS[..]].concat(), None);
    assert!(text.contains("No price is known of 4 calls now, 0 before: it is at least so much now."), "{text}");
    let sums = self::object(&books.path(), &["usage", PERIODS[0], "--explain", "-j"]);
    assert_eq!(sums["unpriced"]["calls"], 4);
    assert!(sums["unpriced"]["units"]["input"].as_u64() > Some(4_000), "{sums:#}");
}

#[test]
fn periods_that_overlap_or_make_no_sense_are_refused_and_others_are_said() {
    let books = twenty(|books, _, call, settlement, at_ms| {
        books.book(call, &settlement, at_ms);
    });
    let path = books.path();
    for (arguments, said) in [
        (vec!["2026-11-09..2026-11-15", "vs", "2026-11-01..2026-11-09"], "overlap"),
        (vec!["2026-11-09", "vs"], "a period is missing"),
        (vec!["2026-11-09", "2026-11-08"], "vs between them"),
        (vec!["2026-11-09", "against", "2026-11-08"], "vs between them"),
        (vec!["2026-11-09", "vs", "eternity"], "no period"),
    ] {
        let all = [vec!["usage", "explain"], arguments].concat();
        let output = llmx(&path, &all).assert().code(2).get_output().stderr.clone();
        assert!(String::from_utf8_lossy(&output).contains(said), "{all:?}: {}", String::from_utf8_lossy(&output));
    }
    let tell = |arguments: &[&str]| told(&path, &[&["usage", "explain"], arguments].concat(), None);
    assert!(tell(&PERIODS).starts_with("Spend is the same: $"), "{}", tell(&PERIODS));
    // The period before is as long as the one that is asked for.
    assert_eq!(tell(&PERIODS), tell(&PERIODS[..1]));
    let lengths = tell(&["2026-11-09..2026-11-15", "vs", "2026-11-02..2026-11-05"]);
    assert!(lengths.contains("7 days now, 4 before") && lengths.contains(" a day"), "{lengths}");
    let new = tell(&["2026-11-09..2026-11-15", "vs", "2026-10"]);
    assert!(new.contains("there was no call in the period before, so all of it is new"), "{new}");
    assert!(tell(&["2026-08", "vs", "2026-07"]).starts_with("Nothing was called in either period."));
    let only = explained(&books, &["2026-11-09..2026-11-15", "--where", "project=pay"]);
    assert_eq!(only["now"]["calls"], 5);
    let berlin = tell(&["2026-11-09..2026-11-15", "--zone", "Europe/Berlin"]);
    assert!(berlin.contains("(Europe/Berlin)"), "{berlin}");
}

#[test]
fn every_screen_of_a_change_adds_up_as_it_is_shown() {
    let books = twenty(|books, n, call, settlement, at_ms| {
        let rates = if call.model == "one" { [4, 17] } else { [1, 3] };
        let [input, output] = [0, 1].map(|line| settlement.lines[line].quantity);
        let long = format!("a-project-with-a-very-long-name-{}", n % 8);
        books.book(call.clone(), &bill(input * 3 + 7, output + 13, rates), at_ms);
        books.book(NewCall { project: Some(long), ..call }, &bill(input, output, rates), at_ms);
    });
    let arguments = [&["usage", "explain"], &PERIODS[..]].concat();
    for columns in [60, 80, 120, 200] {
        let text = told(&books.path(), &arguments, Some(columns));
        assert!(text.lines().all(|line| line.width() <= columns), "{columns}: {text}");
    }
    let text = told(&books.path(), &arguments, None);
    let signed = |line: &str| {
        let amount = line.split_whitespace().find(|word| word.starts_with("+$") || word.starts_with("-$"))?;
        Usd::parse(&amount.replacen(['+', '$'], "", 2).replace("-$", "-").replace('$', ""))
    };
    let blocks: Vec<&str> = text.split("\n\n").collect();
    let parts: Vec<i64> = blocks[2].lines().filter_map(signed).map(|amount| amount.picos).collect();
    let (difference, parts) = parts.split_last().expect("a difference");
    assert_eq!(parts.iter().sum::<i64>(), *difference, "{text}");
    for block in &blocks[3..] {
        let changes = block.lines().filter_map(signed).map(|amount| amount.picos).sum::<i64>();
        assert_eq!(changes, *difference, "{block}");
    }
    insta::assert_snapshot!("change_80", told(&books.path(), &arguments, Some(80)));
}

/// A month with all kinds of amounts; with so many calls that the program's own table prices.
fn month(by_table: usize) -> Books {
    let mut books = Books::new();
    let prices = Prices::bundled();
    let quantities = |list: &[(Meter, u64)]| {
        let mut usage = Usage::default();
        list.iter().for_each(|(meter, count)| usage.set(*meter, *count));
        usage
    };
    let usages = [
        quantities(&[(Meter::Input, 100), (Meter::CacheRead, 1_000), (Meter::Output, 50)]),
        quantities(&[
            (Meter::Input, 12_345),
            (Meter::CacheWrite5m, 777),
            (Meter::Output, 1_234),
            (Meter::WebSearch, 2),
        ]),
    ];
    for n in 0..by_table {
        let region = if n % 2 == 0 { Some("us-east-1".to_owned()) } else { None };
        let (provider, model) = if n % 2 == 0 {
            ("bedrock", "us.anthropic.claude-opus-4-5-20251101-v1:0")
        } else {
            ("anthropic", "claude-opus-4-5")
        };
        let name = ModelName { provider: provider.into(), region: region.clone(), model: model.into() };
        let context = Context::new();
        let called = Called {
            name: &name,
            served: None,
            at: Moment::from_ms(NOW),
            context: &context,
            quote: None,
            request_bytes: None,
            answer_bytes: 0,
            simulated: false,
        };
        let bill = prices.bill(&called, &Outcome::Reported(usages[usize::from(n % 2 == 1)].clone()));
        assert!(bill.total.is_some(), "{bill:?}");
        let lines = bill.lines.iter().map(|line| RecordLine {
            meter: line.meter.key().into(),
            quantity: line.quantity,
            per: if line.meter == Meter::WebSearch { 1_000 } else { 1_000_000 },
            rate: Some(line.rate.clone()),
            amount: Some(line.usd),
            model: None,
        });
        let charge = Usd::from_picos(bill.total.expect("priced").picos + 1_234_567);
        let stated = n == 10;
        let settlement = Settlement {
            basis: if stated { "reported" } else { "table" }.into(),
            total: if stated { Some(charge) } else { bill.total },
            table: if stated { bill.total } else { None },
            price: bill.price.as_ref().map(Price::of),
            lines: lines.collect(),
            ..Settlement::default()
        };
        let call = NewCall { provider: provider.into(), model: model.into(), region, ..NewCall::default() };
        let group = (n < 2).then(|| "group-0001".to_owned());
        books.book(NewCall { group, ..call }, &settlement, NOW + i64::try_from(n).expect("small"));
    }
    // Half a picodollar a token: what lines round away stands in the sum as a line.
    let mut half = bill(3, 0, [1, 1]);
    half.lines.truncate(1);
    (half.lines[0].rate, half.lines[0].amount) = (Some("0.0000005".into()), Some(Usd::from_picos(2)));
    half.total = Some(Usd::from_picos(2));
    for _ in 0..2 {
        books.book(call("tiny", "pay"), &half, NOW + 50);
    }
    let plain = |basis: &str, total: i64, at_most: Option<i64>| Settlement {
        basis: basis.into(),
        total: Some(Usd::from_picos(total)),
        at_most: at_most.map(Usd::from_picos),
        ..Settlement::default()
    };
    books.book(call("one", "pay"), &plain("ceiling", 9_000_000_000, Some(9_000_000_000)), NOW + 60);
    books.book(call("one", "pay"), &plain("simulated", 5_000_000, None), NOW + 61);
    books.book(call("one", "pay"), &plain("nothing", 0, None), NOW + 62);
    let estimated = Settlement {
        basis: "estimated".into(),
        at_most: Some(Usd::from_picos(80_000_000_000)),
        ..bill(10, 20, [3, 15])
    };
    books.book(call("one", "pay"), &estimated, NOW + 63);
    books
}

#[test]
fn a_sum_is_taken_apart_into_lines_that_add_up_to_the_picodollar() {
    let mut books = month(12);
    let zone = Zone::utc();
    let period = Period::parse("2026-11", NOW, &zone).expect("a month");
    let question = Question { period, by: Vec::new(), filter: Filter::default() };
    let wanted = books.ledger.spend(&question).expect("added up").total.picos;
    let path = books.path();
    let object = object(&path, &["usage", "2026-11", "--explain", "-j"]);
    assert_eq!(i128::from(picos(&object["usd"])), wanted);
    let sum = |list: &Value| list.as_array().expect("a list").iter().map(|one| picos(&one["usd"])).sum::<i64>();
    let rounding = picos(&object["rounding"]["usd"]);
    assert_eq!(sum(&object["lines"]) + sum(&object["beside"]) + rounding, picos(&object["usd"]), "{object:#}");
    // 6 units at half a picodollar are 3; twice 3 of them were booked as 2 each.
    assert_eq!((rounding, object["rounding"]["calls"].as_u64()), (1, Some(2)));
    let lines = object["lines"].as_array().expect("lines");
    let line = |model: &str, meter: &str| {
        lines.iter().find(|line| line["model"] == model && line["meter"] == meter).expect("a line")
    };
    // $5 a million at 11/10 in the geography; the row says both.
    let bedrock = line("bedrock/us.anthropic.claude-opus-4-5-20251101-v1:0", "input");
    assert_eq!((bedrock["quantity"].as_str(), bedrock["rate_usd"].as_str()), (Some("600"), Some("5.5")));
    assert_eq!(bedrock["made"]["base_usd"], "5");
    assert_eq!(bedrock["made"]["factors"][0]["factor"], "1.1");
    assert!(bedrock["made"]["from"].as_str().expect("a place").starts_with("bundled:"), "{bedrock:#}");
    let text = told(&path, &["usage", "2026-11", "--explain"], None);
    assert!(text.contains("    $5.5 = $5 × 1.1 (profiles.claude-geo.us)"), "{text}");
    let written = line("anthropic/claude-opus-4-5", "cache_write");
    assert_eq!((&written["made"]["base_usd"], &written["made"]["factors"][0]["factor"]), (&"5".into(), &"1.25".into()));
    assert_eq!(line("openai/tiny", "input")["made"], Value::Null);
    assert_eq!(object["estimated"]["at_most_usd"], "0.089");

    for columns in [None, Some(60), Some(80), Some(120), Some(200)] {
        let text = told(&path, &["usage", "2026-11", "--explain"], columns);
        let too_wide = |line: &&str| columns.is_some_and(|columns| line.width() > columns);
        let long: Vec<&str> = text.lines().filter(too_wide).collect();
        assert_eq!(long, [""; 0], "{text}");
        let amounts: Vec<i64> =
            text.lines().filter_map(|line| Usd::parse(line.rsplit_once("= $")?.1)).map(|amount| amount.picos).collect();
        let (total, parts) = amounts.split_last().expect("a total");
        assert_eq!((i128::from(*total), parts.iter().sum::<i64>()), (wanted, *total), "{text}");
    }
    // What the bundled table says changes: the picture is of what it does not price.
    let plain = month(0);
    for columns in [60, 100] {
        let text = told(&plain.path(), &["usage", "2026-11", "--explain"], Some(columns));
        insta::assert_snapshot!(format!("sums_{columns}"), text);
    }
}

#[test]
fn a_call_and_a_group_are_explained_for_themselves() {
    let mut books = month(12);
    let id = books.book(call("one", "pay"), &bill(10, 20, [3, 15]), NOW + 70);
    let path = books.path();
    let one = told(&path, &["usage", &format!("--explain={id}")], None);
    assert!(one.starts_with(&format!("$0.00033 = call {id}, openai/one, ")), "{one}");
    assert!(one.contains("input   10  × $3 / 1,000,000") && one.contains("= $0.0003\n"), "{one}");
    let group = object(&path, &["usage", "--explain=group-0001", "-j"]);
    let each = group["each"].as_array().expect("calls");
    assert_eq!(each.iter().map(|call| picos(&call["usd"])).sum::<i64>(), picos(&group["usd"]));
    assert_eq!((each.len(), group["group"].as_str()), (2, Some("group-0001")));
    assert!(told(&path, &["usage", "--explain=group-0001"], None).contains("all 2 together = $"));
    llmx(&path, &["usage", "--explain=no-such-call"]).assert().code(1);
    llmx(&path, &["usage", "today", "--explain=group-0001"]).assert().code(2);
}
