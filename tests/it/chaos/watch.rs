//! How far the workers have read, over time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plimsoll::bus::{Admin, BusError};

use super::faults::Fault;
use crate::support::{RUNTIME, pause};

const BEAT: Duration = Duration::from_millis(200);

/// A topic and the group that reads it, at one moment.
#[derive(Debug)]
pub struct Sample {
    at: Instant,
    ends: Vec<i64>,
    committed: Vec<i64>,
}

/// Samples until `over`; brokers that do not answer leave gaps.
pub fn watch(admin: &Admin, group: &str, topic: &str, over: &AtomicBool) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !over.load(Ordering::Relaxed) {
        if let Ok(sample) = RUNTIME.block_on(sample(admin, group, topic)) {
            samples.push(sample);
        }
        pause(BEAT);
    }
    samples
}

async fn sample(admin: &Admin, group: &str, topic: &str) -> Result<Sample, BusError> {
    let ends = admin.end_offsets(topic).await?;
    let committed = admin.committed(group, topic).await?;
    let committed = committed.into_iter().map(|offset| offset.unwrap_or(0)).collect();
    Ok(Sample { at: Instant::now(), ends, committed })
}

/// From the fault until everything that was on the topic when it struck had been read and stored, on all partitions.
pub fn recovery(fault: &Fault, samples: &[Sample]) -> Option<Duration> {
    let after = samples.iter().position(|sample| sample.at >= fault.at)?;
    let wanted = &samples[after].ends;
    let recovered = samples[after..]
        .iter()
        .find(|sample| sample.committed.iter().zip(wanted).all(|(committed, wanted)| committed >= wanted))?;
    Some(recovered.at - fault.at)
}
