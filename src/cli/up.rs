//! `plimsoll up`: the service.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{is_embedded, stop_signal};
use crate::app::{self, AppError, Part};
use crate::clock::SystemClock;
use crate::settings::Settings;
use crate::telemetry::Telemetry;

#[derive(Debug, Args)]
pub(super) struct UpArgs {
    /// Roles to run in this process: ingest, join, evaluate, notify, registry, rollouts, webhooks, lineage, serve, api [default: all]
    #[arg(long, value_delimiter = ',', value_name = "ROLE,…")]
    roles: Vec<Part>,
}

pub(super) async fn run(args: UpArgs, settings: Settings) -> anyhow::Result<()> {
    let parts: BTreeSet<Part> = if args.roles.is_empty() { Part::ALL.into() } else { args.roles.into_iter().collect() };
    let bootstrap = settings.bus.bootstrap();
    let broker = if is_embedded(&settings) { "embedded broker" } else { "kafka" };
    let shutdown = CancellationToken::new();
    let stopping = shutdown.clone();
    let signals = tokio::spawn(async move {
        let outcome = stop_signal().await;
        stopping.cancel();
        outcome
    });
    let started = app::start(settings, parts, Arc::new(SystemClock), Telemetry::default(), Vec::new(), &shutdown).await;
    let app = match started {
        Ok(app) => app,
        Err(AppError::Stopped) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if let Some(address) = app.http {
        tracing::info!("http://{address} is open");
    }
    tracing::info!(bootstrap, "reading from the {broker}");
    shutdown.cancelled().await;
    tracing::info!("stopping: last checkpoints");
    app.drain().await?;
    signals.await??;
    Ok(())
}
