//! What a budget lets through, and what it costs to ask: beside a ledger that looks first and records later, and beside a
//! bare commit of SQLite, in the same run.
//!
//! `cargo bench --bench budget` prints rounds of 200 rivals (`LLMX_BUDGET_ROUNDS`, default 5), and times of `admit` in an
//! empty ledger and in one with 100,000 calls. Absolute times hold on no other machine: read them beside the bare commit.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::figure::{Figure, p50_p99, quantile};
use common::table::{Goal, Row, Table};
use common::{after, folder, rivals};
use llmx::domain::bill::Quote;
use llmx::domain::budget::{Account, Budget, Claim, OnUnknownPrice, Origin, Scope};
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Settlement};
use llmx::domain::window::{Window, Zone};
use llmx::ledger::{Admission, Ledger, Patience};
use serde_json::json;

/// 2026-11-22T00:00:00Z.
const NOW: i64 = 1_795_305_600_000;
const RIVALS: usize = 200;
/// The most that a rival's call can cost, in picodollars, and how many such calls the limit is for.
const MOST: u64 = 1_000_000;
const FITTING: u64 = 60;
const CALLS_BEFORE: usize = 100_000;

fn main() {
    let number = |flag: &str| after(flag).and_then(|number| number.parse::<u64>().ok()).unwrap_or(1);
    if let Some(path) = after("--child") {
        let path = Path::new(&path);
        return match after("--work").as_deref() {
            Some("admit") => rival(path, number("--seed")),
            Some("naive") => naive_rival(path, number("--seed")),
            _ => timed(path, number("--calls"), after("--work").as_deref() == Some("rolling")),
        };
    }
    if !common::asked() {
        return;
    }
    let mut table = Table::begin("budget").expect("written");
    overshoot(&mut table);
    times(&mut table);
    table.finish().expect("written");
}

/// Rounds of rivals against one limit, once with the ledger and once with a table that is asked first and told later.
fn overshoot(table: &mut Table) {
    let rounds: u64 = std::env::var("LLMX_BUDGET_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    println!(
        "{rounds} rounds of {RIVALS} processes that want a call each; the limit is for {FITTING} of the dearest\n"
    );
    println!("{:>24}{:>18}{:>18}{:>18}", "", "rounds above it", "worst overshoot", "used of it, mean");
    let [ours, naive] = [("admit", "admit, then settle"), ("naive", "check, then record")].map(|(work, name)| {
        let (mut above, mut worst, mut used) = (0, 0, 0);
        for round in 0..rounds {
            let folder = tempfile::tempdir_in(folder()).expect("a folder on the disk of the build");
            let path = folder.path().join("ledger.db");
            if work == "admit" {
                drop(open(&path))
            } else {
                drop(bare(&path))
            }
            let children =
                rivals::start(RIVALS, |n| child(&path, work, &["--seed", &(round * 1_000 + n as u64).to_string()]));
            let charged: u64 = rivals::lines(children).iter().map(|line| parsed(line)).sum();
            let limit = MOST * FITTING;
            above += u64::from(charged > limit);
            worst = worst.max(charged.saturating_sub(limit) * 1_000 / limit);
            used += charged * 1_000 / limit;
        }
        println!("{name:>24}{above:>18}{:>18}{:>18}", percent(worst), percent(used / rounds.max(1)));
        Figure::count(above)
    });
    println!();
    let path = format!("rounds of {rounds} above the cap, {RIVALS} rival processes");
    let row = Row::new(&path, Ok(ours)).beside("check, then record:", Ok(naive));
    table.add(row.goal(Some(Goal::Most(Figure::count(0)))));
}

/// Tenths of a percent.
fn percent(permille: u64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// Prints what the call truly cost, where it was sent.
fn rival(path: &Path, seed: u64) {
    let (ceiling, truth) = costs(seed);
    let mut ledger = open(path);
    let budgets = [budget("all", Window::Total, amount(MOST * FITTING))];
    if let Some(reservation) = admit(&mut ledger, &seed.to_string(), &budgets, ceiling, NOW) {
        std::thread::sleep(ANSWERING);
        println!("{truth}");
        ledger.settle(reservation, &cost(truth), NOW + 1).expect("settled");
    }
}

/// How long a provider takes to answer.
const ANSWERING: Duration = Duration::from_millis(5);

/// The same, as it is done where spend is recorded after the answer.
fn naive_rival(path: &Path, seed: u64) {
    let (_, truth) = costs(seed);
    let bare = bare(path);
    let spent: i64 = bare.query_row("SELECT coalesce(sum(picos), 0) FROM spend", [], |row| row.get(0)).expect("looked");
    if spent < amount(MOST * FITTING).picos {
        std::thread::sleep(ANSWERING);
        println!("{truth}");
        bare.execute("INSERT INTO spend (picos) VALUES (?1)", [amount(truth).picos]).expect("recorded");
    }
}

/// The ceiling of a rival's call, between a half and the whole of the most, and its truth, the same again of that.
fn costs(seed: u64) -> (u64, u64) {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut half_of = |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        most / 2 + state % (most / 2 + 1)
    };
    let ceiling = half_of(MOST);
    (ceiling, half_of(ceiling))
}

