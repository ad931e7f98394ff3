//! Requests whose features do not depend on who answers them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::JSON;
use crate::support::Service;

/// Rows of one request.
const ROWS: usize = 25;

/// Counts the answers by variant and version.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: usize,
    pub answers: BTreeMap<(String, String), usize>,
    pub errors: BTreeMap<String, usize>,
}

impl Traffic {
    /// As many requests; each row has a key of its own.
    pub fn send(&mut self, service: &Service, requests: usize) {
        for _ in 0..requests {
            let rows: Vec<Value> = (0..ROWS).map(|row| row_of(self.sent + row)).collect();
            self.sent += ROWS;
            let answer = service.http().post("/v2/models/m/infer", JSON, json!({ "rows": rows }).to_string());
            assert_eq!(answer.status, 200, "{}", answer.body);
            for told in answer.json().as_array().unwrap() {
                let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
                *self.answers.entry((text("variant"), text("version"))).or_default() += 1;
                if told["error"].is_string() {
                    *self.errors.entry(text("version")).or_default() += 1;
                }
            }
        }
    }

    pub fn of(&self, variant: &str) -> usize {
        self.answers.iter().filter(|((known, _), _)| known == variant).map(|(_, count)| count).sum()
    }
}

fn row_of(number: usize) -> Value {
    let colour = if number.is_multiple_of(3) { "red" } else { "green" };
    // Every amount comes with every key as often.
    json!({"id": format!("t{number}"), "features": {"amount": (number / 7) % 10, "colour": colour}})
}

/// Who answers these keys now.
pub fn variants_of(service: &Service, keys: usize) -> Vec<String> {
    let features = json!({"amount": 1, "colour": "red"});
    let rows: Vec<Value> = (0..keys)
        .map(|key| json!({"id": format!("k{key}-{}", rand()), "key": format!("customer-{key}"), "features": features}))
        .collect();
    let answer = service.http().post("/v2/models/m/infer", JSON, json!({ "rows": rows }).to_string());
    let told = answer.json();
    told.as_array().unwrap().iter().map(|row| row["variant"].as_str().unwrap_or_default().to_owned()).collect()
}

fn rand() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

/// A request of one row.
pub fn one(id: &str) -> Value {
    json!({"id": format!("{id}-{}", rand()), "features": {"amount": 1, "colour": "red"}})
}
