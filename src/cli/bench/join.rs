//! `plimsoll bench join`: how fast outcomes meet predictions that wait on disk, in how much memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use super::Format;
use super::events::Events;
use super::usage::{Meter, Usage, peak_memory};
use crate::bus::{Outgoing, Records, Topics};
use crate::clock::{Clock, Span, SystemClock, Timestamp};
use crate::event::{IdHash, JoinBlock, PackedKind, PackedRow, SourcePartition, TextTable};
use crate::join::JoinRole;
use crate::profile::{decode, encode};
use crate::runner::{FixedModels, OpenPartition, PaneTopic, References};
use crate::state::{StateRoot, StateSettings};
use crate::window::{PaneCounts, PaneRecord};

/// Rows of a block, as ingest sends them.
const BLOCK_ROWS: usize = 4_096;
/// Blocks taken in one go, as one poll of the bus brings them.
const BLOCKS_AT_ONCE: usize = 16;
/// Rows between two checkpoints: about a second's worth.
const CHECKPOINT_EVERY: u64 = 1 << 18;
/// Prime, so that one batch of outcomes is spread over all that waits.
const STRIDE: u64 = 1_000_003;
const FIRST_TIME: i64 = 1_767_225_600_000;

/// Measure the join with many predictions waiting for their outcome.
///
/// Lets predictions pile up in a state folder, opens it again as after a kill -9, then brings outcomes in batches that
/// are spread over all of them.
#[derive(Args, Clone, Debug)]
pub(super) struct JoinArgs {
    /// Predictions that wait
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pending: u64,
    /// Outcomes that come
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    outcomes: u64,
    /// Partitions of the join
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    partitions: u32,
    /// Cache of state in MiB, as `state.cache`
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    cache: u64,
    /// Folder that the state's own temporary folder is made in
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Report {
    pending: u64,
    partitions: u32,
    optimised: bool,
    fill: Usage,
    state_megabytes: f64,
    /// Until every partition is open again.
    restart_seconds: f64,
    pairs: Usage,
    pairs_per_core: f64,
    peak_memory_megabytes: Option<f64>,
}

struct Bench {
    args: JoinArgs,
    /// Its name.
    model: String,
    role: JoinRole,
    state: StateRoot,
    partitions: Vec<OpenPartition>,
    next_offset: Vec<i64>,
    /// Newest count of pairs by pane.
    pairs: BTreeMap<Vec<u8>, u64>,
}

#[derive(Clone, Copy)]
enum Half {
    Prediction,
    Outcome,
}

pub(super) async fn run(args: JoinArgs) -> anyhow::Result<()> {
    let folder = match &args.state {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let folder = folder.context("no temporary folder")?;
    let settings =
        StateSettings { url: format!("file://{}", folder.path().display()), cache: args.cache * 1024 * 1024 };
    let mut bench = Bench::new(args, StateRoot::open(&settings)?)?;
    bench.open().await?;
    eprintln!("{} predictions wait", bench.args.pending);
    let fill = bench.feed(Half::Prediction).await?;
    let state_megabytes = folder_bytes(folder.path())? as f64 / 1e6;
    eprintln!("opening again");
    let started = Instant::now();
    bench.open().await?;
    let restart_seconds = started.elapsed().as_secs_f64();
    eprintln!("{} outcomes come", bench.args.outcomes);
    let pairs = bench.feed(Half::Outcome).await?;
    let counted: u64 = bench.pairs.values().sum();
    ensure!(counted == bench.args.outcomes, "of {} pairs, {counted} were counted", bench.args.outcomes);
    Report {
        pending: bench.args.pending,
        partitions: bench.args.partitions,
        optimised: !cfg!(debug_assertions),
        fill,
        state_megabytes,
        restart_seconds,
        pairs,
        pairs_per_core: pairs.events_per_core(),
        peak_memory_megabytes: peak_memory().map(|bytes| bytes as f64 / 1e6),
    }
    .print(bench.args.format)
}

impl Bench {
    fn new(args: JoinArgs, state: StateRoot) -> anyhow::Result<Self> {
        let (model, reference) = Events::new(1).model_and_reference()?;
        let references = References::default();
        references.set(reference);
        let topics = Topics::named("plimsoll", &["predictions".to_owned()], &["outcomes".to_owned()]);
        let name = model.name.clone();
        let panes = PaneTopic { name: topics.panes.clone(), partitions: 1 };
        let role = JoinRole { models: FixedModels::shared(vec![model]), topics, panes, references };
        let next_offset = vec![0; args.partitions as usize];
        ensure!(args.outcomes <= args.pending, "--outcomes cannot be more than --pending");
        Ok(Self { args, model: name, role, state, partitions: Vec::new(), next_offset, pairs: BTreeMap::new() })
    }

    /// Opens every partition; those that were open are neither flushed nor closed, as after a kill -9.
    async fn open(&mut self) -> anyhow::Result<()> {
        let mut opened = Vec::new();
        for partition in (0..).take(self.args.partitions as usize) {
            let source = SourcePartition { topic: self.role.topics.joins.clone(), partition };
            let store = self.state.partition("join", &source).await?;
            opened.push(OpenPartition::open(&self.role, source, 1, store, SystemClock.now()).await?);
        }
        self.partitions = opened;
        Ok(())
    }

    async fn feed(&mut self, half: Half) -> anyhow::Result<Usage> {
        let count = match half {
            Half::Prediction => self.args.pending,
            Half::Outcome => self.args.outcomes,
        };
        let meter = Meter::start();
        let (mut first, mut since_checkpoint, mut bytes) = (0, 0, 0);
        let mut told = Instant::now();
        while first < count {
            let next = count.min(first + (BLOCK_ROWS * BLOCKS_AT_ONCE) as u64);
            for (partition, records) in self.batch(half, first..next)?.into_iter().enumerate() {
                bytes += records.bytes() as u64;
                self.partitions[partition].apply(&records, SystemClock.now()).await?;
            }
            since_checkpoint += next - first;
            first = next;
            if since_checkpoint >= CHECKPOINT_EVERY || first == count {
                since_checkpoint = 0;
                self.checkpoint().await?;
            }
            if told.elapsed() > Duration::from_secs(10) {
                told = Instant::now();
                eprintln!("  {first} of {count}");
            }
        }
        Ok(meter.stop(count, bytes))
    }

    /// The blocks of these rows, by partition.
    fn batch(&mut self, half: Half, rows: std::ops::Range<u64>) -> anyhow::Result<Vec<Records>> {
        let partitions = self.args.partitions as usize;
        let mut table = TextTable::default();
        let mut packed: Vec<Vec<PackedRow>> = vec![Vec::new(); partitions];
        for number in rows {
            let index = match half {
                Half::Prediction => number,
                Half::Outcome => (number * STRIDE) % self.args.pending,
            };
            let id = IdHash::of(&format!("id-{index}"));
            let partition = usize::try_from(id.partition(i32::try_from(partitions)?))?;
            packed[partition].push(self.row(half, index, id, i64::try_from(number)?, &mut table));
        }
        let topic = match half {
            Half::Prediction => &self.role.topics.predictions[0],
            Half::Outcome => &self.role.topics.outcomes[0],
        };
        let mut batches = Vec::new();
        for (partition, rows) in packed.iter().enumerate() {
            let mut records = Records::default();
            for rows in rows.chunks(BLOCK_ROWS) {
                let block = JoinBlock::new(SourcePartition { topic: topic.clone(), partition: 0 }, rows, &table);
                records.push(self.next_offset[partition], None, None, Some(&encode(&block)?));
                self.next_offset[partition] += 1;
            }
            batches.push(records);
        }
        Ok(batches)
    }

    fn row(&self, half: Half, index: u64, id: IdHash, offset: i64, table: &mut TextTable) -> PackedRow {
        // Spread over a day, with the outcomes a day later.
        let millis = i64::try_from(index * 86_400_000 / self.args.pending).unwrap_or(0);
        let time = Timestamp::from_millis(FIRST_TIME + millis);
        let label = table.place(if index.is_multiple_of(3) { "1" } else { "0" });
        let (time, kind) = match half {
            Half::Prediction => {
                let (version, variant) = (table.place("1"), table.place("default"));
                let score = Some((index % 1_000) as f64 / 1_000.0);
                let kind = PackedKind::Prediction {
                    version,
                    variant,
                    segments: Vec::new(),
                    label: Some(label),
                    score,
                    probabilities: None,
                };
                (time, kind)
            }
            Half::Outcome => (time.plus(Span::from_days(1)), PackedKind::Outcome { label }),
        };
        PackedRow { model: table.place(&self.model), id, time, offset, behind: Span::ZERO, kind }
    }

    async fn checkpoint(&mut self) -> anyhow::Result<()> {
        for partition in &mut self.partitions {
            let outgoing = partition.checkpoint(SystemClock.now()).await?;
            partition.published();
            for Outgoing { key, payload, .. } in outgoing {
                let (Some(key), Some(payload)) = (key, payload) else { continue };
                if let PaneRecord::Partial(partial) = decode(&payload)?
                    && let PaneCounts::Outcomes(counts) = partial.counts
                {
                    self.pairs.insert(key, counts.outcomes());
                }
            }
        }
        Ok(())
    }
}

impl Report {
    fn print(&self, format: Format) -> anyhow::Result<()> {
        if format == Format::Json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        if !self.optimised {
            println!("This build is not optimised.");
        }
        let Self { pending, partitions, fill, state_megabytes, restart_seconds, pairs, pairs_per_core, .. } = self;
        println!("{pending} predictions wait in {partitions} partitions, {state_megabytes:.0} MB on disk");
        println!("written    {:.0} predictions/s, {:.0} per core", fill.events_per_second(), fill.events_per_core());
        println!("restart    {restart_seconds:.2} s until every partition is open again");
        println!("outcomes   {:.0} pairs/s, {pairs_per_core:.0} per core", pairs.events_per_second());
        if let Some(peak) = self.peak_memory_megabytes {
            println!("memory     {peak:.0} MB at most");
        }
        Ok(())
    }
}

fn folder_bytes(folder: &std::path::Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Old files are collected meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
