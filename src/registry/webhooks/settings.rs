//! Where webhooks may go, and the secrets of both directions.

use std::fmt;

use super::targets::AllowedHost;

#[derive(Clone, Default)]
pub struct WebhookSettings {
    /// Hosts inside the network, and those without TLS.
    pub allow: Vec<AllowedHost>,
    /// Seals the secrets of webhooks; by default one in the data folder.
    pub key: Option<String>,
    /// Signs what another registry's webhooks tell; without it none are taken.
    pub incoming_secret: Option<String>,
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings").field("allow", &self.allow).finish_non_exhaustive()
    }
}
