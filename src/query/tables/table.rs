//! The two shapes of tables: rows that belong to windows, and rows that stand alone.

use std::fmt::Debug;
use std::iter::repeat_n;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;

use super::column::{Column, ColumnInfo};
use super::windows::KEYS;
use crate::event::WindowReport;
use crate::query::Snapshot;

/// A table over a snapshot. Its rows come in groups that share the values of the key columns: the rows of one window,
/// or a single row that stands alone.
pub trait Table: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn description(&self) -> &'static str;
    fn columns(&self) -> Vec<ColumnInfo>;
    /// How many of the first columns have one value per group.
    fn key_columns(&self) -> usize;
    /// Number of groups.
    fn groups(&self, snapshot: &Snapshot) -> usize;
    /// Number of rows in one group.
    fn rows(&self, snapshot: &Snapshot, group: usize) -> usize;
    /// The key columns numbered in `projection`, one row per group.
    fn keys(&self, snapshot: &Snapshot, projection: &[usize]) -> Result<RecordBatch, ArrowError>;
    /// The columns numbered in `projection`, for all rows of `groups`.
    fn batch(&self, snapshot: &Snapshot, groups: &[usize], projection: &[usize]) -> Result<RecordBatch, ArrowError>;
}

/// Rows that belong to windows; the columns that name the window come first.
#[derive(Debug)]
pub struct WindowTable<R: 'static> {
    pub name: &'static str,
    pub description: &'static str,
    pub rows: fn(&WindowReport) -> &[R],
    pub columns: &'static [Column<R>],
}

/// Rows that stand alone.
#[derive(Debug)]
pub struct PlainTable<R: 'static> {
    pub name: &'static str,
    pub description: &'static str,
    pub rows: fn(&Snapshot) -> &[R],
    pub columns: &'static [Column<R>],
}

impl<R: Debug> Table for WindowTable<R> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn columns(&self) -> Vec<ColumnInfo> {
        KEYS.iter().map(Column::info).chain(self.columns.iter().map(Column::info)).collect()
    }

    fn key_columns(&self) -> usize {
        KEYS.len()
    }

    fn groups(&self, snapshot: &Snapshot) -> usize {
        snapshot.windows.len()
    }

    fn rows(&self, snapshot: &Snapshot, group: usize) -> usize {
        (self.rows)(&snapshot.windows[group]).len()
    }

    fn keys(&self, snapshot: &Snapshot, projection: &[usize]) -> Result<RecordBatch, ArrowError> {
        let windows = || snapshot.windows.iter().map(Arc::as_ref);
        let arrays = projection.iter().map(|index| KEYS[*index].array(windows())).collect();
        record_batch(&self.columns(), projection, arrays, snapshot.windows.len())
    }

    fn batch(&self, snapshot: &Snapshot, groups: &[usize], projection: &[usize]) -> Result<RecordBatch, ArrowError> {
        let windows = || groups.iter().map(|group| snapshot.windows[*group].as_ref());
        let rows = || windows().flat_map(|window| (self.rows)(window));
        let window_of_each_row = || windows().flat_map(|window| repeat_n(window, (self.rows)(window).len()));
        let arrays = projection
            .iter()
            .map(|index| match KEYS.get(*index) {
                Some(key) => key.array(window_of_each_row()),
                None => self.columns[*index - KEYS.len()].array(rows()),
            })
            .collect();
        record_batch(&self.columns(), projection, arrays, rows().count())
    }
}

impl<R: Debug> Table for PlainTable<R> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn columns(&self) -> Vec<ColumnInfo> {
        self.columns.iter().map(Column::info).collect()
    }

    fn key_columns(&self) -> usize {
        0
    }

    fn groups(&self, snapshot: &Snapshot) -> usize {
        (self.rows)(snapshot).len()
    }

    fn rows(&self, _snapshot: &Snapshot, _group: usize) -> usize {
        1
    }

    fn keys(&self, snapshot: &Snapshot, _projection: &[usize]) -> Result<RecordBatch, ArrowError> {
        record_batch(&self.columns(), &[], Vec::new(), self.groups(snapshot))
    }

    fn batch(&self, snapshot: &Snapshot, groups: &[usize], projection: &[usize]) -> Result<RecordBatch, ArrowError> {
        let all = (self.rows)(snapshot);
        let rows = || groups.iter().map(|group| &all[*group]);
        let arrays = projection.iter().map(|index| self.columns[*index].array(rows())).collect();
        record_batch(&self.columns(), projection, arrays, groups.len())
    }
}

fn record_batch(
    columns: &[ColumnInfo],
    projection: &[usize],
    arrays: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<_> = projection.iter().map(|index| columns[*index].field()).collect();
    // Without columns, as in count(*), only this says how many rows there are.
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
}
