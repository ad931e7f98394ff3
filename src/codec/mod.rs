//! Decoding: events from JSON into Arrow, data sets from files.
//!
//! An event is read by a pull parser into reusable scratch space, and goes to the column builders only when all of it
//! is right: a rejected event leaves no trace. Producers with their own field names ([`crate::model::Mapping`]) are read
//! by way of a document tree instead, which is slower, but are judged by the same rules.

mod columns;
mod envelope;
pub mod files;
mod ipc;
mod mapping;
mod outcomes;
mod panes;
mod prediction;
mod predictions;
mod reader;
mod rejection;
mod rows;
mod scalar;
mod schema;
mod time;

pub use envelope::DecodeLimits;
pub use ipc::{from_ipc, to_ipc};
pub use mapping::{Pointer, PointerError};
pub use outcomes::{OutcomeDecoder, OutcomeModel};
pub use panes::{Accepted, Group, anchored_rows, by_pane};
pub use predictions::{DecoderModel, PredictionDecoder, SchemaMode};
pub use rejection::Rejection;
pub use rows::{FeatureColumn, OutcomeRows, PredictionRows};
pub use scalar::NumberText;
pub use schema::{FeatureSchema, column};
pub use time::{millis_of_float, millis_of_integer, millis_of_text};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

/// What became of a batch of records: each is a row of one model or a rejection.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// Per model that occurs, in the order of the decoder's models.
    pub batches: Vec<ModelBatch>,
    /// In record order.
    pub rejected: Vec<Rejection>,
    /// Fields of decoded events that nothing reads.
    pub unknown_fields: u64,
}

#[derive(Clone, Debug)]
pub struct ModelBatch {
    /// Index in the decoder's models.
    pub model: usize,
    /// In record order; read it with [`PredictionRows`] or [`OutcomeRows`].
    pub rows: RecordBatch,
}

#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("decoded columns do not make a batch: {0}")]
    Batch(#[from] ArrowError),
    #[error("column {position} of the batch is no {expected}: only batches of the decoder can be read as its rows")]
    NotDecoded { position: usize, expected: &'static str },
}

impl Decoded {
    /// How many records became rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows.num_rows()).sum()
    }
}
