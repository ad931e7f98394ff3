//! The exact two-sample Kolmogorov–Smirnov test for two samples of the same size.

/// The probability that `D ≥ h/n` for two samples of `n` values each from one continuous distribution, where
/// `D = sup |F − G|` of their empirical distribution functions and `h` is the `distance` in values.
///
/// By the reflection principle on the lattice paths (Hodges 1957, Drion 1952):
/// `p = 2·Σ_{k = 1…⌊n/h⌋} (−1)^{k+1} · C(2n, n − kh)/C(2n, n)`; 1 for `h = 0` and 0 for `h > n`. The same as
/// `scipy.stats.ks_2samp(method="exact")`, which `method="auto"` chooses up to 10,000 values. With ties it is an upper
/// bound (the test is conservative).
#[must_use]
pub fn exact_p_value(distance: u32, n: u32) -> f64 {
    if distance == 0 {
        return 1.0;
    }
    if distance > n {
        return 0.0;
    }
    let size = f64::from(n);
    let mut sum = 0.0;
    let mut sign = 1.0;
    let mut ratio = 1.0; // C(2n, n − kh)/C(2n, n)
    for shift in 0..distance * (n / distance) {
        let shift_so_far = f64::from(shift);
        ratio *= (size - shift_so_far) / (size + shift_so_far + 1.0);
        if (shift + 1) % distance == 0 {
            sum += sign * ratio;
            sign = -sign;
        }
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

/// The smallest distance in values, at least `least`, whose [`exact_p_value`] is at most `alpha`; none when even two
/// samples without overlap are not that rare.
#[must_use]
pub fn critical_count(n: u32, alpha: f64, least: u32) -> Option<u32> {
    let (mut low, mut high) = (least.min(n), n);
    if exact_p_value(high, n) > alpha || least > n {
        return None;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if exact_p_value(middle, n) <= alpha {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::{critical_count, exact_p_value};

    /// The share of all arrangements of two samples of `n` values whose walk reaches ±h: exact by enumeration.
    fn enumerated(h: i32, n: u32) -> f64 {
        let arrangements: Vec<u32> = (0..1_u32 << (2 * n)).filter(|bits| bits.count_ones() == n).collect();
        let reaches = |bits: &&u32| {
            let mut walk = 0_i32;
            (0..2 * n).any(|step| {
                walk += if **bits >> step & 1 == 1 { 1 } else { -1 };
                walk.abs() >= h
            })
        };
        arrangements.iter().filter(reaches).count() as f64 / arrangements.len() as f64
    }

    #[test]
    fn the_p_value_is_the_share_of_arrangements_at_least_as_far_apart() {
        for n in 1..=7 {
            for h in 0..=n {
                let (found, wanted) = (exact_p_value(h, n), enumerated(h.cast_signed(), n));
                assert!((found - wanted).abs() < 1e-14, "h {h}, n {n}: {found} is not {wanted}");
            }
        }
        assert!(exact_p_value(8, 7).abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn the_critical_count_is_the_first_that_is_rare_enough() {
        for (n, alpha) in [(30, 0.005), (30, 0.5), (5, 0.01), (100, 0.001), (1_000, 0.05)] {
            let h = critical_count(n, alpha, 1).unwrap();
            assert!(exact_p_value(h, n) <= alpha && exact_p_value(h - 1, n) > alpha, "n {n}, alpha {alpha}: {h}");
        }
        assert_eq!(None, critical_count(3, 0.01, 1), "two samples of three cannot be that far apart");
        assert_eq!(Some(20), critical_count(30, 0.5, 20), "the least distance counts");
        assert_eq!(None, critical_count(30, 0.5, 31));
        assert_eq!(None, critical_count(30, 0.0, 1));
    }
}
