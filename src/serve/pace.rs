//! How long a version has taken of late: a quick one is run where its request is, which saves the way to another thread and
//! back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest run of late, which is forgotten bit by bit.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU64);

/// What takes longer is not quick.
const QUICK: Duration = Duration::from_millis(2);
/// Larger requests are not expected to be, and do not count.
const LARGEST: usize = 64 << 10;
/// Of the longest run, this share is forgotten with each later one.
const FORGOTTEN: u64 = 64;

impl Pace {
    /// Whether a request of this many bytes will be quick, as far as can be told; not before there was one.
    pub(super) fn is_quick(&self, bytes: usize) -> bool {
        let longest = self.0.load(Ordering::Relaxed);
        bytes <= LARGEST && longest > 0 && u128::from(longest) < QUICK.as_nanos()
    }

    /// Two at once may overwrite each other, which does no harm.
    pub(super) fn note(&self, bytes: usize, taken: Duration) {
        if bytes > LARGEST {
            return;
        }
        let taken = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX).max(1);
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(taken.max(before - before / FORGOTTEN), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_quick_when_all_of_late_were_and_never_before_its_first_request() {
        let pace = Pace::default();
        assert!(!pace.is_quick(100));
        pace.note(100, Duration::from_micros(50));
        assert!(pace.is_quick(100) && !pace.is_quick(LARGEST + 1));
        pace.note(100, Duration::from_millis(20));
        assert!(!pace.is_quick(100));
        pace.note(LARGEST + 1, Duration::from_micros(50));
        assert!(!pace.is_quick(100), "large requests do not count");
        for _ in 0..500 {
            pace.note(100, Duration::from_micros(50));
        }
        assert!(pace.is_quick(100), "one that was slow is forgotten");
    }
}
