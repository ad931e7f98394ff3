//! How good the predictions of both files are, where the true labels stand beside them.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array, StringArray};
use arrow::record_batch::RecordBatch;

use super::args::CompareArgs;
use super::expected::{Expecting, Predictions};
use super::layout::{InBoth, Layout, PerformanceColumns};
use super::read::{Part, ReferenceSide, batches, column_named, parts_of};
use crate::codec::files::column::{as_numeric, as_text};
use crate::codec::files::{ColumnError, DataFile, FileError};
use crate::event::{CalibrationRow, ConfusionRow, PerformanceRow};
use crate::model::{PerformancePolicy, Task, WindowSize};
use crate::performance::{
    self, Classes, EstimatorBins, EstimatorFit, Joined, Maturity, Measured, OutcomeAnchors, OutcomeCounts,
    OutcomeScale, complete_probabilities,
};
use crate::profile::{NumericAnchors, OutcomeFrame, ValueAnchors};
use crate::window::{calibration_rows, confusion_rows, negative_label};

/// What the outcomes of one part say.
#[derive(Debug, Default)]
pub(super) struct PartPerformance {
    pub(super) metrics: Vec<PerformanceRow>,
    pub(super) confusion: Vec<ConfusionRow>,
    pub(super) calibration: Vec<CalibrationRow>,
}

/// Every metric of each part of the current file beside the reference.
pub(super) fn judge(
    args: &CompareArgs,
    layout: &Layout,
    files: (&DataFile, &DataFile),
    side: &ReferenceSide,
) -> Result<BTreeMap<Part, PartPerformance>, FileError> {
    let Some(columns) = &layout.performance else { return Ok(BTreeMap::new()) };
    let task = Task::from(args.task);
    let frame = frame(task, columns, files.0)?;
    let anchors = match &frame {
        OutcomeFrame::Binary => {
            OutcomeAnchors::Binary { positive: &args.positive, scores: number_anchors(columns.score.as_ref(), side) }
        }
        OutcomeFrame::Multiclass(classes) => OutcomeAnchors::Multiclass(classes),
        OutcomeFrame::Regression(scale) => OutcomeAnchors::Regression(scale),
    };
    let scores = match &frame {
        OutcomeFrame::Multiclass(classes) => {
            let of_class =
                |class: &String| columns.scores.iter().find(|(name, _)| name == class).map(|(_, place)| place);
            classes.names().iter().map(of_class).collect()
        }
        OutcomeFrame::Binary | OutcomeFrame::Regression(_) => Vec::new(),
    };
    let bins = match anchors {
        OutcomeAnchors::Binary { positive, scores } => scores.map(|scores| EstimatorBins::Binary { scores, positive }),
        OutcomeAnchors::Regression(_) => {
            number_anchors(columns.prediction.as_ref(), side).map(EstimatorBins::Regression)
        }
        OutcomeAnchors::Multiclass(classes) => Some(EstimatorBins::Multiclass(classes)),
    };
    let counting = Counting { task, layout, columns, anchors, scores };
    let mut fit = bins.map(EstimatorFit::new);
    let reference = counting.count(files.0, |place| place.reference, None, &mut Estimating::Learn(fit.as_mut()))?;
    let learnt = fit.and_then(EstimatorFit::finish);
    let expecting = bins.zip(learnt).map(|(bins, (estimator, calibration))| Expecting { bins, estimator, calibration });
    let mut estimating = Estimating::Expect(expecting.as_ref());
    let current = counting.count(files.1, |place| place.current, args.window, &mut estimating)?;
    let policy = PerformancePolicy { min_samples: args.min_samples, ..PerformancePolicy::of(task) };
    let negative = negative(args, columns, side);
    let rows = current.into_iter().map(|(part, Tally { rows, outcomes, predictions })| {
        let normal = reference.get(&Part { window: None, segment: part.segment.clone() }).map(|tally| &tally.outcomes);
        let coverage = if rows == 0 { 0.0 } else { outcomes.outcomes() as f64 / rows as f64 };
        // A file is all there is: no more labels will come.
        let maturity = Maturity { coverage, is_final: true };
        let estimates = expecting.as_ref().map_or_else(Vec::new, |expecting| expecting.estimates(&predictions));
        let measured = Measured { task, anchors, reference: normal, current: &outcomes, estimates: &estimates };
        let found = PartPerformance {
            metrics: performance::judge(&policy, measured, maturity),
            confusion: confusion_rows(anchors, &negative, normal, &outcomes),
            calibration: calibration_rows(anchors, normal, &outcomes),
        };
        (part, found)
    });
    Ok(rows.collect())
}

