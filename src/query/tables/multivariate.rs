//! `multivariate`: whether all features together are distributed as in the reference.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::MultivariateRow;

type Column = column::Column<MultivariateRow>;

pub static TABLE: WindowTable<MultivariateRow> = WindowTable {
    name: "multivariate",
    description: "one row per window and method that looks at all features together",
    rows: |window| &window.multivariate,
    columns: &[
        Column::text("method", "pca_reconstruction, or attribution_ndcg where the reference has attributions", |m| Some(m.method.name().into())),
        Column::float(
            "statistic",
            "mean distance of the rows from their reconstruction by the reference's principal components; how far the \
             ranking of the features by importance agrees with the reference's, from 0 to 1",
            |m| m.statistic,
        )
        .or_null(),
        Column::float("reference", "the same of the reference's rows", |m| m.reference).or_null(),
        Column::float("lower", "lower end of the statistic's confidence interval", |m| m.lower).or_null(),
        Column::float("upper", "upper end of it; a reference outside differs significantly. Of attribution_ndcg the best that chance leaves possible", |m| m.upper).or_null(),
        Column::float("p_value", "chance of such a difference if nothing changed", |m| m.p_value).or_null(),
        Column::float("threshold", "smaller differences of statistic and reference are never drift; of attribution_ndcg larger values", |m| m.threshold)
            .or_null(),
        Column::count("features", "features that are looked at: those that vary in the reference", |m| {
            Some(count(m.features))
        }),
        Column::count("components", "principal components that are kept of them", |m| Some(count(m.components))),
        Column::count("n_reference", "rows of the reference", |m| Some(count(m.n_reference))),
        Column::count("n_current", "rows of the window", |m| Some(count(m.n_current))),
        Column::text("verdict", "ok, drift or insufficient", |m| Some(m.verdict.name().into())),
        Column::text("detail", "the effect, or why there is no verdict", |m| m.detail.as_deref().map(Into::into))
            .or_null(),
    ],
};
