//! Which partitions have state, how large it is, and how it is deleted.
//!
//! Beside the database of each partition stands a note that there is one. A database whose manifest has gone would be
//! taken for a new one, and its partition read again from the beginning without a word; the note tells the two apart.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use slatedb::object_store::path::Path;
use slatedb::object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload};

use super::{StateError, StateRoot};
use crate::event::SourcePartition;

/// Where the notes stand at the root; no role has such a name.
const NOTES: &str = "_partitions";

/// State of one partition of one role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatePartition {
    pub role: String,
    pub source: SourcePartition,
}

/// What the object store holds of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    pub objects: u64,
    pub bytes: u64,
}

impl StateRoot {
    /// Every partition of every role that has state, or that a note says has some.
    pub async fn partitions(&self) -> Result<Vec<StatePartition>, StateError> {
        let mut found = BTreeSet::new();
        for base in [self.prefix.clone(), self.prefix.clone().join(NOTES)] {
            for role in self.folders(&base).await? {
                let folder = base.clone().join(role.as_str());
                let mut names = self.folders(&folder).await?;
                names.extend(self.files(&folder).await?);
                for source in names.iter().filter_map(|name| source_of(name)) {
                    found.insert(StatePartition { role: role.clone(), source });
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Roles that have state.
    pub(super) async fn roles(&self) -> Result<Vec<String>, StateError> {
        self.folders(&self.prefix).await
    }

    pub async fn size(&self, partition: &StatePartition) -> Result<StateSize, StateError> {
        let path = self.path(&partition.role, &partition.source);
        let mut objects = self.objects.list(Some(&path));
        let mut size = StateSize::default();
        while let Some(object) = objects.next().await {
            size.objects += 1;
            size.bytes += object.map_err(|error| self.failed("listed", &error))?.size;
        }
        Ok(size)
    }

    /// Deletes the state of one partition, the note first: what is left after a crash is refused, never taken for new.
    pub async fn delete(&self, partition: &StatePartition) -> Result<(), StateError> {
        let path = self.path(&partition.role, &partition.source);
        let listed = self.objects.list(Some(&path)).map_ok(|object| object.location);
        let mut paths: Vec<Path> = listed.try_collect().await.map_err(|error| self.failed("listed", &error))?;
        // Manifests go last, so that a reset that was cut short can be seen for what it is.
        paths.sort_by_key(|path| path.as_ref().contains("/manifest/"));
        paths.push(self.note(&partition.role, &partition.source));
        for path in paths {
            self.remove(&path).await?;
        }
        Ok(())
    }

    /// Deletes the marker: the next service to come makes the place its own.
    pub async fn release(&self) -> Result<(), StateError> {
        self.remove(&self.marker()).await
    }

    /// Refuses a database that has lost its manifest, or that has gone altogether.
    pub(super) async fn check_manifest(&self, role: &str, source: &SourcePartition) -> Result<(), StateError> {
        let path = self.path(role, source);
        if !self.files(&path.clone().join("manifest")).await?.is_empty() {
            return Ok(());
        }
        let is_noted = match self.objects.head(&self.note(role, source)).await {
            Ok(_) => true,
            Err(Error::NotFound { .. }) => false,
            Err(error) => return Err(self.failed("read", &error)),
        };
        let has_objects = self.objects.list(Some(&path)).next().await.is_some();
        let reason = match (is_noted, has_objects) {
            (_, true) => "its manifests are missing",
            (true, false) => "it was there before and is gone",
            (false, false) => return Ok(()),
        };
        Err(StateError::Corrupt { path: path.to_string(), reason: reason.to_owned() })
    }

    /// Notes that a partition has state.
    pub(super) async fn take_note(&self, role: &str, source: &SourcePartition) -> Result<(), StateError> {
        let note = self.note(role, source);
        match self.objects.head(&note).await {
            Ok(_) => Ok(()),
            Err(Error::NotFound { .. }) => {
                let written = self.objects.put(&note, PutPayload::from_static(b"")).await;
                written.map(|_| ()).map_err(|error| self.failed("written", &error))
            }
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    pub(super) fn path(&self, role: &str, source: &SourcePartition) -> Path {
        self.prefix.clone().join(role).join(source.to_string())
    }

    fn note(&self, role: &str, source: &SourcePartition) -> Path {
        self.prefix.clone().join(NOTES).join(role).join(source.to_string())
    }

    async fn remove(&self, path: &Path) -> Result<(), StateError> {
        match self.objects.delete(path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("deleted", &error)),
        }
    }

    /// Names of the folders in `path`, the notes left out.
    async fn folders(&self, path: &Path) -> Result<Vec<String>, StateError> {
        let listed = self.objects.list_with_delimiter(Some(path)).await.map_err(|e| self.failed("listed", &e))?;
        let names = listed.common_prefixes.iter().filter_map(Path::filename).map(str::to_owned);
        Ok(names.filter(|name| name != NOTES).collect())
    }

    async fn files(&self, path: &Path) -> Result<Vec<String>, StateError> {
        let listed = self.objects.list_with_delimiter(Some(path)).await.map_err(|e| self.failed("listed", &e))?;
        Ok(listed.objects.iter().filter_map(|object| object.location.filename()).map(str::to_owned).collect())
    }
}

/// `topic-partition`, as [`SourcePartition`] is written.
fn source_of(name: &str) -> Option<SourcePartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    Some(SourcePartition { topic: topic.to_owned(), partition: partition.parse().ok()? })
}
