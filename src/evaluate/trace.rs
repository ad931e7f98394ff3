//! The verdicts of one condition over time, and what they amount to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::model::WindowSize;

/// Consecutive good windows after which a condition has passed; one alone may be luck.
const RECOVERY: usize = 2;
/// Verdicts kept per window size.
const KEPT: usize = 64;

/// The verdicts on each window by size and start, so that what the trace amounts to depends on them alone and not on
/// the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trace {
    by_size: BTreeMap<WindowSize, Verdicts>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Verdicts {
    /// Whether each judged window was bad.
    judged: BTreeMap<Timestamp, bool>,
    /// Windows of which nothing could be said.
    unjudged: BTreeSet<Timestamp>,
}

/// The verdicts on the windows of one size that start no later than `last`.
struct Known<'a> {
    verdicts: &'a Verdicts,
    last: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The last windows of every size are good.
    Clear,
    /// Neither bad for long enough nor good for long enough: what held before, in event time, still holds.
    Unsettled { since: Timestamp },
    /// Bad for long enough in some size, since the start of that window.
    Bad { since: Timestamp },
}

impl Trace {
    /// Notes a verdict; none takes an earlier one back.
    pub(super) fn note(&mut self, size: WindowSize, start: Timestamp, bad: Option<bool>) {
        self.by_size.entry(size).or_default().note(start, bad);
    }

    pub(super) fn standing(&self, windows: u32) -> Standing {
        self.standing_at(windows, Timestamp::MAX)
    }

    /// How it stood when the windows that end after `time` had not been.
    pub(super) fn standing_at(&self, windows: u32, time: Timestamp) -> Standing {
        let mut unsettled: Option<Timestamp> = None;
        let mut bad: Option<Timestamp> = None;
        for (size, verdicts) in &self.by_size {
            let known = verdicts.known(*size, time);
            if self.has_passed_unseen(*size, &known, time) {
                continue;
            }
            let streak: Vec<Timestamp> = known.newest().take_while(|(_, bad)| *bad).map(|(start, _)| start).collect();
            if let Some(since) = streak.last().copied().filter(|_| streak.len() >= windows.max(1) as usize) {
                bad = Some(bad.map_or(since, |known| known.min(since)));
                continue;
            }
            let lately = known.newest().take(RECOVERY);
            if let Some(since) = lately.filter(|(_, bad)| *bad).map(|(start, _)| start).min() {
                unsettled = Some(unsettled.map_or(since, |known| known.min(since)));
            }
        }
        match (bad, unsettled) {
            (Some(since), _) => Standing::Bad { since },
            (None, Some(since)) => Standing::Unsettled { since },
            (None, None) => Standing::Clear,
        }
    }

    /// Whether this size can no longer be judged, as when traffic falls, while another one has found everything good
    /// since. A size that is still judged clears by its own windows only, or two sizes would contradict each other for
    /// as long as the longer one takes.
    fn has_passed_unseen(&self, size: WindowSize, known: &Known<'_>, time: Timestamp) -> bool {
        let Some(last_bad) = known.last_bad() else { return false };
        let over = last_bad.plus(size.length);
        known.is_blind() && self.by_size.iter().any(|(size, other)| other.known(*size, time).has_recovered_since(over))
    }

    /// Whether no verdict has been dropped for newer ones.
    pub(super) fn is_whole(&self) -> bool {
        self.by_size.values().all(|verdicts| verdicts.judged.len() < KEPT)
    }

    /// When its windows end.
    pub(super) fn ends(&self) -> impl Iterator<Item = Timestamp> {
        self.by_size.iter().flat_map(|(size, verdicts)| verdicts.starts().map(|start| start.plus(size.length)))
    }
}

impl Verdicts {
    fn note(&mut self, start: Timestamp, bad: Option<bool>) {
        self.judged.remove(&start);
        self.unjudged.remove(&start);
        match bad {
            Some(bad) => {
                self.judged.insert(start, bad);
            }
            None => {
                self.unjudged.insert(start);
            }
        }
        while self.judged.len() > KEPT {
            self.judged.pop_first();
        }
        while self.unjudged.len() > KEPT {
            self.unjudged.pop_first();
        }
    }

    /// From the first judged one on: before it, verdicts may have been dropped.
    fn starts(&self) -> impl Iterator<Item = Timestamp> {
        let first = self.judged.first_key_value().map_or(Timestamp::MAX, |(start, _)| *start);
        self.judged.keys().chain(self.unjudged.range(first..)).copied()
    }

    fn known(&self, size: WindowSize, time: Timestamp) -> Known<'_> {
        Known { verdicts: self, last: time.minus(size.length) }
    }
}

impl Known<'_> {
    /// Judged windows and whether they are bad, the newest in front.
    fn newest(&self) -> impl Iterator<Item = (Timestamp, bool)> {
        self.verdicts.judged.range(..=self.last).rev().map(|(start, bad)| (*start, *bad))
    }

    fn last_bad(&self) -> Option<Timestamp> {
        self.newest().find(|(_, bad)| *bad).map(|(start, _)| start)
    }

    /// Whether the newest windows could not be judged.
    fn is_blind(&self) -> bool {
        let Some((last_judged, _)) = self.newest().next() else { return true };
        self.verdicts.unjudged.range(last_judged..=self.last).count() >= RECOVERY
    }

    /// Whether the newest judged windows are good and began at `since` or later.
    fn has_recovered_since(&self, since: Timestamp) -> bool {
        let newest = self.newest().take(RECOVERY);
        newest.filter(|(start, bad)| !*bad && *start >= since).count() == RECOVERY
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

    #[test]
    fn a_size_that_went_blind_is_cleared_by_another_that_has_been_good_since() {
        let (day, three_days) = (
            WindowSize::tumbling(Span::from_days(1)),
            WindowSize { length: Span::from_days(3), slide: Span::from_days(1) },
        );
        let mut blind = trace("xx??");
        blind.note(three_days, day_start(1), Some(false));
        blind.note(three_days, day_start(2), Some(false));
        assert_eq!(blind.standing(2), Standing::Bad { since: day_start(0) }, "one of them holds a bad day");
        blind.note(three_days, day_start(3), Some(false));
        assert_eq!(blind.standing(2), Standing::Clear);
        blind.note(day, day_start(3), Some(true));
        assert_eq!(blind.standing(2), Standing::Bad { since: day_start(0) }, "it can see again");
    }

    #[test]
    fn a_size_that_is_still_judged_is_not_cleared_by_another() {
        let mut trace = trace("xx");
        let hour = WindowSize::tumbling(Span::from_hours(1));
        for after in 0..10 {
            trace.note(hour, day_start(2).plus(Span::from_hours(after)), Some(false));
        }
        assert_eq!(trace.standing(2), Standing::Bad { since: day_start(0) });
    }
}
