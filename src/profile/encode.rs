//! How profiles and their kin are written: a format version, then postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The format that this version writes, and the only one that it reads.
const FORMAT: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("record has format version {found}, this plimsoll reads up to {FORMAT}: upgrade plimsoll")]
    NewerFormat { found: u8 },
    #[error(
        "record has format version {found} of an older plimsoll, this one reads {FORMAT}: build profiles again, and \
         start with an empty state.url and new internal topics (another kafka.prefix)"
    )]
    OlderFormat { found: u8 },
    #[error("record cannot be decoded: {0}")]
    Malformed(String),
}

/// Writes any internal record. Types made of numbers, text and lists always encode.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, DecodeError> {
    // Most records are small; a vector that begins empty would move as it grows.
    let mut bytes = Vec::with_capacity(64);
    bytes.push(FORMAT);
    bytes = postcard::to_extend(value, bytes).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    Ok(bytes)
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let Some((format, body)) = bytes.split_first() else {
        return Err(DecodeError::Malformed("it is empty".to_owned()));
    };
    if *format > FORMAT {
        return Err(DecodeError::NewerFormat { found: *format });
    }
    if *format < FORMAT {
        return Err(DecodeError::OlderFormat { found: *format });
    }
    postcard::from_bytes(body).map_err(|error| DecodeError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let value = (7_u64, vec![1.5_f64, f64::MAX], Some("text".to_owned()));
        assert_eq!(decode::<(u64, Vec<f64>, Option<String>)>(&encode(&value).unwrap()).unwrap(), value);
    }

    #[test]
    fn another_format_is_refused_by_its_number() {
        let mut bytes = encode(&1_u64).unwrap();
        bytes[0] = FORMAT + 1;
        assert_eq!(decode::<u64>(&bytes), Err(DecodeError::NewerFormat { found: FORMAT + 1 }));
        bytes[0] = FORMAT - 1;
        assert_eq!(decode::<u64>(&bytes), Err(DecodeError::OlderFormat { found: FORMAT - 1 }));
    }

    #[test]
    fn cut_off_records_are_malformed_not_a_panic() {
        let bytes = encode(&vec![1_u64; 100]).unwrap();
        for length in 0..bytes.len() {
            assert!(decode::<Vec<u64>>(&bytes[..length]).is_err(), "{length}");
        }
    }
}
