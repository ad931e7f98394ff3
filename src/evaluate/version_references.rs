//! The references of versions that brought their own; all others are compared with their model's.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::key_of;
use crate::profile::{Reference, decode, encode};
use crate::runner::{RoleError, readable};
use crate::state::{Store, Write, prefix_end};
use crate::window::VersionReference;

const PREFIX: &[u8] = b"version_reference/";

#[derive(Debug, Default)]
pub(super) struct VersionReferences {
    /// By model and version.
    known: BTreeMap<(String, String), Arc<Reference>>,
    changed: Vec<Write>,
}

/// Whether a row of [`PREFIX`] can be read.
pub(super) fn check(value: &[u8]) -> Result<(), String> {
    readable::<VersionReference>(value).map(|_| ())
}

impl VersionReferences {
    pub(super) async fn open(store: &dyn Store) -> Result<Self, RoleError> {
        let mut references = Self::default();
        for (_, value) in store.scan(PREFIX, &prefix_end(PREFIX)).await? {
            let VersionReference { version, reference } = decode(&value)?;
            references.known.insert((reference.model.clone(), version), Arc::new(reference));
        }
        Ok(references)
    }

    /// False when nothing is new.
    pub(super) fn take(&mut self, record: VersionReference) -> Result<bool, RoleError> {
        let key = (record.reference.model.clone(), record.version.clone());
        if self.known.get(&key).is_some_and(|known| **known == record.reference) {
            return Ok(false);
        }
        let row_key = [PREFIX, key_of(&[&key.0, &key.1]).as_bytes()].concat();
        self.changed.push(Write::put(row_key, encode(&record)?));
        self.known.insert(key, Arc::new(record.reference));
        Ok(true)
    }

    /// What the windows of `version` are compared with; `base` is the reference of its model, in whose anchors they are
    /// counted.
    pub(super) fn of(&self, version: &str, base: &Arc<Reference>) -> Arc<Reference> {
        let known = self.known.get(&(base.model.clone(), version.to_owned()));
        // Counts in other anchors cannot be compared: its model's reference was changed since it was counted.
        let fits = |known: &&Arc<Reference>| known.anchors == base.anchors && known.frame == base.frame;
        Arc::clone(known.filter(fits).unwrap_or(base))
    }

    pub(super) fn checkpoint(&mut self, writes: &mut Vec<Write>) {
        writes.append(&mut self.changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ReferenceBuilder;
    use crate::state::MemoryStore;

    fn reference(rows: usize) -> Reference {
        let mut builder = ReferenceBuilder::new("m", "1", &[], &[]);
        builder.add(rows, &[], None, &[]);
        builder.build(0)
    }

    #[tokio::test]
    async fn a_version_is_compared_with_its_own_reference_also_after_a_restart_and_others_with_their_models() {
        let (store, base) = (MemoryStore::new(), Arc::new(reference(1)));
        let mut references = VersionReferences::open(&store).await.unwrap();
        let own = VersionReference { version: "2".into(), reference: reference(5) };
        assert!(references.take(own.clone()).unwrap());
        assert!(!references.take(own).unwrap(), "it was told before");
        let mut writes = Vec::new();
        references.checkpoint(&mut writes);
        store.write(writes).await.unwrap();
        let references = VersionReferences::open(&store).await.unwrap();
        assert_eq!(references.of("2", &base).rows, 5);
        assert_eq!(references.of("1", &base).rows, 1);
    }

    #[tokio::test]
    async fn a_reference_in_other_anchors_than_the_models_is_not_compared_with() {
        let mut references = VersionReferences::default();
        let own = ReferenceBuilder::new("m", "1", &[], &[("new".to_owned(), crate::model::FeatureKind::Numeric)]);
        references.take(VersionReference { version: "2".into(), reference: own.build(0) }).unwrap();
        assert_eq!(references.of("2", &Arc::new(reference(1))).rows, 1);
    }
}
