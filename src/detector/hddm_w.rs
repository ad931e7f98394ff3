//! HDDM-W: drift detection by bounds on exponentially weighted averages.

use serde::{Deserialize, Serialize};

use super::{Detector, InvalidSetting, Signal, is_open_share, require, usable};

/// Settings of [`HddmW`]; the defaults are River's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HddmWSettings {
    /// Significance level of a drift, above 0 and below 1.
    pub drift_confidence: f64,
    /// Significance level of a warning, at least `drift_confidence` and below 1.
    pub warning_confidence: f64,
    /// Weight λ of the newest value in the average, above 0 and below 1.
    pub lambda_val: f64,
    /// Whether decreases count as well as increases.
    pub two_sided_test: bool,
}

/// HDDM-W (Frías-Blanco et al. 2015): a change of the mean of values in 0…1, such as errors or error rates, with more
/// weight on recent ones, so that it sees gradual changes that HDDM-A sees late.
///
/// By the inequality of bounded differences, a weighted average with sum of squared weights `w` exceeds its expectation
/// by more than `ε(w, c) = √(w·ln(1/c)/2)` with probability `c` at most. The average of all values since the last drift
/// is remembered where it plus its bound was smallest; the values after that point have an average of their own. An
/// increase is significant at `c` when the average after exceeds the one before by more than
/// `ε(w_before + w_after, c)`; a decrease likewise with the signs turned. For the cut points, `c` is the drift's. The
/// same as River's `HDDMW`. The bounds hold for values in 0…1 only; others are taken as they are, as in River, and are
/// to be scaled before.
#[derive(Clone, Copy, Debug)]
pub struct HddmW {
    settings: HddmWSettings,
    all: WeightedMean,
    increase: Cut,
    decrease: Cut,
}

/// An exponentially weighted mean `m ← λ·x + (1 − λ)·m`, which starts at the first value.
#[derive(Clone, Copy, Debug, Default)]
struct WeightedMean {
    /// None before the first value.
    mean: Option<f64>,
    /// Sum of squared weights, `w ← λ² + (1 − λ)²·w`, starting at 1.
    squared_weights: f64,
}

/// The point where the average with its bound was most extreme.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// The average with its bound at that point.
    extreme: f64,
    before: WeightedMean,
    after: WeightedMean,
}

impl Default for HddmWSettings {
    fn default() -> Self {
        Self { drift_confidence: 0.001, warning_confidence: 0.005, lambda_val: 0.05, two_sided_test: false }
    }
}

impl HddmWSettings {
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        require(is_open_share(self.drift_confidence), "drift_confidence", "above 0 and below 1")?;
        let ordered = self.warning_confidence >= self.drift_confidence && self.warning_confidence < 1.0;
        require(ordered, "warning_confidence", "at least drift_confidence and below 1")?;
        require(is_open_share(self.lambda_val), "lambda_val", "above 0 and below 1")
    }
}

impl WeightedMean {
    const fn empty() -> Self {
        Self { mean: None, squared_weights: 1.0 }
    }

    fn push(&mut self, value: f64, lambda: f64) {
        let rest = 1.0 - lambda;
        self.mean = Some(self.mean.map_or(value, |mean| lambda * value + rest * mean));
        self.squared_weights = lambda * lambda + rest * rest * self.squared_weights;
    }
}

impl Cut {
    const fn at(extreme: f64, before: WeightedMean) -> Self {
        Self { extreme, before, after: WeightedMean::empty() }
    }

    /// By how much the average rises at the cut, and the sum of squared weights of that difference.
    fn rise(&self) -> Option<(f64, f64)> {
        let squared_weights = self.before.squared_weights + self.after.squared_weights;
        Some((self.after.mean? - self.before.mean?, squared_weights))
    }
}

impl HddmW {
    pub fn new(settings: HddmWSettings) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        Ok(Self::start(settings))
    }

    fn start(settings: HddmWSettings) -> Self {
        let none = WeightedMean::empty();
        let (increase, decrease) = (Cut::at(f64::INFINITY, none), Cut::at(f64::NEG_INFINITY, none));
        Self { settings, all: none, increase, decrease }
    }

    fn move_cut_points(&mut self, value: f64) {
        let HddmWSettings { drift_confidence, lambda_val, .. } = self.settings;
        let bound = bound(self.all.squared_weights, drift_confidence);
        let mean = self.all.mean.unwrap_or(value);
        if mean + bound < self.increase.extreme {
            self.increase = Cut::at(mean + bound, self.all);
        } else {
            self.increase.after.push(value, lambda_val);
        }
        if mean - bound > self.decrease.extreme {
            self.decrease = Cut::at(mean - bound, self.all);
        } else {
            self.decrease.after.push(value, lambda_val);
        }
    }

    fn has_changed(&self, confidence: f64) -> bool {
        let exceeds = |(rise, squared_weights): (f64, f64)| rise > bound(squared_weights, confidence);
        let falls = |(rise, squared_weights): (f64, f64)| -rise > bound(squared_weights, confidence);
        self.increase.rise().is_some_and(exceeds)
            || (self.settings.two_sided_test && self.decrease.rise().is_some_and(falls))
    }
}

/// The bound `ε` of an average with this sum of squared weights.
fn bound(squared_weights: f64, confidence: f64) -> f64 {
    (squared_weights * (1.0 / confidence).ln() / 2.0).sqrt()
}

impl Detector for HddmW {
    fn update(&mut self, value: f64) -> Signal {
        let Some(value) = usable(value) else { return Signal::Stable };
        self.all.push(value, self.settings.lambda_val);
        self.move_cut_points(value);
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
    use super::{HddmW, HddmWSettings, WeightedMean};
    use crate::detector::{Detector, Signal, SplitMix64};

    #[test]
    fn the_weighted_mean_is_the_recursion_it_says() {
        let mut mean = WeightedMean::empty();
        for value in [1.0, 3.0, 5.0] {
            mean.push(value, 0.5);
        }
        assert!((mean.mean.unwrap() - 3.5).abs() < 1e-15);
        assert!((mean.squared_weights - (0.25 + 0.25 * (0.25 + 0.25 * (0.25 + 0.25)))).abs() < 1e-15);
    }

    fn drifts(two_sided_test: bool, before: f64, after: f64) -> usize {
        let mut detector = HddmW::new(HddmWSettings { two_sided_test, ..Default::default() }).unwrap();
        let mut generator = SplitMix64::new(12);
        let share = |row: u32| if row < 500 { before } else { after };
        let errors = (0..1_000).map(|row| f64::from(u8::from(generator.next_uniform() < share(row))));
        errors.filter(|error| detector.update(*error) == Signal::Drift).count()
    }

    #[test]
    fn only_the_two_sided_test_finds_a_decrease() {
        assert_eq!(1, drifts(false, 0.1, 0.9));
        assert_eq!(0, drifts(false, 0.9, 0.1));
        assert_eq!(1, drifts(true, 0.9, 0.1));
    }
}
