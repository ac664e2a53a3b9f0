//! What a report costs as the books grow: `cargo bench --bench usage` (`-- --calls 10000,100000`).
//!
//! Every figure stands beside SQLite adding up the source tables in the same run, and beside DuckDB on the same rows where
//! Python has it; what session logs of another tool cost, beside ccusage where `.ci/peers` has installed it. Absolute times
//! hold on no other machine. Nothing is asserted but that all agree: goals are printed.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod common;
#[path = "usage/sessions.rs"]
mod sessions;
#[path = "usage/year.rs"]
mod year;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::figure::{Figure, Unit, quantile};
use common::race::{PEAK, Race, Runner, WALL};
use common::rivals::play;
use common::table::{Goal, Row, Table};
use common::{after, child, folder, peer};
use jiff::civil::date;
use llmx::domain::bill::Quote;
use llmx::domain::budget::Claim;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, RecordLine, Settlement};
use llmx::domain::spend::filter::Filter;
use llmx::domain::spend::period::Period;
use llmx::domain::spend::{Dimension, Question};
use llmx::domain::window::Zone;
use llmx::ledger::{Admission, Ledger};
use rusqlite::Connection;
use serde_json::json;
use sessions::Tokens;
use year::open;

const LLMX: &str = env!("CARGO_BIN_EXE_llmx");
const ROUNDS: usize = 15;
const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"];

fn main() {
    if let Some(role) = after("--role") {
        return in_process(&role, Path::new(&after("--db").expect("a ledger")), after("--calls"));
    }
    if !common::asked() {
        return;
    }
    let sizes = after("--calls").unwrap_or_else(|| "10000,100000,1000000".into());
    for calls in sizes.split(',') {
        // A process of its own: children inherit the peak of the one that made them.
        let measured = role("measure", Path::new("")).args(["--calls", calls]).status();
        assert!(measured.is_ok_and(|measured| measured.success()), "{calls} calls were not measured");
    }
    session_logs(100_000);
}

fn measure(calls: i64) {
    let mut table = Table::begin(&format!("usage, {calls} calls")).expect("written");
    let folder = tempfile::tempdir_in(folder()).expect("a folder on the disk of the build");
    let path = folder.path().join("ledger.db");
    let began = Instant::now();
    let written = role("write", &path).args(["--calls", &calls.to_string()]).status();
    assert!(written.is_ok_and(|written| written.success()), "the year is written");
    let size = std::fs::metadata(&path).expect("written").len();
    println!("\n{calls} calls over 2026, {} MiB, written in {} ms", size >> 20, began.elapsed().as_millis());
    println!("{:<58}{:>12}{:>12}{:>12}{:>10}", "", "ms, median", "min", "CPU, median", "MiB peak");
    line("llmx --version", &mut llmx(&path, &["--version"]), ROUNDS);
    line("llmx logs -n 1", &mut llmx(&path, &["logs", "-n", "1"]), ROUNDS);
    let sqlite = row("SQLite: GROUP BY day, model over the sources", &mut role("sqlite", &path), 3);
    line("calls one by one: by day, model", &mut role("calls", &path), 3);
    line("calls one by one: a filter on project and user", &mut role("filtered", &path), 3);
    line("the first question in a zone: makes its days", &mut role("first", &path), 1);
    println!("  and the ledger has grown to {} MiB", std::fs::metadata(&path).expect("there").len() >> 20);
    line("llmx usage -z UTC", &mut llmx(&path, &["usage", "-z", "UTC"]), ROUNDS);
    let command = row(
        "llmx usage 2026 --by day,model (goal: 20 ms, 20 MiB)",
        &mut llmx(&path, &["usage", "2026", "--by", "day,model", "-z", "UTC"]),
        ROUNDS,
    );
    let asking = row("a process that asks: year by day, model", &mut role("year", &path), ROUNDS);
    line("a process that asks: year by user, month", &mut role("user", &path), ROUNDS);
    line("a process that asks: year by tag:cost-center", &mut role("tag", &path), ROUNDS);
    let duck = duckdb(&path)
        .and_then(|mut ask| row("DuckDB: GROUP BY day, model over its own copy", &mut ask, 3))
        .inspect_err(|reason| println!("  DuckDB: {reason}"));
    for row in rows(&command, &asking, &[("SQLite", &sqlite), ("DuckDB", &duck)]) {
        table.add(row);
    }
    agree(&path);
    settling(&path);
    println!("  {:<56}{:>12}", "opening the ledger", micros(median(ROUNDS * 10, || drop(open(&path)))));
    let began = Instant::now();
    assert_eq!(open(&path).check().expect("reads"), Vec::<String>::new());
    println!("  {:<56}{:>12}", "ledger check, four zones", micros(began.elapsed()));
    table.finish().expect("written");
}

