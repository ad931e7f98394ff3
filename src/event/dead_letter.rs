//! A record that could not be counted, kept with its original bytes.

use std::fmt;

/// Goes to `plimsoll.deadletter`: the payload and key are the original bytes, the rest are headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub reason: Reason,
    /// The field that is wrong, as a dotted path, when one is.
    pub field: Option<String>,
    pub detail: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    /// Length of the original payload, where only its beginning is kept.
    pub cut_from: Option<usize>,
}

/// As much of a payload as is kept: a record that users made as large as their broker allows must still fit beside
/// its headers, or nothing after it would ever be counted.
const LARGEST_KEPT: usize = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    Empty,
    TooLarge,
    NotUtf8,
    MalformedJson,
    MissingField,
    WrongType,
    NotFinite,
    UnknownModel,
    TooLate,
    TooFarInFuture,
}

impl Reason {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::MalformedJson => "malformed_json",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::NotFinite => "not_finite",
            Self::UnknownModel => "unknown_model",
            Self::TooLate => "too_late",
            Self::TooFarInFuture => "too_far_in_future",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DeadLetter {
    /// The payload as it is kept, and its length where that is less than all of it.
    #[must_use]
    pub fn kept(payload: &[u8]) -> (Vec<u8>, Option<usize>) {
        match payload.get(..LARGEST_KEPT) {
            Some(beginning) if beginning.len() < payload.len() => (beginning.to_vec(), Some(payload.len())),
            _ => (payload.to_vec(), None),
        }
    }

    /// Header names and values in the order they are written.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut headers = vec![("reason".to_owned(), self.reason.name().into())];
        if let Some(field) = &self.field {
            headers.push(("field".to_owned(), field.clone().into_bytes()));
        }
        headers.push(("detail".to_owned(), self.detail.clone().into_bytes()));
        headers.push(("topic".to_owned(), self.topic.clone().into_bytes()));
        headers.push(("partition".to_owned(), self.partition.to_string().into_bytes()));
        headers.push(("offset".to_owned(), self.offset.to_string().into_bytes()));
        if let Some(length) = self.cut_from {
            headers.push(("cut_from".to_owned(), length.to_string().into_bytes()));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_not_fit_is_cut() {
        assert_eq!(DeadLetter::kept(b"short"), (b"short".to_vec(), None));
        assert_eq!(DeadLetter::kept(&vec![7; LARGEST_KEPT]).1, None);
        let (beginning, length) = DeadLetter::kept(&vec![7; LARGEST_KEPT + 1]);
        assert_eq!((beginning.len(), length), (LARGEST_KEPT, Some(LARGEST_KEPT + 1)));
    }
}
