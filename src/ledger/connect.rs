//! Opening the file: its settings, its schema, and the wait for others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::LedgerError;
use super::files::{is_remote, make_file};

/// `llmx` in ASCII: a file of another program is not touched.
const APPLICATION_ID: i64 = 0x6C6C_6D78;

/// Each brings the schema from its place in the list to the next number. Only ever appended to.
pub(super) const MIGRATIONS: &[&str] =
    &[include_str!("schema.sql"), include_str!("schema_2.sql"), include_str!("schema_3.sql")];

/// The first SQLite in which two connections cannot corrupt a write-ahead log (sqlite.org/changes.html, read 2026-11-22).
const SQLITE_MIN: i32 = 3_051_003;

/// Told when the ledger takes longer than a moment, or somebody else holds it for so long.
pub type Note = Arc<dyn Fn(&str) + Send + Sync>;

/// How long others are waited for, and how long a wait or a write is not worth a word.
#[derive(Clone)]
pub struct Patience {
    pub limit: Duration,
    /// Called once per wait and once per write that takes longer than this.
    pub note: Note,
    pub note_after: Duration,
    /// Reads a clock before and after a write; `None`: writes are not timed.
    pub clock: Option<fn() -> Instant>,
}

impl Default for Patience {
    /// Thirty seconds, in silence.
    fn default() -> Patience {
        let (limit, note_after) = (Duration::from_secs(30), Duration::from_secs(1));
        Patience { limit, note: Arc::new(|_| {}), note_after, clock: None }
    }
}

impl Patience {
    /// Says that a write of ours took so long, where that is worth a word: the disk, not another process.
    pub(super) fn wrote(&self, took: Duration) {
        if took >= self.note_after {
            let tenths = took.as_millis() / 100;
            (self.note)(&format!(
                "the ledger is slow ({}.{} s for one write): look at its disk",
                tenths / 10,
                tenths % 10
            ));
        }
    }
}

