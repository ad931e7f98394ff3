//! What is logged to runs: metrics, parameters, inputs, outputs.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::call::Call;
use super::error::MlflowError;
use super::page::{self, Page};
use super::runs::{missing, run_id};
use super::{answer, wire};
use crate::api::ApiState;
use crate::registry::{Change, DatasetInput, Metric, ModelOutput, Texts};

type Answer = Result<Json<Value>, MlflowError>;

pub(super) async fn log_metric(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::LogBatch {
        run_id: run_id(&call)?,
        metrics: vec![metric(&call)?],
        params: Vec::new(),
        tags: Texts::new(),
    };
    answer(&state, &call, change).await
}

pub(super) async fn log_param(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::LogBatch {
        run_id: run_id(&call)?,
        metrics: Vec::new(),
        params: vec![(call.text("key")?, call.text_or_empty("value")?)],
        tags: Texts::new(),
    };
    answer(&state, &call, change).await
}

pub(super) async fn log_batch(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::LogBatch {
        run_id: run_id(&call)?,
        metrics: call.objects("metrics")?.iter().map(metric).collect::<Result<_, _>>()?,
        params: call.pairs("params")?,
        tags: call.tags("tags")?,
    };
    answer(&state, &call, change).await
}

pub(super) async fn log_model(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::NoteModel { run_id: run_id(&call)?, model: call.text("model_json")? };
    answer(&state, &call, change).await
}

pub(super) async fn log_inputs(State(state): State<ApiState>, call: Call) -> Answer {
    let models = call.objects("models")?;
    let change = Change::LogInputs {
        run_id: run_id(&call)?,
        datasets: call.objects("datasets")?.iter().map(dataset).collect::<Result<_, _>>()?,
        models: models.iter().map(|model| model.text("model_id")).collect::<Result<_, _>>()?,
    };
    answer(&state, &call, change).await
}

pub(super) async fn log_outputs(State(state): State<ApiState>, call: Call) -> Answer {
    let output = |model: &Call| {
        Ok::<_, MlflowError>(ModelOutput {
            model_id: model.text("model_id")?,
            step: model.integer("step")?.unwrap_or(0),
        })
    };
    let models = call.objects("models")?.iter().map(output).collect::<Result<_, _>>()?;
    answer(&state, &call, Change::LogOutputs { run_id: run_id(&call)?, models }).await
}

pub(super) async fn history(State(state): State<ApiState>, call: Call) -> Answer {
    let (id, key) = (run_id(&call)?, call.text("metric_key")?);
    let page = Page::of(&call, page::POINTS)?;
    state.parts.registry.read(|registry| {
        registry.run(&id).ok_or_else(|| missing(&id))?;
        let (rows, next) = page.cut(registry.history(&id, &key));
        let rows: Vec<_> = rows.iter().map(wire::metric).collect();
        Ok(page::listed("metrics", &rows, next))
    })?
}

/// The histories of one metric in several runs, thinned out evenly.
pub(super) async fn histories(State(state): State<ApiState>, call: Call) -> Answer {
    let (ids, key) = (call.texts("run_ids")?, call.text("metric_key")?);
    if ids.is_empty() || ids.len() > 100 {
        return Err(MlflowError::invalid("get-history-bulk-interval takes from 1 to 100 run_ids"));
    }
    let (first, last) = (call.integer("start_step")?, call.integer("end_step")?);
    let most = call.integer("max_results")?.unwrap_or(2_500).clamp(1, 2_500);
    let most = usize::try_from(most).unwrap_or(1);
    state.parts.registry.read(|registry| {
        let mut rows = Vec::new();
        for id in &ids {
            let is_within = |point: &&Metric| {
                first.is_none_or(|first| point.step >= first) && last.is_none_or(|last| point.step <= last)
            };
            let points: Vec<&Metric> = registry.history(id, &key).iter().filter(is_within).collect();
            let stride = points.len().div_ceil(most).max(1);
            rows.extend(points.iter().step_by(stride).map(|point| wire::metric_of(point, id)));
        }
        Ok(page::listed("metrics", &rows, None))
    })?
}

fn metric(call: &Call) -> Result<Metric, MlflowError> {
    let given = |name: &str| Ok::<_, MlflowError>(call.text_or_none(name)?.filter(|text| !text.is_empty()));
    Ok(Metric {
        key: call.text("key")?,
        value: call.number("value")?,
        timestamp: call.integer("timestamp")?.unwrap_or(0),
        step: call.integer("step")?.unwrap_or(0),
        model_id: given("model_id")?,
        dataset_name: given("dataset_name")?,
        dataset_digest: given("dataset_digest")?,
    })
}

fn dataset(call: &Call) -> Result<DatasetInput, MlflowError> {
    let dataset = call.object("dataset")?;
    Ok(DatasetInput {
        name: dataset.text("name")?,
        digest: dataset.text("digest")?,
        source_type: dataset.text_or_empty("source_type")?,
        source: dataset.text_or_empty("source")?,
        schema: dataset.text_or_none("schema")?,
        profile: dataset.text_or_none("profile")?,
        tags: call.tags("tags")?,
    })
}
