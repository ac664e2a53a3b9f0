//! Where a number of a price file stands, and what is wrong there.

use std::borrow::Cow;

/// Which file a number stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    Bundled,
    User,
}

/// Where a number stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub table: Which,
    /// Offset in bytes.
    pub at: usize,
}

/// What is wrong in a price file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct TableError {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// The text of a price file.
#[derive(Debug)]
pub struct File {
    pub which: Which,
    /// `bundled`, or the file's path.
    pub name: String,
    pub text: Cow<'static, str>,
}

impl File {
    /// Line and column of an offset, from 1.
    #[must_use]
    pub fn line(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// What is wrong at an offset.
    #[must_use]
    pub fn error(&self, at: usize, message: impl Into<String>) -> TableError {
        let (line, column) = self.line(at);
        TableError { file: self.name.clone(), line, column, message: message.into() }
    }
}
