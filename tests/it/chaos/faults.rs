//! What befalls the workers and the brokers, by a schedule from a seed.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::random::Random;
use crate::support::{KafkaCluster, Service, pause, signal};

/// After this a silent worker loses its partitions; the shortest that Kafka allows.
pub const SESSION: Duration = Duration::from_secs(6);
/// The longest that a worker may take to stop while brokers come and go.
const STOPPING: Duration = Duration::from_mins(2);
/// From the start of one fault to the next one's, in milliseconds.
const GAP: (u64, u64) = (2_000, 5_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// kill -9, and back before the group notices.
    WorkerCrash,
    /// kill -9, and away until others have taken over.
    WorkerLoss,
    /// SIGTERM, and back.
    WorkerRestart,
    /// SIGSTOP until others have taken over, then SIGCONT.
    WorkerPause,
    BrokerRestart,
    /// kill -9.
    BrokerCrash,
    /// SIGSTOP until the controllers have replaced it, then SIGCONT.
    BrokerPause,
}

const KINDS: [Kind; 7] = [
    Kind::WorkerCrash,
    Kind::WorkerLoss,
    Kind::WorkerRestart,
    Kind::WorkerPause,
    Kind::BrokerRestart,
    Kind::BrokerCrash,
    Kind::BrokerPause,
];

/// One fault that happened.
#[derive(Debug)]
pub struct Fault {
    pub kind: Kind,
    /// Which worker or broker, from 1.
    pub target: usize,
    pub at: Instant,
    /// How a worker that was asked to stop has ended.
    pub ended: Option<ExitStatus>,
}

/// Whom faults can befall. Workers one each at a time; of the brokers one, since two of three are needed.
pub struct Targets<'a> {
    pub cluster: &'a KafkaCluster,
    pub workers: Vec<Mutex<Service>>,
    busy_workers: Vec<AtomicBool>,
    busy_cluster: AtomicBool,
    happened: Mutex<Vec<Fault>>,
}

impl<'a> Targets<'a> {
    pub fn new(cluster: &'a KafkaCluster, workers: Vec<Service>) -> Self {
        Self {
            cluster,
            busy_workers: workers.iter().map(|_| AtomicBool::new(false)).collect(),
            busy_cluster: AtomicBool::new(false),
            workers: workers.into_iter().map(Mutex::new).collect(),
            happened: Mutex::default(),
        }
    }

    /// Every kind in turn, in an order and at times from the seed, for this long; returns when all have passed.
    pub fn disturb(&self, seed: u64, duration: Duration) {
        let started = Instant::now();
        let mut random = Random::new(seed ^ 0xfa_17);
        let mut coming: Vec<Kind> = Vec::new();
        thread::scope(|scope| {
            while started.elapsed() < duration {
                if coming.is_empty() {
                    coming = shuffled(&mut random);
                }
                // A fault whose targets all have one already comes later.
                if let Some(next) = coming.iter().position(|kind| self.start(scope, *kind, &mut random)) {
                    coming.remove(next);
                }
                pause(random.between(GAP.0, GAP.1));
            }
        });
    }

    pub fn into_parts(self) -> (Vec<Service>, Vec<Fault>) {
        let workers = self.workers.into_iter().map(|worker| worker.into_inner().unwrap()).collect();
        (workers, self.happened.into_inner().unwrap())
    }

    /// False when there is no target for it now.
    fn start<'s>(&'s self, scope: &'s Scope<'s, '_>, kind: Kind, random: &mut Random) -> bool {
        let mut own = Random::new(random.next());
        if kind.is_of_broker() {
            if self.busy_cluster.swap(true, Ordering::Relaxed) {
                return false;
            }
            let broker = 1 + own.below(3);
            scope.spawn(move || {
                self.befall_broker(kind, broker, &mut own);
                self.busy_cluster.store(false, Ordering::Relaxed);
            });
            return true;
        }
        let first = own.below(self.workers.len());
        let free = (0..self.workers.len())
            .map(|offset| (first + offset) % self.workers.len())
            .find(|worker| !self.busy_workers[*worker].swap(true, Ordering::Relaxed));
        let Some(worker) = free else { return false };
        scope.spawn(move || {
            self.befall_worker(kind, worker, &mut own);
            self.busy_workers[worker].store(false, Ordering::Relaxed);
        });
        true
    }

    fn befall_worker(&self, kind: Kind, index: usize, random: &mut Random) {
        let mut worker = self.workers[index].lock().unwrap();
        if worker.process().ended().is_some() {
            // Its port was taken, which this mends; everything else fails the test.
            worker.wait_ready();
        }
        let at = Instant::now();
        println!("{kind:?} of worker {}", index + 1);
        let mut ended = None;
        let session = u64::try_from(SESSION.as_millis()).unwrap();
        match kind {
            Kind::WorkerPause => {
                let id = worker.process().id();
                signal(id, "STOP");
                pause(random.between(session + 1_000, session + 4_000));
                signal(id, "CONT");
            }
            Kind::WorkerRestart => {
                ended = Some(worker.stop(STOPPING));
                pause(random.between(0, 3_000));
                worker.launch();
            }
            Kind::WorkerLoss => {
                worker.kill();
                pause(random.between(session + 1_000, session + 4_000));
                worker.launch();
            }
            _ => {
                worker.kill();
                pause(random.between(0, 1_000));
                worker.launch();
            }
        }
        self.happened.lock().unwrap().push(Fault { kind, target: index + 1, at, ended });
    }

    fn befall_broker(&self, kind: Kind, broker: usize, random: &mut Random) {
        let at = Instant::now();
        println!("{kind:?} of broker {broker}");
        match kind {
            Kind::BrokerPause => {
                let id = self.cluster.process_id(broker);
                signal(id, "STOP");
                pause(random.between(10_000, 13_000));
                signal(id, "CONT");
            }
            Kind::BrokerRestart => {
                self.cluster.stop(broker);
                pause(random.between(1_000, 4_000));
                self.cluster.restart(broker);
            }
            _ => {
                self.cluster.kill(broker);
                pause(random.between(1_000, 4_000));
                self.cluster.restart(broker);
            }
        }
        self.happened.lock().unwrap().push(Fault { kind, target: broker, at, ended: None });
    }
}

impl Kind {
    const fn is_of_broker(self) -> bool {
        matches!(self, Self::BrokerRestart | Self::BrokerCrash | Self::BrokerPause)
    }
}

/// How often each kind happened.
pub fn counts(faults: &[Fault]) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for fault in faults {
        *counts.entry(fault.kind).or_default() += 1;
    }
    counts
}

fn shuffled(random: &mut Random) -> Vec<Kind> {
    let mut kinds = KINDS.to_vec();
    for last in (1..kinds.len()).rev() {
        kinds.swap(last, random.below(last + 1));
    }
    kinds
}
