//! `-o FILE`: the comparison as a file, in the format of its name.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

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
/// `config` for an ending that is no format, and for a folder that is not there.
pub fn check(paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        let wrong = |reason: &str| Failure::new(ErrorClass::Config, format!("-o {}: {reason}", path.display()));
        if Format::of(path).is_none() {
            return Err(wrong("its ending says no format; nothing was sent")
                .advise("end it with .md, .html, .json, .csv, .junit or .xml"));
        }
        if !folder(path).is_dir() {
            return Err(wrong("there is no such folder; nothing was sent").advise("make it first"));
        }
        if path.is_dir() {
            return Err(wrong("this is a folder; nothing was sent"));
        }
    }
    Ok(())
}

/// Writes every file, whole or not at all; gives those that could not be written.
#[must_use]
pub fn write(paths: &[PathBuf], comparison: &Comparison, view: &View) -> Vec<Failure> {
    let failed = paths.iter().filter_map(|path| {
        let error = put(path, &text(Format::of(path)?, comparison, view)).err()?;
        Some(Failure::new(ErrorClass::InvalidRequest, format!("{} cannot be written: {error}", path.display())))
    });
    failed.collect()
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

/// Beside it first, for its owner alone: nobody ever reads half of it, and answers may be confidential.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder(path).join(format!(".{name}.{}", uuid::Uuid::now_v7().simple()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        let _ = fs::remove_file(&beside);
    }
    done
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
