//! What a naive reader makes of the input: it reads each partition once, from its start to its end, with nothing but
//! the rules of the documentation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use plimsoll::clock::{Span, Timestamp};
use plimsoll::event::SourcePartition;
use serde_json::Value;

use super::input::HORIZON;
use super::world::Inner;

#[derive(Default)]
pub struct Naive {
    pub books: BTreeMap<SourcePartition, Books>,
    /// Topic, partition and offset of each dead letter.
    pub dead: BTreeSet<(String, String, String)>,
    pub predictions: Vec<Prediction>,
    /// By id: the pair's prediction (its place in the list) and the outcome's label.
    pub pairs: BTreeMap<String, (usize, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    pub read: u64,
    pub counted: u64,
    pub duplicate: u64,
    pub deadlettered: u64,
}

pub struct Prediction {
    pub time: Timestamp,
    pub label: String,
    pub score: f64,
    pub amount: Option<f64>,
    pub region: String,
}

/// The latest wins, by time, then by place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    time: Timestamp,
    place: (SourcePartition, i64),
    label: String,
}

const DEDUP: Span = Span::from_mins(10);

pub fn read(world: &Inner) -> Naive {
    let mut naive = Naive::default();
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut outcomes: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    let inputs = world.log.iter().filter(|(place, _)| ["predictions", "outcomes"].contains(&place.topic.as_str()));
    for (place, log) in inputs {
        let mut books = Books::default();
        let mut seen: HashMap<String, (Timestamp, Timestamp)> = HashMap::new();
        let mut newest: Option<Timestamp> = None;
        for (offset, logged) in (0_i64..).zip(log) {
            books.read += 1;
            let Some((id, time, event)) = valid(logged.record.payload.as_deref()) else {
                books.deadlettered += 1;
                naive.dead.insert((place.topic.clone(), place.partition.to_string(), offset.to_string()));
                continue;
            };
            if place.topic == "outcomes" {
                books.counted += 1;
                let label = event["label"].as_str().unwrap().to_owned();
                outcomes.entry(id).or_default().push(Outcome { time, place: (place.clone(), offset), label });
                continue;
            }
            let now = newest.map_or(time, |newest| newest.max(time));
            let is_repeat = seen.get(&id).is_some_and(|(first, arrived)| {
                time.since(*first).millis().abs() <= DEDUP.millis() && now.since(*arrived) <= DEDUP
            });
            if is_repeat {
                books.duplicate += 1;
                continue;
            }
            books.counted += 1;
            seen.insert(id.clone(), (time, now));
            newest = Some(now);
            first.entry(id).or_insert(naive.predictions.len());
            naive.predictions.push(prediction(time, &event));
        }
        naive.books.insert(place.clone(), books);
    }
    for (id, place) in first {
        let predicted = naive.predictions[place].time;
        let known = outcomes.remove(&id).unwrap_or_default();
        let in_time = known.into_iter().filter(|outcome| outcome.time.since(predicted) <= HORIZON);
        if let Some(outcome) = in_time.max() {
            naive.pairs.insert(id, (place, outcome.label));
        }
    }
    naive
}

/// The events of model `m` that are not from the far future.
fn valid(payload: Option<&[u8]>) -> Option<(String, Timestamp, Value)> {
    let event: Value = serde_json::from_slice(payload?).ok()?;
    let time: Timestamp = event["time"].as_str()?.parse().ok()?;
    let is_far = time > "2100-01-01T00:00:00Z".parse().unwrap();
    (event["model"] == "m" && !is_far).then(|| (event["id"].as_str().unwrap().to_owned(), time, event))
}

fn prediction(time: Timestamp, event: &Value) -> Prediction {
    Prediction {
        time,
        label: event["prediction"]["label"].as_str().unwrap().to_owned(),
        score: event["prediction"]["score"].as_f64().unwrap(),
        amount: event["features"]["amount"].as_f64(),
        region: event["features"]["region"].as_str().unwrap().to_owned(),
    }
}

impl Naive {
    /// The predictions of a window, with the labels of those that have an outcome.
    pub fn window(&self, segment: Option<&str>, from: Timestamp, to: Timestamp) -> Vec<(&Prediction, Option<&str>)> {
        let labels: HashMap<usize, &str> = self.pairs.values().map(|(place, label)| (*place, label.as_str())).collect();
        let is_inside = |prediction: &Prediction| {
            let is_of = segment.is_none_or(|segment| segment == format!("region={}", prediction.region));
            from <= prediction.time && prediction.time < to && is_of
        };
        let all = self.predictions.iter().enumerate();
        all.filter(|(_, prediction)| is_inside(prediction))
            .map(|(place, prediction)| (prediction, labels.get(&place).copied()))
            .collect()
    }
}
