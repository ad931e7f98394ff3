//! Run events of the registry, to the topic and to the endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::emit::Emitter;
use super::event::RunEvent;
use super::settings::Endpoint;
use crate::bus::{Outgoing, Records};
use crate::clock::Timestamp;
use crate::event::{SourcePartition, key_of, parts_of};
use crate::registry::deliveries::{Deliveries, Delivery, Results, Way, send_in_order};
use crate::registry::event::Event;
use crate::registry::log::read_decision;
use crate::registry::record::Decision;
use crate::registry::rows::{decode, encode};
use crate::registry::webhooks::{Post, PostError, Poster, Reply};
use crate::runner::{Checkpoint, Machine, RoleError};
use crate::state::{StateError, Store, Write, prefix_end};

/// An endpoint and the way there.
#[derive(Clone)]
pub(super) struct Sink {
    endpoint: Endpoint,
    poster: Arc<dyn Poster>,
}

pub(super) struct Teller {
    source: SourcePartition,
    topic: String,
    emitter: Emitter,
    sink: Option<Sink>,
    deliveries: Deliveries,
    /// Of the last decision that was read: after a crash the end of the log may be published again.
    sequence: u64,
    /// Experiments of runs, after which their jobs are named.
    experiments: BTreeMap<String, String>,
    /// Since the last checkpoint.
    has_read: bool,
    started: BTreeSet<String>,
    outgoing: Vec<Outgoing>,
}

const SEQUENCE: &str = "sequence";
const RUN: &str = "run/";
/// The only receiver.
const ENDPOINT: &str = "endpoint";

/// Deliveries that wait for the endpoint.
const MAX_WAITING: usize = 100_000;
const SENDS_PER_CHECKPOINT: usize = 100;

impl Sink {
    pub(super) fn new(endpoint: Endpoint, poster: Arc<dyn Poster>) -> Self {
        Self { endpoint, poster }
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
        results: Results,
        store: &dyn Store,
    ) -> Result<Self, StateError> {
        let path = format!("lineage/{source}");
        let corrupt = |reason: String| StateError::Corrupt { path: path.clone(), reason };
        let sequence = store.get(SEQUENCE.as_bytes()).await?;
        let sequence = sequence.map_or(Ok(0), |bytes| decode(&bytes)).map_err(corrupt)?;
        let mut experiments = BTreeMap::new();
        for (key, value) in store.scan(RUN.as_bytes(), &prefix_end(RUN.as_bytes())).await? {
            let id = parts_of(&String::from_utf8_lossy(&key)).pop().unwrap_or_default();
            experiments.insert(id, decode(&value).map_err(corrupt)?);
        }
        Ok(Self {
            source: source.clone(),
            topic: topic.to_owned(),
            emitter,
            sink,
            deliveries: Deliveries::open(store, &path, MAX_WAITING, results).await?,
            sequence,
            experiments,
            has_read: false,
            started: BTreeSet::new(),
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
        if self.sink.is_some() {
            let kind = event.event_type.map_or("", super::event::EventType::name).to_owned();
            self.deliveries.push(ENDPOINT, Delivery::new(id.to_owned(), kind, text, now));
        }
        Ok(())
    }

    async fn send_due(&mut self, now: Timestamp) {
        let Some(sink) = &self.sink else { return };
        let due = self.deliveries.due(ENDPOINT, SENDS_PER_CHECKPOINT, now);
        for (key, answer) in send_in_order(sink, due).await {
            self.deliveries.attempted(key, &answer, now);
        }
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
        writes.append(&mut self.deliveries.writes()?);
        Ok(writes)
    }
}

#[async_trait]
impl Way for Sink {
    async fn send(&self, delivery: &Delivery) -> Result<Reply, PostError> {
        self.poster.post(self.post(delivery.body.clone())).await
    }
}

#[async_trait]
impl Machine for Teller {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        for record in records.iter() {
            if let Some(decision) = read_decision(&self.source, &record)? {
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
