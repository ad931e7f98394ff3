//! On which processors the threads of a runtime run.
//!
//! The embedded broker works in stretches of milliseconds, and a thread that shares its processor waits for their end.
//! Where one process does everything, the processors are therefore divided between the broker and what must answer at
//! once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Builder;

/// Some of the processors that this process may use. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processors(Vec<usize>);

impl Processors {
    /// Divides those that this process may use into the last `count` and the others; both are all where there are too few.
    #[must_use]
    pub fn divide(count: usize) -> (Self, Self) {
        divide(system::allowed(), count)
    }

    /// Keeps the first `threads` threads that a runtime starts on these processors, which are its workers; those that it
    /// starts later, for work that blocks, may run anywhere. Where the system does not allow it, all run anywhere.
    pub fn keep(&self, threads: usize, runtime: &mut Builder) {
        if self.0.is_empty() {
            return;
        }
        let (own, all) = (self.0.clone(), system::allowed());
        let started = Arc::new(AtomicUsize::new(0));
        runtime.on_thread_start(move || {
            // A thread begins where the one that started it may run.
            let is_kept = started.fetch_add(1, Ordering::Relaxed) < threads;
            system::keep_this_thread(if is_kept { &own } else { &all });
        });
    }
}

fn divide(mut all: Vec<usize>, count: usize) -> (Processors, Processors) {
    if count == 0 || count >= all.len() {
        return (Processors::default(), Processors::default());
    }
    let last = all.split_off(all.len() - count);
    (Processors(last), Processors(all))
}

#[cfg(target_os = "linux")]
mod system {
    /// Those that this thread may use.
    pub(super) fn allowed() -> Vec<usize> {
        affinity::get_thread_affinity().unwrap_or_default()
    }

    pub(super) fn keep_this_thread(processors: &[usize]) {
        if let Err(error) = affinity::set_thread_affinity(processors) {
            tracing::debug!(%error, "a thread runs on any processor");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) const fn allowed() -> Vec<usize> {
        Vec::new()
    }

    pub(super) const fn keep_this_thread(_: &[usize]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_divided_where_there_are_enough() {
        let parts = |last: &[usize], others: &[usize]| (Processors(last.to_vec()), Processors(others.to_vec()));
        assert_eq!(divide(vec![0, 2, 3, 7], 1), parts(&[7], &[0, 2, 3]));
        assert_eq!(divide(vec![0, 1], 1), parts(&[1], &[0]));
        for (all, count) in [(vec![0], 1), (vec![0, 1], 2), (vec![0, 1], 0), (vec![], 1)] {
            assert_eq!(divide(all, count), parts(&[], &[]), "all are for both");
        }
    }

    #[test]
    fn workers_stay_and_threads_that_block_run_anywhere() {
        let all = system::allowed();
        let own = Processors(all.last().copied().into_iter().collect());
        let mut builder = Builder::new_multi_thread();
        own.keep(1, builder.worker_threads(1));
        let runtime = builder.build().unwrap();
        let (worker, blocking) = runtime.block_on(async {
            let blocking = || tokio::task::spawn_blocking(system::allowed);
            let worker = tokio::spawn(async move { (system::allowed(), blocking().await.unwrap()) });
            worker.await.unwrap()
        });
        assert_eq!((worker, blocking), (own.0, all));
    }
}
