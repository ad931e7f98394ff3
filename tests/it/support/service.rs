//! A running `plimsoll up`.

use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Http, KafkaBroker, Process, eventually, plimsoll, root, unique};

const START: Duration = Duration::from_mins(1);
const STOP: Duration = Duration::from_secs(30);
/// How often other ports are tried when somebody was quicker.
const PORT_TRIES: usize = 5;

#[derive(Clone, Copy, Debug, Default)]
pub enum Brokers<'a> {
    #[default]
    Embedded,
    Kafka(&'a KafkaBroker),
    /// `host:port`, for a broker that is not there, or several of a cluster.
    At(&'a str),
}

/// What a test wants of its service; the rest is as in production.
#[derive(Clone, Debug, Default)]
pub struct ServiceOptions<'a> {
    pub brokers: Brokers<'a>,
    /// The `[[model]]` tables.
    pub models: &'a str,
    /// Further tables, such as `[notify.email]`; not `kafka`, `http` and `checks`, for whose keys there is `set`.
    pub extra: &'a str,
    /// Flags `--set`, such as `kafka.partitions=4`.
    pub set: &'a [&'a str],
    /// Such as `ingest,join`; all if empty.
    pub roles: &'a str,
    /// Folder of SQL checks; those that come with the program by default.
    pub checks: Option<PathBuf>,
    /// Data folder; one of the service's own by default.
    pub data: Option<PathBuf>,
    /// Environment variables of its process, such as `AWS_PROFILE`.
    pub env: &'a [(&'a str, &'a str)],
    /// Prefix of every topic and group, to share them with another service; a unique one by default.
    pub prefix: Option<String>,
}

/// Killed when dropped. Its configuration, data and ports stay the same over restarts.
#[derive(Debug)]
pub struct Service {
    /// Dropped before its folder, so that a failed test can show its log.
    process: Option<Process>,
    folder: TempDir,
    prefix: String,
    bootstrap: Option<String>,
    /// The configuration, with the ports left open.
    template: String,
    set: Vec<String>,
    env: Vec<(String, String)>,
    roles: String,
    http: Http,
    embedded: u16,
}

impl Service {
    /// Starts it and waits until it is ready.
    pub fn start(options: &ServiceOptions<'_>) -> Self {
        let mut service = Self::spawn(options);
        service.wait_ready();
        service
    }

    /// Starts it, ready or not.
    pub fn spawn(options: &ServiceOptions<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let prefix = options.prefix.clone().unwrap_or_else(|| unique("it"));
        let template = template(options, folder.path(), &prefix);
        let bootstrap = match options.brokers {
            Brokers::Embedded => None,
            Brokers::Kafka(broker) => Some(broker.bootstrap().to_owned()),
            Brokers::At(bootstrap) => Some(bootstrap.to_owned()),
        };
        let mut service = Self {
            process: None,
            folder,
            prefix,
            bootstrap,
            template,
            set: options.set.iter().map(|set| (*set).to_owned()).collect(),
            env: options.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            roles: options.roles.to_owned(),
            http: Http::new(""),
            embedded: 0,
        };
        service.take_ports();
        service.launch();
        service
    }

