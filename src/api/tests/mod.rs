//! The router as clients meet it, with a made-up broker and query engine.

mod edge;
mod events;
mod exposition;
mod first_page;
mod rollouts;
mod tables;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::artifacts::{ArtifactSettings, Artifacts};
use crate::bus::{Outgoing, Record};
use crate::clock::{ManualClock, Timestamp};
use crate::query::Snapshot;
use crate::runner::{FixedModels, References};
use crate::telemetry::{Health, Telemetry};

/// Keeps what it is given, or fails.
#[derive(Default)]
struct Sink {
    published: Mutex<Vec<Outgoing>>,
    fails: Option<SinkError>,
}

#[async_trait]
impl EventSink for Sink {
    async fn publish(&self, records: Vec<Outgoing>, _: Duration) -> Result<(), SinkError> {
        if let Some(error) = &self.fails {
            return Err(error.clone());
        }
        self.published.lock().unwrap().extend(records);
        Ok(())
    }
}

/// Answers with the query and the format it was asked for.
struct Echo;

#[async_trait]
impl Sql for Echo {
    async fn query(&self, _: Arc<Snapshot>, sql: String, format: SqlFormat) -> Result<SqlAnswer, SqlProblem> {
        match sql.as_str() {
            "nonsense" => Err(SqlProblem::Refused { code: "sql_syntax".into(), detail: "expected SELECT".into() }),
            "slow" => Err(SqlProblem::TimedOut { detail: "the query took longer than 10s".into() }),
            _ => Ok(SqlAnswer { body: format!("{format:?} {sql}").into_bytes(), truncated: sql.ends_with('3') }),
        }
    }
}

struct Bench {
    router: Router,
    sink: Arc<Sink>,
    telemetry: Telemetry,
    /// Of the artifacts.
    _folder: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Bench {
    fn new() -> Self {
        Self::with(Sink::default(), |_| {})
    }

    fn with_registry(registry: RegistryHandle) -> Self {
        Self::build(Sink::default(), registry, |_| {})
    }

    fn with(sink: Sink, change: impl FnOnce(&mut HttpSettings)) -> Self {
        Self::build(sink, RegistryHandle::default(), change)
    }

    fn build(sink: Sink, registry: RegistryHandle, change: impl FnOnce(&mut HttpSettings)) -> Self {
        let mut settings =
            HttpSettings { listen: "127.0.0.1:8080".parse().unwrap(), max_body: 4_096, threads: 1, token: None };
        change(&mut settings);
        let (sink, telemetry) = (Arc::new(sink), Telemetry::default());
        let folder = tempfile::tempdir().unwrap();
        let parts = ApiParts {
            settings,
            models: FixedModels::shared(vec![samples::model()]),
            topics: samples::topics(),
            view: ViewHandle::new(filled()),
            registry,
            artifacts: artifacts(folder.path(), 1_000),
            serving: ServingPart::Off("it is not served here".into()),
            outbound: samples::outbound(),
            gates: samples::gates(),
            references: References::default(),
            incoming_secret: None,
            seen: Arc::default(),
            sink: sink.clone(),
            sql: Arc::new(Echo),
            telemetry: telemetry.clone(),
            clock: Arc::new(ManualClock::default()),
            started_at: Timestamp::from_millis(1_500),
        };
        Self { router: router(ApiState::new(parts).unwrap()), sink, telemetry, _folder: folder }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path).body(body.into()).unwrap()).await
    }

    fn published(&self) -> Vec<Outgoing> {
        self.sink.published.lock().unwrap().clone()
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a problem document with this status and code.
    #[track_caller]
    fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{}", self.text);
        problem
    }
}

/// A place for files of up to `max_file` bytes.
fn artifacts(folder: &Path, max_file: u64) -> Artifacts {
    Artifacts::open(&ArtifactSettings { url: format!("file://{}", folder.display()), max_file }).unwrap()
}

/// The story of the samples, as it comes from the topics.
fn filled() -> View {
    let story = samples::story();
    let mut view = View::new(story.models.clone(), ViewLimits::default());
    for window in &story.windows {
        apply(&mut view, ViewTopic::Windows, window.as_ref());
    }
    for alert in &story.alerts {
        apply(&mut view, ViewTopic::Alerts, alert.as_ref());
    }
    for request in &story.retraining {
        apply(&mut view, ViewTopic::Retraining, request.as_ref());
    }
    for row in &story.accounting {
        apply(&mut view, ViewTopic::Accounting, &row.accounting);
        view.set_end_offset(&row.accounting.topic, row.accounting.partition, row.accounting.next_offset + 4);
    }
    view
}

fn apply(view: &mut View, topic: ViewTopic, row: &impl serde::Serialize) {
    let payload = serde_json::to_vec(row).unwrap();
    view.apply(topic, &Record { offset: 0, timestamp: None, key: None, payload: Some(&payload) }).unwrap();
}
