//! Plimsoll's own ingest: the real role in the real loop, stopped when every event is applied.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::usage::{Meter, Usage};
use crate::bus::{BusSettings, Consumer, Producer, Records};
use crate::clock::{Span, SystemClock, Timestamp};
use crate::event::{Accounting, SourcePartition};
use crate::ingest::IngestRole;
use crate::runner::{self, Checkpoint, Machine, Role, RoleError, RunnerSettings};
use crate::state::{StateRoot, StateSettings, Store};
use crate::telemetry::Telemetry;

/// As the service has by default.
pub(super) const EVERY_SECOND: Span = Span::from_secs(1);
/// Nothing is stored or published before the end.
pub(super) const ONCE_AT_THE_END: Span = Span::from_days(1);
/// As the service has by default.
const CACHE: u64 = 32 << 20;
/// Without progress for this long, ingest is taken for stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// One draining of the topic.
pub(super) struct Drain {
    pub(super) role: IngestRole,
    pub(super) bus: BusSettings,
    pub(super) group: String,
    pub(super) producer: Arc<Producer>,
    pub(super) events: u64,
    pub(super) checkpoint: Span,
}

/// The role, watched from outside.
struct Watched {
    role: IngestRole,
    watch: Arc<Watch>,
}

struct WatchedMachine {
    machine: Box<dyn Machine>,
    accounting: String,
    watch: Arc<Watch>,
}

/// How far it has come.
struct Watch {
    expected: u64,
    applied: AtomicU64,
    bytes: AtomicU64,
    /// Begins when the last partition has been opened, before the first record is fetched.
    meter: Mutex<Option<Meter>>,
    /// The newest books by partition.
    books: Mutex<BTreeMap<i32, Accounting>>,
    done: CancellationToken,
}

impl Drain {
    /// Ends with a last checkpoint that is durable, published and closed; that is part of what is measured.
    pub(super) async fn run(self) -> anyhow::Result<Usage> {
        let events = self.events;
        let watch = Arc::new(Watch {
            expected: events,
            applied: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            meter: Mutex::default(),
            books: Mutex::default(),
            done: CancellationToken::new(),
        });
        // Also ends the thread when this future is dropped.
        let _stop = watch.done.clone().drop_guard();
        let watched = Arc::clone(&watch);
        let mut running = tokio::task::spawn_blocking(move || self.drain(&watched));
        let mut before = 0;
        let usage = loop {
            if let Ok(ended) = tokio::time::timeout(PATIENCE, &mut running).await {
                break ended??;
            }
            let applied = watch.applied.load(Ordering::Relaxed);
            if applied == before {
                bail!("ingest stopped after {applied} of {events} events; --log info tells why");
            }
            before = applied;
        };
        watch.check()?;
        Ok(usage)
    }

    fn drain(self, watch: &Arc<Watch>) -> anyhow::Result<Usage> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let state = StateSettings { url: format!("file://{}", folder.path().display()), cache: CACHE };
        let telemetry = Telemetry::default();
        let settings = RunnerSettings {
            checkpoint: self.checkpoint,
            state: Arc::new(StateRoot::open(&state)?),
            producer: self.producer,
            clock: Arc::new(SystemClock),
            telemetry: telemetry.clone(),
            shutdown: watch.done.clone(),
        };
        let role = Watched { role: self.role, watch: Arc::clone(watch) };
        let consumer = || Consumer::new(&self.bus, &self.group, &role.topics(), &telemetry);
        runner::run(&role, &settings, &Handle::current(), &consumer);
        let meter = watch.meter().context("no partition was opened")?;
        Ok(meter.stop(watch.applied.load(Ordering::Relaxed), watch.bytes.load(Ordering::Relaxed)))
    }
}

#[async_trait]
impl Role for Watched {
    fn name(&self) -> &'static str {
        self.role.name()
    }

    fn topics(&self) -> Vec<String> {
        self.role.topics()
    }

    fn latest_by_key(&self) -> Vec<String> {
        self.role.latest_by_key()
    }

    async fn open(
        &self,
        source: &SourcePartition,
        partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError> {
        let machine = self.role.open(source, partitions, store).await?;
        *self.watch.meter() = Some(Meter::start());
        let accounting = self.role.topics.accounting.clone();
        Ok(Box::new(WatchedMachine { machine, accounting, watch: Arc::clone(&self.watch) }))
    }
}

#[async_trait]
impl Machine for WatchedMachine {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        self.machine.apply(records, now).await?;
        let count = records.len() as u64;
        self.watch.bytes.fetch_add(records.bytes() as u64, Ordering::Relaxed);
        if self.watch.applied.fetch_add(count, Ordering::Relaxed) + count >= self.watch.expected {
            self.watch.done.cancel();
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        let checkpoint = self.machine.checkpoint(now).await?;
        let books = checkpoint.outgoing.iter().filter(|record| record.topic == self.accounting);
        for payload in books.filter_map(|record| record.payload.as_deref()) {
            let books: Accounting =
                serde_json::from_slice(payload).map_err(|error| RoleError::Failed(error.to_string()))?;
            self.watch.books().insert(books.partition, books);
        }
        Ok(checkpoint)
    }
}

impl Watch {
    /// A rate is worth nothing when events were dropped or read twice on the way.
    fn check(&self) -> anyhow::Result<()> {
        let books = self.books();
        let counted: u64 = books.values().map(|books| books.counted).sum();
        let read: u64 = books.values().map(|books| books.read).sum();
        let expected = self.expected;
        ensure!(
            counted == expected && read == expected,
            "of {expected} events, {read} were read and {counted} counted"
        );
        Ok(())
    }

    fn meter(&self) -> MutexGuard<'_, Option<Meter>> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn books(&self) -> MutexGuard<'_, BTreeMap<i32, Accounting>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
