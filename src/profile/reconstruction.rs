//! Sums of reconstruction errors.

use serde::{Deserialize, Serialize};

use super::Moments;
use crate::performance::ExactSum;

/// The reconstruction errors of some rows under a [`super::Projection`], summed exactly: the same whatever the order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reconstruction {
    pub count: u64,
    pub sum: ExactSum,
    pub sum_of_squares: ExactSum,
}

impl Reconstruction {
    /// `error` is finite and not beyond 1e120.
    pub(super) fn add(&mut self, error: f64) {
        self.count += 1;
        self.sum.add(error);
        self.sum_of_squares.add(error * error);
    }

    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.sum_of_squares.merge(&other.sum_of_squares);
    }

    /// `Σe / n`; `None` without rows.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum.value() / self.count as f64)
    }

    /// Sample standard deviation, `√((Σe² − (Σe)²/n) / (n − 1))`; `None` for fewer than two rows.
    #[must_use]
    pub fn std(&self) -> Option<f64> {
        let Moments { count, sum, sum_of_squares, .. } = self.moments();
        let squares = (sum_of_squares - sum * sum / count as f64).max(0.0);
        (count > 1).then(|| (squares / (count - 1) as f64).sqrt())
    }

    /// The sums, rounded, for tests on moments; the extremes are not known.
    #[must_use]
    pub fn moments(&self) -> Moments {
        let (sum, sum_of_squares) = (self.sum.value(), self.sum_of_squares.value());
        Moments { count: self.count, sum, sum_of_squares, min: None, max: None }
    }
}