/// The year by day and model, beside whoever else was asked.
fn rows(command: &Measured, asking: &Measured, others: &[(&str, &Measured)]) -> Vec<Row> {
    let part = |measured: &Measured, part: fn(&Took) -> Figure| measured.as_ref().map(part).map_err(Clone::clone);
    let mut rows = Vec::new();
    for (name, other) in others {
        let question: fn(&Took) -> Figure = |took| Figure::time(took.question);
        let wall: fn(&Took) -> Figure = |took| Figure::time(took.wall);
        let peak: fn(&Took) -> Figure = |took| Figure { value: took.peak_bytes, unit: Unit::MiB };
        let row = |path: &str, ours: &Measured, of: fn(&Took) -> Figure| {
            Row::new(path, part(ours, of)).beside(name, part(other, of))
        };
        rows.push(
            row("a year by day and model, in the process", asking, question).goal(Some(Goal::Most(Figure::millis(20)))),
        );
        rows.push(row("`llmx usage 2026 --by day,model`, start to end", command, wall));
        rows.push(row("the same, peak memory", command, peak).goal(Some(Goal::Most(Figure::mib(20)))));
    }
    rows
}

/// What a hundred thousand answers of Claude Code cost to read and to add up, beside the tool that reads them at each report.
fn session_logs(answers: i64) {
    const IMPORT: &str = "llmx usage import, then usage";
    const REPORT: &str = "llmx usage, imported before";
    const CCUSAGE: &str = "ccusage daily";
    let mut table = Table::begin("usage, session logs").expect("written");
    let home = tempfile::tempdir_in(folder()).expect("a folder on the disk of the build");
    let tokens = sessions::write(home.path(), answers).expect("written");
    let db = home.path().join("ledger.db");
    let own = |command: &mut Command| {
        command.env_clear().env("HOME", home.path()).env("CLAUDE_CONFIG_DIR", home.path()).env("TZ", "UTC");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LLMX_DB", &db);
    };
    let report = ["usage", "2025", "--by", "day", "-z", "UTC"];
    let mut import = Command::new("sh");
    let script = "rm -f \"$LLMX_DB\"*; \"$0\" usage import -q claude-code && exec \"$0\" \"$@\"";
    import.args(["-c", script, LLMX]).args(report);
    own(&mut import);
    let mut again = Command::new(LLMX);
    again.args(report);
    own(&mut again);
    let ccusage = peer("ccusage/node_modules/.bin/ccusage").map(|program| {
        let mut command = Command::new(program);
        command.args(["daily", "--offline", "--json"]);
        own(&mut command);
        command
    });
    let said = |command: &mut Command| command.output().map(|output| output.stdout).unwrap_or_default();
    println!("\n{answers} answers of Claude Code, generated; tokens in, out, written to the cache, read from it:");
    println!("  {:<26}{tokens:?}", "written");
    said(&mut import);
    let ours = total(&said(&mut json(&again)), "total", ["input", "output", "cache_write", "cache_read"]);
    println!("  {:<26}{ours:?}", "counted by llmx");
    assert_eq!(ours, Some(tokens), "what was written is counted");
    let ccusage = ccusage.map(|mut command| {
        let names = ["inputTokens", "outputTokens", "cacheCreationTokens", "cacheReadTokens"];
        println!("  {:<26}{:?}", "counted by ccusage", total(&said(&mut command), "totals", names));
        command
    });
    let mut race =
        Race::of(vec![Runner::new(IMPORT, import), Runner::new(REPORT, again), Runner::peer(CCUSAGE, ccusage)]);
    race.run(5).expect("they ran before");
    print!("{}", race.shown("session logs, start to end", "none", WALL));
    println!("{}", race.shown("session logs, peak memory", "none", PEAK));
    for (path, ours) in [("read and report", IMPORT), ("report again", REPORT)] {
        let path = format!("{answers} answers of Claude Code, {path}");
        table.add(race.row(&path, ours, CCUSAGE, WALL, None));
        table.add(race.row(&format!("{path}, peak memory"), ours, CCUSAGE, PEAK, None));
    }
    table.finish().expect("written");
}

