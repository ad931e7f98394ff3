//! What counts as drift and as decay, and when retraining is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ReconstructionPolicy, Task};
use crate::clock::Span;

/// How a window's distributions are judged against the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftPolicy {
    /// Methods that decide; the others are reported beside them.
    pub decide: Vec<Method>,
    /// Practical floor of each method's effect ([`Method::effect`]): smaller effects are never drift.
    pub floors: BTreeMap<Method, f64>,
    /// False discovery rate over the features of a window, at most; see [`super::Model::false_alarms_per_year`].
    pub alpha: f64,
    /// Windows with fewer predictions are `insufficient`.
    pub min_samples: u64,
    /// Consecutive drifted windows before the alert fires.
    pub windows: u32,
    /// What is asked of all features together.
    pub reconstruction: ReconstructionPolicy,
    /// Rankings of the features that agree with the reference's at least as well are never attribution drift.
    pub attribution_ndcg: f64,
}

/// How a window's performance is judged against the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct PerformancePolicy {
    /// How much worse than the reference each watched metric may become: lower, or higher for a loss.
    pub tolerances: BTreeMap<Metric, Tolerance>,
    /// One-sided significance level of the drop in one window, at most.
    pub alpha: f64,
    pub min_samples: u64,
    /// Windows with a smaller share of labelled predictions are `insufficient`.
    pub min_coverage: f64,
    /// Consecutive decayed windows before the alert fires.
    pub windows: u32,
}

/// When decay leads to a retraining request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrainingPolicy {
    pub enabled: bool,
    /// Consecutive decayed windows before retraining is asked for.
    pub windows: u32,
    /// A model is asked to retrain at most once per version, and not again within this time of the last request.
    pub cooldown: Span,
}

/// A drift statistic, named as in the `drift` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Psi,
    Ks,
    JensenShannon,
    Kl,
    Hellinger,
    TotalVariation,
    Wasserstein,
    ChiSquare,
    GTest,
    CramerVonMises,
    AndersonDarling,
    Linf,
    MeanShift,
    ProportionZ,
}

/// How much worse a metric may become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// In the unit of the metric.
    Absolute(f64),
    /// As a share of the reference's value.
    Relative(f64),
}

/// A performance metric, named as in the `performance` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    Accuracy,
    Precision,
    Recall,
    Specificity,
    F1,
    RocAuc,
    AveragePrecision,
    LogLoss,
    Brier,
    CalibrationError,
    Mae,
    Mse,
    Rmse,
    Mape,
    R2,
    Bias,
}

impl Method {
    pub const ALL: [Self; 14] = [
        Self::Psi,
        Self::Ks,
        Self::JensenShannon,
        Self::Kl,
        Self::Hellinger,
        Self::TotalVariation,
        Self::Wasserstein,
        Self::ChiSquare,
        Self::GTest,
        Self::CramerVonMises,
        Self::AndersonDarling,
        Self::Linf,
        Self::MeanShift,
        Self::ProportionZ,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Psi => "psi",
            Self::Ks => "ks",
            Self::JensenShannon => "jensen_shannon",
            Self::Kl => "kl",
            Self::Hellinger => "hellinger",
            Self::TotalVariation => "total_variation",
            Self::Wasserstein => "wasserstein",
            Self::ChiSquare => "chi_square",
            Self::GTest => "g_test",
            Self::CramerVonMises => "cramer_von_mises",
            Self::AndersonDarling => "anderson_darling",
            Self::Linf => "linf",
            Self::MeanShift => "mean_shift",
            Self::ProportionZ => "proportion_z",
        }
    }

    /// The effect that the method's floor is about. It does not grow with the sample: where the statistic itself does,
    /// it is the statistic freed of the sample sizes.
    #[must_use]
    pub const fn effect(self) -> &'static str {
        match self {
            Self::ChiSquare | Self::GTest => "Cohen's w",
            Self::CramerVonMises => "root mean square gap between the distribution functions",
            Self::AndersonDarling => "weighted root mean square gap between the distribution functions",
            Self::MeanShift => "difference of the means in standard deviations of the reference",
            Self::ProportionZ => "difference of the proportions",
            _ => "statistic",
        }
    }

    /// The floor of the effect when the configuration names none.
    ///
    /// 0.1 is the usual "moderate shift" of the distances (Siddiqi 2006 for PSI, Evidently and Azure for the others).
    /// 0.3 is Cohen's (1988) medium w, whose square is about PSI; 0.2 his small difference of means. The weighted gap
    /// is about twice the unweighted one.
    #[must_use]
    pub const fn default_floor(self) -> f64 {
        match self {
            Self::ChiSquare | Self::GTest => 0.3,
            Self::AndersonDarling | Self::MeanShift => 0.2,
            _ => 0.1,
        }
    }

    /// The value that the effect never exceeds; none for those without bound.
    #[must_use]
    pub const fn largest_effect(self) -> Option<f64> {
        match self {
            Self::Ks
            | Self::JensenShannon
            | Self::Hellinger
            | Self::TotalVariation
            | Self::CramerVonMises
            | Self::Linf
            | Self::ProportionZ => Some(1.0),
            Self::Psi
            | Self::Kl
            | Self::Wasserstein
            | Self::ChiSquare
            | Self::GTest
            | Self::AndersonDarling
            | Self::MeanShift => None,
        }
    }
}

