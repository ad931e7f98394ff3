//! The books of one source partition: every record read is counted, a duplicate, or a dead letter.

use crate::bus::{Outgoing, Record, Records};
use crate::clock::Timestamp;
use crate::codec::Rejection;
use crate::event::{Accounting, DeadLetter, Reason, SourcePartition, key_of, to_json};
use crate::runner::RoleError;

#[derive(Debug)]
pub(super) struct Ledger {
    source: SourcePartition,
    deadletter_topic: String,
    accounting_topic: String,
    accounting: Accounting,
    dead_letters: Vec<Outgoing>,
    changed: bool,
}

impl Ledger {
    pub(super) fn new(
        source: &SourcePartition,
        deadletter_topic: &str,
        accounting_topic: &str,
        restored: Option<Accounting>,
    ) -> Self {
        let fresh = || Accounting { topic: source.topic.clone(), partition: source.partition, ..Accounting::default() };
        Self {
            source: source.clone(),
            deadletter_topic: deadletter_topic.to_owned(),
            accounting_topic: accounting_topic.to_owned(),
            accounting: restored.unwrap_or_else(fresh),
            dead_letters: Vec::new(),
            // The books are shown from the start, even while they are empty.
            changed: true,
        }
    }

    pub(super) fn accounting(&mut self) -> &mut Accounting {
        self.changed = true;
        &mut self.accounting
    }

    pub(super) const fn accounting_ref(&self) -> &Accounting {
        &self.accounting
    }

    /// Notes that `records` have been read, and those among them that could not be decoded.
    pub(super) fn take_read(&mut self, records: &Records, unknown_fields: u64, rejected: Vec<Rejection>) {
        let accounting = self.accounting();
        accounting.read += records.len() as u64;
        accounting.unknown_fields += unknown_fields;
        for rejection in rejected {
            if let Some(record) = records.get(rejection.index) {
                self.reject(&record, rejection.reason, rejection.field, rejection.detail);
            }
        }
    }

    pub(super) fn reject(&mut self, record: &Record<'_>, reason: Reason, field: Option<String>, detail: String) {
        tracing::debug!(source = %self.source, offset = record.offset, %reason, detail, "dead letter");
        self.accounting().deadlettered += 1;
        let (payload, cut_from) = record.payload.map(DeadLetter::kept).unzip();
        let letter = DeadLetter {
            reason,
            field,
            detail,
            topic: self.source.topic.clone(),
            partition: self.source.partition,
            offset: record.offset,
            key: record.key.map(<[u8]>::to_vec),
            payload,
            cut_from: cut_from.flatten(),
        };
        self.dead_letters.push(Outgoing {
            topic: self.deadletter_topic.clone(),
            headers: letter.headers(),
            key: letter.key,
            payload: letter.payload,
            ..Outgoing::default()
        });
    }

    /// Dead letters since the last call.
    pub(super) fn take_dead_letters(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.dead_letters)
    }

    /// The books as of `watermark`, if they changed since the last call.
    pub(super) fn take_changed(
        &mut self,
        watermark: Option<Timestamp>,
    ) -> Result<Option<(Accounting, Outgoing)>, RoleError> {
        if !std::mem::take(&mut self.changed) {
            return Ok(None);
        }
        self.accounting.watermark = watermark;
        let payload = to_json(&self.accounting)?;
        let outgoing = Outgoing {
            topic: self.accounting_topic.clone(),
            key: Some(key_of(&[&self.source.topic, &self.source.partition.to_string()]).into_bytes()),
            payload: Some(payload),
            ..Outgoing::default()
        };
        Ok(Some((self.accounting.clone(), outgoing)))
    }
}
