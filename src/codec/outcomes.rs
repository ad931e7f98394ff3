//! Outcomes: from Kafka records to rows per model.

use std::mem;

use super::columns::OutcomeColumns;
use super::envelope::{self, DecodeLimits, Routes};
use super::mapping::MappedOutcome;
use super::prediction::{Origin, identity, missing_model};
use super::reader::Reader;
use super::rejection::{Fault, Path};
use super::scalar::{Arena, Slice};
use super::{CodecError, Decoded, ModelBatch};
use crate::bus::{Record, Records};
use crate::model::Mapping;

/// What the decoder knows of a model.
#[derive(Clone, Debug)]
pub struct OutcomeModel {
    pub name: String,
    /// Of `id`, `time` and `label`; where a pointer finds nothing, the usual field is looked at.
    pub mapping: Mapping,
}

/// Decodes the outcomes of one source partition.
#[derive(Debug)]
pub struct OutcomeDecoder {
    routes: Routes,
    models: Vec<ModelState>,
    event: Outcome,
    /// For strings with escapes.
    tape: Vec<u8>,
    /// The model of the event before.
    last_model: usize,
}

/// One outcome while it is read.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) text: Arena,
    pub(super) id: Option<Slice>,
    pub(super) time: Option<i64>,
    pub(super) label: Option<Slice>,
    pub(super) value: Option<Slice>,
    pub(super) unknown: u64,
}

#[derive(Debug)]
struct ModelState {
    mapping: Option<MappedOutcome>,
    columns: OutcomeColumns,
}

impl OutcomeDecoder {
    #[must_use]
    pub fn new(models: Vec<OutcomeModel>) -> Self {
        let routes = Routes::new(models.iter().map(|model| (model.name.clone(), !model.mapping.is_default())));
        let state = |model: OutcomeModel| ModelState {
            mapping: (!model.mapping.is_default()).then(|| MappedOutcome::new(&model.mapping)),
            columns: OutcomeColumns::new(),
        };
        let models = models.into_iter().map(state).collect();
        Self { routes, models, event: Outcome::default(), tape: Vec::new(), last_model: 0 }
    }

    pub fn decode(&mut self, records: &Records, limits: &DecodeLimits) -> Result<Decoded, CodecError> {
        let mut decoded = Decoded::default();
        for (index, record) in (0_u32..).zip(records.iter()) {
            match self.read(&record, *limits) {
                Ok((model, id, time, label)) => {
                    decoded.unknown_fields += self.event.unknown;
                    self.last_model = model;
                    let columns = &mut self.models[model].columns;
                    columns.append(Origin { index, id, time }, label, &self.event.text);
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

    fn read(&mut self, record: &Record<'_>, limits: DecodeLimits) -> Result<(usize, Slice, i64, Slice), Fault> {
        self.event.clear();
        let payload = envelope::payload(record, limits)?;
        let mut reader = Reader::new(payload, mem::take(&mut self.tape));
        let model = self.read_event(&mut reader, payload);
        self.tape = reader.into_tape();
        let model = model?;
        let (id, time) = identity(&self.event.text, self.event.id, self.event.time, record.timestamp)?;
        let label = self.event.label.or(self.event.value);
        let label = label.ok_or_else(|| Fault::missing("label", "an outcome has a label or a value"))?;
        Ok((model, id, time, label))
    }

    fn read_event(&mut self, reader: &mut Reader<'_>, payload: &[u8]) -> Result<usize, Fault> {
        let Some(model) = self.routes.mapped_model(reader)? else {
            return self.read_fields(reader);
        };
        if let Some(mapping) = &self.models[model].mapping {
            mapping.read(payload, &mut self.event)?;
        }
        Ok(model)
    }

    fn read_fields(&mut self, reader: &mut Reader<'_>) -> Result<usize, Fault> {
        let event = &mut self.event;
        let mut model = None;
        let mut key = reader.enter_event()?;
        while let Some(name) = key {
            match name {
                "id" => event.id = reader.scalar()?.identifier(Path::Field("id"), &mut event.text)?,
                "model" => model = self.routes.model(&reader.scalar()?, self.last_model)?,
                "time" => event.time = reader.scalar()?.time(Path::Field("time"))?,
                "label" => event.label = reader.scalar()?.label(Path::Field("label"), &mut event.text)?,
                "value" => event.value = reader.scalar()?.category(Path::Field("value"), &mut event.text)?,
                // Known, but of no use here.
                "version" | "variant" | "tags" => reader.skip()?,
                _ => {
                    event.unknown += 1;
                    reader.skip()?;
                }
            }
            key = reader.next_key()?;
        }
        reader.finish()?;
        model.ok_or_else(missing_model)
    }
}

impl Outcome {
    fn clear(&mut self) {
        self.text.clear();
        self.id = None;
        self.time = None;
        self.label = None;
        self.value = None;
        self.unknown = 0;
    }
}

#[cfg(test)]
mod tests;
