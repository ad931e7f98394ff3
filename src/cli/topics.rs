//! `plimsoll topics`: the topics, made ahead of the first start.

use clap::Subcommand;

use crate::bus::{Admin, Topics};
use crate::settings::Settings;
use crate::telemetry::Telemetry;

#[derive(Debug, Subcommand)]
pub(super) enum TopicsCommand {
    /// Create what is missing; fails where an existing topic has wrong settings
    Create,
}

pub(super) async fn run(command: TopicsCommand, settings: &Settings) -> anyhow::Result<()> {
    let TopicsCommand::Create = command;
    let wanted = Topics::new(&settings.bus).all(&settings.bus);
    let admin = Admin::new(&settings.bus, &Telemetry::default())?;
    admin.wait_until_reachable().await;
    admin.ensure(&wanted).await?;
    for topic in wanted {
        let cleanup = if topic.compacted { "compact" } else { "delete" };
        println!("{:<28} {} partitions, {cleanup}", topic.name, topic.partitions);
    }
    Ok(())
}
