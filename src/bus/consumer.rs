//! Reading as a member of a consumer group.

mod leaving;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::client::{self, ANSWER, Link};
use super::cursors::{Cursors, Surprise, Taken};
use super::positions::Faults;
use super::{BusError, BusSettings, Position, Records, Topics};
use crate::event::SourcePartition;
use crate::telemetry::Telemetry;

/// What one poll returns at most, in bytes of keys and payloads; a single record may be larger.
pub(super) const LARGEST_POLL: usize = 8 * 1024 * 1024;

/// Fetching that neither waits a second when its queue is full, as librdkafka does, nor takes much memory.
pub const FETCHING: [(&str, &str); 6] = [
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "50"),
    ("fetch.message.max.bytes", "4194304"),
    ("fetch.max.bytes", "8388608"),
    ("queued.min.messages", "100000"),
    ("queued.max.messages.kbytes", "16384"),
];

/// Shorter than librdkafka's 45 s, after which a process that is gone for good is replaced: one that comes back in time
/// keeps its partitions.
const MEMBERSHIP: [(&str, &str); 2] = [("session.timeout.ms", "20000"), ("heartbeat.interval.ms", "2000")];

/// The embedded broker frees a dead member's partitions only after this.
const EMBEDDED: [(&str, &str); 2] = [("session.timeout.ms", "10000"), ("heartbeat.interval.ms", "1000")];

/// How soon partitions that were added to a topic are seen.
const REFRESH: (&str, &str) = ("topic.metadata.refresh.interval.ms", "30000");

/// An offset that the topic does not have is an error, never a reason to read from somewhere else.
const REQUIRED: [(&str, &str); 3] =
    [("enable.auto.commit", "false"), ("auto.offset.reset", "error"), ("partition.assignment.strategy", "range")];

/// For a question that can be asked again.
const QUICK_ANSWER: Duration = Duration::from_secs(1);

/// What a poll brings.
#[derive(Debug)]
pub enum Polled {
    /// Consecutive records per source partition.
    Records(Vec<(SourcePartition, Records)>),
    /// To be answered by [`Consumer::assign`], also when it is empty: the group has more members than partitions.
    Assigned(Vec<SourcePartition>),
    /// All partitions are taken away; to be answered by [`Consumer::unassign`].
    Revoked(Vec<SourcePartition>),
    Idle,
}

/// One member of a group. It belongs on a thread of its own: polling blocks.
pub struct Consumer {
    client: BaseConsumer<Member>,
    group: String,
    topics: Vec<String>,
    embedded: bool,
    /// Topics whose log begins where compaction has left its first record, as on the embedded broker: what stood before
    /// was not lost.
    begins_anew: BTreeSet<String>,
    faults: Faults,
    /// Its name as a static member.
    instance: Option<String>,
    cursors: Cursors,
}

/// Hears of rebalances, and keeps them until the next poll: state must be closed before partitions go and opened
/// before they come.
struct Member {
    link: Link,
    events: Mutex<VecDeque<Polled>>,
    closing: AtomicBool,
    /// Partitions were assigned, perhaps none, and not taken away since.
    joined: AtomicBool,
}

impl Consumer {
    /// Joins `group`; polling does the rest. A process with an instance name is a static member: when it dies and
    /// comes back within the session timeout, it gets the same partitions again at once, without a rebalance.
    pub fn new(
        settings: &BusSettings,
        group: &str,
        topics: &[String],
        telemetry: &Telemetry,
    ) -> Result<Self, BusError> {
        let embedded = client::is_embedded(settings);
        let mut defaults = FETCHING.to_vec();
        defaults.push(REFRESH);
        defaults.extend(if embedded { EMBEDDED } else { MEMBERSHIP });
        let mut required = REQUIRED.to_vec();
        required.push(("group.id", group));
        // The embedded broker never assigns anything to a static member.
        let instance = settings.instance.clone().filter(|_| !embedded);
        if let Some(instance) = &instance {
            required.push(("group.instance.id", instance));
        }
        let config = client::properties(settings, &defaults, &required)?;
        let link = Link::new(settings, telemetry);
        let member =
            Member { link, events: Mutex::default(), closing: AtomicBool::default(), joined: AtomicBool::default() };
        let client: BaseConsumer<Member> = config.create_with_context(member).map_err(client::refused)?;
        let compacted = Topics::new(settings).all(settings).into_iter().filter(|topic| embedded && topic.compacted);
        let consumer = Self {
            client,
            group: group.to_owned(),
            topics: topics.to_vec(),
            embedded,
            begins_anew: compacted.map(|topic| topic.name).collect(),
            faults: Faults::new(telemetry),
            instance,
            cursors: Cursors::new(embedded),
        };
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.client.subscribe(&names).map_err(|error| consumer.failed(&error))?;
        Ok(consumer)
    }

