//! EDDM: the early drift detection method.

use serde::{Deserialize, Serialize};

use super::running::RunningVariance;
use super::{Detector, InvalidSetting, Signal, require};

/// Settings of [`Eddm`]; the defaults are River's and the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EddmSettings {
    /// Both values and errors must be more than this before the first decision.
    pub warm_start: u32,
    /// Share of the largest distance below which it is a warning, 0 < α ≤ 1.
    pub alpha: f64,
    /// Share of the largest distance below which it is drift, 0 < β ≤ α.
    pub beta: f64,
}

/// EDDM (Baena-García et al. 2006): errors that come closer together. A value of 1 is an error, anything else is not.
///
/// With `m` and `s` the mean and standard deviation of the distances between errors since the last drift, counted in
/// values, it remembers the largest `m + 2s`. At each error, it is a warning when `(m + 2s)/max(m + 2s) < α` and drift
/// when it is `< β`; a warning stands until the next error. The same as River's `EDDM`.
#[derive(Clone, Copy, Debug)]
pub struct Eddm {
    settings: EddmSettings,
    distances: RunningVariance,
    count: f64,
    last_error: f64,
    /// The largest `m + 2s`; none before the first decision.
    largest: Option<f64>,
    warning: bool,
}

impl Default for EddmSettings {
    fn default() -> Self {
        Self { warm_start: 30, alpha: 0.95, beta: 0.9 }
    }
}

impl EddmSettings {
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        require(self.alpha > 0.0 && self.alpha <= 1.0, "alpha", "above 0 and at most 1")?;
        require(self.beta > 0.0 && self.beta <= self.alpha, "beta", "above 0 and at most alpha")
    }
}

impl Eddm {
    pub fn new(settings: EddmSettings) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        Ok(Self::start(settings))
    }

    fn start(settings: EddmSettings) -> Self {
        let distances = RunningVariance::default();
        Self { settings, distances, count: 0.0, last_error: 0.0, largest: None, warning: false }
    }

    /// Takes an error; whether it is drift.
    fn take_error(&mut self) -> bool {
        self.distances.push(self.count - self.last_error);
        self.last_error = self.count;
        let warm_start = f64::from(self.settings.warm_start);
        if self.count <= warm_start {
            return false;
        }
        let distance = self.distances.mean.mean + 2.0 * self.distances.variance().max(0.0).sqrt();
        let Some(largest) = self.largest.filter(|largest| distance <= *largest) else {
            self.largest = Some(distance);
            return false;
        };
        if self.distances.mean.count <= warm_start {
            return false;
        }
        let level = distance / largest;
        self.warning = level < self.settings.alpha;
        level < self.settings.beta
    }
}

impl Detector for Eddm {
    fn update(&mut self, value: f64) -> Signal {
        if !value.is_finite() {
            return Signal::Stable;
        }
        self.count += 1.0;
        if value.total_cmp(&1.0).is_eq() && self.take_error() {
            self.reset();
            return Signal::Drift;
        }
        if self.warning { Signal::Warning } else { Signal::Stable }
    }

    fn reset(&mut self) {
        *self = Self::start(self.settings);
    }
}

#[cfg(test)]
mod tests {
    use super::{Eddm, EddmSettings};
    use crate::detector::{Detector, Signal, SplitMix64};

    #[test]
    fn errors_that_come_closer_together_warn_and_then_drift() {
        // With the defaults, it is restless: one series of this kind in a few has a drift without a change.
        let mut eddm = Eddm::new(EddmSettings { alpha: 0.8, beta: 0.6, ..Default::default() }).unwrap();
        let mut generator = SplitMix64::new(4);
        let mut error = |share: f64| f64::from(u8::from(generator.next_uniform() < share));
        let before: Vec<Signal> = (0..1_000).map(|_| eddm.update(error(0.05))).collect();
        let after: Vec<Signal> = (0..1_000).map(|_| eddm.update(error(0.5))).collect();
        assert!(!before.contains(&Signal::Drift));
        let drift = after.iter().position(|signal| *signal == Signal::Drift).unwrap();
        assert!(drift < 300, "{drift}");
        assert_eq!(Signal::Warning, after[drift - 1], "a warning stands until the drift");
    }

    #[test]
    fn a_stream_without_errors_or_of_nothing_else_is_stable() {
        for value in [0.0, 1.0] {
            let mut eddm = Eddm::new(EddmSettings::default()).unwrap();
            assert!((0..5_000).all(|_| eddm.update(value) == Signal::Stable), "{value}");
        }
    }
}
