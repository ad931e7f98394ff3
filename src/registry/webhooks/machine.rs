//! The state machine of the log's only partition.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::occurrence::{Occurrence, delivery_id};
use super::queue::{Delivery, Fate};
use super::role::Results;
use super::{Outbound, PostError, Reply, Webhook};
use crate::bus::{Record, Records};
use crate::clock::{Span, Timestamp};
use crate::event::{FormatError, SourcePartition, from_json, key_of, parts_of};
use crate::registry::event::Event;
use crate::registry::record::Decision;
use crate::runner::{Checkpoint, Machine, RoleError};
use crate::state::{StateError, Store, Write, prefix_end};

/// By webhook, and by the order in which they were queued.
type Key = (String, u64);

/// Webhooks and what is on its way to them; both are in memory, the store is their copy.
pub(super) struct WebhookMachine {
    source: SourcePartition,
    outbound: Outbound,
    results: Results,
    /// Of the last decision that was read: after a crash the end of the log may be published again.
    sequence: u64,
    webhooks: BTreeMap<String, Webhook>,
    deliveries: BTreeMap<Key, Delivery>,
    next: u64,
    /// Since the last checkpoint.
    has_read: bool,
    changed_webhooks: BTreeSet<String>,
    changed_deliveries: BTreeSet<Key>,
    dead: Vec<(Key, Delivery)>,
}

/// What one receiver is due, in order.
struct Batch {
    webhook: Webhook,
    deliveries: Vec<(Key, Delivery)>,
}

const SEQUENCE: &str = "sequence";
const WEBHOOK: &str = "webhook/";
const DELIVERY: &str = "delivery/";

/// How long a delivery that was given up is kept to be looked at.
const DEAD_KEPT: Span = Span::from_days(90);
/// Deliveries that wait for one receiver; beyond it the oldest are given up.
const MAX_WAITING: u64 = 10_000;
/// Receivers that are served at a time, and what each gets until the next checkpoint.
const RECEIVERS: usize = 16;
const SENDS_PER_CHECKPOINT: usize = 50;
/// A slow receiver slows this role only, and not for much longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

impl WebhookMachine {
    pub(super) async fn open(
        source: &SourcePartition,
        store: &dyn Store,
        outbound: Outbound,
        results: Results,
    ) -> Result<Self, StateError> {
        let sequence = store.get(SEQUENCE.as_bytes()).await?;
        let sequence = sequence.map_or(Ok(0), |bytes| {
            let corrupt = |error: serde_json::Error| corrupt(source, format!("{SEQUENCE}: {error}"));
            serde_json::from_slice(&bytes).map_err(corrupt)
        })?;
        let webhooks = read(source, store, WEBHOOK, |parts| parts.get(1).cloned()).await?;
        let deliveries: BTreeMap<Key, Delivery> = read(source, store, DELIVERY, |parts| {
            Some((parts.get(1)?.clone(), u64::from_str_radix(parts.get(2)?, 16).ok()?))
        })
        .await?;
        let next = deliveries.keys().map(|(_, number)| number + 1).max().unwrap_or_default();
        results.set_waiting(deliveries.len());
        Ok(Self {
            source: source.clone(),
            outbound,
            results,
            sequence,
            webhooks,
            deliveries,
            next,
            has_read: false,
            changed_webhooks: BTreeSet::new(),
            changed_deliveries: BTreeSet::new(),
            dead: Vec::new(),
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
                let waiting: Vec<Key> = self.waiting_for(webhook_id).map(|(key, _)| key.clone()).collect();
                for key in waiting {
                    self.deliveries.remove(&key);
                    self.changed_deliveries.insert(key);
                }
            }
            _ => {}
        }
    }

