//! Building and starting the parts, in the order in which they need each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::golden::golden_rows;
use super::http::RunningHttp;
use super::monitored::MonitoredModels;
use super::rollouts;
use super::serving::{self, Prepared};
use super::threads::Threads;
use super::webhook_key::webhook_key;
use super::{App, AppError, Part, follow, load_reference, version_references};
use crate::api::{ApiParts, EventSink, RegistryHandle, View, ViewHandle, ViewLimits};
use crate::artifacts::Artifacts;
use crate::bus::{Admin, BrokerSource, BusError, Consumer, EmbeddedBroker, Instance, Producer, Tail, Topic, Topics};
use crate::clock::Clock;
use crate::evaluate::EvaluateRole;
use crate::evaluate::checks::{CheckRunner, load_checks};
use crate::ingest::IngestRole;
use crate::join::JoinRole;
use crate::model::{Model, ReferenceSource};
use crate::notify::{Mailer, NotifyRole, SmtpMailer};
use crate::processors::Processors;
use crate::profile::Reference;
use crate::query::{ModelRow, QueryEngine, QueryLimits};
use crate::registry::RegistryRole;
use crate::registry::gates::GateRunner;
use crate::registry::openlineage::{OpenLineageRole, OpenLineageSettings};
use crate::registry::webhooks::{Outbound, WebhookRole};
use crate::runner::{self, Models, PaneTopic, References, Role, RunnerSettings};
use crate::settings::Settings;
use crate::state::{Identity, StateError, StateRoot};
use crate::telemetry::{Health, Telemetry};

/// Rows of one SQL answer.
const MAX_ROWS: usize = 100_000;
/// First and longest pause before the topics are asked for again.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What the parts need of the topics.
pub(super) struct Connected {
    /// If HTTP is to be served, or rollouts followed.
    pub(super) view: Option<Tail>,
    /// If models are to be served or monitored.
    pub(super) registry: Option<Tail>,
    /// Of models whose reference comes from the stream or with a registered version.
    pub(super) references: Option<Tail>,
    pub(super) partitions: Partitions,
}

/// What reaches out of the service.
struct Senders {
    mailer: Option<Arc<dyn Mailer>>,
    webhooks: Outbound,
    lineage: OpenLineageSettings,
}

impl Senders {
    fn new(settings: &Settings) -> Result<Self, AppError> {
        let mailer = settings.email.as_ref().map(SmtpMailer::new).transpose()?;
        let mailer = mailer.map(|mailer| Arc::new(mailer) as Arc<dyn Mailer>);
        let webhooks = Outbound::new(&settings.webhooks, &webhook_key(settings)?)?;
        Ok(Self { mailer, webhooks, lineage: settings.openlineage.clone() })
    }
}

pub(super) struct Partitions {
    panes: i32,
    joins: i32,
    cluster: Option<String>,
}

