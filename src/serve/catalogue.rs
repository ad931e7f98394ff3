//! The versions that answer now. Readers never wait: a change puts a new table in the place of the old one, and a request
//! keeps the version with which it began.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::routing::{Routed, Routing};
use super::served::{Identity, Served};

#[derive(Debug, Default)]
pub struct Catalogue {
    table: ArcSwap<Table>,
}

/// By the name of the model.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub models: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// What answers when no version is named.
    pub primary: Option<Arc<Served>>,
    pub versions: BTreeMap<u32, Arc<Served>>,
    /// Why versions that should be served are not.
    pub failures: BTreeMap<u32, String>,
    /// If a version is being rolled out.
    pub routing: Option<Arc<Routing>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    #[error("model '{model}' is not served; served are {known}: register it, and give a version the alias champion")]
    Model { model: String, known: String },
    #[error("version '{version}' of model '{model}' is not served; served are {known}")]
    Version { model: String, version: String, known: String },
    #[error("model '{model}' is not ready: {reason}")]
    Failed { model: String, reason: String },
}

impl Catalogue {
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    pub fn set(&self, table: Table) {
        self.table.store(Arc::new(table));
    }

    /// The version that answers; `version` none is the primary.
    pub fn find(&self, model: &str, version: Option<&str>) -> Result<Arc<Served>, NotServed> {
        let table = self.table.load();
        let Some(entry) = table.models.get(model) else {
            let known = listed(table.models.keys());
            return Err(NotServed::Model { model: model.to_owned(), known });
        };
        match version.filter(|version| !version.is_empty()) {
            None => entry.primary.clone().ok_or_else(|| entry.why(model, None)),
            Some(version) => {
                let number: Option<u32> = version.parse().ok();
                let found = number.and_then(|number| entry.versions.get(&number)).cloned();
                found.ok_or_else(|| entry.why(model, Some(version)))
            }
        }
    }
}

impl Catalogue {
    /// What may answer a request: the version that it names, else the primary and what is being rolled out beside it.
    pub fn route(&self, model: &str, version: Option<&str>) -> Result<Routed, NotServed> {
        let primary = self.find(model, version)?;
        if version.is_some_and(|version| !version.is_empty()) {
            return Ok(Routed { primary, routing: None });
        }
        let routing = self.table.load().models.get(model).and_then(|entry| entry.routing.clone());
        Ok(Routed { primary, routing })
    }
}

impl Entry {
    fn why(&self, model: &str, version: Option<&str>) -> NotServed {
        let number = version.and_then(|version| version.parse().ok());
        let failure = match number {
            Some(number) => self.failures.get(&number),
            None if version.is_none() => self.failures.values().next_back(),
            None => None,
        };
        if let Some(reason) = failure {
            return NotServed::Failed { model: model.to_owned(), reason: reason.clone() };
        }
        match version {
            Some(version) => NotServed::Version {
                model: model.to_owned(),
                version: version.to_owned(),
                known: listed(self.versions.keys()),
            },
            None => NotServed::Failed { model: model.to_owned(), reason: "it is being loaded".to_owned() },
        }
    }

    /// Versions that answer, by identity.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.versions.values().map(|served| &served.identity)
    }
}

fn listed<T: ToString>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_told_with_what_is_and_why() {
        let catalogue = Catalogue::default();
        let said = |version: Option<&str>| catalogue.find("m", version).unwrap_err().to_string();
        assert!(said(None).starts_with("model 'm' is not served; served are none"));
        let mut entry = Entry::default();
        catalogue.set(Table { models: BTreeMap::from([("m".to_owned(), entry.clone())]) });
        assert_eq!(said(None), "model 'm' is not ready: it is being loaded");
        assert_eq!(said(Some("7")), "version '7' of model 'm' is not served; served are none");
        entry.failures.insert(2, "it is damaged".to_owned());
        catalogue.set(Table { models: BTreeMap::from([("m".to_owned(), entry)]) });
        assert_eq!(said(None), "model 'm' is not ready: it is damaged");
        assert_eq!(said(Some("2")), "model 'm' is not ready: it is damaged");
        assert!(said(Some("x")).contains("version 'x'"));
    }
}
