//! The keys outside `[[model]]`: one table for the file, the environment and the flags.

use std::collections::BTreeMap;

use super::Overrides;
use super::error::{Place, Problems};
use super::raw::{Entries, overlay};
use super::suggest::nearest;

/// Each table and the keys that stand in it.
const TABLES: [(&str, &[&str]); 12] = [
    ("", &["data", "checkpoint"]),
    ("kafka", &["brokers", "listen", "prefix", "predictions", "outcomes", "partitions", "replication", "instance"]),
    ("state", &["url", "cache"]),
    ("registry", &["artifacts", "max_artifact"]),
    ("registry.gates", &["directory", "approval", "enforce"]),
    ("registry.openlineage", &["namespace", "url", "api_key", "topics"]),
    ("registry.webhooks", &["allow", "key", "incoming_secret"]),
    ("http", &["listen", "max_body", "threads", "token"]),
    (
        "serving",
        &[
            "onnxruntime",
            "max_model",
            "max_memory",
            "sessions",
            "threads",
            "max_request",
            "max_rows",
            "concurrency",
            "queue",
            "deadline",
            "log_queue",
        ],
    ),
    ("notify.email", &["url", "from", "to", "username", "password"]),
    ("checks", &["directory", "timeout", "memory"]),
    ("ingest", &["max_message", "max_segments"]),
];

const PREFIX: &str = "PLIMSOLL_";

/// librdkafka's properties: any name may follow.
const PROPERTIES: &str = "kafka.properties";
const PROPERTIES_VARIABLE: &str = "PLIMSOLL_KAFKA_PROPERTIES_";

/// Variables with Plimsoll's prefix that are no settings: the path of the file, the log filter, those of `plimsoll sql`,
/// and the tests' own.
const OTHER_VARIABLES: [&str; 4] = ["PLIMSOLL_CONFIG", "PLIMSOLL_LOG", "PLIMSOLL_URL", "PLIMSOLL_TOKEN"];
const TEST_VARIABLES: &str = "PLIMSOLL_TEST_";

/// The names that may stand directly in the table at `path`: its keys and the tables inside it.
pub(super) fn names_in(path: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (table, keys) in TABLES {
        if table == path {
            names.extend(keys);
        }
        names.extend(child(path, table));
    }
    names.extend(child(path, PROPERTIES));
    names.extend(child(path, "model"));
    names.sort_unstable();
    names.dedup();
    names
}

/// Dotted paths of all keys.
pub(super) fn paths() -> Vec<String> {
    let path_of = |table: &str, key: &str| if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
    TABLES.iter().flat_map(|(table, keys)| keys.iter().map(move |key| path_of(table, key))).collect()
}

/// `PLIMSOLL_STATE_URL` for `state.url`.
pub(super) fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

/// Lays the environment's values over the file's.
pub(super) fn apply_environment(root: &mut Entries, environment: &BTreeMap<String, String>, problems: &mut Problems) {
    let known: BTreeMap<String, String> = paths().into_iter().map(|path| (variable_of(&path), path)).collect();
    for (name, text) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let place = Place::Variable(name.clone());
        if OTHER_VARIABLES.contains(&name.as_str()) || name.starts_with(TEST_VARIABLES) {
            continue;
        }
        if let Some(path) = known.get(name) {
            set(root, path, text, &place);
            continue;
        }
        match name.strip_prefix(PROPERTIES_VARIABLE) {
            Some(property) if !property.is_empty() => {
                let path = format!("{PROPERTIES}.{}", property.to_lowercase().replace('_', "."));
                set(root, &path, text, &place);
            }
            _ => problems.report(&place, "", unknown("variable", nearest_variable(name, &known).as_deref())),
        }
    }
}

/// Lays the flags' values over everything else.
pub(super) fn apply_overrides(root: &mut Entries, overrides: &Overrides, problems: &mut Problems) {
    let known = paths();
    for (path, text) in &overrides.values {
        let place = Place::Flag(path.clone());
        let is_property = path.strip_prefix(PROPERTIES).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'));
        if is_property || known.contains(path) {
            set(root, path, text, &place);
            continue;
        }
        let near = nearest(path, known.iter().map(String::as_str));
        problems.report(&place, path, unknown("key", near));
    }
}

/// What to say of an unknown `what`.
pub(super) fn unknown(what: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("is not a known {what}: did you mean {near}"),
        None => format!("is not a known {what}"),
    }
}

/// Compares without the prefix that all variables share.
fn nearest_variable(name: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let names = known.keys().map(String::as_str).chain(OTHER_VARIABLES);
    let names = names.filter_map(|name| name.strip_prefix(PREFIX));
    nearest(name.strip_prefix(PREFIX)?, names).map(|near| format!("{PREFIX}{near}"))
}

fn set(root: &mut Entries, path: &str, text: &str, place: &Place) {
    if let Some(property) = path.strip_prefix(PROPERTIES).and_then(|rest| rest.strip_prefix('.')) {
        overlay(root, &["kafka", "properties", property], text, place);
        return;
    }
    let parts: Vec<&str> = path.split('.').collect();
    overlay(root, &parts, text, place);
}

/// The part of `table` just below `path`, if it lies below.
fn child(path: &str, table: &'static str) -> Option<&'static str> {
    let below = if path.is_empty() { table } else { table.strip_prefix(path)?.strip_prefix('.')? };
    below.split('.').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_table_are_its_keys_and_inner_tables() {
        assert_eq!(
            names_in(""),
            [
                "checkpoint",
                "checks",
                "data",
                "http",
                "ingest",
                "kafka",
                "model",
                "notify",
                "registry",
                "serving",
                "state"
            ]
        );
        assert_eq!(names_in("notify"), ["email"]);
        assert!(names_in("kafka").contains(&"properties"));
        assert_eq!(names_in("state"), ["cache", "url"]);
    }

    #[test]
    fn no_two_keys_share_a_variable() {
        let mut variables: Vec<String> = paths().iter().map(|path| variable_of(path)).collect();
        let count = variables.len();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), count);
        assert!(variables.contains(&"PLIMSOLL_NOTIFY_EMAIL_PASSWORD".to_owned()));
    }
}
