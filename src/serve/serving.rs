//! Answers over HTTP: a slot, the version, the run (off the runtime's threads unless it is quick), and the log.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::admission::{Admission, NotAdmitted, Slot};
use super::answer_log::{AnswerLog, Answered, Features};
use super::catalogue::{Catalogue, NotServed};
use super::metrics::ServingMetrics;
use super::protocol::{Encoded, InferAnswer, InferRequest, ProtocolError, split};
use super::refusals::Refusals;
use super::routing::{Chosen, NoArm, Routed};
use super::rows::{self, RowAnswer, RowRequest, Shape};
use super::served::{AnswerError, Served};
use super::settings::ServingSettings;
use super::shadow::{ShadowQueue, Shadowed};
use crate::clock::Clock;
use crate::onnx::OnnxError;
use crate::rollout::Arm;

/// Everything that answers need; shared by all requests.
pub struct Serving {
    pub catalogue: Arc<Catalogue>,
    pub settings: ServingSettings,
    pub(super) metrics: ServingMetrics,
    admission: Admission,
    refusals: Refusals,
    log: AnswerLog,
    shadow: ShadowQueue,
    clock: Arc<dyn Clock>,
    settled: watch::Receiver<bool>,
    is_leaving: AtomicBool,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Ask {
    pub model: String,
    /// None is the primary.
    pub version: Option<String>,
    pub body: bytes::Bytes,
    /// Length of the JSON, if raw bytes follow.
    pub json_length: Option<usize>,
    /// Whose request it is; the id decides where nobody says.
    pub key: Option<String>,
    /// The client's own choice between the versions of a rollout.
    pub arm: Option<Arm>,
}

/// The answer, and which part of a rollout has given it; none where several have, or there is no rollout.
#[derive(Clone, Debug)]
pub struct Reply {
    pub encoded: Encoded,
    pub variant: Option<&'static str>,
}

/// Rows that the same version answers.
struct Lot {
    chosen: Chosen,
    rows: Vec<usize>,
    /// None begins when the ones before have been answered.
    begun: Option<Instant>,
}

/// Why there is no answer, by what the client can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is wrong.
    Invalid(String),
    /// There is no such model or version.
    Missing(String),
    /// Too much to do: trying again helps.
    Busy(String),
    /// The model is not ready, or plimsoll is leaving.
    Unavailable(String),
    TimedOut(String),
    /// The model failed.
    Failed(String),
}

/// Of HTTP, in the metrics.
const WAY: &str = "http";

impl Serving {
    #[must_use]
    pub fn new(
        settings: ServingSettings,
        catalogue: Arc<Catalogue>,
        log: AnswerLog,
        shadow: ShadowQueue,
        metrics: ServingMetrics,
        clock: Arc<dyn Clock>,
        settled: watch::Receiver<bool>,
    ) -> Self {
        let admission = Admission::new(settings.concurrency, settings.queue, metrics.clone());
        let is_leaving = AtomicBool::new(false);
        let refusals = Refusals::default();
        Self { catalogue, settings, metrics, admission, refusals, log, shadow, clock, settled, is_leaving }
    }

    /// From now on it is not ready, so that balancers send requests elsewhere; it goes on answering.
    pub fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Whether everything has been tried that was to be served at the start.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// Answers a request in the protocol or of plain rows.
    pub async fn answer(self: &Arc<Self>, ask: Ask) -> Result<Reply, Refusal> {
        let model = ask.model.clone();
        let answered = self.answer_in_time(ask).await;
        if let Err(refusal) = &answered {
            self.metrics.count_request("", WAY, refusal.name(), 1);
            self.refusals.tell(self.clock.now(), WAY, &model, refusal.name(), refusal.message());
        }
        answered
    }

