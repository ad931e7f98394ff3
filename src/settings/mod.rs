//! From TOML, environment and flags to settings that are known to be good.

use crate::api::HttpSettings;
use crate::bus::BusSettings;
use crate::clock::Span;
use crate::evaluate::ChecksSettings;
use crate::ingest::IngestSettings;
use crate::model::Model;
use crate::notify::EmailSettings;
use crate::state::StateSettings;

/// Everything the service needs to know, validated.
#[derive(Clone, Debug)]
pub struct Settings {
    pub bus: BusSettings,
    pub state: StateSettings,
    pub http: HttpSettings,
    pub email: Option<EmailSettings>,
    pub checks: ChecksSettings,
    pub ingest: IngestSettings,
    /// How often state is written, and the longest an event waits for it.
    pub checkpoint: Span,
    pub models: Vec<Model>,
}
