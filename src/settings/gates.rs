//! `[registry.gates]`.

use std::path::PathBuf;

use toml_edit::{Item, Table, Value};

use super::error::Problems;
use super::keys::names_in;
use super::reader::Section;
use super::values;
use crate::registry::gates::GateSettings;

pub(super) fn gates(registry: &Section<'_>, problems: &mut Problems) -> GateSettings {
    let section = registry.table("gates", problems);
    section.reject_unknown(&names_in("registry.gates"), problems);
    let usual = GateSettings::default();
    GateSettings {
        directory: section.value("directory", problems, values::text).map_or(usual.directory, PathBuf::from),
        approval: section.value("approval", problems, values::boolean).unwrap_or(usual.approval),
        enforce: section.value("enforce", problems, values::boolean).unwrap_or(usual.enforce),
    }
}

pub(super) fn table(settings: &GateSettings) -> Table {
    let mut table = Table::new();
    let value = |value: Value| Item::Value(value);
    table.insert("directory", value(settings.directory.display().to_string().into()));
    table.insert("approval", value(settings.approval.into()));
    table.insert("enforce", value(settings.enforce.into()));
    table
}
