//! The reference: a model's anchors and what was normal.

use std::collections::BTreeMap;

use arrow::array::{Array, BooleanArray, Float64Array, StringArray};
use serde::{Deserialize, Serialize};

use super::anchors::{Anchors, CategoryAnchors, ColumnAnchors, NumericAnchors, ValueAnchors};
use super::counting::{Counting, class_anchors};
use super::projection::Projection;
use super::rows::{Rows, Values};
use super::{ATTRIBUTION_PREFIX, CLASS_SCORE_PREFIX, LABEL_COLUMN, Profile, SCORE_COLUMN};
use crate::clock::Timestamp;
use crate::model::{FeatureKind, FeatureSpec, Model, Task};
use crate::performance::{Classes, Estimator, OutcomeAnchors, OutcomeCounts, OutcomeScale};

/// What windows are compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    pub model: String,
    pub rows: u64,
    /// Event times of the first and last row, when they have times.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Taken from the stream, so that outcomes of its rows may still come.
    pub from_stream: bool,
    pub anchors: Anchors,
    pub frame: OutcomeFrame,
    /// None without outcomes and scores.
    pub estimator: Option<Estimator>,
    pub whole: ReferencePopulation,
    /// By `feature=value`.
    pub segments: BTreeMap<String, ReferencePopulation>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferencePopulation {
    pub profile: Profile,
    /// None when the reference has no outcomes.
    pub outcomes: Option<OutcomeCounts>,
}

/// What outcomes are counted by, beside the bins of the score.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum OutcomeFrame {
    #[default]
    Binary,
    Multiclass(Classes),
    Regression(OutcomeScale),
}

/// Collects a reference data set, column by column, and fits its anchors at the end.
#[derive(Debug)]
pub struct ReferenceBuilder {
    model: String,
    task: Task,
    positive: String,
    segments: Vec<String>,
    specs: BTreeMap<String, FeatureSpec>,
    columns: Vec<(String, Column)>,
    outcomes: Vec<Option<String>>,
    times: Option<(Timestamp, Timestamp)>,
    from_stream: bool,
    max_segments: usize,
    reconstruction: Option<bool>,
    rows: usize,
}

#[derive(Debug)]
enum Column {
    Numeric(Vec<Option<f64>>),
    Categorical(Vec<Option<String>>),
}

impl Reference {
    /// The reference of a segment, or of everybody.
    #[must_use]
    pub fn population(&self, segment: Option<&str>) -> Option<&ReferencePopulation> {
        match segment {
            None => Some(&self.whole),
            Some(segment) => self.segments.get(segment),
        }
    }

    /// What the outcomes of `model` are counted by.
    #[must_use]
    pub fn outcome_anchors<'a>(&'a self, model: &'a Model) -> OutcomeAnchors<'a> {
        match &self.frame {
            OutcomeFrame::Binary => OutcomeAnchors::Binary { positive: &model.positive, scores: self.score_anchors() },
            OutcomeFrame::Multiclass(classes) => OutcomeAnchors::Multiclass(classes),
            OutcomeFrame::Regression(scale) => OutcomeAnchors::Regression(scale),
        }
    }

    /// The anchors of the predicted score.
    #[must_use]
    pub fn score_anchors(&self) -> Option<&NumericAnchors> {
        let column = self.anchors.columns.iter().find(|column| column.name == SCORE_COLUMN)?;
        match &column.values {
            ValueAnchors::Numeric(anchors) => Some(anchors),
            ValueAnchors::Categorical(_) => None,
        }
    }

    /// Features and their kinds, without the prediction's columns.
    pub fn features(&self) -> impl Iterator<Item = (&str, FeatureKind)> {
        let is_feature = |name: &str| name != LABEL_COLUMN && name != SCORE_COLUMN;
        self.anchors
            .columns
            .iter()
            .filter(move |column| is_feature(&column.name))
            .map(|column| (column.name.as_str(), column.values.kind()))
    }
}

impl Reference {
    /// The columns that are read of an event: its features, then the probabilities of the classes and the attributions.
    pub fn event_columns(&self) -> impl Iterator<Item = (String, FeatureKind)> {
        let scores = self.classes().iter().map(|class| format!("{CLASS_SCORE_PREFIX}{class}"));
        let attributions = self.anchors.attributions.iter().map(|name| format!("{ATTRIBUTION_PREFIX}{name}"));
        let features = self.features().map(|(name, kind)| (name.to_owned(), kind));
        features.chain(scores.chain(attributions).map(|name| (name, FeatureKind::Numeric)))
    }

