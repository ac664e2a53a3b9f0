//! What one process may rely on.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use llmx::domain::money::Usd;
use llmx::domain::record::{Resolution, Settlement};
use llmx::domain::window::Zone;
use llmx::ledger::{Comparison, Ledger, LedgerError, LogFilter, Patience, Repriced, Repricing};
use serde_json::json;

use crate::child::{NOON, call, make, open, process, reserve, said, settlement};

fn all() -> LogFilter {
    LogFilter { limit: 100, ..LogFilter::default() }
}

fn raw(path: &std::path::Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).expect("a connection of our own")
}

#[test]
fn a_call_is_told_as_it_was_booked() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    let asked = call("0190-a");
    let reservation = reserve(&mut ledger, &asked, NOON).expect("reserved");
    assert_eq!((reservation.opened_ms(), reservation.warning()), (NOON, None));
    ledger.settle(reservation, &settlement(), NOON + 2_840).expect("settled");
    let told = ledger.record("0190-a").expect("found");
    assert_eq!(told.call, asked);
    let settled = told.settled.as_ref().expect("settled");
    assert_eq!((settled.finished_ms, &settled.settlement), (NOON + 2_840, &settlement()));
    assert_eq!(told.total(), Some(Usd::from_picos(830_000_000)));
    assert_eq!(told.said.as_deref(), Some("Why is the sky blue?"));
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
}

#[test]
fn a_call_is_found_by_a_part_of_its_id_that_no_other_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    make(&mut ledger, "0190-aa", NOON);
    make(&mut ledger, "0190-ab", NOON);
    assert_eq!(ledger.record("ab").expect("by its end").call.id, "0190-ab");
    assert!(matches!(ledger.record("0190"), Err(LedgerError::Ambiguous { count: 2, .. })));
    assert!(matches!(ledger.record("0190-%"), Err(LedgerError::NoCall { .. })));
}

#[test]
fn logs_are_filtered_by_everything_that_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    make(&mut ledger, "first", NOON);
    let mut other = call("second");
    other.model = "claude_y".into();
    other.provider = "anthropic".into();
    other.prompt = Some(json!({"messages": [{"role": "user", "parts": [{"text": "say \"100%\"\nplainly"}]}]}));
    let reservation = reserve(&mut ledger, &other, NOON + 10).expect("reserved");
    let failed = Settlement {
        error_class: Some("rate-limit".into()),
        error: Some("slow down".into()),
        status: Some(429),
        ..Settlement::nothing("refused")
    };
    ledger.settle(reservation, &failed, NOON + 20).expect("settled");
    let _open = reserve(&mut ledger, &call("third"), NOON + 30).expect("reserved");
    let found = |filter: LogFilter| -> Vec<String> {
        let records = ledger.logs(&LogFilter { limit: 10, ..filter }).expect("reads");
        records.into_iter().map(|record| record.call.id).collect()
    };
    let text = |text: &str| LogFilter { text: Some(text.into()), ..all() };
    assert_eq!(found(all()), ["third", "second", "first"]);
    assert_eq!(found(text("SKY is blue")), Vec::<String>::new());
    assert_eq!(found(text("SKY")), ["third", "first"]);
    assert_eq!(found(text("\"100%\"\nplain")), ["second"]);
    assert_eq!(found(text("rayleigh")), ["first"]);
    assert_eq!(found(text("slow down")), ["second"]);
    assert_eq!(found(LogFilter { model: Some("ANTHROPIC/claude_".into()), ..all() }), ["second"]);
    assert_eq!(found(LogFilter { model: Some("2026-09-01".into()), ..all() }), ["first"]);
    assert_eq!(found(LogFilter { failed: true, ..all() }), ["second"]);
    assert_eq!(found(LogFilter { since_ms: Some(NOON + 10), ..all() }), ["third", "second"]);
    let cost = |comparison, picos| LogFilter { cost: Some((comparison, Usd::from_picos(picos))), ..all() };
    assert_eq!(found(cost(Comparison::More, 0)), ["first"]);
    assert_eq!(found(cost(Comparison::AtMost, 0)), ["second"]);
    assert_eq!(ledger.logs(&LogFilter { limit: 1, ..all() }).expect("reads").len(), 1);
}

