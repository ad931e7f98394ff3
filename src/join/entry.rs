//! What join knows of one id.

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::event::{ClassScores, JoinRow, JoinRowKind, SourcePartition};
use crate::performance::{Joined, complete_probabilities};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) prediction: Option<PredictionHalf>,
    pub(super) outcome: Option<OutcomeHalf>,
    /// The outcome's label that is counted, once the pair is.
    pub(super) counted: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PredictionHalf {
    pub(super) time: Timestamp,
    pub(super) version: String,
    pub(super) variant: String,
    pub(super) segments: Vec<String>,
    pub(super) label: Option<String>,
    pub(super) score: Option<f64>,
    pub(super) scores: Option<ClassScores>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OutcomeHalf {
    pub(super) time: Timestamp,
    pub(super) label: String,
    /// Breaks ties of time: the later place wins.
    pub(super) place: (SourcePartition, i64),
}

/// How a pair's count changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recount {
    pub(super) remove: Option<String>,
    pub(super) add: Option<String>,
}

impl Entry {
    /// Takes a row in: the first prediction and the latest outcome stay.
    pub(super) fn take(&mut self, row: &JoinRow, source: &SourcePartition) {
        match &row.kind {
            JoinRowKind::Prediction { version, variant, segments, label, score, scores } => {
                self.prediction.get_or_insert_with(|| PredictionHalf {
                    time: row.time,
                    version: version.clone(),
                    variant: variant.clone(),
                    segments: segments.clone(),
                    label: label.clone(),
                    score: *score,
                    scores: scores.clone(),
                });
            }
            JoinRowKind::Outcome { label } => {
                let outcome = OutcomeHalf { time: row.time, label: label.clone(), place: (source.clone(), row.offset) };
                let is_later = |known: &OutcomeHalf| (outcome.time, &outcome.place) > (known.time, &known.place);
                if self.outcome.as_ref().is_none_or(is_later) {
                    self.outcome = Some(outcome);
                }
            }
        }
    }

    /// What the pair's count must become, if it differs from what is counted.
    pub(super) fn recount(&mut self, horizon: Span) -> Option<Recount> {
        let (prediction, outcome) = (self.prediction.as_ref()?, self.outcome.as_ref()?);
        let in_time = outcome.time.since(prediction.time) <= horizon;
        let wanted = in_time.then(|| outcome.label.clone());
        if wanted.is_none() && self.counted.is_some() {
            // A correction that comes after the horizon does not undo the label that came in time.
            return None;
        }
        if wanted == self.counted {
            return None;
        }
        let recount = Recount { remove: self.counted.take(), add: wanted.clone() };
        self.counted = wanted;
        Some(recount)
    }
}

impl PredictionHalf {
    /// The probability of every class of a multiclass model; empty where there are none.
    pub(super) fn probabilities(&self, classes: &[String]) -> Vec<f64> {
        let scores = self.scores.as_ref().filter(|_| !classes.is_empty());
        scores.map_or_else(Vec::new, |scores| complete_probabilities(scores.of(classes)))
    }

    /// The pair as performance counts it.
    pub(super) fn joined<'a>(&'a self, probabilities: &'a [f64], outcome: &'a str) -> Joined<'a> {
        Joined { label: self.label.as_deref(), score: self.score, probabilities, actual: outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::IdHash;

    const HORIZON: Span = Span::from_days(60);

    fn source(partition: i32) -> SourcePartition {
        SourcePartition { topic: "outcomes".into(), partition }
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::default().plus(Span::from_days(day))
    }

    fn row(time: Timestamp, offset: i64, kind: JoinRowKind) -> JoinRow {
        JoinRow { model: "m".into(), id: IdHash(1), time, offset, kind }
    }

    fn prediction(time: Timestamp, label: &str) -> JoinRow {
        let kind = JoinRowKind::Prediction {
            version: "1".into(),
            variant: "default".into(),
            segments: Vec::new(),
            label: Some(label.into()),
            score: None,
            scores: None,
        };
        row(time, 0, kind)
    }

    fn outcome(time: Timestamp, offset: i64, label: &str) -> JoinRow {
        row(time, offset, JoinRowKind::Outcome { label: label.into() })
    }

    fn counted(rows: &[JoinRow]) -> (Option<String>, Vec<Recount>) {
        let mut entry = Entry::default();
        let mut recounts = Vec::new();
        for row in rows {
            entry.take(row, &source(0));
            recounts.extend(entry.recount(HORIZON));
        }
        (entry.counted, recounts)
    }

    #[test]
    fn a_pair_is_counted_once_whichever_half_comes_first() {
        for rows in
            [[prediction(day(0), "1"), outcome(day(14), 0, "0")], [outcome(day(14), 0, "0"), prediction(day(0), "1")]]
        {
            let (label, recounts) = counted(&rows);
            assert_eq!(label.as_deref(), Some("0"));
            assert_eq!(recounts, [Recount { remove: None, add: Some("0".into()) }]);
        }
    }

    #[test]
    fn the_first_prediction_of_an_id_stays() {
        let mut entry = Entry::default();
        entry.take(&prediction(day(0), "1"), &source(0));
        entry.take(&prediction(day(1), "0"), &source(0));
        assert_eq!(entry.prediction.unwrap().label.as_deref(), Some("1"));
    }

    #[test]
    fn a_later_outcome_corrects_an_earlier_one_in_any_order() {
        let (early, late) = (outcome(day(14), 0, "0"), outcome(day(15), 1, "1"));
        for outcomes in [[early.clone(), late.clone()], [late, early]] {
            let rows = [vec![prediction(day(0), "1")], outcomes.to_vec()].concat();
            assert_eq!(counted(&rows).0.as_deref(), Some("1"));
        }
        let (_, recounts) = counted(&[prediction(day(0), "1"), outcome(day(14), 0, "0"), outcome(day(15), 1, "1")]);
        assert_eq!(recounts[1], Recount { remove: Some("0".into()), add: Some("1".into()) });
    }

    #[test]
    fn of_outcomes_at_the_same_time_the_later_place_wins() {
        let rows = [prediction(day(0), "1"), outcome(day(14), 7, "1"), outcome(day(14), 3, "0")];
        assert_eq!(counted(&rows).0.as_deref(), Some("1"));
    }

    #[test]
    fn an_outcome_after_the_horizon_neither_counts_nor_undoes() {
        assert_eq!(counted(&[prediction(day(0), "1"), outcome(day(61), 0, "1")]).0, None);
        let rows = [prediction(day(0), "1"), outcome(day(60), 0, "1"), outcome(day(61), 1, "0")];
        assert_eq!(counted(&rows).0.as_deref(), Some("1"));
    }

    #[test]
    fn a_repeated_outcome_changes_nothing() {
        let rows = [prediction(day(0), "1"), outcome(day(14), 0, "1"), outcome(day(14), 0, "1")];
        assert_eq!(counted(&rows).1.len(), 1);
    }
}
