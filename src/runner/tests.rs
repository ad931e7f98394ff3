//! The loop, with a scripted bus.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::running::Running;
use super::{Checkpoint, Machine, Member, Publisher, Role, RoleError, RunnerSettings, Stores};
use crate::bus::{BusError, Outgoing, Polled, Position, Records, Seen};
use crate::clock::{Clock, ManualClock, Span, Timestamp};
use crate::event::SourcePartition;
use crate::profile::decode;
use crate::state::{MemoryStore, StateError, Store};
use crate::telemetry::{Health, Telemetry};

const POISON: &[u8] = b"poison";
const NEWS: &[u8] = b"news";
/// Shows only when the checkpoint comes.
const LATE_POISON: &[u8] = b"late poison";

enum Step {
    Bring(Polled),
    MoveClock(Span),
    /// Notes the offset that the state of partition 1 has.
    Look,
    /// The role is made of something else from now on.
    Change(Polled),
}

type Assignment = Vec<Position>;

#[derive(Clone, Default)]
struct World {
    steps: Arc<Mutex<VecDeque<Step>>>,
    stores: Arc<Mutex<BTreeMap<SourcePartition, MemoryStore>>>,
    assigned: Arc<Mutex<Vec<Assignment>>>,
    looked: Arc<Mutex<Vec<Option<i64>>>>,
    clock: Arc<ManualClock>,
    revision: Arc<AtomicU64>,
    shutdown: CancellationToken,
}

impl World {
    async fn run(&self, steps: Vec<Step>) -> Telemetry {
        *self.steps.lock().unwrap() = steps.into();
        let telemetry = Telemetry::default();
        let settings = RunnerSettings {
            checkpoint: Span::from_secs(1),
            state: Arc::new(self.clone()),
            producer: Arc::new(self.clone()),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            telemetry: telemetry.clone(),
            shutdown: self.shutdown.clone(),
        };
        let role = Reader(Arc::clone(&self.revision));
        Running::new(&role, &settings, Box::new(self.clone())).follow().await.unwrap();
        telemetry
    }

    async fn offset(&self, partition: i32) -> Option<i64> {
        let store = self.stores.lock().unwrap().get(&source(partition))?.clone();
        store.get(b"meta/next_offset").await.unwrap().map(|bytes| decode(&bytes).unwrap())
    }
}

#[async_trait]
impl Member for World {
    async fn poll(&mut self) -> Result<Polled, BusError> {
        let step = self.steps.lock().unwrap().pop_front();
        match step {
            Some(Step::Bring(polled)) => return Ok(polled),
            Some(Step::MoveClock(span)) => self.clock.advance(span),
            Some(Step::Look) => {
                let offset = self.offset(1).await;
                self.looked.lock().unwrap().push(offset);
            }
            Some(Step::Change(polled)) => {
                self.revision.fetch_add(1, Ordering::Relaxed);
                return Ok(polled);
            }
            None => self.shutdown.cancel(),
        }
        Ok(Polled::Idle)
    }

    async fn assign(&mut self, positions: &[Position]) -> Result<(), BusError> {
        self.assigned.lock().unwrap().push(positions.to_vec());
        Ok(())
    }

    async fn unassign(&mut self) -> Result<(), BusError> {
        Ok(())
    }

    async fn commit(&mut self, _: &[(SourcePartition, i64)]) -> Result<(), BusError> {
        Ok(())
    }

    async fn partitions(&mut self, _: &str) -> Result<i32, BusError> {
        Ok(2)
    }
}

#[async_trait]
impl Publisher for World {
    async fn publish(&self, _: Vec<Outgoing>) -> Result<(), BusError> {
        Ok(())
    }
}

#[async_trait]
impl Stores for World {
    async fn open(&self, _: &str, source: &SourcePartition) -> Result<Arc<dyn Store>, StateError> {
        Ok(Arc::new(self.stores.lock().unwrap().entry(source.clone()).or_default().clone()))
    }
}

/// Reads everything but poison.
struct Reader(Arc<AtomicU64>);

/// Finds out at [`NEWS`] that the role has changed, as long as it has not.
struct ReaderMachine {
    source: SourcePartition,
    revision: Arc<AtomicU64>,
    poisoned: bool,
}

