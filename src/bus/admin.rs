//! Creating and checking topics, and asking where they end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{self, ANSWER, Link};
use super::{BusError, BusSettings, Topic, Topics};
use crate::clock::Timestamp;
use crate::event::SourcePartition;
use crate::telemetry::Telemetry;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A client for questions. Every answer is awaited, never polled for by the caller's thread.
pub struct Admin {
    client: Arc<AdminClient<Link>>,
    link: Link,
    settings: BusSettings,
    /// One client per group whose offsets were asked for.
    groups: Arc<Mutex<BTreeMap<String, Arc<BaseConsumer<Link>>>>>,
}

/// A topic's setting that is not as it must be.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    key: &'static str,
    found: String,
    wanted: String,
}

impl Admin {
    pub fn new(settings: &BusSettings, telemetry: &Telemetry) -> Result<Self, BusError> {
        let mut config = client::properties(settings, &[], &[("allow.auto.create.topics", "false")])?;
        // Nobody serves this client's log, so that it must stay short.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let link = Link::new(settings, telemetry);
        let client = config.create_with_context(link.clone()).map_err(client::refused)?;
        Ok(Self { client: Arc::new(client), link, settings: settings.clone(), groups: Arc::default() })
    }

    /// Creates the topics that are missing, and checks those of Plimsoll's own that exist.
    pub async fn ensure(&self, topics: &[Topic]) -> Result<(), BusError> {
        let existing = self.existing().await?;
        let (known, missing): (Vec<_>, Vec<_>) = topics.iter().partition(|topic| existing.contains_key(&topic.name));
        self.create(&missing).await?;
        let own = known.into_iter().filter(|topic| !self.is_users(topic));
        for topic in own {
            let partitions = existing.get(&topic.name).copied().unwrap_or_default();
            self.check_partitions(topic, partitions)?;
            self.check_settings(topic).await?;
        }
        Ok(())
    }

    /// The id that tells this cluster from all others; none from brokers that tell none.
    pub async fn cluster_id(&self) -> Result<Option<String>, BusError> {
        let client = Arc::clone(&self.client);
        let id = self.blocking(move || client.inner().fetch_cluster_id(ANSWER)).await?;
        Ok(id.filter(|id| !id.is_empty()))
    }

    pub async fn partitions(&self, topic: &str) -> Result<i32, BusError> {
        let (client, link, topic) = (Arc::clone(&self.client), self.link.clone(), topic.to_owned());
        self.blocking(move || client::partitions(client.inner(), &link, &topic)).await?
    }

    /// The offset after the last record, per partition.
    pub async fn end_offsets(&self, topic: &str) -> Result<Vec<i64>, BusError> {
        let partitions = self.partitions(topic).await?;
        let (client, topic) = (Arc::clone(&self.client), topic.to_owned());
        let end = move |partition| client.inner().fetch_watermarks(&topic, partition, ANSWER).map(|(_, high)| high);
        let ends: KafkaResult<Vec<i64>> = self.blocking(move || (0..partitions).map(end).collect()).await?;
        ends.map_err(|error| self.link.unreachable(&error))
    }

    /// The offsets of the first record and after the last one.
    pub async fn ends(&self, source: &SourcePartition) -> Result<(i64, i64), BusError> {
        let (client, source) = (Arc::clone(&self.client), source.clone());
        let ends = move || client.inner().fetch_watermarks(&source.topic, source.partition, ANSWER);
        self.blocking(ends).await?.map_err(|error| self.link.unreachable(&error))
    }

