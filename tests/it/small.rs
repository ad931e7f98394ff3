//! A small model, for tests that need no story: two features, windows of a day.

use std::path::Path;

use serde_json::{Value, json};

/// The day of most events; the reference lies days before it.
pub const DAY: &str = "2024-03-10";

/// Writes a reference of a hundred rows into `folder` and returns the `[[model]]` named `m` that it belongs to.
/// Whether its windows close depends on event time alone, and on partitions being idle for a second.
pub fn model(folder: &Path) -> String {
    let reference = folder.join("reference.csv");
    std::fs::write(&reference, reference_csv()).unwrap();
    format!("\n[[model]]\nname = \"m\"\nreference = {{ file = {reference:?} }}\n{DEFINITION}")
}

/// What is watched of it, and how.
pub const DEFINITION: &str = r#"
task = "binary"
panes = "1h"
windows = ["1d"]
lateness = "0s"
label_horizon = "1d"
retention = "3d"
idle_timeout = "1s"
drift = { min_samples = 10 }
performance = { min_samples = 10 }
"#;

/// `amount` 0 to 9, `colour` red or green; nine of ten predictions are right.
pub fn reference_csv() -> String {
    let mut csv = "id,time,label,score,outcome,amount,colour\n".to_owned();
    for row in 0..100 {
        let (label, score, colour) = if row % 2 == 0 { (0, 0.1, "red") } else { (1, 0.9, "green") };
        let outcome = if row % 10 == 3 { 1 - label } else { label };
        let (minute, amount) = (row % 60, row / 10);
        csv += &format!("r{row},2024-03-01T00:{minute:02}:00Z,{label},{score},{outcome},{amount},{colour}\n");
    }
    csv
}

/// A prediction at a minute of the day, beyond midnight from 1,440 on.
pub fn prediction(id: &str, minute: usize) -> Value {
    let (amount, colour) = (minute % 10, if minute.is_multiple_of(2) { "red" } else { "green" });
    json!({
        "id": id, "model": "m", "version": "1", "time": time(minute), "latency_ms": 1.5,
        "features": {"amount": amount, "colour": colour},
        "prediction": {"label": "1", "score": 0.9},
    })
}

/// The outcome of the prediction with this id.
pub fn outcome(id: &str, minute: usize) -> Value {
    json!({"id": id, "model": "m", "time": time(minute), "label": "1"})
}

fn time(minute: usize) -> String {
    let day = 10 + minute / 1_440;
    format!("2024-03-{day:02}T{:02}:{:02}:00Z", minute / 60 % 24, minute % 60)
}
