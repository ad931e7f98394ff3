//! What a decision means for webhooks: events of MLflow's kinds with MLflow's payloads.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::WebhookEvent;
use crate::clock::Timestamp;
use crate::registry::entity::Subject;
use crate::registry::event::Event;
use crate::registry::record::Decision;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    pub event: WebhookEvent,
    pub at: Timestamp,
    pub data: Value,
}

impl Occurrence {
    /// Everything that a decision tells; tags are told one by one.
    #[must_use]
    pub fn all_of(decision: &Decision) -> Vec<Self> {
        let at = decision.at();
        let told = decision.events().iter().flat_map(|event| told(decision, event));
        told.map(|(event, data)| Self { event, at, data }).collect()
    }

    /// What a receiver gets to see of an event when it is tested.
    #[must_use]
    pub fn example(event: WebhookEvent, at: Timestamp) -> Self {
        let (name, version) = ("example_model", "1");
        let data = match event {
            WebhookEvent::ModelCreated => {
                json!({ "name": name, "tags": { "example_key": "example_value" }, "description": "An example registered model" })
            }
            WebhookEvent::VersionCreated => json!({
                "name": name, "version": version, "source": "models:/123", "run_id": "abcd1234abcd5678",
                "tags": { "example_key": "example_value" }, "description": "An example model version",
            }),
            WebhookEvent::VersionTagSet => {
                json!({ "name": name, "version": version, "key": "example_key", "value": "example_value" })
            }
            WebhookEvent::VersionTagDeleted => json!({ "name": name, "version": version, "key": "example_key" }),
            WebhookEvent::AliasCreated => json!({ "name": name, "alias": "example_alias", "version": version }),
            WebhookEvent::AliasDeleted => json!({ "name": name, "alias": "example_alias" }),
            WebhookEvent::ModelDeleted => json!({ "name": name }),
            WebhookEvent::VersionDeleted => json!({ "name": name, "version": version }),
            WebhookEvent::StageTransitioned => json!({
                "name": name, "version": version, "from_stage": "Staging", "to_stage": "Production",
                "user": "example_user", "reason": null,
            }),
        };
        Self { event, at, data }
    }

    /// The body of the request.
    #[must_use]
    pub fn body(&self) -> String {
        // As Python writes UTC.
        let at = self.at.to_string();
        let at = at.strip_suffix('Z').map_or_else(|| at.clone(), |at| format!("{at}+00:00"));
        let body = json!({
            "entity": self.event.entity(), "action": self.event.action(), "timestamp": at, "data": self.data,
        });
        body.to_string()
    }
}

/// The id of a delivery, in the form of a UUID: the same whenever the log is read again.
pub(super) fn delivery_id(sequence: u64, index: usize, webhook_id: &str) -> String {
    let hash = Sha256::digest(format!("{sequence}.{index}.{webhook_id}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn told(decision: &Decision, event: &Event) -> Vec<(WebhookEvent, Value)> {
    let or_null = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let data = match event {
        Event::ModelCreated { model } => (
            WebhookEvent::ModelCreated,
            json!({ "name": model.name, "tags": model.tags, "description": or_null(&model.description) }),
        ),
        Event::ModelDeleted { name } => (WebhookEvent::ModelDeleted, json!({ "name": name })),
        Event::VersionCreated { version } => (
            WebhookEvent::VersionCreated,
            json!({
                "name": version.name, "version": version.version.to_string(), "source": version.source,
                "run_id": or_null(&version.run_id), "tags": version.tags,
                "description": or_null(&version.description),
            }),
        ),
        Event::VersionDeleted { name, version } => {
            (WebhookEvent::VersionDeleted, json!({ "name": name, "version": version.to_string() }))
        }
        Event::StageTransitioned { name, version, from, to } => (
            WebhookEvent::StageTransitioned,
            json!({
                "name": name, "version": version.to_string(), "from_stage": from.name(), "to_stage": to.name(),
                "user": decision.command.user, "reason": or_null(&decision.command.reason),
            }),
        ),
        Event::TagsSet { subject: Subject::Version(name, version), tags } => {
            let version = version.to_string();
            let one = |(key, value)| json!({ "name": name, "version": version, "key": key, "value": value });
            return tags.iter().map(|tag| (WebhookEvent::VersionTagSet, one(tag))).collect();
        }
        Event::TagDeleted { subject: Subject::Version(name, version), key } => {
            (WebhookEvent::VersionTagDeleted, json!({ "name": name, "version": version.to_string(), "key": key }))
        }
        Event::AliasSet { name, alias, version, .. } => {
            (WebhookEvent::AliasCreated, json!({ "name": name, "alias": alias, "version": version.to_string() }))
        }
        Event::AliasDeleted { name, alias, .. } => {
            (WebhookEvent::AliasDeleted, json!({ "name": name, "alias": alias }))
        }
        _ => return Vec::new(),
    };
    vec![data]
}
