//! Rows as Parquet: amounts as decimals, instants with their unit, in groups of rows that a small machine can hold.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::rows::{Cell, Kind, SCHEMA, Table, written};
use crate::domain::spend::period::number;
use crate::domain::spend::report::{Report, Row, What};
use crate::domain::spend::{Dimension, Tally};

/// The most rows of a row group: what is held before it is written.
const GROUP_ROWS: usize = 16_384;

/// Digits of an amount, before and after the point, and those after it; the bytes that hold them.
const USD_DIGITS: i32 = 38;
const USD_PLACES: i32 = 12;
const USD_BYTES: i32 = 16;

/// A file that rows are put into.
pub struct Sheet<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Held>,
    rows: usize,
}

/// The cells of a column that are not written yet: the known ones, and for each row whether it is known.
struct Held {
    cells: Cells,
    known: Vec<i16>,
}

enum Cells {
    Texts(Vec<ByteArray>),
    Counts(Vec<i64>),
    Amounts(Vec<FixedLenByteArray>),
    Days(Vec<i32>),
    Flags(Vec<bool>),
}

impl<W: Write + Send> Sheet<W> {
    /// Begins the file of a table of the export.
    ///
    /// # Errors
    /// Where `out` takes nothing.
    pub fn of(table: Table, out: W) -> io::Result<Sheet<W>> {
        let columns: Vec<(String, Kind)> =
            table.columns().iter().map(|column| (column.name.to_owned(), column.kind)).collect();
        Sheet::new(&columns, &[("llmx.schema", SCHEMA.to_string())], out).map_err(outer)
    }

    fn new(columns: &[(String, Kind)], said: &[(&str, String)], out: W) -> Result<Sheet<W>, ParquetError> {
        let fields = columns.iter().map(|(name, kind)| field(name, *kind).map(Arc::new));
        let fields: Vec<_> = fields.collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder("llmx").with_fields(fields).build()?;
        let said = said.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
        let properties = WriterProperties::builder()
            .set_created_by(concat!("llmx ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(said))
            .build();
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        let columns = columns.iter().map(|(_, kind)| Held { cells: Cells::of(*kind), known: Vec::new() });
        Ok(Sheet { file, columns: columns.collect(), rows: 0 })
    }

    /// Adds a row, with a cell for each column.
    ///
    /// # Errors
    /// Where a row group is full and cannot be written.
    pub fn put<'a>(&mut self, cells: impl Iterator<Item = Cell<'a>>) -> io::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.put(&cell);
        }
        self.rows += 1;
        if self.rows == GROUP_ROWS { self.write_group().map_err(outer) } else { Ok(()) }
    }

    /// Writes what is left, and the end.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        let ended = if self.rows > 0 { self.write_group() } else { Ok(()) };
        ended.and_then(|()| self.file.into_inner()).map_err(outer)
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let Some(writer) = group.next_column()? else { break };
            column.write(writer)?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

fn field(name: &str, kind: Kind) -> Result<Type, ParquetError> {
    let of = |physical| Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    let builder = match kind {
        Kind::Text | Kind::Json => of(Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String)),
        Kind::Count => of(Physical::INT64),
        Kind::Instant => {
            let utc = LogicalType::timestamp(true, TimeUnit::MILLIS);
            of(Physical::INT64).with_logical_type(Some(utc))
        }
        Kind::Usd => of(Physical::FIXED_LEN_BYTE_ARRAY)
            .with_length(USD_BYTES)
            .with_converted_type(ConvertedType::DECIMAL)
            .with_logical_type(Some(LogicalType::decimal(USD_PLACES, USD_DIGITS)))
            .with_precision(USD_DIGITS)
            .with_scale(USD_PLACES),
        Kind::Day => of(Physical::INT32).with_logical_type(Some(LogicalType::Date)),
        Kind::Flag => of(Physical::BOOLEAN),
    };
    builder.build()
}

impl Cells {
    fn of(kind: Kind) -> Cells {
        match kind {
            Kind::Text | Kind::Json => Cells::Texts(Vec::new()),
            Kind::Count | Kind::Instant => Cells::Counts(Vec::new()),
            Kind::Usd => Cells::Amounts(Vec::new()),
            Kind::Day => Cells::Days(Vec::new()),
            Kind::Flag => Cells::Flags(Vec::new()),
        }
    }
}

