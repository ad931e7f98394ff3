//! `fairness`: how differently the groups of each window are treated.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::FairnessRow;

type Column = column::Column<FairnessRow>;

pub static TABLE: WindowTable<FairnessRow> = WindowTable {
    name: "fairness",
    description: "one row per window of a whole population, protected attribute and metric, over the attribute's groups",
    rows: |window| &window.fairness,
    columns: &[
        Column::text("attribute", "the protected attribute, whose values are the groups", |f| {
            Some(f.attribute.as_str().into())
        }),
        Column::text(
            "metric",
            "demographic_parity_difference, demographic_parity_ratio, equal_opportunity_difference or \
             equalized_odds_difference",
            |f| Some(f.metric.name().into()),
        ),
        Column::float(
            "value",
            "between the groups with the lowest and the highest rate; 0, or a ratio of 1, is equal",
            |f| f.value,
        )
        .or_null(),
        Column::text("worst_group", "the group that the rate is worst for", |f| {
            f.worst_group.as_deref().map(Into::into)
        })
        .or_null(),
        Column::float(
            "threshold",
            "the least ratio or largest difference tolerated; null where it is not judged",
            |f| f.threshold,
        )
        .or_null(),
        Column::count("n", "predictions of all groups that it is computed from", |f| Some(count(f.n))),
        Column::text("verdict", "ok, failed or insufficient", |f| Some(f.verdict.name().into())),
        Column::text("detail", "what the numbers alone do not say", |f| f.detail.as_deref().map(Into::into)).or_null(),
    ],
};
