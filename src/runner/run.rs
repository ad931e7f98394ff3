//! The loop around the machines of one role.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{OpenPartition, Role, RoleError};
use crate::bus::{BusError, Consumer, Polled, Producer, Records};
use crate::clock::{Clock, Span, Timestamp};
use crate::event::SourcePartition;
use crate::state::{StateError, StateRoot};
use crate::telemetry::{Health, Telemetry};

/// Records taken from the bus in one go.
const BATCH: usize = 4_096;
/// How long a poll waits, and so the longest delay of a shutdown.
const POLL: Duration = Duration::from_millis(50);
/// First and longest pause after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

pub struct RunnerSettings {
    /// How often state is written.
    pub checkpoint: Span,
    pub state: Arc<StateRoot>,
    pub producer: Arc<Producer>,
    pub clock: Arc<dyn Clock>,
    pub telemetry: Telemetry,
    pub shutdown: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Role(#[from] RoleError),
}

struct Running<'a> {
    role: &'a dyn Role,
    settings: &'a RunnerSettings,
    runtime: &'a Handle,
    consumer: Consumer,
    partitions: BTreeMap<SourcePartition, OpenPartition>,
    checkpointed: Timestamp,
}

impl std::fmt::Debug for RunnerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunnerSettings").field("checkpoint", &self.checkpoint).finish_non_exhaustive()
    }
}

/// Runs a role until the shutdown token is cancelled, then makes a last checkpoint. Blocks its thread.
///
/// After a failure everything is closed and opened again from the store, with growing pauses: what was not in the
/// store is read once more.
pub fn run(
    role: &dyn Role,
    settings: &RunnerSettings,
    runtime: &Handle,
    consumer: &dyn Fn() -> Result<Consumer, BusError>,
) {
    let mut pause = BACKOFF.0;
    while !settings.shutdown.is_cancelled() {
        settings.telemetry.report(role.name(), Health::Starting);
        let started = settings.clock.now();
        let outcome = consumer().map_err(RunError::from).and_then(|consumer| {
            let mut running =
                Running { role, settings, runtime, consumer, partitions: BTreeMap::new(), checkpointed: started };
            running.follow()?;
            running.consumer.leave();
            Ok(())
        });
        let Err(error) = outcome else { return };
        tracing::error!(role = role.name(), %error, "role stopped, starting again from its state");
        settings.telemetry.report(role.name(), Health::Blocked(error.to_string()));
        if settings.clock.now().since(started) > Span::from_mins(1) {
            pause = BACKOFF.0;
        }
        runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = settings.shutdown.cancelled() => {}
            }
        });
        pause = (pause * 2).min(BACKOFF.1);
    }
}

impl Running<'_> {
    fn follow(&mut self) -> Result<(), RunError> {
        while !self.settings.shutdown.is_cancelled() {
            match self.consumer.poll(BATCH, POLL)? {
                Polled::Records(batches) => self.apply(batches)?,
                Polled::Assigned(sources) => self.open(sources)?,
                Polled::Revoked(sources) => {
                    self.release(&sources)?;
                    self.consumer.unassign()?;
                }
                Polled::Idle => {}
            }
            let now = self.settings.clock.now();
            if now.since(self.checkpointed) >= self.settings.checkpoint {
                self.checkpoint(now)?;
            }
        }
        tracing::info!(role = self.role.name(), "draining: last checkpoint");
        let sources: Vec<_> = self.partitions.keys().cloned().collect();
        self.release(&sources)
    }

    fn apply(&mut self, batches: Vec<(SourcePartition, Records)>) -> Result<(), RunError> {
        let now = self.settings.clock.now();
        for (source, records) in batches {
            if let Some(partition) = self.partitions.get_mut(&source) {
                self.runtime.block_on(partition.apply(&records, now))?;
            }
        }
        Ok(())
    }

    fn open(&mut self, sources: Vec<SourcePartition>) -> Result<(), RunError> {
        let mut offsets = Vec::new();
        for source in sources {
            let partitions = self.consumer.partitions(&source.topic)?;
            let partition = self.runtime.block_on(async {
                let store = self.settings.state.partition(self.role.name(), &source).await?;
                OpenPartition::open(self.role, source.clone(), partitions, store).await
            })?;
            offsets.push((source.clone(), partition.next_offset()));
            self.partitions.insert(source, partition);
        }
        tracing::info!(role = self.role.name(), partitions = ?offsets, "reading");
        self.consumer.assign(&offsets)?;
        self.settings.telemetry.report(self.role.name(), Health::Ready);
        self.checkpoint(self.settings.clock.now())
    }

    /// Makes every partition durable, publishes their outboxes, then tells the group how far this got.
    fn checkpoint(&mut self, now: Timestamp) -> Result<(), RunError> {
        self.checkpointed = now;
        let mut outgoing = Vec::new();
        let mut publishing = Vec::new();
        let mut fenced = Vec::new();
        // All at once: what takes the time is waiting for storage.
        let checkpoints = self.partitions.values_mut().map(|partition| partition.checkpoint(now));
        let written = self.runtime.block_on(join_all(checkpoints));
        for (source, written) in self.partitions.keys().zip(written) {
            match written {
                Ok(records) if records.is_empty() => publishing.push(source.clone()),
                Ok(mut records) => {
                    outgoing.append(&mut records);
                    publishing.push(source.clone());
                }
                Err(RoleError::State(StateError::Fenced { path })) => {
                    tracing::warn!(role = self.role.name(), path, "partition is owned by another process now");
                    fenced.push(source.clone());
                }
                Err(error) => return Err(error.into()),
            }
        }
        for source in fenced {
            self.partitions.remove(&source);
        }
        if !outgoing.is_empty() {
            self.runtime.block_on(self.settings.producer.publish(outgoing))?;
        }
        let mut committed = Vec::new();
        for source in publishing {
            if let Some(partition) = self.partitions.get_mut(&source) {
                partition.published();
                committed.extend(partition.next_offset().map(|offset| (source, offset)));
            }
        }
        if let Err(error) = self.consumer.commit(&committed) {
            // Only lag tools read the group's offsets; the store has the ones that count.
            tracing::debug!(role = self.role.name(), %error, "offsets not committed to the group");
        }
        Ok(())
    }

    fn release(&mut self, sources: &[SourcePartition]) -> Result<(), RunError> {
        self.checkpoint(self.settings.clock.now())?;
        for source in sources {
            if let Some(partition) = self.partitions.remove(source) {
                self.runtime.block_on(partition.close())?;
            }
        }
        Ok(())
    }
}
