//! The state machine of the log's only partition.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::StreamExt;

use super::occurrence::{Occurrence, delivery_id};
use super::{Outbound, PostError, Reply, Webhook};
use crate::bus::Records;
use crate::clock::Timestamp;
use crate::event::{SourcePartition, key_of, parts_of};
use crate::registry::deliveries::{Deliveries, Delivery, Key, Results, Way, send_in_order};
use crate::registry::event::Event;
use crate::registry::log::read_decision;
use crate::registry::record::Decision;
use crate::registry::rows::{decode, encode};
use crate::runner::{Checkpoint, Machine, RoleError};
use crate::state::{StateError, Store, Write, prefix_end};

/// Webhooks and what is on its way to them; both are in memory, the store is their copy.
pub(super) struct WebhookMachine {
    source: SourcePartition,
    outbound: Outbound,
    /// Of the last decision that was read: after a crash the end of the log may be published again.
    sequence: u64,
    webhooks: BTreeMap<String, Webhook>,
    /// By the ids of webhooks.
    deliveries: Deliveries,
    /// Since the last checkpoint.
    has_read: bool,
    changed_webhooks: BTreeSet<String>,
}

/// What one receiver is due, in order.
struct Batch {
    receiver: Receiver,
    deliveries: Vec<(Key, Delivery)>,
}

struct Receiver {
    outbound: Outbound,
    webhook: Webhook,
    now: Timestamp,
}

const SEQUENCE: &str = "sequence";
const WEBHOOK: &str = "webhook/";

/// Deliveries that wait for one receiver.
const MAX_WAITING: usize = 10_000;
/// Receivers that are served at a time, and what each gets until the next checkpoint.
const RECEIVERS: usize = 16;
const SENDS_PER_CHECKPOINT: usize = 50;

impl WebhookMachine {
    pub(super) async fn open(
        source: &SourcePartition,
        store: &dyn Store,
        outbound: Outbound,
        results: Results,
    ) -> Result<Self, StateError> {
        let path = format!("webhooks/{source}");
        let corrupt = |reason: String| StateError::Corrupt { path: path.clone(), reason };
        let sequence = store.get(SEQUENCE.as_bytes()).await?;
        let sequence = sequence.map_or(Ok(0), |bytes| decode(&bytes)).map_err(corrupt)?;
        let mut webhooks = BTreeMap::new();
        for (key, value) in store.scan(WEBHOOK.as_bytes(), &prefix_end(WEBHOOK.as_bytes())).await? {
            let id = parts_of(&String::from_utf8_lossy(&key)).pop().unwrap_or_default();
            webhooks.insert(id, decode(&value).map_err(corrupt)?);
        }
        Ok(Self {
            source: source.clone(),
            outbound,
            sequence,
            webhooks,
            deliveries: Deliveries::open(store, &path, MAX_WAITING, results).await?,
            has_read: false,
            changed_webhooks: BTreeSet::new(),
        })
    }

    fn take(&mut self, decision: &Decision, now: Timestamp) {
        if decision.sequence <= self.sequence {
            return;
        }
        self.sequence = decision.sequence;
        self.has_read = true;
        for event in decision.events() {
            self.follow(event);
        }
        for (index, occurrence) in Occurrence::all_of(decision).into_iter().enumerate() {
            self.queue(decision.sequence, index, &occurrence, now);
        }
    }

    fn follow(&mut self, event: &Event) {
        match event {
            Event::WebhookCreated { webhook } | Event::WebhookUpdated { webhook } => {
                self.changed_webhooks.insert(webhook.webhook_id.clone());
                self.webhooks.insert(webhook.webhook_id.clone(), webhook.clone());
            }
            Event::WebhookDeleted { webhook_id } => {
                self.changed_webhooks.insert(webhook_id.clone());
                self.webhooks.remove(webhook_id);
                self.deliveries.forget(webhook_id);
            }
            _ => {}
        }
    }

    fn queue(&mut self, sequence: u64, index: usize, occurrence: &Occurrence, now: Timestamp) {
        let wants = |webhook: &&Webhook| webhook.active && webhook.events.contains(&occurrence.event);
        for webhook_id in self.webhooks.values().filter(wants).map(|webhook| &webhook.webhook_id) {
            let id = delivery_id(sequence, index, webhook_id);
            self.deliveries.push(webhook_id, Delivery::new(id, occurrence.event.name(), occurrence.body(), now));
        }
    }

    fn due(&self, now: Timestamp) -> Vec<Batch> {
        let active = self.webhooks.values().filter(|webhook| webhook.active);
        let batch = |webhook: &Webhook| Batch {
            receiver: Receiver { outbound: self.outbound.clone(), webhook: webhook.clone(), now },
            deliveries: self.deliveries.due(&webhook.webhook_id, SENDS_PER_CHECKPOINT, now),
        };
        active.map(batch).filter(|batch| !batch.deliveries.is_empty()).collect()
    }

    async fn send_due(&mut self, now: Timestamp) {
        let sent = futures::stream::iter(self.due(now)).map(send);
        let answers: Vec<_> = sent.buffer_unordered(RECEIVERS).collect().await;
        for (key, answer) in answers.into_iter().flatten() {
            self.deliveries.attempted(key, &answer, now);
        }
    }

    fn writes(&mut self) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::new();
        if std::mem::take(&mut self.has_read) {
            writes.push(Write::put(SEQUENCE, encode(&self.sequence)?));
        }
        for id in std::mem::take(&mut self.changed_webhooks) {
            let key = key_of(&["webhook", &id]);
            writes.push(match self.webhooks.get(&id) {
                Some(webhook) => Write::put(key, encode(webhook)?),
                None => Write::delete(key),
            });
        }
        writes.append(&mut self.deliveries.writes()?);
        Ok(writes)
    }
}

#[async_trait]
impl Machine for WebhookMachine {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        for record in records.iter() {
            if let Some(decision) = read_decision(&self.source, &record)? {
                self.take(&decision, now);
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        self.send_due(now).await;
        Ok(Checkpoint { writes: self.writes()?, outgoing: Vec::new() })
    }
}

#[async_trait]
impl Way for Receiver {
    async fn send(&self, delivery: &Delivery) -> Result<Reply, PostError> {
        self.outbound.send(&self.webhook, &delivery.id, &delivery.body, self.now).await
    }
}

async fn send(batch: Batch) -> Vec<(Key, Result<Reply, PostError>)> {
    send_in_order(&batch.receiver, batch.deliveries).await
}
