//! Reading a partition's state beside its owner: nothing is written and nobody is fenced.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use slatedb::config::{DbReaderOptions, ScanOptions};
use slatedb::{DbReader, DbReaderMode};

use super::packed::PackedRows;
use super::slate::{FORMAT_KEY, check_version, format_of, state_error};
use super::{StateError, StatePartition, StateRoot};

/// How often an object store that does not answer is asked again: whoever waits is a person.
const RETRIES: u32 = 5;
const READ_AHEAD: usize = 4 * 1024 * 1024;

/// The state of one partition as it was when this was opened, or later.
pub struct StateReader {
    db: DbReader,
    path: String,
}

impl std::fmt::Debug for StateReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateReader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl StateRoot {
    /// Opens a partition's state for reading only.
    pub async fn reader(&self, partition: &StatePartition) -> Result<StateReader, StateError> {
        self.check_manifest(&partition.role, &partition.source).await?;
        let path = self.path(&partition.role, &partition.source);
        let name = path.to_string();
        let options = DbReaderOptions { object_store_max_retries: Some(RETRIES), ..DbReaderOptions::default() };
        let building = DbReader::builder(path, Arc::clone(&self.objects))
            .with_reader_mode(DbReaderMode::FollowLatest)
            .with_options(options)
            .with_merge_operator(Arc::new(PackedRows))
            .build();
        let db = Box::pin(building).await.map_err(|error| state_error(&name, "opened", &error))?;
        Ok(StateReader { db, path: name })
    }
}

impl StateReader {
    /// The version of how rows are written; any other than this build's is an error.
    pub async fn format(&self) -> Result<u32, StateError> {
        let corrupt = |reason: String| StateError::Corrupt { path: self.path.clone(), reason };
        let value = self.get(FORMAT_KEY).await?.ok_or_else(|| corrupt("its format version is missing".to_owned()))?;
        let found = format_of(&value).map_err(corrupt)?;
        check_version(&self.path, found)?;
        Ok(found)
    }

    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        self.db.get(key).await.map_err(|error| state_error(&self.path, "read", &error))
    }

    /// Shows every row to `look`, in key order, until it breaks off; memory does not grow with the rows.
    pub async fn each(&self, mut look: impl FnMut(&[u8], &[u8]) -> ControlFlow<()> + Send) -> Result<(), StateError> {
        let failed = |error: slatedb::Error| state_error(&self.path, "read", &error);
        let options = ScanOptions::default().with_read_ahead_bytes(READ_AHEAD);
        let mut rows = self.db.scan_with_options(.., &options).await.map_err(failed)?;
        while let Some(row) = rows.next().await.map_err(failed)? {
            if look(&row.key, &row.value).is_break() {
                break;
            }
        }
        Ok(())
    }

    pub async fn close(self) -> Result<(), StateError> {
        self.db.close().await.map_err(|error| state_error(&self.path, "closed", &error))
    }
}
