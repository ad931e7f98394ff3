//! Leaving a group for good, which librdkafka offers to static members only in a roundabout way.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;

use super::{Consumer, QUICK_ANSWER};

/// The longest to take over it; the session times out after that. Kafka answers the first member of a group after three
/// seconds.
const LONGEST: Duration = Duration::from_secs(8);
/// How long to let librdkafka work at a time.
const SERVING: Duration = Duration::from_millis(50);

impl Consumer {
    /// Leaves the group for good, so that its partitions go to other members without waiting for a timeout; nothing
    /// may be asked of it any more. To drop a static member without it only disconnects it, and to drop a dynamic one
    /// is to leave.
    pub fn leave(&mut self) {
        let Some(instance) = self.instance.clone() else { return };
        if self.client.client().fatal_error().is_some() {
            // Another process has its name, and stays.
            return;
        }
        let deadline = Instant::now() + LONGEST;
        self.member().closing.store(true, Ordering::SeqCst);
        self.answer();
        // A request to join that is on its way makes a member that would not be asked to leave.
        self.serve_until(deadline, |consumer| consumer.member().joined.load(Ordering::SeqCst));
        self.client.unsubscribe();
        self.serve_until(deadline, |consumer| !consumer.member().joined.load(Ordering::SeqCst));
        self.serve_until(deadline, |consumer| consumer.has_left(&instance));
    }

    /// Librdkafka waits for an answer to what a poll has brought, or would have. An assignment is answered with an
    /// empty one, a revocation with none; it does no harm to give the answer that was not asked for.
    fn answer(&self) {
        let answers = [self.client.assign(&TopicPartitionList::new()), self.client.unassign()];
        for error in answers.into_iter().filter_map(Result::err) {
            tracing::debug!(group = self.group, %error, "leaving the group");
        }
    }

    /// Lets librdkafka call back until it is `done`; records have no reader any more.
    fn serve_until(&self, deadline: Instant, done: impl Fn(&Self) -> bool) {
        while Instant::now() < deadline && !done(self) {
            let _ = self.client.poll(SERVING);
        }
    }

    /// The identifiers that brokers give to static members begin with their names.
    fn has_left(&self, instance: &str) -> bool {
        let prefix = format!("{instance}-");
        match self.client.fetch_group_list(Some(&self.group), QUICK_ANSWER) {
            Ok(list) => list
                .groups()
                .iter()
                .filter(|group| group.name() == self.group)
                .all(|group| group.members().iter().all(|member| !member.id().starts_with(&prefix))),
            Err(_) => false,
        }
    }
}
