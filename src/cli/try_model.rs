//! `plimsoll try-model`: what serving starts to try a model before it loads it.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::onnx::{LIBRARY_VARIABLE, Library, TrialLimits, undergo};

/// Load a model from standard input and run it once, within limits.
#[derive(Args, Clone, Debug)]
pub(super) struct TryModelArgs {
    /// The shared library of ONNX Runtime
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// Bytes that the model may take
    #[arg(long, value_name = "BYTES")]
    memory: u64,
    /// Rows of the batch
    #[arg(long, value_name = "N")]
    rows: usize,
    /// Threads of the session
    #[arg(long, value_name = "N")]
    threads: usize,
    /// The longest run in milliseconds
    #[arg(long, value_name = "N")]
    millis: u64,
}

pub(super) fn run(args: TryModelArgs) -> anyhow::Result<()> {
    let mut onnx = Vec::new();
    std::io::stdin().read_to_end(&mut onnx).context("the model cannot be read")?;
    let library = Library::locate(args.onnxruntime, std::env::var_os(LIBRARY_VARIABLE));
    let TryModelArgs { memory, rows, threads, millis, .. } = args;
    let limits = TrialLimits { memory, rows, threads, run_within: Duration::from_millis(millis) };
    let outcome = undergo(&library, &onnx, &limits);
    super::answer(&serde_json::to_string(&outcome)?)
}
