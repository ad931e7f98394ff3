#!/usr/bin/env python3
"""Produces records with confluent-kafka, as any service would.

    produce.py --bootstrap HOST:PORT --topic TOPIC < records.ndjson

Each line is {"key": ..., "value": ..., "headers": {...}}; key and headers may be left out. A key or value that is
no string is sent as JSON. Prints how many records were acknowledged; exit code 1 when some were not.
"""

import argparse
import json
import sys

from confluent_kafka import Producer

FLUSH_SECONDS = 30


def to_bytes(value) -> bytes | None:
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    arguments = parser.parse_args()

    sent, acknowledged = 0, 0

    def on_delivery(error, _message) -> None:
        nonlocal acknowledged
        if error is None:
            acknowledged += 1
        else:
            print(f"produce.py: {error}", file=sys.stderr)

    producer = Producer({
        "bootstrap.servers": arguments.bootstrap,
        "acks": "all",
        "delivery.timeout.ms": FLUSH_SECONDS * 1000,
        "linger.ms": 5,
    })
    for line in filter(str.strip, sys.stdin):
        record = json.loads(line)
        message = {"key": to_bytes(record.get("key")), "value": to_bytes(record.get("value"))}
        headers = [(name, to_bytes(value)) for name, value in record.get("headers", {}).items()]
        while True:
            try:
                producer.produce(arguments.topic, **message, headers=headers, on_delivery=on_delivery)
                break
            except BufferError:
                producer.poll(0.1)
        sent += 1
        producer.poll(0)
    producer.flush(FLUSH_SECONDS)
    print(acknowledged)
    return 0 if acknowledged == sent else 1


if __name__ == "__main__":
    sys.exit(main())
