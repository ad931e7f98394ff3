//! Predictions: from Kafka records to rows per model.

use std::mem;

use jiter::Peek;

use super::columns::PredictionColumns;
use super::envelope::{self, DecodeLimits, Routes};
use super::mapping::MappedPrediction;
use super::prediction::{Beside, Features, Origin, Prediction, missing_model};
use super::reader::Reader;
use super::rejection::{Fault, Path};
use super::scalar::Slice;
use super::schema::FeatureSchema;
use super::{CodecError, Decoded, ModelBatch};
use crate::bus::{Record, Records};
use crate::model::{Mapping, Task};

/// What the decoder knows of a model.
#[derive(Clone, Debug)]
pub struct DecoderModel {
    pub name: String,
    pub task: Task,
    /// The class whose probability is the score of a binary model, when a prediction has `scores` and no `score`.
    pub positive: Option<String>,
    pub mapping: Mapping,
    pub schema: SchemaMode,
}

#[derive(Clone, Debug)]
pub enum SchemaMode {
    /// Features of other names are ignored and counted.
    Fixed(FeatureSchema),
    /// Features of other names are added, with the kind of their first value that is not null.
    Growing(FeatureSchema),
}

/// Decodes the predictions of one source partition.
#[derive(Debug)]
pub struct PredictionDecoder {
    routes: Routes,
    models: Vec<ModelState>,
    event: Prediction,
    /// For strings with escapes.
    tape: Vec<u8>,
    /// The model of the event before.
    last_model: usize,
}

#[derive(Debug)]
struct ModelState {
    features: Features,
    /// What it predicts are numbers.
    is_regression: bool,
    positive: Option<String>,
    mapping: Option<MappedPrediction>,
    columns: PredictionColumns,
}

enum Field {
    Id,
    Model,
    Time,
    Version,
    Variant,
    Features,
    Prediction,
    LatencyMs,
    Error,
    Attributions,
    /// Known, but of no use here.
    Unused,
    Unknown,
}

impl PredictionDecoder {
    #[must_use]
    pub fn new(models: Vec<DecoderModel>) -> Self {
        let routes = Routes::new(models.iter().map(|model| (model.name.clone(), !model.mapping.is_default())));
        let models = models.into_iter().map(ModelState::new).collect();
        Self { routes, models, event: Prediction::default(), tape: Vec::new(), last_model: 0 }
    }

    /// Fixes the features of a model from now on; a model that is not the decoder's is left out.
    pub fn set_schema(&mut self, model: &str, schema: FeatureSchema) {
        let Some(state) = self.routes.index_of(model).and_then(|index| self.models.get_mut(index)) else {
            return;
        };
        state.columns = PredictionColumns::new(&schema);
        state.features = Features::new(schema, false, state.features.has_classes);
    }

    /// The features of the model at this index, as far as they are known by now.
    #[must_use]
    pub fn schema(&self, model: usize) -> Option<&FeatureSchema> {
        self.models.get(model).map(|state| &state.features.schema)
    }

    pub fn decode(&mut self, records: &Records, limits: &DecodeLimits) -> Result<Decoded, CodecError> {
        let mut decoded = Decoded::default();
        for (index, record) in (0_u32..).zip(records.iter()) {
            match self.read(&record, *limits) {
                Ok((model, id, time)) => {
                    decoded.unknown_fields += self.event.unknown;
                    self.last_model = model;
                    self.models[model].append(Origin { index, id, time }, &mut self.event);
                }
                Err(fault) => decoded.rejected.push(fault.at(index as usize)),
            }
        }
        for (model, state) in self.models.iter_mut().enumerate() {
            if !state.columns.is_empty() {
                decoded.batches.push(ModelBatch { model, rows: state.columns.finish()? });
            }
        }
        Ok(decoded)
    }

    /// Reads an event into the scratch space.
    fn read(&mut self, record: &Record<'_>, limits: DecodeLimits) -> Result<(usize, Slice, i64), Fault> {
        self.event.clear();
        let payload = envelope::payload(record, limits)?;
        let mut reader = Reader::new(payload, mem::take(&mut self.tape));
        let model = self.read_event(&mut reader, payload);
        self.tape = reader.into_tape();
        let model = model?;
        if self.models[model].is_regression {
            self.event.take_label_as_value()?;
        }
        let (id, time) = self.event.complete(record.timestamp)?;
        Ok((model, id, time))
    }

