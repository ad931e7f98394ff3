//! Gates: SQL files that a version must pass before it is staged. As in a check, the rows that a gate returns are those
//! that fail it, and none means that it passed:
//!
//! ```sql
//! -- name: accuracy
//! -- severity: critical
//! -- needs: evaluation
//! -- description: At least nine of ten are right.
//! SELECT value FROM evaluation WHERE version = $version AND slice IS NULL AND metric = 'accuracy' AND value < 0.9
//! ```
//!
//! Nothing to look at is no pass: a gate whose tables (`needs`, by default `evaluation`) have no row of the candidate is
//! inconclusive, and so is one whose rows all say so in a column `verdict`. What gates find is a command like any other,
//! so that the report stands in the registry's log, and the decision follows from the report alone.

mod evidence;
mod gate;
mod load;
mod report;
mod runner;
mod settings;
mod signature;
#[cfg(test)]
mod tests;

pub use evidence::{Evidence, SourceFiles, champion_of};
pub use gate::{Gate, GateError, GateErrors, Needs, Problem};
pub use load::load_gates;
pub use report::{Approval, GateReport, GateResult, GateState, GateVerdict};
pub use runner::{GateRunner, GoldenRows};
pub use settings::GateSettings;
pub use signature::{SignatureColumn, signature_of};
