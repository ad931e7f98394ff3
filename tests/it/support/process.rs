//! A child process that does not outlive its test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::eventually;

/// How much of the log a failed test shows.
const SHOWN: usize = 20_000;

/// Killed when dropped; its standard error goes to a file, whose end is shown when the test fails.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Appends to `log`, so that it also tells of earlier starts.
    pub fn spawn(command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("the log can be written");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        Self { child: child.expect("the program starts"), log: log.to_owned() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// None while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is ours")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Such as `TERM` or `STOP`.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        eventually(within, "the process ends", || self.ended())
    }

    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal, such as `STOP`, to a process of this test.
pub fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status();
    assert!(sent.is_ok_and(|status| status.success()), "{name} cannot be sent");
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(SHOWN);
            let start = (start..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or_default();
            eprintln!("--- {}\n{}---", self.log.display(), &log[start..]);
        }
    }
}