    fn read_event(&mut self, reader: &mut Reader<'_>, payload: &[u8]) -> Result<usize, Fault> {
        let Some(model) = self.routes.mapped_model(reader)? else {
            return self.read_fields(reader);
        };
        let state = &self.models[model];
        if let Some(mapping) = &state.mapping {
            mapping.read(payload, &state.features, state.positive.as_deref(), &mut self.event)?;
        }
        Ok(model)
    }

    fn read_fields(&mut self, reader: &mut Reader<'_>) -> Result<usize, Fault> {
        let event = &mut self.event;
        let mut model = None;
        let mut features = None;
        let (mut scores, mut attributions) = (None, None);
        let mut key = reader.enter_event()?;
        while let Some(name) = key {
            match Field::named(name) {
                Field::Id => event.id = reader.scalar()?.identifier(Path::Field("id"), &mut event.text)?,
                Field::Model => model = self.routes.model(&reader.scalar()?, self.last_model)?,
                Field::Time => event.time = reader.scalar()?.time(Path::Field("time"))?,
                Field::Version => {
                    event.version = reader.scalar()?.identifier(Path::Field("version"), &mut event.text)?;
                }
                Field::Variant => {
                    event.variant = reader.scalar()?.identifier(Path::Field("variant"), &mut event.text)?;
                }
                Field::Features => {
                    features = Some((reader.position()?, model));
                    match model {
                        Some(model) => read_features(reader, &self.models[model].features, event)?,
                        None => reader.skip()?,
                    }
                }
                Field::Prediction => scores = read_prediction(reader, event)?,
                Field::LatencyMs => event.latency_ms = reader.scalar()?.number(Path::Field("latency_ms"))?,
                Field::Error => event.error = reader.scalar()?.tells_error(),
                Field::Attributions => {
                    attributions = Some(reader.position()?);
                    reader.skip()?;
                }
                Field::Unused => reader.skip()?,
                Field::Unknown => {
                    event.unknown += 1;
                    reader.skip()?;
                }
            }
            key = reader.next_key()?;
        }
        reader.finish()?;

        let model = model.ok_or_else(missing_model)?;
        let state = &self.models[model];
        match features {
            None => event.clear_features(state.features.schema.len()),
            Some((_, read_for)) if read_for == Some(model) => {}
            // The model was named after the features, or was named again.
            Some((position, _)) => {
                reader.seek(position);
                read_features(reader, &state.features, event)?;
            }
        }
        match (scores, &state.positive) {
            (Some(position), _) if state.features.has_classes => {
                reader.seek(position);
                read_beside(reader, Beside::Scores, &state.features, event)?;
            }
            (Some(position), Some(positive)) if event.score.is_none() => {
                reader.seek(position);
                event.score = read_score_of(reader, positive)?;
            }
            (Some(_), _) => event.unknown += 1,
            (None, _) => {}
        }
        if let Some(position) = attributions.filter(|_| state.features.has_attributions) {
            reader.seek(position);
            read_beside(reader, Beside::Attributions, &state.features, event)?;
        }
        Ok(model)
    }
}

impl ModelState {
    fn new(model: DecoderModel) -> Self {
        let has_classes = model.task == Task::Multiclass;
        let features = match model.schema {
            SchemaMode::Fixed(schema) => Features::new(schema, false, has_classes),
            SchemaMode::Growing(schema) => Features::new(schema, true, has_classes),
        };
        Self {
            columns: PredictionColumns::new(&features.schema),
            features,
            is_regression: model.task == Task::Regression,
            positive: model.positive.filter(|_| model.task == Task::Binary),
            mapping: (!model.mapping.is_default()).then(|| MappedPrediction::new(&model.mapping)),
        }
    }

    /// Makes a row of an event that is wholly right.
    fn append(&mut self, origin: Origin, event: &mut Prediction) {
        if !event.grown.is_empty() {
            event.commit_growth(&mut self.features.schema);
            self.columns.grow(&self.features.schema);
        }
        self.columns.append(origin, event);
    }
}