impl Held {
    fn put(&mut self, cell: &Cell<'_>) {
        let known = match (&mut self.cells, cell) {
            (Cells::Texts(cells), Cell::Text(_) | Cell::Json(_)) => {
                let text = written(cell).into_bytes();
                // Names repeat: rows share them.
                let same = cells.last().filter(|last| last.data() == text).cloned();
                cells.push(same.unwrap_or_else(|| text.into()));
                true
            }
            (Cells::Counts(cells), Cell::Count(number) | Cell::Instant(number)) => {
                cells.push(*number);
                true
            }
            (Cells::Amounts(cells), Cell::Usd(picos)) => {
                cells.push(FixedLenByteArray::from(picos.to_be_bytes().to_vec()));
                true
            }
            (Cells::Days(cells), Cell::Day(day)) => match i32::try_from(number(*day)) {
                Ok(days) => {
                    cells.push(days);
                    true
                }
                Err(_) => false,
            },
            (Cells::Flags(cells), Cell::Flag(flag)) => {
                cells.push(*flag);
                true
            }
            (
                Cells::Texts(_) | Cells::Counts(_) | Cells::Amounts(_) | Cells::Days(_) | Cells::Flags(_),
                Cell::Unknown
                | Cell::Text(_)
                | Cell::Count(_)
                | Cell::Usd(_)
                | Cell::Instant(_)
                | Cell::Day(_)
                | Cell::Flag(_)
                | Cell::Json(_),
            ) => {
                debug_assert_eq!(*cell, Cell::Unknown, "a cell is of its column's kind");
                false
            }
        };
        self.known.push(known.into());
    }

    fn write(&mut self, writer: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let known = std::mem::take(&mut self.known);
        match &mut self.cells {
            Cells::Texts(cells) => write::<ByteArrayType>(writer, cells, &known),
            Cells::Counts(cells) => write::<Int64Type>(writer, cells, &known),
            Cells::Amounts(cells) => write::<FixedLenByteArrayType>(writer, cells, &known),
            Cells::Days(cells) => write::<Int32Type>(writer, cells, &known),
            Cells::Flags(cells) => write::<BoolType>(writer, cells, &known),
        }
    }
}

fn write<T: DataType>(
    mut writer: SerializedColumnWriter<'_>,
    cells: &mut Vec<T::T>,
    known: &[i16],
) -> Result<(), ParquetError> {
    writer.typed::<T>().write_batch(cells, Some(known), None)?;
    cells.clear();
    writer.close()
}

/// An error of the file is the error of what it is written to, where that is the cause.
fn outer(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(cause) => *cause,
            Err(cause) => io::Error::other(cause),
        },
        other => io::Error::other(other),
    }
}

/// A report as a file: a row for each group of the last dimension, as in its CSV. Amounts are in US dollars.
///
/// # Errors
/// Where the file cannot be made.
pub fn report(report: &Report) -> io::Result<Vec<u8>> {
    let metered = report.by.contains(&Dimension::Meter);
    let counts: &[Count] = if metered { &[("units", |tally| tally.units)] } else { &COUNTS };
    let mut columns: Vec<(String, Kind)> =
        report.by.iter().map(|dimension| (dimension.to_string(), Kind::Text)).collect();
    columns.extend(counts.iter().map(|(name, _)| ((*name).to_owned(), Kind::Count)));
    columns.extend(["usd", "at_most_usd", "held_usd"].map(|name| (name.to_owned(), Kind::Usd)));
    columns.extend(["price_table", "price_checked"].map(|name| (name.to_owned(), Kind::Text)));
    let zone = &report.period.zone;
    let said = [
        ("llmx.schema", SCHEMA.to_string()),
        ("llmx.first", report.period.first.to_string()),
        ("llmx.after", report.period.after.to_string()),
        ("llmx.zone", zone.name().to_owned()),
        ("llmx.where", report.filter.clone()),
    ];
    let mut sheet = Sheet::new(&columns, &said, Vec::new()).map_err(outer)?;
    let name = |row: &Row, dimension: &Dimension| match &row.what {
        What::Group(key) => Cell::Text(key.written(dimension, zone).into()),
        What::Others(1) => Cell::Text("1 other".into()),
        What::Others(count) => Cell::Text(format!("{count} others").into()),
    };
    let mut put = |path: &[&Row]| {
        let names = report.by.iter().enumerate();
        let mut cells: Vec<Cell<'_>> =
            names.map(|(at, dimension)| path.get(at).map_or(Cell::Unknown, |row| name(row, dimension))).collect();
        let Some(row) = path.last() else { return Ok(()) };
        let (tally, price) = (&row.tally, row.price.as_ref());
        let text = |found: Option<&str>| found.map_or(Cell::Unknown, |text| Cell::Text(text.to_owned().into()));
        let amount = |picos: i128, known: bool| if known { Cell::Usd(picos) } else { Cell::Unknown };
        cells.extend(counts.iter().map(|(_, of)| Cell::Count(i64::try_from(of(tally)).unwrap_or(i64::MAX))));
        cells.extend([
            amount(tally.picos, !super::tell::is_unknown(tally)),
            amount(tally.at_most, tally.unpriced == 0),
            Cell::Usd(tally.held),
            text(price.map(|price| price.table.as_str())),
            text(price.and_then(|price| price.checked.as_deref())),
        ]);
        sheet.put(cells.into_iter())
    };
    for row in &report.rows {
        if row.inner.is_empty() {
            put(&[row])?;
        }
        for inner in &row.inner {
            put(&[row, inner])?;
        }
    }
    sheet.finish()
}

