//! What the rows of the serving role's state are: none but those that every role has.

use crate::runner::{Audit, unknown_row};

#[derive(Clone, Copy, Debug, Default)]
pub struct ServeAudit;

impl Audit for ServeAudit {
    fn row(&mut self, _: &[u8], _: &[u8]) -> Result<&'static str, String> {
        unknown_row()
    }

    fn faults(&self, _next_offset: Option<i64>) -> Vec<String> {
        Vec::new()
    }
}
