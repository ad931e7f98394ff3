//! Limits of what ingest takes.

use crate::codec::DecodeLimits;

#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// Larger records are dead letters (`too_large`).
    pub max_message_bytes: usize,
    /// Values of a segment feature beyond this many are not split out.
    pub max_segments: usize,
}

impl IngestSettings {
    pub(super) const fn decode_limits(&self) -> DecodeLimits {
        DecodeLimits { max_message_bytes: self.max_message_bytes }
    }
}