    fn queue(&mut self, sequence: u64, index: usize, occurrence: &Occurrence, now: Timestamp) {
        let wants = |webhook: &&Webhook| webhook.active && webhook.events.contains(&occurrence.event);
        let ids: Vec<String> = self.webhooks.values().filter(wants).map(|webhook| webhook.webhook_id.clone()).collect();
        for webhook_id in ids {
            let id = delivery_id(sequence, index, &webhook_id);
            let oldest = self.waiting_for(&webhook_id).nth(usize::try_from(MAX_WAITING - 1).unwrap_or(usize::MAX));
            if oldest.is_some() {
                self.give_up_oldest(&webhook_id);
            }
            let key = (webhook_id, self.next);
            self.next += 1;
            self.deliveries.insert(key.clone(), Delivery::new(id, occurrence.event.name(), occurrence.body(), now));
            self.changed_deliveries.insert(key);
        }
    }

    fn give_up_oldest(&mut self, webhook_id: &str) {
        let Some(key) = self.waiting_for(webhook_id).next().map(|(key, _)| key.clone()) else { return };
        let Some(mut delivery) = self.deliveries.remove(&key) else { return };
        delivery.last_error.get_or_insert_with(|| format!("more than {MAX_WAITING} deliveries waited"));
        self.bury(key, delivery);
    }

    fn waiting_for(&self, webhook_id: &str) -> impl Iterator<Item = (&Key, &Delivery)> {
        self.deliveries.range((webhook_id.to_owned(), 0)..=(webhook_id.to_owned(), u64::MAX))
    }

    /// What is due now. A receiver gets its deliveries in order, so that one that must be tried again holds up those
    /// behind it.
    fn due(&self, now: Timestamp) -> Vec<Batch> {
        let active = self.webhooks.values().filter(|webhook| webhook.active);
        let batch = |webhook: &Webhook| {
            let waiting = self.waiting_for(&webhook.webhook_id).take(SENDS_PER_CHECKPOINT);
            let due = waiting.take_while(|(_, delivery)| delivery.next_attempt_at <= now);
            let deliveries = due.map(|(key, delivery)| (key.clone(), delivery.clone())).collect();
            Batch { webhook: webhook.clone(), deliveries }
        };
        active.map(batch).filter(|batch| !batch.deliveries.is_empty()).collect()
    }

    async fn send_due(&mut self, now: Timestamp) {
        let outbound = &self.outbound;
        let sent = futures::stream::iter(self.due(now)).map(|batch| send(outbound, batch, now));
        let answers: Vec<_> = sent.buffer_unordered(RECEIVERS).collect().await;
        for (key, answer) in answers.into_iter().flatten() {
            self.attempted(key, &answer, now);
        }
    }

    fn attempted(&mut self, key: Key, answer: &Result<Reply, PostError>, now: Timestamp) {
        let Some(mut delivery) = self.deliveries.remove(&key) else { return };
        self.changed_deliveries.insert(key.clone());
        let fate = delivery.attempted(answer, now);
        let (id, event, webhook) = (delivery.id.clone(), delivery.event.clone(), key.0.clone());
        let error = delivery.last_error.clone().unwrap_or_default();
        match fate {
            Fate::Sent => {
                self.results.count(Results::SENT);
                tracing::info!(id, event, webhook, attempts = delivery.attempts, "webhook delivered");
            }
            Fate::Retry => {
                self.results.count(Results::FAILED);
                let next = delivery.next_attempt_at;
                tracing::warn!(id, event, webhook, attempts = delivery.attempts, %next, error, "webhook not delivered, will be tried again");
                self.deliveries.insert(key, delivery);
            }
            Fate::Dead => {
                self.results.count(Results::FAILED);
                self.bury(key, delivery);
            }
        }
    }

    fn bury(&mut self, key: Key, delivery: Delivery) {
        self.results.count(Results::DEAD);
        let (id, event, webhook) = (&delivery.id, &delivery.event, &key.0);
        let error = delivery.last_error.clone().unwrap_or_default();
        tracing::error!(id, event, webhook, attempts = delivery.attempts, error, "webhook delivery given up");
        self.changed_deliveries.insert(key.clone());
        self.dead.push((key, delivery));
    }