#[test]
fn the_books_only_grow() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    make(&mut open(&path), "a", NOON);
    for change in [
        "UPDATE call SET model = 'x'",
        "DELETE FROM settlement",
        "UPDATE settlement SET total_picos = 0",
        "DELETE FROM line",
        "DELETE FROM call",
        "INSERT INTO settlement (call, finished_ms, cost_basis, notes) VALUES (1, 1, 'table', '[]')",
    ] {
        raw(&path).execute_batch(change).expect_err(change);
    }
}

#[test]
fn a_clock_that_went_back_is_said_and_not_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    make(&mut ledger, "a", NOON);
    let reservation = reserve(&mut ledger, &call("b"), NOON - 7_200_000).expect("reserved");
    assert_eq!(reservation.opened_ms(), NOON);
    assert!(reservation.warning().is_some_and(|said| said.contains("7200 s")));
    ledger.settle(reservation, &settlement(), NOON - 7_190_000).expect("settled");
    assert_eq!(ledger.record("b").expect("found").settled.expect("settled").finished_ms, NOON);
    let soon = reserve(&mut ledger, &call("c"), NOON - 1_000).expect("reserved");
    assert_eq!(soon.warning(), None);
}

#[test]
fn a_ledger_that_is_deleted_while_a_call_runs_gets_its_call_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = open(&path);
    let reservation = reserve(&mut ledger, &call("a"), NOON).expect("reserved");
    std::fs::remove_file(&path).expect("deleted");
    let error = ledger.settle(reservation, &settlement(), NOON + 1).expect_err("it is gone");
    assert!(matches!(&error, LedgerError::Spilled { .. }), "{error}");
    assert!(matches!(reserve(&mut ledger, &call("b"), NOON), Err(LedgerError::Replaced { .. })));
    drop(ledger);
    for suffix in ["db-wal", "db-shm"] {
        let _ = std::fs::remove_file(path.with_extension(suffix));
    }
    let ledger = open(&path);
    assert_eq!(ledger.warnings().len(), 1);
    let told = ledger.record("a").expect("found");
    assert_eq!((told.call.prompt.is_some(), told.total()), (true, Some(Usd::from_picos(830_000_000))));
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    drop(ledger);
    assert!(open(&path).warnings().is_empty(), "it is taken in once");
}

#[test]
fn a_ledger_that_stays_locked_refuses_a_call_and_keeps_a_settlement_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let told = Arc::new(Mutex::new(Vec::new()));
    let listening = Arc::clone(&told);
    let note = Arc::new(move |said: &str| listening.lock().expect("alone").push(said.to_owned()));
    let patience = Patience { limit: Duration::from_millis(1_200), note, ..Patience::default() };
    let mut ledger = Ledger::open(&path, patience).expect("opens");
    let reservation = reserve(&mut ledger, &call("a"), NOON).expect("reserved");
    let other = raw(&path);
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    assert!(matches!(reserve(&mut ledger, &call("b"), NOON), Err(LedgerError::Busy { .. })));
    assert_eq!(told.lock().expect("alone").len(), 1, "a note after the first second");
    let error = ledger.settle(reservation, &settlement(), NOON + 1).expect_err("locked");
    assert!(
        matches!(&error, LedgerError::Spilled { cause, .. } if matches!(**cause, LedgerError::Busy { .. })),
        "{error}"
    );
    other.execute_batch("COMMIT").expect("unlocked");
    drop(ledger);
    let ledger = open(&path);
    assert!(ledger.record("a").expect("found").settled.is_some());
    assert!(matches!(ledger.record("b"), Err(LedgerError::NoCall { .. })));
}