impl Field {
    fn named(name: &str) -> Self {
        match name {
            "id" => Self::Id,
            "model" => Self::Model,
            "time" => Self::Time,
            "version" => Self::Version,
            "variant" => Self::Variant,
            "features" => Self::Features,
            "prediction" => Self::Prediction,
            "latency_ms" => Self::LatencyMs,
            "error" => Self::Error,
            "attributions" => Self::Attributions,
            "tags" => Self::Unused,
            _ => Self::Unknown,
        }
    }
}

fn read_features(reader: &mut Reader<'_>, features: &Features, event: &mut Prediction) -> Result<(), Fault> {
    event.clear_features(features.schema.len());
    if reader.peek()? != Peek::Object {
        let value = reader.scalar()?;
        if value.is_null() {
            return Ok(());
        }
        return Err(Fault::wrong_type(Path::Field("features"), "an object", value.kind()));
    }
    let mut expected = 0;
    let mut key = reader.enter_object()?;
    while let Some(name) = key {
        if let Some(column) = features.schema.position_near(name, expected) {
            event.set_feature(&features.schema, column, &reader.scalar()?)?;
            expected = column + 1;
        } else if event.may_grow(features) {
            let name = name.to_owned();
            event.grow_feature(name, &reader.scalar()?)?;
        } else {
            let extra = event.text.push(name);
            let is_told = reader.peek()? != Peek::Null;
            event.note_extra(extra, is_told);
            reader.skip()?;
        }
        key = reader.next_key()?;
    }
    Ok(())
}

/// Reads the prediction and returns where its `scores` are, if it has any.
fn read_prediction(reader: &mut Reader<'_>, event: &mut Prediction) -> Result<Option<usize>, Fault> {
    event.clear_prediction();
    if reader.peek()? != Peek::Object {
        event.set_bare_prediction(&reader.scalar()?)?;
        return Ok(None);
    }
    let mut scores = None;
    let mut key = reader.enter_object()?;
    while let Some(name) = key {
        match name {
            "label" => event.label = reader.scalar()?.label(Path::Field("prediction.label"), &mut event.text)?,
            "score" => event.score = reader.scalar()?.number(Path::Field("prediction.score"))?,
            "value" => event.score = reader.scalar()?.number(Path::Field("prediction.value"))?,
            "scores" => {
                scores = Some(reader.position()?);
                reader.skip()?;
            }
            _ => {
                event.unknown += 1;
                reader.skip()?;
            }
        }
        key = reader.next_key()?;
    }
    Ok(scores)
}

/// Reads the object of numbers that comes next: scores by class, or attributions by feature.
fn read_beside(
    reader: &mut Reader<'_>,
    beside: Beside,
    features: &Features,
    event: &mut Prediction,
) -> Result<(), Fault> {
    if reader.peek()? != Peek::Object {
        let value = reader.scalar()?;
        if value.is_null() {
            return Ok(());
        }
        return Err(Fault::wrong_type(Path::Field(beside.field()), "an object", value.kind()));
    }
    let mut near = beside.first_column(features);
    let mut name = String::new();
    let mut key = reader.enter_object()?;
    while let Some(next) = key {
        name.clear();
        name.push_str(next);
        let number = reader.scalar()?.number(beside.path(&name))?;
        event.set_beside(features, (beside.prefix(), &name), number, &mut near);
        key = reader.next_key()?;
    }
    Ok(())
}

/// The score of one class in the object of `scores` that comes next.
fn read_score_of(reader: &mut Reader<'_>, class: &str) -> Result<Option<f64>, Fault> {
    if reader.peek()? != Peek::Object {
        let value = reader.scalar()?;
        if value.is_null() {
            return Ok(None);
        }
        return Err(Fault::wrong_type(Path::Field("prediction.scores"), "an object", value.kind()));
    }
    let mut score = None;
    let mut key = reader.enter_object()?;
    while let Some(name) = key {
        if name == class {
            score = reader.scalar()?.number(Path::Score(class))?;
        } else {
            reader.skip()?;
        }
        key = reader.next_key()?;
    }
    Ok(score)
}

#[cfg(test)]
mod tests;
