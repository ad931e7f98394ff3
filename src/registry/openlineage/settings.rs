//! Where OpenLineage events go and come from.

use std::fmt;

#[derive(Clone, Debug)]
pub struct OpenLineageSettings {
    /// Of jobs and of model versions in what is told.
    pub namespace: String,
    /// None tells over Kafka only.
    pub endpoint: Option<Endpoint>,
    /// Topics with the events of others.
    pub topics: Vec<String>,
}

/// An OpenLineage API over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Such as `https://marquez.example.com/api/v1/lineage`.
    pub url: String,
    pub api_key: Option<String>,
}

impl Default for OpenLineageSettings {
    fn default() -> Self {
        Self { namespace: "plimsoll".to_owned(), endpoint: None, topics: Vec::new() }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}
