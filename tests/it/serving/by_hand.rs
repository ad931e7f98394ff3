//! Models made by hand, registered over plain HTTP.

use std::path::Path;

use serde_json::{Value, json};

use super::JSON;
use crate::support::{Service, python_of, unique};

/// Writes the files that `tests/serving/hostile.py` tells of. None where there is no Python for it.
pub(super) fn write(folder: &Path) -> Option<()> {
    python_of("serve", "tests/serving/hostile.py", &[&folder.display().to_string()]).map(drop)
}

/// Uploads a file as another version of a registered model, and makes it the champion; returns its number.
pub(super) fn champion(service: &Service, model: &str, file: &Path) -> String {
    let folder = unique("by-hand");
    let content = std::fs::read(file).unwrap();
    let stored = service.http().put(&format!("/api/2.0/mlflow-artifacts/artifacts/{folder}/model.onnx"), content);
    assert_eq!(stored.status, 200, "{}", stored.body);
    let source = format!("mlflow-artifacts:/{folder}");
    let created = call(service, "model-versions/create", &json!({"name": model, "source": source}));
    let version = created["model_version"]["version"].as_str().unwrap().to_owned();
    call(service, "registered-models/alias", &json!({"name": model, "alias": "champion", "version": version}));
    version
}

/// A call of MLflow's that works.
#[track_caller]
pub(super) fn call(service: &Service, path: &str, body: &Value) -> Value {
    let answer = service.http().post(&format!("/api/2.0/mlflow/{path}"), JSON, body.to_string());
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}
