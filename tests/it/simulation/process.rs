//! A process: roles at work, each a task that goes on only when it is polled, so that it can be stopped between any two
//! steps, for a while or for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use plimsoll::clock::Span;
use plimsoll::event::SourcePartition;
use plimsoll::profile::{Reference, decode};
use plimsoll::runner::{References, Role, RunnerSettings, Running};
use plimsoll::telemetry::Telemetry;
use tokio_util::sync::CancellationToken;

use super::faults::Fault;
use super::group::SimMember;
use super::ports::{SimPublisher, SimStores};
use super::world::{Shared, Skewed, Yield};

pub struct Process {
    pub id: u64,
    pub tasks: Vec<Task>,
    pub shutdown: CancellationToken,
    pub is_frozen: bool,
    references: References,
    /// References of the topic that this process has read.
    followed: usize,
    world: Shared,
}

pub struct Task {
    pub role: &'static str,
    future: Pin<Box<dyn Future<Output = ()>>>,
    pub is_done: bool,
}

const CHECKPOINT: Span = Span::from_secs(1);

impl Process {
    pub fn start(world: &Shared, id: u64, roles: Vec<Arc<dyn Role>>, references: References, skew: Span) -> Self {
        let shutdown = CancellationToken::new();
        let tasks = roles.into_iter().map(|role| {
            let settings = RunnerSettings {
                checkpoint: CHECKPOINT,
                state: Arc::new(SimStores { world: world.clone() }),
                producer: Arc::new(SimPublisher { world: world.clone(), process: id }),
                clock: Arc::new(Skewed { world: world.clone(), by: skew }),
                telemetry: Telemetry::default(),
                shutdown: shutdown.clone(),
            };
            let name = role.name();
            Task { role: name, future: Box::pin(work(world.clone(), role, settings, id)), is_done: false }
        });
        let tasks = tasks.collect();
        let mut process = Self { id, tasks, shutdown, is_frozen: false, references, followed: 0, world: world.clone() };
        process.follow_references();
        process
    }

    /// Takes over references that evaluate has built from the stream, as the service's follower does.
    pub fn follow_references(&mut self) {
        let world = self.world.lock();
        let place = SourcePartition { topic: "plimsoll.references".to_owned(), partition: 0 };
        let Some(log) = world.log.get(&place) else { return };
        for logged in &log[self.followed..] {
            let reference: Reference = decode(logged.record.payload.as_deref().unwrap()).unwrap();
            self.references.set(reference);
        }
        self.followed = log.len();
    }

    pub fn is_done(&self) -> bool {
        self.tasks.iter().all(|task| task.is_done)
    }

    /// As `kill -9` does it.
    pub fn kill(self) {
        self.world.lock().dead.insert(self.id);
    }
}

impl Task {
    pub fn poll(&mut self) {
        if self.is_done {
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        self.is_done = matches!(self.future.as_mut().poll(&mut context), Poll::Ready(()));
    }
}

/// As [`plimsoll::runner::run`]: after a failure, everything is opened again from the store.
async fn work(world: Shared, role: Arc<dyn Role>, settings: RunnerSettings, process: u64) {
    while !settings.shutdown.is_cancelled() {
        let member = SimMember::join(&world, role.name(), &role.topics(), process);
        let mut running = Running::new(role.as_ref(), &settings, Box::new(member));
        let Err(error) = running.follow().await else { return };
        drop(running);
        {
            let mut inner = world.lock();
            inner.faults.note(Fault::Restart, 1);
            inner.errors.push(format!("{}: {error}", role.name()));
        }
        Yield(1).await;
        world.pause(30).await;
    }
}
