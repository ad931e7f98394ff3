//! Panes: the small intervals in which the stream is counted, and their records on `plimsoll.panes`.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{Population, SourcePartition, SourceWatermark, key_of};
use crate::performance::OutcomeCounts;
use crate::profile::{Profile, Reference};

/// One population in one pane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PaneKey {
    pub population: Population,
    pub start: Timestamp,
}

/// What one source partition has counted in one pane so far. Cumulative: the newest replaces the ones before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PanePartial {
    pub key: PaneKey,
    pub source: SourcePartition,
    /// Anchors' epoch that the counts belong to.
    pub epoch: u32,
    /// Offsets of the first and last counted record of the source.
    pub offsets: (i64, i64),
    /// Milliseconds of the wall clock when it was last written, or one more than before if the clock was set back: of
    /// two partials with the same last offset the one with more is newer. Counts can change without a record being read.
    pub revision: i64,
    pub counts: PaneCounts,
}

#[allow(clippy::large_enum_variant, reason = "a pane has about as many of the one as of the other")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PaneCounts {
    Predictions(Profile),
    Outcomes(OutcomeCounts),
}

/// A record on `plimsoll.panes`.
#[allow(clippy::large_enum_variant, reason = "nearly all records are partials")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PaneRecord {
    Partial(PanePartial),
    Watermark(SourceWatermark),
    Raw(RawRows),
    Reference(VersionReference),
}

/// What the windows of one version are compared with in the place of its model's reference, counted in the same anchors.
///
/// It travels with the counts, so that what a window is compared with follows from the same topic as its contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionReference {
    pub version: String,
    pub reference: Reference,
}

/// Decoded predictions of a model that has no anchors yet, as an Arrow IPC stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawRows {
    pub model: String,
    pub source: SourcePartition,
    /// Offsets of the first and last record among the rows.
    pub offsets: (i64, i64),
    pub rows: u64,
    pub ipc: Vec<u8>,
}

impl PanePartial {
    /// Orders what one source says of one pane, whatever order it comes in.
    #[must_use]
    pub const fn rank(&self) -> (i64, i64) {
        (self.offsets.1, self.revision)
    }

    /// Makes this newer than what was said before.
    pub fn revise(&mut self, now: Timestamp) {
        self.revision = now.millis().max(self.revision + 1);
    }
}

impl PaneRecord {
    #[must_use]
    pub fn model(&self) -> &str {
        match self {
            Self::Partial(partial) => &partial.key.population.model,
            Self::Watermark(watermark) => &watermark.model,
            Self::Raw(raw) => &raw.model,
            Self::Reference(known) => &known.reference.model,
        }
    }

    /// The compaction key: raw rows stand for themselves, all others replace their predecessors.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Partial(partial) => partial_key(&partial.key, &partial.source),
            Self::Watermark(watermark) => key_of(&["watermark", &watermark.model, &watermark.source.to_string()]),
            Self::Raw(raw) => key_of(&["raw", &raw.model, &raw.source.to_string(), &raw.offsets.0.to_string()]),
            Self::Reference(known) => key_of(&["reference", &known.reference.model, &known.version]),
        }
    }
}

/// `model/version/variant/segment/pane/source`, the compaction key of a partial.
#[must_use]
pub fn partial_key(key: &PaneKey, source: &SourcePartition) -> String {
    let Population { model, version, variant, .. } = &key.population;
    let segment = key.population.segment_name();
    key_of(&[model, version, variant, segment, &key.start.to_string(), &source.to_string()])
}
