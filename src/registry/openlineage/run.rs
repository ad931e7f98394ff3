//! What is kept of the runs of others, and the way from a version up to raw data.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::emit::run_uuid;
use super::event::EventType;
use crate::clock::Timestamp;
use crate::registry::entity::ModelVersion;
use crate::registry::state::Registry;

/// One event of a run, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub run_id: String,
    pub event_type: EventType,
    pub at: Timestamp,
    pub namespace: String,
    pub job: String,
    pub producer: String,
    /// The version of the code.
    pub code: Option<String>,
    pub parent: Option<String>,
    pub inputs: Vec<LineageDataset>,
    pub outputs: Vec<LineageDataset>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineageDataset {
    pub namespace: String,
    pub name: String,
    pub version: Option<String>,
}

/// A run, from all that was told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageRun {
    pub run_id: String,
    pub namespace: String,
    pub job: String,
    pub producer: String,
    /// The last thing it did; once it is over it stays so.
    pub state: EventType,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    pub code: Option<String>,
    pub parent: Option<String>,
    pub inputs: BTreeSet<LineageDataset>,
    pub outputs: BTreeSet<LineageDataset>,
}

/// A job above a version: it made what the version was trained on, or what that was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Steps away from the version.
    pub depth: u32,
    pub run_id: String,
    pub namespace: String,
    pub job: String,
    pub state: EventType,
    pub code: Option<String>,
    pub inputs: Vec<LineageDataset>,
    pub outputs: Vec<LineageDataset>,
}

/// Tags a version or its run with the OpenLineage run that trained it, where that is not the MLflow run.
pub const RUN_TAG: &str = "plimsoll.openlineage";

/// Data sets that a run may have of each side.
pub(in crate::registry) const MAX_DATASETS: usize = 1_000;
/// How far up one looks.
const MAX_DEPTH: u32 = 10;
const MAX_UPSTREAM: usize = 100;

impl LineageRun {
    pub(in crate::registry) fn of(told: &Told) -> Self {
        Self {
            run_id: told.run_id.clone(),
            namespace: told.namespace.clone(),
            job: told.job.clone(),
            producer: told.producer.clone(),
            state: told.event_type,
            started_at: None,
            ended_at: None,
            updated_at: told.at,
            code: None,
            parent: None,
            inputs: BTreeSet::new(),
            outputs: BTreeSet::new(),
        }
    }

    /// Adds what an event tells; events may come in any order.
    #[must_use]
    pub(in crate::registry) fn with(mut self, told: &Told) -> Self {
        let is_later = told.at >= self.updated_at;
        if told.event_type.is_final() || (is_later && !self.state.is_final()) {
            self.state = told.event_type;
        }
        if is_later {
            self.updated_at = told.at;
        }
        if told.event_type == EventType::Start {
            self.started_at = Some(self.started_at.map_or(told.at, |known| known.min(told.at)));
        }
        if told.event_type.is_final() {
            self.ended_at = Some(told.at);
        }
        self.code = told.code.clone().or(self.code);
        self.parent = told.parent.clone().or(self.parent);
        self.inputs.extend(told.inputs.iter().cloned());
        self.outputs.extend(told.outputs.iter().cloned());
        self
    }
}

/// The runs that a version comes from, nearest first.
#[must_use]
pub fn upstream_of(registry: &Registry, version: &ModelVersion) -> Vec<Upstream> {
    let run = registry.run(&version.run_id);
    let tagged = version.tags.get(RUN_TAG).or_else(|| run?.tags.get(RUN_TAG)).cloned();
    let own = run_uuid(&version.run_id).map(|id| id.to_string());
    let first: BTreeSet<&String> = tagged.iter().chain(&own).collect();
    let mut found: Vec<Upstream> = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut waiting: VecDeque<(u32, &LineageRun)> = VecDeque::new();
    waiting.extend(first.into_iter().filter_map(|id| registry.lineage_run(id)).map(|run| (0, run)));
    let logged: BTreeSet<&str> = run.into_iter().flat_map(|run| &run.datasets).map(|data| data.name.as_str()).collect();
    let made_logged = |run: &&LineageRun| run.outputs.iter().any(|output| logged.contains(output.name.as_str()));
    if !logged.is_empty() {
        waiting.extend(registry.lineage_runs().filter(made_logged).map(|run| (1, run)));
    }
    while let Some((depth, run)) = waiting.pop_front() {
        if found.len() == MAX_UPSTREAM {
            break;
        }
        if !seen.insert(run.run_id.as_str()) {
            continue;
        }
        found.push(Upstream::of(depth, run));
        if depth < MAX_DEPTH {
            let makers = registry.lineage_runs().filter(|other| makes_any(other, &run.inputs));
            waiting.extend(makers.map(|other| (depth + 1, other)));
        }
    }
    found
}

/// Of a data set with a version only runs that made this version count, where they tell it.
fn makes_any(run: &LineageRun, wanted: &BTreeSet<LineageDataset>) -> bool {
    let is_same = |made: &LineageDataset, wanted: &LineageDataset| {
        let versions_fit = made.version.is_none() || wanted.version.is_none() || made.version == wanted.version;
        (&made.namespace, &made.name) == (&wanted.namespace, &wanted.name) && versions_fit
    };
    run.outputs.iter().any(|made| wanted.iter().any(|wanted| is_same(made, wanted)))
}

impl Upstream {
    fn of(depth: u32, run: &LineageRun) -> Self {
        Self {
            depth,
            run_id: run.run_id.clone(),
            namespace: run.namespace.clone(),
            job: run.job.clone(),
            state: run.state,
            code: run.code.clone(),
            inputs: run.inputs.iter().cloned().collect(),
            outputs: run.outputs.iter().cloned().collect(),
        }
    }
}
