//! The materialised view: what stands on Plimsoll's compacted topics, in memory, for HTTP and SQL.

mod follow;
mod registered;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use serde::de::DeserializeOwned;

use crate::bus::{Record, Topics};
use crate::clock::Timestamp;
use crate::event::{
    Accounting, Alert, AlertState, FormatError, RetrainingRequest, SourcePartition, WindowReport, from_json, key_of,
};
use crate::query::{AccountingRow, ModelRow, Snapshot};
use crate::registry::rollouts::Windows;

pub use follow::{TailSource, follow};
pub use registered::{Judged, Registered};

/// Which of the view's tables a topic feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewTopic {
    Windows,
    Alerts,
    Retraining,
    Accounting,
}

/// The most rows the view keeps of each table; beyond it the oldest go first.
#[derive(Clone, Copy, Debug)]
pub struct ViewLimits {
    pub windows: usize,
    pub alerts: usize,
    pub retraining: usize,
}

/// Rows by the key of their record. Accounting is bounded by the number of partitions.
#[derive(Debug, Default)]
pub struct View {
    limits: ViewLimits,
    models: Vec<ModelRow>,
    windows: BTreeMap<String, Arc<WindowReport>>,
    windows_by_end: BTreeSet<(Timestamp, String)>,
    alerts: BTreeMap<String, Arc<Alert>>,
    retraining: BTreeMap<String, Arc<RetrainingRequest>>,
    accounting: BTreeMap<SourcePartition, Accounting>,
    ends: BTreeMap<SourcePartition, i64>,
    registered: Registered,
    /// Built at the first reading after a change.
    snapshot: Option<Arc<Snapshot>>,
}

/// One view shared by the thread that feeds it and the requests that read it.
#[derive(Clone, Debug, Default)]
pub struct ViewHandle(Arc<RwLock<View>>);

#[derive(Debug, thiserror::Error)]
#[error("record {offset} of the {table} topic is not one of plimsoll's: {reason}")]
pub struct ViewError {
    pub table: &'static str,
    pub offset: i64,
    pub reason: FormatError,
}

impl Default for ViewLimits {
    fn default() -> Self {
        Self { windows: 20_000, alerts: 10_000, retraining: 1_000 }
    }
}

impl ViewTopic {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Alerts => "alerts",
            Self::Retraining => "retraining",
            Self::Accounting => "accounting",
        }
    }

    /// What `topic` feeds; none for the other topics of the deployment.
    #[must_use]
    pub fn of(topics: &Topics, topic: &str) -> Option<Self> {
        match topic {
            name if name == topics.windows => Some(Self::Windows),
            name if name == topics.alerts => Some(Self::Alerts),
            name if name == topics.retraining => Some(Self::Retraining),
            name if name == topics.accounting => Some(Self::Accounting),
            _ => None,
        }
    }

    /// The topics to tail, in the order of the tables.
    #[must_use]
    pub fn names(topics: &Topics) -> Vec<String> {
        vec![topics.windows.clone(), topics.alerts.clone(), topics.retraining.clone(), topics.accounting.clone()]
    }
}

impl View {
    #[must_use]
    pub fn new(models: Vec<ModelRow>, limits: ViewLimits) -> Self {
        Self { limits, models, ..Self::default() }
    }

    /// Takes over one record. Records of one key must come in the order of their offsets; a record without a
    /// payload removes its row.
    pub fn apply(&mut self, topic: ViewTopic, record: &Record<'_>) -> Result<(), ViewError> {
        self.snapshot = None;
        let Some(payload) = record.payload else {
            self.remove(topic, &String::from_utf8_lossy(record.key.unwrap_or_default()));
            return Ok(());
        };
        match topic {
            ViewTopic::Windows => self.put_window(read(topic, record, payload)?),
            ViewTopic::Alerts => self.put_alert(read(topic, record, payload)?),
            ViewTopic::Retraining => self.put_retraining(read(topic, record, payload)?),
            ViewTopic::Accounting => self.put_accounting(read(topic, record, payload)?),
        }
        Ok(())
    }

    /// Tells where a partition ends, so that the lag of its reader is known.
    pub fn set_end_offset(&mut self, topic: &str, partition: i32, end: i64) {
        self.snapshot = None;
        self.ends.insert(SourcePartition { topic: topic.to_owned(), partition }, end);
    }

    pub fn set_models(&mut self, models: Vec<ModelRow>) {
        self.snapshot = None;
        self.models = models;
    }

    /// What is registered, to be changed.
    pub fn registered(&mut self) -> &mut Registered {
        self.snapshot = None;
        &mut self.registered
    }

