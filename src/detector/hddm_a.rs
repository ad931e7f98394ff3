//! HDDM-A: drift detection by Hoeffding's bounds on averages.

use serde::{Deserialize, Serialize};

use super::running::RunningMean;
use super::{Detector, InvalidSetting, Signal, is_open_share, require, usable};

/// Settings of [`HddmA`]; the defaults are River's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HddmASettings {
    /// Significance level of a drift, above 0 and below 1.
    pub drift_confidence: f64,
    /// Significance level of a warning, at least `drift_confidence` and below 1.
    pub warning_confidence: f64,
    /// Whether decreases count as well as increases.
    pub two_sided_test: bool,
}

/// HDDM-A (Frías-Blanco et al. 2015): a change of the mean of values in 0…1, such as errors or error rates.
///
/// By Hoeffding's inequality, a mean of `n` values exceeds its expectation by more than `ε(n) = √(ln(1/c)/(2n))` with
/// probability `c` at most. With `z` the mean of all `n` values since the last drift, the detector remembers the mean
/// `x` of the first `k` of them, `k` being where `x + ε(k)` was smallest. An increase is significant at `c` when
/// `z − x ≥ √(m/2 · ln(2/c))` with `m = (n − k)/k · 1/n`; a decrease likewise, from where `x − ε(k)` was largest and
/// with the signs turned. For the cut points, `c` is the drift's. The same as River's `HDDMA`. The bounds hold for
/// values in 0…1 only; others are taken as they are, as in River, and are to be scaled before.
#[derive(Clone, Copy, Debug)]
pub struct HddmA {
    settings: HddmASettings,
    /// All values.
    all: RunningMean,
    /// The values up to the cut point of an increase.
    lowest: RunningMean,
    /// The values up to the cut point of a decrease.
    highest: RunningMean,
}

impl Default for HddmASettings {
    fn default() -> Self {
        Self { drift_confidence: 0.001, warning_confidence: 0.005, two_sided_test: false }
    }
}

impl HddmASettings {
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        require(is_open_share(self.drift_confidence), "drift_confidence", "above 0 and below 1")?;
        let ordered = self.warning_confidence >= self.drift_confidence && self.warning_confidence < 1.0;
        require(ordered, "warning_confidence", "at least drift_confidence and below 1")
    }
}

impl HddmA {
    pub fn new(settings: HddmASettings) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        Ok(Self::start(settings))
    }

    fn start(settings: HddmASettings) -> Self {
        let none = RunningMean::default();
        Self { settings, all: none, lowest: none, highest: none }
    }

    /// Hoeffding's bound of a mean of so many values.
    fn bound(&self, count: f64) -> f64 {
        (1.0 / (2.0 * count) * (1.0 / self.settings.drift_confidence).ln()).sqrt()
    }

    fn move_cut_points(&mut self) {
        if self.lowest.count < 1.0 {
            (self.lowest, self.highest) = (self.all, self.all);
        }
        let (all, bound) = (self.all.mean, self.bound(self.all.count));
        if self.lowest.mean + self.bound(self.lowest.count) >= all + bound {
            self.lowest = self.all;
        }
        if self.highest.mean - self.bound(self.highest.count) <= all - bound {
            self.highest = self.all;
        }
    }

    /// Whether all values together differ by `difference`, significantly, from those up to a cut point.
    fn is_significant(&self, difference: f64, cut: RunningMean, confidence: f64) -> bool {
        let (count, cut) = (self.all.count, cut.count);
        if cut >= count {
            return false;
        }
        let m = (count - cut) / cut * (1.0 / count);
        difference >= (m / 2.0 * (2.0 / confidence).ln()).sqrt()
    }

    fn has_changed(&self, confidence: f64) -> bool {
        let increase = self.all.mean - self.lowest.mean;
        let decrease = self.highest.mean - self.all.mean;
        self.is_significant(increase, self.lowest, confidence)
            || (self.settings.two_sided_test && self.is_significant(decrease, self.highest, confidence))
    }
}

impl Detector for HddmA {
    fn update(&mut self, value: f64) -> Signal {
        let Some(value) = usable(value) else { return Signal::Stable };
        self.all.push(value);
        self.move_cut_points();
        if self.has_changed(self.settings.drift_confidence) {
            self.reset();
            return Signal::Drift;
        }
        if self.has_changed(self.settings.warning_confidence) { Signal::Warning } else { Signal::Stable }
    }

    fn reset(&mut self) {
        *self = Self::start(self.settings);
    }
}

#[cfg(test)]
mod tests {
    use super::{HddmA, HddmASettings};
    use crate::detector::{Detector, Signal, SplitMix64};

    /// How many values after a change of the error rate, at the 1,000th, the first drift comes.
    fn delay(two_sided_test: bool, before: f64, after: f64) -> Option<usize> {
        let mut detector = HddmA::new(HddmASettings { two_sided_test, ..Default::default() }).unwrap();
        let mut generator = SplitMix64::new(13);
        let share = |row: u32| if row < 1_000 { before } else { after };
        let mut errors = (0..1_300).map(|row| f64::from(u8::from(generator.next_uniform() < share(row))));
        errors.position(|error| detector.update(error) == Signal::Drift)?.checked_sub(1_000)
    }

    #[test]
    fn only_the_two_sided_test_finds_a_decrease() {
        assert!(delay(false, 0.2, 0.5).is_some_and(|delay| delay < 200));
        assert_eq!(None, delay(false, 0.5, 0.2));
        assert!(delay(true, 0.5, 0.2).is_some_and(|delay| delay < 200));
    }
}
