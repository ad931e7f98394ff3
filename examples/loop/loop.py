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
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import mlflow
import onnxruntime
import pandas as pd
import requests
import trainer
from mlflow import MlflowClient
from timeline import PATIENCE, Timeline
from traffic import Traffic

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
"""Seconds of each window; and of each step of a rollout."""
WINDOW = 3
BAKE = 10


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
    traffic = Traffic(service.url, MODEL, rows, outcomes.tolist())
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
