//! Whether an event's time can be counted.

use crate::clock::Timestamp;
use crate::event::Reason;
use crate::model::Model;
use crate::window::PartitionWatermark;

/// Why an event of `model` at `time` cannot be counted, if so. `watermark` is that of its own partition, so the answer
/// depends on nothing but the order of that partition's records and the clock.
pub(super) fn reject(
    model: &Model,
    watermark: &PartitionWatermark,
    time: Timestamp,
    produced: Option<Timestamp>,
    now: Timestamp,
) -> Option<(Reason, String)> {
    let reference_clock = produced.map_or(now, |produced| produced.min(now));
    let latest = reference_clock.plus(model.max_future);
    if time > latest {
        return Some((Reason::TooFarInFuture, format!("{time} is after {latest}, now plus max_future")));
    }
    let oldest = watermark.watermark(model.lateness)?.minus(model.retention);
    if time < oldest {
        return Some((Reason::TooLate, format!("{time} is before {oldest}, the watermark less the retention")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Span;
    use crate::model::{ReferenceSource, Task};

    fn model() -> Model {
        Model::new("m", Task::Binary, ReferenceSource::First(1))
    }

    fn at(day: i64) -> Timestamp {
        Timestamp::default().plus(Span::from_days(day))
    }

    fn reason(newest: i64, time: Timestamp, produced: Option<Timestamp>, now: Timestamp) -> Option<Reason> {
        let mut watermark = PartitionWatermark::default();
        watermark.observe(at(newest), now);
        reject(&model(), &watermark, time, produced, now).map(|(reason, _)| reason)
    }

    #[test]
    fn late_events_count_until_the_retention_is_over() {
        let oldest = at(200).minus(Span::from_mins(10)).minus(Span::from_days(90));
        assert_eq!(reason(200, oldest, None, at(200)), None);
        assert_eq!(reason(200, oldest.minus(Span::from_millis(1)), None, at(200)), Some(Reason::TooLate));
    }

    #[test]
    fn the_first_event_of_a_partition_is_never_late() {
        let nothing = PartitionWatermark::default();
        assert_eq!(reject(&model(), &nothing, at(0), None, at(10_000)), None);
    }

    #[test]
    fn events_may_run_ahead_of_the_clock_by_max_future_and_no_more() {
        let ahead = at(10).plus(Span::from_hours(1));
        assert_eq!(reason(1, ahead, None, at(10)), None);
        assert_eq!(reason(1, ahead.plus(Span::from_millis(1)), None, at(10)), Some(Reason::TooFarInFuture));
    }

    #[test]
    fn a_producer_cannot_vouch_for_the_future_with_its_own_clock() {
        assert_eq!(reason(1, at(20), Some(at(20)), at(10)), Some(Reason::TooFarInFuture));
        assert_eq!(reason(1, at(10), Some(at(2)), at(10)), Some(Reason::TooFarInFuture));
    }
}
