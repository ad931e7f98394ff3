//! The file of answers: the columns of the input, and the predictions behind them. It appears under its name when it is
//! whole.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::LineDelimitedWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::Answers;
use crate::serve::Prediction;

pub(super) struct Output {
    writer: Writer,
    schema: SchemaRef,
    classes: Vec<String>,
    is_regression: bool,
    partial: PathBuf,
    path: PathBuf,
}

enum Writer {
    Parquet(Box<ArrowWriter<File>>),
    Csv(Box<csv::Writer<BufWriter<File>>>),
    Ndjson(LineDelimitedWriter<BufWriter<File>>),
}

const LABEL: &str = "prediction_label";
const SCORE: &str = "prediction_score";
const VALUE: &str = "prediction_value";

impl Output {
    /// Which columns there are follows from the first answers.
    pub(super) fn create(path: &Path, input: &SchemaRef, answers: &Answers) -> anyhow::Result<Self> {
        let first = answers.iter().find_map(|answer| answer.as_ref().ok());
        let (is_regression, classes) = match first {
            Some(Prediction::Value { .. }) => (true, Vec::new()),
            Some(Prediction::Class { scores, .. }) => {
                (false, scores.iter().flat_map(|scores| scores.keys().cloned()).collect())
            }
            None => bail!("the model answers none of the first {} rows", answers.len()),
        };
        let mut fields: Vec<Arc<Field>> = input.fields().iter().cloned().collect();
        let mut names: Vec<(String, DataType)> = Vec::new();
        if is_regression {
            names.push((VALUE.to_owned(), DataType::Float64));
        } else {
            names.push((LABEL.to_owned(), DataType::Utf8));
            if classes.is_empty() {
                names.push((SCORE.to_owned(), DataType::Float64));
            }
            names.extend(classes.iter().map(|class| (format!("{SCORE}_{class}"), DataType::Float64)));
        }
        for (name, kind) in names {
            if input.column_with_name(&name).is_some() {
                bail!("the input has a column '{name}' already: rename it, since predictions go there");
            }
            fields.push(Arc::new(Field::new(name, kind, true)));
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let partial = PathBuf::from(format!("{}.partial", path.display()));
        let unwritable = || format!("{} cannot be written", partial.display());
        let file = File::create(&partial).with_context(unwritable)?;
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let writer = match extension.to_ascii_lowercase().as_str() {
            "parquet" => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties));
                Writer::Parquet(Box::new(writer.with_context(unwritable)?))
            }
            "csv" => Writer::Csv(Box::new(csv::Writer::new(BufWriter::new(file)))),
            "ndjson" | "jsonl" => Writer::Ndjson(LineDelimitedWriter::new(BufWriter::new(file))),
            _ => {
                let _ = std::fs::remove_file(&partial);
                bail!("{} is no name for an output: end it in .parquet, .csv or .ndjson", path.display());
            }
        };
        Ok(Self { writer, schema, classes, is_regression, partial, path: path.to_owned() })
    }

    /// Returns how many rows have no prediction.
    pub(super) fn write(&mut self, batch: &RecordBatch, answers: &Answers) -> anyhow::Result<u64> {
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        let told = || answers.iter().map(|answer| answer.as_ref().ok());
        if self.is_regression {
            let value = |answer: Option<&Prediction>| match answer {
                Some(Prediction::Value { value }) => Some(*value),
                _ => None,
            };
            columns.push(Arc::new(told().map(value).collect::<Float64Array>()));
        } else {
            let label = |answer: Option<&Prediction>| match answer {
                Some(Prediction::Class { label, .. }) => Some(label.clone()),
                _ => None,
            };
            columns.push(Arc::new(told().map(label).collect::<StringArray>()));
            if self.classes.is_empty() {
                let score = |answer: Option<&Prediction>| match answer {
                    Some(Prediction::Class { score, .. }) => *score,
                    _ => None,
                };
                columns.push(Arc::new(told().map(score).collect::<Float64Array>()));
            }
            for class in &self.classes {
                let score = |answer: Option<&Prediction>| match answer {
                    Some(Prediction::Class { scores, .. }) => scores.as_ref()?.get(class)?.as_f64(),
                    _ => None,
                };
                columns.push(Arc::new(told().map(score).collect::<Float64Array>()));
            }
        }
        let whole = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        match &mut self.writer {
            Writer::Parquet(writer) => writer.write(&whole)?,
            Writer::Csv(writer) => writer.write(&whole)?,
            Writer::Ndjson(writer) => writer.write(&whole)?,
        }
        Ok(answers.iter().filter(|answer| answer.is_err()).count() as u64)
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self.writer {
            Writer::Parquet(writer) => {
                writer.close()?;
            }
            Writer::Csv(writer) => drop(writer.into_inner().into_inner().context("the output cannot be written")?),
            Writer::Ndjson(mut writer) => {
                writer.finish()?;
                drop(writer.into_inner().into_inner().context("the output cannot be written")?);
            }
        }
        std::fs::rename(&self.partial, &self.path).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}
