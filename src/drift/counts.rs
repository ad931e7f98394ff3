//! Coarse counts of two sides.

use crate::profile::{ColumnProfile, ValueAnchors};

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
        let (reference_bins, current_bins) = coarse(anchors, reference, current);
        for (reference, current) in reference_bins.into_iter().zip(current_bins) {
            pairs.push(reference, current);
        }
        pairs.push(reference.missing, current.missing);
        pairs.push(reference.invalid, current.invalid);
        pairs.push(reference.unseen, current.unseen);
        pairs
    }

    pub(super) fn push(&mut self, reference: u64, current: u64) {
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

    /// The shares `(p, q)` of each bin; none when a side has no rows.
    pub(super) fn shares(&self) -> Option<impl Iterator<Item = (f64, f64)>> {
        let (reference, current) = self.totals();
        if reference == 0 || current == 0 {
            return None;
        }
        let (reference, current) = (reference as f64, current as f64);
        let pairs = self.reference.iter().zip(&self.current);
        Some(pairs.map(move |(&p, &q)| (p as f64 / reference, q as f64 / current)))
    }
}

/// Deciles or categories of both sides, empty ones too.
pub(super) fn coarse(
    anchors: &ValueAnchors,
    reference: &ColumnProfile,
    current: &ColumnProfile,
) -> (Vec<u64>, Vec<u64>) {
    match anchors {
        ValueAnchors::Numeric(numeric) => (numeric.coarse(&reference.bins), numeric.coarse(&current.bins)),
        ValueAnchors::Categorical(_) => (reference.bins.clone(), current.bins.clone()),
    }
}
