//! An object store whose troubles are seen: SlateDB asks again for as long as it takes, and says nothing meanwhile.
//!
//! Asking again cannot mend an object that was cut short. A read beyond its end is told as a missing object, which SlateDB
//! takes for damage.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use prometheus::IntCounterVec;
use slatedb::object_store::path::Path;
use slatedb::object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use crate::telemetry::{Health, Telemetry};

/// The part's name in `/readyz`.
const PART: &str = "state";
/// A request that has had no answer for so long is told.
const SILENCE: Duration = Duration::from_secs(10);
const READ: &str = "read";
const WRITE: &str = "write";

/// Passes everything on and reports what fails, if anybody watches.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Arc<dyn ObjectStore>,
    watch: Option<Watch>,
}

/// A read begins behind the end of its object.
#[derive(Debug, thiserror::Error)]
#[error("{path} was cut short: it ends at byte {size}, before byte {wanted}")]
struct CutShort {
    path: String,
    size: u64,
    wanted: u64,
}

#[derive(Clone, Debug)]
struct Watch {
    place: String,
    silence: Duration,
    telemetry: Telemetry,
    failures: Option<IntCounterVec>,
    /// The operations whose last attempt failed.
    failing: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Watched {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, place: &str, telemetry: &Telemetry) -> Self {
        let help =
            "Requests to the object store of the state that failed or had no answer for 10 s; each is tried again";
        let failures = telemetry.counter("plimsoll_state_failures_total", help, &["operation"]);
        if let Err(error) = &failures {
            tracing::warn!(%error, "failures of the object store are not counted");
        }
        let failures = failures.ok();
        for operation in [READ, WRITE] {
            if let Some(failures) = &failures {
                // From the start, so that a rate over it sees the first failure.
                failures.with_label_values(&[operation]).inc_by(0);
            }
        }
        let (place, telemetry) = (place.to_owned(), telemetry.clone());
        let watch = Watch { place, silence: SILENCE, telemetry, failures, failing: Arc::default() };
        Self { inner, watch: Some(watch) }
    }

    pub(super) fn unwatched(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, watch: None }
    }

    /// Waits as long as it takes, and says meanwhile that nothing is heard.
    async fn attempt<T>(&self, operation: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let Some(watch) = &self.watch else { return work.await };
        futures::pin_mut!(work);
        loop {
            match tokio::time::timeout(watch.silence, &mut work).await {
                Ok(outcome) => return watch.see(operation, outcome),
                Err(_) => watch.unanswered(operation),
            }
        }
    }

    /// Tells a read behind the end of its object from one that may yet succeed.
    async fn explain(&self, location: &Path, wanted: u64, error: Error) -> Error {
        if !is_trouble(&error) {
            return error;
        }
        match self.inner.head(location).await {
            Ok(found) if found.size <= wanted => {
                let path = location.to_string();
                let cut = CutShort { path: path.clone(), size: found.size, wanted };
                Error::NotFound { path, source: Box::new(cut) }
            }
            _ => error,
        }
    }
}

impl Watch {
    fn see<T>(&self, operation: &'static str, outcome: Result<T>) -> Result<T> {
        match &outcome {
            Err(error) if is_trouble(error) => self.failed(operation, error),
            _ => self.worked(operation),
        }
        outcome
    }

    fn failed(&self, operation: &'static str, error: &Error) {
        let verb = if operation == WRITE { "written" } else { "read" };
        let cause = root_cause(error);
        self.tell(operation, format!("state at {} cannot be {verb}: {cause}; trying again until it can", self.place));
    }

    fn unanswered(&self, operation: &'static str) {
        let (place, seconds) = (&self.place, self.silence.as_secs());
        let reason = format!("state at {place} has not answered a {operation} for {seconds} s; waiting until it does");
        self.tell(operation, reason);
    }

    fn tell(&self, operation: &'static str, reason: String) {
        if let Some(failures) = &self.failures {
            failures.with_label_values(&[operation]).inc();
        }
        if self.failing.lock().unwrap_or_else(PoisonError::into_inner).insert(operation) {
            tracing::error!("{reason}");
        }
        self.telemetry.report(PART, Health::Blocked(reason));
    }

