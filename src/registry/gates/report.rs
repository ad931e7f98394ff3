//! What gates found of a version: the evidence of its promotion or rejection.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::event::Severity;

/// One run of all gates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateReport {
    pub at: Timestamp,
    /// The version that the candidate was compared with.
    pub champion: Option<u32>,
    pub approval: Approval,
    pub gates: Vec<GateResult>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    pub name: String,
    pub severity: Severity,
    pub verdict: GateVerdict,
    /// Rows that the gate returned.
    pub rows: u64,
    /// The first of them.
    pub sample: Vec<Value>,
    pub detail: Option<String>,
    /// SHA-256 of its file, so that what was asked can be told later.
    pub sha256: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    Passed,
    Failed,
    /// There was nothing to decide by; that is never a pass.
    Inconclusive,
    /// The gate could not run; that is never a pass.
    Broken,
}

/// What a person has to say, or has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    NotNeeded,
    Needed,
    Given,
    Refused,
}

/// Where a version stands after its gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    Passed,
    Failed,
    Inconclusive,
    /// Passed, but for a person's word.
    AwaitingApproval,
    /// Passed, and a person refused.
    Refused,
}

impl GateReport {
    /// Only critical gates decide.
    #[must_use]
    pub fn verdict(&self) -> GateVerdict {
        let mut verdicts =
            self.gates.iter().filter(|gate| gate.severity == Severity::Critical).map(|gate| gate.verdict);
        if verdicts.clone().any(|verdict| verdict == GateVerdict::Failed) {
            return GateVerdict::Failed;
        }
        if verdicts.all(|verdict| verdict == GateVerdict::Passed) {
            return GateVerdict::Passed;
        }
        GateVerdict::Inconclusive
    }

    #[must_use]
    pub fn state(&self) -> GateState {
        match (self.verdict(), self.approval) {
            (GateVerdict::Failed, _) => GateState::Failed,
            (GateVerdict::Inconclusive | GateVerdict::Broken, _) => GateState::Inconclusive,
            (GateVerdict::Passed, Approval::NotNeeded | Approval::Given) => GateState::Passed,
            (GateVerdict::Passed, Approval::Needed) => GateState::AwaitingApproval,
            (GateVerdict::Passed, Approval::Refused) => GateState::Refused,
        }
    }
}

impl GateVerdict {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Broken => "broken",
        }
    }
}

impl GateState {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Refused => "refused",
        }
    }
}
