//! The cumulative pane counts of one source partition.

use std::collections::{BTreeMap, HashMap};

use super::{Checkpoint, RoleError};
use crate::bus::Outgoing;
use crate::clock::{Span, Timestamp};
use crate::event::{SourcePartition, partition_of};
use crate::model::Model;
use crate::profile::{decode, encode};
use crate::state::{Store, Write};
use crate::window::{PaneCounts, PaneKey, PanePartial, PaneRecord};

/// Panes beyond this many leave memory after a checkpoint, longest untouched first; they stay in the store.
const KEPT_IN_MEMORY: usize = 256;

/// Where pane records go.
#[derive(Clone, Debug)]
pub struct PaneTopic {
    pub name: String,
    pub partitions: i32,
}

/// Panes that this source counts into, in memory while they change and in the store for late events.
#[derive(Debug)]
pub struct PaneTable {
    source: SourcePartition,
    topic: PaneTopic,
    /// How long a pane's row stays in the store after its last change, by model.
    keep: BTreeMap<String, Span>,
    panes: HashMap<PaneKey, Pane>,
    /// Counts calls, so that the longest untouched pane is known.
    round: u64,
}

#[derive(Debug)]
struct Pane {
    partial: PanePartial,
    touched: u64,
    changed: bool,
}

impl PaneTopic {
    /// A record for everything of its model that follows: one model's panes share a partition.
    pub fn record(&self, record: &PaneRecord) -> Result<Outgoing, RoleError> {
        Ok(Outgoing {
            topic: self.name.clone(),
            partition: Some(partition_of(record.model(), self.partitions)),
            key: Some(record.key().into_bytes()),
            payload: Some(encode(record)?),
            ..Outgoing::default()
        })
    }
}

impl PaneTable {
    #[must_use]
    pub fn new(source: SourcePartition, topic: PaneTopic, models: &[Model]) -> Self {
        let keep = models.iter().map(|model| (model.name.clone(), model.pane_ttl())).collect();
        Self { source, topic, keep, panes: HashMap::new(), round: 0 }
    }

    /// The pane's counts so far, to be changed by the caller; `empty` makes those of a pane that is new.
    pub async fn change(
        &mut self,
        key: PaneKey,
        offsets: (i64, i64),
        store: &dyn Store,
        empty: impl FnOnce() -> (u32, PaneCounts),
    ) -> Result<&mut PaneCounts, RoleError> {
        self.round += 1;
        if !self.panes.contains_key(&key) {
            let stored = store.get(&self.store_key(&key)).await?;
            let partial = if let Some(bytes) = stored {
                decode(&bytes)?
            } else {
                let (epoch, counts) = empty();
                PanePartial { key: key.clone(), source: self.source.clone(), epoch, offsets, revision: 0, counts }
            };
            self.panes.insert(key.clone(), Pane { partial, touched: 0, changed: false });
        }
        let pane = self.panes.get_mut(&key).ok_or_else(|| RoleError::Failed("pane was not loaded".to_owned()))?;
        pane.touched = self.round;
        pane.changed = true;
        let (first, last) = pane.partial.offsets;
        pane.partial.offsets = (first.min(offsets.0), last.max(offsets.1));
        Ok(&mut pane.partial.counts)
    }

    /// Whether changed panes should leave memory soon: events of many panes come when history is out of order.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.panes.len() > 2 * KEPT_IN_MEMORY
    }

    /// Writes and publishes every pane that changed, in the order of their keys.
    pub fn checkpoint(&mut self, now: Timestamp, checkpoint: &mut Checkpoint) -> Result<(), RoleError> {
        let mut changed: Vec<&mut Pane> = self.panes.values_mut().filter(|pane| pane.changed).collect();
        changed.sort_by(|a, b| a.partial.key.cmp(&b.partial.key));
        for pane in changed {
            pane.changed = false;
            pane.partial.revise(now);
            let record = PaneRecord::Partial(pane.partial.clone());
            let key = [b"pane/", record.key().as_bytes()].concat();
            let ttl = self.keep.get(record.model()).copied();
            checkpoint.writes.push(Write::Put { key, value: encode(&pane.partial)?, ttl });
            checkpoint.outgoing.push(self.topic.record(&record)?);
        }
        self.evict();
        Ok(())
    }

    fn evict(&mut self) {
        if self.panes.len() <= KEPT_IN_MEMORY {
            return;
        }
        let mut touched: Vec<u64> = self.panes.values().map(|pane| pane.touched).collect();
        touched.sort_unstable();
        let oldest_kept = touched[touched.len() - KEPT_IN_MEMORY];
        self.panes.retain(|_, pane| pane.touched >= oldest_kept);
    }

    fn store_key(&self, key: &PaneKey) -> Vec<u8> {
        let record_key = crate::window::partial_key(key, &self.source);
        [b"pane/", record_key.as_bytes()].concat()
    }
}