impl std::fmt::Debug for Patience {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Patience").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Opens or makes the ledger at a resolved path. The second value: what the user should know of it.
pub(super) fn open(path: &Path, patience: Patience) -> Result<(Connection, Vec<String>), LedgerError> {
    if rusqlite::version_number() < SQLITE_MIN {
        return Err(LedgerError::OldSqlite { found: rusqlite::version() });
    }
    let limit = patience.limit;
    make_file(path)?;
    let mut db = connect(path, Access::Write, patience).map_err(|error| LedgerError::of(path, error))?;
    let found = version(&db, path)?;
    let known = newest();
    if found > known {
        return Err(LedgerError::Newer { path: path.to_owned(), found, known });
    }
    let remote = is_remote(path);
    patiently(limit, || settle_in(&db, remote)).map_err(|error| LedgerError::of(path, error))?;
    if found < known {
        migrate(&mut db, path, MIGRATIONS)?;
    }
    let warning = remote.then(|| {
        format!(
            "{} is on a network file system, whose locks cannot be trusted: give a local file with --db",
            path.display()
        )
    });
    Ok((db, warning.into_iter().collect()))
}

/// Another connection to a ledger that was opened before, in place of one that cannot be trusted any more.
pub(super) fn again(path: &Path, patience: Patience) -> rusqlite::Result<Connection> {
    let limit = patience.limit;
    let db = connect(path, Access::Write, patience)?;
    patiently(limit, || settle_in(&db, is_remote(path)))?;
    Ok(db)
}

/// The schema that this build writes.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A connection to the file at a resolved path, which must be there.
pub(super) fn connect(path: &Path, access: Access, patience: Patience) -> rusqlite::Result<Connection> {
    let access = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut db = Connection::open_with_flags(path, flags)?;
    // Before anything else: two first runs may meet here.
    db.busy_handler(Some(waiting(patience)))?;
    // Whoever closes last would clear the log away: that is done where a ledger is closed (mod.rs).
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// The settings that carry the promise.
fn settle_in(db: &Connection, remote: bool) -> rusqlite::Result<()> {
    // A network file system has no shared memory to keep a log's index in.
    let wanted = if remote { "delete" } else { "wal" };
    let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != wanted {
        db.query_row(&format!("PRAGMA journal_mode = {wanted}"), [], |_| Ok(()))?;
    }
    // Checkpoints are made when a ledger is closed, never between a user and an answer.
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;
         PRAGMA wal_autocheckpoint = 0;",
    )?;
    if cfg!(target_os = "macos") {
        db.execute_batch("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;")?;
    }
    Ok(())
}

/// The schema's number; 0 for a file that is empty. A file of another program is refused.
pub(super) fn version(db: &Connection, path: &Path) -> Result<i64, LedgerError> {
    let error = |error| LedgerError::of(path, error);
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(error)?;
    let application: i64 = db.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(error)?;
    if application == APPLICATION_ID {
        return Ok(version);
    }
    let things: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(error)?;
    if version != 0 || application != 0 || things != 0 {
        // Another first run may have made the schema between the two questions.
        let again: i64 = db.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(error)?;
        if again != APPLICATION_ID {
            return Err(LedgerError::NotALedger { path: path.to_owned() });
        }
        return db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(error);
    }
    Ok(0)
}

/// Brings the schema to the newest, in one transaction. A schema that held something is copied first.
fn migrate(db: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), LedgerError> {
    let error = |error| LedgerError::of(path, error);
    let before: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(error)?;
    if before > 0 && usize::try_from(before).is_ok_and(|before| before < migrations.len()) {
        keep_copy(db, path, before)?;
    }
    let work = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
    // Under the lock: another process may have done it while this one waited.
    let found: i64 = work.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(error)?;
    for (number, script) in (1_i64..).zip(migrations).filter(|(number, _)| *number > found) {
        work.execute_batch(script).map_err(error)?;
        work.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"))
            .map_err(error)?;
    }
    work.commit().map_err(error)
}

/// `ledger.v<n>.bak` beside the ledger, 0600. A whole copy that is already there is enough.
fn keep_copy(db: &Connection, path: &Path, version: i64) -> Result<(), LedgerError> {
    let copy = path.with_extension(format!("v{version}.bak"));
    if copy.exists() {
        return Ok(());
    }
    let draft = path.with_extension(format!("v{version}.{}.bak", std::process::id()));
    copy_into(db, path, &draft)?;
    std::fs::rename(&draft, &copy).map_err(|source| LedgerError::Place { path: copy, source })
}

/// Writes a copy of the whole ledger into a new file that only its owner may read.
pub(super) fn copy_into(db: &Connection, path: &Path, to: &Path) -> Result<(), LedgerError> {
    // SQLite writes into an empty file that is there, and keeps its mode.
    if !make_file(to)? {
        return Err(LedgerError::Exists { path: to.to_owned() });
    }
    let name = to.to_str().ok_or_else(|| LedgerError::NotAFile { path: to.to_owned() })?;
    let copied = db.execute("VACUUM INTO ?1", [name]).map_err(|error| LedgerError::of(path, error));
    let kept = copied.and_then(|_| {
        // For writing: Windows flushes through no other handle.
        let file = std::fs::File::options().write(true).open(to).and_then(|file| file.sync_all());
        file.map_err(|source| LedgerError::Place { path: PathBuf::from(to), source })
    });
    if kept.is_err() {
        let _ = std::fs::remove_file(to);
    }
    kept
}

/// Sleeps in growing, uneven steps, so that many waiters neither march in step nor starve a late one.
fn waiting(patience: Patience) -> impl FnMut(i32) -> bool + Send + 'static {
    let mut waited = Duration::ZERO;
    let mut noted = false;
    move |count| {
        if count == 0 {
            (waited, noted) = (Duration::ZERO, false);
        }
        if waited >= patience.limit {
            return false;
        }
        if waited >= patience.note_after && !noted {
            noted = true;
            (patience.note)("waiting for the ledger: another process is writing it");
        }
        waited += pause(count);
        true
    }
}

/// Switching to a write-ahead log fails at once where two do it: SQLite calls no busy handler there.
fn patiently(limit: Duration, mut work: impl FnMut() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let mut waited = Duration::ZERO;
    let mut count = 0;
    loop {
        match work() {
            Err(error) if waited < limit && is_busy(&error) => {
                waited += pause(count);
                count += 1;
            }
            done => return done,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

/// Sleeps before the next try, 0.2 to 0.4 ms, growing to 8 to 16; gives how long that was.
fn pause(count: i32) -> Duration {
    let shortest = 200 * (u64::from(count.unsigned_abs()) + 1).min(40);
    let seed = u64::from(std::process::id()) << 32 | u64::from(count.unsigned_abs());
    let uneven = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let pause = Duration::from_micros(shortest + uneven % shortest);
    std::thread::sleep(pause);
    pause
}

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, Patience, migrate, newest, open};

    #[test]
    fn a_later_migration_keeps_a_copy_of_what_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let (mut db, _) = open(&path, Patience::default()).expect("opens");
        let later = [MIGRATIONS, &["CREATE TABLE later (x INTEGER) STRICT;"]].concat();
        migrate(&mut db, &path, &later).expect("migrates");
        migrate(&mut db, &path, &later).expect("once");
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
        assert_eq!(version, newest() + 1);
        let copy = rusqlite::Connection::open(path.with_extension(format!("v{}.bak", newest()))).expect("a copy");
        let version: i64 = copy.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
        assert_eq!(version, newest());
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let (mut db, _) = open(&path, Patience::default()).expect("opens");
        let broken = [MIGRATIONS, &["CREATE TABLE half (x INTEGER) STRICT; nonsense;"]].concat();
        migrate(&mut db, &path, &broken).expect_err("nonsense");
        let left: i64 = db
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'half'", [], |row| row.get(0))
            .expect("a number");
        assert_eq!(left, 0);
    }
}
