//! `plimsoll state`: what operators can see and do where state lies.

mod inspect;
mod owner;
pub(super) mod reset;
mod verify;

use clap::{Args, Subcommand};

use crate::evaluate::EvaluateAudit;
use crate::event::SourcePartition;
use crate::ingest::IngestAudit;
use crate::join::JoinAudit;
use crate::notify::NotifyAudit;
use crate::registry::RegistryAudit;
use crate::registry::openlineage::OpenLineageAudit;
use crate::registry::rollouts::RolloutAudit;
use crate::registry::webhooks::WebhookAudit;
use crate::runner::{Audit, Findings, audit};
use crate::serve::ServeAudit;
use crate::settings::Settings;
use crate::state::{StateError, StatePartition, StateRoot};

pub(super) use owner::{Broker, refuse_while_owned};

#[derive(Debug, Subcommand)]
pub(super) enum StateCommand {
    /// Show what the state of each role and partition holds; changes nothing and disturbs no running service
    Inspect(inspect::InspectArgs),
    /// Read all state and check that it can be decoded and adds up; exits with 1 if not
    Verify(verify::VerifyArgs),
    /// Delete state, so that its partitions are counted anew from Kafka
    Reset(reset::ResetArgs),
}

/// Which partitions; all of them if nothing is given.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Selection {
    /// Only this role: ingest, join, evaluate, notify, registry, rollouts, webhooks or lineage
    #[arg(long, value_name = "ROLE")]
    pub(super) role: Option<String>,
    /// Only partitions of this topic
    #[arg(long, value_name = "TOPIC")]
    pub(super) topic: Option<String>,
    /// Only this partition
    #[arg(long, value_name = "N", requires = "topic")]
    pub(super) partition: Option<i32>,
}

impl Selection {
    pub(super) fn is_everything(&self) -> bool {
        self.role.is_none() && self.topic.is_none()
    }

    fn has(&self, partition: &StatePartition) -> bool {
        let StatePartition { role, source: SourcePartition { topic, partition } } = partition;
        self.role.as_ref().is_none_or(|wanted| wanted == role)
            && self.topic.as_ref().is_none_or(|wanted| wanted == topic)
            && self.partition.is_none_or(|wanted| wanted == *partition)
    }

    /// The partitions that have state; none at all is an error, since it is mostly a slip of the pen.
    pub(super) async fn of(&self, root: &StateRoot) -> anyhow::Result<Vec<StatePartition>> {
        let all = root.partitions().await?;
        let selected: Vec<StatePartition> = all.iter().filter(|partition| self.has(partition)).cloned().collect();
        if selected.is_empty() && !all.is_empty() {
            let known: Vec<String> = all.iter().map(|state| format!("{} {}", state.role, state.source)).collect();
            anyhow::bail!("no state fits; there is {}", known.join(", "));
        }
        Ok(selected)
    }
}

pub(super) async fn run(command: StateCommand, settings: &Settings) -> anyhow::Result<std::process::ExitCode> {
    let root = StateRoot::open(&settings.state)?;
    match command {
        StateCommand::Inspect(args) => inspect::run(&args, &root).await,
        StateCommand::Verify(args) => verify::run(&args, &root).await,
        StateCommand::Reset(args) => reset::run(&args, &root, settings).await,
    }
}

/// Reads all state of one partition.
async fn look_at(root: &StateRoot, partition: &StatePartition) -> Result<Findings, StateError> {
    let reader = root.reader(partition).await?;
    let role: Box<dyn Audit> = match partition.role.as_str() {
        "ingest" => Box::new(IngestAudit::default()),
        "join" => Box::new(JoinAudit::default()),
        "evaluate" => Box::new(EvaluateAudit),
        "notify" => Box::new(NotifyAudit),
        "registry" => Box::new(RegistryAudit),
        "serve" => Box::new(ServeAudit),
        "rollouts" => Box::new(RolloutAudit),
        "webhooks" => Box::new(WebhookAudit),
        "lineage" => Box::new(OpenLineageAudit),
        other => {
            let reason = format!("'{other}' is no role of this plimsoll");
            return Err(StateError::Corrupt { path: format!("{other}/{}", partition.source), reason });
        }
    };
    let findings = audit(&reader, role).await;
    reader.close().await?;
    findings
}
