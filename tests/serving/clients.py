"""Real clients against a service: every answer to 1,000 rows of each model must be scikit-learn's, to 1e-5.

usage: clients.py URL BOOTSTRAP REQUESTS RESPONSES FOLDER

FOLDER holds what models.py wrote. One JSON line per call: {"call": ..., "works": true} or with the error.
"""

import json
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from confluent_kafka import Consumer, Producer
from kserve import InferInput, InferRequest

URL, BOOTSTRAP, REQUESTS, RESPONSES, FOLDER = sys.argv[1:6]
CLASSES = {"m": ["0", "1"], "linear": ["0", "1"], "boosting": ["0", "1"], "forest": ["high", "low", "mid"]}
MODELS = {name: json.loads(Path(FOLDER, f"{name}.json").read_text()) for name in [*CLASSES, "regressor"]}


def call(name):
    def run(function):
        try:
            function()
            told = {"call": name, "works": True}
        except Exception as error:  # noqa: BLE001 - every failure is told
            where = traceback.extract_tb(error.__traceback__)[-1].lineno
            told = {"call": name, "works": False, "error": f"{type(error).__name__} ({where}): {error}"}
        print(json.dumps(told), flush=True)

    return run


def close(found, wanted):
    assert abs(found - wanted) <= 1e-5 * max(1.0, abs(wanted)), f"{found} is not {wanted}"


def agrees(found, wanted):
    assert found.get("label") == wanted.get("label"), f"{found} is not {wanted}"
    for key in ("score", "value"):
        if key in wanted:
            close(found[key], wanted[key])
    for name, share in wanted.get("scores", {}).items():
        close(found["scores"][name], share)


def inputs_of(name):
    """Name, datatype and values of each input."""
    rows = MODELS[name]["rows"]
    if name == "m":
        amount = np.array([[np.nan if row["amount"] is None else row["amount"]] for row in rows], dtype=np.float32)
        return [("amount", "FP32", amount), ("colour", "BYTES", np.array([[row["colour"]] for row in rows], dtype=object))]
    return [("X", "FP32", np.array([list(row.values()) for row in rows], dtype=np.float32))]


def check_tensors(name, outputs):
    """Outputs by name, as numpy arrays."""
    expected = MODELS[name]["expected"]
    if name == "regressor":
        for found, wanted in zip(outputs["variable"].ravel(), expected, strict=True):
            close(float(found), wanted["value"])
        return
    label, scores = [key for key in outputs if "label" in key][0], [key for key in outputs if "prob" in key][0]
    labels = [value.decode() if isinstance(value, bytes) else str(value) for value in outputs[label].ravel()]
    shares = outputs[scores].reshape(len(expected), -1)
    for found, row, wanted in zip(labels, shares, expected, strict=True):
        assert found == wanted["label"], f"{found} is not {wanted}"
        share_of = dict(zip(CLASSES[name], map(float, row)))
        for kind, share in wanted.get("scores", {"1": wanted.get("score")}).items():
            close(share_of[kind], share)


client = triton.InferenceServerClient(URL.removeprefix("http://"))


@call("triton: live, ready, server metadata, repository index")
def _():
    assert client.is_server_live() and client.is_server_ready()
    metadata = client.get_server_metadata()
    assert metadata["name"] == "plimsoll" and "binary_tensor_data" in metadata["extensions"], metadata
    index = {row["name"]: row["state"] for row in client.get_model_repository_index()}
    assert index == {name: "READY" for name in MODELS}, index


@call("triton: model ready, metadata, config")
def _():
    assert client.is_model_ready("m") and client.is_model_ready("m", "1") and not client.is_model_ready("m", "9")
    metadata = client.get_model_metadata("m")
    inputs = [(row["name"], row["datatype"], row["shape"]) for row in metadata["inputs"]]
    assert inputs == [("amount", "FP32", [-1, 1]), ("colour", "BYTES", [-1, 1])], metadata
    assert metadata["versions"] == ["1"], metadata
    config = client.get_model_config("forest")
    assert config["input"] == [{"name": "X", "data_type": "TYPE_FP32", "dims": [6]}], config


