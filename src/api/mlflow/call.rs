//! What a client asks: fields from the query of a GET, from the JSON body of everything else.

use std::collections::BTreeMap;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, Method};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::error::MlflowError;
use crate::api::ApiState;
use crate::api::author::Author;
use crate::clock::Timestamp;
use crate::registry::Texts;

/// The fields of one call, and who makes it.
#[derive(Debug, Default)]
pub(super) struct Call {
    fields: Map<String, Value>,
    pub(super) user: String,
    pub(super) reason: String,
    /// From `If-Match`.
    pub(super) expected_revision: Option<u64>,
}

const LAST_TIME: i64 = 253_402_000_000_000;

impl FromRequest<ApiState> for Call {
    type Rejection = MlflowError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, MlflowError> {
        let (parts, body) = request.into_parts();
        let fields = if parts.method == Method::GET {
            query_fields(parts.uri.query().unwrap_or_default())
        } else {
            let body = to_bytes(body, state.parts.settings.max_body).await;
            let body = body.map_err(|error| MlflowError::invalid(format!("the body cannot be read: {error}")))?;
            body_fields(&body, parts.uri.query().unwrap_or_default())?
        };
        let Author { user, reason } = Author::of(&parts.headers);
        Ok(Self { fields, user, reason, expected_revision: expected_revision(&parts.headers)? })
    }
}

fn query_fields(query: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = Value::String(value.into_owned());
        match fields.get_mut(&*name) {
            None => drop(fields.insert(name.into_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    fields
}

fn body_fields(body: &Bytes, query: &str) -> Result<Map<String, Value>, MlflowError> {
    if body.is_empty() {
        return Ok(query_fields(query));
    }
    serde_json::from_slice(body).map_err(|error| MlflowError::invalid(format!("the body is no JSON object: {error}")))
}

fn expected_revision(headers: &HeaderMap) -> Result<Option<u64>, MlflowError> {
    let Some(expected) = headers.get(IF_MATCH) else { return Ok(None) };
    let revision = expected.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    revision.map(Some).ok_or_else(|| MlflowError::invalid("If-Match holds a revision, which is a number"))
}

impl Call {
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// A field that must be there and not be empty.
    pub(super) fn text(&self, name: &str) -> Result<String, MlflowError> {
        let text = self.text_or_none(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| MlflowError::invalid(format!("Missing value for required parameter '{name}'.")))
    }

    pub(super) fn text_or_empty(&self, name: &str) -> Result<String, MlflowError> {
        Ok(self.text_or_none(name)?.unwrap_or_default())
    }

    pub(super) fn text_or_none(&self, name: &str) -> Result<Option<String>, MlflowError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(invalid(name, other)),
        }
    }

    /// Numbers may come as strings.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, MlflowError> {
        self.fields.get(name).map_or(Ok(None), |value| integer(name, value))
    }

    /// Milliseconds since the epoch, before the year 10,000.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, MlflowError> {
        let millis = self.integer(name)?;
        if let Some(odd) = millis.filter(|millis| !(0..LAST_TIME).contains(millis)) {
            return Err(invalid(name, &odd.into()));
        }
        Ok(millis.map(Timestamp::from_millis))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, MlflowError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Some(other) => Err(invalid(name, other)),
        }
    }

    /// The number of a version.
    pub(super) fn version(&self) -> Result<u32, MlflowError> {
        match self.integer("version")? {
            Some(version) => u32::try_from(version).map_err(|_| invalid("version", &version.into())),
            None => Err(MlflowError::invalid("Missing value for required parameter 'version'.")),
        }
    }

    /// A list of strings; a single one counts as such.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, MlflowError> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| invalid(name, value));
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(text).collect(),
            Some(value) => Ok(vec![text(value)?]),
        }
    }

    /// A list of objects, each as a call of its own.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Self>, MlflowError> {
        let object = |value: &Value| match value {
            Value::Object(fields) => Ok(Self { fields: fields.clone(), ..Self::default() }),
            other => Err(invalid(name, other)),
        };
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(object).collect(),
            Some(other) => Err(invalid(name, other)),
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Self, MlflowError> {
        match self.fields.get(name) {
            Some(Value::Object(fields)) => Ok(Self { fields: fields.clone(), ..Self::default() }),
            Some(other) => Err(invalid(name, other)),
            None => Err(MlflowError::invalid(format!("Missing value for required parameter '{name}'."))),
        }
    }

    /// A list of `{key, value}`.
    pub(super) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, MlflowError> {
        self.objects(name)?.iter().map(|pair| Ok((pair.text("key")?, pair.text_or_empty("value")?))).collect()
    }

    pub(super) fn tags(&self, name: &str) -> Result<Texts, MlflowError> {
        Ok(BTreeMap::from_iter(self.pairs(name)?))
    }

    /// One of these words, in any case.
    pub(super) fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, MlflowError> {
        let Some(text) = self.text_or_none(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            MlflowError::invalid(format!(
                "Invalid value '{text}' for parameter '{name}': write one of {}",
                known.join(", ")
            ))
        })
    }

    /// A number as JSON or, for those it does not know, as a string. Infinities become the largest numbers, as in MLflow.
    pub(super) fn number(&self, name: &str) -> Result<f64, MlflowError> {
        let number = match self.fields.get(name) {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
            // Of a protobuf message, a zero may be left out.
            None => Some(0.0),
        };
        let number = number.ok_or_else(|| invalid(name, self.fields.get(name).unwrap_or(&Value::Null)))?;
        Ok(if number.is_infinite() { f64::MAX.copysign(number) } else { number })
    }
}

fn integer(name: &str, value: &Value) -> Result<Option<i64>, MlflowError> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(|| invalid(name, value))
}

fn invalid(name: &str, value: &Value) -> MlflowError {
    let mut shown = value.to_string();
    if shown.chars().count() > 100 {
        shown = shown.chars().take(100).chain(['…']).collect();
    }
    MlflowError::invalid(format!("Invalid value {shown} for parameter '{name}' supplied."))
}
