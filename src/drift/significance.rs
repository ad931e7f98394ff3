//! p-values and their correction for many tests.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use statrs::distribution::{ChiSquared, Continuous, ContinuousCDF, StudentsT};
use statrs::function::erf::{erfc, erfc_inv};

/// `P(χ²_df ≥ x)`, as `scipy.stats.chi2.sf`; 1 for `df = 0`.
#[must_use]
pub fn chi_square_p_value(x: f64, df: u32) -> f64 {
    match ChiSquared::new(f64::from(df)) {
        Ok(distribution) if df > 0 => distribution.sf(x.max(0.0)),
        _ => 1.0,
    }
}

/// The value that χ² with `df` degrees of freedom exceeds with probability `alpha`; 0 for `df = 0`.
#[must_use]
pub fn chi_square_critical(alpha: f64, df: u32) -> f64 {
    match ChiSquared::new(f64::from(df)) {
        Ok(distribution) if df > 0 => distribution.inverse_cdf(1.0 - alpha.clamp(1e-12, 1.0)),
        _ => 0.0,
    }
}

/// `P(D ≥ d)` for samples of `n` and `m` by Kolmogorov's limit `2 Σ (−1)^(k−1) e^(−2k²λ²)` with `λ = d·√(nm/(n+m))`,
/// as `scipy.special.kolmogorov(λ)`. SciPy's `ks_2samp(method="asymp")` uses the finite-sample distribution of one
/// sample of that effective size instead; the two agree to about 1/√(nm/(n+m)).
#[must_use]
pub fn kolmogorov_p_value(d: f64, n: u64, m: u64) -> f64 {
    if n == 0 || m == 0 {
        return 1.0;
    }
    let (n, m) = (n as f64, m as f64);
    let lambda = d * (n * m / (n + m)).sqrt();
    if lambda < 0.2 {
        // The alternating series converges slowly here, and the probability is 1 to twelve digits.
        return 1.0;
    }
    let mut sum = 0.0;
    for k in 1..=100_u32 {
        let term = (-2.0 * f64::from(k * k) * lambda * lambda).exp();
        sum += if k % 2 == 1 { term } else { -term };
        if term < 1e-17 {
            break;
        }
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

/// `P(|Z| ≥ |z|)` of the standard normal law, as `2 * scipy.stats.norm.sf(abs(z))`; 1 for NaN.
#[must_use]
pub fn normal_p_value(z: f64) -> f64 {
    if z.is_nan() { 1.0 } else { erfc(z.abs() * FRAC_1_SQRT_2).clamp(0.0, 1.0) }
}

/// The value that a standard normal one exceeds in absolute value with probability `alpha`.
#[must_use]
pub fn normal_critical(alpha: f64) -> f64 {
    SQRT_2 * erfc_inv(alpha.clamp(1e-300, 1.0))
}

/// From here on Student's law is taken through the normal one: Hill's approximation is then exact to twelve digits, and
/// the beta function of statrs loses more of them with every power of ten.
const MANY_DEGREES: f64 = 1e4;

/// `P(|T| ≥ |t|)` of Student's law with `df` degrees of freedom, as `2 * scipy.stats.t.sf(abs(t), df)`; 1 for a `df`
/// that is not above 0 and for NaN.
#[must_use]
pub fn student_p_value(t: f64, df: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, df) {
        Ok(_) if df >= MANY_DEGREES && !t.is_nan() => normal_p_value(hill_deviate(t, df)),
        // The tail is the lower one, which is computed without a difference to 1.
        Ok(law) if !t.is_nan() => (2.0 * law.cdf(-t.abs())).clamp(0.0, 1.0),
        _ => 1.0,
    }
}

/// The value that a standard normal one exceeds as often as one of Student's law with `df` degrees exceeds `|t|` (Hill
/// 1970, algorithm 395 of the CACM).
fn hill_deviate(t: f64, df: f64) -> f64 {
    let a = df - 0.5;
    let b = 48.0 * a * a;
    // Not by the square, which may be infinite where the logarithm is not.
    let square = if t.abs() < 1e150 { a * (t * t / df).ln_1p() } else { a * (2.0 * t.abs().ln() - df.ln()) };
    let third = (((-0.4 * square - 3.3) * square - 24.0) * square - 85.5) / (0.8 * square * square + 100.0 + b);
    ((third + square + 3.0) / b + 1.0) * square.sqrt()
}

/// The value that Student's law with `df` degrees of freedom exceeds in absolute value with probability `alpha`, which is
/// kept within 1e-12 and 1, as `scipy.stats.t.isf(alpha / 2, df)`: by the expansion in 1/df (Abramowitz & Stegun 26.7.5),
/// below 10,000 degrees improved by Newton's steps on the p-value, below 30 by bisection.
#[must_use]
pub fn student_critical(alpha: f64, df: f64) -> f64 {
    let alpha = alpha.clamp(1e-12, 1.0);
    if df < 30.0 {
        return student_critical_by_bisection(alpha, df);
    }
    let expanded = student_critical_expanded(alpha, df);
    match StudentsT::new(0.0, 1.0, df) {
        // The first step leaves at most the square of the expansion's error, which is 6e-3 at its worst.
        Ok(law) if df < MANY_DEGREES => (0..3).fold(expanded, |t, _| {
            let density = 2.0 * law.pdf(t);
            t + (student_p_value(t, df) - alpha) / density
        }),
        _ => expanded,
    }
}

fn student_critical_expanded(alpha: f64, df: f64) -> f64 {
    let z = normal_critical(alpha);
    let square = z * z;
    let first = z * (square + 1.0) / 4.0;
    let second = z * ((5.0 * square + 16.0) * square + 3.0) / 96.0;
    let third = z * (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0;
    z + (first + (second + third / df) / df) / df
}

fn student_critical_by_bisection(alpha: f64, df: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_p_value(high, df) > alpha && high < 1e15 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if student_p_value(middle, df) > alpha { low = middle } else { high = middle }
    }
    high
}

/// Benjamini & Hochberg's (1995) adjusted p-values, in the order given, as `scipy.stats.false_discovery_control`.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[b].total_cmp(&p_values[a]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut smallest: f64 = 1.0;
    for (from_top, index) in order.into_iter().enumerate() {
        let rank = p_values.len() - from_top;
        smallest = smallest.min(p_values[index] * p_values.len() as f64 / rank as f64);
        // Multiplying and dividing by n may round below the p-value itself.
        adjusted[index] = smallest.max(p_values[index]);
    }
    adjusted
}
