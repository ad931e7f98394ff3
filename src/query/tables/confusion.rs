//! `confusion`: which labels met which outcomes.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::ConfusionRow;

type Column = column::Column<ConfusionRow>;

pub static TABLE: WindowTable<ConfusionRow> = WindowTable {
    name: "confusion",
    description: "one row per window, predicted label and outcome that met",
    rows: |window| &window.confusion,
    columns: &[
        Column::text("predicted", "the predicted label; (other) for those without a place of their own", |c| {
            Some(c.predicted.as_str().into())
        }),
        Column::text("actual", "the outcome", |c| Some(c.actual.as_str().into())),
        Column::count("count", "predictions with this label and this outcome", |c| Some(count(c.count))),
        Column::float("share", "of all predictions with label and outcome", |c| Some(c.share)),
        Column::float("reference", "the same share in the reference", |c| c.reference).or_null(),
    ],
};
