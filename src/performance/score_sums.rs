//! Log loss and Brier score of predicted probabilities.

use serde::{Deserialize, Serialize};

use super::exact_sum::ExactSum;
use super::interval::{Domain, mean};
use super::metrics::Estimate;

/// Exact sums of both losses and of their squares over joined predictions with a probability.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreSums {
    pub n: u64,
    pub log_loss: ExactSum,
    pub log_loss_squared: ExactSum,
    pub brier: ExactSum,
    pub brier_squared: ExactSum,
    /// Predictions with scores that are no probabilities (not from 0 to 1), or none for the actual class. They are in
    /// no sum; scikit-learn refuses the lot.
    pub invalid: u64,
}

/// Both losses of one prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreLoss {
    pub log_loss: f64,
    pub brier: f64,
}

impl ScoreLoss {
    /// Of a binary model: `−ln p` of what happened and `(p − y)²`; `None` where `p` is no probability.
    #[must_use]
    pub fn binary(probability: f64, actual: bool) -> Option<Self> {
        if !(0.0..=1.0).contains(&probability) {
            return None;
        }
        // The log loss of scikit-learn clips both columns, p and 1 − p, before the logarithm.
        let of_actual = if actual { probability } else { 1.0 - probability };
        let missed = if actual { 1.0 - probability } else { probability };
        Some(Self { log_loss: negative_log(of_actual), brier: missed * missed })
    }

    /// Of a multiclass model with the probability of every class: `−ln p` of the actual class and `Σ(δ − p)²`, the
    /// latter from 0 to 2 (not halved, as scikit-learn from three classes on). `None` where one of them is no
    /// probability, or where the actual class has none.
    #[must_use]
    pub fn multiclass(probabilities: &[f64], actual: usize) -> Option<Self> {
        if probabilities.iter().any(|probability| !(0.0..=1.0).contains(probability)) {
            return None;
        }
        let of_actual = *probabilities.get(actual)?;
        let others: f64 = probabilities
            .iter()
            .enumerate()
            .filter(|(class, _)| *class != actual)
            .map(|(_, probability)| probability * probability)
            .sum();
        Some(Self { log_loss: negative_log(of_actual), brier: (1.0 - of_actual).powi(2) + others })
    }
}

impl ScoreSums {
    /// `None` counts as invalid.
    pub fn add(&mut self, loss: Option<ScoreLoss>) {
        self.change(loss, |count| *count += 1, ExactSum::add);
    }

    /// Takes back what [`ScoreSums::add`] counted, when an outcome is corrected.
    pub fn remove(&mut self, loss: Option<ScoreLoss>) {
        self.change(loss, |count| *count = count.saturating_sub(1), ExactSum::subtract);
    }

    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.invalid += other.invalid;
        self.log_loss.merge(&other.log_loss);
        self.log_loss_squared.merge(&other.log_loss_squared);
        self.brier.merge(&other.brier);
        self.brier_squared.merge(&other.brier_squared);
    }

    /// Mean of `−ln p`, in nats, `p` clipped to float64's epsilon and 1 less it; as `sklearn.metrics.log_loss`. Error
    /// and interval by the normal approximation; `None` for fewer than two probabilities.
    #[must_use]
    pub fn log_loss(&self) -> Option<Estimate> {
        mean(self.log_loss.value(), self.log_loss_squared.value(), self.n, Domain::LOSS)
    }

    /// Mean squared error of the probabilities; as `sklearn.metrics.brier_score_loss`. Error and interval by the normal
    /// approximation; `None` for fewer than two probabilities.
    #[must_use]
    pub fn brier(&self) -> Option<Estimate> {
        mean(self.brier.value(), self.brier_squared.value(), self.n, Domain::LOSS)
    }

    fn change(
        &mut self,
        loss: Option<ScoreLoss>,
        change_count: impl Fn(&mut u64),
        change_sum: impl Fn(&mut ExactSum, f64),
    ) {
        let Some(ScoreLoss { log_loss, brier }) = loss else {
            return change_count(&mut self.invalid);
        };
        change_count(&mut self.n);
        change_sum(&mut self.log_loss, log_loss);
        change_sum(&mut self.log_loss_squared, log_loss * log_loss);
        change_sum(&mut self.brier, brier);
        change_sum(&mut self.brier_squared, brier * brier);
    }
}

fn negative_log(probability: f64) -> f64 {
    -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}
