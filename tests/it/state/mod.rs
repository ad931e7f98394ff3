//! Where state lies: in a bucket, damaged, another deployment's, on a full disk; and what operators do about it.

mod bucket;
mod full_disk;
mod identity;
mod operators;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::small::{self, DAY};
use crate::support::{Service, eventually_true};

const PATIENCE: Duration = Duration::from_mins(2);

/// Posts a prediction and its outcome for each of these minutes of the day.
fn post(service: &Service, minutes: Range<usize>) {
    let predictions: Vec<Value> = minutes.clone().map(|at| small::prediction(&format!("p{at}"), at)).collect();
    let outcomes: Vec<Value> = minutes.map(|at| small::outcome(&format!("p{at}"), at)).collect();
    for (path, events) in [("/v1/predictions", predictions), ("/v1/outcomes", outcomes)] {
        let answer = service.http().post(path, "application/json", Value::from(events).to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// The last event lies on the next day and closes this one, with so many predictions and outcomes.
fn the_day_ends_with(service: &Service, events: u64) {
    post(service, 1_441..1_442);
    let day = format!(
        "SELECT predictions, outcomes FROM windows WHERE segment IS NULL AND window_start = TIMESTAMP '{DAY}T00:00:00Z'"
    );
    eventually_true(PATIENCE, "the window holds all events", || {
        service.sql(&day).first().is_some_and(|row| row["predictions"] == events && row["outcomes"] == events)
    });
    let books = service.sql("SELECT sum(read - counted - duplicate - deadlettered) AS off FROM accounting");
    assert_eq!(books[0]["off"], 0);
}

fn counted(service: &Service) -> u64 {
    let rows = service.sql("SELECT sum(counted) AS n FROM accounting");
    rows.first().and_then(|row| row["n"].as_u64()).unwrap_or(0)
}

fn wait_until_counted(service: &Service, events: u64) {
    eventually_true(PATIENCE, &format!("{events} events are counted"), || counted(service) == events);
}

/// What `/readyz` says while it does not say ready.
fn blocked(service: &Service) -> String {
    let answer = service.http().try_get("/readyz").filter(|answer| answer.status == 503);
    answer.map(|answer| answer.body).unwrap_or_default()
}

/// Files below `folder`, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
