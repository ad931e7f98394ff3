//! Events of both directions, and the way from a version up to raw data.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::bus::{Outgoing, Records, Topics};
use crate::clock::{Span, Timestamp};
use crate::event::{SourcePartition, from_json, to_json};
use crate::registry::deliveries::Results;
use crate::registry::openlineage::outgoing::{Sink, Teller};
use crate::registry::samples::texts;
use crate::registry::webhooks::{Post, PostError, Poster, Reply};
use crate::registry::{
    Change, Command, DEFAULT_EXPERIMENT, DatasetInput, Decision, Event, Lineage, Outcome, Registry, RejectionKind,
    RunStatus, Subject, Texts, decide,
};
use crate::runner::{Machine, OpenPartition, Role};
use crate::state::MemoryStore;
use crate::telemetry::Telemetry;

const RUN: &str = "6f1c7a3e9d2b4c5f8a0e1d2c3b4a5968";
const RUN_ID: &str = "6f1c7a3e-9d2b-4c5f-8a0e-1d2c3b4a5968";

/// A registry with its log.
#[derive(Default)]
struct Bench {
    registry: Registry,
    log: Vec<Decision>,
}

impl Bench {
    fn give(&mut self, id: &str, change: Change) -> Result<(), crate::registry::Rejection> {
        let sequence = self.registry.sequence() + 1;
        let at = Timestamp::from_millis(1_767_225_600_000 + 1_000 * i64::try_from(sequence).unwrap());
        let (id, user, reason) = (id.to_owned(), "ada".to_owned(), String::new());
        let command = Command { id, at, user, reason, expected_revision: None, gated: false, change };
        let events = decide(&self.registry, &command)?;
        self.registry.fold(sequence, at, &events);
        self.log.push(Decision { sequence, command, outcome: Outcome::Applied { events } });
        Ok(())
    }

    fn done(&mut self, change: Change) {
        self.give(&format!("{:032x}", self.registry.sequence() + 1), change).unwrap();
    }

    fn told(&mut self, event: &Value) {
        let told = RunEvent::parse(event.to_string().as_bytes()).unwrap().told();
        self.done(Change::RecordLineage { told });
    }

    /// A run that reads `loans` and becomes version 1 of model `m`.
    fn trained() -> Self {
        let mut bench = Self::default();
        let run = Change::CreateRun {
            experiment_id: DEFAULT_EXPERIMENT.into(),
            run_name: None,
            user_id: "ada".into(),
            start_time: None,
            tags: Texts::new(),
        };
        bench.give(RUN, run).unwrap();
        let loans = DatasetInput {
            name: "loans".into(),
            digest: "d1".into(),
            source_type: "s3".into(),
            source: json!({"uri": "s3://bucket/raw/loans.parquet"}).to_string(),
            schema: None,
            profile: None,
            tags: Texts::new(),
        };
        bench.done(Change::LogInputs { run_id: RUN.into(), datasets: vec![loans], models: Vec::new() });
        bench.done(Change::CreateModel { name: "m".into(), description: String::new(), tags: Texts::new() });
        bench.done(Change::CreateVersion {
            name: "m".into(),
            source: "s3://bucket/m".into(),
            run_id: RUN.into(),
            run_link: String::new(),
            model_id: String::new(),
            description: String::new(),
            tags: Texts::new(),
        });
        let (status, end_time, run_name) = (Some(RunStatus::Finished), None, None);
        bench.done(Change::UpdateRun { run_id: RUN.into(), status, end_time, run_name });
        bench
    }
}

fn event(kind: &str, run: &str, job: &str, inputs: Value, outputs: Value) -> Value {
    let mut event = json!({
        "eventType": kind, "eventTime": "2026-01-01T00:00:00Z", "producer": "https://airflow.example.com",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json", "run": {"runId": run},
        "job": {"namespace": "airflow", "name": job},
    });
    event["inputs"] = inputs;
    event["outputs"] = outputs;
    event
}

