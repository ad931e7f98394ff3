//! Plimsoll's topics: names and settings.

use super::BusSettings;

/// Panes and dead letters may hold far more than Kafka's default of 1 MiB.
const LARGE: u64 = 16 * 1024 * 1024;

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
    pub registry: String,
    pub registry_commands: String,
    pub requests: String,
    pub responses: String,
    /// What is told in OpenLineage's events.
    pub openlineage: String,
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
        Self::named(&settings.prefix, &settings.predictions, &settings.outcomes)
    }

    /// The users' topics by their names and Plimsoll's own behind a prefix.
    #[must_use]
    pub fn named(prefix: &str, predictions: &[String], outcomes: &[String]) -> Self {
        let own = |name: &str| format!("{prefix}.{name}");
        Self {
            predictions: predictions.to_vec(),
            outcomes: outcomes.to_vec(),
            joins: own("joins"),
            panes: own("panes"),
            windows: own("windows"),
            alerts: own("alerts"),
            retraining: own("retraining"),
            references: own("references"),
            accounting: own("accounting"),
            registry: own("registry"),
            registry_commands: own("registry-commands"),
            requests: own("requests"),
            responses: own("responses"),
            openlineage: own("openlineage"),
            deadletter: own("deadletter"),
        }
    }

    /// Every topic that must exist, with the settings that Plimsoll gives to those it creates.
    #[must_use]
    pub fn all(&self, settings: &BusSettings) -> Vec<Topic> {
        let many = settings.partitions;
        let users = self.predictions.iter().chain(&self.outcomes).map(|name| Topic::new(name, many));
        let own = [
            Topic::new(&self.joins, many),
            Topic::new(&self.panes, many).compacted().large(),
            Topic::new(&self.windows, many).compacted(),
            Topic::new(&self.alerts, 1).compacted(),
            Topic::new(&self.retraining, 1),
            Topic::new(&self.references, 1).compacted(),
            Topic::new(&self.accounting, 1).compacted(),
            Topic::new(&self.registry, 1).compacted().large(),
            // Every key is another one: compaction keeps them all, so that the registry can be decided anew from them.
            Topic::new(&self.registry_commands, 1).compacted().large(),
            Topic::new(&self.requests, many).large(),
            Topic::new(&self.responses, many).large(),
            Topic::new(&self.openlineage, 1),
            Topic::new(&self.deadletter, many).large(),
        ];
        users.chain(own).collect()
    }
}

impl Topic {
    fn new(name: &str, partitions: i32) -> Self {
        Self { name: name.to_owned(), partitions, compacted: false, max_message_bytes: None }
    }

    /// One that others write to.
    #[must_use]
    pub fn of_others(name: &str, settings: &BusSettings) -> Self {
        Self::new(name, settings.partitions)
    }

    fn compacted(self) -> Self {
        Self { compacted: true, ..self }
    }

    fn large(self) -> Self {
        Self { max_message_bytes: Some(LARGE), ..self }
    }
}
