//! A first look through the ids and times of a file.

use arrow::array::Array;

use super::{ReplayOptions, Times};
use crate::clock::{Span, Timestamp};
use crate::codec::files::column::{as_text, as_time};
use crate::codec::files::dataset::BatchColumns;
use crate::codec::files::{ColumnError, ColumnRole, Dataset, FileError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    pub rows: u64,
    /// Rows within the range of the options.
    pub in_range: u64,
    /// Whether the rows are in the order of their times.
    pub sorted: bool,
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Survey {
    pub(super) fn of(dataset: &Dataset, options: &ReplayOptions) -> Result<Self, FileError> {
        let mut survey = Self { rows: 0, in_range: 0, sorted: true, first: Timestamp::MAX, last: Timestamp::MIN };
        for batch in dataset.batches_of(&[ColumnRole::Id, ColumnRole::Time])? {
            let batch = batch?;
            let columns = BatchColumns { dataset, batch: &batch, first_row: survey.rows + 1 };
            columns.read_role(ColumnRole::Id, |column| without_gaps(as_text(column)?))?;
            for time in options.times.of(&columns)? {
                survey.add(time, options);
            }
        }
        if survey.rows == 0 {
            return Err(FileError::Empty { file: dataset.file().name().to_owned() });
        }
        Ok(survey)
    }

    fn add(&mut self, time: Timestamp, options: &ReplayOptions) {
        self.rows += 1;
        self.in_range += u64::from(options.is_in_range(time));
        self.sorted &= time >= self.last;
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }
}

impl Times {
    /// The time of each row of the batch.
    pub(super) fn of(self, columns: &BatchColumns<'_>) -> Result<Vec<Timestamp>, FileError> {
        match self {
            Self::Column => {
                let times = columns.read_role(ColumnRole::Time, |column| without_gaps(as_time(column)?))?;
                Ok(times.iter().flat_map(|times| times.values().iter().copied()).map(Timestamp::from_millis).collect())
            }
            Self::Spread { start, interval } => {
                let first = i64::try_from(columns.first_row - 1).unwrap_or(i64::MAX);
                let rows = i64::try_from(columns.batch.num_rows()).unwrap_or(i64::MAX);
                let time = |row: i64| {
                    let elapsed = interval.millis().saturating_mul(first.saturating_add(row));
                    start.plus(Span::from_millis(elapsed))
                };
                Ok((0..rows).map(time).collect())
            }
        }
    }
}

fn without_gaps<A: Array>(column: A) -> Result<A, ColumnError> {
    match (0..column.len()).find(|row| column.is_null(*row)) {
        Some(row) => Err(ColumnError::at(row, "is empty, but replay needs it in every row")),
        None => Ok(column),
    }
}
