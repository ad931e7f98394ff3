//! The role on its runner's partition, with a receiver that does as it is told.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::bus::{Records, Topics};
use crate::clock::{Span, Timestamp};
use crate::event::{SourcePartition, to_json};
use crate::registry::samples::{texts, version};
use crate::registry::{Change, Command, Decision, Event, Outcome, Stage, Subject};
use crate::runner::OpenPartition;
use crate::state::{MemoryStore, Store, prefix_end};
use crate::telemetry::Telemetry;

/// Keeps what it gets and answers with this status; 0 is nobody.
#[derive(Default)]
struct Receiver {
    status: Mutex<u16>,
    posts: Mutex<Vec<Post>>,
}

#[async_trait]
impl Poster for Receiver {
    async fn post(&self, post: Post) -> Result<Reply, PostError> {
        self.posts.lock().unwrap().push(post);
        match *self.status.lock().unwrap() {
            0 => Err(PostError::Unreachable("connection refused".into())),
            status => Ok(Reply { status, body: "as told".into() }),
        }
    }
}

struct Bench {
    store: MemoryStore,
    receiver: Arc<Receiver>,
    telemetry: Telemetry,
    outbound: Outbound,
    partition: Option<OpenPartition>,
    sequence: u64,
    offset: i64,
    now: Timestamp,
}

fn source() -> SourcePartition {
    SourcePartition { topic: "plimsoll.registry".into(), partition: 0 }
}

impl Bench {
    async fn new() -> Self {
        let receiver = Arc::new(Receiver { status: Mutex::new(200), ..Receiver::default() });
        let vault = Arc::new(Vault::new("a key of the tests").unwrap());
        let poster = Arc::clone(&receiver) as Arc<dyn Poster>;
        let mut bench = Self {
            store: MemoryStore::new(),
            receiver,
            telemetry: Telemetry::default(),
            outbound: Outbound { targets: Targets::default(), vault, poster },
            partition: None,
            sequence: 0,
            offset: 0,
            now: Timestamp::from_millis(1_767_225_600_000),
        };
        bench.open().await;
        bench
    }

    /// As after a crash, when it was open before.
    async fn open(&mut self) {
        self.store = self.store.reopen();
        let topics = Topics::named("plimsoll", &[], &[]);
        let role = WebhookRole::new(&topics, self.outbound.clone(), &self.telemetry);
        let store = Arc::new(self.store.clone());
        self.partition = Some(OpenPartition::open(&role, source(), 1, store, Timestamp::default()).await.unwrap());
    }

    async fn happens(&mut self, events: Vec<Event>) {
        self.sequence += 1;
        self.comes(self.sequence, events).await;
    }

    async fn comes(&mut self, sequence: u64, events: Vec<Event>) {
        let command = Command {
            id: format!("{sequence:032x}"),
            at: Timestamp::from_millis(1_767_225_600_000),
            user: "ada".into(),
            reason: "release 7".into(),
            expected_revision: None,
            gated: false,
            change: Change::DeleteModel { name: "m".into() },
        };
        let decision = Decision { sequence, command, outcome: Outcome::Applied { events } };
        let mut records = Records::default();
        self.offset += 1;
        records.push(self.offset, None, Some(decision.key().as_bytes()), Some(&to_json(&decision).unwrap()));
        self.partition.as_mut().unwrap().apply(&records, self.now).await.unwrap();
    }

    async fn checkpoint(&mut self) {
        let partition = self.partition.as_mut().unwrap();
        assert!(partition.checkpoint(self.now).await.unwrap().is_empty());
        partition.published();
    }

    fn answers(&self, status: u16) {
        *self.receiver.status.lock().unwrap() = status;
    }

    fn take_posts(&self) -> Vec<Post> {
        std::mem::take(&mut *self.receiver.posts.lock().unwrap())
    }

    async fn rows(&self, prefix: &str) -> usize {
        self.store.scan(prefix.as_bytes(), &prefix_end(prefix.as_bytes())).await.unwrap().len()
    }

    fn counted(&self, result: &str) -> u64 {
        let counter = self.telemetry.counter("plimsoll_webhook_deliveries_total", "", &["result"]).unwrap();
        counter.with_label_values(&[result]).get()
    }
}

