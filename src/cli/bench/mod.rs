//! `plimsoll bench`: how fast ingest is, beside a bare consumer that drains the same topic in the same run.
//!
//! What a machine can do differs from one to the next and from one minute to the next, so the figure that counts is the
//! ratio of the two within a round; the rounds take turns in who goes first.

mod bare;
mod events;
mod ingest;
mod join;
mod memory;
mod report;
mod serve;
mod usage;

use std::io::IsTerminal;
use std::net::IpAddr;
use std::process;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::stop_signal;
use crate::bus::{Admin, BrokerSource, BusSettings, EmbeddedBroker, Outgoing, Producer, Topics};
use crate::clock::{Clock, Span, SystemClock};
use crate::ingest::{IngestRole, IngestSettings};
use crate::model::Model;
use crate::runner::{FixedModels, PaneTopic, References};
use crate::telemetry::Telemetry;

use events::Events;
use report::{InMemory, Report, Round};

/// Events published in one go.
const PUBLISHED_AT_ONCE: u64 = 20_000;
/// Events of the measurements in memory.
const IN_MEMORY: u64 = 200_000;

/// Measure ingest beside a bare consumer of the same topic.
///
/// Publishes synthetic predictions to a topic of its own, then lets a bare consumer and Plimsoll's whole ingest (decoded,
/// deduplicated, counted, checkpointed every second, its output published) drain it in turns, ingest also with a single
/// checkpoint at the end, which tells what checkpoints cost.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    other: Option<Other>,
    /// Kafka to measure with, as HOST:PORT, or "embedded"
    #[arg(long, value_name = "BROKERS", default_value = "127.0.0.1:9092")]
    brokers: String,
    /// Allow brokers on other machines
    #[arg(long)]
    remote: bool,
    /// Events to publish
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    events: u64,
    /// Features of each event
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    features: u32,
    /// Partitions of the topic
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=64))]
    partitions: i32,
    /// How often each drains the topic
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Other parts than ingest.
#[derive(Clone, Debug, Subcommand)]
enum Other {
    Join(join::JoinArgs),
    Serve(serve::ServeArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Everything that the measurements share.
struct Bench {
    args: BenchArgs,
    bus: BusSettings,
    topics: Topics,
    events: Arc<Events>,
    model: Model,
    references: References,
    admin: Admin,
    producer: Arc<Producer>,
}

pub(super) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.other {
        Some(Other::Join(args)) => return join::run(args).await,
        Some(Other::Serve(args)) => return serve::run(args).await,
        None => {}
    }
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let embedded = match args.brokers.as_str() {
        "embedded" => Some(EmbeddedBroker::start("127.0.0.1:0".parse()?, folder.path()).await?),
        brokers => {
            ensure_local(brokers, args.remote)?;
            None
        }
    };
    let brokers = match &embedded {
        Some(broker) => BrokerSource::Embedded { listen: broker.address(), data: folder.path().to_owned() },
        None => BrokerSource::External(args.brokers.clone()),
    };
    let bench = tokio::task::block_in_place(|| Bench::new(args, brokers))?;
    let measured = tokio::select! {
        measured = bench.measure() => measured,
        stopped = stop_signal() => stopped.and_then(|()| bail!("stopped before the end")),
    };
    bench.clean_up().await;
    let json = bench.args.format == Format::Json;
    // Clients end before their broker does.
    tokio::task::block_in_place(|| drop(bench));
    if let Some(broker) = embedded {
        broker.stop().await;
    }
    measured?.print(json)
}

impl Bench {
    fn new(args: BenchArgs, brokers: BrokerSource) -> anyhow::Result<Self> {
        let prefix = format!("plimsoll-bench-{:x}-{:x}", SystemClock.now().millis(), process::id());
        let bus = BusSettings {
            brokers,
            properties: [].into(),
            predictions: vec![format!("{prefix}.predictions")],
            outcomes: Vec::new(),
            prefix,
            partitions: args.partitions,
            replication: 1,
            instance: None,
        };
        let events = Events::new(args.features);
        let (model, reference) = events.model_and_reference()?;
        let references = References::default();
        references.set(reference);
        let telemetry = Telemetry::default();
        Ok(Self {
            topics: Topics::new(&bus),
            events: Arc::new(events),
            model,
            references,
            admin: Admin::new(&bus, &telemetry)?,
            producer: Arc::new(Producer::new(&bus, &telemetry)?),
            args,
            bus,
        })
    }

    async fn measure(&self) -> anyhow::Result<Report> {
        let wanted = self.topics.all(&self.bus);
        self.admin.ensure(&wanted).await.with_context(|| {
            format!(
                "--brokers {}: start one with `make kafka-start`, use `make bench`, or --brokers embedded",
                self.args.brokers
            )
        })?;
        let bytes = self.publish().await?;
        let mut rounds = Vec::new();
        for round in 0..self.args.rounds {
            eprintln!("round {} of {}", round + 1, self.args.rounds);
            rounds.push(self.round(round).await?);
        }
        eprintln!("in memory");
        let in_memory = self.in_memory().await?;
        Ok(Report::new(&self.args, bytes, rounds, in_memory))
    }

