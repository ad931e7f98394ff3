//! Why a command was not carried out.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    pub kind: RejectionKind,
    /// In the words of MLflow where its clients look at them.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionKind {
    /// What is named does not exist.
    Missing,
    /// The name is taken.
    Exists,
    /// The command is wrong, whatever the state.
    Invalid,
    /// Somebody else was quicker.
    Conflict,
}

impl Rejection {
    #[must_use]
    pub fn missing(message: impl Into<String>) -> Self {
        Self { kind: RejectionKind::Missing, message: message.into() }
    }

    #[must_use]
    pub fn exists(message: impl Into<String>) -> Self {
        Self { kind: RejectionKind::Exists, message: message.into() }
    }

    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { kind: RejectionKind::Invalid, message: message.into() }
    }

    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self { kind: RejectionKind::Conflict, message: message.into() }
    }
}