/// The same question, answered as JSON.
fn json(asked: &Command) -> Command {
    let mut command = Command::new(asked.get_program());
    command.args(asked.get_args()).arg("--json").env_clear();
    command.envs(asked.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn total(json: &[u8], within: &str, names: [&str; 4]) -> Option<Tokens> {
    let report: serde_json::Value = serde_json::from_slice(json).ok()?;
    let sums = names.map(|name| report[within][name].as_i64());
    Some([sums[0]?, sums[1]?, sums[2]?, sums[3]?])
}

/// The process that is measured, in the role of one question.
fn in_process(role: &str, path: &Path, calls: Option<String>) {
    let question = match role {
        "measure" => return measure(calls.and_then(|calls| calls.parse().ok()).expect("a number of calls")),
        "write" => return year::write(path, calls.and_then(|calls| calls.parse().ok()).expect("a number of calls")),
        "sqlite" => {
            let began = Instant::now();
            let groups = grouped(path).len();
            return println!("{groups} groups in {}", micros(began.elapsed()));
        }
        "first" => return open(path).keep_days(&Zone::utc()).expect("kept"),
        "filtered" => Question { filter: filter("project=pay user=user-07"), ..asked("UTC", &[Dimension::Model]) },
        // No days are kept in this zone yet, nor made where a filter asks for what they do not have.
        "calls" => Question { filter: filter("source=llmx"), ..asked("UTC", &[Dimension::Day, Dimension::Model]) },
        "user" => asked("UTC", &[Dimension::User, Dimension::Month]),
        "tag" => asked("UTC", &[Dimension::Tag("cost-center".into())]),
        _ => asked("UTC", &[Dimension::Day, Dimension::Model]),
    };
    let mut ledger = open(path);
    let began = Instant::now();
    let spend = ledger.spend(&question).expect("adds up");
    println!("{} groups in {}", spend.groups.len(), micros(began.elapsed()));
}

fn filter(text: &str) -> Filter {
    Filter::parse(text).expect("a filter")
}

fn asked(zone: &str, by: &[Dimension]) -> Question {
    let zone = Zone::named(zone).expect("a zone");
    let period = Period::of(date(2026, 1, 1), date(2027, 1, 1), &zone).expect("a year");
    Question { period, by: by.to_vec(), filter: Filter::default() }
}

const GROUPED: &str = "SELECT c.opened_ms / 86400000 AS day, c.provider, c.model, count(*), sum(s.total_picos)
     FROM call c JOIN settlement s ON s.call = c.seq
     WHERE c.opened_ms >= 1767225600000 AND c.opened_ms < 1798761600000 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";

/// Day, provider, model, calls and picodollars, as plain SQL has them.
fn grouped(path: &Path) -> Vec<(i64, String, String, u64, i128)> {
    let db = Connection::open(path).expect("opens");
    let mut find = db.prepare(GROUPED).expect("reads");
    let rows = find.query_map([], |row| {
        let picos = row.get::<_, Option<i64>>(4)?.unwrap_or_default();
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?.cast_unsigned(), picos.into()))
    });
    rows.expect("reads").collect::<Result<_, _>>().expect("rows")
}

