//! Publishing with acknowledgement.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::client::{self, Link};
use super::embedded::LARGEST_RECORD;
use super::{BusError, BusSettings, Outgoing};
use crate::telemetry::Telemetry;

/// How long to let a full queue drain before the next try, and a broken producer rest before a new one.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest that closing waits for records under way.
const CLOSING: Duration = Duration::from_secs(5);

const DEFAULTS: [(&str, &str); 7] = [
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    ("partitioner", "murmur2_random"),
    ("message.max.bytes", "16777216"),
    // Bounds memory; beyond it, publishing waits.
    ("queue.buffering.max.kbytes", "32768"),
    ("queue.buffering.max.messages", "100000"),
    ("allow.auto.create.topics", "false"),
];

const REQUIRED: [(&str, &str); 3] =
    [("enable.idempotence", "true"), ("acks", "all"), ("message.timeout.ms", DELIVERED_WITHIN_MS)];

/// Nothing stays on its way for longer, so that a process that was suspended cannot say today what was true yesterday:
/// what a role publishes is in its outbox, and is published again if it is still its to say.
const DELIVERED_WITHIN_MS: &str = "300000";

/// Publishes records in order. One producer serves the whole process.
pub struct Producer {
    config: ClientConfig,
    link: Link,
    /// Replaced when librdkafka gives it up.
    client: RwLock<Arc<Client>>,
}

type Client = ThreadedProducer<Deliveries>;

/// Hears from librdkafka what became of each record.
struct Deliveries {
    link: Link,
}

/// Travels with one record. When all tickets of a call are gone, all its records are settled.
struct Ticket {
    index: usize,
    failures: UnboundedSender<Failure>,
}

struct Failure {
    index: usize,
    error: KafkaError,
}

impl Producer {
    pub fn new(settings: &BusSettings, telemetry: &Telemetry) -> Result<Self, BusError> {
        let largest = LARGEST_RECORD.to_string();
        let mut required = REQUIRED.to_vec();
        if client::is_embedded(settings) {
            required.push(("message.max.bytes", &largest));
        }
        let config = client::properties(settings, &DEFAULTS, &required)?;
        let link = Link::new(settings, telemetry);
        let client = RwLock::new(Arc::new(connect(&config, &link)?));
        Ok(Self { config, link, client })
    }

    /// Publishes in order and returns when the broker has acknowledged every record; waits while the broker is away, but
    /// for no longer than a few minutes. Dropping the future does not take back what has been handed over.
    pub async fn publish(&self, mut records: Vec<Outgoing>) -> Result<(), BusError> {
        if records.is_empty() {
            return Ok(());
        }
        loop {
            let client = self.client();
            let failures = send_all(&client, &records).await;
            if failures.is_empty() {
                self.link.up();
                return Ok(());
            }
            if client.client().fatal_error().is_none() {
                return Err(refusal(&records, &failures));
            }
            self.replace(&client)?;
            records = keep(records, &failures);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Like [`Producer::publish`], but gives up after `timeout`. What was handed over by then may still arrive.
    pub async fn publish_within(&self, records: Vec<Outgoing>, timeout: Duration) -> Result<(), BusError> {
        match tokio::time::timeout(timeout, self.publish(records)).await {
            Ok(published) => published,
            Err(_) => Err(self.link.unreachable(&format!("no acknowledgement within {} ms", timeout.as_millis()))),
        }
    }

    /// Waits until nothing is under way, at most for `timeout`.
    pub async fn flush(&self, timeout: Duration) -> Result<(), BusError> {
        let client = self.client();
        let flushed = tokio::task::spawn_blocking(move || client.flush(timeout)).await;
        match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.link.unreachable(&error)),
            Err(error) => Err(self.link.unreachable(&error)),
        }
    }

    /// Flushes for a few seconds and ends; what is still under way then is lost here, and published again from
    /// wherever it came.
    pub async fn close(self) {
        if let Err(error) = self.flush(CLOSING).await {
            tracing::warn!(%error, "records under way were not acknowledged before the end");
        }
        // Ending a client joins its thread, which an async thread must not wait for.
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self)).await {
            tracing::warn!(%error, "the producer did not end cleanly");
        }
    }

    fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a new client in place of `broken`, unless another call has done so.
    fn replace(&self, broken: &Arc<Client>) -> Result<(), BusError> {
        let mut current = self.client.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, broken) {
            let reason = broken.client().fatal_error().map(|(_, reason)| reason).unwrap_or_default();
            tracing::warn!(reason, "the kafka producer broke and is made anew; records may be repeated");
            *current = Arc::new(connect(&self.config, &self.link)?);
        }
        Ok(())
    }
}

fn connect(config: &ClientConfig, link: &Link) -> Result<Client, BusError> {
    config.create_with_context(Deliveries { link: link.clone() }).map_err(client::refused)
}

/// Hands over every record, waiting where the queue is full, and returns the failures when all are settled.
async fn send_all(client: &Client, records: &[Outgoing]) -> Vec<Failure> {
    let (failures, mut failed) = unbounded_channel();
    for (index, record) in records.iter().enumerate() {
        let mut ticket = Box::new(Ticket { index, failures: failures.clone() });
        while let Err((error, unsent)) = send(client, record, ticket) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                unsent.fail(error);
                break;
            }
            ticket = unsent;
            tokio::time::sleep(PAUSE).await;
        }
    }
    drop(failures);
    let mut all = Vec::new();
    while let Some(failure) = failed.recv().await {
        all.push(failure);
    }
    all.sort_by_key(|failure| failure.index);
    all
}

fn send(client: &Client, record: &Outgoing, ticket: Box<Ticket>) -> Result<(), (KafkaError, Box<Ticket>)> {
    let base = BaseRecord {
        topic: record.topic.as_str(),
        partition: record.partition,
        payload: record.payload.as_deref(),
        key: record.key.as_deref(),
        timestamp: record.timestamp,
        headers: headers(record),
        delivery_opaque: ticket,
    };
    client.send(base).map_err(|(error, unsent)| (error, unsent.delivery_opaque))
}

fn headers(record: &Outgoing) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let empty = OwnedHeaders::new_with_capacity(record.headers.len());
    let add =
        |headers: OwnedHeaders, (key, value): &(String, Vec<u8>)| headers.insert(Header { key, value: Some(value) });
    Some(record.headers.iter().fold(empty, add))
}

fn refusal(records: &[Outgoing], failures: &[Failure]) -> BusError {
    let topic = failures.first().and_then(|first| records.get(first.index)).map(|record| record.topic.clone());
    let reason = failures.first().map(|first| match first.error.rdkafka_error_code() {
        Some(code) => code.to_string(),
        None => first.error.to_string(),
    });
    BusError::Produce { topic: topic.unwrap_or_default(), reason: reason.unwrap_or_default() }
}

/// The records that failed, in their order.
fn keep(records: Vec<Outgoing>, failures: &[Failure]) -> Vec<Outgoing> {
    let failed = |index: usize| failures.binary_search_by_key(&index, |failure| failure.index).is_ok();
    records.into_iter().enumerate().filter(|(index, _)| failed(*index)).map(|(_, record)| record).collect()
}

impl Ticket {
    fn fail(&self, error: KafkaError) {
        // Nobody listens any more when the caller has given up.
        let _ = self.failures.send(Failure { index: self.index, error });
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.link.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.link.error(error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        if let Err((error, _)) = result {
            ticket.fail(error.clone());
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("link", &self.link).finish_non_exhaustive()
    }
}
