//! What join knows of one id.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::clock::{Span, Timestamp};
use crate::event::{ClassScores, JoinRow, JoinRowKind, SourcePartition};
use crate::model::Model;
use crate::performance::{Joined, complete_probabilities};

/// Outcomes kept of an id whose prediction has not come; beyond these the earliest go.
const OUTCOMES_KEPT: usize = 32;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) prediction: Option<PredictionHalf>,
    pub(super) outcomes: Outcomes,
}

/// Its texts are short nearly always, and stand in the struct itself then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PredictionHalf {
    pub(super) time: Timestamp,
    /// The source's watermark when it came.
    pub(super) arrived: Timestamp,
    pub(super) version: SmolStr,
    pub(super) variant: SmolStr,
    pub(super) segments: Vec<SmolStr>,
    pub(super) label: Option<SmolStr>,
    pub(super) score: Option<f64>,
    pub(super) scores: Option<ClassScores>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OutcomeHalf {
    pub(super) time: Timestamp,
    pub(super) arrived: Timestamp,
    pub(super) label: SmolStr,
    /// Breaks ties of time: the later place wins.
    pub(super) place: Place,
}

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) topic: SmolStr,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// What is known of an id's outcomes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcomes {
    /// Once the prediction is known, the one that counts; before that, all of them.
    pub(super) kept: Vec<OutcomeHalf>,
    /// The label that is counted; none while the prediction or the model's reference is missing.
    pub(super) counted: Option<SmolStr>,
}

/// How a pair's count changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recount {
    pub(super) remove: Option<SmolStr>,
    pub(super) add: Option<SmolStr>,
}

impl Entry {
    /// Takes a row in: the first prediction and the latest outcome that counts stay.
    pub(super) fn take(&mut self, row: &JoinRow<'_>, source: &SourcePartition, model: &Model) {
        let arrived = row.time.plus(row.behind).minus(model.lateness);
        match &row.kind {
            JoinRowKind::Prediction { version, variant, segments, label, score, scores } => {
                self.prediction.get_or_insert_with(|| PredictionHalf {
                    time: row.time,
                    arrived,
                    version: (*version).into(),
                    variant: (*variant).into(),
                    segments: segments.iter().map(|segment| SmolStr::from(*segment)).collect(),
                    label: label.map(SmolStr::from),
                    score: *score,
                    scores: scores.clone(),
                });
            }
            JoinRowKind::Outcome { label } => {
                let place =
                    Place { topic: source.topic.as_str().into(), partition: source.partition, offset: row.offset };
                self.outcomes.kept.push(OutcomeHalf { time: row.time, arrived, label: (*label).into(), place });
            }
        }
        self.keep_what_counts(model.label_horizon);
    }

    /// What the pair's count must become, if it differs from what is counted.
    pub(super) fn recount(&mut self) -> Option<Recount> {
        self.prediction.as_ref()?;
        let wanted = &self.outcomes.kept.first()?.label;
        if Some(wanted) == self.outcomes.counted.as_ref() {
            return None;
        }
        let add = Some(wanted.clone());
        let remove = std::mem::replace(&mut self.outcomes.counted, add.clone());
        Some(Recount { remove, add })
    }

    fn keep_what_counts(&mut self, horizon: Span) {
        let kept = &mut self.outcomes.kept;
        if let Some(prediction) = &self.prediction {
            kept.retain(|outcome| outcome.is_in_time(prediction, horizon));
        }
        let most = if self.prediction.is_some() { 1 } else { OUTCOMES_KEPT };
        if kept.len() > most {
            kept.sort_by(|a, b| (b.time, &b.place).cmp(&(a.time, &a.place)));
            kept.truncate(most);
        }
    }
}

impl OutcomeHalf {
    /// Neither its time nor its coming is beyond the horizon. Both halves are read against the watermark of their own
    /// source, so that the answer depends on nothing but the order of its records.
    fn is_in_time(&self, prediction: &PredictionHalf, horizon: Span) -> bool {
        let awaited_until = self.time.min(prediction.time).plus(horizon);
        self.time.since(prediction.time) <= horizon && self.arrived.max(prediction.arrived) <= awaited_until
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
    use crate::model::{ReferenceSource, Task};
    use crate::profile::encode;

    fn model() -> Model {
        Model::new("m", Task::Binary, ReferenceSource::First(1))
    }

    fn source(partition: i32) -> SourcePartition {
        SourcePartition { topic: "outcomes".into(), partition }
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::default().plus(Span::from_days(day))
    }

    fn row(time: Timestamp, offset: i64, kind: JoinRowKind<'_>) -> JoinRow<'_> {
        JoinRow { model: "m", id: IdHash(1), time, offset, behind: Span::ZERO, kind }
    }

    fn prediction(time: Timestamp, label: &str) -> JoinRow<'_> {
        let kind = JoinRowKind::Prediction {
            version: "1",
            variant: "default",
            segments: Vec::new(),
            label: Some(label),
            score: None,
            scores: None,
        };
        row(time, 0, kind)
    }

    fn outcome(time: Timestamp, offset: i64, label: &str) -> JoinRow<'_> {
        row(time, offset, JoinRowKind::Outcome { label })
    }

