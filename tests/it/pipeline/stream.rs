//! A small stream with everything that can go wrong in it, and what must be counted in the end.

use std::collections::BTreeMap;

use plimsoll::bus::Outgoing;
use plimsoll::clock::{Span, Timestamp};
use serde_json::json;

/// A reproducible source of choices (`SplitMix64`).
pub struct Choices(u64);

#[derive(Clone, Debug)]
pub struct Stream {
    /// In the order in which they were produced.
    pub records: Vec<Outgoing>,
    /// What a naive reader that sees each event once makes of it.
    pub truth: Truth,
}

#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// By id: event time, predicted label, and the latest outcome.
    pub events: BTreeMap<String, (Timestamp, String, Option<String>)>,
    pub duplicates: u64,
    pub malformed: u64,
}

impl Choices {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    pub fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

pub fn start() -> Timestamp {
    "2024-01-01T00:00:00Z".parse().unwrap()
}

/// `count` predictions over twenty days, most of them with an outcome, some of those corrected.
pub fn stream(seed: u64, count: u64) -> Stream {
    let mut choices = Choices::new(seed);
    let mut truth = Truth::default();
    let mut records = Vec::new();
    for number in 0..count {
        let id = format!("id-{number}");
        let even = Span::from_days(20).millis() * i64::try_from(number).unwrap() / i64::try_from(count).unwrap();
        // Up to three hours late: windows that have closed are revised.
        let late = i64::try_from(choices.below(10_800_000)).unwrap();
        let time = start().plus(Span::from_millis(even - late + 10_800_000));
        let label = choices.below(2).to_string();
        let prediction = prediction(&id, time, &label, &mut choices);
        records.push(prediction.clone());
        if choices.one_in(20) {
            truth.duplicates += 1;
            records.push(prediction);
        }
        if choices.one_in(50) {
            truth.malformed += 1;
            records.push(record("predictions", &id, b"{\"id\":".to_vec()));
        }
        truth.events.insert(id.clone(), (time, label, None));
        if choices.one_in(5) {
            continue;
        }
        let known = time.plus(Span::from_hours(24 + i64::try_from(choices.below(48)).unwrap()));
        let mut actual = choices.below(2).to_string();
        records.push(outcome(&id, known, &actual));
        if choices.one_in(10) {
            actual = choices.below(2).to_string();
            records.push(outcome(&id, known.plus(Span::from_hours(5)), &actual));
        }
        truth.events.entry(id).and_modify(|event| event.2 = Some(actual));
    }
    Stream { records, truth }
}

/// What goes wrong in the middle third of [`shifting`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Shift {
    /// Amounts are half a range higher.
    pub drift: bool,
    /// Three predictions in ten are wrong; all others are right.
    pub decay: bool,
}

/// Thirty days of predictions with their outcomes a day later, of which the middle ten are shifted.
pub fn shifting(seed: u64, count: u64, shift: Shift) -> Vec<Outgoing> {
    let mut choices = Choices::new(seed);
    let mut records = Vec::new();
    for number in 0..count {
        let id = format!("id-{number}");
        let even = Span::from_days(30).millis() * i64::try_from(number).unwrap() / i64::try_from(count).unwrap();
        let time = start().plus(Span::from_millis(even));
        let is_shifted = (count / 3..2 * count / 3).contains(&number);
        let label = choices.below(2);
        let mut record = prediction(&id, time, &label.to_string(), &mut choices);
        if is_shifted && shift.drift {
            let mut event: serde_json::Value = serde_json::from_slice(&record.payload.unwrap()).unwrap();
            event["features"]["amount"] = json!(event["features"]["amount"].as_f64().unwrap() + 50.0);
            record.payload = Some(event.to_string().into_bytes());
        }
        records.push(record);
        let is_wrong = is_shifted && shift.decay && choices.below(10) < 3;
        let actual = if is_wrong { 1 - label } else { label };
        records.push(outcome(&id, time.plus(Span::from_days(1)), &actual.to_string()));
    }
    records
}

/// As [`shifting`] where nothing else changes, but nobody in the west is predicted positive in the middle third.
pub fn unfair(seed: u64, count: u64) -> Vec<Outgoing> {
    edited(shifting(seed, count, Shift::default()), |day, event| {
        if (10..20).contains(&day) && event["features"]["region"] == "west" {
            event["prediction"]["label"] = json!("0");
        }
    })
}

/// Thirty days: the largest amounts of the west are missing from the sixth on, which the whole hardly shows, and all
/// amounts are half a range higher from the tenth until the sixteenth.
pub fn spreading(seed: u64, count: u64) -> Vec<Outgoing> {
    edited(shifting(seed, count, Shift::default()), |day, event| {
        let amount = event["features"]["amount"].as_f64().unwrap();
        let changed = match day {
            6..10 if event["features"]["region"] == "west" => 0.85 * amount,
            10..16 => amount + 50.0,
            _ => return,
        };
        event["features"]["amount"] = json!(changed);
    })
}

/// As [`shifting`] with drift; from the twentieth day on, when it is over, only one event in `thin` comes.
pub fn thinning(seed: u64, count: u64, thin: u64) -> Vec<Outgoing> {
    let mut records = shifting(seed, count, Shift { drift: true, decay: false });
    let is_kept = |record: &Outgoing| {
        let id = std::str::from_utf8(record.key.as_deref().unwrap()).unwrap();
        let number: u64 = id.trim_start_matches("id-").parse().unwrap();
        number < 2 * count / 3 || number.is_multiple_of(thin)
    };
    records.retain(is_kept);
    records
}

/// The records with their predictions changed, which are told with the number of their day.
fn edited(mut records: Vec<Outgoing>, change: impl Fn(i64, &mut serde_json::Value)) -> Vec<Outgoing> {
    for record in records.iter_mut().filter(|record| record.topic == "predictions") {
        let mut event: serde_json::Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
        let time: Timestamp = event["time"].as_str().unwrap().parse().unwrap();
        change(time.since(start()).millis() / Span::from_days(1).millis(), &mut event);
        record.payload = Some(event.to_string().into_bytes());
    }
    records
}

pub fn features(choices: &mut Choices) -> (f64, &'static str) {
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let amount = choices.below(1_000) as f64 / 10.0;
    (amount, ["north", "south", "west"][usize::try_from(choices.below(3)).unwrap()])
}

fn prediction(id: &str, time: Timestamp, label: &str, choices: &mut Choices) -> Outgoing {
    let (amount, region) = features(choices);
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let score = choices.below(100) as f64 / 100.0;
    let event = json!({
        "id": id, "model": "m", "version": "1", "time": time,
        "features": { "amount": amount, "region": region },
        "prediction": { "label": label, "score": score },
    });
    record("predictions", id, event.to_string().into_bytes())
}

fn outcome(id: &str, time: Timestamp, label: &str) -> Outgoing {
    let event = json!({ "id": id, "model": "m", "time": time, "label": label });
    record("outcomes", id, event.to_string().into_bytes())
}

fn record(topic: &str, key: &str, payload: Vec<u8>) -> Outgoing {
    Outgoing { topic: topic.into(), key: Some(key.into()), payload: Some(payload), ..Outgoing::default() }
}
