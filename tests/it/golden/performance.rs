//! Performance with and without labels against scikit-learn, NannyML and Fairlearn; the answers are written by
//! `tests/golden/performance.py`.

use std::collections::BTreeMap;

use plimsoll::performance::{
    BinProbabilities, BinaryCounts, BinaryScores, Calibration, ClassOutcome, Classes, DirectLossEstimator, Disparity,
    Estimate, ExpectedOutcomes, GroupCounts, IsotonicRegression, Judged, LossByPrediction, MulticlassCalibration,
    MulticlassCounts, NumericOutcome, OutcomeAnchors, OutcomeCounts, OutcomeScale, PredictedScores, RegressionCounts,
    ScoreBin, Undefined, WeightedPoint, average_precision, calibration_curve, confusion_matrix,
    estimate_without_labels, fairness, representative_scores, specificity,
};
use serde_json::Value;

use super::{assert_close, counts, golden, note_agreement, number, numbers};

/// The same formula in another order of summation.
const ROUNDING: f64 = 1e-9;
/// NannyML rounds the counts under its ROC curve to five decimals.
const ROUNDED_AREA: f64 = 1e-6;

fn cases(name: &str) -> Vec<Value> {
    golden("performance.json")[name].as_array().expect("a list of cases").clone()
}

#[track_caller]
fn assert_value(found: Option<Estimate>, case: &Value, field: &str, tolerance: f64) {
    let what = format!("{field} of {}", case["name"]);
    let (found, wanted) = (found.map(|estimate| estimate.value), number(case, field));
    let (found, wanted) = (found.unwrap_or_else(|| panic!("no {what}")), wanted.expect("a golden number"));
    note_agreement(&what, (found - wanted).abs() / wanted.abs().max(1e-3));
    assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1e-3), "{what}: {found} is not {wanted}");
}

#[track_caller]
fn assert_error(found: Option<Estimate>, wanted: f64, what: &str) {
    let found = found.expect("an estimate").standard_error;
    note_agreement(&format!("standard error, {what}"), (found - wanted).abs() / wanted);
    assert!((found - wanted).abs() <= ROUNDING * wanted, "error of {what}: {found} is not {wanted}");
}

#[test]
fn regression_metrics_and_their_errors_agree_with_scikit_learn() {
    for case in cases("regression") {
        let scale = OutcomeScale::new(number(&case, "centre").expect("a centre"), number(&case, "scale").expect("one"));
        let mut sums = RegressionCounts::default();
        for (predicted, actual) in numbers(&case["predicted"]).into_iter().zip(numbers(&case["actual"])) {
            sums.add(&scale, NumericOutcome { predicted, actual });
        }
        let found = [
            ("mae", sums.mae(&scale)),
            ("mse", sums.mse(&scale)),
            ("rmse", sums.rmse(&scale)),
            ("mape", sums.mape()),
            ("r2", sums.r2()),
            ("bias", sums.bias(&scale)),
        ];
        for (metric, found) in found {
            assert_value(found, &case, metric, ROUNDING);
            let wanted = number(&case["errors"], metric).expect("an error");
            // Of two cases all losses may be equally far from their mean, which leaves an error of rounding only.
            if wanted > 1e-12 {
                assert_error(found, wanted, &format!("{metric} of {}", case["name"]));
            }
        }
    }
}

