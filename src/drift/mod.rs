//! Distances between distributions and the decision whether they matter.
//!
//! Every statistic compares counts over the same bins: `p` are the reference's shares over `N` rows, `q` the window's
//! over `n`. Bins are the coarse ones (deciles or categories) with missing, invalid and unseen as bins of their own
//! wherever either side has any; Kolmogorov–Smirnov uses the fine ones.

mod decide;
mod divergence;
mod ks;
mod significance;

pub use decide::judge;
pub use divergence::{jensen_shannon, psi};
pub use ks::{KsBounds, ks};
pub use significance::{benjamini_hochberg, chi_square_critical, chi_square_p_value, kolmogorov_p_value};

use crate::profile::{ColumnProfile, ValueAnchors};

/// The share that stands for zero in logarithms.
pub const ZERO_SHARE: f64 = 1e-4;

/// Coarse counts of two sides over the same bins; bins that neither side has are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairedCounts {
    pub reference: Vec<u64>,
    pub current: Vec<u64>,
}

impl PairedCounts {
    #[must_use]
    pub fn new(anchors: &ValueAnchors, reference: &ColumnProfile, current: &ColumnProfile) -> Self {
        let mut pairs = Self::default();
        let (reference_bins, current_bins) = match anchors {
            ValueAnchors::Numeric(numeric) => (numeric.coarse(&reference.bins), numeric.coarse(&current.bins)),
            ValueAnchors::Categorical(_) => (reference.bins.clone(), current.bins.clone()),
        };
        for (reference, current) in reference_bins.into_iter().zip(current_bins) {
            pairs.push(reference, current);
        }
        pairs.push(reference.missing, current.missing);
        pairs.push(reference.invalid, current.invalid);
        pairs.push(reference.unseen, current.unseen);
        pairs
    }

    fn push(&mut self, reference: u64, current: u64) {
        if reference > 0 || current > 0 {
            self.reference.push(reference);
            self.current.push(current);
        }
    }

    #[must_use]
    pub fn bins(&self) -> usize {
        self.reference.len()
    }

    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.reference.iter().sum(), self.current.iter().sum())
    }
}

#[cfg(test)]
mod tests;