    async fn answer_in_time(self: &Arc<Self>, ask: Ask) -> Result<Reply, Refusal> {
        let begun = Instant::now();
        let within = self.settings.deadline.as_std();
        let routed = self.catalogue.route(&ask.model, ask.version.as_deref())?;
        let slot = self.admission.enter(within).await?;
        let deadline = begun + within;
        // A version on trial may yet turn out slow.
        if routed.routing.is_none() && routed.primary.pace.is_quick(ask.body.len()) {
            return self.run(&routed, &ask, deadline, &slot);
        }
        let serving = Arc::clone(self);
        let run = tokio::task::spawn_blocking(move || serving.run(&routed, &ask, deadline, &slot));
        // The run is stopped at its deadline, too; this is for one that does not hear it.
        let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_secs(1);
        match tokio::time::timeout(left, run).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => Err(Refusal::Failed(format!("the request was not answered: {error}"))),
            Err(_) => Err(OnnxError::Stopped.into()),
        }
    }

    fn run(&self, routed: &Routed, ask: &Ask, deadline: Instant, _: &Slot) -> Result<Reply, Refusal> {
        let begun = Instant::now();
        let (json, raw) = split(&ask.body, ask.json_length)?;
        let json: Value = serde_json::from_slice(json)
            .map_err(|error| Refusal::Invalid(format!("the request is no JSON: {error}")))?;
        let answered = match rows::read_if_rows(json) {
            Ok(rows) => {
                let (rows, shape) = rows.map_err(Refusal::Invalid)?;
                self.rows(routed, ask, (rows, shape), deadline, begun)
            }
            Err(json) => self.infer(routed, ask, InferRequest::read(json, raw)?, deadline, begun),
        };
        let model = routed.primary.identity.model.as_str();
        let taken = begun.elapsed();
        if routed.routing.is_none() {
            routed.primary.pace.note(ask.body.len(), taken);
        }
        self.metrics.observe(model, WAY, taken);
        if answered.is_ok() {
            self.metrics.count_request(model, WAY, "ok", 1);
        }
        answered
    }

    fn infer(
        &self,
        routed: &Routed,
        ask: &Ask,
        mut request: InferRequest,
        deadline: Instant,
        begun: Instant,
    ) -> Result<Reply, Refusal> {
        let rows = request.rows();
        self.refuse_many(rows)?;
        let id = request.id.clone().unwrap_or_else(new_id);
        let chosen = routed.choose(ask.key.as_ref().unwrap_or(&id), ask.arm)?;
        let served = &chosen.served;
        let inputs = std::mem::take(&mut request.inputs);
        let inputs = served.layout().accept(inputs).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let outputs = served.run(&inputs, deadline);
        let ids = ids(&id, rows);
        let answers = match &outputs {
            Ok(outputs) => served.predictions(outputs, rows),
            Err(error) => vec![Err(error.to_string()); rows],
        };
        let encoded = outputs.map_err(Refusal::from).and_then(|outputs| {
            let identity = &served.identity;
            Ok(InferAnswer::new(&request, &identity.model, &identity.version.to_string(), &outputs)?.encode())
        });
        // An output that the model does not have is the client's mistake, and no answer.
        if !matches!(encoded, Err(Refusal::Invalid(_))) {
            self.log(&chosen, ids, Features::Tensors(inputs), answers, begun);
        }
        Ok(Reply { encoded: encoded?, variant: chosen.variant })
    }

    fn rows(
        &self,
        routed: &Routed,
        ask: &Ask,
        (mut rows, shape): (Vec<RowRequest>, Shape),
        deadline: Instant,
        begun: Instant,
    ) -> Result<Reply, Refusal> {
        self.refuse_many(rows.len())?;
        let mut told: Vec<Option<RowAnswer>> = vec![None; rows.len()];
        let lots = lots(routed, ask, &mut rows, begun)?;
        let variant = match lots.as_slice() {
            [Lot { chosen, .. }] => chosen.variant,
            _ => None,
        };
        for Lot { chosen, rows: members, begun } in lots {
            let begun = begun.unwrap_or_else(Instant::now);
            let features: Vec<&Map<String, Value>> = members.iter().map(|row| &rows[*row].features).collect();
            let answers = chosen.served.rows(&features, deadline);
            if let (Shape::One, [Err(AnswerError::Input(error))]) = (shape, answers.as_slice()) {
                return Err(Refusal::Invalid(error.to_string()));
            }
            let alone = match (shape, answers.as_slice()) {
                (Shape::One, [Err(AnswerError::Model(error))]) => Some(error.clone()),
                _ => None,
            };
            let latency_ms = millis(begun);
            let (mut ids, mut kept, mut logged) = (Vec::new(), Vec::new(), Vec::new());
            for (row, answer) in members.into_iter().zip(answers) {
                let RowRequest { id, features, .. } = std::mem::take(&mut rows[row]);
                let id = id.unwrap_or_default();
                let said = chosen.served.row_answer(id.clone(), &answer, latency_ms);
                told[row] = Some(RowAnswer { variant: chosen.variant, ..said });
                // What is wrong with a request is no answer of the model.
                if !matches!(answer, Err(AnswerError::Input(_))) {
                    ids.push(id);
                    kept.push(features);
                    logged.push(answer.map_err(|error| error.to_string()));
                }
            }
            self.log(&chosen, ids, Features::Rows(kept), logged, begun);
            if let Some(error) = alone {
                return Err(error.into());
            }
        }
        let body = match shape {
            Shape::One => serde_json::to_vec(&told.first()),
            Shape::Many => serde_json::to_vec(&told),
        };
        let body = body.map_err(|error| Refusal::Failed(format!("the answer cannot be written: {error}")))?;
        Ok(Reply { encoded: Encoded { body, json_length: None }, variant })
    }

    fn refuse_many(&self, rows: usize) -> Result<(), Refusal> {
        let most = self.settings.max_rows;
        match rows {
            0 => Err(Refusal::Invalid("the request has no rows".to_owned())),
            rows if rows > most => {
                Err(Refusal::Invalid(format!("the request has {rows} rows, serving.max_rows allows {most}")))
            }
            _ => Ok(()),
        }
    }

    fn log(
        &self,
        chosen: &Chosen,
        ids: Vec<String>,
        features: Features,
        answers: Vec<Result<super::Prediction, String>>,
        begun: Instant,
    ) {
        if answers.is_empty() {
            return;
        }
        let (at, latency_ms) = (self.clock.now(), millis(begun));
        if let Some(candidate) = &chosen.shadow {
            self.shadow.push(Shadowed {
                candidate: Arc::clone(candidate),
                rollout: chosen.rollout.clone(),
                at,
                ids: ids.clone(),
                features: features.clone(),
                answers: answers.clone(),
            });
        }
        self.log.push(Answered {
            served: Arc::clone(&chosen.served),
            variant: chosen.variant.map(str::to_owned),
            rollout: chosen.rollout.clone(),
            at,
            latency_ms,
            ids,
            features,
            answers,
        });
    }
}

