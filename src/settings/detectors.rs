//! `[model.detectors]`: which sequential detectors read which series.

use serde_json::{Map, Value as Json, json};
use toml_edit::{Array, InlineTable, Table, Value};

use super::error::Problems;
use super::raw::{Entries, Node, Raw};
use super::reader::Section;
use super::suggest::nearest;
use super::values;
use crate::detector::{DetectorKind, DetectorSettings, InputDomain};
use crate::model::{DetectorPolicy, FeatureKind, Model, Task};
use crate::profile::{LABEL_COLUMN, SCORE_COLUMN};

pub(super) fn detectors(section: &Section<'_>, model: &Model, problems: &mut Problems) -> DetectorPolicy {
    section.reject_unknown(&["error", "loss", "features"], problems);
    if model.task == Task::Regression && section.has("loss") {
        section.report("loss", "a regression has no log loss: write error, its absolute error", problems);
    }
    let of_errors = if model.task == Task::Regression { InputDomain::Real } else { InputDomain::Errors };
    let features = section.table("features", problems);
    let mut policy = DetectorPolicy {
        error: series(section, "error", of_errors, problems),
        loss: series(section, "loss", InputDomain::Real, problems),
        ..DetectorPolicy::default()
    };
    for name in features.keys() {
        let spec = model.features.get(name);
        if name == LABEL_COLUMN || spec.is_some_and(|spec| spec.kind == Some(FeatureKind::Categorical)) {
            features.report(name, "has no mean: only numeric features and prediction.score have", problems);
        }
        if section.has(name) {
            let message = format!("the series of detectors.{name} has this name already: leave one of them out");
            features.report(name, message, problems);
        }
        let is_share = name == SCORE_COLUMN && model.task != Task::Regression;
        let values = if is_share { InputDomain::UnitInterval } else { InputDomain::Real };
        policy.features.insert(name.to_owned(), series(&features, name, values, problems));
    }
    policy
}

/// The detectors of a series whose values are of this domain.
fn series(section: &Section<'_>, key: &str, values: InputDomain, problems: &mut Problems) -> Vec<DetectorSettings> {
    let read = |node: &Node| {
        let settings = detector(node)?;
        let kind = settings.kind();
        if can_read(kind, values) { Ok(settings) } else { Err(cannot_read(kind, values)) }
    };
    let detectors = section.list(key, problems, read).unwrap_or_default();
    for (index, settings) in detectors.iter().enumerate() {
        let kind = settings.kind();
        if detectors[..index].iter().any(|earlier| earlier.kind() == kind) {
            section.report(key, format!("names {kind} twice: write each detector once"), problems);
        }
    }
    detectors
}

const fn can_read(kind: DetectorKind, values: InputDomain) -> bool {
    match kind.domain() {
        InputDomain::Real => true,
        InputDomain::UnitInterval => !matches!(values, InputDomain::Real),
        InputDomain::Errors => matches!(values, InputDomain::Errors),
    }
}

fn cannot_read(kind: DetectorKind, values: InputDomain) -> String {
    let wanted = match kind.domain() {
        InputDomain::Errors => "the errors of a classification",
        InputDomain::UnitInterval | InputDomain::Real => "values from 0 to 1",
    };
    let fit: Vec<&str> =
        DetectorKind::ALL.into_iter().filter(|kind| can_read(*kind, values)).map(DetectorKind::name).collect();
    format!("{kind} reads only {wanted}: write one of {}", fit.join(", "))
}

/// A kind, or a table with the kind and those of its settings that are not the default.
fn detector(node: &Node) -> Result<DetectorSettings, String> {
    match &node.value {
        Raw::Text(_) => Ok(kind(node)?.into()),
        Raw::Table(entries) => {
            let Some(entry) = entries.get("kind") else {
                return Err("has no kind: write { kind = \"adwin\", … }".to_owned());
            };
            with_settings(kind(&entry.node)?, entries)
        }
        other => Err(format!("must be a detector such as \"adwin\" or {{ kind = \"adwin\" }}, not {}", other.kind())),
    }
}

