//! `rollouts`: how new versions took over, or did not.

use std::sync::Arc;

use super::column;
use super::count;
use super::table::PlainTable;
use crate::event::Rollout;

type Column = column::Column<Arc<Rollout>>;

pub static TABLE: PlainTable<Arc<Rollout>> = PlainTable {
    name: "rollouts",
    description: "one row per rollout, the newest 20 of each model",
    rows: |snapshot| &snapshot.rollouts,
    columns: &[
        Column::text("id", "identifies the rollout; events carry it as tags.rollout", |r| Some(r.id.as_str().into())),
        Column::text("model", "name of the registered model", |r| Some(r.model.as_str().into())),
        Column::text("baseline", "the version that answered before", |r| Some(r.baseline.to_string().into())),
        Column::text("candidate", "the new version", |r| Some(r.candidate.to_string().into())),
        Column::text("state", "running, paused, promoted, aborted or rolled_back", |r| Some(r.state.name().into())),
        Column::count("step", "the step that it is or was in, from 0 on", |r| Some(count(r.step as u64))),
        Column::text("mode", "shadow, canary or ab", |r| r.current_step().map(|step| step.mode.name().into()))
            .or_null(),
        Column::float("weight", "percentage of the requests that the new version gets", |r| {
            r.current_step().map(|step| step.weight)
        })
        .or_null(),
        Column::time("started_at", "when it began", |r| Some(r.started_at)),
        Column::text("started_by", "who started it", |r| Some(r.started_by.as_str().into())),
        Column::time("step_since", "when the step began", |r| Some(r.step_since)),
        Column::time("ended_at", "when it ended; null while it is under way", |r| r.ended_at).or_null(),
        Column::time("cool_down_until", "until when the version cannot be rolled out again", |r| r.cool_down_until)
            .or_null(),
        Column::text("reason", "why it is in this state", |r| Some(r.reason.as_str().into())),
        Column::text("analysis", "what the last change rests on, as JSON; null when a person made it", |r| {
            r.analysis.as_ref().and_then(|analysis| Some(serde_json::to_string(analysis).ok()?.into()))
        })
        .or_null(),
        Column::text("plan", "its steps and criteria, as JSON", |r| {
            Some(serde_json::to_string(&r.plan).unwrap_or_default().into())
        }),
        Column::count("revision", "number of the decision that changed it last", |r| Some(count(r.revision))),
    ],
};
