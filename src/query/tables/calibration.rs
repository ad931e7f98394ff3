//! `calibration`: whether probabilities mean what they say.

use super::column;
use super::count;
use super::table::WindowTable;
use crate::event::CalibrationRow;

type Column = column::Column<CalibrationRow>;

pub static TABLE: WindowTable<CalibrationRow> = WindowTable {
    name: "calibration",
    description: "one row per window, class and tenth of its probability: the calibration curve",
    rows: |window| &window.calibration,
    columns: &[
        Column::text("class", "the class whose probability it is; of a binary model the positive one", |c| {
            Some(c.class.as_str().into())
        }),
        Column::float("bin_lower", "probabilities above this; 0 is in the first bin", |c| Some(c.bin_lower)),
        Column::float("bin_upper", "up to this", |c| Some(c.bin_upper)),
        Column::float("mean_score", "mean probability", |c| Some(c.mean_score)),
        Column::float("positive_rate", "share of outcomes that were the class", |c| Some(c.positive_rate)),
        Column::float("lower", "lower bound of its confidence interval", |c| Some(c.lower)),
        Column::float("upper", "upper bound of its confidence interval", |c| Some(c.upper)),
        Column::float("reference", "the positive rate of this bin in the reference", |c| c.reference).or_null(),
        Column::count("n", "outcomes in this bin", |c| Some(count(c.n))),
    ],
};
