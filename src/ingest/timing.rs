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
