//! Webhooks of another MLflow registry, which become commands here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::SubmitError;
use crate::api::{ApiState, Problem};
use crate::clock::{Span, Timestamp};
use crate::registry::webhooks::{DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, verify};
use crate::registry::{Change, Command, RejectionKind, Subject, Texts};

/// How far the sender's clock may be off, and how long a recorded request could be sent again.
const WINDOW: Span = Span::from_mins(5);
const LONGEST_ID: usize = 200;
const USER: &str = "mlflow-webhook";
const RETRY_AFTER_SECONDS: u32 = 5;

/// Deliveries that were carried out lately.
#[derive(Debug, Default)]
pub struct SeenDeliveries(Mutex<HashMap<String, Timestamp>>);

/// As MLflow sends it.
#[derive(Deserialize)]
struct Payload {
    entity: String,
    action: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    name: String,
    version: Option<String>,
    source: Option<String>,
    run_id: Option<String>,
    tags: Option<Texts>,
    description: Option<String>,
    key: Option<String>,
    value: Option<String>,
    alias: Option<String>,
}

pub(in crate::api) async fn mlflow_webhook(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let parts = &state.parts;
    let Some(secret) = &parts.incoming_secret else {
        let detail = "set registry.webhooks.incoming_secret to the secret that the other registry signs with";
        return Err(Problem::new(StatusCode::FORBIDDEN, "webhooks_not_taken", detail));
    };
    let now = parts.clock.now();
    let delivery = check_signature(&headers, &body, secret, now)?;
    let payload: Payload = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request("malformed_webhook", format!("the body is no webhook: {error}")))?;
    let Some(change) = change(payload)? else { return Ok(Json(json!({ "outcome": "ignored" }))) };
    if parts.seen.has(&delivery, now) {
        return Ok(Json(json!({ "outcome": "repeated" })));
    }
    let command = Command {
        id: Uuid::new_v4().simple().to_string(),
        at: now,
        user: USER.to_owned(),
        reason: format!("webhook delivery {delivery}"),
        expected_revision: None,
        gated: false,
        change,
    };
    let submitted = parts.registry.submit(parts.sink.as_ref(), &parts.topics.registry_commands, &command).await;
    let decision = submitted.map_err(problem)?;
    parts.seen.add(delivery, now);
    Ok(Json(json!({ "outcome": "applied", "sequence": decision.sequence, "events": decision.events().len() })))
}

/// The id of the delivery, if it comes from who has the secret, and just now.
fn check_signature(headers: &HeaderMap, body: &[u8], secret: &str, now: Timestamp) -> Result<String, Problem> {
    let refused = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "bad_signature", detail);
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.ok_or_else(|| refused(&format!("the request has no header {name}: give the webhook a secret")))
    };
    let (id, timestamp) = (header(DELIVERY_HEADER)?, header(TIMESTAMP_HEADER)?);
    if !verify(secret, id, timestamp, body, header(SIGNATURE_HEADER)?) || id.len() > LONGEST_ID {
        return Err(refused("the signature is not one of registry.webhooks.incoming_secret"));
    }
    let seconds: i64 = timestamp.parse().map_err(|_| refused("the timestamp is no number of seconds"))?;
    let age = now.since(Timestamp::from_millis(seconds.saturating_mul(1_000)));
    if age > WINDOW || age < Span::from_millis(-WINDOW.millis()) {
        return Err(refused("the timestamp is more than five minutes off: look at the clocks"));
    }
    Ok(id.to_owned())
}

/// None of what means nothing here.
fn change(payload: Payload) -> Result<Option<Change>, Problem> {
    let Payload { entity, action, data } = payload;
    let missing = |what: &str| Problem::bad_request("malformed_webhook", format!("'data.{what}' is missing"));
    let text = |value: Option<String>, what: &str| value.ok_or_else(|| missing(what));
    let name = Some(data.name).filter(|name| !name.is_empty());
    let number = |version: Option<String>| {
        let wrong = || Problem::bad_request("malformed_webhook", "'data.version' is no number of a version");
        text(version, "version")?.parse::<u32>().map_err(|_| wrong())
    };
    let description = data.description.unwrap_or_default();
    let tags = data.tags.unwrap_or_default();
    Ok(Some(match (entity.as_str(), action.as_str()) {
        ("registered_model", "created") => Change::MirrorModel { name: text(name, "name")?, description, tags },
        ("model_version", "created") => Change::MirrorVersion {
            name: text(name, "name")?,
            version: number(data.version)?,
            source: text(data.source, "source")?,
            run_id: data.run_id.unwrap_or_default(),
            description,
            tags,
        },
        ("model_version_tag", "set") => Change::SetTags {
            subject: Subject::Version(text(name, "name")?, number(data.version)?),
            tags: Texts::from([(text(data.key, "key")?, data.value.unwrap_or_default())]),
        },
        ("model_version_tag", "deleted") => Change::DeleteTag {
            subject: Subject::Version(text(name, "name")?, number(data.version)?),
            key: text(data.key, "key")?,
        },
        ("model_version_alias", "created") => Change::SetAlias {
            name: text(name, "name")?,
            alias: text(data.alias, "alias")?,
            version: number(data.version)?,
        },
        ("model_version_alias", "deleted") => {
            Change::DeleteAlias { name: text(name, "name")?, alias: text(data.alias, "alias")? }
        }
        _ => return Ok(None),
    }))
}

/// What is missing may come with a webhook that is still on its way, so that the sender should try again.
fn problem(error: SubmitError) -> Problem {
    match error {
        SubmitError::Rejected(rejection) if rejection.kind == RejectionKind::Missing => {
            Problem::unavailable("not_here_yet", rejection.message, RETRY_AFTER_SECONDS)
        }
        SubmitError::Rejected(rejection) => Problem::new(StatusCode::CONFLICT, "rejected", rejection.message),
        SubmitError::Unavailable(reason) => Problem::unavailable("registry_unavailable", reason, RETRY_AFTER_SECONDS),
        SubmitError::Refused(reason) => Problem::bad_request("refused", reason),
    }
}

impl SeenDeliveries {
    fn has(&self, id: &str, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Older ones are refused by their timestamp.
        seen.retain(|_, at| now.since(*at) <= Span::from_millis(3 * WINDOW.millis()));
        seen.contains_key(id)
    }

    fn add(&self, id: String, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, now);
    }
}
