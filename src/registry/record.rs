//! What stands on the registry's topic: a log of every decided command, and models and versions as they are now.
//!
//! Keys of the log are unique, so that compaction never drops any of it and the state can be folded anew from it.

use serde::{Deserialize, Serialize};

use super::command::{Change, Command};
use super::entity::Subject;
use super::event::Event;
use super::rejection::Rejection;
use crate::clock::Timestamp;

/// One decided command: who asked for what, when and why, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Counts decisions from 1 on.
    pub sequence: u64,
    pub command: Command,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Applied { events: Vec<Event> },
    Rejected { rejection: Rejection },
}

const LOG: &str = "log/";

impl Decision {
    #[must_use]
    pub fn key(&self) -> String {
        format!("{LOG}{:016x}", self.sequence)
    }

    /// Whether a record with this key is a decision.
    #[must_use]
    pub fn is_at(key: &[u8]) -> bool {
        key.starts_with(LOG.as_bytes())
    }

    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.command.at
    }

    #[must_use]
    pub fn events(&self) -> &[Event] {
        match &self.outcome {
            Outcome::Applied { events } => events,
            Outcome::Rejected { .. } => &[],
        }
    }
}

impl Change {
    /// Such as `create_version`.
    #[must_use]
    pub fn action(&self) -> String {
        let written = serde_json::to_value(self).ok();
        let action = written.as_ref().and_then(|value| value.get("type")?.as_str());
        action.unwrap_or_default().to_owned()
    }

    /// The registered model that it is about, and its version.
    #[must_use]
    pub fn model(&self) -> Option<(&str, Option<u32>)> {
        match self {
            Self::CreateModel { name, .. }
            | Self::RenameModel { name, .. }
            | Self::DescribeModel { name, .. }
            | Self::DeleteModel { name }
            | Self::CreateVersion { name, .. }
            | Self::MirrorModel { name, .. }
            | Self::DeleteAlias { name, .. }
            | Self::PauseRollout { name }
            | Self::ResumeRollout { name }
            | Self::PromoteRollout { name }
            | Self::AbortRollout { name }
            | Self::MoveRollout { name, .. }
            | Self::SetTags { subject: Subject::Model(name), .. }
            | Self::DeleteTag { subject: Subject::Model(name), .. } => Some((name, None)),
            Self::DescribeVersion { name, version, .. }
            | Self::MirrorVersion { name, version, .. }
            | Self::RecordEvaluation { name, version, .. }
            | Self::RecordGates { name, version, .. }
            | Self::FailGates { name, version, .. }
            | Self::ApproveGates { name, version, .. }
            | Self::TransitionStage { name, version, .. }
            | Self::StartRollout { name, version, .. }
            | Self::DeleteVersion { name, version }
            | Self::SetAlias { name, version, .. }
            | Self::SetTags { subject: Subject::Version(name, version), .. }
            | Self::DeleteTag { subject: Subject::Version(name, version), .. } => Some((name, Some(*version))),
            _ => None,
        }
    }
}