#[test]
fn a_newer_schema_is_not_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut old = open(&path);
    let reservation = reserve(&mut old, &call("a"), NOON).expect("reserved");
    let newer = raw(&path);
    newer.execute_batch("PRAGMA user_version = 7; PRAGMA wal_checkpoint(TRUNCATE)").expect("upgraded");
    // An old build that was running: its next call is refused, and its last settlement waits for the new one.
    assert!(matches!(reserve(&mut old, &call("b"), NOON), Err(LedgerError::Newer { found: 7, known: 3, .. })));
    let error = old.settle(reservation, &settlement(), NOON + 1).expect_err("newer");
    assert!(matches!(error, LedgerError::Spilled { .. }), "{error}");
    drop(old);
    drop(newer);
    let before = std::fs::read(&path).expect("there");
    let error = Ledger::open(&path, Patience::default()).expect_err("newer");
    assert!(error.to_string().contains("schema 7, and this build knows 3"), "{error}");
    assert_eq!(std::fs::read(&path).expect("there"), before);
    raw(&path).execute_batch("PRAGMA user_version = 3").expect("as it was");
    assert!(open(&path).record("a").expect("found").settled.is_some());
}

#[test]
fn a_file_that_is_no_ledger_is_not_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let garbage: Vec<u8> = (0..9_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let path = folder.path().join("garbage.db");
    std::fs::write(&path, &garbage).expect("written");
    assert!(matches!(Ledger::open(&path, Patience::default()), Err(LedgerError::NotALedger { .. })));
    assert_eq!(std::fs::read(&path).expect("there"), garbage);
    let foreign = folder.path().join("foreign.db");
    raw(&foreign).execute_batch("CREATE TABLE theirs (x)").expect("made");
    let before = std::fs::read(&foreign).expect("there");
    assert!(matches!(Ledger::open(&foreign, Patience::default()), Err(LedgerError::NotALedger { .. })));
    assert_eq!(std::fs::read(&foreign).expect("there"), before);
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_is_not_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("link.db");
    std::os::unix::fs::symlink(folder.path().join("elsewhere.db"), &path).expect("linked");
    assert!(matches!(Ledger::open(&path, Patience::default()), Err(LedgerError::NotAFile { .. })));
    assert!(!folder.path().join("elsewhere.db").exists());
    // The folder's own links are the user's affair.
    std::os::unix::fs::symlink(folder.path(), folder.path().join("home")).expect("linked");
    make(&mut open(&folder.path().join("home/ledger.db")), "a", NOON);
}

#[test]
fn only_a_hand_settles_what_a_dead_process_left_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = open(&path);
    let mine = reserve(&mut ledger, &call("mine"), NOON).expect("reserved");
    assert!(matches!(
        ledger.resolve("mine", Resolution::Nothing, "no", NOON),
        Err(LedgerError::Running { pid, .. }) if pid == std::process::id()
    ));
    for (id, ceiling) in [("dead-1", Some(5)), ("dead-2", Some(5)), ("dead-3", None)] {
        let mut child = process("open", &path, id, 0);
        assert!(child.output().expect("it ran").status.success());
        let mut left = call(id);
        left.ceiling = ceiling.map(Usd::from_picos);
        let _ = reserve(&mut ledger, &left, NOON).expect("reserved");
    }
    // Their process was another one, which is gone: the same number, started at another time.
    drop(ledger);
    let raw = raw(&path);
    raw.execute_batch(
        "DROP TRIGGER call_stays; UPDATE call SET process_start = '1' WHERE id LIKE 'dead-%';
         CREATE TRIGGER call_stays BEFORE UPDATE ON call BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;",
    )
    .expect("as if");
    let mut ledger = open(&path);
    let states: Vec<_> =
        ledger.open_calls().expect("reads").into_iter().map(|call| (call.id, call.state.as_str())).collect();
    let expected = [("mine", "running"), ("dead-1", "dead"), ("dead-2", "dead"), ("dead-3", "dead")];
    assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state)));
    assert_eq!(ledger.record("dead-1").expect("found").total(), None);
    ledger.resolve("dead-1", Resolution::Nothing, "the log shows no request", NOON).expect("resolved");
    ledger.resolve("dead-2", Resolution::Ceiling, "no log", NOON).expect("resolved");
    assert!(matches!(ledger.resolve("dead-3", Resolution::Ceiling, "", NOON), Err(LedgerError::NoCeiling { .. })));
    ledger.resolve("dead-3", Resolution::Amount(Usd::from_picos(7)), "invoice 12", NOON).expect("resolved");
    let total = |id: &str| ledger.record(id).expect("found").total().map(|total| total.picos);
    assert_eq!([total("dead-1"), total("dead-2"), total("dead-3")], [Some(0), Some(5), Some(7)]);
    let why = ledger.record("dead-3").expect("found").settled.expect("settled").settlement.because;
    assert_eq!(why.as_deref(), Some("invoice 12"));
    assert_eq!(ledger.open_calls().expect("reads").len(), 1);
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    drop(mine);
}

