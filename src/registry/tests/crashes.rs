//! The role on its runner's partition: crashes at every step, and commands that come again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::bus::{Outgoing, Records, Topics};
use crate::clock::Timestamp;
use crate::event::{RolloutState, SourcePartition, from_json, to_json};
use crate::rollout::samples::{both, question, rollout};
use crate::rollout::{Transition, analyse};
use crate::runner::OpenPartition;
use crate::state::{MemoryStore, Store, prefix_end};

/// A topic as compaction leaves it: the last record of each key, in the order of the log.
type Topic = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn topics() -> Topics {
    Topics::named("plimsoll", &["predictions".into()], &["outcomes".into()])
}

fn source() -> SourcePartition {
    SourcePartition { topic: topics().registry_commands, partition: 0 }
}

async fn open(store: &MemoryStore) -> OpenPartition {
    OpenPartition::open(&RegistryRole::new(&topics()), source(), 1, Arc::new(store.clone()), Timestamp::default())
        .await
        .unwrap()
}

fn records(first: i64, commands: &[Command]) -> Records {
    let mut records = Records::default();
    for (offset, command) in (first..).zip(commands) {
        records.push(offset, None, Some(command.id.as_bytes()), Some(&to_json(command).unwrap()));
    }
    records
}

fn publish(topic: &mut Topic, outgoing: Vec<Outgoing>) {
    for record in outgoing {
        assert_eq!((record.topic.as_str(), record.partition), ("plimsoll.registry", Some(0)));
        topic.insert(record.key.unwrap(), record.payload);
    }
}

/// What a follower makes of the topic's log.
fn followed(topic: &Topic) -> Registry {
    let mut registry = Registry::default();
    for (key, payload) in topic.iter().filter(|(key, _)| Decision::is_at(key)) {
        let decision: Decision = from_json(payload.as_deref().unwrap()).unwrap();
        assert_eq!(decision.key().as_bytes(), key);
        assert_eq!(decision.sequence, registry.sequence() + 1, "nothing is missing from the log");
        registry.fold(decision.sequence, decision.at(), decision.events());
    }
    registry
}

/// Everything that can be asked, some of it in vain.
fn story() -> Vec<Command> {
    let run = format!("{:032x}", 3);
    let version = |change: fn(String, u32) -> Change| change("m".into(), 1);
    let changes = vec![
        create_model("m"),
        create_version("m"),
        create_run(),
        log(&run, vec![metric("loss", 0.5, 0), metric("loss", f64::NAN, 1)], &[("lr", "0.1")]),
        create_model("m"),
        log(&run, vec![metric("loss", 0.4, 2)], &[("lr", "0.2")]),
        log(&run, vec![metric("loss", 0.4, 2)], &[]),
        transition(1, Stage::Production, true),
        create_version("m"),
        transition(2, Stage::Production, true),
        Change::SetAlias { name: "m".into(), alias: "champion".into(), version: 2 },
        version(|name, version| Change::DeleteVersion { name, version }),
        Change::RenameModel { name: "m".into(), new_name: "n".into() },
        transition(1, Stage::Staging, false),
        create_model("gone"),
        create_version("gone"),
        Change::DeleteModel { name: "gone".into() },
    ];
    let changes = changes.into_iter().chain(rollouts());
    (1..).zip(changes).map(|(number, change)| command(number, change)).collect()
}

/// From the 18th command on; a rollout has the id of its start, and the number of its last change as its revision.
fn rollouts() -> Vec<Change> {
    let start = |version: u32| Change::StartRollout { name: "n".into(), version, plan: rollout().plan };
    let moves = |revision: u64, transition: Transition| Change::MoveRollout {
        name: "n".into(),
        rollout: format!("{:032x}", 19),
        revision,
        transition,
        analysis: analyse(&question(), &both(2, |_| {})),
    };
    vec![
        create_version("n"),
        start(3),
        Change::PauseRollout { name: "n".into() },
        Change::ResumeRollout { name: "n".into() },
        moves(20, Transition::Advance),
        Change::RenameModel { name: "n".into(), new_name: "o".into() },
        moves(21, Transition::Advance),
        moves(24, Transition::RollBack { reason: "it errs".into() }),
        start(3),
        create_version("n"),
        start(4),
        Change::PromoteRollout { name: "n".into() },
    ]
}

/// The store and the topic after the story, with a crash before step `crash`; each command has four steps: applied,
/// written, published, noted as published.
async fn told(crash: usize) -> (MemoryStore, Topic) {
    let commands = story();
    let (mut store, mut topic, mut step) = (MemoryStore::new(), Topic::new(), 0);
    let mut partition = open(&store).await;
    let mut next = 0;
    while next < commands.len() {
        let mut crashes = || {
            step += 1;
            step == crash
        };
        let offset = i64::try_from(next).unwrap();
        let done = async {
            partition.apply(&records(offset, &commands[next..=next]), Timestamp::default()).await.unwrap();
            if crashes() {
                return false;
            }
            let outgoing = partition.checkpoint(Timestamp::default()).await.unwrap();
            if crashes() {
                return false;
            }
            // Half of what should go out may be out when the process dies.
            if crashes() {
                publish(&mut topic, outgoing[..outgoing.len() / 2].to_vec());
                return false;
            }
            publish(&mut topic, outgoing);
            if crashes() {
                return false;
            }
            partition.published();
            true
        };
        if !done.await {
            store = store.reopen();
            partition = open(&store).await;
            let outgoing = partition.checkpoint(Timestamp::default()).await.unwrap();
            publish(&mut topic, outgoing);
            partition.published();
        }
        next = usize::try_from(partition.next_offset().unwrap_or(0)).unwrap();
    }
    (store, topic)
}

