//! What holds for every event before its fields are read: its size, its encoding, and which model it is of.

use std::collections::HashMap;

use super::reader::Reader;
use super::rejection::{Fault, Path};
use super::scalar::Scalar;
use crate::bus::Record;
use crate::event::Reason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Longer payloads are not parsed.
    pub max_message_bytes: usize,
}

/// The models that events may be of.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    names: Vec<String>,
    mapped: Vec<bool>,
    by_name: HashMap<String, usize>,
    /// The one model with field names of its own: events that name no configured model are its.
    only_mapped: Option<usize>,
}

impl Default for DecodeLimits {
    /// As much as Kafka takes by default.
    fn default() -> Self {
        Self { max_message_bytes: 1 << 20 }
    }
}

/// The payload of a record that is worth parsing.
pub(super) fn payload<'a>(record: &Record<'a>, limits: DecodeLimits) -> Result<&'a [u8], Fault> {
    let payload = record.payload.filter(|payload| !payload.is_empty());
    let payload = payload.ok_or_else(|| Fault::new(Reason::Empty, "the record has no payload".to_owned()))?;
    if payload.len() > limits.max_message_bytes {
        let detail = format!("{} bytes, the limit is {}", payload.len(), limits.max_message_bytes);
        return Err(Fault::new(Reason::TooLarge, detail));
    }
    // The parser passes over the strings it skips without looking for this.
    match std::str::from_utf8(payload) {
        Ok(_) => Ok(payload),
        Err(error) => Err(Fault::new(Reason::NotUtf8, format!("no utf-8 from byte {} on", error.valid_up_to()))),
    }
}

impl Routes {
    /// Names of models, and whether each has field names of its own.
    pub(super) fn new(models: impl IntoIterator<Item = (String, bool)>) -> Self {
        let (names, mapped): (Vec<String>, Vec<bool>) = models.into_iter().unzip();
        let mut by_name = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            by_name.entry(name.clone()).or_insert(index);
        }
        let mut with_mapping = (0..names.len()).filter(|index| mapped[*index]);
        let only_mapped = with_mapping.next().filter(|_| with_mapping.next().is_none());
        Self { names, mapped, by_name, only_mapped }
    }

    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The model that the value of the field `model` names; none for null. `expected` is the model of the event before.
    pub(super) fn model(&self, name: &Scalar<'_>, expected: usize) -> Result<Option<usize>, Fault> {
        match name {
            Scalar::Null => Ok(None),
            Scalar::Text(name) if self.names.get(expected).is_some_and(|expected| expected == name) => {
                Ok(Some(expected))
            }
            Scalar::Text(name) => self.index_of(name).map(Some).ok_or_else(|| Fault::unknown_model(name)),
            other => Err(Fault::wrong_type(Path::Field("model"), "a string", other.kind())),
        }
    }

    /// The model with field names of its own that the event is of, if it is of such a model.
    pub(super) fn mapped_model(&self, reader: &mut Reader<'_>) -> Result<Option<usize>, Fault> {
        if !self.mapped.contains(&true) {
            return Ok(None);
        }
        let named = self.named_model(reader)?;
        reader.seek(0);
        match named {
            Some(model) => Ok(Some(model).filter(|model| self.mapped[*model])),
            None => Ok(self.only_mapped),
        }
    }

    /// The configured model that the event names, whatever the rest of it is.
    fn named_model(&self, reader: &mut Reader<'_>) -> Result<Option<usize>, Fault> {
        let mut named = None;
        let mut key = reader.enter_event()?;
        while let Some(name) = key {
            if name != "model" {
                reader.skip()?;
            } else if let Scalar::Text(model) = reader.scalar()? {
                named = self.index_of(model);
            } else {
                named = None;
            }
            key = reader.next_key()?;
        }
        Ok(named)
    }
}
