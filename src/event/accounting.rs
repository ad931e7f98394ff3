//! What became of every record that was read.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// `read = counted + duplicate + deadlettered`, exactly, per topic partition (invariant I1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    pub topic: String,
    pub partition: i32,
    pub read: u64,
    pub counted: u64,
    pub duplicate: u64,
    pub deadlettered: u64,
    /// Fields of events that nothing uses; they are ignored.
    pub unknown_fields: u64,
    /// Offset of the next record to read.
    pub next_offset: i64,
    /// Lowest event-time watermark over the models of this partition.
    pub watermark: Option<Timestamp>,
}

impl Accounting {
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.read == self.counted + self.duplicate + self.deadlettered
    }
}
