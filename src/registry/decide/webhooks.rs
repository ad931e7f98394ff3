//! Who is told of what. Where webhooks may lead depends on the settings and is checked before and after.

use url::Url;

use super::checks;
use crate::clock::Timestamp;
use crate::registry::event::Event;
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;
use crate::registry::webhooks::{SealedSecret, Webhook, WebhookEvent};

const MAX_WEBHOOKS: usize = 1_000;
const MAX_NAME: usize = 63;
const MAX_URL: usize = 2_048;

/// What is to be; of a change None is what was.
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) url: Option<String>,
    pub(super) events: Option<Vec<WebhookEvent>>,
    pub(super) secret: Option<SealedSecret>,
    pub(super) active: Option<bool>,
}

pub(super) fn create(registry: &Registry, at: Timestamp, id: &str, wanted: Wanted) -> Result<Vec<Event>, Rejection> {
    checks::at_most("webhooks", registry.webhooks.len() + 1, MAX_WEBHOOKS)?;
    let nothing = Webhook {
        webhook_id: id.to_owned(),
        name: String::new(),
        description: String::new(),
        url: String::new(),
        events: Vec::new(),
        secret: None,
        active: true,
        created_at: at,
        updated_at: at,
    };
    Ok(vec![Event::WebhookCreated { webhook: changed(nothing, at, wanted)? }])
}

pub(super) fn update(registry: &Registry, at: Timestamp, id: &str, wanted: Wanted) -> Result<Vec<Event>, Rejection> {
    let webhook = changed(find(registry, id)?.clone(), at, wanted)?;
    Ok(vec![Event::WebhookUpdated { webhook }])
}

pub(super) fn delete(registry: &Registry, webhook_id: String) -> Result<Vec<Event>, Rejection> {
    find(registry, &webhook_id)?;
    Ok(vec![Event::WebhookDeleted { webhook_id }])
}

fn find<'a>(registry: &'a Registry, id: &str) -> Result<&'a Webhook, Rejection> {
    registry.webhook(id).ok_or_else(|| Rejection::missing(format!("Webhook with ID {id} not found.")))
}

fn changed(mut webhook: Webhook, at: Timestamp, wanted: Wanted) -> Result<Webhook, Rejection> {
    let Wanted { name, description, url, events, secret, active } = wanted;
    webhook.name = name.unwrap_or(webhook.name);
    webhook.description = description.unwrap_or(webhook.description);
    webhook.url = url.unwrap_or(webhook.url);
    webhook.events = events.unwrap_or(webhook.events);
    webhook.events.sort_unstable();
    webhook.events.dedup();
    webhook.secret = secret.or(webhook.secret);
    webhook.active = active.unwrap_or(webhook.active);
    webhook.updated_at = at;
    check(&webhook)?;
    Ok(webhook)
}

fn check(webhook: &Webhook) -> Result<(), Rejection> {
    let name = &webhook.name;
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() > MAX_NAME
        || !is_end(name.chars().next())
        || !is_end(name.chars().next_back())
        || !name.chars().all(is_legal)
    {
        return Err(Rejection::invalid(format!(
            "Webhook name '{name}' is invalid. It must start and end with a letter or digit, be less than 63 characters \
             long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
        )));
    }
    checks::text("Description", &webhook.description)?;
    if webhook.url.len() > MAX_URL || Url::parse(webhook.url.trim()).is_err() {
        return Err(Rejection::invalid("Invalid webhook URL: write https://host/path"));
    }
    if !webhook.events.iter().any(|event| event.is_mlflows()) {
        return Err(Rejection::invalid(
            "Webhook events must be a non-empty list, with at least one that MLflow knows, such as model_version.created: \
             its clients cannot list a webhook without",
        ));
    }
    Ok(())
}
