//! Which models are monitored: those in the configuration, and registered ones of which a version brought a reference.
//!
//! What a registered model is monitored by stands in its tag, so that every process learns of it from the registry's log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::build::model_rows;
use crate::api::{RegistryHandle, ViewHandle};
use crate::bus::Admin;
use crate::model::Model;
use crate::registry::Registry;
use crate::runner::{Models, Monitored, References, RoleError};
use crate::settings::{Settings, registered_model};
use crate::telemetry::{Health, Telemetry};

/// The tag of a registered model that says in TOML what it is monitored by. Plimsoll sets it once there is a reference.
pub(super) const MONITORED_TAG: &str = "plimsoll.monitored";

/// The part's name in `/readyz`.
const PART: &str = "models";
/// How often the registry is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long one attempt to catch up may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// TOML by the name of a registered model.
type Definitions = BTreeMap<String, String>;

/// Shared by the roles, HTTP and serving.
pub(super) struct MonitoredModels {
    configured: Vec<Model>,
    registry: RegistryHandle,
    references: References,
    view: ViewHandle,
    admin: Arc<Admin>,
    /// The registry's log.
    topic: String,
    telemetry: Telemetry,
    known: Mutex<Known>,
}

struct Known {
    models: Monitored,
    definitions: Definitions,
}

impl MonitoredModels {
    pub(super) fn new(
        settings: &Settings,
        registry: &RegistryHandle,
        references: &References,
        view: &ViewHandle,
        (admin, topic): (&Arc<Admin>, &str),
        telemetry: &Telemetry,
    ) -> Self {
        let models = Monitored { revision: 0, models: Arc::new(settings.models.clone()) };
        Self {
            configured: settings.models.clone(),
            registry: registry.clone(),
            references: references.clone(),
            view: view.clone(),
            admin: Arc::clone(admin),
            topic: topic.to_owned(),
            telemetry: telemetry.clone(),
            known: Mutex::new(Known { models, definitions: Definitions::new() }),
        }
    }

    pub(super) fn is_configured(&self, name: &str) -> bool {
        self.configured.iter().any(|model| model.name == name)
    }

    /// Takes over what the registry has; fails with what cannot be monitored yet, and why.
    pub(super) fn refresh(&self) -> Result<(), String> {
        let Ok(mut wanted) = self.registry.read(|registry| self.definitions(registry)) else {
            return Err("the registry is still being read".to_owned());
        };
        let without_reference = wanted.keys().find(|name| self.references.get(name).is_none()).cloned();
        wanted.retain(|name, _| self.references.get(name).is_some());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.definitions != wanted {
            let mut models = self.configured.clone();
            for (name, text) in &wanted {
                let tag = format!("tag {MONITORED_TAG} of model '{name}'");
                models.push(registered_model(name, text, &tag).map_err(|error| error.to_string())?);
            }
            let (models, revision) = (Arc::new(models), known.models.revision + 1);
            tracing::info!(models = ?wanted.keys().collect::<Vec<_>>(), revision, "registered models are monitored");
            *known = Known { models: Monitored { revision, models }, definitions: wanted };
        }
        drop(known);
        match without_reference {
            Some(name) => Err(format!("the reference of the registered model '{name}' has not come yet")),
            None => Ok(()),
        }
    }

    /// Shows the models in the tables.
    pub(super) fn show(&self) {
        let models = self.current().models;
        self.view.update(|view| view.set_models(model_rows(&models, &self.references)));
    }

    /// Returns when all that are monitored are known, which an older plimsoll or a lost reference can delay.
    pub(super) async fn wait(&self) {
        let mut told = None;
        while let Err(reason) = self.refresh() {
            if told.as_ref() != Some(&reason) {
                tracing::info!(reason, "waiting for the registered models");
                self.telemetry.report(PART, Health::Blocked(reason.clone()));
                told = Some(reason);
            }
            tokio::time::sleep(LOOK).await;
        }
        self.telemetry.report(PART, Health::Ready);
        self.show();
    }

    /// Takes over what changes, until `stop`.
    pub(super) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = None;
        while !stop.is_cancelled() {
            let now = self.registry.read(Registry::sequence).ok();
            if now != seen {
                match self.refresh() {
                    Ok(()) => {
                        seen = now;
                        self.telemetry.report(PART, Health::Ready);
                    }
                    Err(reason) => self.telemetry.report(PART, Health::Blocked(reason)),
                }
                self.show();
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn definitions(&self, registry: &Registry) -> Definitions {
        let of_others = registry.models().filter(|model| !self.is_configured(&model.name));
        of_others.filter_map(|model| Some((model.name.clone(), model.tags.get(MONITORED_TAG)?.clone()))).collect()
    }
}

#[async_trait]
impl Models for MonitoredModels {
    fn current(&self) -> Monitored {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).models.clone()
    }

    /// Whoever knew of a model has read of it in the registry's log, which ends behind that now.
    async fn catch_up(&self) -> Result<(), RoleError> {
        let failed = |reason: String| RoleError::Failed(format!("which models are monitored is not known: {reason}"));
        let deadline = Instant::now() + PATIENCE;
        let ends = tokio::time::timeout_at(deadline, self.admin.end_offsets(&self.topic)).await;
        let ends = ends.map_err(|_| failed("the broker does not answer".to_owned()))?;
        let end = ends.map_err(|error| failed(error.to_string()))?.first().copied().unwrap_or_default();
        loop {
            let problem = if self.registry.next_offset() < end {
                "the end of the registry's log is not read yet".to_owned()
            } else {
                match self.refresh() {
                    Ok(()) => return Ok(()),
                    Err(reason) => reason,
                }
            };
            if Instant::now() >= deadline {
                return Err(failed(problem));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl std::fmt::Debug for MonitoredModels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MonitoredModels").field("current", &self.current()).finish_non_exhaustive()
    }
}