/// Admission alone and among others, where the books are empty and where they are full.
fn times(table: &mut Table) {
    println!(
        "milliseconds: p50 / p99, each process with the ledger open; five budgets, one of them over rolling 30 days\n"
    );
    print!("{:>12}{:>12}", "processes", "calls");
    ["bare commit", "no budget", "4 calendar", "with rolling", "settle"].iter().for_each(|step| print!("{step:>18}"));
    println!();
    let folder = tempfile::tempdir_in(folder()).expect("a folder on the disk of the build");
    let full = folder.path().join("full.db");
    fill(&full);
    for (name, calls) in [("empty", 0), ("full", CALLS_BEFORE)] {
        for processes in [1, 8, 64] {
            let path = folder.path().join(format!("{name}-{processes}.db"));
            if calls > 0 {
                std::fs::copy(&full, &path).expect("copied");
            }
            drop(open(&path));
            let each = (480 / processes).max(10).to_string();
            let mut steps = vec![Vec::new(); 5];
            for (work, columns) in [("calendar", [0, 1, 2, 4]), ("rolling", [0, 1, 3, 4])] {
                let children = rivals::start(processes, |_| child(&path, work, &["--calls", &each]));
                for line in rivals::lines(children) {
                    for (column, nanos) in columns.into_iter().zip(line.split(' ')) {
                        steps[column].push(Duration::from_nanos(parsed(nanos)));
                    }
                }
            }
            print!("{processes:>12}{calls:>12}");
            steps.iter().for_each(|step| print!("{:>18}", p50_p99(step)));
            println!();
            for row in rows(processes, calls, &steps) {
                table.add(row);
            }
            assert_eq!(open(&path).check().expect("reads"), Vec::<String>::new());
        }
    }
}

/// Admission under five budgets, beside a bare commit and beside the same without a budget.
fn rows(processes: usize, calls: usize, steps: &[Vec<Duration>]) -> Vec<Row> {
    let plural = if processes == 1 { "process" } else { "processes" };
    let floors = [(50, "bare commit", 0), (50, "admit without a budget", 1), (99, "bare commit", 0)];
    let rows = floors.into_iter().map(|(percent, floor, at)| {
        let figure = |times: &[Duration]| Ok(Figure::time(quantile(times, percent)));
        let path = format!("budget admit, p{percent}, {processes} {plural}, {calls} calls in the books");
        Row::new(&path, figure(&steps[3])).beside(floor, figure(&steps[at]))
    });
    rows.collect()
}

/// Calls of the last thirty days, settled, with the accounts that the timed budgets ask for.
fn fill(path: &Path) {
    let mut ledger = open(path);
    let first = NOW - 30 * 86_400_000;
    let reservation = admit(&mut ledger, "first", &budgets(true), 1, first).expect("it fits");
    ledger.settle(reservation, &cost(1), first).expect("settled");
    drop(ledger);
    // One transaction: a hundred thousand durable commits would take minutes, and the sums are made anew below.
    let mut raw = rusqlite::Connection::open(path).expect("opens");
    let rows = raw.transaction().expect("begun");
    for n in 0..CALLS_BEFORE {
        let opened_ms = first + 30 * 86_400 * i64::try_from(n).expect("small") / 100;
        rows.prepare_cached(
            "INSERT INTO call (id, opened_ms, command, provider, model, tags, parameters, ceiling_picos, host, boot,
                pid_space, pid, process_start)
             VALUES (?1, ?2, 'chat', 'openai', 'gpt-x', '{}', '{}', 9, 'h', 'b', 's', 1, 'x')",
        )
        .and_then(|mut insert| insert.execute((format!("before-{n}"), opened_ms)))
        .expect("added");
        let seq = rows.last_insert_rowid();
        rows.prepare_cached(
            "INSERT INTO settlement (call, finished_ms, cost_basis, total_picos, notes) VALUES (?1, ?2, 'reported', 7, '[]')",
        )
        .and_then(|mut insert| insert.execute((seq, opened_ms)))
        .expect("added");
    }
    rows.commit().expect("written");
    drop(raw);
    let mut ledger = open(path);
    ledger.rebuild().expect("made anew");
    assert_eq!(ledger.standings(&budgets(true)[4..], NOW).expect("read")[0].calls, CALLS_BEFORE as u64 + 1);
    drop(ledger);
    let raw = rusqlite::Connection::open(path).expect("opens");
    raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("moved into the file");
}

