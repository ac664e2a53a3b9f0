//! A look into a ledger as it is: none is made or brought to this build's schema, and what waits beside it stays there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connect::{self, Access};
use super::error::LedgerError;
use super::files;
use super::{Ledger, Patience};

/// A ledger that was found, of whatever schema.
pub(super) struct Look {
    pub db: Connection,
    /// With its folder's links resolved.
    pub path: PathBuf,
    pub schema: i64,
    /// Of the file alone.
    pub bytes: u64,
}

/// The ledger at `path`; `None` where there is none.
pub(super) fn look(path: &Path, access: Access, patience: Patience) -> Result<Option<Look>, LedgerError> {
    let bytes = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LedgerError::Place { path: path.to_owned(), source }),
        Ok(about) if !about.is_file() => return Err(LedgerError::NotAFile { path: path.to_owned() }),
        Ok(about) => about.len(),
    };
    let path = files::resolved(path)?;
    let db = connect::connect(&path, access, patience).map_err(|error| LedgerError::of(&path, error))?;
    let schema = connect::version(&db, &path)?;
    Ok(Some(Look { db, path, schema, bytes }))
}

impl Ledger {
    /// Opens the ledger at `path` for questions; only sums that make answers quick may be kept in it. `None`: there is none.
    ///
    /// # Errors
    /// [`LedgerError::Older`] and [`LedgerError::Newer`] for another schema; else where the file cannot be read.
    pub fn peek(path: &Path, patience: Patience) -> Result<Option<Ledger>, LedgerError> {
        let Look { db, path, schema, .. } = match look(path, Access::Write, patience.clone()) {
            Err(LedgerError::Place { source, .. }) if source.kind() == ErrorKind::NotADirectory => return Ok(None),
            found => match found?.filter(|found| found.bytes > 0) {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let known = connect::newest();
        if schema < known {
            return Err(LedgerError::Older { path });
        }
        if schema > known {
            return Err(LedgerError::Newer { path, found: schema, known });
        }
        db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")
            .map_err(|error| LedgerError::of(&path, error))?;
        Ok(Some(Ledger::over(db, path, patience)))
    }

    /// Whether anything in the books was read from others (`usage import`).
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn has_imported(&self) -> Result<bool, LedgerError> {
        self.read(|db| db.query_row("SELECT EXISTS (SELECT 1 FROM imported)", [], |row| row.get(0)))
    }
}
