//! The threads that read topics to their ends and on.

use std::sync::Arc;
use std::time::Duration;

use super::build::{BACKOFF, Connected, Partitions};
use super::monitored::MonitoredModels;
use super::{App, AppError};
use crate::api;
use crate::bus::{BusError, Tail};
use crate::profile::{Reference, decode};
use crate::runner::References;
use crate::telemetry::Health;

/// How often the ends of the event topics are looked up, for lag.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// Starts the threads that read topics to their ends and on.
pub(super) fn start(
    app: &mut App,
    models: &Arc<MonitoredModels>,
    references: &References,
    connected: Connected,
) -> Result<Partitions, AppError> {
    if let Some(tail) = connected.view {
        follow_view(app, tail)?;
        follow_lag(app);
    }
    if let Some(tail) = connected.registry {
        follow_registry(app, tail)?;
    }
    if let Some(tail) = connected.references {
        follow_references(app, models, references, tail)?;
    }
    Ok(connected.partitions)
}

fn follow_view(app: &mut App, tail: Tail) -> Result<(), AppError> {
    let (topics, view, telemetry) = (app.topics.clone(), app.view.clone(), app.telemetry.clone());
    let stop = app.followers.token();
    app.followers.spawn("view", move || api::follow(tail, &topics, &view, &telemetry, &stop))
}

fn follow_registry(app: &mut App, tail: Tail) -> Result<(), AppError> {
    let (registry, view) = (app.registry.clone(), app.view.clone());
    let (telemetry, stop) = (app.telemetry.clone(), app.followers.token());
    app.followers.spawn("registry-view", move || api::follow_registry(tail, &registry, &view, &telemetry, &stop))
}

/// Tells the view where the event topics end, until the followers stop.
fn follow_lag(app: &App) {
    let (admin, view, stop) = (Arc::clone(&app.admin), app.view.clone(), app.followers.token());
    let topics: Vec<String> = app.topics.predictions.iter().chain(&app.topics.outcomes).cloned().collect();
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            for topic in &topics {
                match admin.end_offsets(topic).await {
                    Ok(ends) => view.update(|view| {
                        for (partition, end) in (0..).zip(ends) {
                            view.set_end_offset(topic, partition, end);
                        }
                    }),
                    Err(error) => tracing::debug!(%error, topic, "the end of the topic is not known"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LAG_INTERVAL) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}

/// Takes over the references that evaluate builds from the stream, those of earlier runs before any role starts.
fn follow_references(
    app: &mut App,
    models: &Arc<MonitoredModels>,
    references: &References,
    mut tail: Tail,
) -> Result<(), AppError> {
    let (references, models) = (references.clone(), Arc::clone(models));
    let (stop, telemetry) = (app.followers.token(), app.telemetry.clone());
    let mut take = move |timeout: Duration| -> Result<bool, BusError> {
        for (_, records) in tail.poll(100, timeout)? {
            for payload in records.iter().filter_map(|record| record.payload) {
                match decode::<Reference>(payload) {
                    Ok(reference) => references.set(reference),
                    Err(error) => {
                        tracing::error!(%error, "a reference on the topic cannot be read");
                        telemetry.report("references", Health::Blocked(error.to_string()));
                    }
                }
            }
            models.show();
        }
        Ok(tail.is_caught_up())
    };
    while !tokio::task::block_in_place(|| take(Duration::from_millis(100)))? {}
    app.followers.spawn("references", move || {
        while !stop.is_cancelled() {
            if let Err(error) = take(Duration::from_millis(200)) {
                tracing::warn!(%error, "references cannot be read");
                std::thread::sleep(BACKOFF.1);
            }
        }
    })
}
