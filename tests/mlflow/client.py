"""Everything that users do with the stock `mlflow` client, against a server; one JSON line per call.

usage: client.py URL

A line is {"call": ..., "works": true} or {"call": ..., "works": false, "error": ...}. Calls come in the order of a
user's day, so that a failure may make later ones fail, too.
"""

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    GIT_PYTHON_REFRESH="quiet",
    MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
)

import logging
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import mlflow
import pandas
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException, RestException

URL = sys.argv[1]
THIRD = int(mlflow.__version__.split(".")[0]) >= 3
told = []


def call(name):
    """Runs a function at once and tells whether it worked; its result takes the function's name."""

    def run(function):
        try:
            result = function()
            told.append({"call": name, "works": True})
        except Exception as error:  # noqa: BLE001 - every failure is told
            result = None
            where = traceback.extract_tb(error.__traceback__)[-1].lineno
            told.append({"call": name, "works": False, "error": f"{type(error).__name__} ({where}): {error}"})
        print(json.dumps(told[-1]), flush=True)
        return result

    return run


def refuses(code, words, function):
    try:
        function()
    except (RestException, MlflowException) as error:
        assert error.error_code == code and words in str(error), f"{error.error_code}: {error}"
        return
    raise AssertionError(f"it was let through, not refused with {code}")


class Double(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [2 * value for value in model_input["x"]]


mlflow.set_tracking_uri(URL)
client = MlflowClient()


@call("set_experiment")
def experiment():
    experiment = mlflow.set_experiment("risk")
    assert mlflow.set_experiment("risk").experiment_id == experiment.experiment_id
    return experiment


@call("start_run, log_param, log_metric, set_tag, end_run")
def run_id():
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_param("lr", 0.1)
        for step in range(3):
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        mlflow.set_tag("team", "risk")
        mlflow.log_params({"depth": 3, "trees": 100})
        mlflow.log_metrics({"auc": 0.91, "acc": 0.9})
        mlflow.set_tags({"a": "1", "b": "2"})
    return run.info.run_id


@call("get_run")
def _():
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "first", run.info
    assert run.data.params == {"lr": "0.1", "depth": "3", "trees": "100"}, run.data.params
    assert abs(run.data.metrics["loss"] - 1 / 3) < 1e-12 and run.data.tags["team"] == "risk"


@call("get_metric_history")
def _():
    values = [(metric.step, metric.value) for metric in client.get_metric_history(run_id, "loss")]
    assert values == [(0, 1.0), (1, 0.5), (2, 1 / 3)], values


@call("log_batch, twice, with NaN and infinity")
def _():
    metrics = [Metric("odd", float("nan"), 1, 0), Metric("odd", float("inf"), 2, 1)]
    for _ in range(2):
        client.log_batch(run_id, metrics, [Param("seed", "7")], [RunTag("c", "3")])
    history = client.get_metric_history(run_id, "odd")
    assert len(history) == 2 and history[0].value != history[0].value, history
    assert history[1].value > 1.7e308


@call("search_runs")
def _():
    filters = ["metrics.auc > 0.9 and params.lr = '0.1'", "tags.team LIKE 'ri%'", "attributes.status = 'FINISHED'", ""]
    for text in filters:
        found = client.search_runs([experiment.experiment_id], text, order_by=["metrics.auc DESC"])
        assert [run.info.run_id for run in found] == [run_id], text
    assert not client.search_runs([experiment.experiment_id], "metrics.auc > 0.95")
    assert len(mlflow.search_runs(experiment_names=["risk"])) == 1


@call("update_run, delete_tag, delete_run, restore_run")
def _():
    client.update_run(run_id, name="renamed")
    client.delete_tag(run_id, "c")
    client.delete_run(run_id)
    assert not client.search_runs([experiment.experiment_id])
    assert len(client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)) == 1
    client.restore_run(run_id)
    run = client.get_run(run_id)
    assert run.info.run_name == "renamed" and "c" not in run.data.tags


@call("log_input (a pandas data set)")
def _():
    dataset = mlflow.data.from_pandas(pandas.DataFrame({"x": [1, 2]}), name="loans", source="s3://bucket/loans")
    with mlflow.start_run(run_id=run_id):
        mlflow.log_input(dataset, context="training")
    inputs = client.get_run(run_id).inputs.dataset_inputs
    assert inputs[0].dataset.name == "loans" and inputs[0].dataset.digest, inputs


