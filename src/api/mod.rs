//! HTTP: events in, tables and the first page out.
//!
//! Handlers see the bus and the query engine through [`EventSink`] and [`Sql`], and everything they show through the
//! [`View`], so that no request waits for a topic to be read.

mod adapters;
mod around;
mod author;
mod body;
mod credentials;
mod events;
mod exposition;
mod guard;
mod health;
mod large_body;
mod latest;
mod metrics;
mod mlflow;
mod page;
mod problem;
mod registry;
mod rollouts;
mod router;
#[cfg(test)]
mod samples;
mod server;
mod serving;
mod settings;
mod sql;
mod state;
mod tables;
#[cfg(test)]
mod tests;
mod verdict;
mod view;

pub use problem::Problem;
pub use registry::{Behind, RegistryHandle, SeenDeliveries, SubmitError, follow_registry};
pub use router::router;
pub use server::{ApiError, bind, serve};
pub use serving::ServingPart;
pub use settings::HttpSettings;
pub use state::{ApiParts, ApiState, EventSink, SinkError, Sql, SqlAnswer, SqlFormat, SqlProblem};
pub use view::{TailSource, View, ViewError, ViewHandle, ViewLimits, ViewTopic, follow};
