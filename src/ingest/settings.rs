//! Limits of what ingest takes.

#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// Larger records are dead letters (`too_large`).
    pub max_message_bytes: usize,
    /// Values of a segment feature beyond this many are not split out.
    pub max_segments: usize,
}
