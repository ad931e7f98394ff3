//! Threads that run until they are told to stop.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::AppError;

/// Longest time the threads may take to stop together.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Threads {
    stop: CancellationToken,
    running: Vec<(String, oneshot::Receiver<()>)>,
}

impl Threads {
    pub(super) fn new() -> Self {
        Self { stop: CancellationToken::new(), running: Vec::new() }
    }

    /// What the threads watch.
    pub(super) fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Blocking clients live on threads of their own, away from the runtime's.
    pub(super) fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), AppError> {
        let (done, finished) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let run = move || {
            body();
            drop(done);
        };
        thread.spawn(run).map_err(|error| AppError::Thread { name: name.to_owned(), reason: error.to_string() })?;
        self.running.push((name.to_owned(), finished));
        Ok(())
    }

    pub(super) async fn stop(self) -> Result<(), AppError> {
        self.stop.cancel();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for (name, finished) in self.running {
            // The sender is dropped when the thread ends, also when it panics.
            if tokio::time::timeout_at(deadline, finished).await.is_err() {
                return Err(AppError::Drain { part: name, seconds: PATIENCE.as_secs() });
            }
        }
        Ok(())
    }
}
