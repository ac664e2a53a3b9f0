//! `llmx usage export`: the raw rows, one per call or per line of a bill, streamed, for other programs.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::pin;

use clap::{Args, ValueEnum};
use futures_util::FutureExt as _;

use super::asked::AskedArgs;
use crate::command::logs::{note, opened, print};
use crate::command::outside::env;
use crate::command::written::{self, Growing};
use crate::command::{GlobalArgs, colour, signals};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::record::Record;
use crate::domain::report::Stop;
use crate::domain::spend::Question;
use crate::domain::window::Zone;
use crate::ledger::Ledger;
use crate::render::terminal::{Terminal, WriteError, Written};
#[cfg(feature = "parquet")]
use crate::render::usage::parquet::Sheet;
use crate::render::usage::rows::{self, Table};

#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    asked: AskedArgs,
    /// Write this format (else what the ending of FILE says, else CSV)
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write the lines of the bills, one row each, in place of the calls
    #[arg(long)]
    lines: bool,
    /// Write to this file: .csv, .jsonl or .parquet. It is whole or not there; one of that name is replaced
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print what the columns are and mean, with the version of the schema, and write nothing
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Option<Format> {
        Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Format::Csv,
            "jsonl" | "ndjson" => Format::Jsonl,
            "parquet" => Format::Parquet,
            _ => return None,
        })
    }
}

