//! What every Kafka client shares: its properties, its log and its health.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{BrokerSource, BusError, BusSettings};
use crate::telemetry::{Health, Telemetry};

/// The longest to wait for an answer to one question to the broker.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

const NANOS_PER_MILLI: u64 = 1_000_000;

/// The part of the service under which every client reports its health.
const PART: &str = "kafka";
/// At most one line about lost connections per client in this time.
const QUIET: Duration = Duration::from_secs(30);

/// How often an idle client asks whether a broker that was away is back.
const PROBE: Duration = Duration::from_secs(2);

/// Properties that would break what Plimsoll promises, and why they cannot be set.
const REFUSED: [(&str, &str); 15] = [
    ("bootstrap.servers", "write it as kafka.brokers"),
    ("metadata.broker.list", "write it as kafka.brokers"),
    ("group.id", "every role has a group of its own, named after kafka.prefix"),
    ("group.instance.id", "write it as kafka.instance"),
    ("group.protocol", "offsets come from the state store, which needs the classic protocol"),
    ("partition.assignment.strategy", "state moves with whole partitions, which needs range"),
    ("enable.auto.commit", "offsets are committed after the state that holds them"),
    ("auto.offset.reset", "a topic without a known offset is read from its beginning"),
    ("enable.partition.eof", "it is of no use here"),
    ("enable.idempotence", "a retried record must not be written twice"),
    ("transactional.id", "outputs are idempotent and need no transaction"),
    ("acks", "a record counts as published when all replicas have it"),
    ("request.required.acks", "a record counts as published when all replicas have it"),
    ("message.timeout.ms", "what is not acknowledged in time is published again from the state"),
    ("delivery.timeout.ms", "records wait as long as the broker is away"),
];

/// How long a client is to wait for something until `deadline`: whole milliseconds, rounded up. Librdkafka counts in
/// them, so that what is left of one would be spent in a busy loop.
pub(super) fn wait_until(deadline: Instant) -> Duration {
    in_whole_millis(deadline.saturating_duration_since(Instant::now()))
}

fn in_whole_millis(left: Duration) -> Duration {
    let below = u64::from(left.subsec_nanos()) % NANOS_PER_MILLI;
    left + Duration::from_nanos((NANOS_PER_MILLI - below) % NANOS_PER_MILLI)
}

/// The connection of one client, as the log and `/readyz` see it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    telemetry: Telemetry,
    brokers: String,
    trouble: Arc<Mutex<Trouble>>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// The last failure of a connection, in librdkafka's words.
    reason: Option<String>,
    logged: Option<Instant>,
    probed: Option<Instant>,
}

/// Properties of a client: ours, then the user's, then those that are not the user's to choose.
pub(super) fn properties(
    settings: &BusSettings,
    defaults: &[(&str, &str)],
    required: &[(&str, &str)],
) -> Result<ClientConfig, BusError> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    config.set("client.id", settings.prefix.as_str());
    for (key, value) in defaults {
        config.set(*key, *value);
    }
    for (key, value) in &settings.properties {
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| refused == key) {
            return Err(BusError::Setting { key: key.clone(), reason: (*reason).to_owned() });
        }
        config.set(key.as_str(), value.as_str());
    }
    for (key, value) in required {
        config.set(*key, *value);
    }
    config.set("bootstrap.servers", settings.bootstrap());
    Ok(config)
}

pub(super) fn is_embedded(settings: &BusSettings) -> bool {
    matches!(settings.brokers, BrokerSource::Embedded { .. })
}

/// The number of partitions of `topic`. Blocks.
pub(super) fn partitions<C: ClientContext>(client: &Client<C>, link: &Link, topic: &str) -> Result<i32, BusError> {
    let metadata = client.fetch_metadata(Some(topic), ANSWER).map_err(|error| link.unreachable(&error))?;
    link.up();
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    let count = found.map_or(0, |found| found.partitions().len());
    match i32::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(BusError::Missing { topic: topic.to_owned() }),
    }
}

/// Why librdkafka refused to make a client. The value is left out, since it may be a secret.
pub(super) fn refused(error: KafkaError) -> BusError {
    match error {
        KafkaError::ClientConfig(_, reason, key, _) => BusError::Setting { key, reason },
        other => BusError::Setting { key: "properties".to_owned(), reason: other.to_string() },
    }
}

impl Link {
    pub(super) fn new(settings: &BusSettings, telemetry: &Telemetry) -> Self {
        Self { telemetry: telemetry.clone(), brokers: settings.bootstrap(), trouble: Arc::default() }
    }

    /// The broker has answered.
    pub(super) fn up(&self) {
        let before = self.telemetry.health().remove(PART);
        if before == Some(Health::Ready) {
            return;
        }
        self.telemetry.report(PART, Health::Ready);
        if matches!(before, Some(Health::Blocked(_))) {
            tracing::info!(brokers = %self.brokers, "kafka answers again");
        }
    }

