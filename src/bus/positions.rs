//! Whether a topic still holds the record that reading is to go on with.
//!
//! A topic that was made anew, and records that were deleted before they were read, must never be passed over in
//! silence: what was counted would no longer be what the topic says. Reading stops there until an operator decides.

use prometheus::IntCounterVec;

use super::{BusError, Seen};
use crate::event::SourcePartition;
use crate::telemetry::Telemetry;

/// Where reading is to go on in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub source: SourcePartition,
    /// Offset of the next record; none is the beginning.
    pub next: Option<i64>,
    /// The record right before it, if that is known: it must still be there.
    pub last: Option<Seen>,
}

/// Counts what was found, by topic and fault.
#[derive(Clone, Debug)]
pub(super) struct Faults(Option<IntCounterVec>);

const REMADE: &str = "remade";
const DELETED: &str = "deleted";

impl Position {
    /// Without knowledge of what stands before.
    #[must_use]
    pub const fn at(source: SourcePartition, next: Option<i64>) -> Self {
        Self { source, next, last: None }
    }

    /// The offset to fetch from in a log that starts at `start`: one earlier, to look at the last record again, as long as
    /// it has not been deleted.
    pub(super) fn fetch_from(&self, start: Option<i64>) -> Option<i64> {
        let last = self.last.map(|last| last.offset).filter(|last| self.next == Some(last + 1));
        last.filter(|last| start.is_some_and(|start| start <= *last)).or(self.next)
    }
}

impl Faults {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let help = "Times that a topic did not hold the record that reading was to go on with";
        let counter = telemetry.counter("plimsoll_topic_faults_total", help, &["topic", "fault"]);
        if let Err(error) = &counter {
            tracing::warn!(%error, "faults of topics are not counted");
        }
        Self(counter.ok())
    }

    /// Judges an offset to read from by where the partition begins and ends.
    pub(super) fn check(&self, source: &SourcePartition, wanted: i64, ends: (i64, i64)) -> Result<(), BusError> {
        let (start, end) = ends;
        let SourcePartition { topic, partition } = source.clone();
        if end < wanted {
            self.count(&topic, REMADE);
            return Err(BusError::Remade { topic, partition, wanted, end });
        }
        if start > wanted {
            self.count(&topic, DELETED);
            return Err(BusError::Deleted { topic, partition, wanted, start });
        }
        Ok(())
    }

    /// The record before the one to go on with is not the one that was read there.
    pub(super) fn replaced(&self, source: &SourcePartition, offset: i64) -> BusError {
        self.count(&source.topic, REMADE);
        BusError::Replaced { topic: source.topic.clone(), partition: source.partition, offset }
    }

    fn count(&self, topic: &str, fault: &str) {
        if let Some(counter) = &self.0 {
            counter.with_label_values(&[topic, fault]).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: i64, ends: (i64, i64)) -> Option<String> {
        let source = SourcePartition { topic: "t".to_owned(), partition: 3 };
        Faults::new(&Telemetry::default()).check(&source, wanted, ends).err().map(|error| error.to_string())
    }

    #[test]
    fn what_the_topic_holds_or_will_hold_next_can_be_read() {
        for (wanted, ends) in [(0, (0, 0)), (5, (0, 5)), (5, (5, 9)), (5, (5, 5))] {
            assert_eq!(check(wanted, ends), None, "{wanted} of {ends:?}");
        }
    }

    #[test]
    fn the_last_record_is_looked_at_again_only_while_it_is_there() {
        let source = SourcePartition { topic: "t".to_owned(), partition: 3 };
        let seen = |offset| Some(Seen { offset, hash: 1 });
        let from = |next, last, start| Position { source: source.clone(), next, last }.fetch_from(start);
        assert_eq!(from(Some(5), seen(4), Some(0)), Some(4));
        assert_eq!(from(Some(5), seen(4), Some(5)), Some(5), "retention has deleted it");
        assert_eq!(from(Some(5), seen(4), None), Some(5), "where the log starts is not known");
        assert_eq!(from(Some(5), seen(2), Some(0)), Some(5), "an operator moved on");
        assert_eq!(from(Some(5), None, Some(0)), Some(5));
        assert_eq!(from(None, None, Some(0)), None);
    }

    #[test]
    fn what_is_gone_is_told_with_the_way_out() {
        let remade = check(6, (0, 5)).unwrap();
        assert!(remade.contains("ends at 5, before offset 6") && remade.contains("plimsoll state reset"), "{remade}");
        let deleted = check(5, (7, 9)).unwrap();
        let command = "plimsoll replay-from --topic t --partition 3 --offset 7";
        assert!(deleted.contains("5 to 7") && deleted.contains(command), "{deleted}");
    }
}
