//! Run events of the registry, to the topic and to the endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus::IntCounterVec;
use tokio::time::Instant;

use super::emit::Emitter;
use super::event::RunEvent;
use super::settings::Endpoint;
use crate::bus::{Outgoing, Record, Records};
use crate::clock::{Span, Timestamp};
use crate::event::{FormatError, SourcePartition, from_json, key_of, parts_of};
use crate::registry::event::Event;
use crate::registry::record::Decision;
use crate::registry::rows::{decode, encode};
use crate::registry::webhooks::{Delivery, Fate, Post, Poster};
use crate::runner::{Checkpoint, Machine, RoleError};
use crate::state::{StateError, Store, Write, prefix_end};
use crate::telemetry::Telemetry;

/// An endpoint and the way there.
#[derive(Clone)]
pub(super) struct Sink {
    endpoint: Endpoint,
    poster: Arc<dyn Poster>,
    results: Option<IntCounterVec>,
}

pub(super) struct Teller {
    source: SourcePartition,
    topic: String,
    emitter: Emitter,
    sink: Option<Sink>,
    /// Of the last decision that was read: after a crash the end of the log may be published again.
    sequence: u64,
    /// Experiments of runs, after which their jobs are named.
    experiments: BTreeMap<String, String>,
    deliveries: BTreeMap<u64, Delivery>,
    next: u64,
    /// Since the last checkpoint.
    has_read: bool,
    started: BTreeSet<String>,
    changed: BTreeSet<u64>,
    dead: Vec<(u64, Delivery)>,
    outgoing: Vec<Outgoing>,
}

const SEQUENCE: &str = "sequence";
const RUN: &str = "run/";
const DELIVERY: &str = "delivery/";

const DEAD_KEPT: Span = Span::from_days(90);
/// Deliveries that wait for the endpoint; beyond it the oldest are given up.
const MAX_WAITING: usize = 100_000;
const SENDS_PER_CHECKPOINT: usize = 100;
const PATIENCE: Duration = Duration::from_secs(10);

impl Sink {
    pub(super) fn new(endpoint: Endpoint, poster: Arc<dyn Poster>, telemetry: &Telemetry) -> Self {
        let help = "OpenLineage events by result of the attempt to send them; dead ones are given up";
        let results = telemetry.counter("plimsoll_openlineage_deliveries_total", help, &["result"]);
        if let Err(error) = &results {
            tracing::warn!(%error, "OpenLineage deliveries are not counted");
        }
        Self { endpoint, poster, results: results.ok() }
    }

    fn count(&self, result: &str) {
        if let Some(results) = &self.results {
            results.with_label_values(&[result]).inc();
        }
    }

