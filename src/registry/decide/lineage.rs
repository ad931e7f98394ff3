//! What others tell of their runs.

use super::checks;
use crate::registry::event::Event;
use crate::registry::openlineage::{LineageRun, MAX_DATASETS, Told};
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;

const MAX_RUNS: usize = 100_000;

/// Adds up; what is known already changes nothing.
pub(super) fn record(registry: &Registry, told: &Told) -> Result<Vec<Event>, Rejection> {
    let known = registry.lineage_run(&told.run_id);
    if known.is_none() {
        checks::at_most("OpenLineage runs", registry.lineage_runs.len() + 1, MAX_RUNS)?;
    }
    let run = known.cloned().unwrap_or_else(|| LineageRun::of(told)).with(told);
    if (&run.namespace, &run.job) != (&told.namespace, &told.job) {
        let message = format!("run {} is one of job {}/{}, not of another", run.run_id, run.namespace, run.job);
        return Err(Rejection::invalid(message));
    }
    checks::at_most("data sets of one run", run.inputs.len().max(run.outputs.len()), MAX_DATASETS)?;
    if known == Some(&run) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::LineageRecorded { run: Box::new(run) }])
}
