//! Runs a role for as long as the service is up.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::running::{RunError, Running};
use super::{Publisher, Role, Stores};
use crate::bus::{BusError, Consumer};
use crate::clock::{Clock, Span};
use crate::telemetry::{Health, Telemetry};

/// First and longest pause after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

pub struct RunnerSettings {
    /// How often state is written.
    pub checkpoint: Span,
    pub state: Arc<dyn Stores>,
    pub producer: Arc<dyn Publisher>,
    pub clock: Arc<dyn Clock>,
    pub telemetry: Telemetry,
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for RunnerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunnerSettings").field("checkpoint", &self.checkpoint).finish_non_exhaustive()
    }
}

/// Runs a role until the shutdown token is cancelled, then makes a last checkpoint. Blocks its thread.
///
/// After a failure everything is closed and opened again from the store, with growing pauses: what was not in the
/// store is read once more.
pub fn run(
    role: &dyn Role,
    settings: &RunnerSettings,
    runtime: &Handle,
    consumer: &dyn Fn() -> Result<Consumer, BusError>,
) {
    let mut pause = BACKOFF.0;
    while !settings.shutdown.is_cancelled() {
        settings.telemetry.report(role.name(), Health::Starting);
        let started = settings.clock.now();
        let mut running = None;
        let error = match consumer() {
            Ok(consumer) => {
                let running = running.insert(Running::new(role, settings, Box::new(consumer)));
                match runtime.block_on(running.follow()) {
                    Ok(()) => return,
                    Err(error) => {
                        running.abandon();
                        error
                    }
                }
            }
            Err(error) => RunError::from(error),
        };
        tracing::error!(role = role.name(), %error, "role stopped, starting again from its state");
        settings.telemetry.report(role.name(), Health::Blocked(error.to_string()));
        if settings.clock.now().since(started) > Span::from_mins(1) {
            pause = BACKOFF.0;
        }
        runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = settings.shutdown.cancelled() => {}
            }
        });
        if settings.shutdown.is_cancelled()
            && let Some(running) = &mut running
        {
            // A static member that only disconnects holds its partitions until its session times out.
            runtime.block_on(running.leave());
        }
        pause = (pause * 2).min(BACKOFF.1);
    }
}
