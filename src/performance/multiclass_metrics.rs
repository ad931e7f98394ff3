//! Metrics of a multiclass model with their 95 % confidence intervals.

use super::auc::roc_auc;
use super::average_precision::average_precision;
use super::binary_scores::specificity;
use super::interval::{Domain, least_error, normal, proportion, widened};
use super::macro_average::{Cell, ClassMetric, Confusion};
use super::metrics::{Estimate, estimate};
use super::multiclass::{Classes, MulticlassCounts};
use crate::model::Metric;

/// One class against the others. Each is `None` where its denominator is zero, while the macro averages count it as 0.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassPerformance {
    pub class: String,
    /// Actual cases.
    pub support: u64,
    pub precision: Option<Estimate>,
    pub recall: Option<Estimate>,
    pub f1: Option<Estimate>,
    pub specificity: Option<Estimate>,
    pub roc_auc: Option<Estimate>,
}

impl MulticlassCounts {
    /// Share of labels that are right, with Wilson's interval; as `sklearn.metrics.accuracy_score`. Exact also for
    /// classes that are counted together.
    #[must_use]
    pub fn accuracy(&self) -> Option<Estimate> {
        proportion(self.correct, self.labelled())
    }

    /// Mean over the classes that occur, an undefined one counting as 0; as `sklearn.metrics.precision_score` with
    /// `average="macro", zero_division=0`.
    ///
    /// The errors of this and the other macro averages are by the delta method over the confusion matrix (Takahashi et
    /// al. 2022), with the normal approximation. Classes counted as "other" are no part of the mean, but their cases
    /// are wrong predictions of the named ones.
    #[must_use]
    pub fn macro_precision(&self, classes: &Classes) -> Option<Estimate> {
        self.macro_average(classes, ClassMetric::Precision)
    }

    /// As `sklearn.metrics.recall_score(average="macro", zero_division=0)`.
    #[must_use]
    pub fn macro_recall(&self, classes: &Classes) -> Option<Estimate> {
        self.macro_average(classes, ClassMetric::Recall)
    }

    /// As `sklearn.metrics.f1_score(average="macro", zero_division=0)`.
    #[must_use]
    pub fn macro_f1(&self, classes: &Classes) -> Option<Estimate> {
        self.macro_average(classes, ClassMetric::F1)
    }

    /// Mean of `TN / (TN + FP)` of every class against the others, as NannyML's; it takes all classes of the model,
    /// this one those that occur.
    #[must_use]
    pub fn macro_specificity(&self, classes: &Classes) -> Option<Estimate> {
        self.macro_average(classes, ClassMetric::Specificity)
    }

    /// Mean area under the ROC curve of every class against the others; within its certain bounds lies
    /// `sklearn.metrics.roc_auc_score(multi_class="ovr", average="macro")` of the exact probabilities.
    ///
    /// Over the classes that occur among the outcomes, if not alone (scikit-learn has no value if one is absent). The
    /// areas share their rows, so the mean of their errors is an upper bound of the error of their mean.
    #[must_use]
    pub fn macro_roc_auc(&self, classes: &Classes) -> Option<Estimate> {
        let (mut value, mut lower, mut upper, mut error, mut areas, mut n) = (0.0, 0.0, 0.0, 0.0, 0.0, 0);
        for class in 0..classes.names().len() {
            let (of_class, of_others) = self.class_scores(class);
            let Some(area) = roc_auc(of_class, of_others) else { continue };
            value += area.value;
            lower += area.lower;
            upper += area.upper;
            error += area.standard_error;
            areas += 1.0;
            n = of_class.iter().chain(of_others).copied().fold(0, u64::saturating_add);
        }
        if areas == 0.0 {
            return None;
        }
        let error = (error / areas).max(least_error(n));
        widened((value / areas, lower / areas, upper / areas), error, n, Domain::SHARE)
    }

    /// Mean average precision of every class against the others, over the classes that occur among the outcomes; within
    /// its certain bounds lies `sklearn.metrics.average_precision_score(average="macro")` of the exact probabilities.
    ///
    /// As with [`MulticlassCounts::macro_roc_auc`], the mean of the errors is an upper bound of the error of the mean.
    #[must_use]
    pub fn macro_average_precision(&self, classes: &Classes) -> Option<Estimate> {
        let areas: Vec<_> = (0..classes.names().len())
            .filter_map(|class| {
                let (of_class, of_others) = self.class_scores(class);
                average_precision(of_class, of_others)
            })
            .collect();
        let n = areas.first()?.n;
        let count = areas.len() as f64;
        let (mut value, mut lower, mut upper, mut error) = (0.0, 0.0, 0.0, 0.0);
        for area in &areas {
            value += area.value / count;
            lower += area.lower / count;
            upper += area.upper / count;
            error += area.standard_error / count;
        }
        // Rounding may carry the bounds past the value.
        let bounds = (value, f64::min(lower, value), f64::max(upper, value));
        widened(bounds, error.max(least_error(n)), n, Domain::SHARE)
    }

    /// Mean over the classes of the expected calibration error of each against the others (classwise; Kull et al. 2019),
    /// over ten bins of equal width; see `ScoreBins::expected_calibration_error`. The error is the mean of the errors and
    /// of what chance makes of them, an upper bound. `None` without probabilities.
    #[must_use]
    pub fn calibration_error(&self) -> Option<Estimate> {
        let errors: Vec<_> =
            self.scores().filter_map(|scores| scores.expected_calibration_error()?.with_chance()).collect();
        let n = errors.first()?.n;
        let mean = |of: fn(&Estimate) -> f64| errors.iter().map(of).sum::<f64>() / errors.len() as f64;
        normal(mean(|error| error.value), mean(|error| error.standard_error), n, Domain::LOSS)
    }

    /// `Σ −ln p / n` of the actual classes' probabilities; see `ScoreSums::log_loss`.
    #[must_use]
    pub fn log_loss(&self) -> Option<Estimate> {
        self.losses.log_loss()
    }

    /// `Σ Σ_k (δ_k − p_k)² / n`, from 0 to 2; see `ScoreSums::brier`.
    #[must_use]
    pub fn brier(&self) -> Option<Estimate> {
        self.losses.brier()
    }

    /// Every named class against the others, in alphabetical order.
    #[must_use]
    pub fn by_class(&self, classes: &Classes) -> Vec<ClassPerformance> {
        let performance = |(class, name): (usize, &String)| {
            let counts = self.of_class(class);
            ClassPerformance {
                class: name.clone(),
                support: counts.true_positive + counts.false_negative,
                precision: estimate(Metric::Precision, &counts),
                recall: estimate(Metric::Recall, &counts),
                f1: estimate(Metric::F1, &counts),
                specificity: specificity(&counts),
                roc_auc: estimate(Metric::RocAuc, &counts),
            }
        };
        classes.names().iter().enumerate().map(performance).collect()
    }

    fn macro_average(&self, classes: &Classes, metric: ClassMetric) -> Option<Estimate> {
        let cells = self.confusion.iter().map(|(&(predicted, actual), &count)| Cell {
            predicted: predicted as usize,
            actual: actual as usize,
            weight: count as f64,
        });
        let confusion = Confusion::new(classes.names().len(), cells);
        let average = confusion.average(metric)?;
        let variance: f64 =
            confusion.cells.iter().map(|cell| cell.weight * average.slope(cell.predicted, cell.actual).powi(2)).sum();
        let n = self.labelled();
        normal(average.value, variance.sqrt().max(least_error(n)), n, Domain::SHARE)
    }
}
