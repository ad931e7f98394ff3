//! What serving may take and how long.

use std::path::PathBuf;

use crate::clock::Span;
use crate::onnx::TrialLimits;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingSettings {
    /// The shared library of ONNX Runtime; none leaves it to `ORT_DYLIB_PATH` and the system.
    pub onnxruntime: Option<PathBuf>,
    /// Largest file of a model in bytes.
    pub max_model: u64,
    /// Bytes that one version may take, all its sessions together.
    pub max_memory: u64,
    /// Sessions of each model, each with its weights.
    pub sessions: usize,
    /// Threads of each session.
    pub threads: usize,
    /// Largest body of a request in bytes.
    pub max_request: usize,
    /// Most rows of a request, and of a batch of the stream.
    pub max_rows: usize,
    /// Requests that run at a time.
    pub concurrency: usize,
    /// Requests that wait for their turn; more are refused.
    pub queue: usize,
    /// How long a request may take, waiting included.
    pub deadline: Span,
    /// Answers that wait to be logged as predictions; more are dropped and counted.
    pub log_queue: usize,
}

impl Default for ServingSettings {
    fn default() -> Self {
        Self {
            onnxruntime: None,
            max_model: 256 << 20,
            max_memory: 2 << 30,
            sessions: 2,
            threads: 1,
            max_request: 8 << 20,
            max_rows: 10_000,
            concurrency: 4,
            queue: 256,
            deadline: Span::from_secs(10),
            log_queue: 100_000,
        }
    }
}

impl ServingSettings {
    /// What one session of a version may take when the version is tried.
    #[must_use]
    pub fn trial(&self) -> TrialLimits {
        TrialLimits {
            memory: self.max_memory / self.sessions.max(1) as u64,
            rows: self.max_rows,
            threads: self.threads,
            run_within: self.deadline.as_std(),
        }
    }
}