    fn counted(rows: &[JoinRow<'_>]) -> (Option<SmolStr>, Vec<Recount>) {
        let mut entry = Entry::default();
        let mut recounts = Vec::new();
        for row in rows {
            entry.take(row, &source(0), &model());
            recounts.extend(entry.recount());
        }
        (entry.outcomes.counted, recounts)
    }

    /// As [`counted`], in every order of three rows.
    fn counted_in_any_order(rows: &[JoinRow<'_>; 3]) -> Vec<Option<SmolStr>> {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        orders.iter().map(|order| counted(&order.map(|index: usize| rows[index].clone())).0).collect()
    }

    /// As the first states of this format were written.
    #[test]
    fn a_place_is_stored_as_a_source_partition_and_its_offset() {
        let place = Place { topic: "outcomes".into(), partition: 3, offset: -7 };
        assert_eq!(encode(&place).unwrap(), encode(&(source(3), -7_i64)).unwrap());
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
        entry.take(&prediction(day(0), "1"), &source(0), &model());
        entry.take(&prediction(day(1), "0"), &source(0), &model());
        assert_eq!(entry.prediction.unwrap().label.as_deref(), Some("1"));
    }

    #[test]
    fn a_later_outcome_corrects_an_earlier_one_in_any_order() {
        let rows = [prediction(day(0), "1"), outcome(day(14), 0, "0"), outcome(day(15), 1, "1")];
        assert_eq!(counted_in_any_order(&rows), vec![Some("1".into()); 6]);
        let (_, recounts) = counted(&rows);
        assert_eq!(recounts[1], Recount { remove: Some("0".into()), add: Some("1".into()) });
    }

    #[test]
    fn of_outcomes_at_the_same_time_the_later_place_wins() {
        let rows = [prediction(day(0), "1"), outcome(day(14), 7, "1"), outcome(day(14), 3, "0")];
        assert_eq!(counted_in_any_order(&rows), vec![Some("1".into()); 6]);
    }

    #[test]
    fn an_outcome_after_the_horizon_neither_counts_nor_undoes_in_any_order() {
        assert_eq!(counted(&[prediction(day(0), "1"), outcome(day(61), 0, "1")]).0, None);
        let rows = [prediction(day(0), "1"), outcome(day(60), 0, "1"), outcome(day(61), 1, "0")];
        assert_eq!(counted_in_any_order(&rows), vec![Some("1".into()); 6]);
    }

    #[test]
    fn an_outcome_that_comes_when_its_source_is_beyond_the_horizon_does_not_count() {
        let behind = |days| JoinRow { behind: Span::from_days(days), ..outcome(day(14), 0, "1") };
        assert_eq!(counted(&[prediction(day(0), "1"), behind(46)]).0.as_deref(), Some("1"));
        for rows in [[prediction(day(0), "1"), behind(47)], [behind(47), prediction(day(0), "1")]] {
            assert_eq!(counted(&rows).0, None);
        }
    }

    #[test]
    fn a_repeated_outcome_changes_nothing() {
        let rows = [prediction(day(0), "1"), outcome(day(14), 0, "1"), outcome(day(14), 0, "1")];
        assert_eq!(counted(&rows).1.len(), 1);
    }

    #[test]
    fn of_many_outcomes_without_prediction_the_latest_stay() {
        let mut entry = Entry::default();
        for offset in 0..1_000 {
            entry.take(&outcome(day(0).plus(Span::from_secs(offset)), offset, "0"), &source(0), &model());
        }
        assert_eq!(entry.outcomes.kept.len(), OUTCOMES_KEPT);
        assert_eq!(entry.outcomes.kept.iter().map(|outcome| outcome.place.offset).max(), Some(999));
    }
}
