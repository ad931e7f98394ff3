//! What became of attempts to send, and how many messages wait.

use prometheus::{GaugeVec, IntCounterVec};

use crate::telemetry::Telemetry;

/// Counts under the names of one role.
#[derive(Clone, Debug)]
pub(in crate::registry) struct Results {
    /// Of what is sent, in the log.
    pub(super) what: &'static str,
    attempts: Option<IntCounterVec>,
    waiting: Option<GaugeVec>,
}

impl Results {
    pub(super) const SENT: &'static str = "sent";
    pub(super) const FAILED: &'static str = "failed";
    /// Given up; its last attempt counts as failed too.
    pub(super) const DEAD: &'static str = "dead";

    /// `name` begins the names of the metrics, such as `plimsoll_webhook_deliveries`.
    pub(in crate::registry) fn registered(telemetry: &Telemetry, name: &str, what: &'static str) -> Self {
        let help = format!("Deliveries ({what}) by result of the attempt; dead ones are given up.");
        let attempts = telemetry.counter(&format!("{name}_total"), &help, &["result"]);
        let waiting =
            telemetry.gauge(&format!("{name}_waiting"), &format!("Deliveries ({what}) that are queued."), &[]);
        for error in [attempts.as_ref().err(), waiting.as_ref().err()].into_iter().flatten() {
            tracing::warn!(%error, what, "deliveries are not counted");
        }
        let results = Self { what, attempts: attempts.ok(), waiting: waiting.ok() };
        // From the start, so that a rate over them sees the first failure.
        for result in [Self::SENT, Self::FAILED, Self::DEAD] {
            results.add(result, 0);
        }
        results
    }

    pub(super) fn count(&self, result: &str) {
        self.add(result, 1);
    }

    pub(super) fn set_waiting(&self, count: usize) {
        if let Some(gauge) = &self.waiting {
            gauge.with_label_values::<&str>(&[]).set(count as f64);
        }
    }

    fn add(&self, result: &str, count: u64) {
        if let Some(counters) = &self.attempts {
            counters.with_label_values(&[result]).inc_by(count);
        }
    }
}
