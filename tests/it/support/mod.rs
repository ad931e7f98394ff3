//! The harness: the built program as its users run it, real brokers, clients in other languages.
//!
//! A test starts a [`Service`] with its own folder, ports and topics, so that all tests can run at once and share one
//! Kafka. Only [`eventually`] sleeps. What a machine lacks (Java, Python packages) is told by [`skip_or_fail`].

mod cluster;
mod http;
mod kafka;
mod process;
mod python;
mod service;
mod settle;
mod wait;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub use cluster::KafkaCluster;
pub use http::{Answer, Http, RUNTIME};
pub use kafka::KafkaBroker;
pub use process::{Process, signal};
pub use python::{S3Server, SmtpSink, onnxruntime, python, python_of};
pub use service::{Brokers, Service, ServiceOptions};
pub use wait::{Raised, eventually, eventually_true, pause};

/// Folder of the repository, in which the programs run.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of `tests/data`.
pub fn data_file(name: &str) -> PathBuf {
    root().join("tests/data").join(name)
}

/// A name that no other test of this run has.
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Says that a test did not run; a failure where everything must be there.
pub fn skip_or_fail(reason: &str) {
    let required = std::env::var("PLIMSOLL_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "nothing may be skipped here, but {reason}");
    println!("skipped: {reason}");
}

/// The program, with none of the environment that would configure it.
pub fn plimsoll() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PLIMSOLL_")) {
        command.env_remove(name);
    }
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs the program to its end, whatever that is.
pub fn run_plimsoll(args: &[&str]) -> Output {
    plimsoll().args(args).output().expect("the program runs")
}
