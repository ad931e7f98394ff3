//! What the demo found, from the topics alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::api::{View, ViewLimits, ViewTopic};
use crate::app::App;
use crate::bus::Tail;
use crate::clock::Timestamp;
use crate::event::{Alert, RetrainingRequest, WindowReport};
use crate::model::Metric;
use crate::query::Snapshot;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    predictions: u64,
    outcomes: u64,
    windows: usize,
    /// Start of the first drifted window of each column, first by the time at which it closed.
    drifted: BTreeMap<String, Timestamp>,
    alerts: Vec<Arc<Alert>>,
    retraining: Vec<Arc<RetrainingRequest>>,
    accounting: BTreeMap<String, Books>,
    #[serde(skip)]
    accuracy: Vec<(Timestamp, f64)>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Books {
    read: u64,
    counted: u64,
    duplicate: u64,
    deadlettered: u64,
}

/// Reads the topics from their start to where they end now.
pub(super) async fn read(app: &App) -> anyhow::Result<Arc<Snapshot>> {
    let (bus, topics, telemetry) = (app.bus.clone(), app.topics.clone(), app.telemetry.clone());
    let read = tokio::task::spawn_blocking(move || -> anyhow::Result<Arc<Snapshot>> {
        let mut tail = Tail::new(&bus, &ViewTopic::names(&topics), &telemetry)?;
        let mut view = View::new(Vec::new(), ViewLimits::default());
        while !tail.is_caught_up() {
            for (source, records) in tail.poll(1_000, Duration::from_millis(100))? {
                let Some(topic) = ViewTopic::of(&topics, &source.topic) else { continue };
                for record in records.iter() {
                    view.apply(topic, &record)?;
                }
            }
        }
        Ok(view.snapshot())
    });
    read.await?
}

impl Summary {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut windows: Vec<&Arc<WindowReport>> =
            snapshot.windows.iter().filter(|report| report.population.segment.is_none()).collect();
        windows.sort_by_key(|report| (report.window_end, report.window_size));
        let mut drifted = BTreeMap::new();
        for report in &windows {
            for row in report.drifted() {
                drifted.entry(row.feature.clone()).or_insert(report.window_start);
            }
        }
        let mut accounting: BTreeMap<String, Books> = BTreeMap::new();
        for row in &snapshot.accounting {
            let books = accounting.entry(row.accounting.topic.clone()).or_default();
            books.read += row.accounting.read;
            books.counted += row.accounting.counted;
            books.duplicate += row.accounting.duplicate;
            books.deadlettered += row.accounting.deadlettered;
        }
        Self {
            predictions: read_of(&accounting, "predictions"),
            outcomes: read_of(&accounting, "outcomes"),
            windows: windows.len(),
            drifted,
            alerts: snapshot.alerts.clone(),
            retraining: snapshot.retraining.clone(),
            accounting,
            accuracy: windows.iter().filter_map(|report| accuracy(report)).collect(),
        }
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!();
        println!("{} predictions and {} outcomes made {} windows.", self.predictions, self.outcomes, self.windows);
        println!("First drifted window of each column that drifted:");
        for (feature, start) in &self.drifted {
            println!("  {feature:<28} {start}");
        }
        if let (Some(first), Some(last)) = (self.accuracy.first(), self.accuracy.last()) {
            println!("Accuracy over 28 days: {:.4} from {}, {:.4} from {}.", first.1, first.0, last.1, last.0);
        }
        println!("Alerts: {}. Retraining requests: {}.", self.alerts.len(), self.retraining.len());
        for (topic, books) in &self.accounting {
            let Books { read, counted, duplicate, deadlettered } = books;
            println!("{topic}: read {read} = counted {counted} + duplicate {duplicate} + dead letters {deadlettered}");
        }
        Ok(())
    }
}

fn read_of(accounting: &BTreeMap<String, Books>, topic: &str) -> u64 {
    accounting.get(topic).map_or(0, |books| books.read)
}

/// Accuracy of a full 28-day window with all its labels.
fn accuracy(report: &WindowReport) -> Option<(Timestamp, f64)> {
    if report.window_size.to_string() != "28d" || report.label_coverage < 1.0 || report.predictions < 2_000 {
        return None;
    }
    let row = report.performance.iter().find(|row| row.metric == Metric::Accuracy)?;
    Some((report.window_start, row.value?))
}