    /// The first record at or after `time`, as Kafka dates it; none if there is none.
    pub async fn offset_at(&self, source: &SourcePartition, time: Timestamp) -> Result<Option<i64>, BusError> {
        let client = self.group(&format!("{}.admin", self.settings.prefix))?;
        let source = source.clone();
        let answer = self.blocking(move || {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&source.topic, source.partition, Offset::Offset(time.millis()))?;
            let found = client.offsets_for_times(list, ANSWER)?;
            let offset = found.find_partition(&source.topic, source.partition).map(|found| found.offset());
            KafkaResult::Ok(match offset {
                Some(Offset::Offset(offset)) => Some(offset),
                _ => None,
            })
        });
        answer.await?.map_err(|error| self.link.unreachable(&error))
    }

    /// What `group` has committed, per partition.
    pub async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>, BusError> {
        let partitions = self.partitions(topic).await?;
        let client = self.group(group)?;
        let topic = topic.to_owned();
        let answer = self.blocking(move || committed(&client, &topic, partitions)).await?;
        answer.map_err(|error| self.link.unreachable(&error))
    }

    /// How many members `group` has now; those that died count until their session is over.
    pub async fn members(&self, group: &str) -> Result<usize, BusError> {
        let (client, name) = (Arc::clone(&self.client), group.to_owned());
        let members = move || -> KafkaResult<usize> {
            let list = client.inner().fetch_group_list(Some(&name), ANSWER)?;
            Ok(list.groups().iter().filter(|found| found.name() == name).map(|found| found.members().len()).sum())
        };
        self.blocking(members).await?.map_err(|error| self.link.unreachable(&error))
    }

    /// Deletes topics and consumer groups; those that are not there are left out. Not on the embedded broker, which
    /// deletes every topic when it is told to delete one.
    pub async fn delete(&self, topics: &[String], groups: &[String]) -> Result<(), BusError> {
        let failed = |reason: String| BusError::Delete { reason };
        if client::is_embedded(&self.settings) {
            return Err(failed("the embedded broker would delete all of them".to_owned()));
        }
        let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let deleted = match topics.as_slice() {
            [] => Vec::new(),
            some => self.client.delete_topics(some, &options).await.map_err(|error| failed(error.to_string()))?,
        };
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let deleted_groups = match groups.as_slice() {
            [] => Vec::new(),
            some => self.client.delete_groups(some, &options).await.map_err(|error| failed(error.to_string()))?,
        };
        let missing = [RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::GroupIdNotFound];
        for (name, code) in deleted.into_iter().chain(deleted_groups).filter_map(Result::err) {
            if !missing.contains(&code) {
                return Err(failed(format!("{name}: {code}")));
            }
        }
        Ok(())
    }

    /// Asks again and again, more and more slowly, until the broker answers.
    pub async fn wait_until_reachable(&self) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.existing().await {
            // An unreachable broker is reported under its own words; anything else may still pass.
            match error {
                BusError::Unreachable { reason, .. } => self.link.down(&reason),
                other => self.link.down(&other.to_string()),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Every topic and its number of partitions.
    async fn existing(&self) -> Result<BTreeMap<String, i32>, BusError> {
        let client = Arc::clone(&self.client);
        let answer = self.blocking(move || client.inner().fetch_metadata(None, ANSWER)).await?;
        let metadata = answer.map_err(|error| self.link.unreachable(&error))?;
        self.link.up();
        let topics = metadata.topics().iter();
        Ok(topics.map(|t| (t.name().to_owned(), i32::try_from(t.partitions().len()).unwrap_or(i32::MAX))).collect())
    }

    async fn create(&self, topics: &[&Topic]) -> Result<(), BusError> {
        if topics.is_empty() {
            return Ok(());
        }
        let replication = if client::is_embedded(&self.settings) { 1 } else { self.settings.replication };
        let sizes: Vec<String> = topics.iter().map(|t| t.max_message_bytes.unwrap_or(0).to_string()).collect();
        let wanted: Vec<NewTopic<'_>> = topics
            .iter()
            .zip(&sizes)
            .map(|(topic, size)| {
                let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication));
                self.with_settings(new, topic, size)
            })
            .collect();
        let options = AdminOptions::new().request_timeout(Some(ANSWER * 3)).operation_timeout(Some(ANSWER));
        let answer = self.client.create_topics(&wanted, &options).await;
        for result in answer.map_err(|error| self.link.unreachable(&error))? {
            match result {
                Ok(topic) => tracing::info!(topic, "topic created"),
                // Another process was quicker.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(BusError::Create { topic, reason: code.to_string() }),
            }
        }
        Ok(())
    }

    /// Users' topics get the broker's defaults.
    fn with_settings<'a>(&self, new: NewTopic<'a>, topic: &Topic, size: &'a str) -> NewTopic<'a> {
        if self.is_users(topic) {
            return new;
        }
        let new = match topic.max_message_bytes {
            Some(_) => new.set("max.message.bytes", size),
            None => new,
        };
        match topic.compacted {
            true => new.set("cleanup.policy", "compact"),
            // The embedded broker deletes by the age of records, after a week, and loses count of the offsets when
            // the last one goes. Without a policy it deletes nothing.
            false if client::is_embedded(&self.settings) => new,
            false => new.set("cleanup.policy", "delete"),
        }
    }

    fn is_users(&self, topic: &Topic) -> bool {
        self.settings.predictions.contains(&topic.name) || self.settings.outcomes.contains(&topic.name)
    }

    fn check_partitions(&self, topic: &Topic, partitions: i32) -> Result<(), BusError> {
        if partitions >= topic.partitions {
            return Ok(());
        }
        let topics = Topics::new(&self.settings);
        let remedy = if client::is_embedded(&self.settings) {
            format!("set kafka.partitions to {partitions}, since the embedded broker cannot add any")
        } else if topic.name == topics.joins || topic.name == topics.panes {
            format!("set kafka.partitions to {partitions}: records lie where that number puts them")
        } else {
            format!(
                "kafka-topics --bootstrap-server {} --alter --topic {} --partitions {}",
                self.settings.bootstrap(),
                topic.name,
                topic.partitions
            )
        };
        Err(BusError::TopicSettings {
            topic: topic.name.clone(),
            key: "partitions".to_owned(),
            found: partitions.to_string(),
            wanted: topic.partitions.to_string(),
            remedy,
        })
    }

    async fn check_settings(&self, topic: &Topic) -> Result<(), BusError> {
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let answer = self.client.describe_configs(&[ResourceSpecifier::Topic(&topic.name)], &options).await;
        let resource = match answer.map(|mut resources| resources.pop()) {
            Ok(Some(Ok(resource))) => resource,
            other => {
                tracing::debug!(topic = topic.name, ?other, "the broker does not say how the topic is set");
                return Ok(());
            }
        };
        let Some(Wrong { key, found, wanted }) = wrong(topic, &resource) else { return Ok(()) };
        let remedy = format!(
            "kafka-configs --bootstrap-server {} --alter --entity-type topics --entity-name {} --add-config {key}={wanted}",
            self.settings.bootstrap(),
            topic.name
        );
        Err(BusError::TopicSettings { topic: topic.name.clone(), key: key.to_owned(), found, wanted, remedy })
    }

    /// The client that asks for the offsets of `group`, without ever joining it.
    fn group(&self, group: &str) -> Result<Arc<BaseConsumer<Link>>, BusError> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = groups.get(group) {
            return Ok(Arc::clone(client));
        }
        let required = [("group.id", group), ("enable.auto.commit", "false")];
        let config: ClientConfig = client::properties(&self.settings, &[], &required)?;
        let client: BaseConsumer<Link> = config.create_with_context(self.link.clone()).map_err(client::refused)?;
        let client = Arc::new(client);
        groups.insert(group.to_owned(), Arc::clone(&client));
        Ok(client)
    }

    async fn blocking<T: Send + 'static>(&self, question: impl FnOnce() -> T + Send + 'static) -> Result<T, BusError> {
        tokio::task::spawn_blocking(question).await.map_err(|error| self.link.unreachable(&error))
    }
}

