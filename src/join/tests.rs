//! What the machine keeps, and for how long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use proptest::prelude::*;

use super::entry::{Outcomes, PredictionHalf};
use super::{JoinAudit, JoinRole};
use crate::bus::{Records, Topics};
use crate::clock::{Span, Timestamp};
use crate::event::{IdHash, JoinBlock, PackedKind, PackedRow, SourcePartition, SourceWatermark, TextTable};
use crate::model::{Model, ReferenceSource, Task};
use crate::profile::{decode, encode};
use crate::runner::{Audit, FixedModels, Machine, Models, Monitored, PaneTopic, References, Role, RoleError};
use crate::state::{MemoryStore, Store, Write, prefix_end, unpack};

const HORIZON: Span = Span::from_days(64);

/// The machine of a partition, and its store.
struct Join {
    role: JoinRole,
    store: Arc<MemoryStore>,
    machine: Box<dyn Machine>,
    offset: i64,
}

impl Join {
    async fn new() -> Self {
        let mut model = Model::new("m", Task::Binary, ReferenceSource::First(1));
        model.label_horizon = HORIZON;
        let role = JoinRole {
            models: FixedModels::shared(vec![model]),
            topics: Topics::named("plimsoll", &["predictions".to_owned()], &["outcomes".to_owned()]),
            panes: PaneTopic { name: "plimsoll.panes".to_owned(), partitions: 1 },
            references: References::default(),
        };
        let store = Arc::new(MemoryStore::new());
        let machine = open(&role, &store).await;
        Self { role, store, machine, offset: 0 }
    }

    async fn take(&mut self, block: JoinBlock) {
        let mut records = Records::default();
        records.push(self.offset, None, None, Some(&encode(&block).unwrap()));
        self.offset += 1;
        self.machine.apply(&records, Timestamp::default()).await.unwrap();
    }

    async fn prediction(&mut self, id: u128, time: Timestamp) {
        let mut table = TextTable::default();
        let (version, variant) = (table.place("1"), table.place("default"));
        let label = Some(table.place("1"));
        let kind =
            PackedKind::Prediction { version, variant, segments: Vec::new(), label, score: None, probabilities: None };
        self.row("predictions", id, time, kind, table).await;
    }

    async fn outcome(&mut self, id: u128, time: Timestamp) {
        let mut table = TextTable::default();
        let label = table.place("1");
        self.row("outcomes", id, time, PackedKind::Outcome { label }, table).await;
    }

    async fn step(&mut self, step: &Step) {
        let mut table = TextTable::default();
        let label = table.place(step.label);
        let (topic, kind) = if step.is_prediction {
            let (version, variant, segments) = (table.place("1"), table.place("default"), Vec::new());
            let label = Some(label);
            (
                "predictions",
                PackedKind::Prediction { version, variant, segments, label, score: None, probabilities: None },
            )
        } else {
            ("outcomes", PackedKind::Outcome { label })
        };
        self.row(topic, step.id, day(step.day), kind, table).await;
        match step.then {
            Then::Nothing => {}
            Then::Checkpoint => drop(self.checkpoint().await),
            Then::Restart => self.restart().await,
        }
    }

    async fn row(&mut self, topic: &str, id: u128, time: Timestamp, kind: PackedKind, mut table: TextTable) {
        let model = table.place("m");
        let row = PackedRow { model, id: IdHash(id), time, offset: self.offset, behind: Span::ZERO, kind };
        self.take(JoinBlock::new(source(topic), &[row], &table)).await;
    }

    async fn watermark(&mut self, topic: &str, time: Timestamp, idle: bool) {
        let mut block = JoinBlock::new(source(topic), &[], &TextTable::default());
        block.watermarks.push(SourceWatermark {
            model: "m".to_owned(),
            source: source(topic),
            partitions: 1,
            watermark: Some(time),
            idle,
            next_offset: 0,
        });
        self.take(block).await;
    }

    /// Writes, and returns what it has written.
    async fn checkpoint(&mut self) -> Vec<Write> {
        let writes = self.machine.checkpoint(Timestamp::default()).await.unwrap().writes;
        let lives_by_the_wall_clock = |write: &Write| match write {
            Write::Put { key, ttl, .. } => !key.starts_with(b"pane/") && ttl.is_some(),
            Write::Delete { .. } | Write::Merge { .. } => false,
        };
        assert!(!writes.iter().any(lives_by_the_wall_clock));
        self.store.write(writes.clone()).await.unwrap();
        writes
    }

