//! Where a reader stands in each of its partitions, and the records it has gathered there.

use rdkafka::Message;

use super::{Position, Record, Records, Seen};
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
    /// The record that was read last before, until the first record has come.
    last: Option<Seen>,
    gathered: Records,
}

/// The first record of a partition is not what was to be expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Surprise {
    /// It has another offset than the one that was asked for.
    Jump { source: SourcePartition, requested: i64, found: i64 },
    /// It is the one to look at again, and holds something else.
    Replaced { source: SourcePartition, offset: i64 },
}

/// What became of one record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Bytes(usize),
    /// Seen before, looked at again, or of a partition that is no longer assigned.
    Skipped,
}

impl Cursors {
    pub(super) fn new(repeats: bool) -> Self {
        Self { partitions: Vec::new(), last: 0, repeats }
    }

    /// Forgets everything and starts at these offsets; None is the beginning.
    pub(super) fn start(&mut self, positions: &[Position]) {
        self.last = 0;
        self.partitions = positions
            .iter()
            .map(|position| Cursor {
                source: position.source.clone(),
                next: position.next.unwrap_or(0),
                requested: position.next,
                last: position.last,
                gathered: Records::default(),
            })
            .collect();
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = (&SourcePartition, i64)> {
        self.partitions.iter().map(|cursor| (&cursor.source, cursor.next))
    }

    /// Copies `message`, and reports when it is a first record that was not to be expected.
    pub(super) fn take(&mut self, message: &impl Message, surprises: &mut Vec<Surprise>) -> Taken {
        let Some(index) = self.find(message.topic(), message.partition()) else {
            return Taken::Skipped;
        };
        self.last = index;
        let cursor = &mut self.partitions[index];
        let offset = message.offset();
        if let Some(last) = cursor.last.take()
            && last.offset == offset
        {
            if Seen::of(&view(message)) != last {
                surprises.push(Surprise::Replaced { source: cursor.source.clone(), offset });
            }
            return Taken::Skipped;
        }
        if self.repeats && offset < cursor.next {
            return Taken::Skipped;
        }
        if let Some(requested) = cursor.requested.take().filter(|requested| *requested != offset) {
            surprises.push(Surprise::Jump { source: cursor.source.clone(), requested, found: offset });
        }
        cursor.next = offset + 1;
        let before = cursor.gathered.bytes();
        let record = view(message);
        cursor.gathered.push(record.offset, record.timestamp, record.key, record.payload);
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

fn view(message: &impl Message) -> Record<'_> {
    Record {
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key(),
        payload: message.payload(),
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
        cursors.start(&[Position::at(source(0), None), Position::at(source(1), Some(5))]);
        let mut surprises = Vec::new();
        for (partition, offset) in [(1, 5), (0, 0), (1, 6), (0, 3)] {
            assert_eq!(cursors.take(&message(partition, offset), &mut surprises), Taken::Bytes(3));
        }
        assert_eq!(surprises, []);
        let drained = cursors.drain();
        let offsets: Vec<Vec<i64>> = drained.iter().map(|(_, r)| r.iter().map(|r| r.offset).collect()).collect();
        assert_eq!(offsets, [vec![0, 3], vec![5, 6]]);
        assert_eq!(cursors.positions().map(|(_, next)| next).collect::<Vec<_>>(), [4, 7]);
        assert!(cursors.drain().is_empty());
    }

    #[test]
    fn a_first_record_that_was_not_asked_for_is_reported_once() {
        let mut cursors = Cursors::new(false);
        cursors.start(&[Position::at(source(0), Some(5))]);
        let mut surprises = Vec::new();
        cursors.take(&message(0, 9), &mut surprises);
        cursors.take(&message(0, 11), &mut surprises);
        assert_eq!(surprises, [Surprise::Jump { source: source(0), requested: 5, found: 9 }]);
    }

    #[test]
    fn the_last_record_is_compared_and_not_taken_twice() {
        let seen = Seen::of(&view(&message(0, 4)));
        for (last, expected) in
            [(seen, vec![]), (Seen { hash: 1, ..seen }, vec![Surprise::Replaced { source: source(0), offset: 4 }])]
        {
            let mut cursors = Cursors::new(false);
            cursors.start(&[Position { source: source(0), next: Some(5), last: Some(last) }]);
            let mut surprises = Vec::new();
            assert_eq!(cursors.take(&message(0, 4), &mut surprises), Taken::Skipped);
            assert_eq!(cursors.take(&message(0, 5), &mut surprises), Taken::Bytes(3));
            assert_eq!(surprises, expected);
        }
    }

    #[test]
    fn repeats_and_foreign_partitions_are_skipped() {
        let mut cursors = Cursors::new(true);
        cursors.start(&[Position::at(source(0), None)]);
        let mut surprises = Vec::new();
        let taken: Vec<Taken> =
            [0, 5, 9, 5, 9, 10].iter().map(|offset| cursors.take(&message(0, *offset), &mut surprises)).collect();
        assert_eq!(taken.iter().filter(|taken| **taken == Taken::Skipped).count(), 2);
        assert_eq!(cursors.take(&message(4, 0), &mut surprises), Taken::Skipped);
    }
}
