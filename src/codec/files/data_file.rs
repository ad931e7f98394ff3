//! A data file of any of the formats, as a stream of Arrow record batches.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json;
use arrow::record_batch::RecordBatch;
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use super::FileError;

/// Rows from which the types of CSV and NDJSON columns are inferred.
const INFERENCE_ROWS: usize = 10_000;

/// A data file that has been opened: its format and schema are known.
#[derive(Clone, Debug)]
pub struct DataFile {
    name: Arc<str>,
    source: Source,
    format: Format,
    schema: SchemaRef,
}

/// The rows of a [`DataFile`]; memory is bounded by one batch (and one row group of Parquet).
pub struct Batches {
    name: Arc<str>,
    inner: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>,
}

#[derive(Clone, Debug)]
enum Source {
    Path(PathBuf),
    Memory(Bytes),
}

#[derive(Clone, Debug)]
enum Format {
    Parquet(ArrowReaderMetadata),
    Csv,
    Ndjson,
}

impl DataFile {
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::new(&path.display().to_string(), Source::Path(path.to_owned()))
    }

    /// A file that is already in memory; the end of `name` says its format.
    pub fn from_bytes(name: &str, bytes: Bytes) -> Result<Self, FileError> {
        Self::new(name, Source::Memory(bytes))
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The number of rows, where the format tells it.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        match &self.format {
            Format::Parquet(metadata) => u64::try_from(metadata.metadata().file_metadata().num_rows()).ok(),
            Format::Csv | Format::Ndjson => None,
        }
    }

    pub fn batches(&self, batch_size: usize) -> Result<Batches, FileError> {
        let every: Vec<usize> = (0..self.schema.fields().len()).collect();
        self.batches_of(&every, batch_size)
    }

    /// Only the columns at these indices of the schema, in ascending order.
    pub fn batches_of(&self, columns: &[usize], batch_size: usize) -> Result<Batches, FileError> {
        let unreadable = |error: ArrowError| self.unreadable(error.to_string());
        let inner: Box<dyn Iterator<Item = _> + Send> = match &self.format {
            Format::Parquet(metadata) => self.parquet_batches(metadata, columns, batch_size)?,
            Format::Csv => {
                let reader = csv::ReaderBuilder::new(Arc::clone(&self.schema))
                    .with_header(true)
                    .with_batch_size(batch_size)
                    .with_projection(columns.to_vec())
                    .build_buffered(BufReader::new(self.reader()?));
                Box::new(reader.map_err(unreadable)?)
            }
            Format::Ndjson => {
                let schema = Arc::new(self.schema.project(columns).map_err(unreadable)?);
                let reader = json::ReaderBuilder::new(schema)
                    .with_batch_size(batch_size)
                    .with_coerce_primitive(true)
                    .build(BufReader::new(self.reader()?));
                Box::new(reader.map_err(unreadable)?)
            }
        };
        Ok(Batches { name: Arc::clone(&self.name), inner })
    }

    /// Reads these columns of a CSV file as text whatever they look like: ids such as `007` or `1.10` must stay as they
    /// are. The other formats have types of their own.
    #[must_use]
    pub fn with_text_columns(mut self, names: &[&str]) -> Self {
        if !matches!(self.format, Format::Csv) {
            return self;
        }
        let as_text = |field: &Arc<Field>| {
            let named = names.contains(&field.name().as_str());
            if named { Arc::new(Field::new(field.name(), DataType::Utf8, true)) } else { Arc::clone(field) }
        };
        self.schema = Arc::new(Schema::new(self.schema.fields().iter().map(as_text).collect::<Vec<_>>()));
        self
    }

    fn new(name: &str, source: Source) -> Result<Self, FileError> {
        let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let (format, schema) = match extension.to_ascii_lowercase().as_str() {
            "parquet" => open_parquet(name, &source)?,
            "csv" => (Format::Csv, infer_csv(name, &source)?),
            "ndjson" | "jsonl" => (Format::Ndjson, infer_ndjson(name, &source)?),
            _ => return Err(FileError::UnknownFormat { file: name.to_owned() }),
        };
        let file = Self { name: name.into(), source, format, schema };
        file.refuse_duplicate_columns()?;
        Ok(file)
    }

    fn refuse_duplicate_columns(&self) -> Result<(), FileError> {
        let mut names: Vec<&String> = self.schema.fields().iter().map(|field| field.name()).collect();
        names.sort();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(FileError::Duplicate { file: self.name.to_string(), column: pair[0].clone() }),
            None => Ok(()),
        }
    }

    fn parquet_batches(
        &self,
        metadata: &ArrowReaderMetadata,
        columns: &[usize],
        batch_size: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>, FileError> {
        match &self.source {
            Source::Path(path) => self.parquet_reader(open(&self.name, path)?, metadata, columns, batch_size),
            Source::Memory(bytes) => self.parquet_reader(bytes.clone(), metadata, columns, batch_size),
        }
    }

    fn parquet_reader<R: ChunkReader + 'static>(
        &self,
        input: R,
        metadata: &ArrowReaderMetadata,
        columns: &[usize],
        batch_size: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>, FileError> {
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata.clone())
            .with_projection(mask)
            .with_batch_size(batch_size)
            .build()
            .map_err(|error| self.unreadable(error.to_string()))?;
        Ok(Box::new(reader))
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, FileError> {
        self.source.reader(&self.name)
    }

    fn unreadable(&self, reason: String) -> FileError {
        FileError::Unreadable { file: self.name.to_string(), reason }
    }
}

