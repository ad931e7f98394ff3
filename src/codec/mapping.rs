//! Events with field names of their own, found by JSON Pointers (RFC 6901) in the document tree.

use std::str::FromStr;

use jiter::JsonValue;

use super::outcomes::Outcome;
use super::prediction::{Beside, Features, Prediction};
use super::rejection::{Fault, Path};
use super::scalar::Scalar;
use crate::model::Mapping;

/// The place of a value in a document: `/payload/scores/0`; empty is the whole document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    #[error("'{0}' is no json pointer: it begins with '/', such as /payload/id")]
    NoSlash(String),
    #[error("'{0}' is no json pointer: write ~0 for '~' and ~1 for '/' within a name")]
    Escape(String),
}

/// Where a prediction keeps its fields. None is a pointer that cannot be read: it finds nothing.
#[derive(Clone, Debug)]
pub(super) struct MappedPrediction {
    id: Option<Pointer>,
    time: Option<Pointer>,
    version: Option<Pointer>,
    variant: Option<Pointer>,
    features: Option<Pointer>,
    prediction: Option<Pointer>,
    label: Option<Pointer>,
    score: Option<Pointer>,
    latency_ms: Option<Pointer>,
    error: Option<Pointer>,
    attributions: Pointer,
    /// Names within the object of features that are other fields.
    not_features: Vec<String>,
}

/// Where an outcome keeps its fields; the first pointer that finds something counts.
#[derive(Clone, Debug)]
pub(super) struct MappedOutcome {
    id: Vec<Pointer>,
    time: Vec<Pointer>,
    label: Vec<Pointer>,
    value: Vec<Pointer>,
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let names = text.strip_prefix('/').ok_or_else(|| PointerError::NoSlash(text.to_owned()))?;
        let names = names.split('/').map(unescaped).collect::<Option<_>>();
        names.map(Self).ok_or_else(|| PointerError::Escape(text.to_owned()))
    }
}

impl Pointer {
    /// The value at this place; of names that occur twice in an object, the last counts.
    fn find<'v, 'j>(&self, document: &'v JsonValue<'j>) -> Option<&'v JsonValue<'j>> {
        self.0.iter().try_fold(document, |value, name| match value {
            JsonValue::Object(members) => members.iter().rfind(|(key, _)| key == name).map(|(_, member)| member),
            JsonValue::Array(elements) => elements.get(array_index(name)?),
            _ => None,
        })
    }

    /// The name below this place on the way to another.
    fn next_name_towards<'o>(&self, other: &'o Self) -> Option<&'o str> {
        other.0.strip_prefix(self.0.as_slice())?.first().map(String::as_str)
    }
}

impl MappedPrediction {
    pub(super) fn new(mapping: &Mapping) -> Self {
        let mut fields = Self {
            id: pointer(mapping.id.as_deref().unwrap_or("/id")),
            time: pointer(mapping.time.as_deref().unwrap_or("/time")),
            version: pointer(mapping.version.as_deref().unwrap_or("/version")),
            variant: pointer(mapping.variant.as_deref().unwrap_or("/variant")),
            features: pointer(mapping.features.as_deref().unwrap_or("/features")),
            prediction: pointer(mapping.prediction.as_deref().unwrap_or("/prediction")),
            label: mapping.label.as_deref().and_then(pointer),
            score: mapping.score.as_deref().and_then(pointer),
            latency_ms: pointer(mapping.latency_ms.as_deref().unwrap_or("/latency_ms")),
            error: pointer(mapping.error.as_deref().unwrap_or("/error")),
            attributions: Pointer(vec!["attributions".to_owned()]),
            not_features: Vec::new(),
        };
        fields.not_features = fields.names_among_features();
        fields
    }

