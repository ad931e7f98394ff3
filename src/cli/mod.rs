//! The command line: one file per subcommand.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the command line talks to the terminal")]

mod ask;
mod bench;
mod check;
mod compare;
pub mod config;
mod demo;
mod gate;
mod lineage;
mod predict;
mod reference;
pub mod replay;
mod replay_from;
mod rollout;
mod sql;
mod state;
mod topics;
mod try_model;
mod up;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::app::AppError;
use crate::bus::{BusError, Outgoing, Producer};
use crate::onnx::COMMAND;
use crate::registry::gates::GateErrors;
use crate::settings::{self, Overrides, Settings, SettingsErrors};
use crate::state::StateError;
use crate::telemetry::{Telemetry, init_logging};

/// Wrong usage or configuration.
const USAGE: u8 = 2;
/// The flags that every command takes stand apart from its own.
const COMMON: &str = "Common options";

/// Watches machine-learning models on the Kafka stream: drift, decay, alerts, retraining requests.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, max_term_width = 100)]
struct Arguments {
    /// Configuration file [default: config/plimsoll.toml, then plimsoll.toml]
    #[arg(long, short, global = true, env = "PLIMSOLL_CONFIG", value_name = "FILE", help_heading = COMMON)]
    config: Option<PathBuf>,
    /// Override a key of the configuration, such as kafka.brokers=localhost:9092; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_and_value, help_heading = COMMON)]
    set: Vec<(String, String)>,
    /// What to log, such as debug or plimsoll=debug,warn
    #[arg(long, global = true, env = "PLIMSOLL_LOG", value_name = "FILTER", help_heading = COMMON)]
    log: Option<String>,
    /// Log as JSON lines
    #[arg(long, global = true, help_heading = COMMON)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it lives as long as the program")]
enum Command {
    /// Run the service
    Up(up::UpArgs),
    /// Watch a real model drift, decay and ask for retraining
    Demo(demo::DemoArgs),
    /// Publish a Parquet, CSV or NDJSON file as events
    Replay(replay::ReplayArgs),
    /// Let the next start read the users' topics from another offset
    ReplayFrom(replay_from::ReplayFromArgs),
    /// Ask a running service in SQL
    Sql(sql::SqlArgs),
    /// Show where a version of a registered model comes from: code, data, parameters, metrics
    Lineage(lineage::LineageArgs),
    /// Answer every row of a Parquet, CSV or NDJSON file with a model
    Predict(predict::PredictArgs),
    /// Run the gates of a version of a registered model, or show what they said
    #[command(subcommand)]
    Gate(gate::GateCommand),
    /// Let a new version take over step by step: shadow, canary, promotion or rollback
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Compare two data sets: drift, data quality, performance; a gate for pipelines
    Compare(compare::CompareArgs),
    /// Make a reference profile from a data set
    #[command(subcommand)]
    Reference(reference::ReferenceCommand),
    /// Look at the SQL checks
    #[command(subcommand)]
    Check(check::CheckCommand),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look at stored state, check it, or delete it
    #[command(subcommand)]
    State(state::StateCommand),
    /// Create the topics that are missing
    #[command(subcommand)]
    Topics(topics::TopicsCommand),
    /// Measure ingest beside a bare consumer of the same topic
    Bench(bench::BenchArgs),
    /// Load a model from standard input and run it once, within limits: what serving starts before it loads a model
    #[command(name = COMMAND, hide = true)]
    TryModel(try_model::TryModelArgs),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("plimsoll: {error:#}");
            ExitCode::from(if is_configuration(&error) { USAGE } else { 1 })
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("PLIMSOLL_"))
        .collect();
    let overrides = Overrides { values: arguments.set.into_iter().collect() };
    let quiet = matches!(
        arguments.command,
        Command::Demo(_)
            | Command::Replay(_)
            | Command::ReplayFrom(_)
            | Command::Sql(_)
            | Command::Lineage(_)
            | Command::Predict(_)
            | Command::Gate(_)
            | Command::Rollout(_)
            | Command::State(_)
            | Command::Compare(_)
            | Command::Bench(_)
            | Command::TryModel(_)
    );
    let default_filter = if quiet { "warn,librdkafka=off,tansu_broker=error,tansu_storage=error" } else { "" };
    init_logging(arguments.log.as_deref().unwrap_or(default_filter), arguments.log_json)?;
    let load = || settings::load(arguments.config.as_deref(), &environment, &overrides);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    match arguments.command {
        Command::Config(command) => return config::run(command, arguments.config.as_deref(), &environment, &overrides),
        Command::Sql(args) => runtime.block_on(sql::run(args))?,
        Command::Lineage(args) => runtime.block_on(lineage::run(args))?,
        Command::Predict(args) => runtime.block_on(predict::run(args))?,
        Command::Gate(command) => return runtime.block_on(gate::run(command, || Ok(load()?))),
        Command::Rollout(command) => return runtime.block_on(rollout::run(command)),
        // Whoever waits for the verdict must be able to tell it from a failure.
        Command::Compare(args) => {
            return Ok(compare::run(&args).unwrap_or_else(|error| {
                eprintln!("plimsoll: {error:#}");
                ExitCode::from(USAGE)
            }));
        }
        Command::ReplayFrom(args) => return runtime.block_on(replay_from::run(&args, &load()?)),
        Command::State(command) => return runtime.block_on(state::run(command, &load()?)),
        Command::Up(args) => runtime.block_on(up::run(args, load()?))?,
        Command::Demo(args) => runtime.block_on(demo::run(args, &environment, &overrides))?,
        Command::Replay(args) => {
            let settings = load()?;
            let producer = producer(&settings)?;
            runtime.block_on(replay::run(args, &settings, &producer))?;
        }
        Command::Reference(command) => reference::run(command, &load()?)?,
        Command::Check(command) => check::run(command, &load()?.checks.directory)?,
        Command::Bench(args) => runtime.block_on(bench::run(args))?,
        Command::TryModel(args) => try_model::run(args)?,
        Command::Topics(command) => runtime.block_on(topics::run(command, &load()?))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether what the user configured is at fault: the settings, a check, a reference file, the mail account, or a place
/// of state that is another deployment's.
fn is_configuration(error: &anyhow::Error) -> bool {
    let is_apps = |error: &AppError| match error {
        AppError::Checks(_) | AppError::Reference { .. } | AppError::Mail(_) => true,
        AppError::State(error) => error.is_configuration(),
        _ => false,
    };
    error.is::<SettingsErrors>()
        || error.is::<GateErrors>()
        || error.downcast_ref::<AppError>().is_some_and(is_apps)
        || error.downcast_ref::<StateError>().is_some_and(StateError::is_configuration)
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A producer for commands that publish to a running service's broker.
fn producer(settings: &Settings) -> anyhow::Result<Producer> {
    Ok(Producer::new(&settings.bus, &Telemetry::default())?)
}

impl replay::Publish for Producer {
    async fn publish(&self, records: Vec<Outgoing>) -> Result<(), BusError> {
        Self::publish(self, records).await
    }
}

/// Writes an answer to standard output. A reader that has seen enough, such as `head`, is no error.
fn answer(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// For messages: the broker that this process brought along, if any.
fn is_embedded(settings: &Settings) -> bool {
    matches!(settings.bus.brokers, crate::bus::BrokerSource::Embedded { .. })
}

/// Resolves when the process is asked to stop, by Ctrl-C or SIGTERM.
async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be watched")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("signals cannot be watched"),
        _ = terminate.recv() => Ok(()),
    }
}
