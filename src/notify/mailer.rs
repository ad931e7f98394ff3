//! The port through which mail leaves.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A message without its addresses, which the mailer knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The Message-ID with its angle brackets: the same for every attempt, so that receivers can drop repeats.
    pub id: String,
    pub in_reply_to: Option<String>,
    /// One line.
    pub subject: String,
    pub text: String,
    pub written_at: Timestamp,
}

#[async_trait]
pub trait Mailer: Send + Sync {
    /// Returns once the server has accepted the mail.
    async fn send(&self, mail: Mail) -> Result<(), MailError>;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    #[error("notify.email: {0}")]
    Settings(String),
    /// Nothing else would get through now either.
    #[error("the mail server cannot be reached: {0}")]
    Unreachable(String),
    /// This mail was refused, others may pass.
    #[error("the mail was refused: {0}")]
    Refused(String),
}
