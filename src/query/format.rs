//! An answer as bytes or text: JSON, CSV, an Arrow stream, or a table for the terminal.

mod text;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::WriterBuilder as JsonBuilder;
use arrow::json::writer::JsonArray;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{QueryAnswer, QueryError};

pub use text::{Alignment, TextTable};

/// RFC 3339 as the rest of the service writes it, with milliseconds only where there are some.
const TIMESTAMP: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// An array with an object per row; nulls are written.
pub fn to_json(answer: &QueryAnswer) -> Result<Vec<u8>, QueryError> {
    let failed = |error: ArrowError| failure("JSON", &error);
    let mut bytes = Vec::new();
    let mut writer = JsonBuilder::new()
        .with_explicit_nulls(true)
        .with_timestamp_tz_format(TIMESTAMP.to_owned())
        .build::<_, JsonArray>(&mut bytes);
    for batch in &answer.batches {
        writer.write(batch).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    drop(writer);
    Ok(bytes)
}

/// A header line and a line per row; nulls are empty.
pub fn to_csv(answer: &QueryAnswer) -> Result<Vec<u8>, QueryError> {
    let failed = |error: ArrowError| failure("CSV", &error);
    let mut bytes = Vec::new();
    let mut writer =
        CsvBuilder::new().with_header(true).with_timestamp_tz_format(TIMESTAMP.to_owned()).build(&mut bytes);
    if answer.batches.is_empty() {
        writer.write(&RecordBatch::new_empty(answer.schema.clone())).map_err(failed)?;
    }
    for batch in &answer.batches {
        writer.write(batch).map_err(failed)?;
    }
    drop(writer);
    Ok(bytes)
}

/// An Arrow IPC stream.
pub fn to_arrow_stream(answer: &QueryAnswer) -> Result<Vec<u8>, QueryError> {
    let failed = |error: ArrowError| failure("an Arrow stream", &error);
    let mut writer = StreamWriter::try_new(Vec::new(), &answer.schema).map_err(failed)?;
    for batch in &answer.batches {
        writer.write(batch).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}

/// Aligned columns under their names, for people.
pub fn to_table(answer: &QueryAnswer) -> Result<String, QueryError> {
    let failed = |error: ArrowError| failure("a table", &error);
    let mut table = TextTable::new(answer.schema.fields().iter().map(|field| {
        let alignment = if is_number(field.data_type()) { Alignment::Right } else { Alignment::Left };
        (field.name().clone(), alignment)
    }));
    let options = FormatOptions::new().with_timestamp_tz_format(Some(TIMESTAMP));
    for batch in &answer.batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        for row in 0..batch.num_rows() {
            table.push(columns.iter().map(|column| column.value(row).to_string()).collect());
        }
    }
    Ok(table.to_string())
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn failure(format: &'static str, error: &ArrowError) -> QueryError {
    QueryError::Format { format, detail: error.to_string() }
}
