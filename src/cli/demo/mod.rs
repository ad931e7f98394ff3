//! `plimsoll demo`: a real model drifts, decays and asks for retraining, through the whole service.

mod story;
mod summary;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::replay::{Pace, ReplayTopics, publish};
use super::stop_signal;
use crate::app::{self, App, Part};
use crate::clock::{Span, SystemClock};
use crate::codec::files::replay::{Replay, ReplayOptions};
use crate::codec::files::{DataFile, Dataset};
use crate::model::Model;
use crate::profile::Reference;
use crate::settings::{self, Overrides, Settings};
use crate::telemetry::Telemetry;

use story::Story;
use summary::Summary;

const CONFIGURATION: &str = include_str!("demo.toml");
const REFERENCE: &[u8] = include_bytes!("../../../tests/data/car_loan_reference.parquet");
const PRODUCTION: &[u8] = include_bytes!("../../../tests/data/car_loan_production.parquet");
const OUTCOMES: &[u8] = include_bytes!("../../../tests/data/car_loan_outcomes.parquet");
/// How long after its prediction each loan's outcome is known, in event time.
const OUTCOME_DELAY: Span = Span::from_days(14);

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Folder for the broker's file and the state [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// End after the replay with a summary
    #[arg(long)]
    once: bool,
    /// How to print the summary of --once
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Folder of SQL checks to run [default: those that come with the program]
    #[arg(long, value_name = "DIR")]
    checks: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) async fn run(
    args: DemoArgs,
    environment: &BTreeMap<String, String>,
    overrides: &Overrides,
) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir().context("no temporary folder")?;
    let data = args.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let settings = demo_settings(&args, &data, environment, overrides)?;
    let model = settings.models.first().context("the demo has no model")?.clone();
    let reference = tokio::task::spawn_blocking({
        let (model, max_segments) = (model.clone(), settings.ingest.max_segments);
        move || demo_reference(&model, max_segments)
    })
    .await??;
    let story = Story::new(args.format == Format::Json);
    story.opening(&reference);

    let shutdown = CancellationToken::new();
    let stopping = shutdown.clone();
    tokio::spawn(async move {
        let _ = stop_signal().await;
        stopping.cancel();
    });
    let parts = Part::ALL.into();
    let app =
        app::start(settings, parts, Arc::new(SystemClock), Telemetry::default(), vec![reference], &shutdown).await?;
    if let Some(address) = app.http {
        story.addresses(address, &app.bus);
    }
    let finished = watch(&args, &app, &model, &story, &shutdown).await;
    if finished.is_ok() && !args.once && !shutdown.is_cancelled() {
        story.staying_up(app.http);
        shutdown.cancelled().await;
    }
    let drained = app.drain().await;
    if let Some(summary) = finished? {
        summary.print(args.format == Format::Json)?;
    }
    Ok(drained?)
}

/// Replays, tells what happens, and sums up once everything is worked through; none when it was interrupted.
async fn watch(
    args: &DemoArgs,
    app: &App,
    model: &Model,
    story: &Story,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Summary>> {
    let telling = story.follow(app, shutdown)?;
    let options = ReplayOptions { version: Some("1".to_owned()), outcome_delay: OUTCOME_DELAY, ..Default::default() };
    let production = DataFile::from_bytes("car_loan_production.parquet", Bytes::from_static(PRODUCTION))?;
    let outcomes = DataFile::from_bytes("car_loan_outcomes.parquet", Bytes::from_static(OUTCOMES))?;
    let replay = Replay::new(production, Some(outcomes), model, options)?;
    let bar = progress_bar(replay.predictions())?;
    story.behind(&bar);
    let topics = ReplayTopics::of(&app.bus)?;
    let progress = |published: &super::replay::Published| {
        bar.set_position(published.predictions);
        bar.set_message(published.until.map(|time| time.to_string()).unwrap_or_default());
    };
    let published =
        publish(replay.events()?, &*app.producer, &topics, Pace::AsFastAsPossible, shutdown, progress).await?;
    bar.finish_and_clear();
    tokio::select! {
        settled = app.settle() => settled?,
        () = shutdown.cancelled() => {}
    }
    if published.stopped || shutdown.is_cancelled() {
        telling.stop().await;
        return Ok(None);
    }
    let snapshot = summary::read(app).await?;
    telling.stop().await;
    let summary = Summary::of(&snapshot);
    if !args.once {
        summary.print(false)?;
        return Ok(None);
    }
    Ok(Some(summary))
}

fn demo_settings(
    args: &DemoArgs,
    data: &std::path::Path,
    environment: &BTreeMap<String, String>,
    overrides: &Overrides,
) -> anyhow::Result<Settings> {
    std::fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
    let checks = match &args.checks {
        Some(checks) => checks.clone(),
        None => story::shipped_checks(data)?,
    };
    let mut defaults = Overrides::default();
    defaults.set("data", data.display().to_string());
    defaults.set("checks.directory", checks.display().to_string());
    for (key, value) in &overrides.values {
        defaults.set(key, value);
    }
    Ok(settings::parse(CONFIGURATION, "demo.toml", environment, &defaults)?)
}

fn demo_reference(model: &Model, max_segments: usize) -> anyhow::Result<Reference> {
    let dataset = Dataset::from_bytes("car_loan_reference.parquet", Bytes::from_static(REFERENCE), model)?;
    Ok(app::read_reference(&dataset, model, max_segments)?)
}

fn progress_bar(predictions: u64) -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} loans, event time {msg}, {elapsed}")?;
    Ok(ProgressBar::new(predictions).with_style(style))
}
