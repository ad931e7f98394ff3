//! How to reach Kafka, and the names of the topics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct BusSettings {
    pub brokers: BrokerSource,
    /// Further properties of librdkafka, such as `security.protocol`; secrets among them are never shown.
    pub properties: BTreeMap<String, String>,
    /// Prefix of Plimsoll's own topics and consumer groups.
    pub prefix: String,
    pub predictions: Vec<String>,
    pub outcomes: Vec<String>,
    /// Partitions of the topics that Plimsoll creates.
    pub partitions: i32,
    pub replication: i32,
    /// The name under which this process is a static member of its groups; without one it is a dynamic member. Two
    /// processes with one name take it away from each other.
    pub instance: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerSource {
    /// `host:port,…`
    External(String),
    /// The broker in this process; `data` is the folder of its libSQL file.
    Embedded { listen: SocketAddr, data: PathBuf },
}

impl BusSettings {
    /// The bootstrap servers to give to a client.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        match &self.brokers {
            BrokerSource::External(brokers) => brokers.clone(),
            BrokerSource::Embedded { listen, .. } => listen.to_string(),
        }
    }
}
