//! Where alert emails go.

use lettre::message::Mailbox;

#[derive(Clone)]
pub struct EmailSettings {
    /// `smtp://host:port` (plain, for loopback and sinks), `smtp+starttls://…` or `smtps://…`.
    pub url: String,
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
    pub username: Option<String>,
    pub password: Option<String>,
}

impl std::fmt::Debug for EmailSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmailSettings")
            .field("url", &self.url)
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}
