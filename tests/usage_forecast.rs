//! Where spend will end, as the built binary tells it: `usage forecast`, `usage budgets` and `usage statusline`.

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::binary::Llmx;
use jiff::ToSpan as _;
use jiff::civil::Date;
use llmx::domain::bill::Quote;
use llmx::domain::budget::{Account, Budget, Claim, OnUnknownPrice, Origin, Scope};
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Settlement};
use llmx::domain::spend::period::{Period, next_month};
use llmx::domain::window::{Window, Zone};
use llmx::ledger::{Admission, Ledger, Patience, Reservation};
use serde_json::Value;

/// What a day costs, from Monday on, in cents.
const WEEK: [i64; 7] = [300, 400, 500, 400, 300, 60, 40];

const CENT: i64 = 10_000_000_000;

struct Books {
    folder: tempfile::TempDir,
    count: usize,
}

impl Books {
    fn new() -> Books {
        Books { folder: tempfile::tempdir().expect("a folder"), count: 0 }
    }

    /// So many whole days, and the beginning of today: on each, at its first instant, what its weekday costs.
    fn weekly(days: i64) -> Books {
        let mut books = Books::new();
        let mut ledger = books.open();
        for day in Period::of(today() - days.days(), today() + 1.day(), &zone()).expect("days").days() {
            books.spend(&mut ledger, beginning(day), Some(cost(day)), &NewCall::default());
        }
        books
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn open(&self) -> Ledger {
        Ledger::open(&self.path(), Patience::default()).expect("the ledger opens")
    }

    fn reserve(&mut self, ledger: &mut Ledger, at_ms: i64, like: &NewCall) -> Reservation {
        self.count += 1;
        let call = NewCall {
            id: format!("0190-{:04}", self.count),
            command: "chat".into(),
            provider: "openai".into(),
            model: "gpt-x".into(),
            ceiling: Some(Usd::from_picos(7 * CENT)),
            ..like.clone()
        };
        let quote = Quote { ceiling: call.ceiling, ..Quote::default() };
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        match ledger.admit(&call, &claim, at_ms).expect("admitted") {
            Admission::Granted(reservation) => reservation,
            Admission::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    /// Books a call of an amount; `None`: nobody knows its price.
    fn spend(&mut self, ledger: &mut Ledger, at_ms: i64, amount: Option<Usd>, like: &NewCall) {
        let reservation = self.reserve(ledger, at_ms, like);
        let basis = if amount.is_some() { "table" } else { "unpriced" };
        let settlement = Settlement { basis: basis.into(), total: amount, at_most: amount, ..Settlement::default() };
        ledger.settle(reservation, &settlement, at_ms).expect("settled");
    }

    fn usage(&self, args: &[&str]) -> Llmx {
        Llmx::new(&["usage"])
            .args(args)
            .args(&["--db", self.path().to_str().expect("UTF-8")])
            .env("LLMX_ZONE", zone().name())
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the end")
}

/// A zone in which the day is neither young nor about to end: what today has cost so far is told to the hour, and no test
/// runs over midnight.
fn zone() -> Zone {
    static ZONE: LazyLock<Zone> = LazyLock::new(|| {
        let hour = now_ms() / 3_600_000 % 24;
        let name = if (2..22).contains(&hour) { "UTC" } else { "Etc/GMT+6" };
        Zone::named(name).expect("a zone")
    });
    ZONE.clone()
}

fn today() -> Date {
    zone().date(now_ms()).expect("a day")
}

fn beginning(day: Date) -> i64 {
    zone().beginning(day).expect("it begins")
}

fn cost(day: Date) -> Usd {
    let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).expect("a weekday");
    Usd::from_picos(WEEK[weekday] * CENT)
}

fn sum(days: impl Iterator<Item = Date>) -> Usd {
    Usd::from_picos(days.map(|day| cost(day).picos).sum())
}

fn month() -> Period {
    Period::month(today(), &zone()).expect("a month")
}

fn budget(name: &str, limit: Usd, window: &str) -> Budget {
    Budget {
        name: name.into(),
        limit,
        account: Account { scope: Scope::default(), window: Window::parse(window).expect("a window"), zone: zone() },
        hard: true,
        warn: vec![80],
        on_unknown_price: OnUnknownPrice::Allow,
        allow_unbounded: true,
        clip: true,
        origin: Origin::Ledger,
    }
}

#[test]
fn under_two_weeks_of_calls_there_is_no_forecast() {
    let done = Books::weekly(13).usage(&["forecast"]).run().exits(1).prints("");
    let ready = (today() + 1.day()).strftime("%a %-d %b").to_string();
    done.says(&["needs 14 whole days", "have 13 days since", &format!("there will be one on {ready}")]);
    Books::new().usage(&["forecast"]).run().exits(1).says(&["the books have no such call"]);
    let filtered = Books::weekly(30).usage(&["forecast", "--where", "project=none"]).run().exits(1);
    filtered.says(&["have no such call"]);
}

#[test]
fn equal_weeks_are_foretold_to_the_picodollar() {
    let books = Books::weekly(70);
    let told = books.usage(&["forecast", "-j"]).run().exits(0).stays_quiet().json();
    assert_eq!((&told["expected"], &told["low"]), (&sum(month().days()).to_string().into(), &told["high"]));
    let so_far = sum(Period::of(month().first, today() + 1.day(), &zone()).expect("days").days());
    assert_eq!(told["so_far"], so_far.to_string());
    let next = next_month(today()).expect("a month");
    let of_next = Period::month(next, &zone()).expect("a month");
    let told = books.usage(&["forecast", "-j", &next.strftime("%Y-%m").to_string()]).run().exits(0).json();
    assert_eq!((&told["so_far"], &told["expected"]), (&"0".into(), &sum(of_next.days()).to_string().into()));
    let page = books.usage(&["forecast", "week"]).env("COLUMNS", "60").run().exits(0);
    let week: i64 = WEEK.iter().sum();
    assert!(page.text().starts_with(&format!("Forecast ${}.00 ", week / 100)), "{}", page.text());
    assert!(page.text().lines().all(|line| line.chars().count() <= 60), "{}", page.text());
}

#[test]
fn a_forecast_says_when_a_monthly_budget_is_passed_and_what_it_leaves_out() {
    let mut books = Books::weekly(70);
    let mut ledger = books.open();
    books.spend(&mut ledger, now_ms() - 2, None, &NewCall::default());
    let open = books.reserve(&mut ledger, now_ms() - 1, &NewCall::default());
    let so_far = sum(Period::of(month().first, today() + 1.day(), &zone()).expect("days").days());
    let tomorrow = today() + 1.day();
    // With what the open call holds it is passed on half of tomorrow's spend.
    let limit = so_far.picos + 7 * CENT + cost(tomorrow).picos / 2;
    ledger.set_budget(&budget("eng-a", Usd::from_picos(limit), "month"), now_ms()).expect("set");
    ledger.set_budget(&budget("all", Usd::from_picos(limit * 100), "month"), now_ms()).expect("set");
    ledger.set_budget(&budget("daily", Usd::from_picos(1), "day"), now_ms()).expect("set");
    let done = books.usage(&["forecast"]).run().exits(0).stays_quiet();
    let text = done.text();
    let wanted = if tomorrow < month().after {
        format!(
            "passes eng-a (${}/month) on about {} (80 %: {} – {})",
            Usd::from_picos(limit),
            tomorrow.strftime("%a %-d %b"),
            tomorrow.strftime("%-d %b"),
            tomorrow.strftime("%-d %b")
        )
    } else {
        format!("stays under eng-a (${}/month)", Usd::from_picos(limit))
    };
    assert!(text.contains(&wanted), "{wanted} in {text}");
    assert!(text.contains("stays under all ("), "{text}");
    assert!(!text.contains("daily"), "{text}");
    assert!(text.contains("1 call of the period has no price"), "{text}");
    assert!(text.contains("1 call is open and not in the sums: it may cost up to $0.07"), "{text}");
    assert!(text.lines().next().is_some_and(|line| line.contains('+')), "{text}");
    drop(open);
}

#[test]
fn a_backtest_sets_the_forecast_beside_the_run_rate() {
    let done = Books::weekly(100).usage(&["forecast", "week", "--backtest"]).run().exits(0);
    let text = done.text();
    assert!(text.contains("\nall    ") && text.contains("0.0% (0.0%)") && text.contains("100.0%"), "{text}");
    assert!(text.contains("the forecast was as close as the run rate, or closer"), "{text}");
    // A level that jumps by half every 30 days: the run rate of a month knows, the weekdays of eight weeks do not.
    let mut books = Books::new();
    let mut ledger = books.open();
    let mut level = CENT;
    for day in Period::of(month().first - 8.months(), today(), &zone()).expect("days").days() {
        level = if day.day() == 1 { level * 3 / 2 } else { level };
        books.spend(&mut ledger, beginning(day), Some(Usd::from_picos(level)), &NewCall::default());
    }
    let told = books.usage(&["forecast", "--backtest", "-j"]).run().exits(0).json();
    assert_eq!((&told["run_rate_was_closer"], &told["backtest"]["run_rate_was_closer"]), (&true.into(), &true.into()));
    let said = books.usage(&["forecast"]).run().exits(0);
    assert!(said.text().contains("On this past the run rate was closer"), "{}", said.text());
    let short = Books::weekly(20).usage(&["forecast", "year", "--backtest"]).run().exits(0);
    assert!(short.text().contains("no earlier period like this one"), "{}", short.text());
}

#[test]
fn a_budget_of_a_model_is_foretold_from_that_models_calls() {
    let mut books = Books::new();
    let mut ledger = books.open();
    for day in Period::of(today() - 30.days(), today() + 1.day(), &zone()).expect("days").days() {
        let region = NewCall { region: Some("eu-west-1".into()), ..NewCall::default() };
        books.spend(&mut ledger, beginning(day), Some(Usd::from_picos(CENT)), &region);
        books.spend(&mut ledger, beginning(day), Some(Usd::from_picos(5 * CENT)), &NewCall::default());
    }
    let mut european = budget("european", Usd::from_picos(1_000 * CENT), "month");
    european.account.scope.model = Some("OpenAI@eu-*/gpt-*".into());
    ledger.set_budget(&european, now_ms()).expect("set");
    let told = books.usage(&["budgets", "-j"]).run().exits(0).json();
    let days = Usd::from_picos(month().count() * CENT);
    assert_eq!(told["budgets"][0]["forecast"]["expected"], days.to_string(), "{told}");
}

#[test]
fn what_was_imported_is_spend_but_counts_towards_no_budget() {
    let books = Books::weekly(30);
    let mut ledger = books.open();
    ledger.set_budget(&budget("eng-a", Usd::from_picos(100_000 * CENT), "month"), now_ms()).expect("set");
    let foretold = || {
        let told = books.usage(&["forecast", "-j"]).run().exits(0).json();
        (told["so_far"].clone(), told["budgets"][0]["forecast"]["expected"].clone())
    };
    let (before, of_budget) = foretold();
    let db = rusqlite::Connection::open(books.path()).expect("a connection of our own");
    db.execute_batch(&format!(
        "INSERT INTO call (seq, id, opened_ms, command, provider, model, tags, parameters, host, boot, pid_space, pid,
            process_start, source) VALUES (900, 'theirs', {}, 'import', 'openai', 'gpt-x', '{{}}', '{{}}', '', '', '', 0, '', 'x');
         INSERT INTO settlement (call, finished_ms, cost_basis, total_picos, at_most_picos, notes)
            VALUES (900, {}, 'table', {}, {}, '[]');
         INSERT INTO imported VALUES ('x', '1', 900);",
        beginning(today()),
        beginning(today()),
        100 * CENT,
        100 * CENT
    ))
    .expect("booked");
    let (after, still) = foretold();
    let picos = |amount: &Value| amount.as_str().and_then(Usd::parse).expect("an amount").picos;
    assert_eq!((picos(&after) - picos(&before), still), (100 * CENT, of_budget));
}

#[test]
fn budgets_come_with_the_most_urgent_first_at_any_width() {
    let books = Books::weekly(70);
    let mut ledger = books.open();
    let month_so_far = sum(Period::of(month().first, today() + 1.day(), &zone()).expect("days").days());
    for (name, limit, window) in [
        ("roomy", month_so_far.picos * 1_000, "month"),
        ("over", month_so_far.picos - CENT, "month"),
        ("forever", month_so_far.picos * 100, "total"),
        ("rolling", month_so_far.picos * 1_000, "30d"),
    ] {
        ledger.set_budget(&budget(name, Usd::from_picos(limit), window), now_ms()).expect("set");
    }
    let filed = "[budget.filed]\nlimit = \"100/week\"\nsoft = true\n";
    let told = books.usage(&["budgets", "-j"]).config(filed).run().exits(0).json();
    let names: Vec<&str> =
        told["budgets"].as_array().expect("budgets").iter().filter_map(|of| of["budget"].as_str()).collect();
    assert_eq!((names[0], names.len()), ("over", 5), "{names:?}");
    assert!(names.contains(&"filed"), "{names:?}");
    let over = &told["budgets"][0];
    assert_eq!((&over["over"], &over["state"]), (&"0.01".into(), &"over".into()));
    let rolling = told["budgets"].as_array().expect("budgets").iter().find(|of| of["budget"] == "rolling").expect("it");
    assert_eq!((&rolling["pace"], &rolling["forecast"]), (&Value::Null, &Value::Null));
    for width in ["60", "80", "120"] {
        let page = books.usage(&["budgets"]).config(filed).env("COLUMNS", width).run().exits(0).stays_quiet();
        let columns: usize = width.parse().expect("a number");
        assert!(page.text().lines().all(|line| line.chars().count() <= columns), "{width}: {}", page.text());
        assert!(page.text().contains("over by $0.01"), "{width}: {}", page.text());
        for name in ["over", "roomy", "forever", "rolling", "filed"] {
            assert!(page.text().lines().any(|line| line.starts_with(name)), "{width}: {}", page.text());
        }
    }
    let piped = books.usage(&["budgets"]).run().exits(0);
    assert!(piped.text().starts_with("budget   limit"), "{}", piped.text());
    Books::new().usage(&["budgets"]).run().exits(0).prints("").says(&["no budget is set"]);
}

#[test]
fn a_status_line_is_one_line_of_what_was_asked_for() {
    let mut books = Books::weekly(40);
    let mut ledger = books.open();
    let mine = NewCall { project: Some("pay".into()), session: Some("s1".into()), ..NewCall::default() };
    books.spend(&mut ledger, now_ms() - 2, Some(Usd::from_picos(250 * CENT)), &mine);
    let [of_today, yesterday] = [today(), today() - 1.day()].map(cost);
    let plain = books
        .usage(&["statusline", "{today}|{yesterday}|{calls}|{failed}|{project}|{session}|{last_cost}|{last_model}"]);
    let text = |picos: i64| format!("${}.{:02}", picos / CENT / 100, picos / CENT % 100);
    let line =
        format!("{}|{}|2|0|$2.50|$2.50|$2.50|openai/gpt-x\n", text(of_today.picos + 250 * CENT), text(yesterday.picos));
    plain.env("LLMX_PROJECT", "pay").run().exits(0).stays_quiet().prints(&line);
    books.spend(&mut ledger, now_ms() - 1, None, &NewCall::default());
    let month = sum(Period::of(month().first, today() + 1.day(), &zone()).expect("days").days()).picos + 250 * CENT;
    let amounts = format!("{}+ today · {}+ month", text(of_today.picos + 250 * CENT), text(month));
    books.usage(&["statusline"]).run().exits(0).prints(&format!("{amounts}\n"));
    ledger.set_budget(&budget("eng-a", Usd::from_picos(month * 2), "month"), now_ms()).expect("set");
    books.usage(&["statusline"]).run().exits(0).prints(&format!("{amounts} · eng-a 50%\n"));
    let coloured = books.usage(&["statusline", "{budget}", "--color", "always"]);
    let file = "[budget.tight]\nlimit = \"1.00/total\"\n";
    coloured.config(file).run().exits(0).prints("\u{1b}[91mtight\u{1b}[0m\n");
    books.usage(&["statusline", "{budget_percent:eng-a}"]).config(file).run().exits(0).prints("50%\n");
}

#[test]
fn a_status_line_counts_the_days_of_its_zone() {
    let mut books = Books::new();
    let mut ledger = books.open();
    let then = now_ms() - 6 * 3_600_000;
    books.spend(&mut ledger, then, Some(Usd::from_picos(CENT * 100)), &NewCall::default());
    // Somewhere in the world it was yesterday six hours ago.
    for name in ["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Auckland"] {
        let zone = Zone::named(name).expect("a zone");
        let shown = if zone.date(then) == zone.date(now_ms()) { "$1.00 $0\n" } else { "$0 $1.00\n" };
        books.usage(&["statusline", "{today} {yesterday}", "-z", name]).run().exits(0).prints(shown);
    }
}

#[test]
fn a_status_line_never_makes_a_ledger_or_brings_one_up_to_date() {
    let books = Books::new();
    books.usage(&["statusline"]).run().exits(0).stays_quiet().prints("$0 today · $0 month\n");
    books.usage(&["statusline", "{last_cost}{budget}"]).run().exits(0).prints("––\n");
    assert!(!books.path().exists());
    std::fs::write(books.path(), "").expect("written");
    books.usage(&["statusline", "{today}"]).run().exits(0).prints("$0\n");
    assert_eq!(std::fs::read(books.path()).expect("there"), b"");
    std::fs::remove_file(books.path()).expect("gone");
    drop(books.open());
    let version = |wanted: i64| {
        let db = rusqlite::Connection::open(books.path()).expect("a connection of our own");
        db.pragma_update(None, "user_version", wanted).expect("set");
    };
    for other in [2, 1_000] {
        version(other);
        books.usage(&["statusline"]).run().exits(0).stays_quiet().prints("llmx: ledger version differs\n");
        books.usage(&["statusline", "-q"]).run().exits(0).stays_quiet().prints("");
        books.usage(&["statusline", "-q", "-v"]).run().exits(0).says(&["ledger.db"]).prints("");
        let db = rusqlite::Connection::open(books.path()).expect("a connection of our own");
        let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number");
        assert_eq!(found, other);
    }
    std::fs::write(books.path(), "no ledger at all, but long enough to be looked at").expect("written");
    books.usage(&["statusline"]).run().exits(0).prints("llmx: ledger is unreadable\n");
    let wrong = "nonsense = true\n";
    Books::weekly(1)
        .usage(&["statusline", "{budget}"])
        .config(wrong)
        .run()
        .exits(0)
        .prints("llmx: settings are wrong\n");
}

#[test]
fn a_status_line_does_not_wait_for_a_lock_or_for_its_input() {
    let books = Books::weekly(20);
    let locked = rusqlite::Connection::open(books.path()).expect("a connection of our own");
    // Nobody can read then, either.
    locked.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; PRAGMA user_version = 3;").expect("locked");
    let begun = Instant::now();
    let shown = books.usage(&["statusline", "{today}"]).run().exits(0).stays_quiet();
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert_eq!(shown.text(), "llmx: ledger is locked\n");
    drop(locked);
    let writing = rusqlite::Connection::open(books.path()).expect("a connection of our own");
    writing.execute_batch("BEGIN IMMEDIATE;").expect("locked");
    let expected = books.usage(&["statusline", "{yesterday}"]).run().exits(0);
    assert!(expected.text().starts_with('$'), "a writer hinders no reader: {}", expected.text());
    let (mut command, _folder) = books.usage(&["statusline", "{yesterday}"]).into_parts();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    // Kept open until the line is there.
    let input = child.stdin.take().expect("piped");
    let out = child.wait_with_output().expect("it ends");
    drop(input);
    assert_eq!(String::from_utf8_lossy(&out.stdout), expected.text());
}

#[test]
fn a_format_that_cannot_be_read_is_an_error_that_names_the_nearest() {
    let done = Books::new().usage(&["statusline", "{tody}"]).run().exits(2).prints("");
    done.says(&["{tody} is no placeholder", "try: {today}"]);
}

#[test]
fn what_is_shown_is_the_same_in_every_run() {
    let books = Books::weekly(60);
    let run = || {
        let mut told = books.usage(&["forecast", "-j"]).run().exits(0).json();
        told["now_ms"] = Value::Null;
        told["run_rate"] = Value::Null;
        told
    };
    assert_eq!(run(), run());
    assert!(Path::new(&books.path()).exists());
}
