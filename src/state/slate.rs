//! SlateDB on an object store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use slatedb::config::{
    CompactionWorkerOptions, CompactorOptions, FlushOptions, FlushType, GarbageCollectorDirectoryOptions,
    GarbageCollectorOptions, PutOptions, ScanOptions, Settings, SizeTieredCompactionSchedulerOptions, Ttl,
};
use slatedb::db_cache::DbCache;
use slatedb::object_store::ObjectStore;
use slatedb::object_store::path::Path;
use slatedb::{CloseReason, Db, Error, ErrorKind, WriteBatch};
use xxhash_rust::xxh3::xxh3_64;

use super::packed::PackedRows;
use super::{StateError, Store, Write, prefix_end};
use crate::clock::Span;

/// One SlateDB database: the state of one partition of one role.
pub(super) struct SlateStore {
    db: Db,
    path: String,
    /// Writes since the memtable was last flushed.
    unflushed: AtomicU64,
    /// Number of the next write.
    next_write: AtomicU64,
}

/// The version of how rows are written that this build reads and writes.
pub(super) const FORMAT: u32 = 3;
pub(super) const FORMAT_KEY: &[u8] = b"meta/format";

/// A folder must survive a power cut as a bucket does: without it, files that were renamed into place may be empty.
pub(super) const FSYNC: bool = true;

/// The numbers of the last writes, more than the log ever holds; each takes the place of an older one.
const WRITES: &[u8] = b"meta/write/";
const WRITES_KEPT: u64 = 4 * WRITES_PER_MEMTABLE;

const MIB: usize = 1024 * 1024;

/// Small tables keep little in memory; many of them may wait for the next compaction.
const L0_TABLES: usize = 32;

/// Reads of one [`Store::get_many`] that run at a time.
const CONCURRENT_READS: usize = 64;

/// Each durable write is a log object of its own; opening reads those since the last flush of the memtable.
const WRITES_PER_MEMTABLE: u64 = 512;

/// Tables that were compacted into others stay for whoever still reads by the manifest of before, which every process
/// looks up anew within seconds; as long as a scan of everything takes.
const TABLES_OUTLIVE_COMPACTION: Duration = Duration::from_mins(5);

/// The object store is asked again for as long as it does not answer; how often that is said.
const PATIENCE: Duration = Duration::from_secs(10);

impl SlateStore {
    pub(super) async fn open(
        path: Path,
        settings: Settings,
        objects: Arc<dyn ObjectStore>,
        cache: Arc<dyn DbCache>,
    ) -> Result<Self, StateError> {
        let name = path.to_string();
        let cache_id = xxh3_64(name.as_bytes());
        let builder = Db::builder(path, objects)
            .with_settings(settings)
            .with_db_cache(cache, cache_id)
            .with_merge_operator(Arc::new(PackedRows));
        let opening = Box::pin(builder.build());
        let db = patiently(&name, "opened", opening).await?;
        let store = Self { db, path: name, unflushed: AtomicU64::new(0), next_write: AtomicU64::new(0) };
        store.check_writes().await?;
        store.check_format().await?;
        Ok(store)
    }

    /// Refuses a log with a hole: SlateDB takes an object that was emptied for a fence, and goes on behind it.
    async fn check_writes(&self) -> Result<(), StateError> {
        let mut writes = BTreeSet::new();
        for (_, value) in self.scan(WRITES, &prefix_end(WRITES)).await? {
            writes.extend(<[u8; 8]>::try_from(value.as_ref()).ok().map(u64::from_be_bytes));
        }
        let (Some(first), Some(last)) = (writes.first().copied(), writes.last().copied()) else { return Ok(()) };
        let expected = (last + 1).min(WRITES_KEPT);
        if last - first + 1 != expected || writes.len() as u64 != expected {
            let reason = format!("of its last {expected} writes only {} are there", writes.len());
            return Err(StateError::Corrupt { path: self.path.clone(), reason });
        }
        self.next_write.store(last + 1, Ordering::Relaxed);
        Ok(())
    }