/// Classes and scales are those of the reference's targets.
fn frame(task: Task, columns: &PerformanceColumns, file: &DataFile) -> Result<OutcomeFrame, FileError> {
    if task == Task::Binary {
        return Ok(OutcomeFrame::Binary);
    }
    let mut classes: BTreeMap<String, u64> = BTreeMap::new();
    let mut numbers: Vec<f64> = Vec::new();
    let mut rows = 0_u64;
    for batch in batches(file, &[columns.target.reference])? {
        let batch = batch?;
        let within = |(error, name): (ColumnError, String)| error.within(file.name(), &name, rows + 1);
        if task == Task::Regression {
            let values = self::numbers(&batch, Some(&columns.target)).map_err(within)?;
            numbers.extend(values.iter().flatten().flatten());
        } else {
            for label in text(&batch, Some(&columns.target)).map_err(within)?.iter().flatten().flatten() {
                *classes.entry(label.to_owned()).or_default() += 1;
            }
        }
        rows += batch.num_rows() as u64;
    }
    if task == Task::Multiclass {
        // A class that has a probability is one although it may never have come.
        for (class, _) in &columns.scores {
            classes.entry(class.clone()).or_default();
        }
        return Ok(OutcomeFrame::Multiclass(Classes::fit_counts(classes.iter().map(|(name, n)| (name.as_str(), *n)))));
    }
    let anchors = NumericAnchors::fit(numbers);
    Ok(OutcomeFrame::Regression(OutcomeScale::new(anchors.centre(), anchors.scale())))
}

struct Counting<'a> {
    task: Task,
    layout: &'a Layout,
    columns: &'a PerformanceColumns,
    anchors: OutcomeAnchors<'a>,
    /// The columns with the probabilities of the classes, in their order.
    scores: Vec<Option<&'a InBoth>>,
}

/// What is counted of one part.
struct Tally {
    rows: u64,
    outcomes: OutcomeCounts,
    predictions: Predictions,
}

/// What the rows of a file are good for, beside their counts.
enum Estimating<'a, 'p> {
    Learn(Option<&'a mut EstimatorFit<'p>>),
    Expect(Option<&'a Expecting<'p>>),
}

impl Counting<'_> {
    /// Counts by part.
    fn count(
        &self,
        file: &DataFile,
        index: impl Fn(&InBoth) -> usize,
        size: Option<WindowSize>,
        estimating: &mut Estimating<'_, '_>,
    ) -> Result<BTreeMap<Part, Tally>, FileError> {
        let mut wanted: Vec<usize> = vec![index(&self.columns.target)];
        wanted.extend(self.columns.prediction.iter().chain(&self.columns.score).map(&index));
        wanted.extend(self.scores.iter().flatten().map(|place| index(place)));
        wanted.extend(self.layout.segments.iter().map(&index));
        let layout = Layout { time: size.and(self.layout.time), ..self.layout.clone() };
        wanted.extend(layout.time);
        let mut counted: BTreeMap<Part, Tally> = BTreeMap::new();
        let mut rows = 0_u64;
        for batch in batches(file, &wanted)? {
            let batch = batch?;
            let parts = parts_of(file, &batch, &layout, size, rows)?;
            let columns =
                Columns::read(self, &batch).map_err(|(error, name)| error.within(file.name(), &name, rows + 1))?;
            for (part, selected) in parts {
                let is_whole = part == Part::default();
                let Tally { rows, outcomes, predictions } = counted.entry(part).or_insert_with(|| Tally {
                    rows: 0,
                    outcomes: OutcomeCounts::empty(self.anchors),
                    predictions: Predictions::default(),
                });
                *rows += selected.len() as u64;
                for &row in &selected {
                    let probabilities = columns.probabilities(row);
                    if let Estimating::Expect(Some(expecting)) = estimating {
                        expecting.count(predictions, columns.label(row), columns.score(row), &probabilities);
                    }
                    let Some(joined) = columns.joined(row, &probabilities) else { continue };
                    outcomes.add(self.anchors, joined);
                    if let Estimating::Learn(Some(fit)) = estimating
                        && is_whole
                    {
                        fit.add(joined);
                    }
                }
            }
            rows += batch.num_rows() as u64;
        }
        Ok(counted)
    }
}

