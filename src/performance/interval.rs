//! Values with their standard errors and 95 % confidence intervals.

use super::metrics::{Estimate, wilson};

/// 97.5 % point of the standard normal distribution.
pub(super) const Z_95: f64 = 1.959_963_984_540_054;

/// The values a metric can have; intervals are cut there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Domain {
    pub(super) lowest: f64,
    pub(super) highest: f64,
}

impl Domain {
    pub(super) const SHARE: Self = Self { lowest: 0.0, highest: 1.0 };
    pub(super) const LOSS: Self = Self { lowest: 0.0, highest: f64::MAX };
    pub(super) const ANY: Self = Self { lowest: f64::MIN, highest: f64::MAX };
    pub(super) const AT_MOST_ONE: Self = Self { lowest: f64::MIN, highest: 1.0 };
}

/// `successes / n` with Wilson's interval (1927) and Agresti & Coull's error (1998), which is never 0; `None` for
/// `n = 0`.
pub(super) fn proportion(successes: u64, n: u64) -> Option<Estimate> {
    if n == 0 {
        return None;
    }
    let (lower, upper) = wilson(successes, n, Z_95);
    let standard_error = adjusted_variance(successes as f64, n as f64).sqrt();
    Some(Estimate { value: successes as f64 / n as f64, lower, upper, standard_error, n })
}

/// Agresti & Coull's variance of `successes / n`: the binomial one with `z²` cases added, half of them successes.
pub(super) fn adjusted_variance(successes: f64, n: f64) -> f64 {
    let half = Z_95 * Z_95 / 2.0;
    let cases = n + 2.0 * half;
    // Not by `share * (1 − share)`, which rounds to 0 for shares next to 1.
    let failures = (n - successes).max(0.0);
    ((successes + half) / cases) * ((failures + half) / cases) / cases
}

/// The mean loss with the error `√(Σ(x − x̄)² / (n (n − 1)))` of the normal approximation (central limit theorem).
/// `None` for fewer than two losses, of which no error can be told, and where a float cannot hold the result.
pub(super) fn mean(sum: f64, sum_of_squares: f64, n: u64, domain: Domain) -> Option<Estimate> {
    if n < 2 {
        return None;
    }
    let cases = n as f64;
    let mean = sum / cases;
    let variance = ((sum_of_squares - sum * mean) / (cases - 1.0)).max(0.0);
    normal(mean, (variance / cases).sqrt(), n, domain)
}

/// `value ± z·error`, cut to the domain; `None` where something is not finite.
pub(super) fn normal(value: f64, standard_error: f64, n: u64, domain: Domain) -> Option<Estimate> {
    widened((value, value, value), standard_error, n, domain)
}

/// As [`normal`] for a value (first) that is certain only within the bounds (second and third).
pub(super) fn widened(
    (value, lower, upper): (f64, f64, f64),
    standard_error: f64,
    n: u64,
    domain: Domain,
) -> Option<Estimate> {
    let is_finite = [value, lower, upper, standard_error].iter().all(|number| number.is_finite());
    if !is_finite || value < domain.lowest || value > domain.highest {
        return None;
    }
    let half = Z_95 * standard_error;
    Some(Estimate {
        value,
        lower: (lower - half).max(domain.lowest),
        upper: (upper + half).min(domain.highest),
        // Equal losses have no spread; that leaves an error which can still be divided by.
        standard_error: standard_error.max(f64::MIN_POSITIVE),
        n,
    })
}

/// The smallest error of a share-like metric of `n` cases: a finite sample never proves a share of 0 or 1.
pub(super) fn least_error(n: u64) -> f64 {
    1.0 / (n as f64 + Z_95 * Z_95)
}