for binary in (True, False):
    for name in MODELS:

        @call(f"triton: infer {name}, {'binary' if binary else 'JSON'} tensors")
        def _():
            tensors = []
            for key, datatype, values in inputs_of(name):
                tensor = triton.InferInput(key, list(values.shape), datatype)
                if binary or not (values.dtype == np.float32 and np.isnan(values).any()):
                    tensor.set_data_from_numpy(values, binary_data=binary)
                else:  # this client writes NaN, which no JSON has
                    tensor.set_data_from_numpy(np.nan_to_num(values, nan=float(np.nanmean(values))), binary_data=False)
                tensors.append(tensor)
            outputs = [row["name"] for row in client.get_model_metadata(name)["outputs"]]
            wanted = None if binary else [triton.InferRequestedOutput(key, binary_data=False) for key in outputs]
            result = client.infer(name, tensors, outputs=wanted, request_id=f"triton-{binary}-{name}")
            assert result.get_response()["id"] == f"triton-{binary}-{name}"
            check_tensors(name, {key: result.as_numpy(key) for key in outputs})


@call("triton: an error has the server's words")
def _():
    tensor = triton.InferInput("X", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 2), dtype=np.float32))
    for name, words in (("linear", "has shape [1, 2]"), ("nobody", "is not served")):
        try:
            client.infer(name, [tensor])
        except triton.InferenceServerException as error:
            assert words in str(error), error
        else:
            raise AssertionError("it was let through")


def kserve_client(function):
    import asyncio

    from kserve import InferenceRESTClient
    from kserve.inference_client import RESTConfig

    async def run():
        rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
        await function(rest)

    asyncio.run(run())


@call("kserve: live, ready, model ready")
def _():
    async def run(rest):
        assert await rest.is_server_live(URL) and await rest.is_server_ready(URL)
        assert await rest.is_model_ready(URL, "linear")

    kserve_client(run)


for binary in (True, False):
    for name in MODELS:

        @call(f"kserve: infer {name}, {'binary' if binary else 'JSON'} tensors")
        def _():
            tensors = []
            for key, datatype, values in inputs_of(name):
                tensor = InferInput(key, list(values.shape), datatype)
                if not binary and datatype == "FP32":
                    values = np.nan_to_num(values, nan=float(np.nanmean(values)))
                tensor.set_data_from_numpy(values, binary_data=binary)
                tensors.append(tensor)
            request = InferRequest(model_name=name, infer_inputs=tensors, request_id=f"kserve-{binary}-{name}")

            async def run(rest):
                response = await rest.infer(URL, request, model_name=name)
                assert response.id == f"kserve-{binary}-{name}", response
                check_tensors(name, {output.name: output.as_numpy() for output in response.outputs})

            kserve_client(run)


@call("confluent-kafka: every request of the stream is answered")
def _():
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    wanted = {}
    for name, told in MODELS.items():
        for number, (row, answer) in enumerate(zip(told["rows"], told["expected"])):
            key = f"stream-{name}-{number}"
            wanted[key] = answer
            producer.produce(REQUESTS, key=key, value=json.dumps({"id": key, "model": name, "features": row}))
            producer.poll(0)
    data = [value for row in MODELS["linear"]["rows"][:5] for value in row.values()]
    tensors = [{"name": "X", "shape": [5, 6], "datatype": "FP32", "data": data}]
    producer.produce(REQUESTS, key="tensors", value=json.dumps({"id": "t", "model_name": "linear", "inputs": tensors}))
    producer.produce(REQUESTS, key="nobody", value=json.dumps({"id": "n", "model": "nobody", "features": {}}))
    producer.flush(60)
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "clients", "auto.offset.reset": "earliest"})
    consumer.subscribe([RESPONSES])
    found, deadline = {}, time.monotonic() + 120
    while len(found) < len(wanted) + 2 and time.monotonic() < deadline:
        for message in consumer.consume(1_000, 1.0):
            assert not message.error(), message.error()
            found[message.key().decode()] = json.loads(message.value())
    consumer.close()
    assert len(found) == len(wanted) + 2, f"{len(found)} of {len(wanted) + 2} are answered"
    assert "is not served" in found.pop("nobody")["error"]
    tensors = found.pop("tensors")
    assert tensors["id"] == "t" and tensors["outputs"][0]["shape"] == [5], tensors
    for key, answer in found.items():
        agrees(answer["prediction"], wanted[key])
        assert answer["id"] == key and answer["version"] == "1", answer
