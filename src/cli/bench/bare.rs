//! The yardstick: a bare consumer that reads every record and does nothing with it.

use std::time::{Duration, Instant};

use anyhow::bail;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::usage::{Meter, Usage};
use crate::bus::{BusSettings, FETCHING};

/// Without a record for this long, the broker is taken for gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads `topic` to the end offsets, with the fetch settings of Plimsoll's own consumer.
pub(super) fn drain(bus: &BusSettings, topic: &str, ends: &[i64]) -> anyhow::Result<Usage> {
    let mut config = ClientConfig::new();
    for (key, value) in FETCHING {
        config.set(key, value);
    }
    config.set("bootstrap.servers", bus.bootstrap()).set("group.id", format!("{}.bare", bus.prefix));
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    for partition in (0..).take(ends.len()) {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    let mut reading = ends.iter().filter(|end| **end > 0).count();
    let (mut events, mut bytes) = (0, 0);
    let meter = Meter::start();
    consumer.assign(&list)?;
    let mut last_record = Instant::now();
    while reading > 0 {
        let Some(record) = consumer.poll(Duration::from_millis(100)) else {
            if last_record.elapsed() > PATIENCE {
                bail!("{topic} brings no records any more, {events} have come");
            }
            continue;
        };
        // Librdkafka goes on by itself after an error.
        let Ok(record) = record else { continue };
        events += 1;
        bytes += record.payload_len() as u64;
        if is_last(ends, record.partition(), record.offset()) {
            reading -= 1;
        }
        if events % 4_096 == 0 {
            last_record = Instant::now();
        }
    }
    Ok(meter.stop(events, bytes))
}

fn is_last(ends: &[i64], partition: i32, offset: i64) -> bool {
    usize::try_from(partition).ok().and_then(|index| ends.get(index)).is_some_and(|end| offset + 1 == *end)
}
