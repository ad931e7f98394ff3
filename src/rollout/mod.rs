//! Rollouts: who gets the new version, whether it is worse than the old one, and what follows from that.
//!
//! Nothing here knows a clock or a bus: the same rollout, windows and time give the same answer wherever it is asked for.

mod analysis;
mod assignment;
mod compare;
mod evidence;
mod sample_ratio;
#[cfg(test)]
pub(crate) mod samples;
mod transition;

pub use analysis::{Question, Who, analyse};
pub use assignment::{Arm, Assignment, position};
pub use evidence::{Evidence, Side};
pub use sample_ratio::sample_ratio_p_value;
pub use transition::{Transition, next};
