//! Starting what serves: the runtime, the catalogue and its loader, the log of answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::deployments::deployments;
use super::load_audit;
use super::{AppError, Part};
use crate::api::{RegistryHandle, ServingPart};
use crate::artifacts::Artifacts;
use crate::bus::{Producer, Topics};
use crate::clock::Clock;
use crate::onnx::{LIBRARY_VARIABLE, Library, OnnxError, Runtime, Trial};
use crate::runner::{Models, Monitored, Publisher};
use crate::serve::{
    AnswerPublisher, Catalogue, Deployment, FailedLoad, Loader, ServeRole, Serving, ServingMetrics, ShadowWorker,
    answer_log, shadow_queue,
};
use crate::settings::Settings;
use crate::telemetry::{Health, Telemetry};

/// How often the registry is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Ready to start.
pub(super) struct Prepared {
    pub(super) serving: Arc<Serving>,
    pub(super) role: ServeRole,
    loader: Loader,
    failures: UnboundedReceiver<FailedLoad>,
    publisher: AnswerPublisher,
    shadow: ShadowWorker,
    clock: Arc<dyn Clock>,
}

/// What runs, as long as answers are logged.
#[derive(Debug)]
pub(super) struct RunningServing {
    serving: Arc<Serving>,
    stop_log: CancellationToken,
    log: JoinHandle<()>,
}

/// Whether this process serves; without the library every other part works.
pub(super) fn prepare(
    settings: &Settings,
    parts: &BTreeSet<Part>,
    topics: &Topics,
    telemetry: &Telemetry,
    clock: &Arc<dyn Clock>,
) -> Result<(ServingPart, Option<Prepared>), AppError> {
    if !parts.contains(&Part::Serve) {
        let reason = "this process does not serve: ask one that runs the role serve";
        return Ok((ServingPart::Off(reason.to_owned()), None));
    }
    let configured = settings.serving.onnxruntime.clone();
    let library = Library::locate(configured, std::env::var_os(LIBRARY_VARIABLE));
    let runtime = match Runtime::load(&library) {
        Ok(runtime) => runtime,
        Err(error) => return Ok((off(&library, &error, telemetry), None)),
    };
    let metrics = ServingMetrics::new(telemetry)?;
    let topic = topics.predictions.first().cloned().unwrap_or_default();
    let (log, publisher) = answer_log(settings.serving.log_queue, topic, &metrics);
    let (shadow_in, shadow) = shadow_queue(log.clone(), settings.serving.deadline.as_std(), &metrics);
    let catalogue = Arc::new(Catalogue::default());
    let (settled, is_settled) = watch::channel(false);
    let serving = Arc::new(Serving::new(
        settings.serving.clone(),
        Arc::clone(&catalogue),
        log,
        shadow_in.clone(),
        metrics.clone(),
        Arc::clone(clock),
        is_settled.clone(),
    ));
    let role = ServeRole {
        topics: topics.clone(),
        catalogue: Arc::clone(&catalogue),
        settings: settings.serving.clone(),
        metrics: metrics.clone(),
        shadow: shadow_in,
        settled: is_settled,
    };
    let artifacts = Artifacts::open(&settings.artifacts)?;
    let (tell, failures) = unbounded_channel();
    let loader = Loader {
        catalogue,
        artifacts,
        runtime,
        trial: Trial::of_this_program(library, settings.serving.trial()),
        settings: settings.serving.clone(),
        metrics,
        settled,
        failures: tell,
    };
    let clock = Arc::clone(clock);
    let prepared = Prepared { serving: Arc::clone(&serving), role, loader, failures, publisher, shadow, clock };
    Ok((ServingPart::On(serving), Some(prepared)))
}

/// A library that somebody has named and that is not there is a fault; that there is none is a choice.
fn off(library: &Library, error: &OnnxError, telemetry: &Telemetry) -> ServingPart {
    match library {
        Library::Named(_) => {
            tracing::error!(%error, "models are not served");
            telemetry.report(Part::Serve.name(), Health::Blocked(error.to_string()));
        }
        Library::System => tracing::info!("models are not served: {error}"),
    }
    ServingPart::Off(format!("models are not served here: {error}"))
}

impl Prepared {
    pub(super) fn runtime(&self) -> Runtime {
        self.loader.runtime.clone()
    }

    pub(super) fn trial(&self) -> Option<Trial> {
        self.loader.trial.clone()
    }

    /// Starts the loader and the log; the role is left to its runner.
    pub(super) fn start(
        self,
        producer: &Arc<Producer>,
        registry: &RegistryHandle,
        models: &Arc<dyn Models>,
        stop: &CancellationToken,
    ) -> (ServeRole, RunningServing) {
        let (wanted, is_wanted) = watch::channel(None);
        tokio::spawn(look(registry.clone(), Arc::clone(models), wanted, stop.clone()));
        tokio::spawn(self.loader.follow(is_wanted, stop.clone()));
        tokio::spawn(self.shadow.run(stop.clone()));
        let stop_log = CancellationToken::new();
        let publisher = Arc::clone(producer) as Arc<dyn Publisher>;
        let topics = self.role.topics.clone();
        tokio::spawn(load_audit::tell(self.failures, Arc::clone(&publisher), topics, self.clock, stop.clone()));
        let log = tokio::spawn(self.publisher.run(publisher, stop_log.clone()));
        (self.role, RunningServing { serving: self.serving, stop_log, log })
    }
}

impl RunningServing {
    /// From now on balancers are told to send requests elsewhere.
    pub(super) fn leave(&self) {
        self.serving.leave();
    }

    /// Publishes the answers that are not logged yet; nobody asks any more.
    pub(super) async fn finish(self) {
        self.stop_log.cancel();
        if let Err(error) = self.log.await {
            tracing::error!(%error, "the log of answers did not end cleanly");
        }
    }
}

/// Tells the loader whenever the registry wants something else.
async fn look(
    registry: RegistryHandle,
    models: Arc<dyn Models>,
    wanted: watch::Sender<Option<Vec<Deployment>>>,
    stop: CancellationToken,
) {
    let mut seen = None;
    while !stop.is_cancelled() {
        let Monitored { revision, models } = models.current();
        let changed = registry.read(|registry| {
            let state = (registry.sequence(), revision);
            (seen != Some(state)).then(|| (state, deployments(registry, &models)))
        });
        if let Ok(Some((state, now))) = changed {
            seen = Some(state);
            wanted.send_if_modified(|before| {
                let is_new = before.as_ref() != Some(&now);
                *before = Some(now);
                is_new
            });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}
