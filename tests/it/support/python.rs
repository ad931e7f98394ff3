//! Programs in Python: clients of other makes, and an SMTP server.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Process, eventually, root, skip_or_fail};

/// Runs a script of `tests` to its end and answers what it prints. None where there is no Python for it.
pub fn python(script: &str, args: &[&str], input: &str) -> Option<String> {
    let mut command = interpreter(script)?;
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("Python starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("Python runs");
    writer.join().expect("the writer ends").expect("the script reads its input");
    assert!(output.status.success(), "{script} {args:?} failed");
    Some(String::from_utf8(output.stdout).expect("the script prints UTF-8"))
}

/// Runs a script with the packages of `tests/requirements-NAME.txt` and answers what it prints, however it ends.
pub fn python_of(name: &str, script: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(environment(name)?.join("bin/python"));
    command.arg(root().join(script)).args(args).current_dir(root());
    let output = command.output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.stdout.is_empty(), "{script} says nothing: {said}");
    Some(String::from_utf8(output.stdout).expect("the script prints UTF-8"))
}

/// The shared library of ONNX Runtime, out of the package for Python.
pub fn onnxruntime() -> Option<PathBuf> {
    let libraries = environment("serve")?.join("lib");
    let python = fs::read_dir(libraries).expect("the environment has packages").flatten();
    let folder = python.map(|entry| entry.path().join("site-packages/onnxruntime/capi")).find(|path| path.is_dir());
    let files = fs::read_dir(folder.expect("onnxruntime is installed")).expect("it can be listed").flatten();
    let is_library = |path: &PathBuf| path.to_string_lossy().contains("libonnxruntime.so");
    Some(files.map(|entry| entry.path()).find(is_library).expect("the package has the library"))
}

/// The folder of the environment with the packages of `tests/requirements-NAME.txt`.
fn environment(name: &str) -> Option<PathBuf> {
    let python = std::env::var_os("PLIMSOLL_TEST_PYTHON").map(PathBuf::from);
    // The environments of `tests/setup.sh` lie beside each other.
    let beside = python.as_ref().and_then(|python| python.ancestors().nth(3));
    let folder = beside.map(|cache| cache.join(format!("{name}-venv")));
    let folder = folder.filter(|folder| folder.join("bin/python").is_file());
    if folder.is_none() {
        skip_or_fail(&format!("there is no Python with the packages of tests/requirements-{name}.txt"));
    }
    folder
}

/// An SMTP server that keeps what it gets.
#[derive(Debug)]
pub struct SmtpSink {
    /// First, since it is dropped before the folder with its log.
    process: Process,
    folder: TempDir,
    port: u16,
}

impl SmtpSink {
    /// Refuses the first messages for the time being. None where there is no Python for it.
    pub fn start(refused: usize) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = interpreter("tests/smtp/sink.py")?;
        command.arg("--dir").arg(folder.path()).arg("--fail-first").arg(refused.to_string());
        let process = Process::spawn(&mut command, &folder.path().join("sink.log"));
        let port = eventually(Duration::from_secs(30), "the SMTP server listens", || {
            fs::read_to_string(folder.path().join("port")).ok()?.parse().ok()
        });
        Some(Self { process, folder, port })
    }

    /// Connections are still taken, by the kernel; nothing answers.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    pub fn go_on(&self) {
        self.process.signal("CONT");
    }

    /// For `notify.email.url`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// What has arrived, in its order.
    pub fn messages(&self) -> Vec<String> {
        let path = |number: usize| self.folder.path().join(format!("{number}.eml"));
        (1..).map_while(|number| fs::read_to_string(path(number)).ok()).collect()
    }
}

/// An object store that speaks S3; what it holds is gone when it is dropped.
#[derive(Debug)]
pub struct S3Server {
    process: Process,
    folder: TempDir,
    port: u16,
}

impl S3Server {
    /// With one empty bucket. None where there is no Python for it.
    pub fn start(bucket: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = interpreter("tests/s3/server.py")?;
        command.args(["--bucket", bucket]).arg("--dir").arg(folder.path());
        let process = Process::spawn(&mut command, &folder.path().join("s3.log"));
        let port = eventually(Duration::from_mins(1), "the object store listens", || {
            fs::read_to_string(folder.path().join("port")).ok()?.parse().ok()
        });
        Some(Self { process, folder, port })
    }

    /// Connections are still taken, by the kernel; nothing answers.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    pub fn go_on(&self) {
        self.process.signal("CONT");
    }

    /// For `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that a client needs.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name.to_owned(), "test".to_owned()));
        let place = [("AWS_ENDPOINT_URL", self.url()), ("AWS_REGION", "us-east-1".to_owned())];
        keys.into_iter().chain(place.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    /// A home folder whose profile `plimsoll` holds the keys.
    pub fn home(&self) -> PathBuf {
        let home = self.folder.path().join("home");
        let files = [
            ("credentials", "[plimsoll]\naws_access_key_id = test\naws_secret_access_key = test\n"),
            ("config", "[profile plimsoll]\nregion = us-east-1\n"),
        ];
        fs::create_dir_all(home.join(".aws")).expect("a home folder");
        for (name, text) in files {
            fs::write(home.join(".aws").join(name), text).expect("a profile can be written");
        }
        home
    }
}

fn interpreter(script: &str) -> Option<Command> {
    let python = std::env::var_os("PLIMSOLL_TEST_PYTHON").map(PathBuf::from).filter(|path| path.is_file());
    let Some(python) = python else {
        skip_or_fail("PLIMSOLL_TEST_PYTHON names no Python with the packages of tests/requirements.txt");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(root().join(script)).current_dir(root());
    Some(command)
}
