//! The state machine of one partition of the requests. It keeps nothing: answers and their prediction events leave
//! through the outbox, written together with the offset of the request, so that each request has its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::answer_log::{Answered, Features, events};
use super::catalogue::Catalogue;
use super::metrics::ServingMetrics;
use super::protocol::{InferAnswer, InferRequest};
use super::routing::{Chosen, Routed};
use super::rows::{self, RowAnswer};
use super::served::AnswerError;
use super::serving::{ids, millis};
use super::settings::ServingSettings;
use super::shadow::{ShadowQueue, Shadowed};
use crate::bus::{Outgoing, Record, Records, Topics};
use crate::clock::Timestamp;
use crate::event::SourcePartition;
use crate::runner::{Checkpoint, Machine, RoleError};

pub(super) struct ServeMachine {
    source: SourcePartition,
    responses: String,
    predictions: Option<String>,
    catalogue: Arc<Catalogue>,
    settings: ServingSettings,
    metrics: ServingMetrics,
    shadow: ShadowQueue,
    outgoing: Vec<Outgoing>,
}

/// A row and the record that it came in.
struct Waiting {
    record: usize,
    key: Option<Vec<u8>>,
    id: String,
    features: Map<String, Value>,
}

/// Rows of one version and part of a rollout, to be run together.
type Groups = BTreeMap<(String, u32, Option<&'static str>, bool), (Chosen, Vec<Waiting>)>;
/// Answers by the number of their record, so that they leave in the order of the requests.
type Answers = BTreeMap<usize, Outgoing>;

/// Of the stream, in the metrics.
const WAY: &str = "stream";

impl ServeMachine {
    pub(super) fn new(
        source: SourcePartition,
        topics: &Topics,
        catalogue: Arc<Catalogue>,
        settings: ServingSettings,
        metrics: ServingMetrics,
        shadow: ShadowQueue,
    ) -> Self {
        Self {
            source,
            responses: topics.responses.clone(),
            predictions: topics.predictions.first().cloned(),
            catalogue,
            settings,
            metrics,
            shadow,
            outgoing: Vec::new(),
        }
    }

    /// Sorts a request into a group, or answers it.
    fn take(&mut self, number: usize, record: &Record<'_>, now: Timestamp, groups: &mut Groups, answers: &mut Answers) {
        let key = record.key.map(<[u8]>::to_vec);
        let fallback = format!("{}-{}", self.source, record.offset);
        let refuse = |machine: &Self, id: Option<String>, model: Option<String>, error: String| {
            machine.metrics.count_request("", WAY, "refused", 1);
            let answer =
                RowAnswer::failed(id.unwrap_or_else(|| fallback.clone()), model.unwrap_or_default(), None, error);
            machine.response(key.clone(), &answer.id, serde_json::to_vec(&answer).unwrap_or_default())
        };
        let payload = record.payload.unwrap_or_default();
        if payload.len() > self.settings.max_request {
            let error = format!("the request has {} bytes, serving.max_request allows fewer", payload.len());
            answers.insert(number, refuse(self, None, None, error));
            return;
        }
        let answer = match serde_json::from_slice::<Value>(payload) {
            Err(error) => refuse(self, None, None, format!("the request is no JSON: {error}")),
            Ok(json) => match rows::read_if_rows(json) {
                Ok(Ok((mut rows, rows::Shape::One))) => {
                    let row = rows.pop().unwrap_or_default();
                    let id = row.id.clone().unwrap_or_else(|| fallback.clone());
                    let unit = row.key.as_ref().unwrap_or(&id);
                    match self.chosen(row.model.as_deref(), row.version.as_deref(), unit) {
                        Ok(chosen) => {
                            let identity = &chosen.served.identity;
                            let group =
                                (identity.model.clone(), identity.version, chosen.variant, chosen.shadow.is_some());
                            let waiting = Waiting { record: number, key, id, features: row.features };
                            groups.entry(group).or_insert_with(|| (chosen, Vec::new())).1.push(waiting);
                            return;
                        }
                        Err(error) => refuse(self, row.id, row.model, error),
                    }
                }
                Ok(Ok(_)) => refuse(self, None, None, "send one row in a record, or tensors of many".to_owned()),
                Ok(Err(error)) => refuse(self, None, None, error),
                Err(json) => match InferRequest::read(json, &[]) {
                    Err(error) => refuse(self, None, None, error.to_string()),
                    Ok(request) => {
                        let (id, model) = (request.id.clone(), request.model.clone());
                        match self.infer(request, &fallback, now) {
                            Ok((id, body)) => self.response(key.clone(), &id, body),
                            Err(error) => refuse(self, id, model, error),
                        }
                    }
                },
            },
        };
        answers.insert(number, answer);
    }

    /// What answers for the one whose request it is.
    fn chosen(&self, model: Option<&str>, version: Option<&str>, unit: &str) -> Result<Chosen, String> {
        let model = model.ok_or("the request names no model: rows have 'model', tensors 'model_name'")?;
        let routed: Routed = self.catalogue.route(model, version).map_err(|error| error.to_string())?;
        routed.choose(unit, None).map_err(|error| error.to_string())
    }

    /// Answers tensors, which are a batch already.
    fn infer(
        &mut self,
        mut request: InferRequest,
        fallback: &str,
        now: Timestamp,
    ) -> Result<(String, Vec<u8>), String> {
        let begun = Instant::now();
        let id = request.id.get_or_insert_with(|| fallback.to_owned()).clone();
        let chosen = self.chosen(request.model.as_deref(), request.version.as_deref(), &id)?;
        let served = &chosen.served;
        let rows = request.rows();
        if rows == 0 || rows > self.settings.max_rows {
            return Err(format!("the request has {rows} rows, 1 to {} are allowed", self.settings.max_rows));
        }
        let inputs = std::mem::take(&mut request.inputs);
        let inputs = served.layout().accept(inputs).map_err(|error| error.to_string())?;
        // Raw bytes have no place in a record.
        request.binary_output = false;
        request.outputs.iter_mut().for_each(|output| output.binary = None);
        let outputs = served.run(&inputs, begun + self.settings.deadline.as_std());
        let answers = match &outputs {
            Ok(outputs) => served.predictions(outputs, rows),
            Err(error) => vec![Err(error.to_string()); rows],
        };
        let (model, version) = (served.identity.model.clone(), served.identity.version.to_string());
        let body = outputs.map_err(|error| error.to_string()).and_then(|outputs| {
            let answer = InferAnswer::new(&request, &model, &version, &outputs).map_err(|error| error.to_string())?;
            Ok(answer.encode().body)
        })?;
        self.metrics.observe(&model, WAY, begun.elapsed());
        self.metrics.count_request(&model, WAY, "ok", 1);
        self.log(&chosen, ids(&id, rows), Features::Tensors(inputs), answers, begun, now);
        Ok((id, body))
    }

    /// Answers the rows of one version, in batches.
    fn answer(&mut self, chosen: &Chosen, waiting: Vec<Waiting>, now: Timestamp, answers: &mut Answers) {
        let served = &chosen.served;
        let mut waiting = waiting.into_iter().peekable();
        while waiting.peek().is_some() {
            let batch: Vec<Waiting> = waiting.by_ref().take(self.settings.max_rows).collect();
            let begun = Instant::now();
            let features: Vec<&Map<String, Value>> = batch.iter().map(|row| &row.features).collect();
            let found = served.rows(&features, begun + self.settings.deadline.as_std());
            let latency_ms = millis(begun);
            let model = served.identity.model.as_str();
            self.metrics.observe(model, WAY, begun.elapsed());
            let (mut ids, mut kept, mut logged) = (Vec::new(), Vec::new(), Vec::new());
            for (row, answer) in batch.into_iter().zip(found) {
                let told = served.row_answer(row.id.clone(), &answer, latency_ms);
                let told = RowAnswer { variant: chosen.variant, ..told };
                let body = serde_json::to_vec(&told).unwrap_or_default();
                answers.insert(row.record, self.response(row.key, &row.id, body));
                self.metrics.count_request(model, WAY, if answer.is_ok() { "ok" } else { "refused" }, 1);
                if !matches!(answer, Err(AnswerError::Input(_))) {
                    ids.push(row.id);
                    kept.push(row.features);
                    logged.push(answer.map_err(|error| error.to_string()));
                }
            }
            self.log(chosen, ids, Features::Rows(kept), logged, begun, now);
        }
    }

    fn log(
        &mut self,
        chosen: &Chosen,
        ids: Vec<String>,
        features: Features,
        answers: Vec<Result<super::Prediction, String>>,
        begun: Instant,
        at: Timestamp,
    ) {
        let Some(topic) = &self.predictions else { return };
        let count = answers.len();
        let (served, latency_ms) = (Arc::clone(&chosen.served), millis(begun));
        let (variant, rollout) = (chosen.variant.map(str::to_owned), chosen.rollout.clone());
        if let Some(candidate) = &chosen.shadow
            && count > 0
        {
            let (candidate, rollout) = (Arc::clone(candidate), rollout.clone());
            let (ids, features, answers) = (ids.clone(), features.clone(), answers.clone());
            self.shadow.push(Shadowed { candidate, rollout, at, ids, features, answers });
        }
        let answered = Answered { served, variant, rollout, at, latency_ms, ids, features, answers };
        self.outgoing.append(&mut events(topic, &answered));
        self.metrics.count_logged("published", count);
    }

    /// Goes to whoever waits for this key, or this id.
    fn response(&self, key: Option<Vec<u8>>, id: &str, body: Vec<u8>) -> Outgoing {
        let body = if body.is_empty() {
            json!({ "id": id, "error": "the answer cannot be written" }).to_string().into_bytes()
        } else {
            body
        };
        Outgoing {
            topic: self.responses.clone(),
            key: Some(key.unwrap_or_else(|| id.as_bytes().to_vec())),
            payload: Some(body),
            ..Outgoing::default()
        }
    }
}

#[async_trait]
impl Machine for ServeMachine {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        let (mut groups, mut answers) = (Groups::new(), Answers::new());
        for (number, record) in records.iter().enumerate() {
            self.take(number, &record, now, &mut groups, &mut answers);
        }
        for (chosen, waiting) in groups.into_values() {
            self.answer(&chosen, waiting, now, &mut answers);
        }
        self.outgoing.extend(answers.into_values());
        Ok(())
    }

    async fn checkpoint(&mut self, _: Timestamp) -> Result<Checkpoint, RoleError> {
        Ok(Checkpoint { writes: Vec::new(), outgoing: std::mem::take(&mut self.outgoing) })
    }

    /// Somebody waits for every answer.
    fn is_full(&self) -> bool {
        !self.outgoing.is_empty()
    }
}