    /// Returns the bytes of all events.
    async fn publish(&self) -> anyhow::Result<u64> {
        let (events, partitions) = (self.args.events, u64::from(self.args.partitions.unsigned_abs()));
        eprintln!("publishing {events} events of {} features", self.args.features);
        let bar = progress_bar(events)?;
        let topic = &self.topics.predictions[0];
        let mut bytes = 0;
        let mut first = 0;
        while first < events {
            let next = events.min(first + PUBLISHED_AT_ONCE);
            let records: Vec<Outgoing> = (first..next)
                .map(|index| Outgoing {
                    topic: topic.clone(),
                    partition: i32::try_from(index % partitions).ok(),
                    payload: Some(self.events.json(index)),
                    ..Outgoing::default()
                })
                .collect();
            bytes += records.iter().filter_map(|record| Some(record.payload.as_ref()?.len() as u64)).sum::<u64>();
            self.producer.publish(records).await?;
            bar.set_position(next);
            first = next;
        }
        bar.finish_and_clear();
        Ok(bytes)
    }

    async fn round(&self, round: u32) -> anyhow::Result<Round> {
        let (mut bare, mut ingest, mut without_checkpoints) = (None, None, None);
        // Who comes later finds warmer caches, so they take turns.
        for turn in round..round + 3 {
            match turn % 3 {
                0 => bare = Some(self.drain_bare().await?),
                1 => ingest = Some(self.drain_by_ingest(self.group(round), ingest::EVERY_SECOND).await?),
                _ => {
                    let group = self.group_without_checkpoints(round);
                    without_checkpoints = Some(self.drain_by_ingest(group, ingest::ONCE_AT_THE_END).await?);
                }
            }
        }
        let (Some(bare), Some(ingest), Some(without_checkpoints)) = (bare, ingest, without_checkpoints) else {
            bail!("a round has three turns");
        };
        Ok(Round { bare, ingest, without_checkpoints })
    }

    async fn drain_bare(&self) -> anyhow::Result<usage::Usage> {
        let (bus, topic) = (self.bus.clone(), self.topics.predictions[0].clone());
        let ends = self.admin.end_offsets(&topic).await?;
        tokio::task::spawn_blocking(move || bare::drain(&bus, &topic, &ends)).await?
    }

    async fn drain_by_ingest(&self, group: String, checkpoint: Span) -> anyhow::Result<usage::Usage> {
        let drain = ingest::Drain {
            role: self.role(self.topics.clone()),
            bus: self.bus.clone(),
            group,
            checkpoint,
            producer: Arc::clone(&self.producer),
            events: self.args.events,
        };
        drain.run().await
    }

    async fn in_memory(&self) -> anyhow::Result<InMemory> {
        let count = self.args.events.min(IN_MEMORY);
        let (events, rounds, role) = (Arc::clone(&self.events), self.args.rounds, self.role(self.topics.clone()));
        let measured = tokio::task::spawn_blocking(move || memory::measure(&events, count, rounds, &role));
        measured.await?
    }

    fn role(&self, topics: Topics) -> IngestRole {
        IngestRole {
            models: FixedModels::shared(vec![self.model.clone()]),
            panes: PaneTopic { name: topics.panes.clone(), partitions: self.args.partitions },
            join_partitions: self.args.partitions,
            topics,
            references: self.references.clone(),
            settings: IngestSettings { max_message_bytes: 1 << 20, max_segments: 64 },
        }
    }

    fn group(&self, round: u32) -> String {
        format!("{}.ingest.{round}", self.bus.prefix)
    }

    fn group_without_checkpoints(&self, round: u32) -> String {
        format!("{}.without-checkpoints", self.group(round))
    }

    /// Deletes what this run has made, as far as the broker lets it.
    async fn clean_up(&self) {
        let topics: Vec<String> = self.topics.all(&self.bus).into_iter().map(|topic| topic.name).collect();
        let groups: Vec<String> = (0..self.args.rounds)
            .flat_map(|round| [self.group(round), self.group_without_checkpoints(round)])
            .collect();
        if let Err(error) = self.admin.delete(&topics, &groups).await {
            eprintln!("topics with the prefix {} are left behind: {error}", self.bus.prefix);
        }
    }
}

/// Hundreds of megabytes are not sent to somebody's cluster by accident.
fn ensure_local(brokers: &str, remote: bool) -> anyhow::Result<()> {
    let is_local = |broker: &str| {
        let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host).trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let is_local = brokers.split(',').all(|broker| is_local(broker.trim()));
    ensure!(is_local || remote, "{brokers} is not on this machine; with --remote it is loaded all the same");
    Ok(())
}

fn progress_bar(events: u64) -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} events, {per_sec}, {eta} left")?;
    Ok(ProgressBar::new(events).with_style(style))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_elsewhere_are_loaded_only_on_request() {
        for local in ["localhost:9092", "127.0.0.1:1,127.0.0.2:2", "[::1]:9092", "127.0.0.1"] {
            assert!(ensure_local(local, false).is_ok(), "{local}");
        }
        for elsewhere in ["kafka:9092", "127.0.0.1:1,10.0.0.1:2", ""] {
            assert!(ensure_local(elsewhere, false).is_err(), "{elsewhere}");
            assert!(ensure_local(elsewhere, true).is_ok(), "{elsewhere}");
        }
    }
}
