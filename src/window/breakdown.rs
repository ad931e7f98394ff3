//! What a window's outcomes and attributions are made of, beside the reference's.

use xxhash_rust::xxh3::xxh3_64;

use crate::event::{AttributionRow, CalibrationRow, ConfusionRow, DistributionRow};
use crate::performance::{
    CalibrationBin, ConfusionCell, OutcomeAnchors, OutcomeCounts, calibration_curve, confusion_matrix,
};
use crate::profile::{Anchors, AttributionSums, LABEL_COLUMN, NumericAnchors, Profile, SCORE_COLUMN, ValueAnchors};

/// The latency among the distributions.
pub const LATENCY: &str = "latency_ms";
const UNSEEN_BIN: i32 = -1;
const INVALID_BIN: i32 = -2;
/// Cells of one matrix, the largest ones: that of a hundred classes has ten thousand.
const MAX_CELLS: usize = 400;
/// Bins of one window's curves, of the classes with the most outcomes.
const MAX_BINS: usize = 200;

/// The confusion matrix, cells that are empty left out; see [`confusion_matrix`]. Empty for regressions.
#[must_use]
pub fn confusion_rows(
    anchors: OutcomeAnchors<'_>,
    negative: &str,
    reference: Option<&OutcomeCounts>,
    current: &OutcomeCounts,
) -> Vec<ConfusionRow> {
    let normal = reference.map(|counts| confusion_matrix(counts, anchors, negative)).unwrap_or_default();
    let all = |cells: &[ConfusionCell]| cells.iter().map(|cell| cell.count).sum::<u64>() as f64;
    let share_in_reference = |cell: &ConfusionCell| {
        let same = normal.iter().find(|other| (&other.predicted, &other.actual) == (&cell.predicted, &cell.actual));
        (!normal.is_empty()).then(|| same.map_or(0.0, |same| same.count as f64 / all(&normal)))
    };
    let mut cells = confusion_matrix(current, anchors, negative);
    let total = all(&cells);
    keep_largest(&mut cells, MAX_CELLS, |cell| cell.count);
    cells
        .into_iter()
        .map(|cell| ConfusionRow {
            share: cell.count as f64 / total,
            reference: share_in_reference(&cell),
            predicted: cell.predicted,
            actual: cell.actual,
            count: cell.count,
        })
        .collect()
}

/// What was predicted, as labels and in deciles of the reference, and how long it took. Labels are known by the hash of
/// their names, so that versions with different references can be compared. Missing predictions are left out: they are errors.
#[must_use]
pub fn distribution_rows(anchors: &Anchors, profile: &Profile) -> Vec<DistributionRow> {
    let mut rows = Vec::new();
    for (column, counts) in anchors.columns.iter().zip(&profile.columns) {
        if ![LABEL_COLUMN, SCORE_COLUMN].contains(&column.name.as_str()) {
            continue;
        }
        let (frame, mut bins): (u64, Vec<(i32, u64)>) = match &column.values {
            ValueAnchors::Numeric(numeric) => (frame_of(numeric), (0..).zip(numeric.coarse(&counts.bins)).collect()),
            ValueAnchors::Categorical(labels) => {
                let named = labels.categories().iter().map(|name| number_of(name));
                (0, named.zip(counts.bins.iter().copied()).collect())
            }
        };
        bins.extend([(INVALID_BIN, counts.invalid), (UNSEEN_BIN, counts.unseen)]);
        bins.retain(|(_, count)| *count > 0);
        rows.push(DistributionRow { subject: column.name.clone(), frame, bins });
    }
    rows.push(DistributionRow { subject: LATENCY.to_owned(), frame: 0, bins: profile.latency.to_bins() });
    rows
}

fn frame_of(anchors: &NumericAnchors) -> u64 {
    let bins = anchors.coarse(&[]).len();
    let edges = (0..bins).filter_map(|bin| anchors.coarse_bounds(bin).1);
    xxh3_64(&edges.flat_map(f64::to_le_bytes).collect::<Vec<u8>>())
}

/// Not negative.
fn number_of(label: &str) -> i32 {
    i32::try_from(xxh3_64(label.as_bytes()) >> 33).unwrap_or(i32::MAX)
}

/// The calibration curve of every class; see [`calibration_curve`]. Empty for regressions and without probabilities.
#[must_use]
pub fn calibration_rows(
    anchors: OutcomeAnchors<'_>,
    reference: Option<&OutcomeCounts>,
    current: &OutcomeCounts,
) -> Vec<CalibrationRow> {
    let normal = reference.map(|counts| calibration_curve(counts, anchors)).unwrap_or_default();
    let in_reference = |bin: &CalibrationBin| {
        // Both are the same multiple of a tenth.
        let same = |other: &&CalibrationBin| other.class == bin.class && other.lower.to_bits() == bin.lower.to_bits();
        normal.iter().find(same).map(|other| other.positive_rate.value)
    };
    let mut bins = calibration_curve(current, anchors);
    keep_largest(&mut bins, MAX_BINS, |bin| bin.positive_rate.n);
    bins.into_iter()
        .map(|bin| CalibrationRow {
            reference: in_reference(&bin),
            bin_lower: bin.lower,
            bin_upper: bin.upper,
            mean_score: bin.mean_score,
            positive_rate: bin.positive_rate.value,
            lower: bin.positive_rate.lower,
            upper: bin.positive_rate.upper,
            n: bin.positive_rate.n,
            class: bin.class,
        })
        .collect()
}

