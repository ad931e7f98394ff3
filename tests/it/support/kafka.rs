//! A real Apache Kafka, by `tests/kafka/kafka.sh`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{LazyLock, Once};

use super::{root, skip_or_fail, unique};

/// Stopped when dropped, and when this process has gone.
#[derive(Debug)]
pub struct KafkaBroker {
    folder: PathBuf,
    bootstrap: String,
}

impl KafkaBroker {
    /// The broker that all tests share; its topics are told apart by name. None where Kafka cannot be had.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: LazyLock<Option<KafkaBroker>> = LazyLock::new(KafkaBroker::start);
        SHARED.as_ref().or_else(|| {
            skip_or_fail("a real Kafka cannot be started");
            None
        })
    }

    /// A broker for one test, which it may stop. None where Kafka cannot be had.
    pub fn start() -> Option<Self> {
        if !is_available() {
            return None;
        }
        let folder = folders().join(unique("kafka"));
        let mut broker = Self { folder, bootstrap: String::new() };
        broker.launch();
        Some(broker)
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub fn stop(&self) {
        checked(&["stop", &self.folder.display().to_string()]);
    }

    /// Starts it again after [`stop`](Self::stop), on the same port and with what it held.
    pub fn restart(&mut self) {
        let before = self.bootstrap.clone();
        self.launch();
        assert_eq!(self.bootstrap, before);
    }

    fn launch(&mut self) {
        checked(&["start", &self.folder.display().to_string()]);
        let bootstrap = fs::read_to_string(self.folder.join("bootstrap")).expect("the broker tells its address");
        bootstrap.trim().clone_into(&mut self.bootstrap);
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        script(&["stop", &self.folder.display().to_string()]);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether Kafka can be had; where not, the test is skipped or fails.
pub(super) fn is_available() -> bool {
    remove_leftovers();
    let resolved = script(&["resolve"]);
    if !resolved.status.success() {
        skip_or_fail(String::from_utf8_lossy(&resolved.stderr).trim());
    }
    resolved.status.success()
}

pub(super) fn folders() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The shared broker is never dropped, so that its folder stays behind: the next run removes it.
fn remove_leftovers() {
    static REMOVED: Once = Once::new();
    REMOVED.call_once(|| {
        for entry in fs::read_dir(folders()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(owner) = name.strip_prefix("kafka-").and_then(|rest| rest.split('-').next()) else { continue };
            if !Path::new("/proc").join(owner).exists() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    });
}

pub(super) fn script(args: &[&str]) -> Output {
    let mut command = Command::new(root().join("tests/kafka/kafka.sh"));
    command.args(args).env("KAFKA_OWNER_PID", std::process::id().to_string());
    command.output().expect("bash runs kafka.sh")
}

pub(super) fn checked(args: &[&str]) {
    let output = script(args);
    assert!(output.status.success(), "kafka.sh {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
