//! Webhooks in the manner of MLflow: what happens to models and versions is told to those who asked for it.
//!
//! The role follows the registry's log with a cursor of its own. Reading a decision only queues its deliveries, in the
//! same atomic write as the offset; a checkpoint attempts what is due. A delivery leaves the queue when its receiver has
//! accepted it, or for good when it is given up, so that a crash in between repeats it with the same delivery id.

mod audit;
mod entity;
mod http;
mod machine;
mod occurrence;
mod poster;
mod role;
mod settings;
mod signature;
mod targets;
#[cfg(test)]
mod tests;
mod vault;

pub use audit::WebhookAudit;
pub use entity::{Webhook, WebhookEvent};
pub use occurrence::Occurrence;
pub use poster::{Outbound, Post, PostError, Poster, Reply, poster_to};
pub use role::WebhookRole;
pub use settings::WebhookSettings;
pub use signature::{DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign, verify};
pub use targets::{AllowedHost, TargetError, Targets};
pub use vault::{SealedSecret, Vault, VaultError};