    /// The classes of a multiclass model.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        match &self.frame {
            OutcomeFrame::Multiclass(classes) => classes.names(),
            OutcomeFrame::Binary | OutcomeFrame::Regression(_) => &[],
        }
    }
}

impl ReferenceBuilder {
    /// `features` may hold columns of class probabilities and attributions, by their prefixes.
    #[must_use]
    pub fn new(model: &str, positive: &str, segments: &[String], features: &[(String, FeatureKind)]) -> Self {
        let prediction =
            [(LABEL_COLUMN.to_owned(), FeatureKind::Categorical), (SCORE_COLUMN.to_owned(), FeatureKind::Numeric)];
        let columns = features
            .iter()
            .cloned()
            .chain(prediction)
            .map(|(name, kind)| match kind {
                FeatureKind::Numeric => (name, Column::Numeric(Vec::new())),
                FeatureKind::Categorical => (name, Column::Categorical(Vec::new())),
            })
            .collect();
        Self {
            model: model.to_owned(),
            task: Task::Binary,
            positive: positive.to_owned(),
            segments: segments.to_vec(),
            specs: BTreeMap::new(),
            columns,
            outcomes: Vec::new(),
            times: None,
            from_stream: false,
            max_segments: usize::MAX,
            reconstruction: None,
            rows: 0,
        }
    }

    /// Leaves segment features with more values than this unsplit.
    #[must_use]
    pub fn max_segments(mut self, max: usize) -> Self {
        self.max_segments = max;
        self
    }

    /// Whether rows are reconstructed from principal components: yes, no, or where that is cheap.
    #[must_use]
    pub fn reconstruction(mut self, wanted: Option<bool>) -> Self {
        self.reconstruction = wanted;
        self
    }

    /// The model's task, which is binary unless this says otherwise.
    #[must_use]
    pub fn task(mut self, task: Task) -> Self {
        self.task = task;
        self
    }

    /// What the configuration says of the features.
    #[must_use]
    pub fn specs(mut self, specs: &BTreeMap<String, FeatureSpec>) -> Self {
        self.specs.clone_from(specs);
        self
    }

