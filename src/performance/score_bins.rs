//! Calibration: do the scores of a binary model mean what they say?

use serde::{Deserialize, Serialize};

use super::exact_sum::ExactSum;
use super::interval::{Domain, least_error, normal, proportion};
use super::metrics::Estimate;

/// Bins of the calibration curve and of the expected calibration error.
pub const CALIBRATION_BINS: u32 = 10;

/// Joined predictions by the bin of their score: how many, how many positive, and the exact sum of their scores.
///
/// The bins are the caller's: [`calibration_bin`] for a calibration curve, the score's anchors to fit a calibration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreBins {
    bins: Vec<BinSums>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct BinSums {
    count: u64,
    positives: u64,
    score: ExactSum,
}

/// One bin with something in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBin {
    pub bin: usize,
    pub mean_score: f64,
    pub count: u64,
    /// Never more than `count`.
    pub positives: u64,
}

/// A point of the calibration curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationPoint {
    pub mean_score: f64,
    /// Share of actual positives with Wilson's interval.
    pub positive_rate: Estimate,
}

/// The expected calibration error beside what chance makes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationError {
    pub estimate: Estimate,
    /// What perfectly calibrated scores of this number would show: `Σ (n_b/n)·√(2/π)·√(p̄_b (1 − p̄_b)/n_b)`. The error
    /// is a sum of absolute values and so never 0 in a finite sample.
    pub by_chance: f64,
}

/// The bin of a probability among ten of equal width, `(k/10, (k+1)/10]` with 0 in the first: those of
/// `sklearn.calibration.calibration_curve(strategy="uniform")`. `None` where it is no probability.
#[must_use]
pub fn calibration_bin(probability: f64) -> Option<usize> {
    if !(0.0..=1.0).contains(&probability) {
        return None;
    }
    // Multiples of 0.1 as `numpy.linspace` rounds them.
    Some((1..CALIBRATION_BINS).filter(|k| probability > f64::from(*k) * 0.1).count())
}

impl CalibrationError {
    /// The error with what chance makes of it as part of its standard error: windows of different sizes show different
    /// errors of equally calibrated scores, which is no decay.
    #[must_use]
    pub fn with_chance(&self) -> Option<Estimate> {
        let Estimate { value, standard_error, n, .. } = self.estimate;
        normal(value, standard_error.hypot(self.by_chance), n, Domain::LOSS)
    }
}

impl ScoreBins {
    /// A score that is not finite or too large to be summed is left out.
    pub fn add(&mut self, bin: usize, score: f64, actual: bool) {
        self.change(bin, score, actual, |count| *count += 1, ExactSum::add);
    }

    /// Takes back what [`ScoreBins::add`] counted, when an outcome is corrected.
    pub fn remove(&mut self, bin: usize, score: f64, actual: bool) {
        self.change(bin, score, actual, |count| *count = count.saturating_sub(1), ExactSum::subtract);
    }

