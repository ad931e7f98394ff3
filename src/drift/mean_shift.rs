//! The shift of the mean.

use super::Undefined;
use super::significance::student_p_value;
use crate::profile::Moments;

/// Welch's test with the effect that it tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanShift {
    /// `(mean_current − mean_reference) / √(s²/n + s_ref²/N)`; positive when the mean has risen.
    pub t: f64,
    /// Welch–Satterthwaite degrees of freedom.
    pub degrees_of_freedom: f64,
    /// Two-sided, by Student's law.
    pub p_value: f64,
    /// The difference of the means in standard deviations of the reference; infinite for a constant reference.
    pub effect: f64,
    /// The standard error of the difference, in the same unit; infinite for a constant reference.
    pub standard_error: f64,
}

/// Welch's t of the window against the reference, as `scipy.stats.ttest_ind(current, reference, equal_var=False)`, from
/// the moments, so exact but for rounding. The unit of the values cancels.
///
/// Undefined when a side has fewer than two values, when neither side varies, or when a sum is not finite.
pub fn mean_shift(reference: &Moments, current: &Moments) -> Result<MeanShift, Undefined> {
    let reference = Summary::new(reference)?;
    let current = Summary::new(current)?;
    let (a, b) = (current.variance / current.count, reference.variance / reference.count);
    let difference = current.mean - reference.mean;
    let standard_error = (a + b).sqrt();
    if !difference.is_finite() || !standard_error.is_finite() {
        return Err(Undefined::Overflow);
    }
    if standard_error <= 0.0 {
        return Err(Undefined::Constant);
    }
    // Shares of the whole, so that tiny variances do not vanish when squared.
    let (a, b) = (a / (a + b), b / (a + b));
    let degrees_of_freedom = 1.0 / (a * a / (current.count - 1.0) + b * b / (reference.count - 1.0));
    let t = difference / standard_error;
    if !t.is_finite() || !degrees_of_freedom.is_finite() {
        return Err(Undefined::Overflow);
    }
    let unit = reference.variance.sqrt();
    let in_units = |value: f64| if unit > 0.0 { value / unit } else { f64::INFINITY };
    Ok(MeanShift {
        t,
        degrees_of_freedom,
        p_value: student_p_value(t, degrees_of_freedom),
        effect: if difference == 0.0 { 0.0 } else { in_units(difference.abs()).copysign(difference) },
        standard_error: in_units(standard_error),
    })
}

/// In the anchors' unit about their centre.
struct Summary {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Summary {
    fn new(moments: &Moments) -> Result<Self, Undefined> {
        match moments.count {
            0 => return Err(Undefined::EmptySide),
            1 => return Err(Undefined::OneValue),
            _ => {}
        }
        let count = moments.count as f64;
        let mean = moments.sum / count;
        let squares = moments.sum_of_squares - moments.sum * mean;
        if !mean.is_finite() || !squares.is_finite() {
            return Err(Undefined::Overflow);
        }
        // A constant is not told from rounding in the last digits of the sums.
        let rounding = 4.0 * f64::EPSILON * moments.sum_of_squares.abs();
        let is_constant = moments.min.is_some() && moments.min == moments.max;
        let squares = if is_constant || squares <= rounding { 0.0 } else { squares };
        Ok(Self { count, mean, variance: squares / (count - 1.0) })
    }
}
