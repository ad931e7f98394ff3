//! The registry as HTTP sees it: a copy that follows the log, and commands that go over the bus and come back decided.

mod card;
mod follow;
mod gates;
mod incoming;
mod lineage;
mod markdown;
mod openlineage;
mod rows;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::view::Registered;
use super::{EventSink, SinkError, ViewHandle};
use crate::bus::Outgoing;
use crate::event::{FormatError, to_json};
use crate::registry::{Command, Decision, Entity, MAX_COMMAND, Outcome, Registry, Rejection};

pub(super) use card::answer as card;
pub use follow::follow_registry;
pub(super) use gates::{approve, behind, evaluate, problem, run_gates, show_gates, submit};
pub use incoming::SeenDeliveries;
pub(super) use incoming::mlflow_webhook;
pub(super) use lineage::lineage;
pub(super) use openlineage::openlineage;

/// One copy shared by the thread that feeds it and the requests that read it or wait for their commands.
#[derive(Clone, Default)]
pub struct RegistryHandle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    replica: RwLock<Replica>,
    /// By the id of the command.
    waiting: Mutex<HashMap<String, oneshot::Sender<Decision>>>,
}

#[derive(Default)]
struct Replica {
    registry: Registry,
    /// Whether everything has been read that stood on the log at the start.
    is_caught_up: bool,
    /// Offset of the next record of the log.
    next_offset: i64,
}

/// The log has not been read to its end yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry is still being read; try again in a moment")]
pub struct Behind;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Rejected(Rejection),
    /// Trying again later may help.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Refused(String),
}

/// How long the broker may take to acknowledge a command, and the registry role to decide it.
const PUBLISH_WITHIN: Duration = Duration::from_secs(8);
const DECIDE_WITHIN: Duration = Duration::from_secs(12);
/// Commands under way at a time.
const MAX_WAITING: usize = 10_000;

impl RegistryHandle {
    /// Shows the registry to `look`; the thread that feeds it waits meanwhile, so look briefly.
    pub fn read<T>(&self, look: impl FnOnce(&Registry) -> T) -> Result<T, Behind> {
        let replica = self.0.replica.read().unwrap_or_else(PoisonError::into_inner);
        if replica.is_caught_up { Ok(look(&replica.registry)) } else { Err(Behind) }
    }

    /// Publishes a command and waits until its decision comes back, by when this copy knows of it.
    pub async fn submit(&self, sink: &dyn EventSink, topic: &str, command: &Command) -> Result<Decision, SubmitError> {
        let payload = to_json(command).map_err(|error: FormatError| SubmitError::Refused(error.to_string()))?;
        if payload.len() > MAX_COMMAND {
            let reason = format!("the call holds {} bytes, at most {MAX_COMMAND} are allowed", payload.len());
            return Err(SubmitError::Refused(reason));
        }
        let decided = self.wait_for(&command.id)?;
        // Also when the client goes away.
        let _forget = Forget { handle: self, id: &command.id };
        let record = Outgoing {
            topic: topic.to_owned(),
            partition: Some(0),
            key: Some(command.id.clone().into_bytes()),
            payload: Some(payload),
            ..Outgoing::default()
        };
        sink.publish(vec![record], PUBLISH_WITHIN).await.map_err(|error| match error {
            SinkError::Unavailable(reason) => SubmitError::Unavailable(reason),
            SinkError::Refused(reason) => SubmitError::Refused(reason),
        })?;
        let Ok(Ok(decision)) = tokio::time::timeout(DECIDE_WITHIN, decided).await else {
            return Err(SubmitError::Unavailable(format!(
                "nobody has decided the command within {} s, it may still be carried out; does a process run the role \
                 registry?",
                DECIDE_WITHIN.as_secs()
            )));
        };
        match decision.outcome {
            Outcome::Applied { .. } => Ok(decision),
            Outcome::Rejected { rejection } => Err(SubmitError::Rejected(rejection)),
        }
    }

    /// Takes over the next decision of the log, shows it in the SQL tables, and tells whoever waits for it.
    pub fn take(&self, decision: Decision, view: &ViewHandle) {
        {
            let mut replica = self.0.replica.write().unwrap_or_else(PoisonError::into_inner);
            // After a crash the end of the log may be published again.
            if decision.sequence > replica.registry.sequence() {
                let touched = replica.registry.fold(decision.sequence, decision.at(), decision.events());
                view.update(|view| show(view.registered(), &replica.registry, &decision, &touched));
            }
        }
        if let Some(waiting) = self.waiting().remove(&decision.command.id) {
            // Whoever waited may have gone.
            drop(waiting.send(decision));
        }
    }

    /// Offset of the next record of the log: what stands before it is known here.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.0.replica.read().unwrap_or_else(PoisonError::into_inner).next_offset
    }

    pub(super) fn set_next_offset(&self, next_offset: i64) {
        self.0.replica.write().unwrap_or_else(PoisonError::into_inner).next_offset = next_offset;
    }

    /// Says whether the copy is up to date.
    pub fn set_caught_up(&self, is_caught_up: bool) {
        self.0.replica.write().unwrap_or_else(PoisonError::into_inner).is_caught_up = is_caught_up;
    }

    fn wait_for(&self, id: &str) -> Result<oneshot::Receiver<Decision>, SubmitError> {
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            return Err(SubmitError::Unavailable(format!("{MAX_WAITING} commands are under way; try again later")));
        }
        let (sender, receiver) = oneshot::channel();
        waiting.insert(id.to_owned(), sender);
        Ok(receiver)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Decision>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings the SQL tables up to date with a decision.
fn show(registered: &mut Registered, registry: &Registry, decision: &Decision, touched: &[Entity]) {
    registered.push_audit(rows::audit(decision));
    for entity in touched {
        match entity {
            Entity::Model(name) if registry.model(name).is_some() => registered.put_model(name),
            Entity::Model(name) => registered.remove_model(name),
            Entity::Version(name, version) => match registry.version(name, *version) {
                Some(found) => {
                    registered.put_version(rows::version(registry, found));
                    registered.put_judged(name, *version, rows::judged(registry, found));
                }
                None => registered.remove_version(name, *version),
            },
            Entity::LineageRun(id) => {
                if let Some(run) = registry.lineage_run(id) {
                    registered.put_lineage_run(rows::lineage_run(run));
                }
            }
            Entity::Rollout(id) => match registry.rollout(id) {
                Some(rollout) => registered.put_rollout(rollout.clone()),
                None => registered.remove_rollout(id),
            },
            Entity::Experiment(_) | Entity::Run(_) | Entity::LoggedModel(_) | Entity::Webhook(_) => {}
        }
    }
}

/// Stops waiting when it is dropped.
struct Forget<'a> {
    handle: &'a RegistryHandle,
    id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.handle.waiting().remove(self.id);
    }
}

impl fmt::Debug for RegistryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryHandle").field("waiting", &self.waiting().len()).finish_non_exhaustive()
    }
}
