//! Distances between distributions and the decision whether they matter.
//!
//! Every statistic compares counts over the same bins: `p` are the reference's shares over `N` rows, `q` the window's
//! over `n`. Distances and contingency tests use the coarse bins (deciles or categories) with missing, invalid and
//! unseen as bins of their own wherever either side has any; statistics of the distribution functions (KS, Wasserstein,
//! Cramér–von Mises, Anderson–Darling) use the fine ones, where what the order within a bin could change is an
//! interval; the shift of the mean uses the moments.
//!
//! A statistic that the counts do not define is an [`Undefined`] with its reason. None panics or is NaN on any counts.

mod anderson_darling;
mod attribution;
mod attribution_verdict;
mod cells;
mod contingency;
mod contribution;
mod counts;
mod cramer_von_mises;
mod decide;
mod divergence;
mod envelope;
mod homogeneity;
mod ks;
mod mean_shift;
mod measure;
mod preset;
mod proportion;
mod quadratic;
mod reconstruction;
mod significance;
mod undefined;
mod wasserstein;

pub use anderson_darling::{anderson_darling, anderson_darling_p_value, standardise};
pub use attribution::{RankingAgreement, Unranked, best_agreement, ranking_agreement};
pub use attribution_verdict::judge_attributions;
pub use cells::{Cell, OrderedCells};
pub use contingency::{chi_square, g_test, goodness_of_fit_p_value};
pub use contribution::{Bin, Contribution, SegmentContribution, contributions, joint_contributions};
pub use counts::PairedCounts;
pub use cramer_von_mises::{cramer_von_mises, cramer_von_mises_p_value};
pub use decide::judge;
pub use divergence::{hellinger, jensen_shannon, kl, linf, psi, total_variation};
pub use homogeneity::homogeneity_p_value;
pub use ks::{KsBounds, ks};
pub use mean_shift::{MeanShift, mean_shift};
pub use preset::{Choice, ColumnFacts, Compared, FEW_VALUES, Preset, Side, Threshold};
pub use proportion::{ProportionZ, proportion_z};
pub use quadratic::QuadraticLaw;
pub use reconstruction::judge_reconstruction;
pub use significance::{
    benjamini_hochberg, chi_square_critical, chi_square_p_value, kolmogorov_p_value, normal_critical, normal_p_value,
    student_critical, student_p_value,
};
pub use undefined::Undefined;
pub use wasserstein::{Wasserstein, wasserstein};

use crate::event::MultivariateRow;
use crate::model::DriftPolicy;
use crate::profile::{Anchors, Profile};

/// The share that stands for zero in logarithms.
pub const ZERO_SHARE: f64 = 1e-4;

/// A statistic of the raw values as far as the histogram knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The best guess, within the bounds.
    pub statistic: f64,
    /// No order of the values within their bins makes the statistic smaller.
    pub lower: f64,
    /// Nor larger.
    pub upper: f64,
}

impl Interval {
    /// A statistic that the counts determine.
    #[must_use]
    pub const fn exact(statistic: f64) -> Self {
        Self { statistic, lower: statistic, upper: statistic }
    }
}

/// Every method that looks at all features together, as far as the reference has what it needs.
#[must_use]
pub fn judge_together(
    policy: &DriftPolicy,
    anchors: &Anchors,
    reference: &Profile,
    current: &Profile,
) -> Vec<MultivariateRow> {
    let reconstruction = judge_reconstruction(policy, anchors, reference, current);
    reconstruction.into_iter().chain(judge_attributions(policy, anchors, reference, current)).collect()
}

/// `1/N + 1/n`: how much of a squared difference of shares chance alone explains. None when a side is empty.
fn sampling_scale(reference: u64, current: u64) -> Option<f64> {
    (reference > 0 && current > 0).then(|| 1.0 / reference as f64 + 1.0 / current as f64)
}

#[cfg(test)]
mod tests;
