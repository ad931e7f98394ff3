//! Counts of joined predictions of a binary model.

use serde::{Deserialize, Serialize};

/// The confusion matrix and the score histograms of both classes: whole numbers that merge by addition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryCounts {
    /// Predictions whose outcome is known, with or without a predicted label.
    pub outcomes: u64,
    pub true_positive: u64,
    pub false_positive: u64,
    pub true_negative: u64,
    pub false_negative: u64,
    /// Scores of actual positives and negatives over the score's anchors.
    pub positive_scores: Vec<u64>,
    pub negative_scores: Vec<u64>,
}

/// One joined prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether the positive class was predicted; none when the event carried no label.
    pub predicted: Option<bool>,
    pub actual: bool,
    /// The score's bin; none when the event carried no score.
    pub score_bin: Option<usize>,
}

impl BinaryCounts {
    pub fn add(&mut self, judged: Judged) {
        self.change(judged, |count| *count += 1);
    }

    /// Takes back what [`BinaryCounts::add`] counted, when an outcome is corrected.
    pub fn remove(&mut self, judged: Judged) {
        self.change(judged, |count| *count = count.saturating_sub(1));
    }

    pub fn merge(&mut self, other: &Self) {
        self.outcomes += other.outcomes;
        self.true_positive += other.true_positive;
        self.false_positive += other.false_positive;
        self.true_negative += other.true_negative;
        self.false_negative += other.false_negative;
        merge_bins(&mut self.positive_scores, &other.positive_scores);
        merge_bins(&mut self.negative_scores, &other.negative_scores);
    }

    /// Joined predictions that carried a label.
    #[must_use]
    pub const fn labelled(&self) -> u64 {
        self.true_positive + self.false_positive + self.true_negative + self.false_negative
    }

    fn change(&mut self, judged: Judged, change: impl Fn(&mut u64)) {
        change(&mut self.outcomes);
        match (judged.predicted, judged.actual) {
            (Some(true), true) => change(&mut self.true_positive),
            (Some(true), false) => change(&mut self.false_positive),
            (Some(false), false) => change(&mut self.true_negative),
            (Some(false), true) => change(&mut self.false_negative),
            (None, _) => {}
        }
        if let Some(bin) = judged.score_bin {
            let scores = if judged.actual { &mut self.positive_scores } else { &mut self.negative_scores };
            if scores.len() <= bin {
                scores.resize(bin + 1, 0);
            }
            change(&mut scores[bin]);
        }
    }
}

fn merge_bins(mine: &mut Vec<u64>, theirs: &[u64]) {
    if mine.len() < theirs.len() {
        mine.resize(theirs.len(), 0);
    }
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}
