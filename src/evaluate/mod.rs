//! The evaluate role: panes become windows, windows become verdicts, verdicts become alerts and retraining requests.
//!
//! Each partition of `plimsoll.panes` has its own machine, which holds some of the models, each of them whole. A
//! window is reported when every source partition's watermark has passed its end, and again whenever late events or
//! late outcomes change it.

mod alerts;
mod audit;
mod change;
pub mod checks;
mod fairness;
mod good_windows;
mod judge;
mod machine;
mod panes;
mod raw;
mod retraining;
mod root_cause;
mod series;
mod settings;
mod trace;
mod version_references;
mod windows;

use std::sync::Arc;

use async_trait::async_trait;

use crate::bus::Topics;
use crate::event::SourcePartition;
use crate::runner::{Machine, Models, PaneTopic, References, Role, RoleError};
use crate::state::Store;

pub use audit::EvaluateAudit;
use checks::CheckRunner;
pub use settings::ChecksSettings;

#[derive(Clone, Debug)]
pub struct EvaluateRole {
    pub models: Arc<dyn Models>,
    pub topics: Topics,
    pub panes: PaneTopic,
    pub references: References,
    pub checks: CheckRunner,
}

#[async_trait]
impl Role for EvaluateRole {
    fn name(&self) -> &'static str {
        "evaluate"
    }

    fn topics(&self) -> Vec<String> {
        vec![self.topics.panes.clone()]
    }

    fn revision(&self) -> u64 {
        self.models.current().revision
    }

    fn latest_by_key(&self) -> Vec<String> {
        vec![self.topics.windows.clone(), self.topics.alerts.clone()]
    }

    async fn open(
        &self,
        source: &SourcePartition,
        _partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError> {
        Ok(Box::new(machine::EvaluateMachine::open(self, source, store).await?))
    }
}