    pub fn merge(&mut self, other: &Self) {
        self.reach(other.bins.len());
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            mine.count += theirs.count;
            mine.positives += theirs.positives;
            mine.score.merge(&theirs.score);
        }
    }

    /// The bins that are not empty, in ascending order.
    #[must_use]
    pub fn bins(&self) -> Vec<ScoreBin> {
        let filled = self.bins.iter().enumerate().filter(|(_, sums)| sums.count > 0);
        filled
            .map(|(bin, sums)| ScoreBin {
                bin,
                mean_score: sums.score.value() / sums.count as f64,
                count: sums.count,
                positives: sums.positives.min(sums.count),
            })
            .collect()
    }

    /// Mean score and share of positives of every bin that is not empty, as `sklearn.calibration.calibration_curve`.
    #[must_use]
    pub fn curve(&self) -> Vec<CalibrationPoint> {
        let point = |bin: ScoreBin| {
            let positive_rate = proportion(bin.positives, bin.count)?;
            Some(CalibrationPoint { mean_score: bin.mean_score, positive_rate })
        };
        self.bins().into_iter().filter_map(point).collect()
    }

    /// Expected calibration error `Σ (n_b/n)·|p̄_b − ȳ_b|` (Naeini et al. 2015) over these bins, with
    /// [`calibration_bin`] ten of equal width. NannyML takes ten of equal count, whose edges change with every window
    /// and which therefore cannot be merged.
    ///
    /// Error by the delta method with the scores as given: `√Σ (n_b/n)²·ȳ_b (1 − ȳ_b)/n_b`. `None` without scores.
    #[must_use]
    pub fn expected_calibration_error(&self) -> Option<CalibrationError> {
        let bins = self.bins();
        let n: u64 = bins.iter().map(|bin| bin.count).sum();
        let (mut value, mut variance, mut by_chance) = (0.0, 0.0, 0.0);
        for bin in &bins {
            let (count, share) = (bin.count as f64, bin.count as f64 / n as f64);
            let positive_rate = bin.positives as f64 / count;
            let score = bin.mean_score.clamp(0.0, 1.0);
            value += share * (bin.mean_score - positive_rate).abs();
            variance += share * share * positive_rate * (1.0 - positive_rate) / count;
            by_chance += share * (std::f64::consts::FRAC_2_PI * score * (1.0 - score) / count).sqrt();
        }
        if n == 0 {
            return None;
        }
        let estimate = normal(value, variance.sqrt().max(least_error(n)), n, Domain::LOSS)?;
        Some(CalibrationError { estimate, by_chance })
    }

    fn change(
        &mut self,
        bin: usize,
        score: f64,
        actual: bool,
        change_count: impl Fn(&mut u64),
        change_sum: impl Fn(&mut ExactSum, f64),
    ) {
        if score.is_nan() || score.abs() > ExactSum::LIMIT {
            return;
        }
        self.reach(bin + 1);
        let sums = &mut self.bins[bin];
        change_count(&mut sums.count);
        if actual {
            change_count(&mut sums.positives);
        }
        change_sum(&mut sums.score, score);
    }

    fn reach(&mut self, bins: usize) {
        if self.bins.len() < bins {
            self.bins.resize(bins, BinSums::default());
        }
    }
}

/// A score that stands for each of so many bins: the mean of the reference's scores there. An empty bin, into which a
/// window's scores may still fall, takes the middle of its neighbours' scores, and beyond the last bins theirs. NaN
/// when all bins are empty. `bins` in ascending order.
#[must_use]
pub fn representative_scores(bins: &[ScoreBin], length: usize) -> Vec<f64> {
    let score = |bin: usize| {
        let next = bins.partition_point(|filled| filled.bin < bin);
        let above = bins.get(next).map(|filled| (filled.bin, filled.mean_score));
        let below = next.checked_sub(1).and_then(|index| bins.get(index)).map(|filled| filled.mean_score);
        match (below, above) {
            (_, Some((exact, score))) if exact == bin => score,
            (Some(below), Some((_, above))) => 0.5 * below + 0.5 * above,
            (Some(score), None) | (None, Some((_, score))) => score,
            (None, None) => f64::NAN,
        }
    };
    (0..length).map(score).collect()
}

/// The bins of two score histograms with a score that stands for each bin, for references of which nothing else is
/// known. Bins without such a score are left out.
#[must_use]
pub fn score_bins(positive_scores: &[u64], negative_scores: &[u64], representatives: &[f64]) -> Vec<ScoreBin> {
    let of = |scores: &[u64], bin: usize| scores.get(bin).copied().unwrap_or(0);
    let bin = |(bin, mean_score): (usize, &f64)| {
        let positives = of(positive_scores, bin);
        let count = positives.saturating_add(of(negative_scores, bin));
        (count > 0).then_some(ScoreBin { bin, mean_score: *mean_score, count, positives })
    };
    representatives.iter().enumerate().filter_map(bin).collect()
}
