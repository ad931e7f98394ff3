//! A store in memory, for tests and simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{StateError, Store, Write, packed};

/// Clones of a handle share its rows, so a test can drop a machine and open it again on the same data.
/// [`MemoryStore::reopen`] fences every handle that was opened before, as `SlateDB` does: they go on reading what they
/// have, and can write no more.
///
/// Times to live are ignored: rows stay until they are deleted.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    epoch: u64,
    rows: Rows,
    latest: Arc<Mutex<Latest>>,
}

type Rows = Arc<Mutex<BTreeMap<Vec<u8>, Bytes>>>;

/// The handle that was opened last.
#[derive(Debug, Default)]
struct Latest {
    epoch: u64,
    /// None until the first one is fenced.
    rows: Option<Rows>,
}

impl MemoryStore {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new handle on what is durable now; the earlier ones are fenced.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut latest = lock(&self.latest);
        latest.epoch += 1;
        let durable = lock(latest.rows.as_ref().unwrap_or(&self.rows)).clone();
        let rows = Rows::new(Mutex::new(durable));
        latest.rows = Some(Arc::clone(&rows));
        Self { epoch: latest.epoch, rows, latest: Arc::clone(&self.latest) }
    }

    /// Whether another handle was opened since.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        lock(&self.latest).epoch != self.epoch
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        Ok(lock(&self.rows).get(key).cloned())
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StateError> {
        let rows = lock(&self.rows);
        Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
    }

    async fn scan(&self, from: &[u8], to: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StateError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let rows = lock(&self.rows);
        let range = rows.range(from.to_vec()..to.to_vec());
        Ok(range.map(|(key, value)| (Bytes::from(key.clone()), value.clone())).collect())
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StateError> {
        let latest = lock(&self.latest);
        if latest.epoch != self.epoch {
            return Err(StateError::Fenced { path: format!("memory, opened as number {}", self.epoch) });
        }
        let mut rows = lock(&self.rows);
        for write in writes {
            match write {
                Write::Put { key, value, ttl: _ } => rows.insert(key, Bytes::from(value)),
                Write::Delete { key } => rows.remove(&key),
                Write::Merge { key, change } => {
                    let lists: Vec<&[u8]> = rows.get(&key).map(Bytes::as_ref).into_iter().chain([&*change]).collect();
                    let merged = packed::merge(&lists).map_err(|error| StateError::Storage {
                        path: "memory".to_owned(),
                        action: "written",
                        reason: error.to_string(),
                    })?;
                    rows.insert(key, Bytes::from(merged))
                }
            };
        }
        Ok(())
    }

    /// Other handles go on working, as a store that was opened again would.
    async fn close(&self) -> Result<(), StateError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handle_that_was_opened_before_reads_what_it_has_and_writes_no_more() {
        let old = MemoryStore::new();
        old.write(vec![Write::put("a", "1")]).await.unwrap();
        let new = old.reopen();
        new.write(vec![Write::put("a", "2")]).await.unwrap();
        assert!(matches!(old.write(vec![Write::put("a", "3")]).await, Err(StateError::Fenced { .. })));
        assert_eq!(old.get(b"a").await.unwrap(), Some(Bytes::from("1")));
        assert_eq!(new.get(b"a").await.unwrap(), Some(Bytes::from("2")));
        assert_eq!(old.reopen().get(b"a").await.unwrap(), Some(Bytes::from("2")));
    }
}
