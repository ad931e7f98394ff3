//! Panes, watermarks, windows and their revisions, and series of panes.

mod judge;
mod pane;
mod series;
mod watermark;

pub use crate::event::SourceWatermark;
pub use judge::{Contents, Frame, report};
pub use pane::{PaneCounts, PaneKey, PanePartial, PaneRecord, RawRows, partial_key};
pub use series::{WatchedSeries, detections_of_era, era_of, has_enough_outcomes, pane_points, series_start, watched};
pub use watermark::{PartitionWatermark, Watermarks};
