//! Running mean and variance, in River's order of operations so that rounding falls the same way.

/// Arithmetic mean of the values so far, `m ← m + (x − m)/n` (West 1979; River's `stats.Mean`); 0 of no values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RunningMean {
    /// Number of values; a float because it only enters divisions.
    pub count: f64,
    pub mean: f64,
}

/// Mean and sample variance of the values so far (Welford; River's `stats.Var` with one degree of freedom less).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RunningVariance {
    pub mean: RunningMean,
    /// Sum of squared deviations from the mean.
    squares: f64,
}

impl RunningMean {
    pub fn push(&mut self, value: f64) {
        self.count += 1.0;
        self.mean += (1.0 / self.count) * (value - self.mean);
    }
}

impl RunningVariance {
    pub fn push(&mut self, value: f64) {
        let before = self.mean.mean;
        self.mean.push(value);
        self.squares += (value - before) * (value - self.mean.mean);
    }

    /// `Σ(x − m)² / (n − 1)`; 0 of fewer than two values.
    pub fn variance(&self) -> f64 {
        if self.mean.count > 1.0 { self.squares / (self.mean.count - 1.0) } else { 0.0 }
    }
}