@call("experiments: create, get, search, rename, tags, delete, restore")
def _():
    created = client.create_experiment("other", tags={"owner": "ada"})
    client.set_experiment_tag(created, "stage", "dev")
    assert client.get_experiment(created).tags == {"owner": "ada", "stage": "dev"}
    assert client.get_experiment_by_name("other").experiment_id == created
    assert client.get_experiment_by_name("nobody") is None
    assert [e.name for e in client.search_experiments(filter_string="name LIKE 'oth%'")] == ["other"]
    client.rename_experiment(created, "another")
    client.delete_experiment(created)
    assert client.get_experiment(created).lifecycle_stage == "deleted"
    client.restore_experiment(created)
    assert client.get_experiment(created).name == "another"


@call("log_artifact, log_text, log_dict, list_artifacts, download_artifacts")
def _():
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder, "large file.bin")
        large.write_bytes(os.urandom(20_000_000))
        client.log_artifact(run_id, str(large), "data")
        client.log_text(run_id, "a page", "page.html")
        client.log_dict(run_id, {"a": 1}, "deep/er/dict.json")
        listed = {info.path: (info.is_dir, info.file_size) for info in client.list_artifacts(run_id)}
        assert listed == {"data": (True, None), "deep": (True, None), "page.html": (False, 6)}, listed
        inside = [(info.path, info.file_size) for info in client.list_artifacts(run_id, "data")]
        assert inside == [("data/large file.bin", 20_000_000)], inside
        fetched = client.download_artifacts(run_id, "data/large file.bin", tempfile.mkdtemp(dir=folder))
        assert Path(fetched).read_bytes() == large.read_bytes()
        everything = mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=tempfile.mkdtemp(dir=folder))
        assert Path(everything, "deep/er/dict.json").is_file()


@call("pyfunc.log_model with registered_model_name")
def _():
    where = {"name": "model"} if THIRD else {"artifact_path": "model"}
    with mlflow.start_run(run_id=run_id):
        mlflow.pyfunc.log_model(
            python_model=Double(),
            pip_requirements=["cloudpickle"],
            registered_model_name="car_loan",
            input_example=None,
            **where,
        )
    version = client.get_model_version("car_loan", "1")
    assert version.run_id == run_id and version.status == "READY" and version.current_stage == "None", version


@call("create_registered_model, update, tags, get, search")
def _():
    client.create_registered_model("other", tags={"team": "risk"}, description="first words")
    client.update_registered_model("other", "other words")
    client.set_registered_model_tag("other", "level", "2")
    client.delete_registered_model_tag("other", "team")
    model = client.get_registered_model("other")
    assert model.description == "other words" and model.tags == {"level": "2"}, model
    assert [m.name for m in client.search_registered_models("name LIKE 'car%'")] == ["car_loan"]
    assert [m.name for m in client.search_registered_models("tags.level = '2'")] == ["other"]
    assert [m.name for m in client.search_registered_models(order_by=["name DESC"])] == ["other", "car_loan"]


@call("create_model_version, update, tags, get, search")
def _():
    source = client.get_model_version("car_loan", "1").source
    version = client.create_model_version("car_loan", source, run_id, tags={"data": "v2"}, description="second")
    assert version.version in ("2", 2), version
    client.update_model_version("car_loan", "2", "the second one")
    client.set_model_version_tag("car_loan", "2", "checked", "yes")
    client.delete_model_version_tag("car_loan", "2", "data")
    version = client.get_model_version("car_loan", "2")
    assert version.description == "the second one" and version.tags == {"checked": "yes"}, version
    found = client.search_model_versions("name = 'car_loan'", order_by=["version_number ASC"])
    assert [int(v.version) for v in found] == [1, 2]
    assert [int(v.version) for v in client.search_model_versions(f"run_id = '{run_id}' and tags.checked = 'yes'")] == [2]


@call("transition_model_version_stage, get_latest_versions")
def _():
    client.transition_model_version_stage("car_loan", "1", "Production")
    moved = client.transition_model_version_stage("car_loan", "2", "Production", archive_existing_versions=True)
    assert moved.current_stage == "Production", moved
    latest = {v.current_stage: int(v.version) for v in client.get_latest_versions("car_loan")}
    assert latest == {"Archived": 1, "Production": 2}, latest
    assert [int(v.version) for v in client.get_latest_versions("car_loan", ["Production"])] == [2]


