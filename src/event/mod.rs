//! The words of the bus: what comes in, what is reported, and the identities they share.

mod accounting;
mod alert;
mod dead_letter;
mod format;
mod join_row;
mod report;
mod retraining;
mod rollout;
mod rollout_analysis;
mod watermark;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

pub use accounting::Accounting;
pub use alert::{Alert, AlertState, Fingerprint, Severity};
pub use dead_letter::{DeadLetter, Reason};
pub use format::{FormatError, from_json, to_json};
pub use join_row::{ClassScores, JoinBlock, JoinRow, JoinRowKind, PackedKind, PackedRow, Text, TextTable};
pub use report::{
    AttributionRow, CalibrationRow, ConfusionRow, ContributionRow, DetectionRow, DistributionRow, DriftRow,
    FairnessRow, FeatureRow, MultivariateRow, PerformanceRow, QualityRow, Verdict, WindowReport, WindowState,
};
pub use retraining::{OffsetRange, RetrainingData, RetrainingRequest};
pub use rollout::{
    CANARY, OVERRIDE, Rollout, RolloutCriteria, RolloutMode, RolloutPlan, RolloutState, RolloutStep, SHADOW, STABLE,
    is_on_trial,
};
pub use rollout_analysis::{RolloutAnalysis, RolloutComparison, RolloutVerdict};
pub use watermark::SourceWatermark;

/// A 128-bit hash of an event's id; ids are unique within a model. Written as 16 bytes, which is less than a variable
/// length takes for random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdHash(#[serde(with = "postcard::fixint::le")] pub u128);

/// The population that a statistic speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Population {
    pub model: String,
    pub version: String,
    pub variant: String,
    /// `feature=value`, or none for everybody.
    pub segment: Option<String>,
}

/// A place in the input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourcePartition {
    pub topic: String,
    pub partition: i32,
}

impl IdHash {
    #[must_use]
    pub fn of(id: &str) -> Self {
        Self(xxh3_128(id.as_bytes()))
    }

    /// The partition of `plimsoll.joins` that holds this id.
    #[must_use]
    pub fn partition(self, partitions: i32) -> i32 {
        partition_of_hash(self.0, partitions)
    }
}

/// A stable partition for a text key, such as a model's name.
#[must_use]
pub fn partition_of(key: &str, partitions: i32) -> i32 {
    partition_of_hash(xxh3_128(key.as_bytes()), partitions)
}

fn partition_of_hash(hash: u128, partitions: i32) -> i32 {
    let count = u128::from(partitions.max(1).unsigned_abs());
    i32::try_from(hash % count).unwrap_or(0)
}

/// Joins the parts of a Kafka key with `/`; a `/` or `%` inside a part is percent-encoded, so keys never collide.
#[must_use]
pub fn key_of(parts: &[&str]) -> String {
    let mut key = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            key.push('/');
        }
        for character in part.chars() {
            match character {
                '/' => key.push_str("%2F"),
                '%' => key.push_str("%25"),
                other => key.push(other),
            }
        }
    }
    key
}

/// The parts that [`key_of`] joined.
#[must_use]
pub fn parts_of(key: &str) -> Vec<String> {
    key.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect()
}

impl Population {
    #[must_use]
    pub fn segment_name(&self) -> &str {
        self.segment.as_deref().unwrap_or("")
    }

    /// `model/version/variant/segment`.
    #[must_use]
    pub fn key(&self) -> String {
        key_of(&[&self.model, &self.version, &self.variant, self.segment_name()])
    }
}

impl std::fmt::Display for SourcePartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_parts_never_collide() {
        assert_ne!(key_of(&["a/b", "c"]), key_of(&["a", "b/c"]));
        assert_ne!(key_of(&["a%2Fb"]), key_of(&["a/b"]));
        for parts in [vec!["a/b", "c%2F", ""], vec!["x"]] {
            assert_eq!(parts_of(&key_of(&parts)), parts);
        }
    }

    #[test]
    fn an_id_always_lands_on_the_same_partition_in_range() {
        for id in ["7f3c", "", "Ω"] {
            let partition = IdHash::of(id).partition(7);
            assert!((0..7).contains(&partition));
            assert_eq!(partition, IdHash::of(id).partition(7));
        }
    }
}
