"""Models of scikit-learn, exported by skl2onnx and registered by the stock `mlflow` client.

usage: models.py register URL FOLDER     trains and registers all, each with the alias champion; writes into FOLDER, per
                                         model, rows and what scikit-learn answers (NAME.json), and NAME.parquet
       models.py version URL KIND        registers another version of 'm' and makes it champion: good, golden (whose golden
                                         rows it does not reproduce), corrupt (a damaged file) or external (which asks for
                                         another file)
       models.py first URL               registers 'm' alone and makes it champion
       models.py candidate URL KIND      registers another version of 'm' and leaves the alias where it is: good, errs (on three of
                                         ten amounts) or slow
Prints one JSON line at the end.
"""

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    GIT_PYTHON_REFRESH="quiet",
    MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
)
warnings.filterwarnings("ignore")

import logging

logging.disable(logging.WARNING)

import mlflow
import mlflow.onnx
import numpy as np
import onnx
import pandas as pd
import requests
from mlflow import MlflowClient
from mlflow.models import infer_signature
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS = 1_000
NAMES = [f"f{number}" for number in range(6)]


def numbers(seed):
    """In single precision, as the models compute."""
    return np.random.default_rng(seed).normal(size=(ROWS, len(NAMES))).astype(np.float32)


def matrix(model, values, zipmap):
    options = {"zipmap": zipmap} if zipmap is not None else None
    return to_onnx(model, values[:1], options=options)


def binary(labels, scores):
    return [{"label": str(label), "score": float(score)} for label, score in zip(labels, scores)]


def linear():
    values = numbers(1)
    model = LogisticRegression().fit(values, (values[:, 0] + values[:, 1] > 0).astype(int))
    expected = binary(model.predict(values), model.predict_proba(values)[:, 1])
    return matrix(model, values, True), pd.DataFrame(values, columns=NAMES), expected


def forest():
    """Three classes with names, probabilities as a matrix."""
    values = numbers(2)
    classes = np.array(["high", "low", "mid"])[np.digitize(values[:, 0], [-0.5, 0.5])]
    model = RandomForestClassifier(30, random_state=0).fit(values, classes)
    expected = [
        {"label": label, "scores": dict(zip(model.classes_, map(float, scores)))}
        for label, scores in zip(model.predict(values), model.predict_proba(values))
    ]
    return matrix(model, values, False), pd.DataFrame(values, columns=NAMES), expected


def boosting():
    values = numbers(3)
    model = GradientBoostingClassifier(n_estimators=40, random_state=0)
    model.fit(values, (values[:, 0] * values[:, 1] > 0).astype(int))
    expected = binary(model.predict(values), model.predict_proba(values)[:, 1])
    return matrix(model, values, False), pd.DataFrame(values, columns=NAMES), expected


def regressor():
    values = numbers(4)
    model = RandomForestRegressor(30, random_state=0).fit(values, 100 * values[:, 0] + values[:, 1])
    expected = [{"value": float(value)} for value in model.predict(values)]
    return matrix(model, values, None), pd.DataFrame(values, columns=NAMES), expected


def mixed(strength=1.0):
    """Imputer, scaler, one-hot on strings: one input for each column."""
    random = np.random.default_rng(5)
    amount = random.integers(0, 10, ROWS).astype(np.float32)
    amount[random.random(ROWS) < 0.1] = np.nan
    frame = pd.DataFrame({"amount": amount, "colour": random.choice(["red", "green"], ROWS)})
    labels = ((frame["amount"].fillna(5) > 4) ^ (random.random(ROWS) < 0.1)).astype(int)
    steps = [
        ("numbers", Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())]), ["amount"]),
        ("texts", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
    ]
    model = Pipeline([("columns", ColumnTransformer(steps)), ("model", LogisticRegression(C=strength))])
    model.fit(frame, labels)
    types = [("amount", FloatTensorType([None, 1])), ("colour", StringTensorType([None, 1]))]
    expected = binary(model.predict(frame), model.predict_proba(frame)[:, 1])
    return convert_sklearn(model, initial_types=types), frame, expected


def rows(frame):
    """As JSON has them: what is missing is null."""
    return json.loads(frame.to_json(orient="records", double_precision=15))


