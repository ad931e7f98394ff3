//! `performance`: how good the predictions of each window were, as far as outcomes are known.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::PerformanceRow;

type Column = column::Column<PerformanceRow>;

pub static TABLE: WindowTable<PerformanceRow> = WindowTable {
    name: "performance",
    description: "one row per window and metric, over the predictions whose outcome is known",
    rows: |window| &window.performance,
    columns: &[
        Column::text(
            "metric",
            "accuracy, precision, recall, specificity, f1, roc_auc, average_precision, log_loss, \
             brier or calibration_error; of a regression mae, mse, rmse, mape, r2 or bias",
            |p| Some(p.metric.name().into()),
        ),
        Column::float("value", "the metric in the window", |p| p.value).or_null(),
        Column::float("lower", "lower bound of its confidence interval", |p| p.lower).or_null(),
        Column::float("upper", "upper bound of its confidence interval", |p| p.upper).or_null(),
        Column::float("reference", "the metric in the reference", |p| p.reference).or_null(),
        Column::float("estimated", "the metric as expected of the predictions before outcomes came", |p| p.estimated)
            .or_null(),
        Column::float("estimated_lower", "lower bound of the estimate's confidence interval", |p| p.estimated_lower)
            .or_null(),
        Column::float("estimated_upper", "upper bound of the estimate's confidence interval", |p| p.estimated_upper)
            .or_null(),
        Column::float("residual", "value minus estimated: what a change of the inputs does not explain", |p| {
            p.residual
        })
        .or_null(),
        Column::float("residual_p_value", "chance of such a residual while only the inputs change", |p| {
            p.residual_p_value
        })
        .or_null(),
        Column::count("n", "predictions it is computed from", |p| Some(count(p.n))),
        Column::text("verdict", "ok, decay or insufficient", |p| Some(p.verdict.name().into())),
        Column::text("detail", "what the numbers alone do not say", |p| p.detail.as_deref().map(Into::into)).or_null(),
    ],
};
