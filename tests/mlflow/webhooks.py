"""Webhooks with the stock `mlflow` client, against a server; one JSON line at the end.

usage: webhooks.py URL RECEIVER SECRET

Makes a webhook that leads to RECEIVER, changes it, tests it and makes things happen; what arrives is for the receiver
to look at. The line tells what the client saw.
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
)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import mlflow
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent
from mlflow.exceptions import MlflowException

url, receiver, secret = sys.argv[1:]
mlflow.set_tracking_uri(url)
client = MlflowClient()

EVENTS = ["registered_model.created", "model_version.created", "model_version_alias.created", "model_version_tag.set"]
webhook = client.create_webhook("first", receiver, EVENTS[:1], description="words", secret=secret)
webhook = client.update_webhook(webhook.webhook_id, name="deploy", events=EVENTS)
found = client.get_webhook(webhook.webhook_id)
assert found.name == "deploy" and {str(event) for event in found.events} == set(EVENTS), found
assert found.description == "words" and found.secret is None and str(found.status) == "ACTIVE", found
assert [hook.webhook_id for hook in client.list_webhooks()] == [webhook.webhook_id]
tested = client.test_webhook(webhook.webhook_id, WebhookEvent.from_str("model_version.created"))
assert tested.success and tested.response_status == 200, tested

try:
    client.create_webhook("inside", "https://10.0.0.1/", EVENTS[:1])
    raise AssertionError("a webhook into the network was let through")
except MlflowException as error:
    assert error.error_code == "INVALID_PARAMETER_VALUE" and "public" in str(error), error

gone = client.create_webhook("gone", receiver + "/gone", EVENTS[:1])
client.delete_webhook(gone.webhook_id)
try:
    client.get_webhook(gone.webhook_id)
    raise AssertionError("a deleted webhook is still there")
except MlflowException as error:
    assert error.error_code == "RESOURCE_DOES_NOT_EXIST", error

client.create_registered_model("loan", tags={"team": "risk"}, description="loans")
client.create_model_version("loan", "s3://bucket/loan")
client.set_model_version_tag("loan", "1", "checked", "yes")
client.set_registered_model_alias("loan", "champion", "1")
client.transition_model_version_stage("loan", "1", "Staging")
print(json.dumps({"webhook_id": webhook.webhook_id}))
