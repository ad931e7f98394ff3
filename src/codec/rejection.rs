//! Why a record could not be decoded.

use crate::event::Reason;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Index of the record in the batch.
    pub index: usize,
    pub reason: Reason,
    /// Dotted path of the wrong field, when one is.
    pub field: Option<String>,
    pub detail: String,
}
