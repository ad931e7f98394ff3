//! Records as they are read and written.

use std::ops::Range;

use serde::{Deserialize, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

/// One record of one partition, borrowed from a [`Records`] batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub offset: i64,
    /// Kafka's timestamp in milliseconds, if the record has one.
    pub timestamp: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
}

/// A record that was read: its place, and a hash of what it holds. In a topic that was made anew another record has the
/// place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub offset: i64,
    pub hash: u64,
}

/// Consecutive records of one topic partition in one buffer, so that reading allocates nothing per record.
#[derive(Clone, Debug, Default)]
pub struct Records {
    buffer: Vec<u8>,
    entries: Vec<Entry>,
}

/// A record to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    pub topic: String,
    /// None leaves the choice to the hash of the key.
    pub partition: Option<i32>,
    #[serde(serialize_with = "at_once")]
    pub key: Option<Vec<u8>>,
    /// None is a tombstone on compacted topics.
    #[serde(serialize_with = "at_once")]
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds; none is the broker's or client's now.
    pub timestamp: Option<i64>,
}

#[derive(Clone, Debug)]
struct Entry {
    offset: i64,
    timestamp: Option<i64>,
    key: Option<Range<usize>>,
    payload: Option<Range<usize>>,
}

/// Bytes that are written in one piece. Serde would write them one by one, with the same result.
struct InOnePiece<'a>(&'a [u8]);

impl Serialize for InOnePiece<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[allow(clippy::ref_option, reason = "the signature is serde's")]
fn at_once<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    bytes.as_deref().map(InOnePiece).serialize(serializer)
}

impl Seen {
    #[must_use]
    pub fn of(record: &Record<'_>) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&record.timestamp.unwrap_or(i64::MIN).to_le_bytes());
        for bytes in [record.key, record.payload] {
            let length = bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
            hash.update(&length.to_le_bytes());
            hash.update(bytes.unwrap_or_default());
        }
        Self { offset: record.offset, hash: hash.digest() }
    }
}

impl Records {
    pub fn push(&mut self, offset: i64, timestamp: Option<i64>, key: Option<&[u8]>, payload: Option<&[u8]>) {
        let key = key.map(|bytes| self.append(bytes));
        let payload = payload.map(|bytes| self.append(bytes));
        self.entries.push(Entry { offset, timestamp, key, payload });
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys and payloads held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.entries.iter().map(|entry| self.view(entry))
    }

    /// The record at `index` of [`Records::iter`].
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.entries.get(index).map(|entry| self.view(entry))
    }

    #[must_use]
    pub fn last(&self) -> Option<Record<'_>> {
        self.entries.last().map(|entry| self.view(entry))
    }

    #[must_use]
    pub fn last_offset(&self) -> Option<i64> {
        self.entries.last().map(|entry| entry.offset)
    }

    pub fn clear(&mut self) {
        self.buffer.clear();
        self.entries.clear();
    }

    fn view(&self, entry: &Entry) -> Record<'_> {
        Record {
            offset: entry.offset,
            timestamp: entry.timestamp,
            key: entry.key.clone().map(|range| &self.buffer[range]),
            payload: entry.payload.clone().map(|range| &self.buffer[range]),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        start..self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{decode, encode};

    #[test]
    fn a_record_is_seen_again_only_if_all_that_it_holds_is_the_same() {
        let record = Record { offset: 7, timestamp: Some(1), key: Some(b"ab"), payload: Some(b"c") };
        assert_eq!(Seen::of(&record), Seen::of(&record.clone()));
        let others = [
            Record { timestamp: None, ..record },
            Record { key: Some(b"a"), payload: Some(b"bc"), ..record },
            Record { key: None, payload: Some(b"abc"), ..record },
            Record { payload: None, ..record },
            Record { payload: Some(b""), ..record },
        ];
        let hashes: std::collections::BTreeSet<u64> = others.iter().map(|other| Seen::of(other).hash).collect();
        assert_eq!(hashes.len(), others.len());
        assert!(!hashes.contains(&Seen::of(&record).hash));
    }

    #[test]
    fn an_outgoing_record_is_read_as_it_was_written() {
        let record = Outgoing {
            topic: "t".into(),
            key: Some(vec![1, 255]),
            payload: Some((0..=255).collect()),
            ..Outgoing::default()
        };
        for record in [record, Outgoing::default()] {
            assert_eq!(decode::<Outgoing>(&encode(&record).unwrap()).unwrap(), record);
        }
    }
}
