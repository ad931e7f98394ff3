//! `drift`: how far each feature of each window is from the reference.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::DriftRow;

type Column = column::Column<DriftRow>;

pub static TABLE: WindowTable<DriftRow> = WindowTable {
    name: "drift",
    description: "one row per window, feature and method: the distance from the reference",
    rows: |window| &window.drift,
    columns: &[
        Column::text("feature", "the feature, prediction.label or prediction.score", |d| {
            Some(d.feature.as_str().into())
        }),
        Column::text(
            "method",
            "psi, ks, jensen_shannon, kl, hellinger, total_variation, wasserstein, chi_square, g_test, cramer_von_mises, \
             anderson_darling, linf, mean_shift or proportion_z",
            |d| Some(d.method.name().into()),
        ),
        Column::float("statistic", "the distance or test statistic", |d| d.statistic).or_null(),
        Column::float("lower", "lower bound of the statistic", |d| d.lower).or_null(),
        Column::float("upper", "upper bound of the statistic", |d| d.upper).or_null(),
        Column::float("p_value", "chance of such a distance without drift", |d| d.p_value).or_null(),
        Column::float(
            "threshold",
            "smaller statistics are never drift: the floor of the effect, in the unit of the statistic",
            |d| Some(d.threshold),
        ),
        Column::text("verdict", "ok, drift or insufficient", |d| Some(d.verdict.name().into())),
        Column::flag("decides", "whether this method decides for the feature", |d| Some(d.decides)),
        Column::count("n_reference", "values in the reference", |d| Some(count(d.n_reference))),
        Column::count("n_current", "values in the window", |d| Some(count(d.n_current))),
        Column::text("detail", "what the numbers alone do not say", |d| d.detail.as_deref().map(Into::into)).or_null(),
    ],
};
