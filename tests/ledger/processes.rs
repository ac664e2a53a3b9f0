//! Many processes on one ledger, processes that are killed, and places that refuse.

use std::collections::{BTreeMap, BTreeSet};
#[cfg(unix)]
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::Duration;

use llmx::domain::budget::Standing;
use llmx::domain::money::Usd;
use llmx::domain::window::Window;
use llmx::ledger::{Admission, Ledger, LogFilter};

use crate::budgets::{ask, budget, cost, well};
use crate::child::{NOON, next, open, process, said};

/// Every call of a ledger by its id, with its amount where it is settled.
fn booked(ledger: &Ledger) -> BTreeMap<String, Option<Usd>> {
    let all = LogFilter { limit: u32::MAX, ..LogFilter::default() };
    let records = ledger.logs(&all).expect("reads");
    records.into_iter().map(|record| (record.call.id.clone(), record.total())).collect()
}

fn ended(children: Vec<Child>) -> Vec<Output> {
    children.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect()
}

fn all_well(outputs: &[Output]) {
    for output in outputs {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn first_runs_at_once_all_find_a_whole_ledger() {
    for round in 0..10 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/ledger.db");
        let children = (0..8).map(|n| process("call", &path, &format!("{round}.{n}"), 1).spawn().expect("starts"));
        all_well(&ended(children.collect()));
        let ledger = open(&path);
        assert_eq!(booked(&ledger).len(), 8);
        assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    }
}

#[test]
fn two_hundred_processes_lose_nothing_and_are_never_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let children = (0..200).map(|n| process("call", &path, &n.to_string(), 5).spawn().expect("starts"));
    all_well(&ended(children.collect()));
    let ledger = open(&path);
    let booked = booked(&ledger);
    assert_eq!(booked.len(), 1_000);
    assert!(booked.values().all(|total| *total == Some(Usd::from_picos(830_000_000))));
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
    assert!(leases(&path).is_empty(), "{:?}", leases(&path));
}

fn leases(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path.with_extension("spill")).expect("the folder of leases");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Kills a process some time after it has said so many things of its calls (none: while it opens the ledger), since how fast
/// it comes so far is this machine's affair; gives all that it said.
#[cfg(unix)]
fn killed(mut child: Child, said: u64, delay: Duration) -> Output {
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut stdout = Vec::new();
    for _ in 0..BEFORE_WORK + said {
        // A process that has ended says no more.
        out.read_until(b'\n', &mut stdout).expect("reads");
    }
    std::thread::sleep(delay);
    child.kill().expect("killed");
    out.read_to_end(&mut stdout).expect("reads");
    Output { stdout, ..child.wait_with_output().expect("it ended") }
}

/// Lines that the test harness of a process writes before its work begins.
#[cfg(unix)]
const BEFORE_WORK: u64 = 3;

/// `LEDGER_KILLS` processes (default 200) are killed at random instants: while they open, migrate, reserve, settle, spill
/// and take in. `LEDGER_SEED` repeats a run's delays.
#[cfg(unix)]
#[test]
fn whenever_a_process_is_killed_what_it_was_told_is_booked_and_nothing_twice() {
    let told = |name: &str, default| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default);
    let kills: u64 = told("LEDGER_KILLS", 200);
    let mut random = told("LEDGER_SEED", 0x9E37_79B9_7F4A_7C15);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |work: &str, n: u64| match work {
        // These share one ledger; the others have each their own, which is made, or taken away, while they are killed.
        "reopen" => folder.path().join("shared.db"),
        "spill" => folder.path().join(format!("spill-{}.db", n % 64)),
        _ => folder.path().join(format!("first-{n}.db")),
    };
    let mut outcomes: BTreeMap<std::path::PathBuf, Vec<Output>> = BTreeMap::new();
    let (mut reserved, mut settled) = (0, 0);
    for batch in (0..kills).collect::<Vec<_>>().chunks(8) {
        let mut children = Vec::new();
        for &n in batch {
            let work = ["reopen", "spill", "reopen", "call"][usize::try_from(n % 4).expect("small")];
            let path = path(work, n);
            let child = process(work, &path, &format!("k{n}"), 1_000).spawn().expect("starts");
            children.push((path, child));
        }
        for (path, child) in children {
            random = next(random);
            let (calls, delay) = (random % 4, Duration::from_micros(random / 4 % 20_000));
            outcomes.entry(path).or_default().push(killed(child, calls, delay));
        }
        // Killed between the two moves of the spill.
        for path in outcomes.keys().filter(|path| path.with_extension("away").exists()) {
            std::fs::rename(path.with_extension("away"), path).expect("moved back");
        }
    }
    for (path, outputs) in &outcomes {
        let ledger = open(path);
        assert_eq!(ledger.check().expect("reads"), Vec::<String>::new(), "{}", path.display());
        let booked = booked(&ledger);
        let all: Vec<(&str, String)> = outputs
            .iter()
            .flat_map(|output| {
                ["RESERVED", "SETTLED"].map(|mark| said(output, mark).into_iter().map(move |id| (mark, id)))
            })
            .flatten()
            .collect();
        for (mark, id) in all {
            let total = booked.get(&id).unwrap_or_else(|| panic!("{id} was {mark} and is lost in {}", path.display()));
            if mark == "SETTLED" {
                settled += 1;
                assert_eq!(*total, Some(Usd::from_picos(830_000_000)), "{id}");
            } else {
                reserved += 1;
            }
        }
        let open: BTreeSet<String> = ledger.open_calls().expect("reads").into_iter().map(|call| call.id).collect();
        let without: BTreeSet<String> =
            booked.iter().filter(|(_, total)| total.is_none()).map(|(id, _)| id.clone()).collect();
        assert_eq!(open, without);
    }
    assert!(
        reserved * 2 > kills && settled * 4 > kills,
        "too few calls were made: {reserved} reserved, {settled} settled"
    );
    if kills > 1_000 {
        let mut err = std::io::stderr().lock();
        let said = format!("{kills} kills: {reserved} reserved, {settled} settled, none lost, none twice\n");
        std::io::Write::write_all(&mut err, said.as_bytes()).expect("written");
    }
}

