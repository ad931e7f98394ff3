//! Answers as prediction events, published off the path of the request.
//!
//! A bounded number of them waits for the broker. What does not fit is dropped, counted, and told in the log: a request
//! is never held up, and nothing is lost silently.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::metrics::ServingMetrics;
use super::prediction::Prediction;
use super::served::Served;
use crate::bus::Outgoing;
use crate::clock::Timestamp;
use crate::onnx::Tensor;
use crate::runner::Publisher;

/// The answers of one request.
#[derive(Debug)]
pub struct Answered {
    pub served: Arc<Served>,
    /// Which part of a rollout the version had; none outside of rollouts.
    pub variant: Option<String>,
    pub rollout: Option<String>,
    pub at: Timestamp,
    /// Of each row; those of one request have the same.
    pub latency_ms: f64,
    pub ids: Vec<String>,
    pub features: Features,
    pub answers: Vec<Result<Prediction, String>>,
}

#[derive(Clone, Debug)]
pub enum Features {
    Rows(Vec<Map<String, Value>>),
    Tensors(Vec<Tensor>),
}

/// The end at which answers go in; clones share it.
#[derive(Clone, Debug)]
pub struct AnswerLog {
    room: Arc<Semaphore>,
    capacity: usize,
    waiting: UnboundedSender<(Answered, OwnedSemaphorePermit)>,
    metrics: ServingMetrics,
}

/// The other end.
#[derive(Debug)]
pub struct AnswerPublisher {
    waiting: UnboundedReceiver<(Answered, OwnedSemaphorePermit)>,
    topic: String,
    metrics: ServingMetrics,
}

/// Events that are published together.
const BATCH: usize = 5_000;
/// How long they are waited for: a broker takes a hundred records in nearly the time that it takes one.
const GATHER: Duration = Duration::from_millis(100);
/// How long answers that wait are still published at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A log of up to `capacity` waiting answers, whose events go to `topic`.
#[must_use]
pub fn answer_log(capacity: usize, topic: String, metrics: &ServingMetrics) -> (AnswerLog, AnswerPublisher) {
    let (sender, receiver) = unbounded_channel();
    let capacity = capacity.min(Semaphore::MAX_PERMITS);
    let log =
        AnswerLog { room: Arc::new(Semaphore::new(capacity)), capacity, waiting: sender, metrics: metrics.clone() };
    (log, AnswerPublisher { waiting: receiver, topic, metrics: metrics.clone() })
}

impl AnswerLog {
    /// Puts the answers in line, or counts them as dropped.
    pub fn push(&self, answered: Answered) {
        let count = answered.answers.len();
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(permits);
        let queued = room.is_ok_and(|permit| self.waiting.send((answered, permit)).is_ok());
        if !queued {
            self.metrics.count_logged("dropped", count);
            tracing::warn!(count, "answers are not logged as predictions: too many wait for the broker");
        }
        self.metrics.set_log_waiting(self.capacity.saturating_sub(self.room.available_permits()));
    }
}

impl AnswerPublisher {
    /// Publishes until every log is gone; then what is left, for a while.
    pub async fn run(mut self, publisher: Arc<dyn Publisher>, stop: tokio_util::sync::CancellationToken) {
        loop {
            let first = tokio::select! {
                first = self.waiting.recv() => first,
                () = stop.cancelled() => break,
            };
            let Some(first) = first else { return };
            if self.waiting.len() < BATCH {
                tokio::select! {
                    () = tokio::time::sleep(GATHER) => {}
                    () = stop.cancelled() => {}
                }
            }
            self.publish(first, publisher.as_ref()).await;
        }
        let rest = async {
            while let Ok(next) = self.waiting.try_recv() {
                self.publish(next, publisher.as_ref()).await;
            }
        };
        if tokio::time::timeout(PATIENCE, rest).await.is_err() {
            let mut left = 0;
            while let Ok((answered, _)) = self.waiting.try_recv() {
                left += answered.answers.len();
            }
            self.metrics.count_logged("dropped", left);
            tracing::error!(left, "the broker took too long: answers are not logged as predictions");
        }
    }

    async fn publish(&mut self, first: (Answered, OwnedSemaphorePermit), publisher: &dyn Publisher) {
        let (mut records, mut permits) = (events(&self.topic, &first.0), vec![first.1]);
        while records.len() < BATCH
            && let Ok((answered, permit)) = self.waiting.try_recv()
        {
            records.append(&mut events(&self.topic, &answered));
            permits.push(permit);
        }
        let count = records.len();
        match publisher.publish(records).await {
            Ok(()) => self.metrics.count_logged("published", count),
            Err(error) => {
                self.metrics.count_logged("refused", count);
                tracing::error!(%error, count, "the broker refuses answers that are to be logged as predictions");
            }
        }
    }
}

/// A prediction event, written straight from what it is about.
#[derive(Serialize)]
struct Event<'a> {
    id: &'a str,
    model: &'a str,
    version: &'a str,
    variant: Option<&'a str>,
    time: i64,
    features: &'a Map<String, Value>,
    prediction: Option<&'a Prediction>,
    latency_ms: f64,
    error: Option<&'a str>,
    tags: Tags<'a>,
}

#[derive(Serialize)]
struct Tags<'a> {
    rollout: Option<&'a str>,
}

/// One event per row.
#[must_use]
pub fn events(topic: &str, answered: &Answered) -> Vec<Outgoing> {
    let identity = &answered.served.identity;
    let version = identity.version.to_string();
    let none = Map::new();
    let mut outgoing = Vec::with_capacity(answered.ids.len());
    for (row, (id, answer)) in answered.ids.iter().zip(&answered.answers).enumerate() {
        let of_tensors;
        let features = match &answered.features {
            Features::Rows(rows) => rows.get(row).unwrap_or(&none),
            Features::Tensors(tensors) => {
                of_tensors = answered.served.layout().row(tensors, row);
                &of_tensors
            }
        };
        let event = Event {
            id,
            model: &identity.model,
            version: &version,
            variant: answered.variant.as_deref(),
            time: answered.at.millis(),
            features,
            prediction: answer.as_ref().ok(),
            latency_ms: answered.latency_ms,
            error: answer.as_ref().err().map(String::as_str),
            tags: Tags { rollout: answered.rollout.as_deref() },
        };
        outgoing.push(Outgoing {
            topic: topic.to_owned(),
            key: Some(id.clone().into_bytes()),
            // Names and finite numbers can always be written.
            payload: Some(serde_json::to_vec(&event).unwrap_or_default()),
            timestamp: Some(answered.at.millis()),
            ..Outgoing::default()
        });
    }
    outgoing
}
