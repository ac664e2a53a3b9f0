//! A look at a ledger that changes nothing: not its file, its rights, its schema, nor what waits beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::Connection;

use super::connect::{Access, Patience, newest};
use super::error::LedgerError;
use super::look::{Look, look};
use super::{Ledger, accounts, files, lease, upkeep};

/// How long another process may hold the file.
const WAIT: Duration = Duration::from_secs(1);

/// What can be said of a ledger without writing to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glimpse {
    pub schema: i64,
    /// The schema that this build writes. Of a ledger with a newer one nothing below is known but its size.
    pub known: i64,
    /// Of the file and its write-ahead log.
    pub bytes: u64,
    pub calls: u64,
    /// Calls without a settlement.
    pub open: u64,
    pub last_opened_ms: Option<i64>,
    /// Settlements that wait beside it, files of them.
    pub waiting: usize,
    /// On a network file system, whose locks cannot be trusted.
    pub remote: bool,
    /// The newest SQLite file beside it, and when it was written, in UTC milliseconds since 1970.
    pub copy: Option<(PathBuf, i64)>,
    /// What is wrong with it, in sentences.
    pub wrong: Vec<String>,
}

impl Ledger {
    /// Looks at the ledger at `path`; `None` where there is none, and none is made. `whole`: every page is read and every sum
    /// is made again, which takes seconds where there are many calls; else only what is known at once.
    ///
    /// # Errors
    /// A [`LedgerError`] where it cannot be read.
    pub fn glimpse(path: &Path, whole: bool) -> Result<Option<Glimpse>, LedgerError> {
        let patience = Patience { limit: WAIT, ..Patience::default() };
        let Some(Look { db, path, schema, bytes }) = look(path, Access::Read, patience)? else {
            return Ok(None);
        };
        let path = path.as_path();
        let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
        let mut seen = Glimpse {
            schema,
            known: newest(),
            bytes: bytes + log.metadata().map_or(0, |about| about.len()),
            waiting: lease::left_behind(&path.with_extension("spill")).len(),
            remote: files::is_remote(path),
            copy: copy(path),
            ..Glimpse::default()
        };
        if (1..=seen.known).contains(&seen.schema) {
            seen.count(&db, whole && seen.schema == seen.known).map_err(|error| LedgerError::of(path, error))?;
        }
        Ok(Some(seen))
    }
}

impl Glimpse {
    fn count(&mut self, db: &Connection, whole: bool) -> rusqlite::Result<()> {
        // One reader's view throughout: others may write meanwhile.
        let view = db.unchecked_transaction()?;
        let count = |sql: &str| view.query_row(sql, [], |row| row.get::<_, i64>(0));
        let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
        // No row is ever taken out, so that the last number is how many there are.
        self.calls = unsigned(count("SELECT coalesce(max(seq), 0) FROM call")?);
        self.open = unsigned(count("SELECT count(*) FROM open_call")?);
        self.last_opened_ms = accounts::last_opened(&view)?;
        if whole {
            self.wrong = upkeep::findings(&view)?;
        }
        Ok(())
    }
}

/// The newest other SQLite file in the ledger's folder.
fn copy(path: &Path) -> Option<(PathBuf, i64)> {
    let copies = std::fs::read_dir(path.parent()?).ok()?.flatten().filter_map(|entry| {
        let (other, about) = (entry.path(), entry.metadata().ok()?);
        if other == path || !about.is_file() || !is_sqlite(&other) {
            return None;
        }
        let since = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((other, i64::try_from(since.as_millis()).ok()?))
    });
    copies.max_by_key(|(_, written_ms)| *written_ms)
}

/// By the first bytes of its header (sqlite.org/fileformat2.html, read 2026-11-22).
fn is_sqlite(path: &Path) -> bool {
    use std::io::Read as _;
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut first = [0; 16];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && &first == MAGIC
}