    /// Writes, and opens the machine again on what it wrote.
    async fn restart(&mut self) {
        self.checkpoint().await;
        self.machine = open(&self.role, &self.store).await;
    }

    /// Ids that the store holds, and how many notes of when to forget them.
    async fn held(&self) -> (Vec<u128>, usize) {
        let rows = |prefix: &'static [u8]| async { self.store.scan(prefix, &prefix_end(prefix)).await.unwrap() };
        let mut ids = Vec::new();
        for (_, row) in rows(b"entries/").await {
            ids.extend(unpack(&row).map(|entry| entry.unwrap().id));
        }
        (ids, rows(b"expiry/").await.len())
    }
}

impl Join {
    /// The labels of the prediction and of the outcome of every pair; rows of older generations come first.
    async fn pairs(&self) -> BTreeMap<u128, (String, String)> {
        let mut predictions = BTreeMap::new();
        let mut pairs = BTreeMap::new();
        for (_, row) in self.store.scan(b"entries/", &prefix_end(b"entries/")).await.unwrap() {
            for entry in unpack(&row).map(Result::unwrap) {
                if let Some(prediction) = entry.first {
                    let prediction: PredictionHalf = decode(prediction).unwrap();
                    predictions.entry(entry.id).or_insert(prediction.label.unwrap().to_string());
                }
                let outcomes = entry.latest.map(|outcomes| decode::<Outcomes>(outcomes).unwrap());
                if let Some(outcome) = outcomes.and_then(|outcomes| outcomes.kept.first().cloned())
                    && predictions.contains_key(&entry.id)
                {
                    pairs.insert(entry.id, outcome.label.to_string());
                }
            }
        }
        pairs.into_iter().map(|(id, outcome)| (id, (predictions[&id].clone(), outcome))).collect()
    }
}

async fn open(role: &JoinRole, store: &Arc<MemoryStore>) -> Box<dyn Machine> {
    let source = SourcePartition { topic: "plimsoll.joins".to_owned(), partition: 0 };
    role.open(&source, 1, Arc::clone(store) as Arc<dyn Store>).await.unwrap()
}

fn source(topic: &str) -> SourcePartition {
    SourcePartition { topic: topic.to_owned(), partition: 0 }
}

fn day(day: i64) -> Timestamp {
    Timestamp::default().plus(Span::from_days(day))
}

#[tokio::test]
async fn entries_go_when_event_time_has_passed_their_horizon_and_not_before() {
    let mut join = Join::new().await;
    for id in 0..10 {
        join.prediction(id, day(i64::try_from(id).unwrap())).await;
    }
    join.restart().await;
    assert_eq!(join.held().await.0.len(), 10);
    for topic in ["predictions", "outcomes"] {
        join.watermark(topic, day(64), false).await;
    }
    join.restart().await;
    assert_eq!(join.held().await.0.len(), 10, "nothing is beyond the horizon");
    for topic in ["predictions", "outcomes"] {
        join.watermark(topic, day(69).plus(Span::from_millis(1)), false).await;
    }
    join.restart().await;
    // A bucket is a day long here, so an entry may live a day longer.
    assert_eq!(join.held().await, ((5..10).collect(), 5));
}

#[tokio::test]
async fn a_source_that_runs_ahead_does_not_make_forget_what_another_still_needs() {
    let mut join = Join::new().await;
    join.prediction(1, day(0)).await;
    join.watermark("predictions", day(300), false).await;
    join.watermark("outcomes", day(10), false).await;
    join.restart().await;
    assert_eq!(join.held().await.0, [1]);
    join.watermark("outcomes", day(10), true).await;
    join.restart().await;
    assert!(join.held().await.0.is_empty(), "an idle source is not waited for");
}

#[tokio::test]
async fn nothing_is_forgotten_before_every_source_has_told_how_far_it_is() {
    let mut join = Join::new().await;
    join.prediction(1, day(0)).await;
    join.watermark("predictions", day(300), false).await;
    join.restart().await;
    assert_eq!(join.held().await.0, [1]);
}