    pub(super) fn read(
        &self,
        payload: &[u8],
        features: &Features,
        positive: Option<&str>,
        event: &mut Prediction,
    ) -> Result<(), Fault> {
        let document = &parse(payload)?;
        event.id = scalar(self.id.as_ref(), document).identifier(Path::Field("id"), &mut event.text)?;
        event.time = scalar(self.time.as_ref(), document).time(Path::Field("time"))?;
        event.version = scalar(self.version.as_ref(), document).identifier(Path::Field("version"), &mut event.text)?;
        event.variant = scalar(self.variant.as_ref(), document).identifier(Path::Field("variant"), &mut event.text)?;
        event.latency_ms = scalar(self.latency_ms.as_ref(), document).number(Path::Field("latency_ms"))?;
        event.error = scalar(self.error.as_ref(), document).tells_error();
        self.read_features(document, features, event)?;
        self.read_prediction(document, features, positive, event)?;
        if features.has_attributions {
            set_all_beside(self.attributions.find(document), Beside::Attributions, features, event)?;
        }
        Ok(())
    }

    fn read_prediction(
        &self,
        document: &JsonValue<'_>,
        features: &Features,
        positive: Option<&str>,
        event: &mut Prediction,
    ) -> Result<(), Fault> {
        match find(self.prediction.as_ref(), document) {
            Some(JsonValue::Object(members)) => read_prediction_object(members, features, positive, event)?,
            Some(value) => event.set_bare_prediction(&value.into())?,
            None => {}
        }
        let label = scalar(self.label.as_ref(), document);
        if let Some(label) = label.label(Path::Field("prediction.label"), &mut event.text)? {
            event.label = Some(label);
        }
        let score = scalar(self.score.as_ref(), document);
        if let Some(score) = score.number(Path::Field("prediction.score"))? {
            event.score = Some(score);
        }
        Ok(())
    }

    fn read_features(
        &self,
        document: &JsonValue<'_>,
        features: &Features,
        event: &mut Prediction,
    ) -> Result<(), Fault> {
        event.clear_features(features.schema.len());
        let members = match find(self.features.as_ref(), document) {
            None | Some(JsonValue::Null) => return Ok(()),
            Some(JsonValue::Object(members)) => members,
            Some(value) => {
                return Err(Fault::wrong_type(Path::Field("features"), "an object", Scalar::from(value).kind()));
            }
        };
        let mut expected = 0;
        for (name, value) in members.iter() {
            if self.not_features.iter().any(|other| other == name) {
                continue;
            }
            if let Some(column) = features.schema.position_near(name, expected) {
                event.set_feature(&features.schema, column, &value.into())?;
                expected = column + 1;
            } else if event.may_grow(features) {
                event.grow_feature(name.to_string(), &value.into())?;
            } else {
                let extra = event.text.push(name);
                event.note_extra(extra, !matches!(value, JsonValue::Null));
            }
        }
        Ok(())
    }

    /// With flat events the features stand beside, or around, the other fields.
    fn names_among_features(&self) -> Vec<String> {
        let Some(features) = &self.features else {
            return Vec::new();
        };
        let others = [
            &self.id,
            &self.time,
            &self.version,
            &self.variant,
            &self.prediction,
            &self.label,
            &self.score,
            &self.latency_ms,
            &self.error,
        ];
        let names = others.into_iter().flatten().filter_map(|other| features.next_name_towards(other));
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        if features.0.is_empty() {
            names.extend(["model", "tags", "attributions"].map(str::to_owned));
        }
        names
    }
}

impl MappedOutcome {
    pub(super) fn new(mapping: &Mapping) -> Self {
        let first_or = |own: &Option<String>, usual: &str| {
            own.as_deref().into_iter().chain([usual]).filter_map(pointer).collect::<Vec<_>>()
        };
        Self {
            id: first_or(&mapping.id, "/id"),
            time: first_or(&mapping.time, "/time"),
            label: first_or(&mapping.label, "/label"),
            value: first_or(&None, "/value"),
        }
    }

    pub(super) fn read(&self, payload: &[u8], event: &mut Outcome) -> Result<(), Fault> {
        let document = &parse(payload)?;
        event.id = first(&self.id, document).identifier(Path::Field("id"), &mut event.text)?;
        event.time = first(&self.time, document).time(Path::Field("time"))?;
        event.label = first(&self.label, document).label(Path::Field("label"), &mut event.text)?;
        event.value = first(&self.value, document).category(Path::Field("value"), &mut event.text)?;
        Ok(())
    }
}

