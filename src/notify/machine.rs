//! The state machine of one partition of the alerts topic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::letter::letter;
use super::queue::{Delivery, Fate};
use super::role::Results;
use super::told::Told;
use super::{Mail, MailError, Mailer};
use crate::bus::{Record, Records};
use crate::clock::{Span, Timestamp};
use crate::event::{Alert, FormatError, SourcePartition, from_json};
use crate::runner::{Checkpoint, Machine, RoleError};
use crate::state::{StateError, Store, Write, prefix_end};

/// What was told and what is still to be delivered; both are in memory, the store is their copy.
pub(super) struct NotifyMachine {
    source: SourcePartition,
    mailer: Option<Arc<dyn Mailer>>,
    results: Results,
    /// By fingerprint.
    told: BTreeMap<String, Told>,
    /// By sequence number.
    deliveries: BTreeMap<u64, Delivery>,
    /// Since the last checkpoint.
    changed_told: BTreeSet<String>,
    changed_deliveries: BTreeSet<u64>,
    dead: Vec<Delivery>,
}

const TOLD: &str = "told/";
const DELIVERY: &str = "delivery/";
const DEAD: &str = "dead/";

/// How long a delivery that was given up is kept to be looked at.
const DEAD_KEPT: Span = Span::from_days(90);

/// Spares the receiver and the server when much has gathered.
const SENDS_PER_CHECKPOINT: usize = 10;

/// A slow server slows this role only, and not for longer than this per mail.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

impl NotifyMachine {
    pub(super) async fn open(
        source: &SourcePartition,
        store: &dyn Store,
        mailer: Option<Arc<dyn Mailer>>,
        results: Results,
    ) -> Result<Self, StateError> {
        let told = read(source, store, TOLD, |key| Some(key.to_owned())).await?;
        let deliveries = read(source, store, DELIVERY, |key| u64::from_str_radix(key, 16).ok()).await?;
        if mailer.is_none() && !deliveries.is_empty() {
            tracing::warn!(%source, waiting = deliveries.len(), "notifications wait until [notify.email] is set");
        }
        Ok(Self {
            source: source.clone(),
            mailer,
            results,
            told,
            deliveries,
            changed_told: BTreeSet::new(),
            changed_deliveries: BTreeSet::new(),
            dead: Vec::new(),
        })
    }

    fn tell(&mut self, alert: &Alert, now: Timestamp) {
        let fingerprint = alert.fingerprint.as_str();
        let told = self.told.entry(fingerprint.to_owned()).or_default();
        if !told.is_news(alert) {
            return;
        }
        self.changed_told.insert(fingerprint.to_owned());
        let mail = letter(alert, now);
        if self.mailer.is_none() {
            tracing::info!(subject = mail.subject, "nobody is told: [notify.email] is not set");
            return;
        }
        tracing::info!(subject = mail.subject, "notification queued");
        let sequence = self.deliveries.last_key_value().map_or(0, |(last, _)| last + 1);
        self.deliveries.insert(sequence, Delivery::new(mail, now));
        self.changed_deliveries.insert(sequence);
    }

    async fn send_due(&mut self, now: Timestamp) {
        let Some(mailer) = self.mailer.clone() else { return };
        for sequence in self.due(now) {
            let Some(mail) = self.deliveries.get(&sequence).map(|delivery| delivery.mail.clone()) else { continue };
            self.changed_deliveries.insert(sequence);
            match send(mailer.as_ref(), mail).await {
                Ok(()) => self.sent(sequence),
                Err(error) => {
                    self.failed(sequence, &error, now);
                    if matches!(error, MailError::Unreachable(_)) {
                        return;
                    }
                }
            }
        }
    }

    /// The longest waiting first, so that one bad mail does not hold up the others.
    fn due(&self, now: Timestamp) -> Vec<u64> {
        let mut due: Vec<(Timestamp, u64)> = self
            .deliveries
            .iter()
            .filter(|(_, delivery)| delivery.next_attempt_at <= now)
            .map(|(sequence, delivery)| (delivery.next_attempt_at, *sequence))
            .collect();
        due.sort_unstable();
        due.into_iter().take(SENDS_PER_CHECKPOINT).map(|(_, sequence)| sequence).collect()
    }