/// Divides rows among the versions by their keys, and gives ids to those that have none. Only the time of the first lot
/// counts from the beginning of the request.
fn lots(routed: &Routed, ask: &Ask, rows: &mut [RowRequest], begun: Instant) -> Result<Vec<Lot>, NoArm> {
    let mut lots: Vec<Lot> = Vec::new();
    for (number, row) in rows.iter_mut().enumerate() {
        let id: &String = row.id.get_or_insert_with(new_id);
        let key = ask.key.as_ref().or(row.key.as_ref()).unwrap_or(id);
        let chosen = routed.choose(key, ask.arm)?;
        if let Some(lot) = lots.iter_mut().find(|lot| lot.chosen.is_alike(&chosen)) {
            lot.rows.push(number);
        } else {
            let begun = lots.is_empty().then_some(begun);
            lots.push(Lot { chosen, rows: vec![number], begun });
        }
    }
    Ok(lots)
}

impl Served {
    /// The answer to a row in the shape of plain rows.
    #[must_use]
    pub fn row_answer(
        &self,
        id: String,
        answer: &Result<super::Prediction, AnswerError>,
        latency_ms: f64,
    ) -> RowAnswer {
        let (model, version) = (self.identity.model.clone(), Some(self.identity.version.to_string()));
        match answer {
            Ok(prediction) => RowAnswer {
                id,
                model,
                version,
                variant: None,
                prediction: Some(prediction.clone()),
                latency_ms: Some(latency_ms),
                error: None,
            },
            Err(error) => RowAnswer::failed(id, model, version, error.to_string()),
        }
    }
}

/// The id of each row: that of the request, numbered where it has several rows.
pub(super) fn ids(id: &str, rows: usize) -> Vec<String> {
    if rows == 1 { vec![id.to_owned()] } else { (0..rows).map(|row| format!("{id}-{row}")).collect() }
}

pub(super) fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1_000.0
}

fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

impl Refusal {
    const fn name(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Missing(_) => "missing",
            Self::Busy(_) => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::TimedOut(_) => "timeout",
            Self::Failed(_) => "failed",
        }
    }

    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Invalid(text)
            | Self::Missing(text)
            | Self::Busy(text)
            | Self::Unavailable(text)
            | Self::TimedOut(text)
            | Self::Failed(text) => text,
        }
    }
}

impl From<NotServed> for Refusal {
    fn from(error: NotServed) -> Self {
        match error {
            NotServed::Model { .. } | NotServed::Version { .. } => Self::Missing(error.to_string()),
            NotServed::Failed { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<NoArm> for Refusal {
    fn from(error: NoArm) -> Self {
        match error {
            NoArm::NoRollout => Self::Invalid(error.to_string()),
            NoArm::NotLoaded => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<NotAdmitted> for Refusal {
    fn from(error: NotAdmitted) -> Self {
        match error {
            NotAdmitted::Full => Self::Busy(error.to_string()),
            NotAdmitted::TimedOut => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<ProtocolError> for Refusal {
    fn from(error: ProtocolError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<OnnxError> for Refusal {
    fn from(error: OnnxError) -> Self {
        match error {
            OnnxError::Stopped => Self::TimedOut(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("settings", &self.settings).finish_non_exhaustive()
    }
}
