//! When the rows of the current file began to change: sequential detectors over them, in the order of their time.

use anyhow::bail;
use arrow::array::{Array, Int64Array};
use arrow::record_batch::RecordBatch;
use serde::Serialize;

use super::args::CompareArgs;
use super::layout::{InBoth, Layout};
use super::performance::{numbers, text};
use super::read::{batches, column_named};
use crate::clock::Timestamp;
use crate::codec::files::column::as_time;
use crate::codec::files::{ColumnError, DataFile, FileError};
use crate::detector::{Baseline, DetectorKind, DetectorSettings, InputDomain, PanePoint, over_series};
use crate::model::{FeatureKind, Task};

/// Probabilities count as at least this, as in scikit-learn's log loss.
const LEAST_PROBABILITY: f64 = f64::EPSILON;

/// A warning or a drift.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct FoundAt {
    pub(super) series: String,
    pub(super) detector: DetectorKind,
    pub(super) signal: &'static str,
    /// Counted from 1, in the order of the file.
    pub(super) row: usize,
    pub(super) time: Option<Timestamp>,
}

/// What a detector reads of each row.
#[derive(Clone, Debug)]
enum Series<'a> {
    /// 1 for a wrong label and 0 for a right one; of a regression the absolute error.
    Error,
    /// Log loss of the score.
    Loss,
    Feature(&'a InBoth),
}

/// Values of one file with the numbers of their rows, of which those that are missing or not finite are left out.
#[derive(Default)]
struct Rows {
    values: Vec<f64>,
    numbers: Vec<u32>,
    times: Vec<i64>,
}

/// Runs each of `--detector` over the current file. Detectors of errors read the values themselves; the others read how many
/// standard deviations they are from the mean of the reference's, so that their settings mean the same in any unit.
pub(super) fn detect(
    args: &CompareArgs,
    layout: &Layout,
    reference: &DataFile,
    current: &DataFile,
) -> anyhow::Result<Vec<FoundAt>> {
    let mut found = Vec::new();
    for (name, kind) in &args.detector {
        let series = resolve(args, layout, name, *kind)?;
        let reader = Reader { args, layout, series };
        let baseline = if kind.domain() == InputDomain::Real {
            baseline(&reader.read(reference, |place| place.reference, false)?.values)
        } else {
            None
        };
        let rows = reader.read(current, |place| place.current, layout.time.is_some())?.in_order();
        let panes: Vec<PanePoint> = (0_i64..)
            .zip(&rows.values)
            .map(|(place, value)| PanePoint { start: Timestamp::from_millis(place), mean: *value, count: 1 })
            .collect();
        for detection in over_series(&DetectorSettings::from(*kind), baseline.as_ref(), &panes)? {
            found.push(FoundAt {
                series: name.clone(),
                detector: *kind,
                signal: detection.signal.name(),
                row: rows.numbers[detection.pane] as usize + 1,
                time: rows.times.get(detection.pane).map(|time| Timestamp::from_millis(*time)),
            });
        }
    }
    Ok(found)
}

fn resolve<'a>(args: &CompareArgs, layout: &'a Layout, name: &str, kind: DetectorKind) -> anyhow::Result<Series<'a>> {
    let task = Task::from(args.task);
    let needs_errors = kind.domain() != InputDomain::Real;
    let series = match name {
        "error" if args.prediction.is_none() || args.target.is_none() => {
            bail!("--detector error={kind} needs --prediction and --target")
        }
        "error" => Series::Error,
        "loss" if task != Task::Binary || args.score.is_none() || args.target.is_none() => {
            bail!("--detector loss={kind} needs the --score and the --target of a binary model")
        }
        "loss" => Series::Loss,
        column => {
            let found = layout.compared.iter().find(|compared| compared.place.name == column);
            match found {
                Some(compared) if compared.kind == FeatureKind::Numeric => Series::Feature(&compared.place),
                Some(_) => bail!("--detector {column}={kind}: '{column}' has no numbers"),
                None => bail!("--detector {column}={kind}: write error, loss or a numeric column of both files"),
            }
        }
    };
    if needs_errors && (task == Task::Regression || !matches!(series, Series::Error)) {
        bail!("--detector {name}={kind}: {kind} reads wrong labels only: write error={kind}, or another detector");
    }
    Ok(series)
}

struct Reader<'a> {
    args: &'a CompareArgs,
    layout: &'a Layout,
    series: Series<'a>,
}

