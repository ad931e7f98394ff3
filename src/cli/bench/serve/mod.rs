//! `plimsoll bench serve`: what serving adds to the bare call of ONNX Runtime, and how many requests of the stream and rows
//! of files it answers.

mod distribution;
mod load;
mod report;
mod service;
mod stream;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use super::{Format, ensure_local};
use crate::cli::predict::answer_file;
use crate::onnx::{Bare, LIBRARY_VARIABLE, Library, Limits, Runtime};
use crate::serve::{Identity, Package, Served};

use distribution::Distribution;
use load::{Answered, Load, Timed, sharpen_timers, warm_up};
use report::{Http, Report};
use service::Process;

/// Measure serving beside the bare call of ONNX Runtime.
///
/// Starts a service of its own, registers a random forest with it, and asks it over HTTP at a fixed pace; latencies count
/// from the time at which a request was to be sent. Then the requests of the stream without Kafka, and the rows of a file.
/// Ends with an error when a budget is not kept.
#[derive(Args, Clone, Debug)]
pub(super) struct ServeArgs {
    /// Folder with forest.onnx, linear.onnx and rows.parquet, as make bench-serve fills it
    #[arg(long, value_name = "FOLDER")]
    models: PathBuf,
    /// The shared library of ONNX Runtime [default: as the environment says, then where the system finds it]
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// Kafka that answers are logged to, as HOST:PORT, or "embedded"
    #[arg(long, value_name = "BROKERS", default_value = "embedded")]
    brokers: String,
    /// Allow brokers on other machines
    #[arg(long)]
    remote: bool,
    /// Requests per second
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Connections, each kept alive
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// How long each shape of requests is measured
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Requests of the stream
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    requests: u64,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const FEATURES: usize = 10;
/// Turns that the bare call and requests of both shapes take.
const TURNS: u32 = 10;
/// Golden rows there are none, and batches are short.
const WITHIN: Duration = Duration::from_mins(10);

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let brokers = (args.brokers != "embedded").then_some(args.brokers.as_str());
    if let Some(brokers) = brokers {
        ensure_local(brokers, args.remote)?;
    }
    let library = Library::locate(args.onnxruntime.clone(), std::env::var_os(LIBRARY_VARIABLE));
    let runtime = Runtime::load(&library)?;
    let forest = read(&args.models, "forest.onnx")?;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    eprintln!("starting a service");
    let mut process = Process::start(folder.path(), brokers, args.onnxruntime.as_deref()).await?;
    process.register(forest.clone(), folder.path()).await?;
    let bare = Bare::load(&runtime, &forest, 1)?;
    let (bare, http) = measure_http(&args, &process, bare).await?;
    let lost = process.lost().await?;
    drop(process);
    eprintln!("{} requests of the stream", args.requests);
    let served = Arc::new(served(&runtime, "forest", forest)?);
    let stream = stream::measure(served, args.requests).await?;
    eprintln!("rows of a file");
    let linear = served_linear(&runtime, &args.models)?;
    let (input, output) = (args.models.join("rows.parquet"), folder.path().join("answered.parquet"));
    let totals = tokio::task::spawn_blocking(move || answer_file(&linear, &input, &output)).await??;
    let report = Report {
        optimised: !cfg!(debug_assertions),
        brokers: args.brokers.clone(),
        rate: args.rate,
        connections: args.connections,
        bare,
        http,
        stream,
        stream_per_core: stream.events_per_core(),
        file_rows: totals.rows,
        file_rows_per_second: totals.rows as f64 / totals.taken.as_secs_f64().max(1e-9),
    };
    report.print(args.format)?;
    let mut failures = report.failures();
    if lost > 0 {
        failures.push(format!("{lost} answers were not logged as predictions"));
    }
    if !failures.is_empty() {
        bail!("budgets are not kept: {}", failures.join("; "));
    }
    Ok(())
}

