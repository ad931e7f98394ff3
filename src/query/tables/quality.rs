//! `quality`: whether the data of each window keeps the rules.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::QualityRow;

type Column = column::Column<QualityRow>;

pub static TABLE: WindowTable<QualityRow> = WindowTable {
    name: "quality",
    description: "one row per window, feature and rule of data quality",
    rows: |window| &window.quality,
    columns: &[
        Column::text(
            "feature",
            "the feature, prediction.label or prediction.score; empty for the window as a whole",
            |q| Some(q.feature.as_str().into()),
        ),
        Column::text(
            "rule",
            "required, range, allowed_values, missing_rate, type, unseen_rate, out_of_range_rate, constant, \
             missing_feature or volume",
            |q| Some(q.rule.name().into()),
        ),
        Column::float("value", "share of rows that break the rule; for volume the number of events", |q| q.value)
            .or_null(),
        Column::float("reference", "the same in the reference", |q| q.reference).or_null(),
        Column::float("p_value", "chance of such a value if nothing changed", |q| q.p_value).or_null(),
        Column::float("threshold", "smaller differences are never a failure; for volume, smaller factors", |q| {
            q.threshold.is_finite().then_some(q.threshold)
        })
        .or_null(),
        Column::count("n", "rows in the window", |q| Some(count(q.n))),
        Column::text("verdict", "ok, failed or insufficient", |q| Some(q.verdict.name().into())),
        Column::text("detail", "what the numbers alone do not say", |q| q.detail.as_deref().map(Into::into)).or_null(),
    ],
};
