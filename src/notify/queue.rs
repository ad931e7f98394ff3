//! Deliveries that wait for the mail server.

use serde::{Deserialize, Serialize};

use super::Mail;
use crate::clock::{Span, Timestamp};

/// A mail on its way, and what became of it so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub(super) mail: Mail,
    pub(super) queued_at: Timestamp,
    pub(super) next_attempt_at: Timestamp,
    pub(super) attempts: u32,
    pub(super) last_error: Option<String>,
}

/// What a failed attempt means for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Retry,
    Dead,
}

pub(super) const MAX_ATTEMPTS: u32 = 50;
const MAX_AGE: Span = Span::from_hours(24);
const FIRST_DELAY: i64 = 1_000;
const LONGEST_DELAY: i64 = 600_000;

impl Delivery {
    pub(super) fn new(mail: Mail, now: Timestamp) -> Self {
        Self { mail, queued_at: now, next_attempt_at: now, attempts: 0, last_error: None }
    }

    /// Doubles the delay with every attempt; gives up after a day or fifty attempts.
    pub(super) fn fail(&mut self, reason: String, now: Timestamp) -> Fate {
        self.attempts += 1;
        self.last_error = Some(reason);
        self.next_attempt_at = now.plus(delay_after(self.attempts));
        if self.attempts >= MAX_ATTEMPTS || now.since(self.queued_at) >= MAX_AGE { Fate::Dead } else { Fate::Retry }
    }
}

fn delay_after(attempts: u32) -> Span {
    let doublings = attempts.saturating_sub(1).min(10);
    Span::from_millis((FIRST_DELAY << doublings).min(LONGEST_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_a_second_to_ten_minutes() {
        let delays: Vec<i64> = [1, 2, 3, 10, 11, 50].map(|attempts| delay_after(attempts).millis() / 1_000).to_vec();
        assert_eq!(delays, [1, 2, 4, 512, 600, 600]);
    }
}
