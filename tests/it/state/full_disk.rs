//! A disk that is full: reading waits and says why, goes on by itself, and nothing is lost.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{PATIENCE, blocked, post, the_day_ends_with, wait_until_counted};
use crate::small;
use crate::support::{Service, ServiceOptions, eventually, eventually_true, skip_or_fail};

/// A file system of its own, unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None for whoever may not mount.
    fn of(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        skip_or_fail("a small file system cannot be mounted");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all that is left.
    fn fill(&self) {
        let filler = self.path().join("filler");
        let mut file = fs::File::create(filler).unwrap();
        let block = vec![0_u8; 4_096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_holds_reading_up_and_loses_nothing() {
    let Some(disk) = Disk::of(64) else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = format!("state.url=file://{}/state", disk.path().display());
    let mut service = Service::start(&ServiceOptions {
        models: &small::model(folder.path()),
        set: &[&state],
        ..ServiceOptions::default()
    });
    post(&service, 0..50);
    wait_until_counted(&service, 100);

    disk.fill();
    post(&service, 50..150);
    let said = eventually(PATIENCE, "/readyz says that the disk is full", || {
        Some(blocked(&service)).filter(|said| said.contains("cannot be written"))
    });
    assert!(said.contains("No space left on device") && said.contains("trying again"), "{said}");
    let metrics = service.http().get("/metrics").body;
    let failures = metrics.lines().find(|line| line.starts_with("plimsoll_state_failures_total{operation=\"write\"}"));
    assert!(failures.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    assert!(service.log().contains("No space left on device"));

    disk.free();
    eventually_true(PATIENCE, "it goes on by itself", || service.http().get("/readyz").status == 200);
    wait_until_counted(&service, 300);
    the_day_ends_with(&service, 150);
    service.terminate();
}
