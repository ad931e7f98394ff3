//! Series in standard units: how far each pane's mean is from what is normal.

use super::panes::{Detection, PanePoint, in_order, over_panes, run};
use super::running::RunningVariance;
use super::{DetectorSettings, InputDomain, InvalidSetting};

/// A pane's mean counts as no more certain than that of so many rows: what differs by less than a tenth of a row's
/// standard deviation is within the noise of any real stream, however many rows there are.
const MOST_ROWS: u64 = 100;
/// Panes that tell what is normal where the reference does not.
const OWN_PANES: f64 = 30.0;
/// Smaller deviations, as a share of the mean, are rounding.
const LEAST_DEVIATION: f64 = 1e-12;
/// Standardised values are whole multiples of one part in this many: sums that were added up in another order differ
/// by less, and their rounding is never taken for a change.
const GRID: f64 = 1e9;

/// What is normal for the rows of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    mean: f64,
    /// Standard deviation of single rows.
    deviation: f64,
    /// Rows that both were taken from.
    rows: u64,
}

impl Baseline {
    /// `None` where nothing can be measured in such units: no rows, numbers that are not finite, or rows that do not
    /// differ by more than rounding.
    #[must_use]
    pub fn new(mean: f64, deviation: f64, rows: u64) -> Option<Self> {
        let is_measure = mean.is_finite() && deviation.is_finite() && deviation > least_deviation(mean);
        (is_measure && rows > 0).then_some(Self { mean, deviation, rows })
    }

    #[must_use]
    pub const fn mean(&self) -> f64 {
        self.mean
    }

    /// How many standard errors the pane's mean `m` of `n` rows is from the normal one, `z = (m − μ) / (σ·√(1/n + 1/N))`,
    /// where `N` is the number of rows that the normal mean `μ` and deviation `σ` were taken from, and `n` is at most 100.
    ///
    /// With independent rows and nothing changed, `z` is about standard normal. For errors `σ` is about the binomial
    /// `√(p(1 − p))`. `None` without rows or where `z` is not finite.
    #[must_use]
    pub fn standardised(&self, pane: &PanePoint) -> Option<f64> {
        let rows = pane.count.min(MOST_ROWS);
        if rows == 0 {
            return None;
        }
        let error = self.deviation * (1.0 / rows as f64 + 1.0 / self.rows as f64).sqrt();
        on_grid((pane.mean - self.mean) / error)
    }
}

/// Runs a detector over a series of panes as it is read in the stream, and names the panes at which it warned or found
/// drift. Like [`over_panes`] a function of the set of panes.
///
/// - Detectors of errors (DDM, EDDM, HDDM-A, HDDM-W) read what [`over_panes`] gives them.
/// - The others read [`Baseline::standardised`] values, since their thresholds are in units of the series: so the
///   defaults mean the same for a share and for a price. CUSUM then needs no warm-up. Over independent standard normal
///   values without a change, the defaults give a drift about every 465 panes for CUSUM (10,000 with a decision interval
///   of 8), every 1,600 for Page–Hinkley, every 800 for KSWIN, and next to never for ADWIN.
/// - Without a baseline they read `(m − μ) / s`, with `μ` and `s` the mean and standard deviation of the means of the
///   first 30 panes, which are not judged; more than 30 until these differ.
///
/// What is found at a pane depends on it and the panes before it only.
pub fn over_series(
    settings: &DetectorSettings,
    baseline: Option<&Baseline>,
    panes: &[PanePoint],
) -> Result<Vec<Detection>, InvalidSetting> {
    if settings.kind().domain() != InputDomain::Real {
        return over_panes(settings, panes);
    }
    let mut panes = in_order(panes);
    let Some(baseline) = baseline else {
        by_the_first_panes(&mut panes);
        return Ok(run(settings.build()?.as_mut(), InputDomain::Real, &panes));
    };
    for pane in &mut panes {
        let standardised = baseline.standardised(pane);
        leave_out_or(pane, standardised);
    }
    Ok(run(settings.build_standardised()?.as_mut(), InputDomain::Real, &panes))
}

fn by_the_first_panes(panes: &mut [PanePoint]) {
    let mut first = RunningVariance::default();
    let mut normal: Option<(f64, f64)> = None;
    for pane in panes.iter_mut().filter(|pane| pane.count > 0 && pane.mean.is_finite()) {
        let standardised = normal.and_then(|(mean, deviation)| on_grid((pane.mean - mean) / deviation));
        if normal.is_none() {
            first.push(pane.mean);
            let (mean, deviation) = (first.mean.mean, first.variance().max(0.0).sqrt());
            let is_known = first.mean.count >= OWN_PANES && deviation.is_finite() && deviation > least_deviation(mean);
            normal = is_known.then_some((mean, deviation));
        }
        leave_out_or(pane, standardised);
    }
}

fn leave_out_or(pane: &mut PanePoint, value: Option<f64>) {
    match value {
        Some(value) => pane.mean = value,
        None => pane.count = 0,
    }
}

fn least_deviation(mean: f64) -> f64 {
    (LEAST_DEVIATION * mean.abs()).max(f64::MIN_POSITIVE / f64::EPSILON)
}

