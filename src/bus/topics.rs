//! Plimsoll's topics: names and settings.

use super::BusSettings;

/// Names of every topic of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    pub predictions: Vec<String>,
    pub outcomes: Vec<String>,
    pub joins: String,
    pub panes: String,
    pub windows: String,
    pub alerts: String,
    pub retraining: String,
    pub references: String,
    pub accounting: String,
    pub deadletter: String,
}

/// A topic as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub partitions: i32,
    pub compacted: bool,
    /// Largest record batch in bytes, where the broker's default is too small.
    pub max_message_bytes: Option<u64>,
}

impl Topics {
    #[must_use]
    pub fn new(settings: &BusSettings) -> Self {
        let own = |name: &str| format!("{}.{name}", settings.prefix);
        Self {
            predictions: settings.predictions.clone(),
            outcomes: settings.outcomes.clone(),
            joins: own("joins"),
            panes: own("panes"),
            windows: own("windows"),
            alerts: own("alerts"),
            retraining: own("retraining"),
            references: own("references"),
            accounting: own("accounting"),
            deadletter: own("deadletter"),
        }
    }
}