/// Starts the parts; returns when all of them have been started, which waits for the broker as long as it takes.
///
/// `shutdown` ends that wait. Ready references, such as the demo's, are passed in; the others are read from their files.
pub async fn start(
    mut settings: Settings,
    parts: BTreeSet<Part>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    ready: Vec<Reference>,
    shutdown: &CancellationToken,
) -> Result<App, AppError> {
    let limits = QueryLimits { memory: settings.checks.memory, timeout: settings.checks.timeout, max_rows: MAX_ROWS };
    // Two engines, so that a user's long query cannot hold up the checks.
    let (sql, engine) = (QueryEngine::new(limits)?, QueryEngine::new(limits)?);
    let checks = CheckRunner::new(engine.clone(), load_checks(&settings.checks.directory)?);
    checks.validate().await?;
    let senders = Senders::new(&settings)?;
    let references = read_references(&settings, ready).await?;
    let state = Arc::new(StateRoot::open(&settings.state)?.watched_by(&telemetry));

    let topics = Topics::new(&settings.bus);
    let view = ViewHandle::new(View::new(model_rows(&settings.models, &references), ViewLimits::default()));
    let registry = RegistryHandle::default();
    let (serving_part, prepared) = serving::prepare(&settings, &parts, &topics, &telemetry, &clock)?;
    report_starting(&telemetry, &parts, prepared.is_some());
    // The embedded broker must be up before its clients look for it, and HTTP before any wait.
    let serving = CancellationToken::new();
    let (for_http, for_broker) = processors(&settings, prepared.is_some());
    let broker = start_broker(&mut settings, &for_broker).await?;
    let instance = claim_instance(&mut settings);
    let producer = Arc::new(Producer::new(&settings.bus, &telemetry)?);
    let admin = Arc::new(Admin::new(&settings.bus, &telemetry)?);
    let log = (&admin, topics.registry.as_str());
    let monitored = Arc::new(MonitoredModels::new(&settings, &registry, &references, &view, log, &telemetry));
    let models: Arc<dyn Models> = monitored.clone();
    let mut http = None;
    if parts.contains(&Part::Api) {
        let api_parts = ApiParts {
            settings: settings.http.clone(),
            models: Arc::clone(&models),
            topics: topics.clone(),
            view: view.clone(),
            registry: registry.clone(),
            artifacts: Artifacts::open(&settings.artifacts)?,
            serving: serving_part,
            outbound: senders.webhooks.clone(),
            gates: GateRunner::new(engine.clone(), settings.gates.clone()).with_golden_rows(golden_rows(
                &settings,
                &registry,
                &models,
                prepared.as_ref(),
            )?),
            references: references.clone(),
            incoming_secret: settings.webhooks.incoming_secret.clone(),
            seen: Arc::default(),
            sink: Arc::clone(&producer) as Arc<dyn EventSink>,
            sql: Arc::new(sql),
            telemetry: telemetry.clone(),
            clock: Arc::clone(&clock),
            started_at: clock.now(),
        };
        http = Some(RunningHttp::start(api_parts, &for_http, serving.clone()).await?);
    }

    let mut app = App {
        http: http.as_ref().and_then(|http| http.address),
        view,
        registry,
        bus: settings.bus.clone(),
        topics,
        producer,
        admin,
        telemetry,
        roles: Threads::new(),
        followers: Threads::new(),
        server: http,
        serving,
        answers: None,
        broker,
        _instance: instance,
        parts,
    };
    let connected = tokio::select! {
        () = shutdown.cancelled() => {
            app.drain().await?;
            return Err(AppError::Stopped);
        }
        connected = connect(&app, &settings) => connected?,
    };
    let claimed = tokio::select! {
        () = shutdown.cancelled() => Err(AppError::Stopped),
        claimed = claim(&app, &state, &connected.partitions, clock.as_ref()) => claimed,
    };
    if let Err(error) = claimed {
        app.drain().await?;
        return Err(error);
    }
    let partitions = follow::start(&mut app, &monitored, &references, connected)?;
    if app.parts.contains(&Part::Api) {
        version_references::follow(&app, &settings, &monitored, &references, partitions.panes, &clock)?;
    }
    if let Err(error) = know_models(&app, &monitored, shutdown).await {
        app.drain().await?;
        return Err(error);
    }
    let mut roles = build_roles(&app, &settings, &models, &references, &partitions, &checks, &senders)?;
    roles.extend(prepared.map(|prepared| start_serving(&mut app, prepared, &models)));
    for role in roles {
        start_role(&mut app, &settings, role, Arc::clone(&state), Arc::clone(&clock))?;
    }
    Ok(app)
}

/// Parts that are not ready yet; serving only if it can be.
fn report_starting(telemetry: &Telemetry, parts: &BTreeSet<Part>, serves: bool) {
    let is_awaited = |part: &&Part| **part != Part::Api && (**part != Part::Serve || serves);
    for part in parts.iter().filter(is_awaited) {
        telemetry.report(part.name(), Health::Starting);
    }
    telemetry.report("kafka", Health::Starting);
}

/// Those of HTTP and those of the embedded broker: who asks a model waits for the answer.
fn processors(settings: &Settings, serves: bool) -> (Processors, Processors) {
    let is_embedded = matches!(settings.bus.brokers, BrokerSource::Embedded { .. });
    if is_embedded && serves { Processors::divide(settings.http.threads) } else { Default::default() }
}

async fn start_broker(settings: &mut Settings, processors: &Processors) -> Result<Option<EmbeddedBroker>, AppError> {
    let BrokerSource::Embedded { listen, data } = &mut settings.bus.brokers else { return Ok(None) };
    let broker = EmbeddedBroker::start_on(processors, *listen, data).await?;
    // Port 0 leaves the choice to the system.
    *listen = broker.address();
    Ok(Some(broker))
}

