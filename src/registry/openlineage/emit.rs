//! From decisions to run events.

use serde_json::Value;
use uuid::Uuid;

use super::event::{Dataset, EventType, Job, RunEvent};
use crate::clock::Timestamp;
use crate::registry::entity::{DatasetInput, ModelVersion, RunStatus};
use crate::registry::event::Event;
use crate::registry::record::Decision;

/// Tells runs in one namespace.
#[derive(Clone, Debug)]
pub struct Emitter {
    namespace: String,
}

impl Emitter {
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// What a decision tells; `experiment_of` knows the experiments of earlier runs.
    pub fn all_of(&self, decision: &Decision, experiment_of: impl Fn(&str) -> Option<String>) -> Vec<RunEvent> {
        let at = decision.at();
        let started = decision.events().iter().find_map(|event| match event {
            Event::RunCreated { run } => Some((run.run_id.clone(), run.experiment_id.clone())),
            _ => None,
        });
        let experiment = |run_id: &str| match &started {
            Some((id, experiment)) if id == run_id => Some(experiment.clone()),
            _ => experiment_of(run_id),
        };
        decision.events().iter().filter_map(|event| self.told(at, event, &experiment)).collect()
    }

    fn told(&self, at: Timestamp, event: &Event, experiment: &impl Fn(&str) -> Option<String>) -> Option<RunEvent> {
        let of = |kind: EventType, at: Timestamp, run_id: &str| {
            let name = format!("experiment/{}", experiment(run_id)?);
            let job = Job { namespace: self.namespace.clone(), name, facets: serde_json::Map::new() };
            Some(RunEvent::new(kind, at, run_uuid(run_id)?, job))
        };
        match event {
            Event::RunCreated { run } => of(EventType::Start, run.start_time, &run.run_id),
            Event::RunUpdated { run_id, status, end_time, .. } if status.is_over() => {
                let kind = match status {
                    RunStatus::Failed => EventType::Fail,
                    RunStatus::Killed => EventType::Abort,
                    RunStatus::Finished | RunStatus::Running | RunStatus::Scheduled => EventType::Complete,
                };
                of(kind, end_time.unwrap_or(at), run_id)
            }
            Event::InputsLogged { run_id, datasets, .. } if !datasets.is_empty() => {
                let inputs = datasets.iter().map(|data| self.input(data)).collect();
                Some(RunEvent { inputs, ..of(EventType::Running, at, run_id)? })
            }
            Event::VersionCreated { version } if !version.run_id.is_empty() => {
                let outputs = vec![dataset_of_version(&self.namespace, version)];
                Some(RunEvent { outputs, ..of(EventType::Other, at, &version.run_id)? })
            }
            _ => None,
        }
    }

    /// Where its source is a place, data are named as OpenLineage names places: `s3://bucket` and the path in it.
    fn input(&self, data: &DatasetInput) -> Dataset {
        let source: Value = serde_json::from_str(&data.source).unwrap_or_default();
        let uri = source.get("uri").or_else(|| source.get("url")).and_then(Value::as_str);
        let place = uri.and_then(|uri| {
            let (scheme, rest) = uri.split_once("://")?;
            let (host, path) = rest.split_once('/')?;
            Some((format!("{scheme}://{host}"), path.to_owned()))
        });
        let (namespace, name) = place.unwrap_or_else(|| (self.namespace.clone(), data.name.clone()));
        Dataset::new(&namespace, &name, Some(&data.digest).filter(|digest| !digest.is_empty()).map(String::as_str))
    }
}

/// OpenLineage has no models: a version is a version of a data set that is named as the model.
#[must_use]
pub fn dataset_of_version(namespace: &str, version: &ModelVersion) -> Dataset {
    Dataset::new(namespace, &version.name, Some(&version.version.to_string()))
}

/// The run's id in the form that OpenLineage asks for.
#[must_use]
pub fn run_uuid(run_id: &str) -> Option<Uuid> {
    Uuid::try_parse(run_id).ok()
}
