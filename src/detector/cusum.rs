//! CUSUM: the two-sided tabular cumulative sum.

use serde::{Deserialize, Serialize};

use super::running::RunningVariance;
use super::{Detector, InvalidSetting, Signal, require, usable};

/// Settings of [`Cusum`]; the defaults are the usual ones of statistical process control.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CusumSettings {
    /// Values from which mean and standard deviation are estimated, at least 2.
    pub warm_up: u32,
    /// Allowance (reference value) `k`, ≥ 0, in standard deviations: half the shift that is to be found soon.
    pub allowance: f64,
    /// Decision interval `h`, above 0, in standard deviations.
    pub decision_interval: f64,
}

/// Two-sided tabular CUSUM (Page 1954; Montgomery, Introduction to Statistical Quality Control, chapter 9): a change of
/// the mean of any numeric series.
///
/// The values of the warm-up give a mean `m` and a standard deviation `s` (of `n − 1`). Each later one, as
/// `z = (x − m)/s`, adds to `C⁺ ← max(0, C⁺ + z − k)` and `C⁻ ← max(0, C⁻ − z − k)`; it is drift when either exceeds
/// `h`. While the warm-up's standard deviation is 0 it goes on, since `z` is undefined. After a drift, another warm-up
/// begins, unless mean and deviation were given.
///
/// With known mean and deviation of independent normal values and the defaults `k = 0.5`, `h = 5`, the average run
/// length is 465 values without a change and 10.4 after a shift by one standard deviation. With a mean and deviation
/// estimated from a warm-up of 100 the average stays near that, but runs differ more: in simulation, half of the runs
/// without a change end within 250 values and a tenth within 40 (known: 340 and 60).
#[derive(Clone, Copy, Debug)]
pub struct Cusum {
    settings: CusumSettings,
    given: Option<Baseline>,
    baseline: Option<Baseline>,
    warm_up: RunningVariance,
    above: f64,
    below: f64,
}

/// Mean and standard deviation of a series without a change.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Baseline {
    mean: f64,
    deviation: f64,
}

impl Default for CusumSettings {
    fn default() -> Self {
        Self { warm_up: 100, allowance: 0.5, decision_interval: 5.0 }
    }
}

impl CusumSettings {
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        require(self.warm_up >= 2, "warm_up", "at least 2")?;
        require(self.allowance.is_finite() && self.allowance >= 0.0, "allowance", "a number of at least 0")?;
        let interval = self.decision_interval;
        require(interval.is_finite() && interval > 0.0, "decision_interval", "a number above 0")
    }
}

impl Cusum {
    pub fn new(settings: CusumSettings) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        Ok(Self::start(settings, None))
    }

    /// A CUSUM around a known mean and standard deviation, such as the reference's, without a warm-up.
    pub fn with_baseline(settings: CusumSettings, mean: f64, deviation: f64) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        require(mean.is_finite(), "mean", "a number")?;
        require(deviation.is_finite() && deviation > 0.0, "deviation", "a number above 0")?;
        Ok(Self::start(settings, Some(Baseline { mean, deviation })))
    }

    fn start(settings: CusumSettings, given: Option<Baseline>) -> Self {
        let warm_up = RunningVariance::default();
        Self { settings, given, baseline: given, warm_up, above: 0.0, below: 0.0 }
    }

    fn learn(&mut self, value: f64) {
        self.warm_up.push(value);
        let (mean, deviation) = (self.warm_up.mean.mean, self.warm_up.variance().max(0.0).sqrt());
        if self.warm_up.mean.count >= f64::from(self.settings.warm_up) && deviation > 0.0 {
            self.baseline = Some(Baseline { mean, deviation });
        }
    }
}

impl Detector for Cusum {
    fn update(&mut self, value: f64) -> Signal {
        let Some(value) = usable(value) else { return Signal::Stable };
        let Some(Baseline { mean, deviation }) = self.baseline else {
            self.learn(value);
            return Signal::Stable;
        };
        let CusumSettings { allowance, decision_interval, .. } = self.settings;
        let z = (value - mean) / deviation;
        self.above = (self.above + z - allowance).max(0.0);
        self.below = (self.below - z - allowance).max(0.0);
        if self.above <= decision_interval && self.below <= decision_interval {
            return Signal::Stable;
        }
        self.reset();
        Signal::Drift
    }

    fn reset(&mut self) {
        *self = Self::start(self.settings, self.given);
    }
}

#[cfg(test)]
mod tests {
    use super::{Cusum, CusumSettings};
    use crate::detector::{Detector, Signal, SplitMix64};

    /// Montgomery's example 9.1: the mean, 10, rises to 11 after the 20th value.
    const MONTGOMERY: [f64; 30] = [
        9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08, 9.37, 10.62,
        10.31, 8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
    ];

    #[test]
    fn montgomerys_example_is_out_of_control_at_the_29th_value() {
        let mut cusum = Cusum::with_baseline(CusumSettings::default(), 10.0, 1.0).unwrap();
        let found = MONTGOMERY.iter().position(|value| cusum.update(*value) == Signal::Drift);
        assert_eq!(Some(28), found);
    }

    /// A standard normal value, by the sum of twelve uniform ones.
    fn normal(generator: &mut SplitMix64) -> f64 {
        (0..12).map(|_| generator.next_uniform()).sum::<f64>() - 6.0
    }

    fn average_run_length(mean: f64, runs: u32) -> f64 {
        let mut cusum = Cusum::with_baseline(CusumSettings::default(), 0.0, 1.0).unwrap();
        let mut generator = SplitMix64::new(9);
        let (mut values, mut found) = (0_u32, 0);
        while found < runs {
            values += 1;
            found += u32::from(cusum.update(normal(&mut generator) + mean) == Signal::Drift);
        }
        f64::from(values) / f64::from(runs)
    }

    #[test]
    fn the_average_run_lengths_are_those_of_the_tables() {
        // Standard errors: about 465/√2000 = 10 and 0.1. The sum of twelve has slightly shorter tails.
        let (quiet, shifted) = (average_run_length(0.0, 2_000), average_run_length(1.0, 2_000));
        assert!((430.0..520.0).contains(&quiet), "{quiet}");
        assert!((10.0..10.8).contains(&shifted), "{shifted}");
    }

    #[test]
    fn a_constant_warm_up_goes_on_until_there_is_a_deviation() {
        let mut cusum = Cusum::new(CusumSettings::default()).unwrap();
        assert!((0..1_000).all(|_| cusum.update(3.0) == Signal::Stable));
        assert_eq!(None, cusum.baseline);
        cusum.update(4.0);
        assert_eq!(Signal::Drift, cusum.update(4.0));
    }
}
