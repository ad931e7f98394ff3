//! The queue. Everything in it is in memory, the store is its copy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::delivery::{Delivery, Fate};
use super::results::Results;
use crate::clock::{Span, Timestamp};
use crate::event::{key_of, parts_of};
use crate::registry::rows::{decode, encode};
use crate::registry::webhooks::{PostError, Reply};
use crate::runner::RoleError;
use crate::state::{StateError, Store, Write, prefix_end};

/// By receiver, and by the order in which they were queued.
pub(in crate::registry) type Key = (String, u64);

pub(in crate::registry) struct Deliveries {
    results: Results,
    /// Of one receiver; beyond it the oldest are given up.
    max_waiting: usize,
    waiting: BTreeMap<Key, Delivery>,
    next: u64,
    /// Since the last checkpoint.
    changed: BTreeSet<Key>,
    dead: Vec<(Key, Delivery)>,
}

/// How messages get to one receiver.
#[async_trait]
pub(in crate::registry) trait Way: Sync {
    async fn send(&self, delivery: &Delivery) -> Result<Reply, PostError>;
}

const DELIVERY: &str = "delivery/";

/// How long a delivery that was given up is kept to be looked at.
const DEAD_KEPT: Span = Span::from_days(90);
/// A slow receiver slows its role only, and not for much longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

impl Deliveries {
    /// Reads what the store has; `path` is for messages.
    pub(in crate::registry) async fn open(
        store: &dyn Store,
        path: &str,
        max_waiting: usize,
        results: Results,
    ) -> Result<Self, StateError> {
        let corrupt = |reason: String| StateError::Corrupt { path: path.to_owned(), reason };
        let mut waiting = BTreeMap::new();
        for (key, value) in store.scan(DELIVERY.as_bytes(), &prefix_end(DELIVERY.as_bytes())).await? {
            let key = String::from_utf8_lossy(&key);
            let id = identity(&parts_of(&key)).ok_or_else(|| corrupt(format!("a key is {key:?}")))?;
            let row = decode(&value).map_err(|reason| corrupt(format!("{key}: {reason}")))?;
            waiting.insert(id, row);
        }
        let next = waiting.keys().map(|(_, number)| number + 1).max().unwrap_or_default();
        results.set_waiting(waiting.len());
        Ok(Self { results, max_waiting, waiting, next, changed: BTreeSet::new(), dead: Vec::new() })
    }

    pub(in crate::registry) fn push(&mut self, receiver: &str, delivery: Delivery) {
        if self.waiting_for(receiver).nth(self.max_waiting - 1).is_some() {
            self.give_up_oldest(receiver);
        }
        let key = (receiver.to_owned(), self.next);
        self.next += 1;
        self.changed.insert(key.clone());
        self.waiting.insert(key, delivery);
    }

    /// Lets go of all that waits for a receiver that is no more.
    pub(in crate::registry) fn forget(&mut self, receiver: &str) {
        let keys: Vec<Key> = self.waiting_for(receiver).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.waiting.remove(&key);
            self.changed.insert(key);
        }
    }

    /// What is due now, at most so many. One that must be tried again later holds up those behind it.
    pub(in crate::registry) fn due(&self, receiver: &str, most: usize, now: Timestamp) -> Vec<(Key, Delivery)> {
        let first = self.waiting_for(receiver).take(most);
        let due = first.take_while(|(_, delivery)| delivery.next_attempt_at <= now);
        due.map(|(key, delivery)| (key.clone(), delivery.clone())).collect()
    }

    pub(in crate::registry) fn attempted(&mut self, key: Key, answer: &Result<Reply, PostError>, now: Timestamp) {
        let Some(mut delivery) = self.waiting.remove(&key) else { return };
        self.changed.insert(key.clone());
        let fate = delivery.attempted(answer, now);
        let what = self.results.what;
        let (id, event, receiver) = (delivery.id.clone(), delivery.event.clone(), key.0.clone());
        let (attempts, error) = (delivery.attempts, delivery.last_error.clone().unwrap_or_default());
        match fate {
            Fate::Sent => {
                self.results.count(Results::SENT);
                tracing::info!(what, id, event, receiver, attempts, "delivered");
            }
            Fate::Retry => {
                self.results.count(Results::FAILED);
                let next = delivery.next_attempt_at;
                tracing::warn!(what, id, event, receiver, attempts, %next, error, "not delivered, will be tried again");
                self.waiting.insert(key, delivery);
            }
            Fate::Dead => {
                self.results.count(Results::FAILED);
                self.bury(key, delivery);
            }
        }
    }

    /// What has changed since the last call.
    pub(in crate::registry) fn writes(&mut self) -> Result<Vec<Write>, RoleError> {
        self.results.set_waiting(self.waiting.len());
        let mut writes = Vec::new();
        for key in std::mem::take(&mut self.changed) {
            let row = key_of(&["delivery", &key.0, &format!("{:016x}", key.1)]);
            writes.push(match self.waiting.get(&key) {
                Some(delivery) => Write::put(row, encode(delivery)?),
                None => Write::delete(row),
            });
        }
        for ((receiver, _), delivery) in std::mem::take(&mut self.dead) {
            let key = key_of(&["dead", &receiver, &delivery.id]).into_bytes();
            writes.push(Write::Put { key, value: encode(&delivery)?, ttl: Some(DEAD_KEPT) });
        }
        Ok(writes)
    }

    fn waiting_for(&self, receiver: &str) -> impl Iterator<Item = (&Key, &Delivery)> {
        self.waiting.range((receiver.to_owned(), 0)..=(receiver.to_owned(), u64::MAX))
    }

    fn give_up_oldest(&mut self, receiver: &str) {
        let Some(key) = self.waiting_for(receiver).next().map(|(key, _)| key.clone()) else { return };
        let Some(mut delivery) = self.waiting.remove(&key) else { return };
        let most = self.max_waiting;
        delivery.last_error.get_or_insert_with(|| format!("more than {most} deliveries waited"));
        self.bury(key, delivery);
    }

    fn bury(&mut self, key: Key, delivery: Delivery) {
        self.results.count(Results::DEAD);
        let (what, id, event, receiver) = (self.results.what, &delivery.id, &delivery.event, &key.0);
        let error = delivery.last_error.clone().unwrap_or_default();
        tracing::error!(what, id, event, receiver, attempts = delivery.attempts, error, "delivery given up");
        self.changed.insert(key.clone());
        self.dead.push((key, delivery));
    }
}

