//! Whether the invariants hold after a run.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use plimsoll::bus::Outgoing;
use plimsoll::clock::{Span, Timestamp};
use plimsoll::event::{Alert, AlertState, SourcePartition};
use plimsoll::profile::decode;
use plimsoll::state::{MemoryStore, Store, prefix_end};
use serde_json::Value;

use super::naive::{self, Naive, Prediction};
use super::world::Inner;

/// What differs from what must be; empty when all is well.
pub type Differences = Vec<String>;

/// The newest record of each key, as a reader of the topic sees it in the end.
pub type Table = BTreeMap<String, Value>;

pub async fn judge(world: &Inner, sizes: &[Span]) -> Differences {
    let naive = naive::read(world);
    let mut found = Differences::new();
    found.extend(world.overflowing.clone());
    accounting(world, &naive, &mut found);
    dead_letters(world, &naive, &mut found);
    windows(world, &naive, sizes, &mut found);
    alerts(world, &mut found);
    everything_is_read(world, &mut found).await;
    found
}

/// The newest word on each key of a topic, by `rank`, which only grows. What a zombie repeats may come after it: readers
/// go by the rank, as the service's own view does.
pub fn table(world: &Inner, topic: &str, rank: &str) -> Table {
    let mut newest = Table::new();
    for record in world.records(topic) {
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        let value: Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
        let of = |value: &Value| value[rank].as_u64().unwrap();
        if newest.get(&key).is_none_or(|known| of(known) <= of(&value)) {
            newest.insert(key, value);
        }
    }
    newest
}

/// I1.
fn accounting(world: &Inner, naive: &Naive, found: &mut Differences) {
    let table = table(world, "plimsoll.accounting", "read");
    for (place, books) in &naive.books {
        let Some(row) = table.values().find(|row| is_at(row, place)) else {
            found.push(format!("no books of {place}"));
            continue;
        };
        let of = |name: &str| row[name].as_u64().unwrap();
        let told = naive::Books {
            read: of("read"),
            counted: of("counted"),
            duplicate: of("duplicate"),
            deadlettered: of("deadlettered"),
        };
        if told != *books {
            found.push(format!("books of {place}: {told:?}, expected {books:?}"));
        }
    }
}

fn is_at(row: &Value, place: &SourcePartition) -> bool {
    row["topic"] == place.topic.as_str() && row["partition"] == place.partition
}

