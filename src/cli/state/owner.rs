//! Whether a running service has the state open, and the broker for commands that run beside none.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::bus::{Admin, BrokerSource, BusError, BusSettings, EmbeddedBroker, Outgoing, Producer, Tail};
use crate::settings::Settings;
use crate::telemetry::Telemetry;

/// How long a broker may take to answer before the command gives up.
const PATIENCE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(1);
const BATCH: usize = 1_000;
const POLL: Duration = Duration::from_millis(100);
const ROLES: [&str; 9] =
    ["ingest", "join", "evaluate", "notify", "registry", "rollouts", "webhooks", "lineage", "serve"];

/// A client for the deployment's Kafka. The embedded broker is started for as long as this lives.
pub(in crate::cli) struct Broker {
    pub(in crate::cli) admin: Admin,
    pub(in crate::cli) bus: BusSettings,
    embedded: Option<EmbeddedBroker>,
}

impl Broker {
    pub(in crate::cli) async fn connect(settings: &Settings) -> anyhow::Result<Self> {
        let mut bus = settings.bus.clone();
        let mut embedded = None;
        if let BrokerSource::Embedded { listen, data } = &mut bus.brokers {
            let broker = EmbeddedBroker::start(([127, 0, 0, 1], 0).into(), data).await?;
            *listen = broker.address();
            embedded = Some(broker);
        }
        let admin = Admin::new(&bus, &Telemetry::default())?;
        let waited = tokio::time::timeout(PATIENCE, admin.wait_until_reachable()).await;
        waited.with_context(|| format!("kafka at {} does not answer", bus.bootstrap()))?;
        Ok(Self { admin, bus, embedded })
    }

    pub(in crate::cli) fn group(&self, role: &str) -> String {
        format!("{}.{role}", self.bus.prefix)
    }

    pub(in crate::cli) const fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Deletes every key of a compacted topic, for a broker that cannot delete the topic.
    pub(in crate::cli) async fn take_back(&self, topic: &str) -> anyhow::Result<()> {
        let telemetry = Telemetry::default();
        let keys = tokio::task::block_in_place(|| keys_of(&self.bus, topic, &telemetry))?;
        let tombstone = |key| Outgoing { topic: topic.to_owned(), key: Some(key), ..Outgoing::default() };
        let producer = Producer::new(&self.bus, &telemetry)?;
        producer.publish(keys.into_iter().map(tombstone).collect()).await?;
        producer.close().await;
        Ok(())
    }

    pub(in crate::cli) async fn close(self) {
        // Clients go before their broker, or they would report it lost.
        drop(self.admin);
        if let Some(broker) = self.embedded {
            broker.stop().await;
        }
    }
}

fn keys_of(bus: &BusSettings, topic: &str, telemetry: &Telemetry) -> Result<BTreeSet<Vec<u8>>, BusError> {
    let mut tail = match Tail::new(bus, &[topic.to_owned()], telemetry) {
        Err(BusError::Missing { .. }) => return Ok(BTreeSet::new()),
        tail => tail?,
    };
    let mut keys = BTreeSet::new();
    while !tail.is_caught_up() {
        for (_, records) in tail.poll(BATCH, POLL)? {
            keys.extend(records.iter().filter_map(|record| record.key.map(<[u8]>::to_vec)));
        }
    }
    Ok(keys)
}

/// Refuses while some process has the state open, as far as that can be told, and connects otherwise.
pub(in crate::cli) async fn refuse_while_owned(settings: &Settings) -> anyhow::Result<Broker> {
    if let BrokerSource::Embedded { listen, .. } = &settings.bus.brokers
        && TcpStream::connect_timeout(listen, CONNECT).is_ok()
    {
        bail!("a service is running with its embedded broker on {listen}: stop it first");
    }
    let broker = Broker::connect(settings).await.context("whether a service is running cannot be told")?;
    if matches!(settings.bus.brokers, BrokerSource::Embedded { .. }) {
        return Ok(broker);
    }
    for role in ROLES {
        let members = broker.admin.members(&broker.group(role)).await?;
        if members > 0 {
            bail!(
                "{members} members read as {role}: stop every plimsoll of this deployment first (one that was killed \
                 counts until its session times out, after 45 s by default)"
            );
        }
    }
    Ok(broker)
}