/// What the rows of a batch say.
struct Columns {
    targets: Option<StringArray>,
    labels: Option<StringArray>,
    scores: Option<Float64Array>,
    by_class: Vec<Option<Float64Array>>,
}

impl Columns {
    fn read(counting: &Counting<'_>, batch: &RecordBatch) -> Result<Self, (ColumnError, String)> {
        let PerformanceColumns { prediction, score, target, .. } = counting.columns;
        let is_regression = counting.task == Task::Regression;
        let values = if is_regression { prediction } else { score };
        Ok(Self {
            targets: text(batch, Some(target))?,
            labels: if is_regression { None } else { text(batch, prediction.as_ref())? },
            scores: numbers(batch, values.as_ref())?,
            by_class: counting.scores.iter().map(|place| numbers(batch, *place)).collect::<Result<_, _>>()?,
        })
    }

    /// Of every class; empty where there are none.
    fn probabilities(&self, row: usize) -> Vec<f64> {
        let value = |column: &Option<Float64Array>| {
            let column = column.as_ref().filter(|column| column.is_valid(row))?;
            Some(column.value(row))
        };
        complete_probabilities(self.by_class.iter().map(value))
    }

    fn label(&self, row: usize) -> Option<&str> {
        self.labels.as_ref().filter(|labels| labels.is_valid(row)).map(|labels| labels.value(row))
    }

    fn score(&self, row: usize) -> Option<f64> {
        self.scores.as_ref().filter(|scores| scores.is_valid(row)).map(|scores| scores.value(row))
    }

    /// None where the true label is missing.
    fn joined<'a>(&'a self, row: usize, probabilities: &'a [f64]) -> Option<Joined<'a>> {
        let actual = self.targets.as_ref().filter(|targets| targets.is_valid(row))?.value(row);
        Some(Joined { label: self.label(row), score: self.score(row), probabilities, actual })
    }
}

pub(super) fn text(batch: &RecordBatch, place: Option<&InBoth>) -> Result<Option<StringArray>, (ColumnError, String)> {
    let column = place.and_then(|place| Some((column_named(batch, &place.name)?, &place.name)));
    column.map(|(column, name)| as_text(column).map_err(|error| (error, name.clone()))).transpose()
}

pub(super) fn numbers(
    batch: &RecordBatch,
    place: Option<&InBoth>,
) -> Result<Option<Float64Array>, (ColumnError, String)> {
    let column = place.and_then(|place| Some((column_named(batch, &place.name)?, &place.name)));
    column.map(|(column, name)| as_numeric(column).map_err(|error| (error, name.clone()))).transpose()
}

/// What the other label of a binary model is called.
fn negative(args: &CompareArgs, columns: &PerformanceColumns, side: &ReferenceSide) -> String {
    let labels = columns.prediction.as_ref().unwrap_or(&columns.target);
    let column = side.anchors.columns.iter().find(|column| column.name == labels.name);
    negative_label(column.map(|column| &column.values), &args.positive)
}

/// The bins are those in which the column's drift is counted.
fn number_anchors<'a>(column: Option<&InBoth>, side: &'a ReferenceSide) -> Option<&'a NumericAnchors> {
    let name = &column?.name;
    match &side.anchors.columns.iter().find(|column| column.name == *name)?.values {
        ValueAnchors::Numeric(anchors) => Some(anchors),
        ValueAnchors::Categorical(_) => None,
    }
}
