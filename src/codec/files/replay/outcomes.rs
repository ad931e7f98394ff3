//! Outcomes from a file of their own, by the id of their prediction.

use std::collections::HashMap;

use crate::codec::files::column::as_text;
use crate::codec::files::dataset::BatchColumns;
use crate::codec::files::{ColumnRole, DataFile, Dataset, FileError};
use crate::event::IdHash;
use crate::model::Model;

/// All labels of the file, in memory.
#[derive(Debug, Default)]
pub(super) struct OutcomeLabels(HashMap<IdHash, KnownOutcome>);

#[derive(Debug)]
struct KnownOutcome {
    label: Box<str>,
    used: bool,
}

impl OutcomeLabels {
    /// Rows without id or outcome tell nothing; of several with the same id, the last counts.
    pub(super) fn read(file: DataFile, model: &Model) -> Result<Self, FileError> {
        let roles = [ColumnRole::Id, ColumnRole::Outcome];
        let dataset = Dataset::without_features(file, model, &roles)?;
        let mut labels = HashMap::new();
        let mut first_row = 1;
        for batch in dataset.batches_of(&roles)? {
            let batch = batch?;
            let columns = BatchColumns { dataset: &dataset, batch: &batch, first_row };
            first_row += batch.num_rows() as u64;
            let ids = columns.read_role(ColumnRole::Id, as_text)?;
            let outcomes = columns.read_role(ColumnRole::Outcome, as_text)?;
            for (id, outcome) in ids.iter().flatten().zip(outcomes.iter().flatten()) {
                let (Some(id), Some(outcome)) = (id, outcome) else { continue };
                labels.insert(IdHash::of(id), KnownOutcome { label: outcome.into(), used: false });
            }
        }
        Ok(Self(labels))
    }

    pub(super) fn label_of(&mut self, id: &str) -> Option<&str> {
        let known = self.0.get_mut(&IdHash::of(id))?;
        known.used = true;
        Some(&known.label)
    }

    pub(super) fn unused(&self) -> u64 {
        self.0.values().filter(|known| !known.used).count() as u64
    }
}
