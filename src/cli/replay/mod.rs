//! `plimsoll replay`: publishes a data file as events.

mod args;
mod publish;

use std::io::IsTerminal;
use std::time::Instant;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::bus::BusSettings;
use crate::codec::files::DataFile;
use crate::codec::files::replay::{Replay, ReplayEvents};
use crate::model::Model;
use crate::settings::Settings;

pub use args::ReplayArgs;
pub use publish::{Pace, Publish, PublishError, Published, ReplayTopics, publish};

/// Opens and checks the files before the first event is sent; Ctrl-C ends it after what is already on its way.
pub async fn run<P: Publish>(args: ReplayArgs, settings: &Settings, producer: &P) -> anyhow::Result<()> {
    let model = find_model(&args.model, &settings.models)?;
    let topics = ReplayTopics::of(&settings.bus)?;
    let replay = open(&args, model)?;
    let bar = progress_bar(&args, replay.predictions())?;
    let survey = *replay.survey();
    let mut events = replay.events()?;

    let stop = stop_on_ctrl_c();
    let started = Instant::now();
    let mut last = Published::default();
    let published = publish(&mut events, producer, &topics, args.pace(), &stop, |published| {
        last = *published;
        bar.set_position(published.predictions);
        bar.set_message(status(published));
    })
    .await;
    bar.finish_and_clear();

    let published = published.with_context(|| stopped_at(&last))?;
    if published.events() == 0 && !published.stopped {
        bail!("no event lies within the given limits: the predictions run from {} to {}", survey.first, survey.last);
    }
    if !args.quiet {
        report(&args, &published, &events, started.elapsed().as_secs_f64());
    }
    Ok(())
}

/// The replay that the arguments describe, with its files opened.
fn open(args: &ReplayArgs, model: &Model) -> anyhow::Result<Replay> {
    let model = Model { columns: args.columns(&model.columns), ..model.clone() };
    let predictions = DataFile::open(&args.file)?;
    let outcomes = args.outcomes.as_deref().map(DataFile::open).transpose()?;
    Ok(Replay::new(predictions, outcomes, &model, args.options())?)
}

fn find_model<'a>(name: &str, models: &'a [Model]) -> anyhow::Result<&'a Model> {
    let Some(model) = models.iter().find(|model| model.name == name) else {
        let known: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        bail!("the configuration has no model '{name}'; its models are: {}", known.join(", "));
    };
    Ok(model)
}

impl ReplayTopics {
    /// The first topic of each kind.
    pub fn of(settings: &BusSettings) -> anyhow::Result<Self> {
        let predictions = settings.predictions.first().context("the configuration names no topic for predictions")?;
        let outcomes = settings.outcomes.first().context("the configuration names no topic for outcomes")?;
        Ok(Self { predictions: predictions.clone(), outcomes: outcomes.clone() })
    }
}

/// A first Ctrl-C stops the replay; a second one ends the program, should the broker be away.
fn stop_on_ctrl_c() -> CancellationToken {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopping.cancel();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    stop
}

fn progress_bar(args: &ReplayArgs, predictions: u64) -> anyhow::Result<ProgressBar> {
    if args.quiet || !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template(
        "{bar:30} {human_pos}/{human_len} predictions, {msg}, {per_sec}, {elapsed} of about {duration}",
    )?;
    Ok(ProgressBar::new(predictions).with_style(style).with_message("0 outcomes"))
}

fn status(published: &Published) -> String {
    match published.until {
        Some(time) => format!("{} outcomes, at {time}", published.outcomes),
        None => format!("{} outcomes", published.outcomes),
    }
}

fn stopped_at(published: &Published) -> String {
    let (predictions, outcomes) = (published.predictions, published.outcomes);
    let sent = format!("the replay failed after {predictions} predictions and {outcomes} outcomes");
    match published.until {
        Some(time) => format!("{sent}; --from {time} goes on from there"),
        None => sent,
    }
}

fn report(args: &ReplayArgs, published: &Published, events: &ReplayEvents, seconds: f64) {
    let rate = published.events() as f64 / seconds.max(0.001);
    eprintln!(
        "{}: {} predictions and {} outcomes ({:.1} MB) in {seconds:.1} s, {rate:.0} events/s",
        args.file.display(),
        published.predictions,
        published.outcomes,
        published.bytes as f64 / 1e6,
    );
    if published.stopped {
        match published.until {
            Some(time) => eprintln!("stopped before the end; --from {time} goes on from there"),
            None => eprintln!("stopped before the first event"),
        }
        return;
    }
    let unmatched = events.outcomes_without_prediction();
    if unmatched > 0 && args.replays_the_whole_file() {
        eprintln!("{unmatched} outcomes belong to no prediction in the file; were the ids meant to match?");
    }
}

#[cfg(test)]
mod tests;
