//! Writing, reading and listing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use percent_encoding::percent_decode_str;
use slatedb::object_store::path::Path;
use slatedb::object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::digest::{Digester, Note};
use super::{ArtifactError, ArtifactPath, ArtifactSettings};
use crate::state::{StateError, open_objects};

/// The place of all artifacts of one deployment.
#[derive(Clone)]
pub struct Artifacts {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    max_file: u64,
    uploads: Arc<Semaphore>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub size: u64,
    pub sha256: String,
}

/// A file that is there.
pub struct Found {
    pub size: u64,
    /// None when it was not noted.
    pub sha256: Option<String>,
    pub content: BoxStream<'static, Result<Bytes, ArtifactError>>,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// None for a folder.
    pub size: Option<u64>,
}

const FILES: &str = "files";
const DIGESTS: &str = "sha256";

/// What is written in one go; S3 wants at least 5 MiB.
const PART: usize = 8 << 20;
/// Uploads under way at a time, each of which holds a part or two in memory.
const UPLOADS: usize = 8;
/// How long a client may pause within an upload.
const STALLED: Duration = Duration::from_mins(1);
/// Names that one folder may be listed with.
const LISTED: usize = 100_000;

impl Artifacts {
    /// Creates the folder if there is none; a bucket must exist.
    pub fn open(settings: &ArtifactSettings) -> Result<Self, StateError> {
        let (objects, prefix) = open_objects(&settings.url)?;
        Ok(Self { objects, prefix, max_file: settings.max_file, uploads: Arc::new(Semaphore::new(UPLOADS)) })
    }

    #[must_use]
    pub const fn max_file(&self) -> u64 {
        self.max_file
    }

    /// Writes a file in the place of what was there before. It can be seen once all of it has come.
    pub async fn put<E: fmt::Display>(
        &self,
        path: &ArtifactPath,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Stored, ArtifactError> {
        if path.is_root() {
            return Err(ArtifactError::Path { path: String::new(), reason: "it names no file" });
        }
        let _permit: SemaphorePermit<'_> =
            self.uploads.acquire().await.map_err(|error| failed(path, "written", &error))?;
        let location = self.location(FILES, path);
        let mut upload: Option<Box<dyn MultipartUpload>> = None;
        let written = self.write(path, &location, content, &mut upload).await;
        let (stored, put) = match written {
            Ok(written) => written,
            Err(error) => {
                if let Some(mut upload) = upload {
                    // Nothing of it can be seen; what cannot be tidied up is the store's to expire.
                    drop(upload.abort().await);
                }
                return Err(error);
            }
        };
        let note = Note { sha256: stored.sha256.clone(), e_tag: put.e_tag };
        let note = serde_json::to_vec(&note).map_err(|error| failed(path, "written", &error))?;
        let noted = self.objects.put(&self.location(DIGESTS, path), PutPayload::from(note)).await;
        noted.map_err(|error| failed(path, "written", &error))?;
        Ok(stored)
    }

    async fn write<E: fmt::Display>(
        &self,
        path: &ArtifactPath,
        location: &Path,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
        upload: &mut Option<Box<dyn MultipartUpload>>,
    ) -> Result<(Stored, PutResult), ArtifactError> {
        let storage = |error: Error| failed(path, "written", &error);
        let broken = |reason: String| ArtifactError::BrokenOff { path: path.to_string(), reason };
        let (mut digester, mut size, mut part) = (Digester::default(), 0_u64, BytesMut::new());
        futures::pin_mut!(content);
        loop {
            let next = tokio::time::timeout(STALLED, content.next()).await;
            let next = next.map_err(|_| broken(format!("nothing came for {} s", STALLED.as_secs())))?;
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|error| broken(error.to_string()))?;
            size += chunk.len() as u64;
            if size > self.max_file {
                return Err(ArtifactError::TooLarge { path: path.to_string(), limit: self.max_file });
            }
            digester.take(&chunk);
            part.extend_from_slice(&chunk);
            while part.len() >= PART {
                let full = part.split_to(PART).freeze();
                if upload.is_none() {
                    *upload = Some(self.objects.put_multipart(location).await.map_err(storage)?);
                }
                if let Some(upload) = upload.as_mut() {
                    upload.put_part(PutPayload::from(full)).await.map_err(storage)?;
                }
            }
        }
        let stored = Stored { size, sha256: digester.finish() };
        let rest = PutPayload::from(part.freeze());
        let put = match upload {
            None => self.objects.put(location, rest).await.map_err(storage)?,
            Some(upload) => {
                if rest.content_length() > 0 {
                    upload.put_part(rest).await.map_err(storage)?;
                }
                upload.complete().await.map_err(storage)?
            }
        };
        Ok((stored, put))
    }

