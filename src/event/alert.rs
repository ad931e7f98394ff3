//! An alert and its life: pending → firing → resolved.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Population, key_of};
use crate::clock::Timestamp;

/// The newest revision per fingerprint stands on `plimsoll.alerts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub fingerprint: Fingerprint,
    /// `quality`, `drift`, `change`, `decay`, `fairness`, `check`, `check_error`, `rollout`.
    pub kind: String,
    /// What broke: empty for the model as a whole, else the check's name, the protected attribute, or the series and the
    /// detector.
    pub subject: String,
    #[serde(flatten)]
    pub population: Population,
    pub severity: Severity,
    pub state: AlertState,
    /// Start of the first window of this episode, in event time.
    pub started_at: Timestamp,
    /// End of the window that made it fire, in event time.
    pub fired_at: Option<Timestamp>,
    /// End of the window that resolved it, in event time.
    pub resolved_at: Option<Timestamp>,
    /// Rises with every record of this fingerprint, over all episodes.
    pub revision: u32,
    pub summary: String,
    pub evidence: serde_json::Value,
}

/// Identifies a cause: model, version, variant, segment, kind and subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    Pending,
    Firing,
    Resolved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Fingerprint {
    #[must_use]
    pub fn of(population: &Population, kind: &str, subject: &str) -> Self {
        let identity = format!("{}/{}", population.key(), key_of(&[kind, subject]));
        Self(format!("{:016x}", xxh3_64(identity.as_bytes())))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AlertState {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl Severity {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical].into_iter().find(|severity| severity.name() == text)
    }
}
