//! The fields of what can be searched.

use super::{Field, FieldType, Kind, SearchError, Searchable, Value};
use crate::clock::Timestamp;
use crate::registry::entity::{Experiment, LoggedModel, ModelVersion, RegisteredModel, Run, Texts};

/// `tags.team`, `metrics.loss`, `attributes.status`, or an attribute by its name alone.
pub(super) fn field_of(name: &str) -> Result<Field, String> {
    let Some((kind, key)) = name.split_once('.') else {
        return Ok(Field { kind: Kind::Attribute, key: name.to_owned() });
    };
    let kind = match kind.to_ascii_lowercase().as_str() {
        "metric" | "metrics" => Kind::Metric,
        "param" | "params" | "parameter" | "parameters" => Kind::Param,
        "tag" | "tags" => Kind::Tag,
        "attribute" | "attributes" | "attr" | "run" => Kind::Attribute,
        "dataset" | "datasets" => Kind::Dataset,
        other => {
            return Err(format!("'{other}' is no entity; there are metrics, params, tags, attributes and datasets"));
        }
    };
    if key.is_empty() {
        return Err(format!("'{name}' names no key"));
    }
    Ok(Field { kind, key: key.to_owned() })
}

fn unknown(field: &Field, known: &str) -> SearchError {
    SearchError(format!("Invalid attribute key '{}' specified. Valid keys are {known}", field.key))
}

fn text_if(known: bool, field: &Field, all: &str) -> Result<FieldType, SearchError> {
    if known { Ok(FieldType::Text) } else { Err(unknown(field, all)) }
}

/// MLflow keeps prompts among the registered models, and its clients ask for those that are none: without this tag.
const IS_PROMPT: &str = "mlflow.prompt.is_prompt";

fn registered_tag<'a>(tags: &'a Texts, key: &str) -> Option<Value<'a>> {
    tag(tags, key).or_else(|| (key == IS_PROMPT).then_some(Value::Text("false")))
}

fn tag<'a>(tags: &'a Texts, key: &str) -> Option<Value<'a>> {
    tags.get(key).map(|value| Value::Text(value))
}

fn time(time: Timestamp) -> Value<'static> {
    Value::Number(time.millis() as f64)
}

const RUN: &str = "run_id, run_name, experiment_id, user_id, status, artifact_uri, start_time, end_time";

impl Searchable for Run {
    fn field_type(field: &Field) -> Result<FieldType, SearchError> {
        match field.kind {
            Kind::Metric => Ok(FieldType::Number),
            Kind::Param | Kind::Tag => Ok(FieldType::Text),
            Kind::Dataset => {
                text_if(["name", "digest", "context"].contains(&field.key.as_str()), field, "name, digest, context")
            }
            Kind::Attribute => match field.key.as_str() {
                "start_time" | "Created" | "created" | "end_time" => Ok(FieldType::Number),
                "run_id" | "run_name" | "Run name" | "run name" | "experiment_id" | "user_id" | "User" | "status"
                | "artifact_uri" => Ok(FieldType::Text),
                _ => Err(unknown(field, RUN)),
            },
        }
    }

    fn value(&self, field: &Field) -> Option<Value<'_>> {
        match field.kind {
            Kind::Metric => self.metrics.get(&field.key).map(|metric| Value::Number(metric.value)),
            Kind::Param => tag(&self.params, &field.key),
            Kind::Tag => tag(&self.tags, &field.key),
            Kind::Dataset => None,
            Kind::Attribute => match field.key.as_str() {
                "start_time" | "Created" | "created" => Some(time(self.start_time)),
                "end_time" => self.end_time.map(time),
                "run_id" => Some(Value::Text(&self.run_id)),
                "experiment_id" => Some(Value::Text(&self.experiment_id)),
                "user_id" | "User" => Some(Value::Text(&self.user_id)),
                "status" => Some(Value::Text(self.status.name())),
                "artifact_uri" => Some(Value::Text(&self.artifact_uri)),
                _ => Some(Value::Text(&self.run_name)),
            },
        }
    }

    fn any(&self, field: &Field, fits: &dyn Fn(&Value<'_>) -> bool) -> bool {
        if field.kind != Kind::Dataset {
            return self.value(field).as_ref().is_some_and(fits);
        }
        self.datasets.iter().any(|dataset| {
            let found = match field.key.as_str() {
                "name" => Some(dataset.name.as_str()),
                "digest" => Some(dataset.digest.as_str()),
                _ => dataset.tags.get("mlflow.data.context").map(String::as_str),
            };
            found.is_some_and(|text| fits(&Value::Text(text)))
        })
    }
}

