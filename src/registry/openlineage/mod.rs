//! OpenLineage: what the registry's runs read and made is told to others, and what others tell of theirs is kept.
//!
//! Out: the role follows the registry's log with a cursor of its own and publishes run events on `plimsoll.openlineage`
//! and, if there is an endpoint, over HTTP; both are in its state until they are acknowledged. In: events come over HTTP or
//! from the configured topics, and become commands of the registry. Events add up: each tells what is new about its run.

mod audit;
mod emit;
mod event;
mod incoming;
mod outgoing;
mod role;
mod run;
mod settings;
#[cfg(test)]
mod tests;

pub use audit::OpenLineageAudit;
pub use emit::{Emitter, dataset_of_version, run_uuid};
pub use event::{Dataset, EventError, EventType, Job, PRODUCER, RunEvent, RunReference};
pub use role::OpenLineageRole;
pub(in crate::registry) use run::MAX_DATASETS;
pub use run::{LineageDataset, LineageRun, RUN_TAG, Told, Upstream, upstream_of};
pub use settings::{Endpoint, OpenLineageSettings};
