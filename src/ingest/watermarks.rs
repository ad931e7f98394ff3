//! How far event time has come on one source partition, and who has been told.

use std::collections::BTreeMap;

use crate::clock::{Span, Timestamp};
use crate::event::{SourcePartition, SourceWatermark};
use crate::model::Model;
use crate::window::PartitionWatermark;

/// Join drops what is beyond the label horizon, and hears of event time this many times within one.
const STEPS_PER_HORIZON: i64 = 1_024;

/// The watermarks of a partition, by model.
#[derive(Debug)]
pub(super) struct Watermarks {
    source: SourcePartition,
    /// Partitions of the source's topic.
    partitions: i32,
    by_model: BTreeMap<String, PartitionWatermark>,
    /// Whether records are left to read: nothing comes from a broker that is away or slow either.
    behind: Option<bool>,
    /// Step and idleness that join knows of.
    told_to_join: BTreeMap<String, (Option<Timestamp>, bool)>,
}

impl Watermarks {
    pub(super) fn new(
        source: &SourcePartition,
        partitions: i32,
        restored: BTreeMap<String, PartitionWatermark>,
    ) -> Self {
        let mut by_model = restored;
        for watermark in by_model.values_mut() {
            watermark.restart();
        }
        Self { source: source.clone(), partitions, by_model, behind: None, told_to_join: BTreeMap::new() }
    }

    pub(super) const fn by_model(&self) -> &BTreeMap<String, PartitionWatermark> {
        &self.by_model
    }

    pub(super) fn of(&mut self, model: &Model) -> &mut PartitionWatermark {
        self.by_model.entry(model.name.clone()).or_default()
    }

    /// Records have come.
    pub(super) const fn read(&mut self) {
        self.behind = None;
    }

    /// Whether to be told if the partition has been read to its end, before it passes for idle.
    pub(super) fn asks_for_end(&mut self, models: &[Model], now: Timestamp) -> bool {
        self.behind != Some(false) && models.iter().any(|model| self.of(model).is_idle(now, model.idle_timeout))
    }

    pub(super) const fn take_end(&mut self, at_end: bool) {
        self.behind = Some(!at_end);
    }

    /// As they are now, one per model.
    pub(super) fn current(&mut self, models: &[Model], next_offset: i64, now: Timestamp) -> Vec<SourceWatermark> {
        let is_behind = self.behind == Some(true);
        let report = |model: &Model| {
            let (source, partitions) = (self.source.clone(), self.partitions);
            let watermark = self.by_model.entry(model.name.clone()).or_default();
            SourceWatermark {
                model: model.name.clone(),
                source,
                partitions,
                idle: watermark.is_idle(now, if is_behind { stalled(model) } else { model.idle_timeout }),
                watermark: watermark.watermark(model.lateness),
                next_offset,
            }
        };
        models.iter().map(report).collect()
    }

    /// Those of `current` that join is to hear: time has come a step further, or stands still, or goes on.
    pub(super) fn for_join(&mut self, models: &[Model], current: &[SourceWatermark]) -> Vec<SourceWatermark> {
        let mut news = Vec::new();
        for (model, watermark) in models.iter().zip(current) {
            let step = Span::from_millis((model.label_horizon.millis() / STEPS_PER_HORIZON).max(1));
            let state = (watermark.watermark.map(|time| time.floor(step)), watermark.idle);
            if self.told_to_join.get(&model.name) != Some(&state) {
                self.told_to_join.insert(model.name.clone(), state);
                news.push(watermark.clone());
            }
        }
        news
    }

    /// The lowest over the models that this partition has seen.
    pub(super) fn lowest(&self, models: &[Model]) -> Option<Timestamp> {
        models.iter().filter_map(|model| self.by_model.get(&model.name)?.watermark(model.lateness)).min()
    }
}

/// How long a partition is waited for of which nothing comes although its end is further on. There need not be a record:
/// offsets of aborted transactions and of their markers count, too.
const fn stalled(model: &Model) -> Span {
    Span::from_millis(model.idle_timeout.millis().saturating_mul(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ReferenceSource, Task};

    #[test]
    fn a_partition_with_a_backlog_is_not_idle_for_long() {
        let model = Model::new("m", Task::Binary, ReferenceSource::First(1));
        let models = [model.clone()];
        let source = SourcePartition { topic: "predictions".into(), partition: 0 };
        let mut watermarks = Watermarks::new(&source, 1, BTreeMap::new());
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        watermarks.of(&model).observe(at(0), at(0));
        watermarks.read();
        assert!(!watermarks.asks_for_end(&models, at(29)));
        assert!(watermarks.asks_for_end(&models, at(30)));
        watermarks.take_end(false);
        assert!(!watermarks.current(&models, 0, at(30))[0].idle);
        assert!(watermarks.asks_for_end(&models, at(31)), "it may be at its end by now");
        assert!(watermarks.current(&models, 0, at(300))[0].idle, "what is left may be no records");
        watermarks.take_end(true);
        assert!(watermarks.current(&models, 0, at(31))[0].idle);
        assert!(!watermarks.asks_for_end(&models, at(32)));
    }

    #[test]
    fn join_hears_of_steps_and_of_idleness_and_of_nothing_else() {
        let mut model = Model::new("m", Task::Binary, ReferenceSource::First(1));
        model.label_horizon = Span::from_secs(1_024);
        let models = [model.clone()];
        let source = SourcePartition { topic: "outcomes".into(), partition: 0 };
        let mut watermarks = Watermarks::new(&source, 1, BTreeMap::new());
        let at = Timestamp::from_millis;
        let mut heard = |time: Option<i64>, now: i64| {
            if let Some(time) = time {
                watermarks.of(&model).observe(at(time), at(now));
            }
            let current = watermarks.current(&models, 0, at(now));
            watermarks.for_join(&models, &current).len()
        };
        assert_eq!(heard(None, 0), 1, "at the start");
        assert_eq!(heard(Some(700_000), 0), 1);
        assert_eq!(heard(Some(700_999), 1), 0, "within the same step");
        assert_eq!(heard(Some(701_000), 2), 1);
        assert_eq!(heard(None, 60_000), 1, "idle");
        assert_eq!(heard(None, 61_000), 0);
        assert_eq!(heard(Some(701_001), 62_000), 1, "no longer idle");
    }
}
