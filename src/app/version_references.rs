//! The references that versions bring along: once one is registered it is counted in the anchors of its model, and sent to
//! where the windows of that model are judged.
//!
//! Everything follows from the registry and from the files, so that it is simply done again after a restart: a reference
//! that was sent before changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::deployments::source;
use super::first_reference::{FirstReferenceError, beginnings};
use super::monitored::MonitoredModels;
use super::{App, AppError, ReferenceError, read_version_reference};
use crate::api::{EventSink, RegistryHandle};
use crate::artifacts::{ArtifactError, ArtifactPath, Artifacts};
use crate::bus::{BusError, Producer};
use crate::clock::Clock;
use crate::model::Model;
use crate::profile::Reference;
use crate::registry::{Change, Command, Registry, Stage, Subject, Texts};
use crate::runner::{Models, PaneTopic, References, RoleError};
use crate::serve::Source;
use crate::settings::Settings;
use crate::window::{PaneRecord, VersionReference};

/// A tag of a version: the file of its reference, among the files of the model or of its run.
const REFERENCE_TAG: &str = "plimsoll.reference";
/// What became of it.
const STATUS_TAG: &str = "plimsoll.reference.status";
/// Who sets it.
const AUTHOR: &str = "plimsoll";
/// How often the registry is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long to wait before what could not be done is tried again.
const PAUSE: Duration = Duration::from_secs(5);
/// Larger files are not read.
const LARGEST: u64 = 256 << 20;

/// A version with a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) model: String,
    pub(super) version: u32,
    pub(super) source: Source,
    pub(super) file: String,
    pub(super) status: Option<String>,
    /// How the model is to be monitored, if this reference begins that.
    pub(super) wish: Option<String>,
}

/// What a reference was brought for: done once as long as this is the same.
type What = (Source, String, Option<String>);

/// A reference that windows are compared with from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InUse {
    rows: u64,
    sha256: String,
    /// Features that the model's own reference does not have.
    not_compared: Vec<String>,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// As long as neither the tags nor the place of the files change.
    Settled,
    /// Nothing can be done yet.
    Later,
    /// It failed, and may not the next time.
    TryAgain,
}

pub(super) struct Follower {
    registry: RegistryHandle,
    artifacts: Artifacts,
    models: Arc<MonitoredModels>,
    references: References,
    panes: PaneTopic,
    pub(super) references_topic: String,
    commands: String,
    pub(super) producer: Arc<Producer>,
    clock: Arc<dyn Clock>,
    pub(super) max_segments: usize,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("the files of the version are at '{0}': only files that were logged to plimsoll are read")]
    Elsewhere(String),
    #[error("there is no file '{0}' among those of the model or of its run")]
    Missing(String),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    First(#[from] FirstReferenceError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error("counting broke off: {0}")]
    BrokenOff(String),
}

/// Starts the task; it ends with the other followers.
pub(super) fn follow(
    app: &App,
    settings: &Settings,
    models: &Arc<MonitoredModels>,
    references: &References,
    panes: i32,
    clock: &Arc<dyn Clock>,
) -> Result<(), AppError> {
    let follower = Follower {
        registry: app.registry.clone(),
        artifacts: Artifacts::open(&settings.artifacts)?,
        models: Arc::clone(models),
        references: references.clone(),
        panes: PaneTopic { name: app.topics.panes.clone(), partitions: panes },
        references_topic: app.topics.references.clone(),
        commands: app.topics.registry_commands.clone(),
        producer: Arc::clone(&app.producer),
        clock: Arc::clone(clock),
        max_segments: settings.ingest.max_segments,
    };
    tokio::spawn(follower.run(app.followers.token()));
    Ok(())
}

