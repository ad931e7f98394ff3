//! Panes, watermarks, windows and their revisions, and series of panes.

mod breakdown;
mod judge;
mod pane;
mod root_cause;
mod series;
mod watermark;

pub use crate::event::SourceWatermark;
pub use breakdown::{LATENCY, attribution_rows, calibration_rows, confusion_rows, distribution_rows, negative_label};
pub use judge::{Contents, Frame, report};
pub use pane::{PaneCounts, PaneKey, PanePartial, PaneRecord, RawRows, VersionReference, partial_key};
pub use root_cause::{SegmentSides, bin_contributions, segment_contributions};
pub use series::{WatchedSeries, detections_of_era, era_of, has_enough_outcomes, pane_points, series_start, watched};
pub use watermark::{PartitionWatermark, Watermarks};
