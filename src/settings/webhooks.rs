//! `[registry.webhooks]`.

use toml_edit::{Array, Item, Table, Value};

use super::error::Problems;
use super::keys::names_in;
use super::raw::Node;
use super::reader::Section;
use super::redact::HIDDEN;
use super::values;
use crate::registry::webhooks::{AllowedHost, WebhookSettings};

/// A key that can be guessed seals nothing.
const SHORTEST_KEY: usize = 16;

pub(super) fn webhooks(registry: &Section<'_>, problems: &mut Problems) -> WebhookSettings {
    let section = registry.table("webhooks", problems);
    section.reject_unknown(&names_in("registry.webhooks"), problems);
    WebhookSettings {
        allow: section.list("allow", problems, host).unwrap_or_default(),
        key: section.value("key", problems, key),
        incoming_secret: section.value("incoming_secret", problems, values::text),
    }
}

pub(super) fn table(settings: &WebhookSettings) -> Table {
    let mut table = Table::new();
    let allow: Array = settings.allow.iter().map(|host| Value::from(host.to_string())).collect();
    table.insert("allow", Item::Value(Value::Array(allow)));
    // As long as a key must be, so that what is shown can be read.
    let key = settings.key.as_ref().map(|_| HIDDEN.repeat(SHORTEST_KEY));
    let incoming_secret = settings.incoming_secret.as_ref().map(|_| HIDDEN.to_owned());
    for (name, hidden) in [("key", key), ("incoming_secret", incoming_secret)] {
        if let Some(hidden) = hidden {
            table.insert(name, Item::Value(Value::from(hidden)));
        }
    }
    table
}

fn host(node: &Node) -> Result<AllowedHost, String> {
    values::text(node)?.parse()
}

fn key(node: &Node) -> Result<String, String> {
    let key = values::text(node)?;
    if key.len() < SHORTEST_KEY {
        return Err(format!("must have at least {SHORTEST_KEY} characters, so that it cannot be guessed"));
    }
    Ok(key)
}
