//! `plimsoll replay-from`: the next start reads the users' topics from another offset.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use super::state::reset::{confirmed, refuse_references_of_the_stream};
use super::state::{Broker, Selection, refuse_while_owned};
use crate::clock::Timestamp;
use crate::settings::Settings;
use crate::state::{StatePartition, StateRoot, Store};
use crate::{ingest, join};

const INGEST: &str = "ingest";
const JOIN: &str = "join";

const MEANING: &str = "\
Backwards, events from there on are counted again in place of what they counted before: windows come out the same, unless \
the configuration reads the events otherwise now. Reading begins earlier than asked where a pane holds events from both \
sides, so that every pane is counted whole; it is refused where Kafka has deleted those events. The books (accounting) \
begin anew at that offset, dead letters are written again, and a repeat that comes within `dedup` after it, of an event \
before it, counts as an event.

Forwards, the records in between are left out, and everything counted stays.";

#[derive(Debug, Args)]
#[command(after_help = MEANING)]
pub(super) struct ReplayFromArgs {
    /// Offset of the first record to read, per partition
    #[arg(long, value_name = "N", required_unless_present = "time", conflicts_with = "time")]
    offset: Option<i64>,
    /// Kafka's time of the first record to read, such as 2026-11-23T00:00:00Z
    #[arg(long, value_name = "TIME")]
    time: Option<Timestamp>,
    #[command(flatten)]
    selection: Selection,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// One partition's move.
struct Move {
    partition: StatePartition,
    store: Arc<dyn Store>,
    now: i64,
    wanted: i64,
    start: i64,
}

pub(super) async fn run(args: &ReplayFromArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let role = args.selection.role.as_deref().unwrap_or(INGEST);
    if role != INGEST {
        bail!("only ingest reads the users' topics: to let {role} work anew, plimsoll state reset --role {role}");
    }
    let root = StateRoot::open(&settings.state)?;
    let selection = Selection { role: Some(INGEST.to_owned()), ..args.selection.clone() };
    let partitions = selection.of(&root).await?;
    let broker = refuse_while_owned(settings).await?;
    let done = move_all(args, settings, &root, &broker, partitions).await;
    broker.close().await;
    done
}

async fn move_all(
    args: &ReplayFromArgs,
    settings: &Settings,
    root: &StateRoot,
    broker: &Broker,
    partitions: Vec<StatePartition>,
) -> anyhow::Result<ExitCode> {
    let mut moves = Vec::new();
    for partition in partitions {
        moves.push(plan(args, root, broker, partition).await?);
    }
    if moves.iter().any(|step| step.start < step.now) {
        refuse_references_of_the_stream(settings)?;
    }
    for step in &moves {
        println!("{}", step.told());
    }
    if !args.yes && !confirmed("Read from there at the next start?")? {
        println!("nothing was changed");
        return Ok(ExitCode::SUCCESS);
    }
    for step in moves {
        let source = &step.partition.source;
        if step.start < step.now {
            // The other way round, a crash in between would lose rows for join.
            rewind_join(root, &step).await?;
            ingest::rewind(step.store.as_ref(), source, step.start).await?;
        } else if step.start > step.now {
            ingest::skip_to(step.store.as_ref(), step.start).await?;
        }
        step.store.close().await?;
    }
    println!("done; the next start reads from there");
    Ok(ExitCode::SUCCESS)
}

async fn plan(
    args: &ReplayFromArgs,
    root: &StateRoot,
    broker: &Broker,
    partition: StatePartition,
) -> anyhow::Result<Move> {
    let source = partition.source.clone();
    let (low, high) = broker.admin.ends(&source).await?;
    let wanted = match (args.offset, args.time) {
        (Some(offset), _) => offset,
        (None, Some(time)) => broker.admin.offset_at(&source, time).await?.unwrap_or(high),
        (None, None) => bail!("give --offset or --time"),
    };
    if wanted < low || wanted > high {
        bail!("{source} holds offsets {low} to {high}, {wanted} is not among them");
    }
    let store = root.partition(&partition.role, &source).await?;
    let now = crate::runner::stored_offset(store.as_ref()).await?.unwrap_or(0);
    let start = if wanted < now { ingest::rewind_start(store.as_ref(), wanted).await? } else { wanted };
    if start < low {
        bail!(
            "{source}: panes with events from offset {start} on would be counted in part, since the topic begins at \
             {low} now: choose a later offset"
        );
    }
    Ok(Move { partition, store, now, wanted, start })
}

async fn rewind_join(root: &StateRoot, step: &Move) -> anyhow::Result<()> {
    for partition in root.partitions().await?.into_iter().filter(|partition| partition.role == JOIN) {
        let store = root.partition(JOIN, &partition.source).await?;
        let rewound = join::rewind(store.as_ref(), &step.partition.source, step.start).await;
        store.close().await?;
        rewound.with_context(|| format!("join {}", partition.source))?;
    }
    Ok(())
}

impl Move {
    fn told(&self) -> String {
        let Self { partition, now, wanted, start, .. } = self;
        let source = &partition.source;
        if start > now {
            return format!("{source}: at {now}, leaves out the records before {start}");
        }
        let earlier = if start < wanted { format!(", so that no pane is cut at {wanted}") } else { String::new() };
        format!("{source}: at {now}, counts again from {start} on{earlier}")
    }
}
