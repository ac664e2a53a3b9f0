//! A look into a ledger as it is, for those who may neither make one nor wait for it.

use std::io::ErrorKind;
use std::path::Path;

use super::accounts::Known;
use super::error::LedgerError;
use super::files::{self, Place};
use super::owner::Owner;
use super::{Ledger, Patience, connect};

impl Ledger {
    /// Opens the ledger at `path` as it is: it is not made, not brought to this build's schema, and nothing is booked late.
    /// `None`: there is none.
    ///
    /// # Errors
    /// [`LedgerError::Older`] and [`LedgerError::Newer`] for another schema; else where the file cannot be read.
    pub fn peek(path: &Path, patience: Patience) -> Result<Option<Ledger>, LedgerError> {
        match path.symlink_metadata() {
            Ok(about) if about.len() == 0 => return Ok(None),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(source) => return Err(LedgerError::Place { path: path.to_owned(), source }),
        }
        let path = files::resolved(path)?;
        let db = connect::peek(&path, patience)?;
        let place = Place::of(&path);
        let remote = files::is_remote(&path);
        let (owner, known) = (Owner::current(), Known::default());
        Ok(Some(Ledger { db, path, place, owner, lease: None, warnings: Vec::new(), remote, known, broken: false }))
    }

    /// Whether anything in the books was read from others (`usage import`).
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn has_imported(&self) -> Result<bool, LedgerError> {
        self.read(|db| db.query_row("SELECT EXISTS (SELECT 1 FROM imported)", [], |row| row.get(0)))
    }
}
