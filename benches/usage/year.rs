//! A year of calls, written in bulk: what a company of twenty people and eight projects books.

use std::path::Path;

use llmx::ledger::{Ledger, Patience};
use rusqlite::{Connection, Transaction, params};

/// 2026-01-01T00:00:00Z, and the length of the year.
const BEGINS: i64 = 1_767_225_600_000;
const YEAR_MS: i64 = 365 * 86_400_000;

/// Model, provider, region, and picodollars for a token of input and of output.
const MODELS: [(&str, &str, Option<&str>, i64, i64); 12] = [
    ("gpt-5.2", "openai", None, 1_750_000, 14_000_000),
    ("gpt-5-mini", "openai", None, 250_000, 2_000_000),
    ("gpt-4.1", "openai", None, 2_000_000, 8_000_000),
    ("anthropic.claude-sonnet-4-6-v1:0", "bedrock", Some("eu-central-1"), 3_000_000, 15_000_000),
    ("anthropic.claude-haiku-4-5-v1:0", "bedrock", Some("us-east-1"), 1_000_000, 5_000_000),
    ("amazon.nova-pro-v1:0", "bedrock", Some("us-east-1"), 800_000, 3_200_000),
    ("claude-opus-4-6", "anthropic", None, 5_000_000, 25_000_000),
    ("claude-sonnet-4-6", "anthropic", None, 3_000_000, 15_000_000),
    ("gemini-3-pro", "google", None, 2_000_000, 12_000_000),
    ("gemini-3-flash", "google", None, 500_000, 3_000_000),
    ("mistral-large", "mistral", None, 2_000_000, 6_000_000),
    ("self-hosted", "mistral", None, 0, 0),
];
const PROJECTS: [&str; 8] = ["pay", "web", "search", "support", "data", "infra", "mobile", "research"];
const TEAMS: [&str; 5] = ["core", "growth", "platform", "ml", "ops"];
const COMMANDS: [&str; 3] = ["chat", "compare", "gateway"];

/// Writes so many calls into a new ledger and checks that its books agree.
pub fn write(path: &Path, calls: i64) {
    drop(open(path));
    let mut db = Connection::open(path).expect("opens");
    db.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -65536;").expect("set");
    let rows = db.transaction().expect("begun");
    for (n, (model, provider, ..)) in MODELS.iter().enumerate() {
        rows.execute(
            "INSERT INTO price VALUES (?1, 'bundled', '2026-01', '00ff', ?2, '', '')",
            params![place(n) + 1, format!("{provider}/{model}")],
        )
        .expect("added");
    }
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for n in 0..calls {
        call(
            &rows,
            &mut dice,
            n,
            BEGINS + i64::try_from(i128::from(n) * i128::from(YEAR_MS) / i128::from(calls)).expect("small"),
        );
    }
    rows.commit().expect("written");
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("moved into the file");
    drop(db);
}

pub fn open(path: &Path) -> Ledger {
    Ledger::open(path, Patience::default()).expect("opens")
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 >> 11).expect("53 bits") % sides
    }

    /// More often the first than the last.
    fn of<'a, T>(&mut self, things: &'a [T]) -> (usize, &'a T) {
        let sides = i64::try_from(things.len()).expect("few");
        let at = usize::try_from(self.roll(sides).min(self.roll(sides))).expect("natural");
        (at, &things[at])
    }
}

fn place(n: usize) -> i64 {
    i64::try_from(n).expect("few")
}