/// A process that asks under two budgets of `limit` for calls that cost at most `most` picodollars.
fn budgeted(path: &Path, name: &str, calls: usize, limit: i64, most: i64) -> Command {
    let mut command = process("budget", path, name, calls);
    command.env("LEDGER_LIMIT", limit.to_string()).env("LEDGER_MOST", most.to_string());
    command
}

/// What the calls truly cost that were sent.
fn charged(outputs: &[Output]) -> i64 {
    let sent = outputs.iter().flat_map(|output| said(output, "SENT"));
    sent.map(|sent| sent.rsplit_once(' ').and_then(|(_, truth)| truth.parse::<i64>().ok()).expect("a number")).sum()
}

/// What the books count towards a budget over all calls, whose sums are those of the sources.
fn counted(path: &Path, limit: i64) -> Standing {
    let mut ledger = open(path);
    well(&ledger);
    let mut all = budget("all", limit);
    all.account.window = Window::Total;
    ledger.standings(&[all], NOON).expect("read").remove(0)
}

/// Rounds of up to 200 processes, some of which are killed at random instants. `LLMX_BUDGET_ROUNDS` (default 24) raises
/// their number; then every round has 200.
#[test]
fn two_hundred_rivals_that_are_killed_at_random_never_spend_more_than_the_limit() {
    const MOST: i64 = 1_000_000;
    let asked: Option<u64> = std::env::var("LLMX_BUDGET_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let mut random = 0x9E37_79B9_7F4A_7C15;
    let mut roll = |below: u64| {
        random = next(random);
        (random >> 1) % below
    };
    for round in 0..asked.unwrap_or(24) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        drop(open(&path));
        let processes = if asked.is_some() || round % 12 == 0 { 200 } else { 12 };
        let limit = MOST * i64::try_from(processes / 2 + roll(processes / 4)).expect("small") + 17;
        let mut children: Vec<Child> = (0..processes)
            .map(|n| budgeted(&path, &format!("{round}.{n}"), 3, limit, MOST).spawn().expect("starts"))
            .collect();
        for child in &mut children {
            if roll(6) == 0 {
                std::thread::sleep(Duration::from_micros(roll(20_000)));
                // It may have ended.
                let _ = child.kill();
            }
        }
        let outputs = ended(children);
        let (charged, told) = (charged(&outputs), counted(&path, limit));
        assert!(charged <= limit, "round {round}: {charged} of {limit}");
        assert!(charged <= told.used().picos && told.used().picos <= limit, "round {round}: {charged} {told:?}");
    }
}

#[test]
fn of_sixty_four_rivals_for_the_last_cent_one_gets_it() {
    const CENT: i64 = 10_000_000_000;
    for round in 0..3 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        drop(open(&path));
        let children =
            (0..64).map(|n| budgeted(&path, &format!("{round}.{n}"), 1, CENT, CENT).spawn().expect("starts"));
        let outputs = ended(children.collect());
        all_well(&outputs);
        assert_eq!(charged(&outputs), CENT);
        assert_eq!(outputs.iter().map(|output| said(output, "REFUSED").len()).sum::<usize>(), 63);
        assert_eq!(counted(&path, CENT).free(), Usd::default());
        assert_eq!(open(&path).last_refusals(100).expect("read").len(), 63);
    }
}

