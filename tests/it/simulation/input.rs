//! What producers send: a few days of predictions and outcomes with everything that can be wrong with them.

use std::collections::{BTreeMap, VecDeque};

use plimsoll::bus::Outgoing;
use plimsoll::clock::{Span, Timestamp};
use plimsoll::event::SourcePartition;
use serde_json::json;

use crate::pipeline::stream::{Choices, features, start};

pub const DAYS: i64 = 8;
pub const HORIZON: Span = Span::from_days(3);
/// Amounts above this break a rule of data quality.
pub const LARGEST: f64 = 100.0;

/// Records by the partition they go to, in the order in which they were produced.
pub type Feed = BTreeMap<SourcePartition, VecDeque<Outgoing>>;

pub fn records(seed: u64) -> Vec<Outgoing> {
    let mut choices = Choices::new(seed ^ 0x5EED);
    let count = i64::try_from(30 + choices.below(120)).unwrap();
    let breaks_rules = choices.one_in(2);
    let mut records = Vec::new();
    for number in 0..count {
        let id = format!("id-{number}");
        let even = Span::from_days(DAYS).millis() * number / count;
        let late = if choices.one_in(3) { below(&mut choices, Span::from_hours(30)) } else { 0 };
        let time = start().plus(Span::from_millis(even)).minus(Span::from_millis(late));
        let prediction = prediction(&id, time, breaks_rules && choices.one_in(12), &mut choices);
        records.push(prediction.clone());
        repeat(&prediction, &mut records, &mut choices);
        poison(&id, &mut records, &mut choices);
        outcomes(&id, time, &mut records, &mut choices);
    }
    shuffle_a_little(&mut records, &mut choices);
    records
}

/// One prediction per partition, long after everything else: all windows close, all labels are final.
pub fn closing(number: i64, partitions: i32) -> Vec<Outgoing> {
    let time = start().plus(Span::from_days(DAYS + 30)).plus(Span::from_millis(number));
    let one = |partition| {
        let id = format!("closing-{number}-{partition}");
        let mut record = prediction(&id, time, false, &mut Choices::new(0));
        record.partition = Some(partition);
        record
    };
    (0..partitions).map(one).collect()
}

fn prediction(id: &str, time: Timestamp, breaks_a_rule: bool, choices: &mut Choices) -> Outgoing {
    let (amount, region) = features(choices);
    let amount = if breaks_a_rule { LARGEST + 1.0 } else { amount };
    let mut features = json!({ "amount": amount, "region": region });
    if choices.one_in(15) {
        features["amount"] = json!(null);
    }
    let score = f64::from(u32::try_from(choices.below(100)).unwrap()) / 100.0;
    let event = json!({
        "id": id, "model": "m", "version": "1", "time": time, "features": features,
        "prediction": { "label": choices.below(2).to_string(), "score": score },
    });
    record("predictions", id, event.to_string().into_bytes())
}

/// A producer that was not answered sends again, mostly at once.
fn repeat(prediction: &Outgoing, records: &mut Vec<Outgoing>, choices: &mut Choices) {
    if !choices.one_in(6) {
        return;
    }
    let back = usize::try_from(choices.below(5)).unwrap();
    records.insert(records.len().saturating_sub(back), prediction.clone());
    if choices.one_in(3) {
        records.push(prediction.clone());
    }
}

fn poison(id: &str, records: &mut Vec<Outgoing>, choices: &mut Choices) {
    if !choices.one_in(10) {
        return;
    }
    let topic = ["predictions", "outcomes"][usize::try_from(choices.below(2)).unwrap()];
    let payload = match choices.below(5) {
        0 => b"{\"id\":".to_vec(),
        1 => vec![0xFF, 0xFE, 0x00],
        2 => Vec::new(),
        3 => json!({ "id": id, "model": "of nobody", "time": start(), "label": "1" }).to_string().into_bytes(),
        _ => json!({ "id": id, "model": "m", "time": "2200-01-01T00:00:00Z", "label": "1",
                     "prediction": { "label": "1", "score": 0.5 } })
        .to_string()
        .into_bytes(),
    };
    records.push(record(topic, id, payload));
}

/// Outcomes, some of them corrected, repeated, too late to count, or ahead of their prediction.
fn outcomes(id: &str, time: Timestamp, records: &mut Vec<Outgoing>, choices: &mut Choices) {
    if choices.one_in(4) {
        return;
    }
    let many = 1 + choices.below(3) * choices.below(2);
    for _ in 0..many {
        let longest = if choices.one_in(4) { Span::from_days(5) } else { HORIZON };
        let known = time.plus(Span::from_millis(below(choices, longest)));
        let event = json!({ "id": id, "model": "m", "time": known, "label": choices.below(2).to_string() });
        // Not keyed by the id: corrections may stand on another partition.
        let key = choices.below(1_000).to_string();
        let outcome = record("outcomes", &key, event.to_string().into_bytes());
        if choices.one_in(8) {
            records.push(outcome.clone());
        }
        if choices.one_in(3) {
            let back = usize::try_from(choices.below(20)).unwrap();
            records.insert(records.len().saturating_sub(back), outcome);
        } else {
            records.push(outcome);
        }
    }
}

fn shuffle_a_little(records: &mut [Outgoing], choices: &mut Choices) {
    for index in 1..records.len() {
        if choices.one_in(5) {
            records.swap(index - 1, index);
        }
    }
}

fn below(choices: &mut Choices, span: Span) -> i64 {
    i64::try_from(choices.below(span.millis().unsigned_abs())).unwrap()
}

fn record(topic: &str, key: &str, payload: Vec<u8>) -> Outgoing {
    Outgoing { topic: topic.into(), key: Some(key.into()), payload: Some(payload), ..Outgoing::default() }
}
