//! From TOML, environment and flags to settings that are known to be good.
//!
//! Two stages: `raw` is what was written, with its place; the rest makes of it the settings of each part of the
//! service, or a list of everything that is wrong. `config/plimsoll.toml` explains every key. Precedence: flags, then
//! the environment, then the file, then the defaults.

mod detectors;
mod error;
mod gates;
mod kafka;
mod keys;
mod model;
mod openlineage;
mod policy;
mod raw;
mod reader;
mod redact;
mod service;
mod serving;
mod show;
mod suggest;
mod units;
mod values;
mod webhooks;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::api::HttpSettings;
use crate::artifacts::ArtifactSettings;
use crate::bus::BusSettings;
use crate::clock::Span;
use crate::evaluate::ChecksSettings;
use crate::ingest::IngestSettings;
use crate::model::Model;
use crate::notify::EmailSettings;
use crate::registry::gates::GateSettings;
use crate::registry::openlineage::OpenLineageSettings;
use crate::registry::webhooks::WebhookSettings;
use crate::serve::ServingSettings;
use crate::state::StateSettings;

use error::Problems;

pub use error::{Place, SettingsError, SettingsErrors};
pub use show::show;

/// Everything the service needs to know, validated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the embedded broker's file and, unless `state.url` says otherwise, of the state.
    pub data: PathBuf,
    pub bus: BusSettings,
    pub state: StateSettings,
    pub http: HttpSettings,
    pub email: Option<EmailSettings>,
    pub artifacts: ArtifactSettings,
    pub serving: ServingSettings,
    pub webhooks: WebhookSettings,
    pub openlineage: OpenLineageSettings,
    pub gates: GateSettings,
    pub checks: ChecksSettings,
    pub ingest: IngestSettings,
    /// How often state is written, and the longest an event waits for it.
    pub checkpoint: Span,
    pub models: Vec<Model>,
}

/// Values from the command line: dotted key to text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub values: BTreeMap<String, String>,
}

/// Where the file is looked for when none is named.
const USUAL_PLACES: [&str; 2] = ["config/plimsoll.toml", "plimsoll.toml"];

/// Finds the file, reads it and checks everything. Relative paths in it are relative to the working directory.
pub fn load(
    path: Option<&Path>,
    environment: &BTreeMap<String, String>,
    overrides: &Overrides,
) -> Result<Settings, SettingsErrors> {
    let path = locate(path, environment)?;
    let file = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| SettingsErrors::single(&file, format!("cannot be read: {error}")))?;
    parse(&text, &file, environment, overrides)
}

/// The file that [`load`] reads: the named one, `PLIMSOLL_CONFIG`, or the first that exists of the usual places.
pub fn locate(path: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<PathBuf, SettingsErrors> {
    if let Some(path) = path {
        return Ok(path.to_owned());
    }
    if let Some(path) = environment.get("PLIMSOLL_CONFIG") {
        return Ok(PathBuf::from(path));
    }
    let [first, second] = USUAL_PLACES;
    USUAL_PLACES.into_iter().map(PathBuf::from).find(|path| path.is_file()).ok_or_else(|| {
        let message = format!(
            "does not exist, nor does {second}: name a file with --config, or write one that has a [[model]] with \
             name, task and reference"
        );
        SettingsErrors::single(first, message)
    })
}

/// As [`load`], for a text at hand; `file` is what errors call it.
pub fn parse(
    text: &str,
    file: &str,
    environment: &BTreeMap<String, String>,
    overrides: &Overrides,
) -> Result<Settings, SettingsErrors> {
    let name: Arc<str> = file.into();
    let mut root =
        raw::parse(text, &name).map_err(|error| SettingsErrors { file: file.to_owned(), errors: vec![error] })?;
    kafka::flatten_properties(&mut root);
    let mut problems = Problems::default();
    keys::apply_environment(&mut root, environment, &mut problems);
    keys::apply_overrides(&mut root, overrides, &mut problems);

    let root = reader::Section::root(&root, Place::File(name));
    let settings = service::settings(&root, &mut problems);
    problems.settle(file, settings)
}

/// A model that is registered and not configured, from the TOML in its tag; `tag` is what errors call it.
pub fn registered_model(name: &str, text: &str, tag: &str) -> Result<Model, SettingsErrors> {
    let file: Arc<str> = tag.into();
    let entries = raw::parse(text, &file).map_err(|error| SettingsErrors { file: tag.into(), errors: vec![error] })?;
    let mut problems = Problems::default();
    let model = model::registered(name, &reader::Section::root(&entries, Place::File(file)), &mut problems);
    problems.settle(tag, model)
}

impl Overrides {
    /// Sets one key, as `--set key=value` does.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.insert(key.into(), value.into());
    }
}
