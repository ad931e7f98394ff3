//! HTTP on threads of its own, so that neither roles nor queries hold up an answer.

use std::net::SocketAddr;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::api::{self, ApiError, ApiParts, ApiState};
use crate::processors::Processors;

/// Answers until it is told to stop.
#[derive(Debug)]
pub(super) struct RunningHttp {
    pub(super) address: Option<SocketAddr>,
    answering: JoinHandle<Result<(), ApiError>>,
    /// Taken when it stops.
    runtime: Option<Runtime>,
}

impl RunningHttp {
    /// Listens from now on, and ends after `stop`. What is quick is answered on these processors.
    pub(super) async fn start(
        parts: ApiParts,
        processors: &Processors,
        stop: CancellationToken,
    ) -> Result<Self, AppError> {
        let listener = api::bind(&parts.settings).await?;
        let address = listener.local_addr().ok();
        let failed = |error: std::io::Error| AppError::Thread { name: "http".to_owned(), reason: error.to_string() };
        let threads = parts.settings.threads;
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(threads).thread_name("http").enable_all();
        processors.keep(threads, &mut runtime);
        let runtime = runtime.build().map_err(failed)?;
        let state = ApiState::new(parts)?;
        let answering = runtime.spawn(async move { api::serve(listener, state, stop).await });
        Ok(Self { address, answering, runtime: Some(runtime) })
    }

    /// Waits until the requests under way have been answered, once it was told to stop.
    pub(super) async fn finish(mut self) -> Result<(), ApiError> {
        (&mut self.answering).await.unwrap_or(Ok(()))
    }
}

impl Drop for RunningHttp {
    fn drop(&mut self) {
        // Waiting for the threads would block, which an async thread must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
