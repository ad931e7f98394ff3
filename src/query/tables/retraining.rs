//! `retraining`: requests to train a new version.

use std::sync::Arc;

use super::column;
use super::table::PlainTable;
use crate::event::RetrainingRequest;

type Column = column::Column<Arc<RetrainingRequest>>;

pub static TABLE: PlainTable<Arc<RetrainingRequest>> = PlainTable {
    name: "retraining",
    description: "one row per request to train a new version",
    rows: |snapshot| &snapshot.retraining,
    columns: &[
        Column::text("id", "the same decay never asks twice", |r| Some(r.id.as_str().into())),
        Column::text("model", "name of the model", |r| Some(r.model.as_str().into())),
        Column::text("version", "the version that decayed", |r| Some(r.version.as_str().into())),
        Column::text("reason", "why, in one line", |r| Some(r.reason.as_str().into())),
        Column::time("requested_at", "end of the window that made the decay hold, in event time", |r| {
            Some(r.requested_at)
        }),
        Column::time("data_from", "first instant of the events to train on", |r| Some(r.data.from)),
        Column::time("data_to", "first instant after the events to train on", |r| Some(r.data.to)),
        Column::text("alerts", "fingerprints of the alerts behind it, as JSON", |r| Some(json(&r.alerts).into())),
        Column::text("offsets", "offsets of the events to train on, as JSON", |r| Some(json(&r.data.offsets).into())),
        Column::text("champion", "metrics of the version that decayed, as JSON", |r| Some(json(&r.champion).into())),
    ],
};

/// These values are lists of plain records, whose serialisation has no way to fail.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
