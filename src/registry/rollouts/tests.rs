//! The role beside the registry, as far as both need no broker: crashes at every step, and alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::bus::{Outgoing, Records, Topics};
use crate::clock::{Span, Timestamp};
use crate::event::{Alert, AlertState, Rollout, RolloutState, SourcePartition, WindowReport, from_json, to_json};
use crate::registry::{CHAMPION, Change, Command, Decision, Outcome, Registry, Texts, decide};
use crate::rollout::samples::{rollout, window};
use crate::runner::OpenPartition;
use crate::state::MemoryStore;

const NOW: Timestamp = Timestamp::from_millis(10_000);

/// As many errors of the new version in each window.
struct Traffic {
    errors: u64,
}

impl Windows for Traffic {
    fn of_model(&self, model: &str) -> Vec<Arc<WindowReport>> {
        assert_eq!(model, "m");
        let pair = |start: i64| [window("stable", start, 500, 0), window("canary", start, 500, self.errors)];
        [10, 12].into_iter().flat_map(pair).map(Arc::new).collect()
    }
}

/// The registry with its log, and what the role has published.
struct World {
    registry: Registry,
    log: Vec<Decision>,
    decided: BTreeMap<String, Command>,
    alerts: BTreeMap<Vec<u8>, Alert>,
    alert_records: usize,
}

fn topics() -> Topics {
    Topics::named("plimsoll", &["predictions".into()], &["outcomes".into()])
}

impl World {
    /// With a model of three versions, of which the first answers.
    fn new() -> Self {
        let mut world = Self {
            registry: Registry::default(),
            log: Vec::new(),
            decided: BTreeMap::new(),
            alerts: BTreeMap::new(),
            alert_records: 0,
        };
        world.give(Change::CreateModel { name: "m".into(), description: String::new(), tags: Texts::new() });
        for _ in 0..3 {
            world.give(Change::CreateVersion {
                name: "m".into(),
                source: "s3://b/m".into(),
                run_id: String::new(),
                run_link: String::new(),
                model_id: String::new(),
                description: String::new(),
                tags: Texts::new(),
            });
        }
        world.give(Change::SetAlias { name: "m".into(), alias: CHAMPION.into(), version: 1 });
        world
    }

    fn give(&mut self, change: Change) {
        let id = format!("{:032}", self.log.len());
        self.decide(Command {
            id,
            at: NOW,
            user: "ada".into(),
            reason: String::new(),
            expected_revision: None,
            gated: false,
            change,
        });
    }

    fn start(&mut self, version: u32, plan: impl FnOnce(&mut Rollout)) {
        let mut planned = rollout();
        planned.plan.steps.iter_mut().for_each(|step| step.bake = Span::ZERO);
        plan(&mut planned);
        self.give(Change::StartRollout { name: "m".into(), version, plan: planned.plan });
    }

    /// A command that comes again is decided once.
    fn decide(&mut self, command: Command) {
        if let Some(known) = self.decided.get(&command.id) {
            assert_eq!(known, &command, "the same command is asked for in the same words");
            return;
        }
        self.decided.insert(command.id.clone(), command.clone());
        let outcome = match decide(&self.registry, &command) {
            Ok(events) => Outcome::Applied { events },
            Err(rejection) => Outcome::Rejected { rejection },
        };
        let decision = Decision { sequence: self.registry.sequence() + 1, command, outcome };
        self.registry.fold(decision.sequence, decision.at(), decision.events());
        self.log.push(decision);
    }

    fn publish(&mut self, outgoing: Vec<Outgoing>) {
        for record in outgoing {
            let payload = record.payload.unwrap();
            if record.topic == topics().alerts {
                self.alert_records += 1;
                let alert: Alert = from_json(&payload).unwrap();
                let key = record.key.unwrap();
                let known = self.alerts.get(&key).map_or(0, |known| known.revision);
                assert!(alert.revision >= known, "revisions never fall");
                self.alerts.insert(key, alert);
            } else {
                assert_eq!((record.topic, record.partition), (topics().registry_commands, Some(0)));
                self.decide(from_json(&payload).unwrap());
            }
        }
    }

    fn newest(&self) -> &Rollout {
        self.registry.rollouts().newest("m").unwrap()
    }
}

async fn open(store: &MemoryStore, errors: u64) -> OpenPartition {
    let role = RolloutRole::new(&topics(), Arc::new(Traffic { errors }));
    let source = SourcePartition { topic: topics().registry, partition: 0 };
    OpenPartition::open(&role, source, 1, Arc::new(store.clone()), NOW).await.unwrap()
}

/// Lets the role follow the log until it has nothing more to say, with a crash before step `crash`; each round has four
/// steps: applied, written, published, noted as published. Returns whether it came to that step.
async fn follow(world: &mut World, store: &mut MemoryStore, errors: u64, crash: usize) -> bool {
    let (mut step, mut has_crashed) = (0, false);
    let mut partition = open(store, errors).await;
    loop {
        let mut crashes = || {
            step += 1;
            step == crash
        };
        let next = usize::try_from(partition.next_offset().unwrap_or(0)).unwrap();
        let known = world.log.len();
        let mut records = Records::default();
        for (offset, decision) in (0..).zip(&world.log).skip(next) {
            records.push(offset, None, Some(decision.key().as_bytes()), Some(&to_json(decision).unwrap()));
        }
        let done = async {
            partition.apply(&records, NOW).await.unwrap();
            if crashes() {
                return false;
            }
            if partition.asks_for_end(NOW) {
                partition.take_end(true);
            }
            let outgoing = partition.checkpoint(NOW).await.unwrap();
            if crashes() {
                return false;
            }
            world.publish(outgoing);
            if crashes() {
                return false;
            }
            partition.published();
            true
        };
        if !done.await {
            has_crashed = true;
            *store = store.reopen();
            partition = open(store, errors).await;
            let outgoing = partition.checkpoint(NOW).await.unwrap();
            world.publish(outgoing);
            partition.published();
            continue;
        }
        if world.log.len() == known && next == known {
            return has_crashed;
        }
    }
}

