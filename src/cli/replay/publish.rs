//! Sends the events of a replay, as fast as the broker takes them or at a given pace.

use std::future::Future;
use std::iter::Peekable;
use std::task::Poll;
use std::time::Duration;

use futures::stream::{FuturesOrdered, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bus::{BusError, Outgoing};
use crate::clock::Timestamp;
use crate::codec::files::FileError;
use crate::codec::files::replay::{ReplayEvent, ReplayKind};

/// Events in one call of [`Publish::publish`].
const BATCH_EVENTS: usize = 1_000;
/// Batches that may wait for the broker at a time.
const BATCHES_IN_FLIGHT: usize = 4;
/// Events due within this much of now go together, so that a fast pace does not send them one by one.
const TICK: Duration = Duration::from_millis(50);

/// A century, which an [`Instant`] can still hold.
const FAR: Duration = Duration::from_hours(100 * 365 * 24);

/// Where events go.
pub trait Publish: Sync {
    /// Hands the records to the client before it first waits, so that calls in flight together keep their order, and
    /// returns when the broker has acknowledged all of them.
    fn publish(&self, records: Vec<Outgoing>) -> impl Future<Output = Result<(), BusError>> + Send;
}

/// The topics of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayTopics {
    pub predictions: String,
    pub outcomes: String,
}

/// How event time passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    AsFastAsPossible,
    /// Seconds of event time per second.
    Speed(f64),
}

/// What the broker has acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    pub predictions: u64,
    pub outcomes: u64,
    pub bytes: u64,
    /// Event time of the last event.
    pub until: Option<Timestamp>,
    /// Whether it ended before the events did.
    pub stopped: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

#[derive(Debug, Default)]
struct Batch {
    records: Vec<Outgoing>,
    holds: Published,
}

/// What comes after a batch.
enum Next {
    More,
    /// The next event is due at this instant.
    Wait(Instant),
    End,
    Failure(FileError),
}

struct InFlight<F: Future, R> {
    batches: FuturesOrdered<F>,
    done: Published,
    progress: R,
}

/// Event time beside the clock on the wall.
#[derive(Clone, Copy, Debug)]
struct Pacer {
    pace: Pace,
    start: Option<(Instant, Timestamp)>,
}

/// Publishes the events in their order until they end or `stop` is cancelled; what is on its way by then is waited for.
pub async fn publish<P: Publish>(
    events: impl IntoIterator<Item = Result<ReplayEvent, FileError>>,
    producer: &P,
    topics: &ReplayTopics,
    pace: Pace,
    stop: &CancellationToken,
    progress: impl FnMut(&Published),
) -> Result<Published, PublishError> {
    let send = |batch: Batch| async move { producer.publish(batch.records).await.map(|()| batch.holds) };
    let mut events = events.into_iter().peekable();
    let mut pacer = Pacer { pace, start: None };
    let mut in_flight = InFlight { batches: FuturesOrdered::new(), done: Published::default(), progress };

    while !stop.is_cancelled() {
        let (batch, next) = gather(&mut events, topics, &mut pacer);
        if !batch.records.is_empty() {
            in_flight.start(send(batch)).await?;
        }
        match next {
            Next::More => {}
            Next::Wait(due) => in_flight.wait(due, stop).await?,
            Next::End => return Ok(in_flight.settle().await?),
            Next::Failure(error) => {
                in_flight.settle().await?;
                return Err(error.into());
            }
        }
    }
    Ok(Published { stopped: true, ..in_flight.settle().await? })
}

/// The events that are due, up to a batch.
fn gather(
    events: &mut Peekable<impl Iterator<Item = Result<ReplayEvent, FileError>>>,
    topics: &ReplayTopics,
    pacer: &mut Pacer,
) -> (Batch, Next) {
    let now = Instant::now();
    let mut batch = Batch::default();
    while batch.records.len() < BATCH_EVENTS {
        if let Some(Ok(event)) = events.peek() {
            let due = pacer.due(now, event.time);
            if due > now + TICK {
                return (batch, Next::Wait(due));
            }
        }
        match events.next() {
            Some(Ok(event)) => batch.push(event, topics),
            Some(Err(error)) => return (batch, Next::Failure(error)),
            None => return (batch, Next::End),
        }
    }
    (batch, Next::More)
}

impl<F, R> InFlight<F, R>
where
    F: Future<Output = Result<Published, BusError>>,
    R: FnMut(&Published),
{
    /// Waits for room if too many batches are on their way.
    async fn start(&mut self, batch: F) -> Result<(), BusError> {
        self.batches.push_back(batch);
        // a first poll starts the batch, so that batches reach the producer in order
        while let Poll::Ready(Some(sent)) = futures::poll!(self.batches.next()) {
            self.add(sent)?;
        }
        self.settle_to(BATCHES_IN_FLIGHT - 1).await
    }

    async fn wait(&mut self, due: Instant, stop: &CancellationToken) -> Result<(), BusError> {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return Ok(()),
                () = stop.cancelled() => return Ok(()),
                Some(sent) = self.batches.next() => self.add(sent)?,
            }
        }
    }

    async fn settle(&mut self) -> Result<Published, BusError> {
        self.settle_to(0).await?;
        Ok(self.done)
    }

    async fn settle_to(&mut self, batches: usize) -> Result<(), BusError> {
        while self.batches.len() > batches {
            let Some(sent) = self.batches.next().await else { break };
            self.add(sent)?;
        }
        Ok(())
    }

    fn add(&mut self, sent: Result<Published, BusError>) -> Result<(), BusError> {
        self.done.add(&sent?);
        (self.progress)(&self.done);
        Ok(())
    }
}

impl Batch {
    fn push(&mut self, event: ReplayEvent, topics: &ReplayTopics) {
        let topic = match event.kind {
            ReplayKind::Prediction => {
                self.holds.predictions += 1;
                &topics.predictions
            }
            ReplayKind::Outcome => {
                self.holds.outcomes += 1;
                &topics.outcomes
            }
        };
        self.holds.bytes += event.json.len() as u64;
        self.holds.until = Some(event.time);
        self.records.push(Outgoing {
            topic: topic.clone(),
            key: Some(event.id.into_bytes()),
            payload: Some(event.json),
            ..Outgoing::default()
        });
    }
}

impl Published {
    #[must_use]
    pub fn events(&self) -> u64 {
        self.predictions + self.outcomes
    }

    fn add(&mut self, more: &Self) {
        self.predictions += more.predictions;
        self.outcomes += more.outcomes;
        self.bytes += more.bytes;
        self.until = more.until.or(self.until);
    }
}

impl Pacer {
    /// When an event of this time is due; the first one is due at once.
    fn due(&mut self, now: Instant, time: Timestamp) -> Instant {
        let Pace::Speed(speed) = self.pace else { return now };
        let (started, first) = *self.start.get_or_insert((now, time));
        let elapsed = time.since(first).as_std().as_secs_f64() / speed;
        // an event beyond the machine's clock is never due
        let wait = Duration::try_from_secs_f64(elapsed).unwrap_or(FAR);
        started + wait.min(FAR)
    }
}

#[cfg(test)]
mod tests;