fn kind(node: &Node) -> Result<DetectorKind, String> {
    let name = values::text(node)?;
    name.parse().map_err(|()| {
        let near = nearest(&name, DetectorKind::ALL.map(DetectorKind::name));
        let near = near.map(|near| format!(", did you mean {near}")).unwrap_or_default();
        let all = DetectorKind::ALL.map(DetectorKind::name).join(", ");
        format!("'{name}' is not a detector{near}: write one of {all}")
    })
}

fn with_settings(kind: DetectorKind, entries: &Entries) -> Result<DetectorSettings, String> {
    let defaults = fields(&kind.into());
    let mut written = Map::from_iter([("kind".to_owned(), json!(kind))]);
    for (key, entry) in entries.iter().filter(|(key, _)| *key != "kind") {
        let Some(default) = defaults.get(key) else {
            let near = nearest(key, defaults.keys().map(String::as_str));
            let near = near.map(|near| format!(", did you mean {near}")).unwrap_or_default();
            let all: Vec<&str> = defaults.keys().map(String::as_str).filter(|key| *key != "kind").collect();
            return Err(format!("{kind} has no setting {key}{near}: it has {}", all.join(", ")));
        };
        let value = value(&entry.node);
        let alone = json!({ "kind": kind, key: value });
        if serde_json::from_value::<DetectorSettings>(alone).is_err() {
            return Err(format!("{key} must be {}, not {}", expected(default), shown(&entry.node)));
        }
        written.insert(key.clone(), value);
    }
    let settings: DetectorSettings =
        serde_json::from_value(Json::Object(written)).map_err(|error| error.to_string())?;
    settings.validate().map_err(|error| error.to_string())?;
    Ok(settings)
}

/// The settings by name, the kind first.
fn fields(settings: &DetectorSettings) -> Map<String, Json> {
    match serde_json::to_value(settings) {
        Ok(Json::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Null for what no setting can be.
fn value(node: &Node) -> Json {
    match &node.value {
        Raw::Text(text) => json!(text),
        Raw::Integer(integer) => json!(integer),
        Raw::Float(float) => json!(float),
        Raw::Boolean(boolean) => json!(boolean),
        Raw::Datetime | Raw::List(_) | Raw::Table(_) => Json::Null,
    }
}

fn shown(node: &Node) -> String {
    values::scalar(node).unwrap_or_else(|_| node.value.kind().to_owned())
}

fn expected(default: &Json) -> &'static str {
    match default {
        Json::Number(number) if number.is_f64() => "a number",
        Json::Number(_) => "a whole number from 0 on",
        Json::Bool(_) => "true or false",
        _ => "up, down or both",
    }
}

/// As it is read, with every setting.
pub(super) fn table(policy: &DetectorPolicy) -> Table {
    let mut table = Table::new();
    for (key, detectors) in [("error", &policy.error), ("loss", &policy.loss)] {
        if !detectors.is_empty() {
            table.insert(key, toml_edit::value(array(detectors)));
        }
    }
    if !policy.features.is_empty() {
        let features = policy.features.iter().map(|(name, detectors)| (name.as_str(), Value::from(array(detectors))));
        table.insert("features", toml_edit::value(features.collect::<InlineTable>()));
    }
    table
}

fn array(detectors: &[DetectorSettings]) -> Array {
    let inline = |settings: &DetectorSettings| {
        let fields = fields(settings).into_iter().filter_map(|(key, field)| Some((key, toml_value(&field)?)));
        Value::from(fields.collect::<InlineTable>())
    };
    detectors.iter().map(inline).collect()
}

fn toml_value(field: &Json) -> Option<Value> {
    match field {
        Json::String(text) => Some(Value::from(text.as_str())),
        Json::Bool(boolean) => Some(Value::from(*boolean)),
        Json::Number(number) => number.as_i64().map(Value::from).or_else(|| number.as_f64().map(Value::from)),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
