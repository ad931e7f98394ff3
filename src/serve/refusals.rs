//! Refused requests in the log: a line each, but only so many in a second, since a broken client may send thousands.

use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;

/// Shared by all requests of one way in.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    number: i64,
    told: u32,
    untold: u64,
}

/// Lines of one second.
const MOST: u32 = 10;
/// Characters of what clients may have made up.
const LONGEST: usize = 300;

impl Refusals {
    /// `result` is as in the metrics.
    pub(super) fn tell(&self, now: Timestamp, way: &str, model: &str, result: &str, reason: &str) {
        let Some(untold) = self.admit(now) else { return };
        // Escaped, so that a client cannot write lines of its own.
        let (model, reason) = (shortened(model), shortened(reason));
        tracing::info!(way, ?model, result, ?reason, untold, "a request is refused");
    }

    /// How many were not told since the last line; none when this one is not told either.
    fn admit(&self, now: Timestamp) -> Option<u64> {
        let number = now.millis().div_euclid(1_000);
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.number != number {
            (second.number, second.told) = (number, 0);
        }
        if second.told == MOST {
            second.untold += 1;
            return None;
        }
        second.told += 1;
        Some(std::mem::take(&mut second.untold))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_are_told_in_a_second_and_the_next_one_says_how_many_were_not() {
        let refusals = Refusals::default();
        let first = Timestamp::from_millis(5_000);
        let told = (0..25).filter(|_| refusals.admit(first).is_some()).count();
        assert_eq!(told, 10);
        let next = Timestamp::from_millis(6_000);
        assert_eq!((refusals.admit(next), refusals.admit(next)), (Some(15), Some(0)));
    }
}
