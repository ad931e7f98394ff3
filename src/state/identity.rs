//! Whose state this is: a marker at its root, written at the first open and compared at every later one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use slatedb::object_store::path::Path;
use slatedb::object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use xxhash_rust::xxh3::xxh3_128;

use super::{StateError, StateRoot};
use crate::clock::Timestamp;

/// What a service says of itself before it touches any state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Kafka's id of the cluster; none where the broker tells none, and then it is not compared.
    pub cluster: Option<String>,
    /// Prefix of the deployment's topics and groups.
    pub prefix: String,
    /// Partitions of the topics whose records are placed by a hash: state follows from their number.
    pub partitions: BTreeMap<String, i32>,
}

/// The marker as it is written, readable for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// How state is laid out under the root.
    pub format: u32,
    /// Tells this deployment's state from all others'.
    pub deployment: String,
    pub cluster: Option<String>,
    pub prefix: String,
    pub partitions: BTreeMap<String, i32>,
    pub created_at: Timestamp,
}

/// The layout that this build reads and writes.
const FORMAT: u32 = 1;

/// Its name at the root.
pub(super) const MARKER: &str = "plimsoll.json";

/// Of a marker, the part that every later layout keeps.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl StateRoot {
    /// Makes the state this deployment's, or proves that it is; anything else is refused.
    pub async fn claim(&self, identity: &Identity, now: Timestamp) -> Result<Deployment, StateError> {
        if let Some(known) = self.deployment().await? {
            return self.compare(known, identity);
        }
        if !self.partitions().await?.is_empty() {
            // Another process may have claimed it since.
            return match self.deployment().await? {
                Some(known) => self.compare(known, identity),
                None => Err(self.unclaimed()),
            };
        }
        let place = format!("{}/{}/{identity:?}/{}", self.objects, self.prefix, now.millis());
        let marker = Deployment {
            format: FORMAT,
            deployment: format!("{:032x}", xxh3_128(place.as_bytes())),
            cluster: identity.cluster.clone(),
            prefix: identity.prefix.clone(),
            partitions: identity.partitions.clone(),
            created_at: now,
        };
        let payload = serde_json::to_vec_pretty(&marker).map_err(|error| self.failed("claimed", &error))?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.objects.put_opts(&self.marker(), PutPayload::from(payload), options).await {
            Ok(_) => Ok(marker),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => match self.deployment().await? {
                Some(known) => self.compare(known, identity),
                None => Err(self.unclaimed()),
            },
            Err(error) => Err(self.failed("claimed", &error)),
        }
    }

    /// The marker; none where no service has been yet.
    pub async fn deployment(&self) -> Result<Option<Deployment>, StateError> {
        let bytes = match self.objects.get(&self.marker()).await {
            Ok(found) => found.bytes().await.map_err(|error| self.failed("read", &error))?,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed("read", &error)),
        };
        let corrupt = |error: serde_json::Error| StateError::Marker { place: self.place(), reason: error.to_string() };
        let Format { format } = serde_json::from_slice(&bytes).map_err(corrupt)?;
        if format > FORMAT {
            return Err(StateError::NewerFormat { path: self.place(), found: format, known: FORMAT });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(corrupt)
    }

    fn compare(&self, known: Deployment, identity: &Identity) -> Result<Deployment, StateError> {
        if known.prefix != identity.prefix {
            let (found, own) = (known.prefix, identity.prefix.clone());
            return Err(StateError::OtherPrefix { place: self.place(), found, own });
        }
        if let (Some(found), Some(own)) = (&known.cluster, &identity.cluster)
            && found != own
        {
            let (found, own) = (found.clone(), own.clone());
            return Err(StateError::OtherCluster { place: self.place(), found, own });
        }
        for (topic, own) in &identity.partitions {
            if let Some(found) = known.partitions.get(topic).filter(|found| *found != own) {
                return Err(StateError::Partitions { topic: topic.clone(), found: *found, own: *own });
            }
        }
        Ok(known)
    }

    fn unclaimed(&self) -> StateError {
        let reason = format!("{MARKER} is missing beside the state of roles");
        StateError::Marker { place: self.place(), reason }
    }

    pub(super) fn marker(&self) -> Path {
        self.prefix.clone().join(MARKER)
    }

    pub(super) fn failed(&self, action: &'static str, error: &impl std::fmt::Display) -> StateError {
        StateError::Storage { path: self.place(), action, reason: error.to_string() }
    }
}
