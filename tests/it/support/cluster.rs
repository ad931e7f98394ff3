//! Several real Kafka brokers that replicate to each other, each of which a test may stop, crash and pause.

use std::fs;
use std::path::PathBuf;

use super::kafka::{checked, folders, is_available, script};
use super::unique;

/// Stopped when dropped, and when this process has gone. Brokers are numbered from 1.
#[derive(Debug)]
pub struct KafkaCluster {
    folder: PathBuf,
    bootstrap: String,
}

impl KafkaCluster {
    /// Every topic is on up to three brokers and takes records while all but one of them are there. None where Kafka
    /// cannot be had.
    pub fn start(brokers: usize) -> Option<Self> {
        if !is_available() {
            return None;
        }
        let folder = folders().join(unique("kafka"));
        let mut cluster = Self { folder, bootstrap: String::new() };
        checked(&["cluster", &cluster.folder.display().to_string(), &brokers.to_string()]);
        let bootstrap = fs::read_to_string(cluster.folder.join("bootstrap")).expect("the cluster tells its addresses");
        bootstrap.trim().clone_into(&mut cluster.bootstrap);
        Some(cluster)
    }

    /// Addresses of all brokers, separated by commas.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Hands its partitions over to the others and ends.
    pub fn stop(&self, broker: usize) {
        checked(&["stop", &self.folder_of(broker)]);
    }

    /// Ends it without warning.
    pub fn kill(&self, broker: usize) {
        checked(&["kill", &self.folder_of(broker)]);
    }

    /// Starts it again, with what it held.
    pub fn restart(&self, broker: usize) {
        checked(&["start", &self.folder_of(broker)]);
    }

    pub fn process_id(&self, broker: usize) -> u32 {
        let file = self.folder.join(broker.to_string()).join("pid");
        let pid = fs::read_to_string(file).expect("the broker runs");
        pid.trim().parse().expect("a process id")
    }

    fn folder_of(&self, broker: usize) -> String {
        self.folder.join(broker.to_string()).display().to_string()
    }
}

impl Drop for KafkaCluster {
    fn drop(&mut self) {
        script(&["stop", &self.folder.display().to_string()]);
        let _ = fs::remove_dir_all(&self.folder);
    }
}
