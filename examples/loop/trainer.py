"""Answers Plimsoll's requests for retraining: reads the data that a request names, trains, and registers a candidate.

usage: trainer.py --url URL --bootstrap HOST:PORT [--kind forest] [--once]

A request on `plimsoll.retraining` says where the events stand on which the champion no longer does well: topics,
partitions and offsets. They are read from there, joined with their outcomes by id, and a model is fitted. What has come
since is held out; the candidate and the champion, whose answers are in the events, are measured on it. Everything that
the gates look at is logged: metrics by slice and under small disturbances, the signature, golden rows, and a reference,
with which Plimsoll compares the windows of the new version.

All of Plimsoll that is used here is the stock `mlflow` client and a Kafka client.
"""

import argparse
import json
import logging
import os
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    GIT_PYTHON_REFRESH="quiet",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
)
warnings.filterwarnings("ignore")
logging.getLogger("mlflow").setLevel(logging.ERROR)

import mlflow
import mlflow.onnx
import numpy as np
import pandas as pd
from confluent_kafka import Consumer, TopicPartition
from mlflow import MlflowClient
from mlflow.models import infer_signature
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

GOLDEN_ROWS = 20
"""Values of a column beyond which it is not measured by slices."""
MOST_SLICES = 10
"""How long to wait for a record before a topic counts as read."""
QUIET = 10.0


# The stream


def consumer(bootstrap, group):
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "allow.auto.create.topics": False,
        }
    )


def read(client, topic, partition, start, end):
    """The records from offset `start` up to, without, `end`."""
    low, high = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
    start, end = max(start, low), min(end, high)
    if start >= end:
        return
    client.assign([TopicPartition(topic, partition, start)])
    heard = time.monotonic()
    while time.monotonic() - heard < QUIET:
        for message in client.consume(1_000, timeout=0.5):
            if message.error():
                continue
            heard = time.monotonic()
            if message.offset() >= end:
                return
            yield message
            if message.offset() + 1 >= end:
                return


def events(client, topic, partition, start, end, model):
    for message in read(client, topic, partition, start, end):
        event = json.loads(message.value())
        if event.get("model") == model:
            yield event


def partitions_of(client, topic):
    return sorted(client.list_topics(topic, timeout=30).topics[topic].partitions)


def labels_of(client, topic, model):
    """All outcomes of the model, by id; the latest wins."""
    labels = {}
    for partition in partitions_of(client, topic):
        for event in events(client, topic, partition, 0, sys.maxsize, model):
            labels[event["id"]] = str(event["label"])
    return labels


def table(predictions, labels, version):
    """One row for each answer of `version` whose outcome is known; shadow answers and errors are none."""
    rows = {}
    for event in predictions:
        label = labels.get(event["id"])
        if label is None or event.get("version") != version or not event.get("prediction"):
            continue
        rows[event["id"]] = {**event["features"], "outcome": label, "champion": str(event["prediction"]["label"])}
    return pd.DataFrame(list(rows.values()))


def data_of(args, request):
    """What to train on, and what to measure on: the events of the request, and those that have come since."""
    client = consumer(args.bootstrap, f"trainer-read-{os.getpid()}")
    try:
        deadline = time.monotonic() + args.patience
        while True:
            labels = labels_of(client, args.outcomes, request["model"])
            parts = {"train": [], "rest": []}
            for place in request["data"]["offsets"]:
                source = (client, place["topic"], place["partition"])
                parts["train"] += events(*source, place["from"], place["to"], request["model"])
                parts["rest"] += events(*source, place["to"], sys.maxsize, request["model"])
            train, rest = (table(parts[part], labels, request["version"]) for part in ("train", "rest"))
            if len(rest) >= args.held_out and len(train) > 0:
                # A fixed number, so that all candidates for a request are measured on the same data.
                return train, rest.head(args.held_out)
            if time.monotonic() > deadline:
                raise SystemExit(f"only {len(train)} labelled rows to train on and {len(rest)} since then")
            time.sleep(1)
    finally:
        client.close()


# The models


def features_of(frame):
    """In single precision, as they are served; what is no number is text."""
    frame = frame.drop(columns=["outcome", "champion"], errors="ignore")
    as_text = {True: "true", False: "false"}
    for name in frame.columns:
        if pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name]):
            frame[name] = frame[name].astype(np.float32)
        else:
            frame[name] = frame[name].map(lambda value: as_text.get(value, value))
    return frame