async fn rows(store: &MemoryStore) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    for prefix in
        ["counters", "experiment/", "run/", "points/", "model/", "version/", "logged_model/", "rollout/", "command/"]
    {
        let found = store.scan(prefix.as_bytes(), &prefix_end(prefix.as_bytes())).await.unwrap();
        rows.extend(found.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
    }
    rows
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_no_half_applied_command() {
    let (undisturbed, expected) = told(usize::MAX).await;
    let expected_rows = rows(&undisturbed).await;
    let registry = followed(&expected);
    assert_eq!(registry.sequence(), story().len() as u64);
    for crash in 1..=4 * story().len() {
        let (store, topic) = told(crash).await;
        assert!(topic == expected, "the topic differs after a crash at step {crash}");
        assert!(rows(&store).await == expected_rows, "the state differs after a crash at step {crash}");
    }
}

#[tokio::test]
async fn the_state_is_the_fold_of_the_log_and_models_stand_beside_it() {
    let (store, topic) = told(usize::MAX).await;
    let restored = Registry::restore(&store, "registry").await.unwrap();
    let followed = followed(&topic);
    // NaN equals nothing, so that what is written is compared.
    assert_eq!(format!("{restored:?}"), format!("{followed:?}"));
    let value = |key: &str| topic.get(key.as_bytes()).unwrap().clone();
    let model: RegisteredModel = from_json(&value("model/n").unwrap()).unwrap();
    assert_eq!(&model, followed.model("n").unwrap());
    let version: ModelVersion = from_json(&value("version/n/2").unwrap()).unwrap();
    assert_eq!(version.stage, Stage::Archived);
    let [taken_back, taken_over] = [19, 28].map(|number| restored.rollout(&format!("{number:032x}")).unwrap());
    assert_eq!((taken_back.state, taken_back.step), (RolloutState::RolledBack, 1));
    assert_eq!((taken_over.state, restored.answering("n")), (RolloutState::Promoted, Some(4)));
    assert_eq!(restored.rollouts().iter().count(), 2);
    for gone in ["model/m", "version/m/1", "version/m/2", "model/gone", "version/gone/1"] {
        assert_eq!(value(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn a_command_that_is_delivered_again_is_decided_once() {
    let store = MemoryStore::new();
    let mut partition = open(&store).await;
    let again = command(1, create_version("m"));
    let commands = [command(2, create_model("m")), again.clone(), again.clone()];
    partition.apply(&records(0, &commands), Timestamp::default()).await.unwrap();
    let outgoing = partition.checkpoint(Timestamp::default()).await.unwrap();
    partition.published();
    assert_eq!(outgoing.iter().filter(|record| Decision::is_at(record.key.as_ref().unwrap())).count(), 2);
    // Also by another process, later.
    let store = store.reopen();
    let mut partition = open(&store).await;
    partition.apply(&records(3, &[again]), Timestamp::default()).await.unwrap();
    let repeated = partition.checkpoint(Timestamp::default()).await.unwrap();
    assert!(repeated.iter().all(|record| outgoing.contains(record)), "nothing new is published");
    assert_eq!(Registry::restore(&store, "registry").await.unwrap().versions_of("m").count(), 1);
}

#[tokio::test]
async fn state_that_was_lost_is_decided_anew_to_the_same_log() {
    let (_, expected) = told(usize::MAX).await;
    let mut partition = open(&MemoryStore::new()).await;
    partition.apply(&records(0, &story()), Timestamp::from_millis(9_999_999)).await.unwrap();
    let mut topic = Topic::new();
    publish(&mut topic, partition.checkpoint(Timestamp::default()).await.unwrap());
    for (key, payload) in expected.iter().filter(|(key, _)| Decision::is_at(key)) {
        assert_eq!(topic.get(key), Some(payload));
    }
}

#[tokio::test]
async fn what_is_no_command_is_passed_over_and_a_newer_one_stops() {
    let mut partition = open(&MemoryStore::new()).await;
    let mut garbage = Records::default();
    garbage.push(0, None, None, None);
    garbage.push(1, None, None, Some(b"{\"id\":1}"));
    let mut long = command(1, create_model("m"));
    long.reason = "x".repeat(MAX_COMMAND);
    garbage.push(2, None, None, Some(&to_json(&long).unwrap()));
    partition.apply(&garbage, Timestamp::default()).await.unwrap();
    assert_eq!(partition.next_offset(), Some(3));
    assert!(partition.checkpoint(Timestamp::default()).await.unwrap().is_empty());
    let mut newer = Records::default();
    newer.push(3, None, None, Some(b"{\"format\":99}"));
    let error = partition.apply(&newer, Timestamp::default()).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("99"), "{error}");
}
