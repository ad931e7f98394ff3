//! One version of a model, loaded and ready to answer.

use std::time::Instant;

use serde_json::{Map, Value};

use super::golden::{Golden, GoldenError};
use super::layout::{InputError, Layout, LayoutError, NamedColumn};
use super::pace::Pace;
use super::prediction::{Prediction, Purpose, Reading, ReadingError};
use crate::onnx::{Limits, Model, OnnxError, Runtime, Tensor};

/// The name and version under which a model answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    pub model: String,
    pub version: u32,
}

/// Everything that a version is made of.
#[derive(Clone, Debug, Default)]
pub struct Package {
    pub onnx: Vec<u8>,
    /// In the order of training; none when they are not known.
    pub columns: Vec<NamedColumn>,
    pub golden: Golden,
    pub purpose: Option<Purpose>,
}

#[derive(Debug)]
pub struct Served {
    pub identity: Identity,
    model: Model,
    layout: Layout,
    reading: Reading,
    pub(super) pace: Pace,
}

/// Why a version cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error(transparent)]
    Golden(#[from] GoldenError),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The request is at fault.
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Model(#[from] OnnxError),
}

impl Served {
    /// Loads a version and holds it against its golden rows, at most until `deadline`. Blocks.
    pub fn load(
        runtime: &Runtime,
        identity: Identity,
        package: &Package,
        limits: Limits,
        deadline: Instant,
    ) -> Result<Self, PackageError> {
        let model = Model::load(runtime, &package.onnx, limits)?;
        let layout = Layout::new(model.inputs(), &package.columns)?;
        let reading = Reading::new(model.outputs(), model.classes(), package.purpose.as_ref())?;
        let served = Self { identity, model, layout, reading, pace: Pace::default() };
        let golden = &package.golden;
        if !golden.rows.is_empty() {
            let rows: Vec<&Map<String, Value>> = golden.rows.iter().map(|row| &row.features).collect();
            golden.compare(&served.rows(&rows, deadline))?;
        }
        Ok(served)
    }

    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// The outputs of one batch of accepted tensors. Blocks.
    pub fn run(&self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, OnnxError> {
        self.model.run(inputs, deadline)
    }

    /// What the outputs say of each row.
    #[must_use]
    pub fn predictions(&self, outputs: &[Tensor], rows: usize) -> Vec<Result<Prediction, String>> {
        (0..rows).map(|row| self.reading.row(outputs, row).map_err(|error| error.to_string())).collect()
    }

    /// The answers to rows, each on its own: a row that is at fault spoils no other. Blocks.
    pub fn rows(&self, rows: &[&Map<String, Value>], deadline: Instant) -> Vec<Result<Prediction, AnswerError>> {
        let mut answers: Vec<Option<Result<Prediction, AnswerError>>> = Vec::with_capacity(rows.len());
        for row in rows {
            answers.push(self.layout.check(row).err().map(|error| Err(error.into())));
        }
        let good: Vec<usize> = (0..rows.len()).filter(|row| answers[*row].is_none()).collect();
        let together: Vec<&Map<String, Value>> = good.iter().map(|row| rows[*row]).collect();
        match self.batch(&together, deadline) {
            Ok(found) => good.iter().zip(found).for_each(|(row, answer)| answers[*row] = Some(answer)),
            // One row may spoil a batch, as a category that the encoder does not know.
            Err(AnswerError::Model(OnnxError::Run(_)) | AnswerError::Input(_)) if good.len() > 1 => {
                for row in good {
                    let alone = self.batch(&[rows[row]], deadline);
                    answers[row] = Some(alone.and_then(|mut found| found.pop().unwrap_or_else(no_answer)));
                }
            }
            Err(error) => good.iter().for_each(|row| answers[*row] = Some(Err(error.clone()))),
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(no_answer)).collect()
    }

    fn batch(
        &self,
        rows: &[&Map<String, Value>],
        deadline: Instant,
    ) -> Result<Vec<Result<Prediction, AnswerError>>, AnswerError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let outputs = self.run(&self.layout.of_rows(rows)?, deadline)?;
        let wrong = |reason: String| AnswerError::Model(OnnxError::Run(reason));
        Ok(self.predictions(&outputs, rows.len()).into_iter().map(|answer| answer.map_err(wrong)).collect())
    }
}

fn no_answer() -> Result<Prediction, AnswerError> {
    Err(AnswerError::Model(OnnxError::Run("the model has no answer for the row".to_owned())))
}