#[test]
fn later_proof_of_a_settled_call_is_a_correction_and_the_first_amount_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = open(&path);
    ledger.keep_days(&Zone::utc()).expect("kept");
    let reservation = reserve(&mut ledger, &call("cut"), NOON).expect("reserved");
    let estimated = Settlement {
        basis: "estimated".into(),
        total: Some(Usd::from_picos(3)),
        at_most: Some(Usd::from_picos(9)),
        ..Settlement::default()
    };
    ledger.settle(reservation, &estimated, NOON).expect("settled");
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    make(&mut ledger, "whole", NOON);
    ledger.resolve("cut", Resolution::Ceiling, "no proof", NOON + 5).expect("corrected");
    ledger.resolve("cut", Resolution::Amount(Usd::from_picos(4)), "the bill", NOON + 6).expect("corrected");
    let told = ledger.record("cut").expect("found");
    assert_eq!(told.total(), Some(Usd::from_picos(4)));
    assert_eq!(told.settled.expect("settled").settlement.total, Some(Usd::from_picos(3)));
    let totals: Vec<_> = told.corrections.iter().map(|correction| correction.total.map(|total| total.picos)).collect();
    assert_eq!(totals, [Some(9), Some(4)]);
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    // Those that wait join the sums where another zone is met.
    ledger.keep_days(&Zone::named("Europe/Berlin").expect("a zone")).expect("kept");
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    let days: Vec<(i64, String, i64, i64)> = raw(&path)
        .prepare(
            "SELECT day, text, calls, picos FROM day JOIN day_place p ON p.id = place JOIN day_text t ON t.id = cost_basis
             WHERE zone = 1 AND facet = 0 ORDER BY text",
        )
        .expect("reads")
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .expect("reads")
        .collect::<Result<_, _>>()
        .expect("rows");
    assert_eq!(days, [(20_779, "reported".into(), 1, 4), (20_779, "table".into(), 1, 830_000_000)]);
}

#[test]
fn a_call_that_ends_after_it_was_settled_by_hand_corrects_the_hand() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = open(&path);
    let reservation = reserve(&mut ledger, &call("a"), NOON).expect("reserved");
    // As seen from another machine, where it cannot be judged whether the process lives.
    raw(&path)
        .execute_batch(
            "DROP TRIGGER call_stays; UPDATE call SET host = 'theirs', boot = 'theirs';
             CREATE TRIGGER call_stays BEFORE UPDATE ON call BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;",
        )
        .expect("as if");
    open(&path).resolve("a", Resolution::Nothing, "it seemed dead", NOON + 1).expect("resolved");
    assert_eq!(ledger.record("a").expect("found").total(), Some(Usd::default()));
    ledger.settle(reservation, &settlement(), NOON + 2).expect("settled");
    let told = ledger.record("a").expect("found");
    assert_eq!((told.total(), told.corrections.len()), (Some(Usd::from_picos(830_000_000)), 1));
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
}