fn webhook(id: &str, events: &[WebhookEvent]) -> Webhook {
    Webhook {
        webhook_id: id.into(),
        name: id.into(),
        description: String::new(),
        url: "https://hooks.example.com/secret-path".into(),
        events: events.to_vec(),
        secret: None,
        active: true,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    }
}

fn created(webhook: &Webhook) -> Vec<Event> {
    vec![Event::WebhookCreated { webhook: webhook.clone() }]
}

fn bodies(posts: &[Post]) -> Vec<Value> {
    posts.iter().map(|post| serde_json::from_str(&post.body).unwrap()).collect()
}

fn header(post: &Post, name: &str) -> Option<String> {
    post.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
}

#[tokio::test]
async fn everything_that_happens_is_told_with_mlflows_payloads_in_order() {
    let mut bench = Bench::new().await;
    bench.happens(created(&webhook("w", &WebhookEvent::ALL))).await;
    let subject = Subject::Version("m".into(), 3);
    bench.happens(vec![Event::VersionCreated { version: version() }]).await;
    bench.happens(vec![Event::TagsSet { subject: subject.clone(), tags: texts(&[("a", "1"), ("b", "2")]) }]).await;
    bench.happens(vec![Event::TagDeleted { subject, key: "a".into() }]).await;
    let (name, alias) = ("m".to_owned(), "champion".to_owned());
    bench.happens(vec![Event::AliasSet { name: name.clone(), alias: alias.clone(), version: 3, previous: None }]).await;
    bench.happens(vec![Event::AliasDeleted { name: name.clone(), alias, version: 3 }]).await;
    let (from, to) = (Stage::None, Stage::Staging);
    bench.happens(vec![Event::StageTransitioned { name: name.clone(), version: 3, from, to }]).await;
    bench.happens(vec![Event::ModelDeleted { name }]).await;
    bench.checkpoint().await;
    let posts = bench.take_posts();
    let told: Vec<(String, Value)> = bodies(&posts)
        .iter()
        .map(|body| (format!("{}.{}", body["entity"], body["action"]).replace('"', ""), body["data"].clone()))
        .collect();
    let expected = [
        (
            "model_version.created",
            json!({"name": "m", "version": "3", "source": "mlflow-artifacts:/0/r1/artifacts/model",
            "run_id": "r1", "tags": {"team": "risk"}, "description": null}),
        ),
        ("model_version_tag.set", json!({"name": "m", "version": "3", "key": "a", "value": "1"})),
        ("model_version_tag.set", json!({"name": "m", "version": "3", "key": "b", "value": "2"})),
        ("model_version_tag.deleted", json!({"name": "m", "version": "3", "key": "a"})),
        ("model_version_alias.created", json!({"name": "m", "alias": "champion", "version": "3"})),
        ("model_version_alias.deleted", json!({"name": "m", "alias": "champion"})),
        (
            "model_version.stage_transitioned",
            json!({"name": "m", "version": "3", "from_stage": "None",
            "to_stage": "Staging", "user": "ada", "reason": "release 7"}),
        ),
        ("registered_model.deleted", json!({"name": "m"})),
    ];
    assert_eq!(told, expected.map(|(event, data)| (event.to_owned(), data)));
    assert_eq!(bodies(&posts)[0]["timestamp"], "2026-01-01T00:00:00+00:00");
    assert_eq!(header(&posts[0], SIGNATURE_HEADER), None);
    assert_eq!((bench.rows("delivery/").await, bench.counted("sent")), (0, 8));
}

#[tokio::test]
async fn a_secret_signs_and_an_event_that_is_not_wanted_is_not_told() {
    let mut bench = Bench::new().await;
    let secret = Some(bench.outbound.vault.seal("hush", [1; 12]).unwrap());
    let hook = Webhook { secret, ..webhook("w", &[WebhookEvent::ModelDeleted]) };
    bench.happens(created(&hook)).await;
    bench.happens(created(&Webhook { active: false, ..webhook("sleeps", &WebhookEvent::ALL) })).await;
    bench.happens(vec![Event::VersionCreated { version: version() }]).await;
    bench.happens(vec![Event::ModelDeleted { name: "m".into() }]).await;
    bench.checkpoint().await;
    let posts = bench.take_posts();
    assert_eq!(posts.len(), 1);
    let of = |name: &str| header(&posts[0], name).unwrap();
    assert_eq!(of(TIMESTAMP_HEADER), "1767225600");
    let body = posts[0].body.as_bytes();
    assert!(verify("hush", &of(DELIVERY_HEADER), &of(TIMESTAMP_HEADER), body, &of(SIGNATURE_HEADER)));
    assert!(!format!("{:?} {:?}", posts, bench.partition).contains("hush"));
}

