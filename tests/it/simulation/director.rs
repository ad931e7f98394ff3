//! Directs one seed: who goes on next, what goes wrong meanwhile, and when all calms down.

use std::sync::Arc;

use plimsoll::clock::Span;
use plimsoll::runner::Role;

use super::cast::Cast;
use super::faults::{Fault, Faults};
use super::input::{self, Feed};
use super::process::Process;
use super::world::{Inner, Shared, World};
use crate::pipeline::stream::start;

pub const PARTITIONS: [(&str, i32); 6] = [
    ("predictions", 3),
    ("outcomes", 2),
    ("plimsoll.joins", 2),
    ("plimsoll.panes", 2),
    ("plimsoll.alerts", 1),
    ("plimsoll.windows", 2),
];

const ROLES: [&str; 4] = ["ingest", "join", "evaluate", "notify"];
/// Rounds in which nobody does anything, after which nothing will.
const STILL: u32 = 12;
/// Rounds within which everything must come to rest once nothing goes wrong any more.
const PATIENCE: u32 = 3_000;

pub struct Director {
    pub world: Shared,
    cast: Cast,
    processes: Vec<Process>,
    feed: Feed,
    next_process: u64,
    most_processes: usize,
}

impl Director {
    pub fn new(seed: u64, cast: Cast, faults: Faults, most_processes: usize) -> Self {
        let world = World::new(seed, &PARTITIONS, faults, start().plus(Span::from_days(40)));
        let mut feed = Feed::new();
        {
            let inner = world.lock();
            for record in input::records(seed) {
                feed.entry(inner.place_of(&record)).or_default().push_back(record);
            }
        }
        Self { world, cast, processes: Vec::new(), feed, next_process: 0, most_processes }
    }

    /// Everything that can go wrong, until the producers have sent all they have.
    pub fn storm(&mut self) {
        self.start(&ROLES);
        let mut ticks = 0_u32;
        while ticks < 1_500 || !self.feed.is_empty() {
            ticks += 1;
            self.mishap();
            self.pass_time();
            if self.below(6) == 0 {
                self.produce();
            }
            for _ in 0..4 {
                self.go_on();
            }
        }
    }

    /// Nothing goes wrong any more: what is left is worked through, windows close, labels become final, mails go out.
    pub fn calm(&mut self) -> Result<(), String> {
        self.stop_mishaps();
        while !self.feed.is_empty() {
            self.produce();
        }
        self.rest("the input")?;
        for (what, jump) in [("idle partitions", Span::from_mins(2)), ("settling", Span::from_hours(2))] {
            self.world.clock.advance(jump);
            self.rest(what)?;
        }
        for number in 0..2 {
            for record in input::closing(number, PARTITIONS[0].1) {
                self.world.lock().append(record);
            }
            self.rest("the closing events")?;
            self.world.clock.advance(Span::from_hours(2));
            self.rest("the last windows")?;
        }
        for process in &self.processes {
            process.shutdown.cancel();
        }
        for _ in 0..PATIENCE {
            self.everybody();
            if self.processes.iter().all(Process::is_done) {
                return Ok(());
            }
        }
        Err("a process does not drain".to_owned())
    }

    /// Lets everybody go on until nobody does anything.
    fn rest(&mut self, what: &str) -> Result<(), String> {
        let mut still = 0;
        for _ in 0..PATIENCE {
            let before = self.world.lock().activity;
            self.everybody();
            // Checkpoints are due.
            self.world.clock.advance(Span::from_secs(1));
            still = if self.world.lock().activity == before { still + 1 } else { 0 };
            if still >= STILL {
                return Ok(());
            }
        }
        let inner = self.world.lock();
        Err(format!("no rest after {what}; last errors: {:?}", inner.errors.iter().rev().take(5).collect::<Vec<_>>()))
    }

    fn everybody(&mut self) {
        for process in &mut self.processes {
            process.follow_references();
            for task in &mut process.tasks {
                for _ in 0..8 {
                    task.poll();
                }
            }
        }
    }

    fn stop_mishaps(&mut self) {
        {
            let mut inner = self.world.lock();
            inner.faults.calm();
            inner.is_out = false;
            let dead = inner.dead.clone();
            for group in inner.groups.values_mut() {
                for member in group.members(|process, _| dead.contains(&process)) {
                    group.forget(member);
                }
                for member in group.members(|_, is_counted| !is_counted) {
                    group.notice(member);
                }
            }
        }
        for process in &mut self.processes {
            process.is_frozen = false;
        }
        let missing: Vec<&str> = ROLES.into_iter().filter(|role| !self.has(role)).collect();
        if !missing.is_empty() {
            self.start(&missing);
        }
    }

    fn has(&self, role: &str) -> bool {
        let working = self.processes.iter().filter(|process| !process.shutdown.is_cancelled());
        working.flat_map(|process| &process.tasks).any(|task| task.role == role && !task.is_done)
    }

