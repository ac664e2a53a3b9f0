//! `-o FILE`: the comparison as a file, in the format of its name.

use std::path::{Path, PathBuf};

use crate::command::written;
use crate::domain::comparison::Comparison;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::untrusted::json_line;
use crate::render::compare::{View, csv, html, json, junit, markdown};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Markdown,
    Html,
    Json,
    Csv,
    Junit,
}

impl Format {
    fn of(path: &Path) -> Option<Format> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match ending.as_str() {
            "md" | "markdown" => Format::Markdown,
            "html" | "htm" => Format::Html,
            "json" => Format::Json,
            "csv" => Format::Csv,
            "junit" | "xml" => Format::Junit,
            _ => return None,
        })
    }
}

/// Looks whether every file can be written, before anything is sent.
///
/// # Errors
/// `config` for an ending that is no format, and where nothing can be written.
pub fn check(paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        if Format::of(path).is_none() {
            let said = format!("-o {}: its ending says no format; nothing was sent", path.display());
            return Err(
                Failure::new(ErrorClass::Config, said).advise("end it with .md, .html, .json, .csv, .junit or .xml")
            );
        }
        written::check(path)?;
    }
    Ok(())
}

/// Writes every file, whole or not at all; gives those that could not be written.
#[must_use]
pub fn write(paths: &[PathBuf], comparison: &Comparison, view: &View) -> Vec<Failure> {
    paths.iter().filter_map(|path| written::write(path, &text(Format::of(path)?, comparison, view)).err()).collect()
}

fn text(format: Format, comparison: &Comparison, view: &View) -> String {
    match format {
        Format::Markdown => markdown::text(comparison, view),
        Format::Html => html::page(comparison, view),
        Format::Json => json_line(&json::object(comparison, view.exit)),
        Format::Csv => csv::text(comparison),
        Format::Junit => junit::text(comparison),
    }
}
