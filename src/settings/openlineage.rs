//! `[registry.openlineage]`.

use toml_edit::{Array, Item, Table, Value};
use url::Url;

use super::error::Problems;
use super::keys::names_in;
use super::raw::Node;
use super::reader::Section;
use super::redact::{HIDDEN, hide_userinfo};
use super::values;
use crate::registry::openlineage::{Endpoint, OpenLineageSettings};

pub(super) fn openlineage(registry: &Section<'_>, prefix: &str, problems: &mut Problems) -> OpenLineageSettings {
    let section = registry.table("openlineage", problems);
    section.reject_unknown(&names_in("registry.openlineage"), problems);
    let usual = OpenLineageSettings::default();
    if section.has("api_key") {
        section.require("url", "api_key is of no use without it", problems);
    }
    let api_key = section.value("api_key", problems, values::text);
    let topics = section.list("topics", problems, values::topic).unwrap_or_default();
    if topics.iter().any(|topic| topic.starts_with(&format!("{prefix}."))) {
        section.report("topics", "holds a topic of Plimsoll's own: name topics that others write to", problems);
    }
    OpenLineageSettings {
        namespace: section.value("namespace", problems, values::text).unwrap_or(usual.namespace),
        endpoint: section.value("url", problems, endpoint).map(|url| Endpoint { url, api_key }),
        topics,
    }
}

pub(super) fn table(settings: &OpenLineageSettings) -> Table {
    let mut table = Table::new();
    table.insert("namespace", Item::Value(Value::from(settings.namespace.clone())));
    if let Some(endpoint) = &settings.endpoint {
        table.insert("url", Item::Value(Value::from(endpoint.url.clone())));
        if endpoint.api_key.is_some() {
            table.insert("api_key", Item::Value(Value::from(HIDDEN)));
        }
    }
    let topics: Array = settings.topics.iter().map(|topic| Value::from(topic.clone())).collect();
    table.insert("topics", Item::Value(Value::Array(topics)));
    table
}

fn endpoint(node: &Node) -> Result<String, String> {
    let text = values::text(node)?;
    let wrong = || format!("'{}' is no endpoint: write https://host/api/v1/lineage", hide_userinfo(&text));
    let url = Url::parse(&text).map_err(|_| wrong())?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold user and password: write api_key".to_owned());
    }
    Ok(text)
}
