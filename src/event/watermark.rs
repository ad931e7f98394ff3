//! How far event time has come, as ingest tells the roles behind it.

use serde::{Deserialize, Serialize};

use super::SourcePartition;
use crate::clock::Timestamp;

/// How far one model's event time has come on one source partition. Follows every record that it covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceWatermark {
    pub model: String,
    pub source: SourcePartition,
    /// Partitions of the source's topic, so that whoever combines watermarks knows whom to wait for.
    pub partitions: i32,
    pub watermark: Option<Timestamp>,
    /// Nothing came for the idle timeout: do not wait for this partition.
    pub idle: bool,
    /// Offset of the next record to read.
    pub next_offset: i64,
}