#[async_trait]
impl Role for Reader {
    fn name(&self) -> &'static str {
        "reader"
    }

    fn topics(&self) -> Vec<String> {
        vec!["t".to_owned()]
    }

    fn revision(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    async fn open(&self, source: &SourcePartition, _: i32, _: Arc<dyn Store>) -> Result<Box<dyn Machine>, RoleError> {
        Ok(Box::new(ReaderMachine { source: source.clone(), revision: Arc::clone(&self.0), poisoned: false }))
    }
}

#[async_trait]
impl Machine for ReaderMachine {
    async fn apply(&mut self, records: &Records, _: Timestamp) -> Result<(), RoleError> {
        if records.iter().any(|record| record.payload == Some(NEWS))
            && self.revision.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            return Err(RoleError::ModelsChanged);
        }
        self.poisoned |= records.iter().any(|record| record.payload == Some(LATE_POISON));
        match records.iter().find(|record| record.payload == Some(POISON)) {
            Some(record) => Err(RoleError::Record {
                source_partition: self.source.clone(),
                offset: record.offset,
                reason: "it is poison".to_owned(),
            }),
            None => Ok(()),
        }
    }

    async fn checkpoint(&mut self, _: Timestamp) -> Result<Checkpoint, RoleError> {
        if self.poisoned {
            let reason = "a row is cut short".to_owned();
            return Err(StateError::Corrupt { path: self.source.to_string(), reason }.into());
        }
        Ok(Checkpoint::default())
    }
}

fn source(partition: i32) -> SourcePartition {
    SourcePartition { topic: "t".to_owned(), partition }
}

fn assigned() -> Step {
    Step::Bring(Polled::Assigned(vec![source(0), source(1)]))
}

fn records(batches: &[(i32, i64, &[&[u8]])]) -> Step {
    Step::Bring(polled(batches))
}

fn polled(batches: &[(i32, i64, &[&[u8]])]) -> Polled {
    let batch = |(partition, first, payloads): &(i32, i64, &[&[u8]])| {
        let mut records = Records::default();
        for (offset, payload) in (*first..).zip(*payloads) {
            records.push(offset, None, None, Some(payload));
        }
        (source(*partition), records)
    };
    Polled::Records(batches.iter().map(batch).collect())
}

#[tokio::test]
async fn a_record_that_nobody_can_read_stops_its_partition_and_no_other() {
    let world = World::default();
    let steps = vec![
        assigned(),
        records(&[(0, 0, &[b"a"])]),
        records(&[(0, 1, &[b"b", POISON, b"c"]), (1, 0, &[b"a"])]),
        records(&[(0, 4, &[b"d"]), (1, 1, &[b"b"])]),
    ];
    let telemetry = world.run(steps).await;
    let Some(Health::Blocked(reason)) = telemetry.health().remove("reader") else { panic!("nothing is blocked") };
    assert!(reason.contains("t-0 is stopped") && reason.contains("record 2"), "{reason}");
    assert_eq!((world.offset(0).await, world.offset(1).await), (None, Some(2)));
    let assigned = world.assigned.lock().unwrap().clone();
    let Polled::Records(read) = polled(&[(1, 0, &[b"a"])]) else { unreachable!() };
    let last = read[0].1.last().map(|record| Seen::of(&record));
    assert_eq!(assigned.last().unwrap(), &[Position { source: source(1), next: Some(1), last }]);
    assert_eq!(assigned.len(), 2);
}