/// The bare call, while the service stands idle beside it, and requests of both shapes: turn by turn, so that what else the
/// machine does befalls all of them.
async fn measure_http(args: &ServeArgs, process: &Process, bare: Bare) -> anyhow::Result<(Distribution, Vec<Http>)> {
    let (rate, calls) = (args.rate, (args.rate * args.seconds).div_ceil(TURNS));
    let bare = Arc::new(Mutex::new(bare));
    let mut bare_times: Vec<Duration> = Vec::new();
    let mut shapes = [("tensors", tensors(7)), ("rows", rows(7))].map(|(name, body)| Shape::new(name, body));
    for turn in 1..=TURNS {
        eprintln!("turn {turn} of {TURNS}: the bare call, tensors and rows over HTTP");
        let bare = Arc::clone(&bare);
        bare_times.extend(tokio::task::spawn_blocking(move || calls_at_pace(&bare, rate, calls)).await??);
        for shape in &mut shapes {
            let load = Load {
                address: process.address,
                path: Process::infer_path(),
                body: shape.body.clone(),
                rate,
                connections: args.connections,
                requests: calls,
            };
            let before = process.cpu_seconds();
            shape.timed.append(&mut tokio::task::spawn_blocking(move || load.run()).await??);
            let used = process.cpu_seconds().zip(before).map(|(after, before)| after - before);
            shape.cpu_seconds = shape.cpu_seconds.zip(used).map(|(known, more)| known + more);
        }
    }
    let sent = f64::from((warm_up(rate) + calls) * TURNS);
    let bare = Distribution::of(bare_times);
    let http = shapes.map(|shape| {
        let cpu_micros = shape.cpu_seconds.map(|seconds| seconds * 1e6 / sent);
        Http::new(shape.name, Answered::of(&shape.timed), &bare, cpu_micros)
    });
    Ok((bare, http.into()))
}

/// Requests of one shape so far.
struct Shape {
    name: &'static str,
    body: String,
    timed: Vec<Timed>,
    cpu_seconds: Option<f64>,
}

impl Shape {
    const fn new(name: &'static str, body: String) -> Self {
        Self { name, body, timed: Vec::new(), cpu_seconds: Some(0.0) }
    }
}

/// Times of the runtime's own call, from when each was due, as those of requests are: that a sleeping client wakes late is
/// none of serving's.
fn calls_at_pace(bare: &Mutex<Bare>, rate: u32, calls: u32) -> anyhow::Result<Vec<Duration>> {
    let mut bare = bare.lock().unwrap_or_else(PoisonError::into_inner);
    let values: Vec<f32> = (0..FEATURES).map(|feature| value(7, feature)).collect();
    sharpen_timers();
    let start = Instant::now();
    let mut times = Vec::new();
    for turn in 0..warm_up(rate) + calls {
        let due = start + Duration::from_secs(1) * turn / rate;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        bare.run([1, FEATURES], &values)?;
        if turn >= warm_up(rate) {
            times.push(due.elapsed());
        }
    }
    Ok(times)
}

fn served_linear(runtime: &Runtime, models: &Path) -> anyhow::Result<Served> {
    served(runtime, "linear", read(models, "linear.onnx")?)
}

fn served(runtime: &Runtime, model: &str, onnx: Vec<u8>) -> anyhow::Result<Served> {
    let identity = Identity { model: model.to_owned(), version: 1 };
    let package = Package { onnx, ..Package::default() };
    let limits = Limits { sessions: 1, threads: 1 };
    Ok(Served::load(runtime, identity, &package, limits, Instant::now() + WITHIN)?)
}

fn read(folder: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).with_context(|| format!("{} cannot be read: `make bench-serve` makes it", path.display()))
}

/// One row in the Open Inference Protocol.
fn tensors(row: u64) -> String {
    let data: Vec<String> = (0..FEATURES).map(|feature| value(row, feature).to_string()).collect();
    let (shape, data) = (FEATURES, data.join(","));
    format!(r#"{{"inputs":[{{"name":"X","shape":[1,{shape}],"datatype":"FP32","data":[{data}]}}]}}"#)
}

/// The same as a plain row.
fn rows(row: u64) -> String {
    format!(r#"{{"features":{}}}"#, features(row))
}

fn features(row: u64) -> String {
    let mut json = String::from("{");
    for feature in 0..FEATURES {
        let separator = if feature == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(json, r#"{separator}"x{feature}":{}"#, value(row, feature));
    }
    json + "}"
}

/// Between -2 and 2, with three digits behind the point.
fn value(row: u64, feature: usize) -> f32 {
    let mixed = (row * 10 + feature as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    f32::from(u16::try_from(mixed % 4_001).unwrap_or_default()) / 1_000.0 - 2.0
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn both_shapes_ask_for_the_same_row() {
        let tensors: Value = serde_json::from_str(&tensors(3)).unwrap();
        let rows: Value = serde_json::from_str(&rows(3)).unwrap();
        let named: Vec<&Value> = rows["features"].as_object().unwrap().values().collect();
        assert_eq!(tensors["inputs"][0]["data"].as_array().unwrap().iter().collect::<Vec<_>>(), named);
        assert_eq!(named.len(), FEATURES);
    }
}