/// Gives this process a name in its consumer groups, if its configuration does not.
fn claim_instance(settings: &mut Settings) -> Option<Instance> {
    if settings.bus.instance.is_some() || matches!(settings.bus.brokers, BrokerSource::Embedded { .. }) {
        return None;
    }
    let claimed = Instance::claim(&settings.data).unwrap_or_else(|error| {
        let folder = settings.data.display();
        tracing::warn!(%folder, %error, "the data folder cannot keep a name for this process; set kafka.instance");
        None
    });
    settings.bus.instance = claimed.as_ref().map(|instance| instance.name().to_owned());
    claimed
}

async fn read_references(settings: &Settings, ready: Vec<Reference>) -> Result<References, AppError> {
    let references = References::default();
    for reference in ready {
        references.set(reference);
    }
    for model in &settings.models {
        let ReferenceSource::File(path) = model.reference.clone() else { continue };
        if references.get(&model.name).is_some() {
            continue;
        }
        let (model, max_segments) = (model.clone(), settings.ingest.max_segments);
        let name = model.name.clone();
        let read = tokio::task::spawn_blocking(move || load_reference(&path, &model, max_segments)).await;
        let read = read.map_err(|error| AppError::Thread { name: "reference".into(), reason: error.to_string() })?;
        references.set(read.map_err(|source| AppError::Reference { model: name, source })?);
    }
    Ok(references)
}

pub(super) fn model_rows(models: &[Model], references: &References) -> Vec<ModelRow> {
    models
        .iter()
        .map(|model| {
            let reference = references.get(&model.name);
            ModelRow {
                model: model.name.clone(),
                task: Some(format!("{:?}", model.task).to_lowercase()),
                features: reference.as_ref().map_or(0, |reference| reference.features().count() as u64),
                reference_rows: reference.map(|reference| reference.rows),
                ..ModelRow::default()
            }
        })
        .collect()
}

