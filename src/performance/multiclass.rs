//! Counts of joined predictions of a multiclass model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::BinaryCounts;
use super::score_bins::{ScoreBins, calibration_bin};
use super::score_sums::{ScoreLoss, ScoreSums};

/// Classes with a place of their own; the rarer ones of a model with more are counted together.
const MAX_CLASSES: usize = 100;
/// Bins of equal width over a class's probability.
const SCORE_BINS: u32 = 200;

/// The classes of a model in alphabetical order, fixed by the reference so that counts merge in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Classes {
    names: Vec<String>,
}

/// One joined prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassOutcome<'a> {
    /// None when the event carried no label.
    pub predicted: Option<&'a str>,
    pub actual: &'a str,
    /// The probability of every class in the order of [`Classes::names`]; empty when the event carried none. Any other
    /// number of them cannot be told apart and counts as invalid.
    pub probabilities: &'a [f64],
}

/// The confusion matrix, score histograms of every class against the others, and exact sums of losses.
///
/// Classes are numbered as in [`Classes`]; the number after the last stands for all other classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MulticlassCounts {
    /// Predictions whose outcome is known, with or without a predicted label.
    pub outcomes: u64,
    /// Predictions whose label is the outcome, of whichever class.
    pub correct: u64,
    /// By predicted and actual class; what never occurred has no entry.
    pub confusion: BTreeMap<(u32, u32), u64>,
    /// Of predictions with probabilities.
    pub losses: ScoreSums,
    scores: Vec<ClassScores>,
}

/// A class's probabilities where it was the outcome and where it was not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ClassScores {
    of_class: Vec<u64>,
    of_others: Vec<u64>,
    /// Over [`calibration_bin`].
    calibration: ScoreBins,
}

impl Classes {
    /// The names that occur, or the most frequent ones if there are very many.
    #[must_use]
    pub fn fit<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for name in names {
            *counts.entry(name).or_default() += 1;
        }
        Self::fit_counts(counts)
    }

    /// As [`Classes::fit`], for names that have been counted; each occurs once.
    #[must_use]
    pub fn fit_counts<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut by_count: Vec<(&str, u64)> = counts.into_iter().collect();
        by_count.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        by_count.truncate(MAX_CLASSES);
        let mut names: Vec<String> = by_count.into_iter().map(|(name, _)| name.to_owned()).collect();
        names.sort_unstable();
        Self { names }
    }

    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of a class; that after the last for all others.
    #[must_use]
    pub fn index(&self, name: &str) -> usize {
        self.names.binary_search_by(|known| known.as_str().cmp(name)).unwrap_or(self.names.len())
    }
}

impl MulticlassCounts {
    pub fn add(&mut self, classes: &Classes, outcome: ClassOutcome<'_>) {
        self.change(classes, outcome, |count| *count += 1, ScoreBins::add);
        if !outcome.probabilities.is_empty() {
            self.losses.add(loss(classes, outcome));
        }
    }

    /// Takes back what [`MulticlassCounts::add`] counted, when an outcome is corrected.
    pub fn remove(&mut self, classes: &Classes, outcome: ClassOutcome<'_>) {
        self.change(classes, outcome, |count| *count = count.saturating_sub(1), ScoreBins::remove);
        if !outcome.probabilities.is_empty() {
            self.losses.remove(loss(classes, outcome));
        }
    }

    /// Adds the counts of `other`, which must have been counted with the same classes.
    pub fn merge(&mut self, other: &Self) {
        self.outcomes += other.outcomes;
        self.correct += other.correct;
        for (cell, count) in &other.confusion {
            *self.confusion.entry(*cell).or_default() += count;
        }
        self.losses.merge(&other.losses);
        if self.scores.len() < other.scores.len() {
            self.scores.resize(other.scores.len(), ClassScores::default());
        }
        for (mine, theirs) in self.scores.iter_mut().zip(&other.scores) {
            merge_bins(&mut mine.of_class, &theirs.of_class);
            merge_bins(&mut mine.of_others, &theirs.of_others);
            mine.calibration.merge(&theirs.calibration);
        }
    }

    /// Joined predictions that carried a label.
    #[must_use]
    pub fn labelled(&self) -> u64 {
        self.confusion.values().copied().fold(0, u64::saturating_add)
    }

    /// One class against the others, for the metrics of that class: `estimate`, `specificity` and the rest of the
    /// binary ones. Scores are in 200 bins of equal width.
    #[must_use]
    pub fn of_class(&self, class: usize) -> BinaryCounts {
        let mut counts = BinaryCounts { outcomes: self.outcomes, ..BinaryCounts::default() };
        for (&(predicted, actual), &count) in &self.confusion {
            match (predicted as usize == class, actual as usize == class) {
                (true, true) => counts.true_positive += count,
                (true, false) => counts.false_positive += count,
                (false, true) => counts.false_negative += count,
                (false, false) => counts.true_negative += count,
            }
        }
        let (of_class, of_others) = self.class_scores(class);
        counts.positive_scores = of_class.to_vec();
        counts.negative_scores = of_others.to_vec();
        counts
    }

