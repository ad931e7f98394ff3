//! Probabilities of classes as events carry them: by name, and not always all.

/// Sums of probabilities in 32-bit floats are this near to 1.
const ROUNDING: f64 = 1e-3;

/// The probability of every class, in the order of `given`; empty where there are none at all.
///
/// Producers leave out classes of no probability: where those that are given sum to 1, the others are 0. Where they do
/// not, as with the first few of many, the others are NaN, so that the losses count the prediction as invalid instead of
/// taking what is not known for impossible.
#[must_use]
pub fn complete_probabilities(given: impl IntoIterator<Item = Option<f64>>) -> Vec<f64> {
    let given: Vec<Option<f64>> = given.into_iter().collect();
    if given.iter().all(Option::is_none) {
        return Vec::new();
    }
    let sum: f64 = given.iter().flatten().sum();
    let absent = if (sum - 1.0).abs() <= ROUNDING { 0.0 } else { f64::NAN };
    given.into_iter().map(|probability| probability.unwrap_or(absent)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_are_left_out_are_impossible_only_when_the_others_are_certain() {
        assert_eq!(complete_probabilities([None, None]), Vec::<f64>::new());
        assert_eq!(complete_probabilities([Some(0.4), None, Some(0.6)]), [0.4, 0.0, 0.6]);
        assert_eq!(complete_probabilities([Some(0.2), Some(0.2)]), [0.2, 0.2], "nothing is left out");
        assert!(complete_probabilities([Some(0.4), None, Some(0.3)])[1].is_nan());
        assert!(complete_probabilities([Some(f64::NAN), None])[1].is_nan());
    }
}