    fn start(&mut self, roles: &[&str]) {
        let references = self.cast.references();
        let roles: Vec<Arc<dyn Role>> = self.cast.roles(&self.world, &references, roles);
        let skew = if self.world.lock().faults.is_calm() { 0 } else { self.below(20_000) };
        let id = self.next_process;
        self.next_process += 1;
        let skew = Span::from_millis(i64::try_from(skew).unwrap());
        self.processes.push(Process::start(&self.world, id, roles, references, skew));
    }

    fn mishap(&mut self) {
        self.processes.retain(|process| !process.is_done());
        if self.processes.len() < self.most_processes && (self.processes.is_empty() || self.strikes(Fault::Start)) {
            self.start_some();
        }
        if self.strikes(Fault::Kill) {
            let victim = self.index();
            self.processes.swap_remove(victim).kill();
        }
        if self.strikes(Fault::Drain) {
            let victim = self.index();
            self.processes[victim].shutdown.cancel();
        }
        if self.strikes(Fault::Freeze) {
            let victim = self.index();
            self.processes[victim].is_frozen = true;
        }
        for process in 0..self.processes.len() {
            if self.processes[process].is_frozen && self.below(150) == 0 {
                self.processes[process].is_frozen = false;
            }
        }
        let frozen: Vec<u64> = self.processes.iter().filter(|process| process.is_frozen).map(|it| it.id).collect();
        let mut inner = self.world.lock();
        if inner.strikes(Fault::Outage) {
            inner.is_out = true;
        } else if inner.is_out && inner.choices.one_in(60) {
            inner.is_out = false;
        }
        if inner.strikes(Fault::Compaction) {
            inner.compact("plimsoll.panes");
        }
        coordinate(&mut inner, &frozen);
    }

    /// A process with all roles, or with some of them.
    fn start_some(&mut self) {
        let mut roles = ROLES.to_vec();
        if !self.processes.is_empty() && self.below(2) == 0 {
            roles.retain(|_| self.world.lock().choices.below(2) == 0);
        }
        self.start(&roles);
    }

    fn pass_time(&mut self) {
        let millis = if self.strikes(Fault::ClockJump) {
            self.below(3 * 3_600_000)
        } else if self.below(3) == 0 {
            self.below(1_000)
        } else {
            0
        };
        self.world.clock.advance(Span::from_millis(i64::try_from(millis).unwrap()));
    }

    /// Some producer sends some of what it has.
    fn produce(&mut self) {
        let mut inner = self.world.lock();
        let which = usize::try_from(inner.choices.below(self.feed.len().max(1) as u64)).unwrap();
        let Some((place, records)) = self.feed.iter_mut().nth(which) else { return };
        let count = 1 + inner.choices.below(12);
        for _ in 0..count {
            if let Some(mut record) = records.pop_front() {
                record.partition = Some(place.partition);
                inner.append(record);
            }
        }
        if records.is_empty() {
            let place = place.clone();
            self.feed.remove(&place);
        }
    }

    /// One task of one process goes on for one step.
    fn go_on(&mut self) {
        if self.processes.is_empty() {
            return;
        }
        let index = self.index();
        if self.processes[index].is_frozen || self.processes[index].tasks.is_empty() {
            return;
        }
        let task = self.below(self.processes[index].tasks.len() as u64);
        let process = &mut self.processes[index];
        process.follow_references();
        process.tasks[usize::try_from(task).unwrap()].poll();
    }

    fn index(&self) -> usize {
        usize::try_from(self.below(self.processes.len() as u64)).unwrap()
    }

    fn below(&self, bound: u64) -> u64 {
        self.world.lock().choices.below(bound)
    }

    fn strikes(&self, fault: Fault) -> bool {
        !self.processes.is_empty() && self.world.lock().strikes(fault)
    }
}

/// What the coordinators of the groups find out: that members are dead, or seem to be.
fn coordinate(inner: &mut Inner, frozen: &[u64]) {
    let names: Vec<&'static str> = inner.groups.keys().copied().collect();
    for name in names {
        let dead = inner.dead.clone();
        let group = &inner.groups[name];
        let gone = group.members(|process, _| dead.contains(&process));
        let sleeping = group.members(|process, is_counted| is_counted && frozen.contains(&process));
        let alive = group.members(|process, is_counted| is_counted && !dead.contains(&process));
        let zombies =
            group.members(|process, is_counted| !is_counted && !dead.contains(&process) && !frozen.contains(&process));
        for member in gone {
            if inner.choices.one_in(40) {
                inner.groups.get_mut(name).unwrap().forget(member);
                inner.faults.note(Fault::Rebalance, 1);
            }
        }
        for member in sleeping {
            if inner.choices.one_in(20) {
                inner.groups.get_mut(name).unwrap().expire(member);
                inner.faults.note(Fault::Zombie, 1);
            }
        }
        if !alive.is_empty() && inner.strikes(Fault::Zombie) {
            let member = alive[usize::try_from(inner.choices.below(alive.len() as u64)).unwrap()];
            inner.groups.get_mut(name).unwrap().expire(member);
        }
        for member in zombies {
            if inner.choices.one_in(50) {
                inner.groups.get_mut(name).unwrap().notice(member);
            }
        }
    }
}
