//! The SQLite files of other programs, opened to be read and left as they are.
//!
//! `llm` (github.com/simonw/llm, its migrations and documentation read 2026-11-22): up to 0.31 each response is a row of
//! `responses`; since 0.19 with `input_tokens`, `output_tokens` and `token_details`, later with `resolved_model`. From 0.32 on
//! it is a row of `turns`, with the same columns and without the provider's answer; some are in both, under one id.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

/// Why a file of another program could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    #[error("{} cannot be read as an SQLite file: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("{} is an SQLite file without the tables of llm ({found})", path.display())]
    NotLlm { path: PathBuf, found: String },
}

/// The log of `llm`.
#[derive(Debug)]
pub struct LlmLog {
    db: Connection,
    path: PathBuf,
    /// The query of each table that holds responses.
    queries: Vec<String>,
}

/// One response in it. What was said is not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LlmRow {
    pub id: String,
    pub model: String,
    /// What an alias stood for.
    pub resolved_model: Option<String>,
    pub conversation: Option<String>,
    /// ISO 8601, in UTC whether it says so or not.
    pub at: String,
    pub duration_ms: Option<i64>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// The rest of the usage object, as JSON.
    pub token_details: Option<String>,
    /// Of the provider's own answer, where it was kept: its id, its model, and its usage object as JSON.
    pub response_id: Option<String>,
    pub response_model: Option<String>,
    pub usage: Option<String>,
}

impl LlmLog {
    /// # Errors
    /// Where it is no SQLite file or holds none of the tables.
    pub fn open(path: &Path) -> Result<LlmLog, ForeignError> {
        let wrong = |source| ForeignError::Sqlite { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(wrong)?;
        let tables = names(&db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").map_err(wrong)?;
        let mut queries = Vec::new();
        for table in ["turns", "responses"].into_iter().filter(|table| tables.contains(*table)) {
            let columns = names(&db, &format!("SELECT name FROM pragma_table_info('{table}')")).map_err(wrong)?;
            if ["id", "model", "datetime_utc"].iter().all(|column| columns.contains(*column)) {
                queries.push(query(table, &columns, queries.is_empty()));
            }
        }
        if queries.is_empty() {
            let found = tables.into_iter().take(8).collect::<Vec<String>>().join(", ");
            return Err(ForeignError::NotLlm { path: path.to_owned(), found });
        }
        Ok(LlmLog { db, path: path.to_owned(), queries })
    }

    /// Hands out the responses one by one, those of each table in the order in which they were written.
    ///
    /// # Errors
    /// Where the file cannot be read on, or what `take` returns.
    pub fn each<E: From<ForeignError>>(&self, mut take: impl FnMut(LlmRow) -> Result<(), E>) -> Result<(), E> {
        let wrong = |source| E::from(ForeignError::Sqlite { path: self.path.clone(), source });
        for query in &self.queries {
            let mut find = self.db.prepare(query).map_err(wrong)?;
            let mut rows = find.query([]).map_err(wrong)?;
            while let Some(row) = rows.next().map_err(wrong)? {
                take(response(row).map_err(wrong)?)?;
            }
        }
        Ok(())
    }
}

fn names(db: &Connection, sql: &str) -> rusqlite::Result<BTreeSet<String>> {
    db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Only what the table has; of two tables the second leaves out what is in the first.
fn query(table: &str, columns: &BTreeSet<String>, first: bool) -> String {
    let one = |names: &[&str]| {
        names.iter().find(|name| columns.contains(**name)).map_or("NULL".to_owned(), |name| (*name).to_owned())
    };
    let answer = |path: &str| {
        if columns.contains("response_json") {
            format!("iif(json_valid(response_json), json_extract(response_json, '{path}'), NULL)")
        } else {
            "NULL".to_owned()
        }
    };
    let parts = [
        "id".to_owned(),
        "model".to_owned(),
        one(&["resolved_model"]),
        one(&["conversation_id", "thread_id"]),
        "datetime_utc".to_owned(),
        one(&["duration_ms"]),
        one(&["input_tokens"]),
        one(&["output_tokens"]),
        one(&["token_details"]),
        answer("$.id"),
        answer("$.model"),
        answer("$.usage"),
    ];
    let rest = if first { "" } else { " WHERE id NOT IN (SELECT id FROM turns)" };
    format!("SELECT {} FROM {table}{rest} ORDER BY rowid", parts.join(", "))
}

fn response(row: &Row<'_>) -> rusqlite::Result<LlmRow> {
    let text = |column: usize| -> rusqlite::Result<Option<String>> {
        Ok(match row.get_ref(column)? {
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => None,
        })
    };
    let number = |column: usize| -> rusqlite::Result<Option<i64>> {
        Ok(match row.get_ref(column)? {
            ValueRef::Integer(number) => Some(number),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) | ValueRef::Text(_) => None,
        })
    };
    let count = |column: usize| -> rusqlite::Result<Option<u64>> {
        Ok(number(column)?.and_then(|number| u64::try_from(number).ok()))
    };
    Ok(LlmRow {
        id: text(0)?.unwrap_or_default(),
        model: text(1)?.unwrap_or_default(),
        resolved_model: text(2)?,
        conversation: text(3)?,
        at: text(4)?.unwrap_or_default(),
        duration_ms: number(5)?,
        input_tokens: count(6)?,
        output_tokens: count(7)?,
        token_details: text(8)?,
        response_id: text(9)?,
        response_model: text(10)?,
        usage: text(11)?,
    })
}
