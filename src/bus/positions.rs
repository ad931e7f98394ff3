//! Whether a topic still holds the record that reading is to go on with.
//!
//! A topic that was made anew, and records that were deleted before they were read, must never be passed over in
//! silence: what was counted would no longer be what the topic says. Reading stops there until an operator decides.

use prometheus::IntCounterVec;

use super::BusError;
use crate::event::SourcePartition;
use crate::telemetry::Telemetry;

/// Counts what was found, by topic and fault.
#[derive(Clone, Debug)]
pub(super) struct Faults(Option<IntCounterVec>);

const REMADE: &str = "remade";
const DELETED: &str = "deleted";

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
    fn what_is_gone_is_told_with_the_way_out() {
        let remade = check(6, (0, 5)).unwrap();
        assert!(remade.contains("ends at 5, before offset 6") && remade.contains("plimsoll state reset"), "{remade}");
        let deleted = check(5, (7, 9)).unwrap();
        let command = "plimsoll replay-from --topic t --partition 3 --offset 7";
        assert!(deleted.contains("5 to 7") && deleted.contains(command), "{deleted}");
    }
}
