//! Static membership: who keeps, gets and loses partitions of a real Kafka's consumer group.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use plimsoll::bus::{Admin, BrokerSource, BusError, BusSettings, Consumer, Polled, Position, Topics};
use plimsoll::telemetry::Telemetry;

use crate::support::{KafkaBroker, RUNTIME, unique};

const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(100);
/// Longer than these tests wait for anything, and as long as librdkafka allows.
const SESSION: &str = "300000";

struct Group {
    settings: BusSettings,
    name: String,
    topic: String,
}

/// A member and the partitions that it holds.
struct Member {
    consumer: Consumer,
    held: BTreeSet<i32>,
    /// How often its partitions were taken away.
    revoked: u32,
}

impl Group {
    /// On topics of its own with two partitions.
    fn new(kafka: &KafkaBroker) -> Self {
        let prefix = unique("members");
        let topic = format!("{prefix}.predictions");
        let settings = BusSettings {
            brokers: BrokerSource::External(kafka.bootstrap().to_owned()),
            properties: [("session.timeout.ms".to_owned(), SESSION.to_owned())].into(),
            predictions: vec![topic.clone()],
            outcomes: Vec::new(),
            partitions: 2,
            replication: 1,
            instance: None,
            prefix: prefix.clone(),
        };
        let admin = Admin::new(&settings, &Telemetry::default()).unwrap();
        RUNTIME.block_on(admin.ensure(&Topics::new(&settings).all(&settings))).unwrap();
        Self { settings, name: format!("{prefix}.ingest"), topic }
    }

    fn join(&self, instance: &str) -> Member {
        let settings = BusSettings { instance: Some(instance.to_owned()), ..self.settings.clone() };
        let topics = [self.topic.clone()];
        let consumer = Consumer::new(&settings, &self.name, &topics, &Telemetry::default()).unwrap();
        Member { consumer, held: BTreeSet::new(), revoked: 0 }
    }

    fn members(&self) -> usize {
        let admin = Admin::new(&self.settings, &Telemetry::default()).unwrap();
        RUNTIME.block_on(admin.members(&self.name)).unwrap()
    }
}

impl Member {
    fn poll(&mut self) -> Result<(), BusError> {
        match self.consumer.poll(1, POLL)? {
            Polled::Assigned(sources) => {
                self.held = sources.iter().map(|source| source.partition).collect();
                let positions: Vec<Position> = sources.into_iter().map(|source| Position::at(source, None)).collect();
                self.consumer.assign(&positions)?;
            }
            Polled::Revoked(_) => {
                self.held.clear();
                self.revoked += 1;
                self.consumer.unassign()?;
            }
            Polled::Records(_) | Polled::Idle => {}
        }
        Ok(())
    }
}

/// Polls all members in turn until the condition holds.
fn until(members: &mut [&mut Member], holds: impl Fn(&[&mut Member]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(members) {
        let held: Vec<_> = members.iter().map(|member| &member.held).collect();
        assert!(Instant::now() < deadline, "the members hold {held:?}");
        for member in members.iter_mut() {
            member.poll().unwrap();
        }
    }
}

#[test]
fn a_member_that_crashed_gets_its_partitions_again_without_a_rebalance() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let group = Group::new(kafka);
    let (mut first, mut second) = (group.join("a"), group.join("b"));
    until(&mut [&mut first, &mut second], |members| members.iter().all(|member| member.held.len() == 1));
    let (before, revoked) = (second.held.clone(), first.revoked);
    // As after kill -9: nobody tells the group.
    drop(second);
    let mut second = group.join("b");
    until(&mut [&mut first, &mut second], |members| !members[1].held.is_empty());
    assert_eq!((second.held, first.revoked), (before, revoked));
}

#[test]
fn a_member_that_leaves_hands_its_partitions_over_at_once() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let group = Group::new(kafka);
    let (mut first, mut second) = (group.join("a"), group.join("b"));
    until(&mut [&mut first, &mut second], |members| members.iter().all(|member| member.held.len() == 1));
    second.consumer.leave();
    drop(second);
    until(&mut [&mut first], |members| members[0].held.len() == 2);
}

#[test]
fn a_member_that_leaves_while_it_joins_is_gone_at_once() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let group = Group::new(kafka);
    let mut asks = group.join("a");
    asks.consumer.leave();
    assert_eq!(group.members(), 0, "the request to join was on its way");
    let mut told = group.join("a");
    while !matches!(told.consumer.poll(1, POLL).unwrap(), Polled::Assigned(_)) {}
    told.consumer.leave();
    assert_eq!(group.members(), 0, "the assignment was not answered");
}

#[test]
fn of_two_members_with_one_name_the_older_is_told_so() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let group = Group::new(kafka);
    let mut older = group.join("a");
    until(&mut [&mut older], |members| members[0].held.len() == 2);
    let mut newer = group.join("a");
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "the older member goes on");
        newer.poll().unwrap();
        if let Err(error) = older.poll() {
            break error.to_string();
        }
    };
    assert!(error.contains("instance 'a'") && error.contains("kafka.instance"), "{error}");
}
