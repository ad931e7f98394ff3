//! The port through which webhooks leave.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::http::HttpPoster;
use super::signature::{DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};
use super::targets::{AllowedHost, TargetError, Targets};
use super::vault::{Vault, VaultError};
use super::{Webhook, WebhookSettings};
use crate::clock::Timestamp;

/// One request.
#[derive(Clone, PartialEq, Eq)]
pub struct Post {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// What the receiver said, its body cut to what is worth showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Secret(#[from] VaultError),
    #[error("the receiver cannot be reached: {0}")]
    Unreachable(String),
}

#[async_trait]
pub trait Poster: Send + Sync {
    /// Returns what the receiver answered, whatever it is.
    async fn post(&self, post: Post) -> Result<Reply, PostError>;
}

/// Everything that sending takes.
#[derive(Clone)]
pub struct Outbound {
    pub targets: Targets,
    pub vault: Arc<Vault>,
    pub poster: Arc<dyn Poster>,
}

/// The way to a place that the settings name, wherever it is, and to no other.
pub fn poster_to(url: &str) -> Result<Arc<dyn Poster>, PostError> {
    let host = AllowedHost::of(url)?;
    Ok(Arc::new(HttpPoster::new(Targets::new(vec![host]))))
}

impl Outbound {
    /// Sends over HTTP.
    pub fn new(settings: &WebhookSettings, key: &str) -> Result<Self, PostError> {
        let targets = Targets::new(settings.allow.clone());
        let poster = HttpPoster::new(targets.clone());
        Ok(Self { targets, vault: Arc::new(Vault::new(key)?), poster: Arc::new(poster) })
    }

    /// Sends one event to one receiver, signed if the webhook has a secret.
    pub async fn send(
        &self,
        webhook: &Webhook,
        delivery_id: &str,
        body: &str,
        now: Timestamp,
    ) -> Result<Reply, PostError> {
        self.targets.check(&webhook.url)?;
        let timestamp = now.millis().div_euclid(1_000).to_string();
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            (DELIVERY_HEADER, delivery_id.to_owned()),
            (TIMESTAMP_HEADER, timestamp.clone()),
        ];
        if let Some(sealed) = &webhook.secret {
            let secret = self.vault.open(sealed)?;
            headers.push((SIGNATURE_HEADER, sign(&secret, delivery_id, &timestamp, body.as_bytes())));
        }
        self.poster.post(Post { url: webhook.url.clone(), headers, body: body.to_owned() }).await
    }
}

impl Reply {
    /// As MLflow counts it: also a redirect, which is not followed, is an answer.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status < 400
    }

    /// Whether the receiver may take it later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self.status, 408 | 425 | 429) || self.status >= 500
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Paths of webhooks are often secrets themselves.
        f.debug_struct("Post").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("targets", &self.targets).finish_non_exhaustive()
    }
}
