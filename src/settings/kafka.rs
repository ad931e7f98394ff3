//! The broker and the topics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::error::Problems;
use super::keys::names_in;
use super::raw::{Entries, Node, Raw, flatten};
use super::reader::Section;
use super::values;
use crate::bus::{BrokerSource, BusSettings, Topics};

/// librdkafka's properties that Plimsoll sets itself, and what to do instead.
const CONTROLLED: [(&str, &str); 16] = [
    ("bootstrap.servers", "write kafka.brokers"),
    ("metadata.broker.list", "write kafka.brokers"),
    ("group.id", "groups are named after kafka.prefix and the role"),
    ("group.instance.id", "write kafka.instance"),
    ("group.protocol", "it is always classic"),
    ("partition.assignment.strategy", "it is always range"),
    ("enable.auto.commit", "offsets are kept with the state"),
    ("enable.auto.offset.store", "offsets are kept with the state"),
    ("auto.offset.reset", "offsets are kept with the state"),
    ("enable.partition.eof", "it is of no use here"),
    ("enable.idempotence", "it is always on"),
    ("transactional.id", "outputs need no transaction"),
    ("acks", "it is always all"),
    ("request.required.acks", "it is always all"),
    ("message.timeout.ms", "what is not acknowledged in time is published again from the state"),
    ("delivery.timeout.ms", "records wait as long as the broker is away"),
];

/// What people write below `[kafka]` though it belongs to librdkafka.
const PROPERTY_FAMILIES: [&str; 4] = ["security", "sasl", "ssl", "socket"];

/// Makes the nested and the quoted spelling of properties the same, before other sources are laid over them.
pub(super) fn flatten_properties(root: &mut Entries) {
    let Some(Raw::Table(kafka)) = root.get_mut("kafka").map(|entry| &mut entry.node.value) else { return };
    let Some(Raw::Table(properties)) = kafka.get_mut("properties").map(|entry| &mut entry.node.value) else { return };
    *properties = flatten(std::mem::take(properties));
}

pub(super) fn bus(section: &Section<'_>, data: &Path, problems: &mut Problems) -> BusSettings {
    let mut known = names_in("kafka");
    known.extend(PROPERTY_FAMILIES);
    section.reject_unknown(&known, problems);
    for family in PROPERTY_FAMILIES.into_iter().filter(|family| section.has(family)) {
        let message = "is a property of librdkafka: write it in quotes under [kafka.properties], such as \
                       \"security.protocol\" = \"SASL_SSL\"";
        section.report(family, message, problems);
    }
    let settings = BusSettings {
        brokers: brokers(section, data, problems),
        properties: properties(&section.table("properties", problems), problems),
        prefix: section.value("prefix", problems, values::topic).unwrap_or_else(|| "plimsoll".to_owned()),
        predictions: topics(section, "predictions", problems),
        outcomes: topics(section, "outcomes", problems),
        partitions: section.value("partitions", problems, values::count).unwrap_or(2),
        replication: section.value("replication", problems, values::count).unwrap_or(1),
        instance: section.value("instance", problems, values::instance),
    };
    let is_embedded = matches!(settings.brokers, BrokerSource::Embedded { .. });
    if is_embedded && settings.replication > 1 && section.are_sound(&["brokers", "replication"], problems) {
        section.report("replication", "the embedded broker is alone: write 1, or name brokers", problems);
    }
    if is_embedded && settings.instance.is_some() && section.are_sound(&["brokers", "instance"], problems) {
        section.report("instance", "the embedded broker is for one process: remove it, or name brokers", problems);
    }
    if section.are_sound(&["prefix", "predictions", "outcomes"], problems) {
        distinct_topics(section, &settings, problems);
    }
    settings
}

fn brokers(section: &Section<'_>, data: &Path, problems: &mut Problems) -> BrokerSource {
    let default = SocketAddr::from(([127, 0, 0, 1], 9092));
    let listen = section.value("listen", problems, values::address).unwrap_or(default);
    let embedded = BrokerSource::Embedded { listen, data: data.to_owned() };
    match section.value("brokers", problems, broker_list) {
        Some(brokers) if brokers != "embedded" => BrokerSource::External(brokers),
        _ => embedded,
    }
}

fn broker_list(node: &Node) -> Result<String, String> {
    let text = values::text(node)?;
    let brokers: Vec<&str> = text.split(',').map(str::trim).collect();
    if brokers == ["embedded"] || brokers.iter().all(|broker| is_host_and_port(broker)) {
        return Ok(brokers.join(","));
    }
    Err(format!("'{text}' names no brokers: write \"embedded\" or host:port, several separated by commas"))
}

fn is_host_and_port(broker: &str) -> bool {
    let Some((host, port)) = broker.rsplit_once(':') else { return false };
    let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']);
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn topics(section: &Section<'_>, key: &str, problems: &mut Problems) -> Vec<String> {
    section.some(key, problems, values::topic).unwrap_or_else(|| vec![key.to_owned()])
}

fn distinct_topics(section: &Section<'_>, settings: &BusSettings, problems: &mut Problems) {
    for topic in settings.outcomes.iter().filter(|topic| settings.predictions.contains(topic)) {
        let message = format!("'{topic}' carries the predictions: outcomes need a topic of their own");
        section.report("outcomes", message, problems);
    }
    let topics = Topics::new(settings);
    let own = [
        &topics.joins,
        &topics.panes,
        &topics.windows,
        &topics.alerts,
        &topics.retraining,
        &topics.references,
        &topics.accounting,
        &topics.registry,
        &topics.registry_commands,
        &topics.requests,
        &topics.responses,
        &topics.deadletter,
    ];
    for (key, topics) in [("predictions", &settings.predictions), ("outcomes", &settings.outcomes)] {
        for topic in topics.iter().filter(|topic| own.contains(topic)) {
            let message = format!("'{topic}' is a topic of Plimsoll's own: choose another, or another kafka.prefix");
            section.report(key, message, problems);
        }
    }
}

fn properties(section: &Section<'_>, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    for name in section.keys() {
        if let Some((_, instead)) = CONTROLLED.iter().find(|(controlled, _)| *controlled == name) {
            section.report(name, format!("is set by Plimsoll: remove it; {instead}"), problems);
            continue;
        }
        if let Some(value) = section.value(name, problems, values::scalar) {
            properties.insert(name.to_owned(), value);
        }
    }
    properties
}
