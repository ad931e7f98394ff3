//! The notify role: firing and resolved alerts reach people, at least once, with a key against repeats.
//!
//! Reading an alert only queues a delivery, in the same atomic write as the offset; a checkpoint attempts what is due.
//! A delivery leaves the queue when the server has accepted it, so a crash in between repeats it with the same
//! message id.

mod audit;
mod letter;
mod machine;
mod mailer;
mod queue;
mod role;
mod settings;
mod smtp;
mod told;

#[cfg(test)]
mod tests;

pub use audit::NotifyAudit;
pub use mailer::{Mail, MailError, Mailer};
pub use role::NotifyRole;
pub use settings::EmailSettings;
pub use smtp::SmtpMailer;