/// Kept sums and plain SQL must say the same.
fn agree(path: &Path) {
    let plain = grouped(path);
    let spend = open(path).spend(&asked("UTC", &[Dimension::Day, Dimension::Model])).expect("adds up");
    let settled: Vec<_> = spend.groups.iter().filter(|group| group.tally.calls > 0).collect();
    assert_eq!(plain.len(), settled.len(), "as many groups");
    let sums = plain.iter().fold((0, 0), |(calls, picos), row| (calls + row.3, picos + row.4));
    assert_eq!(sums, (spend.total.calls, spend.total.picos), "the same sums");
    let mut ledger = open(path);
    let question = asked("UTC", &[Dimension::Day, Dimension::Model]);
    let asks = median(ROUNDS, || drop(ledger.spend(&question).expect("adds up")));
    println!(
        "  {:<56}{:>12}",
        format!("the same in a process that has it open, {} groups", settled.len()),
        micros(asks)
    );
}

/// What one more settled call costs with no zone, one, and four: in three copies in turn.
fn settling(path: &Path) {
    const CALLS: usize = 1_024;
    println!("  settling one more call, of {CALLS} in turn: wall median and slowest, CPU and commit log of each");
    let mut ledgers = [0, 1, 4].map(|zones| {
        let copy = path.with_file_name(format!("copy-{zones}.db"));
        open(path).backup(&copy).expect("copied");
        Connection::open(&copy).and_then(|db| db.execute_batch("DELETE FROM day; DELETE FROM zone;")).expect("removed");
        let mut ledger = open(&copy);
        ZONES.iter().take(zones).for_each(|zone| ledger.keep_days(&Zone::named(zone).expect("a zone")).expect("kept"));
        drop(ledger);
        (zones, open(&copy), Vec::new(), Duration::ZERO)
    });
    for n in 0..CALLS {
        for (_, ledger, walls, cpu) in &mut ledgers {
            let (wall, used) = settled(ledger, n);
            walls.push(wall);
            *cpu += used;
        }
    }
    for (zones, ledger, mut walls, cpu) in ledgers {
        walls.sort_unstable();
        let log = std::fs::metadata(ledger.path().with_extension("db-wal")).map_or(0, |log| log.len());
        println!(
            "  {:<56}{:>12}{:>12}{:>9} µs CPU{:>8} KiB",
            format!("  with {zones} zones"),
            micros(walls[CALLS / 2]),
            micros(walls[CALLS - 1]),
            cpu.as_micros() / CALLS as u128,
            (log >> 10) / CALLS as u64
        );
    }
}

/// One call that is opened and settled: the time of the second, wall and CPU.
fn settled(ledger: &mut Ledger, n: usize) -> (Duration, Duration) {
    let now_ms = 1_798_761_600_000 + i64::try_from(n).expect("small");
    let call = NewCall {
        id: format!("settled-{n}"),
        command: "chat".into(),
        provider: "openai".into(),
        model: "gpt-5.2".into(),
        project: Some("pay".into()),
        user: Some(format!("user-{:02}", n % 20)),
        team: Some("core".into()),
        tags: [("cost-center".to_owned(), "cc-1".to_owned()), ("stage".to_owned(), "dev".to_owned())].into(),
        parameters: json!({}),
        ..NewCall::default()
    };
    let quote = Quote::default();
    let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
    let Admission::Granted(reservation) = ledger.admit(&call, &claim, now_ms).expect("asked") else {
        panic!("no budget is in force");
    };
    let (used, began) = (cpu_time(), Instant::now());
    ledger.settle(reservation, &settlement(), now_ms).expect("settled");
    let wall = began.elapsed();
    (wall, cpu_time().saturating_sub(used))
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
        basis: "table".into(),
        total: Some(Usd::from_picos(90_000_000)),
        lines: ["input", "cache_read", "output"].map(line).into(),
        ..Settlement::default()
    }
}

/// CPU time of this process, where the kernel tells: in nanoseconds of the run queue's clock.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

fn llmx(path: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(LLMX);
    command.args(words).env_clear().env("HOME", path.parent().expect("a folder")).env("LLMX_DB", path);
    command
}

fn role(name: &str, path: &Path) -> Command {
    let mut command = play(&["--role", name, "--db"]);
    command.arg(path);
    command
}