#[test]
fn what_was_kept_beside_the_ledger_is_booked_once_however_often_it_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let ran = process("spill", &path, "s", 1).output().expect("it ran");
    assert_eq!(said(&ran, "SETTLED"), ["s.0"]);
    let entry =
        std::fs::read_dir(path.with_extension("spill")).expect("leases").next().expect("one").expect("an entry");
    let kept = std::fs::read(entry.path()).expect("readable");
    // A process that is killed between booking and removing leaves both; one that is killed while writing, half a line.
    for left in [kept.clone(), [kept.as_slice(), b"{\"opened_ms\":"].concat()] {
        std::fs::write(entry.path(), left).expect("written");
        let ledger = open(&path);
        assert_eq!(ledger.record("s.0").expect("found").total(), Some(Usd::from_picos(830_000_000)));
        assert_eq!(ledger.logs(&all()).expect("reads").len(), 1);
        assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
        assert!(!entry.path().exists());
    }
}

#[test]
fn what_cannot_be_booked_is_kept_and_told_at_each_start_and_everything_else_is_booked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    assert_eq!(said(&process("spill", &path, "s", 1).output().expect("it ran"), "SETTLED"), ["s.0"]);
    let spills = path.with_extension("spill");
    let entry = std::fs::read_dir(&spills).expect("leases").next().expect("one").expect("an entry");
    let kept = std::fs::read_to_string(entry.path()).expect("readable");
    let bad = spills.join("1-other-0");
    // A row that the tables do not take, and a line that nobody can read.
    for text in [kept.replace("830000000", "-830000000"), "no JSON\n".into()] {
        assert_ne!(text, kept);
        std::fs::write(&bad, &text).expect("written");
        std::fs::write(entry.path(), &kept).expect("written");
        for start in ["first", "second"] {
            let mut ledger = open(&path);
            let said: Vec<&String> = ledger.warnings().iter().filter(|said| said.contains("left there")).collect();
            assert!(said.len() == 1 && said[0].contains("1-other-0"), "{start}: {:?}", ledger.warnings());
            assert_eq!(ledger.record("s.0").expect("the other one").total(), Some(Usd::from_picos(830_000_000)));
            make(&mut ledger, &format!("{start} beside {}", text.len()), NOON);
            ledger.remove_budget("none", NOON).expect("a write of another kind");
            assert_eq!(ledger.check().expect("reads").len(), 1, "what waits is told by the check");
        }
        assert_eq!(std::fs::read_to_string(&bad).expect("kept as it was"), text);
    }
    std::fs::remove_file(&bad).expect("removed by hand");
    assert_eq!(open(&path).check().expect("reads"), Vec::<String>::new());
}

#[test]
fn a_write_that_takes_long_is_told_with_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&told);
    let note = Arc::new(move |said: &str| ear.lock().expect("no panic").push(said.to_owned()));
    // Nothing is shorter than no time at all.
    let patience = Patience { note, note_after: Duration::ZERO, clock: Some(Instant::now), ..Patience::default() };
    let mut ledger = Ledger::open(&folder.path().join("ledger.db"), patience).expect("opens");
    make(&mut ledger, "a", NOON);
    let told = told.lock().expect("no panic");
    assert_eq!(told.len(), 2, "reserved and settled: {told:?}");
    assert!(told.iter().all(|said| said.starts_with("the ledger is slow (") && said.contains(" s for one write)")));
}

#[test]
fn the_check_finds_what_does_not_agree_and_a_rebuild_mends_what_is_derived() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = open(&path);
    make(&mut ledger, "a", NOON);
    ledger.keep_days(&Zone::utc()).expect("kept");
    let other = raw(&path);
    other.execute_batch("UPDATE day SET picos = picos + 1; INSERT INTO open_call VALUES (1)").expect("spoilt");
    let found = ledger.check().expect("reads").join("\n");
    assert!(found.contains("sums by day") && found.contains("open calls"), "{found}");
    ledger.rebuild().expect("made anew");
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    other.execute_batch("DROP TRIGGER settlement_stays; UPDATE settlement SET total_picos = 1").expect("spoilt");
    assert!(ledger.check().expect("reads").join("\n").contains("sum of its lines"));
}

#[test]
fn an_amount_below_zero_is_not_booked_and_the_call_stays_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    let reservation = reserve(&mut ledger, &call("a"), NOON).expect("reserved");
    let negative = Settlement { total: Some(Usd::from_picos(-1)), ..settlement() };
    assert!(matches!(ledger.settle(reservation, &negative, NOON), Err(LedgerError::Negative)));
    assert_eq!(ledger.open_calls().expect("reads").len(), 1);
}

