//! What the demo prints as it happens.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::bus::{BusSettings, Records, Tail};
use crate::event::{Alert, AlertState, Fingerprint, RetrainingRequest};
use crate::model::Metric;
use crate::performance::OutcomeCounts;
use crate::profile::Reference;

/// The checks that come with the program, by file name.
const CHECKS: [(&str, &str); 8] = [
    ("error_rate.sql", include_str!("../../../sql/checks/error_rate.sql")),
    ("invalid_values.sql", include_str!("../../../sql/checks/invalid_values.sql")),
    ("label_coverage.sql", include_str!("../../../sql/checks/label_coverage.sql")),
    ("latency_p99.sql", include_str!("../../../sql/checks/latency_p99.sql")),
    ("missing_values.sql", include_str!("../../../sql/checks/missing_values.sql")),
    ("out_of_range.sql", include_str!("../../../sql/checks/out_of_range.sql")),
    ("unseen_categories.sql", include_str!("../../../sql/checks/unseen_categories.sql")),
    ("volume_drop.sql", include_str!("../../../sql/checks/volume_drop.sql")),
];

/// Tells what happens: on standard output, or on standard error when that is for JSON.
#[derive(Clone)]
pub(super) struct Story {
    to_stderr: bool,
    bar: Arc<Mutex<Option<ProgressBar>>>,
    /// Alerts told as firing, so that what is added to them is told as such.
    firing: Arc<Mutex<BTreeSet<Fingerprint>>>,
}

/// A thread that prints alerts and requests as they come.
pub(super) struct Telling {
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

/// Writes the shipped checks into a folder of the demo's.
pub(super) fn shipped_checks(data: &Path) -> anyhow::Result<PathBuf> {
    let folder = data.join("checks");
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for (name, sql) in CHECKS {
        std::fs::write(folder.join(name), sql)?;
    }
    Ok(folder)
}

impl Telling {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let _ = self.thread.await;
    }
}

impl Story {
    pub(super) fn new(to_stderr: bool) -> Self {
        Self { to_stderr, bar: Arc::default(), firing: Arc::default() }
    }

    /// From now on lines go above this progress bar.
    pub(super) fn behind(&self, bar: &ProgressBar) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
    }

    pub(super) fn opening(&self, reference: &Reference) {
        let accuracy = reference.whole.outcomes.as_ref().and_then(|outcomes| match outcomes {
            OutcomeCounts::Binary(binary) => binary.estimate(Metric::Accuracy),
            _ => None,
        });
        self.line(&format!(
            "The reference: {} car loans with their outcomes; the model is right in {:.1} % of them.",
            reference.rows,
            100.0 * accuracy.map_or(0.0, |accuracy| accuracy.value),
        ));
        self.line("Now ten months of production, each loan's outcome 14 days after its prediction.");
    }

    pub(super) fn addresses(&self, http: SocketAddr, bus: &BusSettings) {
        self.line(&format!("First page http://{http}   Kafka {}", bus.bootstrap()));
        self.line("");
    }

    pub(super) fn staying_up(&self, http: Option<SocketAddr>) {
        self.line("");
        if let Some(http) = http {
            self.line(&format!("Still up: look at http://{http}, or ask"));
            self.line(&format!(
                "  plimsoll sql --url http://{http} \"SELECT window_start, metric, value, reference, verdict \
                 FROM performance WHERE window_size = '28d' AND metric = 'accuracy' ORDER BY 1\""
            ));
        }
        self.line("Ctrl-C ends it.");
    }

    /// Prints alerts and retraining requests from now on.
    pub(super) fn follow(&self, app: &App, shutdown: &CancellationToken) -> anyhow::Result<Telling> {
        let topics = [app.topics.alerts.clone(), app.topics.retraining.clone()];
        let mut tail = tokio::task::block_in_place(|| Tail::new(&app.bus, &topics, &app.telemetry))?;
        let stop = shutdown.child_token();
        let (story, stopping, alerts) = (self.clone(), stop.clone(), app.topics.alerts.clone());
        let thread = tokio::task::spawn_blocking(move || {
            while !stopping.is_cancelled() {
                let Ok(batches) = tail.poll(100, Duration::from_millis(100)) else { continue };
                for (source, records) in batches {
                    story.tell(source.topic == alerts, &records);
                }
            }
        });
        Ok(Telling { stop, thread })
    }

    fn tell(&self, is_alert: bool, records: &Records) {
        for payload in records.iter().filter_map(|record| record.payload) {
            if is_alert {
                if let Ok(alert) = serde_json::from_slice::<Alert>(payload) {
                    self.alert(&alert);
                }
            } else if let Ok(request) = serde_json::from_slice::<RetrainingRequest>(payload) {
                self.line(&format!(
                    "{}  RETRAIN   {} version {}: {}",
                    request.requested_at, request.model, request.version, request.reason
                ));
            }
        }
    }

    fn alert(&self, alert: &Alert) {
        let at = alert.resolved_at.or(alert.fired_at).unwrap_or(alert.started_at);
        let mut firing = self.firing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match alert.state {
            AlertState::Pending => "pending ",
            AlertState::Firing if firing.insert(alert.fingerprint.clone()) => "FIRING  ",
            AlertState::Firing => "  more  ",
            AlertState::Resolved => "resolved",
        };
        if alert.state != AlertState::Firing {
            firing.remove(&alert.fingerprint);
        }
        drop(firing);
        self.line(&format!("{at}  {state}  {} {}: {}", alert.severity.name(), alert.kind, alert.summary));
    }

    fn line(&self, text: &str) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        let print = || if self.to_stderr { eprintln!("{text}") } else { println!("{text}") };
        match bar.as_ref() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}
