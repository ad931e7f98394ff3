//! Detectors over a model's panes.

use serde::{Deserialize, Serialize};

use super::{Detector, DetectorSettings, InputDomain, InvalidSetting, Signal};
use crate::clock::Timestamp;

/// Most rows that a pane counts for with the detectors of single errors.
pub const MAX_ROWS_PER_PANE: u64 = 10_000;

/// What a pane says of a series: its mean over so many rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PanePoint {
    /// The start of the pane, in event time.
    pub start: Timestamp,
    /// Mean of the error, loss or feature over the pane's rows.
    pub mean: f64,
    /// Rows with a value.
    pub count: u64,
}

/// A pane at which a detector warned or found drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// Index of the pane in event-time order.
    pub pane: usize,
    pub start: Timestamp,
    /// The most severe signal of the pane; never [`Signal::Stable`].
    pub signal: Signal,
}

/// Runs a detector over a series of panes in event-time order and names the panes at which it warned or found drift.
///
/// A function of the set of panes: they are sorted by start first (then by mean and count, should two have the same
/// start), so the order in which they come does not matter, and a revised pane gives what it would have given at once.
///
/// How counts weigh depends on what the detector reads:
/// - DDM and EDDM read single errors. A pane with mean `m` over `n` rows, `m` in 0…1, is read as `n` rows of which
///   `round(m·n)` are errors, spread evenly: row `i` is one when `⌊(i + 1)·errors/n⌋` exceeds `⌊i·errors/n⌋`. The order
///   of the rows within the pane is not known, and any clustering in it is lost. Distances between errors vary less
///   than between rows, which makes EDDM restless: on panes of 100 rows with an unchanging error rate of 0.1 it finds a
///   drift about every 160 panes (DDM about every 10,000). A pane with more than [`MAX_ROWS_PER_PANE`] rows is read as
///   that many, with errors in proportion.
/// - The others read one value per pane, its mean, whatever the count.
///
/// A pane without rows, with a mean that is not finite, or (DDM, EDDM) with a mean outside 0…1 is left out; it keeps
/// its index.
pub fn over_panes(settings: &DetectorSettings, panes: &[PanePoint]) -> Result<Vec<Detection>, InvalidSetting> {
    Ok(run(settings.build()?.as_mut(), settings.kind().domain(), &in_order(panes)))
}

pub(super) fn in_order(panes: &[PanePoint]) -> Vec<PanePoint> {
    let mut sorted = panes.to_vec();
    sorted.sort_by(|a, b| a.start.cmp(&b.start).then(a.mean.total_cmp(&b.mean)).then(a.count.cmp(&b.count)));
    sorted
}

pub(super) fn run(detector: &mut dyn Detector, domain: InputDomain, sorted: &[PanePoint]) -> Vec<Detection> {
    let mut found = Vec::new();
    for (index, pane) in sorted.iter().enumerate() {
        let signal = match domain {
            InputDomain::Errors => read_rows(detector, pane),
            InputDomain::UnitInterval | InputDomain::Real => read_mean(detector, pane),
        };
        if signal > Signal::Stable {
            found.push(Detection { pane: index, start: pane.start, signal });
        }
    }
    found
}

fn read_mean(detector: &mut dyn Detector, pane: &PanePoint) -> Signal {
    if pane.count == 0 { Signal::Stable } else { detector.update(pane.mean) }
}

fn read_rows(detector: &mut dyn Detector, pane: &PanePoint) -> Signal {
    let mut worst = Signal::Stable;
    for is_error in rows(pane) {
        worst = worst.max(detector.update(if is_error { 1.0 } else { 0.0 }));
    }
    worst
}

