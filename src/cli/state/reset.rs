//! `plimsoll state reset`: partitions are counted anew from Kafka.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::{Broker, Selection, refuse_while_owned};
use crate::bus::Topics;
use crate::model::ReferenceSource;
use crate::settings::Settings;
use crate::state::{StatePartition, StateRoot};

const MEANING: &str = "\
Without a selection everything that follows from the users' topics goes: all state, and the topics of joins, panes and \
windows. The next start counts as if the deployment had never run, from what the users' topics still hold. Their events, \
references, alerts, retraining requests and dead letters stay.

With a selection only that state goes, and its role reads its topics again from their beginning. What it counts again \
replaces what it had counted: panes are cumulative per source partition, and join knows its ids.";

#[derive(Debug, Args)]
#[command(after_help = MEANING)]
pub(in crate::cli) struct ResetArgs {
    #[command(flatten)]
    selection: Selection,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: &ResetArgs, root: &StateRoot, settings: &Settings) -> anyhow::Result<ExitCode> {
    let partitions = args.selection.of(root).await?;
    if !args.selection.is_everything() && partitions.iter().any(|partition| partition.role == "ingest") {
        refuse_references_of_the_stream(settings)?;
    }
    let topics = topics_to_delete(args, settings);
    let names: Vec<String> = partitions.iter().map(|state| format!("{} {}", state.role, state.source)).collect();
    println!("state at {}: {} partitions will be deleted: {}", root.place(), names.len(), names.join(", "));
    if !topics.is_empty() {
        println!("so will what stands on the topics {}", topics.join(", "));
    }
    if !args.yes && !confirmed("Delete them?")? {
        println!("nothing was deleted");
        return Ok(ExitCode::SUCCESS);
    }
    let broker = refuse_while_owned(settings).await?;
    let groups: Vec<String> = if args.selection.is_everything() {
        ["ingest", "join", "evaluate", "notify", "registry", "rollouts", "webhooks", "lineage", "serve"]
            .iter()
            .map(|role| broker.group(role))
            .collect()
    } else {
        Vec::new()
    };
    let deleted = delete_topics(&broker, &topics, &groups, settings).await;
    broker.close().await;
    deleted?;
    delete(root, &partitions).await?;
    if args.selection.is_everything() {
        root.release().await?;
    }
    println!("deleted; the next start counts anew");
    Ok(ExitCode::SUCCESS)
}

/// The embedded broker deletes all topics when it is told to delete one. There the windows are taken back key by key;
/// joins and panes may stay, since nothing is ever missing from the users' topics and what is counted again replaces them.
async fn delete_topics(
    broker: &Broker,
    topics: &[String],
    groups: &[String],
    settings: &Settings,
) -> anyhow::Result<()> {
    if !broker.is_embedded() {
        return Ok(broker.admin.delete(topics, groups).await?);
    }
    let windows = Topics::new(&broker.bus).windows;
    if !topics.contains(&windows) {
        return Ok(());
    }
    refuse_references_of_the_stream(settings).context("on the embedded broker, delete its data folder instead")?;
    broker.take_back(&windows).await
}

async fn delete(root: &StateRoot, partitions: &[StatePartition]) -> anyhow::Result<()> {
    for partition in partitions {
        root.delete(partition).await?;
    }
    Ok(())
}

/// What follows from the state and would contradict what is counted anew: revisions begin at one again.
fn topics_to_delete(args: &ResetArgs, settings: &Settings) -> Vec<String> {
    let topics = Topics::new(&settings.bus);
    if args.selection.is_everything() {
        return vec![topics.joins, topics.panes, topics.windows];
    }
    let is_whole_evaluate = args.selection.role.as_deref() == Some("evaluate") && args.selection.topic.is_none();
    if is_whole_evaluate { vec![topics.windows] } else { Vec::new() }
}

/// Events before a model's first reference are counted by evaluate, those after it by ingest: to read them again would
/// count them twice.
pub(in crate::cli) fn refuse_references_of_the_stream(settings: &Settings) -> anyhow::Result<()> {
    let from_stream = |source: &ReferenceSource| matches!(source, ReferenceSource::First(_));
    if let Some(model) = settings.models.iter().find(|model| from_stream(&model.reference)) {
        bail!(
            "model '{}' has its reference from the stream, and the events before it were counted in another way: count \
             everything anew with plimsoll state reset without a selection",
            model.name
        );
    }
    Ok(())
}

/// Asks on the terminal; where nobody can answer, `--yes` must have been given.
pub(in crate::cli) fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here: give --yes");
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
