//! Threads of their own for queries.
//!
//! A query that computes for long must not hold up the service's other tasks, and DataFusion plans by recursion: a long
//! chain of operators needs more stack than an ordinary thread has, and a stack that overflows ends the process.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::QueryError;
use crate::clock::Span;

const THREADS: usize = 2;
/// Only what is used of it takes memory.
const STACK: usize = 32 << 20;

/// Stops its threads when dropped.
#[derive(Debug)]
pub(super) struct QueryThreads(Option<Runtime>);

impl QueryThreads {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_stack_size(STACK)
            .thread_name("query")
            .enable_time()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// The result of `work`, which is given up when it takes too long or when the caller no longer waits.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        timeout: Span,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let Some(runtime) = &self.0 else { return Err(QueryError::Internal("the query threads have stopped".into())) };
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, runtime.handle());
        match tokio::time::timeout(timeout.as_std(), tasks.join_next()).await {
            Err(_) => Err(QueryError::Timeout(timeout)),
            Ok(Some(Ok(result))) => result,
            Ok(Some(Err(error))) => Err(QueryError::Internal(error.to_string())),
            Ok(None) => Err(QueryError::Internal("the query did not start".into())),
        }
    }
}

impl Drop for QueryThreads {
    fn drop(&mut self) {
        // Waiting for the threads would block, which the runtime that drops this may not allow.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
