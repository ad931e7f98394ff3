//! Deliveries that wait for their receivers.

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::registry::webhooks::{PostError, Reply};

/// One event on its way to one receiver, and what became of it so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::registry) struct Delivery {
    /// The same for every attempt, so that the receiver can drop repeats.
    pub(in crate::registry) id: String,
    /// What it tells of.
    pub(in crate::registry) event: String,
    pub(in crate::registry) body: String,
    pub(in crate::registry) queued_at: Timestamp,
    pub(in crate::registry) next_attempt_at: Timestamp,
    pub(in crate::registry) attempts: u32,
    pub(in crate::registry) last_error: Option<String>,
}

/// What an attempt means for its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Sent,
    Retry,
    Dead,
}

const MAX_AGE: Span = Span::from_hours(24);
const FIRST_DELAY: i64 = 1_000;
const LONGEST_DELAY: i64 = 600_000;
/// What is kept of an error.
const LONGEST_ERROR: usize = 500;

impl Delivery {
    pub(in crate::registry) const fn new(id: String, event: String, body: String, now: Timestamp) -> Self {
        Self { id, event, body, queued_at: now, next_attempt_at: now, attempts: 0, last_error: None }
    }

    /// Doubles the delay with every attempt and gives up after a day. What the receiver refuses for good is given up
    /// at once.
    pub(super) fn attempted(&mut self, answer: &Result<Reply, PostError>, now: Timestamp) -> Fate {
        self.attempts += 1;
        let (error, is_final) = match answer {
            Ok(reply) if reply.is_success() => return Fate::Sent,
            Ok(reply) => (format!("the receiver answered {}: {}", reply.status, reply.body), !reply.is_temporary()),
            Err(error) => (error.to_string(), false),
        };
        self.last_error = Some(error.chars().take(LONGEST_ERROR).collect());
        let doublings = (self.attempts - 1).min(10);
        self.next_attempt_at = now.plus(Span::from_millis((FIRST_DELAY << doublings).min(LONGEST_DELAY)));
        if is_final || now.since(self.queued_at) >= MAX_AGE { Fate::Dead } else { Fate::Retry }
    }
}
