//! What the rows of ingest's state are.

use super::{dedup, outcomes, predictions};
use crate::event::Accounting;
use crate::runner::{Audit, readable, unknown_row};
use crate::window::PanePartial;

/// Also adds up the books.
#[derive(Debug, Default)]
pub struct IngestAudit {
    books: Option<Accounting>,
}

impl Audit for IngestAudit {
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<&'static str, String> {
        if key == predictions::STATE {
            self.books = Some(predictions::stored_books(value)?);
            return Ok("meta");
        }
        if key == outcomes::STATE {
            self.books = Some(outcomes::stored_books(value)?);
            return Ok("meta");
        }
        if key.starts_with(b"pane/") {
            return readable::<PanePartial>(value).map(|_| "panes");
        }
        if key.starts_with(dedup::PREFIX) {
            return dedup::check(value).map(|()| "recent ids");
        }
        unknown_row()
    }

    fn faults(&self, next_offset: Option<i64>) -> Vec<String> {
        let Some(books) = &self.books else { return Vec::new() };
        let mut faults = Vec::new();
        if !books.is_balanced() {
            let Accounting { read, counted, duplicate, deadlettered, .. } = books;
            faults.push(format!(
                "read {read} is not counted {counted} + duplicate {duplicate} + dead letters {deadlettered}"
            ));
        }
        if next_offset.is_some_and(|next| next != books.next_offset) {
            faults.push(format!("its books end at offset {}, its state at {next_offset:?}", books.next_offset));
        }
        faults
    }
}
