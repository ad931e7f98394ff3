//! Reading whole topics without a group.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{self, ANSWER, Link};
use super::consumer::{FETCHING, LARGEST_POLL};
use super::cursors::{Cursors, Taken};
use super::{BusError, BusSettings, Position, Records};
use crate::event::SourcePartition;
use crate::telemetry::Telemetry;

const SMALLER: (&str, &str) = ("queued.max.messages.kbytes", "8192");

/// How long to wait before asking again for the ends of a partition that has no leader.
const LEADER_PAUSE: Duration = Duration::from_millis(100);

const REQUIRED: [(&str, &str); 2] = [("enable.auto.commit", "false"), ("auto.offset.reset", "earliest")];

/// Reads all partitions of some topics from their beginning, then follows them. Creating and polling one blocks.
pub struct Tail {
    client: BaseConsumer<Link>,
    name: String,
    cursors: Cursors,
    /// Partitions that have not been read up to where they ended at the start.
    behind: BTreeMap<SourcePartition, i64>,
}

impl Tail {
    pub fn new(settings: &BusSettings, topics: &[String], telemetry: &Telemetry) -> Result<Self, BusError> {
        let mut defaults = FETCHING.to_vec();
        defaults.push(SMALLER);
        // Librdkafka wants a group's name even of those that never join it.
        let name = format!("{}.tail", settings.prefix);
        let mut required = REQUIRED.to_vec();
        required.push(("group.id", &name));
        let config = client::properties(settings, &defaults, &required)?;
        let link = Link::new(settings, telemetry);
        let client: BaseConsumer<Link> = config.create_with_context(link).map_err(client::refused)?;
        let cursors = Cursors::new(client::is_embedded(settings));
        let mut tail = Self { client, name, cursors, behind: BTreeMap::new() };
        tail.start(topics)?;
        Ok(tail)
    }

    /// Blocks up to `timeout` for the first record, then takes what is there up to `max` records or some megabytes.
    pub fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<(SourcePartition, Records)>, BusError> {
        let deadline = Instant::now() + timeout;
        let (mut taken, mut bytes) = (0, 0);
        // All partitions are read from their beginning, so that no record is unexpected.
        let mut surprises = Vec::new();
        while taken < max && bytes < LARGEST_POLL {
            let wait = if taken == 0 { client::wait_until(deadline) } else { Duration::ZERO };
            match self.client.poll(wait) {
                Some(Ok(message)) => {
                    if let Taken::Bytes(size) = self.cursors.take(&message, &mut surprises) {
                        taken += 1;
                        bytes += size;
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(self.failed(&error)),
                Some(Err(error)) => tracing::debug!(name = self.name, %error, "reading goes on after an error"),
                None if wait.is_zero() => break,
                None => {}
            }
        }
        if taken == 0 {
            self.client.context().probe(self.client.client());
            self.forget_deleted();
            return Ok(Vec::new());
        }
        self.client.context().up();
        self.catch_up();
        Ok(self.cursors.drain())
    }

    /// Whether everything has been read that was there when this tail was made.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.behind.is_empty()
    }

    /// The next offset to read of every partition.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<SourcePartition, i64> {
        self.cursors.positions().map(|(source, next)| (source.clone(), next)).collect()
    }

    fn start(&mut self, topics: &[String]) -> Result<(), BusError> {
        let mut beginnings = Vec::new();
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..client::partitions(self.client.client(), self.client.context(), topic)? {
                let source = SourcePartition { topic: topic.clone(), partition };
                let (low, high) = self.watermarks(&source)?;
                list.add_partition_offset(topic, partition, Offset::Beginning).map_err(|error| self.failed(&error))?;
                beginnings.push(Position::at(source.clone(), None));
                if low < high {
                    self.behind.insert(source, high);
                }
            }
        }
        self.cursors.start(&beginnings);
        self.client.assign(&list).map_err(|error| self.failed(&error))
    }

    fn catch_up(&mut self) {
        for (source, next) in self.cursors.positions() {
            if self.behind.get(source).is_some_and(|end| next >= *end) {
                self.behind.remove(source);
            }
        }
    }

    /// What retention takes away after the start will never be read: do not wait for it.
    fn forget_deleted(&mut self) {
        let waiting: Vec<(SourcePartition, i64)> = self.behind.iter().map(|(s, end)| (s.clone(), *end)).collect();
        for (source, end) in waiting {
            if self.watermarks(&source).is_ok_and(|(low, _)| low >= end) {
                self.behind.remove(&source);
            }
        }
    }

    fn watermarks(&self, source: &SourcePartition) -> Result<(i64, i64), BusError> {
        let deadline = Instant::now() + ANSWER;
        loop {
            match self.client.fetch_watermarks(&source.topic, source.partition, ANSWER) {
                Ok(found) => return Ok(found),
                // As for a moment after the topic was made.
                Err(error) if has_no_leader(&error) && Instant::now() < deadline => std::thread::sleep(LEADER_PAUSE),
                Err(error) => return Err(self.client.context().unreachable(&error)),
            }
        }
    }

    fn failed(&self, error: &KafkaError) -> BusError {
        BusError::Consume { group: self.name.clone(), reason: error.to_string() }
    }
}

fn has_no_leader(error: &KafkaError) -> bool {
    let passing = [RDKafkaErrorCode::NotLeaderForPartition, RDKafkaErrorCode::LeaderNotAvailable];
    error.rdkafka_error_code().is_some_and(|code| passing.contains(&code))
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, cursors, behind, .. } = self;
        f.debug_struct("Tail")
            .field("name", name)
            .field("cursors", cursors)
            .field("behind", behind)
            .finish_non_exhaustive()
    }
}