def numeric(frame):
    return [name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])]


def texts(frame):
    return [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]


def pipeline(frame, model, *steps):
    numbers = Pipeline([("fill", SimpleImputer()), *steps])
    columns = ColumnTransformer(
        [("numbers", numbers, numeric(frame)), ("texts", OneHotEncoder(handle_unknown="ignore"), texts(frame))]
    )
    return Pipeline([("columns", columns), ("model", model)])


def fit(kind, frame, outcome, leaf=1):
    """The fitted pipeline, and its answers to the rows that it was trained on without having seen them."""
    if kind == "logistic":
        fitted = pipeline(frame, LogisticRegression(max_iter=1_000), ("scale", StandardScaler()))
        unseen = cross_val_predict(fitted, frame, outcome, cv=5, method="predict_proba")[:, 1]
        return fitted.fit(frame, outcome), unseen
    # Not scaled: trees do not ask for it, and rounding would move values over their thresholds.
    forest = RandomForestClassifier(100, min_samples_leaf=leaf, oob_score=True, random_state=0)
    fitted = pipeline(frame, forest).fit(frame, outcome)
    # A row that is in the bag of every tree has no answer; the share of positives stands in.
    unseen = forest.oob_decision_function_[:, 1]
    return fitted, np.where(np.isnan(unseen), np.mean(outcome == "1"), unseen)


def exported(fitted, frame):
    types = [
        (name, FloatTensorType([None, 1]) if name in numeric(frame) else StringTensorType([None, 1]))
        for name in frame.columns
    ]
    return convert_sklearn(fitted, initial_types=types, options={"zipmap": False})


def slowed(model, frame):
    """The same answers, after much work that changes nothing: fine offline, and too slow to be served."""
    graph = model.graph
    probabilities = next(output.name for output in graph.output if "prob" in output.name)
    for node in graph.node:
        for index, name in enumerate(node.output):
            if name == probabilities:
                node.output[index] = "answered"
        for index, name in enumerate(node.input):
            if name == probabilities:
                node.input[index] = "answered"
    size = 320
    constants = {"tiny": [1e-3], "zero": [0.0]}
    for name, values in constants.items():
        graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [1], values))
    graph.initializer.append(helper.make_tensor("square", TensorProto.INT64, [2], [size, size]))
    # It begins with an input, so that it cannot be computed when the model is loaded.
    steps = [
        helper.make_node("ReduceMax", [numeric(frame)[0]], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "tiny"], ["seed"]),
        helper.make_node("Expand", ["seed", "square"], ["work0"]),
    ]
    rounds = 40
    for number in range(rounds):
        steps.append(helper.make_node("MatMul", [f"work{number}", "work0"], [f"product{number}"]))
        steps.append(helper.make_node("Tanh", [f"product{number}"], [f"work{number + 1}"]))
    steps += [
        helper.make_node("ReduceMax", [f"work{rounds}"], ["result"], keepdims=0),
        helper.make_node("Mul", ["result", "zero"], ["vanished"]),
        helper.make_node("Add", ["answered", "vanished"], [probabilities]),
    ]
    graph.node.extend(steps)
    return model


# What is measured


def disturbed(frame, seed=0):
    """The same rows with a little noise, and with gaps that the pipeline fills."""
    random = np.random.default_rng(seed)
    noisy, gaps = frame.copy(), frame.copy()
    for name in numeric(frame):
        spread = np.float32(frame[name].std())
        noisy[name] = frame[name] + np.float32(0.01) * spread * random.normal(size=len(frame)).astype(np.float32)
        gaps.loc[random.random(len(frame)) < 0.02, name] = np.nan
    return {"noise": noisy, "missing": gaps}


def named(text):
    """As MLflow allows it in the name of a metric."""
    return re.sub(r"[^\w .-]", "", str(text)).strip()


def metrics_of(fitted, rest):
    frame = features_of(rest)
    right, champion = fitted.predict(frame) == rest["outcome"], rest["champion"] == rest["outcome"]
    found = {
        "accuracy": right.mean(),
        "n": len(rest),
        "champion/accuracy": champion.mean(),
        "champion/n": len(rest),
    }
    for name in texts(frame):
        values = frame[name].value_counts()
        for value, count in values.items() if len(values) <= MOST_SLICES else []:
            rows = frame[name] == value
            for prefix, known in ("", right), ("champion/", champion):
                key = f"{prefix}slice:{named(name)}:{named(value)}/accuracy"
                found[key], found[f"{key}.n"] = known[rows].mean(), int(count)
    for name, other in disturbed(frame).items():
        found[f"slice:robustness:{name}/accuracy"] = (fitted.predict(other) == rest["outcome"]).mean()
        found[f"slice:robustness:{name}/accuracy.n"] = len(rest)
    return {key: float(value) for key, value in found.items()}


