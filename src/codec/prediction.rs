//! One prediction while it is read: the scratch space and the rules that do not depend on how it was parsed.

use super::rejection::{Fault, Path};
use super::scalar::{Arena, Cell, Scalar, Slice};
use super::schema::FeatureSchema;
use super::time;
use crate::event::key_of;
use crate::model::FeatureKind;
use crate::profile::{ATTRIBUTION_PREFIX, CLASS_SCORE_PREFIX};

/// A schema that grows from events stops here: names that differ in every event must not fill the memory.
const MAX_GROWN_COLUMNS: usize = 2_048;
/// Names of features that the schema lacks are noted up to this many per event, and this many bytes.
const MAX_EXTRA: usize = 16;
const MAX_EXTRA_NAME: usize = 120;

/// The features of a model, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Features {
    pub(super) schema: FeatureSchema,
    /// Whether names that the schema lacks are added to it.
    pub(super) growing: bool,
    /// Whether there is a probability for every class, as multiclass models have it.
    pub(super) has_classes: bool,
    /// Whether any column of the schema is an attribution.
    pub(super) has_attributions: bool,
}

/// What events tell in numbers beside their features.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beside {
    /// The probability of each class.
    Scores,
    /// What each feature contributed.
    Attributions,
}

/// What every row says of its event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) index: u32,
    pub(super) id: Slice,
    pub(super) time: i64,
}

#[derive(Debug, Default)]
pub(super) struct Prediction {
    pub(super) text: Arena,
    pub(super) id: Option<Slice>,
    pub(super) time: Option<i64>,
    pub(super) version: Option<Slice>,
    pub(super) variant: Option<Slice>,
    pub(super) label: Option<Slice>,
    pub(super) score: Option<f64>,
    pub(super) latency_ms: Option<f64>,
    pub(super) error: bool,
    /// One per column of the schema.
    pub(super) cells: Vec<Cell>,
    /// Values of features that the schema lacks and will have when this event is taken.
    pub(super) grown: Vec<(String, Cell)>,
    pub(super) unknown: u64,
    /// Names of features that the schema lacks and will go on lacking.
    extra: Vec<Slice>,
}

impl Beside {
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Scores => CLASS_SCORE_PREFIX,
            Self::Attributions => ATTRIBUTION_PREFIX,
        }
    }

    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Scores => "prediction.scores",
            Self::Attributions => "attributions",
        }
    }

    pub(super) const fn path(self, name: &str) -> Path<'_> {
        match self {
            Self::Scores => Path::Score(name),
            Self::Attributions => Path::Attribution(name),
        }
    }

    /// Where the first of them is, since producers write them in the same order every time.
    pub(super) fn first_column(self, features: &Features) -> usize {
        features.schema.beside(self.prefix()).next().map_or(0, |(_, position)| position)
    }
}

impl Features {
    pub(super) fn new(schema: FeatureSchema, growing: bool, has_classes: bool) -> Self {
        let has_attributions = growing || schema.beside(ATTRIBUTION_PREFIX).next().is_some();
        Self { schema, growing, has_classes, has_attributions }
    }
}

