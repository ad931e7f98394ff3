//! Metrics of joined outcomes, their intervals, and decay against the reference; performance estimated without outcomes;
//! fairness between groups.
//!
//! Everything is computed from counts and exact sums that merge by addition, in any order.

mod auc;
mod average_precision;
mod binary_scores;
mod calibration;
mod calibration_benefit;
mod cbpe;
mod class_probabilities;
mod confusion;
mod counts;
mod decay;
mod dle;
mod estimator;
mod estimator_fit;
mod exact_sum;
mod fairness;
mod fairness_verdict;
mod interval;
mod macro_average;
mod metrics;
mod multiclass;
mod multiclass_cbpe;
mod multiclass_metrics;
mod outcomes;
mod ranking;
mod regression;
mod score_bins;
mod score_sums;

pub use auc::{AucEstimate, roc_auc};
pub use average_precision::{AveragePrecision, average_precision};
pub use binary_scores::{BinaryScores, average_precision_estimate, specificity};
pub use calibration::{Block, Calibrated, Calibration, CalibrationReason, IsotonicRegression, WeightedPoint};
pub use calibration_benefit::CalibrationBenefit;
pub use cbpe::{BinProbabilities, EstimatedPerformance, PredictedScores, estimate_without_labels};
pub use class_probabilities::complete_probabilities;
pub use confusion::{CalibrationBin, ConfusionCell, calibration_curve, confusion_matrix};
pub use counts::{BinaryCounts, Judged};
pub use decay::{Maturity, Measured, judge};
pub use dle::{DirectLossEstimator, EstimatedLoss, LossByPrediction};
pub use estimator::{Estimator, Unlabelled};
pub use estimator_fit::{EstimatorBins, EstimatorFit};
pub use exact_sum::ExactSum;
pub use fairness::{Disparity, Fairness, GroupCounts, GroupRates, Rate, Undefined, WorstGroup, fairness};
pub use fairness_verdict::judge_fairness;
pub use metrics::{Estimate, estimate, wilson};
pub use multiclass::{ClassOutcome, Classes, MulticlassCounts, score_bin};
pub use multiclass_cbpe::{EstimatedMulticlassPerformance, ExpectedOutcomes, MulticlassCalibration};
pub use multiclass_metrics::ClassPerformance;
pub use outcomes::{BinaryOutcomes, Joined, OutcomeAnchors, OutcomeCounts};
pub use regression::{NumericOutcome, OutcomeScale, RegressionCounts};
pub use score_bins::{
    CALIBRATION_BINS, CalibrationError, CalibrationPoint, ScoreBin, ScoreBins, calibration_bin, representative_scores,
    score_bins,
};
pub use score_sums::{ScoreLoss, ScoreSums};

#[cfg(test)]
mod tests;
