//! A model is first loaded and run in a process of its own, which may take so much memory and no more.
//!
//! What a file of a few bytes takes is known only when it runs, the runtime's allocator has no limit of its own, and a
//! file that brings the runtime down would take the service with it. The process is this program again, as
//! `plimsoll try-model`; it reads the file from its input and writes one [`Outcome`].

mod confined;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Library;

pub use confined::undergo;

/// Where and within which limits models are tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What is started, with [`COMMAND`].
    pub program: PathBuf,
    pub library: Library,
    pub limits: TrialLimits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialLimits {
    /// Bytes that one session may take beyond what the runtime takes by itself.
    pub memory: u64,
    /// Rows of the batch that is run.
    pub rows: usize,
    /// Threads of the session.
    pub threads: usize,
    /// The longest run; one that takes longer is stopped, which is no fault.
    pub run_within: Duration,
}

/// What became of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was loaded and has run, or has an answer of its own to rows of zeros.
    Fits {
        /// Bytes that it has taken at most.
        memory: u64,
    },
    /// It asked for more than it may have.
    TooLarge(String),
    /// It cannot be loaded.
    Refused(String),
    /// Nothing is known of it.
    Untried(String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    #[error(
        "it takes more memory for a batch of {rows} rows than serving.max_memory leaves to a session ({memory} bytes): \
         {reason}; raise it, or lower serving.max_rows or serving.sessions"
    )]
    TooLarge { memory: u64, rows: usize, reason: String },
    #[error("{0}")]
    Refused(String),
    #[error("it brought down the process in which it was tried ({0})")]
    Crashed(String),
    #[error("it was not loaded within {0} s")]
    Slow(u64),
    /// Trying again may help.
    #[error("there is no process to try it in: {0}")]
    Untried(String),
}

/// The subcommand that tries a model.
pub const COMMAND: &str = "try-model";
/// What of the environment it may know: where libraries are.
const ENVIRONMENT: [&str; 3] = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", super::LIBRARY_VARIABLE];
/// The longest that loading may take.
const LOAD_WITHIN: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(5);
/// More than any outcome.
const LONGEST_OUTCOME: u64 = 64 << 10;

impl Trial {
    /// This program, if there is a way to limit its memory.
    #[must_use]
    pub fn of_this_program(library: Library, limits: TrialLimits) -> Option<Self> {
        // Also when the file has been replaced since it was started.
        let program = PathBuf::from("/proc/self/exe");
        cfg!(target_os = "linux").then_some(Self { program, library, limits })
    }

    /// Bytes that the model has taken at most. Blocks.
    pub fn run(&self, onnx: &[u8]) -> Result<u64, TrialError> {
        let untried = |error: std::io::Error| TrialError::Untried(error.to_string());
        let mut process = self.command().spawn().map(Process).map_err(untried)?;
        let Some(mut input) = process.0.stdin.take() else { return Err(TrialError::Untried("no input".to_owned())) };
        // One that ends before it has read everything says why by its end.
        let _ = input.write_all(onnx);
        drop(input);
        let status = process.ended(Instant::now() + LOAD_WITHIN + self.limits.run_within)?;
        let mut said = String::new();
        if let Some(output) = process.0.stdout.take() {
            output.take(LONGEST_OUTCOME).read_to_string(&mut said).map_err(untried)?;
        }
        match serde_json::from_str(&said) {
            Ok(Outcome::Fits { memory }) => Ok(memory),
            Ok(Outcome::TooLarge(reason)) => {
                Err(TrialError::TooLarge { memory: self.limits.memory, rows: self.limits.rows, reason })
            }
            Ok(Outcome::Refused(reason)) => Err(TrialError::Refused(reason)),
            Ok(Outcome::Untried(reason)) => Err(TrialError::Untried(reason)),
            Err(_) => Err(TrialError::Crashed(status.to_string())),
        }
    }

    fn command(&self) -> Command {
        let TrialLimits { memory, rows, threads, run_within } = self.limits;
        let mut command = Command::new(&self.program);
        command.arg(COMMAND).env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        if let Library::Named(path) = &self.library {
            command.arg("--onnxruntime").arg(path);
        }
        let limits = [
            ("--memory", memory.to_string()),
            ("--rows", rows.to_string()),
            ("--threads", threads.to_string()),
            ("--millis", run_within.as_millis().to_string()),
        ];
        for (name, value) in limits {
            command.args([name, &value]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }
}

/// Ended and waited for when it is dropped.
struct Process(Child);

impl Process {
    fn ended(&mut self, deadline: Instant) -> Result<ExitStatus, TrialError> {
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() >= deadline => return Err(TrialError::Slow(LOAD_WITHIN.as_secs())),
                Ok(None) => std::thread::sleep(PAUSE),
                Err(error) => return Err(TrialError::Untried(error.to_string())),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has mostly ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trial whose program is this script.
    fn scripted(script: &str) -> (tempfile::TempDir, Trial) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        // Written by another process: a file that this one has open cannot be run, and other tests start processes.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 700 "$2""#;
        let written = Command::new("sh").args(["-c", write, "sh", script]).arg(&program).status().unwrap();
        assert!(written.success());
        let limits = TrialLimits { memory: 1 << 20, rows: 10, threads: 1, run_within: Duration::from_millis(1) };
        (folder, Trial { program, library: Library::Named("/lib/onnx".into()), limits })
    }

    #[test]
    fn what_the_process_says_is_the_outcome() {
        let (_folder, trial) = scripted(r#"cat > /dev/null; echo '{"fits":{"memory":77}}'"#);
        assert_eq!(trial.run(b"onnx"), Ok(77));
        let (_folder, trial) = scripted(r#"cat > /dev/null; echo '{"too_large":"bad allocation"}'"#);
        let error = trial.run(b"onnx").unwrap_err().to_string();
        assert!(error.contains("(1048576 bytes): bad allocation") && error.contains("10 rows"), "{error}");
        let (_folder, trial) = scripted(r#"echo '{"refused":"no onnx model"}'"#);
        assert_eq!(trial.run(&vec![0; 1 << 20]), Err(TrialError::Refused("no onnx model".into())), "it reads nothing");
    }

    #[test]
    fn a_model_that_brings_its_process_down_is_refused_and_its_limits_and_nothing_else_are_passed_on() {
        let (_folder, trial) = scripted("kill -SEGV $$");
        let error = trial.run(b"onnx").unwrap_err();
        assert!(matches!(&error, TrialError::Crashed(status) if status.contains("11")), "{error}");
        let wanted = "try-model --onnxruntime /lib/onnx --memory 1048576 --rows 10 --threads 1 --millis 1";
        let check = format!(r#"test "$*" = "{wanted}" -a -z "$HOME" && echo '{{"fits":{{"memory":0}}}}'"#);
        let (_folder, trial) = scripted(&check);
        assert_eq!(trial.run(b"onnx"), Ok(0));
    }

    #[test]
    fn a_program_that_is_not_there_says_nothing_of_the_model() {
        let (folder, mut trial) = scripted("exit 0");
        trial.program = folder.path().join("none");
        assert!(matches!(trial.run(b"onnx"), Err(TrialError::Untried(_))));
    }
}