/// Every feature whose attributions the reference has.
#[must_use]
pub fn attribution_rows(anchors: &Anchors, reference: &Profile, current: &Profile) -> Vec<AttributionRow> {
    let none = AttributionSums::default();
    let of = |profile: &Profile, index: usize| profile.attributions.get(index).unwrap_or(&none).clone();
    let ranks = |profile: &Profile| -> Vec<Option<u64>> {
        let importances: Vec<Option<f64>> =
            (0..anchors.attributions.len()).map(|index| of(profile, index).mean_absolute()).collect();
        let rank =
            |importance: &f64| 1 + importances.iter().flatten().filter(|other| *other > importance).count() as u64;
        importances.iter().map(|importance| importance.as_ref().map(rank)).collect()
    };
    let (rank, reference_rank) = (ranks(current), ranks(reference));
    let row = |(index, feature): (usize, &String)| {
        let (normal, sums) = (of(reference, index), of(current, index));
        AttributionRow {
            feature: feature.clone(),
            mean_absolute: sums.mean_absolute(),
            mean: sums.mean(),
            reference: normal.mean_absolute(),
            rank: rank[index],
            reference_rank: reference_rank[index],
            n: sums.count,
            n_reference: normal.count,
        }
    };
    anchors.attributions.iter().enumerate().map(row).collect()
}

/// What a binary model's other label is called: its name where the reference has exactly one, else "not" the positive.
#[must_use]
pub fn negative_label(labels: Option<&ValueAnchors>, positive: &str) -> String {
    let labels = match labels {
        Some(ValueAnchors::Categorical(labels)) => labels.categories(),
        _ => &[],
    };
    let mut others = labels.iter().filter(|label| *label != positive);
    match (others.next(), others.next()) {
        (Some(negative), None) => negative.clone(),
        _ => format!("not {positive}"),
    }
}

/// The entries with the largest counts, in their order.
fn keep_largest<T>(entries: &mut Vec<T>, most: usize, count: impl Fn(&T) -> u64) {
    if entries.len() <= most {
        return;
    }
    let mut counts: Vec<u64> = entries.iter().map(&count).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let least = counts[most - 1];
    let mut ties = most - counts.iter().filter(|count| **count > least).count();
    entries.retain(|entry| {
        let is_tie = count(entry) == least && ties > 0;
        ties -= usize::from(is_tie);
        is_tie || count(entry) > least
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::performance::{Classes, Joined};

    #[test]
    fn matrices_and_curves_stand_beside_the_references() {
        let anchors = OutcomeAnchors::Binary { positive: "1", scores: None };
        let counted = |rows: &[(&str, f64, &str)]| {
            let mut counts = OutcomeCounts::empty(anchors);
            for (label, score, actual) in rows {
                counts.add(anchors, Joined { label: Some(label), score: Some(*score), actual, ..Joined::default() });
            }
            counts
        };
        let reference = counted(&[("1", 0.9, "1"), ("0", 0.1, "0"), ("0", 0.1, "0"), ("0", 0.1, "1")]);
        let current = counted(&[("1", 0.9, "0"), ("1", 0.95, "1")]);
        let rows = confusion_rows(anchors, "0", Some(&reference), &current);
        let shown: Vec<_> = rows.iter().map(|row| (&*row.predicted, &*row.actual, row.share, row.reference)).collect();
        assert_eq!(shown, [("1", "0", 0.5, Some(0.0)), ("1", "1", 0.5, Some(0.25))]);
        assert_eq!(confusion_rows(anchors, "0", None, &current)[0].reference, None);
        let curve = calibration_rows(anchors, Some(&reference), &current);
        let shown: Vec<_> = curve.iter().map(|row| (row.n, row.positive_rate, row.reference)).collect();
        assert_eq!(shown, [(1, 0.0, Some(1.0)), (1, 1.0, None)]);
    }

    #[test]
    fn of_very_many_cells_the_largest_are_told() {
        let names: Vec<String> = (0..60).map(|index| format!("c{index:02}")).collect();
        let classes = Classes::fit(names.iter().map(String::as_str));
        let anchors = OutcomeAnchors::Multiclass(&classes);
        let mut counts = OutcomeCounts::empty(anchors);
        for (index, label) in names.iter().enumerate() {
            for actual in &names[index / 2..] {
                for _ in 0..=usize::from(label == actual) {
                    counts.add(anchors, Joined { label: Some(label), actual, ..Joined::default() });
                }
            }
        }
        let rows = confusion_rows(anchors, "", None, &counts);
        assert_eq!(rows.len(), MAX_CELLS);
        assert_eq!(rows.iter().filter(|row| row.predicted == row.actual).count(), 60);
    }
}