#[tokio::test]
async fn state_that_turns_out_damaged_at_a_checkpoint_stops_its_partition_and_no_other() {
    let world = World::default();
    let steps = vec![
        assigned(),
        records(&[(0, 0, &[LATE_POISON]), (1, 0, &[b"a"])]),
        Step::MoveClock(Span::from_secs(1)),
        records(&[(0, 1, &[b"b"]), (1, 1, &[b"b"])]),
    ];
    let telemetry = world.run(steps).await;
    let Some(Health::Blocked(reason)) = telemetry.health().remove("reader") else { panic!("nothing is blocked") };
    assert!(reason.contains("t-0 is stopped") && reason.contains("cut short"), "{reason}");
    assert_eq!((world.offset(0).await, world.offset(1).await), (None, Some(2)));
    let assigned = world.assigned.lock().unwrap().clone();
    let last: Vec<_> = assigned.last().unwrap().iter().map(|position| position.source.clone()).collect();
    assert_eq!(last, [source(1)]);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_or_far_ahead_does_not_stop_checkpoints() {
    let world = World::default();
    world.clock.advance(Span::from_days(10_000));
    let mut steps = vec![assigned()];
    for (offset, span) in (0..).zip([Span::from_days(-5_000), Span::from_days(9_000), Span::from_secs(1)]) {
        steps.extend([records(&[(1, offset, &[b"a"])]), Step::MoveClock(span), Step::Look]);
    }
    world.run(steps).await;
    assert_eq!(*world.looked.lock().unwrap(), [Some(1), Some(2), Some(3)]);
}

#[tokio::test]
async fn a_role_that_has_changed_goes_on_from_its_state_with_new_machines_and_leaves_nothing_out() {
    let world = World::default();
    let steps = vec![
        assigned(),
        records(&[(1, 0, &[b"a"])]),
        Step::MoveClock(Span::from_secs(2)),
        records(&[(1, 1, &[b"b"])]),
        // Not applied: it is read again from where the state is.
        Step::Change(polled(&[(1, 2, &[b"c"])])),
        Step::Look,
        records(&[(1, 1, &[b"b", b"c"])]),
        Step::MoveClock(Span::from_secs(2)),
        // Also where nothing comes.
        Step::Change(Polled::Idle),
    ];
    world.run(steps).await;
    let next = |assigned: &Assignment| assigned.iter().map(|position| position.next).collect::<Vec<_>>();
    let assigned: Vec<_> = world.assigned.lock().unwrap().iter().map(next).collect();
    assert_eq!(assigned, [[None, None], [None, Some(1)], [None, Some(3)]]);
    assert_eq!(*world.looked.lock().unwrap(), [Some(1)]);
    assert_eq!(world.offset(1).await, Some(3));
}

#[tokio::test]
async fn a_machine_that_finds_out_that_its_role_has_changed_is_opened_anew_with_all_others() {
    let world = World::default();
    let steps = vec![
        assigned(),
        records(&[(0, 0, &[b"a"])]),
        records(&[(1, 0, &[b"a", NEWS])]),
        records(&[(0, 0, &[b"a"]), (1, 0, &[b"a", NEWS])]),
    ];
    let telemetry = world.run(steps).await;
    assert_eq!(world.assigned.lock().unwrap().len(), 2);
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(1), Some(2)));
    assert_eq!(telemetry.health().remove("reader"), Some(Health::Ready));
}

#[tokio::test]
async fn a_role_that_its_group_gives_nothing_for_long_says_so_until_it_does() {
    let revoked = || Step::Bring(Polled::Revoked(vec![source(0), source(1)]));
    let nothing = || Step::Bring(Polled::Assigned(Vec::new()));
    let (short, long) = (Span::from_secs(50), Span::from_secs(70));
    let cases = [
        (vec![Step::MoveClock(short)], Health::Starting),
        (vec![Step::MoveClock(long)], Health::Blocked(String::new())),
        (vec![assigned(), Step::MoveClock(long)], Health::Ready),
        (vec![assigned(), revoked(), Step::MoveClock(short)], Health::Ready),
        (vec![assigned(), revoked(), Step::MoveClock(long)], Health::Blocked(String::new())),
        (vec![assigned(), revoked(), Step::MoveClock(long), assigned()], Health::Ready),
        (vec![nothing(), Step::MoveClock(long)], Health::Ready),
    ];
    for (index, (steps, expected)) in cases.into_iter().enumerate() {
        let telemetry = World::default().run(steps).await;
        let health = match telemetry.health().remove("reader") {
            Some(Health::Blocked(reason)) => {
                assert!(reason.contains("no part of the partitions since 1970-01-01T00:00:00Z"), "{reason}");
                Health::Blocked(String::new())
            }
            health => health.unwrap_or(Health::Starting),
        };
        assert_eq!(health, expected, "case {index}");
    }
}
