//! `features`: what each feature looked like in each window.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::FeatureRow;
use crate::model::FeatureKind;

type Column = column::Column<FeatureRow>;

pub static TABLE: WindowTable<FeatureRow> = WindowTable {
    name: "features",
    description: "one row per window and feature: its counts and distribution",
    rows: |window| &window.features,
    columns: &[
        Column::text("feature", "the feature, prediction.label or prediction.score", |f| {
            Some(f.feature.as_str().into())
        }),
        Column::text("kind", "numeric or categorical", |f| Some(kind_name(f.kind).into())),
        Column::count("count", "values counted", |f| Some(count(f.count))),
        Column::count("missing", "null or absent", |f| Some(count(f.missing))),
        Column::count("invalid", "of the wrong type", |f| Some(count(f.invalid))),
        Column::count("unseen", "categories that the reference does not know", |f| Some(count(f.unseen))),
        Column::count("out_of_range", "numbers outside the configured limits, else the reference's range", |f| {
            Some(count(f.out_of_range))
        }),
        Column::float("mean", "mean, if numeric", |f| f.mean).or_null(),
        Column::float("std", "standard deviation, if numeric", |f| f.std).or_null(),
        Column::float("min", "smallest value, if numeric", |f| f.min).or_null(),
        Column::float("max", "largest value, if numeric", |f| f.max).or_null(),
        Column::float("p01", "1st percentile, if numeric", |f| f.p01).or_null(),
        Column::float("p05", "5th percentile, if numeric", |f| f.p05).or_null(),
        Column::float("p25", "25th percentile, if numeric", |f| f.p25).or_null(),
        Column::float("p50", "median, if numeric", |f| f.p50).or_null(),
        Column::float("p75", "75th percentile, if numeric", |f| f.p75).or_null(),
        Column::float("p95", "95th percentile, if numeric", |f| f.p95).or_null(),
        Column::float("p99", "99th percentile, if numeric", |f| f.p99).or_null(),
    ],
};

const fn kind_name(kind: FeatureKind) -> &'static str {
    match kind {
        FeatureKind::Numeric => "numeric",
        FeatureKind::Categorical => "categorical",
    }
}