impl Reader<'_> {
    fn read(&self, file: &DataFile, index: impl Fn(&InBoth) -> usize, with_time: bool) -> Result<Rows, FileError> {
        let mut wanted: Vec<usize> = self.places().into_iter().map(index).collect();
        wanted.extend(self.layout.time.filter(|_| with_time));
        let mut found = Rows::default();
        let mut before = 0_u64;
        for batch in batches(file, &wanted)? {
            let batch = batch?;
            let within = |(error, name): (ColumnError, String)| error.within(file.name(), &name, before + 1);
            let values = self.values(&batch).map_err(within)?;
            let times = if with_time { self.times(&batch).map_err(within)? } else { None };
            for (row, value) in values.into_iter().enumerate() {
                let Some(value) = value.filter(|value| value.is_finite()) else { continue };
                // A row without a time has no place.
                if let Some(times) = &times {
                    if times.is_null(row) {
                        continue;
                    }
                    found.times.push(times.value(row));
                }
                found.values.push(value);
                found.numbers.push(u32::try_from(before + row as u64).unwrap_or(u32::MAX));
            }
            before += batch.num_rows() as u64;
        }
        Ok(found)
    }

    fn places(&self) -> Vec<&InBoth> {
        match (&self.series, &self.layout.performance) {
            (Series::Feature(place), _) => vec![place],
            (Series::Error, Some(columns)) => columns.prediction.iter().chain([&columns.target]).collect(),
            (Series::Loss, Some(columns)) => columns.score.iter().chain([&columns.target]).collect(),
            (_, None) => Vec::new(),
        }
    }

    fn times(&self, batch: &RecordBatch) -> Result<Option<Int64Array>, (ColumnError, String)> {
        let Some(name) = &self.args.time else { return Ok(None) };
        let column = column_named(batch, name);
        column.map(|column| as_time(column).map_err(|error| (error, name.clone()))).transpose()
    }

    fn values(&self, batch: &RecordBatch) -> Result<Vec<Option<f64>>, (ColumnError, String)> {
        let rows = batch.num_rows();
        let all = |numbers: Option<arrow::array::Float64Array>| match numbers {
            Some(numbers) => numbers.iter().collect(),
            None => vec![None; rows],
        };
        let columns = self.layout.performance.as_ref();
        let (prediction, score) = (
            columns.and_then(|columns| columns.prediction.as_ref()),
            columns.and_then(|columns| columns.score.as_ref()),
        );
        let target = columns.map(|columns| &columns.target);
        let is_regression = Task::from(self.args.task) == Task::Regression;
        Ok(match &self.series {
            Series::Feature(place) => all(numbers(batch, Some(place))?),
            Series::Error if is_regression => {
                let (predicted, actual) = (all(numbers(batch, prediction)?), all(numbers(batch, target)?));
                predicted
                    .into_iter()
                    .zip(actual)
                    .map(|(predicted, actual)| Some((predicted? - actual?).abs()))
                    .collect()
            }
            Series::Error => {
                let (Some(predicted), Some(actual)) = (text(batch, prediction)?, text(batch, target)?) else {
                    return Ok(vec![None; rows]);
                };
                let wrong = predicted.iter().zip(&actual);
                wrong.map(|(predicted, actual)| Some(f64::from(u8::from(predicted? != actual?)))).collect()
            }
            Series::Loss => {
                let (scores, Some(actual)) = (all(numbers(batch, score)?), text(batch, target)?) else {
                    return Ok(vec![None; rows]);
                };
                let loss = |score: f64, actual: &str| {
                    let probability = if actual == self.args.positive { score } else { 1.0 - score };
                    (0.0..=1.0).contains(&score).then(|| -probability.max(LEAST_PROBABILITY).ln())
                };
                scores.into_iter().zip(&actual).map(|(score, actual)| loss(score?, actual?)).collect()
            }
        })
    }
}

impl Rows {
    /// By time, and where times are equal or there are none in the order of the file.
    fn in_order(self) -> Self {
        if self.times.is_empty() || self.times.is_sorted() {
            return self;
        }
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_by_key(|place| self.times[*place]);
        Self {
            values: order.iter().map(|place| self.values[*place]).collect(),
            numbers: order.iter().map(|place| self.numbers[*place]).collect(),
            times: order.iter().map(|place| self.times[*place]).collect(),
        }
    }
}

/// Mean and deviation of the reference's rows.
fn baseline(values: &[f64]) -> Option<Baseline> {
    let n = values.len() as f64;
    let mean = values.iter().map(|value| value / n).sum::<f64>();
    let variance = values.iter().map(|value| (value - mean).powi(2) / n).sum::<f64>();
    Baseline::new(mean, variance.sqrt(), values.len() as u64)
}