    /// No broker can be reached.
    pub(super) fn down(&self, reason: &str) {
        let message = self.unreachable(reason).to_string();
        if !self.is_down() {
            tracing::warn!("{message}; trying again until it answers");
        }
        self.telemetry.report(PART, Health::Blocked(message));
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.telemetry.health().get(PART), Some(Health::Blocked(_)))
    }

    pub(super) fn unreachable(&self, reason: &(impl fmt::Display + ?Sized)) -> BusError {
        BusError::Unreachable { brokers: self.brokers.clone(), reason: reason.to_string() }
    }

    /// A client without records hears nothing from a broker that is back, so it asks.
    pub(super) fn probe<C: ClientContext>(&self, client: &Client<C>) {
        if !self.is_down() {
            return;
        }
        let mut trouble = self.trouble();
        if trouble.probed.is_some_and(|at| at.elapsed() < PROBE) {
            return;
        }
        trouble.probed = Some(Instant::now());
        drop(trouble);
        if client.fetch_metadata(None, Duration::from_secs(1)).is_ok() {
            self.up();
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line about a lost connection: librdkafka writes one for every attempt.
    fn log_connection(&self, message: &str) {
        let mut trouble = self.trouble();
        if trouble.logged.is_some_and(|at| at.elapsed() < QUIET) {
            tracing::debug!(target: "kafka", "{message}");
            return;
        }
        trouble.logged = Some(Instant::now());
        tracing::warn!(target: "kafka", "{message}");
    }
}

impl ClientContext for Link {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match (level, facility) {
            (_, "FAIL" | "ERROR") => self.log_connection(message),
            // A property that only producers or only consumers know: all clients get all of them.
            (_, "CONFWARN") => tracing::debug!(target: "kafka", facility, "{message}"),
            (
                RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error,
                _,
            ) => {
                tracing::error!(target: "kafka", facility, "{message}");
            }
            (RDKafkaLogLevel::Warning, _) => tracing::warn!(target: "kafka", facility, "{message}"),
            (RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info, _) => {
                tracing::debug!(target: "kafka", facility, "{message}");
            }
            (RDKafkaLogLevel::Debug, _) => tracing::trace!(target: "kafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                let cause = self.trouble().reason.clone();
                self.down(cause.as_deref().unwrap_or(reason));
            }
            // One broker of several may go: the service is blocked only when all of them are gone.
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut,
            ) => self.trouble().reason = Some(reason.to_owned()),
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => self.down(reason),
            _ => tracing::debug!(target: "kafka", %error, "{reason}"),
        }
    }
}

impl ConsumerContext for Link {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(properties: &[(&str, &str)]) -> BusSettings {
        BusSettings {
            brokers: BrokerSource::External("kafka:9092".to_owned()),
            properties: properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            prefix: "plimsoll".to_owned(),
            predictions: Vec::new(),
            outcomes: Vec::new(),
            partitions: 1,
            replication: 1,
            instance: None,
        }
    }

    #[test]
    fn a_wait_is_of_whole_milliseconds_and_never_shorter_than_what_is_left() {
        let rounded = |micros| in_whole_millis(Duration::from_micros(micros)).as_micros();
        assert_eq!([0, 1, 999, 1_000, 99_001, 2_000_500].map(rounded), [0, 1_000, 1_000, 1_000, 100_000, 2_001_000]);
        assert_eq!(wait_until(Instant::now()), Duration::ZERO);
    }

    #[test]
    fn the_users_properties_win_over_defaults_but_not_over_promises() {
        let settings = settings(&[("linger.ms", "20"), ("security.protocol", "SSL")]);
        let config = properties(&settings, &[("linger.ms", "5"), ("compression.type", "lz4")], &[]).unwrap();
        assert_eq!(config.get("linger.ms"), Some("20"));
        assert_eq!(config.get("compression.type"), Some("lz4"));
        assert_eq!(config.get("security.protocol"), Some("SSL"));
        assert_eq!(config.get("bootstrap.servers"), Some("kafka:9092"));
    }

    #[test]
    fn a_property_that_would_break_a_promise_is_refused_by_name() {
        for (key, _) in REFUSED {
            let error = properties(&settings(&[(key, "x")]), &[], &[]).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn a_refused_value_is_not_repeated() {
        let mut config = properties(&settings(&[]), &[], &[]).unwrap();
        config.set("sasl.passwort", "hunter2");
        let message = refused(config.create_native_config().map(|_| ()).unwrap_err()).to_string();
        assert!(message.contains("sasl.passwort") && !message.contains("hunter2"), "{message}");
    }

    #[test]
    fn health_is_blocked_when_all_brokers_are_gone_and_ready_after_an_answer() {
        let telemetry = Telemetry::default();
        let link = Link::new(&settings(&[]), &telemetry);
        let failed = KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure);
        link.error(failed, "Connection refused");
        assert_eq!(telemetry.health(), BTreeMap::new());
        link.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let words = "kafka at kafka:9092 cannot be reached: Connection refused".to_owned();
        assert_eq!(telemetry.health().get(PART), Some(&Health::Blocked(words)));
        link.up();
        assert_eq!(telemetry.health().get(PART), Some(&Health::Ready));
    }
}
