//! `windows`, and the columns that name a window in every table that has one.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::WindowReport;

type Column = column::Column<WindowReport>;

/// The first columns of every table whose rows belong to windows.
pub static KEYS: [Column; 8] = [
    Column::text("model", "name of the model", |w| Some(w.population.model.as_str().into())),
    Column::text("version", "version of the model", |w| Some(w.population.version.as_str().into())),
    Column::text("variant", "variant of the deployment, such as canary", |w| {
        Some(w.population.variant.as_str().into())
    }),
    Column::text("segment", "part of the population as feature=value; null for the whole", |w| {
        w.population.segment.as_deref().map(Into::into)
    })
    .or_null(),
    Column::time("window_start", "first instant of the window, in event time", |w| Some(w.window_start)),
    Column::time("window_end", "first instant after the window, in event time", |w| Some(w.window_end)),
    Column::text("window_size", "length of the window, and its slide if it slides: 7d, 7d/1d", |w| {
        Some(w.window_size.to_string().into())
    }),
    Column::count("revision", "how often the window was reported; this is the latest", |w| Some(w.revision.into())),
];

pub static TABLE: WindowTable<WindowReport> = WindowTable {
    name: "windows",
    description: "one row per window, at its latest revision",
    rows: std::slice::from_ref,
    columns: &[
        Column::text("state", "open, or closed once the watermark has passed its end", |w| Some(w.state.name().into())),
        Column::count("predictions", "predictions counted", |w| Some(count(w.predictions))),
        Column::count("outcomes", "predictions whose outcome is known", |w| Some(count(w.outcomes))),
        Column::count("errors", "predictions that carry an error", |w| Some(count(w.errors))),
        Column::count("late", "events counted by a revision after the window had closed", |w| Some(count(w.late))),
        Column::float("label_coverage", "outcomes / predictions", |w| Some(w.label_coverage)),
        Column::float("latency_p50_ms", "median latency of predictions", |w| w.latency_p50_ms).or_null(),
        Column::float("latency_p95_ms", "95th percentile of latency", |w| w.latency_p95_ms).or_null(),
        Column::float("latency_p99_ms", "99th percentile of latency", |w| w.latency_p99_ms).or_null(),
    ],
};
