//! A data file as the events it would have been: predictions and their outcomes in the order of event time.

mod json;
mod outcomes;
mod rows;
mod survey;

use std::collections::VecDeque;

use crate::clock::{Span, Timestamp};
use crate::codec::files::{ColumnRole, DataFile, Dataset, FileError, Required};
use crate::model::{Model, Task};

use json::OutcomeJson;
use outcomes::OutcomeLabels;
pub use rows::SORT_LIMIT_BYTES;
use rows::{PredictionRow, Rows};
pub use survey::Survey;

/// A replay that is ready to run: its files have been opened and surveyed.
#[derive(Debug)]
pub struct Replay {
    predictions: Dataset,
    outcomes: Option<OutcomeLabels>,
    model: String,
    task: Task,
    options: ReplayOptions,
    survey: Survey,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayOptions {
    pub times: Times,
    /// The version of every prediction, instead of the file's.
    pub version: Option<String>,
    pub variant: Option<String>,
    pub outcomes: OutcomeChoice,
    /// Event time from a prediction to its outcome.
    pub outcome_delay: Span,
    /// The first predictions only, with their outcomes.
    pub limit: Option<u64>,
    /// Only events, predictions and outcomes alike, at this time or later.
    pub from: Option<Timestamp>,
    /// Only events before this time.
    pub to: Option<Timestamp>,
}

/// When the rows happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    #[default]
    Column,
    /// One row each `interval`, for files without times.
    Spread { start: Timestamp, interval: Span },
}

/// Which outcomes of the predictions' own file are replayed; a second file with outcomes goes before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutcomeChoice {
    #[default]
    IfPresent,
    Required,
    None,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayEvent {
    pub time: Timestamp,
    pub kind: ReplayKind,
    pub id: String,
    pub json: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayKind {
    Prediction,
    Outcome,
}

/// The events of a [`Replay`], ordered by time; a prediction goes before the outcomes of the same instant.
#[derive(Debug)]
pub struct ReplayEvents {
    rows: Rows,
    outcomes: Option<OutcomeLabels>,
    model: String,
    task: Task,
    options: ReplayOptions,
    /// The next prediction.
    ahead: Option<PredictionRow>,
    /// Outcomes that are not due yet; in order, since all follow their predictions by the same delay.
    waiting: VecDeque<WaitingOutcome>,
    predictions: u64,
    ended: bool,
}

#[derive(Debug)]
struct WaitingOutcome {
    time: Timestamp,
    id: String,
    label: Box<str>,
}

impl Replay {
    /// Opens nothing but what it is given, and reads through the ids and times once, so that a file with gaps is
    /// refused before anything is published.
    pub fn new(
        predictions: DataFile,
        outcomes: Option<DataFile>,
        model: &Model,
        options: ReplayOptions,
    ) -> Result<Self, FileError> {
        let predictions = Dataset::new(predictions, model, &required(model, &options, outcomes.is_some()))?;
        let outcomes = outcomes
            .filter(|_| options.outcomes != OutcomeChoice::None)
            .map(|file| OutcomeLabels::read(file, model))
            .transpose()?;
        let survey = Survey::of(&predictions, &options)?;
        Ok(Self { predictions, outcomes, model: model.name.clone(), task: model.task, options, survey })
    }

    #[must_use]
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// How many predictions will be replayed.
    #[must_use]
    pub fn predictions(&self) -> u64 {
        self.survey.in_range.min(self.options.limit.unwrap_or(u64::MAX))
    }

    pub fn events(self) -> Result<ReplayEvents, FileError> {
        let rows = Rows::open(self.predictions, self.task, &self.options, self.survey.sorted)?;
        Ok(ReplayEvents {
            rows,
            outcomes: self.outcomes,
            model: self.model,
            task: self.task,
            options: self.options,
            ahead: None,
            waiting: VecDeque::new(),
            predictions: 0,
            ended: false,
        })
    }
}

impl ReplayOptions {
    fn is_in_range(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }
}

impl ReplayEvents {
    /// How many outcomes of the second file belong to no prediction that has been read.
    #[must_use]
    pub fn outcomes_without_prediction(&self) -> u64 {
        self.outcomes.as_ref().map_or(0, OutcomeLabels::unused)
    }

    fn look_ahead(&mut self) -> Result<(), FileError> {
        if self.ahead.is_some() || self.ended {
            return Ok(());
        }
        if self.options.limit.is_some_and(|limit| self.predictions >= limit) {
            self.ended = true;
            return Ok(());
        }
        let row = self.rows.next().transpose()?;
        // rows come in order and outcomes follow their rows, so nothing after the end of the range is of interest
        self.ahead = row.filter(|row| self.options.to.is_none_or(|to| row.time() < to));
        self.ended = self.ahead.is_none();
        Ok(())
    }

    fn outcome_is_due(&self) -> bool {
        match (self.waiting.front(), &self.ahead) {
            (Some(outcome), Some(prediction)) => outcome.time < prediction.time(),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    fn prediction_event(&mut self, row: &PredictionRow) -> ReplayEvent {
        self.await_outcome(row);
        ReplayEvent {
            time: row.time(),
            kind: ReplayKind::Prediction,
            id: row.id().to_owned(),
            json: row.json(&self.model, &self.options),
        }
    }

    fn await_outcome(&mut self, row: &PredictionRow) {
        let known = match &mut self.outcomes {
            Some(labels) => labels.label_of(row.id()),
            None => row.outcome(),
        };
        let Some(label) = known else { return };
        let time = row.time().plus(self.options.outcome_delay);
        self.waiting.push_back(WaitingOutcome { time, id: row.id().to_owned(), label: label.into() });
    }

    fn outcome_event(&self, outcome: WaitingOutcome) -> ReplayEvent {
        let json = OutcomeJson { model: &self.model, task: self.task, id: &outcome.id, time: outcome.time };
        ReplayEvent {
            time: outcome.time,
            kind: ReplayKind::Outcome,
            json: json.with_label(&outcome.label),
            id: outcome.id,
        }
    }
}

impl Iterator for ReplayEvents {
    type Item = Result<ReplayEvent, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Err(error) = self.look_ahead() {
                self.ended = true;
                self.waiting.clear();
                return Some(Err(error));
            }
            if self.outcome_is_due() {
                let outcome = self.waiting.pop_front()?;
                if self.options.is_in_range(outcome.time) {
                    return Some(Ok(self.outcome_event(outcome)));
                }
                continue;
            }
            let row = self.ahead.take()?;
            if self.options.is_in_range(row.time()) {
                self.predictions += 1;
                return Some(Ok(self.prediction_event(&row)));
            }
            self.await_outcome(&row);
        }
    }
}

fn required(model: &Model, options: &ReplayOptions, outcomes_apart: bool) -> Required {
    let mut roles = vec![ColumnRole::Id];
    if options.times == Times::Column {
        roles.push(ColumnRole::Time);
    }
    // a misspelt prediction would pass for a feature, so what the configuration names must be there
    let usual = crate::model::Columns::default();
    roles.extend([ColumnRole::Label, ColumnRole::Score].into_iter().filter(|role| {
        let name = role.name(&model.columns);
        name != role.name(&usual)
    }));
    if options.outcomes == OutcomeChoice::Required && !outcomes_apart {
        roles.push(ColumnRole::Outcome);
    }
    if options.version.is_none() {
        roles.push(ColumnRole::Version);
    }
    Required { roles, features: false }
}

#[cfg(test)]
mod tests;
