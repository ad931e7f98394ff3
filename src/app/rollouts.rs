//! The role that follows rollouts, and the windows that it looks at.

use std::sync::Arc;

use super::{App, Part};
use crate::api::{ViewHandle, ViewTopic};
use crate::bus::Topics;
use crate::registry::rollouts::{RolloutRole, Windows};

/// What the view of this process has to read: everything for HTTP, windows alone for rollouts, else nothing.
pub(super) fn viewed(app: &App) -> Vec<String> {
    if app.parts.contains(&Part::Api) {
        return ViewTopic::names(&app.topics);
    }
    if app.parts.contains(&Part::Rollouts) { vec![app.topics.windows.clone()] } else { Vec::new() }
}

pub(super) fn role(topics: &Topics, view: &ViewHandle) -> RolloutRole {
    RolloutRole::new(topics, Arc::new(view.clone()) as Arc<dyn Windows>)
}
