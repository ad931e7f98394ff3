//! The format version of records in JSON, which people and other programs read too.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The format that this version writes; it reads this one and older ones.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("record has format version {found}, this plimsoll reads up to {FORMAT}: upgrade plimsoll")]
    Newer { found: u32 },
    #[error("record is not as plimsoll writes it: {0}")]
    Malformed(String),
}

/// A record with its version in front.
#[derive(Serialize)]
struct Versioned<'a, T> {
    format: u32,
    #[serde(flatten)]
    record: &'a T,
}

/// Of a record, the part that every later format keeps. Records of before there were versions have none.
#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    format: u32,
}

/// Writes a record that is an object in JSON.
pub fn to_json<T: Serialize>(record: &T) -> Result<Vec<u8>, FormatError> {
    serde_json::to_vec(&Versioned { format: FORMAT, record }).map_err(|error| FormatError::Malformed(error.to_string()))
}

/// Reads what [`to_json`] wrote; a newer format is told by its number.
pub fn from_json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FormatError> {
    let malformed = |error: serde_json::Error| FormatError::Malformed(error.to_string());
    let Version { format } = serde_json::from_slice(payload).map_err(malformed)?;
    if format > FORMAT {
        return Err(FormatError::Newer { found: format });
    }
    serde_json::from_slice(payload).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Accounting;

    #[test]
    fn a_record_carries_its_version_and_reads_the_same() {
        let books = Accounting { topic: "t".into(), read: u64::MAX, next_offset: -1, ..Accounting::default() };
        let json = to_json(&books).unwrap();
        assert!(json.starts_with(br#"{"format":1,"topic":"t""#), "{}", json.escape_ascii());
        assert_eq!(from_json::<Accounting>(&json).unwrap(), books);
        let unversioned = serde_json::to_vec(&books).unwrap();
        assert_eq!(from_json::<Accounting>(&unversioned).unwrap(), books);
    }

    #[test]
    fn a_newer_format_is_refused_by_its_number_whatever_else_it_holds() {
        let newer = br#"{"format":2,"topic":["of","another","shape"]}"#;
        assert_eq!(from_json::<Accounting>(newer), Err(FormatError::Newer { found: 2 }));
        assert!(matches!(from_json::<Accounting>(b"[]"), Err(FormatError::Malformed(_))));
    }
}
