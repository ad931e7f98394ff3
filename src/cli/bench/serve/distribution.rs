//! Times of many calls.

use std::time::Duration;

use serde::Serialize;

/// In microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Distribution {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) longest: f64,
}

impl Distribution {
    pub(super) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut micros: Vec<f64> = times.into_iter().map(|time| time.as_secs_f64() * 1e6).collect();
        micros.sort_unstable_by(f64::total_cmp);
        let at = |share| quantile(&micros, share);
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), longest: at(1.0) }
    }
}

/// The smallest value that at least `share` of the values do not exceed; zero of none.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the rank lies within the values")]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let times = (1..=1_000).rev().map(Duration::from_micros);
        let found = Distribution::of(times);
        let micros = [found.p50, found.p99, found.p999, found.longest].map(f64::round);
        assert_eq!(micros.map(f64::to_bits), [500.0, 990.0, 999.0, 1_000.0].map(f64::to_bits));
        assert_eq!(Distribution::of([]), Distribution::default());
    }
}
