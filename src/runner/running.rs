//! The loop itself, step by step: the service and the simulation run this same code.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::outbox::HANDED_OVER_WITHIN;
use super::{Member, OpenPartition, Role, RoleError, RunnerSettings};
use crate::bus::{BusError, Outgoing, Polled, Records};
use crate::clock::{Span, Timestamp};
use crate::event::SourcePartition;
use crate::state::StateError;
use crate::telemetry::Health;

/// A role at work as one member of its group, with the partitions that it owns.
pub struct Running<'a> {
    role: &'a dyn Role,
    settings: &'a RunnerSettings,
    member: Box<dyn Member>,
    partitions: BTreeMap<SourcePartition, OpenPartition>,
    /// Of the role, when they were opened.
    revision: u64,
    /// Assigned, but opened by another process since, with the time when that showed.
    fenced: BTreeMap<SourcePartition, Timestamp>,
    /// Assigned, and not to be gone on with before somebody has mended them, with the reasons.
    stopped: BTreeMap<SourcePartition, String>,
    /// Since when the group has given it nothing to read, if it has not; a part of no partitions is an answer too.
    without_part: Option<Timestamp>,
    checkpointed: Timestamp,
}

/// How long a group may take to share its partitions before somebody should look: longer than the session of a member
/// that has died.
const SHARED_WITHIN: Span = Span::from_mins(1);

/// How long a partition may stay assigned to this process while another one has its state. The group should have told by
/// then; if it has not, the other was the one that did not know, and may be gone: joining anew settles who owns what.
const UNSETTLED: Span = Span::from_mins(1);

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error(
        "this process stood still between its checkpoint and its publication, and may not be the owner any more: \
         joining the group anew"
    )]
    Outdated,
    #[error("{0} is assigned to this process, but another one took its state over: joining the group anew")]
    Unsettled(SourcePartition),
}

impl std::fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("role", &self.role.name())
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

impl<'a> Running<'a> {
    #[must_use]
    pub fn new(role: &'a dyn Role, settings: &'a RunnerSettings, member: Box<dyn Member>) -> Self {
        let checkpointed = settings.clock.now();
        Self {
            role,
            settings,
            member,
            partitions: BTreeMap::new(),
            revision: role.revision(),
            fenced: BTreeMap::new(),
            stopped: BTreeMap::new(),
            without_part: Some(checkpointed),
            checkpointed,
        }
    }

    /// Goes on until the shutdown token is cancelled, then makes a last checkpoint and leaves the group.
    pub async fn follow(&mut self) -> Result<(), RunError> {
        while !self.settings.shutdown.is_cancelled() {
            self.step().await?;
        }
        tracing::info!(role = self.role.name(), "draining: last checkpoint");
        let sources: Vec<_> = self.partitions.keys().cloned().collect();
        self.release(&sources).await?;
        self.leave().await;
        Ok(())
    }

    /// After a failure: drops every partition as it is in its store; what was not written is read again.
    pub fn abandon(&mut self) {
        self.partitions.clear();
    }

    /// Leaves the group, so that its partitions go to others at once.
    pub async fn leave(&mut self) {
        self.member.leave().await;
    }

    async fn step(&mut self) -> Result<(), RunError> {
        match self.member.poll().await? {
            // Records are read again.
            Polled::Records(_) | Polled::Idle if self.is_outdated() => self.open_anew().await?,
            Polled::Records(batches) => self.apply(batches).await?,
            Polled::Assigned(sources) => {
                self.without_part = None;
                self.open(sources).await?;
            }
            Polled::Revoked(sources) => {
                self.release(&sources).await?;
                self.fenced.clear();
                self.stopped.clear();
                self.member.unassign().await?;
                self.without_part = Some(self.settings.clock.now());
            }
            Polled::Idle => {}
        }
        let now = self.settings.clock.now();
        self.look_at_part(now);
        if self.is_checkpoint_due(now) {
            self.checkpoint(now).await?;
        }
        match self.fenced.iter().find(|(_, since)| now.since(**since) >= UNSETTLED) {
            Some((source, _)) => Err(RunError::Unsettled(source.clone())),
            None => Ok(()),
        }
    }

    /// Says so when the group takes long to give this process its part: the role looks well, and reads nothing.
    fn look_at_part(&self, now: Timestamp) {
        let Some(since) = self.without_part.filter(|since| now.since(*since) >= SHARED_WITHIN) else { return };
        let reason = format!(
            "its consumer group has given it no part of the partitions since {since}: is a member of the group stuck, or \
             Kafka away? restart plimsoll if this stays"
        );
        self.settings.telemetry.report(self.role.name(), Health::Blocked(reason));
    }

    fn is_outdated(&self) -> bool {
        self.role.revision() != self.revision && !self.partitions.is_empty()
    }

    /// When its time has come, when memory fills up, and when the wall clock was set back: nobody knows then how long it
    /// has been.
    fn is_checkpoint_due(&self, now: Timestamp) -> bool {
        let elapsed = now.since(self.checkpointed);
        elapsed >= self.settings.checkpoint
            || elapsed < Span::ZERO
            || self.partitions.values().any(OpenPartition::is_full)
    }

    async fn apply(&mut self, batches: Vec<(SourcePartition, Records)>) -> Result<(), RunError> {
        let now = self.settings.clock.now();
        let stopped = self.stopped.len();
        for (source, records) in batches {
            let Some(partition) = self.partitions.get_mut(&source) else { continue };
            match partition.apply(&records, now).await {
                Err(RoleError::State(StateError::Fenced { path })) => self.let_go(&source, &path),
                Err(error) if error.is_permanent() => self.stop(&source, &error),
                Err(RoleError::ModelsChanged) => return self.open_anew().await,
                applied => applied?,
            }
        }
        if self.stopped.len() > stopped {
            self.read_on().await?;
        }
        Ok(())
    }

