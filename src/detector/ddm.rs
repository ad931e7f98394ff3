//! DDM: the drift detection method.

use serde::{Deserialize, Serialize};

use super::running::RunningMean;
use super::{Detector, InvalidSetting, Signal, require};

/// Settings of [`Ddm`]; the defaults are River's and the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DdmSettings {
    /// Values before the first decision.
    pub warm_start: u32,
    /// Standard deviations above the best error rate that are a warning, above 0.
    pub warning_threshold: f64,
    /// Standard deviations above the best error rate that are drift, at least `warning_threshold`.
    pub drift_threshold: f64,
}

/// DDM (Gama, Medas, Castillo and Rodrigues 2004): an increase of an error rate. Values are 1 for an error and 0 for a
/// correct answer.
///
/// With `p` the error rate of the `n` values since the last drift and `s = √(p(1 − p)/n)`, it remembers `p` and `s`
/// where `p + s` was smallest. It is a warning when `p + s > p_min + 2·s_min` and drift when `p + s > p_min + 3·s_min`.
/// The same as River's `DDM`, but that values outside 0…1 are ignored, where River fails as soon as `p` leaves 0…1.
#[derive(Clone, Copy, Debug)]
pub struct Ddm {
    settings: DdmSettings,
    errors: RunningMean,
    /// `p` and `s` where their sum was smallest; none before the first decision.
    best: Option<(f64, f64)>,
}

impl Default for DdmSettings {
    fn default() -> Self {
        Self { warm_start: 30, warning_threshold: 2.0, drift_threshold: 3.0 }
    }
}

impl DdmSettings {
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let Self { warning_threshold, drift_threshold, .. } = *self;
        require(warning_threshold.is_finite() && warning_threshold > 0.0, "warning_threshold", "a number above 0")?;
        let ordered = drift_threshold.is_finite() && drift_threshold >= warning_threshold;
        require(ordered, "drift_threshold", "a number of at least warning_threshold")
    }
}

impl Ddm {
    pub fn new(settings: DdmSettings) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        Ok(Self { settings, errors: RunningMean::default(), best: None })
    }
}

impl Detector for Ddm {
    fn update(&mut self, value: f64) -> Signal {
        if !(0.0..=1.0).contains(&value) {
            return Signal::Stable;
        }
        self.errors.push(value);
        let RunningMean { count, mean: p } = self.errors;
        if count <= f64::from(self.settings.warm_start) {
            return Signal::Stable;
        }
        let s = (p * (1.0 - p) / count).max(0.0).sqrt();
        let (p_min, s_min) = match self.best {
            Some((p_min, s_min)) if p + s > p_min + s_min => (p_min, s_min),
            _ => (p, s),
        };
        self.best = Some((p_min, s_min));
        if p + s > p_min + self.settings.drift_threshold * s_min {
            self.reset();
            return Signal::Drift;
        }
        if p + s > p_min + self.settings.warning_threshold * s_min { Signal::Warning } else { Signal::Stable }
    }

    fn reset(&mut self) {
        (self.errors, self.best) = (RunningMean::default(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::{Ddm, DdmSettings};
    use crate::detector::{Detector, Signal};

    /// One error in ten answers, then one in two.
    fn worsening(row: u32) -> f64 {
        f64::from(u8::from(row.is_multiple_of(if row < 500 { 10 } else { 2 })))
    }

    #[test]
    fn a_rising_error_rate_warns_before_it_drifts() {
        let mut ddm = Ddm::new(DdmSettings::default()).unwrap();
        let signals: Vec<Signal> = (0..700).map(|row| ddm.update(worsening(row))).collect();
        let first = |wanted: Signal| signals.iter().position(|signal| *signal == wanted).unwrap();
        assert!(500 < first(Signal::Warning), "{}", first(Signal::Warning));
        assert!(first(Signal::Warning) < first(Signal::Drift));
    }

    #[test]
    fn values_that_are_no_error_rates_are_ignored() {
        let (mut plain, mut disturbed) =
            (Ddm::new(DdmSettings::default()).unwrap(), Ddm::new(DdmSettings::default()).unwrap());
        for row in 0..700 {
            assert_eq!(Signal::Stable, disturbed.update(2.0));
            assert_eq!(Signal::Stable, disturbed.update(-0.5));
            assert_eq!(plain.update(worsening(row)), disturbed.update(worsening(row)));
        }
    }
}
