//! Where a reader stands in each of its partitions, and the records it has gathered there.

use rdkafka::Message;

use super::Records;
use crate::event::SourcePartition;

/// The assigned partitions of one reader.
#[derive(Debug)]
pub(super) struct Cursors {
    partitions: Vec<Cursor>,
    /// The partition of the last record; neighbours mostly share it.
    last: usize,
    /// Whether the broker may send a record twice in a row of batches, as the embedded one does where
    /// compaction has left gaps.
    repeats: bool,
}

#[derive(Debug)]
struct Cursor {
    source: SourcePartition,
    /// The offset after the last record; before the first one, the offset to start at.
    next: i64,
    /// What was asked for, until the first record has come.
    requested: Option<i64>,
    gathered: Records,
}

/// The first record of a partition is not the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) source: SourcePartition,
    pub(super) requested: i64,
    pub(super) found: i64,
}

/// What became of one record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Bytes(usize),
    /// Seen before, or of a partition that is no longer assigned.
    Skipped,
}

impl Cursors {
    pub(super) fn new(repeats: bool) -> Self {
        Self { partitions: Vec::new(), last: 0, repeats }
    }

    /// Forgets everything and starts at these offsets; None is the beginning.
    pub(super) fn start(&mut self, offsets: &[(SourcePartition, Option<i64>)]) {
        self.last = 0;
        self.partitions = offsets
            .iter()
            .map(|(source, offset)| Cursor {
                source: source.clone(),
                next: offset.unwrap_or(0),
                requested: *offset,
                gathered: Records::default(),
            })
            .collect();
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = (&SourcePartition, i64)> {
        self.partitions.iter().map(|cursor| (&cursor.source, cursor.next))
    }

    /// Copies `message`, and reports in `jumps` when it is a first record that was not asked for.
    pub(super) fn take(&mut self, message: &impl Message, jumps: &mut Vec<Jump>) -> Taken {
        let Some(index) = self.find(message.topic(), message.partition()) else {
            return Taken::Skipped;
        };
        self.last = index;
        let cursor = &mut self.partitions[index];
        let offset = message.offset();
        if self.repeats && offset < cursor.next {
            return Taken::Skipped;
        }
        if let Some(requested) = cursor.requested.take().filter(|requested| *requested != offset) {
            jumps.push(Jump { source: cursor.source.clone(), requested, found: offset });
        }
        cursor.next = offset + 1;
        let before = cursor.gathered.bytes();
        cursor.gathered.push(offset, message.timestamp().to_millis(), message.key(), message.payload());
        Taken::Bytes(cursor.gathered.bytes() - before)
    }

    /// The gathered records by partition, in the order in which the partitions were assigned.
    pub(super) fn drain(&mut self) -> Vec<(SourcePartition, Records)> {
        self.partitions
            .iter_mut()
            .filter(|cursor| !cursor.gathered.is_empty())
            .map(|cursor| (cursor.source.clone(), std::mem::take(&mut cursor.gathered)))
            .collect()
    }

    fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        let is_it = |cursor: &Cursor| cursor.source.partition == partition && cursor.source.topic == topic;
        if self.partitions.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        self.partitions.iter().position(is_it)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    use super::*;

    fn source(partition: i32) -> SourcePartition {
        SourcePartition { topic: "t".to_owned(), partition }
    }

    fn message(partition: i32, offset: i64) -> OwnedMessage {
        let stamp = Timestamp::CreateTime(7);
        OwnedMessage::new(Some(vec![1, 2]), Some(vec![3]), "t".to_owned(), stamp, partition, offset, None)
    }

    #[test]
    fn records_are_gathered_by_partition_in_the_order_of_their_offsets() {
        let mut cursors = Cursors::new(false);
        cursors.start(&[(source(0), None), (source(1), Some(5))]);
        let mut jumps = Vec::new();
        for (partition, offset) in [(1, 5), (0, 0), (1, 6), (0, 3)] {
            assert_eq!(cursors.take(&message(partition, offset), &mut jumps), Taken::Bytes(3));
        }
        assert_eq!(jumps, []);
        let drained = cursors.drain();
        let offsets: Vec<Vec<i64>> = drained.iter().map(|(_, r)| r.iter().map(|r| r.offset).collect()).collect();
        assert_eq!(offsets, [vec![0, 3], vec![5, 6]]);
        assert_eq!(cursors.positions().map(|(_, next)| next).collect::<Vec<_>>(), [4, 7]);
        assert!(cursors.drain().is_empty());
    }

    #[test]
    fn a_first_record_that_was_not_asked_for_is_reported_once() {
        let mut cursors = Cursors::new(false);
        cursors.start(&[(source(0), Some(5))]);
        let mut jumps = Vec::new();
        cursors.take(&message(0, 9), &mut jumps);
        cursors.take(&message(0, 11), &mut jumps);
        assert_eq!(jumps, [Jump { source: source(0), requested: 5, found: 9 }]);
    }

    #[test]
    fn repeats_and_foreign_partitions_are_skipped() {
        let mut cursors = Cursors::new(true);
        cursors.start(&[(source(0), None)]);
        let mut jumps = Vec::new();
        let taken: Vec<Taken> =
            [0, 5, 9, 5, 9, 10].iter().map(|offset| cursors.take(&message(0, *offset), &mut jumps)).collect();
        assert_eq!(taken.iter().filter(|taken| **taken == Taken::Skipped).count(), 2);
        assert_eq!(cursors.take(&message(4, 0), &mut jumps), Taken::Skipped);
    }
}
