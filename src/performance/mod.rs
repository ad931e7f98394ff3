//! Metrics of joined outcomes, their intervals, and decay against the reference.

mod auc;
mod counts;
mod decay;
mod metrics;

pub use auc::{AucEstimate, roc_auc};
pub use counts::{BinaryCounts, Judged};
pub use decay::{Maturity, judge};
pub use metrics::{Estimate, estimate, wilson};

#[cfg(test)]
mod tests;
