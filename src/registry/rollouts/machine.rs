//! The state machine of the registry's log, as far as it is about rollouts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::alert;
use super::fold::Rollouts;
use super::role::Windows;
use crate::bus::{Outgoing, Record, Records, Topics};
use crate::clock::Timestamp;
use crate::event::{
    Alert, FormatError, Rollout, RolloutAnalysis, RolloutVerdict, SourcePartition, from_json, key_of, to_json,
};
use crate::registry::command::{Change, Command};
use crate::registry::event::{Event, RolloutChange};
use crate::registry::record::Decision;
use crate::registry::rows::{decode, encode};
use crate::rollout::{Question, Transition, analyse, next};
use crate::runner::{Checkpoint, Machine, RoleError};
use crate::state::{StateError, Store, Write, prefix_end};

/// Who asks, in the audit.
const USER: &str = "rollouts";
const SEQUENCE: &str = "sequence";
const ROLLOUT: &str = "rollout/";
const ALERT: &str = "alert/";

pub(super) struct RolloutMachine {
    source: SourcePartition,
    commands: String,
    alert_topic: String,
    windows: Arc<dyn Windows>,
    rollouts: Rollouts,
    /// Those that fire, by model.
    alerts: BTreeMap<String, Alert>,
    /// Of the last decision that was read: after a crash the end of the log may be published again.
    sequence: u64,
    /// Revisions about which a command is under way, by rollout.
    asked: BTreeMap<String, u64>,
    /// Whether the log has once been read to its end: what is known of a rollout is old before.
    is_caught_up: bool,
    /// Since the last checkpoint.
    has_read: bool,
    changed: BTreeSet<String>,
    changed_alerts: BTreeSet<String>,
    outgoing: Vec<Outgoing>,
}

impl RolloutMachine {
    pub(super) async fn open(
        source: &SourcePartition,
        topics: &Topics,
        windows: Arc<dyn Windows>,
        store: &dyn Store,
    ) -> Result<Self, StateError> {
        let corrupt = |reason: String| StateError::Corrupt { path: format!("rollouts/{source}"), reason };
        let sequence = store.get(SEQUENCE.as_bytes()).await?;
        let sequence = sequence.map_or(Ok(0), |bytes| decode(&bytes)).map_err(corrupt)?;
        let mut rollouts = Rollouts::default();
        for (_, value) in store.scan(ROLLOUT.as_bytes(), &prefix_end(ROLLOUT.as_bytes())).await? {
            rollouts.restore(decode(&value).map_err(corrupt)?);
        }
        let mut alerts = BTreeMap::new();
        for (_, value) in store.scan(ALERT.as_bytes(), &prefix_end(ALERT.as_bytes())).await? {
            let alert: Alert = decode(&value).map_err(corrupt)?;
            alerts.insert(alert.population.model.clone(), alert);
        }
        Ok(Self {
            source: source.clone(),
            commands: topics.registry_commands.clone(),
            alert_topic: topics.alerts.clone(),
            windows,
            rollouts,
            alerts,
            sequence,
            asked: BTreeMap::new(),
            is_caught_up: false,
            has_read: false,
            changed: BTreeSet::new(),
            changed_alerts: BTreeSet::new(),
            outgoing: Vec::new(),
        })
    }