def golden(fitted, frame):
    """Rows with the answers that the serving runtime has to reproduce."""
    frame = frame.head(GOLDEN_ROWS)
    scores = fitted.predict_proba(frame)[:, 1]
    answers = [{"label": str(label), "score": float(score)} for label, score in zip(fitted.predict(frame), scores)]
    rows = json.loads(frame.to_json(orient="records", double_precision=15))
    return {"rows": [{"features": row, "prediction": answer} for row, answer in zip(rows, answers)]}


def reference(frame, outcome, unseen):
    """What the windows of the new version are compared with: its answers to rows that it had not seen."""
    label = np.where(unseen >= 0.5, "1", "0")
    return frame.assign(label=label, score=unseen, outcome=outcome.to_numpy())


# The registry


def register(model, kind, fitted, frame, made, metrics=None, tags=None):
    """Logs everything in one run, and registers a version; returns its number."""
    client = MlflowClient()
    mlflow.set_experiment(model)
    with mlflow.start_run(run_name=kind, tags=tags or {}), tempfile.TemporaryDirectory() as folder:
        mlflow.log_params({"kind": kind, "rows": len(made)})
        mlflow.log_metrics(metrics or {})
        data = mlflow.data.from_pandas(made, name=f"{model}-training", targets="outcome")
        mlflow.log_input(data, context="training")
        Path(folder, "golden.json").write_text(json.dumps(golden(fitted, frame)))
        made.to_parquet(Path(folder, "reference.parquet"))
        mlflow.log_artifacts(folder)
        onnx = exported(fitted, frame)
        logged = mlflow.onnx.log_model(
            slowed(onnx, frame) if kind == "slow" else onnx,
            name="model",
            signature=infer_signature(frame),
            pip_requirements=["onnx"],
            registered_model_name=model,
        )
    version = str(logged.registered_model_version)
    client.set_model_version_tag(model, version, "plimsoll.reference", "reference.parquet")
    return version


def answer(args, request):
    train, rest = data_of(args, request)
    frame, model = features_of(train), request["model"]
    fitted, unseen = fit(args.kind, frame, train["outcome"])
    metrics = metrics_of(fitted, rest)
    offsets = json.dumps(request["data"]["offsets"])
    tags = {"plimsoll.retraining": request["id"], "plimsoll.offsets": offsets}
    made = reference(frame, train["outcome"], unseen)
    version = register(model, args.kind, fitted, frame, made, metrics, tags)
    told = {
        "request": request["id"],
        "model": model,
        "version": version,
        "kind": args.kind,
        "trained_on": len(train),
        "held_out": len(rest),
        "accuracy": round(metrics["accuracy"], 4),
        "champion": round(metrics["champion/accuracy"], 4),
    }
    print(json.dumps(told), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="address of Plimsoll, such as http://127.0.0.1:8080")
    parser.add_argument("--bootstrap", required=True, help="address of the broker")
    parser.add_argument("--retraining", default="plimsoll.retraining", help="topic of the requests")
    parser.add_argument("--outcomes", default="outcomes", help="topic of the outcomes")
    parser.add_argument("--group", default="trainer", help="consumer group; its offset says which requests are answered")
    parser.add_argument("--kind", default="forest", choices=["forest", "logistic", "slow"])
    parser.add_argument("--held-out", type=int, default=1_000, help="labelled rows after the request's to measure on")
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for them")
    parser.add_argument("--once", action="store_true", help="end after one request")
    args = parser.parse_args()
    mlflow.set_tracking_uri(args.url)
    client = consumer(args.bootstrap, args.group)
    client.subscribe([args.retraining])
    while True:
        message = client.poll(1.0)
        if message is None or message.error():
            continue
        answer(args, json.loads(message.value()))
        # Afterwards: a trainer that dies meanwhile gets the request again.
        client.commit(message=message, asynchronous=False)
        if args.once:
            client.close()
            return


if __name__ == "__main__":
    main()
