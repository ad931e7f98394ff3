//! A consumer group's coordinator (eager, range), and its members as the runner sees them.

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;
use plimsoll::bus::{BusError, Polled, Position, Records};
use plimsoll::event::SourcePartition;
use plimsoll::runner::Member;

use super::faults::{Fault, Sabotage};
use super::world::{Inner, Shared, Yield};

#[derive(Default)]
pub struct Group {
    topics: Vec<(String, i32)>,
    seats: BTreeMap<u64, Seat>,
    is_rebalancing: bool,
}

struct Seat {
    process: u64,
    standing: Standing,
    /// Whether the coordinator takes it for alive.
    is_counted: bool,
    owns: Vec<SourcePartition>,
    events: VecDeque<Polled>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Has asked to join and waits for an assignment.
    Waiting,
    /// Has been sent an assignment.
    Owning,
    /// Has been asked to give it back.
    Revoking,
}

impl Group {
    pub fn new(topics: Vec<(String, i32)>) -> Self {
        Self { topics, ..Self::default() }
    }

    fn join(&mut self, member: u64, process: u64) {
        let seat =
            Seat { process, standing: Standing::Waiting, is_counted: true, owns: Vec::new(), events: VecDeque::new() };
        self.seats.insert(member, seat);
        self.begin();
    }

    fn leave(&mut self, member: u64) {
        self.seats.remove(&member);
        self.begin();
    }

    fn unassigned(&mut self, member: u64) {
        let Some(seat) = self.seats.get_mut(&member) else { return };
        seat.standing = Standing::Waiting;
        if seat.is_counted {
            self.complete();
        } else {
            seat.is_counted = true;
            self.begin();
        }
    }

    /// The member's session has timed out.
    pub fn expire(&mut self, member: u64) {
        if let Some(seat) = self.seats.get_mut(&member) {
            seat.is_counted = false;
            self.begin();
        }
    }

    /// A member that was taken for dead hears of it.
    pub fn notice(&mut self, member: u64) {
        let Some(seat) = self.seats.get_mut(&member).filter(|seat| !seat.is_counted) else { return };
        match seat.standing {
            Standing::Owning => {
                seat.standing = Standing::Revoking;
                seat.events.push_back(Polled::Revoked(seat.owns.clone()));
            }
            Standing::Waiting => {
                seat.is_counted = true;
                self.begin();
            }
            Standing::Revoking => {}
        }
    }

    /// Seats of killed processes are kept until their sessions time out.
    pub fn forget(&mut self, member: u64) {
        self.leave(member);
    }

    pub fn members(&self, is_wanted: impl Fn(u64, bool) -> bool) -> Vec<u64> {
        let wanted = self.seats.iter().filter(|(_, seat)| is_wanted(seat.process, seat.is_counted));
        wanted.map(|(member, _)| *member).collect()
    }

    fn is_zombie(&self, member: u64) -> bool {
        self.seats.get(&member).is_some_and(|seat| !seat.is_counted)
    }

    fn begin(&mut self) {
        self.is_rebalancing = true;
        for seat in self.seats.values_mut().filter(|seat| seat.is_counted && seat.standing == Standing::Owning) {
            seat.standing = Standing::Revoking;
            seat.events.push_back(Polled::Revoked(seat.owns.clone()));
        }
        self.complete();
    }

    fn complete(&mut self) {
        let counted: Vec<u64> = self.members(|_, is_counted| is_counted);
        let is_waiting = |member: &u64| self.seats[member].standing == Standing::Waiting;
        if !self.is_rebalancing || counted.is_empty() || !counted.iter().all(is_waiting) {
            return;
        }
        self.is_rebalancing = false;
        for (index, member) in counted.iter().enumerate() {
            let owns = self.range(index, counted.len());
            let Some(seat) = self.seats.get_mut(member) else { continue };
            seat.standing = Standing::Owning;
            seat.owns.clone_from(&owns);
            seat.events.push_back(Polled::Assigned(owns));
        }
    }