    async fn check_format(&self) -> Result<(), StateError> {
        let Some(value) = self.get(FORMAT_KEY).await? else {
            return self.write(vec![Write::put(FORMAT_KEY, FORMAT.to_string())]).await;
        };
        let corrupt = |reason| StateError::Corrupt { path: self.path.clone(), reason };
        let found = format_of(&value).map_err(corrupt)?;
        check_version(&self.path, found)
    }

    /// SlateDB panics on an empty key, so it is refused here.
    fn batch(&self, writes: Vec<Write>) -> Result<WriteBatch, StateError> {
        let mut batch = WriteBatch::new();
        // Taken only by a write that succeeds: one that is tried again has the same number.
        let number = self.next_write.load(Ordering::Relaxed);
        batch.put([WRITES, &(number % WRITES_KEPT).to_be_bytes()].concat(), number.to_be_bytes());
        for write in writes {
            let (Write::Put { key, .. } | Write::Delete { key } | Write::Merge { key, .. }) = &write;
            if key.is_empty() {
                let reason = "a key is empty".to_owned();
                return Err(StateError::Storage { path: self.path.clone(), action: "written", reason });
            }
            match write {
                Write::Put { key, value, ttl } => {
                    let options = PutOptions { ttl: time_to_live(ttl) };
                    batch.put_bytes_with_options(key.into(), value.into(), &options);
                }
                Write::Delete { key } => batch.delete(key),
                Write::Merge { key, change } => batch.merge(key, change),
            }
        }
        Ok(batch)
    }

    /// Keeps the log short, so that opening stays fast and old log objects can be collected.
    async fn flush_memtable_sometimes(&self) -> Result<(), StateError> {
        if self.unflushed.fetch_add(1, Ordering::Relaxed) + 1 < WRITES_PER_MEMTABLE {
            return Ok(());
        }
        self.unflushed.store(0, Ordering::Relaxed);
        let flush = self.db.flush_with_options(FlushOptions { flush_type: FlushType::MemTable });
        patiently(&self.path, "flushed", flush).await
    }
}

#[async_trait]
impl Store for SlateStore {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        patiently(&self.path, "read", self.db.get(key)).await
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StateError> {
        // In key order, so that neighbours share the blocks that are read.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by(|a, b| keys[*a].cmp(&keys[*b]));
        let db = &self.db;
        let reads = async {
            let reads = stream::iter(order)
                .map(|index| async move { db.get(&keys[index]).await.map(|value| (index, value)) })
                .buffer_unordered(CONCURRENT_READS);
            reads.try_collect::<Vec<_>>().await
        };
        let mut values = vec![None; keys.len()];
        for (index, value) in patiently(&self.path, "read", reads).await? {
            values[index] = value;
        }
        Ok(values)
    }

