//! The predictions of a file in the order of their times: read as they come, or sorted in memory.

use std::sync::Arc;
use std::vec;

use arrow::array::{Array, StringArray};

use super::json::PredictionColumns;
use super::{OutcomeChoice, ReplayOptions, Times};
use crate::clock::Timestamp;
use crate::codec::files::column::as_text;
use crate::codec::files::dataset::BatchColumns;
use crate::codec::files::{Batches, ColumnRole, Dataset, FileError};
use crate::model::Task;

/// How much of a file that is not in order is held in memory to be sorted.
pub const SORT_LIMIT_BYTES: usize = 1 << 30;

#[derive(Debug)]
pub(super) enum Rows {
    InOrder { reader: Box<Reader>, current: Option<(Arc<PredictionBatch>, usize)> },
    Sorted { batches: Vec<Arc<PredictionBatch>>, order: vec::IntoIter<Place> },
}

#[derive(Debug)]
pub(super) struct PredictionRow {
    batch: Arc<PredictionBatch>,
    row: usize,
}

/// Ordered by time, then by the row's place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    time: Timestamp,
    batch: usize,
    row: usize,
}

#[derive(Debug)]
pub(super) struct PredictionBatch {
    times: Vec<Timestamp>,
    ids: StringArray,
    outcomes: Option<StringArray>,
    columns: PredictionColumns,
}

#[derive(Debug)]
pub(super) struct Reader {
    dataset: Dataset,
    batches: Batches,
    task: Task,
    times: Times,
    reads_outcomes: bool,
    /// Number of the next row in the file, counted from 1.
    next_row: u64,
}

impl Rows {
    /// `sorted` says that the rows are in the order of their times already.
    pub(super) fn open(dataset: Dataset, task: Task, options: &ReplayOptions, sorted: bool) -> Result<Self, FileError> {
        let reader = Reader::open(dataset, task, options)?;
        if sorted {
            Ok(Self::InOrder { reader: Box::new(reader), current: None })
        } else {
            Self::sort(reader, SORT_LIMIT_BYTES)
        }
    }

    fn sort(mut reader: Reader, limit: usize) -> Result<Self, FileError> {
        let mut batches: Vec<Arc<PredictionBatch>> = Vec::new();
        let mut order = Vec::new();
        let mut bytes = 0;
        while let Some((batch, size)) = reader.next_batch()? {
            bytes += size;
            if bytes > limit {
                return Err(reader.too_large(limit));
            }
            let index = batches.len();
            order.extend(batch.times.iter().enumerate().map(|(row, time)| Place { time: *time, batch: index, row }));
            batches.push(Arc::new(batch));
        }
        order.sort_unstable();
        Ok(Self::Sorted { batches, order: order.into_iter() })
    }

    fn try_next(&mut self) -> Result<Option<PredictionRow>, FileError> {
        match self {
            Self::Sorted { batches, order } => Ok(order.next().and_then(|place| {
                Some(PredictionRow { batch: Arc::clone(batches.get(place.batch)?), row: place.row })
            })),
            Self::InOrder { reader, current } => loop {
                if let Some((batch, next)) = current
                    && *next < batch.times.len()
                {
                    *next += 1;
                    return Ok(Some(PredictionRow { batch: Arc::clone(batch), row: *next - 1 }));
                }
                match reader.next_batch()? {
                    Some((batch, _)) => *current = Some((Arc::new(batch), 0)),
                    None => return Ok(None),
                }
            },
        }
    }
}

impl Iterator for Rows {
    type Item = Result<PredictionRow, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}

impl PredictionRow {
    pub(super) fn time(&self) -> Timestamp {
        self.batch.times[self.row]
    }

    pub(super) fn id(&self) -> &str {
        self.batch.ids.value(self.row)
    }

    /// The outcome in the same file.
    pub(super) fn outcome(&self) -> Option<&str> {
        let outcomes = self.batch.outcomes.as_ref()?;
        outcomes.is_valid(self.row).then(|| outcomes.value(self.row))
    }

    pub(super) fn json(&self, model: &str, options: &ReplayOptions) -> Vec<u8> {
        self.batch.columns.json(self.row, model, options, self.id(), self.time())
    }
}

impl Reader {
    fn open(dataset: Dataset, task: Task, options: &ReplayOptions) -> Result<Self, FileError> {
        let batches = dataset.raw_batches()?;
        let reads_outcomes = options.outcomes != OutcomeChoice::None;
        Ok(Self { dataset, batches, task, times: options.times, reads_outcomes, next_row: 1 })
    }

    /// The next batch and how many bytes it holds.
    fn next_batch(&mut self) -> Result<Option<(PredictionBatch, usize)>, FileError> {
        let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
        let columns = BatchColumns { dataset: &self.dataset, batch: &batch, first_row: self.next_row };
        let ids = columns.read_role(ColumnRole::Id, as_text)?;
        let outcomes = if self.reads_outcomes { columns.read_role(ColumnRole::Outcome, as_text)? } else { None };
        let predictions = PredictionBatch {
            times: self.times.of(&columns)?,
            ids: ids.unwrap_or_else(|| StringArray::new_null(batch.num_rows())),
            outcomes,
            columns: PredictionColumns::read(&columns, self.task)?,
        };
        self.next_row += batch.num_rows() as u64;
        Ok(Some((predictions, batch.get_array_memory_size())))
    }

    fn too_large(&self, limit: usize) -> FileError {
        let file = self.dataset.file();
        let time = self.dataset.columns().time.map(|index| file.schema().field(index).name().clone());
        FileError::Unsorted { file: file.name().to_owned(), column: time.unwrap_or_default(), limit }
    }
}

#[cfg(test)]
mod tests;
