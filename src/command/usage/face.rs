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

/// The report in a format.
///
/// # Errors
/// `config` for a format that this build cannot write.
pub fn bytes(face: Face, report: &Report, view: &View) -> Result<Vec<u8>, Failure> {
    match face {
        Face::Table => Ok(table::page(report, view).into_bytes()),
        Face::Csv => Ok(csv::text(report).into_bytes()),
        Face::Markdown => Ok(markdown::text(report).into_bytes()),
        Face::Json => Ok(json_line(&json::object(report)).into_bytes()),
        Face::Html => Err(absent("HTML")),
        Face::Parquet => Err(absent("Parquet")),
    }
}

/// Shows it on standard output.
///
/// # Errors
/// As [`bytes`], and `invalid-request` where nothing can be written.
pub fn show(terminal: &mut Terminal, face: Face, report: &Report, view: &View) -> Result<Written, Failure> {
    let shown = match face {
        // The names in it are as they were given.
        Face::Csv => terminal.answer(&csv::text(report)),
        Face::Table | Face::Markdown | Face::Json | Face::Html | Face::Parquet => {
            terminal.show_bytes(&bytes(face, report, view)?)
        }
    };
    shown.map_err(|error| Failure::new(ErrorClass::InvalidRequest, error.to_string()))
}

fn absent(format: &str) -> Failure {
    Failure::new(ErrorClass::Config, format!("this llmx writes no {format}"))
        .advise("take --format table, csv, md or json")
}
