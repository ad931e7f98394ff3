//! The z-test of two proportions.

use super::Undefined;
use super::significance::normal_p_value;

/// A difference of two proportions with its test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProportionZ {
    /// `(q − p) / standard_error`; positive when the proportion has risen.
    pub z: f64,
    /// `q − p`, from −1 to 1.
    pub difference: f64,
    /// Of the difference, with the pooled proportion `h`: `√(h·(1 − h)·(1/N + 1/n))`.
    pub standard_error: f64,
    /// Two-sided, by the normal law.
    pub p_value: f64,
}

/// The pooled two-proportion z-test of `reference.0` of `reference.1` rows against `current.0` of `current.1`, as
/// `statsmodels.stats.proportion.proportions_ztest` and Evidently's `z`; z² is the χ² of the 2 × 2 table without
/// continuity correction. Where all rows of both sides agree, z is 0 and p is 1.
pub fn proportion_z(reference: (u64, u64), current: (u64, u64)) -> Result<ProportionZ, Undefined> {
    let scale = super::sampling_scale(reference.1, current.1).ok_or(Undefined::EmptySide)?;
    let (p, q) = (reference.0 as f64 / reference.1 as f64, current.0 as f64 / current.1 as f64);
    let pooled = (reference.0 + current.0) as f64 / (reference.1 + current.1) as f64;
    let standard_error = (pooled * (1.0 - pooled) * scale).max(0.0).sqrt();
    let difference = q - p;
    let z = if standard_error > 0.0 { difference / standard_error } else { 0.0 };
    Ok(ProportionZ { z, difference, standard_error, p_value: normal_p_value(z) })
}