/// Loads the rows into DuckDB once, and asks it then; the time is that of the process that asks.
fn duckdb(path: &Path) -> Result<Command, String> {
    let copy = path.with_extension("duckdb");
    let load = "import sys, sqlite3, duckdb, csv, os
rows = sqlite3.connect(sys.argv[1]).execute('SELECT c.opened_ms, c.provider, c.model, s.total_picos FROM call c JOIN settlement s ON s.call = c.seq')
with open(sys.argv[2] + '.csv', 'w', newline='') as out: csv.writer(out).writerows(rows)
db = duckdb.connect(sys.argv[2])
db.execute(f\"CREATE TABLE calls AS SELECT * FROM read_csv('{sys.argv[2]}.csv', header=false, columns={{'opened_ms': 'BIGINT', 'provider': 'VARCHAR', 'model': 'VARCHAR', 'picos': 'BIGINT'}})\")
os.remove(sys.argv[2] + '.csv')";
    let loaded = Command::new("python3").args(["-c", load]).args([path, &copy]).output();
    let mut ask = Command::new("python3");
    let sql = "import sys, time, duckdb
db = duckdb.connect(sys.argv[1], read_only=True)
began = time.perf_counter()
rows = db.execute('SELECT opened_ms // 86400000, provider, model, count(*), sum(picos) FROM calls GROUP BY 1, 2, 3 ORDER BY 1, 2, 3').fetchall()
print(len(rows), 'groups in', round((time.perf_counter() - began) * 1000, 2), 'ms')";
    ask.args(["-c", sql]).arg(&copy);
    if loaded.is_ok_and(|loaded| loaded.status.success()) {
        Ok(ask)
    } else {
        Err("not there (pip install duckdb)".into())
    }
}

/// Medians of a process, and the most memory of any run.
struct Took {
    wall: Duration,
    /// The question alone, as the process told it, or the whole process.
    question: Duration,
    peak_bytes: u64,
}

/// Or why it did not run.
type Measured = Result<Took, String>;

/// One line for the reader alone.
fn line(name: &str, command: &mut Command, rounds: usize) {
    let _ = row(name, command, rounds);
}

/// One line: times and peak memory of a process, and what it said last.
fn row(name: &str, command: &mut Command, rounds: usize) -> Measured {
    let (mut walls, mut cpus, mut peak) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        match child::run(command) {
            Ok(sample) => {
                walls.push(sample.wall);
                cpus.push(sample.cpu);
                peak = sample.peak_bytes.max(peak);
            }
            Err(said) => {
                println!("  {name:<56}did not run: {said}");
                return Err(format!("did not run: {said}"));
            }
        }
    }
    let said = (0..rounds).filter_map(|_| said(command)).collect::<Vec<_>>();
    let question = said.iter().map(|(_, took)| *took).collect::<Vec<_>>();
    let text = said.last().map(|(text, _)| text.as_str()).unwrap_or_default();
    let [wall, least, cpu] = [quantile(&walls, 50), quantile(&walls, 0), quantile(&cpus, 50)];
    let shown = [wall, least, cpu].map(micros);
    println!("  {name:<56}{:>12}{:>12}{:>12}{:>10}  {text}", shown[0], shown[1], shown[2], peak >> 20);
    let question = if question.is_empty() { wall } else { quantile(&question, 50) };
    Ok(Took { wall, question, peak_bytes: peak })
}

/// What a process said of itself, and the milliseconds in it: `365 groups in 4.017`.
fn said(command: &mut Command) -> Option<(String, Duration)> {
    let text = String::from_utf8(command.output().ok()?.stdout).ok()?;
    let line = text.lines().next()?;
    let millis = line.split_once(" groups in ")?.1.trim_end_matches(" ms");
    let (whole, part) = millis.split_once('.')?;
    let micros = whole.parse::<u64>().ok()? * 1_000 + format!("{part:0<3}")[..3].parse::<u64>().ok()?;
    Some((line.to_owned(), Duration::from_micros(micros)))
}

fn median(rounds: usize, mut work: impl FnMut()) -> Duration {
    let mut walls: Vec<Duration> = (0..rounds)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .collect();
    walls.sort_unstable();
    walls[walls.len() / 2]
}

fn micros(time: Duration) -> String {
    format!("{}.{:03}", time.as_millis(), time.as_micros() % 1000)
}