    /// The histograms of a class's probability where it was the outcome and where it was not.
    pub(super) fn class_scores(&self, class: usize) -> (&[u64], &[u64]) {
        self.scores.get(class).map_or((&[], &[]), |scores| (&scores.of_class, &scores.of_others))
    }

    pub(super) fn scores(&self) -> impl Iterator<Item = &ScoreBins> {
        self.scores.iter().map(|scores| &scores.calibration)
    }

    /// A class's probabilities over [`calibration_bin`], with how often it was the outcome.
    #[must_use]
    pub fn class_calibration(&self, class: usize) -> Option<&ScoreBins> {
        self.scores.get(class).map(|scores| &scores.calibration)
    }

    fn change(
        &mut self,
        classes: &Classes,
        outcome: ClassOutcome<'_>,
        change: impl Fn(&mut u64),
        change_bin: impl Fn(&mut ScoreBins, usize, f64, bool),
    ) {
        change(&mut self.outcomes);
        let actual = classes.index(outcome.actual);
        if let Some(predicted) = outcome.predicted {
            if predicted == outcome.actual {
                change(&mut self.correct);
            }
            let cell = (number(classes.index(predicted)), number(actual));
            let count = self.confusion.entry(cell).or_default();
            change(count);
            if *count == 0 {
                self.confusion.remove(&cell);
            }
        }
        if outcome.probabilities.len() != classes.names.len() {
            return;
        }
        for (class, probability) in outcome.probabilities.iter().enumerate() {
            let Some(bin) = score_bin(*probability) else { continue };
            if self.scores.len() <= class {
                self.scores.resize(class + 1, ClassScores::default());
            }
            let scores = &mut self.scores[class];
            if let Some(bin) = calibration_bin(*probability) {
                change_bin(&mut scores.calibration, bin, *probability, class == actual);
            }
            let side = if class == actual { &mut scores.of_class } else { &mut scores.of_others };
            if side.len() <= bin {
                side.resize(bin + 1, 0);
            }
            change(&mut side[bin]);
        }
    }
}

/// The bin of a class's probability; `None` where it is no probability.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 200")]
pub fn score_bin(probability: f64) -> Option<usize> {
    let is_probability = (0.0..=1.0).contains(&probability);
    is_probability.then(|| ((probability * f64::from(SCORE_BINS)) as usize).min(SCORE_BINS as usize - 1))
}

fn loss(classes: &Classes, outcome: ClassOutcome<'_>) -> Option<ScoreLoss> {
    if outcome.probabilities.len() != classes.names.len() {
        return None;
    }
    ScoreLoss::multiclass(outcome.probabilities, classes.index(outcome.actual))
}

pub(super) fn number(class: usize) -> u32 {
    u32::try_from(class).unwrap_or(u32::MAX)
}