/// Whether each row of the pane is an error, the errors spread evenly.
fn rows(pane: &PanePoint) -> impl Iterator<Item = bool> {
    let is_error_rate = (0.0..=1.0).contains(&pane.mean);
    let count = if is_error_rate { pane.count.min(MAX_ROWS_PER_PANE) } else { 0 };
    let share = if is_error_rate { pane.mean } else { 0.0 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to MAX_ROWS_PER_PANE")]
    let errors = (share * count as f64).round() as u64;
    let up_to = move |row: u64| row * errors / count.max(1);
    (0..count).map(move |row| up_to(row + 1) > up_to(row))
}

#[cfg(test)]
mod tests {
    use super::{Detection, MAX_ROWS_PER_PANE, PanePoint, over_panes, rows};
    use crate::clock::Timestamp;
    use crate::detector::{DetectorKind, DetectorSettings, InputDomain, PageHinkleySettings, Signal, SplitMix64};

    fn pane(index: i64, mean: f64, count: u64) -> PanePoint {
        PanePoint { start: Timestamp::from_millis(index * 60_000), mean, count }
    }

    fn errors(pane: &PanePoint) -> usize {
        rows(pane).filter(|is_error| *is_error).count()
    }

    /// Panes of 50 rows with an error rate of about 0.1 and, from the 200th pane on, of about 0.8.
    fn worsening() -> Vec<PanePoint> {
        let mut generator = SplitMix64::new(21);
        let mut mean = |index| (if index < 200 { 0.1 } else { 0.8 }) + 0.1 * (generator.next_uniform() - 0.5);
        (0..400).map(|index| pane(index, mean(index), 50)).collect()
    }

    #[test]
    fn a_pane_is_read_as_its_rows_with_the_errors_spread_evenly() {
        let read: Vec<bool> = rows(&pane(0, 0.3, 10)).collect();
        let (o, x) = (false, true);
        assert_eq!(vec![o, o, o, x, o, o, x, o, o, x], read);
        assert_eq!(0, errors(&pane(0, 0.0, 10)));
        assert_eq!(10, errors(&pane(0, 1.0, 10)));
        assert_eq!(0, rows(&pane(0, 0.5, 0)).count());
        assert_eq!(0, rows(&pane(0, 1.5, 10)).count());
        assert_eq!(0, rows(&pane(0, f64::NAN, 10)).count());
    }

    #[test]
    fn panes_of_one_row_are_the_rows() {
        let mut generator = SplitMix64::new(24);
        let error = |index| f64::from(u8::from(generator.next_uniform() < if index < 1_000 { 0.1 } else { 0.5 }));
        let errors: Vec<f64> = (0..2_000).map(error).collect();
        let panes: Vec<PanePoint> = (0..).zip(&errors).map(|(index, error)| pane(index, *error, 1)).collect();
        for kind in DetectorKind::ALL {
            let settings = DetectorSettings::from(kind);
            let mut detector = settings.build().unwrap();
            let signals = errors.iter().map(|error| detector.update(*error)).enumerate();
            let wanted: Vec<(usize, Signal)> = signals.filter(|(_, signal)| *signal != Signal::Stable).collect();
            let found = over_panes(&settings, &panes).unwrap();
            let found: Vec<(usize, Signal)> = found.iter().map(|found| (found.pane, found.signal)).collect();
            assert_eq!(wanted, found, "{kind}");
            let warns = found.iter().any(|(_, signal)| *signal == Signal::Warning);
            assert_eq!(warns, kind.domain() != InputDomain::Real, "{kind}");
        }
    }

    #[test]
    fn a_huge_pane_is_scaled_down_in_proportion() {
        let huge = pane(0, 0.25, u64::MAX);
        assert_eq!(MAX_ROWS_PER_PANE, rows(&huge).count() as u64);
        assert_eq!(2_500, errors(&huge));
    }

    #[test]
    fn every_detector_finds_the_change_in_a_series_of_panes() {
        for kind in DetectorKind::ALL {
            let settings = match kind {
                // In units of the series: the default is meant for changes of the order of 1.
                DetectorKind::PageHinkley => {
                    DetectorSettings::PageHinkley(PageHinkleySettings { threshold: 5.0, ..Default::default() })
                }
                other => other.into(),
            };
            let found = over_panes(&settings, &worsening()).unwrap();
            let drift = found.iter().find(|detection| detection.signal == Signal::Drift && detection.pane >= 200);
            assert!(drift.is_some_and(|detection| detection.pane < 300), "{kind}: {found:?}");
        }
    }

    #[test]
    fn panes_that_differ_by_chance_alone_are_seldom_drift() {
        let mut generator = SplitMix64::new(23);
        let mut errors = || (0..100).filter(|_| generator.next_uniform() < 0.1).count() as f64 / 100.0;
        let quiet: Vec<PanePoint> = (0..2_000).map(|index| pane(index, errors(), 100)).collect();
        for kind in DetectorKind::ALL {
            let found = over_panes(&kind.into(), &quiet).unwrap();
            let drifts = found.iter().filter(|detection| detection.signal == Signal::Drift).count();
            let most = match kind {
                DetectorKind::Eddm => 40,  // one pane in fifty: it is known to be restless
                DetectorKind::Cusum => 10, // 2,000 values at an average run length of 465
                DetectorKind::Kswin | DetectorKind::Ddm => 5,
                _ => 0,
            };
            assert!(drifts <= most, "{kind}: {drifts}");
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let panes = worsening();
        let mut shuffled = panes.clone();
        let mut generator = SplitMix64::new(22);
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, generator.next_below(u32::try_from(last).unwrap() + 1) as usize);
        }
        assert_ne!(panes, shuffled);
        for kind in DetectorKind::ALL {
            let (in_order, out_of_order) =
                (over_panes(&kind.into(), &panes).unwrap(), over_panes(&kind.into(), &shuffled).unwrap());
            assert_eq!(in_order, out_of_order, "{kind}");
        }
    }

    #[test]
    fn panes_without_rows_or_a_finite_mean_change_nothing_but_the_index() {
        let panes = worsening();
        for kind in DetectorKind::ALL {
            let mut with_gaps = vec![pane(-2, 0.9, 0), pane(-1, f64::NAN, 50)];
            with_gaps.extend(&panes);
            let moved = |detection: &Detection| Detection { pane: detection.pane + 2, ..*detection };
            let wanted: Vec<Detection> = over_panes(&kind.into(), &panes).unwrap().iter().map(moved).collect();
            assert_eq!(wanted, over_panes(&kind.into(), &with_gaps).unwrap(), "{kind}");
        }
    }
}
