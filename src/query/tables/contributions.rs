//! `contributions`: where a change sits.

use super::column;
use super::table::WindowTable;
use crate::event::ContributionRow;

type Column = column::Column<ContributionRow>;

pub static TABLE: WindowTable<ContributionRow> = WindowTable {
    name: "contributions",
    description: "one row per window and bin or segment that carries a drift or a decay",
    rows: |window| &window.contributions,
    columns: &[
        Column::text("subject", "the feature that has drifted, or performance", |c| Some(c.subject.as_str().into())),
        Column::text("method", "the drift method, or excess_error: errors beyond the reference's", |c| {
            Some(c.method.as_str().into())
        }),
        Column::text("by", "bin, or the feature whose values are the segments", |c| Some(c.by.as_str().into())),
        Column::text("part", "the bin or the segment", |c| Some(c.part.as_str().into())),
        Column::float("reference", "its share of the rows in the reference; of performance its mean error", |c| {
            c.reference
        })
        .or_null(),
        Column::float("current", "the same in the window", |c| c.current).or_null(),
        Column::float("share", "its share of the change, from 0 to 1", |c| Some(c.share)),
    ],
};
