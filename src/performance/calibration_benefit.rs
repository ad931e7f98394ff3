//! Does calibration help? Judged on rows that were not fitted, from counts alone.

use super::calibration::{IsotonicRegression, WeightedPoint};
use super::score_bins::ScoreBin;

/// Random halvings of the reference.
const SPLITS: u64 = 10;
/// Groups of scores over which the calibration error is taken, of about equal count as in NannyML.
const GROUPS: u64 = 10;
/// Of more coins than this the deviation from half is that of this many, enlarged: by then it is normal.
const MOST_COINS: u64 = 1 << 16;

/// Expected calibration error of rows that were not fitted, averaged over ten halvings of the reference.
///
/// Rows of one bin and class are alike but for their order, so dealing each bin's counts to two halves by coin tosses
/// has the very law of dealing rows: the halves are independent samples. Each half is calibrated by the other, and the
/// expected calibration error is taken over ten groups of neighbouring bins of about equal count.
///
/// NannyML draws ten 9:1 splits of raw rows and pools their test rows. Halves are stricter on calibration, which fits
/// half of the reference only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBenefit {
    /// Of the scores as they are.
    pub uncalibrated: f64,
    pub calibrated: f64,
}

/// One bin's part of one half.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    score: f64,
    positives: f64,
    count: f64,
}

/// Steele, Lea & Flood's `SplitMix64` (2014), with a fixed seed: the same reference always has the same answer.
pub(super) struct SplitMix64 {
    pub(super) state: u64,
}

impl CalibrationBenefit {
    #[must_use]
    pub fn helps(&self) -> bool {
        self.calibrated < self.uncalibrated
    }
}

pub(super) fn benefit(reference: &[ScoreBin]) -> CalibrationBenefit {
    let mut random = SplitMix64 { state: 0 };
    let (mut uncalibrated, mut calibrated) = (0.0, 0.0);
    for _ in 0..SPLITS {
        let (one, other) = halves(reference, &mut random);
        for (fitted, tested) in [(&one, &other), (&other, &one)] {
            let isotonic = IsotonicRegression::fit(fitted.iter().map(|part| WeightedPoint {
                x: part.score,
                y: part.positives / part.count,
                weight: part.count,
            }));
            uncalibrated += error(tested, |score| score);
            calibrated += error(tested, |score| isotonic.as_ref().and_then(|it| it.predict(score)).unwrap_or(score));
        }
    }
    let errors = 2.0 * SPLITS as f64;
    CalibrationBenefit { uncalibrated: uncalibrated / errors, calibrated: calibrated / errors }
}

fn halves(reference: &[ScoreBin], random: &mut SplitMix64) -> (Vec<Part>, Vec<Part>) {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for bin in reference {
        let positives = bin.positives.min(bin.count);
        let negatives = bin.count - positives;
        let (mine, rest) = (random.half_of(positives), random.half_of(negatives));
        let part = |positives: u64, negatives: u64| {
            let count = positives as f64 + negatives as f64;
            (count > 0.0).then_some(Part { score: bin.mean_score, positives: positives as f64, count })
        };
        one.extend(part(mine, rest));
        other.extend(part(positives - mine, negatives - rest));
    }
    (one, other)
}

fn error(parts: &[Part], probability: impl Fn(f64) -> f64) -> f64 {
    let n: f64 = parts.iter().map(|part| part.count).sum();
    if n <= 0.0 {
        return 0.0;
    }
    let (mut error, mut seen, mut difference) = (0.0, 0.0, 0.0_f64);
    let mut ends = (1..=GROUPS).map(|group| n * group as f64 / GROUPS as f64);
    let mut end = ends.next().unwrap_or(n);
    for part in parts {
        seen += part.count;
        difference += probability(part.score) * part.count - part.positives;
        if seen >= end {
            error += difference.abs();
            difference = 0.0;
            end = ends.find(|end| *end > seen).unwrap_or(f64::INFINITY);
        }
    }
    (error + difference.abs()) / n
}

impl SplitMix64 {
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// How many of `count` coins fall on one side.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the count; casts saturate")]
    fn half_of(&mut self, count: u64) -> u64 {
        if count > MOST_COINS {
            let deviation = self.half_of(MOST_COINS) as f64 - (MOST_COINS / 2) as f64;
            let enlarged = deviation * (count as f64 / MOST_COINS as f64).sqrt();
            return ((0.5 * count as f64 + enlarged) as u64).min(count);
        }
        let words = (0..count / 64).map(|_| u64::from(self.next().count_ones())).sum::<u64>();
        let rest = self.next() & ((1 << (count % 64)) - 1);
        words + u64::from(rest.count_ones())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(positives: &[(f64, u64)], count: u64) -> Vec<ScoreBin> {
        let bin = |(bin, (score, positives)): (usize, &(f64, u64))| ScoreBin {
            bin,
            mean_score: *score,
            count,
            positives: *positives,
        };
        positives.iter().enumerate().map(bin).collect()
    }

    #[test]
    fn coins_fall_on_either_side_as_often_as_chance_lets_them() {
        let mut random = SplitMix64 { state: 0 };
        for count in [1_000, 10_000_000] {
            let heads: Vec<f64> = (0..2_000).map(|_| random.half_of(count) as f64).collect();
            let mean = heads.iter().sum::<f64>() / 2_000.0;
            let variance = heads.iter().map(|heads| (heads - mean).powi(2)).sum::<f64>() / 1_999.0;
            let (half, quarter) = (count as f64 / 2.0, count as f64 / 4.0);
            assert!((mean - half).abs() < 4.0 * (quarter / 2_000.0).sqrt(), "{mean} of {count}");
            assert!((variance / quarter - 1.0).abs() < 4.0 * (2.0_f64 / 1_999.0).sqrt(), "{variance} of {count}");
        }
        assert_eq!(random.half_of(0), 0);
        assert!(random.half_of(u64::MAX) > u64::MAX / 3);
    }

    #[test]
    fn scores_that_say_too_little_are_better_calibrated() {
        let benefit = benefit(&bins(&[(0.3, 50), (0.5, 500), (0.7, 950)], 1_000));
        assert!(benefit.helps(), "{benefit:?}");
        assert!(benefit.uncalibrated > 0.15 && benefit.calibrated < 0.03, "{benefit:?}");
    }

    #[test]
    fn probabilities_that_are_right_are_left_alone() {
        let positives: Vec<(f64, u64)> = (0..50_u32).map(|k| (f64::from(k) / 50.0, u64::from(k))).collect();
        let benefit = benefit(&bins(&positives, 50));
        assert!(!benefit.helps(), "{benefit:?}");
    }

    #[test]
    fn the_answer_is_the_same_each_time() {
        let reference = bins(&[(0.1, 60), (0.6, 150)], 300);
        assert_eq!(benefit(&reference), benefit(&reference));
        assert!(error(&[], |score| score).abs() < f64::EPSILON);
    }
}
