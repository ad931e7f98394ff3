//! `lineage_runs`: what others tell of their runs.

use std::sync::Arc;

use super::column;
use super::table::PlainTable;
use crate::query::LineageRunRow;

type Column = column::Column<Arc<LineageRunRow>>;

pub static TABLE: PlainTable<Arc<LineageRunRow>> = PlainTable {
    name: "lineage_runs",
    description: "one row per run that OpenLineage events tell of",
    rows: |snapshot| &snapshot.lineage_runs,
    columns: &[
        Column::text("run_id", "id of the run, a UUID", |r| Some(r.run_id.as_str().into())),
        Column::text("namespace", "namespace of its job", |r| Some(r.namespace.as_str().into())),
        Column::text("job", "name of its job", |r| Some(r.job.as_str().into())),
        Column::text("state", "type of its last event: START, RUNNING, COMPLETE, ABORT, FAIL or OTHER", |r| {
            Some(r.state.into())
        }),
        Column::time("started_at", "when it started; null when not told", |r| r.started_at).or_null(),
        Column::time("ended_at", "when it ended; null when not told", |r| r.ended_at).or_null(),
        Column::time("updated_at", "time of its newest event", |r| Some(r.updated_at)),
        Column::text("code_version", "version of its code; null when not told", |r| r.code.as_deref().map(Into::into))
            .or_null(),
        Column::text("inputs", "data sets that it read, as JSON", |r| Some(r.inputs.as_str().into())),
        Column::text("outputs", "data sets that it made, as JSON", |r| Some(r.outputs.as_str().into())),
        Column::text("producer", "who tells of it", |r| Some(r.producer.as_str().into())),
    ],
};
