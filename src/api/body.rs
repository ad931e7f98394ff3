//! From a request's body to single events: one object, an array, or one object per line.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::Model;

/// The most events of one request.
pub(super) const MAX_EVENTS: usize = 100_000;

/// One event as it was sent, and what is needed to publish it.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub id: String,
    pub json: &'a str,
}

/// Why one element is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub index: usize,
    pub kind: FaultKind,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    Invalid,
    UnknownModel,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is empty; send a JSON object, an array of objects, or one object per line")]
    Empty,
    #[error("the body is not UTF-8: {0}")]
    NotUtf8(String),
    #[error("the body is not JSON: {0}")]
    Malformed(String),
    #[error("the body holds more than {MAX_EVENTS} events; send them in several requests")]
    TooMany,
}

/// Whether a declared content type means one JSON value per line.
pub(super) fn is_lines(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"]
        .iter()
        .any(|lines| essence.eq_ignore_ascii_case(lines))
}

/// The elements of the body, unread. An element that is not JSON at all is found out by [`event_of`].
pub(super) fn elements(body: &[u8], lines: bool) -> Result<Vec<&str>, BodyError> {
    let text = std::str::from_utf8(body).map_err(|error| BodyError::NotUtf8(error.to_string()))?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(BodyError::Empty);
    }
    if lines {
        return by_line(text);
    }
    if text.trim_start().starts_with('[') {
        return array(text);
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => Ok(vec![value.get()]),
        Err(_) if first_line_is_whole(text) => by_line(text),
        Err(error) => Err(BodyError::Malformed(error.to_string())),
    }
}

/// What ingest needs to file the element: an object with the name of a configured model and an id.
pub(super) fn event_of<'a>(index: usize, json: &'a str, models: &[Model]) -> Result<Event<'a>, Fault> {
    let invalid = |reason: String| Fault { index, kind: FaultKind::Invalid, reason };
    let value: Value = serde_json::from_str(json).map_err(|error| invalid(format!("not JSON: {error}")))?;
    if !value.is_object() {
        return Err(invalid("not a JSON object".to_owned()));
    }
    let name = match value.get("model") {
        Some(Value::String(name)) => name,
        Some(_) => return Err(invalid("'model' is not a string".to_owned())),
        None => return Err(invalid("'model' is missing".to_owned())),
    };
    let Some(model) = models.iter().find(|model| model.name == *name) else {
        return Err(Fault {
            index,
            kind: FaultKind::UnknownModel,
            reason: format!("model '{name}' is not configured"),
        });
    };
    let pointer = model.mapping.id.as_deref().unwrap_or("/id");
    match value.pointer(pointer) {
        Some(Value::String(id)) if id.is_empty() => Err(invalid("the id is empty".to_owned())),
        Some(Value::String(id)) => Ok(Event { id: id.clone(), json }),
        Some(Value::Number(id)) => Ok(Event { id: id.to_string(), json }),
        Some(_) => Err(invalid(format!("the id at '{pointer}' is neither a string nor a number"))),
        None => Err(invalid(format!("the id at '{pointer}' is missing"))),
    }
}

fn by_line(text: &str) -> Result<Vec<&str>, BodyError> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_EVENTS + 1).collect();
    if lines.len() > MAX_EVENTS { Err(BodyError::TooMany) } else { Ok(lines) }
}

fn first_line_is_whole(text: &str) -> bool {
    let first = text.trim_start().lines().next().unwrap_or_default();
    serde_json::from_str::<&RawValue>(first).is_ok()
}

fn array(text: &str) -> Result<Vec<&str>, BodyError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let elements = reader.deserialize_seq(Elements).map_err(|error| malformed(&error))?;
    reader.end().map_err(|error| malformed(&error))?;
    if elements.len() > MAX_EVENTS { Err(BodyError::TooMany) } else { Ok(elements) }
}

fn malformed(error: &serde_json::Error) -> BodyError {
    // The visitor stops reading there, so that a hostile array cannot fill the memory.
    if error.to_string().contains(TOO_MANY) { BodyError::TooMany } else { BodyError::Malformed(error.to_string()) }
}

const TOO_MANY: &str = "more events than one request may hold";

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of JSON objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element::<&RawValue>()? {
            if elements.len() == MAX_EVENTS {
                return Err(A::Error::custom(TOO_MANY));
            }
            elements.push(element.get());
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    fn reason(json: &str) -> String {
        event_of(0, json, &[samples::model()]).unwrap_err().reason
    }

    #[test]
    fn an_object_an_array_and_lines_are_told_apart() {
        assert_eq!(elements(b" {\"a\":\n 1} ", false).unwrap(), ["{\"a\":\n 1}"]);
        assert_eq!(elements(b"[{\"a\":1}, {\"b\" :2}]", false).unwrap(), ["{\"a\":1}", "{\"b\" :2}"]);
        assert_eq!(elements(b"{\"a\":1}\r\n\n{\"b\":2}\n", false).unwrap(), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(elements(b"{\"a\":1}\n{\"b\":2}", true).unwrap().len(), 2);
        assert!(elements(b"[]", false).unwrap().is_empty());
    }

    #[test]
    fn elements_keep_their_bytes() {
        let body = b"[{\"x\": 1.10, \"big\": 12345678901234567890123, \"x\": \"\\u00e9\"}]";
        assert_eq!(elements(body, false).unwrap()[0].as_bytes(), &body[1..body.len() - 1]);
    }

    #[test]
    fn bodies_that_are_not_json_say_where() {
        assert_eq!(elements(b" \n", false).unwrap_err(), BodyError::Empty);
        assert!(matches!(elements(b"\xff\xfe", false).unwrap_err(), BodyError::NotUtf8(_)));
        for body in ["{\"a\":", "[{\"a\":1},", "[1] 2", "{\"a\":1} x", "hello"] {
            assert!(matches!(elements(body.as_bytes(), false).unwrap_err(), BodyError::Malformed(_)), "{body}");
        }
    }

    #[test]
    fn more_events_than_allowed_are_refused() {
        let array = format!("[{}1]", "1,".repeat(MAX_EVENTS));
        assert_eq!(elements(array.as_bytes(), false).unwrap_err(), BodyError::TooMany);
        assert_eq!(elements("1\n".repeat(MAX_EVENTS + 1).as_bytes(), true).unwrap_err(), BodyError::TooMany);
    }

    #[test]
    fn an_event_has_a_configured_model_and_an_id() {
        let event = event_of(0, r#"{"model":"car_loan","id":17}"#, &[samples::model()]).unwrap();
        assert_eq!(event.id, "17");
        assert!(reason("{").starts_with("not JSON"));
        assert_eq!(reason("[1]"), "not a JSON object");
        assert_eq!(reason(r#"{"id":"1"}"#), "'model' is missing");
        assert_eq!(reason(r#"{"id":"1","model":3}"#), "'model' is not a string");
        assert_eq!(reason(r#"{"model":"car_loan"}"#), "the id at '/id' is missing");
        assert_eq!(reason(r#"{"model":"car_loan","id":""}"#), "the id is empty");
        assert!(reason(r#"{"model":"car_loan","id":null}"#).contains("neither a string nor a number"));
        assert_eq!(reason(r#"{"model":"nope","id":"1"}"#), "model 'nope' is not configured");
    }

    #[test]
    fn a_mapped_id_is_read_where_the_mapping_says() {
        let mut model = samples::model();
        model.mapping.id = Some("/meta/request".to_owned());
        let event = event_of(0, r#"{"model":"car_loan","meta":{"request":"r1"}}"#, &[model]).unwrap();
        assert_eq!(event.id, "r1");
    }
}
