//! What other tools have written of their calls: read alike however it is laid out, with counts and amounts that can be
//! booked, each row once.

use std::cell::RefCell;
use std::path::Path;
use std::sync::OnceLock;

use llmx::command::usage::import::book::{Booker, How};
use llmx::command::usage::import::detect::{self, Format};
use llmx::command::usage::import::report::{self, Counts, Report};
use llmx::command::usage::import::row::{Found, Kind, Row, YEAR_10000_MS};
use llmx::command::usage::import::{Reader, reader};
use llmx::domain::failure::{ErrorClass, Failure};
use llmx::ledger::{Ledger, Patience};
use llmx::pricing::Prices;
use tempfile::TempDir;

use super::usage::assert_sound;

/// 2026-11-22 00:00 UTC.
const NOW_MS: i64 = 1_795_305_600_000;

/// Readers take a file in pieces of so many bytes, or fewer.
const PIECE: usize = 256 << 10;

/// One input of so many is booked, by its length: to make books costs more than all the rest.
const BOOKED_OF: usize = 8;

/// A log, an export or a table, as each of the readers takes it, and booked as the one that it is.
pub fn text(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    for format in Format::ALL.into_iter().filter(|format| *format != Format::Llm) {
        std::fs::write(&path, bytes).expect("written");
        let (source, reader) = reader(format);
        let whole = read(&path, reader);
        assert_read(&whole, source, bytes);
        if whole.rows.is_empty() && whole.booked.is_empty() {
            continue;
        }
        assert_eq!(read(&path, reader), whole, "{format:?}");
        assert_stops(&path, reader);
        if let Some(moved) = laid_out(format, bytes) {
            std::fs::write(&path, moved).expect("written");
            let moved = read(&path, reader);
            assert_eq!((moved.rows, moved.booked), (whole.rows, whole.booked), "{format:?}: otherwise laid out");
            assert_eq!(moved.broken.len(), whole.broken.len(), "{format:?}: otherwise laid out");
        }
    }
    std::fs::write(&path, bytes).expect("written");
    if let Ok(format) = detect::format(&path, None) {
        assert_booked_once(&path, format, bytes.len());
    }
}

/// The log of `llm`, which is left as it is.
pub fn llm_log(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("logs.db");
    std::fs::write(&path, bytes).expect("written");
    let (source, reader) = reader(Format::Llm);
    let whole = read(&path, reader);
    // An index or a view may show a row more than once, but a file has an end.
    whole.rows.iter().for_each(|row| assert_row(row, source));
    assert_eq!(read(&path, reader), whole);
    if whole.failure.is_none() {
        assert_booked_once(&path, Format::Llm, bytes.len());
    }
    assert_eq!(std::fs::read(&path).expect("still there"), bytes, "the file of another program is not written");
}

#[derive(Debug, Default, PartialEq)]
struct Read {
    rows: Vec<Row>,
    /// Calls of other books, with their prices.
    booked: Vec<String>,
    /// Where, and why.
    broken: Vec<(u64, String)>,
    failure: Option<String>,
}

fn read(path: &Path, reader: Reader) -> Read {
    let mut read = Read::default();
    let end = reader(path, &mut |found| {
        match found {
            Found::Row(row) => read.rows.push(*row),
            Found::Booked(call) => read.booked.push(format!("{call:?}")),
            Found::Broken(at, why) => read.broken.push((at, why)),
        }
        Ok(())
    });
    read.failure = end.err().map(|failure| failure.message);
    read
}

fn assert_read(read: &Read, source: &str, bytes: &[u8]) {
    let found = read.rows.len() + read.booked.len() + read.broken.len();
    assert!(found <= bytes.len(), "{found} rows came out of {} bytes", bytes.len());
    let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64 + 1;
    let elements = bytes.len() as u64;
    for (at, why) in &read.broken {
        assert!((1..=lines.max(elements)).contains(at) && !why.is_empty(), "{at}: {why}");
        assert!(why.len() <= bytes.len() * 6 + 200, "{why}");
    }
    read.rows.iter().for_each(|row| assert_row(row, source));
}

