//! The answers that nobody sees: computed off the path of the request, one request at a time, logged, and held against
//! those that were given.
//!
//! A bounded number of rows waits. What does not fit is dropped and counted: a shadow never holds up an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::answer_log::{AnswerLog, Answered, Features};
use super::metrics::ServingMetrics;
use super::prediction::Prediction;
use super::served::Served;
use super::serving::millis;
use crate::clock::Timestamp;
use crate::event::SHADOW;

/// Rows that wait at most.
const ROOM: usize = 2_000;
/// Numbers that differ by less than this share are no disagreement.
const TOLERANCE: f64 = 0.01;
/// Behind the id of the request, since ids are unique.
const MARK: &str = "#shadow";

/// What a request was answered, to be asked of the new version too.
#[derive(Debug)]
pub struct Shadowed {
    pub candidate: Arc<Served>,
    pub rollout: Option<String>,
    pub at: Timestamp,
    pub ids: Vec<String>,
    pub features: Features,
    pub answers: Vec<Result<Prediction, String>>,
}

/// The end at which requests go in; clones share it.
#[derive(Clone, Debug)]
pub struct ShadowQueue {
    room: Arc<Semaphore>,
    waiting: UnboundedSender<(Shadowed, OwnedSemaphorePermit)>,
    metrics: ServingMetrics,
}

/// The other end.
#[derive(Debug)]
pub struct ShadowWorker {
    waiting: UnboundedReceiver<(Shadowed, OwnedSemaphorePermit)>,
    log: AnswerLog,
    deadline: Duration,
    metrics: ServingMetrics,
}

/// A queue whose answers are logged to `log`; each request may take as long as `deadline`.
#[must_use]
pub fn shadow_queue(log: AnswerLog, deadline: Duration, metrics: &ServingMetrics) -> (ShadowQueue, ShadowWorker) {
    let (sender, receiver) = unbounded_channel();
    let queue = ShadowQueue { room: Arc::new(Semaphore::new(ROOM)), waiting: sender, metrics: metrics.clone() };
    (queue, ShadowWorker { waiting: receiver, log, deadline, metrics: metrics.clone() })
}

impl ShadowQueue {
    /// Puts a request in line, or counts it as dropped.
    pub fn push(&self, shadowed: Shadowed) {
        let model = shadowed.candidate.identity.model.clone();
        let count = shadowed.answers.len();
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(permits);
        if !room.is_ok_and(|permit| self.waiting.send((shadowed, permit)).is_ok()) {
            self.metrics.count_shadow(&model, "dropped", count);
        }
    }
}

impl ShadowWorker {
    /// Answers until every queue is gone, or until `stop`; what waits then is dropped.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let next = tokio::select! {
                next = self.waiting.recv() => next,
                () = stop.cancelled() => return,
            };
            let Some((shadowed, permit)) = next else { return };
            let deadline = self.deadline;
            let answered = tokio::task::spawn_blocking(move || answer(shadowed, deadline)).await;
            drop(permit);
            match answered {
                Ok((model, results, answered)) => {
                    for (result, count) in results.by_name() {
                        self.metrics.count_shadow(&model, result, count);
                    }
                    self.log.push(answered);
                }
                Err(error) => tracing::error!(%error, "a shadow request was not answered"),
            }
        }
    }
}

/// How shadow answers compare with those that were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Results {
    agreed: usize,
    disagreed: usize,
    failed: usize,
}

impl Results {
    fn of(given: &[Result<Prediction, String>], shadow: &[Result<Prediction, String>]) -> Self {
        let mut results = Self::default();
        for (given, shadow) in given.iter().zip(shadow) {
            match (given, shadow) {
                (_, Err(_)) => results.failed += 1,
                (Ok(given), Ok(shadow)) if given.says_as(shadow, TOLERANCE) => results.agreed += 1,
                _ => results.disagreed += 1,
            }
        }
        results
    }

    const fn by_name(self) -> [(&'static str, usize); 3] {
        [("agreed", self.agreed), ("disagreed", self.disagreed), ("failed", self.failed)]
    }
}

fn answer(shadowed: Shadowed, within: Duration) -> (String, Results, Answered) {
    let Shadowed { candidate, rollout, at, ids, features, answers: given } = shadowed;
    let begun = Instant::now();
    let deadline = begun + within;
    let answers: Vec<Result<Prediction, String>> = match &features {
        Features::Rows(rows) => {
            let rows: Vec<&Map<String, Value>> = rows.iter().collect();
            let found = candidate.rows(&rows, deadline);
            found.into_iter().map(|answer| answer.map_err(|error| error.to_string())).collect()
        }
        Features::Tensors(tensors) => match candidate.layout().accept(tensors.clone()) {
            Err(error) => vec![Err(error.to_string()); ids.len()],
            Ok(inputs) => match candidate.run(&inputs, deadline) {
                Ok(outputs) => candidate.predictions(&outputs, ids.len()),
                Err(error) => vec![Err(error.to_string()); ids.len()],
            },
        },
    };
    let latency_ms = millis(begun);
    let results = Results::of(&given, &answers);
    let ids = ids.into_iter().map(|id| id + MARK).collect();
    let model = candidate.identity.model.clone();
    let variant = Some(SHADOW.to_owned());
    let answered = Answered { served: candidate, variant, rollout, at, latency_ms, ids, features, answers };
    (model, results, answered)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Prediction, String> {
        Ok(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn other_labels_and_values_far_apart_disagree_and_scores_may_differ() {
        let given =
            [json!({"label": "1", "score": 0.9}), json!({"label": "1"}), json!({"value": 100}), json!({"value": 1})];
        let shadow =
            [json!({"label": "1", "score": 0.6}), json!({"label": "0"}), json!({"value": 100.5}), json!({"value": 2})];
        let mut given: Vec<_> = given.into_iter().map(read).collect();
        let mut shadow: Vec<_> = shadow.into_iter().map(read).collect();
        given.extend([Err("it failed".to_owned()), read(json!({"value": 1}))]);
        shadow.extend([read(json!({"value": 1})), Err("it failed".to_owned())]);
        assert_eq!(Results::of(&given, &shadow), Results { agreed: 2, disagreed: 3, failed: 1 });
    }
}
