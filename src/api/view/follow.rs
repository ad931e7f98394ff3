//! The thread that feeds the view.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{ViewError, ViewHandle, ViewTopic};
use crate::bus::{BusError, Records, Topics};
use crate::event::{FormatError, SourcePartition};
use crate::telemetry::{Health, Telemetry};

/// The part's name in `/readyz`.
const PART: &str = "view";
const BATCH: usize = 1_000;
const WAIT: Duration = Duration::from_millis(200);
/// How long to wait before a failed reading is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads whole topics from their start and then keeps up with them, without a consumer group.
pub trait TailSource {
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<(SourcePartition, Records)>, BusError>;

    /// Whether everything that stood on the topics at the start has been read.
    fn is_caught_up(&self) -> bool;
}

/// Feeds `view` until `stop`. Blocks: give it a thread of its own.
pub fn follow(
    mut tail: impl TailSource,
    topics: &Topics,
    view: &ViewHandle,
    telemetry: &Telemetry,
    stop: &CancellationToken,
) {
    let mut caught_up = false;
    let mut is_readable = true;
    telemetry.report(PART, Health::Starting);
    while !stop.is_cancelled() {
        match tail.poll(BATCH, WAIT) {
            Ok(batches) => {
                for (source, records) in &batches {
                    // A view without what a newer plimsoll reports would be wrong, and must not pass for right.
                    if let Some(newer) = take_over(view, topics, source, records) {
                        is_readable = false;
                        telemetry.report(PART, Health::Blocked(newer.to_string()));
                    }
                }
            }
            Err(error) => {
                warn!(%error, "the view cannot be read and is not up to date");
                telemetry.report(PART, Health::Blocked(error.to_string()));
                caught_up = false;
                std::thread::sleep(PAUSE);
                continue;
            }
        }
        if !caught_up && is_readable && tail.is_caught_up() {
            caught_up = true;
            telemetry.report(PART, Health::Ready);
        }
    }
}

/// The first record that only a newer version can read, if any.
fn take_over(view: &ViewHandle, topics: &Topics, source: &SourcePartition, records: &Records) -> Option<ViewError> {
    let topic = ViewTopic::of(topics, &source.topic)?;
    view.update(|view| {
        let mut newer = None;
        for record in records.iter() {
            if let Err(error) = view.apply(topic, &record) {
                warn!(%error, partition = source.partition, "a record is left out of the view");
                if matches!(error.reason, FormatError::Newer { .. }) {
                    newer.get_or_insert(error);
                }
            }
        }
        newer
    })
}