    /// The tables as they are now; shared with earlier callers as long as nothing changes.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        if let Some(snapshot) = &self.snapshot {
            return Arc::clone(snapshot);
        }
        let snapshot = Arc::new(Snapshot {
            windows: self.windows.values().cloned().collect(),
            alerts: self.alerts.values().cloned().collect(),
            retraining: self.retraining.values().cloned().collect(),
            accounting: self.accounting.iter().map(|(source, row)| self.with_lag(source, row)).collect(),
            models: self.registered.models(&self.models),
            versions: self.registered.versions(),
            registry_audit: self.registered.audit(),
            evaluation: self.registered.evaluation(),
            gates: self.registered.gates(),
            lineage_runs: self.registered.lineage_runs(),
            rollouts: self.registered.rollouts(),
            ..Snapshot::default()
        });
        self.snapshot = Some(Arc::clone(&snapshot));
        snapshot
    }

    /// The newest revision stands: what is repeated after a crash never brings an older one back.
    fn put_window(&mut self, report: WindowReport) {
        let key = report.key();
        if self.windows.get(&key).is_some_and(|known| known.revision > report.revision) {
            return;
        }
        self.remove(ViewTopic::Windows, &key);
        self.windows_by_end.insert((report.window_end, key.clone()));
        self.windows.insert(key, Arc::new(report));
        while self.windows.len() > self.limits.windows
            && let Some((_, oldest)) = self.windows_by_end.pop_first()
        {
            self.windows.remove(&oldest);
        }
    }

    /// The newest revision stands: a process that was suspended between its write and its publication may repeat an
    /// older one long after others went on.
    fn put_alert(&mut self, alert: Alert) {
        if self.alerts.get(alert.fingerprint.as_str()).is_some_and(|known| known.revision > alert.revision) {
            return;
        }
        self.alerts.insert(alert.fingerprint.as_str().to_owned(), Arc::new(alert));
        if self.alerts.len() <= self.limits.alerts {
            return;
        }
        let age = |alert: &Alert| (alert.state != AlertState::Resolved, alert.resolved_at.unwrap_or(alert.started_at));
        let oldest = self.alerts.iter().min_by_key(|(_, alert)| age(alert)).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.alerts.remove(&oldest);
        }
    }

    fn put_retraining(&mut self, request: RetrainingRequest) {
        self.retraining.insert(request.id.clone(), Arc::new(request));
        if self.retraining.len() <= self.limits.retraining {
            return;
        }
        let oldest = self.retraining.iter().min_by_key(|(_, request)| request.requested_at).map(|(id, _)| id.clone());
        if let Some(oldest) = oldest {
            self.retraining.remove(&oldest);
        }
    }

    fn put_accounting(&mut self, row: Accounting) {
        self.accounting.insert(SourcePartition { topic: row.topic.clone(), partition: row.partition }, row);
    }

    fn remove(&mut self, topic: ViewTopic, key: &str) {
        match topic {
            ViewTopic::Windows => {
                if let Some(report) = self.windows.remove(key) {
                    self.windows_by_end.remove(&(report.window_end, key.to_owned()));
                }
            }
            ViewTopic::Alerts => drop(self.alerts.remove(key)),
            // Keyed by model and never compacted: a request stays made.
            ViewTopic::Retraining => {}
            ViewTopic::Accounting => self.accounting.retain(|source, _| accounting_key(source) != key),
        }
    }

    /// Keys begin with the model's name.
    fn windows_of(&self, model: &str) -> Vec<Arc<WindowReport>> {
        let prefix = key_of(&[model, ""]);
        let found = self.windows.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        found.map(|(_, window)| Arc::clone(window)).collect()
    }

    fn with_lag(&self, source: &SourcePartition, row: &Accounting) -> AccountingRow {
        let lag = self.ends.get(source).map(|end| (end - row.next_offset).max(0));
        AccountingRow { accounting: row.clone(), lag }
    }
}

impl ViewHandle {
    #[must_use]
    pub fn new(view: View) -> Self {
        Self(Arc::new(RwLock::new(view)))
    }

    /// Changes the view; readers wait, so keep it short.
    pub fn update<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let unchanged = self.0.read().unwrap_or_else(PoisonError::into_inner).snapshot.clone();
        unchanged.unwrap_or_else(|| self.update(View::snapshot))
    }
}

impl Windows for ViewHandle {
    fn of_model(&self, model: &str) -> Vec<Arc<WindowReport>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).windows_of(model)
    }
}

fn accounting_key(source: &SourcePartition) -> String {
    key_of(&[&source.topic, &source.partition.to_string()])
}

fn read<T: DeserializeOwned>(topic: ViewTopic, record: &Record<'_>, payload: &[u8]) -> Result<T, ViewError> {
    from_json(payload).map_err(|reason| ViewError { table: topic.name(), offset: record.offset, reason })
}
