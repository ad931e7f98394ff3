//! Sums of floats that do not depend on the order of adding, and from which values can be taken back.

use serde::{Deserialize, Serialize};

/// The exact sum of any number of floats, rounded only when it is read.
///
/// Kept as a few floats that do not overlap and add up to the sum without error, after Shewchuk, "Adaptive Precision
/// Floating-Point Arithmetic" (1997), as Python's `math.fsum`. So merging is associative and commutative to the last
/// bit, and taking back a value leaves what was there before, also when a mistyped outcome was 1e15 times too large.
/// Plain sums and Welford's recurrence keep neither promise.
///
/// Domain: `|value| ≤` [`ExactSum::LIMIT`]; what is larger or not finite is not added, so callers check it first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExactSum {
    /// In ascending order of magnitude, without zeros.
    parts: Vec<f64>,
}

impl ExactSum {
    /// Even 2⁶⁴ values of this size have a sum that a float can hold.
    pub const LIMIT: f64 = 1e280;

    pub fn add(&mut self, value: f64) {
        if value.abs() <= Self::LIMIT {
            self.add_part(value);
        }
    }

    /// Takes back a value that [`ExactSum::add`] has added.
    pub fn subtract(&mut self, value: f64) {
        self.add(-value);
    }

    pub fn merge(&mut self, other: &Self) {
        for part in &other.parts {
            self.add_part(*part);
        }
    }

    /// The sum, correctly rounded (to nearest, ties to even); 0 for nothing.
    #[must_use]
    pub fn value(&self) -> f64 {
        let mut smaller = self.parts.iter().rev().copied();
        let Some(mut sum) = smaller.next() else { return 0.0 };
        while let Some(part) = smaller.next() {
            let (rounded, error) = two_sum(sum, part);
            sum = rounded;
            if error == 0.0 {
                continue;
            }
            // Half a unit was rounded to even, though what is left may say which side is nearer.
            let is_beyond_half = smaller.next().is_some_and(|next| (next < 0.0) == (error < 0.0));
            let away = sum + 2.0 * error;
            let is_neighbour = (away - sum).to_bits() == (2.0 * error).to_bits();
            return if is_beyond_half && is_neighbour { away } else { sum };
        }
        sum
    }

    fn add_part(&mut self, value: f64) {
        let mut carried = value;
        let mut kept = 0;
        for index in 0..self.parts.len() {
            let (sum, error) = two_sum(carried, self.parts[index]);
            if error != 0.0 {
                self.parts[kept] = error;
                kept += 1;
            }
            carried = sum;
        }
        self.parts.truncate(kept);
        if carried != 0.0 {
            self.parts.push(carried);
        }
    }
}

impl PartialEq for ExactSum {
    /// Whether the exact sums are equal: the same sum may be kept in different parts.
    fn eq(&self, other: &Self) -> bool {
        let mut difference = self.clone();
        for part in &other.parts {
            difference.add_part(-part);
        }
        difference.parts.is_empty()
    }
}

impl Extend<f64> for ExactSum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        for value in values {
            self.add(value);
        }
    }
}

/// The rounded sum and what rounding lost (Knuth): together exactly `a + b`.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_in_sum = sum - a;
    let a_in_sum = sum - b_in_sum;
    (sum, (a - a_in_sum) + (b - b_in_sum))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        sum.extend(values.iter().copied());
        sum
    }

    #[track_caller]
    fn assert_value(values: &[f64], wanted: f64) {
        assert_eq!(sum(values).value().to_bits(), wanted.to_bits(), "{values:?}");
    }

    #[test]
    fn nothing_is_lost_between_numbers_of_different_size() {
        assert_value(&[1e100, 1.0, -1e100], 1.0);
        assert_value(&[0.1; 10], 1.0);
        assert_value(&[1e16, 1.0, 1e-16], 1e16 + 2.0);
        assert_value(&[-1e16, -1.0, -1e-16], -1e16 - 2.0);
        assert_value(&[1e16, 1.0, -1e-16], 1e16);
    }

    #[test]
    fn values_that_cannot_be_summed_are_not_added() {
        assert_eq!(sum(&[f64::NAN, f64::INFINITY, f64::MIN, 2.0]), sum(&[2.0]));
    }

    fn finite() -> impl Strategy<Value = f64> {
        any::<f64>().prop_filter("within the limit", |value| value.abs() <= ExactSum::LIMIT)
    }

    proptest! {
        #[test]
        fn any_split_in_any_order_has_the_same_sum(
            values in prop::collection::vec((finite(), any::<bool>()), 0..60),
        ) {
            let at_once = sum(&values.iter().map(|(value, _)| *value).collect::<Vec<_>>());
            let side = |which: bool| {
                let of_side = values.iter().rev().filter(|(_, side)| *side == which);
                sum(&of_side.map(|(value, _)| *value).collect::<Vec<_>>())
            };
            let (mut one, other) = (side(true), side(false));
            one.merge(&other);
            prop_assert_eq!(&one, &at_once);
            prop_assert_eq!(one.value().to_bits(), at_once.value().to_bits());
        }

        #[test]
        fn what_is_taken_back_leaves_no_trace(
            kept in prop::collection::vec(finite(), 0..30),
            taken in prop::collection::vec(finite(), 0..30),
        ) {
            let mut total = sum(&kept);
            total.extend(taken.iter().copied());
            for value in &taken {
                total.subtract(*value);
            }
            prop_assert_eq!(total.value().to_bits(), sum(&kept).value().to_bits());
        }

        #[test]
        fn whole_numbers_are_summed_as_integers(values in prop::collection::vec(-1_i64 << 52..1_i64 << 52, 0..50)) {
            let floats: Vec<f64> = values.iter().map(|value| *value as f64).collect();
            let wanted: i128 = values.iter().map(|value| i128::from(*value)).sum();
            prop_assert_eq!(sum(&floats).value().to_bits(), (wanted as f64).to_bits());
        }
    }
}
