//! Events at a steady pace, all of them made from one seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use plimsoll::bus::{Outgoing, Producer};
use plimsoll::clock::{Span, Timestamp};
use serde_json::{Value, json};

use super::random::Random;
use crate::small;
use crate::support::{RUNTIME, pause};

/// Models, so that evaluate has work on more than one partition.
const MODELS: usize = 3;
/// Event time from one prediction to the next.
const STEP: Span = Span::from_secs(24);
/// 2024-03-10T00:00:00Z.
const START: i64 = 1_710_028_800_000;
/// How often records are handed over.
const BEAT: Duration = Duration::from_millis(100);

/// Predictions and outcomes in the order in which they are published: most events once and in time, some repeated, late,
/// corrected or beyond use. Half-way, one model's input drifts, another's comes without a feature, and the third decays.
pub struct Load {
    seed: u64,
    predictions: usize,
    /// Outcomes by the step at which they are published: whose, and with which label.
    outcomes: BTreeMap<usize, Vec<(usize, Verdict)>>,
    topics: [String; 2],
    partitions: i32,
}

#[derive(Clone, Copy)]
enum Verdict {
    Right,
    Wrong,
    /// Later than the first one, which it revises.
    Corrected,
}

/// What was published.
#[derive(Debug, Default)]
pub struct Published {
    pub events: usize,
    pub took: Duration,
}

/// The configuration of all models; writes their reference into `folder`.
pub fn models(folder: &Path) -> String {
    let model = small::model(folder)
        .replace("windows = [\"1d\"]", "windows = [\"6h\", \"1d\"]\ndedup = \"1d\"")
        .replace("lateness = \"0s\"", "lateness = \"1h\"")
        .replace("label_horizon = \"1d\"", "label_horizon = \"3d\"")
        .replace("retention = \"3d\"", "retention = \"5d\"")
        // Every partition gets a last event, so that windows close by event time alone.
        .replace("idle_timeout = \"1s\"", "idle_timeout = \"1h\"");
    (0..MODELS).fold(String::new(), |mut all, index| {
        write!(all, "{}", model.replace("name = \"m\"", &format!("name = \"m{index}\""))).unwrap();
        all
    })
}

impl Load {
    pub fn new(seed: u64, predictions: usize, topics: [String; 2], partitions: i32) -> Self {
        let mut outcomes: BTreeMap<usize, Vec<(usize, Verdict)>> = BTreeMap::new();
        for index in 0..predictions {
            let mut random = Random::new(seed ^ 0x0b5e_55ed).at(index);
            if random.is(0.1) {
                continue;
            }
            let decayed = index % MODELS == 2 && index > predictions / 2;
            let verdict = if random.is(if decayed { 0.4 } else { 0.1 }) { Verdict::Wrong } else { Verdict::Right };
            // Some come before their prediction.
            let step = (index + random.below(600)).saturating_sub(30);
            outcomes.entry(step).or_default().push((index, verdict));
            if random.is(0.05) {
                outcomes.entry(step + 300).or_default().push((index, Verdict::Corrected));
            }
        }
        Self { seed, predictions, outcomes, topics, partitions }
    }

    /// Publishes everything at `rate` predictions per second, and slower where the brokers do not keep up.
    pub fn publish(&self, producer: &Producer, rate: usize) -> Published {
        let started = Instant::now();
        let mut events = 0;
        let last_step = self.outcomes.keys().next_back().map_or(0, |step| step + 1).max(self.predictions);
        let per_beat = (rate as f64 * BEAT.as_secs_f64()).ceil() as usize;
        for (beat, first) in (0..last_step).step_by(per_beat).enumerate() {
            let records: Vec<Outgoing> =
                (first..(first + per_beat).min(last_step)).flat_map(|step| self.step(step)).collect();
            events += records.len();
            RUNTIME.block_on(producer.publish(records)).expect("the cluster takes records");
            let due = BEAT * u32::try_from(beat + 1).expect("a short run");
            pause(due.saturating_sub(started.elapsed()));
        }
        let last = self.last_events();
        events += last.len();
        RUNTIME.block_on(producer.publish(last)).expect("the cluster takes records");
        Published { events, took: started.elapsed() }
    }

