//! Files read piece by piece, so that their size does not matter: lines, elements of a JSON list, rows of a table.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::domain::failure::{ErrorClass, Failure};

/// Longer lines are not read: a line of a log is one event.
const LINE_BYTES_MAX: usize = 64 << 20;

/// So much of a file is read at once.
const PIECE: usize = 256 << 10;

/// What editors and shells of Windows put before UTF-8; it belongs to no line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The file from behind its byte order mark, where it has one.
///
/// # Errors
/// `config` where the file cannot be opened.
pub fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let opened = File::open(path).and_then(|file| {
        let mut file = BufReader::with_capacity(PIECE, file);
        if file.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            file.consume(BYTE_ORDER_MARK.len());
        }
        Ok(file)
    });
    opened.map_err(|error| unreadable(path, &error))
}

#[must_use]
pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(ErrorClass::Config, format!("{} cannot be read: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::NotFound => {
            failure.advise("name a log or an export, or the folder of them: `llmx usage import --help` has where each tool keeps its own")
        }
        _ => failure,
    }
}

/// Hands out the lines that are not blank, with their numbers; `None` for a line that is too long to be read.
///
/// # Errors
/// Where the file cannot be read on, or what `take` returns.
pub fn lines(path: &Path, mut take: impl FnMut(u64, Option<&[u8]>) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut file = open(path)?;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = (&mut file).take(limit).read_until(b'\n', &mut line).map_err(|error| unreadable(path, &error))?;
        if read == 0 {
            break;
        }
        if line.len() > LINE_BYTES_MAX {
            file.skip_until(b'\n').map_err(|error| unreadable(path, &error))?;
            line = Vec::new();
            take(number, None)?;
        } else if !line.trim_ascii().is_empty() {
            take(number, Some(line.trim_ascii()))?;
        }
    }
    Ok(())
}

/// Hands out the elements of a JSON file, counted from 1: those of a list, of the list under `data` in an object, of several
/// such texts one after another; an object without such a list is an element itself. `Err` where the text is broken: nothing
/// comes after it.
///
/// # Errors
/// Where the file cannot be opened, or what `take` returns.
pub fn elements(
    path: &Path,
    mut take: impl FnMut(u64, Result<Value, String>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut json = serde_json::Deserializer::from_reader(open(path)?);
    let mut state = State { count: 0, stopped: None, take: &mut take };
    while json.end().is_err() {
        let read = Elements(&mut state).deserialize(&mut json);
        if let Some(stopped) = state.stopped.take() {
            return Err(stopped);
        }
        if let Err(error) = read {
            let next = state.count + 1;
            return take(next, Err(error.to_string()));
        }
    }
    Ok(())
}

struct State<'a> {
    count: u64,
    stopped: Option<Failure>,
    take: &'a mut dyn FnMut(u64, Result<Value, String>) -> Result<(), Failure>,
}

impl State<'_> {
    fn element<E: serde::de::Error>(&mut self, value: Value) -> Result<(), E> {
        self.count += 1;
        (self.take)(self.count, Ok(value)).map_err(|failure| {
            self.stopped = Some(failure);
            E::custom("stopped")
        })
    }
}

struct Elements<'a, 'b>(&'a mut State<'b>);

impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a list or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<Value>()? {
            // Pages that were collected in a list.
            match value {
                Value::Object(mut page) if page.get("data").is_some_and(Value::is_array) => {
                    for value in page["data"].as_array_mut().map(std::mem::take).unwrap_or_default() {
                        self.0.element(value)?;
                    }
                }
                value => self.0.element(value)?,
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut own = Map::new();
        let mut listed = false;
        while let Some(name) = object.next_key::<String>()? {
            if name == "data" {
                listed = true;
                object.next_value_seed(Elements(self.0))?;
            } else if listed {
                object.next_value::<IgnoredAny>()?;
            } else {
                own.insert(name, object.next_value()?);
            }
        }
        if listed { Ok(()) } else { self.0.element(Value::Object(own)) }
    }
}

/// A table's row by the names of its columns.
#[derive(Debug)]
pub struct Record<'a> {
    columns: &'a HashMap<String, usize>,
    fields: &'a csv::StringRecord,
}

impl Record<'_> {
    /// What stands in a column; `None` where there is no such column, or nothing in it.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&str> {
        let at = *self.columns.get(column)?;
        self.fields.get(at).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The first of the columns that has something in it.
    #[must_use]
    pub fn first(&self, columns: &[&str]) -> Option<&str> {
        columns.iter().find_map(|column| self.get(column))
    }
}

/// The names in the first line of a table, in small letters, and what separates them.
#[must_use]
pub fn header(first_line: &str) -> (Vec<String>, u8) {
    let line = first_line.trim_start_matches('\u{feff}').trim_end();
    let separator = [b',', b'\t', b';'].into_iter().max_by_key(|byte| {
        // The last of equals wins, so that a line without any separator is one of commas.
        (line.bytes().filter(|other| other == byte).count(), *byte == b',')
    });
    let separator = separator.unwrap_or(b',');
    let names = line.split(char::from(separator)).map(|name| name.trim().trim_matches('"').to_ascii_lowercase());
    (names.collect(), separator)
}

/// Hands out the rows of a table with a header, with the numbers of their lines.
///
/// # Errors
/// Where the file cannot be read on, or what `take` returns.
pub fn records(
    path: &Path,
    mut take: impl FnMut(u64, Result<Record<'_>, String>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut file = open(path)?;
    let mut first = String::new();
    file.read_line(&mut first).map_err(|error| unreadable(path, &error))?;
    let (names, separator) = header(&first);
    let columns: HashMap<String, usize> = names.into_iter().enumerate().map(|(at, name)| (name, at)).collect();
    let mut table = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(file);
    let mut fields = csv::StringRecord::new();
    loop {
        // Counted without the header.
        let line = table.position().line() + 1;
        match table.read_record(&mut fields) {
            Ok(false) => return Ok(()),
            Ok(true) => take(line, Ok(Record { columns: &columns, fields: &fields }))?,
            Err(error) if error.is_io_error() => {
                return Err(unreadable(path, &error.into()));
            }
            Err(error) => take(line, Err(error.to_string()))?,
        }
    }
}
