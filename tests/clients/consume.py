#!/usr/bin/env python3
"""Prints every record of a topic, read with confluent-kafka.

    consume.py --bootstrap HOST:PORT --topic TOPIC [--timeout SECONDS]

Reads all partitions from the beginning to where they ended at the start. Each record is one line of JSON:
{"partition", "offset", "timestamp", "key", "value", "headers"}. Bytes that are no UTF-8 become {"base64": "..."}.
Exit code 1 when the topic is unknown or the end was not reached in time.
"""

import argparse
import base64
import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition


def text_of(data: bytes | None):
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def describe(message) -> dict:
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": text_of(message.key()),
        "value": text_of(message.value()),
        "headers": {name: text_of(value) for name, value in message.headers() or []},
    }


def partitions_of(consumer: Consumer, topic: str, timeout: float) -> list[TopicPartition]:
    """The partitions that hold something, with the offset at which to stop."""
    metadata = consumer.list_topics(topic, timeout).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    partitions = []
    for number in metadata.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout)
        if high > low:
            partitions.append(TopicPartition(topic, number, high))
    return partitions


def print_records(consumer: Consumer, topic: str, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    ends = {partition.partition: partition.offset for partition in partitions_of(consumer, topic, timeout)}
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in ends])
    while ends:
        message = consumer.poll(max(0.0, deadline - time.monotonic()))
        if message is None:
            return False
        number = message.partition()
        if message.error() is not None:
            # Compaction may have removed the last records: then the partition just ends.
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            ends.pop(number, None)
            continue
        end = ends.get(number)
        if end is None or message.offset() >= end:
            ends.pop(number, None)
            continue
        print(json.dumps(describe(message), ensure_ascii=False))
        if message.offset() == end - 1:
            ends.pop(number)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    arguments = parser.parse_args()

    consumer = Consumer({
        "bootstrap.servers": arguments.bootstrap,
        "group.id": "plimsoll-tests-consume",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    })
    try:
        if print_records(consumer, arguments.topic, arguments.timeout):
            return 0
        print(f"consume.py: {arguments.topic} was not read to its end in {arguments.timeout} s", file=sys.stderr)
    except KafkaException as error:
        print(f"consume.py: {error}", file=sys.stderr)
    finally:
        consumer.close()
    return 1


if __name__ == "__main__":
    sys.exit(main())
