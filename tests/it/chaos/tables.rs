//! Whether two services say the same: counts bit for bit, floating-point numbers within 1e-9 of each other.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::Service;

const WINDOW: [&str; 7] = ["model", "version", "variant", "segment", "window_start", "window_end", "window_size"];

/// Each table with what identifies its rows, beside the window.
const TABLES: [(&str, &[&str]); 6] = [
    ("accounting", &["topic", "partition"]),
    ("windows", &WINDOW),
    ("features", &["feature"]),
    ("drift", &["feature", "method"]),
    ("quality", &["feature", "rule"]),
    ("performance", &["metric"]),
];

/// What depends on when things came, and not on what came.
const WHEN: [&str; 3] = ["revision", "late", "lag"];

const TOLERANCE: f64 = 1e-9;

/// Rows of all tables by their identity.
pub type Tables = BTreeMap<&'static str, BTreeMap<String, Value>>;

pub fn read(service: &Service) -> Tables {
    TABLES.into_iter().map(|(table, identity)| (table, rows(service, table, identity))).collect()
}

fn rows(service: &Service, table: &str, identity: &[&str]) -> BTreeMap<String, Value> {
    let mut by_key = BTreeMap::new();
    for mut row in service.sql(&format!("SELECT * FROM {table}")) {
        let fields = row.as_object_mut().unwrap();
        fields.retain(|column, _| !WHEN.contains(&column.as_str()));
        let of = |column: &&str| fields.get(*column).map_or_else(String::new, Value::to_string);
        let key: Vec<String> = WINDOW.iter().chain(identity).map(of).collect();
        let twice = by_key.insert(key.join(" "), row);
        assert!(twice.is_none(), "{table} has two rows of {}", key.join(" "));
    }
    by_key
}

/// What is different, a line for each.
pub fn differences(found: &Tables, expected: &Tables) -> Vec<String> {
    let mut all = Vec::new();
    for (table, expected) in expected {
        let found = &found[table];
        for (key, row) in expected {
            match found.get(key) {
                None => all.push(format!("{table}: missing {row}")),
                Some(other) if !same(other, row) => all.push(format!("{table}: {other}\n     instead of {row}")),
                Some(_) => {}
            }
        }
        let unexpected = found.iter().filter(|(key, _)| !expected.contains_key(*key));
        all.extend(unexpected.map(|(_, row)| format!("{table}: unexpected {row}")));
    }
    all
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(left), Value::Number(right)) if left.is_f64() || right.is_f64() => {
            let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
            (left - right).abs() <= TOLERANCE * left.abs().max(right.abs())
        }
        _ => a == b,
    }
}