#[tokio::test]
async fn an_outcome_that_came_first_waits_as_long_as_its_prediction_counts() {
    let mut join = Join::new().await;
    join.outcome(1, day(0)).await;
    join.outcome(2, day(0)).await;
    join.restart().await;
    join.prediction(1, day(20)).await;
    for topic in ["predictions", "outcomes"] {
        join.watermark(topic, day(70), false).await;
    }
    join.restart().await;
    assert_eq!(join.held().await, (vec![1], 1));
    for topic in ["predictions", "outcomes"] {
        join.watermark(topic, day(90), false).await;
    }
    join.restart().await;
    assert_eq!(join.held().await, (vec![], 0));
}

#[tokio::test]
async fn what_comes_beyond_its_horizon_is_not_kept() {
    let mut join = Join::new().await;
    for topic in ["predictions", "outcomes"] {
        join.watermark(topic, day(100), false).await;
    }
    join.prediction(1, day(0)).await;
    join.restart().await;
    assert_eq!(join.held().await, (vec![], 0));
}

#[tokio::test]
async fn the_audit_tells_what_waits_and_names_a_list_of_early_ids_that_lacks_one() {
    let mut join = Join::new().await;
    join.prediction(1, day(0)).await;
    join.prediction(2, day(0)).await;
    join.outcome(2, day(1)).await;
    join.outcome(3, day(1)).await;
    join.restart().await;
    let rows = join.store.scan(b"a", b"z").await.unwrap();
    let look = |is_seen: fn(&[u8]) -> bool| {
        let mut audit = JoinAudit::default();
        let mut held: BTreeMap<&str, u64> = BTreeMap::new();
        for (key, value) in rows.iter().filter(|(key, _)| is_seen(key)) {
            audit
                .held(key, value)
                .unwrap()
                .into_iter()
                .for_each(|(kind, count)| *held.entry(kind).or_default() += count);
        }
        (["pending predictions", "pending outcomes", "pairs"].map(|kind| held[kind]), audit.faults(None))
    };
    assert_eq!(look(|_| true), ([1, 1, 1], Vec::new()));
    let (_, faults) = look(|key| !key.starts_with(b"early/"));
    assert_eq!(faults, ["1 outcomes wait for their prediction, and the list of them has 0"]);
}

/// One row that comes, and what the machine does behind it.
#[derive(Clone, Debug)]
struct Step {
    id: u128,
    is_prediction: bool,
    day: i64,
    label: &'static str,
    then: Then,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Checkpoint,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let then = prop::sample::select(vec![Then::Nothing, Then::Checkpoint, Then::Checkpoint, Then::Restart]);
    let step = (0..6_u128, any::<bool>(), 0..10_i64, prop::sample::select(vec!["a", "b", "c"]), then);
    let step = step.prop_map(|(id, is_prediction, day, label, then)| {
        // Two share a row, the others do not.
        Step { id: ((id / 2) << 124) | id, is_prediction, day, label, then }
    });
    prop::collection::vec(step, 1..40)
}

/// The prediction and the outcome of each pair, by a look at all rows.
fn pairs_of(steps: &[Step]) -> BTreeMap<u128, (String, String)> {
    let mut pairs = BTreeMap::new();
    for id in steps.iter().map(|step| step.id) {
        let prediction = steps.iter().find(|step| step.id == id && step.is_prediction);
        let outcomes = steps.iter().filter(|step| step.id == id && !step.is_prediction);
        // Of the same day the later place wins.
        let outcome = outcomes.enumerate().max_by_key(|(place, step)| (step.day, *place));
        if let (Some(prediction), Some((_, outcome))) = (prediction, outcome) {
            pairs.insert(id, (prediction.label.to_owned(), outcome.label.to_owned()));
        }
    }
    pairs
}

proptest! {
    #[test]
    fn the_first_prediction_meets_the_latest_outcome_whatever_comes_when_and_wherever_the_machine_restarts(
        steps in steps()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let mut join = Join::new().await;
            for step in &steps {
                join.step(step).await;
            }
            join.restart().await;
            join.pairs().await
        });
        prop_assert_eq!(found, pairs_of(&steps));
    }
}

