//! Data sets in files: Parquet, CSV and NDJSON, read in batches of bounded memory.
//!
//! [`DataFile`] reads the file, [`column`] turns any of its columns into numbers, text or times, [`Dataset`] knows which
//! column is what for a model, and [`replay`] makes events of its rows.

pub mod column;
mod data_columns;
mod data_file;
mod dataset;
mod error;
mod nearest;
pub mod replay;
#[cfg(test)]
mod samples;

pub use data_columns::{ColumnRole, DataColumns, FeatureRef, Required};
pub use data_file::{Batches, DataFile};
pub use dataset::{Dataset, DatasetBatch, DatasetBatches, FeatureColumn};
pub use error::{ColumnError, FileError, MissingColumn, UnfitColumn};