fn committed(client: &BaseConsumer<Link>, topic: &str, partitions: i32) -> KafkaResult<Vec<Option<i64>>> {
    // Serves the client's log and errors, which are all that can come here.
    while client.poll(Duration::ZERO).is_some() {}
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let answer = client.committed_offsets(list, ANSWER)?;
    let offset_of = |partition| match answer.find_partition(topic, partition).map(|found| found.offset()) {
        Some(Offset::Offset(offset)) => Some(offset),
        _ => None,
    };
    Ok((0..partitions).map(offset_of).collect())
}

/// The first setting of an existing topic that Plimsoll cannot work with. A broker that leaves a setting out has
/// Kafka's default.
fn wrong(topic: &Topic, resource: &ConfigResource) -> Option<Wrong> {
    let value = |key: &str| resource.get(key).and_then(|entry| entry.value.clone());
    let policy = value("cleanup.policy").unwrap_or_else(|| "delete".to_owned());
    let wanted = if topic.compacted { "compact" } else { "delete" };
    if policy != wanted {
        return Some(Wrong { key: "cleanup.policy", found: policy, wanted: wanted.to_owned() });
    }
    let (largest, wanted) = (value("max.message.bytes")?, topic.max_message_bytes?);
    let enough = largest.parse::<u64>().is_ok_and(|largest| largest >= wanted);
    (!enough).then(|| Wrong { key: "max.message.bytes", found: largest, wanted: wanted.to_string() })
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("link", &self.link).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::{ConfigEntry, ConfigSource, OwnedResourceSpecifier};

    use super::*;

    fn described(entries: &[(&str, &str)]) -> ConfigResource {
        let entry = |(name, value): &(&str, &str)| ConfigEntry {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
            source: ConfigSource::DynamicTopic,
            is_read_only: false,
            is_default: false,
            is_sensitive: false,
        };
        let specifier = OwnedResourceSpecifier::Topic("t".to_owned());
        ConfigResource { specifier, entries: entries.iter().map(entry).collect() }
    }

    fn topic(compacted: bool, max_message_bytes: Option<u64>) -> Topic {
        Topic { name: "t".to_owned(), partitions: 1, compacted, max_message_bytes }
    }

    #[test]
    fn a_topic_must_be_compacted_exactly_if_it_holds_the_latest_value_per_key() {
        let key = "cleanup.policy";
        assert_eq!(wrong(&topic(true, None), &described(&[(key, "compact")])), None);
        assert_eq!(wrong(&topic(false, None), &described(&[])), None);
        for found in ["delete", "compact,delete"] {
            let expected = Wrong { key, found: found.to_owned(), wanted: "compact".to_owned() };
            assert_eq!(wrong(&topic(true, None), &described(&[(key, found)])), Some(expected));
        }
        assert!(wrong(&topic(false, None), &described(&[(key, "compact")])).is_some());
    }

    #[test]
    fn a_topic_for_large_records_must_take_them() {
        let large = topic(false, Some(2_000_000));
        assert_eq!(wrong(&large, &described(&[("max.message.bytes", "2000000")])), None);
        assert_eq!(wrong(&large, &described(&[])), None);
        let small = wrong(&large, &described(&[("max.message.bytes", "1048588")])).unwrap();
        assert_eq!((small.key, small.wanted.as_str()), ("max.message.bytes", "2000000"));
    }
}
