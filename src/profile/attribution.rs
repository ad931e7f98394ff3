//! What features contributed to predictions.

use serde::{Deserialize, Serialize};

use crate::performance::ExactSum;

/// Squares of what is larger could not be summed.
const LARGEST: f64 = 1e140;

/// What is counted of the attributions of one feature.
///
/// The sums are exact ([`ExactSum`]), so merging is associative and commutative to the last bit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttributionSums {
    /// Predictions that carry an attribution of the feature.
    pub count: u64,
    /// Attributions that are not finite, or beyond what can be summed; in none of the sums.
    pub invalid: u64,
    sum: ExactSum,
    absolute: ExactSum,
    squares: ExactSum,
}

impl AttributionSums {
    pub fn add(&mut self, attribution: f64) {
        if attribution.abs() <= LARGEST {
            self.count += 1;
            self.sum.add(attribution);
            self.absolute.add(attribution.abs());
            self.squares.add(attribution * attribution);
        } else {
            // NaN too, which no comparison finds.
            self.invalid += 1;
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.invalid += other.invalid;
        self.sum.merge(&other.sum);
        self.absolute.merge(&other.absolute);
        self.squares.merge(&other.squares);
    }

    /// `Σ|a| / n`, in the unit of the score: how much the feature matters, as SHAP's `mean(|SHAP value|)`. `None`
    /// without attributions.
    #[must_use]
    pub fn mean_absolute(&self) -> Option<f64> {
        (self.count > 0).then(|| self.absolute.value() / self.count as f64)
    }

    /// `Σa / n`: in which direction it pushes the score. `None` without attributions.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum.value() / self.count as f64)
    }

    /// Standard error of [`AttributionSums::mean_absolute`], `√((Σa² − (Σ|a|)²/n) / (n (n − 1)))`. `None` for fewer than
    /// two attributions.
    #[must_use]
    pub fn error(&self) -> Option<f64> {
        let n = self.count as f64;
        let absolute = self.absolute.value();
        let squares = (self.squares.value() - absolute * (absolute / n)).max(0.0);
        (self.count > 1).then(|| (squares / (n * (n - 1.0))).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_number_is_counted_apart() {
        let mut sums = AttributionSums::default();
        assert_eq!((sums.mean_absolute(), sums.mean()), (None, None));
        for value in [1.0, f64::NAN, -3.0, f64::INFINITY, 1e300] {
            sums.add(value);
        }
        assert_eq!((sums.count, sums.invalid), (2, 3));
        assert_eq!((sums.mean_absolute(), sums.mean()), (Some(2.0), Some(-1.0)));
    }

    fn counted(values: &[f64]) -> AttributionSums {
        let mut sums = AttributionSums::default();
        for value in values {
            sums.add(*value);
        }
        sums
    }

    proptest! {
        #[test]
        fn any_split_in_any_order_is_the_whole(
            values in prop::collection::vec(prop_oneof![any::<f64>(), -1.0..1.0_f64], 0..60),
            split in 0..60_usize,
        ) {
            let (left, right) = values.split_at(split.min(values.len()));
            let mut merged = counted(right);
            merged.merge(&counted(left));
            prop_assert_eq!(merged, counted(&values));
        }
    }
}