    /// Drops every partition as it is in its store, as after a failure, and goes on with machines of the newest revision.
    async fn open_anew(&mut self) -> Result<(), RunError> {
        let sources: Vec<_> = std::mem::take(&mut self.partitions).into_keys().collect();
        tracing::info!(role = self.role.name(), revision = self.role.revision(), "other models: opened anew");
        self.open(sources).await
    }

    /// Goes on with the partitions that are not stopped.
    async fn read_on(&mut self) -> Result<(), RunError> {
        let positions: Vec<_> = self.partitions.values().map(OpenPartition::position).collect();
        Ok(self.member.assign(&positions).await?)
    }

    async fn open(&mut self, sources: Vec<SourcePartition>) -> Result<(), RunError> {
        let mut positions = Vec::new();
        self.revision = self.role.revision();
        for source in sources {
            let partitions = self.member.partitions(&source.topic).await?;
            match self.open_one(&source, partitions).await {
                Ok(partition) => {
                    positions.push(partition.position());
                    self.partitions.insert(source, partition);
                }
                Err(RoleError::State(StateError::Fenced { path })) => self.let_go(&source, &path),
                Err(error) if error.is_permanent() => self.stop(&source, &error),
                Err(error) => return Err(error.into()),
            }
        }
        let from: Vec<_> = positions.iter().map(|position| (&position.source, position.next)).collect();
        tracing::info!(role = self.role.name(), partitions = ?from, "reading");
        self.member.assign(&positions).await?;
        if self.stopped.is_empty() {
            self.settings.telemetry.report(self.role.name(), Health::Ready);
        }
        self.checkpoint(self.settings.clock.now()).await
    }

    async fn open_one(&self, source: &SourcePartition, partitions: i32) -> Result<OpenPartition, RoleError> {
        let store = self.settings.state.open(self.role.name(), source).await?;
        OpenPartition::open(self.role, source.clone(), partitions, store, self.settings.clock.now()).await
    }

    /// Makes every partition durable, publishes their outboxes, then tells the group how far this got.
    async fn checkpoint(&mut self, now: Timestamp) -> Result<(), RunError> {
        self.checkpointed = now;
        for (source, partition) in &mut self.partitions {
            if partition.asks_for_end(now) {
                partition.take_end(self.member.is_at_end(source, partition.next_offset()).await);
            }
        }
        let stopped = self.stopped.len();
        let outgoing = self.write(now).await?;
        if self.stopped.len() > stopped {
            self.read_on().await?;
        }
        if !outgoing.is_empty() {
            if self.settings.clock.now().since(now) > HANDED_OVER_WITHIN {
                return Err(RunError::Outdated);
            }
            self.settings.producer.publish(outgoing).await?;
        }
        let mut committed = Vec::new();
        for (source, partition) in &mut self.partitions {
            partition.published();
            committed.extend(partition.next_offset().map(|offset| (source.clone(), offset)));
        }
        if let Err(error) = self.member.commit(&committed).await {
            // Only lag tools read the group's offsets; the store has the ones that count.
            tracing::debug!(role = self.role.name(), %error, "offsets not committed to the group");
        }
        Ok(())
    }

    /// Writes what every partition has changed and returns what they publish; those of others now are let go, and those that
    /// cannot go on are stopped.
    async fn write(&mut self, now: Timestamp) -> Result<Vec<Outgoing>, RunError> {
        // All at once: what takes the time is waiting for storage.
        let checkpoints = self.partitions.values_mut().map(|partition| partition.checkpoint(now));
        let written = join_all(checkpoints).await;
        let sources: Vec<_> = self.partitions.keys().cloned().collect();
        let mut outgoing = Vec::new();
        for (source, written) in sources.iter().zip(written) {
            match written {
                Ok(mut records) => outgoing.append(&mut records),
                Err(RoleError::State(StateError::Fenced { path })) => self.let_go(source, &path),
                Err(error) if error.is_permanent() => self.stop(source, &error),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outgoing)
    }

    async fn release(&mut self, sources: &[SourcePartition]) -> Result<(), RunError> {
        self.checkpoint(self.settings.clock.now()).await?;
        for source in sources {
            let Some(partition) = self.partitions.remove(source) else { continue };
            match partition.close().await {
                Err(RoleError::State(StateError::Fenced { path })) => self.let_go(source, &path),
                closed => closed?,
            }
        }
        Ok(())
    }

    /// Stops a partition that cannot go on, and says so until it is assigned anew; the others go on. Nothing of it is lost:
    /// its state is as of its last checkpoint, and its offset with it.
    fn stop(&mut self, source: &SourcePartition, error: &RoleError) {
        let reason = format!("{source} is stopped, others go on: {error}; restart plimsoll when that is mended");
        tracing::error!(role = self.role.name(), "{reason}");
        self.partitions.remove(source);
        self.stopped.insert(source.clone(), reason);
        let reasons: Vec<&str> = self.stopped.values().map(String::as_str).collect();
        self.settings.telemetry.report(self.role.name(), Health::Blocked(reasons.join("; ")));
    }

    /// Stops using a partition whose state another process has opened: nothing of it can be written any more.
    fn let_go(&mut self, source: &SourcePartition, path: &str) {
        tracing::warn!(role = self.role.name(), path, "partition is owned by another process now");
        self.partitions.remove(source);
        self.fenced.insert(source.clone(), self.settings.clock.now());
    }
}
