//! Where state lives: a folder or a bucket, and the databases of the partitions in it.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use slatedb::Settings;
use slatedb::db_cache::DbCache;
use slatedb::db_cache::foyer::{FoyerCache, FoyerCacheOptions};
use slatedb::object_store::ObjectStore;
use slatedb::object_store::local::LocalFileSystem;
use slatedb::object_store::path::Path;

use super::slate::{self, SlateStore};
use super::watched::Watched;
use super::{StateError, Store, bucket};
use crate::event::SourcePartition;
use crate::telemetry::Telemetry;

#[derive(Clone, Debug)]
pub struct StateSettings {
    /// `file:///path`, `file://./relative/path` or `s3://bucket/prefix`; credentials, region and endpoint of S3 come
    /// from the usual `AWS_…` environment variables, or from the profile that they name.
    pub url: String,
    /// Memory of the block cache that all partitions share, in bytes.
    pub cache: u64,
}

/// The place of all state of one deployment.
#[derive(Clone)]
pub struct StateRoot {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    url: String,
    cache: Arc<dyn DbCache>,
    settings: Settings,
}

const FOLDER: &str = "file://";
const BUCKET: &str = "s3://";

/// Few, so that each is large enough for the indexes of big tables.
const CACHE_SHARDS: usize = 4;

impl StateRoot {
    /// Creates the folder if there is none; a bucket must exist.
    pub fn open(settings: &StateSettings) -> Result<Self, StateError> {
        Self::open_with(settings, &bucket::environment())
    }

    /// The same, with the environment variables by which a bucket is reached.
    pub fn open_with(settings: &StateSettings, environment: &BTreeMap<String, String>) -> Result<Self, StateError> {
        let cache = FoyerCacheOptions { max_capacity: settings.cache, shards: CACHE_SHARDS };
        let cache = Arc::new(FoyerCache::new_with_opts(cache));
        let (objects, prefix) = resolve(&settings.url, environment)?;
        let objects: Arc<dyn ObjectStore> = Arc::new(Watched::unwatched(objects));
        let on_folder = settings.url.starts_with(FOLDER);
        Ok(Self { objects, prefix, url: settings.url.clone(), cache, settings: slate::settings(on_folder) })
    }

    /// The same, with what fails told in logs, metrics and `/readyz`.
    #[must_use]
    pub fn watched_by(self, telemetry: &Telemetry) -> Self {
        let objects = Arc::new(Watched::new(self.objects, &self.url, telemetry));
        Self { objects, ..self }
    }

    /// Opens the store of one partition of one role, and fences whoever had it open before.
    pub async fn partition(&self, role: &str, source: &SourcePartition) -> Result<Arc<dyn Store>, StateError> {
        self.check_manifest(role, source).await?;
        let path = self.path(role, source);
        let store =
            SlateStore::open(path, self.settings.clone(), Arc::clone(&self.objects), Arc::clone(&self.cache)).await?;
        self.take_note(role, source).await?;
        Ok(Arc::new(store))
    }

    /// The place as the user wrote it, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        self.url.clone()
    }
}

impl std::fmt::Debug for StateRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateRoot")
            .field("objects", &self.objects)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// An object store that a URL names, and the prefix in it, for others who keep whole files.
pub fn open_objects(url: &str) -> Result<(Arc<dyn ObjectStore>, Path), StateError> {
    resolve(url, &bucket::environment())
}

fn resolve(url: &str, environment: &BTreeMap<String, String>) -> Result<(Arc<dyn ObjectStore>, Path), StateError> {
    let unusable = |reason: String| StateError::Url { url: url.to_owned(), reason };
    if let Some(path) = url.strip_prefix(FOLDER) {
        let objects = open_folder(path).map_err(unusable)?;
        return Ok((Arc::new(objects), Path::default()));
    }
    if let Some(place) = url.strip_prefix(BUCKET) {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(unusable("it names no bucket".to_owned()));
        }
        let objects = bucket::open(bucket, environment).map_err(unusable)?;
        return Ok((Arc::new(objects), Path::from(prefix)));
    }
    Err(unusable("it begins with neither file:// nor s3://".to_owned()))
}

/// Also proves that the folder can be written: later, SlateDB would retry for ever.
fn open_folder(path: &str) -> Result<LocalFileSystem, String> {
    if !path.starts_with('/') && !path.starts_with("./") && !path.starts_with("../") {
        return Err(format!("'{path}' begins with neither / nor ./"));
    }
    let folder = FilePath::new(path);
    std::fs::create_dir_all(folder).map_err(|error| format!("the folder cannot be created: {error}"))?;
    tempfile::tempfile_in(folder).map_err(|error| format!("the folder cannot be written: {error}"))?;
    let objects = LocalFileSystem::new_with_prefix(folder).map_err(|error| error.to_string())?;
    Ok(objects.with_fsync(slate::FSYNC))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<StateRoot, StateError> {
        StateRoot::open(&StateSettings { url: url.to_owned(), cache: 1 << 20 })
    }

    #[test]
    fn a_missing_folder_is_created() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data/state");
        open(&format!("file://{}", folder.display())).unwrap();
        assert!(folder.is_dir());
    }

    #[test]
    fn a_url_that_names_no_place_is_refused_with_the_way_out() {
        for url in ["", "data/state", "file://", "file://data/state", "s3://", "s3:///prefix", "http://bucket"] {
            let message = open(url).unwrap_err().to_string();
            assert!(message.contains("write file:///path or s3://bucket/prefix"), "{message}");
        }
    }

    #[test]
    fn a_folder_that_is_a_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(open(&format!("file://{}", file.path().display())), Err(StateError::Url { .. })));
    }

    #[test]
    fn a_bucket_is_split_from_its_prefix() {
        let root = open("s3://bucket/team/state").unwrap();
        assert_eq!(root.prefix, Path::from("team/state"));
    }
}