    async fn scan(&self, from: &[u8], to: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StateError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let options = ScanOptions::default().with_read_ahead_bytes(MIB);
        let scan = async {
            let mut rows = Vec::new();
            let mut found = self.db.scan_with_options(from..to, &options).await?;
            while let Some(row) = found.next().await? {
                rows.push((row.key, row.value));
            }
            Ok(rows)
        };
        patiently(&self.path, "read", scan).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StateError> {
        let batch = self.batch(writes)?;
        let write = async {
            let written = self.db.write(batch).await?;
            self.db.flush().await?;
            written.await_durable().await
        };
        patiently(&self.path, "written", write).await?;
        self.next_write.fetch_add(1, Ordering::Relaxed);
        self.flush_memtable_sometimes().await
    }

    async fn close(&self) -> Result<(), StateError> {
        patiently(&self.path, "closed", self.db.close()).await
    }
}

/// The format version that a row holds.
pub(super) fn format_of(value: &[u8]) -> Result<u32, String> {
    let found = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    found.ok_or_else(|| format!("its format version is {:?}", String::from_utf8_lossy(value)))
}

pub(super) fn check_version(path: &str, found: u32) -> Result<(), StateError> {
    let path = path.to_owned();
    match found {
        FORMAT => Ok(()),
        ..FORMAT => Err(StateError::OlderFormat { path, found, known: FORMAT }),
        _ => Err(StateError::NewerFormat { path, found, known: FORMAT }),
    }
}

/// Waits for the object store as long as it takes, and says so meanwhile.
async fn patiently<T>(
    path: &str,
    action: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, StateError> {
    futures::pin_mut!(work);
    loop {
        if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
            return done.map_err(|error| state_error(path, action, &error));
        }
        tracing::warn!(path, action, "state is waiting for its object store");
    }
}

pub(super) fn state_error(path: &str, action: &'static str, error: &Error) -> StateError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::Closed(CloseReason::Fenced) => StateError::Fenced { path },
        ErrorKind::Data => StateError::Corrupt { path, reason: error.to_string() },
        // SlateDB asks for objects as long as they do not come: what fails at the opening is what they hold.
        ErrorKind::Internal | ErrorKind::Invalid if action == "opened" => {
            StateError::Corrupt { path, reason: error.to_string() }
        }
        _ => StateError::Storage { path, action, reason: error.to_string() },
    }
}

fn time_to_live(ttl: Option<Span>) -> Ttl {
    match ttl {
        Some(span) => Ttl::ExpireAfterMillis(u64::try_from(span.millis()).unwrap_or(0)),
        None => Ttl::NoExpiry,
    }
}

/// A process has about ten of these databases open, in less than 300 MiB with everything else.
pub(super) fn settings(on_folder: bool) -> Settings {
    Settings {
        // Every write flushes the log itself: nothing is left for a timer.
        flush_interval: None,
        manifest_poll_interval: Duration::from_secs(5),
        l0_sst_size_bytes: 2 * MIB,
        max_unflushed_bytes: 8 * MIB,
        l0_max_ssts: L0_TABLES,
        l0_max_ssts_per_key: L0_TABLES,
        l0_flush_parallelism: 1,
        compactor_options: Some(compaction()),
        garbage_collector_options: Some(garbage_collection(on_folder)),
        ..Settings::default()
    }
}

fn compaction() -> CompactorOptions {
    CompactorOptions {
        max_concurrent_compactions: 1,
        checkpoint_lifetime: TABLES_OUTLIVE_COMPACTION,
        scheduler_options: SizeTieredCompactionSchedulerOptions {
            max_compaction_sources: L0_TABLES / 2,
            ..SizeTieredCompactionSchedulerOptions::default()
        }
        .into(),
        worker: Some(CompactionWorkerOptions {
            max_concurrent_compactions: 1,
            max_sst_size: 32 * MIB,
            max_fetch_tasks: 2,
            bytes_to_fetch: MIB / 2,
            max_subcompactions: 1,
            ..CompactionWorkerOptions::default()
        }),
        ..CompactorOptions::default()
    }
}

fn garbage_collection(on_folder: bool) -> GarbageCollectorOptions {
    // Looking costs nothing in a folder, and requests in a bucket.
    let every = if on_folder { 1 } else { 5 };
    let after = |minutes: u64| {
        let interval = Some(Duration::from_mins(every));
        Some(GarbageCollectorDirectoryOptions { interval, min_age: Duration::from_mins(minutes), dry_run: false })
    };
    GarbageCollectorOptions {
        wal_options: after(5),
        compacted_options: after(5),
        manifest_options: after(60),
        compactions_options: after(60),
        // A fence must outlive any writer that was suspended before it noticed; it is an empty object.
        wal_fence_options: after(30 * 24 * 60),
        detach_options: None,
        // Folders know no conditional overwrite, and without it SlateDB would delete nothing there.
        boundary_files_enabled: !on_folder,
        ..GarbageCollectorOptions::default()
    }
}
