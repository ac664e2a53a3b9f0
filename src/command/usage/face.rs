//! The formats of a report: a table for people, files for other programs.

use std::path::Path;

use clap::ValueEnum;

use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::spend::report::Report;
use crate::domain::untrusted::json_line;
use crate::render::terminal::{Screen, Terminal, Written};
use crate::render::usage::{View, csv, json, markdown, table};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Face {
    Table,
    Csv,
    #[value(name = "md")]
    Markdown,
    Json,
    Html,
    Parquet,
}

/// What a file can show: everything, without colour.
pub const FILE: Screen = Screen { terminal: false, colour: false, width: None, dumb: true };

impl Face {
    /// What the ending of a file's name says.
    #[must_use]
    pub fn of(path: &Path) -> Option<Face> {
        Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Face::Table,
            "csv" => Face::Csv,
            "md" | "markdown" => Face::Markdown,
            "json" => Face::Json,
            "html" | "htm" => Face::Html,
            "parquet" => Face::Parquet,
            _ => return None,
        })
    }
}

/// The report in a format. `page`: makes the web page, which shows more than the report.
///
/// # Errors
/// `config` for a format that this build cannot write, and what `page` gives.
pub fn bytes(
    face: Face,
    report: &Report,
    view: &View,
    page: impl FnOnce(&Report) -> Result<String, Failure>,
) -> Result<Vec<u8>, Failure> {
    match face {
        Face::Table => Ok(table::page(report, view).into_bytes()),
        Face::Csv => Ok(csv::text(report).into_bytes()),
        Face::Markdown => Ok(markdown::text(report).into_bytes()),
        Face::Json => Ok(json_line(&json::object(report)).into_bytes()),
        Face::Html => Ok(page(report)?.into_bytes()),
        Face::Parquet => parquet(report),
    }
}

#[cfg(feature = "parquet")]
fn parquet(report: &Report) -> Result<Vec<u8>, Failure> {
    crate::render::usage::parquet::report(report)
        .map_err(|error| Failure::new(ErrorClass::InvalidRequest, error.to_string()))
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &Report) -> Result<Vec<u8>, Failure> {
    Err(Failure::new(ErrorClass::Config, "this llmx was built without Parquet")
        .advise("build it with --features parquet, or take --format csv or json"))
}

/// Shows what [`bytes`] made on standard output.
///
/// # Errors
/// `config` for bytes that a terminal cannot show, `invalid-request` where nothing can be written.
pub fn show(terminal: &mut Terminal, face: Face, bytes: &[u8]) -> Result<Written, Failure> {
    if face == Face::Parquet && terminal.out.terminal {
        return Err(
            Failure::new(ErrorClass::Config, "Parquet is no text for a terminal").advise("give it a file: -o FILE")
        );
    }
    let shown = match (face, std::str::from_utf8(bytes)) {
        // The names in it are as they were given.
        (Face::Csv, Ok(text)) => terminal.answer(text),
        _ => terminal.show_bytes(bytes),
    };
    shown.map_err(|error| Failure::new(ErrorClass::InvalidRequest, error.to_string()))
}
