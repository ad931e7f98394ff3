//! Half an hour at a steady load: memory, descriptors, state and lag stay within bounds. `make soak` runs it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll::bus::{Admin, BusError, Outgoing, Producer};
use plimsoll::clock::{Clock, SystemClock};
use plimsoll::telemetry::Telemetry;
use serde_json::json;

use crate::small;
use crate::support::{Brokers, KafkaBroker, RUNTIME, Raised, Service, ServiceOptions, pause};

/// Predictions per second, and as many outcomes.
const RATE: u64 = 200;
const BEAT: Duration = Duration::from_millis(100);
const INTERVAL: Duration = Duration::from_secs(5);
/// What the trend over the second half may add, as a share of the mean there; and what it may always add.
const TOLERANCES: [(&str, f64, f64); 4] = [
    // Allocators keep what they had, and tables of windows fill up to their limit.
    ("rss_bytes", 0.10, 16e6),
    ("descriptors", 0.05, 8.0),
    // Compaction and the collection of old objects come every few minutes: the state breathes.
    ("state_bytes", 0.25, 8e6),
    ("lag", 0.25, 4.0 * RATE as f64),
];

/// What was measured at one time; the columns are those of [`TOLERANCES`].
struct Sample {
    seconds: f64,
    values: [f64; 4],
    state_files: u64,
    published: u64,
}

#[test]
#[ignore = "takes half an hour: make soak"]
fn nothing_grows_without_bound_at_a_steady_load() {
    let minutes = std::env::var("PLIMSOLL_TEST_SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(30.0);
    let Some(kafka) = KafkaBroker::start() else { return };
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut service = Service::start(&ServiceOptions {
        brokers: Brokers::Kafka(&kafka),
        models: &model(folder.path()),
        data: Some(data.path().to_owned()),
        // Fills up within minutes; what grows beyond it is something else.
        set: &["state.cache=16MiB"],
        ..ServiceOptions::default()
    });
    let settings = service.settings();
    let producer = Producer::new(&settings.bus, &Telemetry::default()).unwrap();
    let admin = Admin::new(&settings.bus, &Telemetry::default()).unwrap();
    let topics = ["predictions", "outcomes"].map(|name| service.topic(name));
    let group = format!("{}.ingest", settings.bus.prefix);
    let process = service.process().id();
    let (over, published) = (AtomicBool::new(false), AtomicU64::new(0));

    let samples = thread::scope(|scope| {
        scope.spawn(|| publish(&producer, &topics, &over, &published));
        let _over = Raised(&over);
        let started = Instant::now();
        let mut samples = Vec::new();
        while started.elapsed().as_secs_f64() < minutes * 60.0 {
            pause(INTERVAL);
            let (state_bytes, state_files) = size_of(data.path());
            let lag = RUNTIME.block_on(lag(&admin, &group, &topics)).unwrap_or_default();
            samples.push(Sample {
                seconds: started.elapsed().as_secs_f64(),
                values: [resident(process), descriptors(process), state_bytes as f64, lag as f64],
                state_files,
                published: published.load(Ordering::Relaxed),
            });
            write(&samples);
        }
        samples
    });
    service.wait_settled();
    service.terminate();
    println!("{} events; every {} s in {}", published.into_inner(), INTERVAL.as_secs(), file().display());
    let growing: Vec<String> = (0..TOLERANCES.len()).filter_map(|column| growth(&samples, column)).collect();
    assert!(growing.is_empty(), "{}", growing.join("\n"));
}

/// Events of the present, forgotten after a minute or two, so that half an hour is long for it.
fn model(folder: &Path) -> String {
    small::model(folder)
        .replace("panes = \"1h\"", "panes = \"10s\"\ndedup = \"30s\"")
        .replace("windows = [\"1d\"]", "windows = [\"1m\"]")
        .replace("label_horizon = \"1d\"", "label_horizon = \"2m\"")
        .replace("retention = \"3d\"", "retention = \"3m\"")
}

fn publish(producer: &Producer, topics: &[String; 2], over: &AtomicBool, published: &AtomicU64) {
    let (started, per_beat) = (Instant::now(), RATE / 10);
    let mut beat = 0;
    while !over.load(Ordering::Relaxed) {
        let first = u64::from(beat) * per_beat;
        let mut records = Vec::new();
        for number in first..first + per_beat {
            records.push(record(&topics[0], number, &prediction(number)));
            // Ten seconds after its prediction.
            if let Some(earlier) = number.checked_sub(10 * RATE) {
                records.push(record(&topics[1], earlier, &outcome(earlier)));
            }
        }
        published.fetch_add(records.len() as u64, Ordering::Relaxed);
        RUNTIME.block_on(producer.publish(records)).expect("the broker takes records");
        beat += 1;
        pause((BEAT * beat).saturating_sub(started.elapsed()));
    }
}

fn prediction(number: u64) -> String {
    let colour = if number.is_multiple_of(2) { "red" } else { "green" };
    json!({"id": format!("s{number}"), "model": "m", "version": "1", "time": SystemClock.now().millis(), "latency_ms": 1.5,
        "features": {"amount": number * 7 % 10, "colour": colour},
        "prediction": {"label": (number % 2).to_string(), "score": 0.1 + 0.8 * (number % 2) as f64}})
    .to_string()
}

fn outcome(number: u64) -> String {
    let label = (number + u64::from(number.is_multiple_of(10))) % 2;
    json!({"id": format!("s{number}"), "model": "m", "time": SystemClock.now().millis(), "label": label.to_string()})
        .to_string()
}

fn record(topic: &str, number: u64, payload: &str) -> Outgoing {
    let key = Some(format!("s{number}").into_bytes());
    Outgoing { topic: topic.to_owned(), key, payload: Some(payload.as_bytes().to_vec()), ..Outgoing::default() }
}

/// Why a column grows without bound, if it seems to: by the straight line of least squares through the second half.
fn growth(samples: &[Sample], column: usize) -> Option<String> {
    let (name, share, always) = TOLERANCES[column];
    let half = &samples[samples.len() / 2..];
    let count = half.len() as f64;
    let mean_time = half.iter().map(|sample| sample.seconds).sum::<f64>() / count;
    let mean = half.iter().map(|sample| sample.values[column]).sum::<f64>() / count;
    let spread: f64 = half.iter().map(|sample| (sample.seconds - mean_time).powi(2)).sum();
    let slope = half.iter().map(|s| (s.seconds - mean_time) * (s.values[column] - mean)).sum::<f64>() / spread;
    let growth = slope * (half.last()?.seconds - half.first()?.seconds);
    let all = || samples.iter().map(|sample| sample.values[column]);
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    println!("{name}: mean {mean:.0} and trend {growth:+.0} over the second half; {low:.0} to {high:.0} overall");
    (growth > (share * mean).max(always))
        .then(|| format!("{name} grew by {growth:.0} in the second half, mean {mean:.0}"))
}

/// A folder that outlasts the test.
fn file() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak.csv")
}