/// # Errors
/// `config` for a flag that cannot be, `ledger` where the books cannot be read, `invalid-request` where nothing can be
/// written.
pub fn run(args: &ExportArgs) -> Result<u8, Failure> {
    if args.schema {
        return print(&rows::schema(), &args.global);
    }
    let table = if args.lines { Table::Lines } else { Table::Calls };
    let format = format(args)?;
    let question = args.asked.question("7d", &[])?;
    let terminal = Terminal::new(colour(args.global.color), args.global.quiet, env);
    if format == Format::Parquet && args.output.is_none() && terminal.out.terminal {
        let said = "Parquet is no text: nothing is written to a terminal";
        return Err(Failure::new(ErrorClass::Config, said).advise("name a file with -o FILE.parquet"));
    }
    let books = opened(&args.global)?;
    let Some(path) = &args.output else {
        return match rows_to(To::Standard(terminal), format, table, &books, &question, || false) {
            Ok(_) => Ok(0),
            Err(Unwritten::Books(failure)) => Err(failure),
            Err(Unwritten::Rows(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(Stop::ClosedPipe.exit_code())
            }
            Err(Unwritten::Rows(error)) => Err(Failure::new(ErrorClass::InvalidRequest, error.to_string())),
        };
    };
    // Else a signal would leave a draft that nobody finds.
    let mut stopping = pin!(async { signals::stopped().await });
    let mut stop = stopping.as_mut().now_or_never();
    let file = To::File(Growing::begin(path)?);
    let written = rows_to(file, format, table, &books, &question, || {
        stop = stop.or_else(|| stopping.as_mut().now_or_never());
        stop.is_some()
    });
    if let Some(stop) = stop {
        return Ok(stop.exit_code());
    }
    let (to, count) = written.map_err(|unwritten| match unwritten {
        Unwritten::Books(failure) => failure,
        Unwritten::Rows(error) => written::unwritten(path, &error),
    })?;
    if let To::File(file) = to {
        file.end()?;
    }
    let rows = if count == 1 { "row" } else { "rows" };
    note(&format!("{count} {rows} in {}", path.display()), &args.global);
    Ok(0)
}

/// Why there are not all rows.
enum Unwritten {
    Books(Failure),
    Rows(io::Error),
}

/// Writes the rows of every call that the question is about, until `stops`; gives their number.
fn rows_to(
    to: To,
    format: Format,
    table: Table,
    books: &Ledger,
    question: &Question,
    mut stops: impl FnMut() -> bool,
) -> Result<(To, u64), Unwritten> {
    let mut sheet = Sheets::begin(format, table, to).map_err(Unwritten::Rows)?;
    let (mut count, mut ended) = (0_u64, Ok(()));
    let walked = books.walk(question, |record| {
        match sheet.put(table, &record, &question.period.zone) {
            Ok(rows) => count += rows,
            Err(error) => ended = Err(error),
        }
        if ended.is_err() || stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    walked.map_err(|error| Unwritten::Books(error.into()))?;
    let to = ended.and_then(|()| sheet.end()).map_err(Unwritten::Rows)?;
    Ok((to, count))
}

/// What `--format` says, else the file's name.
fn format(args: &ExportArgs) -> Result<Format, Failure> {
    let format = match (args.format, &args.output) {
        (Some(format), _) => format,
        (None, None) => Format::Csv,
        (None, Some(path)) => Format::of(path).ok_or_else(|| {
            let said = format!("-o {}: its ending says no format", path.display());
            Failure::new(ErrorClass::Config, said).advise("end it with .csv, .jsonl or .parquet, or say --format")
        })?,
    };
    if format == Format::Parquet && !cfg!(feature = "parquet") {
        let said = "this llmx was built without Parquet";
        return Err(Failure::new(ErrorClass::Config, said).advise("take --format csv or jsonl"));
    }
    Ok(format)
}

/// Where the rows go.
enum To {
    File(Growing),
    Standard(Terminal),
}

impl To {
    fn text(&mut self, text: &str) -> io::Result<()> {
        match self {
            To::File(file) => file.write_all(text.as_bytes()),
            To::Standard(terminal) => all(terminal.answer(text)),
        }
    }
}

/// Of a format that is no text.
impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            To::File(file) => file.write(bytes),
            To::Standard(terminal) => all(terminal.show_bytes(bytes)).map(|()| bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            To::File(file) => file.flush(),
            To::Standard(_) => Ok(()),
        }
    }
}

fn all(written: Result<Written, WriteError>) -> io::Result<()> {
    match written {
        Ok(Written::All) => Ok(()),
        Ok(Written::Closed) => Err(io::ErrorKind::BrokenPipe.into()),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Text is written in pieces of about so many bytes.
const PIECE: usize = 64 << 10;

/// The rows in their format, as far as they are not written yet.
enum Sheets {
    Text {
        format: Format,
        piece: String,
        to: To,
    },
    #[cfg(feature = "parquet")]
    Parquet(Box<Sheet<To>>),
}

impl Sheets {
    fn begin(format: Format, table: Table, to: To) -> io::Result<Sheets> {
        #[cfg(feature = "parquet")]
        if format == Format::Parquet {
            return Ok(Sheets::Parquet(Box::new(Sheet::of(table, to)?)));
        }
        let piece = if format == Format::Csv { rows::csv_head(table) } else { String::new() };
        Ok(Sheets::Text { format, piece, to })
    }

    /// Adds the rows of a call; gives their number.
    fn put(&mut self, table: Table, record: &Record, zone: &Zone) -> io::Result<u64> {
        let mut count = 0;
        for row in table.rows(record, zone) {
            match self {
                Sheets::Text { format, piece, to } => {
                    match format {
                        Format::Csv => rows::csv_line(row.cells(table), piece),
                        Format::Jsonl | Format::Parquet => rows::json_line(table, row.cells(table), piece),
                    }
                    if piece.len() >= PIECE {
                        to.text(piece)?;
                        piece.clear();
                    }
                }
                #[cfg(feature = "parquet")]
                Sheets::Parquet(sheet) => sheet.put(row.cells(table))?,
            }
            count += 1;
        }
        Ok(count)
    }

    fn end(self) -> io::Result<To> {
        match self {
            Sheets::Text { piece, mut to, .. } => {
                to.text(&piece)?;
                Ok(to)
            }
            #[cfg(feature = "parquet")]
            Sheets::Parquet(sheet) => sheet.finish(),
        }
    }
}
