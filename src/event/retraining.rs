//! A request to train a new version, with the data to train it on.

use serde::{Deserialize, Serialize};

use super::{Fingerprint, PerformanceRow};
use crate::clock::Timestamp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrainingRequest {
    /// Deterministic: the same decay never asks twice.
    pub id: String,
    pub model: String,
    pub version: String,
    pub reason: String,
    pub alerts: Vec<Fingerprint>,
    pub data: RetrainingData,
    pub champion: Vec<PerformanceRow>,
    /// End of the window that made the decay hold, in event time.
    pub requested_at: Timestamp,
}

/// The events to train on: from the first decayed window to the end of the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrainingData {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Where these events stand on the topics of `predictions`; some before and after them may stand among them.
    pub offsets: Vec<OffsetRange>,
}

/// Consecutive records of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    pub topic: String,
    pub partition: i32,
    pub from: i64,
    /// After the last.
    pub to: i64,
}