impl Metric {
    pub const ALL: [Self; 16] = [
        Self::Accuracy,
        Self::Precision,
        Self::Recall,
        Self::Specificity,
        Self::F1,
        Self::RocAuc,
        Self::AveragePrecision,
        Self::LogLoss,
        Self::Brier,
        Self::CalibrationError,
        Self::Mae,
        Self::Mse,
        Self::Rmse,
        Self::Mape,
        Self::R2,
        Self::Bias,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::Specificity => "specificity",
            Self::F1 => "f1",
            Self::RocAuc => "roc_auc",
            Self::AveragePrecision => "average_precision",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::CalibrationError => "calibration_error",
            Self::Mae => "mae",
            Self::Mse => "mse",
            Self::Rmse => "rmse",
            Self::Mape => "mape",
            Self::R2 => "r2",
            Self::Bias => "bias",
        }
    }

    /// The metrics of a task.
    pub fn of(task: Task) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |metric| match task {
            Task::Binary | Task::Multiclass => !metric.is_of_values(),
            Task::Regression => metric.is_of_values(),
        })
    }

    const fn is_of_values(self) -> bool {
        matches!(self, Self::Mae | Self::Mse | Self::Rmse | Self::Mape | Self::R2 | Self::Bias)
    }

    /// Whether larger values are worse.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        matches!(
            self,
            Self::LogLoss | Self::Brier | Self::CalibrationError | Self::Mae | Self::Mse | Self::Rmse | Self::Mape
        )
    }

    /// By how much `current` is worse than `reference`; negative when it is better. A bias is worse the further it is
    /// from zero.
    #[must_use]
    pub fn worsening(self, reference: f64, current: f64) -> f64 {
        match self {
            Self::Bias => current.abs() - reference.abs(),
            _ if self.is_loss() => current - reference,
            _ => reference - current,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|method| method.name() == text).ok_or(())
    }
}

impl FromStr for Metric {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|metric| metric.name() == text).ok_or(())
    }
}

impl DriftPolicy {
    #[must_use]
    pub fn floor(&self, method: Method) -> f64 {
        self.floors.get(&method).copied().unwrap_or(method.default_floor())
    }
}

impl Default for DriftPolicy {
    fn default() -> Self {
        Self {
            decide: vec![Method::Psi],
            floors: BTreeMap::new(),
            alpha: 0.01,
            min_samples: 100,
            windows: 1,
            reconstruction: ReconstructionPolicy::default(),
            // As Amazon's Clarify.
            attribution_ndcg: 0.9,
        }
    }
}

impl PerformancePolicy {
    /// What is watched when the configuration names nothing: two of a hundred predictions more that are wrong, or errors
    /// that are a tenth larger.
    #[must_use]
    pub fn of(task: Task) -> Self {
        let (metric, tolerance) = match task {
            Task::Binary | Task::Multiclass => (Metric::Accuracy, Tolerance::Absolute(0.02)),
            Task::Regression => (Metric::Mae, Tolerance::Relative(0.1)),
        };
        Self { tolerances: BTreeMap::from([(metric, tolerance)]), ..Self::default() }
    }

    /// How much worse than `reference` the metric may become; none when it is not watched.
    #[must_use]
    pub fn tolerated(&self, metric: Metric, reference: f64) -> Option<f64> {
        match self.tolerances.get(&metric)? {
            Tolerance::Absolute(tolerated) => Some(*tolerated),
            Tolerance::Relative(share) => Some(share * reference.abs()),
        }
    }
}

impl Default for PerformancePolicy {
    fn default() -> Self {
        Self {
            tolerances: BTreeMap::from([(Metric::Accuracy, Tolerance::Absolute(0.02))]),
            alpha: 0.001,
            min_samples: 100,
            min_coverage: 0.8,
            windows: 2,
        }
    }
}

impl Default for RetrainingPolicy {
    fn default() -> Self {
        Self { enabled: true, windows: 2, cooldown: Span::from_days(30) }
    }
}
