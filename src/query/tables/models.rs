//! `models`: what is monitored.

use super::column;
use super::count;
use super::table::PlainTable;
use crate::query::ModelRow;

type Column = column::Column<ModelRow>;

pub static TABLE: PlainTable<ModelRow> = PlainTable {
    name: "models",
    description: "one row per monitored model",
    rows: |snapshot| &snapshot.models,
    columns: &[
        Column::text("model", "name of the model", |m| Some(m.model.as_str().into())),
        Column::text("task", "binary, multiclass or regression", |m| Some(m.task.as_str().into())),
        Column::count("features", "number of features", |m| Some(count(m.features))),
        Column::count("reference_rows", "rows of the reference; null while there is none", |m| {
            m.reference_rows.map(count)
        })
        .or_null(),
    ],
};
