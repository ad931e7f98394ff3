//! What join knows of one id.

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::event::{JoinRow, JoinRowKind, SourcePartition};
use crate::model::Model;
use crate::performance::Judged;
use crate::profile::NumericAnchors;

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
            JoinRowKind::Prediction { version, variant, segments, label, score } => {
                self.prediction.get_or_insert_with(|| PredictionHalf {
                    time: row.time,
                    version: version.clone(),
                    variant: variant.clone(),
                    segments: segments.clone(),
                    label: label.clone(),
                    score: *score,
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
    /// The pair as performance counts it.
    pub(super) fn judged(&self, model: &Model, anchors: Option<&NumericAnchors>, outcome: &str) -> Judged {
        Judged {
            predicted: self.label.as_ref().map(|label| *label == model.positive),
            actual: outcome == model.positive,
            score_bin: self.score.zip(anchors).map(|(score, anchors)| anchors.bin(score)),
        }
    }
}
