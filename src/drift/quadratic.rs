//! Limiting laws of the quadratic statistics of two distribution functions.

use std::f64::consts::{FRAC_PI_2, PI};
use std::sync::LazyLock;

/// Nodes per stretch of the integral.
const NODES: u32 = 32;
/// Stretches that are summed at most; those beyond matter only where the probability is 1.
const STRETCHES: u32 = 60;

/// The law of `∫ B(u)²·w(u) du` of a Brownian bridge, a sum of `χ²₁ / uⱼ` over its poles `uⱼ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuadraticLaw {
    /// `w = 1`, `uⱼ = (jπ)²`.
    CramerVonMises,
    /// `w = 1/(u(1 − u))`, `uⱼ = j(j + 1)`.
    AndersonDarling,
}

/// `cos θ` and `sin θ / √cos(π/2·cos θ)` at the nodes of the Gauss–Chebyshev rule.
static RULE: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    (0..NODES)
        .map(|node| {
            let theta = (f64::from(node) + 0.5) * PI / f64::from(NODES);
            (theta.cos(), theta.sin() / (FRAC_PI_2 * theta.cos()).cos().sqrt())
        })
        .collect()
});

impl QuadraticLaw {
    /// The probability of `x` or more, by Smirnov's formula
    /// `1/π · Σ_k (−1)^(k+1) ∫ e^(−xu/2) / (u·√|D(u)|) du` over `u` from pole `2k − 1` to pole `2k`, where `D` is the
    /// Fredholm determinant: `sin √u / √u`, or `−cos(π/2·√(1 + 4u)) / (πu)`. Its singularities at the poles are those
    /// of the Gauss–Chebyshev rule. Nothing cancels in the tail, so small probabilities keep their digits.
    ///
    /// Agrees with the series of `scipy.stats.cramervonmises` to that one's own 5e-9. Source: Smirnov (1936), Anderson & Darling (1952).
    #[must_use]
    pub fn p_value(self, x: f64) -> f64 {
        if x.is_nan() || x < self.least() {
            return 1.0;
        }
        let mut sum = 0.0;
        for stretch in 1..=STRETCHES {
            let part: f64 = RULE.iter().map(|(cos, weight)| weight * self.integrand(x, stretch, *cos)).sum();
            sum += if stretch % 2 == 1 { part } else { -part };
            if part <= 1e-17 * sum {
                break;
            }
        }
        let factor = match self {
            Self::CramerVonMises => PI,
            Self::AndersonDarling => 1.0,
        };
        (factor / f64::from(NODES) * sum).clamp(0.0, 1.0)
    }

    fn integrand(self, x: f64, stretch: u32, cos: f64) -> f64 {
        let stretch = f64::from(stretch);
        match self {
            Self::CramerVonMises => {
                let v = PI * (2.0 * stretch - 0.5 + 0.5 * cos);
                (-0.5 * x * v * v).exp() / v.sqrt()
            }
            Self::AndersonDarling => {
                let w = 4.0 * stretch + cos;
                let u = 0.25 * (w * w - 1.0);
                0.5 * w * (-0.5 * x * u).exp() * (PI / u).sqrt()
            }
        }
    }

    /// Below this all but 1e-15 of the probability lies above.
    const fn least(self) -> f64 {
        match self {
            Self::CramerVonMises => 0.003,
            Self::AndersonDarling => 0.03,
        }
    }

    /// The value that is exceeded with probability `alpha`, to about 1e-9 of it; for an `alpha` of 1 or more the value
    /// below which nothing lies.
    #[must_use]
    pub fn critical(self, alpha: f64) -> f64 {
        let target = alpha.clamp(1e-300, 1.0);
        let (mut low, mut high) = (self.least(), 1.0);
        while self.p_value(high) > target && high < 1e3 {
            (low, high) = (high, 2.0 * high);
        }
        for _ in 0..60 {
            // The logarithm of the tail is nearly straight.
            let (above, below) = (self.p_value(low).ln(), self.p_value(high).max(1e-308).ln());
            let guess = low + (high - low) * ((above - target.ln()) / (above - below)).clamp(0.01, 0.99);
            if !guess.is_finite() || high - low < 1e-10 * high {
                break;
            }
            let p = self.p_value(guess);
            if p > target {
                low = guess;
            } else {
                high = guess;
            }
            if (p / target - 1.0).abs() < 1e-9 {
                return guess;
            }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_critical_values_are_met() {
        // Anderson & Darling (1952), table of the limit; Stephens (1974), upper tail of A².
        for (x, p) in [(0.347_30, 0.10), (0.461_36, 0.05), (0.743_46, 0.01), (1.167_86, 0.001)] {
            let found = QuadraticLaw::CramerVonMises.p_value(x);
            assert!((found / p - 1.0).abs() < 1e-4, "{x}: {found}");
        }
        for (x, p) in [(1.933, 0.10), (2.492, 0.05), (3.878, 0.01)] {
            let found = QuadraticLaw::AndersonDarling.p_value(x);
            assert!((found / p - 1.0).abs() < 2e-3, "{x}: {found}");
        }
    }

    #[test]
    fn critical_values_are_exceeded_with_their_probability() {
        for law in [QuadraticLaw::CramerVonMises, QuadraticLaw::AndersonDarling] {
            for alpha in [0.9, 0.5, 0.1, 0.01, 1e-4, 1e-9] {
                let p = law.p_value(law.critical(alpha));
                assert!((p / alpha - 1.0).abs() < 1e-6, "{law:?} {alpha}: {p}");
            }
        }
    }

    #[test]
    fn the_tail_falls_and_never_leaves_the_unit_interval() {
        for law in [QuadraticLaw::CramerVonMises, QuadraticLaw::AndersonDarling] {
            let mut last = 1.0;
            for step in 0..4_000 {
                let p = law.p_value(f64::from(step) * 0.01 - 1.0);
                assert!((0.0..=1.0).contains(&p) && p <= last + 1e-12, "{law:?} at step {step}: {p} after {last}");
                last = p;
            }
            assert!(law.p_value(f64::INFINITY).abs() < f64::MIN_POSITIVE);
            assert!((law.p_value(f64::NAN) - 1.0).abs() < f64::EPSILON);
        }
    }
}
