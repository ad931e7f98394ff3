//! Webhooks: who is told of what. Secrets come in and never go out.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use uuid::Uuid;

use super::call::Call;
use super::error::MlflowError;
use super::page::{self, Page};
use super::{answer, submit};
use crate::api::ApiState;
use crate::registry::Change;
use crate::registry::webhooks::{Occurrence, SealedSecret, Webhook, WebhookEvent};

type Answer = Result<Json<Value>, MlflowError>;

const LONGEST_SECRET: usize = 1_000;

pub(super) async fn create(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::CreateWebhook {
        name: call.text("name")?,
        description: call.text_or_empty("description")?,
        url: url(&state, &call.text("url")?)?,
        events: events(&call)?,
        secret: secret(&state, &call)?,
        active: active(&call)?.unwrap_or(true),
    };
    let decision = submit(&state, &call, change).await?;
    show(&state, &decision.command.id)
}

pub(super) async fn list(State(state): State<ApiState>, call: Call) -> Answer {
    let page = Page::of(&call, page::WEBHOOKS)?;
    state.parts.registry.read(|registry| {
        let mut found: Vec<&Webhook> = registry.webhooks().collect();
        // Newest first, as in MLflow.
        found.sort_by(|a, b| (b.created_at, &b.webhook_id).cmp(&(a.created_at, &a.webhook_id)));
        let (rows, next) = page.cut(&found);
        let rows: Vec<Value> = rows.iter().map(|webhook| wire(webhook)).collect();
        Ok(page::listed("webhooks", &rows, next))
    })?
}

pub(super) async fn get(State(state): State<ApiState>, Path(id): Path<String>) -> Answer {
    show(&state, &id)
}

pub(super) async fn update(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    let change = Change::UpdateWebhook {
        webhook_id: id.clone(),
        name: call.text_or_none("name")?,
        description: call.text_or_none("description")?,
        url: call.text_or_none("url")?.map(|text| url(&state, &text)).transpose()?,
        events: Some(events(&call)?).filter(|events| !events.is_empty()),
        secret: secret(&state, &call)?,
        active: active(&call)?,
    };
    submit(&state, &call, change).await?;
    show(&state, &id)
}

pub(super) async fn delete(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    answer(&state, &call, Change::DeleteWebhook { webhook_id: id }).await
}

/// Sends an example at once, once.
pub(super) async fn test(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    let webhook = find(&state, &id)?;
    let event = if call.has("event") { Some(event(&call.object("event")?)?) } else { None };
    let event = event.or_else(|| webhook.events.iter().copied().find(|event| event.is_mlflows()));
    let event = event.ok_or_else(|| MlflowError::invalid("Webhook events cannot be empty"))?;
    let now = state.parts.clock.now();
    let body = Occurrence::example(event, now).body();
    let sent = state.parts.outbound.send(&webhook, &Uuid::new_v4().to_string(), &body, now).await;
    Ok(Json(json!({ "result": match sent {
        Ok(reply) => json!({
            "success": reply.is_success(), "response_status": reply.status, "response_body": reply.body,
        }),
        Err(error) => json!({ "success": false, "error_message": error.to_string() }),
    } })))
}

fn show(state: &ApiState, id: &str) -> Answer {
    Ok(Json(json!({ "webhook": wire(&find(state, id)?) })))
}

fn find(state: &ApiState, id: &str) -> Result<Webhook, MlflowError> {
    let found = state.parts.registry.read(|registry| registry.webhook(id).cloned())?;
    found.ok_or_else(|| MlflowError::missing(format!("Webhook with ID {id} not found.")))
}

/// `events` holds those that MLflow's clients know, since they fail at others.
fn wire(webhook: &Webhook) -> Value {
    let known = webhook.events.iter().filter(|event| event.is_mlflows());
    let upper = |text: &str| text.to_ascii_uppercase();
    let known = known.map(|event| json!({ "entity": upper(event.entity()), "action": upper(event.action()) }));
    json!({
        "webhook_id": webhook.webhook_id,
        "name": webhook.name,
        "description": webhook.description,
        "url": webhook.url,
        "events": known.collect::<Vec<_>>(),
        "all_events": webhook.events.iter().map(|event| event.name()).collect::<Vec<_>>(),
        "status": if webhook.active { "ACTIVE" } else { "DISABLED" },
        "creation_timestamp": webhook.created_at.millis(),
        "last_updated_timestamp": webhook.updated_at.millis(),
    })
}

fn url(state: &ApiState, text: &str) -> Result<String, MlflowError> {
    state.parts.outbound.targets.check(text).map_err(|error| MlflowError::invalid(error.to_string()))?;
    Ok(text.trim().to_owned())
}

fn events(call: &Call) -> Result<Vec<WebhookEvent>, MlflowError> {
    call.objects("events")?.iter().map(event).collect()
}

fn event(call: &Call) -> Result<WebhookEvent, MlflowError> {
    let (entity, action) = (call.text("entity")?, call.text("action")?);
    WebhookEvent::parse(&entity, &action).ok_or_else(|| {
        let known: Vec<String> = WebhookEvent::ALL.map(WebhookEvent::name).to_vec();
        let message = format!("'{entity}.{action}' does not occur here: choose among {}", known.join(", "));
        MlflowError::invalid(message)
    })
}

fn active(call: &Call) -> Result<Option<bool>, MlflowError> {
    call.one_of("status", &[("ACTIVE", true), ("DISABLED", false)])
}

fn secret(state: &ApiState, call: &Call) -> Result<Option<SealedSecret>, MlflowError> {
    let Some(secret) = call.text_or_none("secret")?.filter(|secret| !secret.is_empty()) else { return Ok(None) };
    if secret.len() > LONGEST_SECRET {
        return Err(MlflowError::invalid(format!("a secret has at most {LONGEST_SECRET} bytes")));
    }
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&Uuid::new_v4().as_bytes()[..12]);
    let sealed = state.parts.outbound.vault.seal(&secret, nonce);
    sealed.map(Some).map_err(|error| MlflowError::invalid(error.to_string()))
}
