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
        // A folder keeps the empty folders of what was deleted, a bucket does not.
        for base in [self.prefix.clone(), self.prefix.clone().join(NOTES)] {
            for role in self.folders(&base).await? {
                let folder = base.clone().join(role.as_str());
                let mut names = self.folders(&folder).await?;
                names.extend(self.files(&folder).await?);
                for source in names.iter().filter_map(|name| source_of(name)) {
                    if self.has_state(&role, &source).await? {
                        found.insert(StatePartition { role: role.clone(), source });
                    }
                }
            }
        }
        Ok(found.into_iter().collect())
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
        let reason = match (self.is_noted(role, source).await?, self.has_objects(&path).await?) {
            (_, true) => "its manifests are missing",
            (true, false) => "it was there before and is gone",
            (false, false) => return Ok(()),
        };
        Err(StateError::Corrupt { path: path.to_string(), reason: reason.to_owned() })
    }

    /// Notes that a partition has state.
    pub(super) async fn take_note(&self, role: &str, source: &SourcePartition) -> Result<(), StateError> {
        if self.is_noted(role, source).await? {
            return Ok(());
        }
        let written = self.objects.put(&self.note(role, source), PutPayload::from_static(b"")).await;
        written.map(|_| ()).map_err(|error| self.failed("written", &error))
    }

    async fn has_state(&self, role: &str, source: &SourcePartition) -> Result<bool, StateError> {
        Ok(self.is_noted(role, source).await? || self.has_objects(&self.path(role, source)).await?)
    }

    async fn is_noted(&self, role: &str, source: &SourcePartition) -> Result<bool, StateError> {
        match self.objects.head(&self.note(role, source)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    async fn has_objects(&self, path: &Path) -> Result<bool, StateError> {
        match self.objects.list(Some(path)).next().await {
            Some(Err(error)) => Err(self.failed("listed", &error)),
            found => Ok(found.is_some()),
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
