//! Rows for the join, gathered into one block per partition of `plimsoll.joins`.

use std::fmt::Write as _;

use arrow::array::{Array, Float64Array, StringArray};

use crate::bus::Outgoing;
use crate::clock::{Span, Timestamp};
use crate::codec::{Accepted, PredictionRows};
use crate::event::{
    IdHash, JoinBlock, PackedKind, PackedRow, SourcePartition, SourceWatermark, Text, TextTable, key_of,
};
use crate::profile::encode;
use crate::runner::RoleError;

/// Rows of one block at most, which keeps a block far below the broker's record limit.
const BLOCK_ROWS: usize = 4_096;
/// Probabilities of one block at most, for the same reason.
const BLOCK_PROBABILITIES: usize = 65_536;

/// Rows that are not held for longer: about a hundred megabytes with the blocks they become.
const MANY_ROWS: usize = 1 << 19;

#[derive(Debug)]
pub(super) struct JoinBuffer {
    source: SourcePartition,
    topic: String,
    texts: TextTable,
    /// By partition of the topic.
    rows: Vec<Vec<PackedRow>>,
}

/// Columns of a model's rows that join reads, by name, with their positions among the features.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// Features that split the population.
    pub(super) segments: Vec<(String, usize)>,
    /// Probabilities of classes.
    pub(super) classes: Vec<(String, usize)>,
}

impl JoinBuffer {
    pub(super) fn new(source: &SourcePartition, topic: &str, partitions: i32) -> Self {
        let partitions = usize::try_from(partitions).unwrap_or(0).max(1);
        Self {
            source: source.clone(),
            topic: topic.to_owned(),
            texts: TextTable::default(),
            rows: vec![Vec::new(); partitions],
        }
    }

    /// `when` is the outcome's time, and how far the source's event time has come beyond it.
    pub(super) fn push_outcome(
        &mut self,
        model: &str,
        id: IdHash,
        (time, behind): (Timestamp, Span),
        offset: i64,
        label: &str,
    ) {
        let (model, label) = (self.texts.place(model), self.texts.place(label));
        self.push(PackedRow { model, id, time, offset, behind, kind: PackedKind::Outcome { label } });
    }

    /// What join needs of the rows; predictions without label and score (failed ones) have no performance.
    pub(super) fn push_predictions(
        &mut self,
        model: &str,
        split: &Split,
        rows: &PredictionRows<'_>,
        accepted: &[Accepted],
    ) {
        let model = self.texts.place(model);
        let segments: Vec<(&str, &StringArray)> = split
            .segments
            .iter()
            .filter_map(|(feature, position)| Some((feature.as_str(), rows.categorical(*position)?)))
            .collect();
        let (classes, columns) = class_columns(split, rows);
        let classes = self.texts.place(&classes);
        let (mut last_version, mut last_variant, mut last_label) = (None, None, None);
        for &Accepted { row, id, time, newest, offset } in accepted {
            let label = rows.label().is_valid(row).then(|| rows.label().value(row));
            let score = rows.score().is_valid(row).then(|| rows.score().value(row));
            if label.is_none() && score.is_none() {
                continue;
            }
            let kind = PackedKind::Prediction {
                version: self.texts.place_near(rows.version().value(row), &mut last_version),
                variant: self.texts.place_near(rows.variant().value(row), &mut last_variant),
                segments: self.segments(&segments, row),
                label: label.map(|label| self.texts.place_near(label, &mut last_label)),
                score,
                probabilities: probabilities(&columns, row).map(|probabilities| (classes, probabilities)),
            };
            self.push(PackedRow { model, id, time, offset, behind: newest.since(time), kind });
        }
    }

    /// Whether to hand out soon what has been gathered.
    pub(super) fn is_full(&self) -> bool {
        self.rows.iter().map(Vec::len).sum::<usize>() >= MANY_ROWS
    }

