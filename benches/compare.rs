//! What comparing costs beside what the models take: `cargo bench --bench compare`.
//!
//! Twenty models with delays of their own, of the simulator and over loopback: the wall time beside that of the slowest and
//! beside the sum of all; and the first token of each as llmx tells it, beside the server's own clock. Nothing is asserted.

mod common;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::figure::{Figure, spread};
use common::table::{Goal, Row, Table};
use serde_json::Value;

const LLMX: &str = env!("CARGO_BIN_EXE_llmx");
const MODELS: u64 = 20;
const ROUNDS: usize = 5;

/// Milliseconds to the first token, and from there to the end, of one model.
fn delays(at: u64) -> (u64, u64) {
    (50 + at * 37 % 400, 100 + at * 53 % 500)
}

fn main() -> Result<(), Box<dyn Error>> {
    if !common::asked() {
        return Ok(());
    }
    let mut table = Table::begin("compare")?;
    let folder = tempfile::tempdir()?;
    let mut out = io::stdout().lock();
    let set = || (0..MODELS).map(|at| delays(at).0 + delays(at).1);
    writeln!(
        out,
        "{MODELS} models, {ROUNDS} rounds; set delays: slowest {} ms, sum {} ms",
        set().max().unwrap_or(0),
        set().sum::<u64>()
    )?;

    let sim: Vec<String> = (0..MODELS)
        .map(|at| {
            // Eleven tokens: ten pauses between them.
            let (first, rest) = delays(at);
            format!("sim/lorem?tokens=11&tps={}&ttft={first}", 10_000 / rest)
        })
        .collect();
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        let told = compare(folder.path(), &sim)?;
        let calls = told["calls"].as_array().into_iter().flatten();
        let off = calls.zip(0..).map(|(call, at)| first_token(call).abs_diff(delays(at).0)).max().unwrap_or(0);
        rounds.push(tell(&mut out, &format!("simulator {round}"), &told, off)?);
    }
    add(&mut table, "simulator", &rounds);
    rounds.clear();

    let clocks = Clocks::default();
    let port = serve(clocks.clone())?;
    fs::create_dir_all(folder.path().join("llmx"))?;
    fs::write(
        folder.path().join("llmx/config.toml"),
        format!(
            "[provider.here]\nname = \"Here\"\nbase_url = \"http://127.0.0.1:{port}\"\napi = [\"chat\"]\nauth = \"none\"\n"
        ),
    )?;
    let models: Vec<String> = (0..MODELS).map(|at| format!("here/m{at}")).collect();
    for round in 1..=ROUNDS {
        let told = compare(folder.path(), &models)?;
        let clocks = std::mem::take(&mut *clocks.lock().unwrap_or_else(PoisonError::into_inner));
        let calls = told["calls"].as_array().into_iter().flatten();
        let off = calls.filter_map(|call| {
            let served = clocks.get(call["model"].as_str()?)?;
            Some(first_token(call).abs_diff(*served))
        });
        let off: Vec<u64> = off.collect();
        let name = format!("loopback {round} ({} first tokens)", off.len());
        rounds.push(tell(&mut out, &name, &told, off.into_iter().max().unwrap_or(0))?);
    }
    add(&mut table, "loopback", &rounds);
    Ok(table.finish()?)
}

/// Milliseconds of one round: the whole, the slowest model, and all models one after another.
type Round = [u64; 3];

/// The rounds' medians, beside the slowest model and beside asking one after another.
fn add(table: &mut Table, name: &str, rounds: &[Round]) {
    let [wall, slowest, sum] = [0, 1, 2].map(|at| {
        let [_, middle, _] = spread(&rounds.iter().map(|round| round[at]).collect::<Vec<_>>());
        Ok(Figure::millis(middle))
    });
    let path = format!("compare of {MODELS} models, {name}");
    let goal = Goal::Beyond(5, Figure::millis(50));
    table.add(Row::new(&path, wall.clone()).beside("slowest model", slowest).goal(Some(goal)));
    table.add(Row::new(&path, wall).beside("one after another", sum));
}

/// The first tokens by the server's own clock: milliseconds from the connection to the first token sent.
type Clocks = Arc<Mutex<BTreeMap<String, u64>>>;

fn first_token(call: &Value) -> u64 {
    call["timing"]["first_token_ms"].as_u64().unwrap_or(u64::MAX)
}

fn compare(folder: &Path, models: &[String]) -> Result<Value, Box<dyn Error>> {
    let out = Command::new(LLMX)
        .args(["compare", "-j", "-m", &models.join(","), "hello"])
        .env_clear()
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_DATA_HOME", folder)
        .output()?;
    if !out.status.success() {
        return Err(format!("{}: {}", out.status, String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn tell(out: &mut impl io::Write, name: &str, told: &Value, off: u64) -> io::Result<Round> {
    let calls = || told["calls"].as_array().into_iter().flatten();
    let totals = || calls().filter_map(|call| call["timing"]["total_ms"].as_u64());
    let (wall, slowest, sum) =
        (told["summary"]["wall_ms"].as_u64().unwrap_or(0), totals().max().unwrap_or(0), totals().sum::<u64>());
    let goal = slowest + slowest / 20 + 50;
    writeln!(
        out,
        "{name}: wall {wall} ms, slowest {slowest} ms, sum {sum} ms (goal: at most {goal} ms); first tokens at most {off} ms off"
    )?;
    Ok([wall, slowest, sum])
}

/// A provider on this machine: each model `mN` answers after the delays of N, and says when by its own clock.
fn serve(clocks: Clocks) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let clocks = clocks.clone();
            // A caller that leaves early is its own affair.
            thread::spawn(move || answer(&connection, &clocks));
        }
    });
    Ok(port)
}

fn answer(mut connection: &TcpStream, clocks: &Clocks) -> io::Result<()> {
    let began = Instant::now();
    connection.set_nodelay(true)?;
    let mut reading = BufReader::new(connection);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reading.read_line(&mut line)?;
        if let Some((name, value)) = line.trim_end().split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        } else if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    reading.take(length).read_to_end(&mut body)?;
    let body: Value = serde_json::from_slice(&body)?;
    let model = body["model"].as_str().unwrap_or_default();
    let (first, rest) = delays(model.trim_start_matches('m').parse().unwrap_or(0));
    connection
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let mut say =
        |event: &str| connection.write_all(format!("{:x}\r\ndata: {event}\n\n\r\n", event.len() + 8).as_bytes());
    thread::sleep(Duration::from_millis(first));
    let word = r#"{"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}"#;
    say(word)?;
    let served = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    clocks.lock().unwrap_or_else(PoisonError::into_inner).insert(model.to_owned(), served);
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(rest / 10));
        say(word)?;
    }
    say(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#)?;
    say(r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":11,"total_tokens":20}}"#)?;
    say("[DONE]")?;
    connection.write_all(b"0\r\n\r\n")
}
