//! Why a record could not be decoded.

use std::fmt;

use crate::event::Reason;

/// Names and values quoted from events are cut here, so that a dead letter's headers stay small.
const QUOTED_CHARS: usize = 120;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Index of the record in the batch.
    pub index: usize,
    pub reason: Reason,
    /// Dotted path of the wrong field, when one is.
    pub field: Option<String>,
    pub detail: String,
}

/// A [`Rejection`] before it is known which record it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    reason: Reason,
    field: Option<String>,
    detail: String,
}

/// The place of a field in an event; becomes text only when the field is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    Field(&'a str),
    Feature(&'a str),
    Score(&'a str),
    Attribution(&'a str),
}

impl Fault {
    pub(super) fn new(reason: Reason, detail: String) -> Self {
        Self { reason, field: None, detail }
    }

    pub(super) fn of_field(reason: Reason, path: Path<'_>, detail: String) -> Self {
        Self { reason, field: Some(path.to_string()), detail }
    }

    pub(super) fn malformed(detail: String) -> Self {
        Self::new(Reason::MalformedJson, detail)
    }

    pub(super) fn missing(field: &str, detail: &str) -> Self {
        Self::of_field(Reason::MissingField, Path::Field(field), detail.to_owned())
    }

    pub(super) fn wrong_type(path: Path<'_>, expected: &str, found: &str) -> Self {
        Self::of_field(Reason::WrongType, path, format!("expected {expected}, found {found}"))
    }

    pub(super) fn not_finite(path: Path<'_>) -> Self {
        Self::of_field(Reason::NotFinite, path, "the number is too large for a 64-bit float".to_owned())
    }

    pub(super) fn unknown_model(name: &str) -> Self {
        let detail = format!("model '{}' is not configured", shortened(name));
        Self::of_field(Reason::UnknownModel, Path::Field("model"), detail)
    }

    pub(super) fn at(self, index: usize) -> Rejection {
        Rejection { index, reason: self.reason, field: self.field, detail: self.detail }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::Feature(name) => write!(f, "features.{}", shortened(name)),
            Self::Score(class) => write!(f, "prediction.scores.{}", shortened(class)),
            Self::Attribution(feature) => write!(f, "attributions.{}", shortened(feature)),
        }
    }
}

/// The beginning of a text from an event, for use in messages.
pub(super) fn shortened(text: &str) -> &str {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_are_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"Ω".repeat(500)), "Ω".repeat(QUOTED_CHARS));
    }
}