fn on_grid(value: f64) -> Option<f64> {
    let rounded = (value * GRID).round() / GRID;
    // Beyond the largest multiple there is no rounding to fear.
    let value = if rounded.is_finite() { rounded } else { value };
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::detector::{DetectorKind, Signal, SplitMix64};

    fn pane(index: i64, mean: f64, count: u64) -> PanePoint {
        PanePoint { start: Timestamp::from_millis(index * 60_000), mean, count }
    }

    fn real() -> impl Iterator<Item = DetectorKind> {
        DetectorKind::ALL.into_iter().filter(|kind| kind.domain() == InputDomain::Real)
    }

    /// Means of 50 rows of a column with mean 2,000 and deviation 500, which are 2,200 from the 200th pane on.
    fn prices(seed: u64, change: f64) -> Vec<PanePoint> {
        let mut generator = SplitMix64::new(seed);
        let mut row = || 500.0 * 12_f64.sqrt() * (generator.next_uniform() - 0.5);
        let mut mean = |index| {
            let centre = if index < 200 { 2_000.0 } else { 2_000.0 + change };
            centre + (0..50).map(|_| row()).sum::<f64>() / 50.0
        };
        (0..260).map(|index| pane(index, mean(index), 50)).collect()
    }

    fn drifts(kind: DetectorKind, baseline: Option<&Baseline>, panes: &[PanePoint]) -> Vec<usize> {
        let found = over_series(&kind.into(), baseline, panes).unwrap();
        found.iter().filter(|found| found.signal == Signal::Drift).map(|found| found.pane).collect()
    }

    #[test]
    fn a_value_is_its_distance_in_standard_errors() {
        let baseline = Baseline::new(0.2, 0.4, 100).unwrap();
        let of = |mean, count| baseline.standardised(&pane(0, mean, count));
        assert_eq!(of(0.2, 7), Some(0.0));
        // 0.4·√(1/25 + 1/100) = 0.0894…
        assert!((of(0.3, 25).unwrap() - 0.1 / (0.4 * 0.05_f64.sqrt())).abs() < 1e-9);
        assert_eq!(of(0.3, 100), of(0.3, 1_000_000));
        assert_eq!((of(0.3, 0), of(f64::NAN, 5), of(f64::INFINITY, 5)), (None, None, None));
        assert_eq!(of(0.3 + 1e-15, 25), of(0.3, 25));
    }

    #[test]
    fn what_does_not_vary_is_no_measure() {
        assert_eq!(Baseline::new(5.0, 0.0, 10), None);
        assert_eq!(Baseline::new(5.0, 1e-15, 10), None);
        assert_eq!(Baseline::new(0.0, f64::MIN_POSITIVE, 10), None);
        assert_eq!(Baseline::new(f64::NAN, 1.0, 10), None);
        assert_eq!(Baseline::new(5.0, 1.0, 0), None);
    }

    #[test]
    fn defaults_find_a_change_in_any_unit_and_are_quiet_before_it() {
        let known = Baseline::new(2_000.0, 500.0, 10_000).unwrap();
        for kind in real() {
            for baseline in [Some(&known), None] {
                let found = drifts(kind, baseline, &prices(3, 400.0));
                assert!(found.iter().any(|pane| (200..260).contains(pane)), "{kind} {baseline:?}: {found:?}");
                // One in 200 is what the run lengths of these two let one expect at most now and then.
                let most = usize::from(matches!(kind, DetectorKind::Cusum | DetectorKind::Kswin));
                let early = found.iter().filter(|pane| **pane < 200).count();
                assert!(early <= most, "{kind} {baseline:?}: {found:?}");
            }
        }
    }

    #[test]
    fn the_unit_does_not_matter() {
        let known = Baseline::new(2_000.0, 500.0, 10_000).unwrap();
        let thousand = Baseline::new(2e6, 5e5, 10_000).unwrap();
        let scaled: Vec<PanePoint> =
            prices(4, 400.0).iter().map(|pane| PanePoint { mean: 1e3 * pane.mean, ..*pane }).collect();
        for kind in real() {
            assert_eq!(drifts(kind, Some(&known), &prices(4, 400.0)), drifts(kind, Some(&thousand), &scaled), "{kind}");
            assert_eq!(drifts(kind, None, &prices(4, 400.0)), drifts(kind, None, &scaled), "{kind}");
        }
    }

    #[test]
    fn what_is_found_at_a_pane_does_not_depend_on_later_panes() {
        let panes = prices(5, 400.0);
        let known = Baseline::new(2_000.0, 500.0, 10_000).unwrap();
        for kind in DetectorKind::ALL {
            for baseline in [Some(&known), None] {
                let whole = over_series(&kind.into(), baseline, &panes).unwrap();
                for length in [1, 29, 31, 150, 203, 215, 240] {
                    let part = over_series(&kind.into(), baseline, &panes[..length]).unwrap();
                    let wanted: Vec<Detection> = whole.iter().copied().filter(|found| found.pane < length).collect();
                    assert_eq!(part, wanted, "{kind} {length}");
                }
            }
        }
    }

    #[test]
    fn rounding_of_a_constant_series_is_no_change() {
        let noise = |index: i64| if index % 3 == 0 { 1e-13 } else { 0.0 };
        let panes: Vec<PanePoint> = (0..500).map(|index| pane(index, 5.0 + noise(index), 50)).collect();
        let known = Baseline::new(5.0, 1.0, 10_000).unwrap();
        for kind in real() {
            assert!(drifts(kind, Some(&known), &panes).is_empty(), "{kind}");
            assert!(drifts(kind, None, &panes).is_empty(), "{kind}");
        }
    }
}
