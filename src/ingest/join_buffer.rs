//! Rows for the join, gathered into one block per partition of `plimsoll.joins`.

use std::collections::BTreeMap;

use arrow::array::{Array, StringArray};

use crate::bus::Outgoing;
use crate::codec::{Accepted, PredictionRows};
use crate::event::{JoinBlock, JoinRow, JoinRowKind, SourcePartition};
use crate::model::Model;
use crate::profile::encode;
use crate::runner::RoleError;

/// Rows of one block at most, which keeps a block far below the broker's record limit.
const BLOCK_ROWS: usize = 4_096;

#[derive(Debug)]
pub(super) struct JoinBuffer {
    source: SourcePartition,
    topic: String,
    partitions: i32,
    rows: BTreeMap<i32, Vec<JoinRow>>,
}

impl JoinBuffer {
    pub(super) fn new(source: &SourcePartition, topic: &str, partitions: i32) -> Self {
        Self { source: source.clone(), topic: topic.to_owned(), partitions, rows: BTreeMap::new() }
    }

    pub(super) fn push(&mut self, row: JoinRow) {
        self.rows.entry(row.id.partition(self.partitions)).or_default().push(row);
    }

    /// Everything gathered since the last call, in order of offset within each partition.
    pub(super) fn take(&mut self, outgoing: &mut Vec<Outgoing>) -> Result<(), RoleError> {
        for (partition, mut rows) in std::mem::take(&mut self.rows) {
            // A batch is decoded model by model; the join's high-water mark needs one order over all of them.
            rows.sort_by_key(|row| row.offset);
            for block in rows.chunks(BLOCK_ROWS) {
                let block = JoinBlock { source: self.source.clone(), rows: block.to_vec() };
                outgoing.push(Outgoing {
                    topic: self.topic.clone(),
                    partition: Some(partition),
                    key: Some(self.source.to_string().into_bytes()),
                    payload: Some(encode(&block)?),
                    ..Outgoing::default()
                });
            }
        }
        Ok(())
    }
}

/// What join needs of the rows; predictions without label and score (failed ones) have no performance.
/// `segments` are the features that split the population, with their positions among the rows' features.
pub(super) fn join_rows(
    model: &Model,
    segments: &[(String, usize)],
    rows: &PredictionRows<'_>,
    accepted: &[Accepted],
) -> Vec<JoinRow> {
    let text = |array: &StringArray, row| array.is_valid(row).then(|| array.value(row).to_owned());
    let segment = |(feature, position): &(String, usize), row| {
        let values = rows.categorical(*position).filter(|values| values.is_valid(row))?;
        Some(format!("{feature}={}", values.value(row)))
    };
    let is_prediction = |row| rows.label().is_valid(row) || rows.score().is_valid(row);
    accepted
        .iter()
        .filter(|accepted| is_prediction(accepted.row))
        .map(|Accepted { row, id, time, offset }| JoinRow {
            model: model.name.clone(),
            id: *id,
            time: *time,
            offset: *offset,
            kind: JoinRowKind::Prediction {
                version: rows.version().value(*row).to_owned(),
                variant: rows.variant().value(*row).to_owned(),
                segments: segments.iter().filter_map(|named| segment(named, *row)).collect(),
                label: text(rows.label(), *row),
                score: rows.score().is_valid(*row).then(|| rows.score().value(*row)),
            },
        })
        .collect()
}
