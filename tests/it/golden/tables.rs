//! The tables of a service, by the window and whatever else identifies a row.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::Service;

/// Size and start, as SQL writes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowKey {
    pub size: String,
    pub start: String,
}

/// Rows of one model's whole population.
#[derive(Debug)]
pub struct Tables {
    /// Closed windows only.
    pub windows: BTreeMap<WindowKey, Value>,
    /// By feature.
    pub features: BTreeMap<(WindowKey, String), Value>,
    /// By feature and method.
    pub drift: BTreeMap<(WindowKey, String, String), Value>,
    /// By metric.
    pub performance: BTreeMap<(WindowKey, String), Value>,
}

impl WindowKey {
    pub fn of(row: &Value) -> Self {
        Self { size: text(row, "window_size"), start: text(row, "window_start") }
    }
}

impl Tables {
    pub fn read(service: &Service, model: &str) -> Self {
        let rows = |table: &str, condition: &str| {
            let condition = format!("model = '{model}' AND segment IS NULL {condition}");
            service.sql(&format!("SELECT * FROM {table} WHERE {condition}")).into_iter()
        };
        Self {
            windows: rows("windows", "AND state = 'closed'").map(|row| (WindowKey::of(&row), row)).collect(),
            features: rows("features", "").map(|row| ((WindowKey::of(&row), text(&row, "feature")), row)).collect(),
            drift: rows("drift", "")
                .map(|row| ((WindowKey::of(&row), text(&row, "feature"), text(&row, "method")), row))
                .collect(),
            performance: rows("performance", "")
                .map(|row| ((WindowKey::of(&row), text(&row, "metric")), row))
                .collect(),
        }
    }

    /// Closed windows with the rows of `drift` in which the deciding method found drift.
    pub fn drifted(&self) -> impl Iterator<Item = (&WindowKey, &str, &Value)> {
        self.drift
            .iter()
            .filter(|((key, _, _), row)| {
                self.windows.contains_key(key) && row["decides"] == true && row["verdict"] == "drift"
            })
            .map(|((key, feature, _), row)| (key, feature.as_str(), row))
    }
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_else(|| panic!("{field} of {row}")).to_owned()
}