    fn worked(&self, operation: &'static str) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.remove(operation) && failing.is_empty() {
            tracing::info!(place = self.place, "the state's object store works again");
            self.telemetry.report(PART, Health::Ready);
        }
    }
}

/// Answers that SlateDB asks for: a missing object, or one that is there already.
const fn is_trouble(error: &Error) -> bool {
    !matches!(
        error,
        Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::NotImplemented { .. }
            | Error::NotSupported { .. }
    )
}

/// The innermost error, which is what an operator can do something about.
fn root_cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.attempt(WRITE, self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.attempt(WRITE, self.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let wanted = match &options.range {
            Some(GetRange::Bounded(range)) => Some(range.start),
            Some(GetRange::Offset(start)) => Some(*start),
            // The last bytes of an object that has none.
            Some(GetRange::Suffix(_)) => Some(0),
            None => None,
        };
        let reading = async {
            match (self.inner.get_opts(location, options).await, wanted) {
                (Err(error), Some(wanted)) => Err(self.explain(location, wanted, error).await),
                (outcome, _) => outcome,
            }
        };
        self.attempt(READ, reading).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let wanted = ranges.iter().map(|range| range.start).max().unwrap_or_default();
        let reading = async {
            match self.inner.get_ranges(location, ranges).await {
                Err(error) => Err(self.explain(location, wanted, error).await),
                found => found,
            }
        };
        self.attempt(READ, reading).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.attempt(READ, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.attempt(WRITE, self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.attempt(WRITE, self.inner.rename_opts(from, to, options)).await
    }
}

#[cfg(test)]
mod tests {
    use slatedb::object_store::local::LocalFileSystem;

    use super::*;

    #[tokio::test]
    async fn silence_is_told_and_ends_with_the_answer() {
        let folder = tempfile::tempdir().unwrap();
        let telemetry = Telemetry::default();
        let inner = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        let mut store = Watched::new(inner, "s3://x", &telemetry);
        store.watch.as_mut().unwrap().silence = Duration::from_millis(1);
        let (answer, waiting) = tokio::sync::oneshot::channel::<()>();
        let work = store.attempt(WRITE, async {
            waiting.await.map_err(|error| Error::Generic { store: "test", source: error.into() })
        });
        let watcher = async {
            let reason = loop {
                match telemetry.health().remove(PART) {
                    Some(Health::Blocked(reason)) => break reason,
                    _ => tokio::task::yield_now().await,
                }
            };
            assert!(reason.contains("s3://x has not answered a write"), "{reason}");
            answer.send(()).unwrap();
        };
        let (done, ()) = tokio::join!(work, watcher);
        assert!(done.is_ok() && telemetry.is_ready());
    }

    #[tokio::test]
    async fn a_failure_is_told_and_taken_back_and_a_missing_object_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let telemetry = Telemetry::default();
        let inner = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        let store = Watched::new(inner, "file:///x", &telemetry);
        let (there, not_there) = (Path::from("a/b"), Path::from("nothing"));
        assert!(store.get(&not_there).await.is_err());
        assert!(telemetry.health().is_empty());

        // A file where a folder must be.
        std::fs::write(folder.path().join("a"), "").unwrap();
        assert!(store.put(&there, PutPayload::from_static(b"1")).await.is_err());
        let health = telemetry.health().remove(PART);
        let Some(Health::Blocked(reason)) = health else { panic!("{health:?}") };
        assert!(reason.contains("file:///x cannot be written"), "{reason}");
        assert!(store.get(&not_there).await.is_err());
        assert!(!telemetry.is_ready(), "a read does not prove that writing works");

        std::fs::remove_file(folder.path().join("a")).unwrap();
        store.put(&there, PutPayload::from_static(b"1")).await.unwrap();
        assert_eq!(telemetry.health().remove(PART), Some(Health::Ready));
        let text = crate::telemetry::encode(telemetry.metrics().gather()).unwrap();
        assert!(text.contains("plimsoll_state_failures_total{operation=\"write\"} 1"), "{text}");
    }
}
