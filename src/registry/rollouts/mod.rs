//! Rollouts in the registry: their state is part of its fold, and a role of its own follows them, compares the versions in
//! the monitor's windows, and asks for the next step, for a pause or for a rollback.
//!
//! The role decides nothing: what it asks for is a command like any other, about the rollout as it saw it. So one that comes
//! too late, or from a process that does not know that it was replaced, is refused, and the log alone says how each rollout went.

mod alert;
mod audit;
mod fold;
mod machine;
mod role;
#[cfg(test)]
mod tests;

pub use audit::RolloutAudit;
pub use fold::Rollouts;
pub use role::{RolloutRole, Windows};