#[test]
fn binary_losses_and_calibration_agree_with_scikit_learn() {
    for case in cases("binary") {
        let mut scores = BinaryScores::default();
        for (score, label) in numbers(&case["scores"]).into_iter().zip(counts(&case["labels"])) {
            scores.add(score, label == 1);
        }
        assert_value(scores.log_loss(), &case, "log_loss", ROUNDING);
        assert_error(scores.log_loss(), number(&case, "log_loss_error").expect("an error"), "log loss");
        assert_error(scores.brier(), number(&case, "brier_error").expect("an error"), "brier");
        if number(&case, "brier").is_some() {
            assert_value(scores.brier(), &case, "brier", ROUNDING);
        }
        let calibration = scores.expected_calibration_error().map(|error| error.estimate);
        assert_value(calibration, &case, "expected_calibration_error", ROUNDING);
        let (rates, means) = (numbers(&case["positive_rate"]), numbers(&case["mean_score"]));
        let curve = scores.calibration_curve();
        assert_eq!(curve.len(), rates.len(), "{}", case["name"]);
        for (point, (rate, mean)) in curve.iter().zip(rates.into_iter().zip(means)) {
            assert_close(point.positive_rate.value, rate, ROUNDING, "a positive rate");
            assert_close(point.mean_score, mean, ROUNDING, "a mean score");
        }
    }
}

#[test]
fn the_interval_of_average_precision_holds_scikit_learns() {
    for case in cases("binary") {
        let (labels, scores) = (counts(&case["labels"]), numbers(&case["scores"]));
        let bins = case["bins"].as_u64().expect("a count") as f64;
        let binned = histograms(&labels, &scores, |score| (score * bins).min(bins - 1.0) as usize);
        let mut distinct = scores.clone();
        distinct.sort_unstable_by(f64::total_cmp);
        let exact = histograms(&labels, &scores, |score| distinct.partition_point(|other| *other < score));
        let Some(wanted) = number(&case, "average_precision") else {
            assert_eq!(average_precision(&exact.positive_scores, &exact.negative_scores), None);
            continue;
        };
        let of = |counts: &BinaryCounts| {
            average_precision(&counts.positive_scores, &counts.negative_scores).expect("positives")
        };
        assert_close(of(&exact).value, wanted, ROUNDING, &format!("average precision of {}", case["name"]));
        let binned = of(&binned);
        assert!((binned.lower - 1e-12..=binned.upper + 1e-12).contains(&wanted), "{wanted} not in {binned:?}");
    }
}

#[test]
fn specificity_agrees_with_scikit_learn() {
    for case in cases("binary") {
        let (labels, scores) = (counts(&case["labels"]), numbers(&case["scores"]));
        let negatives = || labels.iter().zip(&scores).filter(|(label, _)| **label == 0);
        let false_positive = negatives().filter(|(_, score)| **score >= 0.5).count() as u64;
        let true_negative = negatives().count() as u64 - false_positive;
        let counts = BinaryCounts { true_negative, false_positive, ..BinaryCounts::default() };
        assert_value(specificity(&counts), &case, "specificity", ROUNDING);
    }
}

fn histograms(labels: &[u64], scores: &[f64], bin: impl Fn(f64) -> usize) -> BinaryCounts {
    let mut counts = BinaryCounts::default();
    for (label, score) in labels.iter().zip(scores) {
        counts.add(Judged { predicted: None, actual: *label == 1, score_bin: Some(bin(*score)) });
    }
    counts
}

fn rows(matrix: &Value) -> Vec<Vec<f64>> {
    matrix.as_array().expect("rows").iter().map(numbers).collect()
}