    fn take(&mut self, decision: &Decision) -> Result<(), RoleError> {
        if decision.sequence <= self.sequence {
            return Ok(());
        }
        self.sequence = decision.sequence;
        self.has_read = true;
        for event in decision.events() {
            match event {
                Event::RolloutChanged { change, rollout } => self.follow(decision, *change, rollout)?,
                Event::ModelRenamed { name, new_name } => self.changed.extend(self.rollouts.rename(name, new_name)),
                Event::ModelDeleted { name } => {
                    self.changed.extend(self.rollouts.forget(name));
                    self.resolve(name, decision)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn follow(&mut self, decision: &Decision, change: RolloutChange, rollout: &Rollout) -> Result<(), RoleError> {
        let (model, candidate, step) = (&rollout.model, rollout.candidate, rollout.step);
        let reason = rollout.reason.as_str();
        tracing::info!(model, candidate, step, ?change, reason, "rollout");
        self.changed.extend(self.rollouts.put(rollout));
        self.rollouts.set_revision(&rollout.id, decision.sequence);
        match change {
            RolloutChange::Started => self.resolve(&rollout.model, decision),
            RolloutChange::RolledBack => {
                self.resolve(&rollout.model, decision)?;
                let alert = alert::rolled_back(rollout, decision.sequence);
                self.tell(&alert)?;
                self.changed_alerts.insert(rollout.model.clone());
                self.alerts.insert(rollout.model.clone(), alert);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn resolve(&mut self, model: &str, decision: &Decision) -> Result<(), RoleError> {
        let Some(alert) = self.alerts.remove(model) else { return Ok(()) };
        self.changed_alerts.insert(model.to_owned());
        self.tell(&alert::resolved(alert, decision.at(), decision.sequence))
    }

    fn tell(&mut self, alert: &Alert) -> Result<(), RoleError> {
        self.outgoing.push(Outgoing {
            topic: self.alert_topic.clone(),
            key: Some(alert.fingerprint.as_str().into()),
            payload: Some(to_json(alert)?),
            ..Outgoing::default()
        });
        Ok(())
    }

    /// Looks at every rollout that is under way, and asks for what follows.
    fn analyse(&mut self, now: Timestamp) -> Result<(), RoleError> {
        let is_open = |rollout: &&Rollout| {
            rollout.is_under_way() && self.asked.get(&rollout.id).is_none_or(|asked| *asked < rollout.revision)
        };
        let open: Vec<Rollout> = self.rollouts.iter().filter(is_open).cloned().collect();
        for rollout in open {
            let Some(question) = Question::of(&rollout) else { continue };
            let analysis = analyse(&question, &self.windows.of_model(&rollout.model));
            let Some(transition) = next(&rollout, &analysis, now) else { continue };
            let (model, step, verdict) = (&rollout.model, rollout.step, RolloutVerdict::name(analysis.verdict));
            tracing::info!(model, step, verdict, ?transition, "rollout is to move");
            self.asked.insert(rollout.id.clone(), rollout.revision);
            let command = self.command(&rollout, transition, analysis, now)?;
            self.outgoing.push(command);
        }
        Ok(())
    }

    /// Its id is that of the rollout's revision, so that it is decided once however often it is asked for.
    fn command(
        &self,
        rollout: &Rollout,
        transition: Transition,
        analysis: RolloutAnalysis,
        now: Timestamp,
    ) -> Result<Outgoing, RoleError> {
        let hash = Sha256::digest(format!("rollout/{}/{}", rollout.id, rollout.revision));
        let mut id = format!("{hash:x}");
        id.truncate(32);
        let command = Command {
            id: id.clone(),
            at: now,
            user: USER.to_owned(),
            reason: analysis.summary(),
            expected_revision: None,
            gated: false,
            change: Change::MoveRollout {
                name: rollout.model.clone(),
                rollout: rollout.id.clone(),
                revision: rollout.revision,
                transition,
                analysis,
            },
        };
        Ok(Outgoing {
            topic: self.commands.clone(),
            partition: Some(0),
            key: Some(id.into_bytes()),
            payload: Some(to_json(&command)?),
            ..Outgoing::default()
        })
    }

    fn writes(&mut self) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::new();
        if std::mem::take(&mut self.has_read) {
            writes.push(Write::put(SEQUENCE, encode(&self.sequence)?));
        }
        for id in std::mem::take(&mut self.changed) {
            writes.push(row(&key_of(&["rollout", &id]), self.rollouts.get(&id))?);
        }
        for model in std::mem::take(&mut self.changed_alerts) {
            writes.push(row(&key_of(&["alert", &model]), self.alerts.get(&model))?);
        }
        Ok(writes)
    }

    /// None for what is no decision. A newer format is an error.
    fn read(&self, record: &Record<'_>) -> Result<Option<Decision>, RoleError> {
        let Some(payload) = record.payload.filter(|_| record.key.is_some_and(Decision::is_at)) else { return Ok(None) };
        match from_json(payload) {
            Ok(decision) => Ok(Some(decision)),
            Err(FormatError::Malformed(reason)) => {
                let (source, offset) = (&self.source, record.offset);
                tracing::warn!(%source, offset, reason, "a record is no decision and is skipped");
                Ok(None)
            }
            Err(newer) => Err(RoleError::Record {
                source_partition: self.source.clone(),
                offset: record.offset,
                reason: newer.to_string(),
            }),
        }
    }
}

fn row<T: Serialize>(key: &str, value: Option<&T>) -> Result<Write, RoleError> {
    Ok(match value {
        Some(value) => Write::put(key, encode(value)?),
        None => Write::delete(key),
    })
}

#[async_trait]
impl Machine for RolloutMachine {
    async fn apply(&mut self, records: &Records, _: Timestamp) -> Result<(), RoleError> {
        for record in records.iter() {
            if let Some(decision) = self.read(&record)? {
                self.take(&decision)?;
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        if self.is_caught_up {
            self.analyse(now)?;
        }
        Ok(Checkpoint { writes: self.writes()?, outgoing: std::mem::take(&mut self.outgoing) })
    }

    fn asks_for_end(&mut self, _: Timestamp) -> bool {
        !self.is_caught_up
    }

    fn take_end(&mut self, at_end: bool) {
        self.is_caught_up |= at_end;
    }
}
