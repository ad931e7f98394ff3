//! The bus port: Kafka's protocol, by way of rdkafka, to any broker or to the embedded one.

mod admin;
mod client;
mod consumer;
mod cursors;
mod embedded;
mod instance;
mod positions;
mod producer;
mod record;
mod settings;
mod tail;
#[cfg(test)]
mod tests;
mod topics;

pub use admin::Admin;
pub use consumer::{Consumer, FETCHING, Polled};
pub use embedded::EmbeddedBroker;
pub use instance::Instance;
pub use positions::Position;
pub use producer::Producer;
pub use record::{Outgoing, Record, Records, Seen};
pub use settings::{BrokerSource, BusSettings};
pub use tail::Tail;
pub use topics::{Topic, Topics};

#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("kafka at {brokers} cannot be reached: {reason}")]
    Unreachable { brokers: String, reason: String },
    #[error("kafka setting '{key}' is refused: {reason}")]
    Setting { key: String, reason: String },
    #[error("topic '{topic}' has {key}={found}, plimsoll needs {wanted}: {remedy}")]
    TopicSettings { topic: String, key: String, found: String, wanted: String, remedy: String },
    #[error("topic '{topic}' cannot be created: {reason}")]
    Create { topic: String, reason: String },
    #[error("topics and groups cannot be deleted: {reason}")]
    Delete { reason: String },
    #[error("topic '{topic}' does not exist: create it, or let plimsoll do so at its start")]
    Missing { topic: String },
    #[error("topic '{topic}' does not take a record: {reason}")]
    Produce { topic: String, reason: String },
    #[error("reading {group} failed: {reason}")]
    Consume { group: String, reason: String },
    #[error(
        "topic '{topic}' partition {partition} ends at {end}, before offset {wanted} where reading was to go on: it was \
         made anew or has lost records; nothing of it is read until plimsoll state reset lets everything be counted anew"
    )]
    Remade { topic: String, partition: i32, wanted: i64, end: i64 },
    #[error(
        "topic '{topic}' partition {partition}: records {wanted} to {start} were deleted before they were read; nothing \
         of it is read until plimsoll replay-from --topic {topic} --partition {partition} --offset {start} leaves them \
         out, or plimsoll state reset lets everything be counted anew"
    )]
    Deleted { topic: String, partition: i32, wanted: i64, start: i64 },
    #[error(
        "topic '{topic}' partition {partition}: record {offset}, the last that was read, is another one now: the topic was \
         made anew or has lost records; nothing of it is read until plimsoll state reset lets everything be counted anew"
    )]
    Replaced { topic: String, partition: i32, offset: i64 },
    #[error(
        "another process reads {group} as instance '{instance}', too: give each process a kafka.instance of its own"
    )]
    Instance { group: String, instance: String },
    #[error("the embedded broker cannot start on {listen}: {reason}")]
    Embedded { listen: String, reason: String },
}