fn assert_row(row: &Row, source: &str) {
    assert_eq!(row.source, source);
    assert_sound(&row.usage);
    assert!(row.opened_ms < YEAR_10000_MS, "{row:?}");
    if let Some(finished) = row.finished_ms {
        assert!(finished <= YEAR_10000_MS + 86_400_000, "{row:?}");
    }
    assert_eq!(row.kind == Kind::Cost, row.usage.charge.is_some() && row.usage.quantities.is_empty(), "{row:?}");
}

/// Panics where a reader goes on after it was told to stop.
fn assert_stops(path: &Path, reader: Reader) {
    let mut taken = 0;
    let end = reader(path, &mut |_| {
        taken += 1;
        Err(Failure::new(ErrorClass::Config, "enough"))
    });
    assert_eq!((taken, end.err().map(|failure| failure.message)), (1, Some("enough".to_owned())));
}

/// The same in other pieces: blanks before it, or lines that end otherwise.
fn laid_out(format: Format, bytes: &[u8]) -> Option<Vec<u8>> {
    if !format.is_table() {
        let mut moved = vec![b'\n'; PIECE.saturating_sub(bytes.len() / 2)];
        moved.extend_from_slice(bytes);
        return Some(moved);
    }
    // Within quotes the end of a line is a part of a value.
    let plain = !bytes.iter().any(|byte| matches!(byte, b'"' | b'\r'));
    plain.then(|| bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]))
}

/// Panics where a file cannot be booked, or adds something when it is read again.
fn assert_booked_once(path: &Path, format: Format, length: usize) {
    let once = BOOKS.with_borrow_mut(|(_, books)| whole(&booked(books, path, format, Way { dry: true, times: 1 })));
    let twice = BOOKS.with_borrow_mut(|(_, books)| whole(&booked(books, path, format, Way { dry: true, times: 2 })));
    assert_eq!((twice.read, twice.broken), (once.read * 2, once.broken * 2));
    assert_eq!((twice.new, twice.picos), (once.new, once.picos), "{once:?}, then {twice:?}");
    if !length.is_multiple_of(BOOKED_OF) {
        return;
    }
    let (_folder, mut books) = books();
    let first = whole(&booked(&mut books, path, format, Way { dry: false, times: 1 }));
    let second = whole(&booked(&mut books, path, format, Way { dry: false, times: 1 }));
    assert_eq!(first, once, "a dry run says what would be booked");
    assert_eq!((second.new, second.restated, second.picos), (0, 0, 0), "{first:?}, then {second:?}");
    assert_eq!((second.read, second.broken), (first.read, first.broken));
}

thread_local! {
    /// In which nothing is written.
    static BOOKS: RefCell<(TempDir, Ledger)> = RefCell::new(books());
}

fn books() -> (TempDir, Ledger) {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens");
    (folder, ledger)
}

struct Way {
    dry: bool,
    times: u32,
}

fn booked(books: &mut Ledger, path: &Path, format: Format, way: Way) -> Report {
    static PRICES: OnceLock<Prices> = OnceLock::new();
    let prices = PRICES.get_or_init(Prices::bundled);
    let (source, reader) = reader(format);
    let mut booker = Booker::new(books, prices, How { now_ms: NOW_MS, dry: way.dry, overlaps: false }).expect("reads");
    for _ in 0..way.times {
        booker.begin(source);
        // What stands behind a damaged place of a file is not read; what came before it is booked.
        let _ = reader(path, &mut |found| {
            booker.take(path, source, found).expect("no row stops the others");
            Ok(())
        });
    }
    let report = booker.end().expect("no row stops the others");
    assert!(!report::page(&report).contains('\u{1b}'));
    report
}

/// The counts of the one source, which add up.
fn whole(report: &Report) -> Counts {
    let counts = report.sources.values().next().copied().expect("one source");
    let Counts { read, new, there, own, overlaps, restated, shrunk, future, growing, .. } = counts;
    assert_eq!(read, new + there + own + overlaps + restated + shrunk + future + growing, "{counts:?}");
    assert!(counts.picos >= 0 && counts.unpriced <= new && counts.grown <= new, "{counts:?}");
    counts
}