impl Searchable for Experiment {
    fn field_type(field: &Field) -> Result<FieldType, SearchError> {
        match (field.kind, field.key.as_str()) {
            (Kind::Tag, _) | (Kind::Attribute, "name" | "experiment_id") => Ok(FieldType::Text),
            (Kind::Attribute, "creation_time" | "last_update_time") => Ok(FieldType::Number),
            _ => Err(unknown(field, "name, experiment_id, creation_time, last_update_time, tags.<key>")),
        }
    }

    fn value(&self, field: &Field) -> Option<Value<'_>> {
        match (field.kind, field.key.as_str()) {
            (Kind::Tag, key) => tag(&self.tags, key),
            (_, "name") => Some(Value::Text(&self.name)),
            (_, "creation_time") => Some(time(self.created_at)),
            (_, "last_update_time") => Some(time(self.updated_at)),
            _ => Some(Value::Text(&self.experiment_id)),
        }
    }
}

impl Searchable for RegisteredModel {
    fn field_type(field: &Field) -> Result<FieldType, SearchError> {
        match (field.kind, field.key.as_str()) {
            (Kind::Tag, _) | (Kind::Attribute, "name") => Ok(FieldType::Text),
            (Kind::Attribute, "creation_timestamp" | "last_updated_timestamp" | "timestamp") => Ok(FieldType::Number),
            _ => Err(unknown(field, "name, creation_timestamp, last_updated_timestamp, tags.<key>")),
        }
    }

    fn value(&self, field: &Field) -> Option<Value<'_>> {
        match (field.kind, field.key.as_str()) {
            (Kind::Tag, key) => registered_tag(&self.tags, key),
            (_, "creation_timestamp") => Some(time(self.created_at)),
            (_, "name") => Some(Value::Text(&self.name)),
            _ => Some(time(self.updated_at)),
        }
    }
}

const VERSION: &str =
    "name, run_id, source_path, version_number, creation_timestamp, last_updated_timestamp, current_stage, tags.<key>";

impl Searchable for ModelVersion {
    fn field_type(field: &Field) -> Result<FieldType, SearchError> {
        match (field.kind, field.key.as_str()) {
            (Kind::Tag, _) | (Kind::Attribute, "name" | "run_id" | "source_path" | "current_stage") => {
                Ok(FieldType::Text)
            }
            (Kind::Attribute, "version_number" | "creation_timestamp" | "last_updated_timestamp") => {
                Ok(FieldType::Number)
            }
            _ => Err(unknown(field, VERSION)),
        }
    }

    fn value(&self, field: &Field) -> Option<Value<'_>> {
        match (field.kind, field.key.as_str()) {
            (Kind::Tag, key) => registered_tag(&self.tags, key),
            (_, "name") => Some(Value::Text(&self.name)),
            (_, "run_id") => Some(Value::Text(&self.run_id)),
            (_, "source_path") => Some(Value::Text(&self.source)),
            (_, "current_stage") => Some(Value::Text(self.stage.name())),
            (_, "version_number") => Some(Value::Number(f64::from(self.version))),
            (_, "creation_timestamp") => Some(time(self.created_at)),
            _ => Some(time(self.updated_at)),
        }
    }
}

impl Searchable for LoggedModel {
    fn field_type(field: &Field) -> Result<FieldType, SearchError> {
        match (field.kind, field.key.as_str()) {
            (Kind::Tag | Kind::Param, _) => Ok(FieldType::Text),
            (Kind::Attribute, "name" | "model_id" | "model_type" | "status" | "source_run_id" | "experiment_id") => {
                Ok(FieldType::Text)
            }
            (Kind::Attribute, "creation_timestamp" | "creation_time" | "last_updated_timestamp") => {
                Ok(FieldType::Number)
            }
            _ => Err(unknown(
                field,
                "name, model_id, model_type, status, source_run_id, creation_timestamp, last_updated_timestamp, params.<key>, tags.<key>",
            )),
        }
    }

    fn value(&self, field: &Field) -> Option<Value<'_>> {
        match (field.kind, field.key.as_str()) {
            (Kind::Tag, key) => tag(&self.tags, key),
            (Kind::Param, key) => tag(&self.params, key),
            (_, "name") => Some(Value::Text(&self.name)),
            (_, "model_id") => Some(Value::Text(&self.model_id)),
            (_, "model_type") => Some(Value::Text(&self.model_type)),
            (_, "status") => Some(Value::Text(self.status.name().trim_start_matches("LOGGED_MODEL_"))),
            (_, "source_run_id") => Some(Value::Text(&self.source_run_id)),
            (_, "experiment_id") => Some(Value::Text(&self.experiment_id)),
            (_, "last_updated_timestamp") => Some(time(self.updated_at)),
            _ => Some(time(self.created_at)),
        }
    }
}