/// Everything that came of it.
fn outcome(world: &World) -> (Registry, BTreeMap<Vec<u8>, Alert>, usize) {
    (world.registry.clone(), world.alerts.clone(), world.log.len())
}

async fn told(errors: u64, crash: usize) -> (World, bool) {
    let (mut world, mut store) = (World::new(), MemoryStore::new());
    world.start(2, |_| {});
    let has_crashed = follow(&mut world, &mut store, errors, crash).await;
    (world, has_crashed)
}

#[tokio::test]
async fn a_good_version_is_promoted_through_all_steps_whatever_crashes_when() {
    let (undisturbed, _) = told(0, usize::MAX).await;
    assert_eq!((undisturbed.newest().state, undisturbed.newest().step), (RolloutState::Promoted, 2));
    assert_eq!((undisturbed.registry.answering("m"), undisturbed.alert_records), (Some(2), 0));
    let mut crash = 1;
    loop {
        let (world, has_crashed) = told(0, crash).await;
        assert!(outcome(&world) == outcome(&undisturbed), "it ends otherwise after a crash at step {crash}");
        if !has_crashed {
            break;
        }
        crash += 1;
    }
    assert!(crash > 9, "only {crash} steps were tried");
}

#[tokio::test]
async fn a_version_that_errs_is_rolled_back_in_its_first_step_with_one_alert_whatever_crashes_when() {
    let (undisturbed, _) = told(100, usize::MAX).await;
    let taken_back = undisturbed.newest();
    assert_eq!((taken_back.state, taken_back.step), (RolloutState::RolledBack, 0));
    assert!(taken_back.reason.contains("error_rate 0.2000 against 0.0000"), "{}", taken_back.reason);
    assert_eq!(taken_back.cool_down_until, Some(NOW.plus(Span::from_hours(1))));
    let alert = undisturbed.alerts.values().next().unwrap();
    assert_eq!((alert.kind.as_str(), alert.state, undisturbed.alert_records), ("rollout", AlertState::Firing, 1));
    assert_eq!((alert.population.version.as_str(), alert.population.variant.as_str()), ("2", "canary"));
    assert_eq!(alert.evidence["analysis"]["verdict"], "fail");
    for crash in 1.. {
        let (world, has_crashed) = told(100, crash).await;
        assert!(outcome(&world) == outcome(&undisturbed), "it ends otherwise after a crash at step {crash}");
        if !has_crashed {
            break;
        }
    }
}

#[tokio::test]
async fn the_alert_is_resolved_when_another_version_is_tried() {
    let (mut world, mut store) = (World::new(), MemoryStore::new());
    world.start(2, |_| {});
    follow(&mut world, &mut store, 100, usize::MAX).await;
    // In another process, from the same state.
    store = store.reopen();
    world.start(3, |planned| planned.plan.steps.iter_mut().for_each(|step| step.bake = Span::from_hours(1)));
    follow(&mut world, &mut store, 0, usize::MAX).await;
    let alert = world.alerts.values().next().unwrap();
    assert_eq!((alert.state, alert.resolved_at, world.alerts.len()), (AlertState::Resolved, Some(NOW), 1));
    assert_eq!((world.newest().candidate, world.newest().state), (3, RolloutState::Running), "it bakes");
}

#[tokio::test]
async fn before_the_log_has_been_read_to_its_end_nothing_is_asked_for() {
    let mut world = World::new();
    world.start(2, |_| {});
    let mut partition = open(&MemoryStore::new(), 100).await;
    let mut records = Records::default();
    for (offset, decision) in (0..).zip(&world.log) {
        records.push(offset, None, Some(decision.key().as_bytes()), Some(&to_json(decision).unwrap()));
    }
    partition.apply(&records, NOW).await.unwrap();
    assert!(partition.asks_for_end(NOW));
    partition.take_end(false);
    assert!(partition.checkpoint(NOW).await.unwrap().is_empty());
    partition.published();
    partition.take_end(true);
    assert_eq!(partition.checkpoint(NOW).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_paused_or_over_or_without_windows_stays_as_it_is() {
    let (mut world, mut store) = (World::new(), MemoryStore::new());
    world.start(2, |_| {});
    world.give(Change::PauseRollout { name: "m".into() });
    let decided = world.log.len();
    follow(&mut world, &mut store, 0, usize::MAX).await;
    assert_eq!((world.newest().state, world.log.len()), (RolloutState::Paused, decided));
    world.give(Change::AbortRollout { name: "m".into() });
    follow(&mut world, &mut store, 100, usize::MAX).await;
    assert_eq!((world.newest().state, world.log.len()), (RolloutState::Aborted, decided + 1));
    assert_eq!((world.registry.answering("m"), world.alert_records), (Some(1), 0));
}