impl Source {
    fn reader(&self, name: &str) -> Result<Box<dyn Read + Send>, FileError> {
        match self {
            Self::Path(path) => Ok(Box::new(open(name, path)?)),
            Self::Memory(bytes) => Ok(Box::new(bytes.clone().reader())),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.inner.next()?;
        let unreadable =
            |error: ArrowError| FileError::Unreadable { file: self.name.to_string(), reason: error.to_string() };
        Some(batch.map_err(unreadable))
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("name", &self.name).finish_non_exhaustive()
    }
}

fn open(name: &str, path: &Path) -> Result<File, FileError> {
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => FileError::NotFound { file: name.to_owned() },
        _ => FileError::Unreadable { file: name.to_owned(), reason: error.to_string() },
    })
}

fn open_parquet(name: &str, source: &Source) -> Result<(Format, SchemaRef), FileError> {
    match source {
        Source::Path(path) => parquet_metadata(name, &open(name, path)?),
        Source::Memory(bytes) => parquet_metadata(name, bytes),
    }
}

fn parquet_metadata<R: ChunkReader>(name: &str, input: &R) -> Result<(Format, SchemaRef), FileError> {
    let empty = || FileError::Empty { file: name.to_owned() };
    if input.len() == 0 {
        return Err(empty());
    }
    let metadata = ArrowReaderMetadata::load(input, ArrowReaderOptions::new())
        .map_err(|error| FileError::Unreadable { file: name.to_owned(), reason: error.to_string() })?;
    if metadata.metadata().file_metadata().num_rows() == 0 {
        return Err(empty());
    }
    let schema = Arc::clone(metadata.schema());
    Ok((Format::Parquet(metadata), schema))
}

fn infer_csv(name: &str, source: &Source) -> Result<SchemaRef, FileError> {
    let format = csv::reader::Format::default().with_header(true);
    let inferred = format.infer_schema(BufReader::new(source.reader(name)?), Some(INFERENCE_ROWS));
    let schema = not_empty(name, inferred)?;
    // a column that is empty so far may hold anything later
    let text_if_unknown = |field: &Arc<Field>| match field.data_type() {
        DataType::Null => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        _ => Arc::clone(field),
    };
    Ok(Arc::new(Schema::new(schema.fields().iter().map(text_if_unknown).collect::<Vec<_>>())))
}

fn infer_ndjson(name: &str, source: &Source) -> Result<SchemaRef, FileError> {
    let reader = BufReader::new(source.reader(name)?);
    let inferred = json::reader::infer_json_schema(reader, Some(INFERENCE_ROWS));
    Ok(Arc::new(not_empty(name, inferred)?))
}

fn not_empty(name: &str, inferred: Result<(Schema, usize), ArrowError>) -> Result<Schema, FileError> {
    match inferred {
        Err(error) => Err(FileError::Unreadable { file: name.to_owned(), reason: error.to_string() }),
        Ok((_, 0)) => Err(FileError::Empty { file: name.to_owned() }),
        Ok((schema, _)) => Ok(schema),
    }
}

#[cfg(test)]
mod tests;