fn call(rows: &Transaction<'_>, dice: &mut Dice, n: i64, opened_ms: i64) {
    let (at, (model, provider, region, input_rate, output_rate)) = dice.of(&MODELS);
    let user = dice.roll(20);
    let tags = format!(
        "{{\"cost-center\":\"cc-{}\",\"stage\":\"{}\"}}",
        user % 6,
        if dice.roll(4) == 0 { "prod" } else { "dev" }
    );
    let seq = n + 1;
    rows.prepare_cached(
        "INSERT INTO call (seq, id, retry_of, opened_ms, command, provider, model, region, credential, project, user, team,
            tags, session, parameters, ceiling_picos, host, boot, pid_space, pid, process_start)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'OPENAI_API_KEY', ?9, ?10, ?11, ?12, ?13, '{\"max_tokens\":1024}', ?14, 'host-1',
            'a3c1f0d2-boot', 'pid:[4026531836]', ?15, '8812345')",
    )
    .expect("prepared")
    .execute(params![
        seq,
        format!("019b7a00-0000-7000-8000-{seq:012x}"),
        (dice.roll(40) == 0).then(|| format!("019b7a00-0000-7000-8000-{:012x}", seq - 1)),
        opened_ms,
        dice.of(&COMMANDS).1,
        provider,
        model,
        region,
        dice.of(&PROJECTS).1,
        format!("user-{user:02}"),
        TEAMS[usize::try_from(user % 5).expect("natural")],
        tags,
        (dice.roll(3) == 0).then(|| format!("session-{}", n / 20)),
        50_000_000_000_i64,
        20_000 + n % 4_000,
    ])
    .expect("added");
    // One in two thousand was never settled.
    if dice.roll(2_000) == 0 {
        rows.prepare_cached("INSERT INTO open_call VALUES (?1)").and_then(|mut add| add.execute([seq])).expect("added");
        return;
    }
    let failed = dice.roll(40) == 0;
    let priced = *output_rate > 0;
    let cached = if dice.roll(3) == 0 { dice.roll(8_000) } else { 0 };
    let written = if cached > 0 && *provider == "anthropic" { dice.roll(2_000) } else { 0 };
    let (input, output) = (100 + dice.roll(3_000), 20 + dice.roll(900));
    let lines = [
        ("input", input, *input_rate),
        ("cache_read", cached, input_rate / 10),
        ("cache_write", written, input_rate * 5 / 4),
        ("output", output, *output_rate),
    ];
    let lines = lines.into_iter().filter(|(_, quantity, _)| !failed && *quantity > 0);
    let total: i64 = lines.clone().map(|(_, quantity, rate)| quantity * rate).sum();
    let basis = match (failed, priced, dice.roll(60)) {
        (true, ..) => "nothing",
        (_, false, _) => "unpriced",
        (_, _, 0) => "estimated",
        (_, _, 1..4) => "reported",
        _ => "table",
    };
    rows.prepare_cached(
        "INSERT INTO settlement (call, finished_ms, first_token_ms, model_served, request_id, stop_reason, error_class, status,
            usage_raw, usage_source, reasoning, cost_basis, total_picos, at_most_picos, price, notes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'reported', ?10, ?11, ?12, ?13, ?14, '[]')",
    )
    .expect("prepared")
    .execute(params![
        seq,
        opened_ms + 400 + dice.roll(9_000),
        (!failed).then(|| opened_ms + 300),
        (!failed).then_some(model),
        format!("req_{seq:016x}"),
        (!failed).then_some("stop"),
        failed.then_some("rate-limit"),
        failed.then_some(429),
        (!failed).then(|| format!("{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"cached_tokens\":{cached}}}")),
        (output > 500).then_some(output / 2),
        basis,
        (failed || priced).then_some(total),
        (basis == "estimated").then_some(total * 2),
        priced.then(|| place(at) + 1),
    ])
    .expect("added");
    for (n, (meter, quantity, rate)) in (1_i64..).zip(lines) {
        rows.prepare_cached("INSERT INTO line VALUES (?1, ?2, ?3, ?4, 1000000, ?5, ?6, NULL)")
            .expect("prepared")
            .execute(params![
                seq,
                n,
                meter,
                quantity,
                priced.then(|| format!("{}.{:02}", rate / 1_000_000, rate % 1_000_000 / 10_000)),
                priced.then(|| quantity * rate)
            ])
            .expect("added");
    }
}
