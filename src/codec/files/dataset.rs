//! A data file as a model sees it: predictions, outcomes and features.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use super::column::{as_numeric, as_text, as_time};
use super::{Batches, ColumnError, ColumnRole, DataColumns, DataFile, FileError, Required};
use crate::model::{Columns, FeatureKind, Model};

const BATCH_ROWS: usize = 8_192;

/// A data file whose columns have been found.
#[derive(Clone, Debug)]
pub struct Dataset {
    file: DataFile,
    columns: DataColumns,
}

/// Some rows of a [`Dataset`]. Columns that the file has not are none.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetBatch {
    /// Milliseconds since the epoch.
    pub time: Option<Int64Array>,
    pub id: Option<StringArray>,
    pub version: Option<StringArray>,
    pub label: Option<StringArray>,
    pub score: Option<Float64Array>,
    pub outcome: Option<StringArray>,
    /// In the order of [`Dataset::feature_names_and_kinds`].
    pub features: Vec<FeatureColumn>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FeatureColumn {
    Numeric(Float64Array),
    Categorical(StringArray),
}

#[derive(Debug)]
pub struct DatasetBatches<'a> {
    dataset: &'a Dataset,
    batches: Batches,
    /// Number of the next row in the file, counted from 1.
    next_row: u64,
}

impl DatasetBatch {
    /// How many rows these are, by whichever column there is.
    #[must_use]
    pub fn rows(&self) -> usize {
        let feature = self.features.first().map(|column| match column {
            FeatureColumn::Numeric(values) => values.len(),
            FeatureColumn::Categorical(values) => values.len(),
        });
        let label = self.label.as_ref().map(Array::len);
        feature.or(label).or(self.score.as_ref().map(Array::len)).unwrap_or(0)
    }
}

impl Dataset {
    /// A reference of `model`.
    pub fn open(path: &Path, model: &Model) -> Result<Self, FileError> {
        Self::reference(DataFile::open(path)?, model)
    }

    /// A reference of `model` that is already in memory; the end of `name` says its format.
    pub fn from_bytes(name: &str, bytes: Bytes, model: &Model) -> Result<Self, FileError> {
        Self::reference(DataFile::from_bytes(name, bytes)?, model)
    }

    pub fn new(file: DataFile, model: &Model, required: &Required) -> Result<Self, FileError> {
        let file = file.with_text_columns(&identifiers(&model.columns));
        let columns = DataColumns::resolve(file.name(), file.schema(), &model.columns, &model.features, required)?;
        Ok(Self { file, columns })
    }

    /// A file that holds these columns beside whatever else; nothing in it is a feature.
    pub(super) fn without_features(file: DataFile, model: &Model, roles: &[ColumnRole]) -> Result<Self, FileError> {
        let file = file.with_text_columns(&identifiers(&model.columns));
        let columns = DataColumns::resolve_roles(file.name(), file.schema(), &model.columns, roles)?;
        Ok(Self { file, columns })
    }

    #[must_use]
    pub fn file(&self) -> &DataFile {
        &self.file
    }

    #[must_use]
    pub fn columns(&self) -> &DataColumns {
        &self.columns
    }

    /// The features, then what stands beside them.
    pub fn feature_names_and_kinds(&self) -> impl Iterator<Item = (&str, FeatureKind)> {
        let columns = self.columns.features.iter().chain(&self.columns.beside);
        columns.map(|feature| (feature.name.as_str(), feature.kind))
    }

    pub fn batches(&self) -> Result<DatasetBatches<'_>, FileError> {
        Ok(DatasetBatches { dataset: self, batches: self.raw_batches()?, next_row: 1 })
    }

    /// Only the columns with these roles, as far as the file has them.
    pub(super) fn batches_of(&self, roles: &[ColumnRole]) -> Result<Batches, FileError> {
        let indices: BTreeSet<usize> = roles.iter().filter_map(|role| self.columns.index_of(*role)).collect();
        self.file.batches_of(&Vec::from_iter(indices), BATCH_ROWS)
    }

    pub(super) fn raw_batches(&self) -> Result<Batches, FileError> {
        self.file.batches(BATCH_ROWS)
    }

    fn reference(file: DataFile, model: &Model) -> Result<Self, FileError> {
        Self::new(file, model, &Required::of_reference(&model.columns))
    }

    /// `first_row` is the number of the batch's first row in the file, counted from 1.
    fn batch(&self, batch: &RecordBatch, first_row: u64) -> Result<DatasetBatch, FileError> {
        let columns = BatchColumns { dataset: self, batch, first_row };
        let features = self.columns.features.iter().chain(&self.columns.beside).map(|feature| {
            Ok(match feature.kind {
                FeatureKind::Numeric => FeatureColumn::Numeric(columns.read(feature.index, as_numeric)?),
                FeatureKind::Categorical => FeatureColumn::Categorical(columns.read(feature.index, as_text)?),
            })
        });
        Ok(DatasetBatch {
            time: columns.read_role(ColumnRole::Time, as_time)?,
            id: columns.read_role(ColumnRole::Id, as_text)?,
            version: columns.read_role(ColumnRole::Version, as_text)?,
            label: columns.read_role(ColumnRole::Label, as_text)?,
            score: columns.read_role(ColumnRole::Score, as_numeric)?,
            outcome: columns.read_role(ColumnRole::Outcome, as_text)?,
            features: features.collect::<Result<_, FileError>>()?,
        })
    }
}

impl Iterator for DatasetBatches<'_> {
    type Item = Result<DatasetBatch, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.batches.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let first_row = self.next_row;
        self.next_row += batch.num_rows() as u64;
        Some(self.dataset.batch(&batch, first_row))
    }
}

/// A batch of a data set with what is needed to say where a value is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchColumns<'a> {
    pub dataset: &'a Dataset,
    /// All columns of the file, or those that are read.
    pub batch: &'a RecordBatch,
    pub first_row: u64,
}

impl BatchColumns<'_> {
    pub fn read<T>(
        &self,
        index: usize,
        as_wanted: impl Fn(&ArrayRef) -> Result<T, ColumnError>,
    ) -> Result<T, FileError> {
        let name = self.dataset.file.schema().field(index).name();
        let column = self.batch.column_by_name(name).ok_or_else(|| ColumnError::new("has not been read"));
        column.and_then(as_wanted).map_err(|error| error.within(self.dataset.file.name(), name, self.first_row))
    }

    pub fn read_role<T>(
        &self,
        role: ColumnRole,
        as_wanted: impl Fn(&ArrayRef) -> Result<T, ColumnError>,
    ) -> Result<Option<T>, FileError> {
        self.dataset.columns.index_of(role).map(|index| self.read(index, as_wanted)).transpose()
    }
}

/// Columns whose text must not be taken for numbers.
fn identifiers(columns: &Columns) -> Vec<&str> {
    [ColumnRole::Id, ColumnRole::Version].iter().filter_map(|role| role.name(columns)).collect()
}

impl FeatureColumn {
    #[must_use]
    pub fn as_array(&self) -> ArrayRef {
        match self {
            Self::Numeric(column) => Arc::new(column.clone()),
            Self::Categorical(column) => Arc::new(column.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
