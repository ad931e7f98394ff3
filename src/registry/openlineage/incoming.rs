//! Run events of others, from a topic: each becomes a command.

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::event::{EventError, RunEvent};
use crate::bus::{Outgoing, Record, Records, Topics};
use crate::clock::Timestamp;
use crate::event::{DeadLetter, Reason, SourcePartition, to_json};
use crate::registry::command::{Change, Command, MAX_COMMAND};
use crate::runner::{Checkpoint, Machine, RoleError};

/// Who they are in the audit.
pub(in crate::registry) const USER: &str = "openlineage";
/// Records that wait for a checkpoint at most.
const FULL: usize = 1_000;

pub(super) struct Incoming {
    source: SourcePartition,
    commands: String,
    deadletter: String,
    outgoing: Vec<Outgoing>,
}

impl Incoming {
    pub(super) fn new(source: &SourcePartition, topics: &Topics) -> Self {
        Self {
            source: source.clone(),
            commands: topics.registry_commands.clone(),
            deadletter: topics.deadletter.clone(),
            outgoing: Vec::new(),
        }
    }

    /// What is not for the registry is let pass; what cannot be read is a dead letter.
    fn take(&mut self, record: &Record<'_>, now: Timestamp) -> Result<(), RoleError> {
        let Some(payload) = record.payload else { return Ok(()) };
        if payload.len() > MAX_COMMAND {
            self.bury(record, payload, Reason::TooLarge, format!("at most {MAX_COMMAND} bytes are allowed"));
            return Ok(());
        }
        match RunEvent::parse(payload) {
            Ok(event) if event.is_own() => {}
            Ok(event) => self.command(record, &event, now)?,
            Err(EventError::NoRun) => tracing::debug!(source = %self.source, offset = record.offset, "no run event"),
            Err(EventError::TooLarge(detail)) => self.bury(record, payload, Reason::TooLarge, detail),
            Err(EventError::Malformed(detail)) => self.bury(record, payload, Reason::MalformedJson, detail),
        }
        Ok(())
    }

    /// Its id is that of the record, so that a record that is read again is decided once.
    fn command(&mut self, record: &Record<'_>, event: &RunEvent, now: Timestamp) -> Result<(), RoleError> {
        let hash = Sha256::digest(format!("{}/{}", self.source, record.offset));
        let mut id = format!("{hash:x}");
        id.truncate(32);
        let command = Command {
            id: id.clone(),
            at: now,
            user: USER.to_owned(),
            reason: format!("{} record {}", self.source, record.offset),
            expected_revision: None,
            gated: false,
            change: Change::RecordLineage { told: event.told() },
        };
        self.outgoing.push(Outgoing {
            topic: self.commands.clone(),
            partition: Some(0),
            key: Some(id.into_bytes()),
            payload: Some(to_json(&command)?),
            ..Outgoing::default()
        });
        Ok(())
    }

    fn bury(&mut self, record: &Record<'_>, payload: &[u8], reason: Reason, detail: String) {
        let (payload, cut_from) = DeadLetter::kept(payload);
        let letter = DeadLetter {
            reason,
            field: None,
            detail,
            topic: self.source.topic.clone(),
            partition: self.source.partition,
            offset: record.offset,
            key: record.key.map(<[u8]>::to_vec),
            payload: Some(payload),
            cut_from,
        };
        self.outgoing.push(Outgoing {
            topic: self.deadletter.clone(),
            headers: letter.headers(),
            key: letter.key,
            payload: letter.payload,
            ..Outgoing::default()
        });
    }
}

#[async_trait]
impl Machine for Incoming {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        for record in records.iter() {
            self.take(&record, now)?;
        }
        Ok(())
    }

    async fn checkpoint(&mut self, _: Timestamp) -> Result<Checkpoint, RoleError> {
        Ok(Checkpoint { writes: Vec::new(), outgoing: std::mem::take(&mut self.outgoing) })
    }

    fn is_full(&self) -> bool {
        self.outgoing.len() >= FULL
    }
}
