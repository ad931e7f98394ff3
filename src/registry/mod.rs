//! The registry role: experiments, runs, registered models and their versions, as a pure fold of events.
//!
//! A command is checked against the present state and becomes events, or a rejection; both stand in the log on
//! `plimsoll.registry`, with who asked for it, when and why. Commands come over a topic of one partition, so that of two
//! that exclude each other the first one wins. Everything depends on the commands alone, not on the clock of whoever
//! decides: state that was lost is folded anew from them, to the same log.

mod audit;
mod command;
mod decide;
mod entity;
mod event;
pub mod gates;
mod lineage;
mod machine;
pub mod openlineage;
mod recent;
mod record;
mod rejection;
mod role;
pub mod rollouts;
mod rows;
#[cfg(test)]
mod samples;
pub mod search;
mod state;
#[cfg(test)]
mod tests;
pub mod webhooks;

pub use audit::RegistryAudit;
pub use command::{Change, Command, MAX_COMMAND};
pub use decide::decide;
pub use entity::{
    CHAMPION, DatasetInput, Evaluated, Experiment, LoggedModel, LoggedModelStatus, Metric, ModelOutput, ModelVersion,
    RegisteredModel, Run, RunStatus, Stage, Subject, Texts,
};
pub use event::{Event, RolloutChange};
pub use lineage::{CODE_TAG, Code, DVC_TAG, DataVersion, Lineage, Measured, OFFSETS_TAG, REQUEST_TAG};
pub use record::{Decision, Outcome};
pub use rejection::{Rejection, RejectionKind};
pub use role::RegistryRole;
pub use state::{Counters, DEFAULT_EXPERIMENT, Entity, Registry};