#[tokio::test]
async fn a_receiver_that_is_away_gets_everything_later_in_order_and_with_the_same_ids() {
    let mut bench = Bench::new().await;
    bench.happens(created(&webhook("w", &[WebhookEvent::ModelDeleted]))).await;
    for name in ["a", "b"] {
        bench.happens(vec![Event::ModelDeleted { name: name.into() }]).await;
    }
    bench.answers(503);
    bench.checkpoint().await;
    let first = bench.take_posts();
    assert_eq!(first.len(), 1, "what must be tried again holds up what is behind it");
    // A crash, and a wait that is not over yet.
    bench.open().await;
    bench.answers(200);
    bench.checkpoint().await;
    assert!(bench.take_posts().is_empty());
    bench.now = bench.now.plus(Span::from_secs(1));
    bench.checkpoint().await;
    let then = bench.take_posts();
    assert_eq!(bodies(&then).iter().map(|body| body["data"]["name"].clone()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(header(&then[0], DELIVERY_HEADER), header(&first[0], DELIVERY_HEADER));
    assert_ne!(header(&then[0], DELIVERY_HEADER), header(&then[1], DELIVERY_HEADER));
    assert_eq!((bench.counted("failed"), bench.counted("sent"), bench.counted("dead")), (1, 2, 0));
}

#[tokio::test]
async fn what_is_refused_for_good_or_fails_for_a_day_is_given_up_and_kept() {
    let mut bench = Bench::new().await;
    bench.happens(created(&webhook("w", &[WebhookEvent::ModelDeleted]))).await;
    bench.happens(vec![Event::ModelDeleted { name: "refused".into() }]).await;
    bench.answers(400);
    bench.checkpoint().await;
    assert_eq!((bench.rows("dead/").await, bench.rows("delivery/").await, bench.counted("dead")), (1, 0, 1));
    bench.happens(vec![Event::ModelDeleted { name: "unheard".into() }]).await;
    bench.answers(0);
    bench.checkpoint().await;
    assert_eq!(bench.rows("delivery/").await, 1);
    bench.now = bench.now.plus(Span::from_hours(25));
    bench.checkpoint().await;
    assert_eq!((bench.rows("dead/").await, bench.rows("delivery/").await, bench.counted("dead")), (2, 0, 2));
}

#[tokio::test]
async fn the_end_of_the_log_that_comes_again_is_told_once_and_a_deleted_webhook_hears_nothing_more() {
    let mut bench = Bench::new().await;
    bench.happens(created(&webhook("w", &[WebhookEvent::ModelDeleted]))).await;
    bench.happens(vec![Event::ModelDeleted { name: "a".into() }]).await;
    bench.checkpoint().await;
    bench.open().await;
    bench.comes(2, vec![Event::ModelDeleted { name: "a".into() }]).await;
    bench.checkpoint().await;
    assert_eq!(bench.take_posts().len(), 1);
    bench.answers(500);
    bench.happens(vec![Event::ModelDeleted { name: "b".into() }]).await;
    bench.checkpoint().await;
    bench.happens(vec![Event::WebhookDeleted { webhook_id: "w".into() }]).await;
    bench.now = bench.now.plus(Span::from_hours(1));
    bench.checkpoint().await;
    assert_eq!((bench.take_posts().len(), bench.rows("delivery/").await, bench.rows("webhook/").await), (1, 0, 0));
}

#[test]
fn every_event_is_found_by_its_names_and_has_an_example() {
    for event in WebhookEvent::ALL {
        assert_eq!(WebhookEvent::parse(&event.entity().to_uppercase(), &event.action().to_uppercase()), Some(event));
        let example = Occurrence::example(event, Timestamp::default());
        assert!(example.data["name"].is_string(), "{event:?}");
    }
    assert_eq!(WebhookEvent::parse("model_version", "set"), None);
}
