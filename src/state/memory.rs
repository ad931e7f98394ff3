//! A store in memory, for tests and simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{StateError, Store, Write};

/// Handles share their rows, so a test can drop a machine and open it again on the same data.
///
/// Times to live are ignored: rows stay until they are deleted.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    rows: Arc<Mutex<BTreeMap<Vec<u8>, Bytes>>>,
}

impl MemoryStore {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Bytes>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        Ok(self.rows().get(key).cloned())
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StateError> {
        let rows = self.rows();
        Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
    }

    async fn scan(&self, from: &[u8], to: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StateError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let rows = self.rows();
        let range = rows.range(from.to_vec()..to.to_vec());
        Ok(range.map(|(key, value)| (Bytes::from(key.clone()), value.clone())).collect())
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StateError> {
        let mut rows = self.rows();
        for write in writes {
            match write {
                Write::Put { key, value, ttl: _ } => rows.insert(key, Bytes::from(value)),
                Write::Delete { key } => rows.remove(&key),
            };
        }
        Ok(())
    }

    /// Other handles go on working, as a store that was opened again would.
    async fn close(&self) -> Result<(), StateError> {
        Ok(())
    }
}