impl Prediction {
    /// Makes room for the next event.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.id = None;
        self.time = None;
        self.version = None;
        self.variant = None;
        self.latency_ms = None;
        self.error = false;
        self.unknown = 0;
        self.clear_prediction();
        self.clear_features(0);
    }

    pub(super) fn clear_prediction(&mut self) {
        self.label = None;
        self.score = None;
    }

    pub(super) fn clear_features(&mut self, columns: usize) {
        self.cells.clear();
        self.cells.resize(columns, Cell::Missing);
        self.grown.clear();
        self.extra.clear();
    }

    /// A prediction that is no object: a number with a fraction is a score, anything else a label.
    pub(super) fn set_bare_prediction(&mut self, value: &Scalar<'_>) -> Result<(), Fault> {
        let path = Path::Field("prediction");
        match value {
            Scalar::Float(float) if float.fract() != 0.0 => self.score = value.number(path)?,
            Scalar::Array => return Err(Fault::wrong_type(path, "an object, a label or a score", value.kind())),
            _ => self.label = value.label(path, &mut self.text)?,
        }
        Ok(())
    }

    /// What a regression predicts is a number, under whichever name it came.
    pub(super) fn take_label_as_value(&mut self) -> Result<(), Fault> {
        let Some(label) = self.label.take().filter(|_| self.score.is_none()) else { return Ok(()) };
        let value = self.text.get(label).trim().parse::<f64>().ok().filter(|value| value.is_finite());
        let not_a_number = || Fault::wrong_type(Path::Field("prediction"), "a number", "a label");
        self.score = Some(value.ok_or_else(not_a_number)?);
        Ok(())
    }

    pub(super) fn set_feature(
        &mut self,
        schema: &FeatureSchema,
        column: usize,
        value: &Scalar<'_>,
    ) -> Result<(), Fault> {
        if let (Some((name, kind)), Some(cell)) = (schema.columns().get(column), self.cells.get_mut(column)) {
            *cell = value.cell(*kind, Path::Feature(name), &mut self.text)?;
        }
        Ok(())
    }

    /// Notes that there is a feature that the schema lacks and does not take.
    pub(super) fn note_extra(&mut self, name: Slice, has_value: bool) {
        self.unknown += 1;
        if has_value && self.extra.len() < MAX_EXTRA && self.text.get(name).len() <= MAX_EXTRA_NAME {
            self.extra.push(name);
        }
    }

    /// The names of features that the schema lacks, as one key; none when there are none.
    pub(super) fn extra_features(&self) -> Option<String> {
        let names: Vec<&str> = self.extra.iter().map(|name| self.text.get(*name)).collect();
        (!names.is_empty()).then(|| key_of(&names))
    }

    /// Whether a feature that the schema lacks may be added to it.
    pub(super) fn may_grow(&self, features: &Features) -> bool {
        features.growing && features.schema.len() + self.grown.len() < MAX_GROWN_COLUMNS
    }

    /// A number that stands beside the features: the probability of a class, or an attribution. `near` is where it is
    /// expected, and moves on.
    pub(super) fn set_beside(
        &mut self,
        features: &Features,
        (prefix, name): (&str, &str),
        number: Option<f64>,
        near: &mut usize,
    ) {
        let Some(number) = number else { return };
        match features.schema.position_beside(prefix, name, *near) {
            Some(column) => {
                if let Some(cell) = self.cells.get_mut(column) {
                    *cell = Cell::Number(number);
                }
                *near = column + 1;
            }
            None if self.may_grow(features) => {
                let name = format!("{prefix}{name}");
                self.grown.retain(|(earlier, _)| *earlier != name);
                self.grown.push((name, Cell::Number(number)));
            }
            None => self.unknown += 1,
        }
    }

    /// Takes a feature that the schema lacks; nothing is learnt from null.
    pub(super) fn grow_feature(&mut self, name: String, value: &Scalar<'_>) -> Result<(), Fault> {
        let cell = value.cell_of_new_feature(Path::Feature(&name), &mut self.text)?;
        self.grown.retain(|(earlier, _)| *earlier != name);
        if cell != Cell::Missing {
            self.grown.push((name, cell));
        }
        Ok(())
    }

    /// Moves what has grown to the schema and behind the cells.
    pub(super) fn commit_growth(&mut self, schema: &mut FeatureSchema) {
        for (name, cell) in self.grown.drain(..) {
            let kind = match cell {
                Cell::Number(_) => FeatureKind::Numeric,
                Cell::Text(_) | Cell::Missing => FeatureKind::Categorical,
            };
            schema.add(&name, kind);
            self.cells.push(cell);
        }
    }

    /// Id and time, when nothing is missing; `timestamp` is Kafka's.
    pub(super) fn complete(&self, timestamp: Option<i64>) -> Result<(Slice, i64), Fault> {
        let identity = identity(&self.text, self.id, self.time, timestamp)?;
        if self.label.is_none() && self.score.is_none() && !self.error {
            let detail = "there is neither a label nor a score, and no error that says why";
            return Err(Fault::missing("prediction", detail));
        }
        Ok(identity)
    }
}

/// The id and time of an event, which it must have.
pub(super) fn identity(
    text: &Arena,
    id: Option<Slice>,
    time: Option<i64>,
    timestamp: Option<i64>,
) -> Result<(Slice, i64), Fault> {
    let id = id.filter(|id| !text.get(*id).is_empty());
    let id = id.ok_or_else(|| Fault::missing("id", "an event needs an id that is unique within its model"))?;
    // Kafka writes -1 where there is no timestamp.
    let timestamp = timestamp.filter(|millis| *millis >= 0).and_then(time::millis_of_integer);
    let time = time.or(timestamp);
    let time = time.ok_or_else(|| Fault::missing("time", "neither the event nor its kafka record has a time"))?;
    Ok((id, time))
}

pub(super) fn missing_model() -> Fault {
    Fault::missing("model", "an event names the model it is of")
}