    /// Starts it again after [`terminate`](Self::terminate) or [`kill`](Self::kill), ready or not.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "the service is already running");
        let mut command = self.command("up");
        if !self.roles.is_empty() {
            command.args(["--roles", &self.roles]);
        }
        self.process = Some(Process::spawn(&mut command, &self.folder.path().join("service.log")));
    }

    /// From the next start on it runs these roles.
    pub fn set_roles(&mut self, roles: &str) {
        roles.clone_into(&mut self.roles);
    }

    /// Waits until `/readyz` says so; fails at once when the process has ended.
    pub fn wait_ready(&mut self) {
        for _ in 0..PORT_TRIES {
            let ready = eventually(START, "the service is ready", || {
                let answers = self.http.try_get("/readyz").is_some_and(|answer| answer.status == 200);
                let ended = self.process_mut().ended();
                if ended.is_some() { Some(Err(ended)) } else { answers.then_some(Ok(())) }
            });
            let Err(status) = ready else { return };
            let log = self.log();
            assert!(log.contains("in use"), "the service ended with {status:?}:\n{log}");
            self.process = None;
            self.take_ports();
            self.launch();
        }
        panic!("no free ports after {PORT_TRIES} tries");
    }

    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Rows of `POST /v1/sql`, as objects.
    pub fn sql(&self, sql: &str) -> Vec<Value> {
        self.http.sql(sql)
    }

    /// Address for Kafka clients.
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone().unwrap_or_else(|| format!("127.0.0.1:{}", self.embedded))
    }

    /// Name of one of Plimsoll's topics, such as `deadletter`, or of the `predictions` and `outcomes` it reads.
    pub fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("plimsoll.toml")
    }

    /// What it has written to standard error, over all starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("service.log")).unwrap_or_default()
    }

    /// A subcommand with this service's configuration.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = plimsoll();
        command.arg("--config").arg(self.config()).envs(self.env.iter().map(|(name, value)| (name, value)));
        for set in &self.set {
            command.args(["--set", set]);
        }
        command.arg(subcommand);
        command
    }

    /// `plimsoll replay FILE …`, which must succeed.
    pub fn replay(&self, file: &Path, args: &[&str]) -> Output {
        let output = self.command("replay").arg(file).args(args).output().expect("the program runs");
        assert!(output.status.success(), "replay: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Asks it to stop, as a service manager does; it must drain in time and exit with 0.
    pub fn terminate(&mut self) {
        let mut process = self.process.take().expect("the service is running");
        process.signal("TERM");
        let status = process.wait(STOP);
        assert!(status.success(), "{status}");
    }

    /// Waits until it has ended by itself, as after a refused start.
    pub fn wait_ended(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("the service is running");
        process.wait(START).code()
    }

    /// Ends it without warning.
    pub fn kill(&mut self) {
        self.process.take().expect("the service is running").kill();
    }

    /// The process as the system knows it.
    pub fn process(&mut self) -> &mut Process {
        self.process_mut()
    }

    /// Asks it to stop, however long it takes and however it ends.
    pub fn stop(&mut self, within: Duration) -> ExitStatus {
        let mut process = self.process.take().expect("the service is running");
        process.signal("TERM");
        process.wait(within)
    }

    pub(super) fn set_flags(&self) -> &[String] {
        &self.set
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("the service is running")
    }

    fn take_ports(&mut self) {
        let http = free_port();
        self.embedded = free_port();
        self.http = Http::new(format!("http://127.0.0.1:{http}"));
        let config = self.template.replace("{http}", &http.to_string());
        let config = config.replace("{embedded}", &self.embedded.to_string());
        fs::write(self.config(), config).expect("the configuration can be written");
    }
}

fn template(options: &ServiceOptions<'_>, folder: &Path, prefix: &str) -> String {
    let data = options.data.clone().unwrap_or_else(|| folder.join("data"));
    let checks = options.checks.clone().unwrap_or_else(|| root().join("sql/checks"));
    let brokers = match options.brokers {
        Brokers::Embedded => "brokers = \"embedded\"\nlisten = \"127.0.0.1:{embedded}\"".to_owned(),
        Brokers::Kafka(broker) => format!("brokers = \"{}\"", broker.bootstrap()),
        Brokers::At(bootstrap) => format!("brokers = \"{bootstrap}\""),
    };
    let mut text = String::new();
    let mut line = |line: &str| writeln!(text, "{line}").expect("text can be written to");
    line(&format!("data = {data:?}"));
    line("checkpoint = \"500ms\"");
    line(&format!("[kafka]\n{brokers}\nprefix = \"{prefix}\""));
    line(&format!("predictions = [\"{prefix}.predictions\"]\noutcomes = [\"{prefix}.outcomes\"]"));
    line("[http]\nlisten = \"127.0.0.1:{http}\"");
    line(&format!("[checks]\ndirectory = {checks:?}"));
    line(options.extra);
    line(options.models);
    text
}

/// A port below the range from which the system takes ports for outgoing connections.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1_000).unwrap_or_default() * 11;
    (0..1_000)
        .map(|_| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 11_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
