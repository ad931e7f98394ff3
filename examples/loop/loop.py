"""The whole loop on real data: a served model drifts, is retrained, and the new version takes over, or is taken back.

usage: loop.py --plimsoll PROGRAM [--json] [--rate 1000]

Starts Plimsoll with an embedded broker in a temporary folder, trains and registers a champion, and sends it the car loans
of tests/data: drift begins with row 25,000. When Plimsoll asks for retraining, trainer.py answers with three candidates: a
logistic regression, which the gates reject; a forest that is too slow to be served, which is rolled back; and the
same forest as it should be, which is promoted. Everything that happens is printed as it stands on the topics.
"""

import argparse
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import mlflow
import onnxruntime
import pandas as pd
import requests
import trainer
from confluent_kafka import Consumer, TopicPartition
from mlflow import MlflowClient

MODEL = "car_loan"
ROOT = HERE.parent.parent
DATA = ROOT / "tests" / "data"
FEATURES = [
    "car_value",
    "salary_range",
    "debt_to_income_ratio",
    "loan_length",
    "repaid_loan_on_prev_car",
    "size_of_downpayment",
    "driver_tenure",
]
DRIFT, HELD_OUT, END = 25_000, 37_500, 50_000
"""Seconds from an answer to its outcome."""
OUTCOME_AFTER = 1.0
"""Seconds of each window; and of each step of a rollout."""
WINDOW = 3
BAKE = 10
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


class Traffic:
    """Clients: ask for answers, and tell the outcomes a moment later."""

    def __init__(self, url, rows, outcomes):
        self.url, self.rows, self.outcomes = url, rows, outcomes
        self.work, self.answered = queue.Queue(maxsize=32), queue.Queue()
        self.stopped, self.failed, self.sent = threading.Event(), 0, 0
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(8)]
        self.threads.append(threading.Thread(target=self.tell, daemon=True))
        for thread in self.threads:
            thread.start()

    def send(self, rows, rate, per_request, lap):
        """Sends these rows at `rate` per second."""
        began = time.monotonic()
        for first in range(0, len(rows), per_request):
            due = began + first / rate
            while time.monotonic() < due and not self.stopped.is_set():
                time.sleep(min(0.01, max(0.0, due - time.monotonic())))
            if self.stopped.is_set():
                return
            self.work.put((rows[first : first + per_request], lap))

    def forever(self, rows, rate, per_request):
        def run():
            lap = 1
            while not self.stopped.is_set():
                self.send(rows, rate, per_request, lap)
                lap += 1

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def ask(self):
        session = requests.Session()
        while not self.stopped.is_set():
            try:
                rows, lap = self.work.get(timeout=0.2)
            except queue.Empty:
                continue
            asked = [{"id": f"loan-{row}-{lap}", "features": self.rows[row]} for row in rows]
            try:
                answer = session.post(f"{self.url}/v2/models/{MODEL}/infer", json={"rows": asked}, timeout=30)
                answers = answer.json() if answer.status_code == 200 else []
            except requests.RequestException:
                answers = []
            good = {told["id"] for told in answers if "prediction" in told}
            self.sent, self.failed = self.sent + len(good), self.failed + len(rows) - len(good)
            known = [(f"loan-{row}-{lap}", self.outcomes[row]) for row in rows]
            self.answered.put((time.monotonic(), [pair for pair in known if pair[0] in good]))

    def tell(self):
        session = requests.Session()
        while not self.stopped.is_set():
            try:
                at, pairs = self.answered.get(timeout=0.2)
            except queue.Empty:
                continue
            time.sleep(max(0.0, at + OUTCOME_AFTER - time.monotonic()))
            batch = [pairs]
            while not self.answered.empty() and len(batch) < 50:
                if self.answered.queue[0][0] + OUTCOME_AFTER > time.monotonic():
                    break
                batch.append(self.answered.get()[1])
            now = datetime.now(timezone.utc).isoformat()
            events = [{"id": id, "model": MODEL, "time": now, "label": label} for pairs in batch for id, label in pairs]
            if events:
                body = "\n".join(json.dumps(event) for event in events)
                headers = {"content-type": "application/x-ndjson"}
                session.post(f"{self.url}/v1/outcomes", data=body, headers=headers, timeout=60).raise_for_status()

    def settle(self):
        """Waits until everything that was sent is answered, and its outcomes told."""
        while not (self.work.empty() and self.answered.empty()):
            time.sleep(0.1)
        time.sleep(OUTCOME_AFTER + 0.5)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


