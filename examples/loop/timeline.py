"""Everything that happens, as it stands on Plimsoll's topics."""

import json
import threading
import time

import trainer
from confluent_kafka import Consumer, TopicPartition

"""Seconds to wait for what should come, on a machine that has much else to do."""
PATIENCE = 600


class Timeline:
    """Prints what stands on the topics, and keeps it."""

    def __init__(self, bootstrap, as_json):
        self.started, self.as_json = time.time(), as_json
        self.lock, self.told = threading.Condition(), []
        # Version and beginning of the windows that are told, and those that have been.
        self.watched, self.windows = (None, None), set()
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "timeline", "enable.auto.commit": False})
        self.stopped = threading.Event()
        self.topics = [f"plimsoll.{name}" for name in ("alerts", "retraining", "registry", "windows")]
        places = [TopicPartition(topic, p, 0) for topic in self.topics for p in self.partitions(topic)]
        self.consumer.assign(places)
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def partitions(self, topic):
        return trainer.partitions_of(self.consumer, topic)

    def follow(self):
        while not self.stopped.is_set():
            for message in self.consumer.consume(500, timeout=0.2):
                if message.error() or message.value() is None:
                    continue
                for told in self.events(message):
                    self.add(message, *told)
        self.consumer.close()

    def events(self, message):
        record = json.loads(message.value())
        if message.topic().endswith(".registry"):
            return decisions(record) if (message.key() or b"").startswith(b"log/") else []
        if message.topic().endswith(".alerts"):
            return alert(record)
        if message.topic().endswith(".windows"):
            return self.window(record)
        reason = f"version {record['version']} should be trained anew: {record['reason']}"
        return [("retraining", reason, record)]

    def window(self, record):
        """Once, as soon as its outcomes are known."""
        version, since = self.watched
        accuracy = next((row for row in record["performance"] if row["metric"] == "accuracy"), None)
        is_of = record["version"] == version and record["segment"] is None and record["window_start"] > (since or "")
        if not is_of or accuracy is None or accuracy["verdict"] == "insufficient":
            return []
        place = (record["variant"], record["window_start"])
        if place in self.windows:
            return []
        self.windows.add(place)
        drifted = {row["feature"] for row in record["drift"] if row["decides"] and row["verdict"] == "drift"}
        said = f"drift of {', '.join(sorted(drifted))}" if drifted else "no drift"
        text = (
            f"window of version {version}: {record['predictions']} loans, accuracy {accuracy['value']:.3f} beside "
            f"{accuracy['reference']:.3f} of its reference ({accuracy['verdict']}), {said}"
        )
        return [("window", text, record)]

    def add(self, message, kind, text, record):
        stamp = message.timestamp()[1]
        at = stamp / 1000 if stamp and stamp > 0 else time.time()
        place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
        told = {"at": round(at - self.started, 1), **place, "kind": kind, "text": text, "record": record}
        with self.lock:
            self.told.append(told)
            self.lock.notify_all()
        if text is None:
            return
        if self.as_json:
            shown = {name: told[name] for name in ("at", "topic", "partition", "offset", "kind", "text")}
            print(json.dumps(shown), flush=True)
        else:
            where = f"{place['topic']}[{place['partition']}]@{place['offset']}"
            print(f"{told['at']:7.1f} s  {where:<30} {text}", flush=True)

    def say(self, text):
        if self.as_json:
            print(json.dumps({"at": round(time.time() - self.started, 1), "kind": "story", "text": text}), flush=True)
        else:
            print(f"{time.time() - self.started:7.1f} s  {'':<30} {text}", flush=True)

    def wait(self, what, holds, patience=PATIENCE):
        """The first event for which `holds`, now or later."""
        deadline, seen = time.monotonic() + patience, 0
        with self.lock:
            while True:
                for told in self.told[seen:]:
                    if holds(told):
                        return told
                seen = len(self.told)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise SystemExit(f"{what}: nothing of it after {patience} s")
                self.lock.wait(left)

    def all(self, holds):
        with self.lock:
            return [told for told in self.told if holds(told)]

    def stop(self):
        self.stopped.set()
        self.thread.join()


def alert(record):
    if record["state"] == "pending":
        return []
    who = f"version {record['version']}" + (f" ({record['variant']})" if record["variant"] != "default" else "")
    text = f"alert {record['state']}: {record['severity']} {record['kind']} of {who}: {record['summary']}"
    return [("alert", text, record)]


def decisions(record):
    events = record["outcome"].get("applied", {}).get("events", [])
    return [told for told in (decision(event) for event in events) if told]


def decision(event):
    kind = event["type"]
    version = event.get("version")
    if kind == "version_created":
        return kind, f"version {version['version']} is registered", event
    if kind == "gates_run":
        verdicts = {gate["name"]: gate["verdict"] for gate in event["report"]["gates"] if gate["severity"] == "critical"}
        bad = [name for name, verdict in verdicts.items() if verdict != "passed"]
        said = f"fails {', '.join(bad)}" if bad else f"passes all of {', '.join(verdicts)}"
        return kind, f"gates: version {version} {said}", event
    if kind == "stage_transitioned":
        return kind, f"version {version} moves from {event['from']} to {event['to']}", event
    if kind == "alias_set":
        return kind, f"version {version} is {event['alias']} now", event
    if kind == "tags_set" and "plimsoll.reference.status" in event["tags"]:
        _, number = event["subject"]["version"]
        return kind, f"reference of version {number}: {event['tags']['plimsoll.reference.status']}", event
    if kind == "rollout_changed":
        return kind, rollout(event), event
    return None


def rollout(event):
    about, change = event["rollout"], event["change"].replace("_", " ")
    steps = about["plan"]["steps"]
    now = steps[min(about["step"], len(steps) - 1)]
    why = f": {about['reason']}" if about.get("reason") else ""
    return f"rollout of version {about['candidate']} {change} at {now['mode']} {now['weight']:g} %{why}"