    /// Blocks up to `timeout` for the first record, then takes what is there up to `max` records or some megabytes.
    pub fn poll(&mut self, max: usize, timeout: Duration) -> Result<Polled, BusError> {
        if let Some(event) = self.member().events().pop_front() {
            return Ok(event);
        }
        let mut surprises = Vec::new();
        let taken = self.gather(max, timeout, &mut surprises)?;
        for surprise in &surprises {
            self.judge(surprise)?;
        }
        if taken > 0 {
            self.member().link.up();
            return Ok(Polled::Records(self.cursors.drain()));
        }
        if let Some(event) = self.member().events().pop_front() {
            self.member().link.up();
            return Ok(event);
        }
        self.member().link.probe(self.client.client());
        Ok(Polled::Idle)
    }

    /// Answers an [`Polled::Assigned`]: starts reading at these positions.
    pub fn assign(&mut self, positions: &[Position]) -> Result<(), BusError> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for position in positions {
            let SourcePartition { topic, partition } = &position.source;
            let start = self.check(&position.source, position.next)?;
            // The embedded broker deletes no topic, and does not go on where compaction has left a gap.
            let from = if self.embedded { position.next.max(start) } else { position.fetch_from(start) };
            let from = from.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(topic, *partition, from).map_err(|error| self.failed(&error))?;
        }
        self.cursors.start(positions);
        self.client.assign(&list).map_err(|error| self.failed(&error))
    }

    /// Answers a [`Polled::Revoked`].
    pub fn unassign(&mut self) -> Result<(), BusError> {
        self.cursors.start(&[]);
        self.client.unassign().map_err(|error| self.failed(&error))
    }

    /// Commits the next offsets to read, for lag tools, without waiting.
    pub fn commit(&mut self, offsets: &[(SourcePartition, i64)]) -> Result<(), BusError> {
        self.commit_as(offsets, CommitMode::Async)
    }

    /// Commits and waits for the answer; for the end of a run.
    pub fn commit_sync(&mut self, offsets: &[(SourcePartition, i64)]) -> Result<(), BusError> {
        self.commit_as(offsets, CommitMode::Sync)
    }

    /// The number of partitions of `topic`.
    pub fn partitions(&self, topic: &str) -> Result<i32, BusError> {
        client::partitions(self.client.client(), &self.member().link, topic)
    }

    /// Whether the partition ends at `next_offset` (None = its beginning); false when the broker does not tell soon.
    #[must_use]
    pub fn is_at_end(&self, source: &SourcePartition, next_offset: Option<i64>) -> bool {
        match self.client.fetch_watermarks(&source.topic, source.partition, QUICK_ANSWER) {
            Ok((start, end)) => next_offset.unwrap_or(start) >= end,
            Err(_) => false,
        }
    }

    fn commit_as(&self, offsets: &[(SourcePartition, i64)], mode: CommitMode) -> Result<(), BusError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (source, offset) in offsets {
            let next = Offset::Offset(*offset);
            list.add_partition_offset(&source.topic, source.partition, next).map_err(|error| self.failed(&error))?;
        }
        self.client.commit(&list, mode).map_err(|error| self.failed(&error))
    }

    /// Takes records until there are enough, none is waiting, or the group has something to say.
    fn gather(&mut self, max: usize, timeout: Duration, surprises: &mut Vec<Surprise>) -> Result<usize, BusError> {
        let deadline = Instant::now() + timeout;
        let (mut taken, mut bytes) = (0, 0);
        while taken < max && bytes < LARGEST_POLL {
            let wait = if taken == 0 { client::wait_until(deadline) } else { Duration::ZERO };
            match self.client.poll(wait) {
                Some(Ok(message)) => {
                    if let Taken::Bytes(size) = self.cursors.take(&message, surprises) {
                        taken += 1;
                        bytes += size;
                    }
                }
                Some(Err(error)) => self.bear(&error)?,
                None if wait.is_zero() => break,
                // An event has been served, or the time is up.
                None => {}
            }
            if !self.client.context().events().is_empty() {
                break;
            }
        }
        Ok(taken)
    }

    /// Librdkafka goes on by itself after every error but a fatal one, and one that says that the offset is out of
    /// range: the next assignment tells how.
    fn bear(&self, error: &KafkaError) -> Result<(), BusError> {
        if let KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId) = error
            && let Some(instance) = &self.instance
        {
            return Err(BusError::Instance { group: self.group.clone(), instance: instance.clone() });
        }
        if matches!(
            error,
            KafkaError::MessageConsumptionFatal(_)
                | KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange
                )
        ) {
            return Err(self.failed(error));
        }
        tracing::debug!(group = self.group, %error, "reading goes on after an error");
        Ok(())
    }

    /// Proves that reading can go on at this offset, and tells where the log starts. An answer that does not come is no
    /// proof against it: fetching fails by itself then.
    fn check(&self, source: &SourcePartition, offset: Option<i64>) -> Result<Option<i64>, BusError> {
        let Some(wanted) = offset else { return Ok(None) };
        match self.client.fetch_watermarks(&source.topic, source.partition, ANSWER) {
            Ok(ends) if ends.0 > wanted && self.begins_anew.contains(&source.topic) => Ok(Some(ends.0)),
            Ok(ends) => self.faults.check(source, wanted, ends).map(|()| Some(ends.0)),
            Err(error) => {
                tracing::debug!(%source, %error, "where the partition begins and ends is not known");
                Ok(None)
            }
        }
    }

    /// Records between the offset that was asked for and the first one may never have been (compaction) or may be
    /// lost (retention): only the start of the log tells.
    fn judge(&self, surprise: &Surprise) -> Result<(), BusError> {
        let (source, requested, found) = match surprise {
            Surprise::Replaced { source, offset } => return Err(self.faults.replaced(source, *offset)),
            Surprise::Jump { source, requested, found } => (source, requested, found),
        };
        if found < requested {
            return self.faults.check(source, *requested, (*found, *found));
        }
        if self.embedded { Ok(()) } else { self.check(source, Some(*requested)).map(drop) }
    }

    fn member(&self) -> &Member {
        self.client.context()
    }

    fn failed(&self, error: &KafkaError) -> BusError {
        BusError::Consume { group: self.group.clone(), reason: error.to_string() }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // From here on a rebalance is answered in its callback: nobody polls any more.
        self.member().closing.store(true, Ordering::SeqCst);
        if let Err(error) = self.client.unassign() {
            tracing::debug!(group = self.group, %error, "leaving the group");
        }
    }
}

impl Member {
    fn events(&self) -> MutexGuard<'_, VecDeque<Polled>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.link.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.link.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, client: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assigned = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        self.joined.store(assigned, Ordering::SeqCst);
        if self.closing.load(Ordering::SeqCst) {
            let answered = if assigned { client.assign(&TopicPartitionList::new()) } else { client.unassign() };
            if let Err(error) = answered {
                tracing::debug!(%error, "leaving the group");
            }
            return;
        }
        let sources = list
            .elements()
            .iter()
            .map(|element| SourcePartition { topic: element.topic().to_owned(), partition: element.partition() })
            .collect();
        self.events().push_back(if assigned { Polled::Assigned(sources) } else { Polled::Revoked(sources) });
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // Commits serve lag tools alone; the next one makes up for this.
        if let Err(error) = result {
            tracing::debug!(%error, "offsets were not committed");
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, topics, cursors, .. } = self;
        f.debug_struct("Consumer")
            .field("group", group)
            .field("topics", topics)
            .field("cursors", cursors)
            .finish_non_exhaustive()
    }
}
