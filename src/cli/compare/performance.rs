//! How good the predictions of both files are, where the true labels stand beside them.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array, StringArray};
use arrow::record_batch::RecordBatch;

use super::args::CompareArgs;
use super::layout::{InBoth, Layout, PerformanceColumns};
use super::read::{Part, ReferenceSide, batches, column_named, parts_of};
use crate::codec::files::column::{as_numeric, as_text};
use crate::codec::files::{ColumnError, DataFile, FileError};
use crate::event::PerformanceRow;
use crate::model::{PerformancePolicy, WindowSize};
use crate::performance::{self, BinaryCounts, Judged, Maturity};
use crate::profile::{NumericAnchors, ValueAnchors};

/// Every metric of each part of the current file beside the reference.
pub(super) fn judge(
    args: &CompareArgs,
    layout: &Layout,
    files: (&DataFile, &DataFile),
    side: &ReferenceSide,
) -> Result<BTreeMap<Part, Vec<PerformanceRow>>, FileError> {
    let Some(columns) = &layout.performance else { return Ok(BTreeMap::new()) };
    let counting = Counting { args, layout, columns, score: score_anchors(columns, side) };
    let reference = counting.count(files.0, |place| place.reference, None)?;
    let current = counting.count(files.1, |place| place.current, args.window)?;
    let policy = PerformancePolicy { min_samples: args.min_samples, ..PerformancePolicy::default() };
    let rows = current.into_iter().map(|(part, (rows, counts))| {
        let normal = reference.get(&Part { window: None, segment: part.segment.clone() }).map(|(_, counts)| counts);
        let coverage = if rows == 0 { 0.0 } else { counts.outcomes as f64 / rows as f64 };
        // A file is all there is: no more labels will come.
        let maturity = Maturity { coverage, is_final: true };
        (part, performance::judge(&policy, normal, &counts, maturity))
    });
    Ok(rows.collect())
}

struct Counting<'a> {
    args: &'a CompareArgs,
    layout: &'a Layout,
    columns: &'a PerformanceColumns,
    score: Option<&'a NumericAnchors>,
}

impl Counting<'_> {
    /// Rows and counts by part.
    fn count(
        &self,
        file: &DataFile,
        index: impl Fn(&InBoth) -> usize,
        size: Option<WindowSize>,
    ) -> Result<BTreeMap<Part, (u64, BinaryCounts)>, FileError> {
        let mut wanted: Vec<usize> = vec![index(&self.columns.target)];
        wanted.extend(self.columns.prediction.iter().chain(&self.columns.score).map(&index));
        wanted.extend(self.layout.segments.iter().map(&index));
        let layout = Layout { time: size.and(self.layout.time), ..self.layout.clone() };
        wanted.extend(layout.time);
        let mut counted: BTreeMap<Part, (u64, BinaryCounts)> = BTreeMap::new();
        let mut rows = 0_u64;
        for batch in batches(file, &wanted)? {
            let batch = batch?;
            let parts = parts_of(file, &batch, &layout, size, rows)?;
            let judged = self.rows(&batch).map_err(|(error, name)| error.within(file.name(), &name, rows + 1))?;
            for (part, selected) in parts {
                let (rows, counts) = counted.entry(part).or_default();
                *rows += selected.len() as u64;
                selected.iter().filter_map(|row| judged[*row]).for_each(|judged| counts.add(judged));
            }
            rows += batch.num_rows() as u64;
        }
        Ok(counted)
    }

    /// What each row says; none where the true label is missing.
    fn rows(&self, batch: &RecordBatch) -> Result<Vec<Option<Judged>>, (ColumnError, String)> {
        let Some(targets) = text(batch, Some(&self.columns.target))? else { return Ok(vec![None; batch.num_rows()]) };
        let labels = text(batch, self.columns.prediction.as_ref())?;
        let scores = numbers(batch, self.columns.score.as_ref())?;
        let is_positive = |label: &str| label == self.args.positive;
        let rows = (0..batch.num_rows()).map(|row| {
            let actual = targets.is_valid(row).then(|| is_positive(targets.value(row)))?;
            let predicted =
                labels.as_ref().filter(|labels| labels.is_valid(row)).map(|labels| is_positive(labels.value(row)));
            let score = scores.as_ref().filter(|scores| scores.is_valid(row)).map(|scores| scores.value(row));
            let score_bin =
                score.filter(|score| score.is_finite()).zip(self.score).map(|(score, bins)| bins.bin(score));
            Some(Judged { predicted, actual, score_bin })
        });
        Ok(rows.collect())
    }
}

fn text(batch: &RecordBatch, place: Option<&InBoth>) -> Result<Option<StringArray>, (ColumnError, String)> {
    let column = place.and_then(|place| Some((column_named(batch, &place.name)?, &place.name)));
    column.map(|(column, name)| as_text(column).map_err(|error| (error, name.clone()))).transpose()
}

fn numbers(batch: &RecordBatch, place: Option<&InBoth>) -> Result<Option<Float64Array>, (ColumnError, String)> {
    let column = place.and_then(|place| Some((column_named(batch, &place.name)?, &place.name)));
    column.map(|(column, name)| as_numeric(column).map_err(|error| (error, name.clone()))).transpose()
}

/// The score's bins are those in which its drift is counted.
fn score_anchors<'a>(columns: &PerformanceColumns, side: &'a ReferenceSide) -> Option<&'a NumericAnchors> {
    let name = &columns.score.as_ref()?.name;
    match &side.anchors.columns.iter().find(|column| column.name == *name)?.values {
        ValueAnchors::Numeric(anchors) => Some(anchors),
        ValueAnchors::Categorical(_) => None,
    }
}