class Service:
    """A running `plimsoll up`."""

    def __init__(self, program, folder):
        self.program = program
        self.http, self.broker = free_port(), free_port()
        self.url, self.bootstrap = f"http://127.0.0.1:{self.http}", f"127.0.0.1:{self.broker}"
        shutil.copy(HERE / "plimsoll.toml", folder)
        library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"))
        settings = {
            "data": folder / "data",
            "http.listen": f"127.0.0.1:{self.http}",
            "kafka.listen": self.bootstrap,
            "serving.onnxruntime": library,
            "checks.directory": ROOT / "sql" / "checks",
            "registry.gates.directory": ROOT / "sql" / "gates",
        }
        flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        self.log = folder / "plimsoll.log"
        with open(self.log, "w") as log:
            command = [program, "--config", "plimsoll.toml", *flags, "up"]
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        self.wait("the service", "/readyz")

    def wait(self, what, path, patience=120):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SystemExit(f"plimsoll has ended:\n{self.log.read_text()[-4000:]}")
            try:
                if requests.get(self.url + path, timeout=5).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.2)
        raise SystemExit(f"{what} is not ready after {patience} s:\n{self.log.read_text()[-4000:]}")

    def ask(self, *args):
        """What a command says, and whether it is content."""
        done = subprocess.run([self.program, *args, "--url", self.url], capture_output=True, text=True)
        return done.returncode == 0, done.stdout + done.stderr

    def sql(self, sql):
        answer = requests.post(f"{self.url}/v1/sql", data=sql, headers={"content-type": "application/sql"}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def loans(name):
    frame = pd.read_parquet(DATA / f"car_loan_{name}.parquet")
    if "repaid" not in frame.columns:
        frame = frame.merge(pd.read_parquet(DATA / "car_loan_outcomes.parquet"), on="id")
    return frame, frame["repaid"].astype(int).astype(str)


def champion(folder):
    """Trained on the reference; what it says of rows that it has not seen is what it is watched against."""
    frame, outcome = loans("reference")
    features = trainer.features_of(frame[FEATURES].copy())
    fitted, unseen = trainer.fit("forest", features, outcome, leaf=5)
    made = trainer.reference(features, outcome, unseen)
    made.to_parquet(folder / "reference.parquet")
    return fitted, features, made


def train(service, kind, held_out):
    """What the trainer says of the candidate that it has registered."""
    command = [sys.executable, str(HERE / "trainer.py"), "--url", service.url, "--bootstrap", service.bootstrap]
    command += ["--kind", kind, "--group", f"trainer-{kind}", "--held-out", str(held_out), "--once"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the trainer failed:\n{done.stdout}{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def try_candidate(service, timeline, kind, held_out):
    told = train(service, kind, held_out)
    version = told["version"]
    timeline.say(
        f"the trainer offers version {version}, a {kind} model: accuracy {told['accuracy']:.4f} on {told['held_out']} "
        f"rows that it has not seen, the champion's is {told['champion']:.4f}"
    )
    timeline.wait(
        f"the reference of version {version}",
        lambda event: event["kind"] == "tags_set" and event["record"]["subject"]["version"] == [MODEL, int(version)],
    )
    passed, said = service.ask("gate", "run", MODEL, version)
    return told, passed, said


def roll_out(service, timeline, version, *options):
    """Starts a rollout and waits for its end; returns its last state."""
    options = ["--canary", "5,25,50,100", "--bake", f"{BAKE}s", "--minimum-samples", "30", *options]
    started, said = service.ask("rollout", "start", MODEL, "--version", version, *options)
    if not started:
        raise SystemExit(f"the rollout does not start: {said}")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = requests.get(f"{service.url}/v1/rollouts/{MODEL}", timeout=30).json()
        if now["rollout"]["state"] not in ("running", "paused"):
            return now["rollout"]
        time.sleep(0.5)
    raise SystemExit(f"the rollout has not ended after {PATIENCE} s: {json.dumps(now)}")


def quiet_after(service, timeline, version, ended_at):
    """Judged windows of the version that began after its promotion; all of them must be quiet."""
    where = f"version = '{version}' AND window_start > '{ended_at}' AND segment IS NULL"
    drift = f"SELECT window_start, feature, n_reference, verdict FROM drift WHERE {where} AND decides"
    accuracy = f"SELECT window_start, value, reference, verdict FROM performance WHERE {where} AND metric = 'accuracy'"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        rows = [row for row in service.sql(accuracy) if row["verdict"] != "insufficient"]
        judged = [row for row in service.sql(drift) if row["verdict"] != "insufficient"]
        if len(rows) >= 3 and len({row["window_start"] for row in judged}) >= 3:
            return judged, rows
        time.sleep(1)
    raise SystemExit(f"no windows of version {version} are judged after {PATIENCE} s")


def check(holds, what):
    if not holds:
        raise SystemExit(f"the story goes otherwise: {what}")


def tell(args, folder):
    fitted, features, made = champion(folder)
    service = Service(args.plimsoll, folder)
    timeline = Timeline(service.bootstrap, args.json)
    frame, outcomes = loans("production")
    rows = json.loads(trainer.features_of(frame[FEATURES].copy()).to_json(orient="records", double_precision=15))
    traffic = Traffic(service.url, rows, outcomes.tolist())
    try:
        story(args, service, timeline, traffic, (fitted, features, made))
    except BaseException:
        shutil.copy(service.log, args.log) if args.log else None
        raise
    finally:
        traffic.stop()
        timeline.stop()
        service.stop()


def story(args, service, timeline, traffic, made):
    mlflow.set_tracking_uri(service.url)
    version = trainer.register(MODEL, "champion", *made)
    MlflowClient().set_registered_model_alias(MODEL, "champion", version)
    service.wait("the champion", f"/v2/models/{MODEL}/ready")
    timeline.say(f"the champion answers: {DRIFT - args.start:,} loans as they were, then drift begins")
    traffic.send(range(args.start, DRIFT), args.rate, 50, 0)
    # No window has loans of before and of after, so that neither has what the trainer is asked to learn from.
    traffic.settle()
    time.sleep(WINDOW - time.time() % WINDOW)
    timeline.say("row 25,000: drift begins")
    traffic.send(range(DRIFT, END), args.rate, 50, 0)
    traffic.settle()
    asked = timeline.wait("a request for retraining", lambda event: event["kind"] == "retraining")
    check(asked["record"]["version"] == version, "the request is about another version")
    timeline.say(f"from here on {args.live_rate:g} loans a second, on which no candidate is trained")
    traffic.forever(range(HELD_OUT, END), args.live_rate, 5)

    told, passed, said = try_candidate(service, timeline, "logistic", args.held_out)
    check(not passed and "better_than_champion" in said, f"the gates let a worse model pass: {said}")

    told, passed, said = try_candidate(service, timeline, "slow", args.held_out)
    check(passed, f"the gates reject a model that is good offline: {said}")
    ended = roll_out(service, timeline, told["version"])
    check(ended["state"] == "rolled_back" and ended["step"] == 0, f"the slow model is not rolled back: {ended}")
    taken, looks = seconds(ended["ended_at"]) - seconds(ended["step_since"]), ended["analysis"]["looks"]
    check(looks <= 2, f"the slow model is rolled back after {looks} windows of the analysis only")
    timeline.say(f"version {told['version']} was taken back in its first step, by window {looks} of it, after {taken:.1f} s")
    timeline.wait("an alert of the rollback", lambda event: event["kind"] == "alert" and event["record"]["kind"] == "rollout")

    told, passed, said = try_candidate(service, timeline, "forest", args.held_out)
    check(passed, f"the gates reject the good model: {said}")
    ended = roll_out(service, timeline, told["version"], "--shadow", f"{BAKE}s")
    check(ended["state"] == "promoted", f"the good model is not promoted: {ended}")
    timeline.watched = (told["version"], ended["ended_at"])
    drift, accuracy = quiet_after(service, timeline, told["version"], ended["ended_at"])
    noisy = [row for row in drift + accuracy if row["verdict"] in ("drift", "decay")]
    check(not noisy, f"windows of the promoted version are not quiet: {noisy[:3]}")
    references = {row["n_reference"] for row in drift}
    check(all(rows <= told["trained_on"] for rows in references), f"they are compared with {references} rows")
    timeline.wait("a window of the new version", lambda event: event["kind"] == "window")
    timeline.say(f"version {told['version']} answers all loans, and its windows are like its own reference")
    check(traffic.failed == 0, f"{traffic.failed} requests had no answer")
    timeline.say(f"{traffic.sent:,} loans were answered, none was lost")


def seconds(text):
    return datetime.fromisoformat(re.sub("Z$", "+00:00", text)).timestamp()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plimsoll", required=True, type=lambda path: str(Path(path).resolve()), help="the program")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--start", type=int, default=15_000, help="first row of tests/data that is sent")
    parser.add_argument("--rate", type=float, default=1_000, help="loans per second before retraining is asked for")
    parser.add_argument("--live-rate", type=float, default=300, help="and after that")
    parser.add_argument("--held-out", type=int, default=9_000, help="rows that candidates are measured on")
    parser.add_argument("--log", help="where to keep the service's log if the story goes otherwise")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tell(args, Path(folder))


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    main()
