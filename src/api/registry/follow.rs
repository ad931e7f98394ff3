//! The thread that feeds the registry's copy.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::RegistryHandle;
use crate::api::{TailSource, ViewHandle};
use crate::bus::Records;
use crate::event::{FormatError, from_json};
use crate::registry::Decision;
use crate::telemetry::{Health, Telemetry};

/// The part's name in `/readyz`.
const PART: &str = "registry_view";
const BATCH: usize = 1_000;
const WAIT: Duration = Duration::from_millis(200);
/// How long to wait before a failed reading is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Feeds `handle` until `stop`. Blocks: give it a thread of its own.
pub fn follow_registry(
    mut tail: impl TailSource,
    handle: &RegistryHandle,
    view: &ViewHandle,
    telemetry: &Telemetry,
    stop: &CancellationToken,
) {
    telemetry.report(PART, Health::Starting);
    let mut is_ready = false;
    while !stop.is_cancelled() {
        match tail.poll(BATCH, WAIT) {
            Ok(batches) => {
                for (_, records) in &batches {
                    if let Err(newer) = take_over(handle, view, records) {
                        // A copy without what a newer plimsoll decides would be wrong, and must not pass for right.
                        handle.set_caught_up(false);
                        telemetry.report(PART, Health::Blocked(newer.to_string()));
                        return;
                    }
                }
            }
            Err(error) => {
                warn!(%error, "the registry's log cannot be read; what is shown may be old");
                telemetry.report(PART, Health::Blocked(error.to_string()));
                is_ready = false;
                std::thread::sleep(PAUSE);
                continue;
            }
        }
        if !is_ready && tail.is_caught_up() {
            is_ready = true;
            handle.set_caught_up(true);
            telemetry.report(PART, Health::Ready);
        }
    }
}

/// Fails at a record that only a newer version can read.
fn take_over(handle: &RegistryHandle, view: &ViewHandle, records: &Records) -> Result<(), FormatError> {
    for record in records.iter().filter(|record| record.key.is_some_and(Decision::is_at)) {
        let Some(payload) = record.payload else { continue };
        match from_json::<Decision>(payload) {
            Ok(decision) => handle.take(decision, view),
            Err(newer @ FormatError::Newer { .. }) => return Err(newer),
            Err(error) => warn!(%error, offset = record.offset, "a record of the registry's log is left out"),
        }
    }
    if let Some(last) = records.last() {
        handle.set_next_offset(last.offset + 1);
    }
    Ok(())
}