@call("set_registered_model_alias, get_model_version_by_alias, delete_registered_model_alias")
def _():
    client.set_registered_model_alias("car_loan", "champion", "1")
    client.set_registered_model_alias("car_loan", "champion", "2")
    assert int(client.get_model_version_by_alias("car_loan", "champion").version) == 2
    assert client.get_model_version("car_loan", "2").aliases == ["champion"]
    client.set_registered_model_alias("car_loan", "old", "1")
    client.delete_registered_model_alias("car_loan", "old")
    refuses("INVALID_PARAMETER_VALUE", "alias old not found", lambda: client.get_model_version_by_alias("car_loan", "old"))


@call("get_model_version_download_uri")
def _():
    assert client.get_model_version_download_uri("car_loan", "1")


@call("pyfunc.load_model by version, stage and alias")
def _():
    frame = pandas.DataFrame({"x": [1, 2]})
    for uri in ["models:/car_loan/1", "models:/car_loan/Production", "models:/car_loan@champion"]:
        assert list(mlflow.pyfunc.load_model(uri).predict(frame)) == [2, 4], uri


if THIRD:

    @call("logged models: initialize, finalize, get, search, tags, delete")
    def _():
        model = mlflow.initialize_logged_model("logged", source_run_id=run_id, params={"a": "1"}, tags={"t": "1"})
        assert model.status == "PENDING", model
        mlflow.finalize_logged_model(model.model_id, "READY")
        client.set_logged_model_tags(model.model_id, {"u": "2"})
        client.delete_logged_model_tag(model.model_id, "t")
        found = client.get_logged_model(model.model_id)
        assert found.status == "READY" and found.tags["u"] == "2" and "t" not in found.tags, found
        client.log_metric(run_id, "f1", 0.8, model_id=model.model_id)
        names = [m.name for m in client.search_logged_models([experiment.experiment_id], "name = 'logged'")]
        assert names == ["logged"], names
        client.delete_logged_model(model.model_id)
        refuses("RESOURCE_DOES_NOT_EXIST", model.model_id, lambda: client.get_logged_model(model.model_id))


@call("rename_registered_model, delete_model_version, delete_registered_model")
def _():
    client.rename_registered_model("other", "renamed")
    client.create_model_version("renamed", "s3://bucket/model")
    client.delete_model_version("renamed", "1")
    refuses("RESOURCE_DOES_NOT_EXIST", "version=1) not found", lambda: client.get_model_version("renamed", "1"))
    assert int(client.create_model_version("renamed", "s3://bucket/model").version) == 2
    client.delete_registered_model("renamed")


@call("errors: unknown model, duplicate, not allowed, changed param; nothing changes")
def _():
    before = [(v.version, v.current_stage) for v in client.search_model_versions("name = 'car_loan'")]
    refuses("RESOURCE_DOES_NOT_EXIST", "name=nobody not found", lambda: client.get_registered_model("nobody"))
    refuses("RESOURCE_DOES_NOT_EXIST", "not found", lambda: client.create_model_version("nobody", "s3://b/m"))
    refuses("RESOURCE_ALREADY_EXISTS", "already exists", lambda: client.create_registered_model("car_loan"))
    refuses("RESOURCE_ALREADY_EXISTS", "already exists", lambda: client.create_experiment("risk"))
    transition = client.transition_model_version_stage
    refuses("INVALID_PARAMETER_VALUE", "Invalid Model Version stage", lambda: transition("car_loan", "1", "Shadow"))
    archive = lambda: transition("car_loan", "2", "Archived", archive_existing_versions=True)
    refuses("INVALID_PARAMETER_VALUE", "not an Active stage", archive)
    refuses("INVALID_PARAMETER_VALUE", "Changing param values", lambda: client.log_param(run_id, "lr", "0.2"))
    refuses("INVALID_PARAMETER_VALUE", "Invalid filter", lambda: client.search_model_versions("name ="))
    refuses("RESOURCE_DOES_NOT_EXIST", "not found", lambda: client.get_run("0" * 32))
    assert before == [(v.version, v.current_stage) for v in client.search_model_versions("name = 'car_loan'")]


sys.exit(0 if all(line["works"] for line in told) else 1)