/// Times of a bare commit, of admission without and with budgets, and of a settlement.
fn timed(path: &Path, calls: u64, rolling: bool) {
    let bare = bare(&path.with_extension(format!("{}.bare", std::process::id())));
    let budgets = budgets(rolling);
    let mut ledger = open(path);
    for n in 0..calls {
        let id = format!("{}-{rolling}-{n}", std::process::id());
        let began = Instant::now();
        bare.execute("INSERT INTO spend (picos) VALUES (1)", []).expect("written");
        let committed = began.elapsed();
        let mut made = |id: &str, budgets: &[Budget]| {
            let began = Instant::now();
            let reservation = admit(&mut ledger, id, budgets, 9, NOW).expect("it fits");
            let admitted = began.elapsed();
            ledger.settle(reservation, &cost(7), NOW).expect("settled");
            (admitted, began.elapsed() - admitted)
        };
        // In turns, since whoever comes back from elsewhere waits for those that hold the ledger.
        let ((free, _), (admitted, settled)) = if n % 2 == 0 {
            let free = made(&format!("{id}-free"), &[]);
            (free, made(&id, &budgets))
        } else {
            let budgeted = made(&id, &budgets);
            (made(&format!("{id}-free"), &[]), budgeted)
        };
        let times = [committed, free, admitted, settled];
        println!("{}", times.map(|time| time.as_nanos().to_string()).join(" "));
    }
}

fn budgets(rolling: bool) -> Vec<Budget> {
    let limit = Usd::from_picos(i64::MAX);
    let month = Window::Month { anchor: 1 };
    let mut budgets = vec![
        budget("total", Window::Total, limit),
        budget("month", month, limit),
        budget("week", Window::Week, limit),
        budget("day", Window::Day, limit),
    ];
    if rolling {
        budgets.push(budget("rolling", Window::Rolling { ms: 30 * 86_400_000 }, limit));
    }
    budgets
}

fn budget(name: &str, window: Window, limit: Usd) -> Budget {
    Budget {
        name: name.into(),
        limit,
        account: Account { scope: Scope::default(), window, zone: Zone::utc() },
        hard: true,
        warn: vec![50, 80, 100],
        on_unknown_price: OnUnknownPrice::Deny,
        allow_unbounded: false,
        clip: false,
        origin: Origin::Ledger,
    }
}

fn admit(
    ledger: &mut Ledger,
    id: &str,
    budgets: &[Budget],
    ceiling: u64,
    now_ms: i64,
) -> Option<llmx::ledger::Reservation> {
    let call = NewCall {
        id: id.into(),
        command: "chat".into(),
        provider: "openai".into(),
        model: "gpt-x".into(),
        parameters: json!({"max_tokens": 64}),
        ..NewCall::default()
    };
    let quote = Quote { ceiling: Some(amount(ceiling)), priced: true, ..Quote::default() };
    let claim = Claim { budgets, quote: &quote, cap: None, floor: None, purse: None };
    match ledger.admit(&call, &claim, now_ms).expect("the ledger answers") {
        Admission::Granted(reservation) => Some(reservation),
        Admission::Refused(_) => None,
    }
}

fn cost(picos: u64) -> Settlement {
    Settlement { basis: "reported".into(), total: Some(amount(picos)), ..Settlement::default() }
}

fn amount(picos: u64) -> Usd {
    Usd::from_picos(i64::try_from(picos).expect("small"))
}

fn open(path: &Path) -> Ledger {
    Ledger::open(path, Patience::default()).expect("opens")
}

fn bare(path: &Path) -> rusqlite::Connection {
    rivals::bare(path, "spend (id INTEGER PRIMARY KEY, picos INTEGER)")
}

fn child(path: &Path, work: &str, more: &[&str]) -> std::process::Command {
    let mut command = rivals::play(&["--work", work]);
    command.args(more).arg("--child").arg(path);
    command
}

fn parsed(number: &str) -> u64 {
    number.parse().expect("a number")
}