fn merge_bins(mine: &mut Vec<u64>, theirs: &[u64]) {
    if mine.len() < theirs.len() {
        mine.resize(theirs.len(), 0);
    }
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (usize, usize, Vec<f64>);

    const NAMES: [&str; 5] = ["ant", "bee", "cat", "new", "strange"];

    /// The last two names are not among them.
    fn classes() -> Classes {
        Classes::fit(["cat", "ant", "bee", "ant"])
    }

    fn outcome(row: &Row) -> ClassOutcome<'_> {
        ClassOutcome { predicted: NAMES.get(row.0).copied(), actual: NAMES[row.1], probabilities: &row.2 }
    }

    fn counted(rows: &[Row]) -> MulticlassCounts {
        let mut counts = MulticlassCounts::default();
        for row in rows {
            counts.add(&classes(), outcome(row));
        }
        counts
    }

    #[test]
    fn classes_are_numbered_by_name_and_the_rest_is_one() {
        assert_eq!(classes().names(), ["ant", "bee", "cat"]);
        assert_eq!(NAMES.map(|name| classes().index(name)), [0, 1, 2, 3, 3]);
        let many: Vec<String> = (0..150).map(|i| format!("c{i:03}")).collect();
        let classes = Classes::fit(many.iter().chain(&many[50..]).map(String::as_str));
        assert_eq!((classes.names().len(), classes.index("c050"), classes.index("c000")), (100, 0, 100));
    }

    #[test]
    fn other_classes_are_right_only_when_their_names_agree() {
        let counts = counted(&[(3, 3, vec![]), (3, 4, vec![]), (0, 0, vec![])]);
        assert_eq!((counts.correct, counts.labelled()), (2, 3));
        assert!((counts.accuracy().unwrap().value - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(counts.confusion[&(3, 3)], 2);
    }

    #[test]
    fn a_class_against_the_others_has_their_counts() {
        let counts =
            counted(&[(0, 0, vec![0.9, 0.1, 0.0]), (0, 1, vec![0.6, 0.3, 0.1]), (1, 0, vec![]), (2, 2, vec![])]);
        let ant = counts.of_class(0);
        assert_eq!((ant.true_positive, ant.false_positive, ant.false_negative, ant.true_negative), (1, 1, 1, 1));
        assert_eq!((ant.positive_scores.iter().sum::<u64>(), ant.negative_scores.iter().sum::<u64>()), (1, 1));
    }

    #[test]
    fn without_labels_and_probabilities_nothing_is_defined() {
        let counts = counted(&[(9, 0, vec![])]);
        assert_eq!(counts.outcomes, 1);
        let classes = classes();
        assert_eq!((counts.accuracy(), counts.macro_f1(&classes), counts.macro_roc_auc(&classes)), (None, None, None));
        assert_eq!((counts.log_loss(), counts.brier(), counts.losses.invalid), (None, None, 0));
    }

    fn any_rows() -> impl Strategy<Value = Vec<Row>> {
        let probability = prop_oneof![0.0..1.0, Just(0.0), Just(1.0), any::<f64>()];
        let probabilities = prop_oneof![Just(vec![]), prop::collection::vec(probability, 2..5)];
        prop::collection::vec((0_usize..7, 0_usize..5, probabilities), 0..30)
    }

    proptest! {
        #[test]
        fn any_split_merges_to_what_is_counted_at_once(one in any_rows(), other in any_rows()) {
            let mut merged = counted(&other);
            merged.merge(&counted(&one));
            let at_once = counted(&[one, other].concat());
            prop_assert_eq!(&merged.confusion, &at_once.confusion);
            prop_assert_eq!(&merged.losses, &at_once.losses);
            prop_assert_eq!((merged.outcomes, merged.correct), (at_once.outcomes, at_once.correct));
            prop_assert_eq!(merged.by_class(&classes()), at_once.by_class(&classes()));
        }

        #[test]
        fn what_is_removed_was_never_there(kept in any_rows(), taken in any_rows()) {
            let mut counts = counted(&[kept.clone(), taken.clone()].concat());
            for row in &taken {
                counts.remove(&classes(), outcome(row));
            }
            let kept = counted(&kept);
            prop_assert_eq!(&counts.confusion, &kept.confusion);
            prop_assert_eq!(&counts.losses, &kept.losses);
            prop_assert_eq!((counts.outcomes, counts.correct), (kept.outcomes, kept.correct));
            prop_assert_eq!(counts.by_class(&classes()), kept.by_class(&classes()));
        }

        #[test]
        fn every_metric_is_finite_and_within_its_interval(rows in any_rows()) {
            let (counts, classes) = (counted(&rows), classes());
            let macros = [counts.macro_precision(&classes), counts.macro_recall(&classes), counts.macro_f1(&classes)];
            let others = [counts.accuracy(), counts.macro_specificity(&classes), counts.macro_roc_auc(&classes)];
            let losses = [counts.log_loss(), counts.brier()];
            for estimate in macros.into_iter().chain(others).chain(losses).flatten() {
                prop_assert!(estimate.value.is_finite() && estimate.standard_error > 0.0, "{estimate:?}");
                prop_assert!(estimate.lower <= estimate.value && estimate.value <= estimate.upper, "{estimate:?}");
            }
        }

        #[test]
        fn the_certain_bounds_of_a_class_enclose_its_exact_area(
            rows in prop::collection::vec((0_usize..3, 0_usize..3, prop::collection::vec(0.0..1.0, 3..4)), 2..60),
        ) {
            let counts = counted(&rows).of_class(0);
            let (mut pairs, mut ranked) = (0.0, 0.0);
            for positive in rows.iter().filter(|row| row.1 == 0) {
                for negative in rows.iter().filter(|row| row.1 != 0) {
                    pairs += 1.0;
                    ranked += match positive.2[0].total_cmp(&negative.2[0]) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
                }
            }
            let area = super::super::auc::roc_auc(&counts.positive_scores, &counts.negative_scores);
            prop_assert_eq!(area.is_some(), pairs > 0.0);
            if let Some(area) = area {
                let exact = ranked / pairs;
                prop_assert!(area.lower - 1e-12 <= exact && exact <= area.upper + 1e-12, "{exact} {area:?}");
            }
        }
    }
}
