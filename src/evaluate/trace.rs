//! The verdicts of one condition over time, and what they amount to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::model::WindowSize;

/// Consecutive good windows after which a condition has passed; one alone may be luck.
const RECOVERY: usize = 2;
/// Verdicts kept per window size.
const KEPT: usize = 64;

/// Whether each judged window was bad, by size and start. Windows that were not judged are not here, so what the trace
/// amounts to depends on the verdicts alone and not on the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trace {
    by_size: BTreeMap<WindowSize, BTreeMap<Timestamp, bool>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The last windows of every size are good.
    Clear,
    /// Neither bad for long enough nor good for long enough: whatever held before still holds.
    Unsettled { since: Timestamp },
    /// Bad for long enough in some size, since the start of that window.
    Bad { since: Timestamp },
}

impl Trace {
    /// Notes a verdict; none takes an earlier one back.
    pub(super) fn note(&mut self, size: WindowSize, start: Timestamp, bad: Option<bool>) {
        let verdicts = self.by_size.entry(size).or_default();
        match bad {
            Some(bad) => verdicts.insert(start, bad),
            None => verdicts.remove(&start),
        };
        while verdicts.len() > KEPT {
            verdicts.pop_first();
        }
    }

    pub(super) fn standing(&self, windows: u32) -> Standing {
        let mut unsettled: Option<Timestamp> = None;
        let mut bad: Option<Timestamp> = None;
        for verdicts in self.by_size.values() {
            let streak: Vec<Timestamp> =
                verdicts.iter().rev().take_while(|(_, bad)| **bad).map(|(start, _)| *start).collect();
            if let Some(since) = streak.last().copied().filter(|_| streak.len() >= windows.max(1) as usize) {
                bad = Some(bad.map_or(since, |known| known.min(since)));
                continue;
            }
            let lately = verdicts.iter().rev().take(RECOVERY);
            if let Some(since) = lately.filter(|(_, bad)| **bad).map(|(start, _)| *start).min() {
                unsettled = Some(unsettled.map_or(since, |known| known.min(since)));
            }
        }
        match (bad, unsettled) {
            (Some(since), _) => Standing::Bad { since },
            (None, Some(since)) => Standing::Unsettled { since },
            (None, None) => Standing::Clear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Span;

    fn trace(verdicts: &str) -> Trace {
        let mut trace = Trace::default();
        let size = WindowSize::tumbling(Span::from_days(1));
        for (day, verdict) in (0_i64..).zip(verdicts.chars()) {
            let bad = match verdict {
                'x' => Some(true),
                '.' => Some(false),
                _ => None,
            };
            trace.note(size, day_start(day), bad);
        }
        trace
    }

    fn day_start(day: i64) -> Timestamp {
        Timestamp::default().plus(Span::from_days(day))
    }

    #[test]
    fn a_condition_is_bad_after_enough_windows_in_a_row() {
        assert_eq!(trace("..x").standing(2), Standing::Unsettled { since: day_start(2) });
        assert_eq!(trace("..xx").standing(2), Standing::Bad { since: day_start(2) });
        assert_eq!(trace("x.x").standing(2), Standing::Unsettled { since: day_start(2) });
    }

    #[test]
    fn one_good_window_does_not_clear_and_two_do() {
        assert_eq!(trace("xx.").standing(2), Standing::Unsettled { since: day_start(1) });
        assert_eq!(trace("xx..").standing(2), Standing::Clear);
    }

    #[test]
    fn windows_that_were_not_judged_neither_break_nor_make_a_streak() {
        assert_eq!(trace("x?x").standing(2), Standing::Bad { since: day_start(0) });
        assert_eq!(trace("??").standing(1), Standing::Clear);
    }

    #[test]
    fn a_verdict_that_is_taken_back_is_gone() {
        let mut trace = trace("xx");
        trace.note(WindowSize::tumbling(Span::from_days(1)), day_start(1), Some(false));
        assert_eq!(trace.standing(2), Standing::Unsettled { since: day_start(0) });
    }
}