    /// Says that the rows are those of the stream itself.
    #[must_use]
    pub fn from_stream(mut self) -> Self {
        self.from_stream = true;
        self
    }

    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Adds `count` rows; `values` stand in the order of the features, then label and score.
    pub fn add(&mut self, count: usize, values: &[Values<'_>], outcomes: Option<&StringArray>, times: &[Timestamp]) {
        for (index, (_, column)) in self.columns.iter_mut().enumerate() {
            let values = values.get(index).unwrap_or(&Values::Absent);
            for row in 0..count {
                match (&mut *column, values) {
                    (Column::Numeric(rows), Values::Numeric(array)) => rows.push(array.get(row)),
                    (Column::Categorical(rows), Values::Categorical(array)) => {
                        rows.push(array.get(row).map(str::to_owned));
                    }
                    (Column::Numeric(rows), _) => rows.push(None),
                    (Column::Categorical(rows), _) => rows.push(None),
                }
            }
        }
        for row in 0..count {
            let outcome = outcomes.filter(|array| array.is_valid(row)).map(|array| array.value(row).to_owned());
            self.outcomes.push(outcome);
        }
        for &time in times {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
        self.rows += count;
    }

    /// Counts every row in the anchors of another reference of the model, so that the two can be compared: columns and
    /// segments that it does not have are left out.
    #[must_use]
    pub fn build_over(mut self, base: &Reference) -> Reference {
        let beside = self.split_beside();
        let arrays: BTreeMap<&str, ColumnArray> =
            self.columns.iter().map(|(name, column)| (name.as_str(), column.to_array())).collect();
        let values = |column: &ColumnAnchors| match (arrays.get(column.name.as_str()), &column.values) {
            (Some(ColumnArray::Numeric(array)), ValueAnchors::Numeric(_)) => Values::numeric(array),
            (Some(ColumnArray::Categorical(array)), ValueAnchors::Categorical(_)) => Values::categorical(array),
            _ => Values::Absent,
        };
        let anchors = &base.anchors;
        let beside = Beside::new(&beside);
        let rows = Rows::new(anchors.columns.iter().map(values).collect(), None, None::<&BooleanArray>)
            .with_scores(beside.scores(&base.frame))
            .with_attributions(beside.attributions(&anchors.attributions));
        let (positive, outcomes) = (self.positive.as_str(), self.outcomes.as_slice());
        let counting = Counting { anchors, frame: &base.frame, positive, rows: &rows, outcomes };
        let everybody: Vec<usize> = (0..self.rows).collect();
        let whole = counting.population(&everybody);
        let by_segment = self.rows_by_segment().into_iter();
        let known = by_segment.filter(|(segment, _)| base.segments.contains_key(segment));
        let segments = known.map(|(segment, selected)| (segment, counting.population(&selected))).collect();
        let estimator = counting.estimator();
        Reference {
            estimator,
            rows: self.rows as u64,
            times: self.times,
            from_stream: self.from_stream,
            model: self.model,
            anchors: anchors.clone(),
            frame: base.frame.clone(),
            whole,
            segments,
        }
    }

    /// Takes out the columns that are no features; what remains has anchors.
    fn split_beside(&mut self) -> Vec<(String, Column)> {
        if self.task == Task::Regression {
            // It predicts values, which are in the score's column.
            self.columns.retain(|(name, _)| name != LABEL_COLUMN);
        }
        let (beside, columns): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.columns).into_iter().partition(|(name, _)| is_beside(name));
        self.columns = columns;
        beside
    }

    /// Fits the anchors and counts every row in them.
    #[must_use]
    pub fn build(mut self, epoch: u32) -> Reference {
        let beside = self.split_beside();
        let frame = self.frame(&beside);
        let mut anchors = Anchors {
            epoch,
            columns: self
                .columns
                .iter()
                .map(|(name, column)| {
                    let allowed = self.specs.get(name).map_or(&[][..], |spec| &spec.values);
                    ColumnAnchors { name: name.clone(), values: column.fit(allowed) }
                })
                .collect(),
            positive: (self.task == Task::Binary).then(|| self.positive.clone()),
            projection: None,
            classes: None,
            attributions: attributed(&beside),
        };
        anchors.set_limits(&self.specs);
        let arrays: Vec<ColumnArray> = self.columns.iter().map(|(_, column)| column.to_array()).collect();
        let beside = Beside::new(&beside);
        let rows = Rows::new(arrays.iter().map(ColumnArray::values).collect(), None, None::<&BooleanArray>)
            .with_scores(beside.scores(&frame))
            .with_attributions(beside.attributions(&anchors.attributions));
        if let OutcomeFrame::Multiclass(classes) = &frame {
            anchors.classes = class_anchors(classes, &rows, &self.outcomes);
        }
        anchors.projection = Projection::fit(&anchors.columns, &rows, self.rows, self.reconstruction);
        let (positive, outcomes) = (self.positive.as_str(), self.outcomes.as_slice());
        let counting = Counting { anchors: &anchors, frame: &frame, positive, rows: &rows, outcomes };
        let everybody: Vec<usize> = (0..self.rows).collect();
        let whole = counting.population(&everybody);
        let by_segment = self.rows_by_segment().into_iter();
        let segments = by_segment.map(|(segment, selected)| (segment, counting.population(&selected))).collect();
        let estimator = counting.estimator();
        Reference {
            estimator,
            rows: self.rows as u64,
            times: self.times,
            from_stream: self.from_stream,
            model: self.model,
            anchors,
            frame,
            whole,
            segments,
        }
    }

    /// Classes and scales are those of the outcomes, or of the predictions where there are none yet.
    fn frame(&self, beside: &[(String, Column)]) -> OutcomeFrame {
        let labels = || match self.columns.iter().find(|(name, _)| name == LABEL_COLUMN) {
            Some((_, Column::Categorical(labels))) => labels.as_slice(),
            _ => &[],
        };
        match self.task {
            Task::Binary => OutcomeFrame::Binary,
            Task::Multiclass => {
                let names = self.outcomes.iter().chain(labels()).flatten().map(String::as_str);
                // A class that has a probability is one although it may never have come.
                let scored = beside.iter().filter_map(|(name, _)| name.strip_prefix(CLASS_SCORE_PREFIX));
                OutcomeFrame::Multiclass(Classes::fit(names.chain(scored)))
            }
            Task::Regression => {
                let numbers = self.outcomes.iter().flatten().filter_map(|text| text.trim().parse::<f64>().ok());
                let outcomes = NumericAnchors::fit(numbers);
                let predictions = self.columns.iter().find(|(name, _)| name == SCORE_COLUMN);
                let (centre, scale) = match (outcomes.range(), predictions) {
                    (None, Some((_, Column::Numeric(rows)))) => {
                        let predictions = NumericAnchors::fit(rows.iter().copied().flatten());
                        (predictions.centre(), predictions.scale())
                    }
                    _ => (outcomes.centre(), outcomes.scale()),
                };
                OutcomeFrame::Regression(OutcomeScale::new(centre, scale))
            }
        }
    }

    fn rows_by_segment(&self) -> BTreeMap<String, Vec<usize>> {
        let mut segments: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for feature in &self.segments {
            let Some((_, Column::Categorical(values))) = self.columns.iter().find(|(name, _)| name == feature) else {
                continue;
            };
            let mut of_feature: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (row, value) in values.iter().enumerate() {
                if let Some(value) = value {
                    of_feature.entry(format!("{feature}={value}")).or_default().push(row);
                }
            }
            if of_feature.len() <= self.max_segments {
                segments.append(&mut of_feature);
            }
        }
        segments
    }
}

/// A collected column as Arrow, so that references and windows are counted by the same code.
enum ColumnArray {
    Numeric(Float64Array),
    Categorical(StringArray),
}

impl ColumnArray {
    const fn values(&self) -> Values<'_> {
        match self {
            Self::Numeric(array) => Values::numeric(array),
            Self::Categorical(array) => Values::categorical(array),
        }
    }
}

