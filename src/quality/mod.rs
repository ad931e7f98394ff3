//! Data quality: what the configuration demands of each column, and what the reference lets one expect.
//!
//! Demands (`required`, `type`, `range`, `allowed_values`) hold for every single row. Rates (`missing_rate`,
//! `unseen_rate`, `out_of_range_rate`), a column that has become constant, a feature that is gone and the volume are
//! compared with what was normal, each by a test of its own.

mod excess;
mod rules;
mod volume;

pub use excess::{Share, excess_p_value};
pub use rules::{judge, judge_volume};
pub use volume::{Rate, Volume, volume};

#[cfg(test)]
mod tests;
