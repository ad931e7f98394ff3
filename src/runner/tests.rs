//! The loop, with a scripted bus.

use std::collections::{BTreeMap, VecDeque};
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

enum Step {
    Bring(Polled),
    MoveClock(Span),
    /// Notes the offset that the state of partition 1 has.
    Look,
}

type Assignment = Vec<Position>;

#[derive(Clone, Default)]
struct World {
    steps: Arc<Mutex<VecDeque<Step>>>,
    stores: Arc<Mutex<BTreeMap<SourcePartition, MemoryStore>>>,
    assigned: Arc<Mutex<Vec<Assignment>>>,
    looked: Arc<Mutex<Vec<Option<i64>>>>,
    clock: Arc<ManualClock>,
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
        Running::new(&Reader, &settings, Box::new(self.clone())).follow().await.unwrap();
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
struct Reader;

struct ReaderMachine(SourcePartition);

#[async_trait]
impl Role for Reader {
    fn name(&self) -> &'static str {
        "reader"
    }

    fn topics(&self) -> Vec<String> {
        vec!["t".to_owned()]
    }

    async fn open(&self, source: &SourcePartition, _: i32, _: Arc<dyn Store>) -> Result<Box<dyn Machine>, RoleError> {
        Ok(Box::new(ReaderMachine(source.clone())))
    }
}

#[async_trait]
impl Machine for ReaderMachine {
    async fn apply(&mut self, records: &Records, _: Timestamp) -> Result<(), RoleError> {
        match records.iter().find(|record| record.payload == Some(POISON)) {
            Some(record) => Err(RoleError::Record {
                source_partition: self.0.clone(),
                offset: record.offset,
                reason: "it is poison".to_owned(),
            }),
            None => Ok(()),
        }
    }

    async fn checkpoint(&mut self, _: Timestamp) -> Result<Checkpoint, RoleError> {
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
    let batch = |(partition, first, payloads): &(i32, i64, &[&[u8]])| {
        let mut records = Records::default();
        for (offset, payload) in (*first..).zip(*payloads) {
            records.push(offset, None, None, Some(payload));
        }
        (source(*partition), records)
    };
    Step::Bring(Polled::Records(batches.iter().map(batch).collect()))
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
    let Step::Bring(Polled::Records(read)) = records(&[(1, 0, &[b"a"])]) else { unreachable!() };
    let last = read[0].1.last().map(|record| Seen::of(&record));
    assert_eq!(assigned.last().unwrap(), &[Position { source: source(1), next: Some(1), last }]);
    assert_eq!(assigned.len(), 2);
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
