//! Limits and forms of names and values; MLflow's own where it has some.

use crate::registry::entity::{Metric, Texts};
use crate::registry::rejection::Rejection;

const MAX_KEY: usize = 250;
const MAX_PARAM: usize = 6_000;
const MAX_TAG: usize = 100_000;
const MAX_ALL_TAGS: usize = 1_000_000;
const MAX_NAME: usize = 500;
pub(super) const MAX_METRICS: usize = 1_000;
pub(super) const MAX_PARAMS: usize = 100;
pub(super) const MAX_TAGS: usize = 100;
/// Descriptions, sources and links.
const MAX_TEXT: usize = 100_000;

pub(super) fn name(what: &str, name: &str) -> Result<(), Rejection> {
    if name.trim().is_empty() {
        return Err(Rejection::invalid(format!("{what} name cannot be empty")));
    }
    no_longer_than(&format!("{what} name"), name, MAX_NAME)
}

pub(super) fn model_name(text: &str) -> Result<(), Rejection> {
    if text.trim().is_empty() {
        return Err(Rejection::invalid("Registered model name cannot be empty."));
    }
    if text.contains(['/', ':']) {
        let message = format!("Invalid name: '{text}'. Registered model names must not contain '/' or ':'.");
        return Err(Rejection::invalid(message));
    }
    no_longer_than("Registered model name", text, MAX_NAME)
}

pub(super) fn alias(text: &str) -> Result<(), Rejection> {
    if text.is_empty() {
        return Err(Rejection::invalid("Registered model alias name cannot be empty."));
    }
    if !text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        let message =
            format!("Invalid alias name: '{text}'. It may hold letters, digits, underscores and dashes only.");
        return Err(Rejection::invalid(message));
    }
    let is_number =
        text.strip_prefix('v').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    if text.eq_ignore_ascii_case("latest") || is_number {
        return Err(Rejection::invalid(format!("'{text}' alias name is reserved.")));
    }
    no_longer_than("Registered model alias name", text, 255)
}

pub(super) fn text(what: &str, text: &str) -> Result<(), Rejection> {
    no_longer_than(what, text, MAX_TEXT)
}

pub(super) fn tag_key(key: &str) -> Result<(), Rejection> {
    self::key("tag", key)
}

pub(super) fn tags(tags: &Texts) -> Result<(), Rejection> {
    at_most("tags", tags.len(), MAX_TAGS)?;
    tags.iter().try_for_each(|(key, value)| {
        tag_key(key)?;
        no_longer_than(&format!("Tag value of '{key}'"), value, MAX_TAG)
    })
}

/// What one thing may carry in all its tags together, so that its record stays small.
pub(super) fn room_for_tags(known: &Texts, new: &Texts) -> Result<(), Rejection> {
    let size = |tags: &Texts| tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    if size(known) + size(new) > MAX_ALL_TAGS {
        return Err(Rejection::invalid(format!("All tags together exceed {MAX_ALL_TAGS} bytes")));
    }
    Ok(())
}

pub(super) fn param(key: &str, value: &str) -> Result<(), Rejection> {
    self::key("parameter", key)?;
    no_longer_than(&format!("Param value of '{key}'"), value, MAX_PARAM)
}

pub(super) fn metric(metric: &Metric) -> Result<(), Rejection> {
    key("metric", &metric.key)
}

pub(super) fn at_most(what: &str, count: usize, most: usize) -> Result<(), Rejection> {
    if count > most {
        return Err(Rejection::invalid(format!("There can be at most {most} {what}. Got {count} {what}.")));
    }
    Ok(())
}

/// What MLflow lets through: such names also stand in paths.
fn key(what: &str, key: &str) -> Result<(), Rejection> {
    let is_legal = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | ' ' | ':');
    if key.is_empty() || !key.chars().all(is_legal) {
        return Err(Rejection::invalid(format!(
            "Invalid value \"{key}\" for parameter '{what} name' supplied: Names may only contain alphanumerics, \
             underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )));
    }
    if key.starts_with('/') || key.split('/').any(|part| part == ".." || part == ".") || key.ends_with('/') {
        return Err(Rejection::invalid(format!("Invalid {what} name '{key}': it must be no path that climbs")));
    }
    no_longer_than(&format!("{what} name"), key, MAX_KEY)
}

fn no_longer_than(what: &str, text: &str, most: usize) -> Result<(), Rejection> {
    let length = text.chars().count();
    if length > most {
        return Err(Rejection::invalid(format!(
            "{what} exceeds the maximum length: {length} of at most {most} characters"
        )));
    }
    Ok(())
}
