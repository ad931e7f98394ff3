//! Keeps the catalogue as the registry wants it: loads what is new, and lets go of what is not wanted any more.
//!
//! A version takes over once it has been tried in a process of its own, is loaded and has reproduced its golden rows. One that cannot be loaded changes nothing:
//! the version before goes on answering.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::catalogue::{Catalogue, Table};
use super::deployment::Deployment;
use super::fetch::{LoadError, fetch};
use super::metrics::ServingMetrics;
use super::routing::Routing;
use super::served::{Identity, Served};
use super::settings::ServingSettings;
use crate::artifacts::Artifacts;
use crate::onnx::{Limits, Runtime, Trial};

/// How long to wait before files that could not be read are tried again.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest that golden rows may take.
const GOLDEN_WITHIN: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub struct Loader {
    pub catalogue: Arc<Catalogue>,
    pub artifacts: Artifacts,
    pub runtime: Runtime,
    /// None loads a version untried.
    pub trial: Option<Trial>,
    pub settings: ServingSettings,
    pub metrics: ServingMetrics,
    /// Becomes true when everything has been tried that was wanted at the start.
    pub settled: watch::Sender<bool>,
    /// Who is told of versions that cannot be served.
    pub failures: UnboundedSender<FailedLoad>,
}

/// A version that cannot be served. One that is tried again is told of once, as long as the reason stays the same; and
/// once more when it is to be rolled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLoad {
    pub identity: Identity,
    pub reason: String,
    pub is_temporary: bool,
}

#[derive(Debug)]
struct Failure {
    deployment: Deployment,
    reason: String,
    is_temporary: bool,
}

/// What became of each wanted version.
#[derive(Debug, Default)]
struct Held {
    loaded: BTreeMap<Identity, (Deployment, Arc<Served>)>,
    failed: BTreeMap<Identity, Failure>,
}

