//! Hand-made rows for the tests.

use super::{DatasetInput, Metric, ModelVersion, Run, RunStatus, Stage, Texts};
use crate::clock::Timestamp;

pub(crate) fn texts(pairs: &[(&str, &str)]) -> Texts {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn metric(key: &str, value: f64) -> (String, Metric) {
    let (model_id, dataset_name, dataset_digest) = (None, None, None);
    let metric = Metric { key: key.into(), value, timestamp: 1, step: 0, model_id, dataset_name, dataset_digest };
    (key.into(), metric)
}

pub(crate) fn run() -> Run {
    Run {
        run_id: "r1".into(),
        run_name: "first".into(),
        experiment_id: "0".into(),
        user_id: "ada".into(),
        status: RunStatus::Running,
        start_time: Timestamp::from_millis(1_000),
        end_time: None,
        artifact_uri: "mlflow-artifacts:/0/r1/artifacts".into(),
        deleted: false,
        params: texts(&[("lr", "0.1")]),
        tags: texts(&[("team", "risk"), ("mlflow.user", "ada")]),
        metrics: [metric("loss", 0.5), metric("val/loss", 0.001)].into(),
        datasets: vec![DatasetInput {
            name: "loans".into(),
            digest: "d1".into(),
            source_type: "local".into(),
            source: "{}".into(),
            schema: None,
            profile: None,
            tags: texts(&[("mlflow.data.context", "training")]),
        }],
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    }
}

pub(crate) fn version() -> ModelVersion {
    ModelVersion {
        name: "m".into(),
        version: 3,
        created_at: Timestamp::from_millis(1_000),
        updated_at: Timestamp::from_millis(2_000),
        user_id: "ada".into(),
        description: String::new(),
        source: "mlflow-artifacts:/0/r1/artifacts/model".into(),
        run_id: "r1".into(),
        run_link: String::new(),
        model_id: String::new(),
        stage: Stage::None,
        tags: texts(&[("team", "risk")]),
        evaluation: Vec::new(),
        gates: None,
        revision: 7,
    }
}