    fn sent(&mut self, sequence: u64) {
        if let Some(delivery) = self.deliveries.remove(&sequence) {
            self.results.count(Results::SENT);
            tracing::info!(id = delivery.mail.id, attempts = delivery.attempts + 1, "notification sent");
        }
    }

    fn failed(&mut self, sequence: u64, error: &MailError, now: Timestamp) {
        let Some(mut delivery) = self.deliveries.remove(&sequence) else { return };
        self.results.count(Results::FAILED);
        let id = delivery.mail.id.clone();
        match delivery.fail(error.to_string(), now) {
            Fate::Retry => {
                let next = delivery.next_attempt_at;
                tracing::warn!(id, attempts = delivery.attempts, %next, %error, "notification not sent, will be tried again");
                self.deliveries.insert(sequence, delivery);
            }
            Fate::Dead => {
                self.results.count(Results::DEAD);
                tracing::error!(id, subject = delivery.mail.subject, attempts = delivery.attempts, %error, "notification given up");
                self.dead.push(delivery);
            }
        }
    }

    fn writes(&mut self) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::new();
        for fingerprint in &self.changed_told {
            if let Some(told) = self.told.get(fingerprint) {
                writes.push(Write::put(format!("{TOLD}{fingerprint}"), encode(told)?));
            }
        }
        for sequence in &self.changed_deliveries {
            let key = format!("{DELIVERY}{sequence:016x}");
            writes.push(match self.deliveries.get(sequence) {
                Some(delivery) => Write::put(key, encode(delivery)?),
                None => Write::delete(key),
            });
        }
        for delivery in &self.dead {
            let key = format!("{DEAD}{}", delivery.mail.id).into_bytes();
            writes.push(Write::Put { key, value: encode(delivery)?, ttl: Some(DEAD_KEPT) });
        }
        self.changed_told.clear();
        self.changed_deliveries.clear();
        self.dead.clear();
        Ok(writes)
    }

    /// None for what no alert can be read from; it says so in the log. A newer format is an error.
    fn read_alert(&self, record: &Record<'_>) -> Result<Option<Alert>, RoleError> {
        let (source, offset) = (&self.source, record.offset);
        let Some(payload) = record.payload else {
            tracing::debug!(%source, offset, "an alert was deleted from the topic");
            return Ok(None);
        };
        match from_json(payload) {
            Ok(alert) => Ok(Some(alert)),
            Err(FormatError::Malformed(reason)) => {
                tracing::warn!(%source, offset, reason, "a record is no alert and is skipped");
                Ok(None)
            }
            Err(newer) => {
                Err(RoleError::Record { source_partition: source.clone(), offset, reason: newer.to_string() })
            }
        }
    }
}

#[async_trait]
impl Machine for NotifyMachine {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        for record in records.iter() {
            if let Some(alert) = self.read_alert(&record)? {
                self.tell(&alert, now);
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        self.send_due(now).await;
        Ok(Checkpoint { writes: self.writes()?, outgoing: Vec::new() })
    }
}

async fn send(mailer: &dyn Mailer, mail: Mail) -> Result<(), MailError> {
    match tokio::time::timeout(SEND_TIMEOUT, mailer.send(mail)).await {
        Ok(sent) => sent,
        Err(_) => Err(MailError::Unreachable(format!("no answer within {} s", SEND_TIMEOUT.as_secs()))),
    }
}

/// The rows under `prefix`, by what `identity` makes of the rest of their keys.
async fn read<K: Ord, V: DeserializeOwned>(
    source: &SourcePartition,
    store: &dyn Store,
    prefix: &str,
    identity: impl Fn(&str) -> Option<K>,
) -> Result<BTreeMap<K, V>, StateError> {
    let mut rows = BTreeMap::new();
    for (key, value) in store.scan(prefix.as_bytes(), &prefix_end(prefix.as_bytes())).await? {
        let key = String::from_utf8_lossy(&key);
        let corrupt = |reason: String| StateError::Corrupt { path: format!("notify/{source}"), reason };
        let id = key.strip_prefix(prefix).and_then(&identity).ok_or_else(|| corrupt(format!("a key is {key:?}")))?;
        let row = serde_json::from_slice(&value).map_err(|error| corrupt(format!("{key}: {error}")))?;
        rows.insert(id, row);
    }
    Ok(rows)
}

fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, RoleError> {
    serde_json::to_vec(row).map_err(|error| RoleError::Failed(format!("notify cannot write its state: {error}")))
}