    fn range(&self, index: usize, members: usize) -> Vec<SourcePartition> {
        let mut owns = Vec::new();
        for (topic, partitions) in &self.topics {
            let share = |of: usize| of * usize::try_from(*partitions).unwrap() / members;
            let partitions = share(index)..share(index + 1);
            owns.extend(partitions.map(|partition| SourcePartition {
                topic: topic.clone(),
                partition: i32::try_from(partition).unwrap(),
            }));
        }
        owns
    }
}

/// A member as a worker holds it.
pub struct SimMember {
    world: Shared,
    group: &'static str,
    process: u64,
    id: u64,
    positions: BTreeMap<SourcePartition, i64>,
}

impl SimMember {
    pub fn join(world: &Shared, group: &'static str, topics: &[String], process: u64) -> Self {
        let mut inner = world.lock();
        let id = inner.next_member;
        inner.next_member += 1;
        let topics = topics.iter().map(|topic| (topic.clone(), inner.partitions[topic])).collect();
        inner.groups.entry(group).or_insert_with(|| Group::new(topics)).join(id, process);
        inner.faults.note(Fault::Rebalance, 1);
        Self { world: world.clone(), group, process, id, positions: BTreeMap::new() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Group) -> T) -> T {
        act(self.world.lock().groups.get_mut(self.group).unwrap())
    }

    /// Some records of some partitions.
    fn gather(&mut self) -> Polled {
        let mut inner = self.world.lock();
        let inner = &mut *inner;
        let most = if inner.faults.is_calm() { 500 } else { 1 + inner.choices.below(30) };
        let mut batches = Vec::new();
        for (place, position) in &mut self.positions {
            if !inner.faults.is_calm() && inner.choices.one_in(3) {
                continue;
            }
            if inner.is_sabotaged(Sabotage::SkippedRecords) && *position < inner.end(place) && inner.choices.one_in(10)
            {
                *position += 1;
            }
            let records = read(inner, place, position, usize::try_from(most).unwrap());
            if !records.is_empty() {
                inner.activity += 1;
                batches.push((place.clone(), records));
            }
        }
        if batches.is_empty() { Polled::Idle } else { Polled::Records(batches) }
    }
}

fn read(inner: &Inner, place: &SourcePartition, position: &mut i64, most: usize) -> Records {
    let mut records = Records::default();
    let Some(log) = inner.log.get(place) else { return records };
    let from = usize::try_from(*position).unwrap();
    for (offset, logged) in log.iter().enumerate().skip(from).filter(|(_, logged)| !logged.is_compacted).take(most) {
        let record = &logged.record;
        let offset = i64::try_from(offset).unwrap();
        records.push(offset, record.timestamp, record.key.as_deref(), record.payload.as_deref());
        *position = offset + 1;
    }
    records
}

#[async_trait]
impl Member for SimMember {
    async fn poll(&mut self) -> Result<Polled, BusError> {
        Yield(1).await;
        self.world.pause(2).await;
        let event = self.with(|group| group.seats.get_mut(&self.id).and_then(|seat| seat.events.pop_front()));
        if let Some(event) = event {
            self.world.lock().activity += 1;
            return Ok(event);
        }
        self.world.broker().await;
        Ok(self.gather())
    }

    async fn assign(&mut self, positions: &[Position]) -> Result<(), BusError> {
        self.world.pause(1).await;
        self.positions =
            positions.iter().map(|position| (position.source.clone(), position.next.unwrap_or(0))).collect();
        Ok(())
    }

    async fn unassign(&mut self) -> Result<(), BusError> {
        self.world.pause(1).await;
        self.positions.clear();
        self.with(|group| group.unassigned(self.id));
        Ok(())
    }

    async fn commit(&mut self, _offsets: &[(SourcePartition, i64)]) -> Result<(), BusError> {
        self.world.pause(1).await;
        if self.with(|group| group.is_zombie(self.id)) {
            return Err(BusError::Consume { group: self.group.to_owned(), reason: "unknown member".to_owned() });
        }
        Ok(())
    }

    async fn partitions(&mut self, topic: &str) -> Result<i32, BusError> {
        self.world.pause(1).await;
        Ok(self.world.lock().partitions[topic])
    }
}

impl Drop for SimMember {
    fn drop(&mut self) {
        let mut inner = self.world.lock();
        if !inner.dead.contains(&self.process) {
            inner.groups.get_mut(self.group).unwrap().leave(self.id);
        }
    }
}