#[tokio::test]
async fn entries_are_found_whichever_generation_of_rows_they_stand_in() {
    let mut join = Join::new().await;
    // More than the first generation takes; hashes are spread as those of real ids.
    let id = |number: u32| IdHash::of(&number.to_string()).0;
    let prediction =
        |number: u32, label| Step { id: id(number), is_prediction: true, day: 0, label, then: Then::Nothing };
    for number in 0..20_000 {
        join.step(&prediction(number, "a")).await;
        if number % 4_000 == 3_999 {
            join.restart().await;
        }
    }
    let rows = join.store.scan(b"entries/", &prefix_end(b"entries/")).await.unwrap().len();
    assert_eq!(rows, 16 + 64, "rows of two generations");
    let asked = [0, 1, 7_999, 12_001, 19_999];
    for number in asked {
        join.step(&prediction(number, "b")).await;
        join.step(&Step { is_prediction: false, then: Then::Restart, ..prediction(number, "c") }).await;
        join.step(&Step { is_prediction: false, day: 1, ..prediction(number, "d") }).await;
    }
    join.restart().await;
    let expected = asked.map(|number| (id(number), ("a".to_owned(), "d".to_owned())));
    assert_eq!(join.pairs().await, BTreeMap::from(expected));

    for topic in ["predictions", "outcomes"] {
        join.watermark(topic, day(66), false).await;
    }
    join.restart().await;
    assert!(join.held().await.0.is_empty(), "all of them are beyond their horizon");
}

#[tokio::test]
async fn a_row_that_is_mostly_changes_is_written_as_a_whole_when_it_has_been_read() {
    let mut join = Join::new().await;
    join.prediction(1, day(0)).await;
    join.checkpoint().await;
    let (mut wholes, mut changes) = (0, 0);
    for day_of_outcome in 0..20 {
        join.outcome(1, day(day_of_outcome)).await;
        for write in join.checkpoint().await {
            match write {
                Write::Put { key, .. } if key.starts_with(b"entries/") => wholes += 1,
                Write::Merge { key, .. } if key.starts_with(b"entries/") => changes += 1,
                _ => {}
            }
        }
    }
    assert!(wholes > 1 && changes > wholes && wholes + changes == 20, "{wholes} times whole, {changes} changes");
    join.outcome(1, day(30)).await;
    join.restart().await;
    join.outcome(1, day(29)).await;
    join.restart().await;
    assert_eq!(join.pairs().await, BTreeMap::from([(1, ("1".to_owned(), "1".to_owned()))]));
    assert_eq!(join.held().await.0, [1]);
}

/// This process has not heard of the models that others know.
#[derive(Debug, Default)]
struct Behind(AtomicU64);

#[async_trait]
impl Models for Behind {
    fn current(&self) -> Monitored {
        let model = Model::new("m", Task::Binary, ReferenceSource::Registered);
        let revision = self.0.load(Ordering::Relaxed);
        Monitored { revision, models: Arc::new(vec![model; usize::from(revision > 0)]) }
    }

    async fn catch_up(&self) -> Result<(), RoleError> {
        self.0.store(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test]
async fn rows_of_a_model_that_another_process_knew_first_are_read_again_and_of_unknown_models_left_out() {
    let mut join = Join::new().await;
    join.role.models = Arc::new(Behind::default());
    join.machine = open(&join.role, &join.store).await;
    let block = |model: &str| {
        let mut table = TextTable::default();
        let (model, label) = (table.place(model), table.place("1"));
        let kind = PackedKind::Outcome { label };
        let row = PackedRow { model, id: IdHash(7), time: day(1), offset: 0, behind: Span::ZERO, kind };
        let mut records = Records::default();
        records.push(0, None, None, Some(&encode(&JoinBlock::new(source("outcomes"), &[row], &table)).unwrap()));
        records
    };
    let refused = join.machine.apply(&block("m"), Timestamp::default()).await;
    assert!(matches!(refused, Err(RoleError::ModelsChanged)), "{refused:?}");
    join.machine = open(&join.role, &join.store).await;
    join.machine.apply(&block("m"), Timestamp::default()).await.unwrap();
    join.restart().await;
    assert_eq!(join.held().await.0, [7]);
    join.machine.apply(&block("nobody's"), Timestamp::default()).await.unwrap();
    join.restart().await;
    assert_eq!(join.held().await.0, [7]);
}
