//! The registry's log, as its followers read it.

use super::record::Decision;
use crate::bus::Record;
use crate::event::{FormatError, SourcePartition, from_json};
use crate::runner::RoleError;

/// None for what is no decision. A newer format is an error.
pub(super) fn read_decision(source: &SourcePartition, record: &Record<'_>) -> Result<Option<Decision>, RoleError> {
    let Some(payload) = record.payload.filter(|_| record.key.is_some_and(Decision::is_at)) else { return Ok(None) };
    match from_json(payload) {
        Ok(decision) => Ok(Some(decision)),
        Err(FormatError::Malformed(reason)) => {
            tracing::warn!(%source, offset = record.offset, reason, "a record is no decision and is skipped");
            Ok(None)
        }
        Err(newer) => Err(RoleError::Record {
            source_partition: source.clone(),
            offset: record.offset,
            reason: newer.to_string(),
        }),
    }
}
