//! The roles of one simulation, with the model they watch.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use plimsoll::clock::Span;
use plimsoll::evaluate::EvaluateRole;
use plimsoll::evaluate::checks::CheckRunner;
use plimsoll::ingest::{IngestRole, IngestSettings};
use plimsoll::join::JoinRole;
use plimsoll::model::{FeatureSpec, Model, ReferenceSource, Task, WindowSize};
use plimsoll::notify::NotifyRole;
use plimsoll::profile::Reference;
use plimsoll::query::{QueryEngine, QueryLimits};
use plimsoll::runner::{FixedModels, PaneTopic, References, Role};
use plimsoll::telemetry::Telemetry;

use super::input::{HORIZON, LARGEST};
use super::ports::SimMailer;
use super::world::Shared;
use crate::pipeline::stream::Choices;
use crate::pipeline::{reference, topics};

#[derive(Clone)]
pub struct Cast {
    pub model: Model,
}

thread_local! {
    /// Making one takes longer than a seed.
    static CHECKS: RefCell<Option<CheckRunner>> = const { RefCell::new(None) };
}

impl Cast {
    pub fn of(seed: u64) -> Self {
        let mut choices = Choices::new(seed ^ 0xCA57);
        let mut model = Model::new("m", Task::Binary, ReferenceSource::File("unused".into()));
        model.pane = Span::from_hours([3, 6, 24][usize::try_from(choices.below(3)).unwrap()]);
        model.windows = vec![WindowSize::tumbling(Span::from_days(1))];
        if choices.one_in(2) {
            model.windows.push(WindowSize { length: Span::from_days(2), slide: Span::from_days(1) });
        }
        if choices.one_in(3) {
            model.segments = vec!["region".to_owned()];
        }
        model.label_horizon = HORIZON;
        model.features.insert("amount".to_owned(), FeatureSpec { max: Some(LARGEST), ..FeatureSpec::default() });
        if choices.one_in(5) {
            model.reference = ReferenceSource::First(5 + choices.below(10));
        }
        Self { model }
    }

    pub fn is_from_stream(&self) -> bool {
        matches!(self.model.reference, ReferenceSource::First(_))
    }

    /// What a process knows at its start.
    pub fn references(&self) -> References {
        static WHOLE: OnceLock<Reference> = OnceLock::new();
        static SEGMENTED: OnceLock<Reference> = OnceLock::new();
        let references = References::default();
        if !self.is_from_stream() {
            let known = if self.model.segments.is_empty() { &WHOLE } else { &SEGMENTED };
            references.set(known.get_or_init(|| reference(&self.model)).clone());
        }
        references
    }

    pub fn roles(&self, world: &Shared, references: &References, wanted: &[&str]) -> Vec<Arc<dyn Role>> {
        wanted.iter().map(|role| self.role(role, world, references)).collect()
    }

    fn role(&self, role: &str, world: &Shared, references: &References) -> Arc<dyn Role> {
        let models = FixedModels::shared(vec![self.model.clone()]);
        let references = references.clone();
        let panes = PaneTopic { name: "plimsoll.panes".into(), partitions: 2 };
        let topics = topics();
        match role {
            "ingest" => Arc::new(IngestRole {
                models,
                topics,
                panes,
                join_partitions: 2,
                references,
                settings: IngestSettings { max_message_bytes: 1 << 20, max_segments: 10 },
            }),
            "join" => Arc::new(JoinRole { models, topics, panes, references }),
            "evaluate" => Arc::new(EvaluateRole { models, topics, panes, references, checks: checks() }),
            _ => {
                let mailer = Arc::new(SimMailer { world: world.clone() });
                Arc::new(NotifyRole::new(&topics, Some(mailer), &Telemetry::default()))
            }
        }
    }
}

fn checks() -> CheckRunner {
    CHECKS.with_borrow_mut(|checks| {
        let limits = QueryLimits { memory: 1 << 24, timeout: Span::from_secs(10), max_rows: 10 };
        checks.get_or_insert_with(|| CheckRunner::new(QueryEngine::new(limits).unwrap(), Vec::new())).clone()
    })
}
