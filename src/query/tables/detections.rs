//! `detections`: where sequential detectors warned or found a change.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::DetectionRow;

type Column = column::Column<DetectionRow>;

pub static TABLE: WindowTable<DetectionRow> = WindowTable {
    name: "detections",
    description: "one row per warning or drift of a sequential detector, in the smallest windows that hold its pane",
    rows: |window| &window.detections,
    columns: &[
        Column::text(
            "series",
            "error, loss, a numeric feature or prediction.score: its mean over the rows of each pane",
            |d| Some(d.series.as_str().into()),
        ),
        Column::text("detector", "adwin, page_hinkley, ddm, eddm, hddm_a, hddm_w, kswin or cusum", |d| {
            Some(d.detector.name().into())
        }),
        Column::time("detected_at", "start of the pane at which it was found, in event time", |d| Some(d.detected_at)),
        Column::text("signal", "drift, or warning of one that may come", |d| Some(d.signal.name().into())),
        Column::float("mean", "the series in this pane", |d| Some(d.mean)),
        Column::float("reference", "the same in the reference", |d| d.reference).or_null(),
        Column::count("n", "rows of the pane with a value", |d| Some(count(d.n))),
    ],
};