impl Loader {
    /// Follows what is wanted until `stop`; none is wanted as long as the registry is not known.
    pub async fn follow(self, mut wanted: watch::Receiver<Option<Vec<Deployment>>>, stop: CancellationToken) {
        let mut held = Held::default();
        loop {
            let now = wanted.borrow_and_update().clone();
            let mut try_again = false;
            if let Some(now) = &now {
                try_again = self.bring_up(&mut held, now, &stop).await;
                self.settled.send_replace(true);
            }
            let pause = async {
                if try_again {
                    tokio::time::sleep(PAUSE).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = pause => {}
                changed = wanted.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Returns whether some of it should be tried again.
    async fn bring_up(&self, held: &mut Held, wanted: &[Deployment], stop: &CancellationToken) -> bool {
        let is_wanted = |identity: &Identity| wanted.iter().any(|deployment| deployment.identity == *identity);
        held.failed.retain(|identity, _| is_wanted(identity));
        let mut try_again = false;
        for deployment in wanted {
            let identity = &deployment.identity;
            let is_known = |known: &Deployment| known.is_alike(deployment);
            let is_loaded = held.loaded.get(identity).is_some_and(|(known, _)| is_known(known));
            let has_failed =
                held.failed.get(identity).is_some_and(|known| is_known(&known.deployment) && !known.is_temporary);
            if let Some(known) = held.failed.get_mut(identity).filter(|_| has_failed) {
                if deployment.assignment.is_some() && known.deployment.assignment.is_none() {
                    self.tell(identity, known);
                }
                known.deployment.assignment.clone_from(&deployment.assignment);
            }
            if stop.is_cancelled() || is_loaded || has_failed {
                continue;
            }
            match self.load(deployment).await {
                Ok(served) => {
                    let (model, version) = (&identity.model, identity.version);
                    tracing::info!(model, version, "version is loaded");
                    held.failed.remove(identity);
                    held.loaded.insert(identity.clone(), (deployment.clone(), Arc::new(served)));
                }
                Err(error) => {
                    let (model, version) = (&identity.model, identity.version);
                    tracing::error!(model, version, %error, "version cannot be served; what was served before stays");
                    let (deployment, is_temporary) = (deployment.clone(), error.is_temporary());
                    try_again |= is_temporary;
                    let reason = format!("version {version} cannot be served: {error}");
                    let is_new = held.failed.get(identity).is_none_or(|known| known.reason != reason);
                    let failure = Failure { deployment, reason, is_temporary };
                    if is_new {
                        self.tell(identity, &failure);
                    }
                    held.failed.insert(identity.clone(), failure);
                }
            }
            self.show(held, wanted);
        }
        self.show(held, wanted);
        try_again
    }

    fn tell(&self, identity: &Identity, failure: &Failure) {
        let (reason, is_temporary) = (failure.reason.clone(), failure.is_temporary);
        // Nobody listens any more at the end.
        drop(self.failures.send(FailedLoad { identity: identity.clone(), reason, is_temporary }));
    }

    async fn load(&self, deployment: &Deployment) -> Result<Served, LoadError> {
        let loaded = self.try_to_load(deployment).await;
        self.metrics.count_load(loaded.is_ok());
        loaded
    }

    async fn try_to_load(&self, deployment: &Deployment) -> Result<Served, LoadError> {
        let package = fetch(&self.artifacts, deployment, self.settings.max_model).await?;
        let (runtime, trial, identity) = (self.runtime.clone(), self.trial.clone(), deployment.identity.clone());
        let limits = Limits { sessions: self.settings.sessions, threads: self.settings.threads };
        let load = move || {
            if let Some(trial) = trial {
                let memory = trial.run(&package.onnx)?;
                tracing::debug!(model = identity.model, version = identity.version, memory, "version has been tried");
            }
            Ok(Served::load(&runtime, identity, &package, limits, Instant::now() + GOLDEN_WITHIN)?)
        };
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.unwrap_or_else(|error| Err(LoadError::BrokenOff(error.to_string())))
    }

    /// Swaps the catalogue, and forgets what neither is wanted nor answers.
    fn show(&self, held: &mut Held, wanted: &[Deployment]) {
        let before = self.catalogue.table();
        let mut table = Table::default();
        for deployment in wanted {
            let (model, version) = (&deployment.identity.model, deployment.identity.version);
            let entry = table.models.entry(model.clone()).or_default();
            if let Some((_, served)) = held.loaded.get(&deployment.identity) {
                entry.versions.insert(version, Arc::clone(served));
                if deployment.is_primary {
                    entry.primary = Some(Arc::clone(served));
                }
            }
            if let Some(assignment) = &deployment.assignment {
                let candidate = held.loaded.get(&deployment.identity).map(|(_, served)| Arc::clone(served));
                entry.routing = Some(Arc::new(Routing { assignment: assignment.clone(), candidate }));
            }
            if let Some(failure) = held.failed.get(&deployment.identity) {
                entry.failures.insert(version, failure.reason.clone());
            }
        }
        for (model, entry) in &mut table.models {
            if entry.primary.is_none() {
                entry.primary = before.models.get(model).and_then(|before| before.primary.clone());
            }
            if let Some(primary) = &entry.primary {
                entry.versions.insert(primary.identity.version, Arc::clone(primary));
            }
        }
        held.loaded.retain(|identity, _| {
            table.models.get(&identity.model).is_some_and(|entry| entry.versions.contains_key(&identity.version))
        });
        self.metrics.set_models(table.models.values().flat_map(|entry| {
            let primary = entry.primary.as_ref().map(|primary| primary.identity.version);
            entry.identities().map(move |of| (of.model.as_str(), of.version, primary == Some(of.version)))
        }));
        self.catalogue.set(table);
    }
}

impl Deployment {
    /// Whether both are the same files, read in the same way.
    fn is_alike(&self, other: &Self) -> bool {
        self.source == other.source && self.features == other.features && self.purpose == other.purpose
    }
}
