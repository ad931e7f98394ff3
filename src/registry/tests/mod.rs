mod crashes;
mod decisions;
mod gates;
mod lineage;
mod rollouts;
mod tracking;

use super::samples::texts;
use super::*;
use crate::clock::Timestamp;

/// A registry, and commands with ids that count.
struct Bench {
    registry: Registry,
    given: u64,
}

impl Bench {
    fn new() -> Self {
        Self { registry: Registry::default(), given: 0 }
    }

    /// With the registered model `m` that has this many versions.
    fn with_versions(count: u32) -> Self {
        let mut bench = Self::new();
        bench.done(create_model("m"));
        for _ in 0..count {
            bench.done(create_version("m"));
        }
        bench
    }

    fn give(&mut self, change: Change) -> Result<Vec<Event>, Rejection> {
        self.give_at(None, change)
    }

    fn give_at(&mut self, expected_revision: Option<u64>, change: Change) -> Result<Vec<Event>, Rejection> {
        self.given += 1;
        let command = Command { expected_revision, ..command(self.given, change) };
        let events = decide(&self.registry, &command)?;
        self.registry.fold(self.registry.sequence() + 1, command.at, &events);
        Ok(events)
    }

    #[track_caller]
    fn done(&mut self, change: Change) -> Vec<Event> {
        self.give(change).unwrap()
    }

    /// The command is rejected for this reason and changes nothing.
    #[track_caller]
    fn refuses(&mut self, kind: RejectionKind, words: &str, change: Change) {
        let before = self.registry.clone();
        let rejection = self.give(change).unwrap_err();
        assert_eq!(rejection.kind, kind, "{rejection}");
        assert!(rejection.message.contains(words), "{rejection}");
        assert_eq!(self.registry, before);
    }
}

fn command(number: u64, change: Change) -> Command {
    Command {
        id: format!("{number:032x}"),
        at: Timestamp::from_millis(1_000 * i64::try_from(number).unwrap()),
        user: "ada".into(),
        reason: String::new(),
        expected_revision: None,
        gated: false,
        change,
    }
}

fn create_model(name: &str) -> Change {
    Change::CreateModel { name: name.into(), description: String::new(), tags: Texts::new() }
}

fn create_version(name: &str) -> Change {
    Change::CreateVersion {
        name: name.into(),
        source: "mlflow-artifacts:/0/x".into(),
        run_id: String::new(),
        run_link: String::new(),
        model_id: String::new(),
        description: String::new(),
        tags: Texts::new(),
    }
}

fn transition(version: u32, stage: Stage, archive_existing: bool) -> Change {
    Change::TransitionStage { name: "m".into(), version, stage, archive_existing }
}

fn create_run() -> Change {
    Change::CreateRun {
        experiment_id: DEFAULT_EXPERIMENT.into(),
        run_name: Some("first".into()),
        user_id: "ada".into(),
        start_time: None,
        tags: Texts::new(),
    }
}

fn metric(key: &str, value: f64, step: i64) -> Metric {
    Metric {
        key: key.into(),
        value,
        timestamp: 100 + step,
        step,
        model_id: None,
        dataset_name: None,
        dataset_digest: None,
    }
}

fn log(run_id: &str, metrics: Vec<Metric>, params: &[(&str, &str)]) -> Change {
    let params = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Change::LogBatch { run_id: run_id.into(), metrics, params, tags: Texts::new() }
}
