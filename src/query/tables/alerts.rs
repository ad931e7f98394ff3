//! `alerts`: what is or was wrong.

use std::sync::Arc;

use super::column;
use super::table::PlainTable;
use crate::event::Alert;

type Column = column::Column<Arc<Alert>>;

pub static TABLE: PlainTable<Arc<Alert>> = PlainTable {
    name: "alerts",
    description: "one row per alert, in its latest state",
    rows: |snapshot| &snapshot.alerts,
    columns: &[
        Column::text("fingerprint", "identifies the cause", |a| Some(a.fingerprint.as_str().into())),
        Column::text("model", "name of the model", |a| Some(a.population.model.as_str().into())),
        Column::text("version", "version of the model", |a| Some(a.population.version.as_str().into())),
        Column::text("variant", "variant of the deployment", |a| Some(a.population.variant.as_str().into())),
        Column::text("segment", "part of the population; null for the whole", |a| {
            a.population.segment.as_deref().map(Into::into)
        })
        .or_null(),
        Column::text("kind", "quality, drift, change, decay, fairness, rollout, check or check_error", |a| {
            Some(a.kind.as_str().into())
        }),
        Column::text("subject", "the check's name or the protected attribute; empty for the model as a whole", |a| {
            Some(a.subject.as_str().into())
        }),
        Column::text("severity", "info, warning or critical", |a| Some(a.severity.name().into())),
        Column::text("state", "pending, firing or resolved", |a| Some(a.state.name().into())),
        Column::time("started_at", "start of the first bad window, in event time", |a| Some(a.started_at)),
        Column::time("fired_at", "end of the window that made it fire, in event time", |a| a.fired_at).or_null(),
        Column::time("resolved_at", "end of the window that resolved it, in event time", |a| a.resolved_at).or_null(),
        Column::count("revision", "how often the alert changed", |a| Some(a.revision.into())),
        Column::text("summary", "what is wrong, in one line", |a| Some(a.summary.as_str().into())),
        Column::text("evidence", "the numbers behind it, as JSON", |a| Some(a.evidence.to_string().into())),
    ],
};