fn dataset(name: &str, version: &str) -> Value {
    json!([{"namespace": "s3://b", "name": name, "facets": {"version": {"datasetVersion": version}}}])
}

#[test]
fn a_run_is_told_from_its_start_to_its_end_with_what_it_read_and_made() {
    let bench = Bench::trained();
    let emitter = Emitter::new("prod");
    let experiment = |_: &str| Some(DEFAULT_EXPERIMENT.to_owned());
    let events: Vec<Value> = bench
        .log
        .iter()
        .flat_map(|decision| emitter.all_of(decision, experiment))
        .map(|event| serde_json::to_value(event).unwrap())
        .collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["eventType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["START", "RUNNING", "OTHER", "COMPLETE"]);
    for event in &events {
        assert_eq!(event["run"]["runId"], RUN_ID);
        assert_eq!((&event["job"]["namespace"], &event["job"]["name"]), (&json!("prod"), &json!("experiment/0")));
        for required in ["eventTime", "producer", "schemaURL"] {
            assert!(event[required].as_str().is_some_and(|text| !text.is_empty()), "{required}");
        }
        let again = RunEvent::parse(event.to_string().as_bytes()).unwrap();
        assert!(again.is_own());
    }
    let input = &events[1]["inputs"][0];
    assert_eq!((&input["namespace"], &input["name"]), (&json!("s3://bucket"), &json!("raw/loans.parquet")));
    assert_eq!(input["facets"]["version"]["datasetVersion"], "d1");
    let output = &events[2]["outputs"][0];
    assert_eq!((&output["namespace"], &output["name"]), (&json!("prod"), &json!("m")));
    assert_eq!(output["facets"]["version"]["datasetVersion"], "1");
}

#[test]
fn what_others_tell_adds_up_in_any_order_and_once() {
    let mut bench = Bench::default();
    let id = "11111111-2222-3333-4444-555555555555";
    bench.told(&event("COMPLETE", id, "features", json!([]), dataset("features", "7")));
    bench.told(&event("START", id, "features", dataset("raw", "1"), json!([])));
    let run = bench.registry.lineage_run(id).unwrap().clone();
    assert_eq!((run.state, run.inputs.len(), run.outputs.len()), (EventType::Complete, 1, 1));
    assert!(run.started_at.is_some() && run.ended_at.is_some());
    bench.told(&event("START", id, "features", dataset("raw", "1"), json!([])));
    assert_eq!(bench.log.last().unwrap().events(), []);
    let other = RunEvent::parse(event("START", id, "another", json!([]), json!([])).to_string().as_bytes()).unwrap();
    let rejection = bench.give("x", Change::RecordLineage { told: other.told() }).unwrap_err();
    assert_eq!(rejection.kind, RejectionKind::Invalid);
}

#[test]
fn a_version_leads_up_to_raw_data() {
    let mut bench = Bench::trained();
    let id = |number: u32| format!("00000000-0000-0000-0000-{number:012}");
    bench.told(&event("COMPLETE", &id(1), "clean", dataset("raw", "1"), dataset("clean", "2")));
    bench.told(&event("COMPLETE", &id(2), "features", dataset("clean", "2"), dataset("features", "7")));
    bench.told(&event("COMPLETE", &id(3), "stale", dataset("raw", "0"), dataset("clean", "1")));
    bench.told(&event("COMPLETE", &id(4), "train", dataset("features", "7"), json!([])));
    let jobs = |bench: &Bench| -> Vec<(u32, String)> {
        let lineage = Lineage::of(&bench.registry, "m", 1).unwrap();
        lineage.upstream.into_iter().map(|run| (run.depth, run.job)).collect()
    };
    assert_eq!(jobs(&bench), []);
    let tags = texts(&[(RUN_TAG, &id(4))]);
    bench.done(Change::SetTags { subject: Subject::Version("m".into(), 1), tags });
    let expected = [(0, "train"), (1, "features"), (2, "clean")].map(|(depth, job)| (depth, job.to_owned()));
    assert_eq!(jobs(&bench), expected);
    // A job that reads what it makes does not lead around for ever.
    bench.told(&event("RUNNING", &id(1), "clean", dataset("clean", "2"), json!([])));
    assert_eq!(jobs(&bench), expected);
    bench.told(&event(
        "COMPLETE",
        &id(5),
        "export",
        dataset("raw", "9"),
        json!([{"namespace": "s3://b", "name": "loans"}]),
    ));
    assert!(jobs(&bench).contains(&(1, "export".to_owned())), "it made what the run has logged");
}

#[test]
fn what_is_no_run_event_is_told_apart() {
    let parse = |value: Value| RunEvent::parse(value.to_string().as_bytes());
    assert_eq!(parse(json!({"job": {"namespace": "a", "name": "b"}, "eventTime": "x"})), Err(EventError::NoRun));
    let good = event("START", RUN_ID, "job", json!([]), json!([]));
    for (pointer, wrong) in [
        ("/run/runId", json!("no uuid")),
        ("/eventTime", json!("yesterday")),
        ("/eventType", json!("BEGIN")),
        ("/job/name", json!("")),
        ("/inputs", json!([{"name": "x"}])),
    ] {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap() = wrong;
        assert!(matches!(parse(event), Err(EventError::Malformed(_))), "{pointer}");
    }
    let many: Vec<Value> = (0..501).map(|number| json!({"namespace": "n", "name": number.to_string()})).collect();
    assert!(matches!(parse(event("START", RUN_ID, "job", json!(many), json!([]))), Err(EventError::TooLarge(_))));
    assert!(matches!(RunEvent::parse(b"{"), Err(EventError::Malformed(_))));
}

fn topics() -> Topics {
    Topics::named("plimsoll", &[], &[])
}

async fn machine(topic: &str) -> Box<dyn Machine> {
    let settings = OpenLineageSettings { topics: vec!["others".into()], ..OpenLineageSettings::default() };
    let role = OpenLineageRole::new(&topics(), &settings, &Telemetry::default()).unwrap();
    let source = SourcePartition { topic: topic.into(), partition: 0 };
    role.open(&source, 1, Arc::new(MemoryStore::new())).await.unwrap()
}

#[tokio::test]
async fn events_on_others_topics_become_commands_and_what_cannot_be_read_is_a_dead_letter() {
    let mut machine = machine("others").await;
    let own = RunEvent {
        producer: PRODUCER.into(),
        ..RunEvent::parse(event("START", RUN_ID, "job", json!([]), json!([])).to_string().as_bytes()).unwrap()
    };
    let mut records = Records::default();
    let payloads = [
        event("START", RUN_ID, "job", json!([]), json!([])).to_string().into_bytes(),
        b"no JSON".to_vec(),
        serde_json::to_vec(&own).unwrap(),
        json!({"dataset": {"namespace": "a", "name": "b"}}).to_string().into_bytes(),
    ];
    for (offset, payload) in (7..).zip(&payloads) {
        records.push(offset, None, None, Some(payload));
    }
    let published = |outgoing: Vec<Outgoing>| -> Vec<(String, Vec<u8>)> {
        outgoing.into_iter().map(|record| (record.topic, record.payload.unwrap())).collect()
    };
    machine.apply(&records, Timestamp::from_millis(1)).await.unwrap();
    let first = published(machine.checkpoint(Timestamp::from_millis(1)).await.unwrap().outgoing);
    assert_eq!(first.len(), 2);
    let command: Command = from_json(&first[0].1).unwrap();
    assert_eq!((first[0].0.as_str(), command.user.as_str()), ("plimsoll.registry-commands", "openlineage"));
    assert!(matches!(&command.change, Change::RecordLineage { told } if told.run_id == RUN_ID));
    assert_eq!(first[1], ("plimsoll.deadletter".to_owned(), b"no JSON".to_vec()));
    machine.apply(&records, Timestamp::from_millis(2)).await.unwrap();
    let again = published(machine.checkpoint(Timestamp::from_millis(2)).await.unwrap().outgoing);
    assert_eq!(from_json::<Command>(&again[0].1).unwrap().id, command.id, "the same record is the same command");
}

/// An endpoint that answers as it is told.
#[derive(Default)]
struct Receiver {
    status: Mutex<u16>,
    posts: Mutex<Vec<Post>>,
}

#[async_trait]
impl Poster for Receiver {
    async fn post(&self, post: Post) -> Result<Reply, PostError> {
        let status = *self.status.lock().unwrap();
        self.posts.lock().unwrap().push(post);
        Ok(Reply { status, body: String::new() })
    }
}

#[tokio::test]
async fn the_log_is_told_on_the_topic_once_and_over_http_until_it_is_taken() {
    let bench = Bench::trained();
    let receiver = Arc::new(Receiver { status: Mutex::new(503), ..Receiver::default() });
    let endpoint = Endpoint { url: "https://marquez/api/v1/lineage".into(), api_key: Some("k".into()) };
    let sink = Sink::new(endpoint, Arc::clone(&receiver) as Arc<dyn Poster>);
    let results = Results::registered(&Telemetry::default(), "plimsoll_openlineage_deliveries", "event");
    let source = SourcePartition { topic: topics().registry, partition: 0 };
    let store = MemoryStore::new();
    let open = || {
        let (emitter, sink, results) = (Emitter::new("prod"), Some(sink.clone()), results.clone());
        Teller::open(&source, "plimsoll.openlineage", emitter, sink, results, &store)
    };
    let mut records = Records::default();
    for (offset, decision) in (0..).zip(&bench.log) {
        records.push(offset, None, Some(decision.key().as_bytes()), Some(&to_json(decision).unwrap()));
    }
    let now = Timestamp::from_millis(1_767_225_700_000);
    let mut teller = open().await.unwrap();
    teller.apply(&records, now).await.unwrap();
    let checkpoint = teller.checkpoint(now).await.unwrap();
    let keys: Vec<String> =
        checkpoint.outgoing.iter().map(|record| String::from_utf8(record.key.clone().unwrap()).unwrap()).collect();
    assert_eq!(keys, vec!["run:prod/experiment/0"; 4]);
    crate::state::Store::write(&store, checkpoint.writes).await.unwrap();
    assert_eq!(receiver.posts.lock().unwrap().len(), 1, "what must be tried again holds up what is behind it");
    // After a crash the log comes again.
    *receiver.status.lock().unwrap() = 201;
    let mut teller = open().await.unwrap();
    teller.apply(&records, now).await.unwrap();
    let later = now.plus(Span::from_secs(2));
    assert!(teller.checkpoint(later).await.unwrap().outgoing.is_empty());
    let posts = receiver.posts.lock().unwrap();
    assert_eq!(posts.len(), 5);
    assert!(posts.iter().all(|post| post.headers.contains(&("authorization", "Bearer k".to_owned()))));
    assert!(!format!("{posts:?}").contains("Bearer"));
}

#[tokio::test]
async fn the_role_reads_the_log_on_its_runners_partition() {
    let role = OpenLineageRole::new(&topics(), &OpenLineageSettings::default(), &Telemetry::default()).unwrap();
    assert_eq!(role.topics(), ["plimsoll.registry"]);
    let source = SourcePartition { topic: topics().registry, partition: 0 };
    let mut partition =
        OpenPartition::open(&role, source, 1, Arc::new(MemoryStore::new()), Timestamp::default()).await.unwrap();
    let decision = &Bench::trained().log[0];
    assert!(matches!(decision.events(), [Event::RunCreated { .. }]));
    let mut records = Records::default();
    records.push(0, None, Some(decision.key().as_bytes()), Some(&to_json(decision).unwrap()));
    partition.apply(&records, Timestamp::default()).await.unwrap();
    let told = partition.checkpoint(Timestamp::default()).await.unwrap();
    assert_eq!((told.len(), told[0].topic.as_str()), (1, "plimsoll.openlineage"));
}