#[test]
fn a_count_beyond_all_sums_does_not_break_the_books() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    ledger.keep_days(&Zone::utc()).expect("kept");
    let mut huge = settlement();
    (huge.basis, huge.total) = ("unpriced".into(), None);
    huge.lines[0].quantity = u64::MAX;
    for id in ["a", "b"] {
        let reservation = reserve(&mut ledger, &call(id), NOON).expect("reserved");
        ledger.settle(reservation, &huge, NOON).expect("settled");
    }
    let notes = ledger.record("a").expect("found").settled.expect("settled").settlement.notes;
    assert!(notes[0].contains("18446744073709551615"), "{notes:?}");
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
}

#[test]
fn a_purge_takes_the_words_and_leaves_the_amounts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = open(&path);
    let mut old = call("old");
    old.prompt = Some(json!({"messages": [{"parts": [{"text": format!("FORGET-ME {}", "x".repeat(9_000))}]}]}));
    let reservation = reserve(&mut ledger, &old, NOON).expect("reserved");
    ledger.settle(reservation, &settlement(), NOON).expect("settled");
    make(&mut ledger, "new", NOON + 10);
    let purged = ledger.purge_texts(NOON + 10).expect("purged");
    assert_eq!((purged.prompts, purged.answers, purged.overwritten), (1, 1, true));
    let old = ledger.record("old").expect("found");
    assert_eq!(
        (old.call.prompt, old.said, old.settled.as_ref().and_then(|end| end.settlement.answer.clone())),
        (None, None, None)
    );
    assert_eq!(ledger.logs(&all()).expect("reads").len(), 2);
    assert!(ledger.record("new").expect("found").call.prompt.is_some());
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    for file in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
        assert!(!bytes.windows(9).any(|window| window == b"FORGET-ME"), "{file}");
    }
}

#[test]
fn a_backup_is_a_whole_ledger_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    make(&mut ledger, "a", NOON);
    let copy = folder.path().join("copy.db");
    ledger.backup(&copy).expect("copied");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(copy.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    }
    assert!(matches!(ledger.backup(&copy), Err(LedgerError::Exists { .. })));
    let copy = open(&copy);
    assert_eq!(copy.record("a").expect("found").total(), Some(Usd::from_picos(830_000_000)));
    assert_eq!(copy.check().expect("reads"), Vec::<String>::new());
}

#[test]
fn other_prices_are_kept_beside_the_booked_amounts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = open(&folder.path().join("ledger.db"));
    make(&mut ledger, "a", NOON);
    let tried = Repriced { id: "a".into(), total: Some(Usd::from_picos(1)), entry: Some("other/m".into()) };
    let run = Repricing {
        table: "bundled".into(),
        version: "2026-12-01".into(),
        sha256: "aa".into(),
        because: "what if".into(),
        calls: vec![tried.clone()],
    };
    let number = ledger.keep_repricing(&run, NOON).expect("kept");
    assert_eq!(ledger.repricing(number).expect("reads"), [tried]);
    assert_eq!(ledger.record("a").expect("found").total(), Some(Usd::from_picos(830_000_000)));
    let unknown = Repricing { calls: vec![Repriced { id: "z".into(), total: None, entry: None }], ..run };
    assert!(matches!(ledger.keep_repricing(&unknown, NOON), Err(LedgerError::NoCall { .. })));
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
}

#[test]
fn no_secret_of_the_environment_is_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let ran = process("spill", &path, "s", 2).env("OPENAI_API_KEY", "sk-CANARY-123").output().expect("it ran");
    assert_eq!(said(&ran, "SETTLED").len(), 2);
    let mut files: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .chain(std::fs::read_dir(path.with_extension("spill")).expect("the folder of leases"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).expect("readable");
        assert!(!bytes.windows(6).any(|window| window == b"CANARY"), "{}", file.display());
    }
}
