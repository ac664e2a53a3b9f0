//! This test binary run again as a process of its own, and what several tests make their calls from.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use llmx::domain::bill::Quote;
use llmx::domain::budget::Claim;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Price, RecordLine, Settlement};
use llmx::domain::window::Window;
use llmx::ledger::{Admission, Ledger, LedgerError, Patience, Reservation};
use serde_json::json;

use crate::budgets::{ask, budget, cost};

/// 2026-11-22T00:00:00Z.
pub const NOON: i64 = 1_795_305_600_000;

pub fn call(id: &str) -> NewCall {
    NewCall {
        id: id.into(),
        command: "chat".into(),
        provider: "openai".into(),
        model: "gpt-x".into(),
        project: Some("pay".into()),
        credential: Some("OPENAI_API_KEY".into()),
        tags: [("team".to_owned(), "eng-a".to_owned())].into(),
        parameters: json!({"max_tokens": 64}),
        ceiling: Some(Usd::from_picos(5_000_000)),
        prompt: Some(
            json!({"system": null, "messages": [{"role": "user", "parts": [{"text": "Why is the sky blue?"}]}]}),
        ),
        ..NewCall::default()
    }
}

/// 30 tokens in at $1 and 80 out at $10 a million: 830 µ$.
pub fn settlement() -> Settlement {
    let line = |meter: &str, quantity, rate: &str, picos| RecordLine {
        meter: meter.into(),
        quantity,
        per: 1_000_000,
        rate: Some(rate.into()),
        amount: Some(Usd::from_picos(picos)),
        model: None,
    };
    Settlement {
        first_token_ms: Some(610),
        model_served: Some("gpt-x-2026-09-01".into()),
        request_id: Some("req-1".into()),
        stop_reason: Some("stop".into()),
        usage_raw: Some(json!({"prompt_tokens": 30, "completion_tokens": 80})),
        usage_source: Some("reported".into()),
        reasoning: Some(24),
        basis: "table".into(),
        total: Some(Usd::from_picos(830_000_000)),
        price: Some(Price {
            table: "bundled".into(),
            version: "2026-11-20".into(),
            sha256: "00ff".into(),
            entry: "openai/gpt-x".into(),
            ..Price::default()
        }),
        lines: vec![line("input", 30, "1", 30_000_000), line("output", 80, "10", 800_000_000)],
        answer: Some(json!({"parts": [{"text": "Rayleigh scattering."}]})),
        ..Settlement::default()
    }
}

pub fn open(path: &Path) -> Ledger {
    Ledger::open(path, Patience::default()).expect("the ledger opens")
}

/// Books a call at its ceiling under no budget.
pub fn reserve(ledger: &mut Ledger, call: &NewCall, now_ms: i64) -> Result<Reservation, LedgerError> {
    let quote = Quote { ceiling: call.ceiling, ..Quote::default() };
    let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
    match ledger.admit(call, &claim, now_ms)? {
        Admission::Granted(reservation) => Ok(reservation),
        Admission::Refused(refusal) => panic!("no budget is in force: {refusal:?}"),
    }
}

/// Settles a call in one go.
pub fn make(ledger: &mut Ledger, id: &str, now_ms: i64) {
    let reservation = reserve(ledger, &call(id), now_ms).expect("reserved");
    ledger.settle(reservation, &settlement(), now_ms + 2_840).expect("settled");
}

/// A process that does `work` on the ledger at `path`. Its ids begin with `name`.
pub fn process(work: &str, path: &Path, name: &str, calls: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    told(&mut command, work, path, name, calls);
    command
}

/// The same below a shell that first does `setting`.
#[cfg(unix)]
pub fn process_under(setting: &str, work: &str, path: &Path, name: &str, calls: usize) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{setting}; exec \"$0\" \"$@\"")).arg(std::env::current_exe().expect("this binary"));
    told(&mut command, work, path, name, calls);
    command
}

