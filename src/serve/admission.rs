//! How many requests run and wait: beyond that they are refused at once, so that those that are taken are answered in
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::metrics::ServingMetrics;

#[derive(Clone, Debug)]
pub struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: Arc<Semaphore>,
    capacity: usize,
    queue: usize,
    waiting: AtomicUsize,
    metrics: ServingMetrics,
}

/// A slot, free again when this is dropped.
#[derive(Debug)]
pub struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    admission: Admission,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    #[error("too many requests wait for an answer; try again in a moment")]
    Full,
    #[error("the request waited too long for its turn; try again in a moment")]
    TimedOut,
}

/// Counts one that waits, also when its client goes away.
struct Waiting<'a>(&'a Admission);

impl Admission {
    /// `capacity` requests run and `queue` wait at a time.
    #[must_use]
    pub fn new(capacity: usize, queue: usize, metrics: ServingMetrics) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(capacity));
        let admission = Self(Arc::new(Shared { slots, capacity, queue, waiting: AtomicUsize::new(0), metrics }));
        admission.tell();
        admission
    }

    /// Waits for a slot, at most `within`.
    pub async fn enter(&self, within: Duration) -> Result<Slot, NotAdmitted> {
        if let Ok(permit) = Arc::clone(&self.0.slots).try_acquire_owned() {
            return Ok(self.slot(permit));
        }
        if self.0.waiting.fetch_add(1, Ordering::Relaxed) >= self.0.queue {
            drop(Waiting(self));
            return Err(NotAdmitted::Full);
        }
        let waiting = Waiting(self);
        self.tell();
        let taken = tokio::time::timeout(within, Arc::clone(&self.0.slots).acquire_owned()).await;
        drop(waiting);
        match taken {
            Ok(Ok(permit)) => Ok(self.slot(permit)),
            _ => Err(NotAdmitted::TimedOut),
        }
    }

    fn slot(&self, permit: OwnedSemaphorePermit) -> Slot {
        self.tell();
        Slot { permit: Some(permit), admission: self.clone() }
    }

    fn tell(&self) {
        let busy = self.0.capacity.saturating_sub(self.0.slots.available_permits());
        self.0.metrics.set_slots(self.0.capacity, busy, self.0.waiting.load(Ordering::Relaxed));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.admission.tell();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Telemetry, encode};

    const SOON: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn as_many_run_and_wait_as_allowed_and_the_rest_is_refused_at_once() {
        let telemetry = Telemetry::default();
        let admission = Admission::new(2, 1, ServingMetrics::new(&telemetry).unwrap());
        let first = admission.enter(SOON).await.unwrap();
        let second = admission.enter(SOON).await.unwrap();
        let third = tokio::spawn({
            let admission = admission.clone();
            async move { admission.enter(Duration::from_mins(1)).await }
        });
        while admission.0.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.enter(SOON).await.unwrap_err(), NotAdmitted::Full);
        let text = encode(telemetry.metrics().gather()).unwrap();
        assert!(text.contains("plimsoll_serving_saturation 1.5"), "{text}");
        drop(first);
        let third = third.await.unwrap().unwrap();
        assert_eq!(admission.enter(SOON).await.unwrap_err(), NotAdmitted::TimedOut);
        drop((second, third));
        let text = encode(telemetry.metrics().gather()).unwrap();
        assert!(text.contains("plimsoll_serving_saturation 0"), "{text}");
    }
}
