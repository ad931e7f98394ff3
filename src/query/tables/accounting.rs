//! `accounting`: what became of every record that was read.

use super::column;
use super::count;
use super::table::PlainTable;
use crate::query::AccountingRow;

type Column = column::Column<AccountingRow>;

pub static TABLE: PlainTable<AccountingRow> = PlainTable {
    name: "accounting",
    description: "one row per topic partition: read = counted + duplicate + deadlettered",
    rows: |snapshot| &snapshot.accounting,
    columns: &[
        Column::text("topic", "the topic", |a| Some(a.accounting.topic.as_str().into())),
        Column::count("partition", "the partition", |a| Some(a.accounting.partition.into())),
        Column::count("read", "records read", |a| Some(count(a.accounting.read))),
        Column::count("counted", "records that are counted in a window", |a| Some(count(a.accounting.counted))),
        Column::count("duplicate", "repeats of a record", |a| Some(count(a.accounting.duplicate))),
        Column::count("deadlettered", "records that could not be used", |a| Some(count(a.accounting.deadlettered))),
        Column::count("unknown_fields", "fields that nothing uses", |a| Some(count(a.accounting.unknown_fields))),
        Column::count("next_offset", "offset of the next record to read", |a| Some(a.accounting.next_offset)),
        Column::time("watermark", "events before it are all counted, in event time", |a| a.accounting.watermark)
            .or_null(),
        Column::count("lag", "records not read yet, if known", |a| a.lag).or_null(),
    ],
};