/// Sends until one must be tried again, or the receiver has taken its time.
pub(in crate::registry) async fn send_in_order(
    way: &dyn Way,
    deliveries: Vec<(Key, Delivery)>,
) -> Vec<(Key, Result<Reply, PostError>)> {
    let deadline = Instant::now() + PATIENCE;
    let mut answers = Vec::new();
    for (key, delivery) in deliveries {
        let answer = way.send(&delivery).await;
        let goes_on = answer.as_ref().is_ok_and(|reply| !reply.is_temporary());
        answers.push((key, answer));
        if !goes_on || Instant::now() >= deadline {
            break;
        }
    }
    answers
}

fn identity(parts: &[String]) -> Option<Key> {
    Some((parts.get(1)?.clone(), u64::from_str_radix(parts.get(2)?, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;
    use crate::telemetry::Telemetry;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    async fn open(store: &MemoryStore) -> Deliveries {
        let results = Results::registered(&Telemetry::default(), "plimsoll_test_deliveries", "test");
        Deliveries::open(store, "test", 2, results).await.unwrap()
    }

    fn delivery(id: &str) -> Delivery {
        Delivery::new(id.to_owned(), "made".into(), "{}".into(), NOW)
    }

    fn due(deliveries: &Deliveries, receiver: &str) -> Vec<String> {
        deliveries.due(receiver, 10, NOW).into_iter().map(|(_, delivery)| delivery.id).collect()
    }

    #[tokio::test]
    async fn what_waits_is_there_again_in_order_and_beyond_the_limit_the_oldest_is_given_up() {
        let store = MemoryStore::new();
        let mut deliveries = open(&store).await;
        for (receiver, id) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")] {
            deliveries.push(receiver, delivery(id));
        }
        store.write(deliveries.writes().unwrap()).await.unwrap();
        let mut deliveries = open(&store).await;
        assert_eq!((due(&deliveries, "a"), due(&deliveries, "b")), (vec!["3".into(), "4".into()], vec!["2".into()]));
        let dead = store.scan(b"dead/", &prefix_end(b"dead/")).await.unwrap();
        assert_eq!(dead.len(), 1);
        assert!(String::from_utf8_lossy(&dead[0].1).contains("more than 2 deliveries waited"));
        deliveries.forget("a");
        store.write(deliveries.writes().unwrap()).await.unwrap();
        assert_eq!(due(&open(&store).await, "a"), Vec::<String>::new());
    }

    #[tokio::test]
    async fn one_that_must_be_tried_again_holds_up_those_behind_it_and_no_other_receiver() {
        let mut deliveries = open(&MemoryStore::new()).await;
        for (receiver, id) in [("a", "1"), ("a", "2"), ("b", "3")] {
            deliveries.push(receiver, delivery(id));
        }
        let (first, _) = deliveries.due("a", 1, NOW).remove(0);
        let busy = Ok(Reply { status: 503, body: String::new() });
        deliveries.attempted(first.clone(), &busy, NOW);
        assert_eq!((due(&deliveries, "a"), due(&deliveries, "b")), (vec![], vec!["3".into()]));
        let later = NOW.plus(Span::from_secs(1));
        assert_eq!(deliveries.due("a", 10, later).len(), 2);
        deliveries.attempted(first, &Ok(Reply { status: 200, body: String::new() }), later);
        assert_eq!(due(&deliveries, "a"), vec!["2".to_owned()]);
    }
}