fn read_prediction_object(
    members: &[(std::borrow::Cow<'_, str>, JsonValue<'_>)],
    features: &Features,
    positive: Option<&str>,
    event: &mut Prediction,
) -> Result<(), Fault> {
    let mut scores = None;
    for (name, value) in members {
        match name.as_ref() {
            "label" => event.label = Scalar::from(value).label(Path::Field("prediction.label"), &mut event.text)?,
            "score" => event.score = Scalar::from(value).number(Path::Field("prediction.score"))?,
            "value" => event.score = Scalar::from(value).number(Path::Field("prediction.value"))?,
            "scores" => scores = Some(value),
            _ => event.unknown += 1,
        }
    }
    match (scores, positive) {
        (scores, _) if features.has_classes => set_all_beside(scores, Beside::Scores, features, event)?,
        (Some(JsonValue::Object(classes)), Some(positive)) if event.score.is_none() => {
            let score = classes.iter().rfind(|(class, _)| class == positive);
            event.score = score.map_or(Ok(None), |(_, score)| Scalar::from(score).number(Path::Score(positive)))?;
        }
        (Some(JsonValue::Null), Some(_)) if event.score.is_none() => {}
        (Some(value), Some(_)) if event.score.is_none() => {
            let found = Scalar::from(value).kind();
            return Err(Fault::wrong_type(Path::Field("prediction.scores"), "an object", found));
        }
        (Some(_), _) => event.unknown += 1,
        (None, _) => {}
    }
    Ok(())
}

/// Takes the numbers of an object: scores by class, or attributions by feature.
fn set_all_beside(
    found: Option<&JsonValue<'_>>,
    beside: Beside,
    features: &Features,
    event: &mut Prediction,
) -> Result<(), Fault> {
    let members = match found {
        None | Some(JsonValue::Null) => return Ok(()),
        Some(JsonValue::Object(members)) => members,
        Some(value) => {
            let found = Scalar::from(value).kind();
            return Err(Fault::wrong_type(Path::Field(beside.field()), "an object", found));
        }
    };
    let mut near = beside.first_column(features);
    for (name, value) in members.iter() {
        let number = Scalar::from(value).number(beside.path(name))?;
        event.set_beside(features, (beside.prefix(), name), number, &mut near);
    }
    Ok(())
}

fn parse(payload: &[u8]) -> Result<JsonValue<'_>, Fault> {
    JsonValue::parse(payload, false).map_err(|error| Fault::malformed(error.description(payload)))
}

fn pointer(text: &str) -> Option<Pointer> {
    text.parse().ok()
}

fn find<'v, 'j>(pointer: Option<&Pointer>, document: &'v JsonValue<'j>) -> Option<&'v JsonValue<'j>> {
    pointer?.find(document)
}

/// The value a pointer finds; what is not there is null.
fn scalar<'v>(pointer: Option<&Pointer>, document: &'v JsonValue<'_>) -> Scalar<'v> {
    find(pointer, document).map_or(Scalar::Null, Scalar::from)
}

fn first<'v>(pointers: &[Pointer], document: &'v JsonValue<'_>) -> Scalar<'v> {
    let found = pointers.iter().map(|pointer| scalar(Some(pointer), document));
    found.into_iter().find(|scalar| !scalar.is_null()).unwrap_or(Scalar::Null)
}

fn unescaped(name: &str) -> Option<String> {
    let mut escapes = name.split('~').skip(1);
    escapes.all(|rest| rest.starts_with(['0', '1'])).then(|| name.replace("~1", "/").replace("~0", "~"))
}

/// RFC 6901 knows no leading zeros and no signs.
fn array_index(name: &str) -> Option<usize> {
    let plain = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    plain.then(|| name.parse().ok())?
}

#[cfg(test)]
mod tests;
