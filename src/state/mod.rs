//! The state port: one store per (role, partition), on an object store, with atomic and fenced writes.

mod bucket;
mod catalogue;
mod identity;
mod memory;
mod packed;
mod profile;
mod reader;
mod root;
mod slate;
mod watched;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use bytes::Bytes;

use crate::clock::Span;

pub use catalogue::{StatePartition, StateSize};
pub use identity::{Deployment, Identity};
pub use memory::MemoryStore;
pub use packed::{DamagedRow, PackedEntry, is_whole, merge, pack, unpack};
pub use reader::StateReader;
pub use root::{StateRoot, StateSettings, open_objects};

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// With a time to live the row disappears by itself, at some time after it: a reader that cares compares times.
    Put {
        key: Vec<u8>,
        value: Vec<u8>,
        ttl: Option<Span>,
    },
    Delete {
        key: Vec<u8>,
    },
    /// Changes a packed row without reading it: a list as [`pack`] makes it.
    Merge {
        key: Vec<u8>,
        change: Vec<u8>,
    },
}

/// An ordered key-value store that belongs to one partition of one role.
#[async_trait]
pub trait Store: Send + Sync {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError>;

    /// Values in the order of `keys`.
    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StateError>;

    /// Rows with `from <= key < to` in key order.
    async fn scan(&self, from: &[u8], to: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StateError>;

    /// All or nothing, and durable when it returns; an empty write tells whether the store is still ours.
    async fn write(&self, writes: Vec<Write>) -> Result<(), StateError>;

    /// Flushes and releases the store; further calls fail.
    async fn close(&self) -> Result<(), StateError>;
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("state url '{url}' cannot be used: {reason}; write file:///path or s3://bucket/prefix")]
    Url { url: String, reason: String },
    #[error("state of {path} was taken over by another process; this one stops using it")]
    Fenced { path: String },
    #[error("state of {path} could not be {action}: {reason}")]
    Storage { path: String, action: &'static str, reason: String },
    #[error(
        "state of {path} has format version {found}, this plimsoll reads up to {known}: upgrade plimsoll or reset the state"
    )]
    NewerFormat { path: String, found: u32, known: u32 },
    #[error(
        "state of {path} has format version {found} of an older plimsoll, this one reads {known}: count it again with \
         plimsoll state reset"
    )]
    OlderFormat { path: String, found: u32, known: u32 },
    #[error(
        "state of {path} is damaged: {reason}; bring it back from a backup, or count it again with plimsoll state reset"
    )]
    Corrupt { path: String, reason: String },
    #[error(
        "state at {place} cannot be told whose it is: {reason}; bring plimsoll.json back from a backup, choose another \
         state.url, or begin anew with plimsoll state reset"
    )]
    Marker { place: String, reason: String },
    #[error(
        "state at {place} belongs to the deployment with kafka.prefix '{found}', this one has '{own}': give each \
         deployment a state.url of its own"
    )]
    OtherPrefix { place: String, found: String, own: String },
    #[error(
        "state at {place} belongs to the kafka cluster '{found}', kafka.brokers leads to '{own}': correct kafka.brokers \
         or choose another state.url"
    )]
    OtherCluster { place: String, found: String, own: String },
    #[error(
        "topic '{topic}' has {own} partitions, the state was made with {found} and would no longer fit the records: \
         stop every process, delete the topics of joins and panes, and count anew with plimsoll state reset"
    )]
    Partitions { topic: String, found: i32, own: i32 },
}

impl StateError {
    /// Whether `state.url`, `kafka.brokers` or `kafka.prefix` is at fault, not what is stored.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::OtherPrefix { .. } | Self::OtherCluster { .. })
    }
}

impl Write {
    #[must_use]
    pub fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { key: key.into(), value: value.into(), ttl: None }
    }

    #[must_use]
    pub fn merge(key: impl Into<Vec<u8>>, change: Vec<u8>) -> Self {
        Self::Merge { key: key.into(), change }
    }

    #[must_use]
    pub fn delete(key: impl Into<Vec<u8>>) -> Self {
        Self::Delete { key: key.into() }
    }
}

/// The smallest key above every key that starts with `prefix`, for [`Store::scan`].
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; prefix.len() + 1]
}
