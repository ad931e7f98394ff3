//! `registry_audit`: who asked the registry for what, and what came of it.

use std::sync::Arc;

use super::column;
use super::count;
use super::table::PlainTable;
use crate::query::RegistryAuditRow;

type Column = column::Column<Arc<RegistryAuditRow>>;

pub static TABLE: PlainTable<Arc<RegistryAuditRow>> = PlainTable {
    name: "registry_audit",
    description: "one row per decided command of the registry, the newest 10,000",
    rows: |snapshot| &snapshot.registry_audit,
    columns: &[
        Column::count("sequence", "number of the decision, from 1 on", |a| Some(count(a.sequence))),
        Column::time("at", "when the command was given", |a| Some(a.at)),
        Column::text("user", "who gave it", |a| Some(a.user.as_str().into())),
        Column::text("reason", "why, in the user's words; null when not told", |a| a.reason.as_deref().map(Into::into))
            .or_null(),
        Column::text("action", "such as create_version", |a| Some(a.action.as_str().into())),
        Column::text("model", "the registered model that it is about; null for runs and experiments", |a| {
            a.model.as_deref().map(Into::into)
        })
        .or_null(),
        Column::text("version", "the version that it is about; null when none is", |a| {
            a.version.as_deref().map(Into::into)
        })
        .or_null(),
        Column::text("outcome", "applied or rejected", |a| Some(a.outcome.into())),
        Column::text("detail", "the events as JSON, or why it was rejected", |a| Some(a.detail.as_str().into())),
        Column::text("command", "id of the command", |a| Some(a.command.as_str().into())),
    ],
};