    fn post(&self, body: String) -> Post {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(self.endpoint.api_key.iter().map(|key| ("authorization", format!("Bearer {key}"))));
        Post { url: self.endpoint.url.clone(), headers, body }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Teller {
    pub(super) async fn open(
        source: &SourcePartition,
        topic: &str,
        emitter: Emitter,
        sink: Option<Sink>,
        store: &dyn Store,
    ) -> Result<Self, StateError> {
        let corrupt = |reason: String| StateError::Corrupt { path: format!("lineage/{source}"), reason };
        let sequence = store.get(SEQUENCE.as_bytes()).await?;
        let sequence = sequence.map_or(Ok(0), |bytes| decode(&bytes)).map_err(corrupt)?;
        let mut experiments = BTreeMap::new();
        for (key, value) in store.scan(RUN.as_bytes(), &prefix_end(RUN.as_bytes())).await? {
            let id = parts_of(&String::from_utf8_lossy(&key)).pop().unwrap_or_default();
            experiments.insert(id, decode(&value).map_err(corrupt)?);
        }
        let mut deliveries = BTreeMap::new();
        for (key, value) in store.scan(DELIVERY.as_bytes(), &prefix_end(DELIVERY.as_bytes())).await? {
            let number = parts_of(&String::from_utf8_lossy(&key)).pop().unwrap_or_default();
            let number = u64::from_str_radix(&number, 16).map_err(|error| corrupt(error.to_string()))?;
            deliveries.insert(number, decode(&value).map_err(corrupt)?);
        }
        let next = deliveries.last_key_value().map_or(0, |(last, _)| last + 1);
        Ok(Self {
            source: source.clone(),
            topic: topic.to_owned(),
            emitter,
            sink,
            sequence,
            experiments,
            deliveries,
            next,
            has_read: false,
            started: BTreeSet::new(),
            changed: BTreeSet::new(),
            dead: Vec::new(),
            outgoing: Vec::new(),
        })
    }

    fn take(&mut self, decision: &Decision, now: Timestamp) -> Result<(), RoleError> {
        if decision.sequence <= self.sequence {
            return Ok(());
        }
        self.sequence = decision.sequence;
        self.has_read = true;
        for event in decision.events() {
            if let Event::RunCreated { run } = event {
                self.experiments.insert(run.run_id.clone(), run.experiment_id.clone());
                self.started.insert(run.run_id.clone());
            }
        }
        let events = self.emitter.all_of(decision, |run_id| self.experiments.get(run_id).cloned());
        for (index, event) in events.iter().enumerate() {
            self.tell(&format!("{}.{index}", decision.sequence), event, now)?;
        }
        Ok(())
    }

    fn tell(&mut self, id: &str, event: &RunEvent, now: Timestamp) -> Result<(), RoleError> {
        let body = encode(event)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        self.outgoing.push(Outgoing {
            topic: self.topic.clone(),
            key: Some(event.key().into_bytes()),
            payload: Some(body),
            ..Outgoing::default()
        });
        if self.sink.is_none() {
            return Ok(());
        }
        if self.deliveries.len() >= MAX_WAITING
            && let Some((number, delivery)) = self.deliveries.pop_first()
        {
            self.bury(number, delivery);
        }
        let kind = event.event_type.map_or("", super::event::EventType::name).to_owned();
        self.deliveries.insert(self.next, Delivery::new(id.to_owned(), kind, text, now));
        self.changed.insert(self.next);
        self.next += 1;
        Ok(())
    }

    /// In order: what must be tried again holds up what is behind it.
    async fn send_due(&mut self, now: Timestamp) {
        let Some(sink) = self.sink.clone() else { return };
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..SENDS_PER_CHECKPOINT {
            let Some(first) = self.deliveries.first_entry() else { return };
            if first.get().next_attempt_at > now || Instant::now() >= deadline {
                return;
            }
            let (number, mut delivery) = first.remove_entry();
            let answer = sink.poster.post(sink.post(delivery.body.clone())).await;
            self.changed.insert(number);
            match delivery.attempted(&answer, now) {
                Fate::Sent => sink.count("sent"),
                Fate::Dead => {
                    sink.count("failed");
                    self.bury(number, delivery);
                }
                Fate::Retry => {
                    sink.count("failed");
                    let (id, attempts) = (&delivery.id, delivery.attempts);
                    let error = delivery.last_error.as_deref().unwrap_or_default();
                    tracing::warn!(id, attempts, error, "OpenLineage event not delivered, will be tried again");
                    self.deliveries.insert(number, delivery);
                    return;
                }
            }
        }
    }

    fn bury(&mut self, number: u64, delivery: Delivery) {
        if let Some(sink) = &self.sink {
            sink.count("dead");
        }
        let error = delivery.last_error.as_deref().unwrap_or("too many waited");
        tracing::error!(id = delivery.id, attempts = delivery.attempts, error, "OpenLineage event given up");
        self.changed.insert(number);
        self.dead.push((number, delivery));
    }

    fn writes(&mut self) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::new();
        if std::mem::take(&mut self.has_read) {
            writes.push(Write::put(SEQUENCE, encode(&self.sequence)?));
        }
        for id in std::mem::take(&mut self.started) {
            if let Some(experiment) = self.experiments.get(&id) {
                writes.push(Write::put(key_of(&["run", &id]), encode(experiment)?));
            }
        }
        for number in std::mem::take(&mut self.changed) {
            let key = key_of(&["delivery", &format!("{number:016x}")]);
            writes.push(match self.deliveries.get(&number) {
                Some(delivery) => Write::put(key, encode(delivery)?),
                None => Write::delete(key),
            });
        }
        for (number, delivery) in std::mem::take(&mut self.dead) {
            let key = key_of(&["dead", &format!("{number:016x}")]).into_bytes();
            writes.push(Write::Put { key, value: encode(&delivery)?, ttl: Some(DEAD_KEPT) });
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

#[async_trait]
impl Machine for Teller {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        for record in records.iter() {
            if let Some(decision) = self.read(&record)? {
                self.take(&decision, now)?;
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        self.send_due(now).await;
        Ok(Checkpoint { writes: self.writes()?, outgoing: std::mem::take(&mut self.outgoing) })
    }
}
