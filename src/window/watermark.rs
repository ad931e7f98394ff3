//! Watermarks: how far event time has come, per partition and over all.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::event::{SourcePartition, SourceWatermark};

/// One model on one source partition, as ingest sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionWatermark {
    newest: Option<Timestamp>,
    /// Wall clock of the newest event, or of the start.
    last_seen: Option<Timestamp>,
}

/// One model over all source partitions, as evaluate sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watermarks {
    sources: BTreeMap<SourcePartition, SourceWatermark>,
    combined: Option<Timestamp>,
}

impl PartitionWatermark {
    pub fn observe(&mut self, time: Timestamp, now: Timestamp) {
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        self.last_seen = Some(now);
    }

    /// The newest event time once an event at `time` is among them.
    #[must_use]
    pub fn newest_with(&self, time: Timestamp) -> Timestamp {
        self.newest.map_or(time, |newest| newest.max(time))
    }

    /// The newest event time; none before the first event.
    #[must_use]
    pub const fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// The newest event time less the lateness; none before the first event.
    #[must_use]
    pub fn watermark(&self, lateness: Span) -> Option<Timestamp> {
        self.newest.map(|newest| newest.minus(lateness))
    }

    /// Forgets when the last event came: after a restart the backlog must have time to be read.
    pub fn restart(&mut self) {
        self.last_seen = None;
    }

    /// Whether nothing came for `timeout`. The first call starts the time.
    pub fn is_idle(&mut self, now: Timestamp, timeout: Span) -> bool {
        let since = *self.last_seen.get_or_insert(now);
        if now < since {
            // The wall clock was set back: the time begins anew.
            self.last_seen = Some(now);
        }
        now.since(since) >= timeout
    }
}

impl Watermarks {
    pub fn update(&mut self, watermark: SourceWatermark) {
        self.sources.insert(watermark.source.clone(), watermark);
    }

    /// What [`Watermarks::advance`] last said.
    #[must_use]
    pub const fn combined(&self) -> Option<Timestamp> {
        self.combined
    }

    pub fn sources(&self) -> impl Iterator<Item = &SourceWatermark> {
        self.sources.values()
    }

    /// The event time that every partition of every one of `topics` has passed, idle ones left out; never falls.
    ///
    /// None until each partition has reported once: a partition that is merely slow to start must be waited for.
    pub fn advance(&mut self, topics: &[String]) -> Option<Timestamp> {
        if !self.has_reported(topics) {
            return self.combined;
        }
        let waiting = self.sources.values().filter(|source| topics.contains(&source.source.topic) && !source.idle);
        let (mut lowest, mut blocked) = (None::<Timestamp>, false);
        for source in waiting {
            match source.watermark {
                Some(watermark) => lowest = Some(lowest.map_or(watermark, |low| low.min(watermark))),
                None => blocked = true,
            }
        }
        // When all are idle, time stands at the newest event seen anywhere.
        let everywhere = self.sources.values().filter_map(|source| source.watermark).max();
        let all_idle = self.sources.values().all(|source| source.idle);
        let reached = if all_idle { everywhere } else { lowest };
        if !blocked && reached > self.combined {
            self.combined = reached;
        }
        self.combined
    }

    fn has_reported(&self, topics: &[String]) -> bool {
        let mut expected: BTreeMap<&str, i32> = BTreeMap::new();
        let mut seen: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
        for source in self.sources.values() {
            let topic = source.source.topic.as_str();
            let partitions = expected.entry(topic).or_default();
            *partitions = (*partitions).max(source.partitions);
            seen.entry(topic).or_default().insert(source.source.partition);
        }
        topics.iter().all(|topic| {
            let reported = seen.get(topic.as_str()).map_or(0, BTreeSet::len);
            expected.get(topic.as_str()).is_some_and(|partitions| reported >= partitions.unsigned_abs() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(partition: i32, watermark: Option<i64>, idle: bool) -> SourceWatermark {
        SourceWatermark {
            model: "m".into(),
            source: SourcePartition { topic: "predictions".into(), partition },
            partitions: 2,
            watermark: watermark.map(Timestamp::from_millis),
            idle,
            next_offset: 0,
        }
    }

    fn advance(reports: &[SourceWatermark]) -> Option<i64> {
        let mut watermarks = Watermarks::default();
        let mut reached = None;
        for report in reports {
            watermarks.update(report.clone());
            reached = watermarks.advance(&["predictions".to_owned()]);
        }
        reached.map(Timestamp::millis)
    }

    #[test]
    fn the_slowest_partition_holds_the_watermark() {
        assert_eq!(advance(&[source(0, Some(100), false), source(1, Some(50), false)]), Some(50));
    }

    #[test]
    fn a_partition_that_has_not_reported_is_waited_for() {
        assert_eq!(advance(&[source(0, Some(100), false)]), None);
        assert_eq!(advance(&[source(0, Some(100), false), source(1, None, false)]), None);
    }

    #[test]
    fn an_idle_partition_is_not_waited_for() {
        assert_eq!(advance(&[source(0, Some(100), false), source(1, Some(50), true)]), Some(100));
        assert_eq!(advance(&[source(0, Some(100), false), source(1, None, true)]), Some(100));
    }

    #[test]
    fn the_watermark_never_falls() {
        let reports = [source(0, Some(100), false), source(1, Some(100), true), source(1, Some(10), false)];
        assert_eq!(advance(&reports), Some(100));
    }

    #[test]
    fn idleness_counts_from_the_first_look_or_the_last_event() {
        let mut partition = PartitionWatermark::default();
        let timeout = Span::from_secs(30);
        assert!(!partition.is_idle(Timestamp::from_millis(0), timeout));
        assert!(partition.is_idle(Timestamp::from_millis(30_000), timeout));
        partition.observe(Timestamp::from_millis(5), Timestamp::from_millis(31_000));
        assert!(!partition.is_idle(Timestamp::from_millis(60_000), timeout));
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_hold_idleness_off() {
        let mut partition = PartitionWatermark::default();
        let timeout = Span::from_secs(30);
        partition.observe(Timestamp::from_millis(5), Timestamp::from_millis(90_000_000));
        assert!(!partition.is_idle(Timestamp::from_millis(0), timeout));
        assert!(partition.is_idle(Timestamp::from_millis(30_000), timeout));
    }
}