fn told(command: &mut Command, work: &str, path: &Path, name: &str, calls: usize) {
    command.args(["--exact", "child::as_a_process", "--nocapture", "--test-threads=1"]);
    command.env("LEDGER_CHILD", work).env("LEDGER_PATH", path).env("LEDGER_NAME", name);
    command.env("LEDGER_CALLS", calls.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// What a process said it had done: the ids behind `mark`.
pub fn said(output: &Output, mark: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let mark = format!("{mark} ");
    // A killed process may stop within a line: only ended lines count.
    let ended = text.rsplit_once('\n').map_or("", |(ended, _)| ended);
    ended.lines().filter_map(|line| line.strip_prefix(&mark)).map(str::to_owned).collect()
}

fn say(mark: &str, id: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{mark} {id}\n").as_bytes()).expect("the parent reads");
    out.flush().expect("the parent reads");
}

/// Does nothing in an ordinary run.
#[test]
fn as_a_process() {
    let Ok(work) = std::env::var("LEDGER_CHILD") else {
        return;
    };
    let told = |name: &str| std::env::var(name).expect("told by the parent");
    let (path, name) = (PathBuf::from(told("LEDGER_PATH")), told("LEDGER_NAME"));
    let calls: usize = told("LEDGER_CALLS").parse().expect("a number");
    // The test harness has begun a line of its own.
    say("", "");
    match work.as_str() {
        "call" => in_one_ledger(&path, &name, calls),
        "reopen" => (0..calls).for_each(|n| in_one_ledger(&path, &format!("{name}.{n}"), 1)),
        "spill" => (0..calls).for_each(|n| spilling(&path, &format!("{name}.{n}"))),
        "reserve" => {
            let _ = reserve(&mut open(&path), &call(&format!("{name}.0")), NOON).expect("reserved");
            std::process::abort();
        }
        "budget" => budgeted(&path, &name, calls),
        "fill" => filling(&path, &name, calls),
        "open" => {
            let failure = Ledger::open(&path, Patience::default()).err();
            say("FAILED", &failure.map_or_else(|| "not".into(), |error| error.to_string()));
        }
        other => panic!("{other}: no such work"),
    }
}

/// RESERVED before a call would be sent, SETTLED when the ledger has its end.
fn in_one_ledger(path: &Path, name: &str, calls: usize) {
    let mut ledger = open(path);
    for n in 0..calls {
        let id = format!("{name}.{n}");
        let reservation = reserve(&mut ledger, &call(&id), NOON).expect("reserved");
        say("RESERVED", &id);
        ledger.settle(reservation, &settlement(), NOON + 2_840).expect("settled");
        say("SETTLED", &id);
    }
}

/// The ledger is away when the call ends, and back when the next one begins.
fn spilling(path: &Path, id: &str) {
    let away = path.with_extension("away");
    let mut ledger = open(path);
    let reservation = reserve(&mut ledger, &call(id), NOON).expect("reserved");
    say("RESERVED", id);
    std::fs::rename(path, &away).expect("moved");
    let error = ledger.settle(reservation, &settlement(), NOON + 2_840).expect_err("it is away");
    assert!(matches!(error, LedgerError::Spilled { .. }), "{error}");
    say("SETTLED", id);
    std::fs::rename(&away, path).expect("moved back");
}

/// Until nothing fits any more.
fn filling(path: &Path, name: &str, calls: usize) {
    let mut ledger = match Ledger::open(path, Patience::default()) {
        Ok(ledger) => ledger,
        Err(error) => return say("FAILED", &error.to_string()),
    };
    for n in 0..calls {
        let id = format!("{name}.{n}");
        let mut call = call(&id);
        call.prompt = Some(json!({"messages": [{"parts": [{"text": "long ".repeat(1_000)}]}]}));
        let reservation = match reserve(&mut ledger, &call, NOON) {
            Ok(reservation) => reservation,
            Err(error) => return say("FAILED", &error.to_string()),
        };
        say("RESERVED", &id);
        let mut settlement = settlement();
        settlement.answer = Some(json!({"parts": [{"text": "word ".repeat(10_000)}]}));
        if let Err(error) = ledger.settle(reservation, &settlement, NOON + 2_840) {
            assert!(matches!(error, LedgerError::Spilled { .. }), "{error}");
            say("SETTLED", &id);
            return say("FAILED", &error.to_string());
        }
        say("SETTLED", &id);
    }
}

/// SENT with its id and what it truly cost, before its settlement: at most LEDGER_MOST picodollars, under the budgets of
/// LEDGER_LIMIT. Where LEDGER_STEP names a step the process ends there at once.
fn budgeted(path: &Path, name: &str, calls: usize) {
    let number = |name: &str| std::env::var(name).expect("told by the parent").parse::<i64>().expect("a number");
    let (limit, most) = (number("LEDGER_LIMIT"), number("LEDGER_MOST"));
    let step = std::env::var("LEDGER_STEP").unwrap_or_default();
    let ends = |here: &str| {
        if step == here {
            std::process::abort();
        }
    };
    // FNV-1a: what a process asks for depends on its name alone.
    let mut random = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    let mut up_to = |most: i64| {
        random = next(random);
        i64::try_from(random >> 1).expect("63 bits") % (most + 1)
    };
    let mut pair = [budget("all", limit), budget("week", limit)];
    pair[0].account.window = Window::Total;
    pair[1].account.window = Window::parse("7d").expect("a window");
    if up_to(1) == 1 {
        pair.reverse();
    }
    let mut ledger = open(path);
    for n in 0..calls {
        let id = format!("{name}.{n}");
        let ceiling = if calls == 1 { most } else { up_to(most) };
        ends("before");
        let Admission::Granted(reservation) = ask(&mut ledger, &id, &pair, ceiling, NOON) else {
            say("REFUSED", &id);
            continue;
        };
        ends("admitted");
        let truth = if calls == 1 { ceiling } else { up_to(ceiling) };
        say("SENT", &format!("{id} {truth}"));
        ends("sent");
        ledger.settle(reservation, &cost(truth), NOON).expect("settled");
        ends("settled");
    }
}

/// xorshift64.
pub fn next(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ state << 17
}