/// Creates the topics that are missing and makes their readers. Waits for a broker that is away, or that has not heard
/// of new topics yet; wrong settings are an error.
async fn connect(app: &App, settings: &Settings) -> Result<Connected, AppError> {
    let mut pause = BACKOFF.0;
    loop {
        app.admin.wait_until_reachable().await;
        match try_to_connect(app, settings).await {
            Ok(connected) => return Ok(connected),
            Err(error @ (BusError::Unreachable { .. } | BusError::Missing { .. })) => {
                tracing::info!(%error, "the topics cannot be used yet, trying again");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

async fn try_to_connect(app: &App, settings: &Settings) -> Result<Connected, BusError> {
    let others = settings.openlineage.topics.iter().map(|name| Topic::of_others(name, &settings.bus));
    let topics: Vec<Topic> = app.topics.all(&settings.bus).into_iter().chain(others).collect();
    app.admin.ensure(&topics).await?;
    let tail = |names: &[String]| tokio::task::block_in_place(|| Tail::new(&settings.bus, names, &app.telemetry));
    let viewed = rollouts::viewed(app);
    let view = (!viewed.is_empty()).then(|| tail(&viewed)).transpose()?;
    let reads_registry = needs_models(&app.parts);
    let registry = reads_registry.then(|| tail(std::slice::from_ref(&app.topics.registry))).transpose()?;
    let references = reads_registry.then(|| tail(std::slice::from_ref(&app.topics.references))).transpose()?;
    let panes = app.admin.partitions(&app.topics.panes).await?;
    let joins = app.admin.partitions(&app.topics.joins).await?;
    let cluster = app.admin.cluster_id().await?;
    Ok(Connected { view, registry, references, partitions: Partitions { panes, joins, cluster } })
}

/// Returns when the models are known that roles start with; those that come later are taken over.
async fn know_models(app: &App, models: &Arc<MonitoredModels>, shutdown: &CancellationToken) -> Result<(), AppError> {
    if !needs_models(&app.parts) {
        return Ok(());
    }
    tokio::select! {
        () = shutdown.cancelled() => return Err(AppError::Stopped),
        () = models.wait() => {}
    }
    tokio::spawn(Arc::clone(models).follow(app.followers.token()));
    Ok(())
}

/// Whether one of the parts serves, monitors or shows models, some of which may only be registered.
fn needs_models(parts: &BTreeSet<Part>) -> bool {
    [Part::Api, Part::Serve, Part::Ingest, Part::Join, Part::Evaluate].iter().any(|part| parts.contains(part))
}

/// Refuses state that is not this deployment's, before any of it is opened.
async fn claim(app: &App, state: &StateRoot, partitions: &Partitions, clock: &dyn Clock) -> Result<(), AppError> {
    let counts = [(&app.topics.panes, partitions.panes), (&app.topics.joins, partitions.joins)];
    let identity = Identity {
        cluster: partitions.cluster.clone(),
        prefix: app.bus.prefix.clone(),
        partitions: counts.into_iter().map(|(topic, count)| (topic.clone(), count)).collect(),
    };
    let mut pause = BACKOFF.0;
    let deployment = loop {
        match state.claim(&identity, clock.now()).await {
            Ok(deployment) => break deployment,
            Err(error @ StateError::Storage { .. }) => {
                tracing::warn!(%error, "the state cannot be used yet, trying again");
                app.telemetry.report("state", Health::Blocked(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    };
    app.telemetry.report("state", Health::Ready);
    tracing::info!(place = state.place(), deployment = deployment.deployment, "state is this deployment's");
    Ok(())
}

fn build_roles(
    app: &App,
    settings: &Settings,
    models: &Arc<dyn Models>,
    references: &References,
    partitions: &Partitions,
    checks: &CheckRunner,
    senders: &Senders,
) -> Result<Vec<Box<dyn Role>>, AppError> {
    let topics = app.topics.clone();
    let panes = PaneTopic { name: topics.panes.clone(), partitions: partitions.panes };
    let join_partitions = partitions.joins;
    let mut roles: Vec<Box<dyn Role>> = Vec::new();
    for part in &app.parts {
        let (models, topics, panes) = (Arc::clone(models), topics.clone(), panes.clone());
        let references = references.clone();
        match part {
            Part::Ingest => roles.push(Box::new(IngestRole {
                models,
                topics,
                panes,
                join_partitions,
                references,
                settings: settings.ingest.clone(),
            })),
            Part::Join => roles.push(Box::new(JoinRole { models, topics, panes, references })),
            Part::Evaluate => {
                roles.push(Box::new(EvaluateRole { models, topics, panes, references, checks: checks.clone() }));
            }
            Part::Registry => roles.push(Box::new(RegistryRole::new(&topics))),
            Part::Rollouts => roles.push(Box::new(rollouts::role(&topics, &app.view))),
            Part::Webhooks => {
                roles.push(Box::new(WebhookRole::new(&topics, senders.webhooks.clone(), &app.telemetry)));
            }
            Part::Lineage => {
                roles.push(Box::new(OpenLineageRole::new(&topics, &senders.lineage, &app.telemetry)?));
            }
            Part::Notify => roles.push(Box::new(NotifyRole::new(&topics, senders.mailer.clone(), &app.telemetry))),
            // Serving is started on its own, where it can be.
            Part::Serve | Part::Api => {}
        }
    }
    Ok(roles)
}

fn start_serving(app: &mut App, prepared: Prepared, models: &Arc<dyn Models>) -> Box<dyn Role> {
    let (role, running) = prepared.start(&app.producer, &app.registry, models, &app.followers.token());
    app.answers = Some(running);
    Box::new(role)
}

fn start_role(
    app: &mut App,
    settings: &Settings,
    role: Box<dyn Role>,
    state: Arc<StateRoot>,
    clock: Arc<dyn Clock>,
) -> Result<(), AppError> {
    let runner_settings = RunnerSettings {
        checkpoint: settings.checkpoint,
        state,
        producer: app.producer.clone(),
        clock,
        telemetry: app.telemetry.clone(),
        shutdown: app.roles.token(),
    };
    let (bus, telemetry) = (settings.bus.clone(), app.telemetry.clone());
    let runtime = Handle::current();
    let name = role.name();
    app.roles.spawn(name, move || {
        let group = format!("{}.{}", bus.prefix, role.name());
        let consumer = || Consumer::new(&bus, &group, &role.topics(), &telemetry);
        runner::run(role.as_ref(), &runner_settings, &runtime, &consumer);
    })
}
