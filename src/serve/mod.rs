//! The serving role: versions of registered models answer over HTTP and on the stream, and every answer becomes a
//! prediction event.
//!
//! Which versions are served follows from the registry. Each is loaded, held against its golden rows, and swapped in; a
//! request keeps the version with which it began, so that none is lost. Features become tensors and outputs predictions in
//! pure modules ([`Layout`], [`Reading`]); the protocol is one, too ([`protocol`]).

mod admission;
mod answer_log;
mod audit;
mod catalogue;
mod deployment;
mod fetch;
mod golden;
mod golden_run;
mod layout;
mod loader;
mod machine;
mod metrics;
mod pace;
mod prediction;
pub mod protocol;
mod refusals;
mod role;
mod routing;
mod rows;
mod served;
mod serving;
mod settings;
mod shadow;
mod signature;
#[cfg(test)]
mod tests;

pub use answer_log::{AnswerLog, AnswerPublisher, Answered, Features, answer_log};
pub use audit::ServeAudit;
pub use catalogue::{Catalogue, Entry, NotServed, Table};
pub use deployment::{CHAMPION, Deployment, FEATURES_TAG, Source};
pub use fetch::LoadError;
pub use golden::{Golden, GoldenError};
pub use golden_run::GoldenRun;
pub use layout::{Column, Feature, InputError, Layout, LayoutError, NamedColumn};
pub use loader::{FailedLoad, Loader};
pub use metrics::ServingMetrics;
pub use prediction::{Prediction, Purpose, Reading, ReadingError};
pub use role::ServeRole;
pub use routing::{Chosen, NoArm, Routed, Routing};
pub use served::{AnswerError, Identity, Package, PackageError, Served};
pub use serving::{Ask, Refusal, Reply, Serving};
pub use settings::ServingSettings;
pub use shadow::{ShadowQueue, ShadowWorker, shadow_queue};
pub use signature::{columns, named};
