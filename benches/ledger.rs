//! What the books add to a call, beside a bare commit of SQLite on the same disk in the same run.
//!
//! `cargo bench --bench ledger` prints times of one process alone and of 8 and 64 at once. Absolute times hold on no other
//! machine: read them beside the bare commit. `cargo bench --bench ledger -- --kills 10000` runs the kill loop of the tests.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::figure::{Figure, p50_p99, quantile};
use common::table::{Goal, Row, Table};
use common::{after, folder, rivals};
use llmx::domain::bill::Quote;
use llmx::domain::budget::Claim;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Price, RecordLine, Settlement};
use llmx::ledger::{Admission, Ledger, Patience};
use serde_json::json;

/// 2026-11-22T00:00:00Z.
const NOW: i64 = 1_795_305_600_000;
const STEPS: [&str; 6] = ["bare commit", "open", "reserve", "settle", "close", "open to settle"];

fn main() {
    if let Some(path) = after("--child") {
        return child(Path::new(&path), after("--calls").and_then(|calls| calls.parse().ok()).unwrap_or(1));
    }
    if let Some(kills) = after("--kills") {
        return kill(&kills);
    }
    if !common::asked() {
        return;
    }
    let calls = after("--calls").and_then(|calls| calls.parse().ok()).unwrap_or(400);
    let mut table = Table::begin("ledger").expect("written");
    println!("milliseconds: p50 / p99; every call opens the ledger anew, as a command does\n");
    print!("{:>10}", "processes");
    STEPS.iter().for_each(|step| print!("{step:>18}"));
    println!();
    for processes in [1, 8, 64] {
        let times = measured(processes, calls / processes.min(8));
        print!("{processes:>10}");
        times.iter().for_each(|step| print!("{:>18}", p50_p99(step)));
        println!();
        for row in rows(processes, &times) {
            table.add(row);
        }
    }
    table.finish().expect("written");
}

/// Both commits of a call beside a bare one.
fn rows(processes: usize, times: &[Vec<Duration>]) -> [Row; 2] {
    let both: Vec<Duration> = times[2].iter().zip(&times[3]).map(|(reserve, settle)| *reserve + *settle).collect();
    // The goal is that of a call that has no rivals.
    [(50, 2), (99, 20)].map(|(percent, most)| {
        let figure = |times: &[Duration]| Ok(Figure::time(quantile(times, percent)));
        let plural = if processes == 1 { "process" } else { "processes" };
        Row::new(&format!("ledger, both commits of a call, p{percent}, {processes} {plural}"), figure(&both))
            .beside("one bare SQLite commit, a file for each process", figure(&times[0]))
            .goal((processes == 1).then(|| Goal::Most(Figure::millis(most))))
    })
}

/// All times of each step, over all processes.
fn measured(processes: usize, calls: usize) -> Vec<Vec<Duration>> {
    let folder = tempfile::tempdir_in(folder()).expect("a folder on the disk of the build");
    let path = folder.path().join("ledger.db");
    once(&path, 0);
    let children = rivals::start(processes, |_| {
        let mut child = rivals::play(&["--calls", &calls.to_string(), "--child"]);
        child.arg(&path);
        child
    });
    let mut times = vec![Vec::new(); STEPS.len()];
    for line in rivals::lines(children) {
        for (step, nanos) in times.iter_mut().zip(line.split(' ')) {
            step.push(Duration::from_nanos(nanos.parse().expect("a number")));
        }
    }
    let ledger = Ledger::open(&path, Patience::default()).expect("opens");
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    assert_eq!(times[0].len(), processes * calls, "a call is missing");
    times
}

fn child(path: &Path, calls: usize) {
    let own = path.with_extension(format!("{}.bare", std::process::id()));
    let bare = rivals::bare(&own, "bare (id INTEGER PRIMARY KEY, text TEXT)");
    for n in 0..calls {
        let began = Instant::now();
        bare.execute("INSERT INTO bare (text) VALUES (?1)", ["x".repeat(600)]).expect("written");
        let committed = began.elapsed();
        let steps = once(path, n);
        let steps = steps.iter().map(|step| step.as_nanos().to_string()).collect::<Vec<_>>().join(" ");
        println!("{} {steps}", committed.as_nanos());
    }
}

/// One call as a command makes it: the times of open, reserve, settle, close, and of the first three together.
fn once(path: &Path, n: usize) -> [Duration; 5] {
    let (call, settlement) = (call(n), settlement());
    let began = Instant::now();
    let mut ledger = Ledger::open(path, Patience::default()).expect("opens");
    let opened = began.elapsed();
    let quote = Quote { ceiling: call.ceiling, ..Quote::default() };
    let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
    let Admission::Granted(reservation) = ledger.admit(&call, &claim, NOW).expect("admitted") else {
        panic!("no budget is in force");
    };
    let reserved = began.elapsed();
    ledger.settle(reservation, &settlement, NOW + 1).expect("settled");
    let settled = began.elapsed();
    drop(ledger);
    let closed = began.elapsed();
    [opened, reserved - opened, settled - reserved, closed - settled, settled]
}

fn call(n: usize) -> NewCall {
    NewCall {
        id: format!("{}-{n}-{:?}", std::process::id(), Instant::now()),
        command: "chat".into(),
        provider: "openai".into(),
        model: "gpt-x".into(),
        parameters: json!({"max_tokens": 64}),
        ceiling: Some(Usd::from_picos(5_000_000)),
        prompt: Some(json!({"messages": [{"role": "user", "parts": [{"text": "Why is the sky blue? ".repeat(20)}]}]})),
        ..NewCall::default()
    }
}

fn settlement() -> Settlement {
    let line = |meter: &str| RecordLine {
        meter: meter.into(),
        quantity: 30,
        per: 1_000_000,
        rate: Some("1".into()),
        amount: Some(Usd::from_picos(30_000_000)),
        model: None,
    };
    Settlement {
        usage_raw: Some(json!({"prompt_tokens": 30, "completion_tokens": 80, "total_tokens": 110})),
        basis: "table".into(),
        total: Some(Usd::from_picos(90_000_000)),
        price: Some(Price { table: "bundled".into(), entry: "openai/gpt-x".into(), ..Price::default() }),
        lines: ["input", "cache_read", "output"].map(line).into(),
        answer: Some(json!({"parts": [{"text": "Because of Rayleigh scattering. ".repeat(20)}]})),
        ..Settlement::default()
    }
}

/// The kill loop is a test: the benchmark only asks for more of it.
fn kill(kills: &str) {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(["test", "--test", "ledger", "--", "--nocapture", "whenever_a_process_is_killed"]);
    let done = cargo.env("LEDGER_KILLS", kills).status().expect("cargo runs");
    assert!(done.success(), "the kill loop failed");
}