    pub async fn get(&self, path: &ArtifactPath) -> Result<Found, ArtifactError> {
        let found = self.objects.get(&self.location(FILES, path)).await.map_err(|error| read_error(path, &error))?;
        let (size, e_tag) = (found.meta.size, found.meta.e_tag.clone());
        let sha256 = self.note(path).await.filter(|note| note.e_tag == e_tag).map(|note| note.sha256);
        let read = path.clone();
        let content = found.into_stream().map_err(move |error| read_error(&read, &error)).boxed();
        Ok(Found { size, sha256, content })
    }

    /// All of a file of at most `limit` bytes, if it is what was uploaded.
    pub async fn read(&self, path: &ArtifactPath, limit: u64) -> Result<Vec<u8>, ArtifactError> {
        let Found { size, sha256, mut content } = self.get(path).await?;
        if size > limit {
            return Err(ArtifactError::Large { path: path.to_string(), size, limit });
        }
        let (mut bytes, mut digester) = (Vec::new(), Digester::default());
        while let Some(chunk) = content.try_next().await? {
            digester.take(&chunk);
            bytes.extend_from_slice(&chunk);
        }
        let found = digester.finish();
        let noted = sha256.unwrap_or_else(|| "none".to_owned());
        if found != noted {
            return Err(ArtifactError::Changed { path: path.to_string(), found, noted });
        }
        Ok(bytes)
    }

    /// What stands directly in a folder, by name; nothing if it is a file, or is not there.
    pub async fn list(&self, path: &ArtifactPath) -> Result<Vec<Entry>, ArtifactError> {
        let location = self.location(FILES, path);
        let listed = self.objects.list_with_delimiter(Some(&location)).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(failed(path, "listed", &error)),
        };
        let folders = listed.common_prefixes.iter().map(|folder| (folder, None));
        let files = listed.objects.iter().map(|file| (&file.location, Some(file.size)));
        let mut entries = BTreeMap::new();
        for (found, size) in folders.chain(files).filter(|(found, _)| **found != location) {
            let name = found.filename().unwrap_or_default();
            entries.insert(percent_decode_str(name).decode_utf8_lossy().into_owned(), size);
        }
        if entries.len() > LISTED {
            return Err(failed(path, "listed", &format!("it holds more than {LISTED} names")));
        }
        Ok(entries.into_iter().map(|(name, size)| Entry { name, size }).collect())
    }

    /// Deletes a file, or a folder with everything in it; what is not there is no error.
    pub async fn delete(&self, path: &ArtifactPath) -> Result<(), ArtifactError> {
        if path.is_root() {
            return Err(ArtifactError::Path { path: String::new(), reason: "it names everything" });
        }
        for tree in [FILES, DIGESTS] {
            let location = self.location(tree, path);
            let listed = self.objects.list(Some(&location)).map_ok(|object| object.location);
            let mut found: Vec<Path> = listed.try_collect().await.map_err(|error| failed(path, "deleted", &error))?;
            found.push(location);
            for location in found {
                let Err(error) = self.objects.delete(&location).await else { continue };
                // Neither is what has gone, nor the folders of a file system, which are no objects.
                if self.objects.head(&location).await.is_ok() {
                    return Err(failed(path, "deleted", &error));
                }
            }
        }
        Ok(())
    }

    async fn note(&self, path: &ArtifactPath) -> Option<Note> {
        let found = self.objects.get(&self.location(DIGESTS, path)).await.ok()?;
        serde_json::from_slice(&found.bytes().await.ok()?).ok()
    }

    fn location(&self, tree: &str, path: &ArtifactPath) -> Path {
        path.parts().iter().fold(self.prefix.clone().join(tree), |location, part| location.join(part.as_str()))
    }
}

impl fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifacts")
            .field("prefix", &self.prefix)
            .field("max_file", &self.max_file)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("size", &self.size).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

fn failed(path: &ArtifactPath, action: &'static str, error: &dyn fmt::Display) -> ArtifactError {
    ArtifactError::Storage { path: path.to_string(), action, reason: error.to_string() }
}

fn read_error(path: &ArtifactPath, error: &Error) -> ArtifactError {
    match error {
        Error::NotFound { .. } => ArtifactError::Missing { path: path.to_string() },
        other => failed(path, "read", other),
    }
}
