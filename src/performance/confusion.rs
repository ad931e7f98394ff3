//! The confusion matrix and the calibration curve of counted outcomes, as rows.

use super::interval::proportion;
use super::metrics::Estimate;
use super::multiclass::Classes;
use super::outcomes::{OutcomeAnchors, OutcomeCounts};
use super::score_bins::{CALIBRATION_BINS, ScoreBins};

/// Stands for the classes that have no place of their own.
const OTHER: &str = "(other)";

/// Joined predictions of one label with one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionCell {
    pub predicted: String,
    pub actual: String,
    pub count: u64,
}

/// One bin of a class's calibration curve.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationBin {
    pub class: String,
    /// Probabilities above `lower` up to `upper`; 0 is in the first bin.
    pub lower: f64,
    pub upper: f64,
    /// Mean probability.
    pub mean_score: f64,
    /// Share of outcomes that were the class, with Wilson's interval.
    pub positive_rate: Estimate,
}

/// How often each label met each outcome, as `sklearn.metrics.confusion_matrix`; in the order of the labels, and without
/// cells that are empty. What is no positive label of a binary model is `negative`. Empty for regressions.
#[must_use]
pub fn confusion_matrix(counts: &OutcomeCounts, anchors: OutcomeAnchors<'_>, negative: &str) -> Vec<ConfusionCell> {
    let cell = |predicted: &str, actual: &str, count: u64| ConfusionCell {
        predicted: predicted.to_owned(),
        actual: actual.to_owned(),
        count,
    };
    let mut cells = match (counts, anchors) {
        (OutcomeCounts::Binary(binary), OutcomeAnchors::Binary { positive, .. }) => vec![
            cell(negative, negative, binary.counts.true_negative),
            cell(negative, positive, binary.counts.false_negative),
            cell(positive, negative, binary.counts.false_positive),
            cell(positive, positive, binary.counts.true_positive),
        ],
        (OutcomeCounts::Multiclass(counts), OutcomeAnchors::Multiclass(classes)) => {
            let name = |class: u32| name_of(classes, class as usize);
            counts
                .confusion
                .iter()
                .map(|((predicted, actual), count)| cell(name(*predicted), name(*actual), *count))
                .collect()
        }
        _ => Vec::new(),
    };
    cells.retain(|cell| cell.count > 0);
    cells
}

/// Mean probability and share of outcomes in ten bins of equal width, as `sklearn.calibration.calibration_curve`: of the
/// positive class, or of every class against the others. Without bins that are empty.
#[must_use]
pub fn calibration_curve(counts: &OutcomeCounts, anchors: OutcomeAnchors<'_>) -> Vec<CalibrationBin> {
    match (counts, anchors) {
        (OutcomeCounts::Binary(binary), OutcomeAnchors::Binary { positive, .. }) => {
            curve(positive, &binary.scores.calibration)
        }
        (OutcomeCounts::Multiclass(counts), OutcomeAnchors::Multiclass(classes)) => {
            let of_class = |(class, name): (usize, &String)| Some(curve(name, counts.class_calibration(class)?));
            classes.names().iter().enumerate().filter_map(of_class).flatten().collect()
        }
        _ => Vec::new(),
    }
}

fn curve(class: &str, bins: &ScoreBins) -> Vec<CalibrationBin> {
    let edge = |bin: usize| bin as f64 / f64::from(CALIBRATION_BINS);
    let bin = |bin: super::ScoreBin| {
        Some(CalibrationBin {
            class: class.to_owned(),
            lower: edge(bin.bin),
            upper: edge(bin.bin + 1),
            mean_score: bin.mean_score,
            positive_rate: proportion(bin.positives, bin.count)?,
        })
    };
    bins.bins().into_iter().filter_map(bin).collect()
}

fn name_of(classes: &Classes, class: usize) -> &str {
    classes.names().get(class).map_or(OTHER, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::performance::Joined;

    fn joined<'a>(label: &'a str, probabilities: &'a [f64], actual: &'a str) -> Joined<'a> {
        Joined { label: Some(label), score: None, probabilities, actual }
    }

    #[test]
    fn classes_have_a_matrix_and_a_curve_each() {
        let classes = Classes::fit(["a", "b", "c"]);
        let anchors = OutcomeAnchors::Multiclass(&classes);
        let mut counts = OutcomeCounts::empty(anchors);
        for (label, probabilities, actual) in
            [("a", [0.7, 0.2, 0.1], "a"), ("a", [0.65, 0.3, 0.05], "b"), ("z", [0.1, 0.1, 0.8], "c")]
        {
            counts.add(anchors, joined(label, &probabilities, actual));
        }
        let cells = confusion_matrix(&counts, anchors, "");
        let shown: Vec<_> = cells.iter().map(|cell| (&*cell.predicted, &*cell.actual, cell.count)).collect();
        assert_eq!(shown, [("a", "a", 1), ("a", "b", 1), (OTHER, "c", 1)]);
        let curve = calibration_curve(&counts, anchors);
        let of_a: Vec<_> = curve.iter().filter(|bin| bin.class == "a").collect();
        assert_eq!(of_a.len(), 2);
        assert!((of_a[1].mean_score - 0.675).abs() < 1e-12 && (of_a[1].positive_rate.value - 0.5).abs() < 1e-12);
        assert!((of_a[1].lower - 0.6).abs() < 1e-12 && of_a[1].positive_rate.n == 2);
        assert_eq!(curve.iter().map(|bin| bin.positive_rate.n).sum::<u64>(), 9);
    }

    #[test]
    fn a_binary_matrix_names_both_labels() {
        let anchors = OutcomeAnchors::Binary { positive: "yes", scores: None };
        let mut counts = OutcomeCounts::empty(anchors);
        for (label, actual) in [("yes", "yes"), ("yes", "no"), ("no", "no")] {
            counts.add(anchors, Joined { score: Some(0.25), ..joined(label, &[], actual) });
        }
        let cells = confusion_matrix(&counts, anchors, "no");
        let shown: Vec<_> = cells.iter().map(|cell| (&*cell.predicted, &*cell.actual, cell.count)).collect();
        assert_eq!(shown, [("no", "no", 1), ("yes", "no", 1), ("yes", "yes", 1)]);
        let curve = calibration_curve(&counts, anchors);
        assert_eq!((curve.len(), &*curve[0].class, curve[0].positive_rate.n), (1, "yes", 3));
        assert_eq!(confusion_matrix(&counts, OutcomeAnchors::Multiclass(&Classes::default()), ""), []);
    }
}
