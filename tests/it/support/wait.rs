//! Waiting for what other processes do: the only place that sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(100);

/// Asks until there is an answer; panics when there is none in time.
pub fn eventually<T>(within: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {} s", within.as_secs());
        sleep(PAUSE);
    }
}

/// For what has a pace of its own: load and faults. Never a way to wait for something.
pub fn pause(duration: Duration) {
    sleep(duration);
}

/// Says so when it is dropped, also by a panic: other threads that wait for it end.
#[derive(Debug)]
pub struct Raised<'a>(pub &'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As [`eventually`], for a condition.
pub fn eventually_true(within: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    eventually(within, what, || holds().then_some(()));
}
