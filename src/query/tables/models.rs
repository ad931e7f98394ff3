//! `models`: what is monitored, and what is registered.

use super::column;
use super::count;
use super::table::PlainTable;
use crate::query::ModelRow;

type Column = column::Column<ModelRow>;

pub static TABLE: PlainTable<ModelRow> = PlainTable {
    name: "models",
    description: "one row per model that is monitored or registered",
    rows: |snapshot| &snapshot.models,
    columns: &[
        Column::text("model", "name of the model", |m| Some(m.model.as_str().into())),
        Column::text("task", "binary, multiclass or regression; null of a model that is not monitored", |m| {
            m.task.as_deref().map(Into::into)
        })
        .or_null(),
        Column::count("features", "number of features", |m| Some(count(m.features))),
        Column::count("reference_rows", "rows of the reference; null while there is none", |m| {
            m.reference_rows.map(count)
        })
        .or_null(),
        Column::count("versions", "number of registered versions", |m| Some(count(m.versions))),
        Column::count("production_version", "newest version in the stage Production; null when there is none", |m| {
            m.production_version.map(i64::from)
        })
        .or_null(),
    ],
};