type Count = (&'static str, fn(&Tally) -> u64);

const COUNTS: [Count; 12] = [
    ("calls", |tally| tally.calls),
    ("failed", |tally| tally.failed),
    ("failed_not_billed", |tally| tally.failed_free),
    ("unpriced", |tally| tally.unpriced),
    ("estimated", |tally| tally.uncertain),
    ("simulated", |tally| tally.simulated),
    ("open", |tally| tally.open),
    ("input", |tally| tally.input),
    ("cache_read", |tally| tally.cache_read),
    ("cache_write", |tally| tally.cache_write),
    ("output", |tally| tally.output),
    ("reasoning", |tally| tally.reasoning),
];

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    use super::{GROUP_ROWS, Sheet, Table, report};
    use crate::domain::spend::currency::Currency;
    use crate::domain::spend::period::Period;
    use crate::domain::spend::report::{Frame, Report, rows};
    use crate::domain::spend::{Dimension, Group, Key, Tally};
    use crate::domain::window::Zone;
    use crate::render::usage::rows::Cell;

    #[test]
    fn a_report_has_a_row_for_each_group_and_unknown_is_null() {
        let period = Period::parse("2026-11-16..2026-11-17", 0, &Zone::utc()).expect("days");
        let by = [Dimension::Model, Dimension::Project];
        let group = |model: &str, project: &str, tally| Group {
            keys: vec![Key::Text(model.to_owned()), Key::Text(project.to_owned())],
            tally,
            price: None,
        };
        let known = Tally {
            calls: 3,
            failed: 1,
            input: 70,
            picos: 1_500_000_000_001,
            at_most: 2_000_000_000_000,
            ..Tally::default()
        };
        let unknown = Tally { calls: 2, unpriced: 2, ..Tally::default() };
        let groups = [group("a", "pay", known), group("a", "web", unknown), group("b", "", known)];
        let frame = Frame { period: &period, now_ms: 0, fills: false, before: None };
        let total = groups.iter().fold(Tally::default(), |sum, group| sum.plus(group.tally));
        let made = Report {
            made_ms: 0,
            filter: "cost>1".to_owned(),
            by: by.to_vec(),
            rows: rows(&groups, &by, &frame, None, None),
            total,
            models: Vec::new(),
            days: Vec::new(),
            imported: Tally::default(),
            before: None,
            month: None,
            currency: Currency::default(),
            known: None,
            absent: None,
            left_out: 0,
            period: period.clone(),
        };
        let reader = SerializedFileReader::new(Bytes::from(report(&made).expect("made"))).expect("Parquet");
        let read: Vec<String> =
            reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row").to_string()).collect();
        let known = "calls: 3, failed: 1, failed_not_billed: 0, unpriced: 0, estimated: 0, simulated: 0, open: 0, input: 70, \
                     cache_read: 0, cache_write: 0, output: 0, reasoning: 0, usd: 1.500000000001, \
                     at_most_usd: 2.000000000000, held_usd: 0.000000000000, price_table: null, price_checked: null}";
        assert_eq!(read.len(), 3);
        assert_eq!(read[0], format!("{{model: \"a\", project: \"pay\", {known}"));
        assert!(
            read[1].contains("project: \"web\"") && read[1].contains("usd: null, at_most_usd: null"),
            "{}",
            read[1]
        );
        assert_eq!(read[2], format!("{{model: \"b\", project: \"\", {known}"));
        let said = reader.metadata().file_metadata().key_value_metadata().expect("metadata");
        let said = said.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref().unwrap_or_default()));
        assert!(said.into_iter().any(|pair| pair == ("llmx.where", "cost>1")));
    }

    #[test]
    fn row_groups_are_bounded_and_nothing_is_lost_between_them() {
        let mut sheet = Sheet::of(Table::Lines, Vec::new()).expect("begins");
        let count = i64::try_from(GROUP_ROWS).expect("small") * 2 + 5;
        for number in 0..count {
            let columns = Table::Lines.columns().iter();
            let cells = columns.map(|column| if column.name == "line" { Cell::Count(number) } else { Cell::Unknown });
            sheet.put(cells).expect("put");
        }
        let reader = SerializedFileReader::new(Bytes::from(sheet.finish().expect("ends"))).expect("Parquet");
        let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [16_384, 16_384, 5]);
        let read = reader.get_row_iter(None).expect("rows");
        let numbers = read.map(|row| {
            let row = row.expect("a row");
            let found = row.get_column_iter().find(|(name, _)| *name == "line").map(|(_, field)| field.to_string());
            found.and_then(|text| text.parse::<i64>().ok()).expect("a number")
        });
        assert!(numbers.eq(0..count));
    }
}
