//! Plain rows: features by their names, as events carry them, and the prediction that comes back.

use serde::Serialize;
use serde_json::{Map, Value};

use super::prediction::Prediction;

/// One row to answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowRequest {
    pub id: Option<String>,
    /// On topics; over HTTP the path has it.
    pub model: Option<String>,
    pub version: Option<String>,
    /// Whose request it is: while a version is rolled out, the same key always gets the same one.
    pub key: Option<String>,
    pub features: Map<String, Value>,
}

/// The answer to one row, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowAnswer {
    pub id: String,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// While a rollout is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How rows came, and so how their answers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    One,
    Many,
}

/// The rows of a body and how they came, or the body itself if it is of another shape. Rows are `{"features": …}`, an
/// array of such, or `{"rows": […]}`.
pub fn read_if_rows(json: Value) -> Result<Result<(Vec<RowRequest>, Shape), String>, Value> {
    match json {
        Value::Array(rows) => Ok(many(rows)),
        Value::Object(mut object) if object.contains_key("rows") => match object.remove("rows") {
            Some(Value::Array(rows)) => Ok(many(rows)),
            _ => Ok(Err("'rows' is no array".to_owned())),
        },
        Value::Object(object) if object.contains_key("features") => {
            Ok(RowRequest::read(Value::Object(object)).map(|row| (vec![row], Shape::One)))
        }
        other => Err(other),
    }
}

fn many(rows: Vec<Value>) -> Result<(Vec<RowRequest>, Shape), String> {
    let mut read = Vec::with_capacity(rows.len());
    for (row, value) in rows.into_iter().enumerate() {
        read.push(RowRequest::read(value).map_err(|reason| format!("row {row}: {reason}"))?);
    }
    Ok((read, Shape::Many))
}

impl RowRequest {
    fn read(value: Value) -> Result<Self, String> {
        let Value::Object(mut object) = value else { return Err("it is no object".to_owned()) };
        let Some(Value::Object(features)) = object.remove("features") else {
            return Err("'features' is missing, or no object".to_owned());
        };
        Ok(Self {
            id: name(&mut object, "id")?,
            model: name(&mut object, "model")?,
            version: name(&mut object, "version")?,
            key: name(&mut object, "key")?,
            features,
        })
    }
}

impl RowAnswer {
    #[must_use]
    pub fn failed(id: String, model: String, version: Option<String>, error: String) -> Self {
        Self { id, model, version, variant: None, prediction: None, latency_ms: None, error: Some(error) }
    }
}

/// Text or a whole number; nothing of the empty text.
fn name(object: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match object.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
        Some(_) => Err(format!("'{key}' is neither text nor a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(json: Value) -> (Vec<RowRequest>, Shape) {
        read_if_rows(json).unwrap().unwrap()
    }

    #[test]
    fn one_row_an_array_and_named_rows_are_told_apart_from_other_bodies() {
        let one = rows(json!({"id": 7, "features": {"a": 1}}));
        assert_eq!((one.0[0].id.as_deref(), one.1), (Some("7"), Shape::One));
        assert_eq!(rows(json!([{"features": {}}])).1, Shape::Many);
        assert_eq!(rows(json!({"rows": [{"features": {}}, {"features": {}}]})).0.len(), 2);
        assert_eq!(read_if_rows(json!({"inputs": []})), Err(json!({"inputs": []})));
        assert!(read_if_rows(json!("x")).is_err());
    }

    #[test]
    fn what_is_wrong_is_told_with_the_number_of_its_row() {
        let said = |json: Value| read_if_rows(json).unwrap().unwrap_err();
        assert_eq!(said(json!([{"features": {}}, {"id": "1"}])), "row 1: 'features' is missing, or no object");
        assert_eq!(said(json!([1])), "row 0: it is no object");
        assert_eq!(said(json!({"rows": 1})), "'rows' is no array");
        assert_eq!(said(json!({"features": {}, "id": 1.5})), "'id' is neither text nor a whole number");
    }
}
