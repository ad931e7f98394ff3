//! Requests of the stream without Kafka: the role's own machine, checkpoints and outbox included, on a store in memory.

use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio::sync::watch;

use super::features;
use crate::bus::{Records, Topics};
use crate::cli::bench::usage::{Meter, Usage};
use crate::clock::{Clock, SystemClock};
use crate::event::SourcePartition;
use crate::runner::OpenPartition;
use crate::serve::{
    Catalogue, Entry, ServeRole, Served, ServingMetrics, ServingSettings, Table, answer_log, shadow_queue,
};
use crate::state::MemoryStore;
use crate::telemetry::Telemetry;

/// Records of one batch, as many as the service takes from Kafka in one go.
const BATCH: u64 = 4_096;
/// Batches that make everything warm.
const WARM_UP: u64 = 2;

/// Answers `requests` rows, each a record of its own.
pub(super) async fn measure(served: Arc<Served>, requests: u64) -> anyhow::Result<Usage> {
    let topics = Topics::named("plimsoll", &["predictions".to_owned()], &["outcomes".to_owned()]);
    let source = SourcePartition { topic: topics.requests.clone(), partition: 0 };
    let (responses, model) = (topics.responses.clone(), served.identity.model.clone());
    let catalogue = Arc::new(Catalogue::default());
    let version = served.identity.version;
    let entry = Entry { primary: Some(Arc::clone(&served)), versions: [(version, served)].into(), ..Entry::default() };
    catalogue.set(Table { models: [(model.clone(), entry)].into() });
    let (_settled, settled) = watch::channel(true);
    let (settings, metrics) = (ServingSettings::default(), ServingMetrics::new(&Telemetry::default())?);
    let (log, _) = answer_log(settings.log_queue, String::new(), &metrics);
    let (shadow, _) = shadow_queue(log, settings.deadline.as_std(), &metrics);
    let role = ServeRole { topics, catalogue, settings, metrics, shadow, settled };
    let now = || SystemClock.now();
    let mut partition = OpenPartition::open(&role, source, 1, Arc::new(MemoryStore::new()), now()).await?;
    let batches = requests.div_ceil(BATCH) + WARM_UP;
    let (mut meter, mut answered, mut bytes) = (Meter::start(), 0, 0);
    for batch in 0..batches {
        if batch == WARM_UP {
            (meter, answered, bytes) = (Meter::start(), 0, 0);
        }
        let records = records(&model, batch * BATCH)?;
        bytes += records.bytes() as u64;
        partition.apply(&records, now()).await?;
        for record in partition.checkpoint(now()).await? {
            if record.topic == responses {
                let payload = record.payload.unwrap_or_default();
                ensure!(!payload.windows(8).any(|part| part == b"\"error\":"), "{}", String::from_utf8_lossy(&payload));
                answered += 1;
            }
        }
        partition.published();
    }
    let wanted = (batches - WARM_UP) * BATCH;
    ensure!(answered == wanted, "of {wanted} requests, {answered} were answered");
    Ok(meter.stop(answered, bytes))
}

fn records(model: &str, first: u64) -> anyhow::Result<Records> {
    let mut records = Records::default();
    for index in first..first + BATCH {
        let (id, features) = (format!("{index:016x}"), features(index));
        let request = format!(r#"{{"id":"{id}","model":"{model}","features":{features}}}"#);
        let offset = i64::try_from(index).context("too many requests")?;
        records.push(offset, None, Some(id.as_bytes()), Some(request.as_bytes()));
    }
    Ok(records)
}
