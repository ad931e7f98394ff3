//! `plimsoll state verify`: all state can be read and adds up, or the exit code says that it does not.

use std::process::ExitCode;

use clap::Args;

use super::{Selection, look_at};
use crate::cli::answer;
use crate::state::StateRoot;

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    selection: Selection,
}

pub(super) async fn run(args: &VerifyArgs, root: &StateRoot) -> anyhow::Result<ExitCode> {
    root.deployment().await?;
    let partitions = args.selection.of(root).await?;
    let (mut rows, mut faults) = (0, 0);
    for partition in &partitions {
        let name = format!("{} {}", partition.role, partition.source);
        match look_at(root, partition).await {
            Ok(findings) => {
                rows += findings.rows.values().sum::<u64>();
                for fault in &findings.faults {
                    answer(&format!("{name}: {fault}\n"))?;
                }
                faults += findings.faults.len();
            }
            Err(error) => {
                answer(&format!("{name}: {error}\n"))?;
                faults += 1;
            }
        }
    }
    answer(&format!("{} partitions, {rows} rows, {faults} faults\n", partitions.len()))?;
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
