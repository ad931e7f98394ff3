//! Panes, watermarks, windows and their revisions.

mod judge;
mod pane;
mod watermark;

pub use judge::{Contents, Frame, report};
pub use pane::{PaneCounts, PaneKey, PanePartial, PaneRecord, RawRows, SourceWatermark, partial_key};
pub use watermark::{PartitionWatermark, Watermarks};