fn write(samples: &[Sample]) {
    let columns = TOLERANCES.map(|(name, ..)| name).join(",");
    let mut text = format!("seconds,{columns},state_files,published\n");
    for sample in samples {
        let values = sample.values.map(|value| format!("{value:.0}")).join(",");
        writeln!(text, "{:.1},{values},{},{}", sample.seconds, sample.state_files, sample.published).unwrap();
    }
    fs::write(file(), text).expect("the measurements can be written");
}

fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the service runs");
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    kilobytes.and_then(|text| text.parse::<f64>().ok()).expect("its resident memory") * 1_024.0
}

fn descriptors(process: u32) -> f64 {
    fs::read_dir(format!("/proc/{process}/fd")).expect("the service runs").count() as f64
}

/// Bytes and files below a folder, while others change it.
fn size_of(folder: &Path) -> (u64, u64) {
    let (mut bytes, mut files) = (0, 0);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let (more_bytes, more_files) = if metadata.is_dir() { size_of(&entry.path()) } else { (metadata.len(), 1) };
        bytes += more_bytes;
        files += more_files;
    }
    (bytes, files)
}

async fn lag(admin: &Admin, group: &str, topics: &[String]) -> Result<i64, BusError> {
    let mut lag = 0;
    for topic in topics {
        let ends = admin.end_offsets(topic).await?;
        let committed = admin.committed(group, topic).await?;
        lag += ends.iter().zip(committed).map(|(end, committed)| end - committed.unwrap_or(0)).sum::<i64>();
    }
    Ok(lag)
}