    /// Everything gathered since the last call, in order of offset within each partition, and to all of them the
    /// watermarks that these rows have come to.
    pub(super) fn take(
        &mut self,
        watermarks: &[SourceWatermark],
        outgoing: &mut Vec<Outgoing>,
    ) -> Result<(), RoleError> {
        for (partition, rows) in (0..).zip(&mut self.rows) {
            // A batch is decoded model by model; the join's high-water mark needs one order over all of them.
            rows.sort_by_key(|row| row.offset);
            let widest = rows.iter().map(|row| row.kind.probabilities()).max().unwrap_or(0).max(1);
            let most = BLOCK_ROWS.min(BLOCK_PROBABILITIES / widest).max(1);
            let mut blocks: Vec<JoinBlock> =
                rows.chunks(most).map(|block| JoinBlock::new(self.source.clone(), block, &self.texts)).collect();
            if !watermarks.is_empty() {
                if blocks.is_empty() {
                    blocks.push(JoinBlock::new(self.source.clone(), &[], &self.texts));
                }
                blocks.last_mut().into_iter().for_each(|last| last.watermarks = watermarks.to_vec());
            }
            for block in blocks {
                outgoing.push(Outgoing {
                    topic: self.topic.clone(),
                    partition: Some(partition),
                    key: Some(self.source.to_string().into_bytes()),
                    payload: Some(encode(&block)?),
                    ..Outgoing::default()
                });
            }
            rows.clear();
        }
        self.texts.clear();
        Ok(())
    }

    fn push(&mut self, row: PackedRow) {
        let count = i32::try_from(self.rows.len()).unwrap_or(i32::MAX);
        let partition = usize::try_from(row.id.partition(count)).unwrap_or(0);
        self.rows[partition].push(row);
    }

    /// `feature=value` of each of the features that has a value.
    fn segments(&mut self, features: &[(&str, &StringArray)], row: usize) -> Vec<Text> {
        let mut segments = Vec::with_capacity(features.len());
        let mut name = String::new();
        for (feature, values) in features.iter().filter(|(_, values)| values.is_valid(row)) {
            name.clear();
            // Writing to a string cannot fail.
            let _ = write!(name, "{feature}={}", values.value(row));
            segments.push(self.texts.place(&name));
        }
        segments
    }
}

/// The names of the classes as one text, and their columns.
fn class_columns<'a>(split: &Split, rows: &PredictionRows<'a>) -> (String, Vec<&'a Float64Array>) {
    let found = split.classes.iter().filter_map(|(class, position)| Some((class.as_str(), rows.numeric(*position)?)));
    let (names, columns): (Vec<&str>, Vec<&Float64Array>) = found.unzip();
    (key_of(&names), columns)
}

/// None where the row has none; classes that it leaves out are NaN.
fn probabilities(columns: &[&Float64Array], row: usize) -> Option<Vec<f64>> {
    let any = columns.iter().any(|column| column.is_valid(row));
    let probability = |column: &&Float64Array| if column.is_valid(row) { column.value(row) } else { f64::NAN };
    any.then(|| columns.iter().map(probability).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::JoinRowKind;
    use crate::profile::decode;

    fn blocks(buffer: &mut JoinBuffer) -> Vec<(i32, JoinBlock)> {
        let mut outgoing = Vec::new();
        buffer.take(&[], &mut outgoing).unwrap();
        let block = |record: Outgoing| (record.partition.unwrap(), decode(&record.payload.unwrap()).unwrap());
        outgoing.into_iter().map(block).collect()
    }

    #[test]
    fn rows_go_to_the_partition_of_their_id_in_the_order_of_their_offsets() {
        let source = SourcePartition { topic: "outcomes".into(), partition: 0 };
        let mut buffer = JoinBuffer::new(&source, "joins", 3);
        for (offset, id) in [(9, "a"), (2, "b"), (5, "a"), (7, "c"), (1, "a")] {
            buffer.push_outcome("m", IdHash::of(id), (Timestamp::from_millis(offset), Span::ZERO), offset, id);
        }
        let blocks = blocks(&mut buffer);
        assert_eq!(blocks.iter().map(|(_, block)| block.rows().count()).sum::<usize>(), 5);
        for (partition, block) in &blocks {
            let rows: Vec<_> = block.rows().collect();
            assert!(rows.iter().all(|row| row.id.partition(3) == *partition));
            assert!(rows.is_sorted_by_key(|row| row.offset));
            let is_own =
                |kind: &JoinRowKind<'_>, id| matches!(kind, JoinRowKind::Outcome { label } if IdHash::of(label) == id);
            assert!(rows.iter().all(|row| row.model == "m" && is_own(&row.kind, row.id)));
        }
    }

    #[test]
    fn nothing_is_handed_out_twice_and_many_rows_make_several_blocks() {
        let source = SourcePartition { topic: "outcomes".into(), partition: 0 };
        let mut buffer = JoinBuffer::new(&source, "joins", 1);
        for offset in 0..5_000 {
            buffer.push_outcome("m", IdHash::of("x"), (Timestamp::default(), Span::ZERO), offset, "1");
        }
        assert_eq!(blocks(&mut buffer).len(), 2);
        assert!(blocks(&mut buffer).is_empty());
    }
}
