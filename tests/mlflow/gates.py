"""A trainer with the stock `mlflow` client: registers a champion and two candidates of model `m`; one JSON line at the end.

usage: gates.py URL

All that gates need is logged as metrics and as the signature; the first candidate is good, the second one asks for other
inputs and is worse.
"""

import json
import logging
import os
import sys
import warnings

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    GIT_PYTHON_REFRESH="quiet",
    MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import mlflow
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema


class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [1] * len(model_input)


mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("gates")
client = MlflowClient()


def register(columns, metrics):
    inputs = Schema([ColSpec(kind, name) for name, kind in columns.items()])
    with mlflow.start_run():
        mlflow.log_metrics(metrics)
        mlflow.pyfunc.log_model(
            name="model",
            python_model=Model(),
            signature=ModelSignature(inputs=inputs, outputs=Schema([ColSpec("long")])),
            pip_requirements=["cloudpickle"],
            registered_model_name="m",
        )


SENT = {"amount": "double", "colour": "string"}
champion = {"accuracy": 0.917, "n": 12_500, "slice:colour:red/accuracy": 0.91, "slice:robustness:noise/accuracy": 0.9}
register(SENT, champion)
client.set_registered_model_alias("m", "champion", "1")
better = {"accuracy": 0.936, "n": 12_500, "slice:colour:red/accuracy": 0.93, "slice:robustness:noise/accuracy": 0.92}
register(SENT, better)
worse = {"accuracy": 0.88, "n": 12_500, "slice:colour:red/accuracy": 0.7, "slice:robustness:noise/accuracy": 0.5}
register({"amount": "string", "size": "double"}, worse)
print(json.dumps({"versions": [int(v.version) for v in client.search_model_versions("name = 'm'")]}))