#[test]
fn wherever_a_process_ends_its_call_counts_at_its_ceiling_or_at_its_truth() {
    for (step, spent, held) in [("before", 0, 0), ("admitted", 0, 7), ("sent", 0, 7), ("settled", 7, 0)] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let output = budgeted(&path, "a", 1, 10, 7).env("LEDGER_STEP", step).output().expect("it ran");
        assert!(!output.status.success(), "it ended at {step}");
        let told = counted(&path, 10);
        assert_eq!((told.spent.picos, told.held.picos), (spent, held), "{step}");
        let next = budgeted(&path, "b", 1, 10, 7).output().expect("it ran");
        assert_eq!(charged(&[next]), if step == "before" { 7 } else { 0 }, "{step}");
    }
}

#[test]
fn a_log_that_a_power_cut_shortened_leaves_books_that_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    // While it is open, nothing is moved from the log into the file.
    let mut ledger = open(&path);
    for n in 0..12 {
        let Admission::Granted(reservation) = ask(&mut ledger, &n.to_string(), &[budget("all", 1_000_000)], 9, NOON)
        else {
            panic!("it fits");
        };
        ledger.settle(reservation, &cost(5), NOON).expect("settled");
    }
    let log = std::fs::read(path.with_extension("db-wal")).expect("a log");
    let mut random = 0x2545_F491_4F6C_DD1D;
    let mut left = BTreeSet::new();
    for n in 0..24 {
        random = next(random);
        let cut = usize::try_from(random % (log.len() as u64 + 1)).expect("small");
        let copy = folder.path().join(format!("cut-{n}.db"));
        std::fs::copy(&path, &copy).expect("copied");
        std::fs::write(copy.with_extension("db-wal"), &log[..cut]).expect("written");
        left.insert(counted(&copy, 1_000_000).calls);
    }
    assert!(left.len() > 3, "the cuts fell at different calls: {left:?}");
    drop(ledger);
}

#[cfg(unix)]
mod places {
    use super::{booked, open};
    use crate::child::{process, process_under, said};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn under_any_umask_only_the_owner_may_read() {
        for umask in ["000", "022", "277"] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a/llmx/ledger.db");
            let output = process_under(&format!("umask {umask}"), "reopen", &path, "u", 3).output().expect("it ran");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
            assert_eq!(mode(path.parent().expect("a folder")), 0o700, "umask {umask}");
            assert_eq!(mode(&path.with_extension("spill")), 0o700, "umask {umask}");
            for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
                let file = path.with_file_name(file);
                assert!(!file.exists() || mode(&file) == 0o600, "umask {umask}: {} {:o}", file.display(), mode(&file));
            }
        }
    }

    #[test]
    fn where_the_disk_is_full_nothing_is_sent_without_a_row_and_the_next_start_works() {
        // In blocks of 512 bytes (sh): too little for the schema, for a few calls, for some more.
        let mut failed_later = 0;
        for blocks in [4, 64, 300, 420, 700] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("ledger.db");
            let setting = format!("trap '' XFSZ; ulimit -f {blocks}");
            let output = process_under(&setting, "fill", &path, "f", 100).output().expect("it ran");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            assert_eq!(said(&output, "FAILED").len(), 1, "{}", String::from_utf8_lossy(&output.stdout));
            let ledger = open(&path);
            assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
            let booked = booked(&ledger);
            failed_later += said(&output, "RESERVED").len();
            for id in said(&output, "RESERVED") {
                assert!(booked.contains_key(&id), "{id} was reserved at {blocks} blocks");
            }
            for id in said(&output, "SETTLED") {
                assert!(booked[&id].is_some(), "{id} was settled or spilled at {blocks} blocks");
            }
            drop(ledger);
            let output = process("call", &path, "next", 1).output().expect("it ran");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        assert!(failed_later > 0, "no case came as far as a call");
    }

    #[test]
    fn a_place_that_cannot_be_written_refuses_and_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).expect("closed");
        // The second place refuses the superuser as well.
        let places = [folder.path().join("llmx/ledger.db"), "/proc/llmx/ledger.db".into()];
        let superuser = rustix::process::geteuid().is_root();
        for path in places.iter().skip(usize::from(superuser)) {
            let output = process("open", path, "r", 0).output().expect("it ran");
            let said = said(&output, "FAILED");
            assert!(said.iter().any(|said| said.contains("--db")), "{said:?}");
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).expect("opened");
    }
}