def by_hand(nodes):
    """Takes what `mixed` takes, and says 1 for amounts above 4.5; `nodes` make `trouble` of `amount`, which is 0 or NaN."""
    make = onnx.helper
    constants = {"middle": [4.5], "nothing": [0.0], "most": [6.5]}
    nodes = nodes + [
        make.make_node("Sub", ["amount", "middle"], ["above"]),
        make.make_node("Sigmoid", ["above"], ["sure"]),
        make.make_node("Add", ["sure", "trouble"], ["one"]),
        make.make_node("Constant", [], ["whole"], value=make.make_tensor("w", onnx.TensorProto.FLOAT, [1], [1.0])),
        make.make_node("Sub", ["whole", "one"], ["zero"]),
        make.make_node("Concat", ["zero", "one"], ["probabilities"], axis=1),
        make.make_node("Greater", ["amount", "middle"], ["is_one"]),
        make.make_node("Cast", ["is_one"], ["label"], to=onnx.TensorProto.INT64),
    ]
    used = {name for node in nodes for name in node.input}
    initial = [make.make_tensor(name, onnx.TensorProto.FLOAT, [1], constants[name]) for name in constants if name in used]
    inputs = [
        make.make_tensor_value_info("amount", onnx.TensorProto.FLOAT, [None, 1]),
        make.make_tensor_value_info("colour", onnx.TensorProto.STRING, [None, 1]),
    ]
    outputs = [
        make.make_tensor_value_info("label", onnx.TensorProto.INT64, [None, 1]),
        make.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [None, 2]),
    ]
    graph = make.make_graph(nodes, "by_hand", inputs, outputs, initial)
    made = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made


def errs():
    node = onnx.helper.make_node
    return by_hand([
        node("Sub", ["most", "amount"], ["left"]),
        node("Sqrt", ["left"], ["root"]),
        node("Mul", ["root", "nothing"], ["trouble"]),
    ])


def slow():
    node = onnx.helper.make_node
    shape = onnx.helper.make_tensor("s", onnx.TensorProto.INT64, [2], [700, 700])
    return by_hand([
        node("ReduceMean", ["amount"], ["mean"], keepdims=1),
        node("Constant", [], ["large"], value=shape),
        node("Expand", ["mean", "large"], ["square"]),
        node("MatMul", ["square", "square"], ["once"]),
        node("MatMul", ["once", "square"], ["twice"]),
        node("ReduceMean", ["twice"], ["much"], keepdims=1),
        node("Mul", ["much", "nothing"], ["none"]),
        node("Mul", ["amount", "nothing"], ["flat"]),
        node("Add", ["flat", "none"], ["trouble"]),
    ])


def candidate(exported):
    with mlflow.start_run():
        logged = mlflow.onnx.log_model(
            exported,
            name="model",
            registered_model_name="m",
            signature=infer_signature(mixed()[1]),
            pip_requirements=["onnx"],
        )
    return logged.registered_model_version


def register(name, made, golden=None):
    exported, frame, expected = made
    with mlflow.start_run():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "golden.json"
            pairs = zip(rows(frame.head(20)), golden or expected)
            path.write_text(json.dumps({"rows": [{"features": row, "prediction": answer} for row, answer in pairs]}))
            mlflow.log_artifact(str(path))
        logged = mlflow.onnx.log_model(
            exported,
            name="model",
            registered_model_name=name,
            signature=infer_signature(frame),
            pip_requirements=["onnx"],
        )
    version = logged.registered_model_version
    MlflowClient().set_registered_model_alias(name, "champion", str(version))
    return version


def damaged(url, content):
    """A version whose file somebody has made by hand."""
    folder = f"by-hand/{os.urandom(4).hex()}"
    put = requests.put(f"{url}/api/2.0/mlflow-artifacts/artifacts/{folder}/model.onnx", data=content, timeout=30)
    put.raise_for_status()
    client = MlflowClient()
    version = client.create_model_version("m", f"mlflow-artifacts:/{folder}").version
    client.set_registered_model_alias("m", "champion", str(version))
    return version


def external():
    exported = linear()[0]
    tensor = onnx.helper.make_tensor("stolen", onnx.TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    exported.graph.initializer.append(tensor)
    return exported.SerializeToString()


def main():
    what, url = sys.argv[1:3]
    mlflow.set_tracking_uri(url)
    if what == "register":
        made = {"m": mixed(), "linear": linear(), "forest": forest(), "boosting": boosting(), "regressor": regressor()}
        for name, model in made.items():
            register(name, model)
            _, frame, expected = model
            told = {"rows": rows(frame), "expected": expected}
            Path(sys.argv[3], f"{name}.json").write_text(json.dumps(told))
            frame.to_parquet(Path(sys.argv[3], f"{name}.parquet"))
        print(json.dumps({"registered": list(made)}))
        return
    if what == "first":
        print(json.dumps({"version": str(register("m", mixed()))}))
        return
    kind = sys.argv[3]
    if what == "candidate":
        made = {"good": lambda: mixed(strength=0.5)[0], "errs": errs, "slow": slow}[kind]()
        print(json.dumps({"version": str(candidate(made))}))
        return
    if kind == "good":
        version = register("m", mixed(strength=0.1))
    elif kind == "golden":
        wrong = [{"label": "1", "score": 0.123}] * 20
        version = register("m", mixed(strength=0.2), golden=wrong)
    else:
        version = damaged(url, external() if kind == "external" else b"\x08\x07 this is no model")
    print(json.dumps({"version": str(version)}))


main()