    fn writes(&mut self) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::new();
        if self.has_read {
            writes.push(Write::put(SEQUENCE, encode(&self.sequence)?));
        }
        for id in &self.changed_webhooks {
            let key = key_of(&["webhook", id]);
            writes.push(match self.webhooks.get(id) {
                Some(webhook) => Write::put(key, encode(webhook)?),
                None => Write::delete(key),
            });
        }
        for (webhook, number) in &self.changed_deliveries {
            let key = key_of(&["delivery", webhook, &format!("{number:016x}")]);
            writes.push(match self.deliveries.get(&(webhook.clone(), *number)) {
                Some(delivery) => Write::put(key, encode(delivery)?),
                None => Write::delete(key),
            });
        }
        for ((webhook, _), delivery) in &self.dead {
            let key = key_of(&["dead", webhook, &delivery.id]).into_bytes();
            writes.push(Write::Put { key, value: encode(delivery)?, ttl: Some(DEAD_KEPT) });
        }
        self.has_read = false;
        self.changed_webhooks.clear();
        self.changed_deliveries.clear();
        self.dead.clear();
        Ok(writes)
    }

    /// None for what is no decision. A newer format is an error.
    fn read_decision(&self, record: &Record<'_>) -> Result<Option<Decision>, RoleError> {
        let Some(payload) = record.payload.filter(|_| record.key.is_some_and(Decision::is_at)) else { return Ok(None) };
        match from_json(payload) {
            Ok(decision) => Ok(Some(decision)),
            Err(FormatError::Malformed(reason)) => {
                tracing::warn!(source = %self.source, offset = record.offset, reason, "a record is no decision and is skipped");
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

#[async_trait]
impl Machine for WebhookMachine {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        for record in records.iter() {
            if let Some(decision) = self.read_decision(&record)? {
                self.take(&decision, now);
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        self.send_due(now).await;
        self.results.set_waiting(self.deliveries.len());
        Ok(Checkpoint { writes: self.writes()?, outgoing: Vec::new() })
    }
}

/// Sends until one must be tried again, or the receiver has taken its time.
async fn send(outbound: &Outbound, batch: Batch, now: Timestamp) -> Vec<(Key, Result<Reply, PostError>)> {
    let deadline = Instant::now() + PATIENCE;
    let mut answers = Vec::new();
    for (key, delivery) in batch.deliveries {
        let answer = outbound.send(&batch.webhook, &delivery.id, &delivery.body, now).await;
        let goes_on = answer.as_ref().is_ok_and(|reply| !reply.is_temporary());
        answers.push((key, answer));
        if !goes_on || Instant::now() >= deadline {
            break;
        }
    }
    answers
}

/// The rows under `prefix`, by what `identity` makes of the parts of their keys.
async fn read<K: Ord, V: DeserializeOwned>(
    source: &SourcePartition,
    store: &dyn Store,
    prefix: &str,
    identity: impl Fn(&[String]) -> Option<K>,
) -> Result<BTreeMap<K, V>, StateError> {
    let mut rows = BTreeMap::new();
    for (key, value) in store.scan(prefix.as_bytes(), &prefix_end(prefix.as_bytes())).await? {
        let key = String::from_utf8_lossy(&key);
        let id = identity(&parts_of(&key)).ok_or_else(|| corrupt(source, format!("a key is {key:?}")))?;
        let row = serde_json::from_slice(&value).map_err(|error| corrupt(source, format!("{key}: {error}")))?;
        rows.insert(id, row);
    }
    Ok(rows)
}

fn corrupt(source: &SourcePartition, reason: String) -> StateError {
    StateError::Corrupt { path: format!("webhooks/{source}"), reason }
}

fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, RoleError> {
    serde_json::to_vec(row).map_err(|error| RoleError::Failed(format!("webhooks cannot write their state: {error}")))
}