    fn step(&self, step: usize) -> Vec<Outgoing> {
        let mut records = Vec::new();
        if step < self.predictions {
            let mut random = Random::new(self.seed ^ 0xbad).at(step);
            records.push(self.prediction(step));
            if random.is(0.02) {
                records.push(self.prediction(step.saturating_sub(random.below(200))));
            }
            if random.is(0.005) {
                records.push(self.unusable(step, random.below(3)));
            }
        }
        for (index, verdict) in self.outcomes.get(&step).into_iter().flatten() {
            records.push(self.outcome(*index, *verdict));
        }
        records
    }

    fn prediction(&self, index: usize) -> Outgoing {
        let mut random = Random::new(self.seed).at(index);
        let model = index % MODELS;
        let later = index > self.predictions / 2;
        let jitter = Span::from_secs(i64::from(random.below_u32(1_200)));
        let late = match random.below(1_000) {
            0..5 => Span::from_hours(20),
            5..7 => Span::from_days(20),
            _ => Span::from_secs(0),
        };
        let amount = random.below(10) + if later && model == 0 { 4 } else { 0 };
        let colour = match (later && model == 1 && random.is(0.5), random.is(0.5)) {
            (true, _) => Value::Null,
            (false, true) => json!("red"),
            (false, false) => json!("green"),
        };
        let event = json!({
            "id": id(index), "model": format!("m{model}"), "version": "1", "latency_ms": random.below(1_000) as f64 / 7.0,
            "time": time(index).plus(jitter).minus(late).to_string(), "features": {"amount": amount, "colour": colour},
            "prediction": {"label": label(index), "score": if index.is_multiple_of(2) { 0.1 } else { 0.9 }},
        });
        self.record(0, &id(index), event.to_string())
    }

    fn outcome(&self, index: usize, verdict: Verdict) -> Outgoing {
        let (is_right, delay) = match verdict {
            Verdict::Right => (true, Span::from_hours(1)),
            Verdict::Wrong => (false, Span::from_hours(1)),
            Verdict::Corrected => (false, Span::from_hours(3)),
        };
        let actual = if is_right { label(index) } else { label(index + 1) };
        let model = format!("m{}", index % MODELS);
        let event =
            json!({"id": id(index), "model": model, "time": time(index).plus(delay).to_string(), "label": actual});
        self.record(1, &id(index), event.to_string())
    }

    /// Not JSON, of a model that nobody knows, or with a number that is none.
    fn unusable(&self, index: usize, how: usize) -> Outgoing {
        let payload = match how {
            0 => "{\"id\":".to_owned(),
            1 => json!({"id": id(index), "model": "nobody's", "prediction": 1}).to_string(),
            _ => json!({"id": id(index), "model": "m0", "features": {"amount": [1]}, "prediction": 1}).to_string(),
        };
        self.record(0, &id(index), payload)
    }

    /// One of each model on each partition, so far ahead that every window before it closes.
    fn last_events(&self) -> Vec<Outgoing> {
        let time = time(self.predictions).plus(Span::from_days(4)).to_string();
        let mut records = Vec::new();
        for partition in 0..self.partitions {
            for model in 0..MODELS {
                let (id, model) = (format!("last-{partition}"), format!("m{model}"));
                let prediction = json!({"id": id, "model": model, "version": "1", "time": time,
                    "features": {"amount": 1, "colour": "red"}, "prediction": {"label": "1", "score": 0.9}});
                let outcome = json!({"id": id, "model": model, "time": time, "label": "1"});
                for (topic, event) in [prediction, outcome].iter().enumerate() {
                    let record = self.record(topic, &id, event.to_string());
                    records.push(Outgoing { partition: Some(partition), ..record });
                }
            }
        }
        records
    }

    fn record(&self, topic: usize, key: &str, payload: String) -> Outgoing {
        Outgoing {
            topic: self.topics[topic].clone(),
            key: Some(key.as_bytes().to_vec()),
            payload: Some(payload.into_bytes()),
            ..Outgoing::default()
        }
    }
}

fn id(index: usize) -> String {
    format!("e{index}")
}

fn label(index: usize) -> &'static str {
    if index.is_multiple_of(2) { "0" } else { "1" }
}

fn time(index: usize) -> Timestamp {
    let steps = i64::try_from(index).expect("a short run");
    Timestamp::from_millis(START).plus(Span::from_millis(STEP.millis() * steps))
}
