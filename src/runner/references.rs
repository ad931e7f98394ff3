//! The references that every role of this process sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::profile::Reference;

/// Shared and replaceable: a model's reference may come with the first events.
#[derive(Clone, Debug, Default)]
pub struct References {
    by_model: Arc<ArcSwap<BTreeMap<String, Arc<Reference>>>>,
}

impl References {
    #[must_use]
    pub fn get(&self, model: &str) -> Option<Arc<Reference>> {
        self.by_model.load().get(model).cloned()
    }

    pub fn set(&self, reference: Reference) {
        let reference = Arc::new(reference);
        self.by_model.rcu(|current| {
            let mut next = BTreeMap::clone(current);
            next.insert(reference.model.clone(), Arc::clone(&reference));
            next
        });
    }
}
