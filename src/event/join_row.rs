//! What ingest hands to join: the little of each event that performance needs, re-keyed by id.

use serde::{Deserialize, Serialize};

use super::{IdHash, SourcePartition};
use crate::clock::Timestamp;

/// Many rows in one Kafka message; rows are deltas, in the order of their source offsets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinBlock {
    pub source: SourcePartition,
    pub rows: Vec<JoinRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinRow {
    pub model: String,
    pub id: IdHash,
    pub time: Timestamp,
    /// Offset in the source partition; join drops rows at or below its high-water mark.
    pub offset: i64,
    pub kind: JoinRowKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum JoinRowKind {
    Prediction {
        version: String,
        variant: String,
        /// `feature=value` of every configured segment.
        segments: Vec<String>,
        label: Option<String>,
        score: Option<f64>,
    },
    Outcome {
        label: String,
    },
}
