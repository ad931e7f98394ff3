//! Is a share larger than it was, beyond chance?

use statrs::function::factorial::ln_binomial;

/// Terms smaller than this part of the sum change no digit of it.
const NEGLIGIBLE: f64 = 1e-17;

/// How many of how many rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub count: u64,
    pub of: u64,
}

impl Share {
    /// `count / of`; none of nothing.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }
}

/// One-sided p-value of "the current share is not above the reference's": `P(X ≥ count)` where `X` is hypergeometric
/// given both totals, as `scipy.stats.fisher_exact(…, alternative="greater")`. Exact at every sample size, and defined
/// where the reference has none at all. 1 when either side is empty.
#[must_use]
pub fn excess_p_value(current: Share, reference: Share) -> f64 {
    let (count, drawn) = (current.count.min(current.of), current.of);
    let successes = count + reference.count.min(reference.of);
    let population = drawn + reference.of;
    if drawn == 0 || reference.of == 0 || count == 0 {
        return 1.0;
    }
    let failures = population - successes;
    let least = drawn.saturating_sub(failures);
    let most = drawn.min(successes);
    let ln_all = ln_binomial(population, drawn);
    let probability = |x: u64| (ln_binomial(successes, x) + ln_binomial(failures, drawn - x) - ln_all).exp();
    // The ratio of neighbouring terms; beyond the mode it falls below one and keeps falling.
    let up = |x: u64| {
        let rising = (successes - x) as f64 * (drawn - x) as f64;
        rising / ((x + 1) as f64 * (failures + x + 1 - drawn) as f64)
    };
    let mode = (drawn as f64 + 1.0) * (successes as f64 + 1.0) / (population as f64 + 2.0);
    let sum = if count as f64 > mode {
        tail(count, probability(count), |x| (x < most).then(|| (x + 1, up(x))))
    } else {
        // The other tail is the shorter sum.
        let below = count.checked_sub(1).filter(|below| *below >= least);
        1.0 - below
            .map_or(0.0, |below| tail(below, probability(below), |x| (x > least).then(|| (x - 1, 1.0 / up(x - 1)))))
    };
    sum.clamp(0.0, 1.0)
}

/// Sums terms that each follow from the one before, until they no longer matter.
fn tail(start: u64, first: f64, next: impl Fn(u64) -> Option<(u64, f64)>) -> f64 {
    let (mut at, mut term, mut sum) = (start, first, first);
    while let Some((following, ratio)) = next(at) {
        at = following;
        term *= ratio;
        sum += term;
        if term <= sum * NEGLIGIBLE {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(count: u64, of: u64) -> Share {
        Share { count, of }
    }

    #[test]
    fn agrees_with_scipys_fisher_exact() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/quality.json")).unwrap();
        let cases = golden["fisher_exact_greater"].as_array().unwrap();
        assert!(cases.len() >= 10);
        for case in cases {
            let of = |name: &str| case[name].as_u64().unwrap();
            let expected = case["p_value"].as_f64().unwrap();
            let found = excess_p_value(share(of("k"), of("n")), share(of("k_reference"), of("n_reference")));
            assert!((found - expected).abs() <= 1e-7 * expected, "{case}: {found}");
        }
    }

    #[test]
    fn nothing_is_no_excess() {
        assert!((excess_p_value(share(0, 100), share(5, 100)) - 1.0).abs() < f64::EPSILON);
        assert!((excess_p_value(share(0, 0), share(5, 100)) - 1.0).abs() < f64::EPSILON);
        assert!((excess_p_value(share(5, 10), share(0, 0)) - 1.0).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn is_a_probability_that_falls_with_the_count(
            n in 1_u64..5_000, reference in 1_u64..5_000, k in 0_u64..5_000, base in 0_u64..5_000,
        ) {
            let (k, base) = (k.min(n), base.min(reference));
            let p = excess_p_value(share(k, n), share(base, reference));
            prop_assert!((0.0..=1.0).contains(&p));
            // The totals change with the count, but an all-bad window is never less surprising.
            prop_assert!(excess_p_value(share(n, n), share(base, reference)) <= p + 1e-9);
        }
    }
}
