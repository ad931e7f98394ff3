//! `attributions`: what each feature contributes to the predictions.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::AttributionRow;

type Column = column::Column<AttributionRow>;

pub static TABLE: WindowTable<AttributionRow> = WindowTable {
    name: "attributions",
    description: "one row per window and feature whose attributions the reference has",
    rows: |window| &window.attributions,
    columns: &[
        Column::text("feature", "the feature", |a| Some(a.feature.as_str().into())),
        Column::float("mean_absolute", "mean of its absolute attributions: its importance", |a| a.mean_absolute)
            .or_null(),
        Column::float("mean", "its mean attribution: in which direction it pushes", |a| a.mean).or_null(),
        Column::float("reference", "its importance in the reference", |a| a.reference).or_null(),
        Column::count("rank", "its rank by importance, from 1", |a| a.rank.map(count)).or_null(),
        Column::count("reference_rank", "its rank in the reference", |a| a.reference_rank.map(count)).or_null(),
        Column::count("n", "predictions with an attribution of the feature", |a| Some(count(a.n))),
        Column::count("n_reference", "the same in the reference", |a| Some(count(a.n_reference))),
    ],
};
