//! Every table: its columns, what they mean, and how they are read from a snapshot.
//!
//! One list per table says it all; the schema, the catalogue that `plimsoll sql --tables` prints and the conversion to
//! Arrow are derived from it.

mod accounting;
mod alerts;
mod attributions;
mod calibration;
mod candidate;
mod column;
mod confusion;
mod contributions;
mod detections;
mod drift;
mod fairness;
mod features;
mod lineage_runs;
mod models;
mod multivariate;
mod performance;
mod quality;
mod registry_audit;
mod retraining;
mod rollouts;
mod table;
mod versions;
mod windows;

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};

pub use column::{ColumnInfo, timezone};
pub use table::Table;

/// All tables, in the order in which they are explained.
#[must_use]
pub fn catalogue() -> [&'static dyn Table; 25] {
    [
        &windows::TABLE,
        &features::TABLE,
        &drift::TABLE,
        &multivariate::TABLE,
        &contributions::TABLE,
        &attributions::TABLE,
        &performance::TABLE,
        &confusion::TABLE,
        &calibration::TABLE,
        &quality::TABLE,
        &fairness::TABLE,
        &detections::TABLE,
        &alerts::TABLE,
        &retraining::TABLE,
        &accounting::TABLE,
        &models::TABLE,
        &versions::TABLE,
        &registry_audit::TABLE,
        &lineage_runs::TABLE,
        &rollouts::TABLE,
        &candidate::EVALUATION,
        &candidate::GATES,
        &candidate::SIGNATURE,
        &candidate::MONITORED_SCHEMA,
        &candidate::GOLDEN_ROWS,
    ]
}

pub(super) fn find(name: &str) -> Option<&'static dyn Table> {
    catalogue().into_iter().find(|table| table.name() == name)
}

pub(super) fn schema(table: &dyn Table) -> SchemaRef {
    Arc::new(Schema::new(table.columns().iter().map(ColumnInfo::field).collect::<Vec<_>>()))
}

/// The type as one would write it in SQL.
#[must_use]
pub fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "text".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        other => other.to_string(),
    }
}

/// Counts are signed in SQL; they stay far below its largest number.
fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