impl Follower {
    async fn run(self, stop: CancellationToken) {
        let mut seen = None;
        // Of monitored models, and of those that are to be.
        let mut open: Vec<(Wanted, bool)> = Vec::new();
        let mut settled: BTreeMap<(String, u32, bool), What> = BTreeMap::new();
        while !stop.is_cancelled() {
            let look = self.registry.read(|registry| {
                let sequence = registry.sequence();
                (seen != Some(sequence)).then(|| (sequence, self.look(registry)))
            });
            if let Ok(Some((sequence, now))) = look {
                seen = Some(sequence);
                open = now;
            }
            open.retain(|(wanted, begins)| settled.get(&wanted.key(*begins)) != Some(&wanted.what()));
            let mut try_again = false;
            for (wanted, begins) in &open {
                let fate = if *begins { self.begin(wanted).await } else { self.bring(wanted).await };
                match fate {
                    Fate::Settled => {
                        settled.insert(wanted.key(*begins), wanted.what());
                    }
                    Fate::Later => {}
                    Fate::TryAgain => try_again = true,
                }
            }
            let pause = if try_again { PAUSE } else { LOOK };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// All references of versions, and whether monitoring begins with them.
    fn look(&self, registry: &Registry) -> Vec<(Wanted, bool)> {
        let wanted = wanted(registry);
        let beginnings = beginnings(registry, &wanted, |name| self.models.is_configured(name));
        let first = beginnings.into_iter().map(|wanted| (wanted, true));
        first.chain(wanted.into_iter().map(|wanted| (wanted, false))).collect()
    }

    /// Counts the reference and sends it, and notes at the version what became of that.
    async fn bring(&self, wanted: &Wanted) -> Fate {
        let models = self.models.current().models;
        let model = models.iter().find(|model| model.name == wanted.model);
        // A model whose reference comes with its first events has none before, nor has one that is not monitored.
        let (Some(model), Some(base)) = (model, self.references.get(&wanted.model)) else { return Fate::Later };
        let sent = self.send(wanted, model, &base).await;
        self.tell(wanted, sent).await
    }

    /// Notes at the version what became of its reference.
    pub(super) async fn tell(&self, wanted: &Wanted, sent: Result<InUse, Problem>) -> Fate {
        let (status, fate) = match sent {
            Ok(in_use) => (in_use.to_string(), Fate::Settled),
            Err(problem @ Problem::Missing(_)) => (format!("waiting: {problem}"), Fate::TryAgain),
            Err(problem) if problem.is_temporary() => {
                tracing::warn!(model = wanted.model, version = wanted.version, %problem, "reference is tried again");
                return Fate::TryAgain;
            }
            Err(problem) => (format!("refused: {problem}"), Fate::Settled),
        };
        tracing::info!(model = wanted.model, version = wanted.version, status, "reference of a version");
        if wanted.status.as_ref() != Some(&status)
            && let Err(error) = self.tag(wanted.subject(), STATUS_TAG, status).await
        {
            tracing::warn!(model = wanted.model, version = wanted.version, error, "reference is not noted");
        }
        fate
    }

    async fn send(&self, wanted: &Wanted, model: &Model, base: &Arc<Reference>) -> Result<InUse, Problem> {
        let content = Bytes::from(self.read(wanted).await?);
        let sha256 = format!("{:x}", Sha256::digest(&content));
        let (name, model, base) = (wanted.file.clone(), model.clone(), Arc::clone(base));
        let counted = tokio::task::spawn_blocking(move || read_version_reference(&name, content, &model, &base)).await;
        let (reference, not_compared) = counted.map_err(|error| Problem::BrokenOff(error.to_string()))??;
        let rows = reference.rows;
        let record = VersionReference { version: wanted.version.to_string(), reference };
        self.producer.publish(vec![self.panes.record(&PaneRecord::Reference(record))?]).await?;
        Ok(InUse { rows, sha256, not_compared })
    }

    pub(super) async fn read(&self, wanted: &Wanted) -> Result<Vec<u8>, Problem> {
        let (folder, run) = match &wanted.source {
            Source::Artifacts { folder, run } => (folder, run),
            Source::Elsewhere(place) => return Err(Problem::Elsewhere(place.clone())),
        };
        let file = ArtifactPath::parse(&wanted.file)?;
        for place in [Some(folder), run.as_ref()].into_iter().flatten() {
            match self.artifacts.read(&place.join(&file), LARGEST).await {
                Err(ArtifactError::Missing { .. }) => {}
                read => return Ok(read?),
            }
        }
        Err(Problem::Missing(wanted.file.clone()))
    }

    pub(super) async fn tag(&self, subject: Subject, tag: &str, value: String) -> Result<(), String> {
        let command = Command {
            id: Uuid::new_v4().simple().to_string(),
            at: self.clock.now(),
            user: AUTHOR.to_owned(),
            reason: String::new(),
            expected_revision: None,
            gated: false,
            change: Change::SetTags { subject, tags: Texts::from([(tag.to_owned(), value)]) },
        };
        let sink: &dyn EventSink = self.producer.as_ref();
        self.registry.submit(sink, &self.commands, &command).await.map(drop).map_err(|error| error.to_string())
    }
}

impl Wanted {
    fn key(&self, begins: bool) -> (String, u32, bool) {
        (self.model.clone(), self.version, begins)
    }

    fn what(&self) -> What {
        (self.source.clone(), self.file.clone(), self.wish.clone())
    }

    fn subject(&self) -> Subject {
        Subject::Version(self.model.clone(), self.version)
    }
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in use: {} rows, sha256 {}", self.rows, self.sha256)?;
        if self.not_compared.is_empty() {
            return Ok(());
        }
        write!(
            f,
            "; not compared, since the model's own reference does not have them: {}",
            self.not_compared.join(", ")
        )
    }
}

impl Problem {
    const fn is_temporary(&self) -> bool {
        matches!(self, Self::Artifact(ArtifactError::Storage { .. }) | Self::Bus(_) | Self::BrokenOff(_))
    }
}

/// The versions that have a reference and may be used.
fn wanted(registry: &Registry) -> Vec<Wanted> {
    let versions = registry.models().flat_map(|model| registry.versions_of(&model.name));
    let usable = versions.filter(|version| version.stage != Stage::Archived);
    usable
        .filter_map(|version| {
            Some(Wanted {
                model: version.name.clone(),
                version: version.version,
                source: source(registry, version),
                file: version.tags.get(REFERENCE_TAG)?.clone(),
                status: version.tags.get(STATUS_TAG).cloned(),
                wish: None,
            })
        })
        .collect()
}