fn dead_letters(world: &Inner, naive: &Naive, found: &mut Differences) {
    let header = |record: &Outgoing, name: &str| {
        let header = record.headers.iter().find(|(key, _)| key == name);
        header.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    let letters: BTreeSet<(String, String, String)> = world
        .records("plimsoll.deadletter")
        .map(|record| (header(record, "topic"), header(record, "partition"), header(record, "offset")))
        .collect();
    if letters != naive.dead {
        found.push(format!("dead letters: {letters:?}, expected {:?}", naive.dead));
    }
}

/// I2, against the naive reader.
fn windows(world: &Inner, naive: &Naive, sizes: &[Span], found: &mut Differences) {
    let table = table(world, "plimsoll.windows", "revision");
    let mut told = BTreeSet::new();
    for window in table.values() {
        let time = |name: &str| window[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        let (from, to) = (time("window_start"), time("window_end"));
        if window["segment"].is_null() {
            told.insert((from, to));
        }
        let events = naive.window(window["segment"].as_str(), from, to);
        for difference in window_differences(window, &events) {
            found.push(format!("window {from} to {to} of {}: {difference}", window["segment"]));
        }
    }
    let day = Span::from_days(1);
    let last = naive.predictions.iter().map(|prediction| prediction.time).max().unwrap_or_default().floor(day);
    for prediction in naive.predictions.iter().filter(|prediction| prediction.time < last) {
        for size in sizes {
            // Sliding by a day, every window that holds the prediction's day.
            let days = size.millis() / day.millis();
            for back in 0..days {
                let from = prediction.time.floor(day).minus(Span::from_days(back));
                let (from, to) = (from, from.plus(*size));
                if to <= last && !told.contains(&(from, to)) {
                    told.insert((from, to));
                    found.push(format!("no window {from} to {to}"));
                }
            }
        }
    }
}

fn window_differences(window: &Value, events: &[(&Prediction, Option<&str>)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut count = |name: &str, expected: usize| {
        if window[name] != expected {
            found.push(format!("{name} {}, expected {expected}", window[name]));
        }
    };
    let known: Vec<(&Prediction, &str)> =
        events.iter().filter_map(|(prediction, label)| Some((*prediction, (*label)?))).collect();
    count("predictions", events.len());
    count("outcomes", known.len());
    let amounts: Vec<f64> = events.iter().filter_map(|(prediction, _)| prediction.amount).collect();
    let row = window["features"].as_array().unwrap().iter().find(|row| row["feature"] == "amount");
    if let Some(row) = row {
        if row["missing"] != events.len() - amounts.len() {
            found.push(format!("missing amounts {}, expected {}", row["missing"], events.len() - amounts.len()));
        }
        about("mean amount", row["mean"].as_f64(), mean(&amounts), &mut found);
    }
    let right: Vec<f64> =
        known.iter().map(|(prediction, label)| f64::from(u8::from(prediction.label == *label))).collect();
    about("accuracy", metric(window, "accuracy"), mean(&right), &mut found);
    let squares: Vec<f64> = known
        .iter()
        .map(|(prediction, label)| (prediction.score - f64::from(u8::from(*label == "1"))).powi(2))
        .collect();
    about("brier", metric(window, "brier"), mean(&squares), &mut found);
    found
}

fn metric(window: &Value, name: &str) -> Option<f64> {
    let rows = window["performance"].as_array()?;
    rows.iter().find(|row| row["metric"] == name)?["value"].as_f64()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap()))
}

fn about(what: &str, told: Option<f64>, expected: Option<f64>, found: &mut Vec<String>) {
    let is_same = match (told, expected) {
        (Some(told), Some(expected)) => (told - expected).abs() <= 1e-9 * expected.abs().max(1.0),
        (None, None) => true,
        _ => false,
    };
    if !is_same {
        found.push(format!("{what} {told:?}, expected {expected:?}"));
    }
}

/// I3: every step of an alert is one and the same however often it is told, a fingerprint has one episode at a time, and
/// people are told of each.
fn alerts(world: &Inner, found: &mut Differences) {
    let mut steps: BTreeMap<(String, Timestamp, u32, String), Alert> = BTreeMap::new();
    for record in world.records("plimsoll.alerts") {
        let Some(payload) = &record.payload else { continue };
        let alert: Alert = serde_json::from_slice(payload).unwrap();
        let state = alert.state.name().to_owned();
        let step = (alert.fingerprint.to_string(), alert.started_at, alert.revision, state);
        if steps.get(&step).is_some_and(|known| *known != alert) {
            found.push(format!("alert {step:?} was told in two ways"));
        }
        steps.insert(step, alert);
    }
    for alert in stored_alerts(world) {
        let step = (alert.fingerprint.to_string(), alert.started_at, alert.revision, alert.state.name().to_owned());
        if steps.get(&step) != Some(&alert) {
            found.push(format!("alert {step:?} never left the outbox"));
        }
    }
    let mut open: BTreeMap<&str, BTreeSet<Timestamp>> = BTreeMap::new();
    for ((fingerprint, started, _, _), alert) in &steps {
        if alert.state == AlertState::Pending {
            continue;
        }
        let state = alert.state.name();
        let id = format!("<{fingerprint}.{}.{state}@plimsoll>", started.millis());
        if !world.mails.contains_key(&id) {
            found.push(format!("nobody was told: {id}"));
        }
        open.entry(fingerprint).or_default();
        if alert.state == AlertState::Firing {
            open.entry(fingerprint).or_default().insert(*started);
        }
    }
    for ((fingerprint, started, _, _), alert) in &steps {
        if alert.state == AlertState::Resolved {
            open.entry(fingerprint).or_default().remove(started);
        }
    }
    for (fingerprint, episodes) in open {
        if episodes.len() > 1 {
            found.push(format!("alert {fingerprint} is open {} times: {episodes:?}", episodes.len()));
        }
    }
}

/// Every partition of every role's topics was read to its end, and what it had to say was said.
async fn everything_is_read(world: &Inner, found: &mut Differences) {
    for ((role, place), store) in &world.stores {
        let next: i64 = match store.reopen().get(b"meta/next_offset").await.unwrap() {
            Some(bytes) => decode(&bytes).unwrap(),
            None => 0,
        };
        let end = world.end(place);
        let left = world.log.get(place).into_iter().flatten().skip(usize::try_from(next).unwrap());
        if left.filter(|logged| !logged.is_compacted).count() > 0 {
            found.push(format!("{role} stopped at {next} of {end} of {place}"));
        }
        let waiting = rows(&store.reopen(), b"delivery/").await;
        if waiting > 0 {
            found.push(format!("{waiting} mails of {place} were not delivered"));
        }
    }
}

async fn rows(store: &MemoryStore, prefix: &[u8]) -> usize {
    store.scan(prefix, &prefix_end(prefix)).await.unwrap().len()
}

/// I2 and I3, against the same input in a world where nothing goes wrong.
pub fn compare(calm: &Inner, stormy: &Inner, is_from_stream: bool) -> Differences {
    let mut found = Differences::new();
    if is_from_stream {
        // Which events become the reference depends on which come first.
        return found;
    }
    let (expected, told) = (lasting(calm), lasting(stormy));
    for key in expected.keys().chain(told.keys()).collect::<BTreeSet<_>>() {
        match (expected.get(key), told.get(key)) {
            (Some(expected), Some(told)) => differ(expected, told, key, &mut found),
            (known, _) => {
                let which = if known.is_some() { "missing" } else { "too many" };
                found.push(format!("window {key} is {which}"));
            }
        }
    }
    let (expected, told) = (open_alerts(calm), open_alerts(stormy));
    if expected != told {
        found.push(format!("open alerts {told:?}, expected {expected:?}"));
    }
    found
}

fn lasting(world: &Inner) -> Table {
    let mut windows = table(world, "plimsoll.windows", "revision");
    for window in windows.values_mut() {
        let window = window.as_object_mut().unwrap();
        // How often it was said, and how much had come by the first time.
        window.remove("revision");
        window.remove("late");
    }
    windows
}

fn differ(expected: &Value, told: &Value, path: &str, found: &mut Differences) {
    match (expected, told) {
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            for (key, value) in a {
                differ(value, &b[key], &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differ(a, b, &format!("{path}[{index}]"), found);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            about(path, b.as_f64(), a.as_f64(), found);
        }
        _ if expected != told => found.push(format!("{path}: {told}, undisturbed {expected}")),
        _ => {}
    }
}

/// As evaluate's state has them.
fn open_alerts(world: &Inner) -> BTreeSet<(String, String)> {
    let open = stored_alerts(world).into_iter().filter(|alert| alert.state != AlertState::Resolved);
    open.map(|alert| (alert.fingerprint.to_string(), format!("{} {}", alert.kind, alert.state.name()))).collect()
}

fn stored_alerts(world: &Inner) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for (_, store) in world.stores.iter().filter(|((role, _), _)| role == "evaluate") {
        let prefix = b"alert/";
        let rows = store.reopen().scan(prefix, &prefix_end(prefix)).now_or_never().unwrap().unwrap();
        for (_, row) in rows {
            let (_, record): (String, Value) = serde_json::from_slice(&row).unwrap();
            alerts.extend(serde_json::from_value::<Option<Alert>>(record["alert"].clone()).unwrap());
        }
    }
    alerts
}