impl Column {
    /// Categories that the configuration allows have a bin although the reference may not hold them.
    fn fit(&self, allowed: &[String]) -> ValueAnchors {
        match self {
            Self::Numeric(rows) => ValueAnchors::Numeric(NumericAnchors::fit(rows.iter().copied().flatten())),
            Self::Categorical(rows) => {
                let values = rows.iter().filter_map(Option::as_deref);
                ValueAnchors::Categorical(CategoryAnchors::fit(values.chain(allowed.iter().map(String::as_str))))
            }
        }
    }

    fn to_array(&self) -> ColumnArray {
        match self {
            Self::Numeric(rows) => ColumnArray::Numeric(rows.iter().copied().collect()),
            Self::Categorical(rows) => ColumnArray::Categorical(rows.iter().map(Option::as_deref).collect()),
        }
    }
}

/// Whether a column is no feature: a class's probability or an attribution.
fn is_beside(name: &str) -> bool {
    name.starts_with(CLASS_SCORE_PREFIX) || name.starts_with(ATTRIBUTION_PREFIX)
}

/// Features with attributions.
fn attributed(beside: &[(String, Column)]) -> Vec<String> {
    let with_values = beside.iter().filter(|(_, column)| match column {
        Column::Numeric(rows) => rows.iter().any(Option::is_some),
        Column::Categorical(_) => false,
    });
    with_values.filter_map(|(name, _)| Some(name.strip_prefix(ATTRIBUTION_PREFIX)?.to_owned())).collect()
}

/// Columns that are no features, as Arrow.
struct Beside(BTreeMap<String, Float64Array>);

impl Beside {
    fn new(columns: &[(String, Column)]) -> Self {
        let numeric = columns.iter().filter_map(|(name, column)| match column {
            Column::Numeric(rows) => Some((name.clone(), rows.iter().copied().collect())),
            Column::Categorical(_) => None,
        });
        Self(numeric.collect())
    }

    fn scores(&self, frame: &OutcomeFrame) -> Vec<Option<&Float64Array>> {
        let OutcomeFrame::Multiclass(classes) = frame else { return Vec::new() };
        classes.names().iter().map(|class| self.0.get(&format!("{CLASS_SCORE_PREFIX}{class}"))).collect()
    }

    fn attributions(&self, features: &[String]) -> Vec<Option<&Float64Array>> {
        features.iter().map(|feature| self.0.get(&format!("{ATTRIBUTION_PREFIX}{feature}"))).collect()
    }
}