fn names(case: &Value) -> Vec<String> {
    case["classes"].as_array().expect("names").iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn multiclass_metrics_agree_with_scikit_learn() {
    for case in cases("multiclass") {
        let names = names(&case);
        let classes = Classes::fit(names.iter().map(String::as_str));
        let mut found = MulticlassCounts::default();
        let labels = counts(&case["predicted"]).into_iter().zip(counts(&case["actual"]));
        for ((predicted, actual), probabilities) in labels.zip(rows(&case["probabilities"])) {
            found.add(
                &classes,
                ClassOutcome {
                    predicted: Some(names[predicted as usize].as_str()),
                    actual: names[actual as usize].as_str(),
                    probabilities: &probabilities,
                },
            );
        }
        assert_value(found.accuracy(), &case, "accuracy", ROUNDING);
        assert_value(found.macro_precision(&classes), &case, "precision", ROUNDING);
        assert_value(found.macro_recall(&classes), &case, "recall", ROUNDING);
        assert_value(found.macro_f1(&classes), &case, "f1", ROUNDING);
        assert_value(found.log_loss(), &case, "log_loss", ROUNDING);
        assert_error(found.log_loss(), number(&case, "log_loss_error").expect("an error"), "log loss");
        assert_value(found.brier(), &case, "brier", ROUNDING);
        if let Some(wanted) = number(&case, "roc_auc") {
            let area = found.macro_roc_auc(&classes).expect("an area");
            assert!((area.lower..=area.upper).contains(&wanted) && (area.value - wanted).abs() < 0.01, "{area:?}");
        }
        let wanted = number(&case, "average_precision").expect("an average precision");
        let area = found.macro_average_precision(&classes).expect("an area");
        assert!(
            (area.lower..=area.upper).contains(&wanted) && (area.value - wanted).abs() < 0.02,
            "{wanted}: {area:?}"
        );
        assert_value(found.calibration_error(), &case, "calibration_error", ROUNDING);
        assert_curves_and_matrix(&OutcomeCounts::Multiclass(Box::new(found.clone())), &classes, &case);
        for (class, wanted) in found.by_class(&classes).iter().enumerate().map(|(k, class)| (class, at(&case, k))) {
            let found = [class.precision, class.recall, class.f1, class.specificity].map(|e| e.map(|e| e.value));
            for (found, wanted) in found.into_iter().zip(wanted) {
                assert_eq!(found.is_some(), wanted.is_some(), "{class:?}");
                assert_close(found.unwrap_or(0.0), wanted.unwrap_or(0.0), ROUNDING, &format!("rates of {class:?}"));
            }
        }
    }
}

fn assert_curves_and_matrix(counts: &OutcomeCounts, classes: &Classes, case: &Value) {
    let anchors = OutcomeAnchors::Multiclass(classes);
    let curve = calibration_curve(counts, anchors);
    for (name, wanted) in classes.names().iter().zip(case["calibration"].as_array().expect("curves")) {
        let of_class: Vec<_> = curve.iter().filter(|bin| bin.class == *name).collect();
        let (rates, scores) = (numbers(&wanted["positive_rate"]), numbers(&wanted["mean_score"]));
        assert_eq!(of_class.len(), rates.len(), "{name}");
        for (bin, (rate, score)) in of_class.into_iter().zip(rates.into_iter().zip(scores)) {
            assert_close(bin.positive_rate.value, rate, ROUNDING, name);
            assert_close(bin.mean_score, score, ROUNDING, name);
        }
    }
    let cells = confusion_matrix(counts, anchors, "");
    for (actual, row) in classes.names().iter().zip(case["confusion"].as_array().expect("a matrix")) {
        for (predicted, wanted) in classes.names().iter().zip(self::counts(row)) {
            let found = cells.iter().find(|cell| (&cell.predicted, &cell.actual) == (predicted, actual));
            assert_eq!(found.map_or(0, |cell| cell.count), wanted, "{predicted} and {actual}");
        }
    }
}

/// What scikit-learn says of one class.
fn at(case: &Value, class: usize) -> [Option<f64>; 4] {
    ["precision", "recall", "f1", "specificity"].map(|metric| case["by_class"][metric][class].as_f64())
}

#[test]
fn isotonic_regression_agrees_with_scikit_learn() {
    for case in cases("isotonic") {
        let of = |field: &str| numbers(&case[field]);
        let points = of("x").into_iter().zip(of("y")).zip(of("weight"));
        let fitted = IsotonicRegression::fit(points.map(|((x, y), weight)| WeightedPoint { x, y, weight }));
        let fitted = fitted.expect("points");
        for (x, wanted) in of("at").into_iter().zip(of("fitted")) {
            assert_close(fitted.predict(x).expect("a number"), wanted, ROUNDING, &format!("at {x}"));
        }
    }
}

/// One bin per score, so that the histogram loses nothing.
fn reference_bins(case: &Value, scores: &[f64]) -> Vec<ScoreBin> {
    let (all, positive) = (counts(&case["reference_counts"]), counts(&case["reference_positives"]));
    let bins = scores.iter().zip(all.into_iter().zip(positive)).enumerate();
    let bins = bins.map(|(bin, (score, (count, positives)))| ScoreBin { bin, mean_score: *score, count, positives });
    bins.filter(|bin| bin.count > 0).collect()
}

fn window(case: &Value) -> PredictedScores {
    PredictedScores {
        predicted_positive: counts(&case["predicted_positive"]),
        predicted_negative: counts(&case["predicted_negative"]),
    }
}

#[test]
fn estimates_without_labels_agree_with_nannyml() {
    for case in cases("cbpe") {
        let scores = numbers(&case["bin_scores"]);
        let reference = reference_bins(&case, &scores);
        let calibration = Calibration::Isotonic(IsotonicRegression::fit_bins(&reference).expect("a reference"));
        let probabilities = BinProbabilities::new(&calibration, &scores);
        for (bin, wanted) in numbers(&case["calibrated"]).into_iter().enumerate() {
            assert_close(probabilities.get(bin).expect("a bin").probability, wanted, ROUNDING, "a probability");
        }
        let found = estimate_without_labels(&window(&case), &probabilities);
        assert_value(found.accuracy, &case, "accuracy", ROUNDING);
        assert_value(found.precision, &case, "precision", ROUNDING);
        assert_value(found.recall, &case, "recall", ROUNDING);
        assert_value(found.specificity, &case, "specificity", ROUNDING);
        assert_value(found.f1, &case, "f1", ROUNDING);
        assert_value(found.roc_auc, &case, "roc_auc", ROUNDED_AREA);
        assert_value(found.average_precision, &case, "average_precision", ROUNDING);
    }
}

#[test]
fn estimates_of_the_car_loan_model_agree_with_nannymls() {
    let case = &cases("car_loan")[0];
    let scores = numbers(&case["scores"]);
    let (calibration, _) = Calibration::fit(&reference_bins(case, &scores));
    assert_eq!(matches!(calibration, Calibration::Isotonic(_)), case["needs_calibration"] == true);
    let probabilities = BinProbabilities::new(&calibration, &scores);
    for block in case["blocks"].as_array().expect("blocks") {
        let (found, wanted) = (estimate_without_labels(&window(block), &probabilities), &block["nannyml"]);
        assert_value(found.accuracy, wanted, "accuracy", ROUNDING);
        assert_value(found.precision, wanted, "precision", ROUNDING);
        assert_value(found.recall, wanted, "recall", ROUNDING);
        assert_value(found.specificity, wanted, "specificity", ROUNDING);
        assert_value(found.f1, wanted, "f1", ROUNDING);
        assert_value(found.roc_auc, wanted, "roc_auc", ROUNDED_AREA);
    }
}

#[test]
fn calibration_brings_the_estimate_closer_to_the_realised_accuracy_in_every_block() {
    let case = &cases("car_loan")[0];
    let (scores, anchors) = (numbers(&case["scores"]), counts(&case["anchor_bins"]));
    // As the service has it: in the bins of the score's anchors.
    let exact = reference_bins(case, &scores);
    let reference = in_anchors(&exact, &anchors);
    let (calibration, reason) = Calibration::fit(&reference);
    assert!(matches!(calibration, Calibration::Isotonic(_)), "{reason:?}");
    let bins = anchors.iter().max().map_or(0, |last| *last as usize + 1);
    let bin_scores = representative_scores(&reference, bins);
    let mut drifted = 0;
    for block in case["blocks"].as_array().expect("blocks") {
        let window = regrouped(&window(block), &anchors, bins);
        let accuracy = |calibration: &Calibration| {
            let probabilities = BinProbabilities::new(calibration, &bin_scores);
            estimate_without_labels(&window, &probabilities).accuracy.expect("predictions")
        };
        let (calibrated, uncalibrated) = (accuracy(&calibration), accuracy(&Calibration::Identity));
        let wanted = number(block, "uncalibrated_accuracy").expect("a share");
        assert_close(uncalibrated.value, wanted, 1e-4, "the estimate without calibration");
        let realised = number(&block["realised"], "accuracy").expect("a share");
        let (error, before) = ((calibrated.value - realised).abs(), (uncalibrated.value - realised).abs());
        assert!(error < before, "{error} is not less than {before} in the block of row {}", block["first_row"]);
        assert!(error < 3.0 * calibrated.standard_error, "{realised} is too far from {calibrated:?}");
        drifted += u32::from(block["drifted"] == true);
    }
    assert_eq!(drifted, 5);
}

fn in_anchors(exact: &[ScoreBin], anchors: &[u64]) -> Vec<ScoreBin> {
    let mut bins: BTreeMap<usize, ScoreBin> = BTreeMap::new();
    for bin in exact {
        let anchor = anchors[bin.bin] as usize;
        let into = bins.entry(anchor).or_insert(ScoreBin { bin: anchor, mean_score: 0.0, count: 0, positives: 0 });
        let (before, more) = (into.count as f64, bin.count as f64);
        into.mean_score = (into.mean_score * before + bin.mean_score * more) / (before + more);
        into.count += bin.count;
        into.positives += bin.positives;
    }
    bins.into_values().collect()
}

fn regrouped(window: &PredictedScores, anchors: &[u64], bins: usize) -> PredictedScores {
    let group = |scores: &[u64]| {
        let mut grouped = vec![0; bins];
        for (count, anchor) in scores.iter().zip(anchors) {
            grouped[*anchor as usize] += count;
        }
        grouped
    };
    PredictedScores {
        predicted_positive: group(&window.predicted_positive),
        predicted_negative: group(&window.predicted_negative),
    }
}

#[test]
fn multiclass_estimates_without_labels_agree_with_nannyml() {
    for case in cases("multiclass_cbpe") {
        let names = names(&case);
        let classes = Classes::fit(names.iter().map(String::as_str));
        let (reference, actual) = (rows(&case["reference"]), counts(&case["reference_actual"]));
        let fit = |class: usize| {
            let points = reference.iter().zip(&actual).map(|(row, actual)| WeightedPoint {
                x: row[class],
                y: f64::from(u8::from(*actual == class as u64)),
                weight: 1.0,
            });
            Calibration::Isotonic(IsotonicRegression::fit(points).expect("a reference"))
        };
        let calibration = MulticlassCalibration::from((0..names.len()).map(fit).collect::<Vec<_>>());
        let mut expected = ExpectedOutcomes::default();
        let calibrated = rows(&case["calibrated"]);
        for (row, (label, wanted)) in
            rows(&case["window"]).iter().zip(counts(&case["predicted"]).into_iter().zip(calibrated))
        {
            for (found, wanted) in calibration.calibrate(row).expect("probabilities").into_iter().zip(wanted) {
                assert_close(found, wanted, ROUNDING, "a calibrated probability");
            }
            expected.add(&classes, &calibration, &names[label as usize], row);
        }
        let found = expected.estimate(&classes);
        assert_value(found.accuracy, &case, "accuracy", ROUNDING);
        assert_value(found.macro_precision, &case, "precision", ROUNDING);
        assert_value(found.macro_recall, &case, "recall", ROUNDING);
        assert_value(found.macro_f1, &case, "f1", ROUNDING);
        assert_value(found.macro_specificity, &case, "specificity", ROUNDING);
        // In 200 bins, as if all within one were tied.
        assert_value(found.macro_roc_auc, &case, "roc_auc", 1e-3);
    }
}

#[test]
fn direct_loss_estimates_are_the_credibility_means() {
    for case in cases("dle") {
        let mut reference = LossByPrediction::default();
        for (bin, errors) in rows(&case["errors"]).iter().enumerate() {
            for error in errors {
                reference.add(bin, *error, 0.0);
            }
        }
        let found = DirectLossEstimator::fit(&reference).expect("losses").estimate(&counts(&case["window"]));
        assert_value(found.mae, &case, "mae", ROUNDING);
        assert_value(found.mse, &case, "mse", ROUNDING);
        assert_error(found.mae, number(&case, "mae_error").expect("an error"), "mae");
        assert_error(found.mse, number(&case, "mse_error").expect("an error"), "mse");
    }
}

#[test]
fn fairness_agrees_with_fairlearn() {
    for case in cases("fairness") {
        let groups = groups(&case);
        let found = fairness(&groups, 0);
        let lacks_a_rate =
            found.groups.iter().any(|group| group.true_positive.is_err() || group.false_positive.is_err());
        let all = [
            ("demographic_parity_difference", &found.demographic_parity_difference),
            ("demographic_parity_ratio", &found.demographic_parity_ratio),
            ("equal_opportunity_difference", &found.equal_opportunity_difference),
            ("equal_opportunity_ratio", &found.equal_opportunity_ratio),
            ("equalized_odds_difference", &found.equalized_odds_difference),
            ("equalized_odds_ratio", &found.equalized_odds_ratio),
        ];
        for (name, found) in all.into_iter().filter(|(name, _)| !lacks_a_rate || name.starts_with("demographic")) {
            assert_disparity(found, number(&case, name), &format!("{name} of {}", case["name"]));
        }
        let worst = found.worst_group.expect("two groups").group;
        assert_eq!(Some(worst.as_str()), case["worst_group"].as_str(), "{}", case["name"]);
    }
}

#[track_caller]
fn assert_disparity(found: &Result<Disparity, Undefined>, wanted: Option<f64>, what: &str) {
    match (found, wanted) {
        (Ok(found), Some(wanted)) => assert_close(found.value, wanted, ROUNDING, what),
        (found, wanted) => assert_eq!((found, wanted), (&Err(Undefined::AllRatesZero), None), "{what}"),
    }
}

#[test]
fn a_group_without_positives_is_left_out_where_fairlearn_finds_it_treated_worst() {
    let case = cases("fairness").pop().expect("the last case");
    let all = groups(&case);
    let found = fairness(&all, 0);
    let without: BTreeMap<_, _> =
        all.iter().filter(|(group, _)| *group != "c").map(|(g, c)| (g.clone(), c.clone())).collect();
    let of_the_others = fairness(&without, 0).equal_opportunity_difference.expect("two groups");
    let of_all = found.equal_opportunity_difference.expect("two groups");
    assert_eq!(of_all, of_the_others);
    assert_eq!(found.groups[2].true_positive, Err(Undefined::NoCases));
    let fairlearn = number(&case, "equal_opportunity_difference").expect("a number");
    assert!(fairlearn > 0.9 && of_all.value < 0.5, "{fairlearn} {of_all:?}");
}

fn groups(case: &Value) -> BTreeMap<String, GroupCounts> {
    let of_group = |cells: &Value| {
        let cell = |name: &str| cells[name].as_u64().expect("a count");
        BinaryCounts {
            true_positive: cell("tp"),
            false_positive: cell("fp"),
            true_negative: cell("tn"),
            false_negative: cell("fn"),
            ..BinaryCounts::default()
        }
        .into()
    };
    let groups = case["groups"].as_object().expect("groups");
    groups.iter().map(|(name, cells)| (name.clone(), of_group(cells))).collect()
}
